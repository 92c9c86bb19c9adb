//! What both file systems must do alike, and what only the one in memory can show.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::*;

/// Runs a test over the real file system and its twin.
fn on_both(test: impl Fn(&dyn Vfs, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    test(&OsVfs, dir.path());
    let mem = MemVfs::new();
    mem.create_dir_all(Path::new("/data")).unwrap();
    test(&mem, Path::new("/data"));
}

fn write(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) {
    let mut file = vfs.create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

#[test]
fn files_read_and_map_as_written() {
    on_both(|vfs, dir| {
        let (path, empty) = (dir.join("a"), dir.join("b"));
        write(vfs, &path, b"text");
        write(vfs, &empty, b"");
        assert_eq!(vfs.read(&path).unwrap(), b"text");
        assert_eq!(&*vfs.map(&path).unwrap(), b"text");
        assert_eq!(&*vfs.map(&empty).unwrap(), b"");
        assert_eq!(vfs.file_len(&path).unwrap(), 4);
        assert_eq!(vfs.list(dir).unwrap(), [path, empty]);
    });
}

#[test]
fn a_path_is_created_once() {
    on_both(|vfs, dir| {
        write(vfs, &dir.join("a"), b"");
        assert_eq!(vfs.create(&dir.join("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let nowhere = dir.join("no").join("where");
        assert_eq!(vfs.create(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(vfs.read(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn writing_goes_on_behind_a_rename() {
    on_both(|vfs, dir| {
        let (from, to) = (dir.join("from"), dir.join("to"));
        write(vfs, &to, b"old");
        let mut file = vfs.create(&from).unwrap();
        file.write_all(b"ne").unwrap();
        vfs.replace(&from, &to).unwrap();
        file.write_all(b"w").unwrap();
        assert_eq!(vfs.read(&to).unwrap(), b"new");
        assert_eq!(vfs.list(dir).unwrap(), [to]);
    });
}

#[test]
fn removed_files_stay_readable_through_their_map() {
    on_both(|vfs, dir| {
        write(vfs, &dir.join("a"), b"text");
        let map = vfs.map(&dir.join("a")).unwrap();
        vfs.remove(&dir.join("a")).unwrap();
        assert!(vfs.list(dir).unwrap().is_empty());
        assert_eq!(&*map, b"text");
        assert_eq!(vfs.remove(&dir.join("a")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_lock_is_held_by_one_and_names_its_holder() {
    on_both(|vfs, dir| {
        let path = dir.join("LOCK");
        let held = vfs.lock(&path).unwrap();
        assert!(matches!(held, LockOutcome::Held(_)));
        let LockOutcome::Busy { holder } = vfs.lock(&path).unwrap() else { panic!("taken twice") };
        assert_eq!(holder, Some(std::process::id()));
        drop(held);
        assert!(matches!(vfs.lock(&path).unwrap(), LockOutcome::Held(_)));
    });
}

#[test]
fn directories_are_made_with_those_above() {
    on_both(|vfs, dir| {
        let deep = dir.join("x").join("y");
        vfs.create_dir_all(&deep).unwrap();
        vfs.create_dir_all(&deep).unwrap();
        write(vfs, &deep.join("a"), b"text");
        assert!(vfs.list(dir).unwrap().is_empty(), "directories are not listed");
    });
}

#[test]
fn a_crash_loses_what_was_not_synced() {
    let (vfs, dir) = (MemVfs::new(), Path::new("/data"));
    vfs.create_dir_all(dir).unwrap();
    write(&vfs, &dir.join("nameless"), b"text");
    assert!(vfs.crash().list(dir).unwrap().is_empty());

    let mut file = vfs.create(&dir.join("named")).unwrap();
    file.write_all(b"synced").unwrap();
    file.sync().unwrap();
    vfs.sync_dir(dir).unwrap();
    file.write_all(b" not").unwrap();
    assert_eq!(vfs.crash().read(&dir.join("named")).unwrap(), b"synced");
    assert_eq!(vfs.crash_torn(2).read(&dir.join("named")).unwrap(), b"synced n");

    vfs.remove(&dir.join("named")).unwrap();
    assert_eq!(vfs.crash().list(dir).unwrap().len(), 2, "the removal was not synced");
}
