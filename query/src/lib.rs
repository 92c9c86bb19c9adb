//! LogQL over a Timberline store: parse, plan, evaluate.
//!
//! An [`Engine`] answers queries over a store, in the words and numbers of Loki: [`Engine::range`] over
//! a range of time, [`Engine::instant`] at one point, [`Engine::tail`] on what is appended from now on.
//! [`EngineLimits`] bounds what a query may take. [`Tenants`] are several, read as one; [`LogqlFilters`]
//! lets delete requests be told by log queries. [`syntax`] is the language by itself, [`fields`] and
//! [`patterns`] tell what there is in lines.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use timberline_query::{Engine, InstantQuery, QueryValue, RangeQuery};
//! use timberline_store::{Labels, Store, TenantId, TimeRange, WriteBatch};
//!
//! let store = Store::open(directory.path())?;
//! let tenant = TenantId::new("acme")?;
//! let mut batch = WriteBatch::new();
//! batch.stream(&Labels::from_pairs([("app", "shop")])?);
//! batch.push(1_700_000_000_000_000_000, b"status=500 path=/pay", &[])?;
//! store.append(&tenant, &batch)?;
//!
//! let query = r#"sum by (app) (count_over_time({app="shop"} | logfmt | status >= 500 [5m]))"#;
//! let query = InstantQuery::new(query, 1_700_000_060_000_000_000);
//! let engine = Engine::new(&store);
//! let QueryValue::Vector(samples) = engine.instant(&tenant, &query)?.value else { panic!("a vector") };
//! assert_eq!(samples[0].value, 1.0);
//!
//! let minute = TimeRange::new(1_700_000_000_000_000_000, 1_700_000_060_000_000_000);
//! let query = RangeQuery::new(r#"{app="shop"} |= "pay""#, minute);
//! let QueryValue::Streams(streams) = engine.range(&tenant, &query)?.value else { panic!("streams") };
//! assert_eq!(&*streams[0].entries[0].line, b"status=500 path=/pay");
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! `reference`: the module of that name, a slow evaluator by the definitions, to hold answers against.
#![deny(missing_docs)]

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
    TailEntry, TailHistory, TailQuery, TailRound,
};
pub use error::QueryError;
pub use golang::{
    format_binary_bytes, format_prometheus_duration, parse_duration as parse_go_duration,
    parse_prometheus_duration,
};
pub use pipeline::template::{AlertContext, AlertTemplate};
pub use result::{EntryResult, QueryAnswer, QueryStats, QueryValue, Sample, Series, StreamResult};
pub use tenants::{ORIGINAL_TENANT_LABEL, TENANT_LABEL, Tenants};

/// The programs of README.md compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
