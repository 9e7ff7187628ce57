//! Messages and their history.

use std::collections::HashSet;

use diesel::{
    BoolExpressionMethods, Connection, ExpressionMethods, Insertable, NullableExpressionMethods, OptionalExtension,
    QueryDsl, Queryable, QueryableByName, Selectable, SelectableHelper,
    sql_types::{BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use waystation_adapter_sdk::UpstreamError;

use super::{
    NewDelivery, NewSignal, Place, Store, StoreError, Unfinished,
    abuse::count_signals,
    connection::{Conn, on},
    schema::{idempotency_keys, left_ids, message_events, messages},
    statement::Statement,
    unfinished::comes_after,
    usage::day_of,
};
use crate::{
    abuse::Signal,
    clock::{Millis, rfc3339},
    contacts::People,
    delivery::Times,
    eligibility::Refusal,
    ids::{BusinessId, MessageId, SenderId},
    messages::{
        Category,
        address::Address,
        route::Routing,
        sealed::Content,
        state::{Note, Progress, Receipts, State},
    },
    vault::{Vault, VaultError},
};

/// A message on its way to the disk.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// Whose it is.
    pub business_id: BusinessId,
    /// Which of its senders sends it.
    pub sender_id: SenderId,
    /// Whom it is for, as [`Address::as_str`] has it.
    pub recipient: String,
    /// The Cloud API message type.
    pub kind: &'static str,
    /// What it is for.
    pub category: Category,
    /// The template that it is made of.
    pub template: Option<String>,
    /// The Cloud API message object, as it came; of one that is sealed, an empty object.
    pub body: String,
    /// The same as plain text; of one that is sealed, nothing.
    pub rendered: String,
    /// Both, sealed for this message, when it brings a code.
    pub sealed: Option<Vec<u8>>,
    /// The tenant's own data, given back in webhooks.
    pub callback_data: Option<String>,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// When it is to be sent, if that is not at once.
    pub scheduled: Option<Scheduled>,
    /// When it is no longer worth sending.
    pub expires_at: Millis,
    /// The channels that may take over.
    pub routing: Option<Box<Routing>>,
    /// The idempotency key it came with.
    pub idempotency: Option<IdempotencyClaim>,
}

impl NewMessage {
    /// The channels that may take over, as a row has them.
    pub(super) fn routing_text(&self) -> Option<String> {
        routing_text(self.routing.as_deref())
    }

    /// When it is to be looked at whether another channel takes over.
    pub(super) fn look_at(&self) -> Option<Millis> {
        self.routing.as_ref().and_then(|routing| routing.look_at(false, self.due_at()))
    }

    fn scheduled_at(&self) -> Option<Millis> {
        self.scheduled.as_ref().map(|scheduled| scheduled.at)
    }

    /// When it is to be sent.
    #[must_use]
    pub fn due_at(&self) -> Millis {
        self.scheduled_at().unwrap_or(self.accepted_at)
    }

    /// Where it stands once it is on disk.
    #[must_use]
    pub fn state(&self) -> State {
        if self.scheduled.is_some() { State::Scheduled } else { State::Accepted }
    }
}

/// That a message is to be sent later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// When.
    pub at: Millis,
    /// Why, as its history tells: the name of each event, and what happened in words.
    pub notes: Vec<(&'static str, String)>,
}

/// An idempotency key: the first message that commits with it keeps it.
#[derive(Debug, Clone)]
pub struct IdempotencyClaim {
    /// What the key is unique in: the API key and the route.
    pub scope: String,
    /// The tenant's key.
    pub key: String,
    /// A hash of what was asked: the same key with another one is a mistake.
    pub fingerprint: String,
    /// When the key may be used again.
    pub expires_at: Millis,
}

/// What became of a message that was to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptResult {
    /// It is on disk.
    Created,
    /// Its idempotency key and the same request are on disk already, as this message.
    Replayed(MessageId),
    /// Its idempotency key belongs to another request.
    KeyReused,
}

/// A message as its business sees it.
#[derive(Debug, Clone)]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// The sender.
    pub sender_id: SenderId,
    /// Whom it is for.
    pub recipient: Address,
    /// The Cloud API message type.
    pub kind: String,
    /// What it is for.
    pub category: Category,
    /// The template that it is made of.
    pub template: Option<String>,
    /// The tenant's own data.
    pub callback_data: Option<String>,
    /// When it was, or is, to be sent, if that was not at once.
    pub scheduled_at: Option<Millis>,
    /// How far it has come.
    pub progress: Progress,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl MessageView {
    /// The sender that took over last, if one did.
    #[must_use]
    pub fn via(&self) -> Option<SenderId> {
        self.progress.routing.as_ref().and_then(|routing| routing.via())
    }
}

