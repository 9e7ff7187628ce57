//! A private ChromeDriver, and with it the browsers that it starts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;

use super::watchdog::{Watchdog, has_ended};
use super::{POLL, START_TIMEOUT_SECS, in_path};

/// What ChromeDriver writes once it listens, up to the port.
const LISTENING: &str = "started successfully on port ";

/// A private ChromeDriver; it, its browsers and their profiles are gone when it is dropped.
pub struct ChromeDriver {
    watchdog: Watchdog,
    port: u16,
    browser: PathBuf,
}

impl ChromeDriver {
    /// Starts one on a port that it chooses.
    ///
    /// # Errors
    ///
    /// When chromedriver or chromium is not installed, or it does not start.
    pub async fn start() -> Result<Self> {
        let program = installed("chromedriver", "chromium-driver")?;
        let browser = installed("chromium", "chromium")?;
        let folder = tempfile::Builder::new().prefix("waystation-browser-").tempdir()?;
        let home = folder.path().display();
        // A process group of its own, which the browsers stay in. Whatever they keep besides
        // their profiles, they keep in the folder.
        let command = [
            "setsid",
            "env",
            &format!("HOME={home}"),
            &format!("TMPDIR={home}"),
            &program.to_string_lossy(),
            "--port=0",
        ]
        .map(str::to_owned);
        let watchdog = Watchdog::new(folder, &command, "KILL", None)?;
        let pid = watchdog.start()?;
        let started = Instant::now();
        loop {
            let said = watchdog.last_words();
            if let Some(port) = port_in(&said) {
                return Ok(Self { watchdog, port, browser });
            }
            if has_ended(pid) || started.elapsed() > Duration::from_secs(START_TIMEOUT_SECS) {
                bail!("chromedriver did not start:\n{said}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// One that all tests of this process share, started when first asked for.
    ///
    /// # Errors
    ///
    /// When chromedriver or chromium is not installed, or it does not start.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ChromeDriver> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Where it listens, as `http://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The browser that it starts.
    pub(crate) fn browser(&self) -> &Path {
        &self.browser
    }

    /// The folder for all that it and its browsers write.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.watchdog.folder()
    }
}

fn installed(program: &str, package: &str) -> Result<PathBuf> {
    in_path(program).with_context(|| {
        format!(
            "{program} is not in PATH. The tests need it: scripts/test installs what they need, or install the \
             package {package}"
        )
    })
}

fn port_in(said: &str) -> Option<u16> {
    let (_, rest) = said.split_once(LISTENING)?;
    rest.split_once('.')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_chromedriver_says() {
        assert_eq!(port_in("Starting\nChromeDriver was started successfully on port 38455.\n"), Some(38_455));
        assert_eq!(port_in("Starting ChromeDriver 1.2 on port 0\n"), None);
        assert_eq!(port_in("ChromeDriver was started successfully on port 38"), None, "it goes on");
    }
}
