//! The bodies, as they are documented and answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{OpenApi, RefOr, example::ExampleBuilder},
};
use waystation_core::{
    clock::rfc3339,
    error::{ApiError, Breach},
    messages::{
        Category,
        address::Address,
        content::{Audio, CaptionedMedia, Contact, Document, Location, Media, Reaction, Text},
        examples::{Example, examples},
        intake::AcceptedMessage,
        interactive::Interactive,
        route::Entry as FallbackEntry,
        state::State,
        template::TemplateMessage,
    },
    store::{MessageEvent, MessageView},
    tenancy::Sender,
};

use crate::failure::{Problem, problem};

/// The Cloud API's route, as its document names it.
const CLOUD_MESSAGES: &str = "/{version}/{phone_number_id}/messages";
/// The platform's own.
const PLATFORM_MESSAGES: &str = "/v1/messages";

/// A message to send, as the Cloud API has it; or, with `status`, one that was received to be marked as read. Members that
/// are not documented here are passed on to the network.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by the core from the body itself; here for the documentation")]
pub(crate) struct CloudMessage {
    /// Always `whatsapp`.
    #[schema(example = "whatsapp")]
    messaging_product: String,
    #[serde(flatten)]
    message: MessageObject,
    /// `read`: marks the message of `message_id`, and all before it, as read. Then nothing is sent.
    /// Only a message that this number received can be marked.
    status: Option<String>,
    /// With `status`: which message.
    message_id: Option<String>,
    /// With `status`: shows that an answer is being written, for 25 seconds or until it comes.
    typing_indicator: Option<TypingIndicator>,
}

/// A message to send: the Cloud API's body, and the sender. Members that are not documented here are passed on to the
/// network.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by the core from the body itself; here for the documentation")]
pub(crate) struct PlatformMessage {
    /// The sender: its phone number id or its phone number.
    #[schema(example = "106540352242922")]
    from: String,
    #[serde(flatten)]
    message: MessageObject,
}

/// Whom a message is for, and what it says.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by the core from the body itself; here for the documentation")]
struct MessageObject {
    /// The recipient's phone number with its country code; `+`, blanks, hyphens and brackets are tolerated. Either this or
    /// `recipient` is required; with both, this one counts.
    #[schema(example = "+16505550001")]
    to: Option<String>,
    /// The recipient's business-scoped user id, for people whose number you do not know.
    #[schema(example = "US.13491208655302741918")]
    recipient: Option<String>,
    /// `individual`, the default.
    #[schema(example = "individual")]
    recipient_type: Option<String>,
    /// May be left out for a text. The member of the same name has what is sent.
    #[serde(rename = "type")]
    kind: Option<MessageType>,
    text: Option<Text>,
    image: Option<CaptionedMedia>,
    video: Option<CaptionedMedia>,
    audio: Option<Audio>,
    document: Option<Document>,
    sticker: Option<Media>,
    location: Option<Location>,
    /// One to 257; over 5 are warned of.
    #[schema(min_items = 1, max_items = 257)]
    contacts: Option<Vec<Contact>>,
    reaction: Option<Reaction>,
    interactive: Option<Interactive>,
    template: Option<TemplateMessage>,
    /// The message that is answered.
    context: Option<ContextObject>,
    /// Your own data, at most 512 characters; given back in every status webhook.
    #[schema(max_length = 512)]
    biz_opaque_callback_data: Option<String>,
    /// When it is to be sent, from one minute to 365 days ahead: RFC 3339, or a local time without an offset, with `zone`.
    /// A local time that clocks skip is as much later as they skip; one that comes twice is the first.
    #[schema(example = "2026-12-24T09:00")]
    schedule_at: Option<String>,
    /// The zone of a local time: of the IANA database, or `recipient` for the one that most people of the recipient's
    /// country live in.
    #[schema(example = "Europe/Berlin")]
    zone: Option<String>,
    /// How long it is worth sending, from 30 seconds to 30 days, from when it is to be sent; then it ends as `expired`.
    /// The installation's default without it.
    #[schema(minimum = 30, maximum = 2_592_000, example = 3_600)]
    ttl_seconds: Option<u32>,
    /// The channels that take over when the sender's does not bring it, in order; an empty list keeps it there. Without
    /// one, the routing rules of the sender or the business say. On `/v1` only.
    #[schema(max_items = 8)]
    fallback: Option<Vec<FallbackEntry>>,
}

