//! One-time passwords on both databases, sent through the intake as by anybody.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    audit::Actor,
    clock::now_ms,
    delivery::Enqueuer,
    eligibility::Eligibility,
    ids::{BusinessId, SenderId},
    media::Media,
    messages::state::State,
    onboarding::Reviewer,
    queue::{EmbeddedQueue, Job},
    store::{
        ClaimedMessage, Connection, NewSender,
        tests::{Fixture, Tree, both, execute},
    },
    templates::{Action, Decision, Draft, Templates},
    tenancy::{Directory, Limits, Mode, Policy, Principal, Scopes, Standing, Subtree},
};

const PERSON: &str = "+1 650 555 0007";
const SMS_PHONE: &str = "15550783882";

struct World {
    passwords: OneTimePasswords,
    store: Store,
    vault: Vault,
    tree: Tree,
    sms: SenderId,
}

impl World {
    async fn new(Fixture { store, .. }: &Fixture) -> Self {
        let (store, vault, limiter) = (store.clone(), Vault::for_tests(), Limiter::local(store.clone()));
        let tree = Tree::plant(&store).await;
        let sms = add_sender(&store, &tree.business, "sms", SMS_PHONE).await;
        // The oldest that is approved is the one when nobody says.
        for (age, language, status) in [(3, "fr", "REJECTED"), (2, "de", "APPROVED"), (1, "en_US", "APPROVED")] {
            let what = ("verification_code", language, "AUTHENTICATION", status);
            add_template(&store, &tree, what, 10 - age).await;
        }
        let directory = Directory::new(store.clone(), vault.clone(), Policy::default());
        let intake = Intake::start(
            store.clone(),
            directory.clone(),
            vault.clone(),
            Eligibility::new(store.clone(), directory),
            limiter.clone(),
            Enqueuer::start(Arc::new(EmbeddedQueue::new())),
            Media::for_tests(&store, &vault),
            Duration::from_secs(3_600),
        );
        let passwords = OneTimePasswords::new(store.clone(), vault.clone(), limiter, intake);
        Self { passwords, store, vault, tree, sms }
    }

    fn tenant(&self) -> Tenant {
        let principal = Principal {
            credential: "key_x".to_owned(),
            name: "x".to_owned(),
            reseller: self.tree.reseller.clone(),
            business: Some(self.tree.business.clone()),
            mode: Mode::Live,
            scopes: Scopes::admin(),
            addresses: Vec::new(),
            signed: false,
            expires_at: None,
            revoked_at: None,
            standing: Standing::Active,
            limits: Limits::default(),
        };
        Tenant::of(Arc::new(principal)).unwrap()
    }

    /// An order with these members changed.
    fn order(&self, changes: &Value) -> Order {
        let mut order = json!({"to": PERSON, "from": self.tree.sender.to_string()});
        for (name, value) in changes.as_object().unwrap() {
            order[name] = value.clone();
        }
        serde_json::from_value(order).unwrap()
    }

    fn fallback(&self) -> Value {
        json!({"fallback": {"channel": "sms", "from": SMS_PHONE, "after_seconds": 5}})
    }

    async fn send(&self, changes: &Value, now: Millis) -> Result<Sent, ApiError> {
        self.passwords.send(&self.tenant(), &self.order(changes), now).await
    }

    /// The message as a worker gets it.
    async fn claimed(&self, id: &MessageId) -> ClaimedMessage {
        let now = now_ms() + 3_600_000;
        self.store.claim_messages(&[id.key()], "worker", now, now + 1).await.unwrap().remove(0)
    }

    /// What an adapter is given as plain text, and the code in it.
    async fn code(&self, id: &MessageId) -> (String, String) {
        let text = self.claimed(id).await.content(&self.vault).unwrap().rendered;
        let code = text.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() >= 4).unwrap().to_owned();
        (text, code)
    }

    async fn check(&self, sent: &Sent, code: &str, now: Millis) -> (Verdict, i32) {
        let check = Check { id: sent.id.to_string(), code: code.to_owned() };
        let checked = self.passwords.verify(&self.tenant(), &check, now).await.unwrap();
        (checked.verdict, checked.tries_left)
    }

    async fn set_state(&self, id: &MessageId, state: State) {
        let statement = format!("UPDATE messages SET state = {} WHERE id = '{}'", state.code(), id.key());
        execute(&self.store, &statement).await;
    }
}

