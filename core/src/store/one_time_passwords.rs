//! One-time passwords.
//!
//! A try is taken before a code is compared, so that tries at the same time count each. What
//! falls back is decided, and its message written, in one transaction: once, however many
//! processes look.

use diesel::{ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;

use super::{
    NewMessage, Store, StoreError,
    connection::{Conn, on},
    messages::insert_messages,
    numbers::{lock_counts, save_counts},
    schema::{messages, one_time_passwords, templates},
};
use crate::{
    clock::Millis,
    codes::CODE_TRIES_MAX,
    ids::{AccountId, BusinessId, MessageId, OneTimePasswordId, SenderId},
    messages::{Category, sealed::SEALED_BODY, state::State},
    queue::Job,
};

/// The category of the templates that bring one-time passwords, as the Cloud API has it.
const AUTHENTICATION: &str = "AUTHENTICATION";
/// How long it is known of a password that it is over, in milliseconds.
const OVER_LIFE_MS: Millis = 24 * 60 * 60 * 1_000;

/// A password on its way into the database.
#[derive(Debug, Insertable)]
#[diesel(table_name = one_time_passwords)]
pub(crate) struct NewOneTimePassword {
    pub(crate) id: String,
    pub(crate) business_id: String,
    pub(crate) recipient: String,
    /// The sealed fingerprint of the code.
    pub(crate) sealed: Vec<u8>,
    pub(crate) tries: i32,
    /// The message that brings it.
    pub(crate) message_id: String,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) fallback_at: Option<Millis>,
    pub(crate) fallback_sender_id: Option<i64>,
    pub(crate) fallback_message_id: Option<String>,
    pub(crate) fallback_sealed: Option<Vec<u8>>,
}

/// A try at a password.
#[derive(Debug)]
pub(crate) enum Try {
    /// One was taken, and so many are left: compare.
    Taken { sealed: Vec<u8>, left: i32 },
    /// Its time is over.
    Expired { left: i32 },
    /// It was right once.
    Used { left: i32 },
    /// None is left.
    Exhausted,
    /// The business has no such password.
    Unknown,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = one_time_passwords)]
struct Due {
    id: String,
    business_id: String,
    recipient: String,
    message_id: String,
    expires_at: Millis,
    fallback_sender_id: Option<i64>,
    fallback_message_id: Option<String>,
    fallback_sealed: Option<Vec<u8>>,
}

impl Store {
    /// Name and language of the oldest authentication template of `account`, those in use
    /// before all others, in `language` if that is given.
    pub(crate) async fn authentication_template(
        &self,
        account: AccountId,
        language: Option<&str>,
    ) -> Result<Option<(String, String)>, StoreError> {
        let mut conn = self.pools.read().await?;
        on!(conn, c => {
            let mut query = templates::table
                .filter(templates::account_id.eq(account.0))
                .filter(templates::category.eq(AUTHENTICATION))
                .order((templates::used_state.is_null(), templates::created_at, templates::id))
                .select((templates::name, templates::language))
                .into_boxed();
            if let Some(language) = language {
                query = query.filter(templates::language.eq(language.to_owned()));
            }
            Ok(query.first(c).await.optional()?)
        })
    }

