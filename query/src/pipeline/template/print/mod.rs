//! Printing as Go's `fmt` does: `%v` for actions, and the verbs and flags of `printf`.

mod directive;
mod number;

use super::TemplateData;
use super::limits::OUTPUT_BYTES_MAX;
use super::time::{MONTHS, WEEKDAYS};
use super::value::{Record, Value};
use crate::golang::{format_duration, format_float_v, quote_bytes};

pub(super) use self::directive::sprintf;

/// How a directive wants its value: `%-+# 0` and the numbers behind.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`: as Go source.
    go_syntax: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Appends printed values to a buffer, which never grows beyond [`OUTPUT_BYTES_MAX`] by padding.
struct Printer<'p> {
    out: &'p mut Vec<u8>,
    data: &'p dyn TemplateData,
    flags: Flags,
}

/// Appends what an action prints for its value.
pub(super) fn print(out: &mut Vec<u8>, value: &Value<'_>, data: &dyn TemplateData) {
    match value {
        Value::Nil | Value::NilInterface => out.extend_from_slice(b"<no value>"),
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        _ => Printer { out, data, flags: Flags::default() }.value(value, 'v'),
    }
}

/// The operands one after the other, with a blank between two that are not text.
///
/// Stops once the text is larger than any value may be; the caller refuses it then.
pub(super) fn sprint(args: &[Value<'_>], data: &dyn TemplateData) -> Vec<u8> {
    let mut out = Vec::new();
    let mut after_text = true;
    for (i, arg) in args.iter().enumerate() {
        if out.len() > OUTPUT_BYTES_MAX {
            break;
        }
        let is_text = matches!(arg, Value::Text(_));
        if i > 0 && !is_text && !after_text {
            out.push(b' ');
        }
        Printer { out: &mut out, data, flags: Flags::default() }.value(arg, 'v');
        after_text = is_text;
    }
    out
}

/// The operands with blanks between, and a line end. Stops as [`sprint`] does.
pub(super) fn sprintln(args: &[Value<'_>], data: &dyn TemplateData) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, arg) in args.iter().enumerate() {
        if out.len() > OUTPUT_BYTES_MAX {
            break;
        }
        if i > 0 {
            out.push(b' ');
        }
        Printer { out: &mut out, data, flags: Flags::default() }.value(arg, 'v');
    }
    out.push(b'\n');
    out
}

impl Printer<'_> {
    /// Prints a value by its verb; one that does not fit gives `%!verb(type=value)`.
    fn value(&mut self, value: &Value<'_>, verb: char) {
        if verb == 'T' {
            return self.text(value.type_name().as_bytes(), 's');
        }
        match value {
            Value::Nil | Value::NilInterface if verb == 'v' => self.pad(b"<nil>"),
            Value::Nil | Value::NilInterface => self.bad_verb(value, verb),
            Value::Bool(flag) if matches!(verb, 't' | 'v') => {
                self.pad(if *flag { b"true" } else { b"false" });
            }
            Value::Int(n) | Value::Int64(n) => self.int(value, *n, verb),
            Value::Byte(byte) => self.byte(value, *byte, verb),
            Value::Float(float) => self.float(value, *float, verb),
            Value::Text(text) => self.string(value, text.as_bytes(), verb),
            Value::List(list) => self.list(list, verb),
            Value::Map(map) | Value::Strings(map) => {
                let pairs = map.iter().map(|(key, value)| (key.as_slice(), value));
                self.map(value.type_name(), pairs, verb);
            }
            Value::Labels => self.labels(verb),
            Value::Record(record) => self.record(record, verb),
            _ => self.named(value, verb),
        }
    }

    /// Times and their parts, which have a text of their own.
    fn named(&mut self, value: &Value<'_>, verb: char) {
        if let (Value::Time(time), 'v', true) = (value, verb, self.flags.go_syntax) {
            return self.pad(time.go_syntax().as_bytes());
        }
        let number = value.as_int();
        let is_text = matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') && !self.flags.go_syntax;
        match (named_text(value), number) {
            (Some(text), _) if is_text => self.string(value, text.as_bytes(), verb),
            (_, Some(number)) => self.int(value, number, verb),
            _ => self.bad_verb(value, verb),
        }
    }

    fn bad_verb(&mut self, value: &Value<'_>, verb: char) {
        self.push("%!");
        self.push(verb.encode_utf8(&mut [0; 4]));
        self.push("(");
        if value.is_nil() {
            self.push("<nil>");
        } else {
            self.push(value.type_name());
            self.push("=");
            self.value(value, 'v');
        }
        self.push(")");
    }

    fn string(&mut self, value: &Value<'_>, bytes: &[u8], verb: char) {
        match verb {
            'v' if self.flags.go_syntax => self.quoted(bytes),
            'v' | 's' => self.text(bytes, verb),
            'q' => self.quoted(bytes),
            'x' | 'X' => self.hex(bytes, verb == 'X'),
            _ => self.bad_verb(value, verb),
        }
    }

    fn text(&mut self, bytes: &[u8], _verb: char) {
        let bytes = self.cut(bytes);
        self.pad(bytes);
    }

    /// The characters the precision leaves.
    fn cut<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match self.flags.precision {
            Some(precision) => &bytes[..prefix_of_runes(bytes, precision)],
            None => bytes,
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        let bytes = self.cut(bytes);
        let can_backquote = std::str::from_utf8(bytes).is_ok_and(|text| {
            text.chars().all(|c| c == '\t' || !(c == '`' || c == '\u{feff}' || c.is_control()))
        });
        if self.flags.sharp && can_backquote {
            let raw = [b"`", bytes, b"`"].concat();
            return self.pad(&raw);
        }
        let quoted = quote_bytes(bytes);
        if self.flags.plus {
            return self.pad(ascii_escaped(&quoted).as_bytes());
        }
        self.pad(quoted.as_bytes());
    }

    fn hex(&mut self, bytes: &[u8], is_upper: bool) {
        let bytes = &bytes[..self.flags.precision.unwrap_or(bytes.len()).min(bytes.len())];
        let prefix = if is_upper { "0X" } else { "0x" };
        let mut hex = String::with_capacity(bytes.len() * 2);
        for (i, byte) in bytes.iter().enumerate() {
            if self.flags.space && i > 0 {
                hex.push(' ');
            }
            if self.flags.sharp && (self.flags.space || i == 0) {
                hex.push_str(prefix);
            }
            hex.push_str(&if is_upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(hex.as_bytes());
    }

    fn list(&mut self, list: &[Value<'_>], verb: char) {
        let (open, between, close) =
            if self.flags.go_syntax { ("[]interface {}{", ", ", "}") } else { ("[", " ", "]") };
        self.push(open);
        for (i, item) in list.iter().enumerate() {
            if i > 0 {
                self.push(between);
            }
            self.element(item, verb);
        }
        self.push(close);
    }

    fn record(&mut self, record: &Record<'_>, verb: char) {
        self.push("{");
        for (i, (_, value)) in record.fields.iter().enumerate() {
            if i > 0 {
                self.push(" ");
            }
            self.element(value, verb);
        }
        self.push("}");
    }

    fn map<'v, 'a: 'v>(
        &mut self,
        type_name: &str,
        pairs: impl Iterator<Item = (&'v [u8], &'v Value<'a>)>,
        verb: char,
    ) {
        let between = if self.flags.go_syntax {
            self.push(type_name);
            self.push("{");
            ", "
        } else {
            self.push("map[");
            " "
        };
        for (i, (key, value)) in pairs.enumerate() {
            if i > 0 {
                self.push(between);
            }
            self.value(&Value::bytes(key.to_vec()), verb);
            self.push(":");
            self.element(value, verb);
        }
        self.push(if self.flags.go_syntax { "}" } else { "]" });
    }

    /// A value inside a list or map, where nil knows its type.
    fn element(&mut self, value: &Value<'_>, verb: char) {
        if value.is_nil() {
            let text = if self.flags.go_syntax { "interface {}(nil)" } else { "<nil>" };
            return self.push(text);
        }
        self.value(value, verb);
    }

    fn labels(&mut self, verb: char) {
        let mut labels = self.data.labels();
        labels.sort();
        let values: Vec<(Vec<u8>, Value<'_>)> = labels
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), Value::string(value)))
            .collect();
        let pairs = values.iter().map(|(name, value)| (name.as_slice(), value));
        self.map("map[string]string", pairs, verb);
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends text filled up to the width, which counts characters.
    fn pad(&mut self, bytes: &[u8]) {
        let missing = match self.flags.width {
            Some(width) => width.saturating_sub(rune_count(bytes)),
            None => 0,
        };
        if self.flags.minus {
            self.out.extend_from_slice(bytes);
            self.fill(missing, b' ');
        } else {
            self.fill(missing, if self.flags.zero { b'0' } else { b' ' });
            self.out.extend_from_slice(bytes);
        }
    }

    fn fill(&mut self, count: usize, with: u8) {
        let room = OUTPUT_BYTES_MAX.saturating_sub(self.out.len());
        self.out.resize(self.out.len() + count.min(room), with);
    }
}

/// The text of a value whose Go type has a method `String`.
pub(super) fn named_text(value: &Value<'_>) -> Option<String> {
    let name = |names: &[&str], index: i64, kind: &str| {
        let name = usize::try_from(index).ok().and_then(|i| names.get(i));
        name.map_or_else(|| format!("%!{kind}({index})"), |name| (*name).to_owned())
    };
    Some(match value {
        Value::Time(time) => time.print(),
        Value::Duration(nanos) => format_duration(*nanos),
        Value::Month(month) => name(&MONTHS, month - 1, "Month"),
        Value::Weekday(day) => name(&WEEKDAYS, *day, "Weekday"),
        _ => return None,
    })
}

/// How many characters; a byte outside of UTF-8 counts as one.
pub(super) fn rune_count(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().map(|c| c.valid().chars().count() + c.invalid().len()).sum()
}

/// The length in bytes of the first `count` characters.
pub(super) fn prefix_of_runes(bytes: &[u8], count: usize) -> usize {
    let mut left = count;
    let mut length = 0;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if left == 0 {
                return length;
            }
            left -= 1;
            length += c.len_utf8();
        }
        let taken = chunk.invalid().len().min(left);
        left -= taken;
        length += taken;
        if left == 0 {
            return length;
        }
    }
    length
}

/// A quoted text with everything beyond ASCII escaped.
fn ascii_escaped(quoted: &str) -> String {
    let mut escaped = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        match u32::from(c) {
            code if c.is_ascii() => escaped.extend(char::from_u32(code)),
            code if code < 0x1_0000 => escaped.push_str(&format!("\\u{code:04x}")),
            code => escaped.push_str(&format!("\\U{code:08x}")),
        }
    }
    escaped
}

/// A float as an action prints it.
fn shortest(float: f64) -> String {
    format_float_v(float)
}

#[cfg(test)]
mod tests;
