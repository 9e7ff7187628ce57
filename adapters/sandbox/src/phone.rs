//! Guarantee: what arrives at a pretend phone is handed to the host and kept there; the sandbox keeps nothing.
//!
//! It takes the way of a receipt: a callback to oneself, sealed by the host because it may carry a code, and read back
//! as the event of its arrival.

use serde::{Deserialize, Serialize};
use waystation_adapter_sdk::{
    Callback, CodeDelivery, CodeMethod, Event, MarkError, NumberError, PretendText, ScheduledCallback,
};

use crate::behaviour::{self, Behaviour};

/// A callback that brings a text to a pretend phone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Arrival {
    pretend_phone: PretendText,
}

/// The numbers whose codes the network does not take.
pub(crate) fn refuse(behaviour: Behaviour) -> Result<(), NumberError> {
    match behaviour {
        Behaviour::Fails(code) => Err(NumberError::Rejected { error: behaviour::error(code) }),
        Behaviour::SenderLimited | Behaviour::PairLimited => {
            let after_ms = Some(crate::SENDER_LIMIT_MS.unsigned_abs());
            Err(NumberError::RateLimited { after_ms, error: behaviour::error(behaviour::SENDER_LIMIT) })
        }
        Behaviour::FailsTwice => Err(NumberError::Unavailable {
            error: behaviour::error(behaviour::SOMETHING_WENT_WRONG),
            needs_operator: false,
        }),
        Behaviour::TokenExpired => {
            Err(NumberError::Unavailable { error: behaviour::error(behaviour::TOKEN_EXPIRED), needs_operator: true })
        }
        _ => Ok(()),
    }
}

/// The phones whose messages the network does not mark as read. The host keeps what was marked, and the phone shows it.
pub(crate) fn refuse_mark(behaviour: Behaviour) -> Result<(), MarkError> {
    match behaviour {
        Behaviour::FailsTwice => {
            Err(MarkError::Unavailable { error: behaviour::error(behaviour::SOMETHING_WENT_WRONG) })
        }
        Behaviour::TokenExpired => Err(MarkError::Unavailable { error: behaviour::error(behaviour::TOKEN_EXPIRED) }),
        _ => Ok(()),
    }
}

/// What a code's phone gets; nothing where it stays silent.
pub(crate) fn arrival(behaviour: Behaviour, delivery: &CodeDelivery) -> Vec<ScheduledCallback> {
    if behaviour == Behaviour::Silent {
        return Vec::new();
    }
    let from = match delivery.method {
        CodeMethod::Sms => delivery.from.clone(),
        CodeMethod::Voice => format!("{} (call)", delivery.from),
        CodeMethod::Whatsapp => format!("{} (WhatsApp)", delivery.from),
    };
    let pretend_phone =
        PretendText { phone: delivery.phone.clone(), from, text: delivery.text.clone(), at_ms: delivery.at_ms };
    let body = serde_json::to_vec(&Arrival { pretend_phone }).expect("an arrival is JSON");
    vec![ScheduledCallback { after_ms: 0, body: body.into(), confidential: true }]
}

/// The arrival that a callback brings, if it brings one.
pub(crate) fn read(callback: &Callback) -> Option<Event> {
    let arrival: Arrival = serde_json::from_slice(callback.body.as_bytes()).ok()?;
    Some(Event::PretendPhone(arrival.pretend_phone))
}
