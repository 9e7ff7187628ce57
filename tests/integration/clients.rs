//! A client library of the Cloud API works here by changing its base URL and its token: three that people use, in two
//! languages, send everything that they can, and read the webhooks that come of it.

use std::{collections::BTreeMap, process::Command};

use serde_json::{Value, json};
use waystation_testkit::{
    process::Waystation,
    sink::WebhookSink,
    tools::{Node, Python},
};

use crate::support::{Client, Profile, Site, eventually};

/// A demo that a person has written to already.
struct Stage {
    site: Site,
    sink: WebhookSink,
    demo: Waystation,
    client: Client,
    /// The id of what the person wrote.
    inbound: String,
}

impl Stage {
    async fn new() -> Self {
        let site = Site::new(Profile::Embedded).await;
        let sink = WebhookSink::start().expect("a sink");
        let demo = site.demo(Some(&sink));
        let client = Client::new(demo.info(), &demo.info().base_url);
        let play = json!({"to": client.phone_number_id, "name": "Ada", "type": "text", "content": {"body": "Grüße"}});
        client.made(202, &format!("/v1/sandbox/phones/{}/messages", demo.info().recipient), &play).await;
        let inbound = eventually("the message is received", async || {
            let all = client.get("/v1/inbound-messages").await.json();
            all["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        Self { site, sink, demo, client, inbound }
    }

    /// Runs a library's script to its end; what it printed.
    fn run(&self, mut command: Command, more: &[(&str, String)]) -> Value {
        let info = self.demo.info();
        let output = command
            .env("BASE_URL", &info.base_url)
            .env("TOKEN", &info.token)
            .env("PHONE_NUMBER_ID", &info.phone_number_id)
            .env("WABA_ID", &info.waba_id)
            .env("APP_SECRET", &info.app_secret)
            .env("RECIPIENT", &info.recipient)
            .env("TEMPLATE", &info.template.name)
            .env("INBOUND", &self.inbound)
            .envs(more.iter().map(|(name, value)| (name, value)))
            .current_dir(self.site.folder())
            .output()
            .expect("the script runs");
        let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?}: {printed}\n{said}");
        serde_json::from_str(printed.trim()).unwrap_or_else(|error| panic!("{error}: {printed}\n{said}"))
    }

    /// Checks that what a library sent arrives, each as what it was sent for; answers their ids.
    async fn all_arrive(&self, answers: &Value) -> Vec<String> {
        let mut ids = Vec::new();
        for sent in answers["sent"].as_array().expect("what was sent") {
            let id = sent["answer"]["messages"][0]["id"].as_str().unwrap_or_else(|| panic!("not accepted: {sent}"));
            assert_eq!(self.client.reaches(id, "read").await["type"], sent["type"], "{sent}");
            ids.push(id.to_owned());
        }
        assert_eq!(answers["read"]["success"], true, "{answers}");
        ids
    }

    /// The webhooks so far, once each of `ids` was told to be read: a file with what `of` makes of each.
    async fn webhooks(&self, ids: &[String], of: impl Fn(&str, &str) -> Value) -> String {
        eventually("everything is told", async || {
            let told = self.sink.told("read");
            ids.iter().all(|id| told.contains_key(id)).then_some(())
        })
        .await;
        let all: Vec<Value> = self
            .sink
            .deliveries()
            .iter()
            .map(|delivery| {
                let body = String::from_utf8(delivery.body.clone()).expect("text");
                of(&body, delivery.header("x-hub-signature-256").unwrap_or_default())
            })
            .collect();
        let path = self.site.folder().join("webhooks.json");
        std::fs::write(&path, json!(all).to_string()).expect("a file");
        path.display().to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heyoo_sends_everything_it_can_and_reads_what_comes_of_it() {
    let python = Python::ready().expect("a Python with the client libraries");
    let stage = Stage::new().await;
    let answers = stage.run(python.script("heyoo_client.py"), &[]);
    let ids = stage.all_arrive(&answers).await;
    let path = stage.webhooks(&ids, |body, _| serde_json::from_str(body).expect("JSON")).await;
    let read = stage.run(python.script("heyoo_client.py"), &[("PARSE", path)]);
    let read = read.as_array().expect("a list");
    assert!(read.iter().any(|one| one["status"] == "read" && one["field"] == "messages"), "{read:?}");
    let message = read.iter().find(|one| one["message"] == stage.inbound.as_str()).expect("what the person wrote");
    assert_eq!((&message["type"], &message["text"]), (&json!("text"), &json!("Grüße")), "{message}");
    assert_eq!(message["from"], stage.demo.info().recipient, "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pywa_sends_and_manages_its_number() {
    let python = Python::ready().expect("a Python with the client libraries");
    let stage = Stage::new().await;
    let info = stage.demo.info();
    let answers = stage.run(python.script("pywa_client.py"), &[]);
    stage.all_arrive(&answers).await;
    let profile =
        json!({"about": "Bread and cake", "email": "ana@bakery.example", "websites": ["https://bakery.example"]});
    assert_eq!(answers["profile"], profile);
    assert_eq!(
        (&answers["phone"]["id"], &answers["phone"]["number"]),
        (&json!(info.phone_number_id), &json!("+1 555-078-3881"))
    );
    assert_eq!(answers["numbers"], json!([info.phone_number_id]));
    assert_eq!(answers["account"], json!({"id": info.waba_id, "name": "Demo Bakery"}));
    let code = &answers["code"];
    assert_eq!((&code["made"], &code["changed"]), (&json!("Bread?"), &json!("Cake?")));
    assert_eq!((&code["listed"], &code["removed"], &answers["registered"]), (&json!(true), &json!(true), &json!(true)));
    assert!(
        code["image"].as_str().is_some_and(|url| url.starts_with(&info.base_url) && url.ends_with(".svg")),
        "{code}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kapso_sends_everything_it_can_and_believes_what_comes_of_it() {
    let node = Node::ready().expect("a Node with the client libraries");
    let stage = Stage::new().await;
    let answers = stage.run(node.script("kapso_client.mjs").expect("a script"), &[]);
    let ids = stage.all_arrive(&answers).await;
    for step in ["updated", "registered", "deregistered", "again"] {
        assert_eq!(answers[step]["success"], true, "{step}: {answers}");
    }
    assert!(answers["profile"].to_string().contains("Cake and bread"), "{answers}");
    let path = stage.webhooks(&ids, |body, signature| json!({"body": body, "signature": signature})).await;
    let read = stage.run(node.script("kapso_client.mjs").expect("a script"), &[("PARSE", path)]);
    let read = read.as_array().expect("a list");
    let mut statuses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for webhook in read {
        assert_eq!(webhook["genuine"], true, "{webhook}");
        assert_eq!(webhook["phoneNumberId"], stage.demo.info().phone_number_id, "{webhook}");
        for status in webhook["statuses"].as_array().into_iter().flatten() {
            let id = status["id"].as_str().expect("an id");
            statuses.entry(id).or_default().extend(status["status"].as_str());
        }
    }
    assert!(ids.iter().all(|id| statuses[id.as_str()].contains(&"read")), "{statuses:?}");
    let messages: Vec<&Value> = read.iter().flat_map(|webhook| webhook["messages"].as_array()).flatten().collect();
    assert!(messages.iter().any(|one| one["id"] == stage.inbound.as_str() && one["text"] == "Grüße"), "{messages:?}");
}
