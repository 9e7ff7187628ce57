//! A notice survives exactly one redirect: it says on the next page what the last form
//! did.
//!
//! It travels in a cookie as one of a fixed set of codes, so that nobody can put words
//! of their own on a page of ours by setting it.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
};
use serde::Serialize;

const COOKIE: &str = "waystation_notice";
/// How long a notice waits for the next page, in seconds.
const LIFE_SECONDS: i64 = 60;

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The session is over.
    SignedOut,
}

/// A notice as the template `flash` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Flash {
    tone: &'static str,
    text: &'static str,
}

impl Notice {
    const ALL: [Self; 1] = [Self::SignedOut];

    fn code(self) -> &'static str {
        match self {
            Self::SignedOut => "signed-out",
        }
    }

    /// The notice that waits for this request.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        let cookie = request.cookie(COOKIE)?;
        Self::ALL.into_iter().find(|notice| notice.code() == cookie.value())
    }

    /// In words.
    pub(crate) fn flash(self) -> Flash {
        match self {
            Self::SignedOut => Flash { tone: "ok", text: "You are signed out." },
        }
    }

    /// What carries it to the next page.
    pub(crate) fn cookie(self, secure: bool) -> Cookie<'static> {
        Cookie::build(COOKIE, self.code())
            .path("/admin")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(secure)
            .max_age(Duration::seconds(LIFE_SECONDS))
            .finish()
    }

    /// What takes the cookie away once the notice was shown.
    pub(crate) fn shown() -> Cookie<'static> {
        let mut cookie = Cookie::build(COOKIE, "").path("/admin").finish();
        cookie.make_removal();
        cookie
    }
}
