//! Who asks, on whose behalf, and with which sender.
//!
//! A [`Principal`] comes out of a credential and out of nothing else; what a request
//! names is looked up inside its [`Subtree`], so another tenant's object is not found
//! rather than refused. Whether a part of the tree may act is a [`Standing`], decided in
//! one place from the states of everything above it.

mod directory;
mod policy;
mod principal;
mod registry;

use std::fmt;

pub use directory::{Directory, FOLLOW_EVERY};
pub use policy::{ConsentPolicy, Limits, Policy};
pub use principal::{Level, Mode, Partner, Principal, Scope, Scopes, Tenant};
pub use registry::{
    BusinessRequest, ENDPOINTS_MAX_PER_BUSINESS, EndpointRequest, NAME_MAX_CHARS, REASON_MAX_CHARS, Registry,
    ResellerRequest, SENDERS_MAX_PER_BUSINESS, SenderRequest, USAGE_MAX_DAYS,
};

use crate::{
    ids::{AccountId, BusinessId, EndpointId, ResellerId, SenderId},
    onboarding::State,
};

/// The name of the adapter that reaches no real network.
pub const SANDBOX: &str = "sandbox";

/// The name of the channel with a customer-care window.
pub(crate) const WHATSAPP: &str = "whatsapp";

/// Messages a second of a number of WhatsApp that was not raised: 80, as Meta's documentation has it (1,000 after an
/// upgrade, 20 for a number that is used by an app at the same time).
pub const THROUGHPUT_DEFAULT_PER_SECOND: u32 = 80;

/// Why a sender is paused whose number was deregistered.
pub(crate) const DEREGISTERED: &str = "its number was deregistered; register it, and it goes on.";

/// The part of the tree that somebody sees and acts on. Whatever lies outside of it does
/// not exist for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subtree {
    /// All of it: the staff of the installation.
    Platform,
    /// A reseller and its businesses.
    Reseller(ResellerId),
    /// One business.
    Business(BusinessId),
}

/// Why nothing goes out for a part of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Its reseller is suspended.
    Reseller,
    /// The business is suspended.
    Business,
    /// The business is closed.
    Closed,
    /// The sender is paused, and why.
    Sender(String),
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reseller => f.write_str("The reseller of this business is suspended."),
            Self::Business => f.write_str("The business is suspended."),
            Self::Closed => f.write_str("The business is closed."),
            Self::Sender(why) => write!(f, "The sender is paused: {why}"),
        }
    }
}

/// Whether a part of the tree may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Active,
    /// In the sandbox only, until the business is verified.
    Unverified,
    /// Not now: its credentials are refused, and what it has queued is kept.
    Held(Hold),
}

impl Standing {
    /// The standing of something below a reseller with the status `reseller` and, where
    /// there is one, a business in the state `business`. What an older version does not know
    /// holds.
    #[must_use]
    pub(crate) fn of(reseller: &str, business: Option<&str>) -> Self {
        let state = business.map(State::parse);
        match (reseller, state) {
            (_, Some(Some(State::Closed))) => Self::Held(Hold::Closed),
            ("active", Some(Some(State::Approved)) | None) => Self::Active,
            ("active", Some(Some(State::Suspended) | None)) => Self::Held(Hold::Business),
            ("active", Some(Some(_))) => Self::Unverified,
            _ => Self::Held(Hold::Reseller),
        }
    }

    /// The standing of a sender that is paused for a reason, or not, below this.
    #[must_use]
    pub(crate) fn with_pause(self, paused: Option<String>) -> Self {
        match (self, paused) {
            (held @ Self::Held(_), _) => held,
            (_, Some(why)) => Self::Held(Hold::Sender(why)),
            (standing, None) => standing,
        }
    }

    /// The standing of a sender whose number is proven to be its owner's, or not, below
    /// this.
    #[must_use]
    pub(crate) fn with_number(self, proven: bool) -> Self {
        if self == Self::Active && !proven { Self::Unverified } else { self }
    }
}

/// A number that a business sends from.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The Cloud API's phone number id.
    pub id: SenderId,
    /// The account it belongs to.
    pub account: AccountId,
    /// The business it belongs to.
    pub business: BusinessId,
    /// Its phone number: digits, without `+`.
    pub phone: String,
    /// The channel that it sends over.
    pub channel: String,
    /// The adapter that it sends through.
    pub adapter: String,
    /// What the adapter needs to know of it.
    pub connection: serde_json::Value,
    /// Whether it may send, as everything above it and itself stand.
    pub standing: Standing,
    /// What it may use, as everything above it allows.
    pub policy: Policy,
}

impl Sender {
    /// Why what it has queued must not go out now.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        match &self.standing {
            Standing::Held(hold) => Some(hold),
            Standing::Active | Standing::Unverified => None,
        }
    }

    /// Whether it is on a network of WhatsApp, official or pretended.
    #[must_use]
    pub fn is_whatsapp(&self) -> bool {
        self.channel == WHATSAPP
    }

    /// Whether its network takes free-form messages only to people who wrote a short time ago. The sandbox does when its
    /// connection says so.
    #[must_use]
    pub fn enforces_window(&self) -> bool {
        self.is_whatsapp() && (!self.is_sandbox() || self.connection["enforce_window"] == true)
    }

    /// How many messages a second its number may carry, sent and received together: what its connection says in
    /// `messages_per_second`, else what a number of WhatsApp has by default. `None` is no limit that is known.
    #[must_use]
    pub fn messages_per_second(&self) -> Option<u32> {
        let set = self.connection["messages_per_second"].as_u64().and_then(|rate| u32::try_from(rate).ok());
        let default = (self.is_whatsapp() && !self.is_sandbox()).then_some(THROUGHPUT_DEFAULT_PER_SECOND);
        set.filter(|rate| *rate > 0).or(default)
    }

    /// Whether its network takes only so many messages to one person in a row. The sandbox does when its connection says
    /// so.
    #[must_use]
    pub fn limits_pairs(&self) -> bool {
        self.is_whatsapp() && (!self.is_sandbox() || self.connection["limit_pairs"] == true)
    }

    /// Whether its number was deregistered, and it is paused for nothing else.
    #[must_use]
    pub fn is_deregistered(&self) -> bool {
        matches!(self.hold(), Some(Hold::Sender(why)) if why == DEREGISTERED)
    }

    /// Whether it reaches nothing but the sandbox.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        self.adapter == SANDBOX
    }
}

/// Where the sealed settings of a sender's connection belong.
pub(crate) fn connection_context(sender: SenderId) -> String {
    format!("connection of sender {sender}")
}

/// Where a business wants to be told.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id, and the lane of what is delivered to it.
    pub id: EndpointId,
    /// Its address.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subtree_stands_as_its_weakest_part() {
        assert_eq!(Standing::of("active", Some("approved")), Standing::Active);
        assert_eq!(Standing::of("active", None), Standing::Active);
        for early in ["draft", "submitted", "in_review", "changes_requested", "rejected"] {
            assert_eq!(Standing::of("active", Some(early)), Standing::Unverified, "{early}");
            assert_eq!(Standing::of("suspended", Some(early)), Standing::Held(Hold::Reseller), "{early}");
        }
        assert_eq!(Standing::of("active", Some("suspended")), Standing::Held(Hold::Business));
        assert_eq!(Standing::of("suspended", Some("closed")), Standing::Held(Hold::Closed));
        assert_eq!(Standing::of("suspended", None), Standing::Held(Hold::Reseller));
        assert_eq!(Standing::of("a newer status", Some("approved")), Standing::Held(Hold::Reseller));
    }
}
