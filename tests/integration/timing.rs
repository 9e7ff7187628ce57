//! Messages go out when they are to: scheduled ones at their time, through restarts and a wiped Redis, unless they were
//! changed or taken back; batches as one commit; and lists find all of them again.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use waystation_testkit::{
    servers::{Postgres, Redis},
    sink::WebhookSink,
};

use crate::support::{
    Answer, Client, PATIENCE, Profile, Site, eventually, exchange, names, on_both_profiles, stop, template, text,
};

on_both_profiles!(
    a_scheduled_message_waits_through_a_restart_and_is_sent_at_its_time,
    a_message_can_be_changed_and_taken_back_until_its_time_comes,
    a_message_whose_template_is_gone_when_it_is_due_fails_with_the_reason,
    a_message_expires_when_its_time_to_live_ends,
    a_batch_answers_for_each_message_and_repeats_nothing,
    a_batch_over_the_rate_is_finished_by_sending_the_rest,
    lists_find_messages_by_every_filter_while_others_are_accepted,
    quiet_hours_shift_marketing_and_say_so,
);

/// A message to send, from this client's number.
fn message(client: &Client, body: &str) -> Value {
    let mut message = text("16505550002", body);
    message["from"] = client.phone_number_id.as_str().into();
    message
}

/// The same, to be sent in an hour.
fn in_an_hour(client: &Client, body: &str) -> Value {
    let mut message = message(client, body);
    message["schedule_at"] = later(3_600).into();
    message
}

fn later(seconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string()
}

async fn schedule(client: &Client, body: &str) -> String {
    let accepted = client.made(202, "/v1/messages", &in_an_hour(client, body)).await;
    assert_eq!(accepted["status"], "scheduled", "{accepted}");
    assert!(accepted["scheduled_at"].is_string(), "{accepted}");
    accepted["id"].as_str().expect("an id").to_owned()
}

async fn patch(client: &Client, id: &str, change: &Value) -> Answer {
    let request = client.request(Method::PATCH, &format!("/v1/messages/{id}")).body(change.to_string());
    exchange(request.header("content-type", "application/json")).await.expect("an answer")
}

async fn cancel(client: &Client, id: &str) -> Answer {
    client.post(&format!("/v1/messages/{id}/cancel"), &json!({})).await
}

/// Lets an hour pass for everything that is scheduled.
async fn an_hour_passes(site: &Site) {
    site.execute("UPDATE messages SET due_at = due_at - 3600000 WHERE state = 9").await;
}

async fn a_scheduled_message_waits_through_a_restart_and_is_sent_at_its_time(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    let mut demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let id = schedule(&client, "later").await;
    let mut either = in_an_hour(&client, "either");
    let instead = template("16505550002", "order_update", &["Ada", "A-17"]);
    either["outside_window"] = json!({"template": instead["template"]});
    let either = client.made(202, "/v1/messages", &either).await["id"].as_str().expect("an id").to_owned();
    let changed = patch(&client, &either, &json!({"text": {"body": "or"}})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let now = client.send(&text("16505550002", "now")).await.accepted();
    client.reaches(&now, "delivered").await;
    assert_eq!(client.message(&id).await["status"], "scheduled", "it waits while others go");
    stop(&mut demo);
    let server = site.serve("api,admin,worker");
    let client = client.at(&server.base_url);
    assert_eq!(client.message(&id).await["status"], "scheduled");
    an_hour_passes(&site).await;
    client.reaches(&id, "delivered").await;
    assert_eq!(client.reaches(&either, "delivered").await["type"], "text", "its window is open");
    let events = client.events(&id).await;
    assert_eq!(names(&events)[..3], ["accepted", "scheduled", "sent"]);
    assert!(events[1]["says"].as_str().is_some_and(|says| says.starts_with("To be sent at")), "{events:?}");
}

async fn a_message_can_be_changed_and_taken_back_until_its_time_comes(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    let client = Client::new(demo.info(), &demo.info().base_url);

    let id = schedule(&client, "first").await;
    let moved = patch(&client, &id, &json!({"schedule_at": later(7_200), "text": {"body": "second"}})).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    let events = client.events(&id).await;
    assert_eq!(names(&events), ["accepted", "scheduled", "rescheduled", "changed"]);
    for (change, pointer) in [
        (json!({"to": "16505550003"}), "/to"),
        (json!({"text": {"body": ""}}), "/text/body"),
        (json!({"schedule_at": later(5)}), "/schedule_at"),
    ] {
        let refused = patch(&client, &id, &change).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!(pointer)));
    }
    let canceled = cancel(&client, &id).await;
    assert_eq!((canceled.status, &canceled.json()["status"]), (200, &json!("canceled")), "{}", canceled.body);
    assert_eq!(cancel(&client, &id).await.status, 200, "a repeat changes nothing");
    assert_eq!(patch(&client, &id, &json!({"ttl_seconds": 60})).await.status, 409);
    assert_eq!(sink.reached("failed", 1, PATIENCE).await, 1, "its end is told");

    let sent = client.send(&text("16505550002", "now")).await.accepted();
    client.reaches(&sent, "delivered").await;
    assert_eq!(cancel(&client, &sent).await.problem(), "conflict");
    an_hour_passes(&site).await;
    assert_eq!(client.message(&id).await["status"], "canceled");
    assert_eq!(client.message(&id).await["error"]["details"], "Canceled at the request of its sender.");
}

