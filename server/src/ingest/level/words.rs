//! The first word of a line that is a level's name.

/// What may stand before a word.
const LEFT: u8 = 1;
/// What may stand behind a word.
const RIGHT: u8 = 2;
/// What a level's name begins with, in either case.
const INITIAL: u8 = 4;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let sets: [(&[u8], u8); 3] =
        [(b" \t\n[({\"=", LEFT), (b" \t\n[](){}:,!\"=", RIGHT), (b"tdfcewiTDFCEWI", INITIAL)];
    let mut set = 0;
    while set < sets.len() {
        let (members, class) = sets[set];
        let mut member = 0;
        while member < members.len() {
            classes[members[member] as usize] |= class;
            member += 1;
        }
        set += 1;
    }
    classes
}

fn has(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// The level that the first word with a boundary on both sides names. Case does not matter.
pub(super) fn first(line: &[u8]) -> Option<&'static str> {
    let mut after_boundary = true;
    for (index, &byte) in line.iter().enumerate() {
        let class = CLASSES[usize::from(byte)];
        if after_boundary
            && class & INITIAL != 0
            && let Some(level) = word_at(&line[index..])
        {
            return Some(level);
        }
        after_boundary = class & LEFT != 0;
    }
    None
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
        let bounded = rest.get(word.len()).is_none_or(|&next| has(next, RIGHT));
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
        ] {
            assert_eq!(first(line.as_bytes()), level, "{line}");
        }
    }
}
