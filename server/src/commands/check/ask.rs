//! A query's numbers, once.

use crate::commands::Failure;
use crate::commands::answer::{QueryAnswer, Series, Value, label_text};
use crate::commands::client::{Answer, Client};

/// The series of a query now: labels as text, and the number.
///
/// # Errors
/// What is wrong, in words for whoever is on duty.
pub(super) fn ask(client: &mut Client, query: &str) -> Result<Vec<(String, f64)>, Failure> {
    read(&client.get("/loki/api/v1/query", &[("query", query)])?)
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
    Some((label_text(&series.labels), series.points.first()?.value))
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
        assert_eq!(series[0], (r#"{a="b", c="d"}"#.to_owned(), 2.5));
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
