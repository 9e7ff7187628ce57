//! Connections: a pool for PostgreSQL; for SQLite one writer and a pool of readers,
//! because SQLite has one write lock and waiting for it in a queue of ours is fairer
//! than waiting for it in its busy handler.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use diesel::{ConnectionError, result::DatabaseErrorKind, sqlite::SqliteConnection};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, SimpleAsyncConnection, TransactionManager,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
    sync_connection_wrapper::SyncConnectionWrapper,
};
use futures_util::FutureExt;

use super::blocking::Blocking;

/// Every statement here goes by an index, and is planned once for each connection: a
/// plan must not depend on how full the tables were then. Left to itself, PostgreSQL
/// plans a batch on an empty table as a scan, and keeps to it when the table has grown.
const PLANNING: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off";

/// How long a connection is waited for, and how long making one may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a peer may leave sent data unacknowledged before the connection is given up.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(15);
/// How long a quiet connection stays unprobed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// A SQLite connection whose statements run on blocking threads.
pub(super) type AsyncSqlite = SyncConnectionWrapper<SqliteConnection, Blocking>;

/// How long SQLite waits for another process's lock, in milliseconds.
const SQLITE_BUSY_MS: u32 = 10_000;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file; its folder must exist.
    Sqlite(PathBuf),
    /// `postgres://user:password@host:port/database`, with `sslmode` as libpq knows it.
    Postgres(String),
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&redact(url)),
        }
    }
}

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where it is.
    pub url: StoreUrl,
    /// Connections at most, 1 and more. SQLite has one writer beside them.
    pub connections: usize,
}

/// What the database refused or could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be made or kept.
    #[error("the database at {address} does not answer: {reason}")]
    Unreachable {
        /// Where it was looked for, without its password.
        address: String,
        /// What the driver said.
        reason: String,
    },
    /// A statement failed.
    #[error("the database refused a statement: {0}")]
    Query(#[from] diesel::result::Error),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Migration(String),
    /// The database was used with a vault key that is not among ours.
    #[error(
        "the secrets in this database are sealed with the vault key {theirs}, and this process has {ours}; give every \
         process the same: copy the file vault.key of the first one's data_dir, or set vault.key (and vault.older_keys \
         for those before it)"
    )]
    WrongVault {
        /// The key that this process seals with.
        ours: String,
        /// A key that the database was used with.
        theirs: String,
    },
    /// A row holds what this version cannot read.
    #[error("unreadable row in {table}: {reason}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same statement may succeed later: the connection was lost, or
    /// another transaction was in the way.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        use diesel::result::Error::{BrokenTransactionManager, DatabaseError};
        match self {
            Self::Unreachable { .. } => true,
            Self::Query(BrokenTransactionManager) => true,
            Self::Query(DatabaseError(kind, information)) => {
                matches!(
                    kind,
                    DatabaseErrorKind::ClosedConnection
                        | DatabaseErrorKind::UnableToSendCommand
                        | DatabaseErrorKind::SerializationFailure
                ) || {
                    let text = information.message();
                    text.contains("deadlock")
                        || text.contains("locked")
                        || text.contains("terminating connection")
                        || text.contains("shutting down")
                        || text.contains("starting up")
                        || text.contains("connection closed")
                        // Out of something that can come back: disk, memory, connections.
                        || text.contains("disk is full")
                        || text.contains("No space left")
                        || text.contains("disk I/O error")
                        || text.contains("out of memory")
                        || text.contains("too many clients")
                        || text.contains("read-only transaction")
                }
            }
            Self::Query(_) | Self::Migration(_) | Self::Unreadable { .. } | Self::WrongVault { .. } => false,
        }
    }
}

