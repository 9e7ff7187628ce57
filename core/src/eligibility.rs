//! Guarantee: whoever may not get a message gets none. It is asked when a message is accepted, and again when an
//! attempt is about to be made, since hours or months may lie between the two.
//!
//! Asked for many messages at once, in as many queries as for one: it is on the path of every message.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use waystation_adapter_sdk::UpstreamError;

use crate::{
    clock::{Millis, rfc3339},
    contacts::{consent, suppression::Suppressed},
    error::{ApiError, Breach, ErrorKind},
    ids::{AccountId, BusinessId, MessageId, SenderId},
    messages::{Category, address::Address},
    store::{Store, StoreError},
    tenancy::{ConsentPolicy, Directory, Sender},
};

/// Templates that a refusal names at most.
const TEMPLATES_NAMED_MAX: i64 = 10;

/// May this message go to this person now?
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// Which message.
    pub message: &'q MessageId,
    /// Who sends.
    pub business: &'q BusinessId,
    /// Through which number.
    pub sender: SenderId,
    /// To whom.
    pub recipient: &'q Address,
    /// What for.
    pub category: Category,
    /// The Cloud API message type.
    pub kind: &'q str,
}

/// It may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule says so.
    pub kind: ErrorKind,
    /// What the person who sent it can know and do. Names no phone number.
    pub details: String,
}

/// Answers questions. Clones share everything.
#[derive(Debug, Clone)]
pub struct Eligibility {
    store: Store,
    directory: Directory,
}

impl Eligibility {
    /// Answers from `store`.
    #[must_use]
    pub fn new(store: Store, directory: Directory) -> Self {
        Self { store, directory }
    }

