//! LogQL's syntax: text to tree and back.
//!
//! ```
//! use timberline_query::syntax::{Expr, parse};
//!
//! let expr = parse(r#"{app="shop"}|="paid"|json"#)?;
//! let Expr::Log(log) = &expr else { panic!("a log query") };
//! assert_eq!(log.stages.len(), 2);
//! assert_eq!(expr.to_string(), r#"{app="shop"} |= "paid" | json"#);
//!
//! let error = parse(r#"{app="shop"} |="#).unwrap_err();
//! assert!(error.to_string().starts_with("parse error at line 1"));
//! # Ok::<(), timberline_query::syntax::ParseError>(())
//! ```

mod ast;
mod display;
mod error;
mod format;
mod lexer;
mod names;
mod parser;
mod simplify;
mod validate;

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;

pub use ast::*;
pub use error::ParseError;

/// Parses and validates a query.
///
/// # Errors
/// The first thing that is wrong, in Loki's words.
pub fn parse(query: &str) -> Result<Expr, ParseError> {
    parser::parse(query)
}

/// Parses a bare stream selector, as `match[]` and the index endpoints take it.
///
/// # Errors
/// As [`parse`]; a pipeline or a metric query gives `only label matchers are supported`. A selector
/// whose matchers all accept the empty value, even `{}`, is fine here: see [`Selector::selects`].
pub fn parse_selector(query: &str) -> Result<Selector, ParseError> {
    parser::parse_selector(query)
}

/// Parses a selector with a pipeline or without, as delete requests take it.
///
/// # Errors
/// As [`parse`]; a metric query gives `only log selector is supported`. As for [`parse_selector`], a
/// selector may select everything.
pub fn parse_log(query: &str) -> Result<LogExpr, ParseError> {
    parser::parse_log(query)
}

/// Prints a query as Loki's `format_query` does.
///
/// What fits 100 bytes is on one line, the form that [`Expr`] displays. What does not is split, its
/// parts indented by two more spaces.
#[must_use]
pub fn format(expr: &Expr) -> String {
    format::format(expr)
}
