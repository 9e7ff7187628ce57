//! From what an adapter read to what is kept and told: the network's ids become ours, and nothing else is changed.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use waystation_adapter_sdk::{InboundMessage, Person, UserPreference};

use crate::{
    clock::Millis,
    ids::{MediaId, MessageId},
    media::MediaKind,
    messages::{address::Address, phone},
    plugins::is_fit_id,
    store::NewDelivery,
    tenancy::{Endpoint, Sender},
    webhooks::payload,
};

/// Longest name of a person that is kept, in characters; the rest is cut off.
const NAME_MAX_CHARS: usize = 256;
/// Longest type of a message, in bytes.
const KIND_MAX_BYTES: usize = 64;
/// Largest message object that is kept, in bytes of JSON.
const OBJECT_MAX_BYTES: usize = 256 * 1024;
/// Longest type or name of a file that is looked at, in bytes.
const FILE_TEXT_MAX_BYTES: usize = 1_024;
/// Members of a message object that name another message, and under which name.
pub(super) const REFERENCES: [(&str, &str); 4] =
    [("context", "id"), ("reaction", "message_id"), ("edit", "original_message_id"), ("revoke", "original_message_id")];
/// The type of what the network itself has to say: it is no sign of life of the person.
const SYSTEM: &str = "system";

/// Something that a person sent, on its way into the database.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The id that it gets, unless it is there already.
    pub(crate) id: MessageId,
    /// Whom it was sent to.
    pub(crate) sender: Arc<Sender>,
    endpoints: Arc<Vec<Endpoint>>,
    /// Who sent it, with what can be kept of them.
    pub(crate) from: Person,
    /// What was sent.
    pub(crate) message: InboundMessage,
    /// When it came here.
    pub(crate) received_at: Millis,
    /// The files that are fetched from its network.
    pub(crate) files: Vec<ArrivingFile>,
}

/// A file that came with a message, under the id that it gets here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArrivingFile {
    pub(crate) id: MediaId,
    pub(crate) upstream_id: String,
    pub(crate) content_type: Option<String>,
    pub(crate) file_name: Option<String>,
}

impl Arrival {
    /// Makes `message` ready to be kept, or says why it cannot be.
    pub(crate) fn new(
        sender: Arc<Sender>,
        endpoints: Arc<Vec<Endpoint>>,
        message: InboundMessage,
        received_at: Millis,
    ) -> Result<Self, &'static str> {
        if !is_fit_id(&message.upstream_id) {
            return Err("its id is none");
        }
        if message.kind.is_empty() || message.kind.len() > KIND_MAX_BYTES || message.kind.contains(char::is_control) {
            return Err("its type is none");
        }
        if !message.message.is_object() || message.message.to_string().len() > OBJECT_MAX_BYTES {
            return Err("its object is none, or too large");
        }
        let from = tidy(&message.from);
        if from.phone.is_none() && from.user_id.is_none() {
            return Err("it is from nobody with a number or a user id");
        }
        Ok(Self { id: next_id(), sender, endpoints, from, message, received_at, files: Vec::new() })
    }

    /// The same with the files that it names to be fetched, and told by ids of ours from then on.
    pub(crate) fn with_files_fetched(mut self) -> Self {
        let object = &self.message.message;
        let named = MediaKind::ALL.iter().filter_map(|kind| object.get(kind.name()));
        let text = |file: &Value, name: &str| {
            let text = file.get(name)?.as_str()?;
            (!text.is_empty() && text.len() <= FILE_TEXT_MAX_BYTES && !text.contains('\0')).then(|| text.to_owned())
        };
        let files = named.filter_map(|file| {
            Some(ArrivingFile {
                id: MediaId::generate(),
                upstream_id: text(file, "id").filter(|id| is_fit_id(id))?,
                content_type: text(file, "mime_type"),
                file_name: text(file, "filename"),
            })
        });
        self.files = files.collect();
        self
    }

    /// Every address under which the person can be written to.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        [&self.from.phone, &self.from.user_id, &self.from.parent_user_id].into_iter().filter_map(Option::as_deref)
    }

    /// When the person sent it. A network's clock that is ahead of ours opens no window for longer.
    pub(crate) fn sent_at(&self) -> Millis {
        self.message.at_ms.min(self.received_at)
    }

    /// Whether the person may be answered freely from now on.
    pub(crate) fn opens_window(&self) -> bool {
        self.message.kind != SYSTEM
    }

    /// The network's ids of other messages in it.
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
        let named = |(member, name): &(&str, &str)| self.message.message.get(member)?.get(name)?.as_str();
        REFERENCES.iter().filter_map(named).filter(|id| !id.is_empty())
    }

    /// The message object with ids of ours: its own, and those of the messages that it names, as far as `ours` knows
    /// them.
    pub(crate) fn object(&self, ours: impl Fn(&str) -> Option<String>) -> Map<String, Value> {
        let mut object = self.message.message.as_object().cloned().unwrap_or_default();
        object.insert("id".to_owned(), self.id.to_string().into());
        object.insert("type".to_owned(), self.message.kind.clone().into());
        object.insert("timestamp".to_owned(), self.message.at_ms.div_euclid(1_000).to_string().into());
        for (name, value) in [
            ("from", &self.from.phone),
            ("from_user_id", &self.from.user_id),
            ("from_parent_user_id", &self.from.parent_user_id),
        ] {
            match value {
                Some(value) => object.insert(name.to_owned(), value.as_str().into()),
                None => object.remove(name),
            };
        }
        for kind in MediaKind::ALL {
            let Some(Value::Object(named)) = object.get_mut(kind.name()) else { continue };
            let is_named = |file: &&ArrivingFile| named.get("id").and_then(Value::as_str) == Some(&file.upstream_id);
            if let Some(id) = self.files.iter().find(is_named).map(|file| file.id) {
                named.insert("id".to_owned(), id.to_string().into());
                // Where its network has it is of no use to anybody without that network's token.
                named.remove("url");
            }
        }
        for (member, name) in REFERENCES {
            if let Some(id) = object.get_mut(member).and_then(|value| value.get_mut(name))
                && let Some(known) = id.as_str().and_then(&ours)
            {
                *id = known.into();
            }
        }
        object
    }

    /// The deliveries that tell of it.
    pub(crate) fn tell(&self, object: &Map<String, Value>) -> Vec<NewDelivery> {
        if self.endpoints.is_empty() {
            return Vec::new();
        }
        let body = payload::inbound_body(&self.sender, &self.from, object);
        let deliver = |endpoint: &Endpoint| {
            NewDelivery::new(&self.sender.business, &endpoint.id, &self.id, body.clone(), self.received_at)
        };
        self.endpoints.iter().map(deliver).collect()
    }
}

