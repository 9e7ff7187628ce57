//! Whom a sender wants to hear nothing from, as the Cloud API has it.

use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::now_ms,
    error::{ApiError, ErrorKind},
    inbound::{BlockOutcome, BlockView},
    messages::address::Address,
};

use crate::{
    answers::{Absent, Asked, Bodied, CloudErrors, Guarded},
    auth::{ByTenant, ContactsWrite, MessagesRead, SentByTenant},
    failure::{CloudErrorBody, Failure, cloud_error},
    input,
    request::RequestId,
};

/// A sender in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InSender {
    /// Any version of the Graph API, for example `v24.0`.
    #[param(example = "v24.0")]
    version: String,
    /// The sender.
    #[param(example = "106540352242922")]
    phone_number_id: String,
}

/// People to block, or to let in again.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CloudBlockRequest {
    /// Always `whatsapp`.
    #[schema(example = "whatsapp")]
    #[allow(dead_code, reason = "what clients send; nothing hangs on it")]
    messaging_product: Option<String>,
    /// At most 100.
    #[schema(min_items = 1, max_items = 100)]
    block_users: Vec<CloudUser>,
}

/// Somebody.
#[derive(Debug, Deserialize, ToSchema)]
struct CloudUser {
    /// A phone number with its country code, or a user id.
    #[schema(example = "+16505550001")]
    user: String,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CloudBlocked {
    #[schema(example = "whatsapp")]
    messaging_product: &'static str,
    block_users: CloudOutcomes,
    /// There if anybody failed.
    #[serde(flatten)]
    #[schema(ignore)]
    error: Option<CloudErrorBody>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
struct CloudOutcomes {
    /// Those who are blocked now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    added_users: Vec<CloudDone>,
    /// Those who are let in again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    removed_users: Vec<CloudDone>,
    /// Those of whom it could not be done, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    failed_users: Vec<CloudFailed>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudDone {
    /// As the request wrote them.
    #[schema(example = "+16505550001")]
    input: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "16505550001")]
    wa_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "US.13491208655302741918")]
    user_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudFailed {
    #[serde(flatten)]
    who: CloudDone,
    errors: [CloudReason; 1],
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudReason {
    #[schema(example = "(#131047) Re-engagement message")]
    message: String,
    #[schema(example = 131_047)]
    code: i64,
    error_data: CloudReasonData,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudReasonData {
    #[schema(example = "Only people who wrote to this number within the last 24 hours can be blocked.")]
    details: String,
}

/// A page of blocked people.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CloudBlocklist {
    data: Vec<CloudBlockedUser>,
    /// Not there on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    paging: Option<CloudBlockPaging>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudBlockedUser {
    #[schema(example = "whatsapp")]
    messaging_product: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "16505550001")]
    wa_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "US.13491208655302741918")]
    user_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudBlockPaging {
    cursors: CloudBlockCursors,
}

