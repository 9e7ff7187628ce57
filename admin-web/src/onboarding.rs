//! The way of a business to being verified, in steps that are saved each by itself: whoever
//! comes back goes on where they stopped, with everything that they typed, right or wrong.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Serialize;
use waystation_core::{
    clock::{Millis, now_ms},
    error::Breach,
    ids::{DocumentId, SenderId},
    onboarding::{
        CATEGORIES, CODE_LIFE_MS, CodeOrder, CodeProof, CodeWay, ContactChange, DOCUMENT_MAX_BYTES, DOCUMENTS_MAX,
        Document, DocumentKind, Profile, ProfileChange, ProfileView, State, Trade, Upload,
    },
    paging::{PAGE_MAX_ENTRIES, Paging},
    store::{BusinessView, SenderView},
    tenancy::{SANDBOX, SenderRequest},
};

use crate::{
    Dashboard,
    account::done,
    businesses::{self, Head},
    failure::Failure,
    forms::{Choice, Field, Fields, Form, name_of},
    history::{self, Event},
    notice::Notice,
    pages::{self, Action, Frame, Page, Place, Tab},
    see_other,
    session::{SignedIn, Submitted},
    text::{self, Badge, Time},
    upload::{File, Uploaded},
};

/// A step of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Profile,
    Documents,
    Number,
    Review,
}

/// What stands above every step.
#[derive(Serialize)]
struct Way {
    head: Head,
    steps: Vec<StepView>,
    /// Why a reviewer wants something changed.
    asked: Option<Asked>,
}

#[derive(Serialize)]
struct Asked {
    reason: String,
    at: Time,
}

#[derive(Serialize)]
struct StepView {
    href: String,
    number: usize,
    label: &'static str,
    note: String,
    done: bool,
    here: bool,
}

#[derive(Serialize)]
struct ProfilePage {
    way: Way,
    form: Form,
}

#[derive(Serialize)]
struct DocumentsPage {
    way: Way,
    rows: Vec<DocumentRow>,
    form: Option<Form>,
    next: String,
    csrf: String,
    most: usize,
}

#[derive(Serialize)]
pub(crate) struct DocumentRow {
    pub(crate) id: String,
    kind: &'static str,
    pub(crate) name: String,
    size: String,
    uploaded: Time,
    by: String,
}

#[derive(Serialize)]
struct NumberPage {
    way: Way,
    numbers: Vec<NumberRow>,
    add: Form,
    next: String,
}

#[derive(Serialize)]
struct NumberRow {
    id: String,
    phone: String,
    name: String,
    state: Badge,
    confirmed: bool,
    pretend: Option<String>,
    send: Option<Form>,
    confirm: Option<Form>,
}

#[derive(Serialize)]
struct PhonePage {
    way: Way,
    phone: String,
    back: String,
    messages: Vec<PhoneMessage>,
}

#[derive(Serialize)]
struct PhoneMessage {
    from: String,
    text: String,
    at: Time,
}

#[derive(Serialize)]
struct ReviewPage {
    way: Way,
    open: bool,
    told: Option<Told>,
    missing: Vec<MissingRow>,
    facts: Vec<Fact>,
    documents: Vec<DocumentRow>,
    numbers: Vec<NumberRow>,
    submit: Option<Form>,
    give_up: Option<Action>,
    history: Vec<Event>,
}

/// How it stands, in words.
#[derive(Serialize)]
struct Told {
    tone: &'static str,
    heading: &'static str,
    text: &'static str,
}

/// Something that has to be done before it can be handed in.
#[derive(Serialize)]
struct MissingRow {
    href: String,
    text: String,
}

#[derive(Serialize)]
pub(crate) struct Fact {
    name: &'static str,
    value: String,
}

impl Step {
    const ALL: [Self; 4] = [Self::Profile, Self::Documents, Self::Number, Self::Review];

    fn room(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Documents => "documents",
            Self::Number => "number",
            Self::Review => "review",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Profile => "Business profile",
            Self::Documents => "Documents",
            Self::Number => "Phone number",
            Self::Review => "Review and submit",
        }
    }

    /// The step at which what a breach is about can be mended.
    fn of(breach: &Breach) -> Self {
        match breach.pointer.as_str() {
            "/documents" => Self::Documents,
            "/senders" => Self::Number,
            _ => Self::Profile,
        }
    }

    /// What is still to be done at this step.
    fn left(self, profile: &ProfileView) -> usize {
        profile.missing.iter().chain(&profile.breaches).filter(|breach| Self::of(breach) == self).count()
    }
}

