//! Parsing templates instead of lines.
//!
//! Segments keep lines as templates and the values of their slots. Where a query needs a few labels of what
//! its parser finds, the parser is run once on a template to see which slots those labels are made of; of
//! the lines only these values are read. In the pipeline they take the place of the parser
//! ([`Plan::set_labels`]), or, where what it finds is not certain enough for that, the parser is given a line
//! that has these values in their places and something of the same kind in others ([`Plan::line`]). An entry
//! ends as its line would: that has to be proved for each template ([`marks`], [`spans`]), or its lines are
//! read whole.
//!
//! Many lines have the same few values (a level, a status), and end the same way; that is remembered
//! ([`Memo`]).

mod marks;
mod memo;
mod spans;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;

use timberline_store::{LineTemplate, Projection, Projector, SlotValues};

use super::hash::FoldState;
use super::labels::LabelBuilder;
use super::names::{NameId, Names};
use super::step::Step;
use super::text::push_replacing;
use super::{Pipeline, Required};

pub(crate) use self::memo::End;
pub(super) use self::memo::Memo;

/// More plans than these are not made; the lines of further templates are read whole.
const PLANS_MAX: usize = 1 << 14;

/// What is known of a line for its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Text(Vec<u8>),
    /// The next wanted value.
    Value,
    /// What follows is the value of the label that a parser makes of this name.
    Label(NameId),
}

/// What is made of a line's wanted values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Made {
    /// Of the parser's labels, what it makes of bytes that are no text; `None` for a line that it is given.
    labels: Option<char>,
    pieces: Vec<Piece>,
}

/// How the labels of a template's lines are made of their wanted values.
#[derive(Debug)]
pub(crate) struct Plan {
    made: Made,
    /// The wanted slots, in the order of their values; empty once the plan is known by its number, since
    /// templates share plans.
    slots: Vec<u32>,
}

impl Plan {
    const fn of_line() -> Self {
        Self { made: Made { labels: None, pieces: Vec::new() }, slots: Vec::new() }
    }

    const fn of_labels(replacement: char) -> Self {
        Self { made: Made { labels: Some(replacement), pieces: Vec::new() }, slots: Vec::new() }
    }

    fn label(&mut self, name: NameId) {
        self.made.pieces.push(Piece::Label(name));
    }

    fn text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        match self.made.pieces.last_mut() {
            Some(Piece::Text(last)) => last.extend_from_slice(text),
            _ => self.made.pieces.push(Piece::Text(text.to_vec())),
        }
    }

    fn value(&mut self, slot: usize) {
        self.made.pieces.push(Piece::Value);
        // A template has fewer slots than a line has bytes.
        self.slots.push(slot as u32);
    }

    /// Adds a part of a line that has values of slots at `places`: those that are wanted as values, and
    /// what else is in it as text. No value reaches beyond the part.
    fn part(
        &mut self,
        part: Range<usize>,
        line: &[u8],
        places: &[Range<usize>],
        is_wanted: impl Fn(usize) -> bool,
    ) {
        let mut at = part.start;
        for slot in slots_in(places, &part).filter(|slot| is_wanted(*slot)) {
            let place = &places[slot];
            self.text(&line[at..place.start]);
            self.value(slot);
            at = place.end;
        }
        self.text(&line[at..part.end]);
    }

    /// Whether labels are made of values, and no line.
    pub(crate) const fn makes_labels(&self) -> bool {
        self.made.labels.is_some()
    }

    /// Appends the line that has these values.
    pub(crate) fn line<'v>(&self, mut values: impl Iterator<Item = &'v [u8]>, out: &mut Vec<u8>) {
        for piece in &self.made.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Value => out.extend_from_slice(values.next().unwrap_or_default()),
                Piece::Label(_) => {}
            }
        }
    }

    /// Sets the labels that the parser makes of a line that has these values.
    pub(crate) fn set_labels<'v>(
        &self,
        mut values: impl Iterator<Item = &'v [u8]>,
        labels: &mut LabelBuilder<'_>,
        scratch: &mut Vec<u8>,
    ) {
        let replacement = self.made.labels.unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut pieces = self.made.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            let Piece::Label(name) = piece else { continue };
            scratch.clear();
            while let Some(piece) = pieces.next_if(|piece| !matches!(piece, Piece::Label(_))) {
                match piece {
                    Piece::Text(text) => scratch.extend_from_slice(text),
                    _ => scratch.extend_from_slice(values.next().unwrap_or_default()),
                }
            }
            if let Some(target) = labels.target_id(*name) {
                labels.set_with(target, |out| push_replacing(scratch, replacement, out));
            }
        }
    }
}

/// The slots whose values, at `places` of a line, lie in a part of it, if only partly.
fn slots_in(places: &[Range<usize>], part: &Range<usize>) -> Range<usize> {
    let first = places.partition_point(|place| place.end <= part.start);
    let last = places.partition_point(|place| place.start < part.end);
    first..last.max(first)
}

/// Makes plans for a pipeline's parser.
#[derive(Debug)]
pub(crate) struct TemplateParser<'p> {
    step: &'p Step,
    /// The labels that are needed, in the numbers of `names`.
    needed: &'p [NameId],
    names: &'p Names,
    plans: Vec<Plan>,
    numbers: HashMap<Made, NonZeroU32, FoldState>,
    /// By what is known of a template. The same templates come in many groups.
    known: HashMap<Vec<u8>, Option<Projection>, FoldState>,
}

