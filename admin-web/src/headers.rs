//! Every answer under `/admin` carries the security headers, errors included: they are
//! put on at the one place through which all answers leave.
//!
//! The policy allows our own style sheet, images, and the one script whose hash it names.
//! A value that slipped through escaping could run nothing, load nothing and send no form
//! elsewhere, and no other site can frame a page to borrow a click. Only documents, the
//! page that shows them, and the desk at which templates are written have policies of
//! their own, and those are here too.

use std::sync::LazyLock;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    middleware::Next,
};

use crate::assets;

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| policy(""));
static WITH_PREVIEW: LazyLock<HeaderValue> = LazyLock::new(|| policy(" connect-src 'self';"));
static WITH_DOCUMENTS: LazyLock<HeaderValue> = LazyLock::new(|| policy(" frame-src 'self';"));

#[expect(clippy::expect_used, reason = "it is ASCII")]
fn policy(more: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src '{}';{more} form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
        assets::script_hash()
    );
    HeaderValue::try_from(policy).expect("a header value")
}

/// The policy of a page that shows documents in their place: it may frame our own.
pub(crate) fn with_documents() -> HeaderValue {
    WITH_DOCUMENTS.clone()
}

/// The policy of a page that asks what a form would come to while it is filled in.
pub(crate) fn with_preview() -> HeaderValue {
    WITH_PREVIEW.clone()
}

/// The policy of a document: it can be framed by a page of ours, and asks for nothing. An
/// image is cut off from everything besides; a browser's viewer for PDF does not work so.
pub(crate) fn of_document(is_pdf: bool) -> HeaderValue {
    const PDF: &str = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'; \
                       base-uri 'none'; form-action 'none'";
    const IMAGE: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-ancestors 'self'; \
                         base-uri 'none'; form-action 'none'; sandbox";
    HeaderValue::from_static(if is_pdf { PDF } else { IMAGE })
}

/// Puts the headers on. An answer that says nothing about caching must not be kept: it
/// shows what only this person may see.
pub(crate) async fn secure<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A sign-in link carries its token in the address.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
