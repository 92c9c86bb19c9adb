//! Delete requests whose entries are told by a log query.

use std::fmt;
use std::sync::Arc;

use timberline_store::{Batch, EntryFilter, FilterCompiler, Labels, Matcher};

use crate::pipeline::{Hints, Output, Pipeline};
use crate::plan::Selection;
use crate::syntax::parse_log;
use crate::{EngineLimits, QueryError};

/// What a log query means as a delete request.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeleteQuery {
    /// Which streams.
    pub selector: Vec<Matcher>,
    /// Whether there is a pipeline, so that not every entry of the streams is meant. The store then needs
    /// [`LogqlFilters`] and the query's text.
    pub has_pipeline: bool,
}

impl DeleteQuery {
    /// Reads a log query: a selector, which may select everything, and possibly a pipeline. Entries that
    /// come out at its end are meant.
    ///
    /// # Errors
    /// [`QueryError::Parse`] for what is no such query.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let (selector, pipeline) = compile(query)?;
        Ok(Self { selector, has_pipeline: pipeline.is_some() })
    }
}

/// Understands log queries as the texts of delete requests.
///
/// ```
/// use std::sync::Arc;
/// use timberline_query::{DeleteQuery, LogqlFilters};
/// use timberline_store::{DeleteRequest, Store, TenantId, TimeRange};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::builder().filter_compiler(Arc::new(LogqlFilters)).open(directory.path())?;
/// let text = r#"{app="shop"} | logfmt | card != """#;
/// let query = DeleteQuery::parse(text)?;
/// assert!(query.has_pipeline);
/// let request = DeleteRequest::new(&TenantId::default(), query.selector, TimeRange::ALL);
/// store.delete(request.passing(text))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LogqlFilters;

impl FilterCompiler for LogqlFilters {
    fn compile(&self, text: &str) -> Result<Arc<dyn EntryFilter>, String> {
        match compile(text) {
            Ok((_, Some(pipeline))) => Ok(Arc::new(PipelineFilter(pipeline))),
            Ok((_, None)) => Err("a log query without a pipeline".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The query's matchers, and its pipeline if it has stages.
fn compile(query: &str) -> Result<(Vec<Matcher>, Option<Pipeline>), QueryError> {
    let expr = parse_log(query)?;
    let limits = EngineLimits { max_matchers: 0, ..EngineLimits::default() };
    let Selection { matchers, pipeline, .. } = Selection::new(&expr, None, &Hints::LOG, &limits)?;
    Ok((matchers, (!expr.stages.is_empty()).then_some(pipeline)))
}

/// Passes the entries that come out at a pipeline's end.
struct PipelineFilter(Pipeline);

impl EntryFilter for PipelineFilter {
    fn passes(&self, labels: &Labels, batch: &Batch) -> Vec<bool> {
        let predicate = self.0.line_predicate();
        let mut worker = self.0.worker(labels, &Output::Full);
        let mut passes = |row| {
            let line = batch.line(row);
            predicate.matches(line)
                && worker.process(row.timestamp, line, &batch.metadata(row)).is_some()
        };
        batch.rows().iter().map(&mut passes).collect()
    }
}

impl fmt::Debug for PipelineFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PipelineFilter")
    }
}

#[cfg(test)]
mod tests {
    use timberline_store::{
        Columns, DeleteRequest, LinePredicate, ReadScratch, Store, TenantId, TimeRange, WriteBatch,
    };

    use super::*;

    #[test]
    fn queries_are_told_apart() {
        let parse = |query| DeleteQuery::parse(query).map(|query| query.has_pipeline);
        assert_eq!(parse("{}").ok(), Some(false));
        assert_eq!(parse(r#"{a="b"} |= "x""#).ok(), Some(true));
        for query in ["", "{", r#"rate({a="b"}[1m])"#, r#"{a="b"} | json |"#] {
            assert!(parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_comes_out_of_the_pipeline_is_deleted() {
        for (query, left) in [
            (r#"{app="x"} |= "user=bob""#, vec!["user=eve", "user=eve level=info"]),
            (r#"{app="x"} | logfmt | user="eve" | level=~"i.*""#, vec!["user=bob", "user=eve"]),
            (r#"{app="x"} | trace="7""#, vec!["user=bob", "user=eve level=info"]),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let builder = Store::builder().filter_compiler(Arc::new(LogqlFilters));
            let store = builder.open(directory.path()).unwrap();
            let tenant = TenantId::new("t").unwrap();
            let mut batch = WriteBatch::new();
            batch.stream(&Labels::from_pairs([("app", "x")]).unwrap());
            batch.push(1, b"user=bob", &[]).unwrap();
            batch.push(2, b"user=eve", &[("trace", "7")]).unwrap();
            batch.push(3, b"user=eve level=info", &[]).unwrap();
            store.append(&tenant, &batch).unwrap();
            let DeleteQuery { selector, has_pipeline } = DeleteQuery::parse(query).unwrap();
            assert!(has_pipeline);
            let request = DeleteRequest::new(&tenant, selector, TimeRange::ALL).passing(query);
            store.delete(request).unwrap();
            let mut scratch = ReadScratch::new();
            let mut found = Vec::new();
            for chunk in store.snapshot().chunks(&tenant, &[], TimeRange::ALL).unwrap() {
                let range = TimeRange::ALL;
                let read =
                    chunk.read(range, &LinePredicate::Always, Columns::ALL, &mut scratch).unwrap();
                let text = |row| String::from_utf8(read.line(row).to_vec()).unwrap();
                found.extend(read.rows().iter().map(text));
            }
            assert_eq!(found, left, "{query}");
        }
    }
}
