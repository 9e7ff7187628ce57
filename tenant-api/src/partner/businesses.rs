//! Businesses and what they may use.

use actix_web::{get, post, put};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{now_ms, rfc3339},
    credentials::GrantRequest,
    error::ApiError,
    onboarding::State,
    store::{BusinessFilter, BusinessView},
    tenancy::{BusinessRequest, Policy},
};

use super::{Answer, InBusiness, created, ok};
use crate::{
    answers::{Absent, Asked, Bodied, Guarded},
    auth::{BusinessesRead, BusinessesWrite, ByPartner, SentByPartner},
    bodies::{IssuedApiKey, PageOf, StandingBody, standing},
    input,
};

/// The name of the key that a new business gets.
const FIRST_KEY_NAME: &str = "first test key";

/// A business.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Business {
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    #[schema(example = "Ana's Bakery")]
    name: String,
    /// How far its verification has come.
    #[schema(value_type = State, example = "draft")]
    state: String,
    /// Whether it may send, as its reseller and itself stand.
    standing: StandingBody,
    /// Why it may not, while it is held.
    #[schema(example = json!(null))]
    held_because: Option<String>,
    /// The WhatsApp Business account of its senders.
    #[schema(example = "102290129340398")]
    account: String,
    /// What it may use: its own part.
    policy: Policy,
    /// What it may use, as everything above it allows.
    effective_policy: Policy,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
}

impl From<BusinessView> for Business {
    fn from(view: BusinessView) -> Self {
        let (standing, held_because) = standing(&view.standing);
        Self {
            id: view.id.to_string(),
            name: view.name,
            state: view.state,
            standing,
            held_because,
            account: view.account.to_string(),
            policy: view.policy,
            effective_policy: view.effective_policy,
            created_at: rfc3339(view.created_at),
        }
    }
}

/// A business that was just created, with what it needs to try everything out.
#[derive(Serialize, ToSchema)]
pub(super) struct NewBusiness {
    #[serde(flatten)]
    business: Business,
    /// Signs its webhooks. It is shown here only.
    #[schema(example = "0123456789abcdef0123456789abcdef")]
    signing_secret: String,
    /// Its first API key, for the sandbox.
    test_key: IssuedApiKey,
}

/// Which businesses.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BusinessQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// Those in this state.
    #[param(value_type = Option<State>)]
    state: Option<String>,
    /// Those whose name contains this, whatever its case.
    #[param(example = "bakery")]
    search: Option<String>,
}

/// List businesses
///
/// Newest first.
#[utoipa::path(
    tag = "Businesses",
    operation_id = "listBusinesses",
    params(BusinessQuery),
    responses(
        (status = 200, description = "A page of businesses.", body = PageOf<Business>),
        Guarded<BusinessesRead>, Asked,
    ),
)]
#[get("/partner/v1/businesses")]
pub(super) async fn list_businesses(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let query: BusinessQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        if query.state.as_deref().is_some_and(|state| State::parse(state).is_none()) {
            let names = State::ALL.map(State::name).join(", ");
            return Err(ApiError::breach("?state", format!("must be one of {names}")));
        }
        let filter = BusinessFilter { reseller: None, state: query.state, search: query.search };
        let page = by.api.registry.businesses(&by.subtree(), &filter, &paging).await?;
        Ok(ok(PageOf::<Business>::from(page)))
    })
    .await
}

/// Create a business
///
/// It begins in draft, with a test key and a signing secret, so that its developers can start in the sandbox at once.
/// Both are shown in this answer only.
#[utoipa::path(
    tag = "Businesses",
    operation_id = "createBusiness",
    request_body = BusinessRequest,
    responses(
        (status = 201, description = "The business, with its first secrets.", body = NewBusiness),
        Guarded<BusinessesWrite>, Bodied,
    ),
)]
#[post("/partner/v1/businesses")]
pub(super) async fn create_business(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let request: BusinessRequest = input::json(&sent.body)?;
        let (actor, subtree, now) = (by.actor(), by.subtree(), now_ms());
        let reseller = &by.principal.reseller;
        let (view, signing_secret) = by.api.registry.create_business(&actor, &subtree, reseller, &request, now).await?;
        let owner = by.api.credentials.owner(&subtree, Some(&view.id)).await?;
        let grant = GrantRequest { name: FIRST_KEY_NAME.to_owned(), ..GrantRequest::default() };
        let (key, issued) = by.api.credentials.issue_key(&actor, &owner, &grant, now).await?;
        let location = format!("/partner/v1/businesses/{}", view.id);
        let test_key = IssuedApiKey::new(key, &issued);
        Ok(created(&location, NewBusiness { business: view.into(), signing_secret, test_key }))
    })
    .await
}

/// Read a business
#[utoipa::path(
    tag = "Businesses",
    operation_id = "getBusiness",
    params(InBusiness),
    responses((status = 200, description = "The business.", body = Business), Guarded<BusinessesRead>, Absent),
)]
#[get("/partner/v1/businesses/{business}")]
pub(super) async fn get_business(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let view = by.api.registry.business(&by.subtree(), &by.id("business")?).await?;
        Ok(ok(Business::from(view)))
    })
    .await
}

/// Set what a business may use
///
/// The whole policy: what is left out is inherited. It can be as much as the reseller may use, and not more.
#[utoipa::path(
    tag = "Businesses",
    operation_id = "setBusinessPolicy",
    params(InBusiness),
    request_body = Policy,
    responses(
        (status = 200, description = "The business.", body = Business),
        Guarded<BusinessesWrite>, Absent, Bodied,
    ),
)]
#[put("/partner/v1/businesses/{business}/policy")]
pub(super) async fn set_policy(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (id, policy) = (by.id("business")?, input::json::<Policy>(&sent.body)?);
        let registry = &by.api.registry;
        let view = registry.set_business_policy(&by.actor(), &by.subtree(), &id, &policy, now_ms()).await?;
        Ok(ok(Business::from(view)))
    })
    .await
}
