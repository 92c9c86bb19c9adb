//! Asks a server for a query's numbers, once.

use ::http::Request;
use bytes::Bytes;

use crate::commands::answer::{LabelSet, QueryAnswer, Series, Value};
use crate::commands::client::{Answer, Remote, headers};
use crate::commands::{Failure, Target};

/// The series of a query now: labels as text, and the number.
///
/// # Errors
/// What is wrong, in words for whoever is on duty.
pub(super) async fn ask(target: &Target, query: &str) -> Result<Vec<(String, f64)>, Failure> {
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
    let mut request = Request::new(Bytes::new());
    *request.headers_mut() = headers(target)?;
    let answer = Remote::new(target)?.send(request, &format!("/loki/api/v1/query?{form}")).await?;
    if !answer.status.is_success() {
        let text = format!("the server answers {}: {}", answer.status, answer.text());
        return Err(Failure::Failed(text));
    }
    read(&answer)
}

fn read(answer: &Answer) -> Result<Vec<(String, f64)>, Failure> {
    let kind = match QueryAnswer::decode(answer)?.value {
        Value::Vector(series) => return Ok(series.iter().filter_map(number).collect()),
        Value::Matrix(_) => "a matrix",
        Value::Entries(_) => "streams",
    };
    Err(Failure::usage(format!(
        "the query gives {kind}: a check needs numbers, as of count_over_time"
    )))
}

/// A vector's series have one number each.
fn number(series: &Series) -> Option<(String, f64)> {
    Some((labels(&series.labels), series.points.first()?.value))
}

/// `{a="b",c="d"}`
fn labels(labels: &LabelSet) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", crate::ingest::go_quote(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, f64)>, String> {
        let (status, headers) = (::http::StatusCode::OK, ::http::HeaderMap::new());
        let answer = Answer { status, headers, body: text.to_owned().into() };
        super::read(&answer).map_err(|failure| failure.to_string())
    }

    #[test]
    fn answers_are_read() {
        let vector = r#"{"data":{"resultType":"vector","result":[{"metric":{"a":"b","c":"d"},"value":[1,"2.5"]},{"metric":{},"value":[1,"NaN"]}]}}"#;
        let series = read(vector).unwrap();
        assert_eq!(series[0], (r#"{a="b",c="d"}"#.to_owned(), 2.5));
        assert!(series[1].0 == "{}" && series[1].1.is_nan());
        let scalar = r#"{"data":{"resultType":"scalar","result":[1,"7"]}}"#;
        assert_eq!(read(scalar), Ok(vec![("{}".to_owned(), 7.0)]));
        assert!(
            read(r#"{"data":{"resultType":"streams","result":[]}}"#)
                .unwrap_err()
                .contains("needs numbers")
        );
        for strange in ["", "[]", "<html>", r#"{"data":{"resultType":"vector","result":[{}]}}"#] {
            assert!(read(strange).unwrap_err().contains("is --addr right?"), "{strange}");
        }
    }
}
