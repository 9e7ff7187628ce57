//! What each type and variant becomes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{RECIPIENT, example, read, with, without};
use crate::{
    error::ErrorKind,
    messages::{
        address::Address,
        content::Content,
        examples::examples,
        render::Rendering,
        request::{Dialect, Request, SendRequest},
        rules::TYPES,
    },
};

#[test]
fn every_type_and_variant_is_accepted_typed_and_shown() {
    let mut kinds = BTreeSet::new();
    for example in examples() {
        let body = example.cloud_message(RECIPIENT);
        let request = read(&body).unwrap_or_else(|error| panic!("{}: {error}", example.name));
        assert_eq!(request.content.kind(), body["type"], "{}", example.name);
        assert_eq!(request.warnings, [], "{}", example.name);
        kinds.insert(request.content.kind());
        match request.content.into_rendering() {
            Rendering::Text(text) => assert_eq!(Some(text), example.text, "{}", example.name),
            Rendering::Template(message) => assert_eq!(message.name, body["template"]["name"]),
        }
    }
    assert_eq!(kinds, TYPES.iter().map(|(name, _)| *name).collect());
}

#[test]
fn what_travels_on_is_what_came() {
    for example in examples() {
        // A member of a later version of the Cloud API, at every depth.
        let mut body = example.cloud_message(RECIPIENT);
        add_everywhere(&mut body);
        let request = read(&body).unwrap_or_else(|error| panic!("{}: {error}", example.name));
        assert_eq!(serde_json::from_str::<Value>(&request.object).unwrap(), body, "{}", example.name);
    }
}

fn add_everywhere(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(add_everywhere);
            members.insert("x_later".to_owned(), json!({"since": "v99.0"}));
        }
        Value::Array(items) => items.iter_mut().for_each(add_everywhere),
        _ => {}
    }
}

#[test]
fn the_typed_form_says_what_the_message_says() {
    for example in examples() {
        let body = example.cloud_message(RECIPIENT);
        let request = read(&body).unwrap();
        let typed = serde_json::to_value(&request.content).unwrap();
        let kind = request.content.kind();
        let again: Content = serde_json::from_value(typed.clone()).unwrap();
        assert_eq!(again, request.content, "{}", example.name);
        // Cases and positions come in more than one notation; all else is the same.
        if kind != "template" {
            assert_eq!(typed[kind], body[kind], "{}", example.name);
        }
    }
}

#[test]
fn optional_members_may_be_null() {
    for (name, pointers) in [
        ("image", &["/image/id", "/context", "/recipient_type", "/recipient"][..]),
        ("contacts", &["/contacts/0/phones", "/contacts/0/org", "/contacts/0/emails"]),
        ("interactive_list", &["/interactive/header", "/interactive/footer"]),
        ("interactive_carousel", &["/interactive/header", "/interactive/action/cards/0/body"]),
        ("template", &["/template/components/0/index", "/template/components/0/sub_type", "/template/components"]),
    ] {
        for pointer in pointers {
            let body = with(example(name), pointer, Value::Null);
            assert!(read(&body).is_ok(), "{pointer} of {name}");
        }
    }
}

#[test]
fn an_object_may_come_as_a_text_of_json() {
    let mut body = example("contacts");
    let contacts = body["contacts"].clone();
    body["contacts"] = contacts.to_string().into();
    let request = read(&body).unwrap();
    let object: Value = serde_json::from_str(&request.object).unwrap();
    assert_eq!(object["contacts"], contacts, "adapters see one notation");
    body["contacts"] = "[{\"name\": \"a\\u0000b\"".into();
    assert!(read(&body).is_err());
}

#[test]
fn a_number_keeps_every_digit() {
    for number in [37.442_162_518_686_83, -122.161_535_820_493_94, 1.370_897_575_466_221_3e181] {
        let request = read(&with(example("text"), "/x_number", number.into())).unwrap();
        let object: Value = serde_json::from_str(&request.object).unwrap();
        assert_eq!(object["x_number"], number);
        assert!(request.object.contains(&json!(number).to_string()), "{}", request.object);
    }
}

#[test]
fn numbers_come_as_numbers_and_as_texts() {
    for (latitude, longitude) in [(json!(37.5), json!(-122)), (json!("37.5"), json!("-122.0"))] {
        let mut body = example("location");
        body["location"]["latitude"] = latitude;
        body["location"]["longitude"] = longitude;
        let Content::Location(location) = read(&body).unwrap().content else { panic!("a place") };
        assert_eq!((location.latitude, location.longitude), (37.5, -122.0));
    }
    for index in [json!(0), json!("0")] {
        let body = with(example("template_coupon"), "/template/components/1/index", index);
        let Content::Template(message) = read(&body).unwrap().content else { panic!("a template") };
        assert_eq!(message.components[1].index, Some(0));
        assert_eq!(message.components[1].sub_type.as_deref(), Some("copy_code"));
    }
}

