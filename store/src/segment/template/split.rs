//! Finds the templates of many texts.
//!
//! Texts are first put together by their skeleton: what is left when every token is taken out. Texts
//! of one skeleton are then divided by their words, as long as each part keeps many texts: words that
//! go together (`Connection closed by`, `Accepted password for`) tell messages apart, while a word
//! that takes many values is a value. What never varies within a part is its template's static text,
//! what does is a slot. Texts that are too few of a kind are left over.
//!
//! All of this happens once, over the texts of one row group: there is no sample and no model.

use foldhash::{HashMap, HashMapExt};

use super::tokens::{Kind, TOKENS_MAX, Token, tokenize};

/// Texts of a kind from which on they have a template of their own. A template costs some 50 bytes, and
/// each of its columns some ten.
const TEMPLATE_TEXTS_MIN: usize = 16;

/// How many texts a part must keep on average when a skeleton's texts are divided by a word.
const PART_TEXTS_MIN: usize = 64;

/// Words that take more values than so many are never divided by.
const WORD_VALUES_MAX: usize = 64;

/// The most templates, by texts; a limit of the reader's memory.
const TEMPLATES_MAX: usize = 4096;

/// Texts longer than this are not split.
const TEXT_LEN_MAX: usize = 64 * 1024;

/// Some texts: parts of a row of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a> {
    pub(super) bytes: &'a [u8],
    /// Where each text begins and ends.
    pub(super) spans: &'a [(u32, u32)],
}

impl<'a> Texts<'a> {
    pub(super) const fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn get(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.spans.get(index).copied().unwrap_or_default();
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Whether the first `sample` of them are at most `few` different ones.
    pub(super) fn take_at_most(&self, few: usize, sample: usize) -> bool {
        let mut seen: Vec<&[u8]> = Vec::with_capacity(few);
        self.iter().take(sample).all(|text| {
            let is_known = seen.iter().any(|known| is_same(known, text));
            if !is_known {
                seen.push(text);
            }
            seen.len() <= few
        })
    }

    /// Bytes of all texts together.
    pub(super) fn total(&self) -> usize {
        self.spans.iter().map(|(start, end)| (end - start) as usize).sum()
    }
}

/// A template with the texts that are made by it.
#[derive(Debug)]
pub(super) struct Draft {
    /// What stands before, between and behind the slots: one more than slots.
    pub(super) statics: Vec<Vec<u8>>,
    /// The texts, ascending.
    pub(super) rows: Vec<u32>,
    /// The values of each slot, in the order of the texts, as spans of the texts' bytes.
    pub(super) slots: Vec<Slot>,
}

/// A slot's values.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) spans: Vec<(u32, u32)>,
    /// Whether the values stand between quotes: they may have templates of their own.
    pub(super) is_quoted: bool,
}

/// Finds the templates, those of many texts first. Every text belongs to exactly one; texts that are
/// left over to one whose only slot is the whole text.
///
/// The tokens of many texts take more memory than the texts: a buffer that is used again saves the system from
/// clearing that much for each group.
pub(super) fn split(texts: Texts<'_>, buffer: &mut Vec<Token>) -> Vec<Draft> {
    let mut cut = Cut::new(texts, std::mem::take(buffer));
    let mut drafts = Vec::new();
    let mut left_over = std::mem::take(&mut cut.uncut);
    for skeleton in std::mem::take(&mut cut.skeletons) {
        if skeleton.rows.len() < TEMPLATE_TEXTS_MIN {
            left_over.extend(skeleton.rows);
            continue;
        }
        for part in cut.divide(skeleton) {
            match part.rows.len() < TEMPLATE_TEXTS_MIN {
                true => left_over.extend(part.rows),
                false => drafts.push(cut.draft(part, &mut left_over)),
            }
        }
    }
    drafts.sort_by_key(|draft| std::cmp::Reverse(draft.rows.len()));
    let unkept = drafts.drain(drafts.len().min(TEMPLATES_MAX)..);
    unkept.for_each(|draft| left_over.extend(draft.rows));
    if !left_over.is_empty() {
        drafts.push(whole_texts(texts, left_over));
        drafts.sort_by_key(|draft| std::cmp::Reverse(draft.rows.len()));
    }
    *buffer = cut.tokens;
    drafts
}

/// The template that is nothing but a slot.
pub(super) fn whole_texts(texts: Texts<'_>, mut rows: Vec<u32>) -> Draft {
    rows.sort_unstable();
    let spans = rows.iter().filter_map(|row| texts.spans.get(*row as usize).copied()).collect();
    let slots = vec![Slot { spans, is_quoted: false }];
    Draft { statics: vec![Vec::new(), Vec::new()], rows, slots }
}

