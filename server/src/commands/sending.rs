//! Lines on their way to a server: gathered into pushes, sent again until they are acknowledged.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use prost::Message as _;
use timberline_store::Timestamp;

use super::Failure;
use super::client::{Answer, Client, Pauses};
use super::out::note;
use super::show::{bytes as size_text, thousands};
use crate::ingest::proto::logproto::{EntryAdapter, LabelPairAdapter, PushRequest, StreamAdapter};

/// Bytes of lines in one push: small enough for every server's limits, large enough to be quick.
const BATCH_BYTES: usize = 1 << 20;

/// Lines in one push.
const BATCH_LINES: usize = 5000;

/// How often progress is shown.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// How lines are pushed, for every command that does.
#[derive(Args, Debug)]
pub(super) struct Sending {
    /// How often a push is tried again that the server could not take
    #[arg(long, value_name = "N", default_value_t = 10)]
    push_retries: u32,
    /// Says nothing of what was pushed
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Lines that are pushed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    streams: Vec<StreamAdapter>,
    /// Where a stream is, by its labels.
    places: HashMap<String, usize>,
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

impl Batch {
    /// Adds a line to the stream with these labels, which are as LogQL writes them.
    pub(super) fn add<'m>(
        &mut self,
        labels: &str,
        timestamp: Timestamp,
        line: String,
        metadata: impl IntoIterator<Item = (&'m String, &'m String)>,
    ) {
        let place = match self.places.get(labels) {
            Some(place) => *place,
            None => {
                self.streams.push(StreamAdapter { labels: labels.to_owned(), entries: Vec::new() });
                self.places.insert(labels.to_owned(), self.streams.len() - 1);
                self.streams.len() - 1
            }
        };
        let pair = |(name, value): (&String, &String)| LabelPairAdapter {
            name: name.clone(),
            value: value.clone(),
        };
        let structured_metadata: Vec<_> = metadata.into_iter().map(pair).collect();
        let of_pair = |pair: &LabelPairAdapter| pair.name.len() + pair.value.len();
        self.bytes += line.len() + structured_metadata.iter().map(of_pair).sum::<usize>();
        self.lines += 1;
        let timestamp = Some(prost_types::Timestamp {
            seconds: timestamp.div_euclid(NANOS_PER_SECOND),
            // Below a billion.
            nanos: timestamp.rem_euclid(NANOS_PER_SECOND) as i32,
        });
        self.streams[place].entries.push(EntryAdapter { timestamp, line, structured_metadata });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Whether it should be pushed before more is added.
    pub(super) const fn is_full(&self) -> bool {
        self.lines >= BATCH_LINES || self.bytes >= BATCH_BYTES
    }

    /// The body of the push; the batch is empty then.
    pub(super) fn take_body(&mut self) -> Result<Bytes, Failure> {
        let request = PushRequest { streams: std::mem::take(&mut self.streams) };
        *self = Self::default();
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        Ok(body.map_err(Failure::failed)?.into())
    }
}

/// Pushes batches, and remembers what was refused of them.
#[derive(Debug)]
pub(super) struct Sender<'c> {
    client: &'c mut Client,
    retries: u32,
    /// The first refusal, and how many pushes were refused in part.
    refused: Option<(String, usize)>,
    pub(super) progress: Progress,
}

impl<'c> Sender<'c> {
    pub(super) fn new(client: &'c mut Client, sending: &Sending, title: &str) -> Self {
        let progress = Progress::new(title, sending.quiet);
        Self { client, retries: sending.push_retries, refused: None, progress }
    }

    /// Pushes a batch, which is empty then, and waits until it is acknowledged. Lines that the server
    /// refuses for good are counted.
    pub(super) fn send(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let (lines, bytes) = (batch.lines, batch.bytes);
        let answer = push(self.client, &batch.take_body()?, self.retries, &mut self.progress)?;
        if !answer.status.is_success() {
            let refused = self.refused.get_or_insert_with(|| (answer.text(), 0));
            refused.1 += 1;
        }
        self.progress.add(lines, bytes);
        Ok(())
    }

    /// The end: what was refused makes it a failure.
    pub(super) fn finish(mut self) -> Result<Progress, Failure> {
        self.progress.clear();
        match self.refused {
            None => Ok(self.progress),
            Some((text, pushes)) => Err(Failure::Partly(format!(
                "the server refused lines of {pushes} pushes and stored the others; the first refusal: {text}"
            ))),
        }
    }
}

