//! API keys, OAuth clients and signing secrets: of businesses, and the reseller's own. What
//! is issued here is shown in the answer that issues it, and never again.

use actix_web::{delete, get, post};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{now_ms, rfc3339},
    credentials::GrantRequest,
    error::ApiError,
    store::Owner,
};

use super::{Answer, InBusiness, created, nothing, ok};
use crate::{
    answers::{Absent, Asked, Bodied, Conflicting, Guarded},
    auth::{Admin, BusinessesRead, ByPartner, CredentialsWrite, SentByPartner},
    bodies::{ApiKey, IssuedApiKey, IssuedOauthClient, OauthClient, PageOf, PageQuery, RotationRequest},
    input,
};

/// An API key of a business in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InKey {
    /// The business.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// The API key's id.
    #[param(example = "key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    api_key: String,
}

/// An OAuth client of a business in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InClient {
    /// The business.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// The client's id.
    #[param(example = "client_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    oauth_client: String,
}

/// An API key of the reseller in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InOwnKey {
    /// The API key's id.
    #[param(example = "key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    api_key: String,
}

/// An OAuth client of the reseller in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InOwnClient {
    /// The client's id.
    #[param(example = "client_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    oauth_client: String,
}

/// A signing secret, without the secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SigningSecret {
    /// Its id; says nothing about the secret.
    #[schema(example = "sec_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
    /// When it ends, once a newer one took over. RFC 3339, UTC.
    #[schema(example = json!(null))]
    expires_at: Option<String>,
}

/// A signing secret that was just issued.
#[derive(Serialize, ToSchema)]
pub(super) struct IssuedSigningSecret {
    /// Signs webhooks, and requests by keys that have to sign. It is shown here only.
    #[schema(example = "0123456789abcdef0123456789abcdef")]
    signing_secret: String,
    /// Until when the one before it holds. RFC 3339, UTC.
    #[schema(example = "2026-11-23T10:00:00.000Z")]
    previous_until: String,
}

/// The business in the path, as an owner of credentials.
async fn business_of<N>(by: &ByPartner<N>) -> Result<Owner, ApiError> {
    by.api.credentials.owner(&by.subtree(), Some(&by.id("business")?)).await
}

/// The reseller, as an owner of credentials.
async fn own<N>(by: &ByPartner<N>) -> Result<Owner, ApiError> {
    by.api.credentials.owner(&by.subtree(), None).await
}

/// Where credentials of an owner are.
fn place(owner: &Owner) -> String {
    match &owner.business {
        Some(business) => format!("/partner/v1/businesses/{business}"),
        None => "/partner/v1".to_owned(),
    }
}

/// List the API keys of a business
///
/// Newest first, those that are revoked or have expired too.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "listApiKeys",
    params(InBusiness, PageQuery),
    responses(
        (status = 200, description = "A page of API keys.", body = PageOf<ApiKey>),
        Guarded<BusinessesRead>, Absent, Asked,
    ),
)]
#[get("/partner/v1/businesses/{business}/api_keys")]
pub(super) async fn list_keys(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let keys = by.api.credentials.keys(&business_of(&by).await?, &paging).await?;
        Ok(ok(PageOf::<ApiKey>::from(keys)))
    })
    .await
}

/// Issue an API key of a business
///
/// A test key reaches the sandbox, and can be issued from the start; a live key once the business is verified.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "issueApiKey",
    params(InBusiness),
    request_body = GrantRequest,
    responses(
        (status = 201, description = "The key. The key itself is shown here only.", body = IssuedApiKey),
        Guarded<CredentialsWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/api_keys")]
pub(super) async fn issue_key(sent: SentByPartner<CredentialsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let owner = business_of(by).await?;
        let request: GrantRequest = input::json(&sent.body)?;
        let (view, issued) = by.api.credentials.issue_key(&by.actor(), &owner, &request, now_ms()).await?;
        let location = format!("{}/api_keys/{}", place(&owner), view.id);
        Ok(created(&location, IssuedApiKey::new(view, &issued)))
    })
    .await
}

