//! The verbs of integers and floats.

use super::{Flags, Printer, shortest};
use crate::golang::quote;
use crate::pipeline::template::value::Value;

impl Printer<'_> {
    pub(super) fn int(&mut self, value: &Value<'_>, n: i64, verb: char) {
        self.integer(value, n.unsigned_abs(), n < 0, verb);
    }

    pub(super) fn byte(&mut self, value: &Value<'_>, byte: u8, verb: char) {
        if verb == 'v' && self.flags.go_syntax {
            return self.pad(format!("{byte:#x}").as_bytes());
        }
        self.integer(value, u64::from(byte), false, verb);
    }

    fn integer(&mut self, value: &Value<'_>, magnitude: u64, is_negative: bool, verb: char) {
        let digits = match verb {
            'v' | 'd' => magnitude.to_string(),
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            'c' | 'q' | 'U' => {
                return self.code_point(if is_negative { u64::MAX } else { magnitude }, verb);
            }
            _ => return self.bad_verb(value, verb),
        };
        self.digits(&digits, is_negative, verb);
    }

    fn digits(&mut self, digits: &str, is_negative: bool, verb: char) {
        let flags = self.flags;
        let sign = sign_of(flags, is_negative);
        let least = match (flags.precision, flags.width) {
            (Some(0), _) if digits == "0" => {
                self.flags.zero = false;
                return self.pad(b"");
            }
            (Some(precision), _) => precision,
            // Zeros fill the width on the left only, and leave room for the sign.
            (None, Some(width)) if flags.zero && !flags.minus => width - sign.len().min(width),
            _ => 0,
        };
        let mut text = String::from(sign);
        if verb == 'O' {
            text.push_str("0o");
        }
        let zeros = least.saturating_sub(digits.len());
        if flags.sharp {
            text.push_str(match verb {
                'b' => "0b",
                'o' if zeros == 0 && !digits.starts_with('0') => "0",
                'x' => "0x",
                'X' => "0X",
                _ => "",
            });
        }
        text.extend(std::iter::repeat_n('0', zeros));
        text.push_str(digits);
        self.flags.zero = false;
        self.pad(text.as_bytes());
    }

    /// `%c`, `%q` and `%U` of a number.
    fn code_point(&mut self, code: u64, verb: char) {
        let c = u32::try_from(code).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
        let text = match verb {
            'c' => c.to_string(),
            'q' => {
                let quoted = quote(&c.to_string());
                let inner = &quoted[1..quoted.len() - 1];
                let inner = match c {
                    '"' => "\"",
                    '\'' => "\\'",
                    _ => inner,
                };
                format!("'{inner}'")
            }
            _ if self.flags.sharp && !c.is_control() => format!("U+{code:04X} '{c}'"),
            _ => format!("U+{code:04X}"),
        };
        self.flags.zero = false;
        self.pad(text.as_bytes());
    }

    pub(super) fn float(&mut self, value: &Value<'_>, float: f64, verb: char) {
        let precision = self.flags.precision;
        let text = match verb {
            'e' | 'E' => exponent(float.abs(), precision.unwrap_or(6)),
            'f' | 'F' => format!("{:.*}", precision.unwrap_or(6), float.abs()),
            'v' | 'g' | 'G' => general(float.abs(), precision, self.flags.sharp),
            'x' | 'X' => hexadecimal(float.abs(), precision),
            'b' => binary(float.abs()),
            _ => return self.bad_verb(value, verb),
        };
        let text = if verb.is_ascii_uppercase() { text.to_uppercase() } else { text };
        self.signed_float(float, &text);
    }

    fn signed_float(&mut self, float: f64, unsigned: &str) {
        let flags = self.flags;
        if float.is_nan() {
            let sign = if flags.plus || flags.space { sign_of(flags, false) } else { "" };
            self.flags.zero = false;
            return self.pad(format!("{sign}NaN").as_bytes());
        }
        if float.is_infinite() {
            let sign = match sign_of(flags, float.is_sign_negative()) {
                "" => "+",
                sign => sign,
            };
            self.flags.zero = false;
            return self.pad(format!("{sign}Inf").as_bytes());
        }
        let sign = sign_of(flags, float.is_sign_negative());
        let text = format!("{sign}{unsigned}");
        let missing = flags.width.unwrap_or(0).saturating_sub(text.len());
        if flags.zero && !flags.minus && missing > 0 {
            // The sign goes before the zeros.
            self.push(sign);
            self.fill(missing, b'0');
            return self.push(unsigned);
        }
        self.pad(text.as_bytes());
    }
}

fn sign_of(flags: Flags, is_negative: bool) -> &'static str {
    match (is_negative, flags.plus, flags.space) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

/// `1.5e+03`: an exponent has a sign and at least two digits.
fn exponent(float: f64, precision: usize) -> String {
    let text = format!("{float:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    with_exponent(digits, exponent.parse().unwrap_or_default())
}

fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// The shorter of the two notations, in so many digits or as many as it takes. `keeps_zeros` is the
/// flag `#`: trailing zeros stay.
fn general(float: f64, precision: Option<usize>, keeps_zeros: bool) -> String {
    let digits = match (precision, keeps_zeros) {
        (None, false) => return shortest(float),
        (precision, _) => precision.unwrap_or(6).max(1),
    };
    let scientific = format!("{float:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    // Go switches to an exponent at the precision, or earlier at 21 digits only for others' sake.
    if exponent < -4 || exponent >= digits {
        let mantissa = if keeps_zeros { mantissa } else { without_zeros(mantissa) };
        return with_exponent(mantissa, exponent);
    }
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or_default();
    let plain = format!("{float:.decimals$}");
    match (keeps_zeros, plain.contains('.')) {
        (true, true) => plain,
        (true, false) => plain + ".",
        _ => without_zeros(&plain).to_owned(),
    }
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Mantissa and exponent of a float: `mantissa * 2^exponent`.
fn parts(float: f64) -> (u64, i64) {
    let bits = float.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

/// `%b`: `4503599627370496p-52`.
fn binary(float: f64) -> String {
    let (mantissa, exponent) = parts(float);
    format!("{mantissa}p{exponent:+}")
}

/// `%x`: `0x1.8p+00`.
fn hexadecimal(float: f64, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(float);
    if mantissa == 0 {
        exponent = -52;
    } else {
        let shift = mantissa.leading_zeros() - 11;
        mantissa <<= shift;
        exponent -= i64::from(shift);
    }
    if let Some(digits) = precision.filter(|digits| *digits < 13) {
        let drop = u32::try_from(52 - 4 * digits).unwrap_or_default();
        let (kept, lost, half) = (mantissa >> drop, mantissa & ((1 << drop) - 1), 1 << (drop - 1));
        let up = lost > half || (lost == half && kept & 1 == 1);
        mantissa = (kept + u64::from(up)) << drop;
        if mantissa >> 53 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let all = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let fraction = match precision {
        None => all.trim_end_matches('0').to_owned(),
        Some(digits) => format!("{all:0<digits$}")[..digits].to_owned(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let exponent = exponent + 52;
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{point}{fraction}p{sign}{:02}", mantissa >> 52, exponent.unsigned_abs())
}
