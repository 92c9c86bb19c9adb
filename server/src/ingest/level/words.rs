//! The first word of a line that is a level's name.

use std::array;

/// So many places are looked at together.
const PLACES: usize = 16;

/// Bytes that these are told from: a name has two behind its place, at the least.
const PLACES_BYTES: usize = PLACES + 2;

/// What may stand behind a word.
const RIGHT: &[u8] = b" \t\n[](){}:,!\"=";

/// The level that the first word with a boundary on both sides names. Case does not matter.
pub(super) fn first(line: &[u8]) -> Option<&'static str> {
    if let Some(level) = word_at(line) {
        return Some(level);
    }
    let Some(last) = line.len().checked_sub(PLACES_BYTES) else { return first_of_few(line) };
    let mut at = 0;
    loop {
        if let Some(level) = first_behind(line, at) {
            return Some(level);
        }
        if at == last {
            return None;
        }
        // The last places are looked at with some before them once more.
        at = (at + PLACES).min(last);
    }
}

/// The level that a word names which begins behind one of the places from `at` on.
fn first_behind(line: &[u8], at: usize) -> Option<&'static str> {
    let befores = line[at..].first_chunk::<PLACES>()?;
    let firsts = line[at + 1..].first_chunk::<PLACES>()?;
    let seconds = line[at + 2..].first_chunk::<PLACES>()?;
    let begins: [u8; PLACES] =
        array::from_fn(|place| may_begin(befores[place], firsts[place], seconds[place]).into());
    // Nearly always none, which is seen for all of them at once.
    let mut begins = u128::from_le_bytes(begins);
    while begins != 0 {
        let place = begins.trailing_zeros() as usize / 8;
        if let Some(level) = word_at(&line[at + place + 1..]) {
            return Some(level);
        }
        begins &= begins - 1;
    }
    None
}

/// As [`first`] behind the first byte, of a line that has less than [`PLACES_BYTES`].
fn first_of_few(line: &[u8]) -> Option<&'static str> {
    let mut places = line.windows(3).enumerate();
    places.find_map(|(at, bytes)| {
        may_begin(bytes[0], bytes[1], bytes[2]).then(|| word_at(&line[at + 1..]))?
    })
}

/// Whether a level's name may begin with two bytes behind a third. Without branches and tables, so that the compiler
/// does this for many places at once.
#[inline]
const fn may_begin(before: u8, first: u8, second: u8) -> bool {
    let (first, second) = (first | 0x20, second | 0x20);
    // Space or quote, either of two brackets, and those that have no neighbour.
    let left = (before | 0x02 == b'"')
        | (before | 0x20 == b'{')
        | (before == b'(')
        | (before == b'=')
        | (before == b'\t')
        | (before == b'\n');
    let name = (second == b'r') & ((first == b'e') | (first == b't') | (first == b'c'))
        | (second == b'a') & ((first == b'w') | (first == b'f'))
        | (second == b'e') & (first == b'd')
        | (second == b'n') & (first == b'i');
    left & name
}

fn word_at(rest: &[u8]) -> Option<&'static str> {
    let candidates: &[(&str, &'static str)] = match rest.first()?.to_ascii_lowercase() {
        b't' => &[("trace", "trace")],
        b'd' => &[("debug", "debug")],
        b'f' => &[("fatal", "fatal")],
        b'c' => &[("critical", "critical")],
        b'e' => &[("error", "error"), ("err", "error")],
        b'w' => &[("warning", "warn"), ("warn", "warn")],
        b'i' => &[("info", "info")],
        _ => &[],
    };
    let (_, level) = candidates.iter().find(|(word, _)| {
        let bounded = rest.get(word.len()).is_none_or(|next| RIGHT.contains(next));
        bounded && rest[..word.len().min(rest.len())].eq_ignore_ascii_case(word.as_bytes())
    })?;
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_need_boundaries() {
        for (line, level) in [
            ("error", Some("error")),
            ("errors", None),
            ("an error.", None),
            ("errors, then an Err: x", Some("error")),
            ("terror", None),
            ("x/info", None),
            ("(WARN)", Some("warn")),
            ("k=warning!", Some("warn")),
            ("a:error", None),
            ("\tcritical]", Some("critical")),
            ("inf", None),
            ("warn", Some("warn")),
            ("war", None),
            ("", None),
        ] {
            assert_eq!(first(line.as_bytes()), level, "{line}");
        }
    }

    #[test]
    fn a_name_begins_as_a_level_does() {
        let names = ["trace", "debug", "fatal", "critical", "error", "err", "warning", "info"];
        for (first, second) in (0..=255_u8).flat_map(|first| (0..=255_u8).map(move |b| (first, b)))
        {
            let begun = [first, second].to_ascii_lowercase();
            let expected = names.iter().any(|name| name.as_bytes().starts_with(&begun));
            assert_eq!(may_begin(b' ', first, second), expected, "{first} {second}");
            assert!(!may_begin(b'-', first, second));
        }
    }

    #[test]
    fn words_are_found_wherever_they_stand() {
        for before in 0..40 {
            let line = format!("{} an error: x", "-".repeat(before));
            assert_eq!(first(line.as_bytes()), Some("error"), "{line}");
            for left in 0..=255 {
                let mut line = format!("{} info", "-".repeat(before)).into_bytes();
                line[before] = left;
                let level = b" \t\n[({\"=".contains(&left).then_some("info");
                assert_eq!(first(&line), level, "{before} {left}");
            }
            for end in ["", "s", "=", "/"] {
                let line = format!("{} warn{end}", ".".repeat(before));
                let level = (end != "s" && end != "/").then_some("warn");
                assert_eq!(first(line.as_bytes()), level, "{line}");
            }
        }
    }
}
