//! The queue on Redis (6.2 or newer, or a server that speaks the same), for many processes.
//!
//! Every operation is one script, so it happens whole or not at all, and two claimers never get
//! the same job. A script touches at most [`STEP_JOBS_MAX`] jobs and lanes; larger calls are
//! split. Redis may go away at any time: calls fail within [`RESPONSE_TIMEOUT_MS`] with
//! [`QueueError::Unavailable`], and work again when it is back. What it forgot meanwhile is found
//! out by [`Queue::wiped`], which also notices a server that was restarted or replaced.
//!
//! Wake-ups travel by publish and subscribe, and only when a job became due earlier than a waiting
//! claimer could know. They are a courtesy: a claimer that hears nothing looks again on its own.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, Script, ServerErrorKind};
use redis::{FromRedisValue, Value};
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;

use super::{
    Claim, ClaimOptions, Claimed, Depth, Job, JobId, LANE_TURN_JOBS, Lane, Queue, QueueError, STEP_JOBS_MAX, Seen,
    Settle, Topic,
};

/// How long a call waits for an answer. After that the connection is given up, because one that
/// was cut off silently would otherwise swallow every call for minutes.
const RESPONSE_TIMEOUT_MS: u64 = 3_000;
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT_MS: u64 = 2_000;
/// How long a claimer sleeps at most while wake-ups arrive.
const POLL_MAX_MS: u64 = 5_000;
/// How long a claimer sleeps at most while the subscription is down.
const POLL_DEAF_MAX_MS: u64 = 250;
/// How often a silent subscription is asked for a sign of life.
const LISTENER_PING_MS: u64 = 10_000;
/// How long the listener waits before it subscribes again.
const LISTENER_RETRY_MS: u64 = 250;
/// Times are kept as doubles there: the largest that is exact (some 285,000 years from now).
const TIME_MAX_MS: i64 = 1 << 53;
/// The oldest server that has the commands used.
const VERSION_MIN: (u32, u32) = (6, 2);

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(include_str!("lua/common.lua"), include_str!("lua/pace.lua"), include_str!($file)))
        });
    };
}

script!(PUSH, "lua/push.lua");
script!(CLAIM, "lua/claim.lua");
script!(SETTLE, "lua/settle.lua");
script!(HOLD, "lua/hold.lua");
script!(SET_PACE, "lua/set_pace.lua");
script!(SPEND, "lua/spend.lua");
script!(HALVE, "lua/halve.lua");
script!(MISSING, "lua/missing.lua");
script!(DEPTH, "lua/depth.lua");
static WIPED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/wiped.lua")));
static MARK_FILLED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/mark_filled.lua")));

/// The queue on Redis. Made by [`connect`].
pub struct RedisQueue {
    client: Client,
    address: String,
    link: Mutex<Link>,
    bases: [String; Topic::ALL.len()],
    fill_base: String,
    fill: std::sync::Mutex<Option<Fill>>,
    news: Arc<News>,
    listener: AbortHandle,
}

/// The connection all calls share, or why there is none.
#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    serial: u64,
    failed: Option<(Instant, QueueError)>,
}

/// The refill this handle was told to make.
#[derive(Clone)]
struct Fill {
    server_run: String,
    token: String,
}

struct News {
    topics: [watch::Sender<u64>; Topic::ALL.len()],
    listening: AtomicBool,
}

impl News {
    fn tell(&self, topic: Topic) {
        self.topics[topic as usize].send_modify(|news| *news += 1);
    }
}

