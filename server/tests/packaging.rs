//! What the Debian package is made of is there.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The binary, which the package's build makes.
const BINARY: &str = "target/release/timberline";
/// What `packaging/assets` makes.
const MADE: &str = "../target/assets/";

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first part of each of the package's assets: where it comes from.
fn sources() -> Vec<String> {
    let manifest = std::fs::read_to_string(package().join("Cargo.toml")).unwrap();
    let section = manifest.split_once("[package.metadata.deb]").unwrap().1;
    let assets = section.split_once("assets = [").unwrap().1.split_once("\n]").unwrap().0;
    let source = |line: &str| line.split('"').nth(1).map(str::to_owned);
    assets.lines().filter_map(source).collect()
}

/// Files that a path names whose last part may have one `*`.
fn files(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().unwrap().to_str().unwrap();
    let (before, behind) = name.split_once('*').unwrap_or((name, ""));
    let entries = std::fs::read_dir(pattern.parent().unwrap()).unwrap();
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let is_meant = |path: &PathBuf| {
        let file = path.file_name().unwrap().to_str().unwrap();
        file == name || name.contains('*') && file.starts_with(before) && file.ends_with(behind)
    };
    files.filter(is_meant).collect()
}

#[test]
fn every_asset_is_there_or_made() {
    let made = TempDir::new().unwrap();
    let script = package().join("../packaging/assets");
    let status =
        Command::new(script).arg(env!("CARGO_BIN_EXE_timberline")).arg(made.path()).status();
    assert!(status.unwrap().success());
    let sources = sources();
    assert!(sources.len() > 5, "{sources:?}");
    for source in sources.iter().filter(|source| *source != BINARY) {
        let path = match source.strip_prefix(MADE) {
            Some(made_here) => made.path().join(made_here),
            None => package().join(source),
        };
        let found = files(&path);
        assert!(!found.is_empty(), "{source}: nothing is there");
        for file in found {
            assert!(file.metadata().unwrap().len() > 0, "{} is empty", file.display());
        }
    }
    let pages = files(&made.path().join("man/*.1"));
    assert!(pages.iter().any(|page| page.ends_with("timberline-query.1")), "{pages:?}");
}
