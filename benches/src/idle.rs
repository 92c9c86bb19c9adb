//! Connections that are kept alive and ask nothing: what they cost a query beside them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::client;
use crate::process::Server;

/// Lines that the query looks at.
const LINES: i64 = 5000;

/// Rounds, each without the connections and then with them: what the machine does meanwhile is in both.
const ROUNDS: usize = 5;

/// Queries of a round, each time.
const QUERIES: usize = 100;

const QUERY: &str = r#"sum by (status) (count_over_time({job="idle"} | logfmt [1m]))"#;

/// Asks the same query without and with so many idle connections.
pub(crate) fn measure(server: &Server, connections: usize) -> Result<String> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    push(server, now)?;
    let range = [(now - LINES * 1_000_000).to_string(), now.to_string()];
    let (mut without, mut with) = (Vec::new(), Vec::new());
    ask(server, &range, &mut Vec::new())?;
    let before = server.memory()?.resident_kb;
    let mut opened = before;
    for _ in 0..ROUNDS {
        ask(server, &range, &mut without)?;
        let idle = (0..connections)
            .map(|number| open(server.addr()).with_context(|| format!("idle connection {number}")));
        let idle: Vec<TcpStream> = idle.collect::<Result<_>>()?;
        ask(server, &range, &mut with)?;
        opened = opened.max(server.memory()?.resident_kb);
        drop(idle);
    }
    Ok(format!(
        "{connections} idle keep-alive connections: a query over {LINES} lines takes {:.2} ms (median; p99 {:.2} ms) \
         without them, {:.2} ms (p99 {:.2} ms) with them, of {} each; {} MB before, {} MB at the most",
        ms(&mut without, 50),
        ms(&mut without, 99),
        ms(&mut with, 50),
        ms(&mut with, 99),
        without.len(),
        before / 1000,
        opened / 1000
    ))
}

/// The time in milliseconds that so many of a hundred do not pass.
fn ms(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0
}

fn push(server: &Server, now: i64) -> Result<()> {
    let value = |index: i64| {
        let line =
            format!("level=info path=/api/v1/items status={} took={index}ms", 200 + index % 5);
        serde_json::json!([(now - index * 1_000_000).to_string(), line])
    };
    let values: Vec<_> = (1..=LINES).map(value).collect();
    let body = serde_json::json!({"streams": [{"stream": {"job": "idle"}, "values": values}]});
    let url = format!("http://{}/loki/api/v1/push", server.addr());
    ureq::post(&url).header("Content-Type", "application/json").send(body.to_string())?;
    Ok(())
}

fn ask(server: &Server, [start, end]: &[String; 2], times: &mut Vec<Duration>) -> Result<()> {
    for _ in 0..QUERIES {
        let begun = Instant::now();
        let params =
            [("query", QUERY), ("start", start.as_str()), ("end", end.as_str()), ("step", "60")];
        client::get(server.addr(), "query_range", &params)?;
        times.push(begun.elapsed());
    }
    Ok(())
}

/// A connection that has had an answer and is kept.
fn open(addr: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"ready\n") {
        let mut part = [0; 512];
        match stream.read(&mut part)? {
            0 => bail!("closed: {}", String::from_utf8_lossy(&answer)),
            read => answer.extend_from_slice(&part[..read]),
        }
    }
    Ok(stream)
}
