//! What is in a segment's file, for people who want to know where the bytes went.

use std::path::{Path, PathBuf};

use crate::segment::Segment;
use crate::{Labels, OsVfs, StoreError, TenantId, Timestamp};

/// What is in a segment.
///
/// ```
/// use timberline_store::{Labels, Store, TenantId, WriteBatch, inspect::SegmentReport};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(directory.path())?;
/// let mut batch = WriteBatch::new();
/// batch.stream(&Labels::from_pairs([("app", "shop")])?);
/// for order in 0..100 {
///     batch.push(order, format!("order {order} paid").as_bytes(), &[])?;
/// }
/// store.append(&TenantId::default(), &batch)?;
/// store.close()?;
///
/// let file = std::fs::read_dir(directory.path().join("segments"))?.next().ok_or("none")??;
/// let report = SegmentReport::of_file(file.path())?;
/// assert_eq!((report.entries, report.streams.len()), (100, 1));
/// assert_eq!(report.groups[0].templates[0].pattern, "order <_> paid");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// The version of its format.
    pub version: u32,
    /// How many entries it has.
    pub entries: u64,
    /// Bytes of their lines.
    pub line_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The earliest and the latest timestamp.
    pub range: (Timestamp, Timestamp),
    /// The level that its columns are compressed with; 0 in version 1.
    pub zstd_level: u8,
    /// What takes up the file; their bytes add up to it.
    pub parts: Vec<PartReport>,
    /// The streams, by tenant and labels.
    pub streams: Vec<StreamReport>,
    /// The groups of rows; none in version 1.
    pub groups: Vec<GroupReport>,
}

/// A part of a segment's file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartReport {
    /// What it is.
    pub name: &'static str,
    /// Its bytes in the file.
    pub bytes: u64,
}

/// A stream in a segment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamReport {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its labels.
    pub labels: Labels,
    /// How many entries it has here.
    pub entries: u64,
    /// In how many chunks.
    pub chunks: u64,
    /// Bytes of its lines.
    pub line_bytes: u64,
    /// Bytes of its metadata's names and values.
    pub metadata_bytes: u64,
    /// The earliest and the latest timestamp.
    pub range: (Timestamp, Timestamp),
}

/// Rows that share templates and columns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupReport {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes in the file.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// How the timestamps are stored.
    pub time: ColumnReport,
    /// Bytes of metadata before they are compressed.
    pub metadata_bytes: u64,
    /// Bytes of the filter of words; 0 where there is none.
    pub filter_bytes: u64,
    /// What the lines are made of, those of most lines first.
    pub templates: Vec<TemplateReport>,
}

/// What lines have in common.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TemplateReport {
    /// The text, with `<_>` where lines differ.
    pub pattern: String,
    /// How many lines are made of it.
    pub lines: u64,
    /// What stands where lines differ, in the order of the text.
    pub columns: Vec<ColumnReport>,
}

/// Values that are stored together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ColumnReport {
    /// How, in words: `packed in 17 bits`.
    pub coding: String,
    /// Bytes in that form, before they are compressed with others.
    pub encoded_bytes: u64,
}

impl SegmentReport {
    /// Reads a sealed segment's file. A store may be open there: segments are never changed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a file that is damaged or no segment, [`StoreError::FutureFormat`];
    /// refusals of the file system.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Segment::open(&OsVfs, path.as_ref())?.describe()
    }
}
