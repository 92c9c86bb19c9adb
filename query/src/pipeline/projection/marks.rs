//! Plans for parsers that read the whole line: `json` and `logfmt`.
//!
//! The values of a template are replaced by *marks*, which no text has, and the parser is run on that. Where
//! a mark comes back as it is in a label's value, any other value comes back as well that has nothing in it
//! that the parser takes for more than text: no quote, escape or control character, and of all other marks of
//! punctuation, and of characters beyond ASCII, only such as the slot's mark has, too. In a place where the
//! parser allows numbers only, a mark of letters is an error, so that what stands there must be known to be
//! digits, or `true` and `false`; where some begin with a zero, so does one of two marks. Where some are empty,
//! so is a third mark.
//!
//! What a parser makes of every pair by itself comes out as labels. One with expressions, which make empty
//! labels, too, is given a line.
//!
//! A template of which one value does not come back is declined: it may be a key, or named twice. What comes
//! back nowhere, since it is within an array, may be anything but brackets, too.

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
    let [short, long, least] =
        [Length::Short, Length::Long, Length::Least].map(|length| marks(template, length));
    let marks = [short?, long?, least?];
    let may_go = passable(step, template);
    let whole = whole_parser(step)?;
    let prover = Prover { step, whole, needed, names, marks: &marks, may_go: &may_go };
    let (line, places) = template.line(&marks[0]);
    let plan = |is_value: &dyn Fn(usize) -> bool| {
        let mut plan = Plan::of_line();
        plan.part(0..line.len(), &line, &places, is_value);
        plan
    };
    let values = prover.values(&plan(&|_| true))?;
    if makes_all(step) {
        return labels(&values, needed, names, &marks[0]);
    }
    Some(plan(&|slot| values.iter().any(|(_, value)| value.contains(&marks[0][slot]))))
}

/// The plan that makes labels of values: what stands for slots are marks.
fn labels(
    values: &[(String, String)],
    needed: &[NameId],
    names: &Names,
    marks: &[String],
) -> Option<Plan> {
    let mut plan = Plan::of_labels(' ');
    for (name, value) in values {
        plan.label(needed.iter().copied().find(|id| names.text(*id) == name)?);
        let mut rest = value.as_str();
        let found = |rest: &str| {
            let places = marks.iter().enumerate();
            places.filter_map(|(slot, mark)| Some((rest.find(mark)?, slot))).min()
        };
        while let Some((at, slot)) = found(rest) {
            plan.text(&rest.as_bytes()[..at]);
            plan.value(slot);
            rest = &rest[at + marks[slot].len()..];
        }
        plan.text(rest.as_bytes());
    }
    Some(plan)
}

/// Proves that lines end as those do that have marks in place of their values.
struct Prover<'p> {
    step: &'p Step,
    /// A stage that makes labels of everything.
    whole: Step,
    needed: &'p [NameId],
    names: &'p Names,
    /// Short ones, long ones, and short ones of which those are empty that may be.
    marks: &'p [Vec<String>; 3],
    /// Which slots may be passed over by the parser.
    may_go: &'p [bool],
}

impl Prover<'_> {
    /// The needed labels of the lines of a plan, with short marks as values; `None` where marks cannot stand
    /// for values.
    fn values(&self, plan: &Plan) -> Option<Found> {
        let marks = self.marks.each_ref().map(|marks| {
            let marks = plan.slots.iter().map(|slot| marks[*slot as usize].as_str());
            marks.collect::<Vec<_>>()
        });
        let lines = marks.each_ref().map(|marks| {
            let mut line = Vec::new();
            plan.line(marks.iter().map(|mark| mark.as_bytes()), &mut line);
            line
        });
        let [short, long, least] = &marks;
        let [line, longer, shortest] = &lines;
        let may_go: Vec<bool> = plan.slots.iter().map(|slot| self.may_go[*slot as usize]).collect();
        let mut outline = self.outline(short, &may_go, line)?;
        if outline != self.outline(long, &may_go, longer)? {
            return None;
        }
        if least != short {
            for (number, _) in least.iter().enumerate().filter(|(_, mark)| mark.is_empty()) {
                put(&mut outline, &place_of(number), "");
            }
            if outline != self.outline(least, &may_go, shortest)? {
                return None;
            }
        }
        let found = found(self.step, self.names.clone(), line)?;
        // What is needed is named there as it was before a collision, too.
        let is_needed = |name: &str| self.needed.iter().any(|id| self.names.text(*id) == name);
        Some(found.into_iter().filter(|(name, _)| is_needed(name)).collect())
    }

    /// What is found in a line with numbers in place of marks; `None` unless every mark is in a value, or
    /// nowhere where that may be.
    fn outline(&self, marks: &[&str], may_go: &[bool], line: &[u8]) -> Option<Found> {
        let mut outline = found(&self.whole, Names::new(), line)?;
        let all = marks.iter().zip(may_go).enumerate();
        for (number, (mark, may_go)) in all.filter(|(_, (mark, _))| !mark.is_empty()) {
            let is_put = put(&mut outline, mark, &place_of(number));
            // Names have other characters for some.
            let is_left = |(name, value): &(String, String)| {
                name.contains(core(mark)) || value.contains(core(mark))
            };
            if outline.iter().any(is_left) || !is_put && !may_go {
                return None;
            }
        }
        Some(outline)
    }
}

