//! The pretend phones' side of a conversation: what one sends takes the way of a real message, from the callback of the
//! pretend network on, and what one shows is what was sent to it and by it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{Inbox, REFERENCES};
use crate::{
    clock::{Millis, now_ms},
    delivery::callback_job,
    error::{ApiError, Breach, ErrorKind},
    ids::{BusinessId, MessageId, SenderId},
    messages::{intake::check_sender, outside::without_instead, phone},
    queue::Topic,
    store::{NewCallback, SentMessage},
    tenancy::{SANDBOX, Sender, Tenant},
};

/// Messages that a phone shows: so many that were sent to it, and so many that it sent.
pub const SHOWN_MAX: i64 = 50;
/// How long it shows that an answer is being written, in milliseconds.
pub const TYPING_MS: Millis = 25_000;
/// Longest name of a pretend person, in characters.
const NAME_MAX_CHARS: usize = 128;
/// What a pretend person is called who was given no name.
const NAME: &str = "Pretend Phone";

/// The types of messages that a phone can send, as the Cloud API names them, and whether each has an object of that name.
const KINDS: [(&str, bool); 18] = [
    ("text", true),
    ("image", true),
    ("audio", true),
    ("video", true),
    ("document", true),
    ("sticker", true),
    ("location", true),
    ("contacts", true),
    ("reaction", true),
    ("button", true),
    ("interactive", true),
    ("order", true),
    ("system", true),
    ("edit", true),
    ("revoke", true),
    ("unsupported", false),
    ("request_welcome", false),
    ("user_preferences", true),
];

/// What a pretend phone does: sends a message, or taps something in one that it got.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[schema(example = json!({
    "to": "106540352242922", "name": "Ada Lovelace", "type": "text", "content": {"body": "Is my order on its way?"},
}))]
#[serde(deny_unknown_fields)]
pub struct Play {
    /// The sender that it writes to: its phone number id or its phone number. One of the sandbox.
    #[schema(example = "106540352242922")]
    pub to: String,
    /// What the person calls themselves.
    #[schema(example = "Ada Lovelace", max_length = 128)]
    pub name: Option<String>,
    /// Whether the person keeps their number to themselves: then they have a user id only.
    #[serde(default)]
    pub hide_number: bool,
    /// What is sent: `text`, or any other type of the Cloud API's webhooks, with its object in `content`. Left out when
    /// something is tapped.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    pub kind: Option<String>,
    /// The object of the type, as the Cloud API's webhooks have it; of a file, its `id`. Ids of messages are ours.
    #[schema(value_type = Option<Object>)]
    pub content: Option<Value>,
    /// The message that is answered.
    #[schema(example = json!(null))]
    pub reply_to: Option<String>,
    /// The advertisement that led the person here: the Cloud API's `referral`.
    #[schema(value_type = Option<Object>)]
    pub referral: Option<Value>,
    /// A button or an entry of a list that is tapped.
    #[schema(example = json!(null))]
    pub tap: Option<Tap>,
}

/// Something to tap in a message that the phone got.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tap {
    /// The message.
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    pub message_id: String,
    /// The button's or entry's id; of a template's button, its payload.
    #[schema(example = "yes")]
    pub id: Option<String>,
    /// Or its place among all of the message, from 0.
    #[schema(example = 0)]
    pub index: Option<usize>,
}

/// What a phone sent is on its way.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Played {
    /// The sender that it writes to: its phone number id.
    #[schema(value_type = String, example = "106540352242922")]
    pub to: SenderId,
    /// The phone.
    #[schema(example = "16505550001")]
    pub from: String,
    /// The person's user id.
    #[schema(example = "US.13491208655302741918")]
    pub user_id: String,
    /// The Cloud API message type.
    #[serde(rename = "type")]
    #[schema(example = "text")]
    pub kind: String,
    /// The pretend network's id of it: the message is found by it among those received, within moments.
    #[schema(example = "wamid.7C1F0A9B3D5E42")]
    pub upstream_id: Option<String>,
}

