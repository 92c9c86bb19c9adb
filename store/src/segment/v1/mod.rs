//! Reading segments of version 1: blocks of up to 256 KiB of lines, whose texts are compressed as they are.
//!
//! Nothing writes this version any more; a merge turns it into the current one.
//!
//! ```text
//! block directory, per block
//!   offset u64 8 │ rows u32 4 │ 4 × { stored length u32 4 │ raw length u32 4 │ crc u32 4 }
//!
//! columns of a block, before compression (r rows, in the order of the rows)
//!   timestamps  unit varint │ first time zigzag varint │ (r - 1) × (time - time before) / unit, zigzag varint
//!   lengths     r × length of the line, varint
//!   text        the lines' bytes, one after the other, nothing between
//!   metadata    as in a group
//! ```

mod block;
mod cache;
mod chunk;

pub(super) use self::block::BlockEntry;
pub(super) use self::cache::DecodeCache;
pub(super) use self::chunk::BlockRun;
