//! The life of a delivery as a pure function: a status never goes back, and an
//! early, late, repeated or unknown event does no harm.
//!
//! [`Progress::apply`] takes an event and the time, changes the progress, and says
//! what has to be written down and who has to be told. It does no work itself and
//! asks nothing of the world, so every order of events can be tried in a test; the
//! engine and the receipt intake are its only callers.
//!
//! Statuses form a ladder. Waiting for the network is its foot; *failed* and
//! *expired* stand above *sent* but below *delivered*, because a receipt that says
//! the message arrived is better evidence than a missing or negative answer:
//!
//! ```text
//! scheduled, accepted, queued, sending  <  sent  <  failed, expired, canceled  <  delivered  <  read  <  played
//! ```

use serde::{Deserialize, Serialize};
use waystation_adapter_sdk::{ReceiptStatus, UpstreamError};

use super::route::{LOOK_EVERY_MS, Routing, When, is_undeliverable, is_unwanted};
use crate::clock::Millis;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum State {
    /// On disk; no attempt has started.
    Accepted = 0,
    /// Waiting for its next attempt.
    Queued = 1,
    /// An attempt has started and not reported back.
    Sending = 2,
    /// The network took the message and gave it an id.
    Sent = 3,
    /// It will not be sent, or the network gave it up.
    Failed = 4,
    /// Its time to live ended before the network took it.
    Expired = 5,
    /// It reached the recipient's device.
    Delivered = 6,
    /// The recipient opened it.
    Read = 7,
    /// The recipient played it (voice messages).
    Played = 8,
    /// To be sent at a later time; until then it can be changed.
    Scheduled = 9,
    /// Taken back before anything of it was sent.
    Canceled = 10,
}

impl State {
    /// Every state, in the order of their codes.
    pub const ALL: [Self; 11] = [
        Self::Accepted,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Failed,
        Self::Expired,
        Self::Delivered,
        Self::Read,
        Self::Played,
        Self::Scheduled,
        Self::Canceled,
    ];

    /// The number that rows carry.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        usize::try_from(code).ok().and_then(|index| Self::ALL.get(index)).copied()
    }

    /// The name that tenants see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Scheduled => "scheduled",
            Self::Canceled => "canceled",
        }
    }

    /// The state with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the engine still has to bring it to the network.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Scheduled | Self::Accepted | Self::Queued | Self::Sending)
    }

    /// Whether nothing of it was tried yet, so that it can be taken back.
    #[must_use]
    pub fn is_untouched(self) -> bool {
        matches!(self, Self::Scheduled | Self::Accepted)
    }

    /// The rung of the ladder.
    fn rank(self) -> u8 {
        match self {
            Self::Scheduled | Self::Accepted | Self::Queued | Self::Sending => 0,
            Self::Sent => 1,
            Self::Failed | Self::Expired | Self::Canceled => 2,
            Self::Delivered => 3,
            Self::Read => 4,
            Self::Played => 5,
        }
    }

    fn of_receipt(status: ReceiptStatus) -> Self {
        match status {
            ReceiptStatus::Sent => Self::Sent,
            ReceiptStatus::Delivered => Self::Delivered,
            ReceiptStatus::Read => Self::Read,
            ReceiptStatus::Played => Self::Played,
            ReceiptStatus::Failed => Self::Failed,
        }
    }
}

/// The receipts of a message seen so far, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipts(i16);

impl Receipts {
    /// The set as rows carry it.
    #[must_use]
    pub fn bits(self) -> i16 {
        self.0
    }

    /// A set as read from a row.
    #[must_use]
    pub fn from_bits(bits: i16) -> Self {
        Self(bits)
    }

    /// Adds all of `others`.
    pub(super) fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// The furthest state that they say.
    fn furthest(self) -> Option<State> {
        [(3, State::Played), (2, State::Read), (1, State::Delivered)]
            .into_iter()
            .find(|(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, state)| state)
    }

    /// Adds `status`; false when it was there.
    fn insert(&mut self, status: ReceiptStatus) -> bool {
        let bit = 1
            << match status {
                ReceiptStatus::Sent => 0,
                ReceiptStatus::Delivered => 1,
                ReceiptStatus::Read => 2,
                ReceiptStatus::Played => 3,
                ReceiptStatus::Failed => 4,
            };
        let added = self.0 & bit == 0;
        self.0 |= bit;
        added
    }
}

