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

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use ::redis::{RedisError, aio::ConnectionManager};
use tokio::time::timeout;

use self::local::Local;
use crate::{
    batch::Batcher,
    clock::{DAY_MS, Millis, now_ms},
    error::{ApiError, ErrorKind},
    ids::BusinessId,
    store::{Store, StoreError, day_of},
};

/// Requests in one exchange with Redis at most.
const EXCHANGE_MAX: usize = 256;
/// How long an exchange may take before this process counts by itself.
const EXCHANGE_TIMEOUT: Duration = Duration::from_millis(250);
/// How long Redis is left alone after it failed, in milliseconds.
const AWAY_MS: Millis = 1_000;
/// How long after that daily counts start from the database, in milliseconds.
const RECOUNT_MS: Millis = 60_000;

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
    exchanges: Batcher<Vec<Demand>, Result<Ruling, Arc<RedisError>>>,
    /// Until when Redis is left alone after it failed, in milliseconds since 1970: while it
    /// is away, nobody's request waits for it.
    away_until: Arc<AtomicI64>,
}

impl Shared {
    fn is_away(&self) -> bool {
        now_ms() < self.away_until.load(Ordering::Relaxed)
    }

    /// Whether it was away not long ago.
    fn was_away(&self) -> bool {
        now_ms() < self.away_until.load(Ordering::Relaxed).saturating_add(RECOUNT_MS)
    }

    /// What an exchange brought, in time or not at all.
    async fn exchange<T, E: Display>(&self, exchange: impl Future<Output = Result<T, E>>) -> Option<T> {
        if self.is_away() {
            return None;
        }
        let failure = match timeout(EXCHANGE_TIMEOUT, exchange).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if !self.is_away() {
            tracing::warn!(error = failure, "Redis is away; limits are kept by each process alone");
        }
        self.away_until.store(now_ms() + AWAY_MS, Ordering::Relaxed);
        None
    }
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
                match counts.take(&batch).await {
                    Ok(rulings) => rulings.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(Arc::new(error)); batch.len()],
                }
            }
        });
        let shared = Shared { redis, exchanges, away_until: Arc::default() };
        Ok(Self { local: Arc::new(Local::new()), shared: Some(shared), store })
    }

    /// Asks every bucket of `demands` for one.
    pub async fn take(&self, demands: Vec<Demand>) -> Ruling {
        if demands.is_empty() {
            return Ruling { allowed: true, levels: Vec::new() };
        }
        if let Some(shared) = &self.shared {
            let submitted = shared.exchanges.submit(demands.clone());
            // Nobody answers when the process shuts down: then it counts by itself as well.
            let answer = async {
                let taken = submitted.await.map_err(|stopped| stopped.to_string())?;
                taken.map_err(|error| error.to_string())
            };
            if let Some(ruling) = shared.exchange(answer).await {
                return ruling;
            }
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
            // What was counted while Redis was away is in the database only.
            let mut counted = match shared.was_away() {
                true => Some(None),
                false => shared.exchange(shared.redis.count(business, day, cap, None)).await,
            };
            if counted == Some(None) {
                let start = self.store.accepted_on(business, day).await?;
                counted = shared.exchange(shared.redis.count(business, day, cap, Some(start))).await;
            }
            if let Some(Some(allowed)) = counted {
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
            shared.exchange(shared.redis.uncount(business, day)).await;
        }
    }
}