/// The slots whose values may be in none of the labels: within an array, for `json`, which looks for its end
/// alone.
fn passable(step: &Step, template: &Template<'_>) -> Vec<bool> {
    let brackets = b"[]{}".iter().fold(0_u128, |set, byte| set | 1 << byte);
    let is_passable =
        |values: &SlotValues| matches!(step, Step::Json) && values.ascii & brackets == 0;
    template.values.iter().map(is_passable).collect()
}

/// What of a mark is the same wherever it comes to be: a letter or digit, and the slot's eleven digits.
fn core(mark: &str) -> &str {
    mark.get(..12).unwrap_or(mark)
}

/// The stage that makes a label of everything a parser can make one of.
fn whole_parser(step: &Step) -> Option<Step> {
    match step {
        Step::Json | Step::JsonExpressions(_) => Some(Step::Json),
        Step::Logfmt(_) => Some(Step::Logfmt(Logfmt::every_pair_strictly())),
        _ => None,
    }
}

/// Whether the stage makes a label of every pair, under the name that it has.
const fn makes_all(step: &Step) -> bool {
    match step {
        Step::Json => true,
        Step::Logfmt(logfmt) => logfmt.takes_all(),
        _ => false,
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

/// What stands for a mark in an outline.
fn place_of(number: usize) -> String {
    format!("\u{0}{number}\u{0}")
}

/// Replaces the first place that has a text in a value, and says whether there is one.
fn put(found: &mut Found, text: &str, instead: &str) -> bool {
    let value = found.iter_mut().map(|(_, value)| value).find(|value| value.contains(text));
    value.map(|value| *value = value.replacen(text, instead, 1)).is_some()
}

#[derive(Clone, Copy)]
enum Length {
    Short,
    Long,
    /// As short as values may be.
    Least,
}

/// A mark for each slot; `None` where a value may have what a mark cannot stand for.
fn marks(template: &Template<'_>, length: Length) -> Option<Vec<String>> {
    // Neither an escape nor a character may begin in a text and end in a value.
    let (_, before) = template.texts.split_last()?;
    if before.iter().any(|text| text.ends_with(b"\\")) {
        return None;
    }
    let is_text = |text: &&[u8]| std::str::from_utf8(text).is_ok();
    let are_ascii = template.values.iter().all(|values| !values.beyond_ascii);
    if !are_ascii && !template.texts.iter().all(is_text) {
        return None;
    }
    let slots = template.values.iter().enumerate();
    slots
        .map(|(slot, values)| {
            let behind = template.texts.get(slot + 1).copied().unwrap_or_default();
            mark(slot, (values, template.bools[slot]), behind, length)
        })
        .collect()
}

/// A bit for each of `0` to `9`.
const DIGITS: u128 = 0x3ff << b'0';

fn mark(
    slot: usize,
    (values, are_bools): (&SlotValues, bool),
    behind: &[u8],
    length: Length,
) -> Option<String> {
    let is_text =
        |byte: u8| byte == b' ' || byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let mut punctuation = String::new();
    for byte in 0..128_u8 {
        if values.ascii >> byte & 1 == 0 {
            continue;
        }
        if !is_text(byte) {
            return None;
        }
        if !byte.is_ascii_alphanumeric() {
            punctuation.push(char::from(byte));
        }
    }
    if values.beyond_ascii {
        punctuation.push('ü');
    }
    if values.len_min == 0 && matches!(length, Length::Least) {
        return Some(String::new());
    }
    // Digits that are in no template: eleven of them, told by the slot.
    let digits = (slot as u64 + 1) * 7_919_191_919 % 100_000_000_000;
    // A number may be followed by what does not go on with it.
    let ends = behind.first().is_some_and(|byte| !byte.is_ascii_alphanumeric());
    let are_digits = ends && values.ascii & !DIGITS == 0 && !values.beyond_ascii;
    // Where a number may be, so may they, as long as they are all of the token.
    let are_bools = are_bools && behind.first().is_some_and(|byte| b",]} ".contains(byte));
    let are_digits = are_digits || are_bools;
    Some(match (are_digits, length) {
        (true, Length::Short | Length::Least) => format!("9{digits:011}"),
        (true, Length::Long) if values.are_numbers => format!("9{digits:011}73"),
        // Zeros in front are not everywhere a number.
        (true, Length::Long) => format!("0{digits:011}73"),
        (false, Length::Short | Length::Least) => format!("Q{digits:011}{punctuation}z"),
        (false, Length::Long) => format!("Q{digits:011}z{punctuation}zq"),
    })
}