/// A line of a message's history.
#[derive(Debug, Clone, Queryable)]
pub struct MessageEvent {
    /// When.
    pub at: Millis,
    /// What.
    pub name: String,
    /// The attempt it belongs to.
    pub attempt: Option<i32>,
    /// The adapter that made it.
    pub adapter: Option<String>,
    /// More, as a JSON object.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = messages)]
pub(super) struct StoredMessage {
    id: String,
    business_id: String,
    sender_id: i64,
    recipient: String,
    kind: String,
    category: String,
    callback_data: Option<String>,
    state: i16,
    attempt: i32,
    tries: i32,
    ambiguous: bool,
    receipts: i16,
    due_at: Option<i64>,
    leased_until: Option<i64>,
    upstream_id: Option<String>,
    error: Option<String>,
    accepted_at: i64,
    updated_at: i64,
    expires_at: i64,
    template_name: Option<String>,
    scheduled_at: Option<i64>,
    routing: Option<String>,
    look_at: Option<i64>,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = messages)]
struct StoredContent {
    body: String,
    rendered: String,
    sealed: Option<Vec<u8>>,
}

/// A message as the engine works on it.
#[derive(Debug, Clone)]
pub(crate) struct MessageRow {
    pub(crate) id: MessageId,
    pub(crate) business_id: BusinessId,
    pub(crate) sender_id: SenderId,
    pub(crate) recipient: Address,
    pub(crate) kind: String,
    pub(crate) category: Category,
    pub(crate) template: Option<String>,
    pub(crate) scheduled_at: Option<Millis>,
    pub(crate) callback_data: Option<String>,
    pub(crate) progress: Progress,
    pub(crate) accepted_at: Millis,
    pub(crate) updated_at: Millis,
}

impl MessageRow {
    /// The sender that it goes through now: its own, or the one that took over.
    pub(crate) fn carrier(&self) -> SenderId {
        self.progress.routing.as_ref().and_then(|routing| routing.via()).unwrap_or(self.sender_id)
    }

    /// Whether it goes, went or may yet go through `sender`.
    pub(crate) fn may_go_through(&self, sender: SenderId) -> bool {
        self.sender_id == sender || self.progress.routing.as_ref().is_some_and(|routing| routing.has(sender))
    }
}

/// A message whose attempt has started.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedMessage {
    pub(crate) row: MessageRow,
    pub(crate) body: String,
    pub(crate) rendered: String,
    /// What it says, when it brings a code: then the two above say nothing.
    pub(crate) sealed: Option<Vec<u8>>,
    /// Why it may not go out after all.
    pub(crate) refused: Option<Refusal>,
}

impl ClaimedMessage {
    /// What it says, opened if it is sealed.
    pub(crate) fn content(&self, vault: &Vault) -> Result<Content, VaultError> {
        match &self.sealed {
            Some(sealed) => Content::open(vault, &self.row.id, sealed),
            None => Ok(Content { body: self.body.clone(), rendered: self.rendered.clone() }),
        }
    }
}

/// What to write about a message whose attempt was ours, with everything that
/// follows from it.
#[derive(Debug, Clone)]
pub(crate) struct MessageRecord {
    pub(crate) id: MessageId,
    /// The attempt that we made: the guard against a worker that comes too late.
    pub(crate) attempt: u32,
    pub(crate) progress: Progress,
    pub(crate) events: Vec<EventRow>,
    pub(crate) deliveries: Vec<NewDelivery>,
    /// The networks' ids of channels that it left.
    pub(crate) left: Vec<LeftId>,
    /// Who was answered: the network took it, from this sender to this person.
    pub(crate) answered: Option<(SenderId, Address)>,
}

/// A network's id of a message on a channel that it left.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = left_ids)]
pub(crate) struct LeftId {
    pub(crate) upstream_id: String,
    pub(crate) message_id: String,
}

/// Keeps ids of channels that were left.
pub(super) async fn keep_left_ids(conn: &mut Conn, left: Vec<LeftId>) -> Result<(), StoreError> {
    for id in left {
        let insert = diesel::insert_into(left_ids::table).values(id).on_conflict_do_nothing();
        on!(*conn, c => insert.execute(c).await)?;
    }
    Ok(())
}

/// A line of history to write.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = message_events)]
pub(crate) struct EventRow {
    message_id: String,
    pub(super) at: Millis,
    name: &'static str,
    attempt: Option<i32>,
    adapter: Option<String>,
    detail: Option<String>,
    /// What it says against the sender.
    #[diesel(skip_insertion)]
    signal: Option<NewSignal>,
    /// Who wants no more marketing, as the network said.
    #[diesel(skip_insertion)]
    pub(super) opted_out: Option<(BusinessId, Address)>,
}

#[derive(Default, Serialize)]
struct EventDetail<'a> {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a UpstreamError>,
}

