//! Subscriptions: every new entry once, in order, with a bound.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use timberline_store::{
    Appended, Columns, DeleteRequest, LinePredicate, ManualClock, MatchOp, Matcher, MemVfs,
    ReadScratch, Retention, Snapshot, Store, StoreError, Subscription, TenantId, TenantRetention,
    TimeRange, WriteBatch,
};

use crate::util::*;

const ROOM: usize = 1 << 20;

fn app(value: &str) -> Matcher {
    Matcher::new("app", MatchOp::Equal, value).unwrap()
}

fn subscribe(store: &Store, selector: &[Matcher]) -> Subscription {
    store.subscribe(&tenant(), selector, ROOM).unwrap()
}

fn lines_of(appended: &Appended) -> Vec<(i64, String)> {
    let batch = appended.batch();
    let line = |row| String::from_utf8(batch.line(row).to_vec()).unwrap();
    batch.rows().iter().map(|row| (row.timestamp, line(row))).collect()
}

fn waiting(subscription: &mut Subscription) -> Vec<(i64, String)> {
    std::iter::from_fn(|| subscription.try_recv()).flat_map(|new| lines_of(&new)).collect()
}

#[test]
fn what_a_selector_names_comes_once_and_with_everything() {
    let store = open(&MemVfs::new());
    append(&store, "a", &[(1, "before")]).unwrap();
    let mut subscription = subscribe(&store, &[app("a")]);
    let mut other = subscribe(&store, &[app("b")]);
    let mut all = subscribe(&store, &[]);
    append(&store, "a", &[(2, "two"), (1, "before"), (1, "late")]).unwrap();
    append(&store, "b", &[(3, "three")]).unwrap();
    let mut batch = WriteBatch::new();
    batch.stream(&labels("a"));
    batch.push(4, b"four", &[("trace", "7")]).unwrap();
    store.append(&tenant(), &batch).unwrap();
    store.append(&TenantId::new("other").unwrap(), &batch).unwrap();

    let first = subscription.recv().unwrap();
    assert_eq!(first.labels(), &labels("a"));
    assert_eq!(lines_of(&first), told(&[(1, "late"), (2, "two")]));
    let second = subscription.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(second.batch().metadata(&second.batch().rows()[0]).get("trace"), Some("7"));
    assert!(second.position() > first.position());
    assert_eq!(waiting(&mut subscription), []);
    assert_eq!(waiting(&mut other), told(&[(3, "three")]));
    assert_eq!(waiting(&mut all).len(), 4);
}

#[test]
fn what_is_past_its_retention_does_not_come() {
    let clock = Arc::new(ManualClock::new());
    clock.set_unix_time(100);
    let retention = Retention::new(TenantRetention::new(Some(Duration::from_nanos(10))));
    let builder = on(&MemVfs::new()).clock(clock).retention(retention);
    let store = builder.open(DIR).unwrap();
    let mut subscription = subscribe(&store, &[]);
    append(&store, "a", &[(89, "old"), (90, "new")]).unwrap();
    append(&store, "a", &[(1, "older")]).unwrap();
    assert_eq!(read(&store, "a"), told(&[(90, "new")]));
    assert_eq!(waiting(&mut subscription), told(&[(90, "new")]));
}

#[test]
fn what_is_deleted_while_it_waits_does_not_come() {
    let store = open(&MemVfs::new());
    let mut subscription = subscribe(&store, &[]);
    let mut other = subscribe(&store, &[app("b")]);
    append(&store, "a", &[(1, "secret"), (2, "two")]).unwrap();
    append(&store, "a", &[(3, "secret")]).unwrap();
    append(&store, "b", &[(1, "secret")]).unwrap();
    let request = DeleteRequest::new(&tenant(), vec![app("a")], TimeRange::new(0, 100));
    store.delete(request.containing(b"secret")).unwrap();
    append(&store, "a", &[(3, "secret")]).unwrap();
    let expected = told(&[(2, "two"), (1, "secret"), (3, "secret")]);
    assert_eq!(waiting(&mut subscription), expected, "what came later is not meant");
    assert_eq!(waiting(&mut other), told(&[(1, "secret")]));
}

#[test]
fn a_full_queue_drops_and_says_what() {
    let store = open(&MemVfs::new());
    let mut subscription = store.subscribe(&tenant(), &[], 1000).unwrap();
    let long = "x".repeat(5000);
    append(&store, "a", &[(1, &long)]).unwrap();
    append(&store, "a", &[(2, "b"), (3, "c")]).unwrap();
    assert_eq!(waiting(&mut subscription).len(), 1, "alone, even what is too large passes");
    let dropped = subscription.take_dropped();
    assert_eq!((dropped.count, dropped.first), (2, vec![(2, labels("a")), (3, labels("a"))]));
    assert_eq!(subscription.take_dropped().count, 0);
    append(&store, "a", &[(4, "d")]).unwrap();
    assert_eq!(waiting(&mut subscription), told(&[(4, "d")]));
    for time in 10..3000 {
        append(&store, "b", &[(time, "some line")]).unwrap();
    }
    let (kept, dropped) = (waiting(&mut subscription).len(), subscription.take_dropped());
    assert_eq!(u64::try_from(kept).unwrap() + dropped.count, 2990);
    assert_eq!(dropped.first.len(), 1000, "the others are counted");
}

