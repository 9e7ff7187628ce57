//! Looks, when its time has come, whether another channel takes a message over.
//!
//! The database says which messages are to be looked at and when; whoever looks locks the row, so that a takeover, a
//! receipt and an attempt exclude one another. Several processes may look at once: the second finds it done.

use std::{collections::HashSet, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::{
    breaker::Breakers,
    engine::Enqueuer,
    messages::{Context, Times, delivery_job, left_ids, waiting_jobs},
};
use crate::{
    clock::now_ms,
    ids::SenderId,
    messages::state::{Event, RetryPolicy, State},
    queue::Topic,
    store::{ReceiptBatch, ReceiptOutcome, Store, StoreError},
    tenancy::Directory,
};

/// How often it is looked which messages have waited long enough.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Messages looked at in one transaction at most.
const LOOK_ROWS: usize = 500;

/// Moves messages from one channel to the next.
pub(crate) struct Takeovers {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) enqueuer: Enqueuer,
    pub(crate) breakers: Breakers,
    pub(crate) policy: RetryPolicy,
}

impl Takeovers {
    /// Looks until `shutdown` turns true.
    pub(crate) fn spawn(self, mut shutdown: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut timer = tokio::time::interval(LOOK_EVERY);
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !*shutdown.borrow() {
                tokio::select! {
                    _ = timer.tick() => self.look_at_all().await,
                    _ = shutdown.changed() => {}
                }
            }
        })
    }

    async fn look_at_all(&self) {
        loop {
            match self.look().await {
                Ok(LOOK_ROWS) => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "messages that may change their channel could not be looked at; again soon");
                    return;
                }
            }
        }
    }

    /// Looks at some messages whose time has come, and says at how many.
    async fn look(&self) -> Result<usize, StoreError> {
        let now = now_ms();
        let ids = self.store.messages_to_look_at(now, i64::try_from(LOOK_ROWS).unwrap_or(i64::MAX)).await?;
        if ids.is_empty() {
            return Ok(0);
        }
        let looked_at = ids.len();
        let down: HashSet<SenderId> = self.breakers.open_channels();
        let mut context = Context::load(&self.directory, std::iter::empty()).await?;
        for (_, sender) in &ids {
            context.add_sender(&self.directory, *sender).await?;
        }
        let message_ids = ids.into_iter().map(|(id, _)| id).collect();
        let batch = ReceiptBatch { message_ids, ..ReceiptBatch::default() };
        let outcome = self
            .store
            .apply_receipts(batch, now, |rows| {
                let mut outcome = ReceiptOutcome::default();
                // An attempt that runs has the row: it is looked at when the attempt has ended.
                for mut row in rows.into_values().filter(|row| row.progress.state != State::Sending) {
                    let event = Event::TimeUp { channel_down: down.contains(&row.carrier()) };
                    let effects = row.progress.apply(event, &self.policy, now);
                    outcome.left.extend(left_ids(&row, &effects));
                    let (events, deliveries) = context.follow(&row, context.adapter(&row), effects, Times::at(now));
                    outcome.events.extend(events);
                    outcome.deliveries.extend(deliveries);
                    outcome.changed.push(row);
                }
                outcome
            })
            .await?;
        self.enqueuer.enqueue(Topic::Webhooks, outcome.deliveries.iter().map(delivery_job).collect());
        // The others are in the queue already, and keep their due times.
        self.enqueuer.enqueue(Topic::Messages, waiting_jobs(&outcome.changed));
        Ok(looked_at)
    }
}
