//! The database is the truth, the queue is its clock: whatever a crash, a restart or a
//! wiped Redis made the queue forget, the reconciler puts back.
//!
//! Three sweeps: attempts whose lease ended without a report become ambiguous and are
//! settled by policy; work that is overdue and that the queue does not know is put
//! back; and a queue that is found empty gets everything that waits.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::messages::{Context, delivery_job};
use crate::{
    clock::{Millis, now_ms},
    delivery::Enqueuer,
    messages::state::{Event, RetryPolicy},
    queue::{Job, Queue, QueueError, Topic},
    store::{ReceiptBatch, ReceiptOutcome, Store, StoreError, Unfinished},
    tenancy::Directory,
};

/// Rows looked at in one step.
const PAGE_ROWS: i64 = 1_000;
/// How overdue a row must be before the queue is asked whether it knows it, in
/// milliseconds: below, it is normally just being worked on.
const OVERDUE_MS: Millis = 5_000;
/// How often it is checked that the queue has not lost everything.
const WIPE_CHECK: Duration = Duration::from_secs(1);
/// How often what nobody needs any more is deleted.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

pub(crate) struct Reconciler {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) enqueuer: Enqueuer,
    pub(crate) policy: RetryPolicy,
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
            report("cut-off attempts", self.lapse(Millis::MAX).await);
        }
        report("refill", self.refill_if_wiped().await);
        tokio::spawn(async move {
            let mut sweep = tokio::time::interval(self.interval);
            let mut wipe_check = tokio::time::interval(WIPE_CHECK);
            let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
            for timer in [&mut sweep, &mut wipe_check, &mut housekeeping] {
                timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            }
            while !*shutdown.borrow() {
                tokio::select! {
                    _ = sweep.tick() => {
                        report("lapsed attempts", self.lapse(now_ms()).await);
                        report("overdue work", self.requeue_overdue().await);
                    }
                    _ = wipe_check.tick() => report("refill", self.refill_if_wiped().await),
                    _ = housekeeping.tick() => report("housekeeping", self.housekeeping().await),
                    _ = shutdown.changed() => {}
                }
            }
        })
    }

    /// Attempts whose lease ended before `before` and that never reported.
    async fn lapse(&self, before: Millis) -> Result<usize, SweepError> {
        let mut lapsed = 0;
        loop {
            let rows = self.store.lapsed_messages(before, PAGE_ROWS).await?;
            let (full, now) = (rows.len() >= usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX), now_ms());
            if rows.is_empty() {
                return Ok(lapsed);
            }
            let context = Context::load(&self.directory, rows.iter()).await?;
            let adapters = self.adapters_of(&rows).await?;
            let batch = ReceiptBatch {
                message_ids: rows.iter().map(|row| row.id.key().to_owned()).collect(),
                ..ReceiptBatch::default()
            };
            let outcome = self
                .store
                .apply_receipts(batch, now, |locked| {
                    let mut outcome = ReceiptOutcome::default();
                    for (_, mut row) in locked {
                        // It may have reported since it was read.
                        if row.progress.due_at.is_none_or(|due| due > before) {
                            continue;
                        }
                        let attempt = row.progress.attempt;
                        let effects = row.progress.apply(Event::LeaseLapsed { attempt }, &self.policy, now);
                        if effects.is_empty() {
                            continue;
                        }
                        let adapter = adapters.get(&row.sender_id.0).map_or("", String::as_str);
                        let (events, deliveries) = context.follow(&row, adapter, effects, now, None);
                        outcome.events.extend(events);
                        outcome.deliveries.extend(deliveries);
                        outcome.changed.push(row);
                    }
                    outcome
                })
                .await?;
            lapsed += outcome.changed.len();
            let jobs: Vec<Job> = outcome
                .changed
                .iter()
                .filter_map(|row| {
                    Some(Job {
                        lane: row.sender_id.to_string().into(),
                        id: row.id.key().into(),
                        due_ms: row.progress.due_at?,
                    })
                })
                .collect();
            self.enqueuer.enqueue(Topic::Messages, jobs);
            self.enqueuer.enqueue(Topic::Webhooks, outcome.deliveries.iter().map(delivery_job).collect());
            if !full || outcome.changed.is_empty() {
                return Ok(lapsed);
            }
        }
    }

    async fn adapters_of(
        &self,
        rows: &[crate::store::MessageRow],
    ) -> Result<std::collections::HashMap<i64, String>, StoreError> {
        let mut adapters = std::collections::HashMap::new();
        for row in rows {
            if let std::collections::hash_map::Entry::Vacant(entry) = adapters.entry(row.sender_id.0)
                && let Some(sender) = self.directory.any_sender(row.sender_id).await?
            {
                entry.insert(sender.adapter.clone());
            }
        }
        Ok(adapters)
    }

    /// Overdue work that the queue does not know.
    async fn requeue_overdue(&self) -> Result<usize, SweepError> {
        let before = now_ms() - OVERDUE_MS;
        let mut put_back = 0;
        for topic in Topic::ALL {
            let rows = match topic {
                Topic::Messages => self.store.due_messages(before, PAGE_ROWS).await?,
                Topic::Callbacks => self.store.due_callbacks(before, PAGE_ROWS).await?,
                Topic::Webhooks => self.store.due_deliveries(before, PAGE_ROWS).await?,
            };
            if rows.is_empty() {
                continue;
            }
            let missing = self.queue.missing(topic, &jobs(rows)).await?;
            if !missing.is_empty() {
                put_back += missing.len();
                self.queue.push(topic, &missing).await?;
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
            let mut after = String::new();
            loop {
                let rows = match topic {
                    Topic::Messages => self.store.waiting_messages(&after, PAGE_ROWS).await?,
                    Topic::Callbacks => self.store.waiting_callbacks(&after, PAGE_ROWS).await?,
                    Topic::Webhooks => self.store.waiting_deliveries(&after, PAGE_ROWS).await?,
                };
                let Some(last) = rows.last() else { break };
                after.clone_from(&last.id);
                put_back += rows.len();
                self.queue.push(topic, &jobs(rows)).await?;
            }
        }
        Ok(put_back)
    }

    async fn housekeeping(&self) -> Result<usize, SweepError> {
        let now = now_ms();
        self.store.forget_access(now).await?;
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
