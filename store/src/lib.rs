//! Timberline's storage engine: an embedded, label-indexed, compressed log store.
#![warn(missing_docs)]

mod batch;
mod error;
mod model;
mod predicate;
mod snapshot;
mod store;

pub use batch::{Batch, Columns, LineColumn, ReadScratch, Row, WriteBatch};
pub use error::StoreError;
pub use model::{
    InvalidLabels, InvalidTenant, Label, Labels, MatchOp, Matcher, Metadata, TenantId, TimeRange,
    Timestamp,
};
pub use predicate::{LinePredicate, LineTest};
pub use snapshot::{Chunk, IndexStats, Snapshot};
pub use store::{AppendReport, Durability, Store, StoreBuilder, StoreStats};
