//! Guarantee: what a person sent crosses the boundary whole. The message is the Cloud API's object as the network gave it,
//! whatever its type; beside it stands only what a host has to know to file it.
//!
//! A network that speaks the Cloud API's language reads its webhooks with [`InboundMessage::from_cloud_api`] and
//! [`UserPreference::from_cloud_api`]; any other builds the object itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{Sender, UpstreamError};

/// The types of messages that carry a file: under their own name, as an object with an id.
const MEDIA_KINDS: [&str; 5] = ["image", "audio", "video", "document", "sticker"];

/// The category of [`UserPreference`] that marketing has.
const MARKETING: &str = "marketing_messages";

/// Somebody who sends messages. At least one of `phone` and `user_id` is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    /// The number: digits with the country code, no `+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The business-scoped user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The user id in the parent portfolio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_user_id: Option<String>,
    /// What the person calls themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    /// The name under which the person can be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// A file that came with a message. It is fetched from the network by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MediaReference {
    /// The network's id of the file.
    pub id: String,
    /// Its media type, as the network has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The SHA-256 of its content, as the network writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What a person sent to a sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The network's id of the message: what comes again with the same id is the same message. Never empty.
    pub upstream_id: String,
    /// Who sent it.
    pub from: Person,
    /// When, by the network's clock, in Unix milliseconds.
    pub at_ms: i64,
    /// The Cloud API's type, or what the network calls it if that is none.
    pub kind: String,
    /// The network's id of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// The advertisement or button that led the person here, as the Cloud API has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral: Option<Value>,
    /// The files that came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<MediaReference>,
    /// The Cloud API's message object, as it came. An object.
    pub message: Value,
}

/// What a person wants to get from a business from now on, said to the network rather than in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPreference {
    /// Whose wish it is.
    pub from: Person,
    /// What it is about; `marketing_messages` is the one that networks have so far.
    pub category: String,
    /// What is wanted.
    pub wish: Wish,
    /// The network's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When, by the network's clock, in Unix milliseconds.
    pub at_ms: i64,
}

/// What somebody wants of a category of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// No more of them.
    Stop,
    /// To get them again.
    Resume,
}

/// A message that a person sent has been read, and whoever reads it may be writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// Who has read it.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// The network's id of the message. All before it from the same person are read too.
    pub upstream_id: String,
    /// Who sent it.
    pub from: Person,
    /// Whether to show that an answer is being written.
    #[serde(default)]
    pub typing: bool,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// Why a message was not marked as read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkError {
    /// This adapter does no such thing.
    Unsupported,
    /// The network refuses it, and would again.
    Rejected {
        /// What was said.
        error: UpstreamError,
    },
    /// It may work later. Marking twice does no harm.
    Unavailable {
        /// What was said.
        error: UpstreamError,
    },
}

impl std::fmt::Display for MarkError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported => out.write_str("not supported"),
            Self::Rejected { error } => write!(out, "rejected: {error}"),
            Self::Unavailable { error } => write!(out, "unavailable: {error}"),
        }
    }
}

impl std::error::Error for MarkError {}

impl From<crate::io::HttpError> for MarkError {
    /// Whether it arrived or not: it can be asked for again.
    fn from(failure: crate::io::HttpError) -> Self {
        let (title, details) = match failure {
            crate::io::HttpError::NotSent { details } => ("The request was not sent", details),
            crate::io::HttpError::Unknown { details } => ("The request has no answer", details),
        };
        Self::Unavailable { error: UpstreamError::new(title).details(details) }
    }
}

