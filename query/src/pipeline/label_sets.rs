//! Final label sets, each with a number.
//!
//! Most entries end with labels that an earlier entry had. The labels are written into a key of
//! bytes, and only a key that was not seen before makes a set.

use std::collections::HashMap;

use timberline_store::{Labels, Metadata};

use super::hash::FoldState;
use super::labels::{Category, LabelBuilder};
use super::names::NameId;

/// The labels that entries end with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSet {
    /// What was asked for: all labels, the grouped ones, or the stream's. Values may be empty.
    /// Where an entry has an error these are all labels, ungrouped, with the error's.
    pub(crate) labels: Labels,
    /// Metadata that is left; only of categorised sets.
    pub(crate) structured_metadata: Metadata,
    /// Labels that stages set and the error's; only of categorised sets.
    pub(crate) parsed: Metadata,
    /// Whether `__error__` is set and the query did not ask for it.
    pub(crate) error: bool,
}

/// Which labels a set is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All but these.
    Without(Vec<NameId>),
    /// All, by where they came from.
    Categorized,
    /// These, where they are there.
    By(Vec<NameId>),
}

/// Label sets with their numbers. Two numbers may have equal labels.
#[derive(Debug)]
pub(crate) struct LabelSets {
    shape: Shape,
    ids: HashMap<Box<[u8]>, u32, FoldState>,
    sets: Vec<LabelSet>,
    /// About how much memory the sets take.
    bytes: usize,
    key: Vec<u8>,
    /// The number asked for last, of `last_key`: entries in a row often end alike.
    last: Option<u32>,
    last_key: Vec<u8>,
    order: Vec<(NameId, usize)>,
    /// Which stream entries are from: counts the streams.
    stream: u32,
}

impl LabelSets {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            ids: HashMap::default(),
            sets: Vec::new(),
            bytes: 0,
            key: Vec::new(),
            last: None,
            last_key: Vec::new(),
            order: Vec::new(),
            stream: 0,
        }
    }

    /// Notes that entries come from another stream now.
    pub(crate) fn next_stream(&mut self) {
        match self.stream.checked_add(1) {
            Some(next) => self.stream = next,
            None => {
                self.forget_keys();
                self.stream = 0;
            }
        }
    }

    /// Forgets which labels have which number, as is due when names are numbered anew. The sets stay.
    pub(crate) fn forget_keys(&mut self) {
        self.ids.clear();
        self.last = None;
    }

    /// About how many bytes the sets take.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// A set by its number.
    pub(crate) fn get(&self, id: u32) -> &LabelSet {
        &self.sets[id as usize]
    }

    /// The number of the entry's final label set.
    pub(crate) fn intern(&mut self, labels: &LabelBuilder<'_>) -> u32 {
        self.key.clear();
        match &self.shape {
            Shape::By(names) if labels.error().is_none() => {
                for &name in names {
                    push_value(&mut self.key, labels.get(name));
                }
            }
            Shape::By(_) | Shape::Categorized | Shape::Without(_) => self.write_full_key(labels),
        }
        if let Some(id) = self.last.filter(|_| self.key == self.last_key) {
            return id;
        }
        let id = self.number(labels);
        std::mem::swap(&mut self.key, &mut self.last_key);
        self.last = Some(id);
        id
    }

    /// The number of the set whose key was written, which is made if there is none.
    fn number(&mut self, labels: &LabelBuilder<'_>) -> u32 {
        if let Some(&id) = self.ids.get(self.key.as_slice()) {
            return id;
        }
        let set = self.build(labels);
        // Every set takes memory: there are fewer of them than a u32 counts.
        let id = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.bytes += self.key.len() * 3 + size_of::<LabelSet>();
        self.sets.push(set);
        self.ids.insert(self.key.as_slice().into(), id);
        id
    }

    fn write_full_key(&mut self, labels: &LabelBuilder<'_>) {
        let excluded = self.shape.excluded(labels);
        self.key.extend_from_slice(&self.stream.to_le_bytes());
        push_value(&mut self.key, labels.error());
        push_value(&mut self.key, labels.error_details());
        for (position, name, _) in labels.stream_labels() {
            if !excluded.contains(&name) {
                self.key.extend_from_slice(&position.to_le_bytes());
            }
        }
        // No position: the stream's labels end here.
        self.key.extend_from_slice(&usize::MAX.to_le_bytes());
        // Lines differ in the order of their fields; the key must not.
        labels.order_added(&mut self.order);
        for &(name, index) in &self.order {
            if !excluded.contains(&name) {
                let (category, value) = labels.added_at(index);
                self.key.extend_from_slice(&name.number().to_le_bytes());
                self.key.push(u8::from(category == Category::Parsed));
                push_value(&mut self.key, Some(value));
            }
        }
    }

    fn build(&self, labels: &LabelBuilder<'_>) -> LabelSet {
        let preserved = labels.get(NameId::PRESERVE_ERROR) == Some("true");
        let error = labels.error().is_some() && !preserved;
        match &self.shape {
            Shape::By(names) if labels.error().is_none() => {
                let found = names.iter().filter_map(|&name| Some((name, labels.get(name)?)));
                let mut found: Vec<_> = found.collect();
                found.sort_unstable();
                found.dedup();
                LabelSet {
                    labels: to_labels(labels, found.into_iter()),
                    error,
                    ..LabelSet::default()
                }
            }
            Shape::Categorized => LabelSet { error, ..categorised(labels) },
            Shape::By(_) | Shape::Without(_) => {
                let excluded = self.shape.excluded(labels);
                let kept = labels.labels().filter(|(name, _)| !excluded.contains(name));
                let all = to_labels(labels, kept.chain(error_labels(labels)));
                LabelSet { labels: all, error, ..LabelSet::default() }
            }
        }
    }
}

impl Shape {
    /// What an entry's set leaves out: nothing where the entry has an error.
    fn excluded(&self, labels: &LabelBuilder<'_>) -> &[NameId] {
        match self {
            Self::Without(names) if labels.error().is_none() => names,
            _ => &[],
        }
    }
}

fn categorised(labels: &LabelBuilder<'_>) -> LabelSet {
    let of = |wanted: Category| {
        let added = labels.added_labels();
        added
            .filter(move |(_, category, _)| *category == wanted)
            .map(|(name, _, value)| (name, value))
    };
    let stream = labels.stream_labels().map(|(_, name, value)| (name, value));
    LabelSet {
        labels: to_labels(labels, stream),
        structured_metadata: to_labels(labels, of(Category::Metadata)),
        parsed: to_labels(labels, of(Category::Parsed).chain(error_labels(labels))),
        error: false,
    }
}

fn error_labels<'a>(labels: &'a LabelBuilder<'_>) -> impl Iterator<Item = (NameId, &'a str)> {
    let code = labels.error().map(|code| (NameId::ERROR, code));
    let details = labels.error_details().map(|details| (NameId::ERROR_DETAILS, details));
    code.into_iter().chain(details)
}

fn to_labels<'a>(
    labels: &LabelBuilder<'_>,
    pairs: impl Iterator<Item = (NameId, &'a str)>,
) -> Labels {
    let named = pairs.map(|(name, value)| (labels.names().text(name), value));
    // A builder has each name once, so there is nothing to refuse.
    Labels::metadata(named).unwrap_or_default()
}

/// Appends a value so that no two lists of values make the same bytes.
fn push_value(key: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => key.extend_from_slice(&usize::MAX.to_le_bytes()),
        Some(value) => {
            key.extend_from_slice(&value.len().to_le_bytes());
            key.extend_from_slice(value.as_bytes());
        }
    }
}
