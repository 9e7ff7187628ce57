//! Users of the dashboard: their links, sessions, second factors and failed tries. Of
//! links, tokens and recovery codes only hashes are kept.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, Queryable,
    result::DatabaseErrorKind,
};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::{
    Store, StoreError,
    audit::append,
    connection::{Conn, on},
    schema::{recovery_codes, sessions, sign_in_links, sign_in_tries, users},
};
use crate::{
    access::{
        AccessError, LINK_LIFE_MS, MEMORY_MS, Meter, Role, RoleKind, SESSIONS_MAX, Session, SessionView, Stage, User,
    },
    audit::{Actor, Entry},
    clock::Millis,
    credentials::KeyHash,
    ids::{BusinessId, ResellerId, SessionId, UserId},
    paging::{Page, Paging},
    tenancy::Subtree,
};

/// A user to be added.
pub(crate) struct NewUser {
    pub(crate) id: UserId,
    pub(crate) email: Option<String>,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) reseller: Option<ResellerId>,
}

/// A session to be added.
pub(crate) struct NewSession {
    pub(crate) id: SessionId,
    pub(crate) hash: KeyHash,
    pub(crate) stage: Stage,
    pub(crate) address: Option<String>,
    pub(crate) device: String,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Millis,
}

/// A password to be set, with the address it goes with.
pub(crate) struct PasswordChange {
    pub(crate) email: String,
    pub(crate) hash: String,
}

#[derive(Queryable)]
struct StoredUser {
    id: String,
    email: Option<String>,
    name: String,
    role: String,
    reseller_id: Option<String>,
    business_id: Option<String>,
    has_password: bool,
    has_two_factor: bool,
    created_at: Millis,
    seen_at: Option<Millis>,
}

/// The columns of a [`StoredUser`].
macro_rules! user_columns {
    () => {
        (
            users::id,
            users::email,
            users::name,
            users::role,
            users::reseller_id,
            users::business_id,
            users::password_hash.is_not_null(),
            users::totp_secret.is_not_null(),
            users::created_at,
            users::seen_at,
        )
    };
}

impl TryFrom<StoredUser> for User {
    type Error = StoreError;

    fn try_from(row: StoredUser) -> Result<Self, StoreError> {
        let reseller = row.reseller_id.map(ResellerId::from_key);
        let role = match (RoleKind::parse(&row.role), &reseller, row.business_id) {
            (Some(RoleKind::PlatformOwner), ..) => Role::PlatformOwner,
            (Some(RoleKind::Reviewer), ..) => Role::Reviewer,
            (Some(RoleKind::ResellerAdmin), Some(reseller), _) => Role::ResellerAdmin(reseller.clone()),
            (Some(RoleKind::BusinessOwner), _, Some(business)) => Role::BusinessOwner(BusinessId::from_key(business)),
            _ => {
                let reason = format!("role {} of {}", row.role, row.id);
                return Err(StoreError::Unreadable { table: "users", reason });
            }
        };
        Ok(Self {
            id: UserId::from_key(row.id),
            email: row.email,
            name: row.name,
            role,
            reseller,
            has_password: row.has_password,
            has_two_factor: row.has_two_factor,
            created_at: row.created_at,
            seen_at: row.seen_at,
        })
    }
}

#[derive(Queryable)]
struct StoredSession {
    id: String,
    stage: String,
    pending_secret: Option<Vec<u8>>,
    seen_at: Millis,
}

/// An entry about a user, in the subtree that they belong to.
pub(crate) fn about(user: &User, action: &'static str) -> Entry {
    let mut entry = Entry::new(action, &user.id);
    entry.reseller.clone_from(&user.reseller);
    if let Role::BusinessOwner(business) = &user.role {
        entry.business = Some(business.clone());
    }
    entry
}

