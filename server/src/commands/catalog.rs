//! What there is: `labels`, `series`, `stats`, `volume`.

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::answer::{LabelSet, QueryAnswer, Value, decode, label_text};
use super::client::{Client, Intent};
use super::out::{Ink, Look, is_terminal, terminal_size};
use super::show::{Table, bytes, thousands};
use super::times::RangeArgs;
use super::{Failure, Target};

/// The longest bar of `volume`.
const BAR_MAX: usize = 40;

/// Parts of a block, an eighth each.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// `timberline labels`
#[derive(Args, Debug)]
pub(crate) struct LabelNames {
    /// The label whose values are wanted; without it, the names of all labels
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only of streams that this selects, such as '{app="shop"}'
    #[arg(long, value_name = "SELECTOR")]
    query: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `timberline series`
#[derive(Args, Debug)]
pub(crate) struct SeriesOf {
    /// Which streams, such as '{app="shop"}'; all of them where none is given
    #[arg(value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// Tells how many values each label has, instead of the streams
    #[arg(long)]
    analyze_labels: bool,
    #[command(flatten)]
    common: Common,
}

/// `timberline stats`
#[derive(Args, Debug)]
pub(crate) struct IndexStats {
    /// Which streams, such as '{app="shop"}'
    #[arg(value_name = "SELECTOR")]
    selector: String,
    #[command(flatten)]
    common: Common,
}

/// `timberline volume`
#[derive(Args, Debug)]
pub(crate) struct Volume {
    /// Which streams, such as '{app="shop"}'
    #[arg(value_name = "SELECTOR", default_value = "{}")]
    selector: String,
    /// Adds up by these labels, rather than by those that the selector names
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    target_labels: Vec<String>,
    /// Adds up by the names of labels, rather than by streams
    #[arg(long)]
    by_label: bool,
    /// How many of the largest
    #[arg(long, value_name = "N", default_value_t = 30)]
    limit: u32,
    #[command(flatten)]
    common: Common,
}

/// What these commands share.
#[derive(Args, Debug)]
struct Common {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Listed<T> {
    /// Not there where there is nothing.
    #[serde(default = "Vec::new")]
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Figures {
    streams: u64,
    chunks: u64,
    entries: u64,
    bytes: u64,
}

impl Common {
    /// Asks, with the range added to the parameters. `None` where the answer was printed as it came.
    fn ask(
        &self,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<Option<super::client::Answer>, Failure> {
        let (start, end) = self.range.bounds(&self.look.timezone)?;
        let (start, end) = (start.to_string(), end.to_string());
        let params = [params, &[("start", start.as_str()), ("end", &end)]].concat();
        let mut client = Client::open(&self.target, Intent::Read)?;
        let answer = client.get(path, &params)?;
        client.close()?;
        if !self.json {
            return Ok(Some(answer));
        }
        let value: serde_json::Value = decode(&answer)?;
        self.print(&format!("{value:#}\n"))?;
        Ok(None)
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.look.open();
        out.write(text)?;
        out.close()
    }

    fn ink(&self) -> Ink {
        Ink(self.look.is_coloured())
    }
}

impl LabelNames {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let path = match &self.name {
            None => "/loki/api/v1/labels".to_owned(),
            Some(name) => {
                format!("/loki/api/v1/label/{}/values", utf8_percent_encode(name, NON_ALPHANUMERIC))
            }
        };
        let params: Vec<_> = self.query.iter().map(|query| ("query", query.as_str())).collect();
        let Some(answer) = self.common.ask(&path, &params)? else { return Ok(()) };
        let Listed::<String> { data } = decode(&answer)?;
        self.common.print(&lines(data))
    }
}

impl SeriesOf {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let params: Vec<_> = self.selectors.iter().map(|one| ("match", one.as_str())).collect();
        let Some(answer) = self.common.ask("/loki/api/v1/series", &params)? else { return Ok(()) };
        let Listed::<LabelSet> { data } = decode(&answer)?;
        if self.analyze_labels {
            return self.common.print(&self.analysis(&data));
        }
        self.common.print(&lines(data.iter().map(label_text)))
    }

