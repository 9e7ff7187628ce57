//! Templates as their business sees them: how each stands, the desk at which they are written, with what it will look
//! like beside it, and their way to a reviewer and back.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    web,
};
use serde::{Deserialize, Serialize};
use waystation_core::{
    clock::{Millis, now_ms},
    error::ApiError,
    ids::TemplateId,
    paging::Paging,
    store::BusinessView,
    templates::{
        Action as Step, Change, Draft, Side, State, TemplateFilter, TemplateView, VersionView,
        lint::{Finding, Severity},
    },
};

use crate::{
    Dashboard,
    account::done,
    bubble::{Bubble, SmsView},
    businesses::{self, Head},
    failure::Failure,
    forms::{Fields, Form},
    headers,
    notice::Notice,
    pages::{self, Action, Frame, Page, Place, Tab},
    session::{SignedIn, Submitted},
    template_editor as editor,
    text::{Badge, Time},
};

/// Which templates are listed.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    q: Option<String>,
    state: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
struct ListView {
    head: Head,
    rows: Vec<Row>,
    q: String,
    states: Vec<StateChoice>,
    narrowed: bool,
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
    language: String,
    category: &'static str,
    state: Badge,
    /// How a newer version than the one in use stands.
    pending: Option<Badge>,
    changed: Time,
}

#[derive(Serialize)]
struct View {
    head: Head,
    path: String,
    list: String,
    name: String,
    language: String,
    category: &'static str,
    state: Badge,
    pending: Option<Badge>,
    reason: Option<String>,
    recommendation: Option<String>,
    quality: String,
    version: i32,
    preview: Preview,
    edit: Option<&'static str>,
    steps: Vec<Form>,
    archive: Option<Action>,
    history: Vec<Told>,
}

#[derive(Serialize)]
struct EditorView {
    head: Head,
    heading: String,
    back: String,
    back_to: String,
    reason: Option<String>,
    form: Form,
    preview: Preview,
}

/// What a template looks like, and what there is to say about it.
#[derive(Serialize)]
pub(crate) struct Preview {
    bubble: Bubble,
    sms: SmsView,
    /// None where nobody looked.
    findings: Option<Vec<FindingView>>,
}

#[derive(Serialize)]
pub(crate) struct FindingView {
    severity: Badge,
    /// Where: the field's id in the form of the page, or the place in the draft.
    target: Option<String>,
    place: String,
    message: String,
}

/// Something that happened to a template, as a page tells it.
#[derive(Serialize)]
pub(crate) struct Told {
    what: String,
    state: Badge,
    at: Time,
    by: String,
    reason: Option<String>,
    #[serde(skip)]
    when: Millis,
}

impl Preview {
    pub(crate) fn of(version: &VersionView) -> Self {
        let bubble = Bubble::of(&version.components, version.draft.samples.as_ref());
        Self { sms: bubble.sms(), bubble, findings: None }
    }

    pub(crate) fn with(mut self, findings: Vec<FindingView>) -> Self {
        self.findings = Some(findings);
        self
    }

    fn of_draft(draft: &Draft, findings: Vec<Finding>, in_form: bool) -> Self {
        let bubble = Bubble::of(&draft.components, draft.samples.as_ref());
        let findings = findings.into_iter().map(|finding| FindingView::of(finding, draft, in_form)).collect();
        Self { sms: bubble.sms(), bubble, findings: Some(findings) }
    }
}

impl FindingView {
    /// A finding of `draft`, on a page with its form or without.
    pub(crate) fn of(finding: Finding, draft: &Draft, in_form: bool) -> Self {
        Self {
            severity: match finding.severity {
                Severity::Error => Badge { tone: "bad", text: "error" },
                Severity::Warning => Badge { tone: "warn", text: "warning" },
                Severity::Hint => Badge { tone: "info", text: "hint" },
            },
            target: in_form.then(|| editor::field_of(&finding.pointer, draft)),
            place: finding.pointer,
            message: finding.message,
        }
    }
}

