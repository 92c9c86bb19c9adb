//! The engine's hot paths, one by one: what an append, a flush and a query of each kind do, on the corpus
//! that ships with the project, in memory and on one thread.
//!
//! Two programs share them: `timberline-benches hot NAME`, whose instructions `.ci/instructions` counts,
//! and the micro-benches under `cargo bench`, which take times. Both run the same work on the same bytes, so
//! that a count that grows can be looked at as time, and the other way round.

mod fixture;
mod queries;

use std::fmt;
use std::hint::black_box;

use anyhow::{Result, ensure};
use timberline_query::syntax;

pub use self::fixture::Fixture;
use self::queries::Query;

/// How often [`run`] does work that can be done again. What is left of differences between two processes,
/// such as seeds of hash tables, evens out.
const RUNS: usize = 8;
/// How often a list of queries is parsed.
const PARSES: usize = 5;

/// Work that is ready to be done: gives the entries, rows or bytes that it saw.
pub type Work<'a> = Box<dyn FnMut() -> Result<usize> + 'a>;

/// A hot path.
#[derive(Clone, Copy)]
pub struct HotPath {
    /// What the command and the tables call it.
    pub name: &'static str,
    /// Whether work that was done can be done again. An append cannot: its entries are there already.
    pub is_repeatable: bool,
    make: Make,
}

#[derive(Clone, Copy)]
enum Make {
    Append,
    Flush,
    Merge,
    Replay,
    LabelSets,
    DecodePush,
    ParseQueries,
    Ask(Query),
    /// An answer in JSON, and the step in seconds.
    Encode(Query, u64),
    Tail(Query),
}

/// All of them. Their names are kept: counts of other commits are under them.
pub const HOT_PATHS: [HotPath; 23] = {
    const fn path(name: &'static str, make: Make) -> HotPath {
        let is_repeatable = !matches!(make, Make::Append | Make::Flush | Make::Merge);
        HotPath { name, is_repeatable, make }
    }
    [
        path("append", Make::Append),
        path("flush", Make::Flush),
        path("merge", Make::Merge),
        path("log_replay", Make::Replay),
        path("label_sets", Make::LabelSets),
        path("push_decode", Make::DecodePush),
        path("logql_parse", Make::ParseQueries),
        path("line_filter_absent", Make::Ask(queries::ABSENT)),
        path("line_filter_present", Make::Ask(queries::PRESENT)),
        path("line_filter_common", Make::Ask(queries::COMMON)),
        path("regex_filter", Make::Ask(queries::REGEX)),
        path("json_lines", Make::Ask(queries::JSON_LINES)),
        path("json_lines_checked", Make::Ask(queries::JSON_LINES_CHECKED)),
        path("json_last_100", Make::Ask(queries::JSON_LAST_100)),
        path("json_series", Make::Ask(queries::JSON_SERIES)),
        path("json_by_field", Make::Ask(queries::JSON_BY_FIELD)),
        path("logfmt_lines", Make::Ask(queries::LOGFMT_LINES)),
        path("pattern_by_field", Make::Ask(queries::PATTERN_BY_FIELD)),
        path("count_without_lines", Make::Ask(queries::COUNT)),
        path("last_100_lines", Make::Ask(queries::LAST_100)),
        path("encode_lines", Make::Encode(queries::LAST_100, 60)),
        path("encode_matrix", Make::Encode(queries::COUNT, 1)),
        path("live_tail", Make::Tail(queries::TAIL)),
    ]
};

impl HotPath {
    /// Prepares the work: what it does not count itself is done here.
    ///
    /// # Errors
    /// Refusals of the store.
    pub fn prepare<'a>(&self, fixture: &'a Fixture) -> Result<Work<'a>> {
        Ok(match self.make {
            Make::Append => fixture.append()?,
            Make::Flush => fixture.flush()?,
            Make::Merge => fixture.merge()?,
            Make::Replay => fixture.replay()?,
            Make::LabelSets => fixture.label_sets(),
            Make::DecodePush => fixture.decode_pushes(),
            Make::ParseQueries => Box::new(parse_queries),
            Make::Ask(query) => fixture.ask(query)?,
            Make::Encode(query, step_seconds) => fixture.encode(query, step_seconds)?,
            Make::Tail(query) => fixture.tail(query)?,
        })
    }
}

impl fmt::Debug for HotPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotPath").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Does a hot path's work so often that its instructions can be counted; gives the rows it saw.
///
/// Only what is done within `counted_hot_path` is the path's: a counter is switched on and off there.
///
/// # Errors
/// Refusals, and work that saw nothing: a count of nothing says nothing.
pub fn run(path: &HotPath) -> Result<usize> {
    let fixture = Fixture::new()?;
    let mut work = path.prepare(&fixture)?;
    let runs = if path.is_repeatable {
        // The first run fills caches, as the first of many queries does.
        work()?;
        RUNS
    } else {
        1
    };
    let mut rows = 0;
    for _ in 0..runs {
        rows += counted_hot_path(&mut *work)?;
    }
    Ok(rows)
}

/// The frame between whose start and end instructions are counted. Its name is in `.ci/instructions`.
#[inline(never)]
fn counted_hot_path(work: &mut dyn FnMut() -> Result<usize>) -> Result<usize> {
    black_box(work())
}

fn parse_queries() -> Result<usize> {
    let mut parsed = 0;
    for text in
        queries::ALL.iter().map(|query| query.text).cycle().take(PARSES * queries::ALL.len())
    {
        black_box(syntax::parse(black_box(text))?);
        parsed += 1;
    }
    ensure!(parsed > 0, "no query was parsed");
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_sees_what_it_is_about() {
        let fixture = Fixture::new().unwrap();
        for path in HOT_PATHS {
            let mut work = path.prepare(&fixture).unwrap();
            let rows = work().unwrap();
            if path.is_repeatable {
                assert_eq!(work().unwrap(), rows, "{} does the same again", path.name);
            }
            assert_eq!(rows == 0, path.name == "line_filter_absent", "{}: {rows} rows", path.name);
        }
    }

    #[test]
    fn names_are_different() {
        let names: std::collections::BTreeSet<_> = HOT_PATHS.iter().map(|path| path.name).collect();
        assert_eq!(names.len(), HOT_PATHS.len());
    }
}
