//! Decimal numbers as text, eight digits at a time.

use super::split::Texts;
use super::stamp::Stamp;

/// With so many digits a number fits 64 bits.
const DIGITS_MAX: usize = 19;

const ONES: u64 = u64::MAX / 0xff;

/// The numbers that values are.
pub(super) struct Numbers {
    /// Of the values.
    pub(super) stamp: Stamp,
    /// The width that all are padded to with zeros; 0 where none has one in front.
    pub(super) width: u32,
    pub(super) values: Vec<u64>,
}

/// The numbers that all of some texts are, or all are of one width.
pub(super) fn numbers(texts: Texts<'_>) -> Option<Numbers> {
    let (mut len_min, mut len_max, mut has_padded) = (u32::MAX, 0, false);
    let mut values = Vec::new();
    for &(start, end) in texts.spans {
        let (len, start) = (end - start, start as usize);
        let value = decimal(texts.bytes, start, len as usize)?;
        has_padded |= len > 1 && texts.bytes[start] == b'0';
        len_min = len_min.min(len);
        len_max = len_max.max(len);
        if values.is_empty() {
            values.reserve_exact(texts.len());
        }
        values.push(value);
    }
    let width = match has_padded {
        false => 0,
        true if len_min == len_max => len_max,
        true => return None,
    };
    let stamp = Stamp::of_numbers((len_min, len_max));
    (!values.is_empty()).then_some(Numbers { stamp, width, values })
}

/// The number that `len` bytes are in decimal digits; `None` where they are not, or may not fit.
fn decimal(bytes: &[u8], start: usize, len: usize) -> Option<u64> {
    let (head, tail) = match bytes.get(start..).and_then(|bytes| bytes.first_chunk::<16>()) {
        Some(bytes) if len <= 16 => {
            let bytes = u128::from_le_bytes(*bytes);
            (bytes as u64, (bytes >> 64) as u64)
        }
        _ => return any_decimal(bytes.get(start..start + len)?),
    };
    match len {
        1..=8 if are_digits(head, len) => Some(of_digits(head, len)),
        9..=16 if are_digits(head, 8) && are_digits(tail, len - 8) => {
            let behind = len - 8;
            Some(of_digits(head, 8) * 10_u64.pow(behind as u32) + of_digits(tail, behind))
        }
        _ => None,
    }
}

/// As [`decimal`], of any length and anywhere.
fn any_decimal(digits: &[u8]) -> Option<u64> {
    let is_number =
        (1..=DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// Whether the first `len` of eight bytes, one at the least, are decimal digits.
pub(super) const fn are_digits(bytes: u64, len: usize) -> bool {
    // Those behind are shifted out, and zeros come in.
    let bytes = (bytes ^ (ONES * 0x30)) << (64 - 8 * len);
    // What is more than nine reaches into the high half; nothing reaches into the next byte.
    let more = (bytes & (ONES * 0x0f)) + ONES * 6;
    (bytes | more) & (ONES * 0xf0) == 0
}

/// The number that the first `len` of eight bytes are, one at the least, which are decimal digits.
const fn of_digits(bytes: u64, len: usize) -> u64 {
    // The first digit is the lowest byte. Those before it are zeros now.
    let ones = (bytes ^ (ONES * 0x30)) << (64 - 8 * len);
    // Neighbours are put together: digits, then twos, then fours, each above the next in value and below it in place.
    let twos = ones.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = twos.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_read_as_the_standard_library_does(
            before in "[0-9a-z]{0,20}",
            digits in prop_oneof!["[0-9]{1,21}", "[0-9]{0,8}[/:a ][0-9]{0,8}", "0{0,3}[1-9]{1,16}"],
            behind in "[0-9a-z]{0,20}",
        ) {
            let text = format!("{before}{digits}{behind}");
            let is_number = digits.len() < 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let expected = is_number.then(|| digits.parse().unwrap());
            prop_assert_eq!(decimal(text.as_bytes(), before.len(), digits.len()), expected);
        }
    }

    fn of(texts: &[&str]) -> Option<(u32, (u32, u32), Vec<u64>)> {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for text in texts {
            let start = u32::try_from(bytes.len()).unwrap();
            bytes.extend_from_slice(text.as_bytes());
            spans.push((start, u32::try_from(bytes.len()).unwrap()));
        }
        let Numbers { stamp, width, values } = numbers(Texts { bytes: &bytes, spans: &spans })?;
        Some((width, (stamp.len_min, stamp.len_max), values))
    }

    #[test]
    fn numbers_are_of_one_width_or_have_no_zeros_in_front() {
        assert_eq!(of(&["7", "0", "120"]), Some((0, (1, 3), vec![7, 0, 120])));
        assert_eq!(of(&["07", "12"]), Some((2, (2, 2), vec![7, 12])));
        assert_eq!(of(&["17", "12"]), Some((0, (2, 2), vec![17, 12])));
        assert_eq!(of(&["07", "120"]), None);
        assert_eq!(of(&["7", ""]), None);
        assert_eq!(of(&["7", "x"]), None);
        assert_eq!(of(&[]), None);
        let longest = "9999999999999999999";
        assert_eq!(of(&[longest]), Some((0, (19, 19), vec![9_999_999_999_999_999_999])));
        assert_eq!(of(&["10000000000000000000"]), None);
    }
}