/// Texts cut into tokens and put together by skeleton.
struct Cut<'a> {
    texts: Texts<'a>,
    tokens: Vec<Token>,
    /// Where each text's tokens begin, and where the last one's end.
    token_starts: Vec<u32>,
    /// The texts of each skeleton.
    skeletons: Vec<Alike>,
    /// Texts that were not cut.
    uncut: Vec<u32>,
}

/// Texts that are to have one template.
#[derive(Debug, Default)]
struct Alike {
    /// Ascending.
    rows: Vec<u32>,
    /// In what way tokens look different from those of the first text: no bits where all are the same.
    differences: Vec<u32>,
}

impl Alike {
    /// Adds a text. `model` has the tokens of the first one.
    fn add(&mut self, row: u32, tokens: &[Token], model: &[Token]) {
        if self.rows.is_empty() {
            self.differences.resize(tokens.len(), 0);
        }
        self.rows.push(row);
        for ((token, model), all) in tokens.iter().zip(model).zip(&mut self.differences) {
            *all |= token.look() ^ model.look();
        }
    }

    /// The positions at which tokens vary, ascending.
    fn varying(&self) -> Vec<usize> {
        let differences = (0..).zip(&self.differences);
        differences.filter(|(_, all)| **all != 0).map(|(position, _)| position).collect()
    }
}

impl<'a> Cut<'a> {
    fn new(texts: Texts<'a>, mut tokens: Vec<Token>) -> Self {
        tokens.clear();
        let mut cut = Self {
            texts,
            tokens,
            token_starts: Vec::with_capacity(texts.len() + 1),
            skeletons: Vec::new(),
            uncut: Vec::new(),
        };
        let (mut skeletons, mut by_hash) = (Vec::<Alike>::new(), HashMap::<u64, usize>::new());
        let mut tokens = Box::new([Token::default(); TOKENS_MAX]);
        for (row, &(start, end)) in (0_u32..).zip(texts.spans) {
            cut.token_starts.push(u32::try_from(cut.tokens.len()).unwrap_or(u32::MAX));
            let (start, end) = (start as usize, end as usize);
            if end - start > TEXT_LEN_MAX {
                cut.uncut.push(row);
                continue;
            }
            let tokenized = tokenize(texts.bytes, start, end, &mut tokens);
            let Some((count, hash)) = tokenized.filter(|(count, _)| *count > 0) else {
                cut.uncut.push(row);
                continue;
            };
            let skeleton = *by_hash.entry(hash).or_insert_with(|| {
                skeletons.push(Alike::default());
                skeletons.len() - 1
            });
            // Now, while they are at hand: in the end the tokens of all texts are more than a cache holds.
            let tokens = &tokens[..count];
            let first = skeletons[skeleton].rows.first();
            let model = first.map_or(tokens, |first| cut.tokens(*first));
            skeletons[skeleton].add(row, tokens, model);
            cut.tokens.extend_from_slice(tokens);
        }
        cut.token_starts.push(u32::try_from(cut.tokens.len()).unwrap_or(u32::MAX));
        cut.skeletons = skeletons;
        cut
    }

    fn tokens(&self, row: u32) -> &[Token] {
        let (start, end) = (self.token_starts[row as usize], self.token_starts[row as usize + 1]);
        &self.tokens[start as usize..end as usize]
    }

    /// Divides texts of one skeleton by their words.
    fn divide(&self, skeleton: Alike) -> Vec<Alike> {
        let rows = &skeleton.rows;
        let mut parts: Vec<u32> = vec![0; rows.len()];
        let mut count = 1;
        for position in self.words_by_values(&skeleton) {
            let mut numbers: HashMap<u64, u32> = HashMap::new();
            let divided = rows.iter().zip(&parts).map(|(row, part)| {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                // Texts put together by two alike hashes are told apart when their template is made.
                let key = u64::from(*part) << 32 | u64::from(self.look(*row, position));
                *numbers.entry(key).or_insert(next)
            });
            let divided: Vec<u32> = divided.collect();
            if numbers.len() * PART_TEXTS_MIN <= rows.len() {
                (parts, count) = (divided, numbers.len());
            }
        }
        if count == 1 {
            return vec![skeleton];
        }
        let mut out: Vec<Alike> = Vec::new();
        out.resize_with(count, Alike::default);
        for (row, part) in rows.iter().zip(parts) {
            let part = &mut out[part as usize];
            let first = part.rows.first().copied().unwrap_or(*row);
            part.add(*row, self.tokens(*row), self.tokens(first));
        }
        out
    }

