//! The HTTP face of Waystation for tenants and resellers: the Cloud API's routes, `/v1`,
//! `/partner/v1`, `/oauth/token`, and their documentation.
//!
//! Handlers translate and decide nothing: they turn a request into a call of
//! [`waystation_core`] and its answer into the shape that the route's clients expect.
//! The OpenAPI documents are collected from the very calls that register the routes, so
//! a route without documentation, or documentation without a route, cannot be.

#![forbid(unsafe_code)]

mod account;
mod answers;
mod auth;
mod bodies;
mod callbacks;
mod cloud;
mod docs;
mod download;
mod failure;
mod health;
mod input;
mod links;
mod oauth;
mod partner;
mod platform;
mod request;
mod routes;
mod schema;
mod shared;
mod upload;

use std::sync::{Arc, LazyLock};

use actix_web::{App, dev::ServiceFactory, web};
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_actix_web::AppExt;
use waystation_core::{
    abuse::Abuse,
    contacts::Contacts,
    credentials::Credentials,
    delivery::Listener,
    inbound::Inbox,
    limits::Limiter,
    media::Media,
    messages::intake::Intake,
    onboarding::Onboarding,
    otp::OneTimePasswords,
    senders::Senders,
    store::Store,
    templates::Templates,
    tenancy::{Directory, Level, Registry},
};

use failure::{CloudErrorBody, Problem};
use routes::Routes;

pub use auth::Guard;
pub use health::health;
pub use request::{RequestId, TrustedProxies, identify, origin_of};

/// What the handlers work with.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Api {
    /// The way in for messages.
    pub intake: Intake,
    /// What sends and checks one-time passwords.
    pub one_time_passwords: OneTimePasswords,
    /// What was received.
    pub inbox: Inbox,
    /// Whom businesses write to.
    pub contacts: Contacts,
    /// For reading.
    pub store: Store,
    /// Who asks.
    pub directory: Directory,
    /// How often they may ask.
    pub limiter: Limiter,
    /// Makes those wait who try keys.
    pub guard: Arc<Guard>,
    /// The tree.
    pub registry: Registry,
    /// What issues credentials.
    pub credentials: Credentials,
    /// The cases of suspected abuse.
    pub abuse: Abuse,
    /// The networks' callbacks.
    pub listener: Listener,
    /// What takes businesses in.
    pub onboarding: Onboarding,
    /// Profiles and QR codes of senders.
    pub senders: Senders,
    /// The files.
    pub media: Media,
    /// Where this installation is reached, without a slash at the end: links begin with it.
    pub base_url: String,
    /// Templates and their review.
    pub templates: Templates,
    /// Largest request body, in bytes.
    pub body_limit_bytes: usize,
}

/// Where the OpenAPI document for tenants is served.
pub const TENANT_OPENAPI_PATH: &str = "/openapi/tenant.json";
/// Where the one for resellers is.
pub const PARTNER_OPENAPI_PATH: &str = "/openapi/partner.json";

/// Registers the routes and their documentation.
pub fn configure<T>(app: App<T>, api: Api) -> App<T>
where
    T: ServiceFactory<actix_web::dev::ServiceRequest, Config = (), Error = actix_web::Error, InitError = ()>,
{
    let (app, documents) = register(app.app_data(web::Data::new(api)));
    app.service(cloud::messages::without_version())
        .service(links::resource())
        .service(callbacks::route())
        .service(platform::media::linked())
        .configure(|services| docs::configure(services, &documents))
}

/// The answer to a request that no route takes, in the shape of the API it looks like.
pub async fn no_such_route(request: actix_web::HttpRequest) -> actix_web::HttpResponse {
    static ROUTES: LazyLock<Routes> = LazyLock::new(|| Routes::of(&openapi()));
    failure::no_such_route(&request, &ROUTES)
}

/// The OpenAPI documents.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "documents have none")]
pub struct Documents {
    /// For tenants.
    pub tenant: OpenApi,
    /// For resellers.
    pub partner: OpenApi,
}

/// The OpenAPI documents of all routes.
#[must_use]
pub fn openapi() -> Documents {
    register(App::new()).1
}

/// `document` as it is committed and served.
#[must_use]
pub fn openapi_text(document: &OpenApi) -> String {
    docs::text(document)
}

