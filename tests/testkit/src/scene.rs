//! A demo with something in every state, and with everybody who works with it: what the pages
//! of the dashboard are looked at with.
//!
//! Programs do what programs may do, over the partner API; what takes a person, the owner does
//! in the browser.

use std::{
    sync::Once,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{
    Method, RequestBuilder,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Profile},
    papers,
    process::DemoInfo,
    secrets,
};

/// What the demo has to be told in its environment: few messages are enough to judge a sender by.
pub const ENVIRONMENT: [(&str, &str); 2] =
    [("WAYSTATION__ABUSE__MESSAGES_MIN", "10"), ("WAYSTATION__WORKER__RECONCILE_SECONDS", "1")];

/// How long anything may take that a process does by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has.
const POLL: Duration = Duration::from_millis(50);

/// A name that fits on no phone.
const LONG_NAME: &str = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft Süd";

/// The links by which others come in, each good once.
pub struct Links {
    /// For a reviewer of the platform.
    pub reviewer: String,
    /// For an admin of the demo's reseller.
    pub admin: String,
    /// For the owner of the demo's business.
    pub business_owner: String,
}

/// Fills a demo in whose dashboard `owner` is signed in.
///
/// # Errors
/// Something is refused, or a page is not what it should be.
pub async fn set(demo: &DemoInfo, owner: &Browser) -> Result<Links> {
    let partner = Partner::new(demo, &demo.partner_token)?;
    businesses(&partner, owner).await?;
    credentials(&partner, &demo.business_id).await?;
    templates(demo, owner).await?;
    messages(demo).await?;

    owner.open("/admin/").await?;
    owner.add_reseller(LONG_NAME).await?;
    owner.add_reseller("Südwind Partners").await?;
    owner.click("Suspend this reseller…").await?;
    owner.fill("reason", "Unpaid invoices since May.").await?;
    owner.press("Suspend").await?;
    owner.press("Resellers").await?;
    owner.press("Demo Reseller").await?;
    let admin = owner.invite("Invite an admin", "Rita Reseller", "rita@reseller.example", "").await?;
    owner.open(&format!("/admin/businesses/{}", demo.business_id)).await?;
    let business_owner = owner.invite("Invite its owner", "Bea Baker", "bea@bakery.example", "").await?;
    owner.press("Users").await?;
    let reviewer = owner.invite("Invite", "Viktor Reviewer", "viktor@platform.example", "Reviewer").await?;
    Ok(Links { reviewer, admin, business_owner })
}

/// A business in each state of its verification.
async fn businesses(partner: &Partner, owner: &Browser) -> Result<()> {
    let draft = partner.add_business("Backstube Vogel").await?;
    let half = json!({"legal_name": "Backstube Vogel", "country": "Germany", "website": "not an address"});
    partner.ask(Method::PATCH, &format!("/businesses/{draft}/profile"), Some(&half)).await?;
    partner.hand_in(LONG_NAME, "15550781001").await?;
    partner.hand_in("Crypto Casino Kiosk", "15550781002").await?;
    for (number, name, decision, reason) in [
        ("15550781003", "Gärtnerei Brandt", None, ""),
        ("15550781004", "Blumenhaus Meier", Some("request_changes"), "The extract is older than three months."),
        ("15550781005", "Schnellkredit Sofort", Some("reject"), "Loans of this kind are against the commerce policy."),
        ("15550781006", "Optik Lindner", Some("approve"), ""),
    ] {
        let business = partner.hand_in(name, number).await?;
        owner.open(&format!("/admin/verification/{business}")).await?;
        owner.press("Start review").await?;
        if let Some(decision) = decision {
            owner.decide(decision, reason).await?;
        }
    }
    for (number, name, step, submit) in [
        ("15550781007", "Reisebüro Atlas", "Suspend this business…", "Suspend"),
        ("15550781008", "Kiosk am Eck", "Close this business…", "Close for good"),
    ] {
        let business = partner.hand_in(name, number).await?;
        owner.open(&format!("/admin/verification/{business}")).await?;
        owner.press("Start review").await?;
        owner.decide("approve", "").await?;
        owner.open(&format!("/admin/verification/{business}")).await?;
        owner.click(step).await?;
        owner.fill("reason", "Complaints of many recipients.").await?;
        owner.press(submit).await?;
    }
    Ok(())
}

/// Templates of the demo's business: in review, sent back, rejected, a draft with what the lint remarks, and a change
/// of one that is approved.
async fn templates(demo: &DemoInfo, owner: &Browser) -> Result<()> {
    let desk = format!("/admin/businesses/{}/templates", demo.business_id);
    for (name, category, body, submit) in [
        (
            "opening_hours",
            "Marketing",
            "Hi {{1}}, we are open on *Sunday* from {{2}}. _Fresh_ ~stale~ ```bread```!",
            true,
        ),
        ("order_ready", "Utility", "Hi {{1}}, your order {{2}} waits for you at the counter.", true),
        ("a_draft_of_mine", "Utility", "Hi {{1}}, we have news for you, {{2}}, and no end in sight.", false),
    ] {
        owner.open(&format!("{desk}/new")).await?;
        owner.fill("name", name).await?;
        owner.choose("language", "en_US").await?;
        owner.choose("category", category).await?;
        owner.choose("header_format", "Image").await?;
        owner.fill("body", body).await?;
        owner.fill("footer", "Demo Bakery, Hauptstraße 1").await?;
        owner.fill("samples", "1 = Ana\n2 = seven o'clock").await?;
        owner.choose("button_0_kind", "Link").await?;
        owner.fill("button_0_text", "Order now").await?;
        owner.fill("button_0_value", "https://bakery.example/order").await?;
        owner.choose("button_1_kind", "Quick reply").await?;
        owner.fill("button_1_text", "No more of this").await?;
        owner.press(if submit { "Submit for review" } else { "Save draft" }).await?;
    }
    owner.open(&desk).await?;
    owner.press("order_update").await?;
    owner.press("New version").await?;
    owner.fill("body", "Hello {{1}}, your whole order {{2}} left our shop.").await?;
    owner.press("Submit for review").await
}

