//! Sending, as the Cloud API has it.

use actix_web::{HttpRequest, HttpResponse, Resource, post, put, web};
use waystation_core::{
    error::{ApiError, ErrorKind},
    ids::SenderId,
    messages::{intake::AcceptedMessage, request::Dialect},
};

use crate::{
    Api,
    answers::{Absent, Bodied, CloudErrors, Guarded, Sendable},
    auth::{MessagesSend, SentByTenant},
    failure::Failure,
    schema::{CloudAccepted, CloudAnswer, CloudMessage, CloudReadMark, CloudSuccess},
    shared::accept,
};

/// Send a message, or mark one as read
///
/// Answers once the message is on disk. What becomes of it comes by webhook, and can be read at
/// `GET /v1/messages/{id}`.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudSendMessage",
    path = "/{version}/{phone_number_id}/messages",
    params(
        ("version" = String, Path, description = "Any version of the Graph API, for example `v24.0`.", example = "v24.0"),
        ("phone_number_id" = String, Path, description = "The sender.", example = "106540352242922"),
        ("Idempotency-Key" = Option<String>, Header, description = "At most 255 characters. For 24 hours, the same \
            request with the same key is answered with the first answer and `Idempotency-Replayed: true`."),
    ),
    request_body = CloudMessage,
    responses(
        (status = 200, description = "Accepted: it is on disk, and will be sent. Or marked as read.", body = CloudAnswer),
        Guarded<MessagesSend, CloudErrors>, Absent<CloudErrors>, Sendable<CloudErrors>,
    ),
)]
#[post("/{version:v[0-9]+\\.[0-9]+}/{phone_number_id}/messages")]
pub(crate) async fn send_message(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    api: web::Data<Api>,
    sent: SentByTenant<MessagesSend>,
) -> Result<HttpResponse, Failure> {
    let (_, sender) = path.into_inner();
    send(request, &sender, api, sent).await
}

/// Mark a message as read
///
/// And all that the same person sent before it. `POST` takes the same body.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudMarkMessageAsRead",
    path = "/{version}/{phone_number_id}/messages",
    params(
        ("version" = String, Path, description = "Any version of the Graph API, for example `v24.0`.", example = "v24.0"),
        ("phone_number_id" = String, Path, description = "The sender.", example = "106540352242922"),
    ),
    request_body = CloudReadMark,
    responses(
        (status = 200, description = "It is marked.", body = CloudSuccess),
        Guarded<MessagesSend, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>,
    ),
)]
#[put("/{version:v[0-9]+\\.[0-9]+}/{phone_number_id}/messages")]
pub(crate) async fn mark_message_as_read(sent: SentByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let sender = by.id("phone_number_id")?;
        if by.api.inbox.marks_as_read(&by.principal, sender, &sent.body).await? {
            return Ok(HttpResponse::Ok().json(CloudSuccess::yes()));
        }
        Err(ApiError::breach("/status", "must be \"read\": PUT marks a message as read, POST sends one"))
    })
    .await
}

/// The same without a version: some client libraries leave it out.
pub(crate) fn without_version() -> Resource {
    web::resource("/{phone_number_id:[0-9]+}/messages")
        .route(web::post().to(send_message_without_version))
        .default_service(web::to(crate::no_such_route))
}

async fn send_message_without_version(
    request: HttpRequest,
    sender: web::Path<String>,
    api: web::Data<Api>,
    sent: SentByTenant<MessagesSend>,
) -> Result<HttpResponse, Failure> {
    send(request, &sender, api, sent).await
}

async fn send(
    request: HttpRequest,
    sender: &str,
    api: web::Data<Api>,
    sent: SentByTenant<MessagesSend>,
) -> Result<HttpResponse, Failure> {
    let Ok(sender) = sender.parse::<SenderId>() else {
        let details = "The phone number id in the path is not a number.";
        return Err(Failure::new(&request, ApiError::new(ErrorKind::NotFound, details)));
    };
    let marking = api.inbox.marks_as_read(&sent.by.principal, sender, &sent.body);
    if marking.await.map_err(|error| Failure::new(&request, error))? {
        return Ok(HttpResponse::Ok().json(CloudSuccess::yes()));
    }
    let accepted = accept(&request, &api, &sent, Some(sender), Dialect::CloudApi).await?;
    Ok(answer(accepted))
}

fn answer(accepted: AcceptedMessage) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if accepted.replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    response.json(CloudAccepted::from(accepted))
}
