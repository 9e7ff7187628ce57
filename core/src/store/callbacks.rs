//! What networks told us and what is not worked off yet.
//!
//! A callback is on disk before its network is answered, and leaves only in the
//! transaction that writes what it changed. A receipt whose message is not known
//! (yet) stays, is looked at again, and after a time is kept aside, never dropped.

use std::{borrow::Cow, collections::HashMap};

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, Queryable, Selectable, SelectableHelper,
    sql_types::{BigInt, Binary, Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use super::{
    EventRow, MessageRow, NewDelivery, NewMessage, Store, StoreError,
    connection::{Conn, on},
    messages::{LeftId, ProgressUpdate, insert_events, keep_left_ids, update_progress},
    numbers::{NewPretendMessage, insert_pretend_messages},
    schema::callbacks,
    statement::Statement,
};
use crate::{
    clock::Millis,
    contacts::People,
    ids::{CallbackId, SenderId},
    inbound::{Arrival, Wanted},
    vault::{Vault, VaultError},
};

/// A callback to keep.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = callbacks)]
pub struct NewCallback {
    pub(crate) id: String,
    adapter: String,
    pub(crate) sender_id: i64,
    parsed: bool,
    body: Vec<u8>,
    received_at: Millis,
    pub(crate) due_at: Option<Millis>,
    sealed: bool,
}

impl NewCallback {
    /// A body as the network sent it, to be worked on from `due_at` on.
    #[must_use]
    pub fn raw(adapter: &str, sender_id: SenderId, body: Vec<u8>, received_at: Millis, due_at: Millis) -> Self {
        Self {
            id: CallbackId::generate().key().to_owned(),
            adapter: adapter.to_owned(),
            sender_id: sender_id.0,
            parsed: false,
            body,
            received_at,
            due_at: Some(due_at),
            sealed: false,
        }
    }

    /// The same with a body that `vault` has sealed: nobody reads it but the adapter.
    pub(crate) fn sealed_by(mut self, vault: &Vault) -> Self {
        self.body = vault.seal(&seal_context(&self.adapter, self.sender_id), &self.body);
        self.sealed = true;
        self
    }

    /// One receipt, already taken out of its callback, whose message is not known;
    /// `due_at` of `None` keeps it aside.
    pub(crate) fn parked(
        adapter: &str,
        sender_id: SenderId,
        receipt: Vec<u8>,
        received_at: Millis,
        due_at: Option<Millis>,
    ) -> Self {
        Self { parsed: true, due_at, ..Self::raw(adapter, sender_id, receipt, received_at, received_at) }
    }

    /// A callback that cannot be worked on, to be kept for a person to look at.
    pub(crate) fn aside(callback: &ClaimedCallback) -> Self {
        Self {
            id: CallbackId::generate().key().to_owned(),
            adapter: callback.adapter.clone(),
            sender_id: callback.sender_id,
            parsed: callback.parsed,
            body: callback.body.clone(),
            received_at: callback.received_at,
            due_at: None,
            sealed: callback.sealed,
        }
    }
}

/// What a sealed body is bound to. Not to its row: one that is kept aside moves to another.
fn seal_context(adapter: &str, sender_id: i64) -> String {
    format!("callback:{adapter}:{sender_id}")
}

/// A callback to work on.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = callbacks)]
pub(crate) struct ClaimedCallback {
    pub(crate) id: String,
    pub(crate) adapter: String,
    pub(crate) sender_id: i64,
    /// Whether `body` is one parked receipt rather than a network's raw body.
    pub(crate) parsed: bool,
    pub(super) body: Vec<u8>,
    pub(crate) received_at: Millis,
    sealed: bool,
}

impl ClaimedCallback {
    /// What the network said.
    pub(crate) fn body(&self, vault: &Vault) -> Result<Cow<'_, [u8]>, VaultError> {
        if !self.sealed {
            return Ok(Cow::Borrowed(&self.body));
        }
        vault.open(&seal_context(&self.adapter, self.sender_id), &self.body).map(Cow::Owned)
    }
}

/// Which messages a batch of receipts may concern.
#[derive(Debug, Default)]
pub(crate) struct ReceiptBatch {
    pub(crate) message_ids: Vec<String>,
    pub(crate) upstream_ids: Vec<String>,
    /// The callbacks that are worked off once the batch is written.
    pub(crate) done: Vec<String>,
}

/// What a batch of receipts came to.
#[derive(Debug, Default)]
pub(crate) struct ReceiptOutcome {
    /// Rows whose progress changed.
    pub(crate) changed: Vec<MessageRow>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) deliveries: Vec<NewDelivery>,
    /// Receipts of messages that are not known.
    pub(crate) parked: Vec<NewCallback>,
    /// The networks' ids of channels that messages left.
    pub(crate) left: Vec<LeftId>,
    /// What arrived at pretend phones.
    pub(crate) arrivals: Vec<NewPretendMessage>,
    /// What people sent.
    pub(crate) inbound: Vec<Arrival>,
    /// What people want to get from now on.
    pub(crate) wanted: Vec<Wanted>,
    /// The messages that confirm what people want; they are written, and to be queued.
    pub(crate) confirmations: Vec<NewMessage>,
}

