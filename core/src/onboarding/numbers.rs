//! Whose a phone number is: a code goes to it, and whoever reads it out has the phone.
//!
//! A number whose network checks numbers itself (the official upstream) is asked through
//! it: the code is the network's, and the number is registered with it afterwards. To any
//! other number a code of ours goes, through an adapter that carries codes. What a client
//! is told depends on the sender and on what was sent to the number, never on who else has
//! that number; a wrong code, an old one and one that was never sent have one answer.

use std::sync::Arc;

use subtle::ConstantTimeEq;
use waystation_adapter_sdk::{
    Code, CodeCheck, CodeDelivery, CodeMethod, CodeRequest, NumberError, Registration, Sender as SenderNumber,
};

use super::{
    service::{Onboarding, failed},
    state::State,
    views::{CodeOrder, CodeProof, CodeSent, NumberView, PretendMessage},
};
use crate::{
    audit::Actor,
    clock::Millis,
    codes::{self, CODE_DIGITS, CODE_LIFE_MS, REGISTRATIONS_MAX},
    error::{ApiError, Breach, ErrorKind},
    ids::SenderId,
    messages::phone,
    plugins::Adapter,
    store::{NewCode, NumberOwner},
    tenancy::{DEREGISTERED, SANDBOX, Subtree},
};

/// Who codes are from, for people.
const FROM: &str = "Waystation";
/// The language of a code when nobody says.
const LANGUAGE_DEFAULT: &str = "en_US";
/// Longest language code, in characters.
const LANGUAGE_MAX_CHARS: usize = 16;

/// How a number is reached.
enum Route {
    /// Its own network sends and checks codes.
    Network(Arc<Adapter>),
    /// One of these carries a code of ours, the first that takes it.
    Carriers(Vec<Arc<Adapter>>),
}

impl Onboarding {
    /// Sends a code to a sender's number. A code that was sent before is no longer good.
    ///
    /// # Errors
    /// [`ErrorKind::TooManyCodes`] with the time until the next one: one a minute, three an
    /// hour, ten a day for a number, whoever asks. [`ErrorKind::CodeUndeliverable`] when
    /// nothing here can carry it now, [`ErrorKind::NumberRefused`] when the network will not.
    pub async fn request_code(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        order: &CodeOrder,
        now: Millis,
    ) -> Result<CodeSent, ApiError> {
        let language = read_language(order.language.as_deref())?;
        let owner = self.number_owner(subtree, sender).await?;
        let route = self.route(&owner, order.method.into())?;
        let id = ulid::Ulid::generate().to_string();
        let code = matches!(route, Route::Carriers(_)).then(|| codes::random_digits(CODE_DIGITS));
        let sealed = code.as_ref().map(|code| codes::seal(&self.vault, &code_context(&id), &id, code));
        let expires_at = now + CODE_LIFE_MS;
        let new = NewCode { id: &id, sealed, method: order.method.name(), expires_at };
        let next_at = match self.store.start_code(by, &owner, new, now).await? {
            Ok(next_at) => next_at,
            Err(free_at) => {
                let details = "This number has been sent as many codes as it may be.";
                return Err(wait(ErrorKind::TooManyCodes, details, free_at - now));
            }
        };
        let sent = match (route, code) {
            (Route::Carriers(carriers), Some(code)) => {
                let connection = owner.connection.clone();
                let delivery = CodeDelivery {
                    reference: id,
                    method: order.method.into(),
                    phone: owner.phone.clone(),
                    text: codes::text(&code, &language, FROM, CODE_LIFE_MS),
                    code: Code::from(code),
                    language,
                    from: FROM.to_owned(),
                    connection,
                    at_ms: now,
                };
                carry(&carriers, &owner, delivery).await
            }
            (Route::Network(adapter), _) => {
                let request = CodeRequest {
                    sender: number_of(&owner),
                    connection: owner.connection.clone(),
                    method: order.method.into(),
                    language,
                    at_ms: now,
                };
                adapter.request_code(&request).await.map(drop)
            }
            (Route::Carriers(_), None) => Err(NumberError::Unsupported),
        };
        let certain = match sent {
            Ok(()) => true,
            Err(NumberError::Ambiguous { .. }) => false,
            Err(error) => return Err(refused(&error, &owner)),
        };
        Ok(CodeSent { sender, method: order.method, expires_at, next_at, certain })
    }

