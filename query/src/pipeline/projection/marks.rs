//! Plans for parsers that read the whole line: `json` and `logfmt`.
//!
//! The values of a template are replaced by *marks*, which no text has, and the parser is run on that. Where
//! a mark comes back as it is in a label's value, any other value comes back as well that has nothing in it
//! that the parser takes for more than text: no quote, escape, control character or byte beyond ASCII, and
//! of all other marks of punctuation only such as the slot's mark has, too. In a place where the parser
//! allows numbers only, a mark of letters is an error, so that what stands there must be known to be one.
//!
//! A template of which one value does not come back is declined: it may be a key, within an array, or named
//! twice.

use timberline_store::{Labels, SlotValues};

use super::{Plan, Template};
use crate::pipeline::labels::{LabelBuilder, Required};
use crate::pipeline::logfmt::Logfmt;
use crate::pipeline::names::{NameId, Names};
use crate::pipeline::step::{Scratch, Step};

/// The plan for a parser whose labels are needed in part.
pub(super) fn plan(
    step: &Step,
    needed: &[NameId],
    names: &Names,
    template: &Template<'_>,
) -> Option<Plan> {
    let [short, long] = [Length::Short, Length::Long].map(|length| marks(template, length));
    let (short, long) = (short?, long?);
    let whole = whole_parser(step)?;
    let outlines = [&short, &long].map(|marks| outline(&whole, marks, template));
    match outlines {
        [Some(with_short), Some(with_long)] if with_short == with_long => {}
        _ => return None,
    }
    let (line, _) = template.line(&short);
    let found = found(step, names.clone(), &line)?;
    // What is needed is named there as it was before a collision, too.
    let is_needed = |name: &str| needed.iter().any(|needed| names.text(*needed) == name);
    let values: Vec<&[u8]> = found
        .iter()
        .filter(|(name, _)| is_needed(name))
        .map(|(_, value)| value.as_bytes())
        .collect();
    let is_wanted =
        |mark: &[u8]| values.iter().any(|value| memchr::memmem::find(value, mark).is_some());
    let mut plan = Plan::default();
    for (slot, text) in template.texts.iter().enumerate() {
        plan.text(text);
        match short.get(slot) {
            Some(mark) if is_wanted(mark) => plan.value(slot),
            Some(mark) => plan.text(mark),
            None => {}
        }
    }
    Some(plan)
}

/// The stage that makes a label of everything a parser can make one of.
fn whole_parser(step: &Step) -> Option<Step> {
    match step {
        Step::Json | Step::JsonExpressions(_) => Some(Step::Json),
        Step::Logfmt(_) => Some(Step::Logfmt(Logfmt::every_pair_strictly())),
        _ => None,
    }
}

/// Names and values of a line's labels, in the order in which they were found.
type Found = Vec<(String, String)>;

/// What a stage makes of a line; `None` where that is an error.
fn found(step: &Step, names: Names, line: &[u8]) -> Option<Found> {
    let required = Required::default();
    let mut labels = LabelBuilder::new(names, &required, &Labels::default());
    labels.begin(&Labels::default());
    let mut scratch = Scratch::new(std::slice::from_ref(step));
    step.run(0, line, 0, &mut labels, &mut scratch);
    let text = |name| labels.names().text(name).to_owned();
    let found = labels.added_labels().map(|(name, _, value)| (text(name), value.to_owned()));
    labels.error().is_none().then(|| found.collect())
}

/// What is found with numbers of slots in place of marks; `None` unless every mark is in a value.
fn outline(whole: &Step, marks: &[Vec<u8>], template: &Template<'_>) -> Option<Found> {
    let (line, _) = template.line(marks);
    let mut outline = found(whole, Names::new(), &line)?;
    for (slot, mark) in marks.iter().enumerate() {
        let mark = std::str::from_utf8(mark).ok()?;
        if outline.iter().any(|(name, _)| name.contains(mark)) {
            return None;
        }
        let (_, value) = outline.iter_mut().find(|(_, value)| value.contains(mark))?;
        *value = value.replacen(mark, &format!("\u{0}{slot}\u{0}"), 1);
    }
    Some(outline)
}

#[derive(Clone, Copy)]
enum Length {
    Short,
    Long,
}

/// A mark for each slot; `None` where a value may have what a mark cannot stand for.
fn marks(template: &Template<'_>, length: Length) -> Option<Vec<Vec<u8>>> {
    let slots = template.values.iter().enumerate();
    slots
        .map(|(slot, values)| {
            let behind = template.texts.get(slot + 1).copied().unwrap_or_default();
            mark(slot, values, behind, length)
        })
        .collect()
}

fn mark(slot: usize, values: &SlotValues, behind: &[u8], length: Length) -> Option<Vec<u8>> {
    let is_text =
        |byte: u8| byte == b' ' || byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let mut punctuation = Vec::new();
    for byte in 0..128_u8 {
        if values.ascii >> byte & 1 == 0 {
            continue;
        }
        if !is_text(byte) {
            return None;
        }
        if !byte.is_ascii_alphanumeric() {
            punctuation.push(byte);
        }
    }
    if values.beyond_ascii || values.len_min == 0 {
        return None;
    }
    // Digits that are in no template: eleven of them, told by the slot.
    let digits = (slot as u64 + 1) * 7_919_191_919 % 100_000_000_000;
    // A number may be followed by what does not go on with it.
    let ends = behind.first().is_some_and(|byte| !byte.is_ascii_alphanumeric());
    let mut mark = match (values.are_numbers && ends, length) {
        (true, Length::Short) => format!("9{digits:011}").into_bytes(),
        (true, Length::Long) => format!("9{digits:011}73").into_bytes(),
        (false, Length::Short) => format!("Q{digits:011}z").into_bytes(),
        (false, Length::Long) => format!("Q{digits:011}zzq").into_bytes(),
    };
    if !values.are_numbers {
        let middle = mark.len() - 1;
        mark.splice(middle..middle, punctuation);
    }
    Some(mark)
}
