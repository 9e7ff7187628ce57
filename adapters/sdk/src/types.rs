//! Guarantee: what these types say is what crosses the boundary; there is no second representation to drift.
//!
//! Members that may be missing are optional or have a default, so a newer host can talk to an older adapter and the
//! reverse. Unknown members are ignored.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::{InboundMessage, MarkError, ReadMark, UserPreference};
use crate::io::{HttpError, Io};
use crate::link::{Disconnected, Link};
use crate::management::{ManagementError, Profile, ProfileRequest, TemplateRef, TemplateReport, TemplateSubmission};
use crate::media::{MediaLocation, MediaQuery, MediaUpload, UploadedMedia};
use crate::number::{CodeCheck, CodeDelivery, CodeMethod, CodeRequest, NumberDone, NumberError, Registration};

/// A transport: turns an accepted message into a call to some network, and that network's callbacks into events.
///
/// One value serves every sender and every call at once, from several threads. Keep no state that must survive: the
/// host may run many processes and replaces an adapter while it runs.
#[async_trait]
pub trait TransportAdapter: Send + Sync + 'static {
    /// Says what this adapter is. Must be constant: the host asks when it loads the adapter, and may ask again.
    fn describe(&self) -> Description;

    /// Hands one message to the network.
    ///
    /// # Errors
    /// The variant decides what the host does next, so it must be true: answer [`SendError::Ambiguous`] whenever the
    /// network may have the message and you do not know.
    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError>;

    /// Says how a request to the address for the network's callbacks is answered, before anything in it is believed: this
    /// is where a signature is checked, over the bytes as they came, and where a network is shown that the address is
    /// wanted. A callback that is kept comes to [`TransportAdapter::receive`] later, without its headers.
    ///
    /// # Errors
    /// [`ReceiveError::BadSignature`] if it is not from the network, [`ReceiveError::Malformed`] if it is nothing that it
    /// sends, and, by default, [`ReceiveError::Unsupported`]: then there is no such address.
    async fn admit(&self, io: &Io, callback: Callback) -> Result<Admission, ReceiveError> {
        let _ = (io, callback);
        Err(ReceiveError::Unsupported)
    }

    /// Reads one callback of the network, which was admitted or is the adapter's own. Read every entry of a batch: what is
    /// left out is lost.
    ///
    /// # Errors
    /// [`ReceiveError::Malformed`] if it cannot be read, and, by default, [`ReceiveError::Unsupported`].
    async fn receive(&self, io: &Io, callback: Callback) -> Result<Received, ReceiveError> {
        let _ = (io, callback);
        Err(ReceiveError::Unsupported)
    }

    /// Tells the network that a message of a person has been read, and that an answer is being written.
    ///
    /// # Errors
    /// [`MarkError::Unavailable`] if it may work later. By default [`MarkError::Unsupported`].
    async fn mark_read(&self, io: &Io, mark: ReadMark) -> Result<(), MarkError> {
        let _ = (io, mark);
        Err(MarkError::Unsupported)
    }

    /// Gives a file to the network, so that messages can name it. The bytes are at the host: see
    /// [`Io::read_media`] and [`Io::http_with_media`].
    ///
    /// # Errors
    /// As [`TransportAdapter::send`], of the file instead of the message; one that the network may have is given to it
    /// again. By default [`SendError::Internal`].
    async fn upload_media(&self, io: &Io, upload: MediaUpload) -> Result<UploadedMedia, SendError> {
        let _ = (io, upload);
        Err(SendError::Internal { error: UpstreamError::new("This adapter takes no files") })
    }

    /// Says where a file is that came with a message of a person.
    ///
    /// # Errors
    /// [`ManagementError::Rejected`] if the network does not have it any more. By default
    /// [`ManagementError::Unsupported`].
    async fn locate_media(&self, io: &Io, query: MediaQuery) -> Result<MediaLocation, ManagementError> {
        let _ = (io, query);
        Err(ManagementError::Unsupported)
    }

    /// Gives a template to the network for its review, or other content for one that it has. A host that was cut off
    /// submits again: answer what the network has, if that is what was submitted.
    ///
    /// # Errors
    /// [`ManagementError::Rejected`] if the network will not have it as it is. By default
    /// [`ManagementError::Unsupported`].
    async fn submit_template(
        &self,
        io: &Io,
        submission: TemplateSubmission,
    ) -> Result<TemplateReport, ManagementError> {
        let _ = (io, submission);
        Err(ManagementError::Unsupported)
    }

    /// Asks the network where a template stands.
    ///
    /// # Errors
    /// One that the network does not have is a report, not an error. By default [`ManagementError::Unsupported`].
    async fn read_template(&self, io: &Io, template: TemplateRef) -> Result<TemplateReport, ManagementError> {
        let _ = (io, template);
        Err(ManagementError::Unsupported)
    }

    /// Has the network delete a template in its one language. One that it does not have is deleted.
    ///
    /// # Errors
    /// By default [`ManagementError::Unsupported`].
    async fn delete_template(&self, io: &Io, template: TemplateRef) -> Result<TemplateReport, ManagementError> {
        let _ = (io, template);
        Err(ManagementError::Unsupported)
    }

    /// Has the network end the pause of a template. One that is not paused is left as it is.
    ///
    /// # Errors
    /// [`ManagementError::Rejected`] if the network keeps it paused. By default [`ManagementError::Unsupported`].
    async fn unpause_template(&self, io: &Io, template: TemplateRef) -> Result<TemplateReport, ManagementError> {
        let _ = (io, template);
        Err(ManagementError::Unsupported)
    }

    /// Changes the profile that people see of a sender, if anything is to be changed, and answers it otherwise: the answer
    /// to a change may be empty.
    ///
    /// # Errors
    /// [`ManagementError::Rejected`] if the network will not have it as it is. By default
    /// [`ManagementError::Unsupported`].
    async fn profile(&self, io: &Io, request: ProfileRequest) -> Result<Profile, ManagementError> {
        let _ = (io, request);
        Err(ManagementError::Unsupported)
    }

    /// Brings a code of the host's to a phone, by one of [`Capabilities::delivers_codes`]. Log nothing of it.
    ///
    /// # Errors
    /// [`NumberError::Ambiguous`] whenever the network may have it and you do not know. By default
    /// [`NumberError::Unsupported`].
    async fn deliver_code(&self, io: &Io, delivery: CodeDelivery) -> Result<NumberDone, NumberError> {
        let _ = (io, delivery);
        Err(NumberError::Unsupported)
    }

    /// Has the network send a code of its own to a sender's number.
    ///
    /// # Errors
    /// As [`TransportAdapter::deliver_code`].
    async fn request_code(&self, io: &Io, request: CodeRequest) -> Result<NumberDone, NumberError> {
        let _ = (io, request);
        Err(NumberError::Unsupported)
    }

    /// Has the network check the code that it sent.
    ///
    /// # Errors
    /// [`NumberError::WrongCode`] if it is another one or too old; else as [`TransportAdapter::deliver_code`].
    async fn verify_code(&self, io: &Io, check: CodeCheck) -> Result<NumberDone, NumberError> {
        let _ = (io, check);
        Err(NumberError::Unsupported)
    }

    /// Registers a verified number for sending. A number that is registered already is done.
    ///
    /// # Errors
    /// As [`TransportAdapter::deliver_code`].
    async fn register(&self, io: &Io, registration: Registration) -> Result<NumberDone, NumberError> {
        let _ = (io, registration);
        Err(NumberError::Unsupported)
    }

    /// Opens a connection and keeps it until it is lost or the host wants no more of it ([`Io::next_send`]). For
    /// networks that are spoken to over a connection ([`Capabilities::connects`]): the host runs one of these for each
    /// sender, again after a pause when it has ended, and hands it the sender's messages one by one, as it asks for
    /// them. Such an adapter's [`TransportAdapter::send`] is not called.
    ///
    /// A message that was handed over and not concluded when this ends counts as [`SendError::Ambiguous`].
    async fn connect(&self, io: &Io, link: Link) -> Disconnected {
        let _ = (io, link);
        Disconnected::Unsupported
    }
}

