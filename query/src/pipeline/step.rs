//! One stage, compiled and run.

use timberline_store::LinePredicate;

use super::decolorize::Decolorize;
use super::drop_keep::LabelList;
use super::format::{LabelFormat, LineFormat, Outputs};
use super::json::{self, JsonExpressions};
use super::label_filter::LabelFilter;
use super::labels::LabelBuilder;
use super::line_filter;
use super::logfmt::Logfmt;
use super::names::{NameId, Names};
use super::pattern::Pattern;
use super::regexp::{Groups, Regexp};
use crate::syntax::StageKind;

/// A stage, compiled.
#[derive(Debug)]
pub(crate) enum Step {
    LineFilter(LinePredicate),
    Json,
    JsonExpressions(JsonExpressions),
    Logfmt(Logfmt),
    Regexp(Regexp),
    Pattern(Pattern),
    Unpack,
    LabelFilter(LabelFilter),
    LineFormat(LineFormat),
    LabelFormat(LabelFormat),
    Decolorize(Decolorize),
    Drop(LabelList),
    Keep(LabelList),
}

/// What a stage did with the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Kept it, and its line as it was.
    Keep,
    /// Kept it, with a new line.
    NewLine,
    /// Dropped it.
    Drop,
}

/// Buffers that stages share.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The line that a stage made.
    pub(crate) new_line: Vec<u8>,
    text: String,
    json: json::Scratch,
    outputs: Outputs,
    doomed: Vec<NameId>,
    /// The groups of a match, for each stage that has one.
    groups: Vec<Option<Groups>>,
}

impl Scratch {
    /// Buffers for these stages.
    pub(crate) fn new(steps: &[Step]) -> Self {
        let groups = steps.iter().map(|step| match step {
            Step::Regexp(regexp) => Some(regexp.groups()),
            _ => None,
        });
        Self { groups: groups.collect(), ..Self::default() }
    }
}

impl Step {
    /// Compiles a stage.
    ///
    /// # Errors
    /// Why it cannot be built, in Loki's words.
    pub(crate) fn compile(stage: &StageKind, names: &mut Names) -> Result<Self, String> {
        Ok(match stage {
            StageKind::LineFilter(filter) => Self::LineFilter(line_filter::compile(filter)?),
            StageKind::Json(extractions) if extractions.is_empty() => Self::Json,
            StageKind::Json(extractions) => {
                Self::JsonExpressions(JsonExpressions::compile(extractions, names)?)
            }
            StageKind::Logfmt { strict, keep_empty, extractions } => {
                Self::Logfmt(Logfmt::compile(*strict, *keep_empty, extractions, names)?)
            }
            StageKind::Regexp(source) => Self::Regexp(Regexp::compile(source, names)?),
            StageKind::Pattern(source) => Self::Pattern(Pattern::compile(source, names)?),
            StageKind::Unpack => Self::Unpack,
            StageKind::LabelFilter(filter) => {
                Self::LabelFilter(LabelFilter::compile(filter, names)?)
            }
            StageKind::LineFormat(source) => Self::LineFormat(LineFormat::compile(source, names)?),
            StageKind::LabelFormat(items) => Self::LabelFormat(LabelFormat::compile(items, names)?),
            StageKind::Decolorize => Self::Decolorize(Decolorize::compile()?),
            StageKind::Drop(items) => Self::Drop(LabelList::compile(items, names)?),
            StageKind::Keep(items) => Self::Keep(LabelList::compile(items, names)?),
        })
    }

    /// Whether line filters behind the stage, which is behind `before`, may not be moved further to
    /// the front, as they test another line there.
    ///
    /// Loki moves them before `decolorize`, but not before a label filter behind it.
    pub(crate) fn is_barrier(&self, before: &[Self]) -> bool {
        match self {
            Self::Unpack | Self::LineFormat(_) => true,
            Self::LabelFilter(_) => before.iter().any(|step| matches!(step, Self::Decolorize(_))),
            _ => false,
        }
    }

    /// Whether the stage does nothing where no label is needed. Loki runs `regexp` and `unpack` on
    /// (the former costs time alone, the latter makes a line).
    pub(crate) const fn only_makes_labels(&self) -> bool {
        matches!(
            self,
            Self::Json
                | Self::JsonExpressions(_)
                | Self::Logfmt(_)
                | Self::Pattern(_)
                | Self::Regexp(_)
        )
    }

    /// Whether the stage reads the line.
    pub(crate) fn needs_line(&self) -> bool {
        match self {
            Self::LineFormat(format) => format.needs_line(),
            Self::LabelFormat(format) => format.needs_line(),
            Self::LabelFilter(_) | Self::Drop(_) | Self::Keep(_) => false,
            _ => true,
        }
    }

    /// Adds the labels that the stage needs parsers to make; `false` where that cannot be known.
    pub(crate) fn add_needed(&self, names: &mut Names, needed: &mut Vec<NameId>) -> bool {
        match self {
            Self::LabelFilter(filter) => {
                filter.for_each_name(&mut |name| needed.push(name));
                true
            }
            Self::LineFormat(format) => format.add_needed(names, needed),
            Self::LabelFormat(format) => format.add_needed(names, needed),
            _ => true,
        }
    }

    /// Runs the stage, which is the `index`th of its pipeline.
    pub(crate) fn run(
        &self,
        index: usize,
        line: &[u8],
        timestamp: i64,
        labels: &mut LabelBuilder<'_>,
        scratch: &mut Scratch,
    ) -> Outcome {
        scratch.new_line.clear();
        let (keeps, makes_line) = match self {
            Self::LineFilter(predicate) => (predicate.matches(line), false),
            Self::LabelFilter(filter) => (filter.passes(labels), false),
            Self::Unpack => {
                let Scratch { text, new_line, .. } = scratch;
                (true, json::unpack(line, labels, text, new_line))
            }
            Self::Decolorize(stage) => (true, stage.strip(line, &mut scratch.new_line)),
            Self::LineFormat(stage) => {
                let Scratch { text, new_line, .. } = scratch;
                (true, stage.format(line, timestamp, labels, text, new_line))
            }
            Self::LabelFormat(stage) => {
                stage.format(line, timestamp, labels, &mut scratch.outputs);
                (true, false)
            }
            _ => {
                self.run_on_labels(index, line, labels, scratch);
                (true, false)
            }
        };
        match (keeps, makes_line) {
            (false, _) => Outcome::Drop,
            (true, false) => Outcome::Keep,
            (true, true) => Outcome::NewLine,
        }
    }

    /// Runs a stage that neither drops the entry nor changes its line.
    fn run_on_labels(
        &self,
        index: usize,
        line: &[u8],
        labels: &mut LabelBuilder<'_>,
        scratch: &mut Scratch,
    ) {
        match self {
            Self::Json => json::parse(line, labels, &mut scratch.json),
            Self::JsonExpressions(stage) => stage.parse(line, labels),
            Self::Logfmt(stage) => stage.parse(line, labels, &mut scratch.text),
            Self::Pattern(stage) => stage.parse(line, labels),
            Self::Regexp(stage) => {
                if let Some(Some(groups)) = scratch.groups.get_mut(index) {
                    stage.parse(line, labels, groups);
                }
            }
            Self::Drop(list) => list.drop_from(labels),
            Self::Keep(list) => list.keep_in(labels, &mut scratch.doomed),
            _ => {}
        }
    }
}
