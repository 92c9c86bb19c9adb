//! The functions that Prometheus gives to templates of alerts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::Param::{Any, Text};
use super::{Context, Function, Returned, fixed, text, utf8, variadic};
use crate::golang::{parse_float, parse_prometheus_duration};
use crate::pipeline::template::AlertContext;
use crate::pipeline::template::alert::sample;
use crate::pipeline::template::literal::int_to_float;
use crate::pipeline::template::print::sprintf;
use crate::pipeline::template::time::Time;
use crate::pipeline::template::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("query", &[Text], query),
    fixed("first", &[Any], |_, args| {
        let first = samples(args, 0)?.first().cloned();
        first.ok_or_else(|| "first() called on vector with no elements".to_owned())
    }),
    fixed("label", &[Text, Any], |_, args| label_of(&argument(args, 1), text(args, 0))),
    fixed("value", &[Any], |_, args| field_of(&argument(args, 0), "Value")),
    fixed("strvalue", &[Any], |_, args| label_of(&argument(args, 0), b"__value__")),
    fixed("sortByLabel", &[Text, Any], sort_by_label),
    variadic("args", &[], Any, |_, args| {
        let numbered = args.iter().enumerate();
        let pairs = numbered.map(|(index, arg)| (format!("arg{index}").into_bytes(), arg.clone()));
        Ok(Value::Map(Rc::new(pairs.collect::<BTreeMap<_, _>>())))
    }),
    fixed("reReplaceAll", &[Text, Text, Text], |context, args| {
        let regex = context.regexes.compile(text(args, 0))?;
        Ok(Value::bytes(regex.replace_all(text(args, 2), text(args, 1)).into_owned()))
    }),
    fixed("match", &[Text, Text], |context, args| {
        Ok(Value::Bool(context.regexes.compile(text(args, 0))?.is_match(text(args, 1))))
    }),
    fixed("safeHtml", &[Text], |_, args| Ok(argument(args, 0))),
    fixed("title", &[Text], super::strings::title),
    fixed("toUpper", &[Text], |_, args| Ok(Value::string(utf8(args, 0).to_uppercase()))),
    fixed("toLower", &[Text], |_, args| Ok(Value::string(utf8(args, 0).to_lowercase()))),
    fixed("stripPort", &[Text], |_, args| {
        let address = utf8(args, 0);
        let host = split_host_port(&address).map_or(&*address, |(host, _)| host);
        Ok(Value::string(host.to_owned()))
    }),
    fixed("stripDomain", &[Text], |_, args| Ok(Value::string(strip_domain(&utf8(args, 0))))),
    fixed("urlQueryEscape", &[Text], |_, args| {
        Ok(Value::string(super::encoding::query_escape(text(args, 0))))
    }),
    fixed("graphLink", &[Text], |_, args| Ok(Value::string(link(text(args, 0), 0)))),
    fixed("tableLink", &[Text], |_, args| Ok(Value::string(link(text(args, 0), 1)))),
    fixed("humanize", &[Any], |context, args| humanize(context, float(args)?)),
    fixed("humanize1024", &[Any], |context, args| humanize1024(context, float(args)?)),
    fixed("humanizeDuration", &[Any], |context, args| humanize_duration(context, float(args)?)),
    fixed("humanizePercentage", &[Any], |context, args| {
        format(context, b"%.4g%%", &[Value::Float(float(args)? * 100.0)])
    }),
    fixed("humanizeTimestamp", &[Any], |context, args| match float(args)? {
        number if !number.is_finite() => short(context, number, ""),
        number => Ok(Value::string(time_of(number)?.print())),
    }),
    fixed("toTime", &[Any], |_, args| time_of(float(args)?).map(Value::Time)),
    fixed("toDuration", &[Any], |_, args| nanos_of(float(args)?).map(Value::Duration)),
    fixed("parseDuration", &[Text], |_, args| {
        Ok(Value::Float(int_to_float(parse_prometheus_duration(&utf8(args, 0))?) / 1e9))
    }),
    fixed("now", &[], |context, _| Ok(Value::Float(int_to_float(context.data.timestamp()) / 1e9))),
    fixed("externalURL", &[], |context, _| {
        Ok(Value::string(alert(context)?.external_url.to_owned()))
    }),
    fixed("pathPrefix", &[], |context, _| {
        let url = alert(context)?.external_url;
        let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
        Ok(Value::string(path.map_or(String::new(), |(_, path)| format!("/{path}"))))
    }),
];

fn alert<'a>(context: &Context<'a>) -> Result<&'a AlertContext<'a>, String> {
    context.data.alert().ok_or_else(|| "not in an alert".to_owned())
}

fn argument<'a>(args: &[Value<'a>], index: usize) -> Value<'a> {
    args.get(index).cloned().unwrap_or(Value::Nil)
}

fn query<'a>(context: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let samples = (alert(context)?.query)(&utf8(args, 0))?;
    Ok(Value::List(Rc::new(samples.iter().map(sample).collect())))
}

fn samples<'a>(args: &[Value<'a>], index: usize) -> Result<Rc<Vec<Value<'a>>>, String> {
    match argument(args, index) {
        Value::List(list) => Ok(list),
        other => Err(format!("{} is no result of a query", other.type_name())),
    }
}