/// How far one message has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// The number of the last attempt that started; 0 before the first.
    pub attempt: u32,
    /// Attempts that count against the limit: throttles and closed channels do not.
    pub tries: u32,
    /// Whether the last attempt may have reached the network without our knowing.
    pub ambiguous: bool,
    /// The receipts seen.
    pub receipts: Receipts,
    /// The network's id of the message.
    pub upstream_id: Option<String>,
    /// Why it failed, or why the last attempt did.
    pub error: Option<UpstreamError>,
    /// When the engine must look again; `None` once nothing is left to do.
    pub due_at: Option<Millis>,
    /// When it is no longer worth sending.
    pub expires_at: Millis,
    /// The channels that may take over, and how far it has come among them; none for a message with one channel.
    pub routing: Option<Box<Routing>>,
    /// When it has to be looked at whether another channel takes over.
    pub look_at: Option<Millis>,
}

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The network took the message.
    Accepted {
        /// The network's id.
        upstream_id: String,
    },
    /// A passing fault; counts as a try.
    Retry {
        /// At least this long, in milliseconds, when the network said so.
        after_ms: Option<u64>,
        /// What it said.
        error: UpstreamError,
    },
    /// Too fast; does not count as a try.
    Throttled {
        /// At least this long, in milliseconds.
        after_ms: u64,
        /// What the network said.
        error: UpstreamError,
    },
    /// The channel is closed for everybody; does not count as a try.
    ChannelDown {
        /// At least this long, in milliseconds.
        after_ms: u64,
        /// Whether a person has to do something before it works again.
        needs_operator: bool,
        /// What the network said.
        error: UpstreamError,
    },
    /// The network refused the message for good.
    Rejected {
        /// What it said.
        error: UpstreamError,
    },
    /// We refused to send it, since the person must not get it: nothing reached the network.
    Refused {
        /// Which rule says so.
        error: UpstreamError,
    },
    /// The attempt may or may not have reached the network.
    Ambiguous {
        /// What is known.
        error: UpstreamError,
    },
    /// A defect on our side, before anything left the host; counts as a try.
    Internal {
        /// What is known.
        error: UpstreamError,
    },
    /// It is not sent at this time of the day, so nothing was sent.
    Postponed {
        /// When it may be sent.
        until: Millis,
        /// Why.
        error: UpstreamError,
    },
    /// The message's time to live had ended, so nothing was sent.
    Expired,
}

/// Something that happened to a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A worker took it: the attempt starts now.
    Claimed {
        /// When the lease of the worker ends.
        until: Millis,
    },
    /// An attempt reported back.
    Concluded {
        /// Its number.
        attempt: u32,
        /// What it came to.
        outcome: Outcome,
    },
    /// The lease of an attempt ended without a report.
    LeaseLapsed {
        /// Its number.
        attempt: u32,
    },
    /// The network reported a status.
    Receipt {
        /// Which.
        status: ReceiptStatus,
        /// The network's id of the message.
        upstream_id: String,
        /// The attempt it belongs to, when the network carried our reference.
        attempt: Option<u32>,
        /// Why, for a failure.
        error: Option<UpstreamError>,
    },
    /// The time has come to look whether another channel takes over.
    TimeUp {
        /// Whether the channel that it waits for is down.
        channel_down: bool,
    },
    /// It is not to be sent after all.
    Canceled {
        /// Why.
        reason: UpstreamError,
    },
}

/// A line of the message's history.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// What happened: the name of a state, or of what stood in its way.
    pub name: &'static str,
    /// The attempt it belongs to.
    pub attempt: Option<u32>,
    /// Whether the network reported it by itself.
    pub from_receipt: bool,
    /// What the network said.
    pub error: Option<UpstreamError>,
    /// When the next attempt is due.
    pub retry_at: Option<Millis>,
    /// What was decided here, in words.
    pub says: Option<String>,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write this into the history.
    Record(Note),
    /// Tell the business that the message now has this state.
    Tell(State),
    /// Keep the network's id of a channel that was left, so that what it reports later is known.
    Left(String),
}

/// What decides between one failure and the next try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries at most, 1 and more.
    pub max_tries: u32,
    /// The first wait, in milliseconds; it doubles with each try.
    pub base_ms: u64,
    /// The longest wait, in milliseconds.
    pub cap_ms: u64,
    /// What to do with an attempt that may have reached the network.
    pub ambiguous: AmbiguousPolicy,
    /// How long, in milliseconds, a receipt may settle an ambiguous attempt before
    /// the message is tried again.
    pub settle_ms: u64,
}

/// What to do with an attempt that may have reached the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmbiguousPolicy {
    /// Try again: the recipient may get the message twice.
    Retry,
    /// Give up: the recipient may get it not at all. A receipt still corrects it.
    Fail,
}

impl RetryPolicy {
    /// The wait before the try after number `tries`, with up to 20 % taken off so
    /// that messages that failed together do not return together. `salt` spreads
    /// them; the same salt gives the same wait.
    fn backoff_ms(&self, tries: u32, salt: u64) -> u64 {
        let doubled = self.base_ms.saturating_mul(1 << tries.saturating_sub(1).min(30));
        let wait = doubled.min(self.cap_ms);
        wait - wait / 5 * (salt % 100) / 100
    }
}

impl Progress {
    /// The progress of a message that was just accepted.
    #[must_use]
    pub fn accepted(now: Millis, expires_at: Millis) -> Self {
        Self {
            state: State::Accepted,
            attempt: 0,
            tries: 0,
            ambiguous: false,
            receipts: Receipts::default(),
            upstream_id: None,
            error: None,
            due_at: Some(now),
            expires_at,
            routing: None,
            look_at: None,
        }
    }

