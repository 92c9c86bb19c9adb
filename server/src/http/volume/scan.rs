//! Reading what a volume is made of: the lengths of lines and the structured metadata.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use timberline_query::QueryStats;
use timberline_store::{Batch, Chunk, Columns, LineColumn, LinePredicate, Metadata, ReadScratch};

use super::buckets::Buckets;
use crate::error::ApiError;
use crate::http::work::Ticket;

/// What a label of structured metadata takes on an entry: references to its name and to its value.
const METADATA_REFERENCE_BYTES: u64 = 8;

/// Bytes by bucket; empty buckets are not there.
type Bytes = BTreeMap<usize, u64>;

/// The bytes of each stream, in the order of `streams`, and what it took. Uses up to `threads` threads.
///
/// # Errors
/// Damage, cancellation and timeouts; [`ApiError::Internal`] when a thread dies.
pub(super) fn streams(
    streams: &[&[Chunk]],
    buckets: &Buckets,
    threads: usize,
    ticket: &Ticket,
) -> Result<(Vec<Bytes>, QueryStats), ApiError> {
    let next = AtomicUsize::new(0);
    let work = || work_off(streams, &next, buckets, ticket);
    let helpers = threads.min(streams.len()).saturating_sub(1);
    let parts = std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        let died = |_| Err(ApiError::Internal("a reading thread died".to_owned()));
        parts.extend(helpers.into_iter().map(|helper| helper.join().unwrap_or_else(died)));
        parts
    });
    let mut all = vec![Bytes::new(); streams.len()];
    let mut stats = QueryStats::default();
    for part in parts {
        let (found, part_stats) = part?;
        for (stream, bytes) in found {
            if let Some(place) = all.get_mut(stream) {
                *place = bytes;
            }
        }
        add(&mut stats, &part_stats);
    }
    Ok((all, stats))
}

fn add(stats: &mut QueryStats, part: &QueryStats) {
    stats.streams_matched += part.streams_matched;
    stats.chunks_read += part.chunks_read;
    stats.lines_processed += part.lines_processed;
    stats.lines_matched += part.lines_matched;
    stats.bytes_processed += part.bytes_processed;
    stats.compressed_bytes += part.compressed_bytes;
    stats.chunks_in_memory += part.chunks_in_memory;
    stats.lines_in_memory += part.lines_in_memory;
    stats.bytes_in_memory += part.bytes_in_memory;
    stats.chunks_matched += part.chunks_matched;
    stats.lines_matched_in_memory += part.lines_matched_in_memory;
    stats.batches_in_memory += part.batches_in_memory;
}

type Part = Result<(Vec<(usize, Bytes)>, QueryStats), ApiError>;

/// One thread's share: takes stream after stream until none is left.
fn work_off(streams: &[&[Chunk]], next: &AtomicUsize, buckets: &Buckets, ticket: &Ticket) -> Part {
    let mut scratch = ReadScratch::new();
    let mut stats = QueryStats::default();
    let mut found = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(chunks) = streams.get(index) else { return Ok((found, stats)) };
        let bytes = stream_bytes(chunks, buckets, &mut scratch, &mut stats, ticket)?;
        found.push((index, bytes));
    }
}

fn stream_bytes(
    chunks: &[Chunk],
    buckets: &Buckets,
    scratch: &mut ReadScratch,
    stats: &mut QueryStats,
    ticket: &Ticket,
) -> Result<Bytes, ApiError> {
    let columns = Columns { line: LineColumn::Length, metadata: true };
    let mut volumes = HashMap::new();
    stats.streams_matched += 1;
    for chunk in chunks {
        ticket.check()?;
        let batch = chunk.read(buckets.range(), &LinePredicate::Always, columns, scratch)?;
        let (lines, bytes) = (batch.rows_scanned(), batch.bytes_scanned());
        let memory = u64::from(chunk.is_in_memory());
        let matched = batch.rows().len() as u64;
        let read = QueryStats {
            chunks_read: 1,
            chunks_matched: u64::from(matched > 0),
            lines_processed: lines,
            lines_matched: matched,
            lines_matched_in_memory: memory * matched,
            batches_in_memory: memory,
            bytes_processed: bytes,
            compressed_bytes: scratch.take_stored_bytes(),
            chunks_in_memory: memory,
            lines_in_memory: memory * lines,
            bytes_in_memory: memory * bytes,
            ..QueryStats::default()
        };
        add(stats, &read);
        add_batch(&batch, buckets, &mut volumes);
    }
    Ok(volumes.into_iter().map(|(bucket, volume)| (bucket, volume.bytes)).collect())
}

/// The bytes of a bucket of a stream, and the texts of structured metadata that it has shown so far.
#[derive(Default)]
struct Volume {
    bytes: u64,
    texts: HashSet<Box<str>>,
}

impl Volume {
    fn add_texts(&mut self, metadata: &Metadata) {
        for text in metadata.iter().flat_map(|(name, value)| [name, value]) {
            if !self.texts.contains(text) {
                self.bytes += text.len() as u64;
                self.texts.insert(text.into());
            }
        }
    }
}

fn add_batch(batch: &Batch, buckets: &Buckets, volumes: &mut HashMap<usize, Volume>) {
    let sets = batch.metadata_sets();
    let mut seen: HashSet<(usize, u32)> = HashSet::new();
    for row in batch.rows() {
        let bucket = buckets.of(row.timestamp);
        let volume = volumes.entry(bucket).or_default();
        volume.bytes += u64::from(row.line_len);
        let Some(metadata) = sets.get(row.metadata as usize) else { continue };
        volume.bytes += METADATA_REFERENCE_BYTES * metadata.len() as u64;
        if seen.insert((bucket, row.metadata)) {
            volume.add_texts(metadata);
        }
    }
}
