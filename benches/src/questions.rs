//! The questions people ask of their logs, as LogQL, and how long the answers take.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client;
use crate::corpus::{Corpus, START_SECONDS, Subjects};

/// A question.
#[derive(Clone, Debug)]
struct Question {
    name: &'static str,
    query: String,
    /// Lines asked for; `None` for metric queries, which step by a minute.
    limit: Option<u32>,
}

/// How long a question took.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) name: &'static str,
    /// Or why there is no answer.
    pub(crate) outcome: Result<Timing, String>,
}

/// Milliseconds of a question that was asked a few times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) median_ms: f64,
    pub(crate) min_ms: f64,
    /// Entries or samples in the answer.
    pub(crate) rows: usize,
}

impl Timing {
    /// Asks so many times; counting the rows of the answer is not part of the time.
    pub(crate) fn of(
        runs: usize,
        ask: impl Fn() -> Result<String>,
        count_rows: impl Fn(&Value) -> Option<usize>,
    ) -> Result<Self> {
        let (mut times, mut rows) = (Vec::new(), 0);
        for _ in 0..runs.max(1) {
            let started = Instant::now();
            let body = ask()?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
            rows =
                count_rows(&serde_json::from_str(&body)?).context("an answer of another kind")?;
        }
        times.sort_by(f64::total_cmp);
        Ok(Self { median_ms: times[times.len() / 2], min_ms: times[0], rows })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match &self.outcome {
            Ok(Timing { median_ms, min_ms, rows }) => {
                write!(f, "{name:<22} median {median_ms:8.1} ms  min {min_ms:8.1} ms  rows {rows}")
            }
            Err(problem) => write!(f, "{name:<22} refused: {problem}"),
        }
    }
}

fn questions(subjects: &Subjects) -> Vec<Question> {
    let Subjects { parsed_job, tailed_job, filtered_env, present_id } = subjects;
    let lines = |name, query: String, limit| Question { name, query, limit: Some(limit) };
    let numbers = |name, query: &str| Question { name, query: query.to_owned(), limit: None };
    vec![
        lines("absent id", r#"{job=~".+"} |= "4bf92f3577b34da6a3ce929d0e0e4736""#.into(), 100),
        lines("present id", format!(r#"{{job=~".+"}} |= "{present_id}""#), 100),
        lines("absent substring", r#"{job=~".+"} |= "zqxjk""#.into(), 100),
        numbers(
            "rare phrase count",
            r#"sum(count_over_time({job=~".+"} |= "Failed password for root" [1m]))"#,
        ),
        numbers(
            "common word count",
            r#"sum by (job) (count_over_time({job=~".+"} |= "INFO" [1m]))"#,
        ),
        numbers(
            "regex count",
            r#"sum by (job) (count_over_time({job=~".+"} |~ "(?i)exception|error" [1m]))"#,
        ),
        numbers("count by label", r#"sum by (job) (count_over_time({job=~".+"}[1m]))"#),
        numbers("bytes rate by label", r#"sum by (env) (bytes_rate({job=~".+"}[1m]))"#),
        numbers(
            "parse and group",
            &format!(
                r#"sum by (status) (count_over_time({{job="{parsed_job}"}} | pattern "<_> status: <status> len: <_>" | status != "" [1m]))"#
            ),
        ),
        numbers(
            "regexp and quantile",
            &format!(
                r#"quantile_over_time(0.95, {{job="{parsed_job}"}} |= "time:" | regexp "time: (?P<took>[0-9.]+)" | unwrap took [1m]) by (job)"#
            ),
        ),
        lines("last 100 lines", format!(r#"{{job="{tailed_job}"}}"#), 100),
        lines(
            "last 1000, filtered",
            format!(r#"{{env="{filtered_env}"}} |= "blk_" != "PacketResponder""#),
            1000,
        ),
    ]
}

/// Asks every question `runs` times.
pub(crate) fn ask_all(corpus: &Corpus, addr: &str, runs: usize) -> Vec<Answer> {
    let ask = |question: Question| {
        let timing = Timing::of(runs, || query_range(corpus, addr, &question), count_rows);
        Answer { name: question.name, outcome: timing.map_err(|error| format!("{error:#}")) }
    };
    questions(corpus.subjects()).into_iter().map(ask).collect()
}

/// The questions' names.
#[cfg(test)]
pub(crate) fn names() -> Vec<&'static str> {
    let subjects =
        Subjects { parsed_job: "a", tailed_job: "b", filtered_env: "c", present_id: String::new() };
    questions(&subjects).into_iter().map(|question| question.name).collect()
}

fn query_range(corpus: &Corpus, addr: &str, question: &Question) -> Result<String> {
    let (start, end) = (START_SECONDS.to_string(), corpus.end_seconds().to_string());
    let limit = question.limit.map(|limit| limit.to_string());
    let last = limit.as_ref().map_or(("step", "60"), |limit| ("limit", limit));
    let params = [
        ("query", &question.query[..]),
        ("start", &start),
        ("end", &end),
        ("direction", "backward"),
        last,
    ];
    client::get(addr, "query_range", &params)
}

/// The entries or samples of an answer.
pub(crate) fn count_rows(answer: &Value) -> Option<usize> {
    let rows = |item: &Value| item["values"].as_array().map_or(1, Vec::len);
    Some(answer["data"]["result"].as_array()?.iter().map(rows).sum())
}

/// Asks how many lines there are and insists on all of them.
pub(crate) fn expect_count(corpus: &Corpus, addr: &str) -> Result<u64> {
    let window = corpus.end_seconds() - START_SECONDS + 1;
    let query = format!(r#"sum(count_over_time({{job=~".+"}}[{window}s]))"#);
    let counted = counted(addr, &query, corpus.end_seconds())?;
    ensure!(counted == corpus.lines(), "{counted} lines of {}", corpus.lines());
    Ok(counted)
}

/// The one whole number that a query answers with, at a second since the Unix epoch.
pub(crate) fn counted(addr: &str, query: &str, time: u64) -> Result<u64> {
    let answer = client::get(addr, "query", &[("query", query), ("time", &time.to_string())])?;
    let answer: Value = serde_json::from_str(&answer)?;
    let number = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0");
    let number: f64 = number.parse()?;
    Ok(number as u64)
}
