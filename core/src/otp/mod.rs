//! One-time passwords: drawn here, brought by an authentication template, checked here.
//!
//! Nothing that is kept, logged or answered says what a code is: its row holds a sealed hash,
//! and the messages that bring it are sealed until their adapter gets them. A code is good
//! once, for [`TRIES_MAX`] tries and for its time. When it was not delivered in time, and a
//! fallback was ordered, the same code goes out once more, as a plain text by another sender.

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use crate::codes::{PASSWORD_GAP_MS, PASSWORDS_PER_DAY_MAX, PASSWORDS_PER_HOUR_MAX};
use crate::{
    clock::Millis,
    codes::{self, CODE_DIGITS, CODE_MAX_DIGITS, CODE_MIN_DIGITS, CODE_TRIES_MAX},
    error::{ApiError, Breach, ErrorKind},
    ids::{MessageId, OneTimePasswordId, SenderId},
    limits::{Demand, Limiter},
    messages::{
        address::Address,
        intake::{Incoming, Intake},
        request::{Dialect, excerpt},
        sealed::Content,
    },
    store::{NewOneTimePassword, Store, Try},
    tenancy::{Sender, Tenant},
    vault::Vault,
};

/// How often a code may be guessed.
pub const TRIES_MAX: i32 = CODE_TRIES_MAX;
/// Shortest time that a code can be good for, in seconds.
pub const TTL_MIN_SECONDS: u32 = 60;
/// Longest time that a code can be good for, in seconds.
pub const TTL_MAX_SECONDS: u32 = 600;
/// How long a code is good for when nobody says, in seconds.
const TTL_DEFAULT_SECONDS: u32 = TTL_MAX_SECONDS;
/// Shortest wait before the fallback, in seconds.
pub const FALLBACK_MIN_SECONDS: u32 = 5;
/// The wait before the fallback when nobody says, in seconds.
const FALLBACK_DEFAULT_SECONDS: u32 = 30;
/// One-time passwords of one business in a minute at most.
pub const PASSWORDS_PER_MINUTE_MAX: u32 = 600;

/// The channel of senders that a fallback can use.
const FALLBACK_CHANNEL: &str = "sms";

/// A one-time password to send.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OneTimePasswordOrder, example = json!({"to": "+16505550001", "from": "106540352242922"}))]
pub struct Order {
    /// The person's phone number with its country code. A user id cannot get one-time passwords.
    #[schema(example = "+16505550001")]
    pub to: String,
    /// The sender: its phone number id or its phone number.
    #[schema(example = "106540352242922")]
    pub from: String,
    /// The template that brings the code. Left out: the oldest authentication template of the sender's account.
    pub template: Option<TemplateChoice>,
    /// Of the template, when that is left out, for example `en_US`; any when this is left out, too.
    #[schema(example = "en_US")]
    pub language: Option<String>,
    /// Digits of the code, from 4 to 8; 6 when left out.
    #[schema(minimum = 4, maximum = 8, example = 6)]
    pub code_length: Option<usize>,
    /// How long the code is good for, in seconds: from 60 to 600, and 600 when left out.
    #[schema(minimum = 60, maximum = 600, example = 300)]
    pub ttl_seconds: Option<u32>,
    /// Where the same code goes when it was not delivered in time.
    pub fallback: Option<Fallback>,
}

/// A template by its name.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OneTimePasswordTemplate)]
pub struct TemplateChoice {
    /// Its name.
    #[schema(example = "verification_code")]
    pub name: String,
    /// Its language.
    #[schema(example = "en_US")]
    pub language: String,
}

/// Where a code goes that was not delivered in time.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OneTimePasswordFallback)]
pub struct Fallback {
    /// Always `sms`.
    #[schema(example = "sms")]
    pub channel: String,
    /// A sender of that channel: its id or its phone number.
    #[schema(example = "106540352242923")]
    pub from: String,
    /// After how many seconds without delivery: 5 and more, below the time that the code is good for; 30 when left out.
    #[schema(minimum = 5, maximum = 599, example = 30)]
    pub after_seconds: Option<u32>,
}

