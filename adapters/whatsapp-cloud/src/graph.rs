//! Guarantee: what the upstream answers is read as one of three things: an answer, an error with its code, or neither,
//! and what is neither is never taken for a refusal when the request may have been carried out.

use serde::Deserialize;
use serde_json::Value;
use waystation_adapter_sdk::{HttpError, HttpRequest, HttpResponse, Io, UpstreamError};

use crate::{
    codes::{Class, class_of},
    connection::Connection,
};

/// How much of an answer that cannot be read goes into an error, in characters.
const EXCERPT_MAX_CHARS: usize = 200;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The upstream said no, and why.
    Refused {
        class: Class,
        error: UpstreamError,
        /// The waiting time that it named, in milliseconds.
        after_ms: Option<u64>,
    },
    /// The request did not get there.
    NotSent(UpstreamError),
    /// The request may have been carried out.
    Unknown(UpstreamError),
    /// Who answered does not speak this API.
    Foreign(UpstreamError),
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Value,
}

/// Makes a request with a JSON body and reads the JSON answer.
pub(crate) async fn call(
    io: &Io,
    connection: &Connection,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let mut headers = vec![connection.authorization()];
    if body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let request = HttpRequest {
        method: method.to_owned(),
        url: connection.url(path),
        headers,
        body: body.map(Value::to_string).unwrap_or_default().into(),
        timeout_ms: Some(connection.timeout_ms),
    };
    read(io.http(request).await)
}

/// Reads the answer to a request.
pub(crate) fn read(response: Result<HttpResponse, HttpError>) -> Result<Value, Failure> {
    let response = match response {
        Ok(response) => response,
        Err(HttpError::NotSent { details }) => {
            return Err(Failure::NotSent(UpstreamError::new("The request was not sent").details(details)));
        }
        Err(HttpError::Unknown { details }) => {
            return Err(Failure::Unknown(UpstreamError::new("The request has no answer").details(details)));
        }
    };
    let status = response.status;
    let unreadable = |title: &str| UpstreamError::new(title).details(shown(&response));
    match status {
        200..=299 => serde_json::from_slice(response.body.as_bytes())
            .map_err(|_| Failure::Unknown(unreadable("The answer cannot be read"))),
        _ => match serde_json::from_slice::<ErrorBody>(response.body.as_bytes()) {
            Ok(ErrorBody { error }) if error.get("code").is_some_and(Value::is_i64) => {
                let code = error["code"].as_i64().unwrap_or_default();
                let transient = error.get("is_transient").and_then(Value::as_bool).unwrap_or(false);
                let class = class_of(code, status, transient);
                let after_ms = header(&response, "retry-after").and_then(|text| text.parse::<u64>().ok());
                let after_ms = after_ms.map(|seconds| seconds.saturating_mul(1_000));
                Err(Failure::Refused { class, error: upstream_error(&error), after_ms })
            }
            // Something between us and the upstream answered; behind it, anything may have happened.
            _ if status >= 500 || status == 408 => Err(Failure::Unknown(unreadable("A broken answer"))),
            _ if status == 429 => {
                Err(Failure::Refused { class: Class::Backoff, error: unreadable("Too many requests"), after_ms: None })
            }
            _ => Err(Failure::Foreign(unreadable("Not an answer of the Cloud API"))),
        },
    }
}

/// An error object as it came.
pub(crate) fn upstream_error(error: &Value) -> UpstreamError {
    let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    UpstreamError {
        code: error.get("code").and_then(Value::as_i64),
        title: text("/title").or_else(|| text("/message")).unwrap_or("An error without a title").to_owned(),
        details: text("/error_data/details").or_else(|| text("/error_user_msg")).map(str::to_owned),
        raw: Some(error.clone()),
    }
}

fn header<'r>(response: &'r HttpResponse, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

fn shown(response: &HttpResponse) -> String {
    let body = String::from_utf8_lossy(response.body.as_bytes());
    let excerpt: String = body.chars().take(EXCERPT_MAX_CHARS).flat_map(char::escape_debug).collect();
    format!("HTTP status {}: {excerpt}", response.status)
}
