//! No log has a secret, a code, a key, a document or what a message says and to whom, at any
//! level: whoever may read logs may not read those. Every test checks the logs of its processes;
//! here everything that bears a secret is done once while all is logged that can be.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use waystation_testkit::{
    browser::Browser,
    secrets,
    servers::{Postgres, PostgresOptions, Redis},
    sink::{Fault, WebhookSink},
};

use crate::support::{Answer, Client, PATIENCE, Profile, Site, exchange, http, on_both_profiles, stop, text};

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
    let mut stranger = client.clone();
    stranger.token = format!("ws_live_{}", marked("key"));
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
    let invitation = browser.invite(&marked("name"), "invited@leak-test.example", "Reviewer").await?;
    browser.press("Go to the user").await?;
    browser.press("Issue a link").await?;
    let link = browser.shown_once().await?;
    browser.press("Sign out").await?;
    browser.open(&invitation).await?;
    browser.sees("This link does not work").await?;
    browser.set_up(&link, "invited@leak-test.example").await?;
    Ok(())
}
