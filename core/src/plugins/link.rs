//! Guarantee: a message is given to a connection at most once, and only while the connection is up; what the connection
//! had taken when it was lost is ambiguous, what it had not taken was not sent.
//!
//! A connection is an operation of the plugin that lives as long as its stream. It asks for messages when it has room;
//! until it asks, a message stays with whoever wants to send it, so nothing is buffered here that could be lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use waystation_adapter_sdk::wire::IoAnswer;
use waystation_adapter_sdk::{Accepted, Disconnected, Link, Outbound, RateScope, SendError, UpstreamError};

use super::adapter::Adapter;
use crate::egress::ByteStream;

/// What one read of a stream brings at most, in bytes.
const READ_MAX_BYTES: usize = 16 * 1024;
/// Streams of one operation at most.
const STREAMS_MAX: usize = 4;
/// How long a message waits for a connection to be made, or to have room.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// When a message that found no room is tried again, in milliseconds.
const NO_ROOM_AFTER_MS: u64 = 500;
/// First and longest pause before a lost connection is made again; it doubles.
const RECONNECT_MIN: Duration = Duration::from_millis(500);
const RECONNECT_MAX: Duration = Duration::from_secs(60);
/// A connection that was up for so long starts again with the first pause.
const STEADY: Duration = Duration::from_secs(30);
/// How long a connection may take to end when it is asked to.
const END_MAX: Duration = Duration::from_secs(5);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The streams of one operation; closed when it ends.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<u64, Arc<Halves>>>,
    last: AtomicU64,
}

struct Halves {
    read: AsyncMutex<ReadHalf<Box<dyn ByteStream>>>,
    write: AsyncMutex<WriteHalf<Box<dyn ByteStream>>>,
}

