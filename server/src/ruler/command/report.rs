//! How results are told.

use crate::ingest::go_quote;
use crate::ruler::rules::LabelMap;
use crate::ruler::view::scientific;

/// To standard output.
pub(super) fn say(text: &str) {
    let _ = crate::cli::print(text);
}

/// To standard error.
#[expect(clippy::print_stderr, reason = "for the person who started the command")]
pub(super) fn complain(text: &str) {
    eprint!("{text}");
}

/// `{a="b", c="d"}`
pub(super) fn labels_text(labels: &LabelMap) -> String {
    let pairs: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}={}", go_quote(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Labels and annotations of alerts, an item each.
pub(super) fn alerts_text(alerts: &[(LabelMap, LabelMap)]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let items = alerts.iter().enumerate().map(|(index, (labels, annotations))| {
        let (labels, annotations) = (labels_text(labels), labels_text(annotations));
        format!(
            "\n            {index}:\n              Labels:{labels}\n              Annotations:{annotations}"
        )
    });
    format!("[{}\n            ]", items.collect::<Vec<_>>().join(", "))
}

/// `{a="b"} 1E+00`, one after the other.
pub(super) fn samples_text(samples: &[(LabelMap, f64)]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let texts = samples.iter().map(|(labels, value)| {
        format!("{} {}", labels_text(labels), scientific(*value).replace('e', "E"))
    });
    texts.collect::<Vec<_>>().join(", ")
}
