//! The rules that a push's entries must keep, whatever is stored already.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use timberline_store::Timestamp;

use super::go_text::rfc3339;
use super::limits::IngestLimits;
use super::metadata::{InvalidName, normalize_name, normalize_value};
use super::metrics::Discards;
use super::push::{Entry, Push, Stream};
use super::reason::{Fault, Messages, Reason};
use super::streams::KnownStream;

/// What is left of a push after the checks.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Which entries are kept, by their place in [`Push::entries`].
    pub(crate) kept: Vec<bool>,
    /// How many are kept.
    pub(crate) lines: usize,
    /// Their bytes of lines and metadata.
    pub(crate) bytes: usize,
    /// What was said of the others.
    pub(crate) messages: Messages,
    pub(crate) discards: Discards,
    /// What was said of which entries, for those who answer each apart.
    pub(crate) notes: Option<Vec<(Range<usize>, String)>>,
}

/// Checks every entry in Loki's order, and brings the metadata of those that are kept into its final
/// form. `known` has the streams of the push, in its order.
///
/// # Errors
/// Metadata with a name that cannot be kept. It fails the push as a whole.
pub(crate) fn check(
    push: &mut Push<'_>,
    known: &[Arc<KnownStream>],
    limits: &IngestLimits,
    now: Timestamp,
    notes: bool,
) -> Result<Checked, InvalidName> {
    let rules = Rules::new(limits, now);
    let notes = notes.then(Vec::new);
    let mut checked =
        Checked { kept: vec![false; push.entries.len()], notes, ..Checked::default() };
    for (index, stream) in known.iter().enumerate() {
        let entries = push.streams[index].entries.clone();
        if entries.is_empty() {
            continue;
        }
        if let Some(fault) = &stream.fault {
            checked.refuse_stream(push, &push.streams[index], fault);
            continue;
        }
        for place in entries {
            truncate(&mut push.entries[place].line, limits);
            let entry = &push.entries[place];
            let bytes = push.entry_bytes(entry);
            if let Err(fault) = rules.check(push, entry, &stream.name) {
                checked.note(place..place + 1, &fault.text);
                checked.discards.add(fault.reason, 1, bytes);
                continue;
            }
            for (name, value) in &mut push.pairs[entry.pairs.clone()] {
                normalize_name(name)?;
                normalize_value(value);
            }
            checked.kept[place] = true;
            checked.lines += 1;
            checked.bytes += bytes;
        }
    }
    Ok(checked)
}

impl Checked {
    /// Whether an entry of the stream at `index` is kept.
    pub(crate) fn keeps_any(&self, push: &Push<'_>, index: usize) -> bool {
        self.kept[push.streams[index].entries.clone()].contains(&true)
    }

    /// Takes back what is kept of `entries`, and says which those were.
    pub(crate) fn refuse(
        &mut self,
        push: &Push<'_>,
        entries: Range<usize>,
        reason: Reason,
    ) -> Vec<usize> {
        let refused: Vec<usize> = entries.filter(|&place| self.kept[place]).collect();
        for &place in &refused {
            let bytes = push.entry_bytes(&push.entries[place]);
            self.kept[place] = false;
            self.lines -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            self.discards.add(reason, 1, bytes);
        }
        refused
    }

    fn refuse_stream(&mut self, push: &Push<'_>, stream: &Stream<'_>, fault: &Fault) {
        let entries = &push.entries[stream.entries.clone()];
        let bytes = entries.iter().map(|entry| push.entry_bytes(entry)).sum();
        self.note(stream.entries.clone(), &fault.text);
        self.discards.add(fault.reason, entries.len(), bytes);
    }

    fn note(&mut self, entries: Range<usize>, text: &str) {
        self.messages.add(text);
        if let Some(notes) = &mut self.notes {
            notes.push((entries, text.to_owned()));
        }
    }
}

/// Cuts a line that is too long, where that is asked for, between two characters.
fn truncate(line: &mut Cow<'_, str>, limits: &IngestLimits) {
    let max = limits.max_line_size;
    if !limits.max_line_size_truncate || max == 0 || line.len() <= max {
        return;
    }
    let end = (0..=max).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
    match line {
        Cow::Borrowed(text) => *line = Cow::Borrowed(&text[..end]),
        Cow::Owned(text) => text.truncate(end),
    }
}

/// The rules for entries, with their bounds worked out for one push.
struct Rules<'l> {
    limits: &'l IngestLimits,
    oldest: Timestamp,
    newest: Timestamp,
}

impl<'l> Rules<'l> {
    fn new(limits: &'l IngestLimits, now: Timestamp) -> Self {
        let nanos = |duration: std::time::Duration| {
            Timestamp::try_from(duration.as_nanos()).unwrap_or(Timestamp::MAX)
        };
        let age = nanos(limits.reject_old_samples_max_age);
        let oldest =
            if limits.reject_old_samples { now.saturating_sub(age) } else { Timestamp::MIN };
        Self { limits, oldest, newest: now.saturating_add(nanos(limits.creation_grace_period)) }
    }

    /// The first rule that the entry breaks.
    fn check(&self, push: &Push<'_>, entry: &Entry<'_>, stream: &str) -> Result<(), Fault> {
        self.check_time(entry.timestamp, stream)?;
        let (len, max) = (entry.line.len(), self.limits.max_line_size);
        if max != 0 && len > max {
            return Err(Fault::new(
                Reason::LineTooLong,
                format!(
                    "max entry size '{max}' bytes exceeded for stream '{stream}' while adding an \
                     entry with length '{len}' bytes"
                ),
            ));
        }
        if entry.pairs.is_empty() {
            return Ok(());
        }
        self.check_metadata(entry.pairs.len(), push.pair_bytes(&entry.pairs), stream)
    }

    fn check_time(&self, timestamp: Timestamp, stream: &str) -> Result<(), Fault> {
        let time = || rfc3339(timestamp);
        if timestamp < self.oldest {
            let text = format!(
                "entry for stream '{stream}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                time(),
                rfc3339(self.oldest)
            );
            return Err(Fault::new(Reason::GreaterThanMaxSampleAge, text));
        }
        if timestamp > self.newest {
            let text = format!("entry for stream '{stream}' has timestamp too new: {}", time());
            return Err(Fault::new(Reason::TooFarInFuture, text));
        }
        Ok(())
    }

    fn check_metadata(&self, count: usize, bytes: usize, stream: &str) -> Result<(), Fault> {
        let limits = self.limits;
        let (bytes_max, count_max) =
            (limits.max_structured_metadata_size, limits.max_structured_metadata_entries_count);
        if !limits.allow_structured_metadata {
            let text = format!(
                "stream '{stream}' includes structured metadata, but this feature is disallowed. \
                 Please see `limits_config.allow_structured_metadata` or contact your Loki \
                 administrator to enable it"
            );
            return Err(Fault::new(Reason::DisallowedStructuredMetadata, text));
        }
        if bytes_max != 0 && bytes > bytes_max {
            let text = format!(
                "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: \
                 '{bytes_max}' bytes. Please see `limits_config.max_structured_metadata_size` or \
                 contact your Loki administrator to increase it"
            );
            return Err(Fault::new(Reason::StructuredMetadataTooLarge, text));
        }
        if count_max != 0 && count > count_max {
            let text = format!(
                "stream '{stream}' has too many structured metadata labels: '{count}', limit: \
                 '{count_max}'. Please see `limits_config.max_structured_metadata_entries_count` \
                 or contact your Loki administrator to increase it"
            );
            return Err(Fault::new(Reason::StructuredMetadataTooMany, text));
        }
        Ok(())
    }
}
