//! Arithmetic. Operands are converted as `int` and `float64` do.

use super::Param::{Any, Float, Int};
use super::convert::{to_float, to_int};
use super::decimal::Decimal;
use super::{Context, Function, Returned, fixed, int, variadic};
use crate::pipeline::template::value::Value;

const DIVISION_BY_ZERO: &str = "runtime error: integer divide by zero";

pub(super) const ALL: &[Function] = &[
    variadic("add", &[], Any, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).fold(0, i64::wrapping_add)))
    }),
    fixed("sub", &[Any, Any], |_, args| {
        Ok(Value::Int64(operand(args, 0).wrapping_sub(operand(args, 1))))
    }),
    variadic("mul", &[Any], Any, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).fold(1, i64::wrapping_mul)))
    }),
    fixed("div", &[Any, Any], |_, args| divide(args, i64::wrapping_div)),
    fixed("mod", &[Any, Any], |_, args| divide(args, i64::wrapping_rem)),
    variadic("max", &[Any], Any, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).max().unwrap_or(0)))
    }),
    variadic("min", &[Any], Any, |_, args| {
        Ok(Value::Int64(args.iter().map(to_int).min().unwrap_or(0)))
    }),
    variadic("addf", &[], Any, |_, args| {
        // A sum starts from nothing, the others from their first operand.
        fold(Decimal::default(), args, |sum, x| Ok(sum.plus(&x)))
    }),
    variadic("subf", &[Any], Any, |_, args| from_first(args, |a, b| Ok(a.plus(&b.negated())))),
    variadic("mulf", &[Any], Any, |_, args| from_first(args, |a, b| Ok(a.times(&b)))),
    variadic("divf", &[Any], Any, |_, args| {
        from_first(args, |a, b| a.divided_by(&b).ok_or("decimal division by 0"))
    }),
    variadic("maxf", &[Any], Any, |_, args| Ok(extreme(args, f64::INFINITY, f64::max))),
    variadic("minf", &[Any], Any, |_, args| Ok(extreme(args, f64::NEG_INFINITY, f64::min))),
    fixed("ceil", &[Any], |_, args| Ok(Value::Float(float(args, 0).ceil()))),
    fixed("floor", &[Any], |_, args| Ok(Value::Float(float(args, 0).floor()))),
    variadic("round", &[Any, Int], Float, round),
];

fn operand(args: &[Value<'_>], index: usize) -> i64 {
    args.get(index).map_or(0, to_int)
}

fn float(args: &[Value<'_>], index: usize) -> f64 {
    args.get(index).map_or(0.0, to_float)
}

fn divide<'a>(args: &[Value<'a>], operation: fn(i64, i64) -> i64) -> Returned<'a> {
    match operand(args, 1) {
        0 => Err(DIVISION_BY_ZERO.to_owned()),
        divisor => Ok(Value::Int64(operation(operand(args, 0), divisor))),
    }
}

type DecimalOperation = fn(Decimal, Decimal) -> Result<Decimal, &'static str>;

fn from_first<'a>(args: &[Value<'a>], operation: DecimalOperation) -> Returned<'a> {
    let (first, others) = args.split_first().ok_or("missing operand")?;
    fold(decimal(first)?, others, operation)
}

fn fold<'a>(start: Decimal, args: &[Value<'a>], operation: DecimalOperation) -> Returned<'a> {
    let mut result = start;
    for arg in args {
        result = operation(result, decimal(arg)?)?;
    }
    Ok(Value::Float(result.to_float()))
}

fn decimal(value: &Value<'_>) -> Result<Decimal, String> {
    let float = to_float(value);
    Decimal::from_float(float).ok_or_else(|| {
        let name = crate::golang::format_float_v(float);
        format!("Cannot create a Decimal from {name}")
    })
}

/// `winner` is the infinity that wins even against NaN, as in Go's `math.Max`.
fn extreme<'a>(args: &[Value<'a>], winner: f64, pick: fn(f64, f64) -> f64) -> Value<'a> {
    let mut numbers = args.iter().map(to_float);
    let first = numbers.next().unwrap_or(0.0);
    Value::Float(numbers.fold(first, |a, b| {
        if a == winner || b == winner {
            winner
        } else if a.is_nan() || b.is_nan() {
            f64::NAN
        } else {
            pick(a, b)
        }
    }))
}

/// Rounds to so many decimals: up where the next ones reach the third argument, by default a half.
fn round<'a>(_: &Context<'a>, args: &[Value<'a>]) -> Returned<'a> {
    let round_on = args.get(2).map_or(0.5, to_float);
    let places = i32::try_from(int(args, 1)).unwrap_or(if int(args, 1) < 0 { -400 } else { 400 });
    let power = 10f64.powi(places);
    let shifted = power * float(args, 0);
    let rounded = if shifted.fract() >= round_on { shifted.ceil() } else { shifted.floor() };
    Ok(Value::Float(rounded / power))
}
