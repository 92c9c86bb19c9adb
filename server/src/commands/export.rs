//! `export`: entries into a file, with all that there is to know of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::answer::{LabelSet, decode};
use super::client::{Client, Intent};
use super::out::note;
use super::pages::{Page, PagedQuery, Pages, windows};
use super::record::{RecordWriter, encode};
use super::sending::Progress;
use super::times::{RangeArgs, Zone};
use super::{Failure, Target};

/// `timberline export`
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The file that is written; standard output where none is given. `.zst` is compressed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Compresses with zstd whatever the file is called
    #[arg(long)]
    zstd: bool,
    /// Says nothing of what was exported
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    target: Target,
}

/// Which entries, for everything that takes them from somewhere else.
#[derive(Args, Debug)]
pub(super) struct What {
    /// Which entries, such as '{app="shop"}'; all of them where nothing is said
    #[arg(long, value_name = "LOGQL")]
    query: Option<String>,
    /// In which zone times are that name none: Local, UTC or a name such as Europe/Vienna
    #[arg(short = 'z', long, value_name = "ZONE", default_value = "Local")]
    timezone: Zone,
    /// How many entries are fetched at once
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    #[command(flatten)]
    range: RangeArgs,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    data: Vec<String>,
}

#[derive(Deserialize)]
struct Streams {
    #[serde(default)]
    data: Vec<LabelSet>,
}

impl Export {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut client = Client::open(&self.target, Intent::Read)?;
        let mut writer = RecordWriter::create(self.output.as_deref(), self.zstd)?;
        let mut progress = Progress::new("exported", self.quiet);
        let warnings = self.what.each_page(&mut client, |page| {
            let mut bytes = 0;
            for entry in &page.entries {
                bytes += entry.line.len();
                writer.write(&encode(entry)?)?;
            }
            progress.add(page.entries.len(), bytes);
            Ok(())
        })?;
        writer.finish()?;
        progress.clear();
        client.close()?;
        if !self.quiet {
            note(&format!("exported {}", progress.summary()));
        }
        whole(&warnings)
    }
}

/// What was missing from the answers makes an export, or an import, one of a part only.
pub(super) fn whole(warnings: &[String]) -> Result<(), Failure> {
    if warnings.is_empty() {
        return Ok(());
    }
    Err(Failure::Partly(format!("not all could be read: {}", warnings.join("; "))))
}

impl What {
    /// Whether anything is said of which entries are meant.
    pub(super) const fn is_said(&self) -> bool {
        self.query.is_some() || self.range.is_said()
    }

    /// Gives the entries batch by batch, the oldest of each query first. Returns what the server warned of.
    pub(super) fn each_page(
        &self,
        client: &mut Client,
        mut each: impl FnMut(Page) -> Result<(), Failure>,
    ) -> Result<Vec<String>, Failure> {
        let (start, end) = self.range.bounds(&self.timezone)?;
        let queries = match &self.query {
            Some(query) => vec![query.clone()],
            None => everything(client, start, end)?,
        };
        let mut warnings = Vec::new();
        for query in queries {
            let mut pages = Pages::new(PagedQuery {
                query,
                start,
                end,
                limit: None,
                batch: usize::try_from(self.batch).unwrap_or(usize::MAX),
                is_forward: true,
                categorizes: true,
                interval: None,
            });
            while let Some(mut page) = pages.next(client)? {
                warnings.append(&mut page.warnings);
                each(page)?;
            }
        }
        warnings.sort();
        warnings.dedup();
        Ok(warnings)
    }
}

/// Selectors that name every stream once. A selector must name a label that is not empty, and no label is
/// on every stream for sure: so they ask for one label after the other, without those before.
fn everything(client: &mut Client, start: i64, end: i64) -> Result<Vec<String>, Failure> {
    let windows: Vec<(String, String)> =
        windows(start, end).map(|(start, end)| (start.to_string(), end.to_string())).collect();
    let mut names = BTreeSet::new();
    for (start, end) in &windows {
        let range = [("start", start.as_str()), ("end", end)];
        let Named { data } = decode(&client.get("/loki/api/v1/labels", &range)?)?;
        names.extend(data);
    }
    let mut names: Vec<String> = names.into_iter().collect();
    // Servers give this one to nearly every stream.
    names.sort_by_key(|name| name != "service_name");
    let mut selectors = Vec::new();
    let mut before = String::new();
    for name in names {
        let selector = format!("{{{name}=~\".+\"{before}}}");
        before.push_str(&format!(", {name}=\"\""));
        if selects_any(client, &selector, &windows)? {
            selectors.push(selector);
        }
    }
    Ok(selectors)
}

/// Whether there is a stream that the selector names.
fn selects_any(
    client: &mut Client,
    selector: &str,
    windows: &[(String, String)],
) -> Result<bool, Failure> {
    for (start, end) in windows {
        let params = [("match", selector), ("start", start), ("end", end)];
        let Streams { data } = decode(&client.get("/loki/api/v1/series", &params)?)?;
        if !data.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