/// How a version of a template stands.
pub(crate) fn state(of: State) -> Badge {
    let (tone, text) = match of {
        State::Draft => ("wait", "draft"),
        State::PendingInternal => ("info", "in review"),
        State::ApprovedInternal => ("info", "approved here"),
        State::Submitted => ("info", "at the network"),
        State::Approved => ("ok", "approved"),
        State::Rejected => ("bad", "rejected"),
        State::Paused => ("warn", "paused"),
        State::Disabled => ("bad", "disabled"),
        State::Archived => ("wait", "archived"),
    };
    Badge { tone, text }
}

/// What is known of the versions, the newest first.
pub(crate) fn history(versions: &[VersionView], now: Millis) -> Vec<Told> {
    let mut told = Vec::new();
    for version in versions {
        let number = version.number;
        let mut add = |what: String, tone: Badge, at: Millis, by: &str, reason: Option<String>| {
            told.push(Told { what, state: tone, at: Time::new(at, now), by: by.to_owned(), reason, when: at });
        };
        let plain = Badge { tone: "wait", text: "" };
        add(format!("Version {number} written"), plain, version.created_at, &version.author.name, None);
        if let (Some(at), Some(by)) = (version.submitted_at, &version.submitter) {
            add(format!("Version {number} handed in"), Badge { tone: "info", text: "" }, at, &by.name, None);
        }
        if let Some(at) = version.decided_at {
            let became = state(version.state);
            let what = match (version.state, &version.reason) {
                (State::Draft, Some(_)) => format!("Version {number}: changes asked for"),
                _ => format!("Version {number} {}", became.text),
            };
            add(what, became, at, "", version.reason.clone());
        }
    }
    // What came later on in a version stands after it, where the clock says nothing.
    told.reverse();
    told.sort_by_key(|told| std::cmp::Reverse(told.when));
    told
}

pub(crate) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    wanted: web::Query<Wanted>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let business = businesses::find(&dashboard, &by, &id).await?;
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (q, wanted_state) = (given(&wanted.q), given(&wanted.state).as_deref().and_then(State::parse));
    let filter = TemplateFilter {
        business: Some(business.id.clone()),
        name_contains: q.clone(),
        states: wanted_state.into_iter().collect(),
        ..TemplateFilter::default()
    };
    let paging = Paging::read(wanted.after.as_deref(), None).map_err(|_| Failure::BadRequest)?;
    let page = dashboard.templates.list(&by.subtree(), &filter, &paging).await?;
    let path = list_path(&business);
    let address = |after: Option<&str>| {
        let given = [("q", q.as_deref()), ("state", wanted_state.map(State::name)), ("after", after)];
        address(&path, &given)
    };
    let now = now_ms();
    let view = ListView {
        rows: page.entries.iter().map(|template| row(&path, template, now)).collect(),
        narrowed: q.is_some() || wanted_state.is_some(),
        states: State::ALL
            .into_iter()
            .map(|of| StateChoice { value: of.name(), label: state(of).text, chosen: wanted_state == Some(of) })
            .collect(),
        next: page.next.as_deref().map(|cursor| address(Some(cursor))),
        first: wanted.after.is_none(),
        top: address(None),
        q: q.clone().unwrap_or_default(),
        head: Head::new(&business, Tab::Templates, &by),
    };
    let frame = frame("Templates", &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::Templates, frame, view)
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let (business, template) = find(&dashboard, &by, &path).await?;
    page(&request, &dashboard, &by, (&business, &template), StatusCode::OK, None).await
}

