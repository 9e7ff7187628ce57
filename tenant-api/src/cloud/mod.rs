//! The Cloud API's routes.

pub(crate) mod messages;
