use super::*;
use crate::frame::HEADER_BYTES;
use crate::{MemVfs, TenantId, TimeRange};

fn add(id: u64) -> Edit {
    Edit::Add { id, level: 0 }
}

fn ids(manifest: &Manifest) -> Vec<u64> {
    manifest.live().segments.iter().map(|live| live.id).collect()
}

const PATH: &str = "/db/MANIFEST";

fn open(vfs: &MemVfs) -> Manifest {
    Manifest::open(Arc::new(vfs.clone()), Path::new(PATH)).unwrap()
}

/// Segments that were there before: so many that a few commits are appended behind them.
const EARLIER: std::ops::RangeInclusive<u64> = 101..=140;

/// A manifest with one commit of the earlier segments.
fn crowded(vfs: &MemVfs) -> Manifest {
    let mut manifest = open(vfs);
    manifest.commit(&EARLIER.map(add).collect::<Vec<_>>()).unwrap();
    drop(manifest);
    open(vfs)
}

fn len(vfs: &MemVfs) -> usize {
    vfs.read(Path::new(PATH)).unwrap().len()
}

/// The earlier segments and some more.
fn and(later: &[u64]) -> Vec<u64> {
    EARLIER.chain(later.iter().copied()).collect()
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
    manifest.commit(&[add(ids[0]), Edit::Flushed(7)]).unwrap();
    manifest.commit(&[add(ids[1]), Edit::Remove(ids[0]), Edit::Flushed(9)]).unwrap();
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
    let mut manifest = crowded(&vfs);
    let before = len(&vfs);
    manifest.commit(&[add(1), Edit::Flushed(5)]).unwrap();
    let whole = vfs.read(Path::new(PATH)).unwrap();
    let one_copy = before + (whole.len() - before) / 2;
    for cut in before..whole.len() {
        vfs.put(Path::new(PATH), whole[..cut].to_vec());
        let expected: &[u64] = if cut < one_copy { &[] } else { &[1] };
        assert_eq!(ids(&open(&vfs)), and(expected), "cut at {cut}");
    }
    vfs.put(Path::new(PATH), whole[..HEADER_BYTES + 5].to_vec());
    let refused = Manifest::open(Arc::new(vfs.clone()), Path::new(PATH));
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })));
}

#[test]
fn after_a_failed_commit_the_file_is_written_anew() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    vfs.fail_syncs(true);
    manifest.commit(&[add(1)]).unwrap_err();
    manifest.commit(&[add(2)]).unwrap_err();
    vfs.fail_syncs(false);
    manifest.commit(&[add(3)]).unwrap();
    manifest.commit(&[add(4)]).unwrap();
    assert_eq!(ids(&open(&vfs.crash())), [3, 4]);
}

#[test]
fn a_file_is_at_most_twice_as_long_as_it_was_when_written_anew() {
    let vfs = new_vfs();
    let mut manifest = crowded(&vfs);
    let fresh = len(&vfs);
    let (mut longest, mut appended, mut before) = (0, 0, fresh);
    for flush in 1..=1000 {
        let id = manifest.take_id();
        manifest.commit(&[Edit::Remove(id - 1), add(id), Edit::Flushed(flush)]).unwrap();
        let bytes = len(&vfs);
        longest = longest.max(bytes);
        appended += usize::from(bytes > before);
        before = bytes;
        assert_eq!(open(&vfs.crash()).live(), manifest.live());
    }
    // Numbers grow by a byte.
    assert!(longest <= 2 * (fresh + 200), "{longest} bytes, of {fresh} that are in force");
    assert!(appended > 500, "{appended} of 1,000 commits are appended");
}

#[test]
fn what_fails_while_it_is_written_anew_costs_nothing() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    manifest.commit(&[add(1)]).unwrap();
    vfs.fail_syncs(true);
    manifest.commit(&[Edit::Remove(1), add(2), add(3)]).unwrap_err();
    assert_eq!(ids(&manifest), [1]);
    assert_eq!(ids(&open(&vfs.crash())), [1], "the file was not replaced");
    vfs.fail_syncs(false);
    manifest.commit(&[add(4)]).unwrap();
    assert_eq!(ids(&open(&vfs.crash())), [1, 4]);
}

#[test]
fn damage_to_one_copy_of_a_commit_costs_nothing() {
    let vfs = new_vfs();
    let mut manifest = crowded(&vfs);
    (1..=3).for_each(|id| manifest.commit(&[add(id)]).unwrap());
    let whole = vfs.read(Path::new(PATH)).unwrap();
    for byte in HEADER_BYTES..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x10;
        vfs.put(Path::new(PATH), bytes);
        let manifest = open(&vfs);
        assert_eq!(ids(&manifest), and(&[1, 2, 3]), "byte {byte}");
        assert!(manifest.has_bad_bytes(), "byte {byte}");
    }
}

