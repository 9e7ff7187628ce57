//! Whom a sender wants to hear nothing from.

use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{now_ms, rfc3339},
    inbound::{BlockOutcome, BlockView},
};

use crate::{
    answers::{Absent, Asked, Bodied, Guarded},
    auth::{ByTenant, ContactsWrite, MessagesRead, SentByTenant},
    bodies::{PageOf, PageQuery},
    failure::Failure,
    input,
};

/// A sender in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InSender {
    /// Its phone number id.
    #[param(example = "106540352242922")]
    sender: String,
}

/// Somebody who is blocked, in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InBlock {
    /// The sender's phone number id.
    #[param(example = "106540352242922")]
    sender: String,
    /// The person: a phone number with its country code, or a user id.
    #[param(example = "16505550001")]
    person: String,
}

/// Somebody who is blocked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockedPerson {
    /// The phone number, digits without `+`.
    #[schema(example = "16505550001")]
    phone: Option<String>,
    /// The business-scoped user id.
    #[schema(example = "US.13491208655302741918")]
    user_id: Option<String>,
    /// Since when. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    blocked_at: String,
    /// How many messages of theirs were dropped since then.
    #[schema(example = 3)]
    dropped: i64,
}

impl From<BlockView> for BlockedPerson {
    fn from(view: BlockView) -> Self {
        Self { phone: view.phone, user_id: view.user_id, blocked_at: rfc3339(view.blocked_at), dropped: view.dropped }
    }
}

/// People to block.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockRequest {
    /// Phone numbers with their country codes, or user ids; at most 100.
    #[schema(min_items = 1, max_items = 100, example = json!(["+16505550001"]))]
    people: Vec<String>,
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockResult {
    /// The person, as the request wrote them.
    #[schema(example = "+16505550001")]
    input: String,
    /// Whether they are blocked now.
    blocked: bool,
    /// If not, the name of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "window_closed")]
    error: Option<&'static str>,
    /// And why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Only people who wrote to this number within the last 24 hours can be blocked.")]
    detail: Option<String>,
}

impl From<BlockOutcome> for BlockResult {
    fn from(outcome: BlockOutcome) -> Self {
        let error = outcome.result.err();
        Self {
            input: outcome.input,
            blocked: error.is_none(),
            error: error.as_ref().map(|error| error.kind.row().name),
            detail: error.map(|error| error.details),
        }
    }
}

/// List blocked people
#[utoipa::path(
    tag = "Inbound",
    operation_id = "listBlockedPeople",
    params(InSender, PageQuery),
    responses(
        (status = 200, description = "A page of people.", body = PageOf<BlockedPerson>),
        Guarded<MessagesRead>, Absent, Asked,
    ),
)]
#[get("/v1/senders/{sender}/blocked-people")]
pub(crate) async fn list_blocked_people(by: ByTenant<MessagesRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let page = by.api.inbox.blocked(by.principal.business(), by.id("sender")?, &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<BlockedPerson>::from(page)))
    })
    .await
}

/// Block people
///
/// Those who wrote to the sender within the last 24 hours. What they send from then on is counted and dropped, and
/// nothing is sent to them. Answers for each.
#[utoipa::path(
    tag = "Inbound",
    operation_id = "blockPeople",
    params(InSender),
    request_body = BlockRequest,
    responses(
        (status = 200, description = "What became of each, in their order.", body = PageOf<BlockResult>),
        Guarded<ContactsWrite>, Absent, Bodied,
    ),
)]
#[post("/v1/senders/{sender}/blocked-people")]
pub(crate) async fn block_people(sent: SentByTenant<ContactsWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let (sender, request) = (by.id("sender")?, input::json::<BlockRequest>(&sent.body)?);
        let outcomes = by.api.inbox.block(by.principal.business(), sender, &request.people, now_ms()).await?;
        Ok(HttpResponse::Ok().json(PageOf::<BlockResult>::whole(outcomes)))
    })
    .await
}

/// Unblock somebody
#[utoipa::path(
    tag = "Inbound",
    operation_id = "unblockPerson",
    params(InBlock),
    responses((status = 204, description = "They are let in again."), Guarded<ContactsWrite>, Absent),
)]
#[delete("/v1/senders/{sender}/blocked-people/{person}")]
pub(crate) async fn unblock_person(by: ByTenant<ContactsWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (sender, person): (_, String) = (by.id("sender")?, by.id("person")?);
        by.api.inbox.unblock_one(by.principal.business(), sender, &person).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}
