//! Who is signed in. Every room but the way in has a [`gate`] in front of it: without an
//! open session, or without the permission that the room needs, no handler runs.
//!
//! A handler that takes [`Submitted`] runs only on a form that a page of that very session
//! contained. The form's token is derived from the session's, so nothing more is stored:
//! whoever can compute it holds the session already. What the browser says about the
//! origin of a form is checked besides.

use std::{future::Future, pin::Pin, rc::Rc};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::{EitherBody, MessageBody},
    cookie::{Cookie, SameSite, time::Duration},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{ORIGIN, USER_AGENT},
    },
    middleware::Next,
    web,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use waystation_core::{
    access::{Opened, Permission, SESSION_LIFE_MS, Session, Stage, User, Visitor},
    audit::{Actor, Origin},
    clock::now_ms,
    tenancy::Subtree,
};

use crate::{Dashboard, failure::Failure, forms::Fields};

const COOKIE: &str = "waystation_session";
/// Keeps a form's token apart from every other hash of the session's.
const CSRF_LABEL: &[u8] = b"waystation dashboard form\0";

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

/// A session and the token that it goes by.
#[derive(Debug)]
struct Held {
    session: Session,
    token: String,
    visitor: Visitor,
}

/// An open session that may do what its room is for.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn(Rc<Held>);

impl SignedIn {
    /// The person.
    pub(crate) fn user(&self) -> &User {
        &self.0.session.user
    }

    /// The session.
    pub(crate) fn session(&self) -> &Session {
        &self.0.session
    }

    /// The session's token.
    pub(crate) fn token(&self) -> &str {
        &self.0.token
    }

    /// What a form of this session carries.
    pub(crate) fn csrf(&self) -> String {
        csrf(&self.0.token)
    }

    /// Whether the person may do what `permission` says, within their subtree.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.user().may(permission)
    }

    /// What the person may see and act on.
    pub(crate) fn subtree(&self) -> Subtree {
        self.user().subtree()
    }

    /// The person as the one who acts by this request.
    pub(crate) fn actor(&self) -> Actor {
        self.user().actor(&self.0.visitor.origin)
    }

    /// From where the request came.
    pub(crate) fn visitor(&self) -> &Visitor {
        &self.0.visitor
    }
}

/// Lets nobody into a room without an open session that has the room's permission, and no
/// form that another site sent.
pub(crate) async fn gate<B: MessageBody + 'static>(
    permission: Permission,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let admitted = match held(request.request()).await {
        Ok(held) => admit(permission, request.request(), held),
        Err(failure) => Err(failure),
    };
    match admitted {
        Ok(signed_in) => {
            request.extensions_mut().insert(signed_in);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(failure) => Ok(request.error_response(failure).map_into_right_body()),
    }
}

fn admit(permission: Permission, request: &HttpRequest, held: Held) -> Result<SignedIn, Failure> {
    match held.session.stage {
        Stage::Open => {}
        Stage::Enrol => return Err(Failure::EnrolmentNeeded),
        Stage::SecondFactor => return Err(Failure::SecondFactorNeeded),
    }
    if !held.session.user.may(permission) {
        return Err(Failure::NotAllowed);
    }
    if request.method() == Method::POST && !is_from_here(request) {
        return Err(Failure::NotOurForm);
    }
    Ok(SignedIn(Rc::new(held)))
}

async fn held(request: &HttpRequest) -> Result<Held, Failure> {
    let dashboard = request.app_data::<web::Data<Dashboard>>().ok_or(Failure::NotFound)?;
    let token = token_of(request).ok_or(Failure::SignInNeeded)?;
    match dashboard.access.session(&token, now_ms()).await? {
        Some(session) => Ok(Held { session, token, visitor: visitor(request) }),
        None => Err(Failure::SignInNeeded),
    }
}

impl FromRequest for SignedIn {
    type Error = Failure;
    type Future = std::future::Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(request.extensions().get::<Self>().cloned().ok_or(Failure::SignInNeeded))
    }
}

/// A form sent from a page of the session that sends it.
pub(crate) struct Submitted {
    /// Who sent it.
    pub(crate) by: SignedIn,
    /// What they filled in.
    pub(crate) fields: Fields,
}

impl FromRequest for Submitted {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, body) = (request.clone(), String::from_request(request, payload));
        Box::pin(async move {
            let by = SignedIn::extract(&request).await?;
            let fields = read(body.await)?;
            prove(&fields, &by.csrf())?;
            Ok(Self { by, fields })
        })
    }
}

/// A session that has one more step to go, and a form of that step if one was sent.
pub(crate) struct Pending {
    /// The session.
    pub(crate) session: Session,
    /// What a form of it carries.
    pub(crate) csrf: String,
    /// What was filled in.
    pub(crate) fields: Fields,
    /// Where it came from.
    pub(crate) visitor: Visitor,
}

impl FromRequest for Pending {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, body) = (request.clone(), String::from_request(request, payload));
        Box::pin(async move {
            let held = held(&request).await?;
            let csrf = csrf(&held.token);
            let mut fields = Fields::default();
            if request.method() == Method::POST {
                if !is_from_here(&request) {
                    return Err(Failure::NotOurForm);
                }
                fields = read(body.await)?;
                prove(&fields, &csrf)?;
            }
            Ok(Self { session: held.session, csrf, fields, visitor: held.visitor })
        })
    }
}

/// A form that anybody may send, from a page of ours.
pub(crate) struct Posted(pub(crate) Fields);

impl FromRequest for Posted {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, body) = (request.clone(), String::from_request(request, payload));
        Box::pin(async move {
            if !is_from_here(&request) {
                return Err(Failure::NotOurForm);
            }
            read(body.await).map(Self)
        })
    }
}

fn read(body: Result<String, Error>) -> Result<Fields, Failure> {
    let body = body.map_err(|_| Failure::BadRequest)?;
    let fields = web::Query::<Vec<(String, String)>>::from_query(&body).map_err(|_| Failure::BadRequest)?;
    Ok(Fields::new(fields.into_inner()))
}

/// Checks that a form came from a page that contained `csrf`.
pub(crate) fn prove(fields: &Fields, csrf: &str) -> Result<(), Failure> {
    let genuine: bool = fields.raw("csrf").as_bytes().ct_eq(csrf.as_bytes()).into();
    if genuine { Ok(()) } else { Err(Failure::NotOurForm) }
}

/// The session token that a request carries, open or not.
pub(crate) fn token_of(request: &HttpRequest) -> Option<String> {
    request.cookie(COOKIE).map(|cookie| cookie.value().to_owned()).filter(|token| !token.is_empty())
}

/// From where a request comes.
pub(crate) fn visitor(request: &HttpRequest) -> Visitor {
    let known = request.extensions().get::<Origin>().cloned();
    let origin =
        known.unwrap_or_else(|| Origin { address: request.peer_addr().map(|peer| peer.ip()), request_id: None });
    let device = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Visitor::new(origin, device)
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

/// What keeps a session in the browser. Lax, so that somebody who follows a link from a
/// chat is still signed in.
pub(crate) fn cookie(opened: &Opened, secure: bool) -> Cookie<'static> {
    Cookie::build(COOKIE, opened.token.reveal().to_owned())
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
