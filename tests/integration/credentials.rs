//! Credentials let in whom they are for, as far and as long as they say, from where they say, and as
//! often as they may; each reason to refuse one has an error of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use waystation_testkit::servers::{Postgres, Redis};

use crate::support::{
    Answer, Client, DELIVERED_ONLY, Profile, Site, eventually, exchange, http, on_both_profiles, stop, text,
};

on_both_profiles!(
    a_test_key_reaches_the_sandbox_only_and_a_live_key_needs_a_verified_business,
    expired_revoked_and_rotated_credentials_have_their_own_errors,
    a_key_with_an_allow_list_is_refused_from_elsewhere,
    a_key_that_signs_is_refused_without_a_signature_that_fits_now,
    a_suspended_reseller_is_refused_with_all_that_is_below_it,
    whoever_asks_too_often_is_told_when_to_come_back_and_nobody_else_is,
    whoever_tries_credentials_waits_and_known_ones_pass,
    an_oauth_client_gets_tokens_as_the_rfc_has_it,
    nobody_gives_more_than_they_have,
);

/// How long something may take that has to happen "within five seconds", on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// A demo's business and reseller.
struct Stage {
    tenant: Client,
    partner: Client,
    business: String,
}

impl Stage {
    fn of(info: &waystation_testkit::process::DemoInfo, base_url: &str) -> Self {
        let tenant = Client::new(info, base_url);
        let partner = tenant.with(&info.partner_token);
        Self { tenant, partner, business: format!("/partner/v1/businesses/{}", info.business_id) }
    }

