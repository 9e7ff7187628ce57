//! The partner API says what is wrong at its place, shows lists in pages that follow one another, and
//! keeps of uploads what it says it keeps.

use std::collections::BTreeSet;

use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::support::{Answer, Client, DELIVERED_ONLY, Profile, Site, exchange, http, on_both_profiles, text};

on_both_profiles!(
    lists_go_on_where_the_page_before_ended,
    what_is_wrong_with_a_partners_request_is_told_at_its_place,
    a_document_is_taken_by_its_bytes_and_bounded,
    every_administrative_action_is_in_the_audit_log_without_its_secrets,
);

/// The largest document, in bytes.
const DOCUMENT_MAX_BYTES: usize = 10 * 1024 * 1024;

/// The pages of a list, one after the other.
async fn pages(client: &Client, path: &str, limit: usize) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let cursor_part = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let joint = if path.contains('?') { '&' } else { '?' };
        let answer = client.get(&format!("{path}{joint}limit={limit}{cursor_part}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let mut page = answer.json();
        let Value::Array(entries) = page["data"].take() else { panic!("{path}: {}", answer.body) };
        assert!(entries.len() <= limit);
        pages.push(entries);
        assert!(pages.len() < 50, "{path} does not end");
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return pages,
        }
    }
}

fn ids(pages: &[Vec<Value>]) -> Vec<&str> {
    pages.iter().flatten().filter_map(|entry| entry["id"].as_str()).collect()
}

async fn lists_go_on_where_the_page_before_ended(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let tenant = Client::new(demo.info(), &demo.info().base_url);
    let partner = tenant.with(&demo.info().partner_token);
    let mut made = vec![demo.info().business_id.clone()];
    for number in 0..6 {
        let body = json!({"name": format!("Bakery {number} 100%")});
        let business = partner.made(201, "/partner/v1/businesses", &body).await;
        made.push(business["id"].as_str().expect("an id").to_owned());
    }
    let list = "/partner/v1/businesses";
    let listed = pages(&partner, list, 3).await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let newest_first: Vec<&str> = made.iter().rev().map(String::as_str).collect();
    assert_eq!(ids(&listed), newest_first);
    // What is added meanwhile moves nothing.
    let first = partner.get(&format!("{list}?limit=3")).await.json();
    partner.made(201, list, &json!({"name": "Late"})).await;
    let second = partner.get(&format!("{list}?limit=3&cursor={}", first["next"].as_str().expect("more"))).await.json();
    assert_eq!(second["data"][0]["id"], newest_first[3]);

    for (query, count) in [
        ("search=bakery", 7),
        ("search=BAKERY+3", 1),
        ("search=100%25", 6),
        ("search=%25", 6),
        ("search=_", 0),
        ("state=approved", 1),
        ("state=draft&search=bakery", 6),
    ] {
        let found: usize = pages(&partner, &format!("{list}?{query}"), 4).await.iter().map(Vec::len).sum();
        assert_eq!(found, count, "{query}");
    }

    let business = format!("{list}/{}", demo.info().business_id);
    let mut numbers = BTreeSet::from([demo.info().phone_number_id.clone()]);
    for number in 0..4 {
        let body = json!({"phone": format!("1650555010{number}"), "display_name": "More"});
        let sender = partner.made(201, &format!("{business}/senders"), &body).await;
        numbers.insert(sender["id"].as_str().expect("an id").to_owned());
    }
    let senders = pages(&partner, &format!("{business}/senders"), 2).await;
    assert_eq!(ids(&senders).into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), numbers);
    assert_eq!(senders.len(), 3);
    // Usage by sender, of two businesses' worth of pages.
    for sender in &numbers {
        let path = format!("/v24.0/{sender}/messages");
        for _ in 0..2 {
            tenant.post(&path, &text(&format!("1650555{DELIVERED_ONLY}"), "hi")).await.accepted();
        }
    }
    for (client, path) in [(&partner, "/partner/v1/usage"), (&tenant, "/v1/usage")] {
        let usage = pages(client, path, 2).await;
        let entries: Vec<&Value> = usage.iter().flatten().collect();
        let total: i64 = entries.iter().filter_map(|entry| entry["messages"].as_i64()).sum();
        assert_eq!(total, 10, "{entries:?}");
        let senders: BTreeSet<&str> = entries.iter().filter_map(|entry| entry["sender"].as_str()).collect();
        assert_eq!(senders.len(), 5, "{entries:?}");
    }
    let nothing = partner.get("/partner/v1/usage?from=2020-01-01&to=2020-02-01").await.json();
    assert_eq!(nothing, json!({"data": [], "next": null}));
    let keys = pages(&partner, &format!("{business}/api_keys"), 1).await;
    assert_eq!(ids(&keys).len(), 1);
    let cases = partner.get("/partner/v1/cases?open=true").await.json();
    assert_eq!(cases, json!({"data": [], "next": null}));
}

