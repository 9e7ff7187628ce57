//! From a text to its pieces, or to the first place that is not right, with line and column.

use serde_json::Value;

use super::{
    Call, Expression, Node, Piece,
    helpers::{HELPERS, Helper},
};
use crate::messages::request::excerpt;

/// Helpers within each other at most.
const NESTING_MAX: usize = 4;
/// Names in a path at most.
const PATH_MAX: usize = 16;
/// Arguments of a helper at most, named ones included.
const ARGUMENTS_MAX: usize = 16;

/// What kind of thing is not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be read.
    Malformed,
    /// Handlebars has it and templates do not: a block, a partial, a comment, raw output.
    Unsupported,
    /// No such helper.
    HelperUnknown,
    /// A helper is given too much, too little or something else.
    Arguments,
}

/// Where a text is not right, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What kind of thing is not right.
    pub fault: Fault,
    /// What, and what to do.
    pub message: String,
}

/// Reads a text.
///
/// # Errors
/// The first place that is not right.
pub fn parse(source: &str) -> Result<Vec<Piece>, SyntaxError> {
    let mut parser = Parser { source, at: 0 };
    let mut pieces = Vec::new();
    while let Some(offset) = parser.rest().find("{{") {
        let open = parser.at + offset;
        if source[..open].ends_with('\\') {
            let message = "\\{{ would stand for braces, which no template can have in its text";
            return Err(parser.fault(open - 1, Fault::Unsupported, message));
        }
        if offset > 0 {
            pieces.push(Piece::Text(source[parser.at..open].to_owned()));
        }
        parser.at = open;
        pieces.push(Piece::Expression(parser.expression()?));
    }
    if !parser.rest().is_empty() {
        pieces.push(Piece::Text(parser.rest().to_owned()));
    }
    Ok(pieces)
}

