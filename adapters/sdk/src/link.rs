//! Guarantee: a connection's bytes and its messages pass the host one request at a time, so the host knows which messages
//! a connection has taken and what became of each, also of those that a lost connection left open.
//!
//! Networks that are spoken to over a connection need a coroutine that lives as long as the connection. It asks for
//! messages when it has room for them, which is all the back-pressure there is.
//!
//! A request that was made must be kept until it is answered: what a dropped [`Stream::read`] or [`Io::next_send`] would
//! have brought is lost. Keep the future and poll it again.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::coroutine::{Exchange, Shared};
use crate::io::{Io, MISMATCH};
use crate::types::{Accepted, Outbound, SendError, Sender, UpstreamError};
use crate::wire::{IoAnswer, IoOp};

/// A connection to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Whose messages go over it.
    pub sender: Sender,
    /// The sender's settings, valid by the adapter's connection schema.
    #[serde(default)]
    pub connection: Value,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disconnected {
    /// This adapter keeps no connections.
    Unsupported,
    /// The host wanted it to end.
    Asked,
    /// It could not be made, or was lost. The host makes it again after a pause.
    Lost {
        /// What happened.
        error: UpstreamError,
        /// Whether it cannot be made until a person acts (a wrong password, a locked account).
        needs_operator: bool,
    },
}

/// Where a stream leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The peer's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether to speak TLS, with a certificate that the host's system trusts for the name.
    #[serde(default)]
    pub tls: bool,
}

/// A stream could not be opened, or is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// What happened.
    pub details: String,
}

impl fmt::Display for StreamError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.details)
    }
}

impl std::error::Error for StreamError {}

/// A stream of bytes; the host closes it when the operation ends.
pub struct Stream {
    shared: Arc<Shared>,
    id: u64,
}

impl Stream {
    /// What has arrived, or what arrives next; nothing when the peer has closed its side.
    ///
    /// # Errors
    /// If the stream is broken.
    pub async fn read(&self) -> Result<Vec<u8>, StreamError> {
        match self.exchange(IoOp::Read { stream: self.id }).await {
            IoAnswer::Bytes(bytes) => Ok(bytes.into_bytes()),
            other => Err(failure(other)),
        }
    }

    /// Writes all of `bytes`. Writes reach the peer in the order in which they were first polled.
    ///
    /// # Errors
    /// If the stream is broken: the peer may have some of it.
    pub async fn write(&self, bytes: Vec<u8>) -> Result<(), StreamError> {
        match self.exchange(IoOp::Write { stream: self.id, bytes: bytes.into() }).await {
            IoAnswer::Written => Ok(()),
            other => Err(failure(other)),
        }
    }

    /// Closes the stream.
    pub async fn close(self) {
        self.exchange(IoOp::Close { stream: self.id }).await;
    }

    fn exchange(&self, op: IoOp) -> Exchange {
        Exchange::new(Arc::clone(&self.shared), op)
    }
}

fn failure(answer: IoAnswer) -> StreamError {
    match answer {
        IoAnswer::StreamFailed { details } => StreamError { details },
        _ => StreamError { details: MISMATCH.to_owned() },
    }
}

/// A message that a connection was given.
#[derive(Clone, Debug)]
pub struct Handed {
    /// What concludes it.
    pub ticket: u64,
    /// The message.
    pub message: Box<Outbound>,
}

impl Io {
    /// Opens a stream of bytes through the host, which owns sockets, TLS and the rules of egress.
    ///
    /// # Errors
    /// If there is no connection: nothing was sent.
    pub async fn open(&self, endpoint: Endpoint) -> Result<Stream, StreamError> {
        match self.exchange(IoOp::Open(endpoint)).await {
            IoAnswer::Opened { stream } => Ok(Stream { shared: Arc::clone(self.shared()), id: stream }),
            other => Err(failure(other)),
        }
    }

    /// The next message for this connection, as soon as there is one; none when the connection is to end. In
    /// [`TransportAdapter::connect`](crate::TransportAdapter::connect) only. The first call tells the host that the
    /// connection is up: until then its messages wait.
    pub async fn next_send(&self) -> Option<Handed> {
        match self.exchange(IoOp::NextSend).await {
            IoAnswer::Send { ticket, message } => Some(Handed { ticket, message }),
            _ => None,
        }
    }

    /// Says what became of a message that was handed over.
    pub async fn conclude(&self, ticket: u64, outcome: Result<Accepted, SendError>) {
        self.exchange(IoOp::Conclude { ticket, answer: outcome.into() }).await;
    }
}
