//! Which fields of an object a request asks for, as the Cloud API has it: names with commas
//! between them, each with modifiers (`.format(SVG)`) and fields of its own (`{id,name}`).

use serde_json::{Map, Value};
use waystation_core::{
    error::{ApiError, ErrorKind},
    messages::request::excerpt,
};

/// Longest list of fields, in bytes.
const FIELDS_MAX_BYTES: usize = 4_096;
/// How deep fields may have fields of their own.
const DEPTH_MAX: usize = 4;

/// A list of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<Field>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: String,
    modifiers: Vec<(String, String)>,
    own: Option<Fields>,
}

impl Fields {
    /// The fields that `text` names; none when it is not there or empty.
    pub(crate) fn read(text: Option<&str>) -> Result<Option<Self>, ApiError> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        if text.len() > FIELDS_MAX_BYTES {
            return Err(ApiError::breach("?fields", format!("must have at most {FIELDS_MAX_BYTES} bytes")));
        }
        let mut rest = text;
        let fields = list(&mut rest, DEPTH_MAX)?;
        if rest.is_empty() { Ok(Some(fields)) } else { Err(unreadable(rest)) }
    }

    /// The value of a field's modifier: `SVG` of `qr_image_url.format(SVG)`.
    pub(crate) fn modifier(&self, field: &str, modifier: &str) -> Option<&str> {
        let field = self.0.iter().find(|known| known.name == field)?;
        field.modifiers.iter().find(|(name, _)| name == modifier).map(|(_, value)| value.as_str())
    }

    /// Whether the field is asked for.
    pub(crate) fn names(&self, field: &str) -> bool {
        self.0.iter().any(|known| known.name == field)
    }

    /// Of `all` that an object of `kind` has, what was asked for, and its id.
    pub(crate) fn select(&self, kind: &str, mut all: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
        let mut chosen = Map::new();
        for field in self.0.iter().filter(|field| field.name != "id") {
            let Some(value) = all.remove(&field.name) else {
                if chosen.contains_key(&field.name) {
                    continue;
                }
                let there = all.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name);
                let known: Vec<&str> = there.chain(chosen.keys()).map(String::as_str).collect();
                let name = excerpt(&field.name);
                let details = format!("There is no field \"{name}\" on {kind}; there are: {}.", known.join(", "));
                return Err(ApiError::new(ErrorKind::FieldUnknown, details));
            };
            // Known, and without a value now.
            if value.is_null() {
                continue;
            }
            let value = match &field.own {
                Some(own) => own.within(value),
                None => value,
            };
            chosen.insert(field.name.clone(), value);
        }
        if let Some(id) = all.remove("id") {
            chosen.insert("id".to_owned(), id);
        }
        Ok(chosen)
    }

    /// The same inside of a value: of an object, of each object of a list, of what an edge
    /// has as its data. What is not there is left out.
    fn within(&self, value: Value) -> Value {
        match value {
            Value::Object(mut members) if members.contains_key("data") => {
                let data = members.remove("data").map(|data| self.within(data));
                members.extend(data.map(|data| ("data".to_owned(), data)));
                Value::Object(members)
            }
            Value::Object(members) => {
                Value::Object(members.into_iter().filter(|(name, _)| name == "id" || self.names(name)).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.within(item)).collect()),
            other => other,
        }
    }
}

/// Makes fields known that the Graph API has and of which nothing is known here: they can be asked for, and are left out.
pub(crate) fn know(all: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        all.entry(*name).or_insert(Value::Null);
    }
}

/// The fields of `kind` that are answered: those asked for, or `usual` ones.
pub(crate) fn chosen(
    fields: Option<&Fields>,
    kind: &str,
    usual: &[&str],
    all: Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    match fields {
        Some(fields) => fields.select(kind, all),
        None => {
            let shown = |(name, value): &(String, Value)| usual.contains(&name.as_str()) && !value.is_null();
            Ok(all.into_iter().filter(shown).collect())
        }
    }
}

