//! Any bytes as the body of a message.

#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|body: &[u8]| bodies::message(body));
