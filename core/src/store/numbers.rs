//! Whose a phone number is: codes, what limits them, registrations, and what arrived at
//! pretend phones.
//!
//! What is counted of a number is one row, locked while it is decided, so that no number of
//! processes lets more codes out. A try is taken before the code is compared, so that
//! tries at the same time count each.

use diesel::{ExpressionMethods, Insertable, JoinOnDsl, OptionalExtension, QueryDsl, Queryable};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::{
    Store, StoreError, audit,
    connection::{Conn, on},
    schema::{businesses, code_numbers, phone_codes, sandbox_messages, sender_registrations, senders},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    codes::{CODE_TRIES_MAX, CodeCounts},
    error::ApiError,
    ids::{BusinessId, ResellerId, SenderId},
    onboarding::{PretendMessage, State},
    tenancy::Subtree,
};

/// Messages that are kept of one pretend phone.
const PRETEND_MESSAGES_MAX: i64 = 50;
/// How long they are kept, in milliseconds.
pub(crate) const PRETEND_MESSAGES_LIFE_MS: Millis = 24 * 60 * 60 * 1_000;

/// A sender whose number is to be shown to be its business's.
#[derive(Debug, Clone)]
pub(crate) struct NumberOwner {
    pub(crate) sender: SenderId,
    pub(crate) business: BusinessId,
    pub(crate) reseller: ResellerId,
    pub(crate) state: State,
    pub(crate) phone: String,
    pub(crate) adapter: String,
    pub(crate) connection: serde_json::Value,
    pub(crate) verified_at: Option<Millis>,
    pub(crate) registered_at: Option<Millis>,
}

/// A code on its way into the database.
#[derive(Debug)]
pub(crate) struct NewCode<'a> {
    pub(crate) id: &'a str,
    /// The sealed fingerprint; none when the network keeps the code.
    pub(crate) sealed: Option<Vec<u8>>,
    /// How it goes out, for the audit log.
    pub(crate) method: &'static str,
    pub(crate) expires_at: Millis,
}

/// A code of which one try was taken.
#[derive(Debug, Queryable)]
pub(crate) struct TriedCode {
    pub(crate) id: String,
    pub(crate) sealed: Option<Vec<u8>>,
}

/// What arrived at a pretend phone.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = sandbox_messages)]
pub(crate) struct NewPretendMessage {
    pub(crate) id: String,
    pub(crate) business_id: String,
    pub(crate) phone: String,
    pub(crate) shown_from: String,
    pub(crate) text: String,
    pub(crate) at: Millis,
    pub(crate) arrived_at: Millis,
}

impl Store {
    /// The sender `id` with its number, if it lies in `subtree`.
    pub(crate) async fn number_owner(&self, subtree: &Subtree, id: SenderId) -> Result<NumberOwner, ApiError> {
        let mut conn = self.pools.read().await?;
        let query = senders::table
            .inner_join(businesses::table.on(businesses::id.eq(senders::business_id)))
            .filter(senders::id.eq(id.0))
            .select((
                businesses::id,
                businesses::reseller_id,
                businesses::state,
                senders::phone,
                senders::adapter,
                senders::phone_verified_at,
            ));
        type Row = (String, String, String, String, String, Option<Millis>);
        let row: Option<Row> = on!(conn, c => query.first(c).await.optional())?;
        let Some((business, reseller, state, phone, adapter, verified_at)) =
            row.filter(|(business, reseller, ..)| subtree.holds(reseller, business))
        else {
            return Err(ApiError::missing("sender", &id));
        };
        let registration = sender_registrations::table
            .filter(sender_registrations::sender_id.eq(id.0))
            .select(sender_registrations::registered_at);
        let registered_at: Option<Option<Millis>> = on!(conn, c => registration.first(c).await.optional())?;
        let unreadable = |reason: String| StoreError::Unreadable { table: "senders", reason };
        Ok(NumberOwner {
            sender: id,
            business: BusinessId::from_key(business),
            reseller: ResellerId::from_key(reseller),
            state: State::parse(&state)
                .ok_or_else(|| unreadable(format!("state {state:?} of the business of {id}")))?,
            phone,
            adapter,
            connection: serde_json::Value::Null,
            verified_at,
            registered_at: registered_at.flatten(),
        })
    }

