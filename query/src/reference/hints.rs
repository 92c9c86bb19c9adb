//! What parsers leave out because nobody asks for it. It is seen from outside: a line that is faulty
//! behind the last label that is needed has no error.

use std::collections::BTreeSet;

use crate::pipeline::Template;
use crate::syntax::{
    Grouping, LabelFilter, LabelFormatValue, RangeAggregation, RangeFunction, StageKind,
    VectorAggregation, VectorFunction,
};

/// What parsers have to make.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// The labels; `None` is all.
    pub(super) names: Option<BTreeSet<String>>,
    /// Whether the query asks for errors.
    pub(super) error: bool,
}

/// The grouping of the `sum` around a range aggregation, where its parsers know of it.
pub(super) fn known_grouping(
    outer: &VectorAggregation,
    range: &RangeAggregation,
) -> Option<Grouping> {
    let sums = matches!(
        range.function,
        RangeFunction::Rate
            | RangeFunction::CountOverTime
            | RangeFunction::BytesRate
            | RangeFunction::BytesOverTime
            | RangeFunction::SumOverTime
    );
    let none = Grouping { without: false, labels: Vec::new() };
    (outer.function == VectorFunction::Sum && sums && range.grouping.is_none())
        .then(|| outer.grouping.clone().unwrap_or(none))
}

impl Needed {
    /// What is needed where the entries of `range`, which run through `stages`, are grouped so.
    pub(super) fn new(
        range: &RangeAggregation,
        stages: &[&StageKind],
        grouping: Option<&Grouping>,
    ) -> Self {
        let Some(Grouping { without: false, labels }) = grouping else { return Self::default() };
        let mut names: BTreeSet<String> = labels.iter().cloned().collect();
        let mut all_known = true;
        for stage in stages {
            all_known &= add_stage(stage, &mut names);
        }
        if let Some(unwrap) = &range.unwrap {
            names.insert(unwrap.label.clone());
            unwrap.filters.iter().for_each(|filter| add_filter(filter, &mut names));
        }
        let error = names.contains("__error__");
        let plain: Vec<_> =
            names.iter().filter_map(|name| name.strip_suffix("_extracted")).collect();
        let plain: Vec<_> = plain.into_iter().map(str::to_owned).collect();
        names.extend(plain);
        Self { names: all_known.then_some(names), error }
    }

    /// Whether no label is needed at all.
    pub(super) fn is_nothing(&self) -> bool {
        self.names.as_ref().is_some_and(BTreeSet::is_empty)
    }
}

/// Adds the labels that a stage reads; `false` where it may be any.
fn add_stage(stage: &StageKind, names: &mut BTreeSet<String>) -> bool {
    match stage {
        StageKind::LabelFilter(filter) => add_filter(filter, names),
        StageKind::LineFormat(source) => return add_template(source, names),
        StageKind::LabelFormat(items) => {
            let mut all_known = true;
            for item in items {
                all_known &= match &item.value {
                    LabelFormatValue::Rename(from) => {
                        names.insert(from.clone());
                        true
                    }
                    LabelFormatValue::Template(source) => add_template(source, names),
                };
            }
            return all_known;
        }
        _ => {}
    }
    true
}

fn add_template(source: &str, names: &mut BTreeSet<String>) -> bool {
    let labels = Template::compile("line", source).ok().and_then(|template| template.labels());
    let is_known = labels.is_some();
    names.extend(labels.into_iter().flatten());
    is_known
}

fn add_filter(filter: &LabelFilter, names: &mut BTreeSet<String>) {
    match filter {
        LabelFilter::Matcher(matcher) => {
            names.insert(matcher.name.clone());
        }
        LabelFilter::Ip { name, .. }
        | LabelFilter::Number { name, .. }
        | LabelFilter::Duration { name, .. }
        | LabelFilter::Bytes { name, .. } => {
            names.insert(name.clone());
        }
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            add_filter(left, names);
            add_filter(right, names);
        }
    }
}