/// Takes a step of the business's side.
pub(crate) async fn step(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let (business, template) = find(&dashboard, &by, &path).await?;
    let wanted = fields.text("step");
    let step = Step::ALL.into_iter().find(|step| step.name() == wanted).ok_or(Failure::BadRequest)?;
    let (actor, subtree, id, now) = (by.actor(), by.subtree(), template.id, now_ms());
    let (templates, owner) = (&dashboard.templates, (&actor, &subtree));
    let (result, notice) = match step {
        Step::Submit => (templates.submit(owner, id, now).await, Notice::TemplateHandedIn),
        Step::Withdraw => (templates.withdraw(owner, id, now).await, Notice::TemplateWithdrawn),
        Step::Unpause => (templates.unpause(owner, id, now).await, Notice::TemplateUnpaused),
        Step::Archive => (templates.archive(owner, id, now).await, Notice::TemplateArchived),
        _ => return Err(Failure::BadRequest),
    };
    match result {
        Ok(_) => Ok(done(&dashboard, &template_path(&business, id), notice)),
        Err(error) => {
            // Somebody else may have been faster: what is possible now is what it is now.
            let (business, template) = find(&dashboard, &by, &path).await?;
            let (status, form) = step_form(&by, &template_path(&business, id), step).refused(error)?;
            page(&request, &dashboard, &by, (&business, &template), status, Some((step, form))).await
        }
    }
}

/// The desk for a new one.
pub(crate) async fn ask(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let desk = Desk::of_new(&dashboard, &by, &id).await?;
    desk.respond(StatusCode::OK, &Draft::default(), None, Vec::new())
}

pub(crate) async fn add(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let desk = Desk::of_new(&dashboard, &by, &id).await?;
    let draft = match desk.read(&fields) {
        Ok(draft) => draft,
        Err(answer) => return answer,
    };
    let (actor, subtree, submit) = (by.actor(), by.subtree(), fields.ticked("submit"));
    let owner = (&actor, &subtree);
    match dashboard.templates.create(owner, &desk.business.id, &draft, submit, now_ms()).await {
        Ok(template) => Ok(done(&dashboard, &template_path(&desk.business, template.id), saved(submit))),
        Err(error) => desk.refuse(&fields, &draft, error).await,
    }
}

/// The desk for another version.
pub(crate) async fn ask_change(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let desk = Desk::of_change(&dashboard, &by, &path).await?;
    let draft = desk.template.as_ref().map(|template| template.latest.draft.clone()).unwrap_or_default();
    let findings = desk.findings(&draft).await?;
    desk.respond(StatusCode::OK, &draft, None, findings)
}

pub(crate) async fn change(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let desk = Desk::of_change(&dashboard, &by, &path).await?;
    let Some(template) = &desk.template else { return Err(Failure::NotFound) };
    let draft = match desk.read(&fields) {
        Ok(draft) => draft,
        Err(answer) => return answer,
    };
    let (actor, subtree, submit) = (by.actor(), by.subtree(), fields.ticked("submit"));
    let change = Change {
        category: Some(draft.category.clone()),
        syntax: Some(draft.syntax),
        components: Some(draft.components.clone()),
        samples: draft.samples.clone(),
        message_send_ttl_seconds: draft.message_send_ttl_seconds,
        parameter_format: None,
    };
    match dashboard.templates.change((&actor, &subtree), template.id, change, submit, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &template_path(&desk.business, template.id), saved(submit))),
        Err(error) => desk.refuse(&fields, &draft, error).await,
    }
}

/// What a new one would look like.
pub(crate) async fn preview_new(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    Desk::of_new(&dashboard, &by, &id).await?.preview(&fields).await
}

/// What another version would look like.
pub(crate) async fn preview_change(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    Desk::of_change(&dashboard, &by, &path).await?.preview(&fields).await
}

/// Where a template is written.
struct Desk<'d> {
    dashboard: &'d Dashboard,
    by: &'d SignedIn,
    business: BusinessView,
    /// The one that gets another version.
    template: Option<TemplateView>,
}

impl<'d> Desk<'d> {
    async fn of_new(dashboard: &'d Dashboard, by: &'d SignedIn, business: &str) -> Result<Self, Failure> {
        let business = businesses::find(dashboard, by, business).await?;
        Ok(Self { dashboard, by, business, template: None })
    }

