//! What a business looks up and sets of its own: itself, its webhook endpoints, its usage.

use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::now_ms,
    onboarding::State,
    paging::Paging,
    tenancy::{EndpointRequest, SENDERS_MAX_PER_BUSINESS},
};

use crate::{
    answers::{Absent, Asked, Bodied, Conflicting, Guarded},
    auth::{BillingRead, ByTenant, NoScope, SentByTenant, WebhooksWrite},
    bodies::{CredentialBody, LimitsBody, PageOf, StandingBody, Usage, WebhookEndpoint, days, standing},
    failure::Failure,
    input,
};

/// A business as it sees itself, and the credential that asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Account {
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    #[schema(example = "Ana's Bakery")]
    name: String,
    /// How far its verification has come.
    #[schema(value_type = State, example = "approved")]
    state: String,
    /// Whether it may send, as its reseller and itself stand.
    standing: StandingBody,
    /// The WhatsApp Business account of its senders.
    #[schema(example = "102290129340398")]
    account: String,
    /// The phone number ids of its senders.
    #[schema(example = json!(["106540352242922"]))]
    senders: Vec<String>,
    /// How much this credential may ask for.
    limits: LimitsBody,
    credential: CredentialBody,
}

/// A webhook endpoint in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InEndpoint {
    /// The endpoint.
    #[param(example = "ep_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    webhook_endpoint: String,
}

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OwnUsageQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The first day, UTC; when left out, 30 days before the last.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day, UTC; today when left out. At most 366 days are told at once.
    #[param(example = "2026-11-30")]
    to: Option<String>,
}

/// Read the business, and the credential that asks
#[utoipa::path(
    tag = "Account",
    operation_id = "getAccount",
    responses((status = 200, description = "The business.", body = Account), Guarded<NoScope>),
)]
#[get("/v1/me")]
pub(crate) async fn get_account(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (registry, subtree, business) = (&by.api.registry, by.subtree(), by.principal.business());
        let view = registry.business(&subtree, business).await?;
        let all = Paging::read(None, Some(SENDERS_MAX_PER_BUSINESS))?;
        let senders = registry.senders(&subtree, business, &all).await?;
        Ok(HttpResponse::Ok().json(Account {
            id: view.id.to_string(),
            name: view.name,
            state: view.state,
            standing: standing(&view.standing).0,
            account: view.account.to_string(),
            senders: senders.entries.iter().map(|view| view.sender.id.to_string()).collect(),
            limits: by.principal.limits.into(),
            credential: CredentialBody::from(&*by.principal),
        }))
    })
    .await
}

/// List the webhook endpoints
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "listEndpoints",
    responses(
        (status = 200, description = "All of them, on one page.", body = PageOf<WebhookEndpoint>),
        Guarded<WebhooksWrite>,
    ),
)]
#[get("/v1/webhook_endpoints")]
pub(crate) async fn list_endpoints(by: ByTenant<WebhooksWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let endpoints = by.api.registry.endpoints(&by.subtree(), by.principal.business()).await?;
        Ok(HttpResponse::Ok().json(PageOf::<WebhookEndpoint>::whole(endpoints)))
    })
    .await
}

/// Register a webhook endpoint
///
/// It has to answer the Cloud API's challenge within ten seconds, while this request waits.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "addEndpoint",
    request_body = EndpointRequest,
    responses(
        (status = 201, description = "The endpoint.", body = WebhookEndpoint),
        Guarded<WebhooksWrite>, Bodied, Conflicting,
    ),
)]
#[post("/v1/webhook_endpoints")]
pub(crate) async fn add_endpoint(sent: SentByTenant<WebhooksWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let (business, request) = (by.principal.business(), input::json::<EndpointRequest>(&sent.body)?);
        let view = by.api.registry.add_endpoint(&by.actor(), &by.subtree(), business, &request, now_ms()).await?;
        let location = format!("/v1/webhook_endpoints/{}", view.id);
        Ok(HttpResponse::Created().insert_header(("location", location)).json(WebhookEndpoint::from(view)))
    })
    .await
}

/// Read a webhook endpoint
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "getEndpoint",
    params(InEndpoint),
    responses((status = 200, description = "The endpoint.", body = WebhookEndpoint), Guarded<WebhooksWrite>, Absent),
)]
#[get("/v1/webhook_endpoints/{webhook_endpoint}")]
pub(crate) async fn get_endpoint(by: ByTenant<WebhooksWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let id = by.id("webhook_endpoint")?;
        let view = by.api.registry.endpoint(&by.subtree(), by.principal.business(), &id).await?;
        Ok(HttpResponse::Ok().json(WebhookEndpoint::from(view)))
    })
    .await
}

/// Remove a webhook endpoint
///
/// What still waits for it is given up.
#[utoipa::path(
    tag = "Webhooks",
    operation_id = "removeEndpoint",
    params(InEndpoint),
    responses((status = 204, description = "It is gone."), Guarded<WebhooksWrite>, Absent),
)]
#[delete("/v1/webhook_endpoints/{webhook_endpoint}")]
pub(crate) async fn remove_endpoint(by: ByTenant<WebhooksWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (business, id) = (by.principal.business(), by.id("webhook_endpoint")?);
        by.api.registry.remove_endpoint(&by.actor(), &by.subtree(), business, &id, now_ms()).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

/// List usage
///
/// Messages accepted, by day and sender.
#[utoipa::path(
    tag = "Account",
    operation_id = "listOwnUsage",
    params(OwnUsageQuery),
    responses(
        (status = 200, description = "A page of days with messages.", body = PageOf<Usage>),
        Guarded<BillingRead>, Asked,
    ),
)]
#[get("/v1/usage")]
pub(crate) async fn list_usage(by: ByTenant<BillingRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let query: OwnUsageQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let span = days(query.from.as_deref(), query.to.as_deref(), now_ms())?;
        let page = by.api.registry.usage(&by.subtree(), None, span, &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<Usage>::from(page)))
    })
    .await
}