#[test]
fn what_a_template_gets_in_later_versions_is_the_networks_to_judge() {
    let later = json!({"type": "HOLOGRAM", "parameters": 5, "cards": "x", "index": [], "sub_type": 7});
    let parameter = json!({"type": "colour", "colour": "red", "text": 5, "image": "x"});
    for (pointer, value) in [("/template/components/1", later), ("/template/components/0/parameters/2", parameter)] {
        assert!(read(&with(example("template"), pointer, value.clone())).is_ok(), "{value}");
    }
    let untyped = with(example("template"), "/template/components/1", json!({}));
    assert_eq!(read(&untyped).unwrap_err().breaches[0].pointer, "/template/components/1/type");
}

#[test]
fn a_recipient_is_a_number_or_a_user_id_and_the_number_wins() {
    let user_id = "US.13491208655302741918";
    let both = with(example("text"), "/recipient", user_id.into());
    assert_eq!(read(&both).unwrap().recipient, Address::Phone("16505551234".to_owned()));
    let only_id = without(both, "/to");
    let request = read(&only_id).unwrap();
    assert_eq!((request.recipient, request.to.as_str()), (Address::UserId(user_id.to_owned()), user_id));
    let wrong = with(only_id.clone(), "/recipient", "somebody".into());
    assert_eq!(read(&wrong).unwrap_err().breaches[0].pointer, "/recipient");
    let nobody = read(&without(only_id, "/recipient")).unwrap_err();
    assert_eq!((nobody.kind, nobody.breaches[0].pointer.as_str()), (ErrorKind::ParameterMissing, "/to"));
}

#[test]
fn a_message_can_be_marked_as_read_and_an_answer_announced() {
    let body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"});
    let read = |body: &Value| Request::read(body.to_string().as_bytes(), Dialect::CloudApi);
    let Request::MarkAsRead(request) = read(&body).unwrap() else { panic!("no message to send") };
    assert_eq!((request.message_id.as_str(), request.typing), ("wamid.x", false));
    let typing = with(body.clone(), "/typing_indicator", json!({"type": "text"}));
    assert!(matches!(read(&typing), Ok(Request::MarkAsRead(request)) if request.typing));
    for (wrong, pointer) in [
        (with(body.clone(), "/status", "seen".into()), "/status"),
        (without(body.clone(), "/message_id"), "/message_id"),
        (with(typing.clone(), "/typing_indicator/type", "dance".into()), "/typing_indicator/type"),
        (with(typing, "/typing_indicator", true.into()), "/typing_indicator"),
    ] {
        assert_eq!(read(&wrong).unwrap_err().breaches[0].pointer, pointer);
    }
    assert!(SendRequest::read(body.to_string().as_bytes(), Dialect::CloudApi).is_err());
}

#[test]
fn every_breach_of_a_message_is_told_with_its_place() {
    let body = json!({
        "messaging_product": "whatsapp", "to": "16505551234", "type": "interactive",
        "interactive": {
            "type": "button", "header": {"type": "text", "text": "h".repeat(61)}, "body": {},
            "action": {"buttons": [
                {"type": "reply", "reply": {"id": "a", "title": "Yes"}},
                {"type": "reply", "reply": {"id": "a", "title": "Yes"}},
                {"type": "tap", "reply": {"title": 5}},
                {"type": "reply", "reply": {"id": "d", "title": "x".repeat(21)}},
            ]},
        },
    });
    let error = read(&body).unwrap_err();
    let places: Vec<_> = error.breaches.iter().map(|breach| breach.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            "/interactive/header/text",
            "/interactive/body/text",
            "/interactive/action/buttons",
            "/interactive/action/buttons/2/type",
            "/interactive/action/buttons/2/reply/id",
            "/interactive/action/buttons/2/reply/title",
            "/interactive/action/buttons/3/reply/title",
            "/interactive/action/buttons/1/reply/title",
            "/interactive/action/buttons/1/reply/id",
        ]
    );
    assert_eq!((error.breaches[2].limit, error.breaches[2].actual), (Some(3), Some(4)));
}

#[test]
fn a_context_on_a_reaction_is_warned_of() {
    let body = with(example("reaction"), "/context", json!({"message_id": "wamid.x"}));
    assert_eq!(read(&body).unwrap().warnings[0].pointer, "/context");
}
