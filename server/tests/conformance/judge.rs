//! Whether two answers say the same.
//!
//! Streams and series come in any order, and so do entries of one timestamp; numbers agree to within
//! 1e-9. Error texts are told apart from the rest: they must agree to the letter.

use std::collections::BTreeMap;

use serde_json::Value;

/// A recorded request with its answer.
#[derive(serde::Deserialize)]
pub struct Case {
    pub group: String,
    pub id: String,
    pub path: String,
    pub params: BTreeMap<String, String>,
    pub status: u16,
    pub json: Option<Value>,
    pub text: Option<String>,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The status is the same, and the JSON says the same.
    pub passes: bool,
    /// For errors, whether the text is the same.
    pub same_text: Option<bool>,
}

/// Holds an answer against the recorded one.
pub fn judge(case: &Case, status: u16, body: &str) -> Verdict {
    let passes = status == case.status;
    if let Some(text) = &case.text {
        return Verdict { passes, same_text: Some(passes && body.trim() == text.trim()) };
    }
    let want = case.json.as_ref().unwrap_or(&Value::Null);
    let got = serde_json::from_str(body).unwrap_or(Value::Null);
    Verdict { passes: passes && same_body(&case.path, want, &got), same_text: None }
}

fn same_body(path: &str, want: &Value, got: &Value) -> bool {
    if want["data"]["resultType"].is_string() {
        return want["status"] == got["status"] && same_result(&want["data"], &got["data"]);
    }
    if path.ends_with("/index/stats") {
        // Bytes and chunks depend on a store's own layout.
        return ["streams", "entries"].iter().all(|name| want[name] == got[name]);
    }
    canonical(want) == canonical(got)
}

fn same_result(want: &Value, got: &Value) -> bool {
    let kind = want["resultType"].as_str().unwrap_or_default();
    if want["resultType"] != got["resultType"] {
        return false;
    }
    if kind == "scalar" {
        return same_samples(&[want["result"].clone()], &[got["result"].clone()]);
    }
    let label = if kind == "streams" { "stream" } else { "metric" };
    let (Some(want), Some(got)) = (by_labels(label, want), by_labels(label, got)) else {
        return false;
    };
    want.len() == got.len()
        && want.iter().all(|(labels, want)| {
            got.get(labels).is_some_and(|got| match kind {
                "streams" => entries(want) == entries(got),
                "matrix" => same_samples(list(&want["values"]), list(&got["values"])),
                _ => same_samples(&[want["value"].clone()], &[got["value"].clone()]),
            })
        })
}

/// The series by their labels; `None` when two have the same, or one has none.
fn by_labels<'a>(label: &str, data: &'a Value) -> Option<BTreeMap<String, &'a Value>> {
    let series = list(&data["result"]);
    let keyed: BTreeMap<_, _> = series
        .iter()
        .map(|series| Some((sorted(series.get(label)?).to_string(), series)))
        .collect::<Option<_>>()?;
    (keyed.len() == series.len()).then_some(keyed)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Entries in order, with those of one timestamp as a sorted group.
fn entries(stream: &Value) -> Vec<(Value, Vec<String>)> {
    let mut groups: Vec<(Value, Vec<String>)> = Vec::new();
    for entry in list(&stream["values"]) {
        let rest = sorted(&Value::Array(list(entry).iter().skip(1).cloned().collect()));
        match groups.last_mut() {
            Some((time, group)) if *time == entry[0] => group.push(rest.to_string()),
            _ => groups.push((entry[0].clone(), vec![rest.to_string()])),
        }
    }
    for (_, group) in &mut groups {
        group.sort();
    }
    groups
}

fn same_samples(want: &[Value], got: &[Value]) -> bool {
    want.len() == got.len()
        && want
            .iter()
            .zip(got)
            .all(|(want, got)| close(&want[0], &got[0]) && close(&want[1], &got[1]))
}

fn close(want: &Value, got: &Value) -> bool {
    match (number(want), number(got)) {
        (Some(want), Some(got)) if want.is_nan() || got.is_nan() => want.is_nan() && got.is_nan(),
        (Some(want), Some(got)) => {
            let tolerance = (1e-9 * want.abs().max(got.abs())).max(1e-12);
            want == got || (want - got).abs() <= tolerance
        }
        _ => want == got,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// The value with the keys of its objects in order, so that equal values are equal texts.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        value => value.clone(),
    }
}

/// The value as a text in which lists are sorted and figures that depend on a store's layout are left out.
fn canonical(value: &Value) -> String {
    const LEFT_OUT: [&str; 5] = ["stats", "entries", "chunks", "bytes", "cardinality"];
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())).collect();
            let fields =
                fields.iter().map(|(name, value)| format!("{name:?}:{}", canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(canonical).collect();
            items.sort();
            format!("[{}]", items.join(","))
        }
        value => value.to_string(),
    }
}
