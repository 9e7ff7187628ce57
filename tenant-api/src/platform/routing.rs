//! Which channels messages take when one does not bring them, and how the channels stand.

use actix_web::{HttpResponse, delete, get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use waystation_core::{
    clock::{now_ms, rfc3339},
    ids::SenderId,
    messages::route::Rule,
    store::BrokenChannel,
};

use super::senders::InOwnSender;
use crate::{
    answers::{Absent, Bodied, Guarded},
    auth::{ByTenant, NoScope, SendersWrite, SentByTenant},
    failure::Failure,
    input,
};

/// The rules by which messages change their channel. The first one that a message's category falls under counts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rules": [
    {"categories": ["marketing"], "chain": []},
    {"chain": [{"adapter": "sandbox", "when": ["failed", "channel_down"], "after_s": 30}]},
]}))]
pub(crate) struct RoutingRules {
    /// At most 16.
    rules: Vec<Rule>,
}

/// How the channel of a sender stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelState {
    /// `up`, or `down`: then one message at a time tries it, and the others wait without losing a try.
    #[schema(example = "down")]
    state: &'static str,
    /// What its network says, while it is down.
    #[schema(example = "(190) Access token expired")]
    reason: Option<String>,
    /// The network's code.
    #[schema(example = 190)]
    code: Option<i64>,
    /// Whether somebody has to do something: renew a token, or clear a matter with the network. With new settings it is
    /// tried at once.
    #[schema(example = true)]
    needs_operator: bool,
    /// When it went down. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    since: Option<String>,
    /// When it is tried next. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:30.000Z")]
    next_try_at: Option<String>,
    /// Tries that failed since it went down.
    #[schema(example = 3)]
    failed_tries: i32,
}

impl ChannelState {
    fn of(broken: Option<BrokenChannel>) -> Self {
        let state = if broken.is_some() { "down" } else { "up" };
        let broken = broken.as_ref();
        Self {
            state,
            reason: broken.map(|broken| broken.reason.clone()),
            code: broken.and_then(|broken| broken.code),
            needs_operator: broken.is_some_and(|broken| broken.needs_operator),
            since: broken.map(|broken| rfc3339(broken.since)),
            next_try_at: broken.map(|broken| rfc3339(broken.probe_at)),
            failed_tries: broken.map_or(0, |broken| broken.failures),
        }
    }
}

/// Read the routing rules
///
/// Those of the business; senders may have rules of their own.
#[utoipa::path(
    tag = "Routing",
    operation_id = "getRouting",
    responses((status = 200, description = "The rules.", body = RoutingRules), Guarded<NoScope>),
)]
#[get("/v1/routing")]
pub(crate) async fn get_routing(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let rules = by.api.senders.routing(by.principal.business(), None).await?;
        Ok(HttpResponse::Ok().json(RoutingRules { rules }))
    })
    .await
}

/// Set the routing rules
///
/// They hold for messages that are accepted from now on, unless these say otherwise in `fallback`.
#[utoipa::path(
    tag = "Routing",
    operation_id = "setRouting",
    request_body = RoutingRules,
    responses((status = 200, description = "The rules.", body = RoutingRules), Guarded<SendersWrite>, Bodied),
)]
#[put("/v1/routing")]
pub(crate) async fn set_routing(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let body: RoutingRules = input::json(&sent.body)?;
        let scope = (by.principal.business(), None);
        by.api.senders.set_routing(&by.actor(), scope, Some(&body.rules), now_ms()).await?;
        Ok(HttpResponse::Ok().json(body))
    })
    .await
}

/// Read the routing rules of a sender
///
/// None of its own: then those of the business hold.
#[utoipa::path(
    tag = "Routing",
    operation_id = "getSenderRouting",
    params(InOwnSender),
    responses((status = 200, description = "The rules.", body = RoutingRules), Guarded<NoScope>, Absent),
)]
#[get("/v1/senders/{sender}/routing")]
pub(crate) async fn get_sender_routing(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let rules = by.api.senders.routing(by.principal.business(), Some(by.id("sender")?)).await?;
        Ok(HttpResponse::Ok().json(RoutingRules { rules }))
    })
    .await
}

/// Set the routing rules of a sender
///
/// They take the place of those of the business; an empty list keeps its messages where they are.
#[utoipa::path(
    tag = "Routing",
    operation_id = "setSenderRouting",
    params(InOwnSender),
    request_body = RoutingRules,
    responses((status = 200, description = "The rules.", body = RoutingRules), Guarded<SendersWrite>, Absent, Bodied),
)]
#[put("/v1/senders/{sender}/routing")]
pub(crate) async fn set_sender_routing(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let (sender, body) = (by.id::<SenderId>("sender")?, input::json::<RoutingRules>(&sent.body)?);
        let scope = (by.principal.business(), Some(sender));
        by.api.senders.set_routing(&by.actor(), scope, Some(&body.rules), now_ms()).await?;
        Ok(HttpResponse::Ok().json(body))
    })
    .await
}

/// Remove the routing rules of a sender
///
/// Those of the business hold again.
#[utoipa::path(
    tag = "Routing",
    operation_id = "removeSenderRouting",
    params(InOwnSender),
    responses((status = 204, description = "It has none of its own."), Guarded<SendersWrite>, Absent),
)]
#[delete("/v1/senders/{sender}/routing")]
pub(crate) async fn remove_sender_routing(by: ByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let scope = (by.principal.business(), Some(by.id::<SenderId>("sender")?));
        by.api.senders.set_routing(&by.actor(), scope, None, now_ms()).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

/// Read how a sender's channel stands
///
/// While it is down, messages wait for it, or go over another channel where a rule says so.
#[utoipa::path(
    tag = "Routing",
    operation_id = "getChannelState",
    params(InOwnSender),
    responses((status = 200, description = "How it stands.", body = ChannelState), Guarded<NoScope>, Absent),
)]
#[get("/v1/senders/{sender}/channel")]
pub(crate) async fn get_channel(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let broken = by.api.senders.broken(&by.subtree(), by.id("sender")?).await?;
        Ok(HttpResponse::Ok().json(ChannelState::of(broken)))
    })
    .await
}