    /// A client with a new key of the business.
    async fn key(&self, grant: Value) -> (Client, Value) {
        let key = self.partner.made(201, &format!("{}/api_keys", self.business), &grant).await;
        (self.tenant.with(key["api_key"].as_str().expect("a key")), key)
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

/// A message to a phone of the sandbox.
fn message() -> Value {
    text(&format!("1650555{DELIVERED_ONLY}"), "hi")
}

/// Checks that the platform's routes refuse a client like this, in words of their own.
async fn assert_refused(client: &Client, status: u16, problem: &str) -> Answer {
    let answer = client.get("/v1/me").await;
    assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{}", answer.body);
    answer
}

async fn passes(client: &Client) {
    let answer = client.get("/v1/me").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn a_test_key_reaches_the_sandbox_only_and_a_live_key_needs_a_verified_business(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.load_adapter("waystation_plugin_numbers");
    let demo = site.demo(None);
    let stage = Stage::of(demo.info(), &demo.info().base_url);
    // A network that is not the sandbox: the adapter takes what it is given. Its number counts as proven.
    let sender = json!({"phone": "16505557777", "display_name": "Elsewhere", "adapter": "numbers"});
    let elsewhere = stage.partner.made(201, &format!("{}/senders", stage.business), &sender).await;
    let elsewhere = elsewhere["id"].as_str().expect("an id").to_owned();
    site.execute(&format!("UPDATE senders SET phone_verified_at = 1 WHERE id = {elsewhere}")).await;
    // Its network takes more than templates only from a sender to whom the person wrote.
    let (now, person, of) = (seconds_now() * 1_000, format!("1650555{DELIVERED_ONLY}"), &demo.info().business_id);
    let window = format!(
        "INSERT INTO windows (sender_id, recipient, business_id, last_inbound_id, last_inbound_at)
         VALUES ({elsewhere}, '{person}', '{}', '', {now})",
        of.trim_start_matches("biz_")
    );
    site.execute(&window).await;
    let path = format!("/v24.0/{elsewhere}/messages");

    let (test, _) = stage.key(json!({"name": "test"})).await;
    assert_eq!(test.send(&message()).await.status, 200, "the sandbox is for everybody");
    let refused = test.post(&path, &message()).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!(10)), "{}", refused.body);
    assert!(refused.body.contains("test key"), "{}", refused.body);
    let live = eventually("the live key reaches it", async || {
        let answer = stage.tenant.post(&path, &message()).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    live.accepted();

    // A business that nobody has verified yet.
    let draft = stage.partner.made(201, "/partner/v1/businesses", &json!({"name": "Early"})).await;
    let place = format!("/partner/v1/businesses/{}", draft["id"].as_str().expect("an id"));
    let grant = json!({"name": "early", "mode": "live"});
    for what in ["api_keys", "oauth_clients"] {
        let answer = stage.partner.post(&format!("{place}/{what}"), &grant).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "not_verified"), "{}", answer.body);
    }
    let early = stage.tenant.with(draft["test_key"]["api_key"].as_str().expect("a key"));
    let sender = json!({"phone": "16505558888", "display_name": "Early"});
    let sandbox = stage.partner.made(201, &format!("{place}/senders"), &sender).await;
    let sandbox = format!("/v24.0/{}/messages", sandbox["id"].as_str().expect("an id"));
    early.post(&sandbox, &message()).await.accepted();
    let sender = json!({"phone": "16505559999", "display_name": "Early", "adapter": "numbers"});
    let elsewhere = stage.partner.made(201, &format!("{place}/senders"), &sender).await;
    let elsewhere = format!("/v24.0/{}/messages", elsewhere["id"].as_str().expect("an id"));
    assert_eq!(early.post(&elsewhere, &message()).await.status, 403);
}

async fn expired_revoked_and_rotated_credentials_have_their_own_errors(profile: Profile) {
    let site = Site::new(profile).await;
    let info = site.add_business(None);
    let roles = if profile == Profile::Cluster { "api" } else { "api,worker,admin" };
    let server = site.serve(roles);
    // What one process revokes, another refuses too.
    let other = (profile == Profile::Cluster).then(|| site.serve("api"));
    let stage = Stage::of(&info, &server.base_url);
    let elsewhere = |client: &Client| client.at(other.as_ref().map_or(&server.base_url, |other| &other.base_url));

    let (revoked, key) = stage.key(json!({"name": "revoked"})).await;
    passes(&elsewhere(&revoked)).await;
    let path = format!("{}/api_keys/{}", stage.business, key["id"].as_str().expect("an id"));
    let answer = exchange(stage.partner.request(Method::DELETE, &path)).await.expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.body);
    assert_refused(&revoked, 401, "key_revoked").await;
    let begun = std::time::Instant::now();
    eventually("the other process knows", async || {
        let answer = elsewhere(&revoked).get("/v1/me").await;
        (answer.problem() == "key_revoked").then_some(())
    })
    .await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let refused = revoked.send(&message()).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!(190)), "{}", refused.body);
    assert!(refused.header("www-authenticate").is_some());
    let again = exchange(stage.partner.request(Method::DELETE, &path)).await.expect("an answer");
    assert_eq!(again.status, 204, "revoking again changes nothing");
    assert!(stage.partner.get(&path).await.json()["revoked_at"].is_string());

    let at = seconds_now() + 3;
    let ends_at = jiff::Timestamp::from_second(i64::try_from(at).expect("a time")).expect("a time").to_string();
    let (ending, key) = stage.key(json!({"name": "ending", "expires_at": ends_at})).await;
    assert_eq!(key["expires_at"].as_str().map(|text| &text[..19]), Some(&ends_at[..19]), "{key}");
    passes(&ending).await;
    eventually("its time is over", async || (seconds_now() >= at).then_some(())).await;
    assert_refused(&ending, 401, "key_expired").await;
    let past = json!({"name": "past", "expires_at": "2020-01-01T00:00:00Z"});
    let answer = stage.partner.post(&format!("{}/api_keys", stage.business), &past).await;
    assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (422, &json!("/expires_at")));

    let (old, key) = stage.key(json!({"name": "rotated", "scopes": ["billing:read"]})).await;
    let path = format!("{}/api_keys/{}", stage.business, key["id"].as_str().expect("an id"));
    let rotated = stage.partner.made(201, &format!("{path}/rotate"), &json!({"grace_hours": 1})).await;
    let new = stage.tenant.with(rotated["api_key"].as_str().expect("a key"));
    assert_eq!(rotated["scopes"], json!(["billing:read"]));
    passes(&old).await;
    passes(&new).await;
    let kept = stage.partner.get(&path).await.json();
    assert_eq!(kept["successor"], rotated["id"]);
    assert!(kept["expires_at"].is_string() && kept.get("api_key").is_none(), "{kept}");
    let twice = stage.partner.post(&format!("{path}/rotate"), &json!({})).await;
    assert_eq!((twice.status, twice.problem().as_str()), (409, "conflict"), "{}", twice.body);
    let path = format!("{}/api_keys/{}", stage.business, rotated["id"].as_str().expect("an id"));
    let last = stage.partner.made(201, &format!("{path}/rotate"), &json!({"grace_hours": 0})).await;
    assert_refused(&new, 401, "key_expired").await;
    passes(&stage.tenant.with(last["api_key"].as_str().expect("a key"))).await;
    let long = stage.partner.post(&format!("{path}/rotate"), &json!({"grace_hours": 73})).await;
    assert_eq!((long.status, &long.json()["errors"][0]["limit"]), (422, &json!(72)), "{}", long.body);
}

