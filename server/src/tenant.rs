//! `X-Scope-OrgID` becomes a [`TenantId`]: once, here.

use std::sync::Arc;

use ::http::HeaderMap;
use ::http::request::Parts;
use axum::extract::FromRequestParts;
use timberline_store::{InvalidTenant, TenantId};

use crate::error::ApiError;
use crate::state::AppState;

/// The header that names the tenant. gRPC metadata uses the same name.
pub const TENANT_HEADER: &str = "x-scope-orgid";

/// The tenant of every request while `auth_enabled` is off.
const DEFAULT_TENANT: &str = "fake";

/// Why a request has no usable tenant. The texts are Loki's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// The header is missing or empty.
    #[error("no org id")]
    Missing,
    /// More than one tenant where one is needed.
    #[error("multiple org IDs present")]
    Several,
    /// The id breaks a rule.
    #[error(transparent)]
    Invalid(InvalidTenant),
}

/// The tenant that a header value names: what follows a `:` is dropped, `a|a` is `a`.
///
/// # Errors
/// [`TenantError`]; `None` and the empty text are [`TenantError::Missing`].
pub fn parse_tenant(header: Option<&str>) -> Result<TenantId, TenantError> {
    let mut found: Option<TenantId> = None;
    for part in header.filter(|value| !value.is_empty()).ok_or(TenantError::Missing)?.split('|') {
        let id = part.split_once(':').map_or(part, |(id, _)| id);
        let tenant = TenantId::new(id).map_err(|error| match error {
            InvalidTenant::Empty => TenantError::Missing,
            error => TenantError::Invalid(error),
        })?;
        match &found {
            Some(first) if *first != tenant => return Err(TenantError::Several),
            _ => found = Some(tenant),
        }
    }
    found.ok_or(TenantError::Missing)
}

/// The tenant of a request with these headers, by the server's `auth_enabled`.
///
/// # Errors
/// As [`parse_tenant`].
pub fn tenant_of(auth_enabled: bool, headers: &HeaderMap) -> Result<TenantId, TenantError> {
    if !auth_enabled {
        return TenantId::new(DEFAULT_TENANT).map_err(TenantError::Invalid);
    }
    // Bytes that are not ASCII cannot be in an id: read them so that the error can name the character.
    let value = headers.get(TENANT_HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    parse_tenant(value.as_deref())
}

/// The tenant, as an argument of a handler.
#[derive(Clone, Debug)]
pub struct Tenant(pub TenantId);

impl FromRequestParts<Arc<AppState>> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        Ok(Self(tenant_of(state.config.auth_enabled, &parts.headers)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_tenants() {
        let name = |header| parse_tenant(header).map(|tenant| tenant.as_str().to_owned());
        assert_eq!(name(Some("a")), Ok("a".to_owned()));
        assert_eq!(name(Some("a:sub")), Ok("a".to_owned()));
        assert_eq!(name(Some("a|a:x")), Ok("a".to_owned()));
        assert_eq!(name(Some("a|b")), Err(TenantError::Several));
        assert_eq!(name(None), Err(TenantError::Missing));
        assert_eq!(name(Some("")), Err(TenantError::Missing));
        let error = name(Some("a/b")).unwrap_err().to_string();
        assert_eq!(error, "tenant ID 'a/b' contains unsupported character '/'");
        assert_eq!(name(Some("..")).unwrap_err().to_string(), "tenant ID is '.' or '..'");
    }

    #[test]
    fn without_auth_the_header_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(TENANT_HEADER, "x/y".parse().unwrap());
        assert_eq!(tenant_of(false, &headers).unwrap().as_str(), "fake");
        assert!(tenant_of(true, &headers).is_err());
    }
}