#[test]
fn damage_to_both_copies_is_not_taken_for_a_torn_end() {
    let vfs = new_vfs();
    let mut manifest = crowded(&vfs);
    let first = len(&vfs);
    (1..=3).for_each(|id| manifest.commit(&[add(id)]).unwrap());
    let whole = vfs.read(Path::new(PATH)).unwrap();
    let copy = (whole.len() - first) / 6;
    // Taking it for a torn end would leave out segments, whose files would then be swept.
    for byte in first..first + copy {
        let mut bytes = whole.clone();
        (bytes[byte], bytes[byte + copy]) = (!bytes[byte], !bytes[byte + copy]);
        vfs.put(Path::new(PATH), bytes);
        let refused = Manifest::open(Arc::new(vfs.clone()), Path::new(PATH));
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "byte {byte}: {refused:?}");
    }
}

/// A manifest of version 1, byte for byte: segments 3 at first and then 4 as well, the log up to 9.
#[test]
fn the_first_version_is_read() {
    let mut bytes = frame::header(Format { version: 1, ..FORMAT }, 1).to_vec();
    for (sequence, payload) in [(1, &[3, 7, 2, 3, 1, 3][..]), (2, &[1, 4, 3, 9])] {
        let (len, crc) = (u32::try_from(payload.len()).unwrap(), frame::payload_crc(&[payload]));
        frame::put_record(&mut bytes, sequence, len, crc, &[payload]);
    }
    let vfs = new_vfs();
    vfs.put(Path::new(PATH), bytes);
    for _ in 0..2 {
        let manifest = open(&vfs);
        assert_eq!((ids(&manifest), manifest.live().flushed), (vec![3, 4], 9));
        assert_eq!((manifest.live().next_id, manifest.live().level()), (5, 0));
        assert!(!manifest.has_bad_bytes());
    }
}

#[test]
fn delete_requests_and_levels_are_kept() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    let body = Arc::new(DeleteBody {
        tenant: TenantId::new("acme").unwrap(),
        range: TimeRange::new(-5, 5),
        matchers: Vec::new(),
        filter: crate::deletes::DeleteFilter::Every,
        text: "{}".into(),
        created: 7,
    });
    let delete = |id| Edit::Delete { id, body: Arc::clone(&body) };
    let state = |id, status| Edit::DeleteState { id, status };
    manifest.commit(&[add(1), delete(1), delete(2), delete(3)]).unwrap();
    manifest.commit(&[add(2), Edit::Add { id: 1, level: 2 }]).unwrap();
    manifest.commit(&[state(1, Some(DeleteStatus::Processed)), state(3, None)]).unwrap();
    for _ in 0..2 {
        let manifest = open(&vfs.crash());
        let live = manifest.live();
        assert_eq!(live.segments, [LiveId { id: 1, level: 2 }, LiveId { id: 2, level: 0 }]);
        let deletes: Vec<_> = live.deletes.iter().map(|found| (found.id, found.status)).collect();
        assert_eq!(deletes, [(1, DeleteStatus::Processed), (2, DeleteStatus::Received)]);
        assert_eq!((&live.deletes[1].body, live.next_delete), (&body, 4));
    }
}

#[test]
fn only_the_last_processed_requests_are_kept() {
    let mut live = Live::default();
    let body = Arc::new(DeleteBody {
        tenant: TenantId::new("acme").unwrap(),
        range: TimeRange::ALL,
        matchers: Vec::new(),
        filter: crate::deletes::DeleteFilter::Every,
        text: "".into(),
        created: 0,
    });
    let last = u64::try_from(PROCESSED_MAX).unwrap() + 2;
    for id in 1..=last {
        let status = (id != 1).then_some(DeleteStatus::Processed);
        live.apply(&[Edit::Delete { id, body: Arc::clone(&body) }]);
        if status.is_some() {
            live.apply(&[Edit::DeleteState { id, status }]);
        }
    }
    let ids: Vec<u64> = live.deletes.iter().map(|delete| delete.id).collect();
    assert_eq!((ids.len(), &ids[..2]), (PROCESSED_MAX + 1, &[1, 3][..]));
}

#[test]
fn a_segment_takes_the_place_of_those_it_is_made_of() {
    let vfs = new_vfs();
    let mut manifest = open(&vfs);
    (1..=5).for_each(|id| manifest.commit(&[add(id)]).unwrap());
    manifest.commit(&[Edit::Remove(2), Edit::Remove(3), add(6)]).unwrap();
    assert_eq!(ids(&manifest), [1, 6, 4, 5]);
    manifest.commit(&[add(7)]).unwrap();
    manifest.commit(&[Edit::Remove(5), Edit::Remove(7), add(8)]).unwrap();
    for _ in 0..2 {
        assert_eq!(ids(&open(&vfs)), [1, 6, 4, 8], "once from commits, once from one");
    }
}
