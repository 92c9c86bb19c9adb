//! What is in a segment, for people.

use std::sync::Arc;

use super::footer::Footer;
use super::group::GroupScratch;
use super::reader::{Parts, Segment};
use crate::inspect::{GroupReport, PartReport, SegmentReport, StreamReport};
use crate::{StoreError, TenantId, TimeRange};

impl Segment {
    /// What is in the segment.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for the first part that is damaged.
    pub(crate) fn describe(self: &Arc<Self>) -> Result<SegmentReport, StoreError> {
        let meta = self.meta();
        let mut streams = Vec::new();
        for tenant in &self.tenants()? {
            streams.extend(self.describe_streams(tenant)?);
        }
        Ok(SegmentReport {
            path: self.path().to_owned(),
            version: self.version(),
            entries: meta.rows,
            line_bytes: meta.line_bytes,
            file_bytes: meta.file_bytes,
            range: (meta.first, meta.last),
            zstd_level: meta.zstd_level,
            parts: self.describe_parts(),
            streams,
            groups: self.describe_groups()?,
        })
    }

    /// The header's version; opening has checked that there is one.
    fn version(&self) -> u32 {
        let bytes = self.bytes().get(8..12).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    }

    fn describe_streams(
        self: &Arc<Self>,
        tenant: &TenantId,
    ) -> Result<Vec<StreamReport>, StoreError> {
        let chunks = self.whole_streams(tenant)?;
        let figures = self.series(tenant, &[], TimeRange::ALL)?;
        let report = |(stream, whole): (super::StreamEntry, Result<(_, Vec<_>), _>)| {
            let (labels, chunks) = whole?;
            Ok(StreamReport {
                tenant: tenant.clone(),
                labels,
                entries: stream.rows,
                chunks: chunks.len() as u64,
                line_bytes: stream.line_bytes,
                metadata_bytes: stream.metadata_bytes,
                range: (stream.first, stream.last),
            })
        };
        figures.into_iter().zip(chunks).map(report).collect()
    }

    fn describe_parts(&self) -> Vec<PartReport> {
        let Footer { streams, minutes, index, .. } = self.footer();
        let rows = match self.parts() {
            Parts::Groups(groups) => groups.iter().map(|group| group.length).sum(),
            Parts::Blocks(blocks) => {
                let frames = blocks.iter().flat_map(|block| block.frames);
                frames.map(|frame| u64::from(frame.stored)).sum()
            }
        };
        let mut parts = vec![
            ("rows", rows),
            ("stream table", u64::from(streams.stored)),
            ("minute table", minutes.as_ref().map_or(0, |(_, frame)| u64::from(frame.stored))),
            ("label index", index.iter().map(|file| file.length).sum()),
        ];
        let known: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
        parts.push(("header, directory and footer", self.meta().file_bytes.saturating_sub(known)));
        parts.into_iter().map(|(name, bytes)| PartReport { name, bytes }).collect()
    }

    fn describe_groups(&self) -> Result<Vec<GroupReport>, StoreError> {
        let Parts::Groups(groups) = self.parts() else { return Ok(Vec::new()) };
        let mut scratch = GroupScratch::default();
        let report = |(number, entry)| Ok(self.group(number, &mut scratch)?.describe(entry));
        (0..).zip(groups).map(report).collect()
    }
}
