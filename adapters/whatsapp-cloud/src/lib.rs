//! Guarantee: an attempt is answered with what the Cloud API said about it, by one table of its error codes; what the API
//! did not clearly refuse is never called refused.
//!
//! The API is Meta's, or anybody's who speaks it: another Waystation, for example. Everything that depends on the
//! installation is in the connection's settings.

mod callback;
pub mod codes;
mod connection;
mod graph;
mod manage;
mod mark;
mod media;
mod numbers;
mod profile;
mod send;
mod templates;

use waystation_adapter_sdk::{
    Accepted, Admission, Callback, Capabilities, Channel, CodeCheck, CodeRequest, Description, Io, ManagementError,
    MarkError, MediaLocation, MediaQuery, MediaUpload, NumberDone, NumberError, Outbound, Profile, ProfileRequest,
    ReadMark, ReceiveError, Received, Registration, SendError, TemplateRef, TemplateReport, TemplateSubmission,
    TransportAdapter, UploadedMedia, async_trait, export_adapter,
};

use crate::connection::Connection;

export_adapter!(WhatsAppCloud);

/// The message kinds of the Cloud API.
const KINDS: [&str; 11] = [
    "text",
    "template",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "reaction",
];

/// The official upstream.
#[derive(Clone, Copy, Debug, Default)]
pub struct WhatsAppCloud;

#[async_trait]
impl TransportAdapter for WhatsAppCloud {
    fn describe(&self) -> Description {
        Description {
            name: "whatsapp-cloud".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channel: Channel::Whatsapp,
            capabilities: Capabilities {
                kinds: KINDS.map(str::to_owned).to_vec(),
                receives: true,
                listens: true,
                returns_attempt_ref: true,
                marks_read: true,
                uploads_media: true,
                locates_media: true,
                manages_templates: true,
                keeps_profiles: true,
                verifies_numbers: true,
                ..Capabilities::default()
            },
            connection_schema: Connection::schema(),
        }
    }

    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        send::send(io, &message).await
    }

    async fn admit(&self, io: &Io, callback: Callback) -> Result<Admission, ReceiveError> {
        let _ = io;
        callback::admit(&callback)
    }

    async fn receive(&self, io: &Io, callback: Callback) -> Result<Received, ReceiveError> {
        let _ = io;
        callback::receive(&callback)
    }

    async fn mark_read(&self, io: &Io, mark: ReadMark) -> Result<(), MarkError> {
        mark::mark_read(io, &mark).await
    }

    async fn upload_media(&self, io: &Io, upload: MediaUpload) -> Result<UploadedMedia, SendError> {
        media::upload(io, &upload).await
    }

    async fn locate_media(&self, io: &Io, query: MediaQuery) -> Result<MediaLocation, ManagementError> {
        media::locate(io, &query).await
    }

    async fn submit_template(
        &self,
        io: &Io,
        submission: TemplateSubmission,
    ) -> Result<TemplateReport, ManagementError> {
        templates::submit(io, &submission).await
    }

    async fn read_template(&self, io: &Io, template: TemplateRef) -> Result<TemplateReport, ManagementError> {
        templates::read(io, &template).await
    }

    async fn unpause_template(&self, io: &Io, template: TemplateRef) -> Result<TemplateReport, ManagementError> {
        templates::unpause(io, &template).await
    }

    async fn delete_template(&self, io: &Io, template: TemplateRef) -> Result<TemplateReport, ManagementError> {
        templates::delete(io, &template).await
    }

    async fn profile(&self, io: &Io, request: ProfileRequest) -> Result<Profile, ManagementError> {
        profile::profile(io, &request).await
    }

    async fn request_code(&self, io: &Io, request: CodeRequest) -> Result<NumberDone, NumberError> {
        numbers::request_code(io, &request).await
    }

    async fn verify_code(&self, io: &Io, check: CodeCheck) -> Result<NumberDone, NumberError> {
        numbers::verify_code(io, &check).await
    }

    async fn register(&self, io: &Io, registration: Registration) -> Result<NumberDone, NumberError> {
        numbers::register(io, &registration).await
    }
}

#[cfg(test)]
mod tests;
