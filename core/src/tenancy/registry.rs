//! The tree and its upkeep: who may add what where, and what follows. The partner API, the
//! dashboard and the command line call these same functions, so none of them can do what
//! the others would refuse.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;

use super::{Directory, Policy, SANDBOX, Subtree, connection_context};
use crate::{
    audit::Actor,
    clock::Millis,
    credentials::{Issued, new_signing_secret, seal_clear_secrets},
    egress::Egress,
    error::{ApiError, Breach, ErrorKind},
    ids::{BusinessId, EndpointId, ResellerId, SenderId},
    messages::phone,
    paging::{Page, Paging},
    plugins::AdapterHost,
    store::{
        BusinessFilter, BusinessView, Connection, EndpointView, NewSender, ResellerView, Resumed, SenderAdded,
        SenderView, Store, StoreError, UsageDay,
    },
    vault::Vault,
    webhooks::registration::{self, RegistrationError},
};

/// Longest name of a reseller, a business or a sender, in characters.
pub const NAME_MAX_CHARS: usize = 200;
/// Longest reason, in characters.
pub const REASON_MAX_CHARS: usize = 1_000;
/// Senders of one business at most.
pub const SENDERS_MAX_PER_BUSINESS: u32 = 100;
/// Webhook endpoints of one business at most.
pub const ENDPOINTS_MAX_PER_BUSINESS: i64 = 10;
/// Largest connection settings, in bytes of JSON.
const CONNECTION_MAX_BYTES: usize = 16 * 1024;
/// Longest address of an endpoint, in characters.
const URL_MAX_CHARS: usize = 2_048;
/// Longest verify token, in characters.
const VERIFY_TOKEN_MAX_CHARS: usize = 255;
/// Days of usage that can be asked for at once.
pub const USAGE_MAX_DAYS: i32 = 366;

/// A reseller to create.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResellerRequest {
    /// Its name, of 1 to 200 characters.
    #[schema(example = "Northern Messaging", min_length = 1, max_length = 200)]
    pub name: String,
    /// What its subtree may use.
    #[serde(default)]
    pub policy: Policy,
}

/// A business to create.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BusinessRequest {
    /// The name it is known by, of 1 to 200 characters.
    #[schema(example = "Ana's Bakery", min_length = 1, max_length = 200)]
    pub name: String,
    /// What it may use, within what its reseller may.
    #[serde(default)]
    pub policy: Policy,
}

/// A sender to add.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"phone": "+15550783881", "display_name": "Ana's Bakery", "adapter": "sandbox"}))]
pub struct SenderRequest {
    /// Its phone number with the country code; `+`, blanks, hyphens and brackets are tolerated.
    #[schema(example = "+15550783881")]
    pub phone: String,
    /// The name that recipients see, of 1 to 200 characters.
    #[schema(example = "Ana's Bakery", min_length = 1, max_length = 200)]
    pub display_name: String,
    /// The adapter it sends through; `sandbox` when left out.
    #[serde(default)]
    #[schema(example = "sandbox")]
    pub adapter: Option<String>,
    /// What the adapter needs to know, by its schema.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub connection: Option<Value>,
}

/// A webhook endpoint to register.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointRequest {
    /// Its address; it has to answer the challenge with this token.
    #[schema(example = "https://shop.example/hooks/whatsapp", max_length = 2048)]
    pub url: String,
    /// What the challenge carries as `hub.verify_token`, of 1 to 255 characters.
    #[schema(example = "a long random text", min_length = 1, max_length = 255)]
    pub verify_token: String,
}

/// The registry. Clones share everything.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Registry {
    store: Store,
    vault: Vault,
    directory: Directory,
    adapters: Arc<AdapterHost>,
    egress: Egress,
}

impl Registry {
    /// A registry over `store`.
    #[must_use]
    pub fn new(store: Store, vault: Vault, directory: Directory, adapters: Arc<AdapterHost>, egress: Egress) -> Self {
        Self { store, vault, directory, adapters, egress }
    }