/// A business on its way.
struct Case {
    business: BusinessView,
    profile: ProfileView,
    path: String,
}

impl Case {
    async fn find(dashboard: &Dashboard, by: &SignedIn, id: &str) -> Result<Self, Failure> {
        let business = businesses::find(dashboard, by, id).await?;
        let profile = dashboard.onboarding.profile(&by.subtree(), &business.id).await?;
        Ok(Self { path: format!("{}/{}/onboarding", businesses::PATH, business.id), business, profile })
    }

    fn at(&self, step: Step) -> String {
        format!("{}/{}", self.path, step.room())
    }

    /// Whether profile and documents can be changed.
    fn is_open(&self) -> bool {
        self.profile.state.is_open()
    }

    /// The first step that is not done.
    fn first_open(&self) -> Step {
        Step::ALL.into_iter().find(|step| step.left(&self.profile) > 0).unwrap_or(Step::Review)
    }

    async fn way(&self, dashboard: &Dashboard, by: &SignedIn, here: Step) -> Result<Way, Failure> {
        let steps = Step::ALL.into_iter().enumerate().map(|(index, step)| {
            let left = step.left(&self.profile);
            let done = match step {
                Step::Review => !self.is_open(),
                _ => left == 0,
            };
            let note = match (step, done) {
                (_, true) => "done".to_owned(),
                (Step::Review, false) => "last step".to_owned(),
                (Step::Profile, false) => format!("{left} left"),
                (_, false) => "to do".to_owned(),
            };
            StepView { href: self.at(step), number: index + 1, label: step.label(), note, done, here: step == here }
        });
        let steps = steps.collect();
        let asked = if self.profile.state == State::ChangesRequested {
            let history = dashboard.onboarding.history(&by.subtree(), &self.business.id).await?;
            let last = history.into_iter().rev().find(|entry| entry.to == State::ChangesRequested);
            last.and_then(|entry| Some(Asked { reason: entry.reason?, at: Time::new(entry.at, now_ms()) }))
        } else {
            None
        };
        Ok(Way { head: Head::new(&self.business, Tab::Onboarding, by), steps, asked })
    }

    fn frame(&self, step: Step, by: &SignedIn, dashboard: &Dashboard, request: &HttpRequest) -> Frame {
        let title = format!("{} · {}", step.label(), self.business.name);
        Frame::of(title, Place::Business(Tab::Onboarding), by, dashboard).with_notice_of(request)
    }
}

/// Where one goes on.
pub(crate) async fn resume(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    let step = if case.is_open() { case.first_open() } else { Step::Review };
    Ok(see_other(&case.at(step)))
}

pub(crate) async fn show_profile(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    if !case.is_open() {
        return Ok(see_other(&case.at(Step::Review)));
    }
    let mut form = profile_form(&case, &by, &case.profile.profile);
    for breach in &case.profile.breaches {
        form = form.remark(&name_of(&breach.pointer), &breach.message);
    }
    profile_page(&request, &dashboard, &by, &case, StatusCode::OK, form).await
}

/// Saves what was typed, right or wrong, and goes on when nothing is wrong with it.
pub(crate) async fn save_profile(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    let (subtree, business) = (by.subtree(), &case.business.id);
    let change = profile_change(&fields);
    match dashboard.onboarding.save_profile(&by.actor(), &subtree, business, change, now_ms()).await {
        Ok(_) if fields.ticked("stay") => Ok(done(&dashboard, &case.at(Step::Profile), Notice::Saved)),
        Ok(saved) if saved.breaches.is_empty() => Ok(see_other(&case.at(Step::Documents))),
        Ok(saved) => {
            let breaches = saved.breaches.clone();
            let case = Case { profile: saved, ..case };
            let mut form = profile_form(&case, &by, &case.profile.profile);
            for breach in &breaches {
                form = form.breach(breach);
            }
            profile_page(&request, &dashboard, &by, &case, StatusCode::UNPROCESSABLE_ENTITY, form).await
        }
        Err(error) => {
            let (status, form) = profile_form(&case, &by, &case.profile.profile).keep(&fields).refused(error)?;
            profile_page(&request, &dashboard, &by, &case, status, form).await
        }
    }
}

