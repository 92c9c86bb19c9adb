//! Which labels are worth filtering by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use timberline_query::TENANT_LABEL;

use crate::encode;
use crate::error::ApiError;
use crate::http::labels::optional_selector;
use crate::http::params::{Params, now};
use crate::http::{json, work};
use crate::state::AppState;
use crate::tenant::ReadTenants;

/// Labels that are shown whatever their values look like.
const ALWAYS_SHOWN: [&str; 4] = ["cluster", "namespace", "instance", "pod"];

/// `/loki/api/v1/detected_labels`: the labels whose values are not all identifiers.
pub(in crate::http) async fn labels(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    let bounds = params.bounds(now())?;
    let selector = optional_selector(params.first("query"))?;
    let several = tenants.only().is_none();
    let series = work::run(&state, tenants, move |state, ticket| {
        Ok(ticket.tenants.series(&ticket.snapshot(state), &selector, ticket.range(bounds))?)
    });
    let series = series.await?;
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in series.iter().flat_map(timberline_store::Labels::iter) {
        values.entry(name).or_default().insert(value);
    }
    if several {
        // Whose a stream is is no label of its own.
        values.remove(TENANT_LABEL);
    }
    values.retain(|name, values| ALWAYS_SHOWN.contains(name) || !are_identifiers(values));
    let counts: Vec<_> = values.iter().map(|(name, values)| (*name, values.len())).collect();
    Ok(json(encode::detected_labels(&counts)))
}

/// Whether every value is a number or a UUID; 0 and 1 alone are a flag, not identifiers.
fn are_identifiers(values: &BTreeSet<&str>) -> bool {
    let is_flag = values.iter().all(|value| matches!(*value, "0" | "1"));
    !is_flag && values.iter().all(|value| value.parse::<f64>().is_ok() || is_uuid(value))
}

/// A UUID with or without hyphens, braces or `urn:uuid:`.
fn is_uuid(text: &str) -> bool {
    let braced = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let bare = braced.or_else(|| text.strip_prefix("urn:uuid:")).unwrap_or(text);
    match bare.len() {
        32 => bare.bytes().all(|byte| byte.is_ascii_hexdigit()),
        36 => bare.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_uuids_are_identifiers() {
        for (values, expected) in [
            (&["1", "2.5", "-7"][..], true),
            (&["0", "1"], false),
            (&["0"], false),
            (&["0", "1", "2"], true),
            (&["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "42"], true),
            (&["{6ba7b810-9dad-11d1-80b4-00c04fd430c8}"], true),
            (&["6ba7b8109dad11d180b400c04fd430c8"], true),
            (&["6ba7b810x9dad-11d1-80b4-00c04fd430c8"], false),
            (&["1", "a"], false),
        ] {
            assert_eq!(are_identifiers(&values.iter().copied().collect()), expected, "{values:?}");
        }
    }
}
