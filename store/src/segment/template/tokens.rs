//! Cuts a text into tokens, which may vary from line to line, and separators, which make its skeleton.
//!
//! A token is a run of letters and digits, or what stands between double quotes when that is more than
//! such a run. Everything else is a separator. So are the keys of JSON and logfmt: lines of another
//! schema have another skeleton, and the values behind equal keys come to stand in one column.

use super::window::Window;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) start: u32,
    /// From the highest bits on: the kind in two, the length in 14, and a hash that tells tokens apart, but for a
    /// few: whoever relies on two being equal compares their bytes. There are many tokens, so they are small.
    look: u32,
}

/// Texts with longer tokens are not cut.
pub(super) const TOKEN_LEN_MAX: usize = (1 << 14) - 1;

impl Token {
    /// Of a place and a length that have so many bits, which are cut off here.
    const fn new(start: usize, len: usize, kind: Kind, hash: u64) -> Self {
        let len = (len & TOKEN_LEN_MAX) as u32;
        Self { start: start as u32, look: (kind as u32) << 30 | len << 16 | (hash >> 48) as u32 }
    }

    pub(super) const fn end(self) -> u32 {
        self.start + (self.look >> 16 & TOKEN_LEN_MAX as u32)
    }

    pub(super) const fn kind(self) -> Kind {
        match self.look >> 30 {
            0 => Kind::Word,
            1 => Kind::Number,
            _ => Kind::Quoted,
        }
    }

    /// The same for equal tokens, and seldom for others.
    pub(super) const fn look(self) -> u32 {
        self.look
    }
}

/// Two odd numbers with bits all over.
const FACTORS: [u64; 2] = [0x2127_599b_f432_5c37, 0x9e37_79b9_7f4a_7c15];

/// Takes eight bytes into a hash.
const fn mixed(hash: u64, bytes: u64) -> u64 {
    let hash = (hash ^ bytes).wrapping_mul(FACTORS[0]);
    hash ^ hash >> 29
}

/// Hexadecimal runs from this length on are values even without a digit: a part of a UUID may have none.
const HEX_LEN_MIN: usize = 4;

/// The longest key that is a part of the skeleton.
const KEY_LEN_MAX: usize = 128;

/// Texts with more tokens are not cut.
pub(super) const TOKENS_MAX: usize = 1024;

/// Cuts `bytes[start..end]`, puts its tokens into the first places of `tokens` and returns how many they are and a
/// hash of its skeleton; `None` where a token is too long, or there are too many.
///
/// Places are of 32 bits: `end` is at most `u32::MAX`.
pub(super) fn tokenize(
    bytes: &[u8],
    start: usize,
    end: usize,
    tokens: &mut [Token; TOKENS_MAX],
) -> Option<(usize, u64)> {
    let end = end.min(bytes.len());
    let text = &bytes[..end];
    let has_quotes = memchr::memchr(b'"', text.get(start..).unwrap_or_default()).is_some();
    let mut quotes = Quotes { text, start, may_close: true, closing: None };
    let mut cutter =
        Cutter { bytes, end, gap: start, hash: FACTORS[1], tokens, count: 0, lens: 0, open: None };
    let mut base = start;
    // A run that ends with the text ends before a place where nothing is.
    while base <= end && cutter.count <= TOKENS_MAX {
        let window = Window::of(bytes, base, end, has_quotes);
        base = cutter.window(base, window, &mut quotes);
    }
    cutter.separators(end);
    let is_good = cutter.count <= TOKENS_MAX && cutter.lens <= TOKEN_LEN_MAX;
    is_good.then(|| (cutter.count, mixed(cutter.hash, 0)))
}

/// Cuts a text window by window.
///
/// What is done for each token is all that matters here: the cutter is kept in registers as long as no reference to
/// it leaves these functions, each of which is called at one place.
struct Cutter<'a> {
    bytes: &'a [u8],
    end: usize,
    /// Where the separators begin that are not in the hash yet.
    gap: usize,
    hash: u64,
    tokens: &'a mut [Token; TOKENS_MAX],
    /// How many tokens there are, whether or not there was a place for each.
    count: usize,
    /// The bits of all tokens' lengths.
    lens: usize,
    /// The run that the last window ended in.
    open: Option<Run>,
}

/// Letters and digits in a row whose end is not known.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    /// Whether there are digits in what earlier windows had of it.
    has_digits: bool,
    /// Its first bit in this window.
    first: u64,
}

