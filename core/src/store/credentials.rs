//! API keys, OAuth clients, access tokens and signing secrets. Of what lets somebody in
//! only hashes are here; what has to be used again is sealed.

use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl,
    Queryable, Selectable, SelectableHelper, dsl::sql, sql_types::Text,
};
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use serde_json::{Value, json};

use super::{
    Store, StoreError, audit,
    connection::{Conn, on},
    schema::{access_tokens, api_keys, businesses, oauth_clients, resellers, signing_secrets},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    credentials::{Grant, KEYS_MAX_PER_OWNER, KeyHash},
    ids::{ApiKeyId, BusinessId, ClientId, ResellerId, SigningSecretId},
    paging::{Page, Paging},
    tenancy::{Mode, Policy, Principal, Scopes, Standing},
};

/// Whose a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The reseller in whose subtree it is.
    pub reseller: ResellerId,
    /// The business; none for the reseller's own.
    pub business: Option<BusinessId>,
}

impl Owner {
    fn entry(&self, action: &'static str, subject: impl ToString) -> Entry {
        let entry = Entry::new(action, subject).of_reseller(&self.reseller);
        match &self.business {
            Some(business) => entry.of_business(business),
            None => entry,
        }
    }
}

/// An API key or an OAuth client, as its owner sees it.
#[derive(Debug, Clone)]
pub struct CredentialView<Id> {
    /// Its id.
    pub id: Id,
    /// Whose it is.
    pub owner: Owner,
    /// What it allows, and to whom.
    pub grant: Grant,
    /// Of a key: what may be shown of it.
    pub prefix: String,
    /// When it was issued.
    pub created_at: Millis,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Millis>,
    /// From where it was last used.
    pub last_used_address: Option<String>,
    /// Of a key: the one that takes over from it.
    pub successor: Option<ApiKeyId>,
    /// Of a client: until when its previous secret holds.
    pub previous_until: Option<Millis>,
}

/// An API key, as its owner sees it.
pub type KeyView = CredentialView<ApiKeyId>;
/// An OAuth client, as its owner sees it.
pub type ClientView = CredentialView<ClientId>;

/// What became of an API key that was to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is there.
    Key(ApiKeyId),
    /// Its owner has as many as there may be.
    TooMany,
    /// The key that it was to replace has a successor already, is revoked or is not there.
    NothingToReplace,
}

/// A signing secret, sealed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = signing_secrets)]
pub(crate) struct StoredSecret {
    pub(crate) id: String,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Option<Millis>,
}

/// A credential that was used.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    /// The outer id of the key or client.
    pub(crate) credential: String,
    pub(crate) at: Millis,
    pub(crate) address: Option<String>,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct StoredKey {
    id: String,
    business_id: Option<String>,
    name: String,
    prefix: String,
    created_at: Millis,
    revoked_at: Option<Millis>,
    reseller_id: String,
    mode: String,
    scopes: String,
    addresses: String,
    signed: bool,
    expires_at: Option<Millis>,
    last_used_at: Option<Millis>,
    last_used_address: Option<String>,
    successor_id: Option<String>,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = oauth_clients)]
struct StoredClient {
    id: String,
    reseller_id: String,
    business_id: Option<String>,
    name: String,
    mode: String,
    scopes: String,
    addresses: String,
    previous_until: Option<Millis>,
    created_at: Millis,
    expires_at: Option<Millis>,
    last_used_at: Option<Millis>,
    last_used_address: Option<String>,
    revoked_at: Option<Millis>,
}

fn unreadable(table: &'static str, id: &str, what: &str) -> StoreError {
    StoreError::Unreadable { table, reason: format!("{what} of {id}; was it written by a newer version?") }
}

fn read_grant(
    table: &'static str,
    id: &str,
    name: String,
    (mode, scopes, addresses): (&str, &str, &str),
    signed: bool,
    expires_at: Option<Millis>,
) -> Result<Grant, StoreError> {
    Ok(Grant {
        name,
        mode: Mode::parse(mode).ok_or_else(|| unreadable(table, id, "mode"))?,
        scopes: Scopes::parse(scopes.split_whitespace()).map_err(|_| unreadable(table, id, "scopes"))?,
        addresses: addresses
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<IpNet>, _>>()
            .map_err(|_| unreadable(table, id, "addresses"))?,
        signed,
        expires_at,
    })
}

