//! Guarantee: a plugin cannot take the host down by panicking, answering garbage, or hanging; and what the host
//! concludes of an operation that went wrong is never better than what it knows.
//!
//! An adapter is a shared library behind five C functions that never wait. Each adapter has its own few threads, on
//! which alone its code runs: one that hangs holds one of them, is noticed, replaced, and stalls neither the engine nor
//! another adapter. Whatever a plugin wants done (a request, a pause) it asks for by returning, so the host knows at any
//! moment whether a message may have left: a fault before the first request to the outside is an internal error, a
//! message surely not sent; after it, the attempt is ambiguous.
//!
//! A plugin is native code in this process. This module guards against its mistakes, not against its malice.

mod adapter;
mod bundled;
#[allow(unsafe_code, reason = "opens shared libraries and reads the one symbol they export")]
mod library;
mod link;
mod pool;
mod reload;
mod sealed;
mod stage;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use waystation_adapter_sdk::{Endpoint, HttpError, HttpRequest, HttpResponse, Payload, ScheduledCallback};

pub(crate) use adapter::is_fit_id;
pub use adapter::{Adapter, Health, ReceiveFailure};
pub use bundled::bundled_dirs;
pub use library::{Library, LoadError};
pub use link::KeptLink;
pub use reload::{ReloadAnswer, Reloads, Wanted};
pub use stage::{AdapterSource, Exchange, Staged};

use crate::egress::ByteStream;
use pool::Watchdog;

/// What the host does for plugins, beyond waiting and logging.
#[async_trait]
pub trait HostIo: Send + Sync + 'static {
    /// Makes an HTTP request, by the rules of egress.
    ///
    /// # Errors
    /// If there is no answer; [`HttpError::NotSent`] only if the peer surely does not have the request.
    async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;

    /// Makes an HTTP request whose body goes on with the bytes of `file` and then with `after`. The bytes are passed on
    /// as they come.
    ///
    /// # Errors
    /// As [`HostIo::http`]. By default nothing is sent.
    async fn http_with_media(
        &self,
        request: HttpRequest,
        file: MediaBytes,
        after: Payload,
    ) -> Result<HttpResponse, HttpError> {
        let _ = (request, file, after);
        Err(HttpError::NotSent { details: "this host sends no files".to_owned() })
    }

    /// Stores callbacks for later delivery to the same adapter's [`Adapter::receive`]. Returns once they are on disk.
    ///
    /// # Errors
    /// Why none of them was stored.
    async fn callbacks(&self, origin: &CallbackOrigin, callbacks: Vec<ScheduledCallback>) -> Result<(), String>;

    /// Opens a stream of bytes, by the rules of egress.
    ///
    /// # Errors
    /// Why there is none; the peer has been told nothing.
    async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn ByteStream>, String> {
        let _ = endpoint;
        Err("this host opens no streams".to_owned())
    }
}

/// A file that an adapter is to give to its network.
#[async_trait]
pub trait MediaSource: Send + Sync {
    /// The piece of at most `max_bytes` that starts at `offset`; empty behind the end.
    ///
    /// # Errors
    /// Why it cannot be read.
    async fn piece(&self, offset: u64, max_bytes: u32) -> Result<Vec<u8>, String>;

    /// All of its bytes.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn whole(&self) -> Result<MediaBytes, String>;
}

/// The bytes of a file, as they come.
pub struct MediaBytes {
    /// How many there are.
    pub length: u64,
    /// They themselves.
    pub chunks: BoxStream<'static, Result<Bytes, String>>,
}

/// Who asked for callbacks, and so who gets them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallbackOrigin {
    /// The adapter's name.
    pub adapter: String,
    /// The sender the operation was for.
    pub sender_id: String,
}

/// The limits a host sets to its plugins.
#[derive(Clone, Copy, Debug)]
pub struct HostSettings {
    /// How long one call into a plugin may take before it counts as hung.
    pub deadline: Duration,
    /// How long a whole operation may take, everything it waits for included.
    pub call_deadline: Duration,
    /// Threads for each adapter.
    pub threads_per_adapter: usize,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(2), call_deadline: Duration::from_secs(30), threads_per_adapter: 2 }
    }
}

/// A host that does nothing for its adapters: for who only asks what they are.
#[derive(Clone, Copy, Debug)]
pub struct NoIo;

#[async_trait]
impl HostIo for NoIo {
    async fn http(&self, _request: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError::NotSent { details: "this host makes no requests".to_owned() })
    }

    async fn callbacks(&self, _origin: &CallbackOrigin, _callbacks: Vec<ScheduledCallback>) -> Result<(), String> {
        Err("this host stores nothing".to_owned())
    }
}

/// The loaded adapters.
pub struct AdapterHost {
    io: Arc<dyn HostIo>,
    settings: HostSettings,
    watchdog: Watchdog,
    adapters: RwLock<BTreeMap<String, Arc<Adapter>>>,
    loading: Mutex<()>,
    /// Every build of a pinned file that was ever loaded, by its SHA-256.
    builds: Mutex<BTreeMap<[u8; 32], Library>>,
}

impl AdapterHost {
    /// A host without adapters.
    #[must_use]
    pub fn new(io: Arc<dyn HostIo>, settings: HostSettings) -> Self {
        let settings = HostSettings { threads_per_adapter: settings.threads_per_adapter.max(1), ..settings };
        Self {
            io,
            settings,
            watchdog: Watchdog::new(settings.deadline),
            adapters: RwLock::default(),
            loading: Mutex::default(),
            builds: Mutex::default(),
        }
    }

    /// Loads an adapter from a shared library, and makes it the one with its name. Who still holds the earlier one
    /// finishes with that. Blocks while the file is read, and up to one deadline if the adapter does not say what it is.
    ///
    /// # Errors
    /// If the file is not the pinned one, not an adapter for this host, or does not describe itself.
    pub fn load(&self, path: &Path, pin: Option<[u8; 32]>) -> Result<Arc<Adapter>, LoadError> {
        let _one_at_a_time = self.loading();
        self.take_in(self.open_file(path, pin)?)
    }

    /// Loads an adapter that was built with this binary: from [`bundled_dirs`], the newest `lib<name>.so` (`-` in the
    /// name reads `_`) whose build info is exactly `expected_build_info`.
    ///
    /// # Errors
    /// If there is none; the text says where it was looked for and what was there instead.
    pub fn load_bundled(&self, name: &str, expected_build_info: &str) -> Result<Arc<Adapter>, LoadError> {
        let _one_at_a_time = self.loading();
        self.take_in(bundled::open(name, expected_build_info, &bundled_dirs())?)
    }

    /// The adapter with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Adapter>> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All adapters, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Adapter>> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn loading(&self) -> MutexGuard<'_, ()> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, library: Library) -> Result<Adapter, LoadError> {
        Adapter::new(library, Arc::clone(&self.io), self.settings, &self.watchdog)
    }

    fn take_in(&self, library: Library) -> Result<Arc<Adapter>, LoadError> {
        let adapter = Arc::new(self.start(library)?);
        let name = adapter.description().name.clone();
        self.adapters.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&adapter));
        Ok(adapter)
    }
}
