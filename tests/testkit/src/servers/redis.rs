//! A private Redis.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;

use super::watchdog::{Watchdog, has_ended};
use super::{POLL, PORT_ATTEMPTS_MAX, START_TIMEOUT_SECS, free_port, in_path};

/// How a private Redis is to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisOptions {
    /// Whether it writes an append-only file (flushed every second), so that a restart brings back
    /// nearly everything. Without it a restart is a wipe.
    pub append_only: bool,
}

/// A private Redis, stopped and removed when dropped.
pub struct Redis {
    watchdog: Watchdog,
    port: u16,
}

impl Redis {
    /// Starts one that keeps nothing on disk.
    ///
    /// # Errors
    ///
    /// When redis-server is not installed or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(RedisOptions::default()).await
    }

    /// Starts one.
    ///
    /// # Errors
    ///
    /// When redis-server is not installed or does not start.
    pub async fn start_with(options: RedisOptions) -> Result<Self> {
        let program = in_path("redis-server").context(
            "redis-server is not in PATH. The tests need it: .ci/run installs what they need, \
             or install the package redis-server",
        )?;
        let mut failure = None;
        for _ in 0..PORT_ATTEMPTS_MAX {
            let port = free_port()?;
            let folder = tempfile::Builder::new().prefix("waystation-redis-").tempdir()?;
            let append_only = if options.append_only { "yes" } else { "no" };
            let command = [
                &program.to_string_lossy(),
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                append_only,
                "--dir",
                &folder.path().to_string_lossy(),
            ]
            .map(str::to_owned);
            let redis = Self { watchdog: Watchdog::new(folder, &command, "KILL", None)?, port };
            match redis.run().await {
                Ok(()) => return Ok(redis),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.context("no port was tried")?)
    }

    /// One that all tests of this process share, started when first asked for. Use a key prefix
    /// of your own, and neither wipe nor kill it.
    ///
    /// # Errors
    ///
    /// When redis-server is not installed or does not start.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Redis> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn run(&self) -> Result<()> {
        let pid = self.watchdog.start()?;
        let started = Instant::now();
        loop {
            // Somebody else's server may answer on this port while ours fails to get it.
            if self.process_id().await.is_ok_and(|found| found == pid) {
                return Ok(());
            }
            if has_ended(pid) || started.elapsed() > Duration::from_secs(START_TIMEOUT_SECS) {
                bail!("redis-server did not start on port {}:\n{}", self.port, self.watchdog.last_words());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn connection(&self) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    async fn process_id(&self) -> Result<u32> {
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.connection().await?).await?;
        info.lines()
            .find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok())
            .context("INFO names no process_id")
    }

    /// Where it listens, as `redis://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
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

    /// Removes everything in it.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn wipe(&self) -> Result<()> {
        redis::cmd("FLUSHALL").query_async::<()>(&mut self.connection().await?).await.context("FLUSHALL")
    }

    /// Kills it with SIGKILL; returns when it is gone.
    ///
    /// # Errors
    ///
    /// When its watchdog is gone.
    pub fn kill(&self) -> Result<()> {
        self.watchdog.kill()
    }

    /// Starts it again on the same port and folder, killing it first if it runs.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn restart(&self) -> Result<()> {
        let mut outcome = self.run().await;
        for _ in 1..PORT_ATTEMPTS_MAX {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(POLL).await;
            outcome = self.run().await;
        }
        outcome
    }
}
