//! The way in: a message answered with success is on disk.
//!
//! [`Intake::accept`] checks a request against the sender and the template, hands
//! the message to the group committer, and returns only after its batch is
//! committed. Putting it into the queue comes after that and may fail without harm:
//! the reconciler finds what the queue does not know.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    Category,
    address::Address,
    outside::{Instead, without_instead},
    quiet::{QuietHours, over_at},
    render::Rendering,
    request::{Dialect, Request, SendRequest},
    route::{self, Routing},
    schedule::zones_of,
    sealed::{Content, SEALED_BODY},
    state::State,
    template::TemplateMessage,
};
use crate::{
    batch::{Batcher, Stopped},
    clock::{Millis, now_ms},
    delivery::{Enqueuer, SOON_MS},
    eligibility::{Eligibility, Question, Refusal},
    error::{ApiError, Breach, ErrorKind},
    ids::{MessageId, SenderId},
    limits::Limiter,
    media::Media,
    queue::{Job, Topic},
    store::{AcceptResult, IdempotencyClaim, NewMessage, Scheduled, Store, StoreError},
    templates,
    tenancy::{Directory, Mode, Sender, Standing, Tenant},
    vault::Vault,
};

/// Messages in one commit at most.
const COMMIT_MAX_MESSAGES: usize = 500;
/// Messages in one request at most.
pub const BATCH_MAX_MESSAGES: usize = 1_000;
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
    /// When it is to be sent, if that is not at once.
    pub scheduled_at: Option<Millis>,
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
    pub(super) recipient: Address,
    warnings: Vec<Breach>,
    /// What a day holds, if this message is to be counted against it.
    cap: Option<u64>,
}

/// What a message keeps that takes the place of another.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: MessageId,
    pub(super) accepted_at: Millis,
    /// When it is to be sent, unless the new one says otherwise.
    pub(super) scheduled_at: Millis,
    /// How long it is worth sending from then on, unless the new one says otherwise, in milliseconds.
    pub(super) ttl_ms: Millis,
}

/// Messages that are written in one transaction of their own.
#[derive(Debug, Clone)]
struct Group {
    messages: Vec<Prepared>,
    /// The idempotency key of all of them together.
    whole: Option<IdempotencyClaim>,
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
    pub(super) store: Store,
    directory: Directory,
    limiter: Limiter,
    pub(super) vault: Vault,
    pub(super) eligibility: Eligibility,
    pub(super) enqueuer: Enqueuer,
    media: Media,
    commits: Batcher<Prepared, Committed>,
    groups: Batcher<Group, Vec<Committed>>,
    message_ttl: Duration,
}

impl Intake {
    /// Starts the group committer. `message_ttl` is how long a message is worth
    /// sending.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "each is a room of its own")]
    pub fn start(
        store: Store,
        directory: Directory,
        vault: Vault,
        eligibility: Eligibility,
        limiter: Limiter,
        enqueuer: Enqueuer,
        media: Media,
        message_ttl: Duration,
    ) -> Self {
        let tools = (store.clone(), eligibility.clone(), enqueuer.clone());
        let commits = Batcher::start(COMMIT_MAX_MESSAGES, {
            let tools = tools.clone();
            move |messages| {
                let (store, eligibility, enqueuer) = tools.clone();
                async move { commit(&store, &eligibility, &enqueuer, Group { messages, whole: None }).await }
            }
        });
        let groups = Batcher::start(1, move |groups: Vec<Group>| {
            let (store, eligibility, enqueuer) = tools.clone();
            async move {
                let mut committed = Vec::with_capacity(groups.len());
                for group in groups {
                    committed.push(commit(&store, &eligibility, &enqueuer, group).await);
                }
                committed
            }
        });
        Self { store, directory, limiter, vault, eligibility, enqueuer, media, commits, groups, message_ttl }
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
        self.prepare_as(principal, incoming, None, now).await
    }

