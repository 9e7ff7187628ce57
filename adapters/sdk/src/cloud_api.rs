//! Guarantee: every entry, change, status, message, preference and error of a Cloud API webhook becomes an event; what is
//! not understood becomes [`Event::Unknown`] with its place and its content.
//!
//! For every network that speaks the Cloud API's language. Webhooks batch, up to a thousand items, and every member of a
//! status but its id may be missing.

use serde_json::Value;

use crate::inbound::{InboundMessage, UserPreference};
use crate::types::{Callback, Change, Event, ReceiptStatus, ReceiveError, Received, StatusEvent, UpstreamError};

/// The field of changes about messages; all others are about accounts, numbers and templates.
const MESSAGES: &str = "messages";

/// Reads a webhook's body.
///
/// # Errors
/// [`ReceiveError::Malformed`] when it is no JSON, or has no entries.
pub fn read_webhook(callback: &Callback) -> Result<Received, ReceiveError> {
    let body = serde_json::from_slice(callback.body.as_bytes())
        .map_err(|error| ReceiveError::Malformed { details: format!("the body is not JSON: {error}") })?;
    read_webhook_body(&body, callback.received_at_ms)
}

/// The same for a body that was parsed.
///
/// # Errors
/// As [`read_webhook`].
pub fn read_webhook_body(body: &Value, received_at_ms: i64) -> Result<Received, ReceiveError> {
    let entries = body
        .get("entry")
        .and_then(Value::as_array)
        .ok_or_else(|| ReceiveError::Malformed { details: "the body has no array `entry`".to_owned() })?;

    let mut events = Vec::new();
    for (e, entry) in entries.iter().enumerate() {
        let Some(changes) = entry.get("changes").and_then(Value::as_array) else {
            events.push(unknown(format!("entry[{e}] has no changes"), entry));
            continue;
        };
        for (c, change) in changes.iter().enumerate() {
            let at_ms = seconds(entry.get("time")).unwrap_or(received_at_ms);
            read_change(change, &format!("entry[{e}].changes[{c}]"), at_ms, &mut events);
        }
    }
    Ok(Received { events })
}

