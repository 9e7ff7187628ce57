//! API keys, OAuth clients and signing secrets, of a business or of a reseller itself.
//! Every secret is shown once, on the page that answers the form which made it.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    access::Role,
    clock::{Millis, now_ms},
    credentials::{GRACE_DEFAULT_MS, GRACE_MAX_MS, GrantRequest},
    ids::{ApiKeyId, ClientId, ResellerId},
    paging::{PAGE_MAX_ENTRIES, Paging},
    store::{BusinessView, CredentialView, Owner},
    tenancy::{Level, Mode, Scope},
};

use crate::{
    Dashboard,
    account::done,
    businesses::{self, Head},
    failure::Failure,
    forms::{Choice, Field, Fields, Form},
    notice::Notice,
    pages::{self, Action, FormPage, Frame, Page, Place, Secret, SecretPage, Tab},
    session::{SignedIn, Submitted},
    text::{Badge, Time},
};

const HOUR_MS: Millis = 60 * 60 * 1_000;
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// The grace that a form offers at first, in hours.
const GRACE_DEFAULT_HOURS: Millis = GRACE_DEFAULT_MS / HOUR_MS;
/// After how many days a new credential may end.
const LIVES_DAYS: [i64; 4] = [7, 30, 90, 365];

/// Whose credentials, and which.
#[derive(Deserialize)]
pub(crate) struct Which {
    business: Option<String>,
    reseller: Option<String>,
    key: Option<String>,
    client: Option<String>,
}

/// Whose credentials a page is about.
struct Whose {
    owner: Owner,
    path: String,
    name: String,
    business: Option<BusinessView>,
    place: Place,
}

/// A key or a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Key,
    Client,
}

#[derive(Serialize)]
struct ListView {
    head: Option<Head>,
    name: String,
    new_key: String,
    new_client: String,
    keys: Vec<Row>,
    clients: Vec<Row>,
    signing: Vec<SigningRow>,
    rotate_signing: Option<Form>,
    of_business: bool,
}

#[derive(Serialize)]
struct Row {
    path: String,
    name: String,
    shown: String,
    mode: &'static str,
    mode_tone: &'static str,
    scopes: Vec<String>,
    used: Option<Time>,
    ends: Option<Time>,
    state: Badge,
}

#[derive(Serialize)]
struct SigningRow {
    id: String,
    created: Time,
    ends: Option<Time>,
}

#[derive(Serialize)]
struct View {
    head: Option<Head>,
    back: String,
    kind: &'static str,
    row: Row,
    id: String,
    addresses: Vec<String>,
    signed: bool,
    is_key: bool,
    created: Time,
    revoked: Option<Time>,
    used_from: Option<String>,
    successor: Option<String>,
    previous_until: Option<Time>,
    actions: Vec<Action>,
}

impl Kind {
    fn room(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Client => "clients",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Key => "API key",
            Self::Client => "OAuth client",
        }
    }
}

pub(crate) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let form = place.business.is_some().then(|| signing_form(&by, &place));
    list_page(&request, &dashboard, &by, place, StatusCode::OK, form).await
}

pub(crate) async fn ask_key(
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    ask(&dashboard, &by, &which, Kind::Key).await
}

pub(crate) async fn ask_client(
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    ask(&dashboard, &by, &which, Kind::Client).await
}

async fn ask(dashboard: &Dashboard, by: &SignedIn, which: &Which, kind: Kind) -> Result<HttpResponse, Failure> {
    let place = Whose::of(dashboard, by, which).await?;
    let form = grant_form(by, &place, kind);
    ask_page(dashboard, by, &place, kind, StatusCode::OK, form)
}

pub(crate) async fn issue_key(
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let (request, now) = (grant_request(&fields, now_ms()), now_ms());
    match dashboard.credentials.issue_key(&by.actor(), &place.owner, &request, now).await {
        Ok((key, issued)) => {
            let secrets = vec![secret("API key", issued.reveal())];
            shown_once(&dashboard, &by, &place, Kind::Key, &key.id, &key.grant.name, secrets)
        }
        Err(error) => {
            let (status, form) = grant_form(&by, &place, Kind::Key).keep(&fields).refused(error)?;
            ask_page(&dashboard, &by, &place, Kind::Key, status, form)
        }
    }
}

