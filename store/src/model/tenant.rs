//! Whose data it is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest tenant id, in bytes (Loki's limit).
const TENANT_BYTES_MAX: usize = 150;

/// A tenant's name: letters, digits and `! - _ . * ' ( )`, at most 150 bytes, neither `.` nor `..`.
///
/// Cheap to clone.
///
/// ```
/// use timberline_store::TenantId;
///
/// let acme: TenantId = "acme".parse()?;
/// let only_one = TenantId::default();
/// assert!(acme != only_one && TenantId::new("a b").is_err());
/// # Ok::<(), timberline_store::InvalidTenant>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// Why a text is no tenant id. The texts are Loki's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTenant {
    /// The id is empty.
    #[error("no org id")]
    Empty,
    /// The id has a character outside the alphabet.
    #[error("tenant ID '{id}' contains unsupported character '{character}'")]
    Character {
        /// The id.
        id: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The id is longer than 150 bytes.
    #[error("tenant ID is too long: max {TENANT_BYTES_MAX} characters")]
    TooLong,
    /// The id would name a directory's self or parent.
    #[error("tenant ID is '.' or '..'")]
    Dots,
}

impl Default for TenantId {
    /// The tenant of programs that have one only: [`TenantId::DEFAULT`].
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenant;

    fn from_str(id: &str) -> Result<Self, InvalidTenant> {
        Self::new(id)
    }
}

impl TenantId {
    /// The id where nobody names one, as a server that has one tenant calls it too.
    pub const DEFAULT: &str = "fake";

    /// Checks and keeps an id.
    ///
    /// # Errors
    /// [`InvalidTenant`] says which rule is broken; characters are looked at before the length.
    pub fn new(id: &str) -> Result<Self, InvalidTenant> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        if id.is_empty() {
            return Err(InvalidTenant::Empty);
        }
        if let Some(character) = id.chars().find(|&c| !allowed(c)) {
            return Err(InvalidTenant::Character { id: id.to_owned(), character });
        }
        if id.len() > TENANT_BYTES_MAX {
            return Err(InvalidTenant::TooLong);
        }
        if id == "." || id == ".." {
            return Err(InvalidTenant::Dots);
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
