//! Looking at every byte of a segment.

use std::sync::Arc;

use super::chunk::SegmentChunk;
use super::group::GroupScratch;
use super::reader::{Parts, Segment};
use crate::{Labels, ReadScratch, StoreError, TenantId};

impl Segment {
    /// Checks every part of the segment: its tables, its label index, and each block.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for the first part that is damaged.
    pub(crate) fn verify(self: &Arc<Self>) -> Result<(), StoreError> {
        self.verify_index()?;
        self.verify_groups()?;
        let mut rows = 0;
        self.read_all(|_, _, chunk, scratch| {
            chunk.minutes()?;
            for part in chunk.batches() {
                rows += chunk.read_rows(part, scratch)?.rows().len();
            }
            Ok(())
        })?;
        match u64::try_from(rows) == Ok(self.meta().rows) {
            true => Ok(()),
            false => Err(StoreError::Corrupt {
                path: self.path().to_owned(),
                what: "footer",
                offset: 0,
                detail: format!("it says {} rows, there are {rows}", self.meta().rows),
            }),
        }
    }

    /// Checks every frame of the groups; those of the blocks of version 1 are all read with their rows.
    fn verify_groups(&self) -> Result<(), StoreError> {
        let Parts::Groups(groups) = self.parts() else { return Ok(()) };
        let mut scratch = GroupScratch::default();
        for number in (0..).take(groups.len()) {
            let outcome = self.group(number, &mut scratch)?.verify(self.bytes());
            let outcome = outcome.and_then(|()| self.filter(number).map(|_| ()));
            outcome.map_err(|damage| self.group_damage(number, damage))?;
        }
        Ok(())
    }

    /// Calls back with every chunk, by tenant, labels and time.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for damaged tables, and what `each` returns.
    pub(crate) fn read_all(
        self: &Arc<Self>,
        mut each: impl FnMut(
            &TenantId,
            &Labels,
            &SegmentChunk,
            &mut ReadScratch,
        ) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut scratch = ReadScratch::new();
        for tenant in &self.tenants()? {
            for stream in self.whole_streams(tenant)? {
                let (labels, chunks) = stream?;
                for chunk in chunks {
                    each(tenant, &labels, &chunk, &mut scratch)?;
                }
            }
        }
        Ok(())
    }
}
