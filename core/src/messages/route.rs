//! Guarantee: of the channels of a message, one brings it. Another takes over only when it is decided, under the row's
//! lock, that the one before does not: what has begun is waited for, and what the channel before says later is recorded
//! and sends nothing.
//!
//! A chain is fixed when a message is accepted, so that a later change of the rules changes nothing that was promised. It is
//! a part of the message's [`Progress`](super::state::Progress), and followed by the same pure function.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Category, state::Receipts};
use crate::{clock::Millis, error::Breach, ids::SenderId};

/// Rules of one business or sender at most.
pub const RULES_MAX: usize = 16;
/// Entries of one chain at most.
pub const CHAIN_MAX_ENTRIES: usize = 8;
/// Longest wait for a channel, in seconds: 7 days.
pub const AFTER_MAX_SECONDS: u32 = 7 * 24 * 60 * 60;
/// Longest name of an adapter, in characters.
const ADAPTER_MAX_CHARS: usize = 64;
/// How often it is looked whether a channel is down for a message that waits, in milliseconds.
pub(crate) const LOOK_EVERY_MS: Millis = 1_000;

/// What makes a message take the next channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FallbackReason)]
pub enum When {
    /// The channel gave it up, for whatever reason.
    Failed,
    /// The channel says that it does not reach this person: they are not on WhatsApp, for example.
    Undeliverable,
    /// No receipt has said within `after_s` that it was delivered.
    NotDeliveredWithin,
    /// It has waited for `after_s` and the channel is down.
    ChannelDown,
}

impl When {
    const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Undeliverable => "undeliverable",
            Self::NotDeliveredWithin => "not_delivered_within",
            Self::ChannelDown => "channel_down",
        }
    }
}

/// One reason or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = FallbackReasons)]
pub enum Reasons {
    /// One.
    One(When),
    /// Several.
    Any(Vec<When>),
}

impl Reasons {
    fn as_slice(&self) -> &[When] {
        match self {
            Self::One(when) => std::slice::from_ref(when),
            Self::Any(all) => all,
        }
    }
}

/// An entry of a chain as somebody asks for it: where a message goes next, and when. Entries after one another that name
/// the same channel are several reasons for one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FallbackEntry, example = json!({"adapter": "sms", "when": ["failed", "channel_down"], "after_s": 30}))]
pub struct Entry {
    /// The adapter that takes over: a sender of the business that uses it is chosen, the oldest if there are several.
    #[schema(example = "sms")]
    pub adapter: String,
    /// The sender that takes over, by its phone number id, instead of the oldest of that adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Why.
    pub when: Reasons,
    /// How long the channel before has, in seconds from when the message was to be sent by it: 1 to 604,800 for
    /// `not_delivered_within`; from 0, which is what it is when left out, for `channel_down`. Of no meaning for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 604_800, example = 30)]
    pub after_s: Option<u32>,
}

/// Which chain the messages of some categories take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoutingRule, example = json!({
    "categories": ["authentication"],
    "chain": [{"adapter": "sms", "when": "not_delivered_within", "after_s": 30}, {"adapter": "sms", "when": "failed"}],
}))]
pub struct Rule {
    /// The categories; all when left out or empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Category>,
    /// The channels after the sender's own, in order; none keeps messages where they are.
    pub chain: Vec<Entry>,
}

/// The chain of the first rule that `category` falls under.
#[must_use]
pub fn chain_for(rules: &[Rule], category: Category) -> Option<&[Entry]> {
    let falls_under = |rule: &&Rule| rule.categories.is_empty() || rule.categories.contains(&category);
    rules.iter().find(falls_under).map(|rule| rule.chain.as_slice())
}

/// Everything that is wrong with rules. Pointers start with `at`.
#[must_use]
pub fn breaches_of_rules(rules: &[Rule], at: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if rules.len() > RULES_MAX {
        breaches.push(bounds(at.to_owned(), format!("must have at most {RULES_MAX} rules"), RULES_MAX, rules.len()));
    }
    for (index, rule) in rules.iter().enumerate().take(RULES_MAX) {
        breaches.extend(breaches_of_chain(&rule.chain, &format!("{at}/{index}/chain")));
    }
    breaches
}