pub(crate) async fn show_documents(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    if !case.is_open() {
        return Ok(see_other(&case.at(Step::Review)));
    }
    let form = document_form(&case, &by);
    documents_page(&request, &dashboard, &by, &case, StatusCode::OK, form).await
}

pub(crate) async fn add_document(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Uploaded { by, fields, file }: Uploaded,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    let mut form = document_form(&case, &by).keep(&fields);
    let kind = DocumentKind::parse(fields.text("kind"));
    if kind.is_none() {
        form = form.error("kind", "Choose what the document shows.");
    }
    let megabytes = DOCUMENT_MAX_BYTES / (1024 * 1024);
    let upload = match (kind, file) {
        (_, File::None) => {
            form = form.error("file", "Choose a file.");
            None
        }
        (_, File::TooLarge) => {
            form = form.error("file", format!("The file is larger than {megabytes} MB. Choose a smaller one."));
            None
        }
        (Some(kind), File::Read { name, content }) => Some(Upload { kind, file_name: name, content }),
        (None, File::Read { .. }) => None,
    };
    let Some(upload) = upload else {
        return documents_page(&request, &dashboard, &by, &case, StatusCode::UNPROCESSABLE_ENTITY, form).await;
    };
    let added =
        dashboard.onboarding.add_document(&by.actor(), &by.subtree(), &case.business.id, upload, now_ms()).await;
    match added {
        Ok(_) => Ok(done(&dashboard, &case.at(Step::Documents), Notice::DocumentAdded)),
        Err(error) => {
            let (status, form) = form.refused(error)?;
            documents_page(&request, &dashboard, &by, &case, status, form).await
        }
    }
}

pub(crate) async fn remove_document(
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &path.0).await?;
    let id: DocumentId = path.1.parse().map_err(|_| Failure::NotFound)?;
    dashboard.onboarding.delete_document(&by.actor(), &by.subtree(), &case.business.id, &id, now_ms()).await?;
    Ok(done(&dashboard, &case.at(Step::Documents), Notice::DocumentRemoved))
}

pub(crate) async fn show_number(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    number_page(&request, &dashboard, &by, &case, StatusCode::OK, None).await
}

pub(crate) async fn add_number(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    let form = number_form(&dashboard, &case, &by).keep(&fields);
    let connection = match fields.text("connection") {
        "" => None,
        text => match serde_json::from_str(text) {
            Ok(connection) => Some(connection),
            Err(error) => {
                let form = form.error("connection", format!("The settings are not JSON: {error}."));
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return number_page(&request, &dashboard, &by, &case, status, Some((None, form))).await;
            }
        },
    };
    let sender = SenderRequest {
        phone: fields.text("phone").to_owned(),
        display_name: fields.text("display_name").to_owned(),
        adapter: Some(fields.text("adapter")).filter(|name| !name.is_empty()).map(str::to_owned),
        connection,
    };
    match dashboard.registry.add_sender(&by.actor(), &by.subtree(), &case.business.id, &sender, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &case.at(Step::Number), Notice::NumberAdded)),
        Err(error) => {
            let (status, form) = form.refused(error)?;
            number_page(&request, &dashboard, &by, &case, status, Some((None, form))).await
        }
    }
}

pub(crate) async fn send_code(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &path.0).await?;
    let sender = find_sender(&dashboard, &by, &case, &path.1).await?;
    let method = match fields.text("method") {
        "voice" => CodeWay::Voice,
        "whatsapp" => CodeWay::Whatsapp,
        _ => CodeWay::Sms,
    };
    let (id, order) = (sender.sender.id, CodeOrder { method, language: None });
    match dashboard.onboarding.request_code(&by.actor(), &by.subtree(), id, &order, now_ms()).await {
        Ok(sent) => {
            let notice = if sent.certain { Notice::CodeSent } else { Notice::CodeUncertain };
            Ok(done(&dashboard, &case.at(Step::Number), notice))
        }
        Err(error) => {
            let (status, form) = send_form(&case, &by, &sender).keep(&fields).refused(error)?;
            number_page(&request, &dashboard, &by, &case, status, Some((Some(id), form))).await
        }
    }
}

