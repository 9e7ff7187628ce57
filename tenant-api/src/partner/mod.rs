//! `/partner/v1`: what a reseller does with its own part of the tree. Whatever lies outside
//! of it is not found, by the core's own look-up.

mod businesses;
mod credentials;
mod insight;
mod onboarding;
mod senders;
mod webhooks;

use actix_web::{App, HttpResponse, dev::ServiceFactory};
use serde::Serialize;
use utoipa::{IntoParams, OpenApi as _, openapi::OpenApi};
use utoipa_actix_web::AppExt;

use crate::failure::{Failure, Problem};

/// What a handler answers.
type Answer = Result<HttpResponse, Failure>;

/// Registers the routes.
pub(crate) fn register<T>(app: App<T>) -> (App<T>, OpenApi)
where
    T: ServiceFactory<actix_web::dev::ServiceRequest, Config = (), Error = actix_web::Error, InitError = ()>,
{
    app.into_utoipa_app()
        .openapi(Document::openapi())
        .service(insight::get_reseller)
        .service(businesses::list_businesses)
        .service(businesses::create_business)
        .service(businesses::get_business)
        .service(businesses::set_policy)
        .service(onboarding::get_profile)
        .service(onboarding::change_profile)
        .service(onboarding::list_documents)
        .service(onboarding::upload_document)
        .service(onboarding::get_document)
        .service(onboarding::delete_document)
        .service(onboarding::get_verification)
        .service(onboarding::submit)
        .service(onboarding::close)
        .service(senders::list_senders)
        .service(senders::add_sender)
        .service(senders::get_sender)
        .service(senders::pause_sender)
        .service(senders::resume_sender)
        .service(senders::request_code)
        .service(senders::verify_code)
        .service(senders::register_number)
        .service(senders::list_phone_messages)
        .service(credentials::list_keys)
        .service(credentials::issue_key)
        .service(credentials::get_key)
        .service(credentials::rotate_key)
        .service(credentials::revoke_key)
        .service(credentials::list_clients)
        .service(credentials::issue_client)
        .service(credentials::get_client)
        .service(credentials::rotate_client)
        .service(credentials::revoke_client)
        .service(credentials::list_signing_secrets)
        .service(credentials::rotate_signing_secret)
        .service(credentials::list_own_keys)
        .service(credentials::issue_own_key)
        .service(credentials::get_own_key)
        .service(credentials::rotate_own_key)
        .service(credentials::revoke_own_key)
        .service(credentials::list_own_clients)
        .service(credentials::issue_own_client)
        .service(credentials::get_own_client)
        .service(credentials::rotate_own_client)
        .service(credentials::revoke_own_client)
        .service(webhooks::list_endpoints)
        .service(webhooks::add_endpoint)
        .service(webhooks::get_endpoint)
        .service(webhooks::remove_endpoint)
        .service(insight::list_usage)
        .service(insight::list_cases)
        .service(insight::list_audit_log)
        .split_for_parts()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Waystation partner API",
        description = "For resellers: create businesses and manage them. A reseller sees its own businesses and what \
                       belongs to them; everything else is not found.",
        license(name = "Apache-2.0"),
    ),
    tags(
        (name = "Reseller", description = "The reseller itself, and its own credentials."),
        (name = "Businesses", description = "Businesses and what they may use."),
        (name = "Verification", description = "What a business says of itself, what shows that it is true, and what a \
            reviewer of the platform decided."),
        (name = "Senders", description = "The phone numbers that businesses send from."),
        (name = "Credentials", description = "API keys, OAuth clients and signing secrets of businesses. What is secret \
            is shown once, by the request that creates it."),
        (name = "Webhooks", description = "Where businesses want to be told."),
        (name = "Insight", description = "Usage, cases of suspected abuse, and the audit log."),
        (name = "OAuth", description = "Access tokens for OAuth clients."),
    ),
    components(schemas(Problem)),
)]
struct Document;

/// A business in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InBusiness {
    /// The business.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
}

fn ok(body: impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

fn created(location: &str, body: impl Serialize) -> HttpResponse {
    HttpResponse::Created().insert_header(("location", location)).json(body)
}

fn nothing() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
