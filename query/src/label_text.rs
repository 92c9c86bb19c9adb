//! Label sets as text.

use timberline_store::Labels;

use crate::golang::quote;

/// The labels as Loki prints them, `{a="x", b="y"}`: in error texts, and to sort streams by.
pub(crate) fn label_text(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        text.push_str(comma);
        text.push_str(name);
        text.push('=');
        text.push_str(&quote(value));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_go_quotes_them() {
        let labels = Labels::metadata([("b", "\u{7}\"é"), ("a", "")]).unwrap();
        assert_eq!(label_text(&labels), r#"{a="", b="\a\"é"}"#);
    }
}
