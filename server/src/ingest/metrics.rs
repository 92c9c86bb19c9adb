//! What came in and what was refused, by tenant; the names are Loki's.

use std::collections::HashMap;

use prometheus::{IntCounterVec, Opts, Registry};
use timberline_store::TenantId;

use super::reason::Reason;
use crate::metrics::TenantNames;

/// The write path's metrics. One that cannot be registered is left out and reported.
#[derive(Debug)]
pub(crate) struct IngestMetrics {
    bytes_received: Option<IntCounterVec>,
    lines_received: Option<IntCounterVec>,
    discarded_samples: Option<IntCounterVec>,
    discarded_bytes: Option<IntCounterVec>,
    tenants: TenantNames,
}

/// Entries of one push that were refused, by reason.
#[derive(Debug, Default)]
pub(crate) struct Discards(HashMap<Reason, (u64, u64)>);

impl Discards {
    /// Counts refused entries with the bytes of their lines and metadata.
    pub(crate) fn add(&mut self, reason: Reason, entries: usize, bytes: usize) {
        let counts = self.0.entry(reason).or_default();
        counts.0 += count(entries);
        counts.1 += count(bytes);
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl IngestMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)
                .and_then(|counter| registry.register(Box::new(counter.clone())).map(|()| counter));
            counter.inspect_err(|error| tracing::error!(name, %error, "metric left out")).ok()
        };
        Self {
            bytes_received: counter(
                "loki_distributor_bytes_received_total",
                "Bytes of lines and metadata in pushes, before any check.",
                &["tenant"],
            ),
            lines_received: counter(
                "loki_distributor_lines_received_total",
                "Lines in pushes, before any check.",
                &["tenant"],
            ),
            discarded_samples: counter(
                "loki_discarded_samples_total",
                "Lines that were refused.",
                &["reason", "tenant"],
            ),
            discarded_bytes: counter(
                "loki_discarded_bytes_total",
                "Bytes of lines and metadata that were refused.",
                &["reason", "tenant"],
            ),
            tenants: TenantNames::default(),
        }
    }

    pub(crate) fn received(&self, tenant: &TenantId, lines: usize, bytes: usize) {
        self.tenants.with(tenant, |tenant| {
            for (counter, number) in [(&self.lines_received, lines), (&self.bytes_received, bytes)]
            {
                if let Some(counter) = counter {
                    counter.with_label_values(&[tenant]).inc_by(count(number));
                }
            }
        });
    }

    pub(crate) fn discarded(&self, tenant: &TenantId, discards: &Discards) {
        if discards.0.is_empty() {
            return;
        }
        self.tenants.with(tenant, |tenant| {
            for (reason, (entries, bytes)) in &discards.0 {
                let counters = [(&self.discarded_samples, entries), (&self.discarded_bytes, bytes)];
                for (counter, number) in counters {
                    if let Some(counter) = counter {
                        counter.with_label_values(&[reason.as_str(), tenant]).inc_by(*number);
                    }
                }
            }
        });
    }
}
