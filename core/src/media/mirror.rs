//! Guarantee: a file that a person sent is here before its network forgets it, under the id that the business was told of
//! it, whatever is cut off in between.
//!
//! The file is noted with the message that names it; what is noted is claimed by one process for the time of a lease and
//! fetched from where the adapter says. Its bytes pass through here in parts, and through no adapter.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use url::Url;
use waystation_adapter_sdk::{ManagementError, MediaLocation, MediaQuery, Sender as OutboundSender};

use super::{BATCH_ROWS, Declared, FETCH_PAUSE_MAX, Media, Owner};
use crate::{
    clock::{DAY_MS, Millis, now_ms},
    delivery::Rounds,
    egress::{EgressError, Fetched},
    error::{ApiError, ErrorKind},
    ids::{BusinessId, MediaId},
    plugins::AdapterHost,
    store::{ArrivingMedia, StoreError, StoredMedia},
    tenancy::Directory,
};

/// Files claimed in one step.
const CLAIM_ROWS: i64 = 32;
/// Files on their way at once, of one process.
const AT_ONCE: usize = 8;
/// How long a claim holds, in milliseconds: within it a file that a crash cut off is fetched again.
const LEASE_MS: Millis = 45_000;
/// How long one file may take; shorter than its lease.
const FETCH_MAX: Duration = Duration::from_secs(40);
/// The wait before the second try, in milliseconds; it doubles up to [`RETRY_MAX_MS`].
const RETRY_MS: Millis = 1_000;
const RETRY_MAX_MS: Millis = 600_000;
/// Doublings of the wait at most.
const DOUBLINGS_MAX: i32 = 12;
/// Tries after which a network is believed that it does not have a file.
const REFUSALS_MAX: i32 = 4;
/// How long networks keep what people send, in milliseconds: 7 days.
const NETWORK_LIFE_MS: Millis = 7 * DAY_MS;
/// How long it is remembered that a file could not be had, in milliseconds.
const REMEMBERED_MS: Millis = 30 * DAY_MS;
/// How long somebody waits who asks for a file that is on its way.
const ARRIVAL_WAIT: Duration = Duration::from_secs(8);
/// How often it is looked whether it is there.
const ARRIVAL_LOOK: Duration = Duration::from_millis(100);

/// Fetches what people sent.
pub(crate) struct Mirror {
    pub(crate) media: Media,
    pub(crate) directory: Directory,
    pub(crate) adapters: Arc<AdapterHost>,
}

/// Why a file is not here.
enum Missing {
    /// It may be had later.
    Later(String),
    /// The network says that it does not have it.
    Refused(String),
    /// It cannot be taken.
    Never(String),
}

impl Rounds for Mirror {
    const WHAT: &'static str = "files that people sent";
    const PAUSE: Duration = Duration::from_millis(500);

    async fn round(&self, stopping: &watch::Receiver<bool>) -> Result<(), StoreError> {
        while !*stopping.borrow() {
            let files = self.media.store.claim_arriving_media(CLAIM_ROWS, LEASE_MS, now_ms()).await?;
            if files.is_empty() {
                break;
            }
            stream::iter(files).for_each_concurrent(AT_ONCE, |file| self.handle(file)).await;
        }
        Ok(())
    }
}

impl Mirror {
    /// Fetches a file and writes down what came of it. What cannot be written down is claimed again after its lease.
    async fn handle(&self, file: ArrivingMedia) {
        let fetching = tokio::time::timeout(FETCH_MAX, self.fetch(&file)).await;
        let result = fetching.unwrap_or_else(|_| {
            Err(Missing::Later(format!("it did not arrive whole within {} s", FETCH_MAX.as_secs())))
        });
        let written = match result {
            Ok(()) => self.media.store.media_arrived(file.id).await,
            Err(missing) => {
                let (wait, why) = wait_after(missing, file.attempts, now_ms() - file.created_at);
                match wait {
                    Some(wait_ms) => {
                        tracing::warn!(media = %file.id, why, wait_ms, "a file of a person is not here yet");
                    }
                    None => {
                        tracing::error!(media = %file.id, why, "a file of a person cannot be had");
                    }
                }
                self.media.store.media_not_arrived(file.id, wait.map(|ms| now_ms() + ms), &why).await
            }
        };
        if let Err(error) = written {
            tracing::warn!(media = %file.id, %error, "what became of a file of a person could not be written down");
        }
    }

    async fn fetch(&self, file: &ArrivingMedia) -> Result<(), Missing> {
        let later = |error: StoreError| Missing::Later(error.to_string());
        // It may have been cut off between its arrival and the note of that.
        if self.media.store.any_media(file.id).await.map_err(later)?.is_some() {
            return Ok(());
        }
        let sender = self.directory.any_sender(file.sender).await.map_err(later)?;
        let sender = sender.ok_or_else(|| Missing::Never("the sender that received it is gone".to_owned()))?;
        let adapter = self.adapters.get(&file.adapter);
        let adapter = adapter.ok_or_else(|| Missing::Later("its adapter is not loaded in this process".to_owned()))?;
        let query = MediaQuery {
            sender: OutboundSender { id: sender.id.to_string(), phone: sender.phone.clone() },
            connection: sender.connection.clone(),
            upstream_id: file.upstream_id.clone(),
            at_ms: now_ms(),
        };
        let location = adapter.locate_media(&query).await.map_err(|error| match &error {
            ManagementError::Rejected { .. } | ManagementError::Unsupported => Missing::Refused(error.to_string()),
            _ => Missing::Later(error.to_string()),
        })?;
        self.take(file, location).await
    }

