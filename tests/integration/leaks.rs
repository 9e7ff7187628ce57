//! No log has a secret, a code, a key, a document or what a message says and to whom, at any
//! level: whoever may read logs may not read those. Every test checks the logs of its processes;
//! here everything that bears a secret is done once while all is logged that can be.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use waystation_testkit::{
    browser::Browser,
    papers, secrets,
    servers::{Postgres, PostgresOptions, Redis},
    sink::{Fault, WebhookSink},
};

use crate::support::{
    Answer, Client, PATIENCE, Profile, Site, eventually, exchange, http, on_both_profiles, stop, text,
};

on_both_profiles!(no_log_has_a_secret_when_everything_is_logged);

/// The finest level, of libraries too.
const FILTER: &str = "trace";

/// Something that is found again wherever it turns up.
fn marked(what: &str) -> String {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let marked = format!("{what}-of-leak-test-{number}");
    secrets::keep("marked value", &marked);
    marked
}

async fn no_log_has_a_secret_when_everything_is_logged(profile: Profile) {
    // Servers of its own, for their logs.
    let servers = match profile {
        Profile::Embedded => None,
        Profile::Cluster => {
            let options = PostgresOptions { fsync: false, ..PostgresOptions::default() };
            Some((Postgres::start_with(options).await.expect("a PostgreSQL"), Redis::start().await.expect("a Redis")))
        }
    };
    let mut site = match &servers {
        None => Site::new(profile).await,
        Some((postgres, redis)) => Site::on(postgres, redis).await,
    };
    site.recover_quickly();
    site.set("log.filter", FILTER);
    let sink = WebhookSink::start().expect("a sink");
    let mut demo = site.demo(Some(&sink));
    let client = Client::new(demo.info(), &demo.info().base_url);
    secrets::keep("key of the vault", &std::fs::read_to_string(site.folder().join("vault.key")).expect("a key"));

    messages(&client, &sink, &demo.info().template.name).await;
    refusals(&client).await;
    partner(&client, &demo.info().partner_token, &sink).await;
    dashboard(&client.base_url).await;
    Box::pin(people(&client.base_url, &demo.info().sign_in_url)).await.expect("pages as they should be");
    for command in [&["sign-in-link"][..], &["config"], &["migrate"], &["adapters"]] {
        site.run(command);
    }
    stop(&mut demo);

    let log = demo.log().expect("a log");
    assert!(log.contains("\"level\":\"TRACE\"") && log.len() > 100_000, "{} bytes of log", log.len());
    secrets::assert_none_in("the log", &log);
    for folder in servers.iter().flat_map(|(postgres, redis)| [postgres.folder(), redis.folder()]) {
        let log = std::fs::read_to_string(folder.join("log")).expect("a log");
        secrets::assert_none_in(&folder.display().to_string(), &log);
    }
}

/// Messages of all kinds of fates, by all routes, and their webhooks.
async fn messages(client: &Client, sink: &WebhookSink, template_name: &str) {
    let mut last = Vec::new();
    for (fate, status) in [
        ("0001", "read"),
        ("0003", "read"),
        ("0004", "read"),
        ("0005", "read"),
        ("0006", "read"),
        ("0026", "failed"),
        ("0049", "failed"),
        ("0500", "read"),
    ] {
        let message = text(&format!("1650777{fate}"), &marked("text"));
        let request = client.posting(&client.cloud_path(), &message).header("idempotency-key", marked("repeat"));
        last.push((exchange(request).await.expect("an answer").accepted(), status));
    }
    sink.fail_next(3, Fault::Status(500));
    let mut message = template_message("16507770001", template_name);
    message["from"] = client.phone_number_id.as_str().into();
    message["biz_opaque_callback_data"] = marked("callback-data").into();
    last.push((client.post("/v1/messages", &message).await.accepted(), "read"));
    for (id, status) in &last {
        client.reaches(id, status).await;
        client.events(id).await;
    }
    assert!(sink.reached("read", 7, PATIENCE).await >= 7);
}

fn template_message(recipient: &str, name: &str) -> Value {
    let parameters: Vec<Value> = ["name", "order"].map(|what| json!({"type": "text", "text": marked(what)})).to_vec();
    json!({
        "messaging_product": "whatsapp",
        "to": recipient,
        "type": "template",
        "template": {
            "name": name,
            "language": {"code": "en_US"},
            "components": [{"type": "body", "parameters": parameters}],
        },
    })
}

