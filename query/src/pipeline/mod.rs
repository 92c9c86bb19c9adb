//! The stages behind a selector, compiled and run line by line.
//!
//! A [`Pipeline`] is compiled once per query and shared by threads; each thread has a [`Worker`] with
//! the buffers. The line filters that see the line as it was stored are not run here: they are the
//! [`LinePredicate`] that the store reads by.
//!
//! # Differences from Loki 3.7
//!
//! Where Loki's behaviour is an accident of its optimiser, the stages do what their order says:
//!
//! | Stage | Loki | here |
//! |---|---|---|
//! | label filters | the first filter on a label runs as soon as a parser sets the label, wherever it stands | run where they stand |
//! | `=~` in label filters | some shapes (`warn\|warning`, `lit.*`) match anywhere in the value | always the whole value; `=~""` is `=""` |
//! | `ip()` within `and`, `or` | a bad pattern never matches | is an error |
//! | line filters behind label filters | run behind them | run before them, which cannot be observed |
//! | `ip()` with `or` in line filters | the plain text of its argument; of three and more operands some are lost | the plain text; none is lost |
//! | `ip()` finding addresses | IPv6 needs five bytes to the end of the text | needs none |
//! | `logfmt x="y"` | a key `x` sets the label too | only `y` does |
//! | `json`, a blank path in a nested object | a label without a name | no label |
//! | `json`, objects deeper than 128 levels | labels | no labels |
//! | `unpack` where no label is needed | does not run | runs: it makes the line |
//! | `decolorize` behind which no line is needed | runs | does not |

mod decolorize;
mod drop_keep;
mod format;
pub(crate) mod fuzzing;
mod hash;
mod ip;
mod json;
mod label_filter;
mod label_sets;
mod labels;
mod line_filter;
mod logfmt;
mod names;
mod pattern;
mod precheck;
mod probe;
mod projection;
mod regexp;
mod step;
pub(crate) mod template;
mod text;
mod unwrap;

use std::num::NonZeroU32;

use timberline_store::{Labels, LinePredicate, Metadata, Timestamp};

use self::label_sets::{LabelSets, Shape};
use self::names::{NameId, strip_collision_suffix};
use self::precheck::{Precheck, Record};
use self::projection::Memo;
use self::step::{Outcome, Scratch, Step};
use self::unwrap::Unwrap;
use crate::syntax::{Grouping, ParseError, Stage, StageKind, Unwrap as Ast};

pub(crate) use self::json::{JsonPaths, Scratch as JsonScratch, parse_listening as parse_json};
pub(crate) use self::label_sets::LabelSet;
pub(crate) use self::labels::{LabelBuilder, Required};
pub(crate) use self::logfmt::Logfmt;
pub(crate) use self::names::Names;
pub(crate) use self::projection::{End, Plan, TemplateParser};
#[cfg(any(test, feature = "reference"))]
pub(crate) use self::template::{Template, TemplateData};

/// What the rest of the query needs from the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Hints {
    /// Which labels.
    pub(crate) labels: NeededLabels,
    /// Whether the line behind the pipeline is looked at: by log queries and by `bytes_over_time`
    /// and `bytes_rate`.
    pub(crate) line: bool,
}

/// Which labels the rest of the query needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NeededLabels {
    /// All: of log queries, of metric queries that do not group, and of `without`.
    All,
    /// Those of a `by`; none for aggregations to a single series.
    Only(Vec<String>),
}

impl Hints {
    /// Of a log query.
    pub(crate) const LOG: Self = Self { labels: NeededLabels::All, line: true };
}

/// What of an entry's labels the caller wants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output<'a> {
    /// All. In metric queries without the unwrapped label.
    Full,
    /// All, told apart by where they came from.
    Categorized,
    /// Grouped. The labels of an entry with an error stay ungrouped.
    Grouped(&'a Grouping),
}

/// A compiled pipeline.
#[derive(Debug)]
pub(crate) struct Pipeline {
    predicate: LinePredicate,
    steps: Vec<Step>,
    unwrap: Option<Unwrap>,
    names: Names,
    required: Required,
    precheck: Option<Precheck>,
    needs_line: bool,
    /// Whether the line is looked at behind the pipeline.
    reads_line_behind: bool,
    /// Whether an entry ends as any other one with its line and metadata does, whenever it was.
    is_timeless: bool,
}

