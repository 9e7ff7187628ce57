use serde_json::{Value, json};

use super::*;
use crate::templates::content::{ParameterFormat, Syntax};

fn of(components: Value) -> Draft {
    Draft {
        name: "order_update".to_owned(),
        language: "en_US".to_owned(),
        category: "UTILITY".to_owned(),
        components: components.as_array().cloned().unwrap(),
        ..Draft::default()
    }
}

fn body(text: &str, examples: &[&str]) -> Value {
    json!({"type": "BODY", "text": text, "example": {"body_text": [examples]}})
}

fn hello() -> Value {
    body("Hello there.", &[])
}

fn buttons(buttons: Value) -> Draft {
    of(json!([hello(), {"type": "BUTTONS", "buttons": buttons}]))
}

fn replies(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"type": "QUICK_REPLY", "text": n.to_string()})).collect()
}

fn urls(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"type": "URL", "text": n.to_string(), "url": "https://x.example/"})).collect()
}

fn ttl(category: &str, seconds: i64) -> Draft {
    let components = if category == "AUTHENTICATION" {
        json!([{"type": "BODY", "add_security_recommendation": true}])
    } else {
        json!([hello()])
    };
    Draft { category: category.to_owned(), message_send_ttl_seconds: Some(seconds), ..of(components) }
}

/// In Handlebars, with a sample for `name`.
fn written(text: &str) -> Draft {
    Draft {
        syntax: Syntax::Handlebars,
        samples: Some(json!({"name": "Ana"})),
        ..of(json!([{"type": "BODY", "text": text}]))
    }
}

fn labelled(label: &str) -> Draft {
    let buttons = json!({"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": label}]});
    Draft { components: vec![hello(), buttons], ..written("Hello there.") }
}

fn call(text: &str, number: &str) -> Value {
    json!({"type": "PHONE_NUMBER", "text": text, "phone_number": number})
}

fn copy(code: &str) -> Value {
    json!({"type": "COPY_CODE", "example": code})
}

fn link(url: &str, example: &[&str]) -> Draft {
    buttons(json!([{"type": "URL", "text": "Shop", "url": url, "example": example}]))
}

