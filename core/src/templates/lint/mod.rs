//! What is wrong with a template before anybody else has to say so: the network's rules, with their limits, and what
//! experience adds to them. The same code behind the APIs and the dashboard; pure, and without a clock.
//!
//! Every rule is a row of one table, with an id that stays, and a test that it fires and one that it does not.

mod parts;
mod rules;
mod walk;

use serde::Serialize;
use utoipa::ToSchema;

use super::content::{Content, Draft};
use crate::error::{ApiError, Breach, ErrorKind};

pub use rules::{RULES, Rule, RuleId};
pub(super) use walk::finding;

/// Findings of one template that are told at most.
const FINDINGS_MAX: usize = 100;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LintSeverity)]
pub enum Severity {
    /// The network would refuse it: it cannot be kept.
    Error,
    /// It may be turned down, or read badly.
    Warning,
    /// It could be better.
    Hint,
}

/// Something about a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LintFinding)]
pub struct Finding {
    /// The rule's id.
    #[schema(example = "body_too_long")]
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Where, as a JSON pointer into the draft.
    #[schema(example = "/components/0/text")]
    pub pointer: String,
    /// What is wrong, in a sentence.
    #[schema(example = "must have at most 1024 characters, has 1100")]
    pub message: String,
    /// The limit that was passed, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_024)]
    pub limit: Option<u64>,
    /// What was found in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1_100)]
    pub actual: Option<u64>,
}

/// What can be kept of a draft, where no error is in the way, and everything there is to say about it, errors first.
#[must_use]
pub(crate) fn run(draft: &Draft) -> (Option<Content>, Vec<Finding>) {
    let (content, mut findings) = walk::walk(draft);
    findings.sort_by_key(|finding| finding.severity);
    findings.truncate(FINDINGS_MAX);
    let fits = findings.iter().all(|finding| finding.severity != Severity::Error);
    (content.filter(|_| fits), findings)
}

/// Everything there is to say about a draft, errors first.
#[must_use]
pub fn lint(draft: &Draft) -> Vec<Finding> {
    run(draft).1
}

/// What can be kept of a draft.
///
/// # Errors
/// Every error that was found, under the kind of the first.
pub(crate) fn accept(draft: &Draft) -> Result<Content, ApiError> {
    let (content, findings) = run(draft);
    if let Some(content) = content {
        return Ok(content);
    }
    let errors: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let kind = errors.first().and_then(|finding| rules::kind_of(finding.rule)).unwrap_or(ErrorKind::TemplateInvalid);
    let breaches = errors
        .into_iter()
        .map(|finding| Breach {
            pointer: finding.pointer.clone(),
            message: finding.message.clone(),
            limit: finding.limit,
            actual: finding.actual,
        })
        .collect();
    Err(ApiError::breaches(kind, breaches))
}

/// The finding that another template says the same.
#[must_use]
pub(crate) fn twin(name: &str) -> Finding {
    let message = format!("body and footer say the same as those of the template {name}, in the same language");
    walk::finding(RuleId::DuplicateText, "/components", message, None)
}

#[cfg(test)]
mod tests;
