//! What is wrong is said, with the exit code that the help names.

use std::net::TcpListener;
use std::process::Stdio;

use tempfile::TempDir;

use super::common::process::{Running, timberline};
use super::{Place, command, end, run};

#[test]
fn wrong_commands_end_with_2_and_say_what_to_write() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    end(&mut command(Place::Data(&data), &["push", "-", "-l", "a=b"]), b"x\n").out();
    let place = Place::Data(&data);
    for (arguments, says) in [
        (&["query"][..], "required arguments"),
        (&["query", "{"], "parse error"),
        (&["query", "{a=\"b\"}", "--since", "1"], "is not a duration"),
        (&["query", "{a=\"b\"}", "--from", "noon"], "'noon' is not a time"),
        (&["query", "{a=\"b\"}", "--from", "1h", "--to", "2h"], "ends before it begins"),
        (&["query", "{a=\"b\"}", "--timezone", "Mars"], "no such time zone"),
        (&["query", "{a=\"b\"}", "--output", "xml"], "possible values"),
        (&["query", "{a=\"b\"}", "--batch", "0"], "0 is not in 1.."),
        (
            &["query", "sum(rate({a=\"b\"}[1m]))", "--step", "x"],
            "cannot parse \"x\" to a valid duration",
        ),
        (&["query", "{a=~\".*\"}"], "queries require at least one"),
        (&["instant-query", "{a=\"b\"}"], "log queries are not supported as an instant query type"),
        (&["stats", "{"], "parse error"),
        (&["tail", "{a=\"b\"}"], "tail needs a server"),
        (&["tail", "rate({a=\"b\"}[1m])"], "this query makes numbers"),
        (&["bench"], "a bench loads a server"),
        (&["push", "-"], "needs --labels"),
        (&["push", "-", "x", "-l", "a=b"], "pushed by itself"),
        (&["push", "x", "-l", "a"], "write NAME=VALUE"),
        (&["push", "x", "-l", "1a=b"], "is no label's name"),
        (&["import"], "required arguments"),
        (&["import", "x", "--from-addr", "http://x"], "cannot be used with"),
        (&["import", "x", "--since", "1d"], "files are imported whole"),
        (&["import", "x", "--query", "{a=\"b\"}"], "files are imported whole"),
        (&["completions", "tcsh"], "possible values"),
    ] {
        // Commands without a place have no such flag.
        let outcome = match arguments[0] {
            "completions" => end(timberline().args(arguments), b""),
            _ => run(place, arguments),
        };
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        assert!(outcome.err.contains(says), "{arguments:?}: {}", outcome.err);
        assert_eq!(outcome.out, "", "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_done_ends_with_1() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let missing = run(Place::Data(&data), &["labels"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.starts_with("timberline: there is no store in"), "{missing:?}");
    assert!(!data.exists(), "a question makes no directory");
    let file = run(Place::Data(&data), &["push", "/nosuch/file", "-l", "a=b"]);
    assert_eq!(file.code, Some(1), "{file:?}");
    assert!(file.err.contains("cannot read /nosuch/file: No such file"), "{file:?}");

    let server = Running::start(&data);
    let locked = run(Place::Data(&data), &["labels"]);
    assert_eq!(locked.code, Some(1));
    assert!(locked.err.contains("is in use by another process"), "{locked:?}");
    assert!(locked.err.contains("with --addr in place of --data"), "{locked:?}");
    drop(server);
    let import = run(Place::Data(&data), &["import", "/nosuch/file"]);
    assert_eq!(import.code, Some(1), "{import:?}");
    assert!(import.err.ends_with("No such file or directory (os error 2)\n"), "{import:?}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = run(Place::Server(free), &["labels"]);
    assert_eq!(unreachable.code, Some(1));
    assert!(unreachable.err.contains("cannot connect to 127.0.0.1:"), "{unreachable:?}");
}

#[test]
fn a_server_that_is_none_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>");
        }
    });
    let outcome = run(Place::Server(address), &["labels"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("not what a Loki server says"), "{outcome:?}");
    let mut encrypted = timberline();
    encrypted.args(["labels", "--addr", &format!("https://{address}")]);
    let outcome = end(&mut encrypted, b"");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("does not speak TLS"), "{outcome:?}");
}

