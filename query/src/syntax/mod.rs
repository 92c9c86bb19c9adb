//! LogQL's syntax: text to tree and back.

mod ast;
mod error;

pub use ast::*;
pub use error::ParseError;

/// Parses and validates a query.
///
/// # Errors
/// The first thing that is wrong, in Loki's words.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    let _ = query;
    unimplemented!()
}

/// Parses a bare stream selector, as `match[]` and the index endpoints take it.
///
/// # Errors
/// As [`parse`]; a pipeline or a metric query gives `only label matchers are supported`. A selector
/// whose matchers all accept the empty value, even `{}`, is fine here: see [`Selector::selects`].
pub fn parse_selector(query: &str) -> Result<Selector, ParseError> {
    let _ = query;
    unimplemented!()
}

/// Prints a query as Loki's `format_query` does.
#[must_use]
pub fn format(expr: &Expr) -> String {
    let _ = expr;
    unimplemented!()
}
