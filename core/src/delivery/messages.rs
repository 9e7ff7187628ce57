//! Carries messages to the network: claim, dispatch through the sender's adapter,
//! record, tell.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use waystation_adapter_sdk::{Outbound, RateScope, Recipient, SendError, Sender as OutboundSender, UpstreamError};

use super::{
    breaker::{Breakers, Gate},
    engine::{Courier, Enqueuer, Take, Taken},
    lapse::Lapse,
    reconciler::SOON_MS,
    throughput::Throughput,
};
use crate::{
    clock::{Millis, now_ms},
    eligibility::{Eligibility, Question},
    error::ErrorKind,
    ids::{MessageId, SenderId},
    inbound,
    media::upstream::Copies,
    messages::{
        intake::{quiet_until, recheck},
        outside::Instead,
        sealed::Content,
        state::{Effect, Event, Outcome, RetryPolicy, State},
    },
    plugins::AdapterHost,
    queue::{Claimed, Job, JobId, Lane, Queue, Settle, Topic},
    store::{
        ClaimedMessage, EventRow, LeftId, MessageRecord, MessageRow, NewDelivery, ReceiptBatch, ReceiptOutcome, Store,
        StoreError,
    },
    tenancy::{Directory, Endpoint, Sender},
    vault::Vault,
    webhooks::payload::{StatusUpdate, status_body},
};

/// When a message that met a channel that is down may be tried again, in milliseconds.
const CHANNEL_DOWN_HOLD_MS: u64 = 5_000;
/// How often it is looked whether a sender that is held may go on, in milliseconds.
const HELD_LOOK_EVERY_MS: Millis = 1_000;
/// When a message that met a channel that needs a person is tried again, in milliseconds.
const OPERATOR_WAIT_MS: u64 = 60_000;

/// The part of a lease that may be spent on a message's files before it is sent: one of so many.
const UPLOADS_LEASE_SHARE: Millis = 3;

pub(crate) struct MessageCourier {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) eligibility: Eligibility,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) enqueuer: Enqueuer,
    pub(crate) adapters: Arc<AdapterHost>,
    pub(crate) vault: Vault,
    pub(crate) copies: Copies,
    pub(crate) policy: RetryPolicy,
    pub(crate) lapse: Lapse,
    pub(crate) breakers: Breakers,
    pub(crate) throughput: Throughput,
    /// Names this process in the rows it works on.
    pub(crate) owner: String,
    pub(crate) lease_ms: Millis,
}

/// An attempt that has ended.
pub(crate) struct Dispatched {
    row: MessageRow,
    adapter: String,
    outcome: Outcome,
    times: Times,
}

/// When something happened, as far as is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// When we knew of it.
    pub(crate) at: Millis,
    /// When the attempt started that led to it.
    pub(crate) started: Option<Millis>,
    /// When it happened, by the network's clock.
    pub(crate) network: Option<Millis>,
}

impl Times {
    /// Something that was not an attempt of ours and not the network's.
    pub(crate) fn at(at: Millis) -> Self {
        Self { at, started: None, network: None }
    }
}

impl Courier for MessageCourier {
    const TOPIC: Topic = Topic::Messages;
    type Job = ClaimedMessage;
    type Done = Dispatched;

    async fn claim(&self, claimed: &[Claimed]) -> Result<Taken<ClaimedMessage>, StoreError> {
        let now = now_ms();
        let (held, probes) = self.held_lanes(claimed, now).await?;
        let is_probe = |job: &Claimed| probes.values().any(|id| *id == job.id);
        let is_held = |job: &Claimed| held.contains(&job.lane) && !is_probe(job);
        let of_held: Vec<&str> = claimed.iter().filter(|job| is_held(job)).map(|job| job.id.as_str()).collect();
        // What is too old ends as that, held or not: nothing of it goes out.
        let too_old = match of_held.as_slice() {
            [] => HashSet::new(),
            ids => self.store.expired_among(ids, now).await?,
        };
        let keep = |job: &&Claimed| is_held(job) && !too_old.contains(job.id.as_str());
        let (kept, free): (Vec<&Claimed>, Vec<&Claimed>) = claimed.iter().partition(keep);
        // Before all others of a lane that is held, in the order of their ids: they keep
        // their places.
        let kept = kept.into_iter().map(|job| (job.id.as_str().to_owned(), Take::Later(0)));
        let ids: Vec<&str> = free.iter().map(|job| job.id.as_str()).collect();
        let mut messages = self.store.claim_messages(&ids, &self.owner, now, now + self.lease_ms).await?;
        self.refuse(&mut messages, now).await?;
        let mut taken: Taken<ClaimedMessage> =
            messages.into_iter().map(|message| (message.row.id.key().to_owned(), Take::Job(message))).collect();
        taken.extend(kept);
        for (sender, id) in &probes {
            if !taken.contains_key(id.as_str()) {
                self.breakers.release(*sender).await;
            }
        }
        let others: Vec<&str> = ids.into_iter().filter(|id| !taken.contains_key(*id)).collect();
        if !others.is_empty() {
            taken.extend(self.look_after(&others, claimed, now).await?);
        }
        Ok(taken)
    }

