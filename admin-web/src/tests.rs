mod templates;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

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
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use totp_rs::{Builder, Secret};
use waystation_core::{
    abuse::{Abuse, AbuseRule, Signal},
    access::{Access, Invitation, LINK_LIFE_MS, Role, RoleKind, SESSION_LIFE_MS, Session, Stage, Visitor, owner_link},
    audit::{Actor, Origin},
    clock::{Millis, now_ms},
    credentials::{Credentials, GrantRequest, Issued},
    delivery::{self, DeliverySettings, Enqueuer, Equipment, PluginIo, WebhookSettings},
    egress::{Egress, EgressSettings},
    ids::{BusinessId, MessageId, ResellerId, SenderId},
    media::{BlobAddress, Media, MediaSettings},
    messages::{
        Category,
        state::{AmbiguousPolicy, RetryPolicy},
    },
    onboarding::{CODE_DIGITS, DOCUMENT_MAX_BYTES, DocumentKind, Onboarding, OnboardingSettings, Upload},
    paging::Paging,
    plugins::{AdapterHost, HostSettings},
    queue::EmbeddedQueue,
    store::{Direction, NewMessage, Owner, Store, StoreSettings, StoreUrl},
    templates::Templates,
    tenancy::{BusinessRequest, Directory, Policy, Registry, ResellerRequest, SenderRequest, Subtree},
    vault::Vault,
};

use crate::{
    AdapterCard, Dashboard, assets, configure,
    pages::{self, Frame, Page, templates as page_templates},
    rooms,
};

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/script.js");
const ICON: &str = include_str!("../assets/icon.svg");
/// Smallest contrast of text that WCAG AA allows.
const TEXT_CONTRAST: f64 = 4.5;
/// Smallest contrast that it allows for what marks a control or a part of a chart.
const MARK_CONTRAST: f64 = 3.0;
/// How an image begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";

struct Fixture {
    dashboard: Dashboard,
    reseller: ResellerId,
    business: BusinessId,
    equipment: Option<Equipment>,
    _folder: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    cookies: Vec<Cookie<'static>>,
    body: String,
}

/// Somebody who is signed in.
struct Person {
    cookie: Cookie<'static>,
    secret: String,
}

impl Fixture {
    async fn new() -> Self {
        let mut fixture = Self::without_tables().await;
        let store = fixture.dashboard.store.clone();
        store.migrate(Direction::Up).await.unwrap();
        store.adopt_vault(&Vault::for_tests(), 0).await.unwrap();
        fixture.reseller = fixture.add_reseller("North").await;
        fixture.business = fixture.add_business(&fixture.reseller, "Bakery").await;
        fixture
    }

