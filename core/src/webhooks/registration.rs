//! Registering an endpoint: it has to answer the Cloud API's challenge first, so that
//! nobody points deliveries at an address that is not theirs.

use std::time::Duration;

use url::Url;

use crate::{credentials::Issued, egress::Egress};

/// How long an endpoint may take to answer the challenge.
const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of its answer is read, in bytes.
const CHALLENGE_MAX_BYTES: usize = 1_024;

/// An endpoint that did not pass.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint did not pass the check: {reason}")]
pub(crate) struct RegistrationError {
    /// What it did, and what it has to do instead.
    pub(crate) reason: String,
}

/// Checks that `target` answers the challenge.
pub(crate) async fn challenge(
    egress: &Egress,
    mut target: Url,
    verify_token: &str,
    challenge: &Issued,
) -> Result<(), RegistrationError> {
    target
        .query_pairs_mut()
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.challenge", challenge.reveal())
        .append_pair("hub.verify_token", verify_token);
    let request = reqwest::Request::new(reqwest::Method::GET, target);
    let refused = |what: String| RegistrationError {
        reason: format!(
            "{what}. It must answer GET ?hub.mode=subscribe&hub.challenge=C&hub.verify_token=T with status 200 and C \
             as the body"
        ),
    };
    let answer = egress
        .send(request, CHALLENGE_TIMEOUT, CHALLENGE_MAX_BYTES)
        .await
        .map_err(|error| refused(error.to_string()))?;
    if answer.status != 200 {
        return Err(refused(format!("it answered with status {}", answer.status)));
    }
    if answer.body.trim_ascii() != challenge.reveal().as_bytes() {
        return Err(refused("its body was not the challenge".to_owned()));
    }
    Ok(())
}
