//! Pushes generated data into an empty server and holds its answers against recorded ones: see
//! `conformance/README.md`.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;
#[path = "conformance/floors.rs"]
mod floors;
#[path = "conformance/judge.rs"]
mod judge;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::TestServer;
use floors::Floors;
use judge::{Case, Verdict, judge};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name)
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(file("cases.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn server_with_data() -> TestServer {
    let server = TestServer::start(common::accept_any_time);
    for name in ["data/edges.json", "data/shop.json"] {
        let pushed = server.push(&std::fs::read_to_string(file(name)).unwrap());
        assert_eq!(pushed.status, 204, "{name}: {}", pushed.text());
    }
    server
}

/// What became of the cases of a group.
#[derive(Default)]
struct Tally {
    passed: usize,
    cases: usize,
    same_texts: usize,
    texts: usize,
}

impl Tally {
    fn add(&mut self, verdict: Verdict) {
        self.cases += 1;
        self.passed += usize::from(verdict.passes);
        if let Some(same) = verdict.same_text {
            self.texts += 1;
            self.same_texts += usize::from(same);
        }
    }
}

/// Prints the first failures, as many as `CONFORMANCE_SHOW` says.
struct Failures {
    left: usize,
}

impl Failures {
    fn new() -> Self {
        let left = std::env::var("CONFORMANCE_SHOW").ok().and_then(|number| number.parse().ok());
        Self { left: left.unwrap_or(0) }
    }

    fn show(&mut self, case: &Case, verdict: Verdict, answer: &common::Response) {
        let failed = !verdict.passes || verdict.same_text == Some(false);
        if !failed || self.left == 0 {
            return;
        }
        self.left -= 1;
        let want =
            case.text.clone().unwrap_or_else(|| case.json.clone().unwrap_or_default().to_string());
        let cut = |text: &str| text.chars().take(1500).collect::<String>();
        println!("--- {} {} {:?}", case.id, case.path, case.params);
        println!("  want {} {}", case.status, cut(&want));
        println!("  got  {} {}", answer.status, cut(&answer.text()));
    }
}

#[test]
fn answers_agree_with_the_recorded_ones() {
    let server = server_with_data();
    let group = std::env::var("CONFORMANCE_GROUP").ok();
    let mut failures = Failures::new();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for case in cases() {
        if group.as_ref().is_some_and(|group| *group != case.group) {
            continue;
        }
        let params: Vec<_> = case.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let answer = server.get(&case.path, &params);
        let verdict = judge(&case, answer.status, &answer.text());
        failures.show(&case, verdict, &answer);
        tallies.entry(case.group).or_default().add(verdict);
    }
    let path = file("floors.toml");
    let floors = floors::read(&path);
    if std::env::var_os("UPDATE_FLOORS").is_some() {
        floors::raise(&path, &floors, &passed(&tallies));
    }
    print_table(&tallies, &floors);
    check(&tallies, &floors, group.is_some());
}

fn passed(tallies: &BTreeMap<String, Tally>) -> Floors {
    let mut passed = Floors::new();
    for (group, tally) in tallies {
        passed.insert(group.clone(), tally.passed);
        if tally.texts > 0 {
            passed.insert(format!("{group}.text"), tally.same_texts);
        }
    }
    passed
}

fn print_table(tallies: &BTreeMap<String, Tally>, floors: &Floors) {
    println!("{:14} {:>6} {:>6} {:>6}   error texts", "group", "passed", "cases", "floor");
    let floor = |name: &str| floors.get(name).copied().unwrap_or_default();
    let mut all = Tally::default();
    for (group, tally) in tallies {
        let Tally { passed, cases, same_texts, texts } = *tally;
        let texts_shown = if texts > 0 { format!("{same_texts}/{texts}") } else { String::new() };
        println!("{group:14} {passed:6} {cases:6} {:6}   {texts_shown}", floor(group));
        all.passed += passed;
        all.cases += cases;
        all.same_texts += same_texts;
        all.texts += texts;
    }
    println!(
        "{:14} {:6} {:6} {:6}   {}/{}",
        "all", all.passed, all.cases, "", all.same_texts, all.texts
    );
}

/// Fails when a group is below its floor, or has none: a new group must be written into the file.
fn check(tallies: &BTreeMap<String, Tally>, floors: &Floors, partial: bool) {
    let passed = passed(tallies);
    let mut below = Vec::new();
    for (name, floor) in floors {
        match passed.get(name) {
            Some(passed) if passed < floor => below.push(format!("{name}: {passed} of {floor}")),
            None if !partial => below.push(format!("{name}: no cases")),
            _ => {}
        }
    }
    let missing = passed.keys().filter(|name| !floors.contains_key(*name));
    below.extend(missing.map(|name| format!("{name}: no floor")));
    assert!(below.is_empty(), "below the floors: {}", below.join(", "));
}

/// The judge itself: what it must take and what it must refuse.
#[test]
fn the_judge_knows_what_is_the_same() {
    let case = |json: &str| Case {
        group: String::new(),
        id: String::new(),
        path: String::new(),
        params: BTreeMap::new(),
        status: 200,
        json: Some(serde_json::from_str(json).unwrap()),
        text: None,
    };
    let streams = |result: &str| {
        format!(r#"{{"status":"success","data":{{"resultType":"streams","result":[{result}]}}}}"#)
    };
    let want = case(&streams(
        r#"{"stream":{"a":"1"},"values":[["2","x"],["1","y"],["1","z"]]},{"stream":{"b":"1"},"values":[["1","w"]]}"#,
    ));
    let same = streams(
        r#"{"stream":{"b":"1"},"values":[["1","w"]]},{"stream":{"a":"1"},"values":[["2","x"],["1","z"],["1","y"]]}"#,
    );
    assert!(judge(&want, 200, &same).passes);
    assert!(!judge(&want, 400, &same).passes);
    let swapped = streams(
        r#"{"stream":{"b":"1"},"values":[["1","w"]]},{"stream":{"a":"1"},"values":[["1","z"],["1","y"],["2","x"]]}"#,
    );
    assert!(!judge(&want, 200, &swapped).passes);
    assert!(!judge(&want, 200, &streams("")).passes);
    assert!(!judge(&want, 200, "not json").passes);
    let vector = |value: &str| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#
        )
    };
    let want = case(&vector("0.1"));
    assert!(judge(&want, 200, &vector("0.10000000000001")).passes);
    assert!(!judge(&want, 200, &vector("0.1001")).passes);
    assert!(judge(&case(&vector("NaN")), 200, &vector("NaN")).passes);
    let error = Case { json: None, text: Some("no".to_owned()), status: 400, ..want };
    assert_eq!(judge(&error, 400, "no\n").same_text, Some(true));
    let other = judge(&error, 400, "yes");
    assert_eq!((other.passes, other.same_text), (true, Some(false)));
}
