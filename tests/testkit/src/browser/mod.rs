//! A person at a browser: a headless Chromium with a profile of its own that fills forms,
//! presses buttons and reads what the page says.
//!
//! Nothing is looked at before it is there: every step waits for what it needs, for as
//! long as a busy machine may take, and a step that fails says what was on the page.
//! What only a browser knows about a page is in [`Browser::complaints`].

mod hands;
mod inspect;
mod office;
mod sign_in;
mod walk;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::Url;

pub use fantoccini::key::Key;

pub use self::{
    office::Profile,
    sign_in::{Account, PASSWORD},
    walk::{Stop, walk},
};
use crate::{secrets, servers::ChromeDriver};

/// How long anything may take that a page has to show.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a page is looked at.
const POLL: Duration = Duration::from_millis(25);
/// How long the end of a browser is waited for.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Cookies at least this long are secrets.
const TOKEN_MIN_CHARS: usize = 24;
/// How much of a page an error quotes, in characters.
const EXCERPT_CHARS: usize = 3_000;

/// What keeps Chromium from talking to its maker, and lets it run as root in a container.
const FLAGS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    // It ends with the ChromeDriver that started it.
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A desktop, in light colours.
    Light,
    /// A desktop, in dark colours.
    Dark,
    /// A phone.
    Phone,
    /// The narrowest phone that pages are made for.
    Narrow,
}

impl Look {
    /// The end of a screenshot's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
            Self::Narrow => "narrow",
        }
    }

    /// The size of the view, in CSS pixels.
    #[must_use]
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Light | Self::Dark => (1_280, 900),
            Self::Phone => (390, 844),
            Self::Narrow => (360, 740),
        }
    }

    fn is_phone(self) -> bool {
        matches!(self, Self::Phone | Self::Narrow)
    }
}

