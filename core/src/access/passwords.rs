//! A password is kept as an argon2id hash, and is refused when it would be guessed
//! first: too short, or little more than words that everybody tries.
//!
//! Hashing costs memory and time on purpose, so it runs on blocking threads, a few at
//! once: a flood of sign-ins waits for its turn instead of taking the server down.

use std::{sync::LazyLock, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::AccessError;
use crate::credentials::fill_random;

/// Fewest characters of a password.
pub const PASSWORD_MIN_CHARS: usize = 12;
/// Most characters of a password.
pub const PASSWORD_MAX_CHARS: usize = 128;
/// Characters that must be left of a password when the words that everybody tries, and
/// the person's own, are taken out; each counts once.
const OWN_MIN_CHARS: usize = 5;

// OWASP's recommendation for argon2id.
/// Memory of one hash, in KiB.
const HASH_MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const HASH_PASSES: u32 = 2;
/// Lanes of one hash.
const HASH_LANES: u32 = 1;
/// Bytes of salt.
const SALT_BYTES: usize = 16;

/// Hashes that are computed at once in this process.
const HASHES_AT_ONCE: usize = 4;
/// How long a hash waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(10);

static TURNS: Semaphore = Semaphore::const_new(HASHES_AT_ONCE);

/// Words that stolen lists of passwords are full of, longest first where one contains
/// another.
const COMMON: [&str; 69] = [
    "waystation",
    "whatsapp",
    "passwort",
    "password",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "pa55word",
    "contraseña",
    "contrasena",
    "motdepasse",
    "senha",
    "administrator",
    "admin",
    "root",
    "guest",
    "default",
    "changeme",
    "secret",
    "letmein",
    "welcome",
    "willkommen",
    "bienvenue",
    "hello",
    "login",
    "master",
    "qwertyuiop",
    "qwertyui",
    "qwertz",
    "qwerty",
    "azerty",
    "asdfghjkl",
    "asdfgh",
    "asdf",
    "zxcvbnm",
    "zxcvbn",
    "1q2w3e4r5t",
    "1q2w3e4r",
    "1qaz2wsx",
    "q1w2e3r4",
    "0123456789",
    "1234567890",
    "123456789",
    "12345678",
    "1234567",
    "123456",
    "12345",
    "1234",
    "9876543210",
    "987654321",
    "87654321",
    "654321",
    "abcdefgh",
    "abcdef",
    "abcd",
    "abc",
    "iloveyou",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "sunshine",
    "princess",
    "superman",
    "starwars",
    "summer",
    "winter",
    "spring",
    "autumn",
];

/// Why a password is refused, for the person who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// It is shorter than [`PASSWORD_MIN_CHARS`].
    #[error("must have at least {PASSWORD_MIN_CHARS} characters")]
    TooShort,
    /// It is longer than [`PASSWORD_MAX_CHARS`].
    #[error("must have at most {PASSWORD_MAX_CHARS} characters")]
    TooLong,
    /// Without common words it is next to nothing.
    #[error("is too easy to guess: it is little more than words that everybody tries, or your own name")]
    TooCommon,
    /// It is the one before.
    #[error("must be another one than before")]
    Unchanged,
}

/// Checks a password that is to be set. `own` is what is known of the person: name and
/// e-mail address.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(password: &str, own: &[&str]) -> Result<(), PasswordFault> {
    let chars = password.chars().count();
    if chars < PASSWORD_MIN_CHARS {
        return Err(PasswordFault::TooShort);
    }
    if chars > PASSWORD_MAX_CHARS {
        return Err(PasswordFault::TooLong);
    }
    let mut rest = password.to_lowercase();
    let own = own.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).map(str::to_lowercase);
    for word in COMMON.into_iter().map(str::to_owned).chain(own.filter(|word| word.chars().count() >= 3)) {
        rest = rest.replace(&word, "");
    }
    let mut left: Vec<char> = rest.chars().filter(|c| !c.is_whitespace()).collect();
    left.sort_unstable();
    left.dedup();
    if left.len() < OWN_MIN_CHARS { Err(PasswordFault::TooCommon) } else { Ok(()) }
}