fn unreadable(at: &str) -> ApiError {
    ApiError::breach("?fields", format!("cannot be read at \"{}\"", excerpt(at)))
}

fn list(rest: &mut &str, depth: usize) -> Result<Fields, ApiError> {
    let mut fields = Vec::new();
    loop {
        let name = word(rest)?;
        let mut modifiers = Vec::new();
        while let Some(after) = rest.strip_prefix('.') {
            *rest = after;
            let modifier = word(rest)?;
            let (value, after) =
                rest.strip_prefix('(').and_then(|inner| inner.split_once(')')).ok_or_else(|| unreadable(rest))?;
            *rest = after;
            modifiers.push((modifier, value.trim().to_owned()));
        }
        let own = match rest.strip_prefix('{') {
            Some(inner) if depth > 0 => {
                *rest = inner;
                let own = list(rest, depth - 1)?;
                *rest = rest.strip_prefix('}').ok_or_else(|| unreadable(rest))?;
                Some(own)
            }
            Some(_) => return Err(unreadable(rest)),
            None => None,
        };
        fields.push(Field { name, modifiers, own });
        *rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Ok(Fields(fields)),
        }
    }
}

fn word(rest: &mut &str) -> Result<String, ApiError> {
    *rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    if end == 0 {
        return Err(unreadable(rest));
    }
    let (word, after) = rest.split_at(end);
    *rest = after;
    Ok(word.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Map<String, Value> {
        let all = json!({
            "id": "1", "name": "Ana", "status": null,
            "owner": {"id": "2", "name": "Ben", "country": "DE"},
            "phone_numbers": {"data": [{"id": "3", "status": "CONNECTED", "name": "x"}], "paging": {}},
        });
        match all {
            Value::Object(members) => members,
            other => panic!("{other}"),
        }
    }

    fn select(fields: &str) -> Result<Value, ApiError> {
        let fields = Fields::read(Some(fields))?.expect("fields");
        fields.select("Thing", object()).map(Value::Object)
    }

    #[test]
    fn what_is_asked_for_is_answered_with_the_id() {
        assert_eq!(select("name").unwrap(), json!({"name": "Ana", "id": "1"}));
        assert_eq!(select("id, name,name").unwrap(), json!({"name": "Ana", "id": "1"}));
        assert_eq!(select("status").unwrap(), json!({"id": "1"}));
        assert_eq!(select("owner{name}").unwrap(), json!({"owner": {"id": "2", "name": "Ben"}, "id": "1"}));
        assert_eq!(
            select("phone_numbers.limit(2){status}").unwrap(),
            json!({"phone_numbers": {"data": [{"id": "3", "status": "CONNECTED"}], "paging": {}}, "id": "1"})
        );
    }

    #[test]
    fn a_field_that_is_not_there_is_named_with_those_that_are() {
        let error = select("name,colour").unwrap_err();
        assert_eq!(error.kind, ErrorKind::FieldUnknown);
        assert!(error.details.contains("\"colour\" on Thing") && error.details.contains("owner"), "{}", error.details);
    }

    #[test]
    fn lists_that_cannot_be_read_are_refused_and_empty_ones_are_none() {
        for text in [",", "a,", "a{", "a{}", "a{b", "a}", "a.b", "a.b(", "a b", "a.(x)", "ä", "a{b{c{d{e{f}}}}}"] {
            assert_eq!(Fields::read(Some(text)).unwrap_err().breaches[0].pointer, "?fields", "{text}");
        }
        assert!(Fields::read(Some(&"a,".repeat(FIELDS_MAX_BYTES))).is_err());
        assert_eq!((Fields::read(None).unwrap(), Fields::read(Some(" ")).unwrap()), (None, None));
        let fields = Fields::read(Some("code,qr_image_url.format(SVG)")).unwrap().unwrap();
        assert_eq!(fields.modifier("qr_image_url", "format"), Some("SVG"));
    }
}
