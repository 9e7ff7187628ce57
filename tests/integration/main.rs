//! The promises of Waystation, kept by the real binary: every test starts the program as its
//! users do, with a database and a queue of its own, and looks at it from outside only: through
//! its HTTP routes, its webhooks, its command line, and the rows it leaves in its database.
//!
//! What a promise says of both profiles is tested on both. Nothing here measures how fast
//! something is: a test waits until a condition holds, and fails when it does not within a time
//! that no working installation needs.

#![forbid(unsafe_code)]

mod abuse;
mod adapters;
mod approval;
mod browser;
mod cli;
mod clients;
mod cluster;
mod contacts;
mod crash;
mod credentials;
mod dashboard;
mod documents;
mod errors;
mod fuzz;
mod golden;
mod idempotency;
mod inbound;
mod isolation;
mod leaks;
mod media;
mod otp;
mod outage;
mod partner;
mod path;
mod reload;
mod routing;
mod shutdown;
mod sms;
mod story;
mod support;
mod template_review;
mod tenancy;
mod timing;
mod upstream;
mod webhooks;
mod wiped_queue;
