//! `| regexp "…"`: named groups of the first match become labels.

use regex::bytes::{CaptureLocations, Regex};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

use super::labels::LabelBuilder;
use super::names::{NameId, Names, is_sane, sanitise};
use super::text::push_replacing;
use crate::golang::compile_regex;

/// The compiled stage.
#[derive(Debug)]
pub(crate) struct Regexp {
    regex: Regex,
    /// The groups that have a name, and the label they make.
    groups: Vec<(usize, NameId)>,
    /// What every match begins with one of; `None` where that is not known, or what is around it matters.
    prefixes: Option<Vec<Vec<u8>>>,
}

/// Shorter beginnings, or more of them, are in most lines.
const PREFIX_LEN_MIN: usize = 2;
const PREFIXES_MAX: usize = 16;

/// What the matches of an expression begin with, if it looks at nothing around them.
fn prefixes(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let hir = ParserBuilder::new().utf8(false).nest_limit(u32::MAX).build().parse(pattern).ok()?;
    if !hir.properties().look_set().is_empty() {
        return None;
    }
    let found = Extractor::new().kind(ExtractKind::Prefix).extract(&hir);
    let literals = found.literals()?;
    let are_good = (1..=PREFIXES_MAX).contains(&literals.len())
        && literals.iter().all(|literal| literal.len() >= PREFIX_LEN_MIN);
    are_good.then(|| literals.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

impl Regexp {
    /// # Errors
    /// A regular expression that does not compile.
    pub(crate) fn compile(source: &str, names: &mut Names) -> Result<Self, String> {
        let regex = compile_regex(source)?;
        let mut groups = Vec::new();
        for (index, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            let mut sane = String::new();
            if is_sane(name) {
                sane.push_str(name)
            } else {
                sanitise(name, true, &mut sane)
            }
            if !sane.is_empty() {
                groups.push((index, names.intern(&sane)));
            }
        }
        let prefixes = prefixes(regex.as_str());
        Ok(Self { regex, groups, prefixes })
    }

    /// Where the groups of a match are written to.
    pub(crate) fn locations(&self) -> CaptureLocations {
        self.regex.capture_locations()
    }

    /// What every match begins with one of, whatever stands before it; `None` where that is not known.
    pub(crate) fn prefixes(&self) -> Option<&[Vec<u8>]> {
        self.prefixes.as_deref()
    }

    /// Makes labels of the first match. A group that takes no part in it makes an empty one.
    pub(crate) fn parse(
        &self,
        line: &[u8],
        labels: &mut LabelBuilder<'_>,
        locations: &mut CaptureLocations,
    ) {
        if self.regex.captures_read(locations, line).is_none() {
            return;
        }
        for &(group, name) in &self.groups {
            let Some(target) = labels.target_id(name) else { continue };
            let value = locations.get(group).map_or(&b""[..], |(start, end)| &line[start..end]);
            labels.set_with(target, |out| push_replacing(value, char::REPLACEMENT_CHARACTER, out));
        }
    }
}
