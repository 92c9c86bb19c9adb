//! What is made when it is first needed, by one thread, and then kept.

use std::sync::OnceLock;

use parking_lot::Mutex;

/// A value that is made when it is first asked for.
#[derive(Debug)]
pub(in crate::segment) struct Lazy<T> {
    value: OnceLock<T>,
    /// Held by whoever makes it: decoding a column twice takes longer than waiting for it.
    making: Mutex<()>,
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self { value: OnceLock::new(), making: Mutex::new(()) }
    }
}

impl<T> Lazy<T> {
    /// The value, made by `make` if it is not there. A failure is not kept.
    pub(in crate::segment) fn get_or_try<E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let _making = self.making.lock();
        match self.value.get() {
            Some(value) => Ok(value),
            None => make().map(|value| self.value.get_or_init(|| value)),
        }
    }

    /// The value, if it was made.
    pub(in crate::segment) fn loaded(&self) -> Option<&T> {
        self.value.get()
    }
}
