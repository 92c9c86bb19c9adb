//! What queries are refused with, how they are understood, and that printing loses nothing.

use super::*;

/// `(query, message)`; `1:8 …` is at line 1, column 8, `- …` has no position.
type Refused = (&'static str, &'static str);

fn check_refused(table: &[Refused]) {
    for (query, expected) in table {
        let (place, message) = expected.split_once(' ').unwrap();
        let expected = match place.split_once(':') {
            Some((line, column)) => {
                format!("parse error at line {line}, col {column}: {message}")
            }
            None => format!("parse error : {message}"),
        };
        let got = parse(query).map(|expr| expr.to_string()).map_err(|error| error.to_string());
        assert_eq!(got, Err(expected), "{query}");
    }
}

#[test]
fn malformed_selectors_are_refused() {
    check_refused(&[
        ("", "- syntax error: unexpected $end"),
        ("#{app=\"foo\"} | json", "1:20 syntax error: unexpected $end"),
        ("{foo=\"bar}", "1:6 literal not terminated"),
        ("{foo='bar'}", "1:6 invalid char literal"),
        ("{foo='b'}", "1:6 syntax error: unexpected IDENTIFIER, expecting STRING"),
        ("{foo=\"\\d\"}", "1:6 invalid char escape"),
        ("{foo=\"bar\"", "1:11 syntax error: unexpected $end, expecting } or ,"),
        ("{foo=\"bar\",}", "1:12 syntax error: unexpected }, expecting IDENTIFIER"),
        ("{foo=\"bar\" baz=\"q\"}", "1:12 syntax error: unexpected IDENTIFIER, expecting } or ,"),
        ("{foo}", "1:5 syntax error: unexpected }, expecting = or =~ or !~ or !="),
        ("{foo==\"bar\"}", "0:5 syntax error: unexpected ==, expecting = or =~ or !~ or !="),
        ("{\"foo\"=\"bar\"}", "1:2 syntax error: unexpected STRING, expecting IDENTIFIER or }"),
        ("{a.b=\"c\"}", "1:3 syntax error: unexpected ., expecting = or =~ or !~ or !="),
        ("{by=\"b\"}", "1:2 syntax error: unexpected by, expecting IDENTIFIER or }"),
        ("{foo=\"bar\"}}", "1:12 syntax error: unexpected }"),
        ("{foo=\"bar\"} \"foo\"", "1:13 syntax error: unexpected STRING"),
        ("{foo=\"bar\"} foo", "1:13 syntax error: unexpected IDENTIFIER"),
        ("{\n  é\n", "3:1 syntax error: unexpected $end, expecting = or =~ or !~ or !="),
        ("{a=\"b\"} /* x", "1:9 comment not terminated"),
        ("{a=~\"(\"}", "- error parsing regexp: missing closing ): `(`"),
    ]);
}

