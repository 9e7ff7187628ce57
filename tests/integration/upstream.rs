//! The official upstream, played by a second Waystation with the sandbox: what one sends, the other receives as the Cloud
//! API has it, and what the other calls back reaches the first.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};
use waystation_testkit::process::Waystation;

use crate::support::{Client, Profile, Site, eventually, exchange, names, on_both_profiles, template, text};

on_both_profiles!(
    messages_receipts_and_answers_pass_through_both_hops,
    an_attempt_whose_answer_was_cut_off_is_settled_by_its_receipt_and_not_repeated,
    a_callback_is_believed_only_with_its_signature,
);

const PHONE: &str = "16505550001";
const VERIFY_TOKEN: &str = "tea-at-four";

/// An installation that sends over another one.
struct Hops {
    _near: (Site, Waystation),
    _far: (Site, Waystation),
    near: Client,
    far: Client,
    proxy: Proxy,
    callbacks: String,
}

impl Hops {
    async fn new(profile: Profile) -> Self {
        let (near_site, far_site) = (Site::new(profile).await, Site::new(Profile::Embedded).await);
        let (near_demo, far_demo) = (near_site.demo(None), far_site.demo(None));
        let near = Client::new(near_demo.info(), &near_demo.info().base_url);
        let far = Client::new(far_demo.info(), &far_demo.info().base_url);
        let proxy = Proxy::start(far.base_url.trim_start_matches("http://").parse().expect("an address")).await;
        let connection = json!({
            "phone_number_id": far.phone_number_id, "access_token": far.token, "app_secret": far_demo.info().app_secret,
            "verify_token": VERIFY_TOKEN, "base_url": format!("http://{}", proxy.address), "timeout_ms": 5_000,
        });
        near_site.execute(&format!("UPDATE senders SET adapter = 'whatsapp-cloud', connection = '{connection}'")).await;
        // A network has reviewed the near one's template, and not the sandbox's.
        near_site.execute("UPDATE template_versions SET network = 'whatsapp-cloud'").await;
        let callbacks = format!("{}/callbacks/{}", near.base_url, near.phone_number_id);
        let endpoint = json!({"url": callbacks, "verify_token": VERIFY_TOKEN});
        // The near one sees its new settings within moments; until then nobody listens there.
        eventually("the callback address is verified", async || {
            (far.post("/v1/webhook_endpoints", &endpoint).await.status == 201).then_some(())
        })
        .await;
        Self { _near: (near_site, near_demo), _far: (far_site, far_demo), near, far, proxy, callbacks }
    }

    /// A person writes from a pretend phone of the far one; waits until the near one has it.
    async fn writes(&self, phone: &str, body: &str) -> Value {
        let play = json!({"to": self.far.phone_number_id, "type": "text", "content": {"body": body}, "name": "Ada"});
        self.far.made(202, &format!("/v1/sandbox/phones/{phone}/messages"), &play).await;
        eventually("what was written arrives", async || {
            let all = self.near.get("/v1/inbound-messages?limit=200").await.json();
            all["data"].as_array()?.iter().find(|one| one["message"]["text"]["body"] == body).cloned()
        })
        .await
    }

    /// How many messages the far one accepted.
    async fn taken(&self) -> usize {
        self.far.get("/v1/messages?limit=100").await.json()["data"].as_array().expect("a list").len()
    }
}

async fn messages_receipts_and_answers_pass_through_both_hops(profile: Profile) {
    let hops = Hops::new(profile).await;
    // Nobody has written yet: only a template opens the conversation.
    let refused = hops.near.send(&text(PHONE, "hello")).await;
    assert_eq!(refused.json()["error"]["code"], 131_047, "{}", refused.body);
    let first = hops.near.send(&template(PHONE, "order_update", &["Ada", "17"])).await.accepted();
    let history = hops.near.events(&first).await;
    hops.near.reaches(&first, "read").await;
    assert!(names(&history).contains(&"accepted"), "{history:?}");

    let written = hops.writes(PHONE, "where is it?").await;
    assert_eq!(written["message"]["from"], PHONE);
    let location = json!({
        "messaging_product": "whatsapp", "to": PHONE, "type": "location",
        "location": {"latitude": 52.5, "longitude": 13.4, "name": "Here"},
        "context": {"message_id": written["id"]}, "biz_opaque_callback_data": "order 17",
    });
    for message in [text(PHONE, "it is on its way"), location] {
        let id = hops.near.send(&message).await.accepted();
        let read = hops.near.reaches(&id, "read").await;
        assert_ne!(read["upstream_id"], Value::Null, "{read}");
    }
    for (digits, code) in [("0026", 131_026), ("0049", 131_049)] {
        let phone = format!("1650555{digits}");
        hops.writes(&phone, &format!("hello from {digits}")).await;
        let id = hops.near.send(&text(&phone, "hello")).await.accepted();
        let failed = hops.near.reaches(&id, "failed").await;
        assert_eq!(failed["error"]["code"], code, "{failed}");
    }
    // Ids of the one are ids of the other on the way: the reaction finds its message, and so does the mark.
    let reaction = json!({
        "messaging_product": "whatsapp", "to": PHONE, "type": "reaction",
        "reaction": {"message_id": written["id"], "emoji": "\u{1f44d}"},
    });
    let id = hops.near.send(&reaction).await.accepted();
    hops.near.reaches(&id, "read").await;
    let marked =
        hops.near.post(&format!("/v1/inbound-messages/{}/read", written["id"].as_str().unwrap()), &json!({})).await;
    assert!(marked.status < 300, "{}", marked.body);
}

