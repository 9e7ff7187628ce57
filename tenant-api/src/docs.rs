//! The OpenAPI documents, the error catalogue, and a page that shows them without the
//! internet.

use actix_web::{HttpResponse, web};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi, Url};
use waystation_core::error;

use crate::{Documents, PARTNER_OPENAPI_PATH, TENANT_OPENAPI_PATH};

/// `document` as it is committed and served: indented, with a new line at its end.
pub(crate) fn text(document: &OpenApi) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) fn configure(services: &mut web::ServiceConfig, documents: &Documents) {
    let served = [(TENANT_OPENAPI_PATH, &documents.tenant), (PARTNER_OPENAPI_PATH, &documents.partner)];
    for (path, document) in served {
        let text = text(document);
        services.route(
            path,
            web::get().to(move || {
                let body = text.clone();
                async move { HttpResponse::Ok().content_type("application/json").body(body) }
            }),
        );
    }
    let page = SwaggerUi::new("/docs/{_:.*}")
        .external_urls_from_iter_unchecked(
            served.map(|(path, document)| (path, serde_json::to_value(document).unwrap_or_default())),
        )
        .config(
            // Without this the page asks another host whether the document is valid.
            Config::new([
                Url::with_primary("Tenants", TENANT_OPENAPI_PATH, true),
                Url::new("Resellers", PARTNER_OPENAPI_PATH),
            ])
            .validator_url("none")
            .try_it_out_enabled(true)
            .persist_authorization(false),
        );
    services
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
        .service(page);
}
