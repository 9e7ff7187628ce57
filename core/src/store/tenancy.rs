//! The tree: resellers, businesses, their accounts, senders and webhook endpoints.

use base64::{Engine, engine::general_purpose::STANDARD};
use diesel::{
    EscapeExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, Queryable,
    TextExpressionMethods,
};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use super::{
    Store, StoreError,
    abuse::{CaseState, case_since},
    audit,
    connection::{Conn, on},
    onboarding::note_step,
    schema::{accounts, businesses, endpoints, resellers, senders, signing_secrets},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    ids::{AccountId, BusinessId, EndpointId, ResellerId, SenderId, SigningSecretId},
    onboarding::{Action, State},
    paging::{Page, Paging},
    tenancy::{Endpoint, Policy, Sender, Standing, Subtree},
};

/// A reseller, as staff see it.
#[derive(Debug, Clone)]
pub struct ResellerView {
    /// Its id.
    pub id: ResellerId,
    /// Its name.
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    /// Why it is suspended.
    pub status_reason: Option<String>,
    /// What its subtree may use.
    pub policy: Policy,
    /// When it was created.
    pub created_at: Millis,
}

/// A business, as those above it see it.
#[derive(Debug, Clone)]
pub struct BusinessView {
    /// Its id.
    pub id: BusinessId,
    /// Its reseller.
    pub reseller: ResellerId,
    /// The name of its reseller.
    pub reseller_name: String,
    /// The account that its senders belong to.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// How far its verification has come.
    pub state: String,
    /// Whether it may act, as everything above it stands.
    pub standing: Standing,
    /// What it may use: its own part.
    pub policy: Policy,
    /// What it may use, as everything above it allows.
    pub effective_policy: Policy,
    /// When it was created.
    pub created_at: Millis,
}

/// A sender, as those above it see it.
#[derive(Debug, Clone)]
pub struct SenderView {
    /// The sender as the engine knows it; the settings of its connection only where they are
    /// no secret.
    pub sender: Sender,
    /// The settings of its connection, sealed.
    pub(crate) sealed_connection: Option<Vec<u8>>,
    /// The reseller above it.
    pub reseller: ResellerId,
    /// The name that recipients see.
    pub display_name: String,
    /// When its owner proved that the number is theirs.
    pub phone_verified_at: Option<Millis>,
    /// When it was paused.
    pub paused_at: Option<Millis>,
    /// When it was created.
    pub created_at: Millis,
}

impl SenderView {
    /// Whether its number was deregistered, and it is paused for nothing else.
    #[must_use]
    pub fn is_deregistered(&self) -> bool {
        self.sender.is_deregistered()
    }
}

/// A webhook endpoint, as its business sees it.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// Its id.
    pub id: EndpointId,
    /// Its address.
    pub url: String,
    /// When it was registered.
    pub created_at: Millis,
    /// Whether it is the one that the Cloud API's `subscribed_apps` sets.
    pub overrides: bool,
}

/// Which businesses.
#[derive(Debug, Clone, Default)]
pub struct BusinessFilter {
    /// Those of this reseller.
    pub reseller: Option<ResellerId>,
    /// Those in this state.
    pub state: Option<String>,
    /// Those whose name contains this, whatever its case.
    pub search: Option<String>,
}

/// What an adapter needs to know of a sender, as rows carry it.
#[derive(Debug, Clone)]
pub(crate) enum Connection {
    /// Settings that are no secret.
    Clear(Value),
    /// Sealed for [`crate::tenancy::connection_context`].
    Sealed(Vec<u8>),
}

impl Connection {
    const SEALED: &str = "sealed:";

    fn text(&self) -> String {
        match self {
            Self::Clear(value) => value.to_string(),
            Self::Sealed(sealed) => format!("{}{}", Self::SEALED, STANDARD.encode(sealed)),
        }
    }

