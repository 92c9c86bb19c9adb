//! The stream table: the labels and totals of every stream, and where its rows are.
//!
//! Once decompressed it stays as it is; a stream is parsed from its bytes when it is looked at. With
//! its strings stored once, a stream of six labels takes some 30 bytes so, against some 500 bytes in
//! a dozen allocations as a label set.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use super::SegmentMeta;
use super::codec::{Cursor, Damage, Decoded, put_text, put_varint, unzigzag};
use crate::{Labels, Matcher, TenantId, Timestamp};

/// The part of a stream that is in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) block: u32,
    /// The first row, counted in the block.
    pub(super) row: u32,
    pub(super) rows: u32,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) line_bytes: u64,
}

impl Run {
    /// A run without rows yet, whose first is the next of a block.
    pub(super) fn begin(block: usize, row: usize, first: Timestamp) -> Self {
        let block = u32::try_from(block).unwrap_or(u32::MAX);
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        Self { block, row, rows: 0, first, last: first, line_bytes: 0 }
    }
}

/// What the writer knows of a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamRecord {
    pub(super) tenant: TenantId,
    pub(super) labels: Labels,
    pub(super) totals: Totals,
    /// Its runs, in the writer's list.
    pub(super) runs: Range<usize>,
}

/// How much there is of a stream, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) rows: u64,
    pub(super) line_bytes: u64,
    pub(super) metadata_bytes: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// The table's bytes, before compression, of a segment with this first and last timestamp.
pub(super) fn encode(
    streams: &[StreamRecord],
    runs: &[Run],
    within: (Timestamp, Timestamp),
) -> Vec<u8> {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    let mut strings: Vec<&str> = Vec::new();
    let mut body = Vec::new();
    for stream in streams {
        put_varint(&mut body, stream.labels.len() as u64);
        for text in stream.labels.iter().flat_map(|(name, value)| [name, value]) {
            let number = *numbers.entry(text).or_insert_with(|| {
                strings.push(text);
                strings.len() as u64 - 1
            });
            put_varint(&mut body, number);
        }
        encode_totals(&stream.totals, within, &mut body);
        let runs = runs.get(stream.runs.clone()).unwrap_or_default();
        encode_runs(&stream.totals, runs, &mut body);
    }
    let mut out = Vec::with_capacity(body.len());
    put_varint(&mut out, strings.len() as u64);
    strings.iter().for_each(|text| put_varint(&mut out, text.len() as u64));
    strings.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
    encode_tenants(streams, &mut out);
    out.extend_from_slice(&body);
    out
}

fn encode_tenants(streams: &[StreamRecord], out: &mut Vec<u8>) {
    let tenants = || streams.chunk_by(|a, b| a.tenant == b.tenant);
    put_varint(out, tenants().count() as u64);
    for streams in tenants() {
        put_text(out, streams.first().map_or("", |stream| stream.tenant.as_str()));
        put_varint(out, streams.len() as u64);
    }
}

fn encode_totals(totals: &Totals, (first, last): (Timestamp, Timestamp), out: &mut Vec<u8>) {
    put_varint(out, totals.rows);
    put_varint(out, totals.line_bytes);
    put_varint(out, totals.metadata_bytes);
    put_varint(out, totals.first.wrapping_sub(first).cast_unsigned());
    let (span, to_end) = (totals.last.abs_diff(totals.first), last.abs_diff(totals.last));
    // The two together are no more than the segment's span, so that the lesser has less than 64 bits.
    put_varint(out, span.min(to_end) << 1 | u64::from(span < to_end));
}

fn encode_runs(totals: &Totals, runs: &[Run], out: &mut Vec<u8>) {
    put_varint(out, runs.len() as u64);
    let mut block = 0;
    for run in runs {
        put_varint(out, u64::from(run.block - block));
        put_varint(out, u64::from(run.row));
        block = run.block;
        if let [only] = runs {
            // All the stream has.
            debug_assert_eq!((u64::from(only.rows), only.first), (totals.rows, totals.first));
            debug_assert_eq!((only.last, only.line_bytes), (totals.last, totals.line_bytes));
            return;
        }
        put_varint(out, u64::from(run.rows));
        put_varint(out, run.first.wrapping_sub(totals.first).cast_unsigned());
        put_varint(out, run.last.wrapping_sub(run.first).cast_unsigned());
        put_varint(out, run.line_bytes);
    }
}

