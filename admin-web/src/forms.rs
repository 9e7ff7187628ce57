//! Forms, alike on every page: a field is described once, keeps what was entered when
//! something is wrong with it, and the summary of errors on top links to it.
//!
//! What is secret (a password, a code) is never sent back.

use actix_web::http::StatusCode;
use serde::Serialize;
use waystation_core::error::{ApiError, Breach, ErrorKind};

use crate::{failure::Failure, session::SignedIn};

/// What a person filled in.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn new(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// Takes in a field.
    pub(crate) fn add(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// The same with this value of a field, whatever was sent.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|(of, _)| of != name);
        self.add(name.to_owned(), value.to_owned());
        self
    }

    /// The value of a field as it was entered; empty when it was not sent.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }

    /// The value of a field without the space around it.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Whether a box was ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        !self.raw(name).is_empty()
    }

    /// Every value of a field that may have several.
    pub(crate) fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

/// One of several things to choose from.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Choice {
    id: String,
    value: String,
    label: String,
    detail: String,
    chosen: bool,
}

impl Choice {
    pub(crate) fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        let value = value.into();
        Self { id: String::new(), value, label: label.into(), detail: String::new(), chosen: false }
    }

    /// With a sentence about what it means.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// A field of a form.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Field {
    name: String,
    /// Unique on the page; the name where nothing else is said.
    id: String,
    /// Which of the templates' kinds: `input`, `area`, `select`, `cards`, `ticks`, `tick`,
    /// `file`, `hidden`, `heading`.
    kind: &'static str,
    /// The `type` of an `input`.
    input: &'static str,
    label: String,
    hint: String,
    value: String,
    error: Option<String>,
    required: bool,
    autocomplete: &'static str,
    mode: &'static str,
    accept: &'static str,
    short: bool,
    third: bool,
    focus: bool,
    fixed: bool,
    none: &'static str,
    choices: Vec<Choice>,
}

impl Field {
    fn new(kind: &'static str, name: impl Into<String>, label: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id: name.clone(),
            name,
            kind,
            input: "text",
            label: label.into(),
            hint: String::new(),
            value: String::new(),
            error: None,
            required: true,
            autocomplete: "off",
            mode: "",
            accept: "",
            short: false,
            third: false,
            focus: false,
            fixed: false,
            none: "Choose…",
            choices: Vec::new(),
        }
    }

    /// A line of text.
    pub(crate) fn text(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self::new("input", name, label)
    }

    /// An e-mail address.
    pub(crate) fn email(name: &'static str, label: &'static str) -> Self {
        Self { input: "email", autocomplete: "username", ..Self::new("input", name, label) }
    }

    /// A password; never sent back.
    pub(crate) fn password(name: &'static str, label: &'static str, autocomplete: &'static str) -> Self {
        Self { input: "password", autocomplete, ..Self::new("input", name, label) }
    }

    /// A one-time code; never sent back.
    pub(crate) fn code(name: &'static str, label: &'static str) -> Self {
        Self { autocomplete: "one-time-code", short: true, ..Self::new("input", name, label) }
    }

    /// Several lines of text.
    pub(crate) fn area(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self::new("area", name, label)
    }

    /// One of many, folded up.
    pub(crate) fn select(name: impl Into<String>, label: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self { choices, ..Self::new("select", name, label) }
    }

    /// One of a few, each with a sentence.
    pub(crate) fn cards(name: impl Into<String>, label: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self { choices, ..Self::new("cards", name, label) }
    }

    /// Any of a few.
    pub(crate) fn ticks(name: impl Into<String>, label: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self { choices, required: false, ..Self::new("ticks", name, label) }
    }

    /// One box.
    pub(crate) fn tick(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self { required: false, ..Self::new("tick", name, label) }
    }

    /// A file.
    pub(crate) fn file(name: &'static str, label: &'static str, accept: &'static str) -> Self {
        Self { accept, ..Self::new("file", name, label) }
    }

    /// Something that goes along unseen.
    pub(crate) fn hidden(name: &'static str, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..Self::new("hidden", name, "") }
    }

    /// A heading above the fields that follow.
    pub(crate) fn heading(text: impl Into<String>) -> Self {
        Self::new("heading", "", text)
    }

    /// With an id of its own, where the page has another field of this name.
    pub(crate) fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    /// Ticked or chosen at first.
    pub(crate) fn chosen<'v>(mut self, values: impl IntoIterator<Item = &'v str>) -> Self {
        for value in values {
            for choice in &mut self.choices {
                choice.chosen |= choice.value == value;
            }
            if self.kind == "tick" {
                self.value = value.to_owned();
            }
        }
        self
    }

    /// At least one of its boxes has to be ticked.
    pub(crate) fn needed(mut self) -> Self {
        self.required = true;
        self
    }

    /// What choosing nothing is called.
    pub(crate) fn none(mut self, label: &'static str) -> Self {
        self.none = label;
        self
    }

    pub(crate) fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// With the keyboard of a phone for such input: `numeric`, `tel`, `url`.
    pub(crate) fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn autocomplete(mut self, what: &'static str) -> Self {
        self.autocomplete = what;
        self
    }

    /// Only as wide as what goes in.
    pub(crate) fn short(mut self) -> Self {
        self.short = true;
        self
    }

    /// One of three that stand beside each other where there is room.
    pub(crate) fn third(mut self) -> Self {
        self.third = true;
        self
    }

    /// To be seen, not changed.
    pub(crate) fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// Where the person begins.
    pub(crate) fn focus(mut self) -> Self {
        self.focus = true;
        self
    }

    /// Takes over what was entered.
    fn keep(&mut self, entered: &Fields) {
        match self.kind {
            "input" if self.input == "password" || self.autocomplete == "one-time-code" => {}
            "input" | "area" if self.fixed => {}
            "input" | "area" => self.value = entered.raw(&self.name).to_owned(),
            "tick" => self.value = entered.raw(&self.name).to_owned(),
            "select" | "cards" | "ticks" => {
                for choice in &mut self.choices {
                    choice.chosen = entered.all(&self.name).any(|value| value == choice.value);
                }
            }
            _ => {}
        }
    }

    /// What the summary of errors links to: the field, or the first of its boxes.
    fn target(&self) -> String {
        match self.choices.first() {
            Some(first) if self.kind != "select" => first.id.clone(),
            _ => self.id.clone(),
        }
    }
}

