//! The stages, run one after the other on one entry.

use timberline_store::Timestamp;

use super::filters;
use super::hints::Needed;
use super::labels::{EntryLabels, Map};
use super::{json, parsers};
use crate::golang::{parse_bytes, parse_duration, parse_float};
use crate::pipeline::{Template, TemplateData};
use crate::syntax::{
    LabelFormat, LabelFormatValue, ParseError, Stage, StageKind, Unwrap, UnwrapConversion,
};

/// The stages of a pipeline in the order in which they run.
pub(super) struct Stages<'q> {
    kinds: Vec<&'q StageKind>,
    unwrap: Option<&'q Unwrap>,
}

/// The line behind the stages, and the unwrapped number.
type Measured = (Vec<u8>, Option<f64>);

/// What a template sees of an entry.
struct Snapshot {
    labels: Map,
    line: String,
    timestamp: Timestamp,
}

impl TemplateData for Snapshot {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    fn labels(&self) -> Vec<(String, String)> {
        self.labels.clone().into_iter().collect()
    }

    fn line(&self) -> &str {
        &self.line
    }

    fn timestamp(&self) -> i64 {
        self.timestamp
    }
}

impl<'q> Stages<'q> {
    /// The stages, line filters in front of what does not change the line. `needs_line` says whether
    /// the line behind them is looked at, `needed` which labels are.
    ///
    /// # Errors
    /// A stage that does not compile.
    pub(super) fn new(
        stages: &'q [Stage],
        unwrap: Option<&'q Unwrap>,
        needs_line: bool,
        needed: &Needed,
    ) -> Result<Self, ParseError> {
        let mut kinds = seen(stages, needs_line);
        for kind in &kinds {
            compile(kind).map_err(ParseError::new)?;
        }
        for filter in unwrap.iter().flat_map(|unwrap| &unwrap.filters) {
            filters::check(filter).map_err(ParseError::new)?;
        }
        // Parsers have nothing to do, and their errors nobody to see them.
        if needed.is_nothing() {
            kinds.retain(|kind| {
                !matches!(
                    kind,
                    StageKind::Json(_)
                        | StageKind::Logfmt { .. }
                        | StageKind::Regexp(_)
                        | StageKind::Pattern(_)
                )
            });
        }
        Ok(Self { kinds: reordered(&kinds), unwrap })
    }

    /// Runs the stages. `None` where one drops the entry.
    pub(super) fn run(
        &self,
        timestamp: Timestamp,
        line: &[u8],
        labels: &mut EntryLabels<'_>,
    ) -> Result<Option<Measured>, String> {
        let mut line = line.to_vec();
        for kind in &self.kinds {
            if !run(kind, timestamp, &mut line, labels)? {
                return Ok(None);
            }
        }
        let Some(unwrap) = self.unwrap else { return Ok(Some((line, None))) };
        let Some(text) = labels.get(&unwrap.label).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let value = match unwrap.conversion {
            UnwrapConversion::Number => parse_float(text),
            UnwrapConversion::Bytes => parse_bytes(text).map(|bytes| bytes as f64),
            UnwrapConversion::Duration | UnwrapConversion::DurationSeconds => {
                parse_duration(text).map(|nanos| nanos as f64 / 1e9)
            }
        };
        if let Err(details) = &value {
            labels.fail("SampleExtractionErr", details);
        }
        for filter in &unwrap.filters {
            if !filters::passes(filter, labels)? {
                return Ok(None);
            }
        }
        Ok(Some((line, Some(value.unwrap_or(0.0)))))
    }
}

/// The stages without templates of lines that nobody reads.
pub(super) fn seen(stages: &[Stage], needs_line: bool) -> Vec<&StageKind> {
    let seen = stages.iter().enumerate().filter(|(index, stage)| {
        let is_read = needs_line || stages[index + 1..].iter().any(reads_line);
        is_read || !matches!(stage.kind, StageKind::LineFormat(_))
    });
    seen.map(|(_, stage)| &stage.kind).collect()
}

fn reads_line(stage: &Stage) -> bool {
    use StageKind::{Json, LineFilter, Logfmt, Pattern, Regexp, Unpack};
    let kind = &stage.kind;
    matches!(kind, LineFilter(_) | Json(_) | Logfmt { .. } | Regexp(_) | Pattern(_) | Unpack)
}

/// Line filters run before all that stands between them and the stage that makes another line, or a
/// label filter.
fn reordered<'q>(kinds: &[&'q StageKind]) -> Vec<&'q StageKind> {
    use StageKind::{LabelFilter, LineFilter, LineFormat, Unpack};
    let is_barrier = |kind: &&StageKind| matches!(kind, LabelFilter(_) | LineFormat(_) | Unpack);
    let mut ordered = Vec::new();
    for run in kinds.split_inclusive(is_barrier) {
        let is_filter = |kind: &&&StageKind| matches!(kind, LineFilter(_));
        ordered.extend(run.iter().filter(is_filter));
        ordered.extend(run.iter().filter(|kind| !is_filter(kind)));
    }
    ordered
}

