//! Every limit, just inside and just outside.

use serde_json::{Value, json};

use super::{example, read, with, without};
use crate::error::ErrorKind;

/// A text of `chars` characters, each of them more than one byte.
fn long(chars: usize) -> Value {
    "ü".repeat(chars).into()
}

#[test]
fn every_text_has_its_limit_in_characters() {
    for (name, pointer, limit) in [
        ("text", "/text/body", 4_096),
        ("text", "/biz_opaque_callback_data", 512),
        ("image", "/image/caption", 1_024),
        ("video", "/video/caption", 1_024),
        ("document", "/document/caption", 1_024),
        ("interactive_button", "/interactive/header/text", 60),
        ("interactive_button", "/interactive/body/text", 1_024),
        ("interactive_button", "/interactive/footer/text", 60),
        ("interactive_button", "/interactive/action/buttons/0/reply/id", 256),
        ("interactive_button", "/interactive/action/buttons/0/reply/title", 20),
        ("interactive_list", "/interactive/body/text", 4_096),
        ("interactive_list", "/interactive/action/button", 20),
        ("interactive_list", "/interactive/action/sections/0/title", 24),
        ("interactive_list", "/interactive/action/sections/0/rows/0/id", 200),
        ("interactive_list", "/interactive/action/sections/0/rows/0/title", 24),
        ("interactive_list", "/interactive/action/sections/0/rows/0/description", 72),
        ("interactive_cta_url", "/interactive/body/text", 1_024),
        ("interactive_cta_url", "/interactive/action/parameters/display_text", 20),
        ("interactive_flow", "/interactive/body/text", 1_024),
        ("interactive_flow", "/interactive/action/parameters/flow_cta", 30),
        ("interactive_location_request", "/interactive/body/text", 1_024),
        ("interactive_product", "/interactive/body/text", 1_024),
        ("interactive_product_list", "/interactive/header/text", 60),
        ("interactive_product_list", "/interactive/body/text", 1_024),
        ("interactive_catalog", "/interactive/body/text", 1_024),
        ("interactive_address", "/interactive/body/text", 1_024),
        ("interactive_carousel", "/interactive/body/text", 1_024),
        ("interactive_carousel", "/interactive/action/cards/1/body/text", 160),
        ("interactive_carousel", "/interactive/action/cards/1/action/parameters/display_text", 20),
        ("interactive_carousel_buttons", "/interactive/action/cards/1/action/buttons/0/quick_reply/title", 20),
        ("interactive_carousel_buttons", "/interactive/action/cards/1/action/buttons/0/quick_reply/id", 256),
        ("interactive_order_details", "/interactive/body/text", 1_024),
        ("interactive_order_status", "/interactive/body/text", 1_024),
        ("interactive_voice_call", "/interactive/body/text", 1_024),
        ("interactive_call_permission", "/interactive/body/text", 1_024),
        ("template", "/template/name", 512),
        ("template_coupon", "/template/components/1/parameters/0/coupon_code", 20),
    ] {
        let inside = with(example(name), pointer, long(limit));
        assert!(read(&inside).is_ok(), "{pointer} of {name}: {:?}", read(&inside));
        let error = read(&with(example(name), pointer, long(limit + 1))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParameterTooLong, "{pointer} of {name}");
        let [breach] = &error.breaches[..] else { panic!("{error:?}") };
        assert_eq!(breach.pointer, pointer);
        let numbers = [limit, limit + 1].map(|n| u64::try_from(n).ok());
        assert_eq!([breach.limit, breach.actual], numbers, "{pointer} of {name}");
    }
}

/// `count` copies of what stands at `pointer`, told apart by what `number` does to each.
fn repeated(name: &str, pointer: &str, count: usize, number: impl Fn(&mut Value, usize)) -> Value {
    let mut body = example(name);
    let list = body.pointer_mut(pointer).and_then(Value::as_array_mut).expect("a list");
    let first = list[0].clone();
    *list = (0..count)
        .map(|position| {
            let mut item = first.clone();
            number(&mut item, position);
            item
        })
        .collect();
    body
}

