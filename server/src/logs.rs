//! The server's own log lines: to stderr, for people or as JSON.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, ServerConfig};

/// Why the log cannot be set up.
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
}

/// Sends log lines to stderr from now on. Does nothing when some other log was set up before.
pub(crate) fn init(config: &ServerConfig) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&config.log_level)
        .map_err(|source| LogError::Level { level: config.log_level.clone(), source })?;
    // Colours are for people who look at it now, not for files.
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours);
    let _ = match config.log_format {
        LogFormat::Human => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
