//! Sending, and what became of it.

use actix_web::{HttpRequest, HttpResponse, get, patch, post, web};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;
use waystation_core::{
    clock::{Millis, from_rfc3339, now_ms},
    error::{ApiError, Breach, ErrorKind},
    ids::MessageId,
    messages::{Category, address::Address, intake::BATCH_MAX_MESSAGES, request::Dialect, state::State},
    store::{MessageFilter, MessageView},
    tenancy::Tenant,
};

use crate::{
    Api,
    answers::{Absent, Asked, Bodied, Conflicting, Guarded, Sendable},
    auth::{By, ByTenant, MessagesRead, MessagesSend, SentByTenant, demands},
    bodies::PageOf,
    failure::Failure,
    input,
    request::RequestId,
    schema::{Accepted, Message, MessageBatch, MessageBatchResult, MessageChange, MessageEvents, PlatformMessage},
    shared::{accept, ask, idempotency_key},
};

/// Send a message
///
/// The Cloud API's body plus `from`. Answers once the message is on disk.
#[utoipa::path(
    tag = "Messages",
    operation_id = "sendMessage",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "At most 255 characters. For 24 hours, the same \
            request with the same key is answered with the first answer and `Idempotency-Replayed: true`."),
    ),
    request_body = PlatformMessage,
    responses(
        (status = 202, description = "Accepted: it is on disk, and will be sent.", body = Accepted),
        Guarded<MessagesSend>, Absent, Sendable,
    ),
)]
#[post("/v1/messages")]
pub(crate) async fn send_message(
    request: HttpRequest,
    api: web::Data<Api>,
    sent: SentByTenant<MessagesSend>,
) -> Result<HttpResponse, Failure> {
    let accepted = accept(&request, &api, &sent, None, Dialect::Platform).await?;
    let mut response = HttpResponse::Accepted();
    if accepted.replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    Ok(response.json(Accepted::from(accepted)))
}

/// Send many messages
///
/// What can be accepted is, in one commit; `results` says of each what became of it, in order, with the status that it
/// would have had alone. So the answer is 200 also when some were refused, or all. Each counts against the limits like a
/// request of its own: those over a limit are refused, and can be sent again in a request of their own.
#[utoipa::path(
    tag = "Messages",
    operation_id = "sendMessages",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "At most 255 characters. For 24 hours, the same \
            request with the same key accepts nothing twice: messages that were accepted are answered with the same id, \
            those that were refused are tried again."),
    ),
    request_body = MessageBatch,
    responses(
        (status = 200, description = "What became of each.", body = MessageBatchResult),
        Guarded<MessagesSend>, Bodied,
    ),
)]
#[post("/v1/messages/batch")]
pub(crate) async fn send_messages(sent: SentByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer_of_others(async {
        let key = idempotency_key(&by.request)?;
        let MessageBatch { messages } = input::json(&sent.body)?;
        // The request has been counted as the first. One with too many of them is refused as a whole.
        let counted = messages.len().min(BATCH_MAX_MESSAGES);
        let more = join_all((1..counted).map(|_| by.api.limiter.take(demands(&by.principal)))).await;
        let waits = more.iter().map(|ruling| (!ruling.allowed).then(|| ruling.retry_after_ms()));
        let waits = std::iter::once(None).chain(waits).chain(std::iter::repeat(None)).take(messages.len());
        let waits: Vec<Option<u64>> = waits.collect();
        let results = by.api.intake.accept_batch(&by.principal, messages, &waits, key).await?;
        Ok(HttpResponse::Ok().json(MessageBatchResult::new(results, &RequestId::of(&by.request))))
    })
    .await
}

