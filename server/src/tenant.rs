//! `X-Scope-OrgID` becomes a [`TenantId`]: once, here.

use std::sync::Arc;

use ::http::HeaderMap;
use ::http::request::Parts;
use axum::extract::FromRequestParts;
use timberline_query::Tenants;
use timberline_store::{InvalidTenant, TenantId};

use crate::error::ApiError;
use crate::state::AppState;

/// The header that names the tenant. gRPC metadata uses the same name.
pub const TENANT_HEADER: &str = "x-scope-orgid";

/// The tenant of every request while `auth_enabled` is off.
pub(crate) const DEFAULT_TENANT: &str = TenantId::DEFAULT;

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

/// The tenants that a header value names, between `|`: what follows a `:` is dropped, `a|a` is `a`.
///
/// # Errors
/// [`TenantError`]; `None` and the empty text are [`TenantError::Missing`].
pub fn parse_tenants(header: Option<&str>) -> Result<Tenants, TenantError> {
    let parts = header.filter(|value| !value.is_empty()).ok_or(TenantError::Missing)?.split('|');
    let tenants = parts.map(|part| {
        let id = part.split_once(':').map_or(part, |(id, _)| id);
        TenantId::new(id).map_err(|error| match error {
            InvalidTenant::Empty => TenantError::Missing,
            error => TenantError::Invalid(error),
        })
    });
    let tenants = tenants.collect::<Result<Vec<_>, _>>()?;
    Tenants::new(tenants).ok_or(TenantError::Missing)
}

/// The tenants of a request with these headers, by the server's `auth_enabled`.
///
/// # Errors
/// As [`parse_tenants`]; a header that is there twice names several tenants in a way that nobody may,
/// since what is behind the server may look at the other one.
pub fn tenants_of(auth_enabled: bool, headers: &HeaderMap) -> Result<Tenants, TenantError> {
    if !auth_enabled {
        return Ok(TenantId::default().into());
    }
    let mut values = headers.get_all(TENANT_HEADER).iter();
    // Bytes that are not ASCII cannot be in an id: read them so that the error can name the character.
    let value = values.next().map(|value| String::from_utf8_lossy(value.as_bytes()));
    if values.next().is_some() {
        return Err(TenantError::Several);
    }
    parse_tenants(value.as_deref())
}

/// The tenant of a request that can only be about one.
///
/// # Errors
/// As [`tenants_of`], and [`TenantError::Several`].
pub fn tenant_of(auth_enabled: bool, headers: &HeaderMap) -> Result<TenantId, TenantError> {
    let tenants = tenants_of(auth_enabled, headers)?;
    tenants.only().cloned().ok_or(TenantError::Several)
}

/// The tenant, as an argument of a handler that writes, or whose answer is about one tenant only.
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

/// The tenants, as an argument of a handler that reads. Several only where the configuration lets
/// `multi_tenant_queries_enabled`.
#[derive(Clone, Debug)]
pub struct ReadTenants(pub Tenants);

impl FromRequestParts<Arc<AppState>> for ReadTenants {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, ApiError> {
        let tenants = tenants_of(state.config.auth_enabled, &parts.headers)?;
        if tenants.only().is_none() && !state.config.querier.multi_tenant_queries_enabled {
            return Err(TenantError::Several.into());
        }
        Ok(Self(tenants))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_tenants() {
        let name = |header| {
            let names = |tenants: Tenants| -> Vec<_> {
                tenants.iter().map(|tenant| tenant.as_str().to_owned()).collect()
            };
            parse_tenants(header).map(|tenants| names(tenants).join(" "))
        };
        assert_eq!(name(Some("a")), Ok("a".to_owned()));
        assert_eq!(name(Some("a:sub")), Ok("a".to_owned()));
        assert_eq!(name(Some("a|a:x")), Ok("a".to_owned()));
        assert_eq!(name(Some("b|a|b:y")), Ok("a b".to_owned()));
        assert_eq!(name(Some("a|")), Err(TenantError::Missing));
        assert_eq!(name(Some(":x")), Err(TenantError::Missing));
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

    #[test]
    fn a_tenant_is_one_in_one_header() {
        let mut headers = HeaderMap::new();
        headers.insert(TENANT_HEADER, "a|b".parse().unwrap());
        assert_eq!(tenant_of(true, &headers), Err(TenantError::Several));
        assert!(tenants_of(true, &headers).is_ok());
        headers.insert(TENANT_HEADER, "a".parse().unwrap());
        assert_eq!(tenant_of(true, &headers).unwrap().as_str(), "a");
        headers.append(TENANT_HEADER, "a".parse().unwrap());
        assert_eq!(tenants_of(true, &headers), Err(TenantError::Several));
    }
}
