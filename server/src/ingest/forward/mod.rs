//! Fluentd's forward protocol, version 1: events in MessagePack.
//!
//! ```text
//! message            [tag, time, record, option?]
//! forward            [tag, [[time, record], …], option?]
//! packed forward     [tag, bytes of [time, record] one after the other, option?]
//! compressed packed  the same, the bytes in gzip, with option.compressed = "gzip"
//! ```
//!
//! A `chunk` in the option wants `{"ack": chunk}` once the events are safe.

mod envelope;
mod handshake;
mod msgpack;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use self::envelope::Envelope;
pub(crate) use self::handshake::Greeting;
pub(crate) use self::msgpack::{Invalid, Scanner};

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use timberline_store::Timestamp;

use self::envelope::Events;
use self::msgpack::Reader;
use super::body::gunzip;
use super::budget::Share;
use super::fields::{FieldRules, Gathered};
use super::limits::IngestLimits;
use super::push::{DecodeError, Pair, text};
use crate::config::ForwardListener;

/// The field that a message's tag is, and the label.
const TAG: &str = "tag";

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// How events become entries.
#[derive(Debug)]
pub(crate) struct ForwardRules {
    rules: FieldRules,
    recent: Mutex<Recent>,
}

/// Chunks that are remembered: a sender sends one again soon or never.
const CHUNKS_MAX: usize = 8192;

/// The offsets of the chunks that came last. One that is sent again, since its acknowledgement was lost,
/// is to become the same entries again.
#[derive(Debug, Default)]
struct Recent {
    offsets: HashMap<[u8; 32], Offset>,
    order: VecDeque<[u8; 32]>,
}

impl Recent {
    /// The offset that the chunk had; `None`, and `offset` from now on, where it is new.
    fn of(&mut self, chunk: &[u8], offset: Offset) -> Option<Offset> {
        let digest = ring::digest::digest(&ring::digest::SHA256, chunk);
        let id: [u8; 32] = digest.as_ref().try_into().ok()?;
        if let Some(known) = self.offsets.get(&id) {
            return Some(*known);
        }
        if self.order.len() >= CHUNKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.offsets.remove(&oldest);
        }
        self.order.push_back(id);
        self.offsets.insert(id, offset);
        None
    }
}

/// A nanosecond within an event's second stands for so many of the time it comes behind that second, which is then
/// told for 64 seconds: those of one second rarely come within one second.
const NANOS_PER_OFFSET: i64 = 64;

/// Events come before their second, too, where a sender's clock is fast.
const EARLIEST: i64 = -8 * NANOS_PER_SECOND;

/// Bytes of an event: a list, a time of four bytes, a map.
const EVENT_BYTES_MIN: usize = 7;

/// What gives times of whole seconds their nanoseconds, in the order in which events come. Unlike those of
/// [`Stamps`](super::fields::Stamps) they depend on nothing but the time of arrival: what is sent or tried again is
/// to have the same.
#[derive(Clone, Copy, Debug)]
struct Offset {
    arrival: Timestamp,
    /// How many events came before with this time of arrival.
    events: i64,
}

impl Offset {
    fn add_to(&mut self, second: i64) -> Timestamp {
        let start = second.saturating_mul(NANOS_PER_SECOND);
        let behind = self.arrival.saturating_sub(start).saturating_sub(EARLIEST);
        let offset = behind.rem_euclid(NANOS_PER_OFFSET * NANOS_PER_SECOND) / NANOS_PER_OFFSET;
        self.events += 1;
        start.saturating_add((offset + self.events) % NANOS_PER_SECOND)
    }

    /// The time of an event that has none.
    fn next(&mut self) -> Timestamp {
        self.events += 1;
        self.arrival.saturating_add(self.events)
    }
}

/// Messages with their compression undone, as far as they are good.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    messages: Vec<(Envelope<'a>, Cow<'a, [u8]>)>,
    /// Why those that follow are not.
    pub(crate) fault: Option<DecodeError>,
}

impl Opened<'_> {
    /// Whether not even the first is good.
    pub(crate) const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

impl ForwardRules {
    pub(crate) fn new(config: &ForwardListener) -> Self {
        let labels = std::iter::once(TAG.to_owned()).chain(config.labels.iter().cloned());
        let rules = FieldRules {
            message: config.message_fields.clone(),
            labels: labels.collect(),
            fixed: config.static_labels.clone().into_iter().collect(),
            job: "fluent",
            ..FieldRules::default()
        };
        Self { rules, recent: Mutex::default() }
    }

