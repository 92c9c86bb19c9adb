//! `X-Query-Tags`: what a client says about its query.

use std::convert::Infallible;

use ::http::HeaderMap;
use ::http::request::Parts;
use axum::extract::FromRequestParts;

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

#[cfg(test)]
mod tests {
    use super::*;

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
