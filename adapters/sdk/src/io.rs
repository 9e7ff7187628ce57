//! Guarantee: every effect of an adapter is a request the host sees, may refuse, and can count.
//!
//! The host decides what a fault means from what the adapter had asked for until then, so there must be no other way
//! out than [`Io`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::coroutine::{Exchange, Shared};
use crate::media::MediaReadError;
use crate::types::Payload;
use crate::wire::{IoAnswer, IoOp};

/// The way out: requests to the host. Several may be open at once (`join!`).
pub struct Io {
    shared: Arc<Shared>,
}

impl Io {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes an HTTP request through the host, which owns pools, TLS, timeouts and the rules of egress. It follows no
    /// redirect and repeats no request.
    ///
    /// # Errors
    /// [`HttpError`] if the peer did not answer; the variant says whether it may have the request. An answer with an
    /// error status is an [`HttpResponse`].
    pub async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match self.exchange(IoOp::Http(request)).await {
            IoAnswer::Http(response) => Ok(response),
            IoAnswer::HttpFailed(error) => Err(error),
            _ => Err(HttpError::Unknown { details: MISMATCH.to_owned() }),
        }
    }

    /// Makes an HTTP request whose body goes on behind `request.body` with the whole file that is to be uploaded, and then
    /// with `after`: the parts of a form around it, for example. The host adds the file's bytes as it sends them. For
    /// [`upload_media`](crate::TransportAdapter::upload_media) only.
    ///
    /// # Errors
    /// As [`Io::http`].
    pub async fn http_with_media(&self, request: HttpRequest, after: Payload) -> Result<HttpResponse, HttpError> {
        match self.exchange(IoOp::HttpWithMedia { request, after }).await {
            IoAnswer::Http(response) => Ok(response),
            IoAnswer::HttpFailed(error) => Err(error),
            _ => Err(HttpError::Unknown { details: MISMATCH.to_owned() }),
        }
    }

    /// Reads a piece of the file that is to be uploaded: at most `max_bytes` from `offset`, and at most
    /// [`MEDIA_READ_MAX_BYTES`](crate::MEDIA_READ_MAX_BYTES); nothing behind its end. For
    /// [`upload_media`](crate::TransportAdapter::upload_media) only.
    ///
    /// # Errors
    /// If the host cannot read it.
    pub async fn read_media(&self, offset: u64, max_bytes: u32) -> Result<Payload, MediaReadError> {
        match self.exchange(IoOp::ReadMedia { offset, max_bytes }).await {
            IoAnswer::Media { bytes } => Ok(bytes),
            IoAnswer::MediaFailed { details } => Err(MediaReadError { details }),
            _ => Err(MediaReadError { details: MISMATCH.to_owned() }),
        }
    }

    /// Waits. The host counts it toward the deadline of the whole operation.
    pub async fn sleep(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.exchange(IoOp::Sleep { ms }).await;
    }

    /// Asks the host to hand these bodies to this adapter's own `receive`, each after its delay. Returns once they
    /// are on disk. For transports whose receipts come over something other than an HTTP callback.
    ///
    /// # Errors
    /// If they could not be stored: then none of them will come.
    pub async fn callbacks(&self, callbacks: Vec<ScheduledCallback>) -> Result<(), CallbacksError> {
        match self.exchange(IoOp::Callbacks(callbacks)).await {
            IoAnswer::Stored => Ok(()),
            IoAnswer::StoreFailed { details } => Err(CallbacksError { details }),
            _ => Err(CallbacksError { details: MISMATCH.to_owned() }),
        }
    }

    /// Logs a line. Handed over with the next step. Do not log bodies, keys or a person's number.
    pub fn log(&self, level: Level, text: &str) {
        self.shared.log(LogLine { level, text: text.to_owned() });
    }

    pub(crate) fn exchange(&self, op: IoOp) -> Exchange {
        Exchange::new(Arc::clone(&self.shared), op)
    }
}

pub(crate) const MISMATCH: &str = "the host answered a request with the result of another kind of request";

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method, in capitals.
    pub method: String,
    /// The absolute URL, `https` unless the host's rules of egress allow another.
    pub url: String,
    /// The headers in order. The host adds `host`, `content-length` and its own `user-agent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default)]
    pub body: Payload,
    /// How long to wait for the whole answer, in milliseconds; the host's limit when absent or above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The headers in order, names in lower case.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default)]
    pub body: Payload,
}

/// Why there is no HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpError {
    /// The request surely did not reach the peer: refused by the rules, no address, no connection.
    NotSent {
        /// What happened.
        details: String,
    },
    /// The request may have reached the peer: a timeout, a reset, a broken answer.
    Unknown {
        /// What happened.
        details: String,
    },
}

impl fmt::Display for HttpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { details } => write!(out, "the request was not sent: {details}"),
            Self::Unknown { details } => write!(out, "the request may have been sent: {details}"),
        }
    }
}

impl std::error::Error for HttpError {}

/// A callback an adapter sends to itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledCallback {
    /// Not before so many milliseconds from now.
    pub after_ms: u64,
    /// What `receive` gets as its body.
    pub body: Payload,
    /// Whether nobody but `receive` may read it: the host then keeps it sealed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confidential: bool,
}

/// The host could not store callbacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbacksError {
    /// What happened.
    pub details: String,
}

impl fmt::Display for CallbacksError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the callbacks were not stored: {}", self.details)
    }
}

impl std::error::Error for CallbacksError {}

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Every step.
    Trace,
    /// For who debugs the adapter.
    Debug,
    /// For the record.
    Info,
    /// Something is odd, and handled.
    Warn,
    /// Something needs a person.
    Error,
}

/// A line an adapter logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How important it is.
    pub level: Level,
    /// The line.
    pub text: String,
}