impl EventRow {
    pub(crate) fn new(row: &MessageRow, note: &Note, adapter: &str, times: Times) -> Self {
        // Once a message: when it fails, or when the network first holds it back.
        let counts = [State::Failed.name(), "channel_failed"].contains(&note.name)
            || (note.name == "throttled" && note.attempt == Some(1));
        let code = note.error.as_ref().filter(|_| counts).and_then(|error| error.code);
        let signal = code.and_then(Signal::of_code);
        let opted_out = (signal == Some(Signal::OptOut)).then(|| (row.business_id.clone(), row.recipient.clone()));
        let detail = EventDetail {
            source: if note.from_receipt { "network" } else { "engine" },
            started_at: times.started.map(rfc3339),
            network_time: times.network.map(rfc3339),
            upstream_id: row.progress.upstream_id.as_deref(),
            retry_at: note.retry_at.map(rfc3339),
            // What was done here is told in words; what a network said, as it came.
            error: note.error.as_ref(),
            says: note.says.as_deref(),
        };
        Self {
            message_id: row.id.key().to_owned(),
            at: times.at,
            name: note.name,
            attempt: note.attempt.map(to_i32),
            adapter: Some(adapter.to_owned()),
            detail: serde_json::to_string(&detail).ok(),
            signal: signal.map(|signal| NewSignal { sender: row.sender_id, day: day_of(times.at), signal }),
            opted_out,
        }
    }
}

impl EventRow {
    /// Something that was done to a message here, in words.
    pub(super) fn said(id: &MessageId, at: Millis, name: &'static str, says: &str) -> Self {
        let detail = EventDetail { source: "engine", says: Some(says), ..EventDetail::default() };
        Self {
            message_id: id.key().to_owned(),
            at,
            name,
            attempt: None,
            adapter: None,
            detail: serde_json::to_string(&detail).ok(),
            signal: None,
            opted_out: None,
        }
    }
}

impl TryFrom<StoredMessage> for MessageRow {
    type Error = StoreError;