/// A one-time password that is on its way.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What it is checked by.
    pub id: OneTimePasswordId,
    /// The message that brings it.
    pub message: MessageId,
    /// Until when it is good.
    pub expires_at: Millis,
    /// The message that will bring it otherwise, and when that is decided.
    pub fallback: Option<(MessageId, Millis)>,
}

/// A code as a person typed it.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OneTimePasswordCheck)]
pub struct Check {
    /// Which one-time password.
    #[schema(value_type = String, example = "otp_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    pub id: String,
    /// The code; blanks and hyphens in it do not count.
    #[schema(example = "493 207")]
    pub code: String,
}

impl std::fmt::Debug for Check {
    /// Does not show the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a code shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OneTimePasswordVerdict)]
pub enum Verdict {
    /// It is the right one: whoever typed it has the phone. It is used up.
    Verified,
    /// It is another one.
    Wrong,
    /// Its time is over.
    Expired,
    /// The right one was typed before.
    Used,
    /// It was guessed too often: send a new one.
    Exhausted,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// What the code shows.
    pub verdict: Verdict,
    /// How often it may still be guessed.
    pub tries_left: i32,
}

/// Sends and checks one-time passwords. Clones share everything.
#[derive(Debug, Clone)]
pub struct OneTimePasswords {
    store: Store,
    vault: Vault,
    limiter: Limiter,
    intake: Intake,
}

/// An order whose numbers were looked at.
struct Terms {
    recipient: Address,
    digits: usize,
    ttl_ms: Millis,
    fallback_ms: Millis,
}

impl OneTimePasswords {
    /// Sends through `intake`.
    #[must_use]
    pub fn new(store: Store, vault: Vault, limiter: Limiter, intake: Intake) -> Self {
        Self { store, vault, limiter, intake }
    }

