//! The bodies that `/partner/v1` and `/v1` share: pages, credentials, senders, endpoints,
//! usage. Secrets are members of types of their own, which only the answer that creates one
//! has.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{Millis, date, day_of_date, rfc3339},
    credentials::{GRACE_DEFAULT_MS, Grant, Issued},
    error::ApiError,
    paging::Page,
    store::{ClientView, CredentialView, EndpointView, KeyView, SenderView, UsageDay, day_of},
    tenancy::{Limits, Principal, Scope, Standing},
};

/// Days of usage when the request does not say from where, today included.
const USAGE_DEFAULT_DAYS: i32 = 30;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageOf<T> {
    pub(crate) data: Vec<T>,
    /// The cursor of the next page; null at the end of the list.
    #[schema(example = json!(null))]
    pub(crate) next: Option<String>,
}

impl<T> PageOf<T> {
    /// A list that has one page only.
    pub(crate) fn whole(entries: impl IntoIterator<Item = impl Into<T>>) -> Self {
        Self { data: entries.into_iter().map(Into::into).collect(), next: None }
    }
}

impl<T, U: Into<T>> From<Page<U>> for PageOf<T> {
    fn from(page: Page<U>) -> Self {
        Self { data: page.entries.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// `next` of the page before; the first page without it.
    pub(crate) cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    pub(crate) limit: Option<u32>,
}

/// Whether something may act.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StandingBody {
    /// It may.
    Active,
    /// In the sandbox only, until it is verified.
    Unverified,
    /// Not now: what is queued is kept.
    Held,
}

/// How something stands, and why it is held.
pub(crate) fn standing(standing: &Standing) -> (StandingBody, Option<String>) {
    match standing {
        Standing::Active => (StandingBody::Active, None),
        Standing::Unverified => (StandingBody::Unverified, None),
        Standing::Held(why) => (StandingBody::Held, Some(why.to_string())),
    }
}

/// A number that a business sends from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sender {
    /// The phone number id.
    #[schema(example = "106540352242922")]
    id: String,
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// The WhatsApp Business account that it belongs to.
    #[schema(example = "102290129340398")]
    account: String,
    /// Its phone number: digits, without `+`.
    #[schema(example = "15550783881")]
    phone: String,
    /// The name that recipients see.
    #[schema(example = "Ana's Bakery")]
    display_name: String,
    #[schema(example = "whatsapp")]
    channel: String,
    /// The adapter that it sends through.
    #[schema(example = "sandbox")]
    adapter: String,
    /// Whether it may send, as everything above it and itself stand.
    standing: StandingBody,
    /// Why it may not, while it is held.
    #[schema(example = json!(null))]
    held_because: Option<String>,
    /// When its owner proved that the number is theirs. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    phone_verified_at: Option<String>,
    /// When it was paused. RFC 3339, UTC.
    #[schema(example = json!(null))]
    paused_at: Option<String>,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
}

impl From<SenderView> for Sender {
    fn from(view: SenderView) -> Self {
        let (standing, held_because) = standing(&view.sender.standing);
        Self {
            id: view.sender.id.to_string(),
            business: view.sender.business.to_string(),
            account: view.sender.account.to_string(),
            phone: view.sender.phone,
            display_name: view.display_name,
            channel: view.sender.channel,
            adapter: view.sender.adapter,
            standing,
            held_because,
            phone_verified_at: view.phone_verified_at.map(rfc3339),
            paused_at: view.paused_at.map(rfc3339),
            created_at: rfc3339(view.created_at),
        }
    }
}

/// What a credential allows, and to whom.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GrantBody {
    /// The name that its owner gave it.
    #[schema(example = "web shop")]
    name: String,
    /// `live`, or `test`, which reaches the sandbox only.
    #[schema(example = "test")]
    mode: &'static str,
    /// What it allows.
    #[schema(example = json!(["messages:send", "messages:read"]))]
    scopes: Vec<&'static str>,
    /// The addresses and networks it may be used from; any when there is none.
    #[schema(example = json!(["192.0.2.0/24"]))]
    addresses: Vec<String>,
    /// Whether its requests have to be signed.
    #[schema(example = false)]
    signed: bool,
    /// When it ends. RFC 3339, UTC.
    #[schema(example = json!(null))]
    expires_at: Option<String>,
}

