//! What a store takes on disk.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result};

/// The files below a directory, with their bytes. Files that go meanwhile are left out.
pub(crate) type Files = BTreeMap<PathBuf, u64>;

/// Lists the files below a directory.
pub(crate) fn files(directory: &Path) -> Result<Files> {
    let mut found = Files::new();
    add_files(directory, &mut found)
        .with_context(|| format!("cannot list {}", directory.display()))?;
    Ok(found)
}

fn add_files(directory: &Path, found: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => add_files(&entry.path(), found)?,
            Ok(metadata) => drop(found.insert(entry.path(), metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Bytes of all files below a directory.
pub(crate) fn bytes(directory: &Path) -> Result<u64> {
    Ok(files(directory)?.values().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_levels_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), [0; 7]).unwrap();
        fs::create_dir(directory.path().join("d")).unwrap();
        fs::write(directory.path().join("d").join("b"), [0; 5]).unwrap();
        assert_eq!(files(directory.path()).unwrap().len(), 2);
        assert_eq!(bytes(directory.path()).unwrap(), 12);
        assert!(bytes(&directory.path().join("none")).is_err());
    }
}