    async fn attempt(&self, message: ClaimedMessage) -> Dispatched {
        let started = now_ms();
        let (adapter, outcome) = self.dispatch(&message, started).await;
        let times = Times { at: now_ms(), started: Some(started), network: None };
        Dispatched { row: message.row, adapter, outcome, times }
    }

    async fn record(&self, done: &[Dispatched]) -> Result<Vec<Settle>, StoreError> {
        let context = Context::load(&self.directory, done.iter().map(|done| &done.row)).await?;
        let mut records = Vec::with_capacity(done.len());
        let mut carriers = Vec::with_capacity(done.len());
        for dispatched in done {
            let mut row = dispatched.row.clone();
            let attempt = row.progress.attempt;
            let event = Event::Concluded { attempt, outcome: dispatched.outcome.clone() };
            let effects = row.progress.apply(event, &self.policy, dispatched.times.at);
            let left = left_ids(&row, &effects);
            let (events, deliveries) = context.follow(&row, &dispatched.adapter, effects, dispatched.times);
            carriers.push(row.carrier());
            let answered = (row.progress.state == State::Sent).then(|| (row.carrier(), row.recipient.clone()));
            let progress = row.progress;
            records.push(MessageRecord { id: row.id, attempt, progress, events, deliveries, left, answered });
        }
        let written = self.store.record_messages(&self.owner, &records, now_ms()).await?;
        let mut settles = Vec::with_capacity(done.len());
        for ((record, carrier), dispatched) in records.iter().zip(carriers).zip(done) {
            if written.contains(record.id.key()) {
                self.enqueuer.enqueue(Topic::Webhooks, record.deliveries.iter().map(delivery_job).collect());
                let due_ms = record.progress.due_at;
                if let Some(due_ms) = due_ms.filter(|_| carrier != dispatched.row.carrier()) {
                    self.enqueuer.enqueue(Topic::Messages, vec![message_job(&record.id, carrier, due_ms)]);
                    settles.push(Settle::Done);
                    continue;
                }
                settles.push(due_ms.map_or(Settle::Done, |due_ms| Settle::Again { due_ms }));
            } else {
                settles.push(self.record_late(dispatched, &context).await?);
            }
        }
        Ok(settles)
    }
}

fn internal(title: &str, details: String) -> Outcome {
    Outcome::Internal { error: UpstreamError::new(title).details(details) }
}

impl MessageCourier {
    /// Notes on each message why it may not go out after all. What an earlier attempt may have
    /// brought is left to its receipt.
    async fn refuse(&self, messages: &mut [ClaimedMessage], now: Millis) -> Result<(), StoreError> {
        let questions: Vec<Question<'_>> = messages
            .iter()
            .map(|ClaimedMessage { row, .. }| Question {
                message: &row.id,
                business: &row.business_id,
                sender: row.carrier(),
                recipient: &row.recipient,
                category: row.category,
                kind: &row.kind,
            })
            .collect();
        let refusals = self.eligibility.check(&questions, now).await?;
        let mut turned = Vec::new();
        for (message, refusal) in messages.iter_mut().zip(refusals) {
            let closed = refusal.as_ref().is_some_and(|refusal| refusal.kind == ErrorKind::WindowClosed);
            match Instead::of(&message.body).filter(|_| closed) {
                Some(instead) => turned.push((message, instead)),
                None => message.refused = refusal,
            }
        }
        if turned.is_empty() { Ok(()) } else { self.turn_into_templates(turned, now).await }
    }