impl Streams {
    pub(super) fn add(&self, stream: Box<dyn ByteStream>) -> IoAnswer {
        let mut open = lock(&self.open);
        if open.len() >= STREAMS_MAX {
            return failed(format!("{STREAMS_MAX} streams are open"));
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (read, write) = tokio::io::split(stream);
        open.insert(id, Arc::new(Halves { read: AsyncMutex::new(read), write: AsyncMutex::new(write) }));
        IoAnswer::Opened { stream: id }
    }

    pub(super) async fn read(&self, id: u64) -> IoAnswer {
        let Some(halves) = self.get(id) else { return unknown() };
        let mut bytes = Vec::with_capacity(READ_MAX_BYTES);
        match halves.read.lock().await.read_buf(&mut bytes).await {
            Ok(_) => IoAnswer::Bytes(bytes.into()),
            Err(error) => failed(error.to_string()),
        }
    }

    pub(super) async fn write(&self, id: u64, bytes: &[u8]) -> IoAnswer {
        let Some(halves) = self.get(id) else { return unknown() };
        let mut write = halves.write.lock().await;
        let written = async {
            write.write_all(bytes).await?;
            write.flush().await
        };
        match written.await {
            Ok(()) => IoAnswer::Written,
            Err(error) => failed(error.to_string()),
        }
    }

    pub(super) fn close(&self, id: u64) -> IoAnswer {
        lock(&self.open).remove(&id);
        IoAnswer::Closed
    }

    fn get(&self, id: u64) -> Option<Arc<Halves>> {
        lock(&self.open).get(&id).cloned()
    }
}

fn failed(details: String) -> IoAnswer {
    IoAnswer::StreamFailed { details }
}

fn unknown() -> IoAnswer {
    failed("no such stream is open".to_owned())
}

/// How a connection stands.
#[derive(Clone, Debug)]
enum Standing {
    /// It is being made for the first time, or again.
    Starting,
    /// It takes messages.
    Up,
    /// It was lost, or could not be made.
    Down { error: UpstreamError, needs_operator: bool },
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

type Outcome = Result<Accepted, SendError>;

/// A message on its way to a connection. Whoever moves it out of `WAITING` decides.
struct Handover {
    message: Box<Outbound>,
    stage: Arc<AtomicU8>,
    reply: oneshot::Sender<Outcome>,
}

fn moved(stage: &AtomicU8, to: u8) -> bool {
    stage.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// The connections of one adapter, by sender.
#[derive(Default)]
pub(super) struct Links {
    open: Mutex<HashMap<String, Way>>,
    last: AtomicU64,
}

#[derive(Clone)]
struct Way {
    id: u64,
    messages: mpsc::Sender<Handover>,
    standing: watch::Receiver<Standing>,
}

impl Links {
    /// Gives a message to its sender's connection and waits for what becomes of it.
    pub(super) async fn hand_over(&self, message: &Outbound, deadline: Duration) -> Outcome {
        let way = lock(&self.open).get(&message.sender.id).cloned();
        let Some(mut way) = way else {
            return Err(down(UpstreamError::new("There is no connection for this sender yet"), false));
        };
        let begun = Instant::now();
        let stage = Arc::new(AtomicU8::new(WAITING));
        let (reply, mut answer) = oneshot::channel();
        let handover = Handover { message: Box::new(message.clone()), stage: Arc::clone(&stage), reply };
        let waiting = async {
            tokio::select! {
                biased;
                refusal = refusal(&mut way.standing) => Some(refusal),
                sent = way.messages.send(handover) => sent.err().map(|_| gone()),
            }
        };
        let room = ROOM_WAIT.min(deadline);
        match tokio::time::timeout(room, waiting).await {
            Ok(None) => {}
            Ok(Some(error)) => return Err(error),
            Err(_) => return Err(self.no_room(&way)),
        }
        // It lies ready; until it is taken it can be had back.
        let refused = tokio::select! {
            biased;
            outcome = &mut answer => return concluded(&stage, outcome),
            refusal = refusal(&mut way.standing) => refusal,
            () = tokio::time::sleep(room.saturating_sub(begun.elapsed())) => self.no_room(&way),
        };
        if moved(&stage, WITHDRAWN) {
            return Err(refused);
        }
        match tokio::time::timeout(deadline.saturating_sub(begun.elapsed()), &mut answer).await {
            Ok(outcome) => concluded(&stage, outcome),
            Err(_) => Err(ambiguous(format!("the connection said nothing within {} ms", deadline.as_millis()))),
        }
    }

    fn no_room(&self, way: &Way) -> SendError {
        if matches!(*way.standing.borrow(), Standing::Up) {
            let error = UpstreamError::new("The connection has no room").details("its window is full");
            return SendError::RateLimited { after_ms: NO_ROOM_AFTER_MS, scope: RateScope::Sender, error };
        }
        down(UpstreamError::new("The connection is not made yet"), false)
    }
}

/// Waits until the connection is down, and says so.
async fn refusal(standing: &mut watch::Receiver<Standing>) -> SendError {
    match standing.wait_for(|standing| matches!(standing, Standing::Down { .. })).await.as_deref() {
        Ok(Standing::Down { error, needs_operator }) => down(error.clone(), *needs_operator),
        _ => gone(),
    }
}

fn down(error: UpstreamError, needs_operator: bool) -> SendError {
    SendError::ChannelDown { error, needs_operator }
}

fn gone() -> SendError {
    down(UpstreamError::new("The connection was given up"), false)
}

fn ambiguous(details: String) -> SendError {
    SendError::Ambiguous { error: UpstreamError::new("The message has no answer").details(details) }
}

fn concluded(stage: &AtomicU8, outcome: Result<Outcome, oneshot::error::RecvError>) -> Outcome {
    match outcome {
        Ok(outcome) => outcome,
        Err(_) if stage.load(Ordering::Acquire) == TAKEN => {
            Err(ambiguous("the connection was lost before it was said what became of it".to_owned()))
        }
        Err(_) => Err(gone()),
    }
}

/// One run of a connection: from its making to its end.
pub(super) struct Run {
    messages: Arc<AsyncMutex<mpsc::Receiver<Handover>>>,
    standing: Arc<watch::Sender<Standing>>,
    ending: watch::Receiver<bool>,
    taken: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
    last: AtomicU64,
    up_since: Mutex<Option<Instant>>,
}

impl Run {
    pub(super) async fn next_send(&self) -> IoAnswer {
        lock(&self.up_since).get_or_insert_with(Instant::now);
        self.standing.send_if_modified(|standing| {
            let news = !matches!(standing, Standing::Up);
            *standing = Standing::Up;
            news
        });
        let mut ending = self.ending.clone();
        let next = async {
            let mut messages = self.messages.lock().await;
            loop {
                let handover = messages.recv().await?;
                if moved(&handover.stage, TAKEN) {
                    return Some(handover);
                }
            }
        };
        let next = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => None,
            next = next => next,
        };
        let Some(Handover { message, reply, .. }) = next else { return IoAnswer::NoMoreSends };
        let ticket = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.taken).insert(ticket, reply);
        IoAnswer::Send { ticket, message }
    }

