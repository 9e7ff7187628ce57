//! Webhook bodies in the Cloud API's shape.
//!
//! They are pure ASCII: whatever is not is written as a JSON escape, as Meta does, because
//! at least one client library checks the signature over that form.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use waystation_adapter_sdk::{Change, Person, UpstreamError, UserPreference, Wish};

use crate::{
    clock::Millis,
    ids::MessageId,
    messages::{address::Address, state::State},
    tenancy::Sender,
};

/// The code for failures that have none of the Cloud API.
const UNSPECIFIED_CODE: i64 = 131_000;

/// A status to tell of.
#[derive(Debug)]
pub struct StatusUpdate<'a> {
    /// Which message.
    pub message: &'a MessageId,
    /// Its new state.
    pub state: State,
    /// When it took it.
    pub at: Millis,
    /// Whom the message is for.
    pub recipient: &'a Address,
    /// The tenant's own data.
    pub callback_data: Option<&'a str>,
    /// Why it failed.
    pub error: Option<&'a UpstreamError>,
}

/// The body that tells of `update`, sent by `sender`.
#[must_use]
pub fn status_body(sender: &Sender, update: &StatusUpdate<'_>) -> String {
    let failed = matches!(update.state, State::Failed | State::Expired | State::Canceled);
    let mut status = json!({
        "id": update.message.to_string(),
        "status": if failed { "failed" } else { update.state.name() },
        "timestamp": (update.at / 1_000).to_string(),
    });
    let (recipient, contact) = match update.recipient {
        Address::Phone(digits) => (("recipient_id", digits), ("wa_id", digits)),
        Address::UserId(id) => (("recipient_user_id", id), ("user_id", id)),
    };
    status[recipient.0] = recipient.1.as_str().into();
    if let Some(data) = update.callback_data {
        status["biz_opaque_callback_data"] = data.into();
    }
    if failed {
        status["errors"] = json!([error_object(update.error)]);
    }
    let mut value = value_of(sender);
    // As the Cloud API has it: a failed status names no contact.
    if !failed {
        value["contacts"] = json!([{contact.0: contact.1}]);
    }
    value["statuses"] = json!([status]);
    envelope(sender, "messages", &value)
}

/// The body that tells of a message that `from` sent to `sender`; `object` is the message with our ids.
#[must_use]
pub fn inbound_body(sender: &Sender, from: &Person, object: &Map<String, Value>) -> String {
    let mut value = value_of(sender);
    value["contacts"] = json!([contact(from)]);
    value["messages"] = json!([object]);
    // The Cloud API has them in both places.
    if let Some(errors) = object.get("errors") {
        value["errors"] = errors.clone();
    }
    envelope(sender, "messages", &value)
}

/// The body that tells what somebody wants to get from `sender` from now on.
#[must_use]
pub fn preference_body(sender: &Sender, from: &Person, preference: &UserPreference) -> String {
    let mut wish = json!({
        "category": preference.category,
        "value": match preference.wish { Wish::Stop => "stop", Wish::Resume => "resume" },
        "timestamp": preference.at_ms.div_euclid(1_000),
    });
    for (name, text) in [("wa_id", &from.phone), ("user_id", &from.user_id), ("detail", &preference.detail)] {
        if let Some(text) = text {
            wish[name] = text.as_str().into();
        }
    }
    let mut value = value_of(sender);
    value["contacts"] = json!([contact(from)]);
    value["user_preferences"] = json!([wish]);
    envelope(sender, "user_preferences", &value)
}

/// The body that passes on what the network said about the account, a number or a template of `sender`.
#[must_use]
pub fn change_body(sender: &Sender, change: &Change) -> String {
    envelope(sender, &change.field, &change.value)
}

/// What every change of `sender` starts with.
fn value_of(sender: &Sender) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": sender.phone,
            "phone_number_id": sender.id.to_string(),
        },
    })
}

fn contact(from: &Person) -> Value {
    let mut contact = json!({"profile": {"name": from.profile_name.as_deref().unwrap_or_default()}});
    if let Some(username) = &from.username {
        contact["profile"]["username"] = username.as_str().into();
    }
    for (name, id) in [("wa_id", &from.phone), ("user_id", &from.user_id), ("parent_user_id", &from.parent_user_id)] {
        if let Some(id) = id {
            contact[name] = id.as_str().into();
        }
    }
    contact
}

