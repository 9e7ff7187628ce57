//! Secrets that we issue: each is shown once. What lets somebody in is kept as a hash,
//! what signs is kept sealed, so that neither a copy of the database nor a log gives one
//! away.
//!
//! A key has 256 random bits, so a plain SHA-256 is enough: there is no dictionary
//! to try, and a slow hash would only slow every request.
//!
//! Three kinds: API keys, which a program sends as they are; OAuth clients, whose secret is
//! exchanged for short-lived access tokens; and signing secrets, which are never sent and
//! sign webhooks to a business and, where it wants that, its requests to us.

mod issuing;
pub mod request_signature;

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::tenancy::Mode;

/// Random bytes in an API key, a sign-in link and a session.
const SECRET_BYTES: usize = 32;
/// How much of a key's random part stays visible, in characters.
const VISIBLE_CHARS: usize = 6;
/// What an access token begins with.
pub(crate) const ACCESS_TOKEN_PREFIX: &str = "ws_at_";

pub use issuing::{
    AccessToken, Credentials, GRACE_DEFAULT_MS, GRACE_MAX_MS, Grant, GrantRequest, KEYS_MAX_PER_OWNER, TOKEN_LIFE_MS,
};
pub(crate) use issuing::{new_signing_secret, seal_clear_secrets, signing_secret_context};

/// Fills `bytes` from the operating system's generator.
///
/// # Panics
/// When the operating system has no randomness to give: nothing could be issued safely.
#[expect(clippy::expect_used, reason = "there is no safe way on without randomness")]
pub fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// SHA-256 of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of `secret`.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// As 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// A secret on its way to the person it is for. Prints only its beginning.
#[derive(Clone)]
pub struct Issued {
    secret: String,
    visible_chars: usize,
}

impl Issued {
    /// A new API key of a business: `ws_live_` or `ws_test_` and 43 characters.
    #[must_use]
    pub fn api_key(mode: Mode) -> Self {
        Self::with_prefix(match mode {
            Mode::Live => "ws_live_",
            Mode::Test => "ws_test_",
        })
    }

    /// A new API key of a reseller.
    #[must_use]
    pub fn reseller_key() -> Self {
        Self::with_prefix("ws_reseller_")
    }

    /// A new secret of an OAuth client.
    #[must_use]
    pub fn client_secret() -> Self {
        Self::with_prefix("ws_secret_")
    }

    /// A new access token.
    #[must_use]
    pub fn access_token() -> Self {
        Self::with_prefix(ACCESS_TOKEN_PREFIX)
    }

    /// A new secret without a prefix, for links and sessions.
    #[must_use]
    pub fn token() -> Self {
        Self::with_prefix("")
    }

    fn with_prefix(prefix: &str) -> Self {
        let mut bytes = [0; SECRET_BYTES];
        fill_random(&mut bytes);
        Self {
            secret: format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)),
            visible_chars: prefix.len() + VISIBLE_CHARS,
        }
    }

    /// The secret itself: to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.secret
    }

    /// What may be shown later, to tell keys apart.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.secret[..self.visible_chars]
    }

    /// What is kept.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.secret)
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.prefix())
    }
}

/// A new app secret: 32 hexadecimal digits, as the Cloud API has them.
#[must_use]
pub fn app_secret() -> String {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_its_beginning_only() {
        let key = Issued::api_key(Mode::Live);
        assert!(key.reveal().starts_with("ws_live_"));
        assert_eq!(key.reveal().len(), 8 + 43);
        assert!(!format!("{key:?}").contains(&key.reveal()[14..]));
        assert_ne!(key.hash(), Issued::api_key(Mode::Live).hash());
    }
}
