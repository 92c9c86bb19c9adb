//! How many rows and bytes of lines there are in each minute of a run.
//!
//! ```text
//! per run, in the order of the stream table
//!   minutes varint │ minutes × { minute - minute before varint │ rows varint │ line bytes varint }
//! ```
//!
//! The last minute has the rows and bytes that are left of the run's, which are not stored (they are before version 6).
//!
//! Minutes are counted from the Unix epoch; the first is told from that of the run's first row. A minute
//! does not have its beginning and has its end, as LogQL's windows do. A run with few rows in a minute
//! has no minutes: its timestamps are as quickly counted.

use super::codec::{Cursor, Damage, Decoded, put_varint};
use super::stream_table::Run;
use crate::Timestamp;

/// A minute in nanoseconds.
const MINUTE: i64 = 60_000_000_000;

/// Runs with fewer rows in a minute have none.
const ROWS_PER_MINUTE_MIN: usize = 16;

/// How much there is of a chunk in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// A multiple of 60 seconds since the Unix epoch, in nanoseconds. Entries are behind it.
    pub start: Timestamp,
    /// Entries.
    pub rows: u64,
    /// Bytes of their lines.
    pub line_bytes: u64,
}

impl Minute {
    /// The first timestamp that is in it.
    #[must_use]
    pub const fn first(&self) -> Timestamp {
        self.start.saturating_add(1)
    }

    /// The last timestamp that is in it.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.start.saturating_add(MINUTE)
    }
}

/// The minutes of runs while they are written.
#[derive(Debug, Default)]
pub(super) struct Minutes {
    /// Of the run that is being written.
    current: Vec<Minute>,
    bytes: Vec<u8>,
}

fn start_of(timestamp: Timestamp) -> Timestamp {
    let before = timestamp.saturating_sub(1);
    before.saturating_sub(before.rem_euclid(MINUTE))
}

impl Minutes {
    /// Adds a row, whose timestamp is not before that of the row before.
    pub(super) fn add(&mut self, timestamp: Timestamp, line_bytes: u64) {
        match self.current.last_mut() {
            Some(last) if timestamp <= last.last() => {
                last.rows += 1;
                last.line_bytes += line_bytes;
            }
            _ => self.current.push(Minute { start: start_of(timestamp), rows: 1, line_bytes }),
        }
    }

    pub(super) fn end_run(&mut self, run: &Run) {
        let is_dense = run.rows as usize >= self.current.len() * ROWS_PER_MINUTE_MIN;
        // Differences have to fit, and minutes begin before their first row.
        let is_sane = run.last.checked_sub(run.first).is_some() && run.first > i64::MIN + MINUTE;
        if !is_dense || !is_sane {
            self.current.clear();
        }
        put_varint(&mut self.bytes, self.current.len() as u64);
        let mut before = start_of(run.first);
        let last = self.current.len().saturating_sub(1);
        for (number, minute) in self.current.drain(..).enumerate() {
            put_varint(&mut self.bytes, (minute.start.abs_diff(before)) / MINUTE.unsigned_abs());
            if number < last {
                put_varint(&mut self.bytes, minute.rows);
                put_varint(&mut self.bytes, minute.line_bytes);
            }
            before = minute.start;
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The minutes of each run, in the order of the stream table.
#[derive(Debug)]
pub(super) struct MinuteTable {
    minutes: Vec<Minute>,
    /// Where each run's end.
    ends: Vec<u32>,
}

impl MinuteTable {
    /// Reads the minutes of runs, of a segment of some version, and checks that they add up.
    pub(super) fn decode(
        bytes: &[u8],
        runs: impl Iterator<Item = Run>,
        version: u32,
    ) -> Decoded<Self> {
        let cursor = &mut Cursor::new(bytes);
        let mut table = Self { minutes: Vec::new(), ends: Vec::new() };
        for run in runs {
            let (mut before, mut rows, mut line_bytes) =
                (start_of(run.first), u64::from(run.rows), run.line_bytes);
            let count = cursor.count()?;
            for number in 1..=count {
                let distance = i64::try_from(cursor.varint()?).ok();
                let distance = distance.and_then(|distance| distance.checked_mul(MINUTE));
                let start = distance.and_then(|distance| before.checked_add(distance));
                let start = start.ok_or_else(|| Damage::new("a minute beyond all time"))?;
                let minute = match version >= 6 && number == count {
                    true => Minute { start, rows, line_bytes },
                    false => Minute { start, rows: cursor.varint()?, line_bytes: cursor.varint()? },
                };
                let left = rows.checked_sub(minute.rows);
                let left = left.zip(line_bytes.checked_sub(minute.line_bytes));
                let beyond = || Damage(format!("minutes of more than {} rows", run.rows));
                (rows, line_bytes) = left.ok_or_else(beyond)?;
                before = start;
                table.minutes.push(minute);
            }
            if count > 0 && (rows, line_bytes) != (0, 0) {
                return Err(Damage(format!("minutes without {rows} of {} rows", run.rows)));
            }
            table.ends.push(u32::try_from(table.minutes.len()).unwrap_or(u32::MAX));
        }
        cursor.end().map(|()| table)
    }

    /// The minutes of a run; none where they were not worth keeping.
    pub(super) fn of_run(&self, run: usize) -> &[Minute] {
        let start = run.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let span = start.zip(self.ends.get(run).copied());
        let minutes = span.and_then(|(start, end)| self.minutes.get(start as usize..end as usize));
        minutes.unwrap_or_default()
    }
}
