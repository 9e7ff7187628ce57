//! What can still be changed of messages: until an attempt has started, they can be taken back, moved and rewritten.
//!
//! Each step locks its rows, so that it and a worker that starts an attempt exclude one another: one of them comes second
//! and sees what the other did.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use waystation_adapter_sdk::UpstreamError;

use super::{
    MessageView, NewDelivery, NewMessage, Store, StoreError,
    connection::{Conn, on},
    messages::{EventRow, MessageRow, ProgressUpdate, insert_events, update_progress},
    schema::{endpoints, messages},
    tenancy::senders_of,
};
use crate::{
    clock::Millis,
    ids::{BusinessId, EndpointId, MessageId},
    messages::{
        address::Address,
        state::{Effect, State},
    },
    webhooks::payload::{StatusUpdate, status_body},
};

/// What became of a message that was to be changed.
#[derive(Debug)]
pub(crate) enum Changed {
    /// It was; with what is to be told about it.
    Yes(MessageView, Vec<NewDelivery>),
    /// It was too late: it stands here now.
    TooLate(MessageView),
    /// The business has no such message.
    Absent,
}

impl Store {
    /// Takes a message of `business` back, if nothing of it was tried yet.
    pub(crate) async fn cancel_message(
        &self,
        business: &BusinessId,
        id: &MessageId,
        reason: &str,
        now: Millis,
    ) -> Result<Changed, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let Some(row) = lock(&mut conn, business, id).await? else { return Ok(Changed::Absent) };
            if !row.progress.state.is_untouched() {
                return Ok(Changed::TooLate(row.into()));
            }
            let (mut rows, deliveries) = cancel(&mut conn, business, vec![row], reason, now).await?;
            Ok(rows.pop().map_or(Changed::Absent, |row| Changed::Yes(row.into(), deliveries)))
        }
        .await;
        conn.finish(result).await
    }

    /// Puts `message` in the place of a scheduled message of `business`, which keeps its id and its time of acceptance.
    /// What it notes goes into the history.
    pub(crate) async fn change_message(
        &self,
        business: &BusinessId,
        id: &MessageId,
        message: &NewMessage,
        now: Millis,
    ) -> Result<Changed, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let Some(row) = lock(&mut conn, business, id).await? else { return Ok(Changed::Absent) };
            let Some(scheduled) = message.scheduled.as_ref().filter(|_| row.progress.state == State::Scheduled) else {
                return Ok(Changed::TooLate(row.into()));
            };
            let query = diesel::update(messages::table.filter(messages::id.eq(id.key()))).set((
                messages::kind.eq(message.kind),
                messages::category.eq(message.category.name()),
                messages::template_name.eq(&message.template),
                messages::body.eq(&message.body),
                messages::sealed.eq(&message.sealed),
                messages::rendered.eq(&message.rendered),
                messages::callback_data.eq(&message.callback_data),
                messages::scheduled_at.eq(Some(scheduled.at)),
                messages::due_at.eq(Some(scheduled.at)),
                messages::expires_at.eq(message.expires_at),
                messages::routing.eq(message.routing_text()),
                messages::look_at.eq(message.look_at()),
                messages::updated_at.eq(now),
            ));
            on!(conn, c => query.execute(c).await)?;
            let notes = scheduled.notes.iter().map(|(name, says)| EventRow::said(id, now, name, says));
            insert_events(&mut conn, notes.collect()).await?;
            let row = lock(&mut conn, business, id).await?;
            Ok(row.map_or(Changed::Absent, |row| Changed::Yes(row.into(), Vec::new())))
        }
        .await;
        conn.finish(result).await
    }

    /// The object of a message of `business`, as it was accepted, and the same sealed if it is.
    pub(crate) async fn message_object(
        &self,
        business: &BusinessId,
        id: &MessageId,
    ) -> Result<Option<(String, Option<Vec<u8>>)>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table
            .filter(messages::id.eq(id.key()))
            .filter(messages::business_id.eq(business.key()))
            .select((messages::body, messages::sealed));
        Ok(on!(conn, c => query.first(c).await.optional())?)
    }
}

/// Takes back everything that `business` has scheduled for `recipient`, in the transaction of `conn`: because they do not
/// want to hear from it any more. `reason` is a sentence that names no phone number. The webhooks that tell of it are on
/// disk with the transaction, and the reconciler brings them on their way.
pub(super) async fn cancel_scheduled(
    conn: &mut Conn,
    business: &BusinessId,
    recipient: &Address,
    reason: &str,
    now: Millis,
) -> Result<usize, StoreError> {
    let query = messages::table
        .filter(messages::business_id.eq(business.key()))
        .filter(messages::recipient.eq(recipient.as_str()))
        .filter(messages::due_at.is_not_null())
        .filter(messages::state.eq(State::Scheduled.code()))
        .select(messages::id);
    let ids: Vec<String> = on!(*conn, c => query.load(c).await)?;
    if ids.is_empty() {
        return Ok(0);
    }
    let rows = Store::lock_messages(conn, ids, Vec::new()).await?;
    let waiting = rows.into_iter().filter(|row| row.progress.state == State::Scheduled).collect();
    Ok(cancel(conn, business, waiting, reason, now).await?.0.len())
}

async fn lock(conn: &mut Conn, business: &BusinessId, id: &MessageId) -> Result<Option<MessageRow>, StoreError> {
    let rows = Store::lock_messages(conn, vec![id.key().to_owned()], Vec::new()).await?;
    Ok(rows.into_iter().find(|row| row.business_id == *business))
}

/// Ends `rows`, which are locked and untouched.
async fn cancel(
    conn: &mut Conn,
    business: &BusinessId,
    mut rows: Vec<MessageRow>,
    reason: &str,
    now: Millis,
) -> Result<(Vec<MessageRow>, Vec<NewDelivery>), StoreError> {
    let senders = senders_of(conn, rows.iter().map(|row| row.sender_id.0).collect()).await?;
    let query = endpoints::table.filter(endpoints::business_id.eq(business.key())).select(endpoints::id);
    let endpoints: Vec<String> = on!(*conn, c => query.load(c).await)?;
    let endpoints: Vec<EndpointId> = endpoints.into_iter().map(EndpointId::from_key).collect();
    let (mut events, mut deliveries) = (Vec::new(), Vec::new());
    for row in &mut rows {
        let effects = row.progress.cancel(UpstreamError::new("The message was canceled").details(reason));
        row.updated_at = now;
        for effect in effects {
            let Effect::Tell(state) = effect else { continue };
            events.push(EventRow::said(&row.id, now, state.name(), reason));
            let Some(sender) = senders.iter().find(|view| view.sender.id == row.sender_id) else { continue };
            let update = StatusUpdate {
                message: &row.id,
                state,
                at: now,
                recipient: &row.recipient,
                callback_data: row.callback_data.as_deref(),
                error: row.progress.error.as_ref(),
            };
            let body = status_body(&sender.sender, &update);
            let of = |endpoint| NewDelivery::new(business, endpoint, &row.id, body.clone(), now);
            deliveries.extend(endpoints.iter().map(of));
        }
    }
    let updates = rows.iter().map(|row| ProgressUpdate::new(&row.id, row.progress.attempt, &row.progress)).collect();
    update_progress(conn, updates, None, now).await?;
    insert_events(conn, events).await?;
    super::deliveries::insert(conn, deliveries.clone()).await?;
    Ok((rows, deliveries))
}
