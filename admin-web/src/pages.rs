//! Turns a view into a page: every value is escaped, and a value that a template asks
//! for and the view lacks is an error instead of a hole in the page.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::ContentType},
};
use handlebars::{Handlebars, RenderError};
use serde::Serialize;
use waystation_core::access::{Permission, Role, User};

use crate::{
    Dashboard, assets,
    failure::Failure,
    forms::Form,
    notice::{Flash, Notice},
    session::SignedIn,
};

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../templates/", $name, ".hbs")))),+]
    };
}

macro_rules! pages {
    ($($page:ident => $name:literal,)+) => {
        /// The templates that are whole pages.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Page {
            $($page,)+
        }

        impl Page {
            fn template(self) -> &'static str {
                match self {
                    $(Self::$page => $name,)+
                }
            }
        }

        const PAGES: &[(&str, &str)] = templates![$($name),+];
    };
}

/// Frames, parts and icons.
const PARTS: &[(&str, &str)] = templates![
    "document",
    "shell",
    "action",
    "bare",
    "badge",
    "bar",
    "bubble",
    "brand",
    "business-head",
    "day",
    "credential-rows",
    "empty",
    "error-summary",
    "fact",
    "field",
    "field-choices",
    "field-state",
    "flash",
    "form",
    "icon-book",
    "icon-building",
    "icon-check",
    "icon-flag",
    "icon-key",
    "icon-list",
    "icon-menu",
    "icon-note",
    "icon-overview",
    "icon-phone",
    "icon-refresh",
    "icon-sign-out",
    "icon-tick",
    "icon-tree",
    "icon-user",
    "icon-users",
    "nav-item",
    "pages-nav",
    "panel",
    "preview",
    "profile-facts",
    "secret",
    "spans",
    "time",
    "timeline",
    "wizard",
];

pages! {
    Account => "account",
    Audit => "audit",
    Business => "business",
    Businesses => "businesses",
    Case => "case",
    Cases => "cases",
    Credential => "credential",
    Credentials => "credentials",
    ChoosePassword => "choose-password",
    Enrol => "enrol",
    Error => "error",
    Form => "form-page",
    LinkRefused => "link-refused",
    OnboardingDocuments => "onboarding-documents",
    OnboardingNumber => "onboarding-number",
    OnboardingProfile => "onboarding-profile",
    OnboardingReview => "onboarding-review",
    Overview => "overview",
    Phone => "phone",
    Queue => "queue",
    RecoveryCodes => "recovery-codes",
    Reseller => "reseller",
    Resellers => "resellers",
    Sender => "sender",
    Secret => "secret-page",
    SignIn => "sign-in",
    Template => "template",
    TemplateEditor => "template-editor",
    TemplateQueue => "template-queue",
    TemplateReview => "template-review",
    Templates => "templates",
    TwoFactor => "two-factor",
    User => "user",
    Users => "users",
    Verification => "verification",
}

/// Every template by its name.
pub(crate) fn templates() -> impl Iterator<Item = (&'static str, &'static str)> {
    PARTS.iter().chain(PAGES).copied()
}

#[expect(clippy::expect_used, reason = "a template that does not compile is found by the first test that renders")]
static RENDERER: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut renderer = Handlebars::new();
    renderer.set_strict_mode(true);
    renderer.set_prevent_indent(true);
    for (name, source) in templates() {
        renderer.register_template_string(name, source).expect("the embedded templates compile");
    }
    renderer
});

/// What surrounds the content of a page.
#[derive(Debug, Serialize)]
pub(crate) struct Frame {
    title: String,
    style: String,
    script: String,
    script_hash: String,
    icon: String,
    notice: Option<Flash>,
    person: Option<Person>,
}

/// What a page shows of the person who is signed in, and of the installation to them.
#[derive(Debug, Serialize)]
struct Person {
    name: String,
    role: &'static str,
    csrf: String,
    places: Vec<Entry>,
    at_account: bool,
    version: &'static str,
    database: &'static str,
}

/// Where a page is in the dashboard: an entry of its navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// How things stand.
    Overview,
    /// Verification of businesses.
    Verification,
    /// Templates that wait for a reviewer.
    TemplateReview,
    /// Cases of suspected abuse.
    Cases,
    /// Businesses, and what is about one of them.
    Business(Tab),
    /// Resellers.
    Resellers,
    /// A reseller's own credentials.
    PartnerKeys,
    /// Users.
    Users,
    /// The audit log.
    Audit,
    /// The own account, which is not among the entries.
    Account,
}

/// A page of a business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    /// Of no business in particular.
    List,
    /// How it stands.
    Summary,
    /// Its way to being verified.
    Onboarding,
    /// Its templates.
    Templates,
    /// Its keys, clients and signing secrets.
    Credentials,
    /// What a reviewer looks at.
    Verification,
}