    /// Takes a code as it was read on the phone: with the right one the number counts as the
    /// business's, and is registered with its network where there is such a thing.
    ///
    /// # Errors
    /// [`ErrorKind::CodeInvalid`] whenever the code does not show anything;
    /// [`ErrorKind::NumberRefused`] and the like when the number was verified, but its
    /// network did not register it: see [`Onboarding::register`].
    pub async fn verify_code(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        proof: &CodeProof,
        now: Millis,
    ) -> Result<NumberView, ApiError> {
        let pin = read_pin(proof.pin.as_deref())?;
        let owner = self.number_owner(subtree, sender).await?;
        // What cannot be a code is no guess.
        let typed = codes::read_digits(&proof.code).filter(|typed| typed.len() == CODE_DIGITS).ok_or_else(invalid)?;
        let tried = self.store.try_code(sender, now).await?.ok_or_else(invalid)?;
        let network = match tried.sealed {
            Some(sealed) => {
                let right = codes::is_code(&self.vault, &code_context(&tried.id), &tried.id, &sealed, &typed);
                if !right.map_err(|error| failed("a code could not be opened", &error))? {
                    return Err(invalid());
                }
                None
            }
            None => {
                let network = self.network(&owner)?;
                let check = CodeCheck {
                    sender: number_of(&owner),
                    connection: owner.connection.clone(),
                    code: Code::from(typed),
                    at_ms: now,
                };
                match network.verify_code(&check).await {
                    Ok(_) => {}
                    Err(NumberError::WrongCode { .. }) => return Err(invalid()),
                    Err(error) => return Err(refused(&error, &owner)),
                }
                Some(network)
            }
        };
        if !self.store.prove_number(by, &owner, &tried.id, now).await? {
            return Err(invalid());
        }
        self.directory.forget_business(&owner.business);
        let registered_at = match network {
            None => owner.registered_at,
            Some(network) => Some(self.register_with(&network, by, &owner, pin, now).await?),
        };
        Ok(NumberView { sender, verified_at: Some(now), registered_at })
    }

    /// Registers a verified number with its network, again or for the first time. `pin` as in
    /// [`CodeProof::pin`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] before the number was verified; [`ErrorKind::TooManyCodes`]
    /// when it was registered ten times in 72 hours; what the network said.
    pub async fn register(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        pin: Option<&str>,
        now: Millis,
    ) -> Result<NumberView, ApiError> {
        let pin = read_pin(pin)?;
        let owner = self.number_owner(subtree, sender).await?;
        if owner.verified_at.is_none() {
            let details = "The number was not shown to be the business's yet: have a code sent to it first.";
            return Err(ApiError::new(ErrorKind::Conflict, details));
        }
        let network = self.network(&owner)?;
        let registered_at = Some(self.register_with(&network, by, &owner, pin, now).await?);
        Ok(NumberView { sender, verified_at: owner.verified_at, registered_at })
    }

    /// Registers a number as the Cloud API has it: with its network where that registers
    /// numbers, else here. A number that was deregistered goes on.
    ///
    /// # Errors
    /// [`ErrorKind::PinMismatch`] when another PIN is kept of the number,
    /// [`ErrorKind::NumberUnverified`] when its network has to know first whose it is, and as
    /// [`Onboarding::register`].
    pub async fn register_with_pin(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        pin: &str,
        now: Millis,
    ) -> Result<(), ApiError> {
        let pin = required_pin(pin)?;
        let owner = self.number_owner(subtree, sender).await?;
        if let Ok(network) = self.network(&owner) {
            if owner.verified_at.is_none() {
                let details = "The number was not shown to be the business's yet: have a code sent to it first.";
                return Err(ApiError::new(ErrorKind::NumberUnverified, details));
            }
            self.register_with(&network, by, &owner, Some(pin), now).await?;
        } else {
            self.count_registration(&owner, now).await?;
            match self.kept_pin(&owner).await? {
                Some(kept) if !bool::from(kept.as_bytes().ct_eq(pin.as_bytes())) => {
                    let details = "Another PIN was set for this number.";
                    return Err(ApiError::new(ErrorKind::PinMismatch, details));
                }
                Some(_) => {}
                None => self.keep_pin(&owner, &pin).await?,
            }
            self.store.note_registration(by, &owner, now).await?;
        }
        if let Some(view) = self.store.sender(subtree, sender).await?
            && view.is_deregistered()
        {
            self.store.resume_sender(by, &view, false, now).await?;
        }
        self.directory.forget_business(&owner.business);
        Ok(())
    }

