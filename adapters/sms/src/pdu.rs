//! Guarantee: what goes out is well formed by construction, and what comes in is cut at its own length, so one strange
//! PDU does not shift the next.

use bytes::BytesMut;
use rusmpp_core::command::owned::Command;
use rusmpp_core::decode::owned::DecodeWithLength;
use rusmpp_core::encode::{Encode, Length};
use rusmpp_core::pdus::owned::{BindTransceiver, DataSm, Pdu, SubmitSm};
use rusmpp_core::tlvs::owned::{MessageSubmissionRequestTlvValue, TlvValue};
use rusmpp_core::types::owned::{AnyOctetString, COctetString, OctetString};
use rusmpp_core::values::owned::MessagePayload;
use rusmpp_core::values::{DataCoding, EsmClass, InterfaceVersion, Npi, RegisteredDelivery, Ton};
use rusmpp_core::{CommandId, CommandStatus};
use waystation_adapter_sdk::sms::Encoding;

use crate::settings::{Settings, SubmitWith};

/// Octets of a PDU's header.
pub(crate) const HEADER_BYTES: usize = 16;
/// Longest PDU that is read, in octets: more than any operation of 3.4 with a full payload has.
pub(crate) const PDU_MAX_BYTES: usize = 70_000;
/// Set in the id of a response.
const RESPONSE: u32 = 0x8000_0000;

/// `command_status` values that decide something here (SMPP 3.4, 5.1.3).
pub(crate) mod status {
    pub(crate) const OK: u32 = 0x00;
    pub(crate) const INVALID_BIND_STATUS: u32 = 0x04;
    pub(crate) const SYSTEM_ERROR: u32 = 0x08;
    pub(crate) const INVALID_DESTINATION: u32 = 0x0b;
    pub(crate) const INVALID_PASSWORD: u32 = 0x0e;
    pub(crate) const INVALID_SYSTEM_ID: u32 = 0x0f;
    pub(crate) const QUEUE_FULL: u32 = 0x14;
    pub(crate) const SUBMIT_FAILED: u32 = 0x45;
    pub(crate) const THROTTLED: u32 = 0x58;
    pub(crate) const TEMPORARY: u32 = 0x64;
}

/// A PDU as it came: header read, body not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) id: u32,
    pub(crate) status: u32,
    pub(crate) sequence: u32,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
}

impl Frame {
    /// Takes the first PDU off `incoming`, if it is all there.
    pub(crate) fn take(incoming: &mut Vec<u8>) -> Result<Option<Self>, String> {
        let Some(header) = incoming.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = usize::try_from(number(0)).unwrap_or(usize::MAX);
        if !(HEADER_BYTES..=PDU_MAX_BYTES).contains(&length) {
            return Err(format!("a PDU claims {length} octets"));
        }
        if incoming.len() < length {
            return Ok(None);
        }
        let (id, status, sequence) = (number(4), number(8), number(12));
        let rest = incoming.split_off(length);
        Ok(Some(Self { id, status, sequence, bytes: std::mem::replace(incoming, rest) }))
    }

    pub(crate) fn is_response(&self) -> bool {
        self.id & RESPONSE != 0
    }

    pub(crate) fn is(&self, id: CommandId) -> bool {
        self.id == u32::from(id)
    }

    /// The body, when it can be read.
    pub(crate) fn pdu(&self) -> Result<Pdu, String> {
        let mut body = BytesMut::from(&self.bytes[4..]);
        let length = body.len();
        let (command, _) = Command::decode(&mut body, length).map_err(|error| format!("{error:?}"))?;
        command.pdu().cloned().ok_or_else(|| "it has no body".to_owned())
    }

    /// The id that the SMSC gave a message, in a response to a submission.
    pub(crate) fn message_id(&self) -> Option<String> {
        let body = self.bytes.get(HEADER_BYTES..)?;
        let end = body.iter().position(|octet| *octet == 0).unwrap_or(body.len());
        let id = String::from_utf8_lossy(&body[..end]).trim().to_owned();
        (!id.is_empty()).then_some(id)
    }
}

