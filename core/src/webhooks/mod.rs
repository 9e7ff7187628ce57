//! How a business is told: signed deliveries in the Cloud API's shape, over the same
//! engine that sends messages, one lane for each endpoint.
//!
//! A delivery is on disk with the change it tells of, and is tried until the endpoint
//! takes it or the schedule ends. It may arrive more than once; its `webhook-id` tells
//! a repeat.

pub(crate) mod courier;
pub mod payload;
pub(crate) mod registration;
pub mod signing;
pub mod templates;
