//! Nobody reaches what is another's: a walk through every operation that the running program
//! documents, with a request that would be valid. Each has to refuse strangers, credentials without
//! the scope that it documents, credentials of the wrong kind and other tenants; and to do what it
//! documents for a credential that has this scope and no other.
//!
//! An operation that is documented and has no case here fails the walk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use waystation_testkit::{process::DemoInfo, secrets, sink::WebhookSink};

use crate::support::{Answer, Client, Profile, Site, eventually, exchange, http, on_both_profiles, text};

on_both_profiles!(every_operation_keeps_tenants_scopes_and_strangers_apart);

/// The documents, and whose credentials their operations are for.
const DOCUMENTS: [(&str, Level); 2] =
    [("/openapi/tenant.json", Level::Tenant), ("/openapi/partner.json", Level::Partner)];

/// The smallest file that passes for a PDF.
const PDF: &str = "%PDF-1.7\n%%EOF\n";

/// The code that the network of the test adapter sends.
const NETWORK_CODE: &str = "123456";

/// Whose credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Tenant,
    Partner,
}

impl Level {
    fn other(self) -> Self {
        if self == Self::Tenant { Self::Partner } else { Self::Tenant }
    }
}

/// What an operation is documented to be.
struct Operation {
    id: String,
    level: Level,
    method: Method,
    path: String,
    /// The scope it needs; none when any credential will do.
    scope: Option<String>,
    /// The statuses it may answer.
    statuses: BTreeSet<u16>,
}

impl Operation {
    /// The one status of success.
    fn success(&self) -> u16 {
        let successes: Vec<u16> = self.statuses.iter().copied().filter(|status| status / 100 == 2).collect();
        assert_eq!(successes.len(), 1, "{}: {successes:?}", self.id);
        successes[0]
    }

    fn is_cloud(&self) -> bool {
        self.path.starts_with("/{version}/")
    }
}

/// A body.
#[derive(Clone)]
enum Body {
    None,
    Json(Value),
    Document,
    Csv(&'static str),
    /// A file for a message, in a form.
    File,
    /// Bytes of a file.
    Bytes(&'static str),
}

/// What others get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// The request names an object: it is not there for them.
    NotFound,
    /// It names none: they get their own, and nothing of this one's.
    TheirOwn,
}

/// A request that is valid for one side.
#[derive(Clone)]
struct Case {
    params: Vec<(&'static str, String)>,
    query: String,
    body: Body,
    others: Others,
    /// What a valid answer has of the side's own.
    shows: Option<String>,
}

impl Case {
    fn new(params: impl IntoIterator<Item = (&'static str, impl ToString)>) -> Self {
        let params = params.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        Self { params, ..Self::plain() }
    }

    /// One without parameters in its path.
    fn plain() -> Self {
        Self { params: Vec::new(), query: String::new(), body: Body::None, others: Others::NotFound, shows: None }
    }

    /// One that names no object of a tenant's.
    fn anybodys() -> Self {
        Self { others: Others::TheirOwn, ..Self::plain() }
    }

    /// The same with one more parameter in its path.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.params.push((name, value.to_owned()));
        self
    }

    fn json(self, body: Value) -> Self {
        Self { body: Body::Json(body), ..self }
    }

    fn query(self, query: impl Into<String>) -> Self {
        Self { query: query.into(), ..self }
    }