pub(crate) async fn issue_client(
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let (request, now) = (grant_request(&fields, now_ms()), now_ms());
    match dashboard.credentials.issue_client(&by.actor(), &place.owner, &request, now).await {
        Ok((client, issued)) => {
            let id = Secret { id: "client-id", label: "Client id", value: client.id.to_string() };
            let secrets = vec![id, secret("Client secret", issued.reveal())];
            shown_once(&dashboard, &by, &place, Kind::Client, &client.id, &client.grant.name, secrets)
        }
        Err(error) => {
            let (status, form) = grant_form(&by, &place, Kind::Client).keep(&fields).refused(error)?;
            ask_page(&dashboard, &by, &place, Kind::Client, status, form)
        }
    }
}

pub(crate) async fn show_key(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let key = dashboard.credentials.key(&place.owner, &key_id(&which)?).await?;
    page(&request, &dashboard, &by, &place, Kind::Key, &key, StatusCode::OK, None)
}

pub(crate) async fn show_client(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let client = find_client(&dashboard, &place.owner, &client_id(&which)?).await?;
    page(&request, &dashboard, &by, &place, Kind::Client, &client, StatusCode::OK, None)
}

pub(crate) async fn rotate_key(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let id = key_id(&which)?;
    let rotated = dashboard.credentials.rotate_key(&by.actor(), &place.owner, &id, grace_ms(&fields), now_ms()).await;
    match rotated {
        Ok((key, issued)) => {
            let secrets = vec![secret("API key", issued.reveal())];
            shown_once(&dashboard, &by, &place, Kind::Key, &key.id, &key.grant.name, secrets)
        }
        Err(error) => {
            let key = dashboard.credentials.key(&place.owner, &id).await?;
            let (status, form) = rotate_form(&by, &place.path_of(Kind::Key, &id)).keep(&fields).refused(error)?;
            page(&request, &dashboard, &by, &place, Kind::Key, &key, status, Some(form))
        }
    }
}

pub(crate) async fn rotate_client(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let id = client_id(&which)?;
    let client = find_client(&dashboard, &place.owner, &id).await?;
    let rotated =
        dashboard.credentials.rotate_client(&by.actor(), &place.owner, &id, grace_ms(&fields), now_ms()).await;
    match rotated {
        Ok(issued) => {
            let secrets = vec![secret("Client secret", issued.reveal())];
            shown_once(&dashboard, &by, &place, Kind::Client, &id, &client.grant.name, secrets)
        }
        Err(error) => {
            let (status, form) = rotate_form(&by, &place.path_of(Kind::Client, &id)).keep(&fields).refused(error)?;
            page(&request, &dashboard, &by, &place, Kind::Client, &client, status, Some(form))
        }
    }
}

pub(crate) async fn revoke_key(
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let (place, id) = (Whose::of(&dashboard, &by, &which).await?, key_id(&which)?);
    dashboard.credentials.revoke_key(&by.actor(), &place.owner, &id, now_ms()).await?;
    Ok(done(&dashboard, &place.path_of(Kind::Key, &id), Notice::CredentialRevoked))
}

pub(crate) async fn revoke_client(
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let (place, id) = (Whose::of(&dashboard, &by, &which).await?, client_id(&which)?);
    dashboard.credentials.revoke_client(&by.actor(), &place.owner, &id, now_ms()).await?;
    Ok(done(&dashboard, &place.path_of(Kind::Client, &id), Notice::CredentialRevoked))
}

pub(crate) async fn rotate_signing(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    which: web::Path<Which>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let place = Whose::of(&dashboard, &by, &which).await?;
    let Some(business) = place.owner.business.clone() else { return Err(Failure::NotFound) };
    let (grace, subtree) = (grace_ms(&fields), by.subtree());
    match dashboard.credentials.rotate_signing_secret(&by.actor(), &subtree, &business, grace, now_ms()).await {
        Ok(value) => {
            let view = SecretPage {
                heading: "A new signing secret".to_owned(),
                lead: "It signs the webhooks of the business from now on. While the old one holds, each webhook is \
                       signed with both."
                    .to_owned(),
                secrets: vec![secret("Signing secret", &value)],
                note: "It is not shown again.".to_owned(),
                back: place.path.clone(),
                back_to: "Back to the credentials".to_owned(),
            };
            let frame = Frame::of("A new signing secret", place.place, &by, &dashboard);
            pages::respond(StatusCode::OK, Page::Secret, frame, view)
        }
        Err(error) => {
            let (status, form) = signing_form(&by, &place).keep(&fields).refused(error)?;
            list_page(&request, &dashboard, &by, place, status, Some(form)).await
        }
    }
}

