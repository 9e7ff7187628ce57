//! Where bytes lie: a folder, or a store that speaks S3. An object is whole or not there.
//!
//! What is written is handed on in parts of bounded size and shows when its last part is
//! there; a writer that is dropped before takes back what it had handed on.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig, aws::AmazonS3Builder,
    client::SpawnedReqwestConnector, local::LocalFileSystem, path::Path,
};

/// How much is handed on at once, in bytes: the least that S3 takes as a part.
pub(super) const PART_BYTES: usize = 5 * 1_024 * 1_024;
/// How long a store that fails is asked again.
const RETRY_MAX: Duration = Duration::from_secs(20);
/// How long one exchange with a store may take, the transfer of a whole file included.
const EXCHANGE_MAX: Duration = Duration::from_secs(600);

/// Where the bytes of files lie.
#[derive(Clone, PartialEq, Eq)]
pub enum BlobAddress {
    /// A folder, which must exist.
    Folder(PathBuf),
    /// A bucket of a store that speaks S3.
    S3(S3Address),
}

/// A bucket of a store that speaks S3.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3Address {
    /// The bucket.
    pub bucket: String,
    /// What the keys of all objects start with; may be empty.
    pub prefix: String,
    /// Where the store is; that of Amazon when missing.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// Key and secret; those of the environment or of the machine's role when missing.
    pub credentials: Option<(String, String)>,
}

impl fmt::Debug for BlobAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "folder:{}", path.display()),
            Self::S3(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// The object store. Clones share its connections.
#[derive(Clone)]
pub(super) struct Blobs {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The folder, if it is one.
    folder: Option<LocalFileSystem>,
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl Blobs {
    /// Opens the store; nothing is asked of it yet.
    pub(super) fn open(address: &BlobAddress) -> Result<Self, object_store::Error> {
        match address {
            BlobAddress::Folder(path) => {
                let folder = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
                Ok(Self { store: Arc::new(folder.clone()), prefix: Path::default(), folder: Some(folder) })
            }
            BlobAddress::S3(address) => {
                let retry = RetryConfig { retry_timeout: RETRY_MAX, ..RetryConfig::default() };
                let options = object_store::ClientOptions::new().with_timeout(EXCHANGE_MAX);
                let builder = match &address.credentials {
                    Some((key, secret)) => {
                        AmazonS3Builder::new().with_access_key_id(key).with_secret_access_key(secret)
                    }
                    None => AmazonS3Builder::from_env(),
                };
                // Connections live on the runtime that they are made on, and handlers run on
                // short-lived runtimes of their own.
                let home = SpawnedReqwestConnector::new(tokio::runtime::Handle::current());
                let mut builder = builder
                    .with_client_options(options)
                    .with_http_connector(home)
                    .with_retry(retry)
                    .with_region(&address.region)
                    .with_bucket_name(&address.bucket);
                if let Some(endpoint) = &address.endpoint {
                    builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http:"));
                }
                let prefix = Path::parse(&address.prefix)?;
                Ok(Self { store: Arc::new(builder.build()?), prefix, folder: None })
            }
        }
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// A writer of the object `key`, which is not there yet.
    pub(super) fn writer(&self, key: &str) -> Writer {
        Writer { store: self.store.clone(), path: self.path(key), buffer: Vec::new(), upload: None }
    }

    /// The bytes of an object from `range`, as they come.
    pub(super) async fn read(
        &self,
        key: &str,
        range: std::ops::Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, object_store::Error>>, object_store::Error> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        Ok(self.store.get_opts(&self.path(key), options).await?.into_stream())
    }

    /// Removes an object and whatever a crash left of its writing. One that is not there is
    /// removed.
    pub(super) async fn remove(&self, key: &str) -> Result<(), object_store::Error> {
        match self.store.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(folder) = &self.folder {
            let file = folder.path_to_filesystem(&self.path(key))?;
            let removing = tokio::task::spawn_blocking(move || remove_drafts(&file));
            // A folder that cannot be listed keeps what was left in it, and nothing else.
            if let Ok(Err(error)) = removing.await {
                tracing::warn!(%error, "what is left of broken uploads could not be cleared away");
            }
        }
        Ok(())
    }
}

/// Removes the drafts of a file: its name, `#` and a number.
fn remove_drafts(file: &std::path::Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let draft = entry.file_name().to_str().and_then(|other| other.strip_prefix(name)?.strip_prefix('#').map(drop));
        if draft.is_some() {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes one object. It shows when [`Writer::finish`] has returned; dropped before, nothing of
/// it stays.
pub(super) struct Writer {
    store: Arc<dyn ObjectStore>,
    path: Path,
    buffer: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Writer {
    /// Whether anything was handed on to the store.
    pub(super) fn has_begun(&self) -> bool {
        self.upload.is_some()
    }

    /// Whether the next bytes may be handed on to the store.
    pub(super) fn is_about_to_begin(&self, bytes: usize) -> bool {
        self.upload.is_none() && self.buffer.len() + bytes >= PART_BYTES
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), object_store::Error> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PART_BYTES - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == PART_BYTES {
                self.hand_on().await?;
            }
        }
        Ok(())
    }

    async fn hand_on(&mut self) -> Result<(), object_store::Error> {
        let part = PutPayload::from(std::mem::take(&mut self.buffer));
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self.upload.insert(self.store.put_multipart(&self.path).await?),
        };
        upload.put_part(part).await
    }

    /// Writes what is left; from then on the object is there.
    pub(super) async fn finish(mut self) -> Result<(), object_store::Error> {
        if self.upload.is_none() {
            let whole = PutPayload::from(std::mem::take(&mut self.buffer));
            return self.store.put(&self.path, whole).await.map(drop);
        }
        if !self.buffer.is_empty() {
            self.hand_on().await?;
        }
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "a broken upload could not be taken back; it is cleared away later");
                }
            });
        }
    }
}
