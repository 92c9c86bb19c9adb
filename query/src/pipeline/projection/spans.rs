//! Plans for parsers that look for given text: `pattern` and `regexp`.
//!
//! Where none of the texts that they look for can lie in a value, or partly in one, they are found at the
//! same places of the template in every line. So one line, with values as the template may have them, tells
//! what is cut out of all of them.

use std::ops::Range;

use timberline_store::{Needle, SlotValues};

use super::{Plan, Template};
use crate::pipeline::names::NameId;
use crate::pipeline::pattern::{Cut, Pattern};
use crate::pipeline::regexp::Regexp;

/// The plan for `| pattern`: the literals, between them what needed labels are cut out of, and nothing
/// else.
pub(super) fn of_pattern(
    pattern: &Pattern,
    needed: &[NameId],
    template: &Template<'_>,
) -> Option<Plan> {
    if pattern.literals().any(|literal| may_be_in_values(template, literal)) {
        return None;
    }
    let (line, places) = template.line(&samples(template)?);
    let mut plan = Plan::default();
    if !line.starts_with(pattern.prefix()) {
        // No line of the template does. The empty line makes no labels, either.
        return Some(plan);
    }
    plan.text(pattern.prefix());
    for Cut { name, span, until } in pattern.cuts(&line) {
        if name.is_some_and(|name| needed.contains(&name)) {
            push_part(&mut plan, span, &line, &places);
        }
        plan.text(until.unwrap_or_default());
    }
    Some(plan)
}

/// Adds a part of the template's line, of which `line` is one with values at `places`.
fn push_part(plan: &mut Plan, part: Range<usize>, line: &[u8], places: &[Range<usize>]) {
    let mut at = part.start;
    let within = |place: &&Range<usize>| part.start <= place.start && place.end <= part.end;
    for (slot, place) in places.iter().enumerate().filter(|(_, place)| within(place)) {
        plan.text(&line[at..place.start]);
        plan.value(slot);
        at = place.end;
    }
    plan.text(&line[at..part.end]);
}

/// The plan for `| regexp`: the line from where the first match can begin.
pub(super) fn of_regexp(regexp: &Regexp, template: &Template<'_>) -> Option<Plan> {
    let prefixes = regexp.prefixes()?;
    if prefixes.iter().any(|prefix| may_be_in_values(template, prefix)) {
        return None;
    }
    let first = |text: &[u8]| {
        let places = prefixes.iter().filter_map(|prefix| memchr::memmem::find(text, prefix));
        places.min()
    };
    let found = template.texts.iter().enumerate();
    let found = found.filter_map(|(slot, text)| Some((slot, first(text)?))).next();
    let mut plan = Plan::default();
    // No line of the template matches where there is no beginning: the empty line does not, either.
    let Some((number, start)) = found else { return Some(plan) };
    plan.text(&template.texts[number][start..]);
    for (slot, text) in template.texts.iter().enumerate().skip(number + 1) {
        plan.value(slot - 1);
        plan.text(text);
    }
    Some(plan)
}

fn may_be_in_values(template: &Template<'_>, text: &[u8]) -> bool {
    template.lines.may_have_in_values(&Needle::new(text))
}

/// A value for each slot, of bytes and a length that values have.
fn samples(template: &Template<'_>) -> Option<Vec<Vec<u8>>> {
    let sample = |values: &SlotValues| {
        let byte = u8::try_from(values.ascii.trailing_zeros()).ok().filter(u8::is_ascii)?;
        Some(vec![byte; values.len_min.max(1).min(values.len_max)])
    };
    template.values.iter().map(sample).collect()
}