impl Store {
    /// Keeps callbacks: on disk when this returns.
    ///
    /// # Errors
    /// None of them was kept.
    pub async fn keep_callbacks(&self, rows: Vec<NewCallback>) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        insert(&mut conn, rows).await
    }

    /// The callbacks of `ids` that are still to be worked on.
    pub(crate) async fn callbacks(&self, ids: &[&str]) -> Result<Vec<ClaimedCallback>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = callbacks::table.filter(callbacks::id.eq_any(ids)).filter(callbacks::due_at.is_not_null());
        Ok(on!(conn, c => query.select(ClaimedCallback::as_select()).load(c).await)?)
    }

    /// Works off receipts in one transaction: locks the messages they may concern,
    /// lets `decide` say what follows, writes that, and removes the callbacks.
    pub(crate) async fn apply_receipts<F>(
        &self,
        batch: ReceiptBatch,
        now: Millis,
        decide: F,
    ) -> Result<ReceiptOutcome, StoreError>
    where
        F: FnOnce(HashMap<String, MessageRow>) -> ReceiptOutcome + Send,
    {
        let people = self.people()?;
        let mut conn = self.pools.begin().await?;
        let result = apply(&mut conn, (people, self.shard), batch, now, decide).await;
        conn.finish(result).await
    }
}

async fn apply<F>(
    conn: &mut Conn,
    (people, shard): (&People, i32),
    batch: ReceiptBatch,
    now: Millis,
    decide: F,
) -> Result<ReceiptOutcome, StoreError>
where
    F: FnOnce(HashMap<String, MessageRow>) -> ReceiptOutcome + Send,
{
    let rows = Store::lock_messages(conn, batch.message_ids, batch.upstream_ids).await?;
    let mut outcome = decide(rows.into_iter().map(|row| (row.id.key().to_owned(), row)).collect());
    let updates =
        outcome.changed.iter().map(|row| ProgressUpdate::new(&row.id, row.progress.attempt, &row.progress)).collect();
    update_progress(conn, updates, None, now).await?;
    super::suppressions::told_by_network(conn, people, &outcome.events).await?;
    insert_events(conn, outcome.events.clone()).await?;
    keep_left_ids(conn, std::mem::take(&mut outcome.left)).await?;
    let kept = super::inbound::keep(conn, std::mem::take(&mut outcome.inbound)).await?;
    outcome.deliveries.extend(kept.deliveries);
    super::deliveries::insert(conn, outcome.deliveries.clone()).await?;
    for heard in super::inbound::listen(conn, (people, shard), &kept.new, &outcome.wanted, now).await? {
        outcome.deliveries.extend(heard.deliveries);
        outcome.confirmations.extend(heard.confirmation);
    }
    insert(conn, outcome.parked.clone()).await?;
    insert_pretend_messages(conn, &outcome.arrivals).await?;
    if !batch.done.is_empty() {
        let query = diesel::delete(callbacks::table.filter(callbacks::id.eq_any(batch.done)));
        on!(*conn, c => query.execute(c).await)?;
    }
    Ok(outcome)
}

async fn insert(conn: &mut Conn, rows: Vec<NewCallback>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Pg(c) => {
            let c = &mut ***c;
            Statement::new(
                "INSERT INTO callbacks (id, adapter, sender_id, parsed, body, received_at, due_at, sealed) \
                 SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .array::<Text, _>(rows.iter().map(|r| r.id.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(rows.iter().map(|r| r.adapter.as_str()).collect::<Vec<_>>())
            .array::<BigInt, _>(rows.iter().map(|r| r.sender_id).collect::<Vec<_>>())
            .array::<Bool, _>(rows.iter().map(|r| r.parsed).collect::<Vec<_>>())
            .array::<Binary, _>(rows.iter().map(|r| r.body.as_slice()).collect::<Vec<_>>())
            .array::<BigInt, _>(rows.iter().map(|r| r.received_at).collect::<Vec<_>>())
            .array::<Nullable<BigInt>, _>(rows.iter().map(|r| r.due_at).collect::<Vec<_>>())
            .array::<Bool, _>(rows.iter().map(|r| r.sealed).collect::<Vec<_>>())
            .execute(c)
            .await?;
        }
        Conn::Sqlite(c) => {
            c.spawn_blocking(move |c| {
                diesel::RunQueryDsl::execute(diesel::insert_into(callbacks::table).values(&rows), c)
            })
            .await?;
        }
    }
    Ok(())
}