async fn a_message_whose_template_is_gone_when_it_is_due_fails_with_the_reason(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let mut order = template("16505550002", "order_update", &["Ada", "A-17"]);
    order["from"] = client.phone_number_id.as_str().into();
    order["schedule_at"] = later(3_600).into();
    let id = client.made(202, "/v1/messages", &order).await["id"].as_str().expect("an id").to_owned();
    let template = format!("/v24.0/{}/message_templates?name=order_update", demo.info().waba_id);
    let gone = exchange(client.request(Method::DELETE, &template)).await.expect("an answer");
    assert_eq!(gone.status, 200, "{}", gone.body);
    // Processes remember templates for a moment.
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    an_hour_passes(&site).await;
    let failed = client.reaches(&id, "failed").await;
    assert_eq!(failed["error"]["code"], 132_001, "{failed}");
}

async fn a_message_expires_when_its_time_to_live_ends(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    let client = Client::new(demo.info(), &demo.info().base_url);
    let mut order = in_an_hour(&client, "too late");
    order["ttl_seconds"] = 30.into();
    let id = client.made(202, "/v1/messages", &order).await["id"].as_str().expect("an id").to_owned();
    // Nothing worked here for an hour and a minute.
    site.execute("UPDATE messages SET due_at = due_at - 3660000, expires_at = expires_at - 3660000 WHERE state = 9")
        .await;
    client.reaches(&id, "expired").await;
    assert_eq!(sink.reached("failed", 1, PATIENCE).await, 1, "its end is told");
    order["ttl_seconds"] = 29.into();
    let refused = client.post("/v1/messages", &order).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["limit"]), (422, &json!(30)));
}

