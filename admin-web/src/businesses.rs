//! Businesses: the list, the page of one, and adding one. Whoever owns a business goes
//! straight to its page.

use std::str::FromStr;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    access::{Permission, Role},
    clock::{Millis, now_ms},
    ids::{BusinessId, EndpointId, ResellerId, SenderId},
    paging::{PAGE_MAX_ENTRIES, Paging},
    store::{BusinessFilter, BusinessView, SenderView},
    tenancy::{BusinessRequest, EndpointRequest, Policy, Standing, Subtree},
};

use crate::{
    Dashboard,
    account::done,
    failure::Failure,
    forms::{Choice, Field, Fields, Form},
    notice::Notice,
    pages::{self, Action, FormPage, Frame, Page, Place, Secret, SecretPage, Tab},
    session::{SignedIn, Submitted},
    text::{self, Badge, Time},
};

pub(crate) const PATH: &str = "/admin/businesses";
/// The states that the list can be narrowed down to.
const STATES: [&str; 8] =
    ["draft", "submitted", "in_review", "changes_requested", "approved", "rejected", "suspended", "closed"];

/// Which businesses are listed.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    q: Option<String>,
    state: Option<String>,
    reseller: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
struct ListView {
    rows: Vec<Row>,
    q: String,
    states: Vec<StateChoice>,
    reseller: Option<String>,
    narrowed: bool,
    with_reseller: bool,
    may_add: bool,
    next: Option<String>,
    first: bool,
    top: String,
}

#[derive(Serialize)]
struct StateChoice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

#[derive(Serialize)]
struct Row {
    path: String,
    name: String,
    reseller: String,
    state: Badge,
    created: Time,
}

/// What stands above every page of a business.
#[derive(Serialize)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) path: String,
    name: String,
    reseller: Option<String>,
    state: Badge,
    held: Option<String>,
    tabs: Vec<TabView>,
    back: Option<Back>,
}

/// Where one came from.
#[derive(Serialize)]
struct Back {
    href: &'static str,
    label: &'static str,
}

#[derive(Serialize)]
struct TabView {
    href: String,
    label: &'static str,
    here: bool,
}

#[derive(Serialize)]
struct View {
    head: Head,
    account: String,
    created: Time,
    senders: Vec<SenderRow>,
    endpoints: Vec<EndpointRow>,
    limits: Vec<Limit>,
    owners: Vec<OwnerRow>,
    may_invite: bool,
    may_onboard: bool,
    open: bool,
    add_endpoint: Option<Action>,
    set_limits: Option<Action>,
    csrf: String,
}

#[derive(Serialize)]
struct SenderRow {
    id: String,
    path: String,
    phone: String,
    name: String,
    adapter: String,
    state: Badge,
}

#[derive(Serialize)]
struct EndpointRow {
    id: String,
    url: String,
    created: Time,
}

/// What a business may use, and where that is set.
#[derive(Serialize)]
pub(crate) struct Limit {
    name: &'static str,
    value: String,
    source: &'static str,
}

#[derive(Serialize)]
struct OwnerRow {
    id: String,
    name: String,
    email: String,
}

#[derive(Serialize)]
struct SenderPage {
    head: Head,
    row: SenderRow,
    id: String,
    verified: Option<Time>,
    paused: Option<Time>,
    reason: Option<String>,
    created: Time,
    actions: Vec<Action>,
}

pub(crate) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    wanted: web::Query<Wanted>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let wanted = wanted.into_inner();
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (q, state) = (given(&wanted.q), given(&wanted.state).filter(|state| STATES.contains(&state.as_str())));
    let reseller = given(&wanted.reseller);
    let of_reseller: Option<ResellerId> =
        reseller.as_deref().map(str::parse).transpose().map_err(|_| Failure::NotFound)?;
    let filter = BusinessFilter { reseller: of_reseller, state: state.clone(), search: q.clone() };
    let paging = Paging::read(wanted.after.as_deref(), None).map_err(|_| Failure::BadRequest)?;
    let page = dashboard.registry.businesses(&by.subtree(), &filter, &paging).await?;

    let address = |after: Option<&str>| {
        let given =
            [("q", q.as_deref()), ("state", state.as_deref()), ("reseller", reseller.as_deref()), ("after", after)];
        let pairs = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
    };
    let now = now_ms();
    let view = ListView {
        rows: page.entries.into_iter().map(|business| row(business, now)).collect(),
        narrowed: q.is_some() || state.is_some() || reseller.is_some(),
        states: STATES
            .into_iter()
            .map(|value| StateChoice { value, label: text::state(value).text, chosen: state.as_deref() == Some(value) })
            .collect(),
        with_reseller: by.subtree() == Subtree::Platform,
        may_add: by.may(Permission::ManageBusinesses),
        next: page.next.as_deref().map(|cursor| address(Some(cursor))),
        first: wanted.after.is_none(),
        top: address(None),
        q: q.clone().unwrap_or_default(),
        reseller: reseller.clone(),
    };
    let frame = Frame::of("Businesses", Place::Business(Tab::List), &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::Businesses, frame, view)
}

