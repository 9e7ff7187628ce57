//! The way in: a message answered with success is on disk.
//!
//! [`Intake::accept`] checks a request against the sender and the template, hands
//! the message to the group committer, and returns only after its batch is
//! committed. Putting it into the queue comes after that and may fail without harm:
//! the reconciler finds what the queue does not know.

use std::{sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

use super::{
    Category,
    address::Address,
    outside::Instead,
    render::Rendering,
    request::{Dialect, Request, SendRequest},
    sealed::{Content, SEALED_BODY},
    template::TemplateMessage,
};
use crate::{
    batch::Batcher,
    clock::{Millis, now_ms},
    delivery::Enqueuer,
    eligibility::{Eligibility, Question, Refusal},
    error::{ApiError, Breach, ErrorKind},
    ids::{MessageId, SenderId},
    limits::Limiter,
    queue::{Job, Topic},
    store::{AcceptResult, IdempotencyClaim, NewMessage, Store, StoreError},
    templates,
    tenancy::{Directory, Mode, Sender, Standing, Tenant},
    vault::Vault,
};

/// Messages in one commit at most.
const COMMIT_MAX_MESSAGES: usize = 500;
/// How long a commit may take before the client is told that it is not known.
const COMMIT_MAX: Duration = Duration::from_secs(10);
/// How long an idempotency key holds, in milliseconds.
const IDEMPOTENCY_LIFE_MS: Millis = 24 * 60 * 60 * 1_000;
/// Longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_MAX_CHARS: usize = 255;

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'r> {
    /// The sender that the path names; without one, the body's `from`.
    pub sender: Option<SenderId>,
    /// Which form the body has.
    pub dialect: Dialect,
    /// The body.
    pub body: &'r [u8],
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<&'r str>,
}

/// A message that is on disk.
#[derive(Debug, Clone)]
pub struct AcceptedMessage {
    /// Its id.
    pub id: MessageId,
    /// The sender.
    pub sender: SenderId,
    /// The recipient as the request wrote it.
    pub to: String,
    /// Whom it is for.
    pub recipient: Address,
    /// The Cloud API message type.
    pub kind: &'static str,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// Whether an earlier request with the same idempotency key had accepted it.
    pub replayed: bool,
    /// What was accepted although one of the Cloud API's sources would not.
    pub warnings: Vec<Breach>,
}

/// A message that was checked and is on no disk yet.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) message: NewMessage,
    to: String,
    recipient: Address,
    warnings: Vec<Breach>,
    /// What a day holds, if this message is to be counted against it.
    cap: Option<u64>,
}

/// What became of a message in its commit.
#[derive(Debug)]
enum Committed {
    Answered(AcceptResult),
    /// The person must not get it.
    Refused(Refusal),
    Failed(Arc<StoreError>),
}

/// The way in. Clones share the committer.
#[derive(Debug, Clone)]
pub struct Intake {
    store: Store,
    directory: Directory,
    limiter: Limiter,
    vault: Vault,
    commits: Batcher<Prepared, Committed>,
    message_ttl: Duration,
}

impl Intake {
    /// Starts the group committer. `message_ttl` is how long a message is worth
    /// sending.
    #[must_use]
    pub fn start(
        store: Store,
        directory: Directory,
        vault: Vault,
        eligibility: Eligibility,
        limiter: Limiter,
        enqueuer: Enqueuer,
        message_ttl: Duration,
    ) -> Self {
        let committing = store.clone();
        let commits = Batcher::start(COMMIT_MAX_MESSAGES, move |batch| {
            let (store, eligibility, enqueuer) = (committing.clone(), eligibility.clone(), enqueuer.clone());
            async move { commit(&store, &eligibility, &enqueuer, batch).await }
        });
        Self { store, directory, limiter, vault, commits, message_ttl }
    }

    /// Accepts one message.
    ///
    /// # Errors
    /// What is wrong with the request: then nothing was accepted. Or
    /// [`ErrorKind::Unavailable`]: then the database did not say in time whether it was
    /// kept, and only a repeat with the same idempotency key is sure to be one message.
    pub async fn accept(&self, principal: &Tenant, incoming: Incoming<'_>) -> Result<AcceptedMessage, ApiError> {
        let prepared = self.prepare(principal, incoming, now_ms()).await?;
        self.submit(principal, prepared).await
    }

