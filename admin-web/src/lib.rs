//! The dashboard for the staff of an installation: nothing but the sign-in page is
//! shown without an open session, and no page asks another host for anything.
//!
//! Pages are rendered on the server from templates that are part of the binary and
//! work without JavaScript: what a person sees is what was true when they asked,
//! there is no second program to keep in step with this one, and the content security
//! policy can forbid every script. Handlers translate: they ask [`waystation_core`]
//! and lay out its answer.

#![forbid(unsafe_code)]

mod assets;
mod failure;
mod headers;
mod home;
mod notice;
mod pages;
mod session;
mod sign_in;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use actix_web::{
    HttpResponse, Resource, Route, guard,
    http::header::LOCATION,
    middleware::from_fn,
    web::{self, FormConfig, PayloadConfig, QueryConfig},
};
use waystation_core::store::Store;

use failure::Failure;

/// Where the dashboard lives.
const HOME_PATH: &str = "/admin/";
/// Where a person without a session is sent.
const SIGN_IN_PATH: &str = "/admin/sign-in";
/// Largest form that is read, in bytes.
const FORM_LIMIT_BYTES: usize = 64 * 1024;

/// What the dashboard works with.
#[derive(Clone)]
pub struct Dashboard {
    /// The database it shows.
    pub store: Store,
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

/// Registers everything under `/admin`, and `/`, which leads there.
pub fn configure(dashboard: Dashboard) -> impl FnOnce(&mut web::ServiceConfig) {
    move |services| {
        services
            .service(page("/").wrap(from_fn(headers::secure)).route(read().to(async || see_other(HOME_PATH))))
            .service(
                web::scope("/admin")
                    .app_data(web::Data::new(dashboard))
                    .app_data(PayloadConfig::new(FORM_LIMIT_BYTES))
                    .app_data(
                        FormConfig::default().limit(FORM_LIMIT_BYTES).error_handler(|_, _| Failure::BadRequest.into()),
                    )
                    .app_data(QueryConfig::default().error_handler(|_, _| Failure::BadRequest.into()))
                    .wrap(from_fn(headers::secure))
                    .service(page("").route(read().to(async || see_other(HOME_PATH))))
                    .service(page("/").route(read().to(home::show)))
                    .service(
                        page("/sign-in").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::submit)),
                    )
                    .service(page("/sign-out").route(web::post().to(sign_in::end)))
                    .service(page(assets::ROUTE).route(read().to(assets::serve)))
                    .default_service(web::to(async || Failure::NotFound)),
            );
    }
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