/// Keys, clients and signing secrets of all kinds.
async fn credentials(partner: &Partner, business: &str) -> Result<()> {
    let of = |path: &str| format!("/businesses/{business}{path}");
    let post = async |path: String, body: Value| partner.ask(Method::POST, &path, Some(&body)).await;
    let limited = json!({
        "name": "newsletter", "mode": "live", "scopes": ["messages:send"], "signed": true,
        "addresses": ["192.0.2.0/24", "2001:db8::7"], "expires_at": "2035-01-01T00:00:00Z",
    });
    post(of("/api_keys"), limited).await?;
    let rotated = post(of("/api_keys"), json!({"name": "shop, of last year", "mode": "live"})).await?;
    let id = text_of(&rotated, "id")?;
    post(of(&format!("/api_keys/{id}/rotate")), json!({"grace_hours": 24})).await?;
    let revoked = post(of("/api_keys"), json!({"name": "a leaked one"})).await?;
    partner.ask(Method::DELETE, &of(&format!("/api_keys/{}", text_of(&revoked, "id")?)), None).await?;
    post(of("/oauth_clients"), json!({"name": "warehouse"})).await?;
    post(of("/signing_secrets"), json!({"grace_hours": 24})).await?;
    post("/oauth_clients".to_owned(), json!({"name": "onboarding portal"})).await?;
    Ok(())
}

/// Messages of the demo's business: enough of their recipients want no more of them that its sender
/// is paused.
async fn messages(demo: &DemoInfo) -> Result<()> {
    let tenant = Partner::new(demo, &demo.token)?;
    let path = format!("/v24.0/{}/messages", demo.phone_number_id);
    for fate in ["0001", "0001", "0002", "0003", "0026", "0007", "0001", "0001", "0002", "0050", "0050"] {
        let message = json!({
            "messaging_product": "whatsapp", "to": format!("1650999{fate}"), "type": "text",
            "text": {"body": "Fresh bread from seven o'clock."},
        });
        tenant.made(tenant.request(Method::POST, &path).json(&message)).await?;
    }
    let partner = Partner::new(demo, &demo.partner_token)?;
    eventually("the sender is paused", async || {
        let cases = partner.ask(Method::GET, "/cases", None).await?;
        Ok(cases["data"].as_array().filter(|cases| !cases.is_empty()).map(drop))
    })
    .await
}

/// A program with a key.
struct Partner {
    http: reqwest::Client,
    base_url: String,
    token: String,
}

impl Partner {
    fn new(demo: &DemoInfo, token: &str) -> Result<Self> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(Self { http, base_url: demo.base_url.clone(), token: token.to_owned() })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url)).bearer_auth(&self.token)
    }

    /// What is answered to a request that succeeds.
    async fn made(&self, request: RequestBuilder) -> Result<Value> {
        let response = request.send().await?;
        let (url, status) = (response.url().clone(), response.status());
        let body = response.text().await?;
        ensure!(status.is_success(), "{url}: {status} {body}");
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(&body)? };
        secrets::keep_json(&body);
        Ok(body)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = self.request(method, &format!("/partner/v1{path}"));
        self.made(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    async fn add_business(&self, name: &str) -> Result<String> {
        let created = self.ask(Method::POST, "/businesses", Some(&json!({"name": name}))).await?;
        text_of(&created, "id")
    }

    /// Takes a business through its whole onboarding, up to the review.
    async fn hand_in(&self, name: &str, phone: &str) -> Result<String> {
        let business = self.add_business(name).await?;
        let of = |path: &str| format!("/businesses/{business}{path}");
        let mut profile = json!({});
        for (field, value) in Profile::of_shop(name).0 {
            match field.strip_prefix("contact_") {
                Some(member) => profile["contact"][member] = value.into(),
                None => profile[field] = value.into(),
            }
        }
        self.ask(Method::PATCH, &of("/profile"), Some(&profile)).await?;
        let file = Part::bytes(papers::pdf(&[&format!("Extract about {name}")])).file_name("register.pdf");
        let form = Form::new().text("kind", "registration_certificate").part("file", file);
        let upload = self.request(Method::POST, &format!("/partner/v1{}", of("/documents")));
        self.made(upload.multipart(form)).await?;

        let sender = json!({"phone": phone, "display_name": name});
        let sender = text_of(&self.ask(Method::POST, &of("/senders"), Some(&sender)).await?, "id")?;
        self.ask(Method::POST, &format!("/senders/{sender}/request_code"), Some(&json!({"method": "sms"}))).await?;
        let code = eventually("a code arrives", async || {
            let shown = self.ask(Method::GET, &format!("/sandbox/phones/{phone}/messages"), None).await?;
            Ok(papers::code_in(shown["data"][0]["text"].as_str().unwrap_or_default()))
        })
        .await?;
        self.ask(Method::POST, &format!("/senders/{sender}/verify_code"), Some(&json!({"code": code}))).await?;
        self.ask(Method::POST, &of("/submit"), None).await?;
        Ok(business)
    }
}

fn text_of(document: &Value, member: &str) -> Result<String> {
    Ok(document[member].as_str().with_context(|| format!("no {member} in {document}"))?.to_owned())
}

async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("not within {PATIENCE:?}: {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}
