//! The HTTP face of Waystation for tenants: the Cloud API's routes, `/v1`, and their
//! documentation.
//!
//! Handlers translate and decide nothing: they turn a request into a call of
//! [`waystation_core`] and its answer into the shape that the route's clients expect.
//! The OpenAPI document is collected from the very calls that register the routes, so
//! a route without documentation, or documentation without a route, cannot be.

#![forbid(unsafe_code)]

mod auth;
mod cloud;
mod docs;
mod failure;
mod health;
mod platform;
mod request;
mod routes;
mod schema;
mod shared;

use std::sync::{Arc, LazyLock};

use actix_web::{App, dev::ServiceFactory, web};
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        OpenApi,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_actix_web::AppExt;
use waystation_core::{
    abuse::Abuse,
    credentials::Credentials,
    limits::Limiter,
    messages::intake::Intake,
    onboarding::Onboarding,
    store::Store,
    tenancy::{Directory, Registry},
};

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
    /// What takes businesses in.
    pub onboarding: Onboarding,
    /// Largest request body, in bytes.
    pub body_limit_bytes: usize,
}

/// Where the OpenAPI document is served.
pub const OPENAPI_PATH: &str = "/openapi/tenant.json";

/// Registers the tenant routes and the documentation.
pub fn configure<T>(app: App<T>, api: Api) -> App<T>
where
    T: ServiceFactory<actix_web::dev::ServiceRequest, Config = (), Error = actix_web::Error, InitError = ()>,
{
    let (app, document) = register(app.app_data(web::Data::new(api)));
    app.service(cloud::without_version()).configure(|services| docs::configure(services, &document))
}

/// The answer to a request that no route takes, in the shape of the API it looks like.
pub async fn no_such_route(request: actix_web::HttpRequest) -> actix_web::HttpResponse {
    static ROUTES: LazyLock<Routes> = LazyLock::new(|| Routes::of(&openapi()));
    failure::no_such_route(&request, &ROUTES)
}

/// The OpenAPI document of the tenant routes.
#[must_use]
pub fn openapi() -> OpenApi {
    register(App::new()).1
}

/// The document as it is committed and served.
#[must_use]
pub fn openapi_text() -> String {
    docs::text(&openapi())
}

fn register<T>(app: App<T>) -> (App<T>, OpenApi)
where
    T: ServiceFactory<actix_web::dev::ServiceRequest, Config = (), Error = actix_web::Error, InitError = ()>,
{
    app.into_utoipa_app()
        .openapi(Document::openapi())
        .service(cloud::send_message)
        .service(platform::send_message)
        .service(platform::get_message)
        .service(platform::list_message_events)
        .split_for_parts()
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
    ),
    security(("api_key" = [])),
    modifiers(&ApiKeySecurity),
)]
struct Document;

struct ApiKeySecurity;

impl Modify for ApiKeySecurity {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: ws_live_… or ws_test_…"))
            .build();
        openapi
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("api_key", SecurityScheme::Http(scheme));
    }
}
