//! What is wrong with a request is said in the shape that the route's clients expect, and nothing
//! of it is accepted.

use reqwest::Method;
use serde_json::{Value, json};
use waystation_testkit::sink::WebhookSink;

use crate::support::{Answer, Client, PATIENCE, Profile, Site, exchange, on_both_profiles, template, text};

on_both_profiles!(what_is_wrong_with_a_request_is_told_and_nothing_of_it_is_accepted);

/// The largest body that the server is configured to take.
const BODY_LIMIT_BYTES: usize = 20_000;

/// A request that is refused, and how.
struct Refusal {
    what: &'static str,
    message: Value,
    cloud_status: u16,
    status: u16,
    code: i64,
    name: &'static str,
    /// Where in the body, for `/v1`; none for what is no matter of one place.
    pointer: &'static str,
}

async fn what_is_wrong_with_a_request_is_told_and_nothing_of_it_is_accepted(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.set("server.body_limit_bytes", BODY_LIMIT_BYTES);
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    site.delay_receipts().await;
    let client = Client::new(demo.info(), &demo.info().base_url);

    for refusal in wrong_messages(&demo.info().template.name) {
        let answer = client.send(&refusal.message).await;
        assert_is_cloud_error(refusal.what, &answer, refusal.cloud_status, refusal.code);
        let mut message = refusal.message;
        message["from"] = client.phone_number_id.as_str().into();
        let answer = client.post("/v1/messages", &message).await;
        assert_is_problem(refusal.what, &answer, refusal.status, refusal.code, refusal.name);
        assert_eq!(answer.json()["errors"][0]["pointer"], refusal.pointer, "{}: {}", refusal.what, answer.body);
    }
    wrong_keys(&client).await;
    wrong_addresses(&client).await;
    wrong_bodies(&client).await;

    assert_eq!(site.messages().await, 0);
    assert_eq!(site.number("SELECT count(*) FROM deliveries").await, 0);
    assert_eq!(site.number("SELECT count(*) FROM message_events").await, 0);
    assert_eq!(sink.tally().received, 0);
    // And the server is as well as before.
    let id = client.send(&text("16505550001", &"ü".repeat(4_096))).await.accepted();
    client.reaches(&id, "read").await;
    assert_eq!(sink.reached("read", 1, PATIENCE).await, 1);
    assert_eq!(site.messages().await, 1);
}

fn wrong_messages(template_name: &str) -> Vec<Refusal> {
    let recipient = "16505550001";
    let refusal = |what, message, (cloud_status, status), code, name, pointer| Refusal {
        what,
        message,
        cloud_status,
        status,
        code,
        name,
        pointer,
    };
    let mut without_recipient = text(recipient, "hi");
    without_recipient.as_object_mut().expect("an object").remove("to");
    vec![
        refusal(
            "4,097 characters",
            text(recipient, &"x".repeat(4_097)),
            (400, 422),
            100,
            "parameter_too_long",
            "/text/body",
        ),
        refusal("no text", text(recipient, " "), (400, 422), 131_009, "parameter_invalid", "/text/body"),
        refusal("no number", text("nobody", "hi"), (400, 422), 131_009, "parameter_invalid", "/to"),
        refusal("no recipient", without_recipient, (400, 422), 131_008, "parameter_missing", "/to"),
        refusal(
            "an unknown type",
            json!({"messaging_product": "whatsapp", "to": recipient, "type": "hologram", "hologram": {}}),
            (400, 422),
            131_051,
            "unsupported_type",
            "/type",
        ),
        refusal(
            "the sender's own number",
            text("15550783881", "hi"),
            (400, 422),
            131_021,
            "recipient_is_sender",
            "/to",
        ),
        refusal(
            "an unknown template",
            template(recipient, "no_such_template", &[]),
            (404, 422),
            132_001,
            "template_missing",
            "/template/name",
        ),
        refusal(
            "one parameter too few",
            template(recipient, template_name, &["Ana"]),
            (400, 422),
            132_000,
            "template_parameter_count",
            "/template/components/0/parameters",
        ),
        refusal(
            "one parameter too many",
            template(recipient, template_name, &["Ana", "A-17", "more"]),
            (400, 422),
            132_000,
            "template_parameter_count",
            "/template/components/0/parameters",
        ),
    ]
}

async fn wrong_keys(client: &Client) {
    let message = text("16505550001", "hi");
    for token in [Some("ws_test_not_a_key"), Some(""), None] {
        let mut stranger = client.clone();
        stranger.token = token.unwrap_or_default().to_owned();
        for (path, cloud) in [
            (client.cloud_path(), true),
            (format!("/{}/messages", client.phone_number_id), true),
            ("/v1/messages".to_owned(), false),
        ] {
            let mut request = stranger.posting(&path, &message);
            if token.is_none() {
                let url = format!("{}{path}", client.base_url);
                request = crate::support::http().post(url).body(message.to_string());
            }
            let answer = exchange(request).await.expect("an answer");
            let what = format!("{token:?} at {path}");
            if cloud {
                assert_is_cloud_error(&what, &answer, 401, 190);
            } else {
                assert_is_problem(&what, &answer, 401, 190, "unauthenticated");
            }
            assert!(answer.header("www-authenticate").is_some(), "{what}");
        }
        let answer = stranger.get("/v1/messages/wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K").await;
        assert_is_problem("reading", &answer, 401, 190, "unauthenticated");
    }
}

