//! What the Cloud API routes and `/v1` have in common: the one handler that accepts a
//! message, and bounds on everything that a request waits for.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes},
};
use waystation_core::{
    error::{ApiError, ErrorKind},
    ids::SenderId,
    messages::{
        intake::{AcceptedMessage, Incoming},
        request::Dialect,
    },
    store::StoreError,
};

use crate::{
    Api,
    auth::{MessagesSend, SentByTenant},
    failure::Failure,
};

/// How long a body may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(30);
/// How long the database may take to answer a question.
pub(crate) const QUERY_MAX: Duration = Duration::from_secs(10);
/// How long a request may take that waits for another host.
pub(crate) const OTHERS_MAX: Duration = Duration::from_secs(30);

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

/// The answer that `work` finds, within `max` or not at all.
pub(crate) async fn within(
    max: Duration,
    request: &HttpRequest,
    work: impl Future<Output = Result<HttpResponse, ApiError>>,
) -> Result<HttpResponse, Failure> {
    let answer = match tokio::time::timeout(max, work).await {
        Ok(answer) => answer,
        Err(_) => {
            let details = format!("The request was not done within {} seconds.", max.as_secs());
            Err(ApiError::new(ErrorKind::Unavailable, details))
        }
    };
    answer.map_err(|error| Failure::new(request, error))
}

/// The body of a request, whole and in time.
pub(crate) async fn read_body(
    request: &HttpRequest,
    payload: Result<web::Payload, actix_web::Error>,
) -> Result<Bytes, Failure> {
    let limit = request.app_data::<web::Data<Api>>().map_or(0, |api| api.body_limit_bytes);
    read_body_up_to(limit, payload).await.map_err(|error| Failure::new(request, error))
}

/// The same, of at most `limit` bytes.
pub(crate) async fn read_body_up_to(
    limit: usize,
    payload: Result<web::Payload, actix_web::Error>,
) -> Result<Bytes, ApiError> {
    let fail = |kind: ErrorKind, details: String| Err(ApiError::new(kind, details));
    let ended = "The body ended early, or its chunks are not well formed.";
    let Ok(payload) = payload else {
        return fail(ErrorKind::MalformedBody, ended.to_owned());
    };
    match tokio::time::timeout(BODY_MAX, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => fail(ErrorKind::MalformedBody, ended.to_owned()),
        Err(_) => {
            fail(ErrorKind::BodyTooSlow, format!("The body did not arrive within {} seconds.", BODY_MAX.as_secs()))
        }
        Ok(Err(_)) => fail(ErrorKind::BodyTooLarge, format!("The body has more than {limit} bytes.")),
    }
}

/// The one handler behind both ways to send.
pub(crate) async fn accept(
    request: &HttpRequest,
    api: &Api,
    sent: &SentByTenant<MessagesSend>,
    sender: Option<SenderId>,
    dialect: Dialect,
) -> Result<AcceptedMessage, Failure> {
    let fail = |error: ApiError| Failure::new(request, error);
    let idempotency_key = idempotency_key(request).map_err(fail)?;
    let incoming = Incoming { sender, dialect, body: &sent.body, idempotency_key };
    api.intake.accept(&sent.by.principal, incoming).await.map_err(fail)
}

/// The Idempotency-Key of a request.
pub(crate) fn idempotency_key(request: &HttpRequest) -> Result<Option<&str>, ApiError> {
    if request.headers().get_all("idempotency-key").count() > 1 {
        let details = "There is more than one Idempotency-Key header.";
        return Err(ApiError::new(ErrorKind::ParameterInvalid, details));
    }
    match request.headers().get("idempotency-key").map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(key)) => Ok(Some(key)),
        Some(Err(_)) => {
            let details = "Idempotency-Key must consist of visible ASCII characters.";
            Err(ApiError::new(ErrorKind::ParameterInvalid, details))
        }
    }
}
