use serde_json::{Value, json};

use super::*;
use crate::{
    ids::{AccountId, BusinessId, SenderId},
    tenancy::{Policy, Standing, WHATSAPP},
};

fn template(components: &Value, state: &str) -> Template {
    Template::read(&StoredTemplate {
        name: "order_update".to_owned(),
        language: "en_US".to_owned(),
        state: state.to_owned(),
        category: "UTILITY".to_owned(),
        network: Some(SANDBOX.to_owned()),
        components: components.to_string(),
        variables: "[]".to_owned(),
    })
    .unwrap()
}

fn message(components: &Value) -> TemplateMessage {
    let message = json!({"name": "order_update", "language": {"code": "en_US"}, "components": components});
    serde_json::from_value(message).unwrap()
}

fn texts(values: &[&str]) -> Value {
    values.iter().map(|value| json!({"type": "text", "text": value})).collect()
}

fn order_update() -> Template {
    template(
        &json!([
            {"type": "BODY", "text": "Hi {{1}}, order {{2}} ships today."},
            {"type": "FOOTER", "text": "Thank you"},
        ]),
        "approved",
    )
}

fn body(values: &[&str]) -> TemplateMessage {
    message(&json!([{"type": "body", "parameters": texts(values)}]))
}

#[test]
fn a_filled_template_reads_as_its_text_with_the_values_in() {
    assert_eq!(order_update().fill(&body(&["Ana", "A-17"])).unwrap(), "Hi Ana, order A-17 ships today.\nThank you");
}

#[test]
fn a_wrong_number_of_parameters_is_132000() {
    for values in [&["Ana"][..], &["Ana", "A-17", "x"][..], &[][..]] {
        let error = order_update().fill(&body(values)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::TemplateParameterCount);
        assert_eq!(error.breaches[0].limit, Some(2));
        assert_eq!(error.breaches[0].actual, Some(u64::try_from(values.len()).unwrap()));
    }
    let error = order_update().fill(&message(&json!([]))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TemplateParameterCount);
}

#[test]
fn a_template_that_is_not_approved_is_132001_and_one_that_was_stopped_says_so() {
    let hello = json!([{"type": "BODY", "text": "Hello"}]);
    for (state, in_the_sandbox, elsewhere) in [
        ("draft", None, Some(132_001)),
        ("pending_internal", None, Some(132_001)),
        ("approved_internal", None, Some(132_001)),
        ("submitted", None, Some(132_001)),
        ("rejected", Some(132_001), Some(132_001)),
        ("archived", Some(132_001), Some(132_001)),
        ("paused", Some(132_015), Some(132_015)),
        ("disabled", Some(132_016), Some(132_016)),
        ("approved", None, Some(132_001)),
    ] {
        let template = template(&hello, state);
        for (adapter, code) in [(SANDBOX, in_the_sandbox), ("another", elsewhere)] {
            match (template.sendable(&sender(WHATSAPP, adapter)), code) {
                (Ok(warning), None) => assert_eq!(warning.is_some(), state != "approved", "{state}"),
                (Err(error), Some(code)) => assert_eq!(error.kind.row().code, code, "{state}"),
                (found, code) => panic!("{state} on {adapter}: {found:?} is not {code:?}"),
            }
        }
    }
    let elsewhere = Template { network: Some("another".to_owned()), ..template(&hello, "approved") };
    assert_eq!(elsewhere.sendable(&sender(WHATSAPP, "another")), Ok(None));
}

#[test]
fn what_a_reviewer_approved_goes_out_where_no_network_reviews() {
    let hello = json!([{"type": "BODY", "text": "Hello"}]);
    for (state, goes) in
        [("draft", false), ("pending_internal", false), ("approved_internal", true), ("approved", true)]
    {
        assert_eq!(template(&hello, state).sendable(&sender("sms", "sms")).is_ok(), goes, "{state}");
    }
}

fn sender(channel: &str, adapter: &str) -> Sender {
    Sender {
        id: SenderId(1),
        account: AccountId(1),
        business: BusinessId::generate(),
        phone: "15550783881".to_owned(),
        channel: channel.to_owned(),
        adapter: adapter.to_owned(),
        connection: Value::Null,
        standing: Standing::Active,
        policy: Policy::default(),
    }
}