    fn read(id: i64, text: &str) -> Result<Self, StoreError> {
        let unreadable = |reason: String| StoreError::Unreadable {
            table: "senders",
            reason: format!("connection of {id}: {reason}"),
        };
        match text.strip_prefix(Self::SEALED) {
            Some(sealed) => STANDARD.decode(sealed).map(Self::Sealed).map_err(|error| unreadable(error.to_string())),
            None => serde_json::from_str(text).map(Self::Clear).map_err(|error| unreadable(error.to_string())),
        }
    }
}

/// What became of a sender that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SenderAdded {
    /// It is there.
    Yes,
    /// Its business has as many as there may be.
    TooMany,
    /// Its business has one with that number.
    NumberTaken,
}

/// What became of a sender that was to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// It goes on.
    Yes,
    /// It was not paused.
    NotPaused,
    /// A case is open against it.
    UnderReview,
    /// A reviewer decided that it stays paused.
    Upheld,
}

/// A sender on its way into the database.
#[derive(Debug, Clone)]
pub(crate) struct NewSender {
    pub(crate) id: SenderId,
    pub(crate) phone: String,
    pub(crate) display_name: String,
    pub(crate) channel: String,
    pub(crate) adapter: String,
    pub(crate) connection: Connection,
    pub(crate) phone_verified_at: Option<Millis>,
}

type StoredReseller = (String, String, Millis, String, Option<String>, String);

fn reseller_view(row: StoredReseller) -> Result<ResellerView, StoreError> {
    let (id, name, created_at, status, status_reason, policy) = row;
    let policy = read_policy("resellers", &id, &policy)?;
    Ok(ResellerView { id: ResellerId::from_key(id), name, status, status_reason, policy, created_at })
}

fn read_policy(table: &'static str, id: &str, text: &str) -> Result<Policy, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { table, reason: format!("policy of {id}: {error}") })
}

fn policy_text(policy: &Policy) -> String {
    serde_json::to_string(policy).unwrap_or_else(|_| "{}".to_owned())
}

#[derive(Queryable)]
struct StoredBusiness {
    id: String,
    reseller_id: String,
    name: String,
    created_at: Millis,
    state: String,
    policy: String,
    account_id: i64,
    reseller_name: String,
    reseller_status: String,
    reseller_policy: String,
}

impl TryFrom<StoredBusiness> for BusinessView {
    type Error = StoreError;

    fn try_from(row: StoredBusiness) -> Result<Self, StoreError> {
        let policy = read_policy("businesses", &row.id, &row.policy)?;
        let above = read_policy("resellers", &row.reseller_id, &row.reseller_policy)?;
        Ok(Self {
            id: BusinessId::from_key(row.id),
            reseller: ResellerId::from_key(row.reseller_id),
            reseller_name: row.reseller_name,
            account: AccountId(row.account_id),
            name: row.name,
            standing: Standing::of(&row.reseller_status, Some(&row.state)),
            state: row.state,
            effective_policy: policy.below(&above),
            policy,
            created_at: row.created_at,
        })
    }
}

/// Businesses with what stands above them.
macro_rules! business_views {
    () => {
        businesses::table
            .inner_join(resellers::table.on(resellers::id.eq(businesses::reseller_id)))
            .inner_join(accounts::table.on(accounts::business_id.eq(businesses::id)))
            .select((
                businesses::id,
                businesses::reseller_id,
                businesses::name,
                businesses::created_at,
                businesses::state,
                businesses::policy,
                accounts::id,
                resellers::name,
                resellers::status,
                resellers::policy,
            ))
    };
}

#[derive(Queryable)]
struct StoredSender {
    id: i64,
    account_id: i64,
    business_id: String,
    phone: String,
    display_name: String,
    adapter: String,
    connection: String,
    created_at: Millis,
    channel: String,
    phone_verified_at: Option<Millis>,
    paused_at: Option<Millis>,
    paused_reason: Option<String>,
    business_state: String,
    business_policy: String,
    reseller_id: String,
    reseller_status: String,
    reseller_policy: String,
}

