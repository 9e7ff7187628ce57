use std::{collections::HashMap, sync::Arc};

use actix_web::{
    App,
    cookie::{Cookie, SameSite},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap},
    },
    test::{TestRequest, call_service, init_service, read_body},
};
use tempfile::TempDir;
use waystation_core::{
    access::{LINK_LIFE_MS, SESSION_LIFE_MS, issue_link},
    audit::Actor,
    clock::now_ms,
    ids::{BusinessId, MessageId, SenderId},
    store::{Direction, NewMessage, Store, StoreSettings, StoreUrl},
    tenancy::Policy,
};

use crate::{
    AdapterCard, Dashboard, assets, configure,
    pages::{self, Frame, Page, TEMPLATES},
};

const STYLE: &str = include_str!("../assets/style.css");
const ICON: &str = include_str!("../assets/icon.svg");
/// Smallest contrast of text that WCAG AA allows.
const TEXT_CONTRAST: f64 = 4.5;
/// Smallest contrast that it allows for what marks a control or a part of a chart.
const MARK_CONTRAST: f64 = 3.0;

struct Fixture {
    dashboard: Dashboard,
    _folder: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    cookies: Vec<Cookie<'static>>,
    body: String,
}

impl Fixture {
    async fn new() -> Self {
        let fixture = Self::without_tables().await;
        fixture.dashboard.store.migrate(Direction::Up).await.unwrap();
        fixture
    }

    async fn without_tables() -> Self {
        let folder = TempDir::new().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("waystation.db"));
        let store = Store::open(&StoreSettings { url, connections: 4 }).await.unwrap();
        let dashboard = Dashboard { store, version: "1.2.3", adapters: Arc::new(Vec::new), secure_cookies: true };
        Self { dashboard, _folder: folder }
    }

    async fn ask(&self, request: TestRequest) -> Answer {
        let app = init_service(App::new().configure(configure(self.dashboard.clone()))).await;
        let response = call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let cookies = response.response().cookies().map(Cookie::into_owned).collect();
        let body = String::from_utf8(read_body(response).await.to_vec()).unwrap();
        Answer { status, headers, cookies, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(TestRequest::get().uri(path)).await
    }

    async fn token(&self) -> String {
        issue_link(&self.dashboard.store, "ada", now_ms()).await.unwrap().reveal().to_owned()
    }

    async fn session(&self) -> Cookie<'static> {
        let answer = self.get(&format!("/admin/sign-in?token={}", self.token().await)).await;
        answer.cookie("waystation_session").clone()
    }

    async fn home(&self, session: &Cookie<'static>) -> Answer {
        self.ask(TestRequest::get().uri("/admin/").cookie(session.clone())).await
    }

    async fn csrf(&self, session: &Cookie<'static>) -> String {
        let home = self.home(session).await.body;
        let (_, rest) = home.split_once("name=\"csrf\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    async fn accept_message(&self) {
        let now = now_ms();
        let message = NewMessage {
            id: MessageId::generate(),
            business_id: BusinessId::generate(),
            sender_id: SenderId::generate(),
            recipient: "15550100001".to_owned(),
            kind: "text",
            body: "{}".to_owned(),
            rendered: "Hi".to_owned(),
            callback_data: None,
            accepted_at: now,
            expires_at: now + 60_000,
            idempotency: None,
        };
        self.dashboard.store.accept(vec![message]).await.unwrap();
    }
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(&name).map_or("", |value| value.to_str().unwrap())
    }

    fn cookie(&self, name: &str) -> &Cookie<'static> {
        self.cookies.iter().find(|cookie| cookie.name() == name).unwrap()
    }

    fn leads_to(&self, path: &str) -> bool {
        self.status == StatusCode::SEE_OTHER && self.header(header::LOCATION) == path
    }
}

