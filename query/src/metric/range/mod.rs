//! Range aggregations: from chunks to series.
//!
//! Chunks are the units of work. Each thread scans chunks into tables of its own, which are put
//! together at the end: counts are integers and numbers are sorted by time and place, so the answer
//! does not depend on which thread read what.
//!
//! How much is done for an entry depends on what it takes to know its series:
//! - where the pipeline has nothing to do and the stream's labels decide the group, a whole chunk
//!   belongs to one series: its timestamps are cut at the edges of windows, and a chunk that lies
//!   between two edges is not read at all;
//! - where metadata decides too, one label set is made for each set of metadata in a batch;
//! - otherwise every entry goes through the pipeline, which numbers the label sets it has seen.

mod scan;
mod table;

use timberline_store::Labels;

use crate::QueryError;
use crate::engine::{Context, for_each, groups};
use crate::label_text::label_text;
use crate::plan::RangePlan;

use self::scan::Scanner;
use self::table::Table;
use super::grid::{Grid, Windows};
use super::series::StepSeries;

pub(crate) use self::scan::metadata_of;

/// Neighbouring groups of chunks that a thread takes at once: with one chunk each, as in the head, they are
/// done soon.
const GROUPS_RUN: usize = 2;

/// Evaluates a range aggregation at every step.
///
/// # Errors
/// The store's and the budget's, timeout, cancellation, and entries that a stage marked as faulty.
pub(crate) fn evaluate(
    plan: &RangePlan<'_>,
    grid: Grid,
    context: &Context<'_>,
) -> Result<Vec<StepSeries>, QueryError> {
    let windows = Windows { grid, range: plan.range, offset: plan.offset };
    let predicate = plan.selection.pipeline.line_predicate();
    let units = context.chunks(&plan.selection.matchers, windows.data_range(), predicate)?;
    let groups = groups(&units);
    let threads = context.threads(groups.len().div_ceil(GROUPS_RUN));
    let mut scanners: Vec<Scanner<'_>> =
        (0..threads).map(|_| Scanner::new(plan, windows, context)).collect();
    for_each(&mut scanners, &groups, GROUPS_RUN, |scanner, group| {
        group.iter().try_for_each(|unit| scanner.scan(unit))
    })?;
    let table = gathered(Table::new(plan.measure, windows), scanners, context)?;
    table.into_series(plan, context)
}

/// Puts the tables of all threads together.
///
/// # Errors
/// The first fault, by step and labels; the budget's.
fn gathered(
    empty: Table,
    scanners: Vec<Scanner<'_>>,
    context: &Context<'_>,
) -> Result<Table, QueryError> {
    if let Some(fault) = scanners.iter().filter_map(|scanner| scanner.fault.as_ref()).min() {
        return Err(pipeline_error(&fault.labels));
    }
    let mut tables = scanners.into_iter().map(|scanner| scanner.table);
    let mut gathered = empty;
    tables.try_for_each(|table| gathered.merge(table, context))?;
    Ok(gathered)
}

/// # Source
/// Loki's text; its doubled words and line breaks are part of it.
fn pipeline_error(labels: &Labels) -> QueryError {
    let code = labels.get("__error__").unwrap_or_default();
    let labels = label_text(labels);
    QueryError::Refused(format!(
        "pipeline error: '{code}' for series: '{labels}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{code}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    ))
}
