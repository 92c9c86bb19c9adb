//! Reading a label index that is nonsense behind right checksums.

use std::sync::LazyLock;

use super::{LabelIndex, build};
use crate::io::Mapped;
use crate::segment::footer::IndexFile;
use crate::segment::reader::DIRECT_STREAMS_MAX;
use crate::segment::stream_table::{StreamRecord, Totals};
use crate::{Labels, MatchOp, Matcher, TenantId};

const STREAMS: u32 = 100;

/// What is changed: an index of [`STREAMS`] streams with a label of many values and two of few.
static FILES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let streams: Vec<_> = (0..STREAMS).map(stream).collect();
    build(&streams).unwrap_or_default()
});

fn stream(number: u32) -> StreamRecord {
    let pairs = [
        ("pod", format!("pod-{number}")),
        ("app", format!("app{}", number % 7)),
        ("env", ["prod", "test"][number as usize % 2].to_owned()),
    ];
    let labels = Labels::from_pairs(pairs).unwrap_or_default();
    StreamRecord { tenant: TenantId::default(), labels, totals: Totals::default(), runs: 0..0 }
}

/// Changes an index as the input says, four bytes a change, gives its files right checksums, opens it and asks
/// all that it is ever asked.
///
/// Comes to an end without a panic whatever the changes are. Meant for fuzzing.
pub(crate) fn open_label_index_bytes(changes: &[u8]) {
    let mut files = FILES.clone();
    changes.chunks_exact(4).for_each(|change| apply(change, &mut files));
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for (name, file) in files {
        let (offset, length, crc) = (bytes.len() as u64, file.len() as u64, crc32c::crc32c(&file));
        places.push(IndexFile { name, offset, length, crc });
        bytes.extend_from_slice(&file);
    }
    // Damage is the expected outcome.
    let Ok(index) = LabelIndex::open(&Mapped::from(bytes), &places, u64::from(STREAMS)) else {
        return;
    };
    let tenant = TenantId::default();
    drop(index.names(&tenant));
    drop(index.values(&tenant, "app"));
    assert!(STREAMS as usize > DIRECT_STREAMS_MAX, "or the index is not asked");
    for (name, op, value) in [
        ("pod", MatchOp::Equal, "pod-42"),
        ("app", MatchOp::Matches, "app[1-5]"),
        ("app", MatchOp::NotEqual, "app3"),
        ("env", MatchOp::NotMatches, "te.t"),
    ] {
        let Ok(matcher) = Matcher::new(name, op, value) else { continue };
        if let Ok((selected, _)) = index.select(&tenant, 0..STREAMS, &[matcher]) {
            assert!(selected.iter().all(|ordinal| *ordinal < STREAMS));
        }
    }
}

/// One change: which file and what, where, and a byte.
fn apply(change: &[u8], files: &mut [(String, Vec<u8>)]) {
    let &[what, low, high, byte] = change else { return };
    let count = files.len();
    let Some((_, file)) = files.get_mut(usize::from(what & 0x3f) % count.max(1)) else { return };
    let place = usize::from(u16::from_le_bytes([low, high])) % file.len().max(1);
    match what >> 6 {
        0 => file.truncate(place),
        1 => file.iter_mut().skip(place).take(8).for_each(|at| *at = byte),
        _ => file.iter_mut().skip(place).take(1).for_each(|at| *at = byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_in_an_index_brings_its_reader_down() {
        open_label_index_bytes(&[]);
        for (number, (_, file)) in FILES.iter().enumerate() {
            let number = u8::try_from(number).unwrap();
            for place in 0..u16::try_from(file.len()).unwrap() {
                let [low, high] = place.to_le_bytes();
                for (kind, byte) in [(0, 0), (1, 0xff), (2, 0), (2, 0xff), (2, 0x80)] {
                    open_label_index_bytes(&[(kind << 6) | number, low, high, byte]);
                }
            }
        }
    }
}
