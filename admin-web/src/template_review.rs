//! The review of templates: what waits, the longest waiting first, and the page on which one is looked at as its
//! recipients will see it, held against the version before, and decided on.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    clock::{Millis, now_ms},
    ids::TemplateId,
    messages::Category,
    onboarding::Reviewer,
    paging::Paging,
    templates::{
        Action as Step, Decision, Side, TemplateView, VersionView, WaitingFilter, WaitingTemplate,
        languages::{LANGUAGES, is_known},
    },
};

use crate::{
    Dashboard,
    account::done,
    businesses,
    difference::{self, PartDifference},
    failure::Failure,
    forms::{Field, Form},
    notice::Notice,
    pages::{self, Frame, Page, Place},
    session::{SignedIn, Submitted},
    templates::{FindingView, Preview, Told, address, history, state},
    text::{Badge, Time},
};

const PATH: &str = "/admin/templates";
/// From when on a template has waited long, in milliseconds.
const LONG_MS: Millis = 24 * 60 * 60 * 1_000;
/// From when on it has waited too long, in milliseconds.
const TOO_LONG_MS: Millis = 72 * 60 * 60 * 1_000;

/// Which templates are listed.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    q: Option<String>,
    category: Option<String>,
    language: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
struct QueueView {
    rows: Vec<Row>,
    q: String,
    categories: Vec<OptionView>,
    languages: Vec<OptionView>,
    narrowed: bool,
    next: Option<String>,
    first: bool,
    top: String,
}

#[derive(Serialize)]
struct OptionView {
    value: &'static str,
    chosen: bool,
}

#[derive(Serialize)]
struct Row {
    path: String,
    name: String,
    language: String,
    category: &'static str,
    business: String,
    reseller: String,
    what: Badge,
    since: Time,
    age: &'static str,
}

#[derive(Serialize)]
struct View {
    name: String,
    language: String,
    category: &'static str,
    state: Badge,
    version: i32,
    business: BusinessRow,
    handed: Option<Handed>,
    preview: Preview,
    differences: Vec<PartDifference>,
    before: Option<i32>,
    decisions: Vec<Form>,
    /// Why the person who looks cannot decide.
    own: bool,
    history: Vec<Told>,
}

#[derive(Serialize)]
struct BusinessRow {
    path: String,
    name: String,
    reseller: String,
}

#[derive(Serialize)]
struct Handed {
    at: Time,
    by: String,
}

pub(crate) async fn queue(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    wanted: web::Query<Wanted>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let q = given(&wanted.q);
    let category = given(&wanted.category).as_deref().and_then(Category::parse);
    let language = given(&wanted.language).filter(|language| is_known(language));
    let filter = WaitingFilter { category, language: language.clone(), search: q.clone() };
    let paging = Paging::read(wanted.after.as_deref(), None).map_err(|_| Failure::BadRequest)?;
    let page = dashboard.templates.review_queue(&reviewer(&by), &by.subtree(), &filter, &paging).await?;
    let address = |after: Option<&str>| {
        let given = [
            ("q", q.as_deref()),
            ("category", category.map(Category::name)),
            ("language", language.as_deref()),
            ("after", after),
        ];
        address(PATH, &given)
    };
    let now = now_ms();
    let view = QueueView {
        rows: page.entries.into_iter().map(|waiting| row(waiting, now)).collect(),
        narrowed: q.is_some() || category.is_some() || language.is_some(),
        categories: [Category::Utility, Category::Marketing, Category::Authentication]
            .into_iter()
            .map(|of| OptionView { value: of.name(), chosen: category == Some(of) })
            .collect(),
        languages: LANGUAGES
            .into_iter()
            .map(|code| OptionView { value: code, chosen: language.as_deref() == Some(code) })
            .collect(),
        next: page.next.as_deref().map(|cursor| address(Some(cursor))),
        first: wanted.after.is_none(),
        top: address(None),
        q: q.clone().unwrap_or_default(),
    };
    let frame = Frame::of("Template review", Place::TemplateReview, &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::TemplateQueue, frame, view)
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let template = find(&dashboard, &by, &id).await?;
    page(&request, &dashboard, &by, &template, StatusCode::OK, None).await
}

/// Takes a reviewer's step.
pub(crate) async fn decide(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let template = find(&dashboard, &by, &id).await?;
    let wanted = fields.text("decision");
    let step = STEPS.into_iter().find(|step| step.name() == wanted).ok_or(Failure::BadRequest)?;
    let decision = Decision {
        action: step,
        reason: Some(fields.text("reason").replace("\r\n", "\n")).filter(|reason| !reason.is_empty()),
        version: fields.text("version").parse().ok(),
    };
    match dashboard.templates.decide(&reviewer(&by), &by.subtree(), template.id, &decision, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, PATH, notice(step))),
        Err(error) => {
            // Somebody else may have been faster: what is possible now is what it is now.
            let template = find(&dashboard, &by, &id).await?;
            let (status, form) = step_form(&by, &template, step).keep(&fields).refused(error)?;
            page(&request, &dashboard, &by, &template, status, Some((step, form))).await
        }
    }
}

