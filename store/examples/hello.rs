//! A log store inside a program: append, read, close, open again. No runtime, no server.
//!
//! ```text
//! cargo run -p timberline-store --example hello [DIRECTORY]
//! ```

use std::error::Error;
use std::path::PathBuf;

use timberline_store::{
    Labels, LinePredicate, Matcher, Store, StoreError, TenantId, TimeRange, WriteBatch,
};

/// 14 November 2023, 22:13:20 UTC.
const START: i64 = 1_700_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = given.unwrap_or_else(|| std::env::temp_dir().join("timberline-hello"));
    let tenant = TenantId::default();

    println!("opening {}", directory.display());
    let store = Store::open(&directory)?;
    append(&store, &tenant)?;
    find(&store, &tenant)?;
    store.close()?;

    println!("opening it again");
    let store = Store::open(&directory)?;
    let stats = store.stats();
    println!("  {} segments with {} entries", stats.segments, stats.segment_entries);
    find(&store, &tenant)?;
    println!("the files stay in {}", directory.display());
    Ok(store.close()?)
}

/// Appends an hour of two services' lines. A second run finds them all there already.
fn append(store: &Store, tenant: &TenantId) -> Result<(), Box<dyn Error>> {
    let mut batch = WriteBatch::new();
    for service in ["checkout", "search"] {
        batch.stream(&Labels::from_pairs([("service", service), ("env", "prod")])?);
        for second in 0..3_600 {
            let status = if second % 600 == 599 { 500 } else { 200 };
            let line = format!("GET /{service} status={status} took={}ms", 3 + second % 40);
            let trace = format!("{second:08x}");
            batch.push(START + second * SECOND, line.as_bytes(), &[("trace", &trace)])?;
        }
    }
    let report = store.append(tenant, &batch)?;
    println!("  appended {} entries, had {} already", report.appended, report.duplicates);
    Ok(())
}

/// Prints the failures of one service, the latest first.
fn find(store: &Store, tenant: &TenantId) -> Result<(), StoreError> {
    let checkout = [Matcher::equal("service", "checkout")];
    let range = TimeRange::new(START, START + 3_600 * SECOND);
    let failed = LinePredicate::contains(b"status=500");
    for entry in store.entries(tenant, &checkout, range)?.matching(failed).newest_first() {
        let entry = entry?;
        let seconds = (entry.timestamp - START) / SECOND;
        println!("  +{seconds}s {} {} {}", entry.labels, entry.text(), entry.metadata);
    }
    Ok(())
}