    /// Takes a number out of use: nothing is accepted for it, and what is queued waits, until
    /// it is registered again. Its network is not told, since networks here know no such
    /// thing.
    ///
    /// # Errors
    /// [`ErrorKind::TooManyCodes`] as with registrations, which count along.
    pub async fn deregister(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        now: Millis,
    ) -> Result<(), ApiError> {
        let owner = self.number_owner(subtree, sender).await?;
        self.count_registration(&owner, now).await?;
        self.store.note_deregistration(by, &owner, now).await?;
        if let Some(view) = self.store.sender(subtree, sender).await? {
            self.store.pause_sender(by, &view, DEREGISTERED, now).await?;
        }
        self.directory.forget_business(&owner.business);
        Ok(())
    }

    /// Sets the PIN of a number's two-step verification.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for a number whose network keeps the PIN itself: it gets one
    /// when the number is registered.
    pub async fn set_pin(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        pin: &str,
        now: Millis,
    ) -> Result<(), ApiError> {
        let pin = required_pin(pin)?;
        let owner = self.number_owner(subtree, sender).await?;
        if self.network(&owner).is_ok() {
            let details = "The network of this number keeps its PIN: it is given when the number is registered.";
            return Err(ApiError::new(ErrorKind::Conflict, details));
        }
        Ok(self.store.set_pin(by, &owner, self.sealed_pin(&owner, &pin), now).await?)
    }

    async fn kept_pin(&self, owner: &NumberOwner) -> Result<Option<String>, ApiError> {
        let Some(sealed) = self.store.sender_pin(owner.sender).await? else { return Ok(None) };
        let kept = self.vault.open(&pin_context(owner), &sealed);
        let kept = kept.map_err(|error| failed("a PIN could not be opened", &error))?;
        Ok(Some(String::from_utf8_lossy(&kept).into_owned()))
    }

    async fn keep_pin(&self, owner: &NumberOwner, pin: &str) -> Result<(), ApiError> {
        Ok(self.store.keep_pin(owner.sender, self.sealed_pin(owner, pin)).await?)
    }

    fn sealed_pin(&self, owner: &NumberOwner, pin: &str) -> Vec<u8> {
        self.vault.seal(&pin_context(owner), pin.as_bytes())
    }

    async fn count_registration(&self, owner: &NumberOwner, now: Millis) -> Result<(), ApiError> {
        let Err(free_at) = self.store.start_registration(&owner.phone, now).await? else { return Ok(()) };
        let details =
            format!("The number was registered {REGISTRATIONS_MAX} times in 72 hours: its network takes no more.");
        Err(wait(ErrorKind::TooManyCodes, &details, free_at - now))
    }

    /// Whose a sender's number is.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such sender.
    pub async fn number(&self, subtree: &Subtree, sender: SenderId) -> Result<NumberView, ApiError> {
        let owner = self.store.number_owner(subtree, sender).await?;
        Ok(NumberView { sender, verified_at: owner.verified_at, registered_at: owner.registered_at })
    }

    /// What arrived at a pretend phone of the sandbox subtree the last day, newest first, for
    /// the businesses of `subtree`. `number` as the Cloud API takes it.
    ///
    /// # Errors
    /// `number` is no phone number.
    pub async fn pretend_phone(
        &self,
        subtree: &Subtree,
        number: &str,
        now: Millis,
    ) -> Result<Vec<PretendMessage>, ApiError> {
        let digits = phone::digits(number).ok_or_else(|| {
            ApiError::new(ErrorKind::NotFound, "There is no pretend phone with that number: it is no phone number.")
        })?;
        Ok(self.store.pretend_messages(subtree, &digits, now).await?)
    }

