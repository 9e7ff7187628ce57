//! An adapter of short messages: what it is given as plain text goes out as one HTTP request, for the test to read, to
//! the address that the connection names as "upstream".

use waystation_adapter_sdk::{
    Accepted, Capabilities, Channel, Description, HttpRequest, Io, Outbound, Payload, SendError, TransportAdapter,
    UpstreamError, async_trait, export_adapter,
};

export_adapter!(Sms);

/// The adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sms;

#[async_trait]
impl TransportAdapter for Sms {
    fn describe(&self) -> Description {
        Description {
            name: "sms".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channel: Channel::Sms,
            capabilities: Capabilities::default(),
            connection_schema: serde_json::json!({"type": "object"}),
        }
    }

    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        let upstream = message.connection["upstream"].as_str().unwrap_or("https://upstream.invalid");
        let body = serde_json::json!({"to": message.recipient.phone, "text": message.text});
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: upstream.to_owned(),
            headers: Vec::new(),
            body: Payload::from(body.to_string()),
            timeout_ms: None,
        };
        match io.http(request).await?.status {
            200 => Ok(Accepted { upstream_id: message.attempt_ref, recipient_id: None }),
            _ => Err(SendError::Rejected { error: UpstreamError::new("Refused") }),
        }
    }
}
