//! The way in and out. A link leads to a page where its person chooses a password, and is
//! used up when they send it, not when they or a chat's preview look at it. Signing out
//! ends the session in the database, not only in the browser.

use actix_web::{HttpRequest, HttpResponse, cookie::Cookie, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    access::{
        AccessError, LINK_LIFE_MS, Opened, PASSWORD_MAX_CHARS, PASSWORD_MIN_CHARS, PasswordFault, RecoveryCodes,
        Session, Stage, User,
    },
    clock::now_ms,
    qr::{self, Drawing},
};

use crate::{
    Dashboard, ENROL_PATH, HOME_PATH, SIGN_IN_PATH, TWO_FACTOR_PATH,
    failure::Failure,
    forms::{Field, Form},
    notice::Notice,
    pages::{self, Frame, Page},
    see_other,
    session::{self, Pending, Posted, Submitted},
};

/// What stands between a pasted link and its token.
const TOKEN_PARAMETER: &str = "token=";
/// What somebody is told whose e-mail address or password is wrong.
const NO_MATCH: &str = "E-mail address and password do not match.";
/// What somebody is told whose code is wrong.
pub(crate) const NO_CODE: &str = "This code does not match, or was used already. Wait for the next one.";
/// What a new password has to be.
pub(crate) const PASSWORD_HINT: &str = "At least 12 characters. A few words that have nothing to do with each other \
                                        are strong, and easy to remember.";

/// A link, or the token out of one.
#[derive(Deserialize)]
pub(crate) struct Entry {
    token: Option<String>,
}

#[derive(Serialize)]
struct SignInView {
    form: Form,
    link: Form,
}

#[derive(Serialize)]
struct LinkRefusedView {
    link_hours: i64,
    link: Form,
}

#[derive(Serialize)]
struct ChoosePasswordView {
    name: String,
    role: &'static str,
    again: bool,
    form: Form,
}

#[derive(Serialize)]
struct TwoFactorView {
    form: Form,
}

/// A page that shows a secret to an app.
#[derive(Serialize)]
struct EnrolView {
    drawing: Option<Drawing>,
    secret: String,
    form: Form,
}

#[derive(Serialize)]
struct RecoveryView<'c> {
    codes: &'c [String],
}

/// The sign-in page; with a token in the address, where the link leads.
pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    entry: web::Query<Entry>,
) -> Result<HttpResponse, Failure> {
    if let Some(pasted) = &entry.token {
        let token = token_in(pasted);
        return match dashboard.access.link_user(token, now_ms()).await? {
            Some(user) => choose_password(StatusCode::OK, &user, password_form(token, &user)),
            None => link_refused(),
        };
    }
    if let Some(token) = session::token_of(&request) {
        let session = dashboard.access.session(&token, now_ms()).await?;
        if session.is_some_and(|session| session.stage == Stage::Open) {
            return Ok(see_other(HOME_PATH));
        }
    }
    let frame = Frame::bare("Sign in").with_notice_of(&request);
    pages::respond(StatusCode::OK, Page::SignIn, frame, SignInView { form: sign_in_form(), link: link_form() })
}

/// The first step.
pub(crate) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    Posted(fields): Posted,
) -> Result<HttpResponse, Failure> {
    let (email, password) = (fields.text("email"), fields.raw("password"));
    match dashboard.access.sign_in(email, password, &session::visitor(&request), now_ms()).await {
        Ok(opened) => Ok(proceed(&dashboard, &opened)),
        Err(AccessError::Refused) => {
            let form = sign_in_form().keep(&fields).problem(NO_MATCH);
            let view = SignInView { form, link: link_form() };
            pages::respond(StatusCode::UNAUTHORIZED, Page::SignIn, Frame::bare("Sign in"), view)
        }
        Err(error) => Err(error.into()),
    }
}

/// The password that the holder of a link chooses.
pub(crate) async fn use_link(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    Posted(fields): Posted,
) -> Result<HttpResponse, Failure> {
    let (token, now) = (fields.text("token"), now_ms());
    let Some(user) = dashboard.access.link_user(token, now).await? else { return link_refused() };
    let form = password_form(token, &user).keep(&fields);
    let (email, password) = (fields.text("email"), fields.raw("password"));
    let refuse = |form| choose_password(StatusCode::UNPROCESSABLE_ENTITY, &user, form);
    if password != fields.raw("password_again") {
        return refuse(form.error("password_again", "Both passwords must be the same."));
    }
    let visitor = session::visitor(&request);
    match dashboard.access.use_link(token, Some(email), password, &visitor, now).await {
        Ok(opened) => Ok(proceed(&dashboard, &opened)),
        Err(AccessError::LinkRefused) => link_refused(),
        Err(AccessError::Password(fault)) => refuse(form.error("password", password_fault(fault))),
        Err(AccessError::EmailInvalid) => {
            refuse(form.error("email", "Enter an e-mail address, such as name@example.com."))
        }
        Err(AccessError::EmailTaken) => refuse(form.error("email", "Another user signs in with this address.")),
        Err(error) => Err(error.into()),
    }
}

