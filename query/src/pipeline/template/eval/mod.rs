//! Execution: a walk over the tree that prints into a buffer.
//!
//! Follows Go's evaluator in what it treats as an error and in which node the message quotes, since
//! both end up in labels that users see.

mod call;

use std::fmt::{self, Display, Formatter};

use super::TemplateData;
use super::ast::{Branch, Command, Invocation, List, Node, Operand, Pipe, Trees};
use super::error::{Halt, Outcome};
use super::functions::{Context, RegexCache};
use super::limits::{DEPTH_MAX, OUTPUT_BYTES_MAX, STEPS_MAX, TOO_LARGE};
use super::print::print;
use super::value::Value;
use crate::golang::quote;

/// What an execution works on.
pub(super) struct Job<'a> {
    /// Name of the main template.
    pub(super) name: &'a str,
    pub(super) source: &'a str,
    pub(super) trees: &'a Trees,
    pub(super) data: &'a dyn TemplateData,
    pub(super) regexes: &'a RegexCache,
    /// The dot that the main template starts with.
    pub(super) dot: Value<'a>,
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
        root: job.dot.clone(),
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
    match run.list(&job.dot, main) {
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
            Value::Map(map) | Value::Strings(map) => {
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
}
