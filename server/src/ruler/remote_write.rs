//! Samples on their way to receivers of Prometheus's remote write, version 1: protobuf in snappy.
//!
//! Each receiver has a queue of its own. A request has samples of one tenant and is sent again until it
//! is taken or refused for good, so that the samples of a series arrive in the order of time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use timberline_store::TenantId;
use tokio::sync::Notify;

use super::backoff::Backoff;
use super::client::{ClientError, Poster};
use super::group::WrittenSample;
use super::metrics::RulerMetrics;
use super::notify::with_external;
use super::rules::LabelMap;
use crate::config::RulerConfig;
use crate::tenant::TENANT_HEADER;

/// Samples in a request.
const BATCH_MAX: usize = 2000;

/// How long to wait between two attempts, at first and at the most.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// `prometheus.WriteRequest`
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

/// `prometheus.TimeSeries`
#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

/// `prometheus.Label`
#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `prometheus.Sample`
#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    /// In milliseconds.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Writes samples to receivers.
#[derive(Debug)]
pub(super) struct RemoteWriter {
    receivers: Vec<Arc<Receiver>>,
}

/// A receiver.
#[derive(Debug)]
struct Receiver {
    url: Uri,
    poster: Poster,
    queue: Mutex<Queue>,
    capacity: usize,
    filled: Notify,
    metrics: Arc<RulerMetrics>,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<(TenantId, Vec<WrittenSample>)>,
    samples: usize,
    is_sending: bool,
}

impl RemoteWriter {
    /// # Errors
    /// Files that cannot be used.
    pub(super) fn new(
        config: &RulerConfig,
        metrics: &Arc<RulerMetrics>,
    ) -> Result<Self, ClientError> {
        let receivers = config.remote_write.iter().map(|remote| {
            let url = remote.url.parse::<Uri>();
            Ok(Arc::new(Receiver {
                url: url.map_err(|_| ClientError::Header(remote.url.clone()))?,
                poster: Poster::new(&remote.client)?,
                queue: Mutex::default(),
                capacity: config.remote_write_queue_capacity,
                filled: Notify::new(),
                metrics: Arc::clone(metrics),
            }))
        });
        Ok(Self { receivers: receivers.collect::<Result<_, ClientError>>()? })
    }

    /// What sends, until the process ends or the tasks are aborted.
    pub(super) fn start(&self) -> Vec<tokio::task::JoinHandle<()>> {
        self.receivers.iter().map(|receiver| tokio::spawn(Arc::clone(receiver).send())).collect()
    }

    /// Queues the samples of an evaluation for every receiver.
    pub(super) fn write(&self, tenant: &TenantId, samples: &[WrittenSample], external: &LabelMap) {
        if samples.is_empty() || self.receivers.is_empty() {
            return;
        }
        let samples: Vec<WrittenSample> = samples
            .iter()
            .map(|sample| WrittenSample {
                labels: with_external(&sample.labels, external),
                ..sample.clone()
            })
            .collect();
        for receiver in &self.receivers {
            receiver.push(tenant, &samples);
        }
    }

    /// Whether everybody has everything.
    pub(super) fn is_idle(&self) -> bool {
        self.receivers.iter().all(|receiver| {
            let queue = receiver.queue.lock();
            queue.batches.is_empty() && !queue.is_sending
        })
    }
}

impl Receiver {
    fn push(&self, tenant: &TenantId, samples: &[WrittenSample]) {
        let mut queue = self.queue.lock();
        for samples in samples.chunks(BATCH_MAX) {
            queue.samples += samples.len();
            queue.batches.push_back((tenant.clone(), samples.to_vec()));
        }
        let mut dropped = 0;
        // One batch may be larger than the queue: it is sent all the same.
        while queue.samples > self.capacity && queue.batches.len() > 1 {
            let Some((_, oldest)) = queue.batches.pop_front() else { break };
            queue.samples -= oldest.len();
            dropped += oldest.len();
        }
        self.metrics.set_pending_samples(&self.url.to_string(), queue.samples);
        drop(queue);
        if dropped > 0 {
            tracing::warn!(url = %self.url, samples = dropped, "too many samples wait: the oldest are dropped");
            self.metrics.count_samples(&self.url.to_string(), "dropped", dropped);
        }
        self.filled.notify_one();
    }

    /// The next batch; small ones of one tenant that follow each other are sent as one.
    fn take(&self) -> Option<(TenantId, Vec<WrittenSample>)> {
        let mut queue = self.queue.lock();
        let (tenant, mut samples) = queue.batches.pop_front()?;
        while let Some((other, next)) = queue.batches.front()
            && *other == tenant
            && samples.len() + next.len() <= BATCH_MAX
        {
            let Some((_, next)) = queue.batches.pop_front() else { break };
            samples.extend(next);
        }
        queue.samples -= samples.len();
        queue.is_sending = true;
        Some((tenant, samples))
    }