/// The steps of a reviewer, in the order of the page.
const STEPS: [Step; 3] = [Step::Approve, Step::RequestChanges, Step::Reject];

async fn find(dashboard: &Dashboard, by: &SignedIn, id: &str) -> Result<TemplateView, Failure> {
    let id: TemplateId = id.parse().map_err(|_| Failure::NotFound)?;
    Ok(dashboard.templates.template(&by.subtree(), id).await?)
}

/// `refused` is the form of a step with why it was refused.
async fn page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    template: &TemplateView,
    status: StatusCode,
    mut refused: Option<(Step, Form)>,
) -> Result<HttpResponse, Failure> {
    let (subtree, now, latest) = (by.subtree(), now_ms(), &template.latest);
    let business = businesses::find(dashboard, by, &template.business.to_string()).await?;
    let versions = dashboard.templates.versions(&subtree, template.id).await?;
    let findings = dashboard.templates.lint(&subtree, &template.business, &latest.draft).await?;
    let findings = findings.into_iter().map(|finding| FindingView::of(finding, &latest.draft, false)).collect();
    // Held against what recipients get now; where that is nothing, against what was handed in before.
    let before = template.in_use.as_ref().filter(|used| used.number != latest.number);
    let before = before.or_else(|| versions.iter().find(|version| version.number < latest.number));
    let own = versions.iter().any(|version| is_of(version, by));
    let possible = latest.state.possible(Side::Reviewer);
    // Why a step was refused is shown even where it is no longer possible.
    let tried = refused.as_ref().map(|(step, _)| *step);
    let shown = |step: &Step| (possible.contains(step) && !own) || tried == Some(*step);
    let mut form_of = |step: Step| match refused.take_if(|(of, _)| *of == step) {
        Some((_, form)) => form,
        None => step_form(by, template, step),
    };
    let decisions = STEPS.into_iter().filter(shown).map(&mut form_of).collect();
    let view = View {
        name: template.name.clone(),
        language: template.language.clone(),
        category: latest.category.name(),
        state: state(latest.state),
        version: latest.number,
        business: BusinessRow {
            path: format!("{}/{}", businesses::PATH, business.id),
            name: business.name.clone(),
            reseller: business.reseller_name.clone(),
        },
        handed: latest
            .submitted_at
            .zip(latest.submitter.as_ref())
            .map(|(at, by)| Handed { at: Time::new(at, now), by: by.name.clone() }),
        preview: Preview::of(latest).with(findings),
        differences: before.map(|before| difference::between(before, latest)).unwrap_or_default(),
        before: before.map(|before| before.number),
        own: own && !possible.is_empty(),
        decisions,
        history: history(&versions, now),
    };
    let frame = Frame::of(format!("Review {}", template.name), Place::TemplateReview, by, dashboard);
    pages::respond(status, Page::TemplateReview, frame.with_notice_of(request), view)
}

/// Whether the person wrote or handed in this version.
fn is_of(version: &VersionView, by: &SignedIn) -> bool {
    let id = by.user().id.to_string();
    version.author.id == id || version.submitter.as_ref().is_some_and(|submitter| submitter.id == id)
}

fn step_form(by: &SignedIn, template: &TemplateView, step: Step) -> Form {
    let (id, label, key) = match step {
        Step::Approve => ("approve", "Approve", "a"),
        Step::RequestChanges => ("changes", "Ask for changes", "c"),
        _ => ("reject", "Reject", "r"),
    };
    let form = Form::new(id, format!("{PATH}/{}/decide", template.id), label, by)
        .access_key(key)
        .field(Field::hidden("decision", step.name()))
        // What was looked at: when there is a newer version, nothing happens.
        .field(Field::hidden("version", template.latest.number.to_string()));
    let reason = |label: &'static str| Field::area("reason", label).id(format!("reason-{id}"));
    match step {
        Step::Approve => form,
        Step::RequestChanges => form.field(reason("What has to change").hint("The business reads it.")).quiet(),
        _ => form.field(reason("Why it is rejected").hint("The business reads it.")).danger(),
    }
}

/// The person as one who reviews: the room let nobody else in.
fn reviewer(by: &SignedIn) -> Reviewer {
    Reviewer::vouched(by.actor())
}

fn row(waiting: WaitingTemplate, now: Millis) -> Row {
    Row {
        path: format!("{PATH}/{}", waiting.id),
        name: waiting.name,
        language: waiting.language,
        category: waiting.category.name(),
        business: waiting.business_name,
        reseller: waiting.reseller_name,
        what: if waiting.is_change {
            Badge { tone: "wait", text: "change" }
        } else {
            Badge { tone: "info", text: "new" }
        },
        since: Time::new(waiting.submitted_at, now),
        age: match now - waiting.submitted_at {
            ..LONG_MS => "",
            LONG_MS..TOO_LONG_MS => "warn",
            _ => "bad",
        },
    }
}

fn notice(step: Step) -> Notice {
    match step {
        Step::Approve => Notice::TemplateApproved,
        Step::RequestChanges => Notice::TemplateSentBack,
        _ => Notice::TemplateRejected,
    }
}