pub(crate) async fn confirm_code(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &path.0).await?;
    let sender = find_sender(&dashboard, &by, &case, &path.1).await?;
    let id = sender.sender.id;
    let proof = CodeProof { code: fields.text("code").to_owned(), pin: None };
    match dashboard.onboarding.verify_code(&by.actor(), &by.subtree(), id, &proof, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &case.at(Step::Number), Notice::NumberConfirmed)),
        Err(error) => {
            let form = confirm_form(&case, &by, &sender);
            let (status, form) = if error.breaches.is_empty() {
                let status = StatusCode::from_u16(error.kind.row().status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                (status, form.error("code", format!("{} {}", error.details, error.kind.row().advice)))
            } else {
                form.refused(error)?
            };
            number_page(&request, &dashboard, &by, &case, status, Some((Some(id), form))).await
        }
    }
}

/// What arrived at the pretend phone of a sandbox number.
pub(crate) async fn show_phone(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    path: web::Path<(String, String)>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &path.0).await?;
    let sender = find_sender(&dashboard, &by, &case, &path.1).await?;
    if sender.sender.adapter != SANDBOX {
        return Err(Failure::NotFound);
    }
    let (phone, now) = (format!("+{}", sender.sender.phone), now_ms());
    let messages = dashboard.onboarding.pretend_phone(&by.subtree(), &phone, now).await?;
    let view = PhonePage {
        way: case.way(&dashboard, &by, Step::Number).await?,
        back: case.at(Step::Number),
        messages: messages
            .into_iter()
            .map(|message| PhoneMessage { from: message.from, text: message.text, at: Time::new(message.at, now) })
            .collect(),
        phone,
    };
    pages::respond(StatusCode::OK, Page::Phone, case.frame(Step::Number, &by, &dashboard, &request), view)
}

pub(crate) async fn show_review(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    let form = submit_form(&case, &by);
    review_page(&request, &dashboard, &by, &case, StatusCode::OK, form).await
}

pub(crate) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    match dashboard.onboarding.submit(&by.actor(), &by.subtree(), &case.business.id, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &case.at(Step::Review), Notice::HandedIn)),
        Err(error) => {
            let (status, form) = submit_form(&case, &by).refused(error)?;
            review_page(&request, &dashboard, &by, &case, status, form).await
        }
    }
}

/// Gives a draft up.
pub(crate) async fn give_up(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let case = Case::find(&dashboard, &by, &id).await?;
    let (subtree, reason) = (by.subtree(), fields.text("reason"));
    match dashboard.onboarding.close_draft(&by.actor(), &subtree, &case.business.id, reason, now_ms()).await {
        Ok(_) => Ok(done(&dashboard, &case.at(Step::Review), Notice::Closed)),
        Err(error) => {
            let (status, form) = give_up_form(&case, &by).keep(&fields).refused(error)?;
            review_page(&request, &dashboard, &by, &case, status, form).await
        }
    }
}

async fn profile_page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    case: &Case,
    status: StatusCode,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let view = ProfilePage { way: case.way(dashboard, by, Step::Profile).await?, form };
    pages::respond(status, Page::OnboardingProfile, case.frame(Step::Profile, by, dashboard, request), view)
}

async fn documents_page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    case: &Case,
    status: StatusCode,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let documents = dashboard.onboarding.list_documents(&by.subtree(), &case.business.id).await?;
    let now = now_ms();
    let view = DocumentsPage {
        way: case.way(dashboard, by, Step::Documents).await?,
        form: (documents.len() < DOCUMENTS_MAX).then_some(form),
        rows: documents.iter().map(|document| document_row(document, now)).collect(),
        next: case.at(Step::Number),
        csrf: by.csrf(),
        most: DOCUMENTS_MAX,
    };
    pages::respond(status, Page::OnboardingDocuments, case.frame(Step::Documents, by, dashboard, request), view)
}

