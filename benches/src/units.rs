//! The units that figures are told in: what the machine can do at this moment.

use std::io::{Read, Write};
use std::time::Instant;

use anyhow::{Result, ensure};
use zstd::stream::write::Encoder;

use crate::clock;
use crate::corpus::Corpus;

/// What `zstd -dc` reads at once.
const READ_BYTES: usize = 128 << 10;

/// CRC-32C of corpora that are measured often, by ascending time, and their bytes under `zstd -19`, which
/// takes minutes.
const KNOWN_ZSTD19: &[(u32, u64)] = &[(0x1f13_5e8a, 21_801_818)];

/// What the corpus costs a plain compressor, its sources one behind the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units {
    /// Seconds of CPU of `zstd -3` over the corpus' raw bytes, on one thread.
    pub(crate) u: f64,
    /// Wall seconds of decompressing that to nowhere.
    pub(crate) d: f64,
    /// Bytes of the corpus under `zstd -3`.
    pub(crate) zstd3_bytes: u64,
    /// Bytes of the corpus under `zstd -19`, where they are known.
    pub(crate) zstd19_bytes: Option<u64>,
}

/// Takes the units; the bytes under `zstd -19` by compressing if `with_zstd19`, else they are looked up.
pub(crate) fn measure(corpus: &Corpus, with_zstd19: bool) -> Result<Units> {
    let raw = corpus.files();
    let before = clock::thread_cpu_seconds();
    let packed = compress(&raw, 3)?;
    let u = clock::thread_cpu_seconds() - before;
    let started = Instant::now();
    let unpacked_bytes = decompress(&packed)?;
    let d = started.elapsed().as_secs_f64();
    ensure!(unpacked_bytes == corpus.raw_bytes(), "zstd gives back what it was given");
    let zstd19_bytes = match with_zstd19 {
        true => Some(compress(&raw, 19)?.len() as u64),
        false => known_zstd19(corpus),
    };
    Ok(Units { u, d, zstd3_bytes: packed.len() as u64, zstd19_bytes })
}

fn known_zstd19(corpus: &Corpus) -> Option<u64> {
    let is_it = |known: &&(u32, u64)| known.0 == corpus.checksum();
    KNOWN_ZSTD19.iter().find(is_it).map(|known| known.1)
}

/// One frame, as the program makes it of a file.
fn compress(raw: &[u8], level: i32) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new(Vec::new(), level)?;
    encoder.set_pledged_src_size(Some(raw.len() as u64))?;
    encoder.write_all(raw)?;
    Ok(encoder.finish()?)
}

fn decompress(packed: &[u8]) -> Result<u64> {
    let mut decoder = zstd::Decoder::with_buffer(packed)?;
    let (mut buffer, mut bytes) = (vec![0; READ_BYTES], 0);
    loop {
        match decoder.read(&mut buffer)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}
