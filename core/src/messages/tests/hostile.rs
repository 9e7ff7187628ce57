//! Whatever comes in, it is a message or an error of bounded size, and nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{RECIPIENT, example, read, with};
use crate::{
    error::{ApiError, ErrorKind},
    messages::{
        examples::examples,
        render::Rendering,
        request::{Dialect, Request, SendRequest},
    },
};

/// An error about a body of any size is smaller than this.
const ERROR_MAX_BYTES: usize = 64 * 1_024;

fn assert_small(error: &ApiError) {
    let bytes = error.details.len() + serde_json::to_string(&error.breaches).unwrap().len();
    assert!(bytes < ERROR_MAX_BYTES, "{bytes} bytes: {}", &error.details[..200]);
}

/// A message that is accepted also serializes, reaches an adapter, and reads as something.
fn assert_whole(request: SendRequest) {
    let object: Box<serde_json::value::RawValue> = serde_json::from_str(&request.object).unwrap();
    let body: Value = serde_json::from_str(object.get()).unwrap();
    let outbound: waystation_adapter_sdk::Outbound = serde_json::from_value(json!({
        "message_id": "m", "attempt": 1, "attempt_ref": "m.1", "accepted_at_ms": 0, "attempt_at_ms": 0,
        "sender": {"id": "1", "phone": "15550783881"}, "recipient": {"phone": request.recipient.as_phone()},
        "kind": request.content.kind(), "body": body,
    }))
    .unwrap();
    let arrived: Value = serde_json::from_str(outbound.body.get()).unwrap();
    assert_eq!(arrived, body);
    serde_json::to_string(&request.content).unwrap();
    match request.content.into_rendering() {
        Rendering::Text(text) => assert!(!text.trim().is_empty() && !text.contains('\0')),
        Rendering::Template(message) => assert!(!message.name.is_empty()),
    }
}

#[test]
fn deep_nesting_is_malformed_and_not_a_crash() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let body = format!("{{\"messaging_product\":\"whatsapp\",\"to\":\"16505551234\",\"text\":{deep}}}");
        let error = Request::read(body.as_bytes(), Dialect::CloudApi).unwrap_err();
        assert_eq!(error.kind, ErrorKind::MalformedBody);
        assert_small(&error);
        let mut hidden = example("contacts");
        hidden["contacts"] = format!("[{deep}]").into();
        assert!(read(&hidden).is_err());
    }
    // As deep as a body can be, also inside of a text.
    for depth in 100..130 {
        let mut hidden = example("contacts");
        let inner = hidden["contacts"].to_string();
        let deep = format!("{{\"x\":{}1{},", "[".repeat(depth), "]".repeat(depth));
        hidden["contacts"] = inner.replacen('{', &deep, 1).into();
        if let Ok(request) = read(&hidden) {
            serde_json::from_str::<Value>(&request.object).unwrap();
        }
    }
}

#[test]
fn huge_numbers_are_refused_or_kept() {
    for number in ["1e999", "-1e999", "123456789012345678901234567890", "1e-999", "0.1e308", "18446744073709551616"] {
        for member in ["\"text\":{\"body\":\"hi\"},\"x\":#", "\"text\":{\"body\":#}", "\"type\":#,\"text\":{}"] {
            let body = format!(
                "{{\"messaging_product\":\"whatsapp\",\"to\":\"16505551234\",{}}}",
                member.replace('#', number)
            );
            match SendRequest::read(body.as_bytes(), Dialect::CloudApi) {
                Ok(request) => assert_whole(request),
                Err(error) => assert_small(&error),
            }
        }
    }
    for (name, pointer) in [
        ("location", "/location/latitude"),
        ("template_coupon", "/template/components/1/index"),
        ("interactive_carousel", "/interactive/action/cards/0/card_index"),
        ("template_limited_offer", "/template/components/1/parameters/0/limited_time_offer/expiration_time_ms"),
    ] {
        for number in [json!(1e300), json!(u64::MAX), json!(-1e300), json!("9".repeat(100_000))] {
            assert_small(&read(&with(example(name), pointer, number)).unwrap_err());
        }
    }
}

#[test]
fn of_a_member_that_comes_twice_the_checked_one_travels() {
    let long = "x".repeat(5_000);
    let twice = format!(
        "{{\"messaging_product\":\"whatsapp\",\"to\":\"16505551234\",\"text\":{{\"body\":\"{long}\"}},\
         \"text\":{{\"body\":\"a\",\"body\":\"hi\"}}}}"
    );
    let request = SendRequest::read(twice.as_bytes(), Dialect::CloudApi).unwrap();
    let object: Value = serde_json::from_str(&request.object).unwrap();
    assert_eq!(object["text"], json!({"body": "hi"}));
}

