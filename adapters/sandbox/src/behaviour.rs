//! Guarantee: the last four digits of a number decide alone how its pretend phone behaves.

use serde_json::json;
use waystation_adapter_sdk::UpstreamError;

/// How a pretend phone, or the pretend network before it, behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// `0001` and every other number: delivered, read. That it was sent is what the answer said.
    Reads,
    /// `0002`: delivered.
    DeliveredOnly,
    /// `0003`: read; the delivery is never reported.
    ReadOnly,
    /// `0004`: read, delivered, sent, in this order.
    Reversed,
    /// `0005`: every receipt is there before the send is answered.
    StatusFirst,
    /// `0006`: every receipt comes twice.
    Duplicated,
    /// `0007`: accepted, then nothing.
    Silent,
    /// `0026`, `0047`, `0049`, `0050`: accepted, then failed with code 131026, 131047, 131049, 131050.
    Fails(i64),
    /// `0056`: the pair rate limit, at the first attempt and for a second after acceptance.
    PairLimited,
    /// `0429`: the sender's rate limit, for two seconds after acceptance.
    SenderLimited,
    /// `0500`: an error of the network at the first two attempts.
    FailsTwice,
    /// `0190`: the access token has expired.
    TokenExpired,
}

impl Behaviour {
    /// The behaviour of the phone with this number; of a recipient without one, the usual.
    #[must_use]
    pub fn of(phone: Option<&str>) -> Self {
        let phone = phone.unwrap_or_default();
        let suffix = phone.len().checked_sub(4).and_then(|start| phone.get(start..)).unwrap_or_default();
        match suffix {
            "0002" => Self::DeliveredOnly,
            "0003" => Self::ReadOnly,
            "0004" => Self::Reversed,
            "0005" => Self::StatusFirst,
            "0006" => Self::Duplicated,
            "0007" => Self::Silent,
            "0026" => Self::Fails(131_026),
            "0047" => Self::Fails(131_047),
            "0049" => Self::Fails(131_049),
            "0050" => Self::Fails(131_050),
            "0056" => Self::PairLimited,
            "0429" => Self::SenderLimited,
            "0500" => Self::FailsTwice,
            "0190" => Self::TokenExpired,
            _ => Self::Reads,
        }
    }
}

pub(crate) const TOKEN_EXPIRED: i64 = 190;
pub(crate) const SENDER_LIMIT: i64 = 130_429;
pub(crate) const SOMETHING_WENT_WRONG: i64 = 131_000;
pub(crate) const SERVICE_UNAVAILABLE: i64 = 131_016;
pub(crate) const PAIR_LIMIT: i64 = 131_056;

/// Title and details of the codes the pretend network knows.
const ERRORS: [(i64, &str, &str); 9] = [
    (TOKEN_EXPIRED, "Access token expired", "The access token has expired or is invalid."),
    (SENDER_LIMIT, "Rate limit hit", "The message throughput of this number has been reached."),
    (SOMETHING_WENT_WRONG, "Something went wrong", "The message was not sent because of an unknown error."),
    (SERVICE_UNAVAILABLE, "Service unavailable", "A service is temporarily unavailable."),
    (
        131_026,
        "Message undeliverable",
        "The number is not on WhatsApp, has not accepted its terms, or has an old client.",
    ),
    (131_047, "Re-engagement message", "More than 24 hours have passed since the recipient last wrote to this number."),
    (
        131_049,
        "Not delivered to maintain healthy ecosystem engagement",
        "The recipient's limit of marketing messages has been reached.",
    ),
    (131_050, "User stopped marketing messages", "The recipient has stopped marketing messages from this business."),
    (PAIR_LIMIT, "Pair rate limit hit", "Too many messages from this number to this recipient in a short time."),
];

/// The network's error with this code, with the error object as a real one would send it.
pub(crate) fn error(code: i64) -> UpstreamError {
    let (title, details) = ERRORS
        .iter()
        .find(|(known, ..)| *known == code)
        .map_or(("Unknown error", "The sandbox has no text for this code."), |(_, title, details)| (*title, *details));
    UpstreamError { raw: Some(as_json(code, title, details)), ..UpstreamError::with_code(code, title).details(details) }
}

fn as_json(code: i64, title: &str, details: &str) -> serde_json::Value {
    json!({"code": code, "title": title, "message": title, "error_data": {"details": details}})
}