/// Many messages to send.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"messages": [
    {"from": "+1 555 078 3881", "to": "16505551234", "type": "text", "text": {"body": "Your order is on its way."}},
    {"from": "+1 555 078 3881", "to": "16505551235", "type": "text", "text": {"body": "Your order is ready."}},
]}))]
pub(crate) struct MessageBatch {
    /// One to a thousand, each like the body of `POST /v1/messages`, with an `idempotency_key` of its own where you want
    /// one.
    #[schema(value_type = Vec<PlatformMessage>, min_items = 1, max_items = 1000)]
    pub(crate) messages: Vec<Value>,
}

/// What became of many messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageBatchResult {
    /// How many were accepted.
    #[schema(example = 1)]
    accepted: usize,
    /// How many were refused.
    #[schema(example = 0)]
    refused: usize,
    /// Each message, in the order of the request.
    results: Vec<MessageResult>,
}

/// What became of one of many messages: `message` or `problem`.
#[derive(Debug, Serialize, ToSchema)]
struct MessageResult {
    /// The status that it would have had alone.
    #[schema(example = 202)]
    status: u16,
    /// The message, if it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Accepted>,
    /// Whether an earlier request with the same idempotency key had accepted it.
    #[schema(example = false)]
    replayed: bool,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

impl MessageBatchResult {
    pub(crate) fn new(results: Vec<Result<AcceptedMessage, ApiError>>, request_id: &str) -> Self {
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        let refused = results.len() - accepted;
        let results = results.into_iter().map(|result| match result {
            Ok(message) => {
                MessageResult { status: 202, replayed: message.replayed, message: Some(message.into()), problem: None }
            }
            Err(error) => MessageResult {
                status: error.kind.row().status,
                message: None,
                replayed: false,
                problem: Some(problem(&error, request_id)),
            },
        });
        Self { accepted, refused, results: results.collect() }
    }
}

/// What is to be different about a scheduled message: members of `POST /v1/messages` but for sender and recipient.
/// One that is null is taken away.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "text": {"body": "See you at ten."}, "schedule_at": "2026-12-24T10:00", "zone": "Europe/Berlin",
}))]
#[allow(dead_code, reason = "read by the core from the body itself; here for the documentation")]
pub(crate) struct MessageChange {
    /// With it, the member of the same name has what is sent.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: Option<String>,
    text: Option<Text>,
    template: Option<TemplateMessage>,
    interactive: Option<Interactive>,
    #[schema(max_length = 512, example = "order A-17")]
    biz_opaque_callback_data: Option<String>,
    /// As in `POST /v1/messages`.
    #[schema(example = "2026-12-24T10:00")]
    schedule_at: Option<String>,
    /// As in `POST /v1/messages`.
    #[schema(example = "Europe/Berlin")]
    zone: Option<String>,
    /// As in `POST /v1/messages`.
    #[schema(minimum = 30, maximum = 2_592_000, example = 3_600)]
    ttl_seconds: Option<u32>,
    /// What goes out instead while the customer-care window is closed: at acceptance, or when it has closed by the time that
    /// the message is sent.
    outside_window: Option<OutsideWindow>,
    /// As in `POST /v1/messages`.
    #[schema(max_items = 8)]
    fallback: Option<Vec<FallbackEntry>>,
}

/// The template that takes a message's place while the customer-care window is closed.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) struct OutsideWindow {
    template: TemplateMessage,
}

/// The type of a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageType {
    Text,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contacts,
    Reaction,
    Interactive,
    Template,
}

/// The message that is answered.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) struct ContextObject {
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    message_id: String,
}

/// What is shown while an answer is being written.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) struct TypingIndicator {
    /// `text`.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: String,
}

/// An example of every type of message, for the documents of both routes.
pub(crate) fn add_examples(document: &mut OpenApi) {
    const TO: &str = "+16505550001";
    const FROM: &str = "106540352242922";
    type Body = fn(&Example) -> Value;
    let routes: [(&str, Body); 2] = [
        (CLOUD_MESSAGES, |example| example.cloud_message(TO)),
        (PLATFORM_MESSAGES, |example| example.platform_message(FROM, TO)),
    ];
    for (path, body) in routes {
        let operation = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
        let Some(RefOr::T(contents)) = operation.and_then(|operation| operation.request_body.as_mut()) else {
            continue;
        };
        for content in contents.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            for example in examples() {
                let shown = ExampleBuilder::new().summary(&example.summary).value(Some(body(&example))).build();
                content.examples.insert(example.name, RefOr::T(shown));
            }
        }
    }
}