/// A connection that makes itself anew.
type Connection = ConnectionManager;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tempfile::TempDir;
    use waystation_testkit::servers::Redis;

    use super::*;
    use crate::{
        ids::{MessageId, SenderId},
        store::{Direction, NewMessage, StoreSettings, StoreUrl},
    };

    struct Fixture {
        store: Store,
        _folder: TempDir,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = TempDir::new().unwrap();
            let url = StoreUrl::Sqlite(folder.path().join("test.db"));
            let store = Store::open(&StoreSettings { url, connections: 2 }).await.unwrap();
            store.migrate(Direction::Up).await.unwrap();
            Self { store, _folder: folder }
        }

        /// A limiter of one process, and two that share their counts.
        async fn limiters(&self) -> Vec<[Limiter; 2]> {
            let local = Limiter::local(self.store.clone());
            let (url, prefix) = (Redis::shared().await.unwrap().url(), MessageId::generate().to_string());
            let shared = || Limiter::shared(self.store.clone(), &url, &prefix).unwrap();
            vec![[local.clone(), local], [shared(), shared()]]
        }
    }

    async fn delete_keys(pattern: &str) {
        let client = ::redis::Client::open(Redis::shared().await.unwrap().url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = ::redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
        assert!(!keys.is_empty());
        ::redis::cmd("DEL").arg(keys).exec_async(&mut connection).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn processes_share_one_rate() {
        let fixture = Fixture::new().await;
        for [one, other] in fixture.limiters().await {
            // A window so long that nothing fills up again while this runs.
            let demand = |limit| Demand { bucket: "b".to_owned(), limit, window_ms: 3_600_000 };
            let began = Instant::now();
            let mut through = 0;
            for _ in 0..10 {
                for limiter in [&one, &other] {
                    through += u32::from(limiter.take(vec![demand(10)]).await.allowed);
                }
            }
            assert_eq!(through, 10, "{one:?}");
            let refused = one.take(vec![demand(10)]).await;
            let wait = refused.retry_after_ms();
            let spent = u64::try_from(began.elapsed().as_millis()).unwrap();
            assert!(wait <= 360_000 && wait + spent >= 359_000, "{refused:?}");
            assert_eq!((refused.levels[0].limit, refused.levels[0].remaining), (10, 0));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_one_bucket_refuses_takes_nothing_from_another() {
        let fixture = Fixture::new().await;
        for [limiter, _] in fixture.limiters().await {
            let demand = |bucket: &str, limit| Demand { bucket: bucket.to_owned(), limit, window_ms: 3_600_000 };
            let both = || vec![demand("narrow", 1), demand("wide", 100)];
            assert!(limiter.take(both()).await.allowed);
            // At once, so that they share exchanges.
            let again = futures_util::future::join_all((0..50).map(|_| limiter.take(both()))).await;
            assert!(again.iter().all(|ruling| !ruling.allowed), "{limiter:?}");
            let wide = limiter.take(vec![demand("wide", 100)]).await;
            assert_eq!((wide.allowed, wide.levels[0].remaining), (true, 98), "{limiter:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bucket_fills_again_evenly() {
        let fixture = Fixture::new().await;
        for [limiter, _] in fixture.limiters().await {
            let demand = || vec![Demand { bucket: "b".to_owned(), limit: 5, window_ms: 250 }];
            while limiter.take(demand()).await.allowed {}
            let refused = limiter.take(demand()).await;
            if !refused.allowed {
                tokio::time::sleep(Duration::from_millis(refused.retry_after_ms())).await;
                assert!(limiter.take(demand()).await.allowed, "{limiter:?}: whoever comes back when told gets through");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daily_cap_holds_over_processes_and_starts_from_the_database() {
        let fixture = Fixture::new().await;
        let now = 10 * DAY_MS + 1_000;
        for [one, other] in fixture.limiters().await {
            let business = BusinessId::generate();
            let kept = |id| NewMessage {
                id,
                business_id: business.clone(),
                sender_id: SenderId(1),
                recipient: "16505551234".to_owned(),
                kind: "text",
                category: crate::messages::Category::Service,
                template: None,
                scheduled: None,
                body: "{}".to_owned(),
                rendered: String::new(),
                sealed: None,
                callback_data: None,
                accepted_at: now,
                expires_at: now + 1,
                routing: None,
                idempotency: None,
            };
            fixture.store.accept(vec![kept(MessageId::generate())]).await.unwrap();
            assert!(one.count_message(&business, 3, now).await.is_ok());
            assert!(other.count_message(&business, 3, now).await.is_ok());
            let refused = one.count_message(&business, 3, now).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::DailyCapReached);
            assert_eq!(refused.retry_after_ms, Some((DAY_MS - 1_000).unsigned_abs()), "until the day is over");
            other.uncount_message(&business, now).await;
            assert!(one.count_message(&business, 3, now).await.is_ok());
            assert!(one.count_message(&business, 3, now + DAY_MS).await.is_ok(), "the next day is another");
            if one.shared.is_some() {
                // Redis forgets: the messages that were kept still count.
                delete_keys(&format!("*:day:10:{}", business.key())).await;
                assert!(one.count_message(&business, 2, now).await.is_ok());
                assert!(other.count_message(&business, 2, now).await.is_err());
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn without_redis_each_process_counts_by_itself() {
        let fixture = Fixture::new().await;
        // Nobody listens there.
        let limiter = Limiter::shared(fixture.store.clone(), "redis://127.0.0.1:1", "x").unwrap();
        let demand = || vec![Demand { bucket: "b".to_owned(), limit: 2, window_ms: 3_600_000 }];
        let mut through = 0;
        for _ in 0..4 {
            through += u32::from(limiter.take(demand()).await.allowed);
        }
        assert_eq!(through, 2);
        let business = BusinessId::generate();
        assert!(limiter.count_message(&business, 1, 0).await.is_ok());
        assert!(limiter.count_message(&business, 1, 0).await.is_err());
    }
}