async fn a_key_with_an_allow_list_is_refused_from_elsewhere(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.set("server.trusted_proxies", "[\"127.0.0.1/32\"]");
    let demo = site.demo(None);
    let stage = Stage::of(demo.info(), &demo.info().base_url);
    let (bound, _) = stage.key(json!({"name": "bound", "addresses": ["192.0.2.0/24", "2001:db8::1"]})).await;
    let refused = assert_refused(&bound, 403, "address_not_allowed").await;
    assert!(refused.body.contains("127.0.0.1"), "{}", refused.body);
    for (hops, passes) in [
        ("192.0.2.7", true),
        ("2001:db8::1", true),
        ("198.51.100.9, 192.0.2.7", true),
        ("192.0.2.7, 198.51.100.9", false),
        ("2001:db8::2", false),
        ("nonsense", false),
    ] {
        let request = bound.request(Method::GET, "/v1/me").header("x-forwarded-for", hops);
        let answer = exchange(request).await.expect("an answer");
        assert_eq!(answer.status == 200, passes, "{hops}: {}", answer.body);
    }
    // A token is bound as its client is.
    let grant = json!({"name": "bound", "addresses": ["192.0.2.0/24"]});
    let client = stage.partner.made(201, &format!("{}/oauth_clients", stage.business), &grant).await;
    let request = token_request(&stage.tenant, &client, "");
    let refused = exchange(request).await.expect("an answer");
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("unauthorized_client")), "{}", refused.body);
    let request = token_request(&stage.tenant, &client, "").header("x-forwarded-for", "192.0.2.7");
    let token = exchange(request).await.expect("an answer").json();
    let holder = stage.tenant.with(token["access_token"].as_str().expect("a token"));
    assert_refused(&holder, 403, "address_not_allowed").await;
}

/// The signature of a request, made as a client would.
fn signature(secret: &str, method: &str, path: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{method}\n{path}\n{timestamp}\n{body}").as_bytes());
    format!("v1={}", hex::encode(mac.finalize().into_bytes()))
}

