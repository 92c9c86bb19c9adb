//! The labels of the entry that is going through the pipeline.
//!
//! A label comes from the stream, from the entry's structured metadata or from a stage. Parsers and
//! `label_format` make *parsed* labels, which hide metadata and stream labels of their name. A name
//! that a stage has set once in an entry is *extracted*: parsers do not set it again, not even after
//! it was dropped.
//!
//! The builder is made once per worker and begun anew for each entry; values are copied into one
//! buffer, so that an entry allocates nothing once the buffers have grown.

use timberline_store::{Labels, Metadata};

use super::names::{NameId, Names, is_sane, sanitise};

/// Where a label that the stream does not have came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    /// The entry's structured metadata.
    Metadata,
    /// A stage.
    Parsed,
}

/// Which labels parsers have to make.
#[derive(Clone, Debug, Default)]
pub(crate) struct Required {
    /// The labels that are needed; `None` is all of them.
    pub(crate) names: Option<Vec<NameId>>,
    /// Whether the query asks for `__error__`, so that a parser's error is an answer.
    pub(crate) preserve_error: bool,
    /// Whether parsers look into objects that cannot have a needed label, in order to stop where they
    /// would stop if all labels were needed.
    pub(crate) looks_everywhere: bool,
}

impl Required {
    /// Whether parsers need not run, since nobody looks at what they find.
    pub(crate) fn is_nothing(&self) -> bool {
        self.names.as_ref().is_some_and(Vec::is_empty)
    }
}

/// A piece of the value buffer.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: usize,
    end: usize,
}

/// A label that is not the stream's.
#[derive(Clone, Copy, Debug)]
struct Added {
    name: NameId,
    category: Category,
    value: Piece,
    /// Unset when the label was deleted or set again.
    live: bool,
}

/// What is known about a name. The generations say for which entry.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The position in the stream's labels, plus one.
    stream: u32,
    deleted_in: u32,
    extracted_in: u32,
    added_in: u32,
    added: u32,
    required: bool,
    /// `name_extracted`, once it was needed.
    suffixed: Option<NameId>,
}

/// Metadata whose labels are at the beginning of those added, whatever came behind them.
#[derive(Clone, Debug)]
struct KnownMetadata {
    metadata: Metadata,
    /// How many labels it made.
    labels: usize,
    /// How many bytes their values have.
    bytes: usize,
}

/// Names that are more than these make the builder forget the ones it met in lines.
const NAMES_MAX: usize = 1 << 16;

/// The labels of one entry, as they change from stage to stage.
#[derive(Debug)]
pub(crate) struct LabelBuilder<'p> {
    required: &'p Required,
    names: Names,
    /// Names that are never forgotten: the pipeline's and the output's.
    names_fixed: usize,
    stream: Labels,
    stream_names: Vec<NameId>,
    slots: Vec<Slot>,
    /// Counts entries; wraps to 1, since 0 means never.
    generation: u32,
    added: Vec<Added>,
    values: String,
    /// The metadata that the first labels were added for.
    metadata: Option<KnownMetadata>,
    error: Option<Piece>,
    details: Option<Piece>,
    /// Required names that are not extracted yet.
    missing: usize,
    scratch: String,
}

impl<'p> LabelBuilder<'p> {
    /// A builder that knows `names` for ever, for entries of `stream`.
    pub(crate) fn new(names: Names, required: &'p Required, stream: &Labels) -> Self {
        let mut builder = Self {
            required,
            names_fixed: names.len(),
            slots: vec![Slot::default(); names.len()],
            names,
            stream: Labels::default(),
            stream_names: Vec::new(),
            generation: 1,
            added: Vec::new(),
            values: String::new(),
            metadata: None,
            error: None,
            details: None,
            missing: 0,
            scratch: String::new(),
        };
        builder.mark(required);
        builder.set_stream(stream);
        builder
    }

    /// Notes which names are required, for entries that [`begin_for`](Self::begin_for) begins. Of
    /// several `Required` at most one may name labels.
    pub(crate) fn mark(&mut self, required: &Required) {
        for name in required.names.iter().flatten() {
            self.slots[name.index()].required = true;
        }
    }