    /// Applies `event` at the time `now` and says what follows. An event that has
    /// nothing to say (a repeat, a stale attempt, something out of place) changes
    /// nothing and has no effects.
    pub fn apply(&mut self, event: Event, policy: &RetryPolicy, now: Millis) -> Vec<Effect> {
        match event {
            Event::Claimed { until } => {
                if matches!(self.state, State::Scheduled | State::Accepted | State::Queued) {
                    self.state = State::Sending;
                    self.attempt += 1;
                    self.due_at = Some(until);
                }
                Vec::new()
            }
            Event::Concluded { attempt, outcome } => self.conclude(attempt, outcome, policy, now),
            Event::LeaseLapsed { attempt } => {
                let running = self.state == State::Sending && self.attempt == attempt;
                if !running {
                    return Vec::new();
                }
                let error = UpstreamError::new("The worker that made this attempt never reported back")
                    .details("It may or may not have reached the network.");
                self.unclear(error, policy, now)
            }
            Event::Receipt { status, upstream_id, attempt, error } => {
                if self.routing.as_ref().is_some_and(|routing| routing.has_left(attempt, &upstream_id)) {
                    return self.late_receipt(status, attempt, error);
                }
                self.receipt(status, upstream_id, attempt, error, now)
            }
            Event::TimeUp { channel_down } => self.time_up(channel_down, now),
            Event::Canceled { reason } => self.cancel(reason),
        }
    }

    /// Ends it, if nothing of it was tried yet.
    pub(crate) fn cancel(&mut self, reason: UpstreamError) -> Vec<Effect> {
        if !self.state.is_untouched() {
            return Vec::new();
        }
        self.end(State::Canceled);
        self.error = Some(reason);
        vec![self.note("canceled", None), Effect::Tell(State::Canceled)]
    }

    fn conclude(&mut self, attempt: u32, outcome: Outcome, policy: &RetryPolicy, now: Millis) -> Vec<Effect> {
        // An attempt that lost its lease and was repeated may still turn out to have been
        // taken: that is news. That it failed is not.
        let outcome = match outcome {
            Outcome::Accepted { upstream_id } if (1..=self.attempt).contains(&attempt) => {
                if let Some(routing) = self.routing.as_mut().filter(|routing| attempt <= routing.left_attempt) {
                    routing.left_ids.push(upstream_id.clone());
                    let says = "The channel before took it after another had taken over.".to_owned();
                    let note = Note { name: "sent_late", says: Some(says), ..self.attempt_note(attempt) };
                    return vec![Effect::Record(note), Effect::Left(upstream_id)];
                }
                return self.sent(attempt, upstream_id, now);
            }
            other => other,
        };
        if attempt != self.attempt {
            return Vec::new();
        }
        // Only an attempt that is still running can fail; one that lapsed or was
        // settled by a receipt has been judged already.
        if self.state != State::Sending {
            return Vec::new();
        }
        match outcome {
            Outcome::Accepted { .. } => Vec::new(),
            Outcome::Retry { after_ms, error } => self.retry("retry", after_ms, error, policy, now),
            Outcome::Internal { error } => self.retry("internal_error", None, error, policy, now),
            Outcome::Throttled { after_ms, error } => self.wait("throttled", after_ms, error, now),
            Outcome::ChannelDown { after_ms, error, .. } => {
                let mut effects = self.wait("channel_down", after_ms, error, now);
                if self.counts(When::ChannelDown, now) {
                    effects.extend(self.take_next("its channel is down.", now, now));
                }
                effects
            }
            Outcome::Rejected { error } => {
                self.error = Some(error);
                self.fail(self.plain_note(None), now)
            }
            Outcome::Refused { error } => {
                self.end(State::Failed);
                self.error = Some(error);
                vec![self.note("refused", None), Effect::Tell(State::Failed)]
            }
            Outcome::Ambiguous { error } => self.unclear(error, policy, now),
            Outcome::Postponed { until, error } => {
                self.state = State::Scheduled;
                self.error = None;
                self.due_at = Some(until);
                let note = Note { name: "shifted", says: error.details, ..self.plain_note(Some(until)) };
                vec![Effect::Record(note)]
            }
            Outcome::Expired => {
                if let Some(arrived) = self.arrived_before() {
                    self.end(arrived);
                    return vec![Effect::Tell(arrived)];
                }
                self.end(State::Expired);
                self.error.get_or_insert_with(|| UpstreamError::new("The message's time to live ended"));
                vec![self.note("expired", None), Effect::Tell(State::Expired)]
            }
        }
    }