/// How the totals and runs of streams are stored.
#[derive(Clone, Copy, Debug)]
enum Coding {
    /// Before version 6: each stream has its first timestamp, and each run all its numbers.
    Older,
    /// Timestamps refer to the first and the last of the segment, and the only run of a stream has all that
    /// the stream has.
    Relative { first: Timestamp, last: Timestamp },
}

impl Coding {
    const fn of(version: u32, meta: &SegmentMeta) -> Self {
        match version {
            ..6 => Self::Older,
            _ => Self::Relative { first: meta.first, last: meta.last },
        }
    }
}

/// A decompressed, checked stream table.
#[derive(Debug)]
pub(super) struct StreamTable {
    bytes: Vec<u8>,
    coding: Coding,
    /// All strings in a row, and where each ends.
    strings: String,
    string_ends: Vec<u32>,
    tenants: Vec<(TenantId, Range<u32>)>,
    /// Where each stream begins in `bytes`.
    offsets: Vec<u32>,
    /// How many runs there are before each stream's.
    runs_before: Vec<u32>,
    /// The first stream that has rows in each block.
    first_of_blocks: Vec<u32>,
}

/// One stream of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream<'a> {
    table: &'a StreamTable,
    pairs: Cursor<'a>,
    pair_count: usize,
    runs: Cursor<'a>,
    runs_before: u32,
    pub(super) totals: Totals,
}

impl StreamTable {
    /// Takes the decompressed bytes and parses all of them once, so that damage is seen here.
    ///
    /// It is that of a segment of some version, which has so much and so many rows in each block.
    pub(super) fn decode(
        bytes: Vec<u8>,
        meta: &SegmentMeta,
        version: u32,
        block_rows: &[u32],
    ) -> Decoded<Self> {
        let (coding, streams) = (Coding::of(version, meta), meta.streams);
        let cursor = &mut Cursor::new(&bytes);
        let (strings, string_ends) = decode_strings(cursor)?;
        let tenants = decode_tenants(cursor)?;
        let count = tenants.last().map_or(0, |(_, streams)| streams.end);
        if u64::from(count) != streams {
            return Err(Damage(format!("{count} streams, expected {streams}")));
        }
        if count as usize > cursor.remaining() {
            return Err(Damage(format!("{count} streams in {} bytes", cursor.remaining())));
        }
        let (total, mut offsets) = (bytes.len(), Vec::with_capacity(count as usize));
        let (mut runs, mut runs_before) = (0_u32, Vec::with_capacity(count as usize));
        let mut first_of_blocks = vec![u32::MAX; block_rows.len()];
        for ordinal in 0..count {
            let offset = u32::try_from(total - cursor.remaining());
            offsets.push(offset.map_err(|_| Damage::new("over 4 GiB"))?);
            runs_before.push(runs);
            let of_stream = check_stream(cursor, coding, &string_ends, block_rows)?;
            for run in &of_stream {
                if let Some(first) = first_of_blocks.get_mut(run.block as usize) {
                    *first = ordinal.min(*first);
                }
            }
            let count = u32::try_from(of_stream.len()).unwrap_or(u32::MAX);
            runs = runs.saturating_add(count);
        }
        cursor.end()?;
        Ok(Self {
            bytes,
            coding,
            strings,
            string_ends,
            tenants,
            offsets,
            runs_before,
            first_of_blocks,
        })
    }

    /// About how much memory it takes up.
    pub(super) fn memory_bytes(&self) -> usize {
        let numbers = self.string_ends.len() + self.offsets.len() + self.runs_before.len();
        let numbers = (numbers + self.first_of_blocks.len()) * size_of::<u32>();
        self.bytes.capacity() + self.strings.len() + numbers + size_of::<Self>()
    }

