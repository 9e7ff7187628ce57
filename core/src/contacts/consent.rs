//! What a person agreed to: a history that is only ever added to, and what follows from its last
//! line. Who recorded it, when, by which words and with what evidence stays.

use serde::Deserialize;
use utoipa::ToSchema;

use super::details::{is_line, line_of};
use crate::{
    clock::{Millis, from_rfc3339},
    error::Breach,
    ids::ConsentId,
    messages::Category,
};

/// The channel of a consent that names none.
pub const DEFAULT_CHANNEL: &str = "whatsapp";
/// Longest name of a channel, in characters.
const CHANNEL_MAX_CHARS: usize = 40;
/// Longest source and text version of a consent, in characters.
pub(crate) const CONSENT_WORDS_MAX_CHARS: usize = 200;
/// Longest evidence of a consent, in characters.
pub(crate) const EVIDENCE_MAX_CHARS: usize = 2_000;
/// Lines in the history of one contact at most.
pub const CONSENTS_MAX_PER_CONTACT: i64 = 1_000;
/// How far ahead of the server's clock a consent may be dated, in milliseconds.
const AHEAD_MAX_MS: Millis = 5 * 60 * 1_000;

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its id.
    pub id: ConsentId,
    /// On which channel.
    pub channel: String,
    /// To what.
    pub category: Category,
    /// Whether the person agreed, or took it back.
    pub granted: bool,
    /// Where it was given.
    pub source: String,
    /// Which text the person agreed to.
    pub text_version: Option<String>,
    /// What shows it.
    pub evidence: Option<String>,
    /// When the person said so.
    pub at: Millis,
    /// When it was written down here.
    pub recorded_at: Millis,
}

/// A consent to record.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "category": "marketing", "granted": true, "source": "checkout form", "text_version": "2026-03",
    "evidence": "order 1042, 198.51.100.7", "at": "2026-11-22T10:00:00Z"
}))]
pub struct ConsentRequest {
    /// On which channel; `whatsapp` when left out.
    #[serde(default)]
    #[schema(example = "whatsapp")]
    pub channel: Option<String>,
    /// To what.
    #[schema(example = "marketing")]
    pub category: Category,
    /// Whether the person agreed, or took it back.
    #[schema(example = true)]
    pub granted: bool,
    /// Where they said so, of 1 to 200 characters.
    #[schema(example = "checkout form", min_length = 1, max_length = 200)]
    pub source: String,
    /// Which text they agreed to, of 1 to 200 characters.
    #[serde(default)]
    #[schema(example = "2026-03")]
    pub text_version: Option<String>,
    /// What shows it: an address, a file, a signature; of 1 to 2000 characters.
    #[serde(default)]
    #[schema(example = "order 1042, 198.51.100.7")]
    pub evidence: Option<String>,
    /// When they said so, RFC 3339; now when left out.
    #[serde(default)]
    #[schema(example = "2026-11-22T10:00:00Z")]
    pub at: Option<String>,
}

impl ConsentRequest {
    /// The line to add at `now`, or everything that is wrong with it.
    pub(crate) fn line(&self, now: Millis) -> Result<Consent, Vec<Breach>> {
        let mut breaches = Vec::new();
        let mut breach = |pointer: &str, message: String| {
            breaches.push(Breach { pointer: pointer.to_owned(), message, limit: None, actual: None });
        };
        let channel = self.channel.as_deref().unwrap_or(DEFAULT_CHANNEL);
        if let Some(fault) = channel_fault(channel) {
            breach("/channel", fault);
        }
        for (pointer, text, most) in [
            ("/source", Some(&self.source), CONSENT_WORDS_MAX_CHARS),
            ("/text_version", self.text_version.as_ref(), CONSENT_WORDS_MAX_CHARS),
            ("/evidence", self.evidence.as_ref(), EVIDENCE_MAX_CHARS),
        ] {
            if text.is_some_and(|text| !is_line(text, most)) {
                breach(pointer, line_of(most));
            }
        }
        let at = match &self.at {
            None => now,
            Some(text) => match from_rfc3339(text) {
                Some(at) if (0..=now + AHEAD_MAX_MS).contains(&at) => at,
                Some(_) => {
                    breach("/at", "must not be in the future".to_owned());
                    now
                }
                None => {
                    breach("/at", "must be a time such as 2026-11-22T10:00:00Z".to_owned());
                    now
                }
            },
        };
        if !breaches.is_empty() {
            return Err(breaches);
        }
        Ok(Consent {
            id: ConsentId::generate(),
            channel: channel.to_owned(),
            category: self.category,
            granted: self.granted,
            source: self.source.clone(),
            text_version: self.text_version.clone(),
            evidence: self.evidence.clone(),
            at,
            recorded_at: now,
        })
    }
}

