//! Guarantee: a file crosses the boundary in pieces of bounded size or not at all, so that neither side ever holds it
//! whole.
//!
//! Networks that know files by ids of their own take them by [`upload_media`]. The host has the bytes: an adapter asks for
//! pieces with [`Io::read_media`], or has the host put all of them into the body of a request with
//! [`Io::http_with_media`], which is the way to take for a network that is asked by HTTP.
//!
//! [`upload_media`]: crate::TransportAdapter::upload_media
//! [`Io::read_media`]: crate::Io::read_media
//! [`Io::http_with_media`]: crate::Io::http_with_media

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::Sender;

/// The longest piece of a file that a host hands over at once, in bytes.
pub const MEDIA_READ_MAX_BYTES: u32 = 1024 * 1024;

/// A file that the network is to have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MediaUpload {
    /// The file's id at Waystation.
    pub media_id: String,
    /// Who is going to send it.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// Its media type.
    pub content_type: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// How long it is, in bytes.
    pub size_bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// The network has the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedMedia {
    /// What the network calls it. Messages name it by this id from then on. Never empty.
    pub upstream_id: String,
    /// When the network forgets it, in Unix milliseconds; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<i64>,
}

/// The host could not hand over a piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaReadError {
    /// What happened.
    pub details: String,
}

impl fmt::Display for MediaReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the file could not be read: {}", self.details)
    }
}

impl std::error::Error for MediaReadError {}
