//! What differs between two versions of a template: part by part, and in each the words that went and came.

use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use waystation_core::templates::VersionView;

/// A part of a template in two versions.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PartDifference {
    name: String,
    changed: bool,
    /// The words, in order; all of them alike where nothing changed.
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Piece {
    /// `same`, `del` or `ins`.
    kind: &'static str,
    text: String,
}

/// A part of a template: its name and what it says.
type Part = (String, String);

/// What differs between `old` and `new`.
pub(crate) fn between(old: &VersionView, new: &VersionView) -> Vec<PartDifference> {
    compare(&parts_of(old), &parts_of(new))
}

fn compare(old: &[Part], new: &[Part]) -> Vec<PartDifference> {
    let of = |parts: &[Part], name: &str| parts.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone());
    let gone = old.iter().filter(|(name, _)| of(new, name).is_none());
    let names = new.iter().chain(gone).map(|(name, _)| name);
    names
        .map(|name| {
            let (before, after) = (of(old, name).unwrap_or_default(), of(new, name).unwrap_or_default());
            PartDifference { name: name.clone(), changed: before != after, pieces: pieces(&before, &after) }
        })
        .collect()
}

fn pieces(before: &str, after: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for change in TextDiff::from_words(before, after).iter_all_changes() {
        let kind = match change.tag() {
            ChangeTag::Equal => "same",
            ChangeTag::Delete => "del",
            ChangeTag::Insert => "ins",
        };
        match pieces.last_mut() {
            Some(last) if last.kind == kind => last.text.push_str(change.value()),
            _ => pieces.push(Piece { kind, text: change.value().to_owned() }),
        }
    }
    pieces
}

fn parts_of(version: &VersionView) -> Vec<Part> {
    let mut parts = vec![("Category".to_owned(), version.category.name().to_owned())];
    add_components("", &version.components, &mut parts);
    if let Some(seconds) = version.ttl_seconds {
        parts.push(("Worth delivering for".to_owned(), format!("{seconds} s")));
    }
    for variable in &version.variables {
        parts.push((format!("Variable {} at {}", variable.parameter, variable.pointer), variable.expression.clone()));
    }
    parts
}

fn add_components(of: &str, components: &[Value], parts: &mut Vec<Part>) {
    for component in components {
        let text = component["text"].as_str().unwrap_or_default();
        match component["type"].as_str().unwrap_or_default().to_ascii_uppercase().as_str() {
            "HEADER" => {
                let format = component["format"].as_str().unwrap_or("TEXT");
                let says = if text.is_empty() { format.to_ascii_lowercase() } else { text.to_owned() };
                parts.push((format!("{of}Header"), says));
            }
            "BODY" => parts.push((format!("{of}Body"), or_members(text, component))),
            "FOOTER" => parts.push((format!("{of}Footer"), or_members(text, component))),
            "BUTTONS" => {
                let buttons = component["buttons"].as_array().map(Vec::as_slice).unwrap_or_default();
                for (index, button) in buttons.iter().enumerate() {
                    parts.push((format!("{of}Button {}", index + 1), button_says(button)));
                }
            }
            "CAROUSEL" => {
                let cards = component["cards"].as_array().map(Vec::as_slice).unwrap_or_default();
                for (index, card) in cards.iter().enumerate() {
                    let inside = card["components"].as_array().map(Vec::as_slice).unwrap_or_default();
                    add_components(&format!("{of}Card {} · ", index + 1), inside, parts);
                }
            }
            other => parts.push((format!("{of}{other}"), members(component))),
        }
        if let Some(example) = component.get("example") {
            let kind = component["type"].as_str().unwrap_or_default().to_ascii_lowercase();
            parts.push((format!("{of}Examples of the {kind}"), leaves(example).join(" · ")));
        }
    }
}

fn or_members(text: &str, component: &Value) -> String {
    if text.is_empty() { members(component) } else { text.to_owned() }
}

/// A button: its kind, its label, then the rest.
fn button_says(button: &Value) -> String {
    let text = |member: &str| button[member].as_str().unwrap_or_default().to_owned();
    let rest = button.as_object().into_iter().flatten();
    let rest = rest.filter(|(name, _)| !["type", "text"].contains(&name.as_str())).flat_map(|(_, value)| leaves(value));
    let says = [text("type").to_ascii_lowercase().replace('_', " "), text("text")].into_iter().chain(rest);
    says.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// What an object says, without its type.
fn members(object: &Value) -> String {
    let all = object.as_object().into_iter().flatten();
    all.filter(|(name, _)| !["example", "type"].contains(&name.as_str()))
        .map(|(_, value)| leaves(value).join(" "))
        .collect::<Vec<_>>()
        .join(" · ")
}

/// Every value in `value`, in order.
fn leaves(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        Value::Object(members) => members.values().flat_map(leaves).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[Piece]) -> String {
        pieces
            .iter()
            .map(|piece| match piece.kind {
                "del" => format!("[-{}-]", piece.text),
                "ins" => format!("{{+{}+}}", piece.text),
                _ => piece.text.clone(),
            })
            .collect()
    }

    #[test]
    fn the_words_that_went_and_came_are_told() {
        assert_eq!(
            shown(&pieces("Your order ships today.", "Your parcel ships today.")),
            "Your [-order-]{+parcel+} ships today."
        );
        assert_eq!(shown(&pieces("", "New text")), "{+New text+}");
        assert_eq!(shown(&pieces("Same", "Same")), "Same");
    }

    #[test]
    fn parts_that_are_new_or_gone_are_told_like_those_that_changed() {
        let part = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let old = [part("Body", "One"), part("Footer", "Bakery")];
        let new = [part("Body", "One"), part("Button 1", "Stop")];
        let found = compare(&old, &new);
        let told: Vec<(&str, bool, String)> =
            found.iter().map(|part| (part.name.as_str(), part.changed, shown(&part.pieces))).collect();
        assert_eq!(
            told,
            [
                ("Body", false, "One".to_owned()),
                ("Button 1", true, "{+Stop+}".to_owned()),
                ("Footer", true, "[-Bakery-]".to_owned()),
            ]
        );
    }

    #[test]
    fn every_component_has_its_parts() {
        let components = [
            serde_json::json!({"type": "HEADER", "format": "IMAGE"}),
            serde_json::json!({"type": "BODY", "text": "Hi {{1}}", "example": {"body_text": [["Ana"]]}}),
            serde_json::json!({"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Shop", "url": "https://x.example"}]}),
            serde_json::json!({"type": "CAROUSEL", "cards": [{"components": [{"type": "BODY", "text": "Card"}]}]}),
        ];
        let mut parts = Vec::new();
        add_components("", &components, &mut parts);
        let told: Vec<String> = parts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        assert_eq!(
            told,
            [
                "Header: image",
                "Body: Hi {{1}}",
                "Examples of the body: Ana",
                "Button 1: url · Shop · https://x.example",
                "Card 1 · Body: Card",
            ]
        );
    }
}
