//! `X-Query-Tags` and `X-Query-Queue-Time`: what a client, or who is before it, says about its query.

use std::convert::Infallible;
use std::time::Duration;

use ::http::HeaderMap;
use ::http::request::Parts;
use axum::extract::FromRequestParts;
use timberline_query::parse_go_duration;

/// `key=value,key=value`
pub(super) const HEADER: &str = "x-query-tags";

/// How Grafana's Logs Drilldown calls itself. It shows the series that there is room for, with the warning.
const DRILLDOWN: &str = "grafana-lokiexplore-app";

/// The tags of a query, as they are logged: what is not plain is `_`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QueryTags(String);

impl QueryTags {
    fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut tags = String::with_capacity(value.len());
        let mut was_plain = true;
        for c in value.chars() {
            let is_plain = c.is_ascii_alphanumeric() || "-=.@, ".contains(c);
            if is_plain {
                tags.push(c);
            } else if was_plain {
                tags.push('_');
            }
            was_plain = is_plain;
        }
        Self(tags)
    }

    /// The tags as text; empty where there are none.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether the query is one of Logs Drilldown's.
    pub(super) fn is_drilldown(&self) -> bool {
        let pairs = self.0.split(',').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().any(|(key, value)| {
            key.trim().eq_ignore_ascii_case("source")
                && value.trim().eq_ignore_ascii_case(DRILLDOWN)
        })
    }
}

impl<S: Sync> FromRequestParts<S> for QueryTags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// How long a query has waited elsewhere before it came here, in Go's way: `1.5s`. A queue in front says it, and
/// it is a part of the time that the query has queued.
pub(super) const QUEUE_TIME_HEADER: &str = "x-query-queue-time";

/// The time of that header; none where it is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QueueTime(pub(super) Duration);

impl QueueTime {
    fn of(headers: &HeaderMap) -> Self {
        let text = headers.get(QUEUE_TIME_HEADER).and_then(|value| value.to_str().ok());
        let nanos = text.and_then(|text| parse_go_duration(text).ok()).unwrap_or_default();
        Self(Duration::from_nanos(u64::try_from(nanos).unwrap_or_default()))
    }
}

impl<S: Sync> FromRequestParts<S> for QueueTime {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_other_queues_are_gos_durations() {
        let queued = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(QUEUE_TIME_HEADER, text.parse().unwrap());
            QueueTime::of(&headers).0
        };
        assert_eq!(queued("1m0.5s"), Duration::from_millis(60_500));
        for none in ["", "5", "soon", "-1s"] {
            assert_eq!(queued(none), Duration::ZERO, "{none}");
        }
    }

    fn tags(text: &str) -> QueryTags {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, text.parse().unwrap());
        QueryTags::of(&headers)
    }

    #[test]
    fn what_is_not_plain_is_one_underscore() {
        assert_eq!(tags("Source=a.b@c, x=1").text(), "Source=a.b@c, x=1");
        assert_eq!(tags("a=\"\t{}b\"").text(), "a=_b_");
        assert_eq!(QueryTags::of(&HeaderMap::new()), QueryTags::default());
    }

    #[test]
    fn drilldown_is_known_by_its_source() {
        assert!(tags("Source=grafana-lokiexplore-app").is_drilldown());
        assert!(tags("a=b,source=Grafana-LokiExplore-App").is_drilldown());
        for other in ["Source=logvolhist", "x=grafana-lokiexplore-app", "grafana-lokiexplore-app"] {
            assert!(!tags(other).is_drilldown(), "{other}");
        }
    }
}
