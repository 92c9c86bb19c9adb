//! The lines of a file or of standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::is_packed;
use crate::commands::Failure;

/// How long lines of standard input may wait for others to be pushed with them.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Lines of standard input that are read ahead.
const AHEAD: usize = 1000;

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A line without its end, and where the next begins, in bytes from the beginning.
    Line(Vec<u8>, u64),
    /// Nothing yet; what was read may go.
    Idle,
    /// There is no more.
    End,
}

/// Lines, one after the other.
pub(super) enum Lines {
    /// Of a file.
    File { reader: Box<dyn BufRead>, offset: u64 },
    /// Of standard input, which a thread waits for.
    Input { lines: Receiver<io::Result<Vec<u8>>>, offset: u64 },
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines")
    }
}

impl Lines {
    /// The lines of a file from a byte on. `.gz` and `.zst` are unpacked; the byte is then one of the text.
    pub(super) fn of_file(path: &Path, offset: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut reader: Box<dyn BufRead> = if !is_packed(path) {
            file.seek(SeekFrom::Start(offset))?;
            Box::new(BufReader::with_capacity(256 << 10, file))
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file)))
        } else {
            Box::new(BufReader::new(zstd::Decoder::new(file)?))
        };
        if is_packed(path) {
            io::copy(&mut reader.by_ref().take(offset), &mut io::sink())?;
        }
        Ok(Self::File { reader, offset })
    }

    /// The lines of standard input.
    pub(super) fn of_input() -> Self {
        let (sender, lines) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            loop {
                let mut line = Vec::new();
                let read = input.read_until(b'\n', &mut line);
                let is_end = matches!(read, Ok(0) | Err(_));
                if !matches!(read, Ok(0)) && sender.send(read.map(|_| line)).is_err() || is_end {
                    return;
                }
            }
        });
        Self::Input { lines, offset: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Next, Failure> {
        let failed = |error: io::Error| Failure::failed(format!("cannot read on: {error}"));
        let (mut line, offset) = match self {
            Self::File { reader, offset } => {
                let mut line = Vec::new();
                if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                    return Ok(Next::End);
                }
                (line, offset)
            }
            Self::Input { lines, offset } => match lines.recv_timeout(WAIT_MAX) {
                Ok(line) => (line.map_err(failed)?, offset),
                Err(RecvTimeoutError::Timeout) => return Ok(Next::Idle),
                Err(RecvTimeoutError::Disconnected) => return Ok(Next::End),
            },
        };
        *offset += line.len() as u64;
        if line.pop_if(|byte| *byte == b'\n').is_some() {
            line.pop_if(|byte| *byte == b'\r');
        }
        Ok(Next::Line(line, *offset))
    }
}
