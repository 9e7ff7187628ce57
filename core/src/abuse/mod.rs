//! Spam is not carried: a sender whose recipients opt out or block it, or whom the network
//! calls a spammer, more often than the rule allows, is paused by itself and stays so until
//! a reviewer has looked at it. What it has queued is kept.
//!
//! The rule is a pure function over counts of the last days. The counts are written in the
//! transactions of what they count, so a crash neither loses nor repeats one.

use serde::Serialize;

use crate::{
    audit::Actor,
    clock::Millis,
    error::{ApiError, ErrorKind},
    ids::{CaseId, SenderId},
    paging::{Page, Paging},
    store::{CaseView, NewSignal, Store, StoreError, day_of},
    tenancy::{Directory, Subtree},
};

/// How many days count, today included.
pub const WINDOW_DAYS: i32 = 2;
/// Longest words of a reviewer, in characters.
const WORDS_MAX_CHARS: usize = 1_000;

/// The network's codes for a message that it takes for spam: the spam rate limit, and an
/// account that is blocked for what it sent.
const SPAM_CODES: [i64; 2] = [131_048, 368];
/// The network's code for a recipient who stopped the business's marketing.
const OPT_OUT_CODE: i64 = 131_050;

/// Something that speaks against a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The network took a message for spam.
    Spam,
    /// A recipient wants no more of this.
    OptOut,
    /// A recipient blocked the sender.
    Block,
}

impl Signal {
    /// The name that rows carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spam => "spam",
            Self::OptOut => "opt_out",
            Self::Block => "block",
        }
    }

    /// What an error of the network with this code says of the sender.
    #[must_use]
    pub fn of_code(code: i64) -> Option<Self> {
        match code {
            OPT_OUT_CODE => Some(Self::OptOut),
            code if SPAM_CODES.contains(&code) => Some(Self::Spam),
            _ => None,
        }
    }
}

/// How much is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbuseRule {
    /// Messages of the window below which nothing is judged.
    pub messages_min: i64,
    /// The share of messages that the network may take for spam, in thousandths.
    pub spam_permille: i64,
    /// The share of recipients who may opt out, in thousandths.
    pub opt_out_permille: i64,
    /// The share of recipients who may block the sender, in thousandths.
    pub block_permille: i64,
}

/// What a sender did in the window, and what spoke against it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages accepted.
    pub messages: i64,
    /// Messages that the network took for spam.
    pub spam: i64,
    /// Recipients who opted out.
    pub opt_outs: i64,
    /// Recipients who blocked the sender.
    pub blocks: i64,
}

impl AbuseRule {
    /// Why the sender of this tally has to be paused, if it has to.
    #[must_use]
    pub fn judge(&self, tally: &Tally) -> Option<String> {
        if tally.messages < self.messages_min.max(1) {
            return None;
        }
        let over = |count: i64, permille: i64, what: &str| {
            let share = count.saturating_mul(1_000) / tally.messages;
            (share >= permille && count > 0).then(|| {
                format!(
                    "{what}: {count} of {} messages in {WINDOW_DAYS} days, {}.{} %, where {}.{} % are too many",
                    tally.messages,
                    share / 10,
                    share % 10,
                    permille / 10,
                    permille % 10
                )
            })
        };
        over(tally.spam, self.spam_permille, "The network took messages for spam")
            .or_else(|| over(tally.blocks, self.block_permille, "Recipients blocked the sender"))
            .or_else(|| over(tally.opt_outs, self.opt_out_permille, "Recipients opted out"))
    }
}

/// What a reviewer decides over a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The sender goes on.
    Release,
    /// The sender stays paused.
    Uphold,
}

/// Applies the rule, and keeps the cases. Clones share everything.
#[derive(Debug, Clone)]
pub struct Abuse {
    store: Store,
    directory: Directory,
    rule: AbuseRule,
}

impl Abuse {
    /// Watches over the senders in `store` by `rule`.
    #[must_use]
    pub fn new(store: Store, directory: Directory, rule: AbuseRule) -> Self {
        Self { store, directory, rule }
    }

    /// Counts something that speaks against a sender.
    ///
    /// # Errors
    /// The database's.
    pub async fn report(&self, sender: SenderId, signal: Signal, now: Millis) -> Result<(), StoreError> {
        self.store.count_signal(NewSignal { sender, day: day_of(now), signal }).await
    }

