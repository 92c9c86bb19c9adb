//! The store through its public interface.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod damage;
mod faults;
mod model;
mod simulation;
mod subscribe;
mod util;
mod write;