impl TryFrom<StoredSender> for SenderView {
    type Error = StoreError;

    fn try_from(row: StoredSender) -> Result<Self, StoreError> {
        let (connection, sealed_connection) = match Connection::read(row.id, &row.connection)? {
            Connection::Clear(value) => (value, None),
            Connection::Sealed(sealed) => (Value::Null, Some(sealed)),
        };
        let above = read_policy("resellers", &row.reseller_id, &row.reseller_policy)?;
        let own = read_policy("businesses", &row.business_id, &row.business_policy)?;
        let paused = row.paused_at.and(row.paused_reason);
        let sender = Sender {
            id: SenderId(row.id),
            account: AccountId(row.account_id),
            business: BusinessId::from_key(row.business_id),
            phone: row.phone,
            channel: row.channel,
            adapter: row.adapter,
            connection,
            standing: Standing::of(&row.reseller_status, Some(&row.business_state))
                .with_pause(paused)
                .with_number(row.phone_verified_at.is_some()),
            policy: own.below(&above),
        };
        Ok(Self {
            sender,
            sealed_connection,
            reseller: ResellerId::from_key(row.reseller_id),
            display_name: row.display_name,
            phone_verified_at: row.phone_verified_at,
            paused_at: row.paused_at,
            created_at: row.created_at,
        })
    }
}

/// Senders with what stands above them.
macro_rules! sender_views {
    () => {
        senders::table
            .inner_join(businesses::table.on(businesses::id.eq(senders::business_id)))
            .inner_join(resellers::table.on(resellers::id.eq(businesses::reseller_id)))
            .select((
                senders::id,
                senders::account_id,
                senders::business_id,
                senders::phone,
                senders::display_name,
                senders::adapter,
                senders::connection,
                senders::created_at,
                senders::channel,
                senders::phone_verified_at,
                senders::paused_at,
                senders::paused_reason,
                businesses::state,
                businesses::policy,
                resellers::id,
                resellers::status,
                resellers::policy,
            ))
    };
}

/// The senders of `ids`, in the transaction of `conn`.
pub(super) async fn senders_of(conn: &mut Conn, ids: Vec<i64>) -> Result<Vec<SenderView>, StoreError> {
    let query = sender_views!().filter(senders::id.eq_any(ids));
    let rows: Vec<StoredSender> = on!(*conn, c => query.load(c).await)?;
    rows.into_iter().map(TryInto::try_into).collect()
}

impl Subtree {
    /// Whether a business of `reseller` lies in it.
    pub(crate) fn holds(&self, reseller: &str, business: &str) -> bool {
        match self {
            Self::Platform => true,
            Self::Reseller(own) => own.key() == reseller,
            Self::Business(own) => own.key() == business,
        }
    }
}

