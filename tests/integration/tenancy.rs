//! Businesses of one installation know nothing of each other.

use serde_json::{Value, json};
use waystation_testkit::sink::WebhookSink;

use crate::support::{
    Answer, Client, DELIVERED_ONLY, PATIENCE, Profile, Site, accepted, exchange, on_both_profiles, stop, text,
};

on_both_profiles!(
    a_business_can_neither_use_nor_see_what_is_anothers,
    a_flood_of_one_businesss_messages_delays_nobody_elses,
);

/// What an answer says, without what differs from request to request.
fn said(answer: &Answer, id: &str) -> (u16, Value) {
    let mut body = answer.json();
    if let Some(problem) = body.as_object_mut() {
        problem.remove("request_id");
    }
    if let Some(error) = body["error"].as_object_mut() {
        error.remove("fbtrace_id");
    }
    let text = body.to_string().replace(id, "ID");
    (answer.status, serde_json::from_str(&text).expect("JSON"))
}

async fn a_business_can_neither_use_nor_see_what_is_anothers(profile: Profile) {
    let site = Site::new(profile).await;
    let (ours, theirs) = (WebhookSink::start().expect("a sink"), WebhookSink::start().expect("a sink"));
    let info_of_a = site.add_business(Some(&ours));
    let mut demo = site.demo(Some(&theirs));
    let info_of_b = demo.info().clone();
    site.delay_receipts().await;
    let a = Client::new(&info_of_a, &info_of_b.base_url);
    let b = Client::new(&info_of_b, &info_of_b.base_url);
    assert_ne!(a.phone_number_id, b.phone_number_id);

    let message = text("16505550001", "Only for Ana");
    let key = "the same key";
    let first = exchange(a.posting(&a.cloud_path(), &message).header("idempotency-key", key)).await.expect("an answer");
    let first = first.accepted();

    // By its id, another's message is no more than one that never was.
    let unknown = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K";
    for tail in ["", "/events"] {
        let others = b.get(&format!("/v1/messages/{first}{tail}")).await;
        let nobodys = b.get(&format!("/v1/messages/{unknown}{tail}")).await;
        assert_eq!(others.status, 404, "{}", others.body);
        assert_eq!(said(&others, &first), said(&nobodys, unknown));
    }
    // And so is another's sender, on every route.
    for path in [a.cloud_path(), format!("/{}/messages", a.phone_number_id)] {
        let others = b.post(&path, &message).await;
        let nobodys = b.post(&path.replace(&a.phone_number_id, "106540352242922"), &message).await;
        assert_eq!((others.status, &others.json()["error"]["code"]), (404, &json!(803)), "{}", others.body);
        assert_eq!(said(&others, &a.phone_number_id), said(&nobodys, "106540352242922"));
    }
    let mut from_a = message.clone();
    from_a["from"] = a.phone_number_id.as_str().into();
    let answer = b.post("/v1/messages", &from_a).await;
    assert_eq!((answer.status, &answer.json()["code"]), (404, &json!(803)), "{}", answer.body);
    // A number that both have is each one's own.
    let mut from_number = message.clone();
    from_number["from"] = "15550783881".into();
    let answer = b.post("/v1/messages", &from_number).await;
    assert_eq!(answer.json()["from"], b.phone_number_id, "{}", answer.body);
    let second = answer.accepted();
    // An idempotency key is, too.
    let third = exchange(b.posting(&b.cloud_path(), &message).header("idempotency-key", key)).await.expect("an answer");
    assert_eq!(third.header("idempotency-replayed"), None);
    let third = third.accepted();

    a.reaches(&first, "read").await;
    b.all_reach(&[second.clone(), third.clone()], "read").await;
    assert_eq!((ours.reached("read", 1, PATIENCE).await, theirs.reached("read", 2, PATIENCE).await), (1, 2));
    assert!(ours.told("sent").contains_key(&first));
    assert!(theirs.told("sent").keys().all(|id| *id == second || *id == third));
    assert_eq!((ours.tally().received, theirs.tally().received), (3, 6));
    assert_eq!((ours.tally().refused, theirs.tally().refused), (0, 0), "each is signed with its own secret");
    assert_eq!(site.messages().await, 3);
    stop(&mut demo);
}

async fn a_flood_of_one_businesss_messages_delays_nobody_elses(profile: Profile) {
    const FLOOD: u64 = 80;
    let mut site = Site::new(profile).await;
    // Room for four of one sender's messages at a time, and a network that takes its time.
    site.set("worker.messages_in_flight", 8);
    site.set("delivery.sender_in_flight", 4);
    let info_of_a = site.add_business(None);
    let demo = site.demo(None);
    site.set_connections(&json!({"send_latency_ms": 500})).await;
    let base_url = &demo.info().base_url;
    let a = Client::new(&info_of_a, base_url);
    let b = Client::new(demo.info(), base_url);
    let flood = accepted(&a.load(FLOOD, 4, 1_000.0, DELIVERED_ONLY).ended().await);
    let id = b.send(&text("16505550002", "hi")).await.accepted();
    b.reaches(&id, "delivered").await;
    // All this while most of the flood still waits.
    let waiting = site.number("SELECT count(*) FROM messages WHERE state < 2").await;
    assert!(waiting > i64::try_from(FLOOD / 2).unwrap_or(0), "{waiting} wait");
    a.all_reach(&flood, "delivered").await;
}