    /// Reads and checks a request, and writes nothing.
    pub(crate) async fn prepare(
        &self,
        principal: &Tenant,
        incoming: Incoming<'_>,
        now: Millis,
    ) -> Result<Prepared, ApiError> {
        check_idempotency_key(incoming.idempotency_key)?;
        let request = match Request::read(incoming.body, incoming.dialect)? {
            Request::Send(request) => request,
            Request::MarkAsRead(_) => {
                let message = "marks nothing as read here; POST /v1/inbound-messages/{id}/read does";
                return Err(ApiError::breach("/status", message));
            }
        };
        let sender = self.sender(principal, &incoming, request.from.as_deref()).await?;
        check_sender(principal, &sender)?;
        if request.recipient.as_phone() == Some(sender.phone.as_str()) {
            let message = "is the sender's own number".to_owned();
            let breach = Breach { pointer: "/to".to_owned(), message, limit: None, actual: None };
            return Err(ApiError::breaches(ErrorKind::RecipientIsSender, vec![breach]));
        }
        let instead = self.instead(&sender, &request).await?;
        let kind = request.content.kind();
        let template = request.content.template_name().map(ToOwned::to_owned);
        let (rendered, category) = self.render(&sender, &request.recipient, request.content.into_rendering()).await?;
        let idempotency = incoming.idempotency_key.map(|key| claim(principal, &incoming, sender.id, key, now));
        let mut cap = sender.policy.messages_per_day;
        if let (Some(_), Some(claim)) = (cap, &idempotency)
            && self.store.is_claimed(claim, now).await?
        {
            // It is answered with what was accepted then, which was counted then.
            cap = None;
        }
        let id = MessageId::generate_at(now);
        let (mut body, mut rendered, mut sealed) = (request.object, rendered, None);
        if category == Category::Authentication {
            sealed = Some(Content { body, rendered }.seal(&self.vault, &id));
            (body, rendered) = (SEALED_BODY.to_owned(), String::new());
        }
        let (mut kind, mut category, mut template) = (kind, category, template);
        if let Some(instead) = instead {
            if self.is_window_closed(&sender, &request.recipient, now).await? {
                (kind, category, template) = ("template", instead.category(), Some(instead.template));
                (body, rendered) = (instead.body, instead.rendered);
            } else {
                body = instead.within(&body);
            }
        }
        let message = NewMessage {
            id,
            business_id: principal.business().clone(),
            sender_id: sender.id,
            recipient: request.recipient.as_str().to_owned(),
            kind,
            category,
            template,
            body,
            rendered,
            sealed,
            callback_data: request.callback_data,
            accepted_at: now,
            scheduled: None,
            expires_at: now + i64::try_from(self.message_ttl.as_millis()).unwrap_or(i64::MAX / 2),
            idempotency,
        };
        Ok(Prepared { message, to: request.to, recipient: request.recipient, warnings: request.warnings, cap })
    }

    /// The template that a request names for the time outside of the customer-care window, filled.
    async fn instead(&self, sender: &Sender, request: &SendRequest) -> Result<Option<Instead>, ApiError> {
        let Some(template) = &request.outside_window else { return Ok(None) };
        let at = |error: ApiError| error.below("/outside_window");
        let message: TemplateMessage = serde_json::from_value(template.clone())
            .map_err(|error| ApiError::breach("/outside_window/template", format!("cannot be read: {error}")))?;
        let name = message.name.clone();
        let rendering = Rendering::Template(message);
        let (rendered, category) = self.render(sender, &request.recipient, rendering).await.map_err(at)?;
        if category == Category::Authentication {
            let message = "must not bring a one-time password";
            return Err(ApiError::breach("/outside_window/template", message));
        }
        let kind = request.content.kind();
        Ok(Some(Instead::new(&request.object, kind, (&name, template.clone()), rendered, category)))
    }

    /// Whether the sender's network takes nothing but templates to this person now.
    async fn is_window_closed(&self, sender: &Sender, recipient: &Address, now: Millis) -> Result<bool, ApiError> {
        if !sender.enforces_window() {
            return Ok(false);
        }
        let window = self.store.window(&sender.business, sender.id, recipient).await?;
        Ok(window.is_none_or(|window| !window.is_open(now)))
    }

