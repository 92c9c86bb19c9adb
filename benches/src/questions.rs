//! The questions people ask of their logs, as LogQL, and how long the answers take.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::corpus::{Corpus, START_SECONDS};

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
    pub(crate) median_ms: f64,
    pub(crate) min_ms: f64,
    /// Entries or samples in the answer.
    pub(crate) rows: usize,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, median_ms, min_ms, rows } = self;
        write!(f, "{name:<22} median {median_ms:8.1} ms  min {min_ms:8.1} ms  rows {rows}")
    }
}

fn questions(corpus: &Corpus) -> Vec<Question> {
    let lines = |name, query: String, limit| Question { name, query, limit: Some(limit) };
    let numbers = |name, query: &str| Question { name, query: query.to_owned(), limit: None };
    vec![
        lines("absent id", r#"{job=~".+"} |= "4bf92f3577b34da6a3ce929d0e0e4736""#.into(), 100),
        lines("present id", format!(r#"{{job=~".+"}} |= "{}""#, corpus.present_id()), 100),
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
            r#"sum by (status) (count_over_time({job="edge"} | pattern "<_> status: <status> len: <_>" | status != "" [1m]))"#,
        ),
        numbers(
            "regexp and quantile",
            r#"quantile_over_time(0.95, {job="edge"} |= "time:" | regexp "time: (?P<took>[0-9.]+)" | unwrap took [1m]) by (job)"#,
        ),
        lines("last 100 lines", r#"{job="blocks"}"#.into(), 100),
        lines("last 1000, filtered", r#"{env="dev"} |= "blk_" != "PacketResponder""#.into(), 1000),
    ]
}

/// Asks every question `runs` times. A question the server refuses is left out, with a word on stderr.
pub(crate) fn ask_all(corpus: &Corpus, addr: &str, runs: usize) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for question in questions(corpus) {
        match ask(corpus, addr, &question, runs) {
            Ok(answer) => answers.push(answer),
            Err(error) => eprintln!("{}: {error:#}", question.name),
        }
    }
    Ok(answers)
}

fn ask(corpus: &Corpus, addr: &str, question: &Question, runs: usize) -> Result<Answer> {
    let (mut times, mut rows) = (Vec::new(), 0);
    for _ in 0..runs.max(1) {
        let started = Instant::now();
        let body = query_range(corpus, addr, question)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        rows = count_rows(&body)?;
    }
    times.sort_by(f64::total_cmp);
    Ok(Answer { name: question.name, median_ms: times[times.len() / 2], min_ms: times[0], rows })
}

fn query_range(corpus: &Corpus, addr: &str, question: &Question) -> Result<String> {
    let request = ureq::get(&format!("http://{addr}/loki/api/v1/query_range"))
        .query("query", &question.query)
        .query("start", (START_SECONDS * 1_000_000_000).to_string())
        .query("end", (corpus.end_seconds() * 1_000_000_000).to_string())
        .query("direction", "backward");
    let request = match question.limit {
        Some(limit) => request.query("limit", limit.to_string()),
        None => request.query("step", "60"),
    };
    Ok(request.call()?.body_mut().with_config().limit(1 << 30).read_to_string()?)
}

fn count_rows(body: &str) -> Result<usize> {
    let answer: Value = serde_json::from_str(body)?;
    let result = answer["data"]["result"].as_array().context("an answer without a result")?;
    Ok(result.iter().filter_map(|item| item["values"].as_array()).map(Vec::len).sum())
}

/// Asks how many lines there are and insists on all of them.
pub(crate) fn expect_count(corpus: &Corpus, addr: &str) -> Result<()> {
    let window = corpus.end_seconds() - START_SECONDS + 1;
    let query = format!(r#"sum(count_over_time({{job=~".+"}}[{window}s]))"#);
    let body = ureq::get(&format!("http://{addr}/loki/api/v1/query"))
        .query("query", &query)
        .query("time", (corpus.end_seconds() * 1_000_000_000).to_string())
        .call()?
        .body_mut()
        .read_to_string()?;
    let answer: Value = serde_json::from_str(&body)?;
    let counted = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("nothing").to_owned();
    ensure!(counted == corpus.lines().to_string(), "{counted} lines of {}", corpus.lines());
    Ok(())
}
