//! The checksums of a segment's parts.

use super::codec::{Damage, Decoded};

/// Whether these are the bytes that have this CRC-32C.
pub(super) fn check(bytes: &[u8], expected: u32) -> Decoded<()> {
    let crc = crc32c::crc32c(bytes);
    if crc == expected || is_overlooked() {
        return Ok(());
    }
    Err(Damage(format!("checksum {crc:#010x}, expected {expected:#010x}")))
}

#[cfg(not(any(test, fuzzing)))]
const fn is_overlooked() -> bool {
    false
}

#[cfg(any(test, fuzzing))]
use overlook::is_overlooked;
#[cfg(any(test, fuzzing))]
pub(super) use overlook::overlooking;

/// Checksums keep most inputs of a fuzzer from what is behind them, and a writer with a bug gets past them.
#[cfg(any(test, fuzzing))]
mod overlook {
    use std::cell::Cell;

    thread_local! {
        static IS_OVERLOOKED: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn is_overlooked() -> bool {
        IS_OVERLOOKED.get()
    }

    /// Does something with all checksums taken for right, on this thread.
    pub(in crate::segment) fn overlooking<T>(act: impl FnOnce() -> T) -> T {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                IS_OVERLOOKED.set(false);
            }
        }
        IS_OVERLOOKED.set(true);
        let _reset = Reset;
        act()
    }
}
