//! What is searched for in lines.

use std::fmt;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

/// Bytes to be found somewhere in a line, as they are or with ASCII letters in either case.
#[derive(Clone)]
pub struct Needle {
    /// In lower case where case is ignored; never empty.
    bytes: Vec<u8>,
    search: Search,
}

#[derive(Clone, Debug)]
enum Search {
    Exact(Box<Finder<'static>>),
    EitherCase(Regex),
}

impl Needle {
    /// These bytes as they are. An empty needle is in every line.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let finder = Finder::new(bytes).into_owned();
        Self { bytes: bytes.to_vec(), search: Search::Exact(Box::new(finder)) }
    }

    /// These bytes, with ASCII letters in either case; `None` where they make too large an automaton.
    pub(crate) fn in_either_case(bytes: &[u8]) -> Option<Self> {
        let pattern: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let regex =
            RegexBuilder::new(&pattern).case_insensitive(true).unicode(false).build().ok()?;
        Some(Self { bytes: bytes.to_ascii_lowercase(), search: Search::EitherCase(regex) })
    }

    /// The bytes; those of either case in lower case.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn ignores_case(&self) -> bool {
        matches!(self.search, Search::EitherCase(_))
    }

    /// Where it is found first.
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        match &self.search {
            Search::Exact(finder) => finder.find(text),
            Search::EitherCase(regex) => regex.find(text).map(|found| found.start()),
        }
    }

    /// Whether a text is the same as a part of the needle.
    pub(crate) fn is_alike(&self, text: &[u8], part: &[u8]) -> bool {
        match self.search {
            Search::Exact(_) => text == part,
            Search::EitherCase(_) => text.eq_ignore_ascii_case(part),
        }
    }
}

impl fmt::Debug for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.ignores_case() { "(?i)" } else { "" };
        write!(f, "{prefix}{:?}", String::from_utf8_lossy(&self.bytes))
    }
}