/// `refused` is a form with why it was refused: that of a sender, or the one that adds a
/// number.
async fn number_page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    case: &Case,
    status: StatusCode,
    refused: Option<(Option<SenderId>, Form)>,
) -> Result<HttpResponse, Failure> {
    let senders = senders(dashboard, by, case).await?;
    let mut numbers: Vec<NumberRow> = senders.iter().map(|sender| number_row(case, by, sender)).collect();
    let mut add = number_form(dashboard, case, by);
    match refused {
        None => {}
        Some((None, form)) => add = form,
        Some((Some(id), form)) => {
            if let Some(row) = numbers.iter_mut().find(|row| row.id == id.to_string()) {
                if form.id().starts_with("send") {
                    row.send = Some(form);
                } else {
                    row.confirm = Some(form);
                }
            }
        }
    }
    let view =
        NumberPage { way: case.way(dashboard, by, Step::Number).await?, numbers, add, next: case.at(Step::Review) };
    pages::respond(status, Page::OnboardingNumber, case.frame(Step::Number, by, dashboard, request), view)
}

async fn review_page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    case: &Case,
    status: StatusCode,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let (subtree, now) = (by.subtree(), now_ms());
    let documents = dashboard.onboarding.list_documents(&subtree, &case.business.id).await?;
    let history = dashboard.onboarding.history(&subtree, &case.business.id).await?;
    let senders = senders(dashboard, by, case).await?;
    let open = case.is_open();
    let missing = case.profile.missing.iter().chain(&case.profile.breaches).map(|breach| MissingRow {
        href: match Step::of(breach) {
            Step::Profile => format!("{}#{}", case.at(Step::Profile), name_of(&breach.pointer)),
            step => case.at(step),
        },
        text: match label(&breach.pointer) {
            Some(label) => format!("{label} {}", breach.message),
            None => capitalised(&breach.message),
        },
    });
    let missing: Vec<MissingRow> = if open { missing.collect() } else { Vec::new() };
    let (submit, give_up) = match form.id() {
        "submit" => (form, give_up_form(case, by)),
        _ => (submit_form(case, by), form),
    };
    let view = ReviewPage {
        way: case.way(dashboard, by, Step::Review).await?,
        open,
        told: told(case.profile.state),
        submit: (open && (missing.is_empty() || submit.has_problems())).then_some(submit),
        give_up: (case.profile.state == State::Draft).then(|| Action {
            label: "Give this draft up…",
            lead: "The business is closed for good, with everything that was typed.".to_owned(),
            form: give_up,
        }),
        missing,
        facts: facts(&case.profile.profile),
        documents: documents.iter().map(|document| document_row(document, now)).collect(),
        numbers: senders.iter().map(|sender| number_row(case, by, sender)).collect(),
        history: history::events(history, now),
    };
    pages::respond(status, Page::OnboardingReview, case.frame(Step::Review, by, dashboard, request), view)
}

async fn senders(dashboard: &Dashboard, by: &SignedIn, case: &Case) -> Result<Vec<SenderView>, Failure> {
    let all = Paging::read(None, Some(PAGE_MAX_ENTRIES)).map_err(Failure::from)?;
    Ok(dashboard.registry.senders(&by.subtree(), &case.business.id, &all).await?.entries)
}

async fn find_sender(dashboard: &Dashboard, by: &SignedIn, case: &Case, id: &str) -> Result<SenderView, Failure> {
    let id: SenderId = id.parse().map_err(|_| Failure::NotFound)?;
    let sender = dashboard.registry.sender(&by.subtree(), id).await?;
    if sender.sender.business == case.business.id { Ok(sender) } else { Err(Failure::NotFound) }
}

/// The fields of the profile: pointer, name for people.
const PROFILE: [(&str, &str); 10] = [
    ("/legal_name", "Legal name"),
    ("/trade_name", "Trade name"),
    ("/registration_number", "Registration number"),
    ("/category", "Category"),
    ("/website", "Website"),
    ("/address", "Address"),
    ("/country", "Country"),
    ("/contact/name", "Contact person"),
    ("/contact/email", "E-mail address"),
    ("/contact/phone", "Phone number"),
];

fn label(pointer: &str) -> Option<&'static str> {
    PROFILE.into_iter().find(|(of, _)| *of == pointer).map(|(_, label)| label)
}