    /// Makes a message durable. Several that are submitted side by side are one commit.
    pub(crate) async fn submit(&self, principal: &Tenant, prepared: Prepared) -> Result<AcceptedMessage, ApiError> {
        let (business, cap, now) = (principal.business(), prepared.cap, prepared.message.accepted_at);
        if let Some(cap) = cap {
            self.limiter.count_message(business, cap, now).await?;
        }
        let accepted = AcceptedMessage {
            id: prepared.message.id.clone(),
            sender: prepared.message.sender_id,
            to: prepared.to.clone(),
            recipient: prepared.recipient.clone(),
            kind: prepared.message.kind,
            accepted_at: now,
            replayed: false,
            warnings: prepared.warnings.clone(),
        };
        let committed = tokio::time::timeout(COMMIT_MAX, self.commits.submit(prepared))
            .await
            .map_err(|_| ApiError::new(ErrorKind::Unavailable, "The database does not answer in time."))??;
        if cap.is_some() && !matches!(committed, Committed::Answered(AcceptResult::Created)) {
            self.limiter.uncount_message(business, now).await;
        }
        match committed {
            Committed::Failed(error) => Err(unkept(&error)),
            Committed::Refused(refusal) => Err(refusal.into()),
            Committed::Answered(AcceptResult::Created) => Ok(accepted),
            Committed::Answered(AcceptResult::KeyReused) => Err(ApiError::new(
                ErrorKind::IdempotencyKeyReused,
                "The Idempotency-Key of this request belongs to a request with another body.",
            )),
            Committed::Answered(AcceptResult::Replayed(first)) => {
                let accepted_at = match self.store.message(business, &first).await? {
                    Some(message) => message.accepted_at,
                    None => now,
                };
                Ok(AcceptedMessage { id: first, accepted_at, replayed: true, ..accepted })
            }
        }
    }

    async fn sender(
        &self,
        principal: &Tenant,
        incoming: &Incoming<'_>,
        from: Option<&str>,
    ) -> Result<Arc<Sender>, ApiError> {
        let id = match (incoming.sender, from) {
            (Some(id), _) => id,
            (None, Some(from)) => self.sender_named(principal, from).await?,
            (None, None) => {
                let message = "is required: the id or the phone number of the sender".to_owned();
                let breach = Breach { pointer: "/from".to_owned(), message, limit: None, actual: None };
                return Err(ApiError::breaches(ErrorKind::ParameterMissing, vec![breach]));
            }
        };
        self.directory.sender(principal.business(), id).await?.ok_or_else(|| no_such_sender(&id.to_string()))
    }

    /// The sender of `from`, if this credential may send through it now.
    pub(crate) async fn sender_for(&self, principal: &Tenant, from: &str) -> Result<Arc<Sender>, ApiError> {
        let id = self.sender_named(principal, from).await?;
        let sender = self.directory.sender(principal.business(), id).await?.ok_or_else(|| no_such_sender(from))?;
        check_sender(principal, &sender)?;
        Ok(sender)
    }

    /// A sender by its phone number id or its phone number.
    async fn sender_named(&self, principal: &Tenant, from: &str) -> Result<SenderId, ApiError> {
        if let Ok(id) = from.parse::<SenderId>()
            && self.directory.sender(principal.business(), id).await?.is_some()
        {
            return Ok(id);
        }
        let by_phone = match super::phone::digits(from) {
            Some(phone) => self.store.sender_by_phone(principal.business(), &phone).await?,
            None => None,
        };
        by_phone.ok_or_else(|| no_such_sender(from))
    }

    async fn render(
        &self,
        sender: &Sender,
        recipient: &Address,
        shown: Rendering,
    ) -> Result<(String, Category), ApiError> {
        let message = match shown {
            Rendering::Text(text) => return Ok((text, Category::Service)),
            Rendering::Template(message) => message,
        };
        let (name, language) = (&message.name, &message.language.code);
        let template = self.directory.template(sender.account, name, language).await?;
        let template = template.ok_or_else(|| templates::missing(name, language, "does not exist"))?;
        if template.is_authentication() && recipient.as_phone().is_none() {
            let message = "must be a phone number in \"to\": the template brings a one-time password".to_owned();
            let breach = Breach { pointer: "/recipient".to_owned(), message, limit: None, actual: None };
            return Err(ApiError::breaches(ErrorKind::RecipientUnsupported, vec![breach]));
        }
        template.sendable(&sender.adapter)?;
        Ok((template.fill(&message)?, template.category()))
    }
}

/// Whether this credential may send through this sender now.
pub(crate) fn check_sender(principal: &Tenant, sender: &Sender) -> Result<(), ApiError> {
    if let Some(hold) = sender.hold() {
        if sender.is_deregistered() {
            return Err(ApiError::new(ErrorKind::NumberDeregistered, hold.to_string()));
        }
        return Err(ApiError::new(ErrorKind::Suspended, hold.to_string()));
    }
    if !sender.is_sandbox() && principal.mode == Mode::Test {
        let details = "A test key reaches sandbox senders only; use a live key for this one.";
        return Err(ApiError::new(ErrorKind::NotVerified, details));
    }
    if !sender.is_sandbox() && sender.standing == Standing::Unverified {
        let details =
            "The business or its number is not verified yet; until then it can send through the sandbox only.";
        return Err(ApiError::new(ErrorKind::NotVerified, details));
    }
    if !sender.policy.allows_channel(&sender.channel) {
        let details = format!("This business may not use the channel \"{}\".", sender.channel);
        return Err(ApiError::new(ErrorKind::PermissionDenied, details));
    }
    Ok(())
}

