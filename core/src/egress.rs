//! The one way out: every HTTP request and every stream that a tenant, a template or an
//! adapter can cause goes through here, and none reaches a private, loopback, link-local or
//! metadata address unless the operator allows it.
//!
//! Names are checked after they are resolved and the checked address is the one that
//! is connected to, so a name cannot change its mind in between. Redirects are followed
//! only where a file is fetched, a few, and each by the same rules.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, crypto::ring, pki_types::ServerName},
};
use url::{Host, Url};

/// Connections kept open to one host while idle.
const IDLE_CONNECTIONS_PER_HOST: usize = 64;
/// How long an idle connection is kept, in seconds.
const IDLE_SECONDS: u64 = 60;

/// Redirects that are followed to a file at most.
const REDIRECTS_MAX: usize = 3;

/// How the way out is built.
#[derive(Debug, Clone)]
pub struct EgressSettings {
    /// Whether private addresses may be reached: for laptops and tests.
    pub allow_private_networks: bool,
    /// Networks that may be reached although they are private.
    pub allow_networks: Vec<IpNet>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

/// Why a request did not go out or has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address is not one that may be reached.
    #[error("{0}")]
    Refused(String),
    /// Nothing was sent: the connection could not be made.
    #[error("could not connect: {0}")]
    NotConnected(String),
    /// No answer came in time, or the connection broke. The peer may have the request.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// The client. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Egress {
    client: reqwest::Client,
    connect_timeout: Duration,
    rules: Rules,
}

/// Which addresses may be reached.
#[derive(Debug, Clone)]
struct Rules {
    allow_private_networks: bool,
    allow_networks: Arc<[IpNet]>,
}

impl Rules {
    fn allow(&self, address: IpAddr) -> bool {
        self.allow_private_networks
            || is_public(address)
            || self.allow_networks.iter().any(|network| network.contains(&address))
    }
}

/// A connection to a peer, with or without TLS.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

impl Egress {
    /// Builds the client.
    ///
    /// # Errors
    /// When TLS cannot be set up, with the reason.
    pub fn new(settings: &EgressSettings) -> Result<Self, String> {
        let rules = Rules {
            allow_private_networks: settings.allow_private_networks,
            allow_networks: settings.allow_networks.clone().into(),
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.connect_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
            .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
            .tcp_nodelay(true)
            .user_agent(concat!("waystation/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver(rules.clone())))
            .build()
            .map_err(|error| format!("the HTTP client could not be set up: {error}"))?;
        Ok(Self { client, rules, connect_timeout: settings.connect_timeout })
    }

    /// Whether `url` may be asked at all: `http` or `https`, and not a literal address
    /// that is private. Names are checked when they are resolved.
    ///
    /// # Errors
    /// [`EgressError::Refused`] with the reason.
    pub fn check(&self, url: &Url) -> Result<(), EgressError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EgressError::Refused(format!("{}: addresses are not supported; use https:", url.scheme())));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(EgressError::Refused("the address has no host".to_owned())),
        };
        match literal {
            Some(address) if !self.rules.allow(address) => Err(EgressError::Refused(refusal(&address))),
            _ => Ok(()),
        }
    }

    /// Sends a request and reads the whole answer, at most `max_bytes` of it, within
    /// `timeout`. Any HTTP status is an answer.
    ///
    /// # Errors
    /// [`EgressError`] says whether the peer may have the request.
    pub async fn send(
        &self,
        request: reqwest::Request,
        timeout: Duration,
        max_bytes: usize,
    ) -> Result<Answer, EgressError> {
        self.check(request.url())?;
        match tokio::time::timeout(timeout, self.exchange(request, max_bytes)).await {
            Ok(result) => result,
            Err(_) => Err(EgressError::NoAnswer(format!("none within {} ms", timeout.as_millis()))),
        }
    }

    /// Connects to `port` of `host`, a name or an address; with `tls` the peer's certificate must be one that the
    /// system trusts for it.
    ///
    /// # Errors
    /// [`EgressError::Refused`] and [`EgressError::NotConnected`]: the peer has been told nothing.
    pub async fn open(&self, host: &str, port: u16, tls: bool) -> Result<Box<dyn ByteStream>, EgressError> {
        let patience = self.connect_timeout;
        match tokio::time::timeout(patience, self.connect(host, port, tls)).await {
            Ok(result) => result,
            Err(_) => Err(EgressError::NotConnected(format!("not within {} ms", patience.as_millis()))),
        }
    }

