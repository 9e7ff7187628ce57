//! An attempt that lost its lease is known to be ambiguous: its worker died, hangs, or
//! could not report. It is settled by policy, under the row's lock, unless it has
//! reported meanwhile.

use std::collections::HashMap;

use super::{
    engine::Enqueuer,
    messages::{Context, Times, delivery_job, left_ids, waiting_jobs},
};
use crate::{
    clock::{Millis, now_ms},
    messages::state::{Event, RetryPolicy},
    queue::Topic,
    store::{MessageRow, ReceiptBatch, ReceiptOutcome, Store, StoreError},
    tenancy::Directory,
};

/// Settles lost attempts.
#[derive(Clone)]
pub(crate) struct Lapse {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) enqueuer: Enqueuer,
    pub(crate) policy: RetryPolicy,
}

impl Lapse {
    /// Settles those of `rows` whose lease ended by `before`, and returns them as they are
    /// now.
    pub(crate) async fn settle(&self, rows: Vec<MessageRow>, before: Millis) -> Result<Vec<MessageRow>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let now = now_ms();
        let context = Context::load(&self.directory, rows.iter()).await?;
        let batch = ReceiptBatch {
            message_ids: rows.iter().map(|row| row.id.key().to_owned()).collect(),
            ..ReceiptBatch::default()
        };
        let decide = |locked: HashMap<String, MessageRow>| {
            let mut outcome = ReceiptOutcome::default();
            for (_, mut row) in locked {
                // It may have reported, or been claimed again, since it was read.
                if row.progress.due_at.is_none_or(|end| end > before) {
                    continue;
                }
                let attempt = row.progress.attempt;
                let effects = row.progress.apply(Event::LeaseLapsed { attempt }, &self.policy, now);
                if effects.is_empty() {
                    continue;
                }
                outcome.left.extend(left_ids(&row, &effects));
                let (events, deliveries) = context.follow(&row, context.adapter(&row), effects, Times::at(now));
                outcome.events.extend(events);
                outcome.deliveries.extend(deliveries);
                outcome.changed.push(row);
            }
            outcome
        };
        let outcome = self.store.apply_receipts(batch, now, decide).await?;
        self.enqueuer.enqueue(Topic::Webhooks, outcome.deliveries.iter().map(delivery_job).collect());
        // Those that go over another channel now; the others are in the queue, and keep their places.
        self.enqueuer.enqueue(Topic::Messages, waiting_jobs(&outcome.changed));
        if !outcome.changed.is_empty() {
            tracing::warn!(attempts = outcome.changed.len(), "attempts never reported back; policy settles them");
        }
        Ok(outcome.changed)
    }
}
