//! Files that a business sends and receives: one that is there is whole, of the type it says,
//! within its limits, and its business's alone.
//!
//! Bytes flow through in parts of bounded size, whatever a file's length; what is cut off
//! leaves nothing behind. Each content is kept once for a business: files with the same bytes
//! share them, and the bytes go with the last of their files. An id of ours outlives what
//! networks make of it, because they get the bytes again when they have forgotten them
//! ([`upstream`]).

mod blobs;
mod links;
mod mirror;
pub mod places;
mod resumable;
#[cfg(test)]
mod tests;
mod types;
pub mod upstream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::BoxStream};
use sha2::{Digest, Sha256};
use url::Url;

pub use blobs::{BlobAddress, S3Address};
pub use links::{LINK_DEFAULT_SECONDS, LINK_MAX_SECONDS, LINK_MIN_SECONDS, Link};
pub(crate) use mirror::Mirror;
pub use resumable::Upload;
pub use types::{DOCUMENT_MAX_BYTES, Declared, HEAD_MAX_BYTES, MediaKind, MediaType, TYPES};

use crate::{
    clock::{Millis, now_ms},
    egress::{Egress, EgressError},
    error::{ApiError, ErrorKind},
    file_name,
    ids::{BusinessId, MediaId, SenderId},
    paging::{Page, Paging},
    store::{NewMedia, Store, StoreError, StoredMedia},
    vault::Vault,
};
use blobs::{Blobs, Writer};
use types::Sniffed;

/// Longest name of a file that is kept, in characters.
pub const FILE_NAME_MAX_CHARS: usize = 240;
/// How long an upload may take, in milliseconds: what is announced and not there by then is
/// cleared away.
const ARRIVAL_MAX_MS: Millis = 60 * 60 * 1_000;
/// How long the next bytes of a file that is fetched may take.
const FETCH_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Files that are cleared away in one step.
const BATCH_ROWS: i64 = 200;
/// Steps of one run that clears away.
const BATCHES_MAX: usize = 50;

/// Where a file came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The business uploaded it.
    Uploaded,
    /// It was fetched from an address that the business gave.
    Fetched,
    /// A person sent it.
    Received,
}

impl Origin {
    /// Its name in rows and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Fetched => "fetched",
            Self::Received => "received",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Uploaded, Self::Fetched, Self::Received].into_iter().find(|origin| origin.name() == name)
    }
}

/// A file of a business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its id, the same everywhere and as long as it is there.
    pub id: MediaId,
    /// Whose it is.
    pub business: BusinessId,
    /// The number that it was uploaded by or that received it.
    pub sender: Option<SenderId>,
    /// Where it came from.
    pub origin: Origin,
    /// Its media type.
    pub content_type: String,
    /// Its name, made harmless.
    pub file_name: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// How long it is, in bytes.
    pub size_bytes: u64,
    /// When it came.
    pub created_at: Millis,
    /// When it goes; until it is deleted when there is no such time.
    pub expires_at: Option<Millis>,
}

/// Whose a file is going to be.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The business.
    pub business: BusinessId,
    /// The number that it is uploaded by or that received it.
    pub sender: Option<SenderId>,
}

/// How files are kept; by default without an end.
#[derive(Debug, Clone, Default)]
pub struct MediaSettings {
    /// How long a file is kept that the business uploaded; until it is deleted when missing.
    pub uploads_life: Option<Duration>,
    /// How long one is kept that a person sent.
    pub received_life: Option<Duration>,
    /// How long the bytes of one that has expired are kept for messages that name it already.
    pub message_ttl: Duration,
    /// How many bytes a business may keep; no limit when missing.
    pub business_max_bytes: Option<u64>,
}

/// The files. Clones share everything.
#[derive(Debug, Clone)]
pub struct Media {
    store: Store,
    blobs: Blobs,
    egress: Egress,
    vault: Vault,
    settings: Arc<MediaSettings>,
}

/// The bytes of a file, as they come.
pub type Chunks = BoxStream<'static, Result<Bytes, object_store::Error>>;

