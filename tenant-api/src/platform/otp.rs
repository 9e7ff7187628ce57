//! One-time passwords: sent and checked, never read back.

use actix_web::{HttpResponse, post};
use serde::Serialize;
use utoipa::ToSchema;
use waystation_core::{
    clock::{now_ms, rfc3339},
    otp::{Check, Checked, Order, Sent, Verdict},
};

use crate::{
    answers::{Absent, Bodied, Guarded, SendablePassword},
    auth::{MessagesSend, SentByTenant},
    failure::Failure,
    input,
};

/// A one-time password that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneTimePassword {
    /// What its code is checked by.
    #[schema(example = "otp_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// The message that brings it: follow it like any other; what it says stays sealed.
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    message_id: String,
    /// Until when it is good. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:05:00.000Z")]
    expires_at: String,
    /// Where it goes when it is not delivered in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<FallbackPlan>,
}

/// What happens to a code that is not delivered in time.
#[derive(Debug, Serialize, ToSchema)]
struct FallbackPlan {
    /// The message that then brings it; there is none before.
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9L")]
    message_id: String,
    /// When it is sent, unless the first one was delivered or the code used. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:30.000Z")]
    at: String,
}

impl From<Sent> for OneTimePassword {
    fn from(sent: Sent) -> Self {
        Self {
            id: sent.id.to_string(),
            message_id: sent.message.to_string(),
            expires_at: rfc3339(sent.expires_at),
            fallback: sent
                .fallback
                .map(|(message, at)| FallbackPlan { message_id: message.to_string(), at: rfc3339(at) }),
        }
    }
}

/// What a code shows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneTimePasswordChecked {
    /// `verified` once, for the right code; nothing else shows who holds the phone.
    status: Verdict,
    /// How often a code may still be tried, of five.
    #[schema(example = 4)]
    tries_left: i32,
}

impl From<Checked> for OneTimePasswordChecked {
    fn from(checked: Checked) -> Self {
        Self { status: checked.verdict, tries_left: checked.tries_left }
    }
}

/// Send a one-time password
///
/// Draws a code and sends it with an authentication template: in the text and in the button that copies it. Nobody can
/// read it back here. One in 30 seconds, five an hour and twenty a day for a person; so a request that is repeated
/// because its answer got lost sends nothing twice.
#[utoipa::path(
    tag = "One-time passwords",
    operation_id = "sendOneTimePassword",
    request_body = Order,
    responses(
        (status = 202, description = "It is on disk, and will be sent.", body = OneTimePassword),
        Guarded<MessagesSend>, Absent, SendablePassword,
    ),
)]
#[post("/v1/otp")]
pub(crate) async fn send_one_time_password(sent: SentByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let order = input::json::<Order>(&sent.body)?;
        let sent = by.api.one_time_passwords.send(&by.principal, &order, now_ms()).await?;
        Ok(HttpResponse::Accepted().json(OneTimePassword::from(sent)))
    })
    .await
}

/// Check a one-time password
///
/// With the code as the person typed it. The right one is good once, for five tries, until it expires.
#[utoipa::path(
    tag = "One-time passwords",
    operation_id = "verifyOneTimePassword",
    request_body = Check,
    responses(
        (status = 200, description = "What the code shows.", body = OneTimePasswordChecked),
        Guarded<MessagesSend>, Absent, Bodied,
    ),
)]
#[post("/v1/otp/verify")]
pub(crate) async fn verify_one_time_password(sent: SentByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let check = input::json::<Check>(&sent.body)?;
        let checked = by.api.one_time_passwords.verify(&by.principal, &check, now_ms()).await?;
        Ok(HttpResponse::Ok().json(OneTimePasswordChecked::from(checked)))
    })
    .await
}
