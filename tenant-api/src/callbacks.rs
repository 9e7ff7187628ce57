//! The address for the callbacks of the networks behind the adapters: bytes go in as they came, and the adapter decides.

use actix_web::{HttpRequest, HttpResponse, Resource, http::StatusCode, web};
use waystation_core::{
    clock::now_ms,
    delivery::Callback,
    error::{ApiError, ErrorKind},
    ids::SenderId,
};

use crate::{Api, failure::Failure, shared::read_body_up_to};

/// Largest callback, in bytes: Meta sends up to 3 MB.
const CALLBACK_MAX_BYTES: usize = 4 * 1024 * 1024;

/// `/callbacks/{sender}`: what a network calls for the sender with this phone number id.
pub(crate) fn route() -> Resource {
    web::resource("/callbacks/{sender}")
        .route(web::get().to(hear))
        .route(web::post().to(hear))
        .default_service(web::to(crate::no_such_route))
}

async fn hear(
    request: HttpRequest,
    sender: web::Path<String>,
    api: web::Data<Api>,
    payload: Result<web::Payload, actix_web::Error>,
) -> Result<HttpResponse, Failure> {
    let fail = |error: ApiError| Failure::new(&request, error);
    let Ok(sender) = sender.parse::<SenderId>() else {
        return Err(fail(ApiError::new(ErrorKind::NotFound, "No network is expected to call back here.")));
    };
    let body = read_body_up_to(CALLBACK_MAX_BYTES, payload).await.map_err(fail)?;
    let header = |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let callback = Callback {
        method: request.method().to_string(),
        query: serde_urlencoded::from_str(request.query_string()).unwrap_or_default(),
        headers: request.headers().iter().map(header).collect(),
        ..Callback::new(body.to_vec(), serde_json::Value::Null, now_ms())
    };
    let admission = api.listener.hear(sender, callback).await.map_err(fail)?;
    let status = StatusCode::from_u16(admission.status).unwrap_or(StatusCode::OK);
    Ok(HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(admission.body))
}
