//! Contacts, their consents, and what they want no more of, over HTTP and from end to end.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};
use waystation_testkit::sink::WebhookSink;

use crate::support::{Answer, Client, Profile, Site, eventually, exchange, on_both_profiles, text};

on_both_profiles!(
    a_word_like_stop_holds_everything_back_until_it_is_taken_back,
    contacts_are_kept_found_merged_and_erased,
    a_table_of_a_hundred_thousand_contacts_is_read_row_by_row,
);

/// A pretend phone.
const PHONE: &str = "16505550002";
/// How much more memory a process may use while it reads a table, in KiB: less than the table has.
const MEMORY_MAX_KIB: u64 = 64 * 1024;

async fn ask(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    let request = client.request(method, path).header("content-type", "application/json").body(body.to_string());
    exchange(request).await.expect("an answer")
}

async fn a_word_like_stop_holds_everything_back_until_it_is_taken_back(profile: Profile) {
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    let client = Client::new(demo.info(), &demo.info().base_url);
    let say = async |word: &str| {
        let said = json!({"to": client.phone_number_id, "type": "text", "content": {"body": word}});
        client.made(202, &format!("/v1/sandbox/phones/{PHONE}/messages"), &said).await;
    };
    let opted_out = async |wanted: bool| {
        eventually("the opt-out is known", async || {
            let page = client.get(&format!("/v1/contacts?phone={PHONE}")).await.json();
            let held = page["data"][0]["opt_outs"].as_array().is_some_and(|held| !held.is_empty());
            (held == wanted && page["data"][0]["id"].is_string()).then_some(())
        })
        .await;
    };
    let texts = json!({"stop_text": "You get no more messages from us."});
    assert_eq!(ask(&client, Method::PUT, "/v1/opt_out_texts", &texts).await.status, 200);
    client.send(&text(PHONE, "hello")).await.accepted();
    say("Stop!").await;
    opted_out(true).await;
    let refused = client.send(&text(PHONE, "hello again")).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(131_050)), "{}", refused.body);
    let mut platform = text(PHONE, "hello again");
    platform["from"] = client.phone_number_id.as_str().into();
    let refused = client.post("/v1/messages", &platform).await;
    assert_eq!((refused.status, refused.problem().as_str()), (422, "recipient_opted_out"), "{}", refused.body);
    assert!(!refused.json()["detail"].as_str().unwrap_or_default().contains(PHONE), "{}", refused.body);
    // The one message that goes out all the same says that it is done.
    let confirmed = "SELECT count(*) FROM messages WHERE rendered LIKE 'You get no more%' AND state > 2 AND state <> 4";
    eventually("the opt-out is confirmed", async || (site.number(confirmed).await == 1).then_some(())).await;
    say("START").await;
    opted_out(false).await;
    client.send(&text(PHONE, "welcome back")).await.accepted();
}

