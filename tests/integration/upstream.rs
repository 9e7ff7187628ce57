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

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
};
use waystation_testkit::process::Waystation;

use crate::support::{Client, Dashboard, Profile, Site, eventually, exchange, names, on_both_profiles, template, text};

on_both_profiles!(
    a_template_is_reviewed_at_both_hops_sent_changed_and_deleted,
    a_review_whose_callbacks_are_lost_is_asked_for,
    a_file_goes_up_once_and_again_when_it_is_forgotten_there,
    a_file_of_a_person_comes_down_by_our_id_even_after_a_crash,
    a_profile_is_the_upstreams,
    messages_receipts_and_answers_pass_through_both_hops,
    an_attempt_whose_answer_was_cut_off_is_settled_by_its_receipt_and_not_repeated,
    a_callback_is_believed_only_with_its_signature,
);

const PHONE: &str = "16505550001";
const VERIFY_TOKEN: &str = "tea-at-four";

/// Whether the far one calls back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Callbacks {
    Arrive,
    AreLost,
}

/// An installation that sends over another one.
struct Hops {
    near_site: Site,
    near_demo: Waystation,
    far_demo: Waystation,
    _far_site: Site,
    near: Client,
    far: Client,
    proxy: Proxy,
    callbacks: String,
}

impl Hops {
    async fn new(profile: Profile) -> Self {
        Self::with(Site::new(profile).await, Callbacks::Arrive).await
    }

    async fn with(near_site: Site, called: Callbacks) -> Self {
        let far_site = Site::new(Profile::Embedded).await;
        let (near_demo, far_demo) = (near_site.demo(None), far_site.demo(None));
        let near = Client::new(near_demo.info(), &near_demo.info().base_url);
        let far = Client::new(far_demo.info(), &far_demo.info().base_url);
        let proxy = Proxy::start(far.base_url.trim_start_matches("http://").parse().expect("an address")).await;
        let connection = json!({
            "phone_number_id": far.phone_number_id, "account_id": far_demo.info().waba_id,
            "access_token": far.token, "app_secret": far_demo.info().app_secret, "verify_token": VERIFY_TOKEN, "base_url": format!("http://{}", proxy.address), "timeout_ms": 5_000,
        });
        near_site.execute(&format!("UPDATE senders SET adapter = 'whatsapp-cloud', connection = '{connection}'")).await;
        let callbacks = format!("{}/callbacks/{}", near.base_url, near.phone_number_id);
        let endpoint = json!({"url": callbacks, "verify_token": VERIFY_TOKEN});
        // The near one sees its new settings within moments; until then nobody listens there.
        if called == Callbacks::Arrive {
            eventually("the callback address is verified", async || {
                (far.post("/v1/webhook_endpoints", &endpoint).await.status == 201).then_some(())
            })
            .await;
        }
        Self { near_site, near_demo, far_demo, _far_site: far_site, near, far, proxy, callbacks }
    }

    /// The reviewers of both.
    async fn reviewers(&self) -> (Dashboard, Dashboard) {
        let sign_in = async |demo: &Waystation| {
            let info = demo.info();
            Dashboard::sign_in(&info.base_url, &info.sign_in_url, "owner@example.com").await
        };
        (sign_in(&self.near_demo).await, sign_in(&self.far_demo).await)
    }

    /// Hands a template in at the near one, has it let go there, and waits until the far one has it: its ids at both.
    async fn submitted(&self, reviewer: &Dashboard, name: &str, components: &Value) -> (String, String) {
        let path = format!("/v24.0/{}/message_templates", self.near_demo.info().waba_id);
        let draft = json!({"name": name, "language": "en_US", "category": "UTILITY", "components": components});
        let made = self.near.made(200, &path, &draft).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        decide(reviewer, &id, "approve", "").await;
        let theirs = eventually("the far one has the template", async || {
            Some(self.far_template(name).await?["id"].as_str()?.to_owned())
        })
        .await;
        (id, theirs)
    }

    /// The template of this name at the far one, if it is there.
    async fn far_template(&self, name: &str) -> Option<Value> {
        let account = &self.far_demo.info().waba_id;
        let list = self.far.get(&format!("/v24.0/{account}/message_templates?name={name}")).await.json();
        list["data"].as_array()?.iter().find(|template| template["name"] == name).cloned()
    }

