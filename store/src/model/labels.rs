//! A stream's labels and an entry's structured metadata: sorted lists of name and value.

use std::fmt;
use std::sync::Arc;

/// One name with its value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The name.
    pub name: Box<str>,
    /// The value.
    pub value: Box<str>,
}

/// The labels that make a stream: sorted by name (bytewise), each name once, no empty value.
///
/// Cheap to clone. The order is that of the pairs in turn.
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
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[Label]>);

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
        N: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        let labels = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self::sorted(labels.filter(|(_, value): &(Box<str>, Box<str>)| !value.is_empty()))
    }

    /// Sorts the pairs, empty values included, as structured metadata is kept.
    ///
    /// # Errors
    /// [`InvalidLabels::Duplicate`] when a name is there twice.
    pub fn metadata<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, InvalidLabels>
    where
        N: Into<Box<str>>,
        V: Into<Box<str>>,
    {
        Self::sorted(pairs.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn sorted(pairs: impl Iterator<Item = (Box<str>, Box<str>)>) -> Result<Self, InvalidLabels> {
        let mut labels: Vec<Label> = pairs.map(|(name, value)| Label { name, value }).collect();
        labels.sort_unstable();
        if let Some(pair) = labels.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(InvalidLabels::Duplicate(pair[0].name.to_string()));
        }
        Ok(Self(labels.into()))
    }

    /// The value of `name`, or `None` where there is no such label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|label| (*label.name).cmp(name)).ok()?;
        Some(&self.0[found].value)
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|label| (&*label.name, &*label.value))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
}
