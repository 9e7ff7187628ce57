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
    /// The password is another one now.
    PasswordChanged,
    /// A session was ended.
    SessionEnded,
    /// All sessions but this one were ended.
    SessionsEnded,
    /// All sessions of a user were ended.
    UserSignedOut,
    /// A user was removed.
    UserRemoved,
    /// A user cannot be removed.
    LastOwner,
    /// A reseller was added.
    ResellerAdded,
    /// A reseller was suspended.
    ResellerSuspended,
    /// A reseller goes on.
    ResellerResumed,
    /// A sender was paused.
    SenderPaused,
    /// A sender goes on.
    SenderResumed,
    /// A key or client was revoked.
    CredentialRevoked,
}

/// A notice as the template `flash` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Flash {
    tone: &'static str,
    text: &'static str,
}

impl Notice {
    const ALL: [(Self, &'static str, &'static str, &'static str); 13] = [
        (Self::SignedOut, "signed-out", "ok", "You are signed out."),
        (Self::PasswordChanged, "password-changed", "ok", "The password is changed, and your other sessions are over."),
        (Self::SessionEnded, "session-ended", "ok", "The session is over."),
        (Self::SessionsEnded, "sessions-ended", "ok", "All your other sessions are over."),
        (Self::UserSignedOut, "user-signed-out", "ok", "All sessions of this user are over."),
        (Self::UserRemoved, "user-removed", "ok", "The user is removed."),
        (
            Self::LastOwner,
            "last-owner",
            "bad",
            "The last platform owner cannot be removed: nobody could manage the installation.",
        ),
        (Self::ResellerAdded, "reseller-added", "ok", "The reseller is added. Invite its admin next."),
        (Self::ResellerSuspended, "reseller-suspended", "ok", "The reseller is suspended, with all of its businesses."),
        (Self::ResellerResumed, "reseller-resumed", "ok", "The reseller goes on."),
        (Self::SenderPaused, "sender-paused", "ok", "The sender is paused."),
        (Self::SenderResumed, "sender-resumed", "ok", "The sender goes on."),
        (Self::CredentialRevoked, "credential-revoked", "ok", "It is revoked, and refused from now on."),
    ];

    fn row(self) -> (&'static str, &'static str, &'static str) {
        let row = Self::ALL.into_iter().find(|(notice, ..)| *notice == self);
        row.map_or(("", "", ""), |(_, code, tone, text)| (code, tone, text))
    }

    /// The notice that waits for this request.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        let cookie = request.cookie(COOKIE)?;
        Self::ALL.into_iter().find(|(_, code, ..)| *code == cookie.value()).map(|(notice, ..)| notice)
    }

    /// In words.
    pub(crate) fn flash(self) -> Flash {
        let (_, tone, text) = self.row();
        Flash { tone, text }
    }

    /// What carries it to the next page.
    pub(crate) fn cookie(self, secure: bool) -> Cookie<'static> {
        Cookie::build(COOKIE, self.row().0)
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