/// The hash of a password, as rows carry it.
pub(super) async fn hash(password: &str) -> Result<String, AccessError> {
    let password = password.to_owned();
    in_turn(move || hash_now(&password)).await
}

/// Whether `password` is the one that `hash` was made of. Without a hash it takes as
/// long and is not: who asks for an account that is not there cannot tell.
pub(super) async fn verify(password: &str, hash: Option<String>) -> Result<bool, AccessError> {
    // More characters are nobody's password, and would only take longer.
    let password: String = password.chars().take(PASSWORD_MAX_CHARS + 1).collect();
    in_turn(move || {
        let known = hash.is_some();
        let hash = hash.as_deref().unwrap_or(&NOBODY);
        let parsed = PasswordHash::new(hash);
        known & parsed.is_ok_and(|parsed| hasher().verify_password(password.as_bytes(), &parsed).is_ok())
    })
    .await
}

/// A hash for accounts that are not there.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("nobody's password"));

#[expect(clippy::expect_used, reason = "the parameters are constants within argon2's bounds")]
fn hasher() -> Argon2<'static> {
    let params = Params::new(HASH_MEMORY_KIB, HASH_PASSES, HASH_LANES, None).expect("valid parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[expect(clippy::expect_used, reason = "a salt of this length and a password within bounds can be hashed")]
fn hash_now(password: &str) -> String {
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt);
    let hash: PasswordHash = hasher().hash_password_with_salt(password.as_bytes(), &salt).expect("a hash");
    hash.to_string()
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccessError> {
    let turn = tokio::time::timeout(TURN_MAX, TURNS.acquire()).await;
    let Ok(Ok(_turn)) = turn else { return Err(AccessError::Busy) };
    tokio::task::spawn_blocking(work).await.map_err(|_| AccessError::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [&str; 2] = ["Ada Lovelace", "ada.lovelace@example.com"];

    #[test]
    fn a_password_that_would_be_guessed_first_is_refused() {
        for (password, fault) in [
            ("short", PasswordFault::TooShort),
            ("elevenchars", PasswordFault::TooShort),
            ("passwordpassword", PasswordFault::TooCommon),
            ("Password1234", PasswordFault::TooCommon),
            ("123456789012", PasswordFault::TooCommon),
            ("qwertyuiop123", PasswordFault::TooCommon),
            ("Welcome2026!", PasswordFault::TooCommon),
            ("aaaaaaaaaaaaaaaa", PasswordFault::TooCommon),
            ("ababababababab", PasswordFault::TooCommon),
            ("AdaLovelace1234", PasswordFault::TooCommon),
            ("lovelace@example.com", PasswordFault::TooCommon),
            ("WaystationAdmin1", PasswordFault::TooCommon),
        ] {
            assert_eq!(check(password, &OWN), Err(fault), "{password}");
        }
        assert_eq!(check(&"long ".repeat(26), &OWN), Err(PasswordFault::TooLong));
    }

    #[test]
    fn a_password_of_ones_own_is_taken() {
        for password in ["correct horse battery staple", "тихий вечер у моря", "xK9#mQ2$vL7!", "my password is tulips"]
        {
            assert_eq!(check(password, &OWN), Ok(()), "{password}");
        }
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_only_and_no_two_are_alike() {
        let hash = hash("correct horse battery staple").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse battery staple", Some(hash.clone())).await.unwrap());
        assert!(!verify("correct horse battery stable", Some(hash.clone())).await.unwrap());
        assert!(!verify("correct horse battery staple", Some("not a hash".to_owned())).await.unwrap());
        assert!(!verify("nobody's password", None).await.unwrap());
        assert_ne!(super::hash("correct horse battery staple").await.unwrap(), hash);
    }
}
