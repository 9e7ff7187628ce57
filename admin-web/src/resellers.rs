//! Resellers, for the platform's owner.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    clock::{Millis, now_ms},
    ids::ResellerId,
    paging::Paging,
    store::ResellerView,
    tenancy::{Policy, ResellerRequest, Subtree},
};

use crate::{
    Dashboard,
    account::done,
    businesses::{Limit, NO_NUMBER, limits, limits_form, read_limits},
    failure::Failure,
    forms::{Field, Form},
    notice::Notice,
    pages::{self, Action, FormPage, Frame, Page, Place},
    session::{SignedIn, Submitted},
    text::{Badge, Time},
};

const PATH: &str = "/admin/resellers";

#[derive(Deserialize)]
pub(crate) struct Wanted {
    q: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
struct ListView {
    rows: Vec<Row>,
    q: String,
    next: Option<String>,
    first: bool,
    top: String,
}

#[derive(Serialize)]
struct Row {
    id: String,
    path: String,
    name: String,
    state: Badge,
    created: Time,
}

#[derive(Serialize)]
struct View {
    row: Row,
    reason: Option<String>,
    limits: Vec<Limit>,
    admins: Vec<AdminRow>,
    invite: String,
    set_limits: Action,
    actions: Vec<Action>,
}

#[derive(Serialize)]
struct AdminRow {
    id: String,
    name: String,
    email: String,
}

pub(crate) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    wanted: web::Query<Wanted>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let q = wanted.q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    let paging = Paging::read(wanted.after.as_deref(), None).map_err(|_| Failure::BadRequest)?;
    let page = dashboard.registry.resellers(&by.subtree(), q, &paging).await?;
    let address = |after: Option<&str>| {
        let pairs = [("q", q), ("after", after)].into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
    };
    let now = now_ms();
    let view = ListView {
        rows: page.entries.iter().map(|reseller| row(reseller, now)).collect(),
        next: page.next.as_deref().map(|cursor| address(Some(cursor))),
        first: wanted.after.is_none(),
        top: address(None),
        q: q.unwrap_or_default().to_owned(),
    };
    let frame = Frame::of("Resellers", Place::Resellers, &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::Resellers, frame, view)
}

pub(crate) async fn ask(dashboard: web::Data<Dashboard>, by: SignedIn) -> Result<HttpResponse, Failure> {
    add_page(&dashboard, &by, StatusCode::OK, add_form(&by))
}

pub(crate) async fn add(
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let request = ResellerRequest { name: fields.text("name").to_owned(), policy: Policy::default() };
    match dashboard.registry.create_reseller(&by.actor(), &by.subtree(), &request, now_ms()).await {
        Ok(reseller) => Ok(done(&dashboard, &format!("{PATH}/{}", reseller.id), Notice::ResellerAdded)),
        Err(error) => {
            let (status, form) = add_form(&by).keep(&fields).refused(error)?;
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
    let reseller = find(&dashboard, &by, &id).await?;
    page(&request, &dashboard, &by, reseller, StatusCode::OK, None).await
}

pub(crate) async fn suspend(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let reseller = find(&dashboard, &by, &id).await?;
    let path = format!("{PATH}/{}", reseller.id);
    let reason = fields.text("reason");
    match dashboard.registry.suspend_reseller(&by.actor(), &by.subtree(), &reseller.id, reason, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::ResellerSuspended)),
        Err(error) => {
            let (status, form) = suspend_form(&by, &path).keep(&fields).refused(error)?;
            page(&request, &dashboard, &by, reseller, status, Some(form)).await
        }
    }
}

pub(crate) async fn resume(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let reseller = find(&dashboard, &by, &id).await?;
    let path = format!("{PATH}/{}", reseller.id);
    match dashboard.registry.resume_reseller(&by.actor(), &by.subtree(), &reseller.id, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::ResellerResumed)),
        Err(error) => {
            let (status, form) = resume_form(&by, &path).refused(error)?;
            page(&request, &dashboard, &by, reseller, status, Some(form)).await
        }
    }
}

