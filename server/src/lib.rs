//! A Loki-compatible log server.
//!
//! The crate is the `timberline` command as a library, so that tests and embedders can start a server
//! inside their own process: read a [`config::Config`], open a [`state::AppState`] on a data directory
//! and hand it to [`serve::Server`].
//!
//! Requests come in over HTTP/1.1 and h2c on one port. Writes go through [`ingest`] to the store,
//! reads through [`http`] to the query engine; [`encode`] writes answers in Loki's JSON to the byte.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod access;
mod allocator;
pub mod cli;
mod commands;
pub mod config;
pub mod encode;
pub mod error;
pub mod generate;
mod guarded;
pub mod http;
pub mod ingest;
mod listen;
mod logs;
mod maintenance;
pub mod metrics;
mod peer;
mod reload;
mod requests;
mod rfc3339;
pub mod ruler;
pub mod serve;
mod signals;
pub mod state;
mod tail;
pub mod tenant;
pub mod tls;
mod turns;

/// Entry points for fuzzers.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::ingest::fuzzing::*;
    pub use crate::ruler::{fuzz as rule_file, fuzz_tests as rule_test_file};
}

/// The version of this build, as `--version` and `/loki/api/v1/status/buildinfo` say it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program of docs/library.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/library.md")]
struct Library;
