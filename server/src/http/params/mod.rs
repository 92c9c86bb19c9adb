//! The parameters of read requests: names, defaults, grammar and the texts of what is wrong with them.

mod duration;
mod strconv;
#[cfg(test)]
mod tests;
mod time;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Method, Request};
use axum::body::Body;
use axum::extract::FromRequest;
use timberline_query::Direction;
use timberline_store::Timestamp;

use super::body::read_body;
use crate::error::ApiError;
use crate::state::AppState;

/// The largest form body, in bytes (Loki's `frontend.max_body_size`).
const FORM_BYTES_MAX: usize = 10 << 20;

/// Entries of a log query that does not say.
const LIMIT_DEFAULT: i64 = 100;

/// Detected fields, or values of one, that are answered to a request that does not say.
const FIELD_LIMIT_DEFAULT: i64 = 1000;

/// The longest delay of a tail, in seconds.
const DELAY_SECONDS_MAX: i64 = 5;

/// How far back a request looks that does not say, in nanoseconds: an hour.
const SINCE_DEFAULT: i64 = 3600 * NANOS_PER_SECOND;

/// Points per series that a request may ask for.
const POINTS_MAX: i64 = 11_000;

pub(crate) const NANOS_PER_SECOND: i64 = 1_000_000_000;
pub(crate) const NANOS_PER_MILLI: i64 = 1_000_000;

/// What is wrong with a parameter, as the body of a 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ParamError(String);

impl From<ParamError> for ApiError {
    fn from(error: ParamError) -> Self {
        Self::BadRequest(error.0)
    }
}

