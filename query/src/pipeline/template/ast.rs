//! The parsed template. Every node knows its byte offset and prints as the source it came from,
//! because execution errors quote both.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use super::functions::Function;
use crate::golang::quote;

/// All templates of one source: the main one and what `define` and `block` add, by name.
pub(super) type Trees = HashMap<String, List>;

pub(super) type List = Vec<Node>;

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template(Invocation),
    Break,
    Continue,
}

/// `if`, `with` and `range` with their `else`.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: List,
    pub(super) otherwise: Option<List>,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) offset: usize,
    pub(super) name: String,
    pub(super) pipe: Option<Pipe>,
}

/// Commands, each taking the value of the one before as its last argument.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) offset: usize,
    /// Variables that receive the value, `$` included.
    pub(super) variables: Vec<String>,
    /// Whether the variables exist already (`=`) or are new (`:=`).
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function, method or operand with its arguments; never empty.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) offset: usize,
    pub(super) args: Vec<Operand>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) offset: usize,
    pub(super) term: Term,
}

#[derive(Debug)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    /// The literal as written and the bytes it stands for, which need not be UTF-8.
    Text {
        literal: String,
        bytes: Vec<u8>,
    },
    /// `.a.b`.
    Field(Vec<String>),
    /// `$x` or `$x.a`; the name includes the `$`.
    Variable(String, Vec<String>),
    Function(&'static Function),
    Pipe(Box<Pipe>),
    /// `(pipeline).a.b`.
    Chain(Box<Operand>, Vec<String>),
}

/// A number without a type until it meets a parameter.
#[derive(Debug)]
pub(super) struct Number {
    pub(super) literal: String,
    pub(super) int: Option<i64>,
    pub(super) float: Option<f64>,
    /// Whether the literal is written as a fraction or with an exponent.
    pub(super) is_fraction: bool,
}

impl Pipe {
    /// The name, when the pipeline is nothing but one field of the dot.
    pub(super) fn bare_field(&self) -> Option<&str> {
        match (self.commands.as_slice(), self.variables.is_empty()) {
            ([Command { args, .. }], true) => match args.as_slice() {
                [Operand { term: Term::Field(names), .. }] => match names.as_slice() {
                    [name] => Some(name),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }
}

impl Display for Invocation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match &arg.term {
                Term::Pipe(pipe) => write!(f, "({pipe})")?,
                _ => write!(f, "{arg}")?,
            }
        }
        Ok(())
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Bool(value) => write!(f, "{value}"),
            Term::Number(number) => f.write_str(&number.literal),
            Term::Text { literal, .. } => f.write_str(literal),
            Term::Field(names) => write_fields(f, names),
            Term::Variable(name, names) => {
                f.write_str(name)?;
                write_fields(f, names)
            }
            Term::Function(function) => f.write_str(function.name),
            Term::Pipe(pipe) => write!(f, "{pipe}"),
            Term::Chain(start, names) => {
                match &start.term {
                    Term::Pipe(pipe) => write!(f, "({pipe})")?,
                    _ => write!(f, "{start}")?,
                }
                write_fields(f, names)
            }
        }
    }
}

fn write_fields(f: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}