    /// The same for a message that takes the place of another.
    pub(super) async fn prepare_as(
        &self,
        principal: &Tenant,
        incoming: Incoming<'_>,
        kept: Option<&Kept>,
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
        self.media.check(principal.business(), kind, &request.object).await?;
        let shown = request.content.into_rendering();
        let Rendered { text: rendered, category, template: filled } =
            render(&self.directory, &sender, &request.recipient, shown, template_of(&request.object)).await?;
        let timing = request.timing;
        let mut scheduled = match &timing.when {
            Some(when) => {
                let (at, says) = when.resolve(&zones_of(&request.recipient), now)?;
                Some(Scheduled { at, notes: vec![(State::Scheduled.name(), says)] })
            }
            None => kept.map(|kept| Scheduled { at: kept.scheduled_at, notes: Vec::new() }),
        };
        let rules = sender.policy.quiet_hours.as_deref().unwrap_or_default();
        let due_at = scheduled.as_ref().map_or(now, |scheduled| scheduled.at);
        if let Some((until, says)) = quiet_until(rules, category, &request.recipient, &sender, due_at) {
            let scheduled = scheduled.get_or_insert(Scheduled { at: until, notes: Vec::new() });
            scheduled.at = until;
            scheduled.notes.push(("shifted", says));
        }
        let ttl_ms = timing.ttl_ms.or(kept.map(|kept| kept.ttl_ms));
        let ttl_ms = ttl_ms.unwrap_or(i64::try_from(self.message_ttl.as_millis()).unwrap_or(i64::MAX / 2));
        let idempotency = incoming.idempotency_key.map(|key| claim(principal, &incoming, sender.id, key, now));
        let mut cap = sender.policy.messages_per_day;
        if let (Some(_), Some(claim)) = (cap, &idempotency)
            && self.store.is_claimed(claim, now).await?
        {
            // It is answered with what was accepted then, which was counted then.
            cap = None;
        }
        let id = kept.map_or_else(|| MessageId::generate_at(now), |kept| kept.id.clone());
        let body = filled.map_or_else(|| request.object.clone(), |filled| with_template(&request.object, filled));
        let (mut body, mut rendered, mut sealed) = (body, rendered, None);
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
        let due_at = scheduled.as_ref().map_or(now, |scheduled| scheduled.at);
        let routing = self
            .routing(principal, &sender, &request.recipient, request.fallback.as_deref(), (category, due_at))
            .await?;
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
            accepted_at: kept.map_or(now, |kept| kept.accepted_at),
            expires_at: scheduled.as_ref().map_or(now, |scheduled| scheduled.at) + ttl_ms,
            scheduled,
            routing,
            idempotency,
        };
        Ok(Prepared { message, to: request.to, recipient: request.recipient, warnings: request.warnings, cap })
    }

    /// The channels that may take a message over: those that it names itself, else those of the sender's rules, else
    /// those of the business.
    async fn routing(
        &self,
        principal: &Tenant,
        sender: &Sender,
        recipient: &Address,
        asked: Option<&[route::Entry]>,
        (category, due_at): (Category, Millis),
    ) -> Result<Option<Box<Routing>>, ApiError> {
        if asked.is_some_and(<[_]>::is_empty) {
            return Ok(None);
        }
        let table = self.directory.routing(principal.business()).await?;
        let rules = table.rules_of(sender.id);
        let Some(chain) = asked.or_else(|| route::chain_for(rules, category)) else { return Ok(None) };
        let mut usable = Vec::with_capacity(table.channels.len());
        for channel in &table.channels {
            let found = self.directory.sender(principal.business(), channel.sender).await?;
            // A user id is WhatsApp's, and nobody else's.
            let reaches = |other: &&Arc<Sender>| other.is_whatsapp() || recipient.as_phone().is_some();
            usable
                .extend(found.as_ref().filter(reaches).filter(|other| check_sender(principal, other).is_ok()).cloned());
        }
        let find = |entry: &route::Entry| {
            let named = |other: &&Arc<Sender>| {
                entry.sender.as_ref().is_none_or(|named| *named == other.id.to_string())
                    && other.adapter == entry.adapter
                    && other.id != sender.id
            };
            usable.iter().find(named).map(|other| (other.id, other.adapter.clone()))
        };
        let (steps, absent) = route::steps_of(chain, find);
        if let Some(index) = absent.first().filter(|_| asked.is_some()) {
            let message = "names no other sender of this business that uses this adapter, can send now and reaches this \
                           recipient";
            return Err(ApiError::breach(&format!("/fallback/{index}"), message));
        }
        Ok((!steps.is_empty()).then(|| Box::new(Routing::new(sender.adapter.clone(), steps, due_at))))
    }

    /// The template that a request names for the time outside of the customer-care window, filled.
    async fn instead(&self, sender: &Sender, request: &SendRequest) -> Result<Option<Instead>, ApiError> {
        let Some(template) = &request.outside_window else { return Ok(None) };
        let at = |error: ApiError| error.below("/outside_window");
        let message: TemplateMessage = serde_json::from_value(template.clone())
            .map_err(|error| ApiError::breach("/outside_window/template", format!("cannot be read: {error}")))?;
        let name = message.name.clone();
        let rendering = Rendering::Template(message);
        let written = || Some(template.clone());
        let Rendered { text: rendered, category, template: filled } =
            render(&self.directory, sender, &request.recipient, rendering, written).await.map_err(at)?;
        if category == Category::Authentication {
            let message = "must not bring a one-time password";
            return Err(ApiError::breach("/outside_window/template", message));
        }
        let kind = request.content.kind();
        Ok(Some(Instead::new(
            &request.object,
            kind,
            (&name, filled.unwrap_or_else(|| template.clone())),
            rendered,
            category,
        )))
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
        self.count(principal, &prepared).await?;
        let kept = prepared.clone();
        let committed = in_time(self.commits.submit(prepared)).await?;
        self.answer(principal, kept, committed).await
    }

    /// Makes messages durable in one transaction, and answers for each in order. `whole` is the key of the request that
    /// they came with.
    async fn submit_all(
        &self,
        principal: &Tenant,
        prepared: Vec<Prepared>,
        whole: Option<IdempotencyClaim>,
    ) -> Result<Vec<Result<AcceptedMessage, ApiError>>, ApiError> {
        let mut answers = Vec::with_capacity(prepared.len());
        let mut messages = Vec::with_capacity(prepared.len());
        for message in prepared {
            match self.count(principal, &message).await {
                Ok(()) => {
                    messages.push(message);
                    answers.push(None);
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        if !messages.is_empty() {
            let kept = messages.clone();
            let committed = in_time(self.groups.submit(Group { messages, whole })).await?;
            let places = answers.iter_mut().filter(|answer| answer.is_none());
            for ((place, message), committed) in places.zip(kept).zip(committed) {
                *place = Some(self.answer(principal, message, committed).await);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Counts a message against the day.
    async fn count(&self, principal: &Tenant, prepared: &Prepared) -> Result<(), ApiError> {
        match prepared.cap {
            Some(cap) => self.limiter.count_message(principal.business(), cap, prepared.message.accepted_at).await,
            None => Ok(()),
        }
    }

    /// What is to be said of a message after its commit.
    async fn answer(
        &self,
        principal: &Tenant,
        prepared: Prepared,
        committed: Committed,
    ) -> Result<AcceptedMessage, ApiError> {
        let (business, now) = (principal.business(), prepared.message.accepted_at);
        if prepared.cap.is_some() && !matches!(committed, Committed::Answered(AcceptResult::Created)) {
            self.limiter.uncount_message(business, now).await;
        }
        let accepted = AcceptedMessage {
            scheduled_at: prepared.message.scheduled.as_ref().map(|scheduled| scheduled.at),
            id: prepared.message.id,
            sender: prepared.message.sender_id,
            to: prepared.to,
            recipient: prepared.recipient,
            kind: prepared.message.kind,
            accepted_at: now,
            replayed: false,
            warnings: prepared.warnings,
        };
        match committed {
            Committed::Failed(error) => Err(unkept(&error)),
            Committed::Refused(refusal) => Err(refusal.into()),
            Committed::Answered(AcceptResult::Created) => Ok(accepted),
            Committed::Answered(AcceptResult::KeyReused) => Err(ApiError::new(
                ErrorKind::IdempotencyKeyReused,
                "The Idempotency-Key of this request belongs to a request with another body.",
            )),
            Committed::Answered(AcceptResult::Replayed(first)) => {
                let (accepted_at, scheduled_at) = match self.store.message(business, &first).await? {
                    Some(message) => (message.accepted_at, message.scheduled_at),
                    None => (now, accepted.scheduled_at),
                };
                Ok(AcceptedMessage { id: first, accepted_at, scheduled_at, replayed: true, ..accepted })
            }
        }
    }

    /// Accepts the messages of one request, each as [`Intake::accept`] would on `/v1`, and answers for each in order. What
    /// is accepted is one commit. A member `idempotency_key` of a message is its own; with `key` that of the request, the
    /// same request again accepts nothing twice. `late` has, for each that is over a limit, the milliseconds until it may
    /// come again: it is refused, and its place in the request still counts.
    ///
    /// # Errors
    /// What is wrong with the request as a whole: then nothing was accepted.
    pub async fn accept_batch(
        &self,
        principal: &Tenant,
        mut messages: Vec<Value>,
        late: &[Option<u64>],
        key: Option<&str>,
    ) -> Result<Vec<Result<AcceptedMessage, ApiError>>, ApiError> {
        check_idempotency_key(key)?;
        if messages.is_empty() || messages.len() > BATCH_MAX_MESSAGES {
            let message = format!("must have 1 to {BATCH_MAX_MESSAGES} messages, has {}", messages.len());
            let (limit, actual) = (Some(BATCH_MAX_MESSAGES as u64), Some(messages.len() as u64));
            let breach = Breach { pointer: "/messages".to_owned(), message, limit, actual };
            return Err(ApiError::breaches(ErrorKind::ParameterInvalid, vec![breach]));
        }
        let now = now_ms();
        let fingerprint = hex::encode(Sha256::digest(Value::from(messages.clone()).to_string()));
        let claim_of = |scope: &str, key: String| IdempotencyClaim {
            scope: format!("{}:v1:{scope}", principal.credential),
            key,
            fingerprint: fingerprint.clone(),
            expires_at: now + IDEMPOTENCY_LIFE_MS,
        };
        let mut answers = Vec::with_capacity(messages.len());
        let mut prepared = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter_mut().enumerate() {
            if let Some(wait) = late.get(index).copied().flatten() {
                let details = "This credential, or all of its business together, sends too fast.";
                answers.push(Some(Err(ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(wait))));
                continue;
            }
            let of_request = key.map(|key| claim_of("batch", format!("{key}:{index}")));
            match self.prepare_one(principal, message, of_request, now).await {
                Ok(message) => {
                    prepared.push(message);
                    answers.push(None);
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        let whole = key.map(|key| claim_of("batches", key.to_owned()));
        let mut submitted = self.submit_all(principal, prepared, whole).await?.into_iter();
        for place in answers.iter_mut().filter(|answer| answer.is_none()) {
            *place = submitted.next();
        }
        Ok(answers.into_iter().flatten().collect())
    }

    async fn prepare_one(
        &self,
        principal: &Tenant,
        message: &mut Value,
        of_request: Option<IdempotencyClaim>,
        now: Millis,
    ) -> Result<Prepared, ApiError> {
        let Value::Object(members) = message else {
            return Err(ApiError::new(ErrorKind::MalformedBody, "A message must be a JSON object."));
        };
        let own = match members.remove("idempotency_key") {
            None | Some(Value::Null) => None,
            Some(Value::String(key)) => Some(key),
            Some(_) => return Err(ApiError::breach("/idempotency_key", "must be a string")),
        };
        let body = message.to_string();
        let incoming = Incoming {
            sender: None,
            dialect: Dialect::Platform,
            body: body.as_bytes(),
            idempotency_key: own.as_deref(),
        };
        let mut prepared = self.prepare(principal, incoming, now).await?;
        prepared.message.idempotency = prepared.message.idempotency.or(of_request);
        Ok(prepared)
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

    /// Whether the template of `sender`'s account brings one-time passwords; none when there is no such template.
    pub(crate) async fn is_authentication(
        &self,
        sender: &Sender,
        name: &str,
        language: &str,
    ) -> Result<Option<bool>, ApiError> {
        let template = self.directory.template(sender.account, name, language).await?;
        Ok(template.map(|template| template.is_authentication()))
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
}

/// What a message comes to.
struct Rendered {
    /// What it reads like.
    text: String,
    category: Category,
    /// The `template` object that goes out, where it is another than was asked for.
    template: Option<Value>,
}

/// The `template` object of a body.
fn template_of(body: &str) -> impl Fn() -> Option<Value> + '_ {
    move || serde_json::from_str::<Value>(body).ok()?.get_mut("template").map(Value::take)
}

/// The body with another `template` object.
fn with_template(body: &str, template: Value) -> String {
    let mut object: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    object.insert("template".to_owned(), template);
    Value::Object(object).to_string()
}

/// What a message reads like, and what it is for; a template has to be approved and its parameters have to fit. With
/// data, its parameters are made of those; `written` is its `template` object.
async fn render(
    directory: &Directory,
    sender: &Sender,
    recipient: &Address,
    shown: Rendering,
    written: impl Fn() -> Option<Value>,
) -> Result<Rendered, ApiError> {
    let message = match shown {
        Rendering::Text(text) => return Ok(Rendered { text, category: Category::Service, template: None }),
        Rendering::Template(message) => message,
    };
    let (name, language) = (&message.name, &message.language.code);
    let template = directory.template(sender.account, name, language).await?;
    let template = template.ok_or_else(|| templates::missing(name, language, "does not exist"))?;
    if template.is_authentication() && recipient.as_phone().is_none() {
        let message = "must be a phone number in \"to\": the template brings a one-time password".to_owned();
        let breach = Breach { pointer: "/recipient".to_owned(), message, limit: None, actual: None };
        return Err(ApiError::breaches(ErrorKind::RecipientUnsupported, vec![breach]));
    }
    template.sendable(sender)?;
    let category = template.category();
    if message.data.is_none() {
        return Ok(Rendered { text: template.fill(&message)?, category, template: None });
    }
    let filled = template.evaluate(written().unwrap_or_default())?;
    let text = template.fill(&filled.message).map_err(|error| filled.explain(error))?;
    Ok(Rendered { text, category, template: Some(filled.object) })
}

/// Whether a message that was scheduled may still go as it is, now that it is due: what it reads like.
pub(crate) async fn recheck(directory: &Directory, sender: &Sender, body: &str) -> Result<String, ApiError> {
    check_standing(sender)?;
    let body = without_instead(body.to_owned());
    let request = SendRequest::read(body.as_bytes(), Dialect::Platform)?;
    let shown = request.content.into_rendering();
    Ok(render(directory, sender, &request.recipient, shown, || None).await?.text)
}

/// When a message that is due at `at` may go, and why not at once, if it is due in quiet hours.
pub(crate) fn quiet_until(
    rules: &[QuietHours],
    category: Category,
    recipient: &Address,
    sender: &Sender,
    at: Millis,
) -> Option<(Millis, String)> {
    if rules.is_empty() {
        return None;
    }
    let mut zones = zones_of(recipient);
    if zones.is_empty() {
        zones = zones_of(&Address::Phone(sender.phone.clone()));
    }
    over_at(rules, category, &zones, at)
}

/// What `work` comes to, within the time of a commit or not at all.
async fn in_time<T>(work: impl Future<Output = Result<T, Stopped>>) -> Result<T, ApiError> {
    let late = |_| ApiError::new(ErrorKind::Unavailable, "The database does not answer in time.");
    Ok(tokio::time::timeout(COMMIT_MAX, work).await.map_err(late)??)
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
    check_standing(sender)
}

/// Whether anybody may send through this sender now, as far as it is not held.
fn check_standing(sender: &Sender) -> Result<(), ApiError> {
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

async fn commit(store: &Store, eligibility: &Eligibility, enqueuer: &Enqueuer, group: Group) -> Vec<Committed> {
    let Group { messages: batch, whole } = group;
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
    let mut kept = keep(store, enqueuer, eligible, whole.as_ref()).await.into_iter();
    for place in committed.iter_mut().filter(|place| place.is_none()) {
        *place = kept.next();
    }
    committed.into_iter().flatten().collect()
}

pub(super) fn question(prepared: &Prepared) -> Question<'_> {
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

async fn keep(
    store: &Store,
    enqueuer: &Enqueuer,
    batch: Vec<NewMessage>,
    whole: Option<&IdempotencyClaim>,
) -> Vec<Committed> {
    if batch.is_empty() {
        return Vec::new();
    }
    let jobs: Vec<Job> = batch.iter().map(job).collect();
    let results: Vec<Committed> = match store.accept_request(batch.clone(), whole).await {
        Ok(results) => results.into_iter().map(Committed::Answered).collect(),
        Err(error) if batch.len() == 1 || error.is_transient() => {
            let error = Arc::new(error);
            batch.iter().map(|_| Committed::Failed(error.clone())).collect()
        }
        // One message that the database refuses must not take the others with it.
        Err(_) => {
            let mut results = Vec::with_capacity(batch.len());
            for message in batch {
                let result = store.accept_request(vec![message], whole).await;
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
        // The reconciler brings what is due later.
        .filter(|job| job.due_ms <= now_ms() + SOON_MS)
        .collect();
    enqueuer.enqueue(Topic::Messages, created);
    results
}

pub(super) fn job(message: &NewMessage) -> Job {
    Job { lane: message.sender_id.to_string().into(), id: message.id.key().into(), due_ms: message.due_at() }
}