/// What is known of a business, in the order of the form.
pub(crate) fn facts(profile: &Profile) -> Vec<Fact> {
    let category = CATEGORIES.iter().find(|category| category.code == profile.category);
    let values = [
        profile.legal_name.clone(),
        profile.trade_name.clone(),
        profile.registration_number.clone(),
        category.map_or_else(|| profile.category.clone(), |category| category_label(category.title, category.trade)),
        profile.website.clone(),
        profile.address.clone(),
        profile.country.clone(),
        profile.contact.name.clone(),
        profile.contact.email.clone(),
        profile.contact.phone.clone(),
    ];
    PROFILE.into_iter().zip(values).map(|((_, name), value)| Fact { name, value }).collect()
}

fn category_label(title: &str, trade: Trade) -> String {
    match trade {
        Trade::Open => title.to_owned(),
        Trade::Regulated => format!("{title} (regulated)"),
        Trade::Prohibited => format!("{title} (not allowed)"),
    }
}

fn profile_form(case: &Case, by: &SignedIn, profile: &Profile) -> Form {
    let categories = CATEGORIES
        .iter()
        .map(|category| Choice::new(category.code, category_label(category.title, category.trade)))
        .collect();
    Form::new("profile", case.at(Step::Profile), "Save and continue", by)
        .second("Save", "stay", "1")
        .field(
            Field::text("legal_name", "Legal name")
                .hint("As it stands in the register of companies.")
                .value(&profile.legal_name)
                .autocomplete("organization"),
        )
        .field(Field::text("trade_name", "Trade name").hint("The name that customers know.").value(&profile.trade_name))
        .field(
            Field::text("registration_number", "Registration number")
                .hint("Its number in that register.")
                .value(&profile.registration_number),
        )
        .field(
            Field::select("category", "Category", categories)
                .chosen([profile.category.as_str()])
                .hint("What it mainly does."),
        )
        .field(
            Field::text("website", "Website")
                .hint("Such as https://www.acme.com. Without one, a reviewer will ask.")
                .value(&profile.website)
                .mode("url")
                .autocomplete("url")
                .optional(),
        )
        .field(Field::heading("Address"))
        .field(
            Field::area("address", "Address")
                .hint("Street, postal code and town.")
                .value(&profile.address)
                .autocomplete("street-address"),
        )
        .field(
            Field::text("country", "Country")
                .hint("Two letters, such as DE.")
                .value(&profile.country)
                .autocomplete("country")
                .short(),
        )
        .field(Field::heading("Whom to ask"))
        .field(Field::text("contact_name", "Contact person").value(&profile.contact.name).autocomplete("name"))
        .field(Field::email("contact_email", "E-mail address").value(&profile.contact.email).autocomplete("email"))
        .field(
            Field::text("contact_phone", "Phone number")
                .hint("With the country code.")
                .value(&profile.contact.phone)
                .mode("tel")
                .autocomplete("tel"),
        )
}

fn profile_change(fields: &Fields) -> ProfileChange {
    let text = |name: &str| Some(fields.text(name).replace("\r\n", "\n"));
    ProfileChange {
        legal_name: text("legal_name"),
        trade_name: text("trade_name"),
        registration_number: text("registration_number"),
        category: text("category"),
        website: text("website"),
        address: text("address"),
        country: Some(fields.text("country").to_uppercase()),
        contact: Some(ContactChange {
            name: text("contact_name"),
            email: text("contact_email"),
            phone: text("contact_phone"),
        }),
    }
}

pub(crate) fn document_kind(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::RegistrationCertificate => "Certificate of registration",
        DocumentKind::TaxCertificate => "Tax certificate",
        DocumentKind::Identity => "Identity of who acts for it",
        DocumentKind::AddressProof => "Proof of address",
        DocumentKind::Other => "Something else",
    }
}

pub(crate) fn document_row(document: &Document, now: Millis) -> DocumentRow {
    DocumentRow {
        id: document.id.to_string(),
        kind: document_kind(document.kind),
        name: document.file_name.clone(),
        size: text::size(document.size_bytes),
        uploaded: Time::new(document.uploaded_at, now),
        by: document.uploaded_by.clone(),
    }
}

fn document_form(case: &Case, by: &SignedIn) -> Form {
    let kinds = DocumentKind::ALL.into_iter().map(|kind| Choice::new(kind.name(), document_kind(kind))).collect();
    let megabytes = DOCUMENT_MAX_BYTES / (1024 * 1024);
    Form::new("document", case.at(Step::Documents), "Upload", by)
        .multipart()
        .quiet()
        .field(Field::select("kind", "What it shows", kinds))
        .field(
            Field::file("file", "File", ".pdf,.jpg,.jpeg,.png,application/pdf,image/jpeg,image/png")
                .hint(format!("PDF, JPEG or PNG of at most {megabytes} MB. It is kept encrypted.")),
        )
}

