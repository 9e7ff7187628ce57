//! Guarantee: a message is *sent* when the SMSC has given it an id, *ambiguous* when it may have it, and a receipt or a
//! person's message is acknowledged to the SMSC only when the host has it on disk.
//!
//! SMPP 3.4 as a transceiver: one connection for each sender and worker process. A rich message goes out as its plain
//! text, encoded and cut by [`waystation_adapter_sdk::sms`]. What the SMSC delivers is stored as it came and read by
//! [`TransportAdapter::receive`], so it survives whatever happens in between.

mod pdu;
mod receipt;
mod session;
mod settings;

#[cfg(test)]
mod tests;

use waystation_adapter_sdk::{
    Accepted, Callback, Capabilities, Channel, Description, Disconnected, Io, Link, Outbound, ReceiveError, Received,
    SendError, TransportAdapter, UpstreamError, async_trait, export_adapter,
};

use pdu::{Delivery, Frame};
use settings::{MessageIds, Settings};

export_adapter!(Sms);

/// The adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sms;

#[async_trait]
impl TransportAdapter for Sms {
    fn describe(&self) -> Description {
        Description {
            name: "sms".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channel: Channel::Sms,
            capabilities: Capabilities { receives: true, connects: true, ..Capabilities::default() },
            connection_schema: settings::schema(),
        }
    }

    async fn send(&self, _io: &Io, _message: Outbound) -> Result<Accepted, SendError> {
        let error = UpstreamError::new("This adapter sends over its connection").details("nothing was sent");
        Err(SendError::ChannelDown { error, needs_operator: false })
    }

    async fn connect(&self, io: &Io, link: Link) -> Disconnected {
        match Settings::read(&link.connection) {
            Ok(settings) => session::keep(io, &link, &settings).await,
            Err(details) => Disconnected::Lost {
                error: UpstreamError::new("The SMPP connection's settings are wrong").details(details),
                needs_operator: true,
            },
        }
    }

    async fn receive(&self, _io: &Io, callback: Callback) -> Result<Received, ReceiveError> {
        let malformed = |details: String| ReceiveError::Malformed { details };
        let mut octets = callback.body.as_bytes().to_vec();
        let (mut parts, mut sequence) = (Vec::new(), 0);
        while let Some(frame) = Frame::take(&mut octets).map_err(malformed)? {
            parts.push(Delivery::read(&frame).map_err(malformed)?);
            sequence = frame.sequence;
        }
        let delivery = Delivery::join(parts).filter(|_| octets.is_empty());
        let delivery = delivery.ok_or_else(|| malformed("it is no whole PDU".to_owned()))?;
        let ids = Settings::read(&callback.connection).map_or(MessageIds::default(), |settings| settings.message_ids);
        let reference = format!("{}.{}.{}", callback.received_at_ms, sequence, delivery.from);
        let event = receipt::read(&delivery, ids, callback.received_at_ms, &reference);
        Ok(Received { events: vec![event] })
    }
}
