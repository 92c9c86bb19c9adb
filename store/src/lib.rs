//! Timberline's storage engine: an embedded, label-indexed, compressed log store.
//!
//! An append goes to a write-ahead log, which concurrent appends sync together, and to the head in
//! memory; when the head is large or old enough it becomes a segment, a sealed, compressed, mapped
//! file. A [`Snapshot`] is a consistent view of head and segments. There is no query language here and
//! no async runtime: the store has threads of its own and its calls block.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use timberline_store::{Labels, LinePredicate, Matcher, Store, TenantId, TimeRange, WriteBatch};
//!
//! let (store, tenant) = (Store::open(directory.path())?, TenantId::default());
//! let mut batch = WriteBatch::new();
//! batch.stream(&Labels::from_pairs([("app", "shop")])?);
//! batch.push(1_700_000_000_000_000_000, b"order 17 paid", &[("trace", "4f2a")])?;
//! store.append(&tenant, &batch)?; // durable and visible when it returns
//!
//! let shop = [Matcher::equal("app", "shop")];
//! let paid = LinePredicate::contains(b"paid");
//! for entry in store.entries(&tenant, &shop, TimeRange::ALL)?.matching(paid) {
//!     assert_eq!(entry?.text(), "order 17 paid");
//! }
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Store`] opens (as [`StoreBuilder`] says), appends a [`WriteBatch`], deletes, backs up, flushes,
//!   closes. Cheap to clone, used from any thread.
//! - [`Entries`] are read one by one; [`Snapshot`] lists labels and streams, and gives [`Chunk`]s for
//!   those who want rows and columns by the thousand.
//! - [`Subscription`] gives what is appended from now on.
//! - [`Durability`] says what an append waits for, [`Retention`] how long entries are kept.
//! - [`StoreDirectory`] checks and repairs what no store is open on; [`inspect`] shows what a segment is
//!   made of.
//! - [`MemVfs`] and [`ManualClock`] stand in for disk and clock in tests.
//!
//! Timestamps are nanoseconds since 1970. A tenant is a name space of its own; programs that need no such
//! thing take [`TenantId::default`]. An entry that is there already is kept once.
//!
//! # Features
//! `label-index` (default): segments of more than 64 streams get an index of their labels. Without it
//! matchers are tried on every stream, files are the same to read and write either way, and the crate is
//! far quicker to build.
#![deny(missing_docs)]

mod batch;
mod chunk;
mod clock;
mod codec;
mod deletes;
mod durations;
mod engine;
mod entries;
mod error;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod head;
pub mod inspect;
mod io;
mod literals;
mod maintenance;
mod manifest;
mod model;
mod needle;
mod newest;
mod paths;
mod predicate;
mod projection;
mod retention;
mod scan;
mod search;
mod segment;
mod snapshot;
mod store;
mod subscribe;
mod view;
mod wal;

pub use batch::{Batch, Columns, LineColumn, ReadScratch, Row, WriteBatch};
pub use chunk::{Chunk, SelectedMinute, Selection};
pub use clock::{Clock, ManualClock, SystemClock};
pub use deletes::{
    CancelOutcome, DeleteRequest, DeleteStatus, Deletion, EntryFilter, FilterCompiler,
};
pub use durations::Durations;
pub use entries::{Entries, Entry, EntryRef};
pub use error::StoreError;
pub use io::{DirLock, LockOutcome, Mapped, MemVfs, OsVfs, Vfs, WriteFile};
pub use maintenance::{CheckReport, Finding, RepairReport, Severity, StoreDirectory};
pub use model::{
    InvalidLabels, InvalidTenant, Labels, MatchOp, Matcher, Metadata, TenantId, TimeRange,
    Timestamp,
};
pub use needle::Needle;
pub use predicate::{LinePredicate, LineRegex, LineTest};
pub use projection::{LineTemplate, Projection, ProjectionScratch, Projector, SlotValues};
pub use retention::{Retention, StreamRetention, TenantRetention};
pub use search::{ChunkSource, Passed};
pub use segment::Minute;
pub use snapshot::{IndexStats, Snapshot};
pub use store::{AppendReport, Durability, Store, StoreBuilder, StoreStats};
pub use subscribe::{Appended, DroppedEntries, Subscription};

/// The programs of README.md compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