    /// Draws a code and sends it.
    ///
    /// # Errors
    /// Everything that is wrong with the order; [`ErrorKind::RecipientUnsupported`] for a user id;
    /// [`ErrorKind::TooManyCodes`] with the time until the person may get another one;
    /// [`ErrorKind::RateLimited`] for a business that sends too many; those of [`Intake::accept`].
    pub async fn send(&self, principal: &Tenant, order: &Order, now: Millis) -> Result<Sent, ApiError> {
        let terms = Terms::read(order)?;
        let sender = self.intake.sender_for(principal, &order.from).await?;
        let spare = self.spare(principal, order).await?;
        let (name, language) = self.template(&sender, order).await?;

        let id = OneTimePasswordId::generate();
        let code = codes::random_digits(terms.digits);
        let expires_at = now + terms.ttl_ms;
        let body = template_message(order, &sender, (&name, &language), &code);
        let incoming =
            Incoming { sender: Some(sender.id), dialect: Dialect::Platform, body: &body, idempotency_key: None };
        let mut prepared = self.intake.prepare(principal, incoming, now).await?;
        if prepared.message.sealed.is_none() {
            return Err(no_authentication_template(&name));
        }
        if spare.is_some() {
            // It has a fallback of its own.
            prepared.message.routing = None;
        }
        // A code that is no longer good is not worth sending.
        prepared.message.expires_at = prepared.message.expires_at.min(expires_at);

        self.count(principal).await?;
        let recipient = terms.recipient.as_str();
        let fallback = spare.map(|(sender, name)| {
            let (message, text) = (MessageId::generate(), codes::text(&code, &language, &name, terms.ttl_ms));
            let body = json!({
                "messaging_product": "whatsapp", "to": recipient, "type": "text", "text": {"body": text},
            });
            let content = Content { body: body.to_string(), rendered: text };
            (sender, content.seal(&self.vault, &message), message, now + terms.fallback_ms)
        });
        let password = NewOneTimePassword {
            id: id.key().to_owned(),
            business_id: principal.business().key().to_owned(),
            recipient: recipient.to_owned(),
            sealed: codes::seal(&self.vault, &context(&id), id.key(), &code),
            tries: 0,
            message_id: prepared.message.id.key().to_owned(),
            created_at: now,
            expires_at,
            fallback_at: fallback.as_ref().map(|(.., at)| *at),
            fallback_sender_id: fallback.as_ref().map(|(sender, ..)| sender.0),
            fallback_message_id: fallback.as_ref().map(|(_, _, message, _)| message.key().to_owned()),
            fallback_sealed: fallback.as_ref().map(|(_, sealed, ..)| sealed.clone()),
        };
        if let Err(free_at) = self.store.add_one_time_password(password).await? {
            return Err(too_many(free_at - now));
        }
        let accepted = match self.intake.submit(principal, prepared).await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Where this fails, too, there is a password that nobody knows of.
                if let Err(error) = self.store.remove_one_time_password(&id).await {
                    tracing::warn!(%error, "a one-time password without a message could not be removed");
                }
                return Err(error);
            }
        };
        let fallback = fallback.map(|(_, _, message, at)| (message, at));
        Ok(Sent { id, message: accepted.id, expires_at, fallback })
    }

    /// Compares a code. Each comparison is a try; what cannot be a code is none.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a password that is not the business's, or was over for a day;
    /// [`ErrorKind::ParameterInvalid`] for what cannot be a code.
    pub async fn verify(&self, principal: &Tenant, check: &Check, now: Millis) -> Result<Checked, ApiError> {
        let unknown = || ApiError::missing("one-time password", &excerpt(&check.id));
        let id: OneTimePasswordId = check.id.parse().map_err(|_| unknown())?;
        let typed = codes::read_digits(&check.code).ok_or_else(|| {
            ApiError::breach("/code", format!("must have {CODE_MIN_DIGITS} to {CODE_MAX_DIGITS} digits"))
        })?;
        let verdict = |verdict, tries_left| Ok(Checked { verdict, tries_left });
        let (sealed, left) = match self.store.try_one_time_password(principal.business(), &id, now).await? {
            Try::Taken { sealed, left } => (sealed, left),
            Try::Unknown => return Err(unknown()),
            Try::Used { left } => return verdict(Verdict::Used, left),
            Try::Expired { left } => return verdict(Verdict::Expired, left),
            Try::Exhausted => return verdict(Verdict::Exhausted, 0),
        };
        let right = codes::is_code(&self.vault, &context(&id), id.key(), &sealed, &typed).map_err(|error| {
            tracing::error!(%error, "a one-time password could not be opened");
            ApiError::new(ErrorKind::Internal, "The one-time password could not be read.")
        })?;
        if !right {
            return verdict(Verdict::Wrong, left);
        }
        let first = self.store.use_one_time_password(&id, now).await?;
        verdict(if first { Verdict::Verified } else { Verdict::Used }, left)
    }

    /// The sender of the fallback and its name, if one is ordered.
    async fn spare(&self, principal: &Tenant, order: &Order) -> Result<Option<(SenderId, String)>, ApiError> {
        let Some(fallback) = &order.fallback else { return Ok(None) };
        let sender = self.intake.sender_for(principal, &fallback.from).await?;
        if sender.channel != FALLBACK_CHANNEL {
            let message = format!("sends over {}; name a sender whose channel is {FALLBACK_CHANNEL}", sender.channel);
            return Err(ApiError::breach("/fallback/from", message));
        }
        let view = self.store.any_sender(sender.id).await?;
        Ok(view.map(|view| (sender.id, view.display_name)))
    }

    /// Name and language of the template that brings the code.
    async fn template(&self, sender: &Sender, order: &Order) -> Result<(String, String), ApiError> {
        if let Some(template) = &order.template {
            let known = self.intake.is_authentication(sender, &template.name, &template.language).await?;
            if known == Some(false) {
                return Err(no_authentication_template(&template.name));
            }
            return Ok((template.name.clone(), template.language.clone()));
        }
        let found = self.store.authentication_template(sender.account, order.language.as_deref()).await?;
        found.ok_or_else(|| {
            let language = order.language.as_deref().map(|language| format!(" in {}", excerpt(language)));
            let message = format!(
                "is left out, and the sender's account has no authentication template{}: create one, then have it \
                 approved",
                language.unwrap_or_default()
            );
            let breach = Breach { pointer: "/template".to_owned(), message, limit: None, actual: None };
            ApiError::breaches(ErrorKind::TemplateMissing, vec![breach])
        })
    }

    async fn count(&self, principal: &Tenant) -> Result<(), ApiError> {
        let demand = Demand {
            bucket: format!("otp:{}", principal.business().key()),
            limit: PASSWORDS_PER_MINUTE_MAX,
            window_ms: 60_000,
        };
        let ruling = self.limiter.take(vec![demand]).await;
        if ruling.allowed {
            return Ok(());
        }
        let details = format!("This business sends more than {PASSWORDS_PER_MINUTE_MAX} one-time passwords a minute.");
        Err(ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(ruling.retry_after_ms()))
    }
}

