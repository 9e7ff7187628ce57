//! Guarantee: a receipt is read in whichever of the usual dialects it comes: by its parameters where there are any, else by
//! its text, whose words may come in any order, in any case, with or without blanks.

use serde_json::json;
use waystation_adapter_sdk::sms::{read_gsm7, read_ucs2};
use waystation_adapter_sdk::{Event, InboundMessage, Person, ReceiptStatus, StatusEvent, UpstreamError};

use crate::pdu::Delivery;
use crate::settings::MessageIds;

/// Bits of `esm_class` that say that it is a receipt (SMPP 3.4, 5.2.12).
const RECEIPT: u8 = 0x04;
const INTERMEDIATE: u8 = 0x20;

/// What a delivery says. `reference` tells it from every other.
pub(crate) fn read(delivery: &Delivery, ids: MessageIds, at_ms: i64, reference: &str) -> Event {
    let text = text(delivery);
    if delivery.esm_class & (RECEIPT | INTERMEDIATE) == 0 && delivery.receipted_id.is_none() {
        return inbound(delivery, text, at_ms, reference);
    }
    let words = Words(&text);
    let id = delivery.receipted_id.clone().or_else(|| words.find("id"));
    let state = delivery.state.and_then(by_number).or_else(|| words.find("stat").and_then(|word| by_word(&word)));
    let (Some(id), Some(status)) = (id.filter(|id| !id.is_empty()), state) else {
        let what = "a receipt without an id or a known state".to_owned();
        return Event::Unknown { what, raw: json!({"esm_class": delivery.esm_class, "state": delivery.state}) };
    };
    let error = (status == ReceiptStatus::Failed).then(|| {
        let said = words.find("stat").unwrap_or_else(|| "UNDELIV".to_owned());
        let code = words.find("err").unwrap_or_default();
        UpstreamError::with_code(131_026, "The message was not delivered").details(format!("stat:{said} err:{code}"))
    });
    Event::Status(StatusEvent {
        upstream_id: of_receipt(&id, ids),
        attempt_ref: None,
        status,
        at_ms,
        recipient_id: None,
        error,
    })
}

/// The id by which a message is known, from its response.
pub(crate) fn of_response(id: &str, ids: MessageIds) -> String {
    if ids == MessageIds::HexInResponse { decimal(id) } else { id.to_owned() }
}

fn of_receipt(id: &str, ids: MessageIds) -> String {
    if ids == MessageIds::HexInReceipt { decimal(id) } else { id.to_owned() }
}

fn decimal(hex: &str) -> String {
    u128::from_str_radix(hex, 16).map_or_else(|_| hex.to_owned(), |number| number.to_string())
}

fn inbound(delivery: &Delivery, text: String, at_ms: i64, reference: &str) -> Event {
    let phone: String = delivery.from.chars().filter(char::is_ascii_digit).collect();
    let upstream_id = format!("sms.{reference}");
    Event::Inbound(InboundMessage {
        from: Person { phone: Some(phone.clone()), ..Person::default() },
        at_ms,
        kind: "text".to_owned(),
        context_id: None,
        referral: None,
        media: Vec::new(),
        message: json!({
            "from": phone, "id": upstream_id, "timestamp": (at_ms / 1000).to_string(), "type": "text",
            "text": {"body": text},
        }),
        upstream_id,
    })
}

fn text(delivery: &Delivery) -> String {
    let data = delivery.content();
    match delivery.data_coding {
        8 => read_ucs2(data),
        3 => data.iter().map(|octet| char::from(*octet)).collect(),
        1 => String::from_utf8_lossy(data).into_owned(),
        _ => read_gsm7(data),
    }
}

fn by_number(state: u8) -> Option<ReceiptStatus> {
    match state {
        1 | 6 => Some(ReceiptStatus::Sent),
        2 => Some(ReceiptStatus::Delivered),
        3 | 4 | 5 | 8 => Some(ReceiptStatus::Failed),
        _ => None,
    }
}