    pub(super) fn conclude(&self, ticket: u64, outcome: Outcome) {
        if let Some(reply) = lock(&self.taken).remove(&ticket) {
            // Whoever waited may have given up; a receipt settles it then.
            let _ = reply.send(outcome);
        }
    }
}

/// A connection that is kept: made again whenever it is lost, until this is dropped or ended.
#[derive(Debug)]
pub struct KeptLink {
    ending: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl KeptLink {
    /// Asks the connection to end, and waits until it has, for a while.
    pub async fn end(mut self) {
        // Fails when the task is gone already.
        let _ = self.ending.send(true);
        drop(tokio::time::timeout(END_MAX, &mut self.task).await);
    }
}

impl Drop for KeptLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Adapter {
    /// Makes a connection and keeps it. The adapter's [`Adapter::send`] gives it the messages of its sender.
    #[must_use]
    pub fn keep(self: &Arc<Self>, link: Link) -> KeptLink {
        let (ending, asked) = watch::channel(false);
        let (standing, shown) = watch::channel(Standing::Starting);
        // One lies ready, the others wait where they are.
        let (sender, messages) = mpsc::channel(1);
        let links = self.links();
        let id = links.last.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&links.open).insert(link.sender.id.clone(), Way { id, messages: sender, standing: shown });
        let keeping = Keeping {
            adapter: Arc::clone(self),
            id,
            link,
            messages: Arc::new(AsyncMutex::new(messages)),
            standing: Arc::new(standing),
            ending: asked,
        };
        KeptLink { ending, task: tokio::spawn(async move { keeping.run().await }) }
    }
}

struct Keeping {
    adapter: Arc<Adapter>,
    id: u64,
    link: Link,
    messages: Arc<AsyncMutex<mpsc::Receiver<Handover>>>,
    standing: Arc<watch::Sender<Standing>>,
    ending: watch::Receiver<bool>,
}

impl Drop for Keeping {
    /// Whoever made another connection for this sender meanwhile keeps it.
    fn drop(&mut self) {
        let mut open = lock(&self.adapter.links().open);
        if open.get(&self.link.sender.id).is_some_and(|way| way.id == self.id) {
            open.remove(&self.link.sender.id);
        }
    }
}

impl Keeping {
    async fn run(self) {
        let (adapter, sender) = (self.adapter.description().name.as_str(), self.link.sender.id.as_str());
        let mut pause = RECONNECT_MIN;
        let mut ending = self.ending.clone();
        while !*ending.borrow() {
            let run = Arc::new(Run {
                messages: Arc::clone(&self.messages),
                standing: Arc::clone(&self.standing),
                ending: self.ending.clone(),
                taken: Mutex::default(),
                last: AtomicU64::new(0),
                up_since: Mutex::default(),
            });
            let end = Box::pin(self.adapter.connect(&self.link, Arc::clone(&run))).await;
            let up_since = *lock(&run.up_since);
            let (error, needs_operator) = match end {
                Disconnected::Asked if *ending.borrow() => break,
                Disconnected::Asked => (UpstreamError::new("The adapter ended the connection"), false),
                Disconnected::Unsupported => (UpstreamError::new("The adapter keeps no connections"), true),
                Disconnected::Lost { error, needs_operator } => (error, needs_operator),
            };
            tracing::warn!(adapter, sender, %error, needs_operator, "a connection is down");
            self.standing.send_replace(Standing::Down { error, needs_operator });
            if up_since.is_some_and(|since| since.elapsed() >= STEADY) {
                pause = RECONNECT_MIN;
            }
            tokio::select! {
                () = tokio::time::sleep(varied(pause)) => {}
                _ = ending.wait_for(|ending| *ending) => {}
            }
            pause = (pause * 2).min(RECONNECT_MAX);
        }
        tracing::info!(adapter, sender, "a connection was ended");
    }
}

/// A pause, up to a fifth shorter, so that connections that were lost together do not come back together.
fn varied(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness the pause is as it is.
    let part = getrandom::fill(&mut random).map_or(0, |()| u32::from(random[0]));
    pause - pause * part / (5 * 256)
}
