//! The functions templates may call: Go's builtins and those Loki adds.
//!
//! A function gives its parameter types, so that arguments are checked in one place with Go's error
//! texts, and takes values of exactly those types.

mod alerting;
mod builtin;
mod convert;
mod decimal;
mod encoding;
mod math;
mod strings;
mod time;

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::bytes::Regex;

use super::TemplateData;
use super::value::Value;
use crate::golang::compile_regex;

pub(super) use self::time::method;

/// What a parameter accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    Text,
    Int,
    Float,
    Time,
    Duration,
    /// Any value, nil included.
    Any,
    /// Any value, taken as Go's builtins do.
    Reflect,
}

impl Display for Param {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Param::Text => "string",
            Param::Int => "int",
            Param::Float => "float64",
            Param::Time => "time.Time",
            Param::Duration => "time.Duration",
            Param::Any => "interface {}",
            Param::Reflect => "reflect.Value",
        })
    }
}

/// What functions may use beside their arguments.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) data: &'a dyn TemplateData,
    pub(super) regexes: &'a RegexCache,
}

/// The result of a function or the text of its error.
pub(super) type Returned<'a> = Result<Value<'a>, String>;

type Run = for<'a> fn(&Context<'a>, &[Value<'a>]) -> Returned<'a>;

/// A function by name.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) params: &'static [Param],
    /// The type of any number of further arguments.
    pub(super) rest: Option<Param>,
    pub(super) run: Run,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn fixed(name: &'static str, params: &'static [Param], run: Run) -> Function {
    Function { name, params, rest: None, run }
}

const fn variadic(name: &'static str, params: &'static [Param], rest: Param, run: Run) -> Function {
    Function { name, params, rest: Some(rest), run }
}

/// Which functions a template may call, beside Go's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FunctionSet {
    /// Those of `line_format` and `label_format`.
    Pipeline,
    /// Those of alerts.
    Alerting,
}

type ByName = HashMap<&'static str, &'static Function>;

fn by_name(groups: &[&'static [Function]]) -> ByName {
    groups.iter().copied().flatten().map(|function| (function.name, function)).collect()
}

/// The function of that name.
pub(super) fn find(name: &str, set: FunctionSet) -> Option<&'static Function> {
    static PIPELINE: LazyLock<ByName> = LazyLock::new(|| {
        by_name(&[builtin::ALL, strings::ALL, encoding::ALL, math::ALL, time::ALL])
    });
    static ALERTING: LazyLock<ByName> = LazyLock::new(|| by_name(&[builtin::ALL, alerting::ALL]));
    let functions = match set {
        FunctionSet::Pipeline => &PIPELINE,
        FunctionSet::Alerting => &ALERTING,
    };
    functions.get(name).copied()
}

/// Regular expressions of one template, compiled when first used. They are arguments like any other,
/// hence known only then, but hardly ever change from one line to the next.
#[derive(Debug, Default)]
pub(super) struct RegexCache(Mutex<HashMap<String, Arc<Regex>>>);

impl RegexCache {
    /// Beyond so many the expressions come from the data, and keeping them is of no use.
    const REGEXES_MAX: usize = 64;

    fn compile(&self, source: &[u8]) -> Result<Arc<Regex>, String> {
        let source = String::from_utf8_lossy(source);
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = lock().get(source.as_ref()) {
            return Ok(Arc::clone(regex));
        }
        let regex = Arc::new(compile_regex(&source)?);
        let mut cached = lock();
        if cached.len() < Self::REGEXES_MAX {
            cached.insert(source.into_owned(), Arc::clone(&regex));
        }
        Ok(regex)
    }
}

/// The text argument at `index`. Types were checked before the call, so there is one.
fn text<'v>(args: &'v [Value<'_>], index: usize) -> &'v [u8] {
    args.get(index).and_then(Value::as_text).unwrap_or_default()
}

/// The text argument at `index` for functions that only make sense of UTF-8.
fn utf8<'v>(args: &'v [Value<'_>], index: usize) -> std::borrow::Cow<'v, str> {
    String::from_utf8_lossy(text(args, index))
}

/// The integer argument at `index`.
fn int(args: &[Value<'_>], index: usize) -> i64 {
    args.get(index).and_then(Value::as_int).unwrap_or_default()
}
