//! What is in `examples/` can be used as it is.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use std::path::{Path, PathBuf};

use common::TestServer;
use serde_json::{Value, json};
use timberline::config::Layers;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn configurations_are_accepted() {
    let file = Some(examples().join("timberline-all-protocols.yaml"));
    let config = Layers { file, ..Layers::default() }.load().unwrap();
    assert!(config.ingest.elasticsearch.enabled && config.ingest.jsonline.enabled);
    assert_eq!((config.ingest.syslog.len(), config.ingest.fluent_forward.len()), (2, 1));
}

/// Every text under a key `query`, or under `value` beside the name `query`.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if fields.get("name").is_some_and(|name| name == "query") {
                found.extend(fields.get("value").and_then(Value::as_str).map(str::to_owned));
            }
            fields.values().for_each(|value| queries(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn the_zabbix_templates_queries_are_logql() {
    let text = std::fs::read_to_string(examples().join("zabbix/timberline-logs.yaml")).unwrap();
    let template: Value = serde_saphyr::from_str(&text).unwrap();
    let mut found = Vec::new();
    queries(&template, &mut found);
    assert_eq!(found.len(), 2);
    for query in found {
        let query = query.replace("{#QUOTED}", "\"shop\"");
        let parsed = timberline_query::syntax::parse(&query);
        assert!(parsed.is_ok(), "{query}: {}", parsed.unwrap_err());
    }
}

/// What a JSONPath of names and places gives: `$.data.result[0].value[1]`.
fn at_path(answer: &Value, path: &str) -> Option<Value> {
    let pointer = path.strip_prefix('$').unwrap().replace(['.', '['], "/").replace(']', "");
    answer.pointer(&pointer).cloned()
}

/// What Zabbix asks, and reads out of the answers.
#[test]
fn the_zabbix_template_reads_answers() {
    let server = TestServer::start(common::accept_any_time);
    let text = std::fs::read_to_string(examples().join("zabbix/timberline-logs.yaml")).unwrap();
    let template: Value = serde_saphyr::from_str(&text).unwrap();
    let template = &template["zabbix_export"]["templates"][0];
    let number = |item: &Value, service: &str| {
        let query = item["query_fields"][0]["value"].as_str().unwrap();
        let query = query.replace("{#QUOTED}", &json!(service).to_string());
        let answer = server.get("/loki/api/v1/query", &[("query", &query)]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let step = &item["preprocessing"][0];
        assert_eq!(step["type"], "JSONPATH");
        let found = at_path(&answer.json(), step["parameters"][0].as_str().unwrap());
        // Nothing there: what the template says instead.
        found.unwrap_or_else(|| step["error_handler_params"].clone())
    };
    let rate = &template["items"][0];
    assert_eq!(number(rate, ""), "0");
    let services = &template["discovery_rules"][0];
    let errors = &services["item_prototypes"][0];
    assert_eq!(number(errors, "shop"), "0");

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let quoted = r#"the "new" \ shop"#;
    for (service, count) in [("shop", 3), (quoted, 2)] {
        let values: Vec<Value> = (1..=count)
            .map(|back| {
                json!([(now.as_nanos() - back * 1_000_000_000).to_string(), "level=error x"])
            })
            .collect();
        let body = json!({"streams": [{"stream": {"service_name": service}, "values": values}]});
        assert_eq!(server.push(&body.to_string()).status, 204);
    }
    let rate = number(rate, "");
    assert!(rate.as_str().unwrap().parse::<f64>().unwrap() > 0.0, "{rate}");

    let path = services["url"].as_str().unwrap().strip_prefix("{$TIMBERLINE.URL}").unwrap();
    let names = server.get(path, &[]).json();
    assert_eq!(names["data"], json!(["shop", quoted]));
    // What the template's script makes of each name.
    let script = services["preprocessing"][0]["parameters"][0].as_str().unwrap();
    assert!(script.contains(r#"name: name, quoted: JSON.stringify(name)"#), "{script}");
    let macros = services["lld_macro_paths"].as_array().unwrap();
    let path =
        |name: &str| macros.iter().find(|it| it["lld_macro"] == name).unwrap()["path"].clone();
    assert_eq!((path("{#SERVICE}"), path("{#QUOTED}")), (json!("$.name"), json!("$.quoted")));
    assert_eq!([number(errors, "shop"), number(errors, quoted)], ["3", "2"]);
}

/// The command line of the example, with the monitor's macros filled in.
#[cfg(unix)]
#[test]
fn the_nagios_command_runs() {
    let server = TestServer::start(|_| {});
    let text = std::fs::read_to_string(examples().join("nagios/timberline.cfg")).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}")).trim().to_owned()
    };
    let check = value("check_command ");
    let arguments: Vec<&str> = check.split('!').collect();
    let mut line =
        value("command_line ").replace("$HOSTADDRESS$:3100", &server.address().to_string());
    for (index, argument) in arguments.iter().enumerate().skip(1) {
        line = line.replace(&format!("$ARG{index}$"), argument);
    }
    let program = env!("CARGO_BIN_EXE_timberline");
    let line = line.replace("/usr/local/bin/timberline", program);
    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), said.as_str()),
        (Some(0), "LOGQL OK - the query gives no series\n")
    );
}

