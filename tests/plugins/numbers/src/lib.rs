//! An adapter as the official upstream's: its network sends codes to numbers, checks them and registers the numbers.
//!
//! What the network answers is decided by the last digit of the sender's number; what was asked of it goes out as one
//! HTTP request, for the test to see, to the address that the connection names as "upstream". The network's code is
//! always 123456.

use waystation_adapter_sdk::{
    Accepted, Capabilities, Channel, CodeCheck, CodeRequest, Description, HttpRequest, Io, Level, NumberDone,
    NumberError, Outbound, Payload, Registration, SendError, Sender, TransportAdapter, UpstreamError, async_trait,
    export_adapter,
};

export_adapter!(Numbers);

/// The code that the network sends.
pub const CODE: &str = "123456";

/// The adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers;

#[async_trait]
impl TransportAdapter for Numbers {
    fn describe(&self) -> Description {
        Description {
            name: "numbers".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channel: Channel::Whatsapp,
            capabilities: Capabilities { verifies_numbers: true, ..Capabilities::default() },
            connection_schema: serde_json::json!({"type": "object"}),
        }
    }

    async fn send(&self, _io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        Ok(Accepted { upstream_id: message.attempt_ref, recipient_id: None })
    }

    async fn request_code(&self, io: &Io, request: CodeRequest) -> Result<NumberDone, NumberError> {
        let method = serde_json::to_value(request.method).expect("a method is JSON");
        let body = serde_json::json!({"method": method, "language": request.language});
        ask(io, (&request.sender, &request.connection), "request_code", body).await
    }

    async fn verify_code(&self, io: &Io, check: CodeCheck) -> Result<NumberDone, NumberError> {
        io.log(Level::Info, &format!("checking {}", check.code.reveal()));
        let body = serde_json::json!({"code": check.code});
        let done = ask(io, (&check.sender, &check.connection), "verify_code", body).await?;
        if check.code.reveal() == CODE {
            return Ok(done);
        }
        Err(NumberError::WrongCode { error: UpstreamError::with_code(136_025, "Verify code error") })
    }

    async fn register(&self, io: &Io, registration: Registration) -> Result<NumberDone, NumberError> {
        let body = serde_json::json!({"pin": registration.pin});
        ask(io, (&registration.sender, &registration.connection), "register", body).await
    }
}

async fn ask(
    io: &Io,
    (sender, connection): (&Sender, &serde_json::Value),
    what: &str,
    body: serde_json::Value,
) -> Result<NumberDone, NumberError> {
    let upstream = connection["upstream"].as_str().unwrap_or("https://upstream.invalid");
    let digit = sender.phone.chars().last();
    match (digit, what) {
        (Some('1'), "request_code") => {
            return Err(NumberError::Rejected { error: UpstreamError::with_code(136_024, "Request code error") });
        }
        (Some('2'), "request_code") => {
            return Err(NumberError::RateLimited { after_ms: Some(60_000), error: UpstreamError::new("Slow down") });
        }
        (Some('3'), "register") => {
            return Err(NumberError::Rejected { error: UpstreamError::with_code(133_005, "Two-step PIN mismatch") });
        }
        (Some('4'), _) => panic!("about {body}"),
        _ => {}
    }
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: format!("{upstream}/{}/{what}", sender.id),
        headers: Vec::new(),
        body: Payload::from(body.to_string()),
        timeout_ms: None,
    };
    match io.http(request).await?.status {
        200 => Ok(NumberDone::default()),
        _ => Err(NumberError::Unavailable { error: UpstreamError::new("Down"), needs_operator: false }),
    }
}