    fn try_from(row: StoredMessage) -> Result<Self, StoreError> {
        let state = State::from_code(row.state).ok_or_else(|| StoreError::Unreadable {
            table: "messages",
            reason: format!("state {} of {}; was it written by a newer version?", row.state, row.id),
        })?;
        let routing = row.routing.as_deref().map(serde_json::from_str).transpose();
        let routing = routing.map_err(|error| StoreError::Unreadable {
            table: "messages",
            reason: format!("routing of {}: {error}", row.id),
        })?;
        Ok(Self {
            id: MessageId::from_key(row.id),
            business_id: BusinessId::from_key(row.business_id),
            sender_id: SenderId(row.sender_id),
            recipient: Address::from_stored(row.recipient),
            kind: row.kind,
            category: Category::parse(&row.category).unwrap_or(Category::Service),
            template: row.template_name,
            scheduled_at: row.scheduled_at,
            callback_data: row.callback_data,
            progress: Progress {
                state,
                attempt: to_u32(row.attempt),
                tries: to_u32(row.tries),
                ambiguous: row.ambiguous,
                receipts: Receipts::from_bits(row.receipts),
                upstream_id: row.upstream_id,
                error: row.error.as_deref().and_then(|text| serde_json::from_str(text).ok()),
                // While an attempt runs, the end of its lease is what to look at next.
                due_at: if state == State::Sending { row.leased_until } else { row.due_at },
                expires_at: row.expires_at,
                routing,
                look_at: row.look_at,
            },
            accepted_at: row.accepted_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<MessageRow> for MessageView {
    fn from(row: MessageRow) -> Self {
        Self {
            id: row.id,
            sender_id: row.sender_id,
            recipient: row.recipient,
            kind: row.kind,
            category: row.category,
            template: row.template,
            callback_data: row.callback_data,
            scheduled_at: row.scheduled_at,
            progress: row.progress,
            accepted_at: row.accepted_at,
            updated_at: row.updated_at,
        }
    }
}

fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn to_u32(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn routing_text(routing: Option<&Routing>) -> Option<String> {
    routing.and_then(|routing| serde_json::to_string(routing).ok())
}

fn error_text(error: Option<&UpstreamError>) -> Option<String> {
    error.and_then(|error| serde_json::to_string(error).ok())
}

#[derive(Insertable)]
#[diesel(table_name = messages)]
struct InsertedMessage<'a> {
    id: &'a str,
    business_id: &'a str,
    sender_id: i64,
    recipient: &'a str,
    kind: &'a str,
    category: &'a str,
    body: &'a str,
    rendered: &'a str,
    callback_data: Option<&'a str>,
    state: i16,
    attempt: i32,
    tries: i32,
    ambiguous: bool,
    receipts: i16,
    due_at: Option<i64>,
    accepted_at: i64,
    updated_at: i64,
    expires_at: i64,
    sealed: Option<&'a [u8]>,
    template_name: Option<&'a str>,
    scheduled_at: Option<i64>,
    routing: Option<String>,
    look_at: Option<i64>,
}

impl Store {
    /// Writes a batch of messages and their idempotency keys in one transaction and
    /// answers for each, in order. `Created` means: on disk.
    ///
    /// # Errors
    /// Nothing of the batch was written.
    pub async fn accept(&self, batch: Vec<NewMessage>) -> Result<Vec<AcceptResult>, StoreError> {
        self.accept_request(batch, None).await
    }

    /// The same for one request with many messages, whose own idempotency key is `whole`: if it belongs to another
    /// request, nothing is written and every answer is [`AcceptResult::KeyReused`].
    pub(crate) async fn accept_request(
        &self,
        batch: Vec<NewMessage>,
        whole: Option<&IdempotencyClaim>,
    ) -> Result<Vec<AcceptResult>, StoreError> {
        let plain = |message: &NewMessage| {
            message.idempotency.is_none() && message.scheduled.is_none() && message.routing.is_none()
        };
        if whole.is_none() && batch.iter().all(plain) {
            let results = vec![AcceptResult::Created; batch.len()];
            let mut conn = self.pools.write().await?;
            insert_messages(&mut conn, batch, self.shard).await?;
            return Ok(results);
        }
        let mut conn = self.pools.begin().await?;
        let result = async {
            if let (Some(whole), Some(first)) = (whole, batch.as_slice().first())
                && claim_key(&mut conn, whole, first).await? == AcceptResult::KeyReused
            {
                return Ok(vec![AcceptResult::KeyReused; batch.len()]);
            }
            accept_with_keys(&mut conn, batch, self.shard).await
        }
        .await;
        conn.finish(result).await
    }

    /// A message of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn message(&self, business: &BusinessId, id: &MessageId) -> Result<Option<MessageView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table.filter(messages::id.eq(id.key())).filter(messages::business_id.eq(business.key()));
        let row: Option<StoredMessage> =
            on!(conn, c => query.select(StoredMessage::as_select()).first(c).await.optional())?;
        row.map(|row| MessageRow::try_from(row).map(Into::into)).transpose()
    }

    /// The history of a message of `business`, oldest first; `None` when there is no
    /// such message.
    ///
    /// # Errors
    /// The database's.
    pub async fn message_history(
        &self,
        business: &BusinessId,
        id: &MessageId,
    ) -> Result<Option<(MessageView, Vec<MessageEvent>)>, StoreError> {
        let Some(message) = self.message(business, id).await? else {
            return Ok(None);
        };
        let mut conn = self.pools.read().await?;
        let query =
            message_events::table.filter(message_events::message_id.eq(id.key())).order(message_events::id).select((
                message_events::at,
                message_events::name,
                message_events::attempt,
                message_events::adapter,
                message_events::detail,
            ));
        let events = on!(conn, c => query.load::<MessageEvent>(c).await)?;
        Ok(Some((message, events)))
    }

    /// Starts an attempt of each of `ids` that waits and is due: the row then says
    /// who has it, until when, and which attempt it is. Those not returned are
    /// somebody else's or over.
    pub(crate) async fn claim_messages(
        &self,
        ids: &[&str],
        owner: &str,
        now: Millis,
        lease_until: Millis,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let mut conn = self.pools.write().await?;
        let waiting = [State::Accepted, State::Queued, State::Scheduled].map(State::code);
        let query = diesel::update(
            messages::table
                .filter(messages::id.eq_any(ids))
                .filter(messages::state.eq_any(waiting))
                .filter(messages::due_at.le(now)),
        )
        .set((
            messages::state.eq(State::Sending.code()),
            messages::attempt.eq(messages::attempt + 1),
            messages::owner.eq(Some(owner)),
            messages::leased_until.eq(Some(lease_until)),
            messages::attempted_at.eq(Some(now)),
            messages::updated_at.eq(now),
        ));
        let rows: Vec<(StoredMessage, StoredContent)> = on!(conn, c => query
            .returning((StoredMessage::as_returning(), StoredContent::as_returning()))
            .get_results(c)
            .await)?;
        rows.into_iter()
            .map(|(row, content)| {
                Ok(ClaimedMessage {
                    row: row.try_into()?,
                    body: content.body,
                    rendered: content.rendered,
                    sealed: content.sealed,
                    refused: None,
                })
            })
            .collect()
    }

    /// Writes what attempts came to, with their history and the webhooks that follow,
    /// in one transaction. Returns the ids that were written; a row that is no longer
    /// `owner`'s attempt is left alone and has nothing written about it.
    pub(crate) async fn record_messages(
        &self,
        owner: &str,
        records: &[MessageRecord],
        now: Millis,
    ) -> Result<HashSet<String>, StoreError> {
        let people = self.people()?;
        let mut conn = self.pools.begin().await?;
        let result = record(&mut conn, people, owner, records, now).await;
        conn.finish(result).await
    }

    /// Messages that the engine has to look at before `before`, oldest first: those that
    /// wait, and those whose attempt has lost its lease; scheduled ones only if they are due
    /// by `scheduled_before`.
    pub(crate) async fn due_messages(
        &self,
        before: Millis,
        scheduled_before: Millis,
        after: &Place,
        limit: i64,
    ) -> Result<Vec<Unfinished>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table
            .filter(messages::due_at.le(before))
            .filter(comes_after!(messages, after))
            .filter(
                messages::state.ne(State::Scheduled.code()).or(messages::due_at.le(scheduled_before).assume_not_null()),
            )
            .filter(messages::state.ne(State::Sending.code()).or(messages::leased_until.le(before).assume_not_null()))
            .order((messages::due_at, messages::id))
            .limit(limit)
            .select((
                messages::id,
                (messages::sender_id, messages::via_sender_id),
                messages::state,
                messages::due_at,
                messages::leased_until,
            ));
        unfinished(on!(conn, c => query.load(c).await)?)
    }

    /// Scheduled messages that are due by `before`, from `after` on, in the order of their times.
    pub(crate) async fn scheduled_messages(
        &self,
        before: Millis,
        after: &Place,
        limit: i64,
    ) -> Result<Vec<Unfinished>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table
            .filter(messages::due_at.le(before))
            .filter(comes_after!(messages, after))
            .filter(messages::state.eq(State::Scheduled.code()))
            .order((messages::due_at, messages::id))
            .limit(limit)
            .select((
                messages::id,
                (messages::sender_id, messages::via_sender_id),
                messages::state,
                messages::due_at,
                messages::leased_until,
            ));
        unfinished(on!(conn, c => query.load(c).await)?)
    }

    /// Those of `ids` that are unfinished, as they are now.
    pub(crate) async fn unfinished_among(&self, ids: &[&str]) -> Result<Vec<MessageRow>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table.filter(messages::id.eq_any(ids)).filter(messages::due_at.is_not_null());
        let rows: Vec<StoredMessage> = on!(conn, c => query.select(StoredMessage::as_select()).load(c).await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Every message whose attempt runs, or was lost. Reads all unfinished messages.
    pub(crate) async fn all_running_messages(&self, limit: i64) -> Result<Vec<MessageRow>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table
            .filter(messages::due_at.is_not_null())
            .filter(messages::state.eq(State::Sending.code()))
            .order(messages::due_at)
            .limit(limit);
        let rows: Vec<StoredMessage> = on!(conn, c => query.select(StoredMessage::as_select()).load(c).await)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Rows of `ids`, locked until the transaction of `conn` ends.
    pub(super) async fn lock_messages(
        conn: &mut Conn,
        mut ids: Vec<String>,
        upstream_ids: Vec<String>,
    ) -> Result<Vec<MessageRow>, StoreError> {
        if !upstream_ids.is_empty() {
            let query =
                left_ids::table.filter(left_ids::upstream_id.eq_any(&upstream_ids)).select(left_ids::message_id);
            let left: Vec<String> = on!(*conn, c => query.load(c).await)?;
            ids.extend(left);
        }
        let rows: Vec<StoredMessage> = match conn {
            // Sorted, so that two batches that meet the same rows wait rather than deadlock.
            Conn::Pg(c) => {
                let c = &mut ***c;
                let query = messages::table
                    .filter(messages::id.eq_any(ids))
                    .or_filter(messages::upstream_id.is_not_null().and(messages::upstream_id.eq_any(upstream_ids)))
                    .order(messages::id)
                    .select(StoredMessage::as_select())
                    .for_update();
                query.load(c).await?
            }
            // The one writer is the lock.
            Conn::Sqlite(c) => {
                let query = messages::table
                    .filter(messages::id.eq_any(ids))
                    .or_filter(messages::upstream_id.is_not_null().and(messages::upstream_id.eq_any(upstream_ids)))
                    .select(StoredMessage::as_select());
                query.load(c).await?
            }
        };
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Whether an idempotency key is held by the same request already.
    pub(crate) async fn is_claimed(&self, claim: &IdempotencyClaim, now: Millis) -> Result<bool, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = idempotency_keys::table
            .filter(idempotency_keys::scope.eq(&claim.scope))
            .filter(idempotency_keys::key.eq(&claim.key))
            .filter(idempotency_keys::expires_at.gt(now))
            .select(idempotency_keys::fingerprint);
        let held: Option<String> = on!(conn, c => query.first(c).await.optional())?;
        Ok(held.is_some_and(|fingerprint| fingerprint == claim.fingerprint))
    }

    /// Those of `ids` that are no longer worth sending.
    pub(crate) async fn expired_among(&self, ids: &[&str], now: Millis) -> Result<HashSet<String>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query =
            messages::table.filter(messages::id.eq_any(ids)).filter(messages::expires_at.le(now)).select(messages::id);
        let ids: Vec<String> = on!(conn, c => query.load(c).await)?;
        Ok(ids.into_iter().collect())
    }

    /// Deletes idempotency keys that may be used again.
    pub(crate) async fn forget_idempotency_keys(&self, now: Millis) -> Result<usize, StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::delete(idempotency_keys::table.filter(idempotency_keys::expires_at.le(now)));
        Ok(on!(conn, c => query.execute(c).await)?)
    }
}

