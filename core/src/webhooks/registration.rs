//! Registering an endpoint: it has to answer the Cloud API's challenge first, so that
//! nobody points deliveries at an address that is not theirs.

use std::time::Duration;

use url::Url;

use crate::{
    clock::now_ms,
    credentials::Issued,
    egress::Egress,
    ids::{BusinessId, EndpointId},
    store::{Store, StoreError},
};

/// How long an endpoint may take to answer the challenge.
const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of its answer is read, in bytes.
const CHALLENGE_MAX_BYTES: usize = 1_024;

/// Why an endpoint was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The address is no address.
    #[error("{url} is not a valid address: {reason}")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The endpoint did not answer as it should.
    #[error(
        "{url} did not pass the check: {reason}. It must answer GET ?hub.mode=subscribe&hub.challenge=C&\
         hub.verify_token=T with status 200 and C as the body"
    )]
    Unverified {
        /// What was given.
        url: String,
        /// What it did instead.
        reason: String,
    },
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that `url` answers the challenge and registers it for `business`.
///
/// # Errors
/// See [`RegistrationError`].
pub async fn register(
    store: &Store,
    egress: &Egress,
    business: &BusinessId,
    url: &str,
    verify_token: &str,
) -> Result<EndpointId, RegistrationError> {
    let mut target = Url::parse(url)
        .map_err(|error| RegistrationError::InvalidUrl { url: url.to_owned(), reason: error.to_string() })?;
    let unverified = |reason: String| RegistrationError::Unverified { url: url.to_owned(), reason };
    let challenge = Issued::token();
    target
        .query_pairs_mut()
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.challenge", challenge.reveal())
        .append_pair("hub.verify_token", verify_token);
    let request = reqwest::Request::new(reqwest::Method::GET, target);
    let answer = egress
        .send(request, CHALLENGE_TIMEOUT, CHALLENGE_MAX_BYTES)
        .await
        .map_err(|error| unverified(error.to_string()))?;
    if answer.status != 200 {
        return Err(unverified(format!("it answered with status {}", answer.status)));
    }
    if answer.body.trim_ascii() != challenge.reveal().as_bytes() {
        return Err(unverified("its body was not the challenge".to_owned()));
    }
    Ok(store.add_endpoint(business, url, verify_token, now_ms()).await?)
}