async fn a_key_that_signs_is_refused_without_a_signature_that_fits_now(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let stage = Stage::of(demo.info(), &demo.info().base_url);
    let secret = demo.info().app_secret.clone();
    let (signer, _) = stage.key(json!({"name": "signer", "signed": true})).await;
    let mut message = message();
    message["from"] = stage.tenant.phone_number_id.as_str().into();
    let (path, body) = ("/v1/messages", message.to_string());
    let send = async |timestamp: Option<u64>, signed: Option<String>, body: &str| {
        let mut request = signer.request(Method::POST, path).body(body.to_owned());
        if let Some(timestamp) = timestamp {
            request = request.header("x-waystation-timestamp", timestamp.to_string());
        }
        if let Some(signed) = signed {
            request = request.header("x-waystation-signature", signed);
        }
        exchange(request).await.expect("an answer")
    };
    let by = |secret: &str, at: u64, body: &str| Some(signature(secret, "POST", path, &at.to_string(), body));

    let now = seconds_now();
    let other = body.replace("hi", "ho");
    for (what, at, signed, body) in [
        ("unsigned", None, None, &body),
        ("without a timestamp", None, by(&secret, now, &body), &body),
        ("without a signature", Some(now), None, &body),
        ("with another secret", Some(now), by("another secret", now, &body), &body),
        ("of another body", Some(now), by(&secret, now, &other), &body),
        ("of another time", Some(now + 1), by(&secret, now, &body), &body),
        ("that is no signature", Some(now), Some("v1=00".to_owned()), &body),
        ("sent again more than five minutes later", Some(now - 301), by(&secret, now - 301, &body), &body),
        ("from the future", Some(now + 330), by(&secret, now + 330, &body), &body),
    ] {
        let answer = send(at, signed, body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "signature_invalid"), "{what}: {}", answer.body);
    }
    assert_eq!(site.messages().await, 0);
    let now = seconds_now();
    assert_eq!(send(Some(now), by(&secret, now, &body), &body).await.status, 202);
    // The query is signed too, and reading is no exception.
    let path = "/v1/usage?limit=1";
    let signed = signature(&secret, "GET", path, &now.to_string(), "");
    for (asked, status) in [(path, 200), ("/v1/usage?limit=2", 401)] {
        let request = signer.request(Method::GET, asked).header("x-waystation-timestamp", now.to_string());
        let answer = exchange(request.header("x-waystation-signature", &signed)).await.expect("an answer");
        assert_eq!(answer.status, status, "{asked}: {}", answer.body);
    }
    // Two secrets hold while one takes over from the other; then the old one ends.
    let place = format!("{}/signing_secrets", stage.business);
    let rotated = stage.partner.made(201, &place, &json!({"grace_hours": 1})).await;
    let new = rotated["signing_secret"].as_str().expect("a secret").to_owned();
    for secret in [&secret, &new] {
        let answer = eventually("the new secret is known", async || {
            let answer = send(Some(now), by(secret, now, &body), &body).await;
            (answer.status == 202).then_some(answer)
        })
        .await;
        answer.accepted();
    }
    let listed = stage.partner.get(&place).await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
    assert!(!listed.to_string().contains(&new), "{listed}");
    stage.partner.made(201, &place, &json!({"grace_hours": 0})).await;
    eventually("the old secrets are over", async || {
        let answers =
            [send(Some(now), by(&secret, now, &body), &body).await, send(Some(now), by(&new, now, &body), &body).await];
        answers.iter().all(|answer| answer.problem() == "signature_invalid").then_some(())
    })
    .await;
}

async fn a_suspended_reseller_is_refused_with_all_that_is_below_it(profile: Profile) {
    let site = Site::new(profile).await;
    let (info, other) = (site.add_business(None), site.add_business(None));
    let mut server = site.serve("api,worker,admin");
    let stage = Stage::of(&info, &server.base_url);
    let client = stage.partner.made(201, &format!("{}/oauth_clients", stage.business), &json!({"name": "c"})).await;
    let token = exchange(token_request(&stage.tenant, &client, "")).await.expect("an answer").json();
    let holder = stage.tenant.with(token["access_token"].as_str().expect("a token"));
    passes(&holder).await;
    stop(&mut server.process);

    let key = info.business_id.trim_start_matches("biz_");
    site.execute(&format!(
        "UPDATE resellers SET status = 'suspended' WHERE id = (SELECT reseller_id FROM businesses WHERE id = '{key}')"
    ))
    .await;
    let server = site.serve("api,worker,admin");
    let stage = Stage::of(&info, &server.base_url);
    for client in [&stage.tenant, &holder.at(&server.base_url)] {
        assert_refused(client, 403, "suspended").await;
    }
    let answer = stage.partner.get("/partner/v1/businesses").await;
    assert_eq!((answer.status, answer.problem().as_str()), (403, "suspended"), "{}", answer.body);
    let answer = stage.tenant.send(&message()).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &json!(131_031)), "{}", answer.body);
    let refused = exchange(token_request(&stage.tenant, &client, "")).await.expect("an answer");
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("unauthorized_client")), "{}", refused.body);
    assert!(refused.body.contains("suspended"), "{}", refused.body);
    let others = Stage::of(&other, &server.base_url);
    passes(&others.tenant).await;
    assert_eq!(others.partner.get("/partner/v1/me").await.status, 200);
}

