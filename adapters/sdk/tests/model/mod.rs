//! An adapter that does everything there is to do, and does it right, unless a fault is set.

use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use waystation_adapter_sdk::{
    Accepted, Admission, Callback, Capabilities, Channel, CodeCheck, CodeDelivery, CodeMethod, CodeRequest,
    Description, Disconnected, Endpoint, Event, HttpRequest, Io, Level, Link, MarkError, MediaUpload, NumberDone,
    NumberError, Outbound, Payload, RateScope, ReadMark, ReceiveError, Received, Registration, SendError,
    TransportAdapter, UploadedMedia, UpstreamError, async_trait, export_adapter,
};

/// What the adapter does wrong, by its name; nothing while it is empty.
pub(crate) static FAULT: RwLock<&'static str> = RwLock::new("");

/// Sends that are under way.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
/// Counts what must not be counted.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Whether this fault is set.
pub(crate) fn fault(name: &str) -> bool {
    *FAULT.read().expect("no test has failed") == name
}

struct UnderWay;

impl UnderWay {
    fn enter() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
pub(crate) struct Model;

fn rejected(title: &str) -> SendError {
    SendError::Rejected { error: UpstreamError::new(title) }
}

/// Panics as careless code does when it is given what it did not expect.
fn trip_over(message: &Outbound) {
    let body = message.body.get();
    assert!(!(fault("long text") && message.text.len() > 4_000), "too long");
    assert!(!fault("unicode") || message.text.is_ascii(), "not ASCII");
    assert!(!fault("no phone") || message.recipient.phone.is_some(), "no phone");
    assert!(!fault("no settings") || message.connection.is_object(), "no settings");
    assert!(!fault("kinds") || message.kind != "sticker", "a sticker");
    assert!(!fault("unknown kind") || message.kind != "hologram", "a hologram");
    assert!(!fault("big body") || body.len() < 500_000, "too big");
    assert!(!fault("deep body") || !body.contains("[[[[[[[[[["), "too deep");
    assert!(!fault("times") || message.attempt_at_ms > 0, "too early");
    assert!(!fault("references") || !message.attempt_ref.contains('"'), "a quote");
}

#[async_trait]
impl TransportAdapter for Model {
    fn describe(&self) -> Description {
        let turn = CALLS.fetch_add(usize::from(fault("describes otherwise")), Ordering::SeqCst);
        let kinds: &[&str] = if fault("kinds twice") { &["text", "text"] } else { &["text", "image"] };
        Description {
            name: if fault("name") { "A Model".to_owned() } else { "model".to_owned() },
            version: if fault("version") { String::new() } else { format!("1.{turn}") },
            channel: Channel::Sms,
            capabilities: Capabilities {
                locates_media: false,
                manages_templates: false,
                keeps_profiles: false,
                kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
                receives: true,
                listens: true,
                returns_attempt_ref: true,
                marks_read: true,
                delivers_codes: vec![CodeMethod::Voice],
                verifies_numbers: true,
                connects: true,
                uploads_media: true,
            },
            connection_schema: match () {
                () if fault("schema") => serde_json::json!(7),
                () if fault("schema of a list") => serde_json::json!({"type": "array"}),
                () if fault("long description") => serde_json::json!({"type": "object", "title": "x".repeat(70_000)}),
                () => serde_json::json!({"type": "object"}),
            },
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
        if fault("ends as asked") {
            return Disconnected::Asked;
        }
        Disconnected::Lost { error: UpstreamError::new("Lost").details(error), needs_operator: false }
    }

    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        trip_over(&message);
        let _under_way = UnderWay::enter();
        for (name, text) in [
            ("logs settings", message.connection.to_string()),
            ("logs text", message.text.clone()),
            ("logs numbers", message.recipient.phone.clone().unwrap_or_default()),
        ] {
            if fault(name) {
                io.log(Level::Debug, &text);
            }
        }
        io.sleep(Duration::from_millis(if fault("long pause") { 60_000 } else { 1 })).await;
        if fault("one at a time") {
            // So that threads are inside at once, however few processors there are.
            std::thread::sleep(Duration::from_millis(1));
        }
        let count = UNDER_WAY.load(Ordering::SeqCst);
        if (fault("one at a time") && count > 1) || (fault("few at a time") && count > 200) {
            return Err(rejected("busy"));
        }
        while fault("never ends") {
            io.sleep(Duration::from_millis(1)).await;
        }
        if fault("many requests") {
            let mut sleeps: Vec<_> = (0..70).map(|_| Box::pin(io.sleep(Duration::from_millis(1)))).collect();
            std::future::poll_fn(|context| {
                sleeps.retain_mut(|sleep| sleep.as_mut().poll(context).is_pending());
                if sleeps.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        let mut request = post(&format!("{}\n{}", message.text, message.attempt_ref));
        if fault("forgets the reference") {
            request.body = Payload::from("");
        }
        if fault("asks otherwise") {
            request.body = Payload::from(format!("{} {}", message.attempt_ref, CALLS.fetch_add(1, Ordering::SeqCst)));
        }
        if fault("method") {
            request.method = "post".to_owned();
        }
        if fault("no TLS") {
            request.url = "http://upstream.invalid".to_owned();
        }
        if fault("text in a header") {
            request.headers.push(("x-text".to_owned(), message.text.clone()));
        }
        let accepted = Accepted { upstream_id: message.attempt_ref, recipient_id: None };
        let response = match io.http(request).await {
            Ok(response) => response,
            Err(_) if fault("takes silence for success") => return Ok(accepted),
            Err(error) if fault("always ambiguous") => {
                return Err(SendError::Ambiguous { error: UpstreamError::new(error.to_string()) });
            }
            Err(_) if fault("never ambiguous") => {
                return Err(SendError::RetryAfter { after_ms: None, error: UpstreamError::new("failed") });
            }
            Err(error) => return Err(error.into()),
        };
        assert!(!fault("binary answers") || response.body.as_str().is_some(), "not text");
        match response.status {
            _ if fault("takes anything for success") => Ok(accepted),
            200 if fault("no id") => Ok(Accepted { upstream_id: String::new(), ..accepted }),
            200 => Ok(accepted),
            429 if !fault("gives up at once") => Err(SendError::RateLimited {
                after_ms: 1_000,
                scope: RateScope::Sender,
                error: UpstreamError::new("slow down"),
            }),
            _ => Err(rejected("refused")),
        }
    }

    async fn admit(&self, _: &Io, callback: Callback) -> Result<Admission, ReceiveError> {
        assert!(!fault("strange callbacks") || callback.body.as_str().is_some(), "not text");
        match callback.header("x-secret") {
            Some("sesame") => Ok(Admission::kept()),
            _ if fault("lets strangers in") => Ok(Admission::kept()),
            _ => Err(ReceiveError::BadSignature),
        }
    }

    async fn receive(&self, _: &Io, callback: Callback) -> Result<Received, ReceiveError> {
        assert!(!fault("binary callbacks") || callback.body.as_str().is_some(), "not text");
        let body: serde_json::Value = serde_json::from_slice(callback.body.as_bytes())
            .map_err(|error| ReceiveError::Malformed { details: error.to_string() })?;
        assert!(!fault("any callback") || body.is_object(), "no object");
        let turn = CALLS.fetch_add(usize::from(fault("reads otherwise")), Ordering::SeqCst);
        Ok(Received { events: vec![Event::Unknown { what: format!("a callback {turn}"), raw: body }] })
    }

    async fn mark_read(&self, io: &Io, mark: ReadMark) -> Result<(), MarkError> {
        match io.http(post(&mark.upstream_id)).await {
            Ok(response) if response.status == 200 => Ok(()),
            _ if fault("takes silence for success") => Ok(()),
            _ => Err(MarkError::Unavailable { error: UpstreamError::new("refused") }),
        }
    }

    async fn upload_media(&self, io: &Io, upload: MediaUpload) -> Result<UploadedMedia, SendError> {
        let internal = |details| SendError::Internal { error: UpstreamError::new("unread").details(details) };
        let uploaded = UploadedMedia {
            upstream_id: if fault("no id") { String::new() } else { upload.media_id },
            expires_at_ms: None,
        };
        match io.read_media(0, 6).await {
            Ok(beginning) => assert_eq!(beginning.as_str(), Some("a file"), "it is the file that was announced"),
            Err(_) if fault("takes silence for success") => return Ok(uploaded),
            Err(error) => return Err(internal(error.details)),
        }
        match io.http_with_media(post("--form"), "form--".into()).await?.status {
            200 => Ok(uploaded),
            _ if fault("takes anything for success") => Ok(uploaded),
            _ => Err(rejected("refused")),
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
    io.log(Level::Debug, if fault("logs codes") { body } else { "asking about a number" });
    match io.http(post(body)).await {
        Ok(response) if response.status == 200 || fault("takes anything for success") => Ok(NumberDone::default()),
        Ok(_) => Err(NumberError::Rejected { error: UpstreamError::new("refused") }),
        Err(_) if fault("takes silence for success") => Ok(NumberDone::default()),
        Err(error) => Err(error.into()),
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
