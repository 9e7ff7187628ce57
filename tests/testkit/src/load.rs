//! A load generator whose figures can be believed: in an open loop each latency
//! counts from the moment the request was due, so a stall of the server shows
//! in every request it delayed, not only in the one that met it.
//!
//! The closed loop (each connection sends when it was answered) finds the
//! highest rate; the open loop (a fixed rate, whatever comes back) finds what a
//! client feels at a given rate. Both run on one thread of their own, with
//! requests written and answers read by hand: on two cores the generator must
//! not be what is measured.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::{process::ThreadClock, wire::Wire};

/// The length of a request's body, filled up with text.
const BODY_BYTES: usize = 300;

/// How long an answer may take before the request counts as failed.
const ANSWER_MAX_SECONDS: u64 = 10;

/// Connections that fail this often in a row give up: the server is gone.
const FAILURES_MAX: u32 = 20;

/// How much of a refusal is shown.
const REFUSAL_MAX_CHARACTERS: usize = 300;

/// Every recipient of this process is another one, so that no limit on pairs of
/// sender and recipient is met.
static NEXT_RECIPIENT: AtomicU64 = AtomicU64::new(0);

/// Whom the messages are sent through.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the API is: `http://HOST:PORT`, with no slash at its end.
    pub base_url: String,
    /// The sender.
    pub phone_number_id: String,
    /// The API key.
    pub token: String,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection sends its next when the last was answered.
    Closed,
    /// This many a second, answered or not.
    Open {
        /// More than zero.
        per_second: f64,
    },
}

/// What to send.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Kept connections, each with one request at a time.
    pub connections: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// It ends after this many requests,
    pub messages: u64,
    /// or after this long, whichever is first.
    pub time_limit: Duration,
    /// The last digits of every recipient's number; they tell the sandbox how
    /// the phone behaves.
    pub recipient_suffix: String,
}

/// A message the server took.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its id.
    pub id: String,
    /// When the request was due: in a closed loop, when it was sent.
    pub due: Instant,
    /// When it was answered.
    pub answered: Instant,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The messages taken, connection by connection.
    pub accepted: Vec<Accepted>,
    /// Other answers and failures: how often, by what they were.
    pub refused: BTreeMap<String, u64>,
    /// From due to answered, of the messages taken, in microseconds.
    pub latency: Histogram,
    /// When the first request was due.
    pub started: Instant,
    /// When the last was answered.
    pub ended: Instant,
    /// The processor time the generator took, in seconds.
    pub cpu_seconds: f64,
}

impl Outcome {
    /// Messages taken a second, over the whole run.
    pub fn accepted_per_second(&self) -> f64 {
        per_second(self.accepted.len(), self.ended - self.started)
    }
}