async fn whoever_asks_too_often_is_told_when_to_come_back_and_nobody_else_is(profile: Profile) {
    const RATE: u32 = 5;
    let site = Site::new(profile).await;
    let info_of_other = site.add_business(None);
    let demo = site.demo(None);
    let stage = Stage::of(demo.info(), &demo.info().base_url);
    let other = Stage::of(&info_of_other, &demo.info().base_url);
    let path = format!("{}/policy", stage.business);
    let policy = json!({"requests_per_second_and_key": RATE, "requests_per_second": 2 * RATE});
    let set = exchange(stage.partner.request(Method::PUT, &path).body(policy.to_string())).await.expect("an answer");
    assert_eq!(set.status, 200, "{}", set.body);
    assert_eq!(set.json()["effective_policy"]["requests_per_second_and_key"], RATE);

    // More than there is room for, at once; a slow machine may need more of them.
    let flood = async |client: &Client, requests: usize| {
        let asking = (0..requests).map(|_| client.get("/v1/me"));
        futures_util::future::join_all(asking).await
    };
    let answers = eventually("the limit holds", async || {
        let answers = flood(&stage.tenant, 40).await;
        answers.iter().any(|answer| answer.status == 429).then_some(answers)
    })
    .await;
    let (passed, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!passed.is_empty() && passed.len() + refused.len() == 40);
    for answer in &refused {
        assert_eq!((answer.status, answer.problem().as_str()), (429, "rate_limited"), "{}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    }
    for answer in &answers {
        let policy = answer.header("ratelimit-policy").expect("the limits");
        assert_eq!(policy, format!("\"key\";q={RATE};w=1, \"business\";q={};w=1", 2 * RATE));
        let level = answer.header("ratelimit").expect("what is left");
        assert!(level.starts_with("\"key\";r=") && level.contains("\"business\";r="), "{level}");
    }
    // Another key of the business has its own share, and another tenant all of theirs.
    let (second, _) = stage.key(json!({"name": "second"})).await;
    eventually("the second key has its share", async || {
        drop(flood(&stage.tenant, 10).await);
        (second.get("/v1/me").await.status == 200).then_some(())
    })
    .await;
    for answer in flood(&other.tenant, 40).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    // The Cloud API's routes say it in their own words.
    let refused = eventually("a message is one too many", async || {
        let nothing = json!({});
        let sending = (0..20).map(|_| stage.tenant.send(&nothing));
        futures_util::future::join_all(sending).await.into_iter().find(|answer| answer.status == 429)
    })
    .await;
    assert_eq!(refused.json()["error"]["code"], 130_429, "{}", refused.body);
    assert!(refused.header("retry-after").is_some());
    // Whoever comes back when told gets through.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    passes(&stage.tenant).await;
}

async fn whoever_tries_credentials_waits_and_known_ones_pass(profile: Profile) {
    const REFUSED_PER_MINUTE: usize = 5;
    let mut site = Site::new(profile).await;
    site.set("limits.refused_per_minute", REFUSED_PER_MINUTE);
    let demo = site.demo(None);
    let stage = Stage::of(demo.info(), &demo.info().base_url);
    let client = stage.partner.made(201, &format!("{}/oauth_clients", stage.business), &json!({"name": "c"})).await;
    let never_used = stage.key(json!({"name": "never used"})).await.0;
    passes(&stage.tenant).await;
    assert_eq!(exchange(token_request(&stage.tenant, &client, "")).await.expect("an answer").status, 200);
    let wrong_secret = json!({"id": client["id"], "client_secret": "ws_secret_wrong"});

    for attempt in 0..REFUSED_PER_MINUTE {
        // Keys and clients are tried alike.
        if attempt % 2 == 0 {
            assert_refused(&stage.tenant.with("ws_live_guessed"), 401, "unauthenticated").await;
        } else {
            let refused = exchange(token_request(&stage.tenant, &wrong_secret, "")).await.expect("an answer");
            assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("invalid_client")));
            assert!(refused.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Basic ")));
        }
    }
    assert_refused(&stage.tenant.with("ws_live_guessed"), 401, "unauthenticated").await;
    let waiting = assert_refused(&stage.tenant.with("ws_live_guessed"), 429, "rate_limited").await;
    let wait: u64 = waiting.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a time");
    assert!((1..=60).contains(&wait), "{wait}");
    let waiting = exchange(token_request(&stage.tenant, &wrong_secret, "")).await.expect("an answer");
    assert_eq!((waiting.status, &waiting.json()["error"]), (429, &json!("temporarily_unavailable")));
    assert!(waiting.header("retry-after").is_some());
    // What was not used here before cannot be told from a guess; what was passes, also when something about its
    // owner has changed since.
    assert_eq!(never_used.get("/v1/me").await.status, 429);
    stage.partner.made(201, "/partner/v1/businesses", &json!({"name": "Another"})).await;
    stage.key(json!({"name": "another"})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    passes(&stage.tenant).await;
    assert_eq!(stage.partner.get("/partner/v1/me").await.status, 200);
    assert_eq!(exchange(token_request(&stage.tenant, &client, "")).await.expect("an answer").status, 200);
}

/// A request for a token by a client as it was issued, with `more` in its form.
fn token_request(client: &Client, issued: &Value, more: &str) -> reqwest::RequestBuilder {
    let field = |name: &str| issued[name].as_str().unwrap_or_default().to_owned();
    let (id, secret) = (field("id"), field("client_secret"));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}{more}");
    token_form(client, &form)
}

fn token_form(client: &Client, form: &str) -> reqwest::RequestBuilder {
    let request = http().post(format!("{}/oauth/token", client.base_url));
    request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())
}

