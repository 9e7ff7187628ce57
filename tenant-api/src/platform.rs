//! `/v1`: the platform's own routes.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use waystation_core::{
    error::{ApiError, ErrorKind},
    ids::{MessageId, SenderId},
    messages::{
        intake::{AcceptedMessage, Incoming},
        request::Dialect,
    },
    store::StoreError,
};

use crate::{
    Api,
    auth::Authenticated,
    failure::{Failure, Problem},
    schema::{Accepted, Message, MessageEvents, PlatformMessage},
};

/// How long a body may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(30);
/// How long the database may take to answer a question.
const QUERY_MAX: Duration = Duration::from_secs(10);

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
        (status = 400, description = "The body is not JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No live API key.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The business is not verified.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such sender.", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body did not arrive in time.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Something is wrong with the message; `errors` lists all of it.", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "It is not known whether it was kept; repeat it with the same idempotency key.", body = Problem, content_type = "application/problem+json"),
    ),
)]
#[post("/v1/messages")]
pub(crate) async fn send_message(
    request: HttpRequest,
    api: web::Data<Api>,
    principal: Authenticated,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    let accepted = accept(&request, &api, &principal, None, Dialect::Platform, payload).await?;
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
        (status = 401, description = "No live API key.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such message.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database does not answer.", body = Problem, content_type = "application/problem+json"),
    ),
)]
#[get("/v1/messages/{id}")]
pub(crate) async fn get_message(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
    principal: Authenticated,
) -> Result<HttpResponse, Failure> {
    let found = match id.parse::<MessageId>() {
        Ok(id) => ask(&request, api.store.message(&principal.0.business, &id)).await?,
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
        (status = 401, description = "No live API key.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such message.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database does not answer.", body = Problem, content_type = "application/problem+json"),
    ),
)]
#[get("/v1/messages/{id}/events")]
pub(crate) async fn list_message_events(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
    principal: Authenticated,
) -> Result<HttpResponse, Failure> {
    let found = match id.parse::<MessageId>() {
        Ok(id) => ask(&request, api.store.message_history(&principal.0.business, &id)).await?,
        Err(_) => None,
    };
    found
        .map(|(message, events)| HttpResponse::Ok().json(MessageEvents::new(&message, events)))
        .ok_or_else(|| no_such_message(&request))
}

/// The answer of a query, in time or not at all.
pub(crate) async fn ask<T>(
    request: &HttpRequest,
    query: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(QUERY_MAX, query).await {
        Ok(answer) => answer.map_err(|error| Failure::new(request, error)),
        Err(_) => {
            let details = "The database does not answer in time.";
            Err(Failure::new(request, ApiError::new(ErrorKind::Unavailable, details)))
        }
    }
}

fn no_such_message(request: &HttpRequest) -> Failure {
    let details = "No message with this id belongs to this key's business.";
    Failure::new(request, ApiError::new(ErrorKind::NotFound, details))
}

/// The one handler behind both ways to send.
pub(crate) async fn accept(
    request: &HttpRequest,
    api: &Api,
    principal: &Authenticated,
    sender: Option<SenderId>,
    dialect: Dialect,
    payload: web::Payload,
) -> Result<AcceptedMessage, Failure> {
    let fail = |error: ApiError| Failure::new(request, error);
    let limit = api.body_limit_bytes;
    let body = match tokio::time::timeout(BODY_MAX, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => {
            let details = "The body ended early, or its chunks are not well formed.";
            return Err(fail(ApiError::new(ErrorKind::MalformedBody, details)));
        }
        Err(_) => {
            let details = format!("The body did not arrive within {} seconds.", BODY_MAX.as_secs());
            return Err(fail(ApiError::new(ErrorKind::BodyTooSlow, details)));
        }
        Ok(Err(_)) => {
            let details = format!("The body has more than {limit} bytes.");
            return Err(fail(ApiError::new(ErrorKind::BodyTooLarge, details)));
        }
    };
    if request.headers().get_all("idempotency-key").count() > 1 {
        let details = "There is more than one Idempotency-Key header.";
        return Err(fail(ApiError::new(ErrorKind::ParameterInvalid, details)));
    }
    let idempotency_key = match request.headers().get("idempotency-key").map(|value| value.to_str()) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => {
            let details = "Idempotency-Key must consist of visible ASCII characters.";
            return Err(fail(ApiError::new(ErrorKind::ParameterInvalid, details)));
        }
    };
    let incoming = Incoming { sender, dialect, body: &body, idempotency_key };
    api.intake.accept(&principal.0, incoming).await.map_err(fail)
}
