//! `check`, `repair`, `backup` and `restore`: what is done with a data directory while no server uses it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use timberline_query::LogqlFilters;
use timberline_store::{CheckReport, Store, StoreDirectory, StoreError};

use crate::cli::{complain, print};

/// The exit code for data that is damaged, lost or missing.
const DAMAGED: u8 = 3;

/// `timberline check`
pub(crate) fn check(directory: &Path) -> ExitCode {
    match StoreDirectory::new(directory).check() {
        Ok(report) => tell(&report),
        Err(error) => failed(&error),
    }
}

/// `timberline repair`
pub(crate) fn repair(directory: &Path) -> ExitCode {
    let directory = StoreDirectory::new(directory).filter_compiler(Arc::new(LogqlFilters));
    let report = match directory.repair() {
        Ok(report) => report,
        Err(error) => return failed(&error),
    };
    if report.actions.is_empty() {
        return print("there was nothing to repair\n");
    }
    let lines: String = report.actions.iter().map(|action| format!("{action}\n")).collect();
    print(&lines);
    ExitCode::from(DAMAGED)
}

/// `timberline backup`
pub(crate) fn backup(from: &Path, to: &Path) -> ExitCode {
    let outcome = StoreDirectory::new(from).check_exists().and_then(|()| {
        // A request's text must be understood even though nothing is deleted here.
        let builder = Store::builder().filter_compiler(Arc::new(LogqlFilters));
        let store = builder.compaction_limits(0.0, 0).open(from)?;
        let outcome = store.backup(to).map(|()| store.snapshot().warnings());
        store.close()?;
        outcome
    });
    match outcome {
        Ok(warnings) if warnings.is_empty() => ExitCode::SUCCESS,
        Ok(warnings) => {
            warnings.iter().for_each(|warning| complain(warning));
            ExitCode::from(DAMAGED)
        }
        Err(error) => failed(&error),
    }
}

/// `timberline restore`
pub(crate) fn restore(from: &Path, to: &Path) -> ExitCode {
    match StoreDirectory::new(from).restore(to) {
        Ok(report) => tell(&report),
        Err(error) => failed(&error),
    }
}

fn tell(report: &CheckReport) -> ExitCode {
    let mut text: String = report.findings.iter().map(|finding| format!("{finding}\n")).collect();
    text.push_str(&format!(
        "{} segments with {} entries, and {} entries in the log: {} bytes checked, {}\n",
        report.segments,
        report.segment_entries,
        report.log_entries,
        report.bytes,
        if report.is_damaged() { "damage found" } else { "all is well" }
    ));
    print(&text);
    if report.is_damaged() { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS }
}

fn failed(error: &StoreError) -> ExitCode {
    match error {
        StoreError::Locked { .. } => complain(&format!(
            "{error}; a running server makes a backup when asked: POST /timberline/api/v1/backup?name=NAME"
        )),
        _ => complain(&error.to_string()),
    }
    ExitCode::FAILURE
}
