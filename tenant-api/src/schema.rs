//! The bodies, as they are documented and answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use waystation_core::{
    clock::rfc3339,
    messages::{intake::AcceptedMessage, state::State},
    store::{MessageEvent, MessageView},
};

/// A message to send, as the Cloud API has it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "messaging_product": "whatsapp", "to": "+16505550001", "type": "text", "text": {"body": "Your order has shipped."}
}))]
#[allow(dead_code, reason = "read by the core from the body itself; here for the documentation")]
pub(crate) struct CloudMessage {
    /// Always `whatsapp`.
    #[schema(example = "whatsapp")]
    messaging_product: String,
    /// `individual`, the default.
    #[schema(example = "individual")]
    recipient_type: Option<String>,
    /// The recipient's phone number with its country code; `+`, blanks, hyphens and brackets are tolerated.
    #[schema(example = "+16505550001")]
    to: String,
    /// May be left out for a text.
    #[serde(rename = "type")]
    kind: Option<MessageType>,
    /// Required for type `text`.
    text: Option<TextObject>,
    /// Required for type `template`.
    template: Option<TemplateObject>,
    /// Your own data, at most 512 characters; given back in every status webhook.
    #[schema(max_length = 512)]
    biz_opaque_callback_data: Option<String>,
}

/// A message to send: the Cloud API's body, and the sender.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "from": "106540352242922", "to": "+16505550001", "type": "template",
    "template": {
        "name": "order_update", "language": {"code": "en_US"},
        "components": [{"type": "body", "parameters": [
            {"type": "text", "text": "Ana"}, {"type": "text", "text": "A-17"}
        ]}]
    }
}))]
#[allow(dead_code, reason = "read by the core from the body itself; here for the documentation")]
pub(crate) struct PlatformMessage {
    /// The sender: its phone number id or its phone number.
    #[schema(example = "106540352242922")]
    from: String,
    /// The recipient's phone number with its country code.
    #[schema(example = "+16505550001")]
    to: String,
    /// May be left out for a text.
    #[serde(rename = "type")]
    kind: Option<MessageType>,
    /// Required for type `text`.
    text: Option<TextObject>,
    /// Required for type `template`.
    template: Option<TemplateObject>,
    /// Your own data, at most 512 characters; given back in every status webhook.
    #[schema(max_length = 512)]
    biz_opaque_callback_data: Option<String>,
}

/// The type of a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageType {
    Text,
    Template,
}

/// A text.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) struct TextObject {
    /// At most 4,096 characters.
    #[schema(example = "Your order has shipped.", max_length = 4096, min_length = 1)]
    body: String,
    /// Whether the first address in the text is shown with a preview.
    preview_url: Option<bool>,
}

/// Which template, and what to put into it.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) struct TemplateObject {
    #[schema(example = "order_update", max_length = 512)]
    name: String,
    language: TemplateLanguage,
    /// One for each part of the template that has parameters.
    components: Option<Vec<TemplateComponent>>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) struct TemplateLanguage {
    #[schema(example = "en_US")]
    code: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) struct TemplateComponent {
    /// `header`, `body` or `button`, in either case.
    #[serde(rename = "type")]
    #[schema(example = "body")]
    kind: String,
    /// Of a button: `url`, `quick_reply`, …
    sub_type: Option<String>,
    /// Of a button: its position, as a number or as a string.
    index: Option<Value>,
    /// As many as the template asks for.
    parameters: Option<Vec<Value>>,
}

