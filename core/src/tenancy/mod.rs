//! Who asks, on whose behalf, and with which sender.
//!
//! A [`Principal`] comes out of a credential and out of nothing else; what a request
//! names is looked up inside the principal's business, so another tenant's object
//! is not found rather than refused.

mod directory;

pub use directory::Directory;

use crate::ids::{AccountId, ApiKeyId, BusinessId, EndpointId, SenderId};

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key that was shown.
    pub api_key: ApiKeyId,
    /// The business it belongs to.
    pub business: BusinessId,
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
    /// The adapter that it sends through.
    pub adapter: String,
    /// What the adapter needs to know of it.
    pub connection: serde_json::Value,
    /// Whether its business is verified.
    pub verified: bool,
}

/// Where a business wants to be told.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id, and the lane of what is delivered to it.
    pub id: EndpointId,
    /// Its address.
    pub url: String,
}