fn assert_counted(range: [usize; 2], pointer: &str, body: impl Fn(usize) -> Value) {
    let [least, most] = range;
    for count in [least, most] {
        assert!(read(&body(count)).is_ok(), "{count} in {pointer}: {:?}", read(&body(count)));
    }
    for (count, limit) in [(least - 1, least), (most + 1, most)] {
        let error = read(&body(count)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParameterInvalid, "{count} in {pointer}");
        let breach = error.breaches.iter().find(|breach| breach.limit.is_some()).expect("a number");
        assert_eq!(breach.pointer, pointer);
        let numbers = [limit, count].map(|n| u64::try_from(n).ok());
        assert_eq!([breach.limit, breach.actual], numbers, "{pointer}");
    }
}

#[test]
fn every_list_has_its_limit() {
    assert_counted([1, 257], "/contacts", |count| repeated("contacts", "/contacts", count, |_, _| {}));
    let buttons = "/interactive/action/buttons";
    assert_counted([1, 3], buttons, |count| {
        repeated("interactive_button", buttons, count, |button, n| {
            button["reply"] = json!({"id": n.to_string(), "title": n.to_string()});
        })
    });
    let sections = "/interactive/action/sections";
    assert_counted([1, 10], sections, |count| {
        repeated("interactive_list", sections, count, |section, n| {
            section["rows"] = json!([{"id": n.to_string(), "title": "row"}]);
        })
    });
    assert_counted([1, 10], sections, |count| repeated("interactive_product_list", sections, count, |_, _| {}));
    let cards = "/interactive/action/cards";
    for name in ["interactive_carousel", "interactive_carousel_buttons", "interactive_carousel_products"] {
        assert_counted([2, 10], cards, |count| {
            repeated(name, cards, count, |card, n| card["card_index"] = json!(n % 10))
        });
    }
    let cards = "/template/components/1/cards";
    assert_counted([2, 10], cards, |count| {
        repeated("template_carousel", cards, count, |card, n| card["card_index"] = json!(n % 10))
    });
}

#[test]
fn rows_and_products_are_counted_over_all_sections() {
    let sections = "/interactive/action/sections";
    let rows = |counts: [usize; 2]| {
        repeated("interactive_list", sections, 2, |section, n| {
            section["rows"] = (0..counts[n]).map(|row| json!({"id": format!("{n}.{row}"), "title": "row"})).collect();
        })
    };
    assert!(read(&rows([4, 6])).is_ok());
    let error = read(&rows([5, 6])).unwrap_err();
    assert_eq!((error.breaches[0].limit, error.breaches[0].actual), (Some(10), Some(11)));
    let products = |counts: [usize; 2]| {
        repeated("interactive_product_list", sections, 2, |section, n| {
            section["product_items"] = (0..counts[n]).map(|_| json!({"product_retailer_id": "sku"})).collect();
        })
    };
    assert!(read(&products([15, 15])).is_ok());
    let error = read(&products([15, 16])).unwrap_err();
    assert_eq!((error.breaches[0].limit, error.breaches[0].actual), (Some(30), Some(31)));
    let in_template = with(
        example("template_products"),
        "/template/components/0/parameters/0/action/sections",
        products([1, 30])["interactive"]["action"]["sections"].clone(),
    );
    assert!(read(&in_template).is_err());
}

#[test]
fn where_sources_disagree_the_message_is_accepted_and_warned_of() {
    for (name, pointer, limit) in [
        ("interactive_list", "/interactive/body/text", 1_024),
        ("interactive_flow", "/interactive/action/parameters/flow_cta", 20),
        ("template_coupon", "/template/components/1/parameters/0/coupon_code", 15),
    ] {
        let quiet = read(&with(example(name), pointer, long(limit))).unwrap();
        assert_eq!(quiet.warnings, [], "{name}");
        let warned = read(&with(example(name), pointer, long(limit + 1))).unwrap();
        let [warning] = &warned.warnings[..] else { panic!("{:?}", warned.warnings) };
        assert_eq!((warning.pointer.as_str(), warning.limit), (pointer, u64::try_from(limit).ok()));
    }
    let warned = |count| read(&repeated("contacts", "/contacts", count, |_, _| {})).unwrap().warnings.len();
    assert_eq!((warned(5), warned(6)), (0, 1));
}

