//! Uploads that may be resumed, for samples of templates and profile pictures: a session, the
//! bytes in as many requests as it takes, and a handle in the end.
//!
//! What arrived of a request that broke off is kept, and the next one goes on from there. The
//! handle names a file like any other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::TryStreamExt;

use super::{ARRIVAL_MAX_MS, Blobs, DOCUMENT_MAX_BYTES, Declared, FILE_NAME_MAX_CHARS, File, Media, Owner, Writer};
use super::{blob_key, failed};
use crate::{
    clock::{DAY_MS, now_ms},
    credentials::fill_random,
    error::{ApiError, Breach, ErrorKind},
    file_name,
    ids::{BusinessId, UploadId},
    store::{ResumableUpload, Store},
};

/// How long a session is open, in milliseconds.
const SESSION_LIFE_MS: i64 = DAY_MS;
/// Requests that one file may come in at most.
const PARTS_MAX: usize = 1_000;
/// Longest declared media type, in characters.
const CONTENT_TYPE_MAX_CHARS: usize = 100;
/// Random bytes of a handle.
const HANDLE_BYTES: usize = 24;
/// What a handle begins with, as the Cloud API's do.
const HANDLE_PREFIX: &str = "4::";

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// How many bytes are here: where the next request goes on.
    pub file_offset: u64,
    /// What names the file, once it is whole.
    pub handle: Option<String>,
}

impl From<ResumableUpload> for Upload {
    fn from(upload: ResumableUpload) -> Self {
        Self { id: upload.id, file_offset: upload.received_bytes, handle: upload.handle }
    }
}

impl Media {
    /// Opens a session for a file of `length` bytes.
    ///
    /// # Errors
    /// What is wrong with the length, the type or the name.
    pub async fn start_upload(
        &self,
        business: &BusinessId,
        length: u64,
        declared: Declared,
    ) -> Result<UploadId, ApiError> {
        let mut breaches = Vec::new();
        if !(1..=DOCUMENT_MAX_BYTES).contains(&length) {
            breaches.push(Breach {
                pointer: "?file_length".to_owned(),
                message: format!("must be from 1 to {DOCUMENT_MAX_BYTES} bytes"),
                limit: Some(DOCUMENT_MAX_BYTES),
                actual: Some(length),
            });
        }
        let content_type = declared.content_type.unwrap_or_default();
        if content_type.chars().count() > CONTENT_TYPE_MAX_CHARS || content_type.contains('\0') {
            let message = "must be a media type, for example image/jpeg".to_owned();
            breaches.push(Breach { pointer: "?file_type".to_owned(), message, limit: None, actual: None });
        }
        if !breaches.is_empty() {
            return Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches));
        }
        let now = now_ms();
        let name = declared.file_name.map(|name| file_name::harmless(&name, FILE_NAME_MAX_CHARS));
        let upload = ResumableUpload {
            id: UploadId::generate(),
            file_name: name.filter(|name| !name.is_empty()),
            content_type,
            length_bytes: length,
            received_bytes: 0,
            parts: Vec::new(),
            handle: None,
            expires_at: now + SESSION_LIFE_MS,
        };
        self.store.start_upload(business, &upload, now).await?;
        Ok(upload.id)
    }

    /// How far an upload of the business has come.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has none with this id.
    pub async fn upload(&self, business: &BusinessId, id: &UploadId) -> Result<Upload, ApiError> {
        self.session(business, id).await.map(Into::into)
    }

    async fn session(&self, business: &BusinessId, id: &UploadId) -> Result<ResumableUpload, ApiError> {
        let found = self.store.upload(business, id, now_ms()).await?;
        found.ok_or_else(|| ApiError::missing("upload", id))
    }

    /// Goes on with an upload from `offset`, which must be where it stands.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the business has none with this id; where it stands instead.
    pub async fn resume(&self, business: &BusinessId, id: &UploadId, offset: u64) -> Result<Resumed, ApiError> {
        let session = self.session(business, id).await?;
        if offset != session.received_bytes {
            return Err(elsewhere(session.received_bytes));
        }
        if session.parts.len() >= PARTS_MAX {
            let details = format!("The upload came in more than {PARTS_MAX} requests; start it again.");
            return Err(ApiError::new(ErrorKind::Conflict, details));
        }
        let key = blob_key(business);
        let now = now_ms();
        self.store.announce_blob(business, &key, session.expires_at + ARRIVAL_MAX_MS, now).await?;
        Ok(Resumed {
            media: self.clone(),
            business: business.clone(),
            writer: self.blobs.writer(&key),
            session,
            key,
            size_bytes: 0,
        })
    }

    /// The file of the business that a handle names; none when there is no such handle.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_handle(&self, business: &BusinessId, handle: &str) -> Result<Option<File>, ApiError> {
        let found = self.store.media_of_handle(business, handle, now_ms()).await?;
        Ok(found.map(|stored| stored.file))
    }

    /// Makes one file of the parts of an upload.
    async fn assemble(&self, business: &BusinessId, session: ResumableUpload) -> Result<Upload, ApiError> {
        let mut whole = self.begin(Owner { business: business.clone(), sender: None });
        for part in &session.parts {
            let mut chunks = read_whole(&self.blobs, part).await?;
            while let Some(chunk) = chunks.try_next().await.map_err(|error| failed(&error))? {
                whole.write(&chunk).await?;
            }
        }
        let declared =
            Declared { content_type: Some(session.content_type.clone()), file_name: session.file_name.clone() };
        let file = whole.finish(declared).await?;
        let mut random = [0; HANDLE_BYTES];
        fill_random(&mut random);
        let handle = format!("{HANDLE_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let handle = self.store.finish_upload(&session.id, file.id, &handle, file.expires_at).await?;
        discard(&self.store, &session.parts).await;
        Ok(Upload { id: session.id, file_offset: session.received_bytes, handle })
    }
}

