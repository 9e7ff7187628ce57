//! Guarantee: an operation on what a business manages fails with when it can be asked again, and a limit of the upstream
//! is never taken for a refusal.

use serde_json::Value;
use waystation_adapter_sdk::{ManagementError, UpstreamError};

use crate::{codes::Class, connection::Connection, graph::Failure};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// The management calls of an account or an app are counted by the hour, and slide.
const QUOTA_CODES: [i64; 6] = [4, 17, 32, 613, 80_007, 80_008];
/// The subcode of what is not there, or not for this token.
const NOT_THERE: i64 = 33;

/// Reads the settings of a sender.
pub(crate) fn connection(settings: &Value) -> Result<Connection, ManagementError> {
    Connection::read(settings).map_err(|details| ManagementError::Unavailable {
        error: UpstreamError::new("The connection's settings are wrong").details(details),
        needs_operator: true,
    })
}

/// When it can be asked again.
pub(crate) fn judge(failure: Failure) -> ManagementError {
    let (class, error, after_ms) = match failure {
        Failure::NotSent(error) => return ManagementError::Unavailable { error, needs_operator: false },
        Failure::Unknown(error) => return ManagementError::Ambiguous { error },
        Failure::Foreign(error) => return ManagementError::Unavailable { error, needs_operator: true },
        Failure::Refused { class, error, after_ms } => (class, error, after_ms),
    };
    let limited =
        |ms: u64| ManagementError::RateLimited { after_ms: Some(after_ms.unwrap_or(ms)), error: error.clone() };
    if error.code.is_some_and(|code| QUOTA_CODES.contains(&code)) {
        return limited(HOUR_MS);
    }
    match class {
        Class::HoldFiveMinutes => limited(5 * MINUTE_MS),
        Class::HoldTenMinutes => limited(10 * MINUTE_MS),
        Class::HoldOneHour => limited(HOUR_MS),
        Class::HoldOneDay => limited(24 * HOUR_MS),
        Class::HoldThreeDays => limited(72 * HOUR_MS),
        Class::Backoff | Class::RetryOnce | Class::Pair => {
            ManagementError::Unavailable { error, needs_operator: false }
        }
        Class::PauseChannel => ManagementError::Unavailable { error, needs_operator: true },
        Class::Fallback
        | Class::Suppress
        | Class::PauseTemplate
        | Class::Permanent
        | Class::Operator
        | Class::Bug
        | Class::Informational => ManagementError::Rejected { error },
    }
}

/// The subcode of a refusal.
pub(crate) fn subcode(failure: &Failure) -> Option<i64> {
    let Failure::Refused { error, .. } = failure else { return None };
    error.raw.as_ref()?.get("error_subcode")?.as_i64()
}

/// Whether the upstream says that it has nothing of this id.
pub(crate) fn is_not_there(failure: &Failure) -> bool {
    let Failure::Refused { error, .. } = failure else { return false };
    subcode(failure) == Some(NOT_THERE) || error.code == Some(803)
}

/// An answer that is none of what is documented.
pub(crate) fn unreadable(answer: Value, title: &str) -> ManagementError {
    ManagementError::Ambiguous { error: UpstreamError { raw: Some(answer), ..UpstreamError::new(title) } }
}

/// Whether an answer says that it was done; a few have it as a text.
pub(crate) fn is_done(answer: &Value) -> bool {
    match answer.get("success") {
        Some(Value::Bool(done)) => *done,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}
