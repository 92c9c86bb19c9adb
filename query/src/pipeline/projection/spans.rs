//! Plans for parsers that look for given text: `pattern` and `regexp`.
//!
//! Where a text that they look for can lie in none of the values up to where the template has it, nor partly
//! in one, it is found there in every line. So one line, with values as the template may have them, tells
//! what is cut out of all of them. From where that is not so the line is made of all its values.

use std::ops::Range;

use timberline_store::{Needle, SlotValues};

use super::{Plan, Template, slots_in};
use crate::pipeline::names::NameId;
use crate::pipeline::pattern::{Cut, Pattern};
use crate::pipeline::regexp::Regexp;

/// The plan for `| pattern`: the labels, or, where not all that is needed is certain, a line that has
/// nothing but literals and needed captures up to there.
pub(super) fn of_pattern(
    pattern: &Pattern,
    needed: &[NameId],
    template: &Template<'_>,
) -> Option<Plan> {
    let (line, places) = template.line(&samples(template)?);
    let is_certain = |text: &[u8], part: Range<usize>| {
        !may_be_in_values(template, text, slots_in(&places, &part))
    };
    let prefix = pattern.prefix();
    // The empty line has no labels, and one whose first value is empty may begin otherwise.
    let may_be_empty = template.values.iter().any(|values| values.len_min == 0);
    let begins = template.texts.first().is_some_and(|text| text.len() >= prefix.len().max(1));
    if may_be_empty && !begins || !is_certain(prefix, 0..prefix.len().min(line.len())) {
        return None;
    }
    let (mut of_labels, mut of_line) =
        (Plan::of_labels(char::REPLACEMENT_CHARACTER), Plan::of_line());
    if !line.starts_with(prefix) {
        // No line of the template does.
        return Some(of_labels);
    }
    of_line.text(prefix);
    let is_needed = |name: &NameId| needed.contains(name);
    let last = pattern.names().rposition(|name| name.as_ref().is_some_and(is_needed));
    for cut in pattern.cuts(&line).take(last.map_or(0, |last| last + 1)) {
        let Cut { name, span, until, is_found } = cut;
        let literal = until.filter(|_| is_found).unwrap_or_default();
        let looked_at = span.start..span.end + literal.len();
        if until.is_some_and(|until| !is_certain(until, looked_at)) {
            of_line.part(span.start..line.len(), &line, &places, |_| true);
            return Some(of_line);
        }
        if let Some(name) = name.filter(is_needed) {
            of_labels.label(name);
            of_labels.part(span.clone(), &line, &places, |_| true);
            of_line.part(span, &line, &places, |_| true);
        }
        of_line.text(literal);
    }
    Some(of_labels)
}

/// The plan for `| regexp`: the line from where the first match can begin.
pub(super) fn of_regexp(regexp: &Regexp, template: &Template<'_>) -> Option<Plan> {
    let prefixes = regexp.prefixes()?;
    let first = |text: &[u8]| {
        let places = prefixes.iter().filter_map(|prefix| memchr::memmem::find(text, prefix));
        places.min()
    };
    let found = template.texts.iter().enumerate();
    let found = found.filter_map(|(slot, text)| Some((slot, first(text)?))).next();
    // A match may begin in the text before the place that was found and end in the slot behind it.
    let slots = template.values.len();
    let passed = 0..found.map_or(slots, |(number, _)| slots.min(number + 1));
    if prefixes.iter().any(|prefix| may_be_in_values(template, prefix, passed.clone())) {
        return None;
    }
    // No line of the template matches where there is no beginning.
    let Some((number, start)) = found else {
        return Some(Plan::of_labels(char::REPLACEMENT_CHARACTER));
    };
    let mut plan = Plan::of_line();
    plan.text(&template.texts[number][start..]);
    for (slot, text) in template.texts.iter().enumerate().skip(number + 1) {
        plan.value(slot - 1);
        plan.text(text);
    }
    Some(plan)
}

/// Whether a text may lie in a value of some slots, or partly in one.
fn may_be_in_values(template: &Template<'_>, text: &[u8], slots: Range<usize>) -> bool {
    template.lines.may_have_in_values(&Needle::new(text), slots)
}

/// A value for each slot, of bytes and a length that values have.
fn samples(template: &Template<'_>) -> Option<Vec<Vec<u8>>> {
    let sample = |values: &SlotValues| {
        let byte = u8::try_from(values.ascii.trailing_zeros()).ok().filter(u8::is_ascii)?;
        Some(vec![byte; values.len_min.max(1).min(values.len_max)])
    };
    template.values.iter().map(sample).collect()
}