#[test]
fn what_must_differ_is_refused_when_it_does_not() {
    for (name, pointer, same_as) in [
        ("interactive_button", "/interactive/action/buttons/1/reply/title", "Yes"),
        ("interactive_button", "/interactive/action/buttons/1/reply/id", "yes"),
        ("interactive_list", "/interactive/action/sections/1/rows/0/id", "fri"),
    ] {
        let error = read(&with(example(name), pointer, same_as.into())).unwrap_err();
        assert_eq!((error.kind, error.breaches[0].pointer.as_str()), (ErrorKind::ParameterInvalid, pointer));
    }
    for (name, pointer) in [
        ("interactive_carousel", "/interactive/action/cards/1/card_index"),
        ("template_carousel", "/template/components/1/cards/1/card_index"),
    ] {
        let error = read(&with(example(name), pointer, "0".into())).unwrap_err();
        assert_eq!(error.breaches[0].pointer, pointer);
    }
    let buttons = example("interactive_carousel_buttons")["interactive"]["action"]["cards"][1].clone();
    let mixed = with(example("interactive_carousel"), "/interactive/action/cards/1", buttons);
    assert_eq!(read(&mixed).unwrap_err().breaches[0].pointer, "/interactive/action/cards/1");
}

#[test]
fn a_card_may_have_two_line_breaks() {
    let pointer = "/interactive/action/cards/0/body/text";
    assert!(read(&with(example("interactive_carousel"), pointer, "a\n\nb".into())).is_ok());
    let error = read(&with(example("interactive_carousel"), pointer, "a\n\nb\nc".into())).unwrap_err();
    assert_eq!((error.breaches[0].limit, error.breaches[0].actual), (Some(2), Some(3)));
}

#[test]
fn a_file_has_one_source() {
    for (name, kind) in [
        ("image", "/image"),
        ("video", "/video"),
        ("audio", "/audio"),
        ("document", "/document"),
        ("sticker", "/sticker"),
        ("interactive_cta_url", "/interactive/header/image"),
        ("interactive_button_document", "/interactive/header/document"),
        ("interactive_carousel", "/interactive/action/cards/0/header/image"),
        ("template_image", "/template/components/0/parameters/0/image"),
    ] {
        let neither = with(example(name), kind, json!({}));
        assert_eq!(read(&neither).unwrap_err().kind, ErrorKind::ParameterMissing, "{name}");
        for (source, fits) in [
            (json!({"id": "17"}), true),
            (json!({"link": "https://shop.example/a"}), true),
            (json!({"link": "HTTP://shop.example"}), true),
            (json!({"id": "17", "link": "https://shop.example/a"}), false),
            (json!({"id": "seventeen"}), false),
            (json!({"id": ""}), false),
            (json!({"id": 17}), false),
            (json!({"link": "ftp://shop.example/a"}), false),
            (json!({"link": "https://"}), false),
            (json!({"link": "https:///a"}), false),
            (json!({"link": "https://shop.example/a b"}), false),
            (json!("17"), false),
        ] {
            assert_eq!(read(&with(example(name), kind, source.clone())).is_ok(), fits, "{source} as {kind}");
        }
    }
    assert!(read(&with(example("audio"), "/audio/caption", "x".into())).is_err());
}

#[test]
fn a_place_is_on_the_earth() {
    for (pointer, limit) in [("/location/latitude", 90), ("/location/longitude", 180)] {
        for (value, fits) in [
            (json!(limit), true),
            (json!(-limit), true),
            (json!(format!("{limit}")), true),
            (json!(f64::from(limit) + 0.001), false),
            (json!(f64::from(-limit) - 0.001), false),
            (json!("north"), false),
            (json!("NaN"), false),
            (json!(true), false),
        ] {
            assert_eq!(read(&with(example("location"), pointer, value.clone())).is_ok(), fits, "{value} at {pointer}");
        }
    }
}

