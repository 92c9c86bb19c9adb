//! Six samples of real logs, grown and dealt as a load generator deals them that other servers were
//! measured with. The samples (Loghub: HDFS, OpenSSH, Apache, Spark, OpenStack and Zookeeper, 2,000 lines
//! each) are not ours to pass on: they are read from a directory.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::expand::Copies;
use super::{Corpus, Line, Lines, Subjects, labels, stream, timestamp};
use crate::data::{self, DataSet};

/// Copies of each sample in the mix as it is, that is once.
const COPIES: u64 = 100;
/// What every sample's draws begin with.
const SEED: u32 = 7;
/// Lines, raw bytes and their CRC-32C, as the other servers were given them.
const MEASURED_BEFORE: (u64, u64, u32) = (1_200_000, 174_358_900, 0x1f13_5e8a);

/// A sample's file and labels.
struct Source {
    set: &'static str,
    job: &'static str,
    env: &'static str,
}

/// In the order in which lines are dealt.
const SOURCES: [Source; 6] = [
    Source { set: "loghub2k-hdfs.log", job: "hdfs", env: "prod" },
    Source { set: "loghub2k-openssh.log", job: "ssh", env: "prod" },
    Source { set: "loghub2k-apache.log", job: "apache", env: "test" },
    Source { set: "loghub2k-spark.log", job: "spark", env: "dev" },
    Source { set: "loghub2k-openstack.log", job: "openstack", env: "prod" },
    Source { set: "loghub2k-zookeeper.log", job: "zookeeper", env: "staging" },
];

/// The mix, made from the samples in `directory`, `times` as large as the mix that other servers were
/// measured with: more copies, at the same pace.
///
/// # Errors
/// Samples that are missing, or others than those the mix was first made from.
pub(crate) fn mix(directory: &Path, times: u64) -> Result<Corpus> {
    let samples: Vec<Arc<[String]>> =
        SOURCES.iter().map(|source| sample(directory, source)).collect::<Result<_>>()?;
    let streams = labels(SOURCES.iter().map(|source| (source.job, source.env)));
    let subjects = Subjects {
        parsed_job: "openstack",
        tailed_job: "hdfs",
        filtered_env: "prod",
        present_id: "blk_-3969640223396389460".to_owned(),
    };
    let corpus = Corpus::new(streams, subjects, move || deal(&samples, COPIES * times));
    let is = (corpus.lines(), corpus.raw_bytes(), corpus.checksum());
    if times == 1 && is != MEASURED_BEFORE {
        bail!("the mix is {is:?} (lines, bytes, CRC-32C), not {MEASURED_BEFORE:?}: other samples?");
    }
    Ok(corpus)
}

/// A sample's lines without those that are empty.
fn sample(directory: &Path, source: &Source) -> Result<Arc<[String]>> {
    let set = DataSet::of(directory, source.set);
    let bytes = set.read().context("the mix needs the Loghub samples")?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Arc<[String]> = data::lines(text.as_bytes())
        .map(|line| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    ensure!(!lines.is_empty(), "{} has no lines", set.path.display());
    Ok(lines)
}

/// A sample whose lines are dealt.
struct Hand {
    copies: Copies,
    dealt: u64,
    lines: u64,
}

impl Hand {
    /// How much of it is dealt, of 1.
    fn share(&self) -> f64 {
        self.dealt as f64 / self.lines as f64
    }
}

/// Deals the copies' lines: next is always the sample that is furthest behind, and within a sample its
/// streams take turns.
fn deal(samples: &[Arc<[String]>], copies: u64) -> Lines {
    let hand = |lines: &Arc<[String]>| Hand {
        copies: Copies::new(Arc::clone(lines), SEED),
        dealt: 0,
        lines: lines.len() as u64 * copies,
    };
    let mut hands: Vec<Hand> = samples.iter().map(hand).collect();
    Box::new((0..).map_while(move |index| {
        let open = hands.iter_mut().enumerate().filter(|(_, hand)| hand.dealt < hand.lines);
        let (place, hand) =
            open.min_by(|(_, one), (_, two)| one.share().total_cmp(&two.share()))?;
        let stream = stream(place, hand.dealt);
        hand.dealt += 1;
        Some(Line { stream, timestamp: timestamp(index), text: hand.copies.next()? })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Arc<[String]> {
        texts.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_dealt_by_share_and_the_streams_of_a_sample_take_turns() {
        let samples = [lines(&["a", "b", "c", "d"]), lines(&["x", "y"])];
        let dealt: Vec<_> = deal(&samples, 2).collect();
        let of = |line: &Line| (line.stream, line.text.clone());
        let expected = [
            (0, "a"),
            (4, "x"),
            (1, "b"),
            (2, "c"),
            (5, "y"),
            (3, "d"),
            (0, "a"),
            (6, "x"),
            (1, "b"),
            (2, "c"),
            (7, "y"),
            (3, "d"),
        ];
        let expected = expected.map(|(stream, text)| (stream, text.to_owned()));
        assert_eq!(dealt.iter().map(of).collect::<Vec<_>>(), expected);
        assert!(dealt.iter().zip(0..).all(|(line, index)| line.timestamp == timestamp(index)));
    }

    #[test]
    fn a_larger_mix_begins_like_a_smaller_one() {
        let samples = [lines(&["id 123456", "b"]), lines(&["x 99999", "y"])];
        let texts = |copies| deal(&samples, copies).map(|line| line.text).collect::<Vec<_>>();
        let (small, large) = (texts(3), texts(12));
        assert_eq!((small.len(), large.len()), (12, 48));
        assert_eq!(small, large[..12]);
    }

    #[test]
    fn other_samples_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let problem = mix(directory.path(), 1).unwrap_err();
        assert!(format!("{problem:#}").contains("loghub2k-hdfs.log.zst"), "{problem:#}");
        for source in &SOURCES {
            let packed = zstd::bulk::compress(b"one line\n", 1).unwrap();
            std::fs::write(DataSet::of(directory.path(), source.set).path, packed).unwrap();
        }
        let problem = mix(directory.path(), 1).unwrap_err().to_string();
        assert!(problem.contains("other samples"), "{problem}");
        assert_eq!(mix(directory.path(), 2).unwrap().lines(), 1200);
    }
}
