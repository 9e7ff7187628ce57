//! Files that people sent and that their networks still have: which are to be fetched, by whom and until when.
//!
//! A row is written with the message that names the file, and goes with the row of the file that it became.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::{Conn, on},
    schema::arriving_media,
};
use crate::{
    clock::Millis,
    ids::{BusinessId, MediaId, SenderId},
    inbound::Arrival,
};

/// Longest reason of a failure that is kept, in characters.
const ERROR_MAX_CHARS: usize = 500;

/// A file to fetch.
#[derive(Debug, Clone)]
pub(crate) struct ArrivingMedia {
    pub(crate) id: MediaId,
    pub(crate) business: BusinessId,
    pub(crate) sender: SenderId,
    pub(crate) adapter: String,
    pub(crate) upstream_id: String,
    pub(crate) content_type: Option<String>,
    pub(crate) file_name: Option<String>,
    /// How often it was tried.
    pub(crate) attempts: i32,
    pub(crate) created_at: Millis,
    /// Whether it is still to be fetched.
    pub(crate) is_due: bool,
    /// Why it was not fetched the last time.
    pub(crate) error: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = arriving_media)]
struct Row {
    id: i64,
    business_id: String,
    sender_id: i64,
    adapter: String,
    upstream_id: String,
    content_type: Option<String>,
    file_name: Option<String>,
    due_at: Option<Millis>,
    attempts: i32,
    error: Option<String>,
    created_at: Millis,
}

impl From<Row> for ArrivingMedia {
    fn from(row: Row) -> Self {
        Self {
            id: MediaId(row.id),
            business: BusinessId::from_key(row.business_id),
            sender: SenderId(row.sender_id),
            adapter: row.adapter,
            upstream_id: row.upstream_id,
            content_type: row.content_type,
            file_name: row.file_name,
            attempts: row.attempts,
            created_at: row.created_at,
            is_due: row.due_at.is_some(),
            error: row.error,
        }
    }
}

impl Store {
    /// Claims up to `rows` files that are due, until `now + lease_ms`.
    pub(crate) async fn claim_arriving_media(
        &self,
        rows: i64,
        lease_ms: Millis,
        now: Millis,
    ) -> Result<Vec<ArrivingMedia>, StoreError> {
        let query = arriving_media::table
            .filter(arriving_media::due_at.le(now))
            .order((arriving_media::due_at, arriving_media::id))
            .limit(rows);
        let due: Vec<Row> = {
            let mut conn = self.pools.read().await?;
            on!(conn, c => query.select(Row::as_select()).load(c).await)?
        };
        let mut claimed = Vec::with_capacity(due.len());
        for row in due {
            let as_seen = arriving_media::table
                .filter(arriving_media::id.eq(row.id))
                .filter(arriving_media::due_at.eq(row.due_at));
            let query = diesel::update(as_seen).set((
                arriving_media::due_at.eq(Some(now + lease_ms)),
                arriving_media::attempts.eq(arriving_media::attempts + 1),
            ));
            let mut conn = self.pools.write().await?;
            if on!(conn, c => query.execute(c).await)? == 1 {
                let attempts = row.attempts + 1;
                claimed.push(ArrivingMedia { attempts, ..row.into() });
            }
        }
        Ok(claimed)
    }

    /// A file of the business that has not been fetched.
    pub(crate) async fn arriving_media(
        &self,
        business: &BusinessId,
        id: MediaId,
    ) -> Result<Option<ArrivingMedia>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = arriving_media::table
            .filter(arriving_media::id.eq(id.0))
            .filter(arriving_media::business_id.eq(business.key()));
        let row: Option<Row> = on!(conn, c => query.select(Row::as_select()).first(c).await.optional())?;
        Ok(row.map(Into::into))
    }

    /// Forgets a file that is there.
    pub(crate) async fn media_arrived(&self, id: MediaId) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let row = arriving_media::table.filter(arriving_media::id.eq(id.0));
        on!(conn, c => diesel::delete(row).execute(c).await)?;
        Ok(())
    }

    /// Puts a file off to `due_at`; without one it cannot be had.
    pub(crate) async fn media_not_arrived(
        &self,
        id: MediaId,
        due_at: Option<Millis>,
        error: &str,
    ) -> Result<(), StoreError> {
        let error: String = error.chars().take(ERROR_MAX_CHARS).collect();
        let mut conn = self.pools.write().await?;
        let query = diesel::update(arriving_media::table.filter(arriving_media::id.eq(id.0)))
            .set((arriving_media::due_at.eq(due_at), arriving_media::error.eq(Some(error))));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Forgets up to `rows` files that came before `before` and cannot be had; how many.
    pub(crate) async fn forget_arriving_media(&self, before: Millis, rows: i64) -> Result<usize, StoreError> {
        let mut conn = self.pools.write().await?;
        let query = arriving_media::table
            .filter(arriving_media::created_at.lt(before))
            .filter(arriving_media::due_at.is_null())
            .limit(rows)
            .select(arriving_media::id);
        let ids: Vec<i64> = on!(conn, c => query.load(c).await)?;
        let gone = arriving_media::table.filter(arriving_media::id.eq_any(&ids));
        on!(conn, c => diesel::delete(gone).execute(c).await)?;
        Ok(ids.len())
    }
}

/// Notes the files that a message names, in the transaction of `conn`, which files the message.
pub(super) async fn expect(conn: &mut Conn, arrival: &Arrival) -> Result<(), StoreError> {
    for file in &arrival.files {
        let query = diesel::insert_into(arriving_media::table).values((
            arriving_media::id.eq(file.id.0),
            arriving_media::business_id.eq(arrival.sender.business.key()),
            arriving_media::sender_id.eq(arrival.sender.id.0),
            arriving_media::adapter.eq(&arrival.sender.adapter),
            arriving_media::upstream_id.eq(&file.upstream_id),
            arriving_media::content_type.eq(&file.content_type),
            arriving_media::file_name.eq(&file.file_name),
            arriving_media::due_at.eq(Some(arrival.received_at)),
            arriving_media::attempts.eq(0),
            arriving_media::created_at.eq(arrival.received_at),
        ));
        on!(*conn, c => query.execute(c).await)?;
    }
    Ok(())
}
