//! Which labels a template may read, found without executing it.

use super::ast::{Branch, Command, List, Node, Operand, Pipe, Term, Trees};

/// The labels, sorted, each once; `None` when the template may look at any.
pub(super) fn labels(main: &str, trees: &Trees) -> Option<Vec<String>> {
    let mut reads = Reads::default();
    for (name, list) in trees {
        // Only the main template starts with the labels. Others get what they are called with, and
        // passing the labels on is giving them away.
        reads.list(list, name == main)?;
    }
    reads.labels.sort_unstable();
    reads.labels.dedup();
    Some(reads.labels)
}

/// The walk; a `None` of its methods says that the labels as a whole got out.
#[derive(Default)]
struct Reads {
    labels: Vec<String>,
}

/// Whether the dot or `$` is the labels.
#[derive(Clone, Copy)]
struct Scope {
    dot: bool,
    root: bool,
}

impl Reads {
    fn list(&mut self, list: &List, is_main: bool) -> Option<()> {
        self.nodes(list, Scope { dot: is_main, root: is_main })
    }

    fn nodes(&mut self, list: &List, scope: Scope) -> Option<()> {
        list.iter().try_for_each(|node| match node {
            Node::Text(_) | Node::Break | Node::Continue => Some(()),
            Node::Action(pipe) => self.pipe(pipe, scope),
            Node::If(branch) => self.branch(branch, scope, scope),
            Node::With(branch) | Node::Range(branch) => {
                self.branch(branch, scope, Scope { dot: false, ..scope })
            }
            Node::Template(invocation) => match &invocation.pipe {
                Some(pipe) => self.pipe(pipe, scope),
                None => Some(()),
            },
        })
    }

    fn branch(&mut self, branch: &Branch, scope: Scope, body: Scope) -> Option<()> {
        self.pipe(&branch.pipe, scope)?;
        self.nodes(&branch.body, body)?;
        branch.otherwise.iter().try_for_each(|list| self.nodes(list, scope))
    }

    fn pipe(&mut self, pipe: &Pipe, scope: Scope) -> Option<()> {
        pipe.commands.iter().try_for_each(|command| self.command(command, scope))
    }

    fn command(&mut self, command: &Command, scope: Scope) -> Option<()> {
        if let [index, from, rest @ ..] = command.args.as_slice()
            && matches!(&index.term, Term::Function(function) if function.name == "index")
            && is_labels(from, scope)
            && let [Operand { term: Term::Text { bytes, .. }, .. }, ..] = rest
        {
            self.labels.push(String::from_utf8_lossy(bytes).into_owned());
            return rest.iter().try_for_each(|operand| self.operand(operand, scope));
        }
        command.args.iter().try_for_each(|operand| self.operand(operand, scope))
    }

    fn operand(&mut self, operand: &Operand, scope: Scope) -> Option<()> {
        if is_labels(operand, scope) {
            return None;
        }
        match &operand.term {
            Term::Field(names) if scope.dot => self.labels.extend(names.first().cloned()),
            Term::Variable(name, names) if scope.root && name == "$" => {
                self.labels.extend(names.first().cloned());
            }
            Term::Pipe(pipe) => return self.pipe(pipe, scope),
            Term::Chain(start, _) => return self.operand(start, scope),
            _ => {}
        }
        Some(())
    }
}

/// Whether the operand is the labels as a whole.
fn is_labels(operand: &Operand, scope: Scope) -> bool {
    match &operand.term {
        Term::Dot => scope.dot,
        Term::Variable(name, names) => scope.root && name == "$" && names.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::template::Template;

    fn labels(source: &str) -> Option<Vec<String>> {
        Template::compile("line", source).unwrap().labels()
    }

    #[test]
    fn labels_are_collected_from_everywhere() {
        for (source, expected) in [
            ("plain", vec![]),
            ("{{.b}} {{.a | upper}} {{.b}}", vec!["a", "b"]),
            ("{{if .a}}{{$.b}}{{else}}{{printf `%s` (lower .c)}}{{end}}", vec!["a", "b", "c"]),
            ("{{with .a}}{{.}}{{.x}}{{else}}{{.b}}{{end}}", vec!["a", "b"]),
            ("{{index . `a-b`}}", vec!["a-b"]),
            ("{{define `t`}}{{.x}}{{end}}{{template `t` .a}}", vec!["a"]),
            ("{{$x := .a}}{{$x}}", vec!["a"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(labels(source), Some(expected), "{source}");
        }
    }

    #[test]
    fn labels_that_get_out_as_a_whole_may_be_read_anywhere() {
        for source in [
            "{{.}}",
            "{{$}}",
            "{{range $k, $v := .}}{{end}}",
            "{{index . .x}}",
            "{{with $x := $}}{{$x.a}}{{end}}",
            "{{template `t` .}}{{define `t`}}{{end}}",
        ] {
            assert_eq!(labels(source), None, "{source}");
        }
    }
}