#[test]
fn what_is_required_is_missed() {
    for (name, pointers) in [
        ("text", &["/text/body", "/text"][..]),
        ("location", &["/location/latitude", "/location/longitude"]),
        ("contacts", &["/contacts/0/name", "/contacts/0/name/formatted_name"]),
        ("reaction", &["/reaction/message_id", "/reaction/emoji"]),
        ("interactive_button", &["/interactive/type", "/interactive/body", "/interactive/action"]),
        ("interactive_list", &["/interactive/action/button", "/interactive/action/sections/1/title"]),
        ("interactive_cta_url", &["/interactive/action/name", "/interactive/action/parameters/url"]),
        ("interactive_flow", &["/interactive/action/parameters/flow_message_version"]),
        ("interactive_product", &["/interactive/action/catalog_id", "/interactive/action/product_retailer_id"]),
        ("interactive_product_list", &["/interactive/header", "/interactive/action/sections/0/title"]),
        ("interactive_address", &["/interactive/action/parameters/country", "/interactive/action/parameters"]),
        ("interactive_carousel", &["/interactive/body", "/interactive/action/cards/0/header"]),
        ("interactive_order_details", &["/interactive/action/parameters"]),
        ("template", &["/template/name", "/template/language", "/template/language/code"]),
        ("template_image", &["/template/components/2/index", "/template/components/2/sub_type"]),
        ("template_money_and_time", &["/template/components/0/parameters/0/currency/code"]),
        ("template_flow", &["/template/components/0/parameters/0/action"]),
        ("template_tap_target", &["/template/components/1/parameters/0/tap_target_configuration"]),
        ("template_carousel", &["/template/components/1/cards", "/template/components/1/cards/0/components"]),
    ] {
        for pointer in pointers {
            let error = read(&without(example(name), pointer)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::ParameterMissing, "{pointer} of {name}");
            assert_eq!(error.breaches[0].pointer, *pointer, "{name}");
        }
    }
}

#[test]
fn what_is_not_possible_is_refused() {
    let flow = "/interactive/action/parameters";
    for (name, pointer, value) in [
        ("text", "/text/preview_url", json!("yes")),
        ("text", "/text", json!("hi")),
        ("text", "/recipient_type", json!("group")),
        ("contacts", "/contacts/0/name", json!({"formatted_name": "Ana"})),
        ("contacts", "/contacts/0/birthday", json!("1999-02-30")),
        ("contacts", "/contacts/0/phones", json!({"phone": "1"})),
        ("interactive_button", "/interactive/type", json!("hologram")),
        ("interactive_button", "/interactive/header", json!({"type": "location"})),
        ("interactive_list", "/interactive/header", json!({"type": "image", "image": {"id": "1"}})),
        ("interactive_location_request", "/interactive/header", json!({"type": "text", "text": "x"})),
        ("interactive_location_request", "/interactive/footer", json!({"text": "x"})),
        ("interactive_location_request", "/interactive/action/name", json!("cta_url")),
        ("interactive_product", "/interactive/header", json!({"type": "text", "text": "x"})),
        ("interactive_carousel", "/interactive/header", json!({"type": "text", "text": "x"})),
        ("interactive_carousel", "/interactive/action/cards/0/card_index", json!(10)),
        (
            "interactive_flow",
            flow,
            json!({"flow_message_version": "3", "flow_cta": "x", "flow_id": "1", "flow_name": "n"}),
        ),
        ("interactive_flow", "/interactive/action/parameters/flow_message_version", json!("2")),
        ("interactive_flow", "/interactive/action/parameters/flow_action", json!("jump")),
        ("interactive_address", "/interactive/action/parameters/country", json!("DE")),
        ("interactive_address", "/interactive/action/parameters", json!("JSON")),
        ("template_coupon", "/template/components/1/index", json!("10")),
        ("template_coupon", "/template/components/1/index", json!("first")),
    ] {
        let error = read(&with(example(name), pointer, value.clone())).unwrap_err();
        assert!(error.breaches[0].pointer.starts_with(pointer), "{value} at {pointer}: {error}");
    }
}
