//! Onboarding: only a business that a reviewer has looked at may send, and what was looked
//! at is what the business handed in.
//!
//! [`Onboarding`] is the one way in, for the partner API and the dashboard alike: a
//! [`Profile`] saved as far as it was typed, sealed documents, phone numbers shown to be
//! the business's by a code, and the steps of a [`State`] machine of which each is kept
//! with who took it, when and why. Checks run by themselves at submission and are shown to
//! the reviewer; they decide nothing.

mod address;
mod category;
mod checks;
mod documents;
mod names;
mod numbers;
mod profile;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod views;
mod wordlist;

pub use category::{CATEGORIES, Category, Trade};
pub use checks::{Check, CheckId, CheckOutcome, may_approve_unseen};
pub use documents::{DOCUMENT_MAX_BYTES, DOCUMENTS_MAX, Document, DocumentKind, DocumentType};
pub use profile::{Contact, ContactChange, Profile, ProfileChange};
pub use service::{Onboarding, OnboardingSettings};
pub use state::{Action, Refusal, Side, State};
pub(crate) use views::Step;
pub use views::{
    By, CodeOrder, CodeProof, CodeSent, CodeWay, Decision, HistoryEntry, NumberView, PretendMessage, ProfileView,
    ReviewCase, Reviewer, Submission, Upload,
};
pub use wordlist::WORD_LIST_VERSION;

pub use crate::codes::{
    CODE_DIGITS, CODE_LIFE_MS, CODE_TRIES_MAX, REGISTRATIONS_MAX, SEND_GAP_MS, SENDS_PER_DAY_MAX, SENDS_PER_HOUR_MAX,
};
