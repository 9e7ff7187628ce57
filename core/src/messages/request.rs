//! A request body becomes a message that can be sent, or everything that is wrong
//! with it at once.
//!
//! Members that are not known are kept: the body travels to the adapter as it came.

use serde_json::{Map, Value};

use super::{phone, template::TemplateMessage};
use crate::error::{ApiError, Breach, ErrorKind};

/// Longest text, in Unicode scalar values (Cloud API, text messages).
pub const TEXT_MAX_CHARS: usize = 4_096;
/// Longest `biz_opaque_callback_data`, in characters. The Cloud API names no limit; this
/// one keeps a webhook well under a kilobyte of it.
pub const CALLBACK_DATA_MAX_CHARS: usize = 512;
/// Longest template name, in characters (Cloud API, templates).
const TEMPLATE_NAME_MAX_CHARS: usize = 512;

/// How much of what a request said is repeated in an error, in characters.
const EXCERPT_MAX_CHARS: usize = 64;

/// The message types that this version sends.
pub const KINDS: [&str; 2] = ["text", "template"];

/// What is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// An approved template with its parameters.
    Template(TemplateMessage),
}

impl Content {
    /// The Cloud API's name of the type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => KINDS[0],
            Self::Template(_) => KINDS[1],
        }
    }
}

/// A request to send one message.
#[derive(Debug, Clone, PartialEq)]
pub struct SendRequest {
    /// The sender that the body names, on routes whose path names none.
    pub from: Option<String>,
    /// The recipient as it was written.
    pub to: String,
    /// The recipient's phone number: digits, without `+`.
    pub recipient: String,
    /// The tenant's own data.
    pub callback_data: Option<String>,
    /// What is to be sent.
    pub content: Content,
    /// The whole object, as it was checked: what travels to the adapter. Of members that
    /// the body names twice it has the one that was checked.
    pub object: String,
}

/// Whether the body must name the product, as the Cloud API asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `messaging_product` is required and must be `whatsapp`.
    CloudApi,
    /// `messaging_product` may be left out.
    Platform,
}

