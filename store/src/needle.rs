//! What is searched for in lines.

use std::fmt;
use std::ops::Range;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

/// Bytes to be found somewhere in a line, as they are or with ASCII letters in either case.
#[derive(Clone)]
pub struct Needle {
    /// In lower case where case is ignored; never empty.
    bytes: Vec<u8>,
    search: Search,
    /// The bytes that texts have where they have it: letters in either case where case is ignored.
    set: [u64; 4],
    /// Of its bytes: bit `b` for the byte `b` in ASCII, and whether there are others.
    stamp: (u128, bool),
    /// The longest run of ASCII letters and digits in it.
    word_len: usize,
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
        Self {
            bytes: bytes.to_vec(),
            search: Search::Exact(Box::new(finder)),
            set: set_of(bytes.iter().copied()),
            stamp: stamp_of(bytes),
            word_len: longest_word(bytes),
        }
    }

    /// These bytes, with ASCII letters in either case; `None` where they make too large an automaton.
    pub(crate) fn in_either_case(bytes: &[u8]) -> Option<Self> {
        let pattern: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let regex =
            RegexBuilder::new(&pattern).case_insensitive(true).unicode(false).build().ok()?;
        let cases =
            bytes.iter().flat_map(|byte| [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
        let (set, word_len) = (set_of(cases), longest_word(bytes));
        let bytes = bytes.to_ascii_lowercase();
        Some(Self {
            stamp: stamp_of(&bytes),
            bytes,
            search: Search::EitherCase(regex),
            set,
            word_len,
        })
    }

    /// The bytes; those of either case in lower case.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) const fn ignores_case(&self) -> bool {
        matches!(self.search, Search::EitherCase(_))
    }

    /// Whether a text can have a byte where it has the needle.
    pub(crate) const fn may_have(&self, byte: u8) -> bool {
        self.set[(byte >> 6) as usize] >> (byte & 63) & 1 != 0
    }

    /// Whether a text of some bytes can have it: of those in ASCII, bit `b` for the byte `b`, and others if
    /// there are any.
    pub(crate) const fn is_made_of(&self, ascii: u128, others: bool) -> bool {
        let ascii = match self.ignores_case() {
            true => ascii | (ascii & UPPER_CASE) << 32,
            false => ascii,
        };
        self.stamp.0 & !ascii == 0 && (others || !self.stamp.1)
    }

    /// The longest run of ASCII letters and digits in it.
    pub(crate) const fn word_len(&self) -> usize {
        self.word_len
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

/// The longest run of ASCII letters and digits in a text.
fn longest_word(text: &[u8]) -> usize {
    longer_word(text, 0)
}

/// The longest run of ASCII letters and digits in a text, or `known`, if that is more.
pub(crate) fn longer_word(text: &[u8], known: usize) -> usize {
    let mut longest = known;
    for_each_word(text, known, |word| {
        longest = word.len();
        longest
    });
    longest
}

/// Calls back with the place of each run of ASCII letters and digits that is longer than `len`. What is
/// returned is `len` from there on.
///
/// Such a run has one of any `len + 1` bytes in a row, so that most bytes are passed over.
pub(crate) fn for_each_word(
    text: &[u8],
    mut len: usize,
    mut found: impl FnMut(Range<usize>) -> usize,
) {
    let is_in_word = |byte: &&u8| byte.is_ascii_alphanumeric();
    let (mut behind, mut at) = (0, len);
    while let Some(byte) = text.get(at) {
        if byte.is_ascii_alphanumeric() {
            let start = at - text[behind..at].iter().rev().take_while(is_in_word).count();
            at += text[at..].iter().take_while(is_in_word).count();
            if at - start > len {
                len = found(start..at);
            }
        }
        behind = at;
        at += len + 1;
    }
}

/// The bits of the upper-case letters; those of the lower-case ones are 32 further.
const UPPER_CASE: u128 = ((1 << 26) - 1) << b'A';

fn stamp_of(bytes: &[u8]) -> (u128, bool) {
    let ascii = bytes.iter().filter(|byte| byte.is_ascii());
    (ascii.fold(0, |set, byte| set | 1 << byte), !bytes.is_ascii())
}

fn set_of(bytes: impl Iterator<Item = u8>) -> [u64; 4] {
    let mut set = [0; 4];
    bytes.for_each(|byte| set[usize::from(byte >> 6)] |= 1 << (byte & 63));
    set
}

impl fmt::Debug for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.ignores_case() { "(?i)" } else { "" };
        write!(f, "{prefix}{:?}", String::from_utf8_lossy(&self.bytes))
    }
}
