//! The data model: tenants, labels, entries' metadata, time ranges and label matchers.

mod labels;
mod matcher;
mod tenant;
mod time;

pub use labels::{InvalidLabels, Labels, Metadata};
pub use matcher::{MatchOp, Matcher};
pub use tenant::{InvalidTenant, TenantId};
pub use time::{TimeRange, Timestamp};