fn by_word(word: &str) -> Option<ReceiptStatus> {
    let word = word.to_ascii_uppercase();
    // Some SMSCs cut the words at 7 letters, others write them out.
    let known = [
        ("DELIVRD", ReceiptStatus::Delivered),
        ("DELIVERED", ReceiptStatus::Delivered),
        ("ENROUTE", ReceiptStatus::Sent),
        ("ACCEPT", ReceiptStatus::Sent),
        ("BUFFER", ReceiptStatus::Sent),
        ("EXPIRED", ReceiptStatus::Failed),
        ("DELETED", ReceiptStatus::Failed),
        ("UNDELIV", ReceiptStatus::Failed),
        ("REJECT", ReceiptStatus::Failed),
        ("FAILED", ReceiptStatus::Failed),
    ];
    known.iter().find(|(start, _)| word.starts_with(start)).map(|(_, status)| *status)
}

/// The words of a receipt's text.
struct Words<'t>(&'t str);

impl Words<'_> {
    /// What stands behind `name:`.
    fn find(&self, name: &str) -> Option<String> {
        let lower = self.0.to_ascii_lowercase();
        let wanted = format!("{name}:");
        let mut from = 0;
        while let Some(at) = lower[from..].find(&wanted).map(|at| at + from) {
            from = at + wanted.len();
            if at > 0 && lower.as_bytes()[at - 1].is_ascii_alphanumeric() {
                continue;
            }
            let rest = self.0[from..].trim_start();
            let word = rest.split_whitespace().next().unwrap_or_default();
            return Some(word.to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(text: &str) -> Delivery {
        Delivery { esm_class: RECEIPT, user_data: text.as_bytes().to_vec(), data_coding: 1, ..Delivery::default() }
    }

    fn status(delivery: &Delivery, ids: MessageIds) -> (String, ReceiptStatus) {
        match read(delivery, ids, 5, "1") {
            Event::Status(event) => (event.upstream_id, event.status),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn receipts_are_read_in_the_usual_dialects() {
        let usual =
            "id:7bf9 sub:001 dlvrd:001 submit date:2611241200 done date:2611241201 stat:DELIVRD err:000 text:Hi";
        assert_eq!(status(&receipt(usual), MessageIds::Same), ("7bf9".to_owned(), ReceiptStatus::Delivered));
        assert_eq!(status(&receipt("ID: 12 STAT: undeliverable ERR:027"), MessageIds::Same).1, ReceiptStatus::Failed);
        assert_eq!(status(&receipt("stat:EXPIRED id:12"), MessageIds::Same), ("12".to_owned(), ReceiptStatus::Failed));
        assert_eq!(status(&receipt("id:9 stat:ACCEPTD"), MessageIds::Same).1, ReceiptStatus::Sent);
        let by_parameters = Delivery { receipted_id: Some("55".to_owned()), state: Some(5), ..Delivery::default() };
        assert_eq!(status(&by_parameters, MessageIds::Same), ("55".to_owned(), ReceiptStatus::Failed));
        assert!(matches!(read(&receipt("hello"), MessageIds::Same, 5, "1"), Event::Unknown { .. }));
        assert!(matches!(read(&receipt("id:1 stat:UNKNOWN"), MessageIds::Same, 5, "1"), Event::Unknown { .. }));
    }

    #[test]
    fn hexadecimal_and_decimal_ids_meet() {
        assert_eq!(of_response("7BF9", MessageIds::HexInResponse), "31737");
        assert_eq!(status(&receipt("id:31737 stat:DELIVRD"), MessageIds::HexInResponse).0, "31737");
        assert_eq!(status(&receipt("id:7bf9 stat:DELIVRD"), MessageIds::HexInReceipt).0, "31737");
        assert_eq!(of_response("no-number", MessageIds::HexInResponse), "no-number");
    }

    #[test]
    fn what_people_send_is_read_in_every_coding() {
        for (data_coding, octets, expected) in
            [(0, &[0x02, 0x1b, 0x65][..], "$€"), (1, b"STOP", "STOP"), (3, &[0xe9], "é"), (8, &[0x04, 0x36], "ж")]
        {
            let from = "+15550001111".to_owned();
            let delivery = Delivery { from, data_coding, user_data: octets.to_vec(), ..Delivery::default() };
            let Event::Inbound(message) = read(&delivery, MessageIds::Same, 5, "1") else { panic!("no message") };
            assert_eq!(message.message["text"]["body"], expected);
            assert_eq!(message.from.phone.as_deref(), Some("15550001111"));
        }
    }
}
