use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use waystation_adapter_sdk::testing::{self, Run};
use waystation_adapter_sdk::wire::{IoAnswer, IoOp};
use waystation_adapter_sdk::{
    Accepted, Callback, CodeDelivery, CodeMethod, Event, MEDIA_READ_MAX_BYTES, MarkError, MediaUpload, NumberError,
    Outbound, RateScope, ReceiptStatus, ReceiveError, ScheduledCallback, SendError, StatusEvent, TransportAdapter,
};

use crate::Sandbox;

const ACCEPTED_AT_MS: i64 = 1_750_000_000_000;

fn message(suffix: &str) -> Outbound {
    serde_json::from_value(json!({
        "message_id": "msg_1", "attempt": 1, "attempt_ref": "msg_1.1",
        "accepted_at_ms": ACCEPTED_AT_MS, "attempt_at_ms": ACCEPTED_AT_MS,
        "sender": {"id": "snd_1", "phone": "15550001111"}, "recipient": {"phone": format!("1555000{suffix}")},
        "kind": "text", "body": {"type": "text", "text": {"body": "hi"}}, "text": "hi",
    }))
    .unwrap()
}

fn at(suffix: &str, attempt: u32, elapsed_ms: i64) -> Outbound {
    Outbound {
        attempt,
        attempt_ref: format!("msg_1.{attempt}"),
        attempt_at_ms: ACCEPTED_AT_MS + elapsed_ms,
        ..message(suffix)
    }
}

fn send(message: Outbound) -> Run<Result<Accepted, SendError>> {
    testing::send(&Sandbox, message, testing::agree)
}

fn callbacks(requests: &[IoOp]) -> Vec<ScheduledCallback> {
    let mut found = requests.iter().filter_map(|op| match op {
        IoOp::Callbacks(callbacks) => Some(callbacks.clone()),
        _ => None,
    });
    let callbacks = found.next().unwrap_or_default();
    assert_eq!(found.count(), 0, "all receipts of a message are stored at once");
    callbacks
}

fn receive(body: impl Into<waystation_adapter_sdk::Payload>) -> Result<Vec<Event>, ReceiveError> {
    let callback = Callback::new(body, Value::Null, ACCEPTED_AT_MS);
    testing::receive(&Sandbox, callback, testing::agree).outcome.map(|received| received.events)
}

