//! What fuzzing has found worth keeping, run as a plain test.

use std::path::Path;

use timberline_query::fuzzing;

/// Gives every file of `fuzz/corpus/<target>` to its target.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for file in folder.read_dir().expect("every target has a corpus") {
        let path = file.expect("the corpus can be listed").path();
        // Shown for a test that fails.
        println!("{}", path.display());
        run(&std::fs::read(&path).expect("the corpus can be read"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn logql_parse() {
    replay("logql_parse", fuzzing::logql_parse);
}

#[test]
fn template() {
    replay("template", fuzzing::template);
}

#[test]
fn pattern() {
    replay("pattern", fuzzing::pattern);
}

#[test]
fn json_flatten() {
    replay("json_flatten", fuzzing::json_flatten);
}

#[test]
fn logfmt() {
    replay("logfmt", fuzzing::logfmt);
}
