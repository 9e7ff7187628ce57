//! The form in which a template is written, and the way from it to a draft and back.
//!
//! What the form has no fields for (carousels, offers, buttons that open forms) is kept and edited as JSON: opening a
//! template and saving it never loses a part of it.

use serde_json::{Map, Number, Value, json};
use waystation_core::templates::{Draft, Syntax, languages::LANGUAGES};

use crate::forms::{Choice, Field, Fields, Form};

/// Buttons that a template can have.
const BUTTONS_MAX: usize = 10;
/// Empty rows for buttons below those that are there.
const BUTTONS_SPARE: usize = 2;
/// Lines of samples that are read at most.
const SAMPLES_MAX: usize = 200;
/// Levels of a sample's path at most.
const PATH_MAX: usize = 8;
const AUTHENTICATION: &str = "AUTHENTICATION";

/// The kinds of buttons that the form knows: as the network has them, for people, and the member of their value.
const BUTTON_KINDS: [(&str, &str, Option<&str>); 4] = [
    ("QUICK_REPLY", "Quick reply", None),
    ("URL", "Link", Some("url")),
    ("PHONE_NUMBER", "Call", Some("phone_number")),
    ("COPY_CODE", "Copy a code", Some("example")),
];

/// The formats of headers.
const HEADERS: [(&str, &str); 5] =
    [("TEXT", "Text"), ("IMAGE", "Image"), ("VIDEO", "Video"), ("DOCUMENT", "Document"), ("LOCATION", "Location")];

/// Puts the fields of a template into `form`, filled with `draft`; what names it can be changed in a `new` one only.
pub(crate) fn fields(form: Form, draft: &Draft, new: bool) -> Form {
    let form = naming(form, draft, new);
    match Simple::of(draft) {
        Some(simple) => simple.fields(form),
        None => as_json(form, draft),
    }
}

fn naming(form: Form, draft: &Draft, new: bool) -> Form {
    let name = Field::text("name", "Name").hint("Lower case letters, digits and underscores.").value(&draft.name);
    let languages = LANGUAGES.iter().map(|code| Choice::new(*code, *code)).collect();
    let language = Field::select("language", "Language", languages).chosen([draft.language.as_str()]);
    let categories = vec![
        Choice::new("UTILITY", "Utility"),
        Choice::new("MARKETING", "Marketing"),
        Choice::new(AUTHENTICATION, "Authentication"),
    ];
    let category = Field::select("category", "Category", categories)
        .chosen([draft.category.as_str()])
        .hint("Utility follows up on something that the person did; authentication brings one-time passwords.");
    if new {
        form.field(name.focus()).field(language).field(category)
    } else {
        let language = Field::text("language", "Language").value(&draft.language).fixed().short();
        form.field(name.fixed()).field(language).field(category)
    }
}

fn as_json(form: Form, draft: &Draft) -> Form {
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let components = Field::area("components", "Components")
        .value(text(&Value::Array(draft.components.clone())))
        .hint("As JSON, in the Cloud API's form: this template has parts that the form has no fields for.");
    let syntax = if draft.syntax == Syntax::Handlebars { "handlebars" } else { "cloud" };
    form.field(components)
        .field(Field::hidden("syntax", syntax))
        .field(samples_field(draft.samples.as_ref()))
        .field(ttl_field(draft.message_send_ttl_seconds))
}

fn samples_field(samples: Option<&Value>) -> Field {
    Field::area("samples", "Sample values")
        .optional()
        .value(samples.map(lines_of).unwrap_or_default())
        .hint("One a line, as in: customer.first_name = Ana. Reviewers and the network see the template with them.")
}

fn ttl_field(seconds: Option<i64>) -> Field {
    Field::text("ttl", "Worth delivering for")
        .optional()
        .short()
        .mode("numeric")
        .value(seconds.map(|seconds| seconds.to_string()).unwrap_or_default())
        .hint("Seconds; left empty, what is usual for the category.")
}

/// What the form has fields for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Simple {
    header_format: String,
    header_text: String,
    body: String,
    footer: String,
    buttons: Vec<(String, String, String)>,
    samples: Option<Value>,
    ttl: Option<i64>,
    /// Of a one-time password: whether it is advised against sharing it, for how many minutes it is good, and the
    /// button's label.
    password: Option<(bool, String, String)>,
}