    /// Seals secrets that an older version kept in the clear. To be called once at the start.
    ///
    /// # Errors
    /// The database's.
    pub async fn seal_what_is_clear(&self) -> Result<(), StoreError> {
        seal_clear_secrets(&self.store, &self.vault).await
    }

    /// Creates a reseller.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] below the platform; what is wrong with the request.
    pub async fn create_reseller(
        &self,
        by: &Actor,
        subtree: &Subtree,
        request: &ResellerRequest,
        now: Millis,
    ) -> Result<ResellerView, ApiError> {
        only_the_platform(subtree)?;
        let mut breaches = request.policy.breaches(&Policy::default(), "/policy");
        let name = check_name(&mut breaches, "/name", &request.name);
        refuse(breaches)?;
        let id = self.store.add_reseller(by, name, &request.policy, now).await?;
        self.reseller(subtree, &id).await
    }

    /// The resellers of `subtree`, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn resellers(
        &self,
        subtree: &Subtree,
        search: Option<&str>,
        paging: &Paging,
    ) -> Result<Page<ResellerView>, ApiError> {
        check_search(search)?;
        Ok(self.store.resellers(subtree, search, paging).await?)
    }

    /// The reseller `id`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn reseller(&self, subtree: &Subtree, id: &ResellerId) -> Result<ResellerView, ApiError> {
        self.store.reseller(subtree, id).await?.ok_or_else(|| ApiError::missing("reseller", id))
    }

    /// Sets what a reseller's subtree may use.
    ///
    /// # Errors
    /// As [`Registry::create_reseller`]; [`ErrorKind::NotFound`].
    pub async fn set_reseller_policy(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: &ResellerId,
        policy: &Policy,
        now: Millis,
    ) -> Result<ResellerView, ApiError> {
        only_the_platform(subtree)?;
        let before = self.reseller(subtree, id).await?;
        refuse(policy.breaches(&Policy::default(), ""))?;
        self.store.set_reseller_policy(by, &before, policy, now).await?;
        self.directory.forget();
        self.reseller(subtree, id).await
    }

    /// Suspends a reseller: its whole subtree stops, and keeps what it has queued.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] when it is suspended already; a missing reason.
    pub async fn suspend_reseller(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: &ResellerId,
        reason: &str,
        now: Millis,
    ) -> Result<ResellerView, ApiError> {
        let reason = check_reason(reason)?;
        self.move_reseller(by, subtree, id, ("active", "suspended"), Some(reason), now).await
    }

    /// Lets a suspended reseller go on.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] when it is not suspended.
    pub async fn resume_reseller(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: &ResellerId,
        now: Millis,
    ) -> Result<ResellerView, ApiError> {
        self.move_reseller(by, subtree, id, ("suspended", "active"), None, now).await
    }

    async fn move_reseller(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: &ResellerId,
        (from, to): (&'static str, &'static str),
        reason: Option<&str>,
        now: Millis,
    ) -> Result<ResellerView, ApiError> {
        only_the_platform(subtree)?;
        let before = self.reseller(subtree, id).await?;
        if !self.store.set_reseller_status(by, id, (from, to), reason, now).await? {
            let next = if before.status == "active" { "suspend" } else { "resume" };
            let details = format!("The reseller is {}; what is possible now is to {next} it.", before.status);
            return Err(ApiError::new(ErrorKind::IllegalTransition, details));
        }
        self.directory.forget();
        self.reseller(subtree, id).await
    }

    /// Creates a business of `reseller`, in draft; the answer carries the secret that signs
    /// its webhooks, which is shown once.
    ///
    /// # Errors
    /// What is wrong with the request; [`ErrorKind::NotFound`] for a reseller outside of
    /// `subtree`; [`ErrorKind::Suspended`] for one that is.
    pub async fn create_business(
        &self,
        by: &Actor,
        subtree: &Subtree,
        reseller: &ResellerId,
        request: &BusinessRequest,
        now: Millis,
    ) -> Result<(BusinessView, String), ApiError> {
        let above = self.reseller(subtree, reseller).await?;
        if above.status != "active" {
            return Err(ApiError::new(ErrorKind::Suspended, "The reseller is suspended."));
        }
        let mut breaches = request.policy.breaches(&above.policy, "/policy");
        let name = check_name(&mut breaches, "/name", &request.name);
        refuse(breaches)?;
        let id = BusinessId::generate();
        let (secret_id, secret, sealed) = new_signing_secret(&self.vault);
        let business = (&id, name, &request.policy);
        self.store.add_business(by, reseller, business, (&secret_id, sealed), now).await?;
        Ok((self.business(subtree, &id).await?, secret))
    }

    /// The businesses of `subtree`, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn businesses(
        &self,
        subtree: &Subtree,
        filter: &BusinessFilter,
        paging: &Paging,
    ) -> Result<Page<BusinessView>, ApiError> {
        check_search(filter.search.as_deref())?;
        Ok(self.store.businesses(subtree, filter, paging).await?)
    }

    /// The business `id`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn business(&self, subtree: &Subtree, id: &BusinessId) -> Result<BusinessView, ApiError> {
        self.store.business(subtree, id).await?.ok_or_else(|| ApiError::missing("business", id))
    }

    /// Sets what a business may use, within what its reseller may. Not by itself.
    ///
    /// # Errors
    /// What is wider than above it; [`ErrorKind::PermissionDenied`] by the business itself.
    pub async fn set_business_policy(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: &BusinessId,
        policy: &Policy,
        now: Millis,
    ) -> Result<BusinessView, ApiError> {
        let before = self.business(subtree, id).await?;
        if matches!(subtree, Subtree::Business(_)) {
            return Err(ApiError::new(ErrorKind::PermissionDenied, "A business's limits are set by its reseller."));
        }
        let above = self.reseller(&Subtree::Platform, &before.reseller).await?;
        refuse(policy.breaches(&above.policy, ""))?;
        self.store.set_business_policy(by, &before, policy, now).await?;
        self.directory.forget_business(id);
        self.business(subtree, id).await
    }

    /// Adds a sender to a business.
    ///
    /// # Errors
    /// What is wrong with the request; [`ErrorKind::PermissionDenied`] for a channel that the
    /// business may not use; [`ErrorKind::Conflict`] for a number that it has already.
    pub async fn add_sender(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        request: &SenderRequest,
        now: Millis,
    ) -> Result<SenderView, ApiError> {
        let business = self.business(subtree, business).await?;
        let sender = self.check_sender(request)?;
        if !business.effective_policy.allows_channel(&sender.channel) {
            let allowed = business.effective_policy.channels.unwrap_or_default().join(", ");
            let details =
                format!("\"{}\" is a {} adapter; this business may use: {allowed}.", sender.adapter, sender.channel);
            return Err(ApiError::new(ErrorKind::PermissionDenied, details));
        }
        let details =
            match self.store.add_sender(by, &business, &sender, SENDERS_MAX_PER_BUSINESS as usize, now).await? {
                SenderAdded::Yes => return self.sender(subtree, sender.id).await,
                SenderAdded::NumberTaken => "The business has a sender with this number already.".to_owned(),
                SenderAdded::TooMany => {
                    format!("The business has {SENDERS_MAX_PER_BUSINESS} senders, as many as there may be.")
                }
            };
        Err(ApiError::new(ErrorKind::Conflict, details))
    }

    fn check_sender(&self, request: &SenderRequest) -> Result<NewSender, ApiError> {
        let mut breaches = Vec::new();
        let phone = phone::digits(&request.phone).unwrap_or_else(|| {
            breaches.push(breach("/phone", "must be a phone number with its country code"));
            String::new()
        });
        let display_name = check_name(&mut breaches, "/display_name", &request.display_name).to_owned();
        let adapter = request.adapter.clone().unwrap_or_else(|| SANDBOX.to_owned());
        let channel = self.adapters.get(&adapter).map(|adapter| adapter.description().channel.name().to_owned());
        let channel = channel.unwrap_or_else(|| {
            let mut known: Vec<String> =
                self.adapters.list().iter().map(|adapter| adapter.description().name.clone()).collect();
            known.sort();
            breaches.push(breach("/adapter", &format!("must be an adapter that is loaded: {}", known.join(", "))));
            String::new()
        });
        let connection = request.connection.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        if !connection.is_object() || connection.to_string().len() > CONNECTION_MAX_BYTES {
            breaches.push(breach("/connection", &format!("must be an object of at most {CONNECTION_MAX_BYTES} bytes")));
        }
        refuse(breaches)?;
        let id = SenderId::generate();
        // The sandbox's settings are no secret; another network's may hold its token.
        let connection = if adapter == SANDBOX {
            Connection::Clear(connection)
        } else {
            Connection::Sealed(self.vault.seal(&connection_context(id), connection.to_string().as_bytes()))
        };
        Ok(NewSender { id, phone, display_name, channel, adapter, connection, phone_verified_at: None })
    }

    /// The senders of `business`, by id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the business lies outside of `subtree`.
    pub async fn senders(
        &self,
        subtree: &Subtree,
        business: &BusinessId,
        paging: &Paging,
    ) -> Result<Page<SenderView>, ApiError> {
        self.business(subtree, business).await?;
        if paging.after.as_ref().is_some_and(|key| key.parse::<SenderId>().is_err()) {
            return Err(ApiError::breach("?cursor", "is not a cursor of this list"));
        }
        Ok(self.store.senders(subtree, business, paging).await?)
    }

    /// The sender `id`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn sender(&self, subtree: &Subtree, id: SenderId) -> Result<SenderView, ApiError> {
        self.store.sender(subtree, id).await?.ok_or_else(|| ApiError::missing("sender", &id))
    }

    /// Pauses a sender: it accepts nothing more, and keeps what it has queued.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] when it is paused already; a missing reason.
    pub async fn pause_sender(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: SenderId,
        reason: &str,
        now: Millis,
    ) -> Result<SenderView, ApiError> {
        let reason = check_reason(reason)?;
        let view = self.sender(subtree, id).await?;
        if !self.store.pause_sender(by, &view, reason, now).await? {
            let details = "The sender is paused; what is possible now is to resume it.";
            return Err(ApiError::new(ErrorKind::IllegalTransition, details));
        }
        self.directory.forget_business(&view.sender.business);
        self.sender(subtree, id).await
    }

    /// Lets a paused sender go on. One that the rule against abuse paused goes on by a
    /// reviewer's decision over its case only.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] when it is not paused; [`ErrorKind::PermissionDenied`]
    /// when a case is open.
    pub async fn resume_sender(
        &self,
        by: &Actor,
        subtree: &Subtree,
        id: SenderId,
        now: Millis,
    ) -> Result<SenderView, ApiError> {
        let view = self.sender(subtree, id).await?;
        match self.store.resume_sender(by, &view, *subtree == Subtree::Platform, now).await? {
            Resumed::Yes => {}
            Resumed::NotPaused => {
                let details = "The sender is not paused; what is possible now is to pause it.";
                return Err(ApiError::new(ErrorKind::IllegalTransition, details));
            }
            Resumed::UnderReview => {
                let details = "A reviewer has to decide over the case against this sender first.";
                return Err(ApiError::new(ErrorKind::PermissionDenied, details));
            }
            Resumed::Upheld => {
                let details = "A reviewer has decided that this sender stays paused; the platform can let it go on.";
                return Err(ApiError::new(ErrorKind::PermissionDenied, details));
            }
        }
        self.directory.forget_business(&view.sender.business);
        self.sender(subtree, id).await
    }

    /// Registers a webhook endpoint, once it has answered the challenge.
    ///
    /// # Errors
    /// What is wrong with the address, or what it answered instead.
    pub async fn add_endpoint(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        request: &EndpointRequest,
        now: Millis,
    ) -> Result<EndpointView, ApiError> {
        let business = self.business(subtree, business).await?;
        self.check_endpoint(request, "/url").await?;
        let owner = (&business.reseller, &business.id);
        let asked = (request.url.as_str(), request.verify_token.as_str());
        let id = self.store.add_endpoint(by, owner, asked, ENDPOINTS_MAX_PER_BUSINESS, now).await?;
        let Some(id) = id else {
            let details = format!("The business has {ENDPOINTS_MAX_PER_BUSINESS} endpoints, as many as there may be.");
            return Err(ApiError::new(ErrorKind::Conflict, details));
        };
        self.directory.forget_business(&business.id);
        Ok(EndpointView { id, url: request.url.clone(), created_at: now, overrides: false })
    }

    /// Checks that `request` can be one and that it answers the challenge. `at` is where its
    /// address stands in the body.
    async fn check_endpoint(&self, request: &EndpointRequest, at: &str) -> Result<(), ApiError> {
        let mut breaches = Vec::new();
        if request.url.chars().count() > URL_MAX_CHARS {
            breaches.push(breach(at, &format!("must have at most {URL_MAX_CHARS} characters")));
        }
        if !(1..=VERIFY_TOKEN_MAX_CHARS).contains(&request.verify_token.chars().count()) {
            breaches.push(breach("/verify_token", &format!("must have 1 to {VERIFY_TOKEN_MAX_CHARS} characters")));
        }
        refuse(breaches)?;
        let target =
            Url::parse(&request.url).map_err(|error| ApiError::breach(at, format!("is no address: {error}")))?;
        let challenge = Issued::token();
        let result = registration::challenge(&self.egress, target, &request.verify_token, &challenge).await;
        result.map_err(|RegistrationError { reason }| ApiError::breach(at, format!("did not pass the check: {reason}")))
    }

    /// Sets the endpoint that the Cloud API's `subscribed_apps` names, once it has answered
    /// the challenge: the one that was set before gives way to it.
    ///
    /// # Errors
    /// As [`Registry::add_endpoint`], with the Cloud API's names.
    pub async fn override_endpoint(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        request: &EndpointRequest,
        now: Millis,
    ) -> Result<(), ApiError> {
        let business = self.business(subtree, business).await?;
        self.check_endpoint(request, "/override_callback_uri").await?;
        let owner = (&business.reseller, &business.id);
        let asked = (request.url.as_str(), request.verify_token.as_str());
        if !self.store.set_override_endpoint(by, owner, asked, ENDPOINTS_MAX_PER_BUSINESS, now).await? {
            let details = format!("The business has {ENDPOINTS_MAX_PER_BUSINESS} endpoints, as many as there may be.");
            return Err(ApiError::new(ErrorKind::Conflict, details));
        }
        self.directory.forget_business(&business.id);
        Ok(())
    }

    /// Removes the endpoint that [`Registry::override_endpoint`] has set, where there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_override(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        now: Millis,
    ) -> Result<(), ApiError> {
        for endpoint in self.endpoints(subtree, business).await?.iter().filter(|endpoint| endpoint.overrides) {
            match self.remove_endpoint(by, subtree, business, &endpoint.id, now).await {
                // Somebody else was faster.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// The webhook endpoints of `business`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the business lies outside of `subtree`.
    pub async fn endpoints(&self, subtree: &Subtree, business: &BusinessId) -> Result<Vec<EndpointView>, ApiError> {
        let business = self.business(subtree, business).await?;
        Ok(self.store.endpoints(&business.id).await?)
    }

    /// The webhook endpoint `id` of `business`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn endpoint(
        &self,
        subtree: &Subtree,
        business: &BusinessId,
        id: &EndpointId,
    ) -> Result<EndpointView, ApiError> {
        let endpoints = self.endpoints(subtree, business).await?;
        endpoints.into_iter().find(|view| view.id == *id).ok_or_else(|| ApiError::missing("webhook endpoint", id))
    }

    /// Removes a webhook endpoint.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn remove_endpoint(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        id: &EndpointId,
        now: Millis,
    ) -> Result<(), ApiError> {
        let business = self.business(subtree, business).await?;
        if !self.store.remove_endpoint(by, (&business.reseller, &business.id), id, now).await? {
            return Err(ApiError::missing("webhook endpoint", id));
        }
        self.directory.forget_business(&business.id);
        Ok(())
    }

    /// Messages of `subtree` accepted on each day from `first` to `last` (days since 1970,
    /// UTC), by sender.
    ///
    /// # Errors
    /// A span that is empty or longer than [`USAGE_MAX_DAYS`].
    pub async fn usage(
        &self,
        subtree: &Subtree,
        business: Option<&BusinessId>,
        (first, last): (i32, i32),
        paging: &Paging,
    ) -> Result<Page<UsageDay>, ApiError> {
        if first > last || last - first >= USAGE_MAX_DAYS {
            let message = format!("must not lie before \"from\", and at most {USAGE_MAX_DAYS} days are told at once");
            return Err(ApiError::breach("?to", message));
        }
        if let Some(business) = business {
            self.business(subtree, business).await?;
        }
        Ok(self.store.usage(subtree, business, (first, last), paging).await?)
    }

    /// Has the operator of the installation vouch for a business that was just created: for
    /// demonstrations, where there is nobody to review it.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when it is not in draft any more.
    pub async fn vouch(&self, id: &BusinessId, now: Millis) -> Result<(), ApiError> {
        let (actor, business) = (Actor::operator(), self.business(&Subtree::Platform, id).await?);
        if !self.store.vouch_for(&actor, &business, now).await? {
            return Err(ApiError::new(ErrorKind::Conflict, "The business is not in draft any more."));
        }
        self.directory.forget_business(id);
        Ok(())
    }
}

