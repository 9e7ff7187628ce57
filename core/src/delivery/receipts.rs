//! Works off what networks reported: every item of a callback by itself, matched by
//! the network's exact id or by our own reference, in the transaction that also
//! removes the callback. What arrived at a pretend phone is put there in the same one.
//!
//! A receipt that comes before its message is known waits and is looked at again; a
//! callback that cannot be read is kept aside. Nothing that a network said is lost.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use waystation_adapter_sdk::{
    Callback, Change, Event as NetworkEvent, InboundMessage, PretendText, StatusEvent, UserPreference,
};

use super::{
    engine::{Courier, Enqueuer, Take, Taken},
    messages::{Context, Times, delivery_job, left_ids, parse_attempt_ref, waiting_jobs},
    throughput::Throughput,
};
use crate::{
    clock::{Millis, now_ms},
    error::ApiError,
    ids::{BusinessId, MessageId, SenderId},
    inbound::{Arrival, Wanted},
    messages::state::{Event, RetryPolicy},
    plugins::{AdapterHost, ReceiveFailure},
    queue::{Claimed, Job, Settle, Topic},
    store::{
        ClaimedCallback, MessageRow, NewCallback, NewDelivery, NewMessage, NewPretendMessage, ReceiptBatch,
        ReceiptOutcome, Store, StoreError,
    },
    templates::{ByNetwork, Templates},
    tenancy::Directory,
    vault::Vault,
    webhooks::payload::change_body,
};

/// First wait of a receipt whose message is not known, in milliseconds; it grows with
/// the receipt's age.
const PARKED_WAIT_MIN_MS: Millis = 200;
/// Longest such wait, in milliseconds.
const PARKED_WAIT_MAX_MS: Millis = 60_000;
/// Wait of a callback whose adapter does not answer, in milliseconds.
const ADAPTER_WAIT_MS: Millis = 5_000;

pub(crate) struct CallbackCourier {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) enqueuer: Enqueuer,
    pub(crate) adapters: Arc<AdapterHost>,
    /// Opens what was sealed for an adapter.
    pub(crate) vault: Vault,
    pub(crate) policy: RetryPolicy,
    pub(crate) throughput: Throughput,
    /// Who hears what networks say of templates.
    pub(crate) templates: Templates,
    /// How long a receipt waits for its message.
    pub(crate) receipt_wait: Duration,
}

/// A callback that was read, or could not be.
pub(crate) struct Read {
    callback: ClaimedCallback,
    result: Result<Heard, Unread>,
}

/// What a callback said.
#[derive(Default)]
struct Heard {
    receipts: Vec<Receipt>,
    arrivals: Vec<PretendText>,
    inbound: Vec<InboundMessage>,
    preferences: Vec<UserPreference>,
    changes: Vec<Change>,
}

/// What is passed on of what networks said of accounts, numbers and templates, by callback. One that is not in there
/// could not be worked off.
type PassedOn = HashMap<String, Vec<Change>>;

enum Unread {
    /// The adapter may read it later.
    Later(String),
    /// It will never be readable: kept aside.
    Never(String),
}

/// One receipt, as it is parked.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Receipt {
    event: StatusEvent,
}

impl Courier for CallbackCourier {
    const TOPIC: Topic = Topic::Callbacks;
    type Job = ClaimedCallback;
    type Done = Read;

    async fn claim(&self, claimed: &[Claimed]) -> Result<Taken<ClaimedCallback>, StoreError> {
        let ids: Vec<&str> = claimed.iter().map(|job| job.id.as_str()).collect();
        let found = self.store.callbacks(&ids).await?;
        Ok(found.into_iter().map(|callback| (callback.id.clone(), Take::Job(callback))).collect())
    }

    async fn attempt(&self, callback: ClaimedCallback) -> Read {
        let result = self.read(&callback).await;
        Read { callback, result }
    }

