//! Functions on time, and the methods of times and durations.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Param::{Any, Duration, Int, Text, Time as TimeParam};
use super::encoding::seconds;
use super::{Context, Function, Param, Returned, fixed, int, text, utf8};
use crate::golang::quote_bytes;
use crate::pipeline::template::literal::int_to_float;
use crate::pipeline::template::print::named_text;
use crate::pipeline::template::time::{Time, Zone, parse};
use crate::pipeline::template::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("__timestamp__", &[], |context, _| {
        Ok(Value::Time(Time::from_unix_nanos(context.data.timestamp())))
    }),
    fixed("now", &[], |_, _| Ok(Value::Time(now()))),
    fixed("date", &[Text, Any], date),
    fixed("toDate", &[Text, Text], |_, args| {
        Ok(to_date(&utf8(args, 0), &utf8(args, 1), Zone::Utc))
    }),
    fixed("toDateInZone", &[Text, Text, Text], |_, args| {
        Ok(to_date(&utf8(args, 0), &utf8(args, 2), Zone::load(&utf8(args, 1))))
    }),
    fixed("unixEpoch", &[TimeParam], |_, args| Ok(epoch(args, 1))),
    fixed("unixEpochMillis", &[TimeParam], |_, args| Ok(epoch(args, 1_000))),
    fixed("unixEpochNanos", &[TimeParam], |_, args| Ok(epoch(args, 1_000_000_000))),
    fixed("unixToTime", &[Text], |_, args| unix_to_time(text(args, 0))),
];

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = i64::from(since.subsec_nanos());
    Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos)
}

/// What is neither a time nor seconds stands for the current time.
fn date<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let time = match args.get(1) {
        Some(Value::Time(time)) => time.clone(),
        Some(Value::Int(unix) | Value::Int64(unix)) => Time::from_unix(*unix, 0),
        _ => now(),
    };
    Ok(Value::string(time.in_zone(Zone::Utc).format(&utf8(args, 0))))
}

fn to_date<'a>(layout: &str, text: &str, zone: Zone) -> Value<'a> {
    Value::Time(parse(layout, text, zone).unwrap_or_else(Time::zero))
}

fn epoch<'a>(args: &[Value<'a>], per_second: i64) -> Value<'a> {
    Value::string(time(args, 0).unix_in(per_second).to_string())
}

fn time(args: &[Value<'_>], index: usize) -> Time {
    match args.get(index) {
        Some(Value::Time(time)) => time.clone(),
        _ => Time::zero(),
    }
}

/// The number of digits tells the unit: 5 days, 10 seconds, 13 milli-, 16 micro-, 19 nanoseconds.
fn unix_to_time<'a>(text: &[u8]) -> Returned<'a> {
    let shown = String::from_utf8_lossy(text);
    let number = parse_decimal(text).map_err(|problem| {
        let parsing = quote_bytes(text);
        format!("unable to parse time '{shown}': strconv.ParseInt: parsing {parsing}: {problem}")
    })?;
    let nanos_per_unit: i64 = match text.len() {
        5 => 86_400_000_000_000,
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        // Go formats a missing error here.
        _ => return Err(format!("unable to parse time '{shown}': %!w(<nil>)")),
    };
    Ok(Value::Time(Time::from_unix_nanos(number.wrapping_mul(nanos_per_unit))))
}

fn parse_decimal(text: &[u8]) -> Result<i64, &'static str> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("invalid syntax");
    }
    let text = std::str::from_utf8(text).map_err(|_| "invalid syntax")?;
    text.parse().map_err(|_| "value out of range")
}

