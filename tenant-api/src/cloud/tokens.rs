//! What a token is: asked by a credential of the same business, and told of no other.

use actix_web::{HttpResponse, get};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::now_ms,
    error::ErrorKind,
    tenancy::{Principal, Scope},
};

use super::shapes::own_business;
use crate::{
    answers::{Absent, Asked, CloudErrors, Guarded},
    auth::{ByTenant, NoScope},
    failure::Failure,
};

/// The version in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InVersion {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
}

/// Which token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TokenQuery {
    /// An API key or access token of your business.
    #[param(example = "ws_live_4f9c")]
    input_token: String,
}

/// What a token is.
#[derive(Debug, Serialize, ToSchema)]
struct TokenAnswer {
    data: TokenData,
}

/// What a token is.
#[derive(Debug, Default, Serialize, ToSchema)]
struct TokenData {
    /// Whether it can be used now.
    #[schema(example = true)]
    is_valid: bool,
    /// What it allows: the scopes here, and the permissions of the Graph API that they come to.
    #[schema(example = json!(["messages:send", "whatsapp_business_messaging"]))]
    scopes: Vec<String>,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "102290129340398")]
    app_id: Option<String>,
    /// `Waystation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Waystation")]
    application: Option<&'static str>,
    /// `SYSTEM_USER`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(example = "SYSTEM_USER")]
    kind: Option<&'static str>,
    /// When it ends, in Unix seconds; 0 when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0)]
    expires_at: Option<i64>,
    /// The id of the credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "key_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    user_id: Option<String>,
    /// For which accounts its permissions hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    granular_scopes: Vec<GranularScope>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TokenFault>,
}

/// A permission of the Graph API, and for which accounts it holds.
#[derive(Debug, Serialize, ToSchema)]
struct GranularScope {
    #[schema(example = "whatsapp_business_messaging")]
    scope: &'static str,
    #[schema(example = json!(["102290129340398"]))]
    target_ids: Vec<String>,
}

/// Why a token cannot be used.
#[derive(Debug, Serialize, ToSchema)]
struct TokenFault {
    #[schema(example = 190)]
    code: i64,
    #[schema(example = "It was revoked at 2026-11-22T10:00:00.000Z.")]
    message: String,
}

/// Look at a token
///
/// One of the same business. Any other is told to be invalid, whether it exists or not.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudDebugToken",
    path = "/{version}/debug_token",
    params(InVersion, TokenQuery),
    responses(
        (status = 200, description = "What it is.", body = TokenAnswer),
        Guarded<NoScope, CloudErrors>, Absent<CloudErrors>, Asked<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}debug_token")]
pub(crate) async fn debug_token(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let query: TokenQuery = by.query()?;
        let account = own_business(&by).await?.account.to_string();
        let found = by.api.directory.principal(&query.input_token).await?;
        let found = found.filter(|found| found.business.as_ref() == Some(by.principal.business()));
        let data = match found {
            Some(principal) => match principal.admit(by.origin.address, now_ms()) {
                Ok(()) => told(&principal, account),
                Err(error) => invalid(error.kind, error.details),
            },
            None => invalid(ErrorKind::Unauthenticated, "The token is not known.".to_owned()),
        };
        Ok(HttpResponse::Ok().json(TokenAnswer { data }))
    })
    .await
}

fn told(principal: &Principal, account: String) -> TokenData {
    let mut permissions = Vec::new();
    for (permission, scopes) in [
        ("whatsapp_business_messaging", &[Scope::MessagesSend, Scope::MessagesRead, Scope::MediaWrite][..]),
        ("whatsapp_business_management", &[Scope::TemplatesWrite, Scope::WebhooksWrite, Scope::SendersWrite][..]),
    ] {
        if scopes.iter().any(|scope| principal.scopes.allows(*scope)) {
            permissions.push(permission);
        }
    }
    let own = principal.scopes.iter().map(|scope| scope.name().to_owned());
    TokenData {
        is_valid: true,
        scopes: own.chain(permissions.iter().map(|name| (*name).to_owned())).collect(),
        granular_scopes: permissions
            .into_iter()
            .map(|scope| GranularScope { scope, target_ids: vec![account.clone()] })
            .collect(),
        app_id: Some(account),
        application: Some("Waystation"),
        kind: Some("SYSTEM_USER"),
        expires_at: Some(principal.expires_at.map_or(0, |at| at / 1_000)),
        user_id: Some(principal.credential.clone()),
        error: None,
    }
}

fn invalid(kind: ErrorKind, message: String) -> TokenData {
    TokenData { error: Some(TokenFault { code: kind.row().code, message }), ..TokenData::default() }
}
