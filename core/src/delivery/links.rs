//! Keeps the connections of the senders whose adapters speak to their network over one: each worker process has one of
//! its own for each of them, so any of them can send, and one that stops takes nothing away from the others.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};
use waystation_adapter_sdk::{Link, Sender};

use crate::{
    ids::SenderId,
    plugins::{Adapter, AdapterHost, KeptLink},
    store::{Store, StoreError},
    tenancy::Directory,
};

/// How often it is looked which connections there must be.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Connections of one process at most.
const LINKS_MAX: i64 = 1_000;

/// Keeps connections.
pub(crate) struct Links {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) adapters: Arc<AdapterHost>,
}

struct Open {
    adapter: Arc<Adapter>,
    phone: String,
    connection: Value,
    link: KeptLink,
}

impl Links {
    /// Keeps them until `stop` turns true, which it must not before the last message was given to one.
    pub(crate) fn spawn(self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut open = HashMap::new();
            while !*stop.borrow() {
                if let Err(error) = Box::pin(self.look(&mut open)).await {
                    tracing::warn!(%error, "it is not known which connections there must be; those that are stay");
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            }
            end(open.into_values()).await;
        })
    }

    async fn look(&self, open: &mut HashMap<SenderId, Open>) -> Result<(), StoreError> {
        let mut wanted = HashMap::new();
        for adapter in self.adapters.list().into_iter().filter(|adapter| adapter.description().capabilities.connects) {
            for id in self.store.senders_of_adapter(&adapter.description().name, LINKS_MAX).await? {
                if let Some(sender) = self.directory.any_sender(id).await? {
                    wanted.insert(id, (adapter.clone(), sender));
                }
            }
        }
        let stale: Vec<SenderId> = open
            .iter()
            .filter(|(id, open)| {
                wanted.get(id).is_none_or(|(adapter, sender)| {
                    !Arc::ptr_eq(adapter, &open.adapter)
                        || sender.phone != open.phone
                        || sender.connection != open.connection
                })
            })
            .map(|(id, _)| *id)
            .collect();
        end(stale.iter().filter_map(|id| open.remove(id))).await;
        for (id, (adapter, sender)) in wanted {
            open.entry(id).or_insert_with(|| {
                let (phone, connection) = (sender.phone.clone(), sender.connection.clone());
                let link = Link {
                    sender: Sender { id: id.to_string(), phone: phone.clone() },
                    connection: connection.clone(),
                };
                let link = adapter.keep(link);
                Open { adapter, phone, connection, link }
            });
        }
        Ok(())
    }
}

async fn end(links: impl Iterator<Item = Open>) {
    futures_util::future::join_all(links.map(|open| open.link.end())).await;
}