/// The Cloud API's answer to a message that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CloudAccepted {
    #[schema(example = "whatsapp")]
    messaging_product: &'static str,
    contacts: [CloudContact; 1],
    messages: [CloudMessageId; 1],
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudContact {
    /// The recipient as you wrote it.
    #[schema(example = "+16505550001")]
    input: String,
    /// The recipient as the network writes it.
    #[schema(example = "16505550001")]
    wa_id: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudMessageId {
    /// The message's id, in webhooks and on `/v1` as well.
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    id: String,
    /// Of a template message: `accepted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "accepted")]
    message_status: Option<&'static str>,
}

impl From<AcceptedMessage> for CloudAccepted {
    fn from(message: AcceptedMessage) -> Self {
        Self {
            messaging_product: "whatsapp",
            contacts: [CloudContact { input: message.to, wa_id: message.recipient }],
            messages: [CloudMessageId {
                id: message.id.to_string(),
                message_status: (message.kind == "template").then_some("accepted"),
            }],
        }
    }
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    id: String,
    /// Where it stands.
    status: State,
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    from: String,
    /// The recipient's phone number: digits, without `+`.
    #[schema(example = "16505550001")]
    to: String,
    /// The Cloud API message type.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: String,
    /// Your own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "order A-17")]
    biz_opaque_callback_data: Option<String>,
    /// Attempts that have started.
    #[schema(example = 1)]
    attempts: u32,
    /// Whether the last attempt may have reached the network without our knowing.
    ambiguous: bool,
    /// The network's id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "wamid.HBgLMTY1MDU1NTAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA")]
    upstream_id: Option<String>,
    /// Why it failed, or why the last attempt did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<MessageError>,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    accepted_at: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    updated_at: String,
    /// When it is no longer worth sending. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    expires_at: String,
    /// When the engine looks at it next. RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    due_at: Option<String>,
}

/// What the network said.
#[derive(Debug, Serialize, ToSchema)]
struct MessageError {
    /// The network's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 131_026)]
    code: Option<i64>,
    #[schema(example = "Message undeliverable")]
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "The recipient cannot receive this message.")]
    details: Option<String>,
}

impl From<MessageView> for Message {
    fn from(view: MessageView) -> Self {
        let progress = view.progress;
        Self {
            id: view.id.to_string(),
            status: progress.state,
            from: view.sender_id.to_string(),
            to: view.recipient,
            kind: view.kind,
            biz_opaque_callback_data: view.callback_data,
            attempts: progress.attempt,
            ambiguous: progress.ambiguous,
            upstream_id: progress.upstream_id,
            error: progress.error.map(|error| MessageError {
                code: error.code,
                title: error.title,
                details: error.details,
            }),
            accepted_at: rfc3339(view.accepted_at),
            updated_at: rfc3339(view.updated_at),
            expires_at: rfc3339(progress.expires_at),
            due_at: progress.due_at.map(rfc3339),
        }
    }
}

/// A message that was just accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    id: String,
    /// `accepted`: it is on disk, and will be sent.
    status: State,
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    from: String,
    /// The recipient's phone number: digits, without `+`.
    #[schema(example = "16505550001")]
    to: String,
    /// The Cloud API message type.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: &'static str,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    accepted_at: String,
}

impl From<AcceptedMessage> for Accepted {
    fn from(message: AcceptedMessage) -> Self {
        Self {
            id: message.id.to_string(),
            status: State::Accepted,
            from: message.sender.to_string(),
            to: message.recipient,
            kind: message.kind,
            accepted_at: rfc3339(message.accepted_at),
        }
    }
}

/// The history of a message, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageEvents {
    data: Vec<MessageEventBody>,
}

/// One thing that happened to a message.
#[derive(Debug, Serialize, ToSchema)]
struct MessageEventBody {
    /// A status, or what stood in its way: `retry`, `throttled`, `channel_down`, `ambiguous`, `internal_error`.
    #[schema(example = "delivered")]
    event: String,
    /// When we knew of it. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
    /// The attempt it belongs to, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1)]
    attempt: Option<i32>,
    /// The adapter that the attempt went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "sandbox")]
    adapter: Option<String>,
    /// `source` (`engine` or `network`), and where there is one `started_at` (of the attempt), `network_time`,
    /// `upstream_id`, `retry_at` and the network's `error` as it came.
    #[serde(flatten)]
    detail: serde_json::Map<String, Value>,
}

impl MessageEvents {
    pub(crate) fn new(message: &MessageView, events: Vec<MessageEvent>) -> Self {
        let accepted = MessageEventBody {
            event: State::Accepted.name().to_owned(),
            at: rfc3339(message.accepted_at),
            attempt: None,
            adapter: None,
            detail: serde_json::Map::from_iter([("source".to_owned(), Value::from("engine"))]),
        };
        let later = events.into_iter().map(|event| MessageEventBody {
            event: event.name,
            at: rfc3339(event.at),
            attempt: event.attempt,
            adapter: event.adapter,
            detail: event.detail.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        });
        Self { data: std::iter::once(accepted).chain(later).collect() }
    }
}
