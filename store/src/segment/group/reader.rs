//! An open group: what is in it, read as far as it is asked for.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::codec::{Damage, Decoded};
use super::super::column::MetadataColumn;
use super::super::footer::slice;
use super::super::template::{Cells, Hits, Lazy, Place, Projections, Source, are_few};
use super::GroupEntry;
use super::header::{FramePlace, Header};
use super::scratch::{FrameScratch, GroupKey, GroupScratch};
use crate::inspect::GroupReport;
use crate::{LineColumn, Needle, Projector, Row, Timestamp};

/// An open group. Its columns are decoded when they are first needed, and kept as long as it is open.
#[derive(Debug)]
pub(in crate::segment) struct Group {
    key: GroupKey,
    header: Arc<Header>,
    timestamps: Lazy<Arc<Vec<Timestamp>>>,
    metadata: Lazy<MetadataColumn>,
    cells: Cells,
    /// Whether a few of its lines were made.
    gave_few: AtomicBool,
}

/// The frames of a group.
struct Frames<'a> {
    group: &'a Group,
    file: &'a [u8],
    scratch: RefCell<&'a mut FrameScratch>,
}

impl Source for Frames<'_> {
    fn with<T>(&self, place: Place, read: impl FnOnce(&[u8]) -> Decoded<T>) -> Decoded<T> {
        if place.len == 0 {
            return read(&[]);
        }
        let start = place.offset as usize;
        let part = start..start.saturating_add(place.len as usize);
        match self.frame(place.frame)? {
            FramePlace::Within => {
                let part = self.group.header.within.get(part);
                read(part.ok_or_else(|| Damage::new("texts beyond the header"))?)
            }
            FramePlace::File(offset, frame) => {
                let stored = slice(self.file, *offset, u64::from(frame.stored))?;
                let key = (self.group.key, place.frame);
                self.scratch.borrow_mut().with(key, *frame, stored, part, read)
            }
        }
    }

    fn cells(&self) -> &Cells {
        &self.group.cells
    }
}

impl Frames<'_> {
    fn frame(&self, number: u32) -> Decoded<&FramePlace> {
        let frame = self.group.header.frames.get(number as usize);
        frame.ok_or_else(|| Damage(format!("frame {number}")))
    }
}

impl Group {
    /// Opens a group of the file.
    pub(in crate::segment) fn open(
        key: GroupKey,
        entry: &GroupEntry,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<Self> {
        let header = Header::of(key, entry, file, scratch)?;
        let cells = Cells::new(header.cells);
        let (timestamps, metadata) = (Lazy::default(), Lazy::default());
        Ok(Self { key, header, timestamps, metadata, cells, gave_few: AtomicBool::new(false) })
    }

    /// Whether it is likely that somebody wants more of what was read of it.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.gave_few.load(Ordering::Relaxed)
    }

    /// About how many bytes of memory it takes, beside its header, which is kept anyway.
    pub(super) fn memory_bytes(&self) -> usize {
        let timestamps = self.timestamps.loaded().map_or(0, |all| size_of_val(&all[..]));
        // Sets are as long as they are stored, and each is an allocation.
        let metadata = self.metadata.loaded().map_or(0, |_| 2 * self.header.metadata.len as usize);
        size_of::<Self>() + timestamps + metadata + self.cells.memory_bytes()
    }

    fn note_wanted(&self, rows: &[u32]) {
        if are_few(rows, self.rows()) {
            self.gave_few.store(true, Ordering::Relaxed);
        }
    }

    /// Checks every frame, whether or not anybody reads it.
    pub(in crate::segment) fn verify(&self, file: &[u8]) -> Decoded<()> {
        self.header.frames.iter().try_for_each(|frame| match frame {
            FramePlace::File(offset, frame) => {
                frame.check(slice(file, *offset, u64::from(frame.stored))?)
            }
            // Checked with the header.
            FramePlace::Within => Ok(()),
        })
    }

    /// How its columns are stored.
    pub(in crate::segment) fn describe(&self, entry: &GroupEntry) -> GroupReport {
        let Header { times, metadata, lines, .. } = &*self.header;
        GroupReport {
            offset: entry.offset,
            bytes: entry.length,
            rows: u64::from(entry.rows),
            time: times.describe(),
            metadata_bytes: u64::from(metadata.len),
            filter_bytes: entry.words.filter_len().into(),
            templates: lines.describe(),
        }
    }

    pub(super) const fn key(&self) -> GroupKey {
        self.key
    }

    pub(in crate::segment) fn rows(&self) -> usize {
        self.header.rows as usize
    }

    fn source<'a>(&'a self, file: &'a [u8], scratch: &'a mut GroupScratch) -> Frames<'a> {
        Frames { group: self, file, scratch: RefCell::new(&mut scratch.frames) }
    }

    /// The timestamps of the rows.
    pub(in crate::segment) fn timestamps(
        &self,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<&Arc<Vec<Timestamp>>> {
        self.timestamps.get_or_try(|| {
            self.header.times.read(self.rows(), &self.source(file, scratch)).map(Arc::new)
        })
    }

    /// The metadata of the rows.
    pub(in crate::segment) fn metadata(
        &self,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<&MetadataColumn> {
        self.metadata.get_or_try(|| {
            let source = self.source(file, scratch);
            source.with(self.header.metadata, |bytes| MetadataColumn::decode(bytes, self.rows()))
        })
    }

    /// Which rows' lines have the needle.
    pub(super) fn having(
        &self,
        needle: &Needle,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Decoded<Hits> {
        self.header.lines.having(needle, &self.source(file, scratch))
    }

    /// What a projector wants of the lines.
    pub(in crate::segment) fn projections(
        &self,
        projector: &mut dyn Projector,
        file: &[u8],
        scratch: &mut GroupScratch,
    ) -> Projections {
        Projections::of(&self.header.lines, projector, &self.source(file, scratch))
    }

    /// As [`lines`](Self::lines), of values where they were asked for instead.
    pub(in crate::segment) fn projected_lines(
        &self,
        numbers: &[u32],
        projections: &Projections,
        file: &[u8],
        scratch: &mut GroupScratch,
        out: &mut Vec<u8>,
        rows: &mut [Row],
    ) -> Decoded<()> {
        self.note_wanted(numbers);
        let source = self.source(file, scratch);
        let table = self.header.lines.load_projected(numbers, projections, &source)?;
        for (number, row) in numbers.iter().zip(rows) {
            row.line_start = out.len() as u32;
            row.projection = table.push(*number as usize, out);
            row.line_len = out.len() as u32 - row.line_start;
        }
        Ok(())
    }

    /// Makes the lines of some rows, which ascend, or finds their lengths. Appends to `out` and says in
    /// `rows` where each one is.
    pub(in crate::segment) fn lines(
        &self,
        numbers: &[u32],
        what: LineColumn,
        file: &[u8],
        scratch: &mut GroupScratch,
        out: &mut Vec<u8>,
        rows: &mut [Row],
    ) -> Decoded<()> {
        if what == LineColumn::None {
            return Ok(());
        }
        self.note_wanted(numbers);
        let source = self.source(file, scratch);
        let table = self.header.lines.load_these(numbers, &source)?;
        for (number, row) in numbers.iter().zip(rows) {
            // Groups have less than 4 GiB of lines, or one line.
            match what {
                LineColumn::Text => {
                    row.line_start = out.len() as u32;
                    table.push(*number as usize, out);
                    row.line_len = out.len() as u32 - row.line_start;
                }
                LineColumn::Length => row.line_len = table.len_of(*number as usize) as u32,
                LineColumn::None => {}
            }
        }
        Ok(())
    }
}
