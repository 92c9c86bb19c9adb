//! The `timberline` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Flushes and queries take and give back megabytes at a time on many threads; the system's allocator
/// keeps much of that for itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    timberline::cli::run()
}