impl From<Grant> for GrantBody {
    fn from(grant: Grant) -> Self {
        Self {
            name: grant.name,
            mode: grant.mode.name(),
            scopes: grant.scopes.iter().map(Scope::name).collect(),
            addresses: grant.addresses.iter().map(ToString::to_string).collect(),
            signed: grant.signed,
            expires_at: grant.expires_at.map(rfc3339),
        }
    }
}

/// When a credential was issued, used and revoked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CredentialTimes {
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
    /// To the minute. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:01:00.000Z")]
    last_used_at: Option<String>,
    /// From where it was last used.
    #[schema(example = "192.0.2.17")]
    last_used_address: Option<String>,
    /// RFC 3339, UTC.
    #[schema(example = json!(null))]
    revoked_at: Option<String>,
}

impl<Id> From<&CredentialView<Id>> for CredentialTimes {
    fn from(view: &CredentialView<Id>) -> Self {
        Self {
            created_at: rfc3339(view.created_at),
            last_used_at: view.last_used_at.map(rfc3339),
            last_used_address: view.last_used_address.clone(),
            revoked_at: view.revoked_at.map(rfc3339),
        }
    }
}

/// An API key, without what lets somebody in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKey {
    /// Its id; says nothing about the key.
    #[schema(example = "key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// What it begins with.
    #[schema(example = "ws_test_Jq3xY9")]
    prefix: String,
    #[serde(flatten)]
    grant: GrantBody,
    #[serde(flatten)]
    times: CredentialTimes,
    /// The key that takes over from it, once it was rotated.
    #[schema(example = json!(null))]
    successor: Option<String>,
}

impl From<KeyView> for ApiKey {
    fn from(view: KeyView) -> Self {
        Self {
            id: view.id.to_string(),
            times: CredentialTimes::from(&view),
            prefix: view.prefix,
            grant: view.grant.into(),
            successor: view.successor.map(|id| id.to_string()),
        }
    }
}

/// An API key that was just issued.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedApiKey {
    #[serde(flatten)]
    key: ApiKey,
    /// The key itself: `ws_live_…`, `ws_test_…`, of a reseller `ws_reseller_…`. It is shown here only.
    #[schema(example = "ws_test_…")]
    api_key: String,
}

impl IssuedApiKey {
    pub(crate) fn new(view: KeyView, issued: &Issued) -> Self {
        Self { key: view.into(), api_key: issued.reveal().to_owned() }
    }
}

/// An OAuth client, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OauthClient {
    /// Its client id.
    #[schema(example = "client_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    #[serde(flatten)]
    grant: GrantBody,
    #[serde(flatten)]
    times: CredentialTimes,
    /// Until when its previous secret holds, once it was rotated. RFC 3339, UTC.
    #[schema(example = json!(null))]
    previous_secret_until: Option<String>,
}

impl From<ClientView> for OauthClient {
    fn from(view: ClientView) -> Self {
        Self {
            id: view.id.to_string(),
            times: CredentialTimes::from(&view),
            grant: view.grant.into(),
            previous_secret_until: view.previous_until.map(rfc3339),
        }
    }
}

/// An OAuth client with the secret that it just got.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedOauthClient {
    #[serde(flatten)]
    client: OauthClient,
    /// Its secret, for `/oauth/token`. It is shown here only.
    #[schema(example = "ws_secret_…")]
    client_secret: String,
}

impl IssuedOauthClient {
    pub(crate) fn new(view: ClientView, issued: &Issued) -> Self {
        Self { client: view.into(), client_secret: issued.reveal().to_owned() }
    }
}

/// Where a business wants to be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookEndpoint {
    #[schema(example = "ep_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub(crate) id: String,
    #[schema(example = "https://shop.example/hooks/whatsapp")]
    url: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
}

impl From<EndpointView> for WebhookEndpoint {
    fn from(view: EndpointView) -> Self {
        Self { id: view.id.to_string(), url: view.url, created_at: rfc3339(view.created_at) }
    }
}