impl Tab {
    /// The pages of the business at `path` that `user` may open, with address and name.
    pub(crate) fn of(path: &str, user: &User) -> Vec<(Self, String, &'static str)> {
        let mut tabs = vec![(Self::Summary, path.to_owned(), "Summary")];
        if user.may(Permission::Onboard) {
            tabs.push((Self::Onboarding, format!("{path}/onboarding"), "Onboarding"));
        }
        if user.may(Permission::ManageTemplates) {
            tabs.push((Self::Templates, format!("{path}/templates"), "Templates"));
        }
        if user.may(Permission::ManageCredentials) {
            tabs.push((Self::Credentials, format!("{path}/credentials"), "Credentials"));
        }
        if user.may(Permission::Verify) {
            tabs.push((Self::Verification, path.replace("/businesses/", "/verification/"), "Verification"));
        }
        tabs
    }
}

/// An entry of the navigation.
#[derive(Debug, Serialize)]
struct Entry {
    href: String,
    icon: &'static str,
    label: &'static str,
    here: bool,
}

/// The navigation of `user`, who is at `place`.
fn entries(user: &User, place: Place) -> Vec<Entry> {
    use Permission::{ManageResellers, ManageUsers, ReviewTemplates, SeeAudit, SeeBusinesses, SeePlatform, Verify};

    // A page of a business is among the businesses, and one to verify it among those.
    let (of_list, of_queue) = match place {
        Place::Business(Tab::Verification) => (Place::Business(Tab::List), place),
        Place::Business(_) => (place, Place::Verification),
        _ => (Place::Business(Tab::List), Place::Verification),
    };
    let mut entries = Vec::new();
    let mut add = |of: Place, href: String, icon, label| entries.push(Entry { href, icon, label, here: of == place });
    if let Role::BusinessOwner(business) = &user.role {
        let icons = ["icon-building", "icon-check", "icon-note", "icon-key"];
        let tabs = Tab::of(&format!("/admin/businesses/{business}"), user);
        for ((tab, href, label), icon) in tabs.into_iter().zip(icons) {
            add(Place::Business(tab), href, icon, if tab == Tab::Summary { "Your business" } else { label });
        }
    } else {
        for (of, permission, href, icon, label) in [
            (Place::Overview, SeePlatform, "/admin/", "icon-overview", "Overview"),
            (of_queue, Verify, "/admin/verification", "icon-check", "Verification"),
            (Place::TemplateReview, ReviewTemplates, "/admin/templates", "icon-note", "Templates"),
            (Place::Cases, Verify, "/admin/cases", "icon-flag", "Cases"),
            (of_list, SeeBusinesses, "/admin/businesses", "icon-building", "Businesses"),
            (Place::Resellers, ManageResellers, "/admin/resellers", "icon-tree", "Resellers"),
        ] {
            if user.may(permission) {
                add(of, href.to_owned(), icon, label);
            }
        }
        if let Role::ResellerAdmin(reseller) = &user.role {
            add(Place::PartnerKeys, format!("/admin/resellers/{reseller}/credentials"), "icon-key", "Partner keys");
        }
    }
    for (of, permission, href, icon, label) in [
        (Place::Users, ManageUsers, "/admin/users", "icon-users", "Users"),
        (Place::Audit, SeeAudit, "/admin/audit", "icon-list", "Audit log"),
    ] {
        if user.may(permission) {
            add(of, href.to_owned(), icon, label);
        }
    }
    entries
}

impl Frame {
    /// For pages that anyone may see: they tell nothing about the installation.
    pub(crate) fn bare(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            style: assets::style_path(),
            script: assets::script_path(),
            script_hash: assets::script_hash(),
            icon: assets::icon_path(),
            notice: None,
            person: None,
        }
    }

    /// For pages of a session.
    pub(crate) fn of(title: impl Into<String>, place: Place, signed_in: &SignedIn, dashboard: &Dashboard) -> Self {
        let user = signed_in.user();
        let person = Person {
            name: user.name.clone(),
            role: user.role.kind().label(),
            csrf: signed_in.csrf(),
            places: entries(user, place),
            at_account: place == Place::Account,
            version: dashboard.version,
            database: dashboard.store.kind(),
        };
        Self { person: Some(person), ..Self::bare(title) }
    }

    /// With the notice, if any, that waits for this request.
    pub(crate) fn with_notice_of(mut self, request: &HttpRequest) -> Self {
        self.notice = Notice::of(request).map(Notice::flash);
        self
    }
}

/// A page that is one form.
#[derive(Serialize)]
pub(crate) struct FormPage {
    pub(crate) heading: String,
    pub(crate) lead: String,
    /// Where one came from, and its name.
    pub(crate) back: String,
    pub(crate) back_to: String,
    pub(crate) form: Form,
}

/// A page that shows a secret, this once.
#[derive(Serialize)]
pub(crate) struct SecretPage {
    pub(crate) heading: String,
    pub(crate) lead: String,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) note: String,
    /// Where to go on, and the name of it.
    pub(crate) back: String,
    pub(crate) back_to: String,
}

/// A secret with its name; `id` is unique on its page.
#[derive(Serialize)]
pub(crate) struct Secret {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
}

/// Something that can be done on a page, folded up until it is wanted.
#[derive(Serialize)]
pub(crate) struct Action {
    pub(crate) label: &'static str,
    pub(crate) lead: String,
    pub(crate) form: Form,
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