    fn shows(self, what: impl Into<String>) -> Self {
        Self { shows: Some(what.into()), ..self }
    }
}

/// The scopes of a document.
struct Scopes {
    /// Those that credentials can have.
    all: BTreeSet<String>,
    /// Those that an operation needs.
    needed: BTreeSet<String>,
}

/// One reseller with one of everything below it.
struct Side {
    partner: Client,
    tenant: Client,
    info: DemoInfo,
    /// Another business of the reseller, with a key of its own.
    sibling: Client,
    sibling_id: String,
    /// Credentials that have one scope only, and all but one.
    only: BTreeMap<(Level, String), Vec<String>>,
    without: BTreeMap<(Level, String), Vec<String>>,
    /// OAuth clients that may do everything: id and secret.
    oauth: BTreeMap<Level, (String, String)>,
    message: String,
    /// A message that it received, and from which pretend phone.
    inbound: String,
    writer: String,
    media: String,
    key: String,
    client: String,
    own_key: String,
    own_client: String,
    endpoint: String,
    draft: String,
    document: String,
    case: String,
    contact: String,
    suppression: String,
    import: String,
    /// A phone of the sandbox that a code was sent to.
    phone: String,
    /// A sender on a network that registers numbers, whose number is proven.
    registered: String,
    /// What strangers must not see.
    marks: Vec<String>,
    /// What nobody sees twice.
    secrets: Vec<String>,
    sink: WebhookSink,
    upstream: String,
}

/// A phone number that no other sender has.
fn phone() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // The last digits tell both networks to take whatever is asked of them.
    format!("1650{:05}7777", NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

impl Side {
    async fn new(site: &Site, info: &DemoInfo, base_url: &str, scopes: &BTreeMap<Level, Scopes>) -> Self {
        let tenant = Client::new(info, base_url);
        let partner = tenant.with(&info.partner_token);
        let sink = WebhookSink::start().expect("a sink");
        let business = format!("/partner/v1/businesses/{}", info.business_id);
        let mut side = Self {
            sibling: tenant.clone(),
            sibling_id: String::new(),
            partner,
            tenant,
            info: info.clone(),
            only: BTreeMap::new(),
            without: BTreeMap::new(),
            oauth: BTreeMap::new(),
            message: String::new(),
            inbound: String::new(),
            writer: phone(),
            media: String::new(),
            key: String::new(),
            client: String::new(),
            own_key: String::new(),
            own_client: String::new(),
            endpoint: String::new(),
            draft: String::new(),
            document: String::new(),
            case: format!("01JDC7M1Q2ZJ3W4X5Y6Z7{}", &info.business_id[info.business_id.len() - 5..]),
            contact: String::new(),
            suppression: String::new(),
            import: String::new(),
            phone: String::new(),
            registered: String::new(),
            marks: Vec::new(),
            secrets: vec![info.token.clone(), info.partner_token.clone(), info.app_secret.clone()],
            sink,
            upstream: accepting_server().await,
        };
        for (level, place) in [(Level::Tenant, business.as_str()), (Level::Partner, "/partner/v1")] {
            side.issue_credentials(level, place, &scopes[&level]).await;
        }
        side.furnish(site, &business).await;
        side
    }

    /// Keys and access tokens with one scope, and with all but one.
    async fn issue_credentials(&mut self, level: Level, place: &str, scopes: &Scopes) {
        let grant = json!({"name": "walk", "mode": "live"});
        let client = self.partner.made(201, &format!("{place}/oauth_clients"), &grant).await;
        let (id, secret) = (string(&client["id"]), string(&client["client_secret"]));
        for scope in &scopes.needed {
            let others: Vec<&String> = scopes.all.iter().filter(|other| *other != scope && *other != "admin").collect();
            for (wanted, one) in [(vec![scope], true), (others, false)] {
                let grant = json!({"name": "walk", "mode": "live", "scopes": wanted});
                let key = self.partner.made(201, &format!("{place}/api_keys"), &grant).await;
                let joined = wanted.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
                let token = token(&self.partner, (&id, &secret), Some(&joined)).await.json();
                assert_eq!(token["scope"].as_str().map(|text| text.split(' ').count()), Some(wanted.len()), "{token}");
                let held = vec![string(&key["api_key"]), string(&token["access_token"])];
                self.secrets.extend(held.clone());
                let kept = if one { &mut self.only } else { &mut self.without };
                kept.insert((level, scope.clone()), held);
            }
        }
        self.secrets.push(secret.clone());
        self.marks.push(id.clone());
        match level {
            Level::Tenant => self.client.clone_from(&id),
            Level::Partner => self.own_client.clone_from(&id),
        }
        self.oauth.insert(level, (id, secret));
    }

    /// One of everything that can be read.
    async fn furnish(&mut self, site: &Site, business: &str) {
        let partner = self.partner.clone();
        self.message = self.tenant.send(&text("16505550002", "for the walk")).await.accepted();
        let path = format!("/v1/sandbox/phones/{}/messages", self.writer);
        let played = json!({"to": self.info.phone_number_id, "type": "text", "content": {"body": "for the walk"}});
        self.tenant.made(202, &path, &played).await;
        self.inbound = eventually("a message is received", async || {
            let received = self.tenant.get("/v1/inbound-messages").await.json();
            received["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        self.media = self.new_media().await;
        self.key = string(&partner.made(201, &format!("{business}/api_keys"), &json!({"name": "k"})).await["id"]);
        self.own_key = string(&partner.made(201, "/partner/v1/api_keys", &json!({"name": "k"})).await["id"]);
        let endpoint = json!({"url": self.sink.url(), "verify_token": "verify token of the walk"});
        self.endpoint = string(&partner.made(201, &format!("{business}/webhook_endpoints"), &endpoint).await["id"]);
        self.furnish_people().await;
        let sibling = partner.made(201, "/partner/v1/businesses", &json!({"name": "Sibling"})).await;
        self.sibling = self.tenant.with(&string(&sibling["test_key"]["api_key"]));
        self.sibling_id = string(&sibling["id"]);
        self.draft = self.ready_business().await;
        let path = format!("/partner/v1/businesses/{}/documents", self.draft);
        self.document = string(&partner.get(&path).await.json()["data"][0]["id"]);
        let senders = partner.get(&format!("/partner/v1/businesses/{}/senders", self.draft)).await.json();
        self.phone = string(&senders["data"][0]["phone"]);
        self.registered = self.number_sender().await;

        let reseller = string(&partner.get("/partner/v1/me").await.json()["id"]);
        let key = |id: &str| id.split_once('_').map(|(_, key)| key.to_owned()).unwrap_or_default();
        site.execute(&format!(
            "INSERT INTO abuse_cases (id, reseller_id, business_id, sender_id, reason, evidence, opened_at) \
             VALUES ('{}', '{}', '{}', {}, 'Recipients blocked the sender', '{{}}', 1)",
            self.case,
            key(&reseller),
            key(&self.info.business_id),
            self.info.phone_number_id
        ))
        .await;
        self.marks.extend([
            reseller,
            self.info.business_id.clone(),
            self.info.phone_number_id.clone(),
            self.info.waba_id.clone(),
            self.message.clone(),
            self.inbound.clone(),
            self.writer.clone(),
            self.media.clone(),
            self.key.clone(),
            self.own_key.clone(),
            self.endpoint.clone(),
            self.draft.clone(),
            self.document.clone(),
            self.case.clone(),
            self.phone.clone(),
            self.registered.clone(),
            self.sibling_id.clone(),
            self.contact.clone(),
            self.suppression.clone(),
            self.import.clone(),
        ]);
    }

    /// Somebody who is known, somebody who is protected, and a table that was read in.
    async fn furnish_people(&mut self) {
        self.contact = self.new_contact().await;
        let tenant = &self.tenant;
        let kind = tenant.request(Method::PUT, "/v1/contact_attributes/loyalty_points").body(r#"{"type":"number"}"#);
        assert_eq!(exchange(kind).await.expect("an answer").status, 200);
        self.suppression = self.new_suppression().await;
        let table = tenant.request(Method::POST, "/v1/contacts/imports").body("phone\nnobody\n");
        let answer = exchange(table).await.expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.body);
        self.import = string(&answer.json()["id"]);
    }

    async fn new_contact(&self) -> String {
        string(&self.tenant.made(201, "/v1/contacts", &json!({"phone": phone(), "tags": ["walk"]})).await["id"])
    }

    async fn new_attribute(&self) -> String {
        let name = format!("walk_{}", phone());
        let path = format!("/v1/contact_attributes/{name}");
        let defined = self.tenant.request(Method::PUT, &path).body(r#"{"type":"string"}"#);
        assert_eq!(exchange(defined).await.expect("an answer").status, 200);
        name
    }

    async fn new_suppression(&self) -> String {
        string(&self.tenant.made(201, "/v1/suppressions", &json!({"phone": phone()})).await["id"])
    }

    fn admin(&self, level: Level) -> &Client {
        match level {
            Level::Tenant => &self.tenant,
            Level::Partner => &self.partner,
        }
    }

    fn business(&self) -> [(&'static str, String); 1] {
        [("business", self.info.business_id.clone())]
    }

    fn in_business(&self, name: &'static str, id: &str) -> [(&'static str, String); 2] {
        [("business", self.info.business_id.clone()), (name, id.to_owned())]
    }

    async fn new_draft(&self) -> String {
        let body = json!({"name": format!("Draft {}", phone())});
        string(&self.partner.made(201, "/partner/v1/businesses", &body).await["id"])
    }

    async fn new_key(&self, place: &str) -> String {
        string(&self.partner.made(201, &format!("{place}/api_keys"), &json!({"name": "to end"})).await["id"])
    }

    async fn new_client(&self, place: &str) -> String {
        string(&self.partner.made(201, &format!("{place}/oauth_clients"), &json!({"name": "to end"})).await["id"])
    }

    /// A sender on the sandbox, with its number.
    async fn new_sender(&self, business: &str) -> (String, String) {
        let number = phone();
        let body = json!({"phone": number, "display_name": "Walk"});
        let path = format!("/partner/v1/businesses/{business}/senders");
        (string(&self.partner.made(201, &path, &body).await["id"]), number)
    }

    /// A sender that a code was sent to, and the code.
    async fn coded_sender(&self, business: &str) -> (String, String) {
        let (sender, number) = self.new_sender(business).await;
        self.partner.made(202, &format!("/partner/v1/senders/{sender}/request_code"), &json!({})).await;
        let path = format!("/partner/v1/sandbox/phones/{number}/messages");
        let code = eventually("the code arrives", async || {
            let messages = self.partner.get(&path).await.json();
            let said = messages["data"][0]["text"].as_str()?.to_owned();
            let digits = said.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 6)?;
            Some(digits.to_owned())
        })
        .await;
        secrets::keep("phone code", &code);
        (sender, code)
    }

    /// A sender on the network that registers numbers, whose number is proven.
    async fn number_sender(&self) -> String {
        let body = json!({
            "phone": phone(), "display_name": "Numbers", "adapter": "numbers",
            "connection": {"upstream": self.upstream},
        });
        let path = format!("/partner/v1/businesses/{}/senders", self.info.business_id);
        let sender = string(&self.partner.made(201, &path, &body).await["id"]);
        let path = format!("/partner/v1/senders/{sender}");
        self.partner.made(202, &format!("{path}/request_code"), &json!({})).await;
        self.partner.made(200, &format!("{path}/verify_code"), &json!({"code": NETWORK_CODE})).await;
        sender
    }

    async fn new_document(&self, business: &str) -> String {
        let path = format!("/partner/v1/businesses/{business}/documents");
        let answer = exchange(document(self.partner.request(Method::POST, &path))).await.expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.body);
        string(&answer.json()["id"])
    }

    /// A draft that can be handed in.
    async fn ready_business(&self) -> String {
        let business = self.new_draft().await;
        let path = format!("/partner/v1/businesses/{business}/profile");
        let request = self.partner.request(Method::PATCH, &path).body(profile().to_string());
        let answer = exchange(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.new_document(&business).await;
        let (sender, code) = self.coded_sender(&business).await;
        self.partner.made(200, &format!("/partner/v1/senders/{sender}/verify_code"), &json!({"code": code})).await;
        business
    }

    /// The requests that walk through the operation `id`; none when it is not known here.
    async fn cases(&self, id: &str) -> Option<Vec<Case>> {
        let business = format!("/partner/v1/businesses/{}", self.info.business_id);
        let grant = || json!({"name": "walk", "scopes": ["billing:read"]});
        let endpoint = || json!({"url": self.sink.url(), "verify_token": "verify token of the walk"});
        let own = |name: &'static str, id: &str| Case::new([(name, id.to_owned())]);
        let in_version =
            |name: &'static str, id: &str| Case::new([("version", "v24.0".to_owned()), (name, id.to_owned())]);
        let case = match id {
            "cloudSendMessage" => {
                let params = [("version", "v24.0".to_owned()), ("phone_number_id", self.info.phone_number_id.clone())];
                Case::new(params).json(text("16505550002", "for the walk"))
            }
            "cloudListPhoneNumbers" => self.of_account().shows(&self.info.phone_number_id),
            "cloudListSubscriptions" => self.of_account().shows("Waystation"),
            "cloudSubscribe" => self.of_account().json(json!({
                "override_callback_uri": self.sink.url(), "verify_token": "verify token of the walk",
            })),
            "cloudUnsubscribe" => self.of_account(),
            "cloudReadProfile" | "cloudListQrCodes" => self.of_number(&self.info.phone_number_id),
            "cloudChangeProfile" => self.of_number(&self.info.phone_number_id).json(json!({"about": "Walk"})),
            "cloudRequestCode" => {
                let (sender, _) = self.new_sender(&self.info.business_id).await;
                self.of_number(&sender).json(json!({"code_method": "SMS", "language": "en_US"}))
            }
            "cloudVerifyCode" => {
                let (sender, code) = self.coded_sender(&self.info.business_id).await;
                self.of_number(&sender).json(json!({"code": code}))
            }
            "cloudRegister" => {
                let (sender, _) = self.new_sender(&self.info.business_id).await;
                self.of_number(&sender).json(json!({"messaging_product": "whatsapp", "pin": "204817"}))
            }
            "cloudDeregister" => self.of_number(&self.new_sender(&self.info.business_id).await.0),
            "cloudWriteQrCode" => {
                let message = json!({"prefilled_message": "Walk?", "generate_qr_image": "PNG"});
                self.of_number(&self.info.phone_number_id).json(message)
            }
            "cloudReadQrCode" | "cloudChangeQrCode" | "cloudDeleteQrCode" => {
                let mut case = self.of_number(&self.info.phone_number_id);
                case.params.push(("code", self.new_qr_code().await));
                if id == "cloudChangeQrCode" { case.json(json!({"prefilled_message": "Changed?"})) } else { case }
            }
            "cloudDebugToken" => Case::anybodys()
                .with("version", "v24.0")
                .query(format!("input_token={}", self.info.token))
                .shows("is_valid"),
            "cloudCreateTemplate" => self.of_account().json(template("made_by_the_walk")),
            "cloudListTemplates" => self.of_account().query("summary=total_count").shows("order_update"),
            "cloudDeleteTemplates" => {
                let path = format!("/v24.0/{}/message_templates", self.info.waba_id);
                self.tenant.made(200, &path, &template("to_delete")).await;
                self.of_account().query("name=to_delete")
            }
            "cloudReadMe" => Case::anybodys().with("version", "v24.0").shows(&self.info.waba_id),
            "cloudReadNode" => {
                let node = |id: &str| Case::plain().with("version", "v24.0").with("node_id", id).shows(id);
                return Some(vec![node(&self.info.phone_number_id), node(&self.info.waba_id), node(&self.media)]);
            }
            "cloudChangeNode" => Case::plain()
                .with("version", "v24.0")
                .with("node_id", &self.new_sender(&self.info.business_id).await.0)
                .json(json!({"pin": "204817"})),
            "listOwnSenders" => Case::anybodys().shows(&self.info.phone_number_id),
            "getOwnSender" | "getSenderProfile" | "getSenderRouting" | "removeSenderRouting" | "getChannelState" => {
                own("sender", &self.info.phone_number_id)
            }
            "getRouting" => Case::anybodys(),
            "setRouting" => Case::anybodys().json(json!({"rules": []})),
            "setSenderRouting" => own("sender", &self.info.phone_number_id).json(json!({"rules": []})),
            "changeSenderProfile" => own("sender", &self.info.phone_number_id).json(json!({"about": "Walk"})),
            "listQrCodes" => {
                let code = self.new_qr_code().await;
                let of_sender = Case::plain().query(format!("sender={}", self.info.phone_number_id)).shows(&code);
                return Some(vec![Case::anybodys().shows(&code), of_sender]);
            }
            "createQrCode" => {
                Case::plain().json(json!({"sender": self.info.phone_number_id, "prefilled_message": "Walk?"}))
            }
            "getQrCode" | "deleteQrCode" => own("qr_code", &self.new_qr_code().await),
            "changeQrCode" => own("qr_code", &self.new_qr_code().await).json(json!({"prefilled_message": "Changed?"})),
            "sendMessage" => {
                let mut message = text("16505550002", "for the walk");
                message["from"] = self.info.phone_number_id.as_str().into();
                Case::plain().json(message)
            }
            "sendOneTimePassword" => Case::plain().json(json!({"to": phone(), "from": self.info.phone_number_id})),
            "verifyOneTimePassword" => {
                let order = json!({"to": phone(), "from": self.info.phone_number_id});
                let sent = self.tenant.made(202, "/v1/otp", &order).await;
                Case::plain().json(json!({"id": sent["id"], "code": "000000"})).shows("tries_left")
            }
            "sendMessages" => {
                // Without a sender, so that nobody's is named in what they are told.
                Case::anybodys().json(json!({"messages": [text("16505550002", "for the walk")]}))
            }
            "changeMessage" => own("id", &self.scheduled().await).json(json!({"ttl_seconds": 60})),
            "cancelMessage" => own("id", &self.scheduled().await),
            "listMessages" => Case::anybodys().shows(&self.message),
            "getMessage" | "listMessageEvents" => own("id", &self.message),
            "cloudMarkMessageAsRead" => {
                let params = [("version", "v24.0".to_owned()), ("phone_number_id", self.info.phone_number_id.clone())];
                let mark = json!({"messaging_product": "whatsapp", "status": "read", "message_id": self.inbound});
                Case::new(params).json(mark)
            }
            "listContacts" => Case::anybodys().query("limit=200").shows(&self.contact),
            "addContact" | "upsertContact" => Case::anybodys().json(json!({"phone": phone()})),
            "exportContacts" => Case::anybodys().shows(&self.contact),
            "importContacts" => Case { body: Body::Csv("phone\n+16505559876\n"), ..Case::anybodys() },
            "getContactImport" | "listContactImportErrors" => own("import", &self.import),
            "getContact" => own("contact", &self.contact),
            "changeContact" => own("contact", &self.contact).json(json!({"given_name": "Ana"})),
            "eraseContact" => own("contact", &self.new_contact().await),
            "mergeContacts" => own("contact", &self.contact).json(json!({"other": self.new_contact().await})),
            "listConsents" => own("contact", &self.contact),
            "recordConsent" => own("contact", &self.contact)
                .json(json!({"category": "marketing", "granted": true, "source": "the walk"})),
            "listContactAttributes" => Case::anybodys(),
            "defineContactAttribute" => {
                Case { others: Others::TheirOwn, ..own("attribute", "loyalty_points") }.json(json!({"type": "number"}))
            }
            "removeContactAttribute" => own("attribute", &self.new_attribute().await),
            "listSuppressions" => Case::anybodys().query("limit=200").shows(&self.suppression),
            "addSuppression" => Case::anybodys().json(json!({"phone": phone(), "reason": "the walk"})),
            "getSuppression" => own("suppression", &self.suppression),
            "removeSuppression" => own("suppression", &self.new_suppression().await),
            "getOptOutTexts" => Case::anybodys(),
            "setOptOutTexts" => Case::anybodys().json(json!({"stop_text": "No more messages."})),
            "listInboundMessages" => Case::anybodys().shows(&self.inbound),
            "getInboundMessage" | "markAsRead" | "showTyping" => own("message", &self.inbound),
            "getConversation" => {
                Case::new([("sender", &self.info.phone_number_id), ("person", &self.writer)]).shows(&self.inbound)
            }
            "cloudListBlockedUsers" => {
                let params = [("version", "v24.0".to_owned()), ("phone_number_id", self.info.phone_number_id.clone())];
                Case::new(params).shows(self.blocked().await)
            }
            "cloudBlockUsers" | "cloudUnblockUsers" => {
                let params = [("version", "v24.0".to_owned()), ("phone_number_id", self.info.phone_number_id.clone())];
                let user = if id == "cloudBlockUsers" { self.writer.clone() } else { self.blocked().await };
                Case::new(params).json(json!({"messaging_product": "whatsapp", "block_users": [{"user": user}]}))
            }
            "listBlockedPeople" => own("sender", &self.info.phone_number_id).shows(self.blocked().await),
            "blockPeople" => own("sender", &self.info.phone_number_id).json(json!({"people": [self.writer]})),
            "unblockPerson" => {
                Case::new([("sender", self.info.phone_number_id.clone()), ("person", self.blocked().await)])
            }
            "listShownMessages" => {
                Case { others: Others::TheirOwn, ..own("number", &self.writer) }.shows(&self.inbound)
            }
            "playPhone" => own("number", &self.writer)
                .json(json!({"to": self.info.phone_number_id, "type": "text", "content": {"body": "for the walk"}})),
            "cloudUploadMedia" => {
                let params = [("version", "v24.0".to_owned()), ("phone_number_id", self.info.phone_number_id.clone())];
                Case { body: Body::File, ..Case::new(params) }
            }
            "cloudDownloadMedia" => in_version("media_id", &self.media),
            "cloudDeleteMedia" => in_version("media_id", &self.new_media().await),
            "cloudStartUpload" => {
                let query = format!("file_length={}&file_type=application/pdf", PDF.len());
                Case { others: Others::TheirOwn, ..in_version("app_id", "app") }.query(query)
            }
            "cloudResumeUpload" => Case { body: Body::Bytes(PDF), ..in_version("upload_id", &self.new_upload().await) },
            "cloudGetUpload" => in_version("upload_id", &self.new_upload().await),
            "addMedia" => Case { body: Body::File, ..Case::anybodys() },
            "listMedia" => Case::anybodys().shows(&self.media),
            "getMedia" => own("media", &self.media).shows(&self.media),
            "getMediaContent" => own("media", &self.media).shows(PDF),
            "linkMedia" => own("media", &self.media).shows("/media/"),
            "deleteMedia" => own("media", &self.new_media().await),

            "getAccount" => Case::anybodys().shows(&self.info.business_id),
            "listEndpoints" => Case::anybodys().shows(&self.endpoint),
            "addEndpoint" => Case::anybodys().json(endpoint()),
            "getEndpoint" => own("webhook_endpoint", &self.endpoint),
            "removeEndpoint" => own("webhook_endpoint", &self.new_endpoint().await),
            "listOwnUsage" => Case::anybodys().shows(&self.info.phone_number_id),

            "getReseller" => Case::anybodys(),
            "listBusinesses" => Case::anybodys().shows(&self.info.business_id),
            "createBusiness" => Case::anybodys().json(json!({"name": "Made by the walk"})),
            "getBusiness" => Case::new(self.business()).shows(&self.info.business_id),
            "setBusinessPolicy" => Case::new(self.business()).json(json!({"requests_per_second": 900})),

            "getProfile" | "getVerification" => Case::new([("business", &self.draft)]),
            "listDocuments" => Case::new([("business", &self.draft)]).shows(&self.document),
            "getDocument" => Case::new([("business", &self.draft), ("document", &self.document)]),
            "changeProfile" => Case::new([("business", &self.new_draft().await)]).json(profile()),
            "uploadDocument" => Case { body: Body::Document, ..Case::new([("business", &self.new_draft().await)]) },
            "deleteDocument" => {
                let draft = self.new_draft().await;
                let document = self.new_document(&draft).await;
                Case::new([("business", draft), ("document", document)])
            }
            "submitBusiness" => Case::new([("business", &self.ready_business().await)]),
            "closeBusiness" => Case::new([("business", &self.new_draft().await)]).json(json!({"reason": "No more."})),

            "listSenders" => Case::new(self.business()).shows(&self.info.phone_number_id),
            "addSender" => Case::new(self.business()).json(json!({"phone": phone(), "display_name": "Walk"})),
            "getSender" => own("sender", &self.info.phone_number_id),
            "pauseSender" => {
                own("sender", &self.new_sender(&self.new_draft().await).await.0).json(json!({"reason": "walk"}))
            }
            "resumeSender" => {
                let sender = self.new_sender(&self.new_draft().await).await.0;
                let path = format!("/partner/v1/senders/{sender}/pause");
                self.partner.made(200, &path, &json!({"reason": "walk"})).await;
                own("sender", &sender)
            }
            "requestCode" => own("sender", &self.new_sender(&self.new_draft().await).await.0).json(json!({})),
            "verifyCode" => {
                let (sender, code) = self.coded_sender(&self.new_draft().await).await;
                own("sender", &sender).json(json!({"code": code}))
            }
            "registerNumber" => own("sender", &self.registered).json(json!({"pin": "204817"})),
            "listPhoneMessages" => Case { others: Others::TheirOwn, ..own("number", &self.phone) }.shows("code"),

            "listApiKeys" => Case::new(self.business()).shows(&self.key),
            "issueApiKey" | "issueOauthClient" => Case::new(self.business()).json(grant()),
            "getApiKey" => Case::new(self.in_business("api_key", &self.key)),
            "rotateApiKey" => {
                Case::new(self.in_business("api_key", &self.new_key(&business).await)).json(json!({"grace_hours": 1}))
            }
            "revokeApiKey" => Case::new(self.in_business("api_key", &self.new_key(&business).await)),
            "listOauthClients" => Case::new(self.business()).shows(&self.client),
            "getOauthClient" => Case::new(self.in_business("oauth_client", &self.client)),
            "rotateOauthClient" => Case::new(self.in_business("oauth_client", &self.new_client(&business).await)),
            "revokeOauthClient" => Case::new(self.in_business("oauth_client", &self.new_client(&business).await)),
            "listSigningSecrets" => Case::new(self.business()).shows("sec_"),
            "rotateSigningSecret" => Case::new([("business", &self.new_draft().await)]),

            "listOwnApiKeys" => Case::anybodys().shows(&self.own_key),
            "issueOwnApiKey" | "issueOwnOauthClient" => Case::anybodys().json(grant()),
            "getOwnApiKey" => own("api_key", &self.own_key),
            "rotateOwnApiKey" | "revokeOwnApiKey" => own("api_key", &self.new_key("/partner/v1").await),
            "listOwnOauthClients" => Case::anybodys().shows(&self.own_client),
            "getOwnOauthClient" => own("oauth_client", &self.own_client),
            "rotateOwnOauthClient" | "revokeOwnOauthClient" => {
                own("oauth_client", &self.new_client("/partner/v1").await)
            }

            "listBusinessEndpoints" => Case::new(self.business()).shows(&self.endpoint),
            "addBusinessEndpoint" => Case::new(self.business()).json(endpoint()),
            "getBusinessEndpoint" => Case::new(self.in_business("webhook_endpoint", &self.endpoint)),
            "removeBusinessEndpoint" => Case::new(self.in_business("webhook_endpoint", &self.new_endpoint().await)),

            "listUsage" | "listCases" | "listAuditLog" => {
                let shows = &match id {
                    "listUsage" => self.info.phone_number_id.clone(),
                    "listCases" => self.case.clone(),
                    // A page is not long enough for all that was done; this was just now.
                    _ => self.new_endpoint().await,
                };
                let named = Case::plain().query(format!("business={}", self.info.business_id)).shows(shows);
                return Some(vec![Case::anybodys().query("limit=200").shows(shows), named]);
            }
            _ => return None,
        };
        Some(vec![case])
    }

    /// A case of the Cloud API for one of the side's phone numbers.
    fn of_number(&self, id: &str) -> Case {
        Case::plain().with("version", "v24.0").with("phone_number_id", id)
    }

    /// A case of the Cloud API for the side's account.
    fn of_account(&self) -> Case {
        Case::plain().with("version", "v24.0").with("waba_id", &self.info.waba_id)
    }

    async fn new_qr_code(&self) -> String {
        let body = json!({"sender": self.info.phone_number_id, "prefilled_message": "Walk?"});
        string(&self.tenant.made(201, "/v1/qr_codes", &body).await["code"])
    }

    /// A pretend phone that wrote and was blocked.
    async fn blocked(&self) -> String {
        let number = phone();
        let played = json!({"to": self.info.phone_number_id, "type": "text", "content": {"body": "for the walk"}});
        self.tenant.made(202, &format!("/v1/sandbox/phones/{number}/messages"), &played).await;
        let path = format!("/v1/senders/{}/blocked-people", self.info.phone_number_id);
        eventually("somebody is blocked", async || {
            let answer = self.tenant.made(200, &path, &json!({"people": [number]})).await;
            (answer["data"][0]["blocked"] == true).then_some(())
        })
        .await;
        number
    }

    async fn new_media(&self) -> String {
        let answer = exchange(file(self.tenant.request(Method::POST, "/v1/media"))).await.expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.body);
        string(&answer.json()["id"])
    }

    async fn new_upload(&self) -> String {
        let path = format!("/v24.0/app/uploads?file_length={}&file_type=application/pdf", PDF.len());
        let answer = exchange(self.tenant.request(Method::POST, &path)).await.expect("an answer");
        string(&answer.json()["id"])
    }

    /// A message that is to be sent tomorrow.
    async fn scheduled(&self) -> String {
        let mut message = text("16505550002", "for the walk");
        message["from"] = self.info.phone_number_id.as_str().into();
        message["schedule_at"] = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string().into();
        string(&self.tenant.made(202, "/v1/messages", &message).await["id"])
    }

    async fn new_endpoint(&self) -> String {
        let path = format!("/partner/v1/businesses/{}/webhook_endpoints", self.info.business_id);
        let body = json!({"url": self.sink.url(), "verify_token": "verify token of the walk"});
        string(&self.partner.made(201, &path, &body).await["id"])
    }
}

fn template(name: &str) -> Value {
    json!({
        "name": name, "language": "en_US", "category": "UTILITY",
        "components": [{"type": "BODY", "text": format!("The walk says {name}.")}],
    })
}

fn profile() -> Value {
    json!({
        "legal_name": "Blumenhaus Meier GmbH", "trade_name": "Blumenhaus Meier", "registration_number": "HRB 12345 B",
        "category": "retail", "website": "https://www.blumenhaus-meier.de", "address": "Hauptstraße 1, 10115 Berlin",
        "country": "DE",
        "contact": {"name": "Ada Meier", "email": "ada@blumenhaus-meier.de", "phone": "+49 30 12345678"},
    })
}

/// The request with a document in a form.
fn document(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    let boundary = "boundary-of-the-walk";
    let mut body = String::new();
    let part = "Content-Disposition: form-data; name=";
    let _ = write!(body, "--{boundary}\r\n{part}\"kind\"\r\n\r\nregistration_certificate\r\n");
    let _ = write!(body, "--{boundary}\r\n{part}\"file\"; filename=\"register.pdf\"\r\n");
    let _ = write!(body, "Content-Type: application/pdf\r\n\r\n{PDF}\r\n--{boundary}--\r\n");
    request.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(body)
}

/// The request with a file for a message in a form.
fn file(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    let part = reqwest::multipart::Part::text(PDF).file_name("menu.pdf").mime_str("application/pdf").expect("a type");
    let form = reqwest::multipart::Form::new().text("messaging_product", "whatsapp").part("file", part);
    request.multipart(form)
}

/// An access token, or why there is none.
async fn token(client: &Client, (id, secret): (&str, &str), scope: Option<&str>) -> Answer {
    let mut body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    if let Some(scope) = scope {
        let _ = write!(body, "&scope={}", scope.replace(':', "%3A").replace(' ', "+"));
    }
    let request = http().post(format!("{}/oauth/token", client.base_url));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    exchange(request).await.expect("an answer")
}

/// A server that answers everything with 200, and where it is.
async fn accepting_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                // Requests of this test come in one piece.
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    format!("http://{address}")
}

/// Sends a case with a credential, or without one.
async fn send(client: &Client, operation: &Operation, case: &Case, token: Option<&str>) -> Answer {
    let mut path = operation.path.clone();
    for (name, value) in &case.params {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    assert!(!path.contains('{'), "{}: {path} has a parameter without a value", operation.id);
    if !case.query.is_empty() {
        path = format!("{path}?{}", case.query);
    }
    let request = match token {
        Some(token) => client.with(token).request(operation.method.clone(), &path),
        None => http().request(operation.method.clone(), format!("{}{path}", client.base_url)),
    };
    let request = match &case.body {
        Body::None => request,
        Body::Json(body) => request.header("content-type", "application/json").body(body.to_string()),
        Body::Document => document(request),
        Body::Csv(table) => request.header("content-type", "text/csv").body(*table),
        Body::File => file(request),
        Body::Bytes(bytes) => request.header("content-type", "application/octet-stream").body(*bytes),
    };
    let answer = exchange(request).await.expect("an answer");
    assert!(
        operation.statuses.contains(&answer.status),
        "{} answers {}, which is not documented: {}",
        operation.id,
        answer.status,
        answer.body
    );
    answer
}

/// Checks that an answer is this error, in the shape of its route.
fn assert_refused(what: &str, operation: &Operation, answer: &Answer, status: u16, name: &str, code: i64) {
    assert_eq!(answer.status, status, "{}, {what}: {}", operation.id, answer.body);
    let body = answer.json();
    if operation.is_cloud() {
        assert_eq!(body["error"]["code"], code, "{}, {what}: {body}", operation.id);
    } else {
        assert_eq!(answer.problem(), name, "{}, {what}: {body}", operation.id);
        assert_eq!(body["code"], code, "{}, {what}: {body}", operation.id);
    }
}

/// The operations of a document, and the scopes that its credentials can have.
async fn operations(client: &Client, path: &str, level: Level) -> (Vec<Operation>, Scopes) {
    let document = exchange(http().get(format!("{}{path}", client.base_url))).await.expect("an answer").json();
    let scopes = &document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"];
    let scopes: BTreeSet<String> = scopes.as_object().expect("scopes").keys().cloned().collect();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path") {
            let id = string(&operation["operationId"]);
            let security = operation["security"].as_array().unwrap_or_else(|| panic!("{id} has no security"));
            if id == "getAccessToken" {
                assert_eq!(*security, [json!({"client": []})]);
                continue;
            }
            let [api_key, oauth2] = [&security[0]["api_key"], &security[1]["oauth2"]];
            assert!(api_key.is_array() && api_key == oauth2, "{id}: both schemes need the same: {security:?}");
            let needed = api_key.as_array().expect("scopes");
            assert!(
                needed.len() <= 1 && needed.iter().all(|scope| scopes.contains(&string(scope))),
                "{id}: {needed:?}"
            );
            let statuses = operation["responses"].as_object().expect("responses").keys();
            operations.push(Operation {
                level,
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                scope: needed.first().map(string),
                statuses: statuses.map(|status| status.parse().expect("a status")).collect(),
                id,
            });
        }
    }
    let needed = operations.iter().filter_map(|operation| operation.scope.clone()).collect();
    (operations, Scopes { all: scopes, needed })
}

async fn every_operation_keeps_tenants_scopes_and_strangers_apart(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.set("limits.refused_per_minute", 1_000_000);
    site.load_adapter("waystation_plugin_numbers");
    let info_of_a = site.add_business(None);
    let demo = site.demo(None);
    let base_url = &demo.info().base_url;
    let client = Client::new(&info_of_a, base_url);

    let (mut walk, mut scopes) = (Vec::new(), BTreeMap::new());
    for (path, level) in DOCUMENTS {
        let (operations, known) = operations(&client, path, level).await;
        scopes.insert(level, known);
        walk.extend(operations);
    }
    assert!(walk.len() > 50, "{} operations", walk.len());
    let a = Side::new(&site, &info_of_a, base_url, &scopes).await;
    let b = Side::new(&site, demo.info(), base_url, &scopes).await;
    for operation in &walk {
        let cases = a.cases(&operation.id).await;
        let cases = cases.unwrap_or_else(|| panic!("{} is documented and has no case here", operation.id));
        for case in cases {
            walk_case(operation, &case, &a, &b).await;
        }
    }
    tokens_are_for_those_who_know_the_secret(&a, &b).await;
}

async fn walk_case(operation: &Operation, case: &Case, a: &Side, b: &Side) {
    let (client, level) = (a.admin(operation.level), operation.level);
    for stranger in [None, Some("ws_live_nobodys"), Some("ws_at_nobodys")] {
        let answer = send(client, operation, case, stranger).await;
        assert_refused("a stranger", operation, &answer, 401, "unauthenticated", 190);
        assert!(answer.header("www-authenticate").is_some(), "{}", operation.id);
    }
    let wrong_kind = send(client, operation, case, Some(&a.admin(level.other()).token)).await;
    assert_refused("a credential of the other kind", operation, &wrong_kind, 403, "permission_denied", 10);
    if let Some(scope) = &operation.scope {
        for token in &a.without[&(level, scope.clone())] {
            let answer = send(client, operation, case, Some(token)).await;
            assert_refused("without the scope", operation, &answer, 403, "scope_missing", 10);
            assert!(answer.body.contains(scope), "{} does not name {scope}: {}", operation.id, answer.body);
        }
    }
    let mut others = vec![b.admin(level)];
    if level == Level::Tenant {
        others.push(&a.sibling);
    }
    for other in others {
        let answer = send(client, operation, case, Some(&other.token)).await;
        match case.others {
            Others::NotFound => assert_refused("another's", operation, &answer, 404, "not_found", 803),
            Others::TheirOwn => {
                assert_eq!(answer.status, operation.success(), "{}: {}", operation.id, answer.body);
                // Its own id is a sibling's to see.
                let own = (other.token == a.sibling.token).then_some(&a.sibling_id);
                for mark in a.marks.iter().filter(|mark| Some(*mark) != own) {
                    assert!(!answer.body.contains(mark.as_str()), "{} shows {mark}: {}", operation.id, answer.body);
                }
            }
        }
    }
    // After all that nobody did anything to it, whoever has the scope alone can use it.
    let token = match &operation.scope {
        Some(scope) => &a.only[&(level, scope.clone())][usize::from(operation.method != Method::GET)],
        None => a.only.iter().find(|((known, _), _)| *known == level).map(|(_, held)| &held[0]).expect("one"),
    };
    let answer = send(client, operation, case, Some(token)).await;
    assert_eq!(answer.status, operation.success(), "{}: {}", operation.id, answer.body);
    assert!(answer.header("ratelimit").is_some() && answer.header("ratelimit-policy").is_some(), "{}", operation.id);
    if let Some(shown) = &case.shows {
        assert!(answer.body.contains(shown.as_str()), "{} does not show {shown}: {}", operation.id, answer.body);
    }
    for secret in &a.secrets {
        assert!(!answer.body.contains(secret.as_str()), "{} shows a secret again", operation.id);
    }
    if answer.status == 201 {
        let location = answer.header("location").unwrap_or_else(|| panic!("{} says not where", operation.id));
        assert_eq!(client.get(location).await.status, 200, "{} is not at {location}", operation.id);
    }
}

async fn tokens_are_for_those_who_know_the_secret(a: &Side, b: &Side) {
    for level in [Level::Tenant, Level::Partner] {
        let ((id, secret), (others_id, others_secret)) = (&a.oauth[&level], &b.oauth[&level]);
        let error = async |client: (&str, &str), scope: Option<&str>| {
            let answer = token(&a.tenant, client, scope).await;
            (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
        };
        for client in [(id, others_secret), (others_id, secret), (id, id)] {
            assert_eq!(error((client.0, client.1), None).await, (401, "invalid_client".to_owned()));
        }
        assert_eq!(error((id, secret), Some("messages:send fly")).await, (400, "invalid_scope".to_owned()));
        let answer = token(&a.tenant, (id, secret), None).await;
        assert_eq!((answer.status, &answer.json()["scope"]), (200, &json!("admin")));
        let token = string(&answer.json()["access_token"]);
        let me = if level == Level::Tenant { "/v1/me" } else { "/partner/v1/me" };
        let me = a.tenant.with(&token).get(me).await;
        assert!(me.body.contains(id.as_str()), "{}", me.body);
    }
}