fn read_change(change: &Value, place: &str, received_at_ms: i64, events: &mut Vec<Event>) {
    let field = change.get("field").and_then(Value::as_str);
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
                _ => unread("an error that belongs to no message"),
            });
        }
    }
    if events.len() > before {
        return;
    }
    match (field, change.get("value")) {
        (Some(field), Some(value)) if field != MESSAGES => {
            events.push(Event::Change(Change { field: field.to_owned(), value: value.clone(), at_ms: received_at_ms }));
        }
        _ => events.push(unknown(format!("{place} has nothing known"), change)),
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
    Event::Status(StatusEvent {
        upstream_id,
        attempt_ref: text("biz_opaque_callback_data"),
        status: receipt,
        at_ms: seconds(status.get("timestamp")).unwrap_or(received_at_ms),
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

/// A time in seconds, as text or as a number, in milliseconds.
fn seconds(time: Option<&Value>) -> Option<i64> {
    let seconds: i64 = match time? {
        Value::String(text) => text.parse().ok()?,
        number => number.as_i64()?,
    };
    seconds.checked_mul(1_000)
}

fn unknown(what: String, raw: &Value) -> Event {
    Event::Unknown { what, raw: raw.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RECEIVED_AT_MS: i64 = 1_750_000_000_123;

    fn read(field: &str, value: &Value) -> Vec<Event> {
        let body = json!({"object": "whatsapp_business_account", "entry": [
            {"id": "102290129340398", "time": 1_739_321_024, "changes": [{"field": field, "value": value}]},
        ]});
        read_webhook_body(&body, RECEIVED_AT_MS).unwrap().events
    }

    #[test]
    fn every_field_about_accounts_numbers_and_templates_is_handed_on_whole() {
        for field in [
            "message_template_status_update",
            "message_template_quality_update",
            "message_template_components_update",
            "template_category_update",
            "phone_number_name_update",
            "phone_number_quality_update",
            "account_update",
            "account_review_update",
            "account_alerts",
            "business_capability_update",
            "security",
            "history",
            "smb_app_state_sync",
            "smb_message_echoes",
            "a_field_of_tomorrow",
        ] {
            let value = json!({"event": "SOMETHING", "nested": {"kept": [1, "two"]}});
            let expected = Change { field: field.to_owned(), value: value.clone(), at_ms: 1_739_321_024_000 };
            assert_eq!(read(field, &value), [Event::Change(expected)], "{field}");
        }
    }

    #[test]
    fn every_type_that_a_person_sends_is_a_message() {
        for (kind, content) in [
            ("text", json!({"body": "hi"})),
            ("image", json!({"id": "1", "mime_type": "image/jpeg", "sha256": "x", "caption": "c"})),
            ("audio", json!({"id": "1", "mime_type": "audio/ogg; codecs=opus", "voice": true})),
            ("location", json!({"latitude": 37.4, "longitude": -122.1})),
            ("contacts", json!([{"name": {"formatted_name": "A"}}])),
            ("reaction", json!({"message_id": "wamid.0"})),
            ("button", json!({"payload": "p", "text": "Yes"})),
            ("interactive", json!({"type": "list_reply", "list_reply": {"id": "1", "title": "One"}})),
            ("order", json!({"catalog_id": "1", "product_items": []})),
            ("system", json!({"type": "user_changed_number", "wa_id": "16505550000"})),
            ("edit", json!({"original_message_id": "wamid.0"})),
            ("revoke", json!({"original_message_id": "wamid.0"})),
            ("unsupported", json!({"type": "poll"})),
            ("request_welcome", json!({})),
            ("hologram", json!({"depth": 3})),
        ] {
            let mut message = json!({"id": "wamid.1", "from": "16505551234", "timestamp": "1749416383", "type": kind});
            message[kind] = content;
            let events = read(MESSAGES, &json!({"messages": [message]}));
            let [Event::Inbound(read)] = events.as_slice() else { panic!("{kind}: {events:?}") };
            assert_eq!((read.kind.as_str(), &read.message), (kind, &message));
            assert_eq!(read.at_ms, 1_749_416_383_000);
        }
    }

    #[test]
    fn nothing_is_dropped_however_strange() {
        for value in
            [json!({}), json!({"statuses": [{"status": "sent"}]}), json!({"messages": [5]}), json!({"errors": [{}]})]
        {
            let events = read(MESSAGES, &value);
            assert!(matches!(events.as_slice(), [Event::Unknown { .. }]), "{value}: {events:?}");
        }
        for status in ["deleted", "teleported"] {
            let events = read(MESSAGES, &json!({"statuses": [{"id": "wamid.1", "status": status}]}));
            assert!(matches!(events.as_slice(), [Event::Unknown { .. }]), "{events:?}");
        }
        assert!(matches!(read_webhook_body(&json!({"entry": {}}), 0), Err(ReceiveError::Malformed { .. })));
        let events = read_webhook_body(&json!({"entry": [{"id": "1"}]}), 0).unwrap().events;
        assert!(matches!(events.as_slice(), [Event::Unknown { .. }]), "{events:?}");
    }

    #[test]
    fn a_status_needs_nothing_but_an_id_and_a_state() {
        for (name, state) in [
            ("sent", ReceiptStatus::Sent),
            ("delivered", ReceiptStatus::Delivered),
            ("read", ReceiptStatus::Read),
            ("played", ReceiptStatus::Played),
            ("failed", ReceiptStatus::Failed),
        ] {
            let events = read(MESSAGES, &json!({"statuses": [{"id": "wamid.1", "status": name}]}));
            let [Event::Status(status)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!((status.status, status.at_ms), (state, 1_739_321_024_000));
        }
    }
}
