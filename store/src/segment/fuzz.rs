//! Reading bytes that nobody vouches for.

use std::path::Path;

use super::Segment;
use crate::io::Mapped;
use crate::{Columns, LinePredicate, MatchOp, Matcher, ReadScratch, StoreError, TimeRange};

/// Opens the bytes as a segment, selects with and without matchers and reads every row; in a fuzzer and in
/// tests also with every checksum taken for right but those of the label index, which tantivy needs.
///
/// Whatever the bytes are, this comes to an end without a panic and allocates no more than a multiple
/// of what they can stand for. Meant for fuzzing.
pub(crate) fn open_segment_bytes(bytes: &[u8]) {
    // Damage is the expected outcome.
    let _ = read_all(bytes);
    #[cfg(any(test, fuzzing))]
    drop(super::checksum::overlooking(|| read_all(bytes)));
}

fn read_all(bytes: &[u8]) -> Result<(), StoreError> {
    let segment = Segment::from_bytes(Path::new("bytes"), Mapped::from(bytes.to_vec()))?;
    let tenants = segment.tenants()?;
    let matcher = Matcher::new("a", MatchOp::Matches, ".*b.*").ok();
    let predicate = LinePredicate::contains(b"e");
    let mut scratch = ReadScratch::new();
    for tenant in tenants {
        segment.series(&tenant, matcher.as_slice(), TimeRange::ALL)?;
        let mut chunks = Vec::new();
        segment.chunks(&tenant, &[], TimeRange::ALL, &mut chunks)?;
        for chunk in chunks {
            let batch = chunk.read(TimeRange::ALL, &predicate, Columns::ALL, &mut scratch)?;
            batch.rows().iter().for_each(|row| drop((batch.line(row), batch.metadata(row))));
            let half = TimeRange::new(chunk.time_bounds().0, chunk.time_bounds().1);
            chunk.read(half, &LinePredicate::Always, Columns::TIMESTAMPS, &mut scratch)?;
        }
    }
    Ok(())
}
