//! Guarantee: every document that crosses the boundary is one of the types below, with the schema version in `v`.
//!
//! JSON, because a plugin may be written in C, and because a recorded exchange can be read. No type here needs
//! buffering to decode (no untagged or flattened enums): a message body passes through as it is, unparsed.

use serde::{Deserialize, Serialize};

use crate::inbound::{MarkError, ReadMark};
use crate::io::{HttpError, HttpRequest, HttpResponse, LogLine, ScheduledCallback};
use crate::link::{Disconnected, Endpoint, Link};
use crate::management::{ManagementError, Profile, ProfileRequest, TemplateRef, TemplateReport, TemplateSubmission};
use crate::media::{MediaLocation, MediaQuery, MediaUpload, UploadedMedia};
use crate::number::{CodeCheck, CodeDelivery, CodeRequest, NumberDone, NumberError, Registration};
use crate::types::{Accepted, Admission, Callback, Description, Outbound, Payload, ReceiveError, Received, SendError};

/// The schema of the documents in this module.
pub const SCHEMA_VERSION: u32 = 1;

/// `op` of a [`Start`] that sends a message.
pub const OP_SEND: &str = "send";

/// `op` of a [`Start`] that says how a callback is answered.
pub const OP_ADMIT: &str = "admit";

/// `op` of a [`Start`] that reads a callback.
pub const OP_RECEIVE: &str = "receive";

/// `op` of a [`Start`] that marks a message as read.
pub const OP_MARK_READ: &str = "mark_read";

/// `op` of a [`Start`] that gives a file to the network.
pub const OP_UPLOAD_MEDIA: &str = "upload_media";

/// `op` of a [`Start`] that asks where a file is that a person sent.
pub const OP_LOCATE_MEDIA: &str = "locate_media";

/// `op` of a [`Start`] that gives a template to the network.
pub const OP_SUBMIT_TEMPLATE: &str = "submit_template";

/// `op` of a [`Start`] that asks where a template stands.
pub const OP_READ_TEMPLATE: &str = "read_template";

/// `op` of a [`Start`] that has the pause of a template ended.
pub const OP_UNPAUSE_TEMPLATE: &str = "unpause_template";

/// `op` of a [`Start`] that has a template deleted.
pub const OP_DELETE_TEMPLATE: &str = "delete_template";

/// `op` of a [`Start`] that reads or changes a sender's profile.
pub const OP_PROFILE: &str = "profile";

/// `op` of a [`Start`] that brings a code of the host's to a phone.
pub const OP_DELIVER_CODE: &str = "deliver_code";

/// `op` of a [`Start`] that has the network send its code to a number.
pub const OP_REQUEST_CODE: &str = "request_code";

/// `op` of a [`Start`] that has the network check its code.
pub const OP_VERIFY_CODE: &str = "verify_code";

/// `op` of a [`Start`] that registers a number.
pub const OP_REGISTER: &str = "register";

/// `op` of a [`Start`] that opens a connection and keeps it.
pub const OP_CONNECT: &str = "connect";

/// Answer of `describe`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Described {
    /// [`SCHEMA_VERSION`].
    pub v: u32,
    /// The description.
    pub adapter: Description,
}

/// Input of `start`, as a host writes it. Besides `op` it has the one member that goes with the operation.
#[derive(Debug, Default, Serialize)]
pub struct StartRef<'a> {
    /// [`SCHEMA_VERSION`].
    pub v: u32,
    /// What to do: one of the `OP_` constants.
    pub op: &'a str,
    /// The message, for [`OP_SEND`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a Outbound>,
    /// The callback, for [`OP_ADMIT`] and [`OP_RECEIVE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<&'a Callback>,
    /// The message, for [`OP_MARK_READ`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<&'a ReadMark>,
    /// The file, for [`OP_UPLOAD_MEDIA`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<&'a MediaUpload>,
    /// The file, for [`OP_LOCATE_MEDIA`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<&'a MediaQuery>,
    /// The template, for [`OP_SUBMIT_TEMPLATE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<&'a TemplateSubmission>,
    /// The template, for [`OP_READ_TEMPLATE`], [`OP_UNPAUSE_TEMPLATE`] and [`OP_DELETE_TEMPLATE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<&'a TemplateRef>,
    /// The profile, for [`OP_PROFILE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'a ProfileRequest>,
    /// The code, for [`OP_DELIVER_CODE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<&'a CodeDelivery>,
    /// The request, for [`OP_REQUEST_CODE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<&'a CodeRequest>,
    /// The code, for [`OP_VERIFY_CODE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<&'a CodeCheck>,
    /// The number, for [`OP_REGISTER`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<&'a Registration>,
    /// The connection, for [`OP_CONNECT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<&'a Link>,
}