async fn a_batch_answers_for_each_message_and_repeats_nothing(profile: Profile) {
    let mut site = Site::new(profile).await;
    for limit in ["limits.key_requests_per_second", "limits.business_requests_per_second"] {
        site.set(limit, 0);
    }
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let mut messages: Vec<Value> = (0..1_000).map(|n| message(&client, &format!("number {n}"))).collect();
    for wrong in (0..1_000).step_by(10) {
        messages[wrong]["text"]["body"] = "".into();
    }
    messages[1]["idempotency_key"] = "of one".into();
    let batch = json!({"messages": messages});
    let send = async |batch: &Value| {
        exchange(client.posting("/v1/messages/batch", batch).header("idempotency-key", "of all"))
            .await
            .expect("an answer")
    };
    let answer = send(&batch).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answered = answer.json();
    assert_eq!((&answered["accepted"], &answered["refused"]), (&json!(900), &json!(100)));
    let results = answered["results"].as_array().expect("results");
    for (n, result) in results.iter().enumerate() {
        if n % 10 == 0 {
            assert_eq!(result["problem"]["errors"][0]["pointer"], "/text/body", "{n}: {result}");
        } else {
            assert_eq!(
                (&result["status"], &result["message"]["status"]),
                (&json!(202), &json!("accepted")),
                "{result}"
            );
        }
    }
    assert_eq!(site.messages().await, 900);
    if profile == Profile::Cluster {
        // The transaction that wrote a row is not the one that changed it since, so only untouched columns help: what
        // was counted in one statement was written by it.
        assert_eq!(site.number("SELECT count(DISTINCT accepted_at) FROM messages").await, 1);
    }
    let again = send(&batch).await.json();
    let ids = |answer: &Value| -> Vec<Value> {
        answer["results"].as_array().expect("results").iter().map(|result| result["message"]["id"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&answered), "{}", again["results"][1]);
    assert_eq!(again["results"][1]["replayed"], true);
    messages[5]["text"]["body"] = "another".into();
    let other = send(&json!({"messages": messages})).await.json();
    assert_eq!(
        other["results"][2]["problem"]["type"], "/docs/errors#idempotency_key_reused",
        "{}",
        other["results"][2]
    );
    assert_eq!(site.messages().await, 900);
    let none = client.post("/v1/messages/batch", &json!({"messages": []})).await;
    assert_eq!((none.status, &none.json()["errors"][0]["limit"]), (422, &json!(1_000)));
}

async fn a_batch_over_the_rate_is_finished_by_sending_the_rest(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.set("limits.key_requests_per_second", 200);
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let send = async |messages: &[Value], key: &str| {
        let batch = json!({"messages": messages});
        let request = client.posting("/v1/messages/batch", &batch).header("idempotency-key", key);
        let answer = exchange(request).await.expect("an answer").json();
        answer["results"].as_array().expect("results").clone()
    };
    let is_late = |result: &Value| match result["status"].as_u64() {
        Some(202) => false,
        Some(429) => true,
        _ => panic!("{result}"),
    };
    let mut left: Vec<Value> = (0..500).map(|n| message(&client, &format!("number {n}"))).collect();
    let first = send(&left, "of all").await;
    assert!(first.iter().any(is_late) && !first.iter().all(is_late), "some are over the rate");
    // The same request again is the same request, whichever of its messages are in time.
    let again = send(&left, "of all").await;
    for (first, again) in first.iter().zip(&again).filter(|(first, again)| !is_late(first) && !is_late(again)) {
        assert_eq!((&again["message"]["id"], &again["replayed"]), (&first["message"]["id"], &json!(true)));
    }
    let mut results = first.iter().zip(&again).map(|(first, again)| is_late(first) && is_late(again));
    left.retain(|_| results.next() == Some(true));
    let mut round = 0;
    eventually("all of them are accepted", async || {
        round += 1;
        let results = send(&left, &format!("what is left, {round}")).await;
        let mut late = results.iter().map(is_late);
        left.retain(|_| late.next() == Some(true));
        left.is_empty().then_some(())
    })
    .await;
    assert_eq!(site.messages().await, 500);
}

/// The ids on all pages of a list, with something done between two pages.
async fn walk(client: &Client, query: &str, mut between: impl AsyncFnMut()) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = client.get(&format!("/v1/messages?limit=7&{query}&cursor={cursor}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let page = answer.json();
        let entries = page["data"].as_array().expect("entries");
        ids.extend(entries.iter().map(|message| message["id"].as_str().expect("an id").to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return ids,
        }
        between().await;
    }
}

async fn lists_find_messages_by_every_filter_while_others_are_accepted(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let mut messages: Vec<Value> = (0..40).map(|n| in_an_hour(&client, &format!("number {n}"))).collect();
    for (n, message) in messages.iter_mut().enumerate() {
        message["biz_opaque_callback_data"] = format!("order {}", n % 4).into();
        message["to"] = format!("1650555{:04}", n % 5).into();
    }
    let mut order = template("16505550777", "order_update", &["Ada", "A-17"]);
    order["from"] = client.phone_number_id.as_str().into();
    order["schedule_at"] = later(3_600).into();
    messages.push(order);
    let made = client.made(200, "/v1/messages/batch", &json!({"messages": messages})).await;
    assert_eq!(made["refused"], 0, "{made}");
    let ids: Vec<String> = made["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| result["message"]["id"].as_str().expect("an id").to_owned())
        .collect();
    type Holds = fn(usize) -> bool;
    let filters: &[(&str, Holds)] = &[
        ("status=scheduled", |_| true),
        ("to=%2B1+650+555+0003", |n| n % 5 == 3 && n < 40),
        ("biz_opaque_callback_data=order+1", |n| n % 4 == 1 && n < 40),
        ("template=order_update", |n| n == 40),
        ("category=service&to=16505550001", |n| n % 5 == 1 && n < 40),
        ("status=failed", |_| false),
        ("accepted_before=2020-01-01T00:00:00Z", |_| false),
    ];
    for (query, holds) in filters {
        let found = walk(&client, query, async || {}).await;
        let expected: BTreeSet<&String> = ids.iter().enumerate().filter(|(n, _)| holds(*n)).map(|(_, id)| id).collect();
        assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected, "{query}");
        assert_eq!(found.len(), expected.len(), "{query} repeats something");
    }
    let from = format!("from={}", client.phone_number_id);
    let found = walk(&client, &from, async || {
        client.send(&text("16505550009", "meanwhile")).await.accepted();
    })
    .await;
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
    assert_eq!(found.len(), ids.len());
    for (query, pointer) in [("status=gone", "?status"), ("accepted_from=now", "?accepted_from"), ("page=2", "?page")] {
        let refused = client.get(&format!("/v1/messages?{query}")).await;
        assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!(pointer)), "{query}");
    }
}

