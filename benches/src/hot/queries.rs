//! What is asked on the hot paths.

/// A query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) text: &'static str,
    /// Whether the corpus has anything to answer with.
    pub(super) has_answer: bool,
}

const fn query(text: &'static str) -> Query {
    Query { text, has_answer: true }
}

/// An id that is nowhere: what rules columns out.
pub(super) const ABSENT: Query =
    Query { text: r#"{job=~".+"} |= "4bf92f3577b34da6a3ce929d0e0e4736""#, has_answer: false };
/// A phrase that one line in four hundred has.
pub(super) const PRESENT: Query = query(r#"{job=~".+"} |= "Failed password for root""#);
/// A word that a third of all lines have, counted.
pub(super) const COMMON: Query =
    query(r#"sum by (job) (count_over_time({job=~".+"} |= "INFO" [1m]))"#);
/// An expression with no literal that all matches have.
pub(super) const REGEX: Query =
    query(r#"sum by (job) (count_over_time({job=~".+"} |~ "(?i)exception|error" [1m]))"#);
/// Whole lines in JSON, each of which is parsed for the few that are wanted.
pub(super) const JSON_LINES: Query =
    query(r#"{job="orders"} | json | amount > 898 | http_status = "402""#);
/// Likewise, as dashboards ask: lines that are no JSON are left out.
pub(super) const JSON_LINES_CHECKED: Query =
    query(r#"{job="orders"} | json | __error__="" | amount > 898 | http_status = "402""#);
/// The newest lines in JSON, most of which are wanted.
pub(super) const JSON_LAST_100: Query = query(r#"{job="orders"} | json | level != "debug""#);
/// Series by all labels of a few lines in JSON.
pub(super) const JSON_SERIES: Query =
    query(r#"count_over_time({job="orders"} | json | amount > 898 | http_status = "402" [1m])"#);
/// Lines in JSON of which two fields are needed.
pub(super) const JSON_BY_FIELD: Query =
    query(r#"sum by (level) (count_over_time({job="orders"} | json | http_status >= 400 [1m]))"#);
/// Whole lines in logfmt.
pub(super) const LOGFMT_LINES: Query =
    query(r#"{job="scheduler"} | logfmt | took > 1998ms | level != "debug""#);
/// A field that a pattern cuts out of each line.
pub(super) const PATTERN_BY_FIELD: Query = query(
    r#"sum by (status) (count_over_time({job="edge"} | pattern "<_> status: <status> len: <_>" | status != "" [1m]))"#,
);
/// Counts that no line is read for.
pub(super) const COUNT: Query = query(r#"sum by (job) (count_over_time({job=~".+"}[1m]))"#);
/// The newest lines of one job.
pub(super) const LAST_100: Query = query(r#"{job="blocks"}"#);

/// What a live tail follows.
pub(super) const TAIL: Query = query(r#"{job="orders"} | json | http_status >= 400"#);

/// All that is parsed.
pub(super) const ALL: [Query; 10] = [
    ABSENT,
    PRESENT,
    COMMON,
    REGEX,
    JSON_LINES,
    JSON_BY_FIELD,
    LOGFMT_LINES,
    PATTERN_BY_FIELD,
    COUNT,
    LAST_100,
];
