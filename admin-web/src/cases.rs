//! Cases of suspected abuse: senders that the rule against spam paused, with the numbers
//! behind it, until a reviewer decides.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    abuse::{Verdict, WINDOW_DAYS},
    clock::{Millis, now_ms},
    ids::CaseId,
    paging::Paging,
    store::CaseView,
};

use crate::{
    Dashboard,
    account::done,
    failure::Failure,
    forms::{Choice, Field, Form},
    notice::Notice,
    pages::{self, Frame, Page, Place},
    session::{SignedIn, Submitted},
    text::{Badge, Time, count},
};

const PATH: &str = "/admin/cases";

#[derive(Deserialize)]
pub(crate) struct Wanted {
    after: Option<String>,
    all: Option<String>,
}

#[derive(Serialize)]
struct ListView {
    rows: Vec<Row>,
    all: bool,
    next: Option<String>,
    first: bool,
    top: String,
}

#[derive(Serialize)]
struct Row {
    id: String,
    path: String,
    sender: String,
    business: String,
    reason: String,
    state: Badge,
    opened: Time,
}

#[derive(Serialize)]
struct View {
    row: Row,
    numbers: Vec<Number>,
    window_days: i32,
    resolution: Option<String>,
    closed: Option<Time>,
    form: Option<Form>,
}

#[derive(Serialize)]
struct Number {
    name: &'static str,
    value: String,
}

pub(crate) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    wanted: web::Query<Wanted>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let all = wanted.all.is_some();
    let paging = Paging::read(wanted.after.as_deref(), None).map_err(|_| Failure::BadRequest)?;
    let page = dashboard.abuse.cases(&by.subtree(), !all, &paging).await?;
    let top = if all { format!("{PATH}?all=1") } else { PATH.to_owned() };
    let now = now_ms();
    let view = ListView {
        rows: page.entries.iter().map(|case| row(case, now)).collect(),
        next: page.next.map(|cursor| format!("{top}{}after={cursor}", if all { '&' } else { '?' })),
        first: wanted.after.is_none(),
        all,
        top,
    };
    let frame = Frame::of("Cases", Place::Cases, &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::Cases, frame, view)
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let case = find(&dashboard, &by, &id).await?;
    page(&request, &dashboard, &by, &case, StatusCode::OK, None)
}

pub(crate) async fn decide(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = find(&dashboard, &by, &id).await?;
    let verdict = match fields.text("verdict") {
        "release" => Verdict::Release,
        "uphold" => Verdict::Uphold,
        _ => {
            let form = decision_form(&by, &case).keep(&fields).error("verdict", "Choose what follows.");
            return page(&request, &dashboard, &by, &case, StatusCode::UNPROCESSABLE_ENTITY, Some(form));
        }
    };
    let reason = fields.text("reason");
    match dashboard.abuse.decide(&by.actor(), &by.subtree(), &case.id, verdict, reason, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path(&case), Notice::CaseDecided)),
        Err(error) => {
            let (status, form) = decision_form(&by, &case).keep(&fields).refused(error)?;
            page(&request, &dashboard, &by, &case, status, Some(form))
        }
    }
}

async fn find(dashboard: &Dashboard, by: &SignedIn, id: &str) -> Result<CaseView, Failure> {
    let id: CaseId = id.parse().map_err(|_| Failure::NotFound)?;
    Ok(dashboard.abuse.case(&by.subtree(), &id).await?)
}

fn page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    case: &CaseView,
    status: StatusCode,
    refused: Option<Form>,
) -> Result<HttpResponse, Failure> {
    let now = now_ms();
    let number = |name, member: &str| Number { name, value: count(case.evidence[member].as_i64().unwrap_or(0)) };
    let view = View {
        row: row(case, now),
        numbers: vec![
            number("Messages", "messages"),
            number("Taken for spam", "spam"),
            number("Opt-outs", "opt_outs"),
            number("Blocks", "blocks"),
        ],
        window_days: WINDOW_DAYS,
        resolution: case.resolution.clone(),
        closed: case.closed_at.map(|at| Time::new(at, now)),
        form: case.closed_at.is_none().then(|| refused.unwrap_or_else(|| decision_form(by, case))),
    };
    let frame = Frame::of("Case", Place::Cases, by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Case, frame, view)
}

fn path(case: &CaseView) -> String {
    format!("{PATH}/{}", case.id)
}

fn row(case: &CaseView, now: Millis) -> Row {
    let decided = case.resolution.as_deref().map(|words| words.starts_with("released"));
    Row {
        id: case.id.to_string(),
        path: path(case),
        sender: case.sender.to_string(),
        business: case.business.to_string(),
        reason: case.reason.clone(),
        state: match decided {
            None => Badge { tone: "warn", text: "open" },
            Some(true) => Badge { tone: "ok", text: "released" },
            Some(false) => Badge { tone: "bad", text: "upheld" },
        },
        opened: Time::new(case.opened_at, now),
    }
}

fn decision_form(by: &SignedIn, case: &CaseView) -> Form {
    let choices = vec![
        Choice::new("release", "Release").detail("The sender goes on, and what is queued goes out."),
        Choice::new("uphold", "Uphold").detail("The sender stays paused; its reseller may resume it later."),
    ];
    Form::new("decision", format!("{}/decision", path(case)), "Decide", by)
        .field(Field::cards("verdict", "What follows", choices))
        .field(Field::area("reason", "Reason").hint("It stays in the audit log, and with the case."))
}