#[test]
fn malformed_stages_are_refused() {
    check_refused(&[
        ("{a=\"b\"} |~", "1:11 syntax error: unexpected $end, expecting STRING or ip"),
        ("{a=\"b\"} |= foo", "1:12 syntax error: unexpected IDENTIFIER, expecting STRING or ip"),
        ("{a=\"b\"} != 5", "1:12 syntax error: unexpected NUMBER, expecting STRING or ip"),
        ("{a=\"b\"} |= \"a\" or", "1:18 syntax error: unexpected $end, expecting STRING or ip"),
        ("{a=\"b\"} |", "1:10 syntax error: unexpected $end"),
        ("{a=\"b\"} | foo = bar", "1:17 syntax error: unexpected IDENTIFIER"),
        ("{a=\"b\"} | foo == \"bar\"", "1:18 syntax error: unexpected STRING"),
        ("{a=\"b\"} | size > 1mb", "1:21 syntax error: unexpected $end"),
        ("{a=\"b\"}|logfmt|addr>=ip(\"1.2.3.4\")", "1:22 syntax error: unexpected ip"),
        (
            "{a=\"b\"} | line_format foo",
            "1:23 syntax error: unexpected IDENTIFIER, expecting STRING",
        ),
        ("{a=\"b\"} | label_format foo", "1:27 syntax error: unexpected $end, expecting ="),
        (
            "{a=\"b\"} | label_format foo=bar,",
            "1:32 syntax error: unexpected $end, expecting IDENTIFIER",
        ),
        ("{a=\"b\"} | drop", "1:15 syntax error: unexpected $end, expecting IDENTIFIER"),
        ("{a=\"b\"} | regexp", "1:17 syntax error: unexpected $end, expecting STRING"),
        ("{a=\"b\"} | json | pattern=\"x\"", "1:25 syntax error: unexpected =, expecting STRING"),
        ("{a=\"b\"} | json | unwrap foo", "1:18 syntax error: unexpected unwrap"),
        ("{a=\"b\"} | logfmt --foo", "1:20 syntax error: unexpected IDENTIFIER, expecting NUMBER"),
        (
            "{a=\"b\"} | json | level=\"e\" and",
            "1:31 syntax error: unexpected $end, expecting IDENTIFIER or (",
        ),
        ("({a=\"b\"} | json) | x=\"y\"", "1:18 syntax error: unexpected |"),
        ("{a=\"b\"}[5m]", "0:8 syntax error: unexpected RANGE"),
        (
            "{a=\"b\"} | regexp \"x\"",
            "- invalid regexp parser: at least one named capture must be supplied",
        ),
        (
            "{a=\"b\"} | regexp \"(?P<a>x)(?P<a>y)\"",
            "- invalid regexp parser: duplicate extracted label name 'a'",
        ),
        ("{a=\"b\"} | pattern \"x\"", "- invalid pattern parser: at least one capture is required"),
        (
            "{a=\"b\"} | pattern \"<a><b>\"",
            "- invalid pattern parser: found consecutive capture '<a><b>': invalid expression",
        ),
        (
            "{a=\"b\"} | pattern \"<a> <_> <a>\"",
            "- invalid pattern parser: duplicate capture name (a): invalid expression",
        ),
        (
            "{a=\"b\"} | pattern \"\"",
            "- invalid pattern parser: parse error at line 1, col 1: syntax error: unexpected $end, \
             expecting IDENTIFIER or LITERAL",
        ),
    ]);
}

#[test]
fn malformed_metrics_are_refused() {
    check_refused(&[
        ("unk({ foo = \"bar\" }[5m])", "1:1 syntax error: unexpected IDENTIFIER"),
        ("min({ foo = \"bar\" }[5m])", "0:20 syntax error: unexpected RANGE"),
        ("stddev({ foo = \"bar\" })", "1:23 syntax error: unexpected )"),
        ("rate({foo=\"bar\"})", "1:17 syntax error: unexpected )"),
        (
            "rate({ foo = \"bar\" }[5minutes])",
            "0:21 unknown unit \"minutes\" in duration \"5minutes\"",
        ),
        ("rate({ foo = \"bar\" }[5)", "0:21 missing closing ']' in duration"),
        ("rate({foo=\"bar\"}[5])", "0:17 not a valid duration string: \"5\""),
        ("rate({foo=\"bar\"}[])", "0:17 empty duration string"),
        ("rate({foo=\"bar\"}[5m]", "1:21 syntax error: unexpected $end, expecting )"),
        (
            "rate({foo=\"bar\"}[5m] offset 5)",
            "1:29 syntax error: unexpected NUMBER, expecting DURATION",
        ),
        ("rate({foo=\"bar\"}[5m]) offset 5m", "1:23 syntax error: unexpected offset"),
        ("sum by foo (rate({foo=\"bar\"}[5m]))", "1:1 syntax error: unexpected IDENTIFIER"),
        ("sum(rate({foo=\"bar\"}[5m])) by", "1:30 syntax error: unexpected $end, expecting ("),
        (
            "sum by (foo,) (rate({foo=\"bar\"}[5m]))",
            "1:13 syntax error: unexpected ), expecting IDENTIFIER",
        ),
        (
            "count without (rate({namespace=\"apps\"}[15s]))",
            "1:16 syntax error: unexpected RATE, expecting IDENTIFIER or )",
        ),
        ("topk(rate({foo=\"bar\"}[5m]), 5)", "1:27 syntax error: unexpected ,"),
        ("topk(-1, rate({job=\"a\"}[5m]))", "1:8 syntax error: unexpected ,"),
        (
            "bottomk(he,count_over_time({ foo = \"bar\" }[5h]))",
            "1:9 syntax error: unexpected IDENTIFIER",
        ),
        (
            "quantile_over_time(foo,{a=\"b\"} | unwrap x [5m])",
            "1:20 syntax error: unexpected IDENTIFIER, expecting NUMBER or { or (",
        ),
        (
            "quantile_over_time(-0.1,{a=\"b\"} | unwrap x [5m])",
            "1:20 syntax error: unexpected -, expecting NUMBER or { or (",
        ),
        (
            "sum_over_time({a=\"b\"} | unwrap bytes(size) | json [5m])",
            "1:46 syntax error: unexpected json, expecting IDENTIFIER or (",
        ),
        (
            "rate({a=\"b\"} | json | unwrap nope(x) [5m])",
            "1:34 syntax error: unexpected (, expecting RANGE or |",
        ),
        (
            "label_replace(rate({ foo = \"bar\" }[5m]),\"\")",
            "1:43 syntax error: unexpected ), expecting ,",
        ),
        ("vector(abc)", "1:8 syntax error: unexpected IDENTIFIER, expecting NUMBER"),
        ("-rate({a=\"b\"}[1m])", "1:2 syntax error: unexpected RATE, expecting NUMBER"),
        ("bool 1 > 1 > bool 1", "1:1 syntax error: unexpected bool"),
        (
            "sum(rate({a=\"b\"}[5m])) > on(x) bool sum(rate({a=\"b\"}[5m]))",
            "1:32 syntax error: unexpected bool",
        ),
        (
            "rate({foo=\"bar\"}[5m]) + group_left rate({foo=\"bar\"}[5m])",
            "1:25 syntax error: unexpected group_left",
        ),
        ("rate({a=\"b\"}[5m])[1h:5m]", "0:18 unknown unit \"h:\" in duration \"1h:5m\""),
        ("5-0", "0:2 syntax error: unexpected DURATION"),
        ("1 + 1 foo {", "1:7 syntax error: unexpected IDENTIFIER"),
        (
            "variants(1) of ({a=\"b\"}[5m])",
            "- multi variant queries are disabled for this instance",
        ),
    ]);
}

