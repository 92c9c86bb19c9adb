//! `timberline rules`, and rules before the real programs.

use super::common::process::timberline;

fn rules(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ruler");
    let mut command = timberline();
    let output = command.arg("rules").args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_examples_are_good() {
    let (code, out, err) = rules(&["check", "alerts.yaml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, "Checking alerts.yaml\n  SUCCESS: 3 rules found\n\n");
    let (code, out, err) = rules(&["test", "alerts_test.yaml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, "Unit Testing:  alerts_test.yaml\n  SUCCESS\n\n");
}

#[test]
fn failures_read_as_in_promtool() {
    let directory = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bad =
        write("bad.yaml", "groups:\n- name: a\n  rules:\n  - record: a b\n    expr: vector(1)\n");
    let (code, out, err) = rules(&["check", &bad]);
    assert_eq!((code, out), (Some(1), format!("Checking {bad}\n\n")));
    let problem = "4:13: group \"a\", rule 1, \"a b\": invalid recording rule name: a b";
    assert_eq!(err, format!("  FAILED:\n{bad}: {problem}\n"));

    write(
        "r.yaml",
        "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: vector(1) > 0\n    labels: {sev: hi}\n    annotations: {s: 'v {{ $value }}'}\n",
    );
    let test = write(
        "t.yaml",
        "rule_files: [r.yaml]\ntests:\n- name: named\n  alert_rule_test:\n  - {eval_time: 5m, alertname: X, exp_alerts: \
         [{exp_labels: {sev: lo}, exp_annotations: {s: v 1}}]}\n  logql_expr_test:\n  - {expr: vector(1), eval_time: 3m, \
         exp_samples: [{labels: '{a=\"b\"}', value: 2}]}\n",
    );
    let (code, out, err) = rules(&["test", &test]);
    assert_eq!((code, out), (Some(1), format!("Unit Testing:  {test}\n\n\n")));
    // What promtool 2.42 says of the same with PromQL.
    assert_eq!(
        err,
        "  FAILED:\n    name: named,\n    alertname: X, time: 5m, \n        exp:[\n            0:\n              \
         Labels:{alertname=\"X\", sev=\"lo\"}\n              Annotations:{s=\"v 1\"}\n            ], \n        got:[\n            \
         0:\n              Labels:{alertname=\"X\", sev=\"hi\"}\n              Annotations:{s=\"v 1\"}\n            ]\n    \
         expr: \"vector(1)\", time: 3m,\n        exp: {a=\"b\"} 2E+00\n        got: {} 1E+00\n"
    );
    let (code, _, err) = rules(&["test", &bad]);
    assert!(code == Some(1) && err.contains("unknown field `groups`"), "{err}");
    assert_eq!(rules(&["check"]).0, Some(2));
}

/// The real programs, found by PATH, in place of the fakes.
#[test]
#[ignore = "needs prometheus, promtool, alertmanager, amtool and curl"]
fn prometheus_and_alertmanager_understand() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ruler/demo.sh");
    let mut command = std::process::Command::new(script);
    command.env("TIMBERLINE", env!("CARGO_BIN_EXE_timberline"));
    let output = command.output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&shown));
}
