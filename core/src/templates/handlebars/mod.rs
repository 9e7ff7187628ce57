//! Texts in Handlebars.
//!
//! Guarantee: what [`parse`] takes is Handlebars, and of Handlebars only what can be counted beforehand: text, and
//! expressions with one value each. There are no blocks, partials, comments or raw output, and the helpers are those of
//! [`Helper`]. So the text between the expressions is the same in every message, which is what a network approves, and
//! each expression is one of its parameters.
//!
//! What an expression makes of data depends on the data and the template's language alone: there is no clock, no file and
//! no network behind it. A value that is missing is an error with its place, never an empty text.

mod evaluate;
mod helpers;
mod locale;
mod parse;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use evaluate::{DataError, Scope};
pub use helpers::{HELPERS, Helper, HelperDoc};
pub use parse::{Fault, SyntaxError, expression, parse};

/// What a parameter is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateVariable)]
pub struct Variable {
    /// The text that it stands in, as a JSON pointer.
    #[schema(example = "/components/0/text")]
    pub pointer: String,
    /// The parameter: a number, or a name.
    #[schema(example = "1")]
    pub parameter: String,
    /// The expression that its value comes from.
    #[schema(example = "{{customer.first_name}}")]
    pub expression: String,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// The same in every message.
    Text(String),
    /// A value of its own in each.
    Expression(Expression),
}

/// What stands in double braces.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// As it was written, with its braces.
    pub source: String,
    node: Node,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// A place in the data, by names and positions.
    Path(Vec<String>),
    /// A text, a number, `true`, `false` or `null`.
    Literal(Value),
    Call(Box<Call>),
}

/// A helper with what it is given.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    helper: Helper,
    arguments: Vec<Node>,
    named: Vec<(String, Node)>,
}

impl Call {
    fn named(&self, name: &str) -> Option<&Node> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }
}

impl Expression {
    /// The one that asks for the member `name`.
    #[must_use]
    pub fn member(name: &str) -> Self {
        Self { source: format!("{{{{{name}}}}}"), node: Node::Path(vec![name.to_owned()]) }
    }

    /// A name for it: of the first place in the data that it asks for, in lower case letters, digits and underscores.
    #[must_use]
    pub fn name(&self) -> String {
        let words = self.node.path().unwrap_or_default();
        let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let name: String = words.join("_").chars().map(fit).collect();
        let name = name.trim_matches('_');
        if name.starts_with(|c: char| c.is_ascii_lowercase()) { name.to_owned() } else { format!("value_{name}") }
    }

    /// Where in the data it looks first, as a JSON pointer; of one that looks nowhere, the data itself.
    #[must_use]
    pub fn pointer(&self) -> String {
        evaluate::pointer(self.node.path().unwrap_or_default())
    }
}

impl Node {
    /// The first path in it.
    fn path(&self) -> Option<&[String]> {
        match self {
            Self::Path(path) => Some(path),
            Self::Literal(_) => None,
            Self::Call(call) => {
                let named = call.named.iter().map(|(_, node)| node);
                call.arguments.iter().chain(named).find_map(Self::path)
            }
        }
    }
}

#[cfg(test)]
mod tests;
