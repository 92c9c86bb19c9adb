//! Grows a small real log to many copies whose numbers and ids are drawn anew, so that ids have the
//! entropy of real ones, which a log that is merely repeated has not.
//!
//! The rules and the draws are those of a script for CPython, whose output other servers were measured
//! on: the same Mersenne Twister, asked for the same things in the same order. So the bytes are the same.

use std::sync::Arc;

use rand_mt::Mt;

/// A run of hexadecimal digits that is an id has at least so many.
const ID_LEN_MIN: usize = 8;

/// Copies of the lines, one copy behind the other. The first is as it is.
#[derive(Debug)]
pub(super) struct Copies {
    lines: Arc<[String]>,
    draws: Draws,
    place: usize,
    is_first: bool,
}

impl Copies {
    /// Copies without end.
    pub(super) fn new(lines: Arc<[String]>, seed: u32) -> Self {
        Self { lines, draws: Draws(Mt::new_with_key([seed])), place: 0, is_first: true }
    }
}

impl Iterator for Copies {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let line = self.lines.get(self.place)?;
        let copy = if self.is_first { line.clone() } else { draw_anew(line, &mut self.draws) };
        self.place += 1;
        if self.place == self.lines.len() {
            (self.place, self.is_first) = (0, false);
        }
        Some(copy)
    }
}

/// The line with its numbers and ids drawn anew.
fn draw_anew(line: &str, draws: &mut Draws) -> String {
    let bytes = line.as_bytes();
    let mut out = String::with_capacity(line.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        let token = match token_len(bytes, at) {
            // Nothing shorter than three digits is drawn anew, and no letter begins a number.
            len if len < 3 => {
                at += if byte.is_ascii_digit() { len.max(1) } else { 1 };
                continue;
            }
            len => &line[at..at + len],
        };
        out.push_str(&line[copied..at]);
        draws.token(token, &mut out);
        at += token.len();
        copied = at;
    }
    out.push_str(&line[copied..]);
    out
}

/// How long the number or id is that begins here; 0 where none does.
fn token_len(bytes: &[u8], at: usize) -> usize {
    let run = |is_in: fn(&u8) -> bool| bytes[at..].iter().take_while(|byte| is_in(byte)).count();
    let is_inside = |index: usize| bytes.get(index).is_some_and(is_word);
    if at == 0 || !is_inside(at - 1) {
        let len = run(is_id_digit);
        let id = &bytes[at..at + len];
        if len >= ID_LEN_MIN && !is_inside(at + len) && id.iter().any(u8::is_ascii_digit) {
            return len;
        }
    }
    run(u8::is_ascii_digit)
}

fn is_id_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Letters that are not ASCII are taken for letters without a look.
fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii()
}

/// What CPython's `random.Random` draws.
#[derive(Debug)]
struct Draws(Mt);

impl Draws {
    /// Draws a token anew: an id digit by digit, of a number all but its first digit. Numbers of three
    /// digits, which are often codes, mostly stay.
    fn token(&mut self, token: &str, out: &mut String) {
        if !token.bytes().all(|byte| byte.is_ascii_digit()) {
            out.extend(token.bytes().map(|_| self.choice(b"0123456789abcdef")));
        } else if token.len() > 3 {
            out.push_str(&token[..1]);
            out.extend(token.bytes().skip(1).map(|_| self.choice(b"0123456789")));
        } else if self.unit() < 0.7 {
            out.push_str(token);
        } else {
            out.push_str(&(100 + self.below(900)).to_string());
        }
    }

    /// `random()`: 53 bits, from two words.
    fn unit(&mut self) -> f64 {
        let (high, low) = (self.0.next_u32() >> 5, self.0.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// A number below the bound: so many bits as the bound has, until they are below it.
    fn below(&mut self, bound: u32) -> u32 {
        loop {
            let bits = self.0.next_u32() >> bound.leading_zeros();
            if bits < bound {
                return bits;
            }
        }
    }

    /// `choice()`
    fn choice(&mut self, of: &[u8]) -> char {
        char::from(of[self.below(of.len() as u32) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 5] = [
        "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_38865049064139660 terminating",
        "req-38101a0b-2d78-447d-a1b9-e6e9d3a2c5f1 [54fadb412c4e40cdbaed9335e4c35a9e] 10.11.10.1 \"GET /v2/54fadb412c4e40cdbaed9335e4c35a9e/servers/detail HTTP/1.1\" status: 200 len: 1893 time: 0.2477829",
        "deadbeefcafe abcdef12 ABCDEF12 abcdef12g deadbeef1_ _deadbeef1 1a2b3c4d5e 0x7f00deadbeef12 123 42 7 1234",
        "no digits at all, only wordsdeadbeef",
        "99999999 100 100 100 100 555-0199",
    ];

    /// Printed by the script, as the second and the third copy.
    const DRAWN: [&str; 10] = [
        "052601 281590 319 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_30166131860913909 terminating",
        "req-c17149d4-2d78-447d-a1b9-9536b3216fda [eeb975729fae923d5a4fd12aabfe228f] 10.11.10.1 \"GET /v2/219e9cb0eb53f16947ccf25ec84d8dbc/servers/detail HTTP/1.1\" status: 254 len: 1122 time: 0.2330792",
        "deadbeefcafe 8904dba4 ABCDEF12 abcdef12g deadbeef1_ _deadbeef1 1ecccc3fc1 0x7f00deadbeef12 123 42 7 1372",
        "no digits at all, only wordsdeadbeef",
        "91590109 100 100 100 100 728-0624",
        "059571 217777 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_32154728038528084 terminating",
        "req-28b5b7a7-2d78-447d-a1b9-67c76fb008f8 [6bebb2737f6a6f0fb23c6f5da2cec255] 10.11.10.1 \"GET /v2/404e4fb440034d6608697a8d41bed440/servers/detail HTTP/1.1\" status: 895 len: 1290 time: 0.2222791",
        "deadbeefcafe 1af31768 ABCDEF12 abcdef12g deadbeef1_ _deadbeef1 13e02ea68e 0x7f00deadbeef12 123 42 7 1783",
        "no digits at all, only wordsdeadbeef",
        "98483726 100 100 100 100 555-0412",
    ];

    #[test]
    fn copies_are_drawn_as_the_script_draws_them() {
        let lines: Arc<[String]> = LINES.iter().copied().map(str::to_owned).collect();
        let copies: Vec<String> = Copies::new(lines, 7).take(15).collect();
        assert_eq!(copies[..5], LINES);
        assert_eq!(copies[5..], DRAWN);
    }

    #[test]
    fn draws_are_those_of_cpython() {
        let mut draws = Draws(Mt::new_with_key([7]));
        let words: Vec<u32> = (0..4).map(|_| draws.0.next_u32()).collect();
        assert_eq!(words, [1_390_851_128, 4_071_050_724, 647_892_279, 1_695_753_998]);
        assert_eq!(draws.unit().to_bits(), 0.650_934_473_039_853_7_f64.to_bits());
        assert_eq!(draws.choice(b"0123456789"), '1');
        assert_eq!(100 + draws.below(900), 940);
    }

    #[test]
    fn lines_beyond_ascii_stay_whole() {
        let mut draws = Draws(Mt::new_with_key([1]));
        assert_eq!(draw_anew("é7 – ünï 12", &mut draws), "é7 – ünï 12");
        let drawn = draw_anew("ü 4711 é", &mut draws);
        assert!(drawn.starts_with("ü 4") && drawn.ends_with(" é") && drawn.len() == 10, "{drawn}");
    }
}
