//! The `template` object of a message.

use serde_json::Value;

/// A template message: which template, and what to put into it.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateMessage {
    /// The template's name.
    pub name: String,
    /// Its language, for example `en_US`.
    pub language: String,
    /// Parameters by component.
    pub components: Vec<Component>,
}

/// The parameters of one component.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// `header`, `body`, `button`, …; lower case, since clients write either.
    pub kind: String,
    /// Of a button: `url`, `quick_reply`, …; lower case.
    pub sub_type: Option<String>,
    /// Of a button: its position, which clients send as a number or as a string.
    pub index: Option<String>,
    /// What to put in, in order.
    pub parameters: Vec<Parameter>,
}

impl Component {
    /// The position of the button that this component is for.
    #[must_use]
    pub fn button_index(&self) -> Option<usize> {
        self.index.as_deref().and_then(|index| index.parse().ok())
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// `text`, `currency`, `date_time`, `image`, …
    pub kind: String,
    /// The name, for templates with named parameters.
    pub parameter_name: Option<String>,
    /// The whole parameter, as it came.
    pub value: Value,
}

impl Parameter {
    /// What stands in the text for it, if it can stand in a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.kind.as_str() {
            "text" => self.value.get("text"),
            "currency" => self.value.pointer("/currency/fallback_value"),
            "date_time" => self.value.pointer("/date_time/fallback_value"),
            _ => None,
        }
        .and_then(Value::as_str)
    }
}

impl TemplateMessage {
    /// Reads a `template` object.
    ///
    /// # Errors
    /// Where it goes wrong, as a JSON pointer below the object, and how.
    pub fn from_value(value: &Value) -> Result<Self, (String, &'static str)> {
        let name = text(value, "name", "")?;
        let language = match value.get("language") {
            Some(language) => text(language, "code", "/language")?,
            None => return Err(("/language".to_owned(), "is required, as {\"code\": \"en_US\"}")),
        };
        let components = list(value, "components", "")?
            .iter()
            .enumerate()
            .map(|(position, component)| read_component(component, &format!("/components/{position}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { name, language, components })
    }
}

fn read_component(value: &Value, at: &str) -> Result<Component, (String, &'static str)> {
    let parameters = list(value, "parameters", at)?
        .iter()
        .enumerate()
        .map(|(position, parameter)| {
            let at = format!("{at}/parameters/{position}");
            Ok(Parameter {
                kind: text(parameter, "type", &at)?.to_ascii_lowercase(),
                parameter_name: parameter.get("parameter_name").and_then(Value::as_str).map(ToOwned::to_owned),
                value: parameter.clone(),
            })
        })
        .collect::<Result<_, _>>()?;
    let index = match value.get("index") {
        None | Some(Value::Null) => None,
        Some(Value::String(index)) => Some(index.clone()),
        Some(Value::Number(index)) => Some(index.to_string()),
        Some(_) => return Err((format!("{at}/index"), "must be a number or a string of digits")),
    };
    Ok(Component {
        kind: text(value, "type", at)?.to_ascii_lowercase(),
        sub_type: value.get("sub_type").and_then(Value::as_str).map(str::to_ascii_lowercase),
        index,
        parameters,
    })
}

fn text(value: &Value, member: &str, at: &str) -> Result<String, (String, &'static str)> {
    match value.get(member) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        None | Some(Value::Null) => Err((format!("{at}/{member}"), "is required")),
        Some(_) => Err((format!("{at}/{member}"), "must be a string that is not empty")),
    }
}

fn list<'v>(value: &'v Value, member: &str, at: &str) -> Result<&'v [Value], (String, &'static str)> {
    match value.get(member) {
        Some(Value::Array(items)) => Ok(items),
        None | Some(Value::Null) => Ok(&[]),
        Some(_) => Err((format!("{at}/{member}"), "must be an array")),
    }
}
