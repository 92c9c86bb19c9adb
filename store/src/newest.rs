//! How new the newest entry of a stream is, remembered from one flush to the next.
//!
//! An entry can be in a segment already only if it is not newer than all of its stream there. A stream
//! that comes into an empty head would have to ask the segments for that; what the head before knew
//! spares it.

use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::head::HeadView;
use crate::{TenantId, Timestamp, codec};

/// Streams that are remembered, over all tenants: some 20 MB. With more, those go that were not in the
/// head that was flushed last; they ask the segments again.
const STREAMS_MAX: usize = 1 << 20;

/// The newest timestamps of streams in segments, or later ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewestTimes {
    /// By the hash of a tenant and the bytes that labels have in a batch. Of streams with the same hash
    /// the newest of all is kept, which for each of them is late enough.
    times: HashMap<u64, Timestamp, foldhash::fast::FixedState>,
    hasher: foldhash::fast::RandomState,
}

impl NewestTimes {
    /// A time that no entry of a stream in segments is newer than; `None` when that is not remembered.
    pub(crate) fn get(&self, tenant: &TenantId, label_bytes: &[u8]) -> Option<Timestamp> {
        self.times.get(&self.hash(tenant, label_bytes)).copied()
    }

    /// What is known when the entries of a head are in a segment too. A head's streams were told what
    /// the segments had when they came into it, so that theirs is the last word.
    pub(crate) fn with(&self, head: &HeadView) -> Self {
        self.within(STREAMS_MAX, head)
    }

    fn within(&self, streams_max: usize, head: &HeadView) -> Self {
        let has_room = self.times.len() + head.all().count() <= streams_max;
        let mut next = match has_room {
            true => self.clone(),
            false => Self { hasher: self.hasher.clone(), ..Self::default() },
        };
        let mut label_bytes = Vec::new();
        for (tenant, stream) in head.all().take(streams_max) {
            label_bytes.clear();
            codec::put_pairs(&mut label_bytes, stream.labels.iter());
            let newest = next.times.entry(self.hash(tenant, &label_bytes)).or_insert(stream.newest);
            *newest = stream.newest.max(*newest);
        }
        next
    }

    fn hash(&self, tenant: &TenantId, label_bytes: &[u8]) -> u64 {
        self.hasher.hash_one((tenant, label_bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::head::{Head, Pending};
    use crate::{Labels, WriteBatch};

    fn label_bytes(app: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::put_pairs(&mut bytes, [("app", app)].into_iter());
        bytes
    }

    fn head(streams: &[(&str, Timestamp)]) -> HeadView {
        let (head, mut batch) = (Head::default(), WriteBatch::new());
        for (app, timestamp) in streams {
            batch.stream(&Labels::from_pairs([("app", *app)]).unwrap());
            batch.push(*timestamp, b"x", &[]).unwrap();
        }
        let mut pending = Pending::new(batch.as_bytes()).unwrap();
        let sealed = vec![Timestamp::MIN; streams.len()];
        head.apply(&TenantId::new("t").unwrap(), &mut pending, &sealed, Duration::ZERO, None)
            .unwrap();
        head.view()
    }

    fn known(times: &NewestTimes) -> Vec<Option<Timestamp>> {
        let tenant = TenantId::new("t").unwrap();
        ["a", "b", "c"].map(|app| times.get(&tenant, &label_bytes(app))).to_vec()
    }

    #[test]
    fn a_stream_is_as_new_as_in_its_newest_head() {
        let times = NewestTimes::default().with(&head(&[("a", 1), ("b", 2)]));
        let times = times.with(&head(&[("b", 5), ("c", 3)]));
        assert_eq!(known(&times), [Some(1), Some(5), Some(3)]);
        let other = TenantId::new("u").unwrap();
        assert_eq!(times.get(&other, &label_bytes("a")), None);
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let times = NewestTimes::default().within(2, &head(&[("a", 1), ("b", 2)]));
        let times = times.within(2, &head(&[("c", 3)]));
        assert_eq!(known(&times), [None, None, Some(3)]);
        let times = times.within(2, &head(&[("a", 1), ("b", 2), ("c", 3)]));
        assert_eq!(known(&times).into_iter().flatten().count(), 2);
    }
}
