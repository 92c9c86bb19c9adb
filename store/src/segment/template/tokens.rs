//! Cuts a text into tokens, which may vary from line to line, and separators, which make its skeleton.
//!
//! A token is a run of letters and digits, or what stands between double quotes when that is more than
//! such a run. Everything else is a separator. So are the keys of JSON and logfmt: lines of another
//! schema have another skeleton, and the values behind equal keys come to stand in one column.

/// What a token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters: part of a sentence, most likely.
    Word,
    /// Has a digit, or is hexadecimal: a value, most likely.
    Number,
    /// What stands between quotes.
    Quoted,
}

/// A token's place in the bytes that it was cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) start: u32,
    /// The kind is in the two highest bits. There are many tokens, so they are small.
    len_and_kind: u16,
    /// Tells tokens apart, but for a few: whoever relies on two being equal compares their bytes.
    hash: u16,
}

/// Texts with longer tokens are not cut.
pub(super) const TOKEN_LEN_MAX: usize = (1 << 14) - 1;

impl Token {
    pub(super) const fn end(self) -> u32 {
        self.start + (self.len_and_kind & TOKEN_LEN_MAX as u16) as u32
    }

    pub(super) const fn kind(self) -> Kind {
        match self.len_and_kind >> 14 {
            0 => Kind::Word,
            1 => Kind::Number,
            _ => Kind::Quoted,
        }
    }

    /// The same for equal tokens, and seldom for others.
    pub(super) const fn look(self) -> u32 {
        (self.len_and_kind as u32) << 16 | self.hash as u32
    }
}

const LETTER: u8 = 1;
const HEX_LETTER: u8 = 2;
const DIGIT: u8 = 4;
const SEPARATOR: u8 = 8;
const QUOTE: u8 = 16;

/// What ends a run.
const END: u8 = SEPARATOR | QUOTE;

