//! Where output goes: a pipe gets plain text, a terminal colours and a pager.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};
use std::process::{Child, Command, Stdio};

use clap::{Args, ValueEnum};

use super::Failure;
use super::times::Zone;

/// Columns of a terminal that does not say how many it has.
const COLUMNS_DEFAULT: usize = 80;

/// Lines of a terminal that does not say how many it has.
const ROWS_DEFAULT: usize = 24;

/// How output looks, for every command that prints logs or numbers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "How it looks")]
pub(super) struct Look {
    /// When to use colours; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: When,
    /// Prints straight to the terminal
    #[arg(long)]
    pub(super) no_pager: bool,
    /// In which zone times are shown, and read where they name none: Local, UTC or a name such as
    /// Europe/Vienna
    #[arg(short = 'z', long, value_name = "ZONE", default_value = "Local")]
    pub(super) timezone: Zone,
    /// Prints nothing but the result: no common labels, no warnings
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// When to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// Where it makes sense.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Look {
    /// Whether output is coloured.
    pub(super) fn is_coloured(&self) -> bool {
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                is_terminal()
                    && !is_set("NO_COLOR")
                    && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }

    /// Where the result goes.
    pub(super) fn open(&self) -> Out {
        if is_terminal()
            && !self.no_pager
            && let Some(pager) = Pager::start()
        {
            return Out { sink: Sink::Pager(pager), ink: Ink(self.is_coloured()) };
        }
        self.open_plain()
    }

    /// The same without a pager.
    pub(super) fn open_plain(&self) -> Out {
        let stdout = io::BufWriter::with_capacity(64 << 10, io::stdout());
        Out { sink: Sink::Plain(stdout), ink: Ink(self.is_coloured()) }
    }

    /// Says something beside the result, unless nothing is to be said. In a pager it stands above what
    /// follows.
    pub(super) fn note(&self, text: &str, out: &mut Out) -> Result<(), Failure> {
        match &out.sink {
            _ if self.quiet => Ok(()),
            Sink::Pager(_) => out.line(text),
            Sink::Plain(_) => {
                out.flush()?;
                note(text);
                Ok(())
            }
        }
    }
}

/// One line on standard error.
pub(super) fn note(text: &str) {
    // Where nobody listens there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A text without what would make a terminal do something: control characters are shown as their
/// pictures, but for line breaks and tabs.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_harmful) {
        return text.into();
    }
    let shown = |c: char| match u32::from(c) {
        _ if !is_harmful(c) => c,
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(shown).collect()
}

/// Columns and lines of the terminal.
pub(super) fn terminal_size() -> (usize, usize) {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        return (usize::from(size.ws_col), usize::from(size.ws_row));
    }
    let of = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    (of("COLUMNS").unwrap_or(COLUMNS_DEFAULT), of("LINES").unwrap_or(ROWS_DEFAULT))
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink(pub(super) bool);

impl Ink {
    /// A text in a colour, given as the number of an ANSI escape.
    pub(super) fn paint(self, code: u8, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A time.
    pub(super) fn time(self, text: &str) -> String {
        self.paint(34, text)
    }

    /// Labels.
    pub(super) fn labels(self, text: &str) -> String {
        self.paint(31, text)
    }
}

/// Where the result goes.
#[derive(Debug)]
pub(super) struct Out {
    sink: Sink,
    pub(super) ink: Ink,
}

#[derive(Debug)]
enum Sink {
    Plain(io::BufWriter<io::Stdout>),
    Pager(Pager),
}

impl Out {
    /// Prints a text as it is.
    pub(super) fn write(&mut self, text: &str) -> Result<(), Failure> {
        let written = match &mut self.sink {
            Sink::Plain(out) => out.write_all(text.as_bytes()),
            Sink::Pager(pager) => pager.write(text.as_bytes()),
        };
        written.map_err(|error| Failure::output(&error))
    }

    /// Prints a line.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text)?;
        self.write("\n")
    }

    /// Lets everything printed so far be seen.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.sink {
            Sink::Plain(out) => out.flush().map_err(|error| Failure::output(&error)),
            Sink::Pager(_) => Ok(()),
        }
    }

    /// Ends the output, and waits until the pager was left.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        self.flush()
    }
}

/// A program that shows output page by page.
#[derive(Debug)]
struct Pager(Child);

impl Pager {
    /// `$PAGER`, or `less`; `None` where there is none.
    fn start() -> Option<Self> {
        let given = std::env::var("PAGER").ok();
        let program = given.as_deref().unwrap_or("less").trim();
        if matches!(program, "" | "cat") {
            return None;
        }
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!(
                "command -v {} >/dev/null || exec cat; exec {program}",
                program.split(' ').next()?
            ),
        ]);
        if std::env::var_os("LESS").is_none() {
            // Colours as they are; what fits on the screen stays there and is not waited for.
            command.env("LESS", "FRX");
        }
        command.stdin(Stdio::piped()).spawn().ok().map(Self)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0.stdin {
            Some(input) => input.write_all(bytes),
            None => Ok(()),
        }
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // How the pager ends says nothing about the result.
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cannot_command_a_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\n\tc\u{9b}"), "a␛[2Jb␍\n\tc\u{fffd}");
        assert!(matches!(harmless("plain ü\n"), Cow::Borrowed(_)));
    }
}
