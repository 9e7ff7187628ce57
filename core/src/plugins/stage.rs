//! Guarantee: the adapters change all together or not at all, and nobody who holds an earlier one is disturbed.
//!
//! What is to be loaded is opened, checked and asked what it is while the adapters of before go on working. Then the
//! whole table is exchanged at once: whoever looks an adapter up from then on gets the new one, whoever holds the old one
//! finishes with it, and its threads end when nobody does any more. A build that is loaded already is taken as it is, so
//! doing this twice changes nothing, and going back to an earlier build finds it where it was left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::library::{Library, LoadError};
use super::{Adapter, AdapterHost, bundled};

/// Where an adapter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterSource {
    /// It was built with this binary; see [`AdapterHost::load_bundled`].
    Bundled {
        /// The name of its library.
        library: String,
        /// The build info that it must have.
        build: String,
    },
    /// It is somebody's file.
    File {
        /// The shared library.
        path: PathBuf,
        /// The SHA-256 that it must have.
        sha256: [u8; 32],
    },
}

/// Adapters that are loaded and not at work yet. Dropping it changes nothing.
#[derive(Debug)]
pub struct Staged {
    adapters: BTreeMap<String, Arc<Adapter>>,
}

/// What an exchange did to one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// It is the one that it was.
    Kept,
    /// It was not there.
    Added,
    /// It took the place of another build of the same name.
    Replaced {
        /// The other's version.
        version: String,
        /// The other's SHA-256.
        sha256: [u8; 32],
    },
}

impl Staged {
    /// The adapters, by name.
    pub fn adapters(&self) -> impl Iterator<Item = &Arc<Adapter>> {
        self.adapters.values()
    }

    /// The adapter with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Adapter>> {
        self.adapters.get(name)
    }
}

impl AdapterHost {
    /// Loads what `sources` name, beside what is at work. Blocks while files are read, and up to one deadline for each
    /// adapter that does not say what it is.
    ///
    /// # Errors
    /// If one of them is not the pinned file, not an adapter for this host, or does not describe itself; or if two have one
    /// name. Nothing has changed then.
    pub fn stage(&self, sources: &[AdapterSource]) -> Result<Staged, LoadError> {
        let _one_at_a_time = self.loading();
        let mut adapters: BTreeMap<String, Arc<Adapter>> = BTreeMap::new();
        for source in sources {
            let library = match source {
                AdapterSource::Bundled { library, build } => match self.at_work(|it| it.build_info() == build) {
                    Some(adapter) => Err(adapter),
                    None => Ok(bundled::open(library, build, &bundled::bundled_dirs())?),
                },
                AdapterSource::File { path, sha256 } => {
                    let file = Library::read_pinned(path, *sha256)?;
                    match self.at_work(|it| it.sha256() == *sha256 && it.path() == file.path()) {
                        Some(adapter) => Err(adapter),
                        None => Ok(self.opened(file)?),
                    }
                }
            };
            let adapter = match library {
                Ok(library) => Arc::new(self.start(library)?),
                Err(at_work) => at_work,
            };
            let name = adapter.description().name.clone();
            if let Some(other) = adapters.get(&name) {
                return Err(LoadError::SameName {
                    path: adapter.path().to_owned(),
                    name,
                    other: other.path().to_owned(),
                });
            }
            adapters.insert(name, adapter);
        }
        Ok(Staged { adapters })
    }

    /// Puts what was staged in the place of everything that was there, and answers what became of each, by name. Adapters
    /// that are not among them are retired: they get no new work.
    pub fn adopt(&self, staged: Staged) -> BTreeMap<String, Exchange> {
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *adapters, staged.adapters);
        let exchanges = adapters.iter().map(|(name, adapter)| {
            let exchange = match before.get(name) {
                Some(old) if Arc::ptr_eq(old, adapter) => Exchange::Kept,
                Some(old) => Exchange::Replaced { version: old.description().version.clone(), sha256: old.sha256() },
                None => Exchange::Added,
            };
            (name.clone(), exchange)
        });
        let exchanges: BTreeMap<String, Exchange> = exchanges.collect();
        for (name, exchange) in &exchanges {
            let adapter = &adapters[name];
            if *exchange != Exchange::Kept {
                tracing::info!(
                    adapter = name,
                    version = adapter.description().version,
                    path = %adapter.path().display(),
                    build = adapter.build_info(),
                    sha256 = hex::encode(adapter.sha256()),
                    "adapter loaded"
                );
            }
        }
        for name in before.keys().filter(|name| !adapters.contains_key(*name)) {
            tracing::info!(adapter = name, "adapter retired: it gets no new work");
        }
        for (name, old) in &before {
            if !adapters.get(name).is_some_and(|adapter| Arc::ptr_eq(adapter, old)) {
                old.retire();
            }
        }
        drop(adapters);
        // Not under the lock: the last holder's threads are told to end.
        drop(before);
        exchanges
    }

    fn at_work(&self, is: impl Fn(&Adapter) -> bool) -> Option<Arc<Adapter>> {
        let adapters = self.adapters.read().unwrap_or_else(PoisonError::into_inner);
        adapters.values().find(|adapter| is(adapter)).cloned()
    }

    /// The library with these bytes: the one that was loaded before, if there is one, since none is ever unloaded.
    fn opened(&self, file: super::library::PinnedFile) -> Result<Library, LoadError> {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = builds.get(&file.sha256()) {
            return Ok(library.clone().found_at(file.path()));
        }
        let library = file.load()?;
        builds.insert(library.sha256(), library.clone());
        Ok(library)
    }

    pub(super) fn open_file(&self, path: &Path, pin: Option<[u8; 32]>) -> Result<Library, LoadError> {
        match pin {
            Some(sha256) => self.opened(Library::read_pinned(path, sha256)?),
            None => Library::open(path),
        }
    }
}
