//! `timberline check-query` as a monitor runs it: the real command against a server.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::ffi::OsStr;
use std::path::Path;

use common::TestServer;
use common::process::timberline;

/// The exit code and the line of a check of a server with these arguments.
fn check(addr: &str, arguments: &[&str]) -> (i32, String) {
    check_at("--addr".as_ref(), addr.as_ref(), arguments)
}

/// The same of a data directory.
fn check_data(data: &Path, arguments: &[&str]) -> (i32, String) {
    check_at("--data".as_ref(), data.as_ref(), arguments)
}

fn check_at(flag: &OsStr, place: &OsStr, arguments: &[&str]) -> (i32, String) {
    let mut command = timberline();
    command.env_remove("LOKI_ADDR").arg("check-query").args([flag, place]).args(arguments);
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn addr(server: &TestServer) -> String {
    format!("http://{}", server.address())
}

#[test]
fn numbers_are_held_against_ranges() {
    let server = TestServer::start(|_| {});
    let addr = addr(&server);
    for (arguments, code, line) in [
        (&["vector(7)", "-w", "10", "-c", "20"][..], 0, "LOGQL OK - 7 | 'value'=7;10;20\n"),
        (&["vector(11)", "-w", "10", "-c", "20"], 1, "LOGQL WARNING - 11 | 'value'=11;10;20\n"),
        (
            &["vector(21)", "--warning", "10", "--critical", "20"],
            2,
            "LOGQL CRITICAL - 21 | 'value'=21;10;20\n",
        ),
        (
            &["vector(15)", "-c", "@10:20", "--name", "X"],
            2,
            "X CRITICAL - 15 | 'value'=15;;@10:20\n",
        ),
        (&["vector(7)", "--timeout", "10"], 0, "LOGQL OK - 7 | 'value'=7;;\n"),
        (&["vector(7)", "-t", "1m"], 0, "LOGQL OK - 7 | 'value'=7;;\n"),
        (&["vector(0) - 3", "-c", "~:0"], 0, "LOGQL OK - -3 | 'value'=-3;;~:0\n"),
        (&["count_over_time({a=\"none\"}[1m])"], 3, "LOGQL UNKNOWN - the query gives no series\n"),
        (
            &["count_over_time({a=\"none\"}[1m])", "--empty", "ok"],
            0,
            "LOGQL OK - the query gives no series\n",
        ),
    ] {
        assert_eq!(check(&addr, arguments), (code, line.to_owned()), "{arguments:?}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let body = format!(
        r#"{{"streams":[{{"stream":{{"app":"shop"}},"values":[["{}","x"]]}}]}}"#,
        now.as_nanos() - 1_000_000_000
    );
    assert_eq!(server.push(&body).status, 204);
    let found = check(&addr, &["sum by (app) (count_over_time({app=\"shop\"}[1m]))", "-c", "0"]);
    let line = "LOGQL CRITICAL - {app=\"shop\"} is 1 | '{app:\"shop\"}'=1;;0\n";
    assert_eq!(found, (2, line.to_owned()));
}

#[test]
fn what_cannot_be_asked_is_unknown() {
    let server = TestServer::start(|config| config.auth_enabled = true);
    let (code, line) = check(&addr(&server), &["vector(1)"]);
    let denied = "LOGQL UNKNOWN - the server does not let this through: no org id\n";
    assert_eq!((code, line.as_str()), (3, denied));
    assert_eq!(check(&addr(&server), &["vector(1)", "--tenant", "a"]).0, 0);
    let (code, line) = check(&addr(&server), &["{a=\"b\"", "--tenant", "a"]);
    assert!(code == 3 && line.starts_with("LOGQL UNKNOWN - parse error"), "{line}");
    let (code, line) = check("http://127.0.0.1:1", &["vector(1)"]);
    assert!(
        code == 3 && line.starts_with("LOGQL UNKNOWN - cannot connect to 127.0.0.1:1"),
        "{line}"
    );
    // A port that takes connections and never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let (code, line) = check(&url, &["vector(1)", "--timeout", "200ms"]);
    assert_eq!(
        (code, line.as_str()),
        (3, "LOGQL UNKNOWN - no answer within 200ms (see --timeout)\n")
    );
    for wrong in [&["vector(1)", "-w", "20:10"][..], &["vector(1)", "--nonsense"], &[]] {
        let (code, line) = check("http://127.0.0.1:1", wrong);
        assert!(code == 3 && line.starts_with("LOGQL UNKNOWN - error: "), "{wrong:?}: {line}");
    }
}

#[test]
fn a_data_directory_is_asked_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let none = check_data(&data, &["vector(1)"]);
    assert!(none.0 == 3 && none.1.starts_with("LOGQL UNKNOWN - "), "{none:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let line = format!("{} x", now.as_secs() - 1);
    let file = directory.path().join("a.log");
    std::fs::write(&file, line).unwrap();
    let mut push = timberline();
    push.env_remove("LOKI_ADDR").arg("push").arg(&file).arg("--data").arg(&data);
    assert!(push.args(["--labels", "app=shop"]).output().unwrap().status.success());
    let query = "sum by (app) (count_over_time({app=\"shop\"}[1m]))";
    let line = "LOGQL WARNING - {app=\"shop\"} is 1 | '{app:\"shop\"}'=1;0;\n";
    assert_eq!(check_data(&data, &[query, "-w", "0"]), (1, line.to_owned()));
}
