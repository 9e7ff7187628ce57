//! Guarantee: a template is at the upstream once, with what was submitted last, however often it is submitted: what is
//! there already is looked up and compared before anything is changed.
//!
//! The upstream knows a template by its name and language as well as by its id, so that one whose answer was lost is
//! found again.

use serde_json::{Map, Value, json};
use url::form_urlencoded::Serializer;
use waystation_adapter_sdk::{
    Io, ManagementError, TemplateRef, TemplateReport, TemplateStatus, TemplateSubmission, UpstreamError,
};

use crate::{
    connection::Connection,
    graph::{self, Failure},
    manage,
};

/// What is asked of a template.
const FIELDS: &str = "id,name,language,status,category,components,quality_score,rejected_reason";
/// Templates on a page of a search: the search finds every name that contains the one sought.
const PAGE_ENTRIES: &str = "100";
/// Pages of one search at most.
const PAGES_MAX: usize = 10;
/// The subcode of a name that has this language already.
const EXISTS: i64 = 2_388_024;

/// A template as the upstream has it.
struct Found(Value);

pub(crate) async fn submit(io: &Io, submission: &TemplateSubmission) -> Result<TemplateReport, ManagementError> {
    let connection = manage::connection(&submission.connection)?;
    if let Some(id) = &submission.upstream_id
        && let Some(found) = look_at(io, &connection, id).await?
    {
        return update(io, &connection, submission, found).await;
    }
    let path = format!("{}/message_templates", account(&connection)?);
    match graph::call(io, &connection, "POST", &path, Some(&whole(submission))).await {
        Ok(answer) => {
            let found = Found(answer);
            match found.id() {
                Some(_) => Ok(found.report()),
                None => Err(manage::unreadable(found.0, "The answer names no template")),
            }
        }
        Err(failure) if exists(&failure) => {
            match find(io, &connection, &submission.name, &submission.language).await? {
                Some(found) => update(io, &connection, submission, found).await,
                None => Err(manage::judge(failure)),
            }
        }
        Err(failure) => Err(manage::judge(failure)),
    }
}

/// Has what is there say what was submitted.
async fn update(
    io: &Io,
    connection: &Connection,
    submission: &TemplateSubmission,
    found: Found,
) -> Result<TemplateReport, ManagementError> {
    let report = found.report();
    let is_same = found.says(&submission.components);
    if is_same && report.status != TemplateStatus::Rejected {
        return Ok(report);
    }
    let Some(id) = found.id() else { return Err(manage::unreadable(found.0, "The answer names no template")) };
    if report.status == TemplateStatus::Pending {
        let details = "The upstream is reviewing other content of this template, and takes no change until it is done.";
        let error = UpstreamError::new("The template is under review").details(details);
        return Err(ManagementError::Unavailable { error, needs_operator: false });
    }
    let mut body = Map::new();
    body.insert("components".to_owned(), submission.components.clone().into());
    // Of an approved template it cannot be edited, not even to what it is.
    if !found.is_in(&submission.category) {
        body.insert("category".to_owned(), submission.category.as_str().into());
    }
    if let Some(seconds) = submission.ttl_seconds {
        body.insert("message_send_ttl_seconds".to_owned(), seconds.into());
    }
    let answer = graph::call(io, connection, "POST", id, Some(&Value::Object(body))).await.map_err(manage::judge)?;
    if manage::is_done(&answer) {
        Ok(TemplateReport::new(Some(id.to_owned()), TemplateStatus::Pending))
    } else {
        Err(manage::unreadable(answer, "The answer does not say that it was done"))
    }
}

pub(crate) async fn read(io: &Io, template: &TemplateRef) -> Result<TemplateReport, ManagementError> {
    let connection = manage::connection(&template.connection)?;
    let Some(found) = look_up(io, &connection, template).await? else {
        return Ok(TemplateReport::new(None, TemplateStatus::Missing));
    };
    let mut report = found.report();
    let is_usable = matches!(report.status, TemplateStatus::Approved | TemplateStatus::Paused);
    if is_usable && !template.components.is_empty() && !found.says(&template.components) {
        report.status = TemplateStatus::Pending;
    }
    Ok(report)
}