    async fn send(self: Arc<Self>) {
        loop {
            let Some((tenant, samples)) = self.take() else {
                self.filled.notified().await;
                continue;
            };
            self.send_batch(&tenant, &samples).await;
            let mut queue = self.queue.lock();
            queue.is_sending = false;
            self.metrics.set_pending_samples(&self.url.to_string(), queue.samples);
        }
    }

    /// Sends a batch until it is taken, or refused for good.
    async fn send_batch(&self, tenant: &TenantId, samples: &[WrittenSample]) {
        let url = self.url.to_string();
        let body = match encode(samples) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "samples cannot be compressed");
                return self.metrics.count_samples(&url, "failed", samples.len());
            }
        };
        let mut backoff = Backoff::new(PAUSES[0], PAUSES[1]);
        loop {
            let result = self.poster.post(&self.url, headers(tenant), body.clone()).await;
            let Err(refusal) = result else {
                return self.metrics.count_samples(&url, "sent", samples.len());
            };
            let (count, error) = (samples.len(), &refusal.text);
            if !refusal.may_pass() {
                tracing::error!(url, %tenant, samples = count, error, "a receiver refuses samples");
                return self.metrics.count_samples(&url, "failed", count);
            }
            tracing::warn!(url, %tenant, samples = count, error, "a receiver does not take samples");
            self.metrics.count_samples(&url, "retried", count);
            tokio::time::sleep(backoff.pause(&refusal)).await;
        }
    }
}

fn headers(tenant: &TenantId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    let version = HeaderName::from_static("x-prometheus-remote-write-version");
    headers.insert(version, HeaderValue::from_static("0.1.0"));
    if let Ok(value) = HeaderValue::from_str(tenant.as_str()) {
        headers.insert(TENANT_HEADER, value);
    }
    headers
}

fn encode(samples: &[WrittenSample]) -> Result<Bytes, snap::Error> {
    let timeseries = samples.iter().map(|sample| TimeSeries {
        // Sorted by name, as receivers expect them.
        labels: sample
            .labels
            .iter()
            .map(|(name, value)| Label { name: name.clone(), value: value.clone() })
            .collect(),
        samples: vec![Sample { value: sample.value, timestamp: sample.timestamp_ms }],
    });
    let request = WriteRequest { timeseries: timeseries.collect() };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_prometheus_protobuf() {
        let labels = LabelMap::from([("a".to_owned(), "b".to_owned())]);
        let body = encode(&[WrittenSample { labels, timestamp_ms: 1000, value: 1.5 }]).unwrap();
        let raw = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        // Field by field, as remote.proto and types.proto number them.
        let label = [0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b'];
        let sample = [0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x10, 0xe8, 0x07];
        let series = [&label[..], &sample[..]].concat();
        assert_eq!(raw, [&[0x0a, u8::try_from(series.len()).unwrap()][..], &series].concat());
    }

    #[test]
    fn what_waits_is_bounded() {
        let config: RulerConfig = serde_json::from_str(
            r#"{"remote_write": [{"url": "http://x/"}], "remote_write_queue_capacity": 3}"#,
        )
        .unwrap();
        let metrics = Arc::new(RulerMetrics::new(&prometheus::Registry::new()));
        let writer = RemoteWriter::new(&config, &metrics).unwrap();
        let receiver = &writer.receivers[0];
        let write = |tenant: &str, values: &[f64]| {
            let samples = values.iter().map(|value| WrittenSample {
                labels: LabelMap::new(),
                timestamp_ms: 0,
                value: *value,
            });
            let samples: Vec<_> = samples.collect();
            writer.write(&TenantId::new(tenant).unwrap(), &samples, &LabelMap::new());
        };
        write("a", &[1.0, 2.0]);
        write("a", &[3.0]);
        write("a", &[4.0]);
        write("b", &[5.0]);
        assert!(!writer.is_idle());
        let batch = || {
            let (tenant, samples) = receiver.take().unwrap();
            let values: Vec<_> = samples.iter().map(|sample| sample.value).collect();
            (tenant.to_string(), values)
        };
        assert_eq!(batch(), ("a".to_owned(), vec![3.0, 4.0]));
        assert_eq!(batch(), ("b".to_owned(), vec![5.0]));
        assert_eq!(receiver.queue.lock().samples, 0);
    }
}
