//! Turns a view into a page: every value is escaped, and a value that a template asks
//! for and the view lacks is an error instead of a hole in the page.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
};
use handlebars::{Handlebars, RenderError};
use serde::Serialize;

use crate::{
    Dashboard, assets,
    failure::Failure,
    notice::{Flash, Notice},
    session::SignedIn,
};

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../templates/", $name, ".hbs")))),+]
    };
}

/// Every template by its name.
pub(crate) const TEMPLATES: [(&str, &str); 21] = templates![
    // Frames.
    "document",
    "shell",
    "bare",
    // Parts.
    "badge",
    "bar",
    "brand",
    "empty",
    "fact",
    "field",
    "flash",
    "nav-item",
    "panel",
    // Icons.
    "icon-book",
    "icon-list",
    "icon-menu",
    "icon-overview",
    "icon-refresh",
    "icon-sign-out",
    // Pages.
    "error",
    "overview",
    "sign-in",
];

#[expect(clippy::expect_used, reason = "a template that does not compile is found by the first test that renders")]
static RENDERER: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut renderer = Handlebars::new();
    renderer.set_strict_mode(true);
    renderer.set_prevent_indent(true);
    for (name, source) in TEMPLATES {
        renderer.register_template_string(name, source).expect("the embedded templates compile");
    }
    renderer
});

/// The templates that are whole pages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    Error,
    Overview,
    SignIn,
}

impl Page {
    fn template(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Overview => "overview",
            Self::SignIn => "sign-in",
        }
    }
}

/// What surrounds the content of a page.
#[derive(Debug, Serialize)]
pub(crate) struct Frame {
    title: String,
    style: String,
    icon: String,
    notice: Option<Flash>,
    staff: Option<Staff>,
}

/// What a page shows of the person who is signed in, and of the installation to them.
#[derive(Debug, Serialize)]
struct Staff {
    user: String,
    csrf: String,
    room: &'static str,
    version: &'static str,
    database: &'static str,
}

impl Frame {
    /// For pages that anyone may see: they tell nothing about the installation.
    pub(crate) fn bare(title: impl Into<String>) -> Self {
        Self { title: title.into(), style: assets::style_path(), icon: assets::icon_path(), notice: None, staff: None }
    }

    /// For pages of a session. `room` is the entry of the navigation they belong to.
    pub(crate) fn staff(
        title: impl Into<String>,
        room: &'static str,
        signed_in: &SignedIn,
        dashboard: &Dashboard,
    ) -> Self {
        let staff = Staff {
            user: signed_in.user().to_owned(),
            csrf: signed_in.csrf(),
            room,
            version: dashboard.version,
            database: dashboard.store.kind(),
        };
        Self { staff: Some(staff), ..Self::bare(title) }
    }

    /// With the notice, if any, that waits for this request.
    pub(crate) fn with_notice_of(mut self, request: &HttpRequest) -> Self {
        self.notice = Notice::of(request).map(Notice::flash);
        self
    }
}

#[derive(Serialize)]
struct Context<T> {
    frame: Frame,
    view: T,
}

/// The page as text.
pub(crate) fn render<T: Serialize>(page: Page, frame: Frame, view: T) -> Result<String, RenderError> {
    RENDERER.render(page.template(), &Context { frame, view })
}

/// The page as an answer.
pub(crate) fn respond<T: Serialize>(
    status: StatusCode,
    page: Page,
    frame: Frame,
    view: T,
) -> Result<HttpResponse, Failure> {
    let shown = frame.notice.is_some();
    let html = render(page, frame, view)?;
    let mut response = HttpResponse::build(status);
    response.insert_header(ContentType::html());
    if shown {
        response.cookie(Notice::shown());
    }
    Ok(response.body(html))
}
