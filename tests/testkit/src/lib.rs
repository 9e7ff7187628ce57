//! What the tests and the benchmarks share: private PostgreSQL and Redis servers, the
//! real binary as a process, a real browser, a webhook sink that checks signatures, and
//! a load generator.
//!
//! Whatever it starts ends with the process that started it, however that ends.

#![forbid(unsafe_code)]

pub mod browser;
pub mod load;
pub mod papers;
pub mod process;
pub mod scene;
pub mod secrets;
pub mod servers;
pub mod sink;
pub mod smsc;
pub mod tools;
pub mod totp;
mod wire;
