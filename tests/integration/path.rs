//! The way of a message, from the line that the demo prints to the webhooks that tell of it.

use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};
use waystation_core::messages::examples::examples;
use waystation_testkit::{
    process::Waystation,
    sink::{Delivery, Signature, WebhookSink},
};

use crate::support::{
    Client, PATIENCE, Profile, Site, all_told, assert_no_silent_repeat, binary, eventually, exchange, names,
    on_both_profiles, template, text, told_by,
};

on_both_profiles!(
    the_curl_line_of_the_demo_sends_a_message_that_is_followed_to_the_end,
    every_way_to_send_leads_to_the_same_history,
    the_tenants_own_data_comes_back_in_every_webhook,
    every_documented_message_is_kept_as_it_was_sent_and_reaches_the_phone,
    somebody_without_a_number_is_reached_and_told_of_by_user_id,
    the_networks_refusal_is_told_with_its_code,
    receipts_in_any_order_and_number_move_a_message_forward_only,
);

/// What the demo prints for people.
fn printed(demo: &mut Waystation) -> String {
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        text.push_str(&demo.next_line(PATIENCE).expect("a line"));
        text.push('\n');
    }
    text
}

/// The word after `before`.
fn word_after<'t>(text: &'t str, before: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    let end = rest.find([' ', ',', '\n']).unwrap_or(rest.len());
    rest[..end].trim_end_matches('.')
}

/// The commands in what was printed: lines that start with `curl`, and those they continue on.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", "\\\u{1}");
    joined.lines().filter(|line| line.starts_with("curl ")).map(|line| line.replace('\u{1}', "\n")).collect()
}

/// What a command, run as a person would, prints; JSON.
async fn run(command: String) -> Value {
    let output = tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &command]).output());
    let output = output.await.expect("a thread").expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
}

