//! The stages behind a selector, compiled and run line by line.
//!
//! A [`Pipeline`] is compiled once per query and shared by threads; each thread has a [`Worker`] with
//! the buffers. The line filters that see the line as it was stored are not run here: they are the
//! [`LinePredicate`] that the store reads by.

mod golang;
mod hash;
mod ip;
mod label_sets;
mod labels;
mod line_filter;
mod names;
mod pattern;

use timberline_store::{Labels, LinePredicate, Metadata, Timestamp};

use self::label_sets::{LabelSets, Shape};
use self::labels::{LabelBuilder, Required};
use self::names::{Names, strip_collision_suffix};
use crate::syntax::{
    Expr, Grouping, LogExpr, ParseError, Selector, Span, Stage, StageKind, Unwrap,
};

pub(crate) use self::label_sets::LabelSet;

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
    names: Names,
    required: Required,
    needs_line: bool,
}

/// A stage, compiled.
#[derive(Debug)]
enum Step {
    LineFilter(LinePredicate),
}

/// What a stage did with the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Kept it.
    Keep,
    /// Dropped it.
    Drop,
}

impl Pipeline {
    /// Compiles the stages, in the order written, and the `unwrap` behind them.
    ///
    /// # Errors
    /// The first stage that cannot be built, in Loki's words: `stage '| …' : …`.
    pub(crate) fn compile(
        stages: &[Stage],
        unwrap: Option<&Unwrap>,
        hints: &Hints,
    ) -> Result<Self, ParseError> {
        let _ = unwrap;
        let mut names = Names::new();
        let required = match &hints.labels {
            NeededLabels::All => Required::default(),
            NeededLabels::Only(needed) => {
                let both = |name: &String| [name.clone(), strip_collision_suffix(name).to_owned()];
                let mut ids: Vec<_> =
                    needed.iter().flat_map(both).map(|n| names.intern(&n)).collect();
                ids.sort_unstable();
                ids.dedup();
                Required { names: Some(ids), preserve_error: false }
            }
        };
        let mut predicates = Vec::new();
        for stage in stages {
            match &stage.kind {
                StageKind::LineFilter(filter) => {
                    let compiled = line_filter::compile(filter);
                    predicates.push(compiled.map_err(|cause| stage_error(stage, &cause))?);
                }
                _ => return Err(stage_error(stage, "not there yet")),
            }
        }
        Ok(Self {
            predicate: line_filter::all(predicates),
            steps: Vec::new(),
            names,
            required,
            needs_line: false,
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
        self.steps.is_empty()
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
        let mut ids = |labels: &[String]| labels.iter().map(|label| names.intern(label)).collect();
        let shape = match output {
            Output::Full => Shape::Without(Vec::new()),
            Output::Categorized => Shape::Categorized,
            Output::Grouped(Grouping { without: false, labels }) => Shape::By(ids(labels)),
            Output::Grouped(Grouping { without: true, labels }) => Shape::Without(ids(labels)),
        };
        Worker {
            pipeline: self,
            labels: LabelBuilder::new(names, &self.required, stream),
            sets: LabelSets::new(shape),
            line: Vec::new(),
        }
    }
}

/// Runs a pipeline in one thread. Keeps its buffers and the label sets it has met.
#[derive(Debug)]
pub(crate) struct Worker<'p> {
    pipeline: &'p Pipeline,
    labels: LabelBuilder<'p>,
    sets: LabelSets,
    /// The line, once a stage has rewritten it.
    line: Vec<u8>,
}

/// An entry that passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Processed<'a> {
    /// The line behind the pipeline.
    pub(crate) line: &'a [u8],
    /// The number of the label set: [`Worker::label_set`].
    pub(crate) labels: u32,
    /// The unwrapped value.
    pub(crate) value: Option<f64>,
}

impl Worker<'_> {
    /// Makes the coming entries be `stream`'s. Numbers of label sets stay good.
    pub(crate) fn set_stream(&mut self, stream: &Labels) {
        self.labels.set_stream(stream);
        self.sets.next_stream();
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
        let _ = timestamp;
        if self.labels.has_too_many_names() {
            self.labels.forget_names();
            self.sets.forget_keys();
        }
        self.labels.begin(metadata);
        let rewritten = false;
        for step in &self.pipeline.steps {
            let current = if rewritten { self.line.as_slice() } else { line };
            let outcome = match step {
                Step::LineFilter(predicate) if predicate.matches(current) => Outcome::Keep,
                Step::LineFilter(_) => Outcome::Drop,
            };
            if outcome == Outcome::Drop {
                return None;
            }
        }
        let labels = self.sets.intern(&self.labels);
        let line = if rewritten { self.line.as_slice() } else { line };
        Some(Processed { line, labels, value: None })
    }

    /// A label set by the number that [`process`](Self::process) gave.
    pub(crate) fn label_set(&self, id: u32) -> &LabelSet {
        self.sets.get(id)
    }

    /// About how many bytes the label sets take.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.sets.memory_bytes()
    }
}

fn stage_error(stage: &Stage, cause: &str) -> ParseError {
    ParseError::new(format!("stage '{}' : {cause}", printed(stage)))
}

/// The stage as `format_query` prints it.
fn printed(stage: &Stage) -> String {
    let selector = Selector { matchers: Vec::new(), span: Span::default() };
    let alone = LogExpr { selector, stages: vec![stage.clone()], span: Span::default() };
    let text = crate::syntax::format(&Expr::Log(alone));
    text.strip_prefix("{}").unwrap_or(&text).trim_start().to_owned()
}
