//! Resellers, businesses, their senders, keys and webhook endpoints.

use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, Queryable};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::on,
    schema::{accounts, api_keys, businesses, endpoints, resellers, senders},
};
use crate::{
    clock::Millis,
    credentials::KeyHash,
    ids::{AccountId, ApiKeyId, BusinessId, EndpointId, ResellerId, SenderId},
    tenancy::{Endpoint, Principal, Sender},
};

#[derive(Queryable)]
struct StoredSender {
    id: i64,
    account_id: i64,
    business_id: String,
    phone: String,
    adapter: String,
    connection: String,
    verified_at: Option<Millis>,
}

impl TryFrom<StoredSender> for Sender {
    type Error = StoreError;

    fn try_from(row: StoredSender) -> Result<Self, StoreError> {
        let connection = serde_json::from_str(&row.connection).map_err(|error| StoreError::Unreadable {
            table: "senders",
            reason: format!("connection of {}: {error}", row.id),
        })?;
        Ok(Self {
            id: SenderId(row.id),
            account: AccountId(row.account_id),
            business: BusinessId::from_key(row.business_id),
            phone: row.phone,
            adapter: row.adapter,
            connection,
            verified: row.verified_at.is_some(),
        })
    }
}

impl Store {
    /// Adds a reseller.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_reseller(&self, name: &str, now: Millis) -> Result<ResellerId, StoreError> {
        let id = ResellerId::generate();
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(resellers::table).values((
            resellers::id.eq(id.key()),
            resellers::name.eq(name),
            resellers::created_at.eq(now),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(id)
    }

    /// Adds a business of `reseller` with one account.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_business(
        &self,
        reseller: &ResellerId,
        name: &str,
        app_secret: &str,
        verified_at: Option<Millis>,
        now: Millis,
    ) -> Result<(BusinessId, AccountId), StoreError> {
        let (id, account) = (BusinessId::generate(), AccountId::generate());
        let mut conn = self.pools.begin().await?;
        let business = diesel::insert_into(businesses::table).values((
            businesses::id.eq(id.key()),
            businesses::reseller_id.eq(reseller.key()),
            businesses::name.eq(name),
            businesses::verified_at.eq(verified_at),
            businesses::app_secret.eq(app_secret),
            businesses::created_at.eq(now),
        ));
        let of_business = diesel::insert_into(accounts::table).values((
            accounts::id.eq(account.0),
            accounts::business_id.eq(id.key()),
            accounts::created_at.eq(now),
        ));
        let result = on!(conn, c => async {
            business.execute(c).await?;
            of_business.execute(c).await
        }
        .await);
        conn.finish(result.map_err(StoreError::from)).await?;
        Ok((id, account))
    }

    /// Adds a sender. `phone` is digits without `+`, `connection` what its adapter
    /// asks for, as a JSON object.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_sender(
        &self,
        (business, account): (&BusinessId, AccountId),
        phone: &str,
        display_name: &str,
        adapter: &str,
        connection: &str,
        now: Millis,
    ) -> Result<SenderId, StoreError> {
        let id = SenderId::generate();
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(senders::table).values((
            senders::id.eq(id.0),
            senders::account_id.eq(account.0),
            senders::business_id.eq(business.key()),
            senders::phone.eq(phone),
            senders::display_name.eq(display_name),
            senders::adapter.eq(adapter),
            senders::connection.eq(connection),
            senders::created_at.eq(now),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(id)
    }

    /// Adds an API key of `business`; only its hash is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_api_key(
        &self,
        business: &BusinessId,
        name: &str,
        prefix: &str,
        hash: &KeyHash,
        now: Millis,
    ) -> Result<ApiKeyId, StoreError> {
        let id = ApiKeyId::generate();
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(api_keys::table).values((
            api_keys::id.eq(id.key()),
            api_keys::business_id.eq(business.key()),
            api_keys::name.eq(name),
            api_keys::prefix.eq(prefix),
            api_keys::hash.eq(hash.hex()),
            api_keys::created_at.eq(now),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(id)
    }

    /// Adds a webhook endpoint of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_endpoint(
        &self,
        business: &BusinessId,
        url: &str,
        verify_token: &str,
        now: Millis,
    ) -> Result<EndpointId, StoreError> {
        let id = EndpointId::generate();
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(endpoints::table).values((
            endpoints::id.eq(id.key()),
            endpoints::business_id.eq(business.key()),
            endpoints::url.eq(url),
            endpoints::verify_token.eq(verify_token),
            endpoints::created_at.eq(now),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(id)
    }

    /// Who holds the key with this hash, if it is live.
    ///
    /// # Errors
    /// The database's.
    pub async fn principal(&self, hash: &KeyHash) -> Result<Option<Principal>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = api_keys::table
            .filter(api_keys::hash.eq(hash.hex()))
            .filter(api_keys::revoked_at.is_null())
            .select((api_keys::id, api_keys::business_id));
        let row: Option<(String, String)> = on!(conn, c => query.first(c).await.optional())?;
        Ok(row.map(|(key, business)| Principal {
            api_key: ApiKeyId::from_key(key),
            business: BusinessId::from_key(business),
        }))
    }

    /// A sender, whoever it belongs to: for the engine and for extractors that
    /// compare its business with the principal's.
    pub(crate) async fn sender(&self, id: SenderId) -> Result<Option<Sender>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = senders::table
            .inner_join(businesses::table.on(businesses::id.eq(senders::business_id)))
            .filter(senders::id.eq(id.0))
            .select((
                senders::id,
                senders::account_id,
                senders::business_id,
                senders::phone,
                senders::adapter,
                senders::connection,
                businesses::verified_at,
            ));
        let row: Option<StoredSender> = on!(conn, c => query.first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// The sender of `business` with this phone number (digits without `+`).
    ///
    /// # Errors
    /// The database's.
    pub async fn sender_by_phone(&self, business: &BusinessId, phone: &str) -> Result<Option<SenderId>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = senders::table
            .filter(senders::business_id.eq(business.key()))
            .filter(senders::phone.eq(phone))
            .order(senders::created_at)
            .select(senders::id);
        let id: Option<i64> = on!(conn, c => query.first(c).await.optional())?;
        Ok(id.map(SenderId))
    }

    /// The webhook endpoints of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn endpoints(&self, business: &BusinessId) -> Result<Vec<Endpoint>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = endpoints::table
            .filter(endpoints::business_id.eq(business.key()))
            .order(endpoints::id)
            .select((endpoints::id, endpoints::url));
        let rows: Vec<(String, String)> = on!(conn, c => query.load(c).await)?;
        Ok(rows.into_iter().map(|(id, url)| Endpoint { id: EndpointId::from_key(id), url }).collect())
    }
}