/// A message that a phone shows.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Our id of it.
    pub id: MessageId,
    /// Whether the phone sent it.
    pub by_phone: bool,
    /// The business's number.
    pub sender: SenderId,
    /// The Cloud API message type.
    pub kind: String,
    /// What it says, as text; of what the phone sent, only a text's.
    pub text: Option<String>,
    /// The Cloud API's message object.
    pub object: Value,
    /// When it was sent.
    pub at: Millis,
    /// Of one that the phone sent: when it was read.
    pub read_at: Option<Millis>,
    /// Of one that the phone sent: until when it shows that an answer is being written.
    pub typing_until: Option<Millis>,
}

impl Inbox {
    /// Has the pretend phone `number` do something. It is on disk when this returns, and takes the way of a network's
    /// callback from there.
    ///
    /// # Errors
    /// Everything that is wrong with it; [`ErrorKind::NotFound`] for a sender that is not the business's, or no phone.
    pub async fn play(&self, by: &Tenant, number: &str, play: Play) -> Result<Played, ApiError> {
        let phone = pretend_phone(number)?;
        let sender = self.sender_named(by.business(), &play.to).await?;
        check_sender(by, &sender)?;
        if !sender.is_sandbox() {
            return Err(ApiError::breach("/to", "must be a sender of the sandbox: pretend phones reach no other"));
        }
        if play.name.as_ref().is_some_and(|name| name.chars().count() > NAME_MAX_CHARS) {
            return Err(ApiError::breach("/name", format!("must have at most {NAME_MAX_CHARS} characters")));
        }
        let user_id = user_id(by.business(), &phone);
        let now = now_ms();
        let (kind, message) = self.written(&sender, &phone, &play).await?;
        let upstream_id = (kind != "user_preferences").then(upstream_id);
        let mut contact = json!({"profile": {"name": play.name.as_deref().unwrap_or(NAME)}, "user_id": user_id});
        let mut from = json!({"from_user_id": user_id});
        if !play.hide_number {
            contact["wa_id"] = phone.as_str().into();
            from["from"] = phone.as_str().into();
        }
        let value = match &upstream_id {
            Some(id) => {
                let mut message = message;
                message.extend(from.as_object().cloned().unwrap_or_default());
                message.insert("id".to_owned(), id.as_str().into());
                message.insert("timestamp".to_owned(), (now / 1_000).to_string().into());
                message.insert("type".to_owned(), kind.as_str().into());
                json!({"contacts": [contact], "messages": [message]})
            }
            None => {
                let mut wish = Value::Object(message);
                wish["wa_id"] = contact["wa_id"].clone();
                wish["user_id"] = user_id.as_str().into();
                json!({"contacts": [contact], "user_preferences": [wish]})
            }
        };
        let field = if upstream_id.is_some() { "messages" } else { "user_preferences" };
        let body = json!({
            "object": "whatsapp_business_account",
            "entry": [{"id": sender.account.to_string(), "changes": [{"field": field, "value": value}]}],
        });
        let callback = NewCallback::raw(SANDBOX, sender.id, body.to_string().into_bytes(), now, now);
        let jobs = callback_job(&callback).into_iter().collect();
        self.store.keep_callbacks(vec![callback]).await?;
        self.enqueuer.enqueue(Topic::Callbacks, jobs);
        Ok(Played { to: sender.id, from: phone, user_id, kind, upstream_id })
    }

