//! Guarantee: a channel that does not work is asked once at a time, not by every message that waits for it; none of them
//! loses a try meanwhile, and none is sent by a channel that is known not to work.
//!
//! A channel is a sender with its adapter and its settings. It *breaks* when its network says that it is closed, or after
//! [`FAULTS_TO_BREAK`] faults in a row; then its lane is held, and one message at a time is let through as a *probe*, each
//! after a longer wait. A probe that the network answers mends it. Somebody who changes its settings need not wait: with
//! new settings it is tried at once.
//!
//! Broken channels are rows, so that every process, the API and the dashboard see the same, and only one process at a
//! time probes. What is counted of faults before is each process's own.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{sync::watch, task::JoinHandle};
use waystation_adapter_sdk::UpstreamError;

use crate::{
    clock::Millis,
    ids::SenderId,
    messages::state::Outcome,
    queue::{Lane, Queue, Topic},
    store::{BrokenChannel, Store},
    tenancy::Sender,
};

/// Faults in a row that break a channel.
pub(crate) const FAULTS_TO_BREAK: u32 = 10;
/// How old the last fault may be for the next one to follow it, in milliseconds.
const FAULTS_WITHIN_MS: Millis = 60_000;
/// Wait before the first probe, in milliseconds; it doubles with each that fails.
const PROBE_AFTER_MS: Millis = 1_000;
/// Longest wait for a probe, in milliseconds.
const PROBE_MAX_MS: Millis = 30_000;
/// Wait before the first probe of a channel that needs a person, in milliseconds; it doubles as well.
const OPERATOR_PROBE_AFTER_MS: Millis = 5_000;
/// Longest wait for such a probe, in milliseconds.
const OPERATOR_PROBE_MAX_MS: Millis = 60_000;
/// How long a held lane is left alone before it is looked at again, in milliseconds: how soon new settings are tried.
const LOOK_EVERY_MS: Millis = 1_000;
/// How often it is read what other processes found out.
const READ_EVERY: Duration = Duration::from_secs(1);

/// What an attempt says of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// The network answered: it works.
    Works,
    /// The network says that it is closed.
    Closed,
    /// A fault that may be its.
    Fault,
    /// The network was not asked.
    Unasked,
}

impl Sign {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted { .. } | Outcome::Rejected { .. } | Outcome::Throttled { .. } => Self::Works,
            Outcome::ChannelDown { .. } => Self::Closed,
            Outcome::Retry { .. } | Outcome::Ambiguous { .. } | Outcome::Internal { .. } => Self::Fault,
            Outcome::Refused { .. } | Outcome::Postponed { .. } | Outcome::Expired => Self::Unasked,
        }
    }
}

/// What a lane may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything.
    Open,
    /// Send one message.
    Probe,
    /// Nothing before this time.
    Held(Millis),
}

/// Keeps watch over the channels. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Breakers {
    store: Store,
    queue: Arc<dyn Queue>,
    /// How long a probe may take, in milliseconds.
    probe_ms: Millis,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    broken: HashMap<SenderId, BrokenChannel>,
    /// Faults in a row, and when the last one was.
    faults: HashMap<SenderId, (u32, Millis)>,
}

impl Breakers {
    /// Knows of no broken channel yet; a probe is given up after `probe_ms`.
    pub(crate) fn new(store: Store, queue: Arc<dyn Queue>, probe_ms: Millis) -> Self {
        Self { store, queue, probe_ms, known: Arc::default() }
    }

    /// Reads what other processes find out, until `shutdown` turns true.
    pub(crate) async fn follow(&self, mut shutdown: watch::Receiver<bool>) -> JoinHandle<()> {
        self.read().await;
        let breakers = self.clone();
        tokio::spawn(async move {
            let mut timer = tokio::time::interval(READ_EVERY);
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !*shutdown.borrow() {
                tokio::select! {
                    _ = timer.tick() => breakers.read().await,
                    _ = shutdown.changed() => {}
                }
            }
        })
    }

    async fn read(&self) {
        match self.store.broken_channels().await {
            Ok(rows) => {
                self.known().broken = rows.into_iter().map(|row| (SenderId(row.sender_id), row)).collect();
            }
            Err(error) => tracing::warn!(%error, "the channels that are down could not be read"),
        }
    }

    /// The channels that do not work.
    pub(crate) fn open_channels(&self) -> HashSet<SenderId> {
        self.known().broken.keys().copied().collect()
    }

    /// What the lane of `sender` may do now. A probe is the caller's to make.
    pub(crate) async fn gate(&self, sender: &Sender, now: Millis) -> Gate {
        let Some(broken) = self.known().broken.get(&sender.id).cloned() else { return Gate::Open };
        let look_again = now + LOOK_EVERY_MS;
        if broken.probing_until > now {
            return Gate::Held(look_again);
        }
        if broken.probe_at > now && broken.settings == settings_hash(sender) {
            return Gate::Held(broken.probe_at.min(look_again));
        }
        let until = now + self.probe_ms;
        match self.store.probe_channel(sender.id, now, until).await {
            Ok(true) => {
                if let Some(broken) = self.known().broken.get_mut(&sender.id) {
                    broken.probing_until = until;
                }
                Gate::Probe
            }
            Ok(false) => Gate::Held(look_again),
            Err(error) => {
                tracing::warn!(sender = %sender.id, %error, "a channel that is down could not be probed");
                Gate::Held(look_again)
            }
        }
    }

