//! A buffer that JSON is written into.

use std::fmt::Display;
use std::io::Write as _;

use timberline_store::{Labels, Timestamp};

/// A buffer that JSON is written into, piece by piece. The caller sees to commas and brackets.
#[derive(Debug, Default)]
pub(super) struct Json(Vec<u8>);

/// For each byte, whether it may not stand in a string as it is. `0xe2` begins the two line separators
/// that JavaScript takes for line ends, and much else: it is looked at closer.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xe2] = true;
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Json {
    /// An empty buffer with room for about `bytes`.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What was written, as text.
    pub(super) fn into_text(self) -> String {
        // All that is written is text, or was made text.
        String::from_utf8(self.0).unwrap_or_default()
    }

    /// JSON that is right as it is.
    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A comma, but before the first item.
    pub(super) fn comma(&mut self, index: usize) {
        if index > 0 {
            self.0.push(b',');
        }
    }

    /// Anything whose `Display` is JSON: numbers.
    pub(super) fn number(&mut self, number: impl Display) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.0, "{number}");
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) {
        self.0.push(b'"');
        self.escaped(text.as_bytes());
        self.0.push(b'"');
    }

    /// A text of bytes that may not be UTF-8: what is not becomes U+FFFD.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        // Nearly all lines are UTF-8, and to check that is several times as fast as to go by chunks.
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.text(text);
        }
        self.0.push(b'"');
        for chunk in bytes.utf8_chunks() {
            self.escaped(chunk.valid().as_bytes());
            // One for every byte, as Go decodes; Rust's chunk may be a whole truncated sequence.
            for _ in chunk.invalid() {
                self.raw("\\ufffd");
            }
        }
        self.0.push(b'"');
    }

    /// An object of the labels.
    pub(super) fn labels(&mut self, labels: &Labels) {
        self.0.push(b'{');
        for (index, (name, value)) in labels.iter().enumerate() {
            self.comma(index);
            self.text(name);
            self.0.push(b':');
            self.text(value);
        }
        self.0.push(b'}');
    }

    /// Nanoseconds as a text of digits, the time of an entry.
    pub(super) fn nanos(&mut self, timestamp: Timestamp) {
        let _ = write!(self.0, "\"{timestamp}\"");
    }

    /// Milliseconds as a number of seconds with as many decimals as are needed, the time of a sample.
    pub(super) fn seconds(&mut self, millis: i64) {
        let sign = if millis < 0 { "-" } else { "" };
        let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
        let _ = match rest {
            0 => write!(self.0, "{sign}{seconds}"),
            _ if rest % 100 == 0 => write!(self.0, "{sign}{seconds}.{}", rest / 100),
            _ if rest % 10 == 0 => write!(self.0, "{sign}{seconds}.{:02}", rest / 10),
            _ => write!(self.0, "{sign}{seconds}.{rest:03}"),
        };
    }

    /// The value of a sample: a text with the fewest digits that mean this number, never an exponent.
    pub(super) fn value(&mut self, value: f64) {
        let _ = match value {
            _ if value.is_nan() => write!(self.0, "\"NaN\""),
            f64::INFINITY => write!(self.0, "\"+Inf\""),
            f64::NEG_INFINITY => write!(self.0, "\"-Inf\""),
            _ => write!(self.0, "\"{value}\""),
        };
    }

    /// UTF-8 with its escapes, in runs as long as possible.
    fn escaped(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| SPECIAL[usize::from(*byte)]) {
            let (run, tail) = rest.split_at(at);
            self.0.extend_from_slice(run);
            let taken = self.escape(tail);
            rest = tail.get(taken..).unwrap_or_default();
        }
        self.0.extend_from_slice(rest);
    }

    /// Writes what the first character of `text` becomes; says how many bytes it was.
    fn escape(&mut self, text: &[u8]) -> usize {
        match *text {
            [b'"', ..] => self.raw("\\\""),
            [b'\\', ..] => self.raw("\\\\"),
            [b'\n', ..] => self.raw("\\n"),
            [b'\r', ..] => self.raw("\\r"),
            [b'\t', ..] => self.raw("\\t"),
            [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => {
                self.raw(if last == 0xa8 { "\\u2028" } else { "\\u2029" });
                return 3;
            }
            [0xe2, ..] => self.0.push(0xe2),
            [byte, ..] => {
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                self.raw("\\u00");
                self.0.extend_from_slice(&digits);
            }
            [] => return 0,
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::default();
        write(&mut json);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[test]
    fn texts_are_escaped_as_go_does() {
        for (text, json) in [
            ("", r#""""#),
            ("plain é 漢 🌲", "\"plain é 漢 🌲\""),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\n\r\t\u{1}\u{1b}[0m\u{7f}", "\"\\n\\r\\t\\u0001\\u001b[0m\u{7f}\""),
            ("<a&b>", r#""\u003ca\u0026b\u003e""#),
            ("\u{2028}x\u{2029}\u{2026}", "\"\\u2028x\\u2029\u{2026}\""),
        ] {
            assert_eq!(written(|out| out.text(text)), json);
            assert_eq!(written(|out| out.bytes(text.as_bytes())), json);
            let back: String = serde_json::from_str(json).unwrap();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        assert_eq!(written(|out| out.bytes(b"a\xff<\xe2\x80")), r#""a\ufffd\u003c\ufffd\ufffd""#);
    }

    #[test]
    fn numbers_have_no_exponent() {
        for (value, json) in [
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e21, "1000000000000000000000"),
            (1.5e-7, "0.00000015"),
            (1.0 / 30.0, "0.03333333333333333"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(written(|out| out.value(value)), format!("\"{json}\""));
        }
    }

    #[test]
    fn seconds_have_the_decimals_they_need() {
        for (millis, json) in [
            (1_588_889_221_000, "1588889221"),
            (1_588_889_221_500, "1588889221.5"),
            (1_588_889_221_050, "1588889221.05"),
            (1_588_889_221_005, "1588889221.005"),
            (-1_500, "-1.5"),
        ] {
            assert_eq!(written(|out| out.seconds(millis)), json);
        }
    }
}