type UnfinishedColumns = (String, (i64, Option<i64>), i16, Option<i64>, Option<i64>);

fn unfinished(rows: Vec<UnfinishedColumns>) -> Result<Vec<Unfinished>, StoreError> {
    Ok(rows
        .into_iter()
        .map(|(id, (sender, via), state, due_at, leased_until)| {
            let running = state == State::Sending.code();
            let look_at = if running { leased_until } else { due_at };
            Unfinished {
                due_at: look_at.unwrap_or(0),
                ..Unfinished::new(id, via.unwrap_or(sender).to_string(), due_at)
            }
        })
        .collect())
}

async fn accept_with_keys(
    conn: &mut Conn,
    batch: Vec<NewMessage>,
    shard: i32,
) -> Result<Vec<AcceptResult>, StoreError> {
    // In the order of their keys, so that two batches with the same keys wait for each
    // other rather than deadlock.
    let mut keyed: Vec<usize> = (0..batch.len()).filter(|index| batch[*index].idempotency.is_some()).collect();
    keyed.sort_by_key(|index| batch[*index].idempotency.as_ref().map(|claim| (&claim.scope, &claim.key)));
    let mut results = vec![AcceptResult::Created; batch.len()];
    for index in keyed {
        if let Some(claim) = &batch[index].idempotency {
            results[index] = claim_key(conn, claim, &batch[index]).await?;
        }
    }
    let created = batch
        .into_iter()
        .zip(&results)
        .filter(|(_, result)| **result == AcceptResult::Created)
        .map(|(message, _)| message);
    let created: Vec<NewMessage> = created.collect();
    let notes = created.iter().flat_map(|message| {
        let said = |name, says: &str| EventRow::said(&message.id, message.accepted_at, name, says);
        let timing = message.scheduled.iter().flat_map(|scheduled| &scheduled.notes);
        let timing = timing.map(move |(name, says)| said(name, says));
        timing.chain(message.routing.iter().map(move |routing| said("routed", &routing.plan())))
    });
    let events = notes.collect();
    insert_messages(conn, created, shard).await?;
    insert_events(conn, events).await?;
    Ok(results)
}

