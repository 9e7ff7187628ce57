//! Messages: what a tenant may ask for, how it becomes durable, and how far it has
//! come.
//!
//! [`request`] turns a body into a typed message or into everything that is wrong
//! with it, [`intake`] makes it durable, and [`state`] is the pure state machine
//! that every later change goes through.

pub mod intake;
pub mod phone;
pub mod request;
pub mod state;
pub mod template;
