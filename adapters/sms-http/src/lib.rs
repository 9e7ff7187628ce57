//! Guarantee: a message is *sent* when the gateway answered with success and an id, and *ambiguous* whenever it may have
//! taken it without saying so.
//!
//! A gateway is described by its settings: one request, whose parts are Handlebars templates over the message, and two
//! JSON pointers into its answer. The defaults are those of Twilio's Messages resource, so an account and its token are
//! all that such a sender needs.

use std::collections::BTreeMap;

use handlebars::Handlebars;
use serde::Deserialize;
use serde_json::{Value, json};
use waystation_adapter_sdk::{
    Accepted, Capabilities, Channel, Description, HttpRequest, HttpResponse, Io, Outbound, RateScope, SendError,
    TransportAdapter, UpstreamError, async_trait, export_adapter,
};

export_adapter!(SmsHttp);

const DEFAULT_URL: &str = "https://api.twilio.com/2010-04-01/Accounts/{{account}}/Messages.json";
const DEFAULT_BODY: &str = "To=%2B{{to}}&From=%2B{{from}}&Body={{text}}";
const DEFAULT_ID: &str = "/sid";
const FORM: &str = "application/x-www-form-urlencoded";
/// How long to wait after a 429 that does not say, in milliseconds.
const THROTTLE_PAUSE_MS: u64 = 1_000;
/// Longest id that is taken from an answer's number or text, in bytes.
const ID_MAX_BYTES: usize = 256;

/// The adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmsHttp;

/// The settings of a gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Gateway {
    url: String,
    method: String,
    headers: BTreeMap<String, String>,
    content_type: String,
    body: String,
    account: String,
    password: String,
    source: Option<String>,
    success: Option<Success>,
    id: String,
}

/// What an answer must say to be a success, besides a status of 2xx.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Success {
    pointer: String,
    equals: Value,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            method: "POST".to_owned(),
            headers: BTreeMap::new(),
            content_type: FORM.to_owned(),
            body: DEFAULT_BODY.to_owned(),
            account: String::new(),
            password: String::new(),
            source: None,
            success: None,
            id: DEFAULT_ID.to_owned(),
        }
    }
}

impl Gateway {
    fn request(&self, message: &Outbound, to: &str) -> Result<HttpRequest, String> {
        let values = json!({
            "to": to, "from": self.source.as_deref().unwrap_or(&message.sender.phone), "text": message.text,
            "account": self.account, "password": self.password, "reference": message.attempt_ref,
        });
        let mut templates = Handlebars::new();
        templates.set_strict_mode(true);
        let mut fill = |template: &str, escape: fn(&str) -> String| {
            templates.register_escape_fn(escape);
            templates.render_template(template, &values).map_err(|error| error.to_string())
        };
        let in_body: fn(&str) -> String = match self.content_type.split(';').next().map(str::trim) {
            Some(FORM) => percent_encoded,
            Some(kind) if kind.ends_with("json") => in_json,
            _ => str::to_owned,
        };
        let mut headers = vec![("content-type".to_owned(), self.content_type.clone())];
        for (name, value) in &self.headers {
            headers.push((name.to_ascii_lowercase(), fill(value, str::to_owned)?));
        }
        if !self.account.is_empty() && !self.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
            let pair = format!("{}:{}", self.account, self.password);
            headers.push(("authorization".to_owned(), format!("Basic {}", base64(pair.as_bytes()))));
        }
        Ok(HttpRequest {
            method: self.method.to_ascii_uppercase(),
            url: fill(&self.url, percent_encoded)?,
            headers,
            body: fill(&self.body, in_body)?.into(),
            timeout_ms: None,
        })
    }

    fn judge(&self, response: &HttpResponse) -> Result<Accepted, SendError> {
        let answer: Value = serde_json::from_slice(response.body.as_bytes()).unwrap_or_default();
        let error = UpstreamError::new("The SMS gateway refused the message")
            .details(format!("it answered with HTTP status {}", response.status));
        match response.status {
            200..=299 => {}
            429 => {
                let said = response.headers.iter().find(|(name, _)| name == "retry-after");
                let seconds: Option<u64> = said.and_then(|(_, value)| value.parse().ok());
                let after_ms = seconds.map_or(THROTTLE_PAUSE_MS, |seconds| seconds.saturating_mul(1_000));
                return Err(SendError::RateLimited { after_ms, scope: RateScope::Sender, error });
            }
            401 | 403 => return Err(SendError::ChannelDown { error, needs_operator: true }),
            503 => return Err(SendError::RetryAfter { after_ms: None, error }),
            // A gateway that failed in the middle may have sent it.
            500..=599 => return Err(SendError::Ambiguous { error }),
            _ => return Err(SendError::Rejected { error }),
        }
        if let Some(success) = &self.success
            && answer.pointer(&success.pointer) != Some(&success.equals)
        {
            let details = format!("{} is not {} in its answer", success.pointer, success.equals);
            return Err(SendError::Rejected { error: error.details(details) });
        }
        let id = match answer.pointer(&self.id) {
            Some(Value::String(id)) if !id.is_empty() && id.len() <= ID_MAX_BYTES => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => {
                let error = UpstreamError::new("The SMS gateway gave the message no id")
                    .details(format!("there is none at {} in its answer", self.id));
                return Err(SendError::Ambiguous { error });
            }
        };
        Ok(Accepted { upstream_id: id, recipient_id: None })
    }
}

