//! Where columns are written to and read from: frames, each compressed and checked by itself.
//!
//! A column of some size has frames of its own, so that a reader decompresses what it needs; small
//! ones share frames, since a frame costs its checksum, its entry in the directory and zstd's start.

use std::io;

use super::super::codec::Decoded;
use super::super::frame::{Frame, FrameWriter};
use super::cells::Cells;
use super::tokens::Token;

/// Bytes of these kinds share frames where they are fewer than this: texts, which find more to refer to the more
/// there are, planes, which have their own frequencies, and random bytes, which cost a reader nothing.
const OWN_FRAME_BYTES_MIN: ByKind<u32> = [4 * 1024, 2 * 1024, 4 * 1024];

/// A shared frame is full with so many bytes: what a reader of one small column has to decompress.
const SHARED_FRAME_BYTES: u32 = 32 * 1024;

/// The last frame that texts share goes into the header where it has fewer bytes: texts there have much in
/// common with those of templates, and whoever reads a header has read as much as from many others.
const WITHIN_BYTES_END: usize = 4 * 1024;

/// Up to this level zstd takes little time, and nothing else should take much.
const HASTY_LEVEL: i32 = 1;

/// Where some bytes of a column are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::segment) struct Place {
    pub(in crate::segment) frame: u32,
    pub(in crate::segment) offset: u32,
    pub(in crate::segment) len: u32,
}

/// What bytes of columns are like. Those of one kind share frames: zstd does more for bytes that are alike, and
/// nothing for random ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::segment) enum Kind {
    Texts,
    /// Planes of integers.
    Planes,
    /// Bytes none of which are more frequent than others.
    Random,
}

/// Something for each [`Kind`].
type ByKind<T> = [T; 3];

/// Tells where the bytes of columns lie by their kind and by how many there are, one after the other: so that
/// no place is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// How many frames there are.
    frames: u32,
    /// The shared frames that are being filled, and how many bytes they have.
    shared: ByKind<Option<(u32, u32)>>,
}

impl Kind {
    const ALL: ByKind<Self> = [Self::Texts, Self::Planes, Self::Random];

    /// Whether so many bytes have a frame of their own.
    pub(super) const fn has_own_frame(self, len: u32) -> bool {
        len >= OWN_FRAME_BYTES_MIN[self as usize]
    }
}

impl Places {
    /// The place of the next bytes; none for no bytes.
    pub(super) fn next(&mut self, kind: Kind, len: u32) -> Place {
        if len == 0 {
            return Place::default();
        }
        if kind.has_own_frame(len) {
            return Place { frame: self.next_frame(), offset: 0, len };
        }
        let (frame, offset) = match self.shared[kind as usize] {
            Some(shared) => shared,
            None => (self.next_frame(), 0),
        };
        let filled = offset + len;
        let is_full = filled >= SHARED_FRAME_BYTES;
        self.shared[kind as usize] = if is_full { None } else { Some((frame, filled)) };
        Place { frame, offset, len }
    }

    /// How many frames have been begun.
    pub(super) const fn frames(&self) -> u32 {
        self.frames
    }

    const fn next_frame(&mut self) -> u32 {
        let frame = self.frames;
        self.frames = frame.saturating_add(1);
        frame
    }

    /// The number of the shared frame of a kind.
    const fn shared(&self, kind: usize) -> Option<u32> {
        match self.shared[kind] {
            Some((number, _)) => Some(number),
            None => None,
        }
    }
}

/// Takes the bytes of columns and makes frames of them.
#[derive(Debug)]
pub(in crate::segment) struct Sink {
    frames: Vec<(Frame, Vec<u8>)>,
    places: Places,
    /// The shared frames that are being filled.
    shared: ByKind<Vec<u8>>,
    /// How much frames of one column take.
    own_bytes: usize,
    /// What came to shared frames while it was weighed.
    weighed: ByKind<Vec<u8>>,
    weighs: bool,
    is_hasty: bool,
    writer: FrameWriter,
    /// For whoever [splits](super::split) texts; kept for its memory.
    pub(super) tokens: Vec<Token>,
}

/// What a [`Sink`] held at some time.
#[derive(Debug)]
pub(super) struct Mark {
    places: Places,
    shared: ByKind<Vec<u8>>,
    own_bytes: usize,
    weighed: ByKind<usize>,
}

/// What came to a [`Sink`] behind a [`Mark`], taken out.
#[derive(Debug)]
pub(super) struct Taken {
    frames: Vec<(Frame, Vec<u8>)>,
    places: Places,
    shared: ByKind<Vec<u8>>,
    /// Frames that were being filled at the mark and are full.
    filled: ByKind<Option<(Frame, Vec<u8>)>>,
    own_bytes: usize,
    weighed: ByKind<Vec<u8>>,
}

/// What came of a [`Sink`].
#[derive(Debug, Default)]
pub(in crate::segment) struct Finished {
    /// Frames with their bytes, in the order of their numbers. In place of one there may be none: its bytes
    /// belong into the header, to be compressed with it.
    pub(in crate::segment) frames: Vec<Option<(Frame, Vec<u8>)>>,
    /// These.
    pub(in crate::segment) within: Vec<u8>,
}

impl Sink {
    /// No frames yet, compressed at a level of zstd.
    pub(in crate::segment) fn new(level: i32) -> io::Result<Self> {
        Ok(Self {
            frames: Vec::new(),
            places: Places::default(),
            shared: ByKind::default(),
            own_bytes: 0,
            weighed: ByKind::default(),
            weighs: false,
            is_hasty: level <= HASTY_LEVEL,
            writer: FrameWriter::new(level)?,
            tokens: Vec::new(),
        })
    }

