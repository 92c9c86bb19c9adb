//! Messages out of a stream: with their length in front (octet counting) or a line feed behind, as
//! RFC 6587 has it. Which of the two is told for each message: one with its length in front begins with
//! digits, a blank and the `<` of the priority. Anything else is a line.

use bytes::{Buf as _, BytesMut};

/// The longest length, in digits.
const LENGTH_DIGITS_MAX: usize = 8;

/// The largest length, in bytes. A larger number is taken for the text of a line, since a wrong length takes
/// the messages behind it along.
const LENGTH_MAX: usize = 16 << 20;

/// A message out of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) bytes: BytesMut,
    /// Whether something is missing at its end.
    pub(crate) is_cut: bool,
}

/// Takes bytes as they come and gives messages. Holds at most one message and what was last added.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: BytesMut,
    max: usize,
    skip: Skip,
    /// How much of the buffer has no line feed.
    searched: usize,
}

/// What of the stream is the rest of a message that was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    Bytes(usize),
    Line,
}

/// What the buffer begins with.
enum Start {
    /// Digits, and perhaps a blank; what follows decides.
    Unknown,
    /// The digits and the blank behind them, and the length that they say.
    Counted(usize, usize),
    Line,
}

impl Frames {
    /// Messages of more than `max` bytes are cut.
    pub(crate) fn new(max: usize) -> Self {
        Self { buffer: BytesMut::new(), max: max.max(1), skip: Skip::Nothing, searched: 0 }
    }

    /// Where bytes that come are put.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next message that is there to its end.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            self.pass_over();
            if self.skip != Skip::Nothing || self.buffer.is_empty() {
                return None;
            }
            let frame = match self.start() {
                Start::Unknown => return None,
                Start::Counted(head, len) => self.counted(head, len)?,
                Start::Line => self.line()?,
            };
            if !frame.bytes.is_empty() {
                return Some(frame);
            }
        }
    }

    /// What is left when the stream has ended.
    pub(crate) fn end(&mut self) -> Option<Frame> {
        let is_line = matches!(self.start(), Start::Line);
        if let Start::Counted(head, _) = self.start() {
            self.buffer.advance(head);
        }
        let bytes = self.buffer.split();
        let is_rest = self.skip != Skip::Nothing || bytes.is_empty();
        (!is_rest).then_some(Frame { bytes, is_cut: !is_line })
    }

    fn pass_over(&mut self) {
        match self.skip {
            Skip::Nothing => {
                let blank = self.buffer.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0));
                self.buffer.advance(blank.count().min(self.buffer.len()));
            }
            Skip::Bytes(count) => {
                let passed = count.min(self.buffer.len());
                self.buffer.advance(passed);
                self.skip =
                    if passed == count { Skip::Nothing } else { Skip::Bytes(count - passed) };
            }
            Skip::Line => match memchr::memchr(b'\n', &self.buffer) {
                Some(end) => {
                    self.buffer.advance(end + 1);
                    self.skip = Skip::Nothing;
                }
                None => self.buffer.clear(),
            },
        }
    }

    fn start(&self) -> Start {
        let digits = self.buffer.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > LENGTH_DIGITS_MAX || self.buffer[0] == b'0' {
            return Start::Line;
        }
        match self.buffer[digits..] {
            [] | [b' '] => Start::Unknown,
            [b' ', b'<', ..] => {
                let number = std::str::from_utf8(&self.buffer[..digits]).ok();
                match number.and_then(|number| number.parse().ok()) {
                    Some(len) if len <= LENGTH_MAX => Start::Counted(digits + 1, len),
                    _ => Start::Line,
                }
            }
            _ => Start::Line,
        }
    }

    fn counted(&mut self, head: usize, len: usize) -> Option<Frame> {
        let kept = len.min(self.max);
        if self.buffer.len() < head + kept {
            return None;
        }
        self.buffer.advance(head);
        let bytes = self.buffer.split_to(kept);
        if len > kept {
            self.skip = Skip::Bytes(len - kept);
        }
        Some(Frame { bytes, is_cut: len > kept })
    }

    fn line(&mut self) -> Option<Frame> {
        match memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            Some(at) if self.searched + at <= self.max => {
                let bytes = self.buffer.split_to(self.searched + at);
                self.searched = 0;
                self.buffer.advance(1);
                Some(Frame { bytes, is_cut: false })
            }
            None if self.buffer.len() <= self.max => {
                self.searched = self.buffer.len();
                None
            }
            _ => {
                self.searched = 0;
                self.skip = Skip::Line;
                Some(Frame { bytes: self.buffer.split_to(self.max), is_cut: true })
            }
        }
    }
}
