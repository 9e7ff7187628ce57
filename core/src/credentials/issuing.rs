//! Issuing, rotating and revoking: what is shown once is shown here, and every process
//! knows of a change within a moment, because each change is in the log that they follow.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};
use utoipa::ToSchema;

use super::{Issued, KeyHash, app_secret};
use crate::{
    audit::{Actor, Origin},
    clock::{Millis, from_rfc3339},
    error::{ApiError, Breach, ErrorKind},
    ids::{ApiKeyId, BusinessId, ClientId, ResellerId, SigningSecretId},
    paging::{Page, Paging},
    store::{Added, ClientView, KeyView, Owner, Store, StoredSecret},
    tenancy::{Directory, Level, Mode, Scopes, Standing, Subtree},
    vault::Vault,
};

/// Live API keys of one owner at most, and OAuth clients.
pub const KEYS_MAX_PER_OWNER: i64 = 20;
/// How long an access token holds, in milliseconds.
pub const TOKEN_LIFE_MS: Millis = 60 * 60 * 1_000;
/// How long an old secret holds after its successor was issued, in milliseconds, unless
/// the request says otherwise.
pub const GRACE_DEFAULT_MS: Millis = 24 * 60 * 60 * 1_000;
/// The most that a request can say, in milliseconds.
pub const GRACE_MAX_MS: Millis = 72 * 60 * 60 * 1_000;
/// Longest name, in characters.
const NAME_MAX_CHARS: usize = 100;
/// Most entries in an allow-list.
const ADDRESSES_MAX: usize = 50;

/// What a credential allows, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The name that its owner gave it.
    pub name: String,
    /// What it reaches.
    pub mode: Mode,
    /// What it allows.
    pub scopes: Scopes,
    /// The addresses it may be used from; any when there is none.
    pub addresses: Vec<IpNet>,
    /// Whether requests have to be signed.
    pub signed: bool,
    /// When it ends.
    pub expires_at: Option<Millis>,
}

/// What is asked for when a credential is issued.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// A name to tell it by, of 1 to 100 characters.
    #[schema(example = "web shop", min_length = 1, max_length = 100)]
    pub name: String,
    /// `test`, the default, sends through the sandbox only; `live` needs a verified business. A reseller's own
    /// credentials are `live`.
    #[serde(default)]
    #[schema(example = "test")]
    pub mode: Option<String>,
    /// What it allows. Everything when left out.
    #[serde(default)]
    #[schema(example = json!(["messages:send", "messages:read"]))]
    pub scopes: Option<Vec<String>>,
    /// Addresses and networks it may be used from. Any when left out; at most 50.
    #[serde(default)]
    #[schema(example = json!(["192.0.2.0/24"]))]
    pub addresses: Option<Vec<String>>,
    /// Whether its requests have to be signed with a signing secret of the business.
    #[serde(default)]
    pub signed: bool,
    /// When it ends, to the second, in RFC 3339. Never when left out.
    #[serde(default, deserialize_with = "seconds_of_rfc3339")]
    #[schema(value_type = Option<String>, format = DateTime, example = "2030-03-17T17:46:40Z")]
    pub expires_at: Option<i64>,
}

/// A time as requests write it, in seconds since 1970.
fn seconds_of_rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let at = from_rfc3339(&text).ok_or_else(|| D::Error::custom("expected a time such as 2030-03-17T17:46:40Z"))?;
    Ok(Some(at.div_euclid(1_000)))
}

/// An access token, on its way to the client.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The token: shown once.
    pub token: Issued,
    /// What it allows.
    pub scopes: Scopes,
    /// How long it holds, in seconds.
    pub expires_in: i64,
}

/// Issues credentials. Clones share everything.
#[derive(Debug, Clone)]
pub struct Credentials {
    store: Store,
    vault: Vault,
    directory: Directory,
}

impl Credentials {
    /// Issues credentials into `store`.
    #[must_use]
    pub fn new(store: Store, vault: Vault, directory: Directory) -> Self {
        Self { store, vault, directory }
    }

