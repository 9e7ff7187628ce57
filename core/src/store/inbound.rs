//! What people sent, and the customer-care windows that it opens.
//!
//! A message, the mark that it was seen, the window and the deliveries that tell of it are written in one transaction: a
//! network may repeat itself as often as it likes, at any number of processes at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, NullableExpressionMethods, OptionalExtension, QueryDsl,
    Queryable, Selectable, SelectableHelper,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use waystation_adapter_sdk::Wish;

use super::{
    Heard, NewDelivery, Said, Store, StoreError,
    blocked::drop_blocked,
    connection::{Conn, on},
    heard::heard_from,
    schema::{inbound_messages, messages, senders, templates, windows},
    statement::Statement,
};
use crate::{
    clock::Millis,
    contacts::People,
    ids::{AccountId, BusinessId, MessageId, SenderId},
    inbound::{Arrival, ENTRY_ANSWER_MS, ENTRY_MS, Entry, InboundFilter, InboundView, Wanted, Window},
    messages::{address::Address, outside::Instead},
    paging::{Page, Paging},
    tenancy::SANDBOX,
};

/// Messages of one person that are marked as read at once; older ones were read long ago.
const READ_AT_ONCE_MAX: i64 = 1_000;

/// The category of the preferences that networks have so far.
const MARKETING: &str = "marketing_messages";

/// What was filed.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What tells of it.
    pub(super) deliveries: Vec<NewDelivery>,
    /// What had not come before.
    pub(super) new: Vec<Arrival>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = inbound_messages)]
struct InboundRow {
    id: String,
    business_id: String,
    sender_id: i64,
    phone: Option<String>,
    user_id: Option<String>,
    parent_user_id: Option<String>,
    profile_name: Option<String>,
    username: Option<String>,
    kind: String,
    body: String,
    context_id: Option<String>,
    upstream_id: String,
    sent_at: Millis,
    received_at: Millis,
    read_at: Option<Millis>,
    typing_at: Option<Millis>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = windows)]
struct WindowRow {
    sender_id: i64,
    recipient: String,
    business_id: String,
    last_inbound_id: String,
    last_inbound_at: Millis,
    entry: Option<String>,
    entry_at: Option<Millis>,
    entry_until: Option<Millis>,
}

/// A message that was sent, as its recipient's phone shows it.
#[derive(Debug, Clone)]
pub(crate) struct SentMessage {
    pub(crate) id: MessageId,
    pub(crate) sender: SenderId,
    pub(crate) recipient: String,
    pub(crate) kind: String,
    pub(crate) body: String,
    pub(crate) rendered: String,
    pub(crate) accepted_at: Millis,
}

macro_rules! sent_columns {
    () => {
        (
            messages::id,
            messages::sender_id,
            messages::recipient,
            messages::kind,
            messages::body,
            messages::rendered,
            messages::accepted_at,
        )
    };
}

type SentColumns = (String, i64, String, String, String, String, Millis);

impl From<SentColumns> for SentMessage {
    fn from((id, sender, recipient, kind, body, rendered, accepted_at): SentColumns) -> Self {
        let (id, sender) = (MessageId::from_key(id), SenderId(sender));
        Self { id, sender, recipient, kind, body, rendered, accepted_at }
    }
}

impl From<InboundRow> for InboundView {
    fn from(row: InboundRow) -> Self {
        Self {
            id: MessageId::from_key(row.id),
            sender: SenderId(row.sender_id),
            phone: row.phone,
            user_id: row.user_id,
            parent_user_id: row.parent_user_id,
            profile_name: row.profile_name,
            username: row.username,
            kind: row.kind,
            object: serde_json::from_str(&row.body).unwrap_or_default(),
            context: row.context_id,
            upstream_id: row.upstream_id,
            sent_at: row.sent_at,
            received_at: row.received_at,
            read_at: row.read_at,
            typing_at: row.typing_at,
        }
    }
}

impl From<WindowRow> for Window {
    fn from(row: WindowRow) -> Self {
        let entry = row.entry_at.map(|at| Entry {
            referral: row.entry.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
            at,
            until: row.entry_until,
        });
        Self {
            sender: SenderId(row.sender_id),
            recipient: Address::from_stored(row.recipient),
            last_inbound: MessageId::from_key(row.last_inbound_id),
            last_inbound_at: row.last_inbound_at,
            entry,
        }
    }
}