impl InboundMessage {
    /// Reads one member of `messages` of a Cloud API webhook. `contacts` is the array beside it, where there is one;
    /// `received_at_ms` is the time of a message without a timestamp.
    ///
    /// # Errors
    /// What is missing without which it cannot be filed: an object, an id, a type, or anybody it is from.
    pub fn from_cloud_api(
        message: &Value,
        contacts: Option<&Value>,
        received_at_ms: i64,
    ) -> Result<Self, &'static str> {
        if !message.is_object() {
            return Err("it is no object");
        }
        let upstream_id = text(message, "id").ok_or("it has no id")?;
        let kind = text(message, "type").ok_or("it has no type")?;
        let mut from = Person {
            phone: text(message, "from"),
            user_id: text(message, "from_user_id"),
            parent_user_id: text(message, "from_parent_user_id"),
            ..Person::default()
        };
        from.complete(contacts);
        if from.phone.is_none() && from.user_id.is_none() {
            return Err("it does not say who it is from");
        }
        let media = MEDIA_KINDS.iter().filter_map(|kind| MediaReference::read(message.get(*kind)?)).collect();
        Ok(Self {
            upstream_id,
            from,
            at_ms: time(message).unwrap_or(received_at_ms),
            kind,
            context_id: message.get("context").and_then(|context| text(context, "id")),
            referral: message.get("referral").filter(|referral| referral.is_object()).cloned(),
            media,
            message: message.clone(),
        })
    }
}

impl UserPreference {
    /// Reads one member of `user_preferences` of a Cloud API webhook, as [`InboundMessage::from_cloud_api`] does.
    ///
    /// # Errors
    /// What is missing, or what is wanted when it is nothing known.
    pub fn from_cloud_api(
        preference: &Value,
        contacts: Option<&Value>,
        received_at_ms: i64,
    ) -> Result<Self, &'static str> {
        let mut from = Person {
            phone: text(preference, "wa_id"),
            user_id: text(preference, "user_id"),
            parent_user_id: text(preference, "parent_user_id"),
            ..Person::default()
        };
        from.complete(contacts);
        if from.phone.is_none() && from.user_id.is_none() {
            return Err("it does not say whose wish it is");
        }
        let wish = match preference.get("value").and_then(Value::as_str) {
            Some("stop") => Wish::Stop,
            Some("resume" | "signup") => Wish::Resume,
            _ => return Err("its value is none that is known"),
        };
        Ok(Self {
            from,
            category: text(preference, "category").ok_or("it has no category")?,
            wish,
            detail: text(preference, "detail"),
            at_ms: time(preference).unwrap_or(received_at_ms),
        })
    }

    /// Whether it is about marketing.
    #[must_use]
    pub fn is_marketing(&self) -> bool {
        self.category == MARKETING
    }
}

impl Person {
    /// Adds what `contacts` know of this person: the contact with the same number or user id, or the only one.
    fn complete(&mut self, contacts: Option<&Value>) {
        let Some(contacts) = contacts.and_then(Value::as_array) else { return };
        let same = |contact: &&Value| {
            let has = |name: &str, own: &Option<String>| own.is_some() && text(contact, name) == *own;
            has("wa_id", &self.phone) || has("user_id", &self.user_id)
        };
        let Some(contact) = contacts.iter().find(same).or(contacts.first().filter(|_| contacts.len() == 1)) else {
            return;
        };
        let other =
            |own: &Option<String>, name: &str| own.is_some() && text(contact, name).is_some_and(|id| Some(id) != *own);
        if other(&self.user_id, "user_id") {
            return;
        }
        self.phone = self.phone.take().or_else(|| text(contact, "wa_id"));
        self.user_id = self.user_id.take().or_else(|| text(contact, "user_id"));
        self.parent_user_id = self.parent_user_id.take().or_else(|| text(contact, "parent_user_id"));
        if let Some(profile) = contact.get("profile") {
            self.profile_name = text(profile, "name");
            self.username = text(profile, "username");
        }
    }
}

impl MediaReference {
    fn read(media: &Value) -> Option<Self> {
        Some(Self { id: text(media, "id")?, mime_type: text(media, "mime_type"), sha256: text(media, "sha256") })
    }
}

