//! Errors in the shape that the route's clients expect: Meta's error object on the
//! Cloud API routes, problem documents (RFC 9457) on `/v1`.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;
use waystation_core::error::{ApiError, Breach, ErrorKind};

use crate::{request::RequestId, routes::Routes};

/// How long a client should wait before it repeats a request that was not kept, in
/// seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct Failure {
    error: ApiError,
    cloud: bool,
    request_id: String,
}

impl Failure {
    pub(crate) fn new(request: &HttpRequest, error: impl Into<ApiError>) -> Self {
        Self { error: error.into(), cloud: !is_platform(request.path()), request_id: RequestId::of(request) }
    }
}

/// Whether a path is one of the platform's own, whose errors are problem documents.
fn is_platform(path: &str) -> bool {
    ["/v1/", "/partner/v1/", "/oauth/"].iter().any(|prefix| path.starts_with(prefix))
}

/// The Cloud API's error body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CloudErrorBody {
    error: CloudError,
}

/// The Cloud API's error object.
#[derive(Debug, Serialize, ToSchema)]
struct CloudError {
    /// The code in brackets and what it means.
    #[schema(example = "(#131009) Parameter value is not valid")]
    message: String,
    #[serde(rename = "type")]
    #[schema(example = "OAuthException")]
    kind: &'static str,
    /// Build logic on this.
    #[schema(example = 131_009)]
    code: i64,
    /// What the code leaves open, of templates that are created or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 2_388_299)]
    error_subcode: Option<i64>,
    /// With a subcode: what to show to a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Leading or trailing parameters are not allowed")]
    error_user_title: Option<&'static str>,
    /// With a subcode: what was wrong, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/components/0/text must not begin with a variable")]
    error_user_msg: Option<String>,
    error_data: CloudErrorData,
    /// The request's id; name it when you ask for help.
    fbtrace_id: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudErrorData {
    #[schema(example = "whatsapp")]
    messaging_product: &'static str,
    /// What was wrong with this very request.
    #[schema(example = "/to must be a phone number with its country code")]
    details: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Ends in the error's name in the catalogue.
    #[serde(rename = "type")]
    #[schema(example = "/docs/errors#parameter_invalid")]
    kind: String,
    #[schema(example = "Parameter value is not valid")]
    title: &'static str,
    #[schema(example = 422)]
    status: u16,
    /// What was wrong with this very request.
    #[schema(example = "/text/body must not be empty")]
    detail: String,
    /// The same code as on the Cloud API routes.
    #[schema(example = 131_009)]
    code: i64,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// What to do.
    #[schema(example = "Correct the parameter that the details name.")]
    advice: &'static str,
    /// The request's id; name it when you ask for help.
    #[schema(example = "01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    request_id: String,
    /// Everything that is wrong with the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Breach>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        let row = self.error.kind.row();
        let status = if self.cloud { row.cloud_status } else { row.status };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"waystation\""));
        }
        if let Some(wait_ms) = self.error.retry_after_ms {
            response.insert_header((header::RETRY_AFTER, wait_ms.div_ceil(1_000).max(1).to_string()));
        } else if matches!(self.error.kind, ErrorKind::Unavailable | ErrorKind::IdempotencyInProgress) {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        if self.cloud {
            return response.json(cloud_error(&self.error, &self.request_id));
        }
        // `json` would say application/json.
        match serde_json::to_string(&problem(&self.error, &self.request_id)) {
            Ok(body) => response.content_type("application/problem+json").body(body),
            Err(_) => HttpResponse::InternalServerError().finish(),
        }
    }
}

/// The Cloud API's body for `error`.
pub(crate) fn cloud_error(error: &ApiError, request_id: &str) -> CloudErrorBody {
    let row = error.kind.row();
    CloudErrorBody {
        error: CloudError {
            message: format!("(#{}) {}", row.code, row.title),
            kind: row.error_type,
            code: row.code,
            error_subcode: error.kind.subcode(),
            error_user_title: error.kind.subcode().map(|_| row.title),
            error_user_msg: error.kind.subcode().map(|_| error.details.clone()),
            error_data: CloudErrorData { messaging_product: "whatsapp", details: error.details.clone() },
            fbtrace_id: request_id.to_owned(),
        },
    }
}

/// The problem document for `error`.
pub(crate) fn problem(error: &ApiError, request_id: &str) -> Problem {
    let row = error.kind.row();
    Problem {
        kind: format!("/docs/errors#{}", row.name),
        title: row.title,
        status: row.status,
        detail: error.details.clone(),
        code: row.code,
        retryable: row.retryable,
        advice: row.advice,
        request_id: request_id.to_owned(),
        errors: error.breaches.clone(),
    }
}

/// The answer to a request that no route takes: no such path, or not with this method.
pub(crate) fn no_such_route(request: &HttpRequest, routes: &Routes) -> HttpResponse {
    let (method, path) = (request.method(), request.path());
    let Some(allowed) = routes.methods(path) else {
        let details = format!("There is no {method} {path}.");
        return Failure::new(request, ApiError::new(ErrorKind::NoSuchRoute, details)).error_response();
    };
    let details = format!("{method} cannot be used here; {allowed} can.");
    let failure = Failure::new(request, ApiError::new(ErrorKind::MethodNotAllowed, details));
    let mut response = failure.error_response();
    if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}