impl Pipeline {
    /// Compiles the stages, in the order written, and the `unwrap` behind them.
    ///
    /// # Errors
    /// The first stage that cannot be built, in Loki's words: `stage '| …' : …`.
    pub(crate) fn compile(
        stages: &[Stage],
        unwrap: Option<&Ast>,
        hints: &Hints,
    ) -> Result<Self, ParseError> {
        let mut names = Names::new();
        let mut steps = Vec::with_capacity(stages.len());
        for (index, stage) in stages.iter().enumerate() {
            if hints.line || !is_idle(&stage.kind, &stages[index + 1..]) {
                let step = Step::compile(&stage.kind, &mut names);
                steps.push(step.map_err(|cause| stage_error(stages, index, &cause))?);
            }
        }
        let unwrap = unwrap.map(|unwrap| Unwrap::compile(unwrap, &mut names)).transpose();
        let unwrap = unwrap.map_err(ParseError::new)?;
        let required = required(hints, &steps, unwrap.as_ref(), &mut names);
        if required.is_nothing() {
            steps.retain(|step| !step.only_makes_labels());
        }
        let (predicate, steps) = move_line_filters(steps);
        let needs_line = steps.iter().any(Step::needs_line);
        let precheck =
            required.names.is_none().then(|| Precheck::new(&steps, &mut names)).flatten();
        let makes_labels = |step: &Step| matches!(step, Step::LabelFormat(_));
        let is_timeless = !steps.iter().any(makes_labels);
        let reads_line_behind = hints.line;
        Ok(Self {
            predicate,
            steps,
            unwrap,
            names,
            required,
            precheck,
            needs_line,
            reads_line_behind,
            is_timeless,
        })
    }

    /// The line filters that see the line as it was stored. The store applies them;
    /// [`Worker::process`] does not repeat them.
    pub(crate) const fn line_predicate(&self) -> &LinePredicate {
        &self.predicate
    }

    /// Whether there is no stage beyond the predicate: labels are the stream's and the metadata, and
    /// the line is as it was stored.
    pub(crate) fn is_trivial(&self) -> bool {
        self.steps.is_empty() && self.unwrap.is_none()
    }

    /// Whether the pipeline reads the line.
    pub(crate) const fn needs_line(&self) -> bool {
        self.needs_line
    }

    /// Whether the pipeline reads the metadata: wherever it reads labels, since metadata is labels.
    pub(crate) fn needs_metadata(&self) -> bool {
        !self.is_trivial()
    }

