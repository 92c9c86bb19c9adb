//! What a bulk request is answered, and errors as Elasticsearch has them.

use std::time::Duration;

use ::http::StatusCode;
use serde_json::{Value, json};

use super::super::error::PushError;
use super::{Item, Outcome};

/// The longest reason that an item is given, in bytes. A label may be long, and there may be many items.
const REASON_BYTES_MAX: usize = 200;

/// The body of the answer. `refusals` has what the store's checks said of each entry.
pub(crate) fn answer(
    items: &[Item<'_>],
    refusals: &[Option<PushError>],
    took: Duration,
) -> Vec<u8> {
    let has_errors = items.iter().any(|item| match item.outcome {
        Outcome::Added(entry) => refusals[entry].is_some(),
        Outcome::Refused(..) => true,
    });
    let took = took.as_millis();
    let mut body = format!("{{\"took\":{took},\"errors\":{has_errors},\"items\":[").into_bytes();
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        let outcome = match &item.outcome {
            Outcome::Refused(kind, text) => refused(StatusCode::BAD_REQUEST, kind, text),
            Outcome::Added(entry) => match &refusals[*entry] {
                Some(error) => refused(error.status, kind_of(error.status), &error.text),
                None => stored(),
            },
        };
        // Writing to a vector cannot fail.
        let _ = serde_json::to_writer(&mut body, &item.named(outcome));
    }
    body.extend_from_slice(b"]}");
    body
}

impl Item<'_> {
    fn named(&self, mut outcome: Value) -> Value {
        outcome["_index"] = Value::from(&*self.index);
        // Where the client gave none there is none to tell; clients read it all the same.
        outcome["_id"] = Value::from(self.id.as_deref().unwrap_or_default());
        json!({ self.action.as_str(): outcome })
    }
}

fn stored() -> Value {
    json!({ "_version": 1, "result": "created", "status": 201 })
}

fn refused(status: StatusCode, kind: &str, text: &str) -> Value {
    let end = (0..=text.len().min(REASON_BYTES_MAX)).rev().find(|&end| text.is_char_boundary(end));
    let reason = &text[..end.unwrap_or(0)];
    json!({ "status": status.as_u16(), "error": { "type": kind, "reason": reason } })
}

/// The body of an answer that refuses the request as a whole.
pub(crate) fn error_body(status: StatusCode, text: &str) -> Vec<u8> {
    let cause = json!({ "type": kind_of(status), "reason": text });
    let body = json!({
        "error": { "root_cause": [cause], "type": kind_of(status), "reason": text },
        "status": status.as_u16(),
    });
    body.to_string().into_bytes()
}

/// Elasticsearch's word for a status.
fn kind_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
        StatusCode::PAYLOAD_TOO_LARGE => "content_too_long_exception",
        StatusCode::NOT_FOUND => "resource_not_found_exception",
        status if status.is_server_error() => "unavailable_shards_exception",
        _ => "illegal_argument_exception",
    }
}
