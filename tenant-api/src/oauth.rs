//! `POST /oauth/token`: a client's secret becomes a short-lived access token (OAuth 2.0
//! client credentials, RFC 6749). Whoever tries secrets waits like whoever tries keys.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    post, web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;
use waystation_core::{
    audit::Origin,
    clock::now_ms,
    credentials::AccessToken,
    error::{ApiError, ErrorKind},
    limits::Demand,
};

use crate::{
    Api,
    request::origin_of,
    shared::{QUERY_MAX, read_body_up_to},
};

/// Where it is.
pub(crate) const TOKEN_PATH: &str = "/oauth/token";
/// Largest body, in bytes: it is read before it is known whose it is.
const BODY_MAX_BYTES: usize = 8 * 1024;
/// Access tokens that one client may get in a window.
const TOKENS_MAX_PER_CLIENT: u32 = 60;
/// The window, in milliseconds.
const TOKENS_WINDOW_MS: u32 = 60_000;

/// What is asked for, as a form.
#[derive(Debug, ToSchema)]
#[schema(example = "grant_type=client_credentials&scope=messages%3Asend%20messages%3Aread")]
#[allow(dead_code, reason = "read from the form itself; here for the documentation")]
pub(crate) struct TokenRequest {
    /// Always `client_credentials`.
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Scopes with blanks between them, from among the client's. All of the client's when left out.
    #[schema(example = "messages:send messages:read")]
    scope: Option<String>,
    /// The client's id, unless it is in the Authorization header.
    #[schema(example = "client_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    client_id: Option<String>,
    /// The client's secret, unless it is in the Authorization header.
    client_secret: Option<String>,
}

/// An access token.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenBody {
    /// Send it as `Authorization: Bearer …`. It is shown here only.
    #[schema(example = "ws_at_…")]
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long it holds, in seconds.
    #[schema(example = 3600)]
    expires_in: i64,
    /// What it allows.
    #[schema(example = "messages:send messages:read")]
    scope: String,
}

/// Why there is no token (RFC 6749, section 5.2).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenError {
    /// `invalid_request`, `invalid_client`, `invalid_scope`, `unauthorized_client`, `unsupported_grant_type`,
    /// `temporarily_unavailable` or `server_error`.
    #[schema(example = "invalid_client")]
    error: &'static str,
    /// What was wrong with this very request.
    #[schema(example = "The client id or the client secret is not valid.")]
    error_description: String,
}

/// Why there is no token, before it is put into its form.
enum Refusal {
    /// What the RFC has a name for.
    Named(&'static str, String),
    /// What the platform has a kind for.
    Error(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

/// A client's id and secret.
struct Client {
    id: String,
    secret: String,
}

/// The form, with members that are there once and not empty.
#[derive(Debug, Default, PartialEq, Eq)]
struct Form {
    grant_type: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// Get an access token
///
/// OAuth 2.0 client credentials (RFC 6749, section 4.4). The client names itself by HTTP Basic or in the body, not
/// both. The token holds for an hour; there is no refresh token: get a new one.
#[utoipa::path(
    tag = "OAuth",
    operation_id = "getAccessToken",
    path = "/oauth/token",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token. Never to be stored by a cache.", body = TokenBody, headers(
            ("Cache-Control" = String, description = "`no-store`"),
        )),
        (status = 400, description = "`invalid_request`, `invalid_scope`, `unsupported_grant_type`, or \
            `unauthorized_client` when something else stands against this client: it is suspended, say, or not to be \
            used from this address.", body = TokenError, example = json!({
                "error": "invalid_scope",
                "error_description": "The client has the scopes 'messages:send', not all of 'admin'."
            })),
        (status = 401, description = "`invalid_client`: there is no such client, or it has another secret.",
            body = TokenError, headers(("WWW-Authenticate" = String, description = "`Basic realm=\"waystation\"`"))),
        (status = 429, description = "`temporarily_unavailable`: too many tokens of this client, or too many refused \
            secrets from this address.", body = TokenError, headers(
                ("Retry-After" = i64, description = "When to try again, in seconds from now."),
            ), example = json!({
                "error": "temporarily_unavailable",
                "error_description": "Too many credentials from this address were not valid."
            })),
        (status = 503, description = "`temporarily_unavailable`: the database does not answer.", body = TokenError,
            headers(("Retry-After" = i64, description = "When to try again, in seconds from now.")), example = json!({
                "error": "temporarily_unavailable",
                "error_description": "The database does not answer right now."
            })),
    ),
)]
#[post("/oauth/token")]
pub(crate) async fn get_access_token(request: HttpRequest, payload: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let origin = origin_of(&request);
    let exchanged = match tokio::time::timeout(QUERY_MAX, exchange(&request, payload, &api, &origin)).await {
        Ok(exchanged) => exchanged,
        Err(_) => Err(ApiError::new(ErrorKind::Unavailable, "The request was not done in time.").into()),
    };
    let mut response = match exchanged {
        Ok(token) => HttpResponse::Ok().json(TokenBody {
            access_token: token.token.reveal().to_owned(),
            token_type: "Bearer",
            expires_in: token.expires_in,
            scope: token.scopes.to_string(),
        }),
        Err(refusal) => refused(refusal),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, header::HeaderValue::from_static("no-cache"));
    response
}

