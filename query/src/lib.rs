//! LogQL over a Timberline store: parse, plan, evaluate.
#![warn(missing_docs)]

mod engine;
mod error;
mod golang;
mod result;
pub mod syntax;

pub use engine::{Direction, Engine, EngineLimits, InstantQuery, RangeQuery};
pub use error::QueryError;
pub use result::{EntryResult, QueryAnswer, QueryStats, QueryValue, Sample, Series, StreamResult};
