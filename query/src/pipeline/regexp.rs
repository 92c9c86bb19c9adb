//! `| regexp "…"`: named groups of the first match become labels.

use memchr::memmem::Finder;
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
    /// Where all begin with the same.
    at_prefix: Option<AtPrefix>,
}

/// Finds a match by what it begins with: one pass over it gives the groups. Otherwise one looks for its end,
/// another for its beginning, and a third for the groups.
#[derive(Debug)]
struct AtPrefix {
    prefix: Finder<'static>,
    /// Matches at the beginning of a text only.
    regex: Regex,
}

impl AtPrefix {
    fn new(prefixes: &[Vec<u8>], pattern: &str) -> Option<Self> {
        let (first, others) = prefixes.split_first()?;
        let alike = |other: &Vec<u8>| first.iter().zip(other).take_while(|(a, b)| a == b).count();
        let len = others.iter().map(alike).min().unwrap_or(first.len());
        let prefix = first.get(..len).filter(|prefix| prefix.len() >= PREFIX_LEN_MIN)?;
        // Likely too large with its anchor only, if at all: then it is looked for as others are.
        let regex = Regex::new(&format!(r"\A(?:{pattern})")).ok()?;
        Some(Self { prefix: Finder::new(prefix).into_owned(), regex })
    }
}

/// After so many places that have the prefix and no match, a line is searched as a whole: each may have been
/// read to its end.
const PLACES_MAX: usize = 4;

/// Where the groups of a match are written to.
#[derive(Debug)]
pub(crate) struct Groups {
    anywhere: CaptureLocations,
    at_prefix: Option<CaptureLocations>,
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
        let at_prefix =
            prefixes.as_ref().and_then(|prefixes| AtPrefix::new(prefixes, regex.as_str()));
        Ok(Self { regex, groups, prefixes, at_prefix })
    }

    /// Room for the groups of a match.
    pub(crate) fn groups(&self) -> Groups {
        let at_prefix =
            self.at_prefix.as_ref().map(|at_prefix| at_prefix.regex.capture_locations());
        Groups { anywhere: self.regex.capture_locations(), at_prefix }
    }

    /// What every match begins with one of, whatever stands before it; `None` where that is not known.
    pub(crate) fn prefixes(&self) -> Option<&[Vec<u8>]> {
        self.prefixes.as_deref()
    }

    /// Makes labels of the first match. A group that takes no part in it makes an empty one.
    pub(crate) fn parse(&self, line: &[u8], labels: &mut LabelBuilder<'_>, groups: &mut Groups) {
        let Some((text, locations)) = self.first_match(line, groups) else { return };
        for &(group, name) in &self.groups {
            let Some(target) = labels.target_id(name) else { continue };
            let value = locations.get(group).map_or(&b""[..], |(start, end)| &text[start..end]);
            labels.set_with(target, |out| push_replacing(value, char::REPLACEMENT_CHARACTER, out));
        }
    }

    /// The part of a line that the first match was found in, and where in it its groups are.
    fn first_match<'l, 'g>(
        &self,
        line: &'l [u8],
        groups: &'g mut Groups,
    ) -> Option<(&'l [u8], &'g CaptureLocations)> {
        let mut rest = line;
        if let (Some(at_prefix), Some(locations)) = (&self.at_prefix, &mut groups.at_prefix) {
            for _ in 0..PLACES_MAX {
                let text = &rest[at_prefix.prefix.find(rest)?..];
                if at_prefix.regex.captures_read(locations, text).is_some() {
                    return Some((text, locations));
                }
                rest = &text[1..];
            }
        }
        // What is before it matters to no match where there is a prefix.
        self.regex.captures_read(&mut groups.anywhere, rest)?;
        Some((rest, &groups.anywhere))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups of the first match, and those that the regex crate finds.
    fn found(source: &str, line: &str) -> [Option<Vec<String>>; 2] {
        let regexp = Regexp::compile(source, &mut Names::new()).unwrap();
        let mut groups = regexp.groups();
        let texts = |text: &[u8], locations: &CaptureLocations| {
            let span = |group| locations.get(group).map(|(start, end)| text[start..end].to_vec());
            let texts = (0..locations.len()).map(|group| span(group).unwrap_or_default());
            texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
        };
        let ours = regexp.first_match(line.as_bytes(), &mut groups);
        let ours = ours.map(|(text, locations)| texts(text, locations));
        let regex = compile_regex(source).unwrap();
        let mut locations = regex.capture_locations();
        let theirs = regex.captures_read(&mut locations, line.as_bytes());
        [ours, theirs.map(|_| texts(line.as_bytes(), &locations))]
    }

    #[test]
    fn a_match_that_is_found_by_its_prefix_is_the_first() {
        let cases = [
            ("time: (?P<took>[0-9.]+)", "a time: x, time: 1.5 s, time: 2", true),
            ("time: (?P<took>[0-9.]+)", "no match", true),
            ("time: (?P<took>[0-9.]+)", "time: time: time: time: time: time: 7", true),
            ("aa(?P<rest>b.*|c)", "aaaab aac", true),
            ("aa(?P<rest>b.*?|c)?", "aaab", true),
            ("id=(?P<id>\\w+)(?: of (?P<of>\\w+))?", "id=é id=b of c", true),
            ("(?i)id=(?P<id>\\d+)", "ID=x id=12", false),
            ("(?P<a>ab|cd)(?P<b>.)", "xcdé", false),
            ("\\bid=(?P<id>\\d+)", "paid=1 id=2", false),
            ("äö(?P<x>.)", "äxäöä", true),
        ];
        for (source, line, has_prefix) in cases {
            let regexp = Regexp::compile(source, &mut Names::new()).unwrap();
            assert_eq!(regexp.at_prefix.is_some(), has_prefix, "{source}");
            let [ours, theirs] = found(source, line);
            assert_eq!(ours, theirs, "{source} in {line}");
        }
    }
}