fn pointers(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().filter_map(|error| error["pointer"].as_str().map(str::to_owned)).collect()
}

async fn what_is_wrong_with_a_partners_request_is_told_at_its_place(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let tenant = Client::new(demo.info(), &demo.info().base_url);
    let partner = tenant.with(&demo.info().partner_token);
    let business = format!("/partner/v1/businesses/{}", demo.info().business_id);
    let before = site.number("SELECT count(*) FROM audit_log").await;

    let of = |path: &str| format!("{business}{path}");
    let sender = format!("/partner/v1/senders/{}", demo.info().phone_number_id);
    for (path, body, status, problem, at) in [
        ("/partner/v1/businesses", json!({}), 422, "parameter_missing", vec!["/name"]),
        ("/partner/v1/businesses", json!({"name": " "}), 422, "parameter_invalid", vec!["/name"]),
        ("/partner/v1/businesses", json!({"name": "a\u{0}b"}), 422, "parameter_invalid", vec!["/name"]),
        ("/partner/v1/businesses", json!({"name": "x", "plan": 1}), 422, "parameter_invalid", vec!["/plan"]),
        (
            "/partner/v1/businesses",
            json!({"name": "", "policy": {"requests_per_second": 0, "channels": ["No"]}}),
            422,
            "parameter_invalid",
            vec!["/policy/requests_per_second", "/policy/channels/0", "/name"],
        ),
        (
            &of("/senders"),
            json!({"phone": "nobody", "display_name": "", "adapter": "pigeon"}),
            422,
            "parameter_invalid",
            vec!["/phone", "/display_name", "/adapter"],
        ),
        (&of("/senders"), json!({"phone": "15550783881", "display_name": "Twice"}), 409, "conflict", vec![]),
        (
            &of("/api_keys"),
            json!({"name": "", "mode": "dead", "scopes": [], "addresses": ["here"], "expires_at": "2001-01-01T00:00:00Z"}),
            422,
            "parameter_invalid",
            vec!["/name", "/mode", "/scopes", "/addresses/0", "/expires_at"],
        ),
        (&of("/api_keys"), json!({"name": "k", "expires_at": 12}), 422, "parameter_invalid", vec!["/expires_at"]),
        (&of("/oauth_clients"), json!({"name": "c", "signed": true}), 422, "parameter_invalid", vec!["/signed"]),
        ("/partner/v1/api_keys", json!({"name": "k", "signed": true}), 422, "parameter_invalid", vec!["/signed"]),
        (&of("/webhook_endpoints"), json!({"url": "x"}), 422, "parameter_missing", vec!["/verify_token"]),
        (
            &of("/webhook_endpoints"),
            json!({"url": "http://127.0.0.1:1/nobody", "verify_token": "t"}),
            422,
            "parameter_invalid",
            vec!["/url"],
        ),
        (&format!("{sender}/pause"), json!({"reason": ""}), 422, "parameter_invalid", vec!["/reason"]),
        (&format!("{sender}/resume"), json!({}), 409, "illegal_transition", vec![]),
        (&of("/close"), json!({"reason": "too late"}), 409, "illegal_transition", vec![]),
        (&of("/submit"), json!({}), 409, "illegal_transition", vec![]),
        (&format!("{sender}/verify_code"), json!({"code": "12"}), 422, "code_invalid", vec![]),
    ] {
        let answer = partner.post(path, &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{path} {body}: {}", answer.body);
        assert_eq!(pointers(&answer), at, "{path} {body}: {}", answer.body);
    }
    for body in ["", "{", "[]", "\"name\""] {
        let request = partner.request(Method::POST, "/partner/v1/businesses").body(body);
        let answer = exchange(request).await.expect("an answer");
        assert_eq!((answer.status, answer.problem().as_str()), (400, "malformed_body"), "{body}: {}", answer.body);
    }
    for (query, at) in [
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("limit=some", "?limit"),
        ("limit=1&limit=2", "?limit"),
        ("cursor=%25%25", "?cursor"),
        ("state=verified", "?state"),
        ("page=2", "?page"),
        ("search=%00", "?search"),
    ] {
        let answer = partner.get(&format!("/partner/v1/businesses?{query}")).await;
        assert_eq!((answer.status, pointers(&answer)), (422, vec![at.to_owned()]), "{query}: {}", answer.body);
    }
    for (query, at) in [
        ("from=yesterday", "?from"),
        ("to=2026-02-30", "?to"),
        ("from=2026-02-02&to=2026-02-01", "?to"),
        ("from=2020-01-01&to=2026-02-01", "?to"),
        ("business=mine", "?business"),
    ] {
        let answer = partner.get(&format!("/partner/v1/usage?{query}")).await;
        assert_eq!((answer.status, pointers(&answer)), (422, vec![at.to_owned()]), "{query}: {}", answer.body);
    }
    for path in [
        "/partner/v1/businesses/biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C",
        "/partner/v1/businesses/nonsense",
        "/partner/v1/businesses/%00",
        "/partner/v1/senders/17",
        "/partner/v1/senders/nonsense",
        &of("/api_keys/key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C"),
        &of("/documents/doc_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C"),
        "/partner/v1/sandbox/phones/nonsense/messages",
    ] {
        let answer = partner.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"), "{path}: {}", answer.body);
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/partner/v1/businesses", "GET, POST"),
        (Method::GET, "/partner/v1/senders/17/pause", "POST"),
        (Method::POST, "/v1/me", "GET"),
    ] {
        let answer = exchange(partner.request(method, path)).await.expect("an answer");
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method_not_allowed"), "{path}: {}", answer.body);
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    assert_eq!(partner.get("/partner/v1/nothing").await.problem(), "no_such_route");
    assert_eq!(site.number("SELECT count(*) FROM audit_log").await, before, "nothing of all this changed anything");
    // As many keys as there may be.
    for number in 0..19 {
        partner.made(201, &of("/api_keys"), &json!({"name": format!("key {number}")})).await;
    }
    let answer = partner.post(&of("/api_keys"), &json!({"name": "one too many"})).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "conflict"), "{}", answer.body);
}