#[test]
fn meaningless_queries_are_refused() {
    const EMPTY: &str = "- queries require at least one regexp or equality matcher that does not \
        have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, \
        but app=~\".+\" will";
    check_refused(&[
        ("{}", EMPTY),
        ("{foo!=\"bar\"}", EMPTY),
        ("{app=~\".*\"}", EMPTY),
        ("1 + count_over_time({app=~\".*\"}[5m])", EMPTY),
        (
            "absent_over_time({ foo = \"bar\" }[5h]) by (foo)",
            "- grouping not allowed for absent_over_time aggregation",
        ),
        (
            "sum_over_time({a=\"b\"} | unwrap latency [5m]) by (foo)",
            "- grouping not allowed for sum_over_time aggregation",
        ),
        (
            "approx_topk(2, count_over_time({ foo = \"bar\" }[5h])) by (foo)",
            "- grouping not allowed for approx_topk aggregation",
        ),
        (
            "sum_over_time({app=\"foo\"} | json [5m])",
            "- invalid aggregation sum_over_time without unwrap",
        ),
        (
            "count_over_time({app=\"foo\"} | json | unwrap foo [5m])",
            "- invalid aggregation count_over_time with unwrap",
        ),
        (
            "sum_over_time(50,{a=\"b\"} | unwrap latency [5m])",
            "- parameter 50 not supported for operation sum_over_time",
        ),
        (
            "quantile_over_time({a=\"b\"} | unwrap latency [5m])",
            "- parameter required for operation quantile_over_time",
        ),
        ("topk(count_over_time({ foo = \"bar\" }[5h]))", "- parameter required for operation topk"),
        ("bottomk(1.2,count_over_time({ foo = \"bar\" }[5h]))", "- invalid parameter bottomk(1.2,"),
        ("topk(0,rate({a=\"b\"}[1m]))", "- invalid parameter (must be greater than 0) topk(0"),
        (
            "sum(3 ,count_over_time({ foo = \"bar\" }[5h]))",
            "- unsupported parameter for operation sum(3,",
        ),
        ("sort(rate({a=\"b\"}[1m])) by (x)", "- sort and sort_desc doesn't allow grouping by "),
        (
            "{foo=\"bar\"} + {foo=\"bar\"}",
            "- unexpected type for left leg of binary operation (+): *syntax.MatchersExpr",
        ),
        (
            "sum(count_over_time({foo=\"bar\"}[5m])) by (foo) - {foo=\"bar\"}",
            "- unexpected type for right leg of binary operation (-): *syntax.MatchersExpr",
        ),
        (
            "{a=\"b\"} | logfmt | x > 5 < 3",
            "- unexpected type for left leg of binary operation (<): *syntax.PipelineExpr",
        ),
        (
            "sum(rate({a=\"b\"}[1m])) by (foo) or 1",
            "- unexpected literal for right leg of logical/set binary operation (or): 1.000000",
        ),
        (
            "1 unless sum(rate({a=\"b\"}[1m]))",
            "- unexpected literal for left leg of logical/set binary operation (unless): 1.000000",
        ),
        (
            "label_replace(rate({ foo = \"bar\" }[5m]),\"foo\",\"$1\",\"bar\",\"^^^^x43\\\\q\")",
            "- invalid regex in label_replace: error parsing regexp: invalid escape sequence: `\\q`",
        ),
        (
            "0x1A",
            "- unable to parse literal as a float: strconv.ParseFloat: parsing \"0x1A\": invalid \
             syntax",
        ),
    ]);
}

