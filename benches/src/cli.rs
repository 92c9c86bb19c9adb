//! The command line.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::corpus::{self, Corpus, ServicesOptions};
use crate::hot::{self, HOT_PATHS};
use crate::idle;
use crate::index;
use crate::load;
use crate::measure::{self, MeasureOptions};
use crate::plots;
use crate::process::{Durability, Server, ServerOptions};
use crate::push;
use crate::questions;
use crate::report;
use crate::scale::{self, Fleet};
use crate::sets::{self, SetsOptions};
use crate::soak::{self, SoakOptions};
use crate::tails;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure with the corpus that ships with the project: start the release server on an empty
    /// directory, push, ask, kill, restart
    Run(RunArgs),
    /// Measure with a mix of real logs that others were measured with, and show their figures beside
    Mix(MixArgs),
    /// Store sets of real logs one by one, read every line back, and compare with plain compressors
    Sets(SetsArgs),
    /// Measure very many streams over a month: ingest, start, memory, questions about labels; and how
    /// that grows from a tenth
    Scale(ScaleArgs),
    /// Compare tantivy with plain sorted postings, for the labels of many streams and for the words of lines
    Index(IndexArgs),
    /// Write a corpus as raw lines to standard output
    Corpus(CorpusArgs),
    /// Push a corpus to a server that runs already
    Load(LoadArgs),
    /// Ask the questions of a server that runs already and holds the corpus
    Ask(AskArgs),
    /// Start the release server on an empty directory, ask it beside many idle connections, and follow one
    /// stream with many live tails.
    Tails(TailsArgs),
    /// Put the release server under mixed load with restarts for a long time, see what it holds on the way,
    /// and look for every line in the end
    Soak(SoakArgs),
    /// Run one hot path of the engine a few times, for counting its instructions; without a name, list them
    Hot(HotArgs),
}

/// Lines of the corpus that ships with the project.
#[derive(Clone, Copy, Debug, Args)]
struct ServicesArgs {
    /// How many lines
    #[arg(long, default_value_t = 1_200_000)]
    lines: u64,
    /// The seed: the same seed gives the same bytes
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// Which corpus.
#[derive(Clone, Debug, Args)]
struct CorpusArgs {
    #[command(flatten)]
    services: ServicesArgs,
    /// Take the mix of real logs, made from the samples in this directory, instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["lines", "seed"])]
    mix: Option<PathBuf>,
}

/// How a server is started and measured.
#[derive(Debug, Args)]
struct MeasureArgs {
    /// How many times as large as the corpus is; several, such as 1,4,16, show how figures grow
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u64).range(1..))]
    times: Vec<u64>,
    #[command(flatten)]
    plots: PlotArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// Connections that push at once
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// How often each question is asked; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Take the bytes under zstd -19, which takes minutes, rather than look up what is known of it
    #[arg(long)]
    zstd19: bool,
}

#[derive(Debug, Args)]
struct ServerArgs {
    /// The server's binary
    #[arg(long, default_value = "target/release/timberline")]
    binary: PathBuf,
    /// When a push counts as done
    #[arg(long, value_enum, default_value_t = Durability::Sync)]
    durability: Durability,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    services: ServicesArgs,
    #[command(flatten)]
    measure: MeasureArgs,
}

#[derive(Debug, Args)]
struct MixArgs {
    /// The directory with the Loghub samples, `loghub2k-hdfs.log.zst` and so on
    #[arg(long, value_name = "DIR", env = "TIMBERLINE_DATA")]
    data: PathBuf,
    #[command(flatten)]
    measure: MeasureArgs,
}

#[derive(Debug, Args)]
struct PlotArgs {
    /// Draw the figures as SVG into this directory, too
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SetsArgs {
    /// The directory with the sets, one `NAME.zst` each
    #[arg(long, value_name = "DIR", env = "TIMBERLINE_DATA")]
    data: PathBuf,
    /// Only this set; may be there several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Keep sizes under the plain compressors in this file, and take them from there the next time
    #[arg(long, value_name = "FILE", env = "TIMBERLINE_SIZES")]
    sizes: Option<PathBuf>,
    /// Leave out plain compressors that take minutes, unless their sizes were kept
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Args)]
struct ScaleArgs {
    /// How many streams; a tenth of it is measured too
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..))]
    streams: u64,
    /// How many lines they write together; a tenth of it is measured too
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(10..))]
    lines: u64,
    /// Over how many days
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    days: u64,
    /// How often each question is asked; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    plots: PlotArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct IndexArgs {
    /// How many streams
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(10..))]
    streams: u64,
    #[command(flatten)]
    corpus: CorpusArgs,
    /// How often each question is asked; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

#[derive(Debug, Args)]
struct LoadArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    /// The server's address
    #[arg(long, default_value = "127.0.0.1:3100")]
    addr: String,
    /// Connections that push at once
    #[arg(long, default_value_t = 2)]
    connections: usize,
}

#[derive(Debug, Args)]
struct AskArgs {
    #[command(flatten)]
    corpus: CorpusArgs,
    /// The server's address
    #[arg(long, default_value = "127.0.0.1:3100")]
    addr: String,
    /// How often each question is asked; the median counts
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
    /// How many idle connections, which are closed before the tails are opened
    #[arg(long, default_value_t = 2000)]
    connections: usize,
}

