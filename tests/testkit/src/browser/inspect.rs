//! What is wrong with a page that looks right: what the browser logged, whom it asked, and
//! what a person with a narrow phone, a keyboard or a screen reader would stumble over.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Browser;

/// Finds what has the focus.
pub(super) const FOCUS: &str = r"
const at = document.activeElement || document.body;
const box = at.getBoundingClientRect();
const style = getComputedStyle(at);
const marked = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none';
const shown = box.width > 0 && box.height > 0 && box.right > 0 && box.bottom > 0
    && box.left < document.documentElement.clientWidth && box.top < innerHeight;
const text = at.getAttribute('aria-label') || (at === document.body ? '' : at.innerText) || '';
return {
    tag: at.tagName.toLowerCase(), id: at.id || '', name: at.getAttribute('name') || '',
    text: text.replace(/\s+/g, ' ').trim(), visible: marked && shown,
};
";

/// Finds faults in the page. A page that is not HTML has none.
const FAULTS: &str = r#"
const faults = [];
if (document.contentType !== 'text/html') return faults;
const root = document.documentElement;
const describe = (element) => element.outerHTML.replace(/\s+/g, ' ').slice(0, 120);
const shown = (element) => element.checkVisibility({ visibilityProperty: true });
const text = (element) => (element.textContent || '').trim();

if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.body.querySelectorAll('*')]
        .filter((element) => shown(element) && element.getBoundingClientRect().right > root.clientWidth + 1);
    const last = wide.filter((element) => !wide.some((other) => other !== element && element.contains(other)));
    faults.push(`scrolls sideways: ${root.scrollWidth} in ${root.clientWidth} px, by ${last.slice(0, 3).map(describe).join(' and ')}`);
}

if (!root.lang) faults.push('no language');
if (!document.title.trim()) faults.push('no title');
const headings = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].filter(shown);
if (headings.filter((heading) => heading.tagName === 'H1').length !== 1) faults.push('not exactly one h1');
if (document.querySelectorAll('main').length !== 1) faults.push('not exactly one main');

const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) faults.push(`id ${id} twice`);
for (const attribute of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for', 'popovertarget']) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
        for (const id of element.getAttribute(attribute).split(/\s+/).filter(Boolean)) {
            if (!ids.includes(id)) faults.push(`${attribute} of nothing: ${describe(element)}`);
        }
    }
}

const named = (element) => element.getAttribute('aria-label')
    || (element.getAttribute('aria-labelledby') || '').split(/\s+/).some((id) => id && text(document.getElementById(id) || root.cloneNode(false)))
    || [...(element.labels || [])].some((label) => text(label));
for (const control of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
    const button = ['submit', 'button', 'reset'].includes(control.type) && control.value;
    if (shown(control) && !named(control) && !button) faults.push(`no label: ${describe(control)}`);
}
for (const control of document.querySelectorAll('a[href], button, summary')) {
    if (shown(control) && !named(control) && !text(control)) faults.push(`no text: ${describe(control)}`);
}
for (const frame of document.querySelectorAll('iframe, object, embed')) {
    if (!frame.title && !named(frame)) faults.push(`no title: ${describe(frame)}`);
}
for (const image of document.querySelectorAll('img')) {
    if (!image.hasAttribute('alt')) faults.push(`no alt: ${describe(image)}`);
    if (image.complete && !image.naturalWidth) faults.push(`a broken image: ${describe(image)}`);
}
for (const table of document.querySelectorAll('table')) {
    if (!table.querySelector('th')) faults.push(`no header cell: ${describe(table)}`);
}
return faults;
"#;

/// Where Chromium's own viewer lives.
const PDF_VIEWER: &str = "chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/";

/// An entry of ChromeDriver's logs.
#[derive(Deserialize)]
struct Entry {
    level: String,
    message: String,
}

impl Browser {
    /// All that is wrong: what the browser logged as an error or a warning since it was
    /// asked for last, requests to any other host, and faults of the page that is open.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let mut complaints = self.console().await?;
        for url in self.requests().await? {
            if is_foreign(&url, &self.home) {
                complaints.push(format!("a request to another host: {url}"));
            }
        }
        complaints.extend(self.faults().await?);
        if complaints.is_empty() {
            return Ok(complaints);
        }
        let address = self.path().await?;
        Ok(complaints.into_iter().map(|complaint| format!("{address}: {complaint}")).collect())
    }

    /// Errors and warnings that the browser logged since they were asked for last, such
    /// as an uncaught exception, something that the policy forbids, or a failed request.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn console(&self) -> Result<Vec<String>> {
        let mut logged = Vec::new();
        for entry in self.drain("browser").await? {
            let entry: Entry = serde_json::from_value(entry)?;
            if matches!(entry.level.as_str(), "SEVERE" | "WARNING") {
                logged.push(entry.message);
            }
        }
        Ok(logged)
    }

    /// The addresses that pages asked for since this was called last.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn requests(&self) -> Result<Vec<String>> {
        let mut urls = Vec::new();
        for entry in self.drain("performance").await? {
            let entry: Entry = serde_json::from_value(entry)?;
            let event: Value = serde_json::from_str(&entry.message)?;
            let event = &event["message"];
            let url = match event["method"].as_str() {
                Some("Network.requestWillBeSent") => &event["params"]["request"]["url"],
                Some("Network.webSocketCreated") => &event["params"]["url"],
                _ => continue,
            };
            urls.push(url.as_str().context("a request without an address")?.to_owned());
        }
        Ok(urls)
    }

    /// Whether a PDF inside the page is being shown, by the viewer that the browser has for it.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn shows_pdf(&self) -> Result<bool> {
        let targets = self.devtools("Target.getTargets", json!({})).await?;
        let frames: Vec<&Value> = targets["targetInfos"]
            .as_array()
            .context("no targets")?
            .iter()
            .filter(|target| target["type"] == "iframe")
            .collect();
        let is_viewer = |frame: &Value| frame["url"].as_str().is_some_and(|url| url.starts_with(PDF_VIEWER));
        let viewer = frames.iter().find(|frame| is_viewer(frame));
        // The viewer loads, and then has its drawing of the document inside.
        Ok(viewer.is_some_and(|viewer| frames.iter().any(|frame| frame["parentId"] == viewer["targetId"])))
    }

    /// Faults of the page that is open.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn faults(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.script(FAULTS, vec![]).await?)?)
    }
}

/// Whether a request leaves the site at `home`. What starts with another word than these
/// leaves no browser.
fn is_foreign(url: &str, home: &str) -> bool {
    let leaves = ["http:", "https:", "ws:", "wss:", "ftp:"].iter().any(|scheme| url.starts_with(scheme));
    let at_home = url.strip_prefix(home).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    leaves && !at_home
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_host_and_port_is_home() {
        let home = "http://127.0.0.1:80";
        for near in ["http://127.0.0.1:80/admin/", "http://127.0.0.1:80", "data:,", "blob:http://x", "about:blank"] {
            assert!(!is_foreign(near, home), "{near}");
        }
        for far in ["http://127.0.0.1:8080/", "https://127.0.0.1:80/", "http://example.org/", "wss://127.0.0.1:80/"] {
            assert!(is_foreign(far, home), "{far}");
        }
    }
}
