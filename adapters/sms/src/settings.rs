//! Guarantee: settings that are not fit are refused before anything is connected, with what is wrong.

use serde::Deserialize;
use serde_json::{Value, json};

/// Longest `system_id` and `password`, in octets (SMPP 3.4, 5.2.1 and 5.2.2, without their end).
const SYSTEM_ID_MAX_BYTES: usize = 15;
const PASSWORD_MAX_BYTES: usize = 8;
/// Longest `system_type` and address, likewise.
const SYSTEM_TYPE_MAX_BYTES: usize = 12;
const ADDRESS_MAX_BYTES: usize = 20;
/// Most submissions without a response.
const WINDOW_MAX: u32 = 1_000;

/// The settings of a connection to an SMSC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) host: String,
    #[serde(default = "default_port")]
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) tls: bool,
    pub(crate) system_id: String,
    #[serde(default)]
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) system_type: String,
    /// Who the message is from; the sender's number when absent.
    #[serde(default)]
    pub(crate) source: Option<String>,
    #[serde(default = "default_window")]
    pub(crate) window: u32,
    #[serde(default = "default_enquire_link_ms")]
    pub(crate) enquire_link_ms: u64,
    #[serde(default = "default_response_timeout_ms")]
    pub(crate) response_timeout_ms: u64,
    #[serde(default = "default_throttle_pause_ms")]
    pub(crate) throttle_pause_ms: u64,
    #[serde(default)]
    pub(crate) submit_with: SubmitWith,
    #[serde(default)]
    pub(crate) long_messages: LongMessages,
    #[serde(default)]
    pub(crate) message_ids: MessageIds,
}

/// Which operation carries a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SubmitWith {
    #[default]
    SubmitSm,
    DataSm,
}

/// How a text of several parts travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LongMessages {
    /// As several messages, each with a user data header.
    #[default]
    Udh,
    /// As one, in `message_payload`.
    Payload,
}

/// How the ids of receipts relate to those of responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageIds {
    /// They are the same text.
    #[default]
    Same,
    /// The response's is hexadecimal, the receipt's decimal.
    HexInResponse,
    /// The response's is decimal, the receipt's hexadecimal.
    HexInReceipt,
}

fn default_port() -> u16 {
    2775
}

fn default_window() -> u32 {
    10
}

fn default_enquire_link_ms() -> u64 {
    30_000
}

fn default_response_timeout_ms() -> u64 {
    10_000
}

fn default_throttle_pause_ms() -> u64 {
    1_000
}

impl Settings {
    pub(crate) fn read(connection: &Value) -> Result<Self, String> {
        let settings = Self::deserialize(connection).map_err(|error| error.to_string())?;
        let texts = [
            ("host", &settings.host, 253),
            ("system_id", &settings.system_id, SYSTEM_ID_MAX_BYTES),
            ("password", &settings.password, PASSWORD_MAX_BYTES),
            ("system_type", &settings.system_type, SYSTEM_TYPE_MAX_BYTES),
        ];
        let source = settings.source.iter().map(|source| ("source", source, ADDRESS_MAX_BYTES));
        for (name, text, most) in texts.into_iter().chain(source) {
            if !text.is_ascii() || text.contains('\0') || text.len() > most {
                return Err(format!("{name} must be ASCII, at most {most} characters"));
            }
        }
        if settings.host.is_empty() {
            return Err("host is empty".to_owned());
        }
        if !(1..=WINDOW_MAX).contains(&settings.window) {
            return Err(format!("window must be from 1 to {WINDOW_MAX}"));
        }
        for (name, ms) in [
            ("enquire_link_ms", settings.enquire_link_ms),
            ("response_timeout_ms", settings.response_timeout_ms),
            ("throttle_pause_ms", settings.throttle_pause_ms),
        ] {
            if !(100..=600_000).contains(&ms) {
                return Err(format!("{name} must be from 100 to 600000"));
            }
        }
        Ok(settings)
    }
}

/// The JSON Schema of the settings.
pub(crate) fn schema() -> Value {
    let ms = |about: &str, default: u64| json!({"type": "integer", "minimum": 100, "maximum": 600_000, "default": default, "description": about});
    let choice = |about: &str, values: &[&str]| json!({"enum": values, "default": values[0], "description": about});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SMPP connection",
        "type": "object",
        "required": ["host", "system_id"],
        "additionalProperties": false,
        "properties": {
            "host": {"type": "string", "minLength": 1, "maxLength": 253, "description": "The SMSC's name or address."},
            "port": {"type": "integer", "minimum": 1, "maximum": 65_535, "default": default_port(), "description": "Its port."},
            "tls": {"type": "boolean", "default": false, "description": "Whether to speak TLS."},
            "system_id": {"type": "string", "maxLength": SYSTEM_ID_MAX_BYTES, "description": "The account."},
            "password": {"type": "string", "maxLength": PASSWORD_MAX_BYTES, "writeOnly": true, "description": "Its password."},
            "system_type": {"type": "string", "maxLength": SYSTEM_TYPE_MAX_BYTES, "description": "Its system type, where the SMSC asks for one."},
            "source": {"type": "string", "maxLength": ADDRESS_MAX_BYTES, "description": "Who messages are from: a number, a short code or a name. The sender's number when absent."},
            "window": {"type": "integer", "minimum": 1, "maximum": WINDOW_MAX, "default": default_window(), "description": "Submissions that may wait for their response at once."},
            "enquire_link_ms": ms("Silence after which it is asked whether the SMSC is still there.", default_enquire_link_ms()),
            "response_timeout_ms": ms("How long the SMSC may take to respond.", default_response_timeout_ms()),
            "throttle_pause_ms": ms("How long to pause when the SMSC says that it is too much.", default_throttle_pause_ms()),
            "submit_with": choice("The operation that carries a message.", &["submit_sm", "data_sm"]),
            "long_messages": choice("How a text of several parts travels: in parts, or as one with message_payload.", &["udh", "payload"]),
            "message_ids": choice("How the ids of receipts relate to those of responses.", &["same", "hex_in_response", "hex_in_receipt"]),
        },
    })
}
