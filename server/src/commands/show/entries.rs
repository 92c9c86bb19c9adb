//! Lines of logs as text.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::table::Table;
use super::{Format, csv_record};
use crate::commands::Failure;
use crate::commands::answer::{Entry, LabelSet, label_text};
use crate::commands::out::{Look, Out, harmless, is_terminal};

/// Which labels are shown.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How it looks")]
pub(in crate::commands) struct EntryLook {
    /// Prints no labels
    #[arg(long)]
    no_labels: bool,
    /// Prints only these labels; may be given several times, or with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    include_label: Vec<String>,
    /// Leaves these labels out
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    exclude_label: Vec<String>,
    /// Pads labels to this many characters [default: as many as the longest need]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    labels_length: usize,
    /// Prints the labels that all lines share with every line
    #[arg(long)]
    include_common_labels: bool,
}

impl EntryLook {
    fn shows(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|given| given == name);
        (self.include_label.is_empty() || is_in(&self.include_label)) && !is_in(&self.exclude_label)
    }

    fn of(&self, labels: &LabelSet, common: &LabelSet) -> LabelSet {
        let shown =
            |(name, _): &(&String, &String)| self.shows(name) && !common.contains_key(*name);
        labels.iter().filter(shown).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Prints entries, batch by batch.
#[derive(Debug)]
pub(in crate::commands) struct EntryPrinter<'a> {
    format: Format,
    look: &'a Look,
    labels: &'a EntryLook,
    /// The labels that were said last to be common.
    common: Option<LabelSet>,
    has_header: bool,
    width: usize,
}

impl<'a> EntryPrinter<'a> {
    pub(in crate::commands) const fn new(
        format: Format,
        look: &'a Look,
        labels: &'a EntryLook,
    ) -> Self {
        Self { format, look, labels, common: None, has_header: false, width: labels.labels_length }
    }

