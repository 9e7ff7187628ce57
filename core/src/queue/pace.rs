//! How fast a lane is served: a rate with a small burst, which is halved when the network says that it is too much, and
//! climbs back by itself.
//!
//! The rate is kept by the generic cell rate algorithm, in whole microseconds, so that both queues come to the same
//! answers: this file for the one in process, `lua/pace.lua` for Redis.

/// How much sooner than its time a job may be served, in microseconds: what a lane saves up while it is idle.
pub(super) const TOLERANCE_US: i64 = 100_000;
/// The whole rate, in thousandths.
pub(super) const WHOLE: i64 = 1_000;
/// What is left of a rate at least, in thousandths.
pub(super) const LEAST: i64 = 50;
/// How long a rate takes to climb from nothing to the whole, in milliseconds.
pub(super) const CLIMB_MS: i64 = 60_000;
/// How long a rate that was halved is not halved again, in milliseconds: what was under way then says nothing new.
pub(super) const HALVE_EVERY_MS: i64 = 1_000;

/// The rate of one lane, and what was used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    per_second: i64,
    /// When the next job would be on time, in microseconds since 1970.
    on_time_us: i64,
    /// What was left of the rate when it was last halved, in thousandths.
    share: i64,
    /// When that was, in milliseconds since 1970.
    halved_at_ms: i64,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: i64::from(per_second), on_time_us: 0, share: WHOLE, halved_at_ms: 0 }
    }

    pub(super) fn set(&mut self, per_second: u32) {
        self.per_second = i64::from(per_second);
    }

    fn share_at(&self, now_ms: i64) -> i64 {
        (self.share + (now_ms - self.halved_at_ms).max(0).saturating_mul(WHOLE) / CLIMB_MS).min(WHOLE)
    }

    fn interval_us(&self, now_ms: i64) -> i64 {
        let rate = self.per_second * self.share_at(now_ms);
        (1_000_000 * WHOLE + rate - 1) / rate
    }

    /// How many jobs may be served now.
    pub(super) fn allows(&self, now_ms: i64) -> usize {
        let now_us = now_ms.saturating_mul(1_000);
        let early_us = now_us + TOLERANCE_US - self.on_time_us.max(now_us);
        if early_us < 0 { 0 } else { usize::try_from(early_us / self.interval_us(now_ms) + 1).unwrap_or(usize::MAX) }
    }

    /// Counts jobs that were served, or that came in.
    pub(super) fn spend(&mut self, jobs: usize, now_ms: i64) {
        let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
        self.on_time_us = self.on_time_us.max(now_ms.saturating_mul(1_000)) + jobs * self.interval_us(now_ms);
    }

    /// When the next job may be served, in milliseconds since 1970.
    pub(super) fn next_ms(&self) -> i64 {
        (self.on_time_us - TOLERANCE_US + 999).div_euclid(1_000)
    }

    /// Halves the rate.
    pub(super) fn halve(&mut self, now_ms: i64) {
        if now_ms - self.halved_at_ms >= HALVE_EVERY_MS {
            self.share = (self.share_at(now_ms) / 2).max(LEAST);
            self.halved_at_ms = now_ms;
        }
    }
}