/// A line of the summary of errors.
#[derive(Debug, Clone, Serialize)]
struct Problem {
    target: Option<String>,
    text: String,
}

/// A form.
#[derive(Debug, Serialize)]
pub(crate) struct Form {
    id: String,
    action: String,
    method: &'static str,
    multipart: bool,
    csrf: Option<String>,
    problems: Vec<Problem>,
    fields: Vec<Field>,
    submit: String,
    tone: &'static str,
    wide: bool,
    second: Option<Second>,
    /// Where it is sent to be looked at only.
    preview: Option<String>,
    /// The key that presses its button, together with those that the browser asks for.
    access_key: &'static str,
}

/// A second way to send a form.
#[derive(Debug, Serialize)]
struct Second {
    label: String,
    name: &'static str,
    value: &'static str,
}

impl Form {
    /// A form of nobody's session.
    pub(crate) fn public(id: impl Into<String>, action: impl Into<String>, submit: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            action: action.into(),
            method: "post",
            multipart: false,
            csrf: None,
            problems: Vec::new(),
            fields: Vec::new(),
            submit: submit.into(),
            tone: "primary",
            wide: false,
            second: None,
            preview: None,
            access_key: "",
        }
    }

    /// A form that only the session it is made for can send.
    pub(crate) fn new(
        id: impl Into<String>,
        action: impl Into<String>,
        submit: impl Into<String>,
        signed_in: &SignedIn,
    ) -> Self {
        Self::public(id, action, submit).with_csrf(signed_in.csrf())
    }

    pub(crate) fn with_csrf(mut self, csrf: String) -> Self {
        self.csrf = Some(csrf);
        self
    }

    pub(crate) fn field(mut self, mut field: Field) -> Self {
        for choice in &mut field.choices {
            choice.id = format!("{}-{}", field.id, choice.value.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        }
        self.fields.push(field);
        self
    }

    /// The fields go into the address, and nothing is changed by sending it.
    pub(crate) fn get(mut self) -> Self {
        self.method = "get";
        self
    }

    /// What it does cannot be taken back.
    pub(crate) fn danger(mut self) -> Self {
        self.tone = "danger";
        self
    }

    /// It is one of several on the page.
    pub(crate) fn quiet(mut self) -> Self {
        self.tone = "";
        self
    }

    /// It carries a file.
    pub(crate) fn multipart(mut self) -> Self {
        self.multipart = true;
        self
    }

    /// Its button is as wide as it is.
    pub(crate) fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether something is wrong.
    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// A second button, which sends `name=value` along.
    pub(crate) fn second(mut self, label: impl Into<String>, name: &'static str, value: &'static str) -> Self {
        self.second = Some(Second { label: label.into(), name, value });
        self
    }

    /// With a button that sends it to `path`, which shows what would come of it and changes nothing.
    pub(crate) fn preview(mut self, path: String) -> Self {
        self.preview = Some(path);
        self
    }

    /// Its button can be pressed by this key as well.
    pub(crate) fn access_key(mut self, key: &'static str) -> Self {
        self.access_key = key;
        self
    }

    /// Takes over what was entered.
    pub(crate) fn keep(mut self, entered: &Fields) -> Self {
        for field in &mut self.fields {
            field.keep(entered);
        }
        self
    }

    /// With this chosen at first.
    pub(crate) fn choose(mut self, name: &str, value: &str) -> Self {
        for field in self.fields.iter_mut().filter(|field| field.name == name) {
            for choice in &mut field.choices {
                choice.chosen = choice.value == value;
            }
        }
        self
    }

    /// Something is wrong with a field; `text` is a sentence that names it.
    pub(crate) fn error(mut self, name: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        let field = self.fields.iter_mut().find(|field| field.name == name);
        let target = field.map(|field| {
            field.error = Some(text.clone());
            field.target()
        });
        self.problems.push(Problem { target, text });
        self
    }

    /// Something is wrong with the whole.
    pub(crate) fn problem(mut self, text: impl Into<String>) -> Self {
        self.problems.push(Problem { target: None, text: text.into() });
        self
    }

    /// The form with why the core refused what it asked for, and the status of the answer.
    ///
    /// # Errors
    /// What is not about what was filled in.
    pub(crate) fn refused(mut self, error: ApiError) -> Result<(StatusCode, Self), Failure> {
        let about_the_form = !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Internal | ErrorKind::Unavailable);
        if !about_the_form {
            return Err(error.into());
        }
        if error.breaches.is_empty() {
            let status = StatusCode::from_u16(error.kind.row().status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            return Ok((status, self.problem(error.details)));
        }
        for breach in &error.breaches {
            self = self.breach(breach);
        }
        Ok((StatusCode::UNPROCESSABLE_ENTITY, self))
    }

    /// The form with something that is wrong with one of its fields.
    pub(crate) fn breach(self, breach: &Breach) -> Self {
        let name = name_of(&breach.pointer);
        let label = self.fields.iter().find(|field| field.name == name).map(|field| field.label.as_str());
        let label = label.unwrap_or_else(|| breach.pointer.trim_matches(['/', '?']));
        let text = format!("{label} {}.", breach.message);
        self.error(&name, text)
    }

    /// What is wrong with each field, without a summary: for what was kept half filled in.
    pub(crate) fn remark(mut self, name: &str, message: &str) -> Self {
        if let Some(field) = self.fields.iter_mut().find(|field| field.name == name) {
            field.error = Some(format!("{} {message}.", field.label));
        }
        self
    }
}

