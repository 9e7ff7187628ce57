//! Starts the couriers of a worker, and stops them in an order that leaves nothing
//! half done.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::{
    breaker::Breakers,
    engine::{self, EngineSettings, Enqueuer},
    lapse::Lapse,
    links::Links,
    messages::MessageCourier,
    receipts::CallbackCourier,
    reconciler::Reconciler,
    rounds,
    routing::Takeovers,
    throughput::Throughput,
};
pub use crate::webhooks::courier::WebhookSettings;
use crate::{
    abuse::Abuse,
    egress::Egress,
    eligibility::Eligibility,
    limits::Limiter,
    media::{Media, Mirror, upstream::Copies},
    messages::state::RetryPolicy,
    plugins::AdapterHost,
    queue::Queue,
    store::Store,
    templates::{Forwarder, Templates},
    tenancy::Directory,
    vault::Vault,
    webhooks::courier::WebhookCourier,
};

/// Callbacks of one sender being read at once, over all workers, at most.
const CALLBACK_LANE_MAX: usize = 128;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// Messages in the adapters' hands at once at most.
    pub messages_in_flight: usize,
    /// Messages of one sender in the adapters' hands at once, over all workers, at most.
    pub sender_in_flight: usize,
    /// Callbacks being read at once at most.
    pub callbacks_in_flight: usize,
    /// Webhook deliveries under way at once at most.
    pub webhooks_in_flight: usize,
    /// Webhook deliveries to one endpoint under way at once, over all workers, at most.
    pub endpoint_in_flight: usize,
    /// How long a claim holds. Must be longer than any attempt can take.
    pub lease: Duration,
    /// How often the reconciler sweeps.
    pub reconcile: Duration,
    /// What decides between one failure and the next try.
    pub retry: RetryPolicy,
    /// How long a receipt waits for its message.
    pub receipt_wait: Duration,
    /// The wait before a network is asked about a template that it has just got; it doubles with each question.
    pub template_check: Duration,
    /// How webhooks are delivered.
    pub webhooks: WebhookSettings,
    /// Whether no other process works on the same database.
    pub alone: bool,
}

/// What the couriers work with.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Equipment {
    /// The database.
    pub store: Store,
    /// The cache over it.
    pub directory: Directory,
    /// Who may get a message.
    pub eligibility: Eligibility,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The way into it.
    pub enqueuer: Enqueuer,
    /// The adapters.
    pub adapters: Arc<AdapterHost>,
    /// What seals and opens.
    pub vault: Vault,
    /// The way out.
    pub egress: Egress,
    /// The rule against spam.
    pub abuse: Abuse,
    /// The files that messages name.
    pub media: Media,
    /// How often somebody may ask.
    pub limiter: Limiter,
}

/// A running worker.
#[derive(Debug)]
pub struct Runtime {
    shutdown: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    end_links: watch::Sender<bool>,
    links: JoinHandle<()>,
}

/// Settles what the last run left behind and starts the couriers.
pub async fn start(equipment: Equipment, settings: DeliverySettings) -> Runtime {
    let Equipment { store, directory, eligibility, queue, enqueuer, adapters, vault, egress, abuse, media, limiter } =
        equipment;
    let (shutdown, stopping) = watch::channel(false);
    let lease_ms = i64::try_from(settings.lease.as_millis()).unwrap_or(i64::MAX / 2);
    let lapse = Lapse {
        store: store.clone(),
        directory: directory.clone(),
        enqueuer: enqueuer.clone(),
        policy: settings.retry.clone(),
    };
    let reconciler = Reconciler {
        store: store.clone(),
        queue: queue.clone(),
        lapse: lapse.clone(),
        abuse,
        media: media.clone(),
        interval: settings.reconcile,
        alone: settings.alone,
    };
    let (end_links, links_end) = watch::channel(false);
    let links = Links { store: store.clone(), directory: directory.clone(), adapters: adapters.clone() };
    let links = links.spawn(links_end);
    let mut tasks = vec![reconciler.start(stopping.clone()).await];
    let breakers = Breakers::new(store.clone(), queue.clone(), lease_ms);
    tasks.push(breakers.follow(stopping.clone()).await);
    let throughput = Throughput::new(queue.clone(), limiter);
    let takeovers = Takeovers {
        store: store.clone(),
        directory: directory.clone(),
        enqueuer: enqueuer.clone(),
        breakers: breakers.clone(),
        policy: settings.retry.clone(),
    };
    tasks.push(takeovers.spawn(stopping.clone()));
    let engine = |in_flight, lane_in_flight| EngineSettings { in_flight, lane_in_flight, lease_ms };
    tasks.push(engine::spawn(
        Arc::new(MessageCourier {
            store: store.clone(),
            directory: directory.clone(),
            eligibility,
            queue: queue.clone(),
            enqueuer: enqueuer.clone(),
            adapters: adapters.clone(),
            vault: vault.clone(),
            copies: Copies::new(media.clone()),
            policy: settings.retry.clone(),
            lapse,
            breakers,
            throughput: throughput.clone(),
            owner: ulid::Ulid::generate().to_string(),
            lease_ms,
        }),
        queue.clone(),
        engine(settings.messages_in_flight, settings.sender_in_flight),
        stopping.clone(),
    ));
    let mirror = Mirror { media: media.clone(), directory: directory.clone(), adapters: adapters.clone() };
    tasks.push(rounds::spawn(mirror, stopping.clone()));
    let forwarder = Forwarder::new(
        (store.clone(), directory.clone(), enqueuer.clone()),
        adapters.clone(),
        media,
        settings.template_check,
    );
    tasks.push(rounds::spawn(forwarder, stopping.clone()));
    tasks.push(engine::spawn(
        Arc::new(CallbackCourier {
            templates: Templates::new(store.clone(), directory.clone(), enqueuer.clone()),
            store: store.clone(),
            directory: directory.clone(),
            enqueuer,
            adapters,
            vault,
            policy: settings.retry,
            throughput,
            receipt_wait: settings.receipt_wait,
        }),
        queue.clone(),
        engine(settings.callbacks_in_flight, CALLBACK_LANE_MAX.min(settings.callbacks_in_flight)),
        stopping.clone(),
    ));
    tasks.push(engine::spawn(
        Arc::new(WebhookCourier { store, directory, egress, settings: settings.webhooks }),
        queue,
        engine(settings.webhooks_in_flight, settings.endpoint_in_flight),
        stopping,
    ));
    Runtime { shutdown, tasks, end_links, links }
}

impl Runtime {
    /// Takes no new work, lets running attempts end, records them.
    pub async fn stop(self) {
        // Fails when every task is gone already.
        let _ = self.shutdown.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a courier failed");
            }
        }
        // Only now, when no attempt needs them any more.
        let _ = self.end_links.send(true);
        if let Err(error) = self.links.await {
            tracing::error!(%error, "the connections could not be ended");
        }
    }
}
