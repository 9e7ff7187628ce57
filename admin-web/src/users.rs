//! The people who use the dashboard: inviting them, giving them a new way in, and removing
//! them. A link is shown once, on the page that answers the form.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    access::{AccessError, Invitation, LINK_LIFE_MS, NAME_MAX_CHARS, Role, RoleKind, User},
    clock::{Millis, now_ms},
    ids::UserId,
    paging::Paging,
    tenancy::Subtree,
};

use crate::{
    Dashboard,
    account::done,
    failure::Failure,
    forms::{Choice, Field, Fields, Form},
    notice::Notice,
    pages::{self, FormPage, Frame, Page, Place, Secret, SecretPage},
    session::{SignedIn, Submitted},
    text::Time,
};

const PATH: &str = "/admin/users";

/// Which page of the list.
#[derive(Deserialize)]
pub(crate) struct Cursor {
    after: Option<String>,
}

/// For whom somebody is to be invited.
#[derive(Deserialize)]
pub(crate) struct For {
    reseller: Option<String>,
    business: Option<String>,
}

#[derive(Serialize)]
struct ListView {
    users: Vec<Row>,
    next: Option<String>,
    first: bool,
}

#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    email: String,
    role: &'static str,
    tone: &'static str,
    state: &'static str,
    seen: Option<Time>,
}

#[derive(Serialize)]
struct UserView {
    row: Row,
    created: Time,
    two_factor: bool,
    own: bool,
    link: Form,
    sign_out: Form,
    remove: Form,
}

pub(crate) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    cursor: web::Query<Cursor>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let paging = Paging::read(cursor.after.as_deref(), None).map_err(|_| Failure::BadRequest)?;
    let page = dashboard.access.users(&by.subtree(), &paging).await?;
    let now = now_ms();
    let view = ListView {
        users: page.entries.iter().map(|user| row(user, now)).collect(),
        next: page.next.map(|cursor| format!("{PATH}?after={cursor}")),
        first: cursor.after.is_none(),
    };
    let frame = Frame::of("Users", Place::Users, &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::Users, frame, view)
}

/// The form that invites somebody.
pub(crate) async fn ask(
    dashboard: web::Data<Dashboard>,
    whom: web::Query<For>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let For { reseller, business } = whom.into_inner();
    let form = invite_form(&by, reseller.as_deref(), business.as_deref());
    invite_page(&dashboard, &by, StatusCode::OK, form)
}

pub(crate) async fn invite(
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let filled = |name| Some(fields.text(name)).filter(|text| !text.is_empty());
    let form = invite_form(&by, filled("reseller"), filled("business")).keep(&fields);
    let refuse = |form| invite_page(&dashboard, &by, StatusCode::UNPROCESSABLE_ENTITY, form);
    let Some(role) = role_of(&by, &fields) else { return refuse(form.error("role", "Choose what they may do.")) };
    let (name, email) = (fields.text("name").to_owned(), fields.text("email").to_owned());
    let invitation = Invitation { name, email, role };
    match dashboard.access.invite(&by.actor(), &by.subtree(), &invitation, now_ms()).await {
        Ok((id, link)) => {
            let lead =
                format!("Give this link to {}. It leads to the page where they choose a password.", invitation.name);
            link_page(&dashboard, &by, "The user is invited", lead, link.reveal(), &id)
        }
        Err(AccessError::NameInvalid) => {
            refuse(form.error("name", format!("Enter a name of at most {NAME_MAX_CHARS} characters.")))
        }
        Err(AccessError::EmailInvalid) => {
            refuse(form.error("email", "Enter an e-mail address, such as name@example.com, or leave it empty."))
        }
        Err(AccessError::EmailTaken) => refuse(form.error("email", "Another user signs in with this address.")),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let user = dashboard.access.user(&by.subtree(), &parse(&id)?).await?;
    let (now, path) = (now_ms(), format!("{PATH}/{}", user.id));
    let reset = Field::tick("reset_two_factor", "Also reset their second factor").hint(
        "For somebody who lost their app and their recovery codes: they set up a new one after the new password.",
    );
    let view = UserView {
        row: row(&user, now),
        created: Time::new(user.created_at, now),
        two_factor: user.has_two_factor,
        own: user.id == by.user().id,
        link: Form::new("new-link", format!("{path}/link"), "Issue a link", &by).field(reset).quiet(),
        sign_out: Form::new("sign-out-user", format!("{path}/sign-out"), "End all sessions", &by).quiet(),
        remove: Form::new("remove", format!("{path}/remove"), "Remove user", &by).danger(),
    };
    let frame = Frame::of(user.name, Place::Users, &by, &dashboard).with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::User, frame, view)
}