/// Change a scheduled message
///
/// Possible until its time has come: another time, another text. The message is checked as if it had been sent like that.
#[utoipa::path(
    tag = "Messages",
    operation_id = "changeMessage",
    params(("id" = String, Path, description = "The message's id.", example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")),
    request_body = MessageChange,
    responses(
        (status = 200, description = "The message.", body = Message),
        Guarded<MessagesSend>, Absent, Sendable, Conflicting,
    ),
)]
#[patch("/v1/messages/{id}")]
pub(crate) async fn change_message(sent: SentByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let change: Map<String, Value> = input::json(&sent.body)?;
        let message = by.api.intake.change(&by.principal, &by.id("id")?, change, now_ms()).await?;
        Ok(HttpResponse::Ok().json(with_sender(by, message).await?))
    })
    .await
}

/// Cancel a message
///
/// Possible until an attempt to send it has started. It then ends as `canceled`, which webhooks tell as a failure with the
/// reason. A message that is canceled already is answered as it is.
#[utoipa::path(
    tag = "Messages",
    operation_id = "cancelMessage",
    params(("id" = String, Path, description = "The message's id.", example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")),
    responses(
        (status = 200, description = "The message.", body = Message),
        Guarded<MessagesSend>, Absent, Conflicting,
    ),
)]
#[post("/v1/messages/{id}/cancel")]
pub(crate) async fn cancel_message(by: ByTenant<MessagesSend>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let message = by.api.intake.cancel(&by.principal, &by.id("id")?, now_ms()).await?;
        Ok(HttpResponse::Ok().json(with_sender(&by, message).await?))
    })
    .await
}

/// Read a message
#[utoipa::path(
    tag = "Messages",
    operation_id = "getMessage",
    params(("id" = String, Path, description = "The message's id.", example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")),
    responses(
        (status = 200, description = "The message.", body = Message),
        Guarded<MessagesRead>, Absent,
    ),
)]
#[get("/v1/messages/{id}")]
pub(crate) async fn get_message(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
    by: ByTenant<MessagesRead>,
) -> Result<HttpResponse, Failure> {
    let found = match id.parse::<MessageId>() {
        Ok(id) => ask(&request, api.store.message(by.principal.business(), &id)).await?,
        Err(_) => None,
    };
    match found {
        Some(message) => {
            let message = with_sender(&by, message).await.map_err(|error| Failure::new(&request, error))?;
            Ok(HttpResponse::Ok().json(message))
        }
        None => Err(no_such_message(&request)),
    }
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MessagesQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// Those that stand here now.
    #[param(value_type = Option<State>)]
    status: Option<String>,
    /// Those accepted at this time or later. RFC 3339.
    #[param(example = "2026-11-22T00:00:00Z")]
    accepted_from: Option<String>,
    /// Those accepted before this time. RFC 3339.
    #[param(example = "2026-11-23T00:00:00Z")]
    accepted_before: Option<String>,
    /// Those of this sender: its phone number id.
    #[param(example = "106540352242922")]
    from: Option<String>,
    /// Those to this phone number, with its country code.
    #[param(example = "16505550001")]
    to: Option<String>,
    /// Those to this user id.
    #[param(example = "US.13491208655302741918")]
    recipient: Option<String>,
    /// Those made of the template of this name.
    #[param(example = "order_update")]
    template: Option<String>,
    /// Those with exactly this data of yours.
    #[param(example = "order A-17")]
    biz_opaque_callback_data: Option<String>,
    /// Those for this: `service`, `utility`, `authentication` or `marketing`.
    #[param(example = "marketing")]
    category: Option<String>,
}

