//! Messages: what a tenant may ask for, how it becomes durable, and how far it has
//! come.
//!
//! [`request`] turns a body into a typed message or into everything that is wrong
//! with it: the table of what a message may look like is in `rules` and [`limits`], the
//! types are in [`content`], [`interactive`] and [`template`]. [`intake`] makes it
//! durable, and [`state`] is the pure state machine that every later change goes
//! through.

pub mod address;
mod category;
mod changing;
pub(crate) mod check;
pub mod content;
pub mod examples;
pub mod intake;
pub mod interactive;
pub mod limits;
pub(crate) mod outside;
pub mod phone;
pub mod quiet;
pub mod render;
pub mod request;
pub mod route;
#[cfg(test)]
mod routing_tests;
mod rules;
pub mod schedule;
pub(crate) mod sealed;
pub mod sms;
pub mod state;
pub mod template;
#[cfg(test)]
mod tests;
mod zones;

pub use category::Category;