/// A text that is not empty.
fn text(object: &Value, member: &str) -> Option<String> {
    object.get(member).and_then(Value::as_str).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// The timestamp, which is seconds, as a number or a text.
fn time(object: &Value) -> Option<i64> {
    let seconds: i64 = match object.get("timestamp")? {
        Value::String(text) => text.parse().ok()?,
        number => number.as_i64()?,
    };
    seconds.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contacts() -> Value {
        json!([{
            "profile": {"name": "Sheena Nelson", "username": "@sheena"}, "wa_id": "16505551234",
            "user_id": "US.13491208655302741918", "parent_user_id": "US.ENT.11815799212886844830",
        }])
    }

    #[test]
    fn a_message_is_filed_by_what_it_says_and_kept_as_it_came() {
        let message = json!({
            "from": "16505551234", "id": "wamid.A", "timestamp": "1749416383", "type": "image",
            "image": {"id": "17", "mime_type": "image/jpeg", "sha256": "c2Fu", "caption": "Look"},
            "context": {"from": "15550783881", "id": "wamid.B"}, "referral": {"source_type": "ad"}, "new": [1],
        });
        let read = InboundMessage::from_cloud_api(&message, Some(&contacts()), 5).unwrap();
        assert_eq!(
            (read.upstream_id.as_str(), read.kind.as_str(), read.at_ms),
            ("wamid.A", "image", 1_749_416_383_000)
        );
        assert_eq!(read.from.user_id.as_deref(), Some("US.13491208655302741918"));
        assert_eq!(read.from.profile_name.as_deref(), Some("Sheena Nelson"));
        assert_eq!(read.from.username.as_deref(), Some("@sheena"));
        assert_eq!(read.context_id.as_deref(), Some("wamid.B"));
        assert_eq!(read.referral, Some(json!({"source_type": "ad"})));
        assert_eq!(read.media[0].id, "17");
        assert_eq!(read.message, message);
    }

    #[test]
    fn somebody_may_have_a_user_id_and_no_number() {
        let message = json!({"from_user_id": "US.1", "id": "wamid.A", "type": "text", "text": {"body": "hi"}});
        let read = InboundMessage::from_cloud_api(&message, None, 5).unwrap();
        assert_eq!((read.from.phone, read.from.user_id.as_deref(), read.at_ms), (None, Some("US.1"), 5));
        let nobody = json!({"id": "wamid.A", "type": "text", "text": {"body": "hi"}});
        assert!(InboundMessage::from_cloud_api(&nobody, None, 5).is_err());
        let read = InboundMessage::from_cloud_api(&nobody, Some(&contacts()), 5).unwrap();
        assert_eq!(read.from.phone.as_deref(), Some("16505551234"), "the only contact is the one it is from");
    }

    #[test]
    fn of_several_contacts_the_one_who_wrote_lends_the_name() {
        let both = json!([{"profile": {"name": "A"}, "wa_id": "1"}, {"profile": {"name": "B"}, "wa_id": "2"}]);
        let message = |from: &str| json!({"from": from, "id": "wamid.A", "type": "text"});
        let name =
            |from: &str| InboundMessage::from_cloud_api(&message(from), Some(&both), 0).unwrap().from.profile_name;
        assert_eq!(name("2").as_deref(), Some("B"));
        assert_eq!(name("3"), None);
    }

    #[test]
    fn a_wish_about_marketing_is_read() {
        let wish = |value: &str| {
            let preference = json!({
                "wa_id": "16505551234", "category": "marketing_messages", "value": value, "timestamp": 1_731_705_721,
            });
            UserPreference::from_cloud_api(&preference, None, 0)
        };
        let stop = wish("stop").unwrap();
        assert!(stop.is_marketing() && stop.wish == Wish::Stop && stop.at_ms == 1_731_705_721_000);
        assert_eq!(wish("resume").unwrap().wish, Wish::Resume);
        assert_eq!(wish("signup").unwrap().wish, Wish::Resume);
        assert!(wish("perhaps").is_err());
    }
}
