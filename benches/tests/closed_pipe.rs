//! The command beside others in a pipe.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

#[test]
fn a_corpus_of_which_somebody_has_enough_ends_well() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timberline-benches"));
    command.args(["corpus", "--lines", "20000"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // As `head -1` does. It is more than a pipe holds, so that what follows is refused.
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with('\n'), "{line}");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
}
