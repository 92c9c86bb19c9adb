//! Records as entries: which stream each belongs to, its line and its metadata.

use std::borrow::Cow;
use std::fmt::Write as _;

use timberline_store::Timestamp;

use super::super::budget::Share;
use super::super::label_text::label_text;
use super::super::limits::IngestLimits;
use super::super::proto::opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
use super::super::proto::opentelemetry::proto::common::v1::InstrumentationScope;
use super::super::proto::opentelemetry::proto::logs::v1::{LogRecord, ResourceLogs};
use super::super::push::{Charge, DecodeError, Pair, Push};
use super::attributes::flatten;
use super::config::{AttributeAction, OtlpConfig};
use super::value;

/// The label that names a stream's service.
const SERVICE_NAME: &str = "service_name";

/// See [`super::map`].
pub(super) fn push<'a>(
    request: &'a ExportLogsServiceRequest,
    limits: &IngestLimits,
    now: Timestamp,
    share: &mut Share<'_>,
) -> Result<Push<'a>, DecodeError> {
    let mut mapping =
        Mapping { limits, now, charge: Charge::new(limits, share), push: Push::default() };
    for resource in &request.resource_logs {
        mapping.add(resource)?;
    }
    Ok(mapping.push)
}

struct Mapping<'m, 'b, 'a> {
    limits: &'m IngestLimits,
    now: Timestamp,
    charge: Charge<'m, 'b>,
    push: Push<'a>,
}

/// Labels and metadata that records share.
#[derive(Default)]
struct Shared<'a> {
    labels: Vec<Pair<'a>>,
    resource: Vec<Pair<'a>>,
    scope: Vec<Pair<'a>>,
}

impl<'a> Mapping<'_, '_, 'a> {
    fn add(&mut self, logs: &'a ResourceLogs) -> Result<(), DecodeError> {
        let mut shared = self.of_resource(logs)?;
        for scope in &logs.scope_logs {
            shared.scope.clear();
            if let Some(scope) = &scope.scope {
                add_scope(scope, self.config(), &mut shared.scope)?;
            }
            self.add_records(&scope.log_records, &shared)?;
        }
        Ok(())
    }

    fn config(&self) -> &OtlpConfig {
        &self.limits.otlp_config
    }

    fn of_resource(&self, logs: &'a ResourceLogs) -> Result<Shared<'a>, DecodeError> {
        let mut shared = Shared::default();
        for attribute in logs.resource.iter().flat_map(|resource| &resource.attributes) {
            match self.config().of_resource(&attribute.key) {
                AttributeAction::IndexLabel => flatten(attribute, &mut shared.labels)?,
                AttributeAction::StructuredMetadata => flatten(attribute, &mut shared.resource)?,
                AttributeAction::Drop => {}
            }
        }
        self.discover_service_name(&mut shared.labels);
        Ok(shared)
    }

    /// Adds `service_name` where it is missing: the first label, in the order of the attributes, that
    /// may be one. Where none is there, what all pushes go through finds a name.
    fn discover_service_name(&self, labels: &mut Vec<Pair<'a>>) {
        let is_there = |(name, value): &Pair<'_>| name == SERVICE_NAME && !value.is_empty();
        let sources = &self.limits.discover_service_name;
        if sources.is_empty() || labels.iter().any(is_there) {
            return;
        }
        let may_be = |(name, value): &&Pair<'_>| {
            !value.is_empty() && sources.iter().any(|source| source == name)
        };
        if let Some((_, value)) = labels.iter().find(may_be) {
            let service = (Cow::Borrowed(SERVICE_NAME), value.clone());
            labels.push(service);
        }
    }

