//! Guarantee: an adapter can be tested without a network, a runtime or a clock: every request it makes is answered by
//! the test, and the whole exchange is returned.
//!
//! ```
//! use serde_json::json;
//! use waystation_adapter_sdk::{
//!     Accepted, Capabilities, Channel, Description, HttpRequest, Io, Outbound, SendError, TransportAdapter, async_trait,
//!     testing, wire::IoOp,
//! };
//!
//! struct Gateway;
//!
//! #[async_trait]
//! impl TransportAdapter for Gateway {
//!     fn describe(&self) -> Description {
//!         Description {
//!             name: "gateway".to_owned(),
//!             version: "1.0.0".to_owned(),
//!             channel: Channel::Sms,
//!             capabilities: Capabilities::default(),
//!             connection_schema: json!({"type": "object"}),
//!         }
//!     }
//!
//!     async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
//!         let request = HttpRequest {
//!             method: "POST".to_owned(),
//!             url: "https://gateway.example/messages".to_owned(),
//!             headers: Vec::new(),
//!             body: message.text.as_str().into(),
//!             timeout_ms: None,
//!         };
//!         let response = io.http(request).await?;
//!         let upstream_id = String::from_utf8_lossy(response.body.as_bytes()).into_owned();
//!         Ok(Accepted { upstream_id, recipient_id: None })
//!     }
//! }
//!
//! let message: Outbound = serde_json::from_value(json!({
//!     "message_id": "wamid.1", "attempt": 1, "attempt_ref": "1.1", "accepted_at_ms": 0, "attempt_at_ms": 0,
//!     "sender": {"id": "1", "phone": "15550783881"}, "recipient": {"phone": "16505551234"},
//!     "kind": "text", "body": {"text": {"body": "hi"}}, "text": "hi",
//! }))
//! .unwrap();
//! let run = testing::send(&Gateway, message, |op| match op {
//!     IoOp::Http(_) => testing::json_response(200, "gw-1"),
//!     other => testing::agree(other),
//! });
//! assert_eq!(run.outcome.unwrap().upstream_id, "gw-1");
//! assert_eq!(run.requests.len(), 1);
//! ```

use std::sync::Arc;

use crate::coroutine::{Outcome, Shared, Task};
use crate::inbound::{MarkError, ReadMark};
use crate::io::{HttpError, HttpResponse, Io, LogLine};
use crate::link::{Disconnected, Link};
use crate::management::{ManagementError, Profile, ProfileRequest, TemplateRef, TemplateReport, TemplateSubmission};
use crate::media::{MediaLocation, MediaQuery, MediaUpload, UploadedMedia};
use crate::number::{CodeCheck, CodeDelivery, CodeRequest, NumberDone, NumberError, Registration};
use crate::types::{
    Accepted, Admission, Callback, Outbound, Payload, ReceiveError, Received, SendError, TransportAdapter,
};
use crate::wire::{IoAnswer, IoOp, IoRequest, IoResult};

/// Steps after which a run is given up as endless.
const STEPS_MAX: usize = 10_000;

/// What an adapter did.
#[derive(Debug)]
pub struct Run<T> {
    /// How it ended.
    pub outcome: T,
    /// What it asked for, in order.
    pub requests: Vec<IoOp>,
    /// What it logged.
    pub log: Vec<LogLine>,
}

