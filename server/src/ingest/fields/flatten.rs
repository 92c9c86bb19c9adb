//! JSON objects as flat fields: `{"a":{"b":1}}` is `a.b`. Numbers and lists keep their text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::json::Text;
use super::super::push::Pair;

/// Objects within objects, beyond which they stay as they are. No log has more on purpose.
const DEPTH_MAX: usize = 16;

/// The longest name that objects within are still taken apart below: names are repeated for each of
/// their fields.
const NAME_BYTES_MAX: usize = 256;

/// Appends the fields of an object. `null` is no field.
///
/// # Errors
/// A text that is no JSON object.
pub(crate) fn flatten<'a>(
    object: &'a str,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), serde_json::Error> {
    flatten_below("", object, 0, out)
}

fn flatten_below<'a>(
    prefix: &str,
    object: &'a str,
    depth: usize,
    out: &mut Vec<Pair<'a>>,
) -> Result<(), serde_json::Error> {
    let mut input = serde_json::Deserializer::from_str(object);
    serde::Deserializer::deserialize_map(&mut input, Fields { prefix, depth, out })?;
    input.end()
}

/// The text that a JSON string stands for; other values as they are written.
fn text_of(value: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    if value.starts_with('"') {
        return serde_json::from_str::<Text<'_>>(value).map(|text| text.0);
    }
    Ok(Cow::Borrowed(value))
}

struct Fields<'p, 'o, 'a> {
    prefix: &'p str,
    depth: usize,
    out: &'o mut Vec<Pair<'a>>,
}

impl<'de> Visitor<'de> for Fields<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let value = map.next_value::<&'de RawValue>()?.get();
            let name = match self.prefix {
                "" => key,
                prefix => Cow::Owned(format!("{prefix}.{key}")),
            };
            let is_deep = self.depth >= DEPTH_MAX || name.len() > NAME_BYTES_MAX;
            match value.as_bytes().first() {
                Some(b'n') => {}
                Some(b'{') if !is_deep => {
                    flatten_below(&name, value, self.depth + 1, self.out)
                        .map_err(A::Error::custom)?;
                }
                _ => self.out.push((name, text_of(value).map_err(A::Error::custom)?)),
            }
        }
        Ok(())
    }
}