    /// Gives back the right to probe a channel: there was nothing to probe it with, or its network was not asked.
    pub(crate) async fn release(&self, sender: SenderId) {
        let broken = self.known().broken.get(&sender).cloned();
        if let Some(broken) = broken.filter(|broken| broken.probing_until > 0) {
            self.note(BrokenChannel { probing_until: 0, ..broken }, sender).await;
        }
    }

    /// Hears what an attempt through `sender` came to whose network, or adapter, was asked.
    pub(crate) async fn hear(&self, sender: &Sender, outcome: &Outcome, now: Millis) {
        let broken = self.known().broken.get(&sender.id).cloned();
        match (Sign::of(outcome), broken) {
            (Sign::Works, None) => {
                self.known().faults.remove(&sender.id);
            }
            (Sign::Works, Some(_)) => self.mend(sender.id).await,
            (Sign::Closed, broken) => self.break_down(sender, outcome, broken, now).await,
            (Sign::Fault, Some(broken)) => self.break_down(sender, outcome, Some(broken), now).await,
            (Sign::Fault, None) => {
                if self.count_fault(sender.id, now) >= FAULTS_TO_BREAK {
                    self.break_down(sender, outcome, None, now).await;
                }
            }
            (Sign::Unasked, _) => {}
        }
    }

    fn count_fault(&self, sender: SenderId, now: Millis) -> u32 {
        let mut known = self.known();
        let (faults, last) = known.faults.entry(sender).or_default();
        *faults = if now - *last <= FAULTS_WITHIN_MS { *faults + 1 } else { 1 };
        *last = now;
        *faults
    }

    async fn break_down(&self, sender: &Sender, outcome: &Outcome, broken: Option<BrokenChannel>, now: Millis) {
        let Some(error) = error_of(outcome) else { return };
        let needs_operator = matches!(outcome, Outcome::ChannelDown { needs_operator: true, .. });
        let failures = broken.as_ref().map_or(0, |broken| broken.failures.saturating_add(1));
        // Attempts that began together break it together: that is one failure.
        if let Some(broken) = broken.as_ref().filter(|broken| broken.probing_until <= now && broken.probe_at > now) {
            tracing::debug!(sender = broken.sender_id, "an attempt that began before its channel broke has ended");
            return;
        }
        let probe_at = now + probe_wait_ms(failures, needs_operator);
        if broken.is_none() {
            tracing::warn!(sender = %sender.id, %error, needs_operator, "a channel is down; its messages wait");
        }
        let row = BrokenChannel {
            sender_id: sender.id.0,
            reason: error.to_string(),
            code: error.code,
            needs_operator,
            failures,
            since: broken.map_or(now, |broken| broken.since),
            probe_at,
            probing_until: 0,
            settings: settings_hash(sender),
        };
        self.note(row, sender.id).await;
        self.hold(sender.id, probe_at.min(now + LOOK_EVERY_MS)).await;
    }

    async fn note(&self, row: BrokenChannel, sender: SenderId) {
        self.known().broken.insert(sender, row.clone());
        if let Err(error) = self.store.break_channel(row).await {
            tracing::warn!(%sender, %error, "it could not be noted that a channel is down; this process knows alone");
        }
    }

    async fn mend(&self, sender: SenderId) {
        {
            let mut known = self.known();
            known.broken.remove(&sender);
            known.faults.remove(&sender);
        }
        match self.store.mend_channel(sender).await {
            Ok(true) => tracing::info!(%sender, "a channel works again"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%sender, %error, "it could not be noted that a channel works again"),
        }
        self.hold(sender, 0).await;
    }

