//! The tokens of LogQL and what error messages call them.

use std::borrow::Cow;

use crate::syntax::ast::{BinaryOp, RangeFunction, Span, UnwrapConversion, VectorFunction};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    End,
    Bytes,
    Identifier,
    String,
    Number,
    Flag,
    Duration,
    Range,
    Equal,
    Matches,
    NotMatches,
    NotPattern,
    OpenBrace,
    CloseBrace,
    Comma,
    Dot,
    PipeMatches,
    PipeContains,
    PipePattern,
    OpenParen,
    CloseParen,
    By,
    Without,
    RangeFunction(RangeFunction),
    VectorFunction(VectorFunction),
    Bool,
    Json,
    Regexp,
    Logfmt,
    Pipe,
    LineFormat,
    LabelFormat,
    Unwrap,
    Conversion(UnwrapConversion),
    Vector,
    LabelReplace,
    Unpack,
    Offset,
    Pattern,
    Ip,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Decolorize,
    Drop,
    Keep,
    Variants,
    Of,
    /// Also the comparisons and the signs, wherever they stand.
    Binary(BinaryOp),
}

impl Kind {
    /// What error messages call it: operators and reserved words by their text, classes of tokens and
    /// words that are also labels by a name in capitals.
    pub(crate) fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::End => "$end",
            Self::Bytes => "BYTES",
            Self::Identifier => "IDENTIFIER",
            Self::String => "STRING",
            Self::Number => "NUMBER",
            Self::Flag => "FUNCTION_FLAG",
            Self::Duration => "DURATION",
            Self::Range => "RANGE",
            Self::Equal => "=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
            Self::NotPattern => "!>",
            Self::OpenBrace => "{",
            Self::CloseBrace => "}",
            Self::Comma => ",",
            Self::Dot => ".",
            Self::PipeMatches => "|~",
            Self::PipeContains => "|=",
            Self::PipePattern => "|>",
            Self::OpenParen => "(",
            Self::CloseParen => ")",
            Self::Pipe => "|",
            Self::Conversion(UnwrapConversion::Duration) => "DURATION_CONV",
            Self::Conversion(UnwrapConversion::DurationSeconds) => "DURATION_SECONDS_CONV",
            Self::Conversion(_) => "BYTES_CONV",
            Self::Vector => "VECTOR",
            Self::RangeFunction(function) => return function.as_str().to_uppercase().into(),
            Self::VectorFunction(function) => return function.as_str().to_uppercase().into(),
            Self::Binary(op) => op.as_str(),
            word => word.word().unwrap_or_default(),
        })
    }

    /// The text of the words that error messages call by it.
    const fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::By => "by",
            Self::Without => "without",
            Self::Bool => "bool",
            Self::Json => "json",
            Self::Regexp => "regexp",
            Self::Logfmt => "logfmt",
            Self::LineFormat => "line_format",
            Self::LabelFormat => "label_format",
            Self::Unwrap => "unwrap",
            Self::LabelReplace => "label_replace",
            Self::Unpack => "unpack",
            Self::Offset => "offset",
            Self::Pattern => "pattern",
            Self::Ip => "ip",
            Self::On => "on",
            Self::Ignoring => "ignoring",
            Self::GroupLeft => "group_left",
            Self::GroupRight => "group_right",
            Self::Decolorize => "decolorize",
            Self::Drop => "drop",
            Self::Keep => "keep",
            Self::Variants => "variants",
            Self::Of => "of",
            _ => return None,
        })
    }

    /// The reserved word that `word`, in lower case, is: it can never be an identifier.
    pub(super) fn reserved(word: &str) -> Option<Self> {
        const WORDS: [Kind; 21] = [
            Kind::By,
            Kind::Without,
            Kind::Bool,
            Kind::Json,
            Kind::Regexp,
            Kind::Logfmt,
            Kind::LineFormat,
            Kind::LabelFormat,
            Kind::Unwrap,
            Kind::Unpack,
            Kind::Offset,
            Kind::Pattern,
            Kind::On,
            Kind::Ignoring,
            Kind::GroupLeft,
            Kind::GroupRight,
            Kind::Decolorize,
            Kind::Drop,
            Kind::Keep,
            Kind::Variants,
            Kind::Of,
        ];
        match word {
            "or" => Some(Self::Binary(BinaryOp::Or)),
            "and" => Some(Self::Binary(BinaryOp::And)),
            "unless" => Some(Self::Binary(BinaryOp::Unless)),
            _ => WORDS.into_iter().find(|kind| kind.word() == Some(word)),
        }
    }

    /// The function that `word`, in lower case, is when arguments follow.
    pub(super) fn function(word: &str) -> Option<Self> {
        match word {
            "vector" => return Some(Self::Vector),
            "label_replace" => return Some(Self::LabelReplace),
            "ip" => return Some(Self::Ip),
            "bytes" => return Some(Self::Conversion(UnwrapConversion::Bytes)),
            "duration" => return Some(Self::Conversion(UnwrapConversion::Duration)),
            "duration_seconds" => {
                return Some(Self::Conversion(UnwrapConversion::DurationSeconds));
            }
            _ => {}
        }
        let range = RangeFunction::ALL.into_iter().find(|function| function.as_str() == word);
        let vector = VectorFunction::ALL.into_iter().find(|function| function.as_str() == word);
        range.map(Self::RangeFunction).or(vector.map(Self::VectorFunction))
    }

    /// The operator that `text` is.
    pub(super) fn operator(text: &str) -> Option<Self> {
        Some(match text {
            "," => Self::Comma,
            "." => Self::Dot,
            "{" => Self::OpenBrace,
            "}" => Self::CloseBrace,
            "(" => Self::OpenParen,
            ")" => Self::CloseParen,
            "=" => Self::Equal,
            "=~" => Self::Matches,
            "!~" => Self::NotMatches,
            "!>" => Self::NotPattern,
            "|=" => Self::PipeContains,
            "|~" => Self::PipeMatches,
            "|>" => Self::PipePattern,
            "|" => Self::Pipe,
            "!=" => Self::Binary(BinaryOp::NotEqual),
            "==" => Self::Binary(BinaryOp::Equal),
            ">" => Self::Binary(BinaryOp::Greater),
            ">=" => Self::Binary(BinaryOp::GreaterOrEqual),
            "<" => Self::Binary(BinaryOp::Less),
            "<=" => Self::Binary(BinaryOp::LessOrEqual),
            "+" => Self::Binary(BinaryOp::Add),
            "-" => Self::Binary(BinaryOp::Sub),
            "*" => Self::Binary(BinaryOp::Mul),
            "/" => Self::Binary(BinaryOp::Div),
            "%" => Self::Binary(BinaryOp::Mod),
            "^" => Self::Binary(BinaryOp::Pow),
            _ => return None,
        })
    }
}

/// What a token says beyond its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    None,
    /// An identifier, a number or a flag as written; a string unquoted.
    Text(String),
    /// A duration or a range.
    Nanos(i64),
    /// A size.
    Bytes(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// What it says.
    pub(crate) value: Value,
    /// Where it is, in bytes.
    pub(crate) span: Span,
    /// The line as error messages count.
    pub(crate) line: u32,
    /// The column as error messages count.
    pub(crate) column: u32,
}

impl Token {
    /// The text; empty for tokens that have none.
    pub(crate) fn into_text(self) -> String {
        match self.value {
            Value::Text(text) => text,
            _ => String::new(),
        }
    }

    /// The duration; 0 for tokens that have none.
    pub(crate) const fn nanos(&self) -> i64 {
        match self.value {
            Value::Nanos(nanos) => nanos,
            _ => 0,
        }
    }
}