impl Cutter<'_> {
    /// Cuts what is in the window at `base`. Returns where the next one begins.
    fn window(&mut self, base: usize, window: Window, quotes: &mut Quotes<'_>) -> usize {
        let mut run = self.open.take();
        let edges = window.words ^ (window.words << 1 | u64::from(run.is_some()));
        let mut events = edges | window.specials;
        while events != 0 {
            let (mut bit, mut at) = (lowest(events), base + events.trailing_zeros() as usize);
            events ^= bit;
            if window.words & bit != 0 {
                run = Some(Run { start: at, has_digits: false, first: bit });
                if events == 0 {
                    break;
                }
                // Nothing can be between the two edges of a run.
                (bit, at) = (lowest(events), base + events.trailing_zeros() as usize);
                events ^= bit;
            }
            if let Some(Run { start, has_digits, first }) = run.take() {
                self.run(start, at, has_digits || window.digits & (bit - first) != 0);
            }
            if window.specials & bit == 0 || self.bytes[at] != b'"' {
                continue;
            }
            let next = match quotes.at(at, base, window) {
                Quote::Separator => continue,
                Quote::Skeleton { next } => next,
                Quote::Token { start, end, next } => {
                    self.quoted(start, end);
                    next
                }
            };
            match next - base {
                passed @ 0..Window::LEN => events &= u64::MAX << passed,
                _ => return next,
            }
        }
        let to_go_on = |run: Run| {
            let has_digits = run.has_digits || window.digits & run.first.wrapping_neg() != 0;
            Run { has_digits, first: 1, ..run }
        };
        self.open = run.map(to_go_on);
        base + Window::LEN
    }

    /// Takes what is left of the separators before a place.
    fn separators(&mut self, end: usize) {
        let len = end - self.gap;
        if len > 0 {
            self.hash = hash_of(self.bytes, self.gap, len, self.hash.wrapping_add(len as u64));
        }
        self.gap = end;
    }

    /// Takes a run of letters and digits: a token, or a key.
    fn run(&mut self, start: usize, end: usize, has_digits: bool) {
        self.separators(start);
        self.gap = end;
        let len = end - start;
        let hash = hash_of(self.bytes, start, len, FACTORS[1]);
        let is_number =
            has_digits || len >= HEX_LEN_MIN && self.bytes[start..end].iter().all(is_hex_letter);
        if !is_number && end < self.end && self.bytes[end] == b'=' {
            self.hash = mixed(self.hash, hash);
            return;
        }
        let kind = if is_number { Kind::Number } else { Kind::Word };
        self.token(start, len, kind, hash);
    }

    /// Takes what stands between quotes and is no run.
    fn quoted(&mut self, start: usize, end: usize) {
        self.separators(start);
        self.gap = end;
        let len = end - start;
        self.token(start, len, Kind::Quoted, hash_of(self.bytes, start, len, FACTORS[1]));
    }

    /// Takes a token. `hash` tells it from others of its kind and length.
    fn token(&mut self, start: usize, len: usize, kind: Kind, hash: u64) {
        // Mixed in with what comes behind the token. The bytes of separators have no such bit.
        self.hash ^= 0x80 << (8 * kind as u32);
        self.lens |= len;
        if let Some(place) = self.tokens.get_mut(self.count) {
            *place = Token::new(start, len, kind, hash);
        }
        self.count += 1;
    }
}

/// What a double quote is.
enum Quote {
    /// A separator like any other.
    Separator,
    /// The first of a part of the skeleton: a key, or nothing within quotes.
    Skeleton { next: usize },
    /// The one before a token.
    Token { start: usize, end: usize, next: usize },
}

/// Tells what quotes stand for, from the first one of a text to the last.
struct Quotes<'a> {
    text: &'a [u8],
    /// Where the text begins.
    start: usize,
    /// Whether a closing quote may still come.
    may_close: bool,
    /// The one behind a run whose opening quote is known.
    closing: Option<usize>,
}

