//! Answers "who is this key, what is this sender" without a query: entries are at
//! most [`MAX_AGE`] old, so a change in the database is seen everywhere within it.

use std::{
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;

use super::{Endpoint, Principal, Sender};
use crate::{
    credentials::KeyHash,
    ids::{AccountId, BusinessId, SenderId},
    store::{Store, StoreError},
    templates::Template,
};

/// How old an entry may be.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Entries of each kind; those used least recently leave first.
const CAPACITY_ENTRIES: usize = 50_000;

type TemplateKey = (AccountId, Box<str>, Box<str>);

/// The cache. Clones share it.
#[derive(Debug, Clone)]
pub struct Directory {
    store: Store,
    principals: Entries<KeyHash, Principal>,
    senders: Entries<SenderId, Sender>,
    endpoints: Entries<BusinessId, Vec<Endpoint>>,
    templates: Entries<TemplateKey, Template>,
}

impl Directory {
    /// An empty cache over `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            principals: Entries::new(),
            senders: Entries::new(),
            endpoints: Entries::new(),
            templates: Entries::new(),
        }
    }

    /// Who holds `key`, if it is live.
    ///
    /// # Errors
    /// The database's.
    pub async fn principal(&self, key: &str) -> Result<Option<Arc<Principal>>, StoreError> {
        let hash = KeyHash::of(key);
        self.principals.get(hash, || self.store.principal(&hash)).await
    }

    /// The sender `id` of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn sender(&self, business: &BusinessId, id: SenderId) -> Result<Option<Arc<Sender>>, StoreError> {
        let sender = self.any_sender(id).await?;
        Ok(sender.filter(|sender| sender.business == *business))
    }

    /// A sender, whoever it belongs to: for the engine.
    pub(crate) async fn any_sender(&self, id: SenderId) -> Result<Option<Arc<Sender>>, StoreError> {
        self.senders.get(id, || self.store.sender(id)).await
    }

    /// The webhook endpoints of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn endpoints(&self, business: &BusinessId) -> Result<Arc<Vec<Endpoint>>, StoreError> {
        let found = self.endpoints.get(business.clone(), || async { self.store.endpoints(business).await.map(Some) });
        Ok(found.await?.unwrap_or_default())
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
        self.templates.get((account, name.into(), language.into()), load).await
    }
}

type Entry<V> = (Arc<V>, Instant);

#[derive(Debug)]
struct Entries<K, V> {
    cache: Arc<Cache<K, Entry<V>>>,
}

impl<K, V> Clone for Entries<K, V> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone() }
    }
}

enum Missing {
    NoSuch,
    Failed(StoreError),
}

impl<K: Eq + Hash + Clone, V> Entries<K, V> {
    fn new() -> Self {
        Self { cache: Arc::new(Cache::new(CAPACITY_ENTRIES)) }
    }

    /// The entry, loaded when it is missing or too old. Of several who ask at once
    /// one loads. That there is none is not remembered: it would hide a new one.
    async fn get<F, Fut>(&self, key: K, load: F) -> Result<Option<Arc<V>>, StoreError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<V>, StoreError>>,
    {
        if let Some((value, loaded)) = self.cache.get(&key) {
            if loaded.elapsed() < MAX_AGE {
                return Ok(Some(value));
            }
            self.cache.remove_if(&key, |(_, loaded)| loaded.elapsed() >= MAX_AGE);
        }
        let loaded = self
            .cache
            .get_or_insert_async(&key, async {
                // Boxed, so that what is found in the cache is a small future.
                match Box::pin(load()).await {
                    Ok(Some(value)) => Ok((Arc::new(value), Instant::now())),
                    Ok(None) => Err(Missing::NoSuch),
                    Err(error) => Err(Missing::Failed(error)),
                }
            })
            .await;
        match loaded {
            Ok((value, _)) => Ok(Some(value)),
            Err(Missing::NoSuch) => Ok(None),
            Err(Missing::Failed(error)) => Err(error),
        }
    }
}
