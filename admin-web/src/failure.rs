//! What goes wrong becomes a page that says what to do next, and never what went wrong
//! inside: that goes to the log, once.

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde::Serialize;
use waystation_core::store::StoreError;

use crate::{
    HOME_PATH, SIGN_IN_PATH,
    pages::{self, Frame, Page},
    see_other,
};

/// Why a request gets no page of its own.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No session is open: the person is sent to sign in.
    SignInNeeded,
    /// The form did not come from a page of ours.
    NotOurForm,
    /// The form or the query cannot be read.
    BadRequest,
    /// There is no such page.
    NotFound,
    /// There is such a page, but not for this method.
    MethodNotAllowed,
    /// The browser guesses where a person will go; the answer would be wasted.
    Guess,
    /// The database does not answer.
    Store(StoreError),
    /// A page could not be rendered.
    Render(handlebars::RenderError),
}

#[derive(Serialize)]
struct View {
    status: u16,
    heading: &'static str,
    advice: &'static str,
    action: &'static str,
    path: &'static str,
}

impl Failure {
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::SignInNeeded => ("Sign in first", "This page needs an open session."),
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
            Self::Guess => ("Not opened ahead of time", "Open the link itself."),
            Self::Store(_) => (
                "The database does not answer",
                "The dashboard cannot show anything until it does. Nothing was changed. Try again in a moment; the \
                 reason is in the log of the server.",
            ),
            Self::Render(_) => {
                ("This page cannot be shown", "It is a fault of the program. The reason is in the log of the server.")
            }
        }
    }

    fn log(&self) {
        match self {
            Self::Store(error) => tracing::error!(%error, "the dashboard could not use the database"),
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
            Self::SignInNeeded => StatusCode::SEE_OTHER,
            Self::NotOurForm => StatusCode::FORBIDDEN,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Guess | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Render(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        if matches!(self, Self::SignInNeeded) {
            return see_other(SIGN_IN_PATH);
        }
        self.log();
        let status = self.status_code();
        let (heading, advice) = self.words();
        let action = if matches!(self, Self::Store(_)) { "Try again" } else { "Back to the overview" };
        let view = View { status: status.as_u16(), heading, advice, action, path: HOME_PATH };
        pages::respond(status, Page::Error, Frame::bare(heading), view)
            .unwrap_or_else(|_| HttpResponse::build(status).body(format!("{heading}. {advice}")))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
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
