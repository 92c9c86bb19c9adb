use serde_json::Value;
use timberline_store::TenantId;

use super::super::budget::Budget;
use super::super::limits::IngestLimits;
use super::*;

fn bulk() -> Bulk {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let rules = FieldRules {
        time: names(&["@timestamp"]),
        message: names(&["message"]),
        labels: names(&["_index"]),
        job: "elasticsearch",
        ..FieldRules::default()
    };
    Bulk { rules, index: "of-path".to_owned() }
}

/// The answer's items, and the streams of what was added.
fn items(text: &str) -> Result<(Value, Vec<String>), DecodeError> {
    let (budget, limits) = (Budget::new(1 << 30), IngestLimits::default());
    let mut share = budget.share(&TenantId::default());
    let mut gathered = Gathered::new(&limits, &mut share);
    let items = bulk().read(text, || 7, &mut gathered)?;
    let (push, order) = gathered.finish();
    let streams = push.streams.iter().map(|stream| stream.labels.to_string()).collect();
    let body = answer(&items, &vec![None; order.len()], std::time::Duration::ZERO);
    Ok((serde_json::from_slice(&body).unwrap(), streams))
}

#[test]
fn actions_and_documents_take_turns() {
    let text = "{\"index\":{\"_index\":\"logs\",\"_id\":\"7\"}}\n{\"message\":\"a\"}\r\n\n\
        {\"create\":{}}\n{\"@timestamp\":\"2026-11-01T12:00:00.000Z\",\"n\":1}\n\
        {\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n\
        {\"create\":null}\nnot json\n{\"create\":{}}\n{\"@timestamp\":\"noon\",\"message\":\"x\"}\n";
    let (answer, streams) = items(text).unwrap();
    assert_eq!(streams, [r#"{index="logs"}"#, r#"{index="of-path"}"#]);
    assert_eq!(answer["errors"], true);
    let items = answer["items"].as_array().unwrap();
    let statuses: Vec<(&str, u64)> = items
        .iter()
        .map(|item| item.as_object().unwrap().iter().next().unwrap())
        .map(|(action, outcome)| (action.as_str(), outcome["status"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("index", 201),
        ("create", 201),
        ("delete", 400),
        ("update", 400),
        ("create", 400),
        ("create", 400),
    ];
    assert_eq!(statuses, expected);
    assert_eq!(items[0]["index"]["_id"], "7");
    assert_eq!(
        items[5]["create"]["error"]["reason"],
        "@timestamp is no time that is understood: \"noon\""
    );
}

#[test]
fn what_is_no_action_fails_the_request() {
    for (text, reason) in [
        ("{\"message\":\"a\"}\n", "found [message]"),
        ("{\"create\":{}}\n", "its document is missing"),
        ("{}\n{}\n", "found none"),
        ("[]\n{}\n", "Malformed action/metadata line [1]"),
        ("{\"create\":{},\"index\":{}}\n{}\n", "found several"),
        ("{\"create\":{\"_index\":7}}\n{}\n", "line [1]"),
    ] {
        let error = items(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert_eq!(items("").unwrap().0["items"], serde_json::json!([]));
}

#[test]
fn errors_of_requests_have_a_kind() {
    let body = error_body(StatusCode::TOO_MANY_REQUESTS, "slower");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["status"], 429);
    assert_eq!(body["error"]["type"], "es_rejected_execution_exception");
}

use ::http::StatusCode;
