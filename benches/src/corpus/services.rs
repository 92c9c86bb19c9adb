//! A corpus of our own making: the lines of six services. The same options give the same bytes on every
//! machine.

use timberline::generate::{Rng, SERVICES};

use super::{Corpus, Line, Lines, Subjects, labels, stream, timestamp};

/// What makes the corpus of services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServicesOptions {
    pub(crate) lines: u64,
    pub(crate) seed: u64,
}

/// The corpus of services.
pub(crate) fn services(options: ServicesOptions) -> Corpus {
    let from_the_middle = service_lines(options).skip((options.lines / 2) as usize);
    let present_id = from_the_middle.filter_map(|line| block_id(&line.text)).next();
    let subjects = Subjects {
        parsed_job: "edge",
        tailed_job: "blocks",
        filtered_env: "dev",
        present_id: present_id.unwrap_or_default(),
    };
    Corpus::new(service_streams(), subjects, move || service_lines(options))
}

/// The labels of the services' streams.
pub(crate) fn service_streams() -> Vec<String> {
    labels(SERVICES.iter().map(|service| (service.job, service.env)))
}

/// The lines of the services.
pub(crate) fn service_lines(options: ServicesOptions) -> Lines {
    let mut rng = Rng::new(options.seed);
    Box::new((0..options.lines).map(move |index| {
        let (round, service) = (index / SERVICES.len() as u64, index % SERVICES.len() as u64);
        let text = SERVICES[service as usize].line(&mut rng);
        Line { stream: stream(service as usize, round), timestamp: timestamp(index), text }
    }))
}

/// `blk_…` in a line of the block store.
fn block_id(line: &str) -> Option<String> {
    let start = line.find("blk_")?;
    Some(line[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_options_give_the_same_bytes() {
        let corpus = services(ServicesOptions { lines: 6000, seed: 7 });
        assert_eq!(
            (corpus.lines(), corpus.raw_bytes(), corpus.checksum()),
            (6000, 795_918, 2_505_005_117)
        );
        let other = services(ServicesOptions { lines: 6000, seed: 8 });
        assert_ne!(corpus.checksum(), other.checksum());
    }

    #[test]
    fn lines_are_dealt_to_every_stream_and_the_subjects_are_there() {
        let corpus = services(ServicesOptions { lines: 600, seed: 3 });
        let lines: Vec<_> = corpus.iter().collect();
        let of = |stream| lines.iter().filter(|line| line.stream == stream).count();
        assert!((0..corpus.streams().len()).all(|stream| of(stream) == 25));
        assert_eq!(corpus.streams()[5], r#"{job="orders", env="prod", shard="1"}"#);
        assert!(lines.is_sorted_by_key(|line| line.timestamp));
        let Subjects { present_id, .. } = corpus.subjects();
        assert!(present_id.starts_with("blk_"), "{present_id}");
        assert!(lines.iter().any(|line| line.text.contains(present_id)));
    }
}