/// Read an API key of a business
#[utoipa::path(
    tag = "Credentials",
    operation_id = "getApiKey",
    params(InKey),
    responses((status = 200, description = "The key.", body = ApiKey), Guarded<BusinessesRead>, Absent),
)]
#[get("/partner/v1/businesses/{business}/api_keys/{api_key}")]
pub(super) async fn get_key(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let (owner, id) = (business_of(&by).await?, by.id("api_key")?);
        Ok(ok(ApiKey::from(by.api.credentials.key(&owner, &id).await?)))
    })
    .await
}

/// Rotate an API key of a business
///
/// Issues its successor, with the same name, scopes and bounds. The old key holds on for the grace time.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "rotateApiKey",
    params(InKey),
    request_body(content = Option<RotationRequest>),
    responses(
        (status = 201, description = "The successor. The key itself is shown here only.", body = IssuedApiKey),
        Guarded<CredentialsWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/api_keys/{api_key}/rotate")]
pub(super) async fn rotate_key(sent: SentByPartner<CredentialsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (owner, id) = (business_of(by).await?, by.id("api_key")?);
        let request: RotationRequest = input::json_or_default(&sent.body)?;
        let credentials = &by.api.credentials;
        let (view, issued) = credentials.rotate_key(&by.actor(), &owner, &id, request.grace_ms(), now_ms()).await?;
        let location = format!("{}/api_keys/{}", place(&owner), view.id);
        Ok(created(&location, IssuedApiKey::new(view, &issued)))
    })
    .await
}

/// Revoke an API key of a business
///
/// It is refused from now on, for good. Revoking one that is revoked changes nothing.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "revokeApiKey",
    params(InKey),
    responses((status = 204, description = "It is revoked."), Guarded<CredentialsWrite>, Absent),
)]
#[delete("/partner/v1/businesses/{business}/api_keys/{api_key}")]
pub(super) async fn revoke_key(by: ByPartner<CredentialsWrite>) -> Answer {
    by.answer(async {
        let (owner, id) = (business_of(&by).await?, by.id("api_key")?);
        by.api.credentials.revoke_key(&by.actor(), &owner, &id, now_ms()).await?;
        Ok(nothing())
    })
    .await
}

/// List the OAuth clients of a business
///
/// Newest first, those that are revoked or have expired too.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "listOauthClients",
    params(InBusiness, PageQuery),
    responses(
        (status = 200, description = "A page of OAuth clients.", body = PageOf<OauthClient>),
        Guarded<BusinessesRead>, Absent, Asked,
    ),
)]
#[get("/partner/v1/businesses/{business}/oauth_clients")]
pub(super) async fn list_clients(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let clients = by.api.credentials.clients(&business_of(&by).await?, &paging).await?;
        Ok(ok(PageOf::<OauthClient>::from(clients)))
    })
    .await
}

/// Issue an OAuth client of a business
///
/// Its id and secret are exchanged for access tokens at `/oauth/token`.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "issueOauthClient",
    params(InBusiness),
    request_body = GrantRequest,
    responses(
        (status = 201, description = "The client. Its secret is shown here only.", body = IssuedOauthClient),
        Guarded<CredentialsWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/oauth_clients")]
pub(super) async fn issue_client(sent: SentByPartner<CredentialsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let owner = business_of(by).await?;
        let request: GrantRequest = input::json(&sent.body)?;
        let (view, issued) = by.api.credentials.issue_client(&by.actor(), &owner, &request, now_ms()).await?;
        let location = format!("{}/oauth_clients/{}", place(&owner), view.id);
        Ok(created(&location, IssuedOauthClient::new(view, &issued)))
    })
    .await
}

