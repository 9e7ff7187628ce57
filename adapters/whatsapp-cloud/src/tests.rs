//! Each request against what the API documents, and each answer against what follows from it.

use serde_json::{Value, json};
use waystation_adapter_sdk::{
    CodeMethod, CodeRequest, HttpError, HttpRequest, NumberError, Outbound, Payload, RateScope, Registration,
    SendError, Sender,
    testing::{self, Run},
    wire::{IoAnswer, IoOp},
};

use crate::{
    WhatsAppCloud,
    codes::{CODES, Class},
};

fn connection() -> Value {
    json!({
        "phone_number_id": "106540352242922", "account_id": "102290129340398",
        "access_token": "the-token", "app_secret": "the-secret",
    })
}

fn message(body: Value, recipient: Value, attempt: u32) -> Outbound {
    let kind = body["type"].clone();
    serde_json::from_value(json!({
        "message_id": "wamid.1", "attempt": attempt, "attempt_ref": format!("1.{attempt}"), "accepted_at_ms": 0,
        "attempt_at_ms": 0, "sender": {"id": "7", "phone": "15550783881"}, "recipient": recipient,
        "connection": connection(), "kind": kind, "body": body, "text": "hi",
    }))
    .unwrap()
}

fn text(attempt: u32) -> Outbound {
    let body = json!({
        "messaging_product": "whatsapp", "from": "15550783881", "to": "+1 (650) 555-1234", "type": "text",
        "text": {"body": "hi"}, "biz_opaque_callback_data": "order 17", "context": {"message_id": "wamid.x"},
        "news_of_tomorrow": [1],
    });
    message(body, json!({"phone": "16505551234"}), attempt)
}

type Sent = Run<Result<waystation_adapter_sdk::Accepted, SendError>>;

fn send(message: Outbound, answer: IoAnswer) -> Sent {
    let mut answer = Some(answer);
    testing::send(&WhatsAppCloud, message, |_| answer.take().expect("one request a message"))
}

fn request(requests: &[IoOp]) -> &HttpRequest {
    match requests {
        [IoOp::Http(request)] => request,
        other => panic!("{other:?}"),
    }
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(request.body.as_bytes()).unwrap()
}

fn refusal(status: u16, code: i64) -> IoAnswer {
    let error = json!({"error": {
        "message": format!("(#{code}) Refused"), "type": "OAuthException", "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": "What was wrong."}, "fbtrace_id": "x",
    }});
    answer(status, &error)
}

fn answer(status: u16, body: &Value) -> IoAnswer {
    testing::json_response(status, &body.to_string())
}

#[test]
fn a_message_goes_up_with_our_envelope_and_everything_else_as_it_was() {
    let taken = json!({
        "messaging_product": "whatsapp", "contacts": [{"input": "+16505551234", "wa_id": "16505551234"}],
        "messages": [{"id": "wamid.HBgL"}],
    });
    let run = send(text(2), answer(200, &taken));
    let accepted = run.outcome.unwrap();
    assert_eq!(accepted.upstream_id, "wamid.HBgL");
    assert_eq!(accepted.recipient_id.as_deref(), Some("16505551234"));
    let request = request(&run.requests);
    assert_eq!(request.method, "POST");
    assert_eq!(request.url, "https://graph.facebook.com/v24.0/106540352242922/messages");
    assert!(request.headers.contains(&("authorization".to_owned(), "Bearer the-token".to_owned())));
    assert_eq!(
        body(request),
        json!({
            "messaging_product": "whatsapp", "recipient_type": "individual", "to": "+16505551234", "type": "text",
            "text": {"body": "hi"}, "biz_opaque_callback_data": "1.2", "context": {"message_id": "wamid.x"},
            "news_of_tomorrow": [1],
        })
    );
}

#[test]
fn a_person_without_a_number_is_addressed_by_user_id() {
    let content = json!({"to": null, "type": "text", "text": {"body": "hi"}});
    let taken = json!({"contacts": [{"user_id": "US.1"}], "messages": [{"id": "wamid.1"}]});
    let run = send(message(content, json!({"user_id": "US.1"}), 1), answer(200, &taken));
    assert_eq!(run.outcome.unwrap().recipient_id.as_deref(), Some("US.1"));
    let sent = body(request(&run.requests));
    assert_eq!(sent["recipient"], "US.1");
    assert_eq!(sent.get("to"), None);
}

#[test]
fn every_class_decides_what_becomes_of_the_message() {
    for (code, _, class, name) in CODES {
        for attempt in [1, 2] {
            let outcome = send(text(attempt), refusal(400, *code)).outcome.unwrap_err();
            let fits = match class {
                Class::Backoff => {
                    matches!(&outcome, SendError::RetryAfter { .. } | SendError::RateLimited { .. })
                }
                Class::Pair => matches!(&outcome, SendError::RateLimited { scope: RateScope::Pair, .. }),
                Class::RetryOnce if attempt == 1 => matches!(&outcome, SendError::RetryAfter { .. }),
                Class::HoldFiveMinutes => matches!(&outcome, SendError::RateLimited { after_ms: 300_000, .. }),
                Class::HoldTenMinutes => matches!(&outcome, SendError::RetryAfter { after_ms: Some(600_000), .. }),
                Class::HoldOneHour => matches!(&outcome, SendError::RetryAfter { after_ms: Some(3_600_000), .. }),
                Class::HoldOneDay | Class::HoldThreeDays | Class::PauseChannel => {
                    matches!(&outcome, SendError::ChannelDown { needs_operator: true, .. })
                }
                Class::Bug => matches!(&outcome, SendError::Internal { .. }),
                _ => matches!(&outcome, SendError::Rejected { .. }),
            };
            assert!(fits, "{code} {name} ({class:?}), attempt {attempt}: {outcome:?}");
            assert_eq!(outcome.error().code, Some(*code));
            assert_eq!(outcome.error().details.as_deref(), Some("What was wrong."));
            assert_eq!(outcome.error().raw.as_ref().unwrap()["fbtrace_id"], "x", "the error is kept as it came");
        }
    }
}