/// `url` with its password, wherever it stands, replaced.
pub(super) fn redact(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| "(unreadable address)".to_owned(),
        |mut parsed| {
            let secret = |name: &str| name.contains("password") || name.contains("secret");
            if parsed.query_pairs().any(|(name, _)| secret(&name)) {
                let pairs: Vec<(String, String)> = parsed
                    .query_pairs()
                    .map(|(name, value)| {
                        (name.to_string(), if secret(&name) { "redacted".into() } else { value.into() })
                    })
                    .collect();
                parsed.query_pairs_mut().clear().extend_pairs(pairs);
            }
            if parsed.password().is_some() {
                // Fails only for addresses that cannot have a password.
                let _ = parsed.set_password(Some("[redacted]"));
            }
            parsed.to_string()
        },
    )
}

#[derive(Clone)]
pub(super) enum Pools {
    Postgres { pool: Pool<AsyncPgConnection>, address: Arc<str> },
    Sqlite { writer: Pool<AsyncSqlite>, readers: Pool<AsyncSqlite>, path: Arc<PathBuf> },
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres { .. } => "postgres",
            Self::Sqlite { .. } => "sqlite",
        })
    }
}

/// A connection taken from its pool, of either database.
pub(super) enum Conn {
    Pg(Box<Object<AsyncPgConnection>>),
    Sqlite(Object<AsyncSqlite>),
}

/// Compiles one expression for the connection of each database and runs the one
/// that is at hand.
macro_rules! on {
    ($conn:expr, $c:ident => $run:expr) => {
        match &mut $conn {
            $crate::store::connection::Conn::Pg(object) => {
                let $c = &mut ***object;
                $run
            }
            $crate::store::connection::Conn::Sqlite(object) => {
                let $c = &mut **object;
                $run
            }
        }
    };
}
pub(super) use on;

impl Pools {
    pub(super) async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let pools = match &settings.url {
            StoreUrl::Postgres(url) => {
                Self::Postgres { pool: postgres_pool(url, settings.connections)?, address: redact(url).into() }
            }
            StoreUrl::Sqlite(path) => {
                let url = path.to_string_lossy().into_owned();
                Self::Sqlite {
                    writer: sqlite_pool(&url, 1)?,
                    readers: sqlite_pool(&url, settings.connections)?,
                    path: Arc::new(path.clone()),
                }
            }
        };
        drop(pools.write().await?);
        Ok(pools)
    }

    fn address(&self) -> String {
        match self {
            Self::Postgres { address, .. } => address.to_string(),
            Self::Sqlite { path, .. } => format!("sqlite:{}", path.display()),
        }
    }

    fn unreachable(&self, error: &dyn fmt::Display) -> StoreError {
        StoreError::Unreachable { address: self.address(), reason: error.to_string() }
    }

    /// A connection for reading.
    pub(super) async fn read(&self) -> Result<Conn, StoreError> {
        match self {
            Self::Postgres { pool, .. } => self.take(pool.get()).await.map(|object| Conn::Pg(Box::new(object))),
            Self::Sqlite { readers, .. } => self.take(readers.get()).await.map(Conn::Sqlite),
        }
    }

    /// A connection for writing.
    pub(super) async fn write(&self) -> Result<Conn, StoreError> {
        match self {
            Self::Postgres { .. } => self.read().await,
            Self::Sqlite { writer, .. } => self.take(writer.get()).await.map(Conn::Sqlite),
        }
    }

    /// What `taking` gives, or an error when that takes too long.
    async fn take<T, E: fmt::Display>(&self, taking: impl Future<Output = Result<T, E>>) -> Result<T, StoreError> {
        match tokio::time::timeout(CONNECT_MAX, taking).await {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.unreachable(&format!("no connection within {} s", CONNECT_MAX.as_secs()))),
        }
    }

    /// A connection inside a transaction. Ends with [`Conn::finish`]; dropped
    /// before, the connection is thrown away and the database rolls back.
    pub(super) async fn begin(&self) -> Result<Conn, StoreError> {
        let mut conn = self.write().await?;
        match &mut conn {
            Conn::Pg(c) => begin(&mut ***c).await?,
            Conn::Sqlite(c) => begin(&mut **c).await?,
        }
        Ok(conn)
    }
}

