//! Rules for chains of channels, messages that may change their channel, and channels that do not work.

use diesel::{ExpressionMethods, Insertable, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::{
    Store, StoreError, audit,
    connection::on,
    schema::{businesses, channels, messages, routing_rules, senders},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    ids::{BusinessId, ResellerId, SenderId},
    messages::{route::Rule, state::State},
};

/// What stands for all senders of a business.
const ALL_SENDERS: i64 = 0;

/// A sender of a business, as chains find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its phone number id.
    pub sender: SenderId,
    /// Its adapter.
    pub adapter: String,
}

/// Everything that decides which channels the messages of a business take.
#[derive(Debug, Clone, Default)]
pub struct RoutingTable {
    /// The senders, oldest first.
    pub channels: Vec<Channel>,
    /// Rules of all senders, then of single ones.
    rules: Vec<(i64, Vec<Rule>)>,
}

impl RoutingTable {
    /// The rules that hold for `sender`: its own if there are any, else those of the business.
    #[must_use]
    pub fn rules_of(&self, sender: SenderId) -> &[Rule] {
        self.rules_set_for(Some(sender)).or_else(|| self.rules_set_for(None)).unwrap_or_default()
    }

    /// The rules that were set for `sender`, or for all senders.
    #[must_use]
    pub fn rules_set_for(&self, sender: Option<SenderId>) -> Option<&[Rule]> {
        let sender = sender.map_or(ALL_SENDERS, |sender| sender.0);
        self.rules.iter().find(|(of, _)| *of == sender).map(|(_, rules)| rules.as_slice())
    }
}

/// A channel that does not work now.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = channels)]
pub struct BrokenChannel {
    /// The sender.
    pub sender_id: i64,
    /// Why, as its network said.
    pub reason: String,
    /// The network's code.
    pub code: Option<i64>,
    /// Whether a person has to do something.
    pub needs_operator: bool,
    /// Probes that failed since it stopped working.
    pub failures: i32,
    /// When it stopped working.
    pub since: Millis,
    /// When it is tried next.
    pub probe_at: Millis,
    /// Until when somebody tries it.
    pub(crate) probing_until: Millis,
    /// The settings that it failed with, hashed.
    pub(crate) settings: String,
}

impl Store {
    /// Everything that decides which channels the messages of `business` take.
    ///
    /// # Errors
    /// The database's.
    pub async fn routing_table(&self, business: &BusinessId) -> Result<RoutingTable, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = senders::table
            .filter(senders::business_id.eq(business.key()))
            .order((senders::created_at, senders::id))
            .select((senders::id, senders::adapter));
        let found: Vec<(i64, String)> = on!(conn, c => query.load(c).await)?;
        let query = routing_rules::table
            .filter(routing_rules::business_id.eq(business.key()))
            .order(routing_rules::sender_id)
            .select((routing_rules::sender_id, routing_rules::rules));
        let stored: Vec<(i64, String)> = on!(conn, c => query.load(c).await)?;
        let mut rules = Vec::with_capacity(stored.len());
        for (sender, text) in stored {
            let read = serde_json::from_str(&text).map_err(|error| StoreError::Unreadable {
                table: "routing_rules",
                reason: format!("rules of {business} for {sender}: {error}"),
            })?;
            rules.push((sender, read));
        }
        let channels = found.into_iter().map(|(id, adapter)| Channel { sender: SenderId(id), adapter }).collect();
        Ok(RoutingTable { channels, rules })
    }

    /// Sets the rules of `business`, for one sender or for all; none takes them away.
    pub(crate) async fn set_routing_rules(
        &self,
        by: &Actor,
        (business, sender): (&BusinessId, Option<SenderId>),
        rules: Option<&[Rule]>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let key = sender.map_or(ALL_SENDERS, |sender| sender.0);
            let held = routing_rules::table
                .filter(routing_rules::business_id.eq(business.key()))
                .filter(routing_rules::sender_id.eq(key));
            on!(conn, c => diesel::delete(held).execute(c).await)?;
            if let Some(rules) = rules {
                let insert = diesel::insert_into(routing_rules::table).values((
                    routing_rules::business_id.eq(business.key()),
                    routing_rules::sender_id.eq(key),
                    routing_rules::rules.eq(json!(rules).to_string()),
                    routing_rules::updated_at.eq(now),
                ));
                on!(conn, c => insert.execute(c).await)?;
            }
            let query = businesses::table.filter(businesses::id.eq(business.key())).select(businesses::reseller_id);
            let reseller: String = on!(conn, c => query.first(c).await)?;
            let target = sender.map_or_else(|| business.to_string(), |sender| sender.to_string());
            let entry = Entry::new("routing.changed", target)
                .of_reseller(&ResellerId::from_key(reseller))
                .of_business(business)
                .after(json!({"rules": rules}));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await
    }

    /// Messages of which it is to be looked by `now` whether another channel takes over, with their senders; without
    /// those of which an attempt runs.
    pub(crate) async fn messages_to_look_at(
        &self,
        now: Millis,
        limit: i64,
    ) -> Result<Vec<(String, SenderId)>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = messages::table
            .filter(messages::look_at.le(now))
            .filter(messages::state.ne(State::Sending.code()))
            .order((messages::look_at, messages::id))
            .limit(limit)
            .select((messages::id, messages::sender_id));
        let rows: Vec<(String, i64)> = on!(conn, c => query.load(c).await)?;
        Ok(rows.into_iter().map(|(id, sender)| (id, SenderId(sender))).collect())
    }

    /// The channels that do not work now.
    ///
    /// # Errors
    /// The database's.
    pub async fn broken_channels(&self) -> Result<Vec<BrokenChannel>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = channels::table.order(channels::sender_id);
        Ok(on!(conn, c => query.select(BrokenChannel::as_select()).load(c).await)?)
    }

    /// Notes that a channel does not work; says for how many probes it has not.
    pub(crate) async fn break_channel(&self, broken: BrokenChannel) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let set = (
            channels::reason.eq(broken.reason.clone()),
            channels::code.eq(broken.code),
            channels::needs_operator.eq(broken.needs_operator),
            channels::failures.eq(broken.failures),
            channels::probe_at.eq(broken.probe_at),
            channels::probing_until.eq(0_i64),
            channels::settings.eq(broken.settings.clone()),
        );
        let insert =
            diesel::insert_into(channels::table).values(broken).on_conflict(channels::sender_id).do_update().set(set);
        on!(conn, c => insert.execute(c).await)?;
        Ok(())
    }

    /// Takes the right to try a broken channel until `until`; false when somebody else has it, or it works again.
    pub(crate) async fn probe_channel(&self, sender: SenderId, now: Millis, until: Millis) -> Result<bool, StoreError> {
        let mut conn = self.pools.write().await?;
        let row = channels::table.filter(channels::sender_id.eq(sender.0)).filter(channels::probing_until.le(now));
        let query = diesel::update(row).set(channels::probing_until.eq(until));
        Ok(on!(conn, c => query.execute(c).await)? == 1)
    }

    /// Notes that a channel works again; false when that was known.
    pub(crate) async fn mend_channel(&self, sender: SenderId) -> Result<bool, StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::delete(channels::table.filter(channels::sender_id.eq(sender.0)));
        Ok(on!(conn, c => query.execute(c).await)? == 1)
    }
}
