//! Templates: how they are written, reviewed and filled.
//!
//! What is kept has passed the [`lint`]; what is sent was approved by a reviewer here and by its network
//! ([`Templates`] takes it there), and a message that passes [`Template::fill`] has every parameter that the network
//! will ask for, of the right type, in a text that is short enough.
//!
//! The same walk yields the text with its parameters in, which the SMS fallback and
//! the history show: nothing is rendered twice in two ways.

mod compile;
mod content;
mod data;
mod forwarding;
pub mod handlebars;
pub mod languages;
pub mod limits;
pub mod lint;
mod network;
mod placeholders;
mod service;
mod state;
mod told;
mod views;

use serde::Deserialize;

use crate::{
    error::{ApiError, Breach, ErrorKind},
    messages::{
        Category,
        request::excerpt,
        template::{Component, Parameter, TemplateMessage},
    },
    store::{StoreError, StoredTemplate},
    tenancy::{SANDBOX, Sender},
};
pub(crate) use content::Content;
pub use content::{Change, Draft, ParameterFormat, Syntax};
use data::Slot;
pub(crate) use forwarding::Forwarder;
use limits::{BODY_MAX_CHARS, HEADER_MAX_CHARS};
pub use network::{NetworkEvent, SANDBOX_NAMES, sandbox_review};
use placeholders::{Malformed, Text};
pub use service::{Templates, place_of};
pub use state::{Action, Refusal, Side, State};
pub(crate) use told::{ByNetwork, Told, follow};
pub use views::{
    Decision, TemplateCounts, TemplateFilter, TemplateView, Verdict, VersionView, WaitingFilter, WaitingTemplate,
};

/// A template in one language, ready to be filled.
#[derive(Debug)]
pub struct Template {
    name: String,
    language: String,
    category: Category,
    state: State,
    /// The network that approved it.
    network: Option<String>,
    whole: Parts,
    /// Of a carousel.
    cards: Vec<Parts>,
    /// What data fill.
    slots: Vec<Slot>,
}

/// What a template, or a card of its carousel, is made of.
#[derive(Debug, Default)]
struct Parts {
    header: Option<Header>,
    body: Text,
    footer: Option<String>,
    buttons: Vec<Button>,
}

#[derive(Debug)]
enum Header {
    Text(Text),
    /// `image`, `video`, `document`, `location`: one parameter of that type.
    Media(String),
}

#[derive(Debug)]
struct Button {
    /// As in `sub_type`, lower case.
    kind: String,
    text: String,
    /// How many parameters a message must give, and how many it may.
    required: usize,
    allowed: usize,
}

#[derive(Deserialize)]
struct StoredComponent {
    #[serde(rename = "type")]
    kind: String,
    format: Option<String>,
    text: Option<String>,
    /// Of the body of an authentication template, whose text is the network's own.
    add_security_recommendation: Option<bool>,
    /// Of its footer.
    code_expiration_minutes: Option<i64>,
    #[serde(default)]
    buttons: Vec<StoredButton>,
    #[serde(default)]
    cards: Vec<StoredCard>,
}

#[derive(Deserialize)]
struct StoredCard {
    #[serde(default)]
    components: Vec<StoredComponent>,
}

#[derive(Deserialize)]
struct StoredButton {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: String,
    url: Option<String>,
}

impl Template {
    /// Reads a stored template.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when its components are not what was checked when
    /// it was stored.
    pub fn read(stored: &StoredTemplate) -> Result<Self, StoreError> {
        let unreadable = |reason: String| StoreError::Unreadable {
            table: "templates",
            reason: format!("{} ({}): {reason}", stored.name, stored.language),
        };
        let components: Vec<StoredComponent> =
            serde_json::from_str(&stored.components).map_err(|error| unreadable(error.to_string()))?;
        let written: Vec<serde_json::Value> =
            serde_json::from_str(&stored.components).map_err(|error| unreadable(error.to_string()))?;
        let variables: Vec<handlebars::Variable> =
            serde_json::from_str(&stored.variables).map_err(|error| unreadable(error.to_string()))?;
        let slots = data::slots(&written, &variables).map_err(unreadable)?;
        let (whole, cards) = Parts::read(components).map_err(|error| unreadable(error.to_string()))?;
        let cards = cards.into_iter().map(|card| Ok(Parts::read(card.components)?.0)).collect::<Result<_, Malformed>>();
        Ok(Self {
            name: stored.name.clone(),
            language: stored.language.clone(),
            category: Category::parse(&stored.category)
                .ok_or_else(|| unreadable(format!("\"{}\" is no category", excerpt(&stored.category))))?,
            state: State::parse(&stored.state)
                .ok_or_else(|| unreadable(format!("\"{}\" is no state", excerpt(&stored.state))))?,
            network: stored.network.clone(),
            whole,
            cards: cards.map_err(|error| unreadable(error.to_string()))?,
            slots,
        })
    }

