//! What the Cloud API routes and `/v1` have in common: the one handler that accepts a
//! message, and bounds on everything that a request waits for.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use waystation_core::{
    error::{ApiError, ErrorKind},
    ids::SenderId,
    messages::{
        intake::{AcceptedMessage, Incoming},
        request::Dialect,
    },
    store::StoreError,
};

use crate::{Api, auth::Authenticated, failure::Failure};

/// How long a body may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(30);
/// How long the database may take to answer a question.
const QUERY_MAX: Duration = Duration::from_secs(10);

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
