//! The engine: brings what is due to where it goes, fairly, and loses nothing.
//!
//! One loop serves three couriers: [`messages`] carries messages to the network,
//! [`receipts`] works off what networks reported, and the webhooks' courier tells the
//! tenants. For each, the engine claims due work from the queue, the courier claims
//! it in the database, attempts run side by side, and what they came to is recorded
//! in batches before the queue forgets the job. What falls between any two of these
//! steps, the [`reconciler`] finds in the database. What is on no message's way (files that
//! people sent, templates at their networks) is looked for in [`rounds`].

mod breaker;
mod engine;
mod host_io;
mod lapse;
mod links;
mod listener;
mod messages;
mod receipts;
mod reconciler;
mod rounds;
mod routing;
mod runtime;
mod throughput;

pub use engine::Enqueuer;
pub(crate) use engine::{Courier, Take, Taken};
pub use host_io::PluginIo;
pub use listener::Listener;
pub(crate) use messages::{Times, delivery_job};
pub(crate) use receipts::callback_job;
pub(crate) use reconciler::SOON_MS;
pub(crate) use rounds::Rounds;
pub use runtime::{DeliverySettings, Equipment, Runtime, WebhookSettings, start};
pub use waystation_adapter_sdk::{Admission, Callback};