#[test]
fn a_pair_waits_four_times_as_long_each_time() {
    let wait = |attempt| match send(text(attempt), refusal(400, 131_056)).outcome.unwrap_err() {
        SendError::RateLimited { after_ms, .. } => after_ms,
        other => panic!("{other:?}"),
    };
    assert_eq!([1, 2, 3, 4].map(wait), [1_000, 4_000, 16_000, 64_000]);
    assert_eq!(wait(1_000), 1_024_000);
}

#[test]
fn what_may_have_been_taken_is_ambiguous_and_never_refused() {
    let page = |status| testing::json_response(status, "<html>Bad gateway</html>");
    let lost = || IoAnswer::HttpFailed(HttpError::Unknown { details: "reset".to_owned() });
    for answer in [page(500), page(502), page(504), page(408), page(200), lost(), answer(200, &json!({"messages": []}))]
    {
        let outcome = send(text(1), answer).outcome.unwrap_err();
        assert!(matches!(outcome, SendError::Ambiguous { .. }), "{outcome:?}");
    }
}

#[test]
fn what_was_not_taken_may_be_sent_again() {
    let unsent = IoAnswer::HttpFailed(HttpError::NotSent { details: "no route".to_owned() });
    assert!(matches!(send(text(1), unsent).outcome, Err(SendError::RetryAfter { .. })));
    let busy = testing::json_response(429, "slow down");
    assert!(matches!(send(text(1), busy).outcome, Err(SendError::RetryAfter { .. })));
}

#[test]
fn somebody_who_does_not_speak_the_api_closes_the_channel_and_burns_no_attempt() {
    for status in [301, 404, 405] {
        let outcome = send(text(1), testing::json_response(status, "<html></html>")).outcome;
        assert!(matches!(outcome, Err(SendError::ChannelDown { needs_operator: true, .. })), "{status}: {outcome:?}");
    }
}

#[test]
fn wrong_settings_close_the_channel_and_send_nothing() {
    let mut wrong = text(1);
    wrong.connection["access_token"] = json!("");
    let run = testing::send(&WhatsAppCloud, wrong, testing::agree);
    assert!(matches!(run.outcome, Err(SendError::ChannelDown { needs_operator: true, .. })));
    assert!(run.requests.is_empty());
}

#[test]
fn operations_on_numbers_ask_as_documented() {
    let done = || answer(200, &json!({"success": true}));
    let sender = Sender { id: "7".to_owned(), phone: "15550783881".to_owned() };
    let asked = CodeRequest {
        sender: sender.clone(),
        connection: connection(),
        method: CodeMethod::Sms,
        language: "en_US".to_owned(),
        at_ms: 0,
    };
    let run = testing::request_code(&WhatsAppCloud, asked, |_| done());
    assert!(run.outcome.is_ok());
    let sent = request(&run.requests);
    assert!(sent.url.ends_with("/106540352242922/request_code"), "{}", sent.url);
    assert_eq!(body(sent), json!({"code_method": "SMS", "language": "en_US"}));

    let registration =
        || Registration { sender: sender.clone(), connection: connection(), pin: "123456".into(), at_ms: 0 };
    let run = testing::register(&WhatsAppCloud, registration(), |_| done());
    assert!(run.outcome.is_ok());
    assert_eq!(body(request(&run.requests)), json!({"messaging_product": "whatsapp", "pin": "123456"}));

    let register = |answer: IoAnswer| {
        let mut answer = Some(answer);
        testing::register(&WhatsAppCloud, registration(), |_| answer.take().unwrap()).outcome.unwrap_err()
    };
    assert!(matches!(register(refusal(400, 133_005)), NumberError::WrongCode { .. }));
    assert!(matches!(register(refusal(400, 133_016)), NumberError::RateLimited { after_ms: Some(259_200_000), .. }));
    assert!(matches!(register(refusal(401, 190)), NumberError::Unavailable { needs_operator: true, .. }));
    assert!(matches!(register(refusal(500, 131_000)), NumberError::Unavailable { needs_operator: false, .. }));
    assert!(matches!(register(answer(200, &json!({}))), NumberError::Ambiguous { .. }));
}

#[test]
fn neither_token_nor_code_is_logged() {
    let refused = send(text(1), refusal(401, 190));
    assert!(refused.log.iter().all(|line| !line.text.contains("the-token")));
    assert!(!format!("{:?}", refused.outcome).contains("the-token"));
    let _ = Payload::default();
}