/// What Telegraf's output sends with the example's configuration: JSON in gzip, in chunks, with fields as
/// `key="value" ` and the metric's name in a label of its own.
#[test]
fn telegrafs_pushes_are_taken() {
    use std::io::Write as _;
    let text = std::fs::read_to_string(examples().join("telegraf/telegraf.conf")).unwrap();
    for setting in ["endpoint = \"/loki/api/v1/push\"", "gzip_request = true", "[[outputs.loki]]"] {
        assert!(text.contains(setting), "{setting}");
    }
    let server = TestServer::start(|_| {});
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let body = json!({"streams": [{
        "stream": {"__name": "tail", "host": "box", "path": "/var/log/auth.log"},
        "values": [[now.as_nanos().to_string(), "value=\"sshd: error: kex\" "]],
    }]});
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(body.to_string().as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nUser-Agent: Telegraf/1.34.0 Go/1.24.1\r\n\
        Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(format!("{:x}\r\n", packed.len()).as_bytes()).unwrap();
    stream.write_all(&packed).unwrap();
    stream.write_all(b"\r\n0\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let query = r#"{__name="tail", host="box"} | logfmt | value=~"sshd.*""#;
    assert_eq!(server.recent_lines(query, 1), [r#"value="sshd: error: kex" "#]);
}

/// What the outputs of Fluent Bit and Fluentd send that speak HTTP: Loki's push with and without metadata and
/// gzip, and lines of JSON to the address of the example.
#[test]
fn fluent_bits_and_fluentds_pushes_are_taken() {
    use std::io::Write as _;
    let text = std::fs::read_to_string(examples().join("fluent-bit/fluent-bit.yaml")).unwrap();
    let uri = text.lines().find_map(|line| line.trim().strip_prefix("#   uri: ")).unwrap();
    let server = TestServer::start(|config| config.ingest.jsonline.enabled = true);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let nanos = now.as_nanos().to_string();
    let gzip = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let post = |target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = server.request("POST", target, headers, body);
        assert_eq!((answer.status, answer.text().as_str()), (204, ""), "{target} {headers:?}");
    };
    let push = "/loki/api/v1/push";
    let line = r#"{"log":"paid"}"#;
    let streams = |stream: Value, more: Option<Value>| {
        let value: Vec<Value> = [json!(nanos), json!(line)].into_iter().chain(more).collect();
        json!({"streams": [{"stream": stream, "values": [value]}]}).to_string()
    };
    // Fluent Bit's loki output, without and with structured metadata.
    let headers = [("User-Agent", "Fluent-Bit"), ("Content-Type", "application/json")];
    post(push, &headers, streams(json!({"job": "fluent-bit"}), None).as_bytes());
    let metadata = json!({"pod": "shop-1"});
    post(push, &headers, streams(json!({"job": "meta"}), Some(metadata)).as_bytes());
    // Fluentd's, of which a User-Agent is Ruby's.
    let headers = [
        ("User-Agent", "Ruby"),
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
    ];
    post(push, &headers, &gzip(&streams(json!({"job": "fluentd"}), None)));
    // Fluent Bit's http output.
    let record =
        json!({"date": jiff::Timestamp::now().to_string(), "log": "paid", "tag": "varlog"});
    let headers = [
        ("User-Agent", "Fluent-Bit"),
        ("Content-Type", "application/x-ndjson"),
        ("Content-Encoding", "gzip"),
    ];
    post(uri, &headers, &gzip(&format!("{record}\n")));
    for (query, expected) in [
        (r#"{job="fluent-bit"} | json | log="paid""#, line),
        (r#"{job="meta"} | pod="shop-1""#, line),
        (r#"{job="fluentd"}"#, line),
        (r#"{tag="varlog"}"#, "paid"),
    ] {
        assert_eq!(server.recent_lines(query, 1), [expected], "{query}");
    }
}

/// The documents of a file.
fn documents(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(examples().join(name)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn kubernetes_agents_run_on_every_node_and_label_what_they_send() {
    for (agent, config) in [("promtail", "promtail.yaml"), ("fluent-bit", "fluent-bit.yaml")] {
        let all = documents(&format!("kubernetes/{agent}.yaml"));
        let of = |kind: &str| all.iter().find(|it| it["kind"] == kind).unwrap();
        for document in &all {
            let namespace = document["metadata"].get("namespace").unwrap_or(&json!("logs")).clone();
            assert_eq!((&document["metadata"]["name"], namespace), (&json!(agent), json!("logs")));
        }
        let pod = &of("DaemonSet")["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], agent);
        let effects: Vec<_> =
            pod["tolerations"].as_array().unwrap().iter().map(|it| it["effect"].clone()).collect();
        assert_eq!(effects, ["NoSchedule", "NoExecute"]);
        let volumes = |list: &Value| {
            let names = list.as_array().unwrap().iter().map(|it| it["name"].to_string());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(volumes(&pod["volumes"]), volumes(&pod["containers"][0]["volumeMounts"]));
        let text = of("ConfigMap")["data"][config].as_str().unwrap();
        let config: Value = serde_saphyr::from_str(text).unwrap();
        let config = config.to_string();
        for label in ["node", "namespace", "pod", "container", "app", "job"] {
            let label = match agent {
                "promtail" => format!("\"target_label\":\"{label}\""),
                _ => format!("{label}="),
            };
            assert!(config.contains(&label), "{agent}: {label}");
        }
        assert!(config.contains("timberline.logs.svc"), "{agent}");
    }
}

#[test]
fn grafanas_and_prometheus_files_can_be_read() {
    for name in [
        "grafana/provisioning/datasources/timberline.yaml",
        "grafana/provisioning/dashboards/timberline.yaml",
    ] {
        assert_eq!(documents(name)[0]["apiVersion"], 1, "{name}");
    }
    let text =
        std::fs::read_to_string(examples().join("grafana/timberline-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| !panels.is_empty()));

    let alerts = documents("prometheus/timberline-alerts.yml");
    let rules = alerts[0]["groups"][0]["rules"].as_array().unwrap();
    let server = TestServer::start(|_| {});
    server.get("/loki/api/v1/labels", &[]);
    // Those with labels are there only when something was counted.
    let metrics = server.get("/metrics", &[]).text() + include_str!("../src/metrics.rs");
    for rule in rules {
        assert!(rule["alert"].is_string() && rule["annotations"]["summary"].is_string(), "{rule}");
        let expr = rule["expr"].as_str().unwrap();
        let names = expr.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let mut names =
            names.filter(|name| name.starts_with("timberline_") || name.starts_with("loki_"));
        assert!(names.all(|name| metrics.contains(name)), "{expr}: no such metric");
    }
    let mut promtool = std::process::Command::new("promtool");
    let file = examples().join("prometheus/timberline-alerts.yml");
    match promtool.args(["check", "rules"]).arg(file).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr))
        }
        Err(_) => println!("promtool is not installed"),
    }
}

/// Runs what the directory brings to check itself: rules, their unit tests, and a server under each configuration.
#[cfg(unix)]
#[test]
fn stands_pass_their_own_check() {
    for program in ["bash", "curl", "sed", "grep"] {
        if std::process::Command::new(program).arg("--version").output().is_err() {
            println!("{program} is not installed");
            return;
        }
    }
    let mut command = std::process::Command::new("bash");
    command.arg(examples().join("stands/check.sh")).arg(env!("CARGO_BIN_EXE_timberline"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("TIMBERLINE_") || name.starts_with("LOKI_") {
            command.env_remove(name);
        }
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn yaml_files_are_yaml() {
    for name in [
        "filebeat/filebeat.yml",
        "fluent-bit/fluent-bit.yaml",
        "vector/vector.yaml",
        "promtail/promtail.yaml",
    ] {
        let text = std::fs::read_to_string(examples().join(name)).unwrap();
        let parsed: Result<Value, _> = serde_saphyr::from_str(&text);
        assert!(parsed.is_ok(), "{name}");
    }
}

/// Every text under a key `expr`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn stands_have_limits_rules_and_a_dashboard_that_can_be_read() {
    const STANDS: [&str; 4] = ["develop", "test", "staging", "production"];
    let folder = examples().join("stands");
    let file = Some(folder.join("timberline.yaml"));
    let config = Layers { file, ..Layers::default() }.load().unwrap();
    let limits = timberline::config::TenantLimits::new(config.limits_config, config.overrides);
    let days = STANDS.map(|stand| {
        let tenant = timberline_store::TenantId::new(stand).unwrap();
        limits.of(&tenant).retention.retention_period.as_secs() / 86_400
    });
    assert_eq!(days, [3, 7, 14, 90]);
    let mut found = Vec::new();
    for stand in STANDS {
        let text =
            std::fs::read_to_string(folder.join(format!("rules/{stand}/alerts.yaml"))).unwrap();
        let rules: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(rules["groups"][0]["name"], stand);
        expressions(&rules, &mut found);
    }
    let dashboard = std::fs::read_to_string(folder.join("grafana/dashboards/stands.json")).unwrap();
    expressions(&serde_json::from_str(&dashboard).unwrap(), &mut found);
    assert_eq!(found.len(), 4 * 2 + 1 + 4);
    for query in found {
        // What Grafana puts in before it asks.
        let asked = [("$__auto", "1m"), ("$__range", "1h"), ("$app", ".+")];
        let query = asked.iter().fold(query, |query, (name, value)| query.replace(name, value));
        let parsed = timberline_query::syntax::parse(&query);
        assert!(parsed.is_ok(), "{query}: {}", parsed.unwrap_err());
    }
    for name in [
        "promtail.yaml",
        "grafana/provisioning/alerting/stands.yaml",
        "grafana/provisioning/datasources/stands.yaml",
        "grafana/provisioning/dashboards/stands.yaml",
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(serde_saphyr::from_str::<Value>(&text).is_ok(), "{name}");
    }
}