    async fn without_tables() -> Self {
        let folder = TempDir::new().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("waystation.db"));
        let store = Store::open(&StoreSettings { url, connections: 4 }).await.unwrap();
        let vault = Vault::for_tests();
        let egress = EgressSettings {
            allow_private_networks: true,
            allow_networks: Vec::new(),
            connect_timeout: Duration::from_secs(1),
        };
        // Another test may have been faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let egress = Egress::new(&egress).unwrap();
        let queue = Arc::new(EmbeddedQueue::new());
        let enqueuer = Enqueuer::start(queue.clone());
        let io =
            PluginIo::start(store.clone(), vault.clone(), egress.clone(), enqueuer.clone(), Duration::from_secs(1));
        let adapters = Arc::new(AdapterHost::new(Arc::new(io), HostSettings::default()));
        adapters.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();
        let directory = Directory::new(store.clone(), vault.clone(), Policy::default());
        // One recipient who opts out is too many.
        let rule = AbuseRule { messages_min: 1, spam_permille: 10, opt_out_permille: 10, block_permille: 10 };
        let abuse = Abuse::new(store.clone(), directory.clone(), rule);
        let address = BlobAddress::Folder(folder.path().to_owned());
        let media = Media::open(&address, store.clone(), egress.clone(), vault.clone(), MediaSettings::default());
        let equipment = Equipment {
            store: store.clone(),
            directory: directory.clone(),
            eligibility: waystation_core::eligibility::Eligibility::new(store.clone(), directory.clone()),
            queue,
            enqueuer: enqueuer.clone(),
            adapters: adapters.clone(),
            vault: vault.clone(),
            egress: egress.clone(),
            abuse: abuse.clone(),
            media: media.unwrap(),
            limiter: waystation_core::limits::Limiter::local(store.clone()),
        };
        let dashboard = Dashboard {
            access: Access::new(store.clone(), vault.clone()),
            registry: Registry::new(store.clone(), vault.clone(), directory.clone(), adapters.clone(), egress),
            credentials: Credentials::new(store.clone(), vault.clone(), directory.clone()),
            abuse,
            templates: Templates::new(store.clone(), directory.clone(), enqueuer),
            onboarding: Onboarding::new(
                store.clone(),
                vault,
                directory,
                adapters.clone(),
                OnboardingSettings::default(),
            ),
            store,
            base_url: "http://localhost:8080".to_owned(),
            version: "1.2.3",
            adapters: Arc::new(Vec::new),
            secure_cookies: true,
        };
        let (reseller, business) = (ResellerId::generate(), BusinessId::generate());
        Self { dashboard, reseller, business, equipment: Some(equipment), _folder: folder }
    }

    /// Starts what brings codes to pretend phones.
    async fn start_worker(&mut self) -> delivery::Runtime {
        let settings = DeliverySettings {
            messages_in_flight: 8,
            sender_in_flight: 8,
            callbacks_in_flight: 8,
            webhooks_in_flight: 8,
            endpoint_in_flight: 8,
            lease: Duration::from_secs(60),
            reconcile: Duration::from_secs(60),
            retry: RetryPolicy {
                max_tries: 3,
                base_ms: 100,
                cap_ms: 1_000,
                ambiguous: AmbiguousPolicy::Retry,
                settle_ms: 100,
            },
            receipt_wait: Duration::from_secs(10),
            template_check: Duration::from_secs(300),
            webhooks: WebhookSettings { timeout: Duration::from_secs(1), retries: Vec::new() },
            alone: false,
        };
        delivery::start(self.equipment.take().unwrap(), settings).await
    }

    async fn add_reseller(&self, name: &str) -> ResellerId {
        let request = ResellerRequest { name: name.to_owned(), policy: Policy::default() };
        let (registry, by) = (&self.dashboard.registry, Actor::operator());
        registry.create_reseller(&by, &Subtree::Platform, &request, now_ms()).await.unwrap().id
    }

    async fn add_business(&self, reseller: &ResellerId, name: &str) -> BusinessId {
        let request = BusinessRequest { name: name.to_owned(), policy: Policy::default() };
        let (registry, by) = (&self.dashboard.registry, Actor::operator());
        registry.create_business(&by, &Subtree::Platform, reseller, &request, now_ms()).await.unwrap().0.id
    }

    async fn ask(&self, request: TestRequest) -> Answer {
        let app = init_service(App::new().configure(configure(self.dashboard.clone()))).await;
        let request = request.peer_addr("192.0.2.7:4711".parse().unwrap());
        let response = call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let cookies = response.response().cookies().map(Cookie::into_owned).collect();
        let body = String::from_utf8_lossy(&read_body(response).await).into_owned();
        Answer { status, headers, cookies, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(TestRequest::get().uri(path)).await
    }

    /// Opens a page with a session.
    async fn open(&self, path: &str, cookie: &Cookie<'static>) -> Answer {
        self.ask(TestRequest::get().uri(path).cookie(cookie.clone())).await
    }

    /// Sends a form from a page of a session.
    async fn send(&self, path: &str, cookie: &Cookie<'static>, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf(cookie).await;
        let mut form = vec![("csrf", csrf.as_str())];
        form.extend_from_slice(fields);
        self.ask(TestRequest::post().uri(path).cookie(cookie.clone()).set_form(form)).await
    }

    /// Sends a form with a file, as a browser does; with the token of a page where `own`.
    async fn upload(&self, path: &str, cookie: &Cookie<'static>, own: bool, kind: &str, file: (&str, &[u8])) -> Answer {
        let mut body = Vec::new();
        let mut part = |head: &str, content: &[u8]| {
            body.extend_from_slice(format!("--frontier\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        };
        if own {
            part("name=\"csrf\"", self.csrf(cookie).await.as_bytes());
        }
        part("name=\"kind\"", kind.as_bytes());
        part(&format!("name=\"file\"; filename=\"{}\"", file.0), file.1);
        body.extend_from_slice(b"--frontier--\r\n");
        let request = TestRequest::post().uri(path).cookie(cookie.clone()).set_payload(body);
        self.ask(request.insert_header((header::CONTENT_TYPE, "multipart/form-data; boundary=frontier"))).await
    }

    /// Sends a form without a session.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(TestRequest::post().uri(path).set_form(fields)).await
    }

    /// The token of a link for the owner.
    async fn token(&self) -> String {
        owner_link(&self.dashboard.store, false, now_ms()).await.unwrap().reveal().to_owned()
    }

    async fn role(&self, kind: RoleKind) -> Role {
        match kind {
            RoleKind::PlatformOwner => Role::PlatformOwner,
            RoleKind::Reviewer => Role::Reviewer,
            RoleKind::ResellerAdmin => Role::ResellerAdmin(self.reseller.clone()),
            RoleKind::BusinessOwner => Role::BusinessOwner(self.business.clone()),
        }
    }

    /// Signs somebody of a role in, without the pages.
    async fn sign_in_as(&self, kind: RoleKind, name: &str) -> Person {
        let (access, role) = (&self.dashboard.access, self.role(kind).await);
        let email = format!("{}@example.com", name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let invitation = Invitation { name: name.to_owned(), email, role };
        let invited = access.invite(&Actor::operator(), &Subtree::Platform, &invitation, now_ms()).await;
        self.enrol(&invited.unwrap().1).await
    }

    async fn enrol(&self, link: &Issued) -> Person {
        let (access, now) = (&self.dashboard.access, now_ms());
        let visitor = Visitor::new(Origin::default(), "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0");
        let opened = access.use_link(link.reveal(), Some(EMAIL), PASSWORD, &visitor, now).await.unwrap();
        let session = self.session(opened.token.reveal(), now).await;
        let secret = access.pending_secret(&session).await.unwrap().text;
        let session = self.session(opened.token.reveal(), now).await;
        let opened = access.finish_two_factor(&session, &code(&secret, now), &visitor, now).await.unwrap().0;
        Person { cookie: Cookie::new("waystation_session", opened.token.reveal().to_owned()), secret }
    }

    async fn session(&self, token: &str, now: Millis) -> Session {
        self.dashboard.access.session(token, now).await.unwrap().unwrap()
    }

    /// The session of the owner, signed in.
    async fn owner(&self) -> Person {
        self.enrol(&owner_link(&self.dashboard.store, true, now_ms()).await.unwrap()).await
    }

    async fn home(&self, session: &Cookie<'static>) -> Answer {
        self.open("/admin/", session).await
    }

    async fn csrf(&self, session: &Cookie<'static>) -> String {
        csrf_in(&self.open("/admin/account", session).await.body)
    }

    /// A case against a sender whose one recipient opted out.
    async fn open_case(&self, business: &BusinessId, sender: SenderId) -> String {
        self.accept_message_of(business.clone(), sender).await;
        self.dashboard.abuse.report(sender, Signal::OptOut, now_ms()).await.unwrap();
        assert_eq!(self.dashboard.abuse.sweep(now_ms()).await.unwrap(), 1);
        let subtree = Subtree::Business(business.clone());
        let cases = self.dashboard.abuse.cases(&subtree, true, &Paging::default()).await.unwrap();
        cases.entries[0].id.to_string()
    }

    async fn accept_message(&self) {
        self.accept_message_of(BusinessId::generate(), SenderId::generate()).await;
    }

    async fn accept_message_of(&self, business_id: BusinessId, sender_id: SenderId) {
        let now = now_ms();
        let message = NewMessage {
            id: MessageId::generate(),
            business_id,
            sender_id,
            recipient: "15550100001".to_owned(),
            kind: "text",
            category: Category::Service,
            template: None,
            scheduled: None,
            body: "{}".to_owned(),
            rendered: "Hi".to_owned(),
            sealed: None,
            callback_data: None,
            accepted_at: now,
            expires_at: now + 60_000,
            routing: None,
            idempotency: None,
        };
        self.dashboard.store.accept(vec![message]).await.unwrap();
    }
}

/// The code that an app with this secret shows at `now`.
fn code(secret: &str, now: Millis) -> String {
    let secret = Secret::try_from_base32(secret.replace(' ', "")).unwrap();
    Builder::new().with_secret(secret).build_noncompliant().generate(u64::try_from(now / 1_000).unwrap()).to_string()
}

/// What stands between `before` and `after` on a page.
fn between<'p>(page: &'p str, before: &str, after: &str) -> &'p str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {page}"));
    rest.split_once(after).unwrap().0
}

fn csrf_in(page: &str) -> String {
    between(page, "name=\"csrf\" value=\"", "\"").to_owned()
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
async fn a_link_signs_in_once_by_way_of_a_password_and_a_second_factor() {
    let fixture = Fixture::new().await;
    let token = fixture.token().await;
    let link = format!("/admin/sign-in?token={token}");
    for _ in 0..2 {
        let page = fixture.get(&link).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("Choose a password") && page.cookies.is_empty());
    }
    let fields = [("token", token.as_str()), ("email", EMAIL), ("password", PASSWORD), ("password_again", PASSWORD)];
    let chosen = fixture.post("/admin/sign-in/link", &fields).await;
    assert!(chosen.leads_to("/admin/sign-in/enrol"));
    let pending = chosen.cookie("waystation_session").clone();
    assert!(fixture.home(&pending).await.leads_to("/admin/sign-in/enrol"), "a pending session opens nothing");

    let page = fixture.open("/admin/sign-in/enrol", &pending).await;
    let secret = between(&page.body, "id=\"totp-secret\"", "</code>").split_once('>').unwrap().1.to_owned();
    assert!(page.body.contains("<svg class=\"qr\""));
    let again = fixture.open("/admin/sign-in/enrol", &pending).await;
    assert!(again.body.contains(&secret), "the secret stays until it is confirmed");
    let csrf = csrf_in(&page.body);
    let enrol = |code: String| {
        let form = TestRequest::post().uri("/admin/sign-in/enrol").cookie(pending.clone());
        form.set_form([("csrf", csrf.clone()), ("code", code)])
    };
    let wrong = fixture.ask(enrol("000000".to_owned())).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.body.contains("This code does not match"));
    let done = fixture.ask(enrol(code(&secret, now_ms()))).await;
    assert_eq!(done.status, StatusCode::OK);
    assert_eq!(between(&done.body, "id=\"recovery-codes\"", "</ol>").matches("<li>").count(), 10);

    let session = done.cookie("waystation_session");
    assert_eq!((session.http_only(), session.secure(), session.path()), (Some(true), Some(true), Some("/admin")));
    assert_eq!(session.same_site(), Some(SameSite::Lax));
    assert_eq!(session.max_age().unwrap().whole_milliseconds(), i128::from(SESSION_LIFE_MS));
    let home = fixture.home(session).await;
    assert_eq!(home.status, StatusCode::OK);
    assert!(home.body.contains("<strong>Owner</strong>"));
    assert!(fixture.home(&pending).await.leads_to("/admin/sign-in"), "the token of before is void");

    for answer in [fixture.get(&link).await, fixture.post("/admin/sign-in/link", &fields).await] {
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.body.contains("This link does not work"));
        assert!(answer.cookies.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_or_unknown_link_is_refused() {
    let fixture = Fixture::new().await;
    let old = owner_link(&fixture.dashboard.store, false, now_ms() - LINK_LIFE_MS - 1).await.unwrap();
    for token in [old.reveal(), "unknown", ""] {
        let answer = fixture.get(&format!("/admin/sign-in?token={token}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{token:?}");
        assert!(answer.cookies.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_or_its_token_can_be_pasted() {
    let fixture = Fixture::new().await;
    let token = fixture.token().await;
    for pasted in [format!("http%3A%2F%2Flocalhost%3A8080%2Fadmin%2Fsign-in%3Ftoken%3D{token}"), token.clone()] {
        let page = fixture.get(&format!("/admin/sign-in?token={pasted}")).await;
        assert!(page.body.contains(&format!("name=\"token\" value=\"{token}\"")), "{pasted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_link_uses_nothing_up_whoever_looks() {
    let fixture = Fixture::new().await;
    let link = format!("/admin/sign-in?token={}", fixture.token().await);
    let ahead = TestRequest::get().uri(&link).insert_header(("Sec-Purpose", "prefetch;prerender"));
    assert_eq!(fixture.ask(ahead).await.status, StatusCode::OK);
    let head = TestRequest::default().method(Method::HEAD).uri(&link);
    assert_eq!(fixture.ask(head).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(fixture.get(&link).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_cannot_be_set_leaves_the_link_and_says_why() {
    let fixture = Fixture::new().await;
    let token = fixture.token().await;
    for (email, password, again, text) in [
        (EMAIL, "short", "short", "must have at least 12 characters"),
        (EMAIL, "password1234", "password1234", "easy to guess"),
        (EMAIL, PASSWORD, "another password", "Both passwords must be the same."),
        ("nobody", PASSWORD, PASSWORD, "Enter an e-mail address"),
    ] {
        let fields = [("token", token.as_str()), ("email", email), ("password", password), ("password_again", again)];
        let answer = fixture.post("/admin/sign-in/link", &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        assert!(answer.body.contains(text) && answer.body.contains("class=\"error-summary\""), "{}", answer.body);
        assert!(answer.body.contains(&format!("value=\"{email}\"")), "what was entered is kept");
        assert!(!answer.body.contains(password), "a password is not sent back");
    }
    assert_eq!(fixture.get(&format!("/admin/sign-in?token={token}")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_a_code_sign_in_and_neither_does_alone() {
    let fixture = Fixture::new().await;
    let person = fixture.owner().await;
    let answer = fixture.post("/admin/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    assert!(answer.leads_to("/admin/sign-in/two-factor"));
    let pending = answer.cookie("waystation_session").clone();
    for room in rooms() {
        let path = format!("/admin{}", room.path.replace(['{', '}'], ""));
        for method in room.methods {
            let request = TestRequest::default().method(method.parse().unwrap()).uri(&path).cookie(pending.clone());
            assert!(fixture.ask(request).await.leads_to("/admin/sign-in/two-factor"), "{method} {path}");
        }
    }
    assert!(fixture.open("/admin/sign-in/enrol", &pending).await.leads_to("/admin/sign-in/two-factor"));
    let page = fixture.open("/admin/sign-in/two-factor", &pending).await;
    let csrf = csrf_in(&page.body);
    let form = |code: &str| {
        let form = TestRequest::post().uri("/admin/sign-in/two-factor").cookie(pending.clone());
        form.set_form([("csrf", csrf.as_str()), ("code", code)])
    };
    assert_eq!(fixture.ask(form("000000")).await.status, StatusCode::UNAUTHORIZED);
    let next = code(&person.secret, now_ms() + 30_000);
    let opened = fixture.ask(form(&next)).await;
    assert!(opened.leads_to("/admin/"));
    assert_eq!(fixture.home(opened.cookie("waystation_session")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_account_get_the_same_page() {
    let fixture = Fixture::new().await;
    fixture.owner().await;
    let page = async |email| {
        let answer = fixture.post("/admin/sign-in", &[("email", email), ("password", "hunter2hunter2")]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.cookies.is_empty() && !answer.body.contains("hunter2"));
        answer.body.replace(email, "")
    };
    let known = page(EMAIL).await;
    assert!(known.contains("E-mail address and password do not match."));
    assert_eq!(known, page("bob@example.com").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_tries_get_a_page_that_says_how_long_to_wait() {
    let fixture = Fixture::new().await;
    for email in [EMAIL, "nobody@example.com"] {
        for _ in 0..5 {
            let answer = fixture.post("/admin/sign-in", &[("email", email), ("password", "hunter2hunter2")]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
        let answer = fixture.post("/admin/sign-in", &[("email", email), ("password", PASSWORD)]).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.header(header::RETRY_AFTER), "2");
        assert!(answer.body.contains("looked at in 2 seconds"), "{}", answer.body);
    }
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
    let session = fixture.owner().await.cookie;
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
async fn a_new_password_by_link_ends_the_sessions_of_before() {
    let fixture = Fixture::new().await;
    let before = fixture.owner().await.cookie;
    assert_eq!(fixture.home(&before).await.status, StatusCode::OK);
    fixture.owner().await;
    assert!(fixture.home(&before).await.leads_to("/admin/sign-in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_is_refused_without_the_token_of_this_session() {
    let fixture = Fixture::new().await;
    let session = fixture.owner().await.cookie;
    let other = fixture.sign_in_as(RoleKind::Reviewer, "Bea").await.cookie;
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
    let session = fixture.owner().await.cookie;
    let csrf = fixture.csrf(&session).await;
    for (name, value) in
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site"), ("Origin", "https://elsewhere.example")]
    {
        let form = sign_out(&session, &csrf).insert_header((name, value));
        assert_eq!(fixture.ask(form).await.status, StatusCode::FORBIDDEN, "{name}: {value}");
        for path in ["/admin/sign-in", "/admin/sign-in/link"] {
            let form = TestRequest::post().uri(path).set_form([("email", EMAIL), ("password", PASSWORD)]);
            assert_eq!(fixture.ask(form.insert_header((name, value))).await.status, StatusCode::FORBIDDEN);
        }
    }
    for (name, value) in [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://localhost:8080"), ("Origin", "null")] {
        let session = fixture.owner().await.cookie;
        let form = sign_out(&session, &fixture.csrf(&session).await).insert_header((name, value));
        assert!(fixture.ask(form).await.leads_to("/admin/sign-in"), "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_security_headers() {
    let fixture = Fixture::new().await;
    let broken = Fixture::without_tables().await;
    let session = fixture.owner().await.cookie;
    let outsider = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let cases = [
        fixture.get("/").await,
        fixture.get("/admin").await,
        fixture.get("/admin/").await,
        fixture.home(&session).await,
        fixture.open("/admin/users", &outsider).await,
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
            &format!("script-src '{}'", assets::script_hash()),
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
        (post().set_payload([0xff].as_slice()), StatusCode::BAD_REQUEST, "The request cannot be read"),
        (post().set_form([("email", too_long)]), StatusCode::BAD_REQUEST, "The request cannot be read"),
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
    assert!(fixture.get("/favicon.ico").await.leads_to(&assets::icon_path()));
    for (path, media_type) in [
        (assets::style_path(), "text/css; charset=utf-8"),
        (assets::script_path(), "text/javascript; charset=utf-8"),
        (assets::icon_path(), "image/svg+xml"),
    ] {
        assert!(page.contains(&format!("=\"{path}\"")));
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
    let session = fixture.owner().await.cookie;
    let quiet = fixture.home(&session).await.body;
    assert!(
        quiet.contains("First steps") && quiet.contains("href=\"/docs/\"") && quiet.contains("href=\"/docs/errors\"")
    );

    for name in ["North", "South"] {
        fixture.add_reseller(name).await;
    }
    for _ in 0..3 {
        fixture.accept_message().await;
    }
    let busy = fixture.home(&session).await.body;
    assert!(!busy.contains("First steps"));
    assert!(busy.contains("<dt>Resellers</dt>\n<dd><span class=\"fact-value\">3</span>"));
    assert!(busy.contains("<td class=\"number\">3</td><td class=\"number\">100.0 %</td>"));
    assert!(busy.contains("<span class=\"badge bad\">its breaker is open</span>"));
    assert!(busy.contains("Waystation 1.2.3 · sqlite"));
}

#[test]
fn values_are_escaped() {
    let evil = "<script>alert(\"1\")</script>";
    let view = serde_json::json!({ "status": 404, "heading": evil, "advice": evil, "action": evil, "path": evil });
    let html = pages::render(Page::Error, Frame::bare(evil), view).unwrap();
    assert_eq!(html.matches("<script").count(), 1, "our own");
    assert_eq!(html.matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;").count(), 5);
    for (name, source) in page_templates() {
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
    let mut files: Vec<(&str, &str)> = page_templates().collect();
    files.extend([("style.css", STYLE), ("icon.svg", icon.as_str())]);
    for (name, text) in files {
        // The one script, by its hash.
        let text = text.replace("<script src=\"{{frame.script}}\" integrity=\"{{frame.script_hash}}\" defer>", "");
        for forbidden in ["//", "@import", "<script", "javascript:", " style=", " onclick", " onload", "data:"] {
            assert!(!text.to_lowercase().contains(forbidden), "{name} contains {forbidden:?}");
        }
    }
    // What it asks for is where the form itself says that it can be looked at.
    let script = SCRIPT.replacen("fetch(form.dataset.preview, sent)", "", 1);
    for forbidden in ["://", "fetch(", "XMLHttpRequest", "import", "eval", "innerHTML"] {
        assert!(!script.contains(forbidden), "script.js contains {forbidden:?}");
    }
}

#[test]
fn every_template_file_is_embedded() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/templates")).unwrap();
    let mut files: Vec<String> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let mut embedded: Vec<String> = page_templates().map(|(name, _)| format!("{name}.hbs")).collect();
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
        check("on-danger", "danger", TEXT_CONTRAST);
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

const ALL: &[RoleKind] = &RoleKind::ALL;
const OWNER: &[RoleKind] = &[RoleKind::PlatformOwner];
const STAFF: &[RoleKind] = &[RoleKind::PlatformOwner, RoleKind::Reviewer];
const MANAGERS: &[RoleKind] = &[RoleKind::PlatformOwner, RoleKind::ResellerAdmin];
const NOT_REVIEWERS: &[RoleKind] = &[RoleKind::PlatformOwner, RoleKind::ResellerAdmin, RoleKind::BusinessOwner];

/// Which roles may use each room. A room that is missing here fails the test below: who
/// adds one says here whom it is for.
const WHO_MAY: &[(&str, &[RoleKind])] = &[
    ("/", ALL),
    ("/sign-out", ALL),
    ("/account", ALL),
    ("/account/password", ALL),
    ("/account/two-factor", ALL),
    ("/account/two-factor/new", ALL),
    ("/account/recovery-codes", ALL),
    ("/account/sessions/end", ALL),
    ("/account/sessions/{session}/end", ALL),
    ("/users", MANAGERS),
    ("/users/new", MANAGERS),
    ("/users/{user}", MANAGERS),
    ("/users/{user}/link", MANAGERS),
    ("/users/{user}/sign-out", MANAGERS),
    ("/users/{user}/remove", MANAGERS),
    ("/resellers", OWNER),
    ("/resellers/new", OWNER),
    ("/resellers/{reseller}", OWNER),
    ("/resellers/{reseller}/suspend", OWNER),
    ("/resellers/{reseller}/resume", OWNER),
    ("/resellers/{reseller}/limits", OWNER),
    ("/businesses", ALL),
    ("/businesses/new", MANAGERS),
    ("/businesses/{business}", ALL),
    ("/businesses/{business}/limits", MANAGERS),
    ("/businesses/{business}/endpoints", NOT_REVIEWERS),
    ("/businesses/{business}/endpoints/{endpoint}/remove", NOT_REVIEWERS),
    ("/businesses/{business}/senders/{sender}", ALL),
    ("/businesses/{business}/senders/{sender}/pause", MANAGERS),
    ("/businesses/{business}/senders/{sender}/resume", MANAGERS),
    ("/businesses/{business}/credentials/signing-secrets/rotate", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/profile", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/documents", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/documents/{document}/remove", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/number", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/number/{sender}/code", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/number/{sender}/verify", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/number/{sender}/phone", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/review", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/submit", NOT_REVIEWERS),
    ("/businesses/{business}/onboarding/give-up", NOT_REVIEWERS),
    ("/businesses/{business}/templates", NOT_REVIEWERS),
    ("/businesses/{business}/templates/new", NOT_REVIEWERS),
    ("/businesses/{business}/templates/preview", NOT_REVIEWERS),
    ("/businesses/{business}/templates/{template}", NOT_REVIEWERS),
    ("/businesses/{business}/templates/{template}/edit", NOT_REVIEWERS),
    ("/businesses/{business}/templates/{template}/preview", NOT_REVIEWERS),
    ("/businesses/{business}/templates/{template}/step", NOT_REVIEWERS),
    ("/templates", STAFF),
    ("/templates/{template}", STAFF),
    ("/templates/{template}/decide", STAFF),
    ("/verification", STAFF),
    ("/verification/{business}", STAFF),
    ("/verification/{business}/decide", STAFF),
    ("/verification/{business}/documents/{document}", STAFF),
    ("/cases", STAFF),
    ("/cases/{case}", STAFF),
    ("/cases/{case}/decision", STAFF),
    ("/audit", NOT_REVIEWERS),
    ("/businesses/{business}/credentials", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/keys/new", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/keys/{key}", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/keys/{key}/rotate", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/keys/{key}/revoke", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/clients/new", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/clients/{client}", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/clients/{client}/rotate", NOT_REVIEWERS),
    ("/businesses/{business}/credentials/clients/{client}/revoke", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/keys/new", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/keys/{key}", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/keys/{key}/rotate", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/keys/{key}/revoke", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/clients/new", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/clients/{client}", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/clients/{client}/rotate", NOT_REVIEWERS),
    ("/resellers/{reseller}/credentials/clients/{client}/revoke", NOT_REVIEWERS),
];

/// One of everything that a path can name, in one reseller's subtree.
struct World {
    ids: Vec<(&'static str, String)>,
}

impl World {
    /// Of `reseller` and its `business`; `user` is somebody who may be looked at.
    async fn new(fixture: &Fixture, reseller: &ResellerId, business: &BusinessId) -> Self {
        let (dashboard, by, now) = (&fixture.dashboard, Actor::operator(), now_ms());
        let request = SenderRequest {
            phone: "+15550783881".to_owned(),
            display_name: "Bakery".to_owned(),
            ..SenderRequest::default()
        };
        let sender =
            dashboard.registry.add_sender(&by, &Subtree::Platform, business, &request, now).await.unwrap().sender.id;
        let of_business = Owner { reseller: reseller.clone(), business: Some(business.clone()) };
        let of_reseller = Owner { reseller: reseller.clone(), business: None };
        let grant = GrantRequest { name: "till <b>".to_owned(), ..GrantRequest::default() };
        let credentials = &dashboard.credentials;
        let key = credentials.issue_key(&by, &of_business, &grant, now).await.unwrap().0.id;
        let client = credentials.issue_client(&by, &of_business, &grant, now).await.unwrap().0.id;
        let partner_key = credentials.issue_key(&by, &of_reseller, &grant, now).await.unwrap().0.id;
        let partner_client = credentials.issue_client(&by, &of_reseller, &grant, now).await.unwrap().0.id;
        let invitation = Invitation {
            name: "Ulla <i>".to_owned(),
            email: String::new(),
            role: Role::BusinessOwner(business.clone()),
        };
        let user = dashboard.access.invite(&by, &Subtree::Platform, &invitation, now).await.unwrap().0;
        let upload = Upload { kind: DocumentKind::Other, file_name: "a <b>.png".to_owned(), content: PNG.to_vec() };
        let document = dashboard.onboarding.add_document(&by, &Subtree::Platform, business, upload, now).await;
        let case = fixture.open_case(business, sender).await;
        let template = templates::hand_in(fixture, business, "order_shipped").await;
        let ids = vec![
            ("{template}", template.to_string()),
            ("{case}", case),
            ("{document}", document.unwrap().id.to_string()),
            (
                "/resellers/{reseller}/credentials/keys/{key}",
                format!("/resellers/{reseller}/credentials/keys/{partner_key}"),
            ),
            (
                "/resellers/{reseller}/credentials/clients/{client}",
                format!("/resellers/{reseller}/credentials/clients/{partner_client}"),
            ),
            ("{reseller}", reseller.to_string()),
            ("{business}", business.to_string()),
            ("{sender}", sender.to_string()),
            ("{key}", key.to_string()),
            ("{client}", client.to_string()),
            ("{user}", user.to_string()),
        ];
        Self { ids }
    }

    /// The address of a room in this world.
    fn address(&self, path: &str) -> String {
        let mut address = path.to_owned();
        for (name, id) in &self.ids {
            address = address.replace(name, id);
        }
        format!("/admin{}", address.replace(['{', '}'], ""))
    }
}

/// Everything that is wrong with a page.
fn faults(page: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for id in page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        if !ids.insert(id) {
            faults.push(format!("two elements have the id {id}"));
        }
    }
    for reference in [" for=\"", " aria-describedby=\"", " aria-labelledby=\"", "href=\"#"] {
        for names in page.split(reference).skip(1).filter_map(|rest| rest.split('"').next()) {
            let missing = names.split_whitespace().filter(|name| !ids.contains(name));
            faults.extend(missing.map(|name| format!("nothing has the id {name}")));
        }
    }
    for form in page.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next()) {
        if form.contains("method=\"post\"") && !form.contains("name=\"csrf\"") {
            faults.push(format!("a form without a token: {form}"));
        }
    }
    if page.matches("<h1").count() != 1 {
        faults.push("not one heading".to_owned());
    }
    if page.contains("<b>") || page.contains("<i>") {
        faults.push("something is not escaped".to_owned());
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_room_opens_to_the_roles_it_is_for_and_to_no_other() {
    let fixture = Fixture::new().await;
    let world = World::new(&fixture, &fixture.reseller, &fixture.business).await;
    let known: Vec<&str> = rooms().iter().map(|room| room.path).collect();
    assert_eq!(known, WHO_MAY.iter().map(|(path, _)| *path).collect::<Vec<_>>());
    for kind in RoleKind::ALL {
        let person = fixture.sign_in_as(kind, kind.name()).await;
        for room in rooms() {
            let (_, allowed) = WHO_MAY.iter().find(|(path, _)| *path == room.path).unwrap();
            let path = world.address(room.path);
            for method in room.methods {
                let request = TestRequest::default().method(method.parse().unwrap()).uri(&path);
                let answer = if method == "POST" && path.ends_with("/onboarding/documents") {
                    fixture.upload(&path, &person.cookie, false, "other", ("a.png", PNG)).await
                } else {
                    fixture.ask(request.cookie(person.cookie.clone())).await
                };
                let refused = answer.body.contains("Not part of your role");
                assert_eq!(refused, !allowed.contains(&kind), "{method} {path} as {kind}");
                assert!(!refused || answer.status == StatusCode::FORBIDDEN);
                if method == "POST" {
                    // Without the token of a page, a form does nothing, whoever sends it.
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} as {kind}");
                } else if path.contains("/documents/doc_") && !refused {
                    assert_eq!(answer.header(header::CONTENT_TYPE), "image/png");
                } else if !refused {
                    let beyond = kind == RoleKind::BusinessOwner && path.starts_with("/admin/resellers");
                    let expected = if beyond { StatusCode::NOT_FOUND } else { StatusCode::OK };
                    let moved = answer.status == StatusCode::SEE_OTHER;
                    assert!(moved || answer.status == expected, "{path} as {kind}: {} {}", answer.status, answer.body);
                    assert!(moved || faults(&answer.body).is_empty(), "{path} as {kind}: {:?}", faults(&answer.body));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_subtree_is_found() {
    let fixture = Fixture::new().await;
    let (south, florist) = {
        let south = fixture.add_reseller("South").await;
        let florist = fixture.add_business(&south, "Florist").await;
        (south, florist)
    };
    let world = World::new(&fixture, &south, &florist).await;
    for kind in [RoleKind::ResellerAdmin, RoleKind::BusinessOwner] {
        let person = fixture.sign_in_as(kind, kind.name()).await;
        for room in rooms().into_iter().filter(|room| room.path.contains('{') && !room.path.contains("{session}")) {
            let path = world.address(room.path);
            for method in room.methods {
                let answer = match method {
                    "GET" => fixture.open(&path, &person.cookie).await,
                    _ if path.ends_with("/onboarding/documents") => {
                        fixture.upload(&path, &person.cookie, true, "other", ("a.png", PNG)).await
                    }
                    _ => fixture.send(&path, &person.cookie, &[("reason", "x"), ("name", "x")]).await,
                };
                let hidden = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN);
                assert!(hidden, "{method} {path} as {kind}: {}", answer.status);
                assert!(!answer.body.contains("Florist") && !answer.body.contains("South"), "{path}");
            }
        }
        for list in ["/admin/businesses", "/admin/audit"] {
            let page = fixture.open(list, &person.cookie).await.body;
            assert!(!page.contains("Florist") && !page.contains(&florist.to_string()), "{list} as {kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_enters_a_room_without_a_session() {
    let fixture = Fixture::new().await;
    for room in rooms() {
        let path = format!("/admin{}", room.path.replace(['{', '}'], ""));
        for method in room.methods {
            let request = TestRequest::default().method(method.parse().unwrap()).uri(&path);
            assert!(fixture.ask(request).await.leads_to("/admin/sign-in"), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_invited_with_a_link_that_is_shown_once() {
    let fixture = Fixture::new().await;
    let owner = fixture.owner().await.cookie;
    let page = fixture.open("/admin/users/new", &owner).await;
    assert!(page.body.contains("id=\"role-reviewer\""));
    let bad = fixture.send("/admin/users/new", &owner, &[("name", " "), ("email", "rita"), ("role", "reviewer")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(bad.body.contains("href=\"#name\"") && bad.body.contains("value=\"rita\""));
    let none = fixture.send("/admin/users/new", &owner, &[("name", "Rita")]).await;
    assert!(none.body.contains("Choose what they may do."));

    let fields = [("name", "Rita <b>"), ("email", "rita@example.com"), ("role", "reviewer")];
    let invited = fixture.send("/admin/users/new", &owner, &fields).await;
    assert_eq!(invited.status, StatusCode::OK);
    let link =
        between(&invited.body, "<code class=\"secret-value\" id=\"secret\"", "</code>").split_once('>').unwrap().1;
    let path = link.replace("&#x3D;", "=").replace("http://localhost:8080", "");
    let list = fixture.open("/admin/users", &owner).await.body;
    assert!(list.contains("Rita &lt;b&gt;") && list.contains("invited") && !list.contains(link));
    let person = fixture.enrol(&owner_link(&fixture.dashboard.store, true, now_ms()).await.unwrap()).await;
    assert!(fixture.get(&path).await.body.contains("value=\"rita@example.com\""));

    let id = between(&list, "href=\"/admin/users/usr_", "\"");
    let user = fixture.open(&format!("/admin/users/usr_{id}"), &person.cookie).await;
    assert_eq!(user.status, StatusCode::OK);
    let again = fixture.send(&format!("/admin/users/usr_{id}/link"), &person.cookie, &[]).await;
    assert!(again.body.contains("is not shown again") && fixture.get(&path).await.status == StatusCode::FORBIDDEN);
    let removed = fixture.send(&format!("/admin/users/usr_{id}/remove"), &person.cookie, &[]).await;
    assert!(removed.leads_to("/admin/users"));
    assert_eq!(fixture.open(&format!("/admin/users/usr_{id}"), &person.cookie).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resellers_admin_finds_no_user_of_another_reseller() {
    let fixture = Fixture::new().await;
    let admin = fixture.sign_in_as(RoleKind::ResellerAdmin, "Nora").await.cookie;
    let south = fixture.add_reseller("South").await;
    let invitation = Invitation { name: "Sue".into(), email: String::new(), role: Role::ResellerAdmin(south.clone()) };
    let access = &fixture.dashboard.access;
    let (foreign, _) = access.invite(&Actor::operator(), &Subtree::Platform, &invitation, now_ms()).await.unwrap();
    assert!(!fixture.open("/admin/users", &admin).await.body.contains("Sue"));
    assert_eq!(fixture.open(&format!("/admin/users/{foreign}"), &admin).await.status, StatusCode::NOT_FOUND);
    for action in ["link", "sign-out", "remove"] {
        let answer = fixture.send(&format!("/admin/users/{foreign}/{action}"), &admin, &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{action}");
    }
    let fields = [("name", "Eve"), ("reseller", &south.to_string())];
    assert_eq!(fixture.send("/admin/users/new", &admin, &fields).await.status, StatusCode::NOT_FOUND);
    let fields = [("name", "Eve"), ("role", "platform_owner")];
    let own = fixture.send("/admin/users/new", &admin, &fields).await;
    assert!(own.body.contains("The user is invited"));
    let users = access.users(&Subtree::Platform, &Paging::default()).await.unwrap();
    assert_eq!(users.entries[0].role, Role::ResellerAdmin(fixture.reseller.clone()), "no role but their own to give");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_shows_sessions_and_ends_them() {
    let fixture = Fixture::new().await;
    let person = fixture.owner().await;
    let answer = fixture.post("/admin/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    let pending = answer.cookie("waystation_session").clone();
    let csrf = csrf_in(&fixture.open("/admin/sign-in/two-factor", &pending).await.body);
    let next = code(&person.secret, now_ms() + 30_000);
    let form = TestRequest::post().uri("/admin/sign-in/two-factor").cookie(pending);
    let other = fixture.ask(form.set_form([("csrf", csrf), ("code", next)])).await;
    let other = other.cookie("waystation_session").clone();

    let page = fixture.open("/admin/account", &person.cookie).await.body;
    assert!(page.contains("Firefox on Linux") && page.contains("this one") && page.contains("192.0.2.7"));
    assert!(page.contains("10 of 10 are left."));
    let id = between(&page, "action=\"/admin/account/sessions/ses_", "/end\"");
    assert!(
        fixture
            .send(&format!("/admin/account/sessions/ses_{id}/end"), &person.cookie, &[])
            .await
            .leads_to("/admin/account")
    );
    assert!(fixture.home(&other).await.leads_to("/admin/sign-in"));
    assert!(fixture.send("/admin/account/sessions/end", &person.cookie, &[]).await.leads_to("/admin/account"));
    assert_eq!(fixture.home(&person.cookie).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_changes_password_second_factor_and_recovery_codes() {
    let fixture = Fixture::new().await;
    let person = fixture.owner().await;
    let new = "seven tulips under glass";
    let change = async |present: &str, password: &str, again: &str| {
        let fields = [("current_password", present), ("password", password), ("password_again", again)];
        fixture.send("/admin/account/password", &person.cookie, &fields).await
    };
    for (present, password, again, text) in [
        ("wrong password", new, new, "This is not your present password."),
        (PASSWORD, "short", "short", "at least 12 characters"),
        (PASSWORD, new, "other", "must be the same"),
        (PASSWORD, PASSWORD, PASSWORD, "Choose another password"),
    ] {
        let answer = change(present, password, again).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
        assert!(answer.body.contains(text), "{text}");
    }
    assert!(change(PASSWORD, new, new).await.leads_to("/admin/account"));

    let codes = fixture.send("/admin/account/recovery-codes", &person.cookie, &[("password_for_codes", new)]).await;
    assert_eq!(between(&codes.body, "id=\"recovery-codes\"", "</ol>").matches("<li>").count(), 10);
    let recovery = between(&codes.body, "<li><code>", "</code>").to_owned();

    assert!(fixture.open("/admin/account/two-factor/new", &person.cookie).await.leads_to("/admin/account/two-factor"));
    let wrong = [("password", new), ("code", "000000")];
    let wrong = fixture.send("/admin/account/two-factor", &person.cookie, &wrong).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let proof = [("password", new), ("code", recovery.as_str())];
    let begun = fixture.send("/admin/account/two-factor", &person.cookie, &proof).await;
    assert!(begun.leads_to("/admin/account/two-factor/new"));
    let page = fixture.open("/admin/account/two-factor/new", &person.cookie).await.body;
    let secret = between(&page, "id=\"totp-secret\"", "</code>").split_once('>').unwrap().1;
    let done = [("code", code(secret, now_ms()))].map(|(name, value)| (name, value.leak() as &str));
    let done = fixture.send("/admin/account/two-factor/new", &person.cookie, &done).await;
    assert!(done.body.contains("id=\"recovery-codes\""), "{}", done.body);
    let token = done.cookie("waystation_session").value().to_owned();
    assert_eq!(fixture.session(&token, now_ms()).await.stage, Stage::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_navigation_shows_what_the_role_may_open() {
    let fixture = Fixture::new().await;
    for kind in RoleKind::ALL {
        let person = fixture.sign_in_as(kind, kind.name()).await;
        let page = fixture.open("/admin/account", &person.cookie).await.body;
        assert!(page.contains(kind.label()), "{kind}");
        for (path, allowed) in WHO_MAY {
            let linked = page.contains(&format!("<li><a href=\"/admin{path}\""));
            assert!(!linked || allowed.contains(&kind), "{path} as {kind}");
        }
    }
}

/// The first thing that a page says is wrong, in its summary.
fn summary(answer: &Answer) -> String {
    between(&answer.body, "class=\"error-summary\"", "</ul>").split_once('>').unwrap().1.to_owned()
}

/// What the pretend phone of a sandbox number shows last.
async fn code_on_phone(fixture: &Fixture, cookie: &Cookie<'static>, number: &str) -> String {
    let started = Instant::now();
    loop {
        let phone = fixture.open(&format!("{number}/phone"), cookie).await.body;
        if let Some((_, message)) = phone.split_once("<p class=\"message\">") {
            return message.chars().filter(char::is_ascii_digit).take(CODE_DIGITS).collect();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "nothing arrives at the pretend phone: {phone}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const PROFILE: [(&str, &str); 10] = [
    ("legal_name", "Blumenhaus Meier GmbH"),
    ("trade_name", "Blumenhaus Meier"),
    ("registration_number", "HRB 12345 B"),
    ("category", "retail"),
    ("website", "https://www.blumenhaus-meier.de"),
    ("address", "Hauptstrasse 1, 10115 Berlin"),
    ("country", "de"),
    ("contact_name", "Ada Meier"),
    ("contact_email", "ada@blumenhaus-meier.de"),
    ("contact_phone", "+49 30 12345678"),
];

/// Goes the whole way as `person`, up to the last page.
async fn go_all_the_way(fixture: &Fixture, cookie: &Cookie<'static>) -> String {
    let way = format!("/admin/businesses/{}/onboarding", fixture.business);
    assert!(fixture.open(&way, cookie).await.leads_to(&format!("{way}/profile")));
    let saved = fixture.send(&format!("{way}/profile"), cookie, &PROFILE).await;
    assert!(saved.leads_to(&format!("{way}/documents")), "{}", saved.body);
    let added = fixture.upload(&format!("{way}/documents"), cookie, true, "identity", ("id.png", PNG)).await;
    assert!(added.leads_to(&format!("{way}/documents")), "{}", added.body);
    assert!(fixture.open(&way, cookie).await.leads_to(&format!("{way}/number")));
    let number = [("phone", "+1 555 078 3882"), ("display_name", "Bakery")];
    assert!(fixture.send(&format!("{way}/number"), cookie, &number).await.leads_to(&format!("{way}/number")));
    let page = fixture.open(&format!("{way}/number"), cookie).await.body;
    let number = format!("{way}/number/{}", between(&page, "id=\"number-", "\""));
    let sent = fixture.send(&format!("{number}/code"), cookie, &[("method", "sms")]).await;
    assert!(sent.leads_to(&format!("{way}/number")), "{}", sent.body);
    let wrong = fixture.send(&format!("{number}/verify"), cookie, &[("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(summary(&wrong).contains("This code does not show"));
    let code = code_on_phone(fixture, cookie, &number).await;
    let confirmed = fixture.send(&format!("{number}/verify"), cookie, &[("code", &code)]).await;
    assert!(confirmed.leads_to(&format!("{way}/number")), "{}", confirmed.body);
    assert!(fixture.open(&way, cookie).await.leads_to(&format!("{way}/review")));
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn the_onboarding_is_gone_step_by_step_and_handed_in() {
    let mut fixture = Fixture::new().await;
    let worker = fixture.start_worker().await;
    let owner = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let way = format!("/admin/businesses/{}/onboarding", fixture.business);
    let todo = fixture.open(&format!("{way}/review"), &owner).await.body;
    assert!(todo.contains(&format!("href=\"{way}/profile#legal_name\">Legal name is required")), "{todo}");
    assert!(todo.contains("At least one document is required") && !todo.contains("id=\"submit-form\""));
    let early = fixture.send(&format!("{way}/submit"), &owner, &[]).await;
    assert_eq!(early.status, StatusCode::UNPROCESSABLE_ENTITY);

    go_all_the_way(&fixture, &owner).await;
    let page = fixture.open(&format!("{way}/review"), &owner).await.body;
    assert!(page.contains("id=\"submit-form\"") && page.contains("Blumenhaus Meier GmbH") && page.contains("id.png"));
    assert!(fixture.send(&format!("{way}/submit"), &owner, &[]).await.leads_to(&format!("{way}/review")));
    let page = fixture.open(&format!("{way}/review"), &owner).await.body;
    assert!(page.contains("Handed in") && page.contains("class=\"timeline\""));
    for step in ["profile", "documents"] {
        assert!(fixture.open(&format!("{way}/{step}"), &owner).await.leads_to(&format!("{way}/review")), "{step}");
    }
    let late = fixture.send(&format!("{way}/profile"), &owner, &PROFILE).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_is_kept_right_or_wrong_and_can_be_gone_on_with() {
    let fixture = Fixture::new().await;
    let owner = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let profile = format!("/admin/businesses/{}/onboarding/profile", fixture.business);
    let wrong =
        [("legal_name", "Meier & <b>"), ("country", "germany"), ("contact_email", "ada@"), ("category", "retail")];
    let answer = fixture.send(&profile, &owner, &wrong).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(summary(&answer).contains("href=\"#country\"") && summary(&answer).contains("href=\"#contact_email\""));
    for page in [&answer.body, &fixture.open(&profile, &owner).await.body] {
        assert!(page.contains("value=\"Meier &amp; &lt;b&gt;\"") && page.contains("value=\"GERMANY\""), "{page}");
        assert!(page.contains("<option value=\"retail\" selected>"));
        assert!(page.contains("Country must be a country as two capital letters, such as DE."));
        assert_eq!(faults(page), Vec::<String>::new());
    }
    // Saving without going on says so, and complains of nothing.
    let stay = [("legal_name", "Meier GmbH"), ("stay", "1")];
    let saved = fixture.send(&profile, &owner, &stay).await;
    assert!(saved.leads_to(&profile));
    let too_long = "x".repeat(1_001);
    let refused = fixture.send(&profile, &owner, &[("legal_name", &too_long)]).await;
    assert!(refused.status.is_client_error() && refused.body.contains(&too_long), "what was typed is not lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cannot_be_taken_is_refused_with_the_reason() {
    let fixture = Fixture::new().await;
    let owner = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let documents = format!("/admin/businesses/{}/onboarding/documents", fixture.business);
    let large = [PNG, &vec![0; DOCUMENT_MAX_BYTES]].concat();
    type File<'f> = (&'f str, &'f [u8]);
    let cases: [(&str, File<'_>, StatusCode, &str); 4] = [
        ("other", ("a.exe", b"MZ"), StatusCode::UNSUPPORTED_MEDIA_TYPE, "no PDF, JPEG or PNG"),
        ("other", ("a.png", &large), StatusCode::UNPROCESSABLE_ENTITY, "larger than 10 MB"),
        ("other", ("", b""), StatusCode::UNPROCESSABLE_ENTITY, "Choose a file."),
        ("selfie", ("a.png", PNG), StatusCode::UNPROCESSABLE_ENTITY, "Choose what the document shows."),
    ];
    for (kind, file, status, text) in cases {
        let answer = fixture.upload(&documents, &owner, true, kind, file).await;
        assert_eq!(answer.status, status, "{text}");
        assert!(summary(&answer).contains(text), "{}", summary(&answer));
    }
    let forged = fixture.upload(&documents, &owner, false, "other", ("a.png", PNG)).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(fixture.open(&documents, &owner).await.body.contains("No document yet"));

    fixture.upload(&documents, &owner, true, "other", ("../a <b>.png", PNG)).await;
    let page = fixture.open(&documents, &owner).await.body;
    let id = between(&page, "/onboarding/documents/doc_", "/remove").to_owned();
    assert!(fixture.send(&format!("{documents}/doc_{id}/remove"), &owner, &[]).await.leads_to(&documents));
    assert!(fixture.open(&documents, &owner).await.body.contains("No document yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_sees_everything_in_one_place_and_decides_with_a_reason() {
    let mut fixture = Fixture::new().await;
    let worker = fixture.start_worker().await;
    let owner = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let reviewer = fixture.sign_in_as(RoleKind::Reviewer, "Rita").await.cookie;
    assert!(fixture.open("/admin/verification", &reviewer).await.body.contains("Nobody waits"));
    let way = go_all_the_way(&fixture, &owner).await;
    fixture.send(&format!("{way}/submit"), &owner, &[]).await;

    let queue = fixture.open("/admin/verification", &reviewer).await.body;
    let case = format!("/admin/verification/{}", fixture.business);
    assert!(queue.contains(&format!("href=\"{case}\"")) && queue.contains("submitted"));
    let page = fixture.open(&case, &reviewer).await;
    for text in ["HRB 12345 B", "id.png", "pretend number", "Names of other businesses", "id=\"start-form\""] {
        assert!(page.body.contains(text), "{text}");
    }
    assert!(!page.body.contains("id=\"decision-form\""), "nothing is decided before it is looked at");
    assert_eq!(faults(&page.body), Vec::<String>::new());
    let decide = async |fields: &[(&str, &str)]| fixture.send(&format!("{case}/decide"), &reviewer, fields).await;
    let early = decide(&[("decision", "approve"), ("seen", "submitted")]).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(decide(&[("decision", "start_review"), ("seen", "submitted")]).await.leads_to(&case));
    let page = fixture.open(&case, &reviewer).await;
    assert_eq!(faults(&page.body), Vec::<String>::new());

    let undecided = decide(&[("seen", "in_review"), ("reason", "Hm")]).await;
    assert!(summary(&undecided).contains("href=\"#decision-approve\""), "{}", summary(&undecided));
    let silent = decide(&[("decision", "request_changes"), ("seen", "in_review")]).await;
    assert!(summary(&silent).contains("href=\"#reason\""), "{}", summary(&silent));
    assert!(silent.body.contains("value=\"request_changes\" checked"));
    let reason = "The register says <i>Meyer</i>.";
    let asked = decide(&[("decision", "request_changes"), ("seen", "in_review"), ("reason", reason)]).await;
    assert!(asked.leads_to(&case));
    let told = fixture.open(&format!("{way}/profile"), &owner).await.body;
    assert!(told.contains("A reviewer asks for changes") && told.contains("The register says &lt;i&gt;Meyer"));
    assert!(!told.contains("Rita"), "whom a business could hold it against is not told");

    fixture.send(&format!("{way}/submit"), &owner, &[]).await;
    let stale = decide(&[("decision", "start_review"), ("seen", "changes_requested")]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "it was decided on something else");
    decide(&[("decision", "start_review"), ("seen", "submitted")]).await;
    assert!(decide(&[("decision", "approve"), ("seen", "in_review")]).await.leads_to(&case));
    let page = fixture.open(&case, &reviewer).await.body;
    assert!(page.contains("approved") && page.contains("Rita") && page.contains("id=\"suspend-form\""));
    let silent = decide(&[("decision", "suspend"), ("seen", "approved")]).await;
    assert!(
        summary(&silent).contains("href=\"#reason-suspend\"")
            && silent.body.contains("<details class=\"disclose\" open>")
    );
    assert!(decide(&[("decision", "suspend"), ("seen", "approved"), ("reason", "Spam")]).await.leads_to(&case));
    let summary_page = fixture.open(&format!("/admin/businesses/{}", fixture.business), &owner).await.body;
    assert!(summary_page.contains("The business is suspended."));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_shown_in_its_place_and_can_do_nothing_there() {
    let fixture = Fixture::new().await;
    let (by, onboarding) = (Actor::operator(), &fixture.dashboard.onboarding);
    let reviewer = fixture.sign_in_as(RoleKind::Reviewer, "Rita").await.cookie;
    let case = format!("/admin/verification/{}", fixture.business);
    for (name, content, media_type) in [
        ("b\"ild.png", PNG, "image/png"),
        ("scan.jpg", b"\xff\xd8\xff\xe0".as_slice(), "image/jpeg"),
        ("register.pdf", b"%PDF-1.7\n<script>alert(1)</script>".as_slice(), "application/pdf"),
    ] {
        let upload = Upload { kind: DocumentKind::Other, file_name: name.to_owned(), content: content.to_vec() };
        let added =
            onboarding.add_document(&by, &Subtree::Platform, &fixture.business, upload, now_ms()).await.unwrap();
        let answer = fixture.open(&format!("{case}/documents/{}", added.id), &reviewer).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header(header::CONTENT_TYPE), media_type);
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
        assert!(answer.header(header::CONTENT_DISPOSITION).starts_with("inline; filename*=UTF-8''"));
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'self'"), "{policy}");
        assert!(!policy.contains("script-src") && !policy.contains("unsafe-eval"), "{policy}");
        assert_eq!(policy.contains("sandbox"), media_type != "application/pdf");
    }
    let page = fixture.open(&case, &reviewer).await;
    assert!(page.header(header::CONTENT_SECURITY_POLICY).contains("frame-src 'self'"));
    assert_eq!(page.body.matches("<img class=\"document-view\"").count(), 2);
    assert_eq!(page.body.matches("<iframe class=\"document-view tall\"").count(), 1);
    let elsewhere = fixture.home(&reviewer).await;
    assert!(!elsewhere.header(header::CONTENT_SECURITY_POLICY).contains("frame-src"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_shown_once_rotated_and_revoked() {
    let fixture = Fixture::new().await;
    let admin = fixture.sign_in_as(RoleKind::ResellerAdmin, "Nora").await.cookie;
    for path in [
        format!("/admin/businesses/{}/credentials", fixture.business),
        format!("/admin/resellers/{}/credentials", fixture.reseller),
    ] {
        for (kind, table) in [("keys", "keys"), ("clients", "clients")] {
            let new = format!("{path}/{kind}/new");
            let bad = [("name", ""), ("addresses", "192.0.2.7\nnowhere"), ("mode", "test")];
            let answer = fixture.send(&new, &admin, &bad).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
            for target in ["#name", "#addresses", "#scopes-admin"] {
                assert!(summary(&answer).contains(&format!("href=\"{target}\"")), "{target}: {}", summary(&answer));
            }
            assert!(answer.body.contains("192.0.2.7\nnowhere</textarea>"));
            let good = [("name", "till"), ("scopes", "audit:read"), ("scopes", "billing:read"), ("expires_days", "30")];
            let made = fixture.send(&new, &admin, &good).await;
            assert_eq!(made.status, StatusCode::OK, "{}", made.body);
            let secret = between(&made.body, "id=\"secret\"", "</code>").split_once('>').unwrap().1.to_owned();
            assert!(secret.starts_with("ws_"), "{secret}");
            let list = fixture.open(&path, &admin).await.body;
            assert!(
                list.contains(&format!("id=\"{table}\"")) && list.contains("audit:read") && !list.contains(&secret)
            );
            let one = between(&list, &format!("href=\"{path}/{kind}/"), "\"");
            let one = list
                .split(&format!("href=\"{path}/{kind}/"))
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
                .find(|id| *id != "new")
                .unwrap_or(one);
            let one = format!("{path}/{kind}/{one}");
            let page = fixture.open(&one, &admin).await.body;
            assert!(page.contains("till") && page.contains("id=\"rotate-form\"") && faults(&page).is_empty());
            let long = fixture.send(&format!("{one}/rotate"), &admin, &[("grace_hours", "100")]).await;
            assert!(summary(&long).contains("href=\"#grace_hours\"") && long.body.contains("value=\"100\""));
            let rotated = fixture.send(&format!("{one}/rotate"), &admin, &[("grace_hours", "1")]).await;
            let next = between(&rotated.body, "id=\"secret\"", "</code>").split_once('>').unwrap().1.to_owned();
            assert_ne!(next, secret);
            assert!(fixture.send(&format!("{one}/revoke"), &admin, &[]).await.leads_to(&one));
            let page = fixture.open(&one, &admin).await.body;
            assert!(page.contains("revoked") && !page.contains("id=\"rotate-form\""));
        }
    }
    let path = format!("/admin/businesses/{}/credentials", fixture.business);
    let live = [("name", "live"), ("scopes", "admin"), ("mode", "live")];
    let early = fixture.send(&format!("{path}/keys/new"), &admin, &live).await;
    assert!(summary(&early).contains("once the business is verified"), "{}", summary(&early));
    let made = fixture.send(&format!("{path}/signing-secrets/rotate"), &admin, &[("grace_hours", "24")]).await;
    assert!(made.body.contains("A new signing secret"));
    let list = fixture.open(&path, &admin).await.body;
    assert_eq!(between(&list, "id=\"signing-secrets\"", "</table>").matches("<tr>").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn resellers_and_businesses_are_added_found_suspended_and_resumed() {
    let fixture = Fixture::new().await;
    let owner = fixture.owner().await.cookie;
    let empty = fixture.send("/admin/resellers/new", &owner, &[("name", " ")]).await;
    assert!(summary(&empty).contains("href=\"#name\""));
    let added = fixture.send("/admin/resellers/new", &owner, &[("name", "East <b>")]).await;
    let reseller = added.header(header::LOCATION).to_owned();
    assert!(reseller.starts_with("/admin/resellers/rs_"));
    assert!(fixture.open("/admin/resellers?q=east", &owner).await.body.contains("East &lt;b&gt;"));
    assert!(!fixture.open("/admin/resellers?q=nord", &owner).await.body.contains("East"));
    let silent = fixture.send(&format!("{reseller}/suspend"), &owner, &[]).await;
    assert!(summary(&silent).contains("href=\"#reason\""));
    assert!(fixture.send(&format!("{reseller}/suspend"), &owner, &[("reason", "Unpaid")]).await.leads_to(&reseller));
    assert!(fixture.open(&reseller, &owner).await.body.contains("Suspended: Unpaid"));

    let id = reseller.rsplit('/').next().unwrap().to_owned();
    let refused = fixture.send("/admin/businesses/new", &owner, &[("name", "Kiosk"), ("reseller", &id)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(summary(&refused).contains("The reseller is suspended."));
    assert!(fixture.send(&format!("{reseller}/resume"), &owner, &[]).await.leads_to(&reseller));
    let none = fixture.send("/admin/businesses/new", &owner, &[("name", "Kiosk")]).await;
    assert!(summary(&none).contains("href=\"#reseller\"") && none.body.contains("value=\"Kiosk\""));
    let made = fixture.send("/admin/businesses/new", &owner, &[("name", "Kiosk"), ("reseller", &id)]).await;
    assert!(made.body.contains("Signing secret") && made.body.contains("/onboarding\""));
    for (query, found) in [("q=kio", true), ("q=kio&state=draft", true), ("state=approved", false), ("q=none", false)] {
        let page = fixture.open(&format!("/admin/businesses?{query}"), &owner).await.body;
        assert_eq!(page.contains(">Kiosk</a>"), found, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_by_cursor_and_keep_what_was_searched_for() {
    let fixture = Fixture::new().await;
    let admin = fixture.sign_in_as(RoleKind::ResellerAdmin, "Nora").await.cookie;
    for number in 0..55 {
        fixture.add_business(&fixture.reseller, &format!("Shop {number:02}")).await;
    }
    let first = fixture.open("/admin/businesses?q=shop", &admin).await.body;
    let next = between(&first, "href=\"/admin/businesses?q&#x3D;shop&amp;after&#x3D;", "\"").to_owned();
    let second = fixture.open(&format!("/admin/businesses?q=shop&after={next}"), &admin).await.body;
    assert!(first.contains("Shop 54") && !first.contains("Shop 04") && !first.contains("First page"));
    assert!(second.contains("Shop 04") && !second.contains("Shop 05") && !second.contains("Next page"));
    assert!(second.contains("value=\"shop\"") && second.contains("First page"));
    assert_eq!(fixture.open("/admin/businesses?after=%25", &admin).await.status, StatusCode::BAD_REQUEST);
    let log = fixture.open("/admin/audit", &admin).await.body;
    let next = between(&log, "href=\"/admin/audit?after&#x3D;", "\"").to_owned();
    assert!(fixture.open(&format!("/admin/audit?after={next}"), &admin).await.body.contains("First page"));
}

#[tokio::test(flavor = "multi_thread")]
async fn home_leads_each_role_to_what_is_its_own() {
    let fixture = Fixture::new().await;
    for (kind, place) in [
        (RoleKind::ResellerAdmin, "/admin/businesses".to_owned()),
        (RoleKind::BusinessOwner, format!("/admin/businesses/{}", fixture.business)),
    ] {
        let person = fixture.sign_in_as(kind, kind.name()).await;
        assert!(fixture.home(&person.cookie).await.leads_to(&place), "{kind}");
    }
    let reviewer = fixture.sign_in_as(RoleKind::Reviewer, "Rita").await;
    assert_eq!(fixture.home(&reviewer.cookie).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_decided_once_with_a_reason_and_shows_what_was_counted() {
    let fixture = Fixture::new().await;
    let world = World::new(&fixture, &fixture.reseller, &fixture.business).await;
    let reviewer = fixture.sign_in_as(RoleKind::Reviewer, "rita").await;
    let path = world.address("/cases/{case}");
    let list = fixture.open("/admin/cases", &reviewer.cookie).await.body;
    assert!(list.contains(&path) && list.contains("opted out"), "{list}");
    let page = fixture.open(&path, &reviewer.cookie).await.body;
    assert!(page.contains("<dt>Opt-outs</dt><dd>1</dd>"), "{page}");
    let decision = format!("{path}/decision");
    for (fields, complaint) in [
        (vec![("reason", "chance")], "Choose what follows"),
        (vec![("verdict", "release"), ("reason", " ")], "must say why"),
    ] {
        let refused = fixture.send(&decision, &reviewer.cookie, &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.body.contains(complaint), "{}", refused.body);
    }
    let fields = [("verdict", "release"), ("reason", "One of one is chance")];
    assert!(fixture.send(&decision, &reviewer.cookie, &fields).await.leads_to(&path));
    let decided = fixture.open(&path, &reviewer.cookie).await.body;
    assert!(decided.contains("released: One of one is chance") && !decided.contains("id=\"decision-form\""));
    assert!(!fixture.open("/admin/cases", &reviewer.cookie).await.body.contains(&path));
    assert!(fixture.open("/admin/cases?all=1", &reviewer.cookie).await.body.contains(&path));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_within_those_above_and_what_is_wrong_is_said() {
    let fixture = Fixture::new().await;
    let owner = fixture.owner().await.cookie;
    let admin = fixture.sign_in_as(RoleKind::ResellerAdmin, "Nora").await.cookie;
    let reseller = format!("/admin/resellers/{}", fixture.reseller);
    let business = format!("/admin/businesses/{}", fixture.business);
    let set = [("messages_per_day", "10,000"), ("channels", "whatsapp")];
    assert!(fixture.send(&format!("{reseller}/limits"), &owner, &set).await.leads_to(&reseller));
    assert!(fixture.open(&reseller, &owner).await.body.contains("<dd>10,000</dd>"));
    for (field, value) in [("messages_per_day", "many"), ("messages_per_day", "20000"), ("requests_per_second", "0")] {
        let refused = fixture.send(&format!("{business}/limits"), &admin, &[(field, value)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{value}");
        assert!(summary(&refused).contains(&format!("href=\"#{field}\"")), "{}", summary(&refused));
        assert!(refused.body.contains(&format!("value=\"{value}\"")), "what was entered is kept");
    }
    let fewer = fixture.send(&format!("{business}/limits"), &admin, &[("messages_per_day", "5000")]).await;
    assert!(fewer.leads_to(&business));
    let page = fixture.open(&business, &admin).await.body;
    assert!(
        page.contains("5,000 <span class=\"muted\">set here")
            && page.contains("whatsapp <span class=\"muted\">inherited")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_answer_is_refused_with_the_reason() {
    let fixture = Fixture::new().await;
    let owner = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let business = format!("/admin/businesses/{}", fixture.business);
    let fields = [("url", "http://127.0.0.1:9/hook"), ("verify_token", "token of ours")];
    let refused = fixture.send(&format!("{business}/endpoints"), &owner, &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(summary(&refused).contains("Address did not pass the check"), "{}", summary(&refused));
    assert!(refused.body.contains("value=\"http://127.0.0.1:9/hook\""));
}

/// An endpoint that answers one challenge; its address.
async fn endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let read = socket.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let challenge = between(&request, "hub.challenge=", " ").split('&').next().unwrap().to_owned();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", challenge.len());
        socket.write_all(format!("{head}{challenge}").as_bytes()).await.unwrap();
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_is_added_and_can_be_removed() {
    let fixture = Fixture::new().await;
    let owner = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let business = format!("/admin/businesses/{}", fixture.business);
    let url = endpoint().await;
    let fields = [("url", url.as_str()), ("verify_token", "token of ours")];
    let added = fixture.send(&format!("{business}/endpoints"), &owner, &fields).await;
    assert!(added.leads_to(&business), "{}", added.body);
    let page = fixture.open(&business, &owner).await.body;
    assert!(page.contains(&url) && faults(&page).is_empty());
    let remove = format!("{business}/endpoints/{}/remove", between(&page, "/endpoints/", "/remove"));
    assert!(fixture.send(&remove, &owner, &[]).await.leads_to(&business));
    assert!(fixture.open(&business, &owner).await.body.contains("No endpoint yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_given_up_with_a_reason() {
    let fixture = Fixture::new().await;
    let owner = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let way = format!("/admin/businesses/{}/onboarding", fixture.business);
    let silent = fixture.send(&format!("{way}/give-up"), &owner, &[]).await;
    assert!(summary(&silent).contains("href=\"#reason\""), "{}", summary(&silent));
    assert!(
        fixture
            .send(&format!("{way}/give-up"), &owner, &[("reason", "Twice")])
            .await
            .leads_to(&format!("{way}/review"))
    );
    let page = fixture.open(&format!("{way}/review"), &owner).await.body;
    assert!(page.contains("Nothing can be done with it any more.") && page.contains("Twice"));
}