impl MessagesQuery {
    /// The filter, or everything that is wrong with it.
    fn filter(&self) -> Result<MessageFilter, ApiError> {
        let mut breaches = Vec::new();
        let mut breach = |name: &str, message: String| {
            breaches.push(Breach { pointer: format!("?{name}"), message, limit: None, actual: None });
        };
        let mut time = |name: &str, text: &Option<String>| -> Option<Millis> {
            let at = text.as_deref().map(from_rfc3339)?;
            if at.is_none() {
                breach(name, "must be a time in RFC 3339, for example 2026-11-22T00:00:00Z".to_owned());
            }
            at
        };
        let accepted_from = time("accepted_from", &self.accepted_from);
        let accepted_before = time("accepted_before", &self.accepted_before);
        let state = self.status.as_deref().map(State::parse);
        if state == Some(None) {
            breach("status", format!("must be one of {}", State::ALL.map(State::name).join(", ")));
        }
        let category = self.category.as_deref().map(Category::parse);
        if category == Some(None) {
            breach("category", format!("must be one of {}", Category::ALL.map(Category::name).join(", ")));
        }
        let sender = self.from.as_deref().map(|text| text.parse().ok());
        if sender == Some(None) {
            breach("from", "must be a phone number id, which consists of digits".to_owned());
        }
        let recipient = match (&self.to, &self.recipient) {
            (Some(_), Some(_)) => {
                breach("recipient", "cannot be combined with \"to\"".to_owned());
                None
            }
            (Some(phone), None) => {
                let address = Address::phone(phone);
                if address.is_none() {
                    breach("to", "must be a phone number with its country code".to_owned());
                }
                address
            }
            (None, Some(id)) => {
                let address = Address::user_id(id);
                if address.is_none() {
                    breach("recipient", "must be a business-scoped user id".to_owned());
                }
                address
            }
            (None, None) => None,
        };
        if !breaches.is_empty() {
            return Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches));
        }
        Ok(MessageFilter {
            state: state.flatten(),
            accepted_from,
            accepted_before,
            recipient,
            sender: sender.flatten(),
            template: self.template.clone(),
            callback_data: self.biz_opaque_callback_data.clone(),
            category: category.flatten(),
        })
    }
}

/// List messages
///
/// Newest first. Filters can be combined. A page may have fewer entries than its limit, even none, because it looks at a
/// bounded number of messages: the list ends where `next` is null. What is accepted meanwhile comes before the first
/// page, so no message is met twice or missed.
#[utoipa::path(
    tag = "Messages",
    operation_id = "listMessages",
    params(MessagesQuery),
    responses(
        (status = 200, description = "A page of messages.", body = PageOf<Message>),
        Guarded<MessagesRead>, Asked,
    ),
)]
#[get("/v1/messages")]
pub(crate) async fn list_messages(by: ByTenant<MessagesRead>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let query: MessagesQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let page = by.api.store.messages(by.principal.business(), &query.filter()?, &paging).await?;
        let mut data = Vec::with_capacity(page.entries.len());
        for message in page.entries {
            data.push(with_sender(&by, message).await?);
        }
        Ok(HttpResponse::Ok().json(PageOf { data, next: page.next }))
    })
    .await
}

/// A message with what is known of its sender.
async fn with_sender<N>(by: &By<Tenant, N>, message: MessageView) -> Result<Message, ApiError> {
    let sender = by.api.directory.sender(by.principal.business(), message.via().unwrap_or(message.sender_id)).await?;
    Ok(Message::new(message, sender.as_deref()))
}

/// Read the history of a message
///
/// Each hop with its time, attempt and adapter, oldest first.
#[utoipa::path(
    tag = "Messages",
    operation_id = "listMessageEvents",
    params(("id" = String, Path, description = "The message's id.", example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")),
    responses(
        (status = 200, description = "Its history.", body = MessageEvents),
        Guarded<MessagesRead>, Absent,
    ),
)]
#[get("/v1/messages/{id}/events")]
pub(crate) async fn list_message_events(
    request: HttpRequest,
    id: web::Path<String>,
    api: web::Data<Api>,
    by: ByTenant<MessagesRead>,
) -> Result<HttpResponse, Failure> {
    let found = match id.parse::<MessageId>() {
        Ok(id) => ask(&request, api.store.message_history(by.principal.business(), &id)).await?,
        Err(_) => None,
    };
    found
        .map(|(message, events)| HttpResponse::Ok().json(MessageEvents::new(&message, events)))
        .ok_or_else(|| no_such_message(&request))
}

fn no_such_message(request: &HttpRequest) -> Failure {
    let details = "No message with this id belongs to this key's business.";
    Failure::new(request, ApiError::new(ErrorKind::NotFound, details))
}