    /// What the pretend phone `number` shows of its conversations with the business, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is no phone.
    pub async fn shown(&self, business: &BusinessId, number: &str) -> Result<Vec<Shown>, ApiError> {
        let phone = pretend_phone(number)?;
        let (got, sent) = self.store.pretend_conversation(business, &phone, SHOWN_MAX).await?;
        let got = got.into_iter().map(|message| Shown {
            id: message.id,
            by_phone: false,
            sender: message.sender,
            kind: message.kind,
            text: Some(message.rendered),
            object: serde_json::from_str(&without_instead(message.body)).unwrap_or_default(),
            at: message.accepted_at,
            read_at: None,
            typing_until: None,
        });
        let sent = sent.into_iter().map(|message| Shown {
            id: message.id,
            by_phone: true,
            sender: message.sender,
            kind: message.kind,
            text: message.object["text"]["body"].as_str().map(ToOwned::to_owned),
            object: message.object,
            at: message.received_at,
            read_at: message.read_at,
            typing_until: message.typing_at.map(|at| at.saturating_add(TYPING_MS)),
        });
        let mut shown: Vec<Shown> = got.chain(sent).collect();
        shown.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(shown)
    }

    /// The type and the object of what is played, with the network's ids.
    async fn written(
        &self,
        sender: &Sender,
        phone: &str,
        play: &Play,
    ) -> Result<(String, Map<String, Value>), ApiError> {
        let mut message = Map::new();
        let mut reply_to = play.reply_to.clone();
        let kind = match (&play.kind, &play.tap) {
            (None, Some(tap)) => {
                reply_to = Some(tap.message_id.clone());
                let tapped = self.tapped(sender, phone, tap).await?;
                message.insert(tapped.0.to_owned(), tapped.1);
                tapped.0
            }
            (Some(kind), None) => {
                let Some((known, has_object)) = KINDS.iter().find(|(known, _)| known == kind) else {
                    let known = KINDS.map(|(known, _)| known).join(", ");
                    return Err(ApiError::breach("/type", format!("must be one of {known}")));
                };
                match &play.content {
                    Some(Value::Object(wish)) if *known == "user_preferences" => message = wish.clone(),
                    Some(content) if content.is_object() || content.is_array() => {
                        message.insert((*known).to_owned(), content.clone());
                    }
                    Some(_) => return Err(ApiError::breach("/content", "must be an object, or for contacts an array")),
                    None if *has_object => {
                        let message = "is required for this type".to_owned();
                        let breach = Breach { pointer: "/content".to_owned(), message, limit: None, actual: None };
                        return Err(ApiError::breaches(ErrorKind::ParameterMissing, vec![breach]));
                    }
                    None => {}
                }
                if *known == "unsupported" {
                    message.insert(
                        "errors".to_owned(),
                        json!([{
                            "code": 131_051, "title": "Message type unknown", "message": "Message type unknown",
                            "error_data": {"details": "Message type is currently not supported."},
                        }]),
                    );
                }
                known
            }
            (Some(_), Some(_)) => return Err(ApiError::breach("/tap", "cannot go with a type: it is one of its own")),
            (None, None) => {
                let message = "is required, or something to tap".to_owned();
                let breach = Breach { pointer: "/type".to_owned(), message, limit: None, actual: None };
                return Err(ApiError::breaches(ErrorKind::ParameterMissing, vec![breach]));
            }
        };
        if let Some(referral) = &play.referral {
            if !referral.is_object() {
                return Err(ApiError::breach("/referral", "must be an object"));
            }
            message.insert("referral".to_owned(), referral.clone());
        }
        if let Some(id) = reply_to {
            message.insert("context".to_owned(), json!({"from": sender.phone, "id": id}));
        }
        self.name_as_the_network(sender, &mut message).await?;
        Ok((kind.to_owned(), message))
    }

    /// Turns our ids of messages into the network's.
    async fn name_as_the_network(&self, sender: &Sender, message: &mut Map<String, Value>) -> Result<(), ApiError> {
        let mut named: HashMap<&str, String> = HashMap::new();
        for (member, name) in REFERENCES {
            let Some(id) = message.get(member).and_then(|object| object.get(name)).and_then(Value::as_str) else {
                continue;
            };
            let pointer = if member == "context" { "/reply_to".to_owned() } else { format!("/content/{name}") };
            let unknown =
                || ApiError::breach(&pointer, "is not the id of a message between this sender and its phones");
            let ours: MessageId = id.parse().map_err(|_| unknown())?;
            let found = self.store.upstream_ids(&sender.business, sender.id, &[ours.key()]).await?;
            named.insert(member, found.get(ours.key()).cloned().ok_or_else(unknown)?);
        }
        for (member, name) in REFERENCES {
            if let (Some(id), Some(object)) = (named.remove(member), message.get_mut(member)) {
                object[name] = id.into();
            }
        }
        Ok(())
    }

