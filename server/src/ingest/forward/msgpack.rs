//! MessagePack, read in place.

use super::super::push::text;

/// Bytes that are no MessagePack, or not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("forward protocol: {0}")]
pub(crate) struct Invalid(pub(super) String);

impl Invalid {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A value; of lists and maps only how many values or pairs follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Array(u32),
    Map(u32),
    Ext(i8, &'a [u8]),
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The bytes end within it.
    More,
    /// 0xc1, which nothing begins with.
    Never,
}

/// The value that `bytes` begin with, and how many of them it takes; of lists and maps their head.
pub(super) fn token(bytes: &[u8]) -> Result<(Token<'_>, usize), Lack> {
    let marker = *bytes.first().ok_or(Lack::More)?;
    let number = |len: usize| -> Result<u64, Lack> {
        let bytes = bytes.get(1..=len).ok_or(Lack::More)?;
        Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    };
    let data = |head: usize, len: u64| -> Result<(&[u8], usize), Lack> {
        let len = usize::try_from(len).map_err(|_| Lack::More)?;
        let end = head.checked_add(len).ok_or(Lack::More)?;
        Ok((bytes.get(head..end).ok_or(Lack::More)?, end))
    };
    let string = |head, len| data(head, len).map(|(data, end)| (Token::Str(data), end));
    let binary = |head, len| data(head, len).map(|(data, end)| (Token::Bin(data), end));
    // The type stands between the length and the data.
    let extension = |head: usize, len: u64| {
        let (data, end) = data(head, len.saturating_add(1))?;
        Ok((Token::Ext(i8::from_be_bytes([data[0]]), &data[1..]), end))
    };
    let signed = |len: usize, shift: u32| {
        let wide = number(len)? << shift;
        Ok((Token::Int(wide.cast_signed() >> shift), 1 + len))
    };
    let count = |len: usize| number(len).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    match marker {
        0x00..=0x7f => Ok((Token::Uint(marker.into()), 1)),
        0x80..=0x8f => Ok((Token::Map((marker & 0x0f).into()), 1)),
        0x90..=0x9f => Ok((Token::Array((marker & 0x0f).into()), 1)),
        0xa0..=0xbf => string(1, (marker & 0x1f).into()),
        0xc0 => Ok((Token::Nil, 1)),
        0xc1 => Err(Lack::Never),
        0xc2 | 0xc3 => Ok((Token::Bool(marker == 0xc3), 1)),
        0xc4 => binary(2, number(1)?),
        0xc5 => binary(3, number(2)?),
        0xc6 => binary(5, number(4)?),
        0xc7 => extension(2, number(1)?),
        0xc8 => extension(3, number(2)?),
        0xc9 => extension(5, number(4)?),
        0xca => {
            let bits = u32::try_from(number(4)?).unwrap_or_default();
            Ok((Token::Float(f32::from_bits(bits).into()), 5))
        }
        0xcb => Ok((Token::Float(f64::from_bits(number(8)?)), 9)),
        0xcc => Ok((Token::Uint(number(1)?), 2)),
        0xcd => Ok((Token::Uint(number(2)?), 3)),
        0xce => Ok((Token::Uint(number(4)?), 5)),
        0xcf => Ok((Token::Uint(number(8)?), 9)),
        0xd0 => signed(1, 56),
        0xd1 => signed(2, 48),
        0xd2 => signed(4, 32),
        0xd3 => signed(8, 0),
        0xd4..=0xd8 => extension(1, 1 << (marker - 0xd4)),
        0xd9 => string(2, number(1)?),
        0xda => string(3, number(2)?),
        0xdb => string(5, number(4)?),
        0xdc => Ok((Token::Array(count(2)?), 3)),
        0xdd => Ok((Token::Array(count(4)?), 5)),
        0xde => Ok((Token::Map(count(2)?), 3)),
        0xdf => Ok((Token::Map(count(4)?), 5)),
        0xe0..=0xff => Ok((Token::Int(i8::from_be_bytes([marker]).into()), 1)),
    }
}

/// Finds where values end in bytes that are still coming. Each byte is looked at once.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// Where the next token begins.
    at: usize,
    /// Values that are still to come, those within others counted.
    left: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { at: 0, left: 1 }
    }
}

impl Scanner {
    /// How many bytes the first value takes, once it is there to its end; the next call is then about
    /// the value behind it, in bytes that begin with it.
    ///
    /// # Errors
    /// Bytes that no value begins with.
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Invalid> {
        while self.left > 0 {
            let (token, len) = match token(&bytes[self.at..]) {
                Ok(found) => found,
                Err(Lack::More) => return Ok(None),
                Err(Lack::Never) => return Err(Invalid::new("no MessagePack")),
            };
            self.at += len;
            let within = match token {
                Token::Array(count) => u64::from(count),
                Token::Map(count) => 2 * u64::from(count),
                _ => 0,
            };
            self.left = (self.left - 1).saturating_add(within);
        }
        let end = self.at;
        *self = Self::default();
        Ok(Some(end))
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value without reading it.
    pub(super) fn peek(&self) -> Result<Token<'a>, Invalid> {
        Ok(self.find()?.0)
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, Invalid> {
        let (token, len) = self.find()?;
        self.rest = &self.rest[len..];
        Ok(token)
    }

    fn find(&self) -> Result<(Token<'a>, usize), Invalid> {
        token(self.rest).map_err(|lack| {
            Invalid::new(match lack {
                Lack::More => "a value is cut off",
                Lack::Never => "no MessagePack",
            })
        })
    }

    /// Passes over a value with all that is within it; gives its bytes.
    pub(super) fn skip(&mut self) -> Result<&'a [u8], Invalid> {
        let end = Scanner::default().end(self.rest)?;
        let (value, rest) =
            self.rest.split_at(end.ok_or_else(|| Invalid::new("a value is cut off"))?);
        self.rest = rest;
        Ok(value)
    }

    /// The head of a list of so many values.
    pub(super) fn array_of(&mut self, count: u32, what: &str) -> Result<(), Invalid> {
        match self.token()? {
            Token::Array(found) if found == count => Ok(()),
            _ => Err(Invalid::new(format!("{what} is no list of {count}"))),
        }
    }

    /// A text, in either of its forms.
    pub(super) fn text(&mut self, what: &str) -> Result<std::borrow::Cow<'a, str>, Invalid> {
        match self.token()? {
            Token::Str(bytes) | Token::Bin(bytes) => Ok(text(bytes)),
            _ => Err(Invalid::new(format!("{what} is no text"))),
        }
    }
}