    /// The owner that `business`, or without one the reseller of `subtree`, is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn owner(&self, subtree: &Subtree, business: Option<&BusinessId>) -> Result<Owner, ApiError> {
        match (subtree, business) {
            (Subtree::Reseller(reseller), None) => Ok(Owner { reseller: reseller.clone(), business: None }),
            (_, Some(id)) => {
                let view = self.store.business(subtree, id).await?.ok_or_else(|| ApiError::missing("business", id))?;
                Ok(Owner { reseller: view.reseller, business: Some(view.id) })
            }
            (Subtree::Business(id), None) => Box::pin(self.owner(subtree, Some(id))).await,
            (Subtree::Platform, None) => {
                Err(ApiError::new(ErrorKind::NotFound, "The platform has no credentials of its own."))
            }
        }
    }

    /// The reseller itself as an owner, for whoever sees it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn reseller_owner(&self, subtree: &Subtree, reseller: &ResellerId) -> Result<Owner, ApiError> {
        let found = self.store.reseller(subtree, reseller).await?;
        found.ok_or_else(|| ApiError::missing("reseller", reseller))?;
        Ok(Owner { reseller: reseller.clone(), business: None })
    }

    /// Issues an API key.
    ///
    /// # Errors
    /// What is wrong with the request, all at once; [`ErrorKind::NotVerified`] for a live key
    /// of a business that is not; [`ErrorKind::Conflict`] when there are too many keys.
    pub async fn issue_key(
        &self,
        by: &Actor,
        owner: &Owner,
        request: &GrantRequest,
        now: Millis,
    ) -> Result<(KeyView, Issued), ApiError> {
        let grant = self.grant(owner, request, now).await?;
        let issued = new_key(owner, grant.mode);
        let secret = (issued.prefix(), &issued.hash());
        match self.store.add_api_key(by, owner, &grant, secret, None, now).await? {
            Added::Key(id) => self.shown(owner, &id, issued).await,
            Added::TooMany | Added::NothingToReplace => Err(too_many("live keys")),
        }
    }

    /// Issues the successor of the API key `id`, which holds for `grace_ms` more.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Conflict`] for one that is revoked, has expired
    /// or was rotated before.
    pub async fn rotate_key(
        &self,
        by: &Actor,
        owner: &Owner,
        id: &ApiKeyId,
        grace_ms: Millis,
        now: Millis,
    ) -> Result<(KeyView, Issued), ApiError> {
        let grace_ms = check_grace(grace_ms)?;
        let old = self.store.api_key(owner, id).await?.ok_or_else(|| ApiError::missing("API key", id))?;
        let over = || {
            let details = "This key is revoked, has expired, or has a successor already; issue a new key instead.";
            ApiError::new(ErrorKind::Conflict, details)
        };
        if old.revoked_at.is_some() || old.grant.expires_at.is_some_and(|at| at <= now) {
            return Err(over());
        }
        let issued = new_key(owner, old.grant.mode);
        let secret = (issued.prefix(), &issued.hash());
        match self.store.add_api_key(by, owner, &old.grant, secret, Some((id, now + grace_ms)), now).await? {
            Added::Key(added) => {
                self.directory.forget();
                self.shown(owner, &added, issued).await
            }
            Added::NothingToReplace => Err(over()),
            Added::TooMany => Err(too_many("live keys, those that end soon among them,")),
        }
    }

    async fn shown(&self, owner: &Owner, id: &ApiKeyId, issued: Issued) -> Result<(KeyView, Issued), ApiError> {
        let view = self.store.api_key(owner, id).await?.ok_or_else(|| ApiError::missing("API key", id))?;
        Ok((view, issued))
    }

    /// The API keys of `owner`, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn keys(&self, owner: &Owner, paging: &Paging) -> Result<Page<KeyView>, ApiError> {
        Ok(self.store.api_keys(owner, paging).await?)
    }

    /// The API key `id` of `owner`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn key(&self, owner: &Owner, id: &ApiKeyId) -> Result<KeyView, ApiError> {
        self.store.api_key(owner, id).await?.ok_or_else(|| ApiError::missing("API key", id))
    }

    /// Revokes an API key; revoking one that is revoked is no error.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn revoke_key(&self, by: &Actor, owner: &Owner, id: &ApiKeyId, now: Millis) -> Result<KeyView, ApiError> {
        self.store.revoke_api_key(by, owner, id, now).await?;
        self.directory.forget();
        self.key(owner, id).await
    }

    /// Issues an OAuth client with its secret.
    ///
    /// # Errors
    /// As [`Credentials::issue_key`].
    pub async fn issue_client(
        &self,
        by: &Actor,
        owner: &Owner,
        request: &GrantRequest,
        now: Millis,
    ) -> Result<(ClientView, Issued), ApiError> {
        let grant = self.grant(owner, request, now).await?;
        if grant.signed {
            return Err(ApiError::breach("/signed", "is for API keys only"));
        }
        let issued = Issued::client_secret();
        let id = self.store.add_client(by, owner, &grant, &issued.hash(), now).await?;
        let id = id.ok_or_else(|| too_many("live clients"))?;
        let view = self.store.client_with_secret(&id, &issued.hash(), now).await?;
        Ok((view.ok_or_else(|| ApiError::missing("client", &id))?, issued))
    }

    /// The OAuth clients of `owner`, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn clients(&self, owner: &Owner, paging: &Paging) -> Result<Page<ClientView>, ApiError> {
        Ok(self.store.clients(owner, paging).await?)
    }

    /// The OAuth client `id` of `owner`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn client(&self, owner: &Owner, id: &ClientId) -> Result<ClientView, ApiError> {
        self.store.client(owner, id).await?.ok_or_else(|| ApiError::missing("client", id))
    }

    /// Issues a new secret of the OAuth client `id`; the one it has holds for `grace_ms` more.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], also for a revoked client.
    pub async fn rotate_client(
        &self,
        by: &Actor,
        owner: &Owner,
        id: &ClientId,
        grace_ms: Millis,
        now: Millis,
    ) -> Result<Issued, ApiError> {
        let until = now + check_grace(grace_ms)?;
        let issued = Issued::client_secret();
        if self.store.rotate_client(by, owner, id, &issued.hash(), until, now).await? {
            return Ok(issued);
        }
        Err(ApiError::missing("client", id))
    }

    /// Revokes an OAuth client and its access tokens.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], also when it is revoked already.
    pub async fn revoke_client(&self, by: &Actor, owner: &Owner, id: &ClientId, now: Millis) -> Result<(), ApiError> {
        if !self.store.revoke_client(by, owner, id, now).await? {
            return Err(ApiError::missing("client", id));
        }
        self.directory.forget();
        Ok(())
    }

    /// The OAuth client with this id and secret.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for an unknown client or a wrong secret, alike.
    pub async fn authenticate(&self, client: &str, secret: &str, now: Millis) -> Result<ClientView, ApiError> {
        let refused = || ApiError::new(ErrorKind::Unauthenticated, "The client id or the client secret is not valid.");
        let id: ClientId = client.parse().map_err(|_| refused())?;
        self.store.client_with_secret(&id, &KeyHash::of(secret), now).await?.ok_or_else(refused)
    }

    /// Issues an access token to a client that has shown its secret, with the scopes that it
    /// asks for, or without any all of its own.
    ///
    /// # Errors
    /// [`ErrorKind::ScopeMissing`] for scopes beyond the client's; what else stands against a
    /// request by this client now.
    pub async fn exchange(
        &self,
        client: &ClientView,
        scopes: Option<&str>,
        origin: &Origin,
        now: Millis,
    ) -> Result<AccessToken, ApiError> {
        let scopes = match scopes.map(|names| Scopes::parse(names.split_whitespace())) {
            Some(Err(name)) => {
                let details = format!("There is no scope \"{}\".", crate::messages::request::excerpt(name));
                return Err(ApiError::new(ErrorKind::ScopeMissing, details));
            }
            Some(Ok(scopes)) if !scopes.is_empty() => scopes,
            _ => client.grant.scopes,
        };
        if !client.grant.scopes.covers(scopes) {
            let details = format!("The client has the scopes \"{}\", not all of \"{scopes}\".", client.grant.scopes);
            return Err(ApiError::new(ErrorKind::ScopeMissing, details));
        }
        let token = Issued::access_token();
        self.store.add_access_token(&token.hash(), &client.id, scopes, now + TOKEN_LIFE_MS).await?;
        // The token's principal carries everything that can stand against it.
        let principal = self.directory.principal(token.reveal()).await?;
        let principal = principal.ok_or_else(|| ApiError::missing("client", &client.id))?;
        principal.admit(origin.address, now)?;
        let ends_at = principal.expires_at.unwrap_or(now + TOKEN_LIFE_MS);
        Ok(AccessToken { token, scopes, expires_in: (ends_at - now) / 1_000 })
    }

    /// Issues a new signing secret of `business`; the one it has holds for `grace_ms` more,
    /// and an older one ends.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn rotate_signing_secret(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        grace_ms: Millis,
        now: Millis,
    ) -> Result<String, ApiError> {
        let until = now + check_grace(grace_ms)?;
        let view =
            self.store.business(subtree, business).await?.ok_or_else(|| ApiError::missing("business", business))?;
        let (id, secret, sealed) = new_signing_secret(&self.vault);
        let owner = (&view.reseller, &view.id);
        self.store.rotate_signing_secret(by, owner, (&id, sealed), until, now).await?;
        self.directory.forget_business(business);
        Ok(secret)
    }

    /// When the live signing secrets of `business` were issued, and when they end, newest
    /// first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it lies outside of `subtree`.
    pub async fn signing_secrets(
        &self,
        subtree: &Subtree,
        business: &BusinessId,
        now: Millis,
    ) -> Result<Vec<(SigningSecretId, Millis, Option<Millis>)>, ApiError> {
        let view =
            self.store.business(subtree, business).await?.ok_or_else(|| ApiError::missing("business", business))?;
        let secrets = self.store.signing_secrets(&view.id, now).await?;
        let listed =
            |secret: StoredSecret| (SigningSecretId::from_key(secret.id), secret.created_at, secret.expires_at);
        Ok(secrets.into_iter().map(listed).collect())
    }

    /// Everything that a request asks for, checked.
    async fn grant(&self, owner: &Owner, request: &GrantRequest, now: Millis) -> Result<Grant, ApiError> {
        let mut breaches = Vec::new();
        let mut breach = |pointer: &str, message: String| {
            breaches.push(Breach { pointer: pointer.to_owned(), message, limit: None, actual: None });
        };
        let name = request.name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || name.chars().any(char::is_control) {
            breach("/name", format!("must have 1 to {NAME_MAX_CHARS} characters, none of them a control character"));
        }
        let level = if owner.business.is_some() { Level::Business } else { Level::Reseller };
        let mode = match (&request.mode, level) {
            (None, Level::Business) => Mode::Test,
            (None, _) => Mode::Live,
            (Some(name), _) => Mode::parse(name).unwrap_or_else(|| {
                breach("/mode", "must be \"live\" or \"test\"".to_owned());
                Mode::Test
            }),
        };
        if level == Level::Reseller && mode == Mode::Test {
            breach("/mode", "is for the credentials of businesses: a reseller has no sandbox".to_owned());
        }
        let scopes = match &request.scopes {
            None => Scopes::admin(),
            Some(names) => match Scopes::parse(names.iter().map(String::as_str)) {
                Ok(scopes) => scopes,
                Err(name) => {
                    let name = crate::messages::request::excerpt(name);
                    breach("/scopes", format!("names \"{name}\", which is no scope"));
                    Scopes::default()
                }
            },
        };
        if scopes.is_empty() && request.scopes.as_ref().is_some_and(Vec::is_empty) {
            breach("/scopes", "must not be empty; leave it out for all of them".to_owned());
        }
        for scope in scopes.iter().filter(|scope| scope.level() != Level::Any && scope.level() != level) {
            breach("/scopes", format!("names \"{}\", which is not for this kind of credential", scope.name()));
        }
        let mut addresses = Vec::new();
        let listed = request.addresses.as_deref().unwrap_or_default();
        if listed.len() > ADDRESSES_MAX {
            breach("/addresses", format!("must have at most {ADDRESSES_MAX} entries"));
        }
        for (index, text) in listed.iter().enumerate().take(ADDRESSES_MAX) {
            match text
                .parse::<IpNet>()
                .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.to_canonical().into()))
            {
                Ok(net) => addresses.push(net.trunc()),
                Err(_) => breach(&format!("/addresses/{index}"), "must be an IP address or network".to_owned()),
            }
        }
        if request.signed && level == Level::Reseller {
            breach("/signed", "is for the keys of businesses: a reseller has no signing secret".to_owned());
        }
        let expires_at = request.expires_at.map(|seconds| seconds.saturating_mul(1_000));
        if expires_at.is_some_and(|at| at <= now) {
            breach("/expires_at", "must be in the future".to_owned());
        }
        if !breaches.is_empty() {
            return Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches));
        }
        if let (Some(business), Mode::Live) = (&owner.business, mode) {
            let view = self.store.business(&Subtree::Business(business.clone()), business).await?;
            if !view.is_some_and(|view| view.standing == Standing::Active) {
                let details = "Live credentials are issued once the business is verified; test ones from the start.";
                return Err(ApiError::new(ErrorKind::NotVerified, details));
            }
        }
        Ok(Grant { name: name.to_owned(), mode, scopes, addresses, signed: request.signed, expires_at })
    }
}