pub(crate) async fn set_limits(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let reseller = find(&dashboard, &by, &id).await?;
    let path = format!("{PATH}/{}", reseller.id);
    let form = limits_form(&by, &path, &reseller.policy).keep(&fields);
    let policy = match read_limits(&fields, &reseller.policy) {
        Ok(policy) => policy,
        Err(name) => {
            let form = form.error(name, NO_NUMBER);
            return page(&request, &dashboard, &by, reseller, StatusCode::UNPROCESSABLE_ENTITY, Some(form)).await;
        }
    };
    match dashboard.registry.set_reseller_policy(&by.actor(), &by.subtree(), &reseller.id, &policy, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::LimitsSet)),
        Err(error) => {
            let (status, form) = form.refused(error)?;
            page(&request, &dashboard, &by, reseller, status, Some(form)).await
        }
    }
}

async fn find(dashboard: &Dashboard, by: &SignedIn, id: &str) -> Result<ResellerView, Failure> {
    let id: ResellerId = id.parse().map_err(|_| Failure::NotFound)?;
    Ok(dashboard.registry.reseller(&by.subtree(), &id).await?)
}

async fn page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    reseller: ResellerView,
    status: StatusCode,
    mut refused: Option<Form>,
) -> Result<HttpResponse, Failure> {
    let of_reseller = Subtree::Reseller(reseller.id.clone());
    let users = dashboard.access.users(&of_reseller, &Paging::default()).await?.entries;
    let row = row(&reseller, now_ms());
    let mut form_or = |id: &str, made: Form| refused.take_if(|form| form.id() == id).unwrap_or(made);
    let set_limits = Action {
        label: "Change limits…",
        lead: "They hold for each of its businesses. What is left empty is not limited here.".to_owned(),
        form: form_or("limits", limits_form(by, &row.path, &reseller.policy)),
    };
    let action = if reseller.status == "suspended" {
        Action {
            label: "Resume this reseller…",
            lead: "Its businesses may send again, and what they have queued goes out.".to_owned(),
            form: form_or("resume", resume_form(by, &row.path)),
        }
    } else {
        Action {
            label: "Suspend this reseller…",
            lead: "All of its businesses stop at once: their keys are refused, and what they have queued is kept."
                .to_owned(),
            form: form_or("suspend", suspend_form(by, &row.path)),
        }
    };
    let view = View {
        reason: reseller.status_reason.clone(),
        limits: limits(&reseller.policy, &reseller.policy),
        admins: users
            .into_iter()
            .filter(|user| matches!(user.role, waystation_core::access::Role::ResellerAdmin(_)))
            .map(|user| AdminRow {
                id: user.id.to_string(),
                email: user.email.unwrap_or_else(|| "invited".to_owned()),
                name: user.name,
            })
            .collect(),
        invite: format!("/admin/users/new?reseller={}", row.id),
        set_limits,
        actions: vec![action],
        row,
    };
    let frame = Frame::of(reseller.name, Place::Resellers, by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Reseller, frame, view)
}

fn row(reseller: &ResellerView, now: Millis) -> Row {
    let state = match reseller.status.as_str() {
        "active" => Badge { tone: "ok", text: "active" },
        _ => Badge { tone: "bad", text: "suspended" },
    };
    Row {
        id: reseller.id.to_string(),
        path: format!("{PATH}/{}", reseller.id),
        name: reseller.name.clone(),
        state,
        created: Time::new(reseller.created_at, now),
    }
}

fn suspend_form(by: &SignedIn, path: &str) -> Form {
    Form::new("suspend", format!("{path}/suspend"), "Suspend", by)
        .field(Field::area("reason", "Reason").hint("It stays in the audit log, and on this page."))
        .danger()
}

fn resume_form(by: &SignedIn, path: &str) -> Form {
    Form::new("resume", format!("{path}/resume"), "Resume", by)
}

fn add_form(by: &SignedIn) -> Form {
    Form::new("reseller", "/admin/resellers/new", "Add reseller", by).field(Field::text("name", "Name").focus())
}

fn add_page(dashboard: &Dashboard, by: &SignedIn, status: StatusCode, form: Form) -> Result<HttpResponse, Failure> {
    let view = FormPage {
        heading: "Add a reseller".to_owned(),
        lead: "It onboards businesses of its own and sees nothing of other resellers. Invite its admin from its page."
            .to_owned(),
        back: PATH.to_owned(),
        back_to: "Resellers".to_owned(),
        form,
    };
    pages::respond(status, Page::Form, Frame::of("Add a reseller", Place::Resellers, by, dashboard), view)
}