    /// What one thread runs the pipeline with, to begin with on entries of `stream`.
    pub(crate) fn worker(&self, stream: &Labels, output: &Output<'_>) -> Worker<'_> {
        let mut names = self.names.clone();
        let mut ids =
            |labels: &[String]| labels.iter().map(|label| names.intern(label)).collect::<Vec<_>>();
        let unwrapped = self.unwrap.as_ref().map(|unwrap| unwrap.label);
        let shape = match output {
            Output::Full => Shape::Without(unwrapped.into_iter().collect()),
            Output::Categorized => Shape::Categorized,
            Output::Grouped(Grouping { without: false, labels }) => Shape::By(ids(labels)),
            Output::Grouped(Grouping { without: true, labels }) => {
                let mut excluded = ids(labels);
                excluded.extend(unwrapped);
                Shape::Without(excluded)
            }
        };
        let mut labels = LabelBuilder::new(names, &self.required, stream);
        if let Some(precheck) = &self.precheck {
            labels.mark(precheck.required());
        }
        Worker {
            pipeline: self,
            labels,
            record: Record::default(),
            sets: LabelSets::new(shape),
            scratch: Scratch::new(&self.steps),
            line: Vec::new(),
            memo: Memo::default(),
            projected: Vec::new(),
        }
    }
}

/// Whether the stage makes a line that nobody reads. Loki does not even compile such a template.
fn is_idle(stage: &StageKind, behind: &[Stage]) -> bool {
    let reads_line = |stage: &Stage| {
        matches!(
            stage.kind,
            StageKind::LineFilter(_)
                | StageKind::Json(_)
                | StageKind::Logfmt { .. }
                | StageKind::Regexp(_)
                | StageKind::Pattern(_)
                | StageKind::Unpack
        )
    };
    let formats =
        |stage: &Stage| matches!(stage.kind, StageKind::LineFormat(_) | StageKind::LabelFormat(_));
    match stage {
        StageKind::LineFormat(_) => !behind.iter().any(reads_line),
        // Loki always runs it, so it has to be seen by templates, too.
        StageKind::Decolorize => !behind.iter().any(|stage| reads_line(stage) || formats(stage)),
        _ => false,
    }
}

/// Which labels parsers have to make: those that the result is grouped by and those that stages read.
fn required(hints: &Hints, steps: &[Step], unwrap: Option<&Unwrap>, names: &mut Names) -> Required {
    let NeededLabels::Only(grouped) = &hints.labels else { return Required::default() };
    let mut needed = Vec::new();
    for label in grouped {
        needed.push(names.intern(label));
    }
    let mut all_known = true;
    for step in steps {
        all_known &= step.add_needed(names, &mut needed);
    }
    if let Some(unwrap) = unwrap {
        needed.push(unwrap.label);
        for filter in unwrap.filters() {
            filter.for_each_name(&mut |name| needed.push(name));
        }
    }
    let preserve_error = needed.contains(&NameId::ERROR);
    add_plain_names(names, &mut needed);
    Required { names: all_known.then_some(needed), preserve_error, ..Required::default() }
}

/// Adds what names were before a collision, since parsers meet them so. Puts each name there once.
fn add_plain_names(names: &mut Names, needed: &mut Vec<NameId>) {
    for index in 0..needed.len() {
        let plain = strip_collision_suffix(names.text(needed[index])).to_owned();
        needed.push(names.intern(&plain));
    }
    needed.sort_unstable();
    needed.dedup();
}

/// Moves line filters to the front, up to the stage that makes the line they test, and joins them.
/// Those that come to stand first are the predicate.
fn move_line_filters(steps: Vec<Step>) -> (LinePredicate, Vec<Step>) {
    let mut predicate = None;
    let mut moved = Vec::with_capacity(steps.len());
    let mut filters = Vec::new();
    let mut others = Vec::new();
    let mut flush = |filters: &mut Vec<LinePredicate>, others: &mut Vec<Step>| {
        let joined = line_filter::all(std::mem::take(filters));
        if predicate.is_none() {
            predicate = Some(joined);
        } else if !joined.is_always() {
            moved.push(Step::LineFilter(joined));
        }
        moved.append(others);
    };
    for step in steps {
        match step {
            Step::LineFilter(filter) => filters.push(filter),
            barrier if barrier.is_barrier(&others) => {
                others.push(barrier);
                flush(&mut filters, &mut others);
            }
            other => others.push(other),
        }
    }
    flush(&mut filters, &mut others);
    (predicate.unwrap_or(LinePredicate::Always), moved)
}

/// Runs a pipeline in one thread. Keeps its buffers and the label sets it has met.
#[derive(Debug)]
pub(crate) struct Worker<'p> {
    pipeline: &'p Pipeline,
    labels: LabelBuilder<'p>,
    /// How the precheck has done so far.
    record: Record,
    sets: LabelSets,
    scratch: Scratch,
    /// The line, once a stage has rewritten it.
    line: Vec<u8>,
    /// How lines ended of which some values were read.
    memo: Memo,
    /// The line made of such values.
    projected: Vec<u8>,
}

/// An entry that passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Processed<'a> {
    /// The line behind the pipeline.
    pub(crate) line: &'a [u8],
    /// Whether a stage made the line.
    pub(crate) is_rewritten: bool,
    /// The number of the label set: [`Worker::label_set`].
    pub(crate) labels: u32,
    /// The unwrapped value.
    pub(crate) value: Option<f64>,
}

