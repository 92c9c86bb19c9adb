//! Which labels a range aggregation needs: what its grouping and that of the `sum` around it say.

use std::borrow::Cow;

use crate::pipeline::{Hints, NeededLabels};
use crate::syntax::{
    Grouping, MetricKind, RangeAggregation, RangeFunction, VectorAggregation, VectorFunction,
};

/// One group without labels.
const fn everything() -> Grouping {
    Grouping { without: false, labels: Vec::new() }
}

/// The grouping that a vector aggregation lets the range aggregation straight under it apply to each
/// entry, so that series which would only be summed up again never exist.
///
/// # Source
/// Loki pushes the same ones; it shows, since parsers then skip what nobody asked for.
pub(super) fn pushed_grouping(aggregation: &VectorAggregation) -> Option<Cow<'_, Grouping>> {
    let MetricKind::Range(range) = &aggregation.inner.kind else { return None };
    let sums_up = matches!(
        range.function,
        RangeFunction::Rate
            | RangeFunction::CountOverTime
            | RangeFunction::BytesRate
            | RangeFunction::BytesOverTime
            | RangeFunction::SumOverTime
    );
    if aggregation.function != VectorFunction::Sum || !sums_up || range.grouping.is_some() {
        return None;
    }
    Some(aggregation.grouping.as_ref().map_or_else(|| Cow::Owned(everything()), Cow::Borrowed))
}

/// The grouping of a range aggregation's entries: its own, or what was pushed down to it.
pub(super) fn entry_grouping<'q>(
    range: &'q RangeAggregation,
    pushed: Option<Cow<'q, Grouping>>,
) -> Option<Cow<'q, Grouping>> {
    match (&range.grouping, range.function) {
        (_, RangeFunction::AbsentOverTime) => Some(Cow::Owned(everything())),
        (Some(grouping), _) => Some(Cow::Borrowed(grouping)),
        (None, _) => pushed,
    }
}

/// What the pipeline has to find for entries that are grouped so.
pub(super) fn hints(grouping: Option<&Grouping>, function: RangeFunction) -> Hints {
    let labels = match grouping {
        Some(Grouping { without: false, labels }) => NeededLabels::Only(labels.clone()),
        Some(Grouping { without: true, .. }) | None => NeededLabels::All,
    };
    let line = matches!(function, RangeFunction::BytesOverTime | RangeFunction::BytesRate);
    Hints { labels, line }
}
