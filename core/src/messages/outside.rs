//! A free-form message may bring the template that takes its place outside of the customer-care window: at once when the
//! window is closed at acceptance, else when it has closed by the time of an attempt.
//!
//! Until then the template waits in the message's own body, and no network gets to see it there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Category;

/// The member of a request that names the template, and of a kept body that has it.
pub(crate) const OUTSIDE_WINDOW: &str = "outside_window";

/// What goes out instead of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instead {
    /// The template's name.
    pub(crate) template: String,
    /// Its category, by name.
    category: String,
    /// The Cloud API message object.
    pub(crate) body: String,
    /// The same as plain text.
    pub(crate) rendered: String,
}

impl Instead {
    /// The message of `object`, of the type `kind`, with `template` in the place of its content.
    pub(crate) fn new(
        object: &str,
        kind: &str,
        (name, template): (&str, Value),
        rendered: String,
        category: Category,
    ) -> Self {
        let mut object: Map<String, Value> = serde_json::from_str(object).unwrap_or_default();
        object.remove(kind);
        object.insert("type".to_owned(), "template".into());
        object.insert("template".to_owned(), template);
        let body = Value::Object(object).to_string();
        Self { template: name.to_owned(), category: category.name().to_owned(), body, rendered }
    }

    /// What the template is for.
    pub(crate) fn category(&self) -> Category {
        Category::parse(&self.category).unwrap_or(Category::Marketing)
    }

    /// The body `object` with this in it.
    pub(crate) fn within(&self, object: &str) -> String {
        let mut object: Map<String, Value> = serde_json::from_str(object).unwrap_or_default();
        object.insert(OUTSIDE_WINDOW.to_owned(), serde_json::to_value(self).unwrap_or_default());
        Value::Object(object).to_string()
    }

    /// What a kept body brings.
    pub(crate) fn of(body: &str) -> Option<Self> {
        if !may_bring(body) {
            return None;
        }
        let mut object: Map<String, Value> = serde_json::from_str(body).ok()?;
        serde_json::from_value(object.remove(OUTSIDE_WINDOW)?).ok()
    }
}

/// The body as a network gets it.
pub(crate) fn without_instead(body: String) -> String {
    if !may_bring(&body) {
        return body;
    }
    let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(&body) else { return body };
    if object.remove(OUTSIDE_WINDOW).is_some() { Value::Object(object).to_string() } else { body }
}

/// A kept body as it was asked for, so that it can be asked for again with changes.
pub(crate) fn as_asked(body: String) -> String {
    let Some(instead) = Instead::of(&body) else { return body };
    let (Ok(mut object), Ok(mut template)) =
        (serde_json::from_str::<Map<String, Value>>(&body), serde_json::from_str::<Value>(&instead.body))
    else {
        return body;
    };
    object.insert(OUTSIDE_WINDOW.to_owned(), json!({"template": template["template"].take()}));
    Value::Object(object).to_string()
}

/// Whether it is worth a look: most bodies bring nothing.
fn may_bring(body: &str) -> bool {
    body.contains("\"outside_window\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_waits_in_a_body_and_leaves_no_trace_in_what_goes_out() {
        let object =
            json!({"to": "16505551234", "type": "text", "text": {"body": "hi"}, "context": {"message_id": "x"}});
        let template = json!({"name": "hello", "language": {"code": "en_US"}});
        let instead = Instead::new(
            &object.to_string(),
            "text",
            ("hello", template.clone()),
            "Hello".to_owned(),
            Category::Utility,
        );
        let kept = instead.within(&object.to_string());
        let read = Instead::of(&kept).unwrap();
        assert_eq!((&read, read.category()), (&instead, Category::Utility));
        let body: Value = serde_json::from_str(&read.body).unwrap();
        let expected =
            json!({"to": "16505551234", "type": "template", "template": template, "context": {"message_id": "x"}});
        assert_eq!(body, expected);
        let mut asked = object.clone();
        asked["outside_window"] = json!({"template": template});
        assert_eq!(serde_json::from_str::<Value>(&as_asked(kept.clone())).unwrap(), asked);
        assert_eq!(as_asked(object.to_string()), object.to_string());
        assert_eq!(serde_json::from_str::<Value>(&without_instead(kept)).unwrap(), object);
        assert_eq!(Instead::of(&object.to_string()), None);
        let says_so = json!({"text": {"body": "\"outside_window\""}}).to_string();
        assert_eq!((Instead::of(&says_so), without_instead(says_so.clone())), (None, says_so));
    }
}
