//! What a push's headers say of its body, and the body without its compression.
//!
//! A small body can stand for a huge one. Decompression therefore stops at a limit, and memory grows
//! with what really comes out, never with what a header promises; and all bodies that are open at a time
//! share one budget.

use std::borrow::Cow;
use std::io::{self, Read};
use std::mem;

use ::http::HeaderMap;
use ::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use lz4_flex::frame::FrameDecoder;

use super::budget::{Lack, Share};
use super::limits::IngestLimits;
use super::push::DecodeError;

/// The most that one byte of snappy can stand for: a copy of 64 bytes takes 3.
const SNAPPY_RATIO_MAX: usize = 22;

/// The largest zstd window, as a power of two: 8 MiB, what every decoder must support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What snappy begins with where it comes in frames instead of as one block.
const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// How the entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON text.
    Json,
    /// JSON text in the shape of `/api/prom/push`.
    LegacyJson,
    /// `logproto.PushRequest` in raw snappy.
    Protobuf,
    /// OpenTelemetry's `ExportLogsServiceRequest`.
    Otlp,
    /// The same in JSON.
    OtlpJson,
    /// Lines of text, of any kind.
    Text,
}

/// Which API a push over HTTP uses: their JSON differs, protobuf is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/loki/api/v1/push`
    V1,
    /// `/api/prom/push`
    Legacy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
    Lz4,
    Snappy,
}

/// What the headers say of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) format: Format,
    encoding: Encoding,
}

impl Envelope {
    /// Reads `Content-Type` and `Content-Encoding`.
    pub(crate) fn from_headers(headers: &HeaderMap, dialect: Dialect) -> Result<Self, DecodeError> {
        let json = media_type(text_of(headers, &CONTENT_TYPE))? == "application/json";
        let format = match (json, dialect) {
            (true, Dialect::V1) => Format::Json,
            (true, Dialect::Legacy) => Format::LegacyJson,
            (false, _) => Format::Protobuf,
        };
        let encoding = match text_of(headers, &CONTENT_ENCODING) {
            // Protobuf bodies are snappy in any case, so the word says nothing more.
            "" | "snappy" => Encoding::Identity,
            "gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "zstd" => Encoding::Zstd,
            other => {
                let text = format!("Content-Encoding {other:?} not supported");
                return Err(DecodeError::Malformed(text));
            }
        };
        Ok(Self { format, encoding })
    }

    /// Reads the same headers of OpenTelemetry's records.
    pub(crate) fn of_otlp(headers: &HeaderMap) -> Result<Self, DecodeError> {
        let content_type = text_of(headers, &CONTENT_TYPE);
        let format = match media_type(content_type).as_deref() {
            Ok("application/x-protobuf") => Format::Otlp,
            Ok("application/json") => Format::OtlpJson,
            _ => {
                let text = format!(
                    "content type: {content_type} is not supported, send application/x-protobuf or application/json"
                );
                return Err(DecodeError::Malformed(text));
            }
        };
        let encoding = match text_of(headers, &CONTENT_ENCODING) {
            "" | "identity" => Encoding::Identity,
            "gzip" => Encoding::Gzip,
            "zstd" => Encoding::Zstd,
            "lz4" => Encoding::Lz4,
            other => {
                let text = format!(
                    "unsupported content encoding {other}: only gzip, lz4 and zstd are supported"
                );
                return Err(DecodeError::Malformed(text));
            }
        };
        Ok(Self { format, encoding })
    }

    /// Reads `Content-Encoding` of a body of lines, whose type is known.
    pub(crate) fn of_text(headers: &HeaderMap) -> Result<Self, DecodeError> {
        let encoding = match text_of(headers, &CONTENT_ENCODING) {
            "" | "identity" => Encoding::Identity,
            "gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "zstd" => Encoding::Zstd,
            "snappy" => Encoding::Snappy,
            other => {
                let text = format!(
                    "Content-Encoding {other:?} not supported: send gzip, deflate, snappy or zstd"
                );
                return Err(DecodeError::Malformed(text));
            }
        };
        Ok(Self { format: Format::Text, encoding })
    }

