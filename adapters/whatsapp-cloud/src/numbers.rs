//! Guarantee: operations on a number say what the upstream said, and a code or PIN goes nowhere but into its request.

use serde_json::{Value, json};
use waystation_adapter_sdk::{
    CodeCheck, CodeMethod, CodeRequest, Io, NumberDone, NumberError, Registration, UpstreamError,
};

use crate::{
    codes::Class,
    connection::Connection,
    graph::{self, Failure},
};

/// A PIN that does not match, and too many tries of one: [`NumberError::WrongCode`] and its wait.
const PIN_MISMATCH: i64 = 133_005;
/// A code that is wrong or too old.
const CODE_WRONG: [i64; 2] = [136_025, PIN_MISMATCH];
/// Too many guesses; the upstream says in words how long that lasts.
const GUESSED_TOO_OFTEN: [i64; 2] = [133_008, 133_009];
/// The number is registered already.
const HOUR_MS: u64 = 3_600_000;

pub(crate) async fn request_code(io: &Io, request: &CodeRequest) -> Result<NumberDone, NumberError> {
    let method = match request.method {
        CodeMethod::Sms => "SMS",
        CodeMethod::Voice => "VOICE",
        CodeMethod::Whatsapp => return Err(NumberError::Unsupported),
    };
    let body = json!({"code_method": method, "language": request.language});
    ask(io, &request.connection, "request_code", &body).await
}

pub(crate) async fn verify_code(io: &Io, check: &CodeCheck) -> Result<NumberDone, NumberError> {
    ask(io, &check.connection, "verify_code", &json!({"code": check.code.reveal()})).await
}

pub(crate) async fn register(io: &Io, registration: &Registration) -> Result<NumberDone, NumberError> {
    let body = json!({"messaging_product": "whatsapp", "pin": registration.pin.reveal()});
    ask(io, &registration.connection, "register", &body).await
}

async fn ask(io: &Io, settings: &Value, operation: &str, body: &Value) -> Result<NumberDone, NumberError> {
    let connection = Connection::read(settings).map_err(|details| NumberError::Unavailable {
        error: UpstreamError::new("The connection's settings are wrong").details(details),
        needs_operator: true,
    })?;
    let path = format!("{}/{operation}", connection.phone_number_id);
    let answer = graph::call(io, &connection, "POST", &path, Some(body)).await.map_err(judge)?;
    // A few answers have it as a text.
    match answer.get("success") {
        Some(Value::Bool(true)) => {}
        Some(Value::String(text)) if text == "true" => {}
        _ => {
            let error =
                UpstreamError { raw: Some(answer), ..UpstreamError::new("The answer does not say that it was done") };
            return Err(NumberError::Ambiguous { error });
        }
    }
    let upstream_id = answer.get("id").and_then(Value::as_str).map(str::to_owned);
    Ok(NumberDone { upstream_id })
}

fn judge(failure: Failure) -> NumberError {
    let (class, error, after_ms) = match failure {
        Failure::NotSent(error) => return NumberError::Unavailable { error, needs_operator: false },
        Failure::Unknown(error) => return NumberError::Ambiguous { error },
        Failure::Foreign(error) => return NumberError::Unavailable { error, needs_operator: true },
        Failure::Refused { class, error, after_ms } => (class, error, after_ms),
    };
    if error.code.is_some_and(|code| CODE_WRONG.contains(&code)) {
        return NumberError::WrongCode { error };
    }
    if error.code.is_some_and(|code| GUESSED_TOO_OFTEN.contains(&code)) {
        return NumberError::RateLimited { after_ms, error };
    }
    let limited = |ms: u64| NumberError::RateLimited { after_ms: Some(after_ms.unwrap_or(ms)), error: error.clone() };
    match class {
        Class::HoldFiveMinutes => limited(HOUR_MS / 12),
        Class::HoldTenMinutes => limited(HOUR_MS / 6),
        Class::HoldOneHour => limited(HOUR_MS),
        Class::HoldOneDay => limited(24 * HOUR_MS),
        Class::HoldThreeDays => limited(72 * HOUR_MS),
        Class::Backoff if matches!(error.code, Some(4 | 17 | 613 | 80_007)) => {
            NumberError::RateLimited { after_ms, error }
        }
        Class::Backoff | Class::RetryOnce | Class::Pair => NumberError::Unavailable { error, needs_operator: false },
        Class::PauseChannel => NumberError::Unavailable { error, needs_operator: true },
        Class::Fallback
        | Class::Suppress
        | Class::PauseTemplate
        | Class::Permanent
        | Class::Operator
        | Class::Bug
        | Class::Informational => NumberError::Rejected { error },
    }
}
