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

use crate::io::HttpRequest;
use crate::types::Sender;

/// The longest piece of a file that a host hands over at once, in bytes.
pub const MEDIA_READ_MAX_BYTES: u32 = 1024 * 1024;

/// What a network is given a file for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaPurpose {
    /// Messages name it by the id that the network gives it.
    #[default]
    Message,
    /// It is the sample of a template or the picture of a profile: those name it by a handle.
    Sample,
}

impl MediaPurpose {
    fn is_message(&self) -> bool {
        *self == Self::Message
    }
}

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
    /// What for.
    #[serde(default, skip_serializing_if = "MediaPurpose::is_message")]
    pub purpose: MediaPurpose,
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
    /// What the network calls it: the id by which messages name it from then on, or the handle of a sample. Never empty.
    pub upstream_id: String,
    /// When the network forgets it, in Unix milliseconds; unknown when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<i64>,
}

/// A file that came with a message of a person: the network is asked where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaQuery {
    /// Who received it.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// The network's id of it.
    pub upstream_id: String,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// Where a file is. The host makes the request itself, so that the bytes do not pass through the adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaLocation {
    /// The request that answers with the bytes: a `GET` with everything that authorises it.
    pub request: HttpRequest,
    /// Its media type, as the network has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How long it is, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
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
