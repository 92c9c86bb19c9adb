//! `query` and `instant-query`.

use clap::{Args, ValueEnum};
use timberline_store::Timestamp;

use super::answer::{QueryAnswer, Value};
use super::client::{Client, Intent};
use super::out::{Look, Out, note};
use super::pages::{PagedQuery, Pages};
use super::show::{EntryLook, EntryPrinter, Format, print_samples};
use super::times::RangeArgs;
use super::{Failure, Target};
use crate::http::now;

/// `timberline query`
#[derive(Args, Debug)]
pub(crate) struct Query {
    /// The query, in LogQL: of logs or of metrics
    #[arg(value_name = "LOGQL")]
    query: String,
    /// How many lines at most; 0 is all of them
    #[arg(long, value_name = "N", default_value_t = 30)]
    limit: usize,
    /// How many lines are fetched at once
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Between two points of a metric query, such as 30s [default: the server's choice]
    #[arg(long, value_name = "DURATION")]
    step: Option<String>,
    /// Between two lines of a log query, such as 1m [default: every line]
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// Which lines a limit keeps, and in which order they are printed
    #[arg(long, default_value = "backward")]
    direction: Direction,
    /// The oldest lines first: --direction forward
    #[arg(long)]
    forward: bool,
    /// In which form
    #[arg(short, long, value_name = "FORMAT", default_value = "default")]
    output: Format,
    /// Tells on standard error what the query took
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    labels: EntryLook,
    #[command(flatten)]
    target: Target,
}

/// `timberline instant-query`
#[derive(Args, Debug)]
pub(crate) struct InstantQuery {
    /// The metric query, in LogQL
    #[arg(value_name = "LOGQL")]
    query: String,
    /// When [default: now]
    #[arg(long, visible_alias = "now", value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,
    /// In which form
    #[arg(short, long, value_name = "FORMAT", default_value = "default")]
    output: Format,
    /// Tells on standard error what the query took
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    target: Target,
}

/// Which entries a limit keeps, and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// The oldest first.
    Forward,
    /// The newest first.
    Backward,
}

impl Query {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (start, end) = self.range.bounds(&self.look.timezone)?;
        let mut client = Client::open(&self.target, Intent::Read)?;
        match timberline_query::syntax::parse(&self.query) {
            Ok(timberline_query::syntax::Expr::Log(_)) => self.entries(&mut client, start, end)?,
            // What is no query is for the server to refuse: it may know more than this build.
            _ => self.samples(&mut client, start, end)?,
        }
        client.close()
    }

    fn entries(
        &self,
        client: &mut Client,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<(), Failure> {
        let mut pages = Pages::new(PagedQuery {
            query: self.query.clone(),
            start,
            end,
            limit: (self.limit > 0).then_some(self.limit),
            batch: usize::try_from(self.batch).unwrap_or(usize::MAX),
            is_forward: self.forward || self.direction == Direction::Forward,
            categorizes: false,
            interval: self.interval.clone(),
        });
        let mut printer = EntryPrinter::new(self.output, &self.look, &self.labels);
        // Nothing is shown of a query that is refused, not even a pager.
        let mut page = pages.next(client)?;
        let mut out = self.look.open();
        while let Some(found) = page {
            self.tell(&found.stats, &found.warnings);
            printer.print(&found.entries, true, &mut out)?;
            page = if found.has_next { pages.next(client)? } else { None };
        }
        out.close()
    }

    fn samples(
        &self,
        client: &mut Client,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<(), Failure> {
        let range = (start, end);
        let (start, end, limit) = (start.to_string(), end.to_string(), self.limit.to_string());
        let mut params = vec![("query", self.query.as_str()), ("start", &start), ("end", &end)];
        params.extend(self.step.as_deref().map(|step| ("step", step)));
        if self.limit > 0 {
            params.push(("limit", &limit));
        }
        let answer = client.get("/loki/api/v1/query_range", &params)?;
        let answer = QueryAnswer::decode(&answer)?;
        self.tell(&answer.stats, &answer.warnings);
        print(&answer, Some(range), self.output, &self.look, &self.labels)
    }

    fn tell(&self, stats: &serde_json::Value, warnings: &[String]) {
        tell(self.stats, &self.look, stats, warnings);
    }
}

impl InstantQuery {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let time = match &self.time {
            Some(text) => self.look.timezone.parse(text, now())?,
            None => now(),
        };
        let mut client = Client::open(&self.target, Intent::Read)?;
        let params = [("query", self.query.as_str()), ("time", &time.to_string())];
        let answer = QueryAnswer::decode(&client.get("/loki/api/v1/query", &params)?)?;
        tell(self.stats, &self.look, &answer.stats, &answer.warnings);
        print(&answer, None, self.output, &self.look, &EntryLook::default())?;
        client.close()
    }
}

/// Prints an answer; `range` is what was asked about, if not one point in time.
fn print(
    answer: &QueryAnswer,
    range: Option<(Timestamp, Timestamp)>,
    format: Format,
    look: &Look,
    labels: &EntryLook,
) -> Result<(), Failure> {
    let mut out: Out = look.open();
    match &answer.value {
        Value::Entries(entries) => {
            EntryPrinter::new(format, look, labels).print(entries, true, &mut out)?
        }
        Value::Matrix(series) | Value::Vector(series) => {
            print_samples(series, range, &answer.result, format, look, &mut out)?;
        }
    }
    out.close()
}

/// Says beside the result what is missing from it, and what it took.
fn tell(is_asked: bool, look: &Look, stats: &serde_json::Value, warnings: &[String]) {
    for warning in warnings {
        if !look.quiet {
            note(&format!("warning: {warning}"));
        }
    }
    if is_asked && let Some(summary) = stats.get("summary").and_then(|it| it.as_object()) {
        for (name, value) in summary {
            note(&format!("Summary.{name}: {value}"));
        }
    }
}