async fn claim_key(
    conn: &mut Conn,
    claim: &IdempotencyClaim,
    message: &NewMessage,
) -> Result<AcceptResult, StoreError> {
    let held = idempotency_keys::table
        .filter(idempotency_keys::scope.eq(&claim.scope))
        .filter(idempotency_keys::key.eq(&claim.key));
    let expired = diesel::delete(held.filter(idempotency_keys::expires_at.le(message.accepted_at)));
    on!(*conn, c => expired.execute(c).await)?;
    let insert = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::scope.eq(&claim.scope),
            idempotency_keys::key.eq(&claim.key),
            idempotency_keys::fingerprint.eq(&claim.fingerprint),
            idempotency_keys::message_id.eq(message.id.key()),
            idempotency_keys::expires_at.eq(claim.expires_at),
        ))
        .on_conflict_do_nothing();
    if on!(*conn, c => insert.execute(c).await)? == 1 {
        return Ok(AcceptResult::Created);
    }
    let query = held.select((idempotency_keys::fingerprint, idempotency_keys::message_id));
    let (fingerprint, id): (String, String) = on!(*conn, c => query.first(c).await)?;
    Ok(if fingerprint == claim.fingerprint {
        AcceptResult::Replayed(MessageId::from_key(id))
    } else {
        AcceptResult::KeyReused
    })
}

