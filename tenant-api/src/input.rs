//! What a request says, read so that everything that is wrong is told with its place: a
//! body that is no JSON, a member that is missing, unknown or of the wrong type, a
//! parameter of the query that cannot be.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use url::form_urlencoded;
use waystation_core::{
    error::{ApiError, Breach, ErrorKind},
    paging::Paging,
};

/// The body as `T`.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::new(ErrorKind::MalformedBody, format!("The body is not JSON: {error}.")))?;
    if !value.is_object() {
        return Err(ApiError::new(ErrorKind::MalformedBody, "The body must be a JSON object."));
    }
    self::value(value)
}

/// A value that was read already as `T`.
pub(crate) fn value<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    if let Some(pointer) = nul_in(&value) {
        return Err(ApiError::breach(&pointer, "must not contain the character U+0000"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| misfit(error.path(), "", &error.inner().to_string()))
}

/// The body as `T`, or its default without one.
pub(crate) fn json_or_default<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if matches!(body.trim_ascii(), b"" | b"null") { Ok(T::default()) } else { json(body) }
}

/// The query as `T`.
pub(crate) fn query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    if let Some((name, _)) = pairs.clone().find(|(_, value)| value.contains('\0')) {
        return Err(ApiError::breach(&format!("?{name}"), "must not contain the character U+0000"));
    }
    let mut names = HashSet::new();
    if let Some((name, _)) = pairs.clone().find(|(name, _)| !names.insert(name.clone())) {
        return Err(ApiError::breach(&format!("?{name}"), "is there more than once"));
    }
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
        .map_err(|error| misfit(error.path(), "?", &error.inner().to_string()))
}

/// The page that a query asks for.
pub(crate) fn paging(cursor: Option<&str>, limit: Option<u32>) -> Result<Paging, ApiError> {
    Paging::read(cursor, limit)
}

/// What is wrong at `path`, as the deserializer has it.
fn misfit(path: &Path, before: &str, said: &str) -> ApiError {
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer = if before.is_empty() { format!("{pointer}/{step}") } else { format!("{before}{step}") };
    }
    let missing = said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    let (kind, message) = match missing {
        Some(name) => {
            pointer = if before.is_empty() { format!("{pointer}/{name}") } else { format!("{before}{name}") };
            (ErrorKind::ParameterMissing, "is required".to_owned())
        }
        None if said.starts_with("unknown field") => {
            let known = said.split_once("expected ").map_or("", |(_, known)| known);
            (ErrorKind::ParameterInvalid, format!("is not known; expected {known}"))
        }
        None => (ErrorKind::ParameterInvalid, format!("cannot be read: {said}")),
    };
    ApiError::breaches(kind, vec![Breach { pointer, message, limit: None, actual: None }])
}

/// Where a text has U+0000, which PostgreSQL does not store.
fn nul_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| nul_in(item).map(|rest| format!("/{index}{rest}")))
        }
        Value::Object(members) => members.iter().find_map(|(name, value)| match nul_in(value) {
            Some(rest) => Some(format!("/{name}{rest}")),
            None => name.contains('\0').then(String::new),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        name: String,
        #[serde(default)]
        lines: Vec<Line>,
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        count: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read, not used")]
    struct Question {
        limit: Option<u32>,
    }

    fn told(error: &ApiError) -> (ErrorKind, &str, &str) {
        (error.kind, &error.breaches[0].pointer, &error.breaches[0].message)
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        for (body, kind, pointer, message) in [
            ("{}", ErrorKind::ParameterMissing, "/name", "is required"),
            (r#"{"name": 1}"#, ErrorKind::ParameterInvalid, "/name", "cannot be read: invalid type"),
            (r#"{"name": "x", "lines": [{"count": 1}, {}]}"#, ErrorKind::ParameterMissing, "/lines/1/count", "is req"),
            (r#"{"name": "x", "lines": [{"count": -1}]}"#, ErrorKind::ParameterInvalid, "/lines/0/count", "cannot be"),
            (r#"{"nam": "x"}"#, ErrorKind::ParameterInvalid, "/nam", "is not known; expected `name` or `lines`"),
            (r#"{"name": "a\u0000b"}"#, ErrorKind::ParameterInvalid, "/name", "must not contain"),
        ] {
            let error = json::<Order>(body.as_bytes()).unwrap_err();
            let (said_kind, said_pointer, said) = told(&error);
            assert_eq!((said_kind, said_pointer), (kind, pointer), "{body}");
            assert!(said.starts_with(message), "{body}: {said}");
        }
        for body in ["", "{", "[]", "nothing"] {
            assert_eq!(json::<Order>(body.as_bytes()).unwrap_err().kind, ErrorKind::MalformedBody, "{body}");
        }
        assert_eq!(json_or_default::<Order>(b"").unwrap(), Order::default());
        assert!(json_or_default::<Order>(b"{").is_err());
    }

    #[test]
    fn a_wrong_query_names_its_parameter() {
        for (text, pointer) in [("limit=many", "?limit"), ("page=2", "?page"), ("limit=1&limit=2", "?limit")] {
            let error = query::<Question>(text).unwrap_err();
            assert_eq!(error.breaches[0].pointer, pointer, "{text}: {error}");
        }
        assert_eq!(query::<Question>("limit=3").unwrap().limit, Some(3));
        assert_eq!(query::<Question>("x=%00").unwrap_err().breaches[0].pointer, "?x");
    }
}