    async fn take(&self, file: &ArrivingMedia, location: MediaLocation) -> Result<(), Missing> {
        let url: Url = location.request.url.parse().map_err(|_| Missing::Refused("its address is none".to_owned()))?;
        let headers = headers(&location.request.headers).map_err(Missing::Refused)?;
        let answer = self.media.egress.fetch_with(&url, &headers, FETCH_PAUSE_MAX).await;
        let mut answer = answer.map_err(|error| Missing::Later(error.to_string()))?;
        match answer.status() {
            200 => {}
            status @ (401 | 403 | 404 | 410) => {
                return Err(Missing::Refused(format!("its address answered with the status {status}")));
            }
            status => return Err(Missing::Later(format!("its address answered with the status {status}"))),
        }
        let content_type = location.content_type.or_else(|| file.content_type.clone());
        let declared = Declared { content_type, file_name: file.file_name.clone() };
        let owner = Owner { business: file.business.clone(), sender: None };
        let kept = self.media.mirror(file.id, owner, declared, bytes_of(&mut answer)).await;
        kept.map(drop).map_err(|error| match error.kind {
            ErrorKind::MediaTooLarge | ErrorKind::MediaUnsupported => Missing::Never(error.details),
            _ => Missing::Later(error.details),
        })
    }
}

/// The bytes of an answer, as they come.
fn bytes_of(answer: &mut Fetched) -> impl Stream<Item = Result<Bytes, EgressError>> + '_ {
    stream::unfold(Some(answer), |answer| async {
        let answer = answer?;
        match answer.chunk().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(answer))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// How long a file waits after a failure, in milliseconds, none for good; and why, in words.
fn wait_after(missing: Missing, attempts: i32, age_ms: Millis) -> (Option<Millis>, String) {
    let doublings = (attempts - 1).clamp(0, DOUBLINGS_MAX);
    let backoff = RETRY_MS.saturating_mul(1 << doublings).min(RETRY_MAX_MS);
    match missing {
        Missing::Never(why) => (None, why),
        Missing::Refused(why) if attempts >= REFUSALS_MAX => (None, why),
        Missing::Refused(why) | Missing::Later(why) => ((age_ms < NETWORK_LIFE_MS).then_some(backoff), why),
    }
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| format!("the value of {name} is not valid"))?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    Ok(headers)
}

impl Media {
    /// A file that a person sent and that is not here: waits a moment for it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, or it cannot be had; [`ErrorKind::Unavailable`] while it is on its way.
    pub(super) async fn awaited(&self, business: &BusinessId, id: MediaId) -> Result<StoredMedia, ApiError> {
        let until = tokio::time::Instant::now() + ARRIVAL_WAIT;
        loop {
            let arriving = self.store.arriving_media(business, id).await?;
            // The other order would miss one that arrives in between.
            if let Some(stored) = self.store.media(business, id, now_ms()).await? {
                return Ok(stored);
            }
            match arriving {
                None => return Err(ApiError::missing("media", &id)),
                Some(file) if !file.is_due => {
                    let why = file.error.unwrap_or_default();
                    let details = format!("The file {id} could not be had from the network of its sender: {why}.");
                    return Err(ApiError::new(ErrorKind::NotFound, details));
                }
                Some(_) if tokio::time::Instant::now() >= until => {
                    let details =
                        format!("The file {id} is on its way from the network of its sender; ask again soon.");
                    return Err(ApiError::new(ErrorKind::Unavailable, details));
                }
                Some(_) => tokio::time::sleep(ARRIVAL_LOOK).await,
            }
        }
    }

    /// Forgets files that could not be had long ago; how many.
    pub(super) async fn forget_missing(&self, now: Millis) -> Result<usize, StoreError> {
        self.store.forget_arriving_media(now - REMEMBERED_MS, BATCH_ROWS).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_believed_after_a_few_tries_and_an_outage_is_waited_out_as_long_as_it_keeps_files() {
        let later = || Missing::Later("away".to_owned());
        let refused = || Missing::Refused("none".to_owned());
        let waits = [1, 2, 3, 30].map(|attempts| wait_after(later(), attempts, 0).0);
        assert_eq!(waits, [Some(1_000), Some(2_000), Some(4_000), Some(RETRY_MAX_MS)]);
        assert_eq!(wait_after(later(), 5, NETWORK_LIFE_MS).0, None);
        assert_eq!(wait_after(refused(), REFUSALS_MAX - 1, 0).0, Some(4_000));
        assert_eq!(wait_after(refused(), REFUSALS_MAX, 0), (None, "none".to_owned()));
        assert_eq!(wait_after(Missing::Never("large".to_owned()), 1, 0), (None, "large".to_owned()));
    }

    #[test]
    fn a_token_shows_in_no_debug_output() {
        let headers = headers(&[("authorization".to_owned(), "Bearer the-token".to_owned())]).unwrap();
        assert!(!format!("{headers:?}").contains("the-token"));
        assert!(self::headers(&[("x".to_owned(), "a\nb".to_owned())]).is_err());
    }
}
