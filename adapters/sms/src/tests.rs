//! The whole exchange, octet by octet, without a network.

use std::collections::VecDeque;

use rusmpp_core::CommandId;
use serde_json::json;
use waystation_adapter_sdk::wire::{IoAnswer, IoOp, SendAnswer};
use waystation_adapter_sdk::{Event, Payload, SendError, Sender, testing};

use super::*;
use crate::pdu::{bare, status};

static SMS: Sms = Sms;

type Respond<'s> = dyn FnMut(&Frame) -> Vec<u8> + 's;

/// An SMSC that answers each PDU by script.
struct Smsc<'s> {
    respond: Box<Respond<'s>>,
    to_read: VecDeque<Vec<u8>>,
    got: Vec<Frame>,
    messages: VecDeque<Outbound>,
    tickets: u64,
    concluded: Vec<(u64, SendAnswer)>,
    stored: Vec<Payload>,
    /// Ends the connection when so many messages are concluded and deliveries stored.
    until: usize,
}

impl<'s> Smsc<'s> {
    fn new(texts: &[&str], respond: impl FnMut(&Frame) -> Vec<u8> + 's) -> Self {
        Self {
            respond: Box::new(respond),
            to_read: VecDeque::new(),
            got: Vec::new(),
            messages: texts.iter().map(|text| message(text)).collect(),
            tickets: 0,
            concluded: Vec::new(),
            stored: Vec::new(),
            until: texts.len(),
        }
    }

    fn run(mut self, settings: serde_json::Value) -> (Disconnected, Self) {
        let mut connection = json!({"host": "smsc.example", "system_id": "us", "password": "secret"});
        connection.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let link = Link { sender: Sender { id: "1".to_owned(), phone: "15550001111".to_owned() }, connection };
        let run = testing::connect(&SMS, link, |op| self.answer(op));
        (run.outcome, self)
    }

    fn answer(&mut self, op: &IoOp) -> Option<IoAnswer> {
        match op {
            IoOp::Open(_) => Some(IoAnswer::Opened { stream: 1 }),
            IoOp::Write { bytes, .. } => {
                let mut octets = bytes.as_bytes().to_vec();
                while let Some(frame) = Frame::take(&mut octets).unwrap() {
                    let answer = (self.respond)(&frame);
                    self.got.push(frame);
                    if !answer.is_empty() {
                        self.to_read.push_back(answer);
                    }
                }
                assert!(octets.is_empty(), "half a PDU was written");
                Some(IoAnswer::Written)
            }
            IoOp::Read { .. } => self.to_read.pop_front().map(|octets| IoAnswer::Bytes(octets.into())),
            IoOp::Conclude { ticket, answer } => {
                self.concluded.push((*ticket, answer.clone()));
                Some(IoAnswer::Concluded)
            }
            IoOp::Callbacks(callbacks) => {
                self.stored.extend(callbacks.iter().map(|callback| callback.body.clone()));
                Some(IoAnswer::Stored)
            }
            IoOp::NextSend => match self.messages.pop_front() {
                Some(message) => {
                    self.tickets += 1;
                    Some(IoAnswer::Send { ticket: self.tickets, message: Box::new(message) })
                }
                None if self.concluded.len() + self.stored.len() >= self.until => Some(IoAnswer::NoMoreSends),
                None => None,
            },
            IoOp::Sleep { .. } => Some(IoAnswer::Slept),
            _ => None,
        }
    }

    fn submitted(&self) -> Vec<&Frame> {
        self.got.iter().filter(|frame| frame.is(CommandId::SubmitSm)).collect()
    }
}

fn message(text: &str) -> Outbound {
    serde_json::from_value(json!({
        "message_id": "m", "attempt": 1, "attempt_ref": "m.1", "accepted_at_ms": 0, "attempt_at_ms": 0,
        "sender": {"id": "1", "phone": "15550001111"}, "recipient": {"phone": "15550002222"},
        "kind": "text", "body": {}, "text": text,
    }))
    .unwrap()
}

