//! What a message says that brings a code: sealed from the moment it is prepared until its
//! adapter gets it, so that neither the database nor a copy of it says what the code is.

use serde::{Deserialize, Serialize};

use crate::{
    ids::MessageId,
    vault::{Vault, VaultError},
};

/// The body of a message whose content is sealed.
pub(crate) const SEALED_BODY: &str = "{}";

/// What a message says.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Content {
    /// The Cloud API message object.
    pub(crate) body: String,
    /// The same as plain text.
    pub(crate) rendered: String,
}

impl Content {
    /// Seals it for the message `id` and no other.
    pub(crate) fn seal(&self, vault: &Vault, id: &MessageId) -> Vec<u8> {
        // Two texts are always JSON.
        vault.seal(&context(id), &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Opens what was sealed for the message `id`.
    pub(crate) fn open(vault: &Vault, id: &MessageId, sealed: &[u8]) -> Result<Self, VaultError> {
        let opened = vault.open(&context(id), sealed)?;
        serde_json::from_slice(&opened).map_err(|_| VaultError::NotSealed)
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(..)")
    }
}

fn context(id: &MessageId) -> String {
    format!("message:{}", id.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says_opens_for_that_message_only() {
        let vault = Vault::for_tests();
        let (id, other) = (MessageId::generate(), MessageId::generate());
        let content = Content { body: "{\"code\": 739184}".to_owned(), rendered: "739184".to_owned() };
        let sealed = content.seal(&vault, &id);
        assert!(!sealed.windows(6).any(|part| part == b"739184"));
        let opened = Content::open(&vault, &id, &sealed).unwrap();
        assert_eq!((opened.body, opened.rendered), (content.body.clone(), content.rendered.clone()));
        assert!(Content::open(&vault, &other, &sealed).is_err());
        assert!(!format!("{content:?}").contains("739184"));
    }
}
