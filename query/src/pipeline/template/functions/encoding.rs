//! Encodings, sizes, durations and JSON.

use super::Param::{Any, Text};
use super::convert::{to_float, to_int};
use super::{Context, Function, Returned, fixed, text, utf8};
use crate::golang::{parse_bytes, parse_duration, quote_bytes};
use crate::pipeline::template::literal::int_to_float;
use crate::pipeline::template::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("urlencode", &[Text], |_, args| Ok(Value::string(query_escape(text(args, 0))))),
    fixed("urldecode", &[Text], |_, args| query_unescape(text(args, 0)).map(Value::bytes)),
    fixed("b64enc", &[Text], |_, args| Ok(Value::string(base64_encode(text(args, 0))))),
    fixed("b64dec", &[Text], |_, args| {
        // The text of the error takes the place of the data.
        Ok(base64_decode(text(args, 0)).map_or_else(
            |at| Value::string(format!("illegal base64 data at input byte {at}")),
            Value::bytes,
        ))
    }),
    fixed("bytes", &[Text], bytes),
    fixed("duration", &[Text], duration),
    fixed("duration_seconds", &[Text], duration),
    fixed("int", &[Any], |_, args| Ok(Value::Int(args.first().map_or(0, to_int)))),
    fixed("float64", &[Any], |_, args| Ok(Value::Float(args.first().map_or(0.0, to_float)))),
    fixed("fromJson", &[Text], |_, args| {
        let json = serde_json::from_slice::<serde_json::Value>(text(args, 0));
        Ok(json.map_or(Value::NilInterface, Value::from))
    }),
];

#[expect(clippy::cast_precision_loss, reason = "Go's conversion rounds too")]
fn bytes<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    parse_bytes(&utf8(args, 0)).map(|bytes| Value::Float(bytes as f64))
}

/// Seconds. Whole ones and the rest are added as floats, as Go's method does.
fn duration<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    parse_duration(&utf8(args, 0)).map(|nanos| Value::Float(seconds(nanos)))
}

/// A duration in seconds.
pub(in super::super) fn seconds(nanos: i64) -> f64 {
    const SECOND: i64 = 1_000_000_000;
    int_to_float(nanos / SECOND) + int_to_float(nanos % SECOND) / 1e9
}

/// Text for the query of a URL; a blank becomes `+`.
pub(super) fn query_escape(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(*byte));
            }
            b' ' => escaped.push('+'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn query_unescape(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => plain.push(b' '),
            b'%' => {
                let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok());
                let code = digits
                    .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|d| u8::from_str_radix(d, 16).ok());
                let Some(code) = code else {
                    let shown = [b"%", &tail[..tail.len().min(2)]].concat();
                    return Err(format!("invalid URL escape {}", quote_bytes(&shown)));
                };
                plain.push(code);
                rest = &tail[2..];
            }
            byte => plain.push(*byte),
        }
    }
    Ok(plain)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .enumerate()
            .fold(0u32, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * i) & 63).unwrap_or_default();
            encoded.push(if i <= chunk.len() { char::from(BASE64[digit]) } else { '=' });
        }
    }
    encoded
}

/// Decodes padded base64, past line ends; the error is the place of the first bad byte.
fn base64_decode(bytes: &[u8]) -> Result<Vec<u8>, usize> {
    let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut bits, mut digits) = (0u32, 0);
    let mut input = bytes.iter().enumerate().filter(|(_, b)| !matches!(b, b'\n' | b'\r'));
    while let Some((at, byte)) = input.next() {
        if *byte == b'=' {
            if digits < 2 {
                return Err(at);
            }
            if digits == 2 {
                match input.next() {
                    Some((_, b'=')) => {}
                    other => return Err(other.map_or(bytes.len(), |(at, _)| at)),
                }
            }
            if let Some((at, _)) = input.next() {
                return Err(at);
            }
            let whole = (bits << (6 * (4 - digits))).to_be_bytes();
            decoded.extend_from_slice(&whole[1..digits]);
            return Ok(decoded);
        }
        let digit = BASE64.iter().position(|known| known == byte).ok_or(at)?;
        bits = bits << 6 | u32::try_from(digit).unwrap_or_default();
        digits += 1;
        if digits == 4 {
            decoded.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, digits) = (0, 0);
        }
    }
    if digits > 0 { Err(bytes.len() - digits) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_round_trips() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64_encode(plain.as_bytes()), encoded);
            assert_eq!(base64_decode(encoded.as_bytes()), Ok(plain.as_bytes().to_vec()));
        }
        for (bad, at) in [("Zg", 0), ("Zg=", 3), ("Zm9v!", 4), ("=", 0), ("Zg==x", 4), ("Z", 0)] {
            assert_eq!(base64_decode(bad.as_bytes()), Err(at), "{bad}");
        }
    }

    #[test]
    fn query_escaping() {
        assert_eq!(query_escape("a b&é~".as_bytes()), "a+b%26%C3%A9~");
        assert_eq!(query_unescape(b"a+b%26"), Ok(b"a b&".to_vec()));
        assert_eq!(query_unescape(b"a%zz1"), Err("invalid URL escape \"%zz\"".to_owned()));
        assert_eq!(query_unescape(b"%4"), Err("invalid URL escape \"%4\"".to_owned()));
    }
}
