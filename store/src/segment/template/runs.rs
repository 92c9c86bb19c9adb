//! Values that are digits and other bytes in turn, as in `364803306Z`, `worker12` or `17T09`.
//!
//! A column of such values is a table of one template: what all have alike is static, digits are numbers,
//! and units are a dictionary.

use super::split::{Draft, Slot, Texts};

/// Values of more runs are not taken apart.
const RUNS_MAX: usize = 6;

/// A run that is no number takes at most so many values.
const TAILS_MAX: usize = 16;

/// The template that all values have; `None` where their runs are not alike.
pub(super) fn draft(texts: Texts<'_>) -> Option<Draft> {
    let columns = columns(texts)?;
    let mut statics = vec![Vec::new()];
    let mut slots = Vec::new();
    for spans in columns {
        let values = Texts { bytes: texts.bytes, spans: &spans };
        let first = values.get(0);
        if values.iter().all(|value| value == first) {
            statics.last_mut()?.extend_from_slice(first);
            continue;
        }
        if !is_digit(first.first()) && !values.take_at_most(TAILS_MAX, texts.len()) {
            return None;
        }
        slots.push(Slot { spans, is_quoted: false });
        statics.push(Vec::new());
    }
    Some(Draft { statics, rows: (0..).take(texts.len()).collect(), slots })
}

/// Where each value has its first run, its second, and so on.
fn columns(texts: Texts<'_>) -> Option<Vec<Vec<(u32, u32)>>> {
    let model = texts.get(0);
    let count = runs(model).count();
    if !(2..=RUNS_MAX).contains(&count) {
        return None;
    }
    let mut columns = vec![Vec::new(); count];
    for (text, &(mut start, end)) in texts.iter().zip(texts.spans) {
        if is_digit(text.first()) != is_digit(model.first()) {
            return None;
        }
        let mut columns = columns.iter_mut();
        for run in runs(text) {
            // Within the text, whose places are of 32 bits.
            let behind = start + run.len() as u32;
            columns.next()?.push((start, behind));
            start = behind;
        }
        if start != end || columns.next().is_some() {
            return None;
        }
    }
    Some(columns)
}

fn runs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.chunk_by(|byte, next| byte.is_ascii_digit() == next.is_ascii_digit())
}

fn is_digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statics, and the values of each slot.
    fn drafted(values: &[&str]) -> Option<(Vec<String>, Vec<Vec<String>>)> {
        let (mut bytes, mut spans) = (String::new(), Vec::new());
        for value in values {
            let start = u32::try_from(bytes.len()).unwrap();
            bytes.push_str(value);
            spans.push((start, u32::try_from(bytes.len()).unwrap()));
        }
        let draft = draft(Texts { bytes: bytes.as_bytes(), spans: &spans })?;
        assert_eq!(draft.rows.len(), values.len());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let value = |(start, end): &(u32, u32)| bytes[*start as usize..*end as usize].to_owned();
        let slots = draft.slots.iter().map(|slot| slot.spans.iter().map(value).collect());
        Some((draft.statics.iter().map(|text_of| text(text_of)).collect(), slots.collect()))
    }

    #[test]
    fn what_all_have_alike_is_static() {
        let (statics, slots) = drafted(&["1Z", "22Z"]).unwrap();
        assert_eq!(
            (statics, slots),
            (vec![String::new(), "Z".into()], vec![vec!["1".into(), "22".into()]])
        );
        let (statics, slots) = drafted(&["a1ms", "a2ms", "a3µs"]).unwrap();
        assert_eq!(statics, ["a", "", ""]);
        assert_eq!(slots, [["1", "2", "3"], ["ms", "ms", "µs"]]);
    }

    #[test]
    fn other_runs_are_another_shape() {
        for values in [
            &["1Z", "Z1"][..],
            &["1Z", "1"],
            &["1Z", "1Z1"],
            &["1Z", ""],
            &["", "1Z"],
            &["1", "2"],
            &["a", "b"],
            &["1a1a1a1", "2a2a2a2"],
        ] {
            assert_eq!(drafted(values), None, "{values:?}");
        }
        let words: Vec<String> = (0..17).map(|n| format!("{}{n}", "x".repeat(n + 1))).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(drafted(&words), None);
        assert!(drafted(&words[..16]).is_some());
    }
}