    /// The sender's number, unless its business is over.
    async fn number_owner(&self, subtree: &Subtree, sender: SenderId) -> Result<NumberOwner, ApiError> {
        let mut owner = self.store.number_owner(subtree, sender).await?;
        if let Some(sender) = self.directory.any_sender(sender).await? {
            owner.connection = sender.connection.clone();
        }
        if owner.state == State::Closed {
            let details = "The business is closed: nothing can be done with its numbers.";
            return Err(ApiError::new(ErrorKind::IllegalTransition, details));
        }
        Ok(owner)
    }

    fn route(&self, owner: &NumberOwner, method: CodeMethod) -> Result<Route, ApiError> {
        let own = self.adapters.get(&owner.adapter);
        if let Some(adapter) = own.as_ref().filter(|adapter| adapter.description().capabilities.verifies_numbers) {
            return Ok(Route::Network(adapter.clone()));
        }
        let sandbox = [SANDBOX.to_owned()];
        let names = if owner.adapter == SANDBOX { &sandbox[..] } else { &self.settings.code_adapters[..] };
        let carries = |adapter: &Arc<Adapter>| adapter.description().capabilities.delivers_codes.contains(&method);
        let carriers: Vec<_> = names.iter().filter_map(|name| self.adapters.get(name)).filter(carries).collect();
        if carriers.is_empty() {
            let details = format!(
                "Nothing here carries a code by {} to this number. The operator of this installation has to name an \
                 adapter that does in the setting onboarding.code_adapters{}.",
                method_name(method),
                if names.is_empty() { ", which is empty" } else { "; those that are named do not" },
            );
            return Err(ApiError::new(ErrorKind::CodeUndeliverable, details));
        }
        Ok(Route::Carriers(carriers))
    }

    fn network(&self, owner: &NumberOwner) -> Result<Arc<Adapter>, ApiError> {
        let network = self.adapters.get(&owner.adapter);
        network.filter(|adapter| adapter.description().capabilities.verifies_numbers).ok_or_else(|| {
            let details = format!("The adapter {} of this sender registers no numbers.", owner.adapter);
            ApiError::new(ErrorKind::Conflict, details)
        })
    }

    async fn register_with(
        &self,
        network: &Adapter,
        by: &Actor,
        owner: &NumberOwner,
        pin: Option<String>,
        now: Millis,
    ) -> Result<Millis, ApiError> {
        let pin = match pin {
            Some(given) => given,
            None => self.kept_pin(owner).await?.unwrap_or_else(|| codes::random_digits(CODE_DIGITS)),
        };
        self.count_registration(owner, now).await?;
        // Kept before it is used: a crash must not leave a number with a PIN nobody knows.
        self.keep_pin(owner, &pin).await?;
        let registration = Registration {
            sender: number_of(owner),
            connection: owner.connection.clone(),
            pin: Code::from(pin),
            at_ms: now,
        };
        if let Err(error) = network.register(&registration).await {
            return Err(refused(&error, owner));
        }
        self.store.note_registration(by, owner, now).await?;
        Ok(now)
    }
}

