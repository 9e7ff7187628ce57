//! Verification: who waits, the longest waiting first, and the page on which a business is
//! looked at and decided on, with everything that was handed in in one place.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{
            CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Charset, ContentDisposition, DispositionParam,
            DispositionType, ExtendedValue, TryIntoHeaderValue,
        },
    },
    web,
};
use serde::{Deserialize, Serialize};
use waystation_core::{
    clock::{Millis, now_ms},
    ids::DocumentId,
    onboarding::{
        Action as Move, Check, CheckId, CheckOutcome, Decision, Document, DocumentType, ReviewCase, Reviewer, Side,
        State,
    },
    paging::{PAGE_MAX_ENTRIES, Paging},
    store::BusinessView,
    tenancy::{REASON_MAX_CHARS, SANDBOX},
};

use crate::{
    Dashboard,
    account::done,
    businesses::{self, Head},
    failure::Failure,
    forms::{Choice, Field, Form},
    headers,
    history::{self, Event},
    notice::Notice,
    onboarding::{DocumentRow, Fact, document_row, facts},
    pages::{self, Action, Frame, Page, Place, Tab},
    session::{SignedIn, Submitted},
    text::{self, Badge, Time},
};

const PATH: &str = "/admin/verification";
/// From when on a business has waited long, in milliseconds.
const LONG_MS: Millis = 24 * 60 * 60 * 1_000;
/// From when on it has waited too long, in milliseconds.
const TOO_LONG_MS: Millis = 72 * 60 * 60 * 1_000;

#[derive(Deserialize)]
pub(crate) struct Cursor {
    after: Option<String>,
}

#[derive(Serialize)]
struct QueueView {
    rows: Vec<Row>,
    next: Option<String>,
    first: bool,
}

#[derive(Serialize)]
struct Row {
    path: String,
    name: String,
    reseller: String,
    state: Badge,
    since: Time,
    age: &'static str,
    checks: Badge,
}

#[derive(Serialize)]
struct View {
    head: Head,
    submitted: Option<Handed>,
    facts: Vec<Fact>,
    documents: Vec<DocumentView>,
    numbers: Vec<NumberView>,
    checks: Vec<CheckView>,
    open: bool,
    start: Option<Form>,
    decision: Option<Form>,
    actions: Vec<Action>,
    history: Vec<Event>,
}

#[derive(Serialize)]
struct Handed {
    at: Time,
    by: String,
}

#[derive(Serialize)]
struct DocumentView {
    row: DocumentRow,
    href: String,
    image: bool,
}

#[derive(Serialize)]
struct NumberView {
    phone: String,
    name: String,
    network: String,
    state: Badge,
}

#[derive(Serialize)]
struct CheckView {
    title: &'static str,
    outcome: Badge,
    explanation: String,
    evidence: Vec<String>,
}

pub(crate) async fn queue(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    cursor: web::Query<Cursor>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let paging = Paging::read(cursor.after.as_deref(), None).map_err(|_| Failure::BadRequest)?;
    let page = dashboard.onboarding.review_queue(&reviewer(&by), &by.subtree(), &paging).await?;
    let now = now_ms();
    let view = QueueView {
        rows: page.entries.into_iter().map(|case| row(case, now)).collect(),
        next: page.next.map(|cursor| format!("{PATH}?after={cursor}")),
        first: cursor.after.is_none(),
    };
    let frame = Frame::of("Verification", Place::Verification, &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::Queue, frame, view)
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let business = businesses::find(&dashboard, &by, &id).await?;
    page(&request, &dashboard, &by, &business, StatusCode::OK, None).await
}

/// Takes a reviewer's step.
pub(crate) async fn decide(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let business = businesses::find(&dashboard, &by, &id).await?;
    let path = format!("{PATH}/{}", business.id);
    let Some(action) = Move::parse(fields.text("decision")) else {
        let form = decision_form(&by, &business).keep(&fields).error("decision", "Choose what you decide.");
        let refused = Some((None, form));
        return page(&request, &dashboard, &by, &business, StatusCode::UNPROCESSABLE_ENTITY, refused).await;
    };
    let reason = Some(fields.text("reason").replace("\r\n", "\n")).filter(|reason| !reason.is_empty());
    let decision = Decision { action, reason, seen: State::parse(fields.text("seen")) };
    match dashboard.onboarding.decide(&reviewer(&by), &by.subtree(), &business.id, &decision, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &path, Notice::of_step(action))),
        Err(error) => {
            // Somebody else may have been faster: what is possible now is what it is now.
            let business = businesses::find(&dashboard, &by, &id).await?;
            let form =
                if is_decision(action) { decision_form(&by, &business) } else { step_form(&by, &business, action) };
            let (status, form) = form.keep(&fields).refused(error)?;
            page(&request, &dashboard, &by, &business, status, Some((Some(action), form))).await
        }
    }
}