fn card(text: &str) -> Value {
    json!({"components": [
        {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::x"]}},
        {"type": "BODY", "text": text},
    ]})
}

fn carousel(cards: Vec<Value>) -> Draft {
    of(json!([hello(), {"type": "CAROUSEL", "cards": cards}]))
}

fn offer(text: &str, body: &str) -> Draft {
    let offer = json!({"type": "LIMITED_TIME_OFFER", "limited_time_offer": {"text": text, "has_expiration": true}});
    of(json!([offer, {"type": "BODY", "text": body}]))
}

fn expiring(minutes: i64) -> Draft {
    Draft {
        category: "AUTHENTICATION".to_owned(),
        ..of(json!([
            {"type": "BODY", "add_security_recommendation": true},
            {"type": "FOOTER", "code_expiration_minutes": minutes},
        ]))
    }
}

/// For each rule a draft that it finds something in, and one that is just inside.
fn cases() -> Vec<(&'static str, Draft, Draft)> {
    let fine = || of(json!([hello()]));
    let header = |text: &str, examples: &[&str]| {
        of(json!([{"type": "HEADER", "format": "TEXT", "text": text, "example": {"header_text": examples}}, hello()]))
    };
    let footer = |text: &str| of(json!([hello(), {"type": "FOOTER", "text": text}]));
    let one = |text: &str, examples: &[&str]| of(json!([body(text, examples)]));
    let otp = json!([{"type": "OTP", "otp_type": "COPY_CODE"}]);
    let authentication = |button: Value| Draft {
        category: "AUTHENTICATION".to_owned(),
        ..of(json!([{"type": "BODY", "add_security_recommendation": true}, {"type": "BUTTONS", "buttons": button}]))
    };
    let mut apart = replies(2);
    apart.insert(1, urls(1).remove(0));
    let mut together = replies(2);
    together.extend(urls(1));
    vec![
        ("name_characters", Draft { name: "Order".to_owned(), ..fine() }, fine()),
        ("name_too_long", Draft { name: "x".repeat(513), ..fine() }, Draft { name: "x".repeat(512), ..fine() }),
        ("language_unknown", Draft { language: "en-US".to_owned(), ..fine() }, fine()),
        ("language_uncertain", Draft { language: "es_VE".to_owned(), ..fine() }, fine()),
        ("category_unknown", Draft { category: "SERVICE".to_owned(), ..fine() }, fine()),
        ("ttl_range", ttl("AUTHENTICATION", 901), ttl("AUTHENTICATION", 900)),
        ("ttl_range", ttl("UTILITY", 29), ttl("UTILITY", 30)),
        ("ttl_range", ttl("MARKETING", 43_199), ttl("MARKETING", -1)),
        ("components_count", of(json!([])), fine()),
        ("component_unknown", of(json!([hello(), {"type": "POEM"}])), fine()),
        ("component_repeated", of(json!([hello(), hello()])), fine()),
        ("member_invalid", of(json!([{"type": "BODY", "text": 5}])), fine()),
        ("member_invalid", of(json!([hello(), {"type": "BUTTONS", "buttons": 5}])), buttons(json!([]))),
        ("body_required", of(json!([{"type": "FOOTER", "text": "x"}])), fine()),
        ("body_required", one("  ", &[]), fine()),
        ("body_too_long", one(&"x".repeat(1_025), &[]), one(&"x".repeat(1_024), &[])),
        ("expression_malformed", written("Hi {{name"), written("Hi {{name}} there")),
        ("expression_unsupported", written("Hi {{#if name}}you{{/if}} there"), written("Hi {{name}} there")),
        ("helper_unknown", written("Hi {{shout name}} there"), written("Hi {{upper name}} there")),
        ("helper_arguments", written("Hi {{truncate name}} there"), written("Hi {{truncate name 5}} there")),
        ("expression_place", labelled("Call {{name}}"), labelled("Call us")),
        ("sample_missing", written("Hi {{nobody}} there"), written("Hi {{default nobody \"you\"}} there")),
        ("header_too_long", header(&"x".repeat(61), &[]), header(&"x".repeat(60), &[])),
        ("header_variables", header("On {{1}} at {{2}}", &["a", "b"]), header("On {{1}}", &["a"])),
        ("footer_too_long", footer(&"x".repeat(61)), footer(&"x".repeat(60))),
        ("footer_variables", footer("Bye {{1}}"), footer("Bye")),
        ("placeholder_malformed", one("Hi {{first name}} there", &[]), fine()),
        ("placeholder_malformed", one("Hi {{#1}} there", &[]), one("Hi {{1}} there", &["a"])),
        ("variables_mixed", one("Hi {{name}} there", &["a"]), one("Hi {{1}} there", &["a"])),
        (
            "variables_mixed",
            Draft { parameter_format: ParameterFormat::Named, ..one("Hi {{1}} there", &["a"]) },
            Draft {
                parameter_format: ParameterFormat::Named,
                ..of(json!([{
                    "type": "BODY", "text": "Hi {{name}} there",
                    "example": {"body_text_named_params": [{"param_name": "name", "example": "Ana"}]},
                }]))
            },
        ),
        ("variables_sequence", one("Hi {{2}} there", &["a"]), one("Hi {{1}} there", &["a"])),
        ("variable_first", one("{{1}} has a parcel", &["a"]), one("A {{1}} has a parcel", &["a"])),
        ("variable_last", one("There is a parcel for {{1}}", &["a"]), one("There is a parcel for {{1}}.", &["a"])),
        (
            "variables_adjacent",
            one("Hello to you {{1}} {{2}} there", &["a", "b"]),
            one("Hello to you {{1}}, {{2}} there", &["a", "b"]),
        ),
        ("variable_ratio", one("Hi {{1}}, {{2}}.", &["a", "b"]), one("Hi {{1}}, bye {{2}}.", &["a", "b"])),
        ("example_missing", one("Hi {{1}}, bye {{2}}.", &["a"]), one("Hi {{1}}, bye {{2}}.", &["a", "b"])),
        ("buttons_too_many", buttons(replies(11).into()), buttons(replies(10).into())),
        ("url_buttons_too_many", buttons(urls(3).into()), buttons(urls(2).into())),
        (
            "button_text_too_long",
            buttons(json!([{"type": "QUICK_REPLY", "text": "x".repeat(26)}])),
            buttons(json!([{"type": "QUICK_REPLY", "text": "x".repeat(25)}])),
        ),
        (
            "header_format_unknown",
            of(json!([{"type": "HEADER", "format": "HOLOGRAM"}, hello()])),
            of(json!([{"type": "HEADER", "format": "LOCATION"}, hello()])),
        ),
        (
            "header_sample_missing",
            of(json!([{"type": "HEADER", "format": "IMAGE"}, hello()])),
            of(json!([{"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::x"]}}, hello()])),
        ),
        (
            "phone_buttons_too_many",
            buttons(json!([call("Call", "15550051310"), call("Ring", "15550051310")])),
            buttons(json!([call("Call", "15550051310")])),
        ),
        (
            "phone_button_invalid",
            buttons(json!([call("Call", &"1".repeat(21))])),
            buttons(json!([call("Call", &"1".repeat(20))])),
        ),
        ("phone_button_invalid", buttons(json!([call("Call", "us")])), buttons(json!([call("Call", "+1 555 005")]))),
        ("copy_code_buttons_too_many", buttons(json!([copy("25OFF"), copy("50OFF")])), buttons(json!([copy("25OFF")]))),
        ("copy_code_too_long", buttons(json!([copy(&"x".repeat(16))])), buttons(json!([copy(&"x".repeat(15))]))),
        ("button_url_invalid", link("ftp://x.example/", &[]), link("http://x.example/", &[])),
        (
            "button_url_invalid",
            link(&format!("https://x.example/{}", "x".repeat(1_983)), &[]),
            link(&format!("https://x.example/{}", "x".repeat(1_982)), &[]),
        ),
        (
            "button_url_variable",
            link("https://x.example/{{1}}/a", &["https://x.example/b/a"]),
            link("https://x.example/a/{{1}}", &["https://x.example/a/b"]),
        ),
        ("button_url_sample", link("https://x.example/{{1}}", &[]), link("https://x.example/{{1}}", &["b"])),
        ("button_url_chat", link("https://wa.me/15550051310", &[]), link("https://wa.me.example/1", &[])),
        (
            "button_text_repeated",
            buttons(json!([{"type": "QUICK_REPLY", "text": "Yes"}, {"type": "QUICK_REPLY", "text": "Yes"}])),
            buttons(json!([{"type": "QUICK_REPLY", "text": "Yes"}, {"type": "QUICK_REPLY", "text": "No"}])),
        ),
        ("carousel_cards", carousel(vec![card("a"); 1]), carousel(vec![card("a"); 2])),
        ("carousel_cards", carousel(vec![card("a"); 11]), carousel(vec![card("a"); 10])),
        (
            "carousel_uneven",
            carousel(vec![card("a"), json!({"components": [{"type": "BODY", "text": "a"}]})]),
            carousel(vec![card("a"), card("b")]),
        ),
        (
            "card_body_too_long",
            carousel(vec![card(&"x".repeat(161)), card("b")]),
            carousel(vec![card(&"x".repeat(160)), card("b")]),
        ),
        ("offer_too_long", offer(&"x".repeat(17), "Hello there."), offer(&"x".repeat(16), "Hello there.")),
        ("offer_too_long", offer("Now", &"x".repeat(601)), offer("Now", &"x".repeat(600))),
        ("code_expiration", expiring(91), expiring(90)),
        ("code_expiration", expiring(0), expiring(1)),
        ("body_spaces", one("Hello     there", &[]), one("Hello    there", &[])),
        ("body_spaces", one("Hello\n\n\nthere", &[]), one("Hello\n\nthere", &[])),
        ("quick_replies_apart", buttons(apart.into()), buttons(together.into())),
        ("otp_category", buttons(otp.clone()), authentication(otp.clone())),
        ("otp_category", authentication(replies(1).into()), authentication(otp)),
    ]
}

