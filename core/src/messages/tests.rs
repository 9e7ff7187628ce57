//! Every type and every limit, on the way from a body to what an adapter and a history get.

mod hostile;
mod limits;
mod variants;

use serde_json::Value;

use super::request::{Dialect, SendRequest};
use crate::error::ApiError;

const RECIPIENT: &str = "+16505551234";

fn read(value: &Value) -> Result<SendRequest, ApiError> {
    SendRequest::read(value.to_string().as_bytes(), Dialect::CloudApi)
}

/// The example of this name.
fn example(name: &str) -> Value {
    let examples = super::examples::examples();
    let found = examples.iter().find(|example| example.name == name);
    found.unwrap_or_else(|| panic!("no example {name}")).cloud_message(RECIPIENT)
}

/// `value` with `new` at `pointer`; the last part may be new, or one past the end of an array.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    match value.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Array(items) => {
            let position: usize = name.parse().expect("a position");
            if position == items.len() { items.push(new) } else { items[position] = new }
        }
        Value::Object(members) => {
            members.insert(name.to_owned(), new);
        }
        other => panic!("{parent} is {other}"),
    }
    value
}

/// `value` without what stands at `pointer`.
fn without(mut value: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let members = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    assert!(members.remove(name).is_some(), "no {pointer}");
    value
}