    async fn of_change(dashboard: &'d Dashboard, by: &'d SignedIn, path: &(String, String)) -> Result<Self, Failure> {
        let (business, template) = find(dashboard, by, path).await?;
        Ok(Self { dashboard, by, business, template: Some(template) })
    }

    /// Where it is, without what is done there.
    fn path(&self) -> String {
        match &self.template {
            Some(template) => template_path(&self.business, template.id),
            None => list_path(&self.business),
        }
    }

    /// The draft that was filled in, as far as it can be read, or else the answer that says what cannot.
    #[allow(clippy::result_large_err, reason = "the error is an answer, made once for a page")]
    fn read(&self, fields: &Fields) -> Result<Draft, Result<HttpResponse, Failure>> {
        match editor::read(&self.named(fields)) {
            Ok(draft) => Ok(draft),
            Err(wrong) => {
                let mut form = self.form(&Draft::default(), Some(fields));
                for (name, text) in wrong {
                    form = form.error(name, text);
                }
                Err(self.respond(StatusCode::UNPROCESSABLE_ENTITY, &Draft::default(), Some(form), Vec::new()))
            }
        }
    }

    /// What was filled in; of another version, with the name and language that stay.
    fn named(&self, fields: &Fields) -> Fields {
        let Some(template) = &self.template else { return fields.clone() };
        fields.clone().with("name", &template.name).with("language", &template.language)
    }

    async fn findings(&self, draft: &Draft) -> Result<Vec<Finding>, Failure> {
        Ok(self.dashboard.templates.lint(&self.by.subtree(), &self.business.id, draft).await?)
    }

    async fn preview(&self, fields: &Fields) -> Result<HttpResponse, Failure> {
        let draft = match self.read(fields) {
            Ok(draft) => draft,
            Err(answer) => return answer,
        };
        let findings = self.findings(&draft).await?;
        self.respond(StatusCode::OK, &draft, Some(self.form(&draft, Some(fields))), findings)
    }

    async fn refuse(&self, fields: &Fields, draft: &Draft, mut error: ApiError) -> Result<HttpResponse, Failure> {
        for breach in &mut error.breaches {
            breach.pointer = format!("/{}", editor::field_of(&breach.pointer, draft));
        }
        let (status, form) = self.form(draft, Some(fields)).refused(error)?;
        let findings = self.findings(draft).await?;
        self.respond(status, draft, Some(form), findings)
    }

    /// The form with `draft` in it, or with what was `entered`.
    fn form(&self, draft: &Draft, entered: Option<&Fields>) -> Form {
        let path = self.path();
        let action = format!("{path}/{}", if self.template.is_some() { "edit" } else { "new" });
        let form = Form::new("template", action, "Save draft", self.by)
            .second("Submit for review", "submit", "1")
            .preview(format!("{path}/preview"));
        let form = editor::fields(form, draft, self.template.is_none());
        match entered {
            Some(entered) => form.keep(&self.named(entered)),
            None => form,
        }
    }

    fn respond(
        &self,
        status: StatusCode,
        draft: &Draft,
        form: Option<Form>,
        findings: Vec<Finding>,
    ) -> Result<HttpResponse, Failure> {
        let list = list_path(&self.business);
        let (heading, back, back_to) = match &self.template {
            Some(template) => (format!("Change {}", template.name), self.path(), template.name.clone()),
            None => ("New template".to_owned(), list, "Templates".to_owned()),
        };
        let reason = self.template.as_ref().filter(|template| template.latest.state != State::Approved);
        let view = EditorView {
            head: Head::new(&self.business, Tab::Templates, self.by),
            reason: reason.and_then(|template| template.latest.reason.clone()),
            form: form.unwrap_or_else(|| self.form(draft, None)),
            preview: Preview::of_draft(draft, findings, true),
            heading: heading.clone(),
            back,
            back_to,
        };
        let frame = frame(heading, self.by, self.dashboard);
        let mut response = pages::respond(status, Page::TemplateEditor, frame, view)?;
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, headers::with_preview());
        Ok(response)
    }
}