fn addresses_text(addresses: &[IpNet]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn grant_value(grant: &Grant) -> Value {
    json!({
        "name": grant.name, "mode": grant.mode.name(), "scopes": grant.scopes.to_string(),
        "addresses": addresses_text(&grant.addresses), "signed": grant.signed, "expires_at": grant.expires_at,
    })
}

impl TryFrom<StoredKey> for KeyView {
    type Error = StoreError;

    fn try_from(row: StoredKey) -> Result<Self, StoreError> {
        let texts = (row.mode.as_str(), row.scopes.as_str(), row.addresses.as_str());
        Ok(Self {
            grant: read_grant("api_keys", &row.id, row.name, texts, row.signed, row.expires_at)?,
            owner: owner(row.reseller_id, row.business_id),
            id: ApiKeyId::from_key(row.id),
            prefix: row.prefix,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            last_used_address: row.last_used_address,
            successor: row.successor_id.map(ApiKeyId::from_key),
            previous_until: None,
        })
    }
}

impl TryFrom<StoredClient> for ClientView {
    type Error = StoreError;

    fn try_from(row: StoredClient) -> Result<Self, StoreError> {
        let texts = (row.mode.as_str(), row.scopes.as_str(), row.addresses.as_str());
        Ok(Self {
            grant: read_grant("oauth_clients", &row.id, row.name, texts, false, row.expires_at)?,
            owner: owner(row.reseller_id, row.business_id),
            id: ClientId::from_key(row.id),
            prefix: String::new(),
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            last_used_address: row.last_used_address,
            successor: None,
            previous_until: row.previous_until,
        })
    }
}

fn owner(reseller: String, business: Option<String>) -> Owner {
    Owner { reseller: ResellerId::from_key(reseller), business: business.map(BusinessId::from_key) }
}

/// How everything above a credential stands, and what it allows.
type Above = (String, String, Option<String>, Option<String>);

/// The columns of [`Above`].
macro_rules! above {
    () => {
        (resellers::status, resellers::policy, businesses::state.nullable(), businesses::policy.nullable())
    };
}

fn principal<Id: ToString>(
    view: CredentialView<Id>,
    above: &Above,
    defaults: &Policy,
) -> Result<Principal, StoreError> {
    let (reseller_status, reseller_policy, business_state, business_policy) = above;
    let read = |text: &str| {
        serde_json::from_str::<Policy>(text).map_err(|_| unreadable("resellers", view.owner.reseller.key(), "policy"))
    };
    let mut policy = read(reseller_policy)?.below(defaults);
    if let Some(own) = business_policy {
        policy = read(own)?.below(&policy);
    }
    Ok(Principal {
        credential: view.id.to_string(),
        name: view.grant.name,
        reseller: view.owner.reseller,
        business: view.owner.business,
        mode: view.grant.mode,
        scopes: view.grant.scopes,
        addresses: view.grant.addresses,
        signed: view.grant.signed,
        expires_at: view.grant.expires_at,
        revoked_at: view.revoked_at,
        standing: Standing::of(reseller_status, business_state.as_deref()),
        limits: policy.limits(),
    })
}

/// Rows of `$table` that are `$owner`'s. The expression is the one that the table's index
/// is made of.
macro_rules! owned_by {
    ($table:ident, $owner:expr) => {
        $table::reseller_id.eq($owner.reseller.key()).and(
            sql::<Text>(concat!("coalesce(", stringify!($table), ".business_id, '')"))
                .eq($owner.business.as_ref().map_or("", BusinessId::key)),
        )
    };
}

impl Store {
    /// Who holds the API key with this hash, live or not.
    pub(crate) async fn key_principal(
        &self,
        hash: &KeyHash,
        defaults: &Policy,
    ) -> Result<Option<Principal>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = api_keys::table
            .inner_join(resellers::table.on(resellers::id.eq(api_keys::reseller_id)))
            .left_join(businesses::table.on(businesses::id.nullable().eq(api_keys::business_id)))
            .filter(api_keys::hash.eq(hash.hex()));
        let row: Option<(StoredKey, Above)> =
            on!(conn, c => query.select((StoredKey::as_select(), above!())).first(c).await.optional())?;
        row.map(|(key, above)| principal(KeyView::try_from(key)?, &above, defaults)).transpose()
    }

    /// Who holds the access token with this hash, live or not. The token's own end and
    /// scopes stand in place of its client's.
    pub(crate) async fn token_principal(
        &self,
        hash: &KeyHash,
        defaults: &Policy,
    ) -> Result<Option<Principal>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = access_tokens::table
            .inner_join(oauth_clients::table.on(oauth_clients::id.eq(access_tokens::client_id)))
            .inner_join(resellers::table.on(resellers::id.eq(oauth_clients::reseller_id)))
            .left_join(businesses::table.on(businesses::id.nullable().eq(oauth_clients::business_id)))
            .filter(access_tokens::hash.eq(hash.hex()));
        type Row = ((String, Millis), StoredClient, Above);
        let row: Option<Row> = on!(conn, c => {
            let token = (access_tokens::scopes, access_tokens::expires_at);
            query.select((token, StoredClient::as_select(), above!())).first(c).await.optional()
        })?;
        row.map(|((scopes, expires_at), client, above)| {
            let mut view = ClientView::try_from(StoredClient { scopes, ..client })?;
            view.grant.expires_at = Some(view.grant.expires_at.map_or(expires_at, |end| end.min(expires_at)));
            principal(view, &above, defaults)
        })
        .transpose()
    }

    /// Adds an API key, of which `prefix` may be shown, and only the hash is kept. With
    /// `replaces`, the key of that id ends at the given time, or when it would have anyway,
    /// and names this one as its successor. Counted under a lock, so that many at once are
    /// no more than one after the other.
    pub(crate) async fn add_api_key(
        &self,
        by: &Actor,
        owner: &Owner,
        grant: &Grant,
        (prefix, hash): (&str, &KeyHash),
        replaces: Option<(&ApiKeyId, Millis)>,
        now: Millis,
    ) -> Result<Added, StoreError> {
        let id = ApiKeyId::generate();
        let mut conn = self.pools.begin().await?;
        let result = async {
            lock_owner(&mut conn, owner).await?;
            // Each of them may have one that still holds while it takes over.
            let most = if replaces.is_some() { 2 * KEYS_MAX_PER_OWNER } else { KEYS_MAX_PER_OWNER };
            if count_live_keys(&mut conn, owner, now).await? >= most {
                return Ok(Added::TooMany);
            }
            if let Some((old, ends_at)) = replaces
                && !retire_key(&mut conn, owner, old, &id, ends_at).await?
            {
                return Ok(Added::NothingToReplace);
            }
            let query = diesel::insert_into(api_keys::table).values((
                api_keys::id.eq(id.key()),
                api_keys::reseller_id.eq(owner.reseller.key()),
                api_keys::business_id.eq(owner.business.as_ref().map(BusinessId::key)),
                (api_keys::name.eq(&grant.name), api_keys::prefix.eq(prefix), api_keys::hash.eq(hash.hex())),
                api_keys::mode.eq(grant.mode.name()),
                api_keys::scopes.eq(grant.scopes.to_string()),
                api_keys::addresses.eq(addresses_text(&grant.addresses)),
                api_keys::signed.eq(grant.signed),
                api_keys::expires_at.eq(grant.expires_at),
                api_keys::created_at.eq(now),
            ));
            on!(conn, c => query.execute(c).await)?;
            let (action, before) = match replaces {
                None => ("key.issued", None),
                Some((old, ends_at)) => ("key.rotated", Some(json!({"key": old, "ends_at": ends_at}))),
            };
            let entry = Entry { before, ..owner.entry(action, &id) }.after(grant_value(grant));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(Added::Key(id))
        }
        .await;
        conn.finish(result).await
    }

    /// The API keys of `owner`, newest first.
    pub(crate) async fn api_keys(&self, owner: &Owner, paging: &Paging) -> Result<Page<KeyView>, StoreError> {
        let mut conn = self.pools.read().await?;
        // Above every ULID.
        let before = paging.after.as_deref().unwrap_or("~");
        let query = api_keys::table
            .filter(owned_by!(api_keys, owner))
            .filter(api_keys::id.lt(before))
            .order(api_keys::id.desc())
            .limit(paging.rows());
        let rows: Vec<StoredKey> = on!(conn, c => query.select(StoredKey::as_select()).load(c).await)?;
        let views = rows.into_iter().map(TryInto::try_into).collect::<Result<Vec<KeyView>, _>>()?;
        Ok(Page::new(views, paging, |view| view.id.key().to_owned()))
    }

    /// The API key `id` of `owner`.
    pub(crate) async fn api_key(&self, owner: &Owner, id: &ApiKeyId) -> Result<Option<KeyView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = api_keys::table.filter(owned_by!(api_keys, owner)).filter(api_keys::id.eq(id.key()));
        let row: Option<StoredKey> = on!(conn, c => query.select(StoredKey::as_select()).first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// Revokes an API key of `owner`. False when it is revoked already, or there is none.
    pub(crate) async fn revoke_api_key(
        &self,
        by: &Actor,
        owner: &Owner,
        id: &ApiKeyId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = api_keys::table
                .filter(owned_by!(api_keys, owner))
                .filter(api_keys::id.eq(id.key()))
                .filter(api_keys::revoked_at.is_null());
            let query = diesel::update(row).set(api_keys::revoked_at.eq(Some(now)));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            audit::append(&mut conn, by, owner.entry("key.revoked", id), now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Adds an OAuth client; `None` when its owner has as many as there may be.
    pub(crate) async fn add_client(
        &self,
        by: &Actor,
        owner: &Owner,
        grant: &Grant,
        secret: &KeyHash,
        now: Millis,
    ) -> Result<Option<ClientId>, StoreError> {
        let id = ClientId::generate();
        let mut conn = self.pools.begin().await?;
        let result = async {
            lock_owner(&mut conn, owner).await?;
            if count_live_clients(&mut conn, owner, now).await? >= KEYS_MAX_PER_OWNER {
                return Ok(None);
            }
            let query = diesel::insert_into(oauth_clients::table).values((
                oauth_clients::id.eq(id.key()),
                oauth_clients::reseller_id.eq(owner.reseller.key()),
                oauth_clients::business_id.eq(owner.business.as_ref().map(BusinessId::key)),
                oauth_clients::name.eq(&grant.name),
                oauth_clients::mode.eq(grant.mode.name()),
                oauth_clients::scopes.eq(grant.scopes.to_string()),
                oauth_clients::addresses.eq(addresses_text(&grant.addresses)),
                oauth_clients::secret_hash.eq(secret.hex()),
                oauth_clients::expires_at.eq(grant.expires_at),
                oauth_clients::created_at.eq(now),
            ));
            on!(conn, c => query.execute(c).await)?;
            let entry = owner.entry("client.issued", &id).after(grant_value(grant));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(Some(id))
        }
        .await;
        conn.finish(result).await
    }

    /// The OAuth clients of `owner`, newest first.
    pub(crate) async fn clients(&self, owner: &Owner, paging: &Paging) -> Result<Page<ClientView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let before = paging.after.as_deref().unwrap_or("~");
        let query = oauth_clients::table
            .filter(owned_by!(oauth_clients, owner))
            .filter(oauth_clients::id.lt(before))
            .order(oauth_clients::id.desc())
            .limit(paging.rows());
        let rows: Vec<StoredClient> = on!(conn, c => query.select(StoredClient::as_select()).load(c).await)?;
        let views = rows.into_iter().map(TryInto::try_into).collect::<Result<Vec<ClientView>, _>>()?;
        Ok(Page::new(views, paging, |view| view.id.key().to_owned()))
    }

    /// The OAuth client `id` of `owner`.
    pub(crate) async fn client(&self, owner: &Owner, id: &ClientId) -> Result<Option<ClientView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = oauth_clients::table.filter(owned_by!(oauth_clients, owner)).filter(oauth_clients::id.eq(id.key()));
        let row: Option<StoredClient> =
            on!(conn, c => query.select(StoredClient::as_select()).first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// The OAuth client `id`, and its owner's grant to it, when `secret` is one of its live
    /// secrets.
    pub(crate) async fn client_with_secret(
        &self,
        id: &ClientId,
        secret: &KeyHash,
        now: Millis,
    ) -> Result<Option<ClientView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let previous =
            oauth_clients::previous_hash.eq(secret.hex()).and(oauth_clients::previous_until.gt(now)).assume_not_null();
        let query = oauth_clients::table
            .filter(oauth_clients::id.eq(id.key()))
            .filter(oauth_clients::secret_hash.eq(secret.hex()).or(previous));
        let row: Option<StoredClient> =
            on!(conn, c => query.select(StoredClient::as_select()).first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// Gives an OAuth client of `owner` a new secret; the one it has holds until `until`.
    /// False when there is no such live client.
    pub(crate) async fn rotate_client(
        &self,
        by: &Actor,
        owner: &Owner,
        id: &ClientId,
        secret: &KeyHash,
        until: Millis,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = oauth_clients::table
                .filter(owned_by!(oauth_clients, owner))
                .filter(oauth_clients::id.eq(id.key()))
                .filter(oauth_clients::revoked_at.is_null());
            let query = diesel::update(row).set((
                oauth_clients::previous_hash.eq(oauth_clients::secret_hash.nullable()),
                oauth_clients::previous_until.eq(Some(until)),
                oauth_clients::secret_hash.eq(secret.hex()),
            ));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            let entry = owner.entry("client.rotated", id).after(json!({"previous_until": until}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Revokes an OAuth client of `owner`, and its tokens with it. False when it is revoked
    /// already, or there is none.
    pub(crate) async fn revoke_client(
        &self,
        by: &Actor,
        owner: &Owner,
        id: &ClientId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = oauth_clients::table
                .filter(owned_by!(oauth_clients, owner))
                .filter(oauth_clients::id.eq(id.key()))
                .filter(oauth_clients::revoked_at.is_null());
            let query = diesel::update(row).set(oauth_clients::revoked_at.eq(Some(now)));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            audit::append(&mut conn, by, owner.entry("client.revoked", id), now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Keeps an access token of `client`.
    pub(crate) async fn add_access_token(
        &self,
        hash: &KeyHash,
        client: &ClientId,
        scopes: Scopes,
        expires_at: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(access_tokens::table).values((
            access_tokens::hash.eq(hash.hex()),
            access_tokens::client_id.eq(client.key()),
            access_tokens::scopes.eq(scopes.to_string()),
            access_tokens::expires_at.eq(expires_at),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Deletes access tokens whose time is over.
    pub(crate) async fn forget_access_tokens(&self, now: Millis) -> Result<usize, StoreError> {
        let mut conn = self.pools.write().await?;
        let over = access_tokens::table.filter(access_tokens::expires_at.le(now));
        Ok(on!(conn, c => diesel::delete(over).execute(c).await)?)
    }

    /// Notes when and from where credentials were last used.
    pub(crate) async fn note_use(&self, used: &[Used]) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            for Used { credential, at, address } in used {
                if let Ok(id) = credential.parse::<ApiKeyId>() {
                    let query = diesel::update(api_keys::table.filter(api_keys::id.eq(id.key())))
                        .set((api_keys::last_used_at.eq(Some(at)), api_keys::last_used_address.eq(address)));
                    on!(conn, c => query.execute(c).await)?;
                } else if let Ok(id) = credential.parse::<ClientId>() {
                    let query = diesel::update(oauth_clients::table.filter(oauth_clients::id.eq(id.key())))
                        .set((oauth_clients::last_used_at.eq(Some(at)), oauth_clients::last_used_address.eq(address)));
                    on!(conn, c => query.execute(c).await)?;
                }
            }
            Ok(())
        }
        .await;
        conn.finish(result).await
    }

    /// The signing secrets of `business` that are live at `now`, newest first.
    pub(crate) async fn signing_secrets(
        &self,
        business: &BusinessId,
        now: Millis,
    ) -> Result<Vec<StoredSecret>, StoreError> {
        let mut conn = self.pools.read().await?;
        let live = signing_secrets::expires_at.is_null().or(signing_secrets::expires_at.gt(now).assume_not_null());
        let query = signing_secrets::table
            .filter(signing_secrets::business_id.eq(business.key()))
            .filter(live)
            .order(signing_secrets::created_at.desc());
        Ok(on!(conn, c => query.select(StoredSecret::as_select()).load(c).await)?)
    }

    /// Adds a signing secret of `owner`'s business; those it has end at `until`, or when
    /// they would have anyway. At most two are live: an older one than the last ends at
    /// once.
    pub(crate) async fn rotate_signing_secret(
        &self,
        by: &Actor,
        (reseller, business): (&ResellerId, &BusinessId),
        (id, sealed): (&SigningSecretId, Vec<u8>),
        until: Millis,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let of_business = signing_secrets::table.filter(signing_secrets::business_id.eq(business.key()));
            let old = diesel::update(of_business.filter(signing_secrets::expires_at.is_not_null()))
                .set(signing_secrets::expires_at.eq(Some(now)));
            on!(conn, c => old.execute(c).await)?;
            let last = diesel::update(of_business.filter(signing_secrets::expires_at.is_null()))
                .set(signing_secrets::expires_at.eq(Some(until)));
            on!(conn, c => last.execute(c).await)?;
            let query = diesel::insert_into(signing_secrets::table).values((
                signing_secrets::id.eq(id.key()),
                signing_secrets::business_id.eq(business.key()),
                signing_secrets::sealed.eq(sealed),
                signing_secrets::created_at.eq(now),
            ));
            on!(conn, c => query.execute(c).await)?;
            let entry = Entry::new("signing_secret.rotated", id)
                .of_reseller(reseller)
                .of_business(business)
                .after(json!({"previous_until": until}));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await
    }

    /// Signing secrets that an older version left in the clear.
    pub(crate) async fn clear_signing_secrets(&self) -> Result<Vec<StoredSecret>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = signing_secrets::table.filter(signing_secrets::sealed.lt(vec![1_u8]));
        Ok(on!(conn, c => query.select(StoredSecret::as_select()).load(c).await)?)
    }

    /// Puts the sealed form of a signing secret in the place of what is there.
    pub(crate) async fn seal_signing_secret(&self, id: &str, sealed: Vec<u8>) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let row = diesel::update(signing_secrets::table.filter(signing_secrets::id.eq(id)));
        let query = row.set(signing_secrets::sealed.eq(sealed));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }
}

/// Makes whoever else counts what `owner` has wait until this transaction is over.
async fn lock_owner(conn: &mut Conn, owner: &Owner) -> Result<(), StoreError> {
    match &owner.business {
        Some(business) => {
            let row = businesses::table.filter(businesses::id.eq(business.key()));
            let query = diesel::update(row).set(businesses::name.eq(businesses::name));
            on!(*conn, c => query.execute(c).await)?;
        }
        None => {
            let row = resellers::table.filter(resellers::id.eq(owner.reseller.key()));
            let query = diesel::update(row).set(resellers::name.eq(resellers::name));
            on!(*conn, c => query.execute(c).await)?;
        }
    }
    Ok(())
}

/// How many of `$owner`'s rows of `$table` could let somebody in now or later.
macro_rules! count_live {
    ($name:ident, $table:ident) => {
        async fn $name(conn: &mut Conn, owner: &Owner, now: Millis) -> Result<i64, StoreError> {
            let query = $table::table
                .filter(owned_by!($table, owner))
                .filter($table::revoked_at.is_null())
                .filter($table::expires_at.is_null().or($table::expires_at.gt(now).assume_not_null()))
                .count();
            Ok(on!(*conn, c => query.get_result(c).await)?)
        }
    };
}

count_live!(count_live_keys, api_keys);
count_live!(count_live_clients, oauth_clients);

async fn retire_key(
    conn: &mut Conn,
    owner: &Owner,
    old: &ApiKeyId,
    successor: &ApiKeyId,
    ends_at: Millis,
) -> Result<bool, StoreError> {
    let row = api_keys::table
        .filter(owned_by!(api_keys, owner))
        .filter(api_keys::id.eq(old.key()))
        .filter(api_keys::revoked_at.is_null())
        .filter(api_keys::successor_id.is_null());
    let query = diesel::update(row).set(api_keys::successor_id.eq(Some(successor.key())));
    if on!(*conn, c => query.execute(c).await)? == 0 {
        return Ok(false);
    }
    let later = api_keys::table
        .filter(api_keys::id.eq(old.key()))
        .filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(ends_at).assume_not_null()));
    let query = diesel::update(later).set(api_keys::expires_at.eq(Some(ends_at)));
    on!(*conn, c => query.execute(c).await)?;
    Ok(true)
}