async fn add_sender(store: &Store, business: &BusinessId, channel: &str, phone: &str) -> SenderId {
    let view = store.business(&crate::tenancy::Subtree::Platform, business).await.unwrap().unwrap();
    let sender = NewSender {
        id: SenderId::generate(),
        phone: phone.to_owned(),
        display_name: "Meier".to_owned(),
        channel: channel.to_owned(),
        adapter: "sandbox".to_owned(),
        connection: Connection::Clear(json!({})),
        phone_verified_at: None,
    };
    store.add_sender(&Actor::system(), &view, &sender, 100, 0).await.unwrap();
    sender.id
}

async fn add_template(
    store: &Store,
    tree: &Tree,
    (name, language, category, status): (&str, &str, &str, &str),
    now: Millis,
) {
    let components = match category {
        "AUTHENTICATION" => json!([
            {"type": "BODY", "text": "{{1}} is your code."},
            {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}]},
        ]),
        _ => json!([{"type": "BODY", "text": "Your order {{1}} is here.", "example": {"body_text": [["A-17"]]}}]),
    };
    let draft = Draft {
        name: name.to_owned(),
        language: language.to_owned(),
        category: category.to_owned(),
        components: components.as_array().cloned().unwrap(),
        ..Draft::default()
    };
    let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
    let templates =
        Templates::new(store.clone(), directory, Enqueuer::start(std::sync::Arc::new(EmbeddedQueue::new())));
    let (by, platform) = (Actor::system(), Subtree::Platform);
    let added = templates.create((&by, &platform), &tree.business, &draft, true, now).await.unwrap();
    let decision = match status {
        "APPROVED" => Decision { action: Action::Approve, reason: None, version: None },
        _ => Decision { action: Action::Reject, reason: Some("Not this one.".to_owned()), version: None },
    };
    templates.decide(&Reviewer::vouched(by), &platform, added.id, &decision, now).await.unwrap();
}

/// Another code of as many digits.
fn other(code: &str) -> String {
    let last = code.chars().last().and_then(|digit| digit.to_digit(10)).unwrap();
    format!("{}{}", &code[..code.len() - 1], (last + 1) % 10)
}

