//! Records of named fields, as most shippers send them: which field is the time, which the line, which
//! are labels. What is left is structured metadata.

mod flatten;
mod gathered;
mod stamps;
mod time;

use std::borrow::Cow;

use timberline_store::Timestamp;

pub(crate) use self::flatten::flatten;
pub(crate) use self::gathered::Gathered;
pub(crate) use self::stamps::Stamps;
pub(crate) use self::time::parse as parse_time;

use super::label_text::label_text;
use super::metadata::normalize_name;
use super::push::{DecodeError, Pair};

/// The label that says where an entry came in, where it has no other.
const FALLBACK_LABEL: &str = "job";

/// Which field is what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldRules {
    /// Fields that may have the time; the first that is there has it.
    pub(crate) time: Vec<String>,
    /// Fields that may have the line; the first that is there has it.
    pub(crate) message: Vec<String>,
    /// Fields that become labels.
    pub(crate) labels: Vec<String>,
    /// Fields that are left out; `prefix*` is all that begin so.
    pub(crate) ignored: Vec<String>,
    /// Fields that every record gets, in place of its own of that name.
    pub(crate) extra: Vec<(String, String)>,
    /// Labels that every entry gets.
    pub(crate) fixed: Vec<(String, String)>,
    /// The value of `job` where an entry has no label otherwise.
    pub(crate) job: &'static str,
}

impl FieldRules {
    /// Adds the entry that a record's fields make. `whole` is the record as text: the line of a record
    /// without a message, whose fields are then in its line. `stamp` is the time of one without a time.
    ///
    /// # Errors
    /// A time that is none, and entries that stand for too much.
    pub(crate) fn add<'a>(
        &self,
        fields: &mut Vec<Pair<'a>>,
        whole: impl FnOnce() -> Cow<'a, str>,
        stamp: impl FnOnce() -> Timestamp,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<(), DecodeError> {
        let is_extra = |name: &str| self.extra.iter().any(|(extra, _)| extra == name);
        fields
            .retain(|(name, value)| !value.is_empty() && !self.is_ignored(name) && !is_extra(name));
        let time = match take_first(fields, &self.time) {
            None => stamp(),
            Some((_, text)) if text == "0" => stamp(),
            Some((name, text)) => parse_time(&text).ok_or_else(|| {
                DecodeError::malformed(format!("{name} is no time that is understood: {text:?}"))
            })?,
        };
        let message = take_first(fields, &self.message).map(|(_, line)| line);
        let in_line = message.is_none();
        let line = message.unwrap_or_else(whole);
        let extra = self.extra.iter().map(|(name, value)| {
            let is_label = self.labels.contains(name);
            ((name.clone().into(), value.clone().into()), is_label)
        });
        let extra: Vec<(Pair<'a>, bool)> = extra.collect();
        let mut labels: Vec<Pair<'a>> = Vec::new();
        let mut metadata: Vec<Pair<'a>> = Vec::new();
        for (pair, is_label) in extra {
            if is_label { &mut labels } else { &mut metadata }.push(pair);
        }
        for label in &self.labels {
            if let Some(at) = fields.iter().position(|(name, _)| name == label) {
                labels.push(fields.remove(at));
            }
        }
        if !in_line {
            metadata.append(fields);
        }
        metadata.iter_mut().for_each(|(name, _)| normalize(name));
        out.add(self.stream(labels), time, line, metadata)
    }

    /// The stream of an entry with these labels beside those that all have.
    pub(crate) fn stream(&self, mut labels: Vec<Pair<'_>>) -> String {
        for (name, _) in &mut labels {
            // Elasticsearch's name for the index is not a name that people look for.
            match &**name {
                "_index" => *name = Cow::Borrowed("index"),
                _ => normalize(name),
            }
        }
        let fixed = self.fixed.iter();
        labels.extend(fixed.map(|(name, value)| (Cow::from(name.clone()), value.clone().into())));
        if labels.is_empty() {
            labels.push((FALLBACK_LABEL.into(), self.job.into()));
        }
        label_text(&labels)
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| match ignored.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == ignored,
        })
    }
}

/// Takes out the first field, in the order of `names`.
fn take_first<'a>(fields: &mut Vec<Pair<'a>>, names: &[String]) -> Option<Pair<'a>> {
    let place = |wanted: &String| fields.iter().position(|(name, _)| name == wanted);
    let at = names.iter().find_map(place)?;
    Some(fields.remove(at))
}

/// The name as labels and metadata have it. One without a letter or digit of ASCII is kept as
/// `field_` and its bytes in hexadecimal digits, so that nothing is lost.
pub(crate) fn normalize(name: &mut Cow<'_, str>) {
    if normalize_name(name).is_err() {
        let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        *name = Cow::Owned(format!("field_{digits}"));
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
