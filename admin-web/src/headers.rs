//! Every answer under `/admin` carries the security headers, errors included: they are
//! put on at the one place through which all answers leave.
//!
//! The policy allows our own style sheet, images, and the one script whose hash it names.
//! A value that slipped through escaping could run nothing, load nothing and send no form
//! elsewhere, and no other site can frame a page to borrow a click.

use std::sync::LazyLock;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    middleware::Next,
};

use crate::assets;

#[expect(clippy::expect_used, reason = "it is ASCII")]
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src '{}'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
        assets::script_hash()
    );
    HeaderValue::try_from(policy).expect("a header value")
});

/// Puts the headers on. An answer that says nothing about caching must not be kept: it
/// shows what only this person may see.
pub(crate) async fn secure<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A sign-in link carries its token in the address.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
