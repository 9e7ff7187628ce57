//! What is documented is taken: every example of a message, over both routes, arrives at the pretend phone as it was sent.

use serde_json::{Value, json};
use waystation_core::messages::examples::examples;

use crate::support::{Client, Profile, Site, on_both_profiles};

on_both_profiles!(every_documented_message_arrives_as_it_was_sent);

/// Written as people write it; the same phone each time.
const TO: &str = "+1 (650) 555-0001";

/// The part of a message that its type names: what people see.
fn content(message: &Value) -> (&str, &Value) {
    let kind = message["type"].as_str().unwrap_or("text");
    (kind, &message[kind])
}

async fn every_documented_message_arrives_as_it_was_sent(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let info = demo.info();
    let client = Client::new(info, &info.base_url);
    let shown = format!("/v1/sandbox/phones/{}/messages", info.recipient);
    let files = client.files().await;
    let mut sent = 0;
    for example in examples() {
        let mut cloud = example.cloud_message(TO);
        files.put_into(&mut cloud);
        let answer = client.send(&cloud).await;
        if content(&cloud).0 == "template" {
            // Nothing is wrong with it but that the demo may have no such template.
            let known = cloud["template"]["name"] == info.template.name.as_str();
            let expected = if known { (200, Value::Null) } else { (404, json!(132_001)) };
            assert_eq!(
                (answer.status, answer.json()["error"]["code"].clone()),
                expected,
                "{}: {answer:?}",
                example.name
            );
            continue;
        }
        let by_cloud = answer.accepted();
        let mut platform = example.platform_message(&info.phone_number_id, TO);
        files.put_into(&mut platform);
        let answer = client.post("/v1/messages", &platform).await;
        assert_eq!(answer.status, 202, "{}: {}", example.name, answer.body);
        for id in [by_cloud, answer.accepted()] {
            assert_eq!(client.reaches(&id, "read").await["type"], content(&cloud).0, "{}", example.name);
            let all = client.get(&shown).await.json();
            let all = all["data"].as_array().expect("a list");
            let found = all.iter().find(|one| one["id"] == id.as_str());
            let found = found.unwrap_or_else(|| panic!("{}: {id} is not at the phone: {all:?}", example.name));
            let (kind, there) = content(&found["message"]);
            assert_eq!((kind, there), content(&cloud), "{}", example.name);
        }
        sent += 1;
    }
    assert!(sent > 20, "{sent} examples");
}