    /// Judges every sender that has something against it, and says how many were paused.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep(&self, now: Millis) -> Result<usize, StoreError> {
        let since = day_of(now) - WINDOW_DAYS + 1;
        let mut paused = 0;
        for id in self.store.suspects(since).await? {
            let Some(view) = self.store.any_sender(id).await? else { continue };
            let tally = self.store.tally(&view, since).await?;
            let Some(reason) = self.rule.judge(&tally) else { continue };
            if self.store.open_case(&view, &reason, &tally, now).await? {
                tracing::warn!(sender = %id, reason, "a sender was paused, and a case opened");
                self.directory.forget_business(&view.sender.business);
                paused += 1;
            }
        }
        self.store.forget_signals(since).await?;
        Ok(paused)
    }

    /// The cases of `subtree`, newest first, or only those that wait for a decision.
    ///
    /// # Errors
    /// The database's.
    pub async fn cases(&self, subtree: &Subtree, open: bool, paging: &Paging) -> Result<Page<CaseView>, ApiError> {
        Ok(self.store.cases(subtree, open, paging).await?)
    }

    /// The case `id`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn case(&self, subtree: &Subtree, id: &CaseId) -> Result<CaseView, ApiError> {
        let found = self.store.case(id).await?.filter(|case| subtree.holds(case.reseller.key(), case.business.key()));
        found.ok_or_else(|| ApiError::missing("case", id))
    }

    /// Decides a case, with the reviewer's words.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] by anybody but the platform's staff;
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Conflict`] when it was decided already.
    pub async fn decide(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: &CaseId,
        verdict: Verdict,
        words: &str,
        now: Millis,
    ) -> Result<CaseView, ApiError> {
        if *subtree != Subtree::Platform {
            return Err(ApiError::new(ErrorKind::PermissionDenied, "Cases are decided by the platform's reviewers."));
        }
        let words = words.trim();
        if words.is_empty() || words.chars().count() > WORDS_MAX_CHARS {
            return Err(ApiError::breach("/reason", format!("must say why, in 1 to {WORDS_MAX_CHARS} characters")));
        }
        let case = self.case(subtree, id).await?;
        let view = self.store.any_sender(case.sender).await?;
        let view = view.ok_or_else(|| ApiError::missing("sender", &case.sender))?;
        let release = verdict == Verdict::Release;
        if !self.store.close_case(by, &case, &view, (release, words), now).await? {
            return Err(ApiError::new(ErrorKind::Conflict, "The case was decided already."));
        }
        self.directory.forget_business(&case.business);
        self.case(subtree, id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: AbuseRule =
        AbuseRule { messages_min: 100, spam_permille: 10, opt_out_permille: 30, block_permille: 30 };

    #[test]
    fn a_sender_is_paused_just_over_a_threshold_and_not_just_under() {
        let tally = Tally { messages: 1_000, ..Tally::default() };
        assert_eq!(RULE.judge(&tally), None);
        assert_eq!(RULE.judge(&Tally { spam: 9, opt_outs: 29, blocks: 29, ..tally }), None);
        for over in [Tally { spam: 10, ..tally }, Tally { opt_outs: 30, ..tally }, Tally { blocks: 30, ..tally }] {
            let reason = RULE.judge(&over).unwrap();
            assert!(reason.contains("of 1000 messages"), "{reason}");
        }
    }

    #[test]
    fn few_messages_are_not_judged() {
        assert_eq!(RULE.judge(&Tally { messages: 99, spam: 99, opt_outs: 0, blocks: 0 }), None);
        assert!(RULE.judge(&Tally { messages: 100, spam: 1, opt_outs: 0, blocks: 0 }).is_some());
        let always = AbuseRule { messages_min: 0, ..RULE };
        assert_eq!(always.judge(&Tally::default()), None, "nothing sent is nothing to judge");
    }

    #[test]
    fn the_networks_codes_say_what_they_are() {
        assert_eq!(Signal::of_code(131_048), Some(Signal::Spam));
        assert_eq!(Signal::of_code(368), Some(Signal::Spam));
        assert_eq!(Signal::of_code(131_050), Some(Signal::OptOut));
        assert_eq!(Signal::of_code(131_026), None);
    }
}