impl Media {
    /// Opens the store of bytes; nothing is asked of it yet. Takes the runtime it is called on
    /// for the connections to it.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn open(
        address: &BlobAddress,
        store: Store,
        egress: Egress,
        vault: Vault,
        settings: MediaSettings,
    ) -> Result<Self, String> {
        let blobs = Blobs::open(address).map_err(|error| error.to_string())?;
        Ok(Self { store, blobs, egress, vault, settings: Arc::new(settings) })
    }

    /// Starts to take a file in that the business uploads.
    #[must_use]
    pub fn begin(&self, owner: Owner) -> Arriving {
        self.arriving(owner, Origin::Uploaded)
    }

    fn arriving(&self, owner: Owner, origin: Origin) -> Arriving {
        let key = blob_key(&owner.business);
        Arriving {
            id: MediaId::generate(),
            writer: self.blobs.writer(&key),
            media: self.clone(),
            owner,
            origin,
            key,
            head: Vec::new(),
            sniffed: None,
            hash: Sha256::new(),
            size_bytes: 0,
            announced: false,
        }
    }

    /// Takes in the file that is at an address of the business's choice. Redirects are
    /// followed as far as the rules of egress allow each of them.
    ///
    /// # Errors
    /// Why it could not be fetched, or is not taken.
    pub async fn fetch(&self, owner: Owner, url: &Url, file_name: Option<String>) -> Result<File, ApiError> {
        let unreachable = |details: String| ApiError::new(ErrorKind::MediaUnreachable, details);
        let refused = |error: EgressError| match error {
            EgressError::Refused(why) => ApiError::breach("/url", format!("cannot be fetched: {why}")),
            other => unreachable(format!("The address gave nothing: {other}.")),
        };
        let mut answer = self.egress.fetch(url, FETCH_PAUSE_MAX).await.map_err(refused)?;
        if answer.status() != 200 {
            return Err(unreachable(format!("The address answered with the status {}.", answer.status())));
        }
        let declared =
            Declared { content_type: answer.content_type(), file_name: file_name.or_else(|| answer.last_segment()) };
        let mut arriving = self.arriving(owner, Origin::Fetched);
        while let Some(chunk) = answer.chunk().await.map_err(refused)? {
            arriving.write(&chunk).await?;
        }
        arriving.finish(declared).await
    }

    /// Takes in a file that a person sent, whatever its type, under the id that it was told by.
    ///
    /// # Errors
    /// That it is too large, or what went wrong with the bytes or with keeping them.
    pub async fn mirror<E: std::fmt::Display>(
        &self,
        id: MediaId,
        owner: Owner,
        declared: Declared,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<File, ApiError> {
        let mut arriving = Arriving { id, ..self.arriving(owner, Origin::Received) };
        let mut bytes = std::pin::pin!(bytes);
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::new(ErrorKind::MediaUnreachable, format!("The file did not arrive whole: {error}."))
            })?;
            arriving.write(&chunk).await?;
        }
        arriving.finish(declared).await
    }

    /// A file of the business; one that a person sent is waited for while it is on its way.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has none with this id; [`ErrorKind::Unavailable`] when it is still on its way.
    pub async fn get(&self, business: &BusinessId, id: MediaId) -> Result<File, ApiError> {
        self.stored(business, id).await.map(|stored| stored.file)
    }

    async fn stored(&self, business: &BusinessId, id: MediaId) -> Result<StoredMedia, ApiError> {
        match self.store.media(business, id, now_ms()).await? {
            Some(stored) => Ok(stored),
            None => self.awaited(business, id).await,
        }
    }

    /// A page of the business's files, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, business: &BusinessId, paging: &Paging) -> Result<Page<File>, StoreError> {
        self.store.list_media(business, paging, now_ms()).await
    }

    /// Removes a file of the business.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has none with this id.
    pub async fn remove(&self, business: &BusinessId, id: MediaId) -> Result<(), ApiError> {
        let now = now_ms();
        if !self.store.remove_media(business, id, now).await? {
            return Err(ApiError::missing("media", &id));
        }
        // What cannot be cleared away now is found when everything else is.
        self.clear_blobs(now).await;
        Ok(())
    }

    /// A file of the business with its bytes from `range`; all of them without one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has none with this id.
    pub async fn read(
        &self,
        business: &BusinessId,
        id: MediaId,
        range: impl FnOnce(&File) -> std::ops::Range<u64>,
    ) -> Result<(File, Chunks), ApiError> {
        let stored = self.stored(business, id).await?;
        self.bytes_of(stored, range).await
    }

    async fn bytes_of(
        &self,
        stored: StoredMedia,
        range: impl FnOnce(&File) -> std::ops::Range<u64>,
    ) -> Result<(File, Chunks), ApiError> {
        let range = range(&stored.file);
        let chunks = self.blobs.read(&stored.blob, range).await.map_err(|error| failed(&error))?;
        Ok((stored.file, chunks))
    }

    /// Whether the business has room for the file.
    async fn check_room(&self, file: &File) -> Result<(), ApiError> {
        let Some(most) = self.settings.business_max_bytes else { return Ok(()) };
        let kept = u64::try_from(self.store.media_bytes(&file.business).await?).unwrap_or_default();
        if kept + file.size_bytes <= most {
            return Ok(());
        }
        let details = format!(
            "The business keeps {kept} bytes in files, and may keep {most} with this one of {}: delete some.",
            file.size_bytes
        );
        Err(ApiError::new(ErrorKind::MediaQuotaReached, details))
    }

    /// Clears away what has expired and what nobody uses, in steps of bounded size. Answers
    /// how much there was.
    ///
    /// # Errors
    /// When the database fails; what is left is cleared away the next time.
    pub async fn clear(&self, now: Millis) -> Result<usize, StoreError> {
        let grace = i64::try_from(self.settings.message_ttl.as_millis()).unwrap_or(i64::MAX / 2);
        let mut cleared = self.forget_missing(now).await?;
        for _ in 0..BATCHES_MAX {
            let expired = self.store.remove_expired_media(now - grace, BATCH_ROWS, now).await?;
            let uploads = self.store.forget_uploads(now, BATCH_ROWS).await?;
            cleared += expired + uploads;
            if expired + uploads == 0 {
                break;
            }
        }
        for _ in 0..BATCHES_MAX {
            match self.clear_blobs(now).await {
                0 => break,
                blobs => cleared += blobs,
            }
        }
        Ok(cleared)
    }

    /// Removes one batch of objects that nobody uses; how many.
    async fn clear_blobs(&self, now: Millis) -> usize {
        let clearing = async {
            let keys = self.store.blobs_to_discard(now, BATCH_ROWS).await?;
            let mut gone = Vec::with_capacity(keys.len());
            for key in keys {
                match self.blobs.remove(&key).await {
                    Ok(()) => gone.push(key),
                    Err(error) => tracing::warn!(%error, "the bytes of a file could not be removed; it is tried again"),
                }
            }
            self.store.forget_blobs(&gone).await?;
            Ok::<usize, StoreError>(gone.len())
        };
        clearing.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "files that nobody uses could not be cleared away; it is tried again");
            0
        })
    }
}