    /// What tapping something in a message sends.
    async fn tapped(&self, sender: &Sender, phone: &str, tap: &Tap) -> Result<(&'static str, Value), ApiError> {
        let unknown =
            || ApiError::breach("/tap/message_id", "is not the id of a message that this phone got from this sender");
        let id: MessageId = tap.message_id.parse().map_err(|_| unknown())?;
        let sent = self.store.sent_message(&sender.business, &id).await?;
        let sent = sent.filter(|sent| sent.sender == sender.id && sent.recipient == phone).ok_or_else(unknown)?;
        let choices = self.choices(sender, &sent).await?;
        let chosen = match (&tap.id, tap.index) {
            (Some(id), None) => choices.iter().find(|choice| choice.id == *id),
            (None, Some(index)) => choices.get(index),
            _ => return Err(ApiError::breach("/tap", "must name either the id or the index of what is tapped")),
        };
        let chosen = chosen.ok_or_else(|| {
            let known: Vec<&str> = choices.iter().map(|choice| choice.id.as_str()).collect();
            let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            ApiError::breach("/tap", format!("names nothing that can be tapped in this message; there is {known}"))
        })?;
        Ok(match chosen.form {
            Form::Button => (
                "interactive",
                json!({
                    "type": "button_reply", "button_reply": {"id": chosen.id, "title": chosen.title},
                }),
            ),
            Form::Entry => {
                let mut reply = json!({"id": chosen.id, "title": chosen.title});
                if let Some(description) = &chosen.description {
                    reply["description"] = description.as_str().into();
                }
                ("interactive", json!({"type": "list_reply", "list_reply": reply}))
            }
            Form::QuickReply => ("button", json!({"payload": chosen.id, "text": chosen.title})),
        })
    }

    /// What can be tapped in a message, in its order.
    async fn choices(&self, sender: &Sender, sent: &SentMessage) -> Result<Vec<Choice>, ApiError> {
        let body: Value = serde_json::from_str(&sent.body).unwrap_or_default();
        if sent.kind == "template" {
            let template = &body["template"];
            let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (of, language) = (name(&template["name"]), name(&template["language"]["code"]));
            let stored = self.store.template(sender.account, &of, &language).await?;
            let stored: Value =
                stored.and_then(|stored| serde_json::from_str(&stored.components).ok()).unwrap_or_default();
            return Ok(quick_replies(&stored, &template["components"]));
        }
        Ok(interactive_choices(&body["interactive"]["action"]))
    }
}

/// Something in a message that can be tapped.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    form: Form,
    id: String,
    title: String,
    description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Button,
    Entry,
    QuickReply,
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The reply buttons and the entries of lists of an interactive message.
fn interactive_choices(action: &Value) -> Vec<Choice> {
    let choice = |form: Form, of: &Value| {
        let (id, title) = (text_of(of, "id")?, text_of(of, "title")?);
        Some(Choice { form, id, title, description: text_of(of, "description") })
    };
    let buttons = list(action, "buttons").iter().filter_map(|button| choice(Form::Button, button.get("reply")?));
    let entries = list(action, "sections").iter().flat_map(|section| list(section, "rows"));
    buttons.chain(entries.filter_map(|row| choice(Form::Entry, row))).collect()
}

