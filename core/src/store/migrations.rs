//! Migrations are embedded in the binary and reversible; running them twice, or
//! from several processes at once, is harmless.

use diesel::{Connection, sqlite::SqliteConnection};
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{
    Store, StoreError,
    connection::{Conn, Pools},
};

const POSTGRES: EmbeddedMigrations = embed_migrations!("../migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");

/// Held while PostgreSQL migrates, so that processes that start together take turns.
const ADVISORY_LOCK: i64 = 0x5761_7973_7461;

/// Which way to migrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Everything that is pending.
    Up,
    /// Back to an empty database: all data is lost.
    Down,
}

impl Store {
    /// Migrates and names the migrations that ran. Needs tokio's multi-threaded
    /// runtime.
    ///
    /// # Errors
    /// [`StoreError::Migration`] with the name of the one that failed; those before
    /// it stay applied.
    pub async fn migrate(&self, direction: Direction) -> Result<Vec<String>, StoreError> {
        match &self.pools {
            Pools::Sqlite { path, .. } => {
                let path = path.to_string_lossy().into_owned();
                tokio::task::spawn_blocking(move || {
                    let mut conn = SqliteConnection::establish(&path).map_err(failed)?;
                    run(&mut conn, SQLITE, direction)
                })
                .await
                .map_err(failed)?
            }
            Pools::Postgres { .. } => {
                let Conn::Pg(mut conn) = self.pools.write().await? else {
                    return Err(StoreError::Migration("not a PostgreSQL connection".to_owned()));
                };
                conn.batch_execute(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})")).await?;
                let mut harness = AsyncMigrationHarness::new(*conn);
                let ran = tokio::task::block_in_place(|| run(&mut harness, POSTGRES, direction));
                harness.into_inner().batch_execute(&format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})")).await?;
                ran
            }
        }
    }
}

fn run<DB, H>(harness: &mut H, migrations: EmbeddedMigrations, direction: Direction) -> Result<Vec<String>, StoreError>
where
    DB: diesel::backend::Backend,
    H: MigrationHarness<DB>,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let ran = match direction {
        Direction::Up => harness.run_pending_migrations(migrations),
        Direction::Down => harness.revert_all_migrations(migrations),
    };
    Ok(ran.map_err(failed)?.iter().map(ToString::to_string).collect())
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Migration(error.to_string())
}
