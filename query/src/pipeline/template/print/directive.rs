//! Formats: text with directives such as `%-8.3s` or `%[2]*d`.

use super::{Flags, Printer};
use crate::pipeline::template::TemplateData;
use crate::pipeline::template::limits::{OUTPUT_BYTES_MAX, TOO_LARGE};
use crate::pipeline::template::value::Value;

/// The largest width or precision Go accepts.
const NUMBER_MAX: usize = 1_000_000;

/// The arguments by the format. What does not fit is said in the text, as Go does.
///
/// # Errors
/// Only where the text gets too large.
pub(in super::super) fn sprintf(
    format: &[u8],
    args: &[Value<'_>],
    data: &dyn TemplateData,
) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(format.len() + 16);
    let mut run =
        Run { format, at: 0, args, next: 0, after_index: false, is_reordered: false, good: true };
    while let Some(length) = run.rest().iter().position(|b| *b == b'%') {
        out.extend_from_slice(&run.rest()[..length]);
        run.at += length + 1;
        run.directive(&mut Printer { out: &mut out, data, flags: Flags::default() });
        if out.len() >= OUTPUT_BYTES_MAX {
            return Err(TOO_LARGE.to_owned());
        }
    }
    out.extend_from_slice(run.rest());
    if !run.is_reordered && run.next < args.len() {
        extra(&mut Printer { out: &mut out, data, flags: Flags::default() }, &args[run.next..]);
    }
    Ok(out)
}

fn extra(printer: &mut Printer<'_>, args: &[Value<'_>]) {
    printer.push("%!(EXTRA ");
    for (i, arg) in args.iter().enumerate() {
        if printer.out.len() > OUTPUT_BYTES_MAX {
            return;
        }
        if i > 0 {
            printer.push(", ");
        }
        if arg.is_nil() {
            printer.push("<nil>");
        } else {
            printer.push(arg.type_name());
            printer.push("=");
            printer.value(arg, 'v');
        }
    }
    printer.push(")");
}

struct Run<'r, 'a> {
    format: &'r [u8],
    at: usize,
    args: &'r [Value<'a>],
    /// The argument the next directive takes.
    next: usize,
    /// Whether an index `[n]` was just read.
    after_index: bool,
    is_reordered: bool,
    /// Whether the indices of this directive exist.
    good: bool,
}

impl<'r> Run<'r, '_> {
    fn rest(&self) -> &'r [u8] {
        &self.format[self.at.min(self.format.len())..]
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// One directive; its percent sign has been read.
    fn directive(&mut self, printer: &mut Printer<'_>) {
        self.good = true;
        self.after_index = false;
        self.flags(printer);
        self.index();
        self.width(printer);
        self.precision(printer);
        if !self.after_index {
            self.index();
        }
        let Some(verb) = self.verb() else {
            return printer.push("%!(NOVERB)");
        };
        let problem = match verb {
            '%' => return printer.push("%"),
            _ if !self.good => "(BADINDEX)",
            _ if self.next >= self.args.len() => "(MISSING)",
            _ => {
                if verb == 'v' {
                    printer.flags.go_syntax = std::mem::take(&mut printer.flags.sharp);
                    printer.flags.plus = false;
                }
                printer.value(&self.args[self.next], verb);
                self.next += 1;
                return;
            }
        };
        printer.push("%!");
        printer.push(verb.encode_utf8(&mut [0; 4]));
        printer.push(problem);
    }

    fn flags(&mut self, printer: &mut Printer<'_>) {
        while let Some(byte) = self.peek() {
            let flags = &mut printer.flags;
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    fn width(&mut self, printer: &mut Printer<'_>) {
        if self.peek() != Some(b'*') {
            printer.flags.width = self.number();
            if self.after_index && printer.flags.width.is_some() {
                self.good = false;
            }
            return;
        }
        self.at += 1;
        match self.int_arg() {
            Some(width) => {
                printer.flags.minus |= width < 0;
                printer.flags.width = usize::try_from(width.unsigned_abs()).ok();
            }
            None => printer.push("%!(BADWIDTH)"),
        }
        self.after_index = false;
    }

    fn precision(&mut self, printer: &mut Printer<'_>) {
        if self.peek() != Some(b'.') {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.good = false;
        }
        self.index();
        if self.peek() != Some(b'*') {
            printer.flags.precision = Some(self.number().unwrap_or(0));
            return;
        }
        self.at += 1;
        match self.int_arg() {
            // A negative precision is as good as none.
            Some(precision) if precision < 0 => printer.push("%!(BADPREC)"),
            Some(precision) => printer.flags.precision = usize::try_from(precision).ok(),
            None => printer.push("%!(BADPREC)"),
        }
        self.after_index = false;
    }

    /// An index such as `[2]`, which chooses the next argument.
    fn index(&mut self) {
        if self.peek() != Some(b'[') {
            self.after_index = false;
            return;
        }
        self.is_reordered = true;
        self.after_index = true;
        let Some(length) = self.rest().iter().position(|b| *b == b']') else {
            self.good = false;
            self.at += 1;
            self.after_index = false;
            return;
        };
        let digits = &self.rest()[1..length];
        self.at += length + 1;
        let index = std::str::from_utf8(digits).ok().and_then(|d| d.parse::<usize>().ok());
        match index.and_then(|index| index.checked_sub(1)).filter(|i| *i < self.args.len()) {
            Some(index) => self.next = index,
            None => {
                self.good = false;
                self.after_index = index.is_some();
            }
        }
    }

    fn number(&mut self) -> Option<usize> {
        let digits = self.rest().iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.rest()[..digits]).unwrap_or_default();
        let number = text.parse().ok().filter(|n| *n <= NUMBER_MAX);
        self.at += digits;
        number
    }

    /// The next argument as a width or precision.
    fn int_arg(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        let number = match arg {
            Value::Byte(byte) => Some(i64::from(*byte)),
            other => other.as_int(),
        };
        number.filter(|n| usize::try_from(n.unsigned_abs()).is_ok_and(|n| n <= NUMBER_MAX))
    }

    fn verb(&mut self) -> Option<char> {
        let rest = self.rest();
        let head = &rest[..rest.len().min(4)];
        let verb = match head.utf8_chunks().next() {
            None => return None,
            Some(chunk) => chunk.valid().chars().next().unwrap_or('\u{fffd}'),
        };
        self.at += if head[0].is_ascii() || verb != '\u{fffd}' { verb.len_utf8() } else { 1 };
        Some(verb)
    }
}