async fn read_whole(blobs: &Blobs, key: &str) -> Result<super::Chunks, ApiError> {
    blobs.read(key, 0..u64::MAX).await.map_err(|error| failed(&error))
}

async fn discard(store: &Store, parts: &[String]) {
    for part in parts {
        if let Err(error) = store.discard_blob(part, now_ms()).await {
            tracing::warn!(%error, "a part of an upload could not be given up; it is cleared away with its session");
        }
    }
}

fn elsewhere(offset: u64) -> ApiError {
    let breach = Breach {
        pointer: "file_offset".to_owned(),
        message: format!("must be {offset}: so many bytes of the file are here"),
        limit: None,
        actual: None,
    };
    ApiError::breaches(ErrorKind::ParameterInvalid, vec![breach])
}

/// A request that goes on with an upload.
pub struct Resumed {
    media: Media,
    business: BusinessId,
    session: ResumableUpload,
    key: String,
    writer: Writer,
    size_bytes: u64,
}

impl std::fmt::Debug for Resumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resumed").field("upload", &self.session.id).field("size_bytes", &self.size_bytes).finish()
    }
}

impl Resumed {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// That there are more than the session is for, or that the store of bytes fails.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.size_bytes += bytes.len() as u64;
        let length = self.session.length_bytes;
        if self.session.received_bytes + self.size_bytes > length {
            let details = format!("The upload is for a file of {length} bytes; more arrived.");
            return Err(ApiError::new(ErrorKind::MediaTooLarge, details));
        }
        self.writer.write(bytes).await.map_err(|error| failed(&error))
    }

    /// Keeps what arrived, be it the rest of the file or not. With its last byte the file gets
    /// a handle.
    ///
    /// # Errors
    /// That another request went on with the upload meanwhile; why the file is not taken, now that
    /// it is whole.
    pub async fn finish(self) -> Result<Upload, ApiError> {
        let Self { media, business, mut session, key, writer, size_bytes } = self;
        if size_bytes > 0 {
            writer.finish().await.map_err(|error| failed(&error))?;
            if !media.store.grow_upload(&session, &key, size_bytes).await? {
                discard(&media.store, &[key]).await;
                return Err(elsewhere(media.upload(&business, &session.id).await?.file_offset));
            }
            session.received_bytes += size_bytes;
            session.parts.push(key);
        } else {
            discard(&media.store, &[key]).await;
        }
        if session.received_bytes < session.length_bytes || session.handle.is_some() {
            return Ok(session.into());
        }
        media.assemble(&business, session).await
    }
}