impl<'a> StartRef<'a> {
    /// The request to send `message`.
    #[must_use]
    pub fn send(message: &'a Outbound) -> Self {
        Self { message: Some(message), ..Self::of(OP_SEND) }
    }

    /// The question how `callback` is answered.
    #[must_use]
    pub fn admit(callback: &'a Callback) -> Self {
        Self { callback: Some(callback), ..Self::of(OP_ADMIT) }
    }

    /// The request to read `callback`.
    #[must_use]
    pub fn receive(callback: &'a Callback) -> Self {
        Self { callback: Some(callback), ..Self::of(OP_RECEIVE) }
    }

    /// The request to mark a message as read.
    #[must_use]
    pub fn mark_read(mark: &'a ReadMark) -> Self {
        Self { mark: Some(mark), ..Self::of(OP_MARK_READ) }
    }

    /// The request to give a file to the network.
    #[must_use]
    pub fn upload_media(upload: &'a MediaUpload) -> Self {
        Self { media: Some(upload), ..Self::of(OP_UPLOAD_MEDIA) }
    }

    /// The question where a file is.
    #[must_use]
    pub fn locate_media(query: &'a MediaQuery) -> Self {
        Self { query: Some(query), ..Self::of(OP_LOCATE_MEDIA) }
    }

    /// The request to review a template.
    #[must_use]
    pub fn submit_template(submission: &'a TemplateSubmission) -> Self {
        Self { submission: Some(submission), ..Self::of(OP_SUBMIT_TEMPLATE) }
    }

    /// The question where a template stands.
    #[must_use]
    pub fn read_template(template: &'a TemplateRef) -> Self {
        Self { template: Some(template), ..Self::of(OP_READ_TEMPLATE) }
    }

    /// The request to end the pause of a template.
    #[must_use]
    pub fn unpause_template(template: &'a TemplateRef) -> Self {
        Self { template: Some(template), ..Self::of(OP_UNPAUSE_TEMPLATE) }
    }

    /// The request to delete a template.
    #[must_use]
    pub fn delete_template(template: &'a TemplateRef) -> Self {
        Self { template: Some(template), ..Self::of(OP_DELETE_TEMPLATE) }
    }

    /// The request to read or change a profile.
    #[must_use]
    pub fn profile(profile: &'a ProfileRequest) -> Self {
        Self { profile: Some(profile), ..Self::of(OP_PROFILE) }
    }

    /// The request to bring a code to a phone.
    #[must_use]
    pub fn deliver_code(delivery: &'a CodeDelivery) -> Self {
        Self { delivery: Some(delivery), ..Self::of(OP_DELIVER_CODE) }
    }

    /// The request that the network send its code.
    #[must_use]
    pub fn request_code(request: &'a CodeRequest) -> Self {
        Self { request: Some(request), ..Self::of(OP_REQUEST_CODE) }
    }

    /// The request that the network check its code.
    #[must_use]
    pub fn verify_code(check: &'a CodeCheck) -> Self {
        Self { check: Some(check), ..Self::of(OP_VERIFY_CODE) }
    }

    /// The request to register a number.
    #[must_use]
    pub fn register(registration: &'a Registration) -> Self {
        Self { registration: Some(registration), ..Self::of(OP_REGISTER) }
    }

    /// The request to open a connection and keep it.
    #[must_use]
    pub fn connect(link: &'a Link) -> Self {
        Self { link: Some(link), ..Self::of(OP_CONNECT) }
    }

    fn of(op: &'a str) -> Self {
        Self { v: SCHEMA_VERSION, op, ..Self::default() }
    }
}

