//! LogQL over a Timberline store: parse, plan, evaluate.
#![warn(missing_docs)]

mod budget;
mod engine;
mod error;
mod golang;
mod label_text;
mod metric;
mod pipeline;
mod plan;
#[cfg(any(test, feature = "reference"))]
pub mod reference;
mod result;
pub mod syntax;

pub use engine::{Direction, Engine, EngineLimits, InstantQuery, RangeQuery};
pub use error::QueryError;
pub use result::{EntryResult, QueryAnswer, QueryStats, QueryValue, Sample, Series, StreamResult};
