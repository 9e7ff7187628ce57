//! From a template in Handlebars to what the network takes.
//!
//! Guarantee: what compiles has the shape that was written, with a counted or named variable in the place of each
//! expression, in order, and the examples that its samples make. The network approves nothing but that text, and what
//! messages fill in later is evaluated from the same expressions.

use serde_json::{Map, Value, json};

use super::{
    content::{Draft, ParameterFormat},
    handlebars::{DataError, Fault, Piece, Scope, SyntaxError, Variable, parse},
    lint::{Finding, RuleId, finding},
};

/// The rules that compiling itself finds broken.
pub(super) const RULES: [RuleId; 6] = [
    RuleId::ExpressionMalformed,
    RuleId::ExpressionUnsupported,
    RuleId::HelperUnknown,
    RuleId::HelperArguments,
    RuleId::ExpressionPlace,
    RuleId::SampleMissing,
];

/// What a template became.
pub(super) struct Compiled {
    /// In the form that the network takes.
    pub(super) components: Vec<Value>,
    /// What each parameter is made of.
    pub(super) variables: Vec<Variable>,
    /// What is wrong; then the components are not to be used.
    pub(super) faults: Vec<CompileFault>,
}

/// Something that does not compile.
pub(super) struct CompileFault {
    rule: RuleId,
    pointer: String,
    message: String,
}

impl CompileFault {
    pub(super) fn finding(&self) -> Finding {
        finding(self.rule, self.pointer.as_str(), self.message.as_str(), None)
    }

    fn syntax(pointer: &str, error: &SyntaxError) -> Self {
        let rule = match error.fault {
            Fault::Malformed => RuleId::ExpressionMalformed,
            Fault::Unsupported => RuleId::ExpressionUnsupported,
            Fault::HelperUnknown => RuleId::HelperUnknown,
            Fault::Arguments => RuleId::HelperArguments,
        };
        Self { rule, pointer: pointer.to_owned(), message: error.to_string() }
    }

    fn sample(error: &DataError) -> Self {
        let pointer = format!("/samples{}", error.pointer);
        Self { rule: RuleId::SampleMissing, pointer, message: error.message.clone() }
    }
}

/// Compiles components, whose types are in capitals.
pub(super) fn compile(components: &[Value], draft: &Draft) -> Compiled {
    let none = Value::Object(Map::new());
    let mut compiler = Compiler {
        named: draft.parameter_format == ParameterFormat::Named,
        scope: Scope::new(draft.samples.as_ref().unwrap_or(&none), &draft.language),
        variables: Vec::new(),
        faults: Vec::new(),
    };
    let components = compiler.components(components, "/components");
    Compiled { components, variables: compiler.variables, faults: compiler.faults }
}

struct Compiler<'d> {
    named: bool,
    scope: Scope<'d>,
    variables: Vec<Variable>,
    faults: Vec<CompileFault>,
}

/// A text with variables, and a name and an example for each.
struct Counted {
    text: String,
    examples: Vec<(String, String)>,
}

