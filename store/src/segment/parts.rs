//! A segment in parts that can be encoded apart from each other, by whichever thread has the time.

use std::convert::Infallible;
use std::fmt;
use std::io;

use super::group::{GroupBuilder, GroupEntry};
use super::layout::{Layout, Streams};
use super::tables::Tables;
use super::template::Sink;
use crate::{Labels, Metadata, StoreError, TenantId, Timestamp};

/// A row on its way to a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentRow<'a> {
    /// The row's stream, where the row is the first of it.
    pub(crate) begins: Option<(&'a TenantId, &'a Labels)>,
    pub(crate) timestamp: Timestamp,
    pub(crate) line: &'a [u8],
    pub(crate) metadata: &'a Metadata,
}

/// Cuts rows, which come in the order that a [writer](super::SegmentWriter) wants, into parts.
pub(crate) struct PartCutter {
    /// `None` behind the last part.
    layout: Option<Layout>,
    level: i32,
}

/// A part that is to be encoded.
pub(crate) struct Part(Raw);

enum Raw {
    Group(GroupBuilder, i32),
    Tables(Streams, i32),
}

/// An encoded part. All of a segment, in the order in which they were cut, are what
/// [`write_parts`](super::write_parts) takes.
pub(crate) struct EncodedPart(pub(super) Encoded);

pub(super) enum Encoded {
    /// The entry's offset is 0.
    Group(GroupEntry, Vec<u8>),
    Tables(Tables),
}

impl PartCutter {
    /// No rows yet; columns are to be compressed at a level of zstd.
    pub(crate) fn new(level: i32) -> Self {
        Self { layout: Some(Layout::new()), level }
    }

    /// Adds a row. Returns the part that had no room for it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for rows or streams out of order, and for a line of over 1 GiB.
    pub(crate) fn row(&mut self, row: SegmentRow<'_>) -> Result<Option<Part>, StoreError> {
        let Self { layout: Some(layout), level } = self else { return Ok(None) };
        let level = *level;
        if let Some((tenant, labels)) = row.begins {
            layout.stream(tenant, labels);
        }
        let mut full = None;
        layout.row(row.timestamp, row.line, row.metadata, |group| {
            full = Some(Part(Raw::Group(group.take(), level)));
            Ok(())
        })?;
        Ok(full)
    }

    /// The next part when there are no more rows; `None` behind the last.
    pub(crate) fn rest(&mut self) -> Option<Part> {
        let (mut last, level) = (None, self.level);
        let Ok(()) = self.layout.as_mut()?.cut(|group| {
            last = Some(Part(Raw::Group(group.take(), level)));
            Ok::<_, Infallible>(())
        });
        if last.is_some() {
            return last;
        }
        let streams = self.layout.take()?.finish();
        Some(Part(Raw::Tables(streams, self.level)))
    }

    /// Whether the last part was cut.
    pub(crate) const fn is_over(&self) -> bool {
        self.layout.is_none()
    }
}

impl Part {
    /// Encodes it.
    ///
    /// # Errors
    /// What zstd or the label index refuse.
    pub(crate) fn encode(self) -> io::Result<EncodedPart> {
        Ok(EncodedPart(match self.0 {
            Raw::Group(mut group, level) => {
                let mut bytes = Vec::new();
                Encoded::Group(group.finish(&mut Sink::new(level)?, &mut bytes)?, bytes)
            }
            Raw::Tables(streams, level) => Encoded::Tables(Tables::encode(streams, level)?),
        }))
    }
}

impl fmt::Debug for PartCutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartCutter").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

impl fmt::Debug for EncodedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Encoded::Group(..) => "Group",
            Encoded::Tables(_) => "Tables",
        };
        f.debug_tuple("EncodedPart").field(&kind).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{SegmentWriter, write_parts};
    use super::*;
    use crate::{MemVfs, Vfs};

    #[test]
    fn parts_that_are_encoded_in_any_order_are_the_same_segment() {
        let (vfs, [whole, of_parts]) = (MemVfs::new(), ["/whole", "/parts"].map(Path::new));
        vfs.create_dir_all(Path::new("/")).unwrap();
        let tenant = TenantId::new("t").unwrap();
        let sets = [vec![], vec![("level", "warn")]].map(|set| Metadata::metadata(set).unwrap());
        // More than a stream in a group, and more than a group of a stream. Streams are so few that they
        // have no label index: tantivy names its files at random.
        let lines = |app: usize| if app == 3 { 250_000 } else { 40 };
        let line = |app: usize, number: usize| {
            format!("app={app} number={} took {}ms, all is well", number * 7919 % 1009, number % 97)
        };
        let mut writer = SegmentWriter::create(&vfs, whole, 1).unwrap();
        let (mut cutter, mut parts) = (PartCutter::new(1), Vec::new());
        for app in 0..60 {
            let labels = Labels::from_pairs([("app", format!("{app:03}"))]).unwrap();
            writer.stream(&tenant, &labels);
            for number in 0..lines(app) {
                let (line, timestamp) = (line(app, number), i64::try_from(number).unwrap());
                let metadata = &sets[number % 2];
                writer.row(timestamp, line.as_bytes(), metadata).unwrap();
                let begins = (number == 0).then_some((&tenant, &labels));
                let row = SegmentRow { begins, timestamp, line: line.as_bytes(), metadata };
                parts.extend(cutter.row(row).unwrap());
            }
        }
        while let Some(part) = cutter.rest() {
            parts.push(part);
        }
        assert!(cutter.is_over() && parts.len() > 3, "{} parts", parts.len());
        let mut encoded: Vec<_> = parts.into_iter().rev().map(|part| part.encode()).collect();
        encoded.reverse();
        let written = write_parts(&vfs, of_parts, encoded.into_iter().map(Result::unwrap));
        assert_eq!(written.unwrap(), writer.finish().unwrap());
        assert!(vfs.read(whole).unwrap() == vfs.read(of_parts).unwrap(), "other bytes");
    }
}