    /// Counts a password to its recipient and keeps it; the inner error says from when on one
    /// may be sent.
    pub(crate) async fn add_one_time_password(
        &self,
        password: NewOneTimePassword,
    ) -> Result<Result<(), Millis>, StoreError> {
        // Each business counts for itself: none can use up another's.
        let counted = format!("{}:{}", password.business_id, password.recipient);
        let now = password.created_at;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let mut counts = lock_counts(&mut conn, &counted, now).await?;
            if let Err(free_at) = counts.send_password(now) {
                return Ok(Err(free_at));
            }
            save_counts(&mut conn, &counted, &counts).await?;
            let query = diesel::insert_into(one_time_passwords::table).values(password);
            on!(conn, c => query.execute(c).await)?;
            Ok(Ok(()))
        }
        .await;
        conn.finish(result).await
    }

    /// Deletes a password whose message was not accepted. It stays counted.
    pub(crate) async fn remove_one_time_password(&self, id: &OneTimePasswordId) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::delete(one_time_passwords::table.filter(one_time_passwords::id.eq(id.key())));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Takes one try at a password of `business`.
    pub(crate) async fn try_one_time_password(
        &self,
        business: &BusinessId,
        id: &OneTimePasswordId,
        now: Millis,
    ) -> Result<Try, StoreError> {
        let mut conn = self.pools.write().await?;
        let own = one_time_passwords::table
            .filter(one_time_passwords::id.eq(id.key()))
            .filter(one_time_passwords::business_id.eq(business.key()));
        let live = own
            .filter(one_time_passwords::tries.lt(CODE_TRIES_MAX))
            .filter(one_time_passwords::expires_at.gt(now))
            .filter(one_time_passwords::verified_at.is_null());
        let query = diesel::update(live)
            .set(one_time_passwords::tries.eq(one_time_passwords::tries + 1))
            .returning((one_time_passwords::sealed, one_time_passwords::tries));
        let taken: Option<(Vec<u8>, i32)> = on!(conn, c => query.get_result(c).await.optional())?;
        if let Some((sealed, tries)) = taken {
            return Ok(Try::Taken { sealed, left: CODE_TRIES_MAX - tries });
        }
        let query = own.select((
            one_time_passwords::tries,
            one_time_passwords::verified_at.is_not_null(),
            one_time_passwords::expires_at,
        ));
        let over: Option<(i32, bool, Millis)> = on!(conn, c => query.first(c).await.optional())?;
        Ok(match over {
            None => Try::Unknown,
            Some((tries, true, _)) => Try::Used { left: CODE_TRIES_MAX - tries },
            Some((tries, _, expires_at)) if expires_at <= now => Try::Expired { left: CODE_TRIES_MAX - tries },
            Some(_) => Try::Exhausted,
        })
    }

    /// Uses a password up. False when it was used meanwhile.
    pub(crate) async fn use_one_time_password(&self, id: &OneTimePasswordId, now: Millis) -> Result<bool, StoreError> {
        let mut conn = self.pools.write().await?;
        let unused = one_time_passwords::table
            .filter(one_time_passwords::id.eq(id.key()))
            .filter(one_time_passwords::verified_at.is_null());
        let query = diesel::update(unused).set((
            one_time_passwords::verified_at.eq(Some(now)),
            one_time_passwords::fallback_at.eq(None::<Millis>),
            one_time_passwords::fallback_sealed.eq(None::<Vec<u8>>),
        ));
        Ok(on!(conn, c => query.execute(c).await)? == 1)
    }

    /// Writes the messages of up to `limit` passwords whose fallback is due and that nobody
    /// got. Returns how many were looked at, and the messages' jobs.
    pub(crate) async fn fall_back(&self, now: Millis, limit: i64) -> Result<(usize, Vec<Job>), StoreError> {
        let mut conn = self.pools.read().await?;
        let waiting = one_time_passwords::table.filter(one_time_passwords::fallback_at.le(now));
        // Mostly there are none: then nobody waits for the one writer.
        let first = waiting.select(one_time_passwords::id);
        if on!(conn, c => first.first::<String>(c).await.optional())?.is_none() {
            return Ok((0, Vec::new()));
        }
        drop(conn);
        let mut conn = self.pools.begin().await?;
        let result = fall_back(&mut conn, now, limit, self.shard).await;
        conn.finish(result).await
    }

    /// Deletes passwords of which nobody needs to know any more.
    pub(crate) async fn forget_one_time_passwords(&self, now: Millis) -> Result<usize, StoreError> {
        let mut conn = self.pools.write().await?;
        let old = one_time_passwords::table.filter(one_time_passwords::expires_at.le(now - OVER_LIFE_MS));
        Ok(on!(conn, c => diesel::delete(old).execute(c).await)?)
    }
}

async fn fall_back(conn: &mut Conn, now: Millis, limit: i64, shard: i32) -> Result<(usize, Vec<Job>), StoreError> {
    // For each database, since only one of them locks rows.
    macro_rules! waiting {
        () => {
            one_time_passwords::table
                .filter(one_time_passwords::fallback_at.le(now))
                .order(one_time_passwords::fallback_at)
                .limit(limit)
                .select(Due::as_select())
        };
    }
    let due: Vec<Due> = match conn {
        Conn::Pg(c) => waiting!().for_update().skip_locked().load(&mut ***c).await?,
        // The one writer is the lock.
        Conn::Sqlite(c) => waiting!().load(&mut **c).await?,
    };
    let got = [State::Delivered, State::Read, State::Played].map(State::code);
    let first_tries: Vec<&str> = due.iter().map(|due| due.message_id.as_str()).collect();
    let undelivered = messages::table
        .filter(messages::id.eq_any(first_tries))
        .filter(messages::state.ne_all(got))
        .select(messages::id);
    let undelivered: Vec<String> = on!(*conn, c => undelivered.load(c).await)?;
    let looked_at: Vec<String> = due.iter().map(|due| due.id.clone()).collect();
    let falling: Vec<NewMessage> = due
        .into_iter()
        .filter(|due| due.expires_at > now && undelivered.contains(&due.message_id))
        .filter_map(|due| due.message(now))
        .collect();
    let job = |message: &NewMessage| Job {
        lane: message.sender_id.to_string().into(),
        id: message.id.key().into(),
        due_ms: now,
    };
    let jobs = falling.iter().map(job).collect();
    insert_messages(conn, falling, shard).await?;
    let decided = one_time_passwords::table.filter(one_time_passwords::id.eq_any(&looked_at));
    let query = diesel::update(decided).set((
        one_time_passwords::fallback_at.eq(None::<Millis>),
        one_time_passwords::fallback_sealed.eq(None::<Vec<u8>>),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok((looked_at.len(), jobs))
}

impl Due {
    /// The message that brings the same code by another way.
    fn message(self, now: Millis) -> Option<NewMessage> {
        Some(NewMessage {
            id: MessageId::from_key(self.fallback_message_id?),
            business_id: BusinessId::from_key(self.business_id),
            sender_id: SenderId(self.fallback_sender_id?),
            recipient: self.recipient,
            kind: "text",
            category: Category::Authentication,
            template: None,
            scheduled: None,
            body: SEALED_BODY.to_owned(),
            rendered: String::new(),
            sealed: Some(self.fallback_sealed?),
            callback_data: None,
            accepted_at: now,
            expires_at: self.expires_at,
            routing: None,
            idempotency: None,
        })
    }
}
