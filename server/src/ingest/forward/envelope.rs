//! A message: its tag, where its events are, and what its sender wants.

use std::borrow::Cow;

use super::msgpack::{Invalid, Reader, Token};

/// A message, its events not yet read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Envelope<'a> {
    pub(super) tag: Cow<'a, str>,
    pub(super) events: Events<'a>,
    /// What the sender wants back once the events are safe.
    pub(crate) chunk: Option<Chunk>,
}

/// Where the events of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Events<'a> {
    /// Nowhere: the message only shows that its sender is there.
    None,
    /// A time and a record.
    One(&'a [u8]),
    /// So many lists of a time and a record.
    Listed { bytes: &'a [u8] },
    /// The same as bytes, maybe in gzip.
    Packed { bytes: &'a [u8], is_gzip: bool },
}

/// The id of a message, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk(Vec<u8>);

impl Chunk {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `{"ack": chunk}`
    pub(crate) fn ack(&self) -> Vec<u8> {
        [b"\x81\xa3ack", &self.0[..]].concat()
    }
}

/// What of a message's option is understood.
#[derive(Debug, Default)]
struct Options {
    chunk: Option<Chunk>,
    is_gzip: bool,
}

impl<'a> Envelope<'a> {
    /// Reads the message that the bytes begin with, and leaves what follows.
    ///
    /// # Errors
    /// Something else.
    pub(crate) fn read(bytes: &mut &'a [u8]) -> Result<Self, Invalid> {
        let mut input = Reader::new(bytes);
        let envelope = Self::read_from(&mut input)?;
        *bytes = input.rest();
        Ok(envelope)
    }

    fn read_from(input: &mut Reader<'a>) -> Result<Self, Invalid> {
        let count = match input.token()? {
            Token::Nil => return Ok(Self { tag: "".into(), events: Events::None, chunk: None }),
            Token::Array(count @ 2..=4) => count,
            _ => return Err(Invalid::new("a message is no list of 2 to 4")),
        };
        let tag = input.text("a tag")?;
        let start = input.rest();
        // How many values the events take.
        let (events, used) = match input.peek()? {
            Token::Array(length) if !Self::is_time(input) => {
                input.token()?;
                let start = input.rest();
                for _ in 0..length {
                    input.skip()?;
                }
                (Events::Listed { bytes: taken(start, input) }, 1)
            }
            Token::Str(bytes) | Token::Bin(bytes) => {
                input.token()?;
                (Events::Packed { bytes, is_gzip: false }, 1)
            }
            _ if count < 3 => return Err(Invalid::new("an event has no record")),
            _ => {
                input.skip()?;
                input.skip()?;
                (Events::One(taken(start, input)), 2)
            }
        };
        let options = match count - 1 - used {
            0 => Options::default(),
            1 => Options::read(input)?,
            _ => return Err(Invalid::new("a message has more parts than it may")),
        };
        let events = match events {
            Events::Packed { bytes, .. } => Events::Packed { bytes, is_gzip: options.is_gzip },
            events => events,
        };
        Ok(Self { tag, events, chunk: options.chunk })
    }

    /// Whether a list is a time with metadata behind it, as Fluent Bit writes it, and no list of events.
    fn is_time(input: &Reader<'a>) -> bool {
        let mut input = *input;
        let is_pair = matches!(input.token(), Ok(Token::Array(2)));
        is_pair && !matches!(input.peek(), Ok(Token::Array(_)))
    }
}

/// What was read since `start`.
fn taken<'a>(start: &'a [u8], input: &Reader<'a>) -> &'a [u8] {
    &start[..start.len() - input.rest().len()]
}

impl Options {
    fn read(input: &mut Reader<'_>) -> Result<Self, Invalid> {
        let mut options = Self::default();
        let count = match input.token()? {
            Token::Nil => 0,
            Token::Map(count) => count,
            _ => return Err(Invalid::new("an option is no map")),
        };
        for _ in 0..count {
            let name = input.text("the name of an option")?;
            let token = input.peek()?;
            let value = input.skip()?;
            match (&*name, token) {
                ("chunk", Token::Str(_) | Token::Bin(_)) => {
                    options.chunk = Some(Chunk(value.to_vec()))
                }
                ("compressed", Token::Str(b"gzip") | Token::Bin(b"gzip")) => options.is_gzip = true,
                ("compressed", Token::Str(b"text") | Token::Bin(b"text") | Token::Nil) => {}
                ("compressed", _) => {
                    return Err(Invalid::new("compressed is neither gzip nor text"));
                }
                _ => {}
            }
        }
        Ok(options)
    }
}
