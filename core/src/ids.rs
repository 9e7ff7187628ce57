//! Ids that cannot be mistaken for one another, sort by creation, and keep the
//! shapes that Cloud API client libraries rely on.
//!
//! Rows are keyed by ULIDs: 26 characters, sortable, unique without a
//! coordinator. The outer form adds the prefix of the kind, so that a log line or
//! a support ticket says what it names. Accounts, senders and templates are
//! numbers instead: clients of the Cloud API expect digits, and at least one reads
//! them as a double, hence the bound of 2^53.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length in characters of an id without its prefix.
pub const ULID_LENGTH_CHARS: usize = 26;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: expected {shape}")]
pub struct InvalidId {
    kind: &'static str,
    shape: &'static str,
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// What the outer form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id; ids made later sort later, to the millisecond.
            #[must_use]
            pub fn generate() -> Self {
                Self(ulid::Ulid::generate().to_string().into_boxed_str())
            }

            /// A new id of something that came about at `at`; ids of later times sort later.
            #[must_use]
            pub fn generate_at(at: crate::clock::Millis) -> Self {
                let random = ulid::Ulid::generate().random();
                let id = ulid::Ulid::from_parts(u64::try_from(at).unwrap_or(0), random);
                Self(id.to_string().into_boxed_str())
            }

            /// The id as rows carry it: 26 characters, no prefix.
            #[must_use]
            pub fn key(&self) -> &str {
                &self.0
            }

            /// An id as read from a row.
            #[must_use]
            pub fn from_key(key: impl Into<Box<str>>) -> Self {
                Self(key.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .filter(|key| is_ulid(key))
                    .map(Self::from_key)
                    .ok_or(InvalidId {
                        kind: $kind,
                        shape: concat!("\"", $prefix, "\" and 26 characters"),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

text_ids! {
    /// An outbound message. The prefix is the one that Cloud API clients look for.
    MessageId, "message", "wamid.";
    /// A one-time password; says nothing about its code.
    OneTimePasswordId, "one-time password", "otp_";
    /// A reseller.
    ResellerId, "reseller", "rs_";
    /// A client business.
    BusinessId, "business", "biz_";
    /// An API key; says nothing about its secret.
    ApiKeyId, "API key", "key_";
    /// An OAuth client: its client id.
    ClientId, "client", "client_";
    /// A secret that signs a business's webhooks; says nothing about the secret.
    SigningSecretId, "signing secret", "sec_";
    /// A case of suspected abuse.
    CaseId, "case", "case_";
    /// A tenant's webhook endpoint.
    EndpointId, "endpoint", "ep_";
    /// One delivery of one event to one endpoint: the `webhook-id` that repeats
    /// on every try, so that a receiver can tell a repeat.
    DeliveryId, "delivery", "evt_";
    /// A user of the dashboard.
    UserId, "user", "usr_";
    /// A session of the dashboard; says nothing about its token.
    SessionId, "session", "ses_";
    /// A stored callback of a network.
    CallbackId, "callback", "cb_";
    /// A verification document of a business.
    DocumentId, "document", "doc_";
    /// A person that a business writes to.
    ContactId, "contact", "con_";
    /// What a person agreed to, or took back.
    ConsentId, "consent", "cst_";
    /// Somebody who must not be written to.
    SuppressionId, "suppression", "sup_";
    /// A table of contacts that was read in.
    ImportId, "import", "imp_";
    /// One time that a business was handed in for review.
    SubmissionId, "submission", "sub_";
    /// An upload that may be resumed. The prefix is the one that Cloud API clients see.
    UploadId, "upload", "upload:";
}

fn is_ulid(text: &str) -> bool {
    text.len() == ULID_LENGTH_CHARS && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// Numbers are drawn from `[10^14, 10^15)`: always fifteen digits, below 2^53.
const NUMBER_FLOOR: u64 = 100_000_000_000_000;
const NUMBER_SPAN: u64 = 900_000_000_000_000;

macro_rules! number_ids {
    ($($(#[$doc:meta])* $name:ident, $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl $name {
            /// A new random number of fifteen digits.
            #[must_use]
            pub fn generate() -> Self {
                Self(random_number())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let digits = !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit());
                digits
                    .then(|| text.parse().ok())
                    .flatten()
                    .map(Self)
                    .ok_or(InvalidId { kind: $kind, shape: "up to sixteen digits" })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

number_ids! {
    /// A sender: what the Cloud API calls a phone number id.
    SenderId, "phone number";
    /// An account: what the Cloud API calls a WhatsApp Business Account.
    AccountId, "account";
    /// A template in one language.
    TemplateId, "template";
    /// A file that was uploaded or received.
    MediaId, "media";
}

fn random_number() -> i64 {
    let mut bytes = [0; 8];
    crate::credentials::fill_random(&mut bytes);
    i64::try_from(NUMBER_FLOOR + u64::from_le_bytes(bytes) % NUMBER_SPAN).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_outer_form_and_from_no_other_kind() {
        let id = MessageId::generate();
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert!(id.to_string().parse::<EndpointId>().is_err());
        assert!(id.key().parse::<MessageId>().is_err());
        assert!("wamid.short".parse::<MessageId>().is_err());
        assert!("wamid.01JDAAAAAAAAAAAAAAAAAAAA'; ".parse::<MessageId>().is_err());
    }

    #[test]
    fn numbers_are_digits_below_two_to_the_53() {
        for _ in 0..1_000 {
            let id = SenderId::generate();
            assert!(id.0 < 1 << 53);
            assert_eq!(id.to_string().len(), 15);
        }
        assert!("-1".parse::<SenderId>().is_err());
        assert!("+1".parse::<SenderId>().is_err());
        assert!("".parse::<SenderId>().is_err());
    }
}
