//! Who asks: the bearer key, and nothing else in the request.

use std::{future::Future, pin::Pin, sync::Arc};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web};
use waystation_core::{
    error::{ApiError, ErrorKind},
    tenancy::Principal,
};

use crate::{Api, failure::Failure, shared::ask};

/// The principal of a request. A handler that takes it cannot run without a live key.
#[derive(Debug)]
pub(crate) struct Authenticated(pub(crate) Arc<Principal>);

impl FromRequest for Authenticated {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let refuse = |details: &str| Failure::new(&request, ApiError::new(ErrorKind::Unauthenticated, details));
            let Some(api) = request.app_data::<web::Data<Api>>() else {
                return Err(Failure::new(&request, ApiError::new(ErrorKind::Internal, "The API is not set up.")));
            };
            if request.headers().get_all(AUTHORIZATION).count() > 1 {
                return Err(refuse("There is more than one Authorization header."));
            }
            let Some(header) = request.headers().get(AUTHORIZATION) else {
                return Err(refuse("The Authorization header is missing."));
            };
            let Some(key) = header.to_str().ok().and_then(bearer) else {
                return Err(refuse("The Authorization header must be \"Bearer\" and an API key."));
            };
            match ask(&request, api.directory.principal(key)).await? {
                Some(principal) => Ok(Self(principal)),
                None => Err(refuse("The API key is not known, was revoked or has expired.")),
            }
        })
    }
}

/// The key behind `Bearer`, however it is written, or behind `OAuth`, which the Cloud
/// API takes too.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.trim().split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth");
    Some(key.trim()).filter(|key| known && !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn a_key_is_found_behind_its_scheme_only() {
        assert_eq!(bearer("Bearer ws_live_x"), Some("ws_live_x"));
        assert_eq!(bearer("bearer  ws_live_x "), Some("ws_live_x"));
        assert_eq!(bearer("OAuth ws_live_x"), Some("ws_live_x"));
        for header in ["", "Bearer", "Bearer ", "Basic ws_live_x", "ws_live_x"] {
            assert_eq!(bearer(header), None, "{header:?}");
        }
    }
}
