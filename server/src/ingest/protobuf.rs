//! Pushes in protobuf: `logproto.PushRequest`, read in place.
//!
//! The generated types would copy every line into a `String` of its own; this reader goes over the
//! same fields and borrows. Unknown fields are passed over, as protobuf asks for.

use std::borrow::Cow;

use prost::encoding::{self, DecodeContext, WireType};
use timberline_store::Timestamp;

use super::proto::logproto;
use super::push::{DecodeError, Push, text};

/// The longest label text of one stream, in bytes.
const LABELS_BYTES_MAX: usize = 16 << 20;

/// An entry of a body is about so long, or longer: for as many there is room at once, which takes less than the body.
const ENTRY_BYTES: usize = 128;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Reads a `logproto.PushRequest`.
pub(crate) fn decode(body: &[u8]) -> Result<Push<'_>, DecodeError> {
    let mut push = Push::default();
    push.entries.reserve(body.len() / ENTRY_BYTES);
    let mut fields = Fields::of(body);
    while let Some((tag, wire)) = fields.next()? {
        match tag {
            1 => stream(fields.bytes(wire)?, &mut push)?,
            _ => fields.skip(tag, wire)?,
        }
    }
    Ok(push)
}

/// The same of a request that gRPC has decoded already.
pub(crate) fn borrow(request: &logproto::PushRequest) -> Result<Push<'_>, DecodeError> {
    let mut push = Push::default();
    for stream in &request.streams {
        let start = push.entries.len();
        for entry in &stream.entries {
            let pairs_start = push.pairs.len();
            push.pairs.extend(entry.structured_metadata.iter().map(|pair| {
                (Cow::Borrowed(pair.name.as_str()), Cow::Borrowed(pair.value.as_str()))
            }));
            let (seconds, nanos) = entry.timestamp.map_or((0, 0), |t| (t.seconds, t.nanos));
            push.add_entry(nanoseconds(seconds, nanos)?, (&*entry.line).into(), pairs_start);
        }
        push.add_stream(check_labels((&*stream.labels).into())?, start);
    }
    Ok(push)
}

fn stream<'a>(body: &'a [u8], push: &mut Push<'a>) -> Result<(), DecodeError> {
    let start = push.entries.len();
    let mut labels = Cow::Borrowed("");
    let mut fields = Fields::of(body);
    while let Some((tag, wire)) = fields.next()? {
        match tag {
            1 => labels = text(fields.bytes(wire)?),
            2 => entry(fields.bytes(wire)?, push)?,
            _ => fields.skip(tag, wire)?,
        }
    }
    push.add_stream(check_labels(labels)?, start);
    Ok(())
}

fn check_labels(labels: Cow<'_, str>) -> Result<Cow<'_, str>, DecodeError> {
    if labels.len() <= LABELS_BYTES_MAX {
        return Ok(labels);
    }
    let len = labels.len();
    Err(DecodeError::TooLarge(format!(
        "stream labels too large: {len} bytes, limit: {LABELS_BYTES_MAX} bytes"
    )))
}

fn entry<'a>(body: &'a [u8], push: &mut Push<'a>) -> Result<(), DecodeError> {
    let pairs_start = push.pairs.len();
    let (mut timestamp, mut line) = ((0, 0), Cow::Borrowed(""));
    let mut fields = Fields::of(body);
    while let Some((tag, wire)) = fields.next()? {
        match tag {
            1 => merge_timestamp(fields.bytes(wire)?, &mut timestamp)?,
            2 => line = text(fields.bytes(wire)?),
            3 => {
                let pair = pair(fields.bytes(wire)?)?;
                push.pairs.push(pair);
            }
            _ => fields.skip(tag, wire)?,
        }
    }
    push.add_entry(nanoseconds(timestamp.0, timestamp.1)?, line, pairs_start);
    Ok(())
}

/// Reads a `google.protobuf.Timestamp` into seconds and nanoseconds. A field that comes twice is
/// merged, as protobuf asks for.
fn merge_timestamp(body: &[u8], (seconds, nanos): &mut (i64, i32)) -> Result<(), DecodeError> {
    let mut fields = Fields::of(body);
    while let Some((tag, wire)) = fields.next()? {
        match tag {
            1 => *seconds = fields.varint(wire)?.cast_signed(),
            2 => *nanos = low_32_bits(fields.varint(wire)?).cast_signed(),
            _ => fields.skip(tag, wire)?,
        }
    }
    Ok(())
}

/// A 32-bit number is the low half of its varint, so that negative ones come out right.
fn low_32_bits(varint: u64) -> u32 {
    u32::try_from(varint & u64::from(u32::MAX)).unwrap_or_default()
}