/// One push, tried again while the server cannot take it. Gives 204, or 400 where lines were refused.
fn push(
    client: &mut Client,
    body: &Bytes,
    retries: u32,
    progress: &mut Progress,
) -> Result<Answer, Failure> {
    let mut pauses = Pauses::new(retries);
    loop {
        let answer = client.post("/loki/api/v1/push", "application/x-protobuf", body.clone());
        let (pause, failure) = match answer {
            Ok(answer) if answer.status.is_success() || answer.status == 400 => return Ok(answer),
            Ok(answer) if answer.is_passing() => (pauses.next(Some(&answer)), answer.refusal()),
            Ok(answer) => return Err(answer.refusal()),
            Err(failure) => (pauses.next(None), failure),
        };
        let Some(pause) = pause else {
            progress.clear();
            return Err(failure);
        };
        if let Failure::Failed(text) = &failure {
            progress.clear();
            note(&format!("{text}; trying again in {:.1} s", pause.as_secs_f64()));
        }
        std::thread::sleep(pause);
    }
}

/// How far it has come, on one line of the terminal.
#[derive(Debug)]
pub(super) struct Progress {
    title: String,
    /// Bytes that are to be done, where that is known.
    total: Option<u64>,
    /// Of `total`.
    pub(super) position: u64,
    /// `position` when this run began.
    begun_at: u64,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    begun: Instant,
    shown: Option<Instant>,
    is_visible: bool,
}

impl Progress {
    /// Shown where standard error is a terminal, unless it is to be quiet.
    pub(super) fn new(title: &str, is_quiet: bool) -> Self {
        Self {
            title: title.to_owned(),
            total: None,
            position: 0,
            begun_at: 0,
            lines: 0,
            bytes: 0,
            begun: Instant::now(),
            shown: None,
            is_visible: !is_quiet && io::stderr().is_terminal(),
        }
    }

    /// Something of a known size begins, or goes on at a position.
    pub(super) fn begin(&mut self, title: &str, total: Option<u64>, position: u64) {
        title.clone_into(&mut self.title);
        (self.total, self.position, self.begun_at) = (total, position, position);
        self.begun = Instant::now();
    }

    pub(super) fn add(&mut self, lines: usize, bytes: usize) {
        self.lines += lines as u64;
        self.bytes += bytes as u64;
        if self.is_visible && self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_PAUSE) {
            self.shown = Some(Instant::now());
            draw(&self.text(self.begun.elapsed().as_secs_f64()));
        }
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            draw("");
        }
    }

    /// `app.log   45%  12.3 MB/s  ETA 0:12`
    fn text(&self, seconds: f64) -> String {
        let done = self.position.saturating_sub(self.begun_at);
        let Some(total) = self.total else {
            return format!(
                "{}  {} lines  {}",
                self.title,
                thousands(self.lines),
                size_text(self.bytes)
            );
        };
        let rate = done as f64 / seconds.max(0.001);
        let left = total.saturating_sub(self.position) as f64 / rate.max(1.0);
        let share = (self.position * 100).checked_div(total).unwrap_or(100).min(100);
        let (minutes, rest) = (left as u64 / 60, left as u64 % 60);
        format!(
            "{}  {share:>3}%  {}/s  ETA {minutes}:{rest:02}",
            self.title,
            size_text(rate as u64)
        )
    }

    /// Whether anything was done.
    pub(super) const fn is_begun(&self) -> bool {
        self.lines > 0
    }

    /// What was done, in a few words.
    pub(super) fn summary(&self) -> String {
        format!("{} lines, {}", thousands(self.lines), size_text(self.bytes))
    }
}

fn draw(text: &str) {
    use std::io::Write as _;
    // A terminal that is gone has nobody to show it to.
    let _ = write!(io::stderr(), "\r\x1b[K{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_rate_and_rest() {
        let mut progress = Progress::new("x", true);
        progress.begin("app.log", Some(4_000_000), 1_000_000);
        progress.position = 2_000_000;
        assert_eq!(progress.text(0.5), "app.log   50%  2.00 MB/s  ETA 0:01");
        progress.begin("-", None, 0);
        progress.add(1234, 5000);
        assert_eq!(progress.text(1.0), "-  1,234 lines  5.00 kB");
    }

    #[test]
    fn batches_hold_streams_in_order() {
        let mut batch = Batch::default();
        batch.add("{a=\"1\"}", -1, "x".into(), []);
        batch.add("{a=\"2\"}", 5, "y".into(), []);
        batch.add("{a=\"1\"}", 7, "z".into(), [(&"k".to_owned(), &"v".to_owned())]);
        assert_eq!((batch.lines, batch.bytes), (3, 5));
        let bytes = snap::raw::Decoder::new().decompress_vec(&batch.take_body().unwrap()).unwrap();
        let streams = PushRequest::decode(&bytes[..]).unwrap().streams;
        assert_eq!(streams.len(), 2);
        let time = streams[0].entries[0].timestamp.unwrap();
        assert_eq!((time.seconds, time.nanos), (-1, 999_999_999));
        assert_eq!(streams[0].entries[1].structured_metadata[0].value, "v");
        assert!(batch.is_empty());
    }
}
