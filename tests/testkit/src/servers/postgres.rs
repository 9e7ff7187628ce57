//! A private PostgreSQL cluster.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;

use super::watchdog::{Account, Watchdog, has_ended};
use super::{POLL, PORT_ATTEMPTS_MAX, START_TIMEOUT_SECS, free_port, in_path};

/// How a private PostgreSQL is to run.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether a commit waits for the disk. Off is faster, and loses data in a crash of the
    /// machine, though not in one of the server.
    pub fsync: bool,
    /// Further settings, as in postgresql.conf.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { fsync: true, settings: Vec::new() }
    }
}

/// A private PostgreSQL cluster, stopped and removed when dropped.
pub struct Postgres {
    watchdog: Watchdog,
    port: u16,
    databases: AtomicU64,
}

impl Postgres {
    /// Starts one whose commits wait for the disk.
    ///
    /// # Errors
    ///
    /// When PostgreSQL is not installed or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(PostgresOptions::default()).await
    }

    /// Starts one.
    ///
    /// # Errors
    ///
    /// When PostgreSQL is not installed or does not start.
    pub async fn start_with(options: PostgresOptions) -> Result<Self> {
        let programs = programs()?;
        let mut failure = None;
        for _ in 0..PORT_ATTEMPTS_MAX {
            match Self::attempt(&programs, &options).await {
                Ok(postgres) => return Ok(postgres),
                Err(error) if is_port_taken(&error) => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.context("no port was tried")?)
    }

    async fn attempt(programs: &Path, options: &PostgresOptions) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("waystation-postgres-").tempdir()?;
        let account = account_for(folder.path())?;
        if let Some(account) = account {
            chown(folder.path(), Some(account.uid), Some(account.gid))?;
        }
        init(programs, folder.path(), account)?;

        let port = free_port()?;
        let fsync = if options.fsync { "on" } else { "off" };
        let mut settings: Vec<(String, String)> = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port.to_string()),
            ("unix_socket_directories", &folder.path().to_string_lossy()),
            ("max_connections", "200"),
            ("fsync", fsync),
            ("synchronous_commit", fsync),
            ("full_page_writes", fsync),
            // Shared memory in files of the cluster's own folder goes away with the folder.
            ("dynamic_shared_memory_type", "mmap"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.extend(options.settings.iter().cloned());

        let mut command = vec![
            programs.join("postgres").to_string_lossy().into_owned(),
            "-D".to_owned(),
            folder.path().join("data").display().to_string(),
        ];
        for (name, value) in settings {
            command.push("-c".to_owned());
            command.push(format!("{name}={value}"));
        }
        let postgres =
            Self { watchdog: Watchdog::new(folder, &command, "QUIT", account)?, port, databases: AtomicU64::new(0) };
        postgres.run().await?;
        Ok(postgres)
    }

    /// One that all tests of this process share, started when first asked for, with commits that
    /// do not wait for the disk. Create a database of your own, and do not kill it.
    ///
    /// # Errors
    ///
    /// When PostgreSQL is not installed or does not start.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start_with(PostgresOptions { fsync: false, settings: Vec::new() })).await
    }

    async fn run(&self) -> Result<()> {
        let pid = self.watchdog.start()?;
        let started = Instant::now();
        loop {
            if self.is_ready(pid) {
                return Ok(());
            }
            if has_ended(pid) || started.elapsed() > Duration::from_secs(START_TIMEOUT_SECS) {
                bail!("PostgreSQL did not start on port {}:\n{}", self.port, self.watchdog.last_words());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The server writes its process id and its state to a file of its own.
    fn is_ready(&self, pid: u32) -> bool {
        let file = self.watchdog.folder().join("data/postmaster.pid");
        let state = fs::read_to_string(file).unwrap_or_default();
        let mut lines = state.lines();
        lines.next().and_then(|line| line.parse().ok()) == Some(pid)
            && lines.last().is_some_and(|line| line.trim() == "ready")
    }

    /// Where a database is, as `postgres://postgres@127.0.0.1:PORT/NAME`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its files, among them what it wrote: `log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.watchdog.folder()
    }

    /// Creates an empty database under a new name and returns its URL.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses.
    pub async fn create_database(&self) -> Result<String> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls).await?;
        let driver = tokio::spawn(connection);
        let created = client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        drop(client);
        driver.abort();
        created.with_context(|| format!("cannot create the database {name}"))?;
        Ok(self.url(&name))
    }

    /// Kills the server with SIGKILL, as a crash would; returns when it is gone. Its sessions end
    /// by themselves within moments.
    ///
    /// # Errors
    ///
    /// When its watchdog is gone.
    pub fn kill(&self) -> Result<()> {
        self.watchdog.kill()
    }

    /// Starts it again on the same port and data, killing it first if it runs.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn restart(&self) -> Result<()> {
        // Sessions of the killed server may hold on to its shared memory for a moment.
        let started = Instant::now();
        loop {
            match self.run().await {
                Err(_) if started.elapsed() < Duration::from_secs(START_TIMEOUT_SECS) => {
                    tokio::time::sleep(POLL * 10).await;
                }
                outcome => return outcome,
            }
        }
    }
}

fn is_port_taken(error: &anyhow::Error) -> bool {
    let text = error.to_string();
    text.contains("Address already in use") || text.contains("could not bind")
}

/// The folder of the newest server programs.
fn programs() -> Result<PathBuf> {
    let version = |folder: &Path| -> Option<u32> { folder.parent()?.file_name()?.to_str()?.parse().ok() };
    let packaged = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
        .max_by_key(|folder| version(folder));
    packaged.or_else(|| Some(in_path("postgres")?.parent()?.to_owned())).context(
        "PostgreSQL's server programs are neither under /usr/lib/postgresql nor in PATH. The \
             tests need them: .ci/run installs what they need, or install the package postgresql",
    )
}

/// The account to run as, when we are root: PostgreSQL refuses to.
fn account_for(our_folder: &Path) -> Result<Option<Account>> {
    if fs::metadata(our_folder)?.uid() != 0 {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let find = |name: &str| {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            found.then_some(Account { uid, gid })
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .map(Some)
        .context("PostgreSQL does not run as root, and there is neither an account postgres nor nobody")
}

fn init(programs: &Path, folder: &Path, account: Option<Account>) -> Result<()> {
    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
        .args(["--no-locale", "--no-sync", "--no-instructions"])
        .current_dir(folder)
        .stdin(Stdio::null());
    if let Some(account) = account {
        initdb.gid(account.gid).uid(account.uid);
    }
    let outcome = initdb.output().context("cannot run initdb")?;
    if !outcome.status.success() {
        bail!("initdb failed:\n{}", String::from_utf8_lossy(&outcome.stderr));
    }
    Ok(())
}
