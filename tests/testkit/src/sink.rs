//! A tenant's webhook endpoint that believes nothing: a delivery counts only
//! when it carries both signatures and both are right.
//!
//! It runs on a thread of its own, so that a blocked test cannot stall it and a
//! benchmark can tell its processor time from the platform's. The secret is
//! only known once the demo has printed it; what came earlier is kept, and
//! checked the moment the secret is set.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    io,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{
    process::ThreadClock,
    wire::{Wire, header, headers},
};

/// How far the clock of a Standard Webhooks signature may be off.
const TIMESTAMP_MAX_SECONDS: u64 = 300;

/// The path a webhook is posted to.
const PATH: &str = "/webhook";

/// What a signature turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Not checked yet: the secret is not known.
    Unchecked,
    /// Right.
    Valid,
    /// A header is missing.
    Missing,
    /// There, and wrong.
    Wrong,
    /// Right, but its timestamp is minutes away from now, or none.
    Stale,
}

/// How a request is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answer with this status.
    Status(u16),
    /// Answer correctly, after this long.
    Delay(Duration),
    /// Close the connection without an answer.
    Close,
}

/// One request that was received.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When it had been read.
    pub at: Instant,
    /// The same by the wall clock, in seconds since 1970.
    pub unix_seconds: u64,
    /// Its headers, in order.
    pub headers: Vec<(String, String)>,
    /// Its body, as it came.
    pub body: Vec<u8>,
    /// The statuses in it.
    pub statuses: Vec<Status>,
    /// Meta's `X-Hub-Signature-256`.
    pub hub: Signature,
    /// The `webhook-signature` of Standard Webhooks.
    pub standard: Signature,
    /// The status it was answered with; none when the connection was closed.
    pub answered: Option<u16>,
}

impl Delivery {
    /// The value of the header `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(found).map(|(_, value)| value.as_str())
    }

    /// Whether it was answered with success, so that it will not come again.
    pub fn taken(&self) -> bool {
        self.answered.is_some_and(|status| status / 100 == 2)
    }
}

/// A message's status, as a webhook tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The message.
    pub id: String,
    /// "sent", "delivered", "read" or "failed".
    pub status: String,
    /// Whom it went to.
    #[serde(default)]
    pub recipient_id: String,
}

/// How many deliveries there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests read, whatever became of them.
    pub received: u64,
    /// Those with both signatures right.
    pub valid: u64,
    /// Those refused for a signature.
    pub refused: u64,
    /// Statuses that had been told before.
    pub repeated: u64,
    /// Bodies that are no webhook.
    pub unreadable: u64,
}

/// The endpoint. It closes when dropped.
pub struct WebhookSink {
    address: SocketAddr,
    shared: Arc<Shared>,
    clock: ThreadClock,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Whether bodies and headers are kept once they are checked.
    records: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    verify_token: Option<String>,
    app_secret: Option<Vec<u8>>,
    challenges: Vec<String>,
    faults: VecDeque<Fault>,
    always: Option<Fault>,
    deliveries: Vec<Delivery>,
    /// Status, then message, then when it was first told.
    told: HashMap<String, HashMap<String, Instant>>,
    tally: Tally,
}

impl WebhookSink {
    /// An endpoint on a free port of 127.0.0.1 that keeps every delivery.
    ///
    /// # Errors
    /// The system gives no port or no thread.
    pub fn start() -> io::Result<Self> {
        Self::start_with(true)
    }

    /// The same for benchmarks: it checks as much, and keeps only which status
    /// came when.
    ///
    /// # Errors
    /// The system gives no port or no thread.
    pub fn start_counting() -> io::Result<Self> {
        Self::start_with(false)
    }

