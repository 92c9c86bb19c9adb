//! Files that cannot be opened or read for a while: nothing is lost, and it goes on afterwards.

use std::path::Path;
use std::sync::Arc;

use timberline_store::{MemVfs, Store, StoreError};

use crate::faults::{EIO, EMFILE, FaultVfs, Plan};
use crate::util::*;

fn on_faulty() -> FaultVfs {
    FaultVfs::new(&MemVfs::new(), Plan::default(), 1)
}

fn open_on(vfs: &FaultVfs) -> Result<Store, StoreError> {
    let builder = Store::builder().vfs(Arc::new(vfs.clone())).compaction_limits(0.0, 0);
    builder.open(Path::new(DIR))
}

fn error_of<T>(outcome: Result<T, StoreError>) -> i32 {
    match outcome {
        Err(StoreError::Io { source, .. }) => source.raw_os_error().unwrap(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn a_flush_that_cannot_open_its_segment_keeps_the_entries() {
    for error in [EMFILE, EIO] {
        let vfs = on_faulty();
        let store = open_on(&vfs).unwrap();
        append(&store, "a", &[(1, "one")]).unwrap();
        vfs.fail_reads(Some(error));
        assert_eq!(error_of(store.flush()), error);
        append(&store, "a", &[(2, "two")]).unwrap();
        let expected = told(&[(1, "one"), (2, "two")]);
        assert_eq!(read(&store, "a"), expected);
        vfs.fail_reads(None);
        store.flush().unwrap();
        assert_eq!((read(&store, "a"), store.stats().head_entries), (expected.clone(), 0));
        drop(store);
        assert_eq!(read(&open_on(&vfs).unwrap(), "a"), expected);
    }
}

#[test]
fn a_store_that_cannot_be_read_is_not_opened_and_not_changed() {
    for error in [EMFILE, EIO] {
        let vfs = on_faulty();
        let store = open_on(&vfs).unwrap();
        append(&store, "a", &[(1, "one")]).unwrap();
        store.flush().unwrap();
        append(&store, "a", &[(2, "two")]).unwrap();
        drop(store);
        vfs.fail_reads(Some(error));
        for _ in 0..3 {
            assert_eq!(error_of(open_on(&vfs)), error);
        }
        vfs.fail_reads(None);
        let store = open_on(&vfs).unwrap();
        assert_eq!(store.snapshot().warnings(), [""; 0]);
        assert_eq!(read(&store, "a"), told(&[(1, "one"), (2, "two")]));
    }
}
