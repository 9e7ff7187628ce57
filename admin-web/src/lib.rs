//! The dashboard: nothing but the way in is shown without an open session, every room asks
//! for the permission that [`rooms`] says, and no page asks another host for anything.
//!
//! Pages are rendered on the server from templates that are part of the binary and
//! work without JavaScript: what a person sees is what was true when they asked, and there
//! is no second program to keep in step with this one. The content security policy allows
//! one script, by its hash, which adds comfort and nothing else. Handlers translate: they
//! ask [`waystation_core`] and lay out its answer.

#![forbid(unsafe_code)]

mod account;
mod assets;
mod audit;
mod bubble;
mod businesses;
mod cases;
mod credentials;
mod difference;
mod failure;
mod forms;
mod headers;
mod history;
mod home;
mod notice;
mod onboarding;
mod pages;
mod resellers;
mod session;
mod sign_in;
mod template_editor;
mod template_review;
mod templates;
#[cfg(test)]
mod tests;
mod text;
mod upload;
mod users;
mod verification;

use std::sync::Arc;

use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder, Route,
    body::BoxBody,
    dev::ServiceRequest,
    guard,
    http::header::LOCATION,
    middleware::{Next, from_fn},
    web::{self, FormConfig, PayloadConfig, QueryConfig},
};
use waystation_core::{
    abuse::Abuse,
    access::{Access, Permission},
    credentials::Credentials,
    onboarding::Onboarding,
    store::Store,
    templates::Templates,
    tenancy::Registry,
};

use failure::Failure;

/// Where the dashboard lives.
const HOME_PATH: &str = "/admin/";
/// Where a person without a session is sent.
const SIGN_IN_PATH: &str = "/admin/sign-in";
/// Where a person is sent who has to set up a second factor.
const ENROL_PATH: &str = "/admin/sign-in/enrol";
/// Where a person is sent who has to show their second factor.
const TWO_FACTOR_PATH: &str = "/admin/sign-in/two-factor";
/// Largest form that is read, in bytes.
const FORM_LIMIT_BYTES: usize = 64 * 1024;

/// What the dashboard works with.
#[derive(Clone)]
pub struct Dashboard {
    /// The database it shows.
    pub store: Store,
    /// The way in.
    pub access: Access,
    /// The tree.
    pub registry: Registry,
    /// What issues credentials.
    pub credentials: Credentials,
    /// The cases of suspected abuse.
    pub abuse: Abuse,
    /// Takes businesses in.
    pub onboarding: Onboarding,
    /// Templates and their review.
    pub templates: Templates,
    /// The address under which browsers reach the server, without a slash at its end.
    pub base_url: String,
    /// The version of the program, for people.
    pub version: &'static str,
    /// The loaded adapters as they are now; asked on every visit of a page that shows
    /// them, so it must answer from memory.
    pub adapters: Arc<dyn Fn() -> Vec<AdapterCard> + Send + Sync>,
    /// Whether browsers may send the session over HTTPS only. True wherever the
    /// dashboard is not reached as plain `http://localhost`.
    pub secure_cookies: bool,
}

/// A loaded adapter, as the dashboard shows it.
#[derive(Debug, Clone)]
pub struct AdapterCard {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The channel that it serves.
    pub channel: String,
    /// `ready`, or why it is not.
    pub health: String,
}

/// The rooms for the credentials of whoever is at `$of`.
macro_rules! credential_rooms {
    ($of:literal) => {
        [
            room(concat!($of, "/credentials"), Permission::ManageCredentials).get(credentials::list),
            room(concat!($of, "/credentials/keys/new"), Permission::ManageCredentials)
                .get(credentials::ask_key)
                .post(credentials::issue_key),
            room(concat!($of, "/credentials/keys/{key}"), Permission::ManageCredentials).get(credentials::show_key),
            room(concat!($of, "/credentials/keys/{key}/rotate"), Permission::ManageCredentials)
                .post(credentials::rotate_key),
            room(concat!($of, "/credentials/keys/{key}/revoke"), Permission::ManageCredentials)
                .post(credentials::revoke_key),
            room(concat!($of, "/credentials/clients/new"), Permission::ManageCredentials)
                .get(credentials::ask_client)
                .post(credentials::issue_client),
            room(concat!($of, "/credentials/clients/{client}"), Permission::ManageCredentials)
                .get(credentials::show_client),
            room(concat!($of, "/credentials/clients/{client}/rotate"), Permission::ManageCredentials)
                .post(credentials::rotate_client),
            room(concat!($of, "/credentials/clients/{client}/revoke"), Permission::ManageCredentials)
                .post(credentials::revoke_client),
        ]
    };
}

