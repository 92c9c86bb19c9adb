//! The commands that people type beside `serve`: a file each.
//!
//! They ask a server, or a data directory that no server uses, through the same requests
//! ([`client`]); what comes back is shown by [`show`].

mod answer;
mod bench;
mod catalog;
pub(crate) mod check;
mod client;
mod export;
mod failure;
mod import;
mod inspect;
mod out;
mod pages;
mod push;
mod query;
mod record;
mod sending;
mod shell;
mod show;
mod tail;
mod target;
mod times;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use self::failure::Failure;
use self::target::Target;

const EXIT_CODES: &str = "\
Exit codes: 0 when it is done, also when a reader such as head has seen enough; 1 when it could not be
done (no connection, the server or the disk refuses); 2 when the command or the query is wrong; 3 when it
was done but for a part that was refused or is damaged.";

/// A command that asks a server or a data directory.
#[derive(Debug, Subcommand)]
pub(crate) enum Asking {
    /// Asks for logs, or for numbers made of them, over a range of time.
    #[command(after_help = help("timberline query '{app=\"shop\"} |= \"error\"' --since 2h --limit 0 --forward
  timberline query 'sum by (app) (rate({env=\"prod\"}[5m]))' --since 1d --output chart
  timberline query '{app=\"shop\"}' --data ./data --from 2026-01-31 --output jsonl"))]
    Query(query::Query),
    /// Asks for numbers at one point in time.
    #[command(after_help = help("timberline instant-query 'sum by (app) (count_over_time({env=\"prod\"}[1h]))'"))]
    InstantQuery(query::InstantQuery),
    /// Prints lines as they come.
    #[command(after_help = help("timberline tail '{app=\"shop\"} |= \"error\"' --since 5m"))]
    Tail(tail::Tail),
    /// Lists the names of labels, or the values of one.
    #[command(after_help = help("timberline labels --since 7d
  timberline labels app --query '{env=\"prod\"}'"))]
    Labels(catalog::LabelNames),
    /// Lists streams.
    #[command(after_help = help("timberline series '{env=\"prod\"}' --since 7d
  timberline series --analyze-labels"))]
    Series(catalog::SeriesOf),
    /// Tells how much there is of what a selector names.
    #[command(after_help = help("timberline stats '{app=\"shop\"}' --since 7d"))]
    Stats(catalog::IndexStats),
    /// Shows which streams take the most room, as bars.
    #[command(after_help = help("timberline volume '{env=\"prod\"}' --target-labels app --since 7d"))]
    Volume(catalog::Volume),
    /// Pushes files, line by line.
    #[command(after_help = help("timberline push /var/log/app.log --labels app=shop,env=prod
  timberline push --state push.state /var/log/*.log     goes on where it was broken off
  journalctl -f | timberline push - --labels job=journal"))]
    Push(push::Push),
    /// Writes entries to a file with their labels, metadata and exact times.
    #[command(after_help = help("timberline export --since 30d --output month.jsonl.zst
  timberline export --query '{app=\"shop\"}' --from 2026-01-01 --to 2026-02-01 | gzip > shop.jsonl.gz"))]
    Export(export::Export),
    /// Adds entries that export wrote, or those of a running Loki or Timberline.
    #[command(after_help = help("timberline import month.jsonl.zst
  timberline import --from-addr http://loki:3100 --since 30d"))]
    Import(import::Import),
    /// Shows what is in a segment's file: streams, groups of rows, and how each column is coded.
    #[command(after_help = help("timberline inspect data/segments/0000000001.seg --groups"))]
    Inspect(inspect::Inspect),
    /// Loads a server with lines of its own making, and tells how fast it takes them and answers.
    #[command(after_help = help("timberline bench --addr http://127.0.0.1:3100 --duration 30s --connections 4
  timberline bench --rate 20000"))]
    Bench(bench::Bench),
    /// Prints what lets a shell complete this command.
    #[command(after_help = "Examples:
  source <(timberline completions bash)
  timberline completions fish > ~/.config/fish/completions/timberline.fish")]
    Completions(shell::Completions),
    /// Writes the manual pages of this command.
    #[command(after_help = "Example:
  timberline man /usr/local/share/man/man1")]
    Man(shell::ManPages),
}

/// A file's name with another ending behind its own, for one that is not whole yet.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn help(examples: &str) -> String {
    format!("Examples:\n  {examples}\n\n{EXIT_CODES}")
}

impl Asking {
    /// Does it. `command` is the whole command line.
    pub(crate) fn run(self, command: clap::Command) -> ExitCode {
        let outcome = match self {
            Self::Query(query) => query.run(),
            Self::InstantQuery(query) => query.run(),
            Self::Tail(tail) => tail.run(),
            Self::Labels(labels) => labels.run(),
            Self::Series(series) => series.run(),
            Self::Stats(stats) => stats.run(),
            Self::Volume(volume) => volume.run(),
            Self::Push(push) => push.run(),
            Self::Export(export) => export.run(),
            Self::Import(import) => import.run(),
            Self::Inspect(inspect) => inspect.run(),
            Self::Bench(bench) => bench.run(),
            Self::Completions(completions) => completions.run(command),
            Self::Man(pages) => pages.run(command),
        };
        outcome.map_or_else(|failure| failure.end(), |()| ExitCode::SUCCESS)
    }
}
