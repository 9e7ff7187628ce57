//! What every request gets: an id, and one line in the log once it is answered.

use std::time::Instant;

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
};
use waystation_core::ids::CallbackId;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: in the answer's `X-Request-Id`, in error bodies, in the log.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    /// The id of `request`; empty outside of [`identify`].
    #[must_use]
    pub fn of(request: &HttpRequest) -> String {
        request.extensions().get::<Self>().map(|id| id.0.clone()).unwrap_or_default()
    }
}

/// Gives the request its id and logs how it was answered: the route's pattern, never
/// the path, which may hold ids, nor anything of the body.
///
/// # Errors
/// Those of the handler.
pub async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    // Sortable by time, like every id here.
    let id = CallbackId::generate().key().to_owned();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.call(request).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let status = response.status();
    let request = response.request();
    let route = request.match_pattern().unwrap_or_else(|| "(no route)".to_owned());
    let micros = started.elapsed().as_micros();
    if status.is_server_error() {
        tracing::warn!(request_id = id, method = %request.method(), route, status = status.as_u16(), micros, "request");
    } else {
        tracing::debug!(request_id = id, method = %request.method(), route, status = status.as_u16(), micros, "request");
    }
    Ok(response)
}