// Users.
impl Store {
    /// Adds a user with a link.
    pub(crate) async fn add_user(
        &self,
        by: &Actor,
        user: &NewUser,
        link: &KeyHash,
        now: Millis,
    ) -> Result<(), AccessError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            insert_user(&mut conn, by, user, now).await?;
            insert_link(&mut conn, &user.id, link, false, now).await
        }
        .await;
        conn.finish(result).await.map_err(taken)
    }

    /// Adds a link for the first platform owner, and `first` when there is none.
    pub(crate) async fn add_owner_link(
        &self,
        by: &Actor,
        first: &NewUser,
        link: &KeyHash,
        resets_two_factor: bool,
        now: Millis,
    ) -> Result<(), AccessError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let owner =
                users::table.filter(users::role.eq(RoleKind::PlatformOwner.name())).order(users::id).select(users::id);
            let id: Option<String> = on!(conn, c => owner.first(c).await.optional())?;
            let id = match id {
                Some(id) => UserId::from_key(id),
                None => {
                    insert_user(&mut conn, by, first, now).await?;
                    first.id.clone()
                }
            };
            insert_link(&mut conn, &id, link, resets_two_factor, now).await?;
            let after = json!({ "resets_two_factor": resets_two_factor });
            append(&mut conn, by, Entry::new("user.link_issued", &id).after(after), now).await
        }
        .await;
        Ok(conn.finish(result).await?)
    }

    /// Adds a link for `user`, in place of those of before.
    pub(crate) async fn add_sign_in_link(
        &self,
        by: &Actor,
        user: &User,
        link: &KeyHash,
        resets_two_factor: bool,
        now: Millis,
    ) -> Result<(), AccessError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            insert_link(&mut conn, &user.id, link, resets_two_factor, now).await?;
            let after = json!({ "resets_two_factor": resets_two_factor });
            append(&mut conn, by, about(user, "user.link_issued").after(after), now).await
        }
        .await;
        Ok(conn.finish(result).await?)
    }

    /// Users of `within`, newest first.
    pub(crate) async fn users(&self, within: &Subtree, paging: &Paging) -> Result<Page<User>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = users::table
            .filter(users::id.lt(paging.after.as_deref().unwrap_or("~")))
            .order(users::id.desc())
            .limit(paging.rows())
            .select(user_columns!());
        let rows: Vec<StoredUser> = match within {
            Subtree::Platform => on!(conn, c => query.load(c).await)?,
            Subtree::Reseller(reseller) => {
                let query = query.filter(users::reseller_id.eq(reseller.key()));
                on!(conn, c => query.load(c).await)?
            }
            Subtree::Business(business) => {
                let query = query.filter(users::business_id.eq(business.key()));
                on!(conn, c => query.load(c).await)?
            }
        };
        let users = rows.into_iter().map(User::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(users, paging, |user| user.id.key().to_owned()))
    }

    /// A user of `within`.
    pub(crate) async fn user(&self, within: &Subtree, id: &UserId) -> Result<Option<User>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = users::table.filter(users::id.eq(id.key())).select(user_columns!());
        let row: Option<StoredUser> = on!(conn, c => query.first(c).await.optional())?;
        let user = row.map(User::try_from).transpose()?;
        Ok(user.filter(|user| match within {
            Subtree::Platform => true,
            Subtree::Reseller(reseller) => user.reseller.as_ref() == Some(reseller),
            Subtree::Business(business) => user.role == Role::BusinessOwner(business.clone()),
        }))
    }

    /// The user with this e-mail address, and the hash of their password.
    pub(crate) async fn user_to_sign_in(&self, email: &str) -> Result<Option<(User, Option<String>)>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = users::table.filter(users::email.eq(email)).select((user_columns!(), users::password_hash));
        let row: Option<(StoredUser, Option<String>)> = on!(conn, c => query.first(c).await.optional())?;
        row.map(|(user, hash)| Ok((user.try_into()?, hash))).transpose()
    }

    /// Removes a user; not when they are the last platform owner.
    pub(crate) async fn remove_user(&self, by: &Actor, user: &User, now: Millis) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            if user.role == Role::PlatformOwner {
                // Locks all of them, so that of two who remove each other one fails.
                let owners = diesel::update(users::table.filter(users::role.eq(RoleKind::PlatformOwner.name())))
                    .set(users::created_at.eq(users::created_at))
                    .returning(users::id);
                let left: Vec<String> = on!(conn, c => owners.get_results(c).await)?;
                if left.iter().all(|id| id == user.id.key()) {
                    return Ok(false);
                }
            }
            let query = diesel::delete(users::table.filter(users::id.eq(user.id.key())));
            on!(conn, c => query.execute(c).await)?;
            let before = json!({ "name": user.name, "email": user.email, "role": user.role.kind().name() });
            append(&mut conn, by, about(user, "user.removed").before(before), now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }
}