    async fn hold(&self, sender: SenderId, until: Millis) {
        let lane = Lane::from(sender.to_string());
        if let Err(error) = self.queue.hold(Topic::Messages, &lane, until).await {
            tracing::warn!(%lane, %error, "a lane could not be held");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error_of(outcome: &Outcome) -> Option<&UpstreamError> {
    match outcome {
        Outcome::ChannelDown { error, .. }
        | Outcome::Retry { error, .. }
        | Outcome::Ambiguous { error }
        | Outcome::Internal { error } => Some(error),
        _ => None,
    }
}

/// The wait before the probe after `failures` that failed, in milliseconds.
fn probe_wait_ms(failures: i32, needs_operator: bool) -> Millis {
    let (first, most) =
        if needs_operator { (OPERATOR_PROBE_AFTER_MS, OPERATOR_PROBE_MAX_MS) } else { (PROBE_AFTER_MS, PROBE_MAX_MS) };
    first.saturating_mul(1 << failures.clamp(0, 16)).min(most)
}

/// What a channel's settings are known by, without saying what they are.
fn settings_hash(sender: &Sender) -> String {
    let mut hash = Sha256::new();
    hash.update(sender.adapter.as_bytes());
    hash.update([0]);
    hash.update(sender.connection.to_string().as_bytes());
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        queue::EmbeddedQueue,
        store::tests::{Fixture, Tree, both},
    };

    fn down(needs_operator: bool) -> Outcome {
        Outcome::ChannelDown { after_ms: 0, needs_operator, error: UpstreamError::new("closed") }
    }

    fn fault() -> Outcome {
        Outcome::Retry { after_ms: None, error: UpstreamError::new("bad gateway") }
    }

    fn taken() -> Outcome {
        Outcome::Accepted { upstream_id: "1".to_owned() }
    }

    async fn breakers(fixture: &Fixture) -> (Breakers, Sender) {
        let sender = Tree::plant(&fixture.store).await.sender;
        let sender = fixture.store.any_sender(sender).await.unwrap().unwrap().sender;
        let queue = Arc::new(EmbeddedQueue::new());
        (Breakers::new(fixture.store.clone(), queue, 60_000), sender)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_closed_channel_is_probed_by_one_message_at_a_time_and_mended_by_an_answer() {
        for fixture in both().await {
            let (breakers, sender) = breakers(&fixture).await;
            let other = Breakers { known: Arc::default(), ..breakers.clone() };
            assert_eq!(breakers.gate(&sender, 0).await, Gate::Open);
            breakers.hear(&sender, &down(false), 0).await;
            other.read().await;
            assert_eq!(breakers.gate(&sender, 1).await, Gate::Held(1_000));
            assert_eq!(other.gate(&sender, 1_000).await, Gate::Probe, "another process probes");
            assert_eq!(breakers.gate(&sender, 1_000).await, Gate::Held(2_000), "then this one does not");
            other.hear(&sender, &down(false), 1_100).await;
            breakers.read().await;
            assert_eq!(breakers.gate(&sender, 1_200).await, Gate::Held(2_200));
            assert_eq!(breakers.gate(&sender, 3_100).await, Gate::Probe, "the wait has doubled");
            breakers.hear(&sender, &taken(), 3_200).await;
            assert_eq!(breakers.gate(&sender, 3_200).await, Gate::Open);
            other.read().await;
            assert_eq!(other.open_channels(), HashSet::new());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn faults_in_a_row_break_a_channel_and_an_answer_between_them_does_not() {
        for fixture in both().await {
            let (breakers, sender) = breakers(&fixture).await;
            for _ in 1..FAULTS_TO_BREAK {
                breakers.hear(&sender, &fault(), 0).await;
            }
            breakers.hear(&sender, &taken(), 0).await;
            for _ in 1..FAULTS_TO_BREAK {
                breakers.hear(&sender, &fault(), 0).await;
            }
            assert_eq!(breakers.gate(&sender, 0).await, Gate::Open);
            breakers.hear(&sender, &fault(), 0).await;
            assert_eq!(breakers.gate(&sender, 0).await, Gate::Held(1_000));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_channel_that_needs_a_person_is_tried_at_once_with_new_settings() {
        for fixture in both().await {
            let (breakers, mut sender) = breakers(&fixture).await;
            breakers.hear(&sender, &down(true), 0).await;
            assert_eq!(breakers.gate(&sender, 2_000).await, Gate::Held(3_000));
            let broken = fixture.store.broken_channels().await.unwrap();
            assert!(broken[0].needs_operator && broken[0].reason == "closed", "{broken:?}");
            sender.connection = json!({"access_token": "a new one"});
            assert_eq!(breakers.gate(&sender, 2_000).await, Gate::Probe);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_probe_that_did_not_reach_its_network_is_made_again_and_mends_nothing() {
        for fixture in both().await {
            let (breakers, sender) = breakers(&fixture).await;
            breakers.hear(&sender, &down(false), 0).await;
            assert_eq!(breakers.gate(&sender, 1_000).await, Gate::Probe);
            breakers.release(sender.id).await;
            assert_eq!(fixture.store.broken_channels().await.unwrap().len(), 1, "it is not known to work");
            assert_eq!(breakers.gate(&sender, 1_001).await, Gate::Probe);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn attempts_that_began_together_are_one_failure() {
        for fixture in both().await {
            let (breakers, sender) = breakers(&fixture).await;
            for _ in 0..50 {
                breakers.hear(&sender, &down(false), 10).await;
            }
            assert_eq!(fixture.store.broken_channels().await.unwrap()[0].failures, 0);
        }
    }

    #[test]
    fn waits_double_up_to_their_caps() {
        let waits = [0, 1, 4, 5, 99].map(|failures| probe_wait_ms(failures, false));
        assert_eq!(waits, [1_000, 2_000, 16_000, 30_000, 30_000]);
        assert_eq!([0, 9].map(|failures| probe_wait_ms(failures, true)), [5_000, 60_000]);
    }
}
