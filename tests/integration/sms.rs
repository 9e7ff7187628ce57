//! The SMS adapter with the real binary and an SMSC that this project did not write: what happens to messages when the
//! network breaks, hangs, has enough, or tells the end before the beginning.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use waystation_testkit::{process::DemoInfo, smsc::Smsc};

use crate::support::{Client, Profile, Server, Site, eventually, library, names, stop, text, words};

/// The number that messages are from.
const NUMBER: &str = "15550783882";

struct Stage {
    site: Site,
    smsc: Smsc,
    server: Server,
    client: Client,
}

impl Stage {
    async fn set(profile: Profile) -> Self {
        let mut site = Site::new(profile).await;
        site.recover_quickly();
        site.set("adapters.bundled", "sandbox,sms,sms-http");
        let info = site.add_business(None);
        let (smsc, server) = (Smsc::start().expect("an SMSC"), site.serve("api,worker,admin"));
        let client = add_sender(&site, &info, &server, "sms", &smsc.connection()).await;
        let stage = Self { site, smsc, server, client };
        stage.says("it is bound", |line| line["bound"] == true).await;
        stage
    }

    async fn says(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.smsc.said().into_iter().find(|line| is(line))).await
    }

    async fn sent(&self, to: &str, body: &str) -> String {
        self.client.send(&text(to, body)).await.accepted()
    }
}