    /// Puts the templates that messages brought for a closed window in their places, and asks again.
    async fn turn_into_templates(
        &self,
        turned: Vec<(&mut ClaimedMessage, Instead)>,
        now: Millis,
    ) -> Result<(), StoreError> {
        for (message, instead) in turned {
            let row = &mut message.row;
            self.store.turn_into_template(&row.id, row.progress.attempt, &instead).await?;
            (row.kind, row.category) = ("template".to_owned(), instead.category());
            row.template = Some(instead.template.clone());
            let question = Question {
                message: &row.id,
                business: &row.business_id,
                sender: row.sender_id,
                recipient: &row.recipient,
                category: row.category,
                kind: &row.kind,
            };
            message.refused = self.eligibility.check(&[question], now).await?.pop().flatten();
            (message.body, message.rendered) = (instead.body, instead.rendered);
        }
        Ok(())
    }

    /// The lanes of senders that must not send now, or whose channel is down, with the one job of each that probes it.
    /// They are held in the queue for a moment, so that what waits there costs nothing, and looked at again when it is
    /// over.
    async fn held_lanes(
        &self,
        claimed: &[Claimed],
        now: Millis,
    ) -> Result<(HashSet<Lane>, HashMap<SenderId, JobId>), StoreError> {
        let lanes: HashSet<&Lane> = claimed.iter().map(|job| &job.lane).collect();
        let (mut held, mut probes) = (HashSet::new(), HashMap::new());
        for lane in lanes {
            let Ok(id) = lane.as_str().parse::<SenderId>() else { continue };
            let Some(sender) = self.directory.any_sender(id).await? else { continue };
            let until = if sender.hold().is_some() {
                now + HELD_LOOK_EVERY_MS
            } else {
                match self.breakers.gate(&sender, now).await {
                    Gate::Open if self.throughput.keep_pace(&sender, now).await => continue,
                    // Its rate is known from now on: it is claimed again.
                    Gate::Open => {
                        held.insert(lane.clone());
                        continue;
                    }
                    Gate::Held(until) => until,
                    Gate::Probe => {
                        let first = claimed.iter().find(|job| job.lane == *lane);
                        probes.extend(first.map(|job| (id, job.id.clone())));
                        now + HELD_LOOK_EVERY_MS
                    }
                }
            };
            if let Err(error) = self.queue.hold(Topic::Messages, lane, until).await {
                tracing::warn!(%lane, %error, "a lane could not be held");
            }
            held.insert(lane.clone());
        }
        Ok((held, probes))
    }

    /// Messages that could not be claimed: an attempt that lost its lease becomes ambiguous
    /// now; one that still holds it, and a message that is not due, are looked at again
    /// when it ends, or when it is.
    async fn look_after(
        &self,
        ids: &[&str],
        claimed: &[Claimed],
        now: Millis,
    ) -> Result<Taken<ClaimedMessage>, StoreError> {
        let lanes: HashMap<&str, &Lane> = claimed.iter().map(|job| (job.id.as_str(), &job.lane)).collect();
        let unfinished = self.store.unfinished_among(ids).await?;
        let (lost, waiting): (Vec<_>, Vec<_>) = unfinished
            .into_iter()
            .partition(|row| row.progress.state == State::Sending && row.progress.due_at.is_none_or(|end| end <= now));
        let lapsed = self.lapse.settle(lost, now).await?;
        // What is scheduled for much later is brought back by the reconciler.
        let soon = |at: Millis| at <= now + SOON_MS;
        let waiting = waiting
            .into_iter()
            .filter(|row| row.progress.state != State::Scheduled || row.progress.due_at.is_none_or(soon));
        // What goes over another channel now is in that one's lane.
        let stays = |row: &MessageRow| {
            let lane = lanes.get(row.id.key());
            lane.is_none_or(|lane| **lane == Lane::from(row.carrier().to_string()))
        };
        let later = waiting.chain(lapsed).filter(stays);
        Ok(later.filter_map(|row| Some((row.id.key().to_owned(), Take::Later(row.progress.due_at?)))).collect())
    }

    async fn dispatch(&self, message: &ClaimedMessage, now: Millis) -> (String, Outcome) {
        let carrier = message.row.carrier();
        let sender = match self.directory.any_sender(carrier).await {
            Ok(Some(sender)) => sender,
            Ok(None) => {
                let details = format!("The sender {carrier} no longer exists.");
                return (String::new(), internal("No such sender", details));
            }
            Err(error) => return (String::new(), internal("The sender could not be looked up", error.to_string())),
        };
        let outcome = match self.send_through(&sender, message, now).await {
            Ok(outcome) => {
                self.breakers.hear(&sender, &outcome, now_ms()).await;
                outcome
            }
            Err(outcome) => {
                // Its network was not asked: that says nothing of the channel.
                self.breakers.release(sender.id).await;
                outcome
            }
        };
        (sender.adapter.clone(), outcome)
    }

