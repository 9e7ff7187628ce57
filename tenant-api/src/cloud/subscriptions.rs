//! Where the webhooks of an account go, as the Cloud API has it: one address that can be
//! overridden. It is one endpoint of the business beside those of `/v1/webhook_endpoints`.

use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use waystation_core::{clock::now_ms, tenancy::EndpointRequest};

use super::shapes::{Done, InAccount, body, done, own_account};
use crate::{
    answers::{Absent, Bodied, CloudErrors, Conflicting, Guarded},
    auth::{ByTenant, SentByTenant, WebhooksWrite},
    failure::Failure,
};

/// Who is subscribed.
#[derive(Debug, Serialize, ToSchema)]
struct Subscriptions {
    /// One entry while the business has a webhook endpoint; none before.
    data: Vec<Subscription>,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
struct Subscription {
    whatsapp_business_api_data: SubscribedApp,
    /// The address that was set here; not there when none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://shop.example/hooks/whatsapp")]
    override_callback_uri: Option<String>,
}

/// What is subscribed: this installation.
#[derive(Debug, Serialize, ToSchema)]
struct SubscribedApp {
    /// The account's id.
    #[schema(example = "102290129340398")]
    id: String,
    #[schema(example = "Waystation")]
    name: &'static str,
    #[schema(example = "https://whatsapp.example")]
    link: String,
}

/// Where webhooks are to go.
#[derive(Deserialize, ToSchema)]
struct SubscriptionRequest {
    /// The address; it has to answer the challenge. Without it, the one that was set before is removed.
    #[schema(example = "https://shop.example/hooks/whatsapp", max_length = 2048)]
    override_callback_uri: Option<String>,
    /// What the challenge carries as `hub.verify_token`. Required with an address.
    #[schema(example = "a long random text", min_length = 1, max_length = 255)]
    verify_token: Option<String>,
}

/// List the subscriptions of the account
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudListSubscriptions",
    path = "/{version}/{waba_id}/subscribed_apps",
    params(InAccount),
    responses(
        (status = 200, description = "Who is subscribed.", body = Subscriptions),
        Guarded<WebhooksWrite, CloudErrors>, Absent<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{waba_id:[0-9]+}/subscribed_apps")]
pub(crate) async fn list_subscriptions(by: ByTenant<WebhooksWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let business = own_account(&by).await?;
        let endpoints = by.api.registry.endpoints(&by.subtree(), &business.id).await?;
        let subscription = (!endpoints.is_empty()).then(|| Subscription {
            whatsapp_business_api_data: SubscribedApp {
                id: business.account.to_string(),
                name: "Waystation",
                link: by.api.base_url.clone(),
            },
            override_callback_uri: endpoints.into_iter().find(|one| one.overrides).map(|one| one.url),
        });
        Ok(HttpResponse::Ok().json(Subscriptions { data: subscription.into_iter().collect() }))
    })
    .await
}

/// Subscribe to the webhooks of the account
///
/// With an address, they go there as well as to the endpoints of `/v1/webhook_endpoints`; the address that was set
/// before gives way to it. Without one, the address that was set before is removed.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudSubscribe",
    path = "/{version}/{waba_id}/subscribed_apps",
    params(InAccount),
    request_body(content = Option<SubscriptionRequest>),
    responses(
        (status = 200, description = "It is so.", body = Done),
        Guarded<WebhooksWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>, Conflicting<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{waba_id:[0-9]+}/subscribed_apps")]
pub(crate) async fn subscribe(sent: SentByTenant<WebhooksWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let (business, request) = (own_account(by).await?, body::<SubscriptionRequest, _>(&sent)?);
        let (registry, actor, subtree, now) = (&by.api.registry, by.actor(), by.subtree(), now_ms());
        match request.override_callback_uri.filter(|url| !url.is_empty()) {
            Some(url) => {
                let request = EndpointRequest { url, verify_token: request.verify_token.unwrap_or_default() };
                registry.override_endpoint(&actor, &subtree, &business.id, &request, now).await?;
            }
            None => registry.end_override(&actor, &subtree, &business.id, now).await?,
        }
        Ok(done())
    })
    .await
}

/// End the subscription
///
/// Removes the address that was set here; endpoints of `/v1/webhook_endpoints` stay.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudUnsubscribe",
    path = "/{version}/{waba_id}/subscribed_apps",
    params(InAccount),
    responses(
        (status = 200, description = "It is so.", body = Done),
        Guarded<WebhooksWrite, CloudErrors>, Absent<CloudErrors>,
    ),
)]
#[delete("/{version:(?:v[0-9]+\\.[0-9]+/)?}{waba_id:[0-9]+}/subscribed_apps")]
pub(crate) async fn unsubscribe(by: ByTenant<WebhooksWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let business = own_account(&by).await?;
        by.api.registry.end_override(&by.actor(), &by.subtree(), &business.id, now_ms()).await?;
        Ok(done())
    })
    .await
}
