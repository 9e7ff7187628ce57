//! The Cloud API's routes.
//!
//! Each can be asked without a version too, since some client libraries leave it out.

pub(crate) mod blocking;
mod fields;
pub(crate) mod messages;
pub(crate) mod nodes;
pub(crate) mod numbers;
pub(crate) mod profiles;
pub(crate) mod qr_codes;
mod shapes;
pub(crate) mod subscriptions;
pub(crate) mod templates;
pub(crate) mod tokens;
