//! `| json x="a.b", y`: only what the expressions name.

use std::ops::ControlFlow;

use super::path::{self, Part};
use super::scan::{self, Value};
use super::{DEPTH_MAX, JSON_ERROR, push_string, push_value};
use crate::pipeline::labels::LabelBuilder;
use crate::pipeline::names::{NameId, Names};
use crate::syntax::LabelExtraction;

/// Paths that are looked for in one pass: as many as a mask has bits.
const PATHS_PER_PASS: usize = 64;

/// The labels to set and the paths to what they are set to.
#[derive(Debug)]
pub(crate) struct JsonExpressions {
    wanted: Vec<(NameId, Vec<Part>)>,
}

impl JsonExpressions {
    /// # Errors
    /// An expression that is no path: `cannot parse expression […]: …`.
    pub(crate) fn compile(
        extractions: &[LabelExtraction],
        names: &mut Names,
    ) -> Result<Self, String> {
        let mut wanted = Vec::with_capacity(extractions.len());
        for LabelExtraction { name, expression } in extractions {
            let parts = path::parse(expression)
                .map_err(|cause| format!("cannot parse expression [{expression}]: {cause}"))?;
            wanted.push((names.intern(name), parts));
        }
        Ok(Self { wanted })
    }

    /// Sets a label for each expression; to nothing where the line does not have it.
    ///
    /// Damage behind the line's first byte goes unnoticed.
    pub(crate) fn parse(&self, line: &[u8], labels: &mut LabelBuilder<'_>) {
        if line.is_empty() {
            return;
        }
        if !matches!(line[0], b'{' | b'[' | b'"') {
            labels.set_parser_error(JSON_ERROR, None);
            return;
        }
        let mut all_found = true;
        for wanted in self.wanted.chunks(PATHS_PER_PASS) {
            let all = u64::MAX >> (PATHS_PER_PASS - wanted.len());
            let mut walk = Walk { wanted, labels, missing: all };
            let _ = match line[0] {
                b'{' => walk.object(line, 0, all),
                b'[' => walk.array(line, 0, all),
                _ => ControlFlow::Continue(()),
            };
            all_found &= walk.missing == 0;
        }
        if all_found {
            return;
        }
        for &(name, _) in &self.wanted {
            if labels.get(name).is_none() {
                labels.set(name, "");
            }
        }
    }
}

struct Walk<'a, 'p> {
    wanted: &'a [(NameId, Vec<Part>)],
    labels: &'a mut LabelBuilder<'p>,
    /// The paths that were not met yet.
    missing: u64,
}

impl Walk<'_, '_> {
    fn object(&mut self, text: &[u8], depth: usize, paths: u64) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        let scanned = scan::members(text, |key, value| {
            let leads = |part: &Part| matches!(part, Part::Key(name) if name.as_bytes() == key);
            flow = self.value(value, depth, self.through(depth, paths, leads));
            flow
        });
        if scanned.is_err() { ControlFlow::Break(()) } else { flow }
    }

    fn array(&mut self, text: &[u8], depth: usize, paths: u64) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        let mut position = 0;
        let scanned = scan::elements(text, |value| {
            let leads = |part: &Part| *part == Part::Index(position);
            flow = self.value(value, depth, self.through(depth, paths, leads));
            position += 1;
            flow
        });
        if scanned.is_err() { ControlFlow::Break(()) } else { flow }
    }

    /// Those of the paths still missing whose step at `depth` leads on.
    fn through(&self, depth: usize, paths: u64, leads: impl Fn(&Part) -> bool) -> u64 {
        let mut through = 0;
        for (index, (_, parts)) in self.wanted.iter().enumerate() {
            let bit = 1 << index;
            if paths & self.missing & bit != 0 && parts.get(depth).is_some_and(&leads) {
                through |= bit;
            }
        }
        through
    }

    /// A value that `paths` lead to or through.
    fn value(&mut self, value: Value<'_>, depth: usize, paths: u64) -> ControlFlow<()> {
        if paths == 0 {
            return ControlFlow::Continue(());
        }
        let mut deeper = 0;
        for (index, (name, parts)) in self.wanted.iter().enumerate() {
            let bit = 1 << index;
            if paths & bit == 0 {
                continue;
            }
            if parts.len() > depth + 1 {
                deeper |= if depth < DEPTH_MAX { bit } else { 0 };
                continue;
            }
            self.missing &= !bit;
            let target = self.labels.collision_free(*name);
            self.labels.set_with(target, |out| match value {
                Value::Array(raw) => push_string(raw, out),
                other => push_value(other, out),
            });
        }
        if self.missing == 0 {
            return ControlFlow::Break(());
        }
        match value {
            Value::Object(text) if deeper != 0 => self.object(text, depth + 1, deeper),
            Value::Array(text) if deeper != 0 => self.array(text, depth + 1, deeper),
            _ => ControlFlow::Continue(()),
        }
    }
}
