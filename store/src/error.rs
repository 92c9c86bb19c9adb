//! Why the store could not do what it was asked.

use std::io;
use std::path::PathBuf;

/// Why the store could not do what it was asked.
///
/// The caller's fault ([`Invalid`](Self::Invalid), [`Locked`](Self::Locked)), the disk's
/// ([`Io`](Self::Io), [`Corrupt`](Self::Corrupt)) and the store's own state ([`Closed`](Self::Closed))
/// are told apart, since each needs another reaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused. Retry only after looking at `source`.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `open`, `write`, `sync`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Bytes on disk fail their check. Nothing of this block was returned; other blocks are still
    /// readable.
    #[error("{}: damaged {what} at byte {offset}: {detail}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Which part of the file: `footer`, `line block`, `wal record`.
        what: &'static str,
        /// Where the part begins in the file.
        offset: u64,
        /// What was found and what was expected.
        detail: String,
    },
    /// The file was written by a newer version of this crate.
    #[error("{}: format version {found} is newer than {supported}, the newest this build reads", path.display())]
    FutureFormat {
        /// The file.
        path: PathBuf,
        /// The version it says it has.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// Another process (or another handle in this one) has the directory open.
    #[error("{} is in use by another process{}; stop it or choose another data directory", path.display(), holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, where it could be read.
        holder: Option<u32>,
    },
    /// The request can never succeed as it is; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// Whoever reads said that it is to end, see [`Snapshot::stopped_when`](crate::Snapshot::stopped_when).
    #[error("reading was stopped")]
    Stopped,
    /// [`Store::close`](crate::Store::close) was called.
    #[error("store is closed")]
    Closed,
}