async fn exchange(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    origin: &Origin,
) -> Result<AccessToken, Refusal> {
    let body = read_body_up_to(BODY_MAX_BYTES, Ok(payload)).await?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let form = Form::read(content_type.unwrap_or_default(), &body)?;
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            let details = "The grant type has to be client_credentials.";
            return Err(Refusal::Named("unsupported_grant_type", details.to_owned()));
        }
        None => return Err(invalid("The parameter grant_type is missing.")),
    }
    let mut authorizations = request.headers().get_all(header::AUTHORIZATION);
    let authorization = authorizations.next().map(|value| value.to_str().unwrap_or_default());
    if authorizations.next().is_some() {
        return Err(invalid("There is more than one Authorization header."));
    }
    let client = Client::of(authorization, &form)?;
    let (id, secret) = (client.id.as_str(), client.secret.as_str());
    api.guard.let_client_through(origin, id, secret)?;
    let now = now_ms();
    let known = match api.credentials.authenticate(id, secret, now).await {
        Ok(known) => known,
        Err(error) => {
            if error.kind == ErrorKind::Unauthenticated {
                api.guard.refused(&api.limiter, origin).await;
            }
            return Err(error.into());
        }
    };
    api.guard.remember_client(id, secret);
    let demand =
        Demand { bucket: format!("tokens:{}", known.id), limit: TOKENS_MAX_PER_CLIENT, window_ms: TOKENS_WINDOW_MS };
    let ruling = api.limiter.take(vec![demand]).await;
    if !ruling.allowed {
        let details = format!("A client gets at most {TOKENS_MAX_PER_CLIENT} tokens a minute; use one until it ends.");
        let error = ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(ruling.retry_after_ms());
        return Err(error.into());
    }
    Ok(api.credentials.exchange(&known, form.scope.as_deref(), origin, now).await?)
}

fn invalid(details: &str) -> Refusal {
    Refusal::Named("invalid_request", details.to_owned())
}

impl Form {
    fn read(content_type: &str, body: &[u8]) -> Result<Self, Refusal> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(invalid("The body has to be application/x-www-form-urlencoded."));
        }
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let member = match name.as_ref() {
                "grant_type" => &mut form.grant_type,
                "scope" => &mut form.scope,
                "client_id" => &mut form.client_id,
                "client_secret" => &mut form.client_secret,
                // Parameters that are not known are ignored, as the RFC has it.
                _ => continue,
            };
            if member.is_some() {
                return Err(invalid(&format!("The parameter {name} is there more than once.")));
            }
            *member = Some(value.into_owned());
        }
        let given = |member: Option<String>| member.filter(|value| !value.is_empty());
        Ok(Self {
            grant_type: given(form.grant_type),
            scope: given(form.scope),
            client_id: given(form.client_id),
            client_secret: given(form.client_secret),
        })
    }
}

impl Client {
    fn of(authorization: Option<&str>, form: &Form) -> Result<Self, Refusal> {
        let in_body = form.client_secret.is_some();
        let client = match authorization {
            Some(_) if in_body => return Err(invalid("The client is named by the Authorization header and the body.")),
            Some(header) => Self::of_basic(header).ok_or_else(|| {
                let details = "The Authorization header must be Basic, with the client's id and secret.";
                Refusal::Named("invalid_client", details.to_owned())
            })?,
            None => match (&form.client_id, &form.client_secret) {
                (Some(id), Some(secret)) => Self { id: id.clone(), secret: secret.clone() },
                _ => {
                    let details = "The client's id or secret is missing.";
                    return Err(Refusal::Named("invalid_client", details.to_owned()));
                }
            },
        };
        // With Basic the body may repeat the id, but not name another one.
        if form.client_id.as_ref().is_some_and(|id| *id != client.id) {
            return Err(invalid("The Authorization header and the body name different clients."));
        }
        Ok(client)
    }

    /// Id and secret, each encoded as in a form before they were joined (RFC 6749, section
    /// 2.3.1).
    fn of_basic(header: &str) -> Option<Self> {
        let (scheme, encoded) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        let decoded = |text: &str| {
            let text = format!("={text}");
            form_urlencoded::parse(text.as_bytes()).next().map(|(_, value)| value.into_owned())
        };
        Some(Self { id: decoded(id)?, secret: decoded(secret)? }).filter(|client| !client.id.is_empty())
    }
}

