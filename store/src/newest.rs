//! How new the newest entry of a stream is, remembered from one flush to the next.
//!
//! An entry can be in a segment already only if it is not newer than all of its stream there. A stream
//! that comes into an empty head would have to ask every segment for that; what the head before knew
//! spares it.

use std::collections::HashMap;

use crate::head::HeadView;
use crate::{TenantId, Timestamp, codec};

/// Streams that are remembered, over all tenants: some 10 MB. With more, those go that were not in the
/// head that was flushed last; they ask the segments again.
const STREAMS_MAX: usize = 1 << 16;

/// The newest timestamps of streams in segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewestTimes {
    /// By the labels' bytes in a batch.
    tenants: HashMap<TenantId, HashMap<Box<[u8]>, Timestamp>>,
    streams: usize,
}

impl NewestTimes {
    /// The newest timestamp that a stream has in segments; `None` when that is not remembered.
    pub(crate) fn get(&self, tenant: &TenantId, label_bytes: &[u8]) -> Option<Timestamp> {
        self.tenants.get(tenant)?.get(label_bytes).copied()
    }

    /// What is known when the entries of a head are in a segment too. A head's streams were told what
    /// the segments had when they came into it, so that theirs is the last word.
    pub(crate) fn with(&self, head: &HeadView) -> Self {
        self.within(STREAMS_MAX, head)
    }

    fn within(&self, streams_max: usize, head: &HeadView) -> Self {
        let has_room = self.streams + head.all().count() <= streams_max;
        let mut times = if has_room { self.clone() } else { Self::default() };
        for (tenant, stream) in head.all().take(streams_max) {
            let mut label_bytes = Vec::new();
            codec::put_pairs(&mut label_bytes, stream.labels.iter());
            if !times.tenants.contains_key(tenant) {
                times.tenants.insert(tenant.clone(), HashMap::new());
            }
            let Some(of_tenant) = times.tenants.get_mut(tenant) else { continue };
            if of_tenant.insert(label_bytes.into(), stream.newest).is_none() {
                times.streams += 1;
            }
        }
        times
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
    fn the_head_flushed_last_has_the_last_word() {
        let times = NewestTimes::default().with(&head(&[("a", 1), ("b", 2)]));
        let times = times.with(&head(&[("b", 5), ("c", 3)]));
        assert_eq!((known(&times), times.streams), (vec![Some(1), Some(5), Some(3)], 3));
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