async fn an_oauth_client_gets_tokens_as_the_rfc_has_it(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let stage = Stage::of(demo.info(), &demo.info().base_url);
    let place = format!("{}/oauth_clients", stage.business);
    let grant = json!({"name": "c", "mode": "live", "scopes": ["messages:send", "messages:read"]});
    let client = stage.partner.made(201, &place, &grant).await;
    let (id, secret) = (client["id"].as_str().expect("an id"), client["client_secret"].as_str().expect("a secret"));
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));

    let with_basic = |form: &str| token_form(&stage.tenant, form).header("authorization", &basic);
    let narrowed = "grant_type=client_credentials&scope=messages%3Asend";
    let answer = exchange(with_basic(narrowed)).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), (Some("no-store"), Some("no-cache")));
    let token = answer.json();
    assert_eq!((&token["token_type"], &token["scope"]), (&json!("Bearer"), &json!("messages:send")));
    assert!(token["expires_in"].as_i64().is_some_and(|seconds| (3_590..=3_600).contains(&seconds)), "{token}");
    let holder = stage.tenant.with(token["access_token"].as_str().expect("a token"));
    let id_of_message = holder.send(&message()).await.accepted();
    let answer = holder.get(&format!("/v1/messages/{id_of_message}")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (403, "scope_missing"), "{}", answer.body);
    let whole = exchange(with_basic("grant_type=client_credentials")).await.expect("an answer").json();
    assert_eq!(whole["scope"], "messages:send messages:read");

    let in_body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    for (what, request, status, error) in [
        ("both ways", with_basic(&in_body), 400, "invalid_request"),
        ("no grant type", with_basic("scope=messages%3Asend"), 400, "invalid_request"),
        ("a password", with_basic("grant_type=password"), 400, "unsupported_grant_type"),
        ("a parameter twice", with_basic(&format!("{narrowed}&scope=x")), 400, "invalid_request"),
        ("a wider scope", with_basic("grant_type=client_credentials&scope=admin"), 400, "invalid_scope"),
        ("no such scope", with_basic("grant_type=client_credentials&scope=fly%22"), 400, "invalid_scope"),
        ("nobody", token_form(&stage.tenant, "grant_type=client_credentials"), 401, "invalid_client"),
        ("JSON", token_form(&stage.tenant, "{}").header("content-type", "application/json"), 400, "invalid_request"),
    ] {
        let answer = exchange(request).await.expect("an answer");
        let body = answer.json();
        assert_eq!((answer.status, &body["error"]), (status, &json!(error)), "{what}: {body}");
        let description = body["error_description"].as_str().expect("a description");
        assert!(description.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"'), "{what}: {description}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    }
    let answer = exchange(http().get(format!("{}/oauth/token", stage.tenant.base_url))).await.expect("an answer");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{}", answer.body);

    // Two secrets hold while one takes over from the other.
    let rotated = stage.partner.made(200, &format!("{place}/{id}/rotate"), &json!({"grace_hours": 1})).await;
    assert!(rotated["previous_secret_until"].is_string(), "{rotated}");
    for issued in [&client, &rotated] {
        assert_eq!(exchange(token_request(&stage.tenant, issued, "")).await.expect("an answer").status, 200);
    }
    stage.partner.made(200, &format!("{place}/{id}/rotate"), &json!({"grace_hours": 0})).await;
    for issued in [&client, &rotated] {
        assert_eq!(exchange(token_request(&stage.tenant, issued, "")).await.expect("an answer").status, 401);
    }
    // With the client its tokens end.
    assert_eq!(holder.send(&message()).await.status, 200);
    let path = format!("{place}/{id}");
    let gone = exchange(stage.partner.request(Method::DELETE, &path)).await.expect("an answer");
    assert_eq!(gone.status, 204, "{}", gone.body);
    let refused = holder.get(&format!("/v1/messages/{id_of_message}")).await;
    assert_eq!((refused.status, refused.problem().as_str()), (401, "key_revoked"), "{}", refused.body);
}