/// The kind of network behind an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// WhatsApp: rich messages, templates, receipts.
    Whatsapp,
    /// Short messages: plain text.
    Sms,
}

impl Channel {
    /// The name that it has in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::Sms => "sms",
        }
    }
}

/// What an adapter is and what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Lower-case letters, digits and `-`, starting with a letter, at most [`Description::NAME_LENGTH_MAX_BYTES`].
    pub name: String,
    /// The adapter's own version, for people.
    pub version: String,
    /// The kind of network behind it.
    pub channel: Channel,
    /// What it can do beyond sending text.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// JSON Schema (an object) of the `connection` settings of a sender that uses this adapter.
    pub connection_schema: Value,
}

impl Description {
    /// The longest name.
    pub const NAME_LENGTH_MAX_BYTES: usize = 40;

    /// Whether `name` is a valid adapter name.
    #[must_use]
    pub fn is_valid_name(name: &str) -> bool {
        name.len() <= Self::NAME_LENGTH_MAX_BYTES
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }
}

/// What an adapter can do. The default is the least: text only, no callbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// The message kinds it takes as they are (`"template"`, `"image"`, ..). Empty: it uses [`Outbound::text`] only.
    pub kinds: Vec<String>,
    /// Whether it implements [`TransportAdapter::receive`].
    pub receives: bool,
    /// Whether its network calls back over HTTP: it implements [`TransportAdapter::admit`].
    pub listens: bool,
    /// Whether its network returns [`Outbound::attempt_ref`] in receipts, which settles ambiguous attempts.
    pub returns_attempt_ref: bool,
    /// Whether it implements [`TransportAdapter::mark_read`].
    pub marks_read: bool,
    /// Whether it implements [`TransportAdapter::upload_media`]: messages then name files by the network's ids. Without
    /// it they name them by the host's.
    pub uploads_media: bool,
    /// Whether its network keeps the files that people send: it implements [`TransportAdapter::locate_media`]. Without it
    /// the ids of files in what people send are left as they are.
    pub locates_media: bool,
    /// Whether its network reviews templates: it implements [`TransportAdapter::submit_template`],
    /// [`TransportAdapter::read_template`], [`TransportAdapter::unpause_template`] and
    /// [`TransportAdapter::delete_template`].
    pub manages_templates: bool,
    /// Whether its network keeps the profile that people see: it implements [`TransportAdapter::profile`].
    pub keeps_profiles: bool,
    /// How it brings a code of the host's to a phone. Empty: it does not implement [`TransportAdapter::deliver_code`].
    pub delivers_codes: Vec<CodeMethod>,
    /// Whether its network checks itself whose a number is: it implements [`TransportAdapter::request_code`],
    /// [`TransportAdapter::verify_code`] and [`TransportAdapter::register`].
    pub verifies_numbers: bool,
    /// Whether it sends over a connection that it keeps: it implements [`TransportAdapter::connect`].
    pub connects: bool,
}