#[test]
fn logclis_variables_and_credentials_are_understood() {
    let directory = TempDir::new().unwrap();
    let hash = end(timberline().arg("hash"), b"hunter2\n").out();
    let credentials = directory.path().join("credentials.yaml");
    let yaml = format!(
        "credentials:\n  - name: reader\n    hash: \"{}\"\n    rights: [read, write]\n    tenants: [\"*\"]\n",
        hash.trim()
    );
    std::fs::write(&credentials, yaml).unwrap();
    let variables = [
        ("TIMBERLINE_SERVER_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ("TIMBERLINE_AUTH_ENABLED", "true"),
    ];
    let server = Running::start_with(&directory.path().join("data"), &variables);
    let addr = format!("http://{}", server.address);
    let with = |arguments: &[&str], variables: &[(&str, &str)], input: &[u8]| {
        let mut command = timberline();
        command.args(arguments).env("LOKI_ADDR", &addr).envs(variables.iter().copied());
        end(&mut command, input)
    };
    let basic = [("LOKI_USERNAME", "reader"), ("LOKI_PASSWORD", "hunter2"), ("LOKI_ORG_ID", "one")];
    with(&["push", "-", "-l", "a=b", "-q"], &basic, b"x\n").out();
    assert_eq!(with(&["labels", "a"], &basic, b"").out(), "b\n");
    let token = directory.path().join("token");
    std::fs::write(&token, "reader.hunter2\n").unwrap();
    let bearer = [("LOKI_BEARER_TOKEN_FILE", token.to_str().unwrap()), ("LOKI_ORG_ID", "one")];
    assert_eq!(with(&["labels", "a"], &bearer, b"").out(), "b\n");
    assert_eq!(with(&["labels", "a", "--tenant", "two"], &bearer, b"").out(), "");
    let nobody = with(&["labels"], &[("LOKI_ORG_ID", "one")], b"");
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.err.contains("the server does not let this through"), "{nobody:?}");
    let tail = with(&["tail", "{a=\"b\"}", "--lines", "1", "-o", "raw"], &basic, b"").out();
    assert_eq!(tail, "x\n");
}

#[test]
fn tls_is_spoken_as_asked() {
    let data = |name: &str| format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let directory = TempDir::new().unwrap();
    let files = [data("server.pem"), data("server.key"), data("ca.pem")];
    let variables = [
        ("TIMBERLINE_SERVER_TLS_CERT_FILE", files[0].as_str()),
        ("TIMBERLINE_SERVER_TLS_KEY_FILE", &files[1]),
        ("TIMBERLINE_SERVER_TLS_CLIENT_CA_FILE", &files[2]),
    ];
    let server = Running::start_with(directory.path(), &variables);
    let addr = format!("https://localhost:{}", server.address.port());
    let run = |arguments: &[&str], input: &[u8]| {
        let mut command = timberline();
        end(command.args(arguments).args(["--addr", &addr]), input)
    };
    let (cert, key) = (data("client.pem"), data("client.key"));
    let identity = ["--cert", &cert, "--key", &key];
    let trusting = [&["--ca-cert", &files[2]], &identity[..]].concat();
    let pushed = run(&[&["push", "-", "-l", "a=b", "-q"], &trusting[..]].concat(), b"x\n");
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    assert_eq!(run(&[&["labels", "a"], &trusting[..]].concat(), b"").out(), "b\n");
    let blind = run(&[&["labels", "a", "--tls-skip-verify"], &identity[..]].concat(), b"");
    assert_eq!(blind.out(), "b\n");
    let tail = [&["tail", "{a=\"b\"}", "--lines", "1", "-o", "raw"], &trusting[..]].concat();
    assert_eq!(run(&tail, b"").out(), "x\n");
    for (arguments, code) in [
        (&["labels"][..], 1),
        (&["labels", "--ca-cert", &files[2]], 1),
        (&["labels", "--ca-cert", &files[1]], 1),
        (&["labels", "--ca-cert", &files[2], "--cert", &cert], 2),
    ] {
        let refused = run(arguments, b"");
        assert_eq!(refused.code, Some(code), "{refused:?}");
    }
}

#[test]
fn shells_and_man_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = end(timberline().args(["completions", shell]), b"").out();
        assert!(script.contains("instant-query") && script.contains("restore"), "{shell}");
    }
    let directory = TempDir::new().unwrap();
    let pages = directory.path().join("man1");
    let made = end(timberline().arg("man").arg(&pages), b"");
    assert_eq!(made.code, Some(0), "{made:?}");
    let page = std::fs::read_to_string(pages.join("timberline-query.1")).unwrap();
    assert!(page.contains(".TH timberline-query 1") && page.contains("Exit codes"), "{page}");
    assert!(pages.join("timberline.1").exists());
}

#[test]
fn a_pipe_that_is_closed_ends_completions_quietly() {
    let mut child =
        timberline().args(["completions", "bash"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
