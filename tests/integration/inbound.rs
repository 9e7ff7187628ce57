//! What people send reaches the business once and whole, and what hangs on it holds: the customer-care window, what is
//! read, who is blocked. Pretend phones play the people; what they send takes the way of a network's callbacks.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use waystation_testkit::{process::Waystation, sink::WebhookSink};

use crate::support::{Answer, Client, Profile, Site, eventually, exchange, on_both_profiles, text};

on_both_profiles!(every_type_of_message_is_told_as_the_cloud_api_tells_it, a_callback_survives_the_end_of_its_process);

const PHONE: &str = "16505550001";

/// What every change of every webhook says.
fn values(sink: &WebhookSink) -> Vec<Value> {
    let bodies = sink.deliveries().into_iter().map(|delivery| serde_json::from_slice(&delivery.body).expect("JSON"));
    bodies.map(|mut body: Value| body["entry"][0]["changes"][0]["value"].take()).collect()
}

/// A demo with a sink, and its client.
struct Stage {
    site: Site,
    sink: WebhookSink,
    /// The process, unless the test starts its own.
    demo: Option<Waystation>,
    client: Client,
}

impl Stage {
    async fn new(profile: Profile) -> Self {
        let site = Site::new(profile).await;
        let sink = WebhookSink::start().expect("a sink");
        let demo = site.demo(Some(&sink));
        let client = Client::new(demo.info(), &demo.info().base_url);
        Self { site, sink, demo: Some(demo), client }
    }

    async fn play(&self, phone: &str, play: Value) -> Value {
        let mut play = play;
        play["to"] = self.client.phone_number_id.as_str().into();
        self.client.made(202, &format!("/v1/sandbox/phones/{phone}/messages"), &play).await
    }

    /// Plays, and waits until it is received.
    async fn received(&self, phone: &str, play: Value) -> Value {
        self.found(&self.play(phone, play).await["upstream_id"]).await
    }

    /// The received message with this id of the network's, once it is there.
    async fn found(&self, upstream_id: &Value) -> Value {
        eventually("the message is received", async || {
            let all = self.client.get("/v1/inbound-messages?limit=200").await.json();
            all["data"].as_array()?.iter().find(|one| one["upstream_id"] == *upstream_id).cloned()
        })
        .await
    }

    /// The `value` of the webhook that tells of the received message.
    async fn told(&self, id: &Value) -> Value {
        eventually("the webhook arrives", async || {
            values(&self.sink).into_iter().find(|value| value["messages"][0]["id"] == *id)
        })
        .await
    }
}

