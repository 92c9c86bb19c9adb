//! From tokens to the tree, with Go's error texts.

use std::collections::HashMap;

use super::ast::{Branch, Command, Invocation, List, Node, Number, Operand, Pipe, Term, Trees};
use super::functions::{self, FunctionSet};
use super::lex::{Kind, Lexer, Token};
use super::literal::{self, InvalidLiteral};
use crate::golang::quote;

/// How deep parentheses and control structures may nest, together. Bounds the stack that parsing
/// and execution need.
const NESTING_MAX: usize = 100;

/// Parses `source`; the main template is stored under `name`.
///
/// # Errors
/// Go's message, for instance `template: line:1: unclosed action`.
pub(super) fn parse(name: &str, source: &str, functions: FunctionSet) -> Result<Trees, String> {
    let mut parser = Parser {
        name,
        functions,
        lexer: Lexer::new(source),
        ahead: Vec::new(),
        last_line: 1,
        action_line: None,
        variables: vec!["$".to_owned()],
        range_depth: 0,
        nesting: 0,
        trees: HashMap::new(),
    };
    let main = parser.main()?;
    parser.add(name.to_owned(), main)?;
    Ok(parser.trees)
}

#[derive(Debug)]
struct Parser<'s> {
    name: &'s str,
    functions: FunctionSet,
    lexer: Lexer<'s>,
    /// Tokens handed back, the next one last.
    ahead: Vec<Token>,
    /// Line of the newest token; errors are reported there.
    last_line: usize,
    /// Line where the current action started.
    action_line: Option<usize>,
    variables: Vec<String>,
    range_depth: usize,
    nesting: usize,
    trees: Trees,
}

type Parsed<T> = Result<T, String>;

/// What stands between the items of a list.
enum Item {
    Node(Node),
    End,
    Else,
}

impl Item {
    fn describe(&self) -> &'static str {
        match self {
            Item::Else => "{{else}}",
            _ => "{{end}}",
        }
    }
}

