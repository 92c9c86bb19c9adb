//! Entries on their way to clients, with the frames made of them.

use std::sync::{Arc, OnceLock};

use axum::extract::ws::Utf8Bytes;
use timberline_query::TailEntry;

use crate::encode::{TailDialect, tail_frame};

/// Entries of a message, at the most (Loki's number).
const ENTRIES_MAX: usize = 100;

/// Bytes of lines and labels in a message, but for one that is a single longer entry: what a client's socket
/// has to hold of it.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Some entries by ascending time. Shared by all clients that get them.
#[derive(Debug)]
pub(crate) struct Message {
    entries: Vec<TailEntry>,
    bytes: usize,
    /// One for each dialect, made when first asked for.
    frames: [OnceLock<Utf8Bytes>; 3],
}

impl Message {
    /// Messages of entries that come in order.
    pub(crate) fn split(entries: Vec<TailEntry>) -> Vec<Arc<Self>> {
        let mut messages = Vec::with_capacity(entries.len().div_ceil(ENTRIES_MAX));
        let (mut now, mut bytes) = (Vec::new(), 0);
        for entry in entries {
            let len = entry.text_bytes();
            if now.len() == ENTRIES_MAX || (!now.is_empty() && bytes + len > TEXT_BYTES_MAX) {
                messages.push(Self::new(std::mem::take(&mut now)));
                bytes = 0;
            }
            bytes += len;
            now.push(entry);
        }
        if !now.is_empty() {
            messages.push(Self::new(now));
        }
        messages
    }

    /// A message of no entries, to tell of dropped ones by.
    pub(crate) fn empty() -> Arc<Self> {
        Self::new(Vec::new())
    }

    fn new(entries: Vec<TailEntry>) -> Arc<Self> {
        // Labels are shared by many entries; the frame has them in full.
        let bytes = entries.iter().map(|entry| entry.text_bytes() + size_of::<TailEntry>());
        let bytes = bytes.sum();
        Arc::new(Self { entries, bytes, frames: Default::default() })
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[TailEntry] {
        &self.entries
    }

    /// About what it takes in memory, frame included.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The lowest and the highest position of its entries.
    pub(crate) fn positions(&self) -> (u64, u64) {
        let positions = || self.entries.iter().map(|entry| entry.position);
        (positions().min().unwrap_or_default(), positions().max().unwrap_or_default())
    }

    /// Its frame.
    pub(crate) fn frame(&self, dialect: TailDialect) -> Utf8Bytes {
        let place = match dialect {
            TailDialect::Merged => 0,
            TailDialect::Categorized => 1,
            TailDialect::Legacy => 2,
        };
        let frame =
            self.frames[place].get_or_init(|| tail_frame(&self.entries, &[], dialect).into());
        frame.clone()
    }
}
