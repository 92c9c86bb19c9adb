//! A program that keeps its own log: a `tracing` layer that puts events into an embedded store.
//!
//! ```text
//! cargo run -p timberline-store --example tracing_layer
//! ```

use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use timberline_store::{
    Durability, Labels, LinePredicate, Matcher, Store, StoreError, TenantId, TimeRange, WriteBatch,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, error, info, warn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Events that may wait for the writer; whoever logs more than it can take waits.
const QUEUE_MAX: usize = 10_000;

/// Events that are appended together at most.
const BATCH_MAX: usize = 1_000;

/// An event on its way to the store.
struct Record {
    timestamp: i64,
    level: Level,
    target: String,
    line: String,
}

/// Sends every event to the thread that appends.
struct StoreLayer {
    queue: SyncSender<Record>,
}

/// Ends the thread that appends, and waits for it, when it is dropped behind the layer.
struct Writer {
    thread: Option<JoinHandle<()>>,
}

impl StoreLayer {
    /// A layer over the store. The writer is to be dropped after the last event.
    fn new(store: Store, program: &str) -> (Self, Writer) {
        let (queue, records) = sync_channel(QUEUE_MAX);
        let program = program.to_owned();
        let thread = std::thread::spawn(move || {
            if let Err(error) = append_all(&store, &program, &records) {
                eprintln!("the log could not be written: {error}");
            }
        });
        (Self { queue }, Writer { thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for StoreLayer {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        // The store logs too; what it says about an append must not become another append.
        if metadata.target().starts_with("timberline_store") {
            return;
        }
        let mut line = Line(String::new());
        for span in context.event_scope(event).into_iter().flatten() {
            // Writing to a String cannot fail.
            let _ = write!(line.0, "{}: ", span.name());
        }
        event.record(&mut line);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            timestamp: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            line: line.0,
        };
        // Nobody receives any more when the store has failed, which was said then.
        let _ = self.queue.send(record);
    }
}

/// Fields as logfmt, the message first.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let blank = if self.0.is_empty() || self.0.ends_with(' ') { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{blank}{value:?}"),
            name => write!(self.0, "{blank}{name}={value:?}"),
        };
    }
}

/// Appends what comes until the layer is gone. Errors are waited for; the rest is durable with the next
/// error, or when the store is closed.
fn append_all(
    store: &Store,
    program: &str,
    records: &Receiver<Record>,
) -> Result<(), Box<dyn Error>> {
    let tenant = TenantId::default();
    let mut batch = WriteBatch::new();
    while let Ok(first) = records.recv() {
        let mut durability = Durability::None;
        batch.clear();
        for record in std::iter::once(first).chain(records.try_iter().take(BATCH_MAX - 1)) {
            let level = record.level.as_str().to_ascii_lowercase();
            batch.stream(&Labels::from_pairs([("program", program), ("level", &level)])?);
            batch.push(record.timestamp, record.line.as_bytes(), &[("target", &record.target)])?;
            if record.level == Level::ERROR {
                durability = Durability::Sync;
            }
        }
        store.append_with(&tenant, &batch, durability)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("timberline-tracing-{}", std::process::id()));
    let store = Store::open(&directory)?;
    let (layer, writer) = StoreLayer::new(store.clone(), "example");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    drop(writer);
    show(&store)?;
    store.close()?;
    Ok(std::fs::remove_dir_all(&directory)?)
}

/// What the program is for.
fn work() {
    for order in 1..=3_u32 {
        let _span = tracing::info_span!("order").entered();
        info!(order, "accepted");
        match order {
            2 => warn!(order, stock = 0, "out of stock"),
            3 => error!(order, "card refused"),
            _ => info!(order, total = "9.50", "paid"),
        }
    }
}

fn show(store: &Store) -> Result<(), StoreError> {
    let tenant = TenantId::default();
    let everything = store.entries(&tenant, &[], TimeRange::ALL)?;
    for entry in everything {
        let entry = entry?;
        println!("{} {}", entry.labels.get("level").unwrap_or_default(), entry.text());
    }
    let errors = [Matcher::equal("level", "error")];
    let refused = store.entries(&tenant, &errors, TimeRange::ALL)?;
    let refused = refused.matching(LinePredicate::contains(b"refused")).count();
    println!("cards refused: {refused}");
    Ok(())
}
