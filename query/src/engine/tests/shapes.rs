//! Random parsers over lines of random shapes: values tell what lines tell.
//!
//! `TIMBERLINE_SEED` says with which seed. A failure prints it and the query.

use super::projection::{answer, fixtures, line};
use super::random::Random;
use super::support::{Fixture, SECOND};

fn seed(otherwise: u64) -> u64 {
    let seed = std::env::var("TIMBERLINE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(otherwise);
    println!("seed {seed}");
    seed
}

/// Whether a query found something. It finds the same in both.
fn is_answered([stored, in_memory]: &[Fixture; 2], query: &str, seed: u64) -> bool {
    let (left, right) = (answer(stored, query), answer(in_memory, query));
    assert_eq!(left, right, "seed {seed}, {query}");
    left.is_ok_and(|series| series.len() > 1)
}

/// A pattern with some texts of a line in it, between captures of which up to two have names.
fn pattern(line: &str, random: &mut Random) -> String {
    let mut pattern = String::new();
    let mut names = ["a", "b"].into_iter();
    let mut rest = line;
    if random.below(2) == 0 {
        let (prefix, behind) = rest.split_at(rest.floor_char_boundary(random.below(4) as usize));
        pattern.push_str(prefix);
        rest = behind;
    }
    for _ in 0..=random.below(4) {
        let name = if random.below(2) == 0 { names.next() } else { None };
        pattern.push_str(&format!("<{}>", name.unwrap_or("_")));
        let start = rest.floor_char_boundary(random.below(30) as usize);
        let end = rest.floor_char_boundary(start + 1 + random.below(3) as usize);
        if start == end {
            break;
        }
        pattern.push_str(&rest[start..end]);
        rest = &rest[end..];
    }
    // One that has no name is refused.
    if names.len() == 2 { pattern.replacen("<_>", "<a>", 1) } else { pattern }
}

#[test]
fn patterns_cut_out_of_values_what_they_cut_out_of_lines() {
    let seed = seed(23);
    let mut random = Random(seed);
    let fixtures = fixtures(&mut random);
    let mut answered = 0;
    for number in 0..300 {
        let kind = [0, 1, 2, 8][number % 4];
        let pattern = pattern(&line(kind, &mut random), &mut random);
        let labels = ["a", "b", "a, b"][random.below(3) as usize];
        let query = format!(
            "sum by ({labels}) (count_over_time({{job=\"j{kind}\"}} | pattern `{pattern}` [20s]))"
        );
        answered += usize::from(is_answered(&fixtures, &query, seed));
    }
    assert!(answered > 100, "{answered} queries found something");
}

#[test]
fn an_empty_line_has_no_captures() {
    let mut fixtures = [(); 2].map(|()| Fixture::new());
    for number in 0..60 {
        let line = ["", "5", "7"][(number % 3) as usize];
        let push =
            |fixture: &mut Fixture| fixture.push(&[("job", "e")], number * SECOND, line, &[]);
        fixtures.iter_mut().for_each(push);
    }
    fixtures[0].store.flush().unwrap();
    for pattern in ["<n>", "<n> <_>"] {
        let query = format!(
            "sum by (n) (count_over_time({{job=\"e\"}} | pattern `{pattern}` | n != ip(\"10.0.0.0/8\") [9s]))"
        );
        assert!(is_answered(&fixtures, &query, 0), "{query}");
    }
}

/// Names of members, some of which give the same label.
const NAMES: [&str; 7] = ["a", "b", "a_b", "a.b", "status", "c", "job"];

/// What the values of a name look like in all lines of a shape.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Number,
    Negative,
    Decimal,
    Padded,
    Word,
    Words,
    Fixed,
    Bool,
    Null,
    Empty,
    Escaped,
    /// A backslash before what is now an escape, now none.
    Backslash,
    Unicode,
    Array,
    Object,
}

impl Kind {
    fn random(random: &mut Random) -> Self {
        // The usual ones more often.
        match random.below(28) {
            0..=4 => Self::Number,
            5 => Self::Negative,
            6..=8 => Self::Decimal,
            9 | 10 => Self::Padded,
            11..=13 => Self::Word,
            14 | 15 => Self::Words,
            16 | 17 => Self::Fixed,
            18 => Self::Bool,
            19 => Self::Null,
            20 => Self::Empty,
            21 => Self::Escaped,
            26 | 27 => Self::Backslash,
            22 => Self::Unicode,
            23 => Self::Array,
            _ => Self::Object,
        }
    }

