//! Append-only files of checked records: what the write-ahead log and the manifest are made of.
//!
//! ```text
//! file:   magic 8 | version u32 | first sequence u64 | crc32c u32 of the 20 bytes before | record*
//! record: length u32 of the payload | crc32c u32 | sequence u64 | payload
//! ```
//! Numbers are little-endian. A record's checksum is taken over the payload and then the sequence, so
//! that a writer can sum up a payload before it knows its place. Sequences count up by one from record
//! to record: bytes that are left from anything else do not pass for the next record.

use crate::codec::Reader;

/// Bytes of a file's header.
pub(crate) const HEADER_BYTES: usize = 24;
/// Bytes of a record in front of its payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 16;

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Its first bytes.
    pub(crate) magic: [u8; 8],
    /// The version that is written, and the newest that is read. Older ones are read too: what a version
    /// adds is told by tags in the payload.
    pub(crate) version: u32,
}

/// A file's first bytes.
pub(crate) fn header(format: Format, first_sequence: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&format.magic);
    header[8..12].copy_from_slice(&format.version.to_le_bytes());
    header[12..20].copy_from_slice(&first_sequence.to_le_bytes());
    let crc = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Appends a record made of `parts` in turn. `payload_crc` is [`payload_crc`] of the same parts and
/// `payload_len` the sum of their lengths.
pub(crate) fn put_record(
    out: &mut Vec<u8>,
    sequence: u64,
    payload_len: u32,
    payload_crc: u32,
    parts: &[&[u8]],
) {
    let crc = crc32c::crc32c_append(payload_crc, &sequence.to_le_bytes());
    out.extend_from_slice(&payload_len.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The checksum of a payload that comes in parts.
pub(crate) fn payload_crc(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}

/// Why a file's header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// Too short, another kind of file, or its checksum is wrong.
    Damaged,
    /// Whole, but of a later version.
    Version(u32),
}

/// The records of a file, up to its end or the first that is not whole.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    reader: Reader<'a>,
    next_sequence: u64,
    /// Set once bytes were met that are no record.
    is_torn: bool,
}

impl<'a> Records<'a> {
    /// Reads the header.
    pub(crate) fn open(format: Format, bytes: &'a [u8]) -> Result<Self, BadHeader> {
        let mut reader = Reader::new(bytes);
        let head = reader.take(HEADER_BYTES).ok_or(BadHeader::Damaged)?;
        let (fields, crc) = head.split_at(20);
        if fields[..8] != format.magic || crc32c::crc32c(fields).to_le_bytes() != *crc {
            return Err(BadHeader::Damaged);
        }
        let (Some(version), Some(next_sequence)) = (u32_le(&fields[8..]), u64_le(&fields[12..]))
        else {
            return Err(BadHeader::Damaged);
        };
        match version {
            0 => return Err(BadHeader::Damaged),
            newer if newer > format.version => return Err(BadHeader::Version(newer)),
            _ => {}
        }
        Ok(Self { reader, next_sequence, is_torn: false })
    }

    /// As [`open`](Self::open) for a file whose header cannot be read, the records of which are wanted from
    /// `next_sequence` on. Begins with bytes that are none: see [`resume`](Self::resume).
    pub(crate) const fn without_header(bytes: &'a [u8], next_sequence: u64) -> Self {
        Self { reader: Reader::new(bytes), next_sequence, is_torn: true }
    }

    /// The sequence of the record that comes next, or would.
    pub(crate) const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Whether there are bytes behind the last whole record. Known once the iterator has ended.
    pub(crate) const fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// The bytes behind the last record that was read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// Passes over a second copy of the record that was read last.
    pub(crate) fn skip_copy(&mut self) {
        let mut reader = self.reader.clone();
        let copy = whole_record(&mut reader, |sequence| {
            sequence.checked_add(1) == Some(self.next_sequence)
        });
        if copy.is_some() {
            self.reader = reader;
        }
    }

    /// Goes on with the first whole record of a sequence of at least `from` behind bytes that are none.
    /// Returns its sequence; `None` when there is no such record, and then stays where it was.
    pub(crate) fn resume(&mut self, from: u64) -> Option<u64> {
        let rest = self.reader.rest();
        // Each record between takes at least its header.
        let most = self.next_sequence.saturating_add(crate::codec::len_u64(rest));
        let found = (1..rest.len()).find_map(|start| {
            let is_later = |sequence| (from..most).contains(&sequence);
            let (sequence, _) = whole_record(&mut Reader::new(&rest[start..]), is_later)?;
            Some((start, sequence))
        });
        let (start, sequence) = found?;
        self.reader = Reader::new(&rest[start..]);
        self.next_sequence = sequence;
        self.is_torn = false;
        Some(sequence)
    }