    /// Takes the bytes of a column, or of a part of one.
    pub(in crate::segment) fn put(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<Place> {
        let len = to_u32(bytes.len())?;
        if len == 0 {
            return Ok(Place::default());
        }
        if kind.has_own_frame(len) {
            let frame = self.writer.frame(bytes)?;
            return self.put_frame(kind, frame, len);
        }
        if self.weighs {
            self.weighed[kind as usize].extend_from_slice(bytes);
        }
        let place = self.places.next(kind, len);
        if place.frame as usize == self.frames.len() {
            self.frames.push((Frame::default(), Vec::new()));
        }
        self.shared[kind as usize].extend_from_slice(bytes);
        if self.places.shared(kind as usize).is_none() {
            self.seal_shared(kind as usize, place.frame)?;
        }
        Ok(place)
    }

    /// Compresses bytes without taking them.
    pub(super) fn compress(&mut self, bytes: &[u8]) -> io::Result<(Frame, Vec<u8>)> {
        self.writer.frame(bytes)
    }

    /// Takes `len` bytes that [`compress`](Self::compress) made a frame of: so many that it is
    /// [their own](Kind::has_own_frame).
    pub(super) fn put_frame(
        &mut self,
        kind: Kind,
        frame: (Frame, Vec<u8>),
        len: u32,
    ) -> io::Result<Place> {
        debug_assert!(kind.has_own_frame(len), "a reader would look for it in a shared frame");
        self.own_bytes += frame.1.len() + Frame::ENCODED_BYTES_ABOUT;
        self.frames.push(frame);
        Ok(self.places.next(kind, len))
    }

    fn seal_shared(&mut self, kind: usize, number: u32) -> io::Result<()> {
        self.frames[number as usize] = self.writer.frame(&self.shared[kind])?;
        self.shared[kind].clear();
        Ok(())
    }

    /// Whether time matters more than bytes.
    pub(super) const fn is_hasty(&self) -> bool {
        self.is_hasty
    }

    /// How many bytes would be stored by now.
    pub(super) fn stored_bytes(&mut self) -> io::Result<usize> {
        let own = self.frames.iter().map(|(_, stored)| stored.len() + Frame::ENCODED_BYTES_ABOUT);
        let mut bytes = own.sum();
        for shared in &self.shared {
            bytes += self.writer.frame(shared)?.1.len();
        }
        Ok(bytes)
    }

    /// Whether what comes is to be [weighed](Self::weight_behind) from now on. Returns whether it was.
    pub(super) fn weigh(&mut self, weighs: bool) -> bool {
        if !weighs {
            self.weighed.iter_mut().for_each(Vec::clear);
        }
        std::mem::replace(&mut self.weighs, weighs)
    }

    /// How many bytes what came behind a mark takes, about.
    pub(super) fn weight_behind(&mut self, mark: &Mark) -> io::Result<usize> {
        let mut bytes = self.own_bytes - mark.own_bytes;
        for kind in Kind::ALL {
            let weighed = &self.weighed[kind as usize][mark.weighed[kind as usize]..];
            let alone = self.writer.frame(weighed)?.1.len();
            bytes += match kind {
                Kind::Random => alone,
                // By itself it is compressed without what it will share the frame's tables with.
                Kind::Texts | Kind::Planes => alone.min(weighed.len() / 2),
            };
        }
        Ok(bytes)
    }

    /// Remembers what is there.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            places: self.places,
            shared: self.shared.clone(),
            own_bytes: self.own_bytes,
            weighed: self.weighed.each_ref().map(Vec::len),
        }
    }

    /// Takes out what came behind a mark.
    pub(super) fn take(&mut self, mark: &Mark) -> Taken {
        let filled = std::array::from_fn(|kind| {
            let number = mark.places.shared(kind);
            let filled = number.filter(|number| self.places.shared(kind) != Some(*number));
            filled.map(|number| std::mem::take(&mut self.frames[number as usize]))
        });
        let weighed = std::array::from_fn(|kind| self.weighed[kind].split_off(mark.weighed[kind]));
        Taken {
            frames: self.frames.split_off(mark.places.frames as usize),
            places: std::mem::replace(&mut self.places, mark.places),
            shared: std::mem::replace(&mut self.shared, mark.shared.clone()),
            filled,
            own_bytes: std::mem::replace(&mut self.own_bytes, mark.own_bytes),
            weighed,
        }
    }

    /// Puts back what was taken out, where nothing came in between.
    pub(super) fn put_back(&mut self, taken: Taken) {
        for (kind, filled) in taken.filled.into_iter().enumerate() {
            if let (Some(number), Some(filled)) = (self.places.shared(kind), filled) {
                self.frames[number as usize] = filled;
            }
        }
        self.frames.extend(taken.frames);
        self.places = taken.places;
        self.shared = taken.shared;
        self.own_bytes = taken.own_bytes;
        for (weighed, taken) in self.weighed.iter_mut().zip(taken.weighed) {
            weighed.extend(taken);
        }
    }

    /// The frames with their bytes, in the order of their numbers. There are none then.
    pub(in crate::segment) fn finish(&mut self) -> io::Result<Finished> {
        let places = std::mem::take(&mut self.places);
        self.own_bytes = 0;
        let mut within = None;
        for kind in Kind::ALL {
            let Some(number) = places.shared(kind as usize) else { continue };
            if kind == Kind::Texts && self.shared[kind as usize].len() < WITHIN_BYTES_END {
                within = Some((number as usize, std::mem::take(&mut self.shared[kind as usize])));
            } else {
                self.seal_shared(kind as usize, number)?;
            }
        }
        let mut frames: Vec<_> = std::mem::take(&mut self.frames).into_iter().map(Some).collect();
        let within = within.map_or_else(Vec::new, |(number, bytes)| {
            frames[number] = None;
            bytes
        });
        Ok(Finished { frames, within })
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