#[test]
fn invalid_utf8_is_malformed() {
    for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"] {
        let body = [b"{\"messaging_product\":\"whatsapp\",\"to\":\"1\",\"text\":{\"body\":\"", bytes, b"\"}}"].concat();
        assert_eq!(Request::read(&body, Dialect::CloudApi).unwrap_err().kind, ErrorKind::MalformedBody);
    }
    let lone = br#"{"messaging_product":"whatsapp","to":"16505551234","text":{"body":"\ud83d"}}"#;
    assert_eq!(Request::read(lone, Dialect::CloudApi).unwrap_err().kind, ErrorKind::MalformedBody);
}

#[test]
fn the_character_that_postgres_cannot_store_is_refused_wherever_it_stands() {
    for example in examples() {
        for pointer in texts(&example.cloud_message(RECIPIENT)) {
            let body = with(example.cloud_message(RECIPIENT), &pointer, "a\0b".into());
            let error = read(&body).unwrap_err();
            assert!(error.breaches.iter().any(|breach| breach.pointer == pointer), "{pointer}: {error}");
        }
    }
    let name = with(example("text"), "/text/a\0b", 1.into());
    assert_eq!(read(&name).unwrap_err().breaches[0].pointer, "/text");
}

/// Where texts stand.
fn texts(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(value, String::new(), &mut |pointer, value| {
        if value.is_string() {
            found.push(pointer.to_owned());
        }
    });
    found
}

fn walk(value: &Value, pointer: String, see: &mut impl FnMut(&str, &Value)) {
    see(&pointer, value);
    match value {
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                walk(item, format!("{pointer}/{position}"), see);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                walk(value, format!("{pointer}/{name}"), see);
            }
        }
        _ => {}
    }
}

#[test]
fn an_error_stays_small_however_much_is_wrong() {
    let wrong: Vec<Value> = (0..50_000).map(|_| json!({"name": 5, "phones": 5})).collect();
    let error = read(&with(example("contacts"), "/contacts", wrong.into())).unwrap_err();
    assert_eq!(error.breaches.len(), 100);
    assert_small(&error);
    let nul: Vec<Value> = (0..50_000).map(|_| "\0".into()).collect();
    assert_small(&read(&with(example("text"), "/x", nul.into())).unwrap_err());
    let name = "~/\u{1}".repeat(30_000);
    assert_small(&read(&with(example("text"), "/x", json!({ name: "\0" }))).unwrap_err());
    let kind = "\u{1}".repeat(100_000);
    for (name, pointer) in [
        ("text", "/type"),
        ("interactive_button", "/interactive/type"),
        ("interactive_button", "/interactive/header/type"),
        ("interactive_flow", "/interactive/action/parameters/mode"),
    ] {
        assert_small(&read(&with(example(name), pointer, kind.clone().into())).unwrap_err());
    }
}

/// What may stand anywhere.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
        Just(json!("")),
        Just(json!("3")),
        Just(json!("text")),
        Just(json!("IMAGE")),
        Just(json!([])),
        Just(json!({})),
        Just(json!([5])),
        Just(json!({"type": "text", "text": "x"})),
        Just(json!({"type": "image", "image": {"id": "1"}})),
        Just(json!({"id": "1"})),
        Just(json!({"text": "x"})),
        (0_usize..6_000).prop_map(|length| "ü".repeat(length).into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Mutated examples: whatever passes the table has the types, and is whole.
    #[test]
    fn a_message_that_validates_also_serializes_dispatches_and_renders(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, anything()), 0..4),
    ) {
        let all = examples();
        let mut body = which.get(&all).cloud_message(RECIPIENT);
        for (place, how, value) in changes {
            let mut places = Vec::new();
            walk(&body, String::new(), &mut |pointer, _| places.push(pointer.to_owned()));
            let place = place.get(&places);
            let Some(found) = body.pointer_mut(place) else { continue };
            match (how, found) {
                (0, Value::Array(items)) => items.push(value),
                (0, Value::Object(members)) => drop(members.insert("extra".to_owned(), value)),
                (1, Value::Array(items)) => drop(items.pop()),
                (1, Value::Object(members)) => {
                    let name = members.keys().next().cloned().unwrap_or_default();
                    members.remove(&name);
                }
                (2, Value::Array(items)) => items.extend(items.clone()),
                (_, found) if !place.is_empty() => *found = value,
                _ => {}
            }
        }
        match Request::read(body.to_string().as_bytes(), Dialect::CloudApi) {
            Ok(Request::Send(request)) => assert_whole(*request),
            Ok(Request::MarkAsRead(_)) => {}
            Err(error) => {
                prop_assert!(!error.details.contains("cannot be read:"), "{}: {}", error.details, body);
                prop_assert!(error.kind != ErrorKind::Internal);
                assert_small(&error);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(error) = Request::read(&bytes, Dialect::Platform) {
            assert_small(&error);
        }
    }
}
