//! The phone numbers that businesses send from.

use actix_web::{HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{now_ms, rfc3339},
    onboarding::{CodeOrder, CodeProof, CodeSent, CodeWay, NumberView, PretendMessage},
    tenancy::SenderRequest,
};

use super::{Answer, InBusiness, created, ok};
use crate::{
    answers::{Absent, Asked, Bodied, Conflicting, Guarded, Numbered},
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

/// A phone of the pretend network in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InPhone {
    /// Its number, with the country code.
    #[param(example = "15550783881")]
    number: String,
}

/// A code is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CodeRequested {
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    sender: String,
    /// How it travels.
    method: CodeWay,
    /// Until when it can be used. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:10:00.000Z")]
    expires_at: String,
    /// From when on another one can be sent. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:01:00.000Z")]
    next_at: String,
    /// False when it is not known whether it left: it may arrive all the same.
    #[schema(example = true)]
    certain: bool,
}

impl From<CodeSent> for CodeRequested {
    fn from(sent: CodeSent) -> Self {
        Self {
            sender: sent.sender.to_string(),
            method: sent.method,
            expires_at: rfc3339(sent.expires_at),
            next_at: rfc3339(sent.next_at),
            certain: sent.certain,
        }
    }
}

/// Whose a sender's number is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NumberProof {
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    sender: String,
    /// When the number was shown to be the business's. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    verified_at: Option<String>,
    /// When it was registered with its network; null for networks without registration. RFC 3339, UTC.
    #[schema(example = json!(null))]
    registered_at: Option<String>,
}

impl From<NumberView> for NumberProof {
    fn from(view: NumberView) -> Self {
        Self {
            sender: view.sender.to_string(),
            verified_at: view.verified_at.map(rfc3339),
            registered_at: view.registered_at.map(rfc3339),
        }
    }
}

/// What is asked of a network when a number is registered with it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub(super) struct RegistrationRequest {
    /// The PIN that the network is to keep for the number, six digits. Left out: the one that is kept of it, or else a
    /// random one.
    pin: Option<String>,
}

/// What arrived at a phone of the pretend network.
#[derive(Serialize, ToSchema)]
pub(super) struct PhoneMessage {
    /// Who it is from, as the phone shows it.
    #[schema(example = "Waystation")]
    from: String,
    /// What it says.
    #[schema(example = "123456 is your Waystation code.")]
    text: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
}

impl From<PretendMessage> for PhoneMessage {
    fn from(message: PretendMessage) -> Self {
        Self { from: message.from, text: message.text, at: rfc3339(message.at) }
    }
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

/// Send a code to a sender's number
///
/// Six digits that hold for ten minutes; a code that was sent before is no longer good. One a minute, three an hour and
/// ten a day for a number, whoever asks.
#[utoipa::path(
    tag = "Senders",
    operation_id = "requestCode",
    params(InSender),
    request_body(content = Option<CodeOrder>),
    responses(
        (status = 202, description = "A code is on its way.", body = CodeRequested),
        Guarded<BusinessesWrite>, Absent, Conflicting, Numbered,
    ),
)]
#[post("/partner/v1/senders/{sender}/request_code")]
pub(super) async fn request_code(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, order) = (by.id("sender")?, input::json_or_default::<CodeOrder>(&sent.body)?);
        let sent = by.api.onboarding.request_code(&by.actor(), &by.subtree(), id, &order, now_ms()).await?;
        Ok(HttpResponse::Accepted().json(CodeRequested::from(sent)))
    })
    .await
}

/// Show that a sender's number is the business's
///
/// With the code that was sent to it. The number is then registered with its network, where there is such a thing.
#[utoipa::path(
    tag = "Senders",
    operation_id = "verifyCode",
    params(InSender),
    request_body = CodeProof,
    responses(
        (status = 200, description = "The number is the business's.", body = NumberProof),
        Guarded<BusinessesWrite>, Absent, Conflicting, Numbered,
    ),
)]
#[post("/partner/v1/senders/{sender}/verify_code")]
pub(super) async fn verify_code(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, proof) = (by.id("sender")?, input::json::<CodeProof>(&sent.body)?);
        let view = by.api.onboarding.verify_code(&by.actor(), &by.subtree(), id, &proof, now_ms()).await?;
        Ok(ok(NumberProof::from(view)))
    })
    .await
}

/// Register a sender's number with its network again
///
/// For a number that was shown to be the business's, when its network did not register it at once or forgot it.
#[utoipa::path(
    tag = "Senders",
    operation_id = "registerNumber",
    params(InSender),
    request_body(content = Option<RegistrationRequest>),
    responses(
        (status = 200, description = "It is registered.", body = NumberProof),
        Guarded<BusinessesWrite>, Absent, Conflicting, Numbered,
    ),
)]
#[post("/partner/v1/senders/{sender}/register")]
pub(super) async fn register_number(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, request) = (by.id("sender")?, input::json_or_default::<RegistrationRequest>(&sent.body)?);
        let (actor, subtree, pin) = (by.actor(), by.subtree(), request.pin.as_deref());
        let view = by.api.onboarding.register(&actor, &subtree, id, pin, now_ms()).await?;
        Ok(ok(NumberProof::from(view)))
    })
    .await
}

/// Look at a phone of the pretend network
///
/// What arrived at it from your sandbox senders within a day, newest first: codes, for example.
#[utoipa::path(
    tag = "Senders",
    operation_id = "listPhoneMessages",
    params(InPhone),
    responses(
        (status = 200, description = "All of them, on one page.", body = PageOf<PhoneMessage>),
        Guarded<BusinessesRead>, Absent,
    ),
)]
#[get("/partner/v1/sandbox/phones/{number}/messages")]
pub(super) async fn list_phone_messages(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let number: String = by.id("number")?;
        let messages = by.api.onboarding.pretend_phone(&by.subtree(), &number, now_ms()).await?;
        Ok(ok(PageOf::<PhoneMessage>::whole(messages)))
    })
    .await
}
