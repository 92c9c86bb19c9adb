//! What can be said of an entry from a part of it.
//!
//! `{job="x"} | json | status >= 500` needs the whole line of an entry that passes, but one value of it says
//! that another does not. So the first stages of such a pipeline, up to the last label filter that nothing
//! but their labels decides, are compiled once more as a pipeline of their own: the *probe*, to which nobody
//! looks behind, so that it reads no more of a line than its filters need. What it drops the whole pipeline
//! drops, too.
//!
//! It is told the metadata and, by [`TemplateParser`], values in place of the line. Lines that it cannot
//! read so are left to the whole pipeline: a parser that is told which labels to make finds another error in
//! a damaged line than one that makes all.

use super::names::Names;
use super::projection::TemplateParser;
use super::step::Step;
use super::{Hints, NeededLabels, Pipeline};
use crate::syntax::{Stage, StageKind, Unwrap as Ast};

/// The stages that a probe has, and up to where they are of use.
#[derive(Debug, Default)]
struct Prefix<'s> {
    stages: Vec<&'s Stage>,
    /// How many there are up to the last label filter.
    filtering: usize,
    /// Likewise, before the parser.
    filtering_unparsed: usize,
    has_parser: bool,
    /// Whether a stage that was left out makes a line, and may fail.
    makes_line: bool,
}

impl Pipeline {
    /// The probe of a pipeline that has these stages and this `unwrap`; `None` where there is none, or where
    /// the pipeline itself needs no whole line.
    ///
    /// Its [`line_predicate`](Self::line_predicate) says nothing: entries have passed the pipeline's.
    pub(crate) fn probe(&self, stages: &[Stage], unwrap: Option<&Ast>) -> Option<Self> {
        let reads_lines = self.needs_line || self.reads_line_behind;
        if self.is_trivial() || !reads_lines || TemplateParser::new(self).is_some() {
            return None;
        }
        let mut prefix = Prefix::default();
        let is_whole = stages.iter().all(|stage| prefix.take(stage));
        let unwrap = unwrap.filter(|_| is_whole && !prefix.makes_line);
        let all = if unwrap.is_some() { prefix.stages.len() } else { prefix.filtering };
        let parsed = prefix.compile(all, unwrap);
        let parsed =
            parsed.filter(|probe| !probe.needs_line || TemplateParser::new(probe).is_some());
        parsed.or_else(|| prefix.compile(prefix.filtering_unparsed, None))
    }
}

impl<'s> Prefix<'s> {
    /// Adds a stage; `false` where a probe has to end before it.
    fn take(&mut self, stage: &'s Stage) -> bool {
        match &stage.kind {
            // To leave it out is to drop less.
            StageKind::LineFilter(_) => return true,
            StageKind::LineFormat(_) | StageKind::Decolorize if self.has_parser => {
                self.makes_line = true;
                return true;
            }
            StageKind::Json(_)
            | StageKind::Logfmt { .. }
            | StageKind::Regexp(_)
            | StageKind::Pattern(_)
                if !self.has_parser && !self.makes_line =>
            {
                self.has_parser = true;
                self.filtering_unparsed = self.filtering;
            }
            StageKind::Drop(_) | StageKind::Keep(_) => {}
            StageKind::LabelFilter(_) | StageKind::LabelFormat(_) if self.knows(&stage.kind) => {}
            _ => return false,
        }
        self.stages.push(stage);
        if matches!(stage.kind, StageKind::LabelFilter(_)) {
            self.filtering = self.stages.len();
        }
        true
    }

    /// Whether a probe sees all that the stage looks at.
    fn knows(&self, stage: &StageKind) -> bool {
        let is_filter = matches!(stage, StageKind::LabelFilter(_));
        if is_filter != self.makes_line {
            // A stage that was left out may have set the error, which a template may look at.
            return is_filter;
        }
        let (mut names, mut needed) = (Names::new(), Vec::new());
        match Step::compile(stage, &mut names) {
            Ok(Step::LabelFilter(filter)) => filter.is_blind_to_errors(),
            Ok(step) => !step.needs_line() && step.add_needed(&mut names, &mut needed),
            Err(_) => false,
        }
    }

    /// The first `count` stages as a pipeline; `None` of none.
    fn compile(&self, count: usize, unwrap: Option<&Ast>) -> Option<Pipeline> {
        let stages: Vec<Stage> = self.stages.iter().take(count).copied().cloned().collect();
        let hints = Hints { labels: NeededLabels::Only(Vec::new()), line: false };
        let compiled = || Pipeline::compile(&stages, unwrap, &hints).ok();
        (!stages.is_empty()).then(compiled).flatten()
    }
}
