//! Execution: a walk over the tree that prints into a buffer.
//!
//! Follows Go's evaluator in what it treats as an error and in which node the message quotes, since
//! both end up in labels that users see.

use std::fmt::{self, Display, Formatter};
use std::rc::Rc;

use super::TemplateData;
use super::ast::{Branch, Command, Invocation, List, Node, Number, Operand, Pipe, Term, Trees};
use super::error::{Halt, Outcome};
use super::functions::{Context, Function, Param, RegexCache, method};
use super::limits::{DEPTH_MAX, OUTPUT_BYTES_MAX, STEPS_MAX, TOO_LARGE, WORK_BYTES_MAX};
use super::print::print;
use super::value::{Text, Value};
use crate::golang::quote;

/// What an execution works on.
pub(super) struct Job<'a> {
    /// Name of the main template.
    pub(super) name: &'a str,
    pub(super) source: &'a str,
    pub(super) trees: &'a Trees,
    pub(super) data: &'a dyn TemplateData,
    pub(super) regexes: &'a RegexCache,
}

/// Appends what the template prints to `out`. After an error `out` holds what was printed so far.
///
/// # Errors
/// Go's message.
pub(super) fn execute<'a>(job: &'a Job<'a>, out: &mut Vec<u8>) -> Result<(), String> {
    let mut run = Run {
        job,
        context: Context { data: job.data, regexes: job.regexes },
        start: out.len(),
        out,
        name: job.name,
        root: Value::Labels,
        variables: Vec::new(),
        stack: Vec::new(),
        at: At::Start,
        depth: 0,
        steps: 0,
        work: 0,
    };
    let Some(main) = job.trees.get(job.name) else {
        return Ok(());
    };
    match run.list(&Value::Labels, main) {
        Err(Halt::Error(message)) => Err(message),
        _ => Ok(()),
    }
}

/// The node at work, which error messages quote.
#[derive(Clone, Copy)]
enum At<'a> {
    Start,
    Invocation(&'a Invocation),
    Pipe(&'a Pipe),
    Command(&'a Command),
    Operand(&'a Operand),
}

impl At<'_> {
    fn offset(self) -> usize {
        match self {
            At::Start => 0,
            At::Invocation(node) => node.offset,
            At::Pipe(node) => node.offset,
            At::Command(node) => node.offset,
            At::Operand(node) => node.offset,
        }
    }
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            At::Start => Ok(()),
            At::Invocation(node) => write!(f, "{node}"),
            At::Pipe(node) => write!(f, "{node}"),
            At::Command(node) => write!(f, "{node}"),
            At::Operand(node) => write!(f, "{node}"),
        }
    }
}

struct Run<'a, 'o> {
    job: &'a Job<'a>,
    context: Context<'a>,
    out: &'o mut Vec<u8>,
    /// Length of the buffer before the execution.
    start: usize,
    /// The template being executed.
    name: &'a str,
    /// What `$` stands for: the dot the template started with.
    root: Value<'a>,
    /// Variables in scope, the innermost last.
    variables: Vec<(&'a str, Value<'a>)>,
    /// Arguments of the calls under way.
    stack: Vec<Value<'a>>,
    at: At<'a>,
    depth: usize,
    steps: usize,
    work: usize,
}

