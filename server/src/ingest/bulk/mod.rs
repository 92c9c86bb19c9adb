//! Elasticsearch's bulk requests: lines of JSON, an action and its document by turns.

mod answer;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use timberline_store::Timestamp;

pub(crate) use self::answer::{answer, error_body};

use super::fields::{FieldRules, Gathered, flatten};
use super::json::Text;
use super::push::DecodeError;

/// The field that has the index.
const INDEX_FIELD: &str = "_index";

/// What an item may take up in the answer, in bytes: it counts against the request.
const ITEM_BYTES: usize = 256;

/// How to read a bulk request.
#[derive(Clone, Debug)]
pub(crate) struct Bulk {
    /// Which field is what; `_index` may be a label.
    pub(crate) rules: FieldRules,
    /// The index of actions that name none: that of the path.
    pub(crate) index: String,
}

/// An action that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "index" => Self::Index,
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// An action and what became of it before the store was asked.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    action: Action,
    index: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It is the entry that was added as this one.
    Added(usize),
    /// It cannot be done: Elasticsearch's word for it, and why.
    Refused(&'static str, String),
}

impl Bulk {
    /// Reads a request and adds its documents.
    ///
    /// # Errors
    /// Lines that are no actions: what follows them cannot be told apart. Nothing is stored then.
    pub(crate) fn read<'a>(
        &self,
        text: &'a str,
        stamp: impl Fn() -> Timestamp,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<Vec<Item<'a>>, DecodeError> {
        let mut items = Vec::new();
        let mut lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
        while let Some((number, line)) = lines.next() {
            let malformed = |what: &dyn fmt::Display| {
                let text = format!("Malformed action/metadata line [{}], {what}", number + 1);
                DecodeError::malformed(text)
            };
            let ActionLine(action, target) =
                serde_json::from_str(line).map_err(|error| malformed(&error))?;
            let index = target.index.map_or_else(|| Cow::from(self.index.clone()), |text| text.0);
            out.charge(ITEM_BYTES + index.len())?;
            let outcome = match action {
                Action::Delete => refused("delete"),
                _ => {
                    let (_, document) =
                        lines.next().ok_or_else(|| malformed(&"its document is missing"))?;
                    match action {
                        Action::Update => refused("update"),
                        _ => self.add(document, &index, &stamp, out)?,
                    }
                }
            };
            items.push(Item { action, index, id: target.id.map(|text| text.0), outcome });
        }
        Ok(items)
    }

    /// Adds a document. One that is none is its own fault, not the request's.
    fn add<'a>(
        &self,
        document: &'a str,
        index: &str,
        stamp: impl FnOnce() -> Timestamp,
        out: &mut Gathered<'a, '_, '_>,
    ) -> Result<Outcome, DecodeError> {
        let mut fields = Vec::new();
        let document = document.trim();
        if let Err(error) = flatten(document, &mut fields) {
            let text = format!("failed to parse: {error}");
            return Ok(Outcome::Refused("document_parsing_exception", text));
        }
        if !index.is_empty() && self.rules.labels.iter().any(|label| label == INDEX_FIELD) {
            fields.push((INDEX_FIELD.into(), Cow::Owned(index.to_owned())));
        }
        match self.rules.add(&mut fields, || document.into(), stamp, out) {
            Ok(()) => Ok(Outcome::Added(out.len() - 1)),
            Err(DecodeError::Malformed(text)) => {
                Ok(Outcome::Refused("document_parsing_exception", text))
            }
            Err(error) => Err(error),
        }
    }
}

fn refused(action: &str) -> Outcome {
    let text =
        format!("{action} is not possible: stored entries do not change; send index or create");
    Outcome::Refused("illegal_argument_exception", text)
}

/// `{"create":{"_index":"i","_id":"1"}}`
struct ActionLine<'a>(Action, Target<'a>);

#[derive(Default, Deserialize)]
struct Target<'a> {
    #[serde(borrow, rename = "_index", default)]
    index: Option<Text<'a>>,
    #[serde(borrow, rename = "_id", default)]
    id: Option<Text<'a>>,
}

impl<'de> Deserialize<'de> for ActionLine<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(ActionVisitor)
    }
}

struct ActionVisitor;

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = ActionLine<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one of index, create, update and delete")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error as _;
        let name = map.next_key::<Text<'de>>()?;
        let name = name.ok_or_else(|| A::Error::custom("expected an action, found none"))?.0;
        let action = Action::of(&name).ok_or_else(|| {
            A::Error::custom(format!("expected index, create, update or delete, found [{name}]"))
        })?;
        let target = map.next_value::<Option<Target<'de>>>()?.unwrap_or_default();
        if map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("expected one action, found several"));
        }
        Ok(ActionLine(action, target))
    }
}