/// A PDU's octets.
pub(crate) fn encode(status: u32, sequence: u32, pdu: impl Into<Pdu>) -> Vec<u8> {
    let command = Command::new(CommandStatus::from(status), sequence, pdu.into());
    let length = 4 + command.length();
    let mut octets = vec![0; length];
    octets[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    command.encode(&mut octets[4..]);
    octets
}

/// A response without a body, by its number: also to what is not known.
pub(crate) fn bare(id: u32, status: u32, sequence: u32) -> Vec<u8> {
    [16_u32, id, status, sequence].iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// `deliver_sm_resp` and `data_sm_resp`, whose message id is empty.
pub(crate) fn acknowledge(request: u32, status: u32, sequence: u32) -> Vec<u8> {
    let mut octets = bare(request | RESPONSE, status, sequence);
    octets[3] = 17;
    octets.push(0);
    octets
}

pub(crate) fn bind(settings: &Settings, sequence: u32) -> Vec<u8> {
    let bind = BindTransceiver::builder()
        .system_id(text(&settings.system_id))
        .password(text(&settings.password))
        .system_type(text(&settings.system_type))
        .interface_version(InterfaceVersion::Smpp3_4)
        .build();
    encode(status::OK, sequence, bind)
}

/// One message, or one part of it.
pub(crate) struct Submission<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) encoding: Encoding,
    /// The user data, its header included.
    pub(crate) user_data: &'a [u8],
    pub(crate) has_header: bool,
    pub(crate) in_payload: bool,
    pub(crate) wants_receipt: bool,
}

pub(crate) fn submit(submission: &Submission<'_>, with: SubmitWith, sequence: u32) -> Vec<u8> {
    let (ton, npi) = kind_of(submission.from);
    let esm_class = EsmClass::from(if submission.has_header { 0x40 } else { 0 });
    let receipt = RegisteredDelivery::from(u8::from(submission.wants_receipt));
    let data_coding = match submission.encoding {
        Encoding::Gsm7 => DataCoding::McSpecific,
        Encoding::Ucs2 => DataCoding::Ucs2,
    };
    let payload = || {
        MessageSubmissionRequestTlvValue::MessagePayload(MessagePayload::new(AnyOctetString::from_slice(
            submission.user_data,
        )))
    };
    if with == SubmitWith::DataSm {
        let data = DataSm::builder()
            .source_addr_ton(ton)
            .source_addr_npi(npi)
            .source_addr(text(submission.from))
            .dest_addr_ton(Ton::International)
            .dest_addr_npi(Npi::Isdn)
            .destination_addr(text(submission.to))
            .esm_class(esm_class)
            .registered_delivery(receipt)
            .data_coding(data_coding)
            .push_tlv(payload())
            .build();
        return encode(status::OK, sequence, data);
    }
    let message = SubmitSm::builder()
        .source_addr_ton(ton)
        .source_addr_npi(npi)
        .source_addr(text(submission.from))
        .dest_addr_ton(Ton::International)
        .dest_addr_npi(Npi::Isdn)
        .destination_addr(text(submission.to))
        .esm_class(esm_class)
        .registered_delivery(receipt)
        .data_coding(data_coding);
    let message = if submission.in_payload {
        message.push_tlv(payload())
    } else {
        message.short_message(OctetString::from_slice(submission.user_data).unwrap_or_else(|_| OctetString::empty()))
    };
    encode(status::OK, sequence, message.build())
}

/// What kind of address a source is: a name, a short code, or a number.
fn kind_of(source: &str) -> (Ton, Npi) {
    if source.bytes().any(|byte| !byte.is_ascii_digit()) {
        return (Ton::Alphanumeric, Npi::Unknown);
    }
    if source.len() <= 6 { (Ton::Unknown, Npi::Unknown) } else { (Ton::International, Npi::Isdn) }
}

/// A text of the settings, whose length was checked; one that does not fit is empty.
fn text<const MOST: usize>(text: &str) -> COctetString<1, MOST> {
    COctetString::from_string(text.to_owned()).unwrap_or_else(|_| COctetString::empty())
}

