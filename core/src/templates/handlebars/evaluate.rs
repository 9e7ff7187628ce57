//! What an expression makes of data.

use std::borrow::Cow;

use icu_locale_core::Locale;
use serde_json::Value;

use super::{
    Call, Expression, Helper, Node,
    locale::{self, DateStyle},
};
use crate::messages::request::excerpt;

/// Data, and the language that they are written in.
#[derive(Debug, Clone)]
pub struct Scope<'d> {
    data: &'d Value,
    locale: Locale,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct DataError {
    /// Where in the data, as a JSON pointer.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl<'d> Scope<'d> {
    /// `data`, for a template in `language`, as the Cloud API names it.
    #[must_use]
    pub fn new(data: &'d Value, language: &str) -> Self {
        Self { data, locale: locale::locale_of(language) }
    }

    /// The text that `expression` stands for; it has at least one character that is no blank.
    ///
    /// # Errors
    /// A value that is missing, empty, or not what a helper takes.
    pub fn text(&self, expression: &Expression) -> Result<String, DataError> {
        let shown = || format!("{} asks for it", excerpt(&expression.source));
        let fail = |pointer: String, message: String| DataError { pointer, message };
        let value = self.value(&expression.node)?;
        let text = plain(&value);
        match text {
            Some(text) if !text.trim().is_empty() => Ok(text.into_owned()),
            Some(_) => Err(fail(expression.pointer(), format!("is empty; {}", shown()))),
            None if value.is_null() => Err(fail(expression.pointer(), format!("is missing; {}", shown()))),
            None => {
                let message = format!("must be a text or a number, is {}; {}", kind(&value), shown());
                Err(fail(expression.pointer(), message))
            }
        }
    }

    fn value(&self, node: &Node) -> Result<Cow<'_, Value>, DataError> {
        match node {
            Node::Literal(value) => Ok(Cow::Owned(value.clone())),
            Node::Path(path) => Ok(self.find(path).map_or(Cow::Owned(Value::Null), Cow::Borrowed)),
            Node::Call(call) => Ok(Cow::Owned(self.call(call)?.into())),
        }
    }

    fn find(&self, path: &[String]) -> Option<&'d Value> {
        path.iter().try_fold(self.data, |value, name| match value {
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            value => value.get(name.as_str()),
        })
    }

    fn call(&self, call: &Call) -> Result<String, DataError> {
        let first = &call.arguments[0];
        if call.helper == Helper::Default {
            let value = self.value(first)?;
            let fits = plain(&value).filter(|text| !text.trim().is_empty());
            return match fits {
                Some(text) => Ok(text.into_owned()),
                None if is_nothing(&value) => self.argument(&call.arguments[1], "default"),
                None => self.argument(first, "default"),
            };
        }
        let name = call.helper.doc().name;
        let text = self.argument(first, name)?;
        let unfit = |message: &str| DataError {
            pointer: pointer(first.path().unwrap_or_default()),
            message: format!("{message}; it is \"{}\"", excerpt(&text)),
        };
        let locale = match call.named("locale") {
            Some(node) => Cow::Owned(locale::locale_of(&self.argument(node, name)?)),
            None => Cow::Borrowed(&self.locale),
        };
        match call.helper {
            Helper::Default => Ok(text),
            Helper::Upper => Ok(locale::upper(&text, &locale)),
            Helper::Truncate => {
                let most = self.argument(&call.arguments[1], name)?;
                let most: usize = most.parse().ok().filter(|most| *most > 0).ok_or_else(|| DataError {
                    pointer: pointer(call.arguments[1].path().unwrap_or_default()),
                    message: "must be how many characters are left, from 1".to_owned(),
                })?;
                Ok(truncate(&text, most))
            }
            Helper::Date => {
                let style = call.arguments.get(1).map(|node| self.argument(node, name)).transpose()?;
                let style = style.as_deref().map_or(Some(DateStyle::Long), DateStyle::parse);
                let zone = call.named("zone").map(|node| self.argument(node, name)).transpose()?;
                let style = style.ok_or_else(|| DataError {
                    pointer: call
                        .arguments
                        .get(1)
                        .map(|node| pointer(node.path().unwrap_or_default()))
                        .unwrap_or_default(),
                    message: format!("must be one of {}", DateStyle::names()),
                })?;
                locale::date(&text, style, zone.as_deref(), &locale).map_err(unfit)
            }
            Helper::Money => {
                let currency = self.argument(&call.arguments[1], name)?;
                if !locale::is_currency(&currency) {
                    return Err(DataError {
                        pointer: pointer(call.arguments[1].path().unwrap_or_default()),
                        message: "must be a currency of ISO 4217, for example \"EUR\"".to_owned(),
                    });
                }
                let amount = locale::number(&text).ok_or_else(|| unfit(NO_NUMBER))?;
                locale::money(&amount, &currency, &locale).map_err(unfit)
            }
            Helper::Plural => {
                let number = locale::number(&text).ok_or_else(|| unfit(NO_NUMBER))?;
                let (word, written) = locale::plural(&number, &locale).map_err(unfit)?;
                let exact = (text == "0").then(|| call.named("zero")).flatten();
                let node = exact.or_else(|| call.named(word)).or_else(|| call.named("other"));
                let word = node.map(|node| self.argument(node, name)).transpose()?.unwrap_or_default();
                Ok(word.replace('#', &written))
            }
        }
    }

    /// What `helper` is given, as a text.
    fn argument(&self, node: &Node, helper: &str) -> Result<String, DataError> {
        let value = self.value(node)?;
        let fail = |message: String| Err(DataError { pointer: pointer(node.path().unwrap_or_default()), message });
        match plain(&value) {
            Some(text) if !text.trim().is_empty() => Ok(text.into_owned()),
            Some(_) => fail(format!("is empty; {helper} asks for it")),
            None if value.is_null() => fail(format!("is missing; {helper} asks for it")),
            None => fail(format!("must be a text or a number, is {}; {helper} asks for it", kind(&value))),
        }
    }
}

const NO_NUMBER: &str = "must be a number with digits and a point, for example 12.50";

/// A JSON pointer (RFC 6901) to a path.
pub(super) fn pointer(path: &[String]) -> String {
    path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

fn plain(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// At most `most` characters of `text`; where it is cut, the last of them is an ellipsis.
fn truncate(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most - 1).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}
