//! The database is the truth, the queue is its clock: whatever a crash, a restart or a
//! wiped Redis made the queue forget, the reconciler puts back.
//!
//! Work that is overdue and that the queue does not know is put back; a queue that is
//! found empty gets everything that is unfinished. An attempt that lost its lease is
//! overdue work, too: whoever claims it next finds it ambiguous ([`super::lapse`]).

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::lapse::Lapse;
use crate::{
    abuse::Abuse,
    clock::{Millis, now_ms},
    media::Media,
    queue::{Job, Queue, QueueError, Topic},
    store::{Place, Store, StoreError, Unfinished},
};

/// Rows looked at in one step.
const PAGE_ROWS: i64 = 1_000;
/// Pages that one sweep looks at while nothing is missing.
const SWEEP_PAGES: u32 = 10;
/// How overdue a row must be before the queue is asked whether it knows it, in
/// milliseconds: below, it is normally just being worked on.
const OVERDUE_MS: Millis = 5_000;
/// How often it is checked that the queue has not lost everything.
const WIPE_CHECK: Duration = Duration::from_secs(1);
/// How often it is looked which one-time passwords have to go out by another way.
const FALL_BACK_CHECK: Duration = Duration::from_secs(1);
/// One-time passwords that fall back in one transaction at most.
const FALL_BACK_ROWS: i64 = 200;
/// How often what nobody needs any more is deleted.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

pub(crate) struct Reconciler {
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) lapse: Lapse,
    pub(crate) abuse: Abuse,
    pub(crate) media: Media,
    pub(crate) interval: Duration,
    /// Whether no other process works on this database: then every attempt that was
    /// running when this process started is known to have been cut off.
    pub(crate) alone: bool,
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Reconciler {
    /// Settles what the last run left behind, then sweeps until `shutdown` turns true.
    pub(crate) async fn start(self, mut shutdown: watch::Receiver<bool>) -> JoinHandle<()> {
        if self.alone {
            report("cut-off attempts", self.settle_cut_off().await);
        }
        report("refill", self.refill_if_wiped().await);
        tokio::spawn(async move {
            let mut sweep = tokio::time::interval(self.interval);
            let mut wipe_check = tokio::time::interval(WIPE_CHECK);
            let mut fall_back = tokio::time::interval(FALL_BACK_CHECK);
            let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
            let mut places = Topic::ALL.map(|_| Place::start());
            for timer in [&mut sweep, &mut wipe_check, &mut fall_back, &mut housekeeping] {
                timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            }
            while !*shutdown.borrow() {
                tokio::select! {
                    _ = sweep.tick() => {
                        report("overdue work", self.requeue_overdue(&mut places).await);
                        report("senders paused", self.abuse.sweep(now_ms()).await.map_err(SweepError::from));
                    }
                    _ = wipe_check.tick() => report("refill", self.refill_if_wiped().await),
                    _ = fall_back.tick() => report("one-time passwords", self.fall_back().await),
                    _ = housekeeping.tick() => report("housekeeping", self.housekeeping().await),
                    _ = shutdown.changed() => {}
                }
            }
        })
    }

    /// Attempts that were running when the only process that works here ended.
    async fn settle_cut_off(&self) -> Result<usize, SweepError> {
        let mut settled = 0;
        loop {
            let rows = self.store.all_running_messages(PAGE_ROWS).await?;
            let changed = self.lapse.settle(rows, Millis::MAX).await?;
            if changed.is_empty() {
                return Ok(settled);
            }
            settled += changed.len();
        }
    }

    /// Overdue work that the queue does not know. A sweep looks at a few pages and the next
    /// one goes on from there; where something is missing, it goes on at once.
    async fn requeue_overdue(&self, places: &mut [Place; Topic::ALL.len()]) -> Result<usize, SweepError> {
        let before = now_ms() - OVERDUE_MS;
        let mut put_back = 0;
        for (topic, place) in Topic::ALL.into_iter().zip(places) {
            let mut pages_left = SWEEP_PAGES;
            while pages_left > 0 {
                let rows = self.unfinished(topic, before, place).await?;
                let Some(last) = rows.last() else {
                    *place = Place::start();
                    break;
                };
                let next = last.place.clone();
                let missing = self.queue.missing(topic, &jobs(rows)).await?;
                if missing.is_empty() {
                    pages_left -= 1;
                } else {
                    put_back += missing.len();
                    self.queue.push(topic, &missing).await?;
                }
                *place = next;
            }
        }
        Ok(put_back)
    }

    /// Everything that waits, into a queue that has lost it.
    async fn refill_if_wiped(&self) -> Result<usize, SweepError> {
        let mut put_back = 0;
        while self.queue.wiped().await? {
            put_back += self.refill().await?;
            // False when it was wiped again meanwhile.
            if self.queue.mark_filled().await? {
                break;
            }
        }
        Ok(put_back)
    }

    async fn refill(&self) -> Result<usize, SweepError> {
        let mut put_back = 0;
        for topic in Topic::ALL {
            let mut place = Place::start();
            loop {
                let rows = self.unfinished(topic, Millis::MAX, &place).await?;
                let Some(last) = rows.last() else { break };
                place = last.place.clone();
                put_back += rows.len();
                self.queue.push(topic, &jobs(rows)).await?;
            }
        }
        Ok(put_back)
    }

    /// A page of what is to be looked at by `before`, after `place`.
    async fn unfinished(&self, topic: Topic, before: Millis, place: &Place) -> Result<Vec<Unfinished>, StoreError> {
        match topic {
            Topic::Messages => self.store.due_messages(before, place, PAGE_ROWS).await,
            Topic::Callbacks => self.store.due_callbacks(before, place, PAGE_ROWS).await,
            Topic::Webhooks => self.store.due_deliveries(before, place, PAGE_ROWS).await,
        }
    }

    /// One-time passwords that nobody got in time go out by SMS.
    async fn fall_back(&self) -> Result<usize, SweepError> {
        let mut sent = 0;
        loop {
            let (looked_at, jobs) = self.store.fall_back(now_ms(), FALL_BACK_ROWS).await?;
            if looked_at == 0 {
                return Ok(sent);
            }
            sent += jobs.len();
            // What the queue misses is overdue soon, and put back.
            self.queue.push(Topic::Messages, &jobs).await?;
        }
    }

    async fn housekeeping(&self) -> Result<usize, SweepError> {
        let now = now_ms();
        self.store.forget_access(now).await?;
        self.store.forget_access_tokens(now).await?;
        self.store.forget_numbers(now).await?;
        self.store.forget_one_time_passwords(now).await?;
        self.media.clear(now).await?;
        Ok(self.store.forget_idempotency_keys(now).await?)
    }
}

fn jobs(rows: Vec<Unfinished>) -> Vec<Job> {
    rows.into_iter().map(|row| Job { lane: row.lane.into(), id: row.id.into(), due_ms: row.due_at }).collect()
}

fn report(sweep: &'static str, result: Result<usize, SweepError>) {
    match result {
        Ok(0) => {}
        Ok(rows) => tracing::info!(sweep, rows, "the reconciler put work right"),
        Err(error) => tracing::warn!(sweep, %error, "the reconciler could not finish a sweep; it will try again"),
    }
}