/// Everything that is wrong with a chain, as far as can be seen without knowing the senders.
#[must_use]
pub fn breaches_of_chain(chain: &[Entry], at: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if chain.len() > CHAIN_MAX_ENTRIES {
        let message = format!("must have at most {CHAIN_MAX_ENTRIES} entries");
        breaches.push(bounds(at.to_owned(), message, CHAIN_MAX_ENTRIES, chain.len()));
    }
    for (index, entry) in chain.iter().enumerate().take(CHAIN_MAX_ENTRIES) {
        let at = format!("{at}/{index}");
        let mut invalid = |name: &str, message: String| breaches.push(Breach::at(format!("{at}/{name}"), message));
        if entry.adapter.is_empty() || entry.adapter.chars().count() > ADAPTER_MAX_CHARS {
            invalid("adapter", format!("must have 1 to {ADAPTER_MAX_CHARS} characters"));
        }
        let reasons = entry.when.as_slice();
        if reasons.is_empty() {
            invalid("when", "must name at least one reason".to_owned());
        }
        let timed = |when: &When| matches!(when, When::NotDeliveredWithin | When::ChannelDown);
        match entry.after_s {
            Some(_) if !reasons.is_empty() && !reasons.iter().any(timed) => {
                invalid("after_s", "has a meaning for \"not_delivered_within\" and \"channel_down\" only".to_owned());
            }
            Some(after) if after > AFTER_MAX_SECONDS => {
                let message = format!("must be at most {AFTER_MAX_SECONDS} seconds");
                let (limit, actual) = (AFTER_MAX_SECONDS as usize, after as usize);
                breaches.push(bounds(format!("{at}/after_s"), message, limit, actual));
            }
            Some(0) | None if reasons.contains(&When::NotDeliveredWithin) => {
                invalid("after_s", "must say how many seconds the channel before has, at least 1".to_owned());
            }
            _ => {}
        }
    }
    breaches
}

fn bounds(pointer: String, message: String, limit: usize, actual: usize) -> Breach {
    Breach { pointer, message, limit: Some(limit as u64), actual: Some(actual as u64) }
}

/// One reason with its wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Why.
    pub when: When,
    /// How long the channel before has, in seconds.
    pub after_s: u32,
}

/// A channel that may take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The sender that takes over.
    pub sender: SenderId,
    /// Its adapter.
    pub adapter: String,
    /// What makes it.
    pub conditions: Vec<Condition>,
}

impl Step {
    /// How long the channel before has until `when` counts, in milliseconds; `None` when it does not count at all.
    fn wait_ms(&self, when: When) -> Option<Millis> {
        let waits = self.conditions.iter().filter(|condition| condition.when == when);
        waits.map(|condition| Millis::from(condition.after_s) * 1_000).min()
    }
}

/// The steps that `chain` means, with the senders that `find` has for its entries. An entry without a sender is
/// reported by its position.
pub(crate) fn steps_of(
    chain: &[Entry],
    find: impl Fn(&Entry) -> Option<(SenderId, String)>,
) -> (Vec<Step>, Vec<usize>) {
    let (mut steps, mut absent) = (Vec::<Step>::new(), Vec::new());
    for (index, entry) in chain.iter().enumerate() {
        let Some((sender, adapter)) = find(entry) else {
            absent.push(index);
            continue;
        };
        let after_s = entry.after_s.unwrap_or(0);
        let conditions = entry.when.as_slice().iter().map(|when| Condition { when: *when, after_s });
        match steps.last_mut().filter(|step| step.sender == sender) {
            Some(step) => step.conditions.extend(conditions),
            None => steps.push(Step { sender, adapter, conditions: conditions.collect() }),
        }
    }
    (steps, absent)
}

/// How far a message has come on its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// The adapter of its own sender.
    pub first: String,
    /// The channels after it.
    pub steps: Vec<Step>,
    /// How many of them it has taken.
    #[serde(default)]
    pub taken: usize,
    /// When it was to be sent over the channel that it is on, in milliseconds since 1970.
    pub since: Millis,
    /// The last attempt that was made on the channels before.
    #[serde(default)]
    pub left_attempt: u32,
    /// The networks' ids on the channels before.
    #[serde(default)]
    pub left_ids: Vec<String>,
    /// The receipts of the channels before, as bits.
    #[serde(default)]
    left_receipts: i16,
}