async fn find(
    dashboard: &Dashboard,
    by: &SignedIn,
    path: &(String, String),
) -> Result<(BusinessView, TemplateView), Failure> {
    let business = businesses::find(dashboard, by, &path.0).await?;
    let id: TemplateId = path.1.parse().map_err(|_| Failure::NotFound)?;
    let template = dashboard.templates.template(&by.subtree(), id).await?;
    if template.business != business.id {
        return Err(Failure::NotFound);
    }
    Ok((business, template))
}

/// `refused` is the form of a step with why it was refused.
async fn page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    (business, template): (&BusinessView, &TemplateView),
    status: StatusCode,
    mut refused: Option<(Step, Form)>,
) -> Result<HttpResponse, Failure> {
    let now = now_ms();
    let versions = dashboard.templates.versions(&by.subtree(), template.id).await?;
    let (path, latest) = (template_path(business, template.id), &template.latest);
    let possible = |step: &Step| {
        let of = if step.is_about_use() { template.shown() } else { latest };
        of.state.possible(Side::Author).contains(step)
    };
    let mut form_of = |step: Step| match refused.take_if(|(of, _)| *of == step) {
        Some((_, form)) => form,
        None => step_form(by, &path, step),
    };
    let steps = [Step::Submit, Step::Withdraw, Step::Unpause].into_iter().filter(possible).map(&mut form_of).collect();
    let archive = Some(Step::Archive).filter(possible).map(|step| Action {
        label: "Archive…",
        lead: "It cannot be sent any more. A new version brings it back.".to_owned(),
        form: form_of(step),
    });
    let view = View {
        head: Head::new(business, Tab::Templates, by),
        list: list_path(business),
        name: template.name.clone(),
        language: template.language.clone(),
        category: template.shown().category.name(),
        state: state(template.shown().state),
        pending: template.has_change_pending().then(|| state(latest.state)),
        reason: latest.reason.clone(),
        recommendation: latest.recommendation.clone(),
        quality: template.quality.to_lowercase(),
        version: latest.number,
        preview: Preview::of(latest),
        edit: match latest.state {
            state if state.is_waiting() => None,
            State::Disabled => None,
            State::Draft => Some("Edit"),
            _ => Some("New version"),
        },
        steps,
        archive,
        history: history(&versions, now),
        path,
    };
    let frame = frame(template.name.clone(), by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Template, frame, view)
}

fn step_form(by: &SignedIn, path: &str, step: Step) -> Form {
    let (id, label) = match step {
        Step::Submit => ("submit", "Submit for review"),
        Step::Withdraw => ("withdraw", "Take it back"),
        Step::Unpause => ("unpause", "End the pause"),
        _ => ("archive", "Archive"),
    };
    let field = crate::forms::Field::hidden("step", step.name());
    let form = Form::new(id, format!("{path}/step"), label, by).field(field);
    match step {
        Step::Archive => form.danger(),
        Step::Withdraw => form.quiet(),
        _ => form,
    }
}

fn row(path: &str, template: &TemplateView, now: Millis) -> Row {
    Row {
        path: format!("{path}/{}", template.id),
        name: template.name.clone(),
        language: template.language.clone(),
        category: template.shown().category.name(),
        state: state(template.shown().state),
        pending: template.has_change_pending().then(|| state(template.latest.state)),
        changed: Time::new(template.updated_at, now),
    }
}

fn saved(submitted: bool) -> Notice {
    if submitted { Notice::TemplateHandedIn } else { Notice::Saved }
}

fn frame(title: impl Into<String>, by: &SignedIn, dashboard: &Dashboard) -> Frame {
    Frame::of(title, Place::Business(Tab::Templates), by, dashboard)
}

/// `path` with the parts of a query that are there.
pub(crate) fn address(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let pairs = query.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn list_path(business: &BusinessView) -> String {
    format!("{}/{}/templates", businesses::PATH, business.id)
}

fn template_path(business: &BusinessView, id: TemplateId) -> String {
    format!("{}/{id}", list_path(business))
}
