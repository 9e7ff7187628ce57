//! The second factor: a time-based code (RFC 6238) that works once, or a recovery code
//! that works once.

use totp_rs::{Algorithm, Builder, Totp};

use super::AccessError;
use crate::{
    clock::Millis,
    credentials::{KeyHash, fill_random},
    ids::UserId,
};

/// Recovery codes that a person has.
pub const RECOVERY_CODES: usize = 10;
/// Who the code is for, as the person's app shows it.
const ISSUER: &str = "Waystation";
/// Bytes of a secret: as many as the hash has.
const SECRET_BYTES: usize = 20;
/// Digits of a code.
const CODE_DIGITS: u8 = 6;
/// How long a code lasts, in seconds.
const STEP_SECONDS: u64 = 30;
/// Steps by which the clocks may differ.
const SKEW_STEPS: u16 = 1;
/// Random bytes of a recovery code.
const RECOVERY_BYTES: usize = 10;
/// The alphabet of recovery codes: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// A secret that is being set up, to be shown to its person.
#[derive(Clone)]
pub struct NewSecret {
    /// In base32, for typing.
    pub text: String,
    /// As an `otpauth:` address, for a QR code.
    pub address: String,
}

/// The recovery codes of a person, to be shown once.
pub struct RecoveryCodes(Vec<String>);

impl RecoveryCodes {
    /// New ones.
    pub(super) fn generate() -> Self {
        Self((0..RECOVERY_CODES).map(|_| recovery_code()).collect())
    }

    /// The codes themselves.
    #[must_use]
    pub fn reveal(&self) -> &[String] {
        &self.0
    }

    /// What is kept.
    pub(super) fn hashes(&self, user: &UserId) -> Vec<String> {
        self.0.iter().filter_map(|code| recovery_hash(user, code)).collect()
    }
}

/// A new secret.
pub(super) fn new_secret() -> [u8; SECRET_BYTES] {
    let mut secret = [0; SECRET_BYTES];
    fill_random(&mut secret);
    secret
}

/// A secret as its person is shown it. `account` is what their app lists it under.
pub(super) fn show(secret: &[u8], account: &str) -> Result<NewSecret, AccessError> {
    let totp = totp(secret, account)?;
    let address = totp.to_url().map_err(|_| AccessError::Unreadable)?;
    Ok(NewSecret { text: totp.secret().to_base32(), address })
}

/// The step whose code this is, if it is one that holds at `now`.
pub(super) fn step_of(secret: &[u8], code: &str, now: Millis) -> Result<Option<i64>, AccessError> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != usize::from(CODE_DIGITS) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let seconds = u64::try_from(now / 1_000).unwrap_or(0);
    Ok(totp(secret, "")?.check(&code, seconds).and_then(|step| i64::try_from(step).ok()))
}

/// What is kept of a recovery code, if the text can be one.
pub(super) fn recovery_hash(user: &UserId, text: &str) -> Option<String> {
    let code: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    (code.len() == RECOVERY_BYTES * 8 / 5).then(|| KeyHash::of(&format!("{user} {code}")).hex())
}

fn totp(secret: &[u8], account: &str) -> Result<Totp, AccessError> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(CODE_DIGITS)
        .with_step_duration(STEP_SECONDS)
        .with_skew(SKEW_STEPS)
        .with_secret(secret.to_vec())
        .with_issuer(Some(ISSUER))
        // A colon would end the name.
        .with_account_name(account.replace(':', " "))
        .build()
        .map_err(|_| AccessError::Unreadable)
}

/// Four groups of four: 80 bits, so a plain hash gives none away.
fn recovery_code() -> String {
    let mut bytes = [0; RECOVERY_BYTES];
    fill_random(&mut bytes);
    let mut code = String::new();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = (held << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            if matches!(code.len(), 4 | 9 | 14) {
                code.push('-');
            }
            code.push(char::from(ALPHABET[(held >> bits) as usize & 31]));
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The secret of RFC 6238's test vectors.
    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn a_code_is_the_one_of_rfc_6238() {
        // The last six digits of the RFC's eight.
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(step_of(SECRET, code, seconds * 1_000).unwrap(), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_holds_one_step_to_either_side() {
        let at = |seconds: i64| step_of(SECRET, "081804", seconds * 1_000).unwrap();
        let step = 1_111_111_109 / 30;
        for (seconds, found) in
            [(step * 30 - 31, None), (step * 30 - 30, Some(step)), (step * 30 + 59, Some(step)), (step * 30 + 60, None)]
        {
            assert_eq!(at(seconds), found, "{seconds}");
        }
        assert_eq!(step_of(SECRET, " 081 804 ", step * 30_000).unwrap(), Some(step));
        for text in ["", "81804", "0818044", "08180x", "٠٨١٨٠٤"] {
            assert_eq!(step_of(SECRET, text, step * 30_000).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_shown_as_text_and_as_an_address() {
        let shown = show(SECRET, "ada:x@example.com").unwrap();
        assert_eq!(shown.text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(shown.address.starts_with("otpauth://totp/Waystation:ada%20x%40example.com?"), "{}", shown.address);
        assert!(shown.address.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
    }

    #[test]
    fn recovery_codes_are_all_different_and_read_however_they_are_typed() {
        let codes = RecoveryCodes::generate();
        let different: BTreeSet<&String> = codes.reveal().iter().collect();
        assert_eq!(different.len(), RECOVERY_CODES);
        let user = UserId::generate();
        let code = &codes.reveal()[0];
        assert_eq!(code.len(), 19);
        assert!(code.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{code}");
        let kept = recovery_hash(&user, code);
        assert!(kept.is_some());
        assert_eq!(recovery_hash(&user, &format!(" {} ", code.to_uppercase().replace('-', " "))), kept);
        assert_ne!(recovery_hash(&UserId::generate(), code), kept);
        assert_eq!(recovery_hash(&user, &code[..18]), None);
    }
}