// Passwords and second factors.
impl Store {
    /// Whom a link signs in, if it still works.
    pub(crate) async fn sign_in_link_user(&self, link: &KeyHash, now: Millis) -> Result<Option<User>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = sign_in_links::table
            .inner_join(users::table.on(users::id.eq(sign_in_links::user_id)))
            .filter(sign_in_links::hash.eq(link.hex()))
            .filter(sign_in_links::expires_at.gt(now))
            .select(user_columns!());
        let row: Option<StoredUser> = on!(conn, c => query.first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// Uses a link up: sets the password, ends all sessions and adds `session`, of which
    /// the stage is answered. `None` when somebody else was faster; of two who come at
    /// once one gets in.
    pub(crate) async fn use_sign_in_link(
        &self,
        by: &Actor,
        link: &KeyHash,
        user: &User,
        change: &PasswordChange,
        mut session: NewSession,
        now: Millis,
    ) -> Result<Option<Stage>, AccessError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let live = sign_in_links::table
                .filter(sign_in_links::hash.eq(link.hex()))
                .filter(sign_in_links::user_id.eq(user.id.key()))
                .filter(sign_in_links::expires_at.gt(now));
            let query = diesel::delete(live).returning(sign_in_links::resets_two_factor);
            let resets: Option<bool> = on!(conn, c => query.get_result(c).await.optional())?;
            let Some(resets) = resets else { return Ok(None) };
            if resets {
                let none = (users::totp_secret.eq(None::<Vec<u8>>), users::totp_step.eq(None::<i64>));
                let query = diesel::update(users::table.filter(users::id.eq(user.id.key()))).set(none);
                on!(conn, c => query.execute(c).await)?;
                replace_recovery_codes(&mut conn, &user.id, &[]).await?;
            }
            let query = diesel::update(users::table.filter(users::id.eq(user.id.key())))
                .set((users::email.eq(Some(&change.email)), users::password_hash.eq(Some(&change.hash))))
                .returning(users::totp_secret.is_not_null());
            let has_two_factor: bool = on!(conn, c => query.get_result(c).await)?;
            delete_sessions(&mut conn, &user.id, None, None).await?;
            session.stage = if has_two_factor { Stage::SecondFactor } else { Stage::Enrol };
            insert_session(&mut conn, &user.id, &session).await?;
            let after = json!({ "by": "link", "two_factor_reset": resets });
            append(&mut conn, by, about(user, "user.password_set").after(after), now).await?;
            Ok(Some(session.stage))
        }
        .await;
        conn.finish(result).await.map_err(taken)
    }

    /// Sets the password and ends all sessions but this one.
    pub(crate) async fn set_password(
        &self,
        by: &Actor,
        session: &Session,
        hash: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        let user = &session.user;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let query = diesel::update(users::table.filter(users::id.eq(user.id.key())))
                .set(users::password_hash.eq(Some(hash)));
            on!(conn, c => query.execute(c).await)?;
            delete_sessions(&mut conn, &user.id, None, Some(&session.id)).await?;
            let after = json!({ "by": "password" });
            append(&mut conn, by, about(user, "user.password_set").after(after), now).await
        }
        .await;
        conn.finish(result).await
    }

    /// Turns the pending secret of `session` into the user's second factor and the session
    /// into an open one with the token `token`; the user's other sessions end. `false`
    /// when the session is over.
    pub(crate) async fn set_two_factor(
        &self,
        by: &Actor,
        session: &Session,
        step: i64,
        recovery: &[String],
        (token, expires_at): (&KeyHash, Millis),
        now: Millis,
    ) -> Result<bool, StoreError> {
        let user = &session.user;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let this = sessions::table
                .filter(sessions::id.eq(session.id.key()))
                .filter(sessions::pending_secret.eq(&session.pending_secret));
            let query = diesel::update(this).set((
                sessions::hash.eq(token.hex()),
                sessions::stage.eq(Stage::Open.name()),
                sessions::pending_secret.eq(None::<Vec<u8>>),
                sessions::seen_at.eq(now),
                sessions::expires_at.eq(expires_at),
            ));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            let query = diesel::update(users::table.filter(users::id.eq(user.id.key()))).set((
                users::totp_secret.eq(&session.pending_secret),
                users::totp_step.eq(Some(step)),
                users::seen_at.eq(Some(now)),
            ));
            on!(conn, c => query.execute(c).await)?;
            replace_recovery_codes(&mut conn, &user.id, recovery).await?;
            delete_sessions(&mut conn, &user.id, None, Some(&session.id)).await?;
            append(&mut conn, by, about(user, "user.two_factor_set"), now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// The sealed secret of the user's second factor.
    pub(crate) async fn two_factor_secret(&self, user: &UserId) -> Result<Option<Vec<u8>>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = users::table.filter(users::id.eq(user.key())).select(users::totp_secret);
        let secret: Option<Option<Vec<u8>>> = on!(conn, c => query.first(c).await.optional())?;
        Ok(secret.flatten())
    }

    /// Uses the code of a step up; `false` when it or a later one was used before.
    pub(crate) async fn use_two_factor_step(&self, user: &UserId, step: i64) -> Result<bool, StoreError> {
        let mut conn = self.pools.write().await?;
        let unused = users::table
            .filter(users::id.eq(user.key()))
            .filter(users::totp_step.is_null().or(users::totp_step.lt(step)));
        let query = diesel::update(unused).set(users::totp_step.eq(Some(step)));
        Ok(on!(conn, c => query.execute(c).await)? > 0)
    }

    /// Uses a recovery code up; `false` when there is none.
    pub(crate) async fn use_recovery_code(&self, user: &UserId, hash: &str) -> Result<bool, StoreError> {
        let mut conn = self.pools.write().await?;
        let code =
            recovery_codes::table.filter(recovery_codes::user_id.eq(user.key())).filter(recovery_codes::hash.eq(hash));
        let query = diesel::delete(code);
        Ok(on!(conn, c => query.execute(c).await)? > 0)
    }

    /// How many recovery codes the user has left.
    pub(crate) async fn recovery_codes_left(&self, user: &UserId) -> Result<i64, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = recovery_codes::table.filter(recovery_codes::user_id.eq(user.key())).count();
        Ok(on!(conn, c => query.get_result(c).await)?)
    }

    /// Replaces the user's recovery codes.
    pub(crate) async fn set_recovery_codes(
        &self,
        by: &Actor,
        user: &User,
        hashes: &[String],
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            replace_recovery_codes(&mut conn, &user.id, hashes).await?;
            append(&mut conn, by, about(user, "user.recovery_codes_renewed"), now).await
        }
        .await;
        conn.finish(result).await
    }
}

