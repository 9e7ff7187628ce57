//! When a message is to be sent, and how long it is worth sending, as a request says it.
//!
//! A local time becomes the one moment that it means in its zone. One that clocks skip when they are put forward means as
//! much later as they skip; one that comes twice when they are put back means the first time (RFC 5545 has it so, too).

use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};

use super::{address::Address, check::Report, check::member, zones::ZONES};
use crate::{
    clock::{Millis, from_rfc3339, rfc3339},
    error::{ApiError, Breach, ErrorKind},
};

/// How far ahead a message is scheduled at least, in seconds.
pub const SCHEDULE_MIN_SECONDS: i64 = 60;
/// How far ahead a message is scheduled at most, in seconds: 365 days.
pub const SCHEDULE_MAX_SECONDS: i64 = 365 * 24 * 60 * 60;
/// Shortest time to live, in seconds.
pub const TTL_MIN_SECONDS: i64 = 30;
/// Longest time to live, in seconds: 30 days.
pub const TTL_MAX_SECONDS: i64 = 30 * 24 * 60 * 60;
/// What stands in `zone` for that of the recipient.
pub const RECIPIENT_ZONE: &str = "recipient";

/// The members of a request that say when.
pub const MEMBERS: [&str; 3] = ["schedule_at", "zone", "ttl_seconds"];

/// When a message is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// At this moment.
    At(Millis),
    /// When clocks show this time in a zone.
    Local(DateTime, TimeZone),
    /// When they show it where the recipient is.
    LocalToRecipient(DateTime),
}

/// What a request says of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    /// When it is to be sent; at once without.
    pub when: Option<When>,
    /// How long it is worth sending from then on, in milliseconds.
    pub ttl_ms: Option<Millis>,
}

impl Timing {
    /// Takes the members out of a message object.
    pub(super) fn take(object: &mut Map<String, Value>, report: &mut Report) -> Self {
        let when = when(object, report);
        let ttl_ms = member(object, "ttl_seconds").and_then(|value| match value.as_i64() {
            Some(seconds) if (TTL_MIN_SECONDS..=TTL_MAX_SECONDS).contains(&seconds) => Some(seconds * 1_000),
            Some(seconds) => {
                let limit = if seconds < TTL_MIN_SECONDS { TTL_MIN_SECONDS } else { TTL_MAX_SECONDS };
                let message = format!("must be from {TTL_MIN_SECONDS} to {TTL_MAX_SECONDS} seconds, is {seconds}");
                report.out_of_bounds("/ttl_seconds", message, limit, seconds);
                None
            }
            None => {
                report.invalid("/ttl_seconds", "must be a whole number of seconds");
                None
            }
        });
        for name in MEMBERS {
            object.remove(name);
        }
        Self { when, ttl_ms }
    }
}

fn when(object: &Map<String, Value>, report: &mut Report) -> Option<When> {
    const EXAMPLES: &str = "must be a time in RFC 3339, for example \"2026-12-24T09:00:00+01:00\"; or a local time, for \
                            example \"2026-12-24T09:00\", with \"zone\"";
    let zone = member(object, "zone");
    let Some(value) = member(object, "schedule_at") else {
        if zone.is_some() {
            report.invalid("/zone", "has no meaning without \"schedule_at\"");
        }
        return None;
    };
    let Some(text) = value.as_str() else {
        report.invalid("/schedule_at", EXAMPLES);
        return None;
    };
    if let Some(at) = from_rfc3339(text) {
        if zone.is_some() {
            report.invalid("/zone", "has no meaning with a time that has an offset of its own");
        }
        return Some(When::At(at));
    }
    let Some(time) = text.contains('T').then(|| text.parse::<DateTime>().ok()).flatten() else {
        report.invalid("/schedule_at", EXAMPLES);
        return None;
    };
    match zone.map(Value::as_str) {
        None => {
            let message = "is required with a local time: a zone such as \"Europe/Berlin\", or \"recipient\"";
            report.add(ErrorKind::ParameterMissing, "/zone", message);
            None
        }
        Some(Some(RECIPIENT_ZONE)) => Some(When::LocalToRecipient(time)),
        Some(name) => {
            let found = name.and_then(|name| TimeZone::get(name).ok());
            if found.is_none() {
                report.invalid(
                    "/zone",
                    "must be a zone of the IANA database, such as \"Europe/Berlin\", or \"recipient\"",
                );
            }
            found.map(|zone| When::Local(time, zone))
        }
    }
}

