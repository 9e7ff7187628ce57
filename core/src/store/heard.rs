//! What a message from a person says about the person: who they are, and whether they want messages.
//!
//! All of it is written in the transaction that keeps the message, so a word like STOP is never
//! answered to its network and then forgotten.

use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use serde_json::json;
use waystation_adapter_sdk::{Person, UserPreference, Wish as NetworkWish};

use super::{
    NewDelivery, NewMessage, NewSignal, NewSuppression, StoreError,
    abuse::count_signals,
    connection::{Conn, on},
    contacts::recognise,
    messages::insert_messages,
    schema::endpoints,
    suppressions,
    usage::day_of,
};
use crate::{
    abuse::Signal,
    clock::Millis,
    contacts::{Contact, People, Reach, SuppressionSource, Wish, wish_of_payload, wish_of_text},
    ids::{ContactId, EndpointId, MessageId},
    messages::{Category, address::Address},
    tenancy::Sender,
    webhooks::payload::preference_body,
};

/// How long the confirmation of an opt-out is worth sending, in milliseconds.
const CONFIRMATION_LIFE_MS: Millis = 60 * 60 * 1_000;

/// What a person said.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'s> {
    /// A message: its text or that of the button that was pressed, and the payload of the button.
    Message { text: Option<&'s str>, payload: Option<&'s str> },
    /// In WhatsApp's own settings: whether marketing is to stop, or to go on.
    Preference { stop: bool },
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Who it was.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests ask who it was"))]
    pub(crate) contact: ContactId,
    /// What changed, if anything did.
    pub(crate) wish: Option<Wish>,
    /// The webhooks that tell of it; they are written, and to be queued after the commit.
    pub(crate) deliveries: Vec<NewDelivery>,
    /// The message that confirms it; likewise.
    pub(crate) confirmation: Option<NewMessage>,
}

/// Notes what `person` said to `sender` at the time `at`, inside the transaction that keeps it.
/// None for somebody who has neither a number nor a user id.
pub(super) async fn heard_from(
    conn: &mut Conn,
    (people, shard): (&People, i32),
    sender: &Sender,
    person: &Person,
    said: Said<'_>,
    (at, now): (Millis, Millis),
) -> Result<Option<Heard>, StoreError> {
    let Some(contact) = recognise(conn, people, &sender.business, person, now).await? else { return Ok(None) };
    let (wish, source) = match said {
        Said::Message { text, payload } => match payload.and_then(wish_of_payload) {
            Some(wish) => (Some(wish), SuppressionSource::Button),
            None => (text.and_then(wish_of_text), SuppressionSource::Keyword),
        },
        Said::Preference { stop: true } => (Some(Wish::StopMarketing), SuppressionSource::Preference),
        Said::Preference { stop: false } => (Some(Wish::Start), SuppressionSource::Preference),
    };
    let mut heard = Heard { contact: contact.id.clone(), wish: None, deliveries: Vec::new(), confirmation: None };
    let Some(wish) = wish else { return Ok(Some(heard)) };

    let business = &sender.business;
    let addresses = reachable(&contact, person);
    let texts = suppressions::texts(conn, business).await?;
    // Whoever pressed a switch of WhatsApp's sees there that it is done.
    let told = source != SuppressionSource::Preference;
    let text = if wish == Wish::Start { texts.start } else { texts.stop }.filter(|_| told);
    let confirmation = text.and_then(|text| Some(confirmation(sender, addresses.as_slice().first()?, text, now)));
    let changed = match wish {
        Wish::Start => {
            let marketing_only = source == SuppressionSource::Preference;
            suppressions::lift(conn, people, business, &addresses, (&sender.channel, marketing_only)).await?
        }
        Wish::Stop | Wish::StopMarketing => {
            let new = NewSuppression {
                channel: sender.channel.clone(),
                reach: if wish == Wish::Stop { Reach::All } else { Reach::Marketing },
                source,
                detail: None,
                confirmation_id: confirmation.as_ref().map(|message| message.id.key().to_owned()),
            };
            let added = suppressions::add(conn, people, business, &addresses, &new, now).await?;
            if added {
                suppressions::cancel_what_is_held(conn, business, &addresses, new.reach, now).await?;
            }
            added
        }
    };
    // Saying it twice changes nothing, and is not confirmed twice.
    if !changed {
        return Ok(Some(heard));
    }
    if wish != Wish::Start {
        let signal = NewSignal { sender: sender.id, day: day_of(now), signal: Signal::OptOut };
        count_signals(conn, std::iter::once(signal)).await?;
    }
    if let Some(message) = &confirmation {
        insert_messages(conn, vec![message.clone()], shard).await?;
    }
    // Of a preference its own webhook tells.
    if told {
        heard.deliveries = tell(conn, sender, person, (wish, source), (at, now)).await?;
    }
    heard.wish = Some(wish);
    heard.confirmation = confirmation;
    Ok(Some(heard))
}

/// Everything that somebody can be reached at, first what they wrote from.
fn reachable(contact: &Contact, person: &Person) -> Vec<Address> {
    let ids = [&person.user_id, &person.parent_user_id].into_iter().flatten().cloned().map(Address::UserId);
    let mut all: Vec<Address> = person.phone.clone().map(Address::Phone).into_iter().chain(ids).collect();
    for address in contact.details.addresses() {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

fn confirmation(sender: &Sender, to: &Address, text: String, now: Millis) -> NewMessage {
    let mut body = json!({"messaging_product": "whatsapp", "type": "text", "text": {"body": text}});
    body[if to.as_phone().is_some() { "to" } else { "recipient" }] = to.as_str().into();
    NewMessage {
        id: MessageId::generate(),
        business_id: sender.business.clone(),
        sender_id: sender.id,
        recipient: to.as_str().to_owned(),
        kind: "text",
        category: Category::Service,
        body: body.to_string(),
        rendered: text,
        callback_data: None,
        accepted_at: now,
        expires_at: now + CONFIRMATION_LIFE_MS,
        sealed: None,
        scheduled: None,
        template: None,
        routing: None,
        idempotency: None,
    }
}

/// Writes a webhook for each endpoint of the business.
async fn tell(
    conn: &mut Conn,
    sender: &Sender,
    person: &Person,
    (wish, source): (Wish, SuppressionSource),
    (at, now): (Millis, Millis),
) -> Result<Vec<NewDelivery>, StoreError> {
    let business = &sender.business;
    let query = endpoints::table.filter(endpoints::business_id.eq(business.key())).select(endpoints::id);
    let endpoints: Vec<String> = on!(*conn, c => query.load(c).await)?;
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    let preference = UserPreference {
        from: person.clone(),
        // An opt-out of everything is one that the Cloud API does not know.
        category: if wish == Wish::StopMarketing { "marketing_messages" } else { "all_messages" }.to_owned(),
        wish: if wish == Wish::Start { NetworkWish::Resume } else { NetworkWish::Stop },
        detail: Some(format!("source: {}", source.name())),
        at_ms: at,
    };
    let body = preference_body(sender, person, &preference);
    // It tells of no message; its own id stands in the place of one.
    let about = MessageId::generate();
    let deliveries: Vec<NewDelivery> = endpoints
        .into_iter()
        .map(|id| NewDelivery::new(business, &EndpointId::from_key(id), &about, body.clone(), now))
        .collect();
    super::deliveries::insert(conn, deliveries.clone()).await?;
    Ok(deliveries)
}
