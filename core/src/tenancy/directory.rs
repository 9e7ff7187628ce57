//! Answers "who is this key, what is this sender" without a query, and is never wrong for
//! long: what changed in the database, by any process, is forgotten here within
//! [`FOLLOW_EVERY`] and a query. Whatever happens, a sender, an endpoint, a secret or a
//! template is at most [`MAX_AGE`] old, and a key at most [`FOLLOWED_MAX_AGE`].
//!
//! The audit log is the feed: every administrative change appends to it in its own
//! transaction, and its places are in the order of the commits, so a process that has read
//! up to a place has missed nothing. A notification that gets lost would be noticed by
//! nobody; a place that was not read yet is read next time. When the log cannot be read,
//! keys live no longer than [`MAX_AGE`] either.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;
use tokio::sync::{mpsc, watch};

use super::{Endpoint, Policy, Principal, Sender, connection_context};
use crate::{
    clock::{Millis, now_ms},
    credentials::{ACCESS_TOKEN_PREFIX, KeyHash, signing_secret_context},
    ids::{AccountId, BusinessId, SenderId},
    store::{RELOAD_REQUESTED, RoutingTable, Store, StoreError, Used},
    templates::Template,
    vault::Vault,
};

/// How old an entry may be that changes without the log's knowing, or while it is not
/// followed.
const MAX_AGE: Duration = Duration::from_secs(1);
/// How old an entry may be while the log is followed.
const FOLLOWED_MAX_AGE: Duration = Duration::from_secs(60);
/// How often the log is asked for what is new.
pub const FOLLOW_EVERY: Duration = Duration::from_millis(200);
/// How long the log may have been silent before nothing relies on it any more.
const DEAF_MAX: Duration = Duration::from_secs(1);
/// Changes read at once.
const FOLLOW_ROWS: i64 = 1_000;
/// How often the use of one credential is noted down, in milliseconds.
const NOTE_USE_EVERY_MS: Millis = 60_000;
/// Uses that wait to be noted down; more are not noted.
const NOTE_USE_WAITING_MAX: usize = 4_096;
/// Uses noted down at once.
const NOTE_USE_ROWS: usize = 256;

/// Entries of each kind; those used least recently leave first.
const CAPACITY_ENTRIES: usize = 50_000;

type TemplateKey = (AccountId, Box<str>, Box<str>);

/// The cache. Clones share it.
#[derive(Debug, Clone)]
pub struct Directory {
    store: Store,
    vault: Vault,
    /// What holds above every reseller.
    defaults: Arc<Policy>,
    principals: Entries<KeyHash, KnownPrincipal>,
    /// Keys that were found once, whatever changed since.
    found: Arc<Cache<KeyHash, ()>>,
    senders: Entries<SenderId, Sender>,
    endpoints: Entries<BusinessId, Vec<Endpoint>>,
    secrets: Entries<BusinessId, Vec<String>>,
    templates: Entries<TemplateKey, Template>,
    routing: Entries<BusinessId, RoutingTable>,
    feed: Arc<Feed>,
    used: mpsc::Sender<Used>,
}

#[derive(Debug)]
struct KnownPrincipal {
    principal: Arc<Principal>,
    /// When a use was last noted down.
    noted: AtomicI64,
}

/// How far the log was followed.
#[derive(Debug)]
struct Feed {
    begun: Instant,
    /// When it was last read to its end, in milliseconds since `begun`; negative before.
    heard_ms: AtomicI64,
    /// The place of the last request to load adapters anew; 0 before there was one, none before the log is followed.
    reloads: watch::Sender<Option<i64>>,
}

impl Feed {
    fn heard(&self) {
        self.heard_ms.store(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(0), Ordering::Relaxed);
    }

    /// How old an entry may be now.
    fn max_age(&self) -> Duration {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        let silent_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX) - heard;
        let deaf = heard < 0 || silent_ms > i64::try_from(DEAF_MAX.as_millis()).unwrap_or(0);
        if deaf { MAX_AGE } else { FOLLOWED_MAX_AGE }
    }
}