async fn every_type_of_message_is_told_as_the_cloud_api_tells_it(profile: Profile) {
    let stage = Stage::new(profile).await;
    let sent = stage.client.send(&text(PHONE, "hello")).await.accepted();
    stage.client.reaches(&sent, "read").await;
    let media = |kind: &str| json!({"id": "1908647269898587", "mime_type": format!("{kind}/x"), "sha256": "c2Fu"});
    for (kind, content) in [
        ("text", json!({"body": "Grüße 😀"})),
        ("image", media("image")),
        ("audio", json!({"id": "19", "mime_type": "audio/ogg; codecs=opus", "voice": true})),
        ("video", media("video")),
        ("document", json!({"id": "19", "filename": "a.pdf", "caption": "my receipt"})),
        ("sticker", json!({"id": "19", "mime_type": "image/webp", "animated": true})),
        ("location", json!({"latitude": 37.4, "longitude": -122.1, "name": "Here"})),
        ("contacts", json!([{"name": {"formatted_name": "Barbara", "first_name": "Barbara"}}])),
        ("reaction", json!({"message_id": sent, "emoji": "👍"})),
        ("reaction", json!({"message_id": sent})),
        ("button", json!({"payload": "YES", "text": "Yes"})),
        (
            "interactive",
            json!({"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": "{}"}}),
        ),
        ("order", json!({"catalog_id": "1", "product_items": [{"product_retailer_id": "x", "quantity": 2}]})),
        ("system", json!({"body": "Ada changed", "type": "user_changed_number", "wa_id": "16505550002"})),
        ("edit", json!({"original_message_id": sent, "message": {"type": "text"}})),
        ("revoke", json!({"original_message_id": sent})),
    ] {
        let received = stage.received(PHONE, json!({"type": kind, "content": content, "name": "Ada"})).await;
        let value = stage.told(&received["id"]).await;
        let message = &value["messages"][0];
        assert_eq!(message["type"], kind);
        assert_eq!(message[kind], content, "ids of ours are ours again: {value}");
        assert_eq!((&message["from"], &value["contacts"][0]["wa_id"]), (&json!(PHONE), &json!(PHONE)));
        assert_eq!(value["contacts"][0]["profile"]["name"], "Ada");
        assert_eq!(value["contacts"][0]["user_id"], message["from_user_id"]);
        assert_eq!(value["messaging_product"], "whatsapp");
        assert_eq!(value["metadata"]["phone_number_id"], stage.client.phone_number_id.as_str());
        assert!(message["timestamp"].as_str().is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{message}");
        assert_eq!(received["message"], *message, "what is kept is what is told");
        let alone = stage.client.get(&format!("/v1/inbound-messages/{}", received["id"].as_str().unwrap())).await;
        assert_eq!((alone.status, alone.json()), (200, received));
    }
    let unsupported = stage.received(PHONE, json!({"type": "unsupported"})).await;
    let value = stage.told(&unsupported["id"]).await;
    assert_eq!(
        (&value["errors"][0]["code"], &value["messages"][0]["errors"][0]["code"]),
        (&json!(131_051), &json!(131_051))
    );
    let welcome = stage.received(PHONE, json!({"type": "request_welcome", "referral": {"source_type": "ad"}})).await;
    assert_eq!(stage.told(&welcome["id"]).await["messages"][0]["referral"], json!({"source_type": "ad"}));

    // An answer names our message, in the webhook and in the list.
    let answer = stage.received(PHONE, json!({"type": "text", "content": {"body": "thanks"}, "reply_to": sent})).await;
    assert_eq!(answer["reply_to"], sent.as_str());
    assert_eq!(stage.told(&answer["id"]).await["messages"][0]["context"]["id"], sent.as_str());

    // Somebody without a number.
    let hidden = json!({"type": "text", "content": {"body": "guess"}, "hide_number": true});
    let hidden = stage.received(PHONE, hidden).await;
    let value = stage.told(&hidden["id"]).await;
    let user = value["messages"][0]["from_user_id"].as_str().expect("a user id").to_owned();
    assert!(value["messages"][0].get("from").is_none() && value["contacts"][0].get("wa_id").is_none(), "{value}");
    assert_eq!(value["contacts"][0]["user_id"], user);
    let theirs = stage.client.get(&format!("/v1/inbound-messages?from={user}&limit=200")).await.json();
    assert_eq!(theirs["data"].as_array().map(Vec::len), Some(20), "{theirs}");
    assert_eq!(theirs["data"][0]["id"], hidden["id"], "newest first");

    let wish = json!({"category": "marketing_messages", "value": "stop", "timestamp": 1_731_705_721});
    stage.play(PHONE, json!({"type": "user_preferences", "content": wish})).await;
    let told = eventually("the wish is told", async || {
        values(&stage.sink).into_iter().find_map(|value| Some(value["user_preferences"].as_array()?[0].clone()))
    })
    .await;
    assert_eq!((&told["value"], &told["wa_id"]), (&json!("stop"), &json!(PHONE)));
}

