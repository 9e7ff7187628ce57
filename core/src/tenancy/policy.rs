//! What a part of the tree may use. A child can be given less than its parent has and
//! never more: what holds for it is the narrowest of everything above it, at the moment
//! of asking.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    error::Breach,
    messages::quiet::{self, QuietHours},
};

/// Most entries in a list of channels or price lists.
const LIST_MAX_ENTRIES: usize = 16;
/// Longest name of a channel or a price list, in characters.
const NAME_MAX_CHARS: usize = 40;
/// Highest rate that can be set, in requests a second.
const RATE_MAX: u32 = 1_000_000;

/// What a reseller or a business may use. What is left out is inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Requests a second, over all credentials of one business, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 200)]
    pub requests_per_second: Option<u32>,
    /// Requests a second of one credential, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 50)]
    pub requests_per_second_and_key: Option<u32>,
    /// Messages that one business may have accepted in a day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 10_000)]
    pub messages_per_day: Option<u64>,
    /// Channels that senders may use: `whatsapp`, `sms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["whatsapp"]))]
    pub channels: Option<Vec<String>>,
    /// Price lists that may be applied, the first one by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["standard"]))]
    pub price_lists: Option<Vec<String>>,
    /// What becomes of marketing to people who are not known to have agreed; `off` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "strict")]
    pub marketing_consent: Option<ConsentPolicy>,
    /// When messages of some categories wait, by the clocks where the recipient is. They add to those above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<Vec<QuietHours>>,
}

/// What becomes of marketing to people who are not known to have agreed, from lenient to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentPolicy {
    /// It is sent.
    Off,
    /// It is sent, and the answer has a warning.
    Warn,
    /// It is refused.
    Strict,
}

impl ConsentPolicy {
    /// The name that policies carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Strict => "strict",
        }
    }
}

/// How much a credential may ask for: the numbers of the policies above it. `None` is no
/// limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second, over all credentials of the business.
    pub requests_per_second: Option<u32>,
    /// Requests a second of one credential.
    pub requests_per_second_and_key: Option<u32>,
    /// Messages of the business in a day (UTC).
    pub messages_per_day: Option<u64>,
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn common(above: Option<&Vec<String>>, below: Option<&Vec<String>>) -> Option<Vec<String>> {
    match (above, below) {
        (Some(above), Some(below)) => Some(below.iter().filter(|name| above.contains(name)).cloned().collect()),
        (above, below) => below.or(above).cloned(),
    }
}

impl Policy {
    /// What holds below a parent with the policy `above`.
    #[must_use]
    pub fn below(&self, above: &Self) -> Self {
        Self {
            requests_per_second: least(above.requests_per_second, self.requests_per_second),
            requests_per_second_and_key: least(above.requests_per_second_and_key, self.requests_per_second_and_key),
            messages_per_day: least(above.messages_per_day, self.messages_per_day),
            channels: common(above.channels.as_ref(), self.channels.as_ref()),
            price_lists: common(above.price_lists.as_ref(), self.price_lists.as_ref()),
            // None is the least of all.
            marketing_consent: self.marketing_consent.max(above.marketing_consent),
            quiet_hours: quiet::joined(above.quiet_hours.as_ref(), self.quiet_hours.as_ref()),
        }
    }

    /// Its numbers.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            requests_per_second: self.requests_per_second,
            requests_per_second_and_key: self.requests_per_second_and_key,
            messages_per_day: self.messages_per_day,
        }
    }

    /// Whether a sender may use `channel`.
    #[must_use]
    pub fn allows_channel(&self, channel: &str) -> bool {
        self.channels.as_ref().is_none_or(|channels| channels.iter().any(|allowed| allowed == channel))
    }

    /// Everything that is wrong with it below a parent with the policy `above`. Pointers
    /// start with `at`.
    #[must_use]
    pub fn breaches(&self, above: &Self, at: &str) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (name, value, most) in [
            ("requests_per_second", self.requests_per_second, above.requests_per_second),
            ("requests_per_second_and_key", self.requests_per_second_and_key, above.requests_per_second_and_key),
        ] {
            let most = u64::from(most.unwrap_or(RATE_MAX).min(RATE_MAX));
            number(&mut breaches, format!("{at}/{name}"), value.map(u64::from), most);
        }
        let most = above.messages_per_day.unwrap_or(i64::MAX.unsigned_abs());
        number(&mut breaches, format!("{at}/messages_per_day"), self.messages_per_day, most);
        for (name, list, allowed) in
            [("channels", &self.channels, &above.channels), ("price_lists", &self.price_lists, &above.price_lists)]
        {
            if let Some(list) = list {
                names(&mut breaches, &format!("{at}/{name}"), list, allowed.as_deref());
            }
        }
        if let (Some(own), Some(above)) = (self.marketing_consent, above.marketing_consent)
            && own < above
        {
            breaches.push(Breach {
                pointer: format!("{at}/marketing_consent"),
                message: format!("must be at least as strict as what is above it, \"{}\"", above.name()),
                limit: None,
                actual: None,
            });
        }
        let of_above = above.quiet_hours.as_deref().unwrap_or_default();
        let own = self.quiet_hours.as_deref().unwrap_or_default();
        quiet::breaches_of(own, of_above, &format!("{at}/quiet_hours"), &mut breaches);
        breaches
    }
}

