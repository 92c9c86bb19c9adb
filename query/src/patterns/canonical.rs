//! Lines with their variables written alike: what no pattern has a word of need not be told apart.
//!
//! The tokens of a text written so are those of the text, and so are those of texts that are put together of
//! pieces written so. So lines of one kind are known again by few bytes, and digits of values need not even
//! be read.

/// Stands for any number.
pub(super) const NUMBER: u8 = b'0';

/// Appends a text with each variable in it, or part of one at its ends, in the place of all that begin and
/// end as it does: what stands beside a colon decides whether words end there.
pub(super) fn push_canonical(text: &[u8], out: &mut Vec<u8>) {
    for run in text.split_inclusive(|byte| is_between(*byte)) {
        match run.split_last() {
            Some((last, run)) if is_between(*last) => {
                push_run(run, out);
                out.push(*last);
            }
            _ => push_run(run, out),
        }
    }
}

fn push_run(run: &[u8], out: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
    let is_variable = run.iter().any(|byte| byte.is_ascii_digit() || matches!(byte, b'<' | b'>'));
    // Blanks beyond ASCII separate words, too.
    if !is_variable || !run.is_ascii() {
        out.extend_from_slice(run);
        return;
    }
    let form: &[u8] = match (first.is_ascii_digit(), last.is_ascii_digit()) {
        (true, true) => &[NUMBER],
        (true, false) => b"0a",
        (false, true) => b"a0",
        (false, false) => b"a0a",
    };
    out.extend_from_slice(form);
}

/// Whether words may end at the byte.
const fn is_between(byte: u8) -> bool {
    let is_blank = matches!(byte, b'\t'..=b'\r' | b' ');
    is_blank
        || matches!(
            byte,
            b',' | b';'
                | b'='
                | b'('
                | b')'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'"'
                | b'\''
                | b'`'
                | b'|'
                | b':'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tokens::tokenise;
    use super::*;

    fn canonical(text: &str) -> String {
        let mut out = Vec::new();
        push_canonical(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn variables_are_written_alike() {
        assert_eq!(canonical("user=alice id=4f2a9c took=12ms"), "user=alice id=0a took=0a");
        assert_eq!(canonical("[12:30:01.5] v1.2 <nil>"), "[0:0:0] a0 a0a");
        assert_eq!(canonical("é1 \u{a0}2"), "é1 \u{a0}2");
    }

    proptest! {
        #[test]
        fn tokens_stay_as_they_are(pieces in prop::collection::vec("[ab1:=\" <é\u{a0}-]{0,6}", 1..5)) {
            let together: String = pieces.iter().map(|piece| canonical(piece)).collect();
            let line = pieces.concat();
            prop_assert_eq!(tokenise(&together), tokenise(&line), "{}", &together);
        }
    }
}
