//! The own account: password, second factor, recovery codes, and every place where it is
//! signed in.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Serialize;
use waystation_core::{
    access::{AccessError, RECOVERY_CODES, SESSION_IDLE_MS, SessionView},
    clock::{Millis, now_ms},
    ids::SessionId,
};

use crate::{
    Dashboard,
    failure::Failure,
    forms::{Field, Form},
    notice::Notice,
    pages::{self, FormPage, Frame, Page, Place},
    see_other,
    session::{SignedIn, Submitted},
    sign_in::{self, NO_CODE, PASSWORD_HINT, add_cookie, password_fault},
    text::{self, Time},
};

const PATH: &str = "/admin/account";
const TWO_FACTOR_PATH: &str = "/admin/account/two-factor";
const NEW_TWO_FACTOR_PATH: &str = "/admin/account/two-factor/new";
const WRONG_PASSWORD: &str = "This is not your present password.";

#[derive(Serialize)]
struct View {
    name: String,
    email: String,
    role: &'static str,
    password: Form,
    recovery: Form,
    codes_left: i64,
    codes_all: usize,
    few_codes: bool,
    sessions: Vec<Row>,
    others: bool,
    idle_hours: i64,
    csrf: String,
}

/// A session in the list.
#[derive(Serialize)]
struct Row {
    id: String,
    device: String,
    address: String,
    seen: Time,
    opened: Time,
    current: bool,
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let (password, recovery) = (password_form(&by), recovery_form(&by));
    page(&request, &dashboard, &by, StatusCode::OK, password, recovery).await
}

pub(crate) async fn change_password(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let refuse = async |name, text: String| {
        let form = password_form(&by).error(name, text);
        page(&request, &dashboard, &by, StatusCode::UNPROCESSABLE_ENTITY, form, recovery_form(&by)).await
    };
    let (present, password) = (fields.raw("current_password"), fields.raw("password"));
    if password != fields.raw("password_again") {
        return refuse("password_again", "Both new passwords must be the same.".to_owned()).await;
    }
    match dashboard.access.change_password(by.session(), present, password, by.visitor(), now_ms()).await {
        Ok(()) => Ok(done(&dashboard, PATH, Notice::PasswordChanged)),
        Err(AccessError::Refused) => refuse("current_password", WRONG_PASSWORD.to_owned()).await,
        Err(AccessError::Password(fault)) => refuse("password", password_fault(fault)).await,
        Err(error) => Err(error.into()),
    }
}

/// Asks who wants to replace the second factor.
pub(crate) async fn ask_two_factor(dashboard: web::Data<Dashboard>, by: SignedIn) -> Result<HttpResponse, Failure> {
    proof_page(&dashboard, &by, StatusCode::OK, proof_form(&by))
}

