//! The text conventions of Go that Loki's clients see: quoting, durations, sizes, floats, regexes.
//!
//! Error messages and printed numbers of Loki come from Go's standard library and two small
//! packages. Queries, results and error labels have to read the same, so the few functions that
//! matter are written anew here from their documented behaviour.

mod duration;
mod float;
mod quote;
mod regex;
mod size;
pub(crate) mod unicode;

pub(crate) use self::duration::format_duration;
pub use self::duration::{format_prometheus_duration, parse_duration, parse_prometheus_duration};
pub(crate) use self::float::{format_float, format_float_v, parse_float};
pub(crate) use self::quote::{quote, quote_bytes};
pub(crate) use self::regex::{compile_regex, compile_regex_str, group_names, translate_regex};
pub use self::size::format_binary_bytes;
pub(crate) use self::size::{format_bytes, parse_bytes};