    /// Counts a code to the number and makes it the one that can be used. Answers from when
    /// on the next one may be sent; the inner error says from when on this one may.
    pub(crate) async fn start_code(
        &self,
        by: &Actor,
        owner: &NumberOwner,
        code: NewCode<'_>,
        now: Millis,
    ) -> Result<Result<Millis, Millis>, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let mut counts = lock_counts(&mut conn, &owner.phone, now).await?;
            if let Err(free_at) = counts.send(now) {
                return Ok(Err(free_at));
            }
            save_counts(&mut conn, &owner.phone, &counts).await?;
            let row = (
                phone_codes::id.eq(code.id),
                phone_codes::sealed.eq(code.sealed),
                phone_codes::tries.eq(0),
                phone_codes::expires_at.eq(code.expires_at),
            );
            let query = diesel::insert_into(phone_codes::table)
                .values((phone_codes::sender_id.eq(owner.sender.0), row.clone()))
                .on_conflict(phone_codes::sender_id)
                .do_update()
                .set(row);
            on!(conn, c => query.execute(c).await)?;
            let entry = entry("sender.code_requested", owner).after(json!({"method": code.method}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(Ok(counts.next_send(now)))
        }
        .await;
        conn.finish(result).await
    }

    /// Takes one try at a sender's code; none is left when it is unknown, too old, or was
    /// guessed too often.
    pub(crate) async fn try_code(&self, sender: SenderId, now: Millis) -> Result<Option<TriedCode>, StoreError> {
        let mut conn = self.pools.write().await?;
        let live = phone_codes::table
            .filter(phone_codes::sender_id.eq(sender.0))
            .filter(phone_codes::tries.lt(CODE_TRIES_MAX))
            .filter(phone_codes::expires_at.gt(now));
        let query = diesel::update(live)
            .set(phone_codes::tries.eq(phone_codes::tries + 1))
            .returning((phone_codes::id, phone_codes::sealed));
        Ok(on!(conn, c => query.get_result(c).await.optional())?)
    }

    /// Uses a code up: the number is the sender's. False when it was used or replaced
    /// meanwhile.
    pub(crate) async fn prove_number(
        &self,
        by: &Actor,
        owner: &NumberOwner,
        code: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let used =
                phone_codes::table.filter(phone_codes::sender_id.eq(owner.sender.0)).filter(phone_codes::id.eq(code));
            if on!(conn, c => diesel::delete(used).execute(c).await)? == 0 {
                return Ok(false);
            }
            let row = diesel::update(senders::table.filter(senders::id.eq(owner.sender.0)));
            let query = row.set(senders::phone_verified_at.eq(Some(now)));
            on!(conn, c => query.execute(c).await)?;
            let entry = entry("sender.number_verified", owner)
                .before(json!({"verified_at": owner.verified_at}))
                .after(json!({"verified_at": now}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Counts a registration of the number with its network, or says from when on one may
    /// be made.
    pub(crate) async fn start_registration(&self, phone: &str, now: Millis) -> Result<Result<(), Millis>, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let mut counts = lock_counts(&mut conn, phone, now).await?;
            if let Err(free_at) = counts.register(now) {
                return Ok(Err(free_at));
            }
            save_counts(&mut conn, phone, &counts).await?;
            Ok(Ok(()))
        }
        .await;
        conn.finish(result).await
    }

    /// The sealed PIN of a sender.
    pub(crate) async fn sender_pin(&self, sender: SenderId) -> Result<Option<Vec<u8>>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = sender_registrations::table
            .filter(sender_registrations::sender_id.eq(sender.0))
            .select(sender_registrations::pin);
        Ok(on!(conn, c => query.first(c).await.optional())?)
    }

    /// Keeps a sender's PIN, before it is used.
    pub(crate) async fn keep_pin(&self, sender: SenderId, sealed: Vec<u8>) -> Result<(), StoreError> {
        keep_pin(&mut self.pools.write().await?, sender, sealed).await
    }

