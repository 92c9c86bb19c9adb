//! Timberline's storage engine: an embedded, label-indexed, compressed log store.
#![warn(missing_docs)]

mod batch;
mod clock;
mod error;
mod io;
mod model;
mod predicate;
mod scan;
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the store does not use it yet"))]
mod segment;
mod snapshot;
mod store;

pub use batch::{Batch, Columns, LineColumn, ReadScratch, Row, WriteBatch};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::StoreError;
pub use io::{DirLock, LockOutcome, Mapped, MemVfs, OsVfs, Vfs, WriteFile};
pub use model::{
    InvalidLabels, InvalidTenant, Label, Labels, MatchOp, Matcher, Metadata, TenantId, TimeRange,
    Timestamp,
};
pub use predicate::{LinePredicate, LineTest};
pub use snapshot::{Chunk, IndexStats, Snapshot};
pub use store::{AppendReport, Durability, Store, StoreBuilder, StoreStats};