    /// A body in JSON or in snappy-compressed protobuf as it is.
    pub(crate) const fn plain(format: Format) -> Self {
        Self { format, encoding: Encoding::Identity }
    }

    /// A body in JSON, compressed in each way there is.
    pub(crate) fn compressed() -> impl Iterator<Item = Self> {
        let encodings =
            [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Lz4, Encoding::Snappy];
        encodings.into_iter().map(|encoding| Self { format: Format::Json, encoding })
    }

    /// The JSON or protobuf of a body. What it takes up beside `body` is added to `share`, which must
    /// live as long. A buffer that it needs may be taken from `spare`.
    pub(crate) fn open<'a>(
        &self,
        body: &'a [u8],
        limits: &IngestLimits,
        share: &mut Share<'_>,
        spare: &mut Vec<u8>,
    ) -> Result<Cow<'a, [u8]>, DecodeError> {
        let (sent_max, max) = (limits.max_recv_msg_size, limits.max_decompressed_size);
        if body.len() > sent_max {
            return Err(too_large(body.len(), sent_max));
        }
        let body = match self.encoding {
            Encoding::Identity => Cow::Borrowed(body),
            Encoding::Gzip => gunzip(body, max, share)?.into(),
            Encoding::Deflate => deflate(body, max, share)?.into(),
            Encoding::Zstd => zstd(body, max, share)?.into(),
            Encoding::Snappy if body.starts_with(SNAPPY_FRAMES) => {
                inflate(snap::read::FrameDecoder::new(body), max, share)?.into()
            }
            Encoding::Snappy => snappy(body, max, share, mem::take(spare))?.into(),
            Encoding::Lz4 => inflate(Lz4Frames(FrameDecoder::new(body)), max, share)?.into(),
        };
        match self.format {
            Format::Protobuf => snappy(&body, max, share, mem::take(spare)).map(Cow::Owned),
            _ if body.len() > max => Err(too_large(body.len(), max)),
            _ => Ok(body),
        }
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The media type in lower case without its parameters; the error texts are Go's.
fn media_type(header: &str) -> Result<String, DecodeError> {
    let (base, parameters) = header.split_once(';').unwrap_or((header, ""));
    let base = base.trim().to_ascii_lowercase();
    let (kind, subtype) = base.split_once('/').unwrap_or((&base, "x"));
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    let fault = if kind.is_empty() {
        "mime: no media type"
    } else if !is_token(kind) {
        "mime: expected slash after first token"
    } else if subtype.is_empty() {
        "mime: expected token after slash"
    } else if !is_token(subtype) {
        "mime: unexpected content after media subtype"
    } else if !parameters.split(';').all(is_parameter) {
        "mime: invalid media parameter"
    } else {
        return Ok(base);
    };
    Err(DecodeError::malformed(fault))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

/// `name=value`, where a value in quotes may be anything; nothing at all is fine too.
fn is_parameter(text: &str) -> bool {
    let text = text.trim();
    let named = |(name, value): (&str, &str)| !name.is_empty() && !value.is_empty();
    text.is_empty() || text.split_once('=').is_some_and(named)
}

fn too_large(size: usize, max: usize) -> DecodeError {
    DecodeError::TooLarge(format!("request body too large: {size} bytes, limit: {max} bytes"))
}

/// Frames of lz4, one after the other: the decoder stops behind each.
struct Lz4Frames<'a>(FrameDecoder<&'a [u8]>);

impl Read for Lz4Frames<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.0.read(out)?;
            if len > 0 || out.is_empty() || self.0.get_ref().is_empty() {
                return Ok(len);
            }
        }
    }
}

/// A reader whose bytes are kept and so count against a share.
struct Metered<'s, 'b, R> {
    input: R,
    share: &'s mut Share<'b>,
}

impl<R: Read> Read for Metered<'_, '_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(out)?;
        self.share.grow(len).map_err(io::Error::other)?;
        Ok(len)
    }
}

fn inflate(input: impl Read, max: usize, share: &mut Share<'_>) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let input = Metered { input, share };
    input.take(limit).read_to_end(&mut out).map_err(|error| corrupt(&error))?;
    if out.len() > max {
        let text = format!("request body too large: over {max} bytes when decompressed");
        return Err(DecodeError::TooLarge(text));
    }
    Ok(out)
}