fn number(breaches: &mut Vec<Breach>, pointer: String, value: Option<u64>, most: u64) {
    let Some(value) = value.filter(|value| *value < 1 || *value > most) else { return };
    let message = format!("must be from 1 to {most}, which is what is above it");
    breaches.push(Breach { pointer, message, limit: Some(most), actual: Some(value) });
}

fn names(breaches: &mut Vec<Breach>, pointer: &str, list: &[String], allowed: Option<&[String]>) {
    if list.len() > LIST_MAX_ENTRIES {
        breaches.push(Breach {
            pointer: pointer.to_owned(),
            message: format!("must have at most {LIST_MAX_ENTRIES} entries"),
            limit: Some(LIST_MAX_ENTRIES as u64),
            actual: Some(list.len() as u64),
        });
    }
    for (index, name) in list.iter().enumerate().take(LIST_MAX_ENTRIES) {
        let simple = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let message = if name.is_empty() || name.len() > NAME_MAX_CHARS || !name.bytes().all(simple) {
            format!("must have 1 to {NAME_MAX_CHARS} characters of a to z, 0 to 9, \"-\" and \"_\"")
        } else if allowed.is_some_and(|allowed| !allowed.contains(name)) {
            format!("must be one of those above it: {}", allowed.unwrap_or_default().join(", "))
        } else {
            continue;
        };
        breaches.push(Breach { pointer: format!("{pointer}/{index}"), message, limit: None, actual: None });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policies() -> impl Strategy<Value = Policy> {
        let list = || {
            let names = prop::sample::subsequence(vec!["whatsapp", "sms", "other"], 0..=3);
            prop::option::of(names.prop_map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>()))
        };
        let consent = prop::sample::select(vec![ConsentPolicy::Off, ConsentPolicy::Warn, ConsentPolicy::Strict]);
        let quiet = prop::option::of(prop::sample::subsequence(vec!["20:00", "21:00", "22:00"], 0..=3));
        let hours = |from: &str| QuietHours {
            from: from.to_owned(),
            to: "08:00".to_owned(),
            days: Vec::new(),
            categories: Vec::new(),
        };
        let rate = || prop::option::of(1..50_u32);
        (rate(), rate(), prop::option::of(1..50_u64), list(), list(), prop::option::of(consent), quiet).prop_map(
            move |(rate, key, day, channels, price_lists, marketing_consent, quiet)| Policy {
                requests_per_second: rate,
                requests_per_second_and_key: key,
                messages_per_day: day,
                channels,
                price_lists,
                marketing_consent,
                quiet_hours: quiet.map(|quiet| quiet.into_iter().map(hours).collect()),
            },
        )
    }

    proptest! {
        #[test]
        fn a_child_never_has_more_than_its_parent(above in policies(), own in policies()) {
            let held = own.below(&above);
            prop_assert!(held.breaches(&above, "").is_empty(), "{held:?} below {above:?}");
            prop_assert_eq!(held.below(&above), held.clone());
        }

        #[test]
        fn what_is_accepted_below_a_parent_holds_as_it_is(above in policies(), own in policies()) {
            if own.breaches(&above, "").is_empty() {
                let held = own.below(&above);
                prop_assert_eq!(held.requests_per_second, own.requests_per_second.or(above.requests_per_second));
                prop_assert_eq!(held.channels, own.channels.or(above.channels));
                prop_assert_eq!(held.marketing_consent, own.marketing_consent.or(above.marketing_consent));
            }
        }
    }

    #[test]
    fn everything_that_is_wider_than_above_is_told_at_once() {
        let above = Policy {
            requests_per_second: Some(10),
            messages_per_day: Some(5),
            channels: Some(vec!["sms".to_owned()]),
            marketing_consent: Some(ConsentPolicy::Strict),
            ..Policy::default()
        };
        let wide = Policy {
            requests_per_second: Some(11),
            requests_per_second_and_key: Some(0),
            messages_per_day: Some(6),
            channels: Some(vec!["sms".to_owned(), "whatsapp".to_owned(), "No".to_owned()]),
            price_lists: None,
            marketing_consent: Some(ConsentPolicy::Warn),
            quiet_hours: None,
        };
        let breaches = wide.breaches(&above, "/policy");
        let pointers: Vec<&str> = breaches.iter().map(|breach| breach.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/policy/requests_per_second",
                "/policy/requests_per_second_and_key",
                "/policy/messages_per_day",
                "/policy/channels/1",
                "/policy/channels/2",
                "/policy/marketing_consent"
            ]
        );
    }
}