/// Every room that needs a session, with what it needs.
fn rooms() -> Vec<Room> {
    use Permission::{
        ManageBusinesses, ManageCredentials, ManageResellers, ManageTemplates, ManageUsers, Onboard, OwnAccount,
        ReviewTemplates, SeeAudit, SeeBusinesses, SeeDocuments, Verify,
    };
    let mut rooms = vec![
        room("/", OwnAccount).get(home::show),
        room("/sign-out", OwnAccount).post(sign_in::end),
        room("/account", OwnAccount).get(account::show),
        room("/account/password", OwnAccount).post(account::change_password),
        room("/account/two-factor", OwnAccount).get(account::ask_two_factor).post(account::begin_two_factor),
        room("/account/two-factor/new", OwnAccount).get(account::show_two_factor).post(account::finish_two_factor),
        room("/account/recovery-codes", OwnAccount).post(account::renew_recovery_codes),
        room("/account/sessions/end", OwnAccount).post(account::end_other_sessions),
        room("/account/sessions/{session}/end", OwnAccount).post(account::end_session),
        room("/users", ManageUsers).get(users::list),
        room("/users/new", ManageUsers).get(users::ask).post(users::invite),
        room("/users/{user}", ManageUsers).get(users::show),
        room("/users/{user}/link", ManageUsers).post(users::issue_link),
        room("/users/{user}/sign-out", ManageUsers).post(users::sign_out),
        room("/users/{user}/remove", ManageUsers).post(users::remove),
        room("/resellers", ManageResellers).get(resellers::list),
        room("/resellers/new", ManageResellers).get(resellers::ask).post(resellers::add),
        room("/resellers/{reseller}", ManageResellers).get(resellers::show),
        room("/resellers/{reseller}/suspend", ManageResellers).post(resellers::suspend),
        room("/resellers/{reseller}/resume", ManageResellers).post(resellers::resume),
        room("/resellers/{reseller}/limits", ManageResellers).post(resellers::set_limits),
        room("/businesses", SeeBusinesses).get(businesses::list),
        room("/businesses/new", ManageBusinesses).get(businesses::ask).post(businesses::add),
        room("/businesses/{business}", SeeBusinesses).get(businesses::show),
        room("/businesses/{business}/limits", ManageBusinesses).post(businesses::set_limits),
        room("/businesses/{business}/endpoints", ManageCredentials).post(businesses::add_endpoint),
        room("/businesses/{business}/endpoints/{endpoint}/remove", ManageCredentials).post(businesses::remove_endpoint),
        room("/businesses/{business}/senders/{sender}", SeeBusinesses).get(businesses::show_sender),
        room("/businesses/{business}/senders/{sender}/pause", ManageBusinesses).post(businesses::pause_sender),
        room("/businesses/{business}/senders/{sender}/resume", ManageBusinesses).post(businesses::resume_sender),
        room("/businesses/{business}/credentials/signing-secrets/rotate", ManageCredentials)
            .post(credentials::rotate_signing),
        room("/businesses/{business}/onboarding", Onboard).get(onboarding::resume),
        room("/businesses/{business}/onboarding/profile", Onboard)
            .get(onboarding::show_profile)
            .post(onboarding::save_profile),
        room("/businesses/{business}/onboarding/documents", Onboard)
            .get(onboarding::show_documents)
            .post(onboarding::add_document),
        room("/businesses/{business}/onboarding/documents/{document}/remove", Onboard)
            .post(onboarding::remove_document),
        room("/businesses/{business}/onboarding/number", Onboard)
            .get(onboarding::show_number)
            .post(onboarding::add_number),
        room("/businesses/{business}/onboarding/number/{sender}/code", Onboard).post(onboarding::send_code),
        room("/businesses/{business}/onboarding/number/{sender}/verify", Onboard).post(onboarding::confirm_code),
        room("/businesses/{business}/onboarding/number/{sender}/phone", Onboard).get(onboarding::show_phone),
        room("/businesses/{business}/onboarding/review", Onboard).get(onboarding::show_review),
        room("/businesses/{business}/onboarding/submit", Onboard).post(onboarding::submit),
        room("/businesses/{business}/onboarding/give-up", Onboard).post(onboarding::give_up),
        room("/businesses/{business}/templates", ManageTemplates).get(templates::list),
        room("/businesses/{business}/templates/new", ManageTemplates).get(templates::ask).post(templates::add),
        room("/businesses/{business}/templates/preview", ManageTemplates).post(templates::preview_new),
        room("/businesses/{business}/templates/{template}", ManageTemplates).get(templates::show),
        room("/businesses/{business}/templates/{template}/edit", ManageTemplates)
            .get(templates::ask_change)
            .post(templates::change),
        room("/businesses/{business}/templates/{template}/preview", ManageTemplates).post(templates::preview_change),
        room("/businesses/{business}/templates/{template}/step", ManageTemplates).post(templates::step),
        room("/templates", ReviewTemplates).get(template_review::queue),
        room("/templates/{template}", ReviewTemplates).get(template_review::show),
        room("/templates/{template}/decide", ReviewTemplates).post(template_review::decide),
        room("/verification", Verify).get(verification::queue),
        room("/verification/{business}", Verify).get(verification::show),
        room("/verification/{business}/decide", Verify).post(verification::decide),
        room("/verification/{business}/documents/{document}", SeeDocuments).get(verification::show_document),
        room("/cases", Verify).get(cases::list),
        room("/cases/{case}", Verify).get(cases::show),
        room("/cases/{case}/decision", Verify).post(cases::decide),
        room("/audit", SeeAudit).get(audit::show),
    ];
    rooms.extend(credential_rooms!("/businesses/{business}"));
    rooms.extend(credential_rooms!("/resellers/{reseller}"));
    rooms
}

