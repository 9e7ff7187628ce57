//! Guarantee: an adapter written against this crate cannot reach the network, the clock or the disk except through
//! [`Io`], never unwinds into its host, and answers every call in the host's time: when it waits, it has returned.
//!
//! An adapter is natural async Rust behind a tiny C boundary. The future an author writes becomes a coroutine: where it
//! awaits, the shared library returns to the host with a list of requests, and the host resumes it with their results.
//! So no runtime, socket or timer lives in a plugin, the boundary needs five functions, and an adapter is tested
//! without a network (see [`testing`]).
//!
//! ```
//! use waystation_adapter_sdk::{
//!     Accepted, Capabilities, Change, Channel, Description, Io, Outbound, SendError, TransportAdapter, async_trait,
//! };
//!
//! #[derive(Default)]
//! struct Echo;
//!
//! #[async_trait]
//! impl TransportAdapter for Echo {
//!     fn describe(&self) -> Description {
//!         Description {
//!             name: "echo".to_owned(),
//!             version: "1.0.0".to_owned(),
//!             channel: Channel::Sms,
//!             capabilities: Capabilities::default(),
//!             connection_schema: serde_json::json!({"type": "object"}),
//!         }
//!     }
//!
//!     async fn send(&self, _io: &Io, message: Outbound) -> Result<Accepted, SendError> {
//!         Ok(Accepted { upstream_id: message.attempt_ref, recipient_id: None })
//!     }
//! }
//!
//! waystation_adapter_sdk::export_adapter!(Echo);
//! # fn main() {}
//! ```

#![deny(missing_docs)]

#[allow(unsafe_code, reason = "declares the C table and the rules for sharing it between threads")]
pub mod abi;
#[allow(unsafe_code, reason = "calls the functions of a table it was handed")]
pub mod caller;
pub mod cloud_api;
pub mod conformance;
mod coroutine;
#[allow(unsafe_code, reason = "reads what a host passes through the C boundary")]
pub mod export;
mod inbound;
mod io;
mod link;
mod management;
mod media;
mod number;
pub mod sms;
pub mod testing;
mod types;
pub mod wire;

pub use async_trait::async_trait;
pub use inbound::{InboundMessage, MarkError, MediaReference, Person, ReadMark, UserPreference, Wish};
pub use io::{CallbacksError, HttpError, HttpRequest, HttpResponse, Io, Level, ScheduledCallback};
pub use link::{Disconnected, Endpoint, Handed, Link, Stream, StreamError};
pub use management::{
    ManagementError, Profile, ProfileRequest, TemplateRef, TemplateReport, TemplateStatus, TemplateSubmission,
};
pub use media::{
    MEDIA_READ_MAX_BYTES, MediaLocation, MediaPurpose, MediaQuery, MediaReadError, MediaUpload, UploadedMedia,
};
pub use number::{Code, CodeCheck, CodeDelivery, CodeMethod, CodeRequest, NumberDone, NumberError, Registration};
pub use types::{
    Accepted, Admission, Callback, Capabilities, Change, Channel, Description, Event, Outbound, Payload, PretendText,
    RateScope, ReceiptStatus, ReceiveError, Received, Recipient, SendError, Sender, StatusEvent, TransportAdapter,
    UpstreamError,
};
