//! What networks call our files: a message names them by ids of ours, and goes out with those
//! of the network.
//!
//! A network gets a file when the first message needs it, however many need it at once, and
//! again when it has forgotten it, be it because its time there is over or because the network
//! says so. What it calls the file is noted for the sender, since networks keep files by account.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use quick_cache::sync::Cache;
use serde_json::{Value, value::RawValue};
use waystation_adapter_sdk::{MediaPurpose, MediaUpload, Outbound, SendError, Sender as OutboundSender, UpstreamError};

use super::{Chunks, File, Media, places};
use crate::{
    clock::{Millis, now_ms},
    ids::{MediaId, SenderId},
    plugins::{Adapter, MediaBytes, MediaSource},
    store::{MediaCopy, StoreError},
    tenancy::Sender,
};

/// Names of files that a process remembers at most.
const REMEMBERED_MAX: usize = 20_000;
/// How long before its end a network's id is not used any more, in milliseconds: a message
/// takes a while.
const MARGIN_MS: Millis = 60 * 60 * 1_000;
/// The Cloud API's code for a file that cannot be had.
const MEDIA_UPLOAD_ERROR: i64 = 131_053;

/// What networks call our files. Clones share what is remembered.
#[derive(Debug, Clone)]
pub struct Copies {
    media: Media,
    known: Arc<Cache<(i64, i64), MediaCopy>>,
}

/// The files that a message names, by the network's ids.
#[derive(Debug, Default)]
pub(crate) struct Named(BTreeMap<String, MediaId>);

impl Named {
    /// Whether the message names none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Copies {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new(media: Media) -> Self {
        Self { media, known: Arc::new(Cache::new(REMEMBERED_MAX)) }
    }

    /// Puts the network's ids in the place of ours, and gives files to the network that it does
    /// not have. An adapter that takes no files gets the message as it is.
    ///
    /// # Errors
    /// Why the message cannot be sent, or not now.
    pub(crate) async fn exchange(&self, adapter: &Adapter, message: &mut Outbound) -> Result<Named, SendError> {
        let mut named = Named::default();
        if !adapter.description().capabilities.uploads_media
            || !places::may_name_files(&message.kind, message.body.get())
        {
            return Ok(named);
        }
        let mut body: Value = serde_json::from_str(message.body.get()).map_err(|error| unreadable(&error))?;
        let mut ours = Vec::new();
        places::visit(&mut body, &message.kind, &mut |_, _, id| ours.push(id.clone()));
        if ours.is_empty() {
            return Ok(named);
        }
        let mut theirs = BTreeMap::new();
        for id in ours {
            if theirs.contains_key(&id) {
                continue;
            }
            // What was accepted before files were ours is the network's already.
            let Ok(media) = id.parse::<MediaId>() else { continue };
            let upstream_id = self.upstream_id(adapter, media, message).await?;
            named.0.insert(upstream_id.clone(), media);
            theirs.insert(id, upstream_id);
        }
        places::visit(&mut body, &message.kind, &mut |_, _, id| {
            if let Some(upstream_id) = theirs.get(id) {
                id.clone_from(upstream_id);
            }
        });
        let text = serde_json::to_string(&body).map_err(|error| unreadable(&error))?;
        message.body = RawValue::from_string(text).map_err(|error| unreadable(&error))?;
        Ok(named)
    }

    /// Forgets what the network said it does not know any more: all that the message names when
    /// it did not say which.
    pub(crate) async fn forget(&self, sender: SenderId, named: &Named, upstream_ids: &[String]) {
        for (upstream_id, media) in &named.0 {
            if !upstream_ids.is_empty() && !upstream_ids.contains(upstream_id) {
                continue;
            }
            self.known.remove(&(media.0, sender.0));
            if let Err(error) = self.media.store.forget_media_copy(*media, sender, upstream_id).await {
                tracing::warn!(%media, %sender, %error, "a network's id that is no longer known could not be forgotten");
            }
        }
    }

    async fn upstream_id(&self, adapter: &Adapter, id: MediaId, message: &Outbound) -> Result<String, SendError> {
        let sender: SenderId = message.sender.id.parse().map_err(|error| internal(&error))?;
        let key = (id.0, sender.0);
        let now = message.attempt_at_ms;
        let holds = |copy: &MediaCopy| {
            copy.adapter == adapter.description().name && copy.expires_at.is_none_or(|at| at - MARGIN_MS > now)
        };
        if self.known.get(&key).is_some_and(|copy| !holds(&copy)) {
            self.known.remove(&key);
        }
        // Those that need the same file meanwhile wait for this one.
        let finding = async {
            match self.media.store.media_copy(id, sender).await.map_err(|error| later(&error))? {
                Some(copy) if holds(&copy) => Ok(copy),
                _ => self.upload(adapter, id, sender, message).await,
            }
        };
        let copy = self.known.get_or_insert_async(&key, finding).await?;
        Ok(copy.upstream_id)
    }

    async fn upload(
        &self,
        adapter: &Adapter,
        id: MediaId,
        sender: SenderId,
        message: &Outbound,
    ) -> Result<MediaCopy, SendError> {
        let stored = self.media.store.any_media(id).await.map_err(|error| later(&error))?;
        let Some(stored) = stored else {
            let details = format!("The file {id} was deleted before the message could be sent.");
            let error = UpstreamError::with_code(MEDIA_UPLOAD_ERROR, "Media upload error").details(details);
            return Err(SendError::Rejected { error });
        };
        let file = stored.file.clone();
        let upload = MediaUpload {
            media_id: id.to_string(),
            sender: OutboundSender { id: message.sender.id.clone(), phone: message.sender.phone.clone() },
            connection: message.connection.clone(),
            purpose: MediaPurpose::Message,
            content_type: file.content_type.clone(),
            file_name: file.file_name.clone(),
            size_bytes: file.size_bytes,
            sha256: file.sha256.clone(),
            at_ms: message.attempt_at_ms,
        };
        let source = Source { media: self.media.clone(), blob: stored.blob, file };
        let uploaded = adapter.upload_media(&upload, &source).await.map_err(|error| match error {
            // It is given to the network again; at worst it has it twice.
            SendError::Ambiguous { error } | SendError::MediaGone { error, .. } => {
                SendError::RetryAfter { after_ms: None, error }
            }
            error => error,
        })?;
        let copy = MediaCopy {
            media_id: id.0,
            sender_id: sender.0,
            adapter: adapter.description().name.clone(),
            upstream_id: uploaded.upstream_id,
            uploaded_at: message.attempt_at_ms,
            expires_at: uploaded.expires_at_ms,
        };
        self.media.store.note_media_copy(&copy).await.map_err(|error| later(&error))?;
        Ok(copy)
    }
}