    async fn record(&self, done: &[Read]) -> Result<Vec<Settle>, StoreError> {
        let now = now_ms();
        let mut batch = ReceiptBatch::default();
        let mut context = Context::load(&self.directory, std::iter::empty()).await?;
        let mut settles = Vec::with_capacity(done.len());
        let mut passed_on = PassedOn::new();
        for read in done {
            context.add_sender(&self.directory, SenderId(read.callback.sender_id)).await?;
            match self.hear_of_templates(read, &context, now).await {
                Ok(changes) => drop(passed_on.insert(read.callback.id.clone(), changes)),
                Err(error) => {
                    let (adapter, reason) = (&read.callback.adapter, error.details);
                    tracing::warn!(adapter, reason, "what a network said of a template waits to be written down");
                    settles.push(Settle::Again { due_ms: now + ADAPTER_WAIT_MS });
                    continue;
                }
            }
            if let Err(Unread::Later(reason)) = &read.result {
                tracing::warn!(adapter = read.callback.adapter, reason, "a callback waits for its adapter");
                settles.push(Settle::Again { due_ms: now + ADAPTER_WAIT_MS });
                continue;
            }
            settles.push(Settle::Done);
            batch.done.push(read.callback.id.clone());
            for receipt in read.result.iter().flat_map(|heard| &heard.receipts) {
                batch.upstream_ids.push(receipt.event.upstream_id.clone());
                if let Some((id, _)) = receipt.reference() {
                    batch.message_ids.push(id);
                }
            }
        }
        let outcome = {
            let decide = |rows| self.decide((done, &passed_on), rows, &context, now);
            self.store.apply_receipts(batch, now, decide).await?
        };
        for read in done {
            let came_in = read.result.as_ref().map_or(0, |heard| heard.inbound.len());
            if let Some((sender, _)) = context.addressee(SenderId(read.callback.sender_id)) {
                self.throughput.came_in(&sender, came_in, now).await;
            }
        }
        self.enqueuer.enqueue(Topic::Webhooks, outcome.deliveries.iter().map(delivery_job).collect());
        self.enqueuer.enqueue(Topic::Callbacks, outcome.parked.iter().filter_map(callback_job).collect());
        self.enqueuer.enqueue(Topic::Messages, outcome.confirmations.iter().map(message_job).collect());
        // What failed on one channel and takes the next.
        self.enqueuer.enqueue(Topic::Messages, waiting_jobs(&outcome.changed));
        Ok(settles)
    }

    async fn set_aside(&self, read: &Read) -> Result<(), StoreError> {
        let batch = ReceiptBatch { done: vec![read.callback.id.clone()], ..ReceiptBatch::default() };
        let aside = NewCallback::aside(&read.callback);
        let decide = |_| ReceiptOutcome { parked: vec![aside], ..ReceiptOutcome::default() };
        self.store.apply_receipts(batch, now_ms(), decide).await.map(drop)
    }
}

impl CallbackCourier {
    async fn read(&self, callback: &ClaimedCallback) -> Result<Heard, Unread> {
        let body = callback.body(&self.vault).map_err(|error| Unread::Never(error.to_string()))?;
        if callback.parsed {
            let receipt = serde_json::from_slice(&body).map_err(|error| Unread::Never(error.to_string()))?;
            return Ok(Heard { receipts: vec![receipt], ..Heard::default() });
        }
        let Some(adapter) = self.adapters.get(&callback.adapter) else {
            return Err(Unread::Later("the adapter is not loaded in this process".to_owned()));
        };
        let sender = self.directory.any_sender(SenderId(callback.sender_id)).await;
        let sender = sender.map_err(|error| Unread::Later(error.to_string()))?;
        let connection = sender.map(|sender| sender.connection.clone()).unwrap_or_default();
        let input = Callback::new(body.into_owned(), connection, callback.received_at);
        let received = match adapter.receive(&callback.sender_id.to_string(), &input).await {
            Ok(received) => received,
            Err(ReceiveFailure::Refused(error)) => return Err(Unread::Never(error.to_string())),
            Err(failure @ ReceiveFailure::Fault { .. }) if self.waited_enough(callback) => {
                return Err(Unread::Never(failure.to_string()));
            }
            Err(failure) => return Err(Unread::Later(failure.to_string())),
        };
        let mut heard = Heard::default();
        for event in received.events {
            match event {
                NetworkEvent::Status(event) => heard.receipts.push(Receipt { event }),
                NetworkEvent::PretendPhone(text) => heard.arrivals.push(text),
                NetworkEvent::Inbound(message) => heard.inbound.push(message),
                NetworkEvent::UserPreference(preference) => heard.preferences.push(preference),
                NetworkEvent::Change(change) => heard.changes.push(change),
                NetworkEvent::Unknown { what, .. } => {
                    tracing::warn!(adapter = callback.adapter, what, "a network reported something unknown");
                }
            }
        }
        Ok(heard)
    }

