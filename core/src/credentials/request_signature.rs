//! Signatures of requests: a request that was altered on its way, or is sent again later
//! than [`SKEW_MAX_SECONDS`], does not pass, even for somebody who knows the key.
//!
//! Signed are method, path with query, timestamp and body, one after the other with a new
//! line between them, by HMAC-SHA256 with a signing secret of the business. Every live
//! secret is taken, so that one can take over from the other.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{
    clock::Millis,
    error::{ApiError, ErrorKind},
};

/// The header with the time of signing, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-waystation-timestamp";
/// The header with the signature: `v1=` and 64 hexadecimal digits.
pub const SIGNATURE_HEADER: &str = "x-waystation-signature";
/// How far the time of signing may be from ours, in seconds.
pub const SKEW_MAX_SECONDS: i64 = 300;
const VERSION: &str = "v1=";

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'r> {
    /// The method, in upper case.
    pub method: &'r str,
    /// The path with its query, as it was sent.
    pub path: &'r str,
    /// The value of [`TIMESTAMP_HEADER`].
    pub timestamp: &'r str,
    /// The body.
    pub body: &'r [u8],
}

impl Signed<'_> {
    /// The value of [`SIGNATURE_HEADER`] by `secret`.
    #[must_use]
    pub fn by(&self, secret: &str) -> String {
        format!("{VERSION}{}", hex::encode(self.mac(secret)))
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, secret: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        for part in [self.method, self.path, self.timestamp] {
            mac.update(part.as_bytes());
            mac.update(b"\n");
        }
        mac.update(self.body);
        mac.finalize().into_bytes().into()
    }

    /// Checks `signature` against every secret of `secrets`.
    ///
    /// # Errors
    /// [`ErrorKind::SignatureInvalid`] with what is wrong.
    pub fn verify(&self, signature: &str, secrets: &[String], now: Millis) -> Result<(), ApiError> {
        let refuse = |details: String| Err(ApiError::new(ErrorKind::SignatureInvalid, details));
        let Ok(at) = self.timestamp.parse::<i64>() else {
            return refuse(format!("{TIMESTAMP_HEADER} must be the seconds since 1970."));
        };
        let skew = at.saturating_sub(now / 1_000);
        if skew.unsigned_abs() > SKEW_MAX_SECONDS.unsigned_abs() {
            let details = format!("It was signed {skew} seconds from now; at most {SKEW_MAX_SECONDS} are allowed.");
            return refuse(details);
        }
        let given = signature.strip_prefix(VERSION).and_then(|digits| hex::decode(digits).ok());
        let Some(given) = given.filter(|given| given.len() == 32) else {
            return refuse(format!("{SIGNATURE_HEADER} must be \"{VERSION}\" and 64 hexadecimal digits."));
        };
        // All of them, so that the time taken says nothing of which one fits.
        let fits = secrets.iter().fold(false, |fits, secret| fits | bool::from(self.mac(secret).ct_eq(&given)));
        if fits {
            return Ok(());
        }
        refuse("It does not match method, path, timestamp and body under a live signing secret.".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_every_part_of_the_request_and_its_time() {
        let now = 1_700_000_000_000;
        let request = Signed { method: "POST", path: "/v1/messages?x=1", timestamp: "1700000000", body: b"{}" };
        let secrets = ["new".to_owned(), "old".to_owned()];
        for secret in &secrets {
            assert_eq!(request.verify(&request.by(secret), &secrets, now), Ok(()));
        }
        let signature = request.by("new");
        for altered in [
            Signed { method: "PUT", ..request },
            Signed { path: "/v1/messages?x=2", ..request },
            Signed { timestamp: "1700000001", ..request },
            Signed { body: b"{ }", ..request },
        ] {
            assert!(altered.verify(&signature, &secrets, now).is_err(), "{altered:?}");
        }
        assert!(request.verify(&request.by("other"), &secrets, now).is_err());
        for (seconds, passes) in [(-301, false), (-300, true), (300, true), (301, false)] {
            assert_eq!(request.verify(&signature, &secrets, now + seconds * 1_000).is_ok(), passes, "{seconds}");
        }
        for nonsense in ["", "v1=", "v1=00", "v2=00", &"0".repeat(64)] {
            assert!(request.verify(nonsense, &secrets, now).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_signature_matches_a_value_computed_with_openssl() {
        // printf 'POST\n/v1/messages\n1700000000\n{}' | openssl dgst -sha256 -hmac secret
        let request = Signed { method: "POST", path: "/v1/messages", timestamp: "1700000000", body: b"{}" };
        assert_eq!(request.by("secret"), EXPECTED);
    }

    const EXPECTED: &str = "v1=6870dd90e5d387c82185614179205d12dbac1fdddf0a1b94b3d3c5dd0fd04919";
}
