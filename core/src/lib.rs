//! The domain of Waystation and the engine that delivers its messages.
//!
//! Nothing here knows an HTTP framework or HTML: handlers translate, this crate
//! decides. The rooms, in the order in which a message walks through them:
//!
//! - [`tenancy`] and [`credentials`]: who asks, and on whose behalf;
//! - [`messages`]: the message objects, their validation, the intake that makes
//!   them durable, and the pure state machine of a delivery;
//! - [`templates`]: what an approved template asks of a message;
//! - [`eligibility`]: who may get a message now;
//! - [`media`]: files that are sent and received;
//! - [`store`]: the only room that speaks SQL;
//! - [`contacts`]: whom a business writes to, what they agreed to and what they want no more of;
//! - [`queue`]: what is due when, and in which lane;
//! - [`inbound`]: what people send, the customer-care window, who is blocked;
//! - [`delivery`]: the engine, its couriers and the reconciler;
//! - [`plugins`]: the host of the transport adapters;
//! - [`webhooks`]: how a business is told;
//! - [`limits`]: how often somebody may ask;
//! - [`otp`]: one-time passwords, from drawing one to checking it;
//! - [`senders`]: how a sender presents itself, and the QR codes that lead to it;
//! - [`abuse`]: the rule against spam, and its cases;
//! - [`access`]: who may open the dashboard, and what they may do there;
//! - [`audit`] and [`vault`]: what was changed by whom, and what is encrypted at rest.

pub mod abuse;
pub mod access;
pub mod audit;
pub mod batch;
pub mod clock;
mod codes;
pub mod contacts;
pub mod credentials;
pub mod delivery;
pub mod egress;
pub mod eligibility;
pub mod error;
mod file_name;
pub mod ids;
pub mod inbound;
pub mod limits;
pub mod media;
pub mod messages;
pub mod onboarding;
pub mod otp;
pub mod paging;
pub mod plugins;
pub mod qr;
pub mod queue;
pub mod senders;
pub mod store;
pub mod templates;
pub mod tenancy;
pub mod vault;
pub mod webhooks;
