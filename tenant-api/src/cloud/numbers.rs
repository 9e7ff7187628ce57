//! Phone numbers: their list, their fields, and how one is verified and registered.

use actix_web::{HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use waystation_core::{
    clock::{now_ms, rfc3339},
    error::ApiError,
    ids::SenderId,
    messages::phone,
    onboarding::{CodeOrder, CodeProof, CodeWay},
    store::SenderView,
    tenancy::{Hold, Standing, Tenant},
};

use super::{
    fields::{chosen, know},
    shapes::{CloudPage, Done, InAccount, InNumber, ListQuery, body, done, own_account},
};
use crate::{
    answers::{Absent, CloudErrors, Conflicting, Guarded, Numbered, Selectable},
    auth::{By, ByTenant, NoScope, SendersWrite, SentByTenant},
    failure::Failure,
};

/// What the Graph API calls them.
pub(super) const KIND: &str = "WhatsAppBusinessPhoneNumber";
/// The fields of a number that are answered when none are asked for.
pub(super) const USUAL_FIELDS: &[&str] = &[
    "id",
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
];

/// Fields that the Graph API has of a number and of which nothing is known here.
const FOREIGN_FIELDS: &[&str] = &[
    "certificate",
    "conversational_automation",
    "country_code",
    "country_dial_code",
    "eligibility_for_api_business_global_search",
    "is_on_biz_app",
    "is_pin_enabled",
    "is_preverified_number",
    "new_certificate",
    "new_name_status",
    "quality_score",
    "search_visibility",
    "username",
    "whatsapp_business_manager_messaging_limit",
];

/// A phone number, with the fields that were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
struct PhoneNumber {
    #[schema(example = "106540352242922")]
    id: String,
    /// As people write it.
    #[schema(example = "+1 555-078-3881")]
    display_phone_number: Option<String>,
    /// The name that recipients see.
    #[schema(example = "Ana's Bakery")]
    verified_name: Option<String>,
    /// `UNKNOWN`: networks here do not tell it.
    #[schema(example = "UNKNOWN")]
    quality_rating: Option<String>,
    /// `VERIFIED` once it was shown that the number is yours, else `NOT_VERIFIED`.
    #[schema(example = "VERIFIED")]
    code_verification_status: Option<String>,
    /// `CLOUD_API`.
    #[schema(example = "CLOUD_API")]
    platform_type: Option<String>,
    /// How much it sends in a second.
    throughput: Option<Throughput>,
    /// `CONNECTED` when it can send, `PENDING` until it is verified and registered, `RESTRICTED` while it is paused.
    #[schema(example = "CONNECTED")]
    status: Option<String>,
    /// `AVAILABLE_WITHOUT_REVIEW`: names are not reviewed one by one.
    #[schema(example = "AVAILABLE_WITHOUT_REVIEW")]
    name_status: Option<String>,
    /// `LIVE`, or `SANDBOX` on the pretend network.
    #[schema(example = "SANDBOX")]
    account_mode: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
struct Throughput {
    /// `STANDARD`.
    #[schema(example = "STANDARD")]
    level: String,
}

/// How a code is to travel.
#[derive(Deserialize, ToSchema)]
struct CodeRequest {
    /// `SMS` or `VOICE`.
    #[schema(example = "SMS")]
    code_method: String,
    /// The language of what it says.
    #[schema(example = "en_US")]
    language: Option<String>,
    /// The same, as older clients name it.
    #[schema(example = "en_US")]
    locale: Option<String>,
}

/// A code as it was read.
#[derive(Deserialize, ToSchema)]
struct CodeRead {
    /// Six digits, with or without a hyphen.
    #[schema(example = "123456")]
    code: String,
}

/// A number is to be registered.
#[derive(Deserialize, ToSchema)]
struct RegisterRequest {
    /// Always `whatsapp`.
    #[schema(example = "whatsapp")]
    #[allow(dead_code, reason = "for the documentation")]
    messaging_product: Option<String>,
    /// The PIN of its two-step verification, six digits; of a number that has none, the one it gets.
    #[schema(example = "204817")]
    pin: String,
}

/// Everything that is told of a number.
pub(super) async fn all_fields(by: &By<Tenant, NoScope>, view: &SenderView) -> Result<Map<String, Value>, ApiError> {
    let sender = &view.sender;
    let sandbox = sender.is_sandbox();
    let (status, can_send) = match &sender.standing {
        Standing::Active => ("CONNECTED", "AVAILABLE"),
        Standing::Unverified if sandbox => ("CONNECTED", "AVAILABLE"),
        Standing::Unverified => ("PENDING", "BLOCKED"),
        Standing::Held(Hold::Sender(_)) if view.is_deregistered() => ("PENDING", "BLOCKED"),
        Standing::Held(_) => ("RESTRICTED", "BLOCKED"),
    };
    let endpoints = by.api.directory.endpoints(&sender.business).await?;
    let all = json!({
        "id": sender.id,
        "display_phone_number": phone::display(&sender.phone),
        "verified_name": view.display_name,
        "quality_rating": "UNKNOWN",
        "code_verification_status": if view.phone_verified_at.is_some() { "VERIFIED" } else { "NOT_VERIFIED" },
        "name_status": "AVAILABLE_WITHOUT_REVIEW",
        "status": status,
        "throughput": {"level": "STANDARD"},
        "account_mode": if sandbox { "SANDBOX" } else { "LIVE" },
        "platform_type": "CLOUD_API",
        "is_official_business_account": false,
        "health_status": {
            "can_send_message": can_send,
            "entities": [
                {"entity_type": "PHONE_NUMBER", "id": sender.id, "can_send_message": can_send},
                {"entity_type": "WABA", "id": sender.account, "can_send_message": can_send},
            ],
        },
        "webhook_configuration": endpoints.first().map(|endpoint| json!({"application": endpoint.url})),
        "last_onboarded_time": rfc3339(view.created_at),
    });
    match all {
        Value::Object(mut all) => {
            know(&mut all, FOREIGN_FIELDS);
            Ok(all)
        }
        _ => Ok(Map::new()),
    }
}

/// List the phone numbers of the account
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudListPhoneNumbers",
    path = "/{version}/{waba_id}/phone_numbers",
    params(InAccount, ListQuery),
    responses(
        (status = 200, description = "A page of numbers.", body = CloudPage<PhoneNumber>),
        Guarded<NoScope, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{waba_id:[0-9]+}/phone_numbers")]
pub(crate) async fn list_phone_numbers(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (business, query) = (own_account(&by).await?, by.query::<ListQuery>()?);
        let fields = query.fields()?;
        let page = by.api.registry.senders(&by.subtree(), &business.id, &query.paging()?).await?;
        let key = |view: &SenderView| view.sender.id.to_string();
        let keys = page.entries.first().map(key).zip(page.entries.last().map(key));
        let mut data = Vec::with_capacity(page.entries.len());
        for view in &page.entries {
            data.push(Value::Object(chosen(fields.as_ref(), KIND, USUAL_FIELDS, all_fields(&by, view).await?)?));
        }
        Ok(HttpResponse::Ok().json(CloudPage::new(&by, data, keys, page.next.is_some())))
    })
    .await
}

/// Send a code to a phone number
///
/// Six digits that hold for ten minutes; a code that was sent before is no longer good. One a minute, three an hour and
/// ten a day for a number, whoever asks.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudRequestCode",
    path = "/{version}/{phone_number_id}/request_code",
    params(InNumber),
    request_body = CodeRequest,
    responses(
        (status = 200, description = "A code is on its way.", body = Done),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Conflicting<CloudErrors>, Numbered<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/request_code")]
pub(crate) async fn request_code(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, request) = (by.id::<SenderId>("phone_number_id")?, body::<CodeRequest, _>(&sent)?);
        let method = match request.code_method.to_ascii_uppercase().as_str() {
            "SMS" => CodeWay::Sms,
            "VOICE" => CodeWay::Voice,
            _ => return Err(ApiError::breach("/code_method", "must be SMS or VOICE")),
        };
        let order = CodeOrder { method, language: request.language.or(request.locale) };
        by.api.onboarding.request_code(&by.actor(), &by.subtree(), id, &order, now_ms()).await?;
        Ok(done())
    })
    .await
}