    fn start_with(records: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared { records, state: Mutex::default(), changed: Condvar::new() });
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::channel();
        let served = Arc::clone(&shared);
        let thread = thread::Builder::new().name("webhook-sink".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let _ = match (ThreadClock::of_this_thread(), &runtime) {
                (Ok(clock), Ok(_)) => ready.send(Ok(clock)),
                (Err(error), _) => ready.send(Err(error)),
                (_, Err(error)) => ready.send(Err(io::Error::other(error.to_string()))),
            };
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, served) => {}
                        _ = stopped => {}
                    }
                });
            }
        })?;
        let clock = started.recv().map_err(io::Error::other)??;
        Ok(Self { address, shared, clock, stop: Some(stop), thread: Some(thread) })
    }

    /// What to register as the webhook's address.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// From now on a challenge must carry `token`; until then any passes.
    pub fn set_verify_token(&self, token: &str) {
        self.state().verify_token = Some(token.to_owned());
    }

    /// From now on deliveries are checked with `secret`, and so are those that
    /// came before, at once: the wrong ones among them are counted as refused.
    pub fn set_app_secret(&self, secret: &str) {
        let mut state = self.state();
        state.app_secret = Some(secret.as_bytes().to_vec());
        let mut kept = std::mem::take(&mut state.deliveries);
        for delivery in &mut kept {
            if delivery.hub == Signature::Unchecked {
                check(delivery, secret.as_bytes());
                state.count(delivery);
            }
        }
        if self.shared.records {
            state.deliveries = kept;
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The next `count` deliveries meet `fault`, after those already scripted.
    pub fn fail_next(&self, count: usize, fault: Fault) {
        let mut state = self.state();
        state.faults.extend(std::iter::repeat_n(fault, count));
    }

    /// Every delivery without a fault scripted for it meets `fault`; none ends
    /// that.
    pub fn fail_always(&self, fault: Option<Fault>) {
        self.state().always = fault;
    }

    /// The tokens that challenges came with.
    pub fn challenges(&self) -> Vec<String> {
        self.state().challenges.clone()
    }

    /// All deliveries so far; when counting, only those not checked yet.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state().deliveries.clone()
    }

    /// What came so far, in numbers.
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    /// How many messages were told to be `status`.
    pub fn count(&self, status: &str) -> usize {
        self.state().told.get(status).map_or(0, HashMap::len)
    }

    /// The messages told to be `status`, and when first.
    pub fn told(&self, status: &str) -> HashMap<String, Instant> {
        self.state().told.get(status).cloned().unwrap_or_default()
    }

    /// Forgets what came, keeping secrets and scripts.
    pub fn clear(&self) {
        let mut state = self.state();
        state.told.clear();
        state.deliveries.clear();
        state.tally = Tally::default();
    }

    /// Blocks until `count` messages were told to be `status`, or `timeout` has
    /// passed; how many there are then.
    pub fn wait_for(&self, status: &str, count: usize, timeout: Duration) -> usize {
        let told = |state: &State| state.told.get(status).map_or(0, HashMap::len);
        let waited = self.shared.changed.wait_timeout_while(self.state(), timeout, |state| told(state) < count);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        told(&state)
    }

    /// The same without blocking the thread.
    pub async fn reached(&self, status: &str, count: usize, timeout: Duration) -> usize {
        const POLL_MS: u64 = 5;
        let deadline = Instant::now() + timeout;
        loop {
            let told = self.count(status);
            if told >= count || Instant::now() >= deadline {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    /// The processor time the endpoint has taken, in seconds.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        self.clock.seconds()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Drop for WebhookSink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes note of a delivery whose signatures were checked.
    fn count(&mut self, delivery: &Delivery) {
        if delivery.hub != Signature::Valid || delivery.standard != Signature::Valid {
            self.tally.refused += 1;
            return;
        }
        self.tally.valid += 1;
        if !delivery.taken() {
            return;
        }
        for status in &delivery.statuses {
            // Looked up before it is copied: there are few statuses.
            if !self.told.contains_key(&status.status) {
                self.told.insert(status.status.clone(), HashMap::new());
            }
            if let Some(told) = self.told.get_mut(&status.status) {
                if told.contains_key(&status.id) {
                    self.tally.repeated += 1;
                } else {
                    told.insert(status.id.clone(), delivery.at);
                }
            }
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        // A connection that failed before it was taken concerns nobody.
        if let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                // The peer sees a broken connection, which is what happened.
                let _ = converse(stream, &shared).await;
            });
        }
    }
}

async fn converse(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut wire = Wire::new(stream)?;
    let mut answer = String::new();
    while let Some(frame) = wire.next().await? {
        let target = frame.head.split(' ').nth(1).unwrap_or_default().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (status, body) = if path != PATH {
            (404, String::new())
        } else if frame.head.starts_with("GET ") {
            challenge(shared, query)
        } else if frame.head.starts_with("POST ") {
            let (head, body) = (frame.head, frame.body);
            let fault = {
                let mut state = shared.lock();
                state.tally.received += 1;
                state.faults.pop_front().or(state.always)
            };
            match fault {
                Some(Fault::Close) => {
                    receive(shared, head, body, None);
                    return Ok(());
                }
                Some(Fault::Status(status)) => {
                    (receive(shared, head, body, Some(status)).unwrap_or(status), String::new())
                }
                Some(Fault::Delay(delay)) => {
                    tokio::time::sleep(delay).await;
                    (receive(shared, head, body, Some(200)).unwrap_or(200), String::new())
                }
                None => (receive(shared, head, body, Some(200)).unwrap_or(200), String::new()),
            }
        } else {
            (405, String::new())
        };
        answer.clear();
        let _ = write!(answer, "HTTP/1.1 {status} Webhook\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        wire.send(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Meta's handshake: give the challenge back to whoever knows the token.
fn challenge(shared: &Shared, query: &str) -> (u16, String) {
    let mut fields: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let mut field = |name: &str| fields.remove(name).unwrap_or_default().into_owned();
    let token = field("hub.verify_token");
    let mut state = shared.lock();
    let known = state.verify_token.as_ref().is_none_or(|expected| *expected == token);
    state.challenges.push(token);
    if known && field("hub.mode") == "subscribe" { (200, field("hub.challenge")) } else { (403, String::new()) }
}

/// Checks and records one delivery that is to be answered with `answer`; what
/// it is answered with instead, when it is not.
fn receive(shared: &Shared, head: &str, body: &[u8], answer: Option<u16>) -> Option<u16> {
    let secret = shared.lock().app_secret.clone();
    let keeps = shared.records || secret.is_none();
    let statuses = statuses_in(body);
    let readable = statuses.is_some();
    let mut delivery = Delivery {
        at: Instant::now(),
        unix_seconds: unix_now(),
        headers: match keeps {
            true => headers(head).map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            false => Vec::new(),
        },
        body: match keeps {
            true => body.to_vec(),
            false => Vec::new(),
        },
        statuses: statuses.unwrap_or_default(),
        hub: Signature::Unchecked,
        standard: Signature::Unchecked,
        answered: answer,
    };
    let mut instead = None;
    if let Some(secret) = &secret {
        delivery.hub = hub_signature(secret, header(head, "x-hub-signature-256"), body);
        delivery.standard = standard_signature(secret, |name| header(head, name), body, delivery.unix_seconds);
        if (delivery.hub, delivery.standard) != (Signature::Valid, Signature::Valid) {
            instead = Some(401);
        } else if !readable {
            instead = Some(400);
        }
        if instead.is_some() {
            delivery.answered = answer.and(instead);
        }
    }
    let mut state = shared.lock();
    state.tally.unreadable += u64::from(!readable);
    if secret.is_none()
        && let Some(secret) = &state.app_secret
    {
        // It was set while this one was being read.
        check(&mut delivery, secret);
    }
    if delivery.hub != Signature::Unchecked {
        state.count(&delivery);
    }
    if shared.records || delivery.hub == Signature::Unchecked {
        state.deliveries.push(delivery);
    }
    drop(state);
    shared.changed.notify_all();
    instead
}

fn check(delivery: &mut Delivery, secret: &[u8]) {
    delivery.hub = hub_signature(secret, delivery.header("x-hub-signature-256"), &delivery.body);
    delivery.standard = standard_signature(secret, |name| delivery.header(name), &delivery.body, delivery.unix_seconds);
}

/// Checks `X-Hub-Signature-256: sha256=HEX`, over the body as it came.
pub fn hub_signature(secret: &[u8], value: Option<&str>, body: &[u8]) -> Signature {
    let Some(value) = value else {
        return Signature::Missing;
    };
    let claimed = value.strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok());
    match claimed {
        Some(claimed) if proves(secret, &[body], &claimed) => Signature::Valid,
        _ => Signature::Wrong,
    }
}

/// Checks the three headers of Standard Webhooks, whose signature covers
/// `ID.TIMESTAMP.BODY`, keyed with the bytes of `secret`. One right signature
/// among several suffices.
pub fn standard_signature<'h>(
    secret: &[u8],
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
    now_unix_seconds: u64,
) -> Signature {
    let (Some(id), Some(timestamp), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return Signature::Missing;
    };
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let right = signatures.split(' ').any(|signature| {
        let claimed = signature.strip_prefix("v1,").and_then(|text| BASE64.decode(text).ok());
        claimed.is_some_and(|claimed| proves(secret, &signed, &claimed))
    });
    let fresh = timestamp.parse::<u64>().is_ok_and(|at| at.abs_diff(now_unix_seconds) <= TIMESTAMP_MAX_SECONDS);
    match (right, fresh) {
        (true, true) => Signature::Valid,
        (true, false) => Signature::Stale,
        (false, _) => Signature::Wrong,
    }
}

fn proves(secret: &[u8], parts: &[&[u8]], claimed: &[u8]) -> bool {
    keyed(secret, parts).verify_slice(claimed).is_ok()
}

fn keyed(secret: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The headers a webhook with `body` carries when everything is right: for
/// tests that play the platform.
pub fn signed_headers(secret: &[u8], id: &str, body: &[u8]) -> [(&'static str, String); 4] {
    let timestamp = unix_now().to_string();
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let hub = hex::encode(keyed(secret, &[body]).finalize().into_bytes());
    let standard = BASE64.encode(keyed(secret, &signed).finalize().into_bytes());
    [
        ("X-Hub-Signature-256", format!("sha256={hub}")),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", format!("v1,{standard}")),
    ]
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}

/// The statuses of a webhook of the Cloud API; none when the body is not one.
fn statuses_in(body: &[u8]) -> Option<Vec<Status>> {
    #[derive(Deserialize)]
    struct Webhook {
        entry: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        changes: Vec<Change>,
    }
    #[derive(Deserialize)]
    struct Change {
        value: Value,
    }
    #[derive(Deserialize)]
    struct Value {
        #[serde(default)]
        statuses: Vec<Status>,
    }
    let webhook: Webhook = serde_json::from_slice(body).ok()?;
    let changes = webhook.entry.into_iter().flat_map(|entry| entry.changes);
    Some(changes.flat_map(|change| change.value.statuses).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec-of-the-demo";

    fn body(id: &str, status: &str) -> String {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","statuses":[{{"id":"{id}","status":"{status}","recipient_id":"49"}}]}}}}]}}]}}"#
        )
    }

    /// Posts over a connection of its own; the status, or none when closed.
    async fn post(sink: &WebhookSink, body: &str, headers: &[(&str, String)]) -> Option<u16> {
        let mut request = format!("POST {PATH} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        let mut wire = Wire::connect(sink.address).await.unwrap();
        wire.send(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
        let frame = wire.next().await.unwrap()?;
        frame.head.split(' ').nth(1)?.parse().ok()
    }

    async fn post_signed(sink: &WebhookSink, id: &str, status: &str) -> Option<u16> {
        let body = body(id, status);
        let headers = signed_headers(SECRET.as_bytes(), &format!("msg_{id}"), body.as_bytes());
        post(sink, &body, &headers).await
    }

    #[test]
    fn the_published_vectors_of_both_schemes_pass() {
        // RFC 4231, test case 2.
        let digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let value = format!("sha256={digest}");
        let text = b"what do ya want for nothing?";
        assert_eq!(hub_signature(b"Jefe", Some(&value), text), Signature::Valid);
        // The Standard Webhooks specification's own example.
        let key = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let headers = |name: &str| match name {
            "webhook-id" => Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            "webhook-timestamp" => Some("1614265330"),
            "webhook-signature" => Some("v1a,x v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            _ => None,
        };
        let body = br#"{"test": 2432232314}"#;
        let at = 1_614_265_330;
        assert_eq!(standard_signature(&key, headers, body, at + 5), Signature::Valid);
        assert_eq!(standard_signature(&key, headers, body, at + 301), Signature::Stale);
        assert_eq!(standard_signature(b"other", headers, body, at), Signature::Wrong);
    }

    #[test]
    fn any_change_to_what_was_signed_is_noticed() {
        let body = b"{}";
        let right = signed_headers(b"key", "msg_1", body);
        let standard = |headers: &[(&'static str, String)], body: &[u8]| {
            let find = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
            standard_signature(b"key", find, body, unix_now())
        };
        assert_eq!(standard(&right, body), Signature::Valid);
        assert_eq!(standard(&right, b"{ }"), Signature::Wrong);
        for (index, value) in [(1, "msg_2"), (2, "1"), (3, "v1,AAAA"), (3, "v2,AAAA"), (3, "")] {
            let mut changed = right.clone();
            changed[index].1 = value.to_owned();
            assert_eq!(standard(&changed, body), Signature::Wrong, "{value}");
        }
        assert_eq!(standard(&right[..3], body), Signature::Missing);

        let hub = right[0].1.as_str();
        assert_eq!(hub_signature(b"key", Some(hub), body), Signature::Valid);
        assert_eq!(hub_signature(b"key2", Some(hub), body), Signature::Wrong);
        assert_eq!(hub_signature(b"key", Some(&hub[7..]), body), Signature::Wrong);
        assert_eq!(hub_signature(b"key", Some("sha256="), body), Signature::Wrong);
        assert_eq!(hub_signature(b"key", None, body), Signature::Missing);
    }

    #[tokio::test]
    async fn a_challenge_is_answered_to_those_who_know_the_token() {
        let sink = WebhookSink::start().unwrap();
        let ask = async |token: &str| {
            let mut wire = Wire::connect(sink.address).await.unwrap();
            let request = format!(
                "GET {PATH}?hub.mode=subscribe&hub.challenge=11%2B58&hub.verify_token={token} HTTP/1.1\r\n\r\n"
            );
            wire.send(request.as_bytes()).await.unwrap();
            let frame = wire.next().await.unwrap().unwrap();
            let status = frame.head.split(' ').nth(1).unwrap().to_owned();
            (status, String::from_utf8_lossy(frame.body).into_owned())
        };
        let granted = ("200".to_owned(), "11+58".to_owned());
        assert_eq!(ask("early").await, granted);
        sink.set_verify_token("a b");
        assert_eq!(ask("a%20b").await, granted);
        assert_eq!(ask("wrong").await, ("403".to_owned(), String::new()));
        assert_eq!(sink.challenges(), ["early", "a b", "wrong"]);
    }

    #[tokio::test]
    async fn only_what_is_signed_twice_counts() {
        let sink = WebhookSink::start().unwrap();
        sink.set_app_secret(SECRET);
        assert_eq!(post_signed(&sink, "wamid.1", "sent").await, Some(200));
        assert_eq!(post_signed(&sink, "wamid.1", "sent").await, Some(200));
        assert_eq!(post_signed(&sink, "wamid.1", "delivered").await, Some(200));
        let text = body("wamid.2", "sent");
        let headers = signed_headers(SECRET.as_bytes(), "msg_2", text.as_bytes());
        assert_eq!(post(&sink, &text, &headers[..1]).await, Some(401));
        assert_eq!(post(&sink, &text, &headers[1..]).await, Some(401));
        let headers = signed_headers(SECRET.as_bytes(), "msg_3", b"{}");
        assert_eq!(post(&sink, "{}", &headers).await, Some(400));

        assert_eq!((sink.count("sent"), sink.count("delivered")), (1, 1));
        let expected = Tally { received: 6, valid: 4, refused: 2, repeated: 1, unreadable: 1 };
        assert_eq!(sink.tally(), expected);
        let deliveries = sink.deliveries();
        assert_eq!(deliveries[0].header("WEBHOOK-ID"), Some("msg_wamid.1"));
        assert_eq!(deliveries[3].standard, Signature::Missing);
        assert_eq!(deliveries[4].hub, Signature::Missing);
        assert_eq!(deliveries[2].statuses[0].status, "delivered");
    }

    #[tokio::test]
    async fn what_came_before_the_secret_is_checked_when_it_is_set() {
        for sink in [WebhookSink::start().unwrap(), WebhookSink::start_counting().unwrap()] {
            assert_eq!(post_signed(&sink, "wamid.1", "sent").await, Some(200));
            assert_eq!(post(&sink, &body("wamid.2", "sent"), &[]).await, Some(200));
            assert_eq!(sink.count("sent"), 0);
            sink.set_app_secret(SECRET);
            assert_eq!(sink.count("sent"), 1);
            assert_eq!((sink.tally().valid, sink.tally().refused), (1, 1));
            assert_eq!(post_signed(&sink, "wamid.3", "sent").await, Some(200));
            let count = sink.reached("sent", 2, Duration::from_secs(5)).await;
            assert_eq!(count, 2);
        }
    }

    #[tokio::test]
    async fn counting_keeps_times_and_nothing_else() {
        let sink = WebhookSink::start_counting().unwrap();
        sink.set_app_secret(SECRET);
        let before = Instant::now();
        post_signed(&sink, "wamid.1", "sent").await;
        assert!(sink.deliveries().is_empty());
        assert!(sink.told("sent")["wamid.1"] >= before);
        sink.clear();
        assert_eq!(sink.count("sent"), 0);
    }

    #[tokio::test]
    async fn faults_come_in_the_order_of_the_script() {
        let sink = WebhookSink::start().unwrap();
        sink.set_app_secret(SECRET);
        sink.fail_next(2, Fault::Status(503));
        sink.fail_next(1, Fault::Close);
        sink.fail_next(1, Fault::Delay(Duration::from_millis(50)));
        assert_eq!(post_signed(&sink, "wamid.1", "sent").await, Some(503));
        assert_eq!(post_signed(&sink, "wamid.1", "sent").await, Some(503));
        assert_eq!(post_signed(&sink, "wamid.1", "sent").await, None);
        assert_eq!(sink.count("sent"), 0, "a delivery that failed comes again");
        let start = Instant::now();
        assert_eq!(post_signed(&sink, "wamid.1", "sent").await, Some(200));
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert_eq!(sink.wait_for("sent", 1, Duration::ZERO), 1);
        assert_eq!(sink.tally().repeated, 0);

        sink.fail_always(Some(Fault::Status(500)));
        assert_eq!(post_signed(&sink, "wamid.2", "sent").await, Some(500));
        sink.fail_always(None);
        assert_eq!(post_signed(&sink, "wamid.2", "sent").await, Some(200));
        let answers: Vec<_> = sink.deliveries().iter().map(|d| d.answered).collect();
        let expected = [Some(503), Some(503), None, Some(200), Some(500), Some(200)];
        assert_eq!(answers, expected);
    }
}
