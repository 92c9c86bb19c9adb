//! Retention: what is past its time is seen by nobody, and leaves the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timberline_store::{
    ManualClock, MatchOp, Matcher, MemVfs, Retention, Store, StreamRetention, TenantId,
    TenantRetention, TimeRange, Vfs,
};

use crate::util::*;

const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;

fn hours(hours: u64) -> Option<Duration> {
    Some(Duration::from_secs(hours * 3600))
}

/// A hundred hours, but ten for the stream `a`.
fn retention() -> Retention {
    let selector = vec![Matcher::new("app", MatchOp::Equal, "a").unwrap()];
    let short = StreamRetention { selector, priority: 1, period: hours(10) };
    Retention::new(TenantRetention::new(hours(100)).streams(vec![short]))
}

fn open_at(vfs: &MemVfs, clock: &Arc<ManualClock>) -> Store {
    on(vfs).clock(clock.clone()).retention(retention()).open(DIR).unwrap()
}

fn entries(store: &Store) -> u64 {
    store.snapshot().stats(&tenant(), &[], TimeRange::ALL).unwrap().entries
}

#[test]
fn what_is_past_its_time_is_not_seen_wherever_it_is() {
    let (vfs, clock) = (MemVfs::new(), Arc::new(ManualClock::new()));
    let store = open_at(&vfs, &clock);
    for (app, lines) in [("a", [(0, "old"), (HOUR, "new")]), ("b", [(0, "old"), (HOUR, "new")])] {
        append(&store, app, &lines).unwrap();
    }
    for round in ["head", "segment", "opened again"] {
        let store =
            if round == "opened again" { open_at(&vfs.crash(), &clock) } else { store.clone() };
        clock.set_unix_time(HOUR);
        assert_eq!(entries(&store), 4, "{round}");
        clock.set_unix_time(10 * HOUR + 1);
        assert_eq!(read(&store, "a"), told(&[(HOUR, "new")]), "{round}");
        assert_eq!((read(&store, "b").len(), entries(&store)), (2, 3));
        clock.set_unix_time(20 * HOUR);
        let snapshot = store.snapshot();
        assert_eq!(snapshot.series(&tenant(), &[], TimeRange::ALL).unwrap(), [labels("b")]);
        let values = snapshot.label_values(&tenant(), "app", &[], TimeRange::ALL).unwrap();
        assert_eq!(values.into_iter().collect::<Vec<_>>(), ["b"], "{round}");
        store.flush().unwrap();
    }
}

#[test]
fn segments_go_with_their_last_entry_and_are_written_anew_without_expired_streams() {
    let (vfs, clock) = (MemVfs::new(), Arc::new(ManualClock::new()));
    let store = open_at(&vfs, &clock);
    append(&store, "a", &[(1, "one"), (2, "two")]).unwrap();
    append(&store, "b", &[(3, "three")]).unwrap();
    store.flush().unwrap();
    let stats =
        || (store.stats().rewrites, store.stats().removed_segments, store.stats().segment_entries);
    let at = |time| {
        clock.set_unix_time(time);
        store.compact().unwrap();
        stats()
    };
    assert_eq!(at(10 * HOUR), (0, 0, 3));
    assert_eq!(at(10 * HOUR + 3), (1, 0, 1));
    assert_eq!(at(100 * HOUR), (1, 0, 1));
    assert_eq!(read(&store, "b"), told(&[(3, "three")]));
    assert_eq!(at(100 * HOUR + 4), (1, 1, 0));
    let left = vfs.list(&Path::new(DIR).join("segments")).unwrap();
    assert_eq!(left.len(), 0);
}

#[test]
fn little_that_has_expired_waits_a_day() {
    let (vfs, clock) = (MemVfs::new(), Arc::new(ManualClock::new()));
    let store = open_at(&vfs, &clock);
    append(&store, "a", &[(1, "x")]).unwrap();
    append(&store, "b", &[(1, &"y".repeat(500))]).unwrap();
    store.flush().unwrap();
    clock.set_unix_time(11 * HOUR);
    store.compact().unwrap();
    assert_eq!((store.stats().rewrites, store.stats().segment_entries), (0, 2));
    assert_eq!(read(&store, "a"), [], "nobody sees it");
    clock.set_unix_time(DAY + 11 * HOUR);
    store.compact().unwrap();
    assert_eq!((store.stats().rewrites, store.stats().segment_entries), (1, 1));
}

#[test]
fn retention_can_be_changed_and_is_each_tenants_own() {
    let (vfs, clock) = (MemVfs::new(), Arc::new(ManualClock::new()));
    let store = open_at(&vfs, &clock);
    append(&store, "a", &[(1, "one")]).unwrap();
    store.flush().unwrap();
    clock.set_unix_time(50 * HOUR);
    assert_eq!(entries(&store), 0);
    let forever = TenantRetention::new(None);
    store.set_retention(retention().tenant(tenant(), forever));
    assert_eq!(entries(&store), 1, "it has not left the disk");
    store.compact().unwrap();
    assert_eq!(entries(&store), 1);
    let other = TenantId::new("other").unwrap();
    store.set_retention(retention().tenant(other, TenantRetention::new(None)));
    store.compact().unwrap();
    assert_eq!((entries(&store), store.stats().removed_segments), (0, 1));
}