    /// Makes an attempt through `sender`: what its adapter says, or, as an error, what stood in the way before it was
    /// asked.
    async fn send_through(&self, sender: &Sender, message: &ClaimedMessage, now: Millis) -> Result<Outcome, Outcome> {
        let row = &message.row;
        let name = &sender.adapter;
        if row.progress.expires_at <= now {
            return Err(Outcome::Expired);
        }
        if let Some(refusal) = &message.refused {
            return Err(Outcome::Refused { error: refusal.clone().into() });
        }
        let rules = sender.policy.quiet_hours.as_deref().unwrap_or_default();
        if let Some((until, says)) = quiet_until(rules, row.category, &row.recipient, sender, now) {
            let error = UpstreamError::new("Quiet hours").details(says);
            return Err(Outcome::Postponed { until, error });
        }
        let wait_ms = self.throughput.pair_wait_ms(sender, &row.recipient, now).await;
        if wait_ms > 0 {
            let error = UpstreamError::new("Too many in a row")
                .details("This person got as many messages of this number as its network takes; other people's go on.");
            return Err(Outcome::Throttled { after_ms: wait_ms, error });
        }
        let Some(adapter) = self.adapters.get(name) else {
            let error = UpstreamError::new("The adapter is not loaded")
                .details(format!("The sender uses \"{name}\"; this process has not loaded it."));
            return Ok(Outcome::ChannelDown { after_ms: CHANNEL_DOWN_HOLD_MS, needs_operator: false, error });
        };
        let mut content = match message.content(&self.vault) {
            Ok(content) => content,
            Err(error) => return Err(internal("The stored message does not open", error.to_string())),
        };
        // What another channel brings is the text that was checked for its own.
        if row.scheduled_at.is_some() && sender.id == row.sender_id {
            match recheck(&self.directory, sender, &content.body).await {
                Ok(rendered) => content.rendered = rendered,
                Err(error) if error.kind.row().retryable => {
                    return Err(internal(error.kind.row().title, error.details));
                }
                Err(error) => return Err(Outcome::Rejected { error: error.into() }),
            }
        }
        let content = match inbound::in_network_terms(&self.store, row, content).await {
            Ok(content) => content,
            Err(error) => {
                let details = error.to_string();
                let error = UpstreamError::new("The message that it answers could not be looked up").details(details);
                return Err(Outcome::Retry { after_ms: None, error });
            }
        };
        let mut outbound = match outbound(row, content, sender, now) {
            Ok(outbound) => outbound,
            Err(error) => return Err(internal("The stored message is unreadable", error.to_string())),
        };
        let named = match self.copies.exchange(&adapter, &mut outbound).await {
            Ok(named) => named,
            Err(error) => return Ok(self.judge(row, error).await),
        };
        if !named.is_empty() && now_ms() - now > self.lease_ms / UPLOADS_LEASE_SHARE {
            // The rest of the lease may not be enough to send it; with its files there, the next try is.
            let error = UpstreamError::new("The message's files are uploaded");
            return Ok(Outcome::Throttled { after_ms: 0, error });
        }
        Ok(match adapter.send(&outbound).await {
            Ok(accepted) => Outcome::Accepted { upstream_id: accepted.upstream_id },
            Err(error) => {
                if let SendError::MediaGone { upstream_ids, .. } = &error {
                    self.copies.forget(sender.id, &named, upstream_ids).await;
                }
                self.judge(row, error).await
            }
        })
    }