    fn record(&mut self) -> Option<(u64, &'a [u8])> {
        let mut reader = self.reader.clone();
        let (sequence, payload) = whole_record(&mut reader, |next| next == self.next_sequence)?;
        self.reader = reader;
        self.next_sequence = sequence.checked_add(1)?;
        Some((sequence, payload))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_torn || self.reader.is_empty() {
            return None;
        }
        let record = self.record();
        self.is_torn = record.is_none();
        record
    }
}

/// A record of a sequence that is right, and whose checksum is. The sequence is looked at first: it tells
/// most bytes that are no record without summing up what their length says.
fn whole_record<'a>(
    reader: &mut Reader<'a>,
    is_right: impl Fn(u64) -> bool,
) -> Option<(u64, &'a [u8])> {
    let head = reader.take(RECORD_HEADER_BYTES)?;
    let payload_len = usize::try_from(u32_le(head)?).ok()?;
    let (crc, sequence) = (u32_le(&head[4..])?, u64_le(&head[8..])?);
    if !is_right(sequence) {
        return None;
    }
    let payload = reader.take(payload_len)?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(payload), &sequence.to_le_bytes());
    (crc == expected).then_some((sequence, payload))
}

fn u32_le(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_le(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { magic: *b"TESTFILE", version: 2 };

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = header(FORMAT, 7).to_vec();
        for (sequence, payload) in (7..).zip(payloads) {
            let len = u32::try_from(payload.len()).unwrap();
            put_record(&mut out, sequence, len, payload_crc(&[payload]), &[payload]);
        }
        out
    }

    #[test]
    fn records_read_back_with_their_sequences() {
        let bytes = file(&[b"one", b"", b"three"]);
        let mut records = Records::open(FORMAT, &bytes).unwrap();
        let read: Vec<_> = records.by_ref().collect();
        assert_eq!(read, [(7, &b"one"[..]), (8, b""), (9, b"three")]);
        assert!(!records.is_torn());
        assert_eq!(records.next_sequence(), 10);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_ends_the_records_before_it() {
        let bytes = file(&[b"one", b"two"]);
        for cut in 0..bytes.len() {
            let Ok(records) = Records::open(FORMAT, &bytes[..cut]) else {
                assert!(cut < HEADER_BYTES);
                continue;
            };
            assert_eq!(records.count(), (cut - HEADER_BYTES) / (RECORD_HEADER_BYTES + 3));
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let whole = (bit / 8).saturating_sub(HEADER_BYTES) / (RECORD_HEADER_BYTES + 3);
            match Records::open(FORMAT, &bytes) {
                Ok(records) => assert_eq!(records.count(), whole, "bit {bit}"),
                Err(_) => assert!(bit / 8 < HEADER_BYTES),
            }
        }
    }

    #[test]
    fn a_record_out_of_turn_is_none() {
        let mut bytes = file(&[b"one"]);
        let again = bytes[HEADER_BYTES..].to_vec();
        bytes.extend(again);
        let mut records = Records::open(FORMAT, &bytes).unwrap();
        assert_eq!(records.by_ref().count(), 1);
        assert!(records.is_torn());
    }

    #[test]
    fn reading_goes_on_behind_damage() {
        let mut bytes = file(&[b"one", b"two", b"three"]);
        bytes[HEADER_BYTES + RECORD_HEADER_BYTES + 3] ^= 1;
        let mut records = Records::open(FORMAT, &bytes).unwrap();
        assert_eq!(records.by_ref().count(), 1);
        assert_eq!(records.resume(10), None);
        assert!(records.is_torn());
        assert_eq!(records.resume(8), Some(9));
        assert_eq!(records.by_ref().collect::<Vec<_>>(), [(9, &b"three"[..])]);
        assert!(!records.is_torn());
    }

    #[test]
    fn copies_are_passed_over() {
        let mut bytes = file(&[b"one"]);
        bytes.extend(file(&[b"one", b"two"]).split_off(HEADER_BYTES));
        let mut records = Records::open(FORMAT, &bytes).unwrap();
        assert_eq!(records.next(), Some((7, &b"one"[..])));
        records.skip_copy();
        assert_eq!(records.next(), Some((8, &b"two"[..])));
        records.skip_copy();
        assert_eq!(records.next(), None);
    }

    #[test]
    fn an_earlier_version_is_read() {
        let mut bytes = header(Format { version: 1, ..FORMAT }, 7).to_vec();
        put_record(&mut bytes, 7, 1, payload_crc(&[b"x"]), &[b"x"]);
        let read: Vec<_> = Records::open(FORMAT, &bytes).unwrap().collect();
        assert_eq!(read, [(7, &b"x"[..])]);
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut bytes = header(FORMAT, 1);
        bytes[8] = 3;
        assert_eq!(Records::open(FORMAT, &bytes).unwrap_err(), BadHeader::Damaged);
        let crc = crc32c::crc32c(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Records::open(FORMAT, &bytes).unwrap_err(), BadHeader::Version(3));
    }
}
