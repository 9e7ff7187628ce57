//! Where a message names files: every object under `image`, `video`, `audio`, `document` or
//! `sticker` with an `id`, wherever it stands in what is sent.
//!
//! One walk serves the check when a message is accepted and the exchange of ids when it is
//! sent, so that no place is checked and not exchanged.

use serde_json::Value;

use super::{Media, MediaKind};
use crate::{
    clock::now_ms,
    error::{ApiError, Breach, ErrorKind},
    ids::{BusinessId, MediaId},
    messages::request::excerpt,
    store::StoreError,
};

/// Types of messages that may name files.
const KINDS: [&str; 7] = ["image", "video", "audio", "document", "sticker", "interactive", "template"];

/// Whether a message of this type, with this body, may name files: a quick look that errs only
/// towards yes.
#[must_use]
pub fn may_name_files(kind: &str, body: &str) -> bool {
    KINDS.contains(&kind) && body.contains("\"id\"")
}

/// Calls `visit` with the pointer, the kind and the id of every file that a message object of
/// the type `kind` names.
pub fn visit(object: &mut Value, kind: &str, visit: &mut impl FnMut(&str, MediaKind, &mut String)) {
    if let Some(content) = object.get_mut(kind) {
        walk_member(kind, content, "", visit);
    }
}

fn walk_member(name: &str, value: &mut Value, above: &str, visit: &mut impl FnMut(&str, MediaKind, &mut String)) {
    let pointer = format!("{above}/{name}");
    if let (Some(kind), Some(Value::String(id))) = (MediaKind::parse(name), value.get_mut("id")) {
        visit(&format!("{pointer}/id"), kind, id);
        return;
    }
    walk(value, &pointer, visit);
}

fn walk(value: &mut Value, pointer: &str, visit: &mut impl FnMut(&str, MediaKind, &mut String)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                walk_member(name, value, pointer, visit);
            }
        }
        Value::Array(items) => {
            for (position, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{pointer}/{position}"), visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Media {
    /// Checks that every file which a message names is one of the business's that can be sent in
    /// its place. Files at addresses are the network's to fetch.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub async fn check(&self, business: &BusinessId, kind: &str, body: &str) -> Result<(), ApiError> {
        if !may_name_files(kind, body) {
            return Ok(());
        }
        let Ok(mut object) = serde_json::from_str::<Value>(body) else { return Ok(()) };
        let mut places = Vec::new();
        visit(&mut object, kind, &mut |pointer, kind, id| places.push((pointer.to_owned(), kind, id.clone())));
        let breaches = self.breaches(business, &places).await?;
        if breaches.is_empty() { Ok(()) } else { Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches)) }
    }

    async fn breaches(
        &self,
        business: &BusinessId,
        places: &[(String, MediaKind, String)],
    ) -> Result<Vec<Breach>, StoreError> {
        let ids: Vec<i64> =
            places.iter().filter_map(|(.., id)| id.parse::<MediaId>().ok()).map(|MediaId(id)| id).collect();
        let known = if ids.is_empty() { Vec::new() } else { self.store.media_among(business, &ids, now_ms()).await? };
        let mut breaches = Vec::new();
        for (pointer, kind, id) in places {
            let file = known.iter().map(|stored| &stored.file).find(|file| file.id.to_string() == *id);
            let message = match file {
                None => format!(
                    "\"{}\" is not the id of a file that this business has uploaded or received and that has not \
                     expired",
                    excerpt(id)
                ),
                Some(file) if !kind.takes(&file.content_type) => {
                    let (name, found) = (kind.name(), &file.content_type);
                    format!("names a file of {found}, which cannot be sent as {name}; that takes {}", kind.types())
                }
                Some(_) => continue,
            };
            breaches.push(Breach { pointer: pointer.clone(), message, limit: None, actual: None });
        }
        Ok(breaches)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_of_a_message_that_names_a_file_is_found() {
        let mut message = json!({
            "type": "interactive", "image": {"id": "0"},
            "interactive": {
                "header": {"type": "image", "image": {"id": "1"}},
                "action": {"cards": [{"header": {"video": {"id": "2"}}}, {"header": {"image": {"link": "https://x"}}}]},
                "body": {"text": "{\"document\": {\"id\": \"9\"}}"},
            },
        });
        let mut found = Vec::new();
        visit(&mut message, "interactive", &mut |pointer, kind, id| {
            found.push((pointer.to_owned(), kind, std::mem::replace(id, "up".to_owned())));
        });
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let expected = [
            ("/interactive/action/cards/0/header/video/id", MediaKind::Video, "2"),
            ("/interactive/header/image/id", MediaKind::Image, "1"),
        ];
        assert_eq!(found, expected.map(|(pointer, kind, id)| (pointer.to_owned(), kind, id.to_owned())));
        assert_eq!(message["interactive"]["header"]["image"]["id"], "up");
        assert_eq!(message["image"]["id"], "0", "what is not sent is left alone");
    }

    #[test]
    fn a_document_of_a_template_is_found_and_a_button_is_none() {
        let mut message = json!({"template": {"components": [
            {"type": "header", "parameters": [{"type": "document", "document": {"id": "7", "filename": "a.pdf"}}]},
            {"type": "button", "parameters": [{"type": "payload", "payload": "x"}], "id": "3"},
        ]}});
        let mut found = Vec::new();
        visit(&mut message, "template", &mut |pointer, kind, _| found.push((pointer.to_owned(), kind)));
        assert_eq!(found, [("/template/components/0/parameters/0/document/id".to_owned(), MediaKind::Document)]);
        assert!(!may_name_files("text", "{\"id\":1}") && !may_name_files("image", "{\"link\":1}"));
    }
}
