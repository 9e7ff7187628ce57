//! Quiet hours: when a business sends no messages of some kinds, by the clocks where the recipient is. What falls into them
//! is sent when they are over, and not dropped.
//!
//! A phone number tells its country and not its zone. In a country with several zones it is quiet while it is quiet in any
//! of them, so that nobody is disturbed; where nobody knows the country, that of the sender counts.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Category;
use crate::{
    clock::{Millis, rfc3339},
    error::Breach,
};

/// Most rules that one part of the tree adds to those above it.
const RULES_MAX: usize = 8;
/// Minutes of a week.
const WEEK_MINUTES: usize = 7 * DAY_MINUTES;
/// Minutes of a day.
const DAY_MINUTES: usize = 24 * 60;
/// Minutes of a week that have to be left to send in.
const FREE_MIN_MINUTES: usize = 60;
/// How far ahead the end of quiet hours is looked for: rules of a week have all been met by then.
const LOOK_AHEAD_MS: Millis = 8 * 24 * 60 * 60 * 1_000;
/// Steps in which it is looked for, at most.
const STEPS_MAX: usize = 64;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Hours in which messages of some categories wait, by the clocks where the recipient is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// When they begin, `HH:MM`.
    #[schema(example = "21:00")]
    pub from: String,
    /// When they end, `HH:MM`; on the next day, if that is earlier.
    #[schema(example = "08:00")]
    pub to: String,
    /// The days on which they begin: `mon` to `sun`. Every day when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["fri", "sat"]))]
    pub days: Vec<String>,
    /// The categories that wait: `marketing` when left out. Others have to be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["marketing"]))]
    pub categories: Vec<String>,
}

impl QuietHours {
    fn concerns(&self, category: Category) -> bool {
        if self.categories.is_empty() {
            return category == Category::Marketing;
        }
        self.categories.iter().any(|name| name == category.name())
    }

    fn begins_on(&self, day: Weekday) -> bool {
        self.days.is_empty()
            || DAYS.iter().any(|(name, known)| *known == day && self.days.iter().any(|own| own == name))
    }

    /// The minutes of a day at which they begin and end.
    fn span(&self) -> Option<(i32, i32)> {
        Some((minute_of(&self.from)?, minute_of(&self.to)?))
    }

    /// When they end in `zone`, if they run at `at`.
    fn end(&self, zone: &TimeZone, at: Millis) -> Option<Millis> {
        let (from, to) = self.span()?;
        let local = Timestamp::from_millisecond(at).ok()?.to_zoned(zone.clone()).datetime();
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let (today, overnight) = (local.date(), from > to);
        let yesterday = today.yesterday().ok()?;
        let ends_on: Date = if overnight && minute < to && self.begins_on(yesterday.weekday()) {
            today
        } else if minute >= from && (overnight || minute < to) && self.begins_on(today.weekday()) {
            if overnight { today.tomorrow().ok()? } else { today }
        } else {
            return None;
        };
        let end = ends_on.at(0, 0, 0, 0).checked_add(to.minutes()).ok()?;
        let ambiguous = zone.to_ambiguous_zoned(end);
        let first = ambiguous.clone().compatible().ok()?.timestamp().as_millisecond();
        // Clocks that were put back show the end a second time.
        let end = if first > at { first } else { ambiguous.later().ok()?.timestamp().as_millisecond() };
        Some(end.max(at + 60_000))
    }

    fn breaches(&self, at: &str, breaches: &mut Vec<Breach>) {
        let mut breach = |name: &str, message: String| {
            breaches.push(Breach { pointer: format!("{at}/{name}"), message, limit: None, actual: None });
        };
        for (name, text) in [("from", &self.from), ("to", &self.to)] {
            if minute_of(text).is_none() {
                breach(name, "must be a time of the day from 00:00 to 23:59".to_owned());
            }
        }
        if self.from == self.to {
            breach("to", "must be another time than \"from\"".to_owned());
        }
        for (index, day) in self.days.iter().enumerate() {
            if DAYS.iter().all(|(name, _)| name != day) {
                breach(&format!("days/{index}"), format!("must be one of {}", DAYS.map(|(name, _)| name).join(", ")));
            }
        }
        for (index, name) in self.categories.iter().enumerate() {
            if Category::ALL.iter().all(|category| category.name() != name) {
                let names = Category::ALL.map(Category::name).join(", ");
                breach(&format!("categories/{index}"), format!("must be one of {names}"));
            }
        }
    }
}

fn minute_of(text: &str) -> Option<i32> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str, below: i32| {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| digits.parse().ok()).flatten().filter(|number: &i32| *number < below)
    };
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

