//! Numbers as text: of metric queries, over time or at one point.

use std::collections::BTreeSet;

use serde_json::json;
use serde_json::value::RawValue;
use timberline_store::Timestamp;

use super::table::Table;
use super::{Format, chart, csv_record};
use crate::commands::Failure;
use crate::commands::answer::{LabelSet, Point, Series, label_text};
use crate::commands::out::{Ink, Look, Out, is_terminal, terminal_size};

/// Prints the series of a matrix, which is over `range`, or of a vector, which is at one time. `result` is the same as the server wrote it.
pub(in crate::commands) fn print(
    series: &[Series],
    range: Option<(Timestamp, Timestamp)>,
    result: &RawValue,
    format: Format,
    look: &Look,
    out: &mut Out,
) -> Result<(), Failure> {
    match format {
        Format::Default if is_terminal() && range.is_some() => charted(series, range, look, out),
        Format::Default if is_terminal() => out.write(&table(series, range.is_some(), out.ink)),
        Format::Default => json_text(result, out),
        Format::Chart => charted(series, range, look, out),
        Format::Table => out.write(&table(series, range.is_some(), out.ink)),
        Format::Jsonl => jsonl(series, look, out),
        Format::Csv => csv(series, look, out),
        Format::Raw => {
            let mut points = series.iter().flat_map(|series| &series.points);
            points.try_for_each(|point| out.line(&point.text))
        }
    }
}

fn charted(
    series: &[Series],
    range: Option<(Timestamp, Timestamp)>,
    look: &Look,
    out: &mut Out,
) -> Result<(), Failure> {
    out.write(&chart::draw(series, range, &look.timezone, terminal_size(), out.ink))
}

/// Indented, as logcli prints it.
fn json_text(result: &RawValue, out: &mut Out) -> Result<(), Failure> {
    let value: serde_json::Value = serde_json::from_str(result.get()).map_err(Failure::failed)?;
    out.line(&format!("{value:#}"))
}

fn jsonl(series: &[Series], look: &Look, out: &mut Out) -> Result<(), Failure> {
    each(series, |labels, point| {
        let time = look.timezone.full(point.timestamp);
        out.line(&json!({"labels": labels, "timestamp": time, "value": point.text}).to_string())
    })
}

fn csv(series: &[Series], look: &Look, out: &mut Out) -> Result<(), Failure> {
    let names = names(series);
    let header = ["timestamp"].into_iter().chain(names.iter().copied()).chain(["value"]);
    out.write(&csv_record(header))?;
    each(series, |labels, point| {
        let time = look.timezone.full(point.timestamp);
        let values = names.iter().map(|name| labels.get(*name).map_or("", String::as_str));
        out.write(&csv_record([time.as_str()].into_iter().chain(values).chain([&*point.text])))
    })
}

fn each(
    series: &[Series],
    mut print: impl FnMut(&LabelSet, &Point) -> Result<(), Failure>,
) -> Result<(), Failure> {
    series.iter().try_for_each(|series| {
        series.points.iter().try_for_each(|point| print(&series.labels, point))
    })
}

fn names(series: &[Series]) -> Vec<&str> {
    let names: BTreeSet<&str> =
        series.iter().flat_map(|series| series.labels.keys().map(String::as_str)).collect();
    names.into_iter().collect()
}

/// A row each series: its number, or where there are several the last, least and greatest.
fn table(series: &[Series], is_range: bool, ink: Ink) -> String {
    let numbers: &[&str] = if is_range { &["POINTS", "MIN", "MAX", "LAST"] } else { &["VALUE"] };
    let names = names(series);
    let columns = names.len()..names.len() + numbers.len();
    let mut table = Table::new(names.iter().chain(numbers).copied()).right(columns);
    for Series { labels, points } in series {
        let Some(last) = points.last() else { continue };
        let labels = names.iter().map(|name| labels.get(*name).cloned().unwrap_or_default());
        let numbers = if is_range {
            let by_value = |a: &&Point, b: &&Point| a.value.total_cmp(&b.value);
            let text = |point: Option<&Point>| point.map(|it| it.text.clone()).unwrap_or_default();
            let (min, max) = (points.iter().min_by(by_value), points.iter().max_by(by_value));
            vec![points.len().to_string(), text(min), text(max), last.text.clone()]
        } else {
            vec![last.text.clone()]
        };
        table.row(labels.chain(numbers));
    }
    table.text(ink)
}

/// A series' labels for people: without braces where there is one only.
pub(super) fn title(labels: &LabelSet) -> String {
    match labels.iter().next() {
        Some((name, value)) if labels.len() == 1 => format!("{name}={value}"),
        _ => label_text(labels),
    }
}
