//! The business profile of a phone number: what people see of it in their apps.

use actix_web::{HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use waystation_core::{
    clock::now_ms,
    ids::SenderId,
    senders::{SenderProfile, SenderProfileChange},
};

use super::{
    fields::chosen,
    shapes::{Done, InNumber, ListQuery, body, done},
};
use crate::{
    answers::{Absent, Bodied, CloudErrors, Guarded, Selectable},
    auth::{ByTenant, NoScope, SendersWrite, SentByTenant},
    failure::Failure,
};

const FIELDS: &[&str] = &["about", "address", "description", "email", "messaging_product", "vertical", "websites"];

/// The profile, in a list of one.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
struct CloudProfiles {
    data: Vec<CloudProfile>,
}

/// What people see of a phone number, with the fields that were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
struct CloudProfile {
    /// Always `whatsapp`.
    #[schema(example = "whatsapp")]
    messaging_product: Option<String>,
    #[serde(flatten)]
    profile: SenderProfile,
}

/// What is to be changed of a profile.
#[derive(Deserialize, ToSchema)]
struct CloudProfileChange {
    /// Always `whatsapp`.
    #[schema(example = "whatsapp")]
    #[allow(dead_code, reason = "for the documentation")]
    messaging_product: Option<String>,
    #[serde(flatten)]
    change: SenderProfileChange,
}

/// Read the business profile
///
/// Of a number whose network keeps profiles, as that has it.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudReadProfile",
    path = "/{version}/{phone_number_id}/whatsapp_business_profile",
    params(InNumber, ListQuery),
    responses(
        (status = 200, description = "The profile.", body = CloudProfiles),
        Guarded<NoScope, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/whatsapp_business_profile")]
pub(crate) async fn read_profile(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer_of_others(async {
        let (id, fields) = (by.id::<SenderId>("phone_number_id")?, by.query::<ListQuery>()?.fields()?);
        let profile = by.api.senders.profile(&by.subtree(), id, now_ms()).await?;
        let all = chosen(fields.as_ref(), "WhatsAppBusinessProfile", FIELDS, all_fields(&profile))?;
        Ok(HttpResponse::Ok().json(json!({"data": [all]})))
    })
    .await
}

/// Change the business profile
///
/// Members that are left out stay as they are; an empty text or list clears.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudChangeProfile",
    path = "/{version}/{phone_number_id}/whatsapp_business_profile",
    params(InNumber),
    request_body = CloudProfileChange,
    responses(
        (status = 200, description = "It is changed.", body = Done),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/whatsapp_business_profile")]
pub(crate) async fn change_profile(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let (id, change) = (by.id::<SenderId>("phone_number_id")?, body::<CloudProfileChange, _>(&sent)?.change);
        by.api.senders.change_profile(&by.actor(), &by.subtree(), id, &change, now_ms()).await?;
        Ok(done())
    })
    .await
}

/// Every field; null where nothing was set, but for the line of business, which client libraries rely on.
fn all_fields(profile: &SenderProfile) -> Map<String, Value> {
    let mut all: Map<String, Value> = ["about", "address", "description", "email", "websites", "profile_picture_url"]
        .map(|name| (name.to_owned(), Value::Null))
        .into_iter()
        .collect();
    all.insert("messaging_product".to_owned(), json!("whatsapp"));
    all.insert("vertical".to_owned(), json!("UNDEFINED"));
    if let Value::Object(set) = json!(profile) {
        all.extend(set.into_iter().filter(|(name, _)| name != "profile_picture_handle"));
    }
    all
}