    /// The network took the message. Receipts may have told more already.
    fn sent(&mut self, attempt: u32, upstream_id: String, now: Millis) -> Vec<Effect> {
        self.upstream_id.get_or_insert(upstream_id);
        self.ambiguous = false;
        let mut effects = vec![Effect::Record(Note { name: "sent", ..self.attempt_note(attempt) })];
        if self.state.is_pending() {
            self.end(State::Sent);
            self.error = None;
            self.look_at = self.routing.as_ref().and_then(|routing| routing.look_at(true, now));
            effects.push(Effect::Tell(State::Sent));
        }
        effects
    }

    /// The channel gave it up, which the error says: another one takes over, or it has failed. `line` tells of it in the
    /// history, under the name of what follows.
    fn fail(&mut self, line: Note, now: Millis) -> Vec<Effect> {
        let code = self.error.as_ref().and_then(|error| error.code);
        let line = |name, error| Effect::Record(Note { name, error, ..line.clone() });
        let counts =
            self.counts(When::Failed, now) || (is_undeliverable(code) && self.counts(When::Undeliverable, now));
        if counts && !is_unwanted(code) && self.expires_at > now {
            let mut effects = vec![line("channel_failed", self.error.clone())];
            let why = self.error.as_ref().map(|error| format!("it failed there: {error}.")).unwrap_or_default();
            effects.extend(self.take_next(&why, now, now));
            return effects;
        }
        if let Some(arrived) = self.arrived_before() {
            let failed = line("channel_failed", self.error.clone());
            self.end(arrived);
            self.error = None;
            return vec![failed, Effect::Tell(arrived)];
        }
        self.end(State::Failed);
        vec![line("failed", self.error.clone()), Effect::Tell(State::Failed)]
    }

    /// How far a channel that was left has brought it after all.
    fn arrived_before(&self) -> Option<State> {
        self.routing.as_ref()?.left_receipts().furthest()
    }

    /// Whether `when` makes it take the next channel now.
    fn counts(&self, when: When, now: Millis) -> bool {
        self.routing.as_ref().and_then(|routing| routing.counts_from(when)).is_some_and(|from| from <= now)
    }

    /// The next channel takes over: its first attempt is due at `due_at`.
    fn take_next(&mut self, why: &str, due_at: Millis, now: Millis) -> Vec<Effect> {
        let Some(routing) = self.routing.as_mut() else { return Vec::new() };
        let says = routing.takeover(why);
        let left = self.upstream_id.take();
        routing.advance(self.attempt, std::mem::take(&mut self.receipts), left.clone(), now);
        self.look_at = routing.look_at(false, due_at);
        self.tries = 0;
        self.ambiguous = false;
        self.error = None;
        self.state = State::Queued;
        self.due_at = Some(due_at);
        let note = Note { name: "fallback", says: Some(says), ..self.plain_note(None) };
        let mut effects = vec![Effect::Record(note)];
        effects.extend(left.map(Effect::Left));
        effects
    }

    fn time_up(&mut self, channel_down: bool, now: Millis) -> Vec<Effect> {
        if self.look_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.look_at = None;
        let Some(routing) = self.routing.as_mut() else { return Vec::new() };
        match self.state {
            State::Scheduled => {
                // It was put off: its time begins when it is due.
                routing.since = self.due_at.unwrap_or(now);
                self.look_at = routing.look_at(false, now);
            }
            // An attempt that runs is waited for.
            State::Sending => self.look_at = Some(now + LOOK_EVERY_MS),
            State::Accepted | State::Queued | State::Sent => {
                let sent = self.state == State::Sent;
                if self.counts(When::NotDeliveredWithin, now) {
                    return self.take_next("it was not delivered in time.", now, now);
                }
                if !sent && channel_down && !self.ambiguous && self.counts(When::ChannelDown, now) {
                    return self.take_next("its channel is down.", now, now);
                }
                self.look_at = self.routing.as_ref().and_then(|routing| routing.look_at(sent, now));
            }
            State::Failed | State::Expired | State::Delivered | State::Read | State::Played | State::Canceled => {}
        }
        Vec::new()
    }

    /// A receipt of a channel that was left. It sends nothing and takes nothing back that has begun; but a message that
    /// arrived there needs no other channel while none was tried, and has not failed.
    fn late_receipt(
        &mut self,
        status: ReceiptStatus,
        attempt: Option<u32>,
        error: Option<UpstreamError>,
    ) -> Vec<Effect> {
        let Some(routing) = self.routing.as_mut() else { return Vec::new() };
        let mut seen = routing.left_receipts();
        if !seen.insert(status) {
            return Vec::new();
        }
        routing.set_left_receipts(seen);
        let untried = self.state == State::Queued && self.attempt == routing.left_attempt;
        let target = State::of_receipt(status);
        let arrived = target.rank() >= State::Delivered.rank();
        let ended_without = matches!(self.state, State::Failed | State::Expired);
        let says = if arrived && untried {
            "The channel before brought it; the other is not needed."
        } else {
            "Reported by the channel before, after another had taken over."
        };
        let name = if arrived && (untried || ended_without) { target.name() } else { late_name(status) };
        let note = Note { name, attempt, from_receipt: true, error, retry_at: None, says: Some(says.to_owned()) };
        let mut effects = vec![Effect::Record(note)];
        if arrived && (untried || ended_without) {
            self.end(target);
            self.error = None;
            effects.push(Effect::Tell(target));
        }
        effects
    }

