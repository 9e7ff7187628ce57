//! Guarantee: the pretend network has no memory and no chance: what it does to a message is a function of the message, the
//! attempt, the times the host states, and the seed in the connection's settings. The same input has the same output, in
//! any process, after any restart.
//!
//! So a test chooses a behaviour by choosing a recipient (the last four digits, see [`Behaviour`]), a demonstration looks
//! alive without a network, and a simulator may replay it. Receipts take the way real ones take: as Cloud API webhook
//! bodies, stored by the host and read back by [`Sandbox::receive`](TransportAdapter::receive).

mod behaviour;
mod media;
mod phone;
mod receipts;
mod throughput;

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use waystation_adapter_sdk::{
    Accepted, Callback, Capabilities, Channel, CodeDelivery, CodeMethod, Description, Io, Level, MarkError,
    MediaUpload, NumberDone, NumberError, Outbound, RateScope, ReadMark, ReceiveError, Received, SendError,
    TransportAdapter, UploadedMedia, UpstreamError, async_trait, cloud_api, export_adapter,
};

pub use behaviour::Behaviour;

export_adapter!(Sandbox);

/// How long [`Behaviour::StatusFirst`] keeps its answer back.
const LATE_ANSWER_MS: u64 = 250;

/// How long after its acceptance a message meets the pair limit.
const PAIR_LIMIT_MS: i64 = 1000;

/// How long after its acceptance a message meets the sender's rate limit.
const SENDER_LIMIT_MS: i64 = 2000;

/// The last attempt that [`Behaviour::FailsTwice`] fails.
const FAILING_ATTEMPTS: u32 = 2;

/// The longest delay a connection may ask for.
const DELAY_MAX_MS: u64 = 86_400_000;

/// The message kinds the pretend phones understand: all of the Cloud API.
const KINDS: [&str; 12] = [
    "text",
    "template",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "reaction",
    "order",
];

/// The pretend network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sandbox;

/// The settings of a connection to the pretend network.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Connection {
    delivered_after_ms: u64,
    read_after_ms: u64,
    jitter_percent: u64,
    seed: u64,
    send_latency_ms: u64,
    enforce_window: bool,
    forgets_media_after_ms: Option<u64>,
    messages_per_second: Option<u32>,
    limit_pairs: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            delivered_after_ms: 300,
            read_after_ms: 900,
            jitter_percent: 20,
            seed: 0,
            send_latency_ms: 0,
            enforce_window: false,
            forgets_media_after_ms: None,
            messages_per_second: None,
            limit_pairs: false,
        }
    }
}

impl Connection {
    fn read(settings: &Value) -> Result<Self, SendError> {
        if settings.is_null() {
            return Ok(Self::default());
        }
        let connection = Self::deserialize(settings).map_err(|error| wrong_settings(error.to_string()))?;
        let longest = connection.delivered_after_ms.max(connection.read_after_ms).max(connection.send_latency_ms);
        if longest > DELAY_MAX_MS {
            return Err(wrong_settings(format!("a delay is {longest} ms, at most {DELAY_MAX_MS} are possible")));
        }
        if connection.messages_per_second.is_some_and(|rate| rate == 0 || rate > throughput::RATE_MAX) {
            return Err(wrong_settings(format!("messages_per_second must be 1 to {}", throughput::RATE_MAX)));
        }
        if connection.jitter_percent > 100 {
            return Err(wrong_settings(format!("jitter_percent is {}, at most 100", connection.jitter_percent)));
        }
        Ok(connection)
    }
}

fn wrong_settings(details: String) -> SendError {
    SendError::ChannelDown {
        error: UpstreamError::new("The sandbox connection's settings are wrong").details(details),
        needs_operator: true,
    }
}

