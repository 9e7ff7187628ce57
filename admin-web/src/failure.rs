//! What goes wrong becomes a page that says what to do next, and never what went wrong
//! inside: that goes to the log, once.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header::RETRY_AFTER},
};
use serde::Serialize;
use waystation_core::{
    access::AccessError,
    clock::Millis,
    error::{ApiError, ErrorKind},
    store::StoreError,
};

use crate::{
    ENROL_PATH, HOME_PATH, SIGN_IN_PATH, TWO_FACTOR_PATH,
    pages::{self, Frame, Page},
    see_other, text,
};

/// Why a request gets no page of its own.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No session is open: the person is sent to sign in.
    SignInNeeded,
    /// The password was right, and a second factor has to be set up.
    EnrolmentNeeded,
    /// The password was right, and the second factor has to be shown.
    SecondFactorNeeded,
    /// The person's role does not include it.
    NotAllowed,
    /// Too many failures; the next try is looked at after so many milliseconds.
    TooMany(Millis),
    /// The form did not come from a page of ours.
    NotOurForm,
    /// The form or the query cannot be read.
    BadRequest,
    /// There is no such page.
    NotFound,
    /// There is such a page, but not for this method.
    MethodNotAllowed,
    /// What was asked for stands against how things are.
    Refused(ApiError),
    /// Too much to do at once.
    Busy,
    /// The database does not answer.
    Store(StoreError),
    /// A kept secret cannot be used.
    Secret(AccessError),
    /// A page could not be rendered.
    Render(handlebars::RenderError),
}

#[derive(Serialize)]
struct View {
    status: u16,
    heading: &'static str,
    advice: String,
    action: &'static str,
    path: &'static str,
}

impl Failure {
    fn words(&self) -> (&'static str, Cow<'static, str>) {
        let (heading, advice) = match self {
            Self::TooMany(wait_ms) => {
                let wait = text::span(*wait_ms);
                let advice = format!(
                    "After several tries that did not match, the next one is looked at in {wait}. Trying earlier \
                     changes nothing. If you lost your password or your second factor, ask whoever manages your \
                     account for a new sign-in link."
                );
                return ("Too many tries", advice.into());
            }
            Self::Refused(error) => return (error.kind.row().title, error.details.clone().into()),
            Self::SignInNeeded => ("Sign in first", "This page needs an open session."),
            Self::EnrolmentNeeded | Self::SecondFactorNeeded => {
                ("One more step", "This page needs a session that showed its second factor.")
            }
            Self::NotAllowed => (
                "Not part of your role",
                "The page exists, but your role does not include it. Nothing was changed. Whoever manages your account \
                 can tell you who may.",
            ),
            Self::NotOurForm => (
                "Not sent from this dashboard",
                "The form was not sent from a page of this session, so nothing was changed. Open the page again and \
                 send it from there.",
            ),
            Self::BadRequest => (
                "The request cannot be read",
                "Something is missing from the form or the address, or it is too long. Nothing was changed.",
            ),
            Self::NotFound => {
                ("There is no such page", "The address may be mistyped, or what it showed is no longer there.")
            }
            Self::MethodNotAllowed => (
                "Not the way to use this page",
                "The address exists, but is not opened like this. Nothing was changed.",
            ),
            Self::Busy => (
                "Too many at once",
                "The server has more sign-ins to check than it can right now. Try again in a moment.",
            ),
            Self::Store(_) => (
                "The database does not answer",
                "The dashboard cannot show anything until it does. Nothing was changed. Try again in a moment; the \
                 reason is in the log of the server.",
            ),
            Self::Secret(_) => (
                "A kept secret cannot be opened",
                "It was sealed with a key that this server does not have. Nothing was changed. The reason is in the \
                 log of the server.",
            ),
            Self::Render(_) => {
                ("This page cannot be shown", "It is a fault of the program. The reason is in the log of the server.")
            }
        };
        (heading, advice.into())
    }

    fn log(&self) {
        match self {
            Self::Store(error) => tracing::error!(%error, "the dashboard could not use the database"),
            Self::Secret(error) => tracing::error!(%error, "the dashboard could not use a kept secret"),
            Self::Render(error) => tracing::error!(%error, "a page of the dashboard could not be rendered"),
            _ => {}
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().0)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignInNeeded | Self::EnrolmentNeeded | Self::SecondFactorNeeded => StatusCode::SEE_OTHER,
            Self::NotOurForm | Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(error) => StatusCode::from_u16(error.kind.row().status).unwrap_or(StatusCode::CONFLICT),
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Secret(_) | Self::Render(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::SignInNeeded => return see_other(SIGN_IN_PATH),
            Self::EnrolmentNeeded => return see_other(ENROL_PATH),
            Self::SecondFactorNeeded => return see_other(TWO_FACTOR_PATH),
            _ => {}
        }
        self.log();
        let status = self.status_code();
        let (heading, advice) = self.words();
        let (action, path) = match self {
            Self::Store(_) | Self::Busy => ("Try again", HOME_PATH),
            Self::TooMany(_) => ("Back to sign-in", SIGN_IN_PATH),
            _ => ("Back to the overview", HOME_PATH),
        };
        let view = View { status: status.as_u16(), heading, advice: advice.clone().into_owned(), action, path };
        let mut response = pages::respond(status, Page::Error, Frame::bare(heading), view)
            .unwrap_or_else(|_| HttpResponse::build(status).body(format!("{heading}. {advice}")));
        if let Self::TooMany(wait_ms) = self {
            let seconds = (wait_ms + 999) / 1_000;
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error.kind {
            ErrorKind::NotFound => Self::NotFound,
            _ => Self::Refused(error),
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => Self::Store(error),
            AccessError::TooMany { wait_ms } => Self::TooMany(wait_ms),
            AccessError::Busy => Self::Busy,
            AccessError::NotFound => Self::NotFound,
            AccessError::RoleNotAllowed => Self::NotAllowed,
            AccessError::Vault(_) | AccessError::Unreadable => Self::Secret(error),
            AccessError::LinkRefused
            | AccessError::Refused
            | AccessError::Password(_)
            | AccessError::EmailInvalid
            | AccessError::EmailTaken
            | AccessError::NameInvalid
            | AccessError::LastOwner => Self::BadRequest,
        }
    }
}

impl From<handlebars::RenderError> for Failure {
    fn from(error: handlebars::RenderError) -> Self {
        Self::Render(error)
    }
}

impl actix_web::Responder for Failure {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
