//! Guarantee: a [`Library`] is the file that was asked for (its hash is known, and the pinned one if there is a pin) and
//! has a checked table; it is never unloaded, so no pointer into it can dangle. Of a file that is not the pinned one
//! nothing is run.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use waystation_adapter_sdk::Description;
use waystation_adapter_sdk::abi::{ENTRY_SYMBOL, EntryFn, Status};
use waystation_adapter_sdk::caller::{Entry, Plugin, TableError};
use waystation_adapter_sdk::conformance::{self, Report, Sample};
use waystation_adapter_sdk::wire::{Described, SCHEMA_VERSION};

use super::sealed::Sealed;

/// Why an adapter was not loaded: what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("adapter {}: cannot be read: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not the pinned one.
    #[error(
        "adapter {}: its SHA-256 is {found}, pinned is {pinned}; if you changed the file on purpose, pin the new hash, \
         else replace the file", path.display()
    )]
    PinMismatch {
        /// The file.
        path: PathBuf,
        /// The pin, in hex.
        pinned: String,
        /// The file's hash, in hex.
        found: String,
    },
    /// There is no copy of the file to load.
    #[error("adapter {}: no copy of it could be made in memory: {source}; the process needs room for it", path.display())]
    NoCopy {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another adapter has the name.
    #[error(
        "adapter {}: calls itself `{name}`, as {} does; load one of the two", path.display(), other.display()
    )]
    SameName {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The other's file.
        other: PathBuf,
    },
    /// The system's loader refused the file.
    #[error(
        "adapter {}: is not a shared library this system can load: {details}; build it for this platform as a cdylib",
        path.display()
    )]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        details: String,
    },
    /// The library does not export the entry symbol.
    #[error(
        "adapter {}: does not export `{ENTRY_SYMBOL}`: it is not an adapter; export one with the SDK's \
         `export_adapter!`, or with the function that `waystation_adapter.h` declares", path.display()
    )]
    NoSymbol {
        /// The file.
        path: PathBuf,
    },
    /// The library's table cannot be used.
    #[error("adapter {}: {error}", path.display())]
    BadTable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: TableError,
    },
    /// The adapter does not say what it is.
    #[error("adapter {}: does not describe itself: {details}; run the SDK's conformance suite on it", path.display())]
    BadDescription {
        /// The file.
        path: PathBuf,
        /// What it did instead.
        details: String,
    },
    /// The system gave no thread for the adapter.
    #[error("adapter {}: no thread could be started for it: {source}; raise the process's limits", path.display())]
    NoThread {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No bundled library is the one this binary was built with.
    #[error(
        "bundled adapter `{name}`: no library built as `{expected}` was found ({tried}); install the adapters of this \
         very build beside the binary, or build the workspace again"
    )]
    NotBundled {
        /// The adapter's library name.
        name: String,
        /// The build info it must have.
        expected: String,
        /// Where it was looked for, and what was there.
        tried: String,
    },
}

/// The bytes of a file that has the SHA-256 it is pinned to.
pub(super) struct PinnedFile {
    path: PathBuf,
    sha256: [u8; 32],
    bytes: Vec<u8>,
}

impl PinnedFile {
    /// The file, as an absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its SHA-256.
    pub(super) fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Loads a sealed copy of these very bytes.
    pub(super) fn load(self) -> Result<Library, LoadError> {
        let Self { path, sha256, bytes } = self;
        let copy = match Sealed::copy(&path, &bytes) {
            Ok(copy) => copy,
            Err(source) => return Err(LoadError::NoCopy { path, source }),
        };
        drop(bytes);
        let entry = load(copy.path(), &path);
        if !matches!(entry, Err(LoadError::NotALibrary { .. })) {
            copy.keep();
        }
        Library::checked(path, sha256, entry?)
    }
}

/// A loaded shared library with a checked table.
#[derive(Clone, Debug)]
pub struct Library {
    path: PathBuf,
    sha256: [u8; 32],
    plugin: Plugin,
}

