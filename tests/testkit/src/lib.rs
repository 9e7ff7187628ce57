//! Placeholder.

pub mod load;
pub mod process;
pub mod servers;
pub mod sink;
mod wire;