/// A queue on the Redis at `url` (`redis://`, `rediss://`, `redis+unix://`), under keys that begin
/// with `prefix`. It connects when first used, and again whenever it has to.
///
/// # Errors
///
/// [`QueueError::Refused`] when the URL cannot be used. That the server answers is not checked.
pub async fn connect(url: &str, prefix: &str) -> Result<RedisQueue, QueueError> {
    if url.starts_with("rediss:") {
        // Someone else may have chosen a provider for this process already: theirs is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let client =
        Client::open(url).map_err(|error| QueueError::Refused(format!("the Redis URL is not usable: {error}")))?;
    let address = client.get_connection_info().addr().to_string();
    let bases = Topic::ALL.map(|topic| format!("{prefix}:{{{topic}}}:"));
    let news =
        Arc::new(News { topics: std::array::from_fn(|_| watch::Sender::new(0)), listening: AtomicBool::new(false) });
    let listener = tokio::spawn(listen(client.clone(), bases.clone(), Arc::clone(&news)));
    Ok(RedisQueue {
        client,
        address,
        link: Mutex::default(),
        bases,
        fill_base: format!("{prefix}:{{fill}}:"),
        fill: std::sync::Mutex::default(),
        news,
        listener: listener.abort_handle(),
    })
}

impl Drop for RedisQueue {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Keeps one subscription alive and passes the news on.
async fn listen(client: Client, bases: [String; Topic::ALL.len()], news: Arc<News>) {
    let channels = bases.map(|base| format!("{base}news"));
    loop {
        hear(&client, &channels, &news).await;
        news.listening.store(false, Ordering::Relaxed);
        // Those who sleep relying on the subscription go back to looking for themselves.
        Topic::ALL.iter().for_each(|topic| news.tell(*topic));
        tokio::time::sleep(Duration::from_millis(LISTENER_RETRY_MS)).await;
    }
}

/// Returns when the subscription is lost or cannot be made.
async fn hear(client: &Client, channels: &[String; Topic::ALL.len()], news: &News) {
    let patience = Duration::from_millis(CONNECT_TIMEOUT_MS);
    let subscribe = async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(&channels[..]).await?;
        Ok::<_, RedisError>(subscription.split())
    };
    let Ok(Ok((mut sink, mut stream))) = tokio::time::timeout(patience, subscribe).await else {
        return;
    };
    news.listening.store(true, Ordering::Relaxed);
    // What was published before the subscription is news as well.
    Topic::ALL.iter().for_each(|topic| news.tell(*topic));
    loop {
        let silence = Duration::from_millis(LISTENER_PING_MS);
        match tokio::time::timeout(silence, stream.next()).await {
            Ok(Some(message)) => {
                let name = message.get_channel_name();
                let heard = channels.iter().position(|channel| channel == name);
                if let Some(topic) = heard.and_then(|index| Topic::ALL.get(index)) {
                    news.tell(*topic);
                }
            }
            Ok(None) => return,
            Err(_) => match tokio::time::timeout(patience, sink.ping::<Value>()).await {
                Ok(Ok(_)) => {}
                _ => return,
            },
        }
    }
}

impl RedisQueue {
    fn base(&self, topic: Topic) -> &str {
        &self.bases[topic as usize]
    }

    /// The shared connection and its serial number. Callers that arrive while an attempt to
    /// connect is under way share its outcome, so none waits for more than one.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), QueueError> {
        let asked = Instant::now();
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            return Ok((connection.clone(), link.serial));
        }
        if let Some((failed, error)) = &link.failed
            && *failed >= asked
        {
            return Err(error.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_millis(CONNECT_TIMEOUT_MS)))
            .set_response_timeout(Some(Duration::from_millis(RESPONSE_TIMEOUT_MS)));
        match self.client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => {
                link.connection = Some(connection.clone());
                link.serial += 1;
                link.failed = None;
                Ok((connection, link.serial))
            }
            Err(error) => {
                let error = self.explain(&error);
                link.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn give_up_connection(&self, serial: u64) {
        let mut link = self.link.lock().await;
        if link.serial == serial {
            link.connection = None;
        }
    }

    fn explain(&self, error: &RedisError) -> QueueError {
        let text = format!("Redis at {}: {error}", self.address);
        if is_passing(error) { QueueError::Unavailable(text) } else { QueueError::Refused(text) }
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd, script: Option<&Script>) -> Result<T, QueueError> {
        let (mut connection, serial) = self.connection().await?;
        let mut answer = command.query_async(&mut connection).await;
        if let (Err(error), Some(script)) = (&answer, script)
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            answer = match script.load_async(&mut connection).await {
                Ok(_) => command.query_async(&mut connection).await,
                Err(error) => Err(error),
            };
        }
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if is_connection_spoilt(&error) {
                    self.give_up_connection(serial).await;
                }
                Err(self.explain(&error))
            }
        }
    }

    async fn run<T: FromRedisValue>(&self, script: &Script, call: &Cmd) -> Result<T, QueueError> {
        self.ask(call, Some(script)).await
    }

    fn unreadable(&self, what: &str) -> QueueError {
        QueueError::Refused(format!(
            "Redis at {}: {what} has an unknown form; do other versions share these keys?",
            self.address
        ))
    }

    /// Which run of which server this is; empty when the server does not tell.
    async fn server_run(&self) -> Result<String, QueueError> {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let info: String = match self.ask(&info, None).await {
            Ok(info) => info,
            Err(QueueError::Refused(_)) => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        if let Some(version) = field("redis_version") {
            let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
            let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            if found < VERSION_MIN {
                let (major, minor) = VERSION_MIN;
                return Err(QueueError::Refused(format!(
                    "Redis at {} is {version}; {major}.{minor} or newer is needed",
                    self.address
                )));
            }
        }
        Ok(field("run_id").unwrap_or_default().to_owned())
    }

    fn fill(&self) -> std::sync::MutexGuard<'_, Option<Fill>> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it may go away by itself.
fn is_passing(error: &RedisError) -> bool {
    is_connection_spoilt(error)
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::NoScript
            )
        )
        || matches!(error.code(), Some("BUSY" | "OOM" | "MISCONF" | "NOREPLICAS"))
}