#[derive(Debug, Args)]
struct HotArgs {
    /// Which
    #[arg(value_parser = PossibleValuesParser::new(HOT_PATHS.map(|path| path.name)))]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct SoakArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// How long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Lines a second
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
}

impl ServicesArgs {
    fn make(self) -> Corpus {
        corpus::services(ServicesOptions { lines: self.lines, seed: self.seed })
    }
}

impl CorpusArgs {
    fn make(&self) -> Result<Corpus> {
        match &self.mix {
            Some(directory) => corpus::mix(directory, 1),
            None => Ok(self.services.make()),
        }
    }
}

impl ServerArgs {
    fn options(&self) -> ServerOptions {
        ServerOptions { binary: self.binary.clone(), durability: self.durability }
    }
}

impl MeasureArgs {
    fn options(&self) -> MeasureOptions {
        MeasureOptions {
            server: self.server.options(),
            connections: self.connections,
            runs: self.runs,
            with_zstd19: self.zstd19,
        }
    }
}

/// Runs the command that the program was given.
///
/// # Errors
/// What kept the command from its end.
pub fn run() -> Result<()> {
    match Cli::parse().command {
        Command::Run(args) => {
            let make = |times| {
                let services = args.services;
                Ok(ServicesArgs { lines: services.lines * times, ..services }.make())
            };
            measure_sizes(make, &args.measure, false)
        }
        Command::Mix(args) => mix(&args),
        Command::Sets(SetsArgs { data, only, sizes, quick: is_quick }) => {
            let measured = sets::measure(&SetsOptions { data, only, sizes, is_quick })?;
            print!("{}", sets::table(&measured));
            Ok(())
        }
        Command::Scale(args) => scale(&args),
        Command::Index(IndexArgs { streams, corpus, runs }) => {
            let fleet = Fleet { streams, lines: streams, days: 1 };
            print!("{}", index::measure(fleet, &corpus.make()?, runs)?);
            Ok(())
        }
        Command::Corpus(args) => corpus(&args),
        Command::Load(args) => {
            let bodies = push::bodies(&args.corpus.make()?);
            println!("{}", load::send(&bodies, &args.addr, args.connections)?);
            Ok(())
        }
        Command::Ask(args) => {
            for answer in questions::ask_all(&args.corpus.make()?, &args.addr, args.runs) {
                println!("{answer}");
            }
            Ok(())
        }
        Command::Tails(args) => {
            let directory = tempfile::tempdir().context("a directory for the data")?;
            let options = ServerOptions { binary: args.binary, durability: Durability::Sync };
            let server = Server::start(&options, directory.path())?;
            println!("{}", idle::measure(&server, args.connections)?);
            println!("{}", tails::measure(&server, args.clients, args.lines)?);
            server.stop()
        }
        Command::Soak(SoakArgs { server, minutes, rate }) => {
            let duration = Duration::from_secs(minutes * 60);
            let options = SoakOptions { server: server.options(), duration, rate };
            println!("{}", soak::run(&options)?);
            Ok(())
        }
        Command::Hot(HotArgs { name }) => hot(name.as_deref()),
    }
}

fn corpus(args: &CorpusArgs) -> Result<()> {
    match args.make()?.write_lines(io::stdout().lock()) {
        // Whoever reads it has enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn hot(name: Option<&str>) -> Result<()> {
    for path in HOT_PATHS.iter().filter(|path| name.is_none_or(|name| name == path.name)) {
        match name {
            Some(_) => println!("{} rows", hot::run(path)?),
            None => println!("{}", path.name),
        }
    }
    Ok(())
}

fn mix(args: &MixArgs) -> Result<()> {
    let make = |times| corpus::mix(&args.data, times);
    measure_sizes(make, &args.measure, true)
}

/// Several sizes are told beside each other; one is told beside the figures of others where it is the
/// corpus that those were measured with.
fn measure_sizes(
    make: impl Fn(u64) -> Result<Corpus>,
    args: &MeasureArgs,
    is_theirs: bool,
) -> Result<()> {
    let measure = |&times: &u64| Ok((times, measure::measure(&make(times)?, &args.options())?));
    let runs: Vec<_> = args.times.iter().map(measure).collect::<Result<_>>()?;
    match &runs[..] {
        [(times, measured)] => print!("{}", report::table(measured, is_theirs && *times == 1)),
        runs => print!("{}", report::growth(runs)),
    }
    match &args.plots.plots {
        Some(directory) => plots::runs(directory, &runs, is_theirs),
        None => Ok(()),
    }
}

fn scale(args: &ScaleArgs) -> Result<()> {
    let fleet = Fleet { streams: args.streams, lines: args.lines, days: args.days };
    let measure = |fleet| scale::measure(fleet, &args.server.options(), args.runs);
    let fleets = [measure(fleet.smaller(10))?, measure(fleet)?];
    print!("{}", scale::table(&fleets));
    match &args.plots.plots {
        Some(directory) => plots::fleets(directory, &fleets),
        None => Ok(()),
    }
}