/// A document as it was handed in, to be seen in its place on the page.
pub(crate) async fn show_document(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let business = businesses::find(&dashboard, &by, &path.0).await?;
    let id: DocumentId = path.1.parse().map_err(|_| Failure::NotFound)?;
    let reviewer = reviewer(&by);
    let read = dashboard.onboarding.read_document(&reviewer, &by.subtree(), &business.id, &id, now_ms()).await;
    let (document, content) = read?;
    let file_name = ExtendedValue {
        charset: Charset::Ext("UTF-8".to_owned()),
        language_tag: None,
        value: document.file_name.into_bytes(),
    };
    let disposition = ContentDisposition {
        disposition: DispositionType::Inline,
        parameters: vec![DispositionParam::FilenameExt(file_name)],
    };
    let disposition = disposition.try_into_value().map_err(|_| Failure::BadRequest)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, document.content_type.media_type()))
        .insert_header((CONTENT_DISPOSITION, disposition))
        .insert_header((CONTENT_SECURITY_POLICY, headers::of_document(document.content_type == DocumentType::Pdf)))
        .body(content))
}

/// `refused` is a form with why it was refused: that of a step, or the decision.
async fn page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    business: &BusinessView,
    status: StatusCode,
    refused: Option<(Option<Move>, Form)>,
) -> Result<HttpResponse, Failure> {
    let (subtree, now) = (by.subtree(), now_ms());
    let onboarding = &dashboard.onboarding;
    let profile = onboarding.profile(&subtree, &business.id).await?;
    let submission = onboarding.checks(&reviewer(by), &subtree, &business.id).await?;
    let history = onboarding.history(&subtree, &business.id).await?;
    let checks = submission.as_ref().map(|submission| submission.checks.iter().map(check_view).collect());
    let open = profile.state.is_open();
    // What is being filled in again is shown as it is now; else what was handed in.
    let submission = submission.filter(|_| !open);
    let documents = match &submission {
        Some(submission) => submission.documents.clone(),
        None => onboarding.list_documents(&subtree, &business.id).await?,
    };
    let all = Paging::read(None, Some(PAGE_MAX_ENTRIES)).map_err(Failure::from)?;
    let senders = dashboard.registry.senders(&subtree, &business.id, &all).await?.entries;
    let mut refused = refused;
    let mut form_of = |step: Move, made: Form| match refused
        .take_if(|(of, _)| *of == Some(step) || (is_decision(step) && of.is_none_or(is_decision)))
    {
        Some((_, form)) => form,
        None => made,
    };
    let possible = profile.state.possible(Side::Reviewer);
    let start = possible
        .contains(&Move::StartReview)
        .then(|| form_of(Move::StartReview, step_form(by, business, Move::StartReview)));
    let decision = possible.contains(&Move::Approve).then(|| form_of(Move::Approve, decision_form(by, business)));
    let actions = possible
        .iter()
        .filter(|step| matches!(step, Move::Suspend | Move::Resume | Move::Close))
        .map(|step| Action {
            label: fold_label(*step),
            lead: lead(*step).to_owned(),
            form: form_of(*step, step_form(by, business, *step)),
        })
        .collect();
    let path = format!("{PATH}/{}", business.id);
    let view = View {
        head: Head::new(business, Tab::Verification, by),
        facts: facts(submission.as_ref().map_or(&profile.profile, |submission| &submission.profile)),
        documents: documents.iter().map(|document| document_view(&path, document, now)).collect(),
        numbers: senders
            .iter()
            .map(|sender| NumberView {
                phone: format!("+{}", sender.sender.phone),
                name: sender.display_name.clone(),
                network: if sender.sender.adapter == SANDBOX {
                    "pretend number of the sandbox".to_owned()
                } else {
                    format!("{} · {}", sender.sender.channel, sender.sender.adapter)
                },
                state: if sender.phone_verified_at.is_some() {
                    Badge { tone: "ok", text: "confirmed" }
                } else {
                    Badge { tone: "warn", text: "not confirmed" }
                },
            })
            .collect(),
        submitted: submission
            .as_ref()
            .map(|submission| Handed { at: Time::new(submission.submitted_at, now), by: submission.by.name.clone() }),
        checks: checks.unwrap_or_default(),
        open,
        history: history::events(history, now),
        start,
        decision,
        actions,
    };
    let frame = Frame::of(format!("Verify {}", business.name), Place::Business(Tab::Verification), by, dashboard);
    let mut response = pages::respond(status, Page::Verification, frame.with_notice_of(request), view)?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, headers::with_documents());
    Ok(response)
}

