//! Entrances for fuzzing: readers of bytes that nobody vouches for. Not part of the interface.

use crate::frame::Records;
use crate::head::Pending;
use crate::{manifest, segment, wal};

/// Reads the bytes as a file of the write-ahead log, and all batches in it.
pub fn replay_wal(bytes: &[u8]) {
    let Ok(records) = Records::open(wal::FORMAT, bytes) else { return };
    for (_, payload) in records {
        let Some((_, batch)) = wal::split(payload) else { continue };
        if let Ok(pending) = Pending::new(batch) {
            std::hint::black_box(pending.len());
        }
    }
    // Checksums keep most inputs out of the batch decoder, so it gets the bytes as they are, too.
    std::hint::black_box(Pending::new(bytes).is_ok());
}

/// Opens the bytes as a manifest; one that opens reads back the same.
pub fn open_manifest(bytes: &[u8]) {
    manifest::open_manifest_bytes(bytes);
}

/// Opens the bytes as a segment and reads all of it.
pub fn open_segment(bytes: &[u8]) {
    segment::open_segment_bytes(bytes);
}

/// Opens a label index with these changes, behind right checksums, and asks it.
#[cfg(feature = "label-index")]
pub fn open_label_index(changes: &[u8]) {
    segment::open_label_index_bytes(changes);
}