    fn retry(
        &mut self,
        name: &'static str,
        after_ms: Option<u64>,
        error: UpstreamError,
        policy: &RetryPolicy,
        now: Millis,
    ) -> Vec<Effect> {
        self.tries += 1;
        self.error = Some(error);
        if self.tries >= policy.max_tries {
            return self.fail(self.plain_note(None), now);
        }
        let backoff = policy.backoff_ms(self.tries, u64::from(self.attempt).wrapping_mul(37) ^ now.unsigned_abs());
        let due_at = self.later(now, backoff.max(after_ms.unwrap_or(0)));
        self.state = State::Queued;
        self.due_at = Some(due_at);
        vec![self.note(name, Some(due_at))]
    }

    fn wait(&mut self, name: &'static str, after_ms: u64, error: UpstreamError, now: Millis) -> Vec<Effect> {
        let due_at = self.later(now, after_ms);
        self.state = State::Queued;
        self.error = Some(error);
        self.due_at = Some(due_at);
        vec![self.note(name, Some(due_at))]
    }

    fn unclear(&mut self, error: UpstreamError, policy: &RetryPolicy, now: Millis) -> Vec<Effect> {
        self.tries += 1;
        self.ambiguous = true;
        self.error = Some(error);
        if policy.ambiguous == AmbiguousPolicy::Fail || self.tries >= policy.max_tries {
            // It may have arrived: only who wants it elsewhere when nothing is heard of it gets it elsewhere, and then.
            let unheard = self.routing.as_ref().and_then(|routing| routing.counts_from(When::NotDeliveredWithin));
            if let Some(at) = unheard.filter(|at| *at < self.expires_at) {
                let mut effects = vec![self.note("ambiguous", None)];
                effects.extend(self.take_next("it is not known whether it was sent there.", at.max(now), now));
                return effects;
            }
            self.end(State::Failed);
            return vec![self.note("ambiguous", None), self.note("failed", None), Effect::Tell(State::Failed)];
        }
        let due_at = self.later(now, policy.settle_ms);
        self.state = State::Queued;
        self.due_at = Some(due_at);
        vec![self.note("ambiguous", Some(due_at))]
    }

    fn receipt(
        &mut self,
        status: ReceiptStatus,
        upstream_id: String,
        attempt: Option<u32>,
        error: Option<UpstreamError>,
        now: Millis,
    ) -> Vec<Effect> {
        let of_other_attempt = match (&self.upstream_id, attempt) {
            (Some(known), _) => *known != upstream_id,
            (None, Some(attempt)) => attempt != self.attempt,
            // Neither names the message: the caller matched something we did not.
            (None, None) => return Vec::new(),
        };
        // That an earlier, repeated attempt failed says nothing of the current one.
        if of_other_attempt && status == ReceiptStatus::Failed {
            return Vec::new();
        }
        if !self.receipts.insert(status) {
            return Vec::new();
        }
        let target = State::of_receipt(status);
        let moves = target.rank() > self.state.rank();
        let line =
            Note { name: target.name(), attempt, from_receipt: true, error: error.clone(), retry_at: None, says: None };
        if !moves {
            return vec![Effect::Record(line)];
        }
        self.upstream_id.get_or_insert(upstream_id);
        self.ambiguous = false;
        let unnamed = || UpstreamError::new("The network reported that it failed, and not why");
        if target == State::Failed {
            self.error = Some(error.unwrap_or_else(unnamed));
            return self.fail(line, now);
        }
        self.end(target);
        self.error = None;
        if target == State::Sent {
            self.look_at = self.routing.as_ref().and_then(|routing| routing.look_at(true, now));
        }
        vec![Effect::Record(line), Effect::Tell(target)]
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.due_at = None;
        self.look_at = None;
    }

    fn note(&self, name: &'static str, retry_at: Option<Millis>) -> Effect {
        Effect::Record(Note { name, ..self.plain_note(retry_at) })
    }

    fn plain_note(&self, retry_at: Option<Millis>) -> Note {
        Note {
            name: self.state.name(),
            attempt: (self.attempt > 0).then_some(self.attempt),
            from_receipt: false,
            error: self.error.clone(),
            retry_at,
            says: None,
        }
    }

    /// A line about one attempt.
    fn attempt_note(&self, attempt: u32) -> Note {
        Note { attempt: Some(attempt), error: None, ..self.plain_note(None) }
    }

    /// When to look again after a wait: not after it has expired, so that it ends in time.
    fn later(&self, now: Millis, wait_ms: u64) -> Millis {
        now.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX)).min(self.expires_at.max(now))
    }
}

