//! Queries that read some values of lines, over a store that has templates and over one that has none.
//!
//! `TIMBERLINE_SEED` says with which seed lines are made. A failure prints it and the query.

use std::sync::atomic::AtomicBool;

use timberline_store::{Columns, LinePredicate, ProjectionScratch, ReadScratch, TimeRange};

use super::random::{Random, fixture_of_templates};
use super::support::{Fixture, SECOND, range};
use crate::engine::{Context, LineReader, Probing};
use crate::pipeline::{Hints, NeededLabels, TemplateParser};
use crate::plan::Selection;
use crate::syntax::{Expr, parse};
use crate::{Direction, EngineLimits, QueryAnswer, QueryStats, QueryValue, RangeQuery};

/// Lines of each kind: enough for templates, filters of ids and several parts of a word.
const LINES: u64 = 300;

/// What services write, and what parsers stumble over.
pub(super) fn line(kind: u64, random: &mut Random) -> String {
    let number = random.below(1 << 40);
    let (small, level) = (number % 7, ["info", "warn", "error", "debug"][(number % 4) as usize]);
    match kind {
        0 => format!(
            r#"{{"level":"{level}","status":{},"took":{}.{:02},"path":"/v1/{}/x y","user":{{"id":{},"name":"n{small}"}},"ok":{}}}"#,
            200 + small * 50,
            number % 900,
            number % 100,
            number % 50,
            number % 1000,
            small == 1,
        ),
        1 => format!(
            "ts=2026-10-{:02}T01:02:03Z level={level} status={} took={}ms msg=\"GET /a?x={small} done\" id={number:016x}",
            1 + number % 28,
            200 + small * 50,
            number % 900,
        ),
        2 => format!(
            "10.0.{small}.{} - - [{:02}/Oct/2026] \"GET /a/{} HTTP/1.1\" {} {} status: {} len: {} time: 0.{}",
            number % 250,
            1 + number % 28,
            number % 30,
            200 + small * 50,
            number % 5000,
            200 + small,
            number % 5000,
            number % 100_000,
        ),
        // Keys that are values, arrays, escapes, keys named twice, zeros in front, text beyond ASCII.
        3 => format!(
            r#"{{"{level}{number}":{},"status":"{small}","list":["{number}",{small}],"user_id":"{small}","user":{{"id":{}}}}}"#,
            number % 90,
            number % 9,
        ),
        4 => format!(r#"{{"status":0{small},"level":"{level}"}}"#),
        5 => format!(r#"{{"level":"{level}","status":{small},"msg":"q \" {number} \\ {small}"}}"#),
        6 => format!(
            "level={level} level=x{small} status=\"{small}\" {level} took={number} bad=\"{small}"
        ),
        7 => format!("status={small}={number} level=größe{small} took=\"{}\"", number % 10),
        8 => format!("status: status: {small} len: time: time: {} len: {level}", number % 10),
        9 => format!(r#"{{"level":{level},"status":{small}}}"#),
        12 => format!(
            r#"{{"status":{small},"list":["x{number}",{small},{{"a":1}}],"level":"{level}"}}"#
        ),
        13 => {
            format!(r#"{{"ok":{},"status":{small},"level":"{level}"}}"#, number.is_multiple_of(3))
        }
        11 => {
            let user = ["", "Jürgen", "Ольга", "n"][(number % 4) as usize];
            format!(r#"{{"level":"{level}","user":"{user}","took":{small}}}"#)
        }
        _ => format!("{level} {small} status={} took={} level={level}", number % 9, number % 100),
    }
}

pub(super) fn fixtures(random: &mut Random) -> [Fixture; 2] {
    let mut fixtures = [Fixture::new(), Fixture::new()];
    for number in 0..LINES * 14 {
        let (kind, time) = (number % 14, i64::try_from(number).unwrap() * SECOND / 50);
        let line = line(kind, random);
        let (job, status) = (format!("j{kind}"), format!("{}", random.below(3)));
        let own = [("job", job.as_str()), ("name", "n")];
        let metadata: &[(&str, &str)] = match random.below(9) {
            0 => &[("status", &status)],
            1..=3 => &[("detected_level", "info")],
            4 => &[("detected_level", &status), ("level", "meta")],
            _ => &[],
        };
        fixtures.iter_mut().for_each(|fixture| fixture.push(&own, time, &line, metadata));
    }
    fixtures[0].store.flush().unwrap();
    fixtures
}

const PIPELINES: [&str; 16] = [
    "| json | status >= 300",
    "| json | level = \"error\" or user_id > 500",
    "| json s=\"status\", u=\"user.id\", l=\"level\" | s != \"\"",
    "| json user=\"user\" | user != \"\"",
    "| json | drop level | status != \"250\"",
    "| logfmt | level =~ \"warn|error\"",
    "| logfmt | took > 400ms",
    "| logfmt --strict | status = 300",
    "| logfmt lev=\"level\", status | lev != \"info\"",
    "| logfmt --keep-empty | status != \"\"",
    "| pattern \"<_> status: <status> len: <_>\" | status != \"\"",
    "| pattern \"<ip> - - [<_>] \\\"<method> <path> <_>\\\" <status> <size>\" | status >= 300",
    "| regexp \"time: (?P<took>[0-9.]+)\"",
    "| regexp \"status[:=] ?(?P<status>\\\\d+)\" | status != \"\"",
    "|= \"a\" | regexp \"(?i)level=(?P<level>\\\\w+)\" | level != \"\"",
    "| json | label_format status=\"{{.level}}-{{.status}}\"",
];

/// What can be probed only in part, or not at all.
const FURTHER_PIPELINES: [&str; 22] = [
    "| detected_level=\"info\"",
    "| detected_level=\"info\" | json | status >= 300",
    "| status=\"1\" | logfmt | level != \"info\"",
    "| json | status_extracted >= 300 or status_extracted=\"\"",
    "| json | __error__=\"\" | status >= 300 and level != \"warn\"",
    "| json | __error__!=\"\"",
    "| json | drop status | status=\"\" | user_id > 900",
    "| json | keep level, user_id | level=\"warn\" | status=\"\"",
    "| json | status > 300 | line_format \"{{.user_name}}\" | level=\"info\" | user_id < 500",
    "| json | line_format \"{{div 1 .status}}\" | level=\"info\" | __error__=\"\"",
    "| logfmt | label_format old=level, level=status | level > 300 | old=\"error\"",
    "| json | label_format l=\"{{.level | upper}}\" | l=\"ERROR\"",
    "| json | label_format l=\"{{.__error__}}\" | l=\"\" | level=\"error\"",
    "| json | level=\"error\" | logfmt | took > 100ms or took=\"\"",
    "| decolorize | logfmt | level=\"error\"",
    "| logfmt | decolorize | level=\"error\" |= \"status=3\"",
    "| unpack | level=\"error\"",
    "| regexp \"(?P<took>[0-9]+)$\" | took > 50",
    "| level=\"meta\" | regexp \"(?P<took>[0-9]+)$\" | took > 50",
    "|= \"GET\" | pattern \"<ip> - - [<_>] <rest>\" | ip = ip(\"10.0.2.0/24\")",
    "| json | status > \"\" or took > 800 | __error__=\"\"",
    "| json | user_name =~ \"n[12]\" | user_id > 10 | detected_level != \"info\"",
];

const UNGROUPED_SHAPES: [&str; 5] = [
    "count_over_time({job=~\".+\"} PIPELINE | __error__=\"\" [20s])",
    "sum by (job) (bytes_over_time({job=~\".+\"} PIPELINE | __error__=\"\" [10s]))",
    "sum without (took, id, msg, path, user_id, size) (rate({job=~\".+\"} PIPELINE | __error__=\"\" [20s]))",
    "first_over_time({job=~\".+\"} PIPELINE | unwrap took | __error__=\"\" [30s])",
    "quantile_over_time(0.5, {job=~\".+\"} PIPELINE | unwrap duration(took) | __error__=\"\" | took > 100 [30s])",
];

const SHAPES: [&str; 6] = [
    "sum by (status) (count_over_time({job=~\".+\"} PIPELINE [10s]))",
    "sum by (level, name) (rate({job=~\".+\"} PIPELINE [20s]))",
    "sum(count_over_time({job=~\".+\"} PIPELINE | __error__=\"\" [10s]))",
    "sum by (level) (sum_over_time({job=~\".+\"} PIPELINE | unwrap took | __error__=\"\" [10s]))",
    "max_over_time({job=~\".+\"} PIPELINE | unwrap duration(took) | __error__=\"\" [10s]) by (level)",
    "quantile_over_time(0.9, {job=~\".+\"} PIPELINE | unwrap status | __error__=\"\" [10s]) by (job, status_extracted)",
];

pub(super) fn answer(fixture: &Fixture, query: &str) -> Result<Vec<String>, String> {
    let query = range(query, 0, 70 * SECOND);
    let answer = fixture.ask(&query).map_err(|error| error.to_string())?;
    let QueryValue::Matrix(mut series) = answer.value else { panic!("a matrix is expected") };
    series.sort_by_key(|series| series.labels.to_string());
    // Threads add numbers up in one order or another.
    let point = |(time, value): &(i64, f64)| format!("{time}={value:.8e}");
    let points = series.iter().map(|series| series.points.iter().map(point).collect::<Vec<_>>());
    Ok(series
        .iter()
        .zip(points)
        .map(|(series, points)| format!("{} {points:?}", series.labels))
        .collect())
}

#[test]
fn values_tell_what_lines_tell() {
    let seed = std::env::var("TIMBERLINE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(11);
    println!("seed {seed}");
    let [stored, in_memory] = fixtures(&mut Random(seed));
    let mut answered = 0;
    for pipeline in PIPELINES {
        for shape in SHAPES {
            let query = shape.replace("PIPELINE", pipeline);
            let (left, right) = (answer(&stored, &query), answer(&in_memory, &query));
            answered += usize::from(left.as_ref().is_ok_and(|series| !series.is_empty()));
            assert_eq!(left, right, "seed {seed}, {query}");
        }
    }
    assert!(answered > 60, "{answered} queries found something");
}

/// A query's answer, and its figures but for what is read to come to it.
fn probed(fixture: &Fixture, query: &RangeQuery, probing: Probing) -> (String, QueryStats) {
    // One thread, so that sums are in one order and as much is read of each chunk each time.
    let limits = EngineLimits { max_series: 0, threads: 1, ..EngineLimits::default() };
    let engine = fixture.engine_with(limits).with_probing(probing);
    match engine.range(&fixture.tenant, query) {
        Ok(QueryAnswer { value, stats, .. }) => {
            let stats = QueryStats { compressed_bytes: 0, exec_seconds: 0.0, ..stats };
            (format!("{value:?}"), stats)
        }
        Err(error) => (error.to_string(), QueryStats::default()),
    }
}

#[test]
fn rows_looked_at_in_part_are_those_that_are_read_whole() {
    let seed = std::env::var("TIMBERLINE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(17);
    println!("seed {seed}");
    let [stored, _] = fixtures(&mut Random(seed));
    let mut answered = 0;
    let mut compare = |query: &RangeQuery, whens: &[Probing]| {
        let whole = probed(&stored, query, Probing::Never);
        answered += usize::from(whole.1.entries_returned > 0);
        for probing in whens {
            assert_eq!(probed(&stored, query, *probing), whole, "seed {seed}, {query:?}");
        }
    };
    for pipeline in PIPELINES.into_iter().chain(FURTHER_PIPELINES) {
        for (limit, direction) in [(5000, Direction::Forward), (70, Direction::Backward)] {
            let query = range(&format!("{{job=~\".+\"}} {pipeline}"), 0, 70 * SECOND);
            let query = RangeQuery { limit, direction, categorize_labels: limit == 70, ..query };
            compare(&query, &[Probing::Always, Probing::WhereWorthwhile]);
        }
        for shape in UNGROUPED_SHAPES {
            let query = range(&shape.replace("PIPELINE", pipeline), 0, 70 * SECOND);
            compare(&query, &[Probing::Always]);
        }
    }
    assert!(answered > 150, "{answered} queries found something");
}

#[test]
fn most_rows_that_a_filter_drops_are_not_read() {
    let [stored, _] = fixtures(&mut Random(3));
    for (job, pipeline, dropped_least) in [
        ("j0", "| json | status = 250", 0.7),
        ("j0", "| json | line_format \"{{.path}}\" | status = 250", 0.7),
        ("j0", "| json | __error__=\"\" | status = 250", 0.7),
        ("j0", "| json id=\"user.id\" | id < 0", 0.9),
        ("j1", "| logfmt | took > 700ms | level=\"error\"", 0.7),
        ("j2", "| pattern \"<_> status: <status> len: <_>\" | status=\"203\"", 0.7),
        ("j2", "| detected_level=\"info\"", 0.5),
        ("j2", "| detected_level=\"info\" | regexp \"(?P<x>.*)\" | x=\"y\"", 0.5),
    ] {
        let (count, all) = dropped(&stored, job, pipeline).expect(pipeline);
        let share = count as f64 / all as f64;
        assert!(share >= dropped_least && count < all || share == 1.0, "{share}: {pipeline}");
    }
    // What random queries are asked of has templates, too.
    let fixture = fixture_of_templates(&mut Random(3));
    for pipeline in [
        "| json | n = 3",
        "| logfmt | n = 3",
        "| pattern `<_> - \"<verb> <_> <_>\" <n> <took>` | n = 3",
    ] {
        let (count, all) = dropped(&fixture, "a", pipeline).expect(pipeline);
        assert!(count * 6 > all, "{count} of {all}: {pipeline}");
    }
    for pipeline in [
        "",
        "|= \"a\"",
        "| json",
        "| json | line_format \"{{.status}}\" | logfmt | status=\"250\"",
        "| unpack | status=\"250\"",
        "| decolorize | json | status=\"250\"",
        "| label_format x=\"{{__line__}}\" | x=\"y\"",
        "| regexp \"(?P<x>.*)\" | x=\"y\"",
    ] {
        assert_eq!(dropped(&stored, "j0", pipeline), None, "{pipeline}");
    }
}

/// How many of a job's lines a probe drops, of how many; `None` where there is no probe.
fn dropped(fixture: &Fixture, job: &str, pipeline: &str) -> Option<(usize, usize)> {
    let query = format!("{{job=\"{job}\"}} {pipeline}");
    let Ok(Expr::Log(expr)) = parse(&query) else { panic!("{query}") };
    let limits = EngineLimits::default();
    let selection = Selection::new(&expr, None, &Hints::LOG, &limits).unwrap();
    selection.probe.as_ref()?;
    let cancel = AtomicBool::new(false);
    let snapshot = fixture.store.snapshot();
    let mut context = Context::new((&fixture.tenant).into(), snapshot, &limits, &cancel);
    context.probing = Probing::Always;
    let (mut lines, mut scratch) = (LineReader::new(&selection, &context), ReadScratch::new());
    let predicate = selection.pipeline.line_predicate();
    let (mut read, mut all) = (0, 0);
    for unit in context.chunks(&selection.matchers, TimeRange::ALL, predicate).unwrap() {
        let found = context.select(&unit.chunk, TimeRange::ALL, predicate, &mut scratch);
        let Some(found) = found.unwrap() else { continue };
        let part = 0..found.len();
        let fetched =
            lines.fetch(&context, &unit, (&found, part), Columns::ALL, &mut scratch).unwrap();
        read += fetched.batch.rows().len();
        all += found.len();
    }
    Some((all - read, all))
}

/// How many rows of a job's lines are read as values, of how many.
fn projected(fixture: &Fixture, job: &str, pipeline: &str, needed: &[&str]) -> (usize, usize) {
    let query = format!("{{job=\"{job}\"}} {pipeline}");
    let Ok(Expr::Log(expr)) = parse(&query) else { panic!("{query}") };
    let needed = needed.iter().map(|label| (*label).to_owned()).collect();
    let hints = Hints { labels: NeededLabels::Only(needed), line: false };
    let selection = Selection::new(&expr, None, &hints, &EngineLimits::default()).unwrap();
    let Some(parser) = TemplateParser::new(&selection.pipeline) else { return (0, 0) };
    let (mut projections, mut scratch) = (ProjectionScratch::new(parser), ReadScratch::new());
    let chunks =
        fixture.store.snapshot().chunks(&fixture.tenant, &selection.matchers, TimeRange::ALL);
    let (mut count, mut all) = (0, 0);
    for chunk in chunks.unwrap() {
        let found = chunk.select(TimeRange::ALL, &LinePredicate::Always, &mut scratch).unwrap();
        let part = 0..found.len();
        let batch = chunk.fetch_projected(&found, part, &mut projections, &mut scratch).unwrap();
        count += batch.rows().iter().filter(|row| row.projection.is_some()).count();
        all += batch.rows().len();
    }
    (count, all)
}

#[test]
fn values_are_read_where_templates_allow() {
    let [stored, in_memory] = fixtures(&mut Random(3));
    for (job, pipeline, needed) in [
        ("j0", "| json | status >= 300", "status"),
        ("j0", "| json id=\"user.id\"", "id"),
        // Zeros in front.
        ("j0", "| json | took > 400", "took"),
        ("j4", "| json | status >= 300", "status"),
        // An array.
        ("j12", "| json | status >= 300", "status"),
        // True and false.
        ("j13", "| json | ok = \"true\"", "ok"),
        // Text beyond ASCII, and none.
        ("j11", "| json | user != \"\"", "user"),
        ("j1", "| logfmt | took > 400ms", "level"),
        ("j1", "| logfmt took", "took"),
        ("j2", "| pattern \"<_> status: <status> len: <_>\"", "status"),
        // Of what stands before a text that values may have.
        ("j2", "| pattern \"<ip> - - <rest>/<_>\"", "ip"),
        ("j2", "| regexp \"time: (?P<took>[0-9.]+)\"", "took"),
    ] {
        let (count, all) = projected(&stored, job, pipeline, &[needed]);
        assert!(count * 10 >= all * 9 && all > 0, "{count} of {all}: {pipeline}");
        assert_eq!(projected(&in_memory, job, pipeline, &[needed]).0, 0);
    }
    for (job, pipeline) in [
        // Keys that are values, labels that are all needed, lines that are made anew.
        ("j3", "| json | status >= 300"),
        ("j8", "| pattern \"<_> status: <status> len: <_>\" | line_format \"x\" | logfmt"),
        ("j2", "| regexp \"(?P<took>[0-9.]+)$\""),
    ] {
        assert_eq!(projected(&stored, job, pipeline, &["status"]).0, 0, "{pipeline}");
    }
}