fn number_form(dashboard: &Dashboard, case: &Case, by: &SignedIn) -> Form {
    let mut names: Vec<String> = (dashboard.adapters)().into_iter().map(|adapter| adapter.name).collect();
    names.sort();
    let mut form = Form::new("number", case.at(Step::Number), "Add number", by)
        .quiet()
        .field(
            Field::text("phone", "Phone number")
                .hint("With the country code, such as +1 555 078 3881.")
                .mode("tel")
                .autocomplete("tel"),
        )
        .field(Field::text("display_name", "Display name").hint("What recipients see.").value(&case.business.name));
    if names.iter().any(|name| name != SANDBOX) {
        let choices = names.iter().map(|name| Choice::new(name, name)).collect();
        form = form.field(Field::select("adapter", "Network", choices).chosen([SANDBOX])).field(
            Field::area("connection", "Settings of the network")
                .hint("What it asks for, as a JSON object. The sandbox asks for nothing.")
                .optional(),
        );
    }
    form
}

fn number_row(case: &Case, by: &SignedIn, sender: &SenderView) -> NumberRow {
    let confirmed = sender.phone_verified_at.is_some();
    let id = sender.sender.id;
    let pretend = sender.sender.adapter == SANDBOX;
    NumberRow {
        phone: format!("+{}", sender.sender.phone),
        name: sender.display_name.clone(),
        state: if confirmed {
            Badge { tone: "ok", text: "confirmed" }
        } else {
            Badge { tone: "warn", text: "not confirmed" }
        },
        confirmed,
        pretend: pretend.then(|| format!("{}/{id}/phone", case.at(Step::Number))),
        send: (!confirmed).then(|| send_form(case, by, sender)),
        confirm: (!confirmed).then(|| confirm_form(case, by, sender)),
        id: id.to_string(),
    }
}

fn send_form(case: &Case, by: &SignedIn, sender: &SenderView) -> Form {
    let id = sender.sender.id;
    let choices = vec![Choice::new("sms", "Text message"), Choice::new("voice", "Voice call")];
    Form::new(format!("send-{id}"), format!("{}/{id}/code", case.at(Step::Number)), "Send code", by)
        .quiet()
        .field(Field::select("method", "How", choices).chosen(["sms"]).id(format!("method-{id}")))
}

fn confirm_form(case: &Case, by: &SignedIn, sender: &SenderView) -> Form {
    let id = sender.sender.id;
    let minutes = CODE_LIFE_MS / 60_000;
    Form::new(format!("confirm-{id}"), format!("{}/{id}/verify", case.at(Step::Number)), "Confirm code", by).field(
        Field::code("code", "Code")
            .mode("numeric")
            .hint(format!("Six digits; they can be used for {minutes} minutes."))
            .id(format!("code-{id}")),
    )
}

fn submit_form(case: &Case, by: &SignedIn) -> Form {
    Form::new("submit", format!("{}/submit", case.path), "Submit for review", by)
}

fn give_up_form(case: &Case, by: &SignedIn) -> Form {
    Form::new("give-up", format!("{}/give-up", case.path), "Close for good", by)
        .field(Field::area("reason", "Reason"))
        .danger()
}

fn told(state: State) -> Option<Told> {
    let told = |tone, heading, text| Some(Told { tone, heading, text });
    match state {
        State::Draft | State::ChangesRequested => None,
        State::Submitted => told(
            "info",
            "Handed in",
            "A reviewer looks at it next. Nothing can be changed meanwhile; the sandbox works as before.",
        ),
        State::InReview => told("info", "In review", "A reviewer is looking at it. Nothing can be changed meanwhile."),
        State::Approved => told("ok", "Verified", "The business may send to real people, with live keys."),
        State::Rejected => told("bad", "Not accepted", "The reason stands in the history below."),
        State::Suspended => told("bad", "Suspended", "Nothing goes out. The reason stands in the history below."),
        State::Closed => told("wait", "Closed", "Nothing can be done with it any more."),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
