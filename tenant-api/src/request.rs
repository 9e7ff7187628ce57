//! What every request gets: an id, and one line in the log once it is answered.

use std::{net::IpAddr, time::Instant};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use ipnet::IpNet;
use waystation_core::{audit::Origin, ids::CallbackId};

use crate::auth::Rates;

/// The reverse proxies whose word on the client's address counts.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

const FORWARDED_FOR: &str = "x-forwarded-for";
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: in the answer's `X-Request-Id`, in error bodies, in the log.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    /// The id of `request`; empty outside of [`identify`].
    #[must_use]
    pub fn of(request: &HttpRequest) -> String {
        request.extensions().get::<Self>().map(|id| id.0.clone()).unwrap_or_default()
    }
}

/// Where `request` came from.
#[must_use]
pub fn origin_of(request: &HttpRequest) -> Origin {
    request.extensions().get::<Origin>().cloned().unwrap_or_default()
}

/// The address of the client: that of the connection, or behind proxies that are trusted
/// the last one of `X-Forwarded-For` that is not a trusted proxy itself. What stands before
/// it may be the client's invention.
fn address_of(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let proxies = request.app_data::<web::Data<TrustedProxies>>();
    let trusted = |address: &IpAddr| proxies.is_some_and(|proxies| proxies.0.iter().any(|net| net.contains(address)));
    if !trusted(&peer) {
        return Some(peer);
    }
    let values = request.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut addresses =
        hops.iter().rev().map_while(|hop| hop.parse::<IpAddr>().ok()).map(|address| address.to_canonical());
    addresses.find(|address| !trusted(address)).or(Some(peer))
}

/// Gives the request its id and logs how it was answered: the route's pattern, never
/// the path, which may hold ids, nor anything of the body.
///
/// # Errors
/// Those of the handler.
pub async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    // Sortable by time, like every id here.
    let id = CallbackId::generate().key().to_owned();
    let origin = Origin { address: address_of(request.request()), request_id: Some(id.clone()) };
    request.extensions_mut().insert(origin);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.call(request).await?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    let rates = response.request().extensions().get::<Rates>().and_then(rate_headers);
    for (name, value) in rates.into_iter().flatten() {
        response.headers_mut().insert(name, value);
    }
    let status = response.status();
    let request = response.request();
    let route = request.match_pattern().unwrap_or_else(|| "(no route)".to_owned());
    let micros = started.elapsed().as_micros();
    if status.is_server_error() {
        tracing::warn!(request_id = id, method = %request.method(), route, status = status.as_u16(), micros, "request");
    } else {
        tracing::debug!(request_id = id, method = %request.method(), route, status = status.as_u16(), micros, "request");
    }
    Ok(response)
}

/// How a request stands with its limits, as the RateLimit header fields have it
/// (draft-ietf-httpapi-ratelimit-headers): for each policy its quota and window, what
/// remains, and when there is more.
fn rate_headers(rates: &Rates) -> Option<[(HeaderName, HeaderValue); 2]> {
    if rates.0.levels.is_empty() {
        return None;
    }
    let names = ["key", "business"];
    // With one limit only it is the business's, which has no key of its own.
    let names = &names[names.len() - rates.0.levels.len().min(names.len())..];
    let (mut policies, mut levels) = (Vec::new(), Vec::new());
    for (name, level) in names.iter().zip(&rates.0.levels) {
        let window = level.window_ms / 1_000;
        policies.push(format!("\"{name}\";q={};w={window}", level.limit));
        let until = level.retry_after_ms.div_ceil(1_000).max(u64::from(level.remaining < level.limit));
        levels.push(format!("\"{name}\";r={};t={until}", level.remaining));
    }
    Some([
        (HeaderName::from_static("ratelimit-policy"), HeaderValue::from_str(&policies.join(", ")).ok()?),
        (HeaderName::from_static("ratelimit"), HeaderValue::from_str(&levels.join(", ")).ok()?),
    ])
}