fn only_the_platform(subtree: &Subtree) -> Result<(), ApiError> {
    match subtree {
        Subtree::Platform => Ok(()),
        _ => Err(ApiError::new(ErrorKind::PermissionDenied, "Resellers are managed by the platform's owner.")),
    }
}

fn breach(pointer: &str, message: &str) -> Breach {
    Breach { pointer: pointer.to_owned(), message: message.to_owned(), limit: None, actual: None }
}

fn refuse(breaches: Vec<Breach>) -> Result<(), ApiError> {
    if breaches.is_empty() { Ok(()) } else { Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches)) }
}

fn check_name<'n>(breaches: &mut Vec<Breach>, pointer: &str, name: &'n str) -> &'n str {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        breaches.push(Breach {
            pointer: pointer.to_owned(),
            message: format!("must have 1 to {NAME_MAX_CHARS} characters, none of them a control character"),
            limit: Some(NAME_MAX_CHARS as u64),
            actual: Some(length as u64),
        });
    }
    name
}

fn check_search(search: Option<&str>) -> Result<(), ApiError> {
    match search {
        Some(search) if search.chars().count() > NAME_MAX_CHARS => {
            Err(ApiError::breach("?search", format!("must have at most {NAME_MAX_CHARS} characters, as a name has")))
        }
        _ => Ok(()),
    }
}

fn check_reason(reason: &str) -> Result<&str, ApiError> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_MAX_CHARS {
        return Err(ApiError::breach("/reason", format!("must say why, in 1 to {REASON_MAX_CHARS} characters")));
    }
    Ok(reason)
}