async fn the_curl_line_of_the_demo_sends_a_message_that_is_followed_to_the_end(profile: Profile) {
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let mut demo = Waystation::run(binary(), site.demo_arguments(Some(&sink)), site.environment()).expect("a demo");
    let text = printed(&mut demo);
    assert_eq!(sink.challenges().len(), 1, "the endpoint was asked whether it is ours");
    sink.set_app_secret(word_after(&text, "signed with the app secret "));
    site.delay_receipts().await;

    let [send, follow] = &commands(&text)[..] else { panic!("two commands: {text}") };
    let answer = run(send.clone()).await;
    assert_eq!(answer["messaging_product"], "whatsapp");
    assert_eq!(answer["contacts"], json!([{"input": "16505550001", "wa_id": "16505550001"}]));
    assert_eq!(answer["messages"][0]["message_status"], "accepted");
    let id = answer["messages"][0]["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("wamid."), "{id}");

    let follow = follow.replace("/ID/", &format!("/{id}/"));
    let events = eventually("the message is read", async || {
        let history = run(follow.clone()).await;
        let events = history["data"].as_array().expect("a list").clone();
        names(&events).contains(&"read").then_some(events)
    })
    .await;
    assert_eq!(names(&events), ["accepted", "sent", "delivered", "read"]);

    assert_eq!(sink.reached("read", 1, PATIENCE).await, 1);
    let deliveries = sink.deliveries();
    let statuses: Vec<&str> = deliveries.iter().map(|delivery| delivery.statuses[0].status.as_str()).collect();
    assert_eq!(statuses, ["sent", "delivered", "read"]);
    for delivery in &deliveries {
        let account = word_after(&text, "account ");
        assert_is_cloud_api_status(delivery, &id, account, word_after(&text, "phone number id "));
    }
    let mut ids: Vec<_> = deliveries.iter().map(|delivery| delivery.header("webhook-id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "every webhook has an id of its own");
}

fn assert_is_cloud_api_status(delivery: &Delivery, id: &str, account: &str, sender: &str) {
    assert_eq!((delivery.hub, delivery.standard), (Signature::Valid, Signature::Valid));
    assert_eq!(delivery.header("content-type"), Some("application/json"));
    assert!(delivery.body.is_ascii());
    let body: Value = serde_json::from_slice(&delivery.body).expect("JSON");
    let status = &delivery.statuses[0].status;
    let timestamp = body.pointer("/entry/0/changes/0/value/statuses/0/timestamp").and_then(Value::as_str);
    let seconds: u64 = timestamp.expect("a timestamp").parse().expect("a number");
    assert!(delivery.unix_seconds.abs_diff(seconds) < PATIENCE.as_secs(), "{body}");
    let expected = json!({
        "object": "whatsapp_business_account",
        "entry": [{
            "id": account,
            "changes": [{
                "field": "messages",
                "value": {
                    "messaging_product": "whatsapp",
                    "metadata": {"display_phone_number": "15550783881", "phone_number_id": sender},
                    "contacts": [{"wa_id": "16505550001"}],
                    "statuses": [{
                        "id": id,
                        "status": status,
                        "timestamp": timestamp,
                        "recipient_id": "16505550001",
                    }],
                },
            }],
        }],
    });
    assert_eq!(body, expected);
}

async fn every_way_to_send_leads_to_the_same_history(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    site.delay_receipts().await;
    let info = demo.info();
    let client = Client::new(info, &info.base_url);
    let sender = &info.phone_number_id;

    let mut ids = Vec::new();
    for (kind, message) in [
        ("text", text("+1 (650) 555-0001", "Your order has shipped.")),
        ("template", template("16505550001", &info.template.name, &["Ana", "A-17"])),
    ] {
        for path in ["/v24.0/", "/v19.0/", "/"] {
            let answer = client.post(&format!("{path}{sender}/messages"), &message).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert_eq!(answer.json()["contacts"][0]["wa_id"], "16505550001");
            assert!(answer.header("x-request-id").is_some());
            ids.push((kind, answer.accepted()));
        }
        for from in [sender.as_str(), "15550783881", "+1 555-078-3881"] {
            let mut message = message.clone();
            message["from"] = from.into();
            message.as_object_mut().expect("an object").remove("messaging_product");
            let answer = client.post("/v1/messages", &message).await;
            assert_eq!(answer.status, 202, "{from}: {}", answer.body);
            let body = answer.json();
            assert_eq!(body["from"], *sender);
            assert_eq!(
                (&body["to"], &body["type"], &body["status"]),
                (&json!("16505550001"), &json!(kind), &json!("accepted"))
            );
            ids.push((kind, answer.accepted()));
        }
    }
    for (kind, id) in &ids {
        let message = client.reaches(id, "read").await;
        let expected = json!({
            "id": id, "status": "read", "from": sender, "to": "16505550001", "type": kind,
            "attempts": 1, "ambiguous": false,
        });
        for (member, value) in expected.as_object().expect("an object") {
            assert_eq!(message[member], *value, "{member} of {message}");
        }
        assert!(message.get("due_at").is_none() && message.get("error").is_none(), "{message}");
        assert_history(&client.events(id).await, &message);
    }
    assert_eq!(site.messages().await, 12);
}

/// Each hop with its time, its attempt and its adapter.
fn assert_history(events: &[Value], message: &Value) {
    assert_eq!(names(events), ["accepted", "sent", "delivered", "read"], "{events:?}");
    let sources: Vec<&str> = events.iter().filter_map(|event| event["source"].as_str()).collect();
    assert_eq!(sources, ["engine", "engine", "network", "network"]);
    let at = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok()).expect("a time");
    assert_eq!(events[0]["at"], message["accepted_at"]);
    assert!(events.is_sorted_by_key(|event| at(&event["at"])), "{events:?}");
    for event in &events[1..] {
        assert_eq!((&event["attempt"], &event["adapter"]), (&json!(1), &json!("sandbox")), "{event}");
        assert_eq!(event["upstream_id"], message["upstream_id"], "{event}");
    }
    for event in &events[2..] {
        assert!(at(&event["network_time"]) <= at(&event["at"]), "{event}");
    }
}

async fn the_tenants_own_data_comes_back_in_every_webhook(profile: Profile) {
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    site.delay_receipts().await;
    let client = Client::new(demo.info(), &demo.info().base_url);
    let mut message = text("16505550001", "Grüße 😀");
    message["biz_opaque_callback_data"] = "order 17, für Ana 😀".into();
    let id = client.send(&message).await.accepted();
    assert_eq!(sink.reached("read", 1, PATIENCE).await, 1);
    assert_eq!(sink.deliveries().len(), 3);
    for delivery in sink.deliveries() {
        assert!(delivery.body.is_ascii());
        let body: Value = serde_json::from_slice(&delivery.body).expect("JSON");
        let status = body.pointer("/entry/0/changes/0/value/statuses/0").expect("a status");
        assert_eq!(status["biz_opaque_callback_data"], "order 17, für Ana 😀");
    }
    assert_eq!(client.message(&id).await["biz_opaque_callback_data"], "order 17, für Ana 😀");
}

async fn every_documented_message_is_kept_as_it_was_sent_and_reaches_the_phone(profile: Profile) {
    const PHONE: &str = "16505550001";
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let files = client.files().await;
    let mut sent = Vec::new();
    for example in examples() {
        for (path, mut body) in [
            (client.cloud_path(), example.cloud_message(PHONE)),
            ("/v1/messages".to_owned(), example.platform_message(&client.phone_number_id, PHONE)),
        ] {
            files.put_into(&mut body);
            let answer = client.post(&path, &body).await;
            if body["type"] == "template" && answer.status >= 400 {
                // The demo has one template; the others are what the answer says that they are.
                assert!(answer.body.contains("does not exist"), "{}: {}", example.name, answer.body);
                assert_ne!(body["template"]["name"], "order_update", "{}", answer.body);
                continue;
            }
            assert!(matches!(answer.status, 200 | 202), "{} at {path}: {}", example.name, answer.body);
            let id = answer.json().pointer("/messages/0/id").or(answer.json().get("id")).cloned();
            sent.push((id.and_then(|id| id.as_str().map(str::to_owned)).expect("an id"), body));
        }
    }
    let ids: Vec<String> = sent.iter().map(|(id, _)| id.clone()).collect();
    client.all_reach(&ids, "read").await;
    for (id, body) in &sent {
        let (key, body) = (id.trim_start_matches("wamid."), body.to_string().replace('\'', "''"));
        let kept = site.number(&format!("SELECT count(*) FROM messages WHERE id = '{key}' AND body = '{body}'")).await;
        assert_eq!(kept, 1, "{id} is not kept as {body}");
    }
}

async fn somebody_without_a_number_is_reached_and_told_of_by_user_id(profile: Profile) {
    const PERSON: &str = "US.13491208655302741918";
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    site.delay_receipts().await;
    let client = Client::new(demo.info(), &demo.info().base_url);
    let mut message = text("16505550001", "Who are you?");
    message.as_object_mut().expect("an object").remove("to");
    message["recipient"] = PERSON.into();
    let answer = client.send(&message).await;
    assert_eq!(answer.json()["contacts"], json!([{"input": PERSON, "user_id": PERSON}]), "{}", answer.body);
    let id = answer.accepted();
    assert_eq!(client.reaches(&id, "read").await["to"], PERSON);
    assert_eq!(sink.reached("read", 1, PATIENCE).await, 1);
    for delivery in sink.deliveries() {
        let body: Value = serde_json::from_slice(&delivery.body).expect("JSON");
        let value = &body["entry"][0]["changes"][0]["value"];
        assert_eq!(value["statuses"][0]["recipient_user_id"], PERSON, "{value}");
        assert_eq!(value["statuses"][0].get("recipient_id"), None, "{value}");
        assert_eq!(value["contacts"], json!([{"user_id": PERSON}]));
    }
    // With both, the number counts.
    message["to"] = "16505550001".into();
    let both = client.send(&message).await;
    assert_eq!(both.json()["contacts"][0]["wa_id"], "16505550001", "{}", both.body);
}

async fn the_networks_refusal_is_told_with_its_code(profile: Profile) {
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    site.delay_receipts().await;
    let client = Client::new(demo.info(), &demo.info().base_url);
    let id = client.send(&text("16505550026", "Is anybody there?")).await.accepted();
    let message = client.reaches(&id, "failed").await;
    assert_eq!(message["error"]["code"], 131_026);
    assert_eq!(sink.reached("failed", 1, PATIENCE).await, 1);
    let last = sink.deliveries().pop().expect("a delivery");
    let body: Value = serde_json::from_slice(&last.body).expect("JSON");
    assert_eq!(body.pointer("/entry/0/changes/0/value/statuses/0/errors/0/code"), Some(&json!(131_026)));
    // One that fails twice at first is sent in the end, and its history says why it took three attempts.
    let id = client.send(&text("16505550500", "Third time lucky")).await.accepted();
    let message = client.reaches(&id, "read").await;
    assert_eq!(message["attempts"], 3);
    let events = client.events(&id).await;
    assert_eq!(names(&events), ["accepted", "retry", "retry", "sent", "delivered", "read"]);
    for (event, attempt) in events[1..].iter().zip([1, 2, 3, 3, 3]) {
        assert_eq!((&event["attempt"], &event["adapter"]), (&json!(attempt), &json!("sandbox")), "{event}");
    }
    for retry in &events[1..3] {
        assert_eq!(retry["error"]["code"], 131_000, "{retry}");
        assert!(retry["retry_at"].as_str() > retry["at"].as_str(), "{retry}");
    }
    let health = exchange(client.request(reqwest::Method::GET, "/health/ready")).await.expect("an answer");
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ready")));
}

async fn receipts_in_any_order_and_number_move_a_message_forward_only(profile: Profile) {
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    let client = Client::new(demo.info(), &demo.info().base_url);
    let mut ids = Vec::new();
    for (suffix, last) in [
        ("0001", "read"),
        // Delivered, and no more.
        ("0002", "delivered"),
        // Read, and never said to be delivered.
        ("0003", "read"),
        // Read, delivered, sent, in this order.
        ("0004", "read"),
        // All of it before the send is answered.
        ("0005", "read"),
        // Everything twice.
        ("0006", "read"),
        // Nothing.
        ("0007", "sent"),
        // Only once the network has held it back.
        ("0056", "read"),
        ("0429", "read"),
    ] {
        for _ in 0..5 {
            let id = client.send(&text(&format!("1650555{suffix}"), suffix)).await.accepted();
            ids.push((id, last));
        }
    }
    let mut webhooks = 0;
    for (id, last) in &ids {
        client.reaches(id, last).await;
    }
    site.settled().await;
    for (id, last) in &ids {
        let message = client.message(id).await;
        assert_eq!(message["status"], *last, "{message}");
        let events = client.events(id).await;
        assert_no_silent_repeat(&message, &events);
        all_told(&sink, std::slice::from_ref(id), std::slice::from_ref(&events)).await;
        webhooks += u64::try_from(told_by(&events).len()).unwrap_or(0);
    }
    assert_eq!(sink.tally().repeated, 0, "no status is told twice");
    assert_eq!(sink.tally().received, webhooks, "and none that the history does not call for");
}