impl Routing {
    /// The beginning of a chain, for a message that is due at `since`.
    #[must_use]
    pub fn new(first: String, steps: Vec<Step>, since: Millis) -> Self {
        Self { first, steps, taken: 0, since, left_attempt: 0, left_ids: Vec::new(), left_receipts: 0 }
    }

    /// The same for a message that is due at another time.
    #[must_use]
    pub(super) fn beginning_at(&self, since: Millis) -> Self {
        Self { since, ..self.clone() }
    }

    /// The sender that took over last, if one did.
    #[must_use]
    pub fn via(&self) -> Option<SenderId> {
        self.steps.get(self.taken.checked_sub(1)?).map(|step| step.sender)
    }

    /// The adapter of the channel that the message is on.
    #[must_use]
    pub fn adapter(&self) -> &str {
        self.taken.checked_sub(1).and_then(|at| self.steps.get(at)).map_or(&self.first, |step| &step.adapter)
    }

    /// Whether `sender` is one of its channels.
    #[must_use]
    pub fn has(&self, sender: SenderId) -> bool {
        self.steps.iter().any(|step| step.sender == sender)
    }

    /// Whether an attempt or an id of a network belongs to a channel that the message has left.
    #[must_use]
    pub(super) fn has_left(&self, attempt: Option<u32>, upstream_id: &str) -> bool {
        attempt.is_some_and(|attempt| attempt <= self.left_attempt) || self.left_ids.iter().any(|id| id == upstream_id)
    }

    pub(super) fn left_receipts(&self) -> Receipts {
        Receipts::from_bits(self.left_receipts)
    }

    pub(super) fn set_left_receipts(&mut self, receipts: Receipts) {
        self.left_receipts = receipts.bits();
    }

    pub(super) fn next(&self) -> Option<&Step> {
        self.steps.get(self.taken)
    }

    /// From when on `when` makes the message take the next channel; `None` when it never does.
    pub(super) fn counts_from(&self, when: When) -> Option<Millis> {
        self.next()?.wait_ms(when).map(|wait| self.since.saturating_add(wait))
    }

    /// When to look at the message next: it is pending, or it was sent.
    pub(crate) fn look_at(&self, sent: bool, now: Millis) -> Option<Millis> {
        let undelivered = self.counts_from(When::NotDeliveredWithin);
        // Not before the first attempt had a chance.
        let down = self.counts_from(When::ChannelDown).filter(|_| !sent);
        let down = down.map(|from| from.max(self.since.max(now).saturating_add(LOOK_EVERY_MS)));
        undelivered.into_iter().chain(down).min()
    }

    /// Takes the next channel.
    pub(super) fn advance(&mut self, last_attempt: u32, receipts: Receipts, upstream_id: Option<String>, now: Millis) {
        let mut bits = self.left_receipts();
        bits.extend(receipts);
        self.set_left_receipts(bits);
        self.left_ids.extend(upstream_id);
        self.left_attempt = last_attempt;
        self.taken += 1;
        self.since = now;
    }

    /// What lies ahead, in words.
    #[must_use]
    pub fn plan(&self) -> String {
        let mut words = format!("It goes out over {}", self.adapter());
        for step in self.steps.iter().skip(self.taken) {
            let reasons: Vec<String> = step.conditions.iter().map(reason_ahead).collect();
            // Writing to a string cannot fail.
            let _ = write!(words, "; then over {} (sender {}) {}", step.adapter, step.sender, reasons.join(" or "));
        }
        words.push('.');
        words
    }

    /// That the next channel takes over, in words.
    pub(super) fn takeover(&self, why: &str) -> String {
        let next = self.next().map(|step| format!("{} (sender {})", step.adapter, step.sender)).unwrap_or_default();
        format!("Over to {next}: {why}")
    }
}

