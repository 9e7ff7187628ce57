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
use waystation_core::onboarding::Action;

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
    /// A case was decided.
    CaseDecided,
    /// A key or client was revoked.
    CredentialRevoked,
    /// An endpoint was added.
    EndpointAdded,
    /// An endpoint was removed.
    EndpointRemoved,
    /// Limits were set.
    LimitsSet,
    /// What was typed is saved.
    Saved,
    /// A document was added.
    DocumentAdded,
    /// A document was removed.
    DocumentRemoved,
    /// A number was added.
    NumberAdded,
    /// A code is on its way.
    CodeSent,
    /// A code may be on its way.
    CodeUncertain,
    /// A number is confirmed.
    NumberConfirmed,
    /// A business was handed in.
    HandedIn,
    /// A review was started.
    ReviewStarted,
    /// A business was approved.
    Approved,
    /// A business was asked for changes.
    ChangesRequested,
    /// A business was rejected.
    Rejected,
    /// A business was suspended.
    Suspended,
    /// A business goes on.
    Resumed,
    /// A business was closed.
    Closed,
    /// A template was handed in.
    TemplateHandedIn,
    /// A template was taken back.
    TemplateWithdrawn,
    /// A template goes on.
    TemplateUnpaused,
    /// A template was put away.
    TemplateArchived,
    /// A template was approved.
    TemplateApproved,
    /// A template was sent back.
    TemplateSentBack,
    /// A template was rejected.
    TemplateRejected,
}

/// A notice as the template `flash` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Flash {
    tone: &'static str,
    text: &'static str,
}

impl Notice {
    const ALL: [(Self, &'static str, &'static str, &'static str); 39] = [
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
        (Self::CaseDecided, "case-decided", "ok", "The case is decided."),
        (Self::CredentialRevoked, "credential-revoked", "ok", "It is revoked, and refused from now on."),
        (Self::EndpointAdded, "endpoint-added", "ok", "The endpoint answered, and is told of everything from now on."),
        (Self::EndpointRemoved, "endpoint-removed", "ok", "The endpoint is removed."),
        (Self::LimitsSet, "limits-set", "ok", "The limits are set, and hold at once."),
        (Self::Saved, "saved", "ok", "Saved."),
        (Self::DocumentAdded, "document-added", "ok", "The document is added."),
        (Self::DocumentRemoved, "document-removed", "ok", "The document is removed."),
        (Self::NumberAdded, "number-added", "ok", "The number is added. Have a code sent to it next."),
        (Self::CodeSent, "code-sent", "ok", "A code is on its way."),
        (
            Self::CodeUncertain,
            "code-uncertain",
            "warn",
            "It is not known whether the code left. If none arrives within a minute, have another one sent.",
        ),
        (Self::NumberConfirmed, "number-confirmed", "ok", "The number is confirmed."),
        (Self::HandedIn, "handed-in", "ok", "The business is handed in. A reviewer looks at it next."),
        (Self::ReviewStarted, "review-started", "ok", "The review is started. Others see that it is being looked at."),
        (Self::Approved, "approved", "ok", "The business is approved, and may send from now on."),
        (Self::ChangesRequested, "changes-requested", "ok", "The business is asked for changes."),
        (Self::Rejected, "rejected", "ok", "The business is rejected."),
        (Self::Suspended, "suspended", "ok", "The business is suspended. Nothing goes out any more."),
        (Self::Resumed, "resumed", "ok", "The business goes on."),
        (Self::Closed, "closed", "ok", "The business is closed."),
        (Self::TemplateHandedIn, "template-in", "ok", "The template is handed in. A reviewer looks at it next."),
        (Self::TemplateWithdrawn, "template-back", "ok", "The template is taken back."),
        (Self::TemplateUnpaused, "template-on", "ok", "The template can be sent again."),
        (Self::TemplateArchived, "template-away", "ok", "The template is archived."),
        (Self::TemplateApproved, "template-approved", "ok", "The template is approved."),
        (Self::TemplateSentBack, "template-sent-back", "ok", "The business is asked to change the template."),
        (Self::TemplateRejected, "template-rejected", "ok", "The template is rejected."),
    ];

    fn row(self) -> (&'static str, &'static str, &'static str) {
        let row = Self::ALL.into_iter().find(|(notice, ..)| *notice == self);
        row.map_or(("", "", ""), |(_, code, tone, text)| (code, tone, text))
    }

    /// What a reviewer's step came to.
    pub(crate) fn of_step(step: Action) -> Self {
        match step {
            Action::Submit => Self::HandedIn,
            Action::StartReview => Self::ReviewStarted,
            Action::RequestChanges => Self::ChangesRequested,
            Action::Approve => Self::Approved,
            Action::Reject => Self::Rejected,
            Action::Suspend => Self::Suspended,
            Action::Resume => Self::Resumed,
            Action::Close => Self::Closed,
        }
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
