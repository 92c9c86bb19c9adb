//! Label names as small numbers.
//!
//! A pipeline names labels when it is compiled and meets the same few again on every line, so each
//! name gets a number once and the hot loop compares numbers.

use std::collections::HashMap;

use super::hash::FoldState;

/// What parsers append to a name that the stream or its metadata already has.
const COLLISION_SUFFIX: &str = "_extracted";

/// The number of a name in a [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(u32);

impl NameId {
    /// `__error__`: the code of what went wrong on a line.
    pub(crate) const ERROR: Self = Self(0);
    /// `__error_details__`: the text that goes with it.
    pub(crate) const ERROR_DETAILS: Self = Self(1);
    /// `__preserve_error__`: the query asked for errors, so they are no failure.
    pub(crate) const PRESERVE_ERROR: Self = Self(2);

    /// As an index.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The number itself, for keys.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }
}

/// Names with their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    texts: Vec<Box<str>>,
    ids: HashMap<Box<str>, NameId, FoldState>,
}

impl Names {
    /// The three names that every table has.
    pub(crate) fn new() -> Self {
        let mut names = Self { texts: Vec::new(), ids: HashMap::default() };
        for special in ["__error__", "__error_details__", "__preserve_error__"] {
            names.intern(special);
        }
        names
    }

    /// The number of `name`, new where it has none yet.
    pub(crate) fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.find(name) {
            return id;
        }
        // Tables are cut back long before they could have more names than a u32 counts.
        let id = NameId(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.texts.push(name.into());
        self.ids.insert(name.into(), id);
        id
    }

    /// The number of `name_extracted`.
    pub(crate) fn intern_suffixed(&mut self, id: NameId) -> NameId {
        let suffixed = format!("{}{COLLISION_SUFFIX}", self.text(id));
        self.intern(&suffixed)
    }

    /// The number of `name`, if it has one.
    pub(crate) fn find(&self, name: &str) -> Option<NameId> {
        self.ids.get(name).copied()
    }

    /// The name of a number.
    pub(crate) fn text(&self, id: NameId) -> &str {
        &self.texts[id.index()]
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Forgets all but the first `count` names.
    pub(crate) fn truncate(&mut self, count: usize) {
        for name in self.texts.drain(count..) {
            self.ids.remove(&name);
        }
    }
}

/// The name without what parsers append on a collision.
pub(crate) fn strip_collision_suffix(name: &str) -> &str {
    name.strip_suffix(COLLISION_SUFFIX).unwrap_or(name)
}

/// Makes a label name of a key, as json, logfmt, regexp and unpack do: trimmed, `_` before a leading
/// digit (where `may_prefix`), and every other character outside `[A-Za-z0-9_]` becomes one `_`.
///
/// Appends to `out`; a blank key appends nothing.
pub(crate) fn sanitise(key: &str, may_prefix: bool, out: &mut String) {
    let key = key.trim();
    if may_prefix && key.starts_with(|first: char| first.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
}

/// Whether [`sanitise`] would leave the key as it is.
pub(crate) fn is_sane(key: &str) -> bool {
    let bytes = key.as_bytes();
    bytes.first().is_some_and(|first| !first.is_ascii_digit())
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names() {
        let name = |key: &str| {
            let mut out = String::new();
            sanitise(key, true, &mut out);
            assert_eq!(is_sane(key), out == key && !key.is_empty(), "{key:?}");
            out
        };
        assert_eq!(name("with space"), "with_space");
        assert_eq!(name("  trimmed\u{a0}"), "trimmed");
        assert_eq!(name("1st"), "_1st");
        assert_eq!(name("ünï"), "_n_");
        assert_eq!(name("a--b"), "a__b");
        assert_eq!(name(" "), "");
    }

    #[test]
    fn names_are_numbered_once_and_can_be_forgotten() {
        let mut names = Names::new();
        let fixed = names.len();
        let id = names.intern("a");
        assert_eq!(names.intern("a"), id);
        let suffixed = names.intern_suffixed(id);
        assert_eq!(names.text(suffixed), "a_extracted");
        names.truncate(fixed);
        assert_eq!(names.find("a"), None);
        assert_eq!(names.find("__error__"), Some(NameId::ERROR));
    }
}
