//! What people sent, and what hangs on it.

use actix_web::{HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{from_rfc3339, now_ms, rfc3339},
    error::ApiError,
    ids::MessageId,
    inbound::{InboundFilter, InboundView, Window},
    messages::address::Address,
};

use crate::{
    answers::{Absent, Asked, Guarded},
    auth::{ByTenant, MessagesRead, MessagesSend},
    bodies::PageOf,
    failure::Failure,
    input,
};

/// A received message in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InMessage {
    /// Its id.
    #[param(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    message: String,
}

/// A conversation in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InConversation {
    /// The sender: its phone number id or its phone number.
    #[param(example = "106540352242922")]
    sender: String,
    /// The person: a phone number with its country code, or a user id.
    #[param(example = "16505550001")]
    person: String,
}

/// Which received messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InboundQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// Those to this sender: its phone number id.
    #[param(example = "106540352242922")]
    sender: Option<String>,
    /// Those from this person: a phone number with its country code, or a user id.
    #[param(example = "16505550001")]
    from: Option<String>,
    /// Those that came at this time or later. RFC 3339.
    #[param(example = "2026-11-22T10:00:00Z")]
    since: Option<String>,
    /// Those that came before this time. RFC 3339.
    #[param(example = "2026-11-23T10:00:00Z")]
    until: Option<String>,
}

impl InboundQuery {
    fn filter(&self) -> Result<InboundFilter, ApiError> {
        let time = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => from_rfc3339(text).map(Some).ok_or_else(|| {
                ApiError::breach(&format!("?{name}"), "must be a time in RFC 3339, for example 2026-11-22T10:00:00Z")
            }),
        };
        let sender = match &self.sender {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|_| ApiError::breach("?sender", "must be a phone number id: digits"))?)
            }
        };
        let from = match &self.from {
            None => None,
            Some(text) => {
                let read = Address::user_id(text).or_else(|| Address::phone(text));
                let message = "must be a phone number with its country code, or a user id";
                Some(read.ok_or_else(|| ApiError::breach("?from", message))?)
            }
        };
        Ok(InboundFilter { sender, from, since: time("since", &self.since)?, until: time("until", &self.until)? })
    }
}

/// A message that a person sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K", "to": "106540352242922",
    "from": {"phone": "16505550001", "name": "Ana R."}, "type": "text",
    "message": {
        "from": "16505550001", "id": "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K", "timestamp": "1795341600", "type": "text",
        "text": {"body": "Is my order on its way?"},
    },
    "reply_to": null, "upstream_id": "wamid.HBgLMTY1MDU1NTAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA",
    "sent_at": "2026-11-22T10:00:00.000Z", "received_at": "2026-11-22T10:00:00.000Z", "read_at": null,
}))]
pub(crate) struct InboundMessage {
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    id: String,
    /// Whom it was sent to: the sender's phone number id.
    #[schema(example = "106540352242922")]
    to: String,
    from: InboundPerson,
    /// The Cloud API message type.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: String,
    /// The Cloud API's message object, as the webhook has it.
    #[schema(value_type = Object)]
    message: Value,
    /// The message that it answers.
    #[schema(example = json!(null))]
    reply_to: Option<String>,
    /// The network's id of it.
    #[schema(example = "wamid.HBgLMTY1MDU1NTAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA")]
    upstream_id: String,
    /// When it was sent, by the network's clock. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    sent_at: String,
    /// When it came here. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    received_at: String,
    /// When it was marked as read. RFC 3339, UTC.
    #[schema(example = json!(null))]
    read_at: Option<String>,
}

/// Whoever sent it. Has a number, a user id, or both.
#[derive(Debug, Serialize, ToSchema)]
struct InboundPerson {
    /// The phone number, digits without `+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "16505550001")]
    phone: Option<String>,
    /// The business-scoped user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "US.13491208655302741918")]
    user_id: Option<String>,
    /// The user id in the parent portfolio.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "US.ENT.11815799212886844830")]
    parent_user_id: Option<String>,
    /// What they call themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Ada Lovelace")]
    name: Option<String>,
    /// The name under which they can be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "@ada")]
    username: Option<String>,
}

impl From<InboundView> for InboundMessage {
    fn from(view: InboundView) -> Self {
        Self {
            id: view.id.to_string(),
            to: view.sender.to_string(),
            from: InboundPerson {
                phone: view.phone,
                user_id: view.user_id,
                parent_user_id: view.parent_user_id,
                name: view.profile_name,
                username: view.username,
            },
            kind: view.kind,
            message: view.object,
            reply_to: view.context,
            upstream_id: view.upstream_id,
            sent_at: rfc3339(view.sent_at),
            received_at: rfc3339(view.received_at),
            read_at: view.read_at.map(rfc3339),
        }
    }
}