/// Show that a phone number is yours
///
/// With the code that was sent to it.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudVerifyCode",
    path = "/{version}/{phone_number_id}/verify_code",
    params(InNumber),
    request_body = CodeRead,
    responses(
        (status = 200, description = "The number is yours.", body = Done),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Conflicting<CloudErrors>, Numbered<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/verify_code")]
pub(crate) async fn verify_code(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, read) = (by.id::<SenderId>("phone_number_id")?, body::<CodeRead, _>(&sent)?);
        let proof = CodeProof { code: read.code, pin: None };
        by.api.onboarding.verify_code(&by.actor(), &by.subtree(), id, &proof, now_ms()).await?;
        Ok(done())
    })
    .await
}

/// Register a phone number
///
/// With its network, where that registers numbers. A number that was deregistered goes on, with all that it has queued.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudRegister",
    path = "/{version}/{phone_number_id}/register",
    params(InNumber),
    request_body = RegisterRequest,
    responses(
        (status = 200, description = "It is registered.", body = Done),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Conflicting<CloudErrors>, Numbered<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/register")]
pub(crate) async fn register(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, request) = (by.id::<SenderId>("phone_number_id")?, body::<RegisterRequest, _>(&sent)?);
        let onboarding = &by.api.onboarding;
        onboarding.register_with_pin(&by.actor(), &by.subtree(), id, &request.pin, now_ms()).await?;
        Ok(done())
    })
    .await
}

/// Deregister a phone number
///
/// It accepts nothing more, and keeps what it has queued until it is registered again.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudDeregister",
    path = "/{version}/{phone_number_id}/deregister",
    params(InNumber),
    responses(
        (status = 200, description = "It is registered no more.", body = Done),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Conflicting<CloudErrors>, Numbered<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/deregister")]
pub(crate) async fn deregister(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let id = by.id::<SenderId>("phone_number_id")?;
        by.api.onboarding.deregister(&by.actor(), &by.subtree(), id, now_ms()).await?;
        Ok(done())
    })
    .await
}