impl Terms {
    fn read(order: &Order) -> Result<Self, ApiError> {
        let mut breaches = Vec::new();
        let mut within = |pointer: &str, given: Option<u32>, default: u32, least: u32, most: u32| {
            let given = given.unwrap_or(default.clamp(least, most));
            if !(least..=most).contains(&given) {
                let message = format!("must be from {least} to {most}");
                let limit = if given < least { least } else { most };
                breaches.push(Breach {
                    pointer: pointer.to_owned(),
                    message,
                    limit: Some(limit.into()),
                    actual: Some(given.into()),
                });
            }
            given.clamp(least, most)
        };
        let [least, default, most] = [CODE_MIN_DIGITS, CODE_DIGITS, CODE_MAX_DIGITS].map(narrow);
        let digits = within("/code_length", order.code_length.map(narrow), default, least, most);
        let ttl = within("/ttl_seconds", order.ttl_seconds, TTL_DEFAULT_SECONDS, TTL_MIN_SECONDS, TTL_MAX_SECONDS);
        let wait = order.fallback.as_ref().and_then(|fallback| fallback.after_seconds);
        let wait = within("/fallback/after_seconds", wait, FALLBACK_DEFAULT_SECONDS, FALLBACK_MIN_SECONDS, ttl - 1);
        let mut invalid = |pointer: &str, message: &str| {
            let message = message.to_owned();
            breaches.push(Breach { pointer: pointer.to_owned(), message, limit: None, actual: None });
        };
        if order.fallback.as_ref().is_some_and(|fallback| fallback.channel != FALLBACK_CHANNEL) {
            invalid("/fallback/channel", "must be \"sms\"");
        }
        if Address::user_id(&order.to).is_some() {
            let message = "must be a phone number: a user id cannot get one-time passwords".to_owned();
            let breach = Breach { pointer: "/to".to_owned(), message, limit: None, actual: None };
            return Err(ApiError::breaches(ErrorKind::RecipientUnsupported, vec![breach]));
        }
        let recipient = Address::phone(&order.to);
        if recipient.is_none() {
            invalid("/to", "must be a phone number with its country code, for example \"+16505551234\"");
        }
        match recipient {
            Some(recipient) if breaches.is_empty() => Ok(Self {
                recipient,
                digits: digits as usize,
                ttl_ms: Millis::from(ttl) * 1_000,
                fallback_ms: Millis::from(wait) * 1_000,
            }),
            _ => Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches)),
        }
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The message that brings a code: it stands in the text and is what the button copies.
fn template_message(order: &Order, sender: &Sender, (name, language): (&str, &str), code: &str) -> Vec<u8> {
    let parameters = json!([{"type": "text", "text": code}]);
    json!({
        "from": sender.id,
        "to": order.to,
        "type": "template",
        "template": {
            "name": name,
            "language": {"code": language},
            "components": [
                {"type": "body", "parameters": parameters},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters},
            ],
        },
    })
    .to_string()
    .into_bytes()
}

fn context(id: &OneTimePasswordId) -> String {
    format!("one_time_password:{}", id.key())
}

fn too_many(wait_ms: Millis) -> ApiError {
    let wait_ms = u64::try_from(wait_ms).unwrap_or_default();
    let details = format!(
        "This person was sent as many one-time passwords as may be. Possible again in {} s.",
        wait_ms.div_ceil(1_000).max(1)
    );
    ApiError::new(ErrorKind::TooManyCodes, details).retry_after_ms(wait_ms)
}

#[cfg(test)]
mod tests;

fn no_authentication_template(name: &str) -> ApiError {
    let message = format!("\"{}\" is no authentication template", excerpt(name));
    let breach = Breach { pointer: "/template/name".to_owned(), message, limit: None, actual: None };
    ApiError::breaches(ErrorKind::ParameterInvalid, vec![breach])
}