/// A running browser. It ends when it is dropped, and its profile goes.
pub struct Browser {
    client: Client,
    driver: &'static ChromeDriver,
    session: String,
    /// Where its pages are, as `http://127.0.0.1:PORT`.
    home: String,
    by_keyboard: AtomicBool,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one for the pages at `home`, as `http://127.0.0.1:PORT`, to be looked at
    /// on a desktop in light colours.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn start(home: &str) -> Result<Self> {
        let driver = ChromeDriver::shared().await?;
        let profile = tempfile::Builder::new().prefix("profile-").tempdir_in(driver.folder())?;
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({
            "goog:chromeOptions": {"binary": driver.browser(), "args": flags},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "unhandledPromptBehavior": "ignore",
        });
        let Value::Object(capabilities) = capabilities else { bail!("capabilities are an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let client = tokio::time::timeout(PATIENCE, builder.connect(&driver.url())).await;
        let client = client.context("the browser does not start")?.context("the browser does not start")?;
        let session = client.session_id().await?.context("the browser has no session")?;
        let browser = Self {
            client,
            driver,
            session,
            home: home.to_owned(),
            by_keyboard: AtomicBool::new(false),
            _profile: profile,
        };
        browser.look(Look::Light).await?;
        // In place of the page that it shows to somebody who opens it.
        browser.open("about:blank").await?;
        browser.console().await?;
        browser.requests().await?;
        Ok(browser)
    }

    /// Looks at pages in another way from now on, the one that is open included.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn look(&self, look: Look) -> Result<()> {
        let (width, height) = look.size();
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": look.is_phone()}),
        )
        .await?;
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await?;
        Ok(())
    }

    /// Lets pages run no script from the next one on, or lets them again.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn scripts(&self, run: bool) -> Result<()> {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": !run})).await?;
        Ok(())
    }

    /// Opens a page: a path at home, or a whole address.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn open(&self, address: &str) -> Result<()> {
        let url = if address.starts_with('/') { format!("{}{address}", self.home) } else { address.to_owned() };
        self.issue(self.client.goto(&url)).await.with_context(|| format!("cannot open {url}"))
    }

    /// The path of the page, with its query if it has one.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn path(&self) -> Result<String> {
        let url = self.issue(self.client.current_url()).await?;
        Ok(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
    }

    /// What a person can read on the page, as far as it is shown.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn text(&self) -> Result<String> {
        let text = self.script("return document.body ? document.body.innerText : ''", vec![]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// The text of the one element that a CSS selector names.
    ///
    /// # Errors
    /// There is none within a minute.
    pub async fn text_of(&self, css: &str) -> Result<String> {
        let element = self.find(&format!("{css} to read"), Locator::Css(css)).await?;
        self.issue(element.text()).await
    }

    /// What stands in the field with this name or id.
    ///
    /// # Errors
    /// There is no such field within a minute.
    pub async fn value_of(&self, field: &str) -> Result<String> {
        let element = self.appears(&hands::named(field)).await?;
        Ok(self.issue(element.prop("value")).await?.unwrap_or_default())
    }

    /// The page as it was written, what is hidden included.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn source(&self) -> Result<String> {
        self.issue(self.client.source()).await
    }

    /// An attribute of the one element that a CSS selector names; none where it has not got it.
    ///
    /// # Errors
    /// There is no such element within a minute.
    pub async fn attribute(&self, css: &str, name: &str) -> Result<Option<String>> {
        let element = self.appears(css).await?;
        self.issue(element.attr(name)).await
    }

    /// How many elements a CSS selector names now.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn count(&self, css: &str) -> Result<usize> {
        Ok(self.issue(self.client.find_all(Locator::Css(css))).await?.len())
    }

    /// Waits until the page says `text`, whatever its white space.
    ///
    /// # Errors
    /// It does not within a minute.
    pub async fn sees(&self, text: &str) -> Result<()> {
        let wanted = words(text);
        self.wait(&format!("the page says {text:?}"), async || {
            Ok(words(&self.text().await?).contains(&wanted).then_some(()))
        })
        .await
    }

    /// Waits until the page's path starts with `path`.
    ///
    /// # Errors
    /// It does not within a minute.
    pub async fn arrives(&self, path: &str) -> Result<()> {
        self.wait(&format!("the page is {path}"), async || {
            let ready = self.script("return document.readyState", vec![]).await?;
            Ok((ready == "complete" && self.path().await?.starts_with(path)).then_some(()))
        })
        .await
    }

    /// Waits until `probe` finds something.
    ///
    /// # Errors
    /// It does not within a minute; with what the page says.
    pub async fn wait<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A page that goes while it is looked at is looked at again.
            let error = match probe().await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if Instant::now() >= deadline {
                let page = self.excerpt().await;
                let why = error.map_or_else(String::new, |error| format!(" ({error:#})"));
                bail!("not within {PATIENCE:?}: {what}{why}\n{page}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What has the focus.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn focus(&self) -> Result<Focus> {
        let found = self.script(inspect::FOCUS, vec![]).await?;
        serde_json::from_value(found).context("what has the focus is not understood")
    }

    /// The whole page as a PNG, also what is below the view.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let layout = self.devtools("Page.getLayoutMetrics", json!({})).await?;
        let size = |name: &str| layout["cssContentSize"][name].as_f64().context("a page without a size");
        let view = |name: &str| layout["cssLayoutViewport"][name].as_f64().context("a view without a size");
        let clip = json!({
            "x": 0, "y": 0, "scale": 1,
            "width": size("width")?.max(view("clientWidth")?),
            "height": size("height")?.max(view("clientHeight")?),
        });
        let picture = self
            .devtools("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true, "clip": clip}))
            .await?;
        Ok(BASE64_STANDARD.decode(picture["data"].as_str().context("no picture")?)?)
    }

    /// Runs a script in the page and returns what it returns.
    ///
    /// # Errors
    /// It throws, or the browser is gone.
    pub async fn script(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        self.issue(self.client.execute(script, arguments)).await
    }

    /// Gives an order of the DevTools protocol.
    async fn devtools(&self, order: &str, parameters: Value) -> Result<Value> {
        let command = ToChromeDriver { path: "goog/cdp/execute", body: json!({"cmd": order, "params": parameters}) };
        self.issue(self.client.issue_cmd(command)).await.with_context(|| order.to_owned())
    }

    /// What was logged of this kind since it was asked for last.
    async fn drain(&self, kind: &str) -> Result<Vec<Value>> {
        let command = ToChromeDriver { path: "se/log", body: json!({"type": kind}) };
        match self.issue(self.client.issue_cmd(command)).await? {
            Value::Array(entries) => Ok(entries),
            other => bail!("the {kind} log is {other}"),
        }
    }

    async fn issue<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> Result<T> {
        let outcome = tokio::time::timeout(PATIENCE, command).await.context("the browser does not answer")?;
        Ok(outcome?)
    }

    /// What tells this document from the one after it.
    async fn document(&self) -> Result<Value> {
        self.script("return performance.timeOrigin", vec![]).await
    }

    async fn leaves(&self, before: &Value, what: &str) -> Result<()> {
        self.wait(what, async || {
            let ready = self.script("return document.readyState", vec![]).await?;
            Ok((ready == "complete" && self.document().await? != *before).then_some(()))
        })
        .await?;
        for cookie in self.issue(self.client.get_all_cookies()).await? {
            if cookie.value().len() >= TOKEN_MIN_CHARS {
                secrets::keep("cookie", cookie.value());
            }
        }
        Ok(())
    }

    /// Waits for the first that can be seen and used.
    async fn find(&self, what: &str, locator: Locator<'_>) -> Result<Element> {
        self.wait(what, async || {
            for element in self.issue(self.client.find_all(locator)).await? {
                if self.issue(element.is_displayed()).await? && self.issue(element.is_enabled()).await? {
                    return Ok(Some(element));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Waits for the first, seen or not.
    async fn appears(&self, css: &str) -> Result<Element> {
        self.wait(&format!("{css} is on the page"), async || {
            Ok(self.issue(self.client.find_all(Locator::Css(css))).await?.into_iter().next())
        })
        .await
    }

    /// Where it is and what is there, for an error.
    async fn excerpt(&self) -> String {
        let address = self.path().await.unwrap_or_default();
        let text: String = self.text().await.unwrap_or_default().chars().take(EXCERPT_CHARS).collect();
        format!("The page {address} says:\n{text}")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its end has to be over before the profile is removed. There is nobody to tell when it
        // does not end: ChromeDriver's own end, at the latest, is its end.
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.driver.port())) else { return };
        let order =
            format!("DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", self.session);
        let _ = stream.set_read_timeout(Some(END_TIMEOUT));
        let _ = stream.write_all(order.as_bytes());
        // It answers when the browser is gone.
        let _ = stream.read(&mut [0]);
    }
}

/// What has the focus.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Focus {
    /// The element, in lower case; `body` where nothing has it.
    pub tag: String,
    /// Its id, or nothing.
    pub id: String,
    /// Its name, or nothing.
    pub name: String,
    /// Its text, or nothing.
    pub text: String,
    /// Whether a person sees that it has it.
    pub visible: bool,
}

impl Focus {
    /// What to call it.
    #[must_use]
    pub fn label(&self) -> &str {
        [&self.name, &self.text, &self.id].into_iter().find(|label| !label.is_empty()).unwrap_or(&self.tag)
    }
}

/// An order that only ChromeDriver knows.
#[derive(Debug)]
struct ToChromeDriver {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for ToChromeDriver {
    fn endpoint(&self, base_url: &Url, session_id: Option<&str>) -> Result<Url, url::ParseError> {
        base_url.join(&format!("session/{}/{}", session_id.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
