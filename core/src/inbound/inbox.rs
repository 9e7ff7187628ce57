//! What businesses do with what they received: look at it, mark it as read, answer.

use std::sync::Arc;

use waystation_adapter_sdk::{MarkError, Person, ReadMark, Sender as Marker};

use super::{InboundFilter, InboundView, Window};
use crate::{
    clock::{Millis, now_ms},
    delivery::Enqueuer,
    error::{ApiError, ErrorKind},
    ids::{BusinessId, MessageId, SenderId},
    messages::{
        address::Address,
        intake::check_sender,
        phone,
        request::{Dialect, Request, excerpt},
    },
    paging::{Page, Paging},
    plugins::AdapterHost,
    store::Store,
    tenancy::{Directory, Sender, Tenant},
};

/// Largest body that can ask for a message to be marked as read, in bytes.
const MARK_MAX_BYTES: usize = 16 * 1024;

/// What was received, and what hangs on it. Clones share everything.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Inbox {
    pub(super) store: Store,
    pub(super) directory: Directory,
    adapters: Arc<AdapterHost>,
    pub(super) enqueuer: Enqueuer,
}

impl Inbox {
    /// The inbox of every business in `store`.
    #[must_use]
    pub fn new(store: Store, directory: Directory, adapters: Arc<AdapterHost>, enqueuer: Enqueuer) -> Self {
        Self { store, directory, adapters, enqueuer }
    }

    /// What `business` received, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(
        &self,
        business: &BusinessId,
        filter: &InboundFilter,
        paging: &Paging,
    ) -> Result<Page<InboundView>, ApiError> {
        Ok(self.store.inbound_messages(business, filter, paging).await?)
    }

    /// A message that `business` received.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn message(&self, business: &BusinessId, id: &MessageId) -> Result<InboundView, ApiError> {
        let found = self.store.inbound_message(business, id).await?;
        found.ok_or_else(|| ApiError::missing("received message", id))
    }

    /// What stands between a sender and a person.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the sender is not the business's, or the person never wrote to it.
    pub async fn conversation(&self, business: &BusinessId, sender: &str, person: &str) -> Result<Window, ApiError> {
        let sender = self.sender_named(business, sender).await?;
        let never = || ApiError::new(ErrorKind::NotFound, "This person never wrote to this sender.");
        let recipient = person_named(person).ok_or_else(never)?;
        self.store.window(business, sender.id, &recipient).await?.ok_or_else(never)
    }

    /// Marks a message as read if that is what the Cloud API's body asks for; false if it asks for something else.
    ///
    /// # Errors
    /// What is wrong with it, or [`ErrorKind::Unavailable`] when it was noted and the network could not be told.
    pub async fn marks_as_read(&self, by: &Tenant, sender: SenderId, body: &[u8]) -> Result<bool, ApiError> {
        let word = b"\"status\"";
        if body.len() > MARK_MAX_BYTES || !body.windows(word.len()).any(|part| part == word) {
            return Ok(false);
        }
        let Ok(Request::MarkAsRead(request)) = Request::read(body, Dialect::CloudApi) else { return Ok(false) };
        let sender = self.sender(by.business(), sender).await?;
        check_sender(by, &sender)?;
        let unknown = || {
            let message =
                format!("\"{}\" is not the id of a message that this number received", excerpt(&request.message_id));
            ApiError::breach("/message_id", message)
        };
        let id = request.message_id.parse().map_err(|_| unknown())?;
        self.mark(&sender, &id, request.typing, now_ms()).await?.ok_or_else(unknown)?;
        Ok(true)
    }

    /// Marks a message as read, and all that the same person sent before it; with `typing`, shows them that an answer is
    /// being written.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Unavailable`] when it was noted and the network could not
    /// be told.
    pub async fn mark_as_read(&self, by: &Tenant, id: &MessageId, typing: bool) -> Result<InboundView, ApiError> {
        let received = self.message(by.business(), id).await?;
        let sender = self.sender(by.business(), received.sender).await?;
        check_sender(by, &sender)?;
        let marked = self.mark(&sender, id, typing, now_ms()).await?;
        marked.ok_or_else(|| ApiError::missing("received message", id))
    }

    async fn mark(
        &self,
        sender: &Sender,
        id: &MessageId,
        typing: bool,
        now: Millis,
    ) -> Result<Option<InboundView>, ApiError> {
        let marked = self.store.mark_inbound_read(&sender.business, sender.id, id, typing, now).await?;
        let Some(marked) = marked else { return Ok(None) };
        let Some(adapter) = self.adapters.get(&sender.adapter) else { return Ok(Some(marked)) };
        if !adapter.description().capabilities.marks_read {
            return Ok(Some(marked));
        }
        let mark = ReadMark {
            sender: Marker { id: sender.id.to_string(), phone: sender.phone.clone() },
            connection: sender.connection.clone(),
            upstream_id: marked.upstream_id.clone(),
            from: Person { phone: marked.phone.clone(), user_id: marked.user_id.clone(), ..Person::default() },
            typing,
            at_ms: now,
        };
        match adapter.mark_read(&mark).await {
            Ok(()) | Err(MarkError::Unsupported) => {}
            // The business has read it all the same.
            Err(MarkError::Rejected { .. }) => {
                tracing::warn!(message = %id, adapter = sender.adapter, "a network refused to mark a message as read");
            }
            Err(MarkError::Unavailable { .. }) => {
                let details = "The message is marked as read here, and its network could not be told. Ask again.";
                return Err(ApiError::new(ErrorKind::Unavailable, details));
            }
        }
        Ok(Some(marked))
    }

    pub(super) async fn sender(&self, business: &BusinessId, id: SenderId) -> Result<Arc<Sender>, ApiError> {
        let missing = || ApiError::new(ErrorKind::NotFound, format!("No sender {id} belongs to this key's business."));
        self.directory.sender(business, id).await?.ok_or_else(missing)
    }

    /// A sender by its phone number id or its phone number.
    pub(super) async fn sender_named(&self, business: &BusinessId, name: &str) -> Result<Arc<Sender>, ApiError> {
        if let Ok(id) = name.parse::<SenderId>()
            && let Some(sender) = self.directory.sender(business, id).await?
        {
            return Ok(sender);
        }
        let by_phone = match phone::digits(name) {
            Some(phone) => self.store.sender_by_phone(business, &phone).await?,
            None => None,
        };
        match by_phone {
            Some(id) => self.sender(business, id).await,
            None => {
                let details = format!("No sender {} belongs to this key's business.", excerpt(name));
                Err(ApiError::new(ErrorKind::NotFound, details))
            }
        }
    }
}

/// A person by number or user id.
pub(super) fn person_named(text: &str) -> Option<Address> {
    Address::user_id(text).or_else(|| Address::phone(text))
}