impl When {
    /// The moment, and how a history tells of it; for somebody in `zones`, the first of which counts.
    ///
    /// # Errors
    /// [`ErrorKind::ParameterInvalid`] for a moment that is too near or too far, and when nobody knows where the recipient
    /// is.
    pub fn resolve(&self, zones: &[TimeZone], now: Millis) -> Result<(Millis, String), ApiError> {
        let (at, says) = match self {
            Self::At(at) => (*at, String::new()),
            Self::Local(time, zone) => local(*time, zone)?,
            Self::LocalToRecipient(time) => {
                let unknown = || {
                    let message = "cannot be the recipient's: their country is not known; name a zone instead";
                    ApiError::breach("/zone", message)
                };
                local(*time, zones.first().ok_or_else(unknown)?)?
            }
        };
        let ahead = (at - now).div_euclid(1_000);
        if !(SCHEDULE_MIN_SECONDS..=SCHEDULE_MAX_SECONDS).contains(&ahead) {
            let limit = if ahead < SCHEDULE_MIN_SECONDS { SCHEDULE_MIN_SECONDS } else { SCHEDULE_MAX_SECONDS };
            let message = format!(
                "must be from {SCHEDULE_MIN_SECONDS} seconds to 365 days ahead; {} is {ahead} seconds ahead",
                rfc3339(at)
            );
            let number = |seconds: i64| u64::try_from(seconds).ok();
            let breach =
                Breach { pointer: "/schedule_at".to_owned(), message, limit: number(limit), actual: number(ahead) };
            return Err(ApiError::breaches(ErrorKind::ParameterInvalid, vec![breach]));
        }
        Ok((at, format!("To be sent at {}{says}.", rfc3339(at))))
    }
}

fn local(time: DateTime, zone: &TimeZone) -> Result<(Millis, String), ApiError> {
    let zoned = zone.to_zoned(time).map_err(|_| ApiError::breach("/schedule_at", "is beyond every calendar"))?;
    let name = zone.iana_name().unwrap_or("that zone");
    Ok((zoned.timestamp().as_millisecond(), format!(", when it is {} in {name}", zoned.strftime("%Y-%m-%d %H:%M"))))
}