#[test]
fn every_rule_finds_its_case_and_not_the_one_just_inside() {
    for (rule, outside, inside) in cases() {
        let found = lint(&outside);
        assert!(found.iter().any(|finding| finding.rule == rule), "{rule} finds nothing: {found:?}");
        let found = lint(&inside);
        assert!(found.iter().all(|finding| finding.rule != rule), "{rule} finds too much: {found:?}");
    }
}

#[test]
fn every_rule_has_a_case_and_a_name_of_its_own() {
    let cases = cases();
    for rule in RULES {
        // This one is found by what else the account has.
        let known = rule.id == "duplicate_text" || cases.iter().any(|(id, ..)| *id == rule.id);
        assert!(known, "{} has no case", rule.id);
        assert_eq!(RULES.iter().filter(|other| other.id == rule.id).count(), 1, "{}", rule.id);
    }
}

#[test]
fn there_are_forty_rules_and_more() {
    assert!(RULES.len() >= 40, "{}", RULES.len());
}

#[test]
fn an_error_is_refused_with_the_code_of_the_first_and_all_that_was_found() {
    let draft = of(json!([body("{{1}} and {{2}}", &[])]));
    let error = accept(&draft).unwrap_err();
    assert_eq!((error.kind, error.kind.subcode()), (ErrorKind::TemplateVariableAtEdge, Some(2_388_299)));
    assert!(error.breaches.len() >= 3, "{error}");
    assert!(accept(&of(json!([hello()]))).is_ok());
}

#[test]
fn nothing_that_is_sent_in_as_a_template_makes_it_fail() {
    for value in [json!(null), json!(5), json!("x"), json!([]), json!({"type": "BODY", "text": ["x"]})] {
        for member in ["text", "buttons", "cards", "format", "example"] {
            let with = json!({"type": "HEADER", member: value});
            let found = lint(&of(json!([value, with, {"type": "CAROUSEL", "cards": [value]}])));
            assert!(!found.is_empty());
        }
    }
}