    /// Which labels make many streams: those with the most values first.
    fn analysis(&self, series: &[LabelSet]) -> String {
        use std::collections::{BTreeMap, BTreeSet};
        let mut labels: BTreeMap<&str, (BTreeSet<&str>, usize)> = BTreeMap::new();
        for (name, value) in series.iter().flatten() {
            let (values, streams) = labels.entry(name).or_default();
            values.insert(value);
            *streams += 1;
        }
        let mut labels: Vec<_> = labels.into_iter().collect();
        labels.sort_by_key(|(_, (values, _))| std::cmp::Reverse(values.len()));
        let mut table = Table::new(["LABEL", "VALUES", "STREAMS"]).right([1, 2]);
        for (name, (values, streams)) in &labels {
            table.row([(*name).to_owned(), values.len().to_string(), streams.to_string()]);
        }
        let (streams, names) = (series.len(), labels.len());
        format!("Streams: {streams}\nLabels: {names}\n\n{}", table.text(self.common.ink()))
    }
}

impl IndexStats {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let params = [("query", self.selector.as_str())];
        let Some(answer) = self.common.ask("/loki/api/v1/index/stats", &params)? else {
            return Ok(());
        };
        let Figures { streams, chunks, entries, bytes: size } = decode(&answer)?;
        let mut table = Table::new(["", ""]).right([1]);
        for (name, figure) in [
            ("streams", thousands(streams)),
            ("chunks", thousands(chunks)),
            ("entries", thousands(entries)),
            ("bytes", thousands(size)),
        ] {
            table.row([name.to_owned(), figure]);
        }
        // The header is empty.
        let text = table.text(Ink(false));
        self.common.print(text.trim_start_matches('\n'))
    }
}

impl Volume {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (limit, targets) = (self.limit.to_string(), self.target_labels.join(","));
        let mut params = vec![("query", self.selector.as_str()), ("limit", &limit)];
        if !targets.is_empty() {
            params.push(("targetLabels", &targets));
        }
        if self.by_label {
            params.push(("aggregateBy", "labels"));
        }
        let Some(answer) = self.common.ask("/loki/api/v1/index/volume", &params)? else {
            return Ok(());
        };
        let (Value::Vector(series) | Value::Matrix(series)) = QueryAnswer::decode(&answer)?.value
        else {
            return Err(Failure::failed("the answer has lines instead of volumes"));
        };
        let volumes = series.into_iter().filter_map(|series| {
            let volume = series.points.last()?.value.max(0.0) as u64;
            let title = match self.by_label {
                true => series.labels.into_keys().next().unwrap_or_default(),
                false => label_text(&series.labels),
            };
            Some((title, volume))
        });
        self.common.print(&self.bars(&volumes.collect::<Vec<_>>()))
    }

    fn bars(&self, volumes: &[(String, u64)]) -> String {
        let longest = volumes.iter().map(|(title, _)| title.chars().count()).max().unwrap_or(0);
        let largest = volumes.iter().map(|(_, volume)| *volume).max().unwrap_or(0).max(1);
        let columns = if is_terminal() { terminal_size().0 } else { 80 };
        let room = columns.saturating_sub(longest + 13).clamp(10, BAR_MAX);
        let ink = self.common.ink();
        let line = |(title, volume): &(String, u64)| {
            let bar = bar(*volume as f64 / largest as f64, room);
            format!("{title:<longest$} {:>9}  {}\n", bytes(*volume), ink.paint(36, &bar))
        };
        volumes.iter().map(line).collect()
    }
}

/// A bar that is `share` of `room` characters long, to an eighth of one.
fn bar(share: f64, room: usize) -> String {
    let eighths = (share * room as f64 * 8.0).round().max(1.0) as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn lines(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().map(|text| text + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_to_an_eighth() {
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.5, 3), "█▌");
        assert_eq!(bar(0.0, 4), "▏");
    }
}