fn blob_key(business: &BusinessId) -> String {
    let name = ulid::Ulid::generate().to_string().to_lowercase();
    format!("{}/{}/{name}", business.key().to_lowercase(), &name[name.len() - 2..])
}

/// What a client is told when the store of bytes fails.
fn failed(error: &object_store::Error) -> ApiError {
    tracing::error!(%error, "the media store failed a request");
    ApiError::new(ErrorKind::Unavailable, "The media store does not answer right now.")
}

/// A file on its way in. Dropped before it is finished, nothing of it stays.
pub struct Arriving {
    id: MediaId,
    media: Media,
    owner: Owner,
    origin: Origin,
    key: String,
    /// The first bytes, until there are enough of them to tell the type.
    head: Vec<u8>,
    sniffed: Option<Sniffed>,
    hash: Sha256,
    size_bytes: u64,
    writer: Writer,
    announced: bool,
}

impl std::fmt::Debug for Arriving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arriving").field("origin", &self.origin).field("size_bytes", &self.size_bytes).finish()
    }
}

impl Arriving {
    /// Whose it is going to be.
    #[must_use]
    pub fn business(&self) -> &BusinessId {
        &self.owner.business
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As soon as it is sure that the file is not taken: of no type that is, or too large for
    /// its type; or that the store of bytes fails. Then the rest need not come.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.size_bytes += bytes.len() as u64;
        self.hash.update(bytes);
        if self.sniffed.is_none() {
            self.head.extend_from_slice(bytes);
            if self.head.len() < HEAD_MAX_BYTES {
                return Ok(());
            }
            return self.look_at_head().await;
        }
        self.check_size()?;
        self.hand_on(bytes).await
    }

    async fn look_at_head(&mut self) -> Result<(), ApiError> {
        let head = std::mem::take(&mut self.head);
        let sniffed = Sniffed::of(&head[..head.len().min(HEAD_MAX_BYTES)]);
        self.sniffed = Some(sniffed);
        if self.origin != Origin::Received
            && matches!(sniffed, Sniffed::Other(_) | Sniffed::Unplayable | Sniffed::Unknown)
        {
            sniffed.settle(&Declared::default())?;
        }
        self.check_size()?;
        self.hand_on(&head).await
    }

