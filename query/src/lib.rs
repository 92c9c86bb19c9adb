//! LogQL over a Timberline store: parse, plan, evaluate.
//!
//! An [`Engine`] answers queries over a store, in the words and numbers of Loki: [`Engine::range`] over
//! a range of time, [`Engine::instant`] at one point. [`syntax`] is the language by itself.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use std::sync::Arc;
//! use timberline_query::{Engine, InstantQuery, QueryValue};
//! use timberline_store::{Labels, Store, TenantId, WriteBatch};
//!
//! let store = Store::open(directory.path())?;
//! let tenant = TenantId::new("acme")?;
//! let mut batch = WriteBatch::new();
//! batch.stream(&Labels::from_pairs([("app", "shop")])?);
//! batch.push(1_700_000_000_000_000_000, b"status=500 path=/pay", &[])?;
//! store.append(&tenant, &batch)?;
//!
//! let query = r#"sum by (app) (count_over_time({app="shop"} | logfmt | status >= 500 [5m]))"#;
//! let query = InstantQuery {
//!     query: query.to_owned(),
//!     time: 1_700_000_060_000_000_000,
//!     cancel: Arc::default(),
//! };
//! let answer = Engine::new(store).instant(&tenant, &query)?;
//! let QueryValue::Vector(samples) = answer.value else { panic!("a vector") };
//! assert_eq!(samples[0].value, 1.0);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod budget;
mod deletes;
mod engine;
mod error;
pub mod fields;
#[doc(hidden)]
pub mod fuzzing;
mod golang;
mod label_text;
mod metric;
pub mod patterns;
mod pipeline;
mod plan;
#[cfg(any(test, feature = "reference"))]
pub mod reference;
mod result;
pub mod syntax;
mod tenants;

pub use deletes::{DeleteQuery, LogqlFilters};
pub use engine::{
    Direction, Engine, EngineLimits, EntrySample, InstantQuery, RangeQuery, SampleSeries,
    TailEntry, TailHistory, TailQuery,
};
pub use error::QueryError;
pub use golang::{format_prometheus_duration, parse_prometheus_duration};
pub use pipeline::template::{AlertContext, AlertTemplate};
pub use result::{EntryResult, QueryAnswer, QueryStats, QueryValue, Sample, Series, StreamResult};
pub use tenants::{ORIGINAL_TENANT_LABEL, TENANT_LABEL, Tenants};
