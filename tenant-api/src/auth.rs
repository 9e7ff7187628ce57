//! Who asks, and whether they may: the bearer credential, and nothing else in the request.
//!
//! A handler names what it needs by the type of its argument: [`ByTenant`] or
//! [`ByPartner`] with a scope, or their forms [`SentByTenant`] and [`SentByPartner`] that
//! come with the body. It cannot run without a live credential of that kind with that
//! scope, within its rate, and with a valid signature where the credential asks for one.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    marker::PhantomData,
    net::IpAddr,
    pin::Pin,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::AUTHORIZATION,
    web::{self, Bytes},
};
use serde::de::DeserializeOwned;
use waystation_core::{
    audit::{Actor, Origin},
    clock::now_ms,
    credentials::{
        KeyHash,
        request_signature::{SIGNATURE_HEADER, Signed, TIMESTAMP_HEADER},
    },
    error::{ApiError, ErrorKind},
    limits::{Demand, Limiter, Ruling},
    messages::request::excerpt,
    tenancy::{Directory, Partner, Principal, Scope, Subtree, Tenant},
};

use crate::{
    Api,
    failure::Failure,
    input,
    request::origin_of,
    shared::{self, OTHERS_MAX, QUERY_MAX},
    upload::{self, UploadForm},
};

/// The window in which refused credentials are counted, in milliseconds.
const REFUSED_WINDOW_MS: u32 = 60_000;
/// Addresses that wait at most; those whose time is over leave first.
const WAITING_MAX: usize = 10_000;
/// OAuth clients that are remembered at most; then it starts over.
const CLIENTS_MAX: usize = 10_000;

/// What a credential has to allow, as a type.
pub(crate) trait Needs: 'static {
    /// The scope; none where any live credential will do.
    const SCOPE: Option<Scope>;
}

macro_rules! needs {
    ($($scope:ident),+ $(,)?) => {$(
        #[doc = concat!("[`Scope::", stringify!($scope), "`]")]
        #[derive(Debug)]
        pub(crate) struct $scope;

        impl Needs for $scope {
            const SCOPE: Option<Scope> = Some(Scope::$scope);
        }
    )+};
}

needs!(
    Admin,
    MessagesSend,
    MessagesRead,
    ContactsWrite,
    SendersWrite,
    TemplatesWrite,
    MediaWrite,
    WebhooksWrite,
    BillingRead,
    BusinessesRead,
    BusinessesWrite,
    CredentialsWrite,
    AuditRead,
);

/// No scope in particular.
#[derive(Debug)]
pub(crate) struct NoScope;

impl Needs for NoScope {
    const SCOPE: Option<Scope> = None;
}

/// A kind of principal that handlers are for.
pub(crate) trait Party: std::ops::Deref<Target = Principal> + Sized + 'static {
    fn of(principal: std::sync::Arc<Principal>) -> Result<Self, ApiError>;
}

impl Party for Tenant {
    fn of(principal: std::sync::Arc<Principal>) -> Result<Self, ApiError> {
        Self::of(principal)
    }
}

impl Party for Partner {
    fn of(principal: std::sync::Arc<Principal>) -> Result<Self, ApiError> {
        Self::of(principal)
    }
}

/// A request without a body by a principal with a scope.
pub(crate) struct By<P, N> {
    pub(crate) principal: P,
    pub(crate) origin: Origin,
    /// What the handler works with.
    pub(crate) api: web::Data<Api>,
    pub(crate) request: HttpRequest,
    needs: PhantomData<N>,
}

/// The same with its body.
pub(crate) struct SentBy<P, N> {
    pub(crate) by: By<P, N>,
    pub(crate) body: Bytes,
}

/// The same with a file in a form.
pub(crate) struct UploadedBy<P, N> {
    pub(crate) by: By<P, N>,
    pub(crate) form: UploadForm,
}

/// The same with a body that is read as it comes.
pub(crate) struct StreamedBy<P, N> {
    pub(crate) by: By<P, N>,
    pub(crate) payload: Payload,
}

/// A request without a body for a business.
pub(crate) type ByTenant<N> = By<Tenant, N>;
/// A request with a body for a business.
pub(crate) type SentByTenant<N> = SentBy<Tenant, N>;
/// A request with a long body for a business.
pub(crate) type StreamedByTenant<N> = StreamedBy<Tenant, N>;
/// A request without a body for a reseller.
pub(crate) type ByPartner<N> = By<Partner, N>;
/// A request with a body for a reseller.
pub(crate) type SentByPartner<N> = SentBy<Partner, N>;
/// A request with a file for a reseller.
pub(crate) type UploadedByPartner<N> = UploadedBy<Partner, N>;

impl<P: Party, N> By<P, N> {
    /// Who asks, as the audit log names them.
    pub(crate) fn actor(&self) -> Actor {
        self.principal.actor(&self.origin)
    }

