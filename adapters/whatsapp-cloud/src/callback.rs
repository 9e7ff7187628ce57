//! Guarantee: no callback is kept whose signature does not fit its bytes as they came, and none that says something is
//! lost: what is not understood is handed on as it is.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use waystation_adapter_sdk::{Admission, Callback, Event, ReceiveError, Received, cloud_api};

use crate::connection::Connection;

/// HMAC-SHA256 of the body, keyed with the app's secret.
const SIGNATURE: &str = "x-hub-signature-256";
/// Longest challenge that is given back, in bytes.
const CHALLENGE_MAX_BYTES: usize = 256;

pub(crate) fn admit(callback: &Callback) -> Result<Admission, ReceiveError> {
    let connection = Connection::read(&callback.connection).map_err(|details| ReceiveError::Malformed {
        details: format!("the connection's settings are wrong: {details}"),
    })?;
    match callback.method.as_str() {
        "GET" => shake_hands(callback, &connection),
        "POST" if is_signed(callback, &connection) => Ok(Admission::kept()),
        "POST" => Err(ReceiveError::BadSignature),
        other => Err(ReceiveError::Malformed { details: format!("a callback is a GET or a POST, not a {other}") }),
    }
}

/// The question whether callbacks are welcome here: it carries no signature, only the text that both sides know.
fn shake_hands(callback: &Callback, connection: &Connection) -> Result<Admission, ReceiveError> {
    let malformed = |details: &str| Err(ReceiveError::Malformed { details: details.to_owned() });
    if callback.parameter("hub.mode") != Some("subscribe") {
        return malformed("hub.mode is not \"subscribe\"");
    }
    let Some(expected) = &connection.verify_token else {
        return malformed("the connection has no verify_token; set one, and the same at the upstream");
    };
    let shown = callback.parameter("hub.verify_token").unwrap_or_default();
    if !bool::from(expected.as_bytes().ct_eq(shown.as_bytes())) {
        return Err(ReceiveError::BadSignature);
    }
    match callback.parameter("hub.challenge") {
        Some(challenge) if !challenge.is_empty() && challenge.len() <= CHALLENGE_MAX_BYTES => {
            Ok(Admission::answered(200, challenge))
        }
        _ => malformed("hub.challenge is missing or too long"),
    }
}

fn is_signed(callback: &Callback, connection: &Connection) -> bool {
    let Some(signature) = callback.header(SIGNATURE).and_then(|header| header.strip_prefix("sha256=")) else {
        return false;
    };
    let Ok(signature) = hex::decode(signature) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(connection.app_secret.as_bytes()) else { return false };
    mac.update(callback.body.as_bytes());
    mac.verify_slice(&signature).is_ok()
}

/// Reads a callback that was admitted. One address serves one number: what it says about another is not this sender's.
pub(crate) fn receive(callback: &Callback) -> Result<Received, ReceiveError> {
    let connection = Connection::read(&callback.connection).ok();
    let mut body: Value = serde_json::from_slice(callback.body.as_bytes())
        .map_err(|error| ReceiveError::Malformed { details: format!("the body is not JSON: {error}") })?;
    let elsewhere = connection.map(|connection| take_out_others(&mut body, &connection.phone_number_id));
    let mut received = cloud_api::read_webhook_body(&body, callback.received_at_ms)?;
    received.events.extend(elsewhere.unwrap_or_default().into_iter().map(|change| Event::Unknown {
        what: "a change of another number; give that number a callback address of its own at the upstream".to_owned(),
        raw: change,
    }));
    Ok(received)
}

fn take_out_others(body: &mut Value, own_number: &str) -> Vec<Value> {
    let mut others = Vec::new();
    for entry in body.get_mut("entry").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(changes) = entry.get_mut("changes").and_then(Value::as_array_mut) else { continue };
        let is_other = |change: &Value| {
            let number = change.pointer("/value/metadata/phone_number_id").and_then(Value::as_str);
            number.is_some_and(|number| number != own_number)
        };
        others.extend(changes.extract_if(.., |change| is_other(change)));
    }
    others
}
