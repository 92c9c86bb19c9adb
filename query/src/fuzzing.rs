//! Entrances for fuzzing: readers of texts that nobody vouches for. Not part of the interface.
//!
//! Each takes any bytes, and panics only where the crate breaks a promise.

use crate::syntax::{Expr, format, parse};

pub use crate::pipeline::fuzzing::{json_flatten, logfmt, pattern, template};

/// Parses the bytes as a query. Printed on one line or split, a query that parses is read back as it
/// was.
pub fn logql_parse(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(expr) = parse(text) else { return };
    if folds_to_no_number(&tree(&expr)) || names_a_sign(&tree(&expr)) {
        return;
    }
    let printed = expr.to_string();
    for form in [printed.as_str(), &format(&expr)] {
        let again = match parse(form) {
            Ok(again) => again,
            Err(error) if is_bound(&error.to_string()) => continue,
            Err(error) => panic!("{text:?} is printed as {form:?}, which does not parse: {error}"),
        };
        // Sizes are rounded when they are printed, so that the trees differ where there is one.
        assert_eq!(again.to_string(), printed, "{text:?} is printed as {form:?}");
        let (before, after) = (tree(&expr), tree(&again));
        assert!(before == after || before.contains("Bytes {"), "{form:?}: {before} became {after}");
    }
}

/// Whether literals were folded to what LogQL cannot write, as in `2 ^ 10000` or `0 / 0`. Printed as Loki
/// prints them, `+Inf`, `-Inf` and `NaN` are not read back.
fn folds_to_no_number(tree: &str) -> bool {
    ["(inf)", "(-inf)", "(NaN)"].iter().any(|value| tree.contains(value))
}

/// Whether a sign stands where a name is due, as in `| logfmt !`. Loki's scanner takes it for one; printed as Loki
/// prints it, `!="!"`, it reads back as an operator.
fn names_a_sign(tree: &str) -> bool {
    tree.split("name: \"").skip(1).any(|name| name.starts_with('!'))
}

/// Whether a query is refused for its size. Printing adds parentheses and blanks, and may thus make a
/// query too large that was not.
fn is_bound(error: &str) -> bool {
    error.contains("nests too deeply") || error.contains("input size too long")
}

/// The tree as text, without the spans.
fn tree(expr: &Expr) -> String {
    let debug = format!("{expr:?}");
    let mut pieces = debug.split("Span {");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |tree, piece| tree + piece.split_once('}').map_or("", |(_, rest)| rest))
}