#[test]
fn a_parameter_of_another_type_is_132012() {
    let with_image =
        template(&json!([{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hello"}]), "approved");
    let error =
        with_image.fill(&message(&json!([{"type": "HEADER", "parameters": texts(&["no image"])}]))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TemplateParameterFormat);
    let image = json!([{"type": "header", "parameters": [{"type": "image", "image": {"id": "1"}}]}]);
    assert_eq!(with_image.fill(&message(&image)).unwrap(), "[Image]\nHello");
}

#[test]
fn a_text_that_gets_too_long_is_132005() {
    let just_fits = "x".repeat(BODY_MAX_CHARS - "Hi , order A ships today.".len());
    assert!(order_update().fill(&body(&[&just_fits, "A"])).is_ok());
    let error = order_update().fill(&body(&[&format!("{just_fits}x"), "A"])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TemplateTextTooLong);
    assert_eq!(error.breaches[0].actual, Some(1_025));
}

#[test]
fn a_value_that_whatsapp_would_refuse_is_named() {
    for value in ["", "  ", "two\nlines", "a\ttab", "five     spaces"] {
        let error = order_update().fill(&body(&[value, "A"])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParameterInvalid, "{value:?}");
        assert!(error.details.contains("{{1}}"), "{}", error.details);
    }
}

#[test]
fn named_parameters_come_in_any_order() {
    let named = template(&json!([{"type": "BODY", "text": "Hi {{first_name}}, {{order}} ships."}]), "approved");
    let parameters = json!([{"type": "body", "parameters": [
        {"type": "text", "parameter_name": "order", "text": "A-17"},
        {"type": "text", "parameter_name": "first_name", "text": "Ana"},
    ]}]);
    assert_eq!(named.fill(&message(&parameters)).unwrap(), "Hi Ana, A-17 ships.");
    let error = named.fill(&body(&["Ana", "A-17"])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TemplateParameterFormat);
}

#[test]
fn a_button_with_a_variable_asks_for_its_parameter() {
    let with_url = template(
        &json!([
            {"type": "BODY", "text": "Hello"},
            {"type": "BUTTONS", "buttons": [
                {"type": "QUICK_REPLY", "text": "Stop"},
                {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"},
            ]},
        ]),
        "approved",
    );
    let missing = with_url.fill(&message(&json!([]))).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::TemplateParameterCount);
    let button = |index: Value, sub_type: &str| {
        message(&json!([{"type": "BUTTON", "sub_type": sub_type, "index": index, "parameters": texts(&["17"])}]))
    };
    assert_eq!(with_url.fill(&button(json!("1"), "URL")).unwrap(), "Hello\n[Stop]\n[Track]");
    assert!(with_url.fill(&button(json!(1), "url")).is_ok());
    let wrong = with_url.fill(&button(json!(1), "quick_reply")).unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::TemplateParameterFormat);
}

#[test]
fn every_mismatch_is_reported_at_once() {
    let strict = template(
        &json!([
            {"type": "HEADER", "format": "TEXT", "text": "For {{1}}"},
            {"type": "BODY", "text": "Hi {{1}}"},
        ]),
        "approved",
    );
    assert_eq!(strict.fill(&message(&json!([]))).unwrap_err().breaches.len(), 2);
}

#[test]
fn every_card_of_a_carousel_gets_its_own_parameters() {
    let card = json!({"components": [
        {"type": "HEADER", "format": "IMAGE"},
        {"type": "BODY", "text": "Now {{1}}"},
        {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Buy", "url": "https://x.example/{{1}}"}]},
    ]});
    let carousel = template(
        &json!([{"type": "BODY", "text": "Hi {{1}}"}, {"type": "CAROUSEL", "cards": [card.clone(), card]}]),
        "approved",
    );
    let given = |index: usize, price: &str| {
        json!({"card_index": index, "components": [
            {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.example/a.png"}}]},
            {"type": "body", "parameters": texts(&[price])},
            {"type": "button", "sub_type": "url", "index": 0, "parameters": texts(&["17"])},
        ]})
    };
    let of = |cards: Value| {
        message(&json!([{"type": "body", "parameters": texts(&["Ana"])}, {"type": "carousel", "cards": cards}]))
    };
    let text = carousel.fill(&of(json!([given(1, "€2"), given(0, "€1")]))).unwrap();
    let picture = "[Image]\nhttps://x.example/a.png";
    assert_eq!(text, format!("Hi Ana\n{picture}\nNow €1\n[Buy]\n{picture}\nNow €2\n[Buy]"));
    let error = carousel.fill(&of(json!([given(0, "€1")]))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TemplateParameterCount);
    assert_eq!((error.breaches[0].limit, error.breaches[0].actual), (Some(2), Some(1)));
    let mut without = given(1, "€2");
    without["components"][1]["parameters"] = json!([]);
    let error = carousel.fill(&of(json!([given(0, "€1"), without]))).unwrap_err();
    assert_eq!(error.breaches[0].pointer, "/template/components/1/cards/1/components/1/parameters");
}
