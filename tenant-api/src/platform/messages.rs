//! Sending, and what became of it.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use waystation_core::{
    error::{ApiError, ErrorKind},
    ids::MessageId,
    messages::request::Dialect,
};

use crate::{
    Api,
    answers::{Absent, Guarded, Sendable},
    auth::{ByTenant, MessagesRead, MessagesSend, SentByTenant},
    failure::Failure,
    schema::{Accepted, Message, MessageEvents, PlatformMessage},
    shared::{accept, ask},
};

/// Send a message
///
/// The Cloud API's body plus `from`. Answers once the message is on disk.
#[utoipa::path(
    tag = "Messages",
    operation_id = "sendMessage",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "At most 255 characters. For 24 hours, the same \
            request with the same key is answered with the first answer and `Idempotency-Replayed: true`."),
    ),
    request_body = PlatformMessage,
    responses(
        (status = 202, description = "Accepted: it is on disk, and will be sent.", body = Accepted),
        Guarded<MessagesSend>, Absent, Sendable,
    ),
)]
#[post("/v1/messages")]
pub(crate) async fn send_message(
    request: HttpRequest,
    api: web::Data<Api>,
    sent: SentByTenant<MessagesSend>,
) -> Result<HttpResponse, Failure> {
    let accepted = accept(&request, &api, &sent, None, Dialect::Platform).await?;
    let mut response = HttpResponse::Accepted();
    if accepted.replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    Ok(response.json(Accepted::from(accepted)))
}

/// Read a message
#[utoipa::path(
    tag = "Messages",
    operation_id = "getMessage",
    params(("id" = String, Path, description = "The message's id.", example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")),
    responses(
        (status = 200, description = "The message.", body = Message),
        Guarded<MessagesRead>, Absent,
    ),
)]
#[get("/v1/messages/{id}")]
pub(crate) async fn get_message(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
    by: ByTenant<MessagesRead>,
) -> Result<HttpResponse, Failure> {
    let found = match id.parse::<MessageId>() {
        Ok(id) => ask(&request, api.store.message(by.principal.business(), &id)).await?,
        Err(_) => None,
    };
    found.map(|message| HttpResponse::Ok().json(Message::from(message))).ok_or_else(|| no_such_message(&request))
}

/// Read the history of a message
///
/// Each hop with its time, attempt and adapter, oldest first.
#[utoipa::path(
    tag = "Messages",
    operation_id = "listMessageEvents",
    params(("id" = String, Path, description = "The message's id.", example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")),
    responses(
        (status = 200, description = "Its history.", body = MessageEvents),
        Guarded<MessagesRead>, Absent,
    ),
)]
#[get("/v1/messages/{id}/events")]
pub(crate) async fn list_message_events(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
    by: ByTenant<MessagesRead>,
) -> Result<HttpResponse, Failure> {
    let found = match id.parse::<MessageId>() {
        Ok(id) => ask(&request, api.store.message_history(by.principal.business(), &id)).await?,
        Err(_) => None,
    };
    found
        .map(|(message, events)| HttpResponse::Ok().json(MessageEvents::new(&message, events)))
        .ok_or_else(|| no_such_message(&request))
}

fn no_such_message(request: &HttpRequest) -> Failure {
    let details = "No message with this id belongs to this key's business.";
    Failure::new(request, ApiError::new(ErrorKind::NotFound, details))
}