impl Whose {
    async fn of(dashboard: &Dashboard, by: &SignedIn, which: &Which) -> Result<Self, Failure> {
        if let Some(id) = &which.business {
            let business = businesses::find(dashboard, by, id).await?;
            return Ok(Self {
                owner: Owner { reseller: business.reseller.clone(), business: Some(business.id.clone()) },
                path: format!("{}/{}/credentials", businesses::PATH, business.id),
                name: business.name.clone(),
                business: Some(business),
                place: Place::Business(Tab::Credentials),
            });
        }
        let id = which.reseller.as_deref().unwrap_or_default();
        let id: ResellerId = id.parse().map_err(|_| Failure::NotFound)?;
        let reseller = dashboard.registry.reseller(&by.subtree(), &id).await?;
        if matches!(by.user().role, Role::BusinessOwner(_)) {
            return Err(Failure::NotFound);
        }
        let own = matches!(by.user().role, Role::ResellerAdmin(_));
        Ok(Self {
            path: format!("/admin/resellers/{id}/credentials"),
            owner: Owner { reseller: id, business: None },
            name: reseller.name,
            business: None,
            place: if own { Place::PartnerKeys } else { Place::Resellers },
        })
    }

    fn path_of(&self, kind: Kind, id: &impl ToString) -> String {
        format!("{}/{}/{}", self.path, kind.room(), id.to_string())
    }

    fn head(&self, by: &SignedIn) -> Option<Head> {
        self.business.as_ref().map(|business| Head::new(business, Tab::Credentials, by))
    }
}

async fn list_page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    place: Whose,
    status: StatusCode,
    rotate_signing: Option<Form>,
) -> Result<HttpResponse, Failure> {
    let now = now_ms();
    let all = Paging::read(None, Some(PAGE_MAX_ENTRIES)).map_err(Failure::from)?;
    let keys = dashboard.credentials.keys(&place.owner, &all).await?.entries;
    let clients = dashboard.credentials.clients(&place.owner, &all).await?.entries;
    let signing = match &place.owner.business {
        Some(business) => dashboard.credentials.signing_secrets(&by.subtree(), business, now).await?,
        None => Vec::new(),
    };
    let view = ListView {
        head: place.head(by),
        keys: keys.iter().map(|key| row(&place, Kind::Key, key, now)).collect(),
        clients: clients.iter().map(|client| row(&place, Kind::Client, client, now)).collect(),
        signing: signing
            .into_iter()
            .map(|(id, created_at, ends_at)| SigningRow {
                id: id.to_string(),
                created: Time::new(created_at, now),
                ends: ends_at.map(|at| Time::new(at, now)),
            })
            .collect(),
        rotate_signing,
        of_business: place.business.is_some(),
        name: place.name.clone(),
        new_key: format!("{}/keys/new", place.path),
        new_client: format!("{}/clients/new", place.path),
    };
    let frame = Frame::of("Credentials", place.place, by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Credentials, frame, view)
}

