//! The OpenAPI document, the error catalogue, and a page that shows them without the
//! internet.

use actix_web::{HttpResponse, web};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};
use waystation_core::error;

use crate::OPENAPI_PATH;

/// `document` as it is committed and served: indented, with a new line at its end.
pub(crate) fn text(document: &OpenApi) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) fn configure(services: &mut web::ServiceConfig, document: &OpenApi) {
    let served = text(document);
    services
        .route(
            OPENAPI_PATH,
            web::get().to(move || {
                let body = served.clone();
                async move { HttpResponse::Ok().content_type("application/json").body(body) }
            }),
        )
        .route(
            "/docs",
            web::get().to(|| async { HttpResponse::Found().insert_header(("location", "/docs/")).finish() }),
        )
        .route(
            "/docs/errors",
            web::get().to(|| async {
                HttpResponse::Ok().content_type("text/markdown; charset=utf-8").body(error::catalogue())
            }),
        )
        .service(
            SwaggerUi::new("/docs/{_:.*}")
                .external_urls_from_iter_unchecked([(OPENAPI_PATH, serde_json::to_value(document).unwrap_or_default())])
                .config(
                    // Without this the page asks another host whether the document is valid.
                    Config::new([OPENAPI_PATH])
                        .validator_url("none")
                        .try_it_out_enabled(true)
                        .persist_authorization(false),
                ),
        );
}
