use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;
use crate::pipeline::template::tests::Entry;

fn printf(format: &str, args: &[Value<'_>]) -> String {
    let text = sprintf(format.as_bytes(), args, &Entry::default()).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

fn text(text: &str) -> Value<'_> {
    Value::borrowed(text)
}

#[test]
fn strings() {
    for (format, printed) in [
        ("%s", "añb"),
        ("%5s|", "  añb|"),
        ("%-5s|", "añb  |"),
        ("%.2s", "añ"),
        ("%05s", "00añb"),
        ("%q", "\"añb\""),
        ("%+q", "\"a\\u00f1b\""),
        ("%#q", "`añb`"),
        ("%x", "61c3b162"),
        ("% X", "61 C3 B1 62"),
        ("%#x", "0x61c3b162"),
        ("%v", "añb"),
        ("%#v", "\"añb\""),
        ("%T", "string"),
        ("%d", "%!d(string=añb)"),
        ("%6d", "%!d(string=   añb)"),
        ("%z", "%!z(string=añb)"),
    ] {
        assert_eq!(printf(format, &[text("añb")]), printed, "{format}");
    }
}

#[test]
fn integers() {
    for (format, n, printed) in [
        ("%d", -5, "-5"),
        ("%+d", 5, "+5"),
        ("% d", 5, " 5"),
        ("%5d|", 5, "    5|"),
        ("%-5d|", 5, "5    |"),
        ("%05d", -5, "-0005"),
        ("%.3d", 5, "005"),
        ("%6.3d", -5, "  -005"),
        ("%.0d", 0, ""),
        ("%x", 255, "ff"),
        ("%#X", 255, "0XFF"),
        ("%o", 8, "10"),
        ("%#o", 8, "010"),
        ("%O", 8, "0o10"),
        ("%b", 5, "101"),
        ("%c", 0x65e5, "日"),
        ("%q", 39, "'\\''"),
        ("%U", 0x1f600, "U+1F600"),
        ("%#U", 65, "U+0041 'A'"),
        ("%s", 5, "%!s(int=5)"),
        ("%f", 5, "%!f(int=5)"),
        ("%v", i64::MIN, "-9223372036854775808"),
        ("%T", 5, "int"),
    ] {
        assert_eq!(printf(format, &[Value::Int(n)]), printed, "{format}");
    }
}

#[test]
fn floats() {
    for (format, float, printed) in [
        ("%v", 2_013_265.0, "2.013265e+06"),
        ("%v", 100_000.0, "100000"),
        ("%v", 8e-5, "8e-05"),
        ("%.2f", 1.239, "1.24"),
        ("%8.2f|", -1.239, "   -1.24|"),
        ("%08.2f", -1.239, "-0001.24"),
        ("%+.1f", 2.25, "+2.2"),
        ("%f", 1.0, "1.000000"),
        ("%e", 1234.5, "1.234500e+03"),
        ("%.0E", 1234.5, "1E+03"),
        ("%g", 1e21, "1e+21"),
        ("%.3g", 1234.5, "1.23e+03"),
        ("%.10g", 1234.5, "1234.5"),
        ("%#g", 1.0, "1.00000"),
        ("%G", 1e-7, "1E-07"),
        ("%x", 1.0, "0x1p+00"),
        ("%x", 3.5, "0x1.cp+01"),
        ("%b", 1.0, "4503599627370496p-52"),
        ("%5.1f", f64::INFINITY, " +Inf"),
        ("%f", f64::NAN, "NaN"),
        ("%d", 1.5, "%!d(float64=1.5)"),
    ] {
        assert_eq!(printf(format, &[Value::Float(float)]), printed, "{format}");
    }
}

#[test]
fn arguments_that_do_not_fit_the_format() {
    let args = [text("a"), Value::Int(2)];
    for (format, printed) in [
        ("%s", "a%!(EXTRA int=2)"),
        ("%s %d %v", "a 2 %!v(MISSING)"),
        ("%[2]d %[1]s", "2 a"),
        ("%[3]d", "%!d(BADINDEX)"),
        ("%[x]d", "%!d(BADINDEX)"),
        ("%!", "%!!(string=a)%!(EXTRA int=2)"),
        ("%", "%!(NOVERB)%!(EXTRA string=a, int=2)"),
        ("%%", "%%!(EXTRA string=a, int=2)"),
        ("%*d", "%!(BADWIDTH)2"),
        ("%[2]*[1]s|", " a|"),
        ("%.*s", "%!(BADPREC)%!s(int=2)"),
        ("%t%t", "%!t(string=a)%!t(int=2)"),
    ] {
        assert_eq!(printf(format, &args), printed, "{format}");
    }
    assert_eq!(printf("%d %v", &[Value::Nil, Value::Nil]), "%!d(<nil>) <nil>");
}

#[test]
fn collections() {
    let list = Value::List(Rc::new(vec![text("x"), Value::Float(1.0), Value::NilInterface]));
    let map = Value::Map(Rc::new(BTreeMap::from([
        (b"b".to_vec(), list.clone()),
        (b"a".to_vec(), Value::Bool(true)),
    ])));
    let both = [map];
    assert_eq!(printf("%v", &both), "map[a:true b:[x 1 <nil>]]");
    assert_eq!(
        printf("%#v", &both),
        "map[string]interface {}{\"a\":true, \"b\":[]interface {}{\"x\", 1, interface {}(nil)}}"
    );
    assert_eq!(printf("%d", &[list]), "[%!d(string=x) %!d(float64=1) <nil>]");
}

#[test]
fn blanks_separate_operands_that_are_not_text() {
    let data = Entry::default();
    let args = [Value::Int(1), Value::Int(2), text("a"), text("b"), Value::Bool(true)];
    assert_eq!(sprint(&args, &data), b"1 2abtrue");
    assert_eq!(sprintln(&args, &data), b"1 2 a b true\n");
}

#[test]
fn padding_stops_at_the_limit() {
    let format = "%1000000d".repeat(20);
    let args = vec![Value::Int(1); 20];
    assert!(sprintf(format.as_bytes(), &args, &Entry::default()).is_err());
}

#[test]
fn times_have_a_text() {
    let time = Value::Time(crate::pipeline::template::time::Time::zero());
    assert_eq!(
        printf("%#v", std::slice::from_ref(&time)),
        "time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC)"
    );
    assert_eq!(printf("%s", &[time]), "0001-01-01 00:00:00 +0000 UTC");
    assert_eq!(printf("%v %d", &[Value::Duration(1_500_000_000), Value::Month(2)]), "1.5s 2");
    assert_eq!(printf("%s %s", &[Value::Month(2), Value::Weekday(0)]), "February Sunday");
}
