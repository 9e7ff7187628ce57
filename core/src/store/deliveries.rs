//! The outbox of tenant webhooks. A delivery is written in the transaction of the
//! change it tells of, so that neither exists without the other.

use diesel::{
    ExpressionMethods, Insertable, JoinOnDsl, QueryDsl, Queryable,
    sql_types::{BigInt, Integer, Nullable, SmallInt, Text},
    sqlite::SqliteConnection,
};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::{Conn, on},
    schema::{deliveries, endpoints},
    statement::Statement,
};
use crate::{
    clock::Millis,
    ids::{BusinessId, DeliveryId, EndpointId, MessageId},
};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    Pending,
    Delivered,
    /// Every try failed. Kept, so that it can be looked at and sent again.
    Dead,
}

impl DeliveryState {
    fn code(self) -> i16 {
        match self {
            Self::Pending => 0,
            Self::Delivered => 1,
            Self::Dead => 2,
        }
    }
}

/// A delivery to make.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = deliveries)]
pub(crate) struct NewDelivery {
    pub(crate) id: String,
    business_id: String,
    pub(crate) endpoint_id: String,
    message_id: String,
    payload: String,
    state: i16,
    attempt: i32,
    due_at: Option<Millis>,
    created_at: Millis,
    updated_at: Millis,
}

impl NewDelivery {
    pub(crate) fn new(
        business: &BusinessId,
        endpoint: &EndpointId,
        message: &MessageId,
        payload: String,
        now: Millis,
    ) -> Self {
        Self {
            id: DeliveryId::generate().key().to_owned(),
            business_id: business.key().to_owned(),
            endpoint_id: endpoint.key().to_owned(),
            message_id: message.key().to_owned(),
            payload,
            state: DeliveryState::Pending.code(),
            attempt: 0,
            due_at: Some(now),
            created_at: now,
            updated_at: now,
        }
    }

    /// One that tells of something else than a message.
    pub(crate) fn of_no_message(business: &BusinessId, endpoint: &EndpointId, payload: String, now: Millis) -> Self {
        Self::new(business, endpoint, &MessageId::from_key(""), payload, now)
    }
}

/// A delivery to make, with what it needs.
#[derive(Debug, Clone, Queryable)]
pub(crate) struct ClaimedDelivery {
    pub(crate) id: String,
    pub(crate) endpoint_id: String,
    pub(crate) attempt: i32,
    pub(crate) payload: String,
    pub(crate) url: String,
    pub(crate) business_id: String,
}

/// What a try came to.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryRecord {
    pub(crate) id: String,
    /// Tries made before this one: the guard against recording one twice.
    pub(crate) attempt: i32,
    pub(crate) state: DeliveryState,
    pub(crate) due_at: Option<Millis>,
    pub(crate) last_status: Option<i32>,
    pub(crate) last_error: Option<String>,
}

impl Store {
    /// The deliveries of `ids` that are still to be made.
    pub(crate) async fn deliveries(&self, ids: &[&str]) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = deliveries::table
            .inner_join(endpoints::table.on(endpoints::id.eq(deliveries::endpoint_id)))
            .filter(deliveries::id.eq_any(ids))
            .filter(deliveries::due_at.is_not_null())
            .select((
                deliveries::id,
                deliveries::endpoint_id,
                deliveries::attempt,
                deliveries::payload,
                endpoints::url,
                deliveries::business_id,
            ));
        Ok(on!(conn, c => query.load(c).await)?)
    }

    /// Writes what tries came to.
    pub(crate) async fn record_deliveries(&self, records: Vec<DeliveryRecord>, now: Millis) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut conn = self.pools.write().await?;
        update(&mut conn, records, now).await
    }
}

