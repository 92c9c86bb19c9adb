//! `| pattern "…"` and `|> "…"`: literals and captures, without backtracking.

use memchr::memmem::Finder;

/// A piece of a pattern.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Text that has to be there.
    Literal(Finder<'static>),
    /// `<name>`, or `<_>` where there is no name.
    Capture(Option<String>),
}

/// Cuts a pattern into nodes. What is no capture (`<>`, `<1x>`, an open `<`) is literal.
///
/// # Errors
/// Two captures that touch.
pub(crate) fn parse(pattern: &str) -> Result<Vec<Node>, String> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut literal = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let Some(name) = leading_capture(rest) else {
            literal.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        if !literal.is_empty() {
            nodes.push(literal_node(&literal));
            literal.clear();
        } else if let Some(Node::Capture(before)) = nodes.last() {
            let before = before.as_deref().unwrap_or("_");
            return Err(format!(
                "found consecutive capture '<{before}><{name}>': invalid expression"
            ));
        }
        nodes.push(Node::Capture((name != "_").then(|| name.to_owned())));
        rest = &rest[name.len() + 2..];
    }
    if !literal.is_empty() {
        nodes.push(literal_node(&literal));
    }
    Ok(nodes)
}

fn literal_node(text: &str) -> Node {
    Node::Literal(Finder::new(text.as_bytes()).into_owned())
}

/// The name in the `<name>` that the text begins with.
fn leading_capture(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let goes_on = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (begins && goes_on).then_some(name)
}
