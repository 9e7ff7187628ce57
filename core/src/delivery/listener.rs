//! Guarantee: a network that calls back is told that all is well only when its callback is on disk, and nothing of a
//! callback is kept before its adapter has said that it is the network's.
//!
//! What a callback says is worked off later, by the courier of callbacks: a network waits for its answer, and gives up on
//! who is slow.

use std::sync::Arc;

use waystation_adapter_sdk::{Admission, Callback, ReceiveError};

use super::{engine::Enqueuer, receipts::callback_job};
use crate::{
    batch::Batcher,
    clock::now_ms,
    error::{ApiError, ErrorKind},
    ids::SenderId,
    plugins::{AdapterHost, ReceiveFailure},
    queue::Topic,
    store::{NewCallback, Store, StoreError},
    tenancy::Directory,
};

/// Callbacks in one commit at most.
const COMMIT_MAX_CALLS: usize = 500;

/// Writes callbacks and puts them into the queue. Clones share the committer.
#[derive(Debug, Clone)]
pub(crate) struct Keeper(Batcher<Vec<NewCallback>, Result<(), Arc<StoreError>>>);

impl Keeper {
    /// Starts the committer.
    pub(crate) fn start(store: Store, enqueuer: Enqueuer) -> Self {
        Self(Batcher::start(COMMIT_MAX_CALLS, move |batch: Vec<Vec<NewCallback>>| {
            let (store, enqueuer) = (store.clone(), enqueuer.clone());
            async move {
                let calls = batch.len();
                let rows: Vec<NewCallback> = batch.into_iter().flatten().collect();
                let jobs = rows.iter().filter_map(callback_job).collect();
                let kept = store.keep_callbacks(rows).await.map_err(Arc::new);
                if kept.is_ok() {
                    enqueuer.enqueue(Topic::Callbacks, jobs);
                }
                vec![kept; calls]
            }
        }))
    }

    /// Returns once all of `callbacks` are on disk; on an error, none are.
    pub(crate) async fn keep(&self, callbacks: Vec<NewCallback>) -> Result<(), String> {
        match self.0.submit(callbacks).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(stopped) => Err(stopped.to_string()),
        }
    }
}

/// The addresses for the networks' callbacks: one a sender. Clones share everything.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Listener {
    directory: Directory,
    adapters: Arc<AdapterHost>,
    keeper: Keeper,
}

impl Listener {
    /// Starts listening for the senders of `directory`.
    #[must_use]
    pub fn start(store: Store, directory: Directory, adapters: Arc<AdapterHost>, enqueuer: Enqueuer) -> Self {
        Self { directory, adapters, keeper: Keeper::start(store, enqueuer) }
    }

    /// Takes a callback to the address of `sender`, whose settings it is given; says how the network is answered.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such address, [`ErrorKind::SignatureInvalid`] when it is not the
    /// network's, [`ErrorKind::MalformedBody`] when it is nothing that the network sends, [`ErrorKind::Unavailable`] when
    /// it could not be kept: then the network is to send it again.
    pub async fn hear(&self, sender: SenderId, callback: Callback) -> Result<Admission, ApiError> {
        let nobody = || ApiError::new(ErrorKind::NotFound, "No network is expected to call back here.");
        let later = |details: &str| ApiError::new(ErrorKind::Unavailable, details);
        let known = self.directory.any_sender(sender).await?.ok_or_else(nobody)?;
        let adapter = self.adapters.get(&known.adapter).ok_or_else(nobody)?;
        if !adapter.description().capabilities.listens {
            return Err(nobody());
        }
        let callback = Callback { connection: known.connection.clone(), ..callback };
        let admission = match adapter.admit(&sender.to_string(), &callback).await {
            Ok(admission) => admission,
            Err(ReceiveFailure::Refused(ReceiveError::Unsupported)) => return Err(nobody()),
            Err(ReceiveFailure::Refused(ReceiveError::BadSignature)) => {
                tracing::warn!(%sender, adapter = known.adapter, "a callback was not from the network");
                let details = "The callback does not show that it is from the network.";
                return Err(ApiError::new(ErrorKind::SignatureInvalid, details));
            }
            Err(ReceiveFailure::Refused(ReceiveError::Malformed { details })) => {
                return Err(ApiError::new(ErrorKind::MalformedBody, details));
            }
            Err(failure) => {
                tracing::error!(%sender, adapter = known.adapter, %failure, "a callback could not be looked at");
                return Err(later("The callback cannot be taken right now."));
            }
        };
        if admission.keep {
            let now = now_ms();
            let row = NewCallback::raw(&known.adapter, sender, callback.body.into_bytes(), now, now);
            self.keeper.keep(vec![row]).await.map_err(|error| {
                tracing::error!(%sender, error, "a callback could not be kept");
                later("The callback cannot be kept right now.")
            })?;
        }
        Ok(admission)
    }
}
