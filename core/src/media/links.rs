//! Links that open one file for whoever has them, for a short time: sealed, so that they can
//! be neither made nor changed by anybody else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Chunks, File, Media};
use crate::{
    clock::{Millis, now_ms},
    error::{ApiError, ErrorKind},
    ids::{BusinessId, MediaId},
};

/// Shortest time that a link holds, in seconds.
pub const LINK_MIN_SECONDS: u32 = 5 * 60;
/// Longest time.
pub const LINK_MAX_SECONDS: u32 = 60 * 60;
/// The time when the request names none.
pub const LINK_DEFAULT_SECONDS: u32 = 15 * 60;

/// What a link is sealed for.
const CONTEXT: &str = "media link";
/// Longest token of a link, in characters.
const TOKEN_MAX_CHARS: usize = 200;

/// A link to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What stands in the address.
    pub token: String,
    /// Until when it holds.
    pub expires_at: Millis,
}

impl Media {
    /// A link to a file of the business that holds for so many seconds.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has none with this id; a time that is too short or too
    /// long.
    pub async fn link(&self, business: &BusinessId, id: MediaId, seconds: Option<u32>) -> Result<Link, ApiError> {
        let seconds = seconds.unwrap_or(LINK_DEFAULT_SECONDS);
        if !(LINK_MIN_SECONDS..=LINK_MAX_SECONDS).contains(&seconds) {
            let message = format!("must be from {LINK_MIN_SECONDS} to {LINK_MAX_SECONDS}, is {seconds}");
            return Err(ApiError::breach("?expires_in_seconds", message));
        }
        let file = self.get(business, id).await?;
        let expires_at = now_ms() + i64::from(seconds) * 1_000;
        Ok(Link { token: self.token(file.id, expires_at), expires_at })
    }

    fn token(&self, id: MediaId, expires_at: Millis) -> String {
        URL_SAFE_NO_PAD.encode(self.vault.seal(CONTEXT, format!("{id}.{expires_at}").as_bytes()))
    }

    /// The file behind a link, with its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a link that is not ours, was changed, or holds no longer, and
    /// for a file that is gone.
    pub async fn follow(
        &self,
        token: &str,
        range: impl FnOnce(&File) -> std::ops::Range<u64>,
    ) -> Result<(File, Chunks), ApiError> {
        let dead =
            || ApiError::new(ErrorKind::NotFound, "The link is not valid, or its time is over; ask for a new one.");
        let (id, expires_at) = self.opened(token).ok_or_else(dead)?;
        let now = now_ms();
        let stored = if expires_at > now { self.store.any_media(id).await? } else { None };
        let stored = stored.filter(|stored| stored.file.expires_at.is_none_or(|at| at > now)).ok_or_else(dead)?;
        self.bytes_of(stored, range).await
    }

    fn opened(&self, token: &str) -> Option<(MediaId, Millis)> {
        if token.len() > TOKEN_MAX_CHARS {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let text = String::from_utf8(self.vault.open(CONTEXT, &sealed).ok()?).ok()?;
        let (id, expires_at) = text.split_once('.')?;
        Some((id.parse().ok()?, expires_at.parse().ok()?))
    }

    #[cfg(test)]
    pub(super) fn token_for_tests(&self, id: MediaId, expires_at: Millis) -> String {
        self.token(id, expires_at)
    }
}
