//! An adapter that fails in every way Rust can: where, is decided by the last digit of the recipient's number.

use std::time::Duration;

use waystation_adapter_sdk::{
    Accepted, Callback, Capabilities, Channel, Description, HttpRequest, Io, Level, Outbound, Payload, ReceiveError,
    Received, ScheduledCallback, SendError, TransportAdapter, async_trait, export_adapter,
};

export_adapter!(Panicking);

/// The adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Panicking;

fn request() -> HttpRequest {
    HttpRequest {
        method: "POST".to_owned(),
        url: "https://upstream.invalid/messages".to_owned(),
        headers: Vec::new(),
        body: Payload::from("{}"),
        timeout_ms: None,
    }
}

#[async_trait]
impl TransportAdapter for Panicking {
    fn describe(&self) -> Description {
        Description {
            name: "panicking".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channel: Channel::Whatsapp,
            capabilities: Capabilities { receives: true, ..Capabilities::default() },
            connection_schema: serde_json::json!({"type": "object"}),
        }
    }

    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        let phone = message.recipient.phone.unwrap_or_default();
        match phone.chars().last() {
            Some('1') => panic!("before any io"),
            Some('2') => {
                io.http(request()).await?;
                panic!("after http");
            }
            Some('3') => {
                io.sleep(Duration::from_millis(1)).await;
                panic!("after a sleep, {}", phone.len());
            }
            Some('4') => {
                let callback = ScheduledCallback { after_ms: 0, body: Payload::from("{}"), confidential: false };
                let _stored = io.callbacks(vec![callback]).await;
                std::panic::panic_any(7_u8);
            }
            Some('5') => {
                // Longer than any operation may take.
                io.sleep(Duration::from_secs(3600)).await;
            }
            Some('6') => {
                io.log(Level::Info, "two requests in a row");
                io.http(request()).await?;
                io.http(request()).await?;
            }
            _ => {}
        }
        Ok(Accepted { upstream_id: message.attempt_ref, recipient_id: None })
    }

    async fn receive(&self, _io: &Io, callback: Callback) -> Result<Received, ReceiveError> {
        assert!(!callback.body.as_bytes().is_empty(), "an empty callback");
        Err(ReceiveError::BadSignature)
    }
}
