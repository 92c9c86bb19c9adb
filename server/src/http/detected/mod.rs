//! What there is to ask for: labels worth filtering by, and the fields that lines turn out to have.

mod collect;
mod fields;
mod labels;
mod values;

pub(super) use self::fields::{field_values, fields};
pub(super) use self::labels::labels;