/// What each byte is. Bytes above ASCII are letters: a character is never cut.
const CLASSES: [u8; 256] = {
    let mut classes = [SEPARATOR; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte {
            0x30..=0x39 => DIGIT,
            0x41..=0x46 | 0x61..=0x66 => HEX_LETTER,
            0x47..=0x5a | 0x67..=0x7a | 0x80..=0xff => LETTER,
            0x22 => QUOTE,
            _ => SEPARATOR,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

/// Two odd numbers with bits all over.
const FACTORS: [u64; 2] = [0x2127_599b_f432_5c37, 0x9e37_79b9_7f4a_7c15];

/// Takes eight bytes into a hash.
const fn mixed(hash: u64, bytes: u64) -> u64 {
    let hash = (hash ^ bytes).wrapping_mul(FACTORS[0]);
    hash ^ hash >> 29
}

/// A hash of some bytes.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let hash =
        words.iter().fold(bytes.len() as u64, |hash, word| mixed(hash, u64::from_le_bytes(*word)));
    mixed(hash, rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

/// Hexadecimal runs from this length on are values even without a digit: a part of a UUID may have none.
const HEX_LEN_MIN: usize = 4;

/// The longest key that is a part of the skeleton.
const KEY_LEN_MAX: usize = 128;

/// Cuts `bytes[start..end]`, appends its tokens and returns a hash of its skeleton; `None` where a token
/// is too long.
///
/// Places are of 32 bits: `end` is at most `u32::MAX`.
pub(super) fn tokenize(
    bytes: &[u8],
    start: usize,
    end: usize,
    tokens: &mut Vec<Token>,
) -> Option<u64> {
    let text = bytes.get(..end).unwrap_or_default();
    let mut cutter =
        Cutter { text, hash: FACTORS[1], tokens, has_quotes: true, is_too_long: false };
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        at = match class(byte) {
            SEPARATOR => cutter.separator(at, byte),
            QUOTE => cutter.quote(at),
            _ => cutter.run(at),
        };
    }
    (!cutter.is_too_long).then_some(cutter.hash)
}

struct Cutter<'a> {
    text: &'a [u8],
    hash: u64,
    tokens: &'a mut Vec<Token>,
    /// Whether a closing quote may still come.
    has_quotes: bool,
    is_too_long: bool,
}

impl Cutter<'_> {
    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(FACTORS[0]).rotate_left(29);
    }

    fn separator(&mut self, at: usize, byte: u8) -> usize {
        self.mix(byte.into());
        at + 1
    }

    fn separators(&mut self, start: usize, end: usize) -> usize {
        self.mix(hash(&self.text[start..end]));
        end
    }

    /// `hash` tells it from others of its kind and length.
    fn token(&mut self, start: usize, end: usize, kind: Kind, hash: u64) -> usize {
        self.mix(0x100 + kind as u64);
        self.is_too_long |= end - start > TOKEN_LEN_MAX;
        // Places are of 32 bits, and so much of the hash is enough.
        self.tokens.push(Token {
            start: start as u32,
            len_and_kind: (end - start) as u16 & TOKEN_LEN_MAX as u16 | (kind as u16) << 14,
            hash: (hash >> 48) as u16,
        });
        end
    }

    /// A run of letters and digits.
    fn run(&mut self, start: usize) -> usize {
        let Run { len, has_digits, hash } = Run::of(self.text, start);
        let end = start + len;
        if has_digits {
            return self.token(start, end, Kind::Number, hash);
        }
        if len >= HEX_LEN_MIN && self.text[start..end].iter().all(|byte| class(*byte) == HEX_LETTER)
        {
            return self.token(start, end, Kind::Number, hash);
        }
        if self.text.get(end) == Some(&b'=') {
            self.mix(hash);
            return end;
        }
        self.token(start, end, Kind::Word, hash)
    }

    /// What stands between quotes and is more than a run.
    fn quoted(&mut self, start: usize, end: usize) -> usize {
        self.token(start, end, Kind::Quoted, hash(&self.text[start..end]))
    }

    /// A quote that may begin a key, a value, or be a separator like any other.
    fn quote(&mut self, at: usize) -> usize {
        // Within a JSON text in a JSON text quotes are escaped.
        let is_escaped = at.checked_sub(1).and_then(|before| self.text.get(before)) == Some(&b'\\');
        let start = at + 1;
        let Some(end) = self.closing(start, is_escaped) else {
            self.has_quotes = false;
            return self.separator(at, b'"');
        };
        let quote_end = if is_escaped { end + 2 } else { end + 1 };
        let is_key = end - start <= KEY_LEN_MAX && self.text.get(quote_end) == Some(&b':');
        if is_key || end == start {
            return self.separators(at, quote_end);
        }
        self.separator(at, b'"');
        let is_run = self.text[start..end].iter().all(|byte| class(*byte) & END == 0);
        let end = if is_run { self.run(start) } else { self.quoted(start, end) };
        self.separators(end, quote_end)
    }

    /// Where the quotes end that were opened before `start`.
    fn closing(&self, start: usize, is_escaped: bool) -> Option<usize> {
        if !self.has_quotes {
            return None;
        }
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.text.get(at..)?)?;
            let is_quote = self.text[at] == b'"';
            if is_escaped {
                // Ends at the next escaped quote; a bare one ends the text around it.
                let next = self.text.get(at + 1);
                match (is_quote, next) {
                    (false, Some(b'"')) => return Some(at),
                    (true, _) => return None,
                    (false, _) => at += 2,
                }
            } else if is_quote {
                return Some(at);
            } else {
                at += 2;
            }
        }
    }
}

/// Letters and digits in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    len: usize,
    has_digits: bool,
    hash: u64,
}

impl Run {
    /// The run that begins at a place of a text.
    ///
    /// Runs are short: where one ends is told for eight bytes at once, rather than guessed byte by byte, and
    /// the same bytes are hashed.
    fn of(text: &[u8], start: usize) -> Self {
        let mut run = Self { len: 0, has_digits: false, hash: FACTORS[1] };
        loop {
            let bytes = eight_bytes(text, start + run.len);
            let classes = Classes::of(bytes);
            let bits = classes.ends.trailing_zeros() & !7;
            let kept = !u64::MAX.checked_shl(bits).unwrap_or(0);
            run.has_digits |= classes.digits & kept != 0;
            run.hash = mixed(run.hash, bytes & kept);
            run.len += bits as usize / 8;
            if bits < u64::BITS {
                return run;
            }
        }
    }
}