/// Writes messages and counts them.
pub(super) async fn insert_messages(conn: &mut Conn, batch: Vec<NewMessage>, shard: i32) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Pg(c) => {
            let c = &mut ***c;
            Statement::new(
                "WITH kept AS (INSERT INTO messages (id, business_id, sender_id, recipient, kind, category, body, rendered, \
                 callback_data, sealed, accepted_at, expires_at, template_name, scheduled_at, state, routing, look_at, \
                 due_at, updated_at, attempt, tries, ambiguous, receipts) \
                 SELECT *, coalesce(scheduled_at, accepted_at), accepted_at, 0, 0, false, 0 \
                 FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS batch (id, business_id, sender_id, \
                 recipient, kind, category, body, rendered, callback_data, sealed, accepted_at, expires_at, \
                 template_name, scheduled_at, state, routing, look_at) \
                 RETURNING business_id, sender_id, accepted_at) \
                 INSERT INTO usage_days (business_id, day, sender_id, shard, messages) \
                 SELECT business_id, (accepted_at / 86400000)::integer, sender_id, ?, count(*) FROM kept \
                 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 ON CONFLICT (business_id, day, sender_id, shard) \
                 DO UPDATE SET messages = usage_days.messages + excluded.messages",
            )
            .array::<Text, _>(batch.iter().map(|m| m.id.key()).collect::<Vec<_>>())
            .array::<Text, _>(batch.iter().map(|m| m.business_id.key()).collect::<Vec<_>>())
            .array::<BigInt, _>(batch.iter().map(|m| m.sender_id.0).collect::<Vec<_>>())
            .array::<Text, _>(batch.iter().map(|m| m.recipient.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(batch.iter().map(|m| m.kind).collect::<Vec<_>>())
            .array::<Text, _>(batch.iter().map(|m| m.category.name()).collect::<Vec<_>>())
            .array::<Text, _>(batch.iter().map(|m| m.body.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(batch.iter().map(|m| m.rendered.as_str()).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(batch.iter().map(|m| m.callback_data.as_deref()).collect::<Vec<_>>())
            .array::<Nullable<Binary>, _>(batch.iter().map(|m| m.sealed.as_deref()).collect::<Vec<_>>())
            .array::<BigInt, _>(batch.iter().map(|m| m.accepted_at).collect::<Vec<_>>())
            .array::<BigInt, _>(batch.iter().map(|m| m.expires_at).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(batch.iter().map(|m| m.template.as_deref()).collect::<Vec<_>>())
            .array::<Nullable<BigInt>, _>(batch.iter().map(NewMessage::scheduled_at).collect::<Vec<_>>())
            .array::<SmallInt, _>(batch.iter().map(|m| m.state().code()).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(batch.iter().map(NewMessage::routing_text).collect::<Vec<_>>())
            .array::<Nullable<BigInt>, _>(batch.iter().map(NewMessage::look_at).collect::<Vec<_>>())
            .bind::<Integer, _>(shard)
            .execute(c)
            .await?;
        }
        Conn::Sqlite(c) => {
            c.spawn_blocking(move |c| {
                let rows: Vec<_> = batch
                    .iter()
                    .map(|m| InsertedMessage {
                        id: m.id.key(),
                        business_id: m.business_id.key(),
                        sender_id: m.sender_id.0,
                        recipient: &m.recipient,
                        kind: m.kind,
                        category: m.category.name(),
                        body: &m.body,
                        rendered: &m.rendered,
                        callback_data: m.callback_data.as_deref(),
                        state: m.state().code(),
                        attempt: 0,
                        tries: 0,
                        ambiguous: false,
                        receipts: 0,
                        due_at: Some(m.due_at()),
                        accepted_at: m.accepted_at,
                        updated_at: m.accepted_at,
                        expires_at: m.expires_at,
                        sealed: m.sealed.as_deref(),
                        template_name: m.template.as_deref(),
                        scheduled_at: m.scheduled_at(),
                        routing: m.routing_text(),
                        look_at: m.look_at(),
                    })
                    .collect();
                c.transaction(|c| {
                    let insert = diesel::insert_into(messages::table).values(&rows);
                    diesel::RunQueryDsl::execute(insert, c)?;
                    super::usage::count_batch(c, &batch, shard)
                })
            })
            .await?;
        }
    }
    Ok(())
}

async fn record(
    conn: &mut Conn,
    people: &People,
    owner: &str,
    records: &[MessageRecord],
    now: Millis,
) -> Result<HashSet<String>, StoreError> {
    let updates: Vec<_> =
        records.iter().map(|record| ProgressUpdate::new(&record.id, record.attempt, &record.progress)).collect();
    let written = update_progress(conn, updates, Some(owner), now).await?;
    let ours = || records.iter().filter(|record| written.contains(record.id.key()));
    let events: Vec<EventRow> = ours().flat_map(|record| record.events.iter().cloned()).collect();
    super::suppressions::told_by_network(conn, people, &events).await?;
    insert_events(conn, events).await?;
    super::deliveries::insert(conn, ours().flat_map(|record| record.deliveries.iter().cloned()).collect()).await?;
    keep_left_ids(conn, ours().flat_map(|record| record.left.iter().cloned()).collect()).await?;
    let answered = ours().filter_map(|record| record.answered.as_ref());
    let answered = answered.map(|(sender, person)| (sender.0, person.as_str())).collect();
    super::inbound::open_entries(conn, answered, now).await?;
    Ok(written)
}

/// The new progress of one row, guarded by the attempt it was computed from.
pub(super) struct ProgressUpdate {
    id: String,
    guard_attempt: i32,
    state: i16,
    tries: i32,
    ambiguous: bool,
    receipts: i16,
    due_at: Option<i64>,
    upstream_id: Option<String>,
    error: Option<String>,
    routing: Option<String>,
    via_sender_id: Option<i64>,
    look_at: Option<i64>,
}

impl ProgressUpdate {
    pub(super) fn new(id: &MessageId, guard_attempt: u32, progress: &Progress) -> Self {
        Self {
            id: id.key().to_owned(),
            guard_attempt: to_i32(guard_attempt),
            state: progress.state.code(),
            tries: to_i32(progress.tries),
            ambiguous: progress.ambiguous,
            receipts: progress.receipts.bits(),
            due_at: progress.due_at,
            upstream_id: progress.upstream_id.clone(),
            error: error_text(progress.error.as_ref()),
            routing: routing_text(progress.routing.as_deref()),
            via_sender_id: progress.routing.as_ref().and_then(|routing| routing.via()).map(|sender| sender.0),
            look_at: progress.look_at,
        }
    }
}

#[derive(QueryableByName)]
struct Updated {
    #[diesel(sql_type = Text)]
    id: String,
}

/// Writes progress. With an `owner`, only rows whose running attempt is the owner's;
/// without, the caller holds the rows' locks.
pub(super) async fn update_progress(
    conn: &mut Conn,
    updates: Vec<ProgressUpdate>,
    owner: Option<&str>,
    now: Millis,
) -> Result<HashSet<String>, StoreError> {
    if updates.is_empty() {
        return Ok(HashSet::new());
    }
    match conn {
        Conn::Pg(c) => {
            let c = &mut ***c;
            let rows: Vec<Updated> = Statement::new(
                "UPDATE messages SET state = batch.state, tries = batch.tries, ambiguous = batch.ambiguous, \
                 receipts = batch.receipts, due_at = batch.due_at, upstream_id = batch.upstream_id, \
                 error = batch.error, routing = batch.routing, via_sender_id = batch.via_sender_id, \
                 look_at = batch.look_at, updated_at = ?, owner = NULL \
                 FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS batch (id, attempt, state, tries, ambiguous, \
                 receipts, due_at, upstream_id, error, routing, via_sender_id, look_at) \
                 WHERE messages.id = batch.id AND messages.attempt = batch.attempt \
                 AND (? IS NULL OR (messages.owner = ? AND messages.state = 2)) RETURNING messages.id",
            )
            .bind::<BigInt, _>(now)
            .array::<Text, _>(updates.iter().map(|u| u.id.as_str()).collect::<Vec<_>>())
            .array::<Integer, _>(updates.iter().map(|u| u.guard_attempt).collect::<Vec<_>>())
            .array::<SmallInt, _>(updates.iter().map(|u| u.state).collect::<Vec<_>>())
            .array::<Integer, _>(updates.iter().map(|u| u.tries).collect::<Vec<_>>())
            .array::<Bool, _>(updates.iter().map(|u| u.ambiguous).collect::<Vec<_>>())
            .array::<SmallInt, _>(updates.iter().map(|u| u.receipts).collect::<Vec<_>>())
            .array::<Nullable<BigInt>, _>(updates.iter().map(|u| u.due_at).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(updates.iter().map(|u| u.upstream_id.as_deref()).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(updates.iter().map(|u| u.error.as_deref()).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(updates.iter().map(|u| u.routing.as_deref()).collect::<Vec<_>>())
            .array::<Nullable<BigInt>, _>(updates.iter().map(|u| u.via_sender_id).collect::<Vec<_>>())
            .array::<Nullable<BigInt>, _>(updates.iter().map(|u| u.look_at).collect::<Vec<_>>())
            .bind::<Nullable<Text>, _>(owner)
            .bind::<Nullable<Text>, _>(owner)
            .get_results(c)
            .await?;
            Ok(rows.into_iter().map(|row| row.id).collect())
        }
        Conn::Sqlite(c) => {
            let owner = owner.map(ToOwned::to_owned);
            let written = c
                .spawn_blocking(move |c| {
                    let mut written = HashSet::with_capacity(updates.len());
                    for update in updates {
                        let row = messages::table
                            .filter(messages::id.eq(&update.id))
                            .filter(messages::attempt.eq(update.guard_attempt));
                        let values = (
                            messages::state.eq(update.state),
                            messages::tries.eq(update.tries),
                            messages::ambiguous.eq(update.ambiguous),
                            messages::receipts.eq(update.receipts),
                            messages::due_at.eq(update.due_at),
                            messages::upstream_id.eq(&update.upstream_id),
                            messages::error.eq(&update.error),
                            messages::routing.eq(&update.routing),
                            messages::via_sender_id.eq(update.via_sender_id),
                            messages::look_at.eq(update.look_at),
                            messages::updated_at.eq(now),
                            messages::owner.eq(None::<String>),
                        );
                        let count = match &owner {
                            None => diesel::RunQueryDsl::execute(diesel::update(row).set(values), c)?,
                            Some(owner) => {
                                let row = row
                                    .filter(messages::owner.eq(owner))
                                    .filter(messages::state.eq(State::Sending.code()));
                                diesel::RunQueryDsl::execute(diesel::update(row).set(values), c)?
                            }
                        };
                        if count == 1 {
                            written.insert(update.id);
                        }
                    }
                    Ok(written)
                })
                .await?;
            Ok(written)
        }
    }
}

pub(super) async fn insert_events(conn: &mut Conn, events: Vec<EventRow>) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    count_signals(conn, events.iter().filter_map(|event| event.signal)).await?;
    match conn {
        Conn::Pg(c) => {
            let c = &mut ***c;
            Statement::new(
                "INSERT INTO message_events (message_id, at, name, attempt, adapter, detail) \
                 SELECT * FROM unnest(?, ?, ?, ?, ?, ?)",
            )
            .array::<Text, _>(events.iter().map(|e| e.message_id.as_str()).collect::<Vec<_>>())
            .array::<BigInt, _>(events.iter().map(|e| e.at).collect::<Vec<_>>())
            .array::<Text, _>(events.iter().map(|e| e.name).collect::<Vec<_>>())
            .array::<Nullable<Integer>, _>(events.iter().map(|e| e.attempt).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(events.iter().map(|e| e.adapter.as_deref()).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(events.iter().map(|e| e.detail.as_deref()).collect::<Vec<_>>())
            .execute(c)
            .await?;
        }
        Conn::Sqlite(c) => {
            c.spawn_blocking(move |c| {
                diesel::RunQueryDsl::execute(diesel::insert_into(message_events::table).values(&events), c)
            })
            .await?;
        }
    }
    Ok(())
}