#[expect(clippy::too_many_arguments, reason = "what a page is made of")]
fn page<Id: ToString>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    place: &Whose,
    kind: Kind,
    credential: &CredentialView<Id>,
    status: StatusCode,
    rotate: Option<Form>,
) -> Result<HttpResponse, Failure> {
    let now = now_ms();
    let path = place.path_of(kind, &credential.id);
    let over = credential.revoked_at.is_some() || credential.grant.expires_at.is_some_and(|at| at <= now);
    let mut actions = Vec::new();
    if !over && credential.successor.is_none() {
        actions.push(Action {
            label: "Rotate…",
            lead: match kind {
                Kind::Key => {
                    "Makes a successor with the same rights. This key holds for the grace time, and then ends."
                }
                Kind::Client => "Makes a new secret. The present one holds for the grace time, and then ends.",
            }
            .to_owned(),
            form: rotate.unwrap_or_else(|| rotate_form(by, &path)),
        });
    }
    if credential.revoked_at.is_none() {
        let label = match kind {
            Kind::Key => "Revoke key",
            Kind::Client => "Revoke client",
        };
        actions.push(Action {
            label: "Revoke…",
            lead: "It is refused at once, everywhere, and cannot come back.".to_owned(),
            form: Form::new("revoke", format!("{path}/revoke"), label, by).danger(),
        });
    }
    let view = View {
        head: place.head(by),
        back: place.path.clone(),
        kind: kind.name(),
        id: credential.id.to_string(),
        addresses: credential.grant.addresses.iter().map(ToString::to_string).collect(),
        signed: credential.grant.signed,
        is_key: kind == Kind::Key,
        created: Time::new(credential.created_at, now),
        revoked: credential.revoked_at.map(|at| Time::new(at, now)),
        used_from: credential.last_used_address.clone(),
        successor: credential.successor.as_ref().map(|id| place.path_of(Kind::Key, id)),
        previous_until: credential.previous_until.filter(|at| *at > now).map(|at| Time::new(at, now)),
        row: row(place, kind, credential, now),
        actions,
    };
    let frame = Frame::of(view.row.name.clone(), place.place, by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Credential, frame, view)
}

fn row<Id: ToString>(place: &Whose, kind: Kind, credential: &CredentialView<Id>, now: Millis) -> Row {
    let grant = &credential.grant;
    let state = if credential.revoked_at.is_some() {
        Badge { tone: "bad", text: "revoked" }
    } else if grant.expires_at.is_some_and(|at| at <= now) {
        Badge { tone: "wait", text: "expired" }
    } else if credential.successor.is_some() {
        Badge { tone: "warn", text: "being replaced" }
    } else {
        Badge { tone: "ok", text: "active" }
    };
    Row {
        path: place.path_of(kind, &credential.id),
        name: grant.name.clone(),
        shown: if kind == Kind::Key { format!("{}…", credential.prefix) } else { credential.id.to_string() },
        mode: grant.mode.name(),
        mode_tone: if grant.mode == Mode::Live { "ok" } else { "wait" },
        scopes: grant.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        used: credential.last_used_at.map(|at| Time::new(at, now)),
        ends: grant.expires_at.map(|at| Time::new(at, now)),
        state,
    }
}

fn shown_once(
    dashboard: &Dashboard,
    by: &SignedIn,
    place: &Whose,
    kind: Kind,
    id: &impl ToString,
    name: &str,
    secrets: Vec<Secret>,
) -> Result<HttpResponse, Failure> {
    let heading = format!("{} “{name}”", kind.name());
    let lead = match kind {
        Kind::Key => "Send it as “Authorization: Bearer …”. Keep it where secrets are kept.",
        Kind::Client => "Exchange both for an access token at /oauth/token. Keep the secret where secrets are kept.",
    };
    let frame = Frame::of(heading.clone(), place.place, by, dashboard);
    let view = SecretPage {
        heading,
        lead: lead.to_owned(),
        secrets,
        note: "It is not shown again: only a hash of it is kept.".to_owned(),
        back: place.path_of(kind, id),
        back_to: "Done".to_owned(),
    };
    pages::respond(StatusCode::OK, Page::Secret, frame, view)
}

fn ask_page(
    dashboard: &Dashboard,
    by: &SignedIn,
    place: &Whose,
    kind: Kind,
    status: StatusCode,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let heading = match kind {
        Kind::Key => "New API key",
        Kind::Client => "New OAuth client",
    };
    let view = FormPage {
        heading: heading.to_owned(),
        lead: format!("For {}.", place.name),
        back: place.path.clone(),
        back_to: "Credentials".to_owned(),
        form,
    };
    pages::respond(status, Page::Form, Frame::of(heading, place.place, by, dashboard), view)
}

