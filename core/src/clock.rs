//! One notion of time: milliseconds since the Unix epoch, as `i64`, in UTC.
//!
//! Both databases, the queue and the adapters carry it as it is, so nothing is
//! rounded or shifted on the way; only the outermost layer prints dates.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// The wall clock's time now. A clock set before 1970 reads as 0.
#[must_use]
pub fn now_ms() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `at` as RFC 3339 in UTC with milliseconds, for example
/// `2026-11-22T10:00:00.000Z`. A time beyond the year 9999 prints as that bound.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::MAX);
    format!("{timestamp:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_341_600_123), "2026-11-22T10:00:00.123Z");
    }
}
