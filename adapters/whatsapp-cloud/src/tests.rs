//! Each request against what the API documents, and each answer against what follows from it.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use waystation_adapter_sdk::{
    Admission, Callback, CodeMethod, CodeRequest, Event, HttpError, HttpRequest, ManagementError, MarkError,
    MediaPurpose, MediaQuery, MediaUpload, NumberError, Outbound, Payload, Person, ProfileRequest, RateScope, ReadMark,
    ReceiptStatus, ReceiveError, Registration, SendError, Sender, TemplateRef, TemplateStatus, TemplateSubmission,
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
    assert!(matches!(send(text(1), unsent).outcome, Err(SendError::ChannelDown { needs_operator: false, .. })));
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
}

fn signature(body: &[u8]) -> (String, String) {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"the-secret").unwrap();
    mac.update(body);
    ("x-hub-signature-256".to_owned(), format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

fn callback(body: &[u8]) -> Callback {
    Callback { headers: vec![signature(body)], ..Callback::new(body.to_vec(), connection(), 1_750_000_000_000) }
}

fn admit(callback: Callback) -> Result<Admission, ReceiveError> {
    testing::admit(&WhatsAppCloud, callback, testing::agree).outcome
}

#[test]
fn a_callback_is_kept_if_its_signature_fits_the_bytes_as_they_came() {
    // Escaped as Meta does it: a body that is parsed and written again has other bytes.
    let body = br#"{"entry":[],"text":"a\u0040b.c \/ \ud83d\ude00"}"#;
    assert_eq!(admit(callback(body)), Ok(Admission::kept()));
    let turned_away = |change: fn(&mut Callback)| {
        let mut callback = callback(body);
        change(&mut callback);
        let outcome = admit(callback);
        assert_eq!(outcome, Err(ReceiveError::BadSignature), "{outcome:?}");
    };
    turned_away(|callback| callback.headers.clear());
    turned_away(|callback| callback.body = Payload::from("{}"));
    turned_away(|callback| callback.connection["app_secret"] = json!("another"));
    turned_away(|callback| callback.headers[0].1.truncate(20));
    turned_away(|callback| callback.headers[0].1 = "sha256=".to_owned());
    turned_away(|callback| callback.headers[0].1 = callback.headers[0].1.replace("sha256=", "sha1="));
    turned_away(|callback| callback.headers[0].1 = callback.headers[0].1.replace("sha256=", "sha256=zz"));
}

#[test]
fn the_challenge_is_given_back_to_who_knows_the_token() {
    let ask = |mode: &str, token: &str, expected: Option<&str>| {
        let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut callback = Callback::new("", connection(), 0);
        callback.method = "GET".to_owned();
        callback.query = vec![
            parameter("hub.mode", mode),
            parameter("hub.challenge", "1158201444"),
            parameter("hub.verify_token", token),
        ];
        callback.connection["verify_token"] = json!(expected);
        admit(callback)
    };
    assert_eq!(ask("subscribe", "tea", Some("tea")), Ok(Admission::answered(200, "1158201444")));
    assert_eq!(ask("subscribe", "coffee", Some("tea")), Err(ReceiveError::BadSignature));
    assert_eq!(ask("subscribe", "", Some("tea")), Err(ReceiveError::BadSignature));
    assert!(matches!(ask("subscribe", "", None), Err(ReceiveError::Malformed { .. })));
    assert!(matches!(ask("unsubscribe", "tea", Some("tea")), Err(ReceiveError::Malformed { .. })));
}

fn receive(body: &Value) -> Vec<Event> {
    let callback = Callback::new(body.to_string(), connection(), 1_750_000_000_000);
    testing::receive(&WhatsAppCloud, callback, testing::agree).outcome.unwrap().events
}

fn change(number: &str, items: &Value) -> Value {
    let mut value = items.clone();
    value["metadata"] = json!({"display_phone_number": "15550783881", "phone_number_id": number});
    json!({"field": "messages", "value": value})
}

#[test]
fn a_body_of_a_thousand_updates_is_a_thousand_events_in_order() {
    let changes: Vec<Value> = (0..1_000)
        .map(|n| match n % 2 {
            0 => change(
                "106540352242922",
                &json!({"statuses": [
                    {"id": format!("wamid.{n}"), "status": "delivered", "timestamp": "1750000000"},
                ]}),
            ),
            _ => change(
                "106540352242922",
                &json!({"messages": [
                    {"id": format!("wamid.{n}"), "from": "16505551234", "timestamp": "1750000000", "type": "text",
                     "text": {"body": "hi"}},
                ]}),
            ),
        })
        .collect();
    let entries: Vec<Value> = changes.chunks(7).map(|changes| json!({"id": "1", "changes": changes})).collect();
    let events = receive(&json!({"object": "whatsapp_business_account", "entry": entries}));
    assert_eq!(events.len(), 1_000);
    for (n, event) in events.iter().enumerate() {
        let id = match event {
            Event::Status(status) if n % 2 == 0 => &status.upstream_id,
            Event::Inbound(message) if n % 2 == 1 => &message.upstream_id,
            other => panic!("{n}: {other:?}"),
        };
        assert_eq!(*id, format!("wamid.{n}"));
    }
}

#[test]
fn a_receipt_brings_the_reference_of_its_attempt_back() {
    let events = receive(&json!({"entry": [{"changes": [change("106540352242922", &json!({"statuses": [{
        "id": "wamid.1", "status": "failed", "timestamp": "1750030073", "biz_opaque_callback_data": "1.2",
        "errors": [{"code": 131026, "title": "Message undeliverable", "error_data": {"details": "Not on WhatsApp."}}],
    }]}))]}]}));
    let [Event::Status(status)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(status.attempt_ref.as_deref(), Some("1.2"));
    assert_eq!(status.status, ReceiptStatus::Failed);
    assert_eq!(status.at_ms, 1_750_030_073_000);
    assert_eq!(status.error.as_ref().unwrap().code, Some(131_026));
}

#[test]
fn what_is_said_of_another_number_is_not_this_senders() {
    let status = json!({"statuses": [{"id": "wamid.1", "status": "read"}]});
    let events =
        receive(&json!({"entry": [{"changes": [change("999", &status), change("106540352242922", &status)]}]}));
    assert!(matches!(events.as_slice(), [Event::Status(_), Event::Unknown { .. }]), "{events:?}");
}

#[test]
fn reading_is_reported_with_and_without_typing() {
    let mark = |typing| ReadMark {
        sender: Sender { id: "7".to_owned(), phone: "15550783881".to_owned() },
        connection: connection(),
        upstream_id: "wamid.in".to_owned(),
        from: Person { phone: Some("16505551234".to_owned()), ..Person::default() },
        typing,
        at_ms: 0,
    };
    let run = testing::mark_read(&WhatsAppCloud, mark(false), |_| answer(200, &json!({"success": true})));
    assert_eq!(run.outcome, Ok(()));
    let sent = request(&run.requests);
    assert!(sent.url.ends_with("/106540352242922/messages"));
    assert_eq!(body(sent), json!({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.in"}));
    let run = testing::mark_read(&WhatsAppCloud, mark(true), |_| answer(200, &json!({"success": true})));
    assert_eq!(body(request(&run.requests))["typing_indicator"], json!({"type": "text"}));
    let refused = testing::mark_read(&WhatsAppCloud, mark(false), |_| refusal(400, 100)).outcome;
    assert!(matches!(refused, Err(MarkError::Rejected { .. })));
    let later = testing::mark_read(&WhatsAppCloud, mark(false), |_| refusal(500, 131_000)).outcome;
    assert!(matches!(later, Err(MarkError::Unavailable { .. })));
}

fn upload(purpose: MediaPurpose) -> MediaUpload {
    MediaUpload {
        media_id: "100000000000001".to_owned(),
        sender: Sender { id: "7".to_owned(), phone: "15550783881".to_owned() },
        connection: connection(),
        purpose,
        content_type: "application/pdf".to_owned(),
        file_name: Some("Q3 \"final\".pdf".to_owned()),
        size_bytes: 3,
        sha256: "ab".repeat(32),
        at_ms: 1_750_000_000_000,
    }
}

#[test]
fn a_file_goes_up_in_one_form_around_its_bytes() {
    let taken = answer(200, &json!({"id": "1037543291543636"}));
    let run = testing::upload_media(&WhatsAppCloud, upload(MediaPurpose::Message), |_| taken.clone());
    let uploaded = run.outcome.unwrap();
    assert_eq!(uploaded.upstream_id, "1037543291543636");
    assert_eq!(uploaded.expires_at_ms, Some(1_750_000_000_000 + 30 * 24 * 3_600_000));
    let [IoOp::HttpWithMedia { request, after }] = run.requests.as_slice() else { panic!("{:?}", run.requests) };
    assert_eq!(request.url, "https://graph.facebook.com/v24.0/106540352242922/media");
    let boundary = format!("waystation-{}", "ab".repeat(32));
    let form = ("content-type".to_owned(), format!("multipart/form-data; boundary={boundary}"));
    assert!(request.headers.contains(&form), "{:?}", request.headers);
    let before = [
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n"),
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"type\"\r\n\r\napplication/pdf\r\n"),
        format!("--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"Q3 %22final%22.pdf\"\r\n"),
        "content-type: application/pdf\r\n\r\n".to_owned(),
    ];
    assert_eq!(request.body.as_str(), Some(before.concat().as_str()));
    assert_eq!(after.as_str(), Some(format!("\r\n--{boundary}--\r\n").as_str()));
}

#[test]
fn a_sample_goes_up_in_a_session_and_is_named_by_its_handle() {
    let run = testing::upload_media(&WhatsAppCloud, upload(MediaPurpose::Sample), |op| match op {
        IoOp::Http(_) => answer(200, &json!({"id": "upload:MTph?sig=ARZ"})),
        _ => answer(200, &json!({"h": "4::aW"})),
    });
    assert_eq!(run.outcome.unwrap().upstream_id, "4::aW");
    let [IoOp::Http(session), IoOp::HttpWithMedia { request, after }] = run.requests.as_slice() else {
        panic!("{:?}", run.requests)
    };
    assert_eq!(
        session.url,
        "https://graph.facebook.com/v24.0/app/uploads?file_length=3&file_type=application%2Fpdf&file_name=Q3+%22final%22.pdf"
    );
    assert_eq!(request.url, "https://graph.facebook.com/v24.0/upload:MTph?sig=ARZ");
    assert!(request.headers.contains(&("file_offset".to_owned(), "0".to_owned())));
    assert!(request.headers.contains(&("authorization".to_owned(), "OAuth the-token".to_owned())));
    assert!(request.body.as_bytes().is_empty() && after.as_bytes().is_empty());
}

#[test]
fn a_file_that_the_upstream_does_not_know_is_given_to_it_again() {
    let image = |attempt| {
        let content = json!({"type": "image", "image": {"id": "17"}});
        message(content, json!({"phone": "16505551234"}), attempt)
    };
    let said = |code: i64, words: &str| {
        answer(
            400,
            &json!({"error": {"code": code, "message": format!("(#{code}) {words}"), "type": "OAuthException"}}),
        )
    };
    let gone = "Param image['id'] is not a valid whatsapp business account media attachment ID";
    for attempt in [1, 2] {
        let outcome = send(image(attempt), said(131_009, gone)).outcome;
        assert!(matches!(outcome, Err(SendError::MediaGone { .. })), "{outcome:?}");
    }
    let outcome = send(image(1), said(131_053, "Media upload error")).outcome;
    assert!(matches!(outcome, Err(SendError::MediaGone { .. })), "{outcome:?}");
    // Of one that was just given again, and of what names no file, it means what it says.
    let outcome = send(image(2), said(131_053, "Media upload error")).outcome;
    assert!(matches!(outcome, Err(SendError::Rejected { .. })), "{outcome:?}");
    for (message, code) in [(image(1), 131_026), (text(1), 131_009)] {
        let outcome = send(message, said(code, gone)).outcome;
        assert!(matches!(outcome, Err(SendError::Rejected { .. })), "{code}: {outcome:?}");
    }
}

fn media_query(id: &str) -> MediaQuery {
    MediaQuery {
        sender: Sender { id: "7".to_owned(), phone: "15550783881".to_owned() },
        connection: connection(),
        upstream_id: id.to_owned(),
        at_ms: 0,
    }
}

#[test]
fn a_file_of_a_person_is_where_the_upstream_says_and_nothing_is_said_in_clear() {
    let found = |url: &str, size: Value| {
        let body = json!({
            "url": url, "mime_type": "image/jpeg", "sha256": "AB".repeat(32), "file_size": size, "id": "17",
            "messaging_product": "whatsapp",
        });
        testing::locate_media(&WhatsAppCloud, media_query("17"), |_| answer(200, &body))
    };
    for size in [json!("303833"), json!(303_833)] {
        let run = found("https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=17", size);
        assert_eq!(request(&run.requests).url, "https://graph.facebook.com/v24.0/17", "the number is not named");
        let location = run.outcome.unwrap();
        assert_eq!(location.size_bytes, Some(303_833));
        assert_eq!(location.sha256, Some("ab".repeat(32)));
        assert_eq!(location.request.method, "GET");
        assert!(location.request.headers.contains(&("authorization".to_owned(), "Bearer the-token".to_owned())));
    }
    let outcome = found("http://lookaside.fbsbx.com/17", json!(1)).outcome;
    assert!(matches!(outcome, Err(ManagementError::Rejected { .. })), "{outcome:?}");
    let run = testing::locate_media(&WhatsAppCloud, media_query("../me"), testing::agree);
    assert!(matches!(run.outcome, Err(ManagementError::Rejected { .. })) && run.requests.is_empty());
    let gone = testing::locate_media(&WhatsAppCloud, media_query("17"), |_| refusal(400, 100)).outcome;
    assert!(matches!(gone, Err(ManagementError::Rejected { .. })), "{gone:?}");
    let later = testing::locate_media(&WhatsAppCloud, media_query("17"), |_| refusal(401, 190)).outcome;
    assert!(matches!(later, Err(ManagementError::Unavailable { needs_operator: true, .. })), "{later:?}");
}

fn components() -> Value {
    json!([
        {"type": "BODY", "text": "Hi {{1}}, it ships.", "example": {"body_text": [["Ana"]]}},
        {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"}]},
    ])
}

fn submission(upstream_id: Option<&str>) -> TemplateSubmission {
    serde_json::from_value(json!({
        "sender": {"id": "7", "phone": "15550783881"}, "connection": connection(), "upstream_id": upstream_id,
        "name": "order_shipped", "language": "en_US", "category": "UTILITY", "parameter_format": "positional",
        "components": components(), "ttl_seconds": 3_600, "at_ms": 0,
    }))
    .unwrap()
}

fn named(upstream_id: Option<&str>) -> TemplateRef {
    serde_json::from_value(json!({
        "sender": {"id": "7", "phone": "15550783881"}, "connection": connection(), "upstream_id": upstream_id,
        "name": "order_shipped", "language": "en_US", "components": components(), "at_ms": 0,
    }))
    .unwrap()
}

/// The template at the upstream, as it shows it: with members of its own, and without examples.
fn shown(status: &str, body: &str) -> Value {
    json!({
        "id": "546151681022936", "name": "order_shipped", "language": "en_US", "status": status, "category": "UTILITY",
        "components": [
            {"type": "BODY", "text": body, "seen": true},
            {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"}]},
        ],
        "quality_score": {"score": "GREEN", "date": 1_750_000_000}, "rejected_reason": "NONE",
    })
}

const SUBMITTED: &str = "Hi {{1}}, it ships.";

/// Answers requests one after the other.
fn in_turn(answers: Vec<IoAnswer>) -> impl FnMut(&IoOp) -> IoAnswer {
    let mut answers = answers.into_iter();
    move |op| answers.next().unwrap_or_else(|| panic!("{op:?} was not expected"))
}

/// What was asked, as method and path.
fn asked(requests: &[IoOp]) -> Vec<String> {
    let line = |op: &IoOp| match op {
        IoOp::Http(request) => {
            let path = request.url.strip_prefix("https://graph.facebook.com/v24.0/").expect("the API");
            format!("{} {}", request.method, path.split("&fields").next().unwrap_or_default())
        }
        other => panic!("{other:?}"),
    };
    requests.iter().map(line).collect()
}

fn already_there() -> IoAnswer {
    let error = json!({"error": {"code": 100, "error_subcode": 2_388_024, "message": "Invalid parameter"}});
    answer(400, &error)
}

const CREATED: &str = "POST 102290129340398/message_templates";
const SOUGHT: &str = "GET 102290129340398/message_templates?name=order_shipped&language=en_US";

#[test]
fn a_template_goes_up_as_documented() {
    let taken = answer(200, &json!({"id": "546151681022936", "status": "PENDING", "category": "MARKETING"}));
    let run = testing::submit_template(&WhatsAppCloud, submission(None), in_turn(vec![taken]));
    let report = run.outcome.unwrap();
    assert_eq!(report.upstream_id.as_deref(), Some("546151681022936"));
    assert_eq!((report.status, report.category.as_deref()), (TemplateStatus::Pending, Some("MARKETING")));
    assert_eq!(asked(&run.requests), [CREATED]);
    assert_eq!(
        body(request(&run.requests)),
        json!({
            "name": "order_shipped", "language": "en_US", "category": "UTILITY", "parameter_format": "positional",
            "components": components(), "message_send_ttl_seconds": 3_600,
        })
    );
}

#[test]
fn a_template_that_is_there_already_is_adopted_when_it_says_the_same() {
    for (status, expected) in [("PENDING", TemplateStatus::Pending), ("APPROVED", TemplateStatus::Approved)] {
        let list = answer(
            200,
            &json!({"data": [{"id": "1", "name": "order_shipped_2", "language": "en_US"}, shown(status, SUBMITTED)]}),
        );
        let run = testing::submit_template(&WhatsAppCloud, submission(None), in_turn(vec![already_there(), list]));
        let report = run.outcome.unwrap();
        assert_eq!((report.upstream_id.as_deref(), report.status), (Some("546151681022936"), expected));
        assert_eq!(asked(&run.requests), [CREATED, SOUGHT], "nothing is changed");
    }
}

#[test]
fn a_template_that_is_there_already_and_says_something_else_is_changed() {
    let list = || answer(200, &json!({"data": [shown("APPROVED", "Something else.")]}));
    let done = answer(200, &json!({"success": true}));
    let run = testing::submit_template(&WhatsAppCloud, submission(None), in_turn(vec![already_there(), list(), done]));
    assert_eq!(run.outcome.unwrap().status, TemplateStatus::Pending);
    assert_eq!(asked(&run.requests), [CREATED, SOUGHT, "POST 546151681022936"]);
    let Some(IoOp::Http(edit)) = run.requests.last() else { panic!() };
    let edited = json!({"components": components(), "message_send_ttl_seconds": 3_600});
    assert_eq!(body(edit), edited, "the category is what it was");
    // While the upstream reviews something else, it takes no change: it is tried again.
    let busy = answer(200, &json!({"data": [shown("PENDING", "Something else.")]}));
    let run = testing::submit_template(&WhatsAppCloud, submission(None), in_turn(vec![already_there(), busy]));
    assert!(matches!(run.outcome, Err(ManagementError::Unavailable { needs_operator: false, .. })));
}

#[test]
fn a_change_that_was_made_before_is_not_made_again() {
    let run = testing::submit_template(
        &WhatsAppCloud,
        submission(Some("546151681022936")),
        in_turn(vec![answer(200, &shown("PENDING", SUBMITTED))]),
    );
    assert_eq!(run.outcome.unwrap().status, TemplateStatus::Pending);
    assert_eq!(run.requests.len(), 1);
    // Handed in again after it was turned down, it is to be looked at again.
    let answers = vec![answer(200, &shown("REJECTED", SUBMITTED)), answer(200, &json!({"success": true}))];
    let run = testing::submit_template(&WhatsAppCloud, submission(Some("546151681022936")), in_turn(answers));
    assert_eq!(run.requests.len(), 2);
    assert_eq!(run.outcome.unwrap().status, TemplateStatus::Pending);
    // One that was deleted there is created.
    let taken = answer(200, &json!({"id": "17", "status": "PENDING"}));
    let run = testing::submit_template(
        &WhatsAppCloud,
        submission(Some("546151681022936")),
        in_turn(vec![refusal(404, 803), taken]),
    );
    assert_eq!(run.outcome.unwrap().upstream_id.as_deref(), Some("17"));
}

#[test]
fn the_quota_of_templates_is_waited_for_and_a_refusal_is_final() {
    let submit = |answer: IoAnswer| {
        testing::submit_template(&WhatsAppCloud, submission(None), in_turn(vec![answer])).outcome.unwrap_err()
    };
    assert!(matches!(submit(refusal(400, 80_008)), ManagementError::RateLimited { after_ms: Some(3_600_000), .. }));
    assert!(matches!(submit(refusal(400, 4)), ManagementError::RateLimited { after_ms: Some(3_600_000), .. }));
    assert!(matches!(submit(refusal(400, 2_388_293)), ManagementError::Rejected { .. }));
    assert!(matches!(submit(refusal(500, 2)), ManagementError::Unavailable { needs_operator: false, .. }));
    assert!(matches!(submit(refusal(401, 190)), ManagementError::Unavailable { needs_operator: true, .. }));
    let lost = IoAnswer::HttpFailed(HttpError::Unknown { details: "reset".to_owned() });
    assert!(matches!(submit(lost), ManagementError::Ambiguous { .. }));
    let mut homeless = submission(None);
    homeless.connection.as_object_mut().unwrap().remove("account_id");
    let run = testing::submit_template(&WhatsAppCloud, homeless, testing::agree);
    assert!(run.requests.is_empty());
    assert!(run.outcome.unwrap_err().to_string().contains("account_id"));
}

#[test]
fn a_template_is_reported_with_what_the_upstream_says_of_it() {
    let read = |answers: Vec<IoAnswer>, id: Option<&str>| {
        let run = testing::read_template(&WhatsAppCloud, named(id), in_turn(answers));
        (run.outcome.unwrap(), asked(&run.requests).len())
    };
    let (report, _) = read(vec![answer(200, &shown("APPROVED", SUBMITTED))], Some("546151681022936"));
    assert_eq!((report.status, report.quality.as_deref()), (TemplateStatus::Approved, Some("GREEN")));
    assert_eq!(report.rejection, None);
    // Until it shows what was submitted last, what it says is about what was there before.
    let (report, _) = read(vec![answer(200, &shown("APPROVED", "Before."))], Some("546151681022936"));
    assert_eq!(report.status, TemplateStatus::Pending);
    let mut refused = shown("REJECTED", SUBMITTED);
    refused["rejected_reason"] = json!("INVALID_FORMAT");
    let (report, _) = read(vec![answer(200, &json!({"data": [refused]}))], None);
    assert_eq!((report.status, report.rejection.as_deref()), (TemplateStatus::Rejected, Some("INVALID_FORMAT")));
    let nothing = || answer(200, &json!({"data": []}));
    let (report, requests) = read(vec![refusal(404, 803), nothing()], Some("546151681022936"));
    assert_eq!((report.status, requests), (TemplateStatus::Missing, 2));
    for (status, expected) in [
        ("PAUSED", TemplateStatus::Paused),
        ("DISABLED", TemplateStatus::Disabled),
        ("IN_APPEAL", TemplateStatus::Pending),
        ("NEWS_OF_TOMORROW", TemplateStatus::Pending),
    ] {
        let (report, _) = read(vec![answer(200, &shown(status, SUBMITTED))], Some("546151681022936"));
        assert_eq!(report.status, expected, "{status}");
    }
}

#[test]
fn a_pause_is_ended_where_there_is_one() {
    let unpause = |answers: Vec<IoAnswer>| {
        let run = testing::unpause_template(&WhatsAppCloud, named(Some("546151681022936")), in_turn(answers));
        (run.outcome, asked(&run.requests))
    };
    let paused = || answer(200, &shown("PAUSED", SUBMITTED));
    let (outcome, requests) = unpause(vec![paused(), answer(200, &json!({"success": true}))]);
    assert_eq!(outcome.unwrap().status, TemplateStatus::Approved);
    assert_eq!(requests[1], "POST 546151681022936/unpause");
    let (outcome, requests) = unpause(vec![answer(200, &shown("APPROVED", SUBMITTED))]);
    assert_eq!((outcome.unwrap().status, requests.len()), (TemplateStatus::Approved, 1));
    let (outcome, _) = unpause(vec![paused(), refusal(400, 100)]);
    assert!(matches!(outcome, Err(ManagementError::Rejected { .. })));
}

#[test]
fn a_search_goes_on_until_the_name_is_found() {
    let first = json!({
        "data": [{"id": "1", "name": "order_shipped_late", "language": "en_US"}],
        "paging": {"cursors": {"after": "a b"}, "next": "https://graph.facebook.com/next"},
    });
    let second = json!({"data": [shown("APPROVED", SUBMITTED)]});
    let answers = vec![answer(200, &first), answer(200, &second)];
    let run = testing::read_template(&WhatsAppCloud, named(None), in_turn(answers));
    assert_eq!(run.outcome.unwrap().status, TemplateStatus::Approved);
    let Some(IoOp::Http(last)) = run.requests.last() else { panic!() };
    assert!(last.url.ends_with("&after=a+b"), "{}", last.url);
}

#[test]
fn one_language_of_a_template_is_deleted_and_what_is_gone_stays_gone() {
    let delete = |answers: Vec<IoAnswer>, id: Option<&str>| {
        let run = testing::delete_template(&WhatsAppCloud, named(id), in_turn(answers));
        (run.outcome, asked(&run.requests))
    };
    let done = || answer(200, &json!({"success": true}));
    let deleted = "DELETE 102290129340398/message_templates?name=order_shipped&hsm_id=546151681022936";
    let (outcome, requests) = delete(vec![done()], Some("546151681022936"));
    assert_eq!((outcome.unwrap().status, requests), (TemplateStatus::Missing, vec![deleted.to_owned()]));
    let list = answer(200, &json!({"data": [shown("APPROVED", SUBMITTED)]}));
    let (outcome, requests) = delete(vec![list, done()], None);
    assert!(outcome.is_ok());
    assert_eq!(requests, [SOUGHT, deleted], "without an id all languages would go");
    let (outcome, _) = delete(vec![refusal(404, 803), refusal(404, 803)], Some("546151681022936"));
    assert_eq!(outcome.unwrap().status, TemplateStatus::Missing);
    let there = answer(200, &shown("APPROVED", SUBMITTED));
    let (outcome, _) = delete(vec![refusal(400, 100), there], Some("546151681022936"));
    assert!(matches!(outcome, Err(ManagementError::Rejected { .. })));
}

#[test]
fn a_profile_is_read_in_both_shapes_and_changed_as_asked() {
    let ask = |change: Value| ProfileRequest {
        sender: Sender { id: "7".to_owned(), phone: "15550783881".to_owned() },
        connection: connection(),
        change: change.as_object().cloned().unwrap_or_default(),
        at_ms: 0,
    };
    for shape in [
        json!({"data": [{"about": "Bread", "messaging_product": "whatsapp"}]}),
        json!({"data": [{"business_profile": {"about": "Bread"}}]}),
    ] {
        let run = testing::profile(&WhatsAppCloud, ask(json!({})), |_| answer(200, &shape));
        assert_eq!(run.outcome.unwrap().0["about"], "Bread");
        let sent = request(&run.requests);
        assert_eq!(sent.method, "GET");
        assert!(sent.url.contains("/106540352242922/whatsapp_business_profile?fields=about,"), "{}", sent.url);
    }
    let run =
        testing::profile(&WhatsAppCloud, ask(json!({"about": "Cake"})), |_| answer(200, &json!({"success": true})));
    assert!(run.outcome.is_ok());
    let sent = request(&run.requests);
    assert_eq!(sent.method, "POST");
    assert_eq!(body(sent), json!({"messaging_product": "whatsapp", "about": "Cake"}));
    let refused = testing::profile(&WhatsAppCloud, ask(json!({"about": "Cake"})), |_| refusal(400, 100)).outcome;
    assert!(matches!(refused, Err(ManagementError::Rejected { .. })));
}