/// Whether another connection may work where this one does not. A server that became read-only
/// was demoted: its name may lead to the new primary by now.
fn is_connection_spoilt(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || matches!(error.kind(), ErrorKind::Parse | ErrorKind::Server(ServerErrorKind::ReadOnly))
}

fn call(script: &Script, key: &str) -> Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(script.get_hash()).arg(1).arg(key);
    call
}

fn time(ms: i64) -> i64 {
    ms.clamp(-TIME_MAX_MS, TIME_MAX_MS)
}

/// The items of one step, those of a lane together, otherwise in their order.
fn by_lane<T>(items: &[T], lane: impl Fn(&T) -> &Lane) -> Vec<&T> {
    let mut sorted: Vec<&T> = items.iter().collect();
    if !items.windows(2).all(|pair| lane(&pair[0]) == lane(&pair[1])) {
        sorted.sort_by(|one, other| lane(one).cmp(lane(other)));
    }
    sorted
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// A time, or an empty text for none. The outer none is an unknown form.
fn optional_time(value: Value) -> Option<Option<i64>> {
    let text = text(value)?;
    if text.is_empty() {
        return Some(None);
    }
    text.parse().ok().map(Some)
}

fn read_claim(answer: Vec<Value>, lease_until_ms: i64) -> Option<Claim> {
    let mut values = answer.into_iter();
    let next_due_ms = optional_time(values.next()?)?;
    let mut jobs = Vec::with_capacity(values.len());
    while let Some(lane) = values.next() {
        let lane = Lane::from(text(lane)?);
        for _ in 0..count(&values.next()?)? {
            jobs.push(Claimed { lane: lane.clone(), id: JobId::from(text(values.next()?)?), lease_until_ms });
        }
    }
    Some(Claim { jobs, next_due_ms, seen: Seen::default() })
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, topic: Topic, jobs: &[Job]) -> Result<(), QueueError> {
        for step in jobs.chunks(STEP_JOBS_MAX) {
            let mut push = call(&PUSH, self.base(topic));
            let jobs = by_lane(step, |job| &job.lane);
            for lane in jobs.chunk_by(|one, other| one.lane == other.lane) {
                push.arg(lane[0].lane.as_str()).arg(lane.len());
                for job in lane {
                    push.arg(job.id.as_str()).arg(time(job.due_ms));
                }
            }
            self.run::<()>(&PUSH, &push).await?;
        }
        Ok(())
    }

    async fn claim(&self, topic: Topic, now_ms: i64, options: &ClaimOptions) -> Result<Claim, QueueError> {
        let seen = Seen(*self.news.topics[topic as usize].borrow());
        let until_ms = time(now_ms.saturating_add(options.lease_ms.max(1)));
        let mut claim = call(&CLAIM, self.base(topic));
        claim
            .arg(time(now_ms))
            .arg(until_ms)
            .arg(options.max.min(STEP_JOBS_MAX))
            .arg(options.lane_in_flight)
            .arg(LANE_TURN_JOBS)
            .arg(STEP_JOBS_MAX);
        let answer = self.run(&CLAIM, &claim).await?;
        let mut claim = read_claim(answer, until_ms).ok_or_else(|| self.unreadable("a claim's answer"))?;
        claim.seen = seen;
        Ok(claim)
    }

    async fn settle(&self, topic: Topic, settled: &[(Claimed, Settle)]) -> Result<(), QueueError> {
        for step in settled.chunks(STEP_JOBS_MAX) {
            let mut settle = call(&SETTLE, self.base(topic));
            let settled = by_lane(step, |(claimed, _)| &claimed.lane);
            for lane in settled.chunk_by(|one, other| one.0.lane == other.0.lane) {
                settle.arg(lane[0].0.lane.as_str()).arg(lane.len());
                for (claimed, outcome) in lane {
                    settle.arg(claimed.id.as_str()).arg(claimed.lease_until_ms);
                    match outcome {
                        Settle::Done => settle.arg(""),
                        Settle::Again { due_ms } => settle.arg(time(*due_ms)),
                    };
                }
            }
            self.run::<()>(&SETTLE, &settle).await?;
        }
        Ok(())
    }

    async fn hold(&self, topic: Topic, lane: &Lane, until_ms: i64) -> Result<(), QueueError> {
        let mut hold = call(&HOLD, self.base(topic));
        hold.arg(lane.as_str()).arg(time(until_ms));
        self.run(&HOLD, &hold).await
    }

    async fn pace(&self, topic: Topic, lane: &Lane, per_second: u32) -> Result<(), QueueError> {
        let mut pace = call(&SET_PACE, self.base(topic));
        pace.arg(lane.as_str()).arg(per_second);
        self.run(&SET_PACE, &pace).await
    }

    async fn spend(&self, topic: Topic, lane: &Lane, jobs: usize, now_ms: i64) -> Result<(), QueueError> {
        let mut spend = call(&SPEND, self.base(topic));
        spend.arg(lane.as_str()).arg(jobs).arg(time(now_ms));
        self.run(&SPEND, &spend).await
    }

    async fn halve(&self, topic: Topic, lane: &Lane, now_ms: i64) -> Result<(), QueueError> {
        let mut halve = call(&HALVE, self.base(topic));
        halve.arg(lane.as_str()).arg(time(now_ms));
        self.run(&HALVE, &halve).await
    }

    async fn missing(&self, topic: Topic, jobs: &[Job]) -> Result<Vec<Job>, QueueError> {
        let mut missing = Vec::new();
        for step in jobs.chunks(STEP_JOBS_MAX) {
            let mut ask = call(&MISSING, self.base(topic));
            let jobs = by_lane(step, |job| &job.lane);
            for lane in jobs.chunk_by(|one, other| one.lane == other.lane) {
                ask.arg(lane[0].lane.as_str()).arg(lane.len());
                for job in lane {
                    ask.arg(job.id.as_str());
                }
            }
            let flags: Vec<i64> = self.run(&MISSING, &ask).await?;
            if flags.len() != jobs.len() {
                return Err(self.unreadable("the list of missing jobs"));
            }
            let absent = jobs.iter().zip(flags).filter(|(_, flag)| *flag == 1);
            missing.extend(absent.map(|(job, _)| (*job).clone()));
        }
        Ok(missing)
    }

    async fn wiped(&self) -> Result<bool, QueueError> {
        let server_run = self.server_run().await?;
        let mut ask = call(&WIPED, &self.fill_base);
        ask.arg(&server_run).arg(ulid::Ulid::generate().to_string());
        let token: String = self.run(&WIPED, &ask).await?;
        let filled = token.is_empty();
        *self.fill() = (!filled).then_some(Fill { server_run, token });
        Ok(!filled)
    }

    async fn mark_filled(&self) -> Result<bool, QueueError> {
        let Some(fill) = self.fill().clone() else {
            return Ok(false);
        };
        let mut mark = call(&MARK_FILLED, &self.fill_base);
        mark.arg(fill.server_run).arg(fill.token);
        Ok(self.run::<i64>(&MARK_FILLED, &mark).await? == 1)
    }

    async fn wait(&self, topic: Topic, seen: Seen, at_most: Duration) {
        let mut news = self.news.topics[topic as usize].subscribe();
        let patience_ms = if self.news.listening.load(Ordering::Relaxed) { POLL_MAX_MS } else { POLL_DEAF_MAX_MS };
        let newer = news.wait_for(|now| *now != seen.0);
        let _ = tokio::time::timeout(at_most.min(Duration::from_millis(patience_ms)), newer).await;
    }

    async fn depth(&self, topic: Topic) -> Result<Depth, QueueError> {
        let mut depth = Depth::default();
        loop {
            let mut ask = call(&DEPTH, self.base(topic));
            ask.arg(depth.lanes).arg(depth.lanes + STEP_JOBS_MAX as u64 - 1);
            let answer: [Value; 4] =
                self.run::<Vec<Value>>(&DEPTH, &ask).await?.try_into().map_err(|_| self.unreadable("the depth"))?;
            let [lanes, waiting, leased, oldest] = answer;
            let step = (|| {
                Some(Depth {
                    lanes: count(&lanes)?,
                    waiting: count(&waiting)?,
                    leased: count(&leased)?,
                    oldest_due_ms: optional_time(oldest)?,
                })
            })()
            .ok_or_else(|| self.unreadable("the depth"))?;
            depth.lanes += step.lanes;
            depth.waiting += step.waiting;
            depth.leased += step.leased;
            depth.oldest_due_ms = [depth.oldest_due_ms, step.oldest_due_ms].into_iter().flatten().min();
            if step.lanes < STEP_JOBS_MAX as u64 {
                return Ok(depth);
            }
        }
    }

    fn name(&self) -> &'static str {
        "redis"
    }
}
