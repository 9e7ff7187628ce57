//! What stands behind an id alone: `GET /{version}/{id}` and its like. The Graph API has one
//! space of ids, so one handler finds out what an id is.

use actix_web::{HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::now_ms,
    error::{ApiError, ErrorKind},
    ids::{AccountId, SenderId, TemplateId},
    onboarding::State,
    paging::Paging,
    store::BusinessView,
    templates::Change,
    tenancy::{SENDERS_MAX_PER_BUSINESS, Scope, Tenant},
};

use super::{
    fields::{Fields, chosen, know},
    media, numbers,
    shapes::{Done, ListQuery, body, done, own_business},
    templates::{self, CloudTemplateChange},
};
use crate::{
    answers::{Absent, Bodied, CloudErrors, Conflicting, Guarded, Selectable},
    auth::{By, ByTenant, NoScope, SendersWrite, SentByTenant},
    failure::Failure,
};

/// The fields of an account that are answered when none are asked for.
const ACCOUNT_FIELDS: &[&str] = &["id", "name", "account_review_status", "business_verification_status"];

/// Fields that the Graph API has of an account and of which nothing is known here.
const FOREIGN_FIELDS: &[&str] = &[
    "country",
    "currency",
    "disable_marketing_messages_on_cloud_api",
    "is_enabled_for_insights",
    "marketing_messages_lite_api_status",
    "marketing_messages_onboarding_status",
    "message_template_namespace",
    "on_behalf_of_business_info",
    "ownership_type",
    "status",
    "subscribed_apps",
    "whatsapp_business_manager_messaging_limit",
];

/// An object in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InNode {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
    /// The id of a phone number, of a template, of a file or of your account.
    #[param(example = "106540352242922", pattern = "^[0-9]+$")]
    node_id: String,
}

/// The version in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InVersion {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
}

/// An object: its id, and the fields that were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "106540352242922", "display_phone_number": "+1 555-078-3881", "verified_name": "Ana's Bakery",
    "quality_rating": "UNKNOWN", "code_verification_status": "VERIFIED", "platform_type": "CLOUD_API",
    "throughput": {"level": "STANDARD"},
}))]
struct Node {
    id: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// What is to be changed.
#[derive(Deserialize, ToSchema)]
struct NodeChange {
    /// Of a phone number: the PIN of its two-step verification, six digits.
    #[schema(example = "204817")]
    pin: Option<String>,
    /// Of a template: what is to change about it.
    #[serde(flatten)]
    template: CloudTemplateChange,
}

/// Read a phone number, a template, a file or the account
///
/// Of a phone number there are `id`, `display_phone_number`, `verified_name`, `quality_rating`,
/// `code_verification_status`, `name_status`, `status`, `throughput`, `account_mode`, `platform_type`,
/// `is_official_business_account`, `health_status`, `webhook_configuration` and `last_onboarded_time`;
/// of a template `id`, `name`, `language`, `status`, `category`, `previous_category`, `parameter_format`, `components`,
/// `quality_score`, `rejected_reason`, `rejection_info` and `message_send_ttl_seconds`;
/// of the account `id`, `name`, `account_review_status`, `business_verification_status`, `owner_business_info`,
/// `phone_numbers`, `timezone_id` and `health_status`. Other fields of the Graph API may be asked for and are left out.
/// A file is answered with its `url`, `mime_type`, `sha256` and `file_size`
/// (`CloudMedia`); with `phone_number_id` in the query only if it was uploaded by that number.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudReadNode",
    path = "/{version}/{node_id}",
    params(InNode, ListQuery),
    responses(
        (status = 200, description = "It, with the fields that were asked for.", body = Node),
        Guarded<NoScope, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{node_id:[0-9]+}")]
pub(crate) async fn read_node(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (subtree, fields) = (by.subtree(), by.query::<ListQuery>()?.fields()?);
        if let Ok(id) = by.id::<SenderId>("node_id")
            && let Some(view) = by.api.store.sender(&subtree, id).await?
        {
            let all = numbers::all_fields(&by, &view).await?;
            let chosen = chosen(fields.as_ref(), numbers::KIND, numbers::USUAL_FIELDS, all)?;
            return Ok(HttpResponse::Ok().json(chosen));
        }
        if let Ok(id) = by.id::<TemplateId>("node_id") {
            match by.api.templates.template(&subtree, id).await {
                Ok(view) => return Ok(HttpResponse::Ok().json(templates::select(&view, fields.as_ref())?)),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let business = own_business(&by).await?;
        let id: AccountId = by.id("node_id")?;
        if business.account == id {
            return account(&by, &business, fields.as_ref()).await;
        }
        match by.api.media.get(&business.id, by.id("node_id")?).await {
            Ok(file) => media::shown(&by, file),
            Err(error) if error.kind == ErrorKind::NotFound => Err(ApiError::missing("object", &id)),
            // It is on its way from its network, for example.
            Err(error) => Err(error),
        }
    })
    .await
}

/// Read who asks
///
/// The account of the business that the token belongs to.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudReadMe",
    path = "/{version}/me",
    params(InVersion, ListQuery),
    responses(
        (status = 200, description = "The account, with the fields that were asked for.", body = Node),
        Guarded<NoScope, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}me")]
pub(crate) async fn read_me(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let fields = by.query::<ListQuery>()?.fields()?;
        let business = own_business(&by).await?;
        account(&by, &business, fields.as_ref()).await
    })
    .await
}

