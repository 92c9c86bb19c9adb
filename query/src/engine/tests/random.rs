//! Random entries and random queries over them.

use super::support::{Fixture, SECOND};

/// A small generator of numbers (splitmix64); the seed says all.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn seconds(&mut self, bound: u64) -> i64 {
        i64::try_from(self.below(bound)).unwrap() * SECOND
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// Between `least` and `most` texts, with `separator` between them.
    fn some(
        &mut self,
        least: u64,
        most: u64,
        separator: &str,
        of: fn(&mut Self) -> String,
    ) -> String {
        let count = least + self.below(most - least + 1);
        (0..count).map(|_| of(self)).collect::<Vec<_>>().join(separator)
    }
}

/// Entries of a few streams, in disorder, with equal times, some in segments and some in the head.
pub(super) fn fixture(random: &mut Random) -> Fixture {
    entries(random, false)
}

/// As [`fixture`]; some entries were pushed with an error. Metric queries that do not look at metadata
/// pass over those.
pub(super) fn fixture_with_errors(random: &mut Random) -> Fixture {
    entries(random, true)
}

fn entries(random: &mut Random, with_errors: bool) -> Fixture {
    let mut fixture = Fixture::new();
    for _ in 0..40 + random.below(100) {
        let stream =
            [("job", random.pick(&["a", "b", "c"])), ("env", random.pick(&["x", "y", ""]))];
        // Times on edges of windows, between them, and often the same.
        let time = random.seconds(120) + i64::try_from(random.below(3)).unwrap();
        let tier = random.pick(&["gold", "tin", "7", ""]);
        let line = line(random);
        let metadata: &[(&str, &str)] = match random.below(8) {
            0 => &[("tier", tier)],
            1 => &[("job", "meta"), ("tier", tier)],
            2 => &[("n", "4"), ("level", "meta")],
            3 if with_errors => &[("__error__", "Pushed"), ("__error_details__", "so")],
            _ => &[],
        };
        fixture.push(&stream, time, &line, metadata);
        if random.below(30) == 0 {
            fixture.store.flush().unwrap();
        }
    }
    fixture
}

/// Entries of a few streams whose lines have templates once they are flushed, which most are.
pub(super) fn fixture_of_templates(random: &mut Random) -> Fixture {
    let mut fixture = Fixture::new();
    let count = 300 + random.below(200);
    for number in 0..count {
        let kind = random.below(3);
        let stream = [("job", random.pick(&["a", "b"])), ("env", ["x", "y", ""][to_index(kind)])];
        let time = random.seconds(120) + i64::try_from(random.below(3)).unwrap();
        let line = if random.below(20) == 0 { line(random) } else { service_line(random, kind) };
        let tier = random.pick(&["gold", "7"]);
        let metadata: &[(&str, &str)] = match random.below(12) {
            0 => &[("tier", tier)],
            1 => &[("n", "4"), ("level", "meta")],
            2..=4 => &[("level", "warn")],
            _ => &[],
        };
        fixture.push(&stream, time, &line, metadata);
        if number == count - 50 {
            fixture.store.flush().unwrap();
        }
    }
    fixture
}

fn to_index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// What a service writes many of.
fn service_line(random: &mut Random, kind: u64) -> String {
    let (n, took, id) = (random.below(9), random.below(900), random.below(1 << 40));
    let level = random.pick(&["info", "info", "warn", "error"]);
    let ip = random.pick(&["10.0.0.7", "192.168.4.10", "1.2.3.4"]);
    match kind {
        0 => format!(
            r#"{{"level":"{level}","n":{n},"took":"{took}ms","ip":"{ip}","o":{{"a":{},"id":"{id:x}"}},"size":"{n}kB","job":"j{n}"}}"#,
            n % 3,
        ),
        1 => format!(
            "level={level} n={n} took={took}ms ip={ip} msg=\"id {id:x}\" size={n}B tier=t{n}"
        ),
        _ => format!("{ip} - \"GET /p/{id:x} HTTP/1.1\" {n} {took}ms"),
    }
}