/// Queries and their canonical text.
#[test]
fn queries_are_understood() {
    for (query, canonical) in [
        ("{a=`b`,c=~\"d\" , e!~'f'}", None),
        ("{a=`b`,c=~\"d\" , e!~`f`}", Some("{a=\"b\", c=~\"d\", e!~\"f\"}")),
        (
            "({a=\"b\"}|=\"x\"or`y` or ip(\"1.1.1.1\")!=\"z\")",
            Some("{a=\"b\"} |= \"x\" or \"y\" or ip(\"1.1.1.1\") != \"z\""),
        ),
        (
            "{a=\"b\"}|json x,y=\"z\"|LOGFMT --strict --keep-empty k|unpack",
            Some(
                "{a=\"b\"} | json x=\"x\",y=\"z\" | logfmt --strict --keep-empty k=\"k\" | unpack",
            ),
        ),
        (
            "{a=\"b\"}|json|rate=\"a\"|bytes<1B|duration=5m",
            Some("{a=\"b\"} | json | rate=\"a\" | bytes<1B | duration==5m0s"),
        ),
        (
            "{a=\"b\"}|drop a,b=\"c\"|keep d|decolorize|label_format x=y,z=`{{.q}}`",
            Some(
                "{a=\"b\"} | drop a,b=\"c\" | keep d | decolorize | label_format x=y,z=\"{{.q}}\"",
            ),
        ),
        // comments and blanks
        ("{a=\"b\"} # |= \"x\"\n // y\n /* z */ |= \"#\"", Some("{a=\"b\"} |= \"#\"")),
        // sizes, durations, numbers
        (
            "{a=\"b\"}|x>5MB|x>=1.5h|x<-5m|x!=+1e3|x==.5",
            Some("{a=\"b\"} | x>5.0MB | x>=1h30m0s | x<-5m0s | x!=1000 | x==0.5"),
        ),
        ("{a=\"b\"}|x>2PB", Some("{a=\"b\"} | x>2.0PB")),
        ("rate({a=\"b\"}[1h15m] offset -5m)", Some("rate({a=\"b\"}[1h15m] offset -5m0s)")),
        (
            "rate({a=\"b\"}[5m]|json|unwrap bytes(bytes)|x=\"\")",
            Some("rate({a=\"b\"} | json | unwrap bytes(bytes) | x=\"\"[5m])"),
        ),
        (
            "rate((({a=\"b\"}|json)[5m]offset 1d))",
            Some("rate({a=\"b\"} | json[5m] offset 24h0m0s)"),
        ),
        ("rate(({a=\"b\"})[5m]|unwrap x)", Some("rate({a=\"b\"} | unwrap x[5m])")),
        ("SUM BY(x,y)(rate({a=\"b\"}[5m]))", Some("sum by (x,y)(rate({a=\"b\"}[5m]))")),
        ("topk(5,rate({a=\"b\"}[5m]))without()", Some("topk without ()(5,rate({a=\"b\"}[5m]))")),
        ("topk(5,rate({a=\"b\"}[5m]))by()", Some("topk(5,rate({a=\"b\"}[5m]))")),
        ("sum(5 * rate({a=\"b\"}[5m]))", Some("sum((5 * rate({a=\"b\"}[5m])))")),
        (
            "vector(1)>bool on(a)group_left(b)vector(2)",
            Some("(vector(1.000000) > bool on (a) group_left (b) vector(2.000000))"),
        ),
        (
            "vector(1)*ignoring(a)vector(2)",
            Some("(vector(1.000000) * ignoring (a)  vector(2.000000))"),
        ),
        (
            "vector(1)*on(a)group_left()(vector(2)+vector(3))",
            Some("(vector(1.000000) * on (a) group_left () (vector(2.000000) + vector(3.000000)))"),
        ),
        // folding
        ("1 >= 1 > 1", Some("0")),
        ("-2^2", Some("4")),
        ("2^3^2", Some("512")),
        ("2 - -3", Some("5")),
        ("1000000", Some("1e+06")),
        ("1/0", Some("NaN")),
        // precedence
        (
            "vector(1)+vector(2)*vector(3)==vector(4)",
            Some(
                "((vector(1.000000) + (vector(2.000000) * vector(3.000000))) == vector(4.000000))",
            ),
        ),
        (
            "vector(1)unless vector(2)and vector(3)or vector(4)",
            Some(
                "(((vector(1.000000) unless vector(2.000000)) and vector(3.000000)) or \
             vector(4.000000))",
            ),
        ),
    ] {
        let got = parse(query).map(|expr| expr.to_string()).ok();
        assert_eq!(got.as_deref(), canonical, "{query}");
    }
}