/// What a message is marked as read with.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by the core from the body itself; here for the documentation")]
pub(crate) struct CloudReadMark {
    /// Always `whatsapp`.
    #[schema(example = "whatsapp")]
    messaging_product: String,
    /// `read`.
    #[schema(example = "read")]
    status: String,
    /// The message that was received.
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    message_id: String,
    /// Shows that an answer is being written, for 25 seconds or until it comes.
    typing_indicator: Option<TypingIndicator>,
}

/// The Cloud API's answer to what was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CloudSuccess {
    #[schema(example = true)]
    success: bool,
}

impl CloudSuccess {
    /// It was.
    pub(crate) fn yes() -> Self {
        Self { success: true }
    }
}

/// The Cloud API's answer to a message, or to a mark.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "for the documentation")]
pub(crate) enum CloudAnswer {
    Accepted(CloudAccepted),
    Marked(CloudSuccess),
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
    /// The recipient's number as the network writes it; not there when you wrote to a user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "16505550001")]
    wa_id: Option<String>,
    /// The user id that you wrote to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "US.13491208655302741918")]
    user_id: Option<String>,
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
        let (wa_id, user_id) = match message.recipient {
            Address::Phone(digits) => (Some(digits), None),
            Address::UserId(id) => (None, Some(id)),
        };
        Self {
            messaging_product: "whatsapp",
            contacts: [CloudContact { input: message.to, wa_id, user_id }],
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
    /// The recipient's phone number, digits without `+`; or the user id that you wrote to.
    #[schema(example = "16505550001")]
    to: String,
    /// The Cloud API message type.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: String,
    /// What it is for.
    category: CategoryBody,
    /// The template that it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "order_update")]
    template: Option<String>,
    /// The sender that took over, by its phone number id, when its own did not bring it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "106540352242923")]
    via: Option<String>,
    /// The channel that it goes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whatsapp")]
    channel: Option<String>,
    /// The adapter that it goes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "sandbox")]
    adapter: Option<String>,
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
    /// When it is, or was, to be sent, if that was not at once: as it was scheduled, or when the quiet hours were over.
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-23T08:00:00.000Z")]
    scheduled_at: Option<String>,
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

/// What a message is for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CategoryBody {
    /// Part of a conversation that the person began.
    Service,
    /// Follows up on something that the person did.
    Utility,
    /// Brings a one-time password.
    Authentication,
    /// Everything else that a template says.
    Marketing,
}

impl From<Category> for CategoryBody {
    fn from(category: Category) -> Self {
        match category {
            Category::Service => Self::Service,
            Category::Utility => Self::Utility,
            Category::Authentication => Self::Authentication,
            Category::Marketing => Self::Marketing,
        }
    }
}

impl Message {
    /// The message, of a sender that may be gone.
    pub(crate) fn new(view: MessageView, sender: Option<&Sender>) -> Self {
        let via = view.via().map(|sender| sender.to_string());
        let progress = view.progress;
        Self {
            id: view.id.to_string(),
            status: progress.state,
            from: view.sender_id.to_string(),
            to: view.recipient.as_str().to_owned(),
            kind: view.kind,
            category: view.category.into(),
            template: view.template,
            via,
            channel: sender.map(|sender| sender.channel.clone()),
            adapter: sender.map(|sender| sender.adapter.clone()),
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
            scheduled_at: view.scheduled_at.map(rfc3339),
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
    /// `accepted` or `scheduled`: it is on disk, and will be sent.
    status: State,
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    from: String,
    /// The recipient's phone number, digits without `+`; or the user id that you wrote to.
    #[schema(example = "16505550001")]
    to: String,
    /// The Cloud API message type.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: &'static str,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    accepted_at: String,
    /// When it is to be sent, if that is not at once: as it was scheduled, or when the quiet hours are over. RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-24T08:00:00.000Z")]
    scheduled_at: Option<String>,
    /// What was accepted although one of the sources of the Cloud API's limits would not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<Breach>,
}

impl From<AcceptedMessage> for Accepted {
    fn from(message: AcceptedMessage) -> Self {
        Self {
            id: message.id.to_string(),
            status: if message.scheduled_at.is_some() { State::Scheduled } else { State::Accepted },
            from: message.sender.to_string(),
            to: message.recipient.as_str().to_owned(),
            kind: message.kind,
            accepted_at: rfc3339(message.accepted_at),
            scheduled_at: message.scheduled_at.map(rfc3339),
            warnings: message.warnings,
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
    /// A status, or what stood in its way: `retry`, `throttled`, `channel_down`, `ambiguous`, `internal_error`; or what was
    /// done about it: `rescheduled`, `changed`, `shifted`.
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
    /// `source` (`engine` or `network`), and where there is one `says` (what happened, in words), `started_at` (of the attempt), `network_time`,
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