/// What is wrong with the name of a channel.
pub(crate) fn channel_fault(name: &str) -> Option<String> {
    let simple = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let fits = (1..=CHANNEL_MAX_CHARS).contains(&name.len()) && name.bytes().all(simple);
    (!fits).then(|| "must be the name of a channel, such as \"whatsapp\" or \"sms\"".to_owned())
}

/// What holds: of each channel and category the line that was said last, and of two said at once
/// the one that takes back.
pub(crate) fn current(history: &[Consent]) -> Vec<&Consent> {
    let mut latest: std::collections::BTreeMap<(&str, Category), &Consent> = std::collections::BTreeMap::new();
    for line in history {
        latest
            .entry((&line.channel, line.category))
            .and_modify(|held| {
                if (line.at, !line.granted, line.id.key()) > (held.at, !held.granted, held.id.key()) {
                    *held = line;
                }
            })
            .or_insert(line);
    }
    latest.into_values().collect()
}

/// The lines to add when the histories of two who are one are put together, so that whatever one of
/// them took back stays so.
pub(crate) fn stricter(survivor: &[Consent], other: &[Consent], now: Millis) -> Vec<Consent> {
    let united: Vec<Consent> = survivor.iter().chain(other).cloned().collect();
    let taken_back = |history: &[Consent]| -> Vec<(String, Category)> {
        let held = current(history).into_iter().filter(|line| !line.granted);
        held.map(|line| (line.channel.clone(), line.category)).collect()
    };
    let refused: Vec<_> = [taken_back(survivor), taken_back(other)].concat();
    current(&united)
        .into_iter()
        .filter(|line| line.granted && refused.contains(&(line.channel.clone(), line.category)))
        .map(|line| Consent {
            id: ConsentId::generate(),
            granted: false,
            source: "merge of two contacts: the stricter of their consents".to_owned(),
            text_version: None,
            evidence: None,
            at: now.max(line.at),
            recorded_at: now,
            ..line.clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(category: Category, granted: bool, at: Millis) -> Consent {
        Consent {
            id: ConsentId::generate(),
            channel: DEFAULT_CHANNEL.to_owned(),
            category,
            granted,
            source: "test".to_owned(),
            text_version: None,
            evidence: None,
            at,
            recorded_at: at,
        }
    }

    fn granted(history: &[Consent], category: Category) -> Option<bool> {
        current(history).into_iter().find(|line| line.category == category).map(|line| line.granted)
    }

    #[test]
    fn what_was_said_last_holds_whenever_it_was_written_down() {
        let history = [line(Category::Marketing, false, 20), line(Category::Marketing, true, 10)];
        assert_eq!(granted(&history, Category::Marketing), Some(false));
        assert_eq!(granted(&history, Category::Utility), None);
        let at_once = [line(Category::Marketing, false, 20), line(Category::Marketing, true, 20)];
        assert_eq!(granted(&at_once, Category::Marketing), Some(false));
    }

    #[test]
    fn of_two_who_are_one_the_stricter_consent_holds() {
        let (yes, no) = ([line(Category::Marketing, true, 30)], [line(Category::Marketing, false, 10)]);
        for (survivor, other) in [(&yes, &no), (&no, &yes)] {
            let mut united: Vec<Consent> = survivor.iter().chain(other).cloned().collect();
            assert_eq!(granted(&united, Category::Marketing), Some(true), "by itself the last would hold");
            united.extend(stricter(survivor, other, 40));
            assert_eq!(granted(&united, Category::Marketing), Some(false));
        }
        assert!(stricter(&yes, &[], 40).is_empty(), "who said nothing took nothing back");
    }

    #[test]
    fn a_consent_says_everything_that_is_wrong_with_it() {
        let request = ConsentRequest {
            channel: Some("Carrier pigeon".to_owned()),
            category: Category::Marketing,
            granted: true,
            source: String::new(),
            text_version: Some("x".repeat(201)),
            evidence: None,
            at: Some("2026-11-22T10:00:00Z".to_owned()),
        };
        let breaches = request.line(0).unwrap_err();
        let pointers: Vec<&str> = breaches.iter().map(|breach| breach.pointer.as_str()).collect();
        assert_eq!(pointers, ["/channel", "/source", "/text_version", "/at"]);
    }
}
