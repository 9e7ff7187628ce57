//! How a sender presents itself: the profile that people see of it, and the codes that
//! open a chat with it.
//!
//! Everything is looked up inside the subtree of whoever asks; only what a QR code leads to
//! is told to anybody, since it is printed on walls.

mod at_network;
mod profile;
mod qr_codes;

pub use at_network::ProfileNetworks;
pub use profile::{
    ABOUT_MAX_CHARS, ADDRESS_MAX_CHARS, DESCRIPTION_MAX_CHARS, EMAIL_MAX_CHARS, SenderProfile, SenderProfileChange,
    VERTICALS, WEBSITE_MAX_CHARS, WEBSITES_MAX,
};
pub use qr_codes::{PREFILLED_MAX_CHARS, QR_CODE_CHARS, QR_CODES_MAX_PER_SENDER, QrCode, QrTarget};

use crate::{
    audit::Actor,
    clock::Millis,
    error::{ApiError, Breach, ErrorKind},
    ids::{BusinessId, SenderId},
    messages::route::{Rule, breaches_of_rules},
    paging::{Page, Paging},
    store::{BrokenChannel, Channel, SenderView, Store},
    tenancy::Subtree,
};

/// Profiles and QR codes of senders. Clones share everything.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Senders {
    store: Store,
    networks: ProfileNetworks,
}

impl Senders {
    /// What keeps them in `store`, and at the networks that keep profiles themselves.
    #[must_use]
    pub fn new(store: Store, networks: ProfileNetworks) -> Self {
        Self { store, networks }
    }

    async fn sender(&self, subtree: &Subtree, id: SenderId) -> Result<SenderView, ApiError> {
        self.store.sender(subtree, id).await?.ok_or_else(|| ApiError::missing("sender", &id))
    }

    /// The profile of a sender; an empty one when none was set. Of one whose network keeps it, what that has.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such sender; the network does not answer.
    pub async fn profile(&self, subtree: &Subtree, sender: SenderId, now: Millis) -> Result<SenderProfile, ApiError> {
        self.sender(subtree, sender).await?;
        match self.networks.of(sender).await? {
            Some(network) => network.read(now).await,
            None => Ok(self.store.sender_profile(sender).await?),
        }
    }

    /// Changes as much of the profile as `change` has; answers the whole of it.
    ///
    /// # Errors
    /// Everything that is wrong with what was given, or why its network did not do it: then nothing is changed.
    pub async fn change_profile(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        change: &SenderProfileChange,
        now: Millis,
    ) -> Result<SenderProfile, ApiError> {
        let view = self.sender(subtree, sender).await?;
        change.check()?;
        let network = self.networks.of(sender).await?;
        if let Some(network) = &network {
            network.change(change, now).await?;
        }
        let kept = self.store.change_sender_profile(by, &view, change, now).await?;
        match network {
            // It is changed, whether it can be shown now or not.
            Some(network) => Ok(network.read(now).await.unwrap_or(kept)),
            None => Ok(kept),
        }
    }

    /// The rules by which messages of `business` change their channel: those of one sender, or of all.
    ///
    /// # Errors
    /// A sender that is not one of the business.
    pub async fn routing(&self, business: &BusinessId, sender: Option<SenderId>) -> Result<Vec<Rule>, ApiError> {
        if let Some(sender) = sender {
            self.sender(&Subtree::Business(business.clone()), sender).await?;
        }
        let table = self.store.routing_table(business).await?;
        Ok(table.rules_set_for(sender).unwrap_or_default().to_vec())
    }