/// The form that adds one.
pub(crate) async fn ask(
    dashboard: web::Data<Dashboard>,
    wanted: web::Query<Wanted>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let form = add_form(&dashboard, &by).await?;
    let form = match &wanted.reseller {
        Some(reseller) => form.choose("reseller", reseller),
        None => form,
    };
    add_page(&dashboard, &by, StatusCode::OK, form)
}

pub(crate) async fn add(
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let form = add_form(&dashboard, &by).await?.keep(&fields);
    let reseller = match &by.user().role {
        Role::ResellerAdmin(own) => own.clone(),
        _ => match fields.text("reseller").parse() {
            Ok(reseller) => reseller,
            Err(_) => {
                let form = form.error("reseller", "Choose the reseller that the business belongs to.");
                return add_page(&dashboard, &by, StatusCode::UNPROCESSABLE_ENTITY, form);
            }
        },
    };
    let request = BusinessRequest { name: fields.text("name").to_owned(), policy: Policy::default() };
    let added = dashboard.registry.create_business(&by.actor(), &by.subtree(), &reseller, &request, now_ms()).await;
    match added {
        Ok((business, secret)) => {
            let view = SecretPage {
                heading: format!("{} is added", business.name),
                lead: "This secret signs its webhooks; hand it to whoever receives them. A new one can be made under \
                       Credentials at any time."
                    .to_owned(),
                secrets: vec![Secret { id: "secret", label: "Signing secret", value: secret }],
                note: "It is not shown again.".to_owned(),
                back: format!("{PATH}/{}/onboarding", business.id),
                back_to: "Go on with the onboarding".to_owned(),
            };
            let frame = Frame::of("Business added", Place::Business(Tab::List), &by, &dashboard);
            pages::respond(StatusCode::OK, Page::Secret, frame, view)
        }
        Err(error) => {
            let (status, form) = form.refused(error)?;
            add_page(&dashboard, &by, status, form)
        }
    }
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let business = find(&dashboard, &by, &id).await?;
    page(&request, &dashboard, &by, business, StatusCode::OK, None).await
}

pub(crate) async fn add_endpoint(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let business = find(&dashboard, &by, &id).await?;
    let path = format!("{PATH}/{}", business.id);
    let endpoint =
        EndpointRequest { url: fields.text("url").to_owned(), verify_token: fields.text("verify_token").to_owned() };
    match dashboard.registry.add_endpoint(&by.actor(), &by.subtree(), &business.id, &endpoint, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::EndpointAdded)),
        Err(error) => {
            let (status, form) = endpoint_form(&by, &path).keep(&fields).refused(error)?;
            page(&request, &dashboard, &by, business, status, Some(form)).await
        }
    }
}

pub(crate) async fn remove_endpoint(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let business = find(&dashboard, &by, &path.0).await?;
    let id: EndpointId = path.1.parse().map_err(|_| Failure::NotFound)?;
    dashboard.registry.remove_endpoint(&by.actor(), &by.subtree(), &business.id, &id, now_ms()).await?;
    Ok(done(&dashboard, &format!("{PATH}/{}", business.id), Notice::EndpointRemoved))
}

pub(crate) async fn set_limits(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let business = find(&dashboard, &by, &id).await?;
    let path = format!("{PATH}/{}", business.id);
    let form = limits_form(&by, &path, &business.policy).keep(&fields);
    let policy = match read_limits(&fields, &business.policy) {
        Ok(policy) => policy,
        Err(name) => {
            let form = form.error(name, NO_NUMBER);
            return page(&request, &dashboard, &by, business, StatusCode::UNPROCESSABLE_ENTITY, Some(form)).await;
        }
    };
    match dashboard.registry.set_business_policy(&by.actor(), &by.subtree(), &business.id, &policy, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::LimitsSet)),
        Err(error) => {
            let (status, form) = form.refused(error)?;
            page(&request, &dashboard, &by, business, status, Some(form)).await
        }
    }
}

