//! `timberline check-query`: a query's numbers against thresholds, for Nagios, Icinga and what else runs
//! their plugins.
//!
//! The conventions are those of the Monitoring Plugins' development guidelines: one line of text, `|`,
//! performance data, and the exit codes 0 to 3.

mod ask;
mod range;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::ask::ask;
use self::range::Range;
use self::report::{Report, Thresholds};
use super::Target;
use crate::cli::print;
use crate::config::units::{UnitError, parse_duration};

/// What `--help` ends with.
pub(crate) const HELP: &str = "\
Examples:
  timberline check-query 'sum(count_over_time({app=\"shop\"} |= \"error\" [5m]))' --warning 10 --critical 100 --empty ok
  timberline check-query 'sum by (app) (rate({env=\"prod\"}[5m]))' --critical 0.1: --empty critical

A range is what is fine: 10 is 0 to 10, 10: is 10 and more, ~:10 is 10 and less, 10:20 is 10 to 20; @10:20 is
what is not fine. Of several series the worst decides.

Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (no answer, or the command or the query is wrong).";

/// The exit code of a check that could not be done.
pub(crate) const UNKNOWN: u8 = State::Unknown.code();

/// `timberline check-query`
#[derive(Args, Debug)]
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
    /// How long it may take: 10 is seconds, as with other plugins
    #[arg(short, long, value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    timeout: Duration,
    /// The server
    #[arg(long, value_name = "URL", env = "LOKI_ADDR", default_value = "http://127.0.0.1:3100")]
    addr: String,
    /// Whose logs; a server without auth_enabled takes no notice
    #[arg(long, visible_alias = "org-id", value_name = "ID", env = "LOKI_ORG_ID")]
    tenant: Option<String>,
    /// For basic authentication
    #[arg(long, value_name = "NAME", env = "LOKI_USERNAME")]
    username: Option<String>,
    /// For basic authentication; better in the environment, where others do not see it
    #[arg(long, value_name = "SECRET", env = "LOKI_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// A bearer token
    #[arg(long, value_name = "TOKEN", env = "LOKI_BEARER_TOKEN", hide_env_values = true)]
    bearer_token: Option<String>,
    /// Certificates of the authorities to trust instead of the system's
    #[arg(long, value_name = "FILE", env = "LOKI_CA_CERT_PATH")]
    ca_cert: Option<PathBuf>,
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
        let target = self.target();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return Report::unknown("cannot start") };
        let asked = async { tokio::time::timeout(self.timeout, ask(&target, &self.query)).await };
        let thresholds =
            Thresholds { warning: self.warning.clone(), critical: self.critical.clone() };
        let report = match runtime.block_on(asked) {
            Err(_) => Report::unknown(&format!("no answer within {:?}", self.timeout)),
            Ok(Err(failure)) => Report::unknown(&failure.to_string()),
            Ok(Ok(series)) if series.is_empty() => Report::of_nothing(self.empty),
            Ok(Ok(series)) => Report::of_series(&series, &thresholds),
        };
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        report
    }

    /// The server, and who asks.
    fn target(&self) -> Target {
        Target {
            tenant: self.tenant.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            bearer_token: self.bearer_token.clone(),
            ca_cert: self.ca_cert.clone(),
            ..Target::of(self.addr.clone(), self.timeout)
        }
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