    /// Sets these rules; `None` takes those of a sender away, so that those of the business hold for it.
    ///
    /// # Errors
    /// Everything that is wrong with them: then nothing is changed. A sender that is not one of the business.
    pub async fn set_routing(
        &self,
        by: &Actor,
        (business, sender): (&BusinessId, Option<SenderId>),
        rules: Option<&[Rule]>,
        now: Millis,
    ) -> Result<(), ApiError> {
        if let Some(sender) = sender {
            self.sender(&Subtree::Business(business.clone()), sender).await?;
        }
        let rules_given = rules.unwrap_or_default();
        let mut breaches = breaches_of_rules(rules_given, "/rules");
        let channels = self.store.routing_table(business).await?.channels;
        for (index, rule) in rules_given.iter().enumerate() {
            for (at, entry) in rule.chain.iter().enumerate() {
                let fits = |channel: &&Channel| {
                    channel.adapter == entry.adapter
                        && entry.sender.as_ref().is_none_or(|named| *named == channel.sender.to_string())
                };
                if !entry.adapter.is_empty() && !channels.iter().any(|channel| fits(&channel)) {
                    let message = match &entry.sender {
                        Some(named) => format!("names no sender of this business: none with the id {named} uses it"),
                        None => "is used by no sender of this business: add one first".to_owned(),
                    };
                    breaches.push(Breach::at(format!("/rules/{index}/chain/{at}/adapter"), message));
                }
            }
        }
        if !breaches.is_empty() {
            return Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches));
        }
        Ok(self.store.set_routing_rules(by, (business, sender), rules, now).await?)
    }

    /// How the channel of a sender stands: what is wrong with it, if anything is known to be.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such sender.
    pub async fn broken(&self, subtree: &Subtree, sender: SenderId) -> Result<Option<BrokenChannel>, ApiError> {
        self.sender(subtree, sender).await?;
        let broken = self.store.broken_channels().await?;
        Ok(broken.into_iter().find(|broken| broken.sender_id == sender.0))
    }

    /// The QR codes of `business`, by code; those of one sender where it is given.
    ///
    /// # Errors
    /// A sender that is not one of the business.
    pub async fn qr_codes(
        &self,
        business: &BusinessId,
        sender: Option<SenderId>,
        paging: &Paging,
    ) -> Result<Page<QrCode>, ApiError> {
        if let Some(sender) = sender {
            self.sender(&Subtree::Business(business.clone()), sender).await?;
        }
        Ok(self.store.qr_codes(business, sender, paging).await?)
    }

    /// The QR code `code` of `business`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn qr_code(&self, business: &BusinessId, code: &str) -> Result<QrCode, ApiError> {
        self.store.qr_code(business, code).await?.ok_or_else(|| missing(code))
    }

    /// Makes a code that opens a chat with a sender, with `prefilled_message` typed.
    ///
    /// # Errors
    /// What is wrong with the message; [`ErrorKind::Conflict`] when the sender has as many
    /// as there may be.
    pub async fn create_qr_code(
        &self,
        by: &Actor,
        subtree: &Subtree,
        sender: SenderId,
        prefilled_message: &str,
        now: Millis,
    ) -> Result<QrCode, ApiError> {
        let view = self.sender(subtree, sender).await?;
        let message = qr_codes::check_message(prefilled_message)?;
        let code = QrCode {
            code: qr_codes::new_code(),
            sender,
            prefilled_message: message.to_owned(),
            created_at: now,
            updated_at: now,
        };
        if self.store.add_qr_code(by, &view, &code, QR_CODES_MAX_PER_SENDER).await? {
            return Ok(code);
        }
        let details = format!("The sender has {QR_CODES_MAX_PER_SENDER} QR codes, as many as there may be.");
        Err(ApiError::new(ErrorKind::Conflict, details))
    }

    /// Changes the message of a code; what is printed already leads to the new one.
    ///
    /// # Errors
    /// What is wrong with the message; [`ErrorKind::NotFound`].
    pub async fn change_qr_code(
        &self,
        by: &Actor,
        business: &BusinessId,
        code: &str,
        prefilled_message: &str,
        now: Millis,
    ) -> Result<QrCode, ApiError> {
        let message = qr_codes::check_message(prefilled_message)?;
        let changed = self.store.change_qr_code(by, business, code, message, now).await?;
        changed.ok_or_else(|| missing(code))
    }

    /// Deletes a code: what is printed leads nowhere.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn remove_qr_code(
        &self,
        by: &Actor,
        business: &BusinessId,
        code: &str,
        now: Millis,
    ) -> Result<(), ApiError> {
        if self.store.remove_qr_code(by, business, code, now).await? { Ok(()) } else { Err(missing(code)) }
    }

    /// Where a code leads: for anybody who scans it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub async fn qr_target(&self, code: &str) -> Result<QrTarget, ApiError> {
        self.store.qr_target(code).await?.ok_or_else(|| missing(code))
    }
}

fn missing(code: &str) -> ApiError {
    let code = crate::messages::request::excerpt(code);
    ApiError::missing("QR code", &code)
}
