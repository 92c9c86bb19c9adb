//! Where columns are written to and read from: frames, each compressed and checked by itself.
//!
//! A column of some size has frames of its own, so that a reader decompresses what it needs; small
//! ones share frames, since a frame costs its checksum, its entry in the directory and zstd's start.

use std::io;

use super::super::codec::{Cursor, Decoded, put_varint};
use super::super::frame::{Frame, FrameWriter};
use super::cells::Cells;

/// Columns smaller than this share frames.
const OWN_FRAME_BYTES_MIN: usize = 2 * 1024;

/// A shared frame is full with so many bytes: what a reader of one small column has to decompress.
const SHARED_FRAME_BYTES: usize = 32 * 1024;

/// Up to this level zstd takes little time, and nothing else should take much.
const HASTY_LEVEL: i32 = 1;

/// Where some bytes of a column are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::segment) struct Place {
    pub(in crate::segment) frame: u32,
    pub(in crate::segment) offset: u32,
    pub(in crate::segment) len: u32,
}

impl Place {
    pub(in crate::segment) fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, self.frame.into());
        put_varint(out, self.offset.into());
        put_varint(out, self.len.into());
    }

    pub(in crate::segment) fn decode(cursor: &mut Cursor<'_>) -> Decoded<Self> {
        let (frame, offset) = (cursor.varint_u32()?, cursor.varint_u32()?);
        Ok(Self { frame, offset, len: cursor.varint_u32()? })
    }
}

/// Takes the bytes of columns and makes frames of them.
#[derive(Debug)]
pub(in crate::segment) struct Sink {
    frames: Vec<(Frame, Vec<u8>)>,
    /// The shared frame that is being filled, and its number.
    shared: Vec<u8>,
    shared_number: Option<usize>,
    /// How much frames of one column take.
    own_bytes: usize,
    /// What came to shared frames while it was weighed.
    weighed: Vec<u8>,
    weighs: bool,
    is_hasty: bool,
    writer: FrameWriter,
}

/// What a [`Sink`] held at some time.
#[derive(Debug)]
pub(super) struct Mark {
    frames: usize,
    shared: Vec<u8>,
    shared_number: Option<usize>,
    own_bytes: usize,
    weighed: usize,
}

/// What came to a [`Sink`] behind a [`Mark`], taken out.
#[derive(Debug)]
pub(super) struct Taken {
    frames: Vec<(Frame, Vec<u8>)>,
    shared: Vec<u8>,
    shared_number: Option<usize>,
    /// A frame that was being filled at the mark and is full.
    filled: Option<(Frame, Vec<u8>)>,
    own_bytes: usize,
    weighed: Vec<u8>,
}

impl Sink {
    /// No frames yet, compressed at a level of zstd.
    pub(in crate::segment) fn new(level: i32) -> io::Result<Self> {
        Ok(Self {
            frames: Vec::new(),
            shared: Vec::new(),
            shared_number: None,
            own_bytes: 0,
            weighed: Vec::new(),
            weighs: false,
            is_hasty: level <= HASTY_LEVEL,
            writer: FrameWriter::new(level)?,
        })
    }

    /// Takes the bytes of a column, or of a part of one.
    pub(in crate::segment) fn put(&mut self, bytes: &[u8]) -> io::Result<Place> {
        if bytes.len() >= OWN_FRAME_BYTES_MIN {
            let frame = self.writer.frame(bytes)?;
            return self.put_frame(frame, bytes.len());
        }
        if self.weighs {
            self.weighed.extend_from_slice(bytes);
        }
        let len = to_u32(bytes.len())?;
        let number = match self.shared_number {
            Some(number) => number,
            None => {
                self.frames.push((Frame::default(), Vec::new()));
                self.frames.len() - 1
            }
        };
        self.shared_number = Some(number);
        let place = Place { frame: to_u32(number)?, offset: to_u32(self.shared.len())?, len };
        self.shared.extend_from_slice(bytes);
        if self.shared.len() >= SHARED_FRAME_BYTES {
            self.seal_shared()?;
        }
        Ok(place)
    }

    /// Whether bytes of this length would have frames of their own.
    pub(super) const fn has_own_frame(len: usize) -> bool {
        len >= OWN_FRAME_BYTES_MIN
    }

