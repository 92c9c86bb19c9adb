//! Which bytes of a text are letters and digits, sixty-four at a time.

/// What the bytes from a place on are: a bit each, the first the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Letters and digits. Bytes above ASCII are letters: a character is never cut.
    pub(super) words: u64,
    pub(super) digits: u64,
    /// Double quotes and backslashes.
    pub(super) specials: u64,
}

const WORD: u8 = 1;
const DIGIT: u8 = 2;
const SPECIAL: u8 = 4;

const fn class(byte: u8) -> u8 {
    let digit = byte.wrapping_sub(b'0') < 10;
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26 || byte >= 0x80;
    let special = byte == b'"' || byte == b'\\';
    ((digit | letter) as u8 * WORD) | (digit as u8 * DIGIT) | (special as u8 * SPECIAL)
}

impl Window {
    /// How many bytes a window is of.
    pub(super) const LEN: usize = 64;

    /// Of a text that ends at `end`, from `at` on. From the end on nothing is a letter, and nothing special; nor is
    /// anything special anywhere if that is not asked for.
    pub(super) fn of(bytes: &[u8], at: usize, end: usize, with_specials: bool) -> Self {
        let rest = bytes.get(at..).unwrap_or_default();
        let window = match rest.first_chunk() {
            Some(bytes) => Self::of_bytes(bytes, with_specials),
            None => {
                let mut bytes = [0; Self::LEN];
                bytes[..rest.len()].copy_from_slice(rest);
                Self::of_bytes(&bytes, with_specials)
            }
        };
        window.up_to(end.saturating_sub(at))
    }

    /// Nothing but the first so many bytes.
    const fn up_to(self, count: usize) -> Self {
        if count >= Self::LEN {
            return self;
        }
        let kept = (1 << count) - 1;
        Self {
            words: self.words & kept,
            digits: self.digits & kept,
            specials: self.specials & kept,
        }
    }

    fn of_bytes(bytes: &[u8; Self::LEN], with_specials: bool) -> Self {
        let mut classes = [0; Self::LEN];
        // A loop without branches: many bytes at a time.
        for (class_of, byte) in classes.iter_mut().zip(bytes) {
            *class_of = class(*byte);
        }
        Self {
            words: bits(&classes, WORD),
            digits: bits(&classes, DIGIT),
            specials: if with_specials { bits(&classes, SPECIAL) } else { 0 },
        }
    }
}

/// Which bytes are of a class.
fn bits(classes: &[u8; Window::LEN], class: u8) -> u64 {
    let (eights, _) = classes.as_chunks::<8>();
    let eights = eights.iter().map(|eight| u64::from_le_bytes(*eight) >> class.trailing_zeros());
    (0..).zip(eights).fold(0, |bits, (number, eight)| bits | lowest_bits(eight) << (8 * number))
}

/// The lowest bit of each of eight bytes.
const fn lowest_bits(bytes: u64) -> u64 {
    // Each bit comes to its place in the highest byte, and no two to the same one.
    (bytes & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(text: &[u8], is_it: impl Fn(u8) -> bool) -> u64 {
        (0..)
            .zip(text.iter().take(Window::LEN))
            .fold(0, |bits, (place, byte)| bits | u64::from(is_it(*byte)) << place)
    }

    proptest! {
        #[test]
        fn windows_tell_what_a_look_at_each_byte_does(
            text in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"09azAZ/:@`[{\"\\\x7f\x80".to_vec())], 0..150),
            at in 0..160_usize,
            end in 0..160_usize,
        ) {
            let window = Window::of(&text, at, end, true);
            prop_assert_eq!(Window { specials: 0, ..window }, Window::of(&text, at, end, false));
            let rest = text.get(at..end.min(text.len())).unwrap_or_default();
            prop_assert_eq!(window.words, naive(rest, |byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()));
            prop_assert_eq!(window.digits, naive(rest, |byte| byte.is_ascii_digit()));
            prop_assert_eq!(window.specials, naive(rest, |byte| matches!(byte, b'"' | b'\\')));
        }
    }
}
