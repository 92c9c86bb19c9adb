use super::*;
use crate::MemVfs;

const PATH: &str = "/db/MANIFEST";

fn open(vfs: &MemVfs) -> Manifest {
    Manifest::open(Arc::new(vfs.clone()), Path::new(PATH)).unwrap()
}

fn new_vfs() -> MemVfs {
    let vfs = MemVfs::new();
    vfs.create_dir_all(Path::new("/db")).unwrap();
    vfs
}

#[test]
fn commits_outlive_a_crash_and_ids_are_not_given_out_again() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    let ids = [manifest.take_id(), manifest.take_id()];
    manifest.commit(&[Edit::Add(ids[0]), Edit::Flushed(7)]).unwrap();
    manifest.commit(&[Edit::Add(ids[1]), Edit::Remove(ids[0]), Edit::Flushed(9)]).unwrap();
    manifest.commit(&[Edit::Remove(ids[1])]).unwrap();
    let mut again = open(&open(&vfs.crash()).vfs_for_test());
    assert_eq!(again.live().flushed, 9);
    assert!(again.live().segments.is_empty());
    assert_eq!(again.take_id(), 3);
}

impl Manifest {
    /// What a crash leaves of the files this manifest is on.
    fn vfs_for_test(&self) -> MemVfs {
        let vfs = new_vfs();
        vfs.put(&self.path, self.vfs.read(&self.path).unwrap());
        vfs
    }
}

#[test]
fn a_torn_commit_is_ignored() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    let before = vfs.read(Path::new(PATH)).unwrap().len();
    manifest.commit(&[Edit::Add(1), Edit::Flushed(5)]).unwrap();
    let whole = vfs.read(Path::new(PATH)).unwrap();
    for cut in before..whole.len() {
        vfs.put(Path::new(PATH), whole[..cut].to_vec());
        assert_eq!(open(&vfs).live(), &Live::default());
    }
    vfs.put(Path::new(PATH), whole[..before - 1].to_vec());
    let refused = Manifest::open(Arc::new(vfs.clone()), Path::new(PATH));
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })));
}

#[test]
fn after_a_failed_commit_the_file_is_written_anew() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    vfs.fail_syncs(true);
    manifest.commit(&[Edit::Add(1)]).unwrap_err();
    manifest.commit(&[Edit::Add(2)]).unwrap_err();
    vfs.fail_syncs(false);
    manifest.commit(&[Edit::Add(3)]).unwrap();
    manifest.commit(&[Edit::Add(4)]).unwrap();
    assert_eq!(open(&vfs.crash()).live().segments, [3, 4]);
}

#[test]
fn damage_in_front_of_a_commit_is_not_taken_for_a_torn_end() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    let first = vfs.read(Path::new(PATH)).unwrap().len();
    (1..=3).for_each(|id| manifest.commit(&[Edit::Add(id)]).unwrap());
    let whole = vfs.read(Path::new(PATH)).unwrap();
    let last = whole.len() - (whole.len() - first) / 3;
    // Taking it for a torn end would leave out segments, whose files would then be swept.
    for byte in first..last {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x10;
        vfs.put(Path::new(PATH), bytes);
        let refused = Manifest::open(Arc::new(vfs.clone()), Path::new(PATH));
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "byte {byte}: {refused:?}");
    }
}

#[test]
fn a_segment_takes_the_place_of_those_it_is_made_of() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    (1..=5).for_each(|id| manifest.commit(&[Edit::Add(id)]).unwrap());
    manifest.commit(&[Edit::Remove(2), Edit::Remove(3), Edit::Add(6)]).unwrap();
    assert_eq!(manifest.live().segments, [1, 6, 4, 5]);
    manifest.commit(&[Edit::Add(7)]).unwrap();
    manifest.commit(&[Edit::Remove(5), Edit::Remove(7), Edit::Add(8)]).unwrap();
    for _ in 0..2 {
        assert_eq!(open(&vfs).live().segments, [1, 6, 4, 8], "once from commits, once from one");
    }
}
