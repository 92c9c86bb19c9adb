//! The timestamps of a group.

use std::io;

use crate::Timestamp;
use crate::inspect::ColumnReport;
use crate::segment::codec::{Cursor, Damage, Decoded, put_varint, unzigzag, zigzag};
use crate::segment::template::{Decoding, IntColumn, Sink, Source};

/// Units that timestamps are tried in, largest first: many agents stamp in micro-, milli- or whole
/// seconds.
const UNITS: [i64; 3] = [1_000_000_000, 1_000_000, 1_000];

/// How timestamps are stored: as multiples of a unit behind the earliest.
#[derive(Debug)]
pub(super) struct Times {
    first: Timestamp,
    unit: i64,
    column: IntColumn,
}

impl Times {
    pub(super) fn write(timestamps: &[Timestamp], sink: &mut Sink) -> io::Result<Self> {
        let first = timestamps.iter().copied().min().unwrap_or_default();
        let behind = |timestamp: &Timestamp| timestamp.wrapping_sub(first).cast_unsigned();
        let divides = |unit: &i64| {
            timestamps.iter().all(|timestamp| behind(timestamp) % unit.unsigned_abs() == 0)
        };
        let unit = UNITS.into_iter().find(divides).unwrap_or(1);
        let units: Vec<u64> =
            timestamps.iter().map(|timestamp| behind(timestamp) / unit.unsigned_abs()).collect();
        Ok(Self { first, unit, column: IntColumn::write(&units, sink)? })
    }

    /// How they are stored, in words.
    pub(super) fn describe(&self) -> ColumnReport {
        let coding = format!("units of {} ns, {}", self.unit, self.column.describe());
        ColumnReport { coding, encoded_bytes: self.column.encoded_bytes() }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, zigzag(self.first));
        put_varint(out, self.unit.cast_unsigned());
        self.column.encode(out);
    }

    pub(super) fn decode(
        cursor: &mut Cursor<'_>,
        rows: u32,
        decoding: &mut Decoding,
    ) -> Decoded<Self> {
        let (first, unit) = (unzigzag(cursor.varint()?), cursor.varint()?);
        let unit = i64::try_from(unit).map_err(|_| Damage::new("a unit over 63 bits"))?;
        Ok(Self { first, unit, column: IntColumn::decode(cursor, rows, decoding)? })
    }

    pub(super) fn read(&self, rows: usize, source: &impl Source) -> Decoded<Vec<Timestamp>> {
        let time =
            |units: u64| self.first.wrapping_add(units.cast_signed().wrapping_mul(self.unit));
        Ok(self.column.read::<u64>(rows, source)?.into_iter().map(time).collect())
    }
}