async fn nobody_gives_more_than_they_have(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let stage = Stage::of(demo.info(), &demo.info().base_url);
    // Credentials of businesses are for those who may issue them; the reseller's own for those who may do everything.
    let grant = json!({"name": "issuer", "scopes": ["businesses:read", "businesses:write", "credentials:write"]});
    let issuer = stage.partner.made(201, "/partner/v1/api_keys", &grant).await;
    let issuer = stage.partner.with(issuer["api_key"].as_str().expect("a key"));
    issuer.made(201, &format!("{}/api_keys", stage.business), &json!({"name": "k"})).await;
    for what in ["api_keys", "oauth_clients"] {
        let answer = issuer.post(&format!("/partner/v1/{what}"), &json!({"name": "wider"})).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "scope_missing"), "{}", answer.body);
    }
    // Scopes are those of the kind.
    for (place, scope) in [(stage.business.as_str(), "businesses:write"), ("/partner/v1", "messages:send")] {
        let answer =
            stage.partner.post(&format!("{place}/api_keys"), &json!({"name": "k", "scopes": [scope, "fly"]})).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (422, &json!("/scopes")));
        let answer = stage.partner.post(&format!("{place}/api_keys"), &json!({"name": "k", "scopes": [scope]})).await;
        assert_eq!((answer.status, &answer.json()["errors"][0]["pointer"]), (422, &json!("/scopes")));
    }
    // A business gets what its reseller has, and not more.
    let key = demo.info().business_id.trim_start_matches("biz_");
    site.execute(&format!(
        "UPDATE resellers SET policy = '{{\"messages_per_day\": 10, \"channels\": [\"whatsapp\"]}}' \
         WHERE id = (SELECT reseller_id FROM businesses WHERE id = '{key}')"
    ))
    .await;
    let path = format!("{}/policy", stage.business);
    let set = async |policy: &Value| {
        exchange(stage.partner.request(Method::PUT, &path).body(policy.to_string())).await.expect("an answer")
    };
    let refused = set(&json!({"messages_per_day": 11, "channels": ["whatsapp", "sms"]})).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let body = refused.json();
    let pointers: Vec<&Value> =
        body["errors"].as_array().expect("errors").iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/messages_per_day", "/channels/1"]);
    let narrower = set(&json!({"messages_per_day": 9})).await;
    assert_eq!((narrower.status, &narrower.json()["effective_policy"]["messages_per_day"]), (200, &json!(9)));
    let inherited = set(&json!({})).await;
    assert_eq!((inherited.status, &inherited.json()["effective_policy"]["messages_per_day"]), (200, &json!(10)));
}