impl Parser<'_> {
    fn next(&mut self) -> Token {
        if let Some(token) = self.ahead.pop() {
            return token;
        }
        let token = self.lexer.next();
        self.last_line = token.line;
        token
    }

    fn back(&mut self, token: Token) {
        self.ahead.push(token);
    }

    fn peek(&mut self) -> &Token {
        if self.ahead.is_empty() {
            let token = self.next();
            self.ahead.push(token);
        }
        &self.ahead[self.ahead.len() - 1]
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> &Token {
        let token = self.next_non_space();
        self.back(token);
        self.peek()
    }

    fn error<T>(&self, message: &str) -> Parsed<T> {
        Err(format!("template: {}:{}: {message}", self.name, self.last_line))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.error(&format!("unexpected {} in {context}", token.describe()));
        }
        let message = token.describe();
        match self.action_line {
            Some(line) if line != token.line => {
                let action = if message.ends_with(" action") { "" } else { " in action" };
                let place = format!("{message}{action} started at {}:{line}", self.name);
                self.error(&place)
            }
            _ => self.error(&message),
        }
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            return self.error("max expression depth exceeded");
        }
        self.nesting += 1;
        let parsed = inner(self);
        self.nesting -= 1;
        parsed
    }

    fn main(&mut self) -> Parsed<List> {
        let mut list = List::new();
        while self.peek().kind != Kind::Eof {
            let token = self.next();
            if token.kind == Kind::LeftDelim && self.peek_non_space().kind == Kind::Define {
                self.next_non_space();
                self.definition()?;
                continue;
            }
            self.back(token);
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                end => return self.error(&format!("unexpected {}", end.describe())),
            }
        }
        Ok(list)
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        self.associated(name, CONTEXT)
    }

    /// The body of `define` or `block`: it sees none of the variables around it.
    fn associated(&mut self, name: String, context: &str) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let outer_ranges = std::mem::take(&mut self.range_depth);
        let (list, end) = self.nested(Self::item_list)?;
        if !matches!(end, Item::End) {
            return self.error(&format!("unexpected {} in {context}", end.describe()));
        }
        self.variables = outer;
        self.range_depth = outer_ranges;
        self.add(name, list)
    }

    /// Keeps a template. An empty one gives way to, and never replaces, one with content.
    fn add(&mut self, name: String, list: List) -> Parsed<()> {
        match self.trees.get(&name) {
            Some(known) if !is_empty(known) => {
                if is_empty(&list) {
                    return Ok(());
                }
                let name = quote(&name);
                self.error(&format!("template: multiple definition of template {name}"))
            }
            _ => {
                self.trees.insert(name, list);
                Ok(())
            }
        }
    }

    fn item_list(&mut self) -> Parsed<(List, Item)> {
        let mut list = List::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                end => return Ok((list, end)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = Some(token.line);
                let item = self.action()?;
                self.action_line = None;
                Ok(item)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => self.loop_control("{{break}}", Node::Break)?,
            Kind::Continue => self.loop_control("{{continue}}", Node::Continue)?,
            Kind::Else => return self.else_control(),
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::End);
            }
            Kind::If => Node::If(self.control("if")?),
            Kind::Range => Node::Range(self.control("range")?),
            Kind::With => Node::With(self.control("with")?),
            Kind::Template => self.invocation()?,
            _ => {
                self.back(token);
                // Variables declared here live until the next end.
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, name: &str, node: Node) -> Parsed<Node> {
        self.expect(Kind::RightDelim, name)?;
        if self.range_depth == 0 {
            return self.error(&format!("{name} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn else_control(&mut self) -> Parsed<Item> {
        // `else if` and `else with` leave their word for the structure they belong to.
        if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
            self.expect(Kind::RightDelim, "else")?;
        }
        Ok(Item::Else)
    }

    fn control(&mut self, context: &str) -> Parsed<Branch> {
        let outer = self.variables.len();
        let branch = self.nested(|parser| parser.branch(context))?;
        self.variables.truncate(outer);
        Ok(branch)
    }

    fn branch(&mut self, context: &str) -> Parsed<Branch> {
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let ranges = usize::from(context == "range");
        self.range_depth += ranges;
        let (body, end) = self.item_list()?;
        self.range_depth -= ranges;
        let otherwise = match end {
            Item::Else => Some(self.otherwise(context)?),
            _ => None,
        };
        Ok(Branch { pipe, body, otherwise })
    }

    /// What follows `else`. A chained `if` or `with` shares the one `end`.
    fn otherwise(&mut self, context: &str) -> Parsed<List> {
        match (context, self.peek().kind) {
            ("if", Kind::If) => {
                self.next();
                Ok(vec![Node::If(self.control("if")?)])
            }
            ("with", Kind::With) => {
                self.next();
                Ok(vec![Node::With(self.control("with")?)])
            }
            _ => {
                let (list, end) = self.item_list()?;
                if matches!(end, Item::End) {
                    return Ok(list);
                }
                self.error(&format!("expected end; found {}", end.describe()))
            }
        }
    }

    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        self.associated(name.clone(), CONTEXT)?;
        Ok(Node::Template(Invocation { offset: token.offset, name, pipe: Some(pipe) }))
    }

    fn invocation(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let next = self.next_non_space();
        let pipe = if next.kind == Kind::RightDelim {
            None
        } else {
            self.back(next);
            Some(self.pipeline(CONTEXT, Kind::RightDelim)?)
        };
        Ok(Node::Template(Invocation { offset: token.offset, name, pipe }))
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.unexpected(token, context);
        }
        match literal::unquote(&token.text) {
            Ok(name) => Ok(String::from_utf8_lossy(&name).into_owned()),
            Err(InvalidLiteral) => self.error("invalid syntax"),
        }
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let mut pipe = Pipe {
            offset: self.peek_non_space().offset,
            variables: Vec::new(),
            assigns: false,
            commands: Vec::new(),
        };
        while self.peek_non_space().kind == Kind::Variable {
            if !self.declaration(&mut pipe, context)? {
                break;
            }
        }
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    self.check_pipeline(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.back(token);
                    pipe.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// Reads one `$x :=`, `$x =` or `$x,`; true when another may follow.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<bool> {
        let variable = self.next();
        let after = self.next();
        let next = if after.kind == Kind::Space { self.next_non_space() } else { after.clone() };
        match next.kind {
            Kind::Assign | Kind::Declare => {
                pipe.assigns = next.kind == Kind::Assign;
                self.variables.push(variable.text.clone());
                pipe.variables.push(variable.text);
                Ok(false)
            }
            Kind::Char if next.text == "," => {
                self.variables.push(variable.text.clone());
                pipe.variables.push(variable.text);
                if context != "range" || pipe.variables.len() > 1 {
                    return self.error(&format!("too many declarations in {context}"));
                }
                match self.peek_non_space().kind {
                    Kind::Variable | Kind::RightDelim | Kind::RightParen => Ok(true),
                    _ => self.error("range can only initialize variables"),
                }
            }
            _ => {
                // A variable used, not declared. The blank after it matters: it ends the operand.
                if after.kind == Kind::Space {
                    self.back(next);
                }
                self.back(after);
                self.back(variable);
                Ok(false)
            }
        }
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.error(&format!("missing value for {context}"));
        }
        for (i, command) in pipe.commands.iter().enumerate().skip(1) {
            let constant = matches!(
                command.args.first().map(|arg| &arg.term),
                Some(Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text { .. })
            );
            if constant {
                let stage = i + 1;
                return self.error(&format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    /// Operands with blanks between, up to a pipe sign, which is consumed, or the end.
    fn command(&mut self) -> Parsed<Command> {
        let offset = self.peek_non_space().offset;
        let mut args = Vec::new();
        loop {
            self.peek_non_space();
            args.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.back(token);
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if args.is_empty() {
            return self.error("empty command");
        }
        Ok(Command { offset, args })
    }

    /// A term with the fields behind it.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(operand) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let offset = self.peek().offset;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.next().text.trim_start_matches('.').to_owned());
        }
        let term = match operand.term {
            Term::Field(mut first) => {
                first.append(&mut names);
                Term::Field(first)
            }
            Term::Variable(name, _) => Term::Variable(name, names),
            Term::Bool(_) | Term::Text { .. } | Term::Number(_) | Term::Nil | Term::Dot => {
                let term = quote(&operand.to_string());
                return self.error(&format!("unexpected . after term {term}"));
            }
            _ => Term::Chain(Box::new(operand), names),
        };
        Ok(Some(Operand { offset, term }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_non_space();
        let term = match token.kind {
            Kind::Identifier => match functions::find(&token.text, self.functions) {
                Some(function) => Term::Function(function),
                None => {
                    let name = quote(&token.text);
                    return self.error(&format!("function {name} not defined"));
                }
            },
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::Variable => self.variable(&token.text)?,
            Kind::Field => Term::Field(vec![token.text.trim_start_matches('.').to_owned()]),
            Kind::Number => Term::Number(self.number(literal::number(&token.text))?),
            Kind::CharConstant => Term::Number(self.number(literal::character(&token.text))?),
            Kind::String | Kind::RawString => match literal::unquote(&token.text) {
                Ok(bytes) => Term::Text { literal: token.text.clone(), bytes },
                Err(InvalidLiteral) => return self.error("invalid syntax"),
            },
            Kind::LeftParen => {
                let pipe = self
                    .nested(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?;
                return Ok(Some(Operand { offset: pipe.offset, term: Term::Pipe(Box::new(pipe)) }));
            }
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { offset: token.offset, term }))
    }

    fn number(&self, number: Result<Number, String>) -> Parsed<Number> {
        number.or_else(|message| self.error(&message))
    }

    fn variable(&self, name: &str) -> Parsed<Term> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(Term::Variable(name.to_owned(), Vec::new()));
        }
        self.error(&format!("undefined variable {}", quote(name)))
    }
}

fn is_empty(list: &List) -> bool {
    list.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, source: &str) -> Result<Trees, String> {
        super::parse(name, source, FunctionSet::Pipeline)
    }

    fn error(source: &str) -> String {
        parse("line", source).unwrap_err()
    }

    #[test]
    fn syntax_errors_read_as_in_go() {
        for (source, message) in [
            ("{{}}", "missing value for command"),
            ("{{ ( ) }}", "missing value for parenthesized pipeline"),
            ("{{ nosuch }}", "function \"nosuch\" not defined"),
            ("{{ $x }}", "undefined variable \"$x\""),
            ("{{ true.any }}", "unexpected . after term \"true\""),
            ("{{ 12 | false }}", "non executable command in pipeline stage 2"),
            ("{{ if .x }}", "unexpected EOF"),
            ("{{ end }}", "unexpected {{end}}"),
            ("{{ else }}", "unexpected {{else}}"),
            ("{{ if .x }}{{ else }}{{ else }}{{ end }}", "expected end; found {{else}}"),
            ("{{ break }}", "{{break}} outside {{range}}"),
            ("{{ $a, $b := .x }}", "too many declarations in command"),
            ("{{ range $a, .x }}{{ end }}", "range can only initialize variables"),
            ("{{ template .x }}", "unexpected \".x\" in template clause"),
            ("{{ `x`3 }}", "unexpected \"3\" in operand"),
            ("{{ template `x` . | }}{{ define 5 }}", "unexpected \"5\" in define clause"),
            ("{{ \"\\q\" }}", "invalid syntax"),
            ("{{ .x | range }}", "unexpected <range> in command"),
            ("{{ 99999999999999999999 }}", "integer overflow: \"99999999999999999999\""),
        ] {
            assert_eq!(error(source), format!("template: line:1: {message}"), "{source}");
        }
    }

    #[test]
    fn errors_name_the_line_of_the_newest_token() {
        assert_eq!(error("a\nb {{ nosuch }}"), "template: line:2: function \"nosuch\" not defined");
        assert_eq!(error("{{ .x\n\n"), "template: line:3: unclosed action started at line:1");
    }

    #[test]
    fn a_template_has_one_definition_with_content() {
        assert!(parse("line", "{{define `a`}} {{end}}{{define `a`}}x{{end}}").is_ok());
        assert_eq!(
            error("{{define `a`}}y{{end}}{{define `a`}}x{{end}}"),
            "template: line:1: template: multiple definition of template \"a\""
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(1000), ")".repeat(1000));
        assert_eq!(error(&deep), "template: line:1: max expression depth exceeded");
    }

    #[test]
    fn pipelines_print_as_their_source() {
        let trees = parse("line", "{{ $x := .a.b | printf \"%s\" (len .c) $.d }}").unwrap();
        let Node::Action(pipe) = &trees["line"][0] else { panic!("not an action") };
        assert_eq!(pipe.to_string(), "$x := .a.b | printf \"%s\" (len .c) $.d");
    }
}
