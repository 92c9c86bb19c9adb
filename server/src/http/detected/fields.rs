//! `detected_fields` and `detected_field/{name}/values`: what the newest lines of a query have in them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use timberline_query::syntax::{self, Expr};
use timberline_query::{Direction, QueryValue, RangeQuery, StreamResult};

use super::{collect, values};
use crate::encode;
use crate::error::ApiError;
use crate::http::params::{Bounds, NANOS_PER_SECOND, Params, now};
use crate::http::work::Ticket;
use crate::http::{json, work};
use crate::state::AppState;
use crate::tenant::ReadTenants;

/// What a request looks at.
#[derive(Clone, Debug)]
struct Request {
    query: String,
    bounds: Bounds,
    /// How many lines are looked at: the newest.
    line_limit: usize,
    /// How many fields, or values of a field, are answered.
    limit: usize,
}

impl Request {
    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let bounds = params.bounds(now())?.ordered()?;
        let line_limit = params.line_limit()?;
        let limit = params.field_limit()?;
        params.step(bounds)?;
        let query = params.first("query").to_owned();
        if let Expr::Metric(_) = syntax::parse(&query)? {
            return Err(ApiError::BadRequest("only log selector is supported".to_owned()));
        }
        Ok(Self { query, bounds, line_limit, limit })
    }

    /// The lines, told apart by where their labels came from.
    fn lines(&self, state: &AppState, ticket: &Ticket) -> Result<Vec<StreamResult>, ApiError> {
        let query = RangeQuery {
            query: self.query.clone(),
            start: self.bounds.start,
            end: self.bounds.end,
            step: NANOS_PER_SECOND,
            interval: 0,
            limit: self.line_limit,
            direction: Direction::Backward,
            categorize_labels: true,
            cancel: Arc::clone(&ticket.cancel),
        };
        match state.engine(&ticket.limits).range(&ticket.tenants, &query)?.value {
            QueryValue::Streams(streams) => Ok(streams),
            // The query was seen to be a log query.
            _ => Ok(Vec::new()),
        }
    }
}

/// `/loki/api/v1/detected_fields`
pub(in crate::http) async fn fields(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    params: Params,
) -> Result<Response, ApiError> {
    let request = Request::from_params(&params)?;
    let body = work::run(&state, tenants, move |state, ticket| {
        let streams = request.lines(state, ticket)?;
        let fields = collect::fields(&streams, request.limit, ticket)?;
        Ok(encode::detected_fields(&fields, request.limit))
    });
    Ok(json(body.await?))
}

/// `/loki/api/v1/detected_field/{name}/values`
pub(in crate::http) async fn field_values(
    State(state): State<Arc<AppState>>,
    ReadTenants(tenants): ReadTenants,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let request = Request::from_params(&params)?;
    let body = work::run(&state, tenants, move |state, ticket| {
        let streams = request.lines(state, ticket)?;
        let values = values::of_field(&streams, &name, request.limit, ticket)?;
        Ok(encode::detected_values(&values, request.limit))
    });
    Ok(json(body.await?))
}