/// A new id that sorts after those that this process gave before: what comes in one callback keeps its order.
fn next_id() -> MessageId {
    static IDS: Mutex<ulid::Generator> = Mutex::new(ulid::Generator::new());
    let mut ids = IDS.lock().unwrap_or_else(PoisonError::into_inner);
    ids.generate().map_or_else(|_| MessageId::generate(), |id| MessageId::from_key(id.to_string()))
}

/// What somebody wants to get from now on, on its way into the database.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) sender: Arc<Sender>,
    endpoints: Arc<Vec<Endpoint>>,
    pub(crate) from: Person,
    pub(crate) preference: UserPreference,
    received_at: Millis,
}

impl Wanted {
    /// Makes `preference` ready to be kept; none when it is nobody's.
    pub(crate) fn new(
        sender: Arc<Sender>,
        endpoints: Arc<Vec<Endpoint>>,
        preference: UserPreference,
        received_at: Millis,
    ) -> Option<Self> {
        let from = tidy(&preference.from);
        (from.phone.is_some() || from.user_id.is_some()).then_some(Self {
            sender,
            endpoints,
            from,
            preference,
            received_at,
        })
    }

    /// The deliveries that tell of it.
    pub(crate) fn tell(&self) -> Vec<NewDelivery> {
        let (body, about) =
            (payload::preference_body(&self.sender, &self.from, &self.preference), MessageId::generate());
        let deliver = |endpoint: &Endpoint| {
            NewDelivery::new(&self.sender.business, &endpoint.id, &about, body.clone(), self.received_at)
        };
        self.endpoints.iter().map(deliver).collect()
    }
}