fn register<T>(app: App<T>) -> (App<T>, Documents)
where
    T: ServiceFactory<actix_web::dev::ServiceRequest, Config = (), Error = actix_web::Error, InitError = ()>,
{
    // Those that are asked most often come first.
    let (app, mut tenant) = app
        .into_utoipa_app()
        .openapi(Document::openapi())
        .service(cloud::messages::send_message)
        .service(platform::messages::send_message)
        .service(platform::messages::send_messages)
        .service(platform::messages::list_messages)
        .service(platform::messages::change_message)
        .service(platform::messages::cancel_message)
        .service(platform::messages::get_message)
        .service(platform::messages::list_message_events)
        .service(platform::otp::send_one_time_password)
        .service(platform::otp::verify_one_time_password)
        .service(cloud::messages::mark_message_as_read)
        .service(platform::contacts::list_contacts)
        .service(platform::contacts::add_contact)
        .service(platform::contacts::upsert_contact)
        .service(platform::contacts::export_contacts)
        .service(platform::contacts::import_contacts)
        .service(platform::contacts::get_import)
        .service(platform::contacts::list_import_errors)
        .service(platform::contacts::get_contact)
        .service(platform::contacts::change_contact)
        .service(platform::contacts::erase_contact)
        .service(platform::contacts::merge_contacts)
        .service(platform::contacts::list_consents)
        .service(platform::contacts::record_consent)
        .service(platform::contacts::list_attributes)
        .service(platform::contacts::define_attribute)
        .service(platform::contacts::remove_attribute)
        .service(platform::contacts::list_suppressions)
        .service(platform::contacts::add_suppression)
        .service(platform::contacts::get_suppression)
        .service(platform::contacts::remove_suppression)
        .service(platform::contacts::get_opt_out_texts)
        .service(platform::contacts::set_opt_out_texts)
        .service(platform::inbound::list_inbound_messages)
        .service(platform::inbound::get_inbound_message)
        .service(platform::inbound::mark_as_read)
        .service(platform::inbound::show_typing)
        .service(platform::inbound::get_conversation)
        .service(cloud::blocking::list_blocked_users)
        .service(cloud::blocking::block_users)
        .service(cloud::blocking::unblock_users)
        .service(platform::blocking::list_blocked_people)
        .service(platform::blocking::block_people)
        .service(platform::blocking::unblock_person)
        .service(platform::sandbox::list_shown)
        .service(platform::sandbox::play)
        .service(cloud::numbers::list_phone_numbers)
        .service(cloud::numbers::request_code)
        .service(cloud::numbers::verify_code)
        .service(cloud::numbers::register)
        .service(cloud::numbers::deregister)
        .service(cloud::profiles::read_profile)
        .service(cloud::profiles::change_profile)
        .service(cloud::qr_codes::list_qr_codes)
        .service(cloud::qr_codes::write_qr_code)
        .service(cloud::qr_codes::read_qr_code)
        .service(cloud::qr_codes::change_qr_code)
        .service(cloud::qr_codes::delete_qr_code)
        .service(cloud::subscriptions::list_subscriptions)
        .service(cloud::subscriptions::subscribe)
        .service(cloud::subscriptions::unsubscribe)
        .service(cloud::templates::create_template)
        .service(cloud::templates::list_templates)
        .service(cloud::templates::delete_templates)
        .service(cloud::tokens::debug_token)
        .service(cloud::nodes::read_me)
        .service(cloud::nodes::read_node)
        .service(cloud::nodes::change_node)
        .service(platform::senders::list_senders)
        .service(platform::senders::get_sender)
        .service(platform::senders::get_profile)
        .service(platform::senders::change_profile)
        .service(platform::routing::get_routing)
        .service(platform::routing::set_routing)
        .service(platform::routing::get_sender_routing)
        .service(platform::routing::set_sender_routing)
        .service(platform::routing::remove_sender_routing)
        .service(platform::routing::get_channel)
        .service(platform::qr_codes::list_qr_codes)
        .service(platform::qr_codes::create_qr_code)
        .service(platform::qr_codes::get_qr_code)
        .service(platform::qr_codes::change_qr_code)
        .service(platform::qr_codes::delete_qr_code)
        .service(cloud::media::upload_media)
        .service(cloud::media::download_media)
        .service(cloud::media::start_upload)
        .service(cloud::media::resume_upload)
        .service(cloud::media::get_upload)
        .service(cloud::media::delete_media)
        .service(platform::media::add_media)
        .service(platform::media::list_media)
        .service(platform::media::get_media)
        .service(platform::media::get_media_content)
        .service(platform::media::link_media)
        .service(platform::media::delete_media)
        .service(account::get_account)
        .service(account::list_endpoints)
        .service(account::add_endpoint)
        .service(account::get_endpoint)
        .service(account::remove_endpoint)
        .service(account::list_usage)
        .split_for_parts();
    let (app, oauth) = app.into_utoipa_app().service(oauth::get_access_token).split_for_parts();
    let (app, mut partner) = partner::register(app);
    tenant.merge(oauth.clone());
    partner.merge(oauth);
    answers::finish(&mut tenant, Level::Business);
    schema::add_examples(&mut tenant);
    answers::finish(&mut partner, Level::Reseller);
    (app, Documents { tenant, partner })
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Waystation tenant API",
        description = "Send WhatsApp messages and follow them. The routes under a version (`/v24.0/…`) are a drop-in \
                       for Meta's WhatsApp Cloud API: point an existing client library here by changing its base URL \
                       and its token. `/v1` offers the same in the platform's own style.",
        license(name = "Apache-2.0"),
    ),
    tags(
        (name = "Cloud API", description = "Paths, bodies, answers and error codes of Meta's WhatsApp Cloud API."),
        (name = "Messages", description = "Messages in the platform's own style; errors are problem documents."),
        (name = "Media", description = "Files that messages carry."),
        (name = "One-time passwords", description = "Codes that show who holds a phone: sent and checked in one place."),
        (name = "Inbound", description = "What people sent to you, the customer-care windows that it opens, and whom you \
            blocked."),
        (name = "Sandbox", description = "The pretend phones behind the sandbox: look at what they show, and have them \
            write to you."),
        (name = "Contacts", description = "The people that the business writes to, and what they agreed to."),
        (name = "Suppressions", description = "The people that must not be written to."),
        (name = "Account", description = "The business itself, and what it used."),
        (name = "Senders", description = "The phone numbers that the business sends from."),
        (name = "Routing", description = "Which channel takes a message over when one does not bring it, and how the \
            channels stand."),
        (name = "Webhooks", description = "Where the business wants to be told."),
        (name = "OAuth", description = "Access tokens for OAuth clients."),
    ),
    components(schemas(Problem, CloudErrorBody, cloud::media::CloudMedia)),
)]
struct Document;