/// Requests that are refused: what is wrong with them is said to the client and to nobody else.
async fn refusals(client: &Client) {
    let stranger = client.with(&format!("ws_live_{}", marked("key")));
    assert_eq!(stranger.send(&text("16507770001", &marked("text"))).await.status, 401);

    for message in [
        text(&marked("recipient"), &marked("text")),
        text("16507770001", &marked("text").repeat(400)),
        template_message("16507770001", "no_such_template"),
        json!({"messaging_product": "whatsapp", "to": "16507770001", "type": "text", "text": {"text": marked("text")}}),
        json!({marked("member"): marked("value")}),
    ] {
        assert!(refused(&client.send(&message).await));
        assert!(refused(&client.post("/v1/messages", &message).await));
    }
    for (path, body) in [
        (client.cloud_path(), format!("{{\"to\": \"{}", marked("broken"))),
        ("/v1/messages".to_owned(), marked("broken")),
        (format!("/v1/{}", marked("path")), "{}".to_owned()),
        (format!("{}?access_token={}", client.cloud_path(), marked("key-in-query")), "{}".to_owned()),
    ] {
        let request = client.request(Method::POST, &path).header("content-type", "application/json").body(body);
        assert!(refused(&exchange(request).await.expect("an answer")));
    }
}

fn refused(answer: &Answer) -> bool {
    (400..500).contains(&answer.status)
}

/// All that a reseller does with secrets of its own and of its businesses.
async fn partner(client: &Client, token: &str, sink: &WebhookSink) {
    let reseller = client.with(token);
    let created = reseller.post("/partner/v1/businesses", &json!({"name": marked("business")})).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let business = format!("/partner/v1/businesses/{}", created.json()["id"].as_str().expect("an id"));
    onboarding(&reseller, &business).await;
    credentials(&reseller, &business).await;

    let endpoint = json!({"url": sink.url(), "verify_token": marked("verify-token")});
    let added = reseller.post(&format!("{business}/webhook_endpoints"), &endpoint).await;
    assert!(added.status == 201 || refused(&added), "{}", added.body);
    for path in ["/partner/v1/me", "/partner/v1/audit_log", &format!("{business}/verification"), &business] {
        assert_eq!(reseller.get(path).await.status, 200, "{path}");
    }
}

/// What a business hands in, and what shows that its number is its own.
async fn onboarding(reseller: &Client, business: &str) {
    let change = json!({
        "legal_name": marked("legal-name"),
        "registration_number": marked("registration"),
        "address": marked("address"),
        "contact": {"name": marked("contact"), "phone": "+15557771234", "email": "ada@leak-test.example"},
    });
    let change = reseller.request(Method::PATCH, &format!("{business}/profile")).body(change.to_string());
    let saved = exchange(change.header("content-type", "application/json")).await.expect("an answer");
    assert_eq!(saved.status, 200, "{}", saved.body);

    let documents = format!("{business}/documents");
    let pdf = papers::pdf(&[&marked("line-of-a-document")]);
    assert_eq!(upload(reseller, &documents, &marked("file"), &pdf).await.status, 201);
    let text = marked("document-that-is-none");
    assert_eq!(upload(reseller, &documents, &marked("file"), text.as_bytes()).await.status, 415);

    let phone = "15557770001";
    let sender = json!({"phone": format!("+{phone}"), "display_name": "Leak test"});
    let added = reseller.post(&format!("{business}/senders"), &sender).await;
    assert_eq!(added.status, 201, "{}", added.body);
    let sender = format!("/partner/v1/senders/{}", added.json()["id"].as_str().expect("an id"));
    let sent = reseller.post(&format!("{sender}/request_code"), &json!({"method": "sms"})).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let code = eventually("the code arrives", async || {
        let arrived = reseller.get(&format!("/partner/v1/sandbox/phones/{phone}/messages")).await.json();
        let text = arrived["data"][0]["text"].as_str()?.to_owned();
        text.split_whitespace().find(|word| word.len() == 6 && word.parse::<u32>().is_ok()).map(str::to_owned)
    })
    .await;
    secrets::keep("code to a phone", &code);
    let wrong = if code == "271828" { "314159" } else { "271828" };
    for (given, status) in [(wrong, 422), (code.as_str(), 200)] {
        secrets::keep("code to a phone", given);
        let answer = reseller.post(&format!("{sender}/verify_code"), &json!({"code": given})).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    secrets::keep("PIN", "607182");
    reseller.post(&format!("{sender}/register"), &json!({"pin": "607182"})).await;
    reseller.request(Method::POST, &format!("{business}/submit")).send().await.expect("an answer");
}

/// Sends a form with a document.
async fn upload(reseller: &Client, path: &str, file_name: &str, content: &[u8]) -> Answer {
    const BOUNDARY: &str = "the-end-of-a-part";
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nregistration_certificate\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}.pdf\"\r\n\
         Content-Type: application/pdf\r\n\r\n"
    );
    let body = [head.as_bytes(), content, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
    let form = format!("multipart/form-data; boundary={BOUNDARY}");
    let request = reseller.request(Method::POST, path).header("content-type", form).body(body);
    exchange(request).await.expect("an answer")
}