    async fn connect(&self, host: &str, port: u16, tls: bool) -> Result<Box<dyn ByteStream>, EgressError> {
        let failed = |error: std::io::Error| EgressError::NotConnected(error.to_string());
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(failed)?.collect();
        let may = |address: &&SocketAddr| self.rules.allow(address.ip());
        let allowed: Vec<SocketAddr> = found.iter().filter(may).copied().collect();
        if let (Some(refused), true) = (found.first(), allowed.is_empty()) {
            return Err(EgressError::Refused(refusal(&refused.ip())));
        }
        let stream = TcpStream::connect(allowed.as_slice()).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if !tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| EgressError::Refused(format!("{host:?} is no name that a certificate can have")))?;
        let unfit = |error: tokio_rustls::rustls::Error| EgressError::NotConnected(format!("TLS: {error}"));
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(unfit)?
            .with_no_client_auth();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(failed)?;
        Ok(Box::new(stream))
    }

    /// Asks for a file with GET and answers as soon as its headers are there; redirects are
    /// followed, each by the rules. `pause` is how long the peer may keep silent.
    ///
    /// # Errors
    /// [`EgressError::Refused`] when the address or one that it leads to may not be reached.
    pub async fn fetch(&self, url: &Url, pause: Duration) -> Result<Fetched, EgressError> {
        self.fetch_with(url, &reqwest::header::HeaderMap::new(), pause).await
    }

    /// The same with headers that authorise it. They are shown to the address that was given, and to none elsewhere that
    /// it leads to.
    ///
    /// # Errors
    /// As [`Egress::fetch`].
    pub async fn fetch_with(
        &self,
        url: &Url,
        headers: &reqwest::header::HeaderMap,
        pause: Duration,
    ) -> Result<Fetched, EgressError> {
        let given = url.origin();
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            self.check(&url)?;
            let mut asking = self.client.get(url.clone());
            if url.origin() == given {
                asking = asking.headers(headers.clone());
            }
            let asking = asking.send();
            let response = in_time(pause, asking).await?.map_err(|error| classify(&error))?;
            let target =
                response.headers().get(reqwest::header::LOCATION).filter(|_| response.status().is_redirection());
            let Some(target) = target else { return Ok(Fetched { response, pause }) };
            let target = target.to_str().ok().and_then(|target| url.join(target).ok());
            url = target.ok_or_else(|| EgressError::NoAnswer("it redirects to no valid address".to_owned()))?;
        }
        Err(EgressError::NoAnswer(format!("it redirects more than {REDIRECTS_MAX} times")))
    }

    async fn exchange(&self, request: reqwest::Request, max_bytes: usize) -> Result<Answer, EgressError> {
        let mut response = self.client.execute(request).await.map_err(|error| classify(&error))?;
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| EgressError::NoAnswer(chain(&error)))? {
            let room = max_bytes - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == max_bytes {
                break;
            }
        }
        Ok(Answer { status, headers, body })
    }
}

/// An answer, cut at the length asked for.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// A file on its way in.
#[derive(Debug)]
pub struct Fetched {
    response: reqwest::Response,
    pause: Duration,
}

impl Fetched {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// What the peer says the file's type is.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        let header = self.response.headers().get(reqwest::header::CONTENT_TYPE)?;
        header.to_str().ok().map(ToOwned::to_owned)
    }

    /// The end of the path that the file was found at.
    #[must_use]
    pub fn last_segment(&self) -> Option<String> {
        let last = self.response.url().path_segments()?.next_back()?;
        Some(last.to_owned()).filter(|last| !last.is_empty())
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// [`EgressError::NoAnswer`] when the connection breaks or the peer keeps silent.
    pub async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, EgressError> {
        in_time(self.pause, self.response.chunk()).await?.map_err(|error| EgressError::NoAnswer(chain(&error)))
    }
}

async fn in_time<T>(most: Duration, work: impl Future<Output = T>) -> Result<T, EgressError> {
    let silent = |_| EgressError::NoAnswer(format!("nothing within {} ms", most.as_millis()));
    tokio::time::timeout(most, work).await.map_err(silent)
}

/// A name leads to an address that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("{}", refusal(.0))]
struct Forbidden(IpAddr);

fn classify(error: &reqwest::Error) -> EgressError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return EgressError::Refused(forbidden.to_string());
        }
        source = cause.source();
    }
    if error.is_connect() || error.is_builder() {
        EgressError::NotConnected(chain(error))
    } else {
        EgressError::NoAnswer(chain(error))
    }
}

/// An error and what caused it, without the address, which may hold a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    if texts.is_empty() { "the request failed".to_owned() } else { texts.join(": ") }
}

fn refusal(address: &IpAddr) -> String {
    format!("{address} is a private or reserved address; set egress.allow_private_networks to reach it")
}

/// Whether `address` is one of the open internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped().or_else(|| embedded_v4(address)) {
            Some(inner) => is_public_v4(inner),
            None => {
                let first = address.segments()[0];
                !(address.is_loopback()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || address.is_unique_local()
                    || address.is_unicast_link_local()
                    || first == 0x2001 && address.segments()[1] == 0xdb8)
            }
        },
    }
}

/// The IPv4 address inside a NAT64 or 6to4 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, _, _, _, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0x64, 0xff9b) => Some(join(g, h)),
        (0x2002, _) => Some(join(b, c)),
        _ => None,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)))
}

struct GuardedResolver(Rules);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|address| rules.allow(address.ip())).collect();
            match (found.first(), allowed.is_empty()) {
                (Some(refused), true) => Err(Forbidden(refused.ip()).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_reserved_addresses_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn a_private_address_is_refused_by_number_and_by_name() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let settings = EgressSettings {
            allow_private_networks: false,
            allow_networks: vec!["127.0.0.2/32".parse().unwrap()],
            connect_timeout: Duration::from_secs(1),
        };
        let egress = Egress::new(&settings).unwrap();
        for url in ["http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/", "http://0x7f.1:9/"] {
            let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
            let error = egress.send(request, Duration::from_secs(2), 100).await.unwrap_err();
            assert!(error.to_string().contains("private"), "{url}: {error}");
            assert!(matches!(error, EgressError::Refused(_)), "{url}: {error:?}");
        }
        assert!(egress.check(&"http://127.0.0.2:9/".parse().unwrap()).is_ok(), "one that the operator allows");
        assert!(egress.check(&"ftp://example.com/".parse().unwrap()).is_err());
        for host in ["127.0.0.1", "::1", "localhost"] {
            let Err(error) = egress.open(host, 9, false).await else { panic!("{host} was reached") };
            assert!(matches!(&error, EgressError::Refused(reason) if reason.contains("private")), "{host}: {error}");
        }
    }
}
