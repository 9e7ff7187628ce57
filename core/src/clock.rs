//! One notion of time: milliseconds since the Unix epoch, as `i64`, in UTC.
//!
//! Both databases, the queue and the adapters carry it as it is, so nothing is
//! rounded or shifted on the way; only the outermost layer prints dates.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// Milliseconds of a day.
pub(crate) const DAY_MS: Millis = 24 * 60 * 60 * 1_000;

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

/// The time that `text` names in RFC 3339, in whatever offset.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<Millis> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// The date of a day, in days since 1970, UTC: for example `2026-11-22`. A day that has no
/// date of four digits prints as the last one that has.
#[must_use]
pub fn date(day: i32) -> String {
    rfc3339(Millis::from(day).saturating_mul(DAY_MS))[..10].to_owned()
}

/// The day of a date such as `2026-11-22`, in days since 1970, UTC.
#[must_use]
pub fn day_of_date(date: &str) -> Option<i32> {
    let at = Some(date).filter(|date| date.len() == 10).and_then(|date| from_rfc3339(&format!("{date}T00:00:00Z")))?;
    i32::try_from(at.div_euclid(DAY_MS)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_341_600_123), "2026-11-22T10:00:00.123Z");
    }

    #[test]
    fn times_and_dates_read_back() {
        assert_eq!(from_rfc3339(&rfc3339(1_795_341_600_123)), Some(1_795_341_600_123));
        assert_eq!(from_rfc3339("2026-11-22T12:00:00.123+02:00"), Some(1_795_341_600_123));
        for day in [-1, 0, 20_000, 20_779] {
            assert_eq!(day_of_date(&date(day)), Some(day));
        }
        assert_eq!(date(20_779), "2026-11-22");
        for text in ["", "2026-11", "2026-13-01", "2026-02-30", "2026-11-22T", "tomorrow!!"] {
            assert_eq!(day_of_date(text), None, "{text}");
        }
        assert_eq!(from_rfc3339("2026-11-22"), None);
    }
}
