//! Whole pipelines, from the syntax tree to the label set.

use proptest::prelude::*;
use timberline_store::MatchOp;

use super::*;
use crate::syntax::{
    Comparison, Expr, LabelExtraction, LabelFilter, LabelFormat, LabelFormatValue, LabelMatcher,
    LineFilter, LineFilterOp, LineOperand, NameOrMatcher, Span, UnwrapConversion, parse,
};

fn stage(kind: StageKind) -> Stage {
    Stage { kind, span: Span::default() }
}

fn contains(text: &str) -> Stage {
    let operands = vec![LineOperand::Text(text.to_owned())];
    stage(StageKind::LineFilter(LineFilter { op: LineFilterOp::Contains, operands }))
}

fn json() -> Stage {
    stage(StageKind::Json(Vec::new()))
}

fn logfmt() -> Stage {
    stage(StageKind::Logfmt { strict: false, keep_empty: false, extractions: Vec::new() })
}

fn regexp(source: &str) -> Stage {
    stage(StageKind::Regexp(source.to_owned()))
}

fn line_format(template: &str) -> Stage {
    stage(StageKind::LineFormat(template.to_owned()))
}

fn matcher(name: &str, op: MatchOp, value: &str) -> LabelMatcher {
    LabelMatcher { name: name.to_owned(), op, value: value.to_owned(), span: Span::default() }
}

fn equals(name: &str, value: &str) -> LabelFilter {
    LabelFilter::Matcher(matcher(name, MatchOp::Equal, value))
}

fn number(name: &str, op: Comparison, value: f64) -> LabelFilter {
    LabelFilter::Number { name: name.to_owned(), op, value }
}

fn filter(filter: LabelFilter) -> Stage {
    stage(StageKind::LabelFilter(filter))
}

fn drop(items: Vec<NameOrMatcher>) -> Stage {
    stage(StageKind::Drop(items))
}

fn keep(items: Vec<NameOrMatcher>) -> Stage {
    stage(StageKind::Keep(items))
}

fn name(name: &str) -> NameOrMatcher {
    NameOrMatcher::Name(name.to_owned())
}

fn rename(to: &str, from: &str) -> LabelFormat {
    LabelFormat { name: to.to_owned(), value: LabelFormatValue::Rename(from.to_owned()) }
}

fn template(to: &str, source: &str) -> LabelFormat {
    LabelFormat { name: to.to_owned(), value: LabelFormatValue::Template(source.to_owned()) }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::metadata(pairs.iter().copied()).unwrap()
}

/// The labels and the line behind a log query's pipeline, for the stream `{s="1"}`.
fn run_with(stages: &[Stage], metadata: &[(&str, &str)], line: &str) -> Option<(String, String)> {
    let pipeline = Pipeline::compile(stages, None, &Hints::LOG).unwrap();
    if !pipeline.line_predicate().matches(line.as_bytes()) {
        return None;
    }
    let mut worker = pipeline.worker(&labels(&[("s", "1")]), &Output::Full);
    let processed = worker.process(0, line.as_bytes(), &labels(metadata))?;
    let line = String::from_utf8_lossy(processed.line).into_owned();
    let id = processed.labels;
    Some((worker.label_set(id).labels.to_string(), line))
}

fn run(stages: &[Stage], line: &str) -> Option<String> {
    run_with(stages, &[], line).map(|(labels, _)| labels)
}

fn line_of(stages: &[Stage], line: &str) -> Option<String> {
    run_with(stages, &[], line).map(|(_, line)| line)
}

#[test]
fn a_bare_selector_has_stream_labels_and_metadata() {
    let (labels, line) = run_with(&[], &[("s", "2"), ("m", "")], "x").unwrap();
    assert_eq!(labels, r#"{m="", s="1", s_extracted="2"}"#);
    assert_eq!(line, "x");
    assert!(Pipeline::compile(&[contains("x")], None, &Hints::LOG).unwrap().is_trivial());
}

#[test]
fn threads_share_a_pipeline() {
    fn shared<T: Send + Sync>() {}
    shared::<Pipeline>();
}

#[test]
fn line_filters_move_to_the_front_of_their_line() {
    let stages = [
        logfmt(),
        filter(equals("a", "1")),
        contains("a="),
        stage(StageKind::Unpack),
        contains("z"),
    ];
    let pipeline = Pipeline::compile(&stages, None, &Hints::LOG).unwrap();
    assert!(pipeline.line_predicate().matches(b"a=1"));
    assert!(!pipeline.line_predicate().matches(b"b=1"));
    let kinds: Vec<_> = pipeline.steps.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 4);
    assert!(matches!(pipeline.steps[2], Step::Unpack), "{:?}", pipeline.steps);
    assert!(matches!(pipeline.steps[3], Step::LineFilter(_)));
}

