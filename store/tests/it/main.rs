//! The store through its public interface.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod crash;
mod damage;
mod deletes;
mod faults;
mod model;
mod reads;
mod retention;
mod rot;
mod search;
mod simulation;
mod subscribe;
mod threads;
mod util;
mod write;