/// The answer that says why there is no token.
fn refused(refusal: Refusal) -> HttpResponse {
    let (status, name, details, wait_ms) = match refusal {
        Refusal::Named("invalid_client", details) => (StatusCode::UNAUTHORIZED, "invalid_client", details, None),
        Refusal::Named(name, details) => (StatusCode::BAD_REQUEST, name, details, None),
        Refusal::Error(error) => {
            let (status, name) = named(error.kind);
            (status, name, error.details, error.retry_after_ms.or((status.as_u16() == 503).then_some(1_000)))
        }
    };
    let mut response = HttpResponse::build(status);
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"waystation\""));
    }
    if let Some(wait_ms) = wait_ms {
        response.insert_header((header::RETRY_AFTER, wait_ms.div_ceil(1_000).max(1).to_string()));
    }
    response.json(TokenError { error: name, error_description: in_rfc_characters(&details) })
}

fn named(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Unauthenticated | ErrorKind::KeyRevoked | ErrorKind::KeyExpired => {
            (StatusCode::UNAUTHORIZED, "invalid_client")
        }
        ErrorKind::ScopeMissing => (StatusCode::BAD_REQUEST, "invalid_scope"),
        ErrorKind::AddressNotAllowed | ErrorKind::Suspended | ErrorKind::NotVerified => {
            (StatusCode::BAD_REQUEST, "unauthorized_client")
        }
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        ErrorKind::MalformedBody | ErrorKind::BodyTooLarge | ErrorKind::BodyTooSlow => {
            (StatusCode::BAD_REQUEST, "invalid_request")
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
    }
}

/// `text` in the characters that the RFC allows a description: printable ASCII without the
/// double quote and the backslash.
fn in_rfc_characters(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' | '\\' => '\'',
            ' '..='~' => character,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn name(refusal: Refusal) -> String {
        match refusal {
            Refusal::Named(name, _) => name.to_owned(),
            Refusal::Error(error) => error.to_string(),
        }
    }

    fn form(body: &str) -> Result<Form, String> {
        Form::read(FORM, body.as_bytes()).map_err(name)
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn a_form_is_read_as_the_rfc_has_it() {
        let read = form("grant_type=client_credentials&scope=a+b&resource=x&client_id=").unwrap();
        assert_eq!(read.grant_type.as_deref(), Some("client_credentials"));
        assert_eq!(read.scope.as_deref(), Some("a b"));
        assert_eq!(read.client_id, None, "a parameter without a value is none");
        assert_eq!(form("scope=a&scope=b").unwrap_err(), "invalid_request");
        assert!(Form::read("application/json", b"{}").is_err());
        assert!(Form::read(&format!("{FORM}; charset=utf-8"), b"").is_ok());
    }

    #[test]
    fn a_client_names_itself_in_one_way() {
        let in_body = form("client_id=one&client_secret=s%2B1").unwrap();
        let nothing = Form::default();
        let of = |header: Option<&str>, form: &Form| {
            Client::of(header, form).map(|client| (client.id, client.secret)).map_err(name)
        };
        let pair = |id: &str, secret: &str| Ok((id.to_owned(), secret.to_owned()));
        assert_eq!(of(None, &in_body), pair("one", "s+1"));
        assert_eq!(of(Some(&basic("one:s%2B1:x")), &nothing), pair("one", "s+1:x"));
        assert_eq!(of(Some(&basic("one:s")), &form("client_id=one").unwrap()), pair("one", "s"));
        assert_eq!(of(Some(&basic("one:s")), &in_body), Err("invalid_request".to_owned()), "both ways");
        assert_eq!(of(Some(&basic("one:s")), &form("client_id=two").unwrap()), Err("invalid_request".to_owned()));
        for header in ["Bearer x", "Basic", "Basic %%%", &basic("no colon"), &basic(":secret")] {
            assert_eq!(of(Some(header), &nothing), Err("invalid_client".to_owned()), "{header}");
        }
        assert_eq!(of(None, &form("client_id=one").unwrap()), Err("invalid_client".to_owned()));
    }

    #[test]
    fn a_refusal_is_in_the_rfcs_words_and_characters() {
        let answer = refused(ApiError::new(ErrorKind::Unauthenticated, "x").into());
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().contains_key(header::WWW_AUTHENTICATE));
        for (kind, status, expected) in [
            (ErrorKind::ScopeMissing, 400, "invalid_scope"),
            (ErrorKind::Suspended, 400, "unauthorized_client"),
            (ErrorKind::RateLimited, 429, "temporarily_unavailable"),
            (ErrorKind::Unavailable, 503, "temporarily_unavailable"),
            (ErrorKind::Internal, 500, "server_error"),
        ] {
            let (said, name) = named(kind);
            assert_eq!((said.as_u16(), name), (status, expected));
        }
        let waiting = refused(ApiError::new(ErrorKind::RateLimited, "x").retry_after_ms(1_001).into());
        assert_eq!(waiting.headers().get(header::RETRY_AFTER).unwrap(), "2");
        assert_eq!(in_rfc_characters("no \"scope\" ü\\\n"), "no 'scope' ?'?");
    }
}
