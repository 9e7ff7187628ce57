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

mod access;
mod callbacks;
mod connection;
mod deliveries;
mod messages;
mod migrations;
mod overview;
mod schema;
mod statement;
mod templates;
mod tenancy;
#[cfg(test)]
mod tests;
mod unfinished;

pub use callbacks::NewCallback;
pub(crate) use callbacks::{ClaimedCallback, ReceiptBatch, ReceiptOutcome};
pub use connection::{StoreError, StoreSettings, StoreUrl};
pub(crate) use deliveries::{ClaimedDelivery, DeliveryRecord, DeliveryState, NewDelivery};
pub use messages::{AcceptResult, IdempotencyClaim, MessageEvent, MessageView, NewMessage};
pub(crate) use messages::{ClaimedMessage, EventRow, MessageRecord, MessageRow};
pub use migrations::Direction;
pub use overview::Overview;
pub use templates::StoredTemplate;
pub(crate) use unfinished::{Place, Unfinished};

use connection::Pools;

/// The database of one installation. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
}

impl Store {
    /// Opens the database; a SQLite file is created when it is missing. Does not
    /// migrate: see [`Store::migrate`].
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] with the redacted address when no connection
    /// can be made.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        Ok(Self { pools: Pools::open(settings).await? })
    }

    /// `sqlite` or `postgres`, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.pools {
            Pools::Postgres { .. } => "postgres",
            Pools::Sqlite { .. } => "sqlite",
        }
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
