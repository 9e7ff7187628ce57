//! What a reseller can look up: itself, usage, cases of suspected abuse, the audit log.

use actix_web::get;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    audit::{ActorKind, AuditEntry},
    clock::{now_ms, rfc3339},
    error::ApiError,
    ids::BusinessId,
    store::{CaseView, ResellerView},
    tenancy::{Policy, Principal, Subtree},
};

use super::{Answer, ok};
use crate::{
    answers::{Absent, Asked, Guarded},
    auth::{AuditRead, BillingRead, BusinessesRead, ByPartner, NoScope},
    bodies::{CredentialBody, LimitsBody, PageOf, Usage, days},
    input,
};

/// A reseller, and the credential that asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reseller {
    #[schema(example = "rs_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    #[schema(example = "Northern Messaging")]
    name: String,
    /// `active` or `suspended`.
    #[schema(example = "active")]
    status: String,
    /// What its businesses may use at most.
    policy: Policy,
    /// How much this credential may ask for.
    limits: LimitsBody,
    credential: CredentialBody,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
}

impl Reseller {
    fn new(view: ResellerView, principal: &Principal) -> Self {
        Self {
            id: view.id.to_string(),
            name: view.name,
            status: view.status,
            policy: view.policy,
            limits: principal.limits.into(),
            credential: principal.into(),
            created_at: rfc3339(view.created_at),
        }
    }
}

/// What a sender did within two days, and what spoke against it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
struct Evidence {
    /// Messages accepted.
    #[schema(example = 1_000)]
    messages: i64,
    /// Messages that the network took for spam.
    #[schema(example = 0)]
    spam: i64,
    /// Recipients who opted out.
    #[schema(example = 35)]
    opt_outs: i64,
    /// Recipients who blocked the sender.
    #[schema(example = 0)]
    blocks: i64,
}

/// What something was or is, by the names of its members; without secrets.
#[derive(ToSchema)]
#[schema(example = json!({"name": "web shop", "mode": "test"}))]
struct Facts {}

/// A case of suspected abuse: a sender that was paused by the rule against spam.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AbuseCase {
    #[schema(example = "case_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// The sender that was paused.
    #[schema(example = "106540352242922")]
    sender: String,
    /// Why, in a sentence.
    #[schema(example = "Recipients opted out: 35 of 1000 messages in 2 days, 3.5 %, where 3.0 % are too many")]
    reason: String,
    /// The numbers behind it.
    #[schema(value_type = Evidence)]
    evidence: Value,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    opened_at: String,
    /// When a reviewer decided it. RFC 3339, UTC.
    #[schema(example = json!(null))]
    closed_at: Option<String>,
    /// What the reviewer decided, with their words.
    #[schema(example = json!(null))]
    resolution: Option<String>,
}

impl From<CaseView> for AbuseCase {
    fn from(view: CaseView) -> Self {
        Self {
            id: view.id.to_string(),
            business: view.business.to_string(),
            sender: view.sender.to_string(),
            reason: view.reason,
            evidence: view.evidence,
            opened_at: rfc3339(view.opened_at),
            closed_at: view.closed_at.map(rfc3339),
            resolution: view.resolution,
        }
    }
}

/// Who did something.
#[derive(Debug, Serialize, ToSchema)]
struct AuditActor {
    /// `key` for programs, `user` for people at the dashboard, `operator` and `system` for the platform.
    #[schema(example = "key")]
    kind: String,
    /// Empty for those that have none.
    #[schema(example = "key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// As it was then.
    #[schema(example = "web shop")]
    name: String,
    /// Of programs: the address that the request came from.
    #[schema(example = "192.0.2.17")]
    address: Option<String>,
}

/// An administrative action.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditLogEntry {
    /// Its place in the log.
    #[schema(example = 42)]
    seq: i64,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
    /// What, as `thing.verb`.
    #[schema(example = "key.issued")]
    action: String,
    actor: AuditActor,
    /// The request by which it was done.
    #[schema(example = "01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    request_id: Option<String>,
    /// In which business.
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: Option<String>,
    /// The id of what it was done to.
    #[schema(example = "key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    subject: String,
    /// What it was before, without secrets.
    #[schema(value_type = Option<Facts>)]
    before: Option<Value>,
    /// What it became, without secrets.
    #[schema(value_type = Option<Facts>)]
    after: Option<Value>,
}