/// A line: mostly what a parser knows, sometimes damaged.
fn line(random: &mut Random) -> String {
    let line = match random.below(10) {
        0..=2 => json(random),
        3..=5 => random.some(0, 6, " ", pair),
        6 => format!(
            "{} - \"{} /p/{} HTTP/1.1\" {} {}",
            random.pick(&["10.0.0.7", "192.168.4.10", "::1", "2001:db8::7", "1.2.3"]),
            random.pick(&["GET", "POST"]),
            random.below(4),
            random.pick(&["200", "404", "503"]),
            random.pick(&["12ms", "1.5s", "fast"]),
        ),
        7 => format!("\u{1b}[31m{}\u{1b}[0m {}", random.pick(&["error", "warn"]), pair(random)),
        8 => format!(
            r#"{{"_entry":{:?},"pod":"p{}","n":{},"job":"packed"}}"#,
            pair(random),
            random.below(3),
            random.below(9)
        ),
        _ => {
            random.pick(&["plain text", "", " ", "naïve café 日本 🚀", "[1,2]", "\"s\""]).to_owned()
        }
    };
    match random.below(8) {
        // Cut somewhere.
        0 => {
            let length = line.chars().count() as u64 + 1;
            line.chars().take(usize::try_from(random.below(length)).unwrap()).collect()
        }
        _ => line,
    }
}

fn value(random: &mut Random) -> String {
    random
        .pick(&[
            "1",
            "2",
            "3.5",
            "-4",
            "1e3",
            "NaN",
            "Inf",
            "x",
            "",
            "250ms",
            "1.5s",
            "2h",
            "3 kB",
            "1.5MiB",
            "17B",
            "10.0.0.7",
            "::1",
            "warn",
            "a b",
            "é\\n\\\"q\\\"",
            "\\u00e9",
            "\\q",
        ])
        .to_owned()
}

fn key(random: &mut Random) -> String {
    random
        .pick(&[
            "n", "n", "level", "took", "size", "ip", "job", "tier", "a.b", "1st", "x y", "msg",
            "env",
        ])
        .to_owned()
}

fn pair(random: &mut Random) -> String {
    let key = random.pick(&["n", "n", "level", "took", "size", "ip", "job", "tier", "a.b", "1st"]);
    match random.below(12) {
        0 => format!("{key}={}", random.pick(&["info", "warn", "error"])),
        1 => format!("{key}="),
        2 => key.to_owned(),
        3 => random.pick(&["=x", "n=1=2", "a\"b", "n=\"open", "n=\"1\"took=2s"]).to_owned(),
        4..=6 => format!("n={}", random.below(9)),
        _ => format!("{key}=\"{}\"", value(random)),
    }
}

fn json(random: &mut Random) -> String {
    let members = random.some(0, 5, ",", member);
    format!("{}{{{members}}}{}", random.pick(&["", "", " "]), random.pick(&["", "", " tail"]))
}