fn nanoseconds(seconds: i64, nanos: i32) -> Result<Timestamp, DecodeError> {
    let whole = seconds.checked_mul(NANOS_PER_SECOND);
    let total = whole.and_then(|whole| whole.checked_add(i64::from(nanos)));
    total.filter(|_| (0..NANOS_PER_SECOND).contains(&i64::from(nanos))).ok_or_else(|| {
        DecodeError::malformed(format!("timestamp: seconds:{seconds} nanos:{nanos} out of range"))
    })
}

fn pair(body: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), DecodeError> {
    let mut pair = (Cow::Borrowed(""), Cow::Borrowed(""));
    let mut fields = Fields::of(body);
    while let Some((tag, wire)) = fields.next()? {
        match tag {
            1 => pair.0 = text(fields.bytes(wire)?),
            2 => pair.1 = text(fields.bytes(wire)?),
            _ => fields.skip(tag, wire)?,
        }
    }
    Ok(pair)
}

/// The fields of one message.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) const fn of(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn next(&mut self) -> Result<Option<(u32, WireType)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        encoding::decode_key(&mut self.rest).map(Some).map_err(malformed)
    }

    pub(super) fn bytes(&mut self, wire: WireType) -> Result<&'a [u8], DecodeError> {
        encoding::check_wire_type(WireType::LengthDelimited, wire).map_err(malformed)?;
        let len = encoding::decode_varint(&mut self.rest).map_err(malformed)?;
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (bytes, rest) = split.ok_or_else(|| DecodeError::malformed("unexpected EOF"))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn varint(&mut self, wire: WireType) -> Result<u64, DecodeError> {
        encoding::check_wire_type(WireType::Varint, wire).map_err(malformed)?;
        encoding::decode_varint(&mut self.rest).map_err(malformed)
    }

    pub(super) fn skip(&mut self, tag: u32, wire: WireType) -> Result<(), DecodeError> {
        encoding::skip_field(wire, tag, &mut self.rest, DecodeContext::default()).map_err(malformed)
    }
}

fn malformed(error: prost::DecodeError) -> DecodeError {
    DecodeError::malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    prop_compose! {
        fn any_entry()(
            seconds in -9_000_000_000_i64..9_000_000_000,
            nanos in 0..1_000_000_000,
            timed in any::<bool>(),
            line in "\\PC{0,40}",
            pairs in vec(("\\PC{0,4}", "\\PC{0,4}"), 0..3),
        ) -> logproto::EntryAdapter {
            let pair = |(name, value)| logproto::LabelPairAdapter { name, value };
            logproto::EntryAdapter {
                timestamp: timed.then_some(prost_types::Timestamp { seconds, nanos }),
                line,
                structured_metadata: pairs.into_iter().map(pair).collect(),
            }
        }
    }

    prop_compose! {
        fn any_request()(
            streams in vec(("\\PC{0,12}", vec(any_entry(), 0..5)), 0..4)
        ) -> logproto::PushRequest {
            let stream = |(labels, entries)| logproto::StreamAdapter { labels, entries };
            logproto::PushRequest { streams: streams.into_iter().map(stream).collect() }
        }
    }

    proptest! {
        /// The reader sees what the generated types see.
        #[test]
        fn agrees_with_the_generated_types(request in any_request()) {
            let body = request.encode_to_vec();
            prop_assert_eq!(decode(&body).unwrap(), borrow(&request).unwrap());
        }

        /// Where the generated types read damaged bytes, the reader gives the same; it never panics.
        #[test]
        fn damaged_bytes_are_read_alike(
            request in any_request(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut body = request.encode_to_vec();
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let ours = decode(&body);
            if let Ok(theirs) = logproto::PushRequest::decode(&*body) {
                prop_assert_eq!(ours, borrow(&theirs));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..200)) {
            let _ = decode(&body);
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        // streams { hash = 5, labels = "{}", group 9 { } }, format = "x"
        let body = [0x0a, 0x08, 0x18, 0x05, 0x0a, 0x02, b'{', b'}', 0x4b, 0x4c, 0x12, 0x01, b'x'];
        let push = decode(&body).unwrap();
        assert_eq!(
            push.streams,
            [super::super::push::Stream { labels: "{}".into(), entries: 0..0 }]
        );
    }

    #[test]
    fn lines_that_are_not_utf8_are_made_so() {
        let body = [0x0a, 0x05, 0x12, 0x03, 0x12, 0x01, 0xff];
        assert_eq!(decode(&body).unwrap().entries[0].line, "\u{fffd}");
    }

    #[test]
    fn times_must_fit_nanoseconds() {
        assert_eq!(nanoseconds(-1, 1), Ok(-999_999_999));
        assert!(nanoseconds(i64::MAX / 1_000_000_000 + 1, 0).is_err());
        assert!(nanoseconds(0, -1).is_err());
        assert!(nanoseconds(0, 1_000_000_000).is_err());
    }
}
