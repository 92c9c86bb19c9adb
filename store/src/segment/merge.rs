//! One segment of several.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::chunk::SegmentChunk;
use super::reader::Segment;
use super::{SegmentMeta, SegmentWriter};
use crate::io::Vfs;
use crate::{Batch, Labels, ReadScratch, StoreError, TenantId};

/// zstd's level for merged segments: they are written once and read for long.
pub(crate) const LEVEL: i32 = 9;

/// Writes the rows of all sources, which come by arrival, to a new segment. Rows alike in stream and
/// time keep the order of their sources.
///
/// Holds up to two groups of each source, and of all streams the labels and the runs in the new segment.
///
/// # Errors
/// [`StoreError::Corrupt`] for a damaged source; what the file system refuses.
pub(crate) fn merge(
    vfs: &dyn Vfs,
    path: &Path,
    sources: &[Arc<Segment>],
) -> Result<SegmentMeta, StoreError> {
    let mut writer = SegmentWriter::create(vfs, path, LEVEL)?;
    let mut scratches: Vec<ReadScratch> = sources.iter().map(|_| ReadScratch::new()).collect();
    let mut tenants: BTreeSet<TenantId> = BTreeSet::new();
    for source in sources {
        tenants.extend(source.tenants()?);
    }
    for tenant in &tenants {
        let mut of_sources = Vec::with_capacity(sources.len());
        for source in sources {
            of_sources.push(Streams::new(source.whole_streams(tenant)?)?);
        }
        let first = |of_sources: &[Streams<_>]| {
            let first = of_sources.iter().filter_map(|streams| streams.labels()).min();
            first.cloned()
        };
        while let Some(labels) = first(&of_sources) {
            writer.stream(tenant, &labels);
            let mut cursors = Vec::new();
            for (place, streams) in of_sources.iter_mut().enumerate() {
                if streams.labels() == Some(&labels) {
                    cursors.push(Cursor::new(place, &streams.take()?));
                }
            }
            merge_stream(&mut writer, cursors, &mut scratches)?;
        }
    }
    writer.finish()
}

/// One source's streams, of which the next is known.
struct Streams<I> {
    next: Option<(Labels, Vec<SegmentChunk>)>,
    rest: I,
}

impl<I> Streams<I>
where
    I: Iterator<Item = Result<(Labels, Vec<SegmentChunk>), StoreError>>,
{
    fn new(mut rest: I) -> Result<Self, StoreError> {
        Ok(Self { next: rest.next().transpose()?, rest })
    }

    fn labels(&self) -> Option<&Labels> {
        self.next.as_ref().map(|(labels, _)| labels)
    }

    /// The chunks of the next stream, which is then the one behind it.
    fn take(&mut self) -> Result<Vec<SegmentChunk>, StoreError> {
        let next = std::mem::replace(&mut self.next, self.rest.next().transpose()?);
        Ok(next.map(|(_, chunks)| chunks).unwrap_or_default())
    }
}

fn merge_stream(
    writer: &mut SegmentWriter,
    mut cursors: Vec<Cursor>,
    scratches: &mut [ReadScratch],
) -> Result<(), StoreError> {
    for cursor in &mut cursors {
        cursor.load(scratches)?;
    }
    // The first of equal ones is taken, and cursors come by the arrival of their entries.
    while let Some(cursor) = cursors
        .iter_mut()
        .filter(|cursor| cursor.time().is_some())
        .min_by_key(|cursor| cursor.time())
    {
        if let Some(row) = cursor.batch.rows().get(cursor.row) {
            let batch = &cursor.batch;
            writer.row(row.timestamp, batch.line(row), &batch.metadata(row))?;
        }
        cursor.row += 1;
        cursor.load(scratches)?;
    }
    Ok(())
}

/// A place in one source's part of a stream.
#[derive(Debug)]
struct Cursor {
    /// Which source.
    place: usize,
    /// What was not read yet, by ascending time: rows of chunks.
    parts: std::vec::IntoIter<(SegmentChunk, Range<u32>)>,
    batch: Batch,
    row: usize,
}

impl Cursor {
    fn new(place: usize, chunks: &[SegmentChunk]) -> Self {
        let parts = |chunk: &SegmentChunk| {
            let chunk = chunk.clone();
            chunk.batches().map(move |rows| (chunk.clone(), rows))
        };
        let parts: Vec<_> = chunks.iter().flat_map(parts).collect();
        Self { place, parts: parts.into_iter(), batch: Batch::default(), row: 0 }
    }

    /// When the next row is; `None` at the end.
    fn time(&self) -> Option<i64> {
        self.batch.rows().get(self.row).map(|row| row.timestamp)
    }

    /// Reads the next rows if there is none left of these.
    fn load(&mut self, scratches: &mut [ReadScratch]) -> Result<(), StoreError> {
        while self.time().is_none() {
            let (Some((chunk, rows)), Some(scratch)) =
                (self.parts.next(), scratches.get_mut(self.place))
            else {
                return Ok(());
            };
            self.batch = chunk.read_rows(rows, scratch)?;
            self.row = 0;
        }
        Ok(())
    }
}
