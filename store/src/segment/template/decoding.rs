//! Reading how texts are stored.

use super::super::codec::{Cursor, Damage, Decoded};
use super::sink::{Kind, Place, Places};

/// A description that is being read.
#[derive(Debug)]
pub(in crate::segment) struct Decoding {
    /// The version of the segment.
    pub(super) version: u32,
    cells: u32,
    places: Places,
}

impl Decoding {
    /// Of a description in a segment of some version.
    pub(in crate::segment) fn new(version: u32) -> Self {
        Self { version, cells: 0, places: Places::default() }
    }

    /// Whether the version is one before 5, in which places were stored.
    pub(super) const fn is_older(&self) -> bool {
        self.version < 5
    }

    /// The number of the next column's cell.
    pub(super) const fn cell(&mut self) -> u32 {
        let cell = self.cells;
        self.cells = cell.saturating_add(1);
        cell
    }

    /// How many cells its columns have.
    pub(in crate::segment) const fn cells(&self) -> u32 {
        self.cells
    }

    /// How many frames its columns lie in; not known of older versions.
    pub(in crate::segment) fn frames(&self) -> Option<u32> {
        (!self.is_older()).then(|| self.places.frames())
    }

    /// The place of the next bytes of a kind, of which there are so many.
    pub(super) fn place(
        &mut self,
        cursor: &mut Cursor<'_>,
        kind: Kind,
        len: u64,
    ) -> Decoded<Place> {
        if self.is_older() {
            return place(cursor);
        }
        let len = u32::try_from(len).map_err(|_| Damage::new("a column of over 4 GiB"))?;
        Ok(self.places.next(kind, len))
    }

    /// The place of the next bytes of texts, whose number is stored.
    pub(in crate::segment) fn place_of_texts(&mut self, cursor: &mut Cursor<'_>) -> Decoded<Place> {
        if self.is_older() {
            return place(cursor);
        }
        Ok(self.places.next(Kind::Texts, cursor.varint_u32()?))
    }
}

/// A place as it was stored before version 5.
fn place(cursor: &mut Cursor<'_>) -> Decoded<Place> {
    let (frame, offset) = (cursor.varint_u32()?, cursor.varint_u32()?);
    Ok(Place { frame, offset, len: cursor.varint_u32()? })
}