/// A sender of an SMS adapter, as its client.
pub(crate) async fn add_sender(
    site: &Site,
    info: &DemoInfo,
    server: &Server,
    adapter: &str,
    connection: &Value,
) -> Client {
    let sender = json!({"phone": NUMBER, "display_name": "Demo Bakery", "adapter": adapter, "connection": connection});
    let path = format!("/partner/v1/businesses/{}/senders", info.business_id);
    let partner = Client::new(info, &server.base_url).with(&info.partner_token);
    let id = partner.made(201, &path, &sender).await["id"].as_str().expect("an id").to_owned();
    // Whose a number is has tests of its own.
    site.execute(&format!("UPDATE senders SET phone_verified_at = 1 WHERE id = {id}")).await;
    let mut info = info.clone();
    info.phone_number_id = id;
    Client::new(&info, &server.base_url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_sent_and_its_receipt_settles_it() {
    let mut stage = Stage::set(Profile::Embedded).await;
    let id = stage.sent("16505550001", "Grüße für 5 €").await;
    stage.client.reaches(&id, "delivered").await;
    let taken = &stage.smsc.taken()[0];
    assert_eq!((&taken["from"], &taken["to"]), (&json!(NUMBER), &json!("16505550001")));
    assert_eq!((&taken["text"], &taken["coding"]), (&json!("Grüße für 5 €"), &json!(0)));

    let long = "Привет! ".repeat(20);
    let id = stage.sent("16505550002", &long).await;
    stage.client.reaches(&id, "delivered").await;
    let parts: Vec<Value> = stage.smsc.taken().into_iter().filter(|part| part["to"] == "16505550002").collect();
    let texts: String = parts.iter().map(|part| part["text"].as_str().expect("a text")).collect();
    assert_eq!((parts.len(), texts), (3, long.clone()));
    assert!(parts.iter().all(|part| part["udh"].is_array() && part["coding"] == 8), "{parts:?}");

    let id = stage.sent("16505550104", "hi").await;
    stage.client.reaches(&id, "failed").await;
    stop(&mut stage.server.process);
    stage.says("it was unbound", |line| line["unbound"] == true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_before_its_response_is_not_lost() {
    let stage = Stage::set(Profile::Embedded).await;
    let id = stage.sent("16505550103", "hi").await;
    stage.client.reaches(&id, "delivered").await;
    assert_eq!(stage.smsc.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_and_a_full_queue_are_waited_out_and_cost_no_try() {
    let stage = Stage::set(Profile::Embedded).await;
    for to in ["16505550101", "16505550102"] {
        let id = stage.sent(to, "hi").await;
        stage.client.reaches(&id, "delivered").await;
        let events = stage.client.events(&id).await;
        assert!(names(&events).contains(&"throttled"), "{events:?}");
        assert_eq!(stage.smsc.taken().iter().filter(|taken| taken["to"] == to).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smsc_restarts_in_the_middle_and_nothing_is_lost() {
    let mut stage = Stage::set(Profile::Embedded).await;
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(stage.sent(&format!("1650555{:04}", 2_000 + number), &format!("message {number}")).await);
        if number == 20 {
            stage.smsc.kill();
        }
        if number == 40 {
            stage.smsc.restart().expect("an SMSC");
        }
    }
    for id in &ids {
        eventually("it was sent", async || {
            let message = stage.client.message(id).await;
            matches!(message["status"].as_str(), Some("sent" | "delivered")).then_some(())
        })
        .await;
    }
    let taken = stage.smsc.taken();
    for (number, id) in ids.iter().enumerate() {
        let times = taken.iter().filter(|taken| taken["text"] == format!("message {number}")).count();
        let events = stage.client.events(id).await;
        let again = names(&events).contains(&"ambiguous");
        assert!(times == 1 || (times > 1 && again), "message {number} was taken {times} times: {events:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_is_found_and_made_again() {
    let stage = Stage::set(Profile::Embedded).await;
    stage.says("it was asked whether it is there", |line| line["enquired"] == true).await;
    stage.smsc.silence();
    let id = stage.sent("16505550001", "hi").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_ne!(stage.client.message(&id).await["status"], "failed");
    stage.smsc.go_on();
    stage.client.reaches(&id, "delivered").await;
    let bound = stage.smsc.said().iter().filter(|line| line["bound"] == true).count();
    assert!(bound >= 2, "it was bound {bound} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_writes_comes_in_and_is_acknowledged_once_it_is_kept() {
    let mut stage = Stage::set(Profile::Embedded).await;
    stage.smsc.mobile_originated("16505550009", NUMBER, "Is it ready? ü").expect("a text");
    stage.says("it was acknowledged", |line| line["mo_status"] == 0).await;
    eventually("it is kept", async || {
        (stage.site.number("SELECT count(*) FROM inbound_messages").await == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_holds_the_messages_until_a_person_mends_it() {
    let mut site = Site::new(Profile::Embedded).await;
    site.recover_quickly();
    site.set("adapters.bundled", "sandbox,sms");
    let info = site.add_business(None);
    let (smsc, server) = (Smsc::start().expect("an SMSC"), site.serve("api,worker,admin"));
    let mut wrong = smsc.connection();
    wrong["password"] = json!("wrong");
    let client = add_sender(&site, &info, &server, "sms", &wrong).await;
    let id = client.send(&text("16505550001", "hi")).await.accepted();
    let events = eventually("its channel is down", async || {
        let events = client.events(&id).await;
        names(&events).contains(&"channel_down").then_some(events)
    })
    .await;
    assert!(!Value::from(events).to_string().contains("wrong"), "the password is in no history");
    assert!(smsc.taken().is_empty());
}

/// An HTTP gateway that takes everything: its address, and the bodies it got.
pub(crate) fn gateway() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/send", listener.local_addr().expect("an address"));
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&got);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().expect("a length");
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                continue;
            }
            kept.lock().expect("no test has failed").push(String::from_utf8_lossy(&body).into_owned());
            let answer = "HTTP/1.1 201 Created\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{\"sid\":\"SM1\"}";
            // A client that is gone needs no answer.
            drop(reader.into_inner().write_all(answer.as_bytes()));
        }
    });
    (url, got)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_speaks_http_needs_no_more_than_its_settings() {
    let mut site = Site::new(Profile::Embedded).await;
    site.set("adapters.bundled", "sandbox,sms-http");
    let info = site.add_business(None);
    let ((url, got), server) = (gateway(), site.serve("api,worker,admin"));
    let client = add_sender(&site, &info, &server, "sms-http", &json!({"url": url, "account": "AC1"})).await;
    let id = client.send(&text("16505550001", "Hi & bye")).await.accepted();
    client.reaches(&id, "sent").await;
    let bodies = got.lock().expect("no test has failed").clone();
    assert_eq!(bodies, [format!("To=%2B16505550001&From=%2B{NUMBER}&Body=Hi%20%26%20bye")]);
}

#[tokio::test]
async fn both_libraries_pass_the_conformance_suite() {
    let site = Site::new(Profile::Embedded).await;
    for name in ["waystation_sms", "waystation_sms_http"] {
        let output = site.run(&["adapters", "check", library(name).to_str().expect("a path")]);
        assert!(output.status.success(), "{}", words(&output));
    }
}
