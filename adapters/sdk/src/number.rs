//! Guarantee: what shows whose a phone number is crosses the boundary as one of these, and never shows in a debug output.
//!
//! Two ways lead there. An adapter with a network of its own that knows numbers (the official upstream) has that network
//! send and check its code: [`request_code`], [`verify_code`], [`register`]. Any adapter that reaches people may carry a
//! code of the host's: [`deliver_code`]. All answer with the same two types, so that further operations on numbers fit
//! in without another kind of answer.
//!
//! [`request_code`]: crate::TransportAdapter::request_code
//! [`verify_code`]: crate::TransportAdapter::verify_code
//! [`register`]: crate::TransportAdapter::register
//! [`deliver_code`]: crate::TransportAdapter::deliver_code

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::io::HttpError;
use crate::types::{Sender, UpstreamError};

/// How a code reaches a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeMethod {
    /// A short message.
    Sms,
    /// A call that reads it out.
    Voice,
    /// A WhatsApp message.
    Whatsapp,
}

/// A code or PIN. Does not show in a debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(String);

impl Code {
    /// The digits.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Code {
    fn from(digits: String) -> Self {
        Self(digits)
    }
}

impl From<&str> for Code {
    fn from(digits: &str) -> Self {
        Self(digits.to_owned())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Code(..)")
    }
}

/// A code of the host's, to be brought to a phone.
#[derive(Clone, Serialize, Deserialize)]
pub struct CodeDelivery {
    /// Opaque reference of this delivery; give it to the network if it can carry one.
    pub reference: String,
    /// How: one of [`crate::Capabilities::delivers_codes`].
    pub method: CodeMethod,
    /// The phone: digits with the country code, no `+`.
    pub phone: String,
    /// The code.
    pub code: Code,
    /// The language to put it in, such as `en_US`.
    pub language: String,
    /// The code in a sentence, in that language or in English, for networks that carry any text.
    pub text: String,
    /// Who the host says it is from, for people.
    pub from: String,
    /// The settings for this adapter of the sender whose number it is, if that sender uses it.
    #[serde(default)]
    pub connection: Value,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

impl fmt::Debug for CodeDelivery {
    /// Shows neither the code nor the sentence around it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CodeDelivery")
            .field("reference", &self.reference)
            .field("method", &self.method)
            .field("language", &self.language)
            .finish_non_exhaustive()
    }
}

/// The network is to send its own code to a sender's number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodeRequest {
    /// Whose number.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// How.
    pub method: CodeMethod,
    /// The language, such as `en_US`.
    pub language: String,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// The network is to check the code that it sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodeCheck {
    /// Whose number.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// What the person read on the phone.
    pub code: Code,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// A verified number is to be registered for sending.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registration {
    /// Whose number.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// The PIN of the number's two-step verification: six digits.
    pub pin: Code,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// An operation on a number was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NumberDone {
    /// The network's reference of what it did, where it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
}

/// Why an operation on a number was not done. The variant decides what the person is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberError {
    /// This adapter does no such thing.
    Unsupported,
    /// The code is not the one that was sent, or its time is over.
    WrongCode {
        /// What was said.
        error: UpstreamError,
    },
    /// Too much for this number at once.
    RateLimited {
        /// Not before so many milliseconds; unknown when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
        /// What was said.
        error: UpstreamError,
    },
    /// The network will not do it as it is.
    Rejected {
        /// What was said.
        error: UpstreamError,
    },
    /// The network did not do it, and may later.
    Unavailable {
        /// What was said.
        error: UpstreamError,
        /// Whether a person must act first (an expired token, a locked account).
        needs_operator: bool,
    },
    /// The network may have done it; nobody here knows.
    Ambiguous {
        /// What happened.
        error: UpstreamError,
    },
}

impl NumberError {
    /// What was said, whatever follows from it.
    #[must_use]
    pub fn error(&self) -> Option<&UpstreamError> {
        match self {
            Self::Unsupported => None,
            Self::WrongCode { error }
            | Self::RateLimited { error, .. }
            | Self::Rejected { error }
            | Self::Unavailable { error, .. }
            | Self::Ambiguous { error } => Some(error),
        }
    }
}

impl fmt::Display for NumberError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unsupported => "not supported",
            Self::WrongCode { .. } => "wrong code",
            Self::RateLimited { .. } => "rate limited",
            Self::Rejected { .. } => "rejected",
            Self::Unavailable { .. } => "unavailable",
            Self::Ambiguous { .. } => "ambiguous",
        })?;
        self.error().map_or(Ok(()), |error| write!(out, ": {error}"))
    }
}

impl std::error::Error for NumberError {}

impl From<HttpError> for NumberError {
    /// A request that was not sent may be tried again; of one that may have arrived, nothing is known.
    fn from(failure: HttpError) -> Self {
        match failure {
            HttpError::NotSent { details } => Self::Unavailable {
                error: UpstreamError::new("The request was not sent").details(details),
                needs_operator: false,
            },
            HttpError::Unknown { details } => {
                Self::Ambiguous { error: UpstreamError::new("The request has no answer").details(details) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_shows_in_no_debug_output() {
        let delivery: CodeDelivery = serde_json::from_value(serde_json::json!({
            "reference": "r", "method": "sms", "phone": "15550000001", "code": "987654", "language": "en",
            "text": "987654 is your code", "from": "Waystation", "at_ms": 0,
        }))
        .unwrap();
        let sender = Sender { id: "1".to_owned(), phone: "15550000001".to_owned() };
        let check = CodeCheck { sender, connection: Value::Null, code: "987654".into(), at_ms: 0 };
        assert!(!format!("{delivery:?} {check:?}").contains("987654"));
        assert_eq!(delivery.code.reveal(), "987654");
        assert_eq!(serde_json::to_value(&check).unwrap()["code"], "987654");
    }

    #[test]
    fn a_request_that_may_have_arrived_is_ambiguous() {
        let not_sent = NumberError::from(HttpError::NotSent { details: "no route".to_owned() });
        assert!(matches!(not_sent, NumberError::Unavailable { needs_operator: false, .. }));
        let unknown = NumberError::from(HttpError::Unknown { details: "reset".to_owned() });
        assert!(matches!(unknown, NumberError::Ambiguous { .. }));
        assert_eq!(serde_json::to_value(NumberError::Unsupported).unwrap(), "unsupported");
    }
}