#[test]
fn commas_and_nothing_take_all_to_their_right_in_label_filters() {
    for (filter, canonical) in [
        ("a=1 , b=1 or c=1", "( a==1 , ( b==1 or c==1 ) )"),
        ("a=1 or b=1 , c=1", "( a==1 or ( b==1 , c==1 ) )"),
        ("a=1 and b=1 or c=1", "( ( a==1 , b==1 ) or c==1 )"),
        ("a=1 or b=1 and c=1", "( a==1 or ( b==1 , c==1 ) )"),
        ("a=1 and b=1 , c=1", "( a==1 , ( b==1 , c==1 ) )"),
        ("a=1 b=1 or c=1", "( a==1 , ( b==1 or c==1 ) )"),
        ("a=1 and b=1 c=1 or d=1", "( a==1 , ( b==1 , ( c==1 or d==1 ) ) )"),
        ("a=1 or b=1 or c=1", "( ( a==1 or b==1 ) or c==1 )"),
        ("(a=1 or b=1) and c=1", "( ( a==1 or b==1 ) , c==1 )"),
    ] {
        let expr = parse(&format!("{{x=\"y\"}} | {filter}")).unwrap();
        assert_eq!(expr.to_string(), format!("{{x=\"y\"}} | {canonical}"), "{filter}");
    }
}

#[test]
fn bare_selectors_may_be_empty_but_have_no_stages() {
    assert!(!parse_selector("{}").unwrap().selects());
    assert!(parse_selector("{a=~\".+\"}").unwrap().selects());
    for query in ["{a=\"b\"} | json", "rate({a=\"b\"}[5m])"] {
        let error = parse_selector(query).unwrap_err();
        assert_eq!(error.to_string(), "only label matchers are supported");
    }
}

#[test]
fn long_and_deep_queries_end_in_errors() {
    let long = format!("{{a=\"{}\"}}", "x".repeat(131_072));
    let error = parse(&long).unwrap_err();
    assert_eq!(error.to_string(), "parse error : input size too long (131078 > 131072)");
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("sum(", "rate({a=\"b\"}[5m])", ")"),
        ("2 ^ ", "vector(1)", ""),
        ("vector(1) + ", "vector(1)", ""),
        ("label_replace(", "vector(1)", ",\"a\",\"b\",\"c\",\"d\")"),
        ("rate(", "{a=\"b\"}[5m]", ")"),
        ("{a=\"b\"} | (", "a=1", ")"),
        ("{a=\"b\"} | a=1 , ", "a=1", ""),
    ] {
        let (prefix, open) =
            open.strip_prefix("{a=\"b\"} | ").map_or(("", open), |o| ("{a=\"b\"} | ", o));
        let query = |n: usize| format!("{prefix}{}{inner}{}", open.repeat(n), close.repeat(n));
        // A range aggregation takes no aggregation inside, so parentheses nest there instead.
        let deep = if open == "rate(" {
            format!("rate({}{inner}{})", "(".repeat(9_000), ")".repeat(9_000))
        } else {
            query(4_000)
        };
        let error = parse(&deep).unwrap_err().to_string();
        assert!(error.contains("expression nests too deeply (more than "), "{error}");
        if open != "rate(" {
            parse(&query(60)).unwrap();
        }
    }
}