    /// Keeps a sender's PIN because somebody set it.
    pub(crate) async fn set_pin(
        &self,
        by: &Actor,
        owner: &NumberOwner,
        sealed: Vec<u8>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            keep_pin(&mut conn, owner.sender, sealed).await?;
            audit::append(&mut conn, by, entry("sender.pin_set", owner), now).await
        }
        .await;
        conn.finish(result).await
    }

    /// Notes that a sender's network has registered it.
    pub(crate) async fn note_registration(
        &self,
        by: &Actor,
        owner: &NumberOwner,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = sender_registrations::table.filter(sender_registrations::sender_id.eq(owner.sender.0));
            let query = diesel::update(row).set(sender_registrations::registered_at.eq(Some(now)));
            on!(conn, c => query.execute(c).await)?;
            let entry = entry("sender.registered", owner).after(json!({"registered_at": now}));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await
    }

    /// Notes that a sender's number is registered no more.
    pub(crate) async fn note_deregistration(
        &self,
        by: &Actor,
        owner: &NumberOwner,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = sender_registrations::table.filter(sender_registrations::sender_id.eq(owner.sender.0));
            let query = diesel::update(row).set(sender_registrations::registered_at.eq(None::<Millis>));
            on!(conn, c => query.execute(c).await)?;
            let entry = entry("sender.deregistered", owner).before(json!({"registered_at": owner.registered_at}));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await
    }

    /// What arrived at the pretend phone `phone` for businesses of `subtree`, newest first.
    pub(crate) async fn pretend_messages(
        &self,
        subtree: &Subtree,
        phone: &str,
        now: Millis,
    ) -> Result<Vec<PretendMessage>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<(String, String, Millis)> = on!(conn, c => {
            let mut query = sandbox_messages::table
                .inner_join(businesses::table.on(businesses::id.eq(sandbox_messages::business_id)))
                .filter(sandbox_messages::phone.eq(phone))
                .filter(sandbox_messages::arrived_at.gt(now - PRETEND_MESSAGES_LIFE_MS))
                .order(sandbox_messages::id.desc())
                .limit(PRETEND_MESSAGES_MAX)
                .select((sandbox_messages::shown_from, sandbox_messages::text, sandbox_messages::at))
                .into_boxed();
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(businesses::reseller_id.eq(own.key())),
                Subtree::Business(own) => query = query.filter(sandbox_messages::business_id.eq(own.key())),
            }
            query.load(c).await
        })?;
        Ok(rows.into_iter().map(|(from, text, at)| PretendMessage { from, text, at }).collect())
    }

    /// Deletes codes, counts and pretend messages whose time is over.
    pub(crate) async fn forget_numbers(&self, now: Millis) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let codes = diesel::delete(phone_codes::table.filter(phone_codes::expires_at.le(now)));
        on!(conn, c => codes.execute(c).await)?;
        let old = now - CodeCounts::LIFE_MS;
        let counts = diesel::delete(code_numbers::table.filter(code_numbers::updated_at.le(old)));
        on!(conn, c => counts.execute(c).await)?;
        let old = now - PRETEND_MESSAGES_LIFE_MS;
        let messages = diesel::delete(sandbox_messages::table.filter(sandbox_messages::arrived_at.le(old)));
        on!(conn, c => messages.execute(c).await)?;
        Ok(())
    }
}

/// Keeps what arrived at pretend phones, and of each no more than it holds.
pub(super) async fn insert_pretend_messages(conn: &mut Conn, messages: &[NewPretendMessage]) -> Result<(), StoreError> {
    for message in messages {
        let query = diesel::insert_into(sandbox_messages::table).values(message.clone());
        on!(*conn, c => query.execute(c).await)?;
        let of_phone = || {
            sandbox_messages::table
                .filter(sandbox_messages::business_id.eq(&message.business_id))
                .filter(sandbox_messages::phone.eq(&message.phone))
        };
        let first_too_many =
            of_phone().order(sandbox_messages::id.desc()).offset(PRETEND_MESSAGES_MAX).select(sandbox_messages::id);
        let id: Option<String> = on!(*conn, c => first_too_many.first(c).await.optional())?;
        if let Some(id) = id {
            let query = diesel::delete(of_phone().filter(sandbox_messages::id.le(id)));
            on!(*conn, c => query.execute(c).await)?;
        }
    }
    Ok(())
}

