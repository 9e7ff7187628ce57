//! Guarantee: whatever a person sends is told to the business once, whatever the network repeats: it is filed, seen,
//! and told of in one transaction, after the callback that brought it was kept and before that is forgotten.
//!
//! This is the only room in which something that a person sent comes in. What hangs on it is here as well: the
//! customer-care window that it opens ([`Window`]), what is read and being answered, and who is blocked.

mod arrival;
mod blocking;
mod inbox;
mod outward;
mod pretend;
mod window;

use serde_json::Value;

use arrival::REFERENCES;
pub(crate) use arrival::{Arrival, Wanted};
pub(crate) use blocking::Blocking;
pub use blocking::{BLOCK_AT_ONCE_MAX, BLOCKED_MAX, BlockOutcome, BlockView};
pub use inbox::Inbox;
pub(crate) use outward::in_network_terms;
pub use pretend::{Play, Played, SHOWN_MAX, Shown, TYPING_MS, Tap};
pub use window::{CARE_MS, ENTRY_ANSWER_MS, ENTRY_MS, Entry, Window};

use crate::{
    clock::Millis,
    ids::{MessageId, SenderId},
    messages::address::Address,
};

/// A message that was received.
#[derive(Debug, Clone)]
pub struct InboundView {
    /// Our id of it.
    pub id: MessageId,
    /// Whom it was sent to.
    pub sender: SenderId,
    /// The number of whoever sent it.
    pub phone: Option<String>,
    /// Their user id.
    pub user_id: Option<String>,
    /// Their user id in the parent portfolio.
    pub parent_user_id: Option<String>,
    /// What they call themselves.
    pub profile_name: Option<String>,
    /// The name under which they can be found.
    pub username: Option<String>,
    /// The Cloud API message type.
    pub kind: String,
    /// The Cloud API's message object, with our ids.
    pub object: Value,
    /// The message that it answers; our id where it is known here.
    pub context: Option<String>,
    /// The network's id of it.
    pub upstream_id: String,
    /// When it was sent, by the network's clock.
    pub sent_at: Millis,
    /// When it came here.
    pub received_at: Millis,
    /// When it was marked as read.
    pub read_at: Option<Millis>,
    /// When it was last said that an answer is being written.
    pub typing_at: Option<Millis>,
}

/// Which received messages.
#[derive(Debug, Clone, Default)]
pub struct InboundFilter {
    /// Those to this sender.
    pub sender: Option<SenderId>,
    /// Those from this person.
    pub from: Option<Address>,
    /// Those that came at this time or later.
    pub since: Option<Millis>,
    /// Those that came before this time.
    pub until: Option<Millis>,
}
