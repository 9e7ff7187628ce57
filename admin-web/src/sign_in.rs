//! The way in and out: a link opens one session and is used up, and signing out ends
//! the session in the database, not only in the browser.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use waystation_core::{
    access::{self, LINK_LIFE_MS},
    clock::now_ms,
};

use crate::{
    Dashboard, HOME_PATH, SIGN_IN_PATH,
    failure::Failure,
    notice::Notice,
    pages::{self, Frame, Page},
    see_other,
    session::{self, NoFields, SignedIn, Submitted},
};

/// What stands between a pasted link and its token.
const TOKEN_PARAMETER: &str = "token=";

/// A link, or the token out of one.
#[derive(Deserialize)]
pub(crate) struct Entry {
    token: Option<String>,
}

#[derive(Serialize)]
struct View {
    refused: bool,
    link_hours: i64,
}

impl View {
    fn new(refused: bool) -> Self {
        Self { refused, link_hours: LINK_LIFE_MS / 3_600_000 }
    }
}

/// The sign-in page; with a token in the address, what the link leads to.
pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    entry: web::Query<Entry>,
    signed_in: Result<SignedIn, Failure>,
) -> Result<HttpResponse, Failure> {
    if let Some(token) = &entry.token {
        return open(&request, &dashboard, token).await;
    }
    match signed_in {
        Ok(_) => Ok(see_other(HOME_PATH)),
        Err(Failure::SignInNeeded) => {
            let frame = Frame::bare("Sign in").with_notice_of(&request);
            pages::respond(StatusCode::OK, Page::SignIn, frame, View::new(false))
        }
        Err(failure) => Err(failure),
    }
}

/// A link that was pasted into the form.
pub(crate) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    entry: web::Form<Entry>,
) -> Result<HttpResponse, Failure> {
    if !session::is_from_here(&request) {
        return Err(Failure::NotOurForm);
    }
    open(&request, &dashboard, token_in(entry.token.as_deref().unwrap_or_default())).await
}

/// The end of a session.
pub(crate) async fn end(
    dashboard: web::Data<Dashboard>,
    Submitted { by, fields: NoFields {} }: Submitted<NoFields>,
) -> Result<HttpResponse, Failure> {
    access::end_session(&dashboard.store, by.token()).await?;
    let mut response = see_other(SIGN_IN_PATH);
    add_cookies(&mut response, [session::no_cookie(), Notice::SignedOut.cookie(dashboard.secure_cookies)]);
    Ok(response)
}

async fn open(request: &HttpRequest, dashboard: &Dashboard, token: &str) -> Result<HttpResponse, Failure> {
    if is_guess(request) {
        return Err(Failure::Guess);
    }
    let Some(opened) = access::open_session(&dashboard.store, token, now_ms()).await? else {
        return pages::respond(StatusCode::FORBIDDEN, Page::SignIn, Frame::bare("Sign in"), View::new(true));
    };
    if let Some(before) = session::token_of(request) {
        access::end_session(&dashboard.store, &before).await?;
    }
    let mut response = see_other(HOME_PATH);
    add_cookies(&mut response, [session::cookie(&opened, dashboard.secure_cookies)]);
    Ok(response)
}

/// Whether the browser loads the page before anyone asked for it: that must not use a
/// link up.
fn is_guess(request: &HttpRequest) -> bool {
    let purpose = request.headers().get("sec-purpose").and_then(|value| value.to_str().ok());
    purpose.is_some_and(|purpose| purpose.contains("prefetch"))
}

/// The token in what was pasted: a whole link, or the token alone.
fn token_in(pasted: &str) -> &str {
    let pasted = pasted.trim();
    let token = pasted.split_once(TOKEN_PARAMETER).map_or(pasted, |(_, rest)| rest);
    token.split(['&', '#']).next().unwrap_or_default()
}

fn add_cookies<const N: usize>(response: &mut HttpResponse, cookies: [actix_web::cookie::Cookie<'_>; N]) {
    for cookie in cookies {
        // Fails only for a value that a header cannot carry, and ours are plain ASCII.
        let _ = response.add_cookie(&cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::token_in;

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
}
