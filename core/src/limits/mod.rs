//! How often somebody may ask: a rate is kept over all processes, and whoever is refused is
//! told when to come back. What is refused takes nothing from anybody's share.
//!
//! Rates are kept by the generic cell rate algorithm: one number for each bucket, the time
//! at which it would be full again, so a bucket costs nothing while nobody asks. A bucket
//! holds what its rate allows in one window, and fills evenly. With Redis the numbers are there, and requests that arrive
//! while one exchange runs share the next one; while it is away, each process counts by
//! itself. Daily counts start from the database, so a wiped Redis forgets nothing.

mod local;
mod redis;

use std::{sync::Arc, time::Duration};

use ::redis::aio::ConnectionManager;
use tokio::time::timeout;

use self::local::Local;
use crate::{
    batch::Batcher,
    clock::{Millis, now_ms},
    error::{ApiError, ErrorKind},
    ids::BusinessId,
    store::{DAY_MS, Store, StoreError, day_of},
};

/// Requests in one exchange with Redis at most.
const EXCHANGE_MAX: usize = 256;
/// How long an exchange may take before this process counts by itself.
const EXCHANGE_TIMEOUT: Duration = Duration::from_millis(250);

/// Something that is asked of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The bucket.
    pub bucket: String,
    /// How many it lets through in a window, 1 and more.
    pub limit: u32,
    /// The window, in milliseconds, 1 and more.
    pub window_ms: u32,
}

impl Demand {
    /// One of so many a second.
    #[must_use]
    pub fn per_second(bucket: String, limit: u32) -> Self {
        Self { bucket, limit, window_ms: 1_000 }
    }
}

/// What became of a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// How many the bucket lets through in a window.
    pub limit: u32,
    /// The window, in milliseconds.
    pub window_ms: u32,
    /// How many more it would let through now.
    pub remaining: u32,
    /// When the next one gets through, in milliseconds from now; 0 while there is room.
    pub retry_after_ms: u64,
}

/// What became of the demands of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Whether all of them got through. If not, none took anything.
    pub allowed: bool,
    /// Each bucket, in the order of the demands.
    pub levels: Vec<Level>,
}

impl Ruling {
    /// How long the request has to wait, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(&self) -> u64 {
        self.levels.iter().map(|level| level.retry_after_ms).max().unwrap_or(0)
    }
}

/// Keeps the limits. Clones share the counts.
#[derive(Clone)]
pub struct Limiter {
    local: Arc<Local>,
    shared: Option<Shared>,
    store: Store,
}

#[derive(Clone)]
struct Shared {
    redis: redis::Counts,
    exchanges: Batcher<Vec<Demand>, Option<Ruling>>,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.shared.is_some() { "Limiter(redis)" } else { "Limiter(local)" })
    }
}

impl Limiter {
    /// A limiter for the only process of an installation.
    #[must_use]
    pub fn local(store: Store) -> Self {
        Self { local: Arc::new(Local::new()), shared: None, store }
    }

    /// A limiter that shares its counts through Redis, under keys that start with `prefix`.
    ///
    /// # Errors
    /// An address that Redis's client does not take.
    pub fn shared(store: Store, url: &str, prefix: &str) -> Result<Self, String> {
        let redis = redis::Counts::new(url, prefix)?;
        let counts = redis.clone();
        let exchanges = Batcher::start(EXCHANGE_MAX, move |batch: Vec<Vec<Demand>>| {
            let counts = counts.clone();
            async move {
                match timeout(EXCHANGE_TIMEOUT, counts.take(&batch)).await {
                    Ok(Ok(rulings)) => rulings.into_iter().map(Some).collect(),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "limits are kept by this process alone");
                        vec![None; batch.len()]
                    }
                    Err(_) => vec![None; batch.len()],
                }
            }
        });
        Ok(Self { local: Arc::new(Local::new()), shared: Some(Shared { redis, exchanges }), store })
    }

    /// Asks every bucket of `demands` for one.
    pub async fn take(&self, demands: Vec<Demand>) -> Ruling {
        if demands.is_empty() {
            return Ruling { allowed: true, levels: Vec::new() };
        }
        if let Some(shared) = &self.shared
            && let Ok(Some(ruling)) = shared.exchanges.submit(demands.clone()).await
        {
            return ruling;
        }
        self.local.take(&demands, now_ms())
    }

    /// Counts a message of `business` against its `cap` of the day.
    ///
    /// # Errors
    /// [`ErrorKind::DailyCapReached`] with the time until the day is over; the database's.
    pub async fn count_message(&self, business: &BusinessId, cap: u64, now: Millis) -> Result<(), ApiError> {
        let cap = i64::try_from(cap).unwrap_or(i64::MAX);
        if self.count(business, cap, now).await? {
            return Ok(());
        }
        let wait_ms = DAY_MS - now.rem_euclid(DAY_MS);
        let details =
            format!("The {cap} messages of this day (UTC) are used up; the next day begins in {} s.", wait_ms / 1_000);
        Err(ApiError::new(ErrorKind::DailyCapReached, details).retry_after_ms(wait_ms.unsigned_abs()))
    }

    async fn count(&self, business: &BusinessId, cap: i64, now: Millis) -> Result<bool, StoreError> {
        let day = day_of(now);
        if let Some(shared) = &self.shared {
            let mut counted = timeout(EXCHANGE_TIMEOUT, shared.redis.count(business, day, cap, None)).await;
            if matches!(counted, Ok(Ok(None))) {
                let start = self.store.accepted_on(business, day).await?;
                counted = timeout(EXCHANGE_TIMEOUT, shared.redis.count(business, day, cap, Some(start))).await;
            }
            if let Ok(Ok(Some(allowed))) = counted {
                return Ok(allowed);
            }
        }
        if let Some(allowed) = self.local.count(business, day, cap, None, now) {
            return Ok(allowed);
        }
        let start = self.store.accepted_on(business, day).await?;
        Ok(self.local.count(business, day, cap, Some(start), now).unwrap_or(true))
    }

    /// Takes back what [`Limiter::count_message`] counted, for a message that was not kept.
    pub async fn uncount_message(&self, business: &BusinessId, now: Millis) {
        let day = day_of(now);
        self.local.uncount(business, day);
        if let Some(shared) = &self.shared {
            // Lost when Redis is away: then one message less is let through on this day.
            drop(timeout(EXCHANGE_TIMEOUT, shared.redis.uncount(business, day)).await);
        }
    }
}

/// A connection that makes itself anew.
type Connection = ConnectionManager;
