//! Pipelines, commands, operands and calls.

use std::rc::Rc;

use super::{At, Run};
use crate::golang::quote;
use crate::pipeline::template::ast::{Command, Number, Operand, Pipe, Term};
use crate::pipeline::template::error::Outcome;
use crate::pipeline::template::functions::{Function, Param, method};
use crate::pipeline::template::limits::{OUTPUT_BYTES_MAX, TOO_LARGE, WORK_BYTES_MAX};
use crate::pipeline::template::value::{Text, Value};

impl<'a> Run<'a, '_> {
    /// The value of the last command; declares or assigns the pipeline's variables.
    pub(super) fn pipe(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Outcome<Value<'a>> {
        self.at = At::Pipe(pipe);
        self.deeper(|run| {
            let mut last = None;
            for command in &pipe.commands {
                last = Some(match run.command(dot, command, last)? {
                    Value::NilInterface => Value::Nil,
                    value => value,
                });
            }
            let value = last.unwrap_or(Value::Nil);
            for name in &pipe.variables {
                if pipe.assigns {
                    run.assign(name, value.clone())?;
                } else {
                    run.variables.push((name, value.clone()));
                }
            }
            Ok(value)
        })
    }

    pub(super) fn assign(&mut self, name: &str, value: Value<'a>) -> Outcome<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some(slot) => {
                slot.1 = value;
                Ok(())
            }
            None if name == "$" => {
                self.root = value;
                Ok(())
            }
            None => self.fail(&format!("undefined variable: {name}")),
        }
    }

    /// One command; `last` is the value of the one before.
    fn command(
        &mut self,
        dot: &Value<'a>,
        command: &'a Command,
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        self.step()?;
        let Some((first, args)) = command.args.split_first() else {
            return Ok(Value::Nil);
        };
        match &first.term {
            Term::Field(names) => {
                self.at = At::Operand(first);
                self.chain(dot, dot.clone(), names, At::Operand(first), args, last)
            }
            Term::Chain(start, names) => self.chained(dot, first, start, names, args, last),
            Term::Function(function) => {
                self.at = At::Operand(first);
                self.call(dot, function, At::Command(command), None, args, last)
            }
            Term::Pipe(pipe) => {
                self.no_arguments(first, args, &last)?;
                self.pipe(dot, pipe)
            }
            Term::Variable(name, names) => self.variable(dot, first, (name, names), args, last),
            constant => {
                self.at = At::Operand(first);
                self.no_arguments(first, args, &last)?;
                match constant {
                    Term::Nil => self.fail("nil is not a command"),
                    Term::Dot => Ok(dot.clone()),
                    _ => self.constant(first),
                }
            }
        }
    }

    fn no_arguments(
        &self,
        first: &Operand,
        args: &[Operand],
        last: &Option<Value<'a>>,
    ) -> Outcome<()> {
        if args.is_empty() && last.is_none() {
            return Ok(());
        }
        self.fail(&format!("can't give argument to non-function {first}"))
    }

    /// A literal where any type will do.
    fn constant(&mut self, operand: &'a Operand) -> Outcome<Value<'a>> {
        self.at = At::Operand(operand);
        match &operand.term {
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Text { bytes, .. } => Ok(Value::Text(Text::Borrowed(bytes))),
            Term::Number(Number { float: Some(float), is_fraction: true, .. }) => {
                Ok(Value::Float(*float))
            }
            Term::Number(Number { int: Some(int), .. }) => Ok(Value::Int(*int)),
            Term::Number(number) => self.fail(&format!("{} overflows int", number.literal)),
            _ => self.fail(&format!("can't evaluate command {}", quote(&operand.to_string()))),
        }
    }

    fn variable(
        &mut self,
        dot: &Value<'a>,
        operand: &'a Operand,
        (name, names): (&'a str, &'a [String]),
        args: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        self.at = At::Operand(operand);
        let known = self.variables.iter().rev().find(|(known, _)| *known == name);
        let value = match known {
            Some((_, value)) => value.clone(),
            None if name == "$" => self.root.clone(),
            None => return self.fail(&format!("undefined variable: {name}")),
        };
        if names.is_empty() {
            self.no_arguments(operand, args, &last)?;
            return Ok(value);
        }
        self.chain(dot, value, names, At::Operand(operand), args, last)
    }

    /// `(pipeline).field` or `function.field`.
    fn chained(
        &mut self,
        dot: &Value<'a>,
        operand: &'a Operand,
        start: &'a Operand,
        names: &'a [String],
        args: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        self.at = At::Operand(operand);
        let receiver = match &start.term {
            Term::Pipe(pipe) => self.pipe(dot, pipe)?,
            Term::Function(function) => {
                self.at = At::Operand(start);
                self.call(dot, function, At::Operand(start), None, &[], None)?
            }
            _ => Value::Nil,
        };
        self.chain(dot, receiver, names, At::Operand(operand), args, last)
    }

    /// Fields one after the other; arguments go to the last, should it be a method.
    fn chain(
        &mut self,
        dot: &Value<'a>,
        receiver: Value<'a>,
        names: &'a [String],
        at: At<'a>,
        args: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        let Some((name, before)) = names.split_last() else {
            return Ok(receiver);
        };
        let mut receiver = receiver;
        for name in before {
            receiver = self.field(dot, receiver, name, at, &[], None)?;
        }
        self.field(dot, receiver, name, at, args, last)
    }

    fn field(
        &mut self,
        dot: &Value<'a>,
        receiver: Value<'a>,
        name: &'a str,
        at: At<'a>,
        args: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        if let Some(method) = method(&receiver, name) {
            return self.call(dot, method, at, Some(receiver), args, last);
        }
        let type_name = receiver.type_name();
        let is_map = matches!(receiver, Value::Labels | Value::Map(_) | Value::Strings(_));
        if is_map && (!args.is_empty() || last.is_some()) {
            return self.fail(&format!("{name} is not a method but has arguments"));
        }
        match receiver {
            Value::Nil => Ok(Value::Nil),
            Value::NilInterface => self.fail(&format!("nil pointer evaluating {type_name}.{name}")),
            Value::Labels => Ok(Value::borrowed(self.context.data.label(name).unwrap_or_default())),
            Value::Map(map) => Ok(map.get(name.as_bytes()).cloned().unwrap_or(Value::NilInterface)),
            Value::Strings(map) => {
                Ok(map.get(name.as_bytes()).cloned().unwrap_or(Value::borrowed("")))
            }
            Value::Record(record) if record.get(name).is_some() => {
                Ok(record.get(name).cloned().unwrap_or(Value::Nil))
            }
            _ => self.fail(&format!("can't evaluate field {name} in type {type_name}")),
        }
    }

    /// Calls a function. `on_error` is the node to quote when the function itself fails; `last`, the
    /// value of the command before, becomes the last argument.
    fn call(
        &mut self,
        dot: &Value<'a>,
        function: &'static Function,
        on_error: At<'a>,
        receiver: Option<Value<'a>>,
        args: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        self.check_arity(function, args.len(), last.is_some())?;
        if matches!(function.name, "and" | "or") && receiver.is_none() {
            return self.decide(dot, function.name == "or", args, last);
        }
        let base = self.stack.len();
        self.stack.extend(receiver);
        for (i, arg) in args.iter().enumerate() {
            let value = self.argument(dot, param_at(function, i), arg)?;
            self.stack.push(value);
        }
        if let Some(last) = last {
            let value = self.validate(last, param_at(function, args.len()))?;
            self.stack.push(value);
        }
        let returned = (function.run)(&self.context, &self.stack[base..]);
        self.stack.truncate(base);
        let returned = returned.and_then(|value| self.account(value));
        returned.or_else(|message| {
            self.at = on_error;
            self.fail(&format!("error calling {}: {message}", function.name))
        })
    }

    fn check_arity(&self, function: &Function, args: usize, has_last: bool) -> Outcome<()> {
        let (given, wanted) = (args + usize::from(has_last), function.params.len());
        let name = function.name;
        if function.rest.is_some() {
            if given < wanted {
                let message =
                    format!("wrong number of args for {name}: want at least {wanted} got {args}");
                return self.fail(&message);
            }
        } else if given != wanted {
            let message = format!("wrong number of args for {name}: want {wanted} got {given}");
            return self.fail(&message);
        }
        Ok(())
    }

    /// `and` and `or`: the first argument that decides, without evaluating the others.
    fn decide(
        &mut self,
        dot: &Value<'a>,
        deciding: bool,
        args: &'a [Operand],
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        let mut value = Value::Nil;
        for arg in args {
            value = self.argument(dot, Param::Reflect, arg)?;
            if self.is_true(&value) == deciding {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// Counts what a function computed against the limits.
    fn account(&mut self, value: Value<'a>) -> Result<Value<'a>, String> {
        let bytes = match &value {
            Value::Text(Text::Shared(bytes)) => bytes.len(),
            Value::List(list) if Rc::strong_count(list) == 1 => list.len() * size_of::<Value<'_>>(),
            _ => 0,
        };
        self.work += bytes;
        if bytes > OUTPUT_BYTES_MAX || self.work > WORK_BYTES_MAX {
            return Err(TOO_LARGE.to_owned());
        }
        Ok(value)
    }

    fn argument(
        &mut self,
        dot: &Value<'a>,
        param: Param,
        operand: &'a Operand,
    ) -> Outcome<Value<'a>> {
        self.step()?;
        self.at = At::Operand(operand);
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil if matches!(param, Param::Any | Param::Reflect) => return Ok(Value::Nil),
            Term::Nil => return self.fail(&format!("cannot assign nil to {param}")),
            Term::Field(names) => {
                self.chain(dot, dot.clone(), names, At::Operand(operand), &[], None)?
            }
            Term::Variable(name, names) => self.variable(dot, operand, (name, names), &[], None)?,
            Term::Pipe(pipe) => self.pipe(dot, pipe)?,
            Term::Function(function) => {
                self.call(dot, function, At::Operand(operand), None, &[], None)?
            }
            Term::Chain(start, names) => self.chained(dot, operand, start, names, &[], None)?,
            Term::Bool(_) | Term::Number(_) | Term::Text { .. } => {
                return self.literal(param, operand);
            }
        };
        self.validate(value, param)
    }

    /// A literal takes the type of its parameter, if it can.
    fn literal(&mut self, param: Param, operand: &'a Operand) -> Outcome<Value<'a>> {
        let expected = match (param, &operand.term) {
            (Param::Any | Param::Reflect, _) => return self.constant(operand),
            (Param::Text, Term::Text { bytes, .. }) => {
                return Ok(Value::Text(Text::Borrowed(bytes)));
            }
            (Param::Int, Term::Number(Number { int: Some(int), .. })) => {
                return Ok(Value::Int(*int));
            }
            (Param::Duration, Term::Number(Number { int: Some(int), .. })) => {
                return Ok(Value::Duration(*int));
            }
            (Param::Float, Term::Number(Number { float: Some(float), .. })) => {
                return Ok(Value::Float(*float));
            }
            (Param::Text, _) => "string",
            (Param::Int | Param::Duration, _) => "integer",
            (Param::Float, _) => "float",
            (Param::Time, _) => {
                return self.fail(&format!("can't handle {operand} for arg of type {param}"));
            }
        };
        self.fail(&format!("expected {expected}; found {operand}"))
    }

    /// The value, if it may be passed for the parameter.
    fn validate(&self, value: Value<'a>, param: Param) -> Outcome<Value<'a>> {
        let fits = match param {
            Param::Any | Param::Reflect => true,
            Param::Text => matches!(value, Value::Text(_)),
            Param::Int => matches!(value, Value::Int(_)),
            Param::Float => matches!(value, Value::Float(_)),
            Param::Time => matches!(value, Value::Time(_)),
            Param::Duration => matches!(value, Value::Duration(_)),
        };
        if fits {
            return Ok(value);
        }
        if matches!(value, Value::Nil) {
            return self.fail(&format!("invalid value; expected {param}"));
        }
        let got = value.type_name();
        self.fail(&format!("wrong type for value; expected {param}; got {got}"))
    }
}

/// The type of the parameter at `index`; calls have no more arguments than parameters.
fn param_at(function: &Function, index: usize) -> Param {
    function.params.get(index).copied().or(function.rest).unwrap_or(Param::Any)
}