    /// Whether components can be read when they are needed.
    pub(crate) fn readable(components: &[serde_json::Value]) -> Result<(), String> {
        let components = serde_json::Value::from(components.to_vec());
        let components: Vec<StoredComponent> = serde_json::from_value(components).map_err(|error| error.to_string())?;
        let (_, cards) = Parts::read(components).map_err(|error| error.to_string())?;
        for card in cards {
            Parts::read(card.components).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What its messages are for.
    #[must_use]
    pub fn category(&self) -> Category {
        self.category
    }

    /// Whether `sender` may send it: an approved one that its own network has approved. The sandbox takes those that are
    /// on their way there as well, and what is to be said of them is given. Only WhatsApp's networks review templates:
    /// on other channels what a reviewer here approved will do.
    ///
    /// # Errors
    /// 132001 when it is not approved, 132015 when it is paused, 132016 when it is disabled.
    pub fn sendable(&self, sender: &Sender) -> Result<Option<Breach>, ApiError> {
        let (sandbox, reviewed) = (sender.adapter == SANDBOX, sender.is_whatsapp());
        let refuse = |kind: ErrorKind, why: &str| {
            let message = format!("template name ({}) in {} {why}", self.name, self.language);
            let breach = Breach { pointer: "/template/name".to_owned(), message, limit: None, actual: None };
            Err(ApiError::breaches(kind, vec![breach]))
        };
        match self.state {
            State::Approved | State::ApprovedInternal | State::Submitted if !reviewed => Ok(None),
            State::Approved if sandbox || self.network.as_deref() != Some(SANDBOX) => Ok(None),
            State::Approved => refuse(ErrorKind::TemplateMissing, "is approved in the sandbox only"),
            State::Paused => refuse(ErrorKind::TemplatePaused, "is paused"),
            State::Disabled => refuse(ErrorKind::TemplateDisabled, "is disabled"),
            State::Rejected => refuse(ErrorKind::TemplateMissing, "was rejected"),
            State::Archived => refuse(ErrorKind::TemplateMissing, "was put away"),
            state if sandbox => Ok(Some(Breach {
                pointer: "/template/name".to_owned(),
                message: format!(
                    "the template is in the state {state}; only the sandbox sends one that is not approved"
                ),
                limit: None,
                actual: None,
            })),
            _ => refuse(ErrorKind::TemplateMissing, "is not approved yet"),
        }
    }

    /// Its language.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Whether it brings a one-time password, which goes to phone numbers only.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        self.whole.buttons.iter().any(|button| button.kind == "otp")
    }

    /// Checks the parameters of `message` against the template and returns the whole
    /// text with them in.
    ///
    /// # Errors
    /// Every mismatch at once: 132000 for a wrong count, 132012 for a wrong type or
    /// name, 132005 for a text that gets too long.
    pub fn fill(&self, message: &TemplateMessage) -> Result<String, ApiError> {
        let mut check = Check::default();
        let mut lines = Vec::new();
        let at = "/template/components";
        self.whole.fill(&message.components, at, &mut check, &mut lines);
        let carousel = message.components.iter().enumerate().find(|(_, component)| component.kind == "carousel");
        let (at, given) = match carousel {
            Some((position, component)) => (format!("{at}/{position}/cards"), component.cards.as_slice()),
            None => (at.to_owned(), [].as_slice()),
        };
        if self.cards.len() == given.len() {
            for (position, card) in self.cards.iter().enumerate() {
                // They come in the order of their positions, or say which they are.
                let found = given.iter().position(|given| given.card_index == Some(position)).unwrap_or(position);
                card.fill(&given[found].components, &format!("{at}/{found}/components"), &mut check, &mut lines);
            }
        } else {
            check.count(&at, "cards", self.cards.len(), given.len());
        }
        check.finish()?;
        Ok(lines.join("\n"))
    }
}

impl Parts {
    /// The parts, and the cards among the components.
    fn read(components: Vec<StoredComponent>) -> Result<(Self, Vec<StoredCard>), Malformed> {
        let mut parts = Self::default();
        let mut cards = Vec::new();
        for component in components {
            let text = component.text.unwrap_or_else(|| {
                implied_text(component.add_security_recommendation, component.code_expiration_minutes)
            });
            match component.kind.to_ascii_uppercase().as_str() {
                "HEADER" => {
                    let format = component.format.unwrap_or_else(|| "TEXT".to_owned()).to_ascii_lowercase();
                    parts.header =
                        Some(if format == "text" { Header::Text(Text::parse(&text)?) } else { Header::Media(format) });
                }
                "BODY" => parts.body = Text::parse(&text)?,
                "FOOTER" => parts.footer = Some(text).filter(|text| !text.is_empty()),
                "BUTTONS" => parts.buttons = component.buttons.into_iter().map(Button::read).collect(),
                "CAROUSEL" => cards = component.cards,
                _ => {}
            }
        }
        Ok((parts, cards))
    }