/// Read an OAuth client of a business
#[utoipa::path(
    tag = "Credentials",
    operation_id = "getOauthClient",
    params(InClient),
    responses((status = 200, description = "The client.", body = OauthClient), Guarded<BusinessesRead>, Absent),
)]
#[get("/partner/v1/businesses/{business}/oauth_clients/{oauth_client}")]
pub(super) async fn get_client(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let (owner, id) = (business_of(&by).await?, by.id("oauth_client")?);
        Ok(ok(OauthClient::from(by.api.credentials.client(&owner, &id).await?)))
    })
    .await
}

/// Give an OAuth client of a business a new secret
///
/// The old secret holds on for the grace time; tokens that it got hold until they end.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "rotateOauthClient",
    params(InClient),
    request_body(content = Option<RotationRequest>),
    responses(
        (status = 200, description = "The client. Its new secret is shown here only.", body = IssuedOauthClient),
        Guarded<CredentialsWrite>, Absent, Bodied,
    ),
)]
#[post("/partner/v1/businesses/{business}/oauth_clients/{oauth_client}/rotate")]
pub(super) async fn rotate_client(sent: SentByPartner<CredentialsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (owner, id) = (business_of(by).await?, by.id("oauth_client")?);
        let request: RotationRequest = input::json_or_default(&sent.body)?;
        let credentials = &by.api.credentials;
        let issued = credentials.rotate_client(&by.actor(), &owner, &id, request.grace_ms(), now_ms()).await?;
        Ok(ok(IssuedOauthClient::new(credentials.client(&owner, &id).await?, &issued)))
    })
    .await
}

/// Revoke an OAuth client of a business
///
/// It gets no more tokens, and those that it has are refused from now on.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "revokeOauthClient",
    params(InClient),
    responses((status = 204, description = "It is revoked."), Guarded<CredentialsWrite>, Absent),
)]
#[delete("/partner/v1/businesses/{business}/oauth_clients/{oauth_client}")]
pub(super) async fn revoke_client(by: ByPartner<CredentialsWrite>) -> Answer {
    by.answer(async {
        let (owner, id) = (business_of(&by).await?, by.id("oauth_client")?);
        by.api.credentials.revoke_client(&by.actor(), &owner, &id, now_ms()).await?;
        Ok(nothing())
    })
    .await
}

/// List the signing secrets of a business
///
/// Those that hold, newest first: one, and for a while after a rotation two.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "listSigningSecrets",
    params(InBusiness),
    responses(
        (status = 200, description = "All of them, on one page.", body = PageOf<SigningSecret>),
        Guarded<BusinessesRead>, Absent,
    ),
)]
#[get("/partner/v1/businesses/{business}/signing_secrets")]
pub(super) async fn list_signing_secrets(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let secrets = by.api.credentials.signing_secrets(&by.subtree(), &by.id("business")?, now_ms()).await?;
        let secrets = secrets.into_iter().map(|(id, created_at, expires_at)| SigningSecret {
            id: id.to_string(),
            created_at: rfc3339(created_at),
            expires_at: expires_at.map(rfc3339),
        });
        Ok(ok(PageOf::<SigningSecret>::whole(secrets)))
    })
    .await
}

/// Issue a new signing secret of a business
///
/// Webhooks are signed with it from now on. The one before it still passes for signed requests for the grace time; an
/// older one ends at once.
#[utoipa::path(
    tag = "Credentials",
    operation_id = "rotateSigningSecret",
    params(InBusiness),
    request_body(content = Option<RotationRequest>),
    responses(
        (status = 201, description = "The secret. It is shown here only.", body = IssuedSigningSecret),
        Guarded<CredentialsWrite>, Absent, Bodied,
    ),
)]
#[post("/partner/v1/businesses/{business}/signing_secrets")]
pub(super) async fn rotate_signing_secret(sent: SentByPartner<CredentialsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (business, now) = (by.id("business")?, now_ms());
        let request: RotationRequest = input::json_or_default(&sent.body)?;
        let (credentials, grace_ms) = (&by.api.credentials, request.grace_ms());
        let signing_secret =
            credentials.rotate_signing_secret(&by.actor(), &by.subtree(), &business, grace_ms, now).await?;
        let location = format!("/partner/v1/businesses/{business}/signing_secrets");
        let previous_until = rfc3339(now + grace_ms);
        Ok(created(&location, IssuedSigningSecret { signing_secret, previous_until }))
    })
    .await
}