async fn a_document_is_taken_by_its_bytes_and_bounded(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let tenant = Client::new(demo.info(), &demo.info().base_url);
    let partner = tenant.with(&demo.info().partner_token);
    let business = partner.made(201, "/partner/v1/businesses", &json!({"name": "Uploads"})).await;
    let path = format!("/partner/v1/businesses/{}/documents", business["id"].as_str().expect("an id"));
    let upload = async |form: Form| {
        let request = http().post(format!("{}{path}", partner.base_url)).bearer_auth(&partner.token);
        exchange(request.multipart(form)).await.expect("an answer")
    };
    let file = |content: Vec<u8>| Part::bytes(content).file_name("C:\\fakepath\\<b>register</b>.exe");
    let pdf = |length: usize| {
        let mut content = b"%PDF-1.7\n".to_vec();
        content.resize(length, b' ');
        content
    };
    let kind = || Form::new().text("kind", "registration_certificate");

    let taken = upload(kind().part("file", file(pdf(DOCUMENT_MAX_BYTES)))).await;
    assert_eq!(taken.status, 201, "{}", taken.body);
    let document = taken.json();
    assert_eq!(
        (&document["content_type"], &document["size_bytes"]),
        (&json!("application/pdf"), &json!(DOCUMENT_MAX_BYTES))
    );
    let name = document["file_name"].as_str().expect("a name");
    assert!(name.ends_with(".pdf") && !name.contains(['<', '\\', '/']), "{name}");
    let large = upload(kind().part("file", file(pdf(DOCUMENT_MAX_BYTES + 1)))).await;
    assert_eq!((large.status, large.problem().as_str()), (413, "document_too_large"), "{}", large.body);
    for content in [b"MZ\x90\x00".to_vec(), b"<html>".to_vec(), Vec::new()] {
        let refused = upload(kind().part("file", file(content))).await;
        assert_eq!((refused.status, refused.problem().as_str()), (415, "unsupported_document"), "{}", refused.body);
    }
    for (form, at) in [
        (Form::new().text("note", "nothing"), vec!["/kind", "/file"]),
        (kind(), vec!["/file"]),
        (Form::new().part("file", file(pdf(20))), vec!["/kind"]),
        (Form::new().text("kind", "selfie").part("file", file(pdf(20))), vec!["/kind"]),
    ] {
        let refused = upload(form).await;
        assert_eq!((refused.status, pointers(&refused)), (422, at.iter().map(ToString::to_string).collect()));
    }
    let twice = upload(kind().part("file", file(pdf(20))).part("file", file(pdf(20)))).await;
    assert_eq!((twice.status, twice.problem().as_str()), (400, "malformed_body"), "{}", twice.body);
    let no_form = partner.post(&path, &json!({"kind": "other"})).await;
    assert_eq!((no_form.status, no_form.problem().as_str()), (415, "unsupported_document"), "{}", no_form.body);
    let request = partner.request(Method::POST, &path).header("content-type", "multipart/form-data; boundary=x");
    let cut = exchange(request.body("--x\r\nContent-Disposition: form-data; name=\"kind\"\r\n\r\nother")).await;
    let cut = cut.expect("an answer");
    assert_eq!((cut.status, cut.problem().as_str()), (400, "malformed_body"), "{}", cut.body);

    let listed = partner.get(&path).await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
    let one = format!("{path}/{}", document["id"].as_str().expect("an id"));
    assert_eq!(partner.get(&one).await.json(), document);
    // Its content is for reviewers.
    assert_eq!(partner.get(&format!("{one}/content")).await.status, 404);
    let gone = exchange(partner.request(Method::DELETE, &one)).await.expect("an answer");
    assert_eq!(gone.status, 204, "{}", gone.body);
    assert_eq!(partner.get(&one).await.status, 404);
}

