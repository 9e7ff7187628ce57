//! People on both databases: who is one with whom, what they agreed to, and what they want no more of.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use waystation_adapter_sdk::Person;

use super::*;
use crate::{
    contacts::{Contact, ContactChange, Reach, SuppressionSource, Wish},
    eligibility::{Eligibility, Question},
    error::ErrorKind,
    messages::{Category, address::Address},
    paging::Paging,
    store::heard::heard_from,
    tenancy::{ConsentPolicy, Directory, Sender},
    vault::Vault,
};

const PHONE: &str = "16505551234";
const USER: &str = "US.13491208655302741918";

fn change(value: Value) -> ContactChange {
    serde_json::from_value(value).unwrap()
}

fn phone(text: &str) -> Address {
    Address::phone(text).unwrap()
}

fn user(text: &str) -> Address {
    Address::user_id(text).unwrap()
}

async fn sender(store: &Store, tree: &Tree) -> Sender {
    store.any_sender(tree.sender).await.unwrap().unwrap().sender
}

/// What a person said, as the inbound room has it written.
async fn hear(store: &Store, sender: &Sender, person: &Person, said: Said<'_>, now: Millis) -> Option<Heard> {
    let mut conn = store.pools.begin().await.unwrap();
    let with = (store.people().unwrap(), store.shard);
    let result = heard_from(&mut conn, with, sender, person, said, (now, now)).await;
    conn.finish(result).await.unwrap()
}

fn from_phone(phone: &str) -> Person {
    Person { phone: Some(phone.to_owned()), ..Person::default() }
}

fn text(text: &str) -> Said<'_> {
    Said::Message { text: Some(text), payload: None }
}

async fn upserted(store: &Store, business: &BusinessId, value: Value) -> Contact {
    let results = store.upsert_contacts(business, &[change(value)], 1_000).await.unwrap();
    match results.into_iter().next().unwrap() {
        Upserted::Created(contact) | Upserted::Updated(contact) => contact,
        Upserted::Refused(breach) => panic!("{breach:?}"),
    }
}

