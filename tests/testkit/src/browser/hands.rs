//! What a person does with their hands: with a pointer, or with the keyboard alone.
//!
//! The same steps are done in either way, so that whatever a test does with the pointer
//! it can do again without. With the keyboard a step gets to what it needs by the Tab
//! key, and fails where nothing shows a person that they are there.

use std::{path::Path, sync::atomic::Ordering, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::{
    Locator,
    actions::{InputSource as _, KeyAction, KeyActions},
    elements::Element,
    key::Key,
};
use serde_json::Value;

use super::{Browser, PATIENCE, POLL};

/// How often Tab is pressed to get anywhere.
const TABS_MAX: usize = 400;
/// How many choices a list has at most, for somebody who goes through them by arrow keys.
const CHOICES_MAX: usize = 400;

/// Whether the element has the focus.
const HAS_FOCUS: &str = "return document.activeElement === arguments[0]";
/// The choice of a list that has the focus, as its value and its label, or of a group of buttons.
const CHOSEN: &str = "
const at = document.activeElement;
const chosen = at.selectedOptions ? at.selectedOptions[0] : at;
return chosen ? [chosen.value, at.selectedOptions ? chosen.label.trim() : ''] : ['', ''];
";

impl Browser {
    /// Does everything with the keyboard alone from now on, or with the pointer again.
    pub fn use_keyboard(&self, alone: bool) {
        self.by_keyboard.store(alone, Ordering::Relaxed);
    }

    fn by_keyboard(&self) -> bool {
        self.by_keyboard.load(Ordering::Relaxed)
    }

    /// Writes `text` into the field with this name or id, in place of what is there.
    ///
    /// # Errors
    /// There is no such field that can be written to within a minute.
    pub async fn fill(&self, field: &str, text: &str) -> Result<()> {
        self.fill_in("", field, text).await
    }

    /// The same for the field in the form that a CSS selector names.
    ///
    /// # Errors
    /// There is no such field that can be written to within a minute.
    pub async fn fill_in(&self, form: &str, field: &str, text: &str) -> Result<()> {
        let locator = format!("{form} {}", named(field));
        let element = self.find(&format!("{field} to fill"), Locator::Css(&locator)).await?;
        if self.by_keyboard() {
            self.tab_to(&element, field).await?;
            self.key(&[Key::Control], 'a').await?;
            self.key(&[], Key::Delete).await?;
            return self.type_keys(text).await;
        }
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
             | //label[normalize-space(.)={value}]/descendant::input[@name={name}] \
             | //input[@name={name} and @id=//label[normalize-space(.)={value}]/@for]"
        );
        let what = format!("{choice:?} in {field}");
        let element = self.find(&format!("{what} to choose"), Locator::XPath(&path)).await?;
        if self.issue(element.is_selected()).await? {
            return Ok(());
        }
        if !self.by_keyboard() {
            return self.click_or_label(&element).await.with_context(|| format!("cannot choose {what}"));
        }
        match self.issue(element.attr("type")).await?.as_deref() {
            Some("checkbox") => {
                self.tab_to(&element, &what).await?;
                self.key(&[], Key::Space).await
            }
            Some(_) => {
                // Tab comes to a group of buttons once; arrows go through it.
                let group = format!("input[type=radio][name=\"{field}\"]");
                self.tab_to_any(&group, &what).await?;
                self.key(&[], Key::Space).await?;
                self.arrow_to(&element, &what).await
            }
            None => {
                let list = self.field(field).await?;
                self.tab_to(&list, field).await?;
                self.key(&[], Key::Home).await?;
                self.arrow_to(&element, &what).await
            }
        }
    }

    /// Presses the arrow that leads down until `choice` is chosen.
    async fn arrow_to(&self, choice: &Element, what: &str) -> Result<()> {
        for _ in 0..CHOICES_MAX {
            if self.issue(choice.is_selected()).await? {
                return Ok(());
            }
            self.key(&[], Key::Down).await?;
        }
        let chosen = self.script(CHOSEN, vec![]).await?;
        bail!("the arrow keys do not get to {what}, but to {chosen}\n{}", self.excerpt().await)
    }

    /// Ticks the box with this name or id.
    ///
    /// # Errors
    /// There is no such box within a minute.
    pub async fn tick(&self, field: &str) -> Result<()> {
        let element = self.field(field).await?;
        if self.issue(element.is_selected()).await? {
            return Ok(());
        }
        if self.by_keyboard() {
            self.tab_to(&element, field).await?;
            return self.key(&[], Key::Space).await;
        }
        self.click_or_label(&element).await.with_context(|| format!("cannot tick {field}"))
    }

    /// Clicks a box, or its label where that lies over it.
    async fn click_or_label(&self, element: &Element) -> Result<()> {
        let Err(error) = self.issue(element.click()).await else { return Ok(()) };
        let id = self.issue(element.attr("id")).await?.unwrap_or_default();
        match self.issue(self.client.find(Locator::Css(&format!("label[for=\"{id}\"]")))).await {
            Ok(label) => self.issue(label.click()).await,
            Err(_) => Err(error),
        }
    }

    /// Puts a file into the field with this name or id. With the keyboard too the file is
    /// put there once the field is reached, because the dialog to choose it belongs to
    /// the desktop, which a browser without a screen has not got.
    ///
    /// # Errors
    /// There is no such field within a minute, or no such file.
    pub async fn upload(&self, field: &str, file: &Path) -> Result<()> {
        // The field itself may be hidden behind something prettier.
        let element = self.appears(&named(field)).await?;
        if self.by_keyboard() {
            self.tab_to(&element, field).await?;
        }
        let file = file.canonicalize().with_context(|| format!("no file {}", file.display()))?;
        self.issue(element.send_keys(&file.to_string_lossy())).await.with_context(|| format!("cannot fill {field}"))
    }

    /// Presses the button or follows the link with this text, and waits for the page
    /// that comes of it. A text that ends in `*` stands for all that have it somewhere.
    ///
    /// # Errors
    /// There is no such button, or no new page, within a minute.
    pub async fn press(&self, label: &str) -> Result<()> {
        let path = format!("//{}", pressable(label)?);
        self.press_at(&path, label).await
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
        self.press_at(&path, &format!("{label} beside {beside}")).await
    }

    /// The same for the one in the element that a CSS selector names, such as a form.
    ///
    /// # Errors
    /// There is no such button, or no new page, within a minute.
    pub async fn press_in(&self, css: &str, label: &str) -> Result<()> {
        let within = self.appears(css).await?;
        let path = format!(".//{}", pressable(label)?);
        let what = format!("{label} in {css}");
        let element = self
            .wait(&format!("{what} to press"), async || {
                for element in self.issue(within.find_all(Locator::XPath(&path))).await? {
                    if self.issue(element.is_displayed()).await? {
                        return Ok(Some(element));
                    }
                }
                Ok(None)
            })
            .await?;
        let before = self.document().await?;
        self.push(&element, &what).await?;
        self.leaves(&before, &format!("a page after {what:?} was pressed")).await
    }

    async fn press_at(&self, path: &str, what: &str) -> Result<()> {
        let before = self.document().await?;
        self.push_at(path, what).await?;
        self.leaves(&before, &format!("a page after {what:?} was pressed")).await
    }

    /// Presses the button or link with this text, and waits for nothing.
    ///
    /// # Errors
    /// There is no such button that can be pressed within a minute.
    pub async fn click(&self, label: &str) -> Result<()> {
        self.push_at(&format!("//{}", pressable(label)?), label).await
    }

    async fn push_at(&self, path: &str, what: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(&format!("{what:?} to press"), Locator::XPath(path)).await?;
            match self.push(&element, what).await {
                // It was drawn anew, or something passes over it.
                Err(_) if Instant::now() < deadline && !self.by_keyboard() => tokio::time::sleep(POLL).await,
                result => return result,
            }
        }
    }

    async fn push(&self, element: &Element, what: &str) -> Result<()> {
        if self.by_keyboard() {
            self.tab_to(element, what).await?;
            return self.key(&[], Key::Enter).await;
        }
        self.issue(element.click()).await.with_context(|| format!("cannot press {what:?}"))
    }

    /// Presses a key with these held down, and lets go.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn key(&self, held: &[Key], key: impl Into<char>) -> Result<()> {
        let key = key.into();
        let mut actions = KeyActions::new("keyboard".to_owned());
        for key in held {
            actions = actions.then(KeyAction::Down { value: (*key).into() });
        }
        actions = actions.then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
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

    /// Presses Tab until the element has the focus.
    async fn tab_to(&self, element: &Element, what: &str) -> Result<()> {
        let element = serde_json::to_value(element)?;
        self.tab_until(what, async || Ok(self.script(HAS_FOCUS, vec![element.clone()]).await? == true)).await
    }

    /// Presses Tab until one of those that a CSS selector names has the focus.
    async fn tab_to_any(&self, css: &str, what: &str) -> Result<()> {
        let matches = "return document.activeElement.matches(arguments[0])";
        self.tab_until(what, async || Ok(self.script(matches, vec![Value::from(css)]).await? == true)).await
    }

    async fn tab_until(&self, what: &str, mut is_there: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        for _ in 0..TABS_MAX {
            if is_there().await? {
                let focus = self.focus().await?;
                ensure!(focus.visible, "nothing shows that the focus is on {what}: {focus:?}");
                return Ok(());
            }
            self.key(&[], Key::Tab).await?;
        }
        bail!("the Tab key does not get to {what}\n{}", self.excerpt().await)
    }

    async fn field(&self, field: &str) -> Result<Element> {
        self.find(&format!("{field} to fill"), Locator::Css(&named(field))).await
    }
}

/// The selector of the field with this name or id.
pub(super) fn named(field: &str) -> String {
    format!(":is(input, select, textarea):is([name=\"{field}\"], [id=\"{field}\"])")
}

/// The path of a button or link with this text, behind its slashes. A text that ends in `*` stands
/// for all that have it somewhere.
fn pressable(label: &str) -> Result<String> {
    if let Some(part) = label.strip_suffix('*') {
        let part = quoted(part)?;
        return Ok(format!("*[(self::button or self::a or self::summary) and contains(normalize-space(.), {part})]"));
    }
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
