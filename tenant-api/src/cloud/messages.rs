//! Sending, as the Cloud API has it.

use actix_web::{HttpRequest, HttpResponse, Resource, post, web};
use waystation_core::{
    error::{ApiError, ErrorKind},
    ids::SenderId,
    messages::{intake::AcceptedMessage, request::Dialect},
};

use crate::{
    Api,
    answers::{Absent, CloudErrors, Guarded, Sendable},
    auth::{MessagesSend, SentByTenant},
    failure::Failure,
    schema::{CloudAccepted, CloudMessage},
    shared::accept,
};

/// Send a message
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
        (status = 200, description = "Accepted: it is on disk, and will be sent.", body = CloudAccepted),
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