fn field_of<'a>(sample: &Value<'a>, name: &str) -> Returned<'a> {
    let field = match sample {
        Value::Record(record) => record.get(name).cloned(),
        _ => None,
    };
    field.ok_or_else(|| format!("{} is no sample", sample.type_name()))
}

fn label_of<'a>(sample: &Value<'a>, name: &[u8]) -> Returned<'a> {
    match field_of(sample, "Labels")? {
        Value::Strings(labels) => Ok(labels.get(name).cloned().unwrap_or(Value::borrowed(""))),
        other => Ok(other),
    }
}

fn sort_by_label<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let mut keyed = Vec::new();
    for sample in samples(args, 1)?.iter() {
        let value = label_of(sample, text(args, 0))?;
        keyed.push((value.as_text().unwrap_or_default().to_vec(), sample.clone()));
    }
    keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(Value::List(Rc::new(keyed.into_iter().map(|(_, sample)| sample).collect())))
}

/// The argument as a number.
fn float(args: &[Value<'_>]) -> Result<f64, String> {
    match argument(args, 0) {
        Value::Float(number) => Ok(number),
        Value::Int(number) | Value::Int64(number) => Ok(int_to_float(number)),
        Value::Duration(nanos) => Ok(int_to_float(nanos) / 1e9),
        Value::Text(text) => parse_float(&String::from_utf8_lossy(text.as_bytes())),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn format<'a>(context: &Context<'a>, form: &[u8], args: &[Value<'a>]) -> Returned<'a> {
    sprintf(form, args, context.data).map(Value::bytes)
}

/// Four digits and a unit.
fn short<'a>(context: &Context<'a>, number: f64, unit: &'static str) -> Returned<'a> {
    format(context, b"%.4g%s", &[Value::Float(number), Value::borrowed(unit)])
}

/// Divides by `base` for as long as the number has as much.
fn scaled_down(mut number: f64, base: f64, units: [&'static str; 8]) -> (f64, &'static str) {
    let mut unit = "";
    for next in units {
        if number.abs() < base {
            break;
        }
        unit = next;
        number /= base;
    }
    (number, unit)
}

/// Multiplies by a thousand until the number is one at least.
fn scaled_up(mut number: f64) -> (f64, &'static str) {
    let mut unit = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if number.abs() >= 1.0 {
            break;
        }
        unit = next;
        number *= 1000.0;
    }
    (number, unit)
}

fn humanize<'a>(context: &Context<'a>, number: f64) -> Returned<'a> {
    let (number, unit) = if number == 0.0 || !number.is_finite() {
        (number, "")
    } else if number.abs() >= 1.0 {
        scaled_down(number, 1000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        scaled_up(number)
    };
    short(context, number, unit)
}

fn humanize1024<'a>(context: &Context<'a>, number: f64) -> Returned<'a> {
    let (number, unit) = if number.abs() <= 1.0 || !number.is_finite() {
        (number, "")
    } else {
        scaled_down(number, 1024.0, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
    };
    short(context, number, unit)
}

fn humanize_duration<'a>(context: &Context<'a>, number: f64) -> Returned<'a> {
    if !number.is_finite() {
        return short(context, number, "");
    }
    if number == 0.0 {
        return short(context, number, "s");
    }
    if number.abs() < 1.0 {
        let (number, unit) = scaled_up(number);
        return format(context, b"%.4g%ss", &[Value::Float(number), Value::borrowed(unit)]);
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let number = number.abs();
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds; too many are the most")]
    let whole = number as i64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3600 % 24, whole / 86_400);
    Ok(Value::string(if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        let args = [Value::borrowed(sign), Value::Float(number)];
        return format(context, b"%s%.4gs", &args);
    }))
}

/// Seconds as nanoseconds.
fn nanos_of(seconds: f64) -> Result<i64, String> {
    let nanos = seconds * 1e9;
    if nanos.is_nan() || nanos.abs() >= 9.223_372_036_854_775e18 {
        return Err(format!(
            "{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was checked")]
    Ok(nanos as i64)
}

/// Seconds since the Unix epoch as a time, to the millisecond.
fn time_of(seconds: f64) -> Result<Time, String> {
    const MILLI: i64 = 1_000_000;
    Ok(Time::from_unix_nanos(nanos_of(seconds)?.div_euclid(MILLI) * MILLI))
}

/// `host:port` or `[host]:port`.
fn split_host_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    if let Some(inner) = host.strip_prefix('[') {
        return Some((inner.strip_suffix(']')?, port));
    }
    (!host.contains([':', '[', ']'])).then_some((host, port))
}

/// The first word of the host's name; addresses stay as they are.
fn strip_domain(address: &str) -> String {
    let (host, port) = match split_host_port(address) {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    if host.parse::<IpAddr>().is_ok() {
        return address.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// The path of Prometheus's page for an expression.
fn link(expression: &[u8], tab: u8) -> String {
    let expression = super::encoding::query_escape(expression);
    format!("/graph?g0.expr={expression}&g0.tab={tab}")
}
