//! What an adapter can reach: HTTP through the guarded way out, and callbacks to
//! itself, which are on disk before the adapter goes on.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use waystation_adapter_sdk::{Endpoint, HttpError, HttpRequest, HttpResponse, Payload, ScheduledCallback};

use super::{engine::Enqueuer, listener::Keeper};
use crate::{
    clock::now_ms,
    egress::{Answer, ByteStream, Egress, EgressError},
    ids::SenderId,
    plugins::{CallbackOrigin, HostIo, MediaBytes},
    store::{NewCallback, Store},
    vault::Vault,
};

/// How much of an upstream's answer is read, in bytes.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The host's side of an adapter's [`Io`](waystation_adapter_sdk::Io).
#[derive(Debug)]
pub struct PluginIo {
    egress: Egress,
    keeper: Keeper,
    vault: Vault,
    timeout: Duration,
}

impl PluginIo {
    /// Starts the committer of callbacks; `vault` seals those that are confidential.
    /// `timeout` bounds one HTTP exchange.
    #[must_use]
    pub fn start(store: Store, vault: Vault, egress: Egress, enqueuer: Enqueuer, timeout: Duration) -> Self {
        Self { egress, keeper: Keeper::start(store, enqueuer), vault, timeout }
    }

    fn timeout(&self, request: &HttpRequest) -> Duration {
        request.timeout_ms.map_or(self.timeout, |asked| self.timeout.min(Duration::from_millis(asked)))
    }
}

#[async_trait]
impl HostIo for PluginIo {
    async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let timeout = self.timeout(&request);
        let built = build(request).map_err(|details| HttpError::NotSent { details })?;
        answered(self.egress.send(built, timeout, ANSWER_MAX_BYTES).await)
    }

    async fn http_with_media(
        &self,
        mut request: HttpRequest,
        file: MediaBytes,
        after: Payload,
    ) -> Result<HttpResponse, HttpError> {
        let timeout = self.timeout(&request);
        let before = Bytes::from(std::mem::take(&mut request.body).into_bytes());
        let after = Bytes::from(after.into_bytes());
        let length = before.len() as u64 + file.length + after.len() as u64;
        let mut built = build(request).map_err(|details| HttpError::NotSent { details })?;
        let part = |bytes: Bytes| stream::iter([Ok::<Bytes, String>(bytes)]);
        let body = part(before).chain(file.chunks).chain(part(after));
        *built.body_mut() = Some(reqwest::Body::wrap_stream(body));
        // Without it the body would come in chunks, which not every peer takes.
        built.headers_mut().insert(CONTENT_LENGTH, length.into());
        answered(self.egress.send(built, timeout, ANSWER_MAX_BYTES).await)
    }

    async fn callbacks(&self, origin: &CallbackOrigin, callbacks: Vec<ScheduledCallback>) -> Result<(), String> {
        let sender: SenderId = origin.sender_id.parse().map_err(|error| format!("{error}"))?;
        let now = now_ms();
        let rows = callbacks
            .into_iter()
            .map(|callback| {
                let due_at = now.saturating_add(i64::try_from(callback.after_ms).unwrap_or(i64::MAX));
                let row = NewCallback::raw(&origin.adapter, sender, callback.body.into_bytes(), due_at, due_at);
                if callback.confidential { row.sealed_by(&self.vault) } else { row }
            })
            .collect();
        self.keeper.keep(rows).await
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn ByteStream>, String> {
        self.egress.open(&endpoint.host, endpoint.port, endpoint.tls).await.map_err(|error| error.to_string())
    }
}

fn answered(result: Result<Answer, EgressError>) -> Result<HttpResponse, HttpError> {
    match result {
        Ok(answer) => Ok(HttpResponse {
            status: answer.status,
            headers: answer
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into()))
                .collect(),
            body: answer.body.into(),
        }),
        Err(error @ (EgressError::Refused(_) | EgressError::NotConnected(_))) => {
            Err(HttpError::NotSent { details: error.to_string() })
        }
        Err(error @ EgressError::NoAnswer(_)) => Err(HttpError::Unknown { details: error.to_string() }),
    }
}

fn build(request: HttpRequest) -> Result<reqwest::Request, String> {
    let method = request.method.parse().map_err(|_| format!("{:?} is no HTTP method", request.method))?;
    let url = request.url.parse().map_err(|error| format!("the address is not valid: {error}"))?;
    let mut built = reqwest::Request::new(method, url);
    for (name, value) in request.headers {
        let parsed: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
        let value = HeaderValue::from_str(&value).map_err(|_| format!("the value of {name} is not valid"))?;
        built.headers_mut().append(parsed, value);
    }
    *built.body_mut() = Some(request.body.into_bytes().into());
    Ok(built)
}