impl Simple {
    /// Of a draft, unless it has parts that there are no fields for.
    fn of(draft: &Draft) -> Option<Self> {
        let samples = draft.samples.clone();
        let mut simple = Self { samples, ttl: draft.message_send_ttl_seconds, ..Self::default() };
        if draft.category == AUTHENTICATION {
            simple.password = Some((true, String::new(), String::new()));
        }
        let mut examples = Map::new();
        for value in &draft.components {
            let component = value.as_object()?;
            let text = component.get("text").and_then(Value::as_str).unwrap_or_default();
            match component.get("type")?.as_str()?.to_ascii_uppercase().as_str() {
                "HEADER" if only(component, &["type", "format", "text", "example"]) => {
                    let format = component.get("format").and_then(Value::as_str).unwrap_or("TEXT");
                    simple.header_format = format.to_ascii_uppercase();
                    // A file that was uploaded as an example has no field.
                    if simple.header_format != "TEXT" && component.contains_key("example") {
                        return None;
                    }
                    text.clone_into(&mut simple.header_text);
                    take_examples(text, &value["example"]["header_text"], &mut examples)?;
                }
                "BODY" if only(component, &["type", "text", "example"]) && simple.password.is_none() => {
                    text.clone_into(&mut simple.body);
                    take_examples(text, &value["example"]["body_text"][0], &mut examples)?;
                }
                "BODY" if only(component, &["type", "add_security_recommendation"]) => {
                    simple.password.as_mut()?.0 = value["add_security_recommendation"] == true;
                }
                "FOOTER" if only(component, &["type", "text"]) && simple.password.is_none() => {
                    text.clone_into(&mut simple.footer);
                }
                "FOOTER" if only(component, &["type", "code_expiration_minutes"]) => {
                    simple.password.as_mut()?.1 = value["code_expiration_minutes"].to_string();
                }
                "BUTTONS" if only(component, &["type", "buttons"]) => {
                    for button in value["buttons"].as_array()? {
                        simple.take_button(button.as_object()?)?;
                    }
                }
                _ => return None,
            }
        }
        // Counted parameters: their examples become samples, which say the same.
        match (draft.syntax, examples.is_empty()) {
            (Syntax::Cloud, false) => simple.samples = Some(Value::Object(examples)),
            (Syntax::Handlebars, false) => return None,
            (_, true) => {}
        }
        Some(simple)
    }

    fn take_button(&mut self, button: &Map<String, Value>) -> Option<()> {
        let text = |member: &str| button.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = text("type").to_ascii_uppercase();
        if kind == "OTP" && text("otp_type") == "COPY_CODE" && only(button, &["type", "otp_type", "text"]) {
            self.password.as_mut()?.2 = text("text");
            return Some(());
        }
        let (_, _, member) = BUTTON_KINDS.iter().find(|(known, ..)| *known == kind)?;
        let member = member.unwrap_or("text");
        if !only(button, &["type", "text", member]) {
            return None;
        }
        let value = if member == "text" { String::new() } else { text(member) };
        self.buttons.push((kind, text("text"), value));
        Some(())
    }

    fn fields(&self, form: Form) -> Form {
        let formats = HEADERS.iter().map(|(format, label)| Choice::new(*format, *label)).collect();
        let password = self.password.clone().unwrap_or((true, String::new(), String::new()));
        let is_password = self.password.is_some();
        let mut form = form
            .field(Field::heading("Message"))
            .field(
                Field::select("header_format", "Header", formats)
                    .optional()
                    .none("None")
                    .chosen([self.header_format.as_str()]),
            )
            .field(Field::text("header_text", "Text of the header").optional().value(&self.header_text))
            .field(
                Field::area("body", "Body")
                    .value(&self.body)
                    .hint("Variables as {{customer.first_name}}. *bold*, _italic_, ~struck~, ```monospace```."),
            )
            .field(Field::text("footer", "Footer").optional().value(&self.footer))
            .field(samples_field(self.samples.as_ref()))
            .field(Field::heading("Buttons"));
        let rows = (self.buttons.len() + BUTTONS_SPARE).min(BUTTONS_MAX);
        let none = (String::new(), String::new(), String::new());
        for index in 0..rows {
            let (kind, text, value) = self.buttons.get(index).unwrap_or(&none);
            let kinds = BUTTON_KINDS.iter().map(|(kind, label, _)| Choice::new(*kind, *label)).collect();
            let nth = index + 1;
            let name = |member: &str| format!("button_{index}_{member}");
            let kinds = Field::select(name("kind"), format!("Button {nth}"), kinds).none("None");
            let label = Field::text(name("text"), format!("Label of button {nth}")).value(text);
            let target = Field::text(name("value"), "Address, number or code").value(value);
            for field in [kinds.chosen([kind.as_str()]), label, target] {
                form = form.field(field.optional().third());
            }
        }
        let advice = Field::tick("security", "Advise against sharing the code");
        let advice = if password.0 { advice.chosen(["1"]) } else { advice };
        form.field(Field::heading("Only for authentication"))
            .field(advice.hint(
                "The network writes the text of a one-time password; header, body, footer and buttons stay empty.",
            ))
            .field(
                Field::text("minutes", "Minutes that the code is good for")
                    .optional()
                    .short()
                    .mode("numeric")
                    .value(if is_password { password.1 } else { String::new() }),
            )
            .field(Field::text("copy_label", "Label of the button that copies the code").optional().value(password.2))
            .field(Field::heading("Delivery"))
            .field(ttl_field(self.ttl))
    }
}