/// What a message's receipts say, in the order they arrive.
fn receipts(run: &Run<Result<Accepted, SendError>>) -> Vec<StatusEvent> {
    let mut callbacks = callbacks(&run.requests);
    callbacks.sort_by_key(|callback| callback.after_ms);
    let events = callbacks.into_iter().flat_map(|callback| receive(callback.body).unwrap());
    events
        .map(|event| match event {
            Event::Status(status) => status,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn statuses(suffix: &str) -> Vec<ReceiptStatus> {
    let run = send(message(suffix));
    let accepted = run.outcome.as_ref().unwrap();
    let receipts = receipts(&run);
    for receipt in &receipts {
        assert_eq!(receipt.upstream_id, accepted.upstream_id);
        assert_eq!(receipt.attempt_ref.as_deref(), Some("msg_1.1"));
        assert_eq!(receipt.recipient_id, accepted.recipient_id);
        assert!(receipt.at_ms >= ACCEPTED_AT_MS, "{receipt:?}");
    }
    receipts.iter().map(|receipt| receipt.status).collect()
}

use ReceiptStatus::{Delivered, Read, Sent};

#[test]
fn phones_read_by_default() {
    assert_eq!(statuses("0001"), [Delivered, Read]);
    assert_eq!(statuses("4242"), [Delivered, Read]);
    assert!(send(Outbound { recipient: Default::default(), ..message("0001") }).outcome.is_ok());
}

#[test]
fn receipts_can_be_missing() {
    assert_eq!(statuses("0002"), [Delivered]);
    assert_eq!(statuses("0003"), [Read]);
    assert_eq!(statuses("0007"), []);
}

#[test]
fn receipts_can_be_reversed() {
    assert_eq!(statuses("0004"), [Read, Delivered, Sent]);
}

#[test]
fn receipts_can_come_twice() {
    assert_eq!(statuses("0006"), [Delivered, Delivered, Read, Read]);
}

#[test]
fn receipts_can_precede_the_answer() {
    let run = send(message("0005"));
    assert!(callbacks(&run.requests).iter().all(|callback| callback.after_ms == 0));
    assert!(matches!(run.requests[..], [IoOp::Callbacks(_), IoOp::Sleep { ms: 250 }]));
    assert_eq!(statuses("0005"), [Sent, Delivered, Read]);
}

#[test]
fn an_accepted_message_can_fail() {
    for (suffix, code) in [("0026", 131_026), ("0047", 131_047), ("0049", 131_049), ("0050", 131_050)] {
        let run = send(message(suffix));
        assert!(run.outcome.is_ok());
        let receipts = receipts(&run);
        assert_eq!(receipts.len(), 1);
        assert_eq!(receipts[0].status, ReceiptStatus::Failed);
        let error = receipts[0].error.as_ref().unwrap();
        assert_eq!(error.code, Some(code));
        assert!(error.details.is_some() && !error.title.starts_with("Unknown"));
    }
}

#[test]
fn the_pair_limit_holds_the_first_attempt_and_a_second() {
    let limited = |attempt, elapsed_ms| send(at("0056", attempt, elapsed_ms)).outcome;
    for (attempt, elapsed_ms, wait_ms) in [(1, 0, 1000), (1, 5000, 1000), (2, 400, 600)] {
        match limited(attempt, elapsed_ms) {
            Err(SendError::RateLimited { after_ms, scope: RateScope::Pair, error }) => {
                assert_eq!(after_ms, wait_ms);
                assert_eq!(error.code, Some(131_056));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(limited(2, 1000).is_ok());
}

#[test]
fn the_sender_limit_holds_two_seconds() {
    match send(at("0429", 1, 500)).outcome {
        Err(SendError::RateLimited { after_ms: 1500, scope: RateScope::Sender, error }) => {
            assert_eq!(error.code, Some(130_429));
        }
        other => panic!("{other:?}"),
    }
    assert!(send(at("0429", 1, 2000)).outcome.is_ok());
}

#[test]
fn the_network_can_fail_twice() {
    for attempt in [1, 2] {
        match send(at("0500", attempt, 0)).outcome {
            Err(SendError::RetryAfter { error, .. }) => assert_eq!(error.code, Some(131_000)),
            other => panic!("{other:?}"),
        }
    }
    assert!(send(at("0500", 3, 0)).outcome.is_ok());
}

#[test]
fn the_token_can_expire() {
    let outcome = send(message("0190")).outcome;
    assert!(matches!(outcome, Err(SendError::ChannelDown { needs_operator: true, error }) if error.code == Some(190)));
}

#[test]
fn the_same_input_has_the_same_output() {
    let (first, second) = (send(message("0001")), send(message("0001")));
    assert_eq!(first.outcome, second.outcome);
    assert_eq!(first.requests, second.requests);

    let other_seed = Outbound { connection: json!({"seed": 7}), ..message("0001") };
    let id = |run: Run<Result<Accepted, SendError>>| run.outcome.unwrap().upstream_id;
    let ids = [id(first), id(send(other_seed)), id(send(at("0001", 2, 0)))];
    assert!(ids[0] != ids[1] && ids[0] != ids[2]);
}

#[test]
fn jitter_stays_within_its_share() {
    for seed in 0..200 {
        let connection = json!({"seed": seed, "delivered_after_ms": 1000, "read_after_ms": 3000, "jitter_percent": 50});
        let run = send(Outbound { connection, ..message("0001") });
        let times: Vec<_> = callbacks(&run.requests).iter().map(|callback| callback.after_ms).collect();
        assert!((500..=1500).contains(&times[0]) && (1500..=4500).contains(&times[1]), "{times:?}");
        assert!(times[0] <= times[1]);
    }
    let connection = json!({"delivered_after_ms": 10, "read_after_ms": 5, "jitter_percent": 0});
    let run = send(Outbound { connection, ..message("0001") });
    let times: Vec<_> = callbacks(&run.requests).iter().map(|callback| callback.after_ms).collect();
    assert_eq!(times, [10, 10]);
}

#[test]
fn the_network_can_be_slow() {
    let run = send(Outbound { connection: json!({"send_latency_ms": 40}), ..message("0190") });
    assert_eq!(run.requests, [IoOp::Sleep { ms: 40 }]);
    assert!(run.outcome.is_err());
}

#[test]
fn wrong_settings_need_an_operator() {
    for connection in [json!({"sed": 1}), json!({"jitter_percent": 101}), json!({"read_after_ms": 1e12}), json!("x")] {
        let run = send(Outbound { connection: connection.clone(), ..message("0001") });
        assert!(
            matches!(run.outcome, Err(SendError::ChannelDown { needs_operator: true, .. })),
            "{connection}: {:?}",
            run.outcome
        );
        assert!(run.requests.is_empty());
    }
}

#[test]
fn a_message_whose_receipts_are_not_stored_is_not_taken() {
    let run = testing::send(&Sandbox, message("0001"), |op| testing::fail(op, false));
    assert!(matches!(run.outcome, Err(SendError::RetryAfter { .. })));
    assert_eq!(run.log.len(), 1);
}

#[test]
fn every_status_of_a_batch_is_read() {
    let change = |ids: &[&str]| {
        let statuses: Vec<_> = ids.iter().map(|id| json!({"id": id, "status": "read"})).collect();
        json!({"field": "messages", "value": {"statuses": statuses}})
    };
    let body = json!({"entry": [
        {"changes": [change(&["a", "b"]), change(&["c"])]},
        {"changes": [change(&["d"])]},
    ]});
    let ids: Vec<_> = receive(body.to_string())
        .unwrap()
        .into_iter()
        .map(|event| match event {
            Event::Status(status) => {
                assert_eq!(status.at_ms, ACCEPTED_AT_MS, "without a timestamp it is the time of arrival");
                status.upstream_id
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
}

#[test]
fn nothing_is_dropped_silently() {
    let body = json!({"entry": [
        {"id": "no changes"},
        {"changes": [
            {"field": "account_update", "value": {"event": "x"}},
            {"value": {
                "statuses": [{"status": "read"}, {"id": "a", "status": "vanished"}, {"id": "b"}, 5],
                "messages": [{"id": "m"}],
                "errors": [{"code": 1}],
            }},
        ]},
    ]});
    let events = receive(body.to_string()).unwrap();
    assert_eq!(events.len(), 8);
    let whats: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Unknown { what, .. } => what.as_str(),
            Event::Change(change) => change.field.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(whats[3].contains("entry[1].changes[1].value.statuses[1]") && whats[3].contains("vanished"), "{whats:?}");
}

#[test]
fn malformed_bodies_are_refused() {
    for body in [&b"{"[..], b"[]", b"{\"entry\": 1}", b"\xff\xfe"] {
        assert!(matches!(receive(body.to_vec()), Err(ReceiveError::Malformed { .. })));
    }
}

#[test]
fn the_schema_has_the_defaults() {
    let schema = Sandbox.describe().connection_schema;
    let settings: serde_json::Map<_, _> = schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, property)| (name.clone(), property["default"].clone()))
        .collect();
    assert_eq!(settings.len(), 9);
    let read: crate::Connection = serde_json::from_value(Value::Object(settings)).unwrap();
    assert_eq!(read, crate::Connection::default());
}

fn code_for(phone: &str, method: CodeMethod) -> CodeDelivery {
    CodeDelivery {
        reference: "code 1".to_owned(),
        method,
        phone: phone.to_owned(),
        code: "739184".into(),
        language: "en_US".to_owned(),
        text: "739184 is your code.".to_owned(),
        from: "Waystation".to_owned(),
        connection: Value::Null,
        at_ms: ACCEPTED_AT_MS,
    }
}

#[test]
fn a_code_arrives_at_its_pretend_phone() {
    for (method, from) in [
        (CodeMethod::Sms, "Waystation"),
        (CodeMethod::Voice, "Waystation (call)"),
        (CodeMethod::Whatsapp, "Waystation (WhatsApp)"),
    ] {
        let run = testing::deliver_code(&Sandbox, code_for("15550000001", method), testing::agree);
        assert!(run.outcome.unwrap().upstream_id.is_some());
        assert!(run.log.is_empty());
        let [callback] = &callbacks(&run.requests)[..] else { panic!("{:?}", run.requests) };
        assert!(callback.confidential, "the host must seal it");
        let events = receive(callback.body.as_bytes().to_vec()).unwrap();
        let [Event::PretendPhone(text)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((text.phone.as_str(), text.from.as_str()), ("15550000001", from));
        assert_eq!((text.text.as_str(), text.at_ms), ("739184 is your code.", ACCEPTED_AT_MS));
        assert!(!format!("{text:?} {:?}", run.requests).contains("739184"), "no debug output shows it");
    }
}

#[test]
fn the_last_digits_decide_what_becomes_of_a_code_too() {
    let outcome = |digits: &str| {
        let run =
            testing::deliver_code(&Sandbox, code_for(&format!("1555000{digits}"), CodeMethod::Sms), testing::agree);
        (run.outcome, run.requests.len())
    };
    assert!(matches!(outcome("0007"), (Ok(_), 0)), "taken, and nothing comes");
    assert!(matches!(outcome("0026"), (Err(NumberError::Rejected { .. }), 0)));
    assert!(matches!(outcome("0429"), (Err(NumberError::RateLimited { after_ms: Some(2000), .. }), 0)));
    assert!(matches!(outcome("0500"), (Err(NumberError::Unavailable { needs_operator: false, .. }), 0)));
    assert!(matches!(outcome("0190"), (Err(NumberError::Unavailable { needs_operator: true, .. }), 0)));
    let run = testing::deliver_code(&Sandbox, code_for("15550000001", CodeMethod::Sms), |op| testing::fail(op, false));
    assert!(matches!(run.outcome, Err(NumberError::Unavailable { .. })), "what is not stored was not taken");
}

#[test]
fn what_people_send_is_read_whole_and_each_by_itself() {
    let text = |id: &str| json!({"from": "15550000001", "id": id, "type": "text", "text": {"body": "hi"}});
    let body = json!({"entry": [{"changes": [
        {"field": "messages", "value": {
            "contacts": [{"profile": {"name": "Ada"}, "wa_id": "15550000001", "user_id": "US.1"}],
            "messages": [text("a"), {"id": "b"}, text("c")],
        }},
        {"field": "user_preferences", "value": {
            "user_preferences": [{"wa_id": "15550000001", "category": "marketing_messages", "value": "stop"}],
        }},
    ]}]});
    let events = receive(body.to_string()).unwrap();
    let [Event::Inbound(a), Event::Unknown { what, .. }, Event::Inbound(c), Event::UserPreference(wish)] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((a.upstream_id.as_str(), c.upstream_id.as_str()), ("a", "c"));
    assert_eq!((a.from.profile_name.as_deref(), a.at_ms), (Some("Ada"), ACCEPTED_AT_MS));
    assert_eq!(a.message, text("a"));
    assert!(what.contains("value.messages[1]"), "{what}");
    assert!(wish.is_marketing());
}

#[test]
fn what_was_read_is_marked_unless_the_phone_is_one_that_fails() {
    let mark = |suffix: &str| {
        let mark = serde_json::from_value(json!({
            "sender": {"id": "1", "phone": "15550783881"}, "upstream_id": "wamid.a",
            "from": {"phone": format!("1555000{suffix}")}, "at_ms": ACCEPTED_AT_MS,
        }));
        testing::mark_read(&Sandbox, mark.unwrap(), testing::agree).outcome
    };
    assert_eq!(mark("0001"), Ok(()));
    assert!(matches!(mark("0500"), Err(MarkError::Unavailable { .. })));
}

#[test]
fn a_file_is_read_whole_and_known_until_it_is_forgotten() {
    let content = vec![7_u8; MEDIA_READ_MAX_BYTES as usize + 5];
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let upload = |sha256: &str| MediaUpload {
        purpose: waystation_adapter_sdk::MediaPurpose::Message,
        media_id: "100000000000001".to_owned(),
        sender: waystation_adapter_sdk::Sender { id: "1".to_owned(), phone: "15550783881".to_owned() },
        connection: json!({"forgets_media_after_ms": 1_000}),
        content_type: "image/png".to_owned(),
        file_name: None,
        size_bytes: content.len() as u64,
        sha256: sha256.to_owned(),
        at_ms: 1_750_000_000_000,
    };
    let host = |op: &IoOp| match op {
        IoOp::ReadMedia { offset, max_bytes } => {
            let rest = &content[usize::try_from(*offset).unwrap()..];
            IoAnswer::Media { bytes: rest[..rest.len().min(*max_bytes as usize)].to_vec().into() }
        }
        other => testing::agree(other),
    };
    let run = testing::upload_media(&Sandbox, upload(&sha256), host);
    assert_eq!(run.requests.len(), 3, "two pieces, and the end");
    let uploaded = run.outcome.unwrap();
    assert!(matches!(testing::upload_media(&Sandbox, upload("00"), host).outcome, Err(SendError::Rejected { .. })));

    let message = |id: &str, at_ms: i64| -> Outbound {
        serde_json::from_value(json!({
            "message_id": "wamid.1", "attempt": 1, "attempt_ref": "1.1", "accepted_at_ms": at_ms, "attempt_at_ms": at_ms,
            "sender": {"id": "1", "phone": "15550783881"}, "recipient": {"phone": "16505551234"},
            "connection": {"forgets_media_after_ms": 1_000},
            "kind": "image", "body": {"type": "image", "image": {"id": id}},
        }))
        .unwrap()
    };
    let send = |id: &str, at_ms: i64| testing::send(&Sandbox, message(id, at_ms), testing::agree).outcome;
    assert!(send(&uploaded.upstream_id, 1_750_000_000_999).is_ok());
    for (id, at_ms) in [(uploaded.upstream_id.as_str(), 1_750_000_001_000), ("100000000000001", 1_750_000_000_001)] {
        let Err(SendError::MediaGone { upstream_ids, .. }) = send(id, at_ms) else { panic!("{id} is known") };
        assert_eq!(upstream_ids, [id]);
    }
}