    /// What a token of a text looks like; 0 where it has none at that position.
    fn look(&self, row: u32, position: usize) -> u32 {
        self.tokens(row).get(position).map_or(0, |token| token.look())
    }

    /// The positions of words that take a few values, those of the fewest first.
    fn words_by_values(&self, skeleton: &Alike) -> Vec<usize> {
        let rows = &skeleton.rows;
        let Some(&first) = rows.first() else { return Vec::new() };
        let model = self.tokens(first);
        let words = skeleton.varying().into_iter();
        let words = words.filter(|position| model[*position].kind() == Kind::Word);
        let counted = words.map(|position| (self.values_at(position, rows), position));
        let few = counted.filter(|(values, _)| *values <= WORD_VALUES_MAX);
        let mut positions: Vec<(usize, usize)> = few.collect();
        positions.sort_unstable();
        positions.into_iter().map(|(_, position)| position).collect()
    }

    /// How many values tokens take at a position; those beyond the most that a word may take are not counted.
    fn values_at(&self, position: usize, rows: &[u32]) -> usize {
        let mut values: Vec<u32> = Vec::new();
        for row in rows {
            let look = self.look(*row, position);
            if values.last() != Some(&look) {
                note(&mut values, look);
                if values.len() > WORD_VALUES_MAX {
                    break;
                }
            }
        }
        values.len()
    }

    /// The template of texts of one skeleton. Texts that only seemed to have it are left over.
    fn draft(&self, alike: Alike, left_over: &mut Vec<u32>) -> Draft {
        let positions = alike.varying();
        let mut rows = alike.rows;
        let first = rows.first().copied().unwrap_or_default();
        let model = self.tokens(first);
        let statics = self.statics(first, &positions);
        let slot = |position: &usize| Slot {
            spans: Vec::with_capacity(rows.len()),
            is_quoted: model[*position].kind() == Kind::Quoted,
        };
        let mut slots: Vec<Slot> = positions.iter().map(slot).collect();
        rows.retain(|row| {
            let tokens = self.tokens(*row);
            let is_it = tokens.len() == model.len() && self.has_statics(*row, &positions, &statics);
            if !is_it {
                left_over.push(*row);
                return false;
            }
            for (slot, position) in slots.iter_mut().zip(&positions) {
                slot.spans.push((tokens[*position].start, tokens[*position].end()));
            }
            true
        });
        Draft { statics, rows, slots }
    }

    /// What stands before, between and behind some tokens of a text.
    fn statics(&self, row: u32, positions: &[usize]) -> Vec<Vec<u8>> {
        let (mut start, end) = self.texts.spans[row as usize];
        let tokens = positions.iter().map(|position| self.tokens(row)[*position]);
        let tokens = tokens.map(|token| (token.start, token.end()));
        let statics = tokens.chain([(end, end)]).map(|(token_start, token_end)| {
            let start = std::mem::replace(&mut start, token_end);
            self.texts.bytes[start as usize..token_start as usize].to_vec()
        });
        statics.collect()
    }

    /// Whether these texts stand before, between and behind some tokens of a text.
    fn has_statics(&self, row: u32, positions: &[usize], statics: &[Vec<u8>]) -> bool {
        let Some((last, statics)) = statics.split_last() else { return false };
        let (mut start, end) = self.texts.spans[row as usize];
        let (bytes, tokens) = (self.texts.bytes, self.tokens(row));
        for (position, text) in positions.iter().zip(statics) {
            let token = tokens[*position];
            if !is_same(&bytes[start as usize..token.start as usize], text) {
                return false;
            }
            start = token.end();
        }
        is_same(&bytes[start as usize..end as usize], last)
    }
}

/// Whether two texts are the same. Most are of a few bytes, for which a call takes longer than the comparison.
fn is_same(text: &[u8], other: &[u8]) -> bool {
    let len = text.len();
    if len != other.len() {
        return false;
    }
    // The first and the last so many bytes, which may overlap.
    macro_rules! ends_alike {
        ($word:ty) => {
            text.first_chunk::<{ size_of::<$word>() }>() == other.first_chunk()
                && text.last_chunk::<{ size_of::<$word>() }>() == other.last_chunk()
        };
    }
    match len {
        0 => true,
        1 => text[0] == other[0],
        2..4 => ends_alike!(u16),
        4..8 => ends_alike!(u32),
        8..16 => ends_alike!(u64),
        16..=32 => ends_alike!(u128),
        _ => text == other,
    }
}

/// Adds a value to those that a word takes; the last one met stands last.
fn note(values: &mut Vec<u32>, value: u32) {
    match values.iter().rposition(|known| *known == value) {
        Some(place) => {
            let last = values.len() - 1;
            values.swap(place, last);
        }
        None => values.push(value),
    }
}
