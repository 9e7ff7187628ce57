//! Guarantee: the receipts of an attempt are fixed when it is accepted: which, when, in what order.
//!
//! They are handed over in one request, so the host stores either all of them or none.

use serde::Serialize;
use serde_json::Value;
use waystation_adapter_sdk::{Outbound, ScheduledCallback};

use crate::Connection;
use crate::behaviour::{self, Behaviour};

/// The pretend business account that webhooks speak for.
const ACCOUNT_ID: &str = "100000000000001";

/// A message leaves the network after this part of its way to the phone.
const SENT_AFTER_PART: u64 = 10;

#[derive(Clone, Copy)]
struct Receipt {
    status: &'static str,
    after_ms: u64,
    arrives_after_ms: u64,
    failure: Option<i64>,
}

/// The network's id of an attempt.
pub(crate) fn upstream_id(seed: u64, attempt_ref: &str) -> String {
    format!("wamid.{:016x}{:016x}", hash(seed, attempt_ref, "id"), hash(seed, attempt_ref, "id, second half"))
}

/// Every receipt of an accepted attempt, as the webhook that brings it.
pub(crate) fn schedule(
    behaviour: Behaviour,
    connection: &Connection,
    message: &Outbound,
    upstream_id: &str,
) -> Vec<ScheduledCallback> {
    let vary = |base_ms: u64, purpose: &str| {
        let reach = base_ms * connection.jitter_percent / 100;
        base_ms - reach + hash(connection.seed, &message.attempt_ref, purpose) % (2 * reach + 1)
    };
    let delivered_ms = vary(connection.delivered_after_ms, "delivered");
    let read_ms = vary(connection.read_after_ms, "read").max(delivered_ms);
    let receipt = |status, after_ms| Receipt { status, after_ms, arrives_after_ms: after_ms, failure: None };
    let sent = receipt("sent", delivered_ms / SENT_AFTER_PART);
    let delivered = receipt("delivered", delivered_ms);
    let read = receipt("read", read_ms);

    let receipts = match behaviour {
        Behaviour::DeliveredOnly => vec![delivered],
        Behaviour::ReadOnly => vec![read],
        Behaviour::Reversed => [(read, sent), (delivered, delivered), (sent, read)]
            .map(|(receipt, turn)| Receipt { arrives_after_ms: turn.after_ms, ..receipt })
            .to_vec(),
        Behaviour::StatusFirst => {
            [sent, delivered, read].map(|receipt| Receipt { after_ms: 0, arrives_after_ms: 0, ..receipt }).to_vec()
        }
        Behaviour::Duplicated => vec![delivered, delivered, read, read],
        Behaviour::Silent => Vec::new(),
        Behaviour::Fails(code) => vec![Receipt { status: "failed", failure: Some(code), ..delivered }],
        Behaviour::Reads
        | Behaviour::PairLimited
        | Behaviour::SenderLimited
        | Behaviour::FailsTwice
        | Behaviour::TokenExpired => vec![delivered, read],
    };
    receipts
        .into_iter()
        .map(|receipt| ScheduledCallback {
            after_ms: receipt.arrives_after_ms,
            body: webhook(message, upstream_id, receipt).into(),
            confidential: false,
        })
        .collect()
}

/// The body of a webhook with one status. Typed, not a tree of values: it is made for every receipt.
#[derive(Serialize)]
struct Webhook<'a> {
    object: &'static str,
    entry: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'static str,
    changes: [Change<'a>; 1],
}

#[derive(Serialize)]
struct Change<'a> {
    field: &'static str,
    value: Update<'a>,
}

#[derive(Serialize)]
struct Update<'a> {
    messaging_product: &'static str,
    metadata: Metadata<'a>,
    statuses: [Status<'a>; 1],
}

#[derive(Serialize)]
struct Metadata<'a> {
    display_phone_number: &'a str,
    phone_number_id: &'a str,
}

#[derive(Serialize)]
struct Status<'a> {
    id: &'a str,
    status: &'static str,
    timestamp: String,
    biz_opaque_callback_data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[Value; 1]>,
}

fn webhook(message: &Outbound, upstream_id: &str, receipt: Receipt) -> Vec<u8> {
    let at_ms = message.attempt_at_ms.saturating_add(i64::try_from(receipt.after_ms).unwrap_or(i64::MAX));
    let status = Status {
        id: upstream_id,
        status: receipt.status,
        timestamp: at_ms.div_euclid(1000).to_string(),
        biz_opaque_callback_data: &message.attempt_ref,
        recipient_id: message.recipient.phone.as_deref(),
        recipient_user_id: message.recipient.user_id.as_deref(),
        errors: receipt.failure.map(|code| [behaviour::error(code).raw.unwrap_or_default()]),
    };
    let value = Update {
        messaging_product: "whatsapp",
        metadata: Metadata { display_phone_number: &message.sender.phone, phone_number_id: &message.sender.id },
        statuses: [status],
    };
    let webhook = Webhook {
        object: "whatsapp_business_account",
        entry: [Entry { id: ACCOUNT_ID, changes: [Change { field: "messages", value }] }],
    };
    serde_json::to_vec(&webhook).expect("a webhook is JSON")
}

/// FNV-1a over the parts, then mixed so that every bit depends on every byte. Not for secrets.
pub(crate) fn hash(seed: u64, attempt_ref: &str, purpose: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let parts = [&seed.to_le_bytes()[..], purpose.as_bytes(), &[0], attempt_ref.as_bytes()];
    for byte in parts.into_iter().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