/// Messages that one sender had accepted on one day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// The day, UTC.
    #[schema(example = "2026-11-22")]
    day: String,
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    sender: String,
    #[schema(example = 4_711)]
    messages: i64,
}

impl From<UsageDay> for Usage {
    fn from(row: UsageDay) -> Self {
        Self {
            day: date(row.day),
            business: row.business.to_string(),
            sender: row.sender.to_string(),
            messages: row.messages,
        }
    }
}

/// How much a credential may ask for; null is no limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitsBody {
    /// Requests a second, over all credentials of the business.
    #[schema(example = 200)]
    requests_per_second: Option<u32>,
    /// Requests a second of one credential.
    #[schema(example = 50)]
    requests_per_second_and_key: Option<u32>,
    /// Messages of the business in a day (UTC).
    #[schema(example = 10_000)]
    messages_per_day: Option<u64>,
}

impl From<Limits> for LimitsBody {
    fn from(limits: Limits) -> Self {
        Self {
            requests_per_second: limits.requests_per_second,
            requests_per_second_and_key: limits.requests_per_second_and_key,
            messages_per_day: limits.messages_per_day,
        }
    }
}

/// How long a secret that is replaced holds on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"grace_hours": 24}))]
pub(crate) struct RotationRequest {
    /// How long the old one holds after this, in hours: from 0 to 72, and 24 when left out.
    #[schema(minimum = 0, maximum = 72)]
    pub(crate) grace_hours: Option<u32>,
}

impl RotationRequest {
    /// How long, in milliseconds.
    pub(crate) fn grace_ms(&self) -> Millis {
        let hours = |hours: u32| Millis::from(hours) * 60 * 60 * 1_000;
        self.grace_hours.map_or(GRACE_DEFAULT_MS, hours)
    }
}

/// Why something is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "The number moves to another business."}))]
pub(crate) struct ReasonRequest {
    /// Why, in 1 to 1,000 characters. It is kept and shown.
    #[schema(min_length = 1, max_length = 1000)]
    pub(crate) reason: String,
}

/// The credential that a request came with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CredentialBody {
    /// The id of the API key or OAuth client.
    #[schema(example = "key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    #[schema(example = "web shop")]
    name: String,
    /// `live`, or `test`, which reaches the sandbox only.
    #[schema(example = "live")]
    mode: &'static str,
    #[schema(example = json!(["admin"]))]
    scopes: Vec<&'static str>,
    /// When it ends. RFC 3339, UTC.
    #[schema(example = json!(null))]
    expires_at: Option<String>,
}

impl From<&Principal> for CredentialBody {
    fn from(principal: &Principal) -> Self {
        Self {
            id: principal.credential.clone(),
            name: principal.name.clone(),
            mode: principal.mode.name(),
            scopes: principal.scopes.iter().map(Scope::name).collect(),
            expires_at: principal.expires_at.map(rfc3339),
        }
    }
}

/// The days from `from` to `to`, in days since 1970, UTC.
pub(crate) fn days(from: Option<&str>, to: Option<&str>, now: Millis) -> Result<(i32, i32), ApiError> {
    let day = |name: &str, text: &str| {
        day_of_date(text).ok_or_else(|| ApiError::breach(name, "must be a date such as 2026-11-22"))
    };
    let last = to.map_or(Ok(day_of(now)), |text| day("?to", text))?;
    let first = from.map_or(Ok(last - USAGE_DEFAULT_DAYS + 1), |text| day("?from", text))?;
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_of_the_last_thirty_days_unless_the_query_says_otherwise() {
        let now = 20_779 * 24 * 60 * 60 * 1_000 + 1;
        assert_eq!(days(None, None, now).unwrap(), (20_750, 20_779));
        assert_eq!(days(Some("2026-11-20"), None, now).unwrap(), (20_777, 20_779));
        assert_eq!(days(None, Some("2026-11-20"), now).unwrap(), (20_748, 20_777));
        assert_eq!(days(Some("x"), None, now).unwrap_err().breaches[0].pointer, "?from");
        assert_eq!(days(None, Some("2026-02-30"), now).unwrap_err().breaches[0].pointer, "?to");
    }
}