    /// How many times the events of so many bytes of messages take up, where they are not compressed.
    pub(crate) const fn stamps_for(bytes: usize) -> usize {
        (bytes / EVENT_BYTES_MIN + 1).saturating_mul(NANOS_PER_OFFSET as usize)
    }

    /// The first of whole messages; `None` where it is wrong.
    pub(crate) fn first_of(messages: &[u8]) -> Option<&[u8]> {
        let mut rest = messages;
        Envelope::read(&mut rest).ok()?;
        Some(&messages[..messages.len() - rest.len()])
    }

    /// Reads the heads of whole messages and unpacks what is compressed, up to the first that is wrong.
    pub(crate) fn open<'a>(
        mut bytes: &'a [u8],
        limits: &IngestLimits,
        share: &mut Share<'_>,
    ) -> Opened<'a> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let opened = Envelope::read(&mut bytes)
                .map_err(|error| DecodeError::malformed(error.to_string()))
                .and_then(|envelope| {
                    let events = match envelope.events {
                        Events::Packed { bytes, is_gzip: true } => {
                            gunzip(bytes, limits.max_decompressed_size, share)?.into()
                        }
                        Events::Packed { bytes, .. }
                        | Events::Listed { bytes, .. }
                        | Events::One(bytes) => Cow::Borrowed(bytes),
                        Events::None => Cow::default(),
                    };
                    Ok((envelope, events))
                });
            match opened {
                Ok(message) => messages.push(message),
                Err(fault) => return Opened { messages, fault: Some(fault) },
            }
        }
        Opened { messages, fault: None }
    }

    /// Adds the events of all messages, up to the first that is wrong: of that one, nothing. Gives how
    /// many messages were added, and what is wrong with the next. `stamp` is the first of
    /// [so many times](Self::stamps_for): events without one have them, and those of whole seconds what makes
    /// them unlike others.
    ///
    /// # Errors
    /// Events that stand for too much: [`DecodeError::Busy`] may be mended by waiting.
    pub(crate) fn add_all<'a>(
        &self,
        opened: &'a Opened<'_>,
        stamp: Timestamp,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<(usize, Option<String>), DecodeError> {
        let mut offset = Offset { arrival: stamp, events: 0 };
        for (count, (envelope, events)) in opened.messages.iter().enumerate() {
            let mark = out.mark();
            let chunk = envelope.chunk.as_ref();
            let mut known = chunk.and_then(|it| self.recent.lock().of(it.as_bytes(), offset));
            let offset = known.as_mut().unwrap_or(&mut offset);
            match self.add(envelope, events, offset, out) {
                Ok(()) => {}
                Err(DecodeError::Malformed(fault)) => {
                    out.back_to(mark);
                    return Ok((count, Some(fault)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((opened.messages.len(), opened.fault.as_ref().map(ToString::to_string)))
    }

    fn add<'a>(
        &self,
        envelope: &Envelope<'a>,
        events: &'a [u8],
        offset: &mut Offset,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<(), DecodeError> {
        let mut input = Reader::new(events);
        let malformed = |error: Invalid| DecodeError::malformed(error.to_string());
        match envelope.events {
            Events::None => return Ok(()),
            Events::One(_) => self.add_event(envelope, &mut input, offset, out)?,
            Events::Listed { .. } | Events::Packed { .. } => {
                while !input.is_empty() {
                    input.array_of(2, "an event").map_err(malformed)?;
                    self.add_event(envelope, &mut input, offset, out)?;
                }
            }
        }
        Ok(())
    }

    fn add_event<'a>(
        &self,
        envelope: &Envelope<'a>,
        input: &mut Reader<'a>,
        offset: &mut Offset,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<(), DecodeError> {
        let malformed = |error: Invalid| DecodeError::malformed(error.to_string());
        let mut fields: Vec<Pair<'a>> = vec![(TAG.into(), envelope.tag.clone())];
        let time = record::time(input, &mut fields).map_err(malformed)?;
        let start = input.rest();
        record::flatten(input, &mut fields).map_err(malformed)?;
        let record = &start[..start.len() - input.rest().len()];
        let time = match time {
            Some(record::Time::Exact(time)) => time,
            Some(record::Time::Second(second)) => offset.add_to(second),
            None => offset.next(),
        };
        let whole = || record::to_json(record).map_or_else(|_| text(record), Cow::Owned);
        self.rules.add(&mut fields, whole, || time, out)
    }
}
