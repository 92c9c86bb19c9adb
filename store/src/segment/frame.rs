//! Compressed, checksummed pieces of a segment.

use std::fmt;
use std::io;

use zstd::bulk::{Compressor, Decompressor};

use super::checksum;
use super::codec::{Cursor, Damage, Decoded, put_varint};

/// The longest frame, before compression: lengths and offsets in blocks are 32 bits, and a line this
/// long is no line.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 30;

/// The most that four bytes of a zstd frame can stand for: a block of one byte repeated.
const ZSTD_BLOCK_BYTES: u64 = 128 * 1024;

/// The size and checksum of a compressed piece; its offset is kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes in the file.
    pub(super) stored: u32,
    /// Bytes once decompressed.
    pub(super) raw: u32,
    /// CRC-32C of the bytes in the file.
    pub(super) crc: u32,
}

impl Frame {
    /// Bytes of a frame entry before version 5.
    pub(super) const FIXED_BYTES: usize = 12;

    /// Bytes of most frame entries.
    pub(super) const ENCODED_BYTES_ABOUT: usize = 8;

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.stored.into());
        put_varint(out, self.raw.into());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    /// Reads an entry of some version and refuses lengths that no frame can have.
    pub(super) fn decode(cursor: &mut Cursor<'_>, version: u32) -> Decoded<Self> {
        let number = if version < 5 { Cursor::u32 } else { Cursor::varint_u32 };
        let frame = Self { stored: number(cursor)?, raw: number(cursor)?, crc: cursor.u32()? };
        let raw_max = (u64::from(frame.stored) / 4 + 1) * ZSTD_BLOCK_BYTES;
        let is_possible = u64::from(frame.raw) <= raw_max && frame.raw as usize <= FRAME_BYTES_MAX;
        if is_possible && (frame.stored == 0) == (frame.raw == 0) {
            return Ok(frame);
        }
        Err(Damage(format!("{} bytes cannot stand for {}", frame.stored, frame.raw)))
    }

    /// Whether the bytes are kept as they are.
    pub(super) const fn is_plain(self) -> bool {
        self.stored == self.raw
    }

    /// Whether these are the frame's bytes.
    pub(super) fn check(self, stored: &[u8]) -> Decoded<()> {
        checksum::check(stored, self.crc)
    }
}

/// Makes frames; keeps zstd's tables and the output buffer from one to the next.
pub(super) struct FrameWriter {
    compressor: Compressor<'static>,
    buffer: Vec<u8>,
}

impl FrameWriter {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        Ok(Self { compressor: Compressor::new(level)?, buffer: Vec::new() })
    }

    /// A frame of `raw`; of the bytes as they are where zstd does not make them fewer.
    pub(super) fn frame(&mut self, raw: &[u8]) -> io::Result<(Frame, Vec<u8>)> {
        if raw.len() > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a frame over 1 GiB"));
        }
        self.buffer.clear();
        self.buffer.reserve(zstd::zstd_safe::compress_bound(raw.len()));
        self.compressor.compress_to_buffer(raw, &mut self.buffer)?;
        let stored = if self.buffer.len() < raw.len() { self.buffer.as_slice() } else { raw };
        let length = |len: usize| u32::try_from(len).map_err(io::Error::other);
        let crc = crc32c::crc32c(stored);
        let frame = Frame { stored: length(stored.len())?, raw: length(raw.len())?, crc };
        Ok((frame, stored.to_vec()))
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter").finish_non_exhaustive()
    }
}

/// Opens frames; keeps zstd's tables from one to the next.
#[derive(Default)]
pub(super) struct FrameReader {
    decompressor: Option<Decompressor<'static>>,
    /// Bytes of the frames that were opened, as they are stored.
    opened_bytes: u64,
}

impl FrameReader {
    /// Checks the stored bytes and decompresses them into `out`, whose content is replaced.
    pub(super) fn read(&mut self, frame: Frame, stored: &[u8], out: &mut Vec<u8>) -> Decoded<()> {
        out.clear();
        frame.check(stored)?;
        self.count(stored.len());
        let raw = frame.raw as usize;
        if raw == 0 {
            return Ok(());
        }
        out.reserve_exact(raw);
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().map_err(|error| Damage(error.to_string()))?),
        };
        let len = decompressor
            .decompress_to_buffer(stored, out)
            .map_err(|error| Damage(format!("zstd: {error}")))?;
        if len == raw { Ok(()) } else { Err(Damage(format!("{len} bytes, expected {raw}"))) }
    }
}

impl FrameReader {
    /// Counts stored bytes that are read without it.
    pub(super) const fn count(&mut self, bytes: usize) {
        self.opened_bytes = self.opened_bytes.saturating_add(bytes as u64);
    }

    /// The bytes of the frames that were opened since it was last asked, as they are stored.
    pub(super) const fn take_opened_bytes(&mut self) -> u64 {
        std::mem::replace(&mut self.opened_bytes, 0)
    }

    /// As [`read`](Self::read), of a frame that is kept as it is where that is no longer.
    pub(super) fn read_or_copy(
        &mut self,
        frame: Frame,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Decoded<()> {
        if !frame.is_plain() {
            return self.read(frame, stored, out);
        }
        frame.check(stored)?;
        self.count(stored.len());
        out.clear();
        out.extend_from_slice(stored);
        Ok(())
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::VERSION;
    use super::*;

    #[test]
    fn frames_round_trip_and_damage_is_seen() {
        let (mut writer, mut reader) = (FrameWriter::new(1).unwrap(), FrameReader::default());
        for raw in [&b""[..], b"a", &[7; 300_000]] {
            let (frame, mut stored) = writer.frame(raw).unwrap();
            let mut back = Vec::new();
            let mut entry = Vec::new();
            frame.encode(&mut entry);
            assert_eq!(Frame::decode(&mut Cursor::new(&entry), VERSION), Ok(frame));
            reader.read_or_copy(frame, &stored, &mut back).unwrap();
            assert_eq!(back, raw);
            if let Some(byte) = stored.first_mut() {
                *byte ^= 1;
                assert!(reader.read_or_copy(frame, &stored, &mut back).is_err());
            }
        }
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for frame in [
            Frame { stored: 4, raw: u32::MAX, crc: 0 },
            Frame { stored: 0, raw: 1, crc: 0 },
            Frame { stored: 4, raw: 600_000, crc: 0 },
        ] {
            let mut entry = Vec::new();
            frame.encode(&mut entry);
            assert!(Frame::decode(&mut Cursor::new(&entry), VERSION).is_err(), "{frame:?}");
        }
    }
}