    /// The runs of all streams, in their order.
    pub(super) fn all_runs(&self) -> Decoded<Vec<Run>> {
        let mut all = Vec::new();
        for ordinal in (0..).take(self.offsets.len()) {
            all.extend(self.stream(ordinal)?.runs()?);
        }
        Ok(all)
    }

    /// The tenants with the ordinals of their streams.
    pub(super) fn tenants(&self) -> &[(TenantId, Range<u32>)] {
        &self.tenants
    }

    /// The ordinals of a tenant's streams.
    pub(super) fn of_tenant(&self, tenant: &TenantId) -> Range<u32> {
        let found = self.tenants.iter().find(|(id, _)| id == tenant);
        found.map_or(0..0, |(_, streams)| streams.clone())
    }

    /// The first stream that has rows in a block. Those behind it follow in order.
    pub(super) fn first_of_block(&self, block: u32) -> u32 {
        self.first_of_blocks.get(block as usize).copied().unwrap_or(u32::MAX)
    }

    /// A stream by its ordinal.
    pub(super) fn stream(&self, ordinal: u32) -> Decoded<Stream<'_>> {
        let offset = self.offsets.get(ordinal as usize).copied().unwrap_or(u32::MAX);
        let mut cursor = Cursor::new(self.bytes.get(offset as usize..).unwrap_or_default());
        let pair_count = cursor.count()?;
        let pairs = cursor;
        for _ in 0..2 * pair_count {
            cursor.varint()?;
        }
        let totals = decode_totals(&mut cursor, self.coding)?;
        let runs_before = self.runs_before.get(ordinal as usize).copied().unwrap_or_default();
        Ok(Stream { table: self, pairs, pair_count, runs: cursor, runs_before, totals })
    }

    /// The stream of a tenant with exactly these labels.
    pub(super) fn find(&self, tenant: &TenantId, labels: &Labels) -> Decoded<Option<Stream<'_>>> {
        let Range { mut start, mut end } = self.of_tenant(tenant);
        while start < end {
            let middle = start + (end - start) / 2;
            let stream = self.stream(middle)?;
            match stream.pairs().cmp(labels.iter()) {
                Ordering::Less => start = middle + 1,
                Ordering::Equal => return Ok(Some(stream)),
                Ordering::Greater => end = middle,
            }
        }
        Ok(None)
    }

    fn string(&self, number: u64) -> &str {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let end = |number: usize| self.string_ends.get(number).map_or(0, |end| *end as usize);
        let start = number.checked_sub(1).map_or(0, end);
        self.strings.get(start..end(number)).unwrap_or_default()
    }
}

impl<'a> Stream<'a> {
    /// Names and values, sorted by name.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let (table, mut cursor) = (self.table, self.pairs);
        (0..self.pair_count).map_while(move |_| {
            let (name, value) = (cursor.varint().ok()?, cursor.varint().ok()?);
            Some((table.string(name), table.string(value)))
        })
    }

    pub(super) fn labels(&self) -> Decoded<Labels> {
        Labels::from_pairs(self.pairs()).map_err(|error| Damage(error.to_string()))
    }

    /// Whether the stream passes a matcher.
    pub(super) fn passes(&self, matcher: &Matcher) -> bool {
        let mut pairs = self.pairs();
        matcher.matches(pairs.find(|(name, _)| *name == matcher.name()).map_or("", |pair| pair.1))
    }

    /// The runs, by ascending time.
    pub(super) fn runs(&self) -> Decoded<Vec<Run>> {
        decode_runs(&mut self.runs.clone(), &self.totals, self.table.coding)
    }

    /// The runs with their numbers among those of all streams.
    pub(super) fn numbered_runs(&self) -> Decoded<impl Iterator<Item = (u32, Run)> + use<>> {
        Ok((self.runs_before..).zip(self.runs()?))
    }
}

