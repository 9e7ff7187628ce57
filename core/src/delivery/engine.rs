//! The loop that all couriers share.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
};

use crate::{
    clock::{Millis, now_ms},
    queue::{ClaimOptions, Claimed, Job, Queue, Settle, Topic},
    store::StoreError,
};

/// Jobs taken from the queue at once at most.
const CLAIM_MAX_JOBS: usize = 128;
/// Outcomes recorded at once at most.
const RECORD_MAX_JOBS: usize = 256;
/// Longest sleep while nothing is due: a wake-up that got lost costs no more.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// Wait after the database or the queue failed, before it is asked again.
const FAULT_WAIT: Duration = Duration::from_millis(500);
/// How long attempts that run may take to end when the process shuts down.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Batches of jobs that wait to be put into the queue; more are left to the reconciler.
const ENQUEUE_WAITING_MAX_BATCHES: usize = 4_096;
/// Jobs put into the queue at once at most.
const ENQUEUE_MAX_JOBS: usize = 1_024;

/// What the engine carries on one topic.
pub(crate) trait Courier: Send + Sync + 'static {
    /// Where its jobs wait.
    const TOPIC: Topic;
    /// A job, with what it needs.
    type Job: Send + 'static;
    /// What an attempt came to.
    type Done: Send + Sync + 'static;

    /// Takes the jobs in the database, by id. A job that is missing from the answer is
    /// over or somebody else's, and leaves the queue.
    fn claim(&self, claimed: &[Claimed]) -> impl Future<Output = Result<Taken<Self::Job>, StoreError>> + Send;

    /// Makes one attempt. Whatever goes wrong is part of the answer.
    fn attempt(&self, job: Self::Job) -> impl Future<Output = Self::Done> + Send;

    /// Writes what attempts came to and says, for each, what the queue is to do. Called
    /// again with the same batch when it fails.
    fn record(&self, done: &[Self::Done]) -> impl Future<Output = Result<Vec<Settle>, StoreError>> + Send;
}

/// What became of jobs that were to be taken, by id.
pub(crate) type Taken<J> = HashMap<String, Take<J>>;

/// What became of a job that was to be taken.
pub(crate) enum Take<J> {
    /// It is ours: an attempt is to be made.
    Job(J),
    /// Nothing is to be done before this time.
    Later(Millis),
}

/// How one courier is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineSettings {
    /// Attempts that run at once in this process at most.
    pub(crate) in_flight: usize,
    /// Attempts of one lane that run at once, over all processes, at most.
    pub(crate) lane_in_flight: usize,
    /// How long a claim holds.
    pub(crate) lease_ms: Millis,
}

/// Puts jobs into the queue without making anybody wait for it. What cannot be put in
/// is left to the reconciler. Clones share the way in.
#[derive(Debug, Clone)]
pub struct Enqueuer {
    sender: mpsc::Sender<(Topic, Vec<Job>)>,
}

impl Enqueuer {
    /// Starts the task that talks to the queue.
    #[must_use]
    pub fn start(queue: Arc<dyn Queue>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<(Topic, Vec<Job>)>(ENQUEUE_WAITING_MAX_BATCHES);
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            while receiver.recv_many(&mut waiting, ENQUEUE_MAX_JOBS).await > 0 {
                for topic in Topic::ALL {
                    let jobs: Vec<Job> = waiting
                        .iter_mut()
                        .filter(|(of, _)| *of == topic)
                        .flat_map(|(_, jobs)| jobs.drain(..))
                        .collect();
                    if jobs.is_empty() {
                        continue;
                    }
                    if let Err(error) = queue.push(topic, &jobs).await {
                        tracing::warn!(%topic, jobs = jobs.len(), %error, "jobs are left to the reconciler");
                    }
                }
                waiting.clear();
            }
        });
        Self { sender }
    }

    /// Hands jobs over.
    pub fn enqueue(&self, topic: Topic, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        if let Err(error) = self.sender.try_send((topic, jobs)) {
            tracing::warn!(%topic, %error, "jobs are left to the reconciler");
        }
    }
}

/// Runs `courier` until `shutdown` turns true, then lets what runs end and records it.
pub(crate) fn spawn<C: Courier>(
    courier: Arc<C>,
    queue: Arc<dyn Queue>,
    settings: EngineSettings,
    shutdown: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(Engine { courier, queue, settings }.run(shutdown))
}

struct Engine<C> {
    courier: Arc<C>,
    queue: Arc<dyn Queue>,
    settings: EngineSettings,
}

type Finished<C> = (Claimed, <C as Courier>::Done);