fn pointers(error: &ApiError) -> Vec<&str> {
    error.breaches.iter().map(|breach| breach.pointer.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_in_the_text_and_in_the_button_and_is_good_once() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let now = now_ms();
        let sent = world.send(&json!({"language": "en_US", "code_length": 8}), now).await.unwrap();
        assert_eq!(sent.expires_at, now + 600_000);
        let message = world.claimed(&sent.message).await;
        assert_eq!(message.row.progress.expires_at, sent.expires_at, "later it is not worth sending");
        let content = message.content(&world.vault).unwrap();
        let body: Value = serde_json::from_str(&content.body).unwrap();
        let components = &body["template"]["components"];
        let code = components[0]["parameters"][0]["text"].as_str().unwrap().to_owned();
        assert_eq!(code.len(), 8);
        assert_eq!(components[1]["parameters"][0]["text"], json!(code));
        assert!(content.rendered.starts_with(&format!("{code} is your code.")), "{}", content.rendered);

        let check = Check { id: sent.id.to_string(), code: "12".to_owned() };
        let error = world.passwords.verify(&world.tenant(), &check, now).await.unwrap_err();
        assert_eq!((error.kind, pointers(&error)), (ErrorKind::ParameterInvalid, vec!["/code"]), "no try");
        assert_eq!(world.check(&sent, &other(&code), now).await, (Verdict::Wrong, 4));
        let spaced = format!(" {} {}", &code[..4], &code[4..]);
        assert_eq!(world.check(&sent, &spaced, now).await, (Verdict::Verified, 3));
        assert_eq!(world.check(&sent, &code, now).await, (Verdict::Used, 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_tries_or_its_time_the_right_code_shows_nothing() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let now = now_ms();
        let sent = world.send(&json!({"ttl_seconds": 60}), now).await.unwrap();
        let (_, code) = world.code(&sent.message).await;
        assert_eq!(world.check(&sent, &code, now + 60_000).await, (Verdict::Expired, 5));
        // At the same time, so that each takes its own try.
        let wrong = other(&code);
        let tries = futures_util::future::join_all((0..9).map(|_| world.check(&sent, &wrong, now + 1))).await;
        let mut left: Vec<i32> =
            tries.iter().filter(|(verdict, _)| *verdict == Verdict::Wrong).map(|(_, left)| *left).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 3, 4], "{}", world.store.kind());
        assert_eq!(world.check(&sent, &code, now + 2).await, (Verdict::Exhausted, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_type_the_right_code_at_once_one_is_verified() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let now = now_ms();
        let sent = world.send(&json!({}), now).await.unwrap();
        let (_, code) = world.code(&sent.message).await;
        let verdicts = futures_util::future::join_all((0..4).map(|_| world.check(&sent, &code, now))).await;
        let verified = verdicts.iter().filter(|(verdict, _)| *verdict == Verdict::Verified).count();
        assert_eq!(verified, 1, "{verdicts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_business_finds_no_password_and_no_sender() {
    for fixture in &both().await {
        let (ours, theirs) = (World::new(fixture).await, World::new(fixture).await);
        let sent = ours.send(&json!({}), now_ms()).await.unwrap();
        let check = Check { id: sent.id.to_string(), code: "123456".to_owned() };
        let error = theirs.passwords.verify(&theirs.tenant(), &check, now_ms()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        let error = theirs.passwords.send(&theirs.tenant(), &ours.order(&json!({})), now_ms()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        let borrowed = json!({"fallback": {"channel": "sms", "from": ours.sms.to_string()}});
        let error = theirs.send(&borrowed, now_ms()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_an_order_is_told_and_nothing_is_sent() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let whatsapp = json!({"channel": "sms", "from": world.tree.sender.to_string()});
        let bad = json!({
            "to": "nobody", "code_length": 3, "ttl_seconds": 601,
            "fallback": {"channel": "fax", "from": SMS_PHONE, "after_seconds": 4},
        });
        let named = |name: &str| json!({"template": {"name": name, "language": "en_US"}});
        add_template(&world.store, &world.tree, ("order_update", "en_US", "UTILITY", "APPROVED"), 0).await;
        let all = ["/code_length", "/ttl_seconds", "/fallback/after_seconds", "/fallback/channel", "/to"];
        for (changes, kind, expected) in [
            (bad, ErrorKind::ParameterInvalid, &all[..]),
            (json!({"to": "US.13491208655302741918"}), ErrorKind::RecipientUnsupported, &["/to"]),
            (json!({"fallback": whatsapp}), ErrorKind::ParameterInvalid, &["/fallback/from"]),
            (json!({"language": "it"}), ErrorKind::TemplateMissing, &["/template"]),
            (json!({"language": "fr"}), ErrorKind::TemplateMissing, &["/template/name"]),
            (named("no_such"), ErrorKind::TemplateMissing, &["/template/name"]),
            (named("order_update"), ErrorKind::ParameterInvalid, &["/template/name"]),
        ] {
            let error = world.send(&changes, now_ms()).await.unwrap_err();
            assert_eq!((error.kind, pointers(&error).as_slice()), (kind, expected), "{changes}: {error}");
        }
        assert!(world.send(&json!({}), now_ms()).await.is_ok(), "none of them was counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_gets_no_more_codes_of_a_business_than_may_be() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let now = now_ms();
        let plain = json!({});
        let sends = futures_util::future::join_all((0..6).map(|_| world.send(&plain, now))).await;
        assert_eq!(sends.iter().filter(|sent| sent.is_ok()).count(), 1, "{}", world.store.kind());
        let error = world.send(&json!({}), now + 1_000).await.unwrap_err();
        assert_eq!((error.kind, error.retry_after_ms), (ErrorKind::TooManyCodes, Some(29_000)));
        assert!(world.send(&json!({"to": "+1 650 555 0008"}), now).await.is_ok(), "another person");
        let neighbour = World::new(fixture).await;
        assert!(neighbour.send(&json!({}), now).await.is_ok(), "another business counts for itself");
        assert!(world.send(&json!({}), now + 30_000).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_not_delivered_falls_back_once_and_is_the_same() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let now = now_ms();
        let sent = world.send(&world.fallback(), now).await.unwrap();
        let (message, at) = sent.fallback.clone().unwrap();
        assert_eq!(at, now + 5_000);
        assert_eq!(world.store.fall_back(at - 1, 10).await.unwrap(), (0, Vec::new()), "not yet");
        let looks = futures_util::future::join_all((0..4).map(|_| world.store.fall_back(at, 10))).await;
        let jobs: Vec<Job> = looks.into_iter().flat_map(|look| look.unwrap().1).collect();
        assert_eq!(jobs.len(), 1, "{}: once, whoever looks", world.store.kind());
        assert_eq!((jobs[0].id.as_str(), jobs[0].lane.as_str()), (message.key(), world.sms.to_string().as_str()));
        assert!(world.store.fall_back(at + 60_000, 10).await.unwrap().1.is_empty());

        let (first_text, code) = world.code(&sent.message).await;
        let (text, same) = world.code(&message).await;
        assert_eq!(code, same);
        assert_ne!(first_text, text);
        assert_eq!(text, format!("{code} ist Ihr Code für Meier. Er gilt 10 Minuten. Geben Sie ihn nicht weiter."));
        assert_eq!(world.check(&sent, &code, at + 1).await, (Verdict::Verified, 4), "by the same id");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_used_or_is_over_does_not_fall_back() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let now = now_ms();
        let to = |last: u32| {
            let mut changes = world.fallback();
            changes["to"] = json!(format!("+1650555{last:04}"));
            changes["ttl_seconds"] = json!(60);
            changes
        };
        for (last, state) in [(1, State::Delivered), (2, State::Read), (3, State::Played)] {
            let delivered = world.send(&to(last), now).await.unwrap();
            world.set_state(&delivered.message, state).await;
        }
        let used = world.send(&to(4), now).await.unwrap();
        let (_, code) = world.code(&used.message).await;
        assert_eq!(world.check(&used, &code, now).await.0, Verdict::Verified);
        assert_eq!(world.store.fall_back(now + 5_000, 10).await.unwrap(), (3, Vec::new()), "{}", world.store.kind());
        world.send(&to(5), now).await.unwrap();
        assert_eq!(world.store.fall_back(now + 60_000, 10).await.unwrap(), (1, Vec::new()), "too late");
        let failed = world.send(&to(6), now).await.unwrap();
        world.set_state(&failed.message, State::Failed).await;
        assert_eq!(world.store.fall_back(now + 5_000, 10).await.unwrap().1.len(), 1, "failed is not delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_forgotten_a_day_after_its_time() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let now = now_ms();
        let sent = world.send(&json!({}), now).await.unwrap();
        let day = 24 * 60 * 60 * 1_000;
        assert_eq!(world.store.forget_one_time_passwords(sent.expires_at + day - 1).await.unwrap(), 0);
        assert_eq!(world.check(&sent, "123456", sent.expires_at).await.0, Verdict::Expired);
        assert_eq!(world.store.forget_one_time_passwords(sent.expires_at + day).await.unwrap(), 1);
        let check = Check { id: sent.id.to_string(), code: "123456".to_owned() };
        let error = world.passwords.verify(&world.tenant(), &check, sent.expires_at).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
}
