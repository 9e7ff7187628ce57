//! A one-time password reaches its person, by SMS where WhatsApp does not deliver it, and nobody else ever sees it: not
//! in an answer, not in the database, not in a log.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use waystation_testkit::{process::DemoInfo, secrets};

use crate::support::{Client, Profile, Server, Site, eventually, on_both_profiles, stop};

on_both_profiles!(
    a_code_that_is_not_delivered_falls_back_to_sms_once_over_a_restart,
    a_code_is_nowhere_but_on_the_phone,
);

/// A phone of the sandbox that gets nothing.
const SILENT: &str = "+1 650 555 0007";
/// One that gets everything.
const PERSON: &str = "+1 650 555 0001";

/// A network of short messages that keeps what it is given.
#[derive(Clone)]
struct SmsNetwork {
    url: String,
    arrived: Arc<Mutex<Vec<Value>>>,
}

impl SmsNetwork {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let network = Self { url, arrived: Arc::default() };
        let keeper = network.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keeper = keeper.clone();
                // A connection that breaks off has brought nothing.
                tokio::spawn(async move { drop(keeper.take(stream).await) });
            }
        });
        network
    }

    async fn take(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().expect("a length");
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            self.arrived.lock().expect("a list").push(serde_json::from_slice(&body).expect("JSON"));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await?;
        }
    }

    fn arrived(&self) -> Vec<Value> {
        self.arrived.lock().expect("a list").clone()
    }

    /// The code that came to `phone`.
    async fn code(&self, phone: &str) -> String {
        let code = eventually("the code arrives by SMS", async || {
            let arrived = self.arrived();
            let message = arrived.iter().find(|message| message["to"] == phone)?;
            let text = message["text"].as_str()?;
            text.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() >= 4).map(str::to_owned)
        })
        .await;
        secrets::keep("one-time password", &code);
        code
    }
}

/// An installation with a sender of each channel.
struct Stage {
    site: Site,
    info: DemoInfo,
    network: SmsNetwork,
    sms: String,
}

impl Stage {
    async fn set(profile: Profile) -> (Self, Server) {
        let mut site = Site::new(profile).await;
        site.recover_quickly();
        site.load_adapter("waystation_plugin_sms");
        let info = site.add_business(None);
        let (network, server) = (SmsNetwork::start().await, site.serve("api,worker,admin"));
        let sender = json!({
            "phone": "15550783882", "display_name": "Demo Bakery", "adapter": "sms",
            "connection": {"upstream": network.url},
        });
        let path = format!("/partner/v1/businesses/{}/senders", info.business_id);
        let partner = Client::new(&info, &server.base_url).with(&info.partner_token);
        let sms = partner.made(201, &path, &sender).await["id"].as_str().expect("an id").to_owned();
        // Whose a number is has tests of its own.
        site.execute(&format!("UPDATE senders SET phone_verified_at = 1 WHERE id = {sms}")).await;
        (Self { site, info, network, sms }, server)
    }

    fn client(&self, server: &Server) -> Client {
        Client::new(&self.info, &server.base_url)
    }

    fn order(&self, to: &str) -> Value {
        json!({"to": to, "from": self.info.phone_number_id, "code_length": 8})
    }

    fn with_fallback(&self, to: &str) -> Value {
        let mut order = self.order(to);
        order["fallback"] = json!({"channel": "sms", "from": self.sms, "after_seconds": 15});
        order
    }
}

async fn check(client: &Client, sent: &Value, code: &str) -> Value {
    client.made(200, "/v1/otp/verify", &json!({"id": sent["id"], "code": code})).await
}

async fn a_code_that_is_not_delivered_falls_back_to_sms_once_over_a_restart(profile: Profile) {
    let (stage, mut server) = Stage::set(profile).await;
    let client = stage.client(&server);
    let sent = client.made(202, "/v1/otp", &stage.with_fallback(SILENT)).await;
    let delivered = client.made(202, "/v1/otp", &stage.with_fallback(PERSON)).await;
    let id = |sent: &Value| sent["message_id"].as_str().expect("an id").to_owned();
    client.reaches(&id(&sent), "sent").await;
    client.reaches(&id(&delivered), "read").await;
    server.process.kill9().expect("a kill");
    assert_eq!(stage.network.arrived().len(), 0, "its time is not over");

    let server = stage.site.serve("api,worker,admin");
    let client = client.at(&server.base_url);
    let code = stage.network.code("16505550007").await;
    client.reaches(&id(&sent["fallback"]), "sent").await;
    stage.site.settled().await;
    // The second was ordered a moment later.
    let undecided = "SELECT count(*) FROM one_time_passwords WHERE fallback_at IS NOT NULL";
    eventually("both are decided", async || (stage.site.number(undecided).await == 0).then_some(())).await;
    assert_eq!(stage.network.arrived().len(), 1, "once, and what was delivered does not fall back");
    let answer = client.get(&format!("/v1/messages/{}", id(&delivered["fallback"]))).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert_eq!(check(&client, &sent, &code).await, json!({"status": "verified", "tries_left": 4}));
    assert_eq!(check(&client, &sent, &code).await["status"], "used");
}

async fn a_code_is_nowhere_but_on_the_phone(profile: Profile) {
    let (stage, mut server) = Stage::set(profile).await;
    let client = stage.client(&server);
    let mut by_sms = stage.order("+1 650 555 0101");
    by_sms["from"] = json!(stage.sms);
    by_sms["fallback"] = json!({"channel": "sms", "from": stage.sms, "after_seconds": 300});
    let sent = client.made(202, "/v1/otp", &by_sms).await;
    let code = stage.network.code("16505550101").await;
    let wrong = if code == "27182818" { "31415926" } else { "27182818" };
    let message = sent["message_id"].as_str().expect("an id");
    client.reaches(message, "sent").await;
    let mut answers = sent.to_string();
    answers += &check(&client, &sent, wrong).await.to_string();
    for path in [format!("/v1/messages/{message}"), format!("/v1/messages/{message}/events")] {
        answers += &client.get(&path).await.body;
    }
    let again = client.post("/v1/otp", &by_sms).await;
    assert_eq!((again.status, again.problem().as_str()), (429, "too_many_codes"));
    let wait: u64 = again.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a wait");
    assert!((1..=30).contains(&wait), "{wait}");
    answers += &again.body;
    let mut to_user = by_sms.clone();
    to_user["to"] = json!("US.13491208655302741918");
    let refused = client.post("/v1/otp", &to_user).await;
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!(131_062)));

    let dump = stage.site.dump().await;
    assert!(dump.contains("verification_code"), "the templates are in it");
    let bytes: String = code.bytes().map(|byte| format!("{byte:02x}")).collect();
    for (place, text) in [("the database", &dump), ("an answer", &answers)] {
        assert!(!text.contains(&code) && !text.contains(&bytes), "the code is in {place}");
    }
    assert_eq!(check(&client, &sent, &code).await["status"], "verified");
    // Its log is searched when it ends.
    stop(&mut server.process);
}
