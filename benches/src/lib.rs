//! Measures Timberline from the outside and prints tables whose figures are ratios to units taken in
//! the same run.
//!
//! ```text
//! cargo build --release && cargo run --release -p timberline-benches -- run
//! ```
//!
//! The unit **U** is the CPU time of `zstd -3` over the corpus' raw bytes on one thread, **D** the wall
//! time of decompressing that again: machines differ and are noisy, ratios travel.
//!
//! [`hot`] has the engine's hot paths by themselves, for counting and timing within the process.

mod cli;
mod client;
mod clock;
mod corpus;
mod data;
mod disk;
pub mod hot;
mod idle;
mod index;
mod load;
mod measure;
mod plots;
mod process;
mod push;
mod questions;
mod reference;
mod report;
mod scale;
mod sets;
mod soak;
mod tails;
mod units;

pub use cli::run;