/// The name of the field that a JSON pointer of the core is about: `/contact/name` is
/// `contact_name`, and so is every entry of a list in it.
pub(crate) fn name_of(pointer: &str) -> String {
    let parts = pointer.trim_matches(['/', '?']).split('/');
    let parts: Vec<&str> = parts.filter(|part| part.parse::<usize>().is_err()).collect();
    parts.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(fields: &[(&str, &str)]) -> Fields {
        Fields::new(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_was_entered_is_kept_and_what_is_secret_is_not() {
        let form = Form::public("f", "/admin/x", "Send")
            .field(Field::text("name", "Name"))
            .field(Field::password("password", "Password", "new-password"))
            .field(Field::code("code", "Code"))
            .field(Field::ticks("scope", "Scopes", vec![Choice::new("a:b", "A"), Choice::new("c", "C")]))
            .keep(&entered(&[("name", "Ada"), ("password", "x"), ("code", "1"), ("scope", "a:b")]));
        let values: Vec<&str> = form.fields.iter().map(|field| field.value.as_str()).collect();
        assert_eq!(values, ["Ada", "", "", ""]);
        let chosen: Vec<bool> = form.fields[3].choices.iter().map(|choice| choice.chosen).collect();
        assert_eq!(chosen, [true, false]);
        assert_eq!(form.fields[3].choices[0].id, "scope-a-b");
    }

    #[test]
    fn an_error_stands_at_its_field_and_in_the_summary() {
        let form = Form::public("f", "/admin/x", "Send")
            .field(Field::text("name", "Name"))
            .field(Field::cards("role", "Role", vec![Choice::new("a", "A")]))
            .error("name", "Enter a name.")
            .error("role", "Choose a role.")
            .problem("Nothing was saved.");
        let targets: Vec<Option<&str>> = form.problems.iter().map(|problem| problem.target.as_deref()).collect();
        assert_eq!(targets, [Some("name"), Some("role-a"), None]);
        assert_eq!(form.fields[0].error.as_deref(), Some("Enter a name."));
    }

    #[test]
    fn what_the_core_refuses_stands_at_its_field() {
        assert_eq!(name_of("/contact/name"), "contact_name");
        assert_eq!(name_of("/addresses/3"), "addresses");
        assert_eq!(name_of("?cursor"), "cursor");
        let form = || Form::public("f", "/admin/x", "Send").field(Field::text("name", "Name"));
        let breach =
            Breach { pointer: "/name".to_owned(), message: "is required".to_owned(), limit: None, actual: None };
        let (status, refused) = form().refused(ApiError::breaches(ErrorKind::ParameterMissing, vec![breach])).unwrap();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.fields[0].error.as_deref(), Some("Name is required."));
        let (status, refused) = form().refused(ApiError::new(ErrorKind::Conflict, "Too late.")).unwrap();
        assert_eq!((status, refused.problems[0].text.as_str()), (StatusCode::CONFLICT, "Too late."));
        assert!(form().refused(ApiError::new(ErrorKind::NotFound, "x")).is_err());
    }
}