/// Reads a text that is one expression and nothing else.
///
/// # Errors
/// The first place that is not right.
pub fn expression(source: &str) -> Result<Expression, SyntaxError> {
    let mut parser = Parser { source, at: 0 };
    if !source.starts_with("{{") {
        return Err(parser.fault(0, Fault::Malformed, "must be one expression in double braces"));
    }
    let expression = parser.expression()?;
    if parser.rest().is_empty() {
        Ok(expression)
    } else {
        Err(parser.fault(parser.at, Fault::Malformed, "must end with the expression"))
    }
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Parser<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fault(&self, at: usize, fault: Fault, message: impl Into<String>) -> SyntaxError {
        let before = &self.source[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SyntaxError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            fault,
            message: message.into(),
        }
    }

    fn malformed(&self, message: impl Into<String>) -> SyntaxError {
        self.fault(self.at, Fault::Malformed, message)
    }

    fn skip_blanks(&mut self) {
        self.at = self.source.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// From its opening braces to its closing ones.
    fn expression(&mut self) -> Result<Expression, SyntaxError> {
        let open = self.at;
        self.at += "{{".len();
        if let Some(what) = self.peek().and_then(unsupported) {
            return Err(self.fault(open, Fault::Unsupported, what));
        }
        self.skip_blanks();
        if self.rest().starts_with("}}") {
            return Err(self.fault(open, Fault::Malformed, "there is no expression between the braces"));
        }
        let start = self.at;
        let node = self.value(0)?;
        let node = match node {
            Node::Path(path) => self.call_or_path(path, start, 0)?,
            Node::Literal(Value::Number(number)) => {
                let message = format!(
                    "{number} is a number and says nothing about your data: write a name such as \
                     {{{{customer.first_name}}}}, or choose the syntax \"cloud\" for counted parameters"
                );
                return Err(self.fault(start, Fault::Malformed, message));
            }
            Node::Literal(_) => {
                let message = "is the same in every message: write it without braces";
                return Err(self.fault(start, Fault::Malformed, message));
            }
            Node::Call(_) => node,
        };
        self.skip_blanks();
        if self.peek() == Some('~') {
            return Err(self.fault(self.at, Fault::Unsupported, BLANKS));
        }
        if !self.eat("}}") {
            return Err(match self.peek() {
                None => self.fault(open, Fault::Malformed, "the expression is not closed with }}"),
                Some(found) => self.malformed(format!("expected }}}}, found {found:?}")),
            });
        }
        if self.peek() == Some('}') {
            return Err(self.malformed("there is one brace too many"));
        }
        Ok(Expression { source: self.source[open..self.at].to_owned(), node })
    }

    /// A path that a helper's arguments may follow.
    fn call_or_path(&mut self, path: Vec<String>, start: usize, depth: usize) -> Result<Node, SyntaxError> {
        self.skip_blanks();
        let alone = matches!(self.peek(), None | Some('}' | ')' | '~'));
        let [name] = path.as_slice() else {
            return if alone {
                Ok(Node::Path(path))
            } else {
                let message = "nothing can follow a path: is a helper missing before it?";
                Err(self.fault(self.at, Fault::Malformed, message))
            };
        };
        if name == "else" && depth == 0 {
            return Err(self.fault(start, Fault::Unsupported, BLOCKS));
        }
        match Helper::parse(name) {
            Some(helper) => self.call(helper, start, depth),
            None if alone && depth == 0 => Ok(Node::Path(path)),
            None => Err(self.fault(start, Fault::HelperUnknown, unknown(name))),
        }
    }

    fn call(&mut self, helper: Helper, start: usize, depth: usize) -> Result<Node, SyntaxError> {
        let mut call = Call { helper, arguments: Vec::new(), named: Vec::new() };
        loop {
            self.skip_blanks();
            if matches!(self.peek(), None | Some('}' | ')' | '~')) {
                break;
            }
            let at = self.at;
            if call.arguments.len() + call.named.len() == ARGUMENTS_MAX {
                let message = format!("a helper takes at most {ARGUMENTS_MAX} arguments");
                return Err(self.fault(at, Fault::Arguments, message));
            }
            if let Some(name) = self.argument_name() {
                self.skip_blanks();
                let node = self.value(depth)?;
                if call.named(&name).is_some() {
                    return Err(self.fault(at, Fault::Arguments, format!("{name} is given twice")));
                }
                helper.check_named(&name, &node).map_err(|message| self.fault(at, Fault::Arguments, message))?;
                call.named.push((name, node));
            } else {
                let node = self.value(depth)?;
                if !call.named.is_empty() {
                    let message = "what has no name comes before what has one";
                    return Err(self.fault(at, Fault::Arguments, message));
                }
                let position = call.arguments.len();
                helper.check(position, &node).map_err(|message| self.fault(at, Fault::Arguments, message))?;
                call.arguments.push(node);
            }
            if !matches!(self.peek(), None | Some('}' | ')' | '~')) && !self.peek().is_some_and(char::is_whitespace) {
                return Err(self.malformed("expected a blank or the end of the expression"));
            }
        }
        helper
            .check_whole(call.arguments.len(), |name| call.named(name).is_some())
            .map_err(|message| self.fault(start, Fault::Arguments, message))?;
        Ok(Node::Call(Box::new(call)))
    }

    /// `name=`, if that comes next.
    fn argument_name(&mut self) -> Option<String> {
        let rest = self.rest();
        let end = rest.find(|c: char| !is_name_part(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || !rest[end..].starts_with('=') {
            return None;
        }
        self.at += end + 1;
        Some(name.to_owned())
    }

    /// A path, a literal, or a helper in parentheses.
    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let start = self.at;
        match self.peek() {
            Some('(') => {
                if depth >= NESTING_MAX {
                    let message = format!("helpers stand at most {NESTING_MAX} levels deep in each other");
                    return Err(self.malformed(message));
                }
                self.at += 1;
                self.skip_blanks();
                let name_at = self.at;
                let path = self.path()?;
                let node = self.call_or_path(path, name_at, depth + 1)?;
                self.skip_blanks();
                if !self.eat(")") {
                    return Err(self.fault(start, Fault::Malformed, "the parenthesis is not closed"));
                }
                match node {
                    Node::Call(_) => Ok(node),
                    _ => Err(self.fault(name_at, Fault::Malformed, "in parentheses there must be a helper")),
                }
            }
            Some(quote @ ('"' | '\'')) => self.text(quote),
            Some(c) if c == '-' || c.is_ascii_digit() => self.number(),
            _ => {
                let path = self.path()?;
                Ok(match path.as_slice() {
                    [word] if word == "true" => Node::Literal(Value::Bool(true)),
                    [word] if word == "false" => Node::Literal(Value::Bool(false)),
                    [word] if word == "null" || word == "undefined" => Node::Literal(Value::Null),
                    _ => Node::Path(path),
                })
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<Node, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let Some(end) = self.rest().find([quote, '\\', '\n']) else {
            return Err(self.fault(start, Fault::Malformed, "the quotation mark is not closed"));
        };
        let text = &self.rest()[..end];
        match self.rest()[end..].chars().next() {
            Some('\\') => {
                let message = "a text in quotation marks has no backslash; use the other quotation mark around it";
                Err(self.fault(self.at + end, Fault::Malformed, message))
            }
            Some('\n') => Err(self.fault(start, Fault::Malformed, "the quotation mark is not closed in its line")),
            _ => {
                let node = Node::Literal(text.into());
                self.at += end + 1;
                Ok(node)
            }
        }
    }

    fn number(&mut self) -> Result<Node, SyntaxError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-.+_".contains(c))).unwrap_or(rest.len());
        match serde_json::from_str::<Value>(&rest[..end]) {
            Ok(value @ Value::Number(_)) => {
                self.at += end;
                Ok(Node::Literal(value))
            }
            _ => Err(self.malformed(format!(
                "\"{}\" is no number; a name in the data that begins like one stands in brackets: [{0}]",
                excerpt(&rest[..end])
            ))),
        }
    }

    fn path(&mut self) -> Result<Vec<String>, SyntaxError> {
        let start = self.at;
        let mut path = Vec::new();
        loop {
            let rest = self.rest();
            if let Some(inside) = rest.strip_prefix('[') {
                let end = inside.find([']', '\n']).filter(|end| inside[*end..].starts_with(']'));
                let Some(end) = end.filter(|end| *end > 0) else {
                    return Err(self.malformed("a name in brackets has at least one character and ends with ]"));
                };
                path.push(inside[..end].to_owned());
                self.at += end + 2;
            } else {
                let end = rest.find(|c: char| !is_name_part(c)).unwrap_or(rest.len());
                let name = &rest[..end];
                if name.is_empty() {
                    return Err(match self.peek() {
                        None => self.fault(start, Fault::Malformed, "the expression is not closed with }}"),
                        Some('@') => self.fault(start, Fault::Unsupported, "there is no data with @: it is of blocks"),
                        Some('.') => self.fault(start, Fault::Unsupported, THIS),
                        Some(found) => self.malformed(format!("expected a name, found {found:?}")),
                    });
                }
                if name == "this" {
                    return Err(self.fault(start, Fault::Unsupported, THIS));
                }
                path.push(name.to_owned());
                self.at += end;
            }
            if path.len() > PATH_MAX {
                return Err(self.fault(start, Fault::Malformed, format!("a path has at most {PATH_MAX} names")));
            }
            if !self.eat(".") {
                return Ok(path);
            }
        }
    }
}

const BLANKS: &str = "~ takes blanks away, which stand in the text that the network approves: take them out there";
const BLOCKS: &str = "a template has no blocks: the text must be the same in every message; the helpers \"default\" and \
                      \"plural\" choose between values";
const THIS: &str = "\"this\" and paths upwards are of blocks, which a template has not: begin with a name in the data";

/// What Handlebars has behind opening braces and templates do not.
fn unsupported(next: char) -> Option<&'static str> {
    Some(match next {
        '{' | '&' => "values are texts as they are, so there is no raw output: write two braces",
        '#' | '/' | '^' => BLOCKS,
        '>' => "a template has no partials: write the text out",
        '!' => "a template has no comments",
        '*' => "a template has no decorators",
        '~' => BLANKS,
        _ => return None,
    })
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn unknown(name: &str) -> String {
    let near = HELPERS.iter().map(|helper| helper.name).find(|known| strsim::damerau_levenshtein(name, known) <= 1);
    let shown = excerpt(name);
    match near {
        Some(known) => format!("there is no helper \"{shown}\"; there is \"{known}\""),
        None => {
            let all: Vec<&str> = HELPERS.iter().map(|helper| helper.name).collect();
            format!("there is no helper \"{shown}\"; there are {}", all.join(", "))
        }
    }
}