impl Library {
    /// Opens a shared library that is not pinned.
    ///
    /// # Errors
    /// If the file is not an adapter for this host.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let (path, bytes) = read(path)?;
        let sha256 = <[u8; 32]>::from(Sha256::digest(bytes));
        let entry = load(&path, &path)?;
        Self::checked(path, sha256, entry)
    }

    /// Reads the file at `path`, which must have the SHA-256 `pin`. Nothing of it is run.
    ///
    /// # Errors
    /// If it is not the pinned one, or cannot be read.
    pub(super) fn read_pinned(path: &Path, pin: [u8; 32]) -> Result<PinnedFile, LoadError> {
        let (path, bytes) = read(path)?;
        let sha256 = <[u8; 32]>::from(Sha256::digest(&bytes));
        if pin != sha256 {
            return Err(LoadError::PinMismatch { path, pinned: hex::encode(pin), found: hex::encode(sha256) });
        }
        Ok(PinnedFile { path, sha256, bytes })
    }

    fn checked(path: PathBuf, sha256: [u8; 32], entry: Entry) -> Result<Self, LoadError> {
        match entry.plugin() {
            Ok(plugin) => Ok(Self { path, sha256, plugin }),
            Err(error) => Err(LoadError::BadTable { path, error }),
        }
    }

    /// The same library, whose file lies at `path` now.
    pub(super) fn found_at(self, path: &Path) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Runs the conformance suite on a shared library, in this process and without a deadline: for a command of its own,
    /// not for a host at work.
    ///
    /// # Errors
    /// If the file is not a shared library with the entry symbol. What is wrong with the adapter is in the report.
    pub fn check(path: &Path, sample: &Sample) -> Result<Report, LoadError> {
        let path = absolute(path)?;
        Ok(conformance::run(load(&path, &path)?, sample))
    }

    /// The file, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's SHA-256.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// What was built, as the library says.
    #[must_use]
    pub fn build_info(&self) -> &str {
        self.plugin.build_info()
    }

    pub(super) fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Asks the adapter what it is, and waits no longer than `deadline`.
    pub(super) fn describe(&self, deadline: Duration) -> Result<Description, LoadError> {
        let plugin = self.plugin.clone();
        let (answer, asked) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("adapter-describe".to_owned())
            .spawn(move || {
                // Nobody waits for an answer that comes after the deadline.
                let _ = answer.send(read_description(&plugin));
            })
            .map_err(|source| LoadError::NoThread { path: self.path.clone(), source })?;
        let described = asked.recv_timeout(deadline);
        described
            .unwrap_or_else(|_| Err(format!("it did not answer within {} ms", deadline.as_millis())))
            .map_err(|details| LoadError::BadDescription { path: self.path.clone(), details })
    }
}

fn read_description(plugin: &Plugin) -> Result<Description, String> {
    let (status, answer) = plugin.describe();
    let bytes = answer.bytes().map_err(|fault| fault.to_string())?;
    if Status::from_raw(status) != Some(Status::Done) {
        return Err(format!("it answered status {status}"));
    }
    let described: Described = serde_json::from_slice(bytes).map_err(|error| format!("its answer is: {error}"))?;
    if described.v != SCHEMA_VERSION {
        return Err(format!("its answer has schema version {}, this host knows {SCHEMA_VERSION}", described.v));
    }
    if !Description::is_valid_name(&described.adapter.name) {
        return Err(format!(
            "its name {:?} is not lower-case letters, digits and `-`, at most {} bytes",
            described.adapter.name,
            Description::NAME_LENGTH_MAX_BYTES
        ));
    }
    if !described.adapter.connection_schema.is_object() {
        return Err("its connection schema is not an object".to_owned());
    }
    Ok(described.adapter)
}

/// The path without links and from the root, so that the system's loader does not search its own folders for a name.
fn absolute(path: &Path) -> Result<PathBuf, LoadError> {
    path.canonicalize().map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<(PathBuf, Vec<u8>), LoadError> {
    let path = absolute(path)?;
    match std::fs::read(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) => Err(LoadError::Unreadable { path, source }),
    }
}

/// Loads the library at `path`, which errors call `shown`.
fn load(path: &Path, shown: &Path) -> Result<Entry, LoadError> {
    // SAFETY: loading runs the library's initialisers: native code the operator chose to trust, by installing it.
    let library = unsafe { open_now(path) }
        .map_err(|error| LoadError::NotALibrary { path: shown.to_owned(), details: reason(&error) })?;
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: the header that declares the symbol gives it this type; any other is a defect of the plugin that no host
    // can see.
    let entry = unsafe { library.get::<EntryFn>(ENTRY_SYMBOL.as_bytes()) }
        .map_err(|_| LoadError::NoSymbol { path: shown.to_owned() })?;
    // SAFETY: as above. The function takes nothing and answers a pointer to constant data.
    let table = unsafe { entry() };
    // SAFETY: the pointer is what the entry symbol answered, and the library was leaked above, so it stays loaded.
    Ok(unsafe { Entry::new(table) })
}

/// What the loader said: it is behind the error, not in it.
fn reason(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Opens a library with every symbol resolved at once: a missing one is an error here, not a crash at its first call.
///
/// # Safety
/// The library's initialisers are run.
#[cfg(unix)]
unsafe fn open_now(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: by the contract of this function.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// Opens a library.
///
/// # Safety
/// The library's initialisers are run.
#[cfg(not(unix))]
unsafe fn open_now(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: by the contract of this function.
    unsafe { libloading::Library::new(path) }
}