    /// Prints a batch in its order. `finds_common` is off where lines come one at a time.
    pub(in crate::commands) fn print(
        &mut self,
        entries: &[Entry],
        finds_common: bool,
        out: &mut Out,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Raw => self.raw(entries, out),
            Format::Jsonl => self.jsonl(entries, out),
            Format::Csv => self.csv(entries, out),
            Format::Table => self.table(entries, out),
            Format::Default | Format::Chart => self.lines(entries, finds_common, out),
        }
    }

    fn raw(&self, entries: &[Entry], out: &mut Out) -> Result<(), Failure> {
        entries.iter().try_for_each(|entry| out.line(&entry.line))
    }

    fn jsonl(&self, entries: &[Entry], out: &mut Out) -> Result<(), Failure> {
        entries.iter().try_for_each(|entry| {
            let time = self.look.timezone.full(entry.timestamp);
            let line = match self.labels.no_labels {
                true => json!({"line": entry.line, "timestamp": time}),
                false => {
                    let labels = self.labels.of(&entry.labels, &LabelSet::new());
                    json!({"labels": labels, "line": entry.line, "timestamp": time})
                }
            };
            out.line(&line.to_string())
        })
    }

    fn csv(&mut self, entries: &[Entry], out: &mut Out) -> Result<(), Failure> {
        if !self.has_header {
            self.has_header = true;
            out.write(&csv_record(["timestamp", "labels", "line"]))?;
        }
        entries.iter().try_for_each(|entry| {
            let time = self.look.timezone.full(entry.timestamp);
            let labels = label_text(&self.labels.of(&entry.labels, &LabelSet::new()));
            out.write(&csv_record([&time, &labels, &entry.line]))
        })
    }

    fn table(&self, entries: &[Entry], out: &mut Out) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let names: BTreeSet<&String> =
            entries.iter().flat_map(|entry| entry.labels.keys()).collect();
        let names: Vec<&str> = names
            .into_iter()
            .map(String::as_str)
            .filter(|name| !self.labels.no_labels && self.labels.shows(name))
            .collect();
        let mut table =
            Table::new(std::iter::once("TIME").chain(names.iter().copied()).chain(["LINE"]));
        for entry in entries {
            let values =
                names.iter().map(|name| entry.labels.get(*name).cloned().unwrap_or_default());
            let time = self.look.timezone.full(entry.timestamp);
            table.row([time].into_iter().chain(values).chain([entry.line.clone()]));
        }
        out.write(&table.text(out.ink))
    }

    /// Time, labels and line, as logcli prints them.
    fn lines(
        &mut self,
        entries: &[Entry],
        finds_common: bool,
        out: &mut Out,
    ) -> Result<(), Failure> {
        let hidden = match finds_common && !self.labels.include_common_labels {
            true => self.say_common(entries, out)?,
            false => LabelSet::new(),
        };
        let mut texts: Vec<(Arc<LabelSet>, String)> = Vec::new();
        let mut shown = |labels: &Arc<LabelSet>| -> usize {
            let known = texts.iter().position(|(known, _)| Arc::ptr_eq(known, labels));
            known.unwrap_or_else(|| {
                texts.push((Arc::clone(labels), label_text(&self.labels.of(labels, &hidden))));
                texts.len() - 1
            })
        };
        let indices: Vec<usize> = entries.iter().map(|entry| shown(&entry.labels)).collect();
        if self.labels.labels_length == 0 {
            // Lines that come one by one are aligned with those before.
            let longest = texts.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
            self.width = if finds_common { longest } else { self.width.max(longest) };
        }
        for (entry, index) in entries.iter().zip(indices) {
            let time = out.ink.time(&self.look.timezone.seconds(entry.timestamp));
            let line = match is_terminal() {
                true => harmless(entry.line.trim_end()),
                false => entry.line.trim_end().into(),
            };
            let Some((_, labels)) = texts.get(index).filter(|_| !self.labels.no_labels) else {
                out.line(&format!("{time} {line}"))?;
                continue;
            };
            let labels = out.ink.labels(&format!("{labels:<width$}", width = self.width));
            out.line(&format!("{time} {labels} {line}"))?;
        }
        Ok(())
    }

    /// Says which labels all of a batch have, once, and gives them.
    fn say_common(&mut self, entries: &[Entry], out: &mut Out) -> Result<LabelSet, Failure> {
        let common = common_labels(entries);
        if !entries.is_empty() && self.common.as_ref() != Some(&common) {
            if !common.is_empty() {
                self.look.note(&format!("Common labels: {}", label_text(&common)), out)?;
            }
            self.common = Some(common.clone());
        }
        Ok(common)
    }
}

/// What all of the entries have.
fn common_labels(entries: &[Entry]) -> LabelSet {
    let Some(first) = entries.first() else { return LabelSet::new() };
    let mut common = (*first.labels).clone();
    let mut last = &first.labels;
    for entry in entries {
        if !Arc::ptr_eq(last, &entry.labels) {
            common.retain(|name, value| entry.labels.get(name) == Some(value));
            last = &entry.labels;
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(labels: &[(&str, &str)]) -> Entry {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let line = String::new();
        Entry { timestamp: 0, labels: Arc::new(labels), line, metadata: LabelSet::new() }
    }

    #[test]
    fn common_labels_are_those_of_all() {
        let all = [entry(&[("a", "1"), ("b", "2")]), entry(&[("a", "1"), ("b", "3"), ("c", "4")])];
        assert_eq!(label_text(&common_labels(&all)), r#"{a="1"}"#);
        assert!(common_labels(&[]).is_empty());
    }

    #[test]
    fn labels_are_chosen_by_name() {
        let look = EntryLook {
            include_label: vec!["a".into(), "b".into()],
            exclude_label: vec!["b".into()],
            ..EntryLook::default()
        };
        let labels = &entry(&[("a", "1"), ("b", "2"), ("c", "3")]).labels;
        assert_eq!(label_text(&look.of(labels, &LabelSet::new())), r#"{a="1"}"#);
    }
}
