//! The first word of a line that is a level's name.

/// What may stand before a word.
const LEFT: u8 = 1;
/// What may stand behind a word.
const RIGHT: u8 = 2;
/// What a level's name begins with, in either case: two bits above the one for what may stand before it.
const INITIAL: u8 = LEFT << 2;

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
    if let Some(level) = word_at(line) {
        return Some(level);
    }
    let behind = line.get(1..)?;
    let (eights, rest) = behind.as_chunks::<8>();
    for (number, eight) in eights.iter().enumerate() {
        let start = 8 * number;
        // Most have no place where a name could begin, which is seen without a branch for each.
        let mut begins = 0;
        for (before, byte) in line[start..start + 8].iter().zip(eight) {
            begins |= beginning(*before, *byte);
        }
        if begins != 0
            && let Some(level) = first_behind(&line[start..], 8)
        {
            return Some(level);
        }
    }
    first_behind(&line[8 * eights.len()..], rest.len())
}

/// The level that a word names which begins at one of the `count` places behind the first.
fn first_behind(line: &[u8], count: usize) -> Option<&'static str> {
    let mut places = (0..count).filter(|place| beginning(line[*place], line[place + 1]) != 0);
    places.find_map(|place| word_at(&line[place + 1..]))
}

/// Not 0 where a level's name may begin behind a byte.
fn beginning(before: u8, byte: u8) -> u8 {
    CLASSES[usize::from(before)] & CLASSES[usize::from(byte)] >> 2 & LEFT
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
            ("", None),
        ] {
            assert_eq!(first(line.as_bytes()), level, "{line}");
        }
    }

    #[test]
    fn words_are_found_wherever_they_stand() {
        for before in 0..40 {
            let line = format!("{} an error: x", "-".repeat(before));
            assert_eq!(first(line.as_bytes()), Some("error"), "{line}");
            for end in ["", "s", "=", "/"] {
                let line = format!("{} warn{end}", ".".repeat(before));
                let level = (end != "s" && end != "/").then_some("warn");
                assert_eq!(first(line.as_bytes()), level, "{line}");
            }
        }
    }
}