/// List the API keys of the reseller
///
/// Newest first, those that are revoked or have expired too.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "listOwnApiKeys",
    params(PageQuery),
    responses(
        (status = 200, description = "A page of API keys.", body = PageOf<ApiKey>),
        Guarded<Admin>, Asked,
    ),
)]
#[get("/partner/v1/api_keys")]
pub(super) async fn list_own_keys(by: ByPartner<Admin>) -> Answer {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let keys = by.api.credentials.keys(&own(&by).await?, &paging).await?;
        Ok(ok(PageOf::<ApiKey>::from(keys)))
    })
    .await
}

/// Issue an API key of the reseller
///
/// It has the reseller's part of the tree, as far as its scopes go.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "issueOwnApiKey",
    request_body = GrantRequest,
    responses(
        (status = 201, description = "The key. The key itself is shown here only.", body = IssuedApiKey),
        Guarded<Admin>, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/api_keys")]
pub(super) async fn issue_own_key(sent: SentByPartner<Admin>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let owner = own(by).await?;
        let request: GrantRequest = input::json(&sent.body)?;
        let (view, issued) = by.api.credentials.issue_key(&by.actor(), &owner, &request, now_ms()).await?;
        let location = format!("{}/api_keys/{}", place(&owner), view.id);
        Ok(created(&location, IssuedApiKey::new(view, &issued)))
    })
    .await
}

/// Read an API key of the reseller
#[utoipa::path(
    tag = "Reseller",
    operation_id = "getOwnApiKey",
    params(InOwnKey),
    responses((status = 200, description = "The key.", body = ApiKey), Guarded<Admin>, Absent),
)]
#[get("/partner/v1/api_keys/{api_key}")]
pub(super) async fn get_own_key(by: ByPartner<Admin>) -> Answer {
    by.answer(async {
        let (owner, id) = (own(&by).await?, by.id("api_key")?);
        Ok(ok(ApiKey::from(by.api.credentials.key(&owner, &id).await?)))
    })
    .await
}

/// Rotate an API key of the reseller
///
/// Issues its successor, with the same name, scopes and bounds. The old key holds on for the grace time.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "rotateOwnApiKey",
    params(InOwnKey),
    request_body(content = Option<RotationRequest>),
    responses(
        (status = 201, description = "The successor. The key itself is shown here only.", body = IssuedApiKey),
        Guarded<Admin>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/api_keys/{api_key}/rotate")]
pub(super) async fn rotate_own_key(sent: SentByPartner<Admin>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (owner, id) = (own(by).await?, by.id("api_key")?);
        let request: RotationRequest = input::json_or_default(&sent.body)?;
        let credentials = &by.api.credentials;
        let (view, issued) = credentials.rotate_key(&by.actor(), &owner, &id, request.grace_ms(), now_ms()).await?;
        let location = format!("{}/api_keys/{}", place(&owner), view.id);
        Ok(created(&location, IssuedApiKey::new(view, &issued)))
    })
    .await
}

/// Revoke an API key of the reseller
///
/// It is refused from now on, for good. Revoking one that is revoked changes nothing.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "revokeOwnApiKey",
    params(InOwnKey),
    responses((status = 204, description = "It is revoked."), Guarded<Admin>, Absent),
)]
#[delete("/partner/v1/api_keys/{api_key}")]
pub(super) async fn revoke_own_key(by: ByPartner<Admin>) -> Answer {
    by.answer(async {
        let (owner, id) = (own(&by).await?, by.id("api_key")?);
        by.api.credentials.revoke_key(&by.actor(), &owner, &id, now_ms()).await?;
        Ok(nothing())
    })
    .await
}