fn no_such_sender(given: &str) -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        format!("No phone number with the id {} belongs to this key's business.", super::request::excerpt(given)),
    )
}

fn check_idempotency_key(key: Option<&str>) -> Result<(), ApiError> {
    match key {
        Some(key) if key.is_empty() || key.chars().count() > IDEMPOTENCY_KEY_MAX_CHARS => Err(ApiError::new(
            ErrorKind::ParameterInvalid,
            format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_MAX_CHARS} characters."),
        )),
        _ => Ok(()),
    }
}

/// A key is unique for an API key and a route; the fingerprint covers what was asked.
fn claim(principal: &Tenant, incoming: &Incoming<'_>, sender: SenderId, key: &str, now: Millis) -> IdempotencyClaim {
    let route = match incoming.dialect {
        Dialect::CloudApi => "cloud",
        Dialect::Platform => "v1",
    };
    let mut hash = Sha256::new();
    hash.update(sender.to_string());
    hash.update([0]);
    hash.update(incoming.body);
    IdempotencyClaim {
        scope: format!("{}:{route}:messages", principal.credential),
        key: key.to_owned(),
        fingerprint: hex::encode(hash.finalize()),
        expires_at: now + IDEMPOTENCY_LIFE_MS,
    }
}

fn unkept(error: &StoreError) -> ApiError {
    tracing::error!(error = %error, "a message could not be kept");
    if error.is_transient() {
        ApiError::new(ErrorKind::Unavailable, "The database does not answer right now.")
    } else {
        ApiError::new(ErrorKind::Internal, "The message could not be kept.")
    }
}

async fn commit(store: &Store, eligibility: &Eligibility, enqueuer: &Enqueuer, batch: Vec<Prepared>) -> Vec<Committed> {
    let questions: Vec<Question<'_>> = batch.iter().map(question).collect();
    let refusals = match eligibility.check(&questions, now_ms()).await {
        Ok(refusals) => refusals,
        Err(error) => {
            let error = Arc::new(error);
            return batch.iter().map(|_| Committed::Failed(error.clone())).collect();
        }
    };
    let mut committed: Vec<Option<Committed>> =
        refusals.into_iter().map(|refusal| refusal.map(Committed::Refused)).collect();
    let eligible: Vec<NewMessage> = batch
        .into_iter()
        .zip(&committed)
        .filter(|(_, refused)| refused.is_none())
        .map(|(prepared, _)| prepared.message)
        .collect();
    let mut kept = keep(store, enqueuer, eligible).await.into_iter();
    for place in committed.iter_mut().filter(|place| place.is_none()) {
        *place = kept.next();
    }
    committed.into_iter().flatten().collect()
}

fn question(prepared: &Prepared) -> Question<'_> {
    let message = &prepared.message;
    Question {
        message: &message.id,
        business: &message.business_id,
        sender: message.sender_id,
        recipient: &prepared.recipient,
        category: message.category,
        kind: message.kind,
    }
}

async fn keep(store: &Store, enqueuer: &Enqueuer, batch: Vec<NewMessage>) -> Vec<Committed> {
    if batch.is_empty() {
        return Vec::new();
    }
    let jobs: Vec<Job> = batch.iter().map(job).collect();
    let results: Vec<Committed> = match store.accept(batch.clone()).await {
        Ok(results) => results.into_iter().map(Committed::Answered).collect(),
        Err(error) if batch.len() == 1 || error.is_transient() => {
            let error = Arc::new(error);
            batch.iter().map(|_| Committed::Failed(error.clone())).collect()
        }
        // One message that the database refuses must not take the others with it.
        Err(_) => {
            let mut results = Vec::with_capacity(batch.len());
            for message in batch {
                let result = store.accept(vec![message]).await;
                results.push(match result {
                    Ok(mut alone) => Committed::Answered(alone.remove(0)),
                    Err(error) => Committed::Failed(Arc::new(error)),
                });
            }
            results
        }
    };
    let created = jobs
        .into_iter()
        .zip(&results)
        .filter(|(_, result)| matches!(result, Committed::Answered(AcceptResult::Created)))
        .map(|(job, _)| job)
        .collect();
    enqueuer.enqueue(Topic::Messages, created);
    results
}

fn job(message: &NewMessage) -> Job {
    Job { lane: message.sender_id.to_string().into(), id: message.id.key().into(), due_ms: message.due_at() }
}
