//! The walk through a draft that finds what the rules say.

use serde_json::Value;

use super::{Finding, RuleId};
use crate::{
    messages::{Category, request::excerpt},
    templates::{
        Template, compile,
        content::{Content, Draft, ParameterFormat, Syntax},
        languages, limits,
        placeholders::Text,
    },
};

/// What `rule` found.
pub(in crate::templates) fn finding(
    rule: RuleId,
    pointer: impl Into<String>,
    message: impl Into<String>,
    numbers: Option<(usize, usize)>,
) -> Finding {
    let (limit, actual) = numbers.unzip();
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let rule = rule.rule();
    Finding {
        rule: rule.id,
        severity: rule.severity,
        pointer: pointer.into(),
        message: message.into(),
        limit: limit.map(number),
        actual: actual.map(number),
    }
}

pub(super) fn walk(draft: &Draft) -> (Option<Content>, Vec<Finding>) {
    let mut walk = Walk { named: draft.parameter_format == ParameterFormat::Named, findings: Vec::new() };
    let category = walk.identity(draft);
    let mut components: Vec<Value> = draft.components.iter().map(canonical).collect();
    let (mut source, mut variables) = (None, Vec::new());
    if draft.syntax == Syntax::Handlebars {
        let compiled = compile::compile(&components, draft);
        walk.findings.extend(compiled.faults.iter().map(compile::CompileFault::finding));
        source = Some(std::mem::replace(&mut components, compiled.components));
        variables = compiled.variables;
    }
    // What could not be compiled has nothing in its place yet.
    if walk.findings.iter().all(|finding| !compile::RULES.iter().any(|rule| rule.rule().id == finding.rule)) {
        walk.components(&components, "/components", category);
    }
    let content = category.map(|category| Content {
        category,
        parameter_format: draft.parameter_format,
        components,
        source,
        variables,
        samples: draft.samples.clone(),
        ttl_seconds: draft.message_send_ttl_seconds,
    });
    if walk.findings.is_empty()
        && let Some(content) = &content
        && let Err(reason) = Template::readable(&content.components)
    {
        walk.find(RuleId::MemberInvalid, "/components", format!("cannot be read: {reason}"));
    }
    (content, walk.findings)
}

/// `component` with the words that the Cloud API has in capitals in capitals.
fn canonical(component: &Value) -> Value {
    let mut component = component.clone();
    let Some(members) = component.as_object_mut() else { return component };
    for name in ["type", "format", "otp_type"] {
        if let Some(Value::String(word)) = members.get_mut(name) {
            word.make_ascii_uppercase();
        }
    }
    for name in ["buttons", "cards", "components"] {
        if let Some(Value::Array(parts)) = members.get_mut(name) {
            *parts = parts.iter().map(canonical).collect();
        }
    }
    component
}

/// The types that components have.
const COMPONENTS: [&str; 7] =
    ["HEADER", "BODY", "FOOTER", "BUTTONS", "CAROUSEL", "LIMITED_TIME_OFFER", "CALL_PERMISSION_REQUEST"];

pub(super) struct Walk {
    named: bool,
    findings: Vec<Finding>,
}

impl Walk {
    pub(super) fn find(&mut self, rule: RuleId, pointer: impl Into<String>, message: impl Into<String>) {
        self.findings.push(finding(rule, pointer, message, None));
    }

    pub(super) fn most(&mut self, rule: RuleId, pointer: &str, what: &str, (limit, actual): (usize, usize)) {
        if actual > limit {
            let message = format!("must have at most {limit} {what}, has {actual}");
            self.findings.push(finding(rule, pointer, message, Some((limit, actual))));
        }
    }

