//! `export` and `import`: what comes back is what was there, to the byte.

use std::path::Path;

use tempfile::TempDir;

use super::common::process::Running;
use super::{Place, RANGE, command, end, run, with_three_lines};

fn export(place: Place<'_>, arguments: &[&str]) -> String {
    run(place, &[&["export"], &RANGE[..], arguments].concat()).out()
}

#[test]
fn an_export_has_all_there_is_to_know() {
    with_three_lines(|place| {
        let exported = export(place, &[]);
        let lines: Vec<_> = exported.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[2],
            r#"{"timestamp":"1769860802000000000","labels":{"app":"shop","env":"prod","service_name":"shop"},"line":"level=error msg=\"two, at last\"","metadata":{"detected_level":"error","trace":"a1"}}"#
        );
        let query = export(place, &["--query", "{app=\"cart\"}", "--batch", "1"]);
        assert_eq!(query.lines().count(), 1);
        assert!(query.contains(r#""line":"three  ","#), "{query}");
    });
}

#[test]
fn what_was_exported_is_imported_to_the_byte() {
    with_three_lines(|place| {
        let directory = TempDir::new().unwrap();
        let expected = export(place, &[]);
        for (name, flags) in [("a.jsonl", &[][..]), ("a.jsonl.zst", &[]), ("a.bin", &["--zstd"])] {
            let file = directory.path().join(name);
            let file = file.to_str().unwrap();
            export(place, &[&["--output", file], flags].concat());
            let again = run(place, &[&["export", "--output", file], &RANGE[..], flags].concat());
            assert_eq!(again.code, Some(2), "it is not overwritten: {again:?}");
            let data = directory.path().join(format!("{name}.data"));
            let imported = run(Place::Data(&data), &[&["import", file], flags].concat());
            assert_eq!(imported.err, "imported 3 lines, 120 B\n", "{imported:?}");
            assert_eq!(export(Place::Data(&data), &[]), expected);
        }
        let server = Running::start(&directory.path().join("server"));
        let target = Place::Server(server.address);
        let piped = end(&mut command(target, &["import", "-", "-q"]), expected.as_bytes());
        assert_eq!((piped.code, piped.err.as_str()), (Some(0), ""));
        assert_eq!(export(target, &[]), expected);
    });
}

#[test]
fn a_running_server_is_taken_over() {
    with_three_lines(|place| {
        let Place::Server(source) = place else { return };
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("data");
        let from = format!("http://{source}");
        let arguments = [&["import", "--from-addr", &from, "--batch", "2"], &RANGE[..]].concat();
        let imported = run(Place::Data(&data), &arguments);
        assert_eq!((imported.code, imported.err.as_str()), (Some(0), "imported 3 lines, 120 B\n"));
        assert_eq!(export(Place::Data(&data), &[]), export(place, &[]));
        let again = run(Place::Data(&data), &arguments);
        assert_eq!(again.code, Some(0), "{again:?}");
        assert_eq!(export(Place::Data(&data), &[]).lines().count(), 3, "kept once");
    });
}

#[test]
fn years_are_exported_in_parts() {
    with_three_lines(|place| {
        let range = ["--from", "2024-01-01", "--to", "2026-11-01", "-z", "UTC"];
        let years = run(place, &[&["export"], &range[..]].concat()).out();
        assert_eq!(years, export(place, &[]));
        let query = ["query", "{env=\"prod\"}", "-o", "raw", "-q", "--limit", "2"];
        let newest = run(place, &[&query, &range[..]].concat()).out();
        assert_eq!(newest, "level=error msg=\"two, at last\"\nthree  \n");
    });
}

#[test]
fn logclis_lines_are_imported() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let input =
        r#"{"labels":{"app":"x"},"line":"y","timestamp":"2026-01-31T13:00:00.000000001+01:00"}"#;
    let imported = end(&mut command(Place::Data(&data), &["import", "-"]), input.as_bytes());
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert!(
        export(Place::Data(&data), &[])
            .starts_with(r#"{"timestamp":"1769860800000000001","labels":{"app":"x","#)
    );
}

#[test]
fn what_is_no_entry_is_named() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let good = r#"{"timestamp":"1769860800000000000","labels":{"a":"b"},"line":"kept"}"#;
    for (bad, what) in [
        ("{}", "missing field `timestamp`"),
        ("nonsense", "expected"),
        (
            r#"{"timestamp":"noon","labels":{},"line":""}"#,
            "'noon' is neither nanoseconds nor a date",
        ),
        (r#"{"timestamp":"1","labels":{},"line":"","other":1}"#, "unknown field `other`"),
    ] {
        let input = format!("{good}\n\n{bad}\n{good}\n");
        let refused = end(&mut command(Place::Data(&data), &["import", "-"]), input.as_bytes());
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.err.contains("-: line 3 is no entry: ") && refused.err.contains(what),
            "{refused:?}"
        );
        assert!(refused.err.contains("1 lines, 4 B were imported before"), "{refused:?}");
    }
    assert_eq!(export(Place::Data(&data), &[]).lines().count(), 1);
    assert!(Path::new(&data).exists());
}

/// More entries of one time than a batch has room for, in streams that only differ in a label which not
/// all have.
#[test]
fn entries_of_one_time_are_exported_whatever_the_batch() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let place = Place::Data(&data);
    let entry = |n: usize| {
        let labels = match n % 3 {
            0 => r#"{"only":"a"}"#,
            1 => r#"{"only":"b","service_name":"s"}"#,
            _ => r#"{"service_name":"s"}"#,
        };
        let time = 1_769_860_800_000_000_000_u64 + (n as u64 / 40) * 1_000;
        format!(r#"{{"timestamp":"{time}","labels":{labels},"line":"line {n}"}}"#)
    };
    let input: Vec<String> = (0..200).map(entry).collect();
    end(&mut command(place, &["import", "-"]), input.join("\n").as_bytes()).out();
    let all = export(place, &[]);
    assert_eq!(all.lines().count(), 200);
    for batch in ["1", "7", "39", "40", "41", "200"] {
        let mut found: Vec<_> =
            export(place, &["--batch", batch]).lines().map(str::to_owned).collect();
        let mut expected: Vec<_> = all.lines().collect();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "batch {batch}");
    }
}