    fn check_size(&self) -> Result<(), ApiError> {
        let limit = match (self.origin, self.sniffed) {
            (Origin::Received, _) | (_, None) => DOCUMENT_MAX_BYTES,
            (_, Some(sniffed)) => sniffed.max_bytes(),
        };
        if self.size_bytes <= limit {
            return Ok(());
        }
        let what = match self.sniffed {
            Some(Sniffed::One(found)) => found.content_type,
            Some(Sniffed::Either(names) | Sniffed::AsDeclared(names)) => names.first().copied().unwrap_or_default(),
            _ => "its type",
        };
        let details = format!("A file of {what} may have {limit} bytes at most; this one has more.");
        Err(ApiError::new(ErrorKind::MediaTooLarge, details))
    }

    async fn hand_on(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        if self.writer.is_about_to_begin(bytes.len()) {
            self.announce().await?;
        }
        self.writer.write(bytes).await.map_err(|error| failed(&error))
    }

    async fn announce(&mut self) -> Result<(), ApiError> {
        if !self.announced {
            let now = now_ms();
            self.media.store.announce_blob(&self.owner.business, &self.key, now + ARRIVAL_MAX_MS, now).await?;
            self.announced = true;
        }
        Ok(())
    }

    /// Ends the file: from then on it is there. What was said of it helps where the bytes
    /// leave a choice.
    ///
    /// # Errors
    /// Why it is not taken, or that the stores of bytes or rows fail: then nothing of it is kept.
    pub async fn finish(mut self, declared: Declared) -> Result<File, ApiError> {
        if self.size_bytes == 0 {
            return Err(ApiError::new(ErrorKind::MediaUnsupported, "The file has no bytes."));
        }
        if self.sniffed.is_none() {
            self.look_at_head().await?;
        }
        let content_type = self.content_type(&declared)?;
        let now = now_ms();
        let life = match self.origin {
            Origin::Received => self.media.settings.received_life,
            Origin::Uploaded | Origin::Fetched => self.media.settings.uploads_life,
        };
        let name = declared.file_name.map(|name| file_name::harmless(&name, usize::MAX));
        let file = File {
            id: self.id,
            business: self.owner.business.clone(),
            sender: self.owner.sender,
            origin: self.origin,
            content_type,
            file_name: name
                .filter(|name| !name.is_empty())
                .map(|name| file_name::shortened(&name, FILE_NAME_MAX_CHARS)),
            sha256: hex::encode(self.hash.clone().finalize()),
            size_bytes: self.size_bytes,
            created_at: now,
            expires_at: life.map(|life| now + i64::try_from(life.as_millis()).unwrap_or(i64::MAX / 2)),
        };
        self.keep(NewMedia(file)).await
    }

    fn content_type(&self, declared: &Declared) -> Result<String, ApiError> {
        let settled = self.sniffed.unwrap_or(Sniffed::Unknown).settle(declared);
        match settled {
            Err(_) if self.origin == Origin::Received => Ok(declared
                .content_type
                .as_deref()
                .map(str::trim)
                .filter(|said| is_media_type(said))
                .unwrap_or("application/octet-stream")
                .to_owned()),
            settled => settled.map(|found| found.content_type.to_owned()),
        }
    }

    async fn keep(mut self, file: NewMedia) -> Result<File, ApiError> {
        let store = self.media.store.clone();
        // A short file that is there already need not be written first.
        if !self.writer.has_begun() && store.add_media_again(&file).await? {
            return Ok(file.0);
        }
        self.media.check_room(&file.0).await?;
        self.announce().await?;
        self.writer.finish().await.map_err(|error| failed(&error))?;
        store.add_media(&file, &self.key).await?;
        Ok(file.0)
    }
}

/// Whether `text` can stand in a header as a media type.
fn is_media_type(text: &str) -> bool {
    text.len() <= 100
        && text.bytes().all(|byte| (b' '..0x7f).contains(&byte))
        && text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty())
}

#[cfg(test)]
impl Media {
    /// Files in a folder that the next start of the machine clears away.
    pub(crate) fn for_tests(store: &Store, vault: &Vault) -> Self {
        let settings = crate::egress::EgressSettings {
            allow_private_networks: true,
            allow_networks: Vec::new(),
            connect_timeout: Duration::from_secs(1),
        };
        drop(rustls::crypto::ring::default_provider().install_default());
        let egress = Egress::new(&settings).unwrap();
        let folder = tempfile::tempdir().unwrap().keep();
        let settings = MediaSettings {
            uploads_life: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            received_life: None,
            message_ttl: Duration::from_secs(60 * 60),
            business_max_bytes: None,
        };
        Self::open(&BlobAddress::Folder(folder), store.clone(), egress, vault.clone(), settings).unwrap()
    }
}
