//! Measures a Timberline server from the outside: makes a seeded corpus, pushes it, asks the questions
//! people ask, and prints a table whose figures are ratios to a unit taken in the same run.
//!
//! ```text
//! cargo build --release && cargo run --release -p timberline-benches -- run
//! ```
//!
//! The unit **U** is the CPU time of `zstd -3` over the corpus' raw bytes, **D** the wall time of
//! decompressing that again: machines differ and are noisy, ratios travel.

mod corpus;
mod load;
mod process;
mod push;
mod questions;
mod report;
mod tails;
mod units;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::corpus::{Corpus, CorpusOptions};
use crate::process::{Durability, Server};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the release server on an empty directory, push the corpus, ask the questions, restart it.
    Run(RunArgs),
    /// Write the corpus as raw lines to standard output.
    Corpus(CorpusArgs),
    /// Push the corpus to a server that runs already.
    Load(LoadArgs),
    /// Ask the questions of a server that runs already and holds the corpus.
    Ask(AskArgs),
    /// Start the release server on an empty directory and follow one stream with many live tails.
    Tails(TailsArgs),
}

/// Which lines.
#[derive(Clone, Copy, Debug, Args)]
struct CorpusArgs {
    /// How many lines.
    #[arg(long, default_value_t = 1_200_000)]
    lines: u64,
    /// The seed: the same seed gives the same bytes.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    /// The server's binary.
    #[arg(long, default_value = "target/release/timberline")]
    binary: PathBuf,
    /// Connections that push at once.
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// How often each question is asked; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// When a push counts as done.
    #[arg(long, value_enum, default_value_t = Durability::Sync)]
    durability: Durability,
}

#[derive(Debug, Args)]
struct LoadArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    /// The server's address.
    #[arg(long, default_value = "127.0.0.1:3100")]
    addr: String,
    /// Connections that push at once.
    #[arg(long, default_value_t = 2)]
    connections: usize,
}

#[derive(Debug, Args)]
struct AskArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    /// The server's address.
    #[arg(long, default_value = "127.0.0.1:3100")]
    addr: String,
    /// How often each question is asked; the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Debug, Args)]
struct TailsArgs {
    /// The server's binary.
    #[arg(long, default_value = "target/release/timberline")]
    binary: PathBuf,
    /// How many tails.
    #[arg(long, default_value_t = 5000)]
    clients: usize,
    /// How many lines are pushed, one at a time.
    #[arg(long, default_value_t = 20)]
    lines: usize,
}

impl CorpusArgs {
    fn make(self) -> Corpus {
        Corpus::new(CorpusOptions { lines: self.lines, seed: self.seed })
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Corpus(args) => args.make().write_lines(&mut std::io::stdout().lock()),
        Command::Load(args) => {
            let corpus = args.corpus.make();
            let bodies = push::bodies(&corpus);
            println!("{}", load::send(&bodies, &args.addr, args.connections)?);
            Ok(())
        }
        Command::Ask(args) => {
            let corpus = args.corpus.make();
            for answer in questions::ask_all(&corpus, &args.addr, args.runs)? {
                println!("{answer}");
            }
            Ok(())
        }
        Command::Tails(args) => {
            let directory = tempfile::tempdir().context("a directory for the data")?;
            let server = Server::start(&args.binary, directory.path(), Durability::Sync)?;
            println!("{}", tails::measure(&server, args.clients, args.lines)?);
            server.stop()
        }
    }
}

/// The whole measurement, from an empty directory to a restart.
fn run(args: &RunArgs) -> Result<()> {
    let corpus = args.corpus.make();
    let units = units::measure(&corpus)?;
    let bodies = push::bodies(&corpus);
    let directory = tempfile::tempdir().context("a directory for the data")?;
    let server = Server::start(&args.binary, directory.path(), args.durability)?;
    let cpu_before = server.cpu_seconds()?;
    let load = load::send(&bodies, server.addr(), args.connections)?;
    let ingest_cpu = server.cpu_seconds()? - cpu_before;
    drop(bodies);
    server.flush()?;
    let disk_bytes = process::directory_bytes(directory.path())?;
    questions::expect_count(&corpus, server.addr())?;
    let answers = questions::ask_all(&corpus, server.addr(), args.runs)?;
    let memory = server.memory()?;
    server.kill()?;
    let restart = std::time::Instant::now();
    let server = Server::start(&args.binary, directory.path(), args.durability)?;
    let restart_seconds = restart.elapsed().as_secs_f64();
    questions::expect_count(&corpus, server.addr())?;
    server.stop()?;
    let measured = report::Measured {
        lines: corpus.lines(),
        raw_bytes: corpus.raw_bytes(),
        units,
        load,
        ingest_cpu,
        disk_bytes,
        memory,
        restart_seconds,
        answers,
    };
    print!("{}", report::markdown(&measured));
    Ok(())
}
