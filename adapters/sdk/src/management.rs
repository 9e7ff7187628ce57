//! Guarantee: what a business manages at its network (templates, the profile of a number) crosses the boundary in the Cloud
//! API's form, and every operation on it can be repeated: what a crash cut off is asked again and ends as if it had been
//! asked once.
//!
//! All operations fail with one type, [`ManagementError`], whose variant says when to ask again.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::types::{Sender, UpstreamError};

/// A template that the network is to review: a new one, or other content for one that it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateSubmission {
    /// The sender through whose settings the account is reached.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// What the network calls the template, if it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its language, such as `en_US`.
    pub language: String,
    /// `AUTHENTICATION`, `MARKETING` or `UTILITY`.
    pub category: String,
    /// `positional` or `named`.
    pub parameter_format: String,
    /// Its components, with examples; samples of files are handles of the network's.
    pub components: Vec<Value>,
    /// How long a message is worth delivering, in seconds; -1 is thirty days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// A template that the network has, or may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateRef {
    /// The sender through whose settings the account is reached.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// What the network calls it; it is found by name and language when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its language, such as `en_US`.
    pub language: String,
    /// The components that were submitted last; empty when that does not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Value>,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// Where a template stands at its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateStatus {
    /// The network reviews it, or what was submitted last is not what it shows yet.
    Pending,
    /// It can be sent.
    Approved,
    /// It was turned down.
    Rejected,
    /// It is stopped for a while.
    Paused,
    /// It is stopped for good.
    Disabled,
    /// The network has no such template.
    Missing,
}

/// What a network says of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateReport {
    /// What the network calls it; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
    /// Where it stands.
    pub status: TemplateStatus,
    /// The category that the network has it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// Of one that was turned down, the network's word for why, such as `INVALID_FORMAT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<String>,
}

impl TemplateReport {
    /// A report that says no more than where the template stands.
    #[must_use]
    pub const fn new(upstream_id: Option<String>, status: TemplateStatus) -> Self {
        Self { upstream_id, status, category: None, quality: None, rejection: None, reason: None, recommendation: None }
    }
}

/// The profile that people see of a sender: to be read, or to be changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileRequest {
    /// Whose.
    pub sender: Sender,
    /// The sender's settings.
    #[serde(default)]
    pub connection: Value,
    /// The members to change, as the Cloud API has them; those that are absent stay. Nothing is changed when there are
    /// none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub change: Map<String, Value>,
    /// When this was started, in Unix milliseconds.
    pub at_ms: i64,
}

/// The profile that people see of a sender, as the Cloud API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profile(pub Map<String, Value>);

/// Why something was not done at a network. The variant says when it can be asked again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagementError {
    /// This adapter does no such thing.
    Unsupported,
    /// The network takes no more such requests at the moment, and did not carry this one out.
    RateLimited {
        /// Not before so many milliseconds; unknown when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
        /// What was said.
        error: UpstreamError,
    },
    /// The network will not do it as it is.
    Rejected {
        /// What was said.
        error: UpstreamError,
    },
    /// The network did not do it, and may later.
    Unavailable {
        /// What was said.
        error: UpstreamError,
        /// Whether a person must act first (an expired token, a locked account, a missing setting).
        needs_operator: bool,
    },
    /// The network may have done it; asking again finds out.
    Ambiguous {
        /// What happened.
        error: UpstreamError,
    },
}

impl ManagementError {
    /// What was said, whatever follows from it.
    #[must_use]
    pub fn error(&self) -> Option<&UpstreamError> {
        match self {
            Self::Unsupported => None,
            Self::RateLimited { error, .. }
            | Self::Rejected { error }
            | Self::Unavailable { error, .. }
            | Self::Ambiguous { error } => Some(error),
        }
    }
}

impl fmt::Display for ManagementError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unsupported => "not supported",
            Self::RateLimited { .. } => "rate limited",
            Self::Rejected { .. } => "rejected",
            Self::Unavailable { .. } => "unavailable",
            Self::Ambiguous { .. } => "ambiguous",
        })?;
        self.error().map_or(Ok(()), |error| write!(out, ": {error}"))
    }
}

impl std::error::Error for ManagementError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_meaning() {
        let submission: TemplateSubmission = serde_json::from_value(serde_json::json!({
            "sender": {"id": "7", "phone": "15550783881"}, "name": "a", "language": "en_US", "category": "UTILITY",
            "parameter_format": "positional", "components": [{"type": "BODY", "text": "Hello."}], "at_ms": 0,
        }))
        .unwrap();
        assert_eq!((submission.upstream_id, submission.ttl_seconds), (None, None));
        let report = TemplateReport::new(None, TemplateStatus::Missing);
        assert_eq!(serde_json::to_value(&report).unwrap(), serde_json::json!({"status": "missing"}));
        assert_eq!(serde_json::to_value(ManagementError::Unsupported).unwrap(), "unsupported");
        let said = ManagementError::Rejected { error: UpstreamError::with_code(100, "No") }.to_string();
        assert_eq!(said, "rejected: (100) No");
    }
}