impl<'a> Run<'a, '_> {
    fn fail<T>(&self, message: &str) -> Outcome<T> {
        let before = self.job.source.get(..self.at.offset()).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let (main, name) = (self.job.name, quote(self.name));
        let location = format!("template: {main}:{line}:{column}");
        Err(Halt::Error(format!("{location}: executing {name} at <{}>: {message}", self.at)))
    }

    fn step(&mut self) -> Outcome<()> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return self.fail("execution takes too many steps");
        }
        Ok(())
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.depth == DEPTH_MAX {
            return self.fail(&format!("exceeded maximum template depth ({DEPTH_MAX})"));
        }
        self.depth += 1;
        let outcome = inner(self);
        self.depth -= 1;
        outcome
    }

    fn list(&mut self, dot: &Value<'a>, list: &'a List) -> Outcome<()> {
        list.iter().try_for_each(|node| self.node(dot, node))
    }

    fn node(&mut self, dot: &Value<'a>, node: &'a Node) -> Outcome<()> {
        self.step()?;
        match node {
            Node::Text(text) => self.out.extend_from_slice(text.as_bytes()),
            Node::Action(pipe) => self.action(dot, pipe)?,
            Node::If(branch) => return self.choose(dot, branch, false),
            Node::With(branch) => return self.choose(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template(invocation) => return self.invoke(dot, invocation),
            Node::Break => return Err(Halt::Break),
            Node::Continue => return Err(Halt::Continue),
        }
        if self.out.len() - self.start > OUTPUT_BYTES_MAX {
            return self.fail(TOO_LARGE);
        }
        Ok(())
    }

    fn action(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Outcome<()> {
        // By far the most frequent action needs no value.
        if let (Value::Labels, Some(name)) = (dot, pipe.bare_field()) {
            let label = self.context.data.label(name).unwrap_or_default();
            self.out.extend_from_slice(label.as_bytes());
            return Ok(());
        }
        let value = self.pipe(dot, pipe)?;
        if pipe.variables.is_empty() {
            print(self.out, &value, self.context.data);
        }
        Ok(())
    }

    fn is_true(&self, value: &Value<'_>) -> bool {
        value.is_true(|| self.context.data.labels().len())
    }

    fn choose(&mut self, dot: &Value<'a>, branch: &'a Branch, sets_dot: bool) -> Outcome<()> {
        let outer = self.variables.len();
        self.deeper(|run| {
            let value = run.pipe(dot, &branch.pipe)?;
            if run.is_true(&value) {
                run.list(if sets_dot { &value } else { dot }, &branch.body)
            } else {
                branch.otherwise.iter().try_for_each(|list| run.list(dot, list))
            }
        })?;
        self.variables.truncate(outer);
        Ok(())
    }

    fn range(&mut self, dot: &Value<'a>, branch: &'a Branch) -> Outcome<()> {
        let outer = self.variables.len();
        self.deeper(|run| {
            let value = run.pipe(dot, &branch.pipe)?;
            if !run.iterate(branch, &value)? {
                branch.otherwise.iter().try_for_each(|list| run.list(dot, list))?;
            }
            Ok(())
        })?;
        self.variables.truncate(outer);
        Ok(())
    }

    /// Runs the body for each element; false when there is none.
    fn iterate(&mut self, branch: &'a Branch, value: &Value<'a>) -> Outcome<bool> {
        let index_of = |i: usize| Value::Int(i64::try_from(i).unwrap_or(i64::MAX));
        match value {
            Value::Nil | Value::NilInterface => {}
            Value::List(list) => {
                let pairs = list.iter().enumerate();
                return self.each(branch, pairs.map(|(i, item)| (index_of(i), item.clone())));
            }
            Value::Map(map) => {
                let pairs = map.iter().map(|(k, v)| (Value::bytes(k.clone()), v.clone()));
                return self.each(branch, pairs);
            }
            Value::Labels => {
                let mut labels = self.context.data.labels();
                labels.sort();
                let pairs = labels.into_iter().map(|(k, v)| (Value::string(k), Value::string(v)));
                return self.each(branch, pairs);
            }
            Value::Int(end) => return self.count(branch, value, *end, Value::Int),
            Value::Int64(end) => return self.count(branch, value, *end, Value::Int64),
            Value::Byte(end) => {
                return self.count(branch, value, i64::from(*end), Value::Int64);
            }
            other => {
                let shown = self.printed(other);
                self.fail(&format!("range can't iterate over {shown}"))?;
            }
        }
        Ok(false)
    }

    fn printed(&self, value: &Value<'_>) -> String {
        let mut text = Vec::new();
        print(&mut text, value, self.context.data);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn count(
        &mut self,
        branch: &'a Branch,
        value: &Value<'a>,
        end: i64,
        of: fn(i64) -> Value<'a>,
    ) -> Outcome<bool> {
        if branch.pipe.variables.len() > 1 {
            let shown = self.printed(value);
            let message = format!("can't use {shown} to iterate over more than one variable");
            return self.fail(&message);
        }
        self.each(branch, (0..end).map(|i| (Value::Nil, of(i))))
    }

    fn each(
        &mut self,
        branch: &'a Branch,
        pairs: impl Iterator<Item = (Value<'a>, Value<'a>)>,
    ) -> Outcome<bool> {
        let scope = self.variables.len();
        let (depth, stack) = (self.depth, self.stack.len());
        let mut any = false;
        for (index, element) in pairs {
            any = true;
            self.step()?;
            self.set_loop_variables(&branch.pipe, index, &element)?;
            let outcome = self.list(&element, &branch.body);
            self.variables.truncate(scope);
            // A jump out of the body leaves these as they were inside.
            self.depth = depth;
            self.stack.truncate(stack);
            match outcome {
                Err(Halt::Break) => break,
                Ok(()) | Err(Halt::Continue) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(any)
    }

    /// One variable takes the element; of two the first takes the index.
    fn set_loop_variables(
        &mut self,
        pipe: &'a Pipe,
        index: Value<'a>,
        element: &Value<'a>,
    ) -> Outcome<()> {
        let values = match pipe.variables.len() {
            0 => return Ok(()),
            1 => vec![element.clone()],
            _ => vec![index, element.clone()],
        };
        if pipe.assigns {
            for (name, value) in pipe.variables.iter().zip(values) {
                self.assign(name, value)?;
            }
            return Ok(());
        }
        let first = self.variables.len().saturating_sub(values.len());
        for (slot, value) in self.variables.iter_mut().skip(first).zip(values) {
            slot.1 = value;
        }
        Ok(())
    }

    fn invoke(&mut self, dot: &Value<'a>, invocation: &'a Invocation) -> Outcome<()> {
        self.at = At::Invocation(invocation);
        let Some(list) = self.job.trees.get(&invocation.name) else {
            return self.fail(&format!("template {} not defined", quote(&invocation.name)));
        };
        let dot = match &invocation.pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        let root = std::mem::replace(&mut self.root, dot.clone());
        let outer = std::mem::take(&mut self.variables);
        let name = std::mem::replace(&mut self.name, &invocation.name);
        self.at = At::Invocation(invocation);
        self.deeper(|run| run.list(&dot, list))?;
        self.root = root;
        self.variables = outer;
        self.name = name;
        Ok(())
    }

    /// The value of the last command; declares or assigns the pipeline's variables.
    fn pipe(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Outcome<Value<'a>> {
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

    fn assign(&mut self, name: &str, value: Value<'a>) -> Outcome<()> {
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
        if matches!(receiver, Value::Labels | Value::Map(_)) && (!args.is_empty() || last.is_some())
        {
            return self.fail(&format!("{name} is not a method but has arguments"));
        }
        match receiver {
            Value::Nil => Ok(Value::Nil),
            Value::NilInterface => self.fail(&format!("nil pointer evaluating {type_name}.{name}")),
            Value::Labels => Ok(Value::borrowed(self.context.data.label(name).unwrap_or_default())),
            Value::Map(map) => Ok(map.get(name.as_bytes()).cloned().unwrap_or(Value::NilInterface)),
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