#[test]
fn subscriptions_end_with_the_store() {
    let store = open(&MemVfs::new());
    let mut subscription = subscribe(&store, &[]);
    append(&store, "a", &[(1, "one")]).unwrap();
    let receiver = thread::spawn(move || {
        let first = subscription.recv().map(|new| lines_of(&new));
        (first, subscription.recv().is_none(), subscription.is_over())
    });
    store.close().unwrap();
    assert_eq!(receiver.join().unwrap(), (Some(told(&[(1, "one")])), true, true));
    assert!(matches!(store.subscribe(&tenant(), &[], ROOM), Err(StoreError::Closed)));
}

#[test]
fn a_failed_append_is_not_handed_on() {
    let store = open(&MemVfs::new());
    let mut subscription = subscribe(&store, &[]);
    store.close().unwrap();
    assert!(append(&store, "a", &[(1, "one")]).is_err());
    assert!(subscription.recv_timeout(Duration::ZERO).is_none() && subscription.is_over());
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_is_woken() {
    let store = open(&MemVfs::new());
    let mut subscription = subscribe(&store, &[app("a")]);
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    assert!(subscription.poll_recv(&mut context).is_pending());
    append(&store, "b", &[(1, "not asked for")]).unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    append(&store, "a", &[(1, "one")]).unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    let Poll::Ready(Some(new)) = subscription.poll_recv(&mut context) else { panic!("ready") };
    assert_eq!(lines_of(&new), told(&[(1, "one")]));
    assert!(subscription.poll_recv(&mut context).is_pending());
    drop(store);
    assert_eq!(wakes.0.load(Ordering::SeqCst), 2);
    assert!(matches!(subscription.poll_recv(&mut context), Poll::Ready(None)));
}

fn count(snapshot: &Snapshot) -> usize {
    let chunks = snapshot.chunks(&tenant(), &[], TimeRange::ALL).unwrap();
    let mut scratch = ReadScratch::new();
    let mut rows = |chunk: &timberline_store::Chunk| {
        let read = chunk.read(TimeRange::ALL, &LinePredicate::Always, Columns::ALL, &mut scratch);
        read.unwrap().rows().len()
    };
    chunks.iter().map(&mut rows).sum()
}

/// While threads append and flushes go on, subscriptions come and go; each sees with the view taken
/// behind it every entry exactly once.
#[test]
fn a_view_and_what_comes_behind_it_have_every_entry_once() {
    const WRITERS: usize = 3;
    const LISTENERS: usize = 4;
    const EACH: usize = 400;
    let store = open(&MemVfs::new());
    let done = Arc::new(AtomicBool::new(false));
    // Nobody writes before each listener has a subscription: all may be written before one gets a core.
    let begun = Arc::new(Barrier::new(WRITERS + LISTENERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, begun) = (store.clone(), Arc::clone(&begun));
            thread::spawn(move || {
                begun.wait();
                for entry in 0..EACH {
                    let line = format!("{writer} {entry}");
                    let time = i64::try_from(entry).unwrap();
                    append(&store, &format!("app{}", entry % 7), &[(time, &line)]).unwrap();
                }
            })
        })
        .collect();
    let flusher = thread::spawn({
        let (store, done) = (store.clone(), Arc::clone(&done));
        move || {
            while !done.load(Ordering::SeqCst) {
                store.flush().unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let listeners: Vec<_> = (0..LISTENERS)
        .map(|_| {
            let (store, done, begun) = (store.clone(), Arc::clone(&done), Arc::clone(&begun));
            thread::spawn(move || {
                let listen = || {
                    let subscription = store.subscribe(&tenant(), &[], usize::MAX).unwrap();
                    let (snapshot, position) = store.snapshot_with_position();
                    (subscription, count(&snapshot), position)
                };
                let mut rounds = vec![listen()];
                begun.wait();
                while !done.load(Ordering::SeqCst) && rounds.len() < 200 {
                    rounds.push(listen());
                    if rounds.len() % 3 == 0 {
                        rounds.truncate(rounds.len() - 2);
                    }
                    thread::sleep(Duration::from_micros(300));
                }
                rounds
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    done.store(true, Ordering::SeqCst);
    flusher.join().unwrap();
    let mut checked = 0;
    for listener in listeners {
        for (mut subscription, in_view, position) in listener.join().unwrap() {
            let mut behind = 0;
            let mut last = 0;
            while let Some(new) = subscription.try_recv() {
                assert!(new.position() >= last);
                last = new.position();
                behind += if last > position { new.batch().rows().len() } else { 0 };
            }
            assert_eq!(in_view + behind, WRITERS * EACH);
            checked += 1;
        }
    }
    assert!(checked >= LISTENERS);
}
