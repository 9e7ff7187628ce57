//! The data of a message in the place of its parameters.
//!
//! Guarantee: what comes of data is checked like parameters that somebody wrote, and whatever is wrong with it is told
//! with its place in the data, because nobody wrote those parameters.

use serde_json::{Map, Value, json};

use super::{
    Template,
    handlebars::{Expression, Scope, Variable, expression},
};
use crate::{
    error::{ApiError, Breach, ErrorKind},
    messages::template::TemplateMessage,
};

/// A parameter that data fill.
#[derive(Debug)]
pub(super) struct Slot {
    /// The card of a carousel.
    card: Option<usize>,
    part: Part,
    /// Where parameters have names.
    name: Option<String>,
    expression: Expression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Header,
    Body,
    Url(usize),
    Code(usize),
}

impl Part {
    fn component(self, parameters: Vec<Value>) -> Value {
        let (sub_type, index) = match self {
            Self::Header => return json!({"type": "header", "parameters": parameters}),
            Self::Body => return json!({"type": "body", "parameters": parameters}),
            Self::Url(index) => ("url", index),
            Self::Code(index) => ("copy_code", index),
        };
        json!({"type": "button", "sub_type": sub_type, "index": index.to_string(), "parameters": parameters})
    }

    fn parameter(self, name: Option<&str>, text: &str) -> Value {
        match (self, name) {
            (Self::Code(_), _) => json!({"type": "coupon_code", "coupon_code": text}),
            (_, Some(name)) => json!({"type": "text", "parameter_name": name, "text": text}),
            (_, None) => json!({"type": "text", "text": text}),
        }
    }
}

/// The component of a card or of the whole, and its parameters, each with the place in the data that it came from.
type Group = ((Option<usize>, Part), Vec<(Value, String)>);

/// What data fill of a template with these components; what of it cannot be read.
pub(super) fn slots(components: &[Value], variables: &[Variable]) -> Result<Vec<Slot>, String> {
    let whole = Value::from(components.to_vec());
    variables
        .iter()
        .map(|variable| {
            let unknown = || format!("no text is at {}", variable.pointer);
            let path: Vec<&str> =
                variable.pointer.strip_prefix("/components/").ok_or_else(unknown)?.split('/').collect();
            let number = |text: &str| text.parse::<usize>().map_err(|_| unknown());
            let (card, path) = match path.as_slice() {
                [_, "cards", card, "components", rest @ ..] => (Some(number(card)?), rest),
                path => (None, path),
            };
            let part = match path {
                [_, "buttons", index, "url"] => Part::Url(number(index)?),
                [_, "buttons", index, "example"] => Part::Code(number(index)?),
                [_, "text"] => {
                    let parent = variable.pointer.trim_start_matches("/components").trim_end_matches("/text");
                    let component = whole.pointer(parent).ok_or_else(unknown)?;
                    if component["type"] == "HEADER" { Part::Header } else { Part::Body }
                }
                _ => return Err(unknown()),
            };
            let name = Some(&variable.parameter).filter(|name| name.parse::<u32>().is_err()).cloned();
            let expression = expression(&variable.expression).map_err(|error| error.to_string())?;
            Ok(Slot { card, part, name, expression })
        })
        .collect()
}

/// A message with parameters in the place of its data.
pub(crate) struct Filled {
    /// The `template` object as the network gets it.
    pub(crate) object: Value,
    /// The same, typed.
    pub(crate) message: TemplateMessage,
    /// Where parameters stand that came of data, and where those look for their values.
    origins: Vec<(String, String)>,
}