/// Input of `start`, as a plugin reads it.
#[derive(Debug, Deserialize)]
pub struct Start {
    /// [`SCHEMA_VERSION`].
    pub v: u32,
    /// What to do: one of the `OP_` constants.
    pub op: String,
    /// The message, for [`OP_SEND`].
    #[serde(default)]
    pub message: Option<Outbound>,
    /// The callback, for [`OP_ADMIT`] and [`OP_RECEIVE`].
    #[serde(default)]
    pub callback: Option<Callback>,
    /// The message, for [`OP_MARK_READ`].
    #[serde(default)]
    pub mark: Option<ReadMark>,
    /// The file, for [`OP_UPLOAD_MEDIA`].
    #[serde(default)]
    pub media: Option<MediaUpload>,
    /// The file, for [`OP_LOCATE_MEDIA`].
    #[serde(default)]
    pub query: Option<MediaQuery>,
    /// The template, for [`OP_SUBMIT_TEMPLATE`].
    #[serde(default)]
    pub submission: Option<TemplateSubmission>,
    /// The template, for [`OP_READ_TEMPLATE`], [`OP_UNPAUSE_TEMPLATE`] and [`OP_DELETE_TEMPLATE`].
    #[serde(default)]
    pub template: Option<TemplateRef>,
    /// The profile, for [`OP_PROFILE`].
    #[serde(default)]
    pub profile: Option<ProfileRequest>,
    /// The code, for [`OP_DELIVER_CODE`].
    #[serde(default)]
    pub delivery: Option<CodeDelivery>,
    /// The request, for [`OP_REQUEST_CODE`].
    #[serde(default)]
    pub request: Option<CodeRequest>,
    /// The code, for [`OP_VERIFY_CODE`].
    #[serde(default)]
    pub check: Option<CodeCheck>,
    /// The number, for [`OP_REGISTER`].
    #[serde(default)]
    pub registration: Option<Registration>,
    /// The connection, for [`OP_CONNECT`].
    #[serde(default)]
    pub link: Option<Link>,
}

/// Input of `resume`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resume {
    /// [`SCHEMA_VERSION`].
    pub v: u32,
    /// Results of requests of earlier steps, at least one, in any order.
    pub results: Vec<IoResult>,
}

/// Answer of `start` and `resume`.
///
/// With status *pending* it has new requests in `io`, or none when earlier ones are still open; with *done* it has
/// the outcome of its operation; with any other status it has `error`. It may have `log` lines with every status.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// [`SCHEMA_VERSION`].
    pub v: u32,
    /// New requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io: Vec<IoRequest>,
    /// What the adapter logged since the last step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// The outcome of [`OP_SEND`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<SendAnswer>,
    /// The outcome of [`OP_ADMIT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admit: Option<AdmitAnswer>,
    /// The outcome of [`OP_RECEIVE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<ReceiveAnswer>,
    /// The outcome of [`OP_MARK_READ`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<MarkAnswer>,
    /// The outcome of [`OP_UPLOAD_MEDIA`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaAnswer>,
    /// The outcome of [`OP_LOCATE_MEDIA`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocateAnswer>,
    /// The outcome of any operation on a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateAnswer>,
    /// The outcome of [`OP_PROFILE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileAnswer>,
    /// The outcome of any operation on a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberAnswer>,
    /// The outcome of [`OP_CONNECT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Disconnected>,
    /// What was wrong with the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something the adapter wants the host to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IoRequest {
    /// Unique within the task.
    pub id: u64,
    /// What to do.
    pub op: IoOp,
}

