//! `timberline config --print`: the configuration as YAML with a comment on every key.

use std::fmt::Write as _;

use serde_json::Value;

use super::Config;
use super::keys::{is_section, keys};

/// The configuration as YAML with a comment on every key. Loading it gives the same configuration.
///
/// # Errors
/// A value that has no JSON form; a path that is not UTF-8.
pub fn to_yaml(config: &Config) -> Result<String, serde_json::Error> {
    Ok(print(&serde_json::to_value(config)?, None))
}

/// The same of what is not as it is by default.
///
/// # Errors
/// As [`to_yaml`].
pub fn changes_to_yaml(config: &Config) -> Result<String, serde_json::Error> {
    let defaults = serde_json::to_value(Config::default())?;
    Ok(print(&serde_json::to_value(config)?, Some(&defaults)))
}

/// What is in `tree`, but for what is the same in `known`.
fn print(tree: &Value, known: Option<&Value>) -> String {
    let mut text = String::from(
        "# The configuration of timberline. Every key may also be set in the environment: the key\n\
         # server.listen is TIMBERLINE_SERVER_LISTEN. Flags win over the environment, the environment\n\
         # wins over the file. Durations: 500ms, 10m, 1h30m, 7d. Sizes: 64MiB, 256KB (1024 bytes), 1500.\n\n",
    );
    for key in keys() {
        let depth = key.path.matches('.').count();
        let indent = "  ".repeat(depth);
        let name = key.path.rsplit('.').next().unwrap_or(&key.path);
        let pointer = format!("/{}", key.path.replace('.', "/"));
        let Some(value) = tree.pointer(&pointer) else { continue };
        if known.is_some_and(|known| known.pointer(&pointer) == Some(value)) {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match value {
            Value::Object(_) if is_section(&key.path) => {
                write!(text, "\n{indent}# {}\n{indent}{name}:\n", key.doc)
            }
            value => write!(text, "{indent}# {}\n{indent}{name}: {value}\n", key.doc),
        };
    }
    text
}