pub(crate) async fn unpause(io: &Io, template: &TemplateRef) -> Result<TemplateReport, ManagementError> {
    let connection = manage::connection(&template.connection)?;
    let Some(found) = look_up(io, &connection, template).await? else {
        return Ok(TemplateReport::new(None, TemplateStatus::Missing));
    };
    let report = found.report();
    if report.status != TemplateStatus::Paused {
        return Ok(report);
    }
    let Some(id) = found.id() else { return Err(manage::unreadable(found.0, "The answer names no template")) };
    let answer = graph::call(io, &connection, "POST", &format!("{id}/unpause"), None).await.map_err(manage::judge)?;
    if manage::is_done(&answer) {
        Ok(TemplateReport { status: TemplateStatus::Approved, ..report })
    } else {
        Err(manage::unreadable(answer, "The answer does not say that it was done"))
    }
}

pub(crate) async fn delete(io: &Io, template: &TemplateRef) -> Result<TemplateReport, ManagementError> {
    let connection = manage::connection(&template.connection)?;
    let path = format!("{}/message_templates", account(&connection)?);
    let gone = TemplateReport::new(None, TemplateStatus::Missing);
    // Without an id all languages would go.
    let id = match &template.upstream_id {
        Some(id) => id.clone(),
        None => match find(io, &connection, &template.name, &template.language).await? {
            Some(found) => match found.id() {
                Some(id) => id.to_owned(),
                None => return Err(manage::unreadable(found.0, "The answer names no template")),
            },
            None => return Ok(gone),
        },
    };
    let query = query(&[("name", &template.name), ("hsm_id", &id)]);
    match graph::call(io, &connection, "DELETE", &format!("{path}?{query}"), None).await {
        Ok(answer) if manage::is_done(&answer) => Ok(gone),
        Ok(answer) => Err(manage::unreadable(answer, "The answer does not say that it was done")),
        Err(failure) => match manage::judge(failure) {
            // It may have been deleted before.
            ManagementError::Rejected { error } => match look_at(io, &connection, &id).await? {
                Some(_) => Err(ManagementError::Rejected { error }),
                None => Ok(gone),
            },
            error => Err(error),
        },
    }
}

async fn look_up(io: &Io, connection: &Connection, template: &TemplateRef) -> Result<Option<Found>, ManagementError> {
    if let Some(id) = &template.upstream_id
        && let Some(found) = look_at(io, connection, id).await?
    {
        return Ok(Some(found));
    }
    find(io, connection, &template.name, &template.language).await
}

/// The template with this id, if it is there.
async fn look_at(io: &Io, connection: &Connection, id: &str) -> Result<Option<Found>, ManagementError> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match graph::call(io, connection, "GET", &format!("{id}?fields={FIELDS}"), None).await {
        Ok(answer) => Ok(Some(Found(answer)).filter(|found| !found.is_leaving())),
        Err(failure) if manage::is_not_there(&failure) => Ok(None),
        Err(failure) => Err(manage::judge(failure)),
    }
}

/// The template with this name in this language, if it is there.
async fn find(io: &Io, connection: &Connection, name: &str, language: &str) -> Result<Option<Found>, ManagementError> {
    let path = format!("{}/message_templates", account(connection)?);
    let mut after = String::new();
    for _ in 0..PAGES_MAX {
        let mut parameters = vec![("name", name), ("language", language), ("fields", FIELDS), ("limit", PAGE_ENTRIES)];
        if !after.is_empty() {
            parameters.push(("after", &after));
        }
        let page = format!("{path}?{}", query(&parameters));
        let answer = graph::call(io, connection, "GET", &page, None).await.map_err(manage::judge)?;
        let Some(entries) = answer.get("data").and_then(Value::as_array) else {
            return Err(manage::unreadable(answer, "The answer has no list of templates"));
        };
        let same = |entry: &&Value| entry["name"] == name && entry["language"] == language;
        if let Some(entry) = entries.iter().find(same) {
            return Ok(Some(Found(entry.clone())).filter(|found| !found.is_leaving()));
        }
        let next = answer.pointer("/paging/next").and(answer.pointer("/paging/cursors/after")).and_then(Value::as_str);
        match next {
            Some(next) => after = next.to_owned(),
            None => return Ok(None),
        }
    }
    Ok(None)
}