/// A body with a C string behind the header of a response.
fn response(frame: &Frame, said: u32, id: &str) -> Vec<u8> {
    let mut octets = bare(frame.id | 0x8000_0000, said, frame.sequence);
    if said == status::OK && !id.is_empty() {
        octets.extend(id.as_bytes());
        octets.push(0);
    }
    let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
    octets[..4].copy_from_slice(&length);
    octets
}

/// Takes everything, with ids from 1 on.
fn agreeable() -> impl FnMut(&Frame) -> Vec<u8> {
    let mut last = 0;
    move |frame| {
        if frame.is_response() {
            return Vec::new();
        }
        if frame.is(CommandId::SubmitSm) || frame.is(CommandId::DataSm) {
            last += 1;
            return response(frame, status::OK, &last.to_string());
        }
        response(frame, status::OK, if frame.is(CommandId::BindTransceiver) { "smsc" } else { "" })
    }
}

#[test]
fn the_octets_of_a_session_are_these() {
    let (end, smsc) = Smsc::new(&["Hi €"], agreeable()).run(json!({}));
    assert_eq!(end, Disconnected::Asked);
    assert_eq!(smsc.got[0].bytes, b"\0\0\0\x1f\0\0\0\x09\0\0\0\0\0\0\0\x01us\0secret\0\0\x34\0\0\0");
    let submit = b"\0\x01\x0115550001111\0\x01\x0115550002222\0\0\0\0\0\0\x01\0\0\0\x05Hi \x1b\x65";
    assert_eq!(&smsc.got[1].bytes[pdu::HEADER_BYTES..], submit);
    assert_eq!(smsc.got.last().unwrap().id, 0x06, "it unbinds");
    let [(1, SendAnswer::Accepted(accepted))] = &smsc.concluded[..] else { panic!("{:?}", smsc.concluded) };
    assert_eq!(accepted.upstream_id, "1");
}

#[test]
fn a_long_text_travels_in_parts_or_as_one_payload() {
    let text = "ж".repeat(100);
    let (_, smsc) = Smsc::new(&[&text], agreeable()).run(json!({}));
    let parts = smsc.submitted();
    assert_eq!(parts.len(), 2);
    let header =
        |frame: &Frame, number| frame.bytes.windows(6).any(|six| six[..3] == [5, 0, 3] && six[4..] == [2, number]);
    assert!(header(parts[0], 1) && header(parts[1], 2));
    let [(1, SendAnswer::Accepted(accepted))] = &smsc.concluded[..] else { panic!("{:?}", smsc.concluded) };
    assert_eq!(accepted.upstream_id, "2", "the last part's");

    let (_, smsc) = Smsc::new(&[&text], agreeable()).run(json!({"long_messages": "payload"}));
    assert_eq!(smsc.submitted().len(), 1);
    assert!(smsc.submitted()[0].bytes.windows(4).any(|four| four == [0x04, 0x24, 0, 200]), "message_payload");

    let (_, smsc) = Smsc::new(&["Hi"], agreeable()).run(json!({"submit_with": "data_sm"}));
    assert!(smsc.got.iter().any(|frame| frame.is(CommandId::DataSm)));
}

#[test]
fn no_more_than_the_window_is_outstanding() {
    let most = std::cell::Cell::new(0_usize);
    let open = std::cell::RefCell::new(Vec::<Vec<u8>>::new());
    let mut agree = agreeable();
    // Responds to all of a full window at once.
    let (end, smsc) = Smsc::new(&["a", "b", "c", "d", "e", "f"], |frame| {
        let answer = agree(frame);
        if !frame.is(CommandId::SubmitSm) {
            return answer;
        }
        let mut open = open.borrow_mut();
        open.push(answer);
        most.set(most.get().max(open.len()));
        if open.len() == 3 { std::mem::take(&mut *open).concat() } else { Vec::new() }
    })
    .run(json!({"window": 3, "enquire_link_ms": 600_000, "response_timeout_ms": 600_000}));
    assert_eq!((end, most.get(), smsc.concluded.len()), (Disconnected::Asked, 3, 6));
}