fn reason_ahead(condition: &Condition) -> String {
    let after = condition.after_s;
    match condition.when {
        When::Failed => "if that fails".to_owned(),
        When::Undeliverable => "if the person cannot be reached there".to_owned(),
        When::NotDeliveredWithin => format!("if it is not delivered within {after} s"),
        When::ChannelDown if after == 0 => "if that channel is down".to_owned(),
        When::ChannelDown => format!("if that channel is down after {after} s"),
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Codes by which WhatsApp says that it does not reach a person, or will not bring them this message: not on WhatsApp or
/// an old version of it, part of an experiment, too much marketing lately. Meta's error reference, December 2025.
const UNDELIVERABLE: [i64; 3] = [130_472, 131_026, 131_049];

/// The code by which WhatsApp says that the person wants no more marketing: then no other channel brings it either.
const UNWANTED: i64 = 131_050;

/// Whether a network's code says that the person cannot be reached there.
pub(super) fn is_undeliverable(code: Option<i64>) -> bool {
    code.is_some_and(|code| UNDELIVERABLE.contains(&code))
}

/// Whether a network's code says that the person does not want the message.
pub(super) fn is_unwanted(code: Option<i64>) -> bool {
    code == Some(UNWANTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(adapter: &str, when: &[When], after_s: Option<u32>) -> Entry {
        Entry { adapter: adapter.to_owned(), sender: None, when: Reasons::Any(when.to_vec()), after_s }
    }

    fn found(entry: &Entry) -> Option<(SenderId, String)> {
        let id = match entry.adapter.as_str() {
            "sms" => 1,
            "sms-http" => 2,
            _ => return None,
        };
        Some((SenderId(id), entry.adapter.clone()))
    }

    #[test]
    fn entries_of_one_channel_are_reasons_for_one_step() {
        let chain = [
            entry("sms", &[When::Failed], None),
            entry("sms", &[When::NotDeliveredWithin], Some(60)),
            entry("sms-http", &[When::Failed], None),
            entry("pigeon", &[When::Failed], None),
        ];
        let (steps, absent) = steps_of(&chain, found);
        assert_eq!(steps.iter().map(|step| step.conditions.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(absent, [3]);
        let routing = Routing::new("whatsapp-cloud".to_owned(), steps, 5_000);
        assert_eq!(
            routing.plan(),
            "It goes out over whatsapp-cloud; then over sms (sender 1) if that fails or if it is not delivered within \
             60 s; then over sms-http (sender 2) if that fails."
        );
        assert_eq!(routing.look_at(true, 5_000), Some(65_000));
    }

    #[test]
    fn the_first_rule_of_a_category_counts() {
        let rules = [
            Rule { categories: vec![Category::Marketing], chain: Vec::new() },
            Rule { categories: Vec::new(), chain: vec![entry("sms", &[When::Failed], None)] },
        ];
        assert_eq!(chain_for(&rules, Category::Marketing).map(<[_]>::len), Some(0));
        assert_eq!(chain_for(&rules, Category::Utility).map(<[_]>::len), Some(1));
        assert_eq!(chain_for(&[], Category::Utility), None);
    }

    #[test]
    fn everything_that_is_wrong_with_a_chain_is_told_with_its_place() {
        let chain = [
            entry("", &[When::Failed], None),
            entry("sms", &[], None),
            entry("sms", &[When::Failed], Some(3)),
            entry("sms", &[When::NotDeliveredWithin], None),
            entry("sms", &[When::ChannelDown], Some(AFTER_MAX_SECONDS + 1)),
            entry("sms", &[When::ChannelDown], Some(AFTER_MAX_SECONDS)),
        ];
        let places: Vec<String> =
            breaches_of_chain(&chain, "/fallback").into_iter().map(|breach| breach.pointer).collect();
        let wrong = ["0/adapter", "1/when", "2/after_s", "3/after_s", "4/after_s"];
        assert_eq!(places, wrong.map(|place| format!("/fallback/{place}")));
        let long = vec![entry("sms", &[When::Failed], None); CHAIN_MAX_ENTRIES + 1];
        assert_eq!(breaches_of_chain(&long, "/fallback")[0].actual, Some(9));
    }

    #[test]
    fn a_reason_may_stand_alone_or_in_a_list() {
        let one: Entry = serde_json::from_str(r#"{"adapter": "sms", "when": "failed"}"#).unwrap();
        let many: Entry = serde_json::from_str(r#"{"adapter": "sms", "when": ["failed"]}"#).unwrap();
        assert_eq!(one.when.as_slice(), many.when.as_slice());
        assert!(serde_json::from_str::<Entry>(r#"{"adapter": "sms", "when": "later"}"#).is_err());
    }
}
