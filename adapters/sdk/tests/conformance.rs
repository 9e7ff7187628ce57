//! The conformance suite on an adapter of this SDK, and its list. `UPDATE_GENERATED=1 cargo test -p
//! waystation-adapter-sdk` rewrites the list.

#![allow(unsafe_code, reason = "hands the table of the adapter below to the suite")]

use std::path::Path;
use std::time::Duration;

use waystation_adapter_sdk::caller::Entry;
use waystation_adapter_sdk::conformance::{CASES, Level, Outcome, Sample, as_markdown, run};
use waystation_adapter_sdk::{
    Accepted, Admission, Callback, Capabilities, Channel, CodeCheck, CodeDelivery, CodeMethod, CodeRequest,
    Description, Disconnected, Endpoint, HttpRequest, Io, Link, MediaUpload, NumberDone, NumberError, Outbound,
    Payload, ReceiveError, Registration, SendError, TransportAdapter, UploadedMedia, UpstreamError, async_trait,
    export_adapter,
};

#[derive(Default)]
struct Model;

#[async_trait]
impl TransportAdapter for Model {
    fn describe(&self) -> Description {
        Description {
            name: "model".to_owned(),
            version: "1".to_owned(),
            channel: Channel::Sms,
            capabilities: Capabilities {
                listens: true,
                delivers_codes: vec![CodeMethod::Voice],
                verifies_numbers: true,
                connects: true,
                uploads_media: true,
                ..Capabilities::default()
            },
            connection_schema: serde_json::json!({"type": "object"}),
        }
    }

    async fn connect(&self, io: &Io, link: Link) -> Disconnected {
        let endpoint = Endpoint { host: link.sender.id, port: 2775, tls: true };
        let error = match io.open(endpoint).await {
            Ok(stream) => match stream.read().await {
                Ok(octets) => format!("{} octets came", octets.len()),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        Disconnected::Lost { error: UpstreamError::new("Lost").details(error), needs_operator: false }
    }

    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        io.sleep(Duration::from_millis(1)).await;
        let response = io.http(post(&message.text)).await?;
        if response.status != 200 {
            return Err(SendError::Rejected { error: UpstreamError::new("refused") });
        }
        Ok(Accepted { upstream_id: message.attempt_ref, recipient_id: None })
    }

    async fn admit(&self, _: &Io, callback: Callback) -> Result<Admission, ReceiveError> {
        match callback.header("x-secret") {
            Some("sesame") => Ok(Admission::kept()),
            _ => Err(ReceiveError::BadSignature),
        }
    }

    async fn upload_media(&self, io: &Io, upload: MediaUpload) -> Result<UploadedMedia, SendError> {
        let beginning = io
            .read_media(0, 6)
            .await
            .map_err(|error| SendError::Internal { error: UpstreamError::new("unread").details(error.details) })?;
        assert_eq!(beginning.as_str(), Some("a file"), "it is the file that was announced");
        match io.http_with_media(post("--form"), "form--".into()).await?.status {
            200 => Ok(UploadedMedia { upstream_id: upload.media_id, expires_at_ms: None }),
            _ => Err(SendError::Rejected { error: UpstreamError::new("refused") }),
        }
    }

    async fn deliver_code(&self, io: &Io, delivery: CodeDelivery) -> Result<NumberDone, NumberError> {
        assert_eq!(delivery.method, CodeMethod::Voice, "it is asked for what it describes");
        done(io, &delivery.text).await
    }

    async fn request_code(&self, io: &Io, request: CodeRequest) -> Result<NumberDone, NumberError> {
        done(io, &request.language).await
    }

    async fn verify_code(&self, io: &Io, check: CodeCheck) -> Result<NumberDone, NumberError> {
        done(io, check.code.reveal()).await
    }

    async fn register(&self, io: &Io, registration: Registration) -> Result<NumberDone, NumberError> {
        done(io, registration.pin.reveal()).await
    }
}

async fn done(io: &Io, body: &str) -> Result<NumberDone, NumberError> {
    io.log(waystation_adapter_sdk::Level::Debug, "asking about a number");
    match io.http(post(body)).await?.status {
        200 => Ok(NumberDone::default()),
        _ => Err(NumberError::Rejected { error: UpstreamError::new("refused") }),
    }
}

fn post(body: &str) -> HttpRequest {
    HttpRequest {
        method: "POST".to_owned(),
        url: "https://upstream.invalid".to_owned(),
        headers: Vec::new(),
        body: Payload::from(body),
        timeout_ms: None,
    }
}

export_adapter!(Model);

#[test]
fn an_adapter_of_this_sdk_conforms() {
    // SAFETY: the table is this binary's own.
    let entry = unsafe { Entry::new(adapter_table()) };
    let report = run(entry, &Sample::default());
    assert!(report.conforms(), "{report}");
    assert_eq!(report.failures(Level::Should).count(), 0, "{report}");
    assert!(report.cases.iter().all(|case| case.outcome == Outcome::Pass), "{report}");
}

#[test]
fn without_a_table_nothing_is_called() {
    // SAFETY: null is allowed.
    let report = run(unsafe { Entry::new(std::ptr::null()) }, &Sample::default());
    assert_eq!(report.cases.len(), CASES.len());
    assert_eq!(report.failures(Level::Must).count(), 3, "{report}");
    assert!(report.cases[3..].iter().all(|case| matches!(case.outcome, Outcome::Skip(_))), "{report}");
}

#[test]
fn the_list_is_what_the_suite_runs() {
    for (position, case) in CASES.iter().enumerate() {
        assert_eq!(case.id, format!("C{:02}", position + 1));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFORMANCE.md");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, as_markdown()).expect("the list can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == as_markdown(),
        "{} differs from adapters/sdk/src/conformance.rs: run UPDATE_GENERATED=1 cargo test -p waystation-adapter-sdk",
        path.display()
    );
}
