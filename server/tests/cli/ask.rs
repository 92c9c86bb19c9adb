//! What there is, asked for in every form.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use super::common::process::Running;
use super::{NOON, Outcome, Place, RANGE, command, end, run, with_three_lines};

const ALL: &str = r#"{env="prod"}"#;

fn query(place: Place<'_>, arguments: &[&str]) -> Outcome {
    run(place, &[&["query"], &RANGE[..], arguments].concat())
}

#[test]
fn lines_are_printed_as_logcli_does() {
    with_three_lines(|place| {
        let newest_first = query(place, &[ALL]);
        assert_eq!(newest_first.err, "Common labels: {env=\"prod\"}\n");
        assert_eq!(
            newest_first.out(),
            r#"2026-01-31T12:00:02Z {app="shop", detected_level="error", service_name="shop", trace="a1"} level=error msg="two, at last"
2026-01-31T12:00:01Z {app="cart", detected_level="unknown", service_name="cart"}           three
2026-01-31T12:00:00Z {app="shop", detected_level="info", service_name="shop"}              level=info msg=one
"#
        );
        let raw = query(place, &[ALL, "--output", "raw", "--forward", "--quiet"]);
        assert_eq!(raw.err, "");
        assert_eq!(raw.out(), "level=info msg=one\nthree  \nlevel=error msg=\"two, at last\"\n");
        let chosen = ["--include-label", "app,trace", "--exclude-label=app", "--limit", "1"];
        let chosen = query(place, &[&[ALL, "--include-common-labels"], &chosen[..]].concat());
        assert_eq!(
            chosen.out(),
            "2026-01-31T12:00:02Z {trace=\"a1\"} level=error msg=\"two, at last\"\n"
        );
        let padded = query(place, &[r#"{app="cart"}"#, "--labels-length", "4", "-q"]);
        assert_eq!(padded.out(), "2026-01-31T12:00:01Z {}   three\n");
        let none = query(place, &[r#"{app="cart"}"#, "--no-labels", "-q"]);
        assert_eq!(none.out(), "2026-01-31T12:00:01Z three\n");
        assert_eq!(query(place, &[r#"{app="nosuch"}"#]).out(), "");
    });
}

#[test]
fn lines_have_forms_for_programs() {
    with_three_lines(|place| {
        let two = r#"{app="shop"}"#;
        assert_eq!(
            query(place, &[two, "-o", "jsonl", "--direction", "forward"]).out(),
            r#"{"labels":{"app":"shop","detected_level":"info","env":"prod","service_name":"shop"},"line":"level=info msg=one","timestamp":"2026-01-31T12:00:00Z"}
{"labels":{"app":"shop","detected_level":"error","env":"prod","service_name":"shop","trace":"a1"},"line":"level=error msg=\"two, at last\"","timestamp":"2026-01-31T12:00:02Z"}
"#
        );
        assert_eq!(
            query(
                place,
                &[r#"{app=~".+"} | trace="a1""#, "-o", "csv", "--include-label", "app,trace"]
            )
            .out(),
            "timestamp,labels,line\r\n2026-01-31T12:00:02Z,\"{app=\"\"shop\"\", trace=\"\"a1\"\"}\",\"level=error msg=\"\"two, at last\"\"\"\r\n"
        );
        assert_eq!(
            query(place, &[ALL, "-o", "table", "--include-label", "app,trace"]).out(),
            "TIME                    app   trace  LINE\n\
             2026-01-31T12:00:02Z    shop  a1     level=error msg=\"two, at last\"\n\
             2026-01-31T12:00:01.5Z  cart         three\n\
             2026-01-31T12:00:00Z    shop         level=info msg=one\n"
        );
        let vienna = query(place, &[r#"{app="cart"}"#, "-q", "-z", "Europe/Vienna", "--no-labels"]);
        assert_eq!(vienna.code, Some(2), "a flag is there twice: {vienna:?}");
    });
}

#[test]
fn pages_go_beyond_what_a_server_gives_at_once() {
    with_three_lines(|place| {
        let forward = ["level=info msg=one", "three  ", "level=error msg=\"two, at last\""];
        for batch in ["1", "2", "3", "1000"] {
            for limit in ["0", "2", "3", "30"] {
                let arguments = [ALL, "-o", "raw", "-q", "--batch", batch, "--limit", limit];
                let take = match limit.parse().unwrap() {
                    0 => 3,
                    limit => 3.min(limit),
                };
                let found = query(place, &[&arguments[..], &["--forward"]].concat()).out();
                assert_eq!(found.lines().collect::<Vec<_>>(), forward[..take], "{arguments:?}");
                let found = query(place, &arguments).out();
                let backward: Vec<_> = forward.iter().rev().take(take).copied().collect();
                assert_eq!(found.lines().collect::<Vec<_>>(), backward, "{arguments:?}");
            }
        }
    });
}

#[test]
fn numbers_have_forms() {
    with_three_lines(|place| {
        let count = "sum by (app) (count_over_time({env=\"prod\"}[1m]))";
        let at = ["instant-query", count, "-z", "UTC", "--time", "2026-01-31 12:00:30"];
        let instant = |format: &str| run(place, &[&at[..], &["-o", format]].concat()).out();
        assert_eq!(instant("raw"), "1\n2\n");
        assert_eq!(instant("table"), "app   VALUE\ncart      1\nshop      2\n");
        assert_eq!(
            instant("csv"),
            "timestamp,app,value\r\n2026-01-31T12:00:30Z,cart,1\r\n2026-01-31T12:00:30Z,shop,2\r\n"
        );
        assert_eq!(
            instant("jsonl"),
            r#"{"labels":{"app":"cart"},"timestamp":"2026-01-31T12:00:30Z","value":"1"}
{"labels":{"app":"shop"},"timestamp":"2026-01-31T12:00:30Z","value":"2"}
"#
        );
        let seconds = NOON / 1_000_000_000 + 30;
        let json: serde_json::Value = serde_json::from_str(&instant("default")).unwrap();
        assert_eq!(
            json[1],
            serde_json::json!({"metric": {"app": "shop"}, "value": [seconds, "2"]})
        );

        let range = |format: &str| query(place, &[count, "--step", "30m", "-o", format]).out();
        assert_eq!(range("table"), "app   POINTS  MIN  MAX  LAST\nshop       1    1    1     1\n");
        assert!(range("chart").contains("● app=shop  last 1"), "{}", range("chart"));
        let told = query(place, &[count, "--step", "1h", "--stats"]);
        assert!(told.err.contains("Summary.totalLinesProcessed: "), "{told:?}");
        assert_eq!(
            query(place, &["sum(count_over_time({app=\"x\"}[1m]))", "-o", "chart"]).out(),
            "no data\n"
        );
    });
}

#[test]
fn a_picture_has_the_shape_of_the_numbers() {
    with_three_lines(|place| {
        let count = "sum(count_over_time({env=\"prod\"}[2s]))";
        let range = ["--from", "2026-01-31T12:00:00Z", "--to", "2026-01-31T12:00:06Z", "-z", "UTC"];
        let arguments = [&["query", count, "--step", "1s", "-o", "chart"], &range[..]].concat();
        let mut command = command(place, &arguments);
        command.env("COLUMNS", "40").env("LINES", "12");
        let picture = end(&mut command, b"").out();
        assert!(picture.contains("12:00:00") && picture.contains("12:00:03"), "{picture}");
        assert!(picture.ends_with("● {}  last 2\n"), "{picture}");
        let coloured = end(command.args(["--color", "always"]), b"").out();
        assert!(coloured.contains("\x1b[36m"), "{coloured}");
    });
}

#[test]
fn colours_are_for_terminals_or_when_asked_for() {
    with_three_lines(|place| {
        let cart = r#"{app="cart"}"#;
        let arguments =
            [&["query"], &RANGE[..], &[cart, "-q", "--color=always", "--no-labels"]].concat();
        let coloured = run(place, &arguments).out();
        assert_eq!(coloured, "\x1b[34m2026-01-31T12:00:01Z\x1b[0m three\n");
    });
}

#[test]
fn what_there_is_is_listed() {
    with_three_lines(|place| {
        let run = |arguments: &[&str]| run(place, &[arguments, &RANGE[..]].concat()).out();
        assert_eq!(run(&["labels"]), "app\nenv\nservice_name\n");
        assert_eq!(run(&["labels", "app"]), "cart\nshop\n");
        assert_eq!(run(&["labels", "app", "--query", "{app!=\"cart\", env=\"prod\"}"]), "shop\n");
        assert_eq!(run(&["labels", "nosuch"]), "");
        assert_eq!(
            run(&["series"]),
            "{app=\"cart\", env=\"prod\", service_name=\"cart\"}\n{app=\"shop\", env=\"prod\", service_name=\"shop\"}\n"
        );
        assert_eq!(run(&["series", "{app=\"x\"}", "{app=\"cart\"}"]).lines().count(), 1);
        assert_eq!(
            run(&["series", "--analyze-labels"]),
            "Streams: 2\nLabels: 3\n\nLABEL         VALUES  STREAMS\napp                2        2\nservice_name       2        2\nenv                1        2\n"
        );
        let json: serde_json::Value = serde_json::from_str(&run(&["labels", "--json"])).unwrap();
        assert_eq!(json["data"][0], "app");
        let stats = run(&["stats", ALL]);
        assert_eq!(stats, "streams    2\nchunks     2\nentries    3\nbytes    120\n");
        let volume = run(&["volume", ALL, "--target-labels", "app"]);
        let bars: Vec<_> = volume.lines().collect();
        assert!(bars[0].starts_with("{app=\"shop\"} ") && bars[0].ends_with('█'), "{volume}");
        assert!(bars[1].starts_with("{app=\"cart\"} ") && bars[1].contains(" B  █"), "{volume}");
        assert_eq!(run(&["volume", ALL, "--by-label"]).lines().count(), 3);
    });
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    with_three_lines(|place| {
        let arguments =
            [&["query"], &RANGE[..], &[ALL, "--batch", "1", "--limit", "0", "-q"]].concat();
        let mut command = command(place, &arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
    });
}

#[test]
fn a_tail_prints_what_was_and_what_comes() {
    let directory = tempfile::TempDir::new().unwrap();
    let server = Running::start(directory.path());
    let place = Place::Server(server.address);
    let push = |line: &str| {
        end(&mut command(place, &["push", "-", "-q", "--labels", "job=t"]), line.as_bytes()).out()
    };
    push("before\n");
    let arguments = ["tail", "{job=\"t\"}", "--lines", "2", "--output", "raw"];
    let mut child = command(place, &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "before");
    push("behind\n");
    assert_eq!(lines.next().unwrap().unwrap(), "behind");
    assert!(child.wait().unwrap().success());
    let refused = run(place, &["tail", "{job="]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("parse error"), "{refused:?}");
}

#[test]
fn a_segment_is_looked_into() {
    let directory = tempfile::TempDir::new().unwrap();
    let place = Place::Data(directory.path());
    let lines: String = (0..100)
        .map(|n| format!("2026-01-31 12:00:{:02} order {} paid in {}ms\n", n / 2, n * 7919, n % 9))
        .collect();
    let push = ["push", "-", "-q", "-l", "app=shop", "-z", "UTC"];
    end(&mut command(place, &push), lines.as_bytes()).out();
    let segment = directory.path().join("segments/0000000001.seg");
    let mut command = super::common::process::timberline();
    command.arg("inspect").arg(&segment).args(["-z", "UTC", "--streams", "--groups"]);
    let told = end(&mut command, b"").out();
    for part in [
        "100 entries of 1 streams, 1 groups\n",
        "2026-01-31T12:00:00Z to 2026-01-31T12:00:49.000000001Z\n",
        "\nfake    {app=\"shop\", service_name=\"shop\"}      100       1",
        " order <_> paid in <_>\n",
        "\nstream table ",
        "\ntime ",
        "\ntemplate 0, slot 1 ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let wrong = end(super::common::process::timberline().args(["inspect", "Cargo.toml"]), b"");
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("Cargo.toml: damaged"), "{wrong:?}");
}

#[test]
fn a_bench_tells_what_it_measured() {
    let directory = tempfile::TempDir::new().unwrap();
    let server = Running::start(directory.path());
    let place = Place::Server(server.address);
    let arguments = ["bench", "--duration", "300ms", "--batch", "50", "--queries", "1"];
    let measured = run(place, &arguments).out();
    assert!(
        measured.trim_start().starts_with("LINES ") && measured.contains("\nnewest lines "),
        "{measured}"
    );
    let counted = run(place, &["series", "{mark=\"timberline-bench\"}"]).out();
    assert!(counted.lines().count() > 6, "{counted}");
}