fn sign_out(session: &Cookie<'static>, csrf: &str) -> TestRequest {
    TestRequest::post().uri("/admin/sign-out").cookie(session.clone()).set_form([("csrf", csrf)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_once() {
    let fixture = Fixture::new().await;
    let link = format!("/admin/sign-in?token={}", fixture.token().await);

    let first = fixture.get(&link).await;
    assert!(first.leads_to("/admin/"));
    let session = first.cookie("waystation_session");
    assert_eq!((session.http_only(), session.secure(), session.path()), (Some(true), Some(true), Some("/admin")));
    assert_eq!(session.same_site(), Some(SameSite::Lax));
    assert_eq!(session.max_age().unwrap().whole_milliseconds(), i128::from(SESSION_LIFE_MS));
    let home = fixture.home(session).await;
    assert_eq!(home.status, StatusCode::OK);
    assert!(home.body.contains("<strong>ada</strong>"));

    let second = fixture.get(&link).await;
    assert_eq!(second.status, StatusCode::FORBIDDEN);
    assert!(second.body.contains("This link does not work."));
    assert!(second.cookies.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_or_unknown_link_is_refused() {
    let fixture = Fixture::new().await;
    let old = issue_link(&fixture.dashboard.store, "ada", now_ms() - LINK_LIFE_MS - 1).await.unwrap();
    for token in [old.reveal(), "unknown", ""] {
        let answer = fixture.get(&format!("/admin/sign-in?token={token}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{token:?}");
        assert!(answer.cookies.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_or_its_token_can_be_pasted() {
    let fixture = Fixture::new().await;
    let link = format!("http://localhost:8080/admin/sign-in?token={}", fixture.token().await);
    for pasted in [link, fixture.token().await] {
        let form = TestRequest::post().uri("/admin/sign-in").set_form([("token", pasted)]);
        assert!(fixture.ask(form).await.leads_to("/admin/"));
    }
    let wrong = TestRequest::post().uri("/admin/sign-in").set_form([("token", "wrong")]);
    assert_eq!(fixture.ask(wrong).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_loads_ahead_or_asks_for_the_head_uses_no_link_up() {
    let fixture = Fixture::new().await;
    let link = format!("/admin/sign-in?token={}", fixture.token().await);
    let ahead = TestRequest::get().uri(&link).insert_header(("Sec-Purpose", "prefetch;prerender"));
    assert_eq!(fixture.ask(ahead).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let head = TestRequest::default().method(Method::HEAD).uri(&link);
    assert_eq!(fixture.ask(head).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(fixture.get(&link).await.leads_to("/admin/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn home_without_an_open_session_leads_to_the_sign_in_page() {
    let fixture = Fixture::new().await;
    assert!(fixture.get("/admin/").await.leads_to("/admin/sign-in"));
    assert!(fixture.home(&Cookie::new("waystation_session", "made-up")).await.leads_to("/admin/sign-in"));
    assert!(fixture.get("/admin").await.leads_to("/admin/"));
    assert!(fixture.get("/").await.leads_to("/admin/"));
    assert_eq!(fixture.get("/admin/sign-in").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_itself() {
    let fixture = Fixture::new().await;
    let session = fixture.session().await;
    let csrf = fixture.csrf(&session).await;

    let answer = fixture.ask(sign_out(&session, &csrf)).await;
    assert!(answer.leads_to("/admin/sign-in"));
    assert_eq!(answer.cookie("waystation_session").max_age().unwrap().whole_seconds(), 0);
    assert!(fixture.home(&session).await.leads_to("/admin/sign-in"));

    let notice = answer.cookie("waystation_notice").clone();
    let after = fixture.ask(TestRequest::get().uri("/admin/sign-in").cookie(notice)).await;
    assert!(after.body.contains("You are signed out."));
    assert_eq!(after.cookie("waystation_notice").max_age().unwrap().whole_seconds(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_again_ends_the_session_before() {
    let fixture = Fixture::new().await;
    let before = fixture.session().await;
    let link = format!("/admin/sign-in?token={}", fixture.token().await);
    assert!(fixture.ask(TestRequest::get().uri(&link).cookie(before.clone())).await.leads_to("/admin/"));
    assert!(fixture.home(&before).await.leads_to("/admin/sign-in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_is_refused_without_the_token_of_this_session() {
    let fixture = Fixture::new().await;
    let (session, other) = (fixture.session().await, fixture.session().await);
    let foreign = fixture.csrf(&other).await;
    for csrf in ["", "0", foreign.as_str()] {
        let answer = fixture.ask(sign_out(&session, csrf)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{csrf:?}");
    }
    let bare = TestRequest::post().uri("/admin/sign-out").cookie(session.clone());
    assert_eq!(fixture.ask(bare).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.home(&session).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_sent_from_elsewhere_is_refused() {
    let fixture = Fixture::new().await;
    let session = fixture.session().await;
    let csrf = fixture.csrf(&session).await;
    for (name, value) in
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site"), ("Origin", "https://elsewhere.example")]
    {
        let form = sign_out(&session, &csrf).insert_header((name, value));
        assert_eq!(fixture.ask(form).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
        let form = TestRequest::post().uri("/admin/sign-in").set_form([("token", fixture.token().await)]);
        assert_eq!(fixture.ask(form.insert_header((name, value))).await.status, StatusCode::FORBIDDEN);
    }
    for (name, value) in [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://localhost:8080"), ("Origin", "null")] {
        let session = fixture.session().await;
        let form = sign_out(&session, &fixture.csrf(&session).await).insert_header((name, value));
        assert!(fixture.ask(form).await.leads_to("/admin/sign-in"), "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_security_headers() {
    let fixture = Fixture::new().await;
    let broken = Fixture::without_tables().await;
    let session = fixture.session().await;
    let cases = [
        fixture.get("/").await,
        fixture.get("/admin").await,
        fixture.get("/admin/").await,
        fixture.home(&session).await,
        fixture.get("/admin/sign-in").await,
        fixture.get("/admin/sign-in?token=unknown").await,
        fixture.get("/admin/sign-in?token=a&token=b").await,
        fixture.get("/admin/nowhere").await,
        fixture.ask(TestRequest::delete().uri("/admin/")).await,
        fixture.ask(TestRequest::post().uri("/admin/sign-in").set_payload("x")).await,
        fixture.ask(sign_out(&session, "wrong")).await,
        broken.home(&session).await,
    ];
    for answer in cases {
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        for directive in [
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self' data:",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|part| part == directive), "{directive} in {policy:?}");
        }
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_a_page_with_its_status() {
    let fixture = Fixture::new().await;
    let post = || TestRequest::post().uri("/admin/sign-in");
    let too_long = "x".repeat(crate::FORM_LIMIT_BYTES);
    for (request, status, heading) in [
        (TestRequest::get().uri("/admin/nowhere"), StatusCode::NOT_FOUND, "There is no such page"),
        (TestRequest::get().uri("/admin/assets/style-0.css"), StatusCode::NOT_FOUND, "There is no such page"),
        (TestRequest::delete().uri("/admin/"), StatusCode::METHOD_NOT_ALLOWED, "Not the way to use this page"),
        (post().set_payload("token=x"), StatusCode::BAD_REQUEST, "The request cannot be read"),
        (post().set_form([("token", too_long)]), StatusCode::BAD_REQUEST, "The request cannot be read"),
    ] {
        let answer = fixture.ask(request).await;
        assert_eq!(answer.status, status);
        assert!(answer.body.contains(heading), "{heading}");
        assert_eq!(answer.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_a_friendly_page() {
    let fixture = Fixture::without_tables().await;
    let session = Cookie::new("waystation_session", "any");
    for answer in [fixture.home(&session).await, fixture.get("/admin/sign-in?token=any").await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.body.contains("The database does not answer"));
        assert!(!answer.body.contains("no such table"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_may_be_kept_for_ever() {
    let fixture = Fixture::new().await;
    let page = fixture.get("/admin/sign-in").await.body;
    for (path, media_type) in
        [(assets::style_path(), "text/css; charset=utf-8"), (assets::icon_path(), "image/svg+xml")]
    {
        assert!(page.contains(&format!("href=\"{path}\"")));
        let asset = fixture.get(&path).await;
        assert_eq!(asset.status, StatusCode::OK);
        assert_eq!(asset.header(header::CONTENT_TYPE), media_type);
        assert_eq!(asset.header(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn home_tells_what_there_is() {
    let mut fixture = Fixture::new().await;
    fixture.dashboard.adapters = Arc::new(|| {
        vec![AdapterCard {
            name: "sandbox".to_owned(),
            version: "0.1.0".to_owned(),
            channel: "whatsapp".to_owned(),
            health: "its breaker is open".to_owned(),
        }]
    });
    let session = fixture.session().await;
    let quiet = fixture.home(&session).await.body;
    assert!(
        quiet.contains("First steps") && quiet.contains("href=\"/docs/\"") && quiet.contains("href=\"/docs/errors\"")
    );

    for name in ["North", "South"] {
        let (by, policy) = (Actor::system(), Policy::default());
        fixture.dashboard.store.add_reseller(&by, name, &policy, now_ms()).await.unwrap();
    }
    for _ in 0..3 {
        fixture.accept_message().await;
    }
    let busy = fixture.home(&session).await.body;
    assert!(!busy.contains("First steps"));
    assert!(busy.contains("<dt>Resellers</dt>\n<dd><span class=\"fact-value\">2</span>"));
    assert!(busy.contains("<td class=\"number\">3</td><td class=\"number\">100.0 %</td>"));
    assert!(busy.contains("<span class=\"badge bad\">its breaker is open</span>"));
    assert!(busy.contains("Waystation 1.2.3 · sqlite"));
}

#[test]
fn values_are_escaped() {
    let evil = "<script>alert(\"1\")</script>";
    let view = serde_json::json!({ "status": 404, "heading": evil, "advice": evil, "action": evil, "path": evil });
    let html = pages::render(Page::Error, Frame::bare(evil), view).unwrap();
    assert!(!html.contains("<script"));
    assert_eq!(html.matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;").count(), 5);
    for (name, source) in TEMPLATES {
        assert!(!source.contains("{{{") && !source.contains("{{&"), "{name} leaves a value as it is");
    }
}

#[test]
fn a_value_that_is_missing_is_an_error() {
    assert!(pages::render(Page::Error, Frame::bare("x"), serde_json::json!({ "status": 404 })).is_err());
}

#[test]
fn nothing_refers_to_another_host_or_runs_in_the_page() {
    let icon = ICON.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    let files = TEMPLATES.into_iter().chain([("style.css", STYLE), ("icon.svg", icon.as_str())]);
    for (name, text) in files {
        for forbidden in ["//", "@import", "<script", "javascript:", " style=", " onclick", " onload", "data:"] {
            assert!(!text.to_lowercase().contains(forbidden), "{name} contains {forbidden:?}");
        }
    }
}

#[test]
fn every_template_file_is_embedded() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")).unwrap();
    let mut files: Vec<String> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let mut embedded = TEMPLATES.map(|(name, _)| format!("{name}.hbs"));
    embedded.sort();
    assert_eq!(files, embedded);
}

#[test]
fn colours_meet_wcag_aa_in_light_and_dark() {
    let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
    for scheme in [light, dark] {
        let colours = colours(scheme);
        let check = |front: &str, back: &str, least: f64| {
            let contrast = contrast(colours[front], colours[back]);
            assert!(contrast >= least, "{front} on {back}: {contrast:.2}");
        };
        for back in ["canvas", "surface", "sunken"] {
            for front in ["text", "muted", "link"] {
                check(front, back, TEXT_CONTRAST);
            }
            check("focus", back, MARK_CONTRAST);
        }
        check("line-control", "surface", MARK_CONTRAST);
        check("line-control", "canvas", MARK_CONTRAST);
        check("on-primary", "primary", TEXT_CONTRAST);
        for tone in ["ok", "info", "warn", "bad", "wait"] {
            let (text, soft) = (format!("{tone}-text"), format!("{tone}-soft"));
            check(&text, &soft, TEXT_CONTRAST);
            check(&text, "surface", TEXT_CONTRAST);
            check(tone, "surface", MARK_CONTRAST);
        }
    }
}

/// The tokens of a part of the style sheet that are colours; the first of a name counts.
fn colours(css: &str) -> HashMap<&str, [u8; 3]> {
    let mut colours = HashMap::new();
    for line in css.lines() {
        if let Some((name, value)) = line.trim().strip_prefix("--").and_then(|line| line.split_once(": #")) {
            let mut rgb = [0; 3];
            hex::decode_to_slice(value.trim_end_matches(';'), &mut rgb).unwrap();
            colours.entry(name).or_insert(rgb);
        }
    }
    colours
}

fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(rgb: [u8; 3]) -> f64 {
    let [red, green, blue] = rgb.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
