//! Looking at every byte of a segment.

use std::sync::Arc;

use super::chunk::SegmentChunk;
use super::reader::Segment;
use crate::{Labels, ReadScratch, StoreError, TenantId};

impl Segment {
    /// Checks every part of the segment: its tables, its label index, and each block.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for the first part that is damaged.
    pub(crate) fn verify(self: &Arc<Self>) -> Result<(), StoreError> {
        self.verify_index()?;
        let mut rows = 0;
        self.read_all(|_, _, chunk, scratch| {
            rows += chunk.read_whole(scratch)?.rows().len();
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
        for tenant in self.tenants()? {
            for (labels, chunks) in self.whole_streams(tenant)? {
                for chunk in chunks {
                    each(tenant, &labels, &chunk, &mut scratch)?;
                }
            }
        }
        Ok(())
    }
}