impl Media {
    /// Gives the file that a handle of the sender's business names to the sender's network, as a sample. Answers the
    /// network's handle; none when there is no such file.
    ///
    /// # Errors
    /// Why the network does not have it now; of one that it may have nothing else follows than to give it again.
    pub(crate) async fn give_sample(
        &self,
        adapter: &Adapter,
        sender: &Sender,
        handle: &str,
    ) -> Result<Option<String>, SendError> {
        let now = now_ms();
        let found = self.store.media_of_handle(&sender.business, handle, now).await.map_err(|error| later(&error))?;
        let Some(stored) = found else { return Ok(None) };
        let file = stored.file;
        let upload = MediaUpload {
            media_id: file.id.to_string(),
            sender: OutboundSender { id: sender.id.to_string(), phone: sender.phone.clone() },
            connection: sender.connection.clone(),
            purpose: MediaPurpose::Sample,
            content_type: file.content_type.clone(),
            file_name: file.file_name.clone(),
            size_bytes: file.size_bytes,
            sha256: file.sha256.clone(),
            at_ms: now,
        };
        let source = Source { media: self.clone(), blob: stored.blob, file };
        adapter.upload_media(&upload, &source).await.map(|uploaded| Some(uploaded.upstream_id))
    }
}

fn unreadable(error: &serde_json::Error) -> SendError {
    internal(error)
}

fn internal(error: &dyn std::fmt::Display) -> SendError {
    let error = UpstreamError::new("The stored message is unreadable").details(error.to_string());
    SendError::Internal { error }
}

fn later(error: &StoreError) -> SendError {
    let error = UpstreamError::new("The message's files could not be looked up").details(error.to_string());
    SendError::RetryAfter { after_ms: None, error }
}

/// A file for an adapter.
struct Source {
    media: Media,
    blob: String,
    file: File,
}

impl Source {
    async fn from(&self, range: std::ops::Range<u64>) -> Result<Chunks, String> {
        self.media.blobs.read(&self.blob, range).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl MediaSource for Source {
    async fn piece(&self, offset: u64, max_bytes: u32) -> Result<Vec<u8>, String> {
        let end = self.file.size_bytes.min(offset.saturating_add(max_bytes.into()));
        if offset >= end {
            return Ok(Vec::new());
        }
        let mut chunks = self.from(offset..end).await?;
        let mut piece = Vec::new();
        while let Some(chunk) = chunks.try_next().await.map_err(|error| error.to_string())? {
            piece.extend_from_slice(&chunk);
        }
        Ok(piece)
    }

    async fn whole(&self) -> Result<MediaBytes, String> {
        let length = self.file.size_bytes;
        let chunks = self.from(0..length).await?.map_err(|error| error.to_string()).boxed();
        Ok(MediaBytes { length, chunks })
    }
}