#[async_trait]
impl TransportAdapter for Sandbox {
    fn describe(&self) -> Description {
        let defaults = Connection::default();
        let delay = |about: &str, default: u64| json!({"type": "integer", "minimum": 0, "maximum": DELAY_MAX_MS, "default": default, "description": about});
        Description {
            name: "sandbox".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channel: Channel::Whatsapp,
            capabilities: Capabilities {
                kinds: KINDS.map(str::to_owned).to_vec(),
                receives: true,
                listens: false,
                returns_attempt_ref: true,
                marks_read: true,
                delivers_codes: vec![CodeMethod::Sms, CodeMethod::Voice, CodeMethod::Whatsapp],
                uploads_media: true,
                locates_media: false,
                manages_templates: false,
                keeps_profiles: false,
                verifies_numbers: false,
                connects: false,
            },
            connection_schema: json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "Sandbox connection",
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "delivered_after_ms": delay("Milliseconds until a message is delivered.", defaults.delivered_after_ms),
                    "read_after_ms": delay("Milliseconds until a message is read.", defaults.read_after_ms),
                    "send_latency_ms": delay("Milliseconds until the network answers.", defaults.send_latency_ms),
                    "forgets_media_after_ms": {
                        "type": "integer", "minimum": 0, "maximum": DELAY_MAX_MS,
                        "description": "Milliseconds until the network forgets a file, sooner than it says; after 30 days when left out.",
                    },
                    "jitter_percent": {
                        "type": "integer", "minimum": 0, "maximum": 100, "default": defaults.jitter_percent,
                        "description": "How far the receipts' times vary, up and down.",
                    },
                    "seed": {
                        "type": "integer", "minimum": 0, "default": defaults.seed,
                        "description": "Another seed is another network: other ids, other jitter.",
                    },
                    "enforce_window": {
                        "type": "boolean", "default": defaults.enforce_window,
                        "description": "Whether free-form messages need somebody who wrote within the last 24 hours, as \
                            on WhatsApp.",
                    },
                    "messages_per_second": {
                        "type": "integer", "minimum": 1, "maximum": throughput::RATE_MAX,
                        "description": "How many messages a second the number takes; as many as come when left out. 80 is \
                            what a number has on WhatsApp. More than that are refused with 130429.",
                    },
                    "limit_pairs": {
                        "type": "boolean", "default": defaults.limit_pairs,
                        "description": "Whether the number takes only 45 messages to one person in a row and then one every \
                            six seconds, as on WhatsApp. More than that are refused with 131056.",
                    },
                },
            }),
        }
    }

    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        let connection = Connection::read(&message.connection)?;
        if connection.send_latency_ms > 0 {
            io.sleep(Duration::from_millis(connection.send_latency_ms)).await;
        }
        let behaviour = Behaviour::of(message.recipient.phone.as_deref());
        refuse(behaviour, &message)?;
        throughput::refuse(&connection, &message)?;
        media::refuse(&connection, &message)?;

        let upstream_id = receipts::upstream_id(connection.seed, &message.attempt_ref);
        let callbacks = receipts::schedule(behaviour, &connection, &message, &upstream_id);
        if !callbacks.is_empty()
            && let Err(error) = io.callbacks(callbacks).await
        {
            io.log(Level::Warn, "the host stored no receipts, so the message was not taken");
            let failure = behaviour::error(behaviour::SERVICE_UNAVAILABLE).details(error.details);
            return Err(SendError::RetryAfter { after_ms: None, error: failure });
        }
        if behaviour == Behaviour::StatusFirst {
            io.sleep(Duration::from_millis(LATE_ANSWER_MS)).await;
        }
        Ok(Accepted { upstream_id, recipient_id: message.recipient.phone })
    }

    async fn receive(&self, io: &Io, callback: Callback) -> Result<Received, ReceiveError> {
        let _ = io;
        if let Some(arrival) = phone::read(&callback) {
            return Ok(Received { events: vec![arrival] });
        }
        cloud_api::read_webhook(&callback)
    }

    async fn mark_read(&self, io: &Io, mark: ReadMark) -> Result<(), MarkError> {
        let _ = io;
        phone::refuse_mark(Behaviour::of(mark.from.phone.as_deref()))
    }

    async fn upload_media(&self, io: &Io, upload: MediaUpload) -> Result<UploadedMedia, SendError> {
        let connection = Connection::read(&upload.connection)?;
        media::upload(io, &connection, upload).await
    }

    async fn deliver_code(&self, io: &Io, delivery: CodeDelivery) -> Result<NumberDone, NumberError> {
        phone::refuse(Behaviour::of(Some(&delivery.phone)))?;
        let upstream_id = receipts::upstream_id(0, &delivery.reference);
        let arrival = phone::arrival(Behaviour::of(Some(&delivery.phone)), &delivery);
        if !arrival.is_empty()
            && let Err(error) = io.callbacks(arrival).await
        {
            io.log(Level::Warn, "the host stored nothing for the pretend phone, so the code was not taken");
            let failure = behaviour::error(behaviour::SERVICE_UNAVAILABLE).details(error.details);
            return Err(NumberError::Unavailable { error: failure, needs_operator: false });
        }
        Ok(NumberDone { upstream_id: Some(upstream_id) })
    }
}

/// The behaviours that show in the answer to the send itself.
fn refuse(behaviour: Behaviour, message: &Outbound) -> Result<(), SendError> {
    let elapsed_ms = message.attempt_at_ms.saturating_sub(message.accepted_at_ms);
    let limit = |until_ms: i64, scope| SendError::RateLimited {
        // Past that time only a first attempt gets here, which waits the whole time once.
        after_ms: u64::try_from(until_ms - elapsed_ms).ok().filter(|rest| *rest > 0).unwrap_or(until_ms.unsigned_abs()),
        scope,
        error: behaviour::error(if scope == RateScope::Pair { behaviour::PAIR_LIMIT } else { behaviour::SENDER_LIMIT }),
    };
    match behaviour {
        Behaviour::PairLimited if message.attempt <= 1 || elapsed_ms < PAIR_LIMIT_MS => {
            Err(limit(PAIR_LIMIT_MS, RateScope::Pair))
        }
        Behaviour::SenderLimited if elapsed_ms < SENDER_LIMIT_MS => Err(limit(SENDER_LIMIT_MS, RateScope::Sender)),
        Behaviour::FailsTwice if message.attempt <= FAILING_ATTEMPTS => {
            Err(SendError::RetryAfter { after_ms: None, error: behaviour::error(behaviour::SOMETHING_WENT_WRONG) })
        }
        Behaviour::TokenExpired => {
            Err(SendError::ChannelDown { error: behaviour::error(behaviour::TOKEN_EXPIRED), needs_operator: true })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
