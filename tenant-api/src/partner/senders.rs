//! The phone numbers that businesses send from.

use actix_web::{get, post};
use utoipa::IntoParams;
use waystation_core::{clock::now_ms, tenancy::SenderRequest};

use super::{Answer, InBusiness, created, ok};
use crate::{
    answers::{Absent, Asked, Bodied, Conflicting, Guarded},
    auth::{BusinessesRead, BusinessesWrite, ByPartner, SentByPartner},
    bodies::{PageOf, PageQuery, ReasonRequest, Sender},
    input,
};

/// A sender in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
pub(super) struct InSender {
    /// The sender's phone number id.
    #[param(example = "106540352242922")]
    sender: String,
}

/// List the senders of a business
#[utoipa::path(
    tag = "Senders",
    operation_id = "listSenders",
    params(InBusiness, PageQuery),
    responses(
        (status = 200, description = "A page of senders.", body = PageOf<Sender>),
        Guarded<BusinessesRead>, Absent, Asked,
    ),
)]
#[get("/partner/v1/businesses/{business}/senders")]
pub(super) async fn list_senders(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let senders = by.api.registry.senders(&by.subtree(), &by.id("business")?, &paging).await?;
        Ok(ok(PageOf::<Sender>::from(senders)))
    })
    .await
}

/// Add a sender to a business
///
/// On the sandbox it can send at once. On other networks it sends once the business is verified and its number is
/// proven to be the business's.
#[utoipa::path(
    tag = "Senders",
    operation_id = "addSender",
    params(InBusiness),
    request_body = SenderRequest,
    responses(
        (status = 201, description = "The sender.", body = Sender),
        Guarded<BusinessesWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/senders")]
pub(super) async fn add_sender(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (business, request) = (by.id("business")?, input::json::<SenderRequest>(&sent.body)?);
        let view = by.api.registry.add_sender(&by.actor(), &by.subtree(), &business, &request, now_ms()).await?;
        Ok(created(&format!("/partner/v1/senders/{}", view.sender.id), Sender::from(view)))
    })
    .await
}

/// Read a sender
#[utoipa::path(
    tag = "Senders",
    operation_id = "getSender",
    params(InSender),
    responses((status = 200, description = "The sender.", body = Sender), Guarded<BusinessesRead>, Absent),
)]
#[get("/partner/v1/senders/{sender}")]
pub(super) async fn get_sender(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async { Ok(ok(Sender::from(by.api.registry.sender(&by.subtree(), by.id("sender")?).await?))) }).await
}

/// Pause a sender
///
/// It accepts nothing more, and keeps what it has queued until it is resumed.
#[utoipa::path(
    tag = "Senders",
    operation_id = "pauseSender",
    params(InSender),
    request_body = ReasonRequest,
    responses(
        (status = 200, description = "The sender.", body = Sender),
        Guarded<BusinessesWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/senders/{sender}/pause")]
pub(super) async fn pause_sender(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (id, request) = (by.id("sender")?, input::json::<ReasonRequest>(&sent.body)?);
        let registry = &by.api.registry;
        let view = registry.pause_sender(&by.actor(), &by.subtree(), id, &request.reason, now_ms()).await?;
        Ok(ok(Sender::from(view)))
    })
    .await
}

/// Resume a sender
///
/// One that was paused over a case of suspected abuse is resumed by the platform's reviewers only.
#[utoipa::path(
    tag = "Senders",
    operation_id = "resumeSender",
    params(InSender),
    responses(
        (status = 200, description = "The sender.", body = Sender),
        Guarded<BusinessesWrite>, Absent, Conflicting,
    ),
)]
#[post("/partner/v1/senders/{sender}/resume")]
pub(super) async fn resume_sender(by: ByPartner<BusinessesWrite>) -> Answer {
    by.answer(async {
        let view = by.api.registry.resume_sender(&by.actor(), &by.subtree(), by.id("sender")?, now_ms()).await?;
        Ok(ok(Sender::from(view)))
    })
    .await
}
