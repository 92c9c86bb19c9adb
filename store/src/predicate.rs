//! What a line must satisfy to be read: the part of a query that the store can decide by itself.

use std::fmt;
use std::sync::Arc;

use regex::bytes::Regex;

use crate::Needle;
use crate::literals::{Literals, literals};

/// A test on a line's bytes that the store knows nothing about.
pub trait LineTest: Send + Sync {
    /// Whether the line passes.
    fn test(&self, line: &[u8]) -> bool;
}

impl<F: Fn(&[u8]) -> bool + Send + Sync> LineTest for F {
    fn test(&self, line: &[u8]) -> bool {
        self(line)
    }
}

/// A regular expression with what can be said of its matches beforehand.
#[derive(Debug)]
pub struct LineRegex {
    pub(crate) regex: Regex,
    pub(crate) literals: Literals,
}

/// A condition on a line's bytes, in a form the store can use to skip blocks, rows and decoding.
///
/// ```
/// use timberline_store::LinePredicate;
///
/// let paid = LinePredicate::contains(b"paid");
/// let not_free = LinePredicate::All(vec![paid, LinePredicate::Not(Box::new(LinePredicate::contains(b" 0.00")))]);
/// assert!(not_free.matches(b"order 17 paid 9.50") && !not_free.matches(b"order 18 paid 0.00"));
/// ```
///
/// [`matches`](Self::matches) is the meaning; a reader may come to the same answer by any shorter way.
#[derive(Clone)]
#[non_exhaustive]
pub enum LinePredicate {
    /// Every line passes.
    Always,
    /// No line passes.
    Never,
    /// The line has these bytes somewhere. Never empty: use [`contains`](Self::contains).
    Contains(Arc<Needle>),
    /// The regular expression matches somewhere in the line: use [`regex`](Self::regex).
    Regex(Arc<LineRegex>),
    /// The test passes. The store calls it on every candidate line.
    Custom(Arc<dyn LineTest>),
    /// The inner condition does not hold.
    Not(Box<LinePredicate>),
    /// All hold. Tested in order.
    All(Vec<LinePredicate>),
    /// At least one holds. Tested in order.
    Any(Vec<LinePredicate>),
}

impl LinePredicate {
    /// The line has `needle` somewhere; every line has the empty needle.
    #[must_use]
    pub fn contains(needle: &[u8]) -> Self {
        if needle.is_empty() {
            return Self::Always;
        }
        Self::Contains(Arc::new(Needle::new(needle)))
    }

    /// The regular expression matches somewhere in the line.
    ///
    /// The literals that a match must have are taken from the expression's text, read as
    /// [`Regex::new`] reads it: flags set on a builder beside it must be in the text, too.
    #[must_use]
    pub fn regex(regex: Regex) -> Self {
        let literals = literals(regex.as_str());
        Self::Regex(Arc::new(LineRegex { regex, literals }))
    }

    /// Whether `line` passes.
    #[must_use]
    pub fn matches(&self, line: &[u8]) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Contains(needle) => needle.find(line).is_some(),
            Self::Regex(regex) => regex.regex.is_match(line),
            Self::Custom(test) => test.test(line),
            Self::Not(inner) => !inner.matches(line),
            Self::All(parts) => parts.iter().all(|part| part.matches(line)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(line)),
        }
    }

    /// Whether both are the same tests, shared between them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let all = |left: &[Self], right: &[Self]| {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| left.is_same(right))
        };
        match (self, other) {
            (Self::Always, Self::Always) | (Self::Never, Self::Never) => true,
            (Self::Contains(left), Self::Contains(right)) => Arc::ptr_eq(left, right),
            (Self::Regex(left), Self::Regex(right)) => Arc::ptr_eq(left, right),
            (Self::Custom(left), Self::Custom(right)) => Arc::ptr_eq(left, right),
            (Self::Not(left), Self::Not(right)) => left.is_same(right),
            (Self::All(left), Self::All(right)) | (Self::Any(left), Self::Any(right)) => {
                all(left, right)
            }
            _ => false,
        }
    }

    /// A condition that holds wherever this one does and that is decided by needles alone.
    pub(crate) fn by_needles(&self) -> Self {
        let any = |needles: &[Arc<Needle>]| match needles {
            [needle] => Self::Contains(Arc::clone(needle)),
            _ => Self::Any(needles.iter().cloned().map(Self::Contains).collect()),
        };
        match self {
            Self::Always | Self::Custom(_) => Self::Always,
            Self::Never | Self::Contains(_) => self.clone(),
            Self::Regex(regex) => match &regex.literals {
                // Kept as it is, so that what is found for one is known for the other.
                Literals::Exact(_) => self.clone(),
                Literals::Required(needles) => any(needles),
                Literals::Unknown => Self::Always,
            },
            Self::Not(inner) if inner.is_by_needles() => self.clone(),
            Self::Not(_) => Self::Always,
            Self::All(_) | Self::Any(_) if self.is_by_needles() => self.clone(),
            Self::All(parts) => {
                let mut parts: Vec<Self> = parts.iter().map(Self::by_needles).collect();
                parts.retain(|part| !part.is_always());
                match parts.len() {
                    0 => Self::Always,
                    _ => Self::All(parts),
                }
            }
            Self::Any(parts) => {
                let parts: Vec<Self> = parts.iter().map(Self::by_needles).collect();
                match parts.iter().any(Self::is_always) {
                    true => Self::Always,
                    false => Self::Any(parts),
                }
            }
        }
    }

    /// Whether one of some texts may pass, of which `may_have` says whether one may have a needle.
    pub(crate) fn may_hold<E>(
        &self,
        may_have: &impl Fn(&Needle) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let any = |needles: &[Arc<Needle>]| {
            for needle in needles {
                if may_have(needle)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        match self {
            Self::Always | Self::Custom(_) | Self::Not(_) => Ok(true),
            Self::Never => Ok(false),
            Self::Contains(needle) => may_have(needle),
            Self::Regex(regex) => match &regex.literals {
                Literals::Exact(needles) | Literals::Required(needles) => any(needles),
                Literals::Unknown => Ok(true),
            },
            Self::All(parts) => {
                for part in parts.iter() {
                    if !part.may_hold(may_have)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(parts) => {
                for part in parts.iter() {
                    if part.may_hold(may_have)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether needles alone decide it.
    pub(crate) fn is_by_needles(&self) -> bool {
        match self {
            Self::Always | Self::Never | Self::Contains(_) => true,
            Self::Regex(regex) => matches!(regex.literals, Literals::Exact(_)),
            Self::Custom(_) => false,
            Self::Not(inner) => inner.is_by_needles(),
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_by_needles),
        }
    }

    /// Whether every line passes, whatever it is.
    #[must_use]
    pub fn is_always(&self) -> bool {
        match self {
            Self::Always => true,
            Self::All(parts) => parts.iter().all(Self::is_always),
            _ => false,
        }
    }
}

impl fmt::Debug for LinePredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("Always"),
            Self::Never => f.write_str("Never"),
            Self::Contains(needle) => write!(f, "Contains({needle:?})"),
            Self::Regex(regex) => write!(f, "Regex({:?})", regex.regex.as_str()),
            Self::Custom(_) => f.write_str("Custom(..)"),
            Self::Not(inner) => f.debug_tuple("Not").field(inner).finish(),
            Self::All(parts) => f.debug_tuple("All").field(parts).finish(),
            Self::Any(parts) => f.debug_tuple("Any").field(parts).finish(),
        }
    }
}