impl SendRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorKind::MalformedBody`] with line and column for what is not JSON; else all
    /// breaches, under the kind of the first.
    pub fn read(body: &[u8], dialect: Dialect) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            ApiError::new(ErrorKind::MalformedBody, format!("The body is not valid JSON: {error}."))
        })?;
        let Value::Object(object) = value else {
            return Err(ApiError::new(ErrorKind::MalformedBody, "The body must be a JSON object."));
        };
        let mut reader = Reader { object: &object, breaches: Vec::new() };
        reader.product(dialect);
        reader.no_other_purpose();
        reader.context();
        let from = reader.text("from", None).map(ToOwned::to_owned);
        let recipient = reader.recipient();
        let callback_data =
            reader.text("biz_opaque_callback_data", Some(CALLBACK_DATA_MAX_CHARS)).map(ToOwned::to_owned);
        let content = reader.content();
        match (recipient, content) {
            (Some((to, recipient)), Some(content)) if reader.breaches.is_empty() => {
                Ok(Self { from, to, recipient, callback_data, content, object: Value::Object(object).to_string() })
            }
            _ => Err(into_error(reader.breaches)),
        }
    }
}

struct Reader<'b> {
    object: &'b Map<String, Value>,
    breaches: Vec<(ErrorKind, Breach)>,
}

impl<'b> Reader<'b> {
    fn get(&self, member: &str) -> Option<&'b Value> {
        // Client libraries send members that they do not use as null.
        self.object.get(member).filter(|value| !value.is_null())
    }

    fn breach(&mut self, kind: ErrorKind, pointer: impl Into<String>, message: impl Into<String>) {
        let breach = Breach { pointer: pointer.into(), message: message.into(), limit: None, actual: None };
        self.breaches.push((kind, breach));
    }

    fn too_long(&mut self, pointer: &str, limit: usize, actual: usize) {
        let number = |n: usize| Some(u64::try_from(n).unwrap_or(u64::MAX));
        let breach = Breach {
            pointer: pointer.to_owned(),
            message: format!("must have at most {limit} characters, has {actual}"),
            limit: number(limit),
            actual: number(actual),
        };
        self.breaches.push((ErrorKind::ParameterTooLong, breach));
    }

    /// A text member, if it is there and is what it should be.
    fn text(&mut self, member: &str, max_chars: Option<usize>) -> Option<&'b str> {
        let value = self.get(member)?;
        self.text_value(value, &format!("/{member}"), max_chars)
    }

    fn text_value(&mut self, value: &'b Value, pointer: &str, max_chars: Option<usize>) -> Option<&'b str> {
        let Some(text) = value.as_str() else {
            self.breach(ErrorKind::ParameterInvalid, pointer, "must be a string");
            return None;
        };
        if text.contains('\0') {
            self.breach(ErrorKind::ParameterInvalid, pointer, "must not contain the character U+0000");
            return None;
        }
        if let Some(limit) = max_chars {
            let length = text.chars().count();
            if length > limit {
                self.too_long(pointer, limit, length);
                return None;
            }
        }
        Some(text)
    }

    fn product(&mut self, dialect: Dialect) {
        match self.get("messaging_product") {
            None if dialect == Dialect::Platform => {}
            None => self.breach(ErrorKind::ParameterMissing, "/messaging_product", "is required: \"whatsapp\""),
            Some(value) if value == "whatsapp" => {}
            Some(_) => self.breach(ErrorKind::ParameterInvalid, "/messaging_product", "must be \"whatsapp\""),
        }
    }

    /// What the same route of the Cloud API also does, and this version does not.
    fn no_other_purpose(&mut self) {
        if self.get("status").is_some() {
            self.breach(ErrorKind::ParameterInvalid, "/status", "marking messages as read is not supported");
        }
        match self.get("recipient_type") {
            None => {}
            Some(value) if value == "individual" => {}
            Some(_) => self.breach(ErrorKind::ParameterInvalid, "/recipient_type", "must be \"individual\""),
        }
    }

    fn context(&mut self) {
        let Some(context) = self.get("context") else { return };
        match context.get("message_id").filter(|id| !id.is_null()) {
            Some(id) if id.is_string() => {}
            Some(_) => self.breach(ErrorKind::ParameterInvalid, "/context/message_id", "must be a string"),
            None => self.breach(
                ErrorKind::ParameterInvalid,
                "/context",
                "must be an object with the message_id of the message that is answered",
            ),
        }
    }

    fn recipient(&mut self) -> Option<(String, String)> {
        if self.get("to").is_none() {
            if self.get("recipient").is_some() {
                self.breach(
                    ErrorKind::ParameterInvalid,
                    "/recipient",
                    "business-scoped user ids are not supported; give the phone number in \"to\"",
                );
            } else {
                self.breach(ErrorKind::ParameterMissing, "/to", "is required: the recipient's phone number");
            }
            return None;
        }
        let to = self.text("to", None)?;
        let digits = phone::digits(to);
        if digits.is_none() {
            self.breach(
                ErrorKind::ParameterInvalid,
                "/to",
                "must be a phone number with its country code, for example \"+16505551234\"",
            );
        }
        digits.map(|digits| (to.to_owned(), digits))
    }

    fn content(&mut self) -> Option<Content> {
        let kind = match self.get("type") {
            None if self.get("text").is_some() => "text",
            None => {
                self.breach(ErrorKind::ParameterMissing, "/type", format!("is required: one of {}", KINDS.join(", ")));
                return None;
            }
            Some(_) => self.text("type", None)?,
        };
        match kind {
            "text" => self.text_content(),
            "template" => self.template_content(),
            other => {
                self.breach(
                    ErrorKind::UnsupportedType,
                    "/type",
                    format!("\"{}\" is not one of {}", excerpt(other), KINDS.join(", ")),
                );
                None
            }
        }
    }

    fn object_member(&mut self, member: &str) -> Option<&'b Value> {
        match self.get(member) {
            Some(value) if value.is_object() => Some(value),
            Some(_) => {
                self.breach(ErrorKind::ParameterInvalid, format!("/{member}"), "must be an object");
                None
            }
            None => {
                self.breach(ErrorKind::ParameterMissing, format!("/{member}"), "is required for this type");
                None
            }
        }
    }

    fn text_content(&mut self) -> Option<Content> {
        let object = self.object_member("text")?;
        match object.get("preview_url") {
            None | Some(Value::Null | Value::Bool(_)) => {}
            Some(_) => self.breach(ErrorKind::ParameterInvalid, "/text/preview_url", "must be true or false"),
        }
        let Some(body) = object.get("body").filter(|body| !body.is_null()) else {
            self.breach(ErrorKind::ParameterMissing, "/text/body", "is required");
            return None;
        };
        let body = self.text_value(body, "/text/body", Some(TEXT_MAX_CHARS))?;
        if body.trim().is_empty() {
            self.breach(ErrorKind::ParameterInvalid, "/text/body", "must not be empty");
            return None;
        }
        Some(Content::Text(body.to_owned()))
    }

    fn template_content(&mut self) -> Option<Content> {
        let object = self.object_member("template")?;
        let template = match TemplateMessage::from_value(object) {
            Ok(template) => template,
            Err((pointer, message)) => {
                let kind = if message.starts_with("is required") {
                    ErrorKind::ParameterMissing
                } else {
                    ErrorKind::ParameterInvalid
                };
                self.breach(kind, format!("/template{pointer}"), message);
                return None;
            }
        };
        let length = template.name.chars().count();
        if length > TEMPLATE_NAME_MAX_CHARS {
            self.too_long("/template/name", TEMPLATE_NAME_MAX_CHARS, length);
            return None;
        }
        if has_nul(object) {
            self.breach(ErrorKind::ParameterInvalid, "/template", "must not contain the character U+0000");
            return None;
        }
        Some(Content::Template(template))
    }
}

fn into_error(breaches: Vec<(ErrorKind, Breach)>) -> ApiError {
    let kind = breaches.first().map_or(ErrorKind::Internal, |(kind, _)| *kind);
    ApiError::breaches(kind, breaches.into_iter().map(|(_, breach)| breach).collect())
}

/// `text` as it can stand in an error: printable, and not longer than it helps.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut shown: String = text.chars().take(EXCERPT_MAX_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(EXCERPT_MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether any text in `value` holds U+0000, which PostgreSQL does not store.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<SendRequest, ApiError> {
        SendRequest::read(value.to_string().as_bytes(), Dialect::CloudApi)
    }

    fn text(body: &str) -> Value {
        json!({"messaging_product": "whatsapp", "to": "+16505551234", "type": "text", "text": {"body": body}})
    }

    #[test]
    fn a_text_may_have_4096_characters_and_not_4097() {
        let request = read(&text(&"ü".repeat(TEXT_MAX_CHARS))).unwrap();
        assert_eq!(request.recipient, "16505551234");
        assert_eq!(request.content.kind(), "text");
        let error = read(&text(&"ü".repeat(TEXT_MAX_CHARS + 1))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParameterTooLong);
        assert_eq!(error.breaches[0].pointer, "/text/body");
        assert_eq!((error.breaches[0].limit, error.breaches[0].actual), (Some(4_096), Some(4_097)));
    }

    #[test]
    fn what_client_libraries_leave_out_or_send_as_null_is_accepted() {
        let mut without_type = text("hi");
        without_type.as_object_mut().unwrap().remove("type");
        assert!(read(&without_type).is_ok());
        let mut with_nulls = text("hi");
        for member in ["context", "recipient_type", "biz_opaque_callback_data", "template", "recipient"] {
            with_nulls[member] = Value::Null;
        }
        assert!(read(&with_nulls).is_ok());
    }

    #[test]
    fn every_breach_is_reported_at_once() {
        let error =
            read(&json!({"to": "nobody", "type": "text", "text": {"body": "", "preview_url": "yes"}})).unwrap_err();
        let pointers: Vec<_> = error.breaches.iter().map(|breach| breach.pointer.as_str()).collect();
        assert_eq!(pointers, ["/messaging_product", "/to", "/text/preview_url", "/text/body"]);
    }

    #[test]
    fn malformed_json_is_told_with_line_and_column() {
        let error = SendRequest::read(b"{\"to\": ", Dialect::CloudApi).unwrap_err();
        assert_eq!(error.kind, ErrorKind::MalformedBody);
        assert!(error.details.contains("line 1 column 7"), "{}", error.details);
        assert_eq!(SendRequest::read(b"[]", Dialect::CloudApi).unwrap_err().kind, ErrorKind::MalformedBody);
        assert_eq!(SendRequest::read(&[0xff, 0xfe], Dialect::CloudApi).unwrap_err().kind, ErrorKind::MalformedBody);
    }

    #[test]
    fn a_type_that_is_not_sent_is_131051() {
        let mut request = text("hi");
        request["type"] = json!("hologram");
        assert_eq!(read(&request).unwrap_err().kind, ErrorKind::UnsupportedType);
    }

    #[test]
    fn what_travels_on_is_what_was_checked() {
        let twice = br#"{"messaging_product":"whatsapp","to":"16505550001","to":"16505550002","text":{"body":"hi"},"extra":[1.50]}"#;
        let request = SendRequest::read(twice, Dialect::CloudApi).unwrap();
        let object: Value = serde_json::from_str(&request.object).unwrap();
        assert_eq!(object["to"], "16505550002");
        assert_eq!(request.recipient, "16505550002");
        assert_eq!(object["extra"], json!([1.5]), "members that are not known are kept");
    }

    #[test]
    fn an_answer_names_its_message() {
        for (context, fits) in
            [(json!({"message_id": "wamid.x"}), true), (json!(5), false), (json!({"message_id": 5}), false)]
        {
            let mut request = text("hi");
            request["context"] = context;
            assert_eq!(read(&request).is_ok(), fits, "{request}");
        }
    }

    #[test]
    fn an_error_repeats_little_of_what_was_sent() {
        let mut request = text("hi");
        request["type"] = "x".repeat(50_000).into();
        assert!(read(&request).unwrap_err().details.len() < 200);
    }

    #[test]
    fn the_character_that_postgres_cannot_store_is_refused() {
        assert_eq!(read(&text("a\0b")).unwrap_err().kind, ErrorKind::ParameterInvalid);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::sample::select(vec!["", "text", "template", "whatsapp", "+16505551234", "individual", "\u{0}"])
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            let member = prop::sample::select(vec![
                "messaging_product",
                "to",
                "type",
                "text",
                "body",
                "template",
                "name",
                "language",
                "code",
                "components",
                "parameters",
                "index",
                "status",
                "recipient_type",
                "biz_opaque_callback_data",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(member.prop_map(ToOwned::to_owned), inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_either_a_message_or_a_list_of_breaches(value in any_json()) {
            match read(&value) {
                Ok(request) => prop_assert!(!request.recipient.is_empty()),
                Err(error) => prop_assert!(error.kind == ErrorKind::MalformedBody || !error.breaches.is_empty()),
            }
        }
    }
}