pub(crate) async fn issue_link(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let (id, within) = (parse(&id)?, by.subtree());
    let user = dashboard.access.user(&within, &id).await?;
    let reset = fields.ticked("reset_two_factor");
    let link = dashboard.access.issue_link(&by.actor(), &within, &id, reset, now_ms()).await?;
    let lead = format!(
        "Give this link to {}. Until it is used, their password and sessions stay as they are; a link of before no \
         longer works.",
        user.name
    );
    link_page(&dashboard, &by, "A new link", lead, link.reveal(), &id)
}

pub(crate) async fn sign_out(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let id = parse(&id)?;
    dashboard.access.sign_user_out(&by.actor(), &by.subtree(), &id, now_ms()).await?;
    Ok(done(&dashboard, &format!("{PATH}/{id}"), Notice::UserSignedOut))
}

pub(crate) async fn remove(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let id = parse(&id)?;
    match dashboard.access.remove_user(&by.actor(), &by.subtree(), &id, now_ms()).await {
        Ok(()) => Ok(done(&dashboard, PATH, Notice::UserRemoved)),
        Err(AccessError::LastOwner) => Ok(done(&dashboard, &format!("{PATH}/{id}"), Notice::LastOwner)),
        Err(error) => Err(error.into()),
    }
}

fn parse(id: &str) -> Result<UserId, Failure> {
    id.parse().map_err(|_| Failure::NotFound)
}

fn row(user: &User, now: Millis) -> Row {
    let (tone, state) = match (user.has_password, user.has_two_factor) {
        (true, true) => ("ok", "active"),
        (true, false) => ("warn", "second factor missing"),
        (false, _) => ("wait", "invited"),
    };
    Row {
        id: user.id.to_string(),
        name: user.name.clone(),
        email: user.email.clone().unwrap_or_else(|| "chosen at first sign-in".to_owned()),
        role: user.role.kind().label(),
        tone,
        state,
        seen: user.seen_at.map(|at| Time::new(at, now)),
    }
}

/// The form for somebody of a reseller, of a business, or of whatever the inviting person
/// stands for.
fn invite_form(by: &SignedIn, reseller: Option<&str>, business: Option<&str>) -> Form {
    let form = Form::new("invite", "/admin/users/new", "Invite", by).field(Field::text("name", "Name").focus()).field(
        Field::email("email", "E-mail address")
            .autocomplete("off")
            .optional()
            .hint("They sign in with it. Left empty, they choose it themselves."),
    );
    if let Some(business) = business {
        return form.field(Field::hidden("business", business));
    }
    if let Some(reseller) = reseller {
        return form.field(Field::hidden("reseller", reseller));
    }
    if by.subtree() != Subtree::Platform {
        return form;
    }
    let choices = vec![
        Choice::new(RoleKind::Reviewer.name(), "Reviewer")
            .detail("Sees businesses and verifies them. Manages neither credentials nor users."),
        Choice::new(RoleKind::PlatformOwner.name(), "Platform owner").detail("May do everything, for every reseller."),
    ];
    form.field(Field::cards("role", "Role", choices))
}

/// Whom the new user stands for: the business or reseller that the form is about, or what
/// was chosen.
fn role_of(by: &SignedIn, fields: &Fields) -> Option<Role> {
    if let Ok(business) = fields.text("business").parse() {
        return Some(Role::BusinessOwner(business));
    }
    if let Ok(reseller) = fields.text("reseller").parse() {
        return Some(Role::ResellerAdmin(reseller));
    }
    match (by.subtree(), RoleKind::parse(fields.text("role"))) {
        (Subtree::Platform, Some(RoleKind::PlatformOwner)) => Some(Role::PlatformOwner),
        (Subtree::Platform, Some(RoleKind::Reviewer)) => Some(Role::Reviewer),
        (Subtree::Reseller(own), _) => Some(Role::ResellerAdmin(own)),
        _ => None,
    }
}

fn invite_page(dashboard: &Dashboard, by: &SignedIn, status: StatusCode, form: Form) -> Result<HttpResponse, Failure> {
    let view = FormPage {
        heading: "Invite a user".to_owned(),
        lead: "You get a link, shown once, to pass on. With it they choose a password and set up their second factor."
            .to_owned(),
        back: PATH.to_owned(),
        back_to: "Users".to_owned(),
        form,
    };
    pages::respond(status, Page::Form, Frame::of("Invite a user", Place::Users, by, dashboard), view)
}

fn link_page(
    dashboard: &Dashboard,
    by: &SignedIn,
    heading: &str,
    lead: String,
    token: &str,
    id: &UserId,
) -> Result<HttpResponse, Failure> {
    let value = format!("{}/admin/sign-in?token={token}", dashboard.base_url);
    let view = SecretPage {
        heading: heading.to_owned(),
        lead,
        secrets: vec![Secret { id: "secret", label: "Sign-in link", value }],
        note: format!("It works once, within {} hours, and is not shown again.", LINK_LIFE_MS / 3_600_000),
        back: format!("{PATH}/{id}"),
        back_to: "Go to the user".to_owned(),
    };
    pages::respond(StatusCode::OK, Page::Secret, Frame::of(heading, Place::Users, by, dashboard), view)
}