    /// Waits until the near one shows this status of a template.
    async fn template_is(&self, id: &str, status: &str) -> Value {
        let path = format!("/v24.0/{id}?fields=status,components,category,rejection_info");
        eventually(&format!("the template is {status}"), async || {
            Some(self.near.get(&path).await.json()).filter(|template| template["status"] == status)
        })
        .await
    }

    /// A person sends a file from a pretend phone of the far one.
    async fn sends_file(&self, phone: &str, file: &str, caption: &str) {
        let content = json!({"id": file, "mime_type": "image/jpeg", "caption": caption});
        let play = json!({"to": self.far.phone_number_id, "type": "image", "content": content});
        self.far.made(202, &format!("/v1/sandbox/phones/{phone}/messages"), &play).await;
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

/// Takes a reviewer's step with a template.
async fn decide(reviewer: &Dashboard, template: &str, step: &str, reason: &str) {
    let page = format!("/admin/templates/{template}");
    reviewer.post(&page, &format!("{page}/decide"), &[("decision", step), ("reason", reason)]).await;
}

fn jpeg(fill: u8) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0".to_vec();
    bytes.resize(3_000, fill);
    bytes
}

async fn upload(client: &Client, bytes: Vec<u8>) -> String {
    let form = Form::new().part("file", Part::bytes(bytes).file_name("cat \"Tom\".jpg")).text("type", "image/jpeg");
    let path = format!("/v24.0/{}/media", client.phone_number_id);
    let answer = exchange(client.request(Method::POST, &path).multipart(form)).await.expect("an answer");
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

/// Uploads a sample, which is named by its handle.
async fn sample(client: &Client, bytes: Vec<u8>) -> String {
    let query = format!("file_length={}&file_type=image%2Fjpeg&file_name=a.jpg", bytes.len());
    let session = client.made(200, &format!("/v24.0/app/uploads?{query}"), &json!({})).await;
    let session = session["id"].as_str().expect("a session");
    let resumed = client.request(Method::POST, &format!("/v24.0/{session}")).header("file_offset", "0").body(bytes);
    let answer = exchange(resumed).await.expect("an answer");
    answer.json()["h"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

/// The ids of the files that a business has.
async fn files(client: &Client) -> Vec<String> {
    let list = client.get("/v1/media").await.json();
    list["data"].as_array().expect("a list").iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect()
}

async fn a_template_is_reviewed_at_both_hops_sent_changed_and_deleted(profile: Profile) {
    let hops = Hops::new(profile).await;
    let (near, far) = hops.reviewers().await;
    let body = |text: &str| json!({"type": "BODY", "text": text, "example": {"body_text": [["Ada"]]}});
    let (ours, theirs) = hops.submitted(&near, "news_of_order", &json!([body("Hi {{1}}, it is on its way.")])).await;
    assert_ne!(ours, theirs);
    assert_eq!(hops.near.get(&format!("/v24.0/{ours}")).await.json()["status"], "PENDING");
    decide(&far, &theirs, "approve", "").await;
    hops.template_is(&ours, "APPROVED").await;
    let sent = hops.near.send(&template(PHONE, "news_of_order", &["Ada"])).await.accepted();
    hops.near.reaches(&sent, "read").await;

    // A change goes to the same template; until it is taken, what was approved stays in use.
    let change = json!({"components": [body("Hi {{1}}, it has left the bakery.")]});
    hops.near.made(200, &format!("/v24.0/{ours}"), &change).await;
    decide(&near, &ours, "approve", "").await;
    eventually("the far one has the change", async || {
        let page = far.get("/admin/templates").await;
        page.contains(&format!("/admin/templates/{theirs}")).then_some(())
    })
    .await;
    decide(&far, &theirs, "approve", "").await;
    eventually("the change is in use", async || {
        let shown = hops.template_is(&ours, "APPROVED").await;
        (shown["components"][0]["text"] == "Hi {{1}}, it has left the bakery.").then_some(())
    })
    .await;

    // A sample of ours is a sample of theirs, and what they say of it is said here.
    let handle = sample(&hops.near, jpeg(1)).await;
    let header = json!({"type": "HEADER", "format": "IMAGE", "example": {"header_handle": [handle]}});
    let pictured = json!([header, {"type": "BODY", "text": "This is what we baked for you today."}]);
    let (pictured, theirs) = hops.submitted(&near, "picture_of_cake", &pictured).await;
    let there = hops.far_template("picture_of_cake").await.expect("it is there");
    let handed = there["components"][0]["example"]["header_handle"][0].as_str().expect("a handle").to_owned();
    assert!(handed != handle && handed.starts_with("4::"), "{there}");
    decide(&far, &theirs, "reject", "It does not say who baked.").await;
    let rejected = hops.template_is(&pictured, "REJECTED").await;
    assert_eq!(rejected["rejection_info"]["reason"], "It does not say who baked.", "{rejected}");

    let gone = format!("/v24.0/{}/message_templates?name=news_of_order", hops.near_demo.info().waba_id);
    let deleted = exchange(hops.near.request(Method::DELETE, &gone)).await.expect("an answer");
    assert_eq!(deleted.status, 200, "{}", deleted.body);
    eventually("it is deleted at the far one", async || {
        hops.far_template("news_of_order").await.is_none().then_some(())
    })
    .await;
    assert!(hops.far_template("picture_of_cake").await.is_some(), "and nothing else is");
}

async fn a_review_whose_callbacks_are_lost_is_asked_for(profile: Profile) {
    let mut site = Site::new(profile).await;
    // Long enough for the far reviewer, so that the first question finds the answer.
    site.set("worker.template_check_seconds", 8);
    let hops = Hops::with(site, Callbacks::AreLost).await;
    let (near, far) = hops.reviewers().await;
    // The answer to the submission is lost as well: what is there already is found.
    let components = json!([{"type": "BODY", "text": "It is ready for you at the bakery."}]);
    let submitting = hops.submitted(&near, "ready_at_bakery", &components);
    hops.proxy.cut_next_answer();
    let (ours, theirs) = submitting.await;
    decide(&far, &theirs, "approve", "").await;
    let approved = hops.template_is(&ours, "APPROVED").await;
    assert_eq!(approved["category"], "UTILITY");
    let tried = hops.near_site.number("SELECT count(*) FROM template_versions WHERE network = 'whatsapp-cloud'").await;
    assert_eq!(tried, 1);
}

async fn a_file_goes_up_once_and_again_when_it_is_forgotten_there(profile: Profile) {
    let hops = Hops::new(profile).await;
    hops.writes(PHONE, "show me").await;
    let file = upload(&hops.near, jpeg(2)).await;
    let image = json!({
        "messaging_product": "whatsapp", "to": PHONE, "type": "image", "image": {"id": file, "caption": "Look"},
    });
    for _ in 0..2 {
        let id = hops.near.send(&image).await.accepted();
        hops.near.reaches(&id, "read").await;
    }
    let there = files(&hops.far).await;
    assert_eq!(there.len(), 1, "two messages, one file");
    let bytes = hops.far.request(Method::GET, &format!("/v24.0/{}/content", there[0])).send().await.expect("an answer");
    assert_eq!(bytes.bytes().await.expect("bytes"), jpeg(2));
    let path = format!("/v24.0/{}", there[0]);
    let deleted = exchange(hops.far.request(Method::DELETE, &path)).await.expect("an answer");
    assert_eq!(deleted.status, 200, "{}", deleted.body);
    let id = hops.near.send(&image).await.accepted();
    hops.near.reaches(&id, "read").await;
    let again = files(&hops.far).await;
    assert!(again.len() == 1 && again != there, "{again:?}");
}

async fn a_file_of_a_person_comes_down_by_our_id_even_after_a_crash(profile: Profile) {
    let mut hops = Hops::new(profile).await;
    let received = async |client: &Client, caption: &str| {
        eventually("the picture's message arrives", async || {
            let all = client.get("/v1/inbound-messages?limit=200").await.json();
            let found = all["data"].as_array()?.iter().find(|one| one["message"]["image"]["caption"] == caption)?;
            Some(found["message"]["image"]["id"].as_str()?.to_owned())
        })
        .await
    };
    let content = async |client: &Client, id: &str| {
        let shown = eventually("the file is here", async || {
            let answer = client.get(&format!("/v24.0/{id}")).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        assert_eq!(shown["mime_type"], "image/jpeg", "{shown}");
        let path = format!("/v24.0/{id}/content");
        let bytes = client.request(Method::GET, &path).send().await.expect("an answer").bytes().await;
        bytes.expect("bytes").to_vec()
    };
    let theirs = upload(&hops.far, jpeg(3)).await;
    hops.sends_file(PHONE, &theirs, "First").await;
    let ours = received(&hops.near, "First").await;
    assert_ne!(ours, theirs);
    assert_eq!(content(&hops.near, &ours).await, jpeg(3));

    // The far one cannot be asked when the second comes, and the near one dies meanwhile.
    hops.proxy.refuse(true);
    let theirs = upload(&hops.far, jpeg(4)).await;
    hops.sends_file(PHONE, &theirs, "Second").await;
    let ours = received(&hops.near, "Second").await;
    let tried = "SELECT count(*) FROM arriving_media WHERE error IS NOT NULL";
    eventually("it was tried in vain", async || (hops.near_site.number(tried).await == 1).then_some(())).await;
    hops.near_demo.kill9().expect("a kill");
    hops.proxy.refuse(false);
    let server = hops.near_site.serve("api,worker");
    assert_eq!(content(&hops.near.at(&server.base_url), &ours).await, jpeg(4));
    assert_eq!(hops.near_site.number("SELECT count(*) FROM arriving_media").await, 0);
}

async fn a_profile_is_the_upstreams(profile: Profile) {
    let hops = Hops::new(profile).await;
    let path = |client: &Client| format!("/v24.0/{}/whatsapp_business_profile", client.phone_number_id);
    let about = async |client: &Client| {
        let answer = client.get(&format!("{}?fields=about,vertical,websites", path(client))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["data"][0].clone()
    };
    let change = json!({"messaging_product": "whatsapp", "about": "Bread and cake", "vertical": "RESTAURANT"});
    hops.near.made(200, &path(&hops.near), &change).await;
    assert_eq!(about(&hops.far).await["about"], "Bread and cake");
    hops.far.made(200, &path(&hops.far), &json!({"about": "Only cake"})).await;
    let shown = about(&hops.near).await;
    assert_eq!((&shown["about"], &shown["vertical"]), (&json!("Only cake"), &json!("RESTAURANT")));
    // What the upstream does not answer is not made up.
    hops.proxy.refuse(true);
    let down = hops.near.get(&path(&hops.near)).await;
    assert_eq!(down.status, 503, "{}", down.body);
    let failed = hops.near.post(&path(&hops.near), &json!({"about": "Nothing"})).await;
    assert_eq!(failed.status, 503, "{}", failed.body);
    hops.proxy.refuse(false);
    assert_eq!(about(&hops.near).await["about"], "Only cake");
}

async fn messages_receipts_and_answers_pass_through_both_hops(profile: Profile) {
    let hops = Hops::new(profile).await;
    let (near, far) = hops.reviewers().await;
    let body = json!([{
        "type": "BODY", "text": "Hi {{1}}, order {{2}} is on its way.", "example": {"body_text": [["Ada", "17"]]},
    }]);
    let (ours, theirs) = hops.submitted(&near, "order_on_its_way", &body).await;
    decide(&far, &theirs, "approve", "").await;
    hops.template_is(&ours, "APPROVED").await;
    // Nobody has written yet: only a template opens the conversation.
    let refused = hops.near.send(&text(PHONE, "hello")).await;
    assert_eq!(refused.json()["error"]["code"], 131_047, "{}", refused.body);
    let first = hops.near.send(&template(PHONE, "order_on_its_way", &["Ada", "17"])).await.accepted();
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
    refuse: Arc<AtomicBool>,
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
        let refuse = Arc::new(AtomicBool::new(false));
        let (cutting, refusing) = (cut.clone(), refuse.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if refusing.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(to).await.expect("the far one listens");
                tokio::spawn(pass(near, far, (cutting.clone(), refusing.clone())));
            }
        });
        Self { address, cut, refuse }
    }

    /// Whether nothing gets through.
    fn refuse(&self, refuse: bool) {
        self.refuse.store(refuse, Ordering::SeqCst);
    }

    /// The next answer does not come through; what it answers did.
    fn cut_next_answer(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

async fn pass(near: TcpStream, far: TcpStream, (cut, refuse): (Arc<AtomicBool>, Arc<AtomicBool>)) {
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let requests = tokio::spawn(async move { copy(&mut from_near, &mut to_far).await });
    let mut answer = [0; 8_192];
    while let Ok(length @ 1..) = from_far.read(&mut answer).await {
        if cut.swap(false, Ordering::SeqCst) || refuse.load(Ordering::SeqCst) {
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