async fn contacts_are_kept_found_merged_and_erased(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let points = ask(&client, Method::PUT, "/v1/contact_attributes/points", &json!({"type": "number"})).await;
    assert_eq!(points.status, 200, "{}", points.body);
    let ana = json!({"phone": "+49 151 12345678", "given_name": "Ana", "tags": ["vip"], "attributes": {"points": 3}});
    let ana = client.made(201, "/v1/contacts", &ana).await;
    assert_eq!((&ana["phone"], &ana["time_zone"]), (&json!("4915112345678"), &json!("Europe/Berlin")));
    let twice = client.post("/v1/contacts", &json!({"phone": "4915112345678"})).await;
    assert_eq!((twice.status, twice.problem().as_str()), (409, "conflict"), "{}", twice.body);
    let wrong = client.post("/v1/contacts", &json!({"phone": "x", "attributes": {"points": "many"}})).await;
    assert_eq!((wrong.status, wrong.json()["errors"].as_array().map(Vec::len)), (422, Some(2)), "{}", wrong.body);
    let path = format!("/v1/contacts/{}", ana["id"].as_str().expect("an id"));
    let changed = ask(&client, Method::PATCH, &path, &json!({"given_name": null, "language": "de"})).await;
    assert_eq!((changed.status, &changed.json()["given_name"]), (200, &Value::Null), "{}", changed.body);
    let same = ask(&client, Method::PUT, "/v1/contacts", &json!({"phone": "+4915112345678", "tags": ["a"]})).await;
    assert_eq!((same.status, &same.json()["id"]), (200, &ana["id"]));
    for query in ["tag=a", "attribute=points%3D3.0", "phone=4915112345678", "opted_out=false"] {
        let page = client.get(&format!("/v1/contacts?{query}")).await;
        assert_eq!(page.json()["data"][0]["id"], ana["id"], "{query}: {}", page.body);
    }
    assert_eq!(client.get("/v1/contacts?attribute=nothing%3D1").await.status, 422);

    let consent = json!({"category": "marketing", "granted": true, "source": "form", "at": "2026-01-01T00:00:00Z"});
    client.made(201, &format!("{path}/consents"), &consent).await;
    let bo = client.made(201, "/v1/contacts", &json!({"user_id": "DE.17", "given_name": "Bo"})).await;
    let suppression = client.made(201, "/v1/suppressions", &json!({"user_id": "DE.17", "reason": "a letter"})).await;
    let merged = client.made(200, &format!("{path}/merge"), &json!({"other": bo["id"]})).await;
    assert_eq!((&merged["user_id"], &merged["given_name"]), (&json!("DE.17"), &json!("Bo")));
    assert_eq!(merged["consents"][0]["granted"], true);
    let refused = client.send(&text("4915112345678", "hello")).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(131_050)), "{}", refused.body);
    let table = client.get("/v1/contacts/export").await;
    assert!(table.body.lines().any(|line| line.contains("4915112345678,DE.17")), "{}", table.body);

    let gone = exchange(client.request(Method::DELETE, &path)).await.expect("an answer");
    assert_eq!(gone.status, 204);
    assert_eq!(client.get(&path).await.status, 404);
    let left = client.get("/v1/suppressions").await.json();
    assert!(left["data"].as_array().expect("a list").iter().all(|held| held["address"].is_null()), "{left}");
    assert_eq!(client.send(&text("4915112345678", "hello")).await.status, 400, "it holds without a name");
    let path = format!("/v1/suppressions/{}", suppression["id"].as_str().expect("an id"));
    assert_eq!(exchange(client.request(Method::DELETE, &path)).await.expect("an answer").status, 204);
    assert_eq!(client.get(&path).await.status, 404);
}

async fn a_table_of_a_hundred_thousand_contacts_is_read_row_by_row(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    client.made(201, "/v1/suppressions", &json!({"phone": "16505500000"})).await;
    let mut table = String::from("\u{feff}phone;given_name;tags\r\n");
    for row in 0..100_000 {
        // Two rows are wrong; each tells of the column.
        let phone = if row == 17 { "nobody".to_owned() } else { format!("1650{:07}", 5_500_000 + row) };
        let name = if row == 99_999 { "x".repeat(300) } else { format!("\"Person; {row}\"") };
        let _ = write!(table, "{phone};{name};list|{}\r\n", row % 10);
    }
    let process = format!("/proc/{}/status", demo.pid());
    let memory = || -> u64 {
        let status = std::fs::read_to_string(&process).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    };
    let before = memory();
    let answer = exchange(client.request(Method::POST, "/v1/contacts/imports").body(table)).await.expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.body);
    let import = answer.json();
    assert_eq!((&import["state"], &import["rows"]), (&json!("finished"), &json!(100_000)), "{import}");
    assert_eq!((&import["created"], &import["failed"]), (&json!(99_998), &json!(2)), "{import}");
    let used = memory() - before;
    assert!(used < MEMORY_MAX_KIB, "{used} KiB more than before");
    let path = format!("/v1/contacts/imports/{}/errors", import["id"].as_str().expect("an id"));
    let first = client.get(&format!("{path}?limit=1")).await.json();
    assert_eq!((&first["data"][0]["line"], &first["data"][0]["column"]), (&json!(19), &json!("phone")), "{first}");
    let next = first["next"].as_str().expect("a next page");
    let second = client.get(&format!("{path}?limit=1&cursor={next}")).await.json();
    assert_eq!((&second["data"][0]["line"], &second["data"][0]["column"]), (&json!(100_001), &json!("given_name")));
    assert_eq!(site.number("SELECT count(*) FROM contacts").await, 99_998);
    let refused = client.send(&text("16505500000", "hello")).await;
    assert_eq!(refused.status, 400, "an import lets nobody be written to: {}", refused.body);
}