pub(super) async fn insert(conn: &mut Conn, rows: Vec<NewDelivery>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Pg(c) => {
            let c = &mut ***c;
            Statement::new(
                "INSERT INTO deliveries (id, business_id, endpoint_id, message_id, payload, created_at, state, \
                 attempt, due_at, updated_at) \
                 SELECT *, 0, 0, created_at, created_at FROM unnest(?, ?, ?, ?, ?, ?) \
                 AS batch (id, business_id, endpoint_id, message_id, payload, created_at)",
            )
            .array::<Text, _>(rows.iter().map(|r| r.id.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(rows.iter().map(|r| r.business_id.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(rows.iter().map(|r| r.endpoint_id.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(rows.iter().map(|r| r.message_id.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(rows.iter().map(|r| r.payload.as_str()).collect::<Vec<_>>())
            .array::<BigInt, _>(rows.iter().map(|r| r.created_at).collect::<Vec<_>>())
            .execute(c)
            .await?;
        }
        Conn::Sqlite(c) => {
            c.spawn_blocking(move |c| {
                diesel::RunQueryDsl::execute(diesel::insert_into(deliveries::table).values(&rows), c)
            })
            .await?;
        }
    }
    Ok(())
}

/// Gives up what still waits for an endpoint that is no more.
pub(super) async fn give_up(conn: &mut Conn, endpoint: &EndpointId, now: Millis) -> Result<(), StoreError> {
    let waiting =
        deliveries::table.filter(deliveries::endpoint_id.eq(endpoint.key())).filter(deliveries::due_at.is_not_null());
    let query = diesel::update(waiting).set((
        deliveries::state.eq(DeliveryState::Dead.code()),
        deliveries::due_at.eq(None::<Millis>),
        deliveries::last_error.eq(Some("the endpoint was removed")),
        deliveries::updated_at.eq(now),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

async fn update(conn: &mut Conn, records: Vec<DeliveryRecord>, now: Millis) -> Result<(), StoreError> {
    match conn {
        Conn::Pg(c) => {
            let c = &mut ***c;
            Statement::new(
                "UPDATE deliveries SET state = batch.state, attempt = batch.attempt + 1, due_at = batch.due_at, \
                 last_status = batch.last_status, last_error = batch.last_error, updated_at = ? \
                 FROM unnest(?, ?, ?, ?, ?, ?) AS batch (id, attempt, state, due_at, last_status, last_error) \
                 WHERE deliveries.id = batch.id AND deliveries.attempt = batch.attempt",
            )
            .bind::<BigInt, _>(now)
            .array::<Text, _>(records.iter().map(|r| r.id.as_str()).collect::<Vec<_>>())
            .array::<Integer, _>(records.iter().map(|r| r.attempt).collect::<Vec<_>>())
            .array::<SmallInt, _>(records.iter().map(|r| r.state.code()).collect::<Vec<_>>())
            .array::<Nullable<BigInt>, _>(records.iter().map(|r| r.due_at).collect::<Vec<_>>())
            .array::<Nullable<Integer>, _>(records.iter().map(|r| r.last_status).collect::<Vec<_>>())
            .array::<Nullable<Text>, _>(records.iter().map(|r| r.last_error.as_deref()).collect::<Vec<_>>())
            .execute(c)
            .await?;
        }
        Conn::Sqlite(c) => {
            let update = move |c: &mut SqliteConnection| {
                for record in &records {
                    let row = deliveries::table
                        .filter(deliveries::id.eq(&record.id))
                        .filter(deliveries::attempt.eq(record.attempt));
                    let values = (
                        deliveries::state.eq(record.state.code()),
                        deliveries::attempt.eq(record.attempt + 1),
                        deliveries::due_at.eq(record.due_at),
                        deliveries::last_status.eq(record.last_status),
                        deliveries::last_error.eq(&record.last_error),
                        deliveries::updated_at.eq(now),
                    );
                    diesel::RunQueryDsl::execute(diesel::update(row).set(values), c)?;
                }
                Ok(())
            };
            // One statement on PostgreSQL; here, one commit for all of them.
            c.spawn_blocking(move |c| c.immediate_transaction(update)).await?;
        }
    }
    Ok(())
}
