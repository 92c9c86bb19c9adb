//! An entry's labels, by where they came from.

use std::collections::{BTreeMap, BTreeSet};

use timberline_store::Labels;

use super::hints::Needed;

/// Labels by name.
pub(super) type Map = BTreeMap<String, String>;

/// The labels of one entry on its way through the stages.
pub(super) struct EntryLabels<'a> {
    stream: Map,
    deleted: BTreeSet<String>,
    metadata: Map,
    parsed: Map,
    extracted: BTreeSet<String>,
    needed: &'a Needed,
    pub(super) error: Option<String>,
    pub(super) details: Option<String>,
}

/// The labels of an entry that passed, apart.
pub(super) struct Categories {
    pub(super) stream: Labels,
    pub(super) metadata: Labels,
    pub(super) parsed: Labels,
}

/// A map as a label set; empty values stay.
pub(super) fn to_labels(map: &Map) -> Labels {
    let pairs = map.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::metadata(pairs).unwrap_or_default()
}

/// A key as a label's name; blank keys are no names.
pub(super) fn sanitised(key: &str, is_first: bool) -> String {
    let key = key.trim();
    let digit = is_first && key.chars().next().is_some_and(|first| first.is_ascii_digit());
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    digit.then_some('_').into_iter().chain(key.chars().map(kept)).collect()
}

impl<'a> EntryLabels<'a> {
    pub(super) fn new(stream: &Labels, metadata: &Labels, needed: &'a Needed) -> Self {
        let map = |labels: &Labels| -> Map {
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let mut this = Self {
            stream: map(stream),
            deleted: BTreeSet::new(),
            metadata: Map::new(),
            parsed: Map::new(),
            extracted: BTreeSet::new(),
            needed,
            error: None,
            details: None,
        };
        for (name, value) in map(metadata) {
            match name.as_str() {
                "__error__" => this.error = Some(value),
                "__error_details__" => this.details = Some(value),
                _ if this.stream.contains_key(&name) => {
                    this.metadata.insert(format!("{name}_extracted"), value);
                }
                _ => {
                    this.metadata.insert(name, value);
                }
            }
        }
        this
    }

    /// A label's value. The error's are none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let added = self.metadata.get(name).or_else(|| self.parsed.get(name));
        let stream = || self.stream.get(name).filter(|_| !self.deleted.contains(name));
        added.or_else(stream).map(String::as_str)
    }

    /// Sets a parsed label, whatever had its name.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.metadata.remove(name);
        self.parsed.insert(name.to_owned(), value);
        self.extracted.insert(name.to_owned());
    }

    /// The name that a parser's label gets.
    pub(super) fn free_name(&self, name: &str) -> String {
        let taken = self.stream.contains_key(name) || self.metadata.contains_key(name);
        if taken { format!("{name}_extracted") } else { name.to_owned() }
    }

    /// Sets a label as parsers do: the first value stays, and nobody's labels are not made.
    pub(super) fn extract(&mut self, name: &str, value: String) {
        let name = self.free_name(name);
        let wanted = self.needed.names.as_ref().is_none_or(|names| names.contains(&name));
        if wanted && !self.extracted.contains(&name) {
            self.set(&name, value);
        }
    }

    /// Whether all that is needed was found.
    pub(super) fn is_complete(&self) -> bool {
        let names = self.needed.names.as_ref();
        names.is_some_and(|names| !names.is_empty() && names.is_subset(&self.extracted))
    }

    /// Whether the name of something that is needed begins so.
    pub(super) fn needs_prefix(&self, prefix: &str) -> bool {
        let names = self.needed.names.as_ref();
        names.is_none_or(|names| names.iter().any(|name| name.starts_with(prefix)))
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.metadata.remove(name);
        self.parsed.remove(name);
        self.deleted.insert(name.to_owned());
    }

    pub(super) fn fail(&mut self, code: &str, details: &str) {
        self.error = Some(code.to_owned());
        self.details = Some(details.to_owned());
    }

    /// As [`fail`](Self::fail), by a parser, whose errors a query may ask for.
    pub(super) fn fail_parsing(&mut self, code: &str, details: Option<&str>) {
        self.error = Some(code.to_owned());
        if let Some(details) = details {
            self.details = Some(details.to_owned());
        }
        if self.needed.error {
            self.set("__preserve_error__", "true".to_owned());
        }
    }

    /// Whether a metric query fails for this entry.
    pub(super) fn is_faulty(&self) -> bool {
        self.error.is_some() && self.get("__preserve_error__") != Some("true")
    }

    /// All labels but the error's.
    pub(super) fn all(&self) -> Map {
        let mut all = self.stream.clone();
        all.retain(|name, _| !self.deleted.contains(name));
        all.extend(self.metadata.clone());
        all.extend(self.parsed.clone());
        all
    }

    /// All labels, and the error's.
    pub(super) fn with_error(&self) -> Map {
        let mut all = self.all();
        all.extend(self.error_labels());
        all
    }

    fn error_labels(&self) -> Map {
        let code = self.error.iter().map(|code| ("__error__".to_owned(), code.clone()));
        let details = self.details.iter();
        let details = details.map(|details| ("__error_details__".to_owned(), details.clone()));
        code.chain(details).collect()
    }

    pub(super) fn categories(&self) -> Categories {
        let mut stream = self.stream.clone();
        stream.retain(|name, _| {
            !self.deleted.contains(name)
                && !self.metadata.contains_key(name)
                && !self.parsed.contains_key(name)
        });
        let mut parsed = self.parsed.clone();
        parsed.extend(self.error_labels());
        Categories {
            stream: to_labels(&stream),
            metadata: to_labels(&self.metadata),
            parsed: to_labels(&parsed),
        }
    }
}
