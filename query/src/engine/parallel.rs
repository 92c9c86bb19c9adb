//! Work on many pieces by a few threads.

use std::borrow::Borrow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::CORES;
use super::context::ChunkUnit;
use crate::QueryError;

/// Helpers for each core. Some queries at once get as many as they may have, and the system shares the cores out;
/// with more of them there is nothing left to share.
const HELPERS_PER_CORE: usize = 4;

/// Threads that help with queries, for all queries of the process: to wake one takes a fraction of what it takes
/// to start one, and that is a good part of a small query.
struct Helpers {
    /// None where the system gives no threads.
    pool: Option<ThreadPool>,
    free: AtomicUsize,
}

static HELPERS: LazyLock<Helpers> = LazyLock::new(|| {
    let build = |count| {
        let builder = ThreadPoolBuilder::new().num_threads(count);
        builder.thread_name(|_| "timberline-query".to_owned()).build().ok()
    };
    // Rather some than none where the system limits threads.
    let counts = std::iter::successors(Some(HELPERS_PER_CORE * *CORES), |count| Some(count / 2));
    let pool = counts.take_while(|count| *count > 0).find_map(build);
    let free = pool.as_ref().map_or(0, ThreadPool::current_num_threads);
    Helpers { pool, free: AtomicUsize::new(free) }
});

impl Helpers {
    /// Takes up to so many that are free. Nobody waits for a helper: where all are at work, a query goes on alone.
    fn take(&self, wanted: usize) -> impl Iterator<Item = Taken<'_>> {
        let mut count = 0;
        let take = |free: usize| {
            count = free.min(wanted);
            Some(free - count)
        };
        // The closure always gives a value, so that this does not fail.
        let _ = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let taken: Vec<_> = (0..count).map(|_| Taken(&self.free)).collect();
        taken.into_iter()
    }
}

/// A helper that is in somebody's hands until this is dropped.
struct Taken<'h>(&'h AtomicUsize);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Gives every item to one of the states, each of which belongs to a thread of its own.
///
/// Items are taken in their order, `run` neighbours at a time: chunks that lie side by side share
/// blocks, and a thread that keeps to neighbours decodes a block once. One state works on the
/// calling thread, so that small queries wake none.
///
/// # Errors
/// The error of the first item that failed; the threads stop at it.
pub(crate) fn for_each<S: Send, T: Sync>(
    states: &mut [S],
    items: &[T],
    run: usize,
    work: impl Fn(&mut S, &T) -> Result<(), QueryError> + Sync,
) -> Result<(), QueryError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failure: Mutex<Option<(usize, QueryError)>> = Mutex::new(None);
    let fail = |index: usize, error: QueryError| {
        stop.store(true, Ordering::Relaxed);
        let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|(other, _)| index < *other) {
            *failure = Some((index, error));
        }
    };
    let drain = |state: &mut S| {
        loop {
            let start = next.fetch_add(run, Ordering::Relaxed);
            for (index, item) in items.iter().enumerate().skip(start).take(run) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(error) = work(state, item) {
                    return fail(index, error);
                }
            }
            if start >= items.len() {
                return;
            }
        }
    };
    if let Some((own, others)) = states.split_first_mut() {
        let useful = items.len().div_ceil(run).saturating_sub(1);
        let wanted = others.len().min(useful);
        match (wanted > 0).then(|| &*HELPERS) {
            Some(helpers @ Helpers { pool: Some(pool), .. }) => pool.in_place_scope(|scope| {
                for (state, helper) in others.iter_mut().zip(helpers.take(wanted)) {
                    let drain = &drain;
                    scope.spawn(move |_| {
                        drain(state);
                        drop(helper);
                    });
                }
                drain(own);
            }),
            _ => drain(own),
        }
    }
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Chunks side by side in the store, by the group that they are in: the pieces of work of one thread, since
/// two that read the same group would both look through it.
pub(crate) fn groups<U: Borrow<ChunkUnit>>(units: &[U]) -> Vec<&[U]> {
    let share = |one: &U, other: &U| one.borrow().chunk.shares_group_with(&other.borrow().chunk);
    units.chunk_by(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        let items: Vec<u64> = (0..1000).collect();
        let mut sums = [0_u64; 3];
        for_each(&mut sums, &items, 7, |sum, item| {
            *sum += item;
            Ok(())
        })
        .unwrap();
        assert_eq!(sums.iter().sum::<u64>(), 499_500);
    }

    #[test]
    fn helpers_are_taken_as_far_as_they_are_free() {
        let helpers = Helpers { pool: None, free: AtomicUsize::new(3) };
        let (first, second) = (helpers.take(2), helpers.take(2));
        assert_eq!((first.count(), helpers.take(1).count()), (2, 1), "given back when dropped");
        let mut third = helpers.take(9);
        drop((third.next(), second));
        assert_eq!(helpers.take(9).count(), 2);
        drop(third);
        assert_eq!(helpers.take(9).count(), 3);
    }

    #[test]
    fn callers_at_once_get_all_of_their_work_done() {
        let items: Vec<u64> = (0..500).collect();
        let one = || {
            for round in 0..50 {
                let mut sums = [0_u64; 4];
                let work = |sum: &mut u64, item: &u64| {
                    *sum += item;
                    if round == 7 && *item == 300 { Err(QueryError::Cancelled) } else { Ok(()) }
                };
                let done = for_each(&mut sums, &items, 3, work);
                assert_eq!(done.is_ok(), round != 7);
                assert!(round == 7 || sums.iter().sum::<u64>() == 124_750);
            }
        };
        std::thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(one))));
    }

    #[test]
    fn helpers_come_back_from_work_that_panics() {
        let panicking = || {
            let work = |(): &mut (), _: &u8| panic!("as planned");
            for_each(&mut [(), ()], &[0; 8], 1, work)
        };
        assert!(std::panic::catch_unwind(panicking).is_err());
        let free = || HELPERS.free.load(Ordering::Relaxed);
        let all = HELPERS.pool.as_ref().map_or(0, ThreadPool::current_num_threads);
        // Other tests have some now and then.
        while free() != all {
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_error_stops_the_work() {
        let items = [0, 1, 2];
        let failed = for_each(&mut [(), ()], &items, 1, |(), item| match item {
            1 => Err(QueryError::Timeout),
            _ => Ok(()),
        });
        assert!(matches!(failed, Err(QueryError::Timeout)));
    }
}