/// What can be kept of a person: numbers and ids that are some, names without what databases and terminals stumble over.
pub(crate) fn tidy(from: &Person) -> Person {
    let user_id =
        |id: &Option<String>| id.as_deref().filter(|id| Address::user_id(id).is_some()).map(ToOwned::to_owned);
    let name = |name: &Option<String>| {
        let kept: String =
            name.iter().flat_map(|name| name.chars()).filter(|c| !c.is_control()).take(NAME_MAX_CHARS).collect();
        Some(kept).filter(|kept| !kept.trim().is_empty())
    };
    Person {
        phone: from.phone.as_deref().and_then(phone::digits),
        user_id: user_id(&from.user_id),
        parent_user_id: user_id(&from.parent_user_id),
        profile_name: name(&from.profile_name),
        username: name(&from.username),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ids::EndpointId, webhooks::payload::tests::sender};

    fn arrival(message: Value) -> Result<Arrival, &'static str> {
        let contacts = json!([{"profile": {"name": "Ada\u{0}\nLovelace"}, "wa_id": "16505551234", "user_id": "US.17"}]);
        let message = InboundMessage::from_cloud_api(&message, Some(&contacts), 1_000).unwrap();
        let endpoint = Endpoint { id: EndpointId::generate(), url: "https://example.com".to_owned() };
        Arrival::new(Arc::new(sender()), Arc::new(vec![endpoint]), message, 2_000)
    }

    #[test]
    fn ids_of_the_network_become_ours_wherever_a_message_names_another() {
        let ours = |id: &str| (id == "wamid.theirs").then(|| "wamid.ours".to_owned());
        for (member, name) in REFERENCES {
            let mut message = json!({"from": "16505551234", "id": "wamid.a", "type": "text", "extra": {"kept": [1.5]}});
            message[member] = json!({name: "wamid.theirs", "emoji": "👍"});
            let arrival = arrival(message).unwrap();
            assert_eq!(arrival.references().collect::<Vec<_>>(), ["wamid.theirs"]);
            let object = Value::Object(arrival.object(ours));
            assert_eq!(object[member], json!({name: "wamid.ours", "emoji": "👍"}));
            assert_eq!((&object["id"], &object["extra"]), (&json!(arrival.id.to_string()), &json!({"kept": [1.5]})));
            let unknown = Value::Object(arrival.object(|_| None));
            assert_eq!(unknown[member][name], "wamid.theirs", "one that nobody here knows stays");
        }
    }

    #[test]
    fn a_file_is_told_by_our_id_and_not_by_an_address_that_opens_to_nobody() {
        let message = json!({
            "from": "16505551234", "id": "wamid.a", "type": "document",
            "document": {"id": "17", "mime_type": "application/pdf", "filename": "a.pdf", "url": "https://x", "sha256": "c2Fu"},
        });
        let kept = Value::Object(arrival(message.clone()).unwrap().object(|_| None));
        assert_eq!(kept["document"], message["document"], "what its network does not keep stays as it is");
        let fetched = arrival(message).unwrap().with_files_fetched();
        let [file] = fetched.files.as_slice() else { panic!("{:?}", fetched.files) };
        assert_eq!((file.upstream_id.as_str(), file.file_name.as_deref()), ("17", Some("a.pdf")));
        assert_eq!(file.content_type.as_deref(), Some("application/pdf"));
        let told = Value::Object(fetched.object(|_| None));
        let id = file.id.to_string();
        let expected = json!({"id": id, "mime_type": "application/pdf", "filename": "a.pdf", "sha256": "c2Fu"});
        assert_eq!(told["document"], expected);
    }

    #[test]
    fn names_are_kept_without_what_databases_stumble_over() {
        let message = json!({"from": "16505551234", "id": "wamid.a", "type": "text"});
        assert_eq!(arrival(message).unwrap().from.profile_name.as_deref(), Some("AdaLovelace"));
    }

    #[test]
    fn what_cannot_be_filed_is_refused() {
        let text = |id: &str, kind: &str| json!({"from": "16505551234", "id": id, "type": kind});
        assert!(arrival(text("wamid.a", "text")).is_ok());
        assert!(arrival(text("a\u{7}", "text")).is_err());
        assert!(arrival(text("wamid.a", &"x".repeat(65))).is_err());
        let mut large = text("wamid.a", "text");
        large["text"] = json!({"body": "x".repeat(OBJECT_MAX_BYTES)});
        assert!(arrival(large).is_err());
        let stranger = InboundMessage {
            from: Person { phone: Some("nobody".to_owned()), ..Person::default() },
            ..arrival(text("wamid.a", "text")).unwrap().message
        };
        assert!(Arrival::new(Arc::new(sender()), Arc::default(), stranger, 0).is_err());
    }

    #[test]
    fn a_clock_ahead_of_ours_opens_no_longer_window() {
        let mut message = json!({"from": "16505551234", "id": "wamid.a", "type": "text", "timestamp": "9999"});
        assert_eq!(arrival(message.clone()).unwrap().sent_at(), 2_000);
        assert!(arrival(message.clone()).unwrap().opens_window());
        message["type"] = "system".into();
        assert!(!arrival(message).unwrap().opens_window());
    }
}
