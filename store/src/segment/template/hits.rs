//! Which texts of a table, or values of a column, pass a test.

use std::ops::Range;

use super::super::bitmap::Bitmap;

/// Some of so many texts. How many there are is known to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::segment) enum Hits {
    None,
    All,
    Some(Bitmap),
}

impl Hits {
    /// Those of `count` for which a test holds.
    pub(in crate::segment) fn of(count: usize, test: impl FnMut(usize) -> bool) -> Self {
        Self::from_bitmap(Bitmap::of(count, test), count)
    }

    pub(in crate::segment) fn from_bitmap(bitmap: Bitmap, count: usize) -> Self {
        match bitmap.count() {
            0 => Self::None,
            hits if hits == count => Self::All,
            _ => Self::Some(bitmap),
        }
    }

    /// About how many bytes it takes.
    pub(in crate::segment) const fn bytes(&self) -> usize {
        match self {
            Self::None | Self::All => size_of::<Self>(),
            Self::Some(bitmap) => size_of::<Self>() + bitmap.bytes(),
        }
    }

    /// Whether any of a range is hit.
    pub(in crate::segment) fn any_in(&self, range: Range<u32>) -> bool {
        match self {
            Self::None => false,
            Self::All => !range.is_empty(),
            Self::Some(bitmap) => bitmap.iter_in(range).next().is_some(),
        }
    }

    /// Those that are in both.
    pub(in crate::segment) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, hits) | (hits, Self::All) => hits,
            (Self::Some(mut left), Self::Some(right)) => {
                left.intersect(&right);
                if left.is_empty() { Self::None } else { Self::Some(left) }
            }
        }
    }

    /// Those that are in one of them.
    pub(in crate::segment) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, hits) | (hits, Self::None) => hits,
            (Self::Some(mut left), Self::Some(right)) => {
                left.unite(&right);
                Self::Some(left)
            }
        }
    }

    /// Those of `count` that are not here.
    pub(in crate::segment) fn not(self, count: usize) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::None,
            Self::Some(bitmap) => Self::from_bitmap(bitmap.complement(count), count),
        }
    }
}
