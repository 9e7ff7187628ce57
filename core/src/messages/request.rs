//! A request body becomes a message that can be sent, or everything that is wrong
//! with it at once.
//!
//! Members that are not known are kept: the body travels to the adapter as it came.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    address::Address,
    check::{Report, Shape, member},
    content::Content,
    limits::{CALLBACK_DATA_MAX_CHARS, Most},
    outside::OUTSIDE_WINDOW,
    route::{Entry, breaches_of_chain},
    rules::{CONTEXT, MARK_AS_READ, TYPES},
    schedule::Timing,
};
use crate::error::{ApiError, Breach, ErrorKind};

/// How much of what a request said is repeated in an error, in characters.
const EXCERPT_MAX_CHARS: usize = 64;

/// The member with the channels that take over.
pub const FALLBACK: &str = "fallback";

/// What is to be done, as a body says it.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A message is to be sent.
    Send(Box<SendRequest>),
    /// A message that was received is to be marked as read.
    MarkAsRead(MarkAsRead),
}

/// A request to send one message.
#[derive(Debug, Clone, PartialEq)]
pub struct SendRequest {
    /// The sender that the body names, on routes whose path names none.
    pub from: Option<String>,
    /// The recipient as it was written.
    pub to: String,
    /// Whom it is for.
    pub recipient: Address,
    /// The tenant's own data.
    pub callback_data: Option<String>,
    /// What is to be sent.
    pub content: Content,
    /// The whole object, as it was checked: what travels to the adapter. Of members that
    /// the body names twice it has the one that was checked.
    pub object: String,
    /// When it is to be sent; the Cloud API's form says nothing of that.
    pub timing: Timing,
    /// The template that goes out instead outside of the customer-care window, on `/v1`.
    pub outside_window: Option<Value>,
    /// The channels that take over, on `/v1`; none at all when it is empty.
    pub fallback: Option<Vec<Entry>>,
    /// What is accepted although one of the Cloud API's sources would not.
    pub warnings: Vec<Breach>,
}

/// A request to mark a message as read, and all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkAsRead {
    /// The sender that the body names, on routes whose path names none.
    pub from: Option<String>,
    /// The message that was received.
    pub message_id: String,
    /// Whether it is shown that an answer is being written.
    pub typing: bool,
}