async fn every_administrative_action_is_in_the_audit_log_without_its_secrets(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let tenant = Client::new(demo.info(), &demo.info().base_url);
    let partner = tenant.with(&demo.info().partner_token);
    let made = partner.made(201, "/partner/v1/businesses", &json!({"name": "Audited"})).await;
    let id = made["id"].as_str().expect("an id");
    let place = format!("/partner/v1/businesses/{id}");
    let mut secrets = vec![made["signing_secret"].clone(), made["test_key"]["api_key"].clone()];
    let key = partner.post(&format!("{place}/api_keys"), &json!({"name": "audited key"})).await;
    let request_id = key.header("x-request-id").expect("an id").to_owned();
    let key = key.json();
    secrets.push(key["api_key"].clone());
    let path = format!("{place}/api_keys/{}", key["id"].as_str().expect("an id"));
    secrets.push(partner.made(201, &format!("{path}/rotate"), &json!({})).await["api_key"].clone());
    assert_eq!(exchange(partner.request(Method::DELETE, &path)).await.expect("an answer").status, 204);
    let client = partner.made(201, &format!("{place}/oauth_clients"), &json!({"name": "audited client"})).await;
    secrets.push(client["client_secret"].clone());
    secrets.push(partner.made(201, &format!("{place}/signing_secrets"), &json!({})).await["signing_secret"].clone());
    let policy = json!({"messages_per_day": 7});
    let request = partner.request(Method::PUT, &format!("{place}/policy")).body(policy.to_string());
    assert_eq!(exchange(request).await.expect("an answer").status, 200);

    let entries: Vec<Value> =
        pages(&partner, &format!("/partner/v1/audit_log?business={id}"), 2).await.into_iter().flatten().collect();
    let actions: Vec<&str> = entries.iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(
        actions,
        [
            "business.policy_changed",
            "signing_secret.rotated",
            "client.issued",
            "key.revoked",
            "key.rotated",
            "key.issued",
            "key.issued",
            "business.created"
        ]
    );
    let issued = &entries[5];
    let me = partner.get("/partner/v1/me").await.json();
    assert_eq!(issued["actor"]["id"], me["credential"]["id"]);
    assert_eq!(issued["actor"]["address"], "127.0.0.1");
    assert_eq!((&issued["request_id"], &issued["subject"]), (&json!(request_id), &key["id"]));
    assert_eq!(issued["after"]["name"], "audited key");
    assert_eq!((&entries[0]["before"], &entries[0]["after"]), (&json!({}), &policy));
    let whole = pages(&partner, "/partner/v1/audit_log", 200).await;
    let text = json!([entries, whole]).to_string();
    for secret in secrets {
        assert!(!text.contains(secret.as_str().expect("a secret")), "a secret is in the log");
    }
    // What the platform did to the reseller is there too, and what it did elsewhere is not.
    assert!(text.contains("business.vouched_for") && !text.contains("vault."), "{text}");
}
