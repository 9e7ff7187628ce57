//! Guarantee: every entry, change, status, message and preference of a webhook becomes an event; what is not understood becomes
//! [`Event::Unknown`] with its place and its content.
//!
//! Webhooks batch, and every member of a status but its id may be missing.

use serde_json::Value;
use waystation_adapter_sdk::{
    Callback, Event, InboundMessage, ReceiptStatus, ReceiveError, Received, StatusEvent, UpstreamError, UserPreference,
};

/// Reads a webhook body.
pub(crate) fn read(callback: &Callback) -> Result<Received, ReceiveError> {
    let malformed = |details: String| ReceiveError::Malformed { details };
    let body: Value = serde_json::from_slice(callback.body.as_bytes())
        .map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    if let Some(arrival) = crate::phone::read(&body) {
        return Ok(Received { events: vec![arrival] });
    }
    let entries = body
        .get("entry")
        .and_then(Value::as_array)
        .ok_or_else(|| malformed("the body has no array `entry`".to_owned()))?;

    let mut events = Vec::new();
    for (e, entry) in entries.iter().enumerate() {
        let Some(changes) = entry.get("changes").and_then(Value::as_array) else {
            events.push(unknown(format!("entry[{e}] has no changes"), entry));
            continue;
        };
        for (c, change) in changes.iter().enumerate() {
            read_change(change, &format!("entry[{e}].changes[{c}]"), callback.received_at_ms, &mut events);
        }
    }
    Ok(Received { events })
}

fn read_change(change: &Value, place: &str, received_at_ms: i64, events: &mut Vec<Event>) {
    let before = events.len();
    let contacts = change.pointer("/value/contacts");
    for member in ["statuses", "messages", "user_preferences", "errors"] {
        let items = change.pointer(&format!("/value/{member}")).and_then(Value::as_array);
        for (i, item) in items.into_iter().flatten().enumerate() {
            let place = format!("{place}.value.{member}[{i}]");
            let unread = |why: &str| unknown(format!("{place}: {why}"), item);
            events.push(match member {
                "statuses" => read_status(item, &place, received_at_ms),
                "messages" => {
                    InboundMessage::from_cloud_api(item, contacts, received_at_ms).map_or_else(unread, Event::Inbound)
                }
                "user_preferences" => UserPreference::from_cloud_api(item, contacts, received_at_ms)
                    .map_or_else(unread, Event::UserPreference),
                _ => unread("the sandbox reads no errors"),
            });
        }
    }
    if events.len() == before {
        events.push(unknown(format!("{place} has nothing known"), change));
    }
}

fn read_status(status: &Value, place: &str, received_at_ms: i64) -> Event {
    let text = |member: &str| status.get(member).and_then(Value::as_str).map(str::to_owned);
    let Some(upstream_id) = text("id").filter(|id| !id.is_empty()) else {
        return unknown(format!("{place} has no id"), status);
    };
    let receipt = match status.get("status").and_then(Value::as_str) {
        Some("sent") => ReceiptStatus::Sent,
        Some("delivered") => ReceiptStatus::Delivered,
        Some("read") => ReceiptStatus::Read,
        Some("played") => ReceiptStatus::Played,
        Some("failed") => ReceiptStatus::Failed,
        Some(other) => return unknown(format!("{place} has the status {other:?}"), status),
        None => return unknown(format!("{place} has no status"), status),
    };
    let seconds = match status.get("timestamp") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_i64(),
        None => None,
    };
    Event::Status(StatusEvent {
        upstream_id,
        attempt_ref: text("biz_opaque_callback_data"),
        status: receipt,
        at_ms: seconds.and_then(|seconds: i64| seconds.checked_mul(1000)).unwrap_or(received_at_ms),
        recipient_id: text("recipient_id"),
        error: status.get("errors").and_then(Value::as_array).and_then(|errors| errors.first()).map(read_error),
    })
}

fn read_error(error: &Value) -> UpstreamError {
    let text = |pointer: &str| error.pointer(pointer).and_then(Value::as_str);
    UpstreamError {
        code: error.get("code").and_then(Value::as_i64),
        title: text("/title").or_else(|| text("/message")).unwrap_or("An error without a title").to_owned(),
        details: text("/error_data/details").map(str::to_owned),
        raw: Some(error.clone()),
    }
}

fn unknown(what: String, raw: &Value) -> Event {
    Event::Unknown { what, raw: raw.clone() }
}
