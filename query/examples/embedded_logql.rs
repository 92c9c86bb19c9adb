//! LogQL over a store inside a program: lines, and numbers made of them.
//!
//! ```text
//! cargo run -p timberline-query --example embedded_logql
//! ```

use std::error::Error;

use timberline_query::{Direction, Engine, InstantQuery, QueryValue, RangeQuery};
use timberline_store::{Labels, Store, TenantId, TimeRange, WriteBatch};

/// 14 November 2023, 22:13:20 UTC.
const START: i64 = 1_700_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("timberline-logql-{}", std::process::id()));
    let store = Store::open(&directory)?;
    let tenant = TenantId::default();
    fill(&store, &tenant)?;
    let engine = Engine::new(&store);

    let hour = TimeRange::new(START, START + 3_600 * SECOND);
    let slow = r#"{app="shop"} | logfmt | took > 90ms | line_format "{{.path}} took {{.took}}""#;
    let query =
        RangeQuery { limit: 3, direction: Direction::Forward, ..RangeQuery::new(slow, hour) };
    if let QueryValue::Streams(streams) = engine.range(&tenant, &query)?.value {
        for entry in streams.iter().flat_map(|stream| &stream.entries) {
            let seconds = (entry.timestamp - START) / SECOND;
            println!("+{seconds}s {}", String::from_utf8_lossy(&entry.line));
        }
    }

    let rate = r#"sum by (path) (rate({app="shop"} | logfmt | status >= 500 [10m]))"#;
    let query = RangeQuery { step: 1_200 * SECOND, ..RangeQuery::new(rate, hour) };
    if let QueryValue::Matrix(series) = engine.range(&tenant, &query)?.value {
        for series in series {
            let values: Vec<String> =
                series.points.iter().map(|(_, value)| format!("{value:.4}")).collect();
            println!("{} {}", series.labels, values.join(" "));
        }
    }

    let slowest =
        r#"quantile_over_time(0.99, {app="shop"} | logfmt | unwrap duration(took) [1h]) by (app)"#;
    let answer = engine.instant(&tenant, &InstantQuery::new(slowest, hour.end))?;
    if let QueryValue::Vector(samples) = answer.value {
        for sample in samples {
            println!("99 of 100 took less than {:.3} s", sample.value);
        }
    }
    println!("lines looked at last: {}", answer.stats.lines_processed);
    store.close()?;
    Ok(std::fs::remove_dir_all(&directory)?)
}

/// An hour of a shop's access log, a line each second.
fn fill(store: &Store, tenant: &TenantId) -> Result<(), Box<dyn Error>> {
    let mut batch = WriteBatch::new();
    batch.stream(&Labels::from_pairs([("app", "shop"), ("env", "prod")])?);
    for second in 0..3_600 {
        let path = ["/", "/cart", "/pay"][usize::try_from(second % 3)?];
        let (status, took) = (if second % 100 == 99 { 500 } else { 200 }, second * 7 % 97);
        let line = format!("path={path} status={status} took={took}ms");
        batch.push(START + second * SECOND, line.as_bytes(), &[])?;
    }
    store.append(tenant, &batch)?;
    Ok(())
}
