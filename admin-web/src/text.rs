//! Numbers and times as people read them, alike on every page.

use waystation_core::clock::{Millis, rfc3339};

/// A count with its thousands apart: `12,480`.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part` of `whole` in hundredths of a percent; 0 of nothing.
pub(crate) fn share(part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    let exact = (i128::from(part) * 10_000 + i128::from(whole) / 2) / i128::from(whole);
    i64::try_from(exact).unwrap_or(i64::MAX)
}

/// `part` of `whole` in percent: `3.1 %`. What is there never reads as nothing.
pub(crate) fn percent(part: i64, whole: i64) -> String {
    let tenths = (share(part, whole) + 5) / 10;
    match tenths {
        0 if part > 0 => "< 0.1 %".to_owned(),
        1000 if part < whole => "> 99.9 %".to_owned(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// A time to the minute: `2026-11-22 10:00 UTC`.
pub(crate) fn minute(at: Millis) -> String {
    let text = rfc3339(at);
    match text.split_once('T') {
        Some((date, time)) => format!("{date} {} UTC", time.get(..5).unwrap_or(time)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_its_thousands_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678"), (-1_000, "-1,000")]
        {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn a_share_never_hides_what_is_there_nor_claims_all_of_it() {
        assert_eq!(percent(0, 0), "0.0 %");
        assert_eq!(percent(0, 10), "0.0 %");
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(1, 1_000_000), "< 0.1 %");
        assert_eq!(percent(999_999, 1_000_000), "> 99.9 %");
        assert_eq!(percent(7, 7), "100.0 %");
    }

    #[test]
    fn a_time_reads_to_the_minute() {
        assert_eq!(minute(1_795_341_600_123), "2026-11-22 10:00 UTC");
    }
}