/// Registers everything under `/admin`, and what leads there.
pub fn configure(dashboard: Dashboard) -> impl FnOnce(&mut web::ServiceConfig) {
    move |services| {
        let mut admin = web::scope("/admin")
            .app_data(web::Data::new(dashboard))
            .app_data(PayloadConfig::new(FORM_LIMIT_BYTES))
            .app_data(FormConfig::default().limit(FORM_LIMIT_BYTES).error_handler(|_, _| Failure::BadRequest.into()))
            .app_data(QueryConfig::default().error_handler(|_, _| Failure::BadRequest.into()))
            .app_data(web::PathConfig::default().error_handler(|_, _| Failure::NotFound.into()))
            .service(page("").route(read().to(async || see_other(HOME_PATH))))
            .service(page("/sign-in").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::submit)))
            .service(page("/sign-in/link").route(web::post().to(sign_in::use_link)))
            .service(
                page("/sign-in/two-factor")
                    .route(read().to(sign_in::ask_code))
                    .route(web::post().to(sign_in::check_code)),
            )
            .service(
                page("/sign-in/enrol").route(read().to(sign_in::show_secret)).route(web::post().to(sign_in::enrol)),
            )
            .service(page(assets::ROUTE).route(read().to(assets::serve)));
        for room in rooms() {
            admin = admin.service(room.resource);
        }
        let admin = admin.default_service(web::to(async || Failure::NotFound)).wrap(from_fn(headers::secure));
        services
            .service(page("/").wrap(from_fn(headers::secure)).route(read().to(async || see_other(HOME_PATH))))
            // Where browsers look for an icon when a page, such as one of the documentation, names none.
            .service(
                page("/favicon.ico")
                    .wrap(from_fn(headers::secure))
                    .route(read().to(async || see_other(&assets::icon_path()))),
            )
            .service(admin);
    }
}

/// A page or an action of the dashboard.
struct Room {
    #[cfg_attr(not(test), allow(dead_code, reason = "for the test that walks the rooms"))]
    path: &'static str,
    permission: Permission,
    resource: Resource,
    #[cfg_attr(not(test), allow(dead_code, reason = "for the test that walks the rooms"))]
    methods: Vec<&'static str>,
}

fn room(path: &'static str, permission: Permission) -> Room {
    Room { path, permission, resource: page(path), methods: Vec::new() }
}

impl Room {
    fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("GET");
        self.resource = self.resource.route(gated(self.permission, read().to(handler)));
        self
    }

    fn post<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push("POST");
        self.resource = self.resource.route(gated(self.permission, web::post().to(handler)));
        self
    }
}

/// A route that only those come to who may do what `permission` says.
fn gated(permission: Permission, route: Route) -> Route {
    route.wrap(from_fn(move |request: ServiceRequest, next: Next<BoxBody>| session::gate(permission, request, next)))
}

/// A resource that answers other methods than its own with a page.
fn page(path: &str) -> Resource {
    web::resource(path).default_service(web::to(async || Failure::MethodNotAllowed))
}

/// A route for reading: GET, and HEAD, of which the server drops the body.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Sends the browser on with a GET, whatever it came with.
fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, path)).finish()
}
