//! `timberline rules check`.

use std::path::{Path, PathBuf};

use super::report::{complain, say};
use crate::ruler::rules::{Problem, parse_file};

/// Checks all files; false when one is not good.
pub(super) fn run(files: &[PathBuf]) -> bool {
    let mut all_well = true;
    for file in files {
        say(&format!("Checking {}\n", file.display()));
        match check(file) {
            Ok(rules) => say(&format!("  SUCCESS: {rules} rules found\n\n")),
            Err(texts) => {
                all_well = false;
                let lines = texts.iter().map(|text| format!("{}: {text}\n", file.display()));
                complain(&format!("  FAILED:\n{}", lines.collect::<String>()));
                say("\n");
            }
        }
    }
    all_well
}

/// How many rules there are.
fn check(file: &Path) -> Result<usize, Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![error.to_string()])?;
    let groups = parse_file(&text)
        .map_err(|problems| problems.iter().map(Problem::in_file).collect::<Vec<_>>())?;
    Ok(groups.iter().map(|group| group.rules.len()).sum())
}
