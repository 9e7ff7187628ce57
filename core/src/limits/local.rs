//! The counts of one process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Demand, Level, Ruling};
use crate::{clock::Millis, ids::BusinessId};

/// Buckets kept at most. Beyond that those that are full again, and so say nothing, are
/// dropped.
const BUCKETS_MAX: usize = 100_000;
/// How old a daily count may be before it starts from the database again, so that what other
/// processes counted is known here, in milliseconds.
const COUNT_MAX_AGE_MS: Millis = 1_000;

#[derive(Debug, Default)]
pub(super) struct Local {
    /// When each bucket is full again, in microseconds.
    full_at: Mutex<HashMap<String, i64>>,
    days: Mutex<HashMap<BusinessId, Day>>,
}

#[derive(Debug)]
struct Day {
    day: i32,
    count: i64,
    started_at: Millis,
}

/// What a bucket that is full again at `full_at` says to `demand` at `now`, both in
/// microseconds, and when it is full again after one more.
fn rule(full_at: i64, now: i64, demand: &Demand) -> (Level, i64) {
    let window = i64::from(demand.window_ms.max(1)) * 1_000;
    let interval = (window / i64::from(demand.limit.max(1))).max(1);
    let begins = full_at.max(now);
    // A bucket holds one window's worth: it may be filled at most so far ahead.
    let room = now + window - begins;
    let (remaining, next) = (room / interval, begins + interval);
    let wait = (begins + interval - now - window).max(0);
    let level = Level {
        limit: demand.limit,
        window_ms: demand.window_ms,
        remaining: u32::try_from(remaining).unwrap_or(0),
        retry_after_ms: u64::try_from(wait).unwrap_or(0).div_ceil(1_000),
    };
    (level, next)
}

impl Local {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn take(&self, demands: &[Demand], now: Millis) -> Ruling {
        let now = now.saturating_mul(1_000);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= BUCKETS_MAX {
            full_at.retain(|_, full_at| *full_at > now);
        }
        let ruled: Vec<(Level, i64)> =
            demands.iter().map(|demand| rule(full_at.get(&demand.bucket).copied().unwrap_or(0), now, demand)).collect();
        let allowed = ruled.iter().all(|(level, _)| level.remaining > 0);
        let levels = ruled
            .iter()
            .map(|(level, _)| Level { remaining: level.remaining.saturating_sub(u32::from(allowed)), ..*level });
        let levels = levels.collect();
        if allowed {
            for (demand, (_, next)) in demands.iter().zip(ruled) {
                full_at.insert(demand.bucket.clone(), next);
            }
        }
        Ruling { allowed, levels }
    }

    /// Counts one of `cap`. `None` when it is not known where to start from; then `start`
    /// has to be given.
    pub(super) fn count(
        &self,
        business: &BusinessId,
        day: i32,
        cap: i64,
        start: Option<i64>,
        now: Millis,
    ) -> Option<bool> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(start) = start {
            // What this process counted and has not yet written must not be forgotten.
            let before = days.get(business).filter(|known| known.day == day).map_or(0, |known| known.count);
            if days.len() >= BUCKETS_MAX {
                days.retain(|_, known| known.day == day);
            }
            days.insert(business.clone(), Day { day, count: start.max(before), started_at: now });
        }
        let known = days.get_mut(business).filter(|known| known.day == day)?;
        if start.is_none() && now - known.started_at > COUNT_MAX_AGE_MS {
            return None;
        }
        let allowed = known.count < cap;
        known.count += i64::from(allowed);
        Some(allowed)
    }

    pub(super) fn uncount(&self, business: &BusinessId, day: i32) {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = days.get_mut(business).filter(|known| known.day == day) {
            known.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(bucket: &str, per_second: u32) -> Demand {
        Demand::per_second(bucket.to_owned(), per_second)
    }

    #[test]
    fn a_bucket_lets_through_its_rate_and_says_when_there_is_room_again() {
        let local = Local::new();
        let demands = [demand("a", 10)];
        let mut through = 0;
        for millisecond in 0..3_000 {
            let ruling = local.take(&demands, 1_000_000 + millisecond);
            through += u32::from(ruling.allowed);
            if !ruling.allowed {
                let wait = i64::try_from(ruling.retry_after_ms()).unwrap();
                assert!((1..=100).contains(&wait), "{ruling:?}");
            }
        }
        // One bucket's worth at once, and then the rate.
        assert!((39..=40).contains(&through), "{through}");
    }

    #[test]
    fn whoever_comes_back_when_told_gets_through() {
        let local = Local::new();
        let demands = [demand("a", 3)];
        let mut now = 5_000;
        for _ in 0..3 {
            assert!(local.take(&demands, now).allowed);
        }
        for _ in 0..20 {
            let refused = local.take(&demands, now);
            assert!(!refused.allowed);
            now += i64::try_from(refused.retry_after_ms()).unwrap();
            assert!(local.take(&demands, now).allowed, "at {now}");
        }
    }

    #[test]
    fn what_one_bucket_refuses_takes_nothing_from_another() {
        let local = Local::new();
        let both = [demand("narrow", 1), demand("wide", 100)];
        assert!(local.take(&both, 0).allowed);
        for _ in 0..50 {
            assert!(!local.take(&both, 0).allowed);
        }
        let wide = local.take(&both[1..], 0);
        assert_eq!((wide.allowed, wide.levels[0].remaining), (true, 98));
    }

    #[test]
    fn a_day_counts_to_its_cap_from_where_the_database_is() {
        let (local, business) = (Local::new(), BusinessId::generate());
        assert_eq!(local.count(&business, 7, 3, None, 0), None);
        assert_eq!(local.count(&business, 7, 3, Some(1), 0), Some(true));
        assert_eq!(local.count(&business, 7, 3, None, 0), Some(true));
        assert_eq!(local.count(&business, 7, 3, None, 0), Some(false));
        local.uncount(&business, 7);
        assert_eq!(local.count(&business, 7, 3, None, 0), Some(true));
        assert_eq!(local.count(&business, 7, 3, None, 5_000), None, "it is asked for again");
        assert_eq!(local.count(&business, 7, 3, Some(0), 5_000), Some(false), "and never less than was counted");
        assert_eq!(local.count(&business, 8, 3, None, 5_000), None);
    }
}