/// Whether the body must name the product, as the Cloud API asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `messaging_product` is required and must be `whatsapp`.
    CloudApi,
    /// `messaging_product` may be left out.
    Platform,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorKind::MalformedBody`] with line and column for what is not JSON; else all
    /// breaches, under the kind of the first.
    pub fn read(body: &[u8], dialect: Dialect) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            ApiError::new(ErrorKind::MalformedBody, format!("The body is not valid JSON: {error}."))
        })?;
        let Value::Object(mut object) = value else {
            return Err(ApiError::new(ErrorKind::MalformedBody, "The body must be a JSON object."));
        };
        let mut report = Report::default();
        no_nul(&object, "", &mut report);
        product(&object, dialect, &mut report);
        let from = text(&object, "from", None, &mut report);
        if member(&object, "status").is_some() {
            return mark_as_read(&object, from, report).map(Self::MarkAsRead);
        }
        let timing = match dialect {
            Dialect::Platform => Timing::take(&mut object, &mut report),
            Dialect::CloudApi => Timing::default(),
        };
        envelope(&object, &mut report);
        let recipient = recipient(&object, &mut report);
        let callback_data = text(&object, "biz_opaque_callback_data", Some(CALLBACK_DATA_MAX_CHARS), &mut report);
        let kind = content(&mut object, &mut report);
        let outside_window = outside_window(&mut object, dialect, kind, &mut report);
        let fallback = fallback(&mut object, dialect, &mut report);
        let warnings = report.finish()?;
        let (Some((to, recipient)), Some(kind)) = (recipient, kind) else {
            return Err(unreadable());
        };
        let written = serde_json::to_string(&object).map_err(|_| unreadable())?;
        let content = typed(kind, object.remove(kind).unwrap_or_default())?;
        Ok(Self::Send(Box::new(SendRequest {
            from,
            to,
            recipient,
            callback_data,
            content,
            object: written,
            timing,
            outside_window,
            fallback,
            warnings,
        })))
    }
}

impl SendRequest {
    /// Reads a body that is to send a message.
    ///
    /// # Errors
    /// Those of [`Request::read`], and [`ErrorKind::ParameterInvalid`] for a body that is to do
    /// something else.
    pub fn read(body: &[u8], dialect: Dialect) -> Result<Self, ApiError> {
        match Request::read(body, dialect)? {
            Request::Send(request) => Ok(*request),
            Request::MarkAsRead(_) => Err(ApiError::breach("/status", "is not possible with a message to send")),
        }
    }
}

fn product(object: &Map<String, Value>, dialect: Dialect, report: &mut Report) {
    match member(object, "messaging_product") {
        None if dialect == Dialect::Platform => {}
        None => report.add(ErrorKind::ParameterMissing, "/messaging_product", "is required: \"whatsapp\""),
        Some(value) if value == "whatsapp" => {}
        Some(_) => report.invalid("/messaging_product", "must be \"whatsapp\""),
    }
}

/// A text of the envelope, if it is there and is what it should be.
fn text(object: &Map<String, Value>, name: &str, most: Option<Most>, report: &mut Report) -> Option<String> {
    let value = member(object, name)?;
    let shape = most.map_or(Shape::AnyText, Shape::Length);
    report.check(value, &format!("/{name}"), &shape);
    value.as_str().map(ToOwned::to_owned)
}

fn envelope(object: &Map<String, Value>, report: &mut Report) {
    match member(object, "recipient_type") {
        None => {}
        Some(value) if value == "individual" => {}
        Some(_) => report.invalid("/recipient_type", "must be \"individual\"; groups are not supported"),
    }
    if let Some(context) = member(object, "context") {
        report.check(context, "/context", &CONTEXT);
        if member(object, "type").is_some_and(|kind| kind == "reaction") {
            report.warn("/context", "has no effect on a reaction".to_owned(), None);
        }
    }
    if let Some(hash) = member(object, "recipient_identity_key_hash") {
        report.check(hash, "/recipient_identity_key_hash", &Shape::AnyText);
    }
}

fn recipient(object: &Map<String, Value>, report: &mut Report) -> Option<(String, Address)> {
    // With both, the phone number counts.
    let (name, read): (_, fn(&str) -> Option<Address>) =
        match (member(object, "to").is_some(), member(object, "recipient").is_some()) {
            (true, _) => ("to", Address::phone),
            (false, true) => ("recipient", Address::user_id),
            (false, false) => {
                let message = "is required: the recipient's phone number, or a user id in \"recipient\"";
                report.add(ErrorKind::ParameterMissing, "/to", message);
                return None;
            }
        };
    let written = text(object, name, None, report)?;
    let address = read(&written);
    if address.is_none() {
        report.invalid(
            format!("/{name}"),
            if name == "to" {
                "must be a phone number with its country code, for example \"+16505551234\""
            } else {
                "must be a business-scoped user id, for example \"US.13491208655302741918\""
            },
        );
    }
    Some((written, address?))
}

/// Checks what is to be sent; gives its type.
fn content(object: &mut Map<String, Value>, report: &mut Report) -> Option<&'static str> {
    let names = || TYPES.map(|(name, _)| name).join(", ");
    let (kind, shape) = match member(object, "type") {
        None if member(object, "text").is_some() => &TYPES[0],
        None => {
            report.add(ErrorKind::ParameterMissing, "/type", format!("is required: one of {}", names()));
            return None;
        }
        Some(Value::String(kind)) => match TYPES.iter().find(|(name, _)| name == kind) {
            Some(known) => known,
            None => {
                let message = format!("\"{}\" is not one of {}", excerpt(kind), names());
                report.add(ErrorKind::UnsupportedType, "/type", message);
                return None;
            }
        },
        Some(_) => {
            report.invalid("/type", "must be a string");
            return None;
        }
    };
    // Some client libraries send it as a text of JSON.
    if let Some(Value::String(text)) = object.get(*kind)
        && text.trim_start().starts_with(['{', '['])
        // One level deeper than it will stand, so that whoever reads the whole can.
        && let Ok([value]) = serde_json::from_str::<[Value; 1]>(&format!("[{text}]"))
    {
        no_nul_in(&value, &format!("/{kind}"), report);
        object.insert((*kind).to_owned(), value);
    }
    match member(object, kind) {
        Some(value) => report.check(value, &format!("/{kind}"), shape),
        None => report.add(ErrorKind::ParameterMissing, format!("/{kind}"), "is required for this type"),
    }
    Some(kind)
}

/// Takes the template that goes out instead outside of the customer-care window. The Cloud API has none.
/// Takes the channels that take over out of the object; the Cloud API's form knows of none.
fn fallback(object: &mut Map<String, Value>, dialect: Dialect, report: &mut Report) -> Option<Vec<Entry>> {
    if dialect == Dialect::CloudApi {
        return None;
    }
    let given = object.remove(FALLBACK).filter(|given| !given.is_null())?;
    match serde_json::from_value::<Vec<Entry>>(given) {
        Ok(chain) => {
            for breach in breaches_of_chain(&chain, "/fallback") {
                report.invalid(breach.pointer, breach.message);
            }
            Some(chain)
        }
        Err(error) => {
            report.invalid("/fallback", format!("must be a list of channels with their reasons: {error}"));
            None
        }
    }
}

fn outside_window(
    object: &mut Map<String, Value>,
    dialect: Dialect,
    kind: Option<&str>,
    report: &mut Report,
) -> Option<Value> {
    let pointer = format!("/{OUTSIDE_WINDOW}");
    let mut given = object.remove(OUTSIDE_WINDOW).filter(|given| !given.is_null() && dialect == Dialect::Platform)?;
    if kind == Some("template") {
        report.invalid(pointer, "is of no use: a template can be sent at any time");
        return None;
    }
    let only = given.as_object().is_some_and(|members| members.keys().all(|name| name == "template"));
    let Some(template) = given.get_mut("template").filter(|_| only).map(Value::take) else {
        report.invalid(pointer, "must be an object with the one member \"template\"");
        return None;
    };
    if let Some((_, shape)) = TYPES.iter().find(|(name, _)| *name == "template") {
        report.check(&template, &format!("{pointer}/template"), shape);
    }
    Some(template)
}

/// What no body can lead to.
fn unreadable() -> ApiError {
    ApiError::new(ErrorKind::Internal, "The message could not be read.")
}

/// The typed form of what was checked.
fn typed(kind: &'static str, value: Value) -> Result<Content, ApiError> {
    let tagged = Value::Object(Map::from_iter([(kind.to_owned(), value)]));
    Content::deserialize(tagged)
        .map_err(|error| ApiError::breach(&format!("/{kind}"), format!("cannot be read: {error}")))
}

fn mark_as_read(object: &Map<String, Value>, from: Option<String>, mut report: Report) -> Result<MarkAsRead, ApiError> {
    report.object(object, "", &MARK_AS_READ);
    report.finish()?;
    let message_id = object.get("message_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(MarkAsRead { from, message_id, typing: member(object, "typing_indicator").is_some() })
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

/// Reports every text with U+0000, which PostgreSQL does not store.
fn no_nul(members: &Map<String, Value>, pointer: &str, report: &mut Report) {
    for (name, value) in members {
        if name.contains('\0') {
            let shown = if pointer.is_empty() { "/" } else { pointer };
            report.invalid(shown, "must not have a member whose name contains the character U+0000");
        } else if may_hold_text(value) {
            no_nul_in(value, &format!("{pointer}/{}", token(name)), report);
        }
    }
}

fn no_nul_in(value: &Value, pointer: &str, report: &mut Report) {
    match value {
        Value::String(text) if text.contains('\0') => {
            report.invalid(pointer, "must not contain the character U+0000");
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate().filter(|(_, item)| may_hold_text(item)) {
                no_nul_in(item, &format!("{pointer}/{position}"), report);
            }
        }
        Value::Object(members) => no_nul(members, pointer, report),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether it is worth a pointer: most texts are seen to be clean at once.
fn may_hold_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(_) | Value::Object(_) => true,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A member's name in a JSON pointer (RFC 6901).
fn token(name: &str) -> String {
    excerpt(name).replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Longest text, in characters.
    const TEXT_MAX_CHARS: usize = 4_096;

    fn read(value: &Value) -> Result<SendRequest, ApiError> {
        SendRequest::read(value.to_string().as_bytes(), Dialect::CloudApi)
    }

    fn text(body: &str) -> Value {
        json!({"messaging_product": "whatsapp", "to": "+16505551234", "type": "text", "text": {"body": body}})
    }

    #[test]
    fn a_text_may_have_4096_characters_and_not_4097() {
        let request = read(&text(&"ü".repeat(TEXT_MAX_CHARS))).unwrap();
        assert_eq!(request.recipient.as_phone(), Some("16505551234"));
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
        assert_eq!(request.recipient.as_phone(), Some("16505550002"));
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
                Ok(request) => prop_assert!(!request.recipient.as_str().is_empty()),
                Err(error) => prop_assert!(error.kind == ErrorKind::MalformedBody || !error.breaches.is_empty()),
            }
        }
    }
}
