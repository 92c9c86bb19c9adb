//! What came in on each port.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::metrics::registered;

/// The metrics of all ports. One that cannot be registered is left out and reported.
#[derive(Debug)]
pub(super) struct ListenerMetrics {
    messages: Option<IntCounterVec>,
    bytes: Option<IntCounterVec>,
    dropped: Option<IntCounterVec>,
    cut: Option<IntCounterVec>,
    connections: Option<IntGaugeVec>,
    refused: Option<IntCounterVec>,
}

/// Those of one port.
#[derive(Clone, Debug)]
pub(super) struct PortMetrics {
    pub(super) messages: Option<IntCounter>,
    pub(super) bytes: Option<IntCounter>,
    dropped: Option<IntCounterVec>,
    pub(super) cut: Option<IntCounter>,
    pub(super) connections: Option<IntGauge>,
    refused: Option<IntCounterVec>,
    names: [String; 2],
}

impl ListenerMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let port = &["protocol", "listen"];
        let reason = &["protocol", "listen", "reason"];
        let connections = Opts::new("timberline_listener_connections", "Open connections.");
        Self {
            messages: counter("timberline_listener_messages_total", "Messages that came in.", port),
            bytes: counter("timberline_listener_bytes_total", "Bytes that came in.", port),
            dropped: counter(
                "timberline_listener_dropped_messages_total",
                "Messages that were not stored.",
                reason,
            ),
            cut: counter(
                "timberline_listener_cut_messages_total",
                "Messages whose end is missing.",
                port,
            ),
            connections: registered(registry, IntGaugeVec::new(connections, port)),
            refused: counter(
                "timberline_listener_refused_connections_total",
                "Connections that were closed for what their clients did.",
                reason,
            ),
        }
    }

    /// Those of a port, from 0 on.
    pub(super) fn of(&self, protocol: &str, listen: &str) -> PortMetrics {
        let labels = [protocol, listen];
        let counter = |counters: &Option<IntCounterVec>| {
            counters.as_ref().map(|counters| counters.with_label_values(&labels))
        };
        PortMetrics {
            messages: counter(&self.messages),
            bytes: counter(&self.bytes),
            dropped: self.dropped.clone(),
            cut: counter(&self.cut),
            connections: self.connections.as_ref().map(|gauges| gauges.with_label_values(&labels)),
            refused: self.refused.clone(),
            names: labels.map(str::to_owned),
        }
    }
}

impl PortMetrics {
    /// Counts messages and their bytes.
    pub(super) fn received(&self, messages: usize, bytes: usize) {
        for (counter, number) in [(&self.messages, messages), (&self.bytes, bytes)] {
            if let Some(counter) = counter {
                counter.inc_by(u64::try_from(number).unwrap_or(u64::MAX));
            }
        }
    }

    /// Counts messages that were dropped.
    pub(super) fn dropped(&self, reason: &str, messages: usize) {
        self.count(&self.dropped, reason, messages);
    }

    /// Counts a connection that was closed.
    pub(super) fn refused(&self, reason: &str) {
        self.count(&self.refused, reason, 1);
    }

    fn count(&self, counters: &Option<IntCounterVec>, reason: &str, number: usize) {
        if let Some(counters) = counters {
            let [protocol, listen] = &self.names;
            let counter = counters.with_label_values(&[protocol.as_str(), listen.as_str(), reason]);
            counter.inc_by(u64::try_from(number).unwrap_or(u64::MAX));
        }
    }

    /// Counts a message whose end is missing.
    pub(super) fn cut(&self) {
        if let Some(counter) = &self.cut {
            counter.inc();
        }
    }
}