    /// Compresses bytes without taking them.
    pub(super) fn compress(&mut self, bytes: &[u8]) -> io::Result<(Frame, Vec<u8>)> {
        self.writer.frame(bytes)
    }

    /// Takes bytes that [`compress`](Self::compress) made of `len` bytes.
    pub(super) fn put_frame(&mut self, frame: (Frame, Vec<u8>), len: usize) -> io::Result<Place> {
        let place = Place { frame: to_u32(self.frames.len())?, offset: 0, len: to_u32(len)? };
        self.own_bytes += frame.1.len() + Frame::ENCODED_BYTES;
        self.frames.push(frame);
        Ok(place)
    }

    fn seal_shared(&mut self) -> io::Result<()> {
        if let Some(number) = self.shared_number.take() {
            self.frames[number] = self.writer.frame(&self.shared)?;
            self.shared.clear();
        }
        Ok(())
    }

    /// Whether time matters more than bytes.
    pub(super) const fn is_hasty(&self) -> bool {
        self.is_hasty
    }

    /// How many bytes would be stored by now.
    pub(super) fn stored_bytes(&mut self) -> io::Result<usize> {
        let own = self.frames.iter().map(|(_, stored)| stored.len() + Frame::ENCODED_BYTES);
        Ok(own.sum::<usize>() + self.writer.frame(&self.shared)?.1.len())
    }

    /// Whether what comes is to be [weighed](Self::weight_behind) from now on. Returns whether it was.
    pub(super) fn weigh(&mut self, weighs: bool) -> bool {
        if !weighs {
            self.weighed.clear();
        }
        std::mem::replace(&mut self.weighs, weighs)
    }

    /// How many bytes what came behind a mark takes, about.
    pub(super) fn weight_behind(&mut self, mark: &Mark) -> io::Result<usize> {
        let shared = &self.weighed[mark.weighed..];
        // By itself it is compressed without what it will share the frame's tables with.
        let shared_bytes = self.writer.frame(shared)?.1.len().min(shared.len() / 2);
        Ok(self.own_bytes - mark.own_bytes + shared_bytes)
    }

    /// Remembers what is there.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            frames: self.frames.len(),
            shared: self.shared.clone(),
            shared_number: self.shared_number,
            own_bytes: self.own_bytes,
            weighed: self.weighed.len(),
        }
    }

    /// Takes out what came behind a mark.
    pub(super) fn take(&mut self, mark: &Mark) -> Taken {
        let filled = mark.shared_number.filter(|number| self.shared_number != Some(*number));
        let filled = filled.map(|number| std::mem::take(&mut self.frames[number]));
        Taken {
            frames: self.frames.split_off(mark.frames),
            shared: std::mem::replace(&mut self.shared, mark.shared.clone()),
            shared_number: std::mem::replace(&mut self.shared_number, mark.shared_number),
            filled,
            own_bytes: std::mem::replace(&mut self.own_bytes, mark.own_bytes),
            weighed: self.weighed.split_off(mark.weighed),
        }
    }

    /// Puts back what was taken out, where nothing came in between.
    pub(super) fn put_back(&mut self, taken: Taken) {
        if let (Some(number), Some(filled)) = (self.shared_number, taken.filled) {
            self.frames[number] = filled;
        }
        self.frames.extend(taken.frames);
        self.shared = taken.shared;
        self.shared_number = taken.shared_number;
        self.own_bytes = taken.own_bytes;
        self.weighed.extend(taken.weighed);
    }

    /// The frames with their bytes, in the order of their numbers.
    pub(in crate::segment) fn finish(&mut self) -> io::Result<Vec<(Frame, Vec<u8>)>> {
        self.seal_shared()?;
        Ok(std::mem::take(&mut self.frames))
    }
}

fn to_u32(value: usize) -> io::Result<u32> {
    u32::try_from(value).map_err(io::Error::other)
}

/// Where the bytes of columns come from.
pub(in crate::segment) trait Source {
    /// Calls back with the bytes at a place.
    ///
    /// # Errors
    /// Frames that are damaged or not there.
    fn with<T>(&self, place: Place, read: impl FnOnce(&[u8]) -> Decoded<T>) -> Decoded<T>;

    /// What was read of the columns.
    fn cells(&self) -> &Cells;
}
