//! Who may send: both sides show that they know a key, without showing it.
//!
//! ```text
//! server ▸ ["HELO", {"nonce": bytes, "auth": "", "keepalive": true}]
//! client ▸ ["PING", host, salt, hex(sha512(salt host nonce key)), user, password]
//! server ▸ ["PONG", true, "", name, hex(sha512(salt name nonce key))]
//! ```

use std::fmt::Write as _;

use ring::digest::{Context, SHA512};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::msgpack::{Invalid, Reader, Token};

/// How the server calls itself. It must not be called what its client is: a client refuses that.
const NAME: &str = "timberline";

const NONCE_BYTES: usize = 16;

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// There is no randomness to be had.
    #[error("no random numbers")]
    Random,
    /// What came is no PING.
    #[error("the client did not say PING: does it have the shared key?")]
    NoPing,
    /// The client knows another key.
    #[error("shared_key mismatch")]
    Mismatch,
}

/// One client's handshake.
#[derive(Debug)]
pub(crate) struct Greeting {
    nonce: [u8; NONCE_BYTES],
}

impl Greeting {
    pub(crate) fn new() -> Result<Self, HandshakeError> {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut nonce).map_err(|_| HandshakeError::Random)?;
        Ok(Self { nonce })
    }

    /// What the server says first.
    pub(crate) fn helo(&self) -> Vec<u8> {
        let head = b"\x92\xa4HELO\x83\xa5nonce\xc4\x10";
        [&head[..], &self.nonce, b"\xa4auth\xa0\xa9keepalive\xc3"].concat()
    }

    /// The answer to a whole message: also a wrong one gets an answer where it is a PING.
    pub(crate) fn pong(&self, ping: &[u8], key: &[u8]) -> (Vec<u8>, Result<(), HandshakeError>) {
        let Ok((host, salt, digest)) = read_ping(ping) else {
            return (Vec::new(), Err(HandshakeError::NoPing));
        };
        if !is_equal(digest.as_bytes(), self.digest(salt, host, key).as_bytes()) {
            let error = HandshakeError::Mismatch;
            return (pong(false, &error.to_string(), ""), Err(error));
        }
        (pong(true, "", &self.digest(salt, NAME.as_bytes(), key)), Ok(()))
    }

    fn digest(&self, salt: &[u8], host: &[u8], key: &[u8]) -> String {
        let mut context = Context::new(&SHA512);
        [salt, host, &self.nonce, key].into_iter().for_each(|part| context.update(part));
        let mut digits = String::new();
        // Writing to a String cannot fail.
        context.finish().as_ref().iter().for_each(|byte| _ = write!(digits, "{byte:02x}"));
        digits
    }
}

/// Host, salt and digest of a PING.
type Ping<'a> = (&'a [u8], &'a [u8], std::borrow::Cow<'a, str>);

fn read_ping(message: &[u8]) -> Result<Ping<'_>, Invalid> {
    let mut input = Reader::new(message);
    input.array_of(6, "PING")?;
    if input.text("PING")? != "PING" {
        return Err(Invalid::new("another word"));
    }
    let mut bytes = || match input.token()? {
        Token::Str(bytes) | Token::Bin(bytes) => Ok(bytes),
        _ => Err(Invalid::new("no text")),
    };
    let (host, salt) = (bytes()?, bytes()?);
    Ok((host, salt, input.text("a digest")?))
}

fn pong(is_good: bool, reason: &str, digest: &str) -> Vec<u8> {
    let mut out = b"\x95\xa4PONG".to_vec();
    out.push(if is_good { 0xc3 } else { 0xc2 });
    for text in [reason, NAME, digest] {
        // All are shorter than 256 bytes.
        out.extend([0xd9, u8::try_from(text.len()).unwrap_or_default()]);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Whether two texts are equal, in a time that does not tell where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
