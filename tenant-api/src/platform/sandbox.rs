//! The pretend phones, seen and used by a business's developers.

use actix_web::{HttpResponse, get, post};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::rfc3339,
    inbound::{Play, Played, Shown},
};

use crate::{
    answers::{Absent, Bodied, Guarded},
    auth::{ByTenant, MessagesRead, MessagesSend, SentByTenant},
    bodies::PageOf,
    failure::Failure,
    input,
};

/// A phone of the pretend network in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InPhone {
    /// Its number, with the country code: any number.
    #[param(example = "16505550001")]
    number: String,
}

/// A message that a pretend phone shows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K", "direction": "received", "sender": "106540352242922", "type": "text",
    "text": "Your order is on its way.", "message": {"type": "text", "text": {"body": "Your order is on its way."}},
    "at": "2026-11-22T10:00:00.000Z", "read_at": null, "typing_until": null,
}))]
pub(crate) struct ShownMessage {
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    id: String,
    direction: Direction,
    /// The business's phone number id.
    #[schema(example = "106540352242922")]
    sender: String,
    /// The Cloud API message type.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    kind: String,
    /// What it says.
    #[schema(example = "Your order is on its way.")]
    text: Option<String>,
    /// The Cloud API's message object.
    #[schema(value_type = Object)]
    message: Value,
    /// When it was sent. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
    /// When the business read what the phone sent: the blue ticks. RFC 3339, UTC.
    #[schema(example = json!(null))]
    read_at: Option<String>,
    /// Until when the phone shows that the business is writing. RFC 3339, UTC.
    #[schema(example = json!(null))]
    typing_until: Option<String>,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    /// The phone got it.
    Received,
    /// The phone sent it.
    Sent,
}

impl From<Shown> for ShownMessage {
    fn from(shown: Shown) -> Self {
        Self {
            id: shown.id.to_string(),
            direction: if shown.by_phone { Direction::Sent } else { Direction::Received },
            sender: shown.sender.to_string(),
            kind: shown.kind,
            text: shown.text,
            message: shown.object,
            at: rfc3339(shown.at),
            read_at: shown.read_at.map(rfc3339),
            typing_until: shown.typing_until.map(rfc3339),
        }
    }
}

/// Look at a pretend phone
///
/// What your sandbox senders sent to it and what it sent to them, newest first, the last 50 of each.
#[utoipa::path(
    tag = "Sandbox",
    operation_id = "listShownMessages",
    params(InPhone),
    responses(
        (status = 200, description = "All of them, on one page.", body = PageOf<ShownMessage>),
        Guarded<MessagesRead>, Absent,
    ),
)]
#[get("/v1/sandbox/phones/{number}/messages")]
pub(crate) async fn list_shown(by: ByTenant<MessagesRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let number: String = by.id("number")?;
        let shown = by.api.inbox.shown(by.principal.business(), &number).await?;
        Ok(HttpResponse::Ok().json(PageOf::<ShownMessage>::whole(shown)))
    })
    .await
}

/// Have a pretend phone write to you
///
/// Or tap something in a message that it got. What it sends takes the way of a real message: you are told by webhook
/// within moments.
#[utoipa::path(
    tag = "Sandbox",
    operation_id = "playPhone",
    params(InPhone),
    request_body = Play,
    responses(
        (status = 202, description = "It is on its way.", body = Played),
        Guarded<MessagesSend>, Absent, Bodied,
    ),
)]
#[post("/v1/sandbox/phones/{number}/messages")]
pub(crate) async fn play(sent: SentByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let (number, play): (String, Play) = (by.id("number")?, input::json(&sent.body)?);
        let played = by.api.inbox.play(&by.principal, &number, play).await?;
        Ok(HttpResponse::Accepted().json(played))
    })
    .await
}
