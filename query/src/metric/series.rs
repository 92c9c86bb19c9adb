//! The vectors that metric expressions compute with.

use std::collections::HashMap;
use std::hash::BuildHasher;

use timberline_store::Labels;

use crate::syntax::Grouping;

/// One series: labels, and a value at some of the steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StepSeries {
    /// Its labels.
    pub(crate) labels: Labels,
    /// Step and value, by ascending step. Never empty.
    pub(crate) points: Vec<(u32, f64)>,
}

#[cfg(test)]
impl StepSeries {
    /// A series of these labels and points.
    pub(super) fn of(labels: &[(&str, &str)], points: &[(u32, f64)]) -> Self {
        let labels = Labels::metadata(labels.iter().copied()).unwrap_or_default();
        Self { labels, points: points.to_vec() }
    }
}

/// What a metric expression evaluates to, at all steps at once.
///
/// Series are kept by their labels and not by step, so that labels are matched and grouped once and
/// not at every step. A step's vector is the series with a point there, in the order of the list.
/// Two series may have the same labels (`a or b`, `label_replace`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A number without labels.
    Scalar(f64),
    /// Series, sorted by labels unless an operation orders its result.
    Vector(Vec<StepSeries>),
}

/// The bytes that a series holds beside its points.
pub(crate) const SERIES_BYTES: usize = 128;
/// The bytes of a point.
pub(crate) const POINT_BYTES: usize = size_of::<(u32, f64)>();

/// The labels that `keep` lets through, empty values included.
pub(crate) fn filtered(labels: &Labels, keep: impl Fn(&str) -> bool) -> Labels {
    if labels.iter().all(|(name, _)| keep(name)) {
        return labels.clone();
    }
    // A part of a label set has each name once, so the fallback is never taken.
    Labels::metadata(labels.iter().filter(|(name, _)| keep(name))).unwrap_or_default()
}

/// The labels with `name` set to `value`, or without it.
pub(crate) fn with_label(labels: &Labels, name: &str, value: Option<&str>) -> Labels {
    let others = labels.iter().filter(|(other, _)| *other != name);
    Labels::metadata(others.chain(value.map(|value| (name, value)))).unwrap_or_default()
}

/// The labels of the group that a series is in; no grouping is one group without labels.
///
/// # Source
/// Loki removes `__name__` wherever `without` is used.
pub(crate) fn group_labels(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    match grouping {
        None => Labels::default(),
        Some(Grouping { without: false, labels: names }) => {
            filtered(labels, |name| names.iter().any(|by| by == name))
        }
        Some(Grouping { without: true, labels: names }) => {
            filtered(labels, |name| name != "__name__" && names.iter().all(|out| out != name))
        }
    }
}

/// Series by key, both in the order they are first seen in.
#[derive(Debug)]
pub(crate) struct Groups<T> {
    index: HashMap<Labels, usize>,
    groups: Vec<(Labels, Vec<T>)>,
}

impl<T> Groups<T> {
    /// Puts every item into the group of its key.
    pub(crate) fn collect(items: impl IntoIterator<Item = (Labels, T)>) -> Self {
        let mut this = Self { index: HashMap::new(), groups: Vec::new() };
        for (key, item) in items {
            let index = *this.index.entry(key).or_insert_with_key(|key| {
                this.groups.push((key.clone(), Vec::new()));
                this.groups.len() - 1
            });
            this.groups[index].1.push(item);
        }
        this
    }

    /// The items with this key.
    pub(crate) fn get(&self, key: &Labels) -> &[T] {
        self.index.get(key).map_or(&[], |&index| &self.groups[index].1)
    }

    /// The groups.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Labels, &[T])> {
        self.groups.iter().map(|(key, items)| (key, items.as_slice()))
    }

    /// The groups, by value.
    pub(crate) fn into_groups(self) -> Vec<(Labels, Vec<T>)> {
        self.groups
    }
}

/// The number of a key in `index`, and whether it is new.
pub(crate) fn intern<S: BuildHasher>(
    index: &mut HashMap<Labels, u32, S>,
    labels: Labels,
) -> (u32, bool) {
    let next = u32::try_from(index.len()).unwrap_or(u32::MAX);
    let id = *index.entry(labels).or_insert(next);
    (id, id == next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::metadata(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn groups_keep_empty_values_apart_from_missing_labels() {
        let by = Grouping { without: false, labels: vec!["a".to_owned()] };
        assert_eq!(
            group_labels(&labels(&[("a", ""), ("b", "1")]), Some(&by)),
            labels(&[("a", "")])
        );
        assert_eq!(group_labels(&labels(&[("b", "1")]), Some(&by)), labels(&[]));
    }

    #[test]
    fn without_nothing_keeps_all_but_the_name() {
        let without = Grouping { without: true, labels: vec![] };
        let all = labels(&[("__name__", "x"), ("b", "1")]);
        assert_eq!(group_labels(&all, Some(&without)), labels(&[("b", "1")]));
        assert_eq!(group_labels(&all, None), labels(&[]));
    }

    #[test]
    fn a_label_is_set_or_removed() {
        let all = labels(&[("a", "1"), ("b", "2")]);
        assert_eq!(with_label(&all, "a", Some("3")), labels(&[("a", "3"), ("b", "2")]));
        assert_eq!(with_label(&all, "a", None), labels(&[("b", "2")]));
    }
}
