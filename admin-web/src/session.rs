//! Who is signed in: a handler that takes [`SignedIn`] cannot run without an open
//! session, and one that takes [`Submitted`] only on a form that a page of that very
//! session contained.
//!
//! The form's token is derived from the session's, so nothing more is stored: whoever
//! can compute it holds the session already. What the browser says about the origin of
//! a form is checked besides.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
    dev::Payload,
    http::header::ORIGIN,
    web,
};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use waystation_core::{
    access::{self, SESSION_LIFE_MS},
    clock::now_ms,
    credentials::Issued,
};

use crate::{Dashboard, failure::Failure};

const COOKIE: &str = "waystation_session";
/// Keeps a form's token apart from every other hash of the session's.
const CSRF_LABEL: &[u8] = b"waystation dashboard form\0";

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

/// An open session.
pub(crate) struct SignedIn {
    user: String,
    token: String,
}

impl SignedIn {
    /// The name of the person.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The session's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// What a form of this session carries.
    pub(crate) fn csrf(&self) -> String {
        csrf(&self.token)
    }

    async fn of(request: &HttpRequest) -> Result<Self, Failure> {
        let dashboard = request.app_data::<web::Data<Dashboard>>().ok_or(Failure::NotFound)?;
        let token = token_of(request).ok_or(Failure::SignInNeeded)?;
        match access::session_user(&dashboard.store, &token, now_ms()).await? {
            Some(user) => Ok(Self { user, token }),
            None => Err(Failure::SignInNeeded),
        }
    }
}

impl FromRequest for SignedIn {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::of(&request).await })
    }
}

/// A form sent from a page of the session that sends it.
pub(crate) struct Submitted<T> {
    /// Who sent it.
    pub(crate) by: SignedIn,
    /// The fields, without those that prove where it came from.
    pub(crate) fields: T,
}

/// The fields of a form that has none but its token.
#[derive(Debug, Deserialize)]
pub(crate) struct NoFields {}

#[derive(Deserialize)]
struct Proof {
    csrf: String,
}

impl<T: DeserializeOwned + 'static> FromRequest for Submitted<T> {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let body = String::from_request(&request, payload);
        Box::pin(async move {
            let by = SignedIn::of(&request).await?;
            let body = body.await.map_err(|_| Failure::BadRequest)?;
            let proof = web::Query::<Proof>::from_query(&body).map_err(|_| Failure::NotOurForm)?;
            let genuine: bool = proof.csrf.as_bytes().ct_eq(by.csrf().as_bytes()).into();
            if !genuine || !is_from_here(&request) {
                return Err(Failure::NotOurForm);
            }
            let fields = web::Query::<T>::from_query(&body).map_err(|_| Failure::BadRequest)?.into_inner();
            Ok(Self { by, fields })
        })
    }
}

/// The session token that a request carries, open or not.
pub(crate) fn token_of(request: &HttpRequest) -> Option<String> {
    request.cookie(COOKIE).map(|cookie| cookie.value().to_owned()).filter(|token| !token.is_empty())
}

/// Whether the browser, as far as it says, sends this form from a page of ours.
///
/// An origin of `null` says nothing: our own referrer policy makes browsers send it,
/// and over plain HTTP there is no `Sec-Fetch-Site` to ask instead.
pub(crate) fn is_from_here(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    if let Some(site) = header("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match header(ORIGIN.as_str()) {
        None | Some("null") => true,
        Some(origin) => origin
            .split_once("://")
            .is_some_and(|(_, host)| host.eq_ignore_ascii_case(request.connection_info().host())),
    }
}

/// What keeps a session in the browser. Lax, so that a link opened from a terminal or
/// a chat signs in.
pub(crate) fn cookie(token: &Issued, secure: bool) -> Cookie<'static> {
    Cookie::build(COOKIE, token.reveal().to_owned())
        .path("/admin")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(Duration::milliseconds(SESSION_LIFE_MS))
        .finish()
}

/// What takes the session out of the browser.
pub(crate) fn no_cookie() -> Cookie<'static> {
    let mut cookie = Cookie::build(COOKIE, "").path("/admin").finish();
    cookie.make_removal();
    cookie
}

fn csrf(token: &str) -> String {
    hex::encode(Sha256::new().chain_update(CSRF_LABEL).chain_update(token.as_bytes()).finalize())
}