#[test]
fn short_queries_are_formatted_on_one_line() {
    for (query, formatted) in [
        ("{a=\"b\"}|=\"x\"|json|a>5", "{a=\"b\"} |= \"x\" | json | a>5"),
        (
            "sum by(x)(rate({a=\"b\"}[5m]))/sum(rate({a=\"b\"}[5m]))",
            "(sum by (x)(rate({a=\"b\"}[5m])) / sum(rate({a=\"b\"}[5m])))",
        ),
        (
            "{a=`b`}|~`x\\d`|line_format `{{.a}}`",
            "{a=\"b\"} |~ \"x\\\\d\" | line_format \"{{.a}}\"",
        ),
        ("rate({a=\"b\"}[5m] offset 1h)", "rate({a=\"b\"}[5m] offset 1h0m0s)"),
    ] {
        assert_eq!(format(&parse(query).unwrap()), formatted);
    }
}

#[test]
fn long_queries_are_split() {
    let name = "x".repeat(60);
    for (query, formatted) in [
        (
            format!(
                "topk(5,sum by (a,b)(count_over_time({{c=\"{name}\"}}|=\"error\"!=\"timeout\"|json\
                 |status>=500[5m] offset 1h)))"
            ),
            format!(
                "topk(\n  5,\n  sum by (a, b)(\n    count_over_time(\n      {{c=\"{name}\"}}\n        \
                 |= \"error\" != \"timeout\"\n        | json\n        | status>=500 [5m] offset 1h\n    \
                 )\n  )\n)"
            ),
        ),
        (
            format!(
                "quantile_over_time(0.99,{{c=\"{name}\"}}|json|unwrap duration(t)|__error__=\"\"[1m]) \
                 by (path)"
            ),
            format!(
                "quantile_over_time(\n  0.99,\n  {{c=\"{name}\"}} | json\n    | unwrap duration(t)\n    \
                 | __error__=\"\" [1m]\n) by (path)"
            ),
        ),
        (
            format!("{{c=\"{name}\"}}|=\"{name}\" or \"b\"!=\"{name}\"|decolorize"),
            format!("{{c=\"{name}\"}}\n  |= \"{name}\" or \"b\"\n  != \"{name}\"\n| decolorize"),
        ),
        (
            format!("rate({{c=\"{name}\"}}[5m])*on(a,b)group_left(c)vector(1)^vector(2)+vector(3)"),
            format!(
                "    rate({{c=\"{name}\"}}[5m])\n  * on (a, b) group_left (c)\n    \
                 (vector(1.000000) ^ vector(2.000000))\n+\n  vector(3.000000)"
            ),
        ),
        (
            format!(
                "label_replace(rate({{c=\"{name}\"}}[5m]),\"destination\",\"$1\",\"source\",\"(.*)\")"
            ),
            format!(
                "label_replace(\n  rate({{c=\"{name}\"}}[5m]),\n  \"destination\",\n  \"$1\",\n  \
                 \"source\",\n  \"(.*)\"\n)"
            ),
        ),
    ] {
        let expr = parse(&query).unwrap();
        assert_eq!(format(&expr), formatted);
        assert_eq!(parse(&formatted).unwrap().to_string(), expr.to_string());
    }
}

#[test]
fn long_chains_are_fine_up_to_a_bound() {
    for (first, more) in [
        ("vector(1)", " + vector(1)"),
        ("{a=\"b\"} | a=1", " or a=1"),
        ("{a=\"b\"} | a=1", " and a=1"),
    ] {
        let query = |n: usize| format!("{first}{}", more.repeat(n));
        let expr = parse(&query(250)).unwrap();
        assert!(!expr.to_string().is_empty() && !format(&expr).is_empty());
        let error = parse(&query(9_000)).unwrap_err().to_string();
        assert!(error.ends_with("expression nests too deeply (more than 256 levels)"), "{error}");
    }
    // No tree grows here.
    parse(&format!("1{}", " + 1".repeat(9_000))).unwrap();
    parse(&format!("{{a=\"b\"}}{}", " |= \"x\"".repeat(9_000))).unwrap();
}
