//! An example of every type of message and every variant of it: the OpenAPI document shows them, and the tests hold the
//! whole way of a message against them, so that no example can go wrong unseen.

use serde::Deserialize;
use serde_json::{Map, Value};

/// An example.
#[derive(Debug, Clone, Deserialize)]
pub struct Example {
    /// Its name: the type, and the variant behind an underscore.
    pub name: String,
    /// What it shows, in a few words.
    pub summary: String,
    /// What a history shows of it; of a template the parameters alone are not enough to tell.
    pub text: Option<String>,
    /// The body without `messaging_product` and the recipient.
    message: Map<String, Value>,
}

impl Example {
    /// The body for the Cloud API's route.
    #[must_use]
    pub fn cloud_message(&self, to: &str) -> Value {
        let mut body = self.message.clone();
        body.insert("messaging_product".to_owned(), "whatsapp".into());
        body.insert("to".to_owned(), to.into());
        Value::Object(body)
    }

    /// The body for the platform's own route.
    #[must_use]
    pub fn platform_message(&self, from: &str, to: &str) -> Value {
        let mut body = self.message.clone();
        body.insert("from".to_owned(), from.into());
        body.insert("to".to_owned(), to.into());
        Value::Object(body)
    }
}

/// All examples.
///
/// # Panics
/// Never: a test reads them.
#[must_use]
pub fn examples() -> Vec<Example> {
    serde_json::from_str(include_str!("examples.json")).expect("the examples are JSON")
}