/// The zones of the country that an address belongs to, the one that most people live in first; none when it is not known.
#[must_use]
pub fn zones_of(address: &Address) -> Vec<TimeZone> {
    let country = match address {
        // A user id begins with its country.
        Address::UserId(id) => id.get(..2).map(ToOwned::to_owned),
        Address::Phone(digits) => phonenumber::parse(None, format!("+{digits}"))
            .ok()
            .and_then(|number| number.country().id())
            .map(|id| id.as_ref().to_owned()),
    };
    let names = country.and_then(|country| ZONES.iter().find(|(known, _)| *known == country)).map(|(_, names)| *names);
    names.unwrap_or_default().iter().filter_map(|name| TimeZone::get(name).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// 2026-11-24T12:00:00Z.
    const NOW: Millis = 1_795_521_600_000;

    fn take(value: &Value) -> Result<Timing, ApiError> {
        let mut object = value.as_object().cloned().unwrap();
        let mut report = Report::default();
        let timing = Timing::take(&mut object, &mut report);
        report.finish()?;
        assert!(MEMBERS.iter().all(|name| !object.contains_key(*name)), "they do not travel to the network");
        Ok(timing)
    }

    fn at(value: &Value, recipient: &str) -> Result<String, ApiError> {
        let recipient = Address::phone(recipient).unwrap();
        let timing = take(value)?;
        timing.when.unwrap().resolve(&zones_of(&recipient), NOW).map(|(at, _)| rfc3339(at))
    }

    #[test]
    fn a_time_is_a_moment_or_local_to_a_zone_or_to_the_recipient() {
        for (value, moment) in [
            (json!({"schedule_at": "2026-12-24T09:00:00+01:00"}), "2026-12-24T08:00:00.000Z"),
            (json!({"schedule_at": "2026-12-24T09:00", "zone": "Europe/Berlin"}), "2026-12-24T08:00:00.000Z"),
            (json!({"schedule_at": "2026-12-24T09:00", "zone": "Asia/Kolkata"}), "2026-12-24T03:30:00.000Z"),
            (json!({"schedule_at": "2026-12-24T09:00", "zone": "recipient"}), "2026-12-24T08:00:00.000Z"),
        ] {
            assert_eq!(at(&value, "+49 30 12345678").unwrap(), moment, "{value}");
        }
    }

    #[test]
    fn a_time_that_clocks_skip_is_later_and_one_that_comes_twice_is_the_first() {
        for (local, zone, moment) in [
            ("2027-03-28T02:30", "Europe/Berlin", "2027-03-28T01:30:00.000Z"),
            ("2027-03-14T02:30", "America/New_York", "2027-03-14T07:30:00.000Z"),
            ("2027-10-31T02:30", "Europe/Berlin", "2027-10-31T00:30:00.000Z"),
            // Half an hour, on the other half of the earth.
            ("2027-04-04T01:45", "Australia/Lord_Howe", "2027-04-03T14:45:00.000Z"),
        ] {
            let value = json!({"schedule_at": local, "zone": zone});
            assert_eq!(at(&value, "16505551234").unwrap(), moment, "{local} in {zone}");
        }
    }

    #[test]
    fn a_minute_to_365_days_ahead() {
        let year = 365 * 24 * 60 * 60;
        for (seconds, fits) in [(59, false), (60, true), (year, true), (year + 1, false), (-5, false)] {
            let moment = When::At(NOW + seconds * 1_000);
            assert_eq!(moment.resolve(&[], NOW).is_ok(), fits, "{seconds}");
        }
        let error = When::At(NOW + 5_000).resolve(&[], NOW).unwrap_err();
        assert_eq!((error.breaches[0].limit, error.breaches[0].actual), (Some(60), Some(5)));
        assert_eq!(error.breaches[0].pointer, "/schedule_at");
    }

    #[test]
    fn what_cannot_be_a_time_is_told_with_its_place() {
        for (value, pointer) in [
            (json!({"schedule_at": "tomorrow"}), "/schedule_at"),
            (json!({"schedule_at": "2026-12-24", "zone": "Europe/Berlin"}), "/schedule_at"),
            (json!({"schedule_at": 5}), "/schedule_at"),
            (json!({"schedule_at": "2026-12-24T09:00"}), "/zone"),
            (json!({"schedule_at": "2026-12-24T09:00", "zone": "Mars/Base"}), "/zone"),
            (json!({"schedule_at": "2026-12-24T09:00:00Z", "zone": "Europe/Berlin"}), "/zone"),
            (json!({"zone": "Europe/Berlin"}), "/zone"),
            (json!({"ttl_seconds": 29}), "/ttl_seconds"),
            (json!({"ttl_seconds": 2_592_001}), "/ttl_seconds"),
            (json!({"ttl_seconds": "60"}), "/ttl_seconds"),
        ] {
            assert_eq!(take(&value).unwrap_err().breaches[0].pointer, pointer, "{value}");
        }
        assert_eq!(take(&json!({"ttl_seconds": 30})).unwrap().ttl_ms, Some(30_000));
        let nowhere = json!({"schedule_at": "2026-12-24T09:00", "zone": "recipient"});
        assert_eq!(at(&nowhere, "99912345678").unwrap_err().breaches[0].pointer, "/zone");
    }

    #[test]
    fn every_zone_of_the_table_is_known() {
        for (country, names) in ZONES {
            assert!(!names.is_empty(), "{country}");
            for name in *names {
                assert!(TimeZone::get(name).is_ok(), "{name}");
            }
        }
        let name = |address: &Address| zones_of(address)[0].iana_name().map(ToOwned::to_owned);
        assert_eq!(name(&Address::phone("+4915112345678").unwrap()).as_deref(), Some("Europe/Berlin"));
        assert_eq!(name(&Address::phone("+16505551234").unwrap()).as_deref(), Some("America/New_York"));
        for (country, zone) in [("AU", "Australia/Sydney"), ("CA", "America/Toronto"), ("RU", "Europe/Moscow")] {
            assert_eq!(name(&Address::user_id(&format!("{country}.17")).unwrap()).as_deref(), Some(zone));
        }
        assert_eq!(name(&Address::user_id("BR.17").unwrap()).as_deref(), Some("America/Sao_Paulo"));
    }

    proptest! {
        #[test]
        fn a_local_time_is_shown_by_the_clocks_or_was_skipped_by_them(
            minutes in 2_000_i64..500_000,
            zone in 0..ZONES.len(),
        ) {
            let zone = TimeZone::get(ZONES[zone].1[0]).unwrap();
            let time = jiff::Timestamp::from_millisecond(NOW).unwrap().to_zoned(TimeZone::UTC).datetime();
            let time = time.checked_add(jiff::Span::new().minutes(minutes)).unwrap();
            let (at, _) = local(time, &zone).unwrap();
            let shown = jiff::Timestamp::from_millisecond(at).unwrap().to_zoned(zone.clone()).datetime();
            let skipped = zone.to_ambiguous_timestamp(time).is_ambiguous();
            prop_assert!(shown == time || (skipped && shown > time), "{time} in {zone:?} is {shown}");
            // The hour before does not show it as well.
            let before = jiff::Timestamp::from_millisecond(at - 3_600_000).unwrap().to_zoned(zone).datetime();
            prop_assert!(before != time);
        }
    }
}