impl From<AuditEntry> for AuditLogEntry {
    fn from(entry: AuditEntry) -> Self {
        let parsed = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        // People's addresses, the platform's staff's among them, are not a reseller's to know.
        let address = entry.address.filter(|_| entry.actor_kind == ActorKind::Key.name());
        Self {
            seq: entry.seq,
            at: rfc3339(entry.at),
            action: entry.action,
            actor: AuditActor { kind: entry.actor_kind, id: entry.actor_id, name: entry.actor_name, address },
            request_id: entry.request_id,
            business: entry.business.map(|id| id.to_string()),
            subject: entry.subject,
            before: parsed(entry.before),
            after: parsed(entry.after),
        }
    }
}

/// Which days.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// The first day, UTC; when left out, 30 days before the last.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day, UTC; today when left out. At most 366 days are told at once.
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// Of this business only.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: Option<String>,
}

/// Which part of what a reseller sees.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// Of this business only.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: Option<String>,
}

/// Which cases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CaseQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// Those only that wait for a decision.
    #[param(example = true)]
    open: Option<bool>,
    /// Of this business only.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: Option<String>,
}

/// The id of a business in the query.
fn business_in(text: Option<&str>) -> Result<Option<BusinessId>, ApiError> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|_| ApiError::breach("?business", "must be the id of a business: \"biz_\" and 26 characters"))
}

/// What the reseller sees, or the business in the query alone when there is one.
async fn part<N>(by: &ByPartner<N>, business: Option<&str>) -> Result<Subtree, ApiError> {
    match business_in(business)? {
        Some(id) => Ok(Subtree::Business(by.api.registry.business(&by.subtree(), &id).await?.id)),
        None => Ok(by.subtree()),
    }
}

/// Read the reseller, and the credential that asks
#[utoipa::path(
    tag = "Reseller",
    operation_id = "getReseller",
    responses((status = 200, description = "The reseller.", body = Reseller), Guarded<NoScope>),
)]
#[get("/partner/v1/me")]
pub(super) async fn get_reseller(by: ByPartner<NoScope>) -> Answer {
    by.answer(async {
        let view = by.api.registry.reseller(&by.subtree(), &by.principal.reseller).await?;
        Ok(ok(Reseller::new(view, &by.principal)))
    })
    .await
}

/// List usage
///
/// Messages accepted, by day, business and sender.
#[utoipa::path(
    tag = "Insight",
    operation_id = "listUsage",
    params(UsageQuery),
    responses(
        (status = 200, description = "A page of days with messages.", body = PageOf<Usage>),
        Guarded<BillingRead>, Absent, Asked,
    ),
)]
#[get("/partner/v1/usage")]
pub(super) async fn list_usage(by: ByPartner<BillingRead>) -> Answer {
    by.answer(async {
        let query: UsageQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let span = days(query.from.as_deref(), query.to.as_deref(), now_ms())?;
        let business = business_in(query.business.as_deref())?;
        let page = by.api.registry.usage(&by.subtree(), business.as_ref(), span, &paging).await?;
        Ok(ok(PageOf::<Usage>::from(page)))
    })
    .await
}

/// List cases of suspected abuse
///
/// Newest first. A reviewer of the platform decides them.
#[utoipa::path(
    tag = "Insight",
    operation_id = "listCases",
    params(CaseQuery),
    responses(
        (status = 200, description = "A page of cases.", body = PageOf<AbuseCase>),
        Guarded<BusinessesRead>, Absent, Asked,
    ),
)]
#[get("/partner/v1/cases")]
pub(super) async fn list_cases(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let query: CaseQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let part = part(&by, query.business.as_deref()).await?;
        let page = by.api.abuse.cases(&part, query.open.unwrap_or(false), &paging).await?;
        Ok(ok(PageOf::<AbuseCase>::from(page)))
    })
    .await
}

/// List the audit log
///
/// Every administrative action on the reseller and its businesses, newest first.
#[utoipa::path(
    tag = "Insight",
    operation_id = "listAuditLog",
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of entries.", body = PageOf<AuditLogEntry>),
        Guarded<AuditRead>, Absent, Asked,
    ),
)]
#[get("/partner/v1/audit_log")]
pub(super) async fn list_audit_log(by: ByPartner<AuditRead>) -> Answer {
    by.answer(async {
        let query: AuditQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let part = part(&by, query.business.as_deref()).await?;
        let page = by.api.store.audit_page(&part, &paging).await?;
        Ok(ok(PageOf::<AuditLogEntry>::from(page)))
    })
    .await
}
