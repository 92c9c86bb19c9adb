//! What the fuzzers were started with, and every crash they found, as ordinary tests. The crates'
//! tests take this file in by its path.

use std::path::Path;

/// Runs `target` on each file of a corpus. Names are printed, so that a panic is known by its file.
pub(crate) fn replay(corpus: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(corpus);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        println!("{}", path.display());
        target(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}