    /// Writes down what a callback says of templates, each time again what was written down before: that changes nothing.
    /// Answers what is left to be passed on of what it says of other than messages.
    async fn hear_of_templates(&self, read: &Read, context: &Context, now: Millis) -> Result<Vec<Change>, ApiError> {
        let changes = read.result.as_ref().map(|heard| heard.changes.as_slice()).unwrap_or_default();
        let Some((sender, _)) = context.addressee(SenderId(read.callback.sender_id)) else {
            return Ok(changes.to_vec());
        };
        let mut left = Vec::new();
        for change in changes {
            let told = self.templates.told_by_network(sender.account, &read.callback.adapter, change, now).await?;
            if let ByNetwork::PassOn(change) = told {
                left.push(change);
            }
        }
        Ok(left)
    }

    /// What follows for the rows that are now locked.
    fn decide(
        &self,
        (done, passed_on): (&[Read], &PassedOn),
        mut rows: HashMap<String, MessageRow>,
        context: &Context,
        now: Millis,
    ) -> ReceiptOutcome {
        let mut outcome = ReceiptOutcome::default();
        let mut changed = std::collections::BTreeSet::new();
        let by_upstream = by_upstream(&rows);
        for read in done {
            let callback = &read.callback;
            let sender = SenderId(callback.sender_id);
            let Some(changes) = passed_on.get(&callback.id) else { continue };
            let heard = match &read.result {
                Ok(heard) => heard,
                Err(Unread::Later(_)) => continue,
                Err(Unread::Never(reason)) => {
                    tracing::error!(adapter = callback.adapter, reason, "a callback is unreadable and kept aside");
                    outcome.parked.push(NewCallback::aside(callback));
                    continue;
                }
            };
            if let Some(business) = context.business(sender) {
                outcome.arrivals.extend(heard.arrivals.iter().map(|text| arrival(business, text, now)));
            }
            self.file(callback, (heard, changes), context, now, &mut outcome);
            for receipt in &heard.receipts {
                let reference = receipt.reference();
                let key = by_upstream
                    .get(&(sender, receipt.event.upstream_id.clone()))
                    .or(reference.as_ref().map(|(id, _)| id))
                    .filter(|key| rows.get(*key).is_some_and(|row| row.may_go_through(sender)))
                    .cloned();
                let Some(row) = key.as_ref().and_then(|key| rows.get_mut(key)) else {
                    outcome.parked.extend(self.park(callback, receipt, now));
                    continue;
                };
                let event = Event::Receipt {
                    status: receipt.event.status,
                    upstream_id: receipt.event.upstream_id.clone(),
                    attempt: reference.map(|(_, attempt)| attempt),
                    error: receipt.event.error.clone(),
                };
                let effects = row.progress.apply(event, &self.policy, now);
                if effects.is_empty() {
                    continue;
                }
                outcome.left.extend(left_ids(row, &effects));
                let times = Times { at: now, started: None, network: Some(receipt.event.at_ms) };
                let (events, deliveries) = context.follow(row, &callback.adapter, effects, times);
                outcome.events.extend(events);
                outcome.deliveries.extend(deliveries);
                changed.insert(row.id.key().to_owned());
            }
        }
        outcome.changed = changed.iter().filter_map(|key| rows.remove(key)).collect();
        outcome
    }