#[test]
fn throttling_is_back_pressure_and_a_refusal_is_final() {
    for (said, expected) in [
        (status::THROTTLED, "rate limited"),
        (status::QUEUE_FULL, "rate limited"),
        (status::SYSTEM_ERROR, "retry later"),
        (status::INVALID_DESTINATION, "rejected"),
        (0x0a, "rejected"),
    ] {
        let mut agree = agreeable();
        let (_, smsc) =
            Smsc::new(
                &["a"],
                |frame| {
                    if frame.is(CommandId::SubmitSm) { response(frame, said, "") } else { agree(frame) }
                },
            )
            .run(json!({}));
        let [(1, SendAnswer::Failed(error))] = &smsc.concluded[..] else { panic!("{:?}", smsc.concluded) };
        assert!(error.to_string().starts_with(expected), "{said:#x}: {error}");
    }
}

#[test]
fn a_part_that_meets_a_throttle_is_submitted_again_alone() {
    let mut agree = agreeable();
    let mut seen = 0;
    let (_, smsc) = Smsc::new(&[&"a".repeat(200)], |frame| {
        seen += usize::from(frame.is(CommandId::SubmitSm));
        if frame.is(CommandId::SubmitSm) && seen == 2 { response(frame, status::THROTTLED, "") } else { agree(frame) }
    })
    .run(json!({}));
    let user_data: Vec<&[u8]> = smsc.submitted().iter().map(|frame| &frame.bytes[pdu::HEADER_BYTES..]).collect();
    assert_eq!(user_data.len(), 3);
    assert_eq!(user_data[1], user_data[2]);
    assert!(matches!(&smsc.concluded[..], [(1, SendAnswer::Accepted(_))]));
}

#[test]
fn a_submission_without_a_response_is_ambiguous() {
    let mut agree = agreeable();
    let (_, smsc) =
        Smsc::new(&["a"], |frame| if frame.is(CommandId::SubmitSm) { Vec::new() } else { agree(frame) }).run(json!({}));
    let [(1, SendAnswer::Failed(SendError::Ambiguous { .. }))] = &smsc.concluded[..] else {
        panic!("{:?}", smsc.concluded)
    };
}

#[test]
fn a_half_open_connection_is_noticed_by_an_enquire_link_without_an_answer() {
    let mut agree = agreeable();
    let mut smsc = Smsc::new(&[], |frame| if frame.is(CommandId::BindTransceiver) { agree(frame) } else { Vec::new() });
    smsc.until = 1;
    let (end, smsc) = smsc.run(json!({}));
    assert!(matches!(end, Disconnected::Lost { needs_operator: false, .. }), "{end:?}");
    assert!(smsc.got.iter().any(|frame| frame.is(CommandId::EnquireLink)));
}

#[test]
fn a_refused_bind_says_whether_a_person_must_act() {
    for (said, by_hand) in [(status::INVALID_PASSWORD, true), (status::INVALID_SYSTEM_ID, true), (0x0d, false)] {
        let (end, _) = Smsc::new(&[], |frame| response(frame, said, "")).run(json!({}));
        assert!(matches!(end, Disconnected::Lost { needs_operator, .. } if needs_operator == by_hand), "{end:?}");
    }
    let (end, _) = Smsc::new(&[], |_| Vec::new()).run(json!({"window": 0}));
    assert!(matches!(end, Disconnected::Lost { needs_operator: true, .. }), "{end:?}");
}

/// A `deliver_sm` by node of the specification: a receipt of message 77.
fn deliver(esm_class: u8, text: &[u8]) -> Vec<u8> {
    let mut octets = bare(0x05, 0, 900);
    octets.extend(b"\0\x01\x0115550002222\0\x01\x0115550001111\0");
    octets.extend([esm_class, 0, 0, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).unwrap()]);
    octets.extend(text);
    let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
    octets[..4].copy_from_slice(&length);
    octets
}

