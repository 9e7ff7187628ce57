//! Guarantee: a connection is either complete or says which setting is wrong; no secret of it shows in a debug output.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

/// Meta's API.
const BASE_URL: &str = "https://graph.facebook.com";
/// The version that this adapter was written against. Others differ in little that is read here.
const API_VERSION: &str = "v24.0";
/// How long an answer is waited for, in milliseconds.
const TIMEOUT_MS: u64 = 15_000;
/// The longest wait that can be set, in milliseconds.
pub(crate) const TIMEOUT_MAX_MS: u64 = 60_000;

/// The settings of a sender that is reached over the Cloud API.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    /// The phone number's id upstream.
    pub(crate) phone_number_id: String,
    /// The WhatsApp Business account's id upstream.
    #[serde(default)]
    pub(crate) account_id: Option<String>,
    pub(crate) access_token: String,
    /// What callbacks are signed with.
    pub(crate) app_secret: String,
    /// What the upstream shows when it asks whether callbacks are welcome.
    #[serde(default)]
    pub(crate) verify_token: Option<String>,
    #[serde(default = "base_url")]
    base_url: Url,
    #[serde(default = "api_version")]
    api_version: String,
    #[serde(default = "timeout_ms")]
    pub(crate) timeout_ms: u64,
    /// How many messages a second the number carries: the host keeps to it.
    #[serde(default)]
    messages_per_second: Option<u32>,
}

fn base_url() -> Url {
    Url::parse(BASE_URL).expect("the default is a URL")
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

/// The highest throughput of a number, in messages a second.
const RATE_MAX: u32 = 1_000;

fn timeout_ms() -> u64 {
    TIMEOUT_MS
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connection").field("phone_number_id", &self.phone_number_id).finish_non_exhaustive()
    }
}

impl Connection {
    /// Reads the settings.
    ///
    /// # Errors
    /// Which setting is missing or wrong; never what it holds.
    pub(crate) fn read(settings: &Value) -> Result<Self, String> {
        let connection = Self::deserialize(settings).map_err(|error| error.to_string())?;
        for (name, id) in
            [("phone_number_id", Some(&connection.phone_number_id)), ("account_id", connection.account_id.as_ref())]
        {
            if id.is_some_and(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit())) {
                return Err(format!("{name} must be digits"));
            }
        }
        for (name, secret) in [("access_token", &connection.access_token), ("app_secret", &connection.app_secret)] {
            if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!("{name} must be printable and not empty"));
            }
        }
        let version = connection.api_version.strip_prefix('v').and_then(|rest| rest.split_once('.'));
        let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !version.is_some_and(|(major, minor)| number(major) && number(minor)) {
            return Err(format!("api_version must be like \"{API_VERSION}\""));
        }
        if !matches!(connection.base_url.scheme(), "https" | "http") {
            return Err("base_url must begin with https://".to_owned());
        }
        if connection.messages_per_second.is_some_and(|rate| rate == 0 || rate > RATE_MAX) {
            return Err(format!("messages_per_second must be 1 to {RATE_MAX}"));
        }
        if connection.timeout_ms == 0 || connection.timeout_ms > TIMEOUT_MAX_MS {
            return Err(format!("timeout_ms must be 1 to {TIMEOUT_MAX_MS}"));
        }
        Ok(connection)
    }

    /// The address of `path` of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{}/{path}", self.base_url.as_str().trim_end_matches('/'), self.api_version)
    }

    /// How the API is spoken to: `https`, or `http` within a network of one's own.
    pub(crate) fn scheme(&self) -> &str {
        self.base_url.scheme()
    }

    /// The header that shows who asks.
    pub(crate) fn authorization(&self) -> (String, String) {
        ("authorization".to_owned(), format!("Bearer {}", self.access_token))
    }

    /// The same for the bytes of a sample, whose part of the API has another word for it.
    pub(crate) fn upload_authorization(&self) -> (String, String) {
        ("authorization".to_owned(), format!("OAuth {}", self.access_token))
    }

    /// What a connection may look like.
    pub(crate) fn schema() -> Value {
        let secret = |about: &str| json!({"type": "string", "minLength": 1, "writeOnly": true, "description": about});
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Cloud API connection",
            "type": "object",
            "additionalProperties": false,
            "required": ["phone_number_id", "access_token", "app_secret"],
            "properties": {
                "phone_number_id": {"type": "string", "pattern": "^[0-9]+$", "description": "The phone number's id at the upstream."},
                "account_id": {"type": "string", "pattern": "^[0-9]+$", "description": "The WhatsApp Business account's id at the upstream. Needed for templates."},
                "access_token": secret("A system user's token that does not expire, with whatsapp_business_messaging and whatsapp_business_management."),
                "app_secret": secret("The app's secret: callbacks are signed with it."),
                "verify_token": secret("Any text; set the same one where the upstream is told where callbacks go."),
                "base_url": {"type": "string", "format": "uri", "default": BASE_URL, "description": "Where the API is, without a version."},
                "api_version": {"type": "string", "pattern": "^v[0-9]+\\.[0-9]+$", "default": API_VERSION, "description": "The version of the API."},
                "messages_per_second": {"type": "integer", "minimum": 1, "maximum": RATE_MAX, "default": 80, "description": "How many messages a second the number carries, sent and received together: 80, 1,000 after an upgrade, 20 when an app uses it too."},
                "timeout_ms": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_MAX_MS, "default": TIMEOUT_MS, "description": "How long an answer is waited for, in milliseconds."},
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named_and_no_secret_is_shown() {
        let whole = json!({"phone_number_id": "1", "access_token": "hunter2", "app_secret": "correct-horse"});
        assert!(Connection::read(&whole).is_ok());
        for (name, value) in [
            ("phone_number_id", json!("x/../y")),
            ("account_id", json!("")),
            ("access_token", json!("hunter2\r\nx: y")),
            ("app_secret", json!("")),
            ("api_version", json!("24")),
            ("base_url", json!("ftp://graph.example")),
            ("timeout_ms", json!(0)),
            ("colour", json!("hunter2")),
        ] {
            let mut settings = whole.clone();
            settings[name] = value;
            let error = Connection::read(&settings).unwrap_err();
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
        assert!(Connection::read(&Value::Null).is_err());
        let shown = format!("{:?}", Connection::read(&whole).unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("horse"), "{shown}");
    }

    #[test]
    fn the_address_has_one_slash_between_its_parts() {
        let mut settings = json!({"phone_number_id": "1", "access_token": "t", "app_secret": "s"});
        let url = |settings: &Value| Connection::read(settings).unwrap().url("1/messages");
        assert_eq!(url(&settings), "https://graph.facebook.com/v24.0/1/messages");
        for base in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/"] {
            settings["base_url"] = json!(base);
            assert_eq!(url(&settings), "http://127.0.0.1:8080/v24.0/1/messages");
        }
    }
}