/// Whether an object has no members but these.
fn only(object: &Map<String, Value>, members: &[&str]) -> bool {
    object.keys().all(|member| members.contains(&member.as_str()))
}

/// Notes the examples of the counted parameters in `text`. None where they are not what the form would make of them.
fn take_examples(text: &str, examples: &Value, into: &mut Map<String, Value>) -> Option<()> {
    for (index, example) in examples.as_array().into_iter().flatten().enumerate() {
        let name = (index + 1).to_string();
        let known = into.insert(name.clone(), example.clone());
        if !text.contains(&format!("{{{{{name}}}}}")) || known.is_some_and(|known| known != *example) {
            return None;
        }
    }
    Some(())
}

/// The draft that was filled in, or what cannot be read of it, by field. What is wrong with a draft, the lint says.
pub(crate) fn read(entered: &Fields) -> Result<Draft, Vec<(&'static str, String)>> {
    let mut wrong = Vec::new();
    let samples = samples_of(&entered.raw("samples").replace("\r\n", "\n")).unwrap_or_else(|line| {
        wrong.push(("samples", format!("Sample values: line {line} is not a name, an equals sign and a value.")));
        None
    });
    let ttl = match entered.text("ttl") {
        "" => None,
        text => text.parse().map(Some).unwrap_or_else(|_| {
            wrong.push(("ttl", "Worth delivering for must be a number of seconds.".to_owned()));
            None
        }),
    };
    let category = entered.text("category").to_ascii_uppercase();
    let mut draft = Draft {
        name: entered.text("name").to_owned(),
        language: entered.text("language").to_owned(),
        category,
        syntax: Syntax::Handlebars,
        samples,
        message_send_ttl_seconds: ttl,
        ..Draft::default()
    };
    let json = entered.raw("components");
    if !json.is_empty() {
        if entered.text("syntax") != "handlebars" {
            draft.syntax = Syntax::Cloud;
        }
        match serde_json::from_str(json) {
            Ok(components) => draft.components = components,
            Err(error) => wrong.push(("components", format!("Components cannot be read: {error}."))),
        }
    } else if draft.category == AUTHENTICATION {
        draft.syntax = Syntax::Cloud;
        draft.components = password_components(entered, &mut wrong);
    } else {
        draft.components = components(entered);
        if is_counted(&draft.components) {
            count(&mut draft);
        }
    }
    if wrong.is_empty() { Ok(draft) } else { Err(wrong) }
}

/// The components of a one-time password, whose text the network writes.
fn password_components(entered: &Fields, wrong: &mut Vec<(&'static str, String)>) -> Vec<Value> {
    let mut components = vec![json!({"type": "BODY", "add_security_recommendation": entered.ticked("security")})];
    match entered.text("minutes") {
        "" => {}
        text => match text.parse::<u32>() {
            Ok(minutes) => components.push(json!({"type": "FOOTER", "code_expiration_minutes": minutes})),
            Err(_) => wrong.push(("minutes", "Minutes that the code is good for must be a number.".to_owned())),
        },
    }
    let label = Some(entered.text("copy_label")).filter(|label| !label.is_empty()).unwrap_or("Copy code");
    components.push(json!({"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": label}]}));
    components
}