impl Compiler<'_> {
    fn components(&mut self, components: &[Value], at: &str) -> Vec<Value> {
        let mut compiled = components.to_vec();
        for (position, component) in compiled.iter_mut().enumerate() {
            let pointer = format!("{at}/{position}");
            match component["type"].as_str() {
                Some("HEADER") => self.text(component, &pointer, "header_text"),
                Some("BODY") => self.text(component, &pointer, "body_text"),
                Some("BUTTONS") => {
                    for (index, button) in list(component, "buttons").enumerate() {
                        self.button(button, &format!("{pointer}/buttons/{index}"));
                    }
                }
                Some("CAROUSEL") => {
                    for (index, card) in list(component, "cards").enumerate() {
                        if let Some(Value::Array(inside)) = card.get_mut("components") {
                            *inside = self.components(inside, &format!("{pointer}/cards/{index}/components"));
                        }
                    }
                }
                _ => self.refuse(component, &pointer, "text"),
            }
        }
        compiled
    }

    fn text(&mut self, component: &mut Value, pointer: &str, member: &str) {
        let Some(text) = component["text"].as_str().map(ToOwned::to_owned) else { return };
        let Some(counted) = self.counted(&text, &format!("{pointer}/text"), self.named) else { return };
        component["text"] = counted.text.into();
        if counted.examples.is_empty() {
            return;
        }
        let values = counted.examples.iter().map(|(_, example)| example.as_str());
        component["example"] = if self.named {
            let named: Vec<Value> = counted
                .examples
                .iter()
                .map(|(name, example)| json!({"param_name": name, "example": example}))
                .collect();
            json!({format!("{member}_named_params"): named})
        } else if member == "body_text" {
            json!({member: [values.collect::<Vec<_>>()]})
        } else {
            json!({member: values.collect::<Vec<_>>()})
        };
    }

    fn button(&mut self, button: &mut Value, pointer: &str) {
        self.refuse(button, pointer, "text");
        let member = match button["type"].as_str() {
            Some("URL") => "url",
            Some("COPY_CODE") => "example",
            _ => return,
        };
        let Some(text) = button[member].as_str().map(ToOwned::to_owned) else { return };
        let at = format!("{pointer}/{member}");
        // A button counts its variable also where texts have names.
        let Some(counted) = self.counted(&text, &at, false) else { return };
        let [(_, example)] = counted.examples.as_slice() else {
            if counted.examples.len() > 1 {
                self.place(&at, "must have at most one expression");
            }
            return;
        };
        if member == "url" {
            if !counted.text.ends_with("{{1}}") || counted.text == "{{1}}" {
                self.place(&at, "must have its expression at the end, after an address of its own");
            }
            button["example"] = json!([example]);
            button["url"] = counted.text.into();
        } else {
            if counted.text != "{{1}}" {
                self.place(&at, "must be one expression, or a code");
            }
            button["example"] = example.as_str().into();
        }
    }

    fn place(&mut self, pointer: &str, message: &str) {
        let (rule, message) = (RuleId::ExpressionPlace, message.to_owned());
        self.faults.push(CompileFault { rule, pointer: pointer.to_owned(), message });
    }

    /// What must be the same in every message.
    fn refuse(&mut self, object: &Value, pointer: &str, member: &str) {
        if object[member].as_str().is_some_and(|text| text.contains("{{")) {
            self.place(&format!("{pointer}/{member}"), "must be the same in every message, so it has no expressions");
        }
    }

    fn counted(&mut self, source: &str, pointer: &str, named: bool) -> Option<Counted> {
        let pieces = match parse(source) {
            Ok(pieces) => pieces,
            Err(error) => {
                self.faults.push(CompileFault::syntax(pointer, &error));
                return None;
            }
        };
        let mut counted = Counted { text: String::with_capacity(source.len()), examples: Vec::new() };
        for piece in pieces {
            let expression = match piece {
                Piece::Text(text) => {
                    counted.text.push_str(&text);
                    continue;
                }
                Piece::Expression(expression) => expression,
            };
            let parameter = if named {
                distinct(&expression.name(), &counted.examples)
            } else {
                (counted.examples.len() + 1).to_string()
            };
            counted.text.push_str(&format!("{{{{{parameter}}}}}"));
            let example = self.scope.text(&expression).unwrap_or_else(|error| {
                self.faults.push(CompileFault::sample(&error));
                String::new()
            });
            self.variables.push(Variable {
                pointer: pointer.to_owned(),
                parameter: parameter.clone(),
                expression: expression.source,
            });
            counted.examples.push((parameter, example));
        }
        Some(counted)
    }
}

fn list<'v>(object: &'v mut Value, member: &str) -> impl Iterator<Item = &'v mut Value> {
    object.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten()
}

/// `name`, with a number behind it where it is taken.
fn distinct(name: &str, taken: &[(String, String)]) -> String {
    let is_free = |name: &str| taken.iter().all(|(known, _)| known != name);
    let mut numbered = (2..).map(|number| format!("{name}_{number}"));
    if is_free(name) { name.to_owned() } else { numbered.find(|name| is_free(name)).unwrap_or_default() }
}