#[test]
fn a_delivery_is_acknowledged_after_it_is_stored_and_read_from_there() {
    let mut agree = agreeable();
    let mut smsc = Smsc::new(&[], |frame| {
        let mut answer = agree(frame);
        if frame.is(CommandId::BindTransceiver) {
            answer.extend(deliver(4, b"id:77 stat:DELIVRD"));
        }
        answer
    });
    smsc.until = 1;
    let (end, smsc) = smsc.run(json!({}));
    assert_eq!((end, smsc.stored.len()), (Disconnected::Asked, 1));
    assert!(smsc.got.iter().any(|frame| frame.is(CommandId::DeliverSmResp) && frame.sequence == 900));
    let callback = |body: Payload| -> Callback {
        let connection = json!({"host": "smsc.example", "system_id": "us"});
        serde_json::from_value(json!({"body": body, "connection": connection, "received_at_ms": 5})).unwrap()
    };
    let run = testing::receive(&SMS, callback(smsc.stored[0].clone()), testing::agree);
    let events = run.outcome.unwrap().events;
    assert!(matches!(&events[..], [Event::Status(event)] if event.upstream_id == "77"), "{events:?}");
    let run = testing::receive(&SMS, callback(deliver(0, b"STOP").into()), testing::agree);
    let events = run.outcome.unwrap().events;
    assert!(
        matches!(&events[..], [Event::Inbound(message)] if message.message["text"]["body"] == "STOP"),
        "{events:?}"
    );
    let run = testing::receive(&SMS, callback(Payload::from("{}")), testing::agree);
    assert!(matches!(run.outcome, Err(ReceiveError::Malformed { .. })));
}

#[test]
fn the_parts_of_what_a_person_writes_come_together_in_any_order() {
    let mut agree = agreeable();
    let mut smsc = Smsc::new(&[], |frame| {
        let mut answer = agree(frame);
        if frame.is(CommandId::BindTransceiver) {
            answer.extend(deliver(0x40, b"\x05\0\x03\x07\x02\x02world"));
            answer.extend(deliver(0x40, b"\x05\0\x03\x07\x02\x01Hello "));
        }
        answer
    });
    smsc.until = 1;
    let (_, smsc) = smsc.run(json!({}));
    assert_eq!(smsc.stored.len(), 1);
    assert_eq!(smsc.got.iter().filter(|frame| frame.is(CommandId::DeliverSmResp)).count(), 2);
    let callback = json!({"body": smsc.stored[0], "received_at_ms": 5});
    let run = testing::receive(&SMS, serde_json::from_value(callback).unwrap(), testing::agree);
    let events = run.outcome.unwrap().events;
    assert!(
        matches!(&events[..], [Event::Inbound(message)] if message.message["text"]["body"] == "Hello world"),
        "{events:?}"
    );
}

#[test]
fn a_part_whose_others_never_come_is_not_lost() {
    let mut agree = agreeable();
    let mut smsc = Smsc::new(&[], |frame| {
        let mut answer = agree(frame);
        if frame.is(CommandId::BindTransceiver) {
            answer.extend(deliver(0x40, b"\x05\0\x03\x07\x02\x01Hello "));
        }
        answer
    });
    smsc.until = 1;
    let (end, smsc) = smsc.run(json!({}));
    assert_eq!((end, smsc.stored.len()), (Disconnected::Asked, 1));
}

#[test]
fn what_the_smsc_said_before_it_ended_the_session_counts() {
    let mut agree = agreeable();
    let texts = ["a"; 100];
    let mut waiting = Vec::new();
    let (end, smsc) = Smsc::new(&texts, |frame| {
        let answer = agree(frame);
        if !frame.is(CommandId::SubmitSm) {
            return answer;
        }
        waiting.push(answer);
        if waiting.len() < 100 {
            return Vec::new();
        }
        let mut all = std::mem::take(&mut waiting).concat();
        all.extend(bare(0x06, 0, 1));
        all
    })
    .run(json!({"window": 100, "enquire_link_ms": 600_000, "response_timeout_ms": 600_000}));
    assert!(matches!(end, Disconnected::Lost { .. }), "{end:?}");
    assert_eq!(smsc.concluded.len(), 100);
    assert!(smsc.concluded.iter().all(|(_, answer)| matches!(answer, SendAnswer::Accepted(_))));
}