impl Store {
    /// Adds a reseller.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_reseller(
        &self,
        by: &Actor,
        name: &str,
        policy: &Policy,
        now: Millis,
    ) -> Result<ResellerId, StoreError> {
        let id = ResellerId::generate();
        let mut conn = self.pools.begin().await?;
        let result = async {
            let query = diesel::insert_into(resellers::table).values((
                resellers::id.eq(id.key()),
                resellers::name.eq(name),
                resellers::created_at.eq(now),
                resellers::policy.eq(policy_text(policy)),
            ));
            on!(conn, c => query.execute(c).await)?;
            let entry =
                Entry::new("reseller.created", &id).of_reseller(&id).after(json!({"name": name, "policy": policy}));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await?;
        Ok(id)
    }

    /// The reseller `id`, if it lies in `subtree` as a whole.
    ///
    /// # Errors
    /// The database's.
    pub async fn reseller(&self, subtree: &Subtree, id: &ResellerId) -> Result<Option<ResellerView>, StoreError> {
        let visible = match subtree {
            Subtree::Platform => true,
            Subtree::Reseller(own) => own == id,
            Subtree::Business(_) => false,
        };
        if !visible {
            return Ok(None);
        }
        let mut conn = self.pools.read().await?;
        let query = resellers::table.filter(resellers::id.eq(id.key()));
        let row: Option<StoredReseller> = on!(conn, c => query.first(c).await.optional())?;
        row.map(reseller_view).transpose()
    }

    /// Resellers, newest first: for the staff of the installation.
    ///
    /// # Errors
    /// The database's.
    pub async fn resellers(
        &self,
        subtree: &Subtree,
        search: Option<&str>,
        paging: &Paging,
    ) -> Result<Page<ResellerView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredReseller> = on!(conn, c => {
            let mut query = resellers::table.into_boxed().order(resellers::id.desc()).limit(paging.rows());
            if let Some(after) = &paging.after {
                query = query.filter(resellers::id.lt(after));
            }
            if let Some(search) = search {
                query = query.filter(lower(resellers::name).like(pattern(search)).escape('\\'));
            }
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(resellers::id.eq(own.key())),
                Subtree::Business(_) => query = query.filter(resellers::id.eq("")),
            }
            query.load(c).await
        })?;
        let views: Vec<ResellerView> = rows.into_iter().map(reseller_view).collect::<Result<_, _>>()?;
        Ok(Page::new(views, paging, |view| view.id.key().to_owned()))
    }

    /// Sets what a reseller's subtree may use. False when there is no such reseller.
    pub(crate) async fn set_reseller_policy(
        &self,
        by: &Actor,
        before: &ResellerView,
        policy: &Policy,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = diesel::update(resellers::table.filter(resellers::id.eq(before.id.key())));
            let query = row.set(resellers::policy.eq(policy_text(policy)));
            on!(conn, c => query.execute(c).await)?;
            let entry = Entry::new("reseller.policy_changed", &before.id)
                .of_reseller(&before.id)
                .before(json!(before.policy))
                .after(json!(policy));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await
    }

    /// Moves a reseller from one status to another. False when it no longer has the first.
    pub(crate) async fn set_reseller_status(
        &self,
        by: &Actor,
        id: &ResellerId,
        (from, to): (&str, &str),
        reason: Option<&str>,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = resellers::table.filter(resellers::id.eq(id.key())).filter(resellers::status.eq(from));
            let query = diesel::update(row).set((resellers::status.eq(to), resellers::status_reason.eq(reason)));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            let action = if to == "suspended" { "reseller.suspended" } else { "reseller.resumed" };
            let entry = Entry::new(action, id)
                .of_reseller(id)
                .before(json!({"status": from}))
                .after(json!({"status": to, "reason": reason}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Adds a business of `reseller` with one account and the secret that signs its
    /// webhooks, sealed by `seal` for its id.
    pub(crate) async fn add_business(
        &self,
        by: &Actor,
        reseller: &ResellerId,
        (id, name, policy): (&BusinessId, &str, &Policy),
        (secret, sealed): (&SigningSecretId, Vec<u8>),
        now: Millis,
    ) -> Result<AccountId, StoreError> {
        let account = AccountId::generate();
        let mut conn = self.pools.begin().await?;
        let result = async {
            let business = diesel::insert_into(businesses::table).values((
                businesses::id.eq(id.key()),
                businesses::reseller_id.eq(reseller.key()),
                businesses::name.eq(name),
                businesses::created_at.eq(now),
                businesses::policy.eq(policy_text(policy)),
            ));
            on!(conn, c => business.execute(c).await)?;
            let of_business = diesel::insert_into(accounts::table).values((
                accounts::id.eq(account.0),
                accounts::business_id.eq(id.key()),
                accounts::created_at.eq(now),
            ));
            on!(conn, c => of_business.execute(c).await)?;
            let signing = diesel::insert_into(signing_secrets::table).values((
                signing_secrets::id.eq(secret.key()),
                signing_secrets::business_id.eq(id.key()),
                signing_secrets::sealed.eq(sealed),
                signing_secrets::created_at.eq(now),
            ));
            on!(conn, c => signing.execute(c).await)?;
            let entry = Entry::new("business.created", id)
                .of_reseller(reseller)
                .of_business(id)
                .after(json!({"name": name, "account": account, "policy": policy}));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await?;
        Ok(account)
    }

    /// The business `id`, if it lies in `subtree`.
    ///
    /// # Errors
    /// The database's.
    pub async fn business(&self, subtree: &Subtree, id: &BusinessId) -> Result<Option<BusinessView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = business_views!().filter(businesses::id.eq(id.key()));
        let row: Option<StoredBusiness> = on!(conn, c => query.first(c).await.optional())?;
        row.filter(|row| subtree.holds(&row.reseller_id, &row.id)).map(TryInto::try_into).transpose()
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
    ) -> Result<Page<BusinessView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredBusiness> = on!(conn, c => {
            let mut query = business_views!().into_boxed().order(businesses::id.desc()).limit(paging.rows());
            if let Some(after) = &paging.after {
                query = query.filter(businesses::id.lt(after));
            }
            if let Some(state) = &filter.state {
                query = query.filter(businesses::state.eq(state));
            }
            if let Some(reseller) = &filter.reseller {
                query = query.filter(businesses::reseller_id.eq(reseller.key()));
            }
            if let Some(search) = &filter.search {
                query = query.filter(lower(businesses::name).like(pattern(search)).escape('\\'));
            }
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(businesses::reseller_id.eq(own.key())),
                Subtree::Business(own) => query = query.filter(businesses::id.eq(own.key())),
            }
            query.load(c).await
        })?;
        let views: Vec<BusinessView> = rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Page::new(views, paging, |view| view.id.key().to_owned()))
    }

    /// Sets what a business may use.
    pub(crate) async fn set_business_policy(
        &self,
        by: &Actor,
        before: &BusinessView,
        policy: &Policy,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = diesel::update(businesses::table.filter(businesses::id.eq(before.id.key())));
            let query = row.set(businesses::policy.eq(policy_text(policy)));
            on!(conn, c => query.execute(c).await)?;
            let entry = Entry::new("business.policy_changed", &before.id)
                .of_reseller(&before.reseller)
                .of_business(&before.id)
                .before(json!(before.policy))
                .after(json!(policy));
            audit::append(&mut conn, by, entry, now).await
        }
        .await;
        conn.finish(result).await
    }

    /// Approves a business in draft by the operator's word. False when it is not in draft.
    pub(crate) async fn vouch_for(&self, by: &Actor, business: &BusinessView, now: Millis) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row =
                businesses::table.filter(businesses::id.eq(business.id.key())).filter(businesses::state.eq("draft"));
            let query = diesel::update(row).set(businesses::state.eq("approved"));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            let numbers = diesel::update(senders::table.filter(senders::business_id.eq(business.id.key())))
                .set(senders::phone_verified_at.eq(Some(now)));
            on!(conn, c => numbers.execute(c).await)?;
            let step = (Action::Approve, State::Draft, State::Approved);
            let reason = Some("Whoever runs this installation vouches for it.");
            note_step(&mut conn, by, &business.id, step, (reason, None), now).await?;
            let entry = Entry::new("business.vouched_for", &business.id)
                .of_reseller(&business.reseller)
                .of_business(&business.id)
                .before(json!({"state": "draft"}))
                .after(json!({"state": "approved"}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Adds a sender of `business`, which may have `most`. Counted under a lock, so that
    /// many at once are no more than one after the other.
    pub(crate) async fn add_sender(
        &self,
        by: &Actor,
        business: &BusinessView,
        sender: &NewSender,
        most: usize,
        now: Millis,
    ) -> Result<SenderAdded, StoreError> {
        let id = sender.id;
        let mut conn = self.pools.begin().await?;
        let result = async {
            lock_business(&mut conn, &business.id).await?;
            let there = senders::table.filter(senders::business_id.eq(business.id.key())).select(senders::phone);
            let there: Vec<String> = on!(conn, c => there.load(c).await)?;
            if there.contains(&sender.phone) {
                return Ok(SenderAdded::NumberTaken);
            }
            if there.len() >= most {
                return Ok(SenderAdded::TooMany);
            }
            let query = diesel::insert_into(senders::table).values((
                senders::id.eq(id.0),
                senders::account_id.eq(business.account.0),
                senders::business_id.eq(business.id.key()),
                senders::phone.eq(&sender.phone),
                senders::display_name.eq(&sender.display_name),
                senders::channel.eq(&sender.channel),
                senders::adapter.eq(&sender.adapter),
                senders::connection.eq(sender.connection.text()),
                senders::phone_verified_at.eq(sender.phone_verified_at),
                senders::created_at.eq(now),
            ));
            on!(conn, c => query.execute(c).await)?;
            // Settings may hold a token: the log says that there are some, not which.
            let entry =
                Entry::new("sender.created", id).of_reseller(&business.reseller).of_business(&business.id).after(
                    json!({"adapter": sender.adapter, "channel": sender.channel, "display_name": sender.display_name}),
                );
            audit::append(&mut conn, by, entry, now).await?;
            Ok(SenderAdded::Yes)
        }
        .await;
        conn.finish(result).await
    }

    /// The senders that use `adapter`, at most `most`, whoever they belong to: for the connections that are kept for them.
    pub(crate) async fn senders_of_adapter(&self, adapter: &str, most: i64) -> Result<Vec<SenderId>, StoreError> {
        let mut conn = self.pools.read().await?;
        let of_adapter = senders::table.filter(senders::adapter.eq(adapter));
        let query = of_adapter.order(senders::id).limit(most).select(senders::id);
        let ids: Vec<i64> = on!(conn, c => query.load(c).await)?;
        Ok(ids.into_iter().map(SenderId).collect())
    }

    /// A sender, whoever it belongs to: for the engine and for extractors that
    /// compare its business with the principal's.
    pub(crate) async fn any_sender(&self, id: SenderId) -> Result<Option<SenderView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = sender_views!().filter(senders::id.eq(id.0));
        let row: Option<StoredSender> = on!(conn, c => query.first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// The sender `id`, if it lies in `subtree`.
    ///
    /// # Errors
    /// The database's.
    pub async fn sender(&self, subtree: &Subtree, id: SenderId) -> Result<Option<SenderView>, StoreError> {
        let found = self.any_sender(id).await?;
        Ok(found.filter(|view| subtree.holds(view.reseller.key(), view.sender.business.key())))
    }

    /// The senders of `business`, if it lies in `subtree`, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn senders(
        &self,
        subtree: &Subtree,
        business: &BusinessId,
        paging: &Paging,
    ) -> Result<Page<SenderView>, StoreError> {
        let after: i64 = paging.after.as_ref().and_then(|key| key.parse().ok()).unwrap_or(0);
        let mut conn = self.pools.read().await?;
        let query = sender_views!()
            .filter(senders::business_id.eq(business.key()))
            .filter(senders::id.gt(after))
            .order(senders::id)
            .limit(paging.rows());
        let rows: Vec<StoredSender> = on!(conn, c => query.load(c).await)?;
        let views: Vec<SenderView> = rows
            .into_iter()
            .filter(|row| subtree.holds(&row.reseller_id, &row.business_id))
            .map(TryInto::try_into)
            .collect::<Result<_, _>>()?;
        Ok(Page::new(views, paging, |view| view.sender.id.to_string()))
    }

    /// Pauses a sender. False when it is paused already.
    pub(crate) async fn pause_sender(
        &self,
        by: &Actor,
        view: &SenderView,
        reason: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = pause_sender(&mut conn, by, view, Some(reason), now).await;
        conn.finish(result).await
    }

    /// Lets a paused sender go on, unless a case stands against that: an open one against
    /// everybody, an upheld one against all but the platform.
    pub(crate) async fn resume_sender(
        &self,
        by: &Actor,
        view: &SenderView,
        by_platform: bool,
        now: Millis,
    ) -> Result<Resumed, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            // Locked first: a case that is opened meanwhile pauses it again after this.
            let row = senders::table.filter(senders::id.eq(view.sender.id.0));
            let lock = diesel::update(row).set(senders::phone.eq(senders::phone)).returning(senders::paused_at);
            let paused_at: Option<Millis> = on!(conn, c => lock.get_result(c).await)?;
            let Some(paused_at) = paused_at else { return Ok(Resumed::NotPaused) };
            match case_since(&mut conn, view.sender.id, paused_at).await? {
                Some(CaseState::Open) => return Ok(Resumed::UnderReview),
                Some(CaseState::Upheld) if !by_platform => return Ok(Resumed::Upheld),
                _ => {}
            }
            pause_sender(&mut conn, by, view, None, now).await?;
            Ok(Resumed::Yes)
        }
        .await;
        conn.finish(result).await
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

    /// Adds a webhook endpoint of `business`, with its address and verify token; `None` when
    /// it has `most` already.
    pub(crate) async fn add_endpoint(
        &self,
        by: &Actor,
        (reseller, business): (&ResellerId, &BusinessId),
        (url, verify_token): (&str, &str),
        most: i64,
        now: Millis,
    ) -> Result<Option<EndpointId>, StoreError> {
        let id = EndpointId::generate();
        let mut conn = self.pools.begin().await?;
        let result = async {
            lock_business(&mut conn, business).await?;
            let there = endpoints::table.filter(endpoints::business_id.eq(business.key())).count();
            let there: i64 = on!(conn, c => there.get_result(c).await)?;
            if there >= most {
                return Ok(None);
            }
            let query = diesel::insert_into(endpoints::table).values((
                endpoints::id.eq(id.key()),
                endpoints::business_id.eq(business.key()),
                endpoints::url.eq(url),
                endpoints::verify_token.eq(verify_token),
                endpoints::created_at.eq(now),
            ));
            on!(conn, c => query.execute(c).await)?;
            let entry = Entry::new("endpoint.created", &id)
                .of_reseller(reseller)
                .of_business(business)
                .after(json!({"url": url}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(Some(id))
        }
        .await;
        conn.finish(result).await
    }

    /// Sets the one endpoint of `business` that overrides: its address and verify token are
    /// changed, or it is added. False when the business has `most` endpoints already.
    pub(crate) async fn set_override_endpoint(
        &self,
        by: &Actor,
        (reseller, business): (&ResellerId, &BusinessId),
        (url, verify_token): (&str, &str),
        most: i64,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            lock_business(&mut conn, business).await?;
            let all = || endpoints::table.filter(endpoints::business_id.eq(business.key()));
            let change = diesel::update(all().filter(endpoints::overrides))
                .set((endpoints::url.eq(url), endpoints::verify_token.eq(verify_token)))
                .returning(endpoints::id);
            let changed: Option<String> = on!(conn, c => change.get_result(c).await.optional())?;
            let (action, id) = match changed {
                Some(id) => ("endpoint.changed", EndpointId::from_key(id)),
                None => {
                    let there: i64 = on!(conn, c => all().count().get_result(c).await)?;
                    if there >= most {
                        return Ok(false);
                    }
                    let id = EndpointId::generate();
                    let query = diesel::insert_into(endpoints::table).values((
                        endpoints::id.eq(id.key()),
                        endpoints::business_id.eq(business.key()),
                        endpoints::url.eq(url),
                        endpoints::verify_token.eq(verify_token),
                        endpoints::created_at.eq(now),
                        endpoints::overrides.eq(true),
                    ));
                    on!(conn, c => query.execute(c).await)?;
                    ("endpoint.created", id)
                }
            };
            let entry = Entry::new(action, &id).of_reseller(reseller).of_business(business).after(json!({"url": url}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Removes a webhook endpoint of `business`; what still waits for it is given up. False
    /// when there is no such endpoint.
    pub(crate) async fn remove_endpoint(
        &self,
        by: &Actor,
        (reseller, business): (&ResellerId, &BusinessId),
        id: &EndpointId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row =
                endpoints::table.filter(endpoints::id.eq(id.key())).filter(endpoints::business_id.eq(business.key()));
            if on!(conn, c => diesel::delete(row).execute(c).await)? == 0 {
                return Ok(false);
            }
            let entry = Entry::new("endpoint.removed", id).of_reseller(reseller).of_business(business);
            audit::append(&mut conn, by, entry, now).await?;
            super::deliveries::give_up(&mut conn, id, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// The webhook endpoints of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn endpoints(&self, business: &BusinessId) -> Result<Vec<EndpointView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = endpoints::table.filter(endpoints::business_id.eq(business.key())).order(endpoints::id).select((
            endpoints::id,
            endpoints::url,
            endpoints::created_at,
            endpoints::overrides,
        ));
        let rows: Vec<(String, String, Millis, bool)> = on!(conn, c => query.load(c).await)?;
        let view = |(id, url, created_at, overrides): (String, String, Millis, bool)| EndpointView {
            id: EndpointId::from_key(id),
            url,
            created_at,
            overrides,
        };
        Ok(rows.into_iter().map(view).collect())
    }
}

impl From<&EndpointView> for Endpoint {
    fn from(view: &EndpointView) -> Self {
        Self { id: view.id.clone(), url: view.url.clone() }
    }
}

/// Pauses a sender inside a transaction; see [`Store::pause_sender`].
pub(super) async fn pause_sender(
    conn: &mut Conn,
    by: &Actor,
    view: &SenderView,
    reason: Option<&str>,
    now: Millis,
) -> Result<bool, StoreError> {
    let id = view.sender.id;
    let row = senders::table.filter(senders::id.eq(id.0));
    let values = (senders::paused_at.eq(reason.map(|_| now)), senders::paused_reason.eq(reason));
    let changed = match reason {
        Some(_) => {
            let query = diesel::update(row.filter(senders::paused_at.is_null())).set(values);
            on!(*conn, c => query.execute(c).await)?
        }
        None => {
            let query = diesel::update(row.filter(senders::paused_at.is_not_null())).set(values);
            on!(*conn, c => query.execute(c).await)?
        }
    };
    if changed == 0 {
        return Ok(false);
    }
    let action = if reason.is_some() { "sender.paused" } else { "sender.resumed" };
    let entry = Entry::new(action, id)
        .of_reseller(&view.reseller)
        .of_business(&view.sender.business)
        .after(json!({"reason": reason}));
    audit::append(conn, by, entry, now).await?;
    Ok(true)
}

/// Makes whoever else counts what `business` has wait until this transaction is over.
async fn lock_business(conn: &mut Conn, business: &BusinessId) -> Result<(), StoreError> {
    let row = businesses::table.filter(businesses::id.eq(business.key()));
    let query = diesel::update(row).set(businesses::name.eq(businesses::name));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

diesel::define_sql_function! {
    /// Lower case, of ASCII letters on SQLite.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// A pattern for what contains `search` as it is, in lower case.
fn pattern(search: &str) -> String {
    let mut pattern = String::from("%");
    for character in search.chars().flat_map(char::to_lowercase) {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