    /// What follows from an adapter's error, for this message and for its lane.
    async fn judge(&self, row: &MessageRow, error: SendError) -> Outcome {
        match error {
            SendError::RetryAfter { after_ms, error } => Outcome::Retry { after_ms, error },
            SendError::RateLimited { after_ms, scope, error } => {
                if scope != RateScope::Pair {
                    self.throughput.too_fast(row.carrier(), now_ms()).await;
                    self.hold(row, after_ms).await;
                }
                Outcome::Throttled { after_ms, error }
            }
            SendError::Rejected { error } => Outcome::Rejected { error },
            SendError::ChannelDown { error, needs_operator } => {
                let after_ms = if needs_operator { OPERATOR_WAIT_MS } else { CHANNEL_DOWN_HOLD_MS };
                Outcome::ChannelDown { after_ms, needs_operator, error }
            }
            // Counted as a try, so that a network which never knows them ends it.
            SendError::MediaGone { error, .. } => Outcome::Retry { after_ms: Some(0), error },
            SendError::Ambiguous { error } => Outcome::Ambiguous { error },
            SendError::Internal { error } => {
                tracing::error!(message = %row.id, %error, "an adapter failed before anything was sent");
                Outcome::Internal { error }
            }
        }
    }

    /// Holds the sender's lane; when the queue cannot be told, the next message finds out
    /// by itself.
    async fn hold(&self, row: &MessageRow, for_ms: u64) {
        let until = now_ms().saturating_add(i64::try_from(for_ms).unwrap_or(i64::MAX));
        let lane = row.carrier().to_string().into();
        if let Err(error) = self.queue.hold(Topic::Messages, &lane, until).await {
            tracing::warn!(%lane, %error, "a lane could not be held");
        }
    }

    /// The row was not ours any more: a receipt came before the answer, or the lease ran
    /// out. What the answer still says is applied to the row as it is now.
    async fn record_late(&self, dispatched: &Dispatched, context: &Context) -> Result<Settle, StoreError> {
        let attempt = dispatched.row.progress.attempt;
        let batch = ReceiptBatch { message_ids: vec![dispatched.row.id.key().to_owned()], ..ReceiptBatch::default() };
        let outcome = self
            .store
            .apply_receipts(batch, now_ms(), |rows| {
                let mut outcome = ReceiptOutcome::default();
                for (_, mut row) in rows {
                    let event = Event::Concluded { attempt, outcome: dispatched.outcome.clone() };
                    let effects = row.progress.apply(event, &self.policy, dispatched.times.at);
                    outcome.left.extend(left_ids(&row, &effects));
                    let (events, deliveries) = context.follow(&row, &dispatched.adapter, effects, dispatched.times);
                    if !events.is_empty() {
                        outcome.events.extend(events);
                        outcome.deliveries.extend(deliveries);
                        outcome.changed.push(row);
                    }
                }
                outcome
            })
            .await?;
        self.enqueuer.enqueue(Topic::Webhooks, outcome.deliveries.iter().map(delivery_job).collect());
        Ok(Settle::Done)
    }
}

fn outbound(row: &MessageRow, content: Content, sender: &Sender, now: Millis) -> Result<Outbound, serde_json::Error> {
    Ok(Outbound {
        message_id: row.id.to_string(),
        attempt: row.progress.attempt,
        attempt_ref: attempt_ref(&row.id, row.progress.attempt),
        accepted_at_ms: row.accepted_at,
        attempt_at_ms: now,
        sender: OutboundSender { id: sender.id.to_string(), phone: sender.phone.clone() },
        connection: sender.connection.clone(),
        recipient: Recipient {
            phone: row.recipient.as_phone().map(ToOwned::to_owned),
            user_id: row.recipient.as_user_id().map(ToOwned::to_owned),
        },
        kind: row.kind.clone(),
        body: serde_json::value::RawValue::from_string(content.body)?,
        text: content.rendered,
    })
}

/// The reference of one attempt, as the network carries it.
fn attempt_ref(id: &MessageId, attempt: u32) -> String {
    format!("{}.{attempt}", id.key())
}

/// Which message and which attempt a reference names; `None` for one that is not ours.
pub(crate) fn parse_attempt_ref(reference: &str) -> Option<(MessageId, u32)> {
    let (key, attempt) = reference.split_once('.')?;
    let id = format!("{}{key}", MessageId::PREFIX).parse().ok()?;
    Some((id, attempt.parse().ok()?))
}

pub(crate) fn message_job(id: &MessageId, carrier: SenderId, due_ms: Millis) -> Job {
    Job { lane: carrier.to_string().into(), id: id.key().into(), due_ms }
}

/// The jobs of messages that wait for an attempt, each in the lane of the sender that it goes through now.
pub(crate) fn waiting_jobs(rows: &[MessageRow]) -> Vec<Job> {
    let waiting = rows.iter().filter(|row| row.progress.state == State::Queued);
    waiting.filter_map(|row| Some(message_job(&row.id, row.carrier(), row.progress.due_at?))).collect()
}