/// One attempt to send one message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outbound {
    /// The message's id at Waystation; the same in every attempt.
    pub message_id: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Opaque reference of this very attempt. Give it to the network if it can carry one: a receipt that carries it
    /// settles an ambiguous attempt.
    pub attempt_ref: String,
    /// When the message was accepted, in Unix milliseconds.
    pub accepted_at_ms: i64,
    /// When this attempt was started, in Unix milliseconds. An adapter has no other clock.
    pub attempt_at_ms: i64,
    /// Who sends.
    pub sender: Sender,
    /// The sender's settings for this adapter, valid by [`Description::connection_schema`].
    #[serde(default)]
    pub connection: Value,
    /// Who is to get it.
    pub recipient: Recipient,
    /// The message's type: `"text"`, `"template"`, ..
    pub kind: String,
    /// The Cloud API message object as it was accepted.
    pub body: Box<RawValue>,
    /// The message as plain text, for channels without rich messages.
    #[serde(default)]
    pub text: String,
}

/// The phone number a message is sent from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The sender's id at Waystation.
    pub id: String,
    /// Its number: digits with the country code, no `+`.
    pub phone: String,
}

/// The person a message is for. At least one member is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipient {
    /// The number: digits with the country code, no `+`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The business-scoped user id, for people whose number is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

/// The network took the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The network's id of the message; receipts are matched by it. Never empty.
    pub upstream_id: String,
    /// The recipient as the network normalised it (`wa_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<String>,
}

/// What the network, or whoever speaks for it, said was wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UpstreamError {
    /// The Cloud API error code, where one fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// A few words, the same for every error with this code.
    pub title: String,
    /// What was wrong this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The error as it came, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Value>,
}

impl UpstreamError {
    /// An error without a code.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// An error with a Cloud API code.
    #[must_use]
    pub fn with_code(code: i64, title: impl Into<String>) -> Self {
        Self { code: Some(code), title: title.into(), ..Self::default() }
    }

    /// The same error with details.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(out, "({code}) ")?;
        }
        out.write_str(&self.title)?;
        if let Some(details) = &self.details {
            write!(out, ": {details}")?;
        }
        Ok(())
    }
}