fn too_many(what: &str) -> ApiError {
    let details = format!("There are as many {what} as there may be. Revoke one first.");
    ApiError::new(ErrorKind::Conflict, details)
}

fn new_key(owner: &Owner, mode: Mode) -> Issued {
    if owner.business.is_some() { Issued::api_key(mode) } else { Issued::reseller_key() }
}

fn check_grace(grace_ms: Millis) -> Result<Millis, ApiError> {
    if (0..=GRACE_MAX_MS).contains(&grace_ms) {
        return Ok(grace_ms);
    }
    let hours = GRACE_MAX_MS / 3_600_000;
    let breach = Breach {
        pointer: "/grace_hours".to_owned(),
        message: format!("must be from 0 to {hours}"),
        limit: u64::try_from(hours).ok(),
        actual: u64::try_from(grace_ms / 3_600_000).ok(),
    };
    Err(ApiError::breaches(ErrorKind::ParameterInvalid, vec![breach]))
}

/// A new signing secret, and its sealed form.
pub(crate) fn new_signing_secret(vault: &Vault) -> (SigningSecretId, String, Vec<u8>) {
    let (id, secret) = (SigningSecretId::generate(), app_secret());
    let sealed = vault.seal(&signing_secret_context(id.key()), secret.as_bytes());
    (id, secret, sealed)
}

/// Where a signing secret belongs.
pub(crate) fn signing_secret_context(key: &str) -> String {
    format!("signing secret {key}")
}

/// Seals what an older version left in the clear.
///
/// # Errors
/// The database's.
pub(crate) async fn seal_clear_secrets(store: &Store, vault: &Vault) -> Result<(), crate::store::StoreError> {
    for secret in store.clear_signing_secrets().await? {
        if let Some(clear) = Vault::clear(&secret.sealed) {
            let sealed = vault.seal(&signing_secret_context(&secret.id), clear);
            store.seal_signing_secret(&secret.id, sealed).await?;
        }
    }
    Ok(())
}