/// Refuses what does not compile.
fn compile(kind: &StageKind) -> Result<(), String> {
    match kind {
        StageKind::LineFilter(filter) => filters::passes_line(filter, b"").map(drop),
        StageKind::LabelFilter(filter) => filters::check(filter),
        StageKind::LineFormat(source) => Template::compile("line", source).map(drop),
        StageKind::LabelFormat(items) => {
            for (index, item) in items.iter().enumerate() {
                let is_twice = items[..index].iter().any(|other| other.name == item.name);
                if item.name == "__error__" || is_twice {
                    return Err(format!("{} cannot be formatted", item.name));
                }
                if let LabelFormatValue::Template(source) = &item.value {
                    Template::compile("label", source)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Runs one stage; `false` where it drops the entry.
fn run(
    kind: &StageKind,
    timestamp: Timestamp,
    line: &mut Vec<u8>,
    labels: &mut EntryLabels<'_>,
) -> Result<bool, String> {
    match kind {
        StageKind::LineFilter(filter) => return filters::passes_line(filter, line),
        StageKind::LabelFilter(filter) => return filters::passes(filter, labels),
        StageKind::Json(extractions) if extractions.is_empty() => json::flatten(line, labels),
        StageKind::Json(extractions) => json::expressions(line, extractions, labels),
        StageKind::Logfmt { strict, keep_empty, extractions } => {
            parsers::logfmt(line, *strict, *keep_empty, extractions, labels);
        }
        StageKind::Regexp(source) => parsers::regexp(line, source, labels)?,
        StageKind::Pattern(source) => parsers::pattern(line, &parsers::pieces(source)?, labels),
        StageKind::Unpack => {
            if let Some(entry) = json::unpack(line, labels) {
                *line = entry;
            }
        }
        StageKind::LineFormat(source) => line_format(source, timestamp, line, labels)?,
        StageKind::LabelFormat(items) => label_format(items, timestamp, line, labels)?,
        StageKind::Decolorize => *line = decolorized(line),
        StageKind::Drop(items) => filters::drop_labels(items, labels)?,
        StageKind::Keep(items) => filters::keep_labels(items, labels)?,
    }
    Ok(true)
}

fn snapshot(timestamp: Timestamp, line: &[u8], labels: &EntryLabels<'_>) -> Snapshot {
    let line = String::from_utf8_lossy(line).into_owned();
    Snapshot { labels: labels.with_error(), line, timestamp }
}

fn line_format(
    source: &str,
    timestamp: Timestamp,
    line: &mut Vec<u8>,
    labels: &mut EntryLabels<'_>,
) -> Result<(), String> {
    let template = Template::compile("line", source)?;
    if let Some(field) = template.field() {
        // As Loki: the error's labels are none here.
        *line = labels.get(field).unwrap_or_default().as_bytes().to_vec();
        return Ok(());
    }
    let mut formatted = String::new();
    match template.execute(&snapshot(timestamp, line, labels), &mut formatted) {
        Ok(()) => *line = formatted.into_bytes(),
        Err(details) => labels.fail("TemplateFormatErr", &details),
    }
    Ok(())
}

fn label_format(
    items: &[LabelFormat],
    timestamp: Timestamp,
    line: &[u8],
    labels: &mut EntryLabels<'_>,
) -> Result<(), String> {
    let mut seen = None;
    for LabelFormat { name, value } in items {
        match value {
            LabelFormatValue::Rename(from) => {
                if let Some(value) = labels.get(from).map(str::to_owned) {
                    labels.set(name, value);
                    labels.delete(from);
                }
            }
            LabelFormatValue::Template(source) => {
                let template = Template::compile("label", source)?;
                let seen = seen.get_or_insert_with(|| snapshot(timestamp, line, labels));
                let mut formatted = String::new();
                match template.execute(seen, &mut formatted) {
                    Ok(()) => labels.set(name, formatted),
                    Err(details) => labels.fail("TemplateFormatErr", &details),
                }
            }
        }
    }
    Ok(())
}

/// The line without the sequences that set colours and titles. Knows well-formed ones only.
fn decolorized(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let sequence = (line[at] == 0x1B).then(|| sequence_length(&line[at..])).flatten();
        match sequence {
            Some(length) => at += length,
            None => {
                out.push(line[at]);
                at += 1;
            }
        }
    }
    out
}

fn sequence_length(text: &[u8]) -> Option<usize> {
    let introducer = 1 + text[1..].iter().take_while(|byte| b"[]()#;?".contains(byte)).count();
    let rest = &text[introducer..];
    let title = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b';');
    let title = title.count();
    if rest.get(title) == Some(&0x07) {
        return Some(introducer + title + 1);
    }
    let numbers = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    let ends = rest.get(numbers).is_some_and(|end| {
        matches!(end, b'A'..=b'P' | b'R' | b'Z' | b'c' | b'f'..=b'n' | b'q' | b'r' | b't' | b'y')
    });
    if ends {
        return Some(introducer + numbers + 1);
    }
    // A digit ends the sequence, too, if nothing else does.
    let digit = rest[..numbers].iter().rposition(u8::is_ascii_digit)?;
    Some(introducer + digit + 1)
}