impl<'p> TemplateParser<'p> {
    /// The parser of a pipeline; `None` where lines have to be whole.
    pub(crate) fn new(pipeline: &'p Pipeline) -> Option<Self> {
        if pipeline.reads_line_behind {
            return None;
        }
        let Required { names: Some(needed), .. } = &pipeline.required else { return None };
        let mut reading = pipeline.steps.iter().filter(|step| step.needs_line());
        let (step, others) = (reading.next()?, reading.next());
        let is_parser = match step {
            Step::Json | Step::JsonExpressions(_) | Step::Logfmt(_) | Step::Pattern(_) => true,
            Step::Regexp(regexp) => regexp.prefixes().is_some(),
            _ => false,
        };
        let makes_no_line = !pipeline.steps.iter().any(|step| matches!(step, Step::LineFormat(_)));
        (is_parser && others.is_none() && makes_no_line).then(|| Self {
            step,
            needed,
            names: &pipeline.names,
            plans: Vec::new(),
            numbers: HashMap::default(),
            known: HashMap::default(),
        })
    }

    /// A plan by its number.
    pub(crate) fn plan(&self, number: NonZeroU32) -> Option<&Plan> {
        self.plans.get(number.get() as usize - 1)
    }

    /// Gives a plan its number, that of another one with the same pieces if there is one.
    fn number(&mut self, plan: Plan) -> Option<Projection> {
        let Plan { made, slots } = plan;
        if let Some(number) = self.numbers.get(&made) {
            return Some(Projection { number: *number, slots });
        }
        let number = self.plans.len() + 1;
        let number = u32::try_from(number).ok().filter(|_| number <= PLANS_MAX);
        let number = NonZeroU32::new(number?)?;
        self.numbers.insert(made.clone(), number);
        self.plans.push(Plan { made, slots: Vec::new() });
        Some(Projection { number, slots })
    }

    fn make(&self, template: &Template<'_>) -> Option<Plan> {
        match self.step {
            Step::Pattern(pattern) => spans::of_pattern(pattern, self.needed, template),
            Step::Regexp(regexp) => spans::of_regexp(regexp, template),
            step => marks::plan(step, self.needed, self.names, template),
        }
    }
}

impl Projector for TemplateParser<'_> {
    fn project(&mut self, template: &LineTemplate<'_>) -> Option<Projection> {
        let is_by_places = matches!(self.step, Step::Pattern(_) | Step::Regexp(_));
        let template = Template::new(template, !is_by_places);
        let key = template.key(is_by_places);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let projection = self.make(&template).and_then(|plan| self.number(plan));
        self.known.insert(key, projection.clone());
        projection
    }
}

/// A template and what is known of its values.
struct Template<'t> {
    lines: &'t LineTemplate<'t>,
    /// One more than slots.
    texts: Vec<&'t [u8]>,
    values: Vec<SlotValues>,
    /// The slots whose values are `true` and `false`, as far as that matters.
    bools: Vec<bool>,
}

/// A bit for each letter of `true` and `false`.
const LETTERS_OF_BOOLS: u128 = letters(b"truefalse");

const fn letters(text: &[u8]) -> u128 {
    let (mut set, mut at) = (0, 0);
    while at < text.len() {
        set |= 1 << text[at];
        at += 1;
    }
    set
}

impl<'t> Template<'t> {
    fn new(lines: &'t LineTemplate<'t>, bools_matter: bool) -> Self {
        let slots = lines.slots();
        let texts = (0..=slots).map(|number| lines.text(number)).collect();
        let values: Vec<SlotValues> = (0..slots).map(|slot| lines.values(slot)).collect();
        // Lists are read of those that may be.
        let is_bool = |value: &Vec<u8>| matches!(&value[..], b"true" | b"false");
        let are_bools = |(slot, values): (usize, &SlotValues)| {
            let may_be = bools_matter && values.ascii == LETTERS_OF_BOOLS && !values.beyond_ascii;
            may_be && lines.few_values(slot).is_some_and(|values| values.iter().all(is_bool))
        };
        let bools = values.iter().enumerate().map(are_bools).collect();
        Self { lines, texts, values, bools }
    }

    /// Bytes that are the same for templates of which the same is known, lengths of values among it where
    /// they matter.
    fn key(&self, has_lengths: bool) -> Vec<u8> {
        let mut key = Vec::new();
        for text in &self.texts {
            key.extend_from_slice(&text.len().to_le_bytes());
            key.extend_from_slice(text);
        }
        for SlotValues { len_min, len_max, ascii, beyond_ascii, are_numbers } in &self.values {
            if has_lengths {
                key.extend_from_slice(&len_min.to_le_bytes());
                key.extend_from_slice(&len_max.to_le_bytes());
            }
            key.extend_from_slice(&ascii.to_le_bytes());
            key.extend([*beyond_ascii, *are_numbers, *len_min == 0].map(u8::from));
        }
        key.extend(self.bools.iter().map(|are_bools| u8::from(*are_bools)));
        key
    }

    /// The line with these values, and where each of them is.
    fn line(&self, values: &[impl AsRef<[u8]>]) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut line, mut places) = (Vec::new(), Vec::with_capacity(values.len()));
        let mut texts = self.texts.iter();
        line.extend_from_slice(texts.next().copied().unwrap_or_default());
        for (value, behind) in values.iter().map(AsRef::as_ref).zip(texts) {
            places.push(line.len()..line.len() + value.len());
            line.extend_from_slice(value);
            line.extend_from_slice(behind);
        }
        (line, places)
    }
}