// Sessions.
impl Store {
    pub(crate) async fn add_session(&self, user: &UserId, session: NewSession) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        insert_session(&mut conn, user, &session).await
    }

    /// The session with this token that is not over and was used after `idle_since`, with
    /// the time when it was.
    pub(crate) async fn session(
        &self,
        token: &KeyHash,
        now: Millis,
        idle_since: Millis,
    ) -> Result<Option<(Session, Millis)>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = sessions::table
            .inner_join(users::table.on(users::id.eq(sessions::user_id)))
            .filter(sessions::hash.eq(token.hex()))
            .filter(sessions::expires_at.gt(now))
            .filter(sessions::seen_at.gt(idle_since))
            .select(((sessions::id, sessions::stage, sessions::pending_secret, sessions::seen_at), user_columns!()));
        let row: Option<(StoredSession, StoredUser)> = on!(conn, c => query.first(c).await.optional())?;
        let Some((session, user)) = row else { return Ok(None) };
        let stage = Stage::parse(&session.stage).ok_or_else(|| StoreError::Unreadable {
            table: "sessions",
            reason: format!("stage {} of {}", session.stage, session.id),
        })?;
        let (id, pending_secret) = (SessionId::from_key(session.id), session.pending_secret);
        Ok(Some((Session { id, user: user.try_into()?, stage, pending_secret }, session.seen_at)))
    }

    /// Notes that a session was used.
    pub(crate) async fn see_session(&self, id: &SessionId, now: Millis) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::update(sessions::table.filter(sessions::id.eq(id.key()))).set(sessions::seen_at.eq(now));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Opens a session under a new token; `false` when it is over. Of too many open ones
    /// those used least recently end.
    pub(crate) async fn open_session(
        &self,
        by: &Actor,
        session: &Session,
        (token, expires_at): (&KeyHash, Millis),
        entry: Entry,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let user = &session.user.id;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let this = sessions::table
                .filter(sessions::id.eq(session.id.key()))
                .filter(sessions::stage.eq(Stage::SecondFactor.name()));
            let query = diesel::update(this).set((
                sessions::hash.eq(token.hex()),
                sessions::stage.eq(Stage::Open.name()),
                sessions::seen_at.eq(now),
                sessions::expires_at.eq(expires_at),
            ));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            let query = diesel::update(users::table.filter(users::id.eq(user.key()))).set(users::seen_at.eq(Some(now)));
            on!(conn, c => query.execute(c).await)?;
            let query = sessions::table
                .filter(sessions::user_id.eq(user.key()))
                .order((sessions::seen_at.desc(), sessions::id.desc()))
                .select(sessions::id);
            let ids: Vec<String> = on!(conn, c => query.load(c).await)?;
            let over = ids.get(SESSIONS_MAX..).unwrap_or_default();
            if !over.is_empty() {
                let query = diesel::delete(sessions::table.filter(sessions::id.eq_any(over)));
                on!(conn, c => query.execute(c).await)?;
            }
            append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Keeps the sealed secret of a second factor that is being set up in a session.
    pub(crate) async fn set_pending_secret(&self, id: &SessionId, sealed: &[u8]) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::update(sessions::table.filter(sessions::id.eq(id.key())))
            .set(sessions::pending_secret.eq(Some(sealed)));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// The open sessions of a user that were used after `idle_since`, last used first.
    pub(crate) async fn sessions(
        &self,
        user: &UserId,
        now: Millis,
        idle_since: Millis,
    ) -> Result<Vec<SessionView>, StoreError> {
        type Row = (String, Option<String>, String, Millis, Millis, Millis);
        let mut conn = self.pools.read().await?;
        let query = sessions::table
            .filter(sessions::user_id.eq(user.key()))
            .filter(sessions::stage.eq(Stage::Open.name()))
            .filter(sessions::expires_at.gt(now))
            .filter(sessions::seen_at.gt(idle_since))
            .order((sessions::seen_at.desc(), sessions::id.desc()))
            .select((
                sessions::id,
                sessions::address,
                sessions::device,
                sessions::created_at,
                sessions::seen_at,
                sessions::expires_at,
            ));
        let rows: Vec<Row> = on!(conn, c => query.load(c).await)?;
        let view = |(id, address, device, created_at, seen_at, expires_at): Row| SessionView {
            id: SessionId::from_key(id),
            address,
            device,
            created_at,
            seen_at,
            expires_at,
        };
        Ok(rows.into_iter().map(view).collect())
    }

    pub(crate) async fn end_session(&self, token: &KeyHash) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::delete(sessions::table.filter(sessions::hash.eq(token.hex())));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Ends sessions of a user: only `which`, and all but `spared`. Answers how many.
    pub(crate) async fn end_sessions_of(
        &self,
        by: &Actor,
        user: &User,
        which: Option<&SessionId>,
        spared: Option<&SessionId>,
        now: Millis,
    ) -> Result<usize, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let ended = delete_sessions(&mut conn, &user.id, which, spared).await?;
            if ended > 0 {
                let after = json!({ "ended": ended });
                append(&mut conn, by, about(user, "user.sessions_ended").after(after), now).await?;
            }
            Ok(ended)
        }
        .await;
        conn.finish(result).await
    }

    /// Deletes links, sessions and failed tries whose time is over.
    pub(crate) async fn forget_access(&self, now: Millis) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let links = diesel::delete(sign_in_links::table.filter(sign_in_links::expires_at.le(now)));
        on!(conn, c => links.execute(c).await)?;
        let over = diesel::delete(sessions::table.filter(sessions::expires_at.le(now)));
        on!(conn, c => over.execute(c).await)?;
        let tries = diesel::delete(sign_in_tries::table.filter(sign_in_tries::tried_at.le(now - MEMORY_MS)));
        on!(conn, c => tries.execute(c).await)?;
        Ok(())
    }
}