/// The parameters of a request: those of a form body come before those of the URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl FromRequest<Arc<AppState>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, state: &Arc<AppState>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut pairs = Vec::new();
        if parts.method == Method::POST && is_form(&parts.headers) {
            let pause = state.config.server.body_timeout;
            pairs.extend(decode(&read_body(body, FORM_BYTES_MAX, pause).await?));
        }
        pairs.extend(decode(parts.uri.query().unwrap_or_default().as_bytes()));
        Ok(Self(pairs))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn decode(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// The range of a request, in nanoseconds. `end` may be before `start`: see [`Bounds::ordered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

impl Bounds {
    /// Refuses a range that ends before it starts.
    pub(crate) fn ordered(self) -> Result<Self, ParamError> {
        if self.end < self.start {
            let text = "end timestamp must not be before or equal to start time";
            return Err(ParamError(text.to_owned()));
        }
        Ok(self)
    }
}

impl Params {
    /// The parameters of a URL, without those of a body.
    pub(crate) fn of_url(query: Option<&str>) -> Self {
        Self(decode(query.unwrap_or_default().as_bytes()).collect())
    }

    /// The first value of a parameter; empty where it is not there.
    pub(crate) fn first(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every value of the parameters with one of these names, those of the first name first.
    pub(crate) fn all<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
        names.iter().flat_map(|name| {
            self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
        })
    }

    /// `start`, `end` and `since`, as all endpoints but the instant query read them.
    ///
    /// `end` is now by default; `start` is `since` (an hour) before the end or now, whichever is first.
    pub(crate) fn bounds(&self, now: Timestamp) -> Result<Bounds, ParamError> {
        let since = match self.first("since") {
            "" => SINCE_DEFAULT,
            text => duration::parse(text).map_err(|error| prefixed("since", error))?,
        };
        let end = time::parse(self.first("end"), now).map_err(|error| prefixed("end", error))?;
        let start_default = end.min(now).saturating_sub(since);
        let start = time::parse(self.first("start"), start_default)
            .map_err(|error| prefixed("start", error))?;
        Ok(Bounds { start, end })
    }

    /// `time`, of the instant query.
    pub(crate) fn time(&self, now: Timestamp) -> Result<Timestamp, ParamError> {
        time::parse(self.first("time"), now)
    }

    /// `limit`: positive.
    pub(crate) fn limit(&self) -> Result<usize, ParamError> {
        positive(self.first("limit"), LIMIT_DEFAULT)
    }

    /// `line_limit`, the lines that fields are looked for in: positive.
    pub(crate) fn line_limit(&self) -> Result<usize, ParamError> {
        positive(self.first("line_limit"), LIMIT_DEFAULT)
    }

    /// `limit` of detected fields, or `field_limit` where it is not there: positive.
    pub(crate) fn field_limit(&self) -> Result<usize, ParamError> {
        match self.first("limit") {
            "" => positive(self.first("field_limit"), FIELD_LIMIT_DEFAULT),
            text => positive(text, FIELD_LIMIT_DEFAULT),
        }
    }

    /// `limit` of the volume endpoints, where 0 means the default.
    pub(crate) fn volume_limit(&self) -> Result<usize, ParamError> {
        match self.first("limit") {
            "" | "0" => Params::default().limit(),
            _ => self.limit(),
        }
    }

    /// `delay_for` of a tail: whole seconds, at most five; none by default.
    pub(crate) fn delay_for(&self) -> Result<Duration, ParamError> {
        let seconds = match self.first("delay_for") {
            "" => 0,
            text => strconv::parse_int("Atoi", text)?,
        };
        if seconds > DELAY_SECONDS_MAX {
            return Err(ParamError(format!("delay_for can't be greater than {DELAY_SECONDS_MAX}")));
        }
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }

    /// `direction`: in any case; backward by default.
    pub(crate) fn direction(&self) -> Result<Direction, ParamError> {
        match self.first("direction") {
            "" => Ok(Direction::Backward),
            text if text.eq_ignore_ascii_case("forward") => Ok(Direction::Forward),
            text if text.eq_ignore_ascii_case("backward") => Ok(Direction::Backward),
            text => Err(ParamError(format!("invalid direction '{text}'"))),
        }
    }

    /// `step`, in nanoseconds: a 250th of the range by default, at least a second.
    ///
    /// Refused where it is not positive or would give a series too many points, for log queries too.
    pub(crate) fn step(&self, bounds: Bounds) -> Result<i64, ParamError> {
        let length = bounds.end.saturating_sub(bounds.start);
        let step = match self.first("step") {
            "" => (length / (250 * NANOS_PER_SECOND)).max(1).saturating_mul(NANOS_PER_SECOND),
            text => duration::parse_seconds_or_duration(text)?,
        };
        if step <= 0 {
            let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ParamError(text.to_owned()));
        }
        if length / step > POINTS_MAX {
            let text = "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter";
            return Err(ParamError(text.to_owned()));
        }
        Ok(step)
    }

    /// `interval`, in nanoseconds; 0 by default.
    pub(crate) fn interval(&self) -> Result<i64, ParamError> {
        let interval = match self.first("interval") {
            "" => 0,
            text => duration::parse_seconds_or_duration(text)?,
        };
        if interval < 0 {
            return Err(ParamError("interval must be >= 0".to_owned()));
        }
        Ok(interval)
    }
}

/// A limit; `default` where the text is empty.
fn positive(text: &str, default: i64) -> Result<usize, ParamError> {
    let limit = if text.is_empty() { default } else { strconv::parse_int("Atoi", text)? };
    usize::try_from(limit)
        .ok()
        .filter(|limit| *limit > 0)
        .ok_or_else(|| ParamError("limit must be a positive value".to_owned()))
}

fn prefixed(name: &str, error: ParamError) -> ParamError {
    ParamError(format!("could not parse '{name}' parameter: {error}"))
}

/// Now, in nanoseconds since the Unix epoch; the first and last representable time at the edges.
pub(crate) fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::try_from(since.as_nanos()).unwrap_or(Timestamp::MAX),
        Err(error) => Timestamp::try_from(error.duration().as_nanos())
            .map_or(Timestamp::MIN, std::ops::Neg::neg),
    }
}
