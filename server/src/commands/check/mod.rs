//! `timberline check-query`: a query's numbers against thresholds, for Nagios, Icinga and what else runs
//! their plugins.
//!
//! The conventions are those of the Monitoring Plugins' development guidelines: one line of text, `|`,
//! performance data, and the exit codes 0 to 3.

mod ask;
mod range;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, Args, ValueEnum};

use self::ask::ask;
use self::range::Range;
use self::report::{Report, Thresholds};
use super::Target;
use super::client::{Client, Intent};
use crate::cli::print;
use crate::config::units::{UnitError, parse_duration};

/// What `--help` ends with.
pub(crate) const HELP: &str = "\
Examples:
  timberline check-query 'sum(count_over_time({app=\"shop\"} |= \"error\" [5m]))' --warning 10 --critical 100 --empty ok
  timberline check-query 'sum by (app) (rate({env=\"prod\"}[5m]))' --critical 0.1: --empty critical
  timberline check-query 'sum(count_over_time({app=\"shop\"}[1d]))' --critical 1: --data ./data

A range is what is fine: 10 is 0 to 10, 10: is 10 and more, ~:10 is 10 and less, 10:20 is 10 to 20; @10:20 is
what is not fine. Of several series the worst decides.

Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (no answer, or the command or the query is wrong).";

/// The exit code of a check that could not be done.
pub(crate) const UNKNOWN: u8 = State::Unknown.code();

/// `timberline check-query`
#[derive(Args, Debug)]
#[command(mut_arg("timeout", as_in_plugins))]
pub(crate) struct CheckQuery {
    /// The metric query, in LogQL
    #[arg(value_name = "LOGQL")]
    query: String,
    /// Outside of this range it is a warning
    #[arg(short, long, value_name = "RANGE", allow_hyphen_values = true)]
    warning: Option<Range>,
    /// Outside of this range it is critical
    #[arg(short, long, value_name = "RANGE", allow_hyphen_values = true)]
    critical: Option<Range>,
    /// What an answer without series is
    #[arg(long, value_name = "STATE", default_value = "unknown")]
    empty: State,
    /// What the line begins with
    #[arg(long, value_name = "NAME", default_value = "LOGQL")]
    name: String,
    #[command(flatten)]
    target: Target,
}

/// `--timeout` as monitors give it to their plugins.
fn as_in_plugins(timeout: Arg) -> Arg {
    timeout
        .short('t')
        .default_value("10s")
        .value_parser(parse_timeout)
        .help("How long a request may take: 10 is seconds, as with other plugins")
}

/// A duration, or whole seconds.
fn parse_timeout(text: &str) -> Result<Duration, UnitError> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => parse_duration(text),
    }
}

impl CheckQuery {
    /// Asks, prints the line, and gives the exit code.
    pub(crate) fn run(self) -> ExitCode {
        let report = self.report();
        print(&report.line(&self.name));
        ExitCode::from(report.state.code())
    }

    fn report(&self) -> Report {
        let mut client = match Client::open(&self.target, Intent::Read) {
            Ok(client) => client,
            Err(failure) => return Report::unknown(&failure.to_string()),
        };
        let thresholds =
            Thresholds { warning: self.warning.clone(), critical: self.critical.clone() };
        let report = match ask(&mut client, &self.query) {
            Err(failure) => Report::unknown(&failure.to_string()),
            Ok(series) if series.is_empty() => Report::of_nothing(self.empty),
            Ok(series) => Report::of_series(&series, &thresholds),
        };
        // Dropped, it would wait for a name that is still being looked up.
        std::mem::forget(client);
        report
    }
}

/// What a check comes to; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Exit code 0.
    Ok,
    /// Exit code 1.
    Warning,
    /// Exit code 2.
    Critical,
    /// Exit code 3.
    Unknown,
}

impl State {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}
