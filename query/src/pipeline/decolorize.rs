//! `| decolorize`: the line without the sequences that colour terminals.

use regex::bytes::Regex;

/// An introducer, then either an operating system command that a bell ends, or parameters and the
/// letter that ends them.
const SEQUENCE: &str = concat!(
    r"[\x{1B}\x{9B}][\[\]()#;?]*",
    r"(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x{07}",
    r"|(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~])",
);

/// The compiled stage.
#[derive(Debug)]
pub(crate) struct Decolorize {
    sequence: Regex,
}

impl Decolorize {
    /// # Errors
    /// Never, but that regular expressions may fail to compile.
    pub(crate) fn compile() -> Result<Self, String> {
        let sequence = Regex::new(SEQUENCE).map_err(|error| error.to_string())?;
        Ok(Self { sequence })
    }

    /// Appends the line without its sequences; `false` (and nothing appended) where it has none.
    pub(crate) fn strip(&self, line: &[u8], out: &mut Vec<u8>) -> bool {
        // Both introducers have one of these bytes; most lines have none.
        if memchr::memchr2(0x1B, 0x9B, line).is_none() {
            return false;
        }
        let mut kept_to = 0;
        for found in self.sequence.find_iter(line) {
            out.extend_from_slice(&line[kept_to..found.start()]);
            kept_to = found.end();
        }
        if kept_to == 0 {
            return false;
        }
        out.extend_from_slice(&line[kept_to..]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go() {
        let stage = Decolorize::compile().unwrap();
        let strip = |line: &str| {
            let mut out = Vec::new();
            stage.strip(line.as_bytes(), &mut out).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(strip("plain"), None);
        assert_eq!(strip("a \u{9c} b"), None);
        assert_eq!(strip("\u{1b}[31mred\u{1b}[0m plain").as_deref(), Some("red plain"));
        assert_eq!(strip("\u{9b}1;31mred").as_deref(), Some("red"));
        assert_eq!(strip("\u{1b}]0;title\u{7}x").as_deref(), Some("x"));
        assert_eq!(strip("\u{1b}[0m").as_deref(), Some(""));
        assert_eq!(strip("\u{1b} alone"), None);
    }
}