async fn keep_pin(conn: &mut Conn, sender: SenderId, sealed: Vec<u8>) -> Result<(), StoreError> {
    let query = diesel::insert_into(sender_registrations::table)
        .values((sender_registrations::sender_id.eq(sender.0), sender_registrations::pin.eq(sealed.clone())))
        .on_conflict(sender_registrations::sender_id)
        .do_update()
        .set(sender_registrations::pin.eq(sealed));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// Locks what is counted of a number.
pub(super) async fn lock_counts(conn: &mut Conn, phone: &str, now: Millis) -> Result<CodeCounts, StoreError> {
    let query = diesel::insert_into(code_numbers::table)
        .values((code_numbers::phone.eq(phone), code_numbers::counts.eq("{}"), code_numbers::updated_at.eq(now)))
        .on_conflict(code_numbers::phone)
        .do_update()
        .set(code_numbers::updated_at.eq(now))
        .returning(code_numbers::counts);
    let text: String = on!(*conn, c => query.get_result(c).await)?;
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Unreadable { table: "code_numbers", reason: error.to_string() })
}

pub(super) async fn save_counts(conn: &mut Conn, phone: &str, counts: &CodeCounts) -> Result<(), StoreError> {
    let text = json!(counts).to_string();
    let row = diesel::update(code_numbers::table.filter(code_numbers::phone.eq(phone)));
    let query = row.set(code_numbers::counts.eq(text));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

fn entry(action: &'static str, owner: &NumberOwner) -> Entry {
    Entry::new(action, owner.sender).of_reseller(&owner.reseller).of_business(&owner.business)
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Fixture, Tree, both},
        *,
    };

    fn arrival(business: &BusinessId, phone: &str, text: String, at: Millis) -> NewPretendMessage {
        NewPretendMessage {
            id: ulid::Ulid::generate().to_string(),
            business_id: business.key().to_owned(),
            phone: phone.to_owned(),
            shown_from: "Waystation".to_owned(),
            text,
            at,
            arrived_at: at,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pretend_phone_keeps_its_latest_messages_for_a_day() {
        for Fixture { store, .. } in &both().await {
            let (own, other) = (Tree::plant(store).await, Tree::plant(store).await);
            let now = PRETEND_MESSAGES_LIFE_MS;
            // Ids of one millisecond are in no order.
            let text = |turn: i64| format!("message {turn}");
            for turn in 0..PRETEND_MESSAGES_MAX + 7 {
                let id = format!("{turn:026}");
                let message = arrival(&own.business, "15550001111", text(turn), now + turn);
                let mut conn = store.pools.begin().await.unwrap();
                let kept = insert_pretend_messages(&mut conn, &[NewPretendMessage { id, ..message }]).await;
                conn.finish(kept).await.unwrap();
            }
            let beside = [
                arrival(&own.business, "15550002222", "another phone".to_owned(), now),
                arrival(&other.business, "15550001111", "another business".to_owned(), now),
            ];
            let mut conn = store.pools.begin().await.unwrap();
            let kept = insert_pretend_messages(&mut conn, &beside).await;
            conn.finish(kept).await.unwrap();

            let of = async |subtree: Subtree, now| store.pretend_messages(&subtree, "15550001111", now).await.unwrap();
            let there = of(Subtree::Business(own.business.clone()), now).await;
            assert_eq!(i64::try_from(there.len()).unwrap(), PRETEND_MESSAGES_MAX);
            assert_eq!(there[0].text, text(PRETEND_MESSAGES_MAX + 6), "the newest comes first");
            assert_eq!(of(Subtree::Business(other.business.clone()), now).await.len(), 1);
            assert_eq!(of(Subtree::Reseller(other.reseller.clone()), now).await[0].text, "another business");
            assert_eq!(of(Subtree::Reseller(ResellerId::generate()), now).await.len(), 0);
            store.forget_numbers(now + PRETEND_MESSAGES_LIFE_MS + 10).await.unwrap();
            let left = of(Subtree::Business(own.business.clone()), now).await;
            assert_eq!(left.last().unwrap().text, text(11), "{}", store.kind());
        }
    }
}
