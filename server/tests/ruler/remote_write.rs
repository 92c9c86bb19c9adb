//! Samples of rules, written to a receiver and stored.

use prost::Message;
use serde_json::json;

use super::common::fake::{Fake, Posted, wait_for};
use super::{push, server_with, set_well};

/// `prometheus.WriteRequest`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// `name=value,…` of each series with its sample.
fn series(posted: &Posted) -> Vec<(String, Sample)> {
    assert_eq!(posted.path, "/api/v1/write");
    assert_eq!(posted.header("content-encoding"), Some("snappy"));
    assert_eq!(posted.header("x-prometheus-remote-write-version"), Some("0.1.0"));
    let raw = snap::raw::Decoder::new().decompress_vec(&posted.body).unwrap();
    let request = WriteRequest::decode(&raw[..]).unwrap();
    let shown = request.timeseries.into_iter().map(|series| {
        let labels: Vec<_> =
            series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        (labels.join(","), series.samples[0].clone())
    });
    shown.collect()
}

#[test]
fn samples_are_written_in_order_and_stored() {
    let receiver = Fake::start(&[503, 429]);
    let url = format!("{}/api/v1/write", receiver.url());
    let server = server_with(&[], |config| {
        let remote = json!({"url": url, "headers": {"X-Extra": "yes"}});
        config.ruler.remote_write = vec![serde_json::from_value(remote).unwrap()];
        config.ruler.store_samples = true;
        config.ruler.external_labels.insert("site".to_owned(), "eu".to_owned());
    });
    push(&server, "cart", "boom", &[]);
    let expr = "sum by (app) (count_over_time({job=\"shop\"} |= \"boom\" [1h]))";
    let group = format!(
        "name: g\nrules: [{{record: 'app:boom', expr: '{expr}', labels: {{team: x}}}}, \
         {{alert: Boom, expr: '{expr} > 0'}}]"
    );
    set_well(&server, "n", &group);
    let posted =
        wait_for("six requests", || Some(receiver.posted()).filter(|posted| posted.len() >= 6));
    assert_eq!(posted[0].body, posted[1].body, "sent again as it was");
    assert_eq!(posted[0].body, posted[2].body);
    assert_eq!(posted[0].header("x-extra"), Some("yes"));
    let mut last = 0;
    let mut names = std::collections::BTreeSet::new();
    for (labels, sample) in posted[2..].iter().flat_map(series) {
        if labels == "__name__=app:boom,app=cart,site=eu,team=x" {
            assert!(sample.timestamp > last, "in order");
            last = sample.timestamp;
            assert_eq!(sample.value, 1.0);
        }
        names.insert(labels);
    }
    assert!(last > 0, "{names:?}");
    let firing = "__name__=ALERTS,alertname=Boom,alertstate=firing,app=cart,site=eu";
    assert!(names.contains(firing), "{names:?}");

    let query =
        "max by (app, team) (max_over_time({recorded=\"app:boom\"} | logfmt | unwrap value [1h]))";
    let stored = wait_for("a stored sample", || {
        let answer = server.get("/loki/api/v1/query", &[("query", query)]).json();
        answer.pointer("/data/result/0").cloned()
    });
    assert_eq!(stored["metric"], json!({"app": "cart", "team": "x"}));
    assert_eq!(stored["value"][1], "1");

    // When the series ends, its end is written.
    set_well(
        &server,
        "n",
        "name: g\nrules: [{record: 'app:boom', expr: 'vector(1) > 2', labels: {team: x}}]",
    );
    wait_for_end(&receiver, "app:boom,app=cart,site=eu,team=x");
    // So it is when the rule goes, or its group.
    let group = |name: &str| {
        format!(
            "name: g\nrules: [{{record: '{name}', expr: vector(1)}}, {{record: stays, expr: vector(2)}}]"
        )
    };
    set_well(&server, "n", &group("first"));
    wait_for_value(&receiver, "__name__=first,site=eu");
    set_well(&server, "n", &group("second"));
    wait_for_end(&receiver, "__name__=first,site=eu");
    wait_for_value(&receiver, "__name__=second,site=eu");
    assert!(!has_ended(&receiver, "__name__=stays"));
    let deleted = server.request("DELETE", "/loki/api/v1/rules/n/g", &[], b"");
    assert_eq!(deleted.status, 202);
    wait_for_end(&receiver, "__name__=second,site=eu");
    wait_for_end(&receiver, "__name__=stays,site=eu");
}

/// Waits until a series has a sample.
fn wait_for_value(receiver: &Fake, labels: &str) {
    wait_for(labels, || {
        let all = receiver.posted();
        let found = all.iter().flat_map(series).any(|(found, _)| found.contains(labels));
        found.then_some(())
    });
}

/// Waits until a series has the mark of its end.
fn wait_for_end(receiver: &Fake, labels: &str) {
    wait_for(&format!("the end of {labels}"), || has_ended(receiver, labels).then_some(()));
}

fn has_ended(receiver: &Fake, labels: &str) -> bool {
    let stale = 0x7ff0_0000_0000_0002_u64;
    let all = receiver.posted();
    let mut samples = all.iter().flat_map(series);
    samples.any(|(found, sample)| found.contains(labels) && sample.value.to_bits() == stale)
}

#[test]
fn what_a_receiver_refuses_is_not_sent_again() {
    let receiver = Fake::start(&[400]);
    let url = format!("{}/api/v1/write", receiver.url());
    let server = server_with(&[], |config| {
        config.ruler.remote_write = vec![serde_json::from_value(json!({"url": url})).unwrap()];
    });
    set_well(&server, "n", "name: g\nrules: [{record: x, expr: vector(1)}]");
    let posted = wait_for("two requests", || Some(receiver.posted()).filter(|p| p.len() >= 2));
    assert!(series(&posted[1])[0].1.timestamp > series(&posted[0])[0].1.timestamp);
    let line = format!(
        "loki_ruler_wal_prometheus_remote_storage_samples_failed_total{{url=\"{url}\"}} 1\n"
    );
    wait_for("the figure", || server.get("/metrics", &[]).text().contains(&line).then_some(()));
}
