//! What a tenant may do, as clients ask for it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use timberline_query::format_binary_bytes;

use crate::config::{LimitsConfig, RetentionLimits, StreamPeriod};
use crate::error::ApiError;
use crate::ingest::LEVEL_FIELD_NAMES;
use crate::state::AppState;
use crate::tenant::{ReadTenants, Tenant, TenantError};

/// The version of Loki whose API this is: explorers decide by it what they may ask for.
const API_VERSION: &str = "3.7.0";

/// `/loki/api/v1/drilldown-limits`: of tenants without limits of their own where none is named, since an
/// error would be taken for an old version.
pub(super) async fn drilldown(
    State(state): State<Arc<AppState>>,
    tenants: Result<ReadTenants, ApiError>,
) -> Result<Response, ApiError> {
    let limits = match tenants {
        Ok(ReadTenants(tenants)) => state.limits.current().of_all(&tenants),
        Err(ApiError::Tenant(TenantError::Missing)) => Arc::clone(state.limits.current().section()),
        Err(error) => return Err(error),
    };
    let body = json!({
        "limits": explorer_limits(&limits),
        "pattern_ingester_enabled": true,
        "version": API_VERSION,
    });
    Ok(([(CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}

/// The limits that explorers look at. Those that nothing is held to have Loki's word for no limit.
fn explorer_limits(limits: &LimitsConfig) -> Value {
    let LimitsConfig { ingest, query, retention, ruler: _ } = limits;
    json!({
        "discover_log_levels": ingest.discover_log_levels,
        "discover_service_name": ingest.discover_service_name,
        "log_level_fields": LEVEL_FIELD_NAMES,
        "max_entries_limit_per_query": query.max_entries_limit_per_query,
        "max_line_size_truncate": ingest.max_line_size_truncate,
        "max_query_bytes_read": size_text(query.max_query_bytes_read),
        "max_query_length": duration_text(query.max_query_length),
        "max_query_lookback": duration_text(query.max_query_lookback),
        "max_query_range": duration_text(query.max_query_range),
        "max_query_series": query.max_query_series,
        "metric_aggregation_enabled": false,
        "otlp_config": ingest.otlp_config,
        "pattern_persistence_enabled": false,
        "query_timeout": duration_text(query.query_timeout),
        "retention_period": duration_text(retention.retention_period),
        "retention_stream": streams(retention),
        "volume_enabled": query.volume_enabled,
        "volume_max_series": query.volume_max_series,
    })
}

/// What holds for some streams; nothing at all where that is none.
fn streams(retention: &RetentionLimits) -> Value {
    if retention.retention_stream.is_empty() {
        return Value::Null;
    }
    let stream = |stream: &StreamPeriod| {
        json!({
            "period": duration_text(stream.period),
            "priority": stream.priority,
            "selector": String::from(stream.selector.clone()),
        })
    };
    retention.retention_stream.iter().map(stream).collect()
}

/// `/config/tenant/v1/limits`: the limits as YAML, with the names they have in the configuration.
pub(super) async fn tenant(
    State(state): State<Arc<AppState>>,
    Tenant(tenant): Tenant,
) -> Result<Response, ApiError> {
    let limits = serde_json::to_value(&*state.limits.of(&tenant))
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    let mut text = String::new();
    for (name, value) in limits.as_object().into_iter().flatten() {
        // JSON values are YAML. Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    Ok(([(CONTENT_TYPE, "application/yaml")], text).into_response())
}

/// A size as Loki's configuration prints it: `0B`, `1.5GiB`.
fn size_text(bytes: usize) -> String {
    format_binary_bytes(u64::try_from(bytes).unwrap_or(u64::MAX)).replace(' ', "")
}

/// A duration in Prometheus' way: `30d1h`, `1m`, `0s`. Years and weeks only where nothing is left over;
/// what is less than a millisecond is cut.
fn duration_text(duration: Duration) -> String {
    const UNITS: [(&str, u128, bool); 7] = [
        ("y", 365 * 86_400_000, true),
        ("w", 7 * 86_400_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ];
    let mut rest = duration.as_millis();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis, only_whole) in UNITS {
        let count = rest / millis;
        if count > 0 && (!only_whole || rest.is_multiple_of(millis)) {
            let _ = write!(text, "{count}{unit}");
            rest %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_largest_units() {
        const HOUR: u64 = 3600;
        for (seconds, text) in [
            (0, "0s"),
            (60, "1m"),
            (90, "1m30s"),
            (721 * HOUR, "30d1h"),
            (7 * 24 * HOUR, "1w"),
            (8 * 24 * HOUR, "8d"),
            (365 * 24 * HOUR, "1y"),
        ] {
            assert_eq!(duration_text(Duration::from_secs(seconds)), text);
        }
        assert_eq!(duration_text(Duration::from_millis(1500)), "1s500ms");
    }
}