fn envelope(sender: &Sender, field: &str, value: &Value) -> String {
    ascii(&json!({
        "object": "whatsapp_business_account",
        "entry": [{
            "id": sender.account.to_string(),
            "changes": [{"value": value, "field": field}],
        }],
    }))
}

fn error_object(error: Option<&UpstreamError>) -> Value {
    let code = error.and_then(|error| error.code).unwrap_or(UNSPECIFIED_CODE);
    let title = error.map_or("Something went wrong", |error| error.title.as_str());
    let mut object = json!({"code": code, "title": title, "message": title});
    if let Some(details) = error.and_then(|error| error.details.as_deref()) {
        object["error_data"] = json!({"details": details});
    }
    object
}

/// `value` as JSON without a character beyond ASCII.
pub(super) fn ascii(value: &Value) -> String {
    let text = value.to_string();
    if text.is_ascii() {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::{AccountId, BusinessId, SenderId};

    pub(crate) fn sender() -> Sender {
        Sender {
            id: SenderId(106_540_352_242_922),
            account: AccountId(102_290_129_340_398),
            business: BusinessId::generate(),
            phone: "15550783881".to_owned(),
            adapter: "sandbox".to_owned(),
            connection: Value::Null,
            channel: "whatsapp".to_owned(),
            standing: crate::tenancy::Standing::Active,
            policy: crate::tenancy::Policy::default(),
        }
    }

    #[test]
    fn a_status_has_the_cloud_apis_shape() {
        let message = MessageId::generate();
        let update = StatusUpdate {
            message: &message,
            state: State::Delivered,
            at: 1_750_030_073_999,
            recipient: &Address::Phone("16505551234".to_owned()),
            callback_data: Some("order 17"),
            error: None,
        };
        let body: Value = serde_json::from_str(&status_body(&sender(), &update)).unwrap();
        assert_eq!(body["object"], "whatsapp_business_account");
        assert_eq!(body["entry"][0]["id"], "102290129340398");
        let change = &body["entry"][0]["changes"][0];
        assert_eq!(change["field"], "messages");
        assert_eq!(change["value"]["metadata"]["phone_number_id"], "106540352242922");
        assert_eq!(change["value"]["contacts"][0]["wa_id"], "16505551234");
        let status = &change["value"]["statuses"][0];
        assert_eq!(status["id"], message.to_string());
        assert_eq!(status["status"], "delivered");
        assert_eq!(status["timestamp"], "1750030073");
        assert_eq!(status["biz_opaque_callback_data"], "order 17");
    }

    #[test]
    fn somebody_without_a_number_is_told_of_by_user_id() {
        let message = MessageId::generate();
        let update = StatusUpdate {
            message: &message,
            state: State::Read,
            at: 0,
            recipient: &Address::UserId("US.13491208655302741918".to_owned()),
            callback_data: None,
            error: None,
        };
        let body: Value = serde_json::from_str(&status_body(&sender(), &update)).unwrap();
        let value = &body["entry"][0]["changes"][0]["value"];
        assert_eq!(value["contacts"], json!([{"user_id": "US.13491208655302741918"}]));
        assert_eq!(value["statuses"][0]["recipient_user_id"], "US.13491208655302741918");
        assert!(value["statuses"][0].get("recipient_id").is_none());
    }

    #[test]
    fn a_failure_carries_the_networks_code_and_words() {
        let message = MessageId::generate();
        let error = UpstreamError::with_code(131_026, "Message undeliverable").details("Not on WhatsApp.");
        let update = StatusUpdate {
            message: &message,
            state: State::Failed,
            at: 0,
            recipient: &Address::Phone("16505551234".to_owned()),
            callback_data: None,
            error: Some(&error),
        };
        let body: Value = serde_json::from_str(&status_body(&sender(), &update)).unwrap();
        let value = &body["entry"][0]["changes"][0]["value"];
        assert_eq!(value["statuses"][0]["errors"][0]["code"], 131_026);
        assert_eq!(value["statuses"][0]["errors"][0]["error_data"]["details"], "Not on WhatsApp.");
        assert!(value.get("contacts").is_none());
    }

    #[test]
    fn what_is_not_ascii_is_escaped_and_reads_back() {
        let value = json!({"text": "Grüße 😀"});
        let text = ascii(&value);
        assert_eq!(text, "{\"text\":\"Gr\\u00fc\\u00dfe \\ud83d\\ude00\"}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
