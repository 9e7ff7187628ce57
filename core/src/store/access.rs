//! Sign-in links and sessions of the dashboard; only hashes of both are kept.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::on,
    schema::{sessions, sign_in_links},
};
use crate::{clock::Millis, credentials::KeyHash};

impl Store {
    pub(crate) async fn add_sign_in_link(
        &self,
        hash: &KeyHash,
        user: &str,
        expires_at: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(sign_in_links::table).values((
            sign_in_links::hash.eq(hash.hex()),
            sign_in_links::user_name.eq(user),
            sign_in_links::expires_at.eq(expires_at),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Uses a link up and names its user. One statement, so that of two who come at
    /// once one gets in.
    pub(crate) async fn use_sign_in_link(&self, hash: &KeyHash, now: Millis) -> Result<Option<String>, StoreError> {
        let mut conn = self.pools.write().await?;
        let live = sign_in_links::table
            .filter(sign_in_links::hash.eq(hash.hex()))
            .filter(sign_in_links::used_at.is_null())
            .filter(sign_in_links::expires_at.gt(now));
        let query = diesel::update(live).set(sign_in_links::used_at.eq(Some(now))).returning(sign_in_links::user_name);
        Ok(on!(conn, c => query.get_result(c).await.optional())?)
    }

    pub(crate) async fn add_session(
        &self,
        hash: &KeyHash,
        user: &str,
        now: Millis,
        expires_at: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(sessions::table).values((
            sessions::hash.eq(hash.hex()),
            sessions::user_name.eq(user),
            sessions::created_at.eq(now),
            sessions::expires_at.eq(expires_at),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    pub(crate) async fn session_user(&self, hash: &KeyHash, now: Millis) -> Result<Option<String>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = sessions::table
            .filter(sessions::hash.eq(hash.hex()))
            .filter(sessions::expires_at.gt(now))
            .select(sessions::user_name);
        Ok(on!(conn, c => query.first(c).await.optional())?)
    }

    pub(crate) async fn end_session(&self, hash: &KeyHash) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::delete(sessions::table.filter(sessions::hash.eq(hash.hex())));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Deletes links and sessions whose time is over.
    pub(crate) async fn forget_access(&self, now: Millis) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let links = diesel::delete(sign_in_links::table.filter(sign_in_links::expires_at.le(now)));
        on!(conn, c => links.execute(c).await)?;
        let over = diesel::delete(sessions::table.filter(sessions::expires_at.le(now)));
        on!(conn, c => over.execute(c).await)?;
        Ok(())
    }
}