async fn a_callback_survives_the_end_of_its_process(profile: Profile) {
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let info = site.add_business(Some(&sink));
    sink.set_app_secret(&info.app_secret);
    // Where there may be several processes, this one only keeps it.
    let mut api = site.serve(if profile == Profile::Cluster { "api" } else { "api,worker" });
    let stage = Stage { client: Client::new(&info, &api.base_url), sink, site, demo: None };
    let played = stage.play(PHONE, json!({"type": "text", "content": {"body": "still there?"}})).await;
    api.process.kill9().expect("a kill");
    let server = stage.site.serve("api,worker");
    let stage = Stage { client: stage.client.at(&server.base_url), ..stage };
    let received = stage.found(&played["upstream_id"]).await;
    stage.told(&received["id"]).await;
    stage.site.settled().await;
    assert_eq!(stage.site.number("SELECT count(*) FROM inbound_messages").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_developer_plays_both_sides_and_taps_what_was_sent() {
    let stage = Stage::new(Profile::Embedded).await;
    let buttons = json!({
        "messaging_product": "whatsapp", "to": PHONE, "type": "interactive",
        "interactive": {"type": "button", "body": {"text": "Deliver today?"}, "action": {"buttons": [
            {"type": "reply", "reply": {"id": "yes", "title": "Yes"}}, {"type": "reply", "reply": {"id": "no", "title": "No"}},
        ]}},
    });
    let sent = stage.client.send(&buttons).await.accepted();
    stage.client.reaches(&sent, "read").await;
    let tapped = stage.received(PHONE, json!({"tap": {"message_id": sent, "index": 1}})).await;
    let message = &stage.told(&tapped["id"]).await["messages"][0];
    assert_eq!(message["interactive"], json!({"type": "button_reply", "button_reply": {"id": "no", "title": "No"}}));
    assert_eq!(message["context"]["id"], sent.as_str());
    let path = format!("/v1/sandbox/phones/+{PHONE}/messages");
    let refused = async |body: Value| {
        let mut body = body;
        body["to"] = stage.client.phone_number_id.as_str().into();
        let answer = stage.client.post(&path, &body).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        answer.json()["errors"][0]["pointer"].as_str().map(str::to_owned)
    };
    assert_eq!(refused(json!({"tap": {"message_id": sent, "id": "perhaps"}})).await.as_deref(), Some("/tap"));
    let nobodys = json!({"tap": {"message_id": "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K", "index": 0}});
    assert_eq!(refused(nobodys).await.as_deref(), Some("/tap/message_id"));
    assert_eq!(refused(json!({"type": "hologram", "content": {}})).await.as_deref(), Some("/type"));
    assert_eq!(refused(json!({"type": "text"})).await.as_deref(), Some("/content"));
    assert_eq!(refused(json!({})).await.as_deref(), Some("/type"));

    // The phone shows both, and the ticks of what it sent.
    let shows = async || stage.client.get(&path).await.json()["data"].clone();
    let shown = shows().await;
    assert_eq!((&shown[0]["direction"], &shown[0]["id"]), (&json!("sent"), &tapped["id"]), "{shown}");
    assert_eq!((&shown[1]["direction"], &shown[1]["id"]), (&json!("received"), &json!(sent)));
    assert!(shown[0]["read_at"].is_null() && shown[0]["typing_until"].is_null(), "{shown}");

    let id = tapped["id"].as_str().unwrap();
    let mark = |id: &str| json!({"messaging_product": "whatsapp", "status": "read", "message_id": id});
    let marked = stage.client.send(&mark(id)).await;
    assert_eq!((marked.status, marked.json()), (200, json!({"success": true})));
    assert!(shows().await[0]["read_at"].is_string());
    let mut typing = mark(id);
    typing["typing_indicator"] = json!({"type": "text"});
    let request = stage.client.request(Method::PUT, &stage.client.cloud_path()).body(typing.to_string());
    let marked = exchange(request).await.expect("an answer");
    assert_eq!((marked.status, marked.json()), (200, json!({"success": true})));
    assert!(shows().await[0]["typing_until"].is_string());
    let unknown = |answer: Answer| (answer.status, answer.json()["error"]["code"].as_i64());
    for nobodys in ["wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K", "wamid.HBgL", sent.as_str()] {
        assert_eq!(unknown(stage.client.send(&mark(nobodys)).await), (400, Some(131_009)), "{nobodys}");
    }
    for (path, status) in [("read", 200), ("typing", 200), ("nothing", 404)] {
        let answer = stage.client.post(&format!("/v1/inbound-messages/{id}/{path}"), &json!({})).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_of_the_window_only_templates_go() {
    let stage = Stage::new(Profile::Embedded).await;
    let quick = json!({"enforce_window": true, "delivered_after_ms": 1, "read_after_ms": 2});
    stage.site.set_connections(&quick).await;
    let refused = eventually("the window is enforced", async || {
        Some(stage.client.send(&text(PHONE, "anybody there?")).await).filter(|answer| answer.status != 200)
    })
    .await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(131_047)));
    let details = refused.json()["error"]["error_data"]["details"].as_str().unwrap().to_owned();
    let template = &stage.demo.as_ref().expect("a demo").info().template.name;
    assert!(details.contains(template.as_str()), "it names what can be sent: {details}");
    let opening = stage.client.send(&crate::support::template(PHONE, template, &["Ada", "A-17"])).await.accepted();
    // It is there before the person writes: it answers nothing.
    stage.client.reaches(&opening, "read").await;
    let conversation = format!("/v1/conversations/{}/{PHONE}", stage.client.phone_number_id);
    assert_eq!(stage.client.get(&conversation).await.status, 404);

    let by_ad = json!({"type": "text", "content": {"body": "hi"}, "referral": {"source_type": "ad", "source_id": "1"}});
    stage.received(PHONE, by_ad).await;
    let open = stage.client.get(&conversation).await.json();
    assert_eq!((&open["window_open"], &open["entry_point"]["open_until"]), (&json!(true), &Value::Null), "{open}");
    let sent = stage.client.send(&text(PHONE, "hello")).await.accepted();
    stage.client.reaches(&sent, "read").await;
    let open = stage.client.get(&conversation).await.json();
    assert!(open["entry_point"]["open_until"].as_str() > open["last_inbound_at"].as_str(), "{open}");
    assert_eq!(open["window_closes_at"], open["entry_point"]["open_until"]);

    // Both windows end, 24 and 72 hours later.
    let ago = Duration::from_secs(73 * 3_600).as_millis();
    let past = format!(
        "UPDATE windows SET last_inbound_at = last_inbound_at - {ago}, entry_at = entry_at - {ago}, entry_until = entry_until - {ago}"
    );
    stage.site.execute(&past).await;
    assert_eq!(stage.client.get(&conversation).await.json()["window_open"], false);
    let refused = stage.client.send(&text(PHONE, "still there?")).await;
    assert_eq!(refused.json()["error"]["code"], 131_047);
    let mut platform = text(PHONE, "still there?");
    platform["from"] = stage.client.phone_number_id.as_str().into();
    let refused = stage.client.post("/v1/messages", &platform).await;
    assert_eq!((refused.status, refused.problem()), (422, "window_closed".to_owned()));

    // With a template named for that, it goes out in the message's place: at once, or when an attempt comes too late.
    let names = |phone: &str, template: &Value| {
        let mut message = text(phone, "still there?");
        message["from"] = stage.client.phone_number_id.as_str().into();
        message["outside_window"] = json!({"template": template});
        message
    };
    let named = crate::support::template(PHONE, template, &["Ada", "A-17"])["template"].clone();
    let accepted = stage.client.made(202, "/v1/messages", &names(PHONE, &named)).await;
    assert_eq!(accepted["type"], "template", "{accepted}");
    stage.client.reaches(accepted["id"].as_str().unwrap(), "read").await;
    let unknown = names(PHONE, &json!({"name": "nobodys", "language": {"code": "de"}}));
    let wrong = stage.client.post("/v1/messages", &unknown).await;
    assert_eq!((wrong.status, wrong.problem()), (422, "template_missing".to_owned()));
    let wrong = stage.client.post("/v1/messages", &names(PHONE, &json!({"name": 5}))).await.json();
    assert!(wrong["errors"][0]["pointer"].as_str().unwrap().starts_with("/outside_window/template/"), "{wrong}");

    // Its network takes nothing for two seconds, and by then the window is closed.
    let slow = "16505550429";
    stage.received(slow, json!({"type": "text", "content": {"body": "hi"}})).await;
    let accepted = stage.client.made(202, "/v1/messages", &names(slow, &named)).await;
    assert_eq!(accepted["type"], "text", "{accepted}");
    stage.site.execute(&past).await;
    let sent = stage.client.reaches(accepted["id"].as_str().unwrap(), "read").await;
    assert_eq!(sent["type"], "template", "{sent}");
    let shown = stage.client.get(&format!("/v1/sandbox/phones/{slow}/messages")).await.json();
    assert_eq!(shown["data"][0]["message"]["template"]["name"], template.as_str(), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_neither_reaches_the_business_nor_is_reached() {
    let stage = Stage::new(Profile::Embedded).await;
    let path = format!("/v24.0/{}/block_users", stage.client.phone_number_id);
    let users = |users: &[&str]| {
        let users: Vec<Value> = users.iter().map(|user| json!({"user": user})).collect();
        json!({"messaging_product": "whatsapp", "block_users": users})
    };
    stage.received(PHONE, json!({"type": "text", "content": {"body": "spam"}})).await;
    let some = stage.client.post(&path, &users(&[&format!("+{PHONE}"), "16505559998", "nobody"])).await;
    assert_eq!(some.status, 400);
    let some = some.json();
    assert_eq!(some["block_users"]["added_users"], json!([{"input": format!("+{PHONE}"), "wa_id": PHONE}]));
    let failed = &some["block_users"]["failed_users"];
    assert_eq!((&failed[0]["input"], &failed[0]["errors"][0]["code"]), (&json!("16505559998"), &json!(131_047)));
    assert_eq!((&failed[1]["input"], &some["error"]["code"]), (&json!("nobody"), &json!(139_100)));
    let all = stage.client.post(&path, &users(&[PHONE])).await;
    assert_eq!((all.status, all.json().get("error")), (200, None), "twice is once");
    let listed = stage.client.get(&path).await.json();
    assert_eq!(listed["data"][0]["wa_id"], PHONE);
    assert!(listed["data"].as_array().map(Vec::len) == Some(1) && listed.get("paging").is_none(), "{listed}");

    let refused = stage.client.send(&text(PHONE, "hello")).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(131_026)));
    stage.play(PHONE, json!({"type": "text", "content": {"body": "more spam"}})).await;
    let own = format!("/v1/senders/{}/blocked-people", stage.client.phone_number_id);
    eventually("it is counted", async || {
        (stage.client.get(&own).await.json()["data"][0]["dropped"] == 1).then_some(())
    })
    .await;
    assert_eq!(stage.client.get("/v1/inbound-messages").await.json()["data"].as_array().map(Vec::len), Some(1));

    let request = stage.client.request(Method::DELETE, &path).body(users(&[PHONE]).to_string());
    let let_in = exchange(request).await.expect("an answer");
    assert_eq!((let_in.status, &let_in.json()["block_users"]["removed_users"][0]["wa_id"]), (200, &json!(PHONE)));
    stage.received(PHONE, json!({"type": "text", "content": {"body": "sorry"}})).await;
    let too_many: Vec<String> = (0..101).map(|number| format!("1650555{number:04}")).collect();
    let too_many: Vec<&str> = too_many.iter().map(String::as_str).collect();
    assert_eq!(stage.client.post(&path, &users(&too_many)).await.status, 400);
    assert_eq!(stage.client.post(&path, &users(&[])).await.status, 400);
    let answer = stage.client.post(&own, &json!({"people": ["16505559998"]})).await;
    assert_eq!((answer.status, &answer.json()["data"][0]["error"]), (200, &json!("window_closed")));
}