impl Filled {
    /// An error about the parameters as one about the data.
    pub(crate) fn explain(&self, mut error: ApiError) -> ApiError {
        for breach in &mut error.breaches {
            let is_within = |(place, _): &&(String, String)| {
                breach.pointer.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if let Some((_, origin)) = self.origins.iter().rev().find(is_within) {
                breach.pointer.clone_from(origin);
            }
        }
        ApiError::breaches(error.kind, error.breaches)
    }
}

impl Template {
    /// Evaluates its expressions on the member `data` of `object`, a `template` object that was checked.
    ///
    /// # Errors
    /// 132018 with every value that is missing or unfit, and its place; the same where the template has no expressions,
    /// and where a component is given for a part that data fill.
    pub(crate) fn evaluate(&self, mut object: Value) -> Result<Filled, ApiError> {
        let fail = |pointer: String, message: String| {
            let breach = Breach { pointer, message, limit: None, actual: None };
            ApiError::breaches(ErrorKind::TemplateDataInvalid, vec![breach])
        };
        let data = object.as_object_mut().and_then(|members| members.remove("data")).unwrap_or_default();
        if self.slots.is_empty() {
            let message = "has nothing to fill: the template was not written in Handlebars; give its components";
            return Err(fail("/template/data".to_owned(), message.to_owned()));
        }
        let scope = Scope::new(&data, &self.language);
        let mut breaches = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        for slot in &self.slots {
            let text = match scope.text(&slot.expression) {
                Ok(text) => text,
                Err(error) => {
                    let pointer = format!("/template/data{}", error.pointer);
                    breaches.push(Breach { pointer, message: error.message, limit: None, actual: None });
                    continue;
                }
            };
            let parameter = slot.part.parameter(slot.name.as_deref(), &text);
            let entry = (parameter, format!("/template/data{}", slot.expression.pointer()));
            match groups.iter_mut().find(|(place, _)| *place == (slot.card, slot.part)) {
                Some((_, parameters)) => parameters.push(entry),
                None => groups.push(((slot.card, slot.part), vec![entry])),
            }
        }
        if !breaches.is_empty() {
            return Err(ApiError::breaches(ErrorKind::TemplateDataInvalid, breaches));
        }
        let mut origins = Vec::new();
        for ((card, part), parameters) in groups {
            let (values, places): (Vec<Value>, Vec<String>) = parameters.into_iter().unzip();
            let component = part.component(values);
            let (list, at) = match card {
                None => (members(&mut object, "components"), "/template/components".to_owned()),
                Some(card) => card_components(&mut object, card),
            };
            let same = |given: &Value| {
                let is = |name: &str| {
                    given[name]
                        .as_str()
                        .is_some_and(|word| Some(word.to_ascii_lowercase().as_str()) == component[name].as_str())
                };
                let index = crate::messages::check::index(&given["index"])
                    == crate::messages::check::index(&component["index"]);
                is("type") && index
            };
            if let Some(position) = list.iter().position(same) {
                let message = "is given, and comes of the data as well: leave one of them out".to_owned();
                return Err(fail(format!("{at}/{position}"), message));
            }
            let place = format!("{at}/{}", list.len());
            list.push(component);
            origins.push((place.clone(), "/template/data".to_owned()));
            let each = places.into_iter().enumerate();
            origins.extend(each.map(|(position, origin)| (format!("{place}/parameters/{position}"), origin)));
        }
        let message = serde_json::from_value(object.clone())
            .map_err(|error| fail("/template/data".to_owned(), format!("cannot be used: {error}")))?;
        Ok(Filled { object, message, origins })
    }
}

/// The list `name` of an object, made where there is none.
fn members<'v>(object: &'v mut Value, name: &str) -> &'v mut Vec<Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let list = &mut object[name];
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    match list {
        Value::Array(items) => items,
        _ => unreachable!("it was made a list"),
    }
}