/// `refused` is a form of the page with why it was refused.
async fn page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    business: BusinessView,
    status: StatusCode,
    mut refused: Option<Form>,
) -> Result<HttpResponse, Failure> {
    let (subtree, now) = (by.subtree(), now_ms());
    let all = Paging::read(None, Some(PAGE_MAX_ENTRIES)).map_err(Failure::from)?;
    let senders = dashboard.registry.senders(&subtree, &business.id, &all).await?.entries;
    let endpoints = dashboard.registry.endpoints(&subtree, &business.id).await?;
    let may_invite = by.may(Permission::ManageUsers);
    let owners = if may_invite {
        dashboard.access.users(&Subtree::Business(business.id.clone()), &Paging::default()).await?.entries
    } else {
        Vec::new()
    };
    let head = Head::new(&business, Tab::Summary, by);
    let mut form_or = |id: &str, made: Form| refused.take_if(|form| form.id() == id).unwrap_or(made);
    let add_endpoint = by.may(Permission::ManageCredentials).then(|| Action {
        label: "Add an endpoint…",
        lead: "It is asked at once, with a challenge as the Cloud API has it, and has to answer it.".to_owned(),
        form: form_or("endpoint", endpoint_form(by, &head.path)),
    });
    let set_limits = by.may(Permission::ManageBusinesses).then(|| Action {
        label: "Change limits…",
        lead: "What is left empty is inherited; nothing can be wider than above.".to_owned(),
        form: form_or("limits", limits_form(by, &head.path, &business.policy)),
    });
    let view = View {
        account: business.account.to_string(),
        created: Time::new(business.created_at, now),
        senders: senders.iter().map(|sender| sender_row(&head.path, sender)).collect(),
        endpoints: endpoints
            .into_iter()
            .map(|endpoint| EndpointRow {
                id: endpoint.id.to_string(),
                url: endpoint.url,
                created: Time::new(endpoint.created_at, now),
            })
            .collect(),
        limits: limits(&business.policy, &business.effective_policy),
        owners: owners
            .into_iter()
            .map(|user| OwnerRow {
                id: user.id.to_string(),
                email: user.email.unwrap_or_else(|| "invited".to_owned()),
                name: user.name,
            })
            .collect(),
        may_invite,
        may_onboard: by.may(Permission::Onboard),
        open: matches!(business.state.as_str(), "draft" | "changes_requested"),
        csrf: by.csrf(),
        add_endpoint,
        set_limits,
        head,
    };
    let frame = Frame::of(business.name, Place::Business(Tab::Summary), by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Business, frame, view)
}

pub(crate) async fn show_sender(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let (business, sender) = find_sender(&dashboard, &by, &path).await?;
    sender_page(&request, &dashboard, &by, (business, sender), StatusCode::OK, None)
}

pub(crate) async fn pause_sender(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let (business, sender) = find_sender(&dashboard, &by, &path).await?;
    let (id, reason) = (sender.sender.id, fields.text("reason"));
    let path = sender_path(&format!("{PATH}/{}", business.id), id);
    match dashboard.registry.pause_sender(&by.actor(), &by.subtree(), id, reason, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::SenderPaused)),
        Err(error) => {
            let (status, form) = pause_form(&by, &path).keep(&fields).refused(error)?;
            sender_page(&request, &dashboard, &by, (business, sender), status, Some(form))
        }
    }
}

pub(crate) async fn resume_sender(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let (business, sender) = find_sender(&dashboard, &by, &path).await?;
    let id = sender.sender.id;
    let path = sender_path(&format!("{PATH}/{}", business.id), id);
    match dashboard.registry.resume_sender(&by.actor(), &by.subtree(), id, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::SenderResumed)),
        Err(error) => {
            let (status, form) = resume_form(&by, &path).refused(error)?;
            sender_page(&request, &dashboard, &by, (business, sender), status, Some(form))
        }
    }
}

/// The business with this id, if it lies in the person's subtree.
pub(crate) async fn find(dashboard: &Dashboard, by: &SignedIn, id: &str) -> Result<BusinessView, Failure> {
    let id: BusinessId = id.parse().map_err(|_| Failure::NotFound)?;
    Ok(dashboard.registry.business(&by.subtree(), &id).await?)
}

async fn find_sender(
    dashboard: &Dashboard,
    by: &SignedIn,
    (business, sender): &(String, String),
) -> Result<(BusinessView, SenderView), Failure> {
    let business = find(dashboard, by, business).await?;
    let id: SenderId = sender.parse().map_err(|_| Failure::NotFound)?;
    let sender = dashboard.registry.sender(&by.subtree(), id).await?;
    if sender.sender.business == business.id { Ok((business, sender)) } else { Err(Failure::NotFound) }
}