    /// Adds records, those next to each other with the same labels as one stream.
    fn add_records(
        &mut self,
        records: &'a [LogRecord],
        shared: &Shared<'a>,
    ) -> Result<(), DecodeError> {
        let mut start = self.push.entries.len();
        let mut stream: Option<String> = None;
        let mut labels = shared.labels.clone();
        for record in records {
            let pairs_start = self.push.pairs.len();
            labels.truncate(shared.labels.len());
            self.add_metadata(record, shared, &mut labels)?;
            if stream.is_none() || labels.len() > shared.labels.len() {
                let text = label_text(&labels);
                if let Some(before) = stream.filter(|before| *before != text) {
                    self.push.add_stream(before.into(), start);
                    start = self.push.entries.len();
                }
                stream = Some(text);
            }
            let line = value::text(record.body.as_ref());
            // A resource's attributes are there again in each of its records.
            self.charge.entry(&line, &self.push.pairs[pairs_start..])?;
            self.push.add_entry(time_of(record, self.now), line, pairs_start);
        }
        if let Some(text) = stream {
            self.push.add_stream(text.into(), start);
        }
        Ok(())
    }

    /// Adds a record's metadata in Loki's order, and to `labels` what of it is a label.
    fn add_metadata(
        &mut self,
        record: &'a LogRecord,
        shared: &Shared<'a>,
        labels: &mut Vec<Pair<'a>>,
    ) -> Result<(), DecodeError> {
        let config = &self.limits.otlp_config;
        let pairs = &mut self.push.pairs;
        for attribute in &record.attributes {
            match config.of_record(&attribute.key) {
                AttributeAction::IndexLabel => flatten(attribute, labels)?,
                AttributeAction::StructuredMetadata => flatten(attribute, pairs)?,
                AttributeAction::Drop => {}
            }
        }
        let mut add = |name: &'static str, text: String| pairs.push((name.into(), text.into()));
        if record.time_unix_nano != 0 && record.observed_time_unix_nano != 0 {
            add("observed_timestamp", record.observed_time_unix_nano.to_string());
        }
        if record.severity_number != 0 {
            add("severity_number", record.severity_number.to_string());
        }
        if !record.severity_text.is_empty() {
            let pair = ("severity_text".into(), record.severity_text.as_str().into());
            if config.severity_text_as_label { &mut *labels } else { &mut *pairs }.push(pair);
        }
        let mut add = |name: &'static str, text: String| pairs.push((name.into(), text.into()));
        if record.dropped_attributes_count != 0 {
            add("dropped_attributes_count", record.dropped_attributes_count.to_string());
        }
        if record.flags != 0 {
            add("flags", record.flags.to_string());
        }
        for (name, id) in [("trace_id", &record.trace_id), ("span_id", &record.span_id)] {
            if id.iter().any(|&byte| byte != 0) {
                add(name, hex(id));
            }
        }
        if !record.event_name.is_empty() {
            pairs.push(("event_name".into(), record.event_name.as_str().into()));
        }
        pairs.extend(shared.resource.iter().cloned());
        pairs.extend(shared.scope.iter().cloned());
        Ok(())
    }
}

fn add_scope<'a>(
    scope: &'a InstrumentationScope,
    config: &OtlpConfig,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), DecodeError> {
    for attribute in &scope.attributes {
        if config.of_scope(&attribute.key) == AttributeAction::StructuredMetadata {
            flatten(attribute, out)?;
        }
    }
    for (name, text) in [("scope_name", &scope.name), ("scope_version", &scope.version)] {
        if !text.is_empty() {
            out.push((name.into(), text.as_str().into()));
        }
    }
    if scope.dropped_attributes_count != 0 {
        let text = scope.dropped_attributes_count.to_string();
        out.push(("scope_dropped_attributes_count".into(), text.into()));
    }
    Ok(())
}

/// When a record happened, else when it was seen, else now. Times past the type's end are its end.
fn time_of(record: &LogRecord, now: Timestamp) -> Timestamp {
    let times = [record.time_unix_nano, record.observed_time_unix_nano];
    let known = times.into_iter().find(|&time| time != 0);
    known.map_or(now, |time| Timestamp::try_from(time).unwrap_or(Timestamp::MAX))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