    /// The part of the tree that they see and act on.
    pub(crate) fn subtree(&self) -> Subtree {
        self.principal.subtree()
    }

    /// The id that stands in the path as `{name}`. What cannot be one is not found, like
    /// one that is another's.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        let text = self.request.match_info().get(name).unwrap_or_default();
        text.parse().map_err(|_| ApiError::missing(&name.replace('_', " "), &excerpt(text)))
    }

    /// The query, read as `T`.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        input::query(self.request.query_string())
    }

    /// The answer that `work` finds, in time or not at all.
    pub(crate) async fn answer(
        &self,
        work: impl Future<Output = Result<HttpResponse, ApiError>>,
    ) -> Result<HttpResponse, Failure> {
        shared::within(QUERY_MAX, &self.request, work).await
    }

    /// The same for work that waits for another host.
    pub(crate) async fn answer_of_others(
        &self,
        work: impl Future<Output = Result<HttpResponse, ApiError>>,
    ) -> Result<HttpResponse, Failure> {
        shared::within(OTHERS_MAX, &self.request, work).await
    }
}

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

impl<P: Party, N: Needs> FromRequest for By<P, N> {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let by = Self::authenticated(&request).await?;
            by.check_signature(&request, &[]).await?;
            Ok(by)
        })
    }
}

impl<P: Party, N: Needs> FromRequest for SentBy<P, N> {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            // Before anything of the body is read: strangers cannot make us keep it.
            let by = By::<P, N>::authenticated(&request).await?;
            let body =
                shared::read_body(&request, web::Payload::from_request(&request, &mut { payload }).await).await?;
            by.check_signature(&request, &body).await?;
            Ok(Self { by, body })
        })
    }
}

impl<P: Party, N: Needs> FromRequest for StreamedBy<P, N> {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let by = By::<P, N>::authenticated(&request).await?;
            // Nothing is kept to compute a signature over, so a credential that has to sign cannot upload.
            by.check_signature(&request, &[]).await?;
            Ok(Self { by, payload })
        })
    }
}

impl<P: Party, N: Needs> FromRequest for UploadedBy<P, N> {
    type Error = Failure;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let streamed = StreamedBy::<P, N>::from_request(&request, payload);
        Box::pin(async move {
            let StreamedBy { by, payload } = streamed.await?;
            let form = upload::read(&by.principal.reseller, &request, payload).await;
            let form = form.map_err(|error| Failure::new(&request, error))?;
            Ok(Self { by, form })
        })
    }
}

impl<P: Party, N: Needs> By<P, N> {
    async fn authenticated(request: &HttpRequest) -> Result<Self, Failure> {
        let fail = |error: ApiError| Failure::new(request, error);
        let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
            return Err(fail(ApiError::new(ErrorKind::Internal, "The API is not set up.")));
        };
        let origin = origin_of(request);
        let key = bearer_of(request).map_err(fail)?;
        api.guard.let_through(&api.directory, &origin, key).map_err(fail)?;
        let found = shared::ask(request, api.directory.principal_of_request(key, origin.address)).await?;
        let admitted = match found {
            Some(principal) => principal.admit(origin.address, now_ms()).map(|()| principal),
            None => Err(ApiError::new(ErrorKind::Unauthenticated, "The API key is not known.")),
        };
        let principal = match admitted {
            Ok(principal) => principal,
            Err(error) => {
                if error.kind == ErrorKind::Unauthenticated {
                    api.guard.refused(&api.limiter, &origin).await;
                }
                return Err(fail(error));
            }
        };
        let ruling = api.limiter.take(demands(&principal)).await;
        let (allowed, wait) = (ruling.allowed, ruling.retry_after_ms());
        request.extensions_mut().insert(Rates(ruling));
        if !allowed {
            let details = "This credential, or all of its business together, asks too often.";
            return Err(fail(ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(wait)));
        }
        let principal = P::of(principal).map_err(fail)?;
        if let Some(scope) = N::SCOPE {
            principal.require(scope).map_err(fail)?;
        }
        Ok(Self { principal, origin, api, request: request.clone(), needs: PhantomData })
    }

    /// A signature that is there is checked, whether it is asked for or not.
    async fn check_signature(&self, request: &HttpRequest, body: &[u8]) -> Result<(), Failure> {
        let fail = |details: &str| Err(Failure::new(request, ApiError::new(ErrorKind::SignatureInvalid, details)));
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        let (signature, timestamp) = match (header(SIGNATURE_HEADER), header(TIMESTAMP_HEADER)) {
            (None, _) if !self.principal.signed => return Ok(()),
            (Some(signature), Some(timestamp)) => (signature, timestamp),
            _ => return fail("Requests with this key have to be signed: a signature or its timestamp is missing."),
        };
        let (Some(api), Some(business)) = (request.app_data::<web::Data<Api>>(), &self.principal.business) else {
            return fail("There is no signing secret to check the signature with.");
        };
        let secrets = shared::ask(request, api.directory.signing_secrets(business)).await?;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let signed = Signed { method: request.method().as_str(), path, timestamp, body };
        signed.verify(signature, &secrets, now_ms()).map_err(|error| Failure::new(request, error))
    }
}

