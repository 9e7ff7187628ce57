//! Guarantee: a number is served no faster than its network allows, and one person gets no more of it in a row; so the
//! network need not complain, and nobody else waits for whom it would complain about.
//!
//! The number's rate is kept where its lane is served, in the queue, over all processes. How much of the network's rate is
//! used, and how it is halved when the network complains all the same, is the queue's matter; here it is said what a
//! number's rate is. A pair of sender and recipient has a bucket with the other limits; messages that find it empty are
//! given times one after the other instead of coming back together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::{
    clock::Millis,
    ids::SenderId,
    limits::{Demand, Limiter},
    messages::address::Address,
    queue::{Lane, Queue, Topic},
    tenancy::Sender,
};

/// The part of a network's rate that is used, in hundredths: clocks differ.
const USED_PERCENT: u32 = 97;
/// How often a lane's rate is said again, in milliseconds: the queue may have forgotten it.
const SAY_EVERY_MS: Millis = 2_000;
/// Messages in a row from one number to one person: Meta's pair rate, 45 at once.
const PAIR_BURST: u32 = 45;
/// The time in which a pair gets one more, in milliseconds.
const PAIR_EVERY_MS: u32 = 6_000;
/// Pairs that are remembered to be waiting at most.
const WAITING_MAX_PAIRS: usize = 100_000;

/// Keeps to the rates of networks. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Throughput {
    queue: Arc<dyn Queue>,
    limiter: Limiter,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// The rate that was said last, and when.
    paces: HashMap<SenderId, (u32, Millis)>,
    /// The last time that was given to a message of a pair, by the pair's bucket.
    waiting: HashMap<String, Millis>,
}

impl Throughput {
    pub(crate) fn new(queue: Arc<dyn Queue>, limiter: Limiter) -> Self {
        Self { queue, limiter, known: Arc::default() }
    }

    /// Sees to it that the lane of `sender` is served at its rate; false when it was not until now, so that what was
    /// claimed should be claimed again.
    pub(crate) async fn keep_pace(&self, sender: &Sender, now: Millis) -> bool {
        let rate = sender.messages_per_second().map_or(0, |rate| (rate * USED_PERCENT / 100).max(1));
        let said = self.known().paces.get(&sender.id).copied();
        if said.is_some_and(|(said, at)| said == rate && now - at < SAY_EVERY_MS) || (said.is_none() && rate == 0) {
            return true;
        }
        let lane = Lane::from(sender.id.to_string());
        if let Err(error) = self.queue.pace(Topic::Messages, &lane, rate).await {
            tracing::warn!(%lane, %error, "the rate of a lane could not be set");
            return false;
        }
        self.known().paces.insert(sender.id, (rate, now));
        said.is_some()
    }

    /// Counts messages that came in at `sender`: they use the same rate.
    pub(crate) async fn came_in(&self, sender: &Sender, messages: usize, now: Millis) {
        if messages == 0 || sender.messages_per_second().is_none() {
            return;
        }
        let lane = Lane::from(sender.id.to_string());
        if let Err(error) = self.queue.spend(Topic::Messages, &lane, messages, now).await {
            tracing::debug!(%lane, %error, "what came in could not be counted");
        }
    }

    /// The network complained that its rate was passed.
    pub(crate) async fn too_fast(&self, sender: SenderId, now: Millis) {
        let lane = Lane::from(sender.to_string());
        if let Err(error) = self.queue.halve(Topic::Messages, &lane, now).await {
            tracing::warn!(%lane, %error, "the rate of a lane could not be halved");
        }
    }

    /// How long a message to `recipient` has to wait, in milliseconds, since they got too many in a row; 0 when it may go.
    pub(crate) async fn pair_wait_ms(&self, sender: &Sender, recipient: &Address, now: Millis) -> u64 {
        if !sender.limits_pairs() {
            return 0;
        }
        let hash = hex::encode(&Sha256::digest(recipient.as_str())[..16]);
        let bucket = format!("pair:{}:{hash}", sender.id);
        let demand = Demand { bucket: bucket.clone(), limit: PAIR_BURST, window_ms: PAIR_BURST * PAIR_EVERY_MS };
        let ruling = self.limiter.take(vec![demand]).await;
        if ruling.allowed {
            return 0;
        }
        let earliest = now.saturating_add(i64::try_from(ruling.retry_after_ms()).unwrap_or(i64::MAX));
        let mut known = self.known();
        if known.waiting.len() >= WAITING_MAX_PAIRS {
            known.waiting.retain(|_, at| *at > now);
        }
        let last = known.waiting.entry(bucket).or_insert(Millis::MIN);
        // Those that wait are told apart by one interval each; when all had their time, the row begins anew.
        *last = if *last < now { earliest } else { (*last + i64::from(PAIR_EVERY_MS)).max(earliest) };
        u64::try_from(*last - now).unwrap_or(0)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
