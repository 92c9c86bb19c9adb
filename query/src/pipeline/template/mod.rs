//! Go's template language, as `line_format` and `label_format` use it.
//!
//! A [`Template`] is compiled once per query and executed once per line over the labels of the
//! entry. Behaviour and error texts are those of Go's `text/template` with the functions Loki adds,
//! because users see both: in lines, in labels and in `__error_details__`. Three things differ, all
//! to keep a query from exhausting the server: output, computed values and steps are bounded (see
//! `limits`), nesting is bounded more tightly, and complex numbers are refused.
//!
//! The stages of the work have a file each: `lex` makes tokens, `parse` a tree (`ast`), `eval` walks
//! it over values (`value`) with `functions`, and `print` turns values into text.

mod alert;
mod ast;
mod error;
mod eval;
mod functions;
mod lex;
mod limits;
mod literal;
mod parse;
mod print;
mod reads;
#[cfg(test)]
mod tests;
mod time;
mod value;

use self::ast::{Node, Trees};
use self::functions::{FunctionSet, RegexCache};
use self::value::Value;

pub use self::alert::{AlertContext, AlertTemplate};

/// What a template is executed over: one entry.
pub(crate) trait TemplateData {
    /// The value of a label.
    fn label(&self, name: &str) -> Option<&str>;

    /// All labels, in any order, each name once.
    fn labels(&self) -> Vec<(String, String)>;

    /// The current line.
    fn line(&self) -> &str;

    /// The time of the entry, in nanoseconds since the Unix epoch.
    fn timestamp(&self) -> i64;

    /// What the functions of alerts may use; nothing in a pipeline.
    fn alert(&self) -> Option<&AlertContext<'_>> {
        None
    }
}

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template {
    name: String,
    source: String,
    trees: Trees,
    regexes: RegexCache,
}

impl Template {
    /// Compiles a template; `name` stands in error messages.
    ///
    /// # Errors
    /// Go's message, for instance `template: line:1: unclosed action`.
    pub(crate) fn compile(name: &str, source: &str) -> Result<Template, String> {
        Self::compile_with(name, source, FunctionSet::Pipeline)
    }

    fn compile_with(name: &str, source: &str, functions: FunctionSet) -> Result<Template, String> {
        let trees = parse::parse(name, source, functions)?;
        Ok(Template {
            name: name.to_owned(),
            source: source.to_owned(),
            trees,
            regexes: RegexCache::default(),
        })
    }

    /// Appends the text for an entry to `out`. Bytes that are not UTF-8, which cutting functions
    /// may leave, become replacement characters.
    ///
    /// # Errors
    /// Go's message, for instance `template: line:1:3: executing "line" at <now>: wrong number of
    /// args for now: want 0 got 1`. `out` is then as it was.
    pub(crate) fn execute(&self, data: &dyn TemplateData, out: &mut String) -> Result<(), String> {
        self.execute_over(Value::Labels, data, out)
    }

    fn execute_over<'a>(
        &'a self,
        dot: Value<'a>,
        data: &'a dyn TemplateData,
        out: &mut String,
    ) -> Result<(), String> {
        let before = out.len();
        let mut bytes = std::mem::take(out).into_bytes();
        let job = eval::Job {
            name: &self.name,
            source: &self.source,
            trees: &self.trees,
            data,
            regexes: &self.regexes,
            dot,
        };
        let outcome = eval::execute(&job, &mut bytes);
        if outcome.is_err() {
            bytes.truncate(before);
        }
        *out = String::from_utf8(bytes).unwrap_or_else(|error| replace_invalid(error.as_bytes()));
        outcome
    }

    /// The label, when the template is exactly one field such as `{{.level}}`.
    pub(crate) fn field(&self) -> Option<&str> {
        match self.trees.get(&self.name)?.as_slice() {
            [Node::Action(pipe)] => pipe.bare_field(),
            _ => None,
        }
    }

    /// The labels an execution may read, sorted; `None` when it may be any of them.
    pub(crate) fn labels(&self) -> Option<Vec<String>> {
        reads::labels(&self.name, &self.trees)
    }
}

/// One replacement character for every byte outside of UTF-8, as Go's encoders write.
fn replace_invalid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    text
}
