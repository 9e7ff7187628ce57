//! The numbers on the dashboard's first page, over all tenants: for the staff of
//! the installation.

use diesel::{ExpressionMethods, QueryDsl, dsl::count_star};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::on,
    schema::{businesses, callbacks, deliveries, messages, resellers, senders},
};
use crate::{clock::Millis, messages::state::State};

/// What an installation holds.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// Resellers.
    pub resellers: i64,
    /// Businesses of all resellers.
    pub businesses: i64,
    /// Senders of all businesses.
    pub senders: i64,
    /// Messages accepted since the time asked for, by state, in the ladder's order.
    pub messages: Vec<(State, i64)>,
    /// Webhook deliveries that are still to be made.
    pub deliveries_waiting: i64,
    /// Webhook deliveries of which every try failed.
    pub deliveries_dead: i64,
    /// Receipts whose message was never found.
    pub receipts_unmatched: i64,
}

impl Store {
    /// Counts what there is, messages since `since`.
    ///
    /// # Errors
    /// The database's.
    pub async fn overview(&self, since: Millis) -> Result<Overview, StoreError> {
        let mut conn = self.pools.read().await?;
        let by_state = messages::table
            .filter(messages::id.ge(first_id_at(since)))
            .group_by(messages::state)
            .select((messages::state, count_star()))
            .order(messages::state);
        let dead = deliveries::table.filter(deliveries::state.eq(2_i16));
        let waiting = deliveries::table.filter(deliveries::due_at.is_not_null());
        let unmatched = callbacks::table.filter(callbacks::due_at.is_null());
        let rows: Vec<(i16, i64)> = on!(conn, c => by_state.load(c).await)?;
        Ok(Overview {
            resellers: on!(conn, c => resellers::table.count().get_result(c).await)?,
            businesses: on!(conn, c => businesses::table.count().get_result(c).await)?,
            senders: on!(conn, c => senders::table.count().get_result(c).await)?,
            messages: rows
                .into_iter()
                .filter_map(|(code, count)| State::from_code(code).map(|state| (state, count)))
                .collect(),
            deliveries_waiting: on!(conn, c => waiting.count().get_result(c).await)?,
            deliveries_dead: on!(conn, c => dead.count().get_result(c).await)?,
            receipts_unmatched: on!(conn, c => unmatched.count().get_result(c).await)?,
        })
    }
}

/// The lowest id of a message accepted at `at`: ids start with their time, so the
/// primary key serves as an index on it.
pub(super) fn first_id_at(at: Millis) -> String {
    ulid::Ulid::from_parts(u64::try_from(at).unwrap_or(0), 0).to_string()
}
