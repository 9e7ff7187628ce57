//! What a network says of a template that it has, and what the sandbox's says.

use super::{state::State, views::Verdict};
use crate::{clock::Millis, messages::Category};

/// Something that a network says, once its adapter has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkEvent {
    /// It has got the newest version, and reviews it.
    Forwarded {
        /// The adapter's name.
        network: String,
    },
    /// It has reviewed it.
    Decided(Verdict),
    /// It has paused it.
    Paused {
        /// Which pause: `FIRST_PAUSE`, `SECOND_PAUSE`.
        title: String,
        /// Why.
        reason: String,
    },
    /// The pause is over.
    Unpaused,
    /// It has disabled it.
    Disabled {
        /// Why.
        reason: String,
    },
    /// It can be used again after all.
    Reinstated,
    /// Its quality: `GREEN`, `YELLOW`, `RED`, `UNKNOWN`.
    Quality(String),
    /// It is in this category now.
    CategoryChanged(Category),
    /// It will be in another category.
    CategoryAnnounced {
        /// Which.
        correct: Category,
        /// When, in Unix milliseconds.
        at: Millis,
    },
}

/// Names by which the sandbox's network is asked to do something else than to approve, as the last digits of phone
/// numbers ask it about messages: what a name begins with, and the state that it ends in.
pub const SANDBOX_NAMES: [(&str, State); 4] = [
    ("reject_", State::Rejected),
    ("recat_", State::Approved),
    ("pause_", State::Paused),
    ("disable_", State::Disabled),
];

/// What the sandbox's network says of a template, at once: it approves it, unless the name asks for something else.
/// `reject_…` is turned down, `recat_…` is approved as marketing, `pause_…` and `disable_…` are approved, and then
/// paused or disabled.
#[must_use]
pub fn sandbox_review(name: &str, category: Category) -> Vec<NetworkEvent> {
    let approved = NetworkEvent::Decided(Verdict::Approved(category));
    let asked = SANDBOX_NAMES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(prefix, _)| *prefix);
    match asked {
        Some("reject_") => vec![NetworkEvent::Decided(Verdict::Rejected {
            reason: "INVALID_FORMAT".to_owned(),
            details: Some("The sandbox turns down every template whose name begins with \"reject_\".".to_owned()),
            recommendation: Some("Give it another name to have it approved.".to_owned()),
        })],
        Some("recat_") => vec![NetworkEvent::Decided(Verdict::Approved(Category::Marketing))],
        Some("pause_") => vec![
            approved,
            NetworkEvent::Paused {
                title: "FIRST_PAUSE".to_owned(),
                reason: "The sandbox pauses every template whose name begins with \"pause_\".".to_owned(),
            },
        ],
        Some("disable_") => vec![
            approved,
            NetworkEvent::Disabled {
                reason: "The sandbox disables every template whose name begins with \"disable_\".".to_owned(),
            },
        ],
        _ => vec![approved],
    }
}
