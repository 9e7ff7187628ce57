//! The counts of all processes, in Redis. Every exchange is one script: it happens whole or
//! not at all, on Redis's own clock, so processes whose clocks differ keep one rate.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::{Client, RedisResult, Script, aio::ConnectionManagerConfig};
use tokio::sync::OnceCell;

use super::{Connection, Demand, Level, Ruling};
use crate::ids::BusinessId;

/// How long a daily count is kept, in seconds: the day and some.
const DAY_KEPT_SECONDS: i64 = 2 * 24 * 60 * 60;
/// How long one attempt to connect, and one answer, may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// For each request: how many demands, then for each its limit and its window in
/// milliseconds. Answers with a number for
/// whether it got through, then for each demand how much remains and the wait in
/// microseconds. The arithmetic is that of `local::rule`.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers, argument, key = {}, 1, 1
while argument <= #ARGV do
    local demands = tonumber(ARGV[argument])
    local allowed, levels, nexts = 1, {}, {}
    for index = 1, demands do
        local window = tonumber(ARGV[argument + 2 * index]) * 1000
        local interval = math.max(1, math.floor(window / tonumber(ARGV[argument + 2 * index - 1])))
        local full = tonumber(redis.call('GET', KEYS[key + index - 1]) or 0)
        local begins = math.max(full, now)
        local remaining = math.floor((now + window - begins) / interval)
        if remaining < 1 then allowed = 0 end
        nexts[index] = begins + interval
        levels[2 * index - 1] = remaining
        levels[2 * index] = math.max(0, begins + interval - now - window)
    end
    if allowed == 1 then
        for index = 1, demands do
            local bucket = KEYS[key + index - 1]
            redis.call('SET', bucket, string.format('%.0f', nexts[index]), 'PX', math.ceil((nexts[index] - now) / 1000) + 1)
            levels[2 * index - 1] = levels[2 * index - 1] - 1
        end
    end
    answers[#answers + 1] = allowed
    for _, level in ipairs(levels) do answers[#answers + 1] = level end
    argument, key = argument + 2 * demands + 1, key + demands
end
return answers
",
    )
});

/// Counts one of a cap, from a start where there is no count yet, or a lower one. Answers 1 when it got
/// through, 0 when not, -1 when it has to be told where to start.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local cap, start, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local count = redis.call('GET', KEYS[1])
if not count and start < 0 then return -1 end
if not count or tonumber(count) < start then
    redis.call('SET', KEYS[1], start, 'EX', kept)
    count = start
end
if tonumber(count) >= cap then return 0 end
redis.call('INCR', KEYS[1])
return 1
",
    )
});

/// Takes one back, where there is a count at all.
static UNCOUNT: LazyLock<Script> =
    LazyLock::new(|| Script::new("if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end"));

#[derive(Clone)]
pub(super) struct Counts {
    client: Client,
    connection: Arc<OnceCell<Connection>>,
    prefix: String,
}

impl Counts {
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, String> {
        let client = Client::open(url).map_err(|error| error.to_string())?;
        Ok(Self { client, connection: Arc::default(), prefix: prefix.to_owned() })
    }

    async fn connection(&self) -> RedisResult<Connection> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connect = || Connection::new_lazy_with_config(self.client.clone(), config);
        self.connection.get_or_try_init(|| async { connect() }).await.cloned()
    }

    pub(super) async fn take(&self, batch: &[Vec<Demand>]) -> RedisResult<Vec<Ruling>> {
        let mut connection = self.connection().await?;
        let mut call = TAKE.prepare_invoke();
        for demand in batch.iter().flatten() {
            call.key(format!("{}:rate:{}", self.prefix, demand.bucket));
        }
        for demands in batch {
            call.arg(demands.len());
            for demand in demands {
                call.arg(demand.limit.max(1)).arg(demand.window_ms.max(1));
            }
        }
        let answers: Vec<i64> = call.invoke_async(&mut connection).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(0);
        Ok(batch
            .iter()
            .map(|demands| {
                let allowed = next() == 1;
                let levels = demands
                    .iter()
                    .map(|demand| Level {
                        limit: demand.limit,
                        window_ms: demand.window_ms,
                        remaining: u32::try_from(next()).unwrap_or(0),
                        retry_after_ms: u64::try_from(next()).unwrap_or(0).div_ceil(1_000),
                    })
                    .collect();
                Ruling { allowed, levels }
            })
            .collect())
    }

    pub(super) async fn count(
        &self,
        business: &BusinessId,
        day: i32,
        cap: i64,
        start: Option<i64>,
    ) -> RedisResult<Option<bool>> {
        let mut connection = self.connection().await?;
        let mut call = COUNT.prepare_invoke();
        call.key(self.day_key(business, day)).arg(cap).arg(start.unwrap_or(-1)).arg(DAY_KEPT_SECONDS);
        let answer: i64 = call.invoke_async(&mut connection).await?;
        Ok((answer >= 0).then_some(answer == 1))
    }

    pub(super) async fn uncount(&self, business: &BusinessId, day: i32) -> RedisResult<()> {
        let mut connection = self.connection().await?;
        UNCOUNT.key(self.day_key(business, day)).invoke_async(&mut connection).await
    }

    fn day_key(&self, business: &BusinessId, day: i32) -> String {
        format!("{}:day:{day}:{}", self.prefix, business.key())
    }
}