/// Has the first carrier that can bring a code. What may have left is not sent again.
async fn carry(carriers: &[Arc<Adapter>], owner: &NumberOwner, delivery: CodeDelivery) -> Result<(), NumberError> {
    let mut first_refusal = None;
    for carrier in carriers {
        let name = &carrier.description().name;
        // Settings are for the adapter that they were made for.
        let connection = if *name == owner.adapter { owner.connection.clone() } else { serde_json::Value::Null };
        let delivery = CodeDelivery { connection, ..delivery.clone() };
        match carrier.deliver_code(&owner.sender.to_string(), &delivery).await {
            Ok(_) => return Ok(()),
            Err(error @ NumberError::Ambiguous { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(adapter = name, reason = reason(&error), "an adapter did not take a code");
                first_refusal.get_or_insert(error);
            }
        }
    }
    Err(first_refusal.unwrap_or(NumberError::Unsupported))
}

fn number_of(owner: &NumberOwner) -> SenderNumber {
    SenderNumber { id: owner.sender.to_string(), phone: owner.phone.clone() }
}

fn pin_context(owner: &NumberOwner) -> String {
    format!("pin:{}", owner.sender)
}

fn code_context(id: &str) -> String {
    format!("phone_code:{id}")
}

/// The one answer to a code that shows nothing.
fn invalid() -> ApiError {
    ApiError::new(ErrorKind::CodeInvalid, "This code does not show that the number is the sender's.")
}

fn wait(kind: ErrorKind, details: &str, wait_ms: Millis) -> ApiError {
    let wait_ms = u64::try_from(wait_ms).unwrap_or_default();
    let seconds = wait_ms.div_ceil(1_000).max(1);
    ApiError::new(kind, format!("{details} Possible again in {seconds} s.")).retry_after_ms(wait_ms)
}

/// What a client is told of a network that did not do what it was asked.
fn refused(error: &NumberError, owner: &NumberOwner) -> ApiError {
    tracing::warn!(adapter = owner.adapter, sender = %owner.sender, reason = reason(error), "a number was refused");
    let said = error.error().map(ToString::to_string).unwrap_or_default();
    match error {
        NumberError::WrongCode { .. } => invalid(),
        NumberError::RateLimited { after_ms, .. } => {
            let after = after_ms.map_or(codes::SEND_GAP_MS, |ms| Millis::try_from(ms).unwrap_or(Millis::MAX));
            wait(ErrorKind::TooManyCodes, &format!("The network wants to wait: {said}."), after)
        }
        NumberError::Rejected { .. } => {
            ApiError::new(ErrorKind::NumberRefused, format!("The network refused: {said}."))
        }
        NumberError::Unavailable { needs_operator: true, .. } => ApiError::new(
            ErrorKind::CodeUndeliverable,
            format!("The network cannot be used until the operator of this installation acts: {said}."),
        ),
        NumberError::Unavailable { .. } => {
            ApiError::new(ErrorKind::CodeUndeliverable, format!("The network did not answer: {said}."))
        }
        NumberError::Ambiguous { .. } => ApiError::new(
            ErrorKind::CodeUndeliverable,
            format!("It is not known whether the network did it: {said}. Ask again."),
        ),
        NumberError::Unsupported => ApiError::new(
            ErrorKind::CodeUndeliverable,
            "The adapter does not know this operation, though it says that it does: report it to the operator.",
        ),
    }
}

/// Why a number was refused, for the log: no text of a network, which may hold the number.
fn reason(error: &NumberError) -> &'static str {
    match error {
        NumberError::Unsupported => "unsupported",
        NumberError::WrongCode { .. } => "wrong code",
        NumberError::RateLimited { .. } => "rate limited",
        NumberError::Rejected { .. } => "rejected",
        NumberError::Unavailable { needs_operator: true, .. } => "needs the operator",
        NumberError::Unavailable { .. } => "unavailable",
        NumberError::Ambiguous { .. } => "ambiguous",
    }
}

fn method_name(method: CodeMethod) -> &'static str {
    match method {
        CodeMethod::Sms => "SMS",
        CodeMethod::Voice => "voice call",
        CodeMethod::Whatsapp => "WhatsApp",
    }
}

fn read_language(given: Option<&str>) -> Result<String, ApiError> {
    let language = given.map(str::trim).filter(|language| !language.is_empty()).unwrap_or(LANGUAGE_DEFAULT);
    let fits = language.len() <= LANGUAGE_MAX_CHARS
        && language.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits {
        return Ok(language.to_owned());
    }
    Err(ApiError::breach("/language", "must be a language code, such as de or pt_BR"))
}

fn required_pin(given: &str) -> Result<String, ApiError> {
    read_pin(Some(given))?.ok_or_else(|| {
        let message = "is required".to_owned();
        let breach = Breach { pointer: "/pin".to_owned(), message, limit: None, actual: None };
        ApiError::breaches(ErrorKind::ParameterMissing, vec![breach])
    })
}

fn read_pin(given: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(given) = given.map(str::trim).filter(|pin| !pin.is_empty()) else { return Ok(None) };
    if given.len() == CODE_DIGITS && given.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(given.to_owned()));
    }
    let message = format!("must have {CODE_DIGITS} digits");
    let breach = Breach { pointer: "/pin".to_owned(), message, limit: Some(CODE_DIGITS as u64), actual: None };
    Err(ApiError::breaches(ErrorKind::ParameterInvalid, vec![breach]))
}