impl Store {
    /// A message that `business` received.
    pub(crate) async fn inbound_message(
        &self,
        business: &BusinessId,
        id: &MessageId,
    ) -> Result<Option<InboundView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = inbound_messages::table
            .filter(inbound_messages::id.eq(id.key()))
            .filter(inbound_messages::business_id.eq(business.key()));
        let row: Option<InboundRow> = on!(conn, c => query.select(InboundRow::as_select()).first(c).await.optional())?;
        Ok(row.map(Into::into))
    }

    /// What `business` received, newest first.
    pub(crate) async fn inbound_messages(
        &self,
        business: &BusinessId,
        filter: &InboundFilter,
        paging: &Paging,
    ) -> Result<Page<InboundView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<InboundRow> = on!(conn, c => {
            let mut query = inbound_messages::table
                .filter(inbound_messages::business_id.eq(business.key()))
                .order(inbound_messages::id.desc())
                .limit(paging.rows())
                .select(InboundRow::as_select())
                .into_boxed();
            if let Some(after) = &paging.after {
                query = query.filter(inbound_messages::id.lt(after));
            }
            if let Some(sender) = filter.sender {
                query = query.filter(inbound_messages::sender_id.eq(sender.0));
            }
            match &filter.from {
                None => {}
                Some(Address::Phone(phone)) => query = query.filter(inbound_messages::phone.eq(phone)),
                Some(Address::UserId(id)) => query = query.filter(inbound_messages::user_id.eq(id)),
            }
            if let Some(since) = filter.since {
                query = query.filter(inbound_messages::received_at.ge(since));
            }
            if let Some(until) = filter.until {
                query = query.filter(inbound_messages::received_at.lt(until));
            }
            query.load(c).await
        })?;
        Ok(Page::new(rows.into_iter().map(InboundView::from).collect(), paging, |view| view.id.key().to_owned()))
    }

    /// Notes that a message, and all that the same person sent before it, has been read, and, with `typing`, that it is
    /// being answered. `None` when no such message was received.
    pub(crate) async fn mark_inbound_read(
        &self,
        business: &BusinessId,
        sender: SenderId,
        id: &MessageId,
        typing: bool,
        now: Millis,
    ) -> Result<Option<InboundView>, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let own = inbound_messages::table
                .filter(inbound_messages::business_id.eq(business.key()))
                .filter(inbound_messages::sender_id.eq(sender.0));
            let query = own.filter(inbound_messages::id.eq(id.key()));
            let row: Option<InboundRow> =
                on!(conn, c => query.select(InboundRow::as_select()).first(c).await.optional())?;
            let Some(row) = row else { return Ok(None) };
            let unread: Vec<String> = on!(conn, c => {
                let mut query = inbound_messages::table
                    .filter(inbound_messages::business_id.eq(business.key()))
                    .filter(inbound_messages::sender_id.eq(sender.0))
                    .filter(inbound_messages::sent_at.le(row.sent_at))
                    .filter(inbound_messages::read_at.is_null())
                    .order(inbound_messages::id.desc())
                    .limit(READ_AT_ONCE_MAX)
                    .select(inbound_messages::id)
                    .into_boxed();
                match (&row.phone, &row.user_id) {
                    (Some(phone), _) => query = query.filter(inbound_messages::phone.eq(phone)),
                    (None, user_id) => query = query.filter(inbound_messages::user_id.eq(user_id)),
                }
                query.load(c).await
            })?;
            if !unread.is_empty() {
                let rows = inbound_messages::table.filter(inbound_messages::id.eq_any(unread));
                let query = diesel::update(rows).set(inbound_messages::read_at.eq(Some(now)));
                on!(conn, c => query.execute(c).await)?;
            }
            if typing {
                let query = diesel::update(inbound_messages::table.filter(inbound_messages::id.eq(id.key())))
                    .set(inbound_messages::typing_at.eq(Some(now)));
                on!(conn, c => query.execute(c).await)?;
            }
            let typing_at = if typing { Some(now) } else { row.typing_at };
            Ok(Some(InboundView { read_at: row.read_at.or(Some(now)), typing_at, ..row.into() }))
        }
        .await;
        conn.finish(result).await
    }

    /// What stands between a sender of `business` and a person; `None` when they never wrote.
    pub(crate) async fn window(
        &self,
        business: &BusinessId,
        sender: SenderId,
        recipient: &Address,
    ) -> Result<Option<Window>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = windows::table
            .filter(windows::sender_id.eq(sender.0))
            .filter(windows::recipient.eq(recipient.as_str()))
            .filter(windows::business_id.eq(business.key()));
        let row: Option<WindowRow> = on!(conn, c => query.select(WindowRow::as_select()).first(c).await.optional())?;
        Ok(row.map(Into::into))
    }

    /// The windows of senders at people, as far as there are any: all combinations of both.
    pub(crate) async fn windows_among(
        &self,
        senders: &BTreeSet<i64>,
        recipients: &BTreeSet<&str>,
    ) -> Result<Vec<Window>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query =
            windows::table.filter(windows::sender_id.eq_any(senders)).filter(windows::recipient.eq_any(recipients));
        let rows: Vec<WindowRow> = on!(conn, c => query.select(WindowRow::as_select()).load(c).await)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The names and languages of some approved templates of an account.
    pub(crate) async fn usable_templates(
        &self,
        account: AccountId,
        limit: i64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = templates::table
            .filter(templates::account_id.eq(account.0))
            .filter(templates::used_state.eq("approved"))
            .order((templates::name, templates::language))
            .limit(limit)
            .select((templates::name, templates::language));
        Ok(on!(conn, c => query.load(c).await)?)
    }

    /// A message of `business` that its network has taken.
    pub(crate) async fn sent_message(
        &self,
        business: &BusinessId,
        id: &MessageId,
    ) -> Result<Option<SentMessage>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table
            .filter(messages::id.eq(id.key()))
            .filter(messages::business_id.eq(business.key()))
            .filter(messages::upstream_id.is_not_null())
            .select(sent_columns!());
        let row: Option<SentColumns> = on!(conn, c => query.first(c).await.optional())?;
        Ok(row.map(Into::into))
    }

    /// What sandbox senders of `business` sent to the pretend phone `phone`, and what that sent to them: of each the last
    /// `limit`, newest first.
    pub(crate) async fn pretend_conversation(
        &self,
        business: &BusinessId,
        phone: &str,
        limit: i64,
    ) -> Result<(Vec<SentMessage>, Vec<InboundView>), StoreError> {
        let mut conn = self.pools.read().await?;
        let of_sandbox =
            senders::table.filter(senders::business_id.eq(business.key())).filter(senders::adapter.eq(SANDBOX));
        let ids: Vec<i64> = on!(conn, c => of_sandbox.select(senders::id).load(c).await)?;
        let sent = messages::table
            .filter(messages::business_id.eq(business.key()))
            .filter(messages::recipient.eq(phone))
            .filter(messages::sender_id.eq_any(&ids))
            .filter(messages::upstream_id.is_not_null())
            .order(messages::id.desc())
            .limit(limit)
            .select(sent_columns!());
        let sent: Vec<SentColumns> = on!(conn, c => sent.load(c).await)?;
        let received = inbound_messages::table
            .filter(inbound_messages::business_id.eq(business.key()))
            .filter(inbound_messages::phone.eq(phone))
            .filter(inbound_messages::sender_id.eq_any(&ids))
            .order(inbound_messages::id.desc())
            .limit(limit);
        let received: Vec<InboundRow> = on!(conn, c => received.select(InboundRow::as_select()).load(c).await)?;
        Ok((sent.into_iter().map(Into::into).collect(), received.into_iter().map(Into::into).collect()))
    }

    /// Puts a template in the place of a message whose attempt is under way.
    pub(crate) async fn turn_into_template(
        &self,
        id: &MessageId,
        attempt: u32,
        instead: &Instead,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let row = messages::table
            .filter(messages::id.eq(id.key()))
            .filter(messages::attempt.eq(i32::try_from(attempt).unwrap_or(i32::MAX)));
        let query = diesel::update(row).set((
            messages::kind.eq("template"),
            messages::category.eq(instead.category().name()),
            messages::template_name.eq(Some(&instead.template)),
            messages::body.eq(&instead.body),
            messages::rendered.eq(&instead.rendered),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// The network's ids of messages that `business` sent or received through `sender`, by our own.
    pub(crate) async fn upstream_ids(
        &self,
        business: &BusinessId,
        sender: SenderId,
        ids: &[&str],
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut conn = self.pools.read().await?;
        let sent = messages::table
            .filter(messages::id.eq_any(ids))
            .filter(messages::business_id.eq(business.key()))
            .filter(messages::sender_id.eq(sender.0))
            .filter(messages::upstream_id.is_not_null())
            .select((messages::id, messages::upstream_id.assume_not_null()));
        let received = inbound_messages::table
            .filter(inbound_messages::id.eq_any(ids))
            .filter(inbound_messages::business_id.eq(business.key()))
            .filter(inbound_messages::sender_id.eq(sender.0))
            .select((inbound_messages::id, inbound_messages::upstream_id));
        let mut found: Vec<(String, String)> = on!(conn, c => received.load(c).await)?;
        if found.len() < ids.len() {
            let sent: Vec<(String, String)> = on!(conn, c => sent.load(c).await)?;
            found.extend(sent);
        }
        Ok(found.into_iter().collect())
    }
}

/// Files what people sent in the transaction of `conn`: each message once, with the windows that it opens. Answers the
/// deliveries that tell of it, and which of it is new.
pub(super) async fn keep(conn: &mut Conn, mut arrivals: Vec<Arrival>) -> Result<Kept, StoreError> {
    if arrivals.is_empty() {
        return Ok(Kept::default());
    }
    drop_blocked(conn, &mut arrivals).await?;
    let mut ids = known_ids(conn, &arrivals).await?;
    let mut new: Vec<&Arrival> = Vec::with_capacity(arrivals.len());
    for arrival in &arrivals {
        let key = (arrival.sender.id.0, arrival.message.upstream_id.clone());
        if let std::collections::hash_map::Entry::Vacant(place) = ids.entry(key) {
            place.insert(arrival.id.to_string());
            new.push(arrival);
        }
    }
    // In one order everywhere, so that two batches never wait for each other.
    let mut sorted = new.clone();
    sorted.sort_by_key(|arrival| (arrival.sender.id.0, &arrival.message.upstream_id));
    let mut deliveries = BTreeMap::new();
    let mut opened: BTreeMap<(i64, &str), Vec<&Arrival>> = BTreeMap::new();
    for arrival in sorted {
        let sender = arrival.sender.id.0;
        let object = arrival.object(|id| ids.get(&(sender, id.to_owned())).cloned());
        let context = object.get("context").and_then(|context| context.get("id")).and_then(Value::as_str);
        let row = InboundRow {
            id: arrival.id.key().to_owned(),
            business_id: arrival.sender.business.key().to_owned(),
            sender_id: sender,
            phone: arrival.from.phone.clone(),
            user_id: arrival.from.user_id.clone(),
            parent_user_id: arrival.from.parent_user_id.clone(),
            profile_name: arrival.from.profile_name.clone(),
            username: arrival.from.username.clone(),
            kind: arrival.message.kind.clone(),
            body: Value::Object(object.clone()).to_string(),
            context_id: context.map(ToOwned::to_owned),
            upstream_id: arrival.message.upstream_id.clone(),
            sent_at: arrival.sent_at(),
            received_at: arrival.received_at,
            read_at: None,
            typing_at: None,
        };
        let insert = diesel::insert_into(inbound_messages::table).values(row).on_conflict_do_nothing();
        if on!(*conn, c => insert.execute(c).await)? == 0 {
            continue;
        }
        super::arriving_media::expect(conn, arrival).await?;
        deliveries.insert(arrival.id.key(), arrival.tell(&object));
        if arrival.opens_window() {
            for address in arrival.addresses() {
                opened.entry((sender, address)).or_default().push(arrival);
            }
        }
    }
    for ((sender, address), arrivals) in opened {
        open_window(conn, sender, address, &arrivals).await?;
    }
    // Told in the order in which they came.
    let mut kept = Kept::default();
    for arrival in new {
        if let Some(told) = deliveries.remove(arrival.id.key()) {
            kept.deliveries.extend(told);
            kept.new.push(arrival.clone());
        }
    }
    Ok(kept)
}

/// Notes what `arrivals` and `wishes` say of the people they are from, in the transaction of `conn`: who they are, and
/// what they want no more of. What one person said is taken in the order in which it came.
pub(super) async fn listen(
    conn: &mut Conn,
    with: (&People, i32),
    arrivals: &[Arrival],
    wishes: &[Wanted],
    now: Millis,
) -> Result<Vec<Heard>, StoreError> {
    let mut heard = Vec::new();
    // In one order everywhere, so that two batches never wait for each other.
    let mut people: Vec<&Arrival> = arrivals.iter().filter(|arrival| arrival.opens_window()).collect();
    people.sort_by(|one, other| one.addresses().next().cmp(&other.addresses().next()));
    for arrival in people {
        let (text, payload) = words(&arrival.message.message);
        let said = Said::Message { text, payload };
        heard.extend(heard_from(conn, with, &arrival.sender, &arrival.from, said, (arrival.sent_at(), now)).await?);
    }
    for wanted in wishes.iter().filter(|wanted| wanted.preference.category == MARKETING) {
        let said = Said::Preference { stop: wanted.preference.wish == Wish::Stop };
        let at = wanted.preference.at_ms;
        heard.extend(heard_from(conn, with, &wanted.sender, &wanted.from, said, (at, now)).await?);
    }
    Ok(heard)
}

/// What a message says in so many words: its text or that of the button that was pressed, and the button's payload.
fn words(object: &Value) -> (Option<&str>, Option<&str>) {
    let of = |place: &str| object.pointer(place).and_then(Value::as_str);
    let text = ["/text/body", "/button/text", "/interactive/button_reply/title", "/interactive/list_reply/title"];
    let payload = ["/button/payload", "/interactive/button_reply/id", "/interactive/list_reply/id"];
    (text.into_iter().find_map(of), payload.into_iter().find_map(of))
}

/// Our ids of what `arrivals` are or name, by sender and the network's id: of messages that were sent or received before.
async fn known_ids(conn: &mut Conn, arrivals: &[Arrival]) -> Result<HashMap<(i64, String), String>, StoreError> {
    let senders: BTreeSet<i64> = arrivals.iter().map(|arrival| arrival.sender.id.0).collect();
    let named: BTreeSet<&str> = arrivals.iter().flat_map(Arrival::references).collect();
    let mut own: BTreeSet<&str> = arrivals.iter().map(|arrival| arrival.message.upstream_id.as_str()).collect();
    own.extend(&named);
    let received = inbound_messages::table
        .filter(inbound_messages::sender_id.eq_any(&senders))
        .filter(inbound_messages::upstream_id.eq_any(own))
        .select((inbound_messages::sender_id, inbound_messages::upstream_id, inbound_messages::id));
    let mut rows: Vec<(i64, String, String)> = on!(*conn, c => received.load(c).await)?;
    if !named.is_empty() {
        let sent = messages::table
            .filter(messages::upstream_id.is_not_null().and(messages::upstream_id.eq_any(named)))
            .filter(messages::sender_id.eq_any(&senders))
            .select((messages::sender_id, messages::upstream_id.assume_not_null(), messages::id));
        rows.extend(on!(*conn, c => sent.load::<(i64, String, String)>(c).await)?);
    }
    let outer =
        |(sender, upstream, id): (i64, String, String)| ((sender, upstream), MessageId::from_key(id).to_string());
    Ok(rows.into_iter().map(outer).collect())
}

/// Opens the window of one address at a sender, or keeps it open for longer.
async fn open_window(conn: &mut Conn, sender: i64, address: &str, arrivals: &[&Arrival]) -> Result<(), StoreError> {
    let Some(last) = arrivals.iter().max_by_key(|arrival| (arrival.sent_at(), &arrival.id)) else { return Ok(()) };
    let with_entry = arrivals.iter().filter(|arrival| arrival.message.referral.is_some());
    let entry = with_entry.max_by_key(|arrival| (arrival.sent_at(), &arrival.id));
    let referral = entry.and_then(|arrival| arrival.message.referral.as_ref()).map(Value::to_string);
    let entry_at = entry.map(|arrival| arrival.sent_at());
    let row = WindowRow {
        sender_id: sender,
        recipient: address.to_owned(),
        business_id: last.sender.business.key().to_owned(),
        last_inbound_id: last.id.key().to_owned(),
        last_inbound_at: last.sent_at(),
        entry: referral.clone(),
        entry_at,
        entry_until: None,
    };
    let insert = diesel::insert_into(windows::table).values(row).on_conflict_do_nothing();
    if on!(*conn, c => insert.execute(c).await)? == 1 {
        return Ok(());
    }
    let own = || windows::table.filter(windows::sender_id.eq(sender)).filter(windows::recipient.eq(address));
    let query = diesel::update(own().filter(windows::last_inbound_at.le(last.sent_at())))
        .set((windows::last_inbound_id.eq(last.id.key()), windows::last_inbound_at.eq(last.sent_at())));
    on!(*conn, c => query.execute(c).await)?;
    if let Some(at) = entry_at {
        let older = windows::entry_at.is_null().or(windows::entry_at.le(at).assume_not_null());
        let query =
            diesel::update(own().filter(older)).set((windows::entry.eq(referral), windows::entry_at.eq(Some(at))));
        on!(*conn, c => query.execute(c).await)?;
    }
    Ok(())
}

/// Opens the free entry points of those whom a message has just reached the network for, in the transaction of `conn`.
pub(super) async fn open_entries(
    conn: &mut Conn,
    answered: BTreeSet<(i64, &str)>,
    now: Millis,
) -> Result<(), StoreError> {
    if answered.is_empty() {
        return Ok(());
    }
    let (until, since) = (now.saturating_add(ENTRY_MS), now.saturating_sub(ENTRY_ANSWER_MS));
    match conn {
        Conn::Pg(c) => {
            let c = &mut ***c;
            let (senders, recipients): (Vec<i64>, Vec<&str>) = answered.into_iter().unzip();
            Statement::new(
                "UPDATE windows SET entry_until = ? FROM unnest(?, ?) AS batch (sender_id, recipient) \
                 WHERE windows.sender_id = batch.sender_id AND windows.recipient = batch.recipient \
                 AND entry_at IS NOT NULL AND (entry_until IS NULL OR entry_until < entry_at + 259200000) \
                 AND entry_at > ?",
            )
            .bind::<BigInt, _>(until)
            .array::<BigInt, _>(senders)
            .array::<Text, _>(recipients)
            .bind::<BigInt, _>(since)
            .execute(c)
            .await?;
        }
        Conn::Sqlite(c) => {
            let waiting = windows::entry_at.is_not_null().and(
                windows::entry_until
                    .is_null()
                    .or(windows::entry_until.lt(windows::entry_at + ENTRY_MS))
                    .assume_not_null(),
            );
            let query = windows::table
                .filter(waiting.assume_not_null())
                .filter(windows::entry_at.gt(since).assume_not_null())
                .select((windows::sender_id, windows::recipient));
            // Few wait for an answer at any time: a look is cheaper than a statement for each message.
            let waiting: Vec<(i64, String)> = query.load(&mut **c).await?;
            for (sender, recipient) in waiting.iter().filter(|(sender, to)| answered.contains(&(*sender, to.as_str())))
            {
                let own = windows::table.filter(windows::sender_id.eq(sender)).filter(windows::recipient.eq(recipient));
                diesel::update(own).set(windows::entry_until.eq(Some(until))).execute(&mut **c).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use waystation_adapter_sdk::InboundMessage;

    use super::{
        super::tests::{Fixture, Tree, both, message},
        *,
    };
    use crate::{
        eligibility::{Eligibility, Question},
        error::ErrorKind,
        ids::EndpointId,
        inbound::{Blocking, CARE_MS, in_network_terms},
        messages::{Category, sealed::Content},
        store::{ReceiptBatch, ReceiptOutcome},
        tenancy::{Directory, Endpoint, Policy, Sender},
        vault::Vault,
        webhooks::payload::tests::sender,
    };

    const PHONE: &str = "16505551234";
    const USER: &str = "US.17";

    /// A sender with an endpoint, and what people send to it.
    struct Stage<'s> {
        store: &'s Store,
        sender: Arc<Sender>,
        endpoints: Arc<Vec<Endpoint>>,
    }

    impl<'s> Stage<'s> {
        async fn new(store: &'s Store) -> Self {
            let tree = Tree::plant(store).await;
            let sender = Sender { id: tree.sender, business: tree.business, account: tree.account, ..sender() };
            let endpoint = Endpoint { id: EndpointId::generate(), url: "https://example.com".to_owned() };
            Self { store, sender: Arc::new(sender), endpoints: Arc::new(vec![endpoint]) }
        }

        fn arrival(&self, message: Value, at: Millis) -> Arrival {
            let contacts = json!([{"profile": {"name": "Ada"}, "wa_id": PHONE, "user_id": USER}]);
            let message = InboundMessage::from_cloud_api(&message, Some(&contacts), at).unwrap();
            Arrival::new(self.sender.clone(), self.endpoints.clone(), message, at).unwrap()
        }

        fn text(&self, id: &str, at: Millis) -> Arrival {
            self.arrival(json!({"from": PHONE, "id": id, "type": "text", "text": {"body": "hi"}}), at)
        }

        /// Files arrivals as the courier does; how many deliveries that made.
        async fn keep(&self, inbound: Vec<Arrival>) -> usize {
            let outcome = ReceiptOutcome { inbound, ..ReceiptOutcome::default() };
            let kept = self.store.apply_receipts(ReceiptBatch::default(), 0, |_| outcome).await.unwrap();
            kept.deliveries.len()
        }

        async fn all(&self) -> Vec<InboundView> {
            let all = Paging::read(None, Some(200)).unwrap();
            let page = self.store.inbound_messages(&self.sender.business, &InboundFilter::default(), &all).await;
            page.unwrap().entries
        }

        async fn window(&self, address: &str) -> Option<Window> {
            let address = Address::from_stored(address.to_owned());
            self.store.window(&self.sender.business, self.sender.id, &address).await.unwrap()
        }

        async fn answer(&self, at: Millis) {
            let mut conn = self.store.pools.begin().await.unwrap();
            let opened = open_entries(&mut conn, BTreeSet::from([(self.sender.id.0, PHONE)]), at).await;
            conn.finish(opened).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_network_repeats_is_kept_and_told_once() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            assert_eq!(stage.keep(vec![stage.text("wamid.a", 1_000), stage.text("wamid.a", 1_000)]).await, 1);
            assert_eq!(stage.keep(vec![stage.text("wamid.a", 2_000)]).await, 0);
            let repeats = (0..5).map(|_| stage.keep(vec![stage.text("wamid.b", 2_000), stage.text("wamid.c", 2_000)]));
            let told: usize = futures_util::future::join_all(repeats).await.into_iter().sum();
            assert_eq!((told, stage.all().await.len()), (2, 3), "{}", store.kind());
            let other = Stage::new(store).await;
            assert_eq!(other.keep(vec![other.text("wamid.a", 1_000)]).await, 1, "an id is unique at its sender");
            assert_eq!(other.all().await.len(), 1);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_message_names_others_by_our_ids_and_ours_are_known_to_the_network() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            let first = stage.text("wamid.a", 1_000);
            let reaction = json!({
                "from": PHONE, "id": "wamid.b", "type": "reaction", "context": {"id": "wamid.nobodys"},
                "reaction": {"message_id": "wamid.a", "emoji": "👍"},
            });
            stage.keep(vec![first.clone(), stage.arrival(reaction, 1_001)]).await;
            let [reaction, text] = &stage.all().await[..] else { panic!("{}", store.kind()) };
            assert_eq!(text.id, first.id);
            assert_eq!(reaction.object["reaction"]["message_id"], first.id.to_string());
            assert_eq!(reaction.context.as_deref(), Some("wamid.nobodys"), "one that is not known stays as it is");
            let ids = [first.id.key(), reaction.id.key(), "01JD9Z8W7V6T5S4R3Q2P1N0M9K"];
            let found = store.upstream_ids(&stage.sender.business, stage.sender.id, &ids).await.unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(found[first.id.key()], "wamid.a");
            let others = store.upstream_ids(&BusinessId::generate(), stage.sender.id, &ids).await.unwrap();
            assert!(others.is_empty(), "another business's are not found");

            let mut answer = message(&stage.sender.business, 2_000);
            (answer.sender_id, answer.kind) = (stage.sender.id, "reaction");
            let theirs = ids[2];
            let body = json!({
                "context": {"message_id": format!("wamid.{theirs}")},
                "reaction": {"message_id": first.id.to_string(), "emoji": "👍"},
            });
            store.accept(vec![answer.clone()]).await.unwrap();
            let claimed = store.claim_messages(&[answer.id.key()], "a", 3_000, 9_000).await.unwrap().remove(0);
            let content = Content { body: body.to_string(), rendered: String::new() };
            let sent = in_network_terms(store, &claimed.row, content).await.unwrap();
            let sent: Value = serde_json::from_str(&sent.body).unwrap();
            assert_eq!(sent["reaction"], json!({"message_id": "wamid.a", "emoji": "👍"}));
            assert_eq!(sent["context"], body["context"], "one that is not known stays as it is");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_last_word_of_a_person_opens_the_window_under_each_address() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            assert_eq!(stage.window(PHONE).await, None);
            stage.keep(vec![stage.text("wamid.late", 5_000), stage.text("wamid.early", 3_000)]).await;
            stage.keep(vec![stage.text("wamid.first", 1_000)]).await;
            for address in [PHONE, USER] {
                let window = stage.window(address).await.unwrap();
                assert_eq!((window.last_inbound_at, window.closes_at()), (5_000, 5_000 + CARE_MS), "{address}");
            }
            let system = json!({"from": PHONE, "id": "wamid.s", "type": "system", "system": {"body": "new number"}});
            stage.keep(vec![stage.arrival(system, 9_000)]).await;
            assert_eq!(stage.window(PHONE).await.unwrap().last_inbound_at, 5_000, "what the network says opens none");
            let phone = Address::Phone(PHONE.to_owned());
            let others = store.window(&BusinessId::generate(), stage.sender.id, &phone).await.unwrap();
            assert_eq!(others, None);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_entry_point_opens_with_an_answer_in_time_and_once() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            let by_ad = |id: &str| json!({"from": PHONE, "id": id, "type": "text", "referral": {"source_type": "ad", "source_id": id}});
            let entry = async || stage.window(PHONE).await.unwrap().entry.unwrap();
            stage.keep(vec![stage.arrival(by_ad("wamid.a"), 1_000)]).await;
            stage.answer(1_000 + ENTRY_ANSWER_MS).await;
            assert_eq!(entry().await.until, None, "{}: too late by a millisecond", store.kind());
            stage.answer(1_000 + ENTRY_ANSWER_MS - 1).await;
            let until = 1_000 + ENTRY_ANSWER_MS - 1 + ENTRY_MS;
            assert_eq!(entry().await.until, Some(until));
            stage.answer(1_000 + ENTRY_ANSWER_MS - 1).await;
            stage.keep(vec![stage.text("wamid.b", 2_000)]).await;
            assert_eq!(entry().await.until, Some(until), "later answers and messages move nothing");
            stage.keep(vec![stage.arrival(by_ad("wamid.c"), until)]).await;
            assert_eq!(
                (entry().await.referral["source_id"].clone(), entry().await.until),
                (json!("wamid.c"), Some(until))
            );
            stage.answer(until + 5).await;
            assert_eq!(entry().await.until, Some(until + 5 + ENTRY_MS), "a new entry point opens anew");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn reading_a_message_reads_what_the_same_person_sent_before() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            let other = json!({"from": "16505559999", "from_user_id": "US.99", "id": "wamid.o", "type": "text"});
            let (one, two, three) =
                (stage.text("wamid.1", 1_000), stage.text("wamid.2", 2_000), stage.text("wamid.3", 3_000));
            for arrival in [&one, &two, &three, &stage.arrival(other, 1_500)] {
                stage.keep(vec![arrival.clone()]).await;
            }
            let (business, sender) = (&stage.sender.business, stage.sender.id);
            let strangers = store.mark_inbound_read(&BusinessId::generate(), sender, &two.id, false, 9_000).await;
            assert!(strangers.unwrap().is_none());
            let marked = store.mark_inbound_read(business, sender, &two.id, true, 9_000).await.unwrap().unwrap();
            assert_eq!((marked.read_at, marked.typing_at), (Some(9_000), Some(9_000)));
            let mut read: Vec<_> = stage.all().await.into_iter().map(|view| (view.upstream_id, view.read_at)).collect();
            read.sort();
            let of = |id: &str, at| (format!("wamid.{id}"), at);
            assert_eq!(read, [of("1", Some(9_000)), of("2", Some(9_000)), of("3", None), of("o", None)]);
            let again = store.mark_inbound_read(business, sender, &two.id, false, 9_999).await.unwrap().unwrap();
            assert_eq!(again.read_at, Some(9_000), "it was read when it was read first");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn free_form_goes_until_the_last_millisecond_of_the_window() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            stage.keep(vec![stage.text("wamid.1", 1_000)]).await;
            let eligibility = || {
                let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
                Eligibility::new(store.clone(), directory)
            };
            let (phone, stranger) = (Address::Phone(PHONE.to_owned()), Address::Phone("16505559999".to_owned()));
            let id = MessageId::generate();
            let kinds = async |eligibility: &Eligibility, recipient: &Address, kind: &str, now| {
                let question = Question {
                    message: &id,
                    business: &stage.sender.business,
                    sender: stage.sender.id,
                    recipient,
                    category: Category::Service,
                    kind,
                };
                let refusal = eligibility.check(&[question], now).await.unwrap().remove(0);
                refusal.map(|refusal| refusal.kind)
            };
            let lenient = eligibility();
            assert_eq!(kinds(&lenient, &stranger, "text", 1_000).await, None, "the sandbox asks for nobody's word");
            let mut conn = store.pools.write().await.unwrap();
            let strict = diesel::update(senders::table).set(senders::connection.eq("{\"enforce_window\": true}"));
            on!(conn, c => strict.execute(c).await).unwrap();
            drop(conn);
            let strict = eligibility();
            assert_eq!(kinds(&strict, &phone, "text", 1_000 + CARE_MS - 1).await, None, "{}", store.kind());
            let closed = Some(ErrorKind::WindowClosed);
            assert_eq!(kinds(&strict, &phone, "text", 1_000 + CARE_MS).await, closed);
            assert_eq!(kinds(&strict, &phone, "reaction", 1_000 + CARE_MS).await, closed);
            assert_eq!(kinds(&strict, &phone, "template", 1_000 + CARE_MS).await, None);
            assert_eq!(kinds(&strict, &stranger, "text", 1_000).await, closed);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_is_blocked_is_not_heard_and_not_written_to() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            let (business, sender) = (&stage.sender.business, stage.sender.id);
            let phone = Address::Phone(PHONE.to_owned());
            let block = async |now| store.block(business, sender, &phone, now).await.unwrap();
            assert_eq!(block(1_000).await, Blocking::NotLately, "they never wrote");
            stage.keep(vec![stage.text("wamid.1", 1_000)]).await;
            assert_eq!(block(1_000 + CARE_MS).await, Blocking::NotLately);
            assert_eq!(block(1_000 + CARE_MS - 1).await, Blocking::Done);
            assert_eq!(block(9_000 + CARE_MS).await, Blocking::Done, "twice is once");
            let hidden = json!({"from_user_id": USER, "id": "wamid.2", "type": "text"});
            let mut other = json!({"from_user_id": "US.99", "id": "wamid.3", "type": "text"});
            other["from"] = "16505559999".into();
            let heard = vec![stage.arrival(hidden, 2_000), stage.text("wamid.4", 2_000), stage.arrival(other, 2_000)];
            assert_eq!(stage.keep(heard).await, 1, "{}: neither by number nor by user id", store.kind());
            let all = Paging::read(None, None).unwrap();
            let list = store.blocked(business, sender, &all).await.unwrap().entries;
            assert_eq!((list.len(), list[0].dropped, list[0].user_id.as_deref()), (1, 2, Some(USER)));
            let people = BTreeSet::from([PHONE, USER, "US.99"]);
            let found = store.blocked_among(&BTreeSet::from([sender.0, 1]), &people).await.unwrap();
            let both = BTreeSet::from([(sender.0, PHONE.to_owned()), (sender.0, USER.to_owned())]);
            assert_eq!(found, both);
            let stranger = BusinessId::generate();
            assert!(store.blocked(&stranger, sender, &all).await.unwrap().entries.is_empty());
            assert!(!store.unblock(&stranger, sender, &phone).await.unwrap());
            assert!(store.unblock(business, sender, &Address::UserId(USER.to_owned())).await.unwrap());
            assert!(!store.unblock(business, sender, &phone).await.unwrap());
            assert_eq!(stage.keep(vec![stage.text("wamid.5", 3_000)]).await, 1);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_received_is_listed_by_sender_person_and_time() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            for (id, at) in [("wamid.1", 1_000), ("wamid.2", 2_000), ("wamid.3", 3_000)] {
                stage.keep(vec![stage.text(id, at)]).await;
            }
            let business = &stage.sender.business;
            let list = async |filter: InboundFilter, limit| {
                let paging = Paging::read(None, Some(limit)).unwrap();
                let page = store.inbound_messages(business, &filter, &paging).await.unwrap();
                let ids: Vec<String> = page.entries.into_iter().map(|view| view.upstream_id).collect();
                (ids, page.next)
            };
            let (ids, next) = list(InboundFilter::default(), 2).await;
            assert_eq!(ids, ["wamid.3", "wamid.2"]);
            let paging = Paging::read(next.as_deref(), Some(2)).unwrap();
            let rest = store.inbound_messages(business, &InboundFilter::default(), &paging).await.unwrap();
            assert_eq!((rest.entries[0].upstream_id.as_str(), rest.entries.len(), rest.next), ("wamid.1", 1, None));
            let between = InboundFilter { since: Some(2_000), until: Some(3_000), ..InboundFilter::default() };
            assert_eq!(list(between, 9).await.0, ["wamid.2"]);
            for from in [Address::Phone(PHONE.to_owned()), Address::UserId(USER.to_owned())] {
                let theirs =
                    InboundFilter { from: Some(from), sender: Some(stage.sender.id), ..InboundFilter::default() };
                assert_eq!(list(theirs, 9).await.0.len(), 3);
            }
            let nobodys = InboundFilter { sender: Some(SenderId(1)), ..InboundFilter::default() };
            assert!(list(nobodys, 9).await.0.is_empty());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_a_person_sent_is_noted_once_and_fetched_by_one_at_a_time() {
        for Fixture { store, .. } in &both().await {
            let stage = Stage::new(store).await;
            let image = json!({"from": PHONE, "id": "wamid.a", "type": "image", "image": {"id": "17"}});
            let arrival = stage.arrival(image, 1_000).with_files_fetched();
            let id = arrival.files[0].id;
            stage.keep(vec![arrival.clone()]).await;
            let again = stage.arrival(arrival.message.message.clone(), 2_000).with_files_fetched();
            stage.keep(vec![again]).await;
            assert_eq!(stage.all().await[0].object["image"]["id"], id.to_string(), "{}", store.kind());
            let claim = async |now| store.claim_arriving_media(10, 500, now).await.unwrap();
            assert!(claim(999).await.is_empty());
            let claimed = claim(1_000).await;
            let [file] = claimed.as_slice() else { panic!("{}: {claimed:?}", store.kind()) };
            assert_eq!((file.id, file.upstream_id.as_str(), file.attempts), (id, "17", 1));
            assert!(claim(1_499).await.is_empty(), "it is somebody's");
            assert_eq!(claim(1_500).await[0].attempts, 2, "whose process died");
            let business = &stage.sender.business;
            let arriving = async || store.arriving_media(business, id).await.unwrap();
            assert!(arriving().await.unwrap().is_due);
            assert!(store.arriving_media(&BusinessId::generate(), id).await.unwrap().is_none());
            store.media_not_arrived(id, Some(5_000), "away").await.unwrap();
            assert!(claim(4_999).await.is_empty());
            store.media_not_arrived(id, None, "it is gone").await.unwrap();
            assert!(claim(Millis::MAX / 2).await.is_empty());
            let lost = arriving().await.unwrap();
            assert_eq!((lost.is_due, lost.error.as_deref()), (false, Some("it is gone")));
            assert_eq!(store.forget_arriving_media(1_000, 10).await.unwrap(), 0);
            assert_eq!(store.forget_arriving_media(1_001, 10).await.unwrap(), 1);
            assert!(arriving().await.is_none());
        }
    }
}
