//! What a send through the C boundary costs: the request written, copied and read, the adapter's future made and run, its
//! answer written, copied and read. The adapter does nothing but accept. Run with
//! `cargo bench --package waystation-adapter-sdk`; `json alone` is the part that no boundary could save.

#![allow(unsafe_code, reason = "hands the table of the adapter to the caller")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{json, value::RawValue};
use waystation_adapter_sdk::{
    Accepted, Capabilities, Channel, Description, Io, Outbound, Recipient, SendError, Sender, TransportAdapter,
    async_trait,
    caller::Entry,
    wire::{SendAnswer, Start, StartRef, Step},
};

/// Takes everything at once.
#[derive(Default)]
struct Taker;

#[async_trait]
impl TransportAdapter for Taker {
    fn describe(&self) -> Description {
        Description {
            name: "taker".to_owned(),
            version: "1.0.0".to_owned(),
            channel: Channel::Sms,
            capabilities: Capabilities::default(),
            connection_schema: json!({"type": "object"}),
        }
    }

    async fn send(&self, _io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        Ok(Accepted { upstream_id: message.attempt_ref, recipient_id: None })
    }
}

waystation_adapter_sdk::export_adapter!(Taker);

/// A message of 500 bytes.
fn message() -> Outbound {
    let text = "Your order 4711 is on its way and arrives tomorrow between nine and eleven. ".repeat(4);
    let mut body =
        json!({"messaging_product": "whatsapp", "to": "16505551234", "type": "text", "text": {"body": text}});
    body["text"]["body"] = json!(&text[..text.len().min(410)]);
    Outbound {
        message_id: "wamid.01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C".to_owned(),
        attempt: 1,
        attempt_ref: "01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C.1".to_owned(),
        accepted_at_ms: 1_764_000_000_000,
        attempt_at_ms: 1_764_000_000_010,
        sender: Sender { id: "106540352242922".to_owned(), phone: "15550783881".to_owned() },
        connection: json!({}),
        recipient: Recipient { phone: Some("16505551234".to_owned()), user_id: None },
        kind: "text".to_owned(),
        body: RawValue::from_string(body.to_string()).expect("it is JSON"),
        text: String::new(),
    }
}

fn boundary(criterion: &mut Criterion) {
    // SAFETY: the table is this binary's own.
    let plugin = unsafe { Entry::new(adapter_table()) }.plugin().expect("a table of this SDK");
    let message = message();
    criterion.bench_function("a send through the boundary", |bench| {
        bench.iter(|| {
            let input = serde_json::to_vec(&StartRef::send(black_box(&message))).expect("it can be written");
            let (_, _, answer) = plugin.start(&input);
            let step: Step = serde_json::from_slice(answer.bytes().expect("an answer")).expect("it can be read");
            assert!(matches!(step.send, Some(SendAnswer::Accepted(_))));
        });
    });
    criterion.bench_function("json alone", |bench| {
        bench.iter(|| {
            let input = serde_json::to_vec(&StartRef::send(black_box(&message))).expect("it can be written");
            let start: Start = serde_json::from_slice(&input).expect("it can be read");
            black_box(start.message.is_some())
        });
    });
}

criterion_group!(benches, boundary);
criterion_main!(benches);