impl Worker<'_> {
    /// Makes the coming entries be `stream`'s. Numbers of label sets stay good, and where it is the stream of
    /// the entries before, all that is known of it.
    pub(crate) fn set_stream(&mut self, stream: &Labels) {
        if self.labels.stream() == stream {
            return;
        }
        self.labels.set_stream(stream);
        self.sets.next_stream();
        self.memo.clear();
    }

    /// Runs an entry through the stages; `None` where one dropped it.
    ///
    /// The entry has passed [`Pipeline::line_predicate`]. Allocates nothing for labels that were seen
    /// before. `line` may be empty where [`Pipeline::needs_line`] is not set.
    pub(crate) fn process<'a>(
        &'a mut self,
        timestamp: Timestamp,
        line: &'a [u8],
        metadata: &Metadata,
    ) -> Option<Processed<'a>> {
        self.forget_names();
        if !self.may_pass(timestamp, line, metadata) {
            return None;
        }
        self.labels.begin_for(metadata, &self.pipeline.required);
        let mut rewritten = false;
        for (index, step) in self.pipeline.steps.iter().enumerate() {
            let current = if rewritten { self.line.as_slice() } else { line };
            match step.run(index, current, timestamp, &mut self.labels, &mut self.scratch) {
                Outcome::Keep => {}
                Outcome::Drop => return None,
                Outcome::NewLine => {
                    std::mem::swap(&mut self.line, &mut self.scratch.new_line);
                    rewritten = true;
                }
            }
        }
        let (labels, value) = self.end()?;
        let line = if rewritten { self.line.as_slice() } else { line };
        Some(Processed { line, is_rewritten: rewritten, labels, value })
    }

    /// As [`process`](Self::process), of an entry of whose line some values were read: `bytes` are the same
    /// where they are.
    pub(crate) fn process_values<'v>(
        &mut self,
        timestamp: Timestamp,
        (number, plan): (NonZeroU32, &Plan),
        (bytes, values): (&[u8], impl Iterator<Item = &'v [u8]>),
        metadata: &Metadata,
    ) -> End {
        let may_be_known = self.pipeline.is_timeless;
        if may_be_known && let Some(end) = self.memo.get(metadata, number, bytes) {
            return end;
        }
        let end = if plan.makes_labels() {
            self.process_labels(timestamp, plan, values, metadata)
        } else {
            let mut line = std::mem::take(&mut self.projected);
            line.clear();
            plan.line(values, &mut line);
            let processed = self.process(timestamp, &line, metadata);
            let end = processed.map(|processed| (processed.labels, processed.value));
            self.projected = line;
            end
        };
        if may_be_known {
            self.memo.keep(end);
        }
        end
    }

    /// As [`process`](Self::process), of an entry whose values are the labels that the parser makes.
    fn process_labels<'v>(
        &mut self,
        timestamp: Timestamp,
        plan: &Plan,
        values: impl Iterator<Item = &'v [u8]>,
        metadata: &Metadata,
    ) -> End {
        self.forget_names();
        self.labels.begin_for(metadata, &self.pipeline.required);
        let mut values = Some(values);
        for (index, step) in self.pipeline.steps.iter().enumerate() {
            // Of the steps only the parser reads the line.
            if let Some(values) = values.take_if(|_| step.needs_line()) {
                plan.set_labels(values, &mut self.labels, &mut self.projected);
                continue;
            }
            let (labels, scratch) = (&mut self.labels, &mut self.scratch);
            if step.run(index, &[], timestamp, labels, scratch) == Outcome::Drop {
                return None;
            }
        }
        self.end()
    }

    /// How an entry ends that went through all steps.
    fn end(&mut self) -> End {
        let value = match &self.pipeline.unwrap {
            Some(unwrap) => Some(unwrap.value(&mut self.labels)?),
            None => None,
        };
        Some((self.sets.intern(&self.labels), value))
    }

    fn forget_names(&mut self) {
        if self.labels.has_too_many_names() {
            self.labels.forget_names();
            self.sets.forget_keys();
        }
    }

    /// Whether an entry passes the first label filters, as far as that is worth finding out beforehand.
    fn may_pass(&mut self, timestamp: Timestamp, line: &[u8], metadata: &Metadata) -> bool {
        let Some(precheck) = &self.pipeline.precheck else { return true };
        if !self.record.is_worthwhile() {
            return true;
        }
        self.labels.begin_for(metadata, precheck.required());
        let steps = precheck.steps(&self.pipeline.steps);
        let passes = steps.iter().enumerate().all(|(index, step)| {
            let (labels, scratch) = (&mut self.labels, &mut self.scratch);
            step.run(index, line, timestamp, labels, scratch) != Outcome::Drop
        });
        self.record.note(passes);
        passes
    }

    /// A label set by the number that [`process`](Self::process) gave.
    pub(crate) fn label_set(&self, id: u32) -> &LabelSet {
        self.sets.get(id)
    }

    /// About how many bytes the label sets take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.sets.memory_bytes() + self.memo.memory_bytes()
    }
}

fn stage_error(stages: &[Stage], index: usize, cause: &str) -> ParseError {
    let is_filter = |stage: &Stage| matches!(stage.kind, StageKind::LineFilter(_));
    // Line filters that test the same line are one stage to Loki.
    let (start, end) = if is_filter(&stages[index]) {
        let ends = |stage: &Stage| {
            use StageKind::{LabelFilter, LineFormat, Unpack};
            matches!(stage.kind, LabelFilter(_) | LineFormat(_) | Unpack)
        };
        let start = stages[..index].iter().rposition(ends).map_or(0, |at| at + 1);
        let length = stages[index..].iter().position(ends);
        (start, length.map_or(stages.len(), |length| index + length))
    } else {
        (index, index + 1)
    };
    let joined = stages[start..end].iter().filter(|stage| end - start == 1 || is_filter(stage));
    let printed: Vec<_> = joined.map(Stage::to_string).collect();
    ParseError::new(format!("stage '{}' : {cause}", printed.join(" ")))
}

#[cfg(test)]
mod tests;
