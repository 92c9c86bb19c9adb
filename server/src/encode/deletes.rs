//! The list of delete requests.

use super::json::Json;

/// A delete request in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteEntry<'a> {
    /// What it is told by.
    pub id: String,
    /// From when, in whole seconds.
    pub start_seconds: i64,
    /// Until when, in whole seconds.
    pub end_seconds: i64,
    /// The query as it came.
    pub query: &'a str,
    /// How far it has come, in Loki's word.
    pub status: &'static str,
    /// When it came, in milliseconds.
    pub created_millis: i64,
}

/// The body of the list, which has no envelope. Times are numbers of seconds, as short as they can be.
#[must_use]
pub fn deletes(entries: &[DeleteEntry<'_>]) -> Vec<u8> {
    let mut out = Json::default();
    out.raw("[");
    for (index, entry) in entries.iter().enumerate() {
        out.comma(index);
        out.raw(r#"{"request_id":"#);
        out.text(&entry.id);
        out.raw(r#","start_time":"#);
        out.number(entry.start_seconds);
        out.raw(r#","end_time":"#);
        out.number(entry.end_seconds);
        out.raw(r#","query":"#);
        out.text(entry.query);
        out.raw(r#","status":"#);
        out.text(entry.status);
        out.raw(r#","created_at":"#);
        out.number(seconds(entry.created_millis));
        out.raw(r#","user_id":""}"#);
    }
    out.raw("]\n");
    out.into_bytes()
}

fn seconds(millis: i64) -> String {
    let text = format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_but_for_the_creation() {
        let entry = |created_millis| DeleteEntry {
            id: "00000007".to_owned(),
            start_seconds: 1_591_616_227,
            end_seconds: 1_591_619_692,
            query: r#"{a="b"}"#,
            status: "received",
            created_millis,
        };
        let text = String::from_utf8(deletes(&[entry(1_591_616_300_120)])).unwrap();
        let expected = concat!(
            r#"[{"request_id":"00000007","start_time":1591616227,"end_time":1591619692,"#,
            r#""query":"{a=\"b\"}","status":"received","created_at":1591616300.12,"user_id":""}]"#,
            "\n"
        );
        assert_eq!(text, expected);
        assert_eq!(
            (seconds(5000), seconds(5010), seconds(0)),
            ("5".into(), "5.01".into(), "0".into())
        );
        assert_eq!(deletes(&[]), b"[]\n");
    }
}