/// Asks for the second factor.
pub(crate) async fn ask_code(pending: Pending) -> Result<HttpResponse, Failure> {
    if let Some(elsewhere) = not_at(&pending.session, Stage::SecondFactor) {
        return Ok(elsewhere);
    }
    let view = TwoFactorView { form: code_form(&pending.csrf) };
    pages::respond(StatusCode::OK, Page::TwoFactor, Frame::bare("Second factor"), view)
}

/// The second step.
pub(crate) async fn check_code(dashboard: web::Data<Dashboard>, pending: Pending) -> Result<HttpResponse, Failure> {
    let Pending { session, csrf, fields, visitor } = pending;
    if let Some(elsewhere) = not_at(&session, Stage::SecondFactor) {
        return Ok(elsewhere);
    }
    match dashboard.access.second_factor(&session, fields.text("code"), &visitor, now_ms()).await {
        Ok(opened) => Ok(proceed(&dashboard, &opened)),
        Err(AccessError::Refused) => {
            let view = TwoFactorView { form: code_form(&csrf).error("code", NO_CODE) };
            pages::respond(StatusCode::UNAUTHORIZED, Page::TwoFactor, Frame::bare("Second factor"), view)
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows the secret of a second factor that is to be set up.
pub(crate) async fn show_secret(dashboard: web::Data<Dashboard>, pending: Pending) -> Result<HttpResponse, Failure> {
    if let Some(elsewhere) = not_at(&pending.session, Stage::Enrol) {
        return Ok(elsewhere);
    }
    enrolment(&dashboard, &pending.session, StatusCode::OK, enrol_form(ENROL_PATH, pending.csrf)).await
}

/// Sets the second factor up.
pub(crate) async fn enrol(dashboard: web::Data<Dashboard>, pending: Pending) -> Result<HttpResponse, Failure> {
    let Pending { session, csrf, fields, visitor } = pending;
    if let Some(elsewhere) = not_at(&session, Stage::Enrol) {
        return Ok(elsewhere);
    }
    match dashboard.access.finish_two_factor(&session, fields.text("code"), &visitor, now_ms()).await {
        Ok((opened, codes)) => recovery_codes(&dashboard, Some(&opened), &codes),
        Err(AccessError::Refused) => {
            let form = enrol_form(ENROL_PATH, csrf).error("code", NO_CODE);
            enrolment(&dashboard, &session, StatusCode::UNAUTHORIZED, form).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The end of a session.
pub(crate) async fn end(
    dashboard: web::Data<Dashboard>,
    Submitted { by, .. }: Submitted,
) -> Result<HttpResponse, Failure> {
    dashboard.access.sign_out(by.token()).await?;
    let mut response = see_other(SIGN_IN_PATH);
    add_cookie(&mut response, session::no_cookie());
    add_cookie(&mut response, Notice::SignedOut.cookie(dashboard.secure_cookies));
    Ok(response)
}

/// The page on which an app is given its secret.
pub(crate) async fn enrolment(
    dashboard: &Dashboard,
    session: &Session,
    status: StatusCode,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let secret = dashboard.access.pending_secret(session).await?;
    let view = EnrolView { drawing: qr::draw(&secret.address), secret: grouped(&secret.text), form };
    pages::respond(status, Page::Enrol, Frame::bare("Set up two-factor"), view)
}

/// The form of that page.
pub(crate) fn enrol_form(action: &'static str, csrf: String) -> Form {
    let code = Field::code("code", "Code that the app shows").mode("numeric").focus();
    Form::public("enrol", action, "Turn on two-factor").with_csrf(csrf).field(code).wide()
}

/// The page that shows recovery codes, this once.
pub(crate) fn recovery_codes(
    dashboard: &Dashboard,
    opened: Option<&Opened>,
    codes: &RecoveryCodes,
) -> Result<HttpResponse, Failure> {
    let view = RecoveryView { codes: codes.reveal() };
    let mut response = pages::respond(StatusCode::OK, Page::RecoveryCodes, Frame::bare("Recovery codes"), view)?;
    if let Some(opened) = opened {
        add_cookie(&mut response, session::cookie(opened, dashboard.secure_cookies));
    }
    Ok(response)
}

/// What is wrong with a new password, in a sentence.
pub(crate) fn password_fault(fault: PasswordFault) -> String {
    match fault {
        PasswordFault::TooShort => format!("The password must have at least {PASSWORD_MIN_CHARS} characters."),
        PasswordFault::TooLong => format!("The password must have at most {PASSWORD_MAX_CHARS} characters."),
        PasswordFault::TooCommon => {
            "The password is easy to guess: it is little more than words that everybody tries, or your own name or \
             address."
                .to_owned()
        }
        PasswordFault::Unchanged => "Choose another password than the one you have.".to_owned(),
    }
}

fn proceed(dashboard: &Dashboard, opened: &Opened) -> HttpResponse {
    let mut response = see_other(place_of(opened.stage));
    add_cookie(&mut response, session::cookie(opened, dashboard.secure_cookies));
    response
}

fn place_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Enrol => ENROL_PATH,
        Stage::SecondFactor => TWO_FACTOR_PATH,
        Stage::Open => HOME_PATH,
    }
}

/// Sends somebody on who is at another step than `stage`.
fn not_at(session: &Session, stage: Stage) -> Option<HttpResponse> {
    (session.stage != stage).then(|| see_other(place_of(session.stage)))
}

fn link_refused() -> Result<HttpResponse, Failure> {
    let view = LinkRefusedView { link_hours: LINK_LIFE_MS / 3_600_000, link: link_form() };
    pages::respond(StatusCode::FORBIDDEN, Page::LinkRefused, Frame::bare("Link not valid"), view)
}

fn choose_password(status: StatusCode, user: &User, form: Form) -> Result<HttpResponse, Failure> {
    let view =
        ChoosePasswordView { name: user.name.clone(), role: user.role.kind().label(), again: user.has_password, form };
    pages::respond(status, Page::ChoosePassword, Frame::bare("Choose a password"), view)
}

fn sign_in_form() -> Form {
    Form::public("sign-in", SIGN_IN_PATH, "Sign in")
        .field(Field::email("email", "E-mail address").focus())
        .field(Field::password("password", "Password", "current-password"))
        .wide()
}

fn link_form() -> Form {
    Form::public("link", SIGN_IN_PATH, "Open the link")
        .get()
        .quiet()
        .wide()
        .field(Field::text("token", "Sign-in link").hint("The whole link, or only what stands behind token="))
}

fn password_form(token: &str, user: &User) -> Form {
    let email = match &user.email {
        Some(email) => Field::email("email", "E-mail address").value(email).fixed(),
        None => Field::email("email", "E-mail address").hint("You sign in with it from now on.").focus(),
    };
    Form::public("password", "/admin/sign-in/link", "Continue")
        .field(Field::hidden("token", token))
        .field(email)
        .field(Field::password("password", "New password", "new-password").hint(PASSWORD_HINT))
        .field(Field::password("password_again", "New password again", "new-password"))
        .wide()
}

fn code_form(csrf: &str) -> Form {
    let code = Field::code("code", "Code").hint("Six digits from your app, or one of your recovery codes.").focus();
    Form::public("two-factor", TWO_FACTOR_PATH, "Sign in").with_csrf(csrf.to_owned()).field(code).wide()
}

/// A secret in groups of four, as it is typed.
fn grouped(secret: &str) -> String {
    let groups: Vec<&str> = secret.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

/// The token in what was pasted: a whole link, or the token alone.
fn token_in(pasted: &str) -> &str {
    let pasted = pasted.trim();
    let token = pasted.split_once(TOKEN_PARAMETER).map_or(pasted, |(_, rest)| rest);
    token.split(['&', '#']).next().unwrap_or_default()
}

pub(crate) fn add_cookie(response: &mut HttpResponse, cookie: Cookie<'_>) {
    // Fails only for a value that a header cannot carry, and ours are plain ASCII.
    let _ = response.add_cookie(&cookie);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_whatever_was_pasted() {
        for pasted in [
            "abc-_9",
            "  abc-_9\n",
            "http://localhost:8080/admin/sign-in?token=abc-_9",
            "/admin/sign-in?token=abc-_9&x=1#top",
        ] {
            assert_eq!(token_in(pasted), "abc-_9", "{pasted:?}");
        }
        assert_eq!(token_in(""), "");
    }

    #[test]
    fn the_hint_says_what_the_rule_is() {
        assert!(PASSWORD_HINT.contains(&format!("{PASSWORD_MIN_CHARS} characters")));
        assert_eq!(grouped("ABCDEFGHIJ"), "ABCD EFGH IJ");
    }
}
