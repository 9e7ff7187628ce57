//! Whether the process lives, and whether it can work: for load balancers.

use std::time::Duration;

use actix_web::{HttpResponse, Resource, web};
use serde_json::json;
use waystation_core::store::Store;

/// How long the database may take to answer.
const PING_MAX: Duration = Duration::from_secs(2);

/// `/health/{check}`: `live` says that the process answers, `ready` that its database
/// does too.
#[must_use]
pub fn health() -> Resource {
    web::resource("/health/{check:live|ready}").route(web::get().to(answer)).route(web::head().to(answer))
}

async fn answer(check: web::Path<String>, store: web::Data<Store>) -> HttpResponse {
    if check.as_str() == "live" {
        return HttpResponse::Ok().json(json!({"status": "live"}));
    }
    let answered = tokio::time::timeout(PING_MAX, store.ping()).await;
    match answered.map_err(|_| "it does not answer in time".to_owned()).and_then(|ping| ping.map_err(|e| e.to_string()))
    {
        Ok(()) => HttpResponse::Ok().json(json!({"status": "ready"})),
        Err(error) => {
            tracing::warn!(error, "not ready");
            HttpResponse::ServiceUnavailable()
                .json(json!({"status": "not ready", "reason": "the database does not answer"}))
        }
    }
}
