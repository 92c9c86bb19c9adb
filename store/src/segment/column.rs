//! Metadata as bytes, and the columns of version 1.

use std::collections::HashMap;
use std::sync::Arc;

use super::codec::{Cursor, Damage, Decoded, put_text, put_varint, unzigzag};
use crate::{Metadata, Timestamp};

/// Reads the timestamps of `rows` rows of a block.
pub(super) fn decode_timestamps(bytes: &[u8], rows: usize) -> Decoded<Vec<Timestamp>> {
    let mut cursor = Cursor::new(bytes);
    let unit = i64::try_from(cursor.varint()?).map_err(|_| Damage::new("a unit over 63 bits"))?;
    if rows > cursor.remaining() {
        return Err(Damage(format!("{rows} timestamps in {} bytes", cursor.remaining())));
    }
    let mut timestamps = Vec::with_capacity(rows);
    let mut last = unzigzag(cursor.varint()?);
    timestamps.push(last);
    for _ in 1..rows {
        last = last.wrapping_add(unzigzag(cursor.varint()?).wrapping_mul(unit));
        timestamps.push(last);
    }
    cursor.end().map(|()| timestamps)
}

/// Reads the lengths of `rows` lines as the places where lines begin: `rows + 1` of them, the last
/// being `text_bytes`.
pub(super) fn decode_starts(bytes: &[u8], rows: usize, text_bytes: u32) -> Decoded<Vec<u32>> {
    let mut cursor = Cursor::new(bytes);
    if rows > cursor.remaining() {
        return Err(Damage(format!("{rows} lengths in {} bytes", cursor.remaining())));
    }
    let mut starts = Vec::with_capacity(rows + 1);
    let mut start = 0_u32;
    starts.push(start);
    for _ in 0..rows {
        let end = start.checked_add(cursor.varint_u32()?);
        start = end.ok_or_else(|| Damage::new("lines of over 4 GiB"))?;
        starts.push(start);
    }
    if start != text_bytes {
        return Err(Damage(format!("lines of {start} bytes in a text of {text_bytes}")));
    }
    cursor.end().map(|()| starts)
}

/// The metadata of a block's rows while it is being written.
#[derive(Debug)]
pub(super) struct MetadataBuilder {
    numbers: HashMap<Metadata, u32>,
    /// Encoded distinct sets, in the order of their numbers.
    sets: Vec<u8>,
    /// Encoded numbers of the rows' sets.
    ids: Vec<u8>,
    /// The set of the row before: rows mostly come in streaks of the same set, often sharing the
    /// allocation, which `==` looks at first.
    last: Option<(Metadata, u32)>,
}

impl MetadataBuilder {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new(), sets: Vec::new(), ids: Vec::new(), last: None }
    }

    /// Bytes of the distinct sets so far.
    pub(super) const fn set_bytes(&self) -> usize {
        self.sets.len()
    }

    /// Adds the next row's set.
    pub(super) fn push(&mut self, metadata: &Metadata) {
        let number = match &self.last {
            Some((last, number)) if last == metadata => *number,
            _ => self.number(metadata),
        };
        put_varint(&mut self.ids, u64::from(number));
    }

    fn number(&mut self, metadata: &Metadata) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = match self.numbers.get(metadata) {
            Some(number) => *number,
            None => {
                self.numbers.insert(metadata.clone(), next);
                encode_set(metadata, &mut self.sets);
                next
            }
        };
        self.last = Some((metadata.clone(), number));
        number
    }

    /// Appends the column and starts over.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let is_plain = matches!(&self.last, Some((set, _)) if set.is_empty());
        match self.numbers.len() {
            0 => {}
            1 if is_plain => {}
            sets => {
                put_varint(out, sets as u64);
                out.extend_from_slice(&self.sets);
                if sets > 1 {
                    out.extend_from_slice(&self.ids);
                }
            }
        }
        self.numbers.clear();
        self.sets.clear();
        self.ids.clear();
        self.last = None;
    }
}

fn encode_set(metadata: &Metadata, out: &mut Vec<u8>) {
    put_varint(out, metadata.len() as u64);
    for (name, value) in metadata.iter() {
        put_text(out, name);
        put_text(out, value);
    }
}

/// The decoded metadata of a block's rows.
#[derive(Clone, Debug)]
pub(super) struct MetadataColumn {
    /// The distinct sets; at least one.
    pub(super) sets: Arc<Vec<Metadata>>,
    /// The set of each row; `None` where there is one set.
    ids: Option<Arc<Vec<u32>>>,
}

impl MetadataColumn {
    pub(super) fn decode(bytes: &[u8], rows: usize) -> Decoded<Self> {
        if bytes.is_empty() {
            return Ok(Self { sets: Arc::new(vec![Metadata::default()]), ids: None });
        }
        let mut cursor = Cursor::new(bytes);
        let count = cursor.count()?;
        let sets: Vec<Metadata> =
            (0..count).map(|_| decode_set(&mut cursor)).collect::<Decoded<_>>()?;
        let ids = match count {
            0 => return Err(Damage::new("no metadata set")),
            1 => None,
            _ => Some(Arc::new(decode_ids(&mut cursor, rows, count)?)),
        };
        cursor.end()?;
        Ok(Self { sets: Arc::new(sets), ids })
    }

    /// The number of a row's set.
    pub(super) fn id(&self, row: usize) -> u32 {
        self.ids.as_ref().and_then(|ids| ids.get(row)).copied().unwrap_or_default()
    }
}

fn decode_set(cursor: &mut Cursor<'_>) -> Decoded<Metadata> {
    let pairs = cursor.count()?;
    let pair = |_| Ok((cursor.text()?, cursor.text()?));
    let pairs: Vec<(&str, &str)> = (0..pairs).map(pair).collect::<Decoded<_>>()?;
    Metadata::metadata(pairs).map_err(|error| Damage(error.to_string()))
}

fn decode_ids(cursor: &mut Cursor<'_>, rows: usize, sets: usize) -> Decoded<Vec<u32>> {
    if rows > cursor.remaining() {
        return Err(Damage(format!("{rows} metadata ids in {} bytes", cursor.remaining())));
    }
    let mut ids = Vec::with_capacity(rows);
    if rows == cursor.remaining() {
        // A byte each.
        ids.extend(cursor.bytes(rows)?.iter().map(|id| u32::from(*id)));
    } else {
        for _ in 0..rows {
            ids.push(cursor.varint_u32()?);
        }
    }
    match ids.iter().max().filter(|id| **id as usize >= sets) {
        Some(id) => Err(Damage(format!("metadata set {id} of {sets}"))),
        None => Ok(ids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_one_set_has_no_ids() {
        let mut builder = MetadataBuilder::new();
        let mut out = Vec::new();
        (0..3).for_each(|_| builder.push(&Metadata::default()));
        builder.finish(&mut out);
        assert!(out.is_empty());
        let set = Metadata::metadata([("k", ""), ("a", "b")]).unwrap();
        (0..1000).for_each(|_| builder.push(&set));
        builder.finish(&mut out);
        assert!(out.len() < 20);
        let column = MetadataColumn::decode(&out, 1000).unwrap();
        assert_eq!((column.sets[0].clone(), column.id(999)), (set, 0));
    }

    #[test]
    fn more_rows_than_bytes_is_damage() {
        assert!(decode_timestamps(&[1, 2], usize::MAX).is_err());
        assert!(decode_starts(&[1], usize::MAX, 1).is_err());
        assert!(decode_starts(&[1, 1], 2, 3).is_err());
    }
}