/// How far a rate limit reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateScope {
    /// This sender to this recipient.
    Pair,
    /// Everything of this sender.
    Sender,
    /// Everything over this connection.
    Connection,
}

/// Why a message was not accepted. The variant decides what the host does next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendError {
    /// The network does not have it, and may take it later.
    RetryAfter {
        /// Not before so many milliseconds; the host's own backoff when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
        /// What was said.
        error: UpstreamError,
    },
    /// The network does not have it: too much at once. Does not count as a failed attempt.
    RateLimited {
        /// Not before so many milliseconds.
        after_ms: u64,
        /// What else must wait.
        scope: RateScope,
        /// What was said.
        error: UpstreamError,
    },
    /// The network does not have it and never will take it as it is.
    Rejected {
        /// What was said.
        error: UpstreamError,
    },
    /// The network does not have it, and would take nothing over this connection now.
    ChannelDown {
        /// What was said.
        error: UpstreamError,
        /// Whether it stays down until a person acts (an expired token, a locked account).
        needs_operator: bool,
    },
    /// The network does not have it, and no longer knows files that it names. The host gives them to the network again,
    /// then tries again.
    MediaGone {
        /// The network's ids of the files; all that the message names when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        upstream_ids: Vec<String>,
        /// What was said.
        error: UpstreamError,
    },
    /// The network may have it; nobody here knows.
    Ambiguous {
        /// What happened.
        error: UpstreamError,
    },
    /// The network does not have it, because of a defect on our side.
    Internal {
        /// What is wrong.
        error: UpstreamError,
    },
}

impl SendError {
    /// What was said, whatever follows from it.
    #[must_use]
    pub fn error(&self) -> &UpstreamError {
        match self {
            Self::RetryAfter { error, .. }
            | Self::RateLimited { error, .. }
            | Self::Rejected { error }
            | Self::ChannelDown { error, .. }
            | Self::MediaGone { error, .. }
            | Self::Ambiguous { error }
            | Self::Internal { error } => error,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::RetryAfter { .. } => "retry later",
            Self::RateLimited { .. } => "rate limited",
            Self::Rejected { .. } => "rejected",
            Self::ChannelDown { .. } => "channel down",
            Self::MediaGone { .. } => "media gone",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Internal { .. } => "internal",
        };
        write!(out, "{kind}: {}", self.error())
    }
}

impl std::error::Error for SendError {}

impl From<HttpError> for SendError {
    /// A request that was not sent may be tried again; one that may have arrived makes the attempt ambiguous.
    fn from(failure: HttpError) -> Self {
        match failure {
            HttpError::NotSent { details } => Self::RetryAfter {
                after_ms: None,
                error: UpstreamError::new("The request was not sent").details(details),
            },
            HttpError::Unknown { details } => {
                Self::Ambiguous { error: UpstreamError::new("The request has no answer").details(details) }
            }
        }
    }
}

/// A callback of the network, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The HTTP method.
    #[serde(default = "post")]
    pub method: String,
    /// The parameters of the query in order, decoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// The body, byte for byte: a signature covers it.
    pub body: Payload,
    /// The headers in order, names in lower case.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The settings of the sender it was addressed to.
    #[serde(default)]
    pub connection: Value,
    /// When it arrived, in Unix milliseconds.
    pub received_at_ms: i64,
}

fn post() -> String {
    "POST".to_owned()
}

impl Callback {
    /// A callback that came without headers.
    #[must_use]
    pub fn new(body: impl Into<Payload>, connection: Value, received_at_ms: i64) -> Self {
        let (query, headers) = (Vec::new(), Vec::new());
        Self { method: post(), query, body: body.into(), headers, connection, received_at_ms }
    }

    /// A header's value, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value.as_str())
    }
}

/// How a callback is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whether the callback is to be kept and worked on. The network is answered once it is on disk.
    pub keep: bool,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer: text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl Admission {
    /// It is kept, and the network is told that all is well.
    #[must_use]
    pub fn kept() -> Self {
        Self { keep: true, status: 200, body: String::new() }
    }

    /// It said nothing that must be kept.
    #[must_use]
    pub fn answered(status: u16, body: impl Into<String>) -> Self {
        Self { keep: false, status, body: body.into() }
    }
}

/// What a callback said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// Everything it said, in its order.
    pub events: Vec<Event>,
}

