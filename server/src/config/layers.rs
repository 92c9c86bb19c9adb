//! What was said: the layers, and how they become one [`Config`].

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::file::{self, FileError};
use super::keys::{is_section, keys};
use super::{Config, LogFormat};

/// The variable that names the file, as `--config` does. The one variable that is no key.
pub(crate) const FILE_VARIABLE: &str = "TIMBERLINE_CONFIG";

const PREFIX: &str = "TIMBERLINE_";

/// Why a configuration cannot be used. The caller's fault, always.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A variable begins with `TIMBERLINE_` but is no key, nor one of those that Kubernetes makes.
    #[error("unknown environment variable {0}: `timberline config --print` lists the keys")]
    UnknownVariable(String),
    /// A variable's value is not right for its key.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// The parts do not make a whole. Each was checked before, so this is not expected.
    #[error("configuration: {0}")]
    Whole(#[from] serde_json::Error),
}

/// The layers above the defaults, in the order in which they win.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// A YAML file.
    pub file: Option<PathBuf>,
    /// Variables of the environment. Those without the prefix `TIMBERLINE_` are passed over, and those
    /// that Kubernetes makes for a service of that name.
    pub environment: Vec<(OsString, OsString)>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--log-level`
    pub log_level: Option<String>,
}

impl Layers {
    /// Merges the layers over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] names the file's line and column, or the variable.
    pub fn load(self) -> Result<Config, ConfigError> {
        let mut tree = match &self.file {
            Some(path) => file::read(path, parse_yaml)?,
            None => Value::Object(Map::new()),
        };
        for (name, value) in &self.environment {
            apply_variable(&mut tree, name, value)?;
        }
        let mut config = Config::deserialize(tree)?;
        if let Some(data_dir) = self.data_dir {
            config.data_dir = data_dir;
        }
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if let Some(log_format) = self.log_format {
            config.server.log_format = log_format;
        }
        if let Some(log_level) = self.log_level {
            config.server.log_level = log_level;
        }
        Ok(config)
    }
}

/// The tree of a YAML text that holds a configuration; a text without content is an empty tree.
pub(super) fn parse_yaml(text: &str) -> Result<Value, String> {
    // Read as a configuration first: the tree has forgotten the lines that messages name.
    let typed: Result<Option<Config>, _> = serde_saphyr::from_str(text);
    typed.map_err(|error| error.to_string())?;
    let tree: Option<Value> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Ok(tree.unwrap_or_else(|| Value::Object(Map::new())))
}

fn apply_variable(tree: &mut Value, name: &OsString, value: &OsString) -> Result<(), ConfigError> {
    let name = name.to_string_lossy();
    if !name.starts_with(PREFIX) || name == FILE_VARIABLE {
        return Ok(());
    }
    let wrong = |reason: String| ConfigError::Variable { name: name.to_string(), reason };
    let Some(path) = path_of_variable(&name) else {
        let unknown = || ConfigError::UnknownVariable(name.to_string());
        return is_made_by_kubernetes(&name).then_some(()).ok_or_else(unknown);
    };
    let text = value.to_str().ok_or_else(|| wrong("not UTF-8".to_owned()))?;
    insert(tree, &path, scalar(&path, text).map_err(wrong)?);
    // Checked at once, so that the message can name the variable.
    Config::deserialize(&*tree).map(drop).map_err(|error| wrong(error.to_string()))
}

/// Whether Kubernetes may have made the variable. It gives every container such variables for every
/// service in the namespace, and a service is likely to be called `timberline`, or to begin so.
fn is_made_by_kubernetes(name: &str) -> bool {
    let is_port = |rest: &str| {
        let mut words = rest.split('_');
        let number = words.next().unwrap_or_default();
        let protocol = words.next().unwrap_or_default();
        number.parse::<u16>().is_ok() && matches!(protocol, "TCP" | "UDP" | "SCTP")
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| is_port(rest))
}

/// The variable of a key: its path in capitals, `_` for dots.
pub(super) fn variable_of_path(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_ascii_uppercase())
}

fn path_of_variable(name: &str) -> Option<String> {
    let path = keys().map(|key| key.path).find(|path| variable_of_path(path) == name)?;
    (!is_section(&path)).then(|| path.into_owned())
}

/// A variable's text as the kind of value that the key has by default. Texts stay as they are, so that
/// a directory may be called `1`; the rest is read as YAML.
fn scalar(path: &str, text: &str) -> Result<Value, String> {
    let defaults = serde_json::to_value(Config::default()).map_err(|error| error.to_string())?;
    let pointer = format!("/{}", path.replace('.', "/"));
    match defaults.pointer(&pointer) {
        Some(Value::String(_)) => Ok(Value::String(text.to_owned())),
        _ => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
    }
}

fn insert(tree: &mut Value, path: &str, value: Value) {
    let mut node = tree;
    for part in path.split('.') {
        // A section that was written as null in the file is an empty section.
        if !node.is_object() {
            *node = Value::Object(Map::new());
        }
        node = &mut node[part];
    }
    *node = value;
}
