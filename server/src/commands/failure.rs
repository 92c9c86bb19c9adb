//! How a command ends when it does not end well.

use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

use crate::cli::complain;

/// Why a command did not do what was asked. Each kind has an exit code of its own.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command cannot be meant: a flag, a time or a query is wrong. Exit code 2.
    Usage(String),
    /// It could not be done: the server, the network or the disk refused. Exit code 1.
    Failed(String),
    /// It was done, but for a part that was refused or is damaged. Exit code 3.
    Partly(String),
    /// Nobody reads what is printed any more, as behind `| head`. Exit code 0, without a word.
    ReaderGone,
}

impl Failure {
    /// The command cannot be meant.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// It could not be done.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// What could not be done with a file.
    pub(crate) fn file(action: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::Failed(format!("cannot {action} {}: {error}", path.display()))
    }

    /// What writing to standard output came to.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }

    /// Says what is wrong, and gives the exit code.
    pub(crate) fn end(&self) -> ExitCode {
        match self {
            Self::ReaderGone => ExitCode::SUCCESS,
            Self::Failed(message) => told(message, 1),
            Self::Usage(message) => told(message, 2),
            Self::Partly(message) => told(message, 3),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) | Self::Partly(text) => f.write_str(text),
            Self::ReaderGone => f.write_str("nobody reads the output"),
        }
    }
}

fn told(message: &str, code: u8) -> ExitCode {
    complain(message);
    ExitCode::from(code)
}
