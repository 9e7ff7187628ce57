//! How a business comes to send: its reseller onboards it over the partner API, a reviewer of
//! the platform decides in the dashboard, keys are issued, messages go out; and what stops
//! them when the platform stops the reseller.

use std::time::{Duration, Instant};

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use waystation_testkit::secrets;

use crate::support::{
    Answer, Client, Dashboard, Profile, Server, Site, eventually, exchange, http, on_both_profiles, text,
};

on_both_profiles!(
    a_business_is_onboarded_verified_sends_and_is_held_while_its_reseller_is_suspended,
    a_revoked_key_stops_working_everywhere_within_a_moment,
);

/// How long a suspension and a revocation may take to be known in every process.
const SUSPENDED_WITHIN: Duration = Duration::from_secs(5);
const REVOKED_WITHIN: Duration = Duration::from_secs(1);

/// The number that the business of the story sends from.
const NUMBER: &str = "16502530000";

/// A program of a reseller.
struct Partner {
    base_url: String,
    token: String,
}

impl Partner {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = http().request(method, format!("{}/partner/v1{path}", self.base_url)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        exchange(request).await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    async fn post(&self, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.ask(Method::POST, path, Some(body)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        answer.json()
    }

    async fn submit(&self, business: &str) -> Answer {
        self.ask(Method::POST, &format!("/businesses/{business}/submit"), None).await
    }
}

/// Exchanges a client's id and secret for an access token.
async fn sign_in(base_url: &str, client: &Value) -> Partner {
    let (id, secret) = (client["id"].as_str().expect("an id"), client["client_secret"].as_str().expect("a secret"));
    secrets::keep("client secret", secret);
    let request = http().post(format!("{base_url}/oauth/token")).basic_auth(id, Some(secret));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = exchange(request.body("grant_type=client_credentials")).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    let token = body["access_token"].as_str().expect("a token").to_owned();
    secrets::keep("access token", &token);
    Partner { base_url: base_url.to_owned(), token }
}

/// A PDF that carries `words`.
fn pdf(words: &str) -> Vec<u8> {
    format!("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n% {words}\ntrailer<</Root 1 0 R>>\n%%EOF\n").into_bytes()
}

/// The code that the pretend phone shows, once it does.
async fn code_on(partner: &Partner, number: &str) -> String {
    let path = format!("/sandbox/phones/{number}/messages");
    let code = eventually("the phone shows a code", async || {
        let shown = partner.get(&path).await;
        let text = shown["data"].as_array()?.iter().filter_map(|message| message["text"].as_str()).next()?.to_owned();
        text.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 6).map(str::to_owned)
    })
    .await;
    secrets::keep("phone code", &code);
    code
}

async fn a_business_is_onboarded_verified_sends_and_is_held_while_its_reseller_is_suspended(profile: Profile) {
    let mut site = Site::new(profile).await;
    // So few at a time that most of a stream waits when it is stopped.
    site.set("delivery.sender_in_flight", 2);
    let demo = site.demo(None);
    let info = demo.info().clone();
    let second = (profile == Profile::Cluster).then(|| site.serve("api,worker"));
    let platform = Dashboard::sign_in(&info.base_url, &info.sign_in_url, "owner@example.com").await;

    // The reseller's program gets a client of its own, and signs in with it.
    let key = Partner { base_url: info.base_url.clone(), token: info.partner_token.clone() };
    let client = key.post("/oauth_clients", &json!({"name": "onboarding"}), 201).await;
    let partner = sign_in(&info.base_url, &client).await;
    let reseller = partner.get("/me").await;

    // It creates a business, which has test credentials from the start.
    let created = partner.post("/businesses", &json!({"name": "Blumenhaus Meier"}), 201).await;
    let business = created["business"]["id"].as_str().or(created["id"].as_str()).expect("an id").to_owned();
    let of = |path: &str| format!("/businesses/{business}{path}");
    let refused = partner.ask(Method::POST, &of("/api_keys"), Some(&json!({"name": "shop", "mode": "live"}))).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(refused.json()["type"], "/docs/errors#not_verified");

    // Half a profile is kept, and what is missing is told, all of it.
    let half = json!({"legal_name": "Blumenhaus Meier GmbH", "country": "US"});
    assert_eq!(partner.ask(Method::PATCH, &of("/profile"), Some(&half)).await.status, 200);
    let early = partner.submit(&business).await;
    assert_eq!(early.status, 422, "{}", early.body);
    let missing: Vec<String> = early.json()["errors"]
        .as_array()
        .expect("what is missing")
        .iter()
        .filter_map(|breach| breach["pointer"].as_str().map(str::to_owned))
        .collect();
    for expected in ["/registration_number", "/category", "/documents", "/senders"] {
        assert!(missing.iter().any(|pointer| pointer.contains(expected)), "{expected} in {missing:?}");
    }
    let rest = json!({
        "trade_name": "Blumenhaus Meier", "registration_number": "HRB 12345", "category": "retail",
        "website": "https://www.blumenhaus-meier.com", "address": "1 Main Street, Springfield",
        "contact": {"name": "Ana Meier", "email": "ana@blumenhaus-meier.com", "phone": "+1 650 253 0000"},
    });
    let saved = partner.ask(Method::PATCH, &of("/profile"), Some(&rest)).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    assert!(saved.body.contains("Blumenhaus Meier GmbH"), "what was saved before is still there: {}", saved.body);

    // A document.
    secrets::keep("document", "extract-of-the-register-4711");
    let file = Part::bytes(pdf("extract-of-the-register-4711")).file_name("register.pdf");
    let form = Form::new().text("kind", "registration_certificate").part("file", file);
    let upload = http().post(format!("{}/partner/v1{}", info.base_url, of("/documents"))).multipart(form);
    let uploaded = exchange(upload.bearer_auth(&partner.token)).await.expect("an answer");
    assert_eq!(uploaded.status, 201, "{}", uploaded.body);
    let document = uploaded.json()["id"].as_str().expect("an id").to_owned();

    // A number, and the proof that it is theirs.
    let sender = json!({"phone": NUMBER, "display_name": "Blumenhaus Meier"});
    let sender = partner.post(&of("/senders"), &sender, 201).await["id"].as_str().expect("an id").to_owned();
    partner.post(&format!("/senders/{sender}/request_code"), &json!({"method": "sms"}), 202).await;
    let again = partner.ask(Method::POST, &format!("/senders/{sender}/request_code"), None).await;
    assert_eq!(again.status, 429, "{}", again.body);
    assert!(again.header("retry-after").is_some());
    let code = code_on(&partner, NUMBER).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let path = format!("/senders/{sender}/verify_code");
    let refused = partner.ask(Method::POST, &path, Some(&json!({"code": wrong}))).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    partner.post(&path, &json!({"code": code}), 200).await;

    // The reviewer asks for changes, then approves.
    assert_eq!(partner.submit(&business).await.status, 200);
    let twice = partner.submit(&business).await;
    assert_eq!(twice.status, 409, "{}", twice.body);
    let review = format!("/admin/verification/{business}");
    assert!(platform.get("/admin/verification").await.contains("Blumenhaus Meier"));
    let decide = format!("{review}/decide");
    platform.post(&review, &decide, &[("decision", "start_review"), ("seen", "submitted")]).await;
    let page = platform.get(&review).await;
    assert!(page.contains("HRB 12345") && page.contains("register.pdf"), "{page}");
    let shown = platform.get(&format!("{review}/documents/{document}")).await;
    assert!(shown.contains("extract-of-the-register-4711"), "the document opens for the reviewer");
    let changes =
        [("decision", "request_changes"), ("seen", "in_review"), ("reason", "The address lacks a postal code")];
    platform.post(&review, &decide, &changes).await;
    let verification = partner.get(&of("/verification")).await;
    assert_eq!(verification["state"], "changes_requested", "{verification}");
    assert!(verification.to_string().contains("The address lacks a postal code"), "{verification}");
    let corrected = json!({"address": "1 Main Street, Springfield 62701"});
    assert_eq!(partner.ask(Method::PATCH, &of("/profile"), Some(&corrected)).await.status, 200);
    assert_eq!(partner.submit(&business).await.status, 200);
    platform.post(&review, &decide, &[("decision", "start_review"), ("seen", "submitted")]).await;
    platform.post(&review, &decide, &[("decision", "approve"), ("seen", "in_review"), ("reason", "")]).await;
    assert_eq!(partner.get(&of("/verification")).await["state"], "approved");

    // Keys, and the first live message.
    let issued = partner.post(&of("/api_keys"), &json!({"name": "shop", "mode": "live"}), 201).await;
    let live = issued["api_key"].as_str().expect("a key");
    secrets::keep("API key", live);
    assert!(live.starts_with("ws_live_"));
    let tenant = Client::with_key(&info.base_url, live, &sender);
    let first = tenant.send(&text("16505550001", "The roses are in")).await.accepted();
    tenant.reaches(&first, "read").await;

    // The platform suspends the reseller while a stream is under way.
    site.set_connections(&json!({"send_latency_ms": 800, "delivered_after_ms": 10, "read_after_ms": 20})).await;
    // What a process knows of a sender may be a second old.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut stream = Vec::new();
    for number in 0..30 {
        stream.push(tenant.send(&text("16505550002", &format!("Rose {number}"))).await.accepted());
    }
    let reseller_id = reseller["id"].as_str().expect("an id");
    let page = format!("/admin/resellers/{reseller_id}");
    platform.post(&page, &format!("{page}/suspend"), &[("reason", "Complaints about unasked messages")]).await;
    let suspended = Instant::now();
    let processes: Vec<&str> =
        std::iter::once(info.base_url.as_str()).chain(second.iter().map(|server| server.base_url.as_str())).collect();
    for base_url in &processes {
        let tenant = Client::with_key(base_url, live, &sender);
        let refusal = eventually("the key is refused", async || {
            let answer = tenant.send(&text("16505550002", "Is anybody there?")).await;
            (answer.status == 403).then_some(answer)
        })
        .await;
        assert_eq!(refusal.json()["error"]["code"], 131_031, "{}", refusal.body);
        assert!(refusal.body.contains("suspended"), "{}", refusal.body);
    }
    let refused = partner.ask(Method::GET, "/me", None).await;
    assert_eq!((refused.status, refused.json()["type"].as_str()), (403, Some("/docs/errors#suspended")));
    assert!(suspended.elapsed() < SUSPENDED_WITHIN, "{:?}", suspended.elapsed());

    // Nothing more goes out, and nothing is lost.
    let untouched = "SELECT count(*) FROM messages WHERE state < 2";
    let running = "SELECT count(*) FROM messages WHERE state = 2";
    eventually("what was in the air has landed", async || (site.number(running).await == 0).then_some(())).await;
    let held = site.number(untouched).await;
    assert!(held > 0, "the stream was stopped in the middle");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(site.number(untouched).await, held, "nothing was sent meanwhile");
    assert_eq!(site.number(running).await, 0);

    // Resumed, everything arrives: once.
    platform.post(&page, &format!("{page}/resume"), &[]).await;
    eventually("the key works again", async || (tenant.get("/v1/me").await.status == 200).then_some(())).await;
    tenant.all_reach(&stream, "delivered").await;
    for id in &stream {
        let message = tenant.message(id).await;
        assert_eq!(message["attempts"], 1, "{message}");
    }

    // All of it is in the log, and the log holds.
    let log = platform.get("/admin/audit").await;
    for action in ["reseller.suspended", "reseller.resumed", "key.issued"] {
        assert!(log.contains(action), "{action}");
    }
    let verified = site.run(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

async fn a_revoked_key_stops_working_everywhere_within_a_moment(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let info = demo.info().clone();
    // Where there can be several processes, the key is used in one and revoked in another.
    let other: Option<Server> = (profile == Profile::Cluster).then(|| site.serve("api"));
    let used_at = other.as_ref().map_or(info.base_url.as_str(), |server| server.base_url.as_str());
    let partner = Partner { base_url: info.base_url.clone(), token: info.partner_token.clone() };
    let keys = format!("/businesses/{}/api_keys", info.business_id);
    for _ in 0..3 {
        let issued = partner.post(&keys, &json!({"name": "shop", "mode": "live"}), 201).await;
        let key = issued["api_key"].as_str().expect("a key");
        secrets::keep("API key", key);
        let tenant = Client::with_key(used_at, key, &info.phone_number_id);
        // Known there by now, so that it is answered from memory.
        for _ in 0..3 {
            assert_eq!(tenant.get("/v1/me").await.status, 200);
        }
        let id = issued["id"].as_str().expect("an id");
        let revoked = partner.ask(Method::DELETE, &format!("{keys}/{id}"), None).await;
        assert_eq!(revoked.status, 204, "{}", revoked.body);
        let since = Instant::now();
        let refusal = eventually("the key is refused", async || {
            let answer = tenant.get("/v1/me").await;
            (answer.status == 401).then_some(answer)
        })
        .await;
        assert!(since.elapsed() < REVOKED_WITHIN, "{:?}", since.elapsed());
        assert_eq!(refusal.json()["type"], "/docs/errors#key_revoked");
    }
}