/// The bytes at a place of a text, the first the lowest; zeros, which are separators, stand for those beyond its
/// end.
fn eight_bytes(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    match text.last_chunk() {
        Some(last) => {
            u64::from_le_bytes(*last).checked_shr(64 - 8 * rest.len() as u32).unwrap_or(0)
        }
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// What eight bytes are: the highest bit of each is set or not.
struct Classes {
    digits: u64,
    /// Those that end a run.
    ends: u64,
}

impl Classes {
    const fn of(bytes: u64) -> Self {
        const ONES: u64 = u64::MAX / 0xff;
        const HIGH: u64 = ONES * 0x80;
        /// Bytes below 128 that are at least as large as the one.
        const fn at_least(bytes: u64, least: u8) -> u64 {
            // No sum reaches into the next byte.
            bytes + ONES * (0x80 - least as u64)
        }
        let (ascii, others) = (bytes & !HIGH, bytes & HIGH);
        let lower = ascii | (ONES * 0x20);
        let digits = at_least(ascii, b'0') & !at_least(ascii, b'9' + 1) & HIGH & !others;
        let letters = at_least(lower, b'a') & !at_least(lower, b'z' + 1);
        Self { digits, ends: HIGH & !(digits | letters | others) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<(&str, Kind)> {
        let mut tokens = Vec::new();
        tokenize(text.as_bytes(), 0, text.len(), &mut tokens);
        tokens
            .iter()
            .map(|token| (&text[token.start as usize..token.end() as usize], token.kind()))
            .collect()
    }

    fn hash(text: &str) -> Option<u64> {
        tokenize(text.as_bytes(), 0, text.len(), &mut Vec::new())
    }

    #[test]
    fn runs_are_words_or_numbers() {
        use Kind::{Number, Word};
        assert_eq!(
            cut("took 12ms, id=cafe-0x1F für Jörg"),
            [
                ("took", Word),
                ("12ms", Number),
                ("cafe", Number),
                ("0x1F", Number),
                ("für", Word),
                ("Jörg", Word)
            ]
        );
    }

    #[test]
    fn keys_belong_to_the_skeleton() {
        assert_eq!(cut(r#"{"level":"info","n":12}"#), [("info", Kind::Word), ("12", Kind::Number)]);
        assert_eq!(cut("level=warn n=7"), [("warn", Kind::Word), ("7", Kind::Number)]);
        assert_ne!(hash("a=1"), hash("b=1"));
        assert_eq!(hash("a=1 x"), hash("a=22 why"));
        assert_ne!(hash("a=1"), hash("a=x"));
    }

    #[test]
    fn quoted_text_is_one_token() {
        assert_eq!(
            cut(r#"x "GET /a HTTP/1.1" "" "one" "q \" q""#),
            [
                ("x", Kind::Word),
                ("GET /a HTTP/1.1", Kind::Quoted),
                ("one", Kind::Word),
                (r#"q \" q"#, Kind::Quoted)
            ]
        );
        assert_eq!(cut(r#"5" disk"#), [("5", Kind::Number), ("disk", Kind::Word)]);
    }

    #[test]
    fn json_in_json_is_cut_by_its_own_quotes() {
        let inner = r#"{\"a\":\"b c\",\"d\":1}"#;
        assert_eq!(cut(inner), [("b c", Kind::Quoted), ("1", Kind::Number)]);
    }

    proptest! {
        #[test]
        fn a_run_is_that_of_a_look_at_each_byte(
            before in prop::collection::vec(any::<u8>(), 0..10),
            text in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"09afAFgzGZ/:@`[{\x80".to_vec())], 0..40),
        ) {
            let run: Vec<u8> = text.iter().copied().take_while(|byte| class(*byte) & END == 0).collect();
            let found = Run::of(&[before.as_slice(), &text].concat(), before.len());
            prop_assert_eq!(found.len, run.len());
            prop_assert_eq!(found.has_digits, run.iter().any(u8::is_ascii_digit));
            prop_assert_eq!(found, Run::of(&run, 0), "whatever is around it");
        }

        #[test]
        fn runs_of_letters_and_digits_are_found_at_any_length(run in "[a-zA-Z0-9é]{0,30}", end in "[ =-]{0,2}") {
            prop_assert_eq!(Run::of(format!("{run}{end}").as_bytes(), 0).len, run.len());
        }

        #[test]
        fn other_runs_have_other_hashes(one in "[a-z0-9]{1,20}", other in "[a-z0-9]{1,20}") {
            let hash = |run: &str| Run::of(run.as_bytes(), 0).hash;
            prop_assert_eq!(one == other, hash(&one) == hash(&other));
        }
    }
}