async fn quiet_hours_shift_marketing_and_say_so(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let partner = client.with(&demo.info().partner_token);
    let path = format!("/partner/v1/businesses/{}/policy", demo.info().business_id);
    // Now is quiet, wherever the recipient is: all but an hour of the day half a day from now.
    let clock =
        |hours: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let policy = json!({"quiet_hours": [{"from": clock(-10), "to": clock(12), "categories": ["service"]}]});
    let request = partner.request(Method::PUT, &path).header("content-type", "application/json");
    let answer = exchange(request.body(policy.to_string())).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut order = message(&client, "psst");
    // London has the hours of UTC in winter, and one more in summer.
    order["to"] = "+442079460958".into();
    let accepted = eventually("the policy holds", async || {
        let accepted = client.made(202, "/v1/messages", &order).await;
        (accepted["status"] == "scheduled").then_some(accepted)
    })
    .await;
    let id = accepted["id"].as_str().expect("an id");
    let events = client.events(id).await;
    assert_eq!(names(&events), ["accepted", "shifted"]);
    let says = events[1]["says"].as_str().expect("words");
    assert!(says.contains("Europe/London") && says.contains("service"), "{says}");
    assert_eq!(client.message(id).await["scheduled_at"], accepted["scheduled_at"]);
    let wrong = json!({"quiet_hours": [{"from": "25:00", "to": "08:00"}]});
    let request = partner.request(Method::PUT, &path).header("content-type", "application/json");
    let refused = exchange(request.body(wrong.to_string())).await.expect("an answer");
    assert_eq!((refused.status, &refused.json()["errors"][0]["pointer"]), (422, &json!("/quiet_hours/0/from")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_redis_forgets_no_scheduled_message() {
    let redis = Redis::start().await.expect("a Redis");
    let mut site = Site::on(Postgres::shared().await.expect("a PostgreSQL"), &redis).await;
    site.recover_quickly();
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let id = schedule(&client, "later").await;
    redis.wipe().await.expect("a wipe");
    let now = client.send(&text("16505550002", "now")).await.accepted();
    client.reaches(&now, "delivered").await;
    assert_eq!(client.message(&id).await["status"], "scheduled");
    an_hour_passes(&site).await;
    client.reaches(&id, "delivered").await;
}
