//! Why a query has no answer.

use timberline_store::StoreError;

use crate::syntax::ParseError;

/// Why a query has no answer. The texts are Loki's where Loki has one; clients compare them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The query's text is wrong, or one of its stages cannot be built. The caller's fault.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The query is well-formed but asks for what is not allowed: a limit, a wrong type, a pipeline
    /// error in a metric query. The caller's fault.
    #[error("{0}")]
    Refused(String),
    /// It took longer than it may.
    #[error(
        "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed"
    )]
    Timeout,
    /// The caller went away.
    #[error("the request was cancelled by the client")]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