impl Head {
    pub(crate) fn new(business: &BusinessView, here: Tab, by: &SignedIn) -> Self {
        let path = format!("{PATH}/{}", business.id);
        let tabs = Tab::of(&path, by.user());
        let held = match &business.standing {
            Standing::Held(hold) => Some(hold.to_string()),
            Standing::Active | Standing::Unverified => None,
        };
        Self {
            id: business.id.to_string(),
            path,
            name: business.name.clone(),
            reseller: (by.subtree() == Subtree::Platform).then(|| business.reseller_name.clone()),
            state: text::state(&business.state),
            held,
            tabs: tabs.into_iter().map(|(tab, href, label)| TabView { href, label, here: tab == here }).collect(),
            back: match (here, &by.user().role) {
                (_, Role::BusinessOwner(_)) => None,
                (Tab::Verification, _) => Some(Back { href: "/admin/verification", label: "Verification" }),
                _ => Some(Back { href: PATH, label: "Businesses" }),
            },
        }
    }
}

fn row(business: BusinessView, now: Millis) -> Row {
    Row {
        path: format!("{PATH}/{}", business.id),
        name: business.name,
        reseller: business.reseller_name,
        state: text::state(&business.state),
        created: Time::new(business.created_at, now),
    }
}

fn sender_path(business: &str, id: SenderId) -> String {
    format!("{business}/senders/{id}")
}

fn sender_row(business: &str, view: &SenderView) -> SenderRow {
    let state = match (view.paused_at, view.phone_verified_at) {
        (Some(_), _) => Badge { tone: "bad", text: "paused" },
        (None, None) => Badge { tone: "warn", text: "number not confirmed" },
        (None, Some(_)) => Badge { tone: "ok", text: "number confirmed" },
    };
    SenderRow {
        id: view.sender.id.to_string(),
        path: sender_path(business, view.sender.id),
        phone: format!("+{}", view.sender.phone),
        name: view.display_name.clone(),
        adapter: format!("{} · {}", view.sender.channel, view.sender.adapter),
        state,
    }
}

fn sender_page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    (business, sender): (BusinessView, SenderView),
    status: StatusCode,
    refused: Option<Form>,
) -> Result<HttpResponse, Failure> {
    let now = now_ms();
    let head = Head::new(&business, Tab::Summary, by);
    let row = sender_row(&head.path, &sender);
    let mut actions = Vec::new();
    if by.may(Permission::ManageBusinesses) {
        actions.push(match sender.paused_at {
            None => Action {
                label: "Pause this sender…",
                lead: "It accepts nothing more and sends nothing. What it has queued is kept.".to_owned(),
                form: refused.unwrap_or_else(|| pause_form(by, &row.path)),
            },
            Some(_) => Action {
                label: "Resume this sender…",
                lead: "It accepts messages again, and what it has queued goes out.".to_owned(),
                form: refused.unwrap_or_else(|| resume_form(by, &row.path)),
            },
        });
    }
    let reason = match &sender.sender.standing {
        Standing::Held(hold) => Some(hold.to_string()),
        Standing::Active | Standing::Unverified => None,
    };
    let view = SenderPage {
        id: sender.sender.id.to_string(),
        verified: sender.phone_verified_at.map(|at| Time::new(at, now)),
        paused: sender.paused_at.map(|at| Time::new(at, now)),
        reason,
        created: Time::new(sender.created_at, now),
        actions,
        head,
        row,
    };
    let frame = Frame::of(view.row.phone.clone(), Place::Business(Tab::Summary), by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Sender, frame, view)
}

fn pause_form(by: &SignedIn, path: &str) -> Form {
    Form::new("pause", format!("{path}/pause"), "Pause", by)
        .field(Field::area("reason", "Reason").hint("Whoever asks why nothing goes out is told this."))
        .danger()
}

fn resume_form(by: &SignedIn, path: &str) -> Form {
    Form::new("resume", format!("{path}/resume"), "Resume", by)
}

fn endpoint_form(by: &SignedIn, path: &str) -> Form {
    Form::new("endpoint", format!("{path}/endpoints"), "Add endpoint", by)
        .field(Field::text("url", "Address").hint("Such as https://shop.example/hooks/whatsapp.").mode("url"))
        .field(
            Field::text("verify_token", "Verify token")
                .hint("A text of your own; the challenge carries it, so that the endpoint knows whom it answers."),
        )
}

