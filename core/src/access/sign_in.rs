//! The steps of getting in, and what a person does with their own account.
//!
//! Each step that succeeds gives the session a new token, so that a token which somebody
//! knew from before opens nothing more.

use super::{
    Access, AccessError, Meter, NewSecret, PENDING_LIFE_MS, RecoveryCodes, SEEN_STEP_MS, SESSION_IDLE_MS,
    SESSION_LIFE_MS, Session, SessionView, Stage, User, Visitor, email, passwords, secret_context, two_factor,
};
use crate::{
    audit::{Actor, ActorKind, Entry, Origin},
    clock::Millis,
    credentials::{Issued, KeyHash},
    ids::SessionId,
    store::{NewSession, PasswordChange, about},
};

/// A session that was opened, or taken one step further.
#[derive(Debug)]
pub struct Opened {
    /// Its token, for the browser.
    pub token: Issued,
    /// How far it has come.
    pub stage: Stage,
}

impl Access {
    /// Whom a link signs in, if it still works. Looking does not use it up.
    ///
    /// # Errors
    /// The database's.
    pub async fn link_user(&self, link: &str, now: Millis) -> Result<Option<User>, AccessError> {
        Ok(self.store.sign_in_link_user(&KeyHash::of(link), now).await?)
    }

    /// Uses a link up: sets the password and ends all sessions of before. `address` is
    /// the e-mail address to sign in with, for users that have none yet.
    ///
    /// # Errors
    /// [`AccessError::LinkRefused`], what is wrong with password or address; then the link
    /// still works.
    pub async fn use_link(
        &self,
        link: &str,
        address: Option<&str>,
        password: &str,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<Opened, AccessError> {
        let hash = KeyHash::of(link);
        let user = self.store.sign_in_link_user(&hash, now).await?.ok_or(AccessError::LinkRefused)?;
        let address = match &user.email {
            Some(address) => address.clone(),
            None => email(address.unwrap_or_default())?,
        };
        passwords::check(password, &[&user.name, &address])?;
        let (token, change) =
            (Issued::token(), PasswordChange { email: address, hash: passwords::hash(password).await? });
        let by = user.actor(&visitor.origin);
        let session = new_session(&token, Stage::SecondFactor, visitor, now);
        let stage = self.store.use_sign_in_link(&by, &hash, &user, &change, session, now).await?;
        Ok(Opened { token, stage: stage.ok_or(AccessError::LinkRefused)? })
    }

    /// The first step of signing in.
    ///
    /// # Errors
    /// [`AccessError::Refused`] in the same time whatever is wrong, and
    /// [`AccessError::TooMany`].
    pub async fn sign_in(
        &self,
        address: &str,
        password: &str,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<Opened, AccessError> {
        let address = address.trim().to_lowercase();
        let charged = self.charge(Meter::password(&address, visitor.origin.address), &visitor.origin, now).await?;
        let (user, hash) = self.store.user_to_sign_in(&address).await?.unzip();
        let right = passwords::verify(password, hash.flatten()).await?;
        let user = match user {
            Some(user) if right => user,
            user => return self.refuse(charged, &unknown(&visitor.origin), user.as_ref(), "password", now).await,
        };
        self.settle(charged).await?;
        let stage = if user.has_two_factor { Stage::SecondFactor } else { Stage::Enrol };
        let token = Issued::token();
        self.store.add_session(&user.id, new_session(&token, stage, visitor, now)).await?;
        Ok(Opened { token, stage })
    }

    /// The second step: a code of the app, or a recovery code.
    ///
    /// # Errors
    /// [`AccessError::Refused`] and [`AccessError::TooMany`].
    pub async fn second_factor(
        &self,
        session: &Session,
        code: &str,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<Opened, AccessError> {
        if session.stage != Stage::SecondFactor {
            return Err(AccessError::NotFound);
        }
        let with = self.check_code(&session.user, code, &visitor.origin, now).await?;
        let token = Issued::token();
        let entry = about(&session.user, "sign_in.succeeded").after(serde_json::json!({ "second_factor": with }));
        let by = session.user.actor(&visitor.origin);
        let moved = self.store.open_session(&by, session, (&token.hash(), now + SESSION_LIFE_MS), entry, now).await?;
        if moved { Ok(Opened { token, stage: Stage::Open }) } else { Err(AccessError::NotFound) }
    }

    /// The secret of a second factor that is being set up in this session; the same one
    /// until it is finished. A session that is open must have proved itself before, with
    /// [`Access::begin_new_two_factor`].
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when the session is not about that.
    pub async fn pending_secret(&self, session: &Session) -> Result<NewSecret, AccessError> {
        let secret = match (&session.pending_secret, session.stage) {
            (Some(sealed), _) => self.vault.open(&secret_context(&session.user.id), sealed)?,
            (None, Stage::Enrol) => self.keep_pending_secret(session).await?.to_vec(),
            (None, _) => return Err(AccessError::NotFound),
        };
        two_factor::show(&secret, session.user.email.as_deref().unwrap_or(&session.user.name))
    }

    /// Sets the second factor up: `code` proves that the person's app has the secret. Ends
    /// in an open session; the person's other sessions are over.
    ///
    /// # Errors
    /// [`AccessError::Refused`] and [`AccessError::TooMany`].
    pub async fn finish_two_factor(
        &self,
        session: &Session,
        code: &str,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<(Opened, RecoveryCodes), AccessError> {
        let sealed = session.pending_secret.as_ref().ok_or(AccessError::NotFound)?;
        let user = &session.user;
        let by = user.actor(&visitor.origin);
        let charged = self.charge(Meter::code(&user.id), &visitor.origin, now).await?;
        let secret = self.vault.open(&secret_context(&user.id), sealed)?;
        let Some(step) = two_factor::step_of(&secret, code, now)? else {
            return self.refuse(charged, &by, Some(user), "second_factor", now).await;
        };
        self.settle(charged).await?;
        let (token, codes) = (Issued::token(), RecoveryCodes::generate());
        let hashes = codes.hashes(&user.id);
        let opened = (&token.hash(), now + SESSION_LIFE_MS);
        if !self.store.set_two_factor(&by, session, step, &hashes, opened, now).await? {
            return Err(AccessError::NotFound);
        }
        Ok((Opened { token, stage: Stage::Open }, codes))
    }

    /// Begins to replace the second factor. Password and code show that it is the person,
    /// and not somebody at their open browser.
    ///
    /// # Errors
    /// [`AccessError::Refused`] and [`AccessError::TooMany`].
    pub async fn begin_new_two_factor(
        &self,
        session: &Session,
        password: &str,
        code: &str,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<(), AccessError> {
        self.check_password(&session.user, password, &visitor.origin, now).await?;
        self.check_code(&session.user, code, &visitor.origin, now).await?;
        self.keep_pending_secret(session).await?;
        Ok(())
    }

    /// Makes new recovery codes; those of before are void.
    ///
    /// # Errors
    /// [`AccessError::Refused`] and [`AccessError::TooMany`].
    pub async fn renew_recovery_codes(
        &self,
        session: &Session,
        password: &str,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<RecoveryCodes, AccessError> {
        self.check_password(&session.user, password, &visitor.origin, now).await?;
        let codes = RecoveryCodes::generate();
        let by = session.user.actor(&visitor.origin);
        self.store.set_recovery_codes(&by, &session.user, &codes.hashes(&session.user.id), now).await?;
        Ok(codes)
    }

    /// Changes the password; all other sessions of the person are over.
    ///
    /// # Errors
    /// [`AccessError::Refused`] for the present one, [`AccessError::Password`] for the new.
    pub async fn change_password(
        &self,
        session: &Session,
        present: &str,
        password: &str,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<(), AccessError> {
        let user = &session.user;
        let address = user.email.as_deref().unwrap_or_default();
        passwords::check(password, &[&user.name, address])?;
        self.check_password(user, present, &visitor.origin, now).await?;
        if present == password {
            return Err(passwords::PasswordFault::Unchanged.into());
        }
        let hash = passwords::hash(password).await?;
        Ok(self.store.set_password(&user.actor(&visitor.origin), session, &hash, now).await?)
    }

    /// The session that a token opens, whatever its stage. Notes that it was used.
    ///
    /// # Errors
    /// The database's.
    pub async fn session(&self, token: &str, now: Millis) -> Result<Option<Session>, AccessError> {
        let hash = KeyHash::of(token);
        let Some((session, seen_at)) = self.store.session(&hash, now, now - SESSION_IDLE_MS).await? else {
            return Ok(None);
        };
        if now - seen_at >= SEEN_STEP_MS {
            self.store.see_session(&session.id, now).await?;
        }
        Ok(Some(session))
    }

    /// The open sessions of the person whose `session` this is, last used first.
    ///
    /// # Errors
    /// The database's.
    pub async fn sessions(&self, session: &Session, now: Millis) -> Result<Vec<SessionView>, AccessError> {
        Ok(self.store.sessions(&session.user.id, now, now - SESSION_IDLE_MS).await?)
    }

    /// How many recovery codes the person has left.
    ///
    /// # Errors
    /// The database's.
    pub async fn recovery_codes_left(&self, session: &Session) -> Result<i64, AccessError> {
        Ok(self.store.recovery_codes_left(&session.user.id).await?)
    }

    /// Signs out. Ending a session that is over is no error.
    ///
    /// # Errors
    /// The database's.
    pub async fn sign_out(&self, token: &str) -> Result<(), AccessError> {
        Ok(self.store.end_session(&KeyHash::of(token)).await?)
    }

    /// Ends one of the person's own sessions.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when it is not one of them.
    pub async fn end_own_session(
        &self,
        session: &Session,
        which: &SessionId,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<(), AccessError> {
        let by = session.user.actor(&visitor.origin);
        let ended = self.store.end_sessions_of(&by, &session.user, Some(which), None, now).await?;
        if ended > 0 { Ok(()) } else { Err(AccessError::NotFound) }
    }

    /// Ends all of the person's sessions but this one.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_other_sessions(
        &self,
        session: &Session,
        visitor: &Visitor,
        now: Millis,
    ) -> Result<(), AccessError> {
        let by = session.user.actor(&visitor.origin);
        self.store.end_sessions_of(&by, &session.user, None, Some(&session.id), now).await?;
        Ok(())
    }

    async fn keep_pending_secret(&self, session: &Session) -> Result<[u8; 20], AccessError> {
        let secret = two_factor::new_secret();
        let sealed = self.vault.seal(&secret_context(&session.user.id), &secret);
        self.store.set_pending_secret(&session.id, &sealed).await?;
        Ok(secret)
    }

    /// Checks the password of somebody who is signed in already.
    async fn check_password(
        &self,
        user: &User,
        password: &str,
        origin: &Origin,
        now: Millis,
    ) -> Result<(), AccessError> {
        let address = user.email.as_deref().unwrap_or_default();
        let charged = self.charge(Meter::password(address, origin.address), origin, now).await?;
        let hash = self.store.user_to_sign_in(address).await?.and_then(|(_, hash)| hash);
        if !passwords::verify(password, hash).await? {
            return self.refuse(charged, &user.actor(origin), Some(user), "password", now).await;
        }
        self.settle(charged).await
    }

    /// Checks a second factor and uses it up; says which one it was.
    async fn check_code(
        &self,
        user: &User,
        code: &str,
        origin: &Origin,
        now: Millis,
    ) -> Result<&'static str, AccessError> {
        let charged = self.charge(Meter::code(&user.id), origin, now).await?;
        let Some(sealed) = self.store.two_factor_secret(&user.id).await? else { return Err(AccessError::NotFound) };
        let secret = self.vault.open(&secret_context(&user.id), &sealed)?;
        let right = match two_factor::step_of(&secret, code, now)? {
            Some(step) => self.store.use_two_factor_step(&user.id, step).await?.then_some("app"),
            None => match two_factor::recovery_hash(&user.id, code) {
                Some(hash) => self.store.use_recovery_code(&user.id, &hash).await?.then_some("recovery_code"),
                None => None,
            },
        };
        let Some(with) = right else {
            return self.refuse(charged, &user.actor(origin), Some(user), "second_factor", now).await;
        };
        self.settle(charged).await?;
        Ok(with)
    }

    /// Charges a try before it is looked at.
    async fn charge(&self, account: Meter, origin: &Origin, now: Millis) -> Result<Charged, AccessError> {
        let address = origin.address.map(Meter::address);
        let wait_ms = self.store.charge_tries(address.iter().chain([&account]).collect(), now).await?;
        let next_wait_ms = wait_ms.map_err(|wait_ms| AccessError::TooMany { wait_ms })?;
        Ok(Charged { account, address, next_wait_ms })
    }

    /// Forgives the account, and takes this one try off the address.
    async fn settle(&self, charged: Charged) -> Result<(), AccessError> {
        let address = charged.address.as_ref().map(|meter| meter.name.as_str());
        Ok(self.store.settle_tries(&charged.account.name, address).await?)
    }

    /// Notes a failure, with the wait that it costs and never with what was typed.
    async fn refuse<T>(
        &self,
        charged: Charged,
        by: &Actor,
        user: Option<&User>,
        wrong: &'static str,
        now: Millis,
    ) -> Result<T, AccessError> {
        let action = "sign_in.failed";
        let entry = user.map_or_else(|| Entry::new(action, ""), |user| about(user, action));
        let detail = serde_json::json!({ "wrong": wrong, "next_try_in_ms": charged.next_wait_ms });
        self.store.note(by, entry.after(detail), now).await?;
        Err(AccessError::Refused)
    }
}

/// A try that was charged and is not decided yet.
struct Charged {
    account: Meter,
    address: Option<Meter>,
    next_wait_ms: Millis,
}

/// Somebody who did not show who they are.
fn unknown(origin: &Origin) -> Actor {
    Actor { kind: ActorKind::User, name: "unknown".to_owned(), ..Actor::system() }.from(origin)
}

fn new_session(token: &Issued, stage: Stage, visitor: &Visitor, now: Millis) -> NewSession {
    NewSession {
        id: SessionId::generate(),
        hash: token.hash(),
        stage,
        address: visitor.origin.address.map(|address| address.to_string()),
        device: visitor.device.clone(),
        created_at: now,
        expires_at: now + PENDING_LIFE_MS,
    }
}