impl<C: Courier> Engine<C> {
    async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(self.settings.in_flight));
        let (finished, outcomes) = mpsc::channel::<Finished<C>>(self.settings.in_flight.max(1));
        let recorder = tokio::spawn(record_all(self.courier.clone(), self.queue.clone(), outcomes));
        while !*shutdown.borrow() {
            tokio::select! {
                () = self.turn(&permits, &finished) => {}
                _ = shutdown.changed() => {}
            }
        }
        // All permits back means: nothing runs any more.
        let all = u32::try_from(self.settings.in_flight).unwrap_or(u32::MAX);
        if tokio::time::timeout(DRAIN_MAX, permits.acquire_many(all)).await.is_err() {
            tracing::warn!(topic = %C::TOPIC, "attempts still ran at shutdown; they will be found ambiguous");
        }
        drop(finished);
        if let Err(error) = recorder.await {
            tracing::error!(topic = %C::TOPIC, %error, "the recorder failed");
        }
    }

    /// One round: wait for room, claim what is due, start it.
    async fn turn(&self, permits: &Arc<Semaphore>, finished: &mpsc::Sender<Finished<C>>) {
        let Ok(first) = permits.clone().acquire_owned().await else { return };
        let mut held = vec![first];
        while held.len() < CLAIM_MAX_JOBS {
            let Ok(permit) = permits.clone().try_acquire_owned() else { break };
            held.push(permit);
        }
        let now = now_ms();
        let options = ClaimOptions {
            max: held.len(),
            lease_ms: self.settings.lease_ms,
            lane_in_flight: self.settings.lane_in_flight,
        };
        let claim = match self.queue.claim(C::TOPIC, now, &options).await {
            Ok(claim) => claim,
            Err(error) => {
                tracing::warn!(topic = %C::TOPIC, %error, "the queue gave no work");
                tokio::time::sleep(FAULT_WAIT).await;
                return;
            }
        };
        if claim.jobs.is_empty() {
            drop(held);
            let until_due = claim
                .next_due_ms
                .map_or(IDLE_MAX, |due| Duration::from_millis(u64::try_from(due.saturating_sub(now)).unwrap_or(0)));
            self.queue.wait(C::TOPIC, claim.seen, until_due.min(IDLE_MAX)).await;
            return;
        }
        // From here on the work is ours: it must not be dropped half way.
        let (courier, queue, finished) = (self.courier.clone(), self.queue.clone(), finished.clone());
        let started = tokio::spawn(async move {
            match courier.claim(&claim.jobs).await {
                Ok(mut taken) => {
                    let mut over = Vec::new();
                    for claimed in claim.jobs {
                        let job = match taken.remove(claimed.id.as_str()) {
                            Some(Take::Job(job)) => job,
                            Some(Take::Later(due_ms)) => {
                                over.push((claimed, Settle::Again { due_ms }));
                                continue;
                            }
                            None => {
                                over.push((claimed, Settle::Done));
                                continue;
                            }
                        };
                        // There is one for each job that was asked for.
                        let permit = held.pop();
                        let (courier, finished) = (courier.clone(), finished.clone());
                        tokio::spawn(async move {
                            let done = courier.attempt(job).await;
                            drop(finished.send((claimed, done)).await);
                            drop(permit);
                        });
                    }
                    settle(&*queue, C::TOPIC, &over).await;
                }
                Err(error) => {
                    tracing::warn!(topic = %C::TOPIC, %error, "work could not be claimed and goes back");
                    let due_ms = now_ms() + i64::try_from(FAULT_WAIT.as_millis()).unwrap_or(0);
                    let back: Vec<_> = claim.jobs.into_iter().map(|job| (job, Settle::Again { due_ms })).collect();
                    settle(&*queue, C::TOPIC, &back).await;
                    tokio::time::sleep(FAULT_WAIT).await;
                }
            }
        });
        drop(started.await);
    }
}

/// Records outcomes as they come, everything that came during the last write in the
/// next one.
async fn record_all<C: Courier>(courier: Arc<C>, queue: Arc<dyn Queue>, mut outcomes: mpsc::Receiver<Finished<C>>) {
    let mut batch = Vec::with_capacity(RECORD_MAX_JOBS);
    while outcomes.recv_many(&mut batch, RECORD_MAX_JOBS).await > 0 {
        let (claimed, done): (Vec<Claimed>, Vec<C::Done>) = batch.drain(..).unzip();
        let since = Instant::now();
        let settles = loop {
            match courier.record(&done).await {
                Ok(settles) => break settles,
                Err(error) => {
                    tracing::warn!(
                        topic = %C::TOPIC, %error, outcomes = done.len(), for_ms = since.elapsed().as_millis(),
                        "outcomes could not be recorded; trying again"
                    );
                    tokio::time::sleep(FAULT_WAIT).await;
                }
            }
        };
        let settled: Vec<_> = claimed.into_iter().zip(settles).collect();
        settle(&*queue, C::TOPIC, &settled).await;
    }
}

/// Tells the queue. Failing is harmless: the leases run out, and the database knows.
async fn settle(queue: &dyn Queue, topic: Topic, settled: &[(Claimed, Settle)]) {
    if settled.is_empty() {
        return;
    }
    if let Err(error) = queue.settle(topic, settled).await {
        tracing::warn!(%topic, jobs = settled.len(), %error, "the queue could not be told; leases will run out");
    }
}