/// The name of a receipt that comes from a channel that was left.
fn late_name(status: ReceiptStatus) -> &'static str {
    match status {
        ReceiptStatus::Sent => "sent_late",
        ReceiptStatus::Delivered => "delivered_late",
        ReceiptStatus::Read => "read_late",
        ReceiptStatus::Played => "played_late",
        ReceiptStatus::Failed => "failed_late",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXPIRES_AT: Millis = 1_000_000_000;

    fn policy(ambiguous: AmbiguousPolicy) -> RetryPolicy {
        RetryPolicy { max_tries: 4, base_ms: 1_000, cap_ms: 60_000, ambiguous, settle_ms: 5_000 }
    }

    fn error(title: &str) -> UpstreamError {
        UpstreamError { code: Some(131_000), title: title.to_owned(), details: None, raw: None }
    }

    fn receipt(status: ReceiptStatus) -> Event {
        Event::Receipt {
            status,
            upstream_id: "up-1".to_owned(),
            attempt: None,
            error: (status == ReceiptStatus::Failed).then(|| error("network gave up")),
        }
    }

    fn sent_message() -> Progress {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        let outcome = Outcome::Accepted { upstream_id: "up-1".to_owned() };
        progress.apply(Event::Concluded { attempt: 1, outcome }, &policy, 1);
        assert_eq!(progress.state, State::Sent);
        progress
    }

    fn told(effects: &[Effect]) -> Vec<State> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Tell(state) => Some(*state),
                Effect::Record(_) | Effect::Left(_) => None,
            })
            .collect()
    }

    const STATUSES: [ReceiptStatus; 5] = [
        ReceiptStatus::Sent,
        ReceiptStatus::Delivered,
        ReceiptStatus::Read,
        ReceiptStatus::Played,
        ReceiptStatus::Failed,
    ];

    fn permutations(items: &[ReceiptStatus]) -> Vec<Vec<ReceiptStatus>> {
        if items.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for (index, first) in items.iter().enumerate() {
            let mut rest = items.to_vec();
            rest.remove(index);
            for mut tail in permutations(&rest) {
                tail.insert(0, *first);
                all.push(tail);
            }
        }
        all
    }

    #[test]
    fn every_order_of_the_receipts_ends_in_the_same_state_and_never_goes_back() {
        for subset in 1_u32..32 {
            let chosen: Vec<_> =
                STATUSES.iter().enumerate().filter(|(i, _)| subset & (1 << i) != 0).map(|(_, s)| *s).collect();
            let highest = chosen.iter().map(|s| State::of_receipt(*s)).max_by_key(|s| s.rank()).unwrap();
            for order in permutations(&chosen) {
                let mut progress = sent_message();
                let mut rank = progress.state.rank();
                for status in &order {
                    let effects = progress.apply(receipt(*status), &policy(AmbiguousPolicy::Retry), 5);
                    assert!(progress.state.rank() >= rank, "{order:?} went back to {:?}", progress.state);
                    assert_eq!(told(&effects).is_empty(), progress.state.rank() == rank, "{order:?}");
                    rank = progress.state.rank();
                }
                let expected = if highest.rank() > State::Sent.rank() { highest } else { State::Sent };
                assert_eq!(progress.state, expected, "{order:?}");
            }
        }
    }

    #[test]
    fn a_repeated_receipt_has_no_effect() {
        for status in STATUSES {
            let mut progress = sent_message();
            progress.apply(receipt(status), &policy(AmbiguousPolicy::Retry), 5);
            let before = progress.clone();
            assert_eq!(progress.apply(receipt(status), &policy(AmbiguousPolicy::Retry), 6), Vec::new());
            assert_eq!(progress, before);
        }
    }

    #[test]
    fn a_receipt_that_names_neither_id_nor_attempt_changes_nothing() {
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        let before = progress.clone();
        assert_eq!(progress.apply(receipt(ReceiptStatus::Read), &policy(AmbiguousPolicy::Retry), 5), Vec::new());
        assert_eq!(progress, before);
    }

    #[test]
    fn a_receipt_before_the_answer_moves_on_and_the_answer_does_not_go_back() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        let early = Event::Receipt {
            status: ReceiptStatus::Delivered,
            upstream_id: "up-1".to_owned(),
            attempt: Some(1),
            error: None,
        };
        assert_eq!(told(&progress.apply(early, &policy, 1)), [State::Delivered]);
        let answer = Event::Concluded { attempt: 1, outcome: Outcome::Accepted { upstream_id: "up-1".to_owned() } };
        assert_eq!(told(&progress.apply(answer, &policy, 2)), []);
        assert_eq!(progress.state, State::Delivered);
    }

    #[test]
    fn a_receipt_settles_an_ambiguous_attempt() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        progress.apply(Event::LeaseLapsed { attempt: 1 }, &policy, 60_000);
        assert_eq!((progress.state, progress.ambiguous), (State::Queued, true));
        assert_eq!(progress.due_at, Some(65_000), "it waits for a receipt before it is tried again");
        let settled = Event::Receipt {
            status: ReceiptStatus::Sent,
            upstream_id: "up-1".to_owned(),
            attempt: Some(1),
            error: None,
        };
        assert_eq!(told(&progress.apply(settled, &policy, 61_000)), [State::Sent]);
        assert_eq!((progress.ambiguous, progress.due_at), (false, None));
    }

    #[test]
    fn a_late_answer_of_a_lapsed_attempt_settles_it_too() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        progress.apply(Event::LeaseLapsed { attempt: 1 }, &policy, 60_000);
        let answer = Event::Concluded { attempt: 1, outcome: Outcome::Accepted { upstream_id: "up-1".to_owned() } };
        assert_eq!(told(&progress.apply(answer, &policy, 61_000)), [State::Sent]);
    }

    #[test]
    fn a_late_answer_of_a_repeated_attempt_is_not_lost() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        progress.apply(Event::LeaseLapsed { attempt: 1 }, &policy, 60_000);
        progress.apply(Event::Claimed { until: 125_000 }, &policy, 65_000);
        let taken = |attempt, upstream_id: &str| Event::Concluded {
            attempt,
            outcome: Outcome::Accepted { upstream_id: upstream_id.to_owned() },
        };
        assert_eq!(told(&progress.apply(taken(1, "up-1"), &policy, 66_000)), [State::Sent]);
        let repeat = progress.apply(taken(2, "up-2"), &policy, 67_000);
        assert!(matches!(&repeat[..], [Effect::Record(note)] if note.attempt == Some(2)), "{repeat:?}");
        assert_eq!(progress.upstream_id.as_deref(), Some("up-1"));
        assert_eq!(progress.apply(taken(3, "up-3"), &policy, 68_000), []);
    }

    #[test]
    fn a_late_failure_of_a_lapsed_attempt_changes_nothing() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        progress.apply(Event::LeaseLapsed { attempt: 1 }, &policy, 60_000);
        let before = progress.clone();
        let answer = Event::Concluded { attempt: 1, outcome: Outcome::Rejected { error: error("no") } };
        assert_eq!(progress.apply(answer, &policy, 61_000), Vec::new());
        assert_eq!(progress, before);
    }

    #[test]
    fn the_failure_of_a_repeated_attempt_does_not_fail_the_message() {
        let mut progress = sent_message();
        let other = Event::Receipt {
            status: ReceiptStatus::Failed,
            upstream_id: "up-of-attempt-0".to_owned(),
            attempt: Some(7),
            error: Some(error("duplicate")),
        };
        assert_eq!(progress.apply(other, &policy(AmbiguousPolicy::Retry), 5), Vec::new());
        assert_eq!(progress.state, State::Sent);
    }

    #[test]
    fn passing_faults_end_after_the_last_try_and_throttles_never_do() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        let mut now = 0;
        for _ in 0..20 {
            progress.apply(Event::Claimed { until: now + 60_000 }, &policy, now);
            let outcome = Outcome::Throttled { after_ms: 1_000, error: error("slow down") };
            progress.apply(Event::Concluded { attempt: progress.attempt, outcome }, &policy, now);
            now = progress.due_at.unwrap();
        }
        assert_eq!((progress.state, progress.tries), (State::Queued, 0));
        for _ in 0..policy.max_tries {
            assert_eq!(progress.state, State::Queued);
            progress.apply(Event::Claimed { until: now + 60_000 }, &policy, now);
            let outcome = Outcome::Retry { after_ms: None, error: error("again") };
            progress.apply(Event::Concluded { attempt: progress.attempt, outcome }, &policy, now);
        }
        assert_eq!((progress.state, progress.due_at), (State::Failed, None));
    }

    #[test]
    fn an_ambiguous_attempt_fails_at_once_where_policy_says_so() {
        let policy = policy(AmbiguousPolicy::Fail);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        let outcome = Outcome::Ambiguous { error: error("connection cut") };
        let effects = progress.apply(Event::Concluded { attempt: 1, outcome }, &policy, 1);
        assert_eq!(told(&effects), [State::Failed]);
    }

    #[test]
    fn nothing_is_canceled_once_an_attempt_has_started() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, EXPIRES_AT);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        let before = progress.clone();
        assert_eq!(progress.apply(Event::Canceled { reason: error("canceled") }, &policy, 1), []);
        assert_eq!(progress, before);
        let mut scheduled = Progress { state: State::Scheduled, ..Progress::accepted(90_000, EXPIRES_AT) };
        let effects = scheduled.apply(Event::Canceled { reason: error("canceled") }, &policy, 1);
        assert_eq!((told(&effects), scheduled.due_at), (vec![State::Canceled], None));
        assert_eq!(scheduled.error, Some(error("canceled")));
        assert_eq!(scheduled.apply(Event::Claimed { until: 60_000 }, &policy, 2), []);
        assert_eq!(scheduled.state, State::Canceled, "it is final");
    }

    #[test]
    fn a_wait_does_not_go_beyond_the_time_to_live_and_a_late_receipt_corrects_its_end() {
        let policy = policy(AmbiguousPolicy::Retry);
        let mut progress = Progress::accepted(0, 2_000);
        progress.apply(Event::Claimed { until: 60_000 }, &policy, 0);
        progress.apply(
            Event::Concluded { attempt: 1, outcome: Outcome::Ambiguous { error: error("cut") } },
            &policy,
            1,
        );
        assert_eq!(progress.due_at, Some(2_000), "settling takes five seconds, and it lives for two");
        progress.apply(Event::Claimed { until: 62_000 }, &policy, 2_000);
        let effects = progress.apply(Event::Concluded { attempt: 2, outcome: Outcome::Expired }, &policy, 2_000);
        assert_eq!(told(&effects), [State::Expired]);
        let late = Event::Receipt {
            status: ReceiptStatus::Delivered,
            upstream_id: "up-1".to_owned(),
            attempt: Some(1),
            error: None,
        };
        assert_eq!(told(&progress.apply(late, &policy, 9_000)), [State::Delivered]);
        assert_eq!(progress.error, None);
    }

    #[test]
    fn waits_double_up_to_their_cap() {
        let policy = policy(AmbiguousPolicy::Retry);
        assert_eq!(policy.backoff_ms(1, 0), 1_000);
        assert_eq!(policy.backoff_ms(3, 0), 4_000);
        assert_eq!(policy.backoff_ms(60, 0), 60_000);
        assert!(policy.backoff_ms(3, 99) >= 3_200);
    }

    #[test]
    fn a_state_reads_back_from_its_code() {
        for state in State::ALL {
            assert_eq!(State::from_code(state.code()), Some(state));
        }
        assert_eq!(State::from_code(-1), None);
        assert_eq!(State::from_code(99), None);
    }

    fn any_status() -> impl Strategy<Value = ReceiptStatus> {
        prop::sample::select(STATUSES.to_vec())
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            (1..4_u32).prop_map(|n| Outcome::Accepted { upstream_id: format!("up-{n}") }),
            Just(Outcome::Retry { after_ms: None, error: error("again") }),
            Just(Outcome::Throttled { after_ms: 10, error: error("slow down") }),
            Just(Outcome::ChannelDown { after_ms: 10, needs_operator: false, error: error("closed") }),
            Just(Outcome::Rejected { error: error("no") }),
            Just(Outcome::Ambiguous { error: error("cut") }),
            Just(Outcome::Internal { error: error("bug") }),
            (1..1_000_i64).prop_map(|until| Outcome::Postponed { until, error: error("quiet hours") }),
            Just(Outcome::Expired),
        ]
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Claimed { until: 60_000 }),
            3 => (0..5_u32, any_outcome()).prop_map(|(attempt, outcome)| Event::Concluded { attempt, outcome }),
            1 => (0..5_u32).prop_map(|attempt| Event::LeaseLapsed { attempt }),
            1 => Just(Event::Canceled { reason: error("canceled") }),
            3 => (any_status(), 1..4_u32, prop::option::of(0..5_u32)).prop_map(|(status, n, attempt)| {
                Event::Receipt { status, upstream_id: format!("up-{n}"), attempt, error: None }
            }),
        ]
    }

    proptest! {
        #[test]
        fn over_any_events_status_never_goes_back_and_only_pending_messages_are_due(
            events in prop::collection::vec(any_event(), 0..40),
            fail in any::<bool>(),
        ) {
            let policy = policy(if fail { AmbiguousPolicy::Fail } else { AmbiguousPolicy::Retry });
            let mut progress = Progress::accepted(0, EXPIRES_AT);
            for (now, event) in (0_i64..).zip(events) {
                let before = progress.clone();
                let effects = progress.apply(event.clone(), &policy, now);
                prop_assert!(progress.state.rank() >= before.state.rank(), "{before:?} --{event:?}--> {progress:?}");
                prop_assert_eq!(progress.state.is_pending(), progress.due_at.is_some());
                let claimed = matches!(event, Event::Claimed { .. });
                prop_assert!(progress.attempt - before.attempt <= u32::from(claimed));
                let moved = progress.state.rank() > before.state.rank();
                prop_assert_eq!(told(&effects), if moved { vec![progress.state] } else { vec![] });
                if before.upstream_id.is_some() {
                    prop_assert_eq!(&progress.upstream_id, &before.upstream_id);
                }
            }
        }

        #[test]
        fn an_event_told_twice_in_a_row_has_effects_once(
            events in prop::collection::vec(any_event(), 0..20),
            last in any_event(),
        ) {
            let policy = policy(AmbiguousPolicy::Retry);
            let mut progress = Progress::accepted(0, EXPIRES_AT);
            for event in events {
                progress.apply(event, &policy, 1);
            }
            progress.apply(last.clone(), &policy, 2);
            let settled = progress.clone();
            let repeat = progress.apply(last.clone(), &policy, 2);
            prop_assert_eq!(told(&repeat), vec![]);
            prop_assert_eq!(progress.state, settled.state);
            prop_assert_eq!(progress.due_at, settled.due_at);
        }
    }
}
