//! Attributes as pairs of names and texts: maps are taken apart, names normalised.

use std::borrow::Cow;

use super::super::metadata::normalize_name;
use super::super::proto::opentelemetry::proto::common::v1::KeyValue;
use super::super::proto::opentelemetry::proto::common::v1::any_value::Value;
use super::super::push::{DecodeError, Pair};
use super::value;

/// Appends an attribute's pairs: one, or those of a map as `name_key`.
pub(super) fn flatten<'a>(
    attribute: &'a KeyValue,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), DecodeError> {
    add(Cow::Borrowed(&attribute.key), attribute, out)
}

fn add<'a>(
    name: Cow<'a, str>,
    attribute: &'a KeyValue,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), DecodeError> {
    let name = normalized(name)?;
    let any = attribute.value.as_ref();
    if let Some(Value::KvlistValue(map)) = any.and_then(|any| any.value.as_ref()) {
        for inner in &map.values {
            add(Cow::Owned(format!("{name}_{}", inner.key)), inner, out)?;
        }
        return Ok(());
    }
    out.push((name, value::text(any)));
    Ok(())
}

/// The name in the form that metadata and labels have.
pub(super) fn normalized(mut name: Cow<'_, str>) -> Result<Cow<'_, str>, DecodeError> {
    if name.is_empty() {
        return Err(DecodeError::malformed("an attribute has an empty name"));
    }
    normalize_name(&mut name).map_err(|error| DecodeError::malformed(error.to_string()))?;
    Ok(name)
}
