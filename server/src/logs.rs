//! The server's own log lines: to stderr, for people or as JSON, as many as the level lets through.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::reload;

use crate::config::{LogFormat, ServerConfig};

/// Why the log cannot be set up or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The level is not one.
    #[error("log level '{level}': {source}")]
    Level {
        /// What was said.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The word is no level.
    #[error("unrecognized log level {0:?}")]
    Unknown(String),
    /// The log is not this server's, but its embedder's.
    #[error("the log level is not the server's to change")]
    NotOurs,
    /// The log is gone.
    #[error(transparent)]
    Reload(#[from] reload::Error),
}

/// What a level may be changed to while the server runs.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The process has one log, and so one level.
static CONTROL: OnceLock<Control> = OnceLock::new();

type Reload = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

struct Control {
    level: Mutex<String>,
    reload: Box<Reload>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("level", &self.level).finish_non_exhaustive()
    }
}

/// Sends log lines to stderr from now on. Does nothing when some other log was set up before.
pub(crate) fn init(config: &ServerConfig) -> Result<(), LogError> {
    let filter = parse(&config.log_level)?;
    // Colours are for people who look at it now, not for files.
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours);
    let (reload, is_ours): (Box<Reload>, _) = match config.log_format {
        LogFormat::Human => {
            let lines = lines.with_target(false).with_filter_reloading();
            let handle = lines.reload_handle();
            (Box::new(move |filter| handle.reload(filter)), lines.try_init().is_ok())
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            (Box::new(move |filter| handle.reload(filter)), lines.try_init().is_ok())
        }
    };
    if is_ours {
        let level = Mutex::new(config.log_level.clone());
        // Only one log can be set up, so nobody was here before.
        let _ = CONTROL.set(Control { level, reload });
    }
    Ok(())
}

fn parse(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(level).map_err(|source| LogError::Level { level: level.to_owned(), source })
}

/// The level or directives in force; `None` where the log is not this server's.
pub(crate) fn level() -> Option<String> {
    CONTROL.get().map(|control| control.level.lock().clone())
}

/// Lets lines of this level and above through from now on, whatever was configured.
///
/// # Errors
/// [`LogError::Unknown`] for what is no level, [`LogError::NotOurs`] where there is nothing to change.
pub(crate) fn set_level(level: &str) -> Result<(), LogError> {
    if !LEVELS.contains(&level) {
        return Err(LogError::Unknown(level.to_owned()));
    }
    let control = CONTROL.get().ok_or(LogError::NotOurs)?;
    let mut current = control.level.lock();
    (control.reload)(parse(level)?)?;
    level.clone_into(&mut current);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words() {
        let refused = set_level("loud").unwrap_err();
        assert_eq!(refused.to_string(), "unrecognized log level \"loud\"");
        assert!(LEVELS.iter().all(|level| parse(level).is_ok()));
    }
}