impl Directory {
    /// An empty cache over `store`. `defaults` is what holds above every reseller.
    #[must_use]
    pub fn new(store: Store, vault: Vault, defaults: Policy) -> Self {
        let (used, uses) = mpsc::channel(NOTE_USE_WAITING_MAX);
        tokio::spawn(note_uses(store.clone(), uses));
        Self {
            store,
            vault,
            defaults: Arc::new(defaults),
            principals: Entries::new(),
            found: Arc::new(Cache::new(CAPACITY_ENTRIES)),
            senders: Entries::new(),
            endpoints: Entries::new(),
            secrets: Entries::new(),
            templates: Entries::new(),
            routing: Entries::new(),
            feed: Arc::new(Feed {
                begun: Instant::now(),
                heard_ms: AtomicI64::new(-1),
                reloads: watch::Sender::new(None),
            }),
            used,
        }
    }

    /// Starts to follow the log, from where it ends now, for as long as the process lives.
    pub fn follow(&self) {
        let directory = self.clone();
        tokio::spawn(async move {
            let mut place = None;
            let mut timer = tokio::time::interval(FOLLOW_EVERY);
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                timer.tick().await;
                match directory.catch_up(place).await {
                    Ok(reached) => place = Some(reached),
                    Err(error) => tracing::warn!(%error, "changes by other processes cannot be followed"),
                }
            }
        });
    }

    async fn catch_up(&self, place: Option<i64>) -> Result<i64, StoreError> {
        let Some(mut place) = place else {
            // Whatever was read before this place was known may be from before it.
            let head = self.store.audit_head().await?;
            self.forget();
            self.feed.heard();
            self.feed.reloads.send_replace(Some(0));
            return Ok(head.seq);
        };
        // Never beyond the head: what stands there is not a part of the log.
        let head = self.store.audit_head().await?.seq;
        while place < head {
            let changes = self.store.changes_after(place, head, FOLLOW_ROWS).await?;
            let Some(last) = changes.last() else { break };
            place = last.seq;
            if let Some(request) = changes.iter().rev().find(|change| change.action == RELOAD_REQUESTED) {
                self.feed.reloads.send_replace(Some(request.seq));
            }
            match changes.iter().map(|change| change.business.as_ref()).collect::<Option<Vec<_>>>() {
                Some(businesses) => businesses.into_iter().for_each(|business| self.forget_business(business)),
                None => self.forget(),
            }
        }
        self.feed.heard();
        Ok(place)
    }

    /// The place of the last request to load adapters anew, as soon as it is read: 0 once the log is followed, none
    /// before.
    #[must_use]
    pub fn reloads(&self) -> watch::Receiver<Option<i64>> {
        self.feed.reloads.subscribe()
    }

    /// Whether the log was read within the last moment.
    #[cfg(test)]
    pub(crate) fn is_followed(&self) -> bool {
        self.feed.max_age() == FOLLOWED_MAX_AGE
    }

    /// Forgets everything.
    pub(crate) fn forget(&self) {
        self.principals.forget(|_, _| true);
        self.senders.forget(|_, _| true);
        self.endpoints.forget(|_, _| true);
        self.secrets.forget(|_, _| true);
        self.templates.forget(|_, _| true);
        self.routing.forget(|_, _| true);
    }

    /// Forgets everything of `business`.
    pub(crate) fn forget_business(&self, business: &BusinessId) {
        self.principals.forget(|_, known| known.principal.business.as_ref() == Some(business));
        self.senders.forget(|_, sender| sender.business == *business);
        self.endpoints.forget(|key, _| key == business);
        self.secrets.forget(|key, _| key == business);
        self.routing.forget(|key, _| key == business);
        // They are kept by account, and are few.
        self.templates.forget(|_, _| true);
    }

    /// Who holds `key`, live or not: [`Principal::admit`] says whether it may come in.
    ///
    /// # Errors
    /// The database's.
    pub async fn principal(&self, key: &str) -> Result<Option<Arc<Principal>>, StoreError> {
        Ok(self.known(key).await?.map(|known| known.principal.clone()))
    }

    /// The same for a request: notes when and from where the credential was used.
    ///
    /// # Errors
    /// The database's.
    pub async fn principal_of_request(
        &self,
        key: &str,
        address: Option<IpAddr>,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        let Some(known) = self.known(key).await? else { return Ok(None) };
        let (now, noted) = (now_ms(), known.noted.load(Ordering::Relaxed));
        if now - noted >= NOTE_USE_EVERY_MS
            && known.noted.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let credential = known.principal.credential.clone();
            let used = Used { credential, at: now, address: address.map(|address| address.to_string()) };
            // When too many wait, a later use is noted.
            drop(self.used.try_send(used));
        }
        Ok(Some(known.principal.clone()))
    }

    /// Whether `key` was found here before: then it is no guess. It may have ended since.
    #[must_use]
    pub fn remembers(&self, key: &str) -> bool {
        self.found.get(&KeyHash::of(key)).is_some()
    }

    async fn known(&self, key: &str) -> Result<Option<Arc<KnownPrincipal>>, StoreError> {
        let hash = KeyHash::of(key);
        let load = || async {
            let found = if key.starts_with(ACCESS_TOKEN_PREFIX) {
                self.store.token_principal(&hash, &self.defaults).await?
            } else {
                self.store.key_principal(&hash, &self.defaults).await?
            };
            if found.is_some() {
                self.found.insert(hash, ());
            }
            Ok(found.map(|principal| KnownPrincipal { principal: Arc::new(principal), noted: AtomicI64::new(0) }))
        };
        self.principals.get(hash, self.feed.max_age(), load).await
    }

    /// The sender `id`, if it is one of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn sender(&self, business: &BusinessId, id: SenderId) -> Result<Option<Arc<Sender>>, StoreError> {
        let sender = self.any_sender(id).await?;
        Ok(sender.filter(|sender| sender.business == *business))
    }

    /// A sender, whoever it belongs to: for the engine.
    pub(crate) async fn any_sender(&self, id: SenderId) -> Result<Option<Arc<Sender>>, StoreError> {
        let load = || async {
            let Some(view) = self.store.any_sender(id).await? else { return Ok(None) };
            let mut sender = view.sender;
            sender.policy = sender.policy.below(&self.defaults);
            if let Some(sealed) = view.sealed_connection {
                sender.connection = self.open_connection(id, &sealed)?;
            }
            Ok(Some(sender))
        };
        self.senders.get(id, MAX_AGE, load).await
    }

    fn open_connection(&self, id: SenderId, sealed: &[u8]) -> Result<serde_json::Value, StoreError> {
        let unreadable = |reason: String| StoreError::Unreadable {
            table: "senders",
            reason: format!("connection of {id}: {reason}"),
        };
        let opened = self.vault.open(&connection_context(id), sealed).map_err(|error| unreadable(error.to_string()))?;
        // What does not parse is not quoted: it may be most of a token.
        serde_json::from_slice(&opened).map_err(|_| unreadable("it is not JSON".to_owned()))
    }

    /// The webhook endpoints of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn endpoints(&self, business: &BusinessId) -> Result<Arc<Vec<Endpoint>>, StoreError> {
        let load = || async {
            let views = self.store.endpoints(business).await?;
            Ok(Some(views.iter().map(Endpoint::from).collect()))
        };
        Ok(self.endpoints.get(business.clone(), MAX_AGE, load).await?.unwrap_or_default())
    }

    /// What decides which channels the messages of `business` take.
    ///
    /// # Errors
    /// The database's.
    pub async fn routing(&self, business: &BusinessId) -> Result<Arc<RoutingTable>, StoreError> {
        let load = || async { self.store.routing_table(business).await.map(Some) };
        Ok(self.routing.get(business.clone(), MAX_AGE, load).await?.unwrap_or_default())
    }

    /// The signing secrets of `business` that are live, newest first. One that does not open
    /// is left out, and the log says so.
    ///
    /// # Errors
    /// The database's.
    pub async fn signing_secrets(&self, business: &BusinessId) -> Result<Arc<Vec<String>>, StoreError> {
        let load = || async {
            let mut secrets = Vec::new();
            for stored in self.store.signing_secrets(business, now_ms()).await? {
                let opened = self.vault.open(&signing_secret_context(&stored.id), &stored.sealed);
                match opened.map(String::from_utf8) {
                    Ok(Ok(secret)) => secrets.push(secret),
                    Ok(Err(_)) => tracing::error!(secret = stored.id, "a signing secret is not a text"),
                    Err(error) => tracing::error!(secret = stored.id, %error, "a signing secret does not open"),
                }
            }
            Ok(Some(secrets))
        };
        Ok(self.secrets.get(business.clone(), MAX_AGE, load).await?.unwrap_or_default())
    }

    /// The template of `account` with this name and language.
    ///
    /// # Errors
    /// The database's.
    pub async fn template(
        &self,
        account: AccountId,
        name: &str,
        language: &str,
    ) -> Result<Option<Arc<Template>>, StoreError> {
        let load = || async {
            let stored = self.store.template(account, name, language).await?;
            stored.map(|stored| Template::read(&stored)).transpose()
        };
        self.templates.get((account, name.into(), language.into()), MAX_AGE, load).await
    }
}

