//! Why data is refused: the reasons that metrics count by, and the messages that clients see.

use std::collections::HashMap;

/// Why data is refused, as the label `reason` of the discard metrics says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    RequestBodyTooLarge,
    InvalidLabels,
    MissingLabels,
    MaxLabelNamesPerSeries,
    LabelNameTooLong,
    LabelValueTooLong,
    DuplicateLabelNames,
    RateLimited,
    StreamLimit,
    PerStreamRateLimit,
    TooFarBehind,
    GreaterThanMaxSampleAge,
    TooFarInFuture,
    LineTooLong,
    DisallowedStructuredMetadata,
    StructuredMetadataTooLarge,
    StructuredMetadataTooMany,
}

impl Reason {
    /// The metric label's value; Loki's names.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RequestBodyTooLarge => "request_body_too_large",
            Self::InvalidLabels => "invalid_labels",
            Self::MissingLabels => "missing_labels",
            Self::MaxLabelNamesPerSeries => "max_label_names_per_series",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::DuplicateLabelNames => "duplicate_label_names",
            Self::RateLimited => "rate_limited",
            Self::StreamLimit => "stream_limit",
            Self::PerStreamRateLimit => "per_stream_rate_limit",
            Self::TooFarBehind => "too_far_behind",
            Self::GreaterThanMaxSampleAge => "greater_than_max_sample_age",
            Self::TooFarInFuture => "too_far_in_future",
            Self::LineTooLong => "line_too_long",
            Self::DisallowedStructuredMetadata => "disallowed_structured_metadata",
            Self::StructuredMetadataTooLarge => "structured_metadata_too_large",
            Self::StructuredMetadataTooMany => "structured_metadata_too_many",
        }
    }
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    /// What the client is told.
    pub(crate) text: String,
}

impl Fault {
    pub(crate) const fn new(reason: Reason, text: String) -> Self {
        Self { reason, text }
    }
}

/// How many different messages an answer may have. A push may break a rule with every entry.
const MESSAGES_MAX: usize = 64;

/// Messages with how often each came, in the order of their first time.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    places: HashMap<String, usize>,
    counts: Vec<(String, usize)>,
    left_out: usize,
}

impl Messages {
    pub(crate) fn add(&mut self, text: &str) {
        self.add_times(text, 1);
    }

    pub(crate) fn add_times(&mut self, text: &str, times: usize) {
        if let Some(&place) = self.places.get(text) {
            self.counts[place].1 += times;
        } else if self.counts.len() < MESSAGES_MAX {
            self.places.insert(text.to_owned(), self.counts.len());
            self.counts.push((text.to_owned(), times));
        } else {
            self.left_out += times;
        }
    }

    /// One message that came once as it is; else `2 errors like: a; 1 errors like: b`.
    pub(crate) fn into_text(self) -> Option<String> {
        if let [(text, 1)] = &self.counts[..] {
            return Some(text.clone());
        }
        let like = |(text, count): &(String, usize)| format!("{count} errors like: {text}");
        let mut parts: Vec<String> = self.counts.iter().map(like).collect();
        if self.left_out > 0 {
            parts.push(format!("{} other errors", self.left_out));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_grouped() {
        let mut messages = Messages::default();
        messages.add("a");
        messages.add("b");
        messages.add("a");
        assert_eq!(messages.into_text().as_deref(), Some("2 errors like: a; 1 errors like: b"));
        let mut one = Messages::default();
        one.add("a");
        assert_eq!(one.into_text().as_deref(), Some("a"));
        assert_eq!(Messages::default().into_text(), None);
    }

    #[test]
    fn an_answer_has_so_many_messages() {
        let mut messages = Messages::default();
        (0..1000).for_each(|index| messages.add(&index.to_string()));
        let text = messages.into_text().unwrap();
        assert!(text.ends_with("; 936 other errors"), "{text}");
    }
}
