//! Label names, label values and series.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use timberline_query::syntax::{self, LabelMatcher, ParseError, Selector};
use timberline_query::{QueryError, TENANT_LABEL, Tenants};
use timberline_store::{Matcher, TenantId};

use super::params::{Params, now};
use super::{json, work};
use crate::encode;
use crate::error::ApiError;
use crate::state::AppState;
use crate::tenant::ReadTenants;

/// `/loki/api/v1/labels`, `/loki/api/v1/label`
pub(super) async fn names(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(json(encode::texts(&find_names(&state, tenants, &params).await?)))
}

/// The names of labels that a request asks for.
pub(super) async fn find_names(
    state: &Arc<AppState>,
    tenants: Tenants,
    params: &Params,
) -> Result<BTreeSet<String>, ApiError> {
    let bounds = params.bounds(now())?;
    let selector = optional_selector(params.first("query"))?;
    work::run(state, tenants, move |state, ticket| {
        let snapshot = ticket.snapshot(state);
        Ok(ticket.tenants.label_names(&snapshot, &selector, ticket.range(bounds))?)
    })
    .await
}

/// `/loki/api/v1/label/{name}/values`
pub(super) async fn values(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(json(encode::texts(&find_values(&state, tenants, name, &params).await?)))
}

/// The values of a label that a request asks for.
pub(super) async fn find_values(
    state: &Arc<AppState>,
    tenants: Tenants,
    name: String,
    params: &Params,
) -> Result<BTreeSet<String>, ApiError> {
    let bounds = params.bounds(now())?;
    let selector = optional_selector(params.first("query"))?;
    if name == TENANT_LABEL && state.config.querier.multi_tenant_queries_enabled {
        // Asked by explorers that do not know yet whether there are several.
        let (chosen, _) = tenants.select(&selector);
        return Ok(chosen.into_iter().map(TenantId::to_string).collect());
    }
    work::run(state, tenants, move |state, ticket| {
        let snapshot = ticket.snapshot(state);
        Ok(ticket.tenants.label_values(&snapshot, &name, &selector, ticket.range(bounds))?)
    })
    .await
}

/// `/loki/api/v1/series`
pub(super) async fn series(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    let bounds = params.bounds(now())?;
    let selectors = series_selectors(&params)?;
    let series = work::run(&state, tenants, move |state, ticket| {
        let (snapshot, range) = (ticket.snapshot(state), ticket.range(bounds));
        let mut found = Vec::new();
        for selector in &selectors {
            found.extend(ticket.tenants.series(&snapshot, selector, range)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    });
    Ok(json(encode::series(&series.await?)))
}

/// The selectors of a series request; none at all, or a lone `{}`, stands for every stream.
fn series_selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let mut texts: Vec<_> = params.all(&["match", "match[]"]).collect();
    texts.sort_unstable();
    texts.dedup();
    let everything = match texts.as_slice() {
        [] => true,
        [text] => text.replace(' ', "") == "{}",
        _ => false,
    };
    if everything {
        return Ok(vec![Vec::new()]);
    }
    texts.into_iter().map(|text| matchers(&syntax::parse_selector(text)?)).collect()
}

/// A selector that may be missing, which selects everything.
pub(super) fn optional_selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    if text.is_empty() { Ok(Vec::new()) } else { selector(text) }
}

/// A selector that must not select everything.
pub(super) fn selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    let selector = syntax::parse_selector(text)?;
    if !selector.selects() {
        let message = "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";
        return Err(QueryError::Parse(ParseError::new(message)).into());
    }
    matchers(&selector)
}

/// The matchers of a selector, as the store takes them.
pub(super) fn matchers(selector: &Selector) -> Result<Vec<Matcher>, ApiError> {
    let matcher = |matcher: &LabelMatcher| {
        Matcher::new(&matcher.name, matcher.op, &matcher.value)
            .map_err(|error| ApiError::from(ParseError::new(error.to_string())))
    };
    selector.matchers.iter().map(matcher).collect()
}