/// The method of that name, if values of this type have it. Its first argument is the receiver.
pub(in super::super) fn method(receiver: &Value<'_>, name: &str) -> Option<&'static Function> {
    let methods = match receiver {
        Value::Time(_) => TIME_METHODS,
        Value::Duration(_) => DURATION_METHODS,
        Value::Month(_) | Value::Weekday(_) => NAME_METHODS,
        _ => return None,
    };
    methods.iter().find(|method| method.name == name)
}

/// The receiver is not among the parameters.
const fn of(name: &'static str, params: &'static [Param], run: super::Run) -> Function {
    fixed(name, params, run)
}

const TIME_METHODS: &[Function] = &[
    of("Add", &[Duration], |_, args| Ok(Value::Time(time(args, 0).plus(int(args, 1))))),
    of("AddDate", &[Int, Int, Int], |_, args| {
        let (years, months, days) = (int(args, 1), int(args, 2), int(args, 3));
        Ok(Value::Time(time(args, 0).plus_date(years, months, days)))
    }),
    of("After", &[TimeParam], |_, args| {
        Ok(Value::Bool(time(args, 0).order(&time(args, 1)).is_gt()))
    }),
    of("Before", &[TimeParam], |_, args| {
        Ok(Value::Bool(time(args, 0).order(&time(args, 1)).is_lt()))
    }),
    of("Equal", &[TimeParam], |_, args| {
        Ok(Value::Bool(time(args, 0).order(&time(args, 1)).is_eq()))
    }),
    of("Compare", &[TimeParam], |_, args| {
        Ok(Value::Int(i64::from(time(args, 0).order(&time(args, 1)) as i8)))
    }),
    of("Sub", &[TimeParam], |_, args| Ok(Value::Duration(time(args, 0).since(&time(args, 1))))),
    of("Format", &[Text], |_, args| Ok(Value::string(time(args, 0).format(&utf8(args, 1))))),
    of("String", &[], |_, args| Ok(Value::string(time(args, 0).print()))),
    of("IsZero", &[], |_, args| Ok(Value::Bool(time(args, 0).is_zero()))),
    of("UTC", &[], |_, args| Ok(Value::Time(time(args, 0).in_zone(Zone::Utc)))),
    of("Local", &[], |_, args| Ok(Value::Time(time(args, 0).in_zone(Zone::Utc)))),
    of("Unix", &[], |_, args| Ok(Value::Int64(time(args, 0).unix()))),
    of("UnixMilli", &[], |_, args| Ok(Value::Int64(time(args, 0).unix_in(1_000)))),
    of("UnixMicro", &[], |_, args| Ok(Value::Int64(time(args, 0).unix_in(1_000_000)))),
    of("UnixNano", &[], |_, args| Ok(Value::Int64(time(args, 0).unix_in(1_000_000_000)))),
    of("Year", &[], |_, args| Ok(Value::Int(time(args, 0).civil().year))),
    of("Month", &[], |_, args| Ok(Value::Month(time(args, 0).civil().month))),
    of("Day", &[], |_, args| Ok(Value::Int(time(args, 0).civil().day))),
    of("Weekday", &[], |_, args| Ok(Value::Weekday(time(args, 0).civil().weekday))),
    of("YearDay", &[], |_, args| Ok(Value::Int(time(args, 0).civil().year_day))),
    of("Hour", &[], |_, args| Ok(Value::Int(time(args, 0).civil().hour))),
    of("Minute", &[], |_, args| Ok(Value::Int(time(args, 0).civil().minute))),
    of("Second", &[], |_, args| Ok(Value::Int(time(args, 0).civil().second))),
    of("Nanosecond", &[], |_, args| Ok(Value::Int(time(args, 0).nanosecond()))),
];

const DURATION_METHODS: &[Function] = &[
    of("String", &[], own_text),
    of("Nanoseconds", &[], |_, args| Ok(Value::Int64(int(args, 0)))),
    of("Microseconds", &[], |_, args| Ok(Value::Int64(int(args, 0) / 1_000))),
    of("Milliseconds", &[], |_, args| Ok(Value::Int64(int(args, 0) / 1_000_000))),
    of("Seconds", &[], |_, args| Ok(Value::Float(seconds(int(args, 0))))),
    of("Minutes", &[], |_, args| Ok(Value::Float(in_units(int(args, 0), 60)))),
    of("Hours", &[], |_, args| Ok(Value::Float(in_units(int(args, 0), 3600)))),
    of("Abs", &[], |_, args| Ok(Value::Duration(int(args, 0).saturating_abs()))),
    of("Truncate", &[Duration], |_, args| {
        let (duration, unit) = (int(args, 0), int(args, 1));
        Ok(Value::Duration(if unit > 0 { duration - duration % unit } else { duration }))
    }),
];

const NAME_METHODS: &[Function] = &[of("String", &[], own_text)];

fn own_text<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    Ok(Value::string(args.first().and_then(named_text).unwrap_or_default()))
}

/// Whole units and the rest, added as floats.
fn in_units(nanos: i64, seconds: i64) -> f64 {
    let unit = seconds * 1_000_000_000;
    int_to_float(nanos / unit) + int_to_float(nanos % unit) / int_to_float(unit)
}
