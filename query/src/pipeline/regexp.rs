//! `| regexp "…"`: named groups of the first match become labels.

use regex::bytes::{CaptureLocations, Regex};

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
        Ok(Self { regex, groups })
    }

    /// Where the groups of a match are written to.
    pub(crate) fn locations(&self) -> CaptureLocations {
        self.regex.capture_locations()
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