async fn begin<C: AsyncConnection>(conn: &mut C) -> Result<(), diesel::result::Error> {
    C::TransactionManager::begin_transaction(conn).await
}

async fn end<C: AsyncConnection>(conn: &mut C, commit: bool) -> Result<(), diesel::result::Error> {
    if commit {
        C::TransactionManager::commit_transaction(conn).await
    } else {
        C::TransactionManager::rollback_transaction(conn).await
    }
}

impl Conn {
    /// Commits when `result` is `Ok`, rolls back otherwise, and hands `result` on.
    pub(super) async fn finish<T, E: From<StoreError>>(mut self, result: Result<T, E>) -> Result<T, E> {
        let commit = result.is_ok();
        let ended = on!(self, c => end(c, commit).await);
        match (result, ended) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => Err(StoreError::from(error).into()),
            // The first failure says more than that of rolling back.
            (Err(error), _) => Err(error),
        }
    }
}

fn postgres_pool(url: &str, connections: usize) -> Result<Pool<AsyncPgConnection>, StoreError> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    // A connection's driver lives on the runtime that it is made on. Handlers run on
    // short-lived runtimes of their own, and must not take the couriers' connections along.
    let home = tokio::runtime::Handle::current();
    config.custom_setup = Box::new(move |url| {
        let connecting = home.spawn(connect_postgres(url.to_owned()));
        async move {
            let lost = |error: tokio::task::JoinError| ConnectionError::BadConnection(error.to_string());
            connecting.await.map_err(lost).flatten()
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    build(Pool::builder(manager).max_size(connections).build(), url)
}

fn sqlite_pool(path: &str, connections: usize) -> Result<Pool<AsyncSqlite>, StoreError> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(|path| connect_sqlite(path.to_owned()).boxed());
    let manager = AsyncDieselConnectionManager::<AsyncSqlite>::new_with_config(path, config);
    build(Pool::builder(manager).max_size(connections).build(), path)
}

fn build<T, E: fmt::Display>(pool: Result<T, E>, address: &str) -> Result<T, StoreError> {
    pool.map_err(|error| StoreError::Unreachable { address: redact(address), reason: error.to_string() })
}

async fn connect_postgres(url: String) -> Result<AsyncPgConnection, ConnectionError> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let bad = |error: &dyn fmt::Display| ConnectionError::BadConnection(error.to_string());
    let mut config: tokio_postgres::Config = url.parse().map_err(|error| bad(&error))?;
    let options = format!("{} {PLANNING}", config.get_options().unwrap_or_default());
    config
        .options(options.trim())
        .application_name("waystation")
        .connect_timeout(CONNECT_MAX)
        .tcp_user_timeout(UNACKNOWLEDGED_MAX)
        .keepalives_idle(KEEPALIVE_IDLE);
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_platform_verifier()
        .map_err(|error| bad(&error))?
        .with_no_client_auth();
    let (client, connection) = config
        .connect(tokio_postgres_rustls::MakeRustlsConnect::new(tls))
        .await
        .map_err(|error| bad(&error_chain(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

/// An error and what caused it, on one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn connect_sqlite(path: String) -> Result<AsyncSqlite, ConnectionError> {
    let mut conn = AsyncSqlite::establish(&path).await?;
    // FULL: a commit is on disk when it returns, also when the machine loses power.
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {SQLITE_BUSY_MS};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;"
    ))
    .await
    .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn no_form_of_a_password_is_shown() {
        for url in [
            "postgres://ada:hunter2@db/ws",
            "postgres://db/ws?user=ada&password=hunter2",
            "postgres://db/ws?sslpassword=hunter2&sslmode=require",
            "not an address with hunter2",
        ] {
            let shown = redact(url);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert!(redact("postgres://db/ws?password=x&sslmode=require").contains("sslmode=require"));
    }
}