#[derive(Debug, Serialize, ToSchema)]
struct CloudBlockCursors {
    /// `after` of the request for the next page.
    #[schema(example = "MDFKRDlaOFc3VjZUNVM0UjNRMlAxTjBNOUs")]
    after: String,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CloudPage {
    /// `paging.cursors.after` of the page before; the first page without it.
    after: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

impl From<BlockView> for CloudBlockedUser {
    fn from(view: BlockView) -> Self {
        Self { messaging_product: "whatsapp", wa_id: view.phone, user_id: view.user_id }
    }
}

impl CloudDone {
    fn new(input: String, person: Option<Address>) -> Self {
        let (wa_id, user_id) = match person {
            Some(Address::Phone(phone)) => (Some(phone), None),
            Some(Address::UserId(id)) => (None, Some(id)),
            None => (None, None),
        };
        Self { input, wa_id, user_id }
    }
}

/// The answer to a request to block people, or to let them in.
fn answer(outcomes: Vec<BlockOutcome>, adding: bool, request_id: &str) -> HttpResponse {
    let mut told = CloudOutcomes::default();
    for outcome in outcomes {
        let who = CloudDone::new(outcome.input, outcome.person);
        match outcome.result {
            Ok(()) if adding => told.added_users.push(who),
            Ok(()) => told.removed_users.push(who),
            Err(error) => {
                let row = error.kind.row();
                let reason = CloudReason {
                    message: format!("(#{}) {}", row.code, row.title),
                    code: row.code,
                    error_data: CloudReasonData { details: error.details },
                };
                told.failed_users.push(CloudFailed { who, errors: [reason] });
            }
        }
    }
    let failed = !told.failed_users.is_empty();
    let details = "Some could not be blocked or let in; failed_users says why.";
    let error = failed.then(|| cloud_error(&ApiError::new(ErrorKind::BlockFailed, details), request_id));
    let mut response = if failed { HttpResponse::BadRequest() } else { HttpResponse::Ok() };
    response.json(CloudBlocked { messaging_product: "whatsapp", block_users: told, error })
}

/// List blocked people
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudListBlockedUsers",
    path = "/{version}/{phone_number_id}/block_users",
    params(InSender, CloudPage),
    responses(
        (status = 200, description = "A page of people.", body = CloudBlocklist),
        Guarded<MessagesRead, CloudErrors>, Absent<CloudErrors>, Asked<CloudErrors>,
    ),
)]
#[get("/{version:v[0-9]+\\.[0-9]+}/{phone_number_id}/block_users")]
pub(crate) async fn list_blocked_users(by: ByTenant<MessagesRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (sender, page): (_, CloudPage) = (by.id("phone_number_id")?, by.query()?);
        let paging = input::paging(page.after.as_deref(), page.limit)?;
        let page = by.api.inbox.blocked(by.principal.business(), sender, &paging).await?;
        Ok(HttpResponse::Ok().json(CloudBlocklist {
            data: page.entries.into_iter().map(Into::into).collect(),
            paging: page.next.map(|after| CloudBlockPaging { cursors: CloudBlockCursors { after } }),
        }))
    })
    .await
}

/// Block people
///
/// Those who wrote within the last 24 hours. What they send from then on is dropped, and nothing is sent to them.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudBlockUsers",
    path = "/{version}/{phone_number_id}/block_users",
    params(InSender),
    request_body = CloudBlockRequest,
    responses(
        (status = 200, description = "All of them are blocked.", body = CloudBlocked),
        Guarded<ContactsWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>,
    ),
)]
#[post("/{version:v[0-9]+\\.[0-9]+}/{phone_number_id}/block_users")]
pub(crate) async fn block_users(sent: SentByTenant<ContactsWrite>) -> Result<HttpResponse, Failure> {
    change(&sent, true).await
}

/// Unblock people
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudUnblockUsers",
    path = "/{version}/{phone_number_id}/block_users",
    params(InSender),
    request_body = CloudBlockRequest,
    responses(
        (status = 200, description = "All of them are let in again.", body = CloudBlocked),
        Guarded<ContactsWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>,
    ),
)]
#[delete("/{version:v[0-9]+\\.[0-9]+}/{phone_number_id}/block_users")]
pub(crate) async fn unblock_users(sent: SentByTenant<ContactsWrite>) -> Result<HttpResponse, Failure> {
    change(&sent, false).await
}

async fn change(sent: &SentByTenant<ContactsWrite>, adding: bool) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let sender = by.id("phone_number_id")?;
        let request: CloudBlockRequest = input::json(&sent.body)?;
        let people: Vec<String> = request.block_users.into_iter().map(|user| user.user).collect();
        let (inbox, business) = (&by.api.inbox, by.principal.business());
        let outcomes = if adding {
            inbox.block(business, sender, &people, now_ms()).await?
        } else {
            inbox.unblock(business, sender, &people).await?
        };
        Ok(answer(outcomes, adding, &RequestId::of(&by.request)))
    })
    .await
}