/// The components of a card, and where they stand.
fn card_components(object: &mut Value, card: usize) -> (&mut Vec<Value>, String) {
    let components = members(object, "components");
    let is_carousel = |given: &Value| given["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("carousel"));
    let carousel = components.iter().position(is_carousel).unwrap_or_else(|| {
        components.push(json!({"type": "carousel", "cards": []}));
        components.len() - 1
    });
    let cards = members(&mut components[carousel], "cards");
    let is_card = |given: &Value| crate::messages::check::index(&given["card_index"]) == Some(card);
    let position = cards.iter().position(is_card).unwrap_or_else(|| {
        cards.push(json!({"card_index": card, "components": []}));
        cards.len() - 1
    });
    let at = format!("/template/components/{carousel}/cards/{position}/components");
    (members(&mut cards[position], "components"), at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::StoredTemplate,
        templates::{Draft, Syntax, content::ParameterFormat, lint},
    };

    fn draft(components: Value, samples: Value) -> Draft {
        Draft {
            name: "order_update".to_owned(),
            language: "en_US".to_owned(),
            category: "MARKETING".to_owned(),
            syntax: Syntax::Handlebars,
            components: components.as_array().cloned().unwrap(),
            samples: Some(samples),
            ..Draft::default()
        }
    }

    fn template(draft: &Draft) -> (Template, Vec<Value>) {
        let content = lint::accept(draft).unwrap_or_else(|error| panic!("{error}"));
        let stored = StoredTemplate {
            name: draft.name.clone(),
            language: draft.language.clone(),
            state: "approved".to_owned(),
            category: draft.category.clone(),
            network: None,
            components: Value::from(content.components.clone()).to_string(),
            variables: serde_json::to_string(&content.variables).unwrap(),
        };
        assert_eq!(content.to_draft(&draft.name, &draft.language), *draft, "it can be handed in again as it was");
        (Template::read(&stored).unwrap(), content.components)
    }

    fn order() -> Draft {
        draft(
            json!([
                {"type": "HEADER", "format": "TEXT", "text": "Order {{upper order.id}}"},
                {"type": "BODY", "text": "Hi {{customer.name}}, it is {{money order.total \"EUR\"}} on {{date at}}."},
                {"type": "BUTTONS", "buttons": [
                    {"type": "QUICK_REPLY", "text": "Stop"},
                    {"type": "URL", "text": "Track", "url": "https://x.example/{{order.id}}"},
                    {"type": "COPY_CODE", "example": "{{code}}"},
                ]},
            ]),
            json!({"order": {"id": "a17", "total": 12.5}, "customer": {"name": "Ana"}, "at": "2026-11-25", "code": "X1"}),
        )
    }

    fn message(data: &Value) -> Value {
        json!({"name": "order_update", "language": {"code": "en_US"}, "data": data})
    }

    #[test]
    fn each_expression_becomes_a_counted_variable_with_an_example_of_the_samples() {
        let (_, components) = template(&order());
        assert_eq!(
            components,
            [
                json!({"type": "HEADER", "format": "TEXT", "text": "Order {{1}}", "example": {"header_text": ["A17"]}}),
                json!({
                    "type": "BODY", "text": "Hi {{1}}, it is {{2}} on {{3}}.",
                    "example": {"body_text": [["Ana", "€12.50", "November 25, 2026"]]},
                }),
                json!({"type": "BUTTONS", "buttons": [
                    {"type": "QUICK_REPLY", "text": "Stop"},
                    {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}", "example": ["a17"]},
                    {"type": "COPY_CODE", "example": "X1"},
                ]}),
            ]
        );
        let named = Draft { parameter_format: ParameterFormat::Named, ..order() };
        let (_, components) = template(&named);
        assert_eq!(components[1]["text"], "Hi {{customer_name}}, it is {{order_total}} on {{at}}.");
        let first = &components[1]["example"]["body_text_named_params"][0];
        assert_eq!(first, &json!({"param_name": "customer_name", "example": "Ana"}));
    }

    #[test]
    fn data_become_the_parameters_that_the_network_gets_and_the_whole_text() {
        for format in [ParameterFormat::Positional, ParameterFormat::Named] {
            let draft = Draft { parameter_format: format, ..order() };
            let (template, _) = template(&draft);
            let data = json!({"order": {"id": "b2", "total": "3"}, "customer": {"name": "Bo"}, "at": "2026-01-02", "code": "Y"});
            let filled = template.evaluate(message(&data)).unwrap();
            assert!(filled.object.get("data").is_none());
            let text = template.fill(&filled.message).unwrap();
            assert!(text.starts_with("Order B2\nHi Bo, it is €3.00 on January 2, 2026.\n[Stop]\n[Track]"), "{text}");
            let components = filled.object["components"].as_array().unwrap();
            assert_eq!(components.len(), 4);
            let track = json!({"type": "button", "sub_type": "url", "index": "1", "parameters": [{"type": "text", "text": "b2"}]});
            assert!(components.contains(&track), "{components:?}");
            let samples = template.evaluate(message(draft.samples.as_ref().unwrap())).unwrap();
            assert!(template.fill(&samples.message).is_ok(), "it can be filled with its own samples");
        }
    }

    #[test]
    fn what_is_wrong_with_data_is_told_with_its_place_in_them() {
        let (template, _) = template(&order());
        let error =
            template.evaluate(message(&json!({"order": {"id": "b2"}, "customer": {"name": ""}}))).err().unwrap();
        assert_eq!(error.kind, ErrorKind::TemplateDataInvalid);
        let places: Vec<&str> = error.breaches.iter().map(|breach| breach.pointer.as_str()).collect();
        assert_eq!(
            places,
            ["/template/data/customer/name", "/template/data/order/total", "/template/data/at", "/template/data/code"]
        );
        let mut data = order().samples.unwrap();
        data["customer"]["name"] = "two\nlines".into();
        let filled = template.evaluate(message(&data)).unwrap();
        let error = filled.explain(template.fill(&filled.message).unwrap_err());
        assert_eq!(error.breaches[0].pointer, "/template/data/customer/name");
        let mut twice = message(&order().samples.unwrap());
        twice["components"] = json!([{"type": "BODY", "parameters": []}]);
        let error = template.evaluate(twice).err().unwrap();
        assert_eq!(error.breaches[0].pointer, "/template/components/0");
    }

    #[test]
    fn cards_take_data_beside_the_pictures_that_are_given() {
        let card = |n: usize| {
            json!({"components": [
                {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::a"]}},
                {"type": "BODY", "text": format!("Now {{{{items.{n}.price}}}} only")},
            ]})
        };
        let components =
            json!([{"type": "BODY", "text": "Hi {{name}}, look."}, {"type": "CAROUSEL", "cards": [card(0), card(1)]}]);
        let data = json!({"name": "Ana", "items": [{"price": "€1"}, {"price": "€2"}]});
        let (template, _) = template(&draft(components, data.clone()));
        let picture = json!({"type": "header", "parameters": [{"type": "image", "image": {"id": "1"}}]});
        let mut message = message(&data);
        message["components"] = json!([{"type": "carousel", "cards": [
            {"card_index": 1, "components": [picture]}, {"card_index": 0, "components": [picture]},
        ]}]);
        let filled = template.evaluate(message).unwrap();
        let text = template.fill(&filled.message).unwrap();
        assert_eq!(text, "Hi Ana, look.\n[Image]\nNow €1 only\n[Image]\nNow €2 only");
    }
}