    /// Checks `components`, which stand at `at`, and adds what they read like.
    fn fill(&self, components: &[Component], at: &str, check: &mut Check, lines: &mut Vec<String>) {
        self.check_kinds(components, at, check);
        match &self.header {
            None => {}
            Some(Header::Text(text)) => {
                let (pointer, parameters) = find(components, at, "header");
                lines.extend(check.text(text, &pointer, parameters, HEADER_MAX_CHARS));
            }
            Some(Header::Media(format)) => {
                let (pointer, parameters) = find(components, at, "header");
                check.media(format, &pointer, parameters);
                lines.extend(parameters.first().and_then(Parameter::as_line));
            }
        }
        let (pointer, parameters) = find(components, at, "body");
        lines.extend(check.text(&self.body, &pointer, parameters, BODY_MAX_CHARS).filter(|text| !text.is_empty()));
        lines.extend(self.footer.clone());
        for (index, button) in self.buttons.iter().enumerate() {
            check.button(index, button, components, at);
            lines.push(format!("[{}]", button.text));
        }
    }

    /// Components that the template does not have, or that are given twice.
    fn check_kinds(&self, components: &[Component], at: &str, check: &mut Check) {
        let mut seen = Vec::new();
        for (position, component) in components.iter().enumerate() {
            let pointer = format!("{at}/{position}");
            let known = match component.kind.as_str() {
                "header" => self.header.is_some(),
                "body" => true,
                "button" => component.index.is_some_and(|index| index < self.buttons.len()),
                // What later versions of the Cloud API add is theirs to judge.
                _ => continue,
            };
            if !known && !component.parameters.is_empty() {
                check.add(
                    ErrorKind::TemplateParameterCount,
                    pointer.clone(),
                    format!("the template has no such {}", component.kind),
                    Some((0, component.parameters.len())),
                );
            }
            let key = (component.kind.as_str(), component.index);
            if seen.contains(&key) {
                check.add(
                    ErrorKind::ParameterInvalid,
                    pointer,
                    format!("repeats the {} component", component.kind),
                    None,
                );
            }
            seen.push(key);
        }
    }
}

impl Button {
    fn read(stored: StoredButton) -> Self {
        let kind = stored.kind.to_ascii_lowercase();
        let (required, allowed) = match kind.as_str() {
            "url" if stored.url.as_deref().is_some_and(|url| url.contains("{{")) => (1, 1),
            "copy_code" | "otp" => (1, 1),
            "quick_reply" | "flow" | "catalog" | "mpm" => (0, 1),
            _ => (0, 0),
        };
        Self { kind, text: stored.text, required, allowed }
    }
}

/// What the network puts where a component of an authentication template has no text. It has it in every language; this
/// is what a history and an SMS show.
fn implied_text(security: Option<bool>, minutes: Option<i64>) -> String {
    match (security, minutes) {
        (_, Some(minutes)) => format!("This code expires in {minutes} minutes."),
        (Some(true), None) => "{{1}} is your verification code. For your security, do not share this code.".to_owned(),
        (Some(false), None) => "{{1}} is your verification code.".to_owned(),
        (None, None) => String::new(),
    }
}

/// The error for a template that cannot be sent.
#[must_use]
pub fn missing(name: &str, language: &str, why: &str) -> ApiError {
    let message = format!("template name ({}) in {} {why}", excerpt(name), excerpt(language));
    let breach = Breach { pointer: "/template/name".to_owned(), message, limit: None, actual: None };
    ApiError::breaches(ErrorKind::TemplateMissing, vec![breach])
}

fn find<'m>(components: &'m [Component], at: &str, kind: &str) -> (String, &'m [Parameter]) {
    components.iter().enumerate().find(|(_, component)| component.kind == kind).map_or_else(
        || (at.to_owned(), [].as_slice()),
        |(position, component): (usize, &Component)| {
            (format!("{at}/{position}/parameters"), component.parameters.as_slice())
        },
    )
}

#[derive(Default)]
struct Check {
    breaches: Vec<(ErrorKind, Breach)>,
}

impl Check {
    fn add(&mut self, kind: ErrorKind, pointer: String, message: String, numbers: Option<(usize, usize)>) {
        let (limit, actual) = numbers.unzip();
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.breaches.push((kind, Breach { pointer, message, limit: limit.map(number), actual: actual.map(number) }));
    }

