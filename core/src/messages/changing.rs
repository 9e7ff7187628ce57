//! What can be done about a message after it was accepted: a scheduled one can be moved and rewritten, and whatever was not
//! tried yet can be taken back.

use serde_json::{Map, Value};

use super::{
    intake::{Incoming, Intake, Kept, job, question},
    outside::as_asked,
    request::{Dialect, FALLBACK},
    schedule,
    sealed::Content,
    state::State,
};
use crate::{
    clock::{Millis, rfc3339},
    delivery::{SOON_MS, delivery_job},
    error::{ApiError, ErrorKind},
    ids::MessageId,
    queue::Topic,
    store::{Changed, MessageView},
    tenancy::Tenant,
};

/// Members that a change cannot name: whoever wants another sender or recipient sends another message.
const FIXED: [&str; 5] = ["from", "to", "recipient", "recipient_type", "messaging_product"];

impl Intake {
    /// Changes a scheduled message: `body` has the members of a message that are to be different; one that is null is
    /// taken away. The whole is checked as if it had been sent.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] once it is not scheduled any more; what is wrong with the message as it would be.
    pub async fn change(
        &self,
        principal: &Tenant,
        id: &MessageId,
        body: Map<String, Value>,
        now: Millis,
    ) -> Result<MessageView, ApiError> {
        let business = principal.business();
        let (Some(view), Some((object, sealed))) =
            (self.store.message(business, id).await?, self.store.message_object(business, id).await?)
        else {
            return Err(no_such_message());
        };
        let scheduled_at = view.progress.due_at.filter(|_| view.progress.state == State::Scheduled);
        let scheduled_at = scheduled_at.ok_or_else(|| too_late(&view, "changed"))?;
        if let Some(fixed) = FIXED.iter().find(|name| body.contains_key(**name)) {
            let message = "cannot be changed; cancel the message and send another one";
            return Err(ApiError::breach(&format!("/{fixed}"), message));
        }
        let object = match sealed {
            Some(sealed) => {
                Content::open(&self.vault, id, &sealed)
                    .map_err(|_| ApiError::new(ErrorKind::Internal, "The message could not be read."))?
                    .body
            }
            None => as_asked(object),
        };
        let whole = merged(&object, &body)?;
        let ttl_ms = view.progress.expires_at - scheduled_at;
        let kept = Kept { id: id.clone(), accepted_at: view.accepted_at, scheduled_at, ttl_ms };
        let incoming = Incoming {
            sender: Some(view.sender_id),
            dialect: Dialect::Platform,
            body: whole.as_bytes(),
            idempotency_key: None,
        };
        let mut prepared = self.prepare_as(principal, incoming, Some(&kept), now).await?;
        if let Some(Some(refusal)) = self.eligibility.check(&[question(&prepared)], now).await?.into_iter().next() {
            return Err(refusal.into());
        }
        if !body.contains_key(FALLBACK) {
            let since = prepared.message.due_at();
            prepared.message.routing =
                view.progress.routing.as_ref().map(|routing| Box::new(routing.beginning_at(since)));
        }
        if let Some(scheduled) = &mut prepared.message.scheduled {
            for (name, _) in &mut scheduled.notes {
                if *name == State::Scheduled.name() {
                    *name = "rescheduled";
                }
            }
            if body.keys().any(|name| !schedule::MEMBERS.contains(&name.as_str())) {
                scheduled.notes.push(("changed", "What it says was replaced.".to_owned()));
            }
        }
        match self.store.change_message(business, id, &prepared.message, now).await? {
            Changed::Yes(view, _) => {
                if prepared.message.due_at() <= now + SOON_MS {
                    self.enqueuer.enqueue(Topic::Messages, vec![job(&prepared.message)]);
                }
                Ok(view)
            }
            Changed::TooLate(view) => Err(too_late(&view, "changed")),
            Changed::Absent => Err(no_such_message()),
        }
    }

    /// Takes a message back before anything of it was tried. One that is canceled already stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] once an attempt has started.
    pub async fn cancel(&self, principal: &Tenant, id: &MessageId, now: Millis) -> Result<MessageView, ApiError> {
        let reason = "Canceled at the request of its sender.";
        match self.store.cancel_message(principal.business(), id, reason, now).await? {
            Changed::Yes(view, deliveries) => {
                self.enqueuer.enqueue(Topic::Webhooks, deliveries.iter().map(delivery_job).collect());
                Ok(view)
            }
            Changed::TooLate(view) if view.progress.state == State::Canceled => Ok(view),
            Changed::TooLate(view) => Err(too_late(&view, "canceled")),
            Changed::Absent => Err(no_such_message()),
        }
    }
}

/// The object with the members that are to be different.
fn merged(object: &str, body: &Map<String, Value>) -> Result<String, ApiError> {
    let mut whole: Map<String, Value> = serde_json::from_str(object)
        .map_err(|_| ApiError::new(ErrorKind::Internal, "The message could not be read."))?;
    // What an earlier type said does not stay behind.
    if let (Some(Value::String(new)), Some(Value::String(old))) = (body.get("type"), whole.get("type").cloned())
        && *new != old
    {
        whole.remove(&old);
    }
    for (name, value) in body {
        if value.is_null() {
            whole.remove(name);
        } else {
            whole.insert(name.clone(), value.clone());
        }
    }
    Ok(Value::Object(whole).to_string())
}

fn no_such_message() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "No message with this id belongs to this key's business.")
}

fn too_late(view: &MessageView, what: &str) -> ApiError {
    let details = format!(
        "The message is {} since {} and can no longer be {what}.",
        view.progress.state.name(),
        rfc3339(view.updated_at)
    );
    ApiError::new(ErrorKind::Conflict, details)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_replaces_members_and_takes_null_ones_away() {
        let object =
            json!({"to": "1", "type": "text", "text": {"body": "a"}, "biz_opaque_callback_data": "x"}).to_string();
        let change = json!({"type": "image", "image": {"id": "1"}, "biz_opaque_callback_data": null});
        let whole: Value = serde_json::from_str(&merged(&object, change.as_object().unwrap()).unwrap()).unwrap();
        assert_eq!(whole, json!({"to": "1", "type": "image", "image": {"id": "1"}}));
    }
}
