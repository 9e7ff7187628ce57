//! Whether the process lives, and whether it can work: for load balancers.

use actix_web::{HttpResponse, Resource, web};
use serde_json::json;
use waystation_core::store::Store;

/// `/health/{check}`: `live` says that the process answers, `ready` that its database
/// does too.
#[must_use]
pub fn health() -> Resource {
    web::resource("/health/{check:live|ready}").route(web::get().to(answer))
}

async fn answer(check: web::Path<String>, store: web::Data<Store>) -> HttpResponse {
    if check.as_str() == "live" {
        return HttpResponse::Ok().json(json!({"status": "live"}));
    }
    match store.ping().await {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            HttpResponse::ServiceUnavailable()
                .json(json!({"status": "not ready", "reason": "the database does not answer"}))
        }
    }
}