    /// As [`begin`](Self::begin), with other labels required than the entry before.
    pub(crate) fn begin_for(&mut self, metadata: &Metadata, required: &'p Required) {
        self.required = required;
        self.begin(metadata);
    }

    /// The labels of the stream that the entries are of.
    pub(crate) const fn stream(&self) -> &Labels {
        &self.stream
    }

    /// Makes the coming entries be `stream`'s.
    pub(crate) fn set_stream(&mut self, stream: &Labels) {
        for name in self.stream_names.drain(..) {
            self.slots[name.index()].stream = 0;
        }
        self.stream = stream.clone();
        self.metadata = None;
        self.note_stream();
    }

    fn note_stream(&mut self) {
        for (position, (name, _)) in (1..).zip(self.stream.clone().iter()) {
            let id = self.intern(name);
            self.slots[id.index()].stream = position;
            self.stream_names.push(id);
        }
    }

    /// Begins an entry: its labels are the stream's and its metadata.
    pub(crate) fn begin(&mut self, metadata: &Metadata) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.forget_generations();
        }
        self.error = None;
        self.details = None;
        self.missing = self.required.names.as_ref().map_or(0, Vec::len);
        match self.metadata.take_if(|known| known.metadata == *metadata) {
            Some(known) => self.add_again(known),
            None => self.add_all_metadata(metadata),
        }
    }

    fn add_all_metadata(&mut self, metadata: &Metadata) {
        self.added.clear();
        self.values.clear();
        for (name, value) in metadata.iter() {
            self.add_metadata(name, value);
        }
        let is_plain = self.error.is_none() && self.details.is_none();
        self.metadata = (is_plain && self.added.iter().all(|added| added.live)).then(|| {
            let (labels, bytes) = (self.added.len(), self.values.len());
            KnownMetadata { metadata: metadata.clone(), labels, bytes }
        });
    }

    /// Adds what the entry before had of the same metadata.
    fn add_again(&mut self, known: KnownMetadata) {
        self.added.truncate(known.labels);
        self.values.truncate(known.bytes);
        for (place, added) in (0..).zip(&mut self.added) {
            added.live = true;
            let slot = &mut self.slots[added.name.index()];
            (slot.added_in, slot.added) = (self.generation, place);
        }
        self.metadata = Some(known);
    }

    fn forget_generations(&mut self) {
        for slot in &mut self.slots {
            (slot.deleted_in, slot.extracted_in, slot.added_in) = (0, 0, 0);
        }
        self.generation = 1;
    }

    fn add_metadata(&mut self, name: &str, value: &str) {
        let mut id = self.intern(name);
        let piece = self.keep(value);
        match id {
            NameId::ERROR => self.error = Some(piece),
            NameId::ERROR_DETAILS => self.details = Some(piece),
            _ => {
                if self.is_stream_name(id) {
                    id = self.suffixed(id);
                }
                self.add(id, Category::Metadata, piece);
            }
        }
    }

    /// Whether so many names were met that [`forget_names`](Self::forget_names) is due.
    pub(crate) fn has_too_many_names(&self) -> bool {
        self.names.len() > self.names_fixed + NAMES_MAX
    }

    /// Forgets the names met in lines: their numbers will be given out anew. Only between entries.
    pub(crate) fn forget_names(&mut self) {
        self.names.truncate(self.names_fixed);
        self.slots.truncate(self.names_fixed);
        for slot in &mut self.slots {
            (slot.stream, slot.suffixed) = (0, None);
        }
        self.forget_generations();
        self.added.clear();
        self.metadata = None;
        self.stream_names.clear();
        self.note_stream();
    }

    fn intern(&mut self, name: &str) -> NameId {
        let id = self.names.intern(name);
        if self.slots.len() <= id.index() {
            self.slots.resize(id.index() + 1, Slot::default());
        }
        id
    }

    fn suffixed(&mut self, id: NameId) -> NameId {
        if let Some(suffixed) = self.slots[id.index()].suffixed {
            return suffixed;
        }
        let suffixed = self.names.intern_suffixed(id);
        if self.slots.len() <= suffixed.index() {
            self.slots.resize(suffixed.index() + 1, Slot::default());
        }
        self.slots[id.index()].suffixed = Some(suffixed);
        suffixed
    }

    fn keep(&mut self, value: &str) -> Piece {
        let start = self.values.len();
        self.values.push_str(value);
        Piece { start, end: self.values.len() }
    }

    fn text(&self, piece: Piece) -> &str {
        &self.values[piece.start..piece.end]
    }

    fn add(&mut self, name: NameId, category: Category, value: Piece) {
        self.remove_added(name);
        let slot = &mut self.slots[name.index()];
        slot.added_in = self.generation;
        // A line has fewer fields than a u32 counts, being shorter than 4 GiB.
        slot.added = u32::try_from(self.added.len()).unwrap_or(u32::MAX);
        self.added.push(Added { name, category, value, live: true });
    }

    fn added(&self, name: NameId) -> Option<&Added> {
        let slot = self.slots.get(name.index())?;
        if slot.added_in != self.generation {
            return None;
        }
        self.added.get(slot.added as usize)
    }

    fn remove_added(&mut self, name: NameId) {
        let slot = &mut self.slots[name.index()];
        if slot.added_in == self.generation {
            slot.added_in = 0;
            if let Some(added) = self.added.get_mut(slot.added as usize) {
                added.live = false;
            }
        }
    }

    fn is_stream_name(&self, name: NameId) -> bool {
        self.slots[name.index()].stream != 0
    }

    fn stream_value(&self, name: NameId) -> Option<&str> {
        let slot = self.slots.get(name.index())?;
        if slot.stream == 0 || slot.deleted_in == self.generation {
            return None;
        }
        let (_, value) = self.stream.iter().nth(slot.stream as usize - 1)?;
        Some(value)
    }

    /// A label's value. `__error__` and its details are no labels here: see [`error`](Self::error).
    pub(crate) fn get(&self, name: NameId) -> Option<&str> {
        match self.added(name) {
            Some(added) => Some(self.text(added.value)),
            None => self.stream_value(name),
        }
    }

    /// A label's value by its text, error labels included.
    pub(crate) fn get_named(&self, name: &str) -> Option<&str> {
        match self.names.find(name)? {
            NameId::ERROR => self.error(),
            NameId::ERROR_DETAILS => self.error_details(),
            id => self.get(id),
        }
    }

    /// The names and their numbers.
    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// Sets a parsed label, whatever had the name before.
    pub(crate) fn set(&mut self, name: NameId, value: &str) {
        let piece = self.keep(value);
        self.set_piece(name, piece);
    }

    /// Sets a parsed label to what `write` appends.
    pub(crate) fn set_with(&mut self, name: NameId, write: impl FnOnce(&mut String)) {
        let start = self.values.len();
        write(&mut self.values);
        let end = self.values.len();
        self.set_piece(name, Piece { start, end });
    }

    fn set_piece(&mut self, name: NameId, piece: Piece) {
        self.add(name, Category::Parsed, piece);
        let slot = &mut self.slots[name.index()];
        if slot.extracted_in != self.generation {
            slot.extracted_in = self.generation;
            if slot.required {
                self.missing = self.missing.saturating_sub(1);
            }
        }
    }

    /// Gives the label `from` the name `to`; nothing where there is no such label.
    pub(crate) fn rename(&mut self, from: NameId, to: NameId) {
        let piece = match self.added(from) {
            Some(added) => added.value,
            None => {
                let mut values = std::mem::take(&mut self.values);
                let start = values.len();
                let found = self.stream_value(from).map(|value| values.push_str(value));
                self.values = values;
                if found.is_none() {
                    return;
                }
                Piece { start, end: self.values.len() }
            }
        };
        self.set_piece(to, piece);
        self.delete(from);
    }

    /// Removes a label, wherever it came from.
    pub(crate) fn delete(&mut self, name: NameId) {
        self.remove_added(name);
        self.slots[name.index()].deleted_in = self.generation;
    }

    /// The label that a parser's key sets: sanitised, out of the way of stream and metadata labels.
    ///
    /// `None` where the key is blank, the label was extracted before or nobody needs it.
    pub(crate) fn target(&mut self, key: &str) -> Option<NameId> {
        if is_sane(key) {
            return self.target_verbatim(key);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        sanitise(key, true, &mut scratch);
        let target = if scratch.is_empty() { None } else { self.target_verbatim(&scratch) };
        self.scratch = scratch;
        target
    }

    /// As [`target`](Self::target), for a key that is a label name already.
    pub(crate) fn target_verbatim(&mut self, name: &str) -> Option<NameId> {
        // Every name that is needed has a number, as does what it was before a collision, so that
        // other keys of the line need none.
        let id = match (self.names.find(name), &self.required.names) {
            (Some(id), _) => id,
            (None, Some(_)) => return None,
            (None, None) => self.intern(name),
        };
        self.target_id(id)
    }

    /// As [`target_verbatim`](Self::target_verbatim), for a name of the pipeline.
    pub(crate) fn target_id(&mut self, id: NameId) -> Option<NameId> {
        let id = self.collision_free(id);
        let slot = &self.slots[id.index()];
        let wanted = self.required.names.is_none() || slot.required;
        (wanted && slot.extracted_in != self.generation).then_some(id)
    }

    /// The name itself, or `name_extracted` where the stream or the metadata has the name.
    pub(crate) fn collision_free(&mut self, id: NameId) -> NameId {
        let in_metadata = self.added(id).is_some_and(|added| added.category == Category::Metadata);
        if self.is_stream_name(id) || in_metadata { self.suffixed(id) } else { id }
    }

    /// Whether parsers have found all that is needed.
    pub(crate) fn has_all_required(&self) -> bool {
        self.missing == 0 && self.required.names.as_ref().is_some_and(|names| !names.is_empty())
    }

    /// Whether a needed label's name may begin with `prefix`.
    pub(crate) fn needs_prefix(&self, prefix: &str) -> bool {
        let begins_so = |name: &NameId| self.names.text(*name).starts_with(prefix);
        self.required.looks_everywhere
            || self.required.names.as_ref().is_none_or(|names| names.iter().any(begins_so))
    }

    /// The code of what went wrong.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.map(|piece| self.text(piece))
    }

    /// The text that goes with the code.
    pub(crate) fn error_details(&self) -> Option<&str> {
        self.details.map(|piece| self.text(piece))
    }

    /// Notes that something went wrong, over what may have gone wrong before.
    pub(crate) fn set_error(&mut self, code: &str, details: &str) {
        self.set_error_code(code);
        self.details = Some(self.keep(details));
    }

    /// As [`set_error`](Self::set_error), without touching the details.
    pub(crate) fn set_error_code(&mut self, code: &str) {
        self.error = Some(self.keep(code));
    }

    /// As [`set_error`](Self::set_error); where the query asks for errors, marks this one as an answer.
    pub(crate) fn set_parser_error(&mut self, code: &str, details: Option<&str>) {
        match details {
            Some(details) => self.set_error(code, details),
            None => self.set_error_code(code),
        }
        if self.required.preserve_error {
            self.set(NameId::PRESERVE_ERROR, "true");
        }
    }

    /// Forgets the code.
    pub(crate) fn clear_error(&mut self) {
        self.error = None;
    }

    /// Forgets the text that goes with the code.
    pub(crate) fn clear_error_details(&mut self) {
        self.details = None;
    }

    /// The stream's labels that are still to be seen, with their positions.
    pub(crate) fn stream_labels(&self) -> impl Iterator<Item = (usize, NameId, &str)> {
        let pairs = self.stream_names.iter().zip(self.stream.iter());
        pairs.enumerate().filter_map(|(position, (&name, (_, value)))| {
            let slot = &self.slots[name.index()];
            let hidden = [slot.deleted_in, slot.added_in].contains(&self.generation);
            (!hidden).then_some((position, name, value))
        })
    }

    /// The labels of metadata and stages, in the order they were set.
    pub(crate) fn added_labels(&self) -> impl Iterator<Item = (NameId, Category, &str)> {
        let live = self.added.iter().filter(|added| added.live);
        live.map(|added| (added.name, added.category, self.text(added.value)))
    }

    /// Puts the labels of metadata and stages into the order of their numbers: each with the index
    /// that [`added_at`](Self::added_at) takes.
    pub(crate) fn order_added(&self, order: &mut Vec<(NameId, usize)>) {
        order.clear();
        let live = self.added.iter().enumerate().filter(|(_, added)| added.live);
        order.extend(live.map(|(index, added)| (added.name, index)));
        order.sort_unstable();
    }

    /// A label of metadata or a stage by its index.
    pub(crate) fn added_at(&self, index: usize) -> (Category, &str) {
        let added = &self.added[index];
        (added.category, self.text(added.value))
    }

    /// All labels but the error's, in no order.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (NameId, &str)> {
        let stream = self.stream_labels().map(|(_, name, value)| (name, value));
        stream.chain(self.added_labels().map(|(name, _, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::metadata(pairs.iter().copied()).unwrap()
    }

    fn text(builder: &LabelBuilder<'_>) -> String {
        let mut pairs: Vec<_> =
            builder.labels().map(|(name, value)| (builder.names().text(name), value)).collect();
        pairs.sort_unstable();
        pairs.iter().map(|(name, value)| format!("{name}={value} ")).collect()
    }

    fn parse(builder: &mut LabelBuilder<'_>, key: &str, value: &str) {
        if let Some(target) = builder.target(key) {
            builder.set(target, value);
        }
    }

    #[test]
    fn stream_metadata_and_parsed_labels_of_one_name() {
        let required = Required::default();
        let mut builder = LabelBuilder::new(Names::new(), &required, &labels(&[("k", "stream")]));
        builder.begin(&labels(&[("k", "meta"), ("m", "meta")]));
        assert_eq!(text(&builder), "k=stream k_extracted=meta m=meta ");
        parse(&mut builder, "k", "parsed");
        parse(&mut builder, "m", "parsed");
        assert_eq!(text(&builder), "k=stream k_extracted=parsed m=meta m_extracted=parsed ");
        builder.begin(&labels(&[]));
        assert_eq!(text(&builder), "k=stream ");
    }

    #[test]
    fn the_first_parsed_value_stays_and_a_dropped_one_does_not_come_back() {
        let required = Required::default();
        let mut builder = LabelBuilder::new(Names::new(), &required, &labels(&[("s", "1")]));
        builder.begin(&labels(&[]));
        parse(&mut builder, "a", "first");
        parse(&mut builder, "a", "second");
        assert_eq!(text(&builder), "a=first s=1 ");
        let (a, s) = (builder.names.find("a").unwrap(), builder.names.find("s").unwrap());
        builder.delete(a);
        parse(&mut builder, "a", "third");
        builder.delete(s);
        parse(&mut builder, "s", "2");
        assert_eq!(text(&builder), "s_extracted=2 ");
    }

    #[test]
    fn errors_in_metadata_are_errors() {
        let required = Required::default();
        let mut builder = LabelBuilder::new(Names::new(), &required, &labels(&[]));
        builder.begin(&labels(&[("__error__", "E"), ("__error_details__", "d")]));
        assert_eq!((builder.error(), builder.error_details()), (Some("E"), Some("d")));
        assert_eq!(text(&builder), "");
    }

    #[test]
    fn only_required_labels_are_wanted() {
        let mut names = Names::new();
        let required = Required {
            names: Some(vec![names.intern("a"), names.intern("b")]),
            ..Required::default()
        };
        let mut builder = LabelBuilder::new(names, &required, &labels(&[]));
        builder.begin(&labels(&[]));
        parse(&mut builder, "x", "1");
        parse(&mut builder, "a", "1");
        assert!(!builder.has_all_required());
        parse(&mut builder, "b", "1");
        assert!(builder.has_all_required());
        assert_eq!(text(&builder), "a=1 b=1 ");
    }

    #[test]
    fn names_of_lines_can_be_forgotten() {
        let required = Required::default();
        let mut builder = LabelBuilder::new(Names::new(), &required, &labels(&[("s", "1")]));
        for round in 0..2 {
            for number in 0..NAMES_MAX {
                builder.begin(&labels(&[]));
                parse(&mut builder, &format!("key{round}_{number}"), "v");
                parse(&mut builder, "s", "v");
            }
            assert!(builder.has_too_many_names());
            builder.forget_names();
        }
        builder.begin(&labels(&[]));
        parse(&mut builder, "s", "v");
        assert_eq!(text(&builder), "s=1 s_extracted=v ");
    }
}
