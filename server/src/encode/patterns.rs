//! Mined patterns.

use timberline_query::patterns::Pattern;

use super::json::Json;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The body of `patterns`. `data` is always there; times are whole seconds.
#[must_use]
pub fn patterns(patterns: &[Pattern]) -> Vec<u8> {
    let mut out = Json::default();
    out.raw(r#"{"status":"success","data":["#);
    for (index, Pattern { pattern, level, samples }) in patterns.iter().enumerate() {
        out.comma(index);
        out.raw(r#"{"pattern":"#);
        out.text(pattern);
        out.raw(r#","level":"#);
        out.text(level);
        out.raw(r#","samples":["#);
        for (index, (begin, count)) in samples.iter().enumerate() {
            out.comma(index);
            out.raw("[");
            out.number(begin.div_euclid(NANOS_PER_SECOND));
            out.raw(",");
            out.number(count);
            out.raw("]");
        }
        out.raw("]}");
    }
    out.raw("]}\n");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_pairs() {
        let found = Pattern {
            pattern: "took <_>".to_owned(),
            level: "info".to_owned(),
            samples: vec![(10 * NANOS_PER_SECOND, 2), (20 * NANOS_PER_SECOND, 1)],
        };
        let expected = r#"{"status":"success","data":[{"pattern":"took \u003c_\u003e","level":"info","samples":[[10,2],[20,1]]}]}"#;
        assert_eq!(String::from_utf8(patterns(&[found])).unwrap().trim_end(), expected);
        assert_eq!(patterns(&[]), b"{\"status\":\"success\",\"data\":[]}\n");
    }
}