impl Quotes<'_> {
    /// Of the quote at a place in the window at `base`.
    #[inline(never)]
    fn at(&mut self, at: usize, base: usize, window: Window) -> Quote {
        if self.closing == Some(at) {
            return Quote::Separator;
        }
        // Within a JSON text in a JSON text quotes are escaped.
        let is_escaped = at > self.start && self.text[at - 1] == b'\\';
        let start = at + 1;
        // Most end within the window.
        let known = window.specials & (u64::MAX << (at - base)) << 1;
        let end = self.closing(base + known.trailing_zeros() as usize, is_escaped);
        let Some(end) = end else {
            self.may_close = false;
            return Quote::Separator;
        };
        let next = if is_escaped { end + 2 } else { end + 1 };
        let is_key = end - start <= KEY_LEN_MAX && self.text.get(next) == Some(&b':');
        if is_key || end == start {
            return Quote::Skeleton { next };
        }
        let is_run = match end - base {
            passed @ 0..Window::LEN => {
                let bits = (u64::MAX << (start - base)) & !(u64::MAX << passed);
                window.words & bits == bits
            }
            _ => self.text[start..end]
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()),
        };
        if is_run {
            self.closing = Some(next - 1);
            return Quote::Separator;
        }
        Quote::Token { start, end, next }
    }

    /// Where the quotes end that were opened before `at`.
    fn closing(&self, mut at: usize, is_escaped: bool) -> Option<usize> {
        if !self.may_close {
            return None;
        }
        let text = self.text;
        loop {
            let is_quote = match text.get(at)? {
                b'"' => true,
                b'\\' => false,
                _ => {
                    at += memchr::memchr2(b'"', b'\\', &text[at..])?;
                    continue;
                }
            };
            if is_escaped {
                // Ends at the next escaped quote; a bare one ends the text around it.
                let next = text.get(at + 1);
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

fn is_hex_letter(byte: &u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 6
}

/// The lowest of some bits.
const fn lowest(bits: u64) -> u64 {
    bits & bits.wrapping_neg()
}

/// Takes `len` bytes, from `at` on, into a hash: eight at a time. There is at least one.
fn hash_of(bytes: &[u8], mut at: usize, mut len: usize, mut hash: u64) -> u64 {
    while len > 8 {
        hash = mixed(hash, eight_bytes(bytes, at));
        (at, len) = (at + 8, len - 8);
    }
    // Those behind are shifted out.
    mixed(hash, eight_bytes(bytes, at) << ((8 * (8 - len)) & 63))
}

/// The bytes at a place, the first the lowest; zeros stand for those beyond the end.
fn eight_bytes(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at + 8).and_then(|bytes| bytes.first_chunk()) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last_bytes(bytes, at),
    }
}

#[cold]
fn last_bytes(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tokens of a part of a text, and a hash of its skeleton.
    fn tokens_of(text: &str, start: usize, end: usize) -> (Vec<Token>, u64) {
        let mut tokens = [Token::default(); TOKENS_MAX];
        let (count, hash) = tokenize(text.as_bytes(), start, end, &mut tokens).unwrap();
        (tokens[..count].to_vec(), hash)
    }

    fn cut(text: &str) -> Vec<(&str, Kind)> {
        let (tokens, _) = tokens_of(text, 0, text.len());
        tokens
            .iter()
            .map(|token| (&text[token.start as usize..token.end() as usize], token.kind()))
            .collect()
    }

    fn hash(text: &str) -> u64 {
        tokens_of(text, 0, text.len()).1
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
    fn texts_of_too_long_or_too_many_tokens_are_not_cut() {
        let cut = |text: &str| {
            let mut tokens = [Token::default(); TOKENS_MAX];
            tokenize(text.as_bytes(), 0, text.len(), &mut tokens).map(|(count, _)| count)
        };
        assert_eq!(cut(&"x".repeat(TOKEN_LEN_MAX)), Some(1));
        assert_eq!(cut(&"x".repeat(TOKEN_LEN_MAX + 1)), None);
        assert_eq!(cut(&"x ".repeat(TOKENS_MAX)), Some(TOKENS_MAX));
        assert_eq!(cut(&"x ".repeat(TOKENS_MAX + 1)), None);
        assert_eq!(cut(""), Some(0));
    }

    #[test]
    fn json_in_json_is_cut_by_its_own_quotes() {
        let inner = r#"{\"a\":\"b c\",\"d\":1}"#;
        assert_eq!(cut(inner), [("b c", Kind::Quoted), ("1", Kind::Number)]);
    }

    /// The tokens, by a look at one byte after the other.
    fn naive(text: &[u8]) -> Vec<(usize, usize, Kind)> {
        let (mut tokens, mut at, mut has_quotes) = (Vec::new(), 0, true);
        while at < text.len() {
            let len = run_len(&text[at..]);
            if len > 0 {
                tokens.extend(run_token(text, at, len));
                at += len;
                continue;
            }
            let start = at + 1;
            if text[at] == b'"' && has_quotes {
                let escape = usize::from(at > 0 && text[at - 1] == b'\\');
                let Some(end) = closing(text, start, escape == 1) else {
                    has_quotes = false;
                    continue;
                };
                at = end + 1 + escape;
                let is_key = text.get(at) == Some(&b':') && end - start <= KEY_LEN_MAX;
                if is_key || end == start {
                } else if run_len(&text[start..]) == end - start {
                    tokens.extend(run_token(text, start, end - start));
                } else {
                    tokens.push((start, end, Kind::Quoted));
                }
                continue;
            }
            at = start;
        }
        tokens
    }

    fn run_len(text: &[u8]) -> usize {
        text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()).count()
    }

    fn run_token(text: &[u8], start: usize, len: usize) -> Option<(usize, usize, Kind)> {
        let (run, end) = (&text[start..start + len], start + len);
        let is_hex = len >= HEX_LEN_MIN && run.iter().all(u8::is_ascii_hexdigit);
        match is_hex || run.iter().any(u8::is_ascii_digit) {
            true => Some((start, end, Kind::Number)),
            false => (text.get(end) != Some(&b'=')).then_some((start, end, Kind::Word)),
        }
    }

    fn closing(text: &[u8], mut at: usize, is_escaped: bool) -> Option<usize> {
        loop {
            match (text.get(at)?, is_escaped, text.get(at + 1)) {
                (b'"', false, _) => return Some(at),
                (b'"', true, _) => return None,
                (b'\\', true, Some(b'"')) => return Some(at),
                (b'\\', ..) => at += 2,
                _ => at += 1,
            }
        }
    }

    fn pieces() -> impl Strategy<Value = Vec<(String, Kind)>> {
        let piece = prop_oneof![
            "[g-zé]{1,9}".prop_map(|word| (word, Kind::Word)),
            "[0-9]{1,9}[a-f]{0,200}".prop_map(|number| (number, Kind::Number)),
            "\"[a-z]{1,70} [a-z -]{0,70}\"".prop_map(|quoted| (quoted, Kind::Quoted)),
        ];
        prop::collection::vec(piece, 1..20)
    }

    proptest! {
        #[test]
        fn tokens_are_those_of_a_look_at_each_byte(
            before in "[ -~é]{0,70}",
            parts in prop::collection::vec("[a-f]{1,9}|[a-zA-Z0-9é]{1,9}|[0-9a-z]{60,140}|[a-z]{1,5}=|\"[a-z]{1,4}\":|\"[a-z ]{0,70}\"|[\"\\\\]{1,3}|\\\\\"[a-z,]{0,9}\\\\\"|[ -/]{1,70}", 0..12),
            behind in "[ -~é]{0,70}",
        ) {
            let text = parts.concat();
            let (bytes, start) = ([before.as_str(), &text, &behind].concat(), before.len());
            let (tokens, hash_found) = tokens_of(&bytes, start, start + text.len());
            let found = tokens.iter().map(|token| (token.start as usize - start, token.end() as usize - start, token.kind()));
            prop_assert_eq!(found.collect::<Vec<_>>(), naive(text.as_bytes()));
            prop_assert_eq!(hash_found, hash(&text), "whatever is around it");
        }

        #[test]
        fn skeletons_are_the_same_with_other_tokens(
            (one, other) in (pieces(), pieces()),
            separators in prop::collection::vec("[ ,.;-]{1,70}", 20),
        ) {
            let kinds = one.iter().zip(&other).take_while(|(one, other)| one.1 == other.1).count();
            let text = |pieces: &[(String, Kind)], separators: &[String]| {
                let pieces = pieces[..kinds].iter().zip(separators);
                pieces.flat_map(|((piece, _), separator)| [piece.as_str(), separator]).collect::<String>()
            };
            let expected = hash(&text(&one, &separators));
            prop_assert_eq!(hash(&text(&other, &separators)), expected);
            let changed: Vec<String> = separators.iter().map(|separator| format!("{separator}/")).collect();
            prop_assert!(kinds == 0 || hash(&text(&other, &changed)) != expected);
        }

        #[test]
        fn other_tokens_look_otherwise(one in "[a-z0-9]{1,20}", other in "[a-z0-9]{1,20}") {
            let look = |run: &str| {
                let (tokens, _) = tokens_of(run, 0, run.len());
                (tokens[0].look(), tokens[0].kind())
            };
            prop_assert!(one != other || look(&one) == look(&other));
            prop_assert!(one.len() == other.len() || look(&one) != look(&other));
        }
    }
}
