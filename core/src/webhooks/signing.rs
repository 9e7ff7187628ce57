//! Two signatures over the bytes that are sent, with one secret: the Cloud API's
//! `X-Hub-Signature-256`, which existing receivers check, and the Standard Webhooks
//! headers, whose timestamp lets a receiver refuse replays.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `X-Hub-Signature-256`: HMAC-SHA256 over `body`, keyed with the app
/// secret.
#[must_use]
pub fn hub_signature(app_secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(hmac(app_secret.as_bytes(), &[body])))
}

/// The value of `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`, keyed with
/// the bytes of the app secret. Libraries that ask for a `whsec_` secret take
/// [`standard_secret`].
#[must_use]
pub fn standard_signature(app_secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    format!("v1,{}", STANDARD.encode(hmac(app_secret.as_bytes(), &signed)))
}

/// The value of `webhook-signature` by each of `secrets`, with blanks between them: a
/// receiver takes any that fits.
#[must_use]
pub fn standard_signatures(secrets: &[String], id: &str, timestamp: &str, body: &[u8]) -> String {
    secrets.iter().map(|secret| standard_signature(secret, id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

/// The app secret in the form that Standard Webhooks libraries read.
#[must_use]
pub fn standard_secret(app_secret: &str) -> String {
    format!("whsec_{}", STANDARD.encode(app_secret))
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_values_computed_with_openssl() {
        // printf 'hello' | openssl dgst -sha256 -hmac secret
        assert_eq!(
            hub_signature("secret", b"hello"),
            "sha256=88aab3ede8d3adf94d26ab90d3bafd4a2083070c3bcce9c014ee04a443847c0b"
        );
        // printf 'evt_1.1700000000.hello' | openssl dgst -sha256 -hmac secret -binary | base64
        assert_eq!(
            standard_signature("secret", "evt_1", "1700000000", b"hello"),
            "v1,uyKhgR4dBF4EcDC5VykjZ7AJ0XCuXWsxsGAMdn1fYhk="
        );
        assert_eq!(standard_secret("secret"), "whsec_c2VjcmV0");
    }
}