async fn an_attempt_whose_answer_was_cut_off_is_settled_by_its_receipt_and_not_repeated(profile: Profile) {
    let hops = Hops::new(profile).await;
    hops.writes(PHONE, "hello").await;
    let before = hops.taken().await;
    hops.proxy.cut_next_answer();
    let id = hops.near.send(&text(PHONE, "once and only once")).await.accepted();
    hops.near.reaches(&id, "read").await;
    let history = hops.near.events(&id).await;
    assert!(names(&history).contains(&"ambiguous"), "{history:?}");
    assert_eq!(hops.taken().await, before + 1, "{history:?}");
}

async fn a_callback_is_believed_only_with_its_signature(profile: Profile) {
    let hops = Hops::new(profile).await;
    let forged = json!({"entry": [{"changes": [{"field": "messages", "value": {"messages": [
        {"id": "wamid.forged", "from": PHONE, "timestamp": "1750000000", "type": "text", "text": {"body": "forged"}},
    ]}}]}]});
    let post = |signature: Option<&str>| {
        let request = reqwest::Client::new().post(&hops.callbacks).body(forged.to_string());
        match signature {
            Some(signature) => request.header("x-hub-signature-256", signature),
            None => request,
        }
    };
    let wrong = format!("sha256={}", "00".repeat(32));
    for signature in [None, Some(wrong.as_str()), Some("sha256="), Some("nonsense")] {
        let answer = exchange(post(signature)).await.expect("an answer");
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    let challenge = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=";
    for (token, status, body) in [(VERIFY_TOKEN, 200, Some("1158201444")), ("coffee", 401, None), ("", 401, None)] {
        let asked = reqwest::Client::new().get(format!("{}{challenge}{token}", hops.callbacks));
        let answer = exchange(asked).await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(body.is_none_or(|body| answer.body == body), "{}", answer.body);
    }
    // The sandbox has no such address, and neither has a number that does not exist.
    for address in [
        format!("{}/callbacks/{}", hops.far.base_url, hops.far.phone_number_id),
        format!("{}/callbacks/1", hops.near.base_url),
        format!("{}/callbacks/x", hops.near.base_url),
    ] {
        let answer = exchange(reqwest::Client::new().post(&address).body("{}")).await.expect("an answer");
        assert_eq!(answer.status, 404, "{address}: {}", answer.body);
    }
    let received = hops.near.get("/v1/inbound-messages").await.json();
    assert_eq!(received["data"], json!([]), "nothing of what was forged is kept");
}

/// Stands between the two and can lose an answer, as networks do.
pub(crate) struct Proxy {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), to).await
    }

    /// An address where nobody listens.
    pub(crate) fn free_address() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    }

    /// One at an address.
    pub(crate) async fn start_at(at: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let cut = Arc::new(AtomicBool::new(false));
        let cutting = cut.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(to).await.expect("the far one listens");
                tokio::spawn(pass(near, far, cutting.clone()));
            }
        });
        Self { address, cut }
    }

    /// The next answer does not come through; what it answers did.
    fn cut_next_answer(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

async fn pass(near: TcpStream, far: TcpStream, cut: Arc<AtomicBool>) {
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let requests = tokio::spawn(async move { copy(&mut from_near, &mut to_far).await });
    let mut answer = [0; 8_192];
    while let Ok(length @ 1..) = from_far.read(&mut answer).await {
        if cut.swap(false, Ordering::SeqCst) {
            break;
        }
        if to_near.write_all(&answer[..length]).await.is_err() {
            break;
        }
    }
    // The far one has answered, so it is done with the request.
    tokio::time::sleep(Duration::from_millis(1)).await;
    requests.abort();
}