    /// Answers each question, in order; `None` is yes.
    ///
    /// # Errors
    /// The database's.
    pub async fn check(&self, questions: &[Question<'_>], now: Millis) -> Result<Vec<Option<Refusal>>, StoreError> {
        let mut refusals = vec![None; questions.len()];
        self.refuse_blocked(questions, &mut refusals).await?;
        self.refuse_opted_out(questions, &mut refusals).await?;
        self.refuse_without_consent(questions, &mut refusals).await?;
        self.care_window(questions, &mut refusals, now).await?;
        Ok(refusals)
    }

    /// Refuses messages to people who are blocked at their sender.
    async fn refuse_blocked(
        &self,
        questions: &[Question<'_>],
        refusals: &mut [Option<Refusal>],
    ) -> Result<(), StoreError> {
        if questions.is_empty() {
            return Ok(());
        }
        let senders = questions.iter().map(|question| question.sender.0).collect();
        let people = questions.iter().map(|question| question.recipient.as_str()).collect();
        let blocked = self.store.blocked_among(&senders, &people).await?;
        if blocked.is_empty() {
            return Ok(());
        }
        for (question, refusal) in questions.iter().zip(refusals) {
            if blocked.contains(&(question.sender.0, question.recipient.as_str().to_owned())) {
                let details = "This person is blocked at the sender.".to_owned();
                refusal.get_or_insert(Refusal { kind: ErrorKind::RecipientBlocked, details });
            }
        }
        Ok(())
    }

    /// What whoever sends this message should know, although it goes out.
    ///
    /// # Errors
    /// The database's.
    pub async fn warnings(&self, question: &Question<'_>) -> Result<Vec<Breach>, StoreError> {
        let missing = self.without_consent(std::slice::from_ref(question), ConsentPolicy::Warn).await?;
        let warn = |details| Breach { pointer: "/to".to_owned(), message: details, limit: None, actual: None };
        Ok(missing.into_values().map(warn).collect())
    }

    /// Nobody who opted out gets what they opted out of. The one message that confirms it does go out.
    async fn refuse_opted_out(
        &self,
        questions: &[Question<'_>],
        refusals: &mut [Option<Refusal>],
    ) -> Result<(), StoreError> {
        let person = |question: &Question<'_>| self.store.person(question.business, question.recipient);
        let people = questions.iter().map(person).collect::<Result<Vec<_>, _>>()?;
        if people.is_empty() {
            return Ok(());
        }
        let mut suppressed: HashMap<String, Vec<Suppressed>> = HashMap::new();
        for row in self.store.suppressed(&people).await? {
            suppressed.entry(row.person.clone()).or_default().push(row);
        }
        if suppressed.is_empty() {
            return Ok(());
        }
        for ((question, person), refusal) in questions.iter().zip(&people).zip(refusals) {
            let Some(rows) = suppressed.get(person) else { continue };
            let Some(sender) = self.directory.any_sender(question.sender).await? else { continue };
            let holds = |row: &&Suppressed| {
                let confirms = row.confirmation_id.as_deref() == Some(question.message.key());
                row.holds(&sender.channel, question.category == Category::Marketing) && !confirms
            };
            if let Some(row) = rows.iter().filter(holds).min_by_key(|row| row.reach) {
                *refusal = Some(Refusal { kind: row.kind(), details: row.details() });
            }
        }
        Ok(())
    }

    /// Where the policy is strict, nobody gets marketing who is not known to have agreed.
    async fn refuse_without_consent(
        &self,
        questions: &[Question<'_>],
        refusals: &mut [Option<Refusal>],
    ) -> Result<(), StoreError> {
        for (index, details) in self.without_consent(questions, ConsentPolicy::Strict).await? {
            refusals[index].get_or_insert(Refusal { kind: ErrorKind::ConsentMissing, details });
        }
        Ok(())
    }

    /// Which of the questions are marketing to somebody who is not known to have agreed, under this
    /// policy, and what is known instead.
    async fn without_consent(
        &self,
        questions: &[Question<'_>],
        policy: ConsentPolicy,
    ) -> Result<HashMap<usize, String>, StoreError> {
        let mut asked: Vec<(usize, String, Arc<Sender>)> = Vec::new();
        for (index, question) in questions.iter().enumerate() {
            if question.category != Category::Marketing {
                continue;
            }
            let sender = self.directory.any_sender(question.sender).await?;
            if let Some(sender) = sender.filter(|sender| sender.policy.marketing_consent == Some(policy)) {
                asked.push((index, self.store.person(question.business, question.recipient)?, sender));
            }
        }
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        let people: Vec<String> = asked.iter().map(|(_, person, _)| person.clone()).collect();
        let histories = self.store.marketing_histories(&people).await?;
        let mut missing = HashMap::new();
        for (index, person, sender) in asked {
            let history = histories.get(&person).map(Vec::as_slice).unwrap_or_default();
            let held = consent::current(history).into_iter().find(|line| line.channel == sender.channel);
            let details = match held {
                Some(line) if line.granted => continue,
                Some(line) => format!("The recipient took back their consent to marketing on {}.", rfc3339(line.at)),
                None => format!("No consent to marketing over {} is recorded for the recipient.", sender.channel),
            };
            missing.insert(index, details);
        }
        Ok(missing)
    }

    /// Refuses free-form messages to people whose customer-care window is closed, through senders whose network has one.
    async fn care_window(
        &self,
        questions: &[Question<'_>],
        refusals: &mut [Option<Refusal>],
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut asked: Vec<(usize, Arc<Sender>)> = Vec::new();
        for (index, question) in questions.iter().enumerate() {
            if question.kind == "template" || refusals[index].is_some() {
                continue;
            }
            let sender = self.directory.any_sender(question.sender).await?;
            asked.extend(sender.filter(|sender| sender.enforces_window()).map(|sender| (index, sender)));
        }
        if asked.is_empty() {
            return Ok(());
        }
        let senders = asked.iter().map(|(_, sender)| sender.id.0).collect();
        let recipients = asked.iter().map(|(index, _)| questions[*index].recipient.as_str()).collect();
        let windows = self.store.windows_among(&senders, &recipients).await?;
        let open: HashSet<(SenderId, &str)> = windows
            .iter()
            .filter(|window| window.is_open(now))
            .map(|window| (window.sender, window.recipient.as_str()))
            .collect();
        let mut details: HashMap<AccountId, String> = HashMap::new();
        for (index, sender) in asked {
            if open.contains(&(sender.id, questions[index].recipient.as_str())) {
                continue;
            }
            let said = match details.get(&sender.account) {
                Some(said) => said.clone(),
                None => {
                    let usable = self.store.usable_templates(sender.account, TEMPLATES_NAMED_MAX).await?;
                    details.entry(sender.account).or_insert_with(|| window_closed(&usable)).clone()
                }
            };
            refusals[index] = Some(Refusal { kind: ErrorKind::WindowClosed, details: said });
        }
        Ok(())
    }
}

/// What whoever writes to somebody outside of the window can do instead.
fn window_closed(usable: &[(String, String)]) -> String {
    let names: Vec<String> = usable.iter().map(|(name, language)| format!("{name} ({language})")).collect();
    let instead = if names.is_empty() {
        "Only a template reaches them now, and none is approved yet.".to_owned()
    } else {
        format!("Only a template reaches them now; of those approved: {}.", names.join(", "))
    };
    format!("This person did not write to this number within the last 24 hours. {instead}")
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.kind, refusal.details)
    }
}

impl From<ApiError> for UpstreamError {
    /// What a message that was accepted fails with when it can no longer be sent as it is.
    fn from(error: ApiError) -> Self {
        let row = error.kind.row();
        Self::with_code(row.code, row.title).details(error.details)
    }
}

impl From<Refusal> for UpstreamError {
    /// What a message that was accepted and may no longer go fails with.
    fn from(refusal: Refusal) -> Self {
        let row = refusal.kind.row();
        Self::with_code(row.code, row.title).details(refusal.details)
    }
}