async fn wrong_addresses(client: &Client) {
    let message = text("16505550001", "hi");
    for path in ["/v24.0/106540352242922/messages", "/v24.0/me/messages", "/106540352242922/messages"] {
        let answer = client.post(path, &message).await;
        assert_is_cloud_error(path, &answer, 404, 803);
    }
    let mut from_nobody = message.clone();
    from_nobody["from"] = "106540352242922".into();
    let answer = client.post("/v1/messages", &from_nobody).await;
    assert_is_problem("unknown sender", &answer, 404, 803, "not_found");
    let answer = client.post("/v1/messages", &message).await;
    assert_is_problem("no sender", &answer, 422, 131_008, "parameter_missing");
    for id in ["wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K", "17", "%00"] {
        for path in [format!("/v1/messages/{id}"), format!("/v1/messages/{id}/events")] {
            let answer = client.get(&path).await;
            assert_is_problem(&path, &answer, 404, 803, "not_found");
        }
    }
    for path in ["/v24.0/nothing", "/nothing", "/v24.0/106540352242922/messages/more"] {
        assert_is_cloud_error(path, &client.post(path, &message).await, 404, 2_500);
    }
    assert_is_problem("no route", &client.get("/v1/nothing").await, 404, 2_500, "no_such_route");
    let without_version = format!("/{}/messages", client.phone_number_id);
    assert_is_cloud_error("wrong method", &client.get(&without_version).await, 405, 100);
    for (path, other) in [(client.cloud_path(), Method::GET), ("/v1/messages".to_owned(), Method::PUT)] {
        for method in [other, Method::PATCH, Method::DELETE] {
            let answer = exchange(client.request(method.clone(), &path)).await.expect("an answer");
            assert_refused_method(&format!("{method} {path}"), &answer);
        }
    }
}

/// A method that the route does not know.
fn assert_refused_method(what: &str, answer: &Answer) {
    let cloud = !what.contains("/v1/");
    if cloud {
        assert_is_cloud_error(what, answer, 405, 100);
    } else {
        assert_is_problem(what, answer, 405, 100, "method_not_allowed");
    }
}

async fn wrong_bodies(client: &Client) {
    let large = text("16505550001", &"x".repeat(BODY_LIMIT_BYTES)).to_string();
    for (what, body, status, name) in [
        ("malformed JSON", r#"{"messaging_product": "whatsapp","#.to_owned(), 400, "malformed_body"),
        ("a list", "[]".to_owned(), 400, "malformed_body"),
        ("nothing", String::new(), 400, "malformed_body"),
        ("a body over the limit", large, 413, "body_too_large"),
    ] {
        for path in [client.cloud_path(), "/v1/messages".to_owned()] {
            let answer = exchange(client.request(Method::POST, &path).body(body.clone())).await.expect("an answer");
            if path == "/v1/messages" {
                assert_is_problem(what, &answer, status, 100, name);
            } else {
                assert_is_cloud_error(what, &answer, status, 100);
            }
        }
    }
    let answer =
        exchange(client.posting(&client.cloud_path(), &text("16505550001", "hi")).header("idempotency-key", ""))
            .await
            .expect("an answer");
    assert_is_cloud_error("an empty key", &answer, 400, 131_009);
    let answer =
        exchange(client.posting("/v1/messages", &text("16505550001", "hi")).header("idempotency-key", "k".repeat(256)))
            .await
            .expect("an answer");
    assert_is_problem("a key too long", &answer, 422, 131_009, "parameter_invalid");
}

/// Meta's error object.
fn assert_is_cloud_error(what: &str, answer: &Answer, status: u16, code: i64) {
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    let body = answer.json();
    let error = &body["error"];
    assert_eq!(error["code"], code, "{what}: {body}");
    assert!(error["message"].as_str().is_some_and(|text| text.starts_with(&format!("(#{code}) "))), "{what}: {body}");
    assert!(error["type"].as_str().is_some_and(|text| text.ends_with("Exception")), "{what}: {body}");
    assert_eq!(error["error_data"]["messaging_product"], "whatsapp", "{what}: {body}");
    assert!(error["error_data"]["details"].as_str().is_some_and(|text| !text.is_empty()), "{what}: {body}");
    assert_eq!(error["fbtrace_id"].as_str(), answer.header("x-request-id"), "{what}: {body}");
}

/// A problem document (RFC 9457).
fn assert_is_problem(what: &str, answer: &Answer, status: u16, code: i64, name: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let body = answer.json();
    assert_eq!(body["type"], format!("/docs/errors#{name}"), "{what}: {body}");
    assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)), "{what}: {body}");
    for member in ["title", "detail", "advice"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {body}");
    }
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"), "{what}: {body}");
}
