//! What goes in and out of onboarding.

use serde::{Deserialize, Serialize};
use waystation_adapter_sdk::CodeMethod;

use super::{
    checks::{Check, CheckOutcome},
    documents::{Document, DocumentKind},
    profile::Profile,
    state::{Action, State},
};
use crate::{
    audit::Actor,
    clock::Millis,
    error::Breach,
    ids::{BusinessId, ResellerId, SenderId, SubmissionId},
};

/// Somebody who may look into documents and checks, and decide. Whoever makes one vouches
/// that the actor holds the role of a reviewer, or acts for the platform itself.
#[derive(Debug, Clone)]
pub struct Reviewer(Actor);

impl Reviewer {
    /// `actor`, whose role was looked at.
    #[must_use]
    pub fn vouched(actor: Actor) -> Self {
        Self(actor)
    }

    /// Who that is.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.0
    }
}

/// Who did something, as it was then. Of a reviewer, only other reviewers are told more than
/// that it was one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = DoneBy)]
pub struct By {
    /// `system`, `operator`, `user`, `key`, or `reviewer`.
    #[schema(example = "user")]
    pub kind: String,
    /// Their id; empty for those that have none.
    #[schema(example = "usr_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub id: String,
    /// Their name.
    #[schema(example = "Ada Meier")]
    pub name: String,
}

/// A business's profile and how far it is from being handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ProfileView {
    /// Whose it is.
    #[schema(value_type = String, example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub business: BusinessId,
    /// Where the business stands.
    pub state: State,
    /// What its own side can do.
    pub possible: Vec<Action>,
    /// What was typed so far.
    pub profile: Profile,
    /// What is wrong with it.
    pub breaches: Vec<Breach>,
    /// What is missing before the business can be handed in, documents and phone numbers
    /// included.
    pub missing: Vec<Breach>,
    /// When it was saved last, in Unix milliseconds.
    pub updated_at: Option<Millis>,
}

/// A document as it is uploaded.
#[derive(Clone)]
pub struct Upload {
    /// What it shows.
    pub kind: DocumentKind,
    /// The name of the file, as the client gave it.
    pub file_name: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Upload {
    /// Shows the length only: a document belongs in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({}, {} bytes)", self.kind.name(), self.content.len())
    }
}

/// A decision of a reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReviewDecision)]
pub struct Decision {
    /// The step to take.
    pub action: Action,
    /// Why, in up to 1,000 characters. Has to be said of `request_changes`, `reject`,
    /// `suspend` and `close`.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
    /// The state that was decided on. When the business is in another one by now, nothing
    /// happens, and the answer says what did. Without it: the state at this moment.
    #[serde(default)]
    pub seen: Option<State>,
}

/// A step with a reason that will do.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) action: Action,
    pub(crate) reason: Option<String>,
}

/// A step that a business has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct HistoryEntry {
    /// When, in Unix milliseconds.
    pub at: Millis,
    /// Which step.
    pub action: Action,
    /// From where.
    pub from: State,
    /// To where.
    pub to: State,
    /// Why.
    pub reason: Option<String>,
    /// About which submission.
    #[schema(value_type = Option<String>, example = "sub_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub submission: Option<SubmissionId>,
    /// Who took it.
    pub by: By,
}

impl HistoryEntry {
    /// The same without the person of a reviewer: whom a business could hold a decision
    /// against is the installation, not a person.
    pub(crate) fn without_reviewer(mut self) -> Self {
        let own_side = self.action == Action::Submit || (self.action == Action::Close && self.from == State::Draft);
        if !own_side && self.by.kind != "system" {
            self.by = By { kind: "reviewer".to_owned(), id: String::new(), name: "Reviewer".to_owned() };
        }
        self
    }
}

/// What was handed in, for the reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Submission {
    /// Its id.
    #[schema(value_type = String, example = "sub_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub id: SubmissionId,
    /// When, in Unix milliseconds.
    pub submitted_at: Millis,
    /// By whom.
    pub by: By,
    /// The profile as it was then.
    pub profile: Profile,
    /// The documents as they were then.
    pub documents: Vec<Document>,
    /// How the checks came out.
    pub checks: Vec<Check>,
}

/// A business that waits for a reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ReviewCase {
    /// Which.
    #[schema(value_type = String, example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub business: BusinessId,
    /// Its name.
    pub name: String,
    /// Its reseller.
    #[schema(value_type = String, example = "rs_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub reseller: ResellerId,
    /// The name of its reseller.
    pub reseller_name: String,
    /// `submitted`, or `in_review`.
    pub state: State,
    /// What was handed in.
    #[schema(value_type = String, example = "sub_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub submission: SubmissionId,
    /// Since when it waits, in Unix milliseconds.
    pub submitted_at: Millis,
    /// Since when it is in its state, in Unix milliseconds.
    pub state_since: Millis,
    /// How the worst of its checks came out.
    pub worst: CheckOutcome,
}

/// How a code reaches a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeWay {
    /// A short message.
    #[default]
    Sms,
    /// A call that reads it out.
    Voice,
    /// A WhatsApp message.
    Whatsapp,
}

impl CodeWay {
    /// Its name in rows and requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Voice => "voice",
            Self::Whatsapp => "whatsapp",
        }
    }
}

impl From<CodeWay> for CodeMethod {
    fn from(way: CodeWay) -> Self {
        match way {
            CodeWay::Sms => Self::Sms,
            CodeWay::Voice => Self::Voice,
            CodeWay::Whatsapp => Self::Whatsapp,
        }
    }
}

/// A code is to be sent to a sender's number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CodeOrder {
    /// How.
    pub method: CodeWay,
    /// The language, such as `de` or `pt_BR`; English when left out.
    #[schema(example = "en_US", max_length = 16)]
    pub language: Option<String>,
}

/// A code is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CodeSent {
    /// To which sender's number.
    #[schema(value_type = String, example = "106540352242922")]
    pub sender: SenderId,
    /// How.
    pub method: CodeWay,
    /// Until when it can be used, in Unix milliseconds.
    pub expires_at: Millis,
    /// From when on another one can be sent, in Unix milliseconds.
    pub next_at: Millis,
    /// False when it is not known whether it left: it may arrive all the same.
    pub certain: bool,
}

/// A code as it was read on the phone.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeProof {
    /// The code: six digits.
    #[schema(example = "123456")]
    pub code: String,
    /// The PIN that the upstream is to keep for the number, six digits. Left out: the one
    /// that is kept of it, or else a random one.
    #[serde(default)]
    #[schema(example = "204817")]
    pub pin: Option<String>,
}

impl std::fmt::Debug for CodeProof {
    /// Shows neither code nor PIN.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeProof(..)")
    }
}

/// Whose a sender's number is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct NumberView {
    /// The sender.
    #[schema(value_type = String, example = "106540352242922")]
    pub sender: SenderId,
    /// When the number was shown to be the business's, in Unix milliseconds.
    pub verified_at: Option<Millis>,
    /// When it was registered with its network, in Unix milliseconds; networks without
    /// registration leave it empty.
    pub registered_at: Option<Millis>,
}

/// What arrived at a pretend phone.
#[derive(Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PretendMessage {
    /// Who it is from, as the phone shows it.
    #[schema(example = "Waystation")]
    pub from: String,
    /// What it says.
    #[schema(example = "123456 is your Waystation code.")]
    pub text: String,
    /// When it was sent, in Unix milliseconds.
    pub at: Millis,
}

impl std::fmt::Debug for PretendMessage {
    /// Does not show the text: it may be a code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PretendMessage").field("from", &self.from).finish_non_exhaustive()
    }
}