    /// A value as it stands in an object.
    fn value(self, random: &mut Random) -> String {
        let number = random.below(100);
        match self {
            Self::Number => format!("{number}"),
            Self::Negative => format!("-{number}"),
            Self::Decimal => format!("{}.{:02}", random.below(9), number),
            Self::Padded => format!("{number:03}"),
            Self::Word => format!("\"w{number}\""),
            Self::Words => format!("\"GET /{number}?x={} y, {{z}}\"", random.below(9)),
            Self::Fixed => "\"same\"".to_owned(),
            Self::Bool => format!("{}", number < 50),
            Self::Null => "null".to_owned(),
            Self::Empty => {
                ["\"\"".to_owned(), format!("\"{number}\"")][(number % 2) as usize].clone()
            }
            Self::Escaped => format!("\"q\\\"{number}\\n\""),
            Self::Backslash => format!("\"q\\{}{number}\"", ["n", "t", "q"][(number % 3) as usize]),
            Self::Unicode => {
                format!("\"{}{number}\"", ["größe", "\u{fffd}"][(number % 2) as usize])
            }
            Self::Array => format!("[{number},{{\"a\":{number}}}]"),
            Self::Object => format!("{{\"b\":{number},\"a\":\"x{}\"}}", random.below(9)),
        }
    }
}

/// Names and kinds of values: what lines of one source have in common.
fn shape(random: &mut Random) -> Vec<(&'static str, Kind)> {
    let count = 1 + random.below(7);
    let mut name = || NAMES[random.below(NAMES.len() as u64) as usize];
    let names: Vec<_> = (0..count).map(|_| name()).collect();
    names.into_iter().map(|name| (name, Kind::random(random))).collect()
}

fn object(shape: &[(&str, Kind)], random: &mut Random) -> String {
    let blank = ["", " "][shape.len() % 2];
    let members = shape.iter().map(|(name, kind)| {
        let value = kind.value(random);
        format!("\"{name}\":{blank}{value}")
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(&format!(",{blank}")))
}

fn pairs(shape: &[(&str, Kind)], random: &mut Random) -> String {
    let pairs = shape.iter().map(|(name, kind)| format!("{name}={}", kind.value(random)));
    pairs.collect::<Vec<_>>().join(" ")
}

#[test]
fn parsers_find_in_values_what_they_find_in_lines() {
    let seed = seed(29);
    let mut random = Random(seed);
    let fixtures = [(); 2].map(|()| Fixture::new());
    let shapes: Vec<_> = (0..24).map(|_| shape(&mut random)).collect();
    let mut fixtures = fixtures;
    for (number, shape) in shapes.iter().enumerate() {
        for time in 0..80 {
            let line = match number % 2 {
                0 => object(shape, &mut random),
                _ => pairs(shape, &mut random),
            };
            let job = format!("s{number}");
            let own = [("job", job.as_str()), ("c", "stream")];
            let metadata: &[_] = if random.below(9) == 0 { &[("status", "meta")] } else { &[] };
            let push =
                |fixture: &mut Fixture| fixture.push(&own, time * SECOND / 2, &line, metadata);
            fixtures.iter_mut().for_each(push);
        }
    }
    fixtures[0].store.flush().unwrap();
    let mut answered = 0;
    for number in 0..shapes.len() {
        for _ in 0..8 {
            let mut name = || {
                ["a", "b", "a_b", "status", "c_extracted", "status_extracted", "a_a"]
                    [random.below(7) as usize]
            };
            let (one, other, filtered) = (name(), name(), name());
            let stage = match (number % 2, random.below(3)) {
                (0, 0) => "json a, b=`a.b`, status=`c[0]`, a_a=`[\"a.b\"]`",
                (0, _) => "json",
                (_, 0) => "logfmt a, b=status, status=`a.b`",
                (_, 1) => "logfmt --keep-empty",
                (_, _) => "logfmt --strict",
            };
            let filter = match random.below(3) {
                0 => String::new(),
                1 => format!("| {filtered} != \"\""),
                _ => format!("| {filtered} > 20"),
            };
            let query = format!(
                "sum by ({one}, {other}) (count_over_time({{job=\"s{number}\"}} | {stage} {filter} | __error__=\"\" [9s]))"
            );
            answered += usize::from(is_answered(&fixtures, &query, seed));
        }
    }
    assert!(answered > 20, "{answered} queries found something");
}
