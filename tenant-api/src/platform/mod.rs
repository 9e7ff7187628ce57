//! `/v1`: the platform's own routes.

pub(crate) mod blocking;
pub(crate) mod contacts;
pub(crate) mod inbound;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod otp;
pub(crate) mod qr_codes;
pub(crate) mod routing;
pub(crate) mod sandbox;
pub(crate) mod senders;