/// What somebody is told who enters something else where a number is asked for.
pub(crate) const NO_NUMBER: &str = "Enter a whole number, or nothing.";

/// The form that sets what a part of the tree may use.
pub(crate) fn limits_form(by: &SignedIn, path: &str, own: &Policy) -> Form {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let field = |name: &'static str, label: &'static str, value| {
        Field::text(name, label).value(number(value)).mode("numeric").short().optional()
    };
    let channels = ["whatsapp", "sms"].map(|name| Choice::new(name, name)).to_vec();
    let allowed = own.channels.iter().flatten().map(String::as_str);
    Form::new("limits", format!("{path}/limits"), "Set limits", by)
        .field(field("requests_per_second", "Requests a second", own.requests_per_second.map(u64::from)))
        .field(field(
            "requests_per_second_and_key",
            "Requests a second and key",
            own.requests_per_second_and_key.map(u64::from),
        ))
        .field(field("messages_per_day", "Messages a day", own.messages_per_day))
        .field(Field::ticks("channels", "Channels", channels).chosen(allowed).hint("None ticked: inherited."))
}

/// What was entered there, on top of what stays.
///
/// # Errors
/// The field that holds no number.
pub(crate) fn read_limits(fields: &Fields, before: &Policy) -> Result<Policy, &'static str> {
    fn number<N: FromStr>(fields: &Fields, name: &'static str) -> Result<Option<N>, &'static str> {
        match fields.text(name) {
            "" => Ok(None),
            text => text.replace([',', ' '], "").parse().map(Some).map_err(|_| name),
        }
    }
    let channels: Vec<String> = fields.all("channels").map(str::to_owned).collect();
    Ok(Policy {
        requests_per_second: number(fields, "requests_per_second")?,
        requests_per_second_and_key: number(fields, "requests_per_second_and_key")?,
        messages_per_day: number(fields, "messages_per_day")?,
        channels: Some(channels).filter(|channels| !channels.is_empty()),
        ..before.clone()
    })
}

/// What a part of the tree may use, and whether that is its own setting.
pub(crate) fn limits(own: &Policy, effective: &Policy) -> Vec<Limit> {
    let number = |number: Option<u64>| {
        number.map_or_else(|| "no limit".to_owned(), |n| text::count(i64::try_from(n).unwrap_or(i64::MAX)))
    };
    let list = |list: &Option<Vec<String>>| list.as_ref().map_or_else(|| "all".to_owned(), |list| list.join(", "));
    let source = |set: bool| if set { "set here" } else { "inherited" };
    vec![
        Limit {
            name: "Requests a second",
            value: number(effective.requests_per_second.map(u64::from)),
            source: source(own.requests_per_second.is_some()),
        },
        Limit {
            name: "Requests a second and key",
            value: number(effective.requests_per_second_and_key.map(u64::from)),
            source: source(own.requests_per_second_and_key.is_some()),
        },
        Limit {
            name: "Messages a day",
            value: number(effective.messages_per_day),
            source: source(own.messages_per_day.is_some()),
        },
        Limit { name: "Channels", value: list(&effective.channels), source: source(own.channels.is_some()) },
    ]
}

async fn add_form(dashboard: &Dashboard, by: &SignedIn) -> Result<Form, Failure> {
    let form = Form::new("business", "/admin/businesses/new", "Add business", by).field(
        Field::text("name", "Name")
            .hint("The name it is known by. The legal name is asked for in the next step.")
            .focus(),
    );
    if by.subtree() != Subtree::Platform {
        return Ok(form);
    }
    let all = Paging::read(None, Some(PAGE_MAX_ENTRIES)).map_err(Failure::from)?;
    let resellers = dashboard.registry.resellers(&by.subtree(), None, &all).await?.entries;
    let choices = resellers.into_iter().map(|reseller| Choice::new(reseller.id.to_string(), reseller.name)).collect();
    Ok(form.field(Field::select("reseller", "Reseller", choices)))
}

fn add_page(dashboard: &Dashboard, by: &SignedIn, status: StatusCode, form: Form) -> Result<HttpResponse, Failure> {
    let view = FormPage {
        heading: "Add a business".to_owned(),
        lead: "It begins in draft: it can use the sandbox at once, and live senders once it is verified.".to_owned(),
        back: PATH.to_owned(),
        back_to: "Businesses".to_owned(),
        form,
    };
    pages::respond(status, Page::Form, Frame::of("Add a business", Place::Business(Tab::List), by, dashboard), view)
}
