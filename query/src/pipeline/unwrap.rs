//! `| unwrap duration(x)`: a label's text becomes the sample's value.

use super::label_filter::LabelFilter;
use super::labels::LabelBuilder;
use super::names::{NameId, Names};
use crate::golang::{parse_bytes, parse_duration, parse_float};
use crate::syntax::{Unwrap as Ast, UnwrapConversion};

/// The error code of a label whose text is no number of the kind asked for.
const SAMPLE_ERROR: &str = "SampleExtractionErr";

/// The compiled stage.
#[derive(Debug)]
pub(crate) struct Unwrap {
    pub(crate) label: NameId,
    conversion: UnwrapConversion,
    filters: Vec<LabelFilter>,
}

impl Unwrap {
    /// # Errors
    /// A filter that does not compile.
    pub(crate) fn compile(unwrap: &Ast, names: &mut Names) -> Result<Self, String> {
        let filters = unwrap.filters.iter().map(|filter| LabelFilter::compile(filter, names));
        let filters = filters.collect::<Result<_, _>>()?;
        Ok(Self { label: names.intern(&unwrap.label), conversion: unwrap.conversion, filters })
    }

    /// The filters behind it.
    pub(crate) fn filters(&self) -> &[LabelFilter] {
        &self.filters
    }

    /// The label's value; `None` where the label is missing or empty, or where a filter drops the
    /// entry. A text that is no number gives 0 and sets the error.
    pub(crate) fn value(&self, labels: &mut LabelBuilder<'_>) -> Option<f64> {
        let text = labels.get(self.label).filter(|text| !text.is_empty())?;
        let value = convert(self.conversion, text).unwrap_or_else(|details| {
            labels.set_error(SAMPLE_ERROR, &details);
            0.0
        });
        self.filters.iter().all(|filter| filter.passes(labels)).then_some(value)
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats, as precise as they can be")]
fn convert(conversion: UnwrapConversion, text: &str) -> Result<f64, String> {
    match conversion {
        UnwrapConversion::Number => parse_float(text),
        UnwrapConversion::Bytes => parse_bytes(text).map(|bytes| bytes as f64),
        UnwrapConversion::Duration | UnwrapConversion::DurationSeconds => {
            parse_duration(text).map(seconds)
        }
    }
}

/// Nanoseconds as seconds. Whole seconds and the rest are turned apart, which rounds as Go does.
#[expect(clippy::cast_precision_loss, reason = "samples are floats, as precise as they can be")]
fn seconds(nanos: i64) -> f64 {
    const NANOS: i64 = 1_000_000_000;
    (nanos / NANOS) as f64 + (nanos % NANOS) as f64 / 1e9
}