/// What a host does for an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IoOp {
    /// Make an HTTP request; answered with [`IoAnswer::Http`] or [`IoAnswer::HttpFailed`].
    Http(HttpRequest),
    /// Make an HTTP request whose body goes on with the file that is to be uploaded and then with `after`; answered as
    /// [`IoOp::Http`] is. Within [`OP_UPLOAD_MEDIA`] only.
    HttpWithMedia {
        /// The request, with what stands before the file as its body.
        request: HttpRequest,
        /// What stands behind the file.
        #[serde(default)]
        after: Payload,
    },
    /// Read a piece of the file that is to be uploaded; answered with [`IoAnswer::Media`] or [`IoAnswer::MediaFailed`].
    /// Within [`OP_UPLOAD_MEDIA`] only.
    ReadMedia {
        /// Where the piece starts.
        offset: u64,
        /// How long it is at most, in bytes.
        max_bytes: u32,
    },
    /// Wait; answered with [`IoAnswer::Slept`].
    Sleep {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Store these and hand each to `receive` after its delay; answered, once they are on disk, with
    /// [`IoAnswer::Stored`] or else [`IoAnswer::StoreFailed`].
    Callbacks(Vec<ScheduledCallback>),
    /// Open a stream of bytes; answered with [`IoAnswer::Opened`] or [`IoAnswer::StreamFailed`].
    Open(Endpoint),
    /// Read what has arrived, or wait for it; answered with [`IoAnswer::Bytes`], which are none when the peer has
    /// closed its side, or [`IoAnswer::StreamFailed`].
    Read {
        /// The stream.
        stream: u64,
    },
    /// Write all of this; answered with [`IoAnswer::Written`] or [`IoAnswer::StreamFailed`].
    Write {
        /// The stream.
        stream: u64,
        /// What to write.
        bytes: Payload,
    },
    /// Close a stream; answered with [`IoAnswer::Closed`].
    Close {
        /// The stream.
        stream: u64,
    },
    /// Hand over the next message for this connection, in [`OP_CONNECT`] only; answered with [`IoAnswer::Send`] or,
    /// when the connection is to end, [`IoAnswer::NoMoreSends`]. The first one says that the connection is up.
    NextSend,
    /// What became of a message that was handed over; answered with [`IoAnswer::Concluded`].
    Conclude {
        /// Which one.
        ticket: u64,
        /// Its outcome.
        answer: SendAnswer,
    },
}

/// The result of one [`IoRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IoResult {
    /// The id of the request.
    pub id: u64,
    /// What came of it.
    pub result: IoAnswer,
}

/// What came of an [`IoOp`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IoAnswer {
    /// The peer answered.
    Http(HttpResponse),
    /// The peer did not answer.
    HttpFailed(HttpError),
    /// A piece of the file: shorter than asked for at its end, and empty behind it.
    Media {
        /// The piece.
        bytes: Payload,
    },
    /// The file cannot be read.
    MediaFailed {
        /// Why.
        details: String,
    },
    /// The time has passed.
    Slept,
    /// The callbacks are on disk.
    Stored,
    /// The callbacks are not on disk, and none will come.
    StoreFailed {
        /// Why.
        details: String,
    },
    /// The stream is open.
    Opened {
        /// Its number, unique within the task.
        stream: u64,
    },
    /// The stream could not be opened, or is broken.
    StreamFailed {
        /// Why.
        details: String,
    },
    /// What arrived.
    Bytes(Payload),
    /// Everything was handed to the network. The peer need not have it.
    Written,
    /// The stream is closed.
    Closed,
    /// A message for this connection.
    Send {
        /// What concludes it.
        ticket: u64,
        /// The message.
        message: Box<Outbound>,
    },
    /// The host wants the connection to end.
    NoMoreSends,
    /// The host knows.
    Concluded,
}

/// The outcome of [`OP_SEND`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendAnswer {
    /// The network took the message.
    Accepted(Accepted),
    /// It did not.
    Failed(SendError),
}

