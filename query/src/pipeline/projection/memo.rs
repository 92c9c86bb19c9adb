//! How lines of the same values ended.

use std::collections::HashMap;
use std::num::NonZeroU32;

use timberline_store::Metadata;

use crate::pipeline::hash::FoldState;

/// Ends that are kept; when there are more, all are forgotten.
const ENDS_MAX: usize = 1 << 14;

/// Values longer than this in all are hardly the same again.
const KEY_BYTES_MAX: usize = 128;

/// Sets of metadata whose lines' ends are kept. A stream has few, or each entry has its own.
const METADATA_MAX: usize = 8;

/// Look-ups before the memo may be found to be of no use.
const TRIALS: u32 = 4096;

/// How a line ended: the number of its labels and the unwrapped value, or dropped.
pub(crate) type End = Option<(u32, Option<f64>)>;

/// Ends by metadata, plan and values. All of them are of one stream.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Memo {
    ends: HashMap<Box<[u8]>, End, FoldState>,
    metadata: Vec<Metadata>,
    key: Vec<u8>,
    tried: u32,
    found: u32,
}

impl Memo {
    /// Forgets the ends, since another stream comes.
    pub(in crate::pipeline) fn clear(&mut self) {
        self.ends.clear();
        self.metadata.clear();
    }

    /// About how many bytes it takes.
    pub(in crate::pipeline) fn memory_bytes(&self) -> usize {
        self.ends.len() * (size_of::<(Box<[u8]>, End)>() + KEY_BYTES_MAX / 4)
    }

    /// How a line of these values ended. Remembers them for [`keep`](Self::keep).
    pub(in crate::pipeline) fn get(
        &mut self,
        metadata: &Metadata,
        plan: NonZeroU32,
        values: &[u8],
    ) -> Option<End> {
        self.key.clear();
        // Where few values come again, keeping them costs more than parsing their lines.
        let is_of_use = self.tried < TRIALS || self.found > self.tried / 4;
        if !is_of_use || values.len() > KEY_BYTES_MAX {
            return None;
        }
        let metadata = self.number_of(metadata)?;
        self.key.push(metadata);
        self.key.extend_from_slice(&plan.get().to_le_bytes());
        self.key.extend_from_slice(values);
        let end = self.ends.get(self.key.as_slice()).copied();
        if self.tried == 2 * TRIALS {
            (self.tried, self.found) = (self.tried / 2, self.found / 2);
        }
        self.tried += 1;
        self.found += u32::from(end.is_some());
        end
    }

    /// The number of a set of metadata; `None` where there are too many.
    fn number_of(&mut self, metadata: &Metadata) -> Option<u8> {
        let known = self.metadata.iter().position(|known| known == metadata);
        let number = known.unwrap_or(self.metadata.len());
        if number == METADATA_MAX {
            return None;
        }
        if known.is_none() {
            self.metadata.push(metadata.clone());
        }
        u8::try_from(number).ok()
    }

    /// Keeps how the line of the values asked for last ended.
    pub(in crate::pipeline) fn keep(&mut self, end: End) {
        if self.key.is_empty() {
            return;
        }
        if self.ends.len() >= ENDS_MAX {
            self.ends.clear();
        }
        self.ends.insert(self.key.as_slice().into(), end);
    }
}