/// The quick replies of a template, with the payloads that the message gave them; else a button's text is its payload.
fn quick_replies(stored: &Value, given: &Value) -> Vec<Choice> {
    let is = |value: &Value, name: &str, text: &str| {
        value.get(name).and_then(Value::as_str).is_some_and(|own| own.eq_ignore_ascii_case(text))
    };
    let components = stored.as_array().map(Vec::as_slice).unwrap_or_default();
    let given = given.as_array().map(Vec::as_slice).unwrap_or_default();
    let buttons = components.iter().filter(|part| is(part, "type", "buttons")).flat_map(|part| list(part, "buttons"));
    let quick = buttons.enumerate().filter(|(_, button)| is(button, "type", "quick_reply"));
    quick
        .filter_map(|(index, button)| {
            let title = text_of(button, "text")?;
            let at_index = |part: &&Value| match &part["index"] {
                Value::String(text) => text.parse() == Ok(index),
                number => number.as_u64() == u64::try_from(index).ok(),
            };
            let part = given.iter().filter(|part| is(part, "sub_type", "quick_reply")).find(at_index);
            let payload = part.and_then(|part| text_of(list(part, "parameters").first()?, "payload"));
            Some(Choice {
                form: Form::QuickReply,
                id: payload.unwrap_or_else(|| title.clone()),
                title,
                description: None,
            })
        })
        .collect()
}

fn pretend_phone(number: &str) -> Result<String, ApiError> {
    phone::digits(number).ok_or_else(|| {
        ApiError::new(ErrorKind::NotFound, "There is no pretend phone with that number: it is no phone number.")
    })
}

/// The user id of the person with a pretend phone, as a business sees it: the same each time, and another for each
/// business, as on the real network.
fn user_id(business: &BusinessId, phone: &str) -> String {
    let hash = Sha256::digest(format!("{}:{phone}", business.key()));
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("US.{number:020}")
}

/// A new id of the pretend network.
fn upstream_id() -> String {
    let mut bytes = [0; 16];
    crate::credentials::fill_random(&mut bytes);
    format!("wamid.{}", hex::encode_upper(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_tapped_is_found_in_the_order_of_the_message() {
        let buttons = json!({"buttons": [
            {"type": "reply", "reply": {"id": "yes", "title": "Yes"}}, {"type": "reply", "reply": {"id": "no", "title": "No"}},
        ]});
        let found = interactive_choices(&buttons);
        assert_eq!(found.iter().map(|choice| choice.id.as_str()).collect::<Vec<_>>(), ["yes", "no"]);
        let entries = json!({"sections": [
            {"rows": [{"id": "a", "title": "A", "description": "first"}]}, {"rows": [{"id": "b", "title": "B"}]},
        ]});
        let found = interactive_choices(&entries);
        assert_eq!(found[0].description.as_deref(), Some("first"));
        assert_eq!((found[1].id.as_str(), found[1].form), ("b", Form::Entry));
        let stored = json!([{"type": "BODY", "text": "x"}, {"type": "BUTTONS", "buttons": [
            {"type": "URL", "text": "Open"}, {"type": "QUICK_REPLY", "text": "Yes"}, {"type": "QUICK_REPLY", "text": "Stop"},
        ]}]);
        let given = json!([{"type": "button", "sub_type": "quick_reply", "index": "2", "parameters": [
            {"type": "payload", "payload": "STOP_PROMOTIONS"},
        ]}]);
        let found = quick_replies(&stored, &given);
        let shown: Vec<_> = found.iter().map(|choice| (choice.id.as_str(), choice.title.as_str())).collect();
        assert_eq!(shown, [("Yes", "Yes"), ("STOP_PROMOTIONS", "Stop")]);
    }

    #[test]
    fn a_person_has_one_user_id_at_each_business() {
        let (a, b) = (BusinessId::generate(), BusinessId::generate());
        assert_eq!(user_id(&a, "16505550001"), user_id(&a, "16505550001"));
        assert_ne!(user_id(&a, "16505550001"), user_id(&b, "16505550001"));
        assert!(crate::messages::address::Address::user_id(&user_id(&a, "16505550001")).is_some());
    }
}
