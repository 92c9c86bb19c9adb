use super::*;

const S: i64 = NANOS_PER_SECOND;

fn params(pairs: &[(&str, &str)]) -> Params {
    Params(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

fn text<T: std::fmt::Debug>(result: Result<T, ParamError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn times_in_every_notation() {
    for (text, nanos) in [
        ("", 7),
        ("1793538000", 1_793_538_000 * S),
        ("1793538000000000000", 1_793_538_000 * S),
        ("1793538000000", 1_793_538_000_000),
        ("4000000000", 4_000_000_000 * S),
        ("-5", -5 * S),
        ("1.5", 1_500_000_000),
        ("1793538000.1234", 1_793_538_000 * S + 123 * NANOS_PER_MILLI),
        ("-1.5", -1_500_000_000),
        ("1970-01-01T00:00:01Z", S),
        ("2024-02-29T12:00:00.5Z", 1_709_208_000 * S + S / 2),
        ("2024-02-29T14:00:00+02:00", 1_709_208_000 * S),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2000-03-01T00:00:00-00:30", 951_868_800 * S + 1800 * S),
    ] {
        assert_eq!(time::parse(text, 7), Ok(nanos), "{text}");
    }
}

#[test]
fn wrong_times_are_refused_in_gos_words() {
    for (input, reason) in [
        ("zzz", "\"zzz\": invalid syntax"),
        ("-", "\"-\": invalid syntax"),
        ("1e18", "\"1e18\": invalid syntax"),
        ("99999999999999999999", "\"99999999999999999999\": value out of range"),
        ("2023-02-29T00:00:00Z", "\"2023-02-29T00:00:00Z\": invalid syntax"),
        ("2024-01-01T24:00:00Z", "\"2024-01-01T24:00:00Z\": invalid syntax"),
        ("2024-01-01 00:00:00", "\"2024-01-01 00:00:00\": invalid syntax"),
        ("a\"\n\u{1}é", "\"a\\\"\\n\\x01é\": invalid syntax"),
    ] {
        let message = text(time::parse(input, 0));
        assert_eq!(message, format!("strconv.ParseInt: parsing {reason}"));
    }
}

#[test]
fn bounds_have_defaults() {
    let now = 1_793_538_000 * S;
    let of = |pairs: &[(&str, &str)]| {
        params(pairs).bounds(now).map(|bounds| (bounds.start - now, bounds.end - now))
    };
    assert_eq!(of(&[]), Ok((-3600 * S, 0)));
    assert_eq!(of(&[("since", "1m")]), Ok((-60 * S, 0)));
    assert_eq!(of(&[("end", "1793537000")]), Ok((-4600 * S, -1000 * S)));
    assert_eq!(of(&[("end", "1793539000")]), Ok((-3600 * S, 1000 * S)));
    assert_eq!(of(&[("start", "1793537990"), ("since", "1d")]), Ok((-10 * S, 0)));
    assert_eq!(
        text(of(&[("start", "x")])),
        "could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax"
    );
    assert_eq!(
        text(of(&[("since", "1.5h")])),
        "could not parse 'since' parameter: not a valid duration string: \"1.5h\""
    );
    let reversed = Bounds { start: 2, end: 1 };
    assert_eq!(text(reversed.ordered()), "end timestamp must not be before or equal to start time");
    assert!(Bounds { start: 1, end: 1 }.ordered().is_ok());
}

#[test]
fn steps_and_intervals() {
    let bounds = Bounds { start: 0, end: 3600 * S };
    let step = |text: &str| params(&[("step", text)]).step(bounds);
    for (text, nanos) in [
        ("", 14 * S),
        ("300", 300 * S),
        ("0.5", S / 2),
        ("1e2", 100 * S),
        ("15000ms", 15 * S),
        ("1h30m", 5400 * S),
    ] {
        assert_eq!(step(text), Ok(nanos), "{text}");
    }
    assert_eq!(text(step("1.5s")), "cannot parse \"1.5s\" to a valid duration");
    assert_eq!(text(step("1m1h")), "cannot parse \"1m1h\" to a valid duration");
    assert!(text(step("1e300")).ends_with("It overflows int64"));
    assert!(text(step("NaN")).ends_with("It overflows int64"));
    for zero in ["0", "-5"] {
        assert!(text(step(zero)).starts_with("zero or negative query resolution"));
    }
    assert!(text(step("0.1")).starts_with("exceeded maximum resolution of 11,000 points"));
    assert_eq!(params(&[]).interval(), Ok(0));
    assert_eq!(params(&[("interval", "10m")]).interval(), Ok(600 * S));
    assert_eq!(text(params(&[("interval", "-1")]).interval()), "interval must be >= 0");
    assert_eq!(
        text(params(&[("interval", "-1s")]).interval()),
        "cannot parse \"-1s\" to a valid duration"
    );
}

#[test]
fn limits_and_directions() {
    let limit = |text: &str| params(&[("limit", text)]).limit();
    assert_eq!(limit(""), Ok(100));
    assert_eq!(limit("7"), Ok(7));
    assert_eq!(text(limit("0")), "limit must be a positive value");
    assert_eq!(text(limit("-1")), "limit must be a positive value");
    assert_eq!(text(limit("x")), "strconv.Atoi: parsing \"x\": invalid syntax");
    assert_eq!(params(&[("limit", "0")]).volume_limit(), Ok(100));
    let direction = |text: &str| params(&[("direction", text)]).direction();
    assert_eq!(direction(""), Ok(Direction::Backward));
    assert_eq!(direction("FORWARD"), Ok(Direction::Forward));
    assert_eq!(text(direction("sideways")), "invalid direction 'sideways'");
}

#[test]
fn durations_keep_their_order() {
    let days_373_and_an_hour = (373 * 24 + 1) * 3600 * S;
    assert_eq!(duration::parse("1y1w1d1h1m1s1ms"), Ok(days_373_and_an_hour + 61 * S + 1_000_000));
    for text in ["", "5", "1s1m", "1m1m", "ms", "1.5h", "1h ", "99999999999y"] {
        assert!(duration::parse(text).is_err(), "{text}");
    }
}

#[test]
fn first_values_and_all_values() {
    let params = params(&[("match[]", "b"), ("x", "1"), ("match", "a"), ("x", "2")]);
    assert_eq!(params.first("x"), "1");
    assert_eq!(params.first("y"), "");
    assert_eq!(params.all(&["match", "match[]"]).collect::<Vec<_>>(), ["a", "b"]);
}
