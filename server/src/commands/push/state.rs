//! How far files were pushed, in a file of its own, so that a push that was broken off goes on there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stamp::Stamper;
use crate::commands::{Failure, beside};

/// The version of the state's form.
const VERSION: u32 = 1;

/// How many of a file's first bytes tell it from another under the same name.
const HEAD_BYTES: u64 = 1024;

/// What is known of all files.
#[derive(Debug)]
pub(super) struct State {
    path: Option<PathBuf>,
    content: Content,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    /// By whole path, labels and target.
    files: BTreeMap<String, FileState>,
}

/// How far one file was pushed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileState {
    /// All lines before this byte are acknowledged.
    pub(super) offset: u64,
    /// How the next line gets its timestamp.
    pub(super) stamper: Stamper,
    head: Head,
}

/// The first bytes of a file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Head {
    bytes: u64,
    crc: u32,
}

impl Head {
    /// Of as many bytes as there are.
    fn of(path: &Path, bytes: u64) -> std::io::Result<Self> {
        let mut head = Vec::new();
        File::open(path)?.take(bytes).read_to_end(&mut head)?;
        let mut crc = flate2::Crc::new();
        crc.update(&head);
        Ok(Self { bytes: head.len() as u64, crc: crc.sum() })
    }
}

impl FileState {
    /// A file of which nothing was pushed.
    pub(super) fn new(path: &Path, stamper: Stamper) -> Result<Self, Failure> {
        let head =
            Head::of(path, HEAD_BYTES).map_err(|error| Failure::file("read", path, &error))?;
        Ok(Self { offset: 0, stamper, head })
    }

    /// Whether it is still the same file, and not one that took its place or was cut.
    pub(super) fn is_of(&self, path: &Path) -> Result<bool, Failure> {
        let failed = |error| Failure::file("read", path, &error);
        let len = std::fs::metadata(path).map_err(failed)?.len();
        let is_whole = super::is_packed(path) || len >= self.offset;
        Ok(is_whole && Head::of(path, self.head.bytes).map_err(failed)? == self.head)
    }
}

impl State {
    /// Reads the state; one that is not there is empty. Without a path nothing is kept.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let empty = Content { version: VERSION, files: BTreeMap::new() };
        let Some(path) = path else { return Ok(Self { path: None, content: empty }) };
        let content = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => empty,
            Err(error) => return Err(Failure::file("read", path, &error)),
            Ok(text) => read(path, &text)?,
        };
        Ok(Self { path: Some(path.to_owned()), content })
    }

    pub(super) fn get(&self, key: &str) -> Option<&FileState> {
        self.content.files.get(key)
    }

    /// Keeps what is known of a file, whole or not at all.
    pub(super) fn put(&mut self, key: &str, state: FileState) -> Result<(), Failure> {
        self.content.files.insert(key.to_owned(), state);
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_vec(&self.content).map_err(Failure::failed)?;
        let beside = beside(path, "tmp");
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_data()?;
            std::fs::rename(&beside, path)
        });
        written.map_err(|error| Failure::file("write the state", path, &error))
    }
}

fn read(path: &Path, text: &[u8]) -> Result<Content, Failure> {
    let wrong = |what: &str| {
        Failure::Failed(format!(
            "{}: {what}; remove it to push from the beginning, lines that are there already are kept once",
            path.display()
        ))
    };
    let content: Content = serde_json::from_slice(text)
        .map_err(|error| wrong(&format!("not a push's state ({error})")))?;
    if content.version != VERSION {
        return Err(wrong(&format!("the state of version {}, not {VERSION}", content.version)));
    }
    Ok(content)
}
