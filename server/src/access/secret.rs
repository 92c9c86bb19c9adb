//! Secrets: made, hashed, compared.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, generate_salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blake2::{Blake2s256, Digest as _};

/// The most memory that a hash in the file may ask for, in KiB: 256 MiB.
const MEMORY_KIB_MAX: u32 = 256 << 10;

/// Why a text is no hash of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: make one with `timberline hash`")]
pub struct InvalidHash(String);

/// The Argon2 hash of a secret.
#[derive(Clone, Debug)]
pub(super) struct SecretHash(PasswordHash);

impl SecretHash {
    /// Reads `$argon2id$v=19$m=…`.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidHash> {
        let hash = PasswordHash::new(text)
            .map_err(|error| InvalidHash(format!("no hash of a secret ({error})")))?;
        if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
            return Err(InvalidHash("no Argon2id hash".to_owned()));
        }
        let params = argon2::Params::try_from(&hash)
            .map_err(|error| InvalidHash(format!("its parameters are not Argon2's ({error})")))?;
        if params.m_cost() > MEMORY_KIB_MAX {
            let text =
                format!("it takes {} KiB to check, more than {MEMORY_KIB_MAX}", params.m_cost());
            return Err(InvalidHash(text));
        }
        Ok(Self(hash))
    }

    /// Whether it is this secret's. Takes some 20 ms and 19 MiB, on purpose.
    pub(super) fn is_of(&self, secret: &[u8]) -> bool {
        Argon2::default().verify_password(secret, &self.0).is_ok()
    }
}

/// The hash of a secret as the credentials file has it, with a salt of its own.
///
/// # Errors
/// An empty secret, and what Argon2 says.
pub fn hash_secret(secret: &[u8]) -> Result<String, InvalidHash> {
    if secret.is_empty() {
        return Err(InvalidHash("the secret is empty".to_owned()));
    }
    let hash = Argon2::default().hash_password(secret);
    hash.map(|hash| hash.to_string()).map_err(|error| InvalidHash(error.to_string()))
}

/// A secret that nobody guesses: 256 random bits as 43 letters, digits, `-` and `_`.
#[must_use]
pub fn generate_secret() -> String {
    URL_SAFE_NO_PAD.encode([generate_salt(), generate_salt()].concat())
}

/// Tells secrets apart without keeping them: a digest under a key that only this process has, so that
/// a secret that was checked once is known again at once.
#[derive(Debug)]
pub(super) struct Fingerprinter([u8; 32]);

/// What a [`Fingerprinter`] makes of a secret.
pub(super) type Fingerprint = [u8; 32];

impl Fingerprinter {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        let (first, second) = key.split_at_mut(16);
        first.copy_from_slice(&generate_salt());
        second.copy_from_slice(&generate_salt());
        Self(key)
    }

    pub(super) fn of(&self, secret: &[u8]) -> Fingerprint {
        Blake2s256::new().chain_update(self.0).chain_update(secret).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_of_one_secret() {
        let text = hash_secret(b"hunter2").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m="), "{text}");
        let hash = SecretHash::parse(&text).unwrap();
        assert!(hash.is_of(b"hunter2") && !hash.is_of(b"hunter3") && !hash.is_of(b""));
        assert_ne!(hash_secret(b"hunter2").unwrap(), text, "each has its salt");
        assert!(hash_secret(b"").is_err());
    }

    #[test]
    fn other_texts_are_no_hashes() {
        let dear = "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaA";
        for text in ["", "hunter2", "$2b$12$abc", "$argon2id$v=19$m=19456,t=2,p=1", dear] {
            let error = SecretHash::parse(text).unwrap_err().to_string();
            assert!(error.ends_with("make one with `timberline hash`"), "{text}: {error}");
        }
    }

    #[test]
    fn generated_secrets_and_fingerprints_differ() {
        assert_eq!(generate_secret().len(), 43);
        assert_ne!(generate_secret(), generate_secret());
        let prints = Fingerprinter::new();
        assert_eq!(prints.of(b"a"), prints.of(b"a"));
        assert_ne!(prints.of(b"a"), prints.of(b"b"));
        assert_ne!(prints.of(b"a"), Fingerprinter::new().of(b"a"));
    }
}
