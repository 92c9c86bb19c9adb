//! A stream's labels and an entry's structured metadata: sorted lists of name and value.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The labels that make a stream: sorted by name (bytewise), each name once, no empty value.
///
/// Cheap to clone; takes its texts' bytes, one or two for each length and one allocation. The order is
/// that of the pairs in turn.
///
/// ```
/// use timberline_store::Labels;
///
/// # fn main() -> Result<(), timberline_store::InvalidLabels> {
/// let labels = Labels::from_pairs([("env", "prod"), ("app", "shop"), ("empty", "")])?;
/// assert_eq!(labels.to_string(), r#"{app="shop", env="prod"}"#);
/// assert_eq!(labels.get("app"), Some("shop"));
/// assert!(Labels::from_pairs([("app", "a"), ("app", "b")]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Names and values in turn, each behind its length: six bits in a byte, the lowest first, with
    /// [`MORE`] where another byte follows. So the whole is text.
    text: Arc<str>,
}

/// In a byte of a length, that it is not the last.
const MORE: u8 = 0x40;

/// An entry's structured metadata: sorted by name (bytewise), each name once; values may be empty.
///
/// Cheap to clone.
pub type Metadata = Labels;

/// Why pairs are not a label set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLabels {
    /// A name is there twice.
    #[error("duplicate label name: '{0}'")]
    Duplicate(String),
}

impl Labels {
    /// Sorts the pairs and drops those without a value, as a stream's labels are kept.
    ///
    /// # Errors
    /// [`InvalidLabels::Duplicate`] when a name is there twice.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, InvalidLabels>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        Self::sorted(pairs.into_iter().filter(|(_, value)| !value.as_ref().is_empty()).collect())
    }

    /// Sorts the pairs, empty values included, as structured metadata is kept.
    ///
    /// # Errors
    /// [`InvalidLabels::Duplicate`] when a name is there twice.
    pub fn metadata<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, InvalidLabels>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        Self::sorted(pairs.into_iter().collect())
    }

    fn sorted<N: AsRef<str>, V: AsRef<str>>(mut pairs: Vec<(N, V)>) -> Result<Self, InvalidLabels> {
        pairs.sort_unstable_by(|left, right| left.0.as_ref().cmp(right.0.as_ref()));
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0.as_ref() == pair[1].0.as_ref()) {
            return Err(InvalidLabels::Duplicate(pair[0].0.as_ref().to_owned()));
        }
        let bytes = |(name, value): &(N, V)| name.as_ref().len() + value.as_ref().len() + 4;
        let mut text = String::with_capacity(pairs.iter().map(bytes).sum());
        for (name, value) in &pairs {
            put(&mut text, name.as_ref());
            put(&mut text, value.as_ref());
        }
        Ok(Self { text: text.into() })
    }

    /// The value of `name`, or `None` where there is no such label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let mut rest = &*self.text;
        std::iter::from_fn(move || Some((take(&mut rest)?, take(&mut rest)?)))
    }

    /// How many bytes their names and values have.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// Appends a text behind its length.
fn put(out: &mut String, text: &str) {
    let mut length = text.len();
    loop {
        // Six bits.
        let bits = (length & 0x3f) as u8;
        length >>= 6;
        out.push(char::from(if length == 0 { bits } else { bits | MORE }));
        if length == 0 {
            break;
        }
    }
    out.push_str(text);
}

/// Takes the next text off.
fn take<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (mut length, mut shift) = (0_usize, 0_u32);
    for (place, byte) in rest.bytes().enumerate() {
        length |= usize::from(byte & 0x3f) << shift;
        shift += 6;
        if byte & MORE == 0 {
            let (text, behind) = rest.get(place + 1..)?.split_at_checked(length)?;
            *rest = behind;
            return Some(text);
        }
    }
    None
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// `{a="1", b="2"}`, values quoted as Rust quotes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_without_empty_values() {
        let labels = Labels::from_pairs([("b", "2"), ("c", ""), ("a", "1")]).unwrap();
        assert_eq!(labels.to_string(), r#"{a="1", b="2"}"#);
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("c"), None);
    }

    #[test]
    fn metadata_keeps_empty_values() {
        assert_eq!(Labels::metadata([("k", "")]).unwrap().get("k"), Some(""));
    }

    #[test]
    fn a_name_may_be_there_once() {
        let twice = Labels::from_pairs([("a", "1"), ("a", "2")]);
        assert_eq!(twice, Err(InvalidLabels::Duplicate("a".to_owned())));
    }

    #[test]
    fn texts_of_every_length_read_back() {
        for length in [1, 63, 64, 65, 4095, 4096, 4097, 300_000] {
            let (name, value) = ("n".repeat(length), "ä".repeat(length));
            let labels = Labels::from_pairs([(&name, &value), (&"z".to_owned(), &name)]).unwrap();
            assert!(labels.iter().eq([(&*name, &*value), ("z", &*name)]));
            assert_eq!((labels.len(), labels.get("z")), (2, Some(&*name)));
        }
    }

    #[test]
    fn the_order_is_that_of_the_pairs() {
        let sets = [
            vec![],
            vec![("a", "long value"), ("b", "1")],
            vec![("a", "x")],
            vec![("a", "x"), ("b", "1")],
            vec![("aa", "1")],
            vec![("b", "")],
        ];
        let sets = sets.map(|pairs| Labels::metadata(pairs).unwrap());
        assert!(sets.is_sorted_by(|one, two| one < two));
    }
}