/// One thing a callback said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A receipt of a message we sent.
    Status(StatusEvent),
    /// Something that a person sent.
    Inbound(InboundMessage),
    /// What a person wants to get from now on.
    UserPreference(UserPreference),
    /// Something about an account, a number or a template.
    Change(Change),
    /// A text that arrived at a pretend phone, for networks that are none.
    PretendPhone(PretendText),
    /// Something this adapter does not know. Passed on, so that nothing is dropped silently.
    Unknown {
        /// What was not understood, and where in the callback.
        what: String,
        /// That part as it came.
        raw: Value,
    },
}

/// Something that a network says about an account, a number or a template, as the Cloud API has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What kind of change, such as `message_template_status_update`.
    pub field: String,
    /// What changed.
    pub value: Value,
    /// When, by the network's clock, in Unix milliseconds.
    pub at_ms: i64,
}

/// A text that arrived at a pretend phone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PretendText {
    /// The phone: digits with the country code, no `+`.
    pub phone: String,
    /// Who it is from, as the phone shows it.
    pub from: String,
    /// What it says.
    pub text: String,
    /// When it arrived, in Unix milliseconds.
    pub at_ms: i64,
}

impl fmt::Debug for PretendText {
    /// Does not show the text: it may be a code.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PretendText").field("from", &self.from).finish_non_exhaustive()
    }
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusEvent {
    /// The network's id of the message.
    pub upstream_id: String,
    /// The attempt it belongs to, where the network carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_ref: Option<String>,
    /// What became of the message.
    pub status: ReceiptStatus,
    /// When, by the network's clock, in Unix milliseconds.
    pub at_ms: i64,
    /// The recipient as the network normalised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<UpstreamError>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// It left the network.
    Sent,
    /// It reached a device.
    Delivered,
    /// It was read.
    Read,
    /// A voice message was played.
    Played,
    /// It will not be delivered.
    Failed,
}

/// Why a callback gave no events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiveError {
    /// This adapter takes no callbacks.
    Unsupported,
    /// It is not from the network.
    BadSignature,
    /// It cannot be read.
    Malformed {
        /// What was wrong, and where.
        details: String,
    },
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => out.write_str("this adapter takes no callbacks"),
            Self::BadSignature => out.write_str("the callback's signature does not match"),
            Self::Malformed { details } => write!(out, "the callback cannot be read: {details}"),
        }
    }
}

impl std::error::Error for ReceiveError {}

/// Bytes. In JSON a string when they are UTF-8, else an object with the single member `base64`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes as text, when they are UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Payload {
    /// Shows the length only: bodies do not belong in logs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Payload({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.as_str() {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &STANDARD.encode(&self.0))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PayloadVisitor;

        impl<'de> Visitor<'de> for PayloadVisitor {
            type Value = Payload;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string, or an object with the member `base64`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Payload, E> {
                Ok(Payload::from(text))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Payload, E> {
                Ok(Payload::from(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
                let mut bytes = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "base64" {
                        let text: String = map.next_value()?;
                        bytes = Some(STANDARD.decode(text).map_err(de::Error::custom)?);
                    } else {
                        map.next_value::<de::IgnoredAny>()?;
                    }
                }
                bytes.map(Payload).ok_or_else(|| de::Error::missing_field("base64"))
            }
        }

        deserializer.deserialize_any(PayloadVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_text_when_it_can_be_and_base64_when_it_must() {
        let text = Payload::from("héllo \"x\"\n");
        let json = serde_json::to_string(&text).unwrap();
        assert_eq!(json, "\"héllo \\\"x\\\"\\n\"");
        assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), text);

        let bytes = Payload::from(vec![0xff, 0x00, 0x80]);
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(json, "{\"base64\":\"/wCA\"}");
        assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), bytes);
        assert!(serde_json::from_str::<Payload>("{}").is_err());
        assert!(serde_json::from_str::<Payload>("{\"base64\":\"%\"}").is_err());
    }

    #[test]
    fn a_request_that_may_have_arrived_is_ambiguous() {
        let not_sent = HttpError::NotSent { details: "no route".to_owned() };
        assert!(matches!(SendError::from(not_sent), SendError::RetryAfter { .. }));
        let unknown = HttpError::Unknown { details: "reset".to_owned() };
        assert!(matches!(SendError::from(unknown), SendError::Ambiguous { .. }));
    }

    #[test]
    fn names_are_lower_case_words() {
        assert!(Description::is_valid_name("whatsapp-cloud"));
        for bad in ["", "1a", "Sandbox", "a b", "a/../b", &"a".repeat(41)] {
            assert!(!Description::is_valid_name(bad), "{bad}");
        }
    }
}
