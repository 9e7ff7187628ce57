//! Onboarding: what a business says of itself, what shows that it is true, and who decides.
mod address;
pub mod category;
mod checks;
mod codes;
mod documents;
mod names;
mod profile;
pub mod state;
mod wordlist;

pub use category::{CATEGORIES, Category, Trade};
pub use checks::{Check, CheckId, CheckOutcome, may_approve_unseen};
pub use documents::{DOCUMENT_MAX_BYTES, DOCUMENTS_MAX, Document, DocumentKind, DocumentType};
pub use profile::{Contact, ContactChange, Profile, ProfileChange};
pub use state::{Action, Refusal, Side, State};
pub use wordlist::WORD_LIST_VERSION;