fn query(parameters: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn account(connection: &Connection) -> Result<&str, ManagementError> {
    connection.account_id.as_deref().ok_or_else(|| ManagementError::Unavailable {
        error: UpstreamError::new("The connection's settings are wrong")
            .details("account_id is missing: templates belong to the account, so it has to be named."),
        needs_operator: true,
    })
}

fn whole(submission: &TemplateSubmission) -> Value {
    let mut body = json!({
        "name": submission.name, "language": submission.language, "category": submission.category,
        "parameter_format": submission.parameter_format, "components": submission.components,
    });
    if let Some(seconds) = submission.ttl_seconds {
        body["message_send_ttl_seconds"] = seconds.into();
    }
    body
}

fn exists(failure: &Failure) -> bool {
    let Failure::Refused { error, .. } = failure else { return false };
    manage::subcode(failure) == Some(EXISTS) || error.code == Some(EXISTS)
}

impl Found {
    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn id(&self) -> Option<&str> {
        self.text("/id").filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn is_in(&self, category: &str) -> bool {
        self.text("/category").is_some_and(|found| found.eq_ignore_ascii_case(category))
    }

    /// Whether it is deleted, or about to be.
    fn is_leaving(&self) -> bool {
        matches!(self.text("/status"), Some("DELETED" | "PENDING_DELETION"))
    }

    fn report(&self) -> TemplateReport {
        let status = match self.text("/status") {
            Some("APPROVED" | "FLAGGED" | "REINSTATED") => TemplateStatus::Approved,
            Some("REJECTED") => TemplateStatus::Rejected,
            Some("PAUSED") => TemplateStatus::Paused,
            Some("DISABLED" | "LOCKED" | "ARCHIVED" | "LIMIT_EXCEEDED") => TemplateStatus::Disabled,
            Some("DELETED" | "PENDING_DELETION") => TemplateStatus::Missing,
            // PENDING, IN_APPEAL, and what is not known yet.
            _ => TemplateStatus::Pending,
        };
        let owned = |pointer: &str| self.text(pointer).map(str::to_owned);
        TemplateReport {
            upstream_id: self.id().map(str::to_owned),
            status,
            category: owned("/category"),
            quality: owned("/quality_score/score"),
            rejection: owned("/rejected_reason").filter(|reason| reason != "NONE"),
            reason: owned("/rejection_info/reason"),
            recommendation: owned("/rejection_info/recommendation"),
        }
    }

    /// Whether people read in it what was submitted. The upstream adds members of its own, so only what was submitted is
    /// looked for.
    fn says(&self, submitted: &[Value]) -> bool {
        let shown = self.0.get("components").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        same_parts(submitted, shown)
    }
}

fn same_parts(submitted: &[Value], shown: &[Value]) -> bool {
    let kind = |part: &Value| part["type"].as_str().unwrap_or_default().to_ascii_uppercase();
    submitted.len() == shown.len()
        && submitted.iter().all(|part| shown.iter().any(|other| kind(other) == kind(part) && same_part(part, other)))
}

fn same_part(submitted: &Value, shown: &Value) -> bool {
    let same_text = ["text", "format", "url", "phone_number"].iter().all(|name| match submitted.get(*name) {
        Some(Value::String(text)) => shown.get(*name).and_then(Value::as_str).is_some_and(|other| {
            if *name == "format" { other.eq_ignore_ascii_case(text) } else { other.trim() == text.trim() }
        }),
        _ => true,
    });
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let same_list = |name: &str| {
        let (ours, theirs) = (list(submitted, name), list(shown, name));
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(one, other)| same_part(one, other))
    };
    let parts = |value: &Value| list(value, "components");
    same_text
        && same_list("buttons")
        && same_list("cards")
        && (parts(submitted).is_empty() || same_parts(&parts(submitted), &parts(shown)))
}
