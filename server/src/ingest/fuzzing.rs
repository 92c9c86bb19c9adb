//! Entry points for fuzzers: the write path on any bytes, with a store that forgets.

use std::sync::Arc;

use prometheus::Registry;
use prost::Message as _;
use timberline_store::{InvalidLabels, Labels, StoreError, TenantId, Timestamp};

use super::body::{Envelope, Format};
use super::bulk::Bulk;
use super::clock::Clock;
use super::core::Core;
use super::fields::FieldRules;
use super::forward::{Envelope as ForwardEnvelope, ForwardRules, Greeting, Scanner};
use super::journal::{JournalRules, entries_end as journal_end};
use super::proto::logproto::PushRequest;
use super::spares::Spare;
use super::syslog::{Frames, SyslogRules};
use super::write::{Backend, Sink};
use super::{lines, protobuf};
use crate::config::{ForwardListener, SyslogListener};

/// Takes in a JSON body.
pub fn push_json(body: &[u8]) {
    push(Format::Json, body);
}

/// Takes in the JSON of `/api/prom/push`.
pub fn push_legacy_json(body: &[u8]) {
    push(Format::LegacyJson, body);
}

/// Takes in protobuf: the bytes as a compressed body, and as one before its compression, so that a
/// fuzzer reaches the decoder, too; and as a message of gRPC, which another decoder reads.
pub fn push_protobuf(body: &[u8]) {
    if let Ok(request) = PushRequest::decode(body) {
        with_core(|core, tenant| {
            let _ = protobuf::borrow(&request).map(|push| core.accept(tenant, push));
        });
    }
    push(Format::Protobuf, body);
    if let Ok(body) = snap::raw::Encoder::new().compress_vec(body) {
        push(Format::Protobuf, &body);
    }
}

/// Takes in a body under each compression.
pub fn push_compressed(body: &[u8]) {
    with_core(|core, tenant| {
        for envelope in Envelope::compressed() {
            let _ = core.push(tenant, envelope, body);
        }
    });
}

/// Takes in OpenTelemetry's records in protobuf.
pub fn otlp_protobuf(body: &[u8]) {
    push(Format::Otlp, body);
}

/// Takes in OpenTelemetry's records in JSON.
pub fn otlp_json(body: &[u8]) {
    push(Format::OtlpJson, body);
}

/// Takes in JSON lines, by rules that name fields of each kind.
pub fn json_lines(body: &[u8]) {
    with_core(|core, tenant| {
        let envelope = Envelope::plain(Format::Text);
        let _ = core.push_text(tenant, envelope, body, |text, core, out| {
            lines::read_json(text, &rules(), || core.stamp(), out)
        });
        let _ = core.push_text(tenant, envelope, body, |text, core, out| {
            lines::read_plain(text, "{a=\"b\"}", |count| core.stamps(count), out)
        });
    });
}

/// Takes in a bulk request; the answer must be JSON.
pub fn elasticsearch_bulk(body: &[u8]) {
    with_core(|core, tenant| {
        let bulk = Bulk { rules: rules(), index: "i".to_owned() };
        if let Ok(answer) = core.push_bulk(tenant, Envelope::plain(Format::Text), body, &bulk) {
            let answer: Result<serde_json::Value, _> = serde_json::from_slice(&answer);
            assert!(answer.is_ok(), "{answer:?}");
        }
    });
}

/// Takes in journald's export format, as a whole and as far as it goes.
pub fn journal_export(body: &[u8]) {
    with_core(|core, tenant| {
        let rules = JournalRules::new(&["_HOSTNAME".to_owned()]);
        let envelope = Envelope::plain(Format::Text);
        let _ = core.push_journal(tenant, Some(envelope), body, &rules);
        if let (end, None) = journal_end(body, false) {
            assert!(end <= body.len());
            let _ = core.push_journal(tenant, None, &body[..end], &rules);
        }
    });
}

/// Takes bytes as a stream of syslog messages, which come whole and byte by byte.
pub fn syslog(body: &[u8]) {
    with_core(|core, _| {
        let rules = SyslogRules::new(&SyslogListener::default());
        let read = |size: usize| {
            let mut frames = Frames::new(64);
            let mut events = Vec::new();
            for piece in body.chunks(size) {
                frames.buffer().extend_from_slice(piece);
                events.extend(std::iter::from_fn(|| frames.next()));
            }
            events.extend(frames.end());
            let event =
                |frame: &super::syslog::Frame| rules.event(&frame.bytes, "h", core.now(), |_| 7);
            events.iter().map(event).collect::<Vec<_>>()
        };
        let events = read(1);
        assert_eq!(events, read(body.len().max(1)));
        if let Ok(tenant) = TenantId::new("fuzz") {
            let _ = core.push_events(&tenant, &events);
        }
    });
}

/// Takes bytes as messages of the forward protocol: as they are, and where they end; and as what a client says
/// to be let in.
pub fn fluent_forward(body: &[u8]) {
    if let Ok(greeting) = Greeting::new() {
        let (_, is_let_in) = greeting.pong(body, b"key");
        assert!(is_let_in.is_err(), "the nonce is new");
    }
    with_core(|core, tenant| {
        let rules = ForwardRules::new(&ForwardListener::default());
        let _ = core.push_forward(tenant, &rules, body, 7);
        let (mut rest, mut scanner) = (body, Scanner::default());
        while let Ok(Some(end)) = scanner.end(rest) {
            let message = &rest[..end];
            let mut left = message;
            if ForwardEnvelope::read(&mut left).is_ok() {
                assert!(left.is_empty(), "a message is read to its end");
            }
            rest = &rest[end..];
        }
    });
}

fn rules() -> FieldRules {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    FieldRules {
        time: names(&["t", "@timestamp"]),
        message: names(&["m", "message"]),
        labels: names(&["l", "_index", "a.b"]),
        ignored: names(&["i*"]),
        extra: vec![("e".to_owned(), "x".to_owned())],
        fixed: Vec::new(),
        job: "fuzz",
    }
}

fn with_core(work: impl FnOnce(&Core<Forgetful>, &TenantId)) {
    let clock = Clock::from_fn(|| 1_793_534_400_000_000_000);
    let core = Core::new(Forgetful, Arc::default(), &Registry::new(), clock);
    if let Ok(tenant) = TenantId::new("fuzz") {
        work(&core, &tenant);
    }
}

fn push(format: Format, body: &[u8]) {
    with_core(|core, tenant| {
        // Both outcomes are fine; a panic is not.
        let _ = core.push(tenant, Envelope::plain(format), body);
    });
}

struct Forgetful;

#[derive(Default)]
struct Nothing;

impl Backend for Forgetful {
    type Batch = Nothing;

    fn append(&self, _: &TenantId, _: &Nothing) -> Result<(), StoreError> {
        Ok(())
    }

    fn active_streams(&self, _: &TenantId) -> usize {
        0
    }

    fn newest_entry(&self, _: &TenantId, _: &Labels) -> Option<Timestamp> {
        None
    }
}

impl Spare for Nothing {
    fn capacity(&self) -> usize {
        0
    }
}

impl Sink for Nothing {
    fn clear(&mut self) {}

    fn stream(&mut self, _: &Labels) {}

    fn push(
        &mut self,
        _: Timestamp,
        _: &[u8],
        metadata: &[(&str, &str)],
    ) -> Result<(), InvalidLabels> {
        Labels::metadata(metadata.iter().copied()).map(drop)
    }
}