/// The person as one who verifies: the room let nobody else in.
fn reviewer(by: &SignedIn) -> Reviewer {
    Reviewer::vouched(by.actor())
}

fn row(case: ReviewCase, now: Millis) -> Row {
    let waits = now - case.submitted_at;
    Row {
        path: format!("{PATH}/{}", case.business),
        name: case.name,
        reseller: case.reseller_name,
        state: text::state(case.state.name()),
        since: Time::new(case.submitted_at, now),
        age: match waits {
            ..LONG_MS => "",
            LONG_MS..TOO_LONG_MS => "warn",
            _ => "bad",
        },
        checks: match case.worst {
            CheckOutcome::Pass => Badge { tone: "ok", text: "all passed" },
            CheckOutcome::Flag => Badge { tone: "warn", text: "to look at" },
            CheckOutcome::Fail => Badge { tone: "bad", text: "failed" },
        },
    }
}

fn document_view(path: &str, document: &Document, now: Millis) -> DocumentView {
    let row = document_row(document, now);
    DocumentView {
        href: format!("{path}/documents/{}", row.id),
        image: document.content_type != DocumentType::Pdf,
        row,
    }
}

fn check_view(check: &Check) -> CheckView {
    CheckView {
        title: match check.id {
            CheckId::ContactPhone => "Phone number of the contact",
            CheckId::SenderPhone => "Numbers to send from",
            CheckId::ContactEmail => "E-mail address of the contact",
            CheckId::NamePolicy => "Names and the commerce policy",
            CheckId::NameSimilarity => "Names of other businesses",
            CheckId::Category => "Category",
            CheckId::Website => "Website",
        },
        outcome: match check.outcome {
            CheckOutcome::Pass => Badge { tone: "ok", text: "passed" },
            CheckOutcome::Flag => Badge { tone: "warn", text: "look at it" },
            CheckOutcome::Fail => Badge { tone: "bad", text: "failed" },
        },
        explanation: check.explanation.clone(),
        evidence: check.evidence.clone(),
    }
}

/// Whether it is one of those that a review ends with.
fn is_decision(step: Move) -> bool {
    matches!(step, Move::Approve | Move::RequestChanges | Move::Reject)
}

fn decision_form(by: &SignedIn, business: &BusinessView) -> Form {
    let choices = vec![
        Choice::new(Move::Approve.name(), "Approve").detail("It may send to real people at once."),
        Choice::new(Move::RequestChanges.name(), "Ask for changes")
            .detail("It goes back to the business, which reads the reason and submits again."),
        Choice::new(Move::Reject.name(), "Reject").detail("It is not taken. The business reads the reason."),
    ];
    form(by, business, "decision", "Decide")
        .field(Field::cards("decision", "Decision", choices))
        .field(reason().optional().hint("Needed unless you approve. The business reads it."))
}

fn step_form(by: &SignedIn, business: &BusinessView, step: Move) -> Form {
    let (id, submit) = match step {
        Move::StartReview => ("start", "Start review"),
        Move::Suspend => ("suspend", "Suspend"),
        Move::Resume => ("resume", "Resume"),
        Move::Close => ("close", "Close for good"),
        Move::Submit | Move::Approve | Move::RequestChanges | Move::Reject => ("step", "Decide"),
    };
    let form = form(by, business, id, submit).field(Field::hidden("decision", step.name()));
    match step {
        Move::StartReview => form,
        Move::Resume => form.field(reason().id("reason-resume").optional()),
        _ => form.field(reason().id(format!("reason-{id}")).hint("The business reads it.")).danger(),
    }
}

fn form(by: &SignedIn, business: &BusinessView, id: &'static str, submit: &'static str) -> Form {
    // What was decided on: when somebody else was faster, nothing happens.
    let seen = Field::hidden("seen", business.state.clone());
    Form::new(id, format!("{PATH}/{}/decide", business.id), submit, by).field(seen)
}

fn reason() -> Field {
    Field::area("reason", "Reason").hint(format!("At most {REASON_MAX_CHARS} characters."))
}

fn fold_label(step: Move) -> &'static str {
    match step {
        Move::Suspend => "Suspend this business…",
        Move::Resume => "Resume this business…",
        _ => "Close this business…",
    }
}

fn lead(step: Move) -> &'static str {
    match step {
        Move::Suspend => "Nothing goes out any more, and its keys are refused. What it has queued is kept.",
        Move::Resume => "It may send again, and what it has queued goes out.",
        _ => "It is over for good: nothing can be done with the business any more.",
    }
}
