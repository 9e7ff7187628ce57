//! How long somebody who wrote may be written to freely.
//!
//! Two rules of WhatsApp: 24 hours from the last thing that a person sent; and 72 hours from the answer to somebody who
//! came by an advertisement or a page's button, if that answer left within 24 hours.

use serde_json::Value;

use crate::{
    clock::Millis,
    ids::{MessageId, SenderId},
    messages::address::Address,
};

/// How long the customer-care window stays open after a person wrote, in milliseconds.
pub const CARE_MS: Millis = 24 * 60 * 60 * 1_000;
/// How long a free entry point stays open after the business answered, in milliseconds.
pub const ENTRY_MS: Millis = 72 * 60 * 60 * 1_000;
/// Within what time somebody who came by a free entry point has to be answered for it to open, in milliseconds.
pub const ENTRY_ANSWER_MS: Millis = 24 * 60 * 60 * 1_000;

/// What stands between a sender and a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The sender.
    pub sender: SenderId,
    /// The person, as messages to them name them.
    pub recipient: Address,
    /// The last message of theirs that opened it.
    pub last_inbound: MessageId,
    /// When they sent that.
    pub last_inbound_at: Millis,
    /// The last free entry point that they came by.
    pub entry: Option<Entry>,
}

/// An advertisement or a button that led a person here.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The Cloud API's `referral`.
    pub referral: Value,
    /// When the person came by it.
    pub at: Millis,
    /// Until when one is open. None until the business has answered, or when it did not in time.
    pub until: Option<Millis>,
}

impl Window {
    /// The first moment at which it is closed.
    #[must_use]
    pub fn closes_at(&self) -> Millis {
        let care = self.last_inbound_at.saturating_add(CARE_MS);
        self.entry.as_ref().and_then(|entry| entry.until).map_or(care, |until| care.max(until))
    }

    /// Whether the person may be written to freely now.
    #[must_use]
    pub fn is_open(&self, now: Millis) -> bool {
        now < self.closes_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(entry: Option<Entry>) -> Window {
        Window {
            sender: SenderId(7),
            recipient: Address::Phone("16505551234".to_owned()),
            last_inbound: MessageId::generate(),
            last_inbound_at: 1_000,
            entry,
        }
    }

    #[test]
    fn a_window_is_open_for_24_hours_less_a_millisecond() {
        assert!(window(None).is_open(1_000 + CARE_MS - 1));
        assert!(!window(None).is_open(1_000 + CARE_MS));
    }

    #[test]
    fn an_answered_entry_point_keeps_it_open_longer_and_never_shorter() {
        let entry = |until| Some(Entry { referral: Value::Null, at: 1_000, until });
        assert!(window(entry(Some(5_000 + ENTRY_MS))).is_open(5_000 + ENTRY_MS - 1));
        assert!(!window(entry(Some(5_000 + ENTRY_MS))).is_open(5_000 + ENTRY_MS));
        assert!(window(entry(Some(2_000))).is_open(1_000 + CARE_MS - 1));
        assert!(!window(entry(None)).is_open(1_000 + CARE_MS), "nobody answered");
    }
}