#[async_trait]
impl TransportAdapter for SmsHttp {
    fn describe(&self) -> Description {
        let text = |about: &str, default: &str| json!({"type": "string", "default": default, "description": about});
        Description {
            name: "sms-http".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            channel: Channel::Sms,
            capabilities: Capabilities::default(),
            connection_schema: json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "HTTP SMS gateway",
                "description": "Templates may use to, from, text, account, password and reference.",
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "url": text("The address, a template.", DEFAULT_URL),
                    "method": text("The HTTP method.", "POST"),
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}, "writeOnly": true, "description": "Further headers; their values are templates."},
                    "content_type": text("The body's type: values are escaped for forms and for JSON.", FORM),
                    "body": text("The body, a template.", DEFAULT_BODY),
                    "account": text("The account: {{account}}, and the user of basic authentication.", ""),
                    "password": {"type": "string", "writeOnly": true, "description": "Its password or token."},
                    "source": {"type": "string", "description": "Who messages are from; the sender's number when absent."},
                    "success": {
                        "type": "object", "required": ["pointer", "equals"], "additionalProperties": false,
                        "properties": {"pointer": {"type": "string"}, "equals": {}},
                        "description": "What the answer must say besides a status of 2xx: a JSON pointer and its value.",
                    },
                    "id": text("The JSON pointer to the message's id in the answer.", DEFAULT_ID),
                },
            }),
        }
    }

    async fn send(&self, io: &Io, message: Outbound) -> Result<Accepted, SendError> {
        let wrong = |details: String| SendError::ChannelDown {
            error: UpstreamError::new("The SMS gateway's settings are wrong").details(details),
            needs_operator: true,
        };
        let settings = if message.connection.is_null() { json!({}) } else { message.connection.clone() };
        let gateway = Gateway::deserialize(settings).map_err(|error| wrong(error.to_string()))?;
        let reject = |code, title: &str| SendError::Rejected { error: UpstreamError::with_code(code, title) };
        let Some(to) = message.recipient.phone.as_deref() else {
            return Err(reject(131_026, "An SMS needs a phone number"));
        };
        if message.text.is_empty() {
            return Err(reject(131_051, "The message has no text to send as an SMS"));
        }
        let request = gateway.request(&message, to).map_err(wrong)?;
        let response = io.http(request).await?;
        gateway.judge(&response)
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A text between the quotes of JSON.
fn in_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use waystation_adapter_sdk::testing::{self, json_response};
    use waystation_adapter_sdk::wire::{IoAnswer, IoOp};

    use super::*;

    static ADAPTER: SmsHttp = SmsHttp;

    fn message(connection: Value) -> Outbound {
        serde_json::from_value(json!({
            "message_id": "m", "attempt": 1, "attempt_ref": "m.1", "accepted_at_ms": 0, "attempt_at_ms": 0,
            "sender": {"id": "1", "phone": "15550001111"}, "recipient": {"phone": "15550002222"},
            "connection": connection, "kind": "text", "body": {}, "text": "a \"b\" & ü",
        }))
        .unwrap()
    }

    fn sent(connection: Value, answer: IoAnswer) -> (Result<Accepted, SendError>, Option<HttpRequest>) {
        let run = testing::send(&ADAPTER, message(connection), |_| answer.clone());
        let request = run.requests.into_iter().find_map(|op| match op {
            IoOp::Http(request) => Some(request),
            _ => None,
        });
        (run.outcome, request)
    }

    #[test]
    fn an_account_and_its_token_are_all_that_the_defaults_need() {
        let (outcome, request) =
            sent(json!({"account": "AC1", "password": "token"}), json_response(201, r#"{"sid": "SM1"}"#));
        assert_eq!(outcome.unwrap().upstream_id, "SM1");
        let request = request.unwrap();
        assert_eq!(request.url, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json");
        let body = "To=%2B15550002222&From=%2B15550001111&Body=a%20%22b%22%20%26%20%C3%BC";
        assert_eq!(request.body.as_str(), Some(body));
        assert!(request.headers.contains(&("authorization".to_owned(), "Basic QUMxOnRva2Vu".to_owned())));
    }

    #[test]
    fn a_gateway_is_described_by_its_settings() {
        let settings = json!({
            "url": "https://gw.example/{{account}}/send", "method": "put", "content_type": "application/json",
            "body": r#"{"dst": "{{to}}", "msg": "{{text}}"}"#, "headers": {"X-Key": "{{password}}"},
            "password": "k1", "account": "a b", "id": "/messages/0/id",
            "success": {"pointer": "/status", "equals": "ok"},
        });
        let good = json_response(200, r#"{"status": "ok", "messages": [{"id": 7}]}"#);
        let (outcome, request) = sent(settings.clone(), good);
        assert_eq!(outcome.unwrap().upstream_id, "7");
        let request = request.unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("PUT", "https://gw.example/a%20b/send"));
        let body: Value = serde_json::from_slice(request.body.as_bytes()).unwrap();
        assert_eq!(body, json!({"dst": "15550002222", "msg": "a \"b\" & ü"}));
        assert!(request.headers.contains(&("x-key".to_owned(), "k1".to_owned())));
        let (outcome, _) = sent(settings, json_response(200, r#"{"status": "no credit"}"#));
        assert!(matches!(outcome, Err(SendError::Rejected { .. })), "{outcome:?}");
    }

    #[test]
    fn what_a_gateway_answers_decides_what_follows() {
        for (status, body, expected) in [
            (200, "{}", "ambiguous"),
            (400, "{}", "rejected"),
            (401, "{}", "channel down"),
            (429, "{}", "rate limited"),
            (500, "{}", "ambiguous"),
            (503, "{}", "retry later"),
        ] {
            let (outcome, _) = sent(json!({}), json_response(status, body));
            let said = outcome.unwrap_err().to_string();
            assert!(said.starts_with(expected), "{status}: {said}");
        }
        let (outcome, request) = sent(json!({"body": "{{unknown}}"}), json_response(200, "{}"));
        assert!(matches!(outcome, Err(SendError::ChannelDown { needs_operator: true, .. })), "{outcome:?}");
        assert!(request.is_none(), "a template that is wrong sends nothing");
    }
}
