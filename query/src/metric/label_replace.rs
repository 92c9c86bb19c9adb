//! `label_replace`: a label made from another by a regular expression.

use regex::Regex;

use crate::QueryError;
use crate::syntax::{LabelReplace, ParseError};

use super::series::{StepSeries, with_label};

/// A compiled `label_replace`.
#[derive(Clone, Debug)]
pub(crate) struct LabelReplacer {
    destination: String,
    replacement: String,
    source: String,
    regex: Regex,
}

impl LabelReplacer {
    /// Compiles the expression's regular expression.
    ///
    /// # Errors
    /// One that does not compile; the parser refuses such a query before.
    pub(crate) fn new(expr: &LabelReplace) -> Result<Self, QueryError> {
        let regex = Regex::new(&format!("^(?:{})$", expr.regex))
            .map_err(|error| ParseError::new(format!("invalid regex in label_replace: {error}")))?;
        Ok(Self {
            destination: expr.destination.clone(),
            replacement: expr.replacement.clone(),
            source: expr.source.clone(),
            regex,
        })
    }

    /// Sets the destination of every series whose source matches. An empty result removes it.
    pub(crate) fn apply(&self, series: &mut [StepSeries]) {
        for series in series {
            let value = series.labels.get(&self.source).unwrap_or_default();
            let Some(captures) = self.regex.captures(value) else { continue };
            let mut replaced = String::new();
            captures.expand(&self.replacement, &mut replaced);
            let value = Some(replaced.as_str()).filter(|value| !value.is_empty());
            series.labels = with_label(&series.labels, &self.destination, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use timberline_store::Labels;

    use super::*;
    use crate::syntax::{MetricExpr, MetricKind, Span};

    fn replaced(arguments: [&str; 4], labels: &[(&str, &str)]) -> String {
        let [destination, replacement, source, regex] = arguments.map(str::to_owned);
        let inner = Box::new(MetricExpr { kind: MetricKind::Literal(0.0), span: Span::default() });
        let expr = LabelReplace { inner, destination, replacement, source, regex };
        let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
        let mut series = [StepSeries { labels, points: vec![(0, 1.0)] }];
        LabelReplacer::new(&expr).unwrap().apply(&mut series);
        series[0].labels.to_string()
    }

    #[test]
    fn labels_are_made_changed_and_removed() {
        assert_eq!(
            replaced(["b", "$1-${rest}", "a", "(x)(?P<rest>.*)"], &[("a", "xyz")]),
            r#"{a="xyz", b="x-yz"}"#
        );
        assert_eq!(replaced(["a", "", "a", "x.*"], &[("a", "xyz")]), "{}");
        assert_eq!(replaced(["b", "c", "a", "x"], &[("a", "xyz")]), r#"{a="xyz"}"#);
        assert_eq!(replaced(["b", "c", "none", ""], &[("a", "1")]), r#"{a="1", b="c"}"#);
    }
}