/// What the gate says to a message of `category` to `to`.
async fn refused(store: &Store, tree: &Tree, to: &Address, category: Category) -> Option<ErrorKind> {
    let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
    let id = MessageId::generate();
    let question =
        Question { message: &id, business: &tree.business, sender: tree.sender, recipient: to, category, kind: "text" };
    let refusals = Eligibility::new(store.clone(), directory).check(&[question], 5_000).await.unwrap();
    refusals.into_iter().next().unwrap().map(|refusal| {
        assert!(!refusal.details.contains(to.as_str()), "{}", refusal.details);
        refusal.kind
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_stop_gets_nothing_more_until_they_say_start() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let sender = sender(store, &tree).await;
        let ask = async |category| refused(store, &tree, &phone(PHONE), category).await;
        assert_eq!(ask(Category::Service).await, None);
        let heard = hear(store, &sender, &from_phone(PHONE), text("hello"), 2_000).await.unwrap();
        assert!(heard.wish.is_none());
        let heard = hear(store, &sender, &from_phone(PHONE), text("Stop!"), 2_000).await.unwrap();
        assert_eq!(heard.wish, Some(Wish::Stop));
        for category in Category::ALL {
            assert_eq!(ask(category).await, Some(ErrorKind::RecipientOptedOut));
        }
        let again = hear(store, &sender, &from_phone(PHONE), text("STOP"), 2_000).await.unwrap();
        assert_eq!(again.wish, None, "once is enough");
        let heard = hear(store, &sender, &from_phone(PHONE), text("start"), 3_000).await.unwrap();
        assert_eq!(heard.wish, Some(Wish::Start));
        assert_eq!(ask(Category::Marketing).await, None);
        // Of another business nobody has opted out.
        let theirs = Tree { business: BusinessId::generate(), ..tree };
        assert_eq!(refused(store, &theirs, &phone(PHONE), Category::Marketing).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_of_marketing_lets_everything_else_through() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let sender = sender(store, &tree).await;
        let payload = Said::Message { text: Some("No more offers"), payload: Some("waystation:stop:marketing") };
        for (stop, start) in [
            (Said::Preference { stop: true }, Said::Preference { stop: false }),
            (payload, Said::Message { text: None, payload: Some("waystation:start") }),
        ] {
            hear(store, &sender, &from_phone(PHONE), stop, 2_000).await.unwrap();
            let ask = async |category| refused(store, &tree, &phone(PHONE), category).await;
            assert_eq!(ask(Category::Marketing).await, Some(ErrorKind::MarketingOptedOut));
            assert_eq!(ask(Category::Utility).await, None);
            hear(store, &sender, &from_phone(PHONE), start, 3_000).await.unwrap();
            assert_eq!(ask(Category::Marketing).await, None);
        }
        // Marketing that goes on in the settings does not end a STOP.
        hear(store, &sender, &from_phone(PHONE), text("stop"), 4_000).await.unwrap();
        hear(store, &sender, &from_phone(PHONE), Said::Preference { stop: false }, 5_000).await.unwrap();
        let held = refused(store, &tree, &phone(PHONE), Category::Marketing).await;
        assert_eq!(held, Some(ErrorKind::RecipientOptedOut));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suppression_by_hand_ends_by_hand_only() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let sender = sender(store, &tree).await;
        let new = NewSuppression {
            channel: "all".to_owned(),
            reach: Reach::All,
            source: SuppressionSource::Manual,
            detail: Some("asked by letter".to_owned()),
            confirmation_id: None,
        };
        let by = Actor::system();
        let (held, is_new) = store.suppress(&by, &tree.business, &phone(PHONE), &new, 1_000).await.unwrap();
        assert!(is_new);
        assert!(!store.suppress(&by, &tree.business, &phone(PHONE), &new, 2_000).await.unwrap().1);
        hear(store, &sender, &from_phone(PHONE), text("start"), 3_000).await.unwrap();
        assert!(refused(store, &tree, &phone(PHONE), Category::Service).await.is_some());
        let others = BusinessId::generate();
        assert!(store.suppression(&others, &held.id).await.unwrap().is_none());
        assert!(!store.lift_suppression(&by, &others, &held.id, 4_000).await.unwrap());
        assert!(store.lift_suppression(&by, &tree.business, &held.id, 4_000).await.unwrap());
        assert_eq!(refused(store, &tree, &phone(PHONE), Category::Service).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_one_at_both_addresses_and_in_both_notations() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let sender = sender(store, &tree).await;
        // In Brazil a mobile number has a digit more than WhatsApp may tell.
        let written = upserted(store, &tree.business, json!({"phone": "5511987654321"})).await;
        let heard = hear(store, &sender, &from_phone("551187654321"), text("PARAR"), 2_000).await.unwrap();
        assert_eq!(heard.contact, written.id);
        let kept = store.contact(&tree.business, &written.id).await.unwrap().unwrap();
        assert_eq!(kept.details.phone.as_deref(), Some("5511987654321"), "no number is rewritten");
        assert!(refused(store, &tree, &phone("5511987654321"), Category::Utility).await.is_some());
        // Once the network tells the user id along with the number, that is protected too.
        assert_eq!(refused(store, &tree, &user("BR.1"), Category::Utility).await, None);
        let both = Person {
            user_id: Some("BR.1".to_owned()),
            profile_name: Some("Ana".to_owned()),
            ..from_phone("551187654321")
        };
        let heard = hear(store, &sender, &both, text("hi"), 3_000).await.unwrap();
        assert_eq!(heard.contact, written.id);
        assert!(refused(store, &tree, &user("BR.1"), Category::Utility).await.is_some());
        let nobody = hear(store, &sender, &Person::default(), text("stop"), 3_000).await;
        assert!(nobody.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_contacts_that_turn_out_to_be_one_become_one_with_the_stricter_consent() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let (business, sender) = (&tree.business, sender(store, &tree).await);
        let by_phone = upserted(store, business, json!({"phone": PHONE, "given_name": "Ana", "tags": ["a"]})).await;
        let by_user = upserted(store, business, json!({"user_id": USER, "tags": ["b"]})).await;
        hear(store, &sender, &Person { user_id: Some(USER.to_owned()), ..Person::default() }, text("stop"), 2_000)
            .await
            .unwrap();
        let consent = |granted, at: &str| -> crate::contacts::ConsentRequest {
            serde_json::from_value(json!({"category": "marketing", "granted": granted, "source": "s", "at": at}))
                .unwrap()
        };
        for (contact, granted, at) in
            [(&by_phone, true, "1970-01-01T00:00:02Z"), (&by_user, false, "1970-01-01T00:00:01Z")]
        {
            let line = consent(granted, at).line(3_000).unwrap();
            assert_eq!(store.add_consent(business, &contact.id, &line).await.unwrap(), ConsentAdded::Yes);
        }
        let both = Person { user_id: Some(USER.to_owned()), ..from_phone(PHONE) };
        let heard = hear(store, &sender, &both, text("hi"), 4_000).await.unwrap();
        let gone = if heard.contact == by_phone.id { &by_user.id } else { &by_phone.id };
        assert!(store.contact(business, gone).await.unwrap().is_none());
        let one = store.contact(business, &heard.contact).await.unwrap().unwrap();
        assert_eq!((one.details.phone.as_deref(), one.details.user_id.as_deref()), (Some(PHONE), Some(USER)));
        assert_eq!((one.details.tags.len(), one.details.given_name.as_deref()), (2, Some("Ana")));
        for address in [phone(PHONE), user(USER)] {
            assert!(refused(store, &tree, &address, Category::Service).await.is_some(), "{address:?}");
        }
        let histories = store.histories(business, &[&one.id]).await.unwrap();
        let history = &histories[one.id.key()];
        assert_eq!(history.len(), 3, "nothing of either history is lost");
        assert!(!crate::contacts::consent::current(history)[0].granted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_by_hand_keeps_the_survivor_and_its_own_fields() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let business = &tree.business;
        let survivor = upserted(store, business, json!({"phone": PHONE, "given_name": "Ana"})).await;
        let other = upserted(store, business, json!({"phone": "16505550009", "given_name": "Anna"})).await;
        let new = NewSuppression {
            channel: "whatsapp".to_owned(),
            reach: Reach::Marketing,
            source: SuppressionSource::Manual,
            detail: None,
            confirmation_id: None,
        };
        store.suppress(&Actor::system(), business, &phone("16505550009"), &new, 1_000).await.unwrap();
        let ids = (&survivor.id, &other.id);
        assert!(store.merge_contacts(&Actor::system(), &BusinessId::generate(), ids, 2_000).await.unwrap().is_none());
        let merged = store.merge_contacts(&Actor::system(), business, ids, 2_000).await.unwrap().unwrap();
        assert_eq!((&merged.id, merged.details.given_name.as_deref()), (&survivor.id, Some("Ana")));
        assert_eq!(merged.details.phone.as_deref(), Some(PHONE));
        for at in [PHONE, "16505550009"] {
            let held = refused(store, &tree, &phone(at), Category::Marketing).await;
            assert_eq!(held, Some(ErrorKind::MarketingOptedOut), "{at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_remains_of_somebody_who_was_erased_is_that_they_want_no_messages() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let (business, sender) = (&tree.business, sender(store, &tree).await);
        let contact = upserted(store, business, json!({"phone": PHONE, "given_name": "Ana", "tags": ["vip"]})).await;
        hear(store, &sender, &from_phone(PHONE), text("stop"), 2_000).await.unwrap();
        assert!(!store.erase_contact(&Actor::system(), &BusinessId::generate(), &contact.id, 3_000).await.unwrap());
        assert!(store.erase_contact(&Actor::system(), business, &contact.id, 3_000).await.unwrap());
        assert!(store.contact(business, &contact.id).await.unwrap().is_none());
        assert!(refused(store, &tree, &phone(PHONE), Category::Service).await.is_some());
        let left = store.suppressions(business, None, &Paging::default()).await.unwrap();
        assert_eq!(left.entries.len(), 1);
        assert_eq!((left.entries[0].address.as_ref(), left.entries[0].detail.as_ref()), (None, None));
        let filter = ContactFilter { terms: vec![term_of_tag("vip")], ..ContactFilter::default() };
        assert!(store.contacts(business, &filter, &Paging::default()).await.unwrap().entries.is_empty());
        // Nor does adding the person anew let a message through.
        upserted(store, business, json!({"phone": PHONE})).await;
        assert!(refused(store, &tree, &phone(PHONE), Category::Service).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_networks_131050_is_an_opt_out_of_marketing_and_our_own_refusal_is_none() {
    use waystation_adapter_sdk::UpstreamError;
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let fail = async |recipient: &str, outcome: fn(UpstreamError) -> Outcome| {
            let new = NewMessage {
                recipient: recipient.to_owned(),
                sender_id: tree.sender,
                ..message(&tree.business, 1_000)
            };
            store.accept(vec![new.clone()]).await.unwrap();
            let claimed = store.claim_messages(&[new.id.key()], "a", 2_000, 60_000).await.unwrap();
            let mut row = claimed[0].row.clone();
            let error = UpstreamError::with_code(131_050, "User stopped marketing messages");
            let effects =
                row.progress.apply(Event::Concluded { attempt: 1, outcome: outcome(error) }, &policy(), 3_000);
            let events = effects.into_iter().filter_map(|effect| match effect {
                crate::messages::state::Effect::Record(note) => {
                    Some(EventRow::new(&row, &note, "sandbox", crate::delivery::Times::at(3_000)))
                }
                crate::messages::state::Effect::Tell(_) | crate::messages::state::Effect::Left(_) => None,
            });
            let record = MessageRecord {
                events: events.collect(),
                id: row.id,
                attempt: 1,
                progress: row.progress,
                deliveries: Vec::new(),
                left: Vec::new(),
                answered: None,
            };
            assert_eq!(store.record_messages("a", &[record], 3_000).await.unwrap().len(), 1);
            let view = store.message(&tree.business, &new.id).await.unwrap().unwrap();
            assert_eq!(view.progress.state, State::Failed);
            refused(store, &tree, &phone(recipient), Category::Marketing).await
        };
        assert_eq!(fail("16505550001", |error| Outcome::Refused { error }).await, None);
        let held = fail("16505550002", |error| Outcome::Rejected { error }).await;
        assert_eq!(held, Some(ErrorKind::MarketingOptedOut));
        assert_eq!(refused(store, &tree, &phone("16505550002"), Category::Utility).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn marketing_waits_for_consent_as_far_as_the_policy_asks() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let business = store.business(&Subtree::Platform, &tree.business).await.unwrap().unwrap();
        let contact = upserted(store, &tree.business, json!({"phone": PHONE, "user_id": USER})).await;
        let set = async |policy: Option<ConsentPolicy>| {
            let policy = Policy { marketing_consent: policy, ..Policy::default() };
            store.set_business_policy(&Actor::system(), &business, &policy, 1_000).await.unwrap();
        };
        let consent = async |granted: bool, at: &str| {
            let request = json!({"category": "marketing", "granted": granted, "source": "s", "at": at});
            let request: crate::contacts::ConsentRequest = serde_json::from_value(request).unwrap();
            let line = request.line(10_000).unwrap();
            assert_eq!(store.add_consent(&tree.business, &contact.id, &line).await.unwrap(), ConsentAdded::Yes);
        };
        let ask = async |category| refused(store, &tree, &user(USER), category).await;
        for lenient in [None, Some(ConsentPolicy::Off), Some(ConsentPolicy::Warn)] {
            set(lenient).await;
            assert_eq!(ask(Category::Marketing).await, None, "{lenient:?}");
        }
        let warnings = async || {
            let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
            let id = MessageId::generate();
            let question = Question {
                message: &id,
                business: &tree.business,
                sender: tree.sender,
                recipient: &phone(PHONE),
                category: Category::Marketing,
                kind: "template",
            };
            Eligibility::new(store.clone(), directory).warnings(&question).await.unwrap().len()
        };
        assert_eq!(warnings().await, 1);
        set(Some(ConsentPolicy::Strict)).await;
        assert_eq!(ask(Category::Marketing).await, Some(ErrorKind::ConsentMissing));
        assert_eq!((ask(Category::Utility).await, warnings().await), (None, 0));
        consent(true, "1970-01-01T00:00:01Z").await;
        assert_eq!(ask(Category::Marketing).await, None, "whichever address it goes to");
        consent(false, "1970-01-01T00:00:02Z").await;
        assert_eq!(ask(Category::Marketing).await, Some(ErrorKind::ConsentMissing));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_contacts_says_what_became_of_each() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let business = &tree.business;
        upserted(store, business, json!({"phone": "16505550001"})).await;
        upserted(store, business, json!({"user_id": USER})).await;
        let batch = [
            json!({"phone": "16505550001", "given_name": "Ana"}),
            json!({"phone": "16505550002", "tags": ["new"]}),
            json!({"phone": "16505550002", "given_name": "Bo"}),
            json!({"phone": "16505550001", "user_id": USER}),
        ];
        let results = store.upsert_contacts(business, &batch.map(change), 2_000).await.unwrap();
        let kinds: Vec<&str> = results
            .iter()
            .map(|result| match result {
                Upserted::Created(_) => "created",
                Upserted::Updated(_) => "updated",
                Upserted::Refused(_) => "refused",
            })
            .collect();
        assert_eq!(kinds, ["updated", "created", "updated", "refused"]);
        let second = store.contacts_at(business, &[phone("16505550002")]).await.unwrap();
        assert_eq!((second.len(), second[0].details.given_name.as_deref()), (1, Some("Bo")));
        assert_eq!(second[0].details.tags.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_what_they_are_filtered_by_page_by_page() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let business = &tree.business;
        let kind = crate::contacts::AttributeKind::Number;
        let by = Actor::system();
        assert_eq!(store.define_attribute(&by, business, ("points", kind), 1, 0).await.unwrap(), Defined::Yes);
        assert_eq!(
            store.define_attribute(&by, business, ("points", kind), 1, 0).await.unwrap(),
            Defined::Already(kind)
        );
        assert_eq!(store.define_attribute(&by, business, ("other", kind), 1, 0).await.unwrap(), Defined::TooMany);
        for n in 0..5 {
            let tags = if n % 2 == 0 { json!(["even"]) } else { json!([]) };
            let value = json!({"phone": format!("1650555000{n}"), "tags": tags, "attributes": {"points": n}});
            upserted(store, business, value).await;
        }
        upserted(store, business, json!({"user_id": USER, "tags": ["even"]})).await;
        assert_eq!(store.undefine_attribute(&by, business, "points", 0).await.unwrap(), Undefined::InUse);
        assert_eq!(store.undefine_attribute(&by, business, "other", 0).await.unwrap(), Undefined::NoSuch);
        let new = NewSuppression {
            channel: "all".to_owned(),
            reach: Reach::All,
            source: SuppressionSource::Manual,
            detail: None,
            confirmation_id: None,
        };
        store.suppress(&by, business, &phone("16505550002"), &new, 0).await.unwrap();
        let count = async |filter: ContactFilter| {
            let (mut found, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let paging = Paging::read(cursor.as_deref(), Some(2)).unwrap();
                let page = store.contacts(business, &filter, &paging).await.unwrap();
                found.extend(page.entries.into_iter().map(|contact| contact.id));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(
                found.iter().map(crate::ids::ContactId::key).collect::<BTreeSet<_>>().len(),
                found.len(),
                "none twice"
            );
            found.len()
        };
        let all = ContactFilter::default;
        assert_eq!(count(all()).await, 6);
        assert_eq!(count(ContactFilter { terms: vec![term_of_tag("even")], ..all() }).await, 4);
        let points = term_of_attribute("points", &json!(2.0));
        let two = ContactFilter { terms: vec![term_of_tag("even"), points], ..all() };
        assert_eq!(count(two).await, 1);
        assert_eq!(count(ContactFilter { address: Some(user(USER)), ..all() }).await, 1);
        assert_eq!(count(ContactFilter { updated_since: Some(1_000), ..all() }).await, 6);
        assert_eq!(count(ContactFilter { updated_since: Some(1_001), ..all() }).await, 0);
        assert_eq!(count(ContactFilter { opted_out: Some(true), ..all() }).await, 1);
        assert_eq!(count(ContactFilter { opted_out: Some(false), ..all() }).await, 5);
        let theirs = store.contacts(&BusinessId::generate(), &all(), &Paging::default()).await.unwrap();
        assert!(theirs.entries.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_write_at_the_same_time_become_one_contact_each() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let sender = Arc::new(sender(store, &tree).await);
        let writing = (0..8).map(|n| {
            let (store, sender) = (store.clone(), sender.clone());
            tokio::spawn(async move {
                let phone = format!("1650555000{}", n % 2);
                hear(&store, &sender, &from_phone(&phone), text("hi"), 2_000).await.unwrap().contact
            })
        });
        let contacts: BTreeSet<String> = futures_util::future::join_all(writing)
            .await
            .into_iter()
            .map(|contact| contact.unwrap().key().to_owned())
            .collect();
        assert_eq!(contacts.len(), 2, "{}", store.kind());
    }
}

/// However opt-outs and sends interleave, nothing is sent by an attempt that began after the opt-out
/// was on disk: the gate is asked after the attempt is noted, as the courier does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_interleaving_lets_a_message_out_after_an_opt_out() {
    const MESSAGES: usize = 60;
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let sender = Arc::new(sender(store, &tree).await);
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        let gate = Eligibility::new(store.clone(), directory);
        let new: Vec<NewMessage> =
            (0..MESSAGES).map(|_| NewMessage { sender_id: tree.sender, ..message(&tree.business, 1_000) }).collect();
        let ids: Vec<String> = new.iter().map(|message| message.id.key().to_owned()).collect();
        store.accept(new).await.unwrap();
        // True from the moment on when the opt-out is on disk.
        let stopped = Arc::new(AtomicBool::new(false));
        let sending = ids.chunks(MESSAGES / 4).map(|ids| {
            let (store, gate, stopped, ids) = (store.clone(), gate.clone(), stopped.clone(), ids.to_vec());
            tokio::spawn(async move {
                let (mut out, mut late) = (0, 0);
                for id in ids {
                    let begun_after = AtomicBool::load(&stopped, Ordering::SeqCst);
                    let claimed = store.claim_messages(&[&id], "w", 2_000, 60_000).await.unwrap();
                    let row = &claimed[0].row;
                    let question = Question {
                        message: &row.id,
                        business: &row.business_id,
                        sender: row.sender_id,
                        recipient: &row.recipient,
                        category: row.category,
                        kind: &row.kind,
                    };
                    if gate.check(&[question], 2_000).await.unwrap()[0].is_none() {
                        out += 1;
                        late += usize::from(begun_after);
                    }
                    tokio::task::yield_now().await;
                }
                (out, late)
            })
        });
        let sending: Vec<_> = sending.collect();
        let stopping = {
            let (store, sender, stopped) = (store.clone(), sender.clone(), stopped.clone());
            tokio::spawn(async move {
                let heard = hear(&store, &sender, &from_phone(PHONE), text("stop"), 2_000).await.unwrap();
                assert_eq!(heard.wish, Some(Wish::Stop));
                AtomicBool::store(&stopped, true, Ordering::SeqCst);
            })
        };
        stopping.await.unwrap();
        let mut late = 0;
        for sending in sending {
            late += sending.await.unwrap().1;
        }
        assert_eq!(late, 0, "{}", store.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_is_confirmed_once_and_its_confirmation_goes_out() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let sender = sender(store, &tree).await;
        let texts = OptOutTexts { stop: Some("You get no more messages.".to_owned()), start: None };
        store.set_opt_out_texts(&Actor::system(), &tree.business, &texts, 0).await.unwrap();
        assert_eq!(store.opt_out_texts(&tree.business).await.unwrap(), texts);
        let heard = hear(store, &sender, &from_phone(PHONE), text("stop"), 2_000).await.unwrap();
        let confirmation = heard.confirmation.unwrap();
        let kept = store.message(&tree.business, &confirmation.id).await.unwrap().unwrap();
        assert_eq!((kept.recipient.as_str(), kept.kind.as_str()), (PHONE, "text"));
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        let gate = Eligibility::new(store.clone(), directory);
        let other = MessageId::generate();
        let recipient = phone(PHONE);
        let question = |message| Question {
            message,
            business: &tree.business,
            sender: tree.sender,
            recipient: &recipient,
            category: Category::Service,
            kind: "text",
        };
        let answers = gate.check(&[question(&confirmation.id), question(&other)], 3_000).await.unwrap();
        assert_eq!(answers.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
        let again = hear(store, &sender, &from_phone(PHONE), text("stop"), 4_000).await.unwrap();
        assert!(again.confirmation.is_none());
    }
}
