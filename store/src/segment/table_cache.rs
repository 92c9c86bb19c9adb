//! The stream tables that are kept, decoded, of all open segments.
//!
//! Most questions begin with one, and with a hundred thousand streams it takes some milliseconds to decode.
//! Each is then some megabytes, so that those of all segments of a month are not kept.

use std::sync::{Arc, LazyLock};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::codec::Decoded;
use super::stream_table::StreamTable;

/// Bytes that decoded tables may take up in a process.
const CACHE_BYTES: u64 = 64 << 20;

/// So many tables stay, whatever their size: an entry that comes late is looked for in each, and a table that
/// never stayed would be decoded for every entry.
const TABLES_MIN: u64 = 8;

/// Few items make one shard, so that the largest table has room in it.
const TABLES_EXPECTED: usize = 32;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<u64, Arc<StreamTable>> for ByBytes {
    fn weight(&self, _: &u64, table: &Arc<StreamTable>) -> u64 {
        (table.memory_bytes() as u64).min(CACHE_BYTES / TABLES_MIN)
    }
}

/// Tables by the segment's identity, which no two segments of a process share. Those of segments that are gone
/// make room in time.
static TABLES: LazyLock<Cache<u64, Arc<StreamTable>, ByBytes>> =
    LazyLock::new(|| Cache::with_weighter(TABLES_EXPECTED, CACHE_BYTES, ByBytes));

/// The table of the segment of this identity, decoded if it is not kept. Threads that need it at the same time
/// wait for the first of them.
///
/// # Errors
/// Those of `decode`; a failure is not kept.
pub(super) fn table(
    identity: u64,
    decode: impl FnOnce() -> Decoded<StreamTable>,
) -> Decoded<Arc<StreamTable>> {
    TABLES.get_or_insert_with(&identity, || decode().map(Arc::new))
}

/// Forgets the table of a segment that is gone.
pub(super) fn forget(identity: u64) {
    TABLES.remove(&identity);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::codec::Damage;
    use crate::segment::{SegmentMeta, VERSION};

    #[test]
    fn a_table_is_decoded_once_while_its_segment_is_open() {
        // Of no segment: those count from 0.
        let identity = u64::MAX;
        let mut decoded = 0;
        let mut ask = || {
            let empty = || {
                decoded += 1;
                // No strings, no tenants.
                StreamTable::decode(vec![0, 0], &SegmentMeta::default(), VERSION, &[])
            };
            assert!(table(identity, empty).unwrap().tenants().is_empty());
            decoded
        };
        assert_eq!([ask(), ask()], [1, 1]);
        forget(identity);
        assert_eq!(ask(), 2);
        forget(identity);
        assert!(table(identity, || Err(Damage::new("torn"))).is_err());
        assert_eq!(ask(), 3, "a failure is not kept");
    }
}
