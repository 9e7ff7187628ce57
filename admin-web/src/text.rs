//! Numbers and times as people read them, alike on every page.

use serde::Serialize;
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

/// How long something takes, rounded up: `45 seconds`, `2 minutes`, `3 hours`, `4 days`.
pub(crate) fn span(ms: Millis) -> String {
    let of = |count: i64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    let seconds = (ms.max(0) + 999) / 1_000;
    match seconds {
        ..=90 => of(seconds, "second"),
        91..=5_400 => of((seconds + 59) / 60, "minute"),
        5_401..=129_600 => of((seconds + 3_599) / 3_600, "hour"),
        _ => of((seconds + 86_399) / 86_400, "day"),
    }
}

/// How long ago something was, rounded down: `just now`, `5 minutes ago`.
pub(crate) fn ago(at: Millis, now: Millis) -> String {
    let of = |count: i64, unit: &str| format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" });
    let minutes = (now - at) / 60_000;
    match minutes {
        ..1 => "just now".to_owned(),
        1..60 => of(minutes, "minute"),
        60..2_160 => of(minutes / 60, "hour"),
        _ => of(minutes / 1_440, "day"),
    }
}

/// A time as a page shows it: exact for machines, to the minute for people, and how long
/// ago.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Time {
    exact: String,
    text: String,
    ago: String,
}

impl Time {
    pub(crate) fn new(at: Millis, now: Millis) -> Self {
        Self { exact: rfc3339(at), text: minute(at), ago: ago(at, now) }
    }
}

/// A state as a page shows it: its tone is a colour, its text says the same.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Badge {
    pub(crate) tone: &'static str,
    pub(crate) text: &'static str,
}

/// How far the verification of a business has come.
pub(crate) fn state(name: &str) -> Badge {
    let (tone, text) = match name {
        "draft" => ("wait", "draft"),
        "submitted" => ("info", "submitted"),
        "in_review" => ("info", "in review"),
        "changes_requested" => ("warn", "changes requested"),
        "approved" => ("ok", "approved"),
        "rejected" => ("bad", "rejected"),
        "suspended" => ("bad", "suspended"),
        "closed" => ("wait", "closed"),
        _ => ("wait", "unknown"),
    };
    Badge { tone, text }
}

/// How large a file is: `312 KB`, `1.4 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const KB: u64 = 1024;
    const MB: u64 = 1024 * KB;
    match bytes {
        ..KB => format!("{bytes} bytes"),
        KB..MB => format!("{} KB", bytes.div_ceil(KB)),
        _ => format!("{}.{} MB", bytes / MB, bytes % MB * 10 / MB),
    }
}

/// A browser by what it says that it is: `Firefox on Linux`.
pub(crate) fn device(agent: &str) -> String {
    let first = |of: &[(&str, &'static str)]| of.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name);
    // Those that pretend to be others come first.
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
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

    #[test]
    fn a_span_is_rounded_up_to_a_unit_that_fits() {
        for (ms, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90_000, "90 seconds"),
            (90_001, "2 minutes"),
            (5_400_000, "90 minutes"),
            (5_400_001, "2 hours"),
            (129_600_000, "36 hours"),
            (129_600_001, "2 days"),
        ] {
            assert_eq!(span(ms), text);
        }
        for (minutes, text) in [
            (-1, "just now"),
            (0, "just now"),
            (1, "1 minute ago"),
            (59, "59 minutes ago"),
            (119, "1 hour ago"),
            (2_159, "35 hours ago"),
            (2_160, "1 day ago"),
        ] {
            assert_eq!(ago(0, minutes * 60_000 + 59_999), text);
        }
    }

    #[test]
    fn a_browser_is_named_by_what_it_is_and_not_by_what_it_resembles() {
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari on iPhone"),
            ("curl/8.5.0", "curl"),
            ("", "Unknown browser"),
        ] {
            assert_eq!(device(agent), name);
        }
    }
}