/// When a message of `category` that is due at `at` may be sent to somebody in one of `zones`, and why not at once, in
/// words; none when it is not quiet.
#[must_use]
pub fn over_at(rules: &[QuietHours], category: Category, zones: &[TimeZone], at: Millis) -> Option<(Millis, String)> {
    let rules: Vec<&QuietHours> = rules.iter().filter(|rule| rule.concerns(category)).collect();
    let (mut until, mut why) = (at, None);
    for _ in 0..STEPS_MAX {
        let running = rules.iter().flat_map(|rule| zones.iter().map(move |zone| (rule, zone)));
        let ends = running.filter_map(|(rule, zone)| Some((rule.end(zone, until)?, rule, zone)));
        let Some((end, rule, zone)) = ends.max_by_key(|(end, ..)| *end) else { break };
        until = end;
        why = why.or(Some((rule, zone)));
        if until > at + LOOK_AHEAD_MS {
            break;
        }
    }
    let (rule, zone) = why?;
    let says = format!(
        "Held back: no {} messages from {} to {} where the recipient is ({}). To be sent at {}.",
        category.name(),
        rule.from,
        rule.to,
        zone.iana_name().unwrap_or("UTC"),
        rfc3339(until)
    );
    Some((until, says))
}

/// The rules of both, each once.
#[must_use]
pub fn joined(above: Option<&Vec<QuietHours>>, own: Option<&Vec<QuietHours>>) -> Option<Vec<QuietHours>> {
    let mut rules: Vec<QuietHours> = Vec::new();
    for rule in above.into_iter().chain(own).flatten() {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    (above.is_some() || own.is_some()).then_some(rules)
}

/// Everything that is wrong with rules that are added to those above them.
pub fn breaches_of(own: &[QuietHours], above: &[QuietHours], at: &str, breaches: &mut Vec<Breach>) {
    let added = own.iter().filter(|rule| !above.contains(rule)).count();
    if added > RULES_MAX {
        breaches.push(Breach {
            pointer: at.to_owned(),
            message: format!("must have at most {RULES_MAX} entries"),
            limit: Some(RULES_MAX as u64),
            actual: Some(added as u64),
        });
        return;
    }
    let before = breaches.len();
    for (index, rule) in own.iter().enumerate() {
        rule.breaches(&format!("{at}/{index}"), breaches);
    }
    if breaches.len() > before {
        return;
    }
    for category in Category::ALL {
        let mut quiet = vec![false; WEEK_MINUTES];
        for rule in own.iter().chain(above).filter(|rule| rule.concerns(category)) {
            rule.mark(&mut quiet);
        }
        if quiet.iter().filter(|quiet| !**quiet).count() < FREE_MIN_MINUTES && own.iter().any(|r| r.concerns(category))
        {
            let message = format!("must leave an hour of the week in which {} messages can be sent", category.name());
            breaches.push(Breach { pointer: at.to_owned(), message, limit: None, actual: None });
        }
    }
}

impl QuietHours {
    /// Marks the minutes of a week in which they run.
    fn mark(&self, week: &mut [bool]) {
        let Some((from, to)) = self.span() else { return };
        let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
        let length = if to > from { to - from } else { to + DAY_MINUTES - from };
        for (index, (_, day)) in DAYS.iter().enumerate() {
            if self.begins_on(*day) {
                (0..length).for_each(|minute| week[(index * DAY_MINUTES + from + minute) % WEEK_MINUTES] = true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::from_rfc3339;

    fn rule(from: &str, to: &str) -> QuietHours {
        QuietHours { from: from.to_owned(), to: to.to_owned(), days: Vec::new(), categories: Vec::new() }
    }

    fn zones(names: &[&str]) -> Vec<TimeZone> {
        names.iter().map(|name| TimeZone::get(name).unwrap()).collect()
    }

    fn over(rules: &[QuietHours], names: &[&str], at: &str) -> Option<String> {
        let at = from_rfc3339(at).unwrap();
        over_at(rules, Category::Marketing, &zones(names), at).map(|(until, _)| rfc3339(until))
    }

    #[test]
    fn a_message_in_quiet_hours_waits_for_their_end_where_the_recipient_is() {
        let night = [rule("21:00", "08:00")];
        for (zone, at, until) in [
            ("Europe/Berlin", "2026-12-01T20:30:00Z", Some("2026-12-02T07:00:00.000Z")),
            ("Europe/Berlin", "2026-12-01T03:00:00Z", Some("2026-12-01T07:00:00.000Z")),
            ("Europe/Berlin", "2026-12-01T07:00:00Z", None),
            ("Europe/Berlin", "2026-12-01T19:59:00Z", None),
            ("Asia/Kolkata", "2026-12-01T19:59:00Z", Some("2026-12-02T02:30:00.000Z")),
            // The night in which clocks are put forward is an hour shorter.
            ("Europe/Berlin", "2027-03-27T22:00:00Z", Some("2027-03-28T06:00:00.000Z")),
        ] {
            assert_eq!(over(&night, &[zone], at).as_deref(), until, "{at} in {zone}");
        }
        let (_, says) = over_at(
            &night,
            Category::Marketing,
            &zones(&["Europe/Berlin"]),
            from_rfc3339("2026-12-01T20:30:00Z").unwrap(),
        )
        .unwrap();
        assert!(says.contains("from 21:00 to 08:00") && says.contains("Europe/Berlin"), "{says}");
    }

    #[test]
    fn marketing_only_unless_others_are_named() {
        let at = from_rfc3339("2026-12-01T23:00:00Z").unwrap();
        let berlin = zones(&["Europe/Berlin"]);
        let quiet = |rule: &QuietHours, category| over_at(std::slice::from_ref(rule), category, &berlin, at).is_some();
        let night = rule("21:00", "08:00");
        let named = QuietHours { categories: vec!["utility".to_owned()], ..night.clone() };
        for category in Category::ALL {
            assert_eq!(quiet(&night, category), category == Category::Marketing);
            assert_eq!(quiet(&named, category), category == Category::Utility);
        }
    }

    #[test]
    fn days_are_those_on_which_they_begin() {
        let weekend = [QuietHours { days: vec!["sat".to_owned(), "sun".to_owned()], ..rule("12:00", "10:00") }];
        // Saturday the 5th of December 2026 to Monday.
        assert_eq!(over(&weekend, &["UTC"], "2026-12-05T11:59:00Z"), None);
        let monday = Some("2026-12-07T10:00:00.000Z");
        assert_eq!(over(&weekend, &["UTC"], "2026-12-06T12:00:00Z").as_deref(), monday);
        assert_eq!(over(&weekend, &["UTC"], "2026-12-05T12:00:00Z").as_deref(), Some("2026-12-06T10:00:00.000Z"));
        assert_eq!(over(&weekend, &["UTC"], "2026-12-08T13:00:00Z"), None);
    }

    #[test]
    fn in_a_country_of_several_zones_it_is_quiet_while_it_is_in_any() {
        let us = ["America/New_York", "America/Los_Angeles"];
        // 8:00 in New York is 5:00 in Los Angeles.
        let until = over(&[rule("21:00", "08:00")], &us, "2026-12-01T13:00:00Z");
        assert_eq!(until.as_deref(), Some("2026-12-01T16:00:00.000Z"));
    }

    #[test]
    fn what_cannot_hold_is_told_with_its_place() {
        let told = |own: &[QuietHours], above: &[QuietHours]| {
            let mut breaches = Vec::new();
            breaches_of(own, above, "/quiet_hours", &mut breaches);
            breaches.into_iter().map(|breach| breach.pointer).collect::<Vec<_>>()
        };
        assert_eq!(told(&[rule("21:00", "08:00")], &[]), [""; 0]);
        assert_eq!(told(&[rule("24:00", "8:00")], &[]), ["/quiet_hours/0/from", "/quiet_hours/0/to"]);
        assert_eq!(told(&[rule("08:00", "08:00")], &[]), ["/quiet_hours/0/to"]);
        let odd =
            QuietHours { days: vec!["monday".to_owned()], categories: vec!["x".to_owned()], ..rule("1:00", "02:00") };
        assert_eq!(told(&[odd], &[]).len(), 3);
        assert_eq!(told(&[rule("08:00", "22:00")], &[rule("21:00", "08:00")]), ["/quiet_hours"]);
        assert_eq!(told(&vec![rule("01:00", "02:00"); 9], &[]), ["/quiet_hours"]);
    }

    proptest! {
        #[test]
        fn what_was_shifted_is_sent_within_days_when_it_is_not_quiet(
            from in 0..1_440_i32,
            length in 1..1_380_i32,
            minutes in 0..1_000_000_i64,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        ) {
            let time = |minute: i32| format!("{:02}:{:02}", minute % 1_440 / 60, minute % 60);
            let rules = [rule(&time(from), &time(from + length))];
            let (zones, at) = (zones(&[zone]), 1_780_000_000_000 + minutes * 60_000);
            if let Some((until, _)) = over_at(&rules, Category::Marketing, &zones, at) {
                prop_assert!(until > at && until < at + LOOK_AHEAD_MS);
                prop_assert_eq!(over_at(&rules, Category::Marketing, &zones, until), None);
            }
        }
    }
}