#[test]
fn line_filters_see_the_line_of_their_place() {
    let packed = r#"{"_entry":"inner","a":"1"}"#;
    let unpack = stage(StageKind::Unpack);
    assert_eq!(line_of(&[unpack.clone(), contains("inner")], packed).as_deref(), Some("inner"));
    assert_eq!(line_of(&[unpack.clone(), contains("_entry")], packed), None);
    assert!(line_of(&[contains("_entry"), unpack], packed).is_some());
}

#[test]
fn line_filters_move_before_decolorize_but_not_before_a_label_filter_behind_it() {
    let decolorize = stage(StageKind::Decolorize);
    let any = filter(equals("none", ""));
    let red = "\u{1b}[31mred\u{1b}[0m";
    assert_eq!(line_of(&[decolorize.clone(), contains("31m")], red).as_deref(), Some("red"));
    assert_eq!(line_of(&[decolorize.clone(), any.clone(), contains("31m")], red), None);
    let plain = line_of(&[decolorize, any, contains("red")], red);
    assert_eq!(plain.as_deref(), Some("red"));
}

#[test]
fn labels_collide_as_the_reference_says() {
    assert_eq!(run(&[json()], r#"{"s":"p"}"#).unwrap(), r#"{s="1", s_extracted="p"}"#);
    let twice = [json(), drop(vec![name("x")]), json()];
    assert_eq!(run(&twice, r#"{"x":1}"#).unwrap(), r#"{s="1"}"#);
    let formatted = [stage(StageKind::LabelFormat(vec![rename("x", "s")])), logfmt()];
    assert_eq!(run(&formatted, "x=2").unwrap(), r#"{x="1"}"#);
    let dropped = [drop(vec![name("s")]), logfmt()];
    assert_eq!(run(&dropped, "s=2").unwrap(), r#"{s_extracted="2"}"#);
    let meta = run_with(&[logfmt()], &[("k", "sm"), ("s", "sm")], "k=p s=p").unwrap();
    assert_eq!(meta.0, r#"{k="sm", k_extracted="p", s="1", s_extracted="p"}"#);
}

#[test]
fn regexp_makes_empty_labels_of_idle_groups() {
    let stages = [regexp(r"(?P<a>\d+)|(?P<b>[a-z]+)")];
    assert_eq!(run(&stages, "12").unwrap(), r#"{a="12", b="", s="1"}"#);
    assert_eq!(run(&stages, "--").unwrap(), r#"{s="1"}"#);
}

#[test]
fn numbers_durations_and_sizes() {
    let number_of = |op, value| [logfmt(), filter(number("v", op, value))];
    assert!(run(&number_of(Comparison::Equal, 1000.0), "v=1e3").is_some());
    assert!(run(&number_of(Comparison::Greater, 1.0), "v=+Inf").is_some());
    assert!(run(&number_of(Comparison::NotEqual, 1.0), "v=NaN").is_some());
    assert!(run(&number_of(Comparison::LessOrEqual, 1.0), "v=NaN").is_none());
    assert_eq!(run(&number_of(Comparison::Greater, 1.0), "w=1"), None, "missing");
    assert_eq!(
        run(&number_of(Comparison::Greater, 1.0), "v=abc").unwrap(),
        r#"{__error__="LabelFilterErr", __error_details__="strconv.ParseFloat: parsing \"abc\": invalid syntax", s="1", v="abc"}"#
    );
    let longer = LabelFilter::Duration {
        name: "d".to_owned(),
        op: Comparison::Greater,
        nanos: 1_000_000_000,
    };
    assert!(run(&[logfmt(), filter(longer.clone())], "d=1.5s").is_some());
    assert!(run(&[logfmt(), filter(longer.clone())], "d=1s").is_none());
    assert!(run(&[logfmt(), filter(longer)], "d=1d").unwrap().contains("time: unknown unit"));
    let larger =
        LabelFilter::Bytes { name: "b".to_owned(), op: Comparison::GreaterOrEqual, bytes: 1024 };
    assert!(run(&[logfmt(), filter(larger.clone())], "b=1KiB").is_some());
    assert!(run(&[logfmt(), filter(larger.clone())], "b=1KB").is_none());
    assert!(run(&[logfmt(), filter(larger)], "b=qq").unwrap().contains("LabelFilterErr"));
}

#[test]
fn texts_are_matched_as_a_whole_and_missing_ones_are_empty() {
    let test = |op, value: &str, line: &str| {
        run(&[logfmt(), filter(LabelFilter::Matcher(matcher("a", op, value)))], line).is_some()
    };
    assert!(test(MatchOp::Equal, "", "b=1") && test(MatchOp::NotEqual, "x", "b=1"));
    assert!(!test(MatchOp::Matches, "warn", "a=warning"));
    assert!(test(MatchOp::Matches, "warn|warning", "a=warning"));
    assert!(!test(MatchOp::Matches, ".+", "b=1") && test(MatchOp::Matches, ".*", "b=1"));
    assert!(!test(MatchOp::NotMatches, ".*", "b=1"));
}

#[test]
fn errors_can_be_filtered() {
    let good = [json(), filter(equals("__error__", ""))];
    assert_eq!(run(&good, "{broken"), None);
    assert!(run(&good, "{}").is_some());
    let details = [json(), filter(equals("__error_details__", ""))];
    assert!(run(&details, "{broken").is_some(), "details have no text for filters");
    let dropped = [json(), drop(vec![name("__error__")])];
    assert!(run(&dropped, "{broken").unwrap().starts_with("{__error_details__="));
    let all_dropped = [json(), drop(vec![name("__error__"), name("__error_details__")])];
    assert_eq!(run(&all_dropped, "{broken").unwrap(), r#"{s="1"}"#);
    let kept = [json(), keep(vec![name("a")])];
    assert!(
        run(&kept, "{broken")
            .unwrap()
            .starts_with("{__error__=\"JSONParserErr\", __error_details__=")
    );
    let ip = LabelFilter::Ip { name: "a".to_owned(), negated: true, pattern: "1.1.1.1".to_owned() };
    assert!(run(&[json(), filter(ip.clone())], "{broken").is_some());
    assert!(run(&[filter(ip)], "{}").is_none(), "missing");
}

#[test]
fn both_sides_of_and_may_set_an_error() {
    let both =
        LabelFilter::And(Box::new(equals("a", "2")), Box::new(number("b", Comparison::Equal, 1.0)));
    assert_eq!(run(&[logfmt(), filter(both.clone())], "a=1 b=x"), None);
    let either = LabelFilter::Or(Box::new(both), Box::new(equals("a", "1")));
    assert!(run(&[logfmt(), filter(either)], "a=1 b=x").unwrap().contains("LabelFilterErr"));
}

#[test]
fn drop_and_keep() {
    let conditional = vec![NameOrMatcher::Matcher(matcher("a", MatchOp::Matches, "x.*"))];
    assert_eq!(run(&[logfmt(), drop(conditional.clone())], "a=xy").unwrap(), r#"{s="1"}"#);
    assert_eq!(run(&[logfmt(), drop(conditional.clone())], "a=zx").unwrap(), r#"{a="zx", s="1"}"#);
    assert_eq!(run(&[logfmt(), keep(conditional.clone())], "a=xy b=1").unwrap(), r#"{a="xy"}"#);
    assert_eq!(run(&[logfmt(), keep(conditional)], "a=zx").unwrap(), "{}");
}

#[test]
fn labels_are_renamed_from_left_to_right() {
    let format = |items| [logfmt(), stage(StageKind::LabelFormat(items))];
    assert_eq!(run(&format(vec![rename("b", "a")]), "a=1").unwrap(), r#"{b="1", s="1"}"#);
    assert_eq!(run(&format(vec![rename("b", "no")]), "a=1").unwrap(), r#"{a="1", s="1"}"#);
    assert_eq!(run(&format(vec![rename("a", "a")]), "a=1").unwrap(), r#"{s="1"}"#);
    let chain = vec![rename("b", "a"), rename("c", "b")];
    assert_eq!(run(&format(chain), "a=1").unwrap(), r#"{c="1", s="1"}"#);
}

#[test]
fn templates_of_a_stage_share_one_snapshot() {
    let format = |items| [logfmt(), stage(StageKind::LabelFormat(items))];
    let siblings = vec![rename("b", "a"), template("c", "{{.b}}"), template("d", "{{.c}}")];
    assert_eq!(run(&format(siblings), "a=1").unwrap(), r#"{b="1", c="1", d="", s="1"}"#);
    let later = vec![template("c", "{{.a}}"), rename("b", "a"), template("d", "{{.a}}")];
    assert_eq!(run(&format(later), "a=1").unwrap(), r#"{b="1", c="1", d="1", s="1"}"#);
}

#[test]
fn a_line_is_formatted_from_its_labels() {
    assert_eq!(line_of(&[logfmt(), line_format("{{.a}}")], "a=1").as_deref(), Some("1"));
    assert_eq!(line_of(&[logfmt(), line_format("{{.no}}")], "a=1").as_deref(), Some(""));
}

fn metric(unwrap: Option<&Ast>, stages: &[Stage], labels: NeededLabels) -> Pipeline {
    Pipeline::compile(stages, unwrap, &Hints { labels, line: false }).unwrap()
}

fn only(names: &[&str]) -> NeededLabels {
    NeededLabels::Only(names.iter().map(|name| (*name).to_owned()).collect())
}

fn by(names: &[&str]) -> Grouping {
    Grouping { without: false, labels: names.iter().map(|name| (*name).to_owned()).collect() }
}

#[test]
fn unneeded_parsers_and_formats_do_not_run() {
    let stages = [json(), line_format("{{")];
    assert!(metric(None, &stages, only(&[])).is_trivial());
    let grouped = metric(None, &[json()], only(&["a"]));
    let grouping = by(&["a"]);
    let mut worker = grouped.worker(&labels(&[("s", "1")]), &Output::Grouped(&grouping));
    let id = worker.process(0, br#"{"a":"1","b":"2",broken"#, &labels(&[])).unwrap().labels;
    let set = worker.label_set(id);
    assert_eq!((set.labels.to_string().as_str(), set.error), (r#"{a="1"}"#, false));
}

#[test]
fn an_entry_with_an_error_keeps_all_its_labels() {
    let grouping = by(&["a"]);
    let pipeline = metric(None, &[json()], only(&["a"]));
    let mut worker = pipeline.worker(&labels(&[("s", "1")]), &Output::Grouped(&grouping));
    let id = worker.process(0, b"broken", &labels(&[])).unwrap().labels;
    let set = worker.label_set(id);
    assert!(set.error && set.labels.get("s") == Some("1") && set.labels.get("__error__").is_some());
}

#[test]
fn errors_that_were_asked_for_are_no_failure() {
    let grouping = by(&["__error__"]);
    let pipeline = metric(None, &[json()], only(&["__error__"]));
    let mut worker = pipeline.worker(&labels(&[("s", "1")]), &Output::Grouped(&grouping));
    let id = worker.process(0, b"broken", &labels(&[])).unwrap().labels;
    let set = worker.label_set(id);
    assert!(!set.error && set.labels.get("__preserve_error__") == Some("true"));
    let clean = worker.process(0, b"{}", &labels(&[])).unwrap().labels;
    assert_eq!(worker.label_set(clean).labels.to_string(), "{}");
}

fn unwrap(conversion: UnwrapConversion, filters: Vec<LabelFilter>) -> Ast {
    Ast { label: "v".to_owned(), conversion, filters }
}

#[test]
fn values_are_unwrapped() {
    let value = |conversion, line: &str| {
        let pipeline =
            metric(Some(&unwrap(conversion, Vec::new())), &[logfmt()], NeededLabels::All);
        let mut worker = pipeline.worker(&labels(&[("s", "1")]), &Output::Full);
        let processed = worker.process(0, line.as_bytes(), &labels(&[]))?;
        let (value, id) = (processed.value, processed.labels);
        Some((value.unwrap(), worker.label_set(id).labels.to_string()))
    };
    let plain = r#"{s="1"}"#.to_owned();
    assert_eq!(value(UnwrapConversion::Number, "v=1e3"), Some((1000.0, plain.clone())));
    assert_eq!(value(UnwrapConversion::Number, "w=1"), None);
    assert_eq!(value(UnwrapConversion::Duration, "v=-1.5s"), Some((-1.5, plain.clone())));
    assert_eq!(value(UnwrapConversion::Bytes, "v=1KiB"), Some((1024.0, plain)));
    let (zero, failed) = value(UnwrapConversion::Number, "v=abc").unwrap();
    assert_eq!(zero, 0.0);
    assert!(failed.contains("SampleExtractionErr") && failed.contains(r#"v="abc""#), "{failed}");
}

#[test]
fn filters_behind_unwrap_drop_what_failed() {
    let good = unwrap(UnwrapConversion::Number, vec![equals("__error__", "")]);
    let pipeline = metric(Some(&good), &[logfmt()], NeededLabels::All);
    let mut worker = pipeline.worker(&labels(&[]), &Output::Full);
    assert_eq!(worker.process(0, b"v=abc", &labels(&[])), None);
    assert!(worker.process(0, b"v=1", &labels(&[])).is_some());
}

#[test]
fn categories_are_told_apart() {
    let stages = [logfmt(), stage(StageKind::LabelFormat(vec![rename("s", "m")]))];
    let pipeline = Pipeline::compile(&stages, None, &Hints::LOG).unwrap();
    let mut worker = pipeline.worker(&labels(&[("s", "1"), ("t", "1")]), &Output::Categorized);
    let id = worker.process(0, b"p=1", &labels(&[("m", "1"), ("n", "1")])).unwrap().labels;
    let set = worker.label_set(id);
    assert_eq!(set.labels.to_string(), r#"{t="1"}"#);
    assert_eq!(set.structured_metadata.to_string(), r#"{n="1"}"#);
    assert_eq!(set.parsed.to_string(), r#"{p="1", s="1"}"#);
}

#[test]
fn equal_labels_have_one_number() {
    let pipeline = Pipeline::compile(&[logfmt()], None, &Hints::LOG).unwrap();
    let mut worker = pipeline.worker(&labels(&[("s", "1")]), &Output::Full);
    let mut id = |line: &[u8]| worker.process(0, line, &labels(&[])).unwrap().labels;
    let first = id(b"a=1 b=2");
    assert_eq!(id(b"b=2 a=1"), first);
    assert_ne!(id(b"a=12 b="), first);
    assert_eq!(id(b"a=1 b=2"), first);
    worker.set_stream(&labels(&[("s", "2")]));
    let other = worker.process(0, b"a=1 b=2", &labels(&[])).unwrap().labels;
    assert_eq!(worker.label_set(other).labels.to_string(), r#"{a="1", b="2", s="2"}"#);
    assert_eq!(worker.label_set(first).labels.to_string(), r#"{a="1", b="2", s="1"}"#);
}

#[test]
fn what_cannot_be_built_says_which_stage() {
    let message = |query: &str| {
        let Ok(crate::syntax::Expr::Log(parsed)) = crate::syntax::parse(query) else {
            panic!("{query} is a log query");
        };
        Pipeline::compile(&parsed.stages, None, &Hints::LOG).unwrap_err().to_string()
    };
    for (query, expected) in [
        (r#"{a="b"} |~ "(""#, r#"stage '|~ "("' : error parsing regexp: missing closing ): `(`"#),
        (
            r#"{a="b"} |= "x" | json | drop y |~ "(""#,
            r#"stage '|= "x" |~ "("' : error parsing regexp: missing closing ): `(`"#,
        ),
        (
            r#"{a="b"} |> "<x>""#,
            r#"stage '|> "<x>"' : named captures are not allowed: found '<x>'"#,
        ),
        (r#"{a="b"} |~ ip("1.1.1.1")"#, r#"stage '|~ ip("1.1.1.1")' : ip: invalid operation"#),
        (r#"{a="b"} |= ip("bogus")"#, r#"stage '|= ip("bogus")' : ip: invalid pattern: "bogus""#),
        (
            r#"{a="b"} | label_format x="{{""#,
            r#"stage '| label_format x="{{"' : invalid template for label 'x': template: label:1: unclosed action"#,
        ),
        (
            r#"{a="b"} | line_format "{{ nosuch }}""#,
            r#"stage '| line_format "{{ nosuch }}"' : invalid line template: template: line:1: function "nosuch" not defined"#,
        ),
        (
            r#"{a="b"} | label_format __error__=x"#,
            "stage '| label_format __error__=x' : __error__ cannot be formatted",
        ),
        (
            r#"{a="b"} | label_format x=a,x=b"#,
            "stage '| label_format x=a,x=b' : multiple label name 'x' not allowed in a single format operation",
        ),
        (
            r#"{a="b"} | logfmt dot="key.dot""#,
            r#"stage '| logfmt dot="key.dot"' : cannot parse expression [key.dot]: unexpected char ."#,
        ),
        (
            r#"{a="b"} | json x="a..b""#,
            r#"stage '| json x="a..b"' : cannot parse expression [a..b]: syntax error: unexpected DOT, expecting FIELD"#,
        ),
    ] {
        assert_eq!(message(query), format!("parse error : {expected}"));
    }
}

fn any_stage() -> impl Strategy<Value = Stage> {
    let extraction = LabelExtraction { name: "x".to_owned(), expression: "a".to_owned() };
    prop::sample::select(vec![
        json(),
        logfmt(),
        stage(StageKind::Json(vec![extraction.clone()])),
        stage(StageKind::Logfmt { strict: true, keep_empty: true, extractions: vec![extraction] }),
        stage(StageKind::Unpack),
        stage(StageKind::Decolorize),
        stage(StageKind::Pattern("<a>=<b> <_>".to_owned())),
        regexp(r"(?P<a>\w+)=(?P<s>\w*)"),
        contains("a"),
        filter(number("a", Comparison::Less, 5.0)),
        drop(vec![name("a"), name("s")]),
        keep(vec![name("a"), name("x")]),
        stage(StageKind::LabelFormat(vec![rename("s", "a"), template("a", "{{.s}}")])),
        line_format("{{.a}}"),
    ])
}

proptest! {
    #[test]
    fn no_pipeline_panics(
        stages in prop::collection::vec(any_stage(), 0..6),
        lines in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "(a|s|x|b)=[0-9]{1,2} (a|s)=\"?[a-z]*\"?".prop_map(String::into_bytes),
                r#"\{"(a|_entry)":("[a-z]"|[0-9])(,"s":1)?\}"#.prop_map(String::into_bytes),
            ],
            1..5,
        ),
    ) {
        let pipeline = Pipeline::compile(&stages, None, &Hints::LOG).unwrap();
        for output in [Output::Full, Output::Categorized, Output::Grouped(&by(&["a", "s"]))] {
            let mut worker = pipeline.worker(&labels(&[("s", "1")]), &output);
            for line in &lines {
                let first = worker.process(0, line, &labels(&[("a", "m")])).map(|p| p.labels);
                let again = worker.process(0, line, &labels(&[("a", "m")])).map(|p| p.labels);
                prop_assert_eq!(first, again);
            }
        }
    }
}

#[test]
fn filters_that_drop_early_drop_the_same() {
    for (stages, line) in [
        // What would be found behind the fault is not found.
        (r#"| json | status = 200"#, r#"{"a":{"b":nope},"status":200}"#),
        (r#"| json | status != "200""#, r#"{"a":{"b":nope},"status":200}"#),
        (r#"| json | status >= 500"#, r#"{"status":"high","status":503}"#),
        (r#"| json | status >= 500 | __error__="""#, r#"{"status":503,"x":nope}"#),
        (r#"| json | x="" | status >= 500"#, r#"{"status":503}"#),
        (r#"| json | job_extracted="in" and job="out""#, r#"{"job":"in"}"#),
        (r#"| logfmt | n > 3"#, "m=1 n=4 n=2"),
        (r#"| logfmt --strict | n > 3 or m = 1"#, r#"m=1 "x n=4"#),
    ] {
        let query = format!(r#"{{job="out"}} {stages}"#);
        let Ok(Expr::Log(expr)) = parse(&query) else { panic!("{query}") };
        let passes = |checks: bool| {
            let mut pipeline = Pipeline::compile(&expr.stages, None, &Hints::LOG).unwrap();
            assert!(pipeline.precheck.is_some(), "{query}");
            if !checks {
                pipeline.precheck = None;
            }
            let stream = Labels::from_pairs([("job", "out")]).unwrap();
            let mut worker = pipeline.worker(&stream, &Output::Full);
            let processed = worker.process(0, line.as_bytes(), &Labels::default());
            let labels = processed.map(|processed| processed.labels);
            labels.map(|labels| worker.label_set(labels).labels.to_string())
        };
        assert_eq!(passes(true), passes(false), "{query} on {line}");
    }
}