/// What the SMSC delivers: a receipt, or what a person sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) from: String,
    pub(crate) esm_class: u8,
    pub(crate) data_coding: u8,
    pub(crate) user_data: Vec<u8>,
    pub(crate) receipted_id: Option<String>,
    pub(crate) state: Option<u8>,
    /// Reference, total and number of a part, as parameters have them.
    pub(crate) sar: (Option<u16>, Option<u8>, Option<u8>),
}

/// Which part of which message something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) reference: u16,
    pub(crate) total: u8,
    pub(crate) number: u8,
}

/// The bit of `esm_class` that says that the user data has a header.
const HAS_HEADER: u8 = 0x40;

impl Delivery {
    /// The user data without its header.
    pub(crate) fn content(&self) -> &[u8] {
        let header = if self.esm_class & HAS_HEADER == 0 { 0 } else { self.header().len() + 1 };
        self.user_data.get(header..).unwrap_or_default()
    }

    fn header(&self) -> &[u8] {
        let length = usize::from(self.user_data.first().copied().unwrap_or(0));
        self.user_data.get(1..=length).unwrap_or_default()
    }

    /// Which part of a longer message it is, by its parameters or its header (3GPP TS 23.040, 9.2.3.24.1 and 8).
    pub(crate) fn part(&self) -> Option<Part> {
        if let (Some(reference), Some(total), Some(number)) = self.sar {
            return Some(Part { reference, total, number });
        }
        if self.esm_class & HAS_HEADER == 0 {
            return None;
        }
        let mut rest = self.header();
        while let [kind, length, after @ ..] = rest {
            let (element, next) = after.split_at_checked(usize::from(*length))?;
            match (kind, element) {
                (0x00, [reference, total, number]) => {
                    return Some(Part { reference: u16::from(*reference), total: *total, number: *number });
                }
                (0x08, [high, low, total, number]) => {
                    let reference = u16::from_be_bytes([*high, *low]);
                    return Some(Part { reference, total: *total, number: *number });
                }
                _ => rest = next,
            }
        }
        None
    }

    /// One of several parts, in their order.
    pub(crate) fn join(parts: Vec<Self>) -> Option<Self> {
        let user_data = parts.iter().flat_map(|part| part.content().iter().copied()).collect();
        let first = parts.into_iter().next()?;
        Some(Self { esm_class: first.esm_class & !HAS_HEADER, user_data, ..first })
    }

    pub(crate) fn read(frame: &Frame) -> Result<Self, String> {
        let (mut delivery, tlvs) = match frame.pdu()? {
            Pdu::DeliverSm(sm) => (
                Self {
                    from: sm.source_addr.as_str().to_owned(),
                    esm_class: sm.esm_class.into(),
                    data_coding: sm.data_coding.into(),
                    user_data: sm.short_message().clone().into_vec(),
                    ..Self::default()
                },
                sm.tlvs().to_vec(),
            ),
            Pdu::DataSm(sm) => (
                Self {
                    from: sm.source_addr.as_str().to_owned(),
                    esm_class: sm.esm_class.into(),
                    data_coding: sm.data_coding.into(),
                    ..Self::default()
                },
                sm.tlvs().to_vec(),
            ),
            other => return Err(format!("{:?} delivers nothing", other.command_id())),
        };
        for tlv in tlvs {
            match tlv.value().cloned() {
                Some(TlvValue::MessagePayload(payload)) => delivery.user_data = payload.value.into_vec(),
                Some(TlvValue::ReceiptedMessageId(id)) => delivery.receipted_id = Some(id.as_str().to_owned()),
                Some(TlvValue::MessageState(state)) => delivery.state = Some(state.into()),
                Some(TlvValue::SarMsgRefNum(reference)) => delivery.sar.0 = Some(reference),
                Some(TlvValue::SarTotalSegments(total)) => delivery.sar.1 = Some(total),
                Some(TlvValue::SarSegmentSeqnum(number)) => delivery.sar.2 = Some(number),
                _ => {}
            }
        }
        Ok(delivery)
    }
}