fn components(entered: &Fields) -> Vec<Value> {
    let mut components = Vec::new();
    match entered.text("header_format") {
        "" => {}
        "TEXT" => components.push(json!({"type": "HEADER", "format": "TEXT", "text": entered.text("header_text")})),
        format => components.push(json!({"type": "HEADER", "format": format})),
    }
    components.push(json!({"type": "BODY", "text": entered.text("body").replace("\r\n", "\n")}));
    if !entered.text("footer").is_empty() {
        components.push(json!({"type": "FOOTER", "text": entered.text("footer")}));
    }
    let mut buttons = Vec::new();
    for index in 0..BUTTONS_MAX {
        let of = |member: &str| entered.text(&format!("button_{index}_{member}")).to_owned();
        let (kind, text, value) = (of("kind"), of("text"), of("value"));
        let Some((kind, _, member)) = BUTTON_KINDS.iter().find(|(known, ..)| *known == kind) else { continue };
        let mut button = json!({"type": kind});
        // The network writes the label of a button that copies.
        if *kind != "COPY_CODE" || !text.is_empty() {
            button["text"] = text.into();
        }
        if let Some(member) = member {
            button[*member] = value.into();
        }
        buttons.push(button);
    }
    if !buttons.is_empty() {
        components.push(json!({"type": "BUTTONS", "buttons": buttons}));
    }
    components
}

/// Whether the variables are the network's own counted ones.
fn is_counted(components: &[Value]) -> bool {
    let mut names = components.iter().filter_map(|component| component["text"].as_str()).flat_map(variables).peekable();
    names.peek().is_some() && names.all(|name| name.trim().bytes().all(|byte| byte.is_ascii_digit()))
}

fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}").map(|(name, _)| name))
}

/// Makes a draft with counted variables one in the Cloud API's syntax: samples named by numbers become its examples.
fn count(draft: &mut Draft) {
    draft.syntax = Syntax::Cloud;
    let samples = draft.samples.take().unwrap_or_default();
    for component in &mut draft.components {
        let text = component["text"].as_str().unwrap_or_default();
        let value = |name: &str| samples.get(name.trim()).map(|value| json!(words(value)));
        let values: Option<Vec<Value>> = variables(text).map(value).collect();
        let Some(values) = values.filter(|values| !values.is_empty()) else { continue };
        match component["type"].as_str() {
            Some("HEADER") => component["example"] = json!({"header_text": values}),
            Some("BODY") => component["example"] = json!({"body_text": [values]}),
            _ => {}
        }
    }
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Samples out of their lines; the number of the first line that is none.
fn samples_of(text: &str) -> Result<Option<Value>, usize> {
    let mut samples = Map::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (path, value) = line.split_once('=').ok_or(index + 1)?;
        let steps: Vec<&str> = path.trim().split('.').collect();
        let known = steps.len() <= PATH_MAX && index < SAMPLES_MAX && steps.iter().all(|step| !step.is_empty());
        if !known || put(&mut samples, &steps, read_value(value.trim())).is_none() {
            return Err(index + 1);
        }
    }
    Ok(Some(Value::Object(samples)).filter(|samples| samples != &json!({})))
}

/// A number where it reads back as it was typed, so that a code with leading zeros stays one.
fn read_value(text: &str) -> Value {
    let number = serde_json::from_str::<Number>(text).ok().map(|number| (number.to_string(), number));
    number.filter(|(shown, _)| shown == text).map_or_else(|| text.into(), |(_, number)| number.into())
}

/// None where the path leads through a value.
fn put(into: &mut Map<String, Value>, steps: &[&str], value: Value) -> Option<()> {
    let (last, before) = steps.split_last()?;
    let mut place = into;
    for step in before {
        place = place.entry(*step).or_insert_with(|| json!({})).as_object_mut()?;
    }
    place.insert((*last).to_owned(), value);
    Some(())
}

/// The lines of samples.
fn lines_of(samples: &Value) -> String {
    fn add(path: &str, value: &Value, lines: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    add(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, lines);
                }
            }
            other => lines.push(format!("{path} = {}", words(other))),
        }
    }
    let mut lines = Vec::new();
    add("", samples, &mut lines);
    lines.join("\n")
}

