//! Carries deliveries to tenants' endpoints.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use url::Url;

use super::signing;
use crate::{
    clock::now_ms,
    delivery::{Courier, Take, Taken},
    egress::Egress,
    ids::{BusinessId, DeliveryId},
    queue::{Claimed, Settle, Topic},
    store::{ClaimedDelivery, DeliveryRecord, DeliveryState, Store, StoreError},
    tenancy::Directory,
};

/// How much of an endpoint's answer is read, in bytes.
const ANSWER_MAX_BYTES: usize = 4_096;
/// The status by which an endpoint says that it wants no more of this.
const GONE: u16 = 410;

/// How deliveries are made.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// How long an endpoint may take to answer.
    pub timeout: Duration,
    /// The wait before each further try. Its length decides how many there are.
    pub retries: Vec<Duration>,
}

pub(crate) struct WebhookCourier {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) egress: Egress,
    pub(crate) settings: WebhookSettings,
}

impl Courier for WebhookCourier {
    const TOPIC: Topic = Topic::Webhooks;
    type Job = ClaimedDelivery;
    type Done = DeliveryRecord;

    async fn claim(&self, claimed: &[Claimed]) -> Result<Taken<ClaimedDelivery>, StoreError> {
        let ids: Vec<&str> = claimed.iter().map(|job| job.id.as_str()).collect();
        let found = self.store.deliveries(&ids).await?;
        Ok(found.into_iter().map(|delivery| (delivery.id.clone(), Take::Job(delivery))).collect())
    }

    async fn attempt(&self, delivery: ClaimedDelivery) -> DeliveryRecord {
        let result = self.deliver(&delivery).await;
        let (id, attempt) = (delivery.id, delivery.attempt);
        let (last_status, last_error) = match result {
            Ok(status) if (200..300).contains(&status) => {
                return DeliveryRecord {
                    id,
                    attempt,
                    state: DeliveryState::Delivered,
                    due_at: None,
                    last_status: Some(i32::from(status)),
                    last_error: None,
                };
            }
            Ok(status) => (Some(status), format!("the endpoint answered with status {status}")),
            Err(reason) => (None, reason),
        };
        let tries_made = usize::try_from(attempt).unwrap_or(usize::MAX);
        let wait = self.settings.retries.get(tries_made).filter(|_| last_status != Some(GONE));
        if wait.is_none() {
            tracing::warn!(
                delivery = %DeliveryId::from_key(id.clone()),
                endpoint = delivery.endpoint_id,
                tries = attempt + 1,
                reason = last_error,
                "a webhook delivery was given up; it stays in the outbox"
            );
        }
        DeliveryRecord {
            id,
            attempt,
            state: if wait.is_some() { DeliveryState::Pending } else { DeliveryState::Dead },
            due_at: wait.map(|wait| now_ms() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2)),
            last_status: last_status.map(i32::from),
            last_error: Some(last_error),
        }
    }

    async fn record(&self, done: &[DeliveryRecord]) -> Result<Vec<Settle>, StoreError> {
        self.store.record_deliveries(done.to_vec(), now_ms()).await?;
        Ok(done.iter().map(|record| record.due_at.map_or(Settle::Done, |due_ms| Settle::Again { due_ms })).collect())
    }
}

impl WebhookCourier {
    async fn deliver(&self, delivery: &ClaimedDelivery) -> Result<u16, String> {
        let url = Url::parse(&delivery.url).map_err(|error| format!("its address is not valid: {error}"))?;
        let id = DeliveryId::from_key(delivery.id.as_str()).to_string();
        let timestamp = (now_ms() / 1_000).to_string();
        let body = delivery.payload.as_bytes();
        let business = BusinessId::from_key(delivery.business_id.as_str());
        let secrets = self.directory.signing_secrets(&business).await.map_err(|error| error.to_string())?;
        let Some(newest) = secrets.first() else {
            return Err("the business has no signing secret that opens; rotate it to have a new one".to_owned());
        };
        let mut request = reqwest::Request::new(reqwest::Method::POST, url);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signatures = [
            // Room for one only; the Standard Webhooks header takes all, so that a receiver
            // that knows either secret passes while one takes over from the other.
            ("x-hub-signature-256", signing::hub_signature(newest, body)),
            ("webhook-signature", signing::standard_signatures(&secrets, &id, &timestamp, body)),
            ("webhook-timestamp", timestamp),
            ("webhook-id", id),
        ];
        for (name, value) in signatures {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|error| error.to_string())?);
        }
        *request.body_mut() = Some(delivery.payload.clone().into());
        let answer = self.egress.send(request, self.settings.timeout, ANSWER_MAX_BYTES).await;
        answer.map(|answer| answer.status).map_err(|error| error.to_string())
    }
}
