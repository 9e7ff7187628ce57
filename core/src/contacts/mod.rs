//! Whom a business writes to, what they agreed to, and what they want no more of.
//!
//! A person who said stop gets nothing more, from the first attempt on that begins after that was
//! written down: there is one table of suppressions, every message is held against it when it is
//! accepted and again when it is about to be sent, and only the person or the business itself ends
//! one. A table of contacts that is read in never does, and grants nothing that was taken back.
//!
//! A person is known by a phone number, by a business-scoped user id, or by both; which of them the
//! network tells may change from one message to the next. So both are looked up by keyed hashes
//! (`people`), and contacts that turn out to be one become one, with the stricter consent of both.
//!
//! Erasing a contact removes it, its consents and what it could be found by. What remains is that it
//! wants no more messages, if it does, under a hash that names nobody. Messages are not a part of it.

pub(crate) mod consent;
pub(crate) mod details;
pub(crate) mod import;
mod keywords;
mod people;
mod service;
pub(crate) mod suppression;
mod zones;

pub use consent::{CONSENTS_MAX_PER_CONTACT, Consent, ConsentRequest, DEFAULT_CHANNEL};
pub use details::{
    ATTRIBUTE_NAME_MAX_CHARS, ATTRIBUTE_TEXT_MAX_CHARS, ATTRIBUTES_MAX, AttributeKind, Contact, ContactChange, Details,
    NAME_MAX_CHARS, TAG_MAX_CHARS, TAGS_MAX,
};
pub use import::{IMPORT_MAX_COLUMNS, IMPORT_MAX_ROWS, IMPORT_ROW_MAX_BYTES, Import};
pub use keywords::{START_PAYLOAD, STOP_MARKETING_PAYLOAD, STOP_PAYLOAD, Wish, wish_of_payload, wish_of_text};
pub(crate) use people::{KEY_BYTES as PEOPLE_KEY_BYTES, People};
pub use service::{
    ContactQuery, ContactView, Contacts, OPT_OUT_TEXT_MAX_CHARS, OptOut, SUPPRESSION_REASON_MAX_CHARS,
    SuppressionRequest,
};
pub use suppression::{EVERY_CHANNEL, Reach, Suppression, SuppressionSource};
pub use zones::{is_zone, zone_of_phone};
