use std::ffi::OsString;
use std::io::Write as _;

use super::keys::{is_section, keys};
use super::layers::{parse_yaml, variable_of_path};
use super::*;

fn from_yaml(text: &str) -> Result<Config, String> {
    let tree = parse_yaml(text)?;
    Config::deserialize(tree).map_err(|error| error.to_string())
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn leaves(path: &str, value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) if path.is_empty() || is_section(path) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, value, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn printed_configurations_load_back() {
    let mut config = Config::default();
    assert_eq!(from_yaml(&to_yaml(&config).unwrap()), Ok(config.clone()));
    config.data_dir = "/var/lib/a \"quoted\" dir: # x".into();
    config.auth_enabled = true;
    config.server.log_format = LogFormat::Json;
    config.store.head_bytes_max = 12_345;
    config.store.durability = DurabilityMode::Interval;
    config.limits_config.query.query_timeout = Duration::from_millis(61_001);
    let overrides = "overrides: {a: {max_line_size: 1KB}, \"17\": {}}";
    config.overrides = from_yaml(overrides).unwrap().overrides;
    assert_eq!(from_yaml(&to_yaml(&config).unwrap()), Ok(config.clone()));
    // What is not as it is by default is enough to load.
    let changes = changes_to_yaml(&config).unwrap();
    assert_eq!(from_yaml(&changes), Ok(config));
    assert!(changes.contains("log_format: \"json\""), "{changes}");
    assert!(!changes.contains("max_entries_limit_per_query:"), "{changes}");
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let tree = serde_json::to_value(Config::default()).unwrap();
    let mut found = Vec::new();
    leaves("", &tree, &mut found);
    for path in &found {
        assert!(keys().any(|key| key.path == *path), "{path} has no comment");
    }
    for key in keys() {
        let pointer = format!("/{}", key.path.replace('.', "/"));
        assert!(tree.pointer(&pointer).is_some(), "{} is no key", key.path);
        assert!(!key.doc.contains('\n'));
    }
}

#[test]
fn variables_are_unambiguous() {
    let mut names: Vec<_> = keys().map(|key| variable_of_path(&key.path)).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), keys().count());
}

#[test]
fn unknown_keys_are_refused_with_line_and_column() {
    for (text, line, name) in [
        ("server:\n  listn: x\n", "line 2", "listn"),
        ("auth_enabled: true\nservr: {}\n", "line 2", "servr"),
        (
            "limits_config:\n  query_timeout: 1m\n  max_query_serie: 5\n",
            "line 3",
            "max_query_serie",
        ),
    ] {
        let error = from_yaml(text).unwrap_err();
        assert!(error.contains(line) && error.contains("column"), "{error}");
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn wrong_values_are_refused() {
    for text in [
        "limits_config:\n  query_timeout: 5\n",
        "limits_config:\n  max_query_series: -1\n",
        "limits_config:\n  ingestion_rate_mb: -1\n",
        "limits_config:\n  ingestion_burst_size_mb: .inf\n",
        "server:\n  cors_allowed_origins: [example.org]\n",
        "server:\n  cors_allowed_origins: ['https://example.org/']\n",
        "store:\n  durability: sometimes\n",
        "store:\n  head_bytes_max: much\n",
        "auth_enabled: 3\n",
    ] {
        assert!(from_yaml(text).is_err(), "{text}");
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(from_yaml(""), Ok(Config::default()));
    assert_eq!(from_yaml("# nothing\n"), Ok(Config::default()));
    assert_eq!(from_yaml("limits_config: {}\n"), Ok(Config::default()));
}

#[test]
fn later_layers_win() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "server: {{listen: 'file:1', log_level: warn}}\nauth_enabled: true\n").unwrap();
    let config = Layers {
        file: Some(file.path().to_owned()),
        environment: variables(&[
            ("PATH", "/bin"),
            ("TIMBERLINE_SERVER_LISTEN", "env:2"),
            ("TIMBERLINE_DATA_DIR", "1"),
            ("TIMBERLINE_LIMITS_CONFIG_MAX_QUERY_SERIES", "7"),
            ("TIMBERLINE_STORE_HEAD_BYTES_MAX", "1MiB"),
        ]),
        listen: Some("flag:3".to_owned()),
        ..Layers::default()
    };
    let config = config.load().unwrap();
    assert_eq!(config.server.listen, "flag:3");
    assert_eq!(config.server.log_level, "warn");
    assert!(config.auth_enabled);
    assert_eq!(config.data_dir, PathBuf::from("1"));
    assert_eq!(config.limits_config.query.max_query_series, 7);
    assert_eq!(config.store.head_bytes_max, 1 << 20);
}

#[test]
fn unknown_and_wrong_variables_are_named() {
    let load = |name, value| {
        let layers = Layers { environment: variables(&[(name, value)]), ..Layers::default() };
        layers.load().map(drop).map_err(|error| error.to_string())
    };
    let error = load("TIMBERLINE_SERVER_LISTN", "x").unwrap_err();
    assert!(error.contains("unknown environment variable TIMBERLINE_SERVER_LISTN"), "{error}");
    assert!(load("TIMBERLINE_SERVER", "{}").is_err());
    let error = load("TIMBERLINE_AUTH_ENABLED", "maybe").unwrap_err();
    assert!(error.contains("TIMBERLINE_AUTH_ENABLED"), "{error}");
    assert!(load("TIMBERLINE_CONFIG", "some.yaml").is_ok());
}

#[test]
fn variables_of_kubernetes_services_are_passed_over() {
    for name in [
        "TIMBERLINE_SERVICE_HOST",
        "TIMBERLINE_SERVICE_PORT",
        "TIMBERLINE_SERVICE_PORT_HTTP_METRICS",
        "TIMBERLINE_PORT",
        "TIMBERLINE_PORT_3100_TCP",
        "TIMBERLINE_PORT_3100_TCP_ADDR",
        "TIMBERLINE_GATEWAY_PORT_80_TCP_PROTO",
    ] {
        let environment = variables(&[(name, "tcp://10.0.0.1:3100")]);
        let layers = Layers { environment, ..Layers::default() };
        assert_eq!(layers.load().unwrap(), Config::default(), "{name}");
        assert!(!keys().any(|key| variable_of_path(&key.path) == name));
    }
    for name in ["TIMBERLINE_PORT_X_TCP", "TIMBERLINE_PORTS", "TIMBERLINE_SERVICE"] {
        let layers = Layers { environment: variables(&[(name, "1")]), ..Layers::default() };
        assert!(layers.load().is_err(), "{name}");
    }
}
