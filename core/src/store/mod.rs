//! The only room that speaks SQL: what returns `Ok` from a write here is on disk.
//!
//! One set of diesel queries serves SQLite and PostgreSQL; [`on!`] compiles an
//! expression once for each. Only statements that write a whole batch have an arm
//! of their own for each database, since batches are where the two differ:
//! PostgreSQL takes arrays ([`statement`]), SQLite a loop inside one transaction.
//!
//! Every query on tenant data takes the business it is asked for, and another
//! business's row is simply not found. The engine's own queries (claims, records,
//! sweeps) act on ids that came out of the store and are kept inside this crate.

mod abuse;
mod access;
mod arriving_media;
mod audit;
mod blocked;
mod blocking;
mod callbacks;
mod connection;
mod consents;
mod contacts;
mod credentials;
mod deliveries;
mod heard;
mod imports;
mod inbound;
mod listing;
mod media;
mod messages;
mod migrations;
mod network_templates;
mod numbers;
mod onboarding;
mod one_time_passwords;
mod overview;
mod people;
mod reloads;
mod routing;
mod schedule;
mod schema;
mod senders;
mod statement;
mod suppressions;
mod templates;
mod tenancy;
#[cfg(test)]
pub(crate) mod tests;
mod unfinished;
mod usage;

pub use abuse::CaseView;
pub(crate) use abuse::NewSignal;
pub(crate) use access::{NewSession, NewUser, PasswordChange, about};
pub(crate) use arriving_media::ArrivingMedia;
pub use callbacks::NewCallback;
pub(crate) use callbacks::{ClaimedCallback, ReceiptBatch, ReceiptOutcome};
pub use connection::{StoreError, StoreSettings, StoreUrl};
pub(crate) use consents::ConsentAdded;
pub use contacts::AttributeView;
pub(crate) use contacts::{
    ContactChanged, ContactFilter, Defined, Undefined, Upserted, term_of_attribute, term_of_tag,
};
pub(crate) use credentials::{Added, StoredSecret, Used};
pub use credentials::{ClientView, CredentialView, KeyView, Owner};
pub(crate) use deliveries::{ClaimedDelivery, DeliveryRecord, DeliveryState, NewDelivery};
pub(crate) use heard::{Heard, Said};
pub use imports::{ImportCounts, ImportFault, ImportView};
pub(crate) use inbound::SentMessage;
pub use listing::MessageFilter;
pub(crate) use media::{MediaCopy, NewMedia, ResumableUpload, StoredMedia};
pub use messages::{AcceptResult, IdempotencyClaim, MessageEvent, MessageView, NewMessage, Scheduled};
pub(crate) use messages::{ClaimedMessage, EventRow, LeftId, MessageRecord, MessageRow};
pub use migrations::Direction;
pub(crate) use network_templates::{NetworkTask, Task};
pub(crate) use numbers::{NewCode, NewPretendMessage, NumberOwner};
pub(crate) use onboarding::{Case, Dossier};
pub(crate) use one_time_passwords::{NewOneTimePassword, Try};
pub use overview::Overview;
pub(crate) use reloads::RELOAD_REQUESTED;
pub use routing::{BrokenChannel, Channel, RoutingTable};
pub(crate) use schedule::Changed;
pub(crate) use suppressions::{NewSuppression, OptOutTexts};
pub use templates::{ListPlace, ListRange, StoredTemplate};
pub(crate) use templates::{NewTemplate, TemplateChanged, read_place};
pub use tenancy::{BusinessFilter, BusinessView, EndpointView, ResellerView, SenderView};
pub(crate) use tenancy::{Connection, NewSender, Resumed, SenderAdded};
pub(crate) use unfinished::{Place, Unfinished};
pub use usage::{UsageDay, day_of};

use std::sync::{Arc, OnceLock};

use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;

use connection::Pools;

use crate::contacts::People;

/// The database of one installation. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
    /// Where this process counts usage.
    shard: i32,
    /// What addresses of people are hashed with, once a vault has opened it.
    people: Arc<OnceLock<People>>,
}

impl Store {
    /// Opens the database; a SQLite file is created when it is missing. Does not
    /// migrate: see [`Store::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] with the redacted address when no connection
    /// can be made.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        Ok(Self { pools: Pools::open(settings).await?, shard: usage::draw_shard(), people: Arc::default() })
    }

    /// `sqlite` or `postgres`, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.pools {
            Pools::Postgres { .. } => "postgres",
            Pools::Sqlite { .. } => "sqlite",
        }
    }

    /// Makes sure that what `vault` seals can be opened by every process on this database,
    /// and that it opens what they sealed.
    ///
    /// # Errors
    /// [`StoreError::WrongVault`] when the database was used with another key.
    pub async fn adopt_vault(&self, vault: &crate::vault::Vault, now: crate::clock::Millis) -> Result<(), StoreError> {
        use schema::vault_keys;
        let (id, mut conn) = (vault.key_id(), self.pools.begin().await?);
        let result = async {
            let query = vault_keys::table.select((vault_keys::id, vault_keys::proof));
            let known: Vec<(String, Vec<u8>)> = connection::on!(conn, c => query.load(c).await)?;
            let opens = |(id, proof): &(String, Vec<u8>)| vault.open(&vault_proof_context(id), proof).is_ok();
            if let Some((unknown, _)) = known.iter().find(|key| !opens(key)) {
                return Err(StoreError::WrongVault { ours: id.clone(), theirs: unknown.clone() });
            }
            if known.iter().any(|(known, _)| *known == id) {
                return Ok(());
            }
            let insert = diesel::insert_into(vault_keys::table)
                .values((
                    vault_keys::id.eq(&id),
                    vault_keys::proof.eq(vault.seal(&vault_proof_context(&id), id.as_bytes())),
                    vault_keys::created_at.eq(now),
                ))
                .on_conflict_do_nothing();
            connection::on!(conn, c => insert.execute(c).await)?;
            Ok(())
        }
        .await;
        conn.finish(result).await?;
        self.adopt_people(vault, now).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What it said instead.
    pub async fn ping(&self) -> Result<(), StoreError> {
        use diesel_async::SimpleAsyncConnection;
        let mut conn = self.pools.read().await?;
        connection::on!(conn, c => c.batch_execute("SELECT 1").await)?;
        Ok(())
    }
}

/// The reseller above `business`, for what the audit log says.
async fn reseller_of(
    conn: &mut connection::Conn,
    business: &crate::ids::BusinessId,
) -> Result<Option<crate::ids::ResellerId>, StoreError> {
    use diesel::OptionalExtension as _;
    use schema::businesses;
    let query = businesses::table.filter(businesses::id.eq(business.key())).select(businesses::reseller_id);
    let reseller: Option<String> = connection::on!(*conn, c => query.first(c).await.optional())?;
    Ok(reseller.map(crate::ids::ResellerId::from_key))
}

fn vault_proof_context(id: &str) -> String {
    format!("vault key {id}")
}