    fn identity(&mut self, draft: &Draft) -> Option<Category> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if draft.name.is_empty() || !draft.name.bytes().all(fits) {
            let message = "must consist of lower case letters, digits and underscores";
            self.find(RuleId::NameCharacters, "/name", message);
        }
        let chars = draft.name.chars().count();
        self.most(RuleId::NameTooLong, "/name", "characters", (limits::NAME_MAX_CHARS, chars));
        if !languages::is_known(&draft.language) {
            self.find(RuleId::LanguageUnknown, "/language", languages::unknown(&draft.language));
        } else if languages::UNCERTAIN.contains(&draft.language.as_str()) {
            self.find(RuleId::LanguageUncertain, "/language", "is not known to every source of the Cloud API");
        }
        let category = Category::parse(&draft.category).filter(|category| *category != Category::Service);
        let Some(category) = category else {
            let message = format!("\"{}\" is not one of AUTHENTICATION, MARKETING, UTILITY", excerpt(&draft.category));
            self.find(RuleId::CategoryUnknown, "/category", message);
            return None;
        };
        let (least, most) = match category {
            Category::Authentication => limits::TTL_AUTHENTICATION_SECONDS,
            Category::Marketing => limits::TTL_MARKETING_SECONDS,
            Category::Utility | Category::Service => limits::TTL_UTILITY_SECONDS,
        };
        let ttl = draft.message_send_ttl_seconds.filter(|ttl| *ttl != limits::TTL_THIRTY_DAYS);
        if let Some(ttl) = ttl.filter(|ttl| !(least..=most).contains(ttl)) {
            let message = format!("must be from {least} to {most} seconds for this category, is {ttl}");
            self.find(RuleId::TtlRange, "/message_send_ttl_seconds", message);
        }
        Some(category)
    }

    /// The components of the template.
    fn components(&mut self, components: &[Value], at: &str, category: Option<Category>) {
        if components.is_empty() || components.len() > limits::COMPONENTS_MAX {
            let message = format!("must have 1 to {} entries, has {}", limits::COMPONENTS_MAX, components.len());
            self.find(RuleId::ComponentsCount, at, message);
        }
        let mut seen: Vec<&str> = Vec::new();
        for (position, component) in components.iter().take(limits::COMPONENTS_MAX).enumerate() {
            let pointer = format!("{at}/{position}");
            let Some(kind) = component["type"].as_str().filter(|kind| COMPONENTS.contains(kind)) else {
                let message = format!("must be one of {}", COMPONENTS.join(", "));
                self.find(RuleId::ComponentUnknown, format!("{pointer}/type"), message);
                continue;
            };
            if seen.contains(&kind) {
                self.find(RuleId::ComponentRepeated, &pointer, format!("repeats the {kind} component"));
            }
            seen.push(kind);
            match kind {
                "HEADER" => self.header(component, &pointer),
                "BODY" => self.body(component, &pointer, category),
                "FOOTER" => self.footer(component, &pointer),
                "BUTTONS" => self.buttons(component, &pointer, category),
                "CAROUSEL" => self.carousel(component, &pointer),
                "LIMITED_TIME_OFFER" => self.offer(component, &pointer, components),
                _ => {}
            }
        }
        if !seen.contains(&"BODY") {
            self.find(RuleId::BodyRequired, at, "must have a component of type BODY");
        }
    }

    /// The member `text` of a component.
    fn text<'c>(&mut self, component: &'c Value, pointer: &str) -> Option<&'c str> {
        let text = component["text"].as_str();
        if text.is_none() && !component["text"].is_null() {
            self.find(RuleId::MemberInvalid, format!("{pointer}/text"), "must be a string");
        }
        text
    }

    fn header(&mut self, component: &Value, pointer: &str) {
        self.header_format(component, pointer);
        let is_text = component["format"].as_str().is_none_or(|format| format == "TEXT");
        let (true, Some(text)) = (is_text, self.text(component, pointer)) else { return };
        let at = format!("{pointer}/text");
        self.most(RuleId::HeaderTooLong, &at, "characters", (limits::HEADER_MAX_CHARS, text.chars().count()));
        let Some(text) = self.parse(text, &at) else { return };
        self.most(RuleId::HeaderVariables, &at, "variables", (1, text.names().len()));
        self.examples(&text, component, pointer, "header_text");
    }

    fn body(&mut self, component: &Value, pointer: &str, category: Option<Category>) {
        let Some(text) = self.text(component, pointer) else {
            if category != Some(Category::Authentication) {
                self.find(RuleId::BodyRequired, format!("{pointer}/text"), "is required");
            }
            return;
        };
        let at = format!("{pointer}/text");
        if text.trim().is_empty() {
            self.find(RuleId::BodyRequired, &at, "must not be empty");
        }
        self.spaces(text, &at);
        self.most(RuleId::BodyTooLong, &at, "characters", (limits::BODY_MAX_CHARS, text.chars().count()));
        let Some(parsed) = self.parse(text, &at) else { return };
        if category == Some(Category::Authentication) {
            return;
        }
        let gaps = parsed.gaps();
        if gaps.len() > 1 {
            if gaps.first().is_some_and(|gap| gap.trim().is_empty()) {
                self.find(RuleId::VariableFirst, &at, "must not begin with a variable");
            }
            if gaps.last().is_some_and(|gap| gap.trim().is_empty()) {
                self.find(RuleId::VariableLast, &at, "must not end with a variable");
            }
            if gaps[1..gaps.len() - 1].iter().any(|gap| gap.trim().is_empty()) {
                self.find(RuleId::VariablesAdjacent, &at, "has two variables with nothing between them");
            }
            let words = gaps.iter().flat_map(|gap| gap.split_whitespace());
            let words = words.filter(|word| word.contains(char::is_alphanumeric)).count();
            if words < gaps.len() - 1 {
                let message = format!("has {words} words for {} variables", gaps.len() - 1);
                self.find(RuleId::VariableRatio, &at, message);
            }
        }
        self.examples(&parsed, component, pointer, "body_text");
    }

    fn footer(&mut self, component: &Value, pointer: &str) {
        self.expiration(component, pointer);
        let Some(text) = self.text(component, pointer) else { return };
        let at = format!("{pointer}/text");
        self.most(RuleId::FooterTooLong, &at, "characters", (limits::FOOTER_MAX_CHARS, text.chars().count()));
        if text.contains("{{") {
            self.find(RuleId::FooterVariables, at, "must not have variables");
        }
    }

    fn buttons(&mut self, component: &Value, pointer: &str, category: Option<Category>) {
        let at = format!("{pointer}/buttons");
        let Some(buttons) = component["buttons"].as_array() else {
            self.find(RuleId::MemberInvalid, at, "must be an array");
            return;
        };
        self.most(RuleId::ButtonsTooMany, &at, "buttons", (limits::BUTTONS_MAX, buttons.len()));
        let of = |kind: &str| buttons.iter().filter(|button| button["type"] == kind).count();
        self.most(RuleId::UrlButtonsTooMany, &at, "buttons of type URL", (limits::URL_BUTTONS_MAX, of("URL")));
        for (position, button) in buttons.iter().enumerate().take(limits::BUTTONS_MAX) {
            let chars = button["text"].as_str().map_or(0, |text| text.chars().count());
            let at = format!("{at}/{position}/text");
            self.most(RuleId::ButtonTextTooLong, &at, "characters", (limits::BUTTON_TEXT_MAX_CHARS, chars));
        }
        self.each_button(buttons, &at);
        let changes =
            buttons.windows(2).filter(|pair| (pair[0]["type"] == "QUICK_REPLY") != (pair[1]["type"] == "QUICK_REPLY"));
        if changes.count() > 1 {
            self.find(RuleId::QuickRepliesApart, &at, "must have its quick replies together");
        }
        let authentication = category == Some(Category::Authentication);
        if category.is_some() && (of("OTP") > 0) != authentication || authentication && buttons.len() != 1 {
            let message = "must have one button of type OTP in an authentication template, and none elsewhere";
            self.find(RuleId::OtpCategory, at, message);
        }
    }

    fn parse(&mut self, text: &str, at: &str) -> Option<Text> {
        let parsed = match Text::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.find(RuleId::PlaceholderMalformed, at, error.to_string());
                return None;
            }
        };
        let numbers: Vec<Option<u32>> = parsed.names().iter().map(|name| name.parse().ok()).collect();
        if numbers.iter().any(|number| number.is_none() != self.named) {
            let wanted = if self.named { "names" } else { "numbers" };
            self.find(
                RuleId::VariablesMixed,
                at,
                format!("must have {wanted} in its variables, as parameter_format says"),
            );
        } else if !self.named && !numbers.iter().zip(1..).all(|(number, wanted)| *number == Some(wanted)) {
            self.find(RuleId::VariablesSequence, at, "must number its variables from 1 without a gap");
        }
        Some(parsed)
    }

    /// Whether there is an example for every variable, in whichever of the forms that clients send.
    fn examples(&mut self, text: &Text, component: &Value, pointer: &str, member: &str) {
        let wanted = text.names().len();
        let example = &component["example"];
        let given = if self.named {
            example[format!("{member}_named_params")].as_array().map_or(0, Vec::len)
        } else {
            match &example[member] {
                Value::Array(list) => list.first().and_then(Value::as_array).unwrap_or(list).len(),
                Value::String(_) => 1,
                _ => 0,
            }
        };
        if given < wanted {
            let message = format!("must have an example for each of the {wanted} variables, has {given}");
            self.find(RuleId::ExampleMissing, format!("{pointer}/example"), message);
        }
    }
}
