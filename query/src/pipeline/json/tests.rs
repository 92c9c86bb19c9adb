use proptest::prelude::*;
use timberline_store::Labels;

use super::*;
use crate::pipeline::labels::Required;
use crate::pipeline::names::{NameId, Names};
use crate::syntax::LabelExtraction;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::metadata(pairs.iter().copied()).unwrap()
}

fn text(builder: &LabelBuilder<'_>) -> String {
    let mut pairs: Vec<_> =
        builder.labels().map(|(name, value)| (builder.names().text(name), value)).collect();
    pairs.extend(builder.error().map(|error| ("__error__", error)));
    pairs.extend(builder.error_details().map(|details| ("__error_details__", details)));
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

fn parsed(stream: &[(&str, &str)], line: &str) -> String {
    let required = Required::default();
    let mut builder = LabelBuilder::new(Names::new(), &required, &labels(stream));
    builder.begin(&labels(&[]));
    parse(line.as_bytes(), &mut builder, &mut Scratch::default());
    text(&builder)
}

const NO_OBJECT: &str = "__error__=JSONParserErr __error_details__=Value looks like object, but can't find closing '}' symbol";

#[test]
fn members_become_labels() {
    assert_eq!(parsed(&[], r#"{"a":1,"a":2}"#), "a=1");
    assert_eq!(parsed(&[], r#"{"a":{"b":{"c":[1,{"d":3}]}},"a_b_c":"x"}"#), "a_b_c=x");
    assert_eq!(parsed(&[("k", "s")], r#"{"k":"v"}"#), "k=s k_extracted=v");
    assert_eq!(
        parsed(&[], r#"{"1st":"a","with space":"b","dash-ed":"c","ünï":"d","":"e"}"#),
        "_1st=a _n_=d dash_ed=c with_space=b"
    );
    assert_eq!(
        parsed(&[], r#"{"t":true,"n":null,"i":12345678901234567890,"f":1e10,"z":-0.0,"es":""}"#),
        "es= f=1e10 i=12345678901234567890 t=true z=-0.0"
    );
    assert_eq!(parsed(&[], r#"{"price":{"_net_":1}," ":{"2":{"3":4}}}"#), "_2_3=4 price__net_=1");
    assert_eq!(parsed(&[], r#"  {"lead":"space"}  "#), "lead=space");
    assert_eq!(parsed(&[], r#"{"e":"\u00e9\n\"","bad":"\q"}"#), "bad= e=é\n\"");
    assert_eq!(
        parsed(&[("pod_uuid", "s")], r#"{"pod":{"uuid":"v"}}"#),
        "pod_uuid=s pod_uuid_extracted=v"
    );
}

#[test]
fn what_is_no_object_is_an_error() {
    for line in ["[1,2,3]", "\"just a string\"", "{broken", "", "not json", "{n}"] {
        assert_eq!(parsed(&[], line), NO_OBJECT, "{line}");
    }
    assert_eq!(
        parsed(&[], r#"{"a":1,"b":"x"#),
        "__error__=JSONParserErr __error_details__=Value is string, but can't find closing '\"' symbol a=1"
    );
    assert_eq!(
        parsed(&[], r#"{"o":{"a":1,x},"b":2}"#),
        format!("{NO_OBJECT} o_a=1"),
        "a nested object's damage ends the parsing too"
    );
}

fn extracted(stream: &[(&str, &str)], expressions: &[(&str, &str)], line: &str) -> String {
    let mut names = Names::new();
    let extractions: Vec<_> = expressions
        .iter()
        .map(|&(name, expression)| LabelExtraction {
            name: name.to_owned(),
            expression: expression.to_owned(),
        })
        .collect();
    let compiled = JsonExpressions::compile(&extractions, &mut names).unwrap();
    let required = Required::default();
    let mut builder = LabelBuilder::new(names, &required, &labels(stream));
    builder.begin(&labels(&[]));
    compiled.parse(line.as_bytes(), &mut builder);
    text(&builder)
}

#[test]
fn expressions_name_paths() {
    let paths = [
        ("a", "a"),
        ("d", "a.b.c[2].d"),
        ("y", r#"["dot.ted"]"#),
        ("arr", "arr[1].y"),
        ("all", "a"),
    ];
    for (line, expected) in [
        (r#"  {"lead":1}"#, "__error__=JSONParserErr"),
        ("", ""),
        (r#"{"a":1,"a":2}"#, "a=1 all=1 arr= d= y="),
        ("[1,2]", "a= all= arr= d= y="),
        (r#""string""#, "a= all= arr= d= y="),
        (r#"{"dot.ted":"v","arr":["x",{"y":1}]}"#, "a= all= arr=1 d= y=v"),
        (
            r#"{"a":{"b":{"c":[1,2,{"d":3}]}},"a_b_c":"x"}"#,
            r#"a={"b":{"c":[1,2,{"d":3}]}} all={"b":{"c":[1,2,{"d":3}]}} arr= d=3 y="#,
        ),
        (r#"{"a":"esc\n","arr":null"#, "a=esc\n all=esc\n arr= d= y="),
    ] {
        assert_eq!(extracted(&[], &paths, line), expected, "{line}");
    }
    assert_eq!(extracted(&[("k", "s")], &[("k", "x")], r#"{"x":1}"#), "k=s k_extracted=1");
    assert_eq!(extracted(&[("k", "s")], &[("k", "x")], r#"{"y":1}"#), "k=s");
}

#[test]
fn packed_lines_are_unpacked() {
    let required = Required::default();
    let mut builder = LabelBuilder::new(Names::new(), &required, &labels(&[("job", "edge")]));
    let mut run = |line: &str| {
        builder.begin(&labels(&[]));
        let mut out = Vec::new();
        let packed = unpack(line.as_bytes(), &mut builder, &mut String::new(), &mut out);
        (packed.then(|| String::from_utf8(out).unwrap()), text(&builder))
    };
    assert_eq!(
        run(r#"{"_entry":"packed line","lbl":"v","job":"packed","n":1}"#),
        (Some("packed line".to_owned()), "job=edge job_extracted=packed lbl=v".to_owned())
    );
    assert_eq!(run(r#"{"a":"1"}"#), (None, "job=edge".to_owned()));
    assert_eq!(run(""), (None, "job=edge".to_owned()));
    assert_eq!(run("{broken"), (None, format!("{NO_OBJECT} job=edge")));
    let not_object = "__error__=JSONParserErr __error_details__=expecting json object(6), but it is not job=edge";
    assert_eq!(run(" {}"), (None, not_object.to_owned()));
}

#[test]
fn deep_nesting_does_not_run_out_of_stack() {
    let deep = r#"{"a":"#.repeat(20_000) + "1" + &"}".repeat(20_000);
    assert_eq!(parsed(&[], &deep), "");
}

proptest! {
    #[test]
    fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..64), open in "[{\\[\"a:,1 \\\\]{0,12}") {
        let mut bytes = open.into_bytes();
        bytes.extend(line);
        let required = Required::default();
        let mut builder = LabelBuilder::new(Names::new(), &required, &labels(&[]));
        builder.begin(&labels(&[]));
        parse(&bytes, &mut builder, &mut Scratch::default());
        unpack(&bytes, &mut builder, &mut String::new(), &mut Vec::new());
    }

    /// What is needed has the same value, whether or not the rest is extracted too.
    #[test]
    fn required_labels_have_the_values_they_have_without_hints(
        line in r#"\{("[abc]":("[xy]"|\{"[ab]":[12]\}|[0-9]),){0,5}"[abc]":[0-9]\}"#
    ) {
        let mut names = Names::new();
        let wanted: Vec<NameId> = ["a", "b_a"].map(|name| names.intern(name)).into();
        let (all, some) = (Required::default(), Required { names: Some(wanted.clone()), ..Required::default() });
        let values = [&all, &some].map(|required| {
            let mut builder = LabelBuilder::new(names.clone(), required, &labels(&[]));
            builder.begin(&labels(&[]));
            parse(line.as_bytes(), &mut builder, &mut Scratch::default());
            wanted.iter().map(|&name| builder.get(name).map(str::to_owned)).collect::<Vec<_>>()
        });
        prop_assert_eq!(&values[0], &values[1]);
    }
}
