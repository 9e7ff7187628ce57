//! The steps that a business has taken, as a page tells them: newest first.

use serde::Serialize;
use waystation_core::{
    clock::Millis,
    onboarding::{Action, HistoryEntry},
};

use crate::text::{self, Badge, Time};

/// A step, told.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    what: &'static str,
    state: Badge,
    at: Time,
    by: String,
    reason: Option<String>,
}

/// What `history` tells.
pub(crate) fn events(history: Vec<HistoryEntry>, now: Millis) -> Vec<Event> {
    history
        .into_iter()
        .rev()
        .map(|entry| Event {
            what: past(entry.action),
            state: text::state(entry.to.name()),
            at: Time::new(entry.at, now),
            by: entry.by.name,
            reason: entry.reason,
        })
        .collect()
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Submit => "Submitted",
        Action::StartReview => "Review started",
        Action::RequestChanges => "Changes requested",
        Action::Approve => "Approved",
        Action::Reject => "Rejected",
        Action::Suspend => "Suspended",
        Action::Resume => "Resumed",
        Action::Close => "Closed",
    }
}