    /// What people sent, ready to be kept. If any of it cannot be, the callback is kept aside as well.
    fn file(
        &self,
        callback: &ClaimedCallback,
        (heard, changes): (&Heard, &[Change]),
        context: &Context,
        now: Millis,
        outcome: &mut ReceiptOutcome,
    ) {
        if heard.inbound.is_empty() && heard.preferences.is_empty() && changes.is_empty() {
            return;
        }
        let Some((sender, endpoints)) = context.addressee(SenderId(callback.sender_id)) else {
            tracing::error!(adapter = callback.adapter, "a message to a sender that is gone is kept aside");
            outcome.parked.push(NewCallback::aside(callback));
            return;
        };
        let mut unfit = None;
        let adapter = self.adapters.get(&callback.adapter);
        let keeps_files = adapter.is_some_and(|adapter| adapter.description().capabilities.locates_media);
        for message in &heard.inbound {
            match Arrival::new(sender.clone(), endpoints.clone(), message.clone(), now) {
                Ok(arrival) if keeps_files => outcome.inbound.push(arrival.with_files_fetched()),
                Ok(arrival) => outcome.inbound.push(arrival),
                Err(reason) => unfit = Some(reason),
            }
        }
        for preference in &heard.preferences {
            match Wanted::new(sender.clone(), endpoints.clone(), preference.clone(), now) {
                Some(wanted) => {
                    outcome.deliveries.extend(wanted.tell());
                    outcome.wanted.push(wanted);
                }
                None => unfit = Some("a wish of nobody with a number or a user id"),
            }
        }
        for change in changes {
            let body = change_body(&sender, change);
            let key = MessageId::generate();
            outcome.deliveries.extend(
                endpoints
                    .iter()
                    .map(|endpoint| NewDelivery::new(&sender.business, &endpoint.id, &key, body.clone(), now)),
            );
        }
        if let Some(reason) = unfit {
            tracing::error!(adapter = callback.adapter, reason, "something that a person sent is kept aside");
            outcome.parked.push(NewCallback::aside(callback));
        }
    }

    fn waited_enough(&self, callback: &ClaimedCallback) -> bool {
        let patience = i64::try_from(self.receipt_wait.as_millis()).unwrap_or(i64::MAX);
        now_ms() - callback.received_at >= patience
    }

    /// A receipt whose message is not known: to be looked at again, or, when it has
    /// waited long enough, kept aside.
    fn park(&self, callback: &ClaimedCallback, receipt: &Receipt, now: Millis) -> Option<NewCallback> {
        let age = now - callback.received_at;
        let due_at = (!self.waited_enough(callback)).then(|| now + age.clamp(PARKED_WAIT_MIN_MS, PARKED_WAIT_MAX_MS));
        if due_at.is_none() {
            tracing::warn!(
                adapter = callback.adapter,
                upstream_id = receipt.event.upstream_id,
                "a receipt's message was never found; the receipt is kept aside"
            );
        }
        let body = serde_json::to_vec(receipt).ok()?;
        let sender = SenderId(callback.sender_id);
        Some(NewCallback::parked(&callback.adapter, sender, body, callback.received_at, due_at))
    }
}

impl Receipt {
    /// The message and the attempt that our reference names, when the network carried it.
    fn reference(&self) -> Option<(String, u32)> {
        let (id, attempt) = parse_attempt_ref(self.event.attempt_ref.as_deref()?)?;
        Some((id.key().to_owned(), attempt))
    }
}

/// Messages by the ids that networks gave them, each id on the channels that may have given it.
fn by_upstream(rows: &HashMap<String, MessageRow>) -> HashMap<(SenderId, String), String> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows.values() {
        let mut add = |sender, id: &String| found.insert((sender, id.clone()), row.id.key().to_owned());
        if let Some(routing) = &row.progress.routing {
            for id in &routing.left_ids {
                add(row.sender_id, id);
                for step in &routing.steps {
                    add(step.sender, id);
                }
            }
        }
        if let Some(id) = &row.progress.upstream_id {
            add(row.carrier(), id);
            add(row.sender_id, id);
        }
    }
    found
}

/// A text at a pretend phone that belongs to `business`.
fn arrival(business: &BusinessId, text: &PretendText, now: Millis) -> NewPretendMessage {
    NewPretendMessage {
        id: ulid::Ulid::generate().to_string(),
        business_id: business.key().to_owned(),
        phone: text.phone.clone(),
        shown_from: text.from.clone(),
        text: text.text.clone(),
        at: text.at_ms,
        arrived_at: now,
    }
}

fn message_job(message: &NewMessage) -> Job {
    Job { lane: message.sender_id.to_string().into(), id: message.id.key().into(), due_ms: message.accepted_at }
}

pub(crate) fn callback_job(callback: &NewCallback) -> Option<Job> {
    Some(Job { lane: callback.sender_id.to_string().into(), id: callback.id.as_str().into(), due_ms: callback.due_at? })
}