fn member(random: &mut Random) -> String {
    let key = key(random);
    match random.below(12) {
        0 => format!(r#""{key}": {{{}}}"#, random.some(0, 2, ", ", member)),
        1 => format!(r#""{key}":[1,{{{}}}]"#, random.some(0, 2, ",", member)),
        2 => format!(r#""{key}":{}"#, random.pick(&["null", "true", "false", "nope", "1e5x", "-"])),
        3..=6 => format!(r#""n":{}"#, random.below(9)),
        7 => format!(r#""level":"{}""#, random.pick(&["info", "warn", "error"])),
        8 => format!(r#""o":{{"a":{},"b":[{{"c":"deep"}}]}}"#, random.below(3)),
        _ => format!(r#""{key}":"{}""#, value(random)),
    }
}

/// A name of a label that may be there.
fn label(random: &mut Random) -> String {
    random
        .pick(&[
            "n",
            "n",
            "n",
            "level",
            "level",
            "took",
            "size",
            "ip",
            "job",
            "env",
            "tier",
            "a_b",
            "_1st",
            "o_a",
            "x",
            "y",
            "pod",
            "job_extracted",
            "n_extracted",
            "__error__",
        ])
        .to_owned()
}

/// A name that a stage may set.
fn target(random: &mut Random) -> String {
    random.pick(&["n", "x", "y", "level", "job", "tier", "new"]).to_owned()
}

fn regex(random: &mut Random) -> &'static str {
    random.pick(&["info|warn", "w.*", ".+", ".*", "", "[0-9]+", "(?i)WARN", "a|b", "x"])
}

fn matcher(random: &mut Random) -> String {
    let label = label(random);
    match random.below(4) {
        0 => format!("{label}=~`{}`", regex(random)),
        1 => format!("{label}!~`{}`", regex(random)),
        2 => format!("{label}!=\"{}\"", random.pick(&["", "warn", "a", "3"])),
        _ => format!("{label}=\"{}\"", random.pick(&["", "warn", "a", "gold", "3", "meta"])),
    }
}

fn condition(random: &mut Random) -> String {
    let label = label(random);
    let comparison = random.pick(&["=", "==", "!=", ">", ">=", "<", "<="]);
    match random.below(7) {
        0 | 1 => format!("{label}{comparison}{}", random.pick(&["3", "0", "-1", "1e3", "4.5"])),
        2 => format!("{label}{comparison}{}", random.pick(&["250ms", "1h", "1d", "-1s"])),
        3 => format!("{label}{comparison}{}", random.pick(&["17B", "3KB", "1MiB"])),
        4 => format!("{label}{}ip(\"{}\")", random.pick(&["=", "!="]), address(random)),
        _ => matcher(random),
    }
}

fn address(random: &mut Random) -> &'static str {
    random.pick(&["10.0.0.0/8", "10.0.0.7", "192.168.4.1-192.168.4.99", "::1", "2001:db8::/32"])
}

fn label_filter(random: &mut Random) -> String {
    let mut filter = condition(random);
    for _ in 0..random.below(3) {
        let next = condition(random);
        filter = match random.below(3) {
            0 => format!("({filter}) {} {next}", random.pick(&["and", "or", ",", ""])),
            _ => format!("{filter} {} {next}", random.pick(&["and", "or", ",", ""])),
        };
    }
    filter
}

fn line_filter(random: &mut Random) -> String {
    match random.below(10) {
        0 => format!("|= ip(\"{}\")", address(random)),
        1 => format!("!= ip(\"{}\")", address(random)),
        2 => "|= \"error\" or ip(\"10.0.0.7\") or \"n=\"".to_owned(),
        3 => format!("|~ `{}`", random.pick(&["n=[0-4]", "(?i)GET", ".*warn.*", "GET|POST", ".+"])),
        4 => format!("!~ `{}` or `^x`", random.pick(&["n=[0-4]", "err", "plain"])),
        5 => format!("|> `{}`", random.pick(&["<_>n<_>", "{<_>", "<_> <_>", "plain text", "<_>}"])),
        6 => "!> `<_>=<_>` or `{<_>`".to_owned(),
        7 => "!= \"zzz\" or \"plain\"".to_owned(),
        8 => format!("|= \"{}\" or \"tier\" or \"\"", random.pick(&["n", "warn"])),
        _ => format!("|= \"{}\"", random.pick(&["n", "e", "", "error", "1"])),
    }
}

fn template(random: &mut Random) -> &'static str {
    random.pick(&[
        "{{.n}}",
        "{{.level}}",
        "{{.__error__}}",
        "n={{.n}} level={{.level | upper}}",
        "{{__line__}} end",
        "{{add .n 1}}",
        "{{if .n}}{{.job}}{{else}}none{{end}}",
        "{{div 6 .n}}",
        "{{.}}",
        "{\"n\":{{.n}},\"level\":\"{{.level}}\"}",
        "{{__timestamp__ | unixEpoch}}",
        "",
    ])
}

/// Each label once: which of two values it would get depends on their order in the line.
fn expressions(random: &mut Random) -> String {
    let mut all: Vec<(String, String)> = Vec::new();
    for _ in 0..=random.below(3) {
        let expression = expression(random);
        let name = expression.split('=').next().unwrap_or_default().to_owned();
        all.push((name, expression));
    }
    all.sort();
    all.dedup_by(|left, right| left.0 == right.0);
    all.into_iter().map(|(_, expression)| expression).collect::<Vec<_>>().join(", ")
}

fn expression(random: &mut Random) -> String {
    let path =
        random.pick(&["n", "o.a", "o[\"a\"]", "o.b[0].c", "o.b", "level", "o", "[0]", "missing"]);
    match random.below(3) {
        0 => random.pick(&["n", "level"]).to_owned(),
        _ => format!("{}={}", target(random), format_args!("`{path}`")),
    }
}

fn logfmt_expression(random: &mut Random) -> String {
    let key = random.pick(&["n", "level", "took", "missing", "a_b"]);
    format!("{}=\"{key}\"", target(random))
}

fn listed(random: &mut Random) -> String {
    if random.below(2) == 0 { label(random) } else { matcher(random) }
}

fn format_item(random: &mut Random) -> String {
    let target = target(random);
    match random.below(2) {
        0 => format!("{target}={}", label(random)),
        _ => format!("{target}=`{}`", template(random)),
    }
}

fn parser(random: &mut Random) -> String {
    match random.below(9) {
        0..=2 => "| json".to_owned(),
        3 => "| logfmt".to_owned(),
        4 => format!(
            "| logfmt {}",
            random.pick(&["", "--strict", "--keep-empty", "--strict --keep-empty"])
        ),
        5 => format!("| json {}", expressions(random)),
        6 => format!(
            "| logfmt {} {}",
            random.pick(&["", "--strict"]),
            random.some(1, 2, ", ", logfmt_expression)
        ),
        7 => format!(
            "| pattern `{}`",
            random.pick(&[
                "<ip> - \"<verb> <x> <_>\" <n> <took>",
                "n=<n> <_>",
                "<level> <n>",
                "<_>=<n>"
            ])
        ),
        _ => format!(
            "| regexp `{}`",
            random.pick(&["(?P<n>[0-9]+)", "(?P<level>warn|error)|(?P<n>[0-9])", "(?P<job>\\w+)"])
        ),
    }
}

fn stage(random: &mut Random) -> String {
    match random.below(12) {
        0..=2 => parser(random),
        3..=5 => format!("| {}", label_filter(random)),
        6 => line_filter(random),
        7 => random.pick(&["| unpack", "| decolorize"]).to_owned(),
        8 => format!("| line_format `{}`", template(random)),
        9 => format!("| label_format {}", random.some(1, 2, ", ", format_item)),
        10 => format!("| drop {}", random.some(1, 2, ", ", listed)),
        _ => format!("| keep {}", random.some(1, 3, ", ", listed)),
    }
}

/// A selector with stages.
pub(super) fn log_query(random: &mut Random) -> String {
    let selector = random.pick(&[
        r#"{job=~".+"}"#,
        r#"{job=~".+"}"#,
        r#"{job="a"}"#,
        r#"{job=~"a|b", env!="x"}"#,
        r#"{env="", job!=""}"#,
    ]);
    let filter = if random.below(3) == 0 { line_filter(random) } else { String::new() };
    let parser = if random.below(4) > 0 { parser(random) } else { String::new() };
    format!("{selector} {filter} {parser} {}", random.some(0, 3, " ", stage))
}

/// The stages that keep most queries from failing for a line that cannot be read.
fn forgiving(random: &mut Random) -> &'static str {
    random.pick(&[
        "",
        "| __error__=\"\"",
        "| __error__=\"\"",
        "| drop __error__, __error_details__",
    ])
}

fn grouping(random: &mut Random) -> String {
    match random.below(5) {
        0 => String::new(),
        1 => " by ()".to_owned(),
        2 => format!(" without ({})", random.some(0, 2, ", ", label)),
        _ => format!(" by ({})", random.some(1, 2, ", ", label)),
    }
}

/// A range aggregation.
fn range_aggregation(random: &mut Random) -> String {
    let window = random.pick(&["[10s]", "[7s]", "[1m]", "[10s] offset 15s", "[30s] offset -5s"]);
    let selection = format!("{} {}", log_query(random), forgiving(random));
    match random.below(9) {
        0..=3 => {
            let function =
                random.pick(&["count_over_time", "rate", "bytes_over_time", "bytes_rate"]);
            format!("{function}({selection} {window})")
        }
        4 => format!("absent_over_time({selection} {window})"),
        _ => unwrapped_aggregation(random, &selection, window),
    }
}

fn unwrapped_aggregation(random: &mut Random, selection: &str, window: &str) -> String {
    let unwrap = random.pick(&[
        "n",
        "n",
        "n",
        "duration(took)",
        "duration_seconds(took)",
        "bytes(size)",
        "tier",
        "o_a",
    ]);
    let filter = match random.below(4) {
        0 => format!("| {}", label_filter(random)),
        1 => "| n > 2".to_owned(),
        _ => "| __error__=``".to_owned(),
    };
    let inside = format!("{selection} | unwrap {unwrap} {filter} {window}");
    let grouping = grouping(random);
    match random.below(6) {
        0 => format!("sum_over_time({inside})"),
        1 => format!("rate({inside})"),
        2 => format!("rate_counter({inside})"),
        3 => format!(
            "quantile_over_time({}, {inside}){grouping}",
            random.pick(&["0.4", "0.99", "1", "2"])
        ),
        _ => {
            let function = random.pick(&[
                "avg_over_time",
                "min_over_time",
                "max_over_time",
                "first_over_time",
                "last_over_time",
                "stddev_over_time",
                "stdvar_over_time",
                "absent_over_time",
            ]);
            let grouping = if function.starts_with("absent") { "" } else { &grouping };
            format!("{function}({inside}){grouping}")
        }
    }
}

/// A metric query, with at most `depth` operations around each other.
pub(super) fn metric_query(random: &mut Random, depth: u32) -> String {
    if depth == 0 {
        return range_aggregation(random);
    }
    match random.below(10) {
        0 | 1 => range_aggregation(random),
        2..=4 => {
            let function =
                random.pick(&["sum", "sum", "avg", "min", "max", "count", "stddev", "stdvar"]);
            format!("{function}{} ({})", grouping(random), metric_query(random, depth - 1))
        }
        5 => {
            // Of what is sorted by its labels, so that it is clear which of equals come first.
            let function = random.pick(&["topk", "bottomk"]);
            let inner = range_aggregation(random);
            format!("{function}{} ({}, {inner})", grouping(random), 1 + random.below(3))
        }
        6 => format!("{}({})", random.pick(&["sort", "sort_desc"]), range_aggregation(random)),
        7 => format!(
            "label_replace({}, \"{}\", \"{}\", \"{}\", `{}`)",
            metric_query(random, depth - 1),
            target(random),
            random.pick(&["got-$1", "$0", "", "fixed"]),
            label(random),
            random.pick(&["(.*)", "(w)arn", "[a-z]+", "(?P<first>.).*"]),
        ),
        _ => operation(random, depth),
    }
}

fn operation(random: &mut Random, depth: u32) -> String {
    let left = metric_query(random, depth - 1);
    let arithmetic = ["+", "-", "*", "/", "%", "^", ">", "<= bool", "!=", "== bool", "<"];
    match random.below(4) {
        0 => format!("({left}) {} 3", random.pick(&arithmetic)),
        1 => format!("2 {} ({left})", random.pick(&arithmetic)),
        kind => {
            let right = match random.below(4) {
                0 => format!("vector({})", random.below(4)),
                // The same again, so that labels match.
                1 => left.clone(),
                _ => metric_query(random, depth - 1),
            };
            let is_set = kind == 2;
            let sets = ["and", "or", "unless"];
            let operator = if is_set { random.pick(&sets) } else { random.pick(&arithmetic) };
            let matching = match random.below(if is_set { 3 } else { 5 }) {
                0 => String::new(),
                1 => format!("on ({})", random.some(0, 2, ", ", label)),
                2 => format!("ignoring ({})", random.some(0, 2, ", ", label)),
                3 => format!("on (job) group_left ({})", random.some(0, 1, ", ", label)),
                _ => "on (env) group_right ()".to_owned(),
            };
            format!("({left}) {operator} {matching} ({right})")
        }
    }
}