pub(crate) async fn begin_two_factor(
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let (password, code) = (fields.raw("password"), fields.text("code"));
    match dashboard.access.begin_new_two_factor(by.session(), password, code, by.visitor(), now_ms()).await {
        Ok(()) => Ok(see_other(NEW_TWO_FACTOR_PATH)),
        Err(AccessError::Refused) => {
            let form = proof_form(&by).problem("Password and code do not match.");
            proof_page(&dashboard, &by, StatusCode::UNPROCESSABLE_ENTITY, form)
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn show_two_factor(dashboard: web::Data<Dashboard>, by: SignedIn) -> Result<HttpResponse, Failure> {
    let form = sign_in::enrol_form(NEW_TWO_FACTOR_PATH, by.csrf());
    match sign_in::enrolment(&dashboard, by.session(), StatusCode::OK, form).await {
        // Nothing is being set up.
        Err(Failure::NotFound) => Ok(see_other(TWO_FACTOR_PATH)),
        shown => shown,
    }
}

pub(crate) async fn finish_two_factor(
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    match dashboard.access.finish_two_factor(by.session(), fields.text("code"), by.visitor(), now_ms()).await {
        Ok((opened, codes)) => sign_in::recovery_codes(&dashboard, Some(&opened), &codes),
        Err(AccessError::Refused) => {
            let form = sign_in::enrol_form(NEW_TWO_FACTOR_PATH, by.csrf()).error("code", NO_CODE);
            sign_in::enrolment(&dashboard, by.session(), StatusCode::UNPROCESSABLE_ENTITY, form).await
        }
        Err(AccessError::NotFound) => Ok(see_other(TWO_FACTOR_PATH)),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn renew_recovery_codes(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields }: Submitted,
) -> Result<HttpResponse, Failure> {
    let password = fields.raw("password_for_codes");
    match dashboard.access.renew_recovery_codes(by.session(), password, by.visitor(), now_ms()).await {
        Ok(codes) => sign_in::recovery_codes(&dashboard, None, &codes),
        Err(AccessError::Refused) => {
            let form = recovery_form(&by).error("password_for_codes", WRONG_PASSWORD);
            page(&request, &dashboard, &by, StatusCode::UNPROCESSABLE_ENTITY, password_form(&by), form).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn end_session(
    dashboard: web::Data<Dashboard>,
    id: web::Path<String>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    let id: SessionId = id.parse().map_err(|_| Failure::NotFound)?;
    dashboard.access.end_own_session(by.session(), &id, by.visitor(), now_ms()).await?;
    Ok(done(&dashboard, PATH, Notice::SessionEnded))
}

pub(crate) async fn end_other_sessions(
    dashboard: web::Data<Dashboard>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    dashboard.access.end_other_sessions(by.session(), by.visitor(), now_ms()).await?;
    Ok(done(&dashboard, PATH, Notice::SessionsEnded))
}

/// Sends the browser on to a page that says what was done.
pub(crate) fn done(dashboard: &Dashboard, path: &str, notice: Notice) -> HttpResponse {
    let mut response = see_other(path);
    add_cookie(&mut response, notice.cookie(dashboard.secure_cookies));
    response
}

async fn page(
    request: &HttpRequest,
    dashboard: &Dashboard,
    by: &SignedIn,
    status: StatusCode,
    password: Form,
    recovery: Form,
) -> Result<HttpResponse, Failure> {
    let now = now_ms();
    let sessions = dashboard.access.sessions(by.session(), now).await?;
    let codes_left = dashboard.access.recovery_codes_left(by.session()).await?;
    let user = by.user();
    let view = View {
        name: user.name.clone(),
        email: user.email.clone().unwrap_or_default(),
        role: user.role.kind().label(),
        password,
        recovery,
        codes_left,
        codes_all: RECOVERY_CODES,
        few_codes: codes_left < 3,
        others: sessions.len() > 1,
        sessions: sessions.into_iter().map(|session| row(session, &by.session().id, now)).collect(),
        idle_hours: SESSION_IDLE_MS / 3_600_000,
        csrf: by.csrf(),
    };
    let frame = Frame::of("Your account", Place::Account, by, dashboard).with_notice_of(request);
    pages::respond(status, Page::Account, frame, view)
}

fn row(session: SessionView, this: &SessionId, now: Millis) -> Row {
    Row {
        current: session.id == *this,
        id: session.id.to_string(),
        device: text::device(&session.device),
        address: session.address.unwrap_or_else(|| "unknown".to_owned()),
        seen: Time::new(session.seen_at, now),
        opened: Time::new(session.created_at, now),
    }
}

fn proof_page(dashboard: &Dashboard, by: &SignedIn, status: StatusCode, form: Form) -> Result<HttpResponse, Failure> {
    let view = FormPage {
        heading: "Replace your second factor".to_owned(),
        lead: "Show first that it is you: your password, and a code of the app that you have now. The app stays \
               valid until the new one is set up."
            .to_owned(),
        back: PATH.to_owned(),
        back_to: "Your account".to_owned(),
        form,
    };
    let frame = Frame::of("Replace your second factor", Place::Account, by, dashboard);
    pages::respond(status, Page::Form, frame, view)
}

fn password_form(by: &SignedIn) -> Form {
    Form::new("password", "/admin/account/password", "Change password", by)
        .field(Field::password("current_password", "Present password", "current-password"))
        .field(Field::password("password", "New password", "new-password").hint(PASSWORD_HINT))
        .field(Field::password("password_again", "New password again", "new-password"))
}

fn recovery_form(by: &SignedIn) -> Form {
    Form::new("recovery", "/admin/account/recovery-codes", "Make new recovery codes", by)
        .field(Field::password("password_for_codes", "Present password", "current-password"))
        .quiet()
}

fn proof_form(by: &SignedIn) -> Form {
    Form::new("two-factor", TWO_FACTOR_PATH, "Continue", by)
        .field(Field::password("password", "Password", "current-password").focus())
        .field(Field::code("code", "Code").hint("From the app that you have now, or a recovery code."))
}