/// The networks' ids that are to be kept of channels which `row` has left.
pub(crate) fn left_ids(row: &MessageRow, effects: &[Effect]) -> Vec<LeftId> {
    let left = effects.iter().filter_map(|effect| match effect {
        Effect::Left(upstream_id) => Some(upstream_id.clone()),
        Effect::Record(_) | Effect::Tell(_) => None,
    });
    left.map(|upstream_id| LeftId { upstream_id, message_id: row.id.key().to_owned() }).collect()
}

pub(crate) fn delivery_job(delivery: &NewDelivery) -> Job {
    Job { lane: delivery.endpoint_id.as_str().into(), id: delivery.id.as_str().into(), due_ms: 0 }
}

/// The senders and endpoints that a batch of changes needs, looked up before the
/// transaction.
pub(crate) struct Context {
    senders: HashMap<i64, Arc<Sender>>,
    endpoints: HashMap<String, Arc<Vec<Endpoint>>>,
}

impl Context {
    pub(crate) async fn load<'r>(
        directory: &Directory,
        rows: impl Iterator<Item = &'r MessageRow>,
    ) -> Result<Self, StoreError> {
        let mut context = Self { senders: HashMap::new(), endpoints: HashMap::new() };
        for row in rows {
            context.add_sender(directory, row.sender_id).await?;
        }
        Ok(context)
    }

    pub(crate) async fn add_sender(&mut self, directory: &Directory, id: SenderId) -> Result<(), StoreError> {
        if self.senders.contains_key(&id.0) {
            return Ok(());
        }
        let Some(sender) = directory.any_sender(id).await? else {
            return Ok(());
        };
        if !self.endpoints.contains_key(sender.business.key()) {
            let endpoints = directory.endpoints(&sender.business).await?;
            self.endpoints.insert(sender.business.key().to_owned(), endpoints);
        }
        self.senders.insert(id.0, sender);
        Ok(())
    }

    /// The adapter of the sender of `row`.
    pub(crate) fn adapter(&self, row: &MessageRow) -> &str {
        self.senders.get(&row.sender_id.0).map_or("", |sender| &sender.adapter)
    }

    /// The business of a sender that was added.
    pub(crate) fn business(&self, sender: crate::ids::SenderId) -> Option<&crate::ids::BusinessId> {
        self.senders.get(&sender.0).map(|sender| &sender.business)
    }

    /// A sender that was added, and the endpoints of its business.
    pub(crate) fn addressee(&self, sender: SenderId) -> Option<(Arc<Sender>, Arc<Vec<Endpoint>>)> {
        let sender = self.senders.get(&sender.0)?;
        let endpoints = self.endpoints.get(sender.business.key()).cloned().unwrap_or_default();
        Some((sender.clone(), endpoints))
    }

    /// The lines of history and the deliveries that `effects` ask for, now that `row` has
    /// its new progress.
    pub(crate) fn follow(
        &self,
        row: &MessageRow,
        adapter: &str,
        effects: Vec<Effect>,
        times: Times,
    ) -> (Vec<EventRow>, Vec<NewDelivery>) {
        let (mut events, mut deliveries) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Record(note) => {
                    events.push(EventRow::new(row, &note, adapter, times));
                }
                Effect::Tell(state) => deliveries.extend(self.deliveries(row, state, times)),
                Effect::Left(_) => {}
            }
        }
        (events, deliveries)
    }

    fn deliveries(&self, row: &MessageRow, state: State, times: Times) -> Vec<NewDelivery> {
        let Some(sender) = self.senders.get(&row.sender_id.0) else {
            return Vec::new();
        };
        let endpoints = self.endpoints.get(row.business_id.key()).map(|list| list.as_slice()).unwrap_or_default();
        if endpoints.is_empty() {
            return Vec::new();
        }
        let body = status_body(
            sender,
            &StatusUpdate {
                message: &row.id,
                state,
                at: times.network.unwrap_or(times.at),
                recipient: &row.recipient,
                callback_data: row.callback_data.as_deref(),
                error: row.progress.error.as_ref(),
            },
        );
        endpoints
            .iter()
            .map(|endpoint| NewDelivery::new(&row.business_id, &endpoint.id, &row.id, body.clone(), times.at))
            .collect()
    }
}