    fn count(&mut self, pointer: &str, what: &str, expected: usize, actual: usize) -> bool {
        if expected != actual {
            self.add(
                ErrorKind::TemplateParameterCount,
                pointer.to_owned(),
                format!("number of {what} ({actual}) does not match the expected number ({expected})"),
                Some((expected, actual)),
            );
        }
        expected == actual
    }

    fn text(&mut self, text: &Text, pointer: &str, parameters: &[Parameter], max_chars: usize) -> Option<String> {
        if !self.count(pointer, "parameters", text.names().len(), parameters.len()) {
            return None;
        }
        let mut values = Vec::with_capacity(parameters.len());
        for (position, name) in text.names().iter().enumerate() {
            let named = name.parse::<u32>().is_err();
            let parameter = if named {
                parameters.iter().find(|p| p.parameter_name.as_deref() == Some(name))
            } else {
                parameters.get(position)
            };
            let at = format!("{pointer}/{position}");
            let Some(parameter) = parameter else {
                self.add(
                    ErrorKind::TemplateParameterFormat,
                    at,
                    format!("no parameter has the parameter_name \"{name}\" that the template asks for"),
                    None,
                );
                continue;
            };
            match parameter.as_text() {
                Some(value) if value.trim().is_empty() => {
                    self.add(ErrorKind::ParameterInvalid, at, format!("the value of {{{{{name}}}}} is empty"), None);
                }
                Some(value) if is_unfit(value) => self.add(
                    ErrorKind::ParameterInvalid,
                    at,
                    format!(
                        "the value of {{{{{name}}}}} has a new line, a tab or more than four spaces in a row, \
                         which WhatsApp refuses"
                    ),
                    None,
                ),
                Some(value) => values.push(value),
                None => self.add(
                    ErrorKind::TemplateParameterFormat,
                    at,
                    format!("must be a text, currency or date_time, is \"{}\"", parameter.kind),
                    None,
                ),
            }
        }
        if values.len() != text.names().len() {
            return None;
        }
        let filled = text.fill(&values);
        let length = filled.chars().count();
        if length > max_chars {
            self.add(
                ErrorKind::TemplateTextTooLong,
                pointer.to_owned(),
                format!("the text has {length} characters with its parameters, {max_chars} are allowed"),
                Some((max_chars, length)),
            );
        }
        Some(filled)
    }

    fn media(&mut self, format: &str, pointer: &str, parameters: &[Parameter]) {
        if self.count(pointer, "parameters", 1, parameters.len()) && parameters[0].kind != format {
            self.add(
                ErrorKind::TemplateParameterFormat,
                format!("{pointer}/0"),
                format!("must be of type \"{format}\", is \"{}\"", parameters[0].kind),
                None,
            );
        }
    }

    fn button(&mut self, index: usize, button: &Button, components: &[Component], at: &str) {
        let found = components
            .iter()
            .enumerate()
            .find(|(_, component)| component.kind == "button" && component.index == Some(index));
        let Some((position, component)) = found else {
            if button.required > 0 {
                self.count(at, &format!("parameters of button {index}"), button.required, 0);
            }
            return;
        };
        let pointer = format!("{at}/{position}");
        let given = component.parameters.len();
        if given < button.required {
            self.count(&format!("{pointer}/parameters"), "parameters", button.required, given);
        } else if given > button.allowed {
            self.count(&format!("{pointer}/parameters"), "parameters", button.allowed, given);
        }
        // The Cloud API fills the button of an authentication template as a url.
        let asked = if button.kind == "otp" { "url" } else { button.kind.as_str() };
        if component.sub_type.as_deref().is_some_and(|sub_type| sub_type != asked) {
            self.add(
                ErrorKind::TemplateParameterFormat,
                format!("{pointer}/sub_type"),
                format!("must be \"{asked}\", as button {index} of the template is"),
                None,
            );
        }
    }

    /// The first kind in the order of this list names the error; all breaches go along.
    fn finish(self) -> Result<(), ApiError> {
        const ORDER: [ErrorKind; 4] = [
            ErrorKind::TemplateParameterCount,
            ErrorKind::TemplateParameterFormat,
            ErrorKind::TemplateTextTooLong,
            ErrorKind::ParameterInvalid,
        ];
        let worst = ORDER.into_iter().find(|kind| self.breaches.iter().any(|(found, _)| found == kind));
        match worst {
            None => Ok(()),
            Some(kind) => Err(ApiError::breaches(kind, self.breaches.into_iter().map(|(_, breach)| breach).collect())),
        }
    }
}

/// Whether WhatsApp would refuse `value` as the text of a parameter.
fn is_unfit(value: &str) -> bool {
    value.contains(['\n', '\r', '\t']) || value.contains("     ")
}

#[cfg(test)]
mod at_network;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod tests;
