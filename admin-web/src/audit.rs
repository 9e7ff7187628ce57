//! The audit log, as far as it is about the person's own subtree: who did what, when, from
//! where, and what it was before.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waystation_core::{
    audit::AuditEntry,
    clock::{Millis, now_ms},
};

use crate::{
    Dashboard,
    failure::Failure,
    pages::{self, Frame, Page, Place},
    session::SignedIn,
    text::Time,
};

const PATH: &str = "/admin/audit";
/// Entries of a page.
const PAGE_ENTRIES: i64 = 50;
/// How much of a value is shown, in characters.
const VALUE_MAX_CHARS: usize = 200;

/// Which page.
#[derive(Deserialize)]
pub(crate) struct Cursor {
    after: Option<i64>,
}

#[derive(Serialize)]
struct View {
    rows: Vec<Row>,
    next: Option<String>,
    first: bool,
}

#[derive(Serialize)]
struct Row {
    seq: i64,
    at: Time,
    actor: String,
    kind: String,
    address: Option<String>,
    action: String,
    subject: String,
    changes: Vec<Change>,
    request_id: Option<String>,
    hash: String,
}

/// A member that was there before, or is there now.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

pub(crate) async fn show(
    dashboard: web::Data<Dashboard>,
    cursor: web::Query<Cursor>,
    by: SignedIn,
) -> Result<HttpResponse, Failure> {
    let mut entries = dashboard.store.audit_entries(&by.subtree(), cursor.after, PAGE_ENTRIES + 1).await?;
    let more = entries.len() as i64 > PAGE_ENTRIES;
    entries.truncate(PAGE_ENTRIES as usize);
    let next = entries.last().filter(|_| more).map(|last| format!("{PATH}?after={}", last.seq));
    let now = now_ms();
    let view =
        View { rows: entries.into_iter().map(|entry| row(entry, now)).collect(), next, first: cursor.after.is_none() };
    pages::respond(StatusCode::OK, Page::Audit, Frame::of("Audit log", Place::Audit, &by, &dashboard), view)
}

fn row(entry: AuditEntry, now: Millis) -> Row {
    Row {
        seq: entry.seq,
        at: Time::new(entry.at, now),
        actor: entry.actor_name,
        kind: entry.actor_kind,
        address: entry.address,
        action: entry.action,
        subject: entry.subject,
        changes: changes(entry.before.as_deref(), entry.after.as_deref()),
        request_id: entry.request_id,
        hash: entry.hash.chars().take(12).collect(),
    }
}

/// Member by member, what was and what is; what stayed the same is left out.
fn changes(before: Option<&str>, after: Option<&str>) -> Vec<Change> {
    let (before, after) = (members(before), members(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| Change { name: name.clone(), before: before.get(name).cloned(), after: after.get(name).cloned() })
        .collect()
}

/// The members of an entry's JSON that say something, those of objects in it with both
/// names.
fn members(json: Option<&str>) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    match json.map(serde_json::from_str::<Value>) {
        Some(Ok(Value::Object(object))) => add(&mut members, "", &object),
        Some(Ok(value)) => members.extend(shown(&value).map(|text| ("value".to_owned(), text))),
        _ => {}
    }
    members
}

fn add(members: &mut BTreeMap<String, String>, above: &str, object: &Map<String, Value>) {
    for (name, value) in object {
        let name = format!("{above}{name}");
        match value {
            Value::Object(object) => add(members, &format!("{name}."), object),
            value => members.extend(shown(value).map(|text| (name, text))),
        }
    }
}

fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::Array(list) if list.is_empty() => return None,
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut shown: String = text.chars().take(VALUE_MAX_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_what_was_and_what_is_and_nothing_that_stayed() {
        let change = |name: &str, before: Option<&str>, after: Option<&str>| Change {
            name: name.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let before = r#"{"name": "North", "status": "active", "policy": {"messages_per_day": 5}}"#;
        let after = r#"{"name": "North", "status": "suspended", "reason": "Spam", "policy": {"messages_per_day": 6}}"#;
        assert_eq!(
            changes(Some(before), Some(after)),
            [
                change("policy.messages_per_day", Some("5"), Some("6")),
                change("reason", None, Some("Spam")),
                change("status", Some("active"), Some("suspended")),
            ]
        );
        assert_eq!(changes(None, Some("7")), [change("value", None, Some("7"))]);
        let said = r#"{"roles": ["api", "worker"], "none": null, "blank": "", "empty": [], "object": {}}"#;
        assert_eq!(changes(None, Some(said)), [change("roles", None, Some("api, worker"))]);
        assert_eq!(changes(None, None), []);
        let long = format!("{{\"text\": \"{}\"}}", "é".repeat(300));
        assert_eq!(changes(None, Some(&long))[0].after.as_ref().unwrap().chars().count(), 201);
    }
}