fn grant_form(by: &SignedIn, place: &Whose, kind: Kind) -> Form {
    let (id, action, submit) = match kind {
        Kind::Key => ("key", "keys/new", "Create key"),
        Kind::Client => ("client", "clients/new", "Create client"),
    };
    let level = if place.business.is_some() { Level::Business } else { Level::Reseller };
    let mut form = Form::new(id, format!("{}/{action}", place.path), submit, by)
        .field(Field::text("name", "Name").hint("To tell it by, such as the program that uses it.").focus());
    if place.business.is_some() {
        let modes = vec![
            Choice::new("test", "Test").detail("Reaches the sandbox only: nothing leaves, nobody is written to."),
            Choice::new("live", "Live").detail("Reaches real people. Issued once the business is verified."),
        ];
        form = form.field(Field::cards("mode", "Mode", modes).chosen(["test"]));
    }
    let scopes = Scope::ALL.iter().filter(|scope| scope.level() == Level::Any || scope.level() == level);
    let scopes = scopes.map(|scope| Choice::new(scope.name(), scope.name()).detail(scope.meaning())).collect();
    let lives = LIVES_DAYS.map(|days| Choice::new(days.to_string(), format!("{days} days"))).to_vec();
    form = form
        .field(Field::ticks("scopes", "Scopes", scopes).needed().hint("Tick as little as the program needs."))
        .field(Field::select("expires_days", "Ends after", lives).optional().none("never"))
        .field(
            Field::area("addresses", "Allowed addresses")
                .optional()
                .hint("One address or network a line, such as 192.0.2.7 or 2001:db8::/32. Empty: from anywhere."),
        );
    if kind == Kind::Key && place.business.is_some() {
        form = form.field(
            Field::tick("signed", "Requests have to be signed")
                .hint("With a signing secret of the business, so that a key that leaks is of no use alone."),
        );
    }
    form
}

fn grant_request(fields: &Fields, now: Millis) -> GrantRequest {
    let filled = |name: &str| Some(fields.text(name)).filter(|text| !text.is_empty()).map(str::to_owned);
    let addresses = fields.raw("addresses").split([',', '\n', ' ']).map(str::trim).filter(|line| !line.is_empty());
    let addresses: Vec<String> = addresses.map(str::to_owned).collect();
    let days = fields.text("expires_days").parse::<i64>().ok().filter(|days| LIVES_DAYS.contains(days));
    GrantRequest {
        name: fields.text("name").to_owned(),
        mode: filled("mode"),
        scopes: Some(fields.all("scopes").map(str::to_owned).collect()),
        addresses: Some(addresses).filter(|list| !list.is_empty()),
        signed: fields.ticked("signed"),
        expires_at: days.map(|days| now / 1_000 + days * DAY_SECONDS),
    }
}

fn rotate_form(by: &SignedIn, path: &str) -> Form {
    Form::new("rotate", format!("{path}/rotate"), "Rotate", by).field(grace_field())
}

fn signing_form(by: &SignedIn, place: &Whose) -> Form {
    Form::new("rotate-signing", format!("{}/signing-secrets/rotate", place.path), "Make a new one", by)
        .field(grace_field())
        .quiet()
}

fn grace_field() -> Field {
    Field::text("grace_hours", "Grace time in hours")
        .value(GRACE_DEFAULT_HOURS.to_string())
        .mode("numeric")
        .short()
        .hint(format!("How long the old one still holds: 0 to {} hours.", GRACE_MAX_MS / HOUR_MS))
}

/// What was entered; something beyond every bound when it is no number.
fn grace_ms(fields: &Fields) -> Millis {
    fields.text("grace_hours").parse::<Millis>().ok().and_then(|hours| hours.checked_mul(HOUR_MS)).unwrap_or(-HOUR_MS)
}

fn secret(label: &'static str, value: &str) -> Secret {
    Secret { id: "secret", label, value: value.to_owned() }
}

fn key_id(which: &Which) -> Result<ApiKeyId, Failure> {
    which.key.as_deref().unwrap_or_default().parse().map_err(|_| Failure::NotFound)
}

fn client_id(which: &Which) -> Result<ClientId, Failure> {
    which.client.as_deref().unwrap_or_default().parse().map_err(|_| Failure::NotFound)
}

async fn find_client(dashboard: &Dashboard, owner: &Owner, id: &ClientId) -> Result<CredentialView<ClientId>, Failure> {
    let all = Paging::read(None, Some(PAGE_MAX_ENTRIES)).map_err(Failure::from)?;
    let clients = dashboard.credentials.clients(owner, &all).await?.entries;
    clients.into_iter().find(|client| client.id == *id).ok_or(Failure::NotFound)
}
