//! What is in `examples/` can be used as it is.

use std::path::{Path, PathBuf};

use serde_json::Value;
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
        let query = query.replace("{#SERVICE}", "shop");
        let parsed = timberline_query::syntax::parse(&query);
        assert!(parsed.is_ok(), "{query}: {}", parsed.unwrap_err());
    }
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
        "grafana/provisioning/datasources/stands.yaml",
        "grafana/provisioning/dashboards/stands.yaml",
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(serde_saphyr::from_str::<Value>(&text).is_ok(), "{name}");
    }
}