/// How a request stood with its limits; told in the answer's headers.
pub(crate) struct Rates(pub(crate) Ruling);

/// What a request of this credential is counted against.
pub(crate) fn demands(principal: &Principal) -> Vec<Demand> {
    let limits = principal.limits;
    let key = limits.requests_per_second_and_key.map(|rate| (format!("key:{}", principal.credential), rate));
    let owner = limits.requests_per_second.map(|rate| {
        let owner = principal.business.as_ref().map_or_else(|| principal.reseller.to_string(), ToString::to_string);
        (format!("owner:{owner}"), rate)
    });
    key.into_iter().chain(owner).map(|(bucket, rate)| Demand::per_second(bucket, rate)).collect()
}

/// The key behind the Authorization header.
fn bearer_of(request: &HttpRequest) -> Result<&str, ApiError> {
    let refuse = |details: &str| ApiError::new(ErrorKind::Unauthenticated, details);
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let header = headers.next().ok_or_else(|| refuse("The Authorization header is missing."))?;
    if headers.next().is_some() {
        return Err(refuse("There is more than one Authorization header."));
    }
    let key = header.to_str().ok().and_then(bearer);
    key.ok_or_else(|| refuse("The Authorization header must be \"Bearer\" and an API key or access token."))
}

/// The key behind `Bearer`, however it is written, or behind `OAuth`, which the Cloud
/// API takes too.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.trim().split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth");
    Some(key.trim()).filter(|key| known && !key.is_empty())
}

/// Makes whoever tries credentials wait: after too many that are not known, an address gets
/// no look-up until its time is over. Keys and clients that are known here already pass all
/// the same, so nobody can shut out a neighbour behind the same address.
#[derive(Debug)]
pub struct Guard {
    refused_per_minute: u32,
    waiting: Mutex<HashMap<IpAddr, Instant>>,
    anybody: AtomicBool,
    /// OAuth clients that got in here, as hashes of their ids and secrets.
    clients: Mutex<HashSet<KeyHash>>,
}

impl Guard {
    /// Lets an address fail so often in a minute.
    #[must_use]
    pub fn new(refused_per_minute: u32) -> Self {
        Self {
            refused_per_minute,
            waiting: Mutex::default(),
            anybody: AtomicBool::new(false),
            clients: Mutex::default(),
        }
    }

    fn let_through(&self, directory: &Directory, origin: &Origin, key: &str) -> Result<(), ApiError> {
        match self.wait_of(origin) {
            Some(wait) if !directory.remembers(key) => Err(too_many(wait)),
            _ => Ok(()),
        }
    }

    /// The same for an OAuth client.
    pub(crate) fn let_client_through(&self, origin: &Origin, id: &str, secret: &str) -> Result<(), ApiError> {
        let Some(wait) = self.wait_of(origin) else { return Ok(()) };
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.contains(&client_hash(id, secret)) { Ok(()) } else { Err(too_many(wait)) }
    }

    /// Remembers that an OAuth client got in.
    pub(crate) fn remember_client(&self, id: &str, secret: &str) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(client_hash(id, secret));
    }

    /// How long this address has to wait.
    fn wait_of(&self, origin: &Origin) -> Option<Duration> {
        if !self.anybody.load(Ordering::Relaxed) {
            return None;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        waiting.retain(|_, until| *until > now);
        self.anybody.store(!waiting.is_empty(), Ordering::Relaxed);
        Some(waiting.get(&origin.address?)?.saturating_duration_since(now))
    }

    /// Counts a credential that was not known.
    pub(crate) async fn refused(&self, limiter: &Limiter, origin: &Origin) {
        let Some(address) = origin.address else { return };
        let demand = Demand {
            bucket: format!("refused:{address}"),
            limit: self.refused_per_minute,
            window_ms: REFUSED_WINDOW_MS,
        };
        let ruling = limiter.take(vec![demand]).await;
        if ruling.allowed {
            return;
        }
        let until = Instant::now() + Duration::from_millis(ruling.retry_after_ms());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.insert(address, until);
            self.anybody.store(true, Ordering::Relaxed);
        }
    }
}

fn client_hash(id: &str, secret: &str) -> KeyHash {
    KeyHash::of(&format!("{id}:{secret}"))
}

/// The answer to somebody who has to wait.
fn too_many(wait: Duration) -> ApiError {
    let details = "Too many credentials from this address were not valid.";
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(wait)
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
