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

    /// What is left to do for an outcome that the database refuses for good: the job leaves
    /// the queue, and nobody else's outcome waits for it.
    fn set_aside(&self, done: &Self::Done) -> impl Future<Output = Result<(), StoreError>> + Send {
        let _ = done;
        async { Ok(()) }
    }
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
            let mut trouble = Trouble::default();
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
                    match queue.push(topic, &jobs).await {
                        Ok(()) => trouble.over(),
                        Err(error) => trouble.left(jobs.len(), &error),
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

/// Keeps the log readable while the queue is away: it says so when that begins, every ten
/// seconds, and when it is over.
#[derive(Default)]
struct Trouble {
    said: Option<Instant>,
    jobs: usize,
}

impl Trouble {
    const EVERY: Duration = Duration::from_secs(10);

    fn left(&mut self, jobs: usize, error: &dyn std::fmt::Display) {
        self.jobs += jobs;
        if self.said.is_none_or(|said| said.elapsed() >= Self::EVERY) {
            tracing::warn!(jobs = self.jobs, %error, "the queue takes no jobs; they are left to the reconciler");
            self.said = Some(Instant::now());
        }
    }

    fn over(&mut self) {
        if self.said.take().is_some() {
            tracing::info!(jobs = std::mem::take(&mut self.jobs), "the queue takes jobs again");
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
        let stop = recorder.abort_handle();
        match tokio::time::timeout(DRAIN_MAX, recorder).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(topic = %C::TOPIC, %error, "the recorder failed"),
            Err(_) => {
                stop.abort();
                tracing::warn!(topic = %C::TOPIC, "outcomes could not be recorded at shutdown; they will be ambiguous");
            }
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
        let settles = record_batch(&*courier, &done).await;
        let settled: Vec<_> = claimed.into_iter().zip(settles).collect();
        settle(&*queue, C::TOPIC, &settled).await;
    }
}

/// Records a batch, as often as it takes while the database is away. An outcome that it
/// refuses for good is found by recording each alone, and is set aside.
async fn record_batch<C: Courier>(courier: &C, done: &[C::Done]) -> Vec<Settle> {
    match record_patiently(courier, done).await {
        Ok(settles) => settles,
        Err(error) if done.len() == 1 => {
            tracing::error!(topic = %C::TOPIC, %error, "an outcome cannot be recorded and is set aside");
            if let Err(error) = courier.set_aside(&done[0]).await {
                tracing::error!(topic = %C::TOPIC, %error, "setting it aside failed; the reconciler will find its row");
            }
            vec![Settle::Done]
        }
        Err(_) => {
            let mut settles = Vec::with_capacity(done.len());
            for alone in done.chunks(1) {
                settles.extend(Box::pin(record_batch(courier, alone)).await);
            }
            settles
        }
    }
}

async fn record_patiently<C: Courier>(courier: &C, done: &[C::Done]) -> Result<Vec<Settle>, StoreError> {
    let since = Instant::now();
    loop {
        match courier.record(done).await {
            Err(error) if error.is_transient() => {
                tracing::warn!(
                    topic = %C::TOPIC, %error, outcomes = done.len(), for_ms = since.elapsed().as_millis(),
                    "outcomes could not be recorded; trying again"
                );
                tokio::time::sleep(FAULT_WAIT).await;
            }
            result => return result,
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::queue::{EmbeddedQueue, Lane};

    /// A courier whose database refuses some outcomes for good, and is away for a while.
    #[derive(Default)]
    struct Picky {
        away: Mutex<u32>,
        recorded: Mutex<Vec<u32>>,
        aside: Mutex<Vec<u32>>,
    }

    const REFUSED: u32 = 3;

    impl Courier for Picky {
        const TOPIC: Topic = Topic::Messages;
        type Job = u32;
        type Done = u32;

        async fn claim(&self, claimed: &[Claimed]) -> Result<Taken<u32>, StoreError> {
            Ok(claimed.iter().map(|job| (job.id.to_string(), Take::Job(job.id.parse().unwrap_or(0)))).collect())
        }

        async fn attempt(&self, job: u32) -> u32 {
            job
        }

        async fn record(&self, done: &[u32]) -> Result<Vec<Settle>, StoreError> {
            let mut away = self.away.lock().unwrap();
            if *away > 0 {
                *away -= 1;
                return Err(StoreError::Unreachable { address: "db".to_owned(), reason: "away".to_owned() });
            }
            if done.contains(&REFUSED) {
                return Err(StoreError::Unreadable { table: "messages", reason: "refused".to_owned() });
            }
            self.recorded.lock().unwrap().extend(done);
            Ok(vec![Settle::Done; done.len()])
        }

        async fn set_aside(&self, done: &u32) -> Result<(), StoreError> {
            self.aside.lock().unwrap().push(*done);
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_that_the_database_refuses_stops_no_other() {
        let courier = Picky { away: Mutex::new(4), ..Picky::default() };
        let settles = record_batch(&courier, &[1, 2, REFUSED, 4]).await;
        assert_eq!(settles, vec![Settle::Done; 4]);
        assert_eq!(*courier.recorded.lock().unwrap(), [1, 2, 4]);
        assert_eq!(*courier.aside.lock().unwrap(), [REFUSED]);
    }

    #[tokio::test]
    async fn every_due_job_is_attempted_and_recorded_before_the_engine_stops() {
        let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::new());
        let courier = Arc::new(Picky::default());
        let (stop, stopping) = watch::channel(false);
        let settings = EngineSettings { in_flight: 8, lane_in_flight: 4, lease_ms: 60_000 };
        let engine = spawn(courier.clone(), queue.clone(), settings, stopping);
        let jobs: Vec<Job> =
            (10..60).map(|id: u32| Job { lane: Lane::from("lane"), id: id.to_string().into(), due_ms: 0 }).collect();
        queue.push(Topic::Messages, &jobs).await.unwrap();
        while courier.recorded.lock().unwrap().len() < 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.send(true).unwrap();
        engine.await.unwrap();
        let mut recorded = courier.recorded.lock().unwrap().clone();
        recorded.sort_unstable();
        assert_eq!(recorded, (10..60).collect::<Vec<_>>(), "each once");
        let depth = queue.depth(Topic::Messages).await.unwrap();
        assert_eq!((depth.waiting, depth.leased), (0, 0));
    }
}
