//! Guarantee: a process that is asked to load its adapters anew ends with exactly those that its configuration names now,
//! or with exactly those that it had; and the audit log says which, for each process.
//!
//! The request is an entry of the audit log, which every process follows already and none can miss. Each reads its own
//! configuration again, because that is where the pins are: the database says *that* something is to be loaded, never
//! *what*, so nobody who can write to it can have code run.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{AdapterHost, AdapterSource, Exchange};
use crate::clock::now_ms;
use crate::store::{Store, StoreError};
use crate::tenancy::Directory;

/// What a configuration names.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The adapters to load.
    pub sources: Vec<AdapterSource>,
    /// Names that must be among them, each with the setting that says so.
    pub needed: Vec<(String, &'static str)>,
}

/// Loads the adapters of one process anew when it is asked to.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Reloads {
    /// The adapters.
    pub host: Arc<AdapterHost>,
    /// What follows the log.
    pub directory: Directory,
    /// Where it is noted what came of it.
    pub store: Store,
    /// Which process this is, for people.
    pub process: String,
}

/// What one process answered to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadAnswer {
    /// Which process.
    pub process: String,
    /// A line for each adapter that it has now, or why it kept those that it had.
    pub outcome: Result<Vec<String>, String>,
}

impl AdapterHost {
    /// Makes the adapters exactly those that are wanted. Blocks; see [`AdapterHost::stage`].
    ///
    /// # Errors
    /// Why nothing has changed.
    pub fn reload(&self, wanted: &Wanted) -> Result<BTreeMap<String, Exchange>, String> {
        let staged = self.stage(&wanted.sources).map_err(|error| error.to_string())?;
        if let Some((missing, setting)) = wanted.needed.iter().find(|(name, _)| staged.get(name).is_none()) {
            let named: Vec<&str> = staged.adapters().map(|adapter| adapter.description().name.as_str()).collect();
            return Err(format!("{setting} names \"{missing}\"; the adapters to load are {}", named.join(", ")));
        }
        Ok(self.adopt(staged))
    }
}

impl Reloads {
    /// Does what is asked, for as long as the process lives. `read` reads the configuration.
    pub async fn follow<F>(self, read: F)
    where
        F: Fn() -> Result<Wanted, String> + Send + Sync + 'static,
    {
        let read = Arc::new(read);
        let mut asked = self.directory.reloads();
        while asked.changed().await.is_ok() {
            let Some(request) = *asked.borrow_and_update() else { continue };
            let (host, read) = (Arc::clone(&self.host), Arc::clone(&read));
            let reloading = tokio::task::spawn_blocking(move || host.reload(&read()?));
            let outcome = reloading.await.unwrap_or_else(|error| Err(error.to_string()));
            if let Err(why) = &outcome {
                tracing::error!("the adapters stay as they are: {why}");
            }
            // Before the log was followed a request may have been missed; what is asked from then on gets an answer.
            if request > 0
                && let Err(error) = self.answer(request, outcome).await
            {
                tracing::error!(%error, "it could not be noted what came of loading the adapters anew");
            }
        }
    }

    async fn answer(
        &self,
        request: i64,
        outcome: Result<BTreeMap<String, Exchange>, String>,
    ) -> Result<(), StoreError> {
        let (done, details) = match outcome {
            Ok(exchanges) => {
                let adapters: Vec<Value> =
                    exchanges.iter().map(|(name, exchange)| self.shown(name, exchange)).collect();
                (true, json!({"request": request, "adapters": adapters}))
            }
            Err(why) => (false, json!({"request": request, "why": why})),
        };
        self.store.note_reload(&self.process, done, details, now_ms()).await
    }

    fn shown(&self, name: &str, exchange: &Exchange) -> Value {
        let now = self.host.get(name);
        let version = now.as_ref().map(|adapter| adapter.description().version.clone());
        let sha256 = now.as_ref().map(|adapter| hex::encode(adapter.sha256()));
        match exchange {
            Exchange::Kept => json!({"name": name, "version": version, "sha256": sha256, "change": "kept"}),
            Exchange::Added => json!({"name": name, "version": version, "sha256": sha256, "change": "added"}),
            Exchange::Replaced { version: old, sha256: old_sum } => json!({
                "name": name, "version": version, "sha256": sha256, "change": "replaced",
                "before": {"version": old, "sha256": hex::encode(old_sum)},
            }),
        }
    }
}

impl ReloadAnswer {
    /// What [`Reloads`] noted.
    pub(crate) fn read(process: String, details: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = |adapter: &Value| {
            let (name, version) = (text(&adapter["name"]), text(&adapter["version"]));
            match adapter["change"].as_str() {
                Some("replaced") => format!("{name} {version}, which replaces {}", text(&adapter["before"]["version"])),
                change => format!("{name} {version}, {}", change.unwrap_or_default()),
            }
        };
        let outcome = match &details["adapters"] {
            Value::Array(adapters) => Ok(adapters.iter().map(line).collect()),
            _ => Err(text(&details["why"])),
        };
        Self { process, outcome }
    }
}