/// Sends a message; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn send<A: TransportAdapter>(
    adapter: &'static A,
    message: Outbound,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<Accepted, SendError>> {
    let run = drive(|io| Box::pin(async move { Outcome::Send(adapter.send(&io, message).await.into()) }), answer);
    let Outcome::Send(outcome) = run.outcome else { unreachable!("a send ends as a send") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Asks how a callback is answered; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn admit<A: TransportAdapter>(
    adapter: &'static A,
    callback: Callback,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<Admission, ReceiveError>> {
    let run = drive(|io| Box::pin(async move { Outcome::Admit(adapter.admit(&io, callback).await.into()) }), answer);
    let Outcome::Admit(outcome) = run.outcome else { unreachable!("an admission ends as an admission") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Reads a callback; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn receive<A: TransportAdapter>(
    adapter: &'static A,
    callback: Callback,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<Received, ReceiveError>> {
    let run =
        drive(|io| Box::pin(async move { Outcome::Receive(adapter.receive(&io, callback).await.into()) }), answer);
    let Outcome::Receive(outcome) = run.outcome else { unreachable!("a receive ends as a receive") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Marks a message as read; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn mark_read<A: TransportAdapter>(
    adapter: &'static A,
    mark: ReadMark,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<(), MarkError>> {
    let run = drive(|io| Box::pin(async move { Outcome::Mark(adapter.mark_read(&io, mark).await.into()) }), answer);
    let Outcome::Mark(outcome) = run.outcome else { unreachable!("a mark ends as a mark") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Gives a file to the network; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn upload_media<A: TransportAdapter>(
    adapter: &'static A,
    upload: MediaUpload,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<UploadedMedia, SendError>> {
    let run =
        drive(|io| Box::pin(async move { Outcome::Media(adapter.upload_media(&io, upload).await.into()) }), answer);
    let Outcome::Media(outcome) = run.outcome else { unreachable!("an upload ends as an upload") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Asks where a file is; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn locate_media<A: TransportAdapter>(
    adapter: &'static A,
    query: MediaQuery,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<MediaLocation, ManagementError>> {
    let run =
        drive(|io| Box::pin(async move { Outcome::Locate(adapter.locate_media(&io, query).await.into()) }), answer);
    let Outcome::Locate(outcome) = run.outcome else { unreachable!("a question where ends as one") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Gives a template to the network; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn submit_template<A: TransportAdapter>(
    adapter: &'static A,
    submission: TemplateSubmission,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<TemplateReport, ManagementError>> {
    template(|io| async move { adapter.submit_template(&io, submission).await }, answer)
}

/// Asks where a template stands; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn read_template<A: TransportAdapter>(
    adapter: &'static A,
    named: TemplateRef,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<TemplateReport, ManagementError>> {
    template(|io| async move { adapter.read_template(&io, named).await }, answer)
}

/// Has the pause of a template ended; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn unpause_template<A: TransportAdapter>(
    adapter: &'static A,
    named: TemplateRef,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<TemplateReport, ManagementError>> {
    template(|io| async move { adapter.unpause_template(&io, named).await }, answer)
}

/// Has a template deleted; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn delete_template<A: TransportAdapter>(
    adapter: &'static A,
    named: TemplateRef,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<TemplateReport, ManagementError>> {
    template(|io| async move { adapter.delete_template(&io, named).await }, answer)
}

fn template<F>(
    start: impl FnOnce(Io) -> F,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<TemplateReport, ManagementError>>
where
    F: Future<Output = Result<TemplateReport, ManagementError>> + Send + 'static,
{
    let run = drive(
        |io| {
            let operation = start(io);
            Box::pin(async move { Outcome::Template(operation.await.into()) })
        },
        answer,
    );
    let Outcome::Template(outcome) = run.outcome else { unreachable!("an operation on a template ends as one") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Reads or changes a profile; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn profile<A: TransportAdapter>(
    adapter: &'static A,
    request: ProfileRequest,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<Profile, ManagementError>> {
    let run = drive(|io| Box::pin(async move { Outcome::Profile(adapter.profile(&io, request).await.into()) }), answer);
    let Outcome::Profile(outcome) = run.outcome else { unreachable!("an operation on a profile ends as one") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Brings a code to a phone; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn deliver_code<A: TransportAdapter>(
    adapter: &'static A,
    delivery: CodeDelivery,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<NumberDone, NumberError>> {
    number(|io| async move { adapter.deliver_code(&io, delivery).await }, answer)
}

/// Has the network send its code; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn request_code<A: TransportAdapter>(
    adapter: &'static A,
    request: CodeRequest,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<NumberDone, NumberError>> {
    number(|io| async move { adapter.request_code(&io, request).await }, answer)
}

/// Has the network check its code; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn verify_code<A: TransportAdapter>(
    adapter: &'static A,
    check: CodeCheck,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<NumberDone, NumberError>> {
    number(|io| async move { adapter.verify_code(&io, check).await }, answer)
}

/// Registers a number; `answer` plays the host.
///
/// # Panics
/// If the adapter does, or if it goes on for ever.
pub fn register<A: TransportAdapter>(
    adapter: &'static A,
    registration: Registration,
    answer: impl FnMut(&IoOp) -> IoAnswer,
) -> Run<Result<NumberDone, NumberError>> {
    number(|io| async move { adapter.register(&io, registration).await }, answer)
}

fn number<F>(start: impl FnOnce(Io) -> F, answer: impl FnMut(&IoOp) -> IoAnswer) -> Run<Result<NumberDone, NumberError>>
where
    F: Future<Output = Result<NumberDone, NumberError>> + Send + 'static,
{
    let run = drive(
        |io| {
            let operation = start(io);
            Box::pin(async move { Outcome::Number(operation.await.into()) })
        },
        answer,
    );
    let Outcome::Number(outcome) = run.outcome else { unreachable!("an operation on a number ends as one") };
    Run { outcome: outcome.into(), requests: run.requests, log: run.log }
}

/// Runs a connection; `answer` plays the host. It is asked about every request that is open, in the order in which they
/// were made, and answers `None` while there is nothing to say yet; with an answer all are asked anew.
///
/// # Panics
/// If the adapter does, if it goes on for ever, or if no request is answered.
pub fn connect<A: TransportAdapter>(
    adapter: &'static A,
    link: Link,
    mut answer: impl FnMut(&IoOp) -> Option<IoAnswer>,
) -> Run<Disconnected> {
    let shared = Arc::new(Shared::default());
    let io = Io::new(Arc::clone(&shared));
    let mut task = Task::new(shared, Box::pin(async move { Outcome::Connect(adapter.connect(&io, link).await) }));
    let (mut requests, mut log, mut results) = (Vec::new(), Vec::new(), Vec::new());
    let mut open: Vec<IoRequest> = Vec::new();
    for _ in 0..STEPS_MAX {
        let outcome = task.step(std::mem::take(&mut results));
        log.extend(task.take_log());
        if let Some(outcome) = outcome {
            let Outcome::Connect(outcome) = outcome else { unreachable!("a connection ends as one") };
            return Run { outcome, requests, log };
        }
        for request in task.take_requests() {
            requests.push(request.op.clone());
            open.push(request);
        }
        let answered = open.iter().enumerate().find_map(|(place, request)| Some((place, answer(&request.op)?)));
        let (place, result) = answered.unwrap_or_else(|| panic!("nothing is answered of {open:?}"));
        results.push(IoResult { id: open.remove(place).id, result });
    }
    panic!("the connection did not end after {STEPS_MAX} steps");
}

/// The answer of a host that does what it is asked, with an empty `200` to every HTTP request.
#[must_use]
pub fn agree(op: &IoOp) -> IoAnswer {
    match op {
        IoOp::Http(_) | IoOp::HttpWithMedia { .. } => json_response(200, ""),
        IoOp::ReadMedia { .. } => IoAnswer::Media { bytes: Payload::default() },
        IoOp::Sleep { .. } => IoAnswer::Slept,
        IoOp::Callbacks(_) => IoAnswer::Stored,
        IoOp::Open(_) => IoAnswer::Opened { stream: 1 },
        IoOp::Read { .. } => IoAnswer::Bytes(crate::Payload::default()),
        IoOp::Write { .. } => IoAnswer::Written,
        IoOp::Close { .. } => IoAnswer::Closed,
        IoOp::NextSend => IoAnswer::NoMoreSends,
        IoOp::Conclude { .. } => IoAnswer::Concluded,
    }
}

/// The answer of a host that can do nothing; `may_have_left` says whether HTTP requests may have reached the peer.
#[must_use]
pub fn fail(op: &IoOp, may_have_left: bool) -> IoAnswer {
    let details = "scripted failure".to_owned();
    match op {
        IoOp::Http(_) | IoOp::HttpWithMedia { .. } if may_have_left => {
            IoAnswer::HttpFailed(HttpError::Unknown { details })
        }
        IoOp::Http(_) | IoOp::HttpWithMedia { .. } => IoAnswer::HttpFailed(HttpError::NotSent { details }),
        IoOp::ReadMedia { .. } => IoAnswer::MediaFailed { details },
        IoOp::Sleep { .. } => IoAnswer::Slept,
        IoOp::Callbacks(_) => IoAnswer::StoreFailed { details },
        IoOp::Open(_) | IoOp::Read { .. } | IoOp::Write { .. } => IoAnswer::StreamFailed { details },
        IoOp::Close { .. } => IoAnswer::Closed,
        IoOp::NextSend => IoAnswer::NoMoreSends,
        IoOp::Conclude { .. } => IoAnswer::Concluded,
    }
}

/// An HTTP answer with a JSON body.
#[must_use]
pub fn json_response(status: u16, body: &str) -> IoAnswer {
    IoAnswer::Http(HttpResponse {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into(),
    })
}

type BoxedFuture = std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>>;

fn drive(start: impl FnOnce(Io) -> BoxedFuture, mut answer: impl FnMut(&IoOp) -> IoAnswer) -> Run<Outcome> {
    let shared = Arc::new(Shared::default());
    let mut task = Task::new(Arc::clone(&shared), start(Io::new(shared)));
    let (mut requests, mut log, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STEPS_MAX {
        let outcome = task.step(std::mem::take(&mut results));
        log.extend(task.take_log());
        if let Some(outcome) = outcome {
            return Run { outcome, requests, log };
        }
        for request in task.take_requests() {
            results.push(IoResult { id: request.id, result: answer(&request.op) });
            requests.push(request.op);
        }
    }
    panic!("the adapter did not end after {STEPS_MAX} steps");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::io::{HttpRequest, Level};
    use crate::types::{Capabilities, Channel, Description, UpstreamError};

    fn request(url: &str) -> HttpRequest {
        HttpRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: crate::Payload::default(),
            timeout_ms: None,
        }
    }

    struct TwoAtOnce;

    #[async_trait::async_trait]
    impl TransportAdapter for TwoAtOnce {
        fn describe(&self) -> Description {
            Description {
                name: "two".to_owned(),
                version: "1".to_owned(),
                channel: Channel::Sms,
                capabilities: Capabilities::default(),
                connection_schema: serde_json::json!({}),
            }
        }

        async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
            io.log(Level::Info, "started");
            let polls = AtomicUsize::new(0);
            let yielding = std::future::poll_fn(|context| {
                if polls.fetch_add(1, Ordering::Relaxed) < 3 {
                    context.waker().wake_by_ref();
                    return std::task::Poll::Pending;
                }
                std::task::Poll::Ready(())
            });
            yielding.await;
            let (a, b) = join(io.http(request("https://a.example")), io.http(request("https://b.example"))).await;
            let (a, b) = (a?, b?);
            if a.status != b.status {
                return Err(SendError::Rejected { error: UpstreamError::new("they differ") });
            }
            io.sleep(Duration::from_millis(7)).await;
            Ok(Accepted { upstream_id: message.message_id, recipient_id: None })
        }
    }

    async fn join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
        let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
        let (mut first, mut second) = (None, None);
        std::future::poll_fn(|context| {
            use std::task::Poll;
            if first.is_none()
                && let Poll::Ready(value) = a.as_mut().poll(context)
            {
                first = Some(value);
            }
            if second.is_none()
                && let Poll::Ready(value) = b.as_mut().poll(context)
            {
                second = Some(value);
            }
            if first.is_some() && second.is_some() {
                return Poll::Ready((first.take().expect("set"), second.take().expect("set")));
            }
            Poll::Pending
        })
        .await
    }

    fn message() -> Outbound {
        serde_json::from_value(serde_json::json!({
            "message_id": "msg_1", "attempt": 1, "attempt_ref": "a1", "accepted_at_ms": 0, "attempt_at_ms": 0,
            "sender": {"id": "snd_1", "phone": "15550001111"}, "recipient": {"phone": "15550002222"},
            "kind": "text", "body": {"type": "text"},
        }))
        .unwrap()
    }

    #[test]
    fn requests_are_open_at_once_and_a_self_wake_is_not_a_wait() {
        let run = send(&TwoAtOnce, message(), |op| match op {
            IoOp::Http(request) if request.url.contains("a.example") => json_response(200, "{}"),
            other => agree(other),
        });
        assert_eq!(run.outcome.unwrap().upstream_id, "msg_1");
        assert_eq!(run.requests.len(), 3);
        assert_eq!(run.requests[2], IoOp::Sleep { ms: 7 });
        assert_eq!(run.log.len(), 1);
    }

    #[test]
    fn a_failure_of_one_request_is_an_outcome() {
        let run = send(&TwoAtOnce, message(), |op| fail(op, false));
        assert!(matches!(run.outcome, Err(SendError::RetryAfter { .. })));
        let run = send(&TwoAtOnce, message(), |op| fail(op, true));
        assert!(matches!(run.outcome, Err(SendError::Ambiguous { .. })));
    }
}
