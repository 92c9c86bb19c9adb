//! What waits for one subscriber.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{Appended, DroppedEntries};
use crate::deletes::ActiveDelete;

/// What waits for one subscriber, and what found no room.
#[derive(Debug)]
pub(super) struct Queue {
    bytes_max: usize,
    state: Mutex<State>,
    /// Told when something came or the end did.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Appended>>,
    bytes: usize,
    dropped: DroppedEntries,
    waker: Option<Waker>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default(), news: Condvar::new() }
    }

    /// Adds entries, or notes that they are dropped. The subscriber is told by [`wake`](Self::wake).
    pub(super) fn push(&self, appended: &Arc<Appended>) {
        let mut state = self.state.lock();
        let bytes = state.bytes.saturating_add(appended.bytes());
        // What is larger than the whole queue passes when it is alone.
        if bytes > self.bytes_max && !state.waiting.is_empty() {
            state.dropped.add(appended);
            return;
        }
        state.bytes = bytes;
        state.waiting.push_back(Arc::clone(appended));
    }

    /// Takes out what a request takes of what came up to a position.
    pub(super) fn hide(&self, delete: &ActiveDelete, position: u64) {
        let mut state = self.state.lock();
        let State { waiting, bytes, .. } = &mut *state;
        waiting.retain_mut(|appended| {
            if appended.position() <= position
                && let Some(rest) = appended.without(delete)
            {
                *appended = Arc::new(rest);
            }
            if appended.is_empty() {
                *bytes = bytes.saturating_sub(appended.bytes());
            }
            !appended.is_empty()
        });
    }

    pub(super) fn wake(&self) {
        let waker = self.state.lock().waker.take();
        self.news.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake();
    }

    pub(super) fn try_recv(&self) -> Option<Arc<Appended>> {
        self.state.lock().pop()
    }

    /// Waits until `deadline`, or for ever.
    pub(super) fn recv(&self, deadline: Option<Instant>) -> Option<Arc<Appended>> {
        let mut state = self.state.lock();
        loop {
            if !state.waiting.is_empty() || state.is_closed {
                return state.pop();
            }
            match deadline {
                None => self.news.wait(&mut state),
                Some(deadline) => {
                    if self.news.wait_until(&mut state, deadline).timed_out() {
                        return state.pop();
                    }
                }
            }
        }
    }

    pub(super) fn poll_recv(&self, context: &mut Context<'_>) -> Poll<Option<Arc<Appended>>> {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() || state.is_closed {
            return Poll::Ready(state.pop());
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => state.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    pub(super) fn take_dropped(&self) -> DroppedEntries {
        std::mem::take(&mut self.state.lock().dropped)
    }

    /// Whether the end was reached: the store is closed and nothing is waiting.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.is_closed && state.waiting.is_empty()
    }
}

impl State {
    fn pop(&mut self) -> Option<Arc<Appended>> {
        let appended = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(appended.bytes());
        Some(appended)
    }
}

impl DroppedEntries {
    fn add(&mut self, appended: &Appended) {
        let rows = appended.batch().rows();
        self.count += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let room = Self::FIRST_MAX.saturating_sub(self.first.len());
        let told = rows.iter().take(room);
        self.first.extend(told.map(|row| (row.timestamp, appended.labels().clone())));
    }
}
