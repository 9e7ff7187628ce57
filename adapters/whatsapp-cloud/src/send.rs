//! Guarantee: what goes up is the tenant's message object with nothing but the envelope changed, and what comes back
//! decides the message's fate by its class alone.

use serde_json::{Map, Value, json};
use waystation_adapter_sdk::{Accepted, Io, Outbound, RateScope, SendError, UpstreamError};

use crate::{
    codes::Class,
    connection::Connection,
    graph::{self, Failure},
    media,
};

/// Members of the envelope that this adapter writes; whatever else the tenant sent goes up as it is.
const WRITTEN: [&str; 6] =
    ["messaging_product", "from", "to", "recipient", "recipient_type", "biz_opaque_callback_data"];

/// What a throttled number waits, in milliseconds, unless the upstream says.
const THROTTLED_MS: u64 = 1_000;
/// What a number in maintenance waits, in milliseconds: a throughput upgrade takes up to a minute.
const MAINTENANCE_MS: u64 = 60_000;
/// What the management quota waits, in milliseconds: it is counted by the hour, and slides.
const QUOTA_MS: u64 = 60_000;
/// The most that a pair waits, in milliseconds: 4^5 seconds.
const PAIR_MAX_MS: u64 = 1_024_000;
const MINUTE_MS: u64 = 60_000;

/// Hands a message over.
pub(crate) async fn send(io: &Io, message: &Outbound) -> Result<Accepted, SendError> {
    let connection = Connection::read(&message.connection).map_err(|details| SendError::ChannelDown {
        error: UpstreamError::new("The connection's settings are wrong").details(details),
        needs_operator: true,
    })?;
    let body = envelope(message).map_err(|details| SendError::Internal {
        error: UpstreamError::new("The message object cannot be read").details(details),
    })?;
    let path = format!("{}/messages", connection.phone_number_id);
    let answer = graph::call(io, &connection, "POST", &path, Some(&body)).await;
    let is_gone = |error: &UpstreamError| media::is_gone(error, &body, &message.kind, message.attempt);
    match answer {
        Ok(answer) => accepted(&answer),
        Err(Failure::Refused { error, .. }) if is_gone(&error) => {
            Err(SendError::MediaGone { upstream_ids: Vec::new(), error })
        }
        Err(failure) => Err(judge(failure, message.attempt)),
    }
}

/// The message object with our envelope around it.
fn envelope(message: &Outbound) -> Result<Value, String> {
    let mut object: Map<String, Value> = serde_json::from_str(message.body.get()).map_err(|error| error.to_string())?;
    for member in WRITTEN {
        object.remove(member);
    }
    object.insert("messaging_product".to_owned(), json!("whatsapp"));
    object.insert("recipient_type".to_owned(), json!("individual"));
    object.insert("type".to_owned(), json!(message.kind));
    // Comes back in every receipt, so that an attempt without an answer is settled by its receipt.
    object.insert("biz_opaque_callback_data".to_owned(), json!(message.attempt_ref));
    match (&message.recipient.phone, &message.recipient.user_id) {
        (Some(phone), _) => object.insert("to".to_owned(), json!(format!("+{phone}"))),
        (None, Some(user_id)) => object.insert("recipient".to_owned(), json!(user_id)),
        (None, None) => return Err("it has no recipient".to_owned()),
    };
    Ok(Value::Object(object))
}

fn accepted(answer: &Value) -> Result<Accepted, SendError> {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    match text("/messages/0/id").filter(|id| !id.is_empty()) {
        Some(upstream_id) => Ok(Accepted {
            upstream_id,
            recipient_id: text("/contacts/0/wa_id").or_else(|| text("/contacts/0/user_id")),
        }),
        None => Err(SendError::Ambiguous {
            error: UpstreamError { raw: Some(answer.clone()), ..UpstreamError::new("The answer names no message") },
        }),
    }
}

/// What follows for the message.
pub(crate) fn judge(failure: Failure, attempt: u32) -> SendError {
    let (class, error, after_ms) = match failure {
        // Nobody is there, for any message.
        Failure::NotSent(error) => return SendError::ChannelDown { error, needs_operator: false },
        Failure::Unknown(error) => return SendError::Ambiguous { error },
        Failure::Foreign(error) => return SendError::ChannelDown { error, needs_operator: true },
        Failure::Refused { class, error, after_ms } => (class, error, after_ms),
    };
    let wait = |ms: u64| SendError::RetryAfter { after_ms: Some(after_ms.unwrap_or(ms)), error: error.clone() };
    let limited =
        |ms: u64, scope| SendError::RateLimited { after_ms: after_ms.unwrap_or(ms), scope, error: error.clone() };
    match class {
        Class::Backoff => match error.code {
            Some(130_429) => limited(THROTTLED_MS, RateScope::Sender),
            Some(131_057 | 2_494_100) => limited(MAINTENANCE_MS, RateScope::Sender),
            Some(4 | 17 | 613 | 80_007) => limited(QUOTA_MS, RateScope::Connection),
            _ => SendError::RetryAfter { after_ms, error },
        },
        Class::Pair => {
            let seconds = 4_u64.saturating_pow(attempt.saturating_sub(1).min(5));
            limited(seconds.saturating_mul(1_000).min(PAIR_MAX_MS), RateScope::Pair)
        }
        Class::RetryOnce if attempt <= 1 => SendError::RetryAfter { after_ms, error },
        Class::HoldFiveMinutes => limited(5 * MINUTE_MS, RateScope::Sender),
        Class::HoldTenMinutes => wait(10 * MINUTE_MS),
        Class::HoldOneHour => wait(60 * MINUTE_MS),
        Class::HoldOneDay | Class::HoldThreeDays | Class::PauseChannel => {
            SendError::ChannelDown { error, needs_operator: true }
        }
        Class::Bug => SendError::Internal { error },
        Class::RetryOnce
        | Class::Fallback
        | Class::Suppress
        | Class::PauseTemplate
        | Class::Permanent
        | Class::Operator
        | Class::Informational => SendError::Rejected { error },
    }
}