/// The field that a finding of the lint is about.
pub(crate) fn field_of(pointer: &str, draft: &Draft) -> String {
    let mut parts = pointer.trim_start_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    if first != "components" || Simple::of(draft).is_none() {
        return match first {
            "message_send_ttl_seconds" => "ttl".to_owned(),
            // Which syntax it is in shows in what is written.
            "syntax" if Simple::of(draft).is_some() => "body".to_owned(),
            "syntax" => "components".to_owned(),
            other => other.to_owned(),
        };
    }
    let component = parts.next().and_then(|index| index.parse::<usize>().ok()).and_then(|at| draft.components.get(at));
    let kind = component.and_then(|component| component["type"].as_str()).unwrap_or("BODY");
    match (kind, parts.next(), parts.next()) {
        ("BUTTONS", Some("buttons"), Some(index)) => {
            let member = if parts.next() == Some("text") { "text" } else { "value" };
            format!("button_{index}_{member}")
        }
        ("BUTTONS", ..) => "button_0_kind".to_owned(),
        ("HEADER", ..) => "header_text".to_owned(),
        ("FOOTER", ..) => "footer".to_owned(),
        _ => "body".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(fields: &[(&str, &str)]) -> Fields {
        Fields::new(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_filled_in_becomes_a_draft_and_reads_back() {
        let draft = read(&entered(&[
            ("name", "order_shipped"),
            ("language", "en_US"),
            ("category", "utility"),
            ("header_format", "TEXT"),
            ("header_text", "Order {{order.id}}"),
            ("body", "Hi {{customer.name}},\r\nit ships."),
            ("footer", "Bakery"),
            ("samples", "customer.name = Ana\norder.id = 007\norder.count=3"),
            ("button_0_kind", "URL"),
            ("button_0_text", "Track"),
            ("button_0_value", "https://x.example"),
            ("button_1_kind", ""),
            ("button_2_kind", "QUICK_REPLY"),
            ("button_2_text", "Stop"),
            ("ttl", "3600"),
        ]))
        .unwrap();
        assert_eq!(draft.components[1]["text"], "Hi {{customer.name}},\nit ships.");
        assert_eq!(
            draft.samples,
            Some(json!({"customer": {"name": "Ana"}, "order": {"id": "007", "count": 3}})),
            "leading zeros stay"
        );
        assert_eq!((draft.syntax, draft.message_send_ttl_seconds), (Syntax::Handlebars, Some(3_600)));
        let simple = Simple::of(&draft).unwrap();
        assert_eq!(simple.buttons.len(), 2, "rows that are empty are no buttons");
        assert_eq!(lines_of(&draft.samples.clone().unwrap()).lines().count(), 3);
        assert_eq!(field_of("/components/3/buttons/1/text", &draft), "button_1_text");
        assert_eq!(field_of("/components/1/text", &draft), "body");
        assert_eq!(field_of("/name", &draft), "name");
    }

    #[test]
    fn counted_variables_are_the_networks_own_and_their_samples_become_examples() {
        let draft = read(&entered(&[("body", "Hi {{1}}, {{2}} ships."), ("samples", "1 = Ana\n2 = A-17")])).unwrap();
        assert_eq!((draft.syntax, draft.samples.clone()), (Syntax::Cloud, None));
        assert_eq!(draft.components[0]["example"], json!({"body_text": [["Ana", "A-17"]]}));
        let simple = Simple::of(&draft).unwrap();
        assert_eq!(simple.samples, Some(json!({"1": "Ana", "2": "A-17"})), "and back");
    }

    #[test]
    fn a_one_time_password_has_fields_of_its_own() {
        let draft = read(&entered(&[("category", "AUTHENTICATION"), ("security", "1"), ("minutes", "5")])).unwrap();
        assert_eq!(
            draft.components,
            [
                json!({"type": "BODY", "add_security_recommendation": true}),
                json!({"type": "FOOTER", "code_expiration_minutes": 5}),
                json!({"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}]}),
            ]
        );
        assert_eq!(Simple::of(&draft).unwrap().password, Some((true, "5".to_owned(), "Copy code".to_owned())));
    }

    #[test]
    fn what_there_are_no_fields_for_is_edited_as_json_and_lost_nowhere() {
        let components = json!([
            {"type": "BODY", "text": "Hi"},
            {"type": "CAROUSEL", "cards": [{"components": [{"type": "BODY", "text": "Card"}]}]},
        ]);
        let draft = Draft { components: components.as_array().unwrap().clone(), ..Draft::default() };
        assert!(Simple::of(&draft).is_none());
        let text = components.to_string();
        assert_eq!(read(&entered(&[("components", text.as_str())])).unwrap().components, draft.components);
        for odd in [
            json!({"type": "BODY", "text": "Hi", "more": 1}),
            json!({"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["x"]}}),
            json!({"type": "BUTTONS", "buttons": [{"type": "FLOW", "text": "Go"}]}),
            json!("BODY"),
        ] {
            assert!(Simple::of(&Draft { components: vec![odd.clone()], ..Draft::default() }).is_none(), "{odd}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_field() {
        for (name, value) in [
            ("samples", "no equals sign"),
            ("samples", "a..b = 1"),
            ("samples", "a = 1\na.b = 2"),
            ("ttl", "soon"),
            ("components", "[{"),
        ] {
            let wrong = read(&entered(&[(name, value)])).unwrap_err();
            assert_eq!(wrong[0].0, name, "{value}");
        }
    }
}