impl From<Result<Accepted, SendError>> for SendAnswer {
    fn from(outcome: Result<Accepted, SendError>) -> Self {
        match outcome {
            Ok(accepted) => Self::Accepted(accepted),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<SendAnswer> for Result<Accepted, SendError> {
    fn from(answer: SendAnswer) -> Self {
        match answer {
            SendAnswer::Accepted(accepted) => Ok(accepted),
            SendAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_ADMIT`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmitAnswer {
    /// How it is answered.
    Admitted(Admission),
    /// It is turned away.
    Failed(ReceiveError),
}

impl From<Result<Admission, ReceiveError>> for AdmitAnswer {
    fn from(outcome: Result<Admission, ReceiveError>) -> Self {
        match outcome {
            Ok(admission) => Self::Admitted(admission),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<AdmitAnswer> for Result<Admission, ReceiveError> {
    fn from(answer: AdmitAnswer) -> Self {
        match answer {
            AdmitAnswer::Admitted(admission) => Ok(admission),
            AdmitAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_UPLOAD_MEDIA`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaAnswer {
    /// The network has the file.
    Uploaded(UploadedMedia),
    /// It does not.
    Failed(SendError),
}

impl From<Result<UploadedMedia, SendError>> for MediaAnswer {
    fn from(outcome: Result<UploadedMedia, SendError>) -> Self {
        match outcome {
            Ok(uploaded) => Self::Uploaded(uploaded),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<MediaAnswer> for Result<UploadedMedia, SendError> {
    fn from(answer: MediaAnswer) -> Self {
        match answer {
            MediaAnswer::Uploaded(uploaded) => Ok(uploaded),
            MediaAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_RECEIVE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiveAnswer {
    /// The callback's events.
    Received(Received),
    /// It gave none.
    Failed(ReceiveError),
}

impl From<Result<Received, ReceiveError>> for ReceiveAnswer {
    fn from(outcome: Result<Received, ReceiveError>) -> Self {
        match outcome {
            Ok(received) => Self::Received(received),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<ReceiveAnswer> for Result<Received, ReceiveError> {
    fn from(answer: ReceiveAnswer) -> Self {
        match answer {
            ReceiveAnswer::Received(received) => Ok(received),
            ReceiveAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_MARK_READ`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkAnswer {
    /// The network knows.
    Done,
    /// It does not.
    Failed(MarkError),
}

impl From<Result<(), MarkError>> for MarkAnswer {
    fn from(outcome: Result<(), MarkError>) -> Self {
        match outcome {
            Ok(()) => Self::Done,
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<MarkAnswer> for Result<(), MarkError> {
    fn from(answer: MarkAnswer) -> Self {
        match answer {
            MarkAnswer::Done => Ok(()),
            MarkAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_DELIVER_CODE`], [`OP_REQUEST_CODE`], [`OP_VERIFY_CODE`] and [`OP_REGISTER`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberAnswer {
    /// It was done.
    Done(NumberDone),
    /// It was not.
    Failed(NumberError),
}

impl From<Result<NumberDone, NumberError>> for NumberAnswer {
    fn from(outcome: Result<NumberDone, NumberError>) -> Self {
        match outcome {
            Ok(done) => Self::Done(done),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<NumberAnswer> for Result<NumberDone, NumberError> {
    fn from(answer: NumberAnswer) -> Self {
        match answer {
            NumberAnswer::Done(done) => Ok(done),
            NumberAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_LOCATE_MEDIA`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocateAnswer {
    /// Where it is.
    Located(MediaLocation),
    /// Why nobody can say.
    Failed(ManagementError),
}

impl From<Result<MediaLocation, ManagementError>> for LocateAnswer {
    fn from(outcome: Result<MediaLocation, ManagementError>) -> Self {
        match outcome {
            Ok(located) => Self::Located(located),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<LocateAnswer> for Result<MediaLocation, ManagementError> {
    fn from(answer: LocateAnswer) -> Self {
        match answer {
            LocateAnswer::Located(located) => Ok(located),
            LocateAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_SUBMIT_TEMPLATE`], [`OP_READ_TEMPLATE`], [`OP_UNPAUSE_TEMPLATE`] and [`OP_DELETE_TEMPLATE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateAnswer {
    /// Where the template stands.
    Reported(TemplateReport),
    /// It was not done.
    Failed(ManagementError),
}

impl From<Result<TemplateReport, ManagementError>> for TemplateAnswer {
    fn from(outcome: Result<TemplateReport, ManagementError>) -> Self {
        match outcome {
            Ok(reported) => Self::Reported(reported),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<TemplateAnswer> for Result<TemplateReport, ManagementError> {
    fn from(answer: TemplateAnswer) -> Self {
        match answer {
            TemplateAnswer::Reported(reported) => Ok(reported),
            TemplateAnswer::Failed(error) => Err(error),
        }
    }
}

/// The outcome of [`OP_PROFILE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileAnswer {
    /// It was done; the profile.
    Done(Profile),
    /// It was not.
    Failed(ManagementError),
}

impl From<Result<Profile, ManagementError>> for ProfileAnswer {
    fn from(outcome: Result<Profile, ManagementError>) -> Self {
        match outcome {
            Ok(done) => Self::Done(done),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<ProfileAnswer> for Result<Profile, ManagementError> {
    fn from(answer: ProfileAnswer) -> Self {
        match answer {
            ProfileAnswer::Done(done) => Ok(done),
            ProfileAnswer::Failed(error) => Err(error),
        }
    }
}