/// Writes down the uses of credentials, what came meanwhile at once; of one credential the
/// last.
async fn note_uses(store: Store, mut uses: mpsc::Receiver<Used>) {
    let mut waiting = Vec::new();
    while uses.recv_many(&mut waiting, NOTE_USE_ROWS).await > 0 {
        let last: HashMap<String, Used> = waiting.drain(..).map(|used| (used.credential.clone(), used)).collect();
        let mut last: Vec<Used> = last.into_values().collect();
        // In one order everywhere, so that two processes never wait for each other.
        last.sort_by(|one, other| one.credential.cmp(&other.credential));
        if let Err(error) = store.note_use(&last).await {
            tracing::warn!(%error, credentials = last.len(), "the use of credentials could not be noted");
        }
    }
}

type Entry<V> = (Arc<V>, Instant);

#[derive(Debug)]
struct Entries<K, V> {
    cache: Arc<Cache<K, Entry<V>>>,
    /// Counts the calls of [`Entries::forget`].
    forgotten: Arc<AtomicU64>,
}

impl<K, V> Clone for Entries<K, V> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), forgotten: self.forgotten.clone() }
    }
}

enum Missing {
    NoSuch,
    Failed(StoreError),
}

impl<K: Eq + Hash + Clone, V> Entries<K, V> {
    fn new() -> Self {
        Self { cache: Arc::new(Cache::new(CAPACITY_ENTRIES)), forgotten: Arc::default() }
    }