fn corrupt(error: &io::Error) -> DecodeError {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<Lack>()) {
        Some(lack) => (*lack).into(),
        None => DecodeError::malformed(format!("cannot decompress the body: {error}")),
    }
}

/// Members of gzip, one after the other.
pub(crate) fn gunzip(
    body: &[u8],
    max: usize,
    share: &mut Share<'_>,
) -> Result<Vec<u8>, DecodeError> {
    inflate(flate2::read::MultiGzDecoder::new(body), max, share)
}

/// Raw DEFLATE; also with zlib's header, which is what the word means by the standard.
fn deflate(body: &[u8], max: usize, share: &mut Share<'_>) -> Result<Vec<u8>, DecodeError> {
    let zlib_header = match body {
        [first, second, ..] => {
            first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        _ => false,
    };
    if zlib_header {
        // Raw data may begin like this by chance, so a failure here is not the last word.
        match inflate(flate2::read::ZlibDecoder::new(body), max, share) {
            Err(DecodeError::Malformed(_)) => {}
            done => return done,
        }
    }
    inflate(flate2::read::DeflateDecoder::new(body), max, share)
}

fn zstd(body: &[u8], max: usize, share: &mut Share<'_>) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = zstd::Decoder::with_buffer(body).map_err(|error| corrupt(&error))?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| corrupt(&error))?;
    inflate(decoder, max, share)
}

fn snappy(
    body: &[u8],
    max: usize,
    share: &mut Share<'_>,
    mut out: Vec<u8>,
) -> Result<Vec<u8>, DecodeError> {
    let corrupt = |_| DecodeError::malformed("snappy: corrupt input");
    let len = snap::raw::decompress_len(body).map_err(corrupt)?;
    if len > max {
        return Err(too_large(len, max));
    }
    // A length that the body cannot reach would cost memory for nothing.
    if len > body.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(DecodeError::malformed("snappy: corrupt input"));
    }
    share.grow(len)?;
    out.resize(len, 0);
    snap::raw::Decoder::new().decompress(body, &mut out).map_err(corrupt)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ::http::HeaderValue;
    use timberline_store::TenantId;

    use super::super::budget::Budget;
    use super::*;

    fn headers(content_type: &'static str, encoding: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        headers
    }

    fn open(
        encoding: &'static str,
        body: &[u8],
        limits: &IngestLimits,
    ) -> Result<Vec<u8>, DecodeError> {
        let envelope = Envelope::from_headers(&headers("application/json", encoding), Dialect::V1)?;
        open_as(envelope, body, limits)
    }

    fn open_as(
        envelope: Envelope,
        body: &[u8],
        limits: &IngestLimits,
    ) -> Result<Vec<u8>, DecodeError> {
        let budget = Budget::new(usize::MAX);
        let mut share = budget.share(&TenantId::default());
        // Whatever is in the buffer is not in the body.
        let mut spare = vec![7; 100];
        envelope.open(body, limits, &mut share, &mut spare).map(Cow::into_owned)
    }

    fn compressed(body: &[u8]) -> [(&'static str, Vec<u8>); 5] {
        use flate2::{Compression, write};
        let mut gzip = write::GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(body).unwrap();
        let mut raw = write::DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(body).unwrap();
        let mut zlib = write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(body).unwrap();
        [
            ("gzip", gzip.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
            ("deflate", zlib.finish().unwrap()),
            ("zstd", zstd::encode_all(body, 1).unwrap()),
            ("snappy", body.to_vec()),
        ]
    }

    #[test]
    fn the_content_type_decides() {
        for (content_type, format) in [
            ("application/json", Format::Json),
            ("Application/JSON; charset=utf-8", Format::Json),
            ("application/x-protobuf", Format::Protobuf),
            ("text/plain;", Format::Protobuf),
            ("anything", Format::Protobuf),
        ] {
            let envelope = Envelope::from_headers(&headers(content_type, ""), Dialect::V1).unwrap();
            assert_eq!(envelope, Envelope::plain(format), "{content_type}");
        }
        for (content_type, text) in [
            ("", "mime: no media type"),
            (";x=y", "mime: no media type"),
            ("a b/c", "mime: expected slash after first token"),
            ("a/", "mime: expected token after slash"),
            ("a/b c", "mime: unexpected content after media subtype"),
            ("a/b; c", "mime: invalid media parameter"),
        ] {
            let error =
                Envelope::from_headers(&headers(content_type, ""), Dialect::V1).unwrap_err();
            assert_eq!(error.to_string(), text, "{content_type}");
        }
    }

    #[test]
    fn the_encoding_is_undone() {
        let body = b"{\"streams\":[]}".repeat(9);
        for (encoding, sent) in compressed(&body) {
            assert_eq!(
                open(encoding, &sent, &IngestLimits::default()),
                Ok(body.clone()),
                "{encoding}"
            );
        }
        let error = open("br", b"", &IngestLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "Content-Encoding \"br\" not supported");
        for encoding in ["gzip", "deflate", "zstd"] {
            let error = open(encoding, b"no such thing", &IngestLimits::default()).unwrap_err();
            assert!(matches!(error, DecodeError::Malformed(_)), "{encoding}");
        }
    }

    #[test]
    fn sizes_are_limited_before_and_after() {
        let limits = IngestLimits {
            max_recv_msg_size: 20_000,
            max_decompressed_size: 10_000,
            ..IngestLimits::default()
        };
        for size in [10_000, 10_001, 10_000_000] {
            for (encoding, sent) in compressed(&vec![0; size]) {
                let result = open(encoding, &sent, &limits);
                assert_eq!(result.is_ok(), size == 10_000, "{encoding} {size}");
                if let Err(error) = result {
                    assert!(error.to_string().starts_with("request body too large: "), "{error}");
                }
            }
        }
    }

    #[test]
    fn snappy_lengths_are_not_believed() {
        let limits = IngestLimits::default();
        let protobuf = Envelope::plain(Format::Protobuf);
        let sent = snap::raw::Encoder::new().compress_vec(&[7; 100_000]).unwrap();
        assert_eq!(open_as(protobuf, &sent, &limits).unwrap().len(), 100_000);
        let promise = open_as(protobuf, &[0x80, 0x80, 0x80, 0x40, 0x00], &limits).unwrap_err();
        assert_eq!(promise.to_string(), "snappy: corrupt input");
        let promise =
            open_as(protobuf, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00], &limits).unwrap_err();
        assert!(matches!(promise, DecodeError::TooLarge(_)));
        assert!(open_as(protobuf, b"", &limits).is_err());
    }

    #[test]
    fn open_bodies_share_a_budget() {
        let limits = IngestLimits::default();
        let body = vec![b' '; 100_000];
        let snappy = snap::raw::Encoder::new().compress_vec(&body).unwrap();
        let mut sent =
            compressed(&body).map(|(encoding, sent)| ("application/json", encoding, sent));
        sent[4] = ("application/x-protobuf", "snappy", snappy);
        for (content_type, encoding, sent) in sent {
            let envelope =
                Envelope::from_headers(&headers(content_type, encoding), Dialect::V1).unwrap();
            let budget = Budget::new(2 * (2 * body.len() + 50_000));
            let share = || budget.share(&TenantId::default());
            let open = |share: &mut Share<'_>| {
                envelope.open(&sent, &limits, share, &mut Vec::new()).map(Cow::into_owned)
            };
            let (mut one, mut two, mut three) = (share(), share(), share());
            assert!(open(&mut one).is_ok(), "{encoding}");
            assert!(open(&mut two).is_ok(), "{encoding}");
            let busy = open(&mut three);
            assert_eq!(busy, Err(DecodeError::Busy), "{encoding}");
            drop((one, three));
            assert!(open(&mut share()).is_ok(), "{encoding}");
            let small = Budget::new(body.len());
            let never = open(&mut small.share(&TenantId::default()));
            assert!(matches!(never, Err(DecodeError::TooLarge(_))), "{encoding}: {never:?}");
        }
    }
}
