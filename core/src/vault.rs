//! Encryption at rest: what is sealed can be opened only with a key that is not in the
//! database, only in the context it was sealed for, and not at all once a bit of it has
//! changed.
//!
//! AES-256-GCM with a random nonce; the context (which row, which column) is bound as
//! associated data, so a sealed value that is copied to another row does not open there.
//! The sealed form names its key, so that a new key can take over while the old one still
//! opens what it sealed.

use std::{fmt, sync::Arc};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};

use crate::credentials::fill_random;

/// Length of a key, in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of the name of a key in a sealed value, in bytes.
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
/// What a sealed value begins with. Never zero: that marks a value in the clear that an
/// older version left.
const FORMAT: u8 = 1;
/// What a value in the clear begins with.
const CLEAR: u8 = 0;

/// A key that values are sealed with.
#[derive(Clone)]
pub struct VaultKey([u8; KEY_BYTES]);

impl VaultKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_BYTES];
        fill_random(&mut bytes);
        Self(bytes)
    }

    /// The key that these bytes are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be kept where the database is not.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn id(&self) -> [u8; KEY_ID_BYTES] {
        let digest = Sha256::new().chain_update(b"waystation vault key\0").chain_update(self.0).finalize();
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        id
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultKey({})", hex::encode(self.id()))
    }
}

/// Why a sealed value does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It was sealed with a key that is not among ours.
    #[error("it was sealed with the key {0}, which this process does not have")]
    UnknownKey(String),
    /// It was changed, or belongs elsewhere.
    #[error("it was altered, or was sealed for another place")]
    Altered,
    /// It is not a sealed value.
    #[error("it is not a sealed value")]
    NotSealed,
}

struct Cipher {
    id: [u8; KEY_ID_BYTES],
    cipher: Aes256Gcm,
}

/// Seals and opens. Clones share the keys.
#[derive(Clone)]
pub struct Vault {
    /// The first one seals; all of them open.
    ciphers: Arc<[Cipher]>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.key_id())
    }
}

impl Vault {
    /// A vault that seals with `key` and opens what `key` or one of `older` sealed.
    #[must_use]
    pub fn new(key: &VaultKey, older: &[VaultKey]) -> Self {
        let ciphers = std::iter::once(key)
            .chain(older)
            .map(|key| Cipher { id: key.id(), cipher: Aes256Gcm::new(&key.0.into()) })
            .collect();
        Self { ciphers }
    }

    /// A vault with a key that nobody keeps.
    #[must_use]
    pub fn for_tests() -> Self {
        Self::new(&VaultKey::generate(), &[])
    }

    /// The name of the key that seals: eight hexadecimal digits.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.ciphers[0].id)
    }

    /// The names of all keys that open.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        self.ciphers.iter().map(|cipher| hex::encode(cipher.id)).collect()
    }

    /// Seals `plain` for `context`, a text that names the one place where it belongs.
    ///
    /// # Panics
    /// For more bytes than AES-GCM can seal at once (64 GiB).
    #[must_use]
    #[expect(clippy::expect_used, reason = "AES-GCM refuses nothing that fits into memory here")]
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let with = &self.ciphers[0];
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce);
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        let sealed = with.cipher.encrypt(&Nonce::from(nonce), payload).expect("AES-GCM seals");
        let mut value = Vec::with_capacity(1 + KEY_ID_BYTES + NONCE_BYTES + sealed.len());
        value.push(FORMAT);
        value.extend_from_slice(&with.id);
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);
        value
    }

    /// Opens what was sealed for `context`.
    ///
    /// # Errors
    /// [`VaultError`] says why it does not open.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let rest = sealed.strip_prefix(&[FORMAT]).ok_or(VaultError::NotSealed)?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or(VaultError::NotSealed)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::NotSealed)?;
        let with = self.ciphers.iter().find(|cipher| cipher.id == *id);
        let with = with.ok_or_else(|| VaultError::UnknownKey(hex::encode(id)))?;
        let payload = Payload { msg: rest, aad: context.as_bytes() };
        with.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| VaultError::Altered)
    }

    /// Whether `sealed` was sealed with the key that seals now.
    pub(crate) fn sealed_by_first(&self, sealed: &[u8]) -> bool {
        sealed.get(1..=KEY_ID_BYTES).is_some_and(|id| *id == self.ciphers[0].id)
    }

    /// What an older version left in the clear, if `value` is that.
    pub(crate) fn clear(value: &[u8]) -> Option<&[u8]> {
        value.strip_prefix(&[CLEAR])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let vault = Vault::for_tests();
        let sealed = vault.seal("secret:1", b"hunter2");
        assert_eq!(vault.open("secret:1", &sealed).unwrap(), b"hunter2");
        assert_eq!(vault.open("secret:2", &sealed), Err(VaultError::Altered));
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(sealed, vault.seal("secret:1", b"hunter2"), "each has a nonce of its own");
    }

    #[test]
    fn no_bit_of_a_sealed_value_can_change_unnoticed() {
        let vault = Vault::for_tests();
        let sealed = vault.seal("c", b"x");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(vault.open("c", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(vault.open("c", &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_new_key_takes_over_and_the_old_one_still_opens() {
        let (old, new) = (VaultKey::generate(), VaultKey::generate());
        let before = Vault::new(&old, &[]).seal("c", b"x");
        let both = Vault::new(&new, std::slice::from_ref(&old));
        assert_eq!(both.open("c", &before).unwrap(), b"x");
        let only_new = Vault::new(&new, &[]);
        assert_eq!(only_new.open("c", &both.seal("c", b"y")).unwrap(), b"y");
        let error = only_new.open("c", &before).unwrap_err();
        assert_eq!(error, VaultError::UnknownKey(Vault::new(&old, &[]).key_id()));
        assert!(!format!("{old:?} {both:?}").contains(&hex::encode(old.bytes())));
    }
}
