//! The walk through a draft that finds what the rules say.

use serde_json::Value;

use super::{Finding, RuleId};
use crate::{
    messages::{Category, request::excerpt},
    templates::{
        content::{Content, Draft},
        languages, limits,
    },
};

/// What `rule` found.
pub(super) fn finding(
    rule: RuleId,
    pointer: impl Into<String>,
    message: impl Into<String>,
    numbers: Option<(usize, usize)>,
) -> Finding {
    let (limit, actual) = numbers.unzip();
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let rule = rule.rule();
    Finding {
        rule: rule.id,
        severity: rule.severity,
        pointer: pointer.into(),
        message: message.into(),
        limit: limit.map(number),
        actual: actual.map(number),
    }
}

pub(super) fn walk(draft: &Draft) -> (Option<Content>, Vec<Finding>) {
    let mut findings = Vec::new();
    if draft.name.is_empty() || !draft.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        findings.push(finding(RuleId::NameCharacters, "/name", "must consist of a-z, 0-9 and _", None));
    }
    if draft.name.len() > limits::NAME_MAX_CHARS {
        findings.push(finding(RuleId::NameTooLong, "/name", "is too long", None));
    }
    if !languages::is_known(&draft.language) {
        findings.push(finding(RuleId::LanguageUnknown, "/language", languages::unknown(&draft.language), None));
    }
    let category = Category::parse(&draft.category).filter(|category| *category != Category::Service);
    if category.is_none() {
        let message = format!("\"{}\" is not one of AUTHENTICATION, MARKETING, UTILITY", excerpt(&draft.category));
        findings.push(finding(RuleId::CategoryUnknown, "/category", message, None));
    }
    let mut components = draft.components.clone();
    for component in &mut components {
        if let Some(kind) = component.get("type").and_then(Value::as_str).map(str::to_ascii_uppercase) {
            component["type"] = kind.into();
        }
    }
    if !components.iter().any(|component| component["type"] == "BODY") {
        findings.push(finding(RuleId::BodyRequired, "/components", "must have a BODY", None));
    }
    let content = category.map(|category| Content {
        category,
        parameter_format: draft.parameter_format,
        components,
        source: None,
        variables: Vec::new(),
        samples: draft.samples.clone(),
        ttl_seconds: draft.message_send_ttl_seconds,
    });
    (content, findings)
}
