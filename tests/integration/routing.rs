//! Chains of channels: who takes a message over when a channel does not bring it, and that nobody gets it twice.

use std::time::Duration;

use serde_json::{Value, json};
use waystation_testkit::process::{DemoInfo, Waystation};

use crate::{
    sms::{add_sender, gateway},
    support::{Client, Profile, Server, Site, eventually, names, on_both_profiles, template, text},
    upstream::Proxy,
};

on_both_profiles!(
    what_fails_on_one_channel_goes_out_by_the_next_and_the_history_says_why,
    while_the_upstream_is_down_messages_arrive_by_sms_and_afterwards_over_it_and_nobody_gets_both,
    a_number_is_served_at_its_rate_and_its_network_never_complains,
    one_person_gets_no_more_in_a_row_than_the_network_allows_and_others_do_not_wait,
);

/// The number of the demonstration's template parameters.
const FILLED: [&str; 2] = ["Ada", "17"];

struct Stage {
    site: Site,
    _server: Server,
    info: DemoInfo,
    client: Client,
    /// The bodies that the SMS gateway got.
    texts: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
    sms: String,
}

impl Stage {
    async fn set(profile: Profile) -> Self {
        let mut site = Site::new(profile).await;
        site.recover_quickly();
        site.set("adapters.bundled", "sandbox,whatsapp-cloud,sms-http");
        let info = site.add_business(None);
        let ((url, texts), server) = (gateway(), site.serve("api,worker,admin"));
        let settings = json!({"url": url, "account": "AC1"});
        let sms = add_sender(&site, &info, &server, "sms-http", &settings).await.phone_number_id.clone();
        let client = Client::new(&info, &server.base_url);
        Self { site, _server: server, info, client, texts, sms }
    }

    fn texts(&self) -> Vec<String> {
        self.texts.lock().expect("no test has failed").clone()
    }

    async fn post(&self, message: &Value, fallback: &Value) -> String {
        let mut message = message.clone();
        message["from"] = json!(self.client.phone_number_id);
        message["fallback"] = fallback.clone();
        let accepted = self.client.made(202, "/v1/messages", &message).await;
        accepted["id"].as_str().expect("an id").to_owned()
    }
}

/// Sends texts to recipients in one request.
async fn at_once(client: &Client, messages: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let message = |(to, body): (String, String)| json!({"from": client.phone_number_id, "to": to, "type": "text", "text": {"body": body}});
    let batch = json!({"messages": messages.map(message).collect::<Vec<_>>()});
    let taken = client.made(200, "/v1/messages/batch", &batch).await;
    let results = taken["results"].as_array().expect("a list").iter();
    results.map(|result| result["message"]["id"].as_str().expect("an id").to_owned()).collect()
}

fn says<'e>(events: &'e [Value], name: &str) -> &'e str {
    let event = events.iter().find(|event| event["event"] == name);
    event.and_then(|event| event["says"].as_str()).unwrap_or_else(|| panic!("no words of {name}: {events:#?}"))
}

async fn what_fails_on_one_channel_goes_out_by_the_next_and_the_history_says_why(profile: Profile) {
    let stage = Stage::set(profile).await;
    let (client, sms) = (&stage.client, &stage.sms);
    // To this number the sandbox fails with 131026, after it took the message.
    let chain = json!([{"adapter": "sms-http", "when": "undeliverable"}]);
    let id = stage.post(&text("16505550026", "Your table is ready"), &chain).await;
    let message = eventually("it went out by SMS", async || {
        let message = client.message(&id).await;
        (message["via"] == **sms && message["status"] == "sent").then_some(message)
    })
    .await;
    assert_eq!((&message["channel"], &message["error"]), (&json!("sms"), &Value::Null));
    let events = client.events(&id).await;
    let told = names(&events);
    assert!(!told.contains(&"failed"), "{told:?}");
    let plan =
        format!("It goes out over sandbox; then over sms-http (sender {sms}) if the person cannot be reached there.");
    assert_eq!(says(&events, "routed"), plan);
    assert!(
        says(&events, "fallback").starts_with(&format!("Over to sms-http (sender {sms}): it failed there: (131026)"))
    );
    assert_eq!(stage.texts().len(), 1, "{:?}", stage.texts());

    // Rules of the business hold where a message says nothing, by its category.
    let rules = json!({"rules": [{"categories": ["service"], "chain": [{"adapter": "sms-http", "when": ["failed"]}]}]});
    let put = client.request(reqwest::Method::PUT, "/v1/routing").json(&rules);
    assert_eq!(put.send().await.expect("an answer").status(), 200);
    assert_eq!(client.get("/v1/routing").await.json(), rules);
    let id = eventually("the rules hold", async || {
        let id = client.send(&text("16505550047", "Your table is free again")).await.accepted();
        names(&client.events(&id).await).contains(&"routed").then_some(id)
    })
    .await;
    eventually("it went out by SMS", async || (client.message(&id).await["via"] == **sms).then_some(())).await;
    // And a message that wants none has none.
    let id = stage.post(&text("16505550047", "Nobody else tells you"), &json!([])).await;
    client.reaches(&id, "failed").await;

    let unknown = json!({"rules": [{"chain": [{"adapter": "pigeon", "when": "failed"}]}]});
    let refused = client.request(reqwest::Method::PUT, "/v1/routing").json(&unknown).send().await.expect("an answer");
    assert_eq!(refused.status(), 422);
}

