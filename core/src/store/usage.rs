//! How many messages were accepted, by business, sender and day. Counted in the
//! transaction that accepts them, so the numbers are those of the messages.

use std::collections::BTreeMap;

use diesel::{
    BoolExpressionMethods, Connection, ExpressionMethods, JoinOnDsl, QueryDsl, QueryResult, SqliteConnection,
    dsl::sql,
    sql_types::{BigInt, Nullable},
};
use diesel_async::RunQueryDsl;

use super::{
    NewMessage, Store, StoreError,
    connection::on,
    schema::{businesses, usage_days},
};
use crate::{
    clock::{DAY_MS, Millis},
    ids::{BusinessId, SenderId},
    paging::{Page, Paging},
    tenancy::Subtree,
};

/// Shards that processes count in: two that draw the same one wait for each other now and
/// then, and count right all the same.
const SHARDS: u8 = 64;

/// The shard of a process.
pub(super) fn draw_shard() -> i32 {
    let mut byte = [0];
    crate::credentials::fill_random(&mut byte);
    i32::from(byte[0] % SHARDS)
}

/// The day of `at`, in days since 1970, UTC.
#[must_use]
pub fn day_of(at: Millis) -> i32 {
    i32::try_from(at.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
}

/// Messages accepted by one sender on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDay {
    /// The business.
    pub business: BusinessId,
    /// The sender.
    pub sender: SenderId,
    /// The day, in days since 1970, UTC.
    pub day: i32,
    /// How many.
    pub messages: i64,
}

/// The sum over a group, as a number that both databases give.
const TOTAL: &str = "CAST(sum(messages) AS BIGINT)";

impl Store {
    /// The usage of `subtree`, or of one business in it, from one day to another, by day,
    /// business and sender.
    pub(crate) async fn usage(
        &self,
        subtree: &Subtree,
        business: Option<&BusinessId>,
        (first, last): (i32, i32),
        paging: &Paging,
    ) -> Result<Page<UsageDay>, StoreError> {
        type Row = (String, i64, i32, i64);
        let mut conn = self.pools.read().await?;
        let rows: Vec<Row> = on!(conn, c => {
            let mut query = usage_days::table
                .inner_join(businesses::table.on(businesses::id.eq(usage_days::business_id)))
                .filter(usage_days::day.between(first, last))
                .group_by((usage_days::business_id, usage_days::sender_id, usage_days::day))
                .select((usage_days::business_id, usage_days::sender_id, usage_days::day, sql::<BigInt>(TOTAL)))
                .order((usage_days::day, usage_days::business_id, usage_days::sender_id))
                .limit(paging.rows())
                .into_boxed();
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(businesses::reseller_id.eq(own.key())),
                Subtree::Business(own) => query = query.filter(businesses::id.eq(own.key())),
            }
            if let Some(business) = business {
                query = query.filter(businesses::id.eq(business.key()));
            }
            if let Some((day, business, sender)) = paging.after.as_deref().and_then(read_place) {
                let later_sender = usage_days::business_id.eq(business).and(usage_days::sender_id.gt(sender));
                let later = usage_days::business_id.gt(business).or(later_sender);
                query = query.filter(usage_days::day.gt(day).or(usage_days::day.eq(day).and(later)));
            }
            query.load(c).await
        })?;
        let days = rows.into_iter().map(|(business, sender, day, messages)| UsageDay {
            business: BusinessId::from_key(business),
            sender: SenderId(sender),
            day,
            messages,
        });
        let place = |row: &UsageDay| format!("{}.{}.{}", row.day, row.business.key(), row.sender);
        Ok(Page::new(days.collect(), paging, place))
    }

    /// Messages of `business` accepted on `day`.
    pub(crate) async fn accepted_on(&self, business: &BusinessId, day: i32) -> Result<i64, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = usage_days::table
            .filter(usage_days::business_id.eq(business.key()))
            .filter(usage_days::day.eq(day))
            .select(sql::<Nullable<BigInt>>(TOTAL));
        let total: Option<i64> = on!(conn, c => query.get_result(c).await)?;
        Ok(total.unwrap_or(0))
    }
}

/// The day, business and sender that a cursor names.
fn read_place(key: &str) -> Option<(i32, &str, i64)> {
    let (day, rest) = key.split_once('.')?;
    let (business, sender) = rest.split_once('.')?;
    Some((day.parse().ok()?, business, sender.parse().ok()?))
}

/// Counts a batch on SQLite; on PostgreSQL the statement that writes the batch does it.
pub(super) fn count_batch(conn: &mut SqliteConnection, batch: &[NewMessage], shard: i32) -> QueryResult<()> {
    let mut counts: BTreeMap<(&str, i32, i64), i64> = BTreeMap::new();
    for message in batch {
        *counts.entry((message.business_id.key(), day_of(message.accepted_at), message.sender_id.0)).or_default() += 1;
    }
    conn.transaction(|conn| {
        for ((business, day, sender), messages) in counts {
            let query = diesel::insert_into(usage_days::table)
                .values((
                    usage_days::business_id.eq(business),
                    usage_days::day.eq(day),
                    usage_days::sender_id.eq(sender),
                    usage_days::shard.eq(shard),
                    usage_days::messages.eq(messages),
                ))
                .on_conflict((usage_days::business_id, usage_days::day, usage_days::sender_id, usage_days::shard))
                .do_update()
                .set(usage_days::messages.eq(usage_days::messages + messages));
            diesel::RunQueryDsl::execute(query, conn)?;
        }
        Ok(())
    })
}