// Tries.
impl Store {
    /// Charges a try to each meter and answers how long the next one has to wait; `Err`
    /// with how long when this one has to wait itself.
    pub(crate) async fn charge_tries(
        &self,
        mut meters: Vec<&Meter>,
        now: Millis,
    ) -> Result<Result<Millis, Millis>, StoreError> {
        // In one order, so that two who try at once never wait for each other.
        meters.sort_unstable();
        let mut conn = self.pools.begin().await?;
        let result = async {
            let (mut wait, mut failures) = (0, Vec::with_capacity(meters.len()));
            for meter in &meters {
                let new = diesel::insert_into(sign_in_tries::table)
                    .values((
                        sign_in_tries::name.eq(&meter.name),
                        sign_in_tries::failures.eq(0),
                        sign_in_tries::blocked_until.eq(0_i64),
                        sign_in_tries::tried_at.eq(now),
                    ))
                    .on_conflict_do_nothing();
                on!(conn, c => new.execute(c).await)?;
                let locked = diesel::update(sign_in_tries::table.filter(sign_in_tries::name.eq(&meter.name)))
                    .set(sign_in_tries::tried_at.eq(now))
                    .returning((sign_in_tries::failures, sign_in_tries::blocked_until));
                let (before, until): (i32, Millis) = on!(conn, c => locked.get_result(c).await)?;
                wait = wait.max(until - now);
                failures.push(before.saturating_add(1));
            }
            if wait > 0 {
                return Ok(Err(wait));
            }
            let mut next = 0;
            for (meter, failures) in meters.iter().zip(failures) {
                let wait = meter.wait_ms(failures);
                next = next.max(wait);
                let query = diesel::update(sign_in_tries::table.filter(sign_in_tries::name.eq(&meter.name)))
                    .set((sign_in_tries::failures.eq(failures), sign_in_tries::blocked_until.eq(now + wait)));
                on!(conn, c => query.execute(c).await)?;
            }
            Ok(Ok(next))
        }
        .await;
        conn.finish(result).await
    }