fn decode_strings(cursor: &mut Cursor<'_>) -> Decoded<(String, Vec<u32>)> {
    let count = cursor.count()?;
    let (mut ends, mut end) = (Vec::with_capacity(count), 0_u32);
    for _ in 0..count {
        let next = end.checked_add(cursor.varint_u32()?);
        end = next.ok_or_else(|| Damage::new("strings of over 4 GiB"))?;
        ends.push(end);
    }
    let strings = std::str::from_utf8(cursor.bytes(end as usize)?);
    let strings = strings.map_err(|_| Damage::new("strings that are not UTF-8"))?;
    if let Some(end) = ends.iter().find(|end| !strings.is_char_boundary(**end as usize)) {
        return Err(Damage(format!("a string that ends within a character at {end}")));
    }
    Ok((strings.to_owned(), ends))
}

fn decode_tenants(cursor: &mut Cursor<'_>) -> Decoded<Vec<(TenantId, Range<u32>)>> {
    let mut tenants = Vec::new();
    let mut start = 0_u32;
    for _ in 0..cursor.count()? {
        let id = TenantId::new(cursor.text()?).map_err(|error| Damage(error.to_string()))?;
        let end = start.checked_add(cursor.varint_u32()?);
        let end = end.ok_or_else(|| Damage::new("over 4 billion streams"))?;
        tenants.push((id, start..end));
        start = end;
    }
    Ok(tenants)
}

fn decode_totals(cursor: &mut Cursor<'_>, coding: Coding) -> Decoded<Totals> {
    let (rows, line_bytes, metadata_bytes) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
    let (first, last) = (cursor.varint()?, cursor.varint()?);
    let (first, last) = match coding {
        Coding::Older => (unzigzag(first), unzigzag(first).wrapping_add_unsigned(last)),
        Coding::Relative { first: earliest, last: latest } => {
            let (first, distance) = (earliest.wrapping_add_unsigned(first), last >> 1);
            match last & 1 {
                0 => (first, latest.wrapping_sub_unsigned(distance)),
                _ => (first, first.wrapping_add_unsigned(distance)),
            }
        }
    };
    Ok(Totals { rows, line_bytes, metadata_bytes, first, last })
}

fn decode_runs(cursor: &mut Cursor<'_>, totals: &Totals, coding: Coding) -> Decoded<Vec<Run>> {
    let count = cursor.count()?;
    let (mut runs, mut block) = (Vec::with_capacity(count.min(1024)), 0_u32);
    for _ in 0..count {
        let next = block.checked_add(cursor.varint_u32()?);
        block = next.ok_or_else(|| Damage::new("a block number over 32 bits"))?;
        let row = cursor.varint_u32()?;
        let whole = match coding {
            Coding::Relative { .. } if count == 1 => Some(totals),
            _ => None,
        };
        let (rows, first, last, line_bytes) = match whole {
            Some(Totals { rows, first, last, line_bytes, .. }) => {
                let rows = u32::try_from(*rows);
                let rows = rows.map_err(|_| Damage::new("a run of over 4 billion rows"))?;
                (rows, *first, *last, *line_bytes)
            }
            None => {
                let rows = cursor.varint_u32()?;
                let first = totals.first.wrapping_add_unsigned(cursor.varint()?);
                (rows, first, first.wrapping_add_unsigned(cursor.varint()?), cursor.varint()?)
            }
        };
        runs.push(Run { block, row, rows, first, last, line_bytes });
    }
    Ok(runs)
}

/// Parses a stream, checks that what it refers to is there and says what runs it has.
fn check_stream(
    cursor: &mut Cursor<'_>,
    coding: Coding,
    strings: &[u32],
    block_rows: &[u32],
) -> Decoded<Vec<Run>> {
    for _ in 0..2 * cursor.count()? {
        let number = cursor.varint()?;
        if number >= strings.len() as u64 {
            return Err(Damage(format!("string {number} of {}", strings.len())));
        }
    }
    let totals = decode_totals(cursor, coding)?;
    let runs = decode_runs(cursor, &totals, coding)?;
    for run in &runs {
        let rows = block_rows.get(run.block as usize).copied().unwrap_or_default();
        let fits = run.row.checked_add(run.rows).is_some_and(|end| end <= rows);
        if !fits || run.rows == 0 || run.first > run.last {
            return Err(Damage(format!("a stream with {run:?}, in a block of {rows} rows")));
        }
    }
    Ok(runs)
}