/// Set the PIN of a phone number, or change a template
///
/// The PIN is that of its two-step verification: registering the number asks for it from then on. A change of a template
/// needs the scope `templates:write` as well; it is a new version, which is reviewed while the one before stays in use.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudChangeNode",
    path = "/{version}/{node_id}",
    params(InNode),
    request_body = NodeChange,
    responses(
        (status = 200, description = "It is set.", body = Done),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>, Conflicting<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{node_id:[0-9]+}")]
pub(crate) async fn change_node(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let subtree = by.subtree();
        if let Ok(id) = by.id::<TemplateId>("node_id")
            && by.api.templates.template(&subtree, id).await.is_ok()
        {
            by.principal.require(Scope::TemplatesWrite)?;
            let change = body::<NodeChange, _>(&sent)?.template;
            let change = Change {
                category: change.category,
                components: change.components,
                parameter_format: change.parameter_format,
                message_send_ttl_seconds: change.message_send_ttl_seconds,
                ..Change::default()
            };
            by.api.templates.change((&by.actor(), &subtree), id, change, true, now_ms()).await?;
            return Ok(done());
        }
        let id = by.id::<SenderId>("node_id")?;
        by.api.registry.sender(&subtree, id).await?;
        let change: NodeChange = body(&sent)?;
        let pin = change.pin.unwrap_or_default();
        by.api.onboarding.set_pin(&by.actor(), &subtree, id, &pin, now_ms()).await?;
        Ok(done())
    })
    .await
}

async fn account(
    by: &By<Tenant, NoScope>,
    business: &BusinessView,
    fields: Option<&Fields>,
) -> Result<HttpResponse, ApiError> {
    let (review, verification) = match State::parse(&business.state) {
        Some(State::Approved) => ("APPROVED", "verified"),
        Some(State::Rejected) => ("REJECTED", "rejected"),
        Some(State::Submitted | State::InReview) => ("PENDING", "pending"),
        _ => ("PENDING", "not_verified"),
    };
    let can_send = if verification == "verified" { "AVAILABLE" } else { "LIMITED" };
    let mut all = json!({
        "id": business.account,
        "name": business.name,
        "account_review_status": review,
        "business_verification_status": verification,
        "owner_business_info": {"id": business.id.to_string(), "name": business.name},
        "health_status": {
            "can_send_message": can_send,
            "entities": [{"entity_type": "WABA", "id": business.account, "can_send_message": can_send}],
        },
        // No time zone was chosen: days are those of UTC.
        "timezone_id": "0",
        "phone_numbers": null,
    });
    if fields.is_some_and(|fields| fields.names("phone_numbers")) {
        let all_of_them = Paging::read(None, Some(SENDERS_MAX_PER_BUSINESS))?;
        let senders = by.api.registry.senders(&by.subtree(), &business.id, &all_of_them).await?;
        let mut data = Vec::with_capacity(senders.entries.len());
        for view in &senders.entries {
            data.push(Value::Object(numbers::all_fields(by, view).await?));
        }
        all["phone_numbers"] = json!({"data": data});
    }
    match all {
        Value::Object(mut all) => {
            know(&mut all, FOREIGN_FIELDS);
            Ok(HttpResponse::Ok().json(chosen(fields, "WhatsAppBusinessAccount", ACCOUNT_FIELDS, all)?))
        }
        _ => Err(ApiError::new(ErrorKind::Internal, "The account could not be shown.")),
    }
}