    fn forget(&self, which: impl Fn(&K, &V) -> bool) {
        // Counted first: a load that misses the count inserts before the entries are gone
        // through, one that sees it takes its own entry out.
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.cache.retain(|key, (value, _)| !which(key, value));
    }

    /// The entry, loaded when it is missing or older than `max_age`. Of several who ask at
    /// once one loads. That there is none is not remembered: it would hide a new one. The
    /// age counts from before the load: a change during the load is not older than that.
    async fn get<F, Fut>(&self, key: K, max_age: Duration, load: F) -> Result<Option<Arc<V>>, StoreError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, StoreError>>,
    {
        if let Some((value, loaded)) = self.cache.get(&key) {
            if loaded.elapsed() < max_age {
                return Ok(Some(value));
            }
            self.cache.remove_if(&key, |(_, loaded)| loaded.elapsed() >= max_age);
        }
        let (begun, forgotten) = (Instant::now(), self.forgotten.load(Ordering::SeqCst));
        let loaded = self
            .cache
            .get_or_insert_async(&key, async {
                // Boxed, so that what is found in the cache is a small future.
                match Box::pin(load()).await {
                    Ok(Some(value)) => Ok((Arc::new(value), begun)),
                    Ok(None) => Err(Missing::NoSuch),
                    Err(error) => Err(Missing::Failed(error)),
                }
            })
            .await;
        if self.forgotten.load(Ordering::SeqCst) != forgotten {
            self.cache.remove_if(&key, |(_, loaded)| *loaded == begun);
        }
        match loaded {
            Ok((value, _)) => Ok(Some(value)),
            Err(Missing::NoSuch) => Ok(None),
            Err(Missing::Failed(error)) => Err(error),
        }
    }
}