/// List the OAuth clients of the reseller
///
/// Newest first, those that are revoked or have expired too.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "listOwnOauthClients",
    params(PageQuery),
    responses(
        (status = 200, description = "A page of OAuth clients.", body = PageOf<OauthClient>),
        Guarded<Admin>, Asked,
    ),
)]
#[get("/partner/v1/oauth_clients")]
pub(super) async fn list_own_clients(by: ByPartner<Admin>) -> Answer {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let clients = by.api.credentials.clients(&own(&by).await?, &paging).await?;
        Ok(ok(PageOf::<OauthClient>::from(clients)))
    })
    .await
}

/// Issue an OAuth client of the reseller
///
/// Its id and secret are exchanged for access tokens at `/oauth/token`.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "issueOwnOauthClient",
    request_body = GrantRequest,
    responses(
        (status = 201, description = "The client. Its secret is shown here only.", body = IssuedOauthClient),
        Guarded<Admin>, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/oauth_clients")]
pub(super) async fn issue_own_client(sent: SentByPartner<Admin>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let owner = own(by).await?;
        let request: GrantRequest = input::json(&sent.body)?;
        let (view, issued) = by.api.credentials.issue_client(&by.actor(), &owner, &request, now_ms()).await?;
        let location = format!("{}/oauth_clients/{}", place(&owner), view.id);
        Ok(created(&location, IssuedOauthClient::new(view, &issued)))
    })
    .await
}

/// Read an OAuth client of the reseller
#[utoipa::path(
    tag = "Reseller",
    operation_id = "getOwnOauthClient",
    params(InOwnClient),
    responses((status = 200, description = "The client.", body = OauthClient), Guarded<Admin>, Absent),
)]
#[get("/partner/v1/oauth_clients/{oauth_client}")]
pub(super) async fn get_own_client(by: ByPartner<Admin>) -> Answer {
    by.answer(async {
        let (owner, id) = (own(&by).await?, by.id("oauth_client")?);
        Ok(ok(OauthClient::from(by.api.credentials.client(&owner, &id).await?)))
    })
    .await
}

/// Give an OAuth client of the reseller a new secret
///
/// The old secret holds on for the grace time; tokens that it got hold until they end.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "rotateOwnOauthClient",
    params(InOwnClient),
    request_body(content = Option<RotationRequest>),
    responses(
        (status = 200, description = "The client. Its new secret is shown here only.", body = IssuedOauthClient),
        Guarded<Admin>, Absent, Bodied,
    ),
)]
#[post("/partner/v1/oauth_clients/{oauth_client}/rotate")]
pub(super) async fn rotate_own_client(sent: SentByPartner<Admin>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (owner, id) = (own(by).await?, by.id("oauth_client")?);
        let request: RotationRequest = input::json_or_default(&sent.body)?;
        let credentials = &by.api.credentials;
        let issued = credentials.rotate_client(&by.actor(), &owner, &id, request.grace_ms(), now_ms()).await?;
        Ok(ok(IssuedOauthClient::new(credentials.client(&owner, &id).await?, &issued)))
    })
    .await
}

/// Revoke an OAuth client of the reseller
///
/// It gets no more tokens, and those that it has are refused from now on.
#[utoipa::path(
    tag = "Reseller",
    operation_id = "revokeOwnOauthClient",
    params(InOwnClient),
    responses((status = 204, description = "It is revoked."), Guarded<Admin>, Absent),
)]
#[delete("/partner/v1/oauth_clients/{oauth_client}")]
pub(super) async fn revoke_own_client(by: ByPartner<Admin>) -> Answer {
    by.answer(async {
        let (owner, id) = (own(&by).await?, by.id("oauth_client")?);
        by.api.credentials.revoke_client(&by.actor(), &owner, &id, now_ms()).await?;
        Ok(nothing())
    })
    .await
}