/// What stands between a sender and a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conversation {
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    sender: String,
    /// The person's phone number, digits without `+`, or user id.
    #[schema(example = "16505550001")]
    person: String,
    /// Whether the person can be written to without a template.
    #[schema(example = true)]
    window_open: bool,
    /// When that ends, or ended: 24 hours after they last wrote, or with the free entry point. RFC 3339, UTC.
    #[schema(example = "2026-11-23T10:00:00.000Z")]
    window_closes_at: String,
    /// The last message of theirs.
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    last_inbound_message: String,
    /// When they sent it. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    last_inbound_at: String,
    /// The last advertisement or button that led them here.
    entry_point: Option<EntryPoint>,
}

/// An advertisement or button that led a person here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "referral": {"source_type": "ad", "source_id": "120212345678901234"}, "at": "2026-11-22T10:00:00.000Z",
    "open_until": "2026-11-25T10:00:00.000Z",
}))]
struct EntryPoint {
    /// The Cloud API's `referral`.
    #[schema(value_type = Object)]
    referral: Value,
    /// When the person came by it. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
    /// Until when everything sent to them is free: 72 hours from your answer, if that left within 24 hours. RFC 3339, UTC.
    #[schema(example = "2026-11-25T10:00:00.000Z")]
    open_until: Option<String>,
}

impl From<Window> for Conversation {
    fn from(window: Window) -> Self {
        Self {
            sender: window.sender.to_string(),
            person: window.recipient.as_str().to_owned(),
            window_open: window.is_open(now_ms()),
            window_closes_at: rfc3339(window.closes_at()),
            last_inbound_message: window.last_inbound.to_string(),
            last_inbound_at: rfc3339(window.last_inbound_at),
            entry_point: window.entry.map(|entry| EntryPoint {
                referral: entry.referral,
                at: rfc3339(entry.at),
                open_until: entry.until.map(rfc3339),
            }),
        }
    }
}

/// List received messages
///
/// Newest first.
#[utoipa::path(
    tag = "Inbound",
    operation_id = "listInboundMessages",
    params(InboundQuery),
    responses(
        (status = 200, description = "A page of messages.", body = PageOf<InboundMessage>),
        Guarded<MessagesRead>, Asked,
    ),
)]
#[get("/v1/inbound-messages")]
pub(crate) async fn list_inbound_messages(by: ByTenant<MessagesRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let query: InboundQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let page = by.api.inbox.list(by.principal.business(), &query.filter()?, &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<InboundMessage>::from(page)))
    })
    .await
}

/// Read a received message
#[utoipa::path(
    tag = "Inbound",
    operation_id = "getInboundMessage",
    params(InMessage),
    responses((status = 200, description = "The message.", body = InboundMessage), Guarded<MessagesRead>, Absent),
)]
#[get("/v1/inbound-messages/{message}")]
pub(crate) async fn get_inbound_message(by: ByTenant<MessagesRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let id: MessageId = by.id("message")?;
        let found = by.api.inbox.message(by.principal.business(), &id).await?;
        Ok(HttpResponse::Ok().json(InboundMessage::from(found)))
    })
    .await
}

/// Mark a received message as read
///
/// And all that the same person sent before it: they see it.
#[utoipa::path(
    tag = "Inbound",
    operation_id = "markAsRead",
    params(InMessage),
    responses((status = 200, description = "The message.", body = InboundMessage), Guarded<MessagesSend>, Absent),
)]
#[post("/v1/inbound-messages/{message}/read")]
pub(crate) async fn mark_as_read(by: ByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    mark(&by, false).await
}

/// Show that an answer is being written
///
/// For 25 seconds, or until the answer comes. As on the network, this marks the message as read as well.
#[utoipa::path(
    tag = "Inbound",
    operation_id = "showTyping",
    params(InMessage),
    responses((status = 200, description = "The message.", body = InboundMessage), Guarded<MessagesSend>, Absent),
)]
#[post("/v1/inbound-messages/{message}/typing")]
pub(crate) async fn show_typing(by: ByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    mark(&by, true).await
}

async fn mark(by: &ByTenant<MessagesSend>, typing: bool) -> Result<HttpResponse, Failure> {
    by.answer_of_others(async {
        let id: MessageId = by.id("message")?;
        let marked = by.api.inbox.mark_as_read(&by.principal, &id, typing).await?;
        Ok(HttpResponse::Ok().json(InboundMessage::from(marked)))
    })
    .await
}

/// Read a conversation
///
/// Whether, and until when, a person can be written to without a template.
#[utoipa::path(
    tag = "Inbound",
    operation_id = "getConversation",
    params(InConversation),
    responses((status = 200, description = "The conversation.", body = Conversation), Guarded<MessagesRead>, Absent),
)]
#[get("/v1/conversations/{sender}/{person}")]
pub(crate) async fn get_conversation(by: ByTenant<MessagesRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (sender, person): (String, String) = (by.id("sender")?, by.id("person")?);
        let window = by.api.inbox.conversation(by.principal.business(), &sender, &person).await?;
        Ok(HttpResponse::Ok().json(Conversation::from(window)))
    })
    .await
}