/// Sends until the day's messages are used up, and what is said then.
async fn use_up(client: &Client, cap: usize) -> Answer {
    for _ in 0..cap {
        client.send(&message()).await.accepted();
    }
    client.send(&message()).await
}

async fn set_cap(stage: &Stage, cap: usize) {
    // A day that ends during a test has caps for two.
    while 86_400 - seconds_now() % 86_400 < 120 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let path = format!("{}/policy", stage.business);
    let request = stage.partner.request(Method::PUT, &path).body(json!({"messages_per_day": cap}).to_string());
    assert_eq!(exchange(request).await.expect("an answer").status, 200);
    // A sender's policy is known everywhere within a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

fn assert_used_up(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert_eq!(answer.json()["error"]["code"], 80_007, "{}", answer.body);
    let wait: u64 = answer.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a time");
    let left = 86_400 - seconds_now() % 86_400;
    assert!(wait.abs_diff(left) <= 30, "{wait} s, when {left} s of the day are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_days_cap_holds_until_the_day_is_over_whatever_restarts() {
    let site = Site::new(Profile::Embedded).await;
    let info = site.add_business(None);
    let mut server = site.serve("api,worker,admin");
    let stage = Stage::of(&info, &server.base_url);
    set_cap(&stage, 3).await;
    assert_used_up(&use_up(&stage.tenant, 3).await);
    stop(&mut server.process);
    let server = site.serve("api,worker,admin");
    let stage = Stage::of(&info, &server.base_url);
    assert_used_up(&stage.tenant.send(&message()).await);
    let day = stage.tenant.get("/v1/usage").await.json();
    assert_eq!(day["data"][0]["messages"], 3, "{day}");
    set_cap(&stage, 4).await;
    assert_used_up(&use_up(&stage.tenant, 1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_days_cap_is_one_over_all_processes_and_outlives_a_wiped_redis() {
    let redis = Redis::start().await.expect("a Redis");
    let site = Site::on(Postgres::shared().await.expect("a PostgreSQL"), &redis).await;
    let info = site.add_business(None);
    let (one, two) = (site.serve("api"), site.serve("api"));
    let stage = Stage::of(&info, &one.base_url);
    set_cap(&stage, 4).await;
    for server in [&one, &two, &one, &two] {
        stage.tenant.at(&server.base_url).send(&message()).await.accepted();
    }
    for server in [&one, &two] {
        assert_used_up(&stage.tenant.at(&server.base_url).send(&message()).await);
    }
    redis.wipe().await.expect("a wipe");
    for server in [&one, &two] {
        assert_used_up(&stage.tenant.at(&server.base_url).send(&message()).await);
    }
    redis.kill().expect("a kill");
    for server in [&one, &two] {
        assert_used_up(&stage.tenant.at(&server.base_url).send(&message()).await);
    }
    assert_eq!(site.messages().await, 4);
}