async fn while_the_upstream_is_down_messages_arrive_by_sms_and_afterwards_over_it_and_nobody_gets_both(
    profile: Profile,
) {
    let stage = Stage::set(profile).await;
    let far_site = Site::new(Profile::Embedded).await;
    let far_demo: Waystation = far_site.demo(None);
    let far = Client::new(far_demo.info(), &far_demo.info().base_url);
    // Nobody listens where the upstream should be.
    let address = Proxy::free_address();
    let connection = json!({
        "phone_number_id": far.phone_number_id, "access_token": far.token, "app_secret": far_demo.info().app_secret,
        "verify_token": "tea-at-four", "base_url": format!("http://{address}"), "timeout_ms": 5_000,
    });
    let sender = &stage.info.phone_number_id;
    stage
        .site
        .execute(&format!(
            "UPDATE senders SET adapter = 'whatsapp-cloud', connection = '{connection}' WHERE id = {sender}"
        ))
        .await;
    stage.site.execute("UPDATE template_versions SET network = 'whatsapp-cloud'").await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let chain = json!([{"adapter": "sms-http", "when": "channel_down", "after_s": 2}]);
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(
            stage.post(&template(&format!("1650555{:04}", 1_000 + number), "order_update", &FILLED), &chain).await,
        );
    }
    for id in &ids {
        eventually("it went out by SMS", async || (stage.client.message(id).await["status"] == "sent").then_some(()))
            .await;
    }
    let path = format!("/v1/senders/{sender}/channel");
    assert_eq!(stage.client.get(&path).await.json()["state"], "down");
    let waiting = stage.post(&template("16505552000", "order_update", &FILLED), &json!([])).await;

    let _proxy =
        Proxy::start_at(address, far.base_url.trim_start_matches("http://").parse().expect("an address")).await;
    eventually("what waited went out", async || {
        (stage.client.message(&waiting).await["status"] == "sent").then_some(())
    })
    .await;
    eventually("the channel is up", async || (stage.client.get(&path).await.json()["state"] == "up").then_some(()))
        .await;
    let again = stage.post(&template("16505552001", "order_update", &FILLED), &chain).await;
    eventually("it went over the upstream", async || {
        let message = stage.client.message(&again).await;
        (message["status"] == "sent" && message["adapter"] == "whatsapp-cloud").then_some(())
    })
    .await;
    let taken = far.get("/v1/messages?limit=100").await.json();
    let taken: Vec<&str> =
        taken["data"].as_array().expect("a list").iter().filter_map(|message| message["to"].as_str()).collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert_eq!(stage.texts().len(), ids.len(), "{:?}", stage.texts());
}

async fn a_number_is_served_at_its_rate_and_its_network_never_complains(profile: Profile) {
    let site = Site::new(profile).await;
    let info = site.add_business(None);
    let server = site.serve("api,worker,admin");
    let client = Client::new(&info, &server.base_url);
    site.set_connections(&json!({"messages_per_second": 80, "limit_pairs": true})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // In one request, so that they are too many at once however slow the machine is.
    let message = |number: u32| (format!("1650{number:03}0007"), "hello".to_owned());
    let ids = at_once(&client, (0..480).map(message)).await;
    client.all_reach(&ids, "sent").await;
    for events in client.all_events(&ids).await {
        assert!(!names(&events).contains(&"throttled"), "{events:?}");
    }
}

async fn one_person_gets_no_more_in_a_row_than_the_network_allows_and_others_do_not_wait(profile: Profile) {
    let site = Site::new(profile).await;
    let info = site.add_business(None);
    let server = site.serve("api,worker,admin");
    let client = Client::new(&info, &server.base_url);
    site.set_connections(&json!({"limit_pairs": true})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // All at once: what comes one by one on a busy machine may be slow enough for the network.
    let message = |number| ("16505550001".to_owned(), format!("message {number}"));
    let ids = at_once(&client, (0..60).map(message)).await;
    let other = client.send(&text("16505550002", "hello")).await.accepted();
    client.reaches(&other, "delivered").await;
    let histories = eventually("those that it takes in a row went out", async || {
        let histories = client.all_events(&ids).await;
        let sent = histories.iter().filter(|events| names(events).contains(&"sent")).count();
        (sent >= 45).then_some(histories)
    })
    .await;
    let waiting: Vec<_> = histories.iter().filter(|events| names(events).contains(&"throttled")).collect();
    assert!(!waiting.is_empty(), "nobody waits");
    let said = Value::from(waiting[0].clone()).to_string();
    assert!(said.contains("Too many in a row") && !said.contains("131056"), "the network was not asked: {said}");
}
