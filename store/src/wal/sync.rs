//! The lock and the condition of the hand-off between appenders. In a build for the model check
//! (`hand_off.rs`) they are loom's, which plays every order in which threads can come to them.

#[cfg(not(all(test, loom)))]
pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, loom))]
pub(super) use self::checked::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, loom))]
mod checked {
    use std::ops::{Deref, DerefMut};

    use loom::sync;

    /// loom's, in the shape of `parking_lot`'s.
    #[derive(Debug)]
    pub(in crate::wal) struct Mutex<T>(sync::Mutex<T>);

    /// Empty only while it waits.
    pub(in crate::wal) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

    #[derive(Debug)]
    pub(in crate::wal) struct Condvar(sync::Condvar);

    impl<T> Mutex<T> {
        pub(in crate::wal) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(in crate::wal) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap()))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    impl Condvar {
        pub(in crate::wal) fn new() -> Self {
            Self(sync::Condvar::new())
        }

        pub(in crate::wal) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let waited = guard.0.take().map(|guard| self.0.wait(guard).unwrap());
            guard.0 = waited;
        }

        pub(in crate::wal) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