/// Keys, clients and signing secrets, from their first use to their last.
async fn credentials(reseller: &Client, business: &str) {
    let made = async |path: &str, body: Value| {
        let answer = reseller.post(&format!("{business}/{path}"), &body).await;
        assert!([200, 201].contains(&answer.status), "{path}: {}", answer.body);
        answer.json()
    };
    let secret = |of: &Value, member: &str| of[member].as_str().unwrap_or_else(|| panic!("no {member}")).to_owned();

    let key = made("api_keys", json!({"name": "leak test"})).await;
    let path = format!("api_keys/{}", secret(&key, "id"));
    let successor = made(&format!("{path}/rotate"), json!({"grace_hours": 1})).await;
    let revoked = exchange(reseller.request(Method::DELETE, &format!("{business}/{path}"))).await.expect("an answer");
    assert!(revoked.status < 300, "{}", revoked.body);
    let client = made("oauth_clients", json!({"name": "leak test"})).await;
    let (id, client_secret) = (secret(&client, "id"), secret(&client, "client_secret"));
    let rotated = made(&format!("oauth_clients/{id}/rotate"), json!({"grace_hours": 1})).await;
    made("signing_secrets", json!({"grace_hours": 1})).await;

    let mut bearers = vec![(secret(&key, "api_key"), 401), (secret(&successor, "api_key"), 200)];
    for (tried, status) in
        [(marked("client-secret"), 401), (client_secret, 200), (secret(&rotated, "client_secret"), 200)]
    {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={tried}");
        let request = http().post(format!("{}/oauth/token", reseller.base_url)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = exchange(request).await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.body);
        let request = http().post(format!("{}/oauth/token", reseller.base_url)).basic_auth(&id, Some(&tried));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = exchange(request.body("grant_type=client_credentials")).await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.body);
        if status == 200 {
            bearers.push((secret(&answer.json(), "access_token"), 200));
        }
    }
    for (token, status) in bearers {
        assert_eq!(reseller.with(&token).get("/v1/me").await.status, status);
    }
}

/// Ways into the dashboard that lead nowhere.
async fn dashboard(base_url: &str) {
    let get = async |path: String, cookie: &str| {
        exchange(http().get(format!("{base_url}{path}")).header("cookie", cookie)).await.expect("an answer")
    };
    let made_up = format!("waystation_session={}", marked("session"));
    assert_eq!(get("/admin/".to_owned(), &made_up).await.status, 303);
    assert_eq!(get(format!("/admin/sign-in?token={}", marked("link")), "").await.status, 403);
    for (path, field) in [("/admin/sign-out", "csrf"), ("/admin/sign-in", "password"), ("/admin/sign-in/link", "token")]
    {
        let request = http().post(format!("{base_url}{path}")).header("cookie", &made_up);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = exchange(request.body(format!("{field}={}", marked(field)))).await.expect("an answer");
        assert!(answer.status == 303 || refused(&answer), "{path}: {answer:?}");
    }
}

/// All that people do with secrets of theirs, and with wrong ones.
async fn people(base_url: &str, link: &str) -> Result<()> {
    let browser = Browser::start(base_url).await?;
    let mut owner = browser.set_up(link, "owner@leak-test.example").await?;
    secrets::keep("e-mail address", &owner.email);
    browser.press("Sign out").await?;

    browser.fill("email", &owner.email).await?;
    browser.fill("password", &marked("wrong-password")).await?;
    browser.press("Sign in").await?;
    browser.sees("do not match").await?;
    browser.fill("email", &format!("{}@leak-test.example", marked("nobody"))).await?;
    browser.fill("password", owner.password).await?;
    browser.press("Sign in").await?;
    browser.sees("do not match").await?;
    browser.fill("email", &owner.email).await?;
    browser.fill("password", owner.password).await?;
    browser.press("Sign in").await?;
    browser.fill("code", &marked("wrong-code")).await?;
    browser.press("Sign in").await?;
    browser.sees("does not match").await?;
    browser.fill("code", &owner.recovery_codes[0]).await?;
    browser.press("Sign in").await?;
    browser.arrives("/admin/").await?;

    browser.open("/admin/account").await?;
    browser.click("Make new ones…").await?;
    browser.fill("password_for_codes", owner.password).await?;
    browser.press("Make new recovery codes").await?;
    browser.recovery_codes().await?;
    browser.open("/admin/account").await?;
    browser.press("Replace the app…").await?;
    browser.fill("password", owner.password).await?;
    browser.fill("code", &owner.app.code().await?).await?;
    browser.press("Continue").await?;
    browser.enrol().await?;
    let password = marked("new-password");
    browser.open("/admin/account").await?;
    browser.click("Change password…").await?;
    browser.fill("current_password", owner.password).await?;
    browser.fill("password", &password).await?;
    browser.fill("password_again", &password).await?;
    browser.press("Change password").await?;

    browser.press("Users").await?;
    let invitation = browser.invite("Invite", &marked("name"), "invited@leak-test.example", "Reviewer").await?;
    browser.press("Go to the user").await?;
    browser.press("Issue a link").await?;
    let link = browser.shown_once().await?;
    browser.press("Sign out").await?;
    browser.open(&invitation).await?;
    browser.sees("This link does not work").await?;
    browser.set_up(&link, "invited@leak-test.example").await?;
    Ok(())
}
