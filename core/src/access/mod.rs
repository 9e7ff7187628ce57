//! Who may open the dashboard: a one-time link opens a session, and both are kept
//! as hashes only.

use crate::{
    clock::Millis,
    credentials::{Issued, KeyHash},
    store::{Store, StoreError},
};

/// How long a sign-in link can be used, in milliseconds.
pub const LINK_LIFE_MS: Millis = 24 * 60 * 60 * 1_000;
/// How long a session lasts, in milliseconds.
pub const SESSION_LIFE_MS: Millis = 12 * 60 * 60 * 1_000;

/// Issues a link for `user`: what goes behind `token=` in the address.
///
/// # Errors
/// The database's.
pub async fn issue_link(store: &Store, user: &str, now: Millis) -> Result<Issued, StoreError> {
    let token = Issued::token();
    store.add_sign_in_link(&token.hash(), user, now + LINK_LIFE_MS).await?;
    Ok(token)
}

/// Uses a link up and opens a session; `None` when the link is unknown, used or too
/// old.
///
/// # Errors
/// The database's.
pub async fn open_session(store: &Store, link: &str, now: Millis) -> Result<Option<Issued>, StoreError> {
    let Some(user) = store.use_sign_in_link(&KeyHash::of(link), now).await? else {
        return Ok(None);
    };
    let token = Issued::token();
    store.add_session(&token.hash(), &user, now, now + SESSION_LIFE_MS).await?;
    Ok(Some(token))
}

/// The user of a session, if it is open.
///
/// # Errors
/// The database's.
pub async fn session_user(store: &Store, session: &str, now: Millis) -> Result<Option<String>, StoreError> {
    store.session_user(&KeyHash::of(session), now).await
}

/// Ends a session; ending one that is over is no error.
///
/// # Errors
/// The database's.
pub async fn end_session(store: &Store, session: &str) -> Result<(), StoreError> {
    store.end_session(&KeyHash::of(session)).await
}
