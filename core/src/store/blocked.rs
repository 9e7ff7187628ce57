//! Who is blocked at a sender. A person is found by number or by user id, whichever a message has.

use std::collections::BTreeSet;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl,
    dsl::count_star,
};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::{Conn, on},
    schema::{blocked_people, inbound_messages, windows},
};
use crate::{
    clock::Millis,
    ids::{BusinessId, SenderId},
    inbound::{Arrival, BLOCKED_MAX, BlockView, Blocking, CARE_MS},
    messages::address::Address,
    paging::{Page, Paging},
};

type BlockColumns = (String, Option<String>, Option<String>, Millis, i64);

impl Store {
    /// Blocks a person at a sender of `business`, under every address that they last wrote from.
    pub(crate) async fn block(
        &self,
        business: &BusinessId,
        sender: SenderId,
        person: &Address,
        now: Millis,
    ) -> Result<Blocking, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            if !among(&mut conn, &[sender.0].into(), &[person.as_str()].into()).await?.is_empty() {
                return Ok(Blocking::Done);
            }
            let wrote = windows::table
                .inner_join(inbound_messages::table.on(inbound_messages::id.eq(windows::last_inbound_id)))
                .filter(windows::sender_id.eq(sender.0))
                .filter(windows::recipient.eq(person.as_str()))
                .filter(windows::business_id.eq(business.key()))
                .filter(windows::last_inbound_at.gt(now - CARE_MS))
                .select((inbound_messages::phone, inbound_messages::user_id));
            let wrote: Option<(Option<String>, Option<String>)> = on!(conn, c => wrote.first(c).await.optional())?;
            let Some((phone, user_id)) = wrote else { return Ok(Blocking::NotLately) };
            let count = blocked_people::table.filter(blocked_people::sender_id.eq(sender.0)).select(count_star());
            let count: i64 = on!(conn, c => count.first(c).await)?;
            if count >= BLOCKED_MAX {
                return Ok(Blocking::Full);
            }
            let insert = diesel::insert_into(blocked_people::table)
                .values((
                    blocked_people::id.eq(ulid::Ulid::generate().to_string()),
                    blocked_people::business_id.eq(business.key()),
                    blocked_people::sender_id.eq(sender.0),
                    blocked_people::phone.eq(phone),
                    blocked_people::user_id.eq(user_id),
                    blocked_people::blocked_at.eq(now),
                    blocked_people::dropped.eq(0),
                ))
                .on_conflict_do_nothing();
            on!(conn, c => insert.execute(c).await)?;
            Ok(Blocking::Done)
        }
        .await;
        conn.finish(result).await
    }

    /// Lets a person reach a sender of `business` again; false when they were not blocked.
    pub(crate) async fn unblock(
        &self,
        business: &BusinessId,
        sender: SenderId,
        person: &Address,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.write().await?;
        let same = blocked_people::phone.eq(person.as_str()).or(blocked_people::user_id.eq(person.as_str()));
        let query = diesel::delete(
            blocked_people::table
                .filter(blocked_people::sender_id.eq(sender.0))
                .filter(blocked_people::business_id.eq(business.key()))
                .filter(same.assume_not_null()),
        );
        Ok(on!(conn, c => query.execute(c).await)? > 0)
    }

    /// Who is blocked at a sender of `business`, in the order of being blocked.
    pub(crate) async fn blocked(
        &self,
        business: &BusinessId,
        sender: SenderId,
        paging: &Paging,
    ) -> Result<Page<BlockView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<BlockColumns> = on!(conn, c => {
            let mut query = blocked_people::table
                .filter(blocked_people::sender_id.eq(sender.0))
                .filter(blocked_people::business_id.eq(business.key()))
                .order(blocked_people::id)
                .limit(paging.rows())
                .select((
                    blocked_people::id,
                    blocked_people::phone,
                    blocked_people::user_id,
                    blocked_people::blocked_at,
                    blocked_people::dropped,
                ))
                .into_boxed();
            if let Some(after) = &paging.after {
                query = query.filter(blocked_people::id.gt(after));
            }
            query.load(c).await
        })?;
        let view = |(id, phone, user_id, blocked_at, dropped)| BlockView { id, phone, user_id, blocked_at, dropped };
        Ok(Page::new(rows.into_iter().map(view).collect(), paging, |view: &BlockView| view.id.clone()))
    }

    /// Who of `people` is blocked at which of `senders`: each with sender and address.
    pub(crate) async fn blocked_among(
        &self,
        senders: &BTreeSet<i64>,
        people: &BTreeSet<&str>,
    ) -> Result<BTreeSet<(i64, String)>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows = among(&mut conn, senders, people).await?;
        let each = rows.into_iter().flat_map(|(_, sender, phone, user_id)| {
            phone.into_iter().chain(user_id).map(move |address| (sender, address))
        });
        Ok(each.collect())
    }
}

/// The rows of those of `people` that are blocked at one of `senders`.
async fn among(
    conn: &mut Conn,
    senders: &BTreeSet<i64>,
    people: &BTreeSet<&str>,
) -> Result<Vec<(String, i64, Option<String>, Option<String>)>, StoreError> {
    let same = blocked_people::phone.eq_any(people).or(blocked_people::user_id.eq_any(people));
    let query = blocked_people::table
        .filter(blocked_people::sender_id.eq_any(senders))
        .filter(same.assume_not_null())
        .select((blocked_people::id, blocked_people::sender_id, blocked_people::phone, blocked_people::user_id));
    Ok(on!(*conn, c => query.load(c).await)?)
}

/// Takes what blocked people sent out of `arrivals`, and counts it, in the transaction of `conn`.
pub(super) async fn drop_blocked(conn: &mut Conn, arrivals: &mut Vec<Arrival>) -> Result<(), StoreError> {
    let senders = arrivals.iter().map(|arrival| arrival.sender.id.0).collect();
    let people = arrivals.iter().flat_map(Arrival::addresses).collect();
    let mut blocked = among(conn, &senders, &people).await?;
    // In one order everywhere, so that two batches never wait for each other.
    blocked.sort();
    for (id, sender, phone, user_id) in blocked {
        let before = arrivals.len();
        let is_theirs = |arrival: &Arrival| {
            let has = |own: &Option<String>| own.as_deref().is_some_and(|own| arrival.addresses().any(|it| it == own));
            arrival.sender.id.0 == sender && (has(&phone) || has(&user_id))
        };
        arrivals.retain(|arrival| !is_theirs(arrival));
        let dropped = i64::try_from(before - arrivals.len()).unwrap_or(i64::MAX);
        if dropped > 0 {
            let query = diesel::update(blocked_people::table.filter(blocked_people::id.eq(&id)))
                .set(blocked_people::dropped.eq(blocked_people::dropped + dropped));
            on!(*conn, c => query.execute(c).await)?;
        }
    }
    Ok(())
}
