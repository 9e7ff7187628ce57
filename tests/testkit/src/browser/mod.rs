//! A person at a browser: a headless Chromium with a profile of its own that fills forms,
//! presses buttons and reads what the page says.
//!
//! Nothing is looked at before it is there: every step waits for what it needs, for as
//! long as a busy machine may take, and a step that fails says what was on the page.
//! What only a browser knows about a page is in [`Browser::complaints`].

mod inspect;
mod walk;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource as _, KeyAction, KeyActions},
    elements::Element,
    error::CmdError,
    wd::WebDriverCompatibleCommand,
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::Url;

pub use fantoccini::key::Key;

pub use self::walk::{Stop, walk};
use crate::servers::ChromeDriver;

/// How long anything may take that a page has to show.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a page is looked at.
const POLL: Duration = Duration::from_millis(25);
/// How long the end of a browser is waited for.
const END_TIMEOUT: Duration = Duration::from_secs(10);
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
        let browser = Self { client, driver, session, home: home.to_owned(), _profile: profile };
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

    /// Writes `text` into the field with this name or id, in place of what is there.
    ///
    /// # Errors
    /// There is no such field that can be written to within a minute.
    pub async fn fill(&self, field: &str, text: &str) -> Result<()> {
        let element = self.field(field).await?;
        self.issue(element.clear()).await.with_context(|| format!("cannot clear {field}"))?;
        self.issue(element.send_keys(text)).await.with_context(|| format!("cannot fill {field}"))
    }

    /// Chooses, in the list or among the buttons with this name, what has this value or label.
    ///
    /// # Errors
    /// There is no such choice within a minute.
    pub async fn choose(&self, field: &str, choice: &str) -> Result<()> {
        let (name, value) = (quoted(field)?, quoted(choice)?);
        let path = format!(
            "//select[@name={name} or @id={name}]/descendant::option[@value={value} or normalize-space(.)={value}] \
             | //input[@name={name} and @value={value} and (@type='radio' or @type='checkbox')] \
             | //label[normalize-space(.)={value}]/descendant::input[@name={name}]"
        );
        let element = self.find(&format!("{choice:?} in {field} to choose"), Locator::XPath(&path)).await?;
        if !self.issue(element.is_selected()).await? {
            self.issue(element.click()).await.with_context(|| format!("cannot choose {choice:?} in {field}"))?;
        }
        Ok(())
    }

    /// Ticks the box with this name or id.
    ///
    /// # Errors
    /// There is no such box within a minute.
    pub async fn tick(&self, field: &str) -> Result<()> {
        let element = self.field(field).await?;
        if !self.issue(element.is_selected()).await? {
            self.issue(element.click()).await.with_context(|| format!("cannot tick {field}"))?;
        }
        Ok(())
    }

    /// Puts a file into the field with this name or id.
    ///
    /// # Errors
    /// There is no such field within a minute, or no such file.
    pub async fn upload(&self, field: &str, file: &Path) -> Result<()> {
        let css = named(field);
        // The field itself may be hidden behind something prettier.
        let element = self.appears(&css).await?;
        let file = file.canonicalize().with_context(|| format!("no file {}", file.display()))?;
        self.issue(element.send_keys(&file.to_string_lossy())).await.with_context(|| format!("cannot fill {field}"))
    }

    /// Presses the button or follows the link with this text, and waits for the page
    /// that comes of it.
    ///
    /// # Errors
    /// There is no such button, or no new page, within a minute.
    pub async fn press(&self, label: &str) -> Result<()> {
        let before = self.document().await?;
        self.click(label).await?;
        self.leaves(&before, &format!("a page after {label:?} was pressed")).await
    }

    /// The same for the one in the row, item, form or section that says `beside` and is
    /// the smallest that has such a button.
    ///
    /// # Errors
    /// There is no such button, or no new page, within a minute.
    pub async fn press_beside(&self, beside: &str, label: &str) -> Result<()> {
        let (near, what) = (quoted(beside)?, pressable(label)?);
        // The last in the order of the document is the innermost.
        let path = format!(
            "(//*[self::tr or self::li or self::form or self::section or self::article or self::div]\
             [contains(normalize-space(.), {near})][.//{what}])[last()]//{what}"
        );
        let before = self.document().await?;
        let element = self.find(&format!("{label:?} beside {beside:?} to press"), Locator::XPath(&path)).await?;
        self.issue(element.click()).await.with_context(|| format!("cannot press {label:?}"))?;
        self.leaves(&before, &format!("a page after {label:?} was pressed")).await
    }

    /// Presses the button or link with this text, and waits for nothing.
    ///
    /// # Errors
    /// There is no such button that can be pressed within a minute.
    pub async fn click(&self, label: &str) -> Result<()> {
        let path = format!("//{}", pressable(label)?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(&format!("{label:?} to press"), Locator::XPath(&path)).await?;
            match self.issue(element.click()).await {
                // It was drawn anew, or something passes over it.
                Err(_) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                result => return result.with_context(|| format!("cannot press {label:?}")),
            }
        }
    }

    /// Presses a key with these held down, and lets go.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn key(&self, held: &[Key], key: Key) -> Result<()> {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for key in held {
            actions = actions.then(KeyAction::Down { value: (*key).into() });
        }
        actions = actions.then(KeyAction::Down { value: key.into() }).then(KeyAction::Up { value: key.into() });
        for key in held.iter().rev() {
            actions = actions.then(KeyAction::Up { value: (*key).into() });
        }
        self.issue(self.client.perform_actions(actions)).await
    }

    /// Presses a key and waits for the page that comes of it.
    ///
    /// # Errors
    /// There is no new page within a minute.
    pub async fn key_to_page(&self, key: Key) -> Result<()> {
        let before = self.document().await?;
        self.key(&[], key).await?;
        self.leaves(&before, &format!("a page after the key {key:?}")).await
    }

    /// Types `text` on the keyboard, to whatever has the focus.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn type_keys(&self, text: &str) -> Result<()> {
        let actions = text.chars().fold(KeyActions::new("keyboard".to_owned()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.issue(self.client.perform_actions(actions)).await
    }

    /// Presses Tab until the focus is on the field with this name or id, or on the
    /// button or link with this text.
    ///
    /// # Errors
    /// It comes round, or past more than a thousand others, without getting there.
    pub async fn tab_to(&self, target: &str) -> Result<()> {
        let mut passed: Vec<Focus> = Vec::new();
        loop {
            self.key(&[], Key::Tab).await?;
            let focus = self.focus().await?;
            if [&focus.name, &focus.id, &focus.text].into_iter().any(|known| known == target) {
                return Ok(());
            }
            if passed.iter().filter(|earlier| **earlier == focus).count() > 2 || passed.len() > 1_000 {
                let places: Vec<&str> = passed.iter().map(Focus::label).collect();
                bail!("the Tab key does not get to {target:?}, only to {places:?}\n{}", self.excerpt().await);
            }
            passed.push(focus);
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
        .await
    }

    async fn field(&self, field: &str) -> Result<Element> {
        self.find(&format!("{field} to fill"), Locator::Css(&named(field))).await
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

/// The selector of the field with this name or id.
fn named(field: &str) -> String {
    format!("[name=\"{field}\"], [id=\"{field}\"]")
}

/// The path of a button or link with this text, behind its slashes.
fn pressable(label: &str) -> Result<String> {
    let label = quoted(label)?;
    Ok(format!(
        "*[(self::button or self::a or self::summary) and (normalize-space(.)={label} or @aria-label={label}) \
         or self::input and @type='submit' and @value={label}]"
    ))
}

/// As a string of XPath, which knows no escapes.
fn quoted(text: &str) -> Result<String> {
    match (text.contains('"'), text.contains('\'')) {
        (false, _) => Ok(format!("\"{text}\"")),
        (true, false) => Ok(format!("'{text}'")),
        (true, true) => bail!("both kinds of quotes: {text}"),
    }
}
