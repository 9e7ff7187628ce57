//! What goes in and out of [`super::Templates`].

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    content::{Draft, ParameterFormat},
    handlebars::Variable,
    state::{Action, State},
};
use crate::{
    clock::Millis,
    ids::{AccountId, BusinessId, ResellerId, TemplateId},
    messages::Category,
    onboarding::By,
};

/// A template in one language.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateView {
    /// Its id: digits, as the Cloud API has it.
    pub id: TemplateId,
    /// Whose it is.
    pub business: BusinessId,
    /// Its WhatsApp Business Account.
    pub account: AccountId,
    /// The name that it shares with its other languages.
    pub name: String,
    /// Its language.
    pub language: String,
    /// What the network says of its quality: `GREEN`, `YELLOW`, `RED`, `UNKNOWN`.
    pub quality: String,
    /// The newest version.
    pub latest: VersionView,
    /// The version that messages are made of; none before the first approval. May be the newest.
    pub in_use: Option<VersionView>,
    /// When it was created, in Unix milliseconds.
    pub created_at: Millis,
    /// When it or a version of it last changed, in Unix milliseconds.
    pub updated_at: Millis,
}

impl TemplateView {
    /// The version that is shown where there is room for one: the one in use, or the newest.
    #[must_use]
    pub fn shown(&self) -> &VersionView {
        self.in_use.as_ref().unwrap_or(&self.latest)
    }

    /// Whether a newer version than the one in use is on its way.
    #[must_use]
    pub fn has_change_pending(&self) -> bool {
        self.in_use.as_ref().is_some_and(|used| used.number != self.latest.number)
    }
}

/// A version of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionView {
    /// Counted from 1.
    pub number: i32,
    /// Where it stands.
    pub state: State,
    /// What its messages are for.
    pub category: Category,
    /// The category that the network moved it from.
    pub previous_category: Option<Category>,
    /// Whether its parameters are counted or named.
    pub parameter_format: ParameterFormat,
    /// Its components as the network has them.
    pub components: Vec<Value>,
    /// What was written, as it can be handed in again.
    pub draft: Draft,
    /// What each parameter is made of; empty unless it was written in Handlebars.
    pub variables: Vec<Variable>,
    /// How long its messages are worth delivering, in seconds.
    pub ttl_seconds: Option<i64>,
    /// Who wrote it.
    pub author: By,
    /// When, in Unix milliseconds.
    pub created_at: Millis,
    /// Who handed it in.
    pub submitter: Option<By>,
    /// When it was handed in last, in Unix milliseconds.
    pub submitted_at: Option<Millis>,
    /// When a reviewer or the network last decided on it, in Unix milliseconds.
    pub decided_at: Option<Millis>,
    /// The network that reviews or has reviewed it: the name of its adapter.
    pub network: Option<String>,
    /// Why it was sent back, turned down, paused or put away.
    pub reason: Option<String>,
    /// The same as one of the Cloud API's words, for example `INVALID_FORMAT`.
    pub rejection: Option<String>,
    /// What would help.
    pub recommendation: Option<String>,
}

/// A version that waits for a reviewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingTemplate {
    /// Which template.
    pub id: TemplateId,
    /// Which version of it.
    pub version: i32,
    /// Its name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// What it is for.
    pub category: Category,
    /// Whose it is.
    pub business: BusinessId,
    /// The business's name.
    pub business_name: String,
    /// Its reseller.
    pub reseller: ResellerId,
    /// The reseller's name.
    pub reseller_name: String,
    /// When it was handed in, in Unix milliseconds.
    pub submitted_at: Millis,
    /// Whether an older version of it is in use.
    pub is_change: bool,
}

/// Which versions of those that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitingFilter {
    /// Of this category.
    pub category: Option<Category>,
    /// In this language.
    pub language: Option<String>,
    /// With this in the name of the template or of its business.
    pub search: Option<String>,
}

/// Which templates of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateFilter {
    /// Of this business only; without it, of all in the subtree.
    pub business: Option<BusinessId>,
    /// With this in their name.
    pub name_contains: Option<String>,
    /// With this name.
    pub name: Option<String>,
    /// In one of these languages; in any when there is none.
    pub languages: Vec<String>,
    /// In one of these states, of the version that is shown; in any when there is none.
    pub states: Vec<State>,
    /// In one of these categories; in any when there is none.
    pub categories: Vec<Category>,
    /// Without those that were never handed in, which the Cloud API knows nothing of.
    pub without_new_drafts: bool,
}

/// How many templates an account has, in the words of the Cloud API's summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateCounts {
    /// All of them.
    pub total: u64,
    /// Those that pass the filter.
    pub matching: u64,
    /// How many there may be.
    pub limit: u64,
}

/// A decision of a reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateDecision)]
pub struct Decision {
    /// `approve`, `request_changes` or `reject`.
    pub action: Action,
    /// Why, in up to 1,000 characters. Has to be said of `request_changes` and `reject`.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
    /// The version that was looked at. When there is a newer one by now, nothing happens. Without it: the newest.
    #[serde(default)]
    pub version: Option<i32>,
}

/// What a network says of a version that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It takes it, in this category, which may be another than was asked for.
    Approved(Category),
    /// It turns it down.
    Rejected {
        /// One of the Cloud API's words, for example `INVALID_FORMAT`.
        reason: String,
        /// What is wrong, in words, where the network says so.
        details: Option<String>,
        /// What would help, where the network says so.
        recommendation: Option<String>,
    },
}