    /// After a try that was right: forgets all of `account`, and this one of `address`.
    pub(crate) async fn settle_tries(&self, account: &str, address: Option<&str>) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::delete(sign_in_tries::table.filter(sign_in_tries::name.eq(account)));
        on!(conn, c => query.execute(c).await)?;
        if let Some(address) = address {
            let charged =
                sign_in_tries::table.filter(sign_in_tries::name.eq(address)).filter(sign_in_tries::failures.gt(0));
            let query = diesel::update(charged)
                .set((sign_in_tries::failures.eq(sign_in_tries::failures - 1), sign_in_tries::blocked_until.eq(0_i64)));
            on!(conn, c => query.execute(c).await)?;
        }
        Ok(())
    }
}

async fn insert_user(conn: &mut Conn, by: &Actor, user: &NewUser, now: Millis) -> Result<(), StoreError> {
    let business = match &user.role {
        Role::BusinessOwner(business) => Some(business),
        _ => None,
    };
    let query = diesel::insert_into(users::table).values((
        users::id.eq(user.id.key()),
        users::email.eq(&user.email),
        users::name.eq(&user.name),
        users::role.eq(user.role.kind().name()),
        users::reseller_id.eq(user.reseller.as_ref().map(ResellerId::key)),
        users::business_id.eq(business.map(BusinessId::key)),
        users::created_at.eq(now),
    ));
    on!(*conn, c => query.execute(c).await)?;
    let mut entry = Entry::new("user.invited", &user.id);
    entry.reseller.clone_from(&user.reseller);
    entry.business = business.cloned();
    let after = json!({ "name": user.name, "email": user.email, "role": user.role.kind().name() });
    append(conn, by, entry.after(after), now).await
}

