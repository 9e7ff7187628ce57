//! What a template says, as somebody writes it, and as it is kept: whatever is kept has passed the lint, in the one
//! form that the network takes.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::handlebars::Variable;
use crate::messages::Category;

/// Whether parameters are counted or named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterFormat {
    /// `{{1}}`, `{{2}}`, in order.
    #[default]
    #[serde(alias = "POSITIONAL")]
    Positional,
    /// `{{first_name}}`, in any order.
    #[serde(alias = "NAMED")]
    Named,
}

impl ParameterFormat {
    /// Its name in rows and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Positional => "positional",
            Self::Named => "named",
        }
    }

    /// The format with this name, in either case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Positional, Self::Named].into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }
}

/// How the variables in a template's texts are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateSyntax)]
pub enum Syntax {
    /// As the Cloud API has them: `{{1}}` or `{{name}}`, with examples beside the texts.
    #[default]
    Cloud,
    /// As Handlebars expressions over your own data: `{{customer.first_name}}`, `{{date order.ships_at}}`. Parameters
    /// and examples are made of them and of `samples`.
    Handlebars,
}

/// A template as somebody writes it, in one language.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateDraft, example = json!({
    "name": "order_shipped",
    "language": "en_US",
    "category": "UTILITY",
    "syntax": "handlebars",
    "components": [
        {"type": "BODY", "text": "Hi {{customer.first_name}}, order {{order.id}} ships on {{date order.ships_at}}. Bye!"},
    ],
    "samples": {
        "customer": {"first_name": "Ana"},
        "order": {"id": "A-17", "ships_at": "2026-11-25T09:00:00Z"},
    },
}))]
pub struct Draft {
    /// Lower case letters, digits and underscores.
    #[schema(max_length = 512, example = "order_shipped")]
    pub name: String,
    /// One of the network's languages.
    #[schema(example = "en_US")]
    pub language: String,
    /// `AUTHENTICATION`, `MARKETING` or `UTILITY`.
    #[schema(example = "UTILITY")]
    pub category: String,
    /// Whether the network gets counted or named parameters.
    #[serde(default)]
    #[schema(required = false)]
    pub parameter_format: ParameterFormat,
    /// How variables are written here.
    #[serde(default)]
    #[schema(required = false)]
    pub syntax: Syntax,
    /// The components in the Cloud API's form.
    #[schema(value_type = Vec<Object>)]
    pub components: Vec<Value>,
    /// Of a template in Handlebars: data like that which messages will bring, for the network's examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub samples: Option<Value>,
    /// How long a message is worth delivering, in seconds; -1 is thirty days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 3600)]
    pub message_send_ttl_seconds: Option<i64>,
}

/// What changes about a template; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateChange)]
pub struct Change {
    /// `AUTHENTICATION`, `MARKETING` or `UTILITY`; of one in use it stays.
    #[serde(default)]
    #[schema(example = "UTILITY")]
    pub category: Option<String>,
    /// Whether the network gets counted or named parameters.
    #[serde(default)]
    pub parameter_format: Option<ParameterFormat>,
    /// How variables are written in `components`.
    #[serde(default)]
    pub syntax: Option<Syntax>,
    /// All components, as they are to be.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub components: Option<Vec<Value>>,
    /// Of a template in Handlebars: data like that which messages will bring.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub samples: Option<Value>,
    /// How long a message is worth delivering, in seconds; -1 is thirty days.
    #[serde(default)]
    #[schema(example = 3600)]
    pub message_send_ttl_seconds: Option<i64>,
}

impl Draft {
    /// It with `change`.
    #[must_use]
    pub fn changed(mut self, change: Change) -> Self {
        if let Some(category) = change.category {
            self.category = category;
        }
        if let Some(components) = change.components {
            self.components = components;
            // They come in a syntax of their own.
            self.syntax = change.syntax.unwrap_or_default();
        }
        if let Some(format) = change.parameter_format {
            self.parameter_format = format;
        }
        self.samples = change.samples.or(self.samples);
        self.message_send_ttl_seconds = change.message_send_ttl_seconds.or(self.message_send_ttl_seconds);
        self
    }
}

/// What is kept of a version: it has passed the lint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Content {
    pub(crate) category: Category,
    pub(crate) parameter_format: ParameterFormat,
    /// In the form that the network takes.
    pub(crate) components: Vec<Value>,
    /// As they were written, where that is something else.
    pub(crate) source: Option<Vec<Value>>,
    /// What each parameter is made of; empty where they are given as they are.
    pub(crate) variables: Vec<Variable>,
    pub(crate) samples: Option<Value>,
    pub(crate) ttl_seconds: Option<i64>,
}

impl Content {
    /// It as a draft that could be handed in again.
    pub(crate) fn to_draft(&self, name: &str, language: &str) -> Draft {
        Draft {
            name: name.to_owned(),
            language: language.to_owned(),
            category: self.category.name().to_ascii_uppercase(),
            parameter_format: self.parameter_format,
            syntax: if self.source.is_some() { Syntax::Handlebars } else { Syntax::Cloud },
            components: self.source.clone().unwrap_or_else(|| self.components.clone()),
            samples: self.samples.clone(),
            message_send_ttl_seconds: self.ttl_seconds,
        }
    }

    /// The same for two that say the same in body and footer; empty where that does not matter: every one-time password
    /// reads alike.
    pub(crate) fn fingerprint(&self) -> String {
        if self.category == Category::Authentication {
            return String::new();
        }
        let text = |kind: &str| {
            let component = self.components.iter().find(|component| component["type"] == kind);
            component.and_then(|component| component["text"].as_str()).unwrap_or_default()
        };
        let mut hash = Sha256::new();
        for part in [text("BODY"), text("FOOTER")] {
            hash.update(part);
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }
}
