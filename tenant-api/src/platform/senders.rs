//! The phone numbers that a business sends from, and their profiles.

use actix_web::{HttpResponse, get, patch};
use utoipa::IntoParams;
use waystation_core::{
    clock::now_ms,
    ids::SenderId,
    senders::{SenderProfile, SenderProfileChange},
};

use crate::{
    answers::{Absent, Asked, Bodied, Guarded},
    auth::{ByTenant, NoScope, SendersWrite, SentByTenant},
    bodies::{PageOf, PageQuery, Sender},
    failure::Failure,
    input,
};

/// A sender in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
pub(super) struct InOwnSender {
    /// The sender's phone number id.
    #[param(example = "106540352242922")]
    sender: String,
}

/// List the senders
#[utoipa::path(
    tag = "Senders",
    operation_id = "listOwnSenders",
    params(PageQuery),
    responses(
        (status = 200, description = "A page of senders.", body = PageOf<Sender>),
        Guarded<NoScope>, Asked,
    ),
)]
#[get("/v1/senders")]
pub(crate) async fn list_senders(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let senders = by.api.registry.senders(&by.subtree(), by.principal.business(), &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<Sender>::from(senders)))
    })
    .await
}

/// Read a sender
#[utoipa::path(
    tag = "Senders",
    operation_id = "getOwnSender",
    params(InOwnSender),
    responses((status = 200, description = "The sender.", body = Sender), Guarded<NoScope>, Absent),
)]
#[get("/v1/senders/{sender}")]
pub(crate) async fn get_sender(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let view = by.api.registry.sender(&by.subtree(), by.id("sender")?).await?;
        Ok(HttpResponse::Ok().json(Sender::from(view)))
    })
    .await
}

/// Read the profile of a sender
///
/// What people see of it in their apps.
#[utoipa::path(
    tag = "Senders",
    operation_id = "getSenderProfile",
    params(InOwnSender),
    responses((status = 200, description = "The profile.", body = SenderProfile), Guarded<NoScope>, Absent),
)]
#[get("/v1/senders/{sender}/profile")]
pub(crate) async fn get_profile(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer_of_others(async {
        let id: SenderId = by.id("sender")?;
        Ok(HttpResponse::Ok().json(by.api.senders.profile(&by.subtree(), id, now_ms()).await?))
    })
    .await
}

/// Change the profile of a sender
#[utoipa::path(
    tag = "Senders",
    operation_id = "changeSenderProfile",
    params(InOwnSender),
    request_body = SenderProfileChange,
    responses(
        (status = 200, description = "The whole profile.", body = SenderProfile),
        Guarded<SendersWrite>, Absent, Bodied,
    ),
)]
#[patch("/v1/senders/{sender}/profile")]
pub(crate) async fn change_profile(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, change) = (by.id::<SenderId>("sender")?, input::json::<SenderProfileChange>(&sent.body)?);
        let profile = by.api.senders.change_profile(&by.actor(), &by.subtree(), id, &change, now_ms()).await?;
        Ok(HttpResponse::Ok().json(profile))
    })
    .await
}