async fn insert_link(
    conn: &mut Conn,
    user: &UserId,
    link: &KeyHash,
    resets_two_factor: bool,
    now: Millis,
) -> Result<(), StoreError> {
    let before = diesel::delete(sign_in_links::table.filter(sign_in_links::user_id.eq(user.key())));
    on!(*conn, c => before.execute(c).await)?;
    let query = diesel::insert_into(sign_in_links::table).values((
        sign_in_links::hash.eq(link.hex()),
        sign_in_links::user_id.eq(user.key()),
        sign_in_links::resets_two_factor.eq(resets_two_factor),
        sign_in_links::expires_at.eq(now + LINK_LIFE_MS),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

async fn insert_session(conn: &mut Conn, user: &UserId, session: &NewSession) -> Result<(), StoreError> {
    let query = diesel::insert_into(sessions::table).values((
        sessions::id.eq(session.id.key()),
        sessions::hash.eq(session.hash.hex()),
        sessions::user_id.eq(user.key()),
        sessions::stage.eq(session.stage.name()),
        sessions::address.eq(&session.address),
        sessions::device.eq(&session.device),
        sessions::created_at.eq(session.created_at),
        sessions::seen_at.eq(session.created_at),
        sessions::expires_at.eq(session.expires_at),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

async fn delete_sessions(
    conn: &mut Conn,
    user: &UserId,
    which: Option<&SessionId>,
    spared: Option<&SessionId>,
) -> Result<usize, StoreError> {
    let of_user = sessions::table.filter(sessions::user_id.eq(user.key()));
    let ended = match which {
        Some(id) => {
            let query = diesel::delete(of_user.filter(sessions::id.eq(id.key())));
            on!(*conn, c => query.execute(c).await)?
        }
        None => {
            let query = diesel::delete(of_user.filter(sessions::id.ne(spared.map_or("", SessionId::key))));
            on!(*conn, c => query.execute(c).await)?
        }
    };
    Ok(ended)
}

async fn replace_recovery_codes(conn: &mut Conn, user: &UserId, hashes: &[String]) -> Result<(), StoreError> {
    let before = diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user.key())));
    on!(*conn, c => before.execute(c).await)?;
    for hash in hashes {
        let query = diesel::insert_into(recovery_codes::table)
            .values((recovery_codes::user_id.eq(user.key()), recovery_codes::hash.eq(hash)));
        on!(*conn, c => query.execute(c).await)?;
    }
    Ok(())
}

/// What is unique of a user is their address.
fn taken(error: StoreError) -> AccessError {
    match error {
        StoreError::Query(diesel::result::Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            AccessError::EmailTaken
        }
        error => error.into(),
    }
}
