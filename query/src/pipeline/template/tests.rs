use proptest::prelude::*;

use super::*;

/// An entry with labels in any order.
#[derive(Debug, Default)]
pub(super) struct Entry {
    labels: Vec<(String, String)>,
    line: String,
    timestamp: i64,
}

impl TemplateData for Entry {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn labels(&self) -> Vec<(String, String)> {
        self.labels.clone()
    }

    fn line(&self) -> &str {
        &self.line
    }

    fn timestamp(&self) -> i64 {
        self.timestamp
    }
}

fn entry() -> Entry {
    let labels = [
        ("msg", "item added"),
        ("level", "debug"),
        ("duration", "80µs"),
        ("size", "1.92MiB"),
        ("user_id", "17"),
        ("a-b", "dash"),
        ("json", r#"{"a":{"b":[1,"two",null]},"n":2.5,"t":true}"#),
    ];
    Entry {
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        line: "level=DEBUG msg=\"item added\"".to_owned(),
        timestamp: 1_793_534_612_176_085_172,
    }
}

fn run(source: &str) -> Result<String, String> {
    let mut out = String::new();
    Template::compile("line", source)?.execute(&entry(), &mut out)?;
    Ok(out)
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (source, printed) in cases {
        assert_eq!(run(source).as_deref(), Ok(*printed), "{source}");
    }
}

#[track_caller]
fn check_errors(cases: &[(&str, &str)]) {
    for (source, message) in cases {
        assert_eq!(run(source).unwrap_err(), *message, "{source}");
    }
}

#[test]
fn control_structures() {
    check(&[
        ("{{ if eq .level `error` }}E{{ else if eq .level `warn` }}W{{ else }}-{{ end }}", "-"),
        ("{{ with .msg }}<{{.}}>{{ end }}", "<item added>"),
        ("{{ with .nothere }}x{{ else }}{{.level}}{{ end }}", "debug"),
        ("{{ with .nothere }}x{{ else with .level }}{{.}}{{ end }}", "debug"),
        ("{{ with $x := .level }}{{$x}}{{.}}{{ end }}", "debugdebug"),
        (
            "{{ range $i, $e := (fromJson .json).a.b }}{{$i}}={{$e}};{{ end }}",
            "0=1;1=two;2=<no value>;",
        ),
        ("{{ range $k, $v := fromJson .json }}{{$k}} {{ end }}", "a n t "),
        ("{{ range 3 }}{{.}}{{ end }}", "012"),
        ("{{ range $i := 3 }}{{ if eq $i 1 }}{{continue}}{{end}}{{$i}}{{ end }}", "02"),
        ("{{ range 9 }}{{ if gt . 2 }}{{break}}{{end}}{{.}}{{ end }}", "012"),
        ("{{ range (fromJson `[]`) }}x{{ else }}none{{ end }}", "none"),
        ("{{ range fromJson `junk` }}x{{ else }}none{{ end }}", "none"),
        ("{{ $x := 1 }}{{ range 3 }}{{ $x = add $x . }}{{ end }}{{$x}}", "4"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{$x}}", "1"),
        ("{{ define `t` }}[{{.}}|{{$}}]{{ end }}{{ template `t` .level }}", "[debug|debug]"),
        ("{{ block `b` .msg }}<{{.}}>{{ end }}{{ template `b` 1 }}", "<item added><1>"),
        ("{{/* c */}}{{- .level -}}  x", "debugx"),
        ("{{ `a` | printf `%s-%s` `b` }}", "b-a"),
        ("{{ (fromJson .json).n }} {{ ((fromJson .json).a).b }}", "2.5 [1 two <nil>]"),
        ("{{ $.level }}{{ index . `a-b` }}{{ index $ `nothere` }}", "debugdash"),
        ("{{ with (fromJson .json) }}{{ .n }}{{ $.level }}{{ end }}", "2.5debug"),
    ]);
}

#[test]
fn values_print_as_in_go() {
    check(&[
        ("{{ .nothere }}|{{ fromJson `junk` }}|{{ (fromJson `{}`).x }}", "|<no value>|<no value>"),
        (
            "{{ 1 }} {{ 1.5 }} {{ 1e6 }} {{ 0x1F }} {{ 'a' }} {{ true }} {{ 017 }}",
            "1 1.5 1e+06 31 97 true 15",
        ),
        ("{{ 3000000.0 }} {{ 100000.0 }} {{ 123456.5 }}", "3e+06 100000 123456.5"),
        ("{{ fromJson .json }}", "map[a:map[b:[1 two <nil>]] n:2.5 t:true]"),
        ("{{ print 1 2 `a` `b` true }}", "1 2abtrue"),
        ("{{ println .level 1 }}", "debug 1\n"),
        ("{{ print nil }} {{ printf `%v` nil }}", "<nil> <nil>"),
        (
            "{{ printf `%s-%q-%d-%.2f-%v-%x` .level .msg 5 1.239 true `hi` }}",
            "debug-\"item added\"-5-1.24-true-6869",
        ),
        ("{{ printf `%d` .level }}", "%!d(string=debug)"),
        ("{{ __timestamp__ }}", "2026-11-01 12:03:32.176085172 +0000 UTC"),
    ]);
    let all = run("{{ . }}").unwrap();
    assert!(all.starts_with("map[a-b:dash duration:80µs json:"), "{all}");
}

#[test]
fn builtins() {
    check(&[
        ("{{ eq .level `info` `debug` }} {{ lt 1 2 }} {{ ge 2.5 2.5 }}", "true true true"),
        ("{{ ne .level `x` }} {{ gt `b` `a` }} {{ le 2 1 }}", "true true false"),
        ("{{ and 1 0 2 }} {{ or 0 `` `x` }} {{ not .nothere }}", "0 x true"),
        ("{{ or true (div 1 0) }} {{ and false (div 1 0) }}", "true false"),
        ("{{ len .level }} {{ len (fromJson `[1,2]`) }}", "5 2"),
        ("{{ index (fromJson `[1,[2,3]]`) 1 0 }} {{ index `abc` 1 }}", "2 98"),
        (
            "{{ slice .level 1 3 }} {{ slice .level 3 }} {{ slice (fromJson `[1,2,3]`) 1 2 }}",
            "eb ug [2]",
        ),
        (
            "{{ html `<a b='c'>&` }} {{ js `\"q\"<` }} {{ urlquery `a b` `&` }}",
            "&lt;a b=&#39;c&#39;&gt;&amp; \\\"q\\\"\\u003C a+b%26",
        ),
        ("{{ eq (fromJson .json).a.b nil }}", "false"),
    ]);
}

#[test]
fn text_functions() {
    check(&[
        (
            "{{ .msg | ToUpper }} {{ ToLower `ÀB` }} {{ title `hello wORLD o'neil` }} {{ upper `é` }}",
            "ITEM ADDED àb Hello WORLD O'Neil É",
        ),
        ("{{ __line__ | lower | trunc 20 }}", "level=debug msg=\"ite"),
        (
            "{{ trunc -3 .level }} {{ trunc 99 .level }} {{ trunc 2 `日本` }}",
            "bug debug \u{fffd}\u{fffd}",
        ),
        ("{{ substr 1 3 .level }} {{ substr -1 2 .level }} {{ substr 2 -1 .level }}", "eb de bug"),
        ("{{ trunc 1 `é` }}{{ substr 1 2 `é` }}", "é"),
        (
            "{{ trim `  x ` }}|{{ trimAll `$` `$5$` }}|{{ trimPrefix `de` .level }}|{{ trimSuffix `ug` .level }}",
            "x|5|bug|deb",
        ),
        (
            "{{ Trim `xyhixx` `xy` }} {{ TrimLeft `xhix` `x` }} {{ TrimRight `xhix` `x` }}",
            "hi hix xhi",
        ),
        ("{{ TrimPrefix `abc` `a` }} {{ TrimSuffix `abc` `c` }} {{ TrimSpace `\ta ` }}", "bc ab a"),
        (
            "{{ Replace `aaa` `a` `b` 2 }} {{ replace `a` `b` `aaa` }} {{ Replace `añ` `` `-` -1 }}",
            "bba bbb -a-ñ-",
        ),
        (
            "{{ contains `eb` .level }} {{ hasPrefix `de` .level }} {{ hasSuffix `x` .level }}",
            "true true false",
        ),
        ("{{ indent 2 .level }}{{ nindent 1 `a\nb` }}", "  debug\n a\n b"),
        ("{{ repeat 3 `ab` }}", "ababab"),
        (
            "{{ alignLeft 8 .level }}|{{ alignRight 8 .level }}|{{ alignLeft 2 `日本語` }}|{{ alignRight 2 `日本語` }}",
            "debug   |   debug|日本|本語",
        ),
        ("{{ regexReplaceAll `(a|e)` .msg `<$1>` }}", "it<e>m <a>dd<e>d"),
        (
            "{{ regexReplaceAll `(?P<x>a)` `aa` `${x}${x}` }} {{ regexReplaceAll `a` `ba` `$1x` }}",
            "aaaa b",
        ),
        ("{{ regexReplaceAllLiteral `i` .msg `$1` }}", "$1tem added"),
        ("{{ count `d` .msg }}", "3"),
        (
            "{{ default `none` .nothere }} {{ default `none` .level }} {{ default 5 }}",
            "none debug 5",
        ),
        ("{{ urlencode `a b&c` }} {{ urldecode `a%20b` }}", "a+b%26c a b"),
        (
            "{{ b64enc `hello` }} {{ b64dec `aGVsbG8=` }} {{ b64dec `a` }}",
            "aGVsbG8= hello illegal base64 data at input byte 0",
        ),
    ]);
}

#[test]
fn number_functions() {
    check(&[
        (
            "{{ add (int .user_id) 5 }} {{ mul 2 3 }} {{ sub 9 4 }} {{ div 9 2 }} {{ mod 9 4 }}",
            "22 6 5 4 1",
        ),
        (
            "{{ addf 1.5 2 }} {{ divf 1 3 }} {{ round 2.567 2 }} {{ floor 2.7 }} {{ ceil 2.1 }}",
            "3.5 0.3333333333333333 2.57 2 3",
        ),
        ("{{ addf 0.1 0.2 }} {{ subf 1 0.9 }} {{ mulf 1.1 1.1 }}", "0.3 0.1 1.21"),
        ("{{ max 1 2 3 }} {{ min 4 2 }} {{ maxf 1.5 2.5 }} {{ minf 1.5 0.5 }}", "3 2 2.5 0.5"),
        ("{{ .user_id | int | add 1 | float64 }}", "18"),
        ("{{ int `010` }} {{ int `2.9` }} {{ int `junk` }} {{ float64 `1e6` }}", "8 2 0 1e+06"),
        ("{{ .duration | duration }} {{ duration_seconds `2.009s` }}", "8e-05 2.009"),
        ("{{ .size | bytes }} {{ bytes `46KB` }}", "2.013265e+06 46000"),
        ("{{ round -2.567 2 }} {{ round 2.5 0 0.6 }}", "-2.57 2"),
    ]);
}

#[test]
fn time_functions() {
    check(&[
        ("{{ __timestamp__ | date `2006-01-02T15:04:05.000Z07:00` }}", "2026-11-01T12:03:32.176Z"),
        ("{{ __timestamp__ | unixEpoch }}", "1793534612"),
        ("{{ toDateInZone `2006-01-02` `UTC` `2026-01-05` | unixEpochMillis }}", "1767571200000"),
        (
            "{{ toDateInZone `2006-01-02` `Asia/Tokyo` `2026-01-05` | unixEpochNanos }}",
            "1767538800000000000",
        ),
        ("{{ toDate `2006-01-02` `nope` }}", "0001-01-01 00:00:00 +0000 UTC"),
        ("{{ date `15:04` (unixToTime `1793534400`) }} {{ date `2006` 0 }}", "12:00 1970"),
        (
            "{{ __timestamp__.Year }} {{ (__timestamp__).Month }} {{ __timestamp__.Weekday }}",
            "2026 November Sunday",
        ),
        (
            "{{ __timestamp__.Format `15:04` }} {{ (__timestamp__.Add 60000000000).Minute }}",
            "12:03 4",
        ),
        ("{{ (now.Sub (toDate `2006` `2020`)).Hours | lt 1.0 }}", "true"),
    ]);
}

#[test]
fn execution_errors_read_as_in_go() {
    check_errors(&[
        (
            "{{ unixToTime \"x\" }}",
            "template: line:1:3: executing \"line\" at <unixToTime \"x\">: error calling unixToTime: \
             unable to parse time 'x': strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "{{.level}}{{ now .x }}",
            "template: line:1:13: executing \"line\" at <now>: wrong number of args for now: want 0 got 1",
        ),
        (
            "{{ .a.b }}",
            "template: line:1:5: executing \"line\" at <.a.b>: can't evaluate field b in type string",
        ),
        (
            "{{ eq .level 1 }}",
            "template: line:1:3: executing \"line\" at <eq .level 1>: error calling eq: incompatible types for comparison: string and int",
        ),
        (
            "{{ lt true false }}",
            "template: line:1:3: executing \"line\" at <lt true false>: error calling lt: \
             invalid type for comparison",
        ),
        (
            "{{ eq (fromJson `[1]`) (fromJson `[2]`) }}",
            "template: line:1:3: executing \"line\" at <eq (fromJson `[1]`) (fromJson `[2]`)>: \
             error calling eq: non-comparable type [%!s(float64=2)]: []interface {}",
        ),
        (
            "{{ div 1 0 }}",
            "template: line:1:3: executing \"line\" at <div 1 0>: error calling div: runtime error: integer divide by zero",
        ),
        (
            "\n {{ upper 5 }}",
            "template: line:2:10: executing \"line\" at <5>: expected string; found 5",
        ),
        (
            "{{ add 1 2 | upper }}",
            "template: line:1:13: executing \"line\" at <upper>: wrong type for value; expected string; got int64",
        ),
        (
            "{{ trunc (add 1 2) .x }}",
            "template: line:1:16: executing \"line\" at <2>: wrong type for value; expected int; got int64",
        ),
        (
            "{{ range .level }}{{ end }}",
            "template: line:1:9: executing \"line\" at <.level>: range can't iterate over debug",
        ),
        (
            "{{ template `x` . }}",
            "template: line:1:12: executing \"line\" at <{{template \"x\" .}}>: template \"x\" not defined",
        ),
        (
            "{{ .level 5 }}",
            "template: line:1:3: executing \"line\" at <.level>: level is not a method but has arguments",
        ),
        (
            "{{ 5 6 }}",
            "template: line:1:3: executing \"line\" at <5>: can't give argument to non-function 5",
        ),
        ("{{ nil }}", "template: line:1:3: executing \"line\" at <nil>: nil is not a command"),
        (
            "{{ (fromJson `{}`).a.b }}",
            "template: line:1:13: executing \"line\" at <`{}`>: nil pointer evaluating interface {}.b",
        ),
        (
            "{{ index (fromJson `[1]`) 1 }}",
            "template: line:1:3: executing \"line\" at <index (fromJson `[1]`) 1>: error calling index: reflect: slice index out of range",
        ),
        (
            "{{ regexReplaceAll `(` .level `` }}",
            "template: line:1:3: executing \"line\" at <regexReplaceAll `(` .level ``>: error calling regexReplaceAll: error parsing regexp: missing closing ): `(`",
        ),
        (
            "{{ .level | duration }}",
            "template: line:1:12: executing \"line\" at <duration>: error calling duration: time: invalid duration \"debug\"",
        ),
        (
            "{{ repeat -1 `x` }}",
            "template: line:1:3: executing \"line\" at <repeat -1 `x`>: error calling repeat: strings: negative Repeat count",
        ),
        (
            "{{ unixToTime `123` }}",
            "template: line:1:3: executing \"line\" at <unixToTime `123`>: error calling unixToTime: unable to parse time '123': %!w(<nil>)",
        ),
        (
            "{{ substr 9 2 .level }}",
            "template: line:1:3: executing \"line\" at <substr 9 2 .level>: error calling substr: runtime error: slice bounds out of range [9:2]",
        ),
        (
            "{{ define `t` }}{{ div 1 0 }}{{ end }}{{ template `t` }}",
            "template: line:1:19: executing \"t\" at <div 1 0>: error calling div: runtime error: integer divide by zero",
        ),
        (
            "{{ divf 1 0 }}",
            "template: line:1:3: executing \"line\" at <divf 1 0>: error calling divf: decimal division by 0",
        ),
    ]);
}

#[test]
fn a_failed_execution_leaves_the_output_alone() {
    let template = Template::compile("line", "text {{ div 1 0 }}").unwrap();
    let mut out = "before ".to_owned();
    assert!(template.execute(&entry(), &mut out).is_err());
    assert_eq!(out, "before ");
}

#[test]
fn what_an_execution_may_use_is_bounded() {
    for source in [
        "{{ repeat 9000000 `x` }}",
        "{{ range 1000000000 }}{{ end }}",
        "{{ range 100 }}{{ repeat 1000000 `x` }}{{ end }}",
        "{{ $x := `xx` }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}",
        "{{ range 1000 }}{{ $y := repeat 1000000 `x` }}{{ end }}",
        "{{ printf `%999999d%999999d%999999d%999999d%999999d%999999d%999999d%999999d%999999d` 1 1 1 1 1 1 1 1 1 }}",
        "{{ define `t` }}{{ template `t` }}{{ end }}{{ template `t` }}",
        "{{ define `t` }}{{ if true }}{{ with 1 }}{{ template `t` }}{{ end }}{{ end }}{{ end }}{{ template `t` }}",
        "{{ indent 1000000 `\n\n\n\n\n\n\n\n\n\n\n` }}",
    ] {
        assert!(run(source).is_err(), "{source}");
    }
}

#[test]
fn a_single_field_is_recognised() {
    for (source, field) in [
        ("{{.level}}", Some("level")),
        ("{{- .level -}}", Some("level")),
        ("{{ .a.b }}", None),
        ("{{ .level }} ", None),
        ("{{ $x := .level }}", None),
        ("{{ .level | lower }}", None),
        ("", None),
    ] {
        assert_eq!(Template::compile("line", source).unwrap().field(), field, "{source}");
    }
}

/// Pieces that, strung together, often make a template.
fn piece() -> impl Strategy<Value = String> {
    let functions = [
        "and",
        "index",
        "slice",
        "printf",
        "len",
        "eq",
        "lt",
        "substr",
        "trunc",
        "repeat",
        "int",
        "round",
        "divf",
        "mulf",
        "date",
        "toDate",
        "unixToTime",
        "fromJson",
        "regexReplaceAll",
        "alignLeft",
        "indent",
        "b64dec",
        "bytes",
        "duration",
        "html",
        "js",
        "call",
        "default",
        "toDateInZone",
        "unixEpochNanos",
        "add",
        "mod",
        "title",
        "replace",
        "count",
    ];
    let words = [
        "{{",
        "}}",
        "{{-",
        "-}}",
        " ",
        "|",
        "(",
        ")",
        ".",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "continue",
        "nil",
        "true",
        ".level",
        ".json",
        "`a`",
        "\"%5.3v %+d %[2]*x\"",
        "'x'",
        "1",
        "-3",
        "1.5",
        "0x1F",
        "1e400",
        "99999999999999999999",
        ".a.b",
        "$.x.y",
        "__line__",
        "__timestamp__",
        "now",
        ".Unix",
        "é",
        "\n",
        "/*",
        "*/",
        "`2006-01-02`",
        "`[1,{\"a\":null}]`",
        "9223372036854775807",
    ];
    let words = words.into_iter().chain(functions).map(|word| word.to_owned());
    prop_oneof![
        9 => proptest::sample::select(words.collect::<Vec<_>>()),
        1 => any::<String>(),
    ]
}

fn action() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 1..6)
        .prop_map(|words| format!("{{{{ {} }}}}", words.join(" ")))
}

proptest! {
    /// Whatever the source, compiling and executing end with a text or a message.
    #[test]
    fn no_source_panics(words in proptest::collection::vec(piece(), 0..24)) {
        let _ = run(&words.concat());
        let _ = run(&words.join(" "));
    }

    /// The same for single actions, which compile more often.
    #[test]
    fn no_action_panics(actions in proptest::collection::vec(action(), 1..4)) {
        let _ = run(&actions.concat());
    }

    /// Formats meet every kind of value.
    #[test]
    fn no_format_panics(format in "(%[-+# 0]{0,2}[0-9*]{0,2}(\\.[0-9*]{0,2})?(\\[[0-9]\\])?[a-zA-Z%!é]){1,4}") {
        let source = format!(
            "{{{{ printf `{format}` .level 5 -1.5 true nil (fromJson .json) __timestamp__ . }}}}"
        );
        let _ = run(&source);
    }
}
