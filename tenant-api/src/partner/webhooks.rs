//! Where businesses want to be told.

use actix_web::{delete, get, post};
use utoipa::IntoParams;
use waystation_core::{clock::now_ms, tenancy::EndpointRequest};

use super::{Answer, InBusiness, created, nothing, ok};
use crate::{
    answers::{Absent, Bodied, Conflicting, Guarded},
    auth::{BusinessesRead, BusinessesWrite, ByPartner, SentByPartner},
    bodies::{PageOf, WebhookEndpoint},
    input,
};

/// A webhook endpoint of a business in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InEndpoint {
    /// The business.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// The endpoint.
    #[param(example = "ep_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    webhook_endpoint: String,
}

/// List the webhook endpoints of a business
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "listBusinessEndpoints",
    params(InBusiness),
    responses(
        (status = 200, description = "All of them, on one page.", body = PageOf<WebhookEndpoint>),
        Guarded<BusinessesRead>, Absent,
    ),
)]
#[get("/partner/v1/businesses/{business}/webhook_endpoints")]
pub(super) async fn list_endpoints(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let endpoints = by.api.registry.endpoints(&by.subtree(), &by.id("business")?).await?;
        Ok(ok(PageOf::<WebhookEndpoint>::whole(endpoints)))
    })
    .await
}

/// Register a webhook endpoint of a business
///
/// It has to answer the Cloud API's challenge within ten seconds, while this request waits.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "addBusinessEndpoint",
    params(InBusiness),
    request_body = EndpointRequest,
    responses(
        (status = 201, description = "The endpoint.", body = WebhookEndpoint),
        Guarded<BusinessesWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/webhook_endpoints")]
pub(super) async fn add_endpoint(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer_of_others(async {
        let (business, request) = (by.id("business")?, input::json::<EndpointRequest>(&sent.body)?);
        let view = by.api.registry.add_endpoint(&by.actor(), &by.subtree(), &business, &request, now_ms()).await?;
        let location = format!("/partner/v1/businesses/{business}/webhook_endpoints/{}", view.id);
        Ok(created(&location, WebhookEndpoint::from(view)))
    })
    .await
}

/// Read a webhook endpoint of a business
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "getBusinessEndpoint",
    params(InEndpoint),
    responses((status = 200, description = "The endpoint.", body = WebhookEndpoint), Guarded<BusinessesRead>, Absent),
)]
#[get("/partner/v1/businesses/{business}/webhook_endpoints/{webhook_endpoint}")]
pub(super) async fn get_endpoint(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let (business, id) = (by.id("business")?, by.id("webhook_endpoint")?);
        Ok(ok(WebhookEndpoint::from(by.api.registry.endpoint(&by.subtree(), &business, &id).await?)))
    })
    .await
}

/// Remove a webhook endpoint of a business
///
/// What still waits for it is given up.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "removeBusinessEndpoint",
    params(InEndpoint),
    responses((status = 204, description = "It is gone."), Guarded<BusinessesWrite>, Absent),
)]
#[delete("/partner/v1/businesses/{business}/webhook_endpoints/{webhook_endpoint}")]
pub(super) async fn remove_endpoint(by: ByPartner<BusinessesWrite>) -> Answer {
    by.answer(async {
        let (business, id) = (by.id("business")?, by.id("webhook_endpoint")?);
        by.api.registry.remove_endpoint(&by.actor(), &by.subtree(), &business, &id, now_ms()).await?;
        Ok(nothing())
    })
    .await
}
