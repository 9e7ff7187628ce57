//! Measures what a send through the adapter boundary costs: the sandbox's library,
//! loaded as the server loads it, with 1 and 64 sends in flight.
//!
//! `cargo build --release -p waystation && cargo run --release -p waystation-core --example adapter_boundary`

#![forbid(unsafe_code)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use waystation_adapter_sdk::{HttpError, HttpRequest, HttpResponse, Outbound, Recipient, ScheduledCallback, Sender};
use waystation_core::plugins::{AdapterHost, CallbackOrigin, HostIo, HostSettings};

const SENDS: u32 = 100_000;

/// A world that takes everything and keeps nothing.
struct Void;

#[async_trait]
impl HostIo for Void {
    async fn http(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError::NotSent { details: "there is no network here".to_owned() })
    }

    async fn callbacks(&self, _: &CallbackOrigin, _: Vec<ScheduledCallback>) -> Result<(), String> {
        Ok(())
    }
}

fn message(recipient: &str) -> Outbound {
    let text = "x".repeat(400);
    let body = format!(r#"{{"messaging_product":"whatsapp","type":"text","text":{{"body":"{text}"}}}}"#);
    Outbound {
        message_id: "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K".to_owned(),
        attempt: 1,
        attempt_ref: "01JD9Z8W7V6T5S4R3Q2P1N0M9K.1".to_owned(),
        accepted_at_ms: 1_795_341_600_000,
        attempt_at_ms: 1_795_341_600_000,
        sender: Sender { id: "106540352242922".to_owned(), phone: "15550783881".to_owned() },
        connection: serde_json::json!({}),
        recipient: Recipient { phone: Some(recipient.to_owned()), user_id: None },
        kind: "text".to_owned(),
        body: serde_json::value::RawValue::from_string(body).unwrap_or_default(),
        text,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = AdapterHost::new(Arc::new(Void), HostSettings::default());
    let sandbox = host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO)?;
    for (what, recipient) in
        [("no receipts, one crossing", "16505550007"), ("two receipts, two crossings", "16505550001")]
    {
        for in_flight in [1, 64] {
            let (started, cpu) = (Instant::now(), cpu_time());
            let lanes = (0..in_flight).map(|_| {
                let (sandbox, outbound) = (sandbox.clone(), message(recipient));
                tokio::spawn(async move {
                    for _ in 0..SENDS / in_flight {
                        if let Err(error) = sandbox.send(&outbound).await {
                            eprintln!("{error}");
                        }
                    }
                })
            });
            futures_util::future::join_all(lanes).await;
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(SENDS);
            println!(
                "{what}, {in_flight} in flight: {:.2} us wall, {:.2} us CPU a send",
                each(started.elapsed()),
                each(cpu_time().saturating_sub(cpu))
            );
        }
    }
    Ok(())
}

/// The CPU time of this process so far.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