/// `count` a second, when they took `elapsed`.
pub fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Sends what `plan` says to `target` and returns when all is answered.
///
/// # Errors
/// The address is not understood, no thread can be had, or nothing connects.
pub fn run(target: &Target, plan: &Plan) -> anyhow::Result<Outcome> {
    let shooter = Shooter::new(target, plan)?;
    let generator =
        thread::Builder::new().name("load-generator".to_owned()).spawn(move || -> anyhow::Result<Outcome> {
            let clock = ThreadClock::of_this_thread()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let mut outcome = runtime.block_on(shoot(Arc::new(shooter)))?;
            outcome.cpu_seconds += clock.seconds()?;
            Ok(outcome)
        })?;
    match generator.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// What all connections share.
struct Shooter {
    address: SocketAddr,
    /// Everything before the recipient's number, and everything after it. The
    /// number's length never changes, so neither does the Content-Length.
    before: String,
    after: String,
    plan: Plan,
    next: AtomicU64,
    /// Requests that are due, in an open loop; at its end, one more for each
    /// connection, which so learns of the end.
    due: Semaphore,
    /// How many requests become due, once that is known.
    last: AtomicU64,
    stopped: AtomicBool,
}

impl Shooter {
    fn new(target: &Target, plan: &Plan) -> anyhow::Result<Self> {
        let url = url::Url::parse(&target.base_url).with_context(|| format!("the base URL {}", target.base_url))?;
        if url.scheme() != "http" {
            bail!("{url}: the load generator speaks plain http");
        }
        let host = url.host_str().context("the base URL names no host")?;
        let port = url.port_or_known_default().unwrap_or(80);
        let address = (host.trim_matches(['[', ']']), port)
            .to_socket_addrs()?
            .next()
            .with_context(|| format!("{host} has no address"))?;

        let mut text = String::new();
        let length = body_parts(&plan.recipient_suffix, &text).map(|part| part.len());
        let missing = BODY_BYTES.saturating_sub(length[0] + RECIPIENT_DIGITS + length[1]);
        while text.len() < missing {
            text.push_str("Your order is on its way. ");
        }
        text.truncate(missing);
        let [opening, closing] = body_parts(&plan.recipient_suffix, &text);
        let content_length = opening.len() + RECIPIENT_DIGITS + closing.len();
        let before = format!(
            "POST {}/v24.0/{}/messages HTTP/1.1\r\n\
             Host: {host}:{port}\r\n\
             Authorization: Bearer {}\r\n\
             Content-Type: application/json\r\n\
             Content-Length: {content_length}\r\n\r\n{opening}",
            url.path().trim_end_matches('/'),
            target.phone_number_id,
            target.token,
        );
        if let Pace::Open { per_second } = plan.pace
            && !(per_second > 0.0 && per_second.is_finite())
        {
            bail!("a rate of {per_second} a second");
        }
        Ok(Self {
            address,
            before,
            after: closing,
            plan: plan.clone(),
            next: AtomicU64::new(0),
            due: Semaphore::new(0),
            last: AtomicU64::new(u64::MAX),
            stopped: AtomicBool::new(false),
        })
    }
}

/// The country code and the counter: with four more digits, the longest number
/// there is but one.
const RECIPIENT_DIGITS: usize = 10;
const RECIPIENT_COUNTER_MODULUS: u64 = 10_000_000;

fn body_parts(suffix: &str, text: &str) -> [String; 2] {
    [
        r#"{"messaging_product":"whatsapp","recipient_type":"individual","to":""#.to_owned(),
        format!(r#"{suffix}","type":"text","text":{{"preview_url":false,"body":"{text}"}}}}"#),
    ]
}

/// What one connection brings home.
#[derive(Default)]
struct Bag {
    accepted: Vec<Accepted>,
    refused: BTreeMap<String, u64>,
}

async fn shoot(shooter: Arc<Shooter>) -> anyhow::Result<Outcome> {
    // Connections are made before the clock starts.
    let mut wires = Vec::new();
    for _ in 0..shooter.plan.connections.max(1) {
        let wire =
            Wire::connect(shooter.address).await.with_context(|| format!("cannot connect to {}", shooter.address))?;
        wires.push(wire);
    }
    let started = Instant::now();
    let pacer = match shooter.plan.pace {
        Pace::Closed => None,
        Pace::Open { per_second } => {
            let shooter = Arc::clone(&shooter);
            let pace = move || release(&shooter, started, per_second);
            Some(thread::Builder::new().name("pacer".to_owned()).spawn(pace)?)
        }
    };
    let bag = Arc::new(Mutex::new(Bag::default()));
    let mut tasks = Vec::new();
    for wire in wires {
        let (shooter, bag) = (Arc::clone(&shooter), Arc::clone(&bag));
        tasks.push(tokio::spawn(async move {
            let filled = connection(&shooter, wire, started).await;
            let mut bag = bag.lock().unwrap_or_else(PoisonError::into_inner);
            bag.accepted.extend(filled.accepted);
            for (what, count) in filled.refused {
                *bag.refused.entry(what).or_default() += count;
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    let ended = Instant::now();
    shooter.stopped.store(true, Ordering::Relaxed);
    let cpu_seconds = match pacer.map(thread::JoinHandle::join) {
        None => 0.0,
        Some(Ok(seconds)) => seconds?,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
    };
    let bag = std::mem::take(&mut *bag.lock().unwrap_or_else(PoisonError::into_inner));
    let mut latency = Histogram::new();
    for message in &bag.accepted {
        latency.record(message.answered - message.due);
    }
    Ok(Outcome { accepted: bag.accepted, refused: bag.refused, latency, started, ended, cpu_seconds })
}

/// Releases each request when it is due. A thread of its own, because the timer
/// of the runtime is only good to a millisecond. Returns the processor time it
/// took, in seconds.
fn release(shooter: &Shooter, started: Instant, per_second: f64) -> io::Result<f64> {
    let mut released = 0;
    while released < shooter.plan.messages {
        let due = due_at(started, released, per_second);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if shooter.stopped.load(Ordering::Relaxed) || due - started >= shooter.plan.time_limit {
            break;
        }
        released += 1;
        shooter.due.add_permits(1);
    }
    shooter.last.store(released, Ordering::Release);
    shooter.due.add_permits(shooter.plan.connections.max(1));
    ThreadClock::of_this_thread()?.seconds()
}

fn due_at(started: Instant, index: u64, per_second: f64) -> Instant {
    started + Duration::from_secs_f64(index as f64 / per_second)
}

async fn connection(shooter: &Shooter, wire: Wire, started: Instant) -> Bag {
    let mut bag = Bag::default();
    let mut wire = Some(wire);
    let mut request = String::new();
    let mut failures = 0;
    while failures < FAILURES_MAX {
        let Some(due) = next_due(shooter, started).await else {
            break;
        };
        let number = NEXT_RECIPIENT.fetch_add(1, Ordering::Relaxed) % RECIPIENT_COUNTER_MODULUS;
        request.clear();
        let _ = write!(request, "{}491{number:07}{}", shooter.before, shooter.after);
        match exchange(shooter, &mut wire, request.as_bytes()).await {
            Ok(Answer::Accepted(id)) => {
                failures = 0;
                bag.accepted.push(Accepted { id, due, answered: Instant::now() });
            }
            Ok(Answer::Refused(what)) => {
                failures = 0;
                *bag.refused.entry(what).or_default() += 1;
            }
            Err(error) => {
                wire = None;
                failures += 1;
                *bag.refused.entry(format!("no answer: {error}")).or_default() += 1;
            }
        }
    }
    bag
}

/// When the next request of this connection is due; none when there is none.
async fn next_due(shooter: &Shooter, started: Instant) -> Option<Instant> {
    match shooter.plan.pace {
        Pace::Closed => {
            let now = Instant::now();
            let index = shooter.next.fetch_add(1, Ordering::Relaxed);
            let over = index >= shooter.plan.messages || now - started >= shooter.plan.time_limit;
            (!over).then_some(now)
        }
        Pace::Open { per_second } => {
            shooter.due.acquire().await.ok()?.forget();
            let index = shooter.next.fetch_add(1, Ordering::Relaxed);
            let over = index >= shooter.last.load(Ordering::Acquire);
            (!over).then(|| due_at(started, index, per_second))
        }
    }
}

enum Answer {
    Accepted(String),
    Refused(String),
}

async fn exchange(shooter: &Shooter, kept: &mut Option<Wire>, request: &[u8]) -> io::Result<Answer> {
    let wire = match kept {
        Some(wire) => wire,
        None => kept.insert(Wire::connect(shooter.address).await?),
    };
    let asked = async {
        wire.send(request).await?;
        match wire.next().await? {
            Some(frame) => Ok(understand(frame.head, frame.body)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    tokio::time::timeout(Duration::from_secs(ANSWER_MAX_SECONDS), asked)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn understand(head: &str, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Sent {
        messages: Vec<Message>,
    }
    #[derive(Deserialize)]
    struct Message {
        id: String,
    }
    let status = head.split(' ').nth(1).unwrap_or_default();
    let sent = match status {
        "200" => serde_json::from_slice::<Sent>(body).ok(),
        _ => None,
    };
    match sent.and_then(|sent| sent.messages.into_iter().next()) {
        Some(message) => Answer::Accepted(message.id),
        None => {
            let text = String::from_utf8_lossy(body);
            let shown: String = text.chars().take(REFUSAL_MAX_CHARACTERS).collect();
            Answer::Refused(format!("{status}: {shown}"))
        }
    }
}

/// How many steps each doubling of a value is divided into: the error of a
/// percentile is below one in this many.
const STEPS: u64 = 64;
const STEPS_BITS: u32 = STEPS.trailing_zeros();

/// Latencies in buckets that grow with their value: a fixed size, and
/// percentiles that are never below the true one and less than 1/64 above it.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_us: u64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Self {
        Self { buckets: vec![0; bucket_of(u64::MAX) + 1], count: 0, max_us: 0 }
    }

    /// Adds one latency, to the microsecond.
    pub fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(us)] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(us);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The latency that `percent` of all do not exceed, in milliseconds; zero
    /// when there are none.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return top_of(bucket).min(self.max_us) as f64 / 1_000.0;
            }
        }
        self.max_us as f64 / 1_000.0
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Values below twice the steps have a bucket each; above, the leading bits
/// choose it.
fn bucket_of(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEPS_BITS + 1);
    let index = u64::from(shift) * STEPS + (value >> shift);
    usize::try_from(index).expect("a few thousand buckets")
}

/// The greatest value of a bucket.
fn top_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / STEPS).saturating_sub(1);
    let lead = bucket - shift * STEPS;
    (lead << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn every_value_has_a_bucket_and_its_top_is_close() {
        let mut previous = 0;
        let values = (0..100_000).chain((17..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + power / 3]
        }));
        for value in values.chain([u64::MAX]) {
            let bucket = bucket_of(value);
            let top = top_of(bucket);
            assert!(top >= value && top - value <= value / STEPS, "{value}: {top}");
            assert!(bucket >= previous, "{value}");
            previous = bucket;
        }
        assert_eq!(top_of(bucket_of(u64::MAX)), u64::MAX);
    }

    #[test]
    fn percentiles_agree_with_sorting() {
        let mut histogram = Histogram::new();
        let mut samples = Vec::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..10_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let us = (seed % 1_000) * (seed >> 32) % 3_000_000;
            samples.push(us);
            histogram.record(Duration::from_micros(us));
        }
        samples.sort_unstable();
        for percent in [0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
            let rank = ((percent / 100.0 * 10_000.0_f64).ceil() as usize).max(1);
            let exact = samples[rank - 1] as f64 / 1_000.0;
            let found = histogram.percentile_ms(percent);
            assert!(
                found >= exact && found <= exact * (1.0 + 1.0 / STEPS as f64) + 0.001,
                "{percent}: {found} for {exact}"
            );
        }
        assert_eq!(histogram.count(), 10_000);
        assert!(Histogram::new().percentile_ms(99.0).abs() < f64::EPSILON);
    }

    fn plan(pace: Pace, messages: u64) -> Plan {
        Plan {
            connections: 4,
            pace,
            messages,
            time_limit: Duration::from_secs(20),
            recipient_suffix: "0007".to_owned(),
        }
    }

    /// A server that answers every request after `delay(its number)`, and hands
    /// each request's text to `seen`.
    fn server(delay: fn(u64) -> Duration, seen: std::sync::mpsc::Sender<String>) -> Target {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let counter = Arc::new(AtomicU64::new(0));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (counter, seen) = (Arc::clone(&counter), seen.clone());
                thread::spawn(move || {
                    let mut stream = stream;
                    let mut bytes = [0; 4_096];
                    // Loopback delivers a request of this size in one piece.
                    while let Ok(count @ 1..) = stream.read(&mut bytes) {
                        let number = counter.fetch_add(1, Ordering::Relaxed);
                        let _ = seen.send(String::from_utf8_lossy(&bytes[..count]).into_owned());
                        thread::sleep(delay(number));
                        let body = match number % 10 {
                            9 => r#"{"error":{"code":130429}}"#.to_owned(),
                            _ => format!(r#"{{"messages":[{{"id":"wamid.{number}"}}]}}"#),
                        };
                        let status = if number % 10 == 9 { 429 } else { 200 };
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                        if stream.write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Target { base_url, phone_number_id: "1055".to_owned(), token: "key".to_owned() }
    }

    #[test]
    fn a_closed_loop_sends_as_many_as_planned_and_tells_refusals_apart() {
        let (seen, requests) = std::sync::mpsc::channel();
        let target = server(|_| Duration::ZERO, seen);
        let outcome = run(&target, &plan(Pace::Closed, 200)).unwrap();
        assert_eq!(outcome.accepted.len(), 180);
        assert_eq!(outcome.refused.values().sum::<u64>(), 20);
        let (what, _) = outcome.refused.first_key_value().unwrap();
        assert!(what.starts_with("429: ") && what.contains("130429"), "{what}");
        assert_eq!(outcome.latency.count(), 180);

        let requests: Vec<String> = requests.try_iter().collect();
        assert_eq!(requests.len(), 200);
        let mut recipients = std::collections::BTreeSet::new();
        for request in &requests {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /v24.0/1055/messages HTTP/1.1\r\n"));
            assert!(head.contains("\r\nAuthorization: Bearer key\r\n"));
            assert!(head.contains(&format!("\r\nContent-Length: {BODY_BYTES}")));
            assert_eq!(body.len(), BODY_BYTES);
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let to = body["to"].as_str().unwrap();
            assert!(to.ends_with("0007") && to.len() <= 15, "{to}");
            assert_eq!(body["type"], "text");
            recipients.insert(to.to_owned());
        }
        assert_eq!(recipients.len(), 200);
    }

    #[test]
    fn an_open_loop_keeps_its_rate_and_sends_everything_due() {
        let (seen, requests) = std::sync::mpsc::channel();
        let target = server(|_| Duration::ZERO, seen);
        let pace = Pace::Open { per_second: 500.0 };
        let outcome = run(&target, &plan(pace, 250)).unwrap();
        assert_eq!(requests.try_iter().count(), 250);
        let took = (outcome.ended - outcome.started).as_secs_f64();
        assert!((0.495..2.0).contains(&took), "{took}");
    }

    #[test]
    fn a_stall_shows_in_every_request_it_delayed() {
        let (seen, _requests) = std::sync::mpsc::channel();
        let stall = |number| Duration::from_millis(if number == 20 { 300 } else { 0 });
        let target = server(stall, seen);
        let mut plan = plan(Pace::Open { per_second: 200.0 }, 100);
        plan.connections = 1;
        let outcome = run(&target, &plan).unwrap();
        // 300 ms at 200 a second hold up some sixty of the hundred.
        assert!(outcome.latency.percentile_ms(50.0) > 20.0);
        assert!(outcome.latency.percentile_ms(10.0) < 20.0);
    }

    #[test]
    fn the_time_limit_ends_either_loop() {
        for pace in [Pace::Closed, Pace::Open { per_second: 100.0 }] {
            let (seen, _requests) = std::sync::mpsc::channel();
            let target = server(|_| Duration::from_millis(1), seen);
            let mut plan = plan(pace, u64::MAX);
            plan.time_limit = Duration::from_millis(200);
            let outcome = run(&target, &plan).unwrap();
            let took = outcome.ended - outcome.started;
            assert!(took < Duration::from_secs(5), "{took:?}");
            assert!(!outcome.accepted.is_empty());
        }
    }

    #[test]
    fn a_server_that_is_gone_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let target = Target { base_url, phone_number_id: String::new(), token: String::new() };
        let error = run(&target, &plan(Pace::Closed, 1)).unwrap_err().to_string();
        assert!(error.contains("cannot connect to 127.0.0.1"), "{error}");
    }
}
