//! `| drop a, b="x"` and `| keep a, b="x"`: which labels stay.

use timberline_store::Matcher;

use super::labels::LabelBuilder;
use super::names::{NameId, Names};
use crate::golang::translate_regex;
use crate::syntax::NameOrMatcher;

/// The items of `drop` or `keep`: a label, and where it must match, how.
#[derive(Debug)]
pub(crate) struct LabelList {
    items: Vec<(NameId, Option<Matcher>)>,
}

impl LabelList {
    /// # Errors
    /// A regular expression that does not compile.
    pub(crate) fn compile(items: &[NameOrMatcher], names: &mut Names) -> Result<Self, String> {
        let mut compiled = Vec::with_capacity(items.len());
        for item in items {
            compiled.push(match item {
                NameOrMatcher::Name(name) => (names.intern(name), None),
                NameOrMatcher::Matcher(matcher) => {
                    use timberline_store::MatchOp::{Equal, Matches, NotEqual, NotMatches};
                    let value = match matcher.op {
                        Equal | NotEqual => matcher.value.clone(),
                        Matches | NotMatches => translate_regex(&matcher.value)?,
                    };
                    let test = Matcher::new(&matcher.name, matcher.op, &value)
                        .map_err(|error| error.to_string())?;
                    (names.intern(&matcher.name), Some(test))
                }
            });
        }
        Ok(Self { items: compiled })
    }

    /// Removes the labels of the list. A label that is not there has the value `""`.
    pub(crate) fn drop_from(&self, labels: &mut LabelBuilder<'_>) {
        for (name, matcher) in &self.items {
            let value = match *name {
                NameId::ERROR => labels.error(),
                NameId::ERROR_DETAILS => labels.error_details(),
                name => labels.get(name),
            };
            if matcher.as_ref().is_some_and(|test| !test.matches(value.unwrap_or_default())) {
                continue;
            }
            match *name {
                NameId::ERROR => labels.clear_error(),
                NameId::ERROR_DETAILS => labels.clear_error_details(),
                name => labels.delete(name),
            }
        }
    }

    /// Removes all labels but the list's. What says that something went wrong stays.
    pub(crate) fn keep_in(&self, labels: &mut LabelBuilder<'_>, doomed: &mut Vec<NameId>) {
        doomed.clear();
        doomed
            .extend(labels.labels().filter(|(name, value)| !self.keeps(*name, value)).map(|l| l.0));
        for name in doomed.drain(..) {
            labels.delete(name);
        }
    }

    fn keeps(&self, name: NameId, value: &str) -> bool {
        let listed = |(item, matcher): &(NameId, Option<Matcher>)| {
            *item == name && matcher.as_ref().is_none_or(|test| test.matches(value))
        };
        name == NameId::PRESERVE_ERROR || self.items.iter().any(listed)
    }
}
