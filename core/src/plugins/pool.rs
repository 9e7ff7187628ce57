//! Guarantee: a call into a plugin is answered within its deadline and one tick of the watchdog, by the plugin or for it;
//! and a plugin holds at most a fixed number of threads, whatever it does.
//!
//! A thread that is inside a plugin cannot be taken back, only written off: its caller is answered, another thread takes
//! its place until too many are gone, and it joins again if the call returns after all. Answers are decoded on the
//! plugin's thread, where their bytes are, so they are neither copied nor handed around undecoded.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use waystation_adapter_sdk::abi::Status;
use waystation_adapter_sdk::caller::{Answer, Plugin};
use waystation_adapter_sdk::wire::{SCHEMA_VERSION, Step};

/// Threads of one adapter that may be written off before nobody takes their place.
pub(super) const HUNG_THREADS_MAX: usize = 6;

/// Operations of one adapter that may wait for a thread to start on.
const QUEUED_CALLS_MAX: usize = 8192;

/// The watchdog looks so many times within a deadline, so a hang is noticed at most that part later.
const TICKS_PER_DEADLINE: u32 = 8;

/// The watchdog's shortest and longest pause.
const TICK_MIN: Duration = Duration::from_millis(5);
const TICK_MAX: Duration = Duration::from_millis(250);

/// How much of a faulty answer is shown.
const EXCERPT_CHARS: usize = 120;

/// Why a call has no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallFault {
    /// The plugin panicked, and said so.
    Panicked(String),
    /// The plugin answered something it must not.
    Garbage(String),
    /// It does not know the operation. Nothing was done.
    Unsupported(String),
    /// The plugin was called and did not return in time.
    Hung(String),
    /// The plugin was not called: no thread is left.
    Down(String),
    /// The plugin was not called: too many calls wait.
    Busy(String),
}

/// A step, and the task that goes on if it is pending.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) step: Step,
    pub(super) task: Option<u64>,
}

pub(super) type CallResult = Result<Called, CallFault>;

enum Job {
    Start { input: Vec<u8>, reply: oneshot::Sender<CallResult>, queued: Instant },
    Resume { task: u64, input: Vec<u8>, reply: oneshot::Sender<CallResult>, queued: Instant },
    Free { task: u64 },
}

impl Job {
    fn queued(&self) -> Option<Instant> {
        match self {
            Self::Start { queued, .. } | Self::Resume { queued, .. } => Some(*queued),
            Self::Free { .. } => None,
        }
    }

    /// Whether whoever made the call has given it up.
    fn is_unwanted(&self) -> bool {
        match self {
            Self::Start { reply, .. } | Self::Resume { reply, .. } => reply.is_closed(),
            Self::Free { .. } => false,
        }
    }

    fn refuse(self, fault: CallFault) {
        if let Self::Start { reply, .. } | Self::Resume { reply, .. } = self {
            // A caller that has gone needs no answer.
            let _ = reply.send(Err(fault));
        }
    }
}

/// Since when an adapter is sick, and why.
#[derive(Clone, Debug)]
pub(super) struct Sick {
    pub(super) since: SystemTime,
    pub(super) why: String,
}

/// The threads of one adapter.
pub(super) struct Pool {
    shared: Arc<Shared>,
    /// Keeps the watchdog on duty as long as there is something to watch.
    _watched: Arc<Mutex<Watched>>,
}

struct Shared {
    adapter: String,
    plugin: Plugin,
    deadline: Duration,
    queue_deadline: Duration,
    threads: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    idle: usize,
    working: Vec<Arc<Slot>>,
    hung: usize,
    sick: Option<Sick>,
    closed: bool,
    threads_ever: usize,
}

/// What one thread is doing. Empty between calls, and when the watchdog has written the call off.
#[derive(Default)]
struct Slot {
    call: Mutex<Option<Call>>,
}

struct Call {
    since: Instant,
    what: &'static str,
    reply: Option<oneshot::Sender<CallResult>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Starts the threads of an adapter. A call that waited longer than `queue_deadline` for a thread is refused.
    pub(super) fn start(
        adapter: &str,
        plugin: Plugin,
        deadline: Duration,
        queue_deadline: Duration,
        threads: usize,
        watchdog: &Watchdog,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            adapter: adapter.to_owned(),
            plugin,
            deadline,
            queue_deadline,
            threads,
            state: Mutex::default(),
            work: Condvar::new(),
        });
        let pool = Self { shared, _watched: Arc::clone(&watchdog.pools) };
        {
            let mut state = lock(&pool.shared.state);
            for _ in 0..threads {
                pool.shared.add_thread(&mut state)?;
            }
        }
        watchdog.watch(&pool.shared)?;
        Ok(pool)
    }

    /// Queues a `start`. The receiver fails only if a thread of ours died.
    pub(super) fn call_start(&self, input: Vec<u8>) -> oneshot::Receiver<CallResult> {
        let (reply, receiver) = oneshot::channel();
        self.shared.push(Job::Start { input, reply, queued: Instant::now() });
        receiver
    }

    /// Queues a `resume`.
    pub(super) fn call_resume(&self, task: u64, input: Vec<u8>) -> oneshot::Receiver<CallResult> {
        let (reply, receiver) = oneshot::channel();
        self.shared.push(Job::Resume { task, input, reply, queued: Instant::now() });
        receiver
    }

    /// Queues the end of a task that will not be resumed.
    pub(super) fn free_task(&self, task: u64) {
        self.shared.push(Job::Free { task });
    }

    /// Since when and why the adapter is sick, if it is.
    pub(super) fn sick(&self) -> Option<Sick> {
        lock(&self.shared.state).sick.clone()
    }
}

impl Drop for Pool {
    /// Lets the threads end after what is queued. One that hangs ends when its call returns.
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn push(&self, job: Job) {
        let mut state = lock(&self.state);
        let is_call = job.queued().is_some();
        let fault = if state.working.is_empty() && is_call {
            let why = state.sick.as_ref().map_or("it has no thread", |sick| sick.why.as_str());
            Some(CallFault::Down(format!("adapter `{}` takes no calls: {why}", self.adapter)))
        } else if state.queue.len() >= QUEUED_CALLS_MAX && matches!(job, Job::Start { .. }) {
            Some(CallFault::Busy(format!("{QUEUED_CALLS_MAX} calls of adapter `{}` wait already", self.adapter)))
        } else {
            None
        };
        if let Some(fault) = fault {
            drop(state);
            job.refuse(fault);
            return;
        }
        state.queue.push_back(job);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    fn add_thread(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        let slot = Arc::new(Slot::default());
        state.threads_ever += 1;
        let (shared, own_slot) = (Arc::clone(self), Arc::clone(&slot));
        std::thread::Builder::new()
            .name(format!("{}-{}", self.adapter, state.threads_ever))
            .spawn(move || shared.run(&own_slot))?;
        state.working.push(slot);
        Ok(())
    }

    fn run(&self, slot: &Arc<Slot>) {
        while let Some(job) = self.next_job() {
            let written_off = self.call(slot, job);
            if written_off && !self.rejoin(slot) {
                return;
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Makes one call. Answers whether the watchdog gave up on it meanwhile.
    fn call(&self, slot: &Slot, job: Job) -> bool {
        if job.is_unwanted() {
            return match job {
                Job::Resume { task, .. } => self.call(slot, Job::Free { task }),
                Job::Start { .. } | Job::Free { .. } => false,
            };
        }
        let (result, call) = match job {
            Job::Free { task } => {
                slot.enter("free_task", None);
                self.plugin.free_task(task);
                return slot.leave().is_none();
            }
            Job::Start { input, reply, .. } => {
                slot.enter("start", Some(reply));
                let (status, task, answer) = self.plugin.start(&input);
                (read_step(status, task, answer), slot.leave())
            }
            Job::Resume { task, input, reply, .. } => {
                slot.enter("resume", Some(reply));
                let (status, answer) = self.plugin.resume(task, &input);
                (read_step(status, task, answer), slot.leave())
            }
        };
        let Some(call) = call else {
            self.abandon(result);
            return true;
        };
        let unwanted = call.reply.and_then(|reply| reply.send(result).err());
        if let Some(Ok(Called { task: Some(task), .. })) = unwanted {
            return self.call(slot, Job::Free { task });
        }
        false
    }

    fn abandon(&self, result: CallResult) {
        if let Ok(Called { task: Some(task), .. }) = result {
            self.push(Job::Free { task });
        }
    }

    /// A thread the watchdog wrote off is back. Answers whether it is needed.
    fn rejoin(&self, slot: &Arc<Slot>) -> bool {
        let mut state = lock(&self.state);
        state.hung -= 1;
        if state.hung == 0 {
            state.sick = None;
            tracing::info!(adapter = self.adapter, "adapter is well again: every call has returned");
        }
        let needed = state.working.len() < self.threads && !state.closed;
        if needed {
            state.working.push(Arc::clone(slot));
        }
        needed
    }

    /// Gives up on calls past their deadline.
    fn inspect(self: &Arc<Self>) {
        let mut overdue = Vec::new();
        let mut refused = Vec::new();
        {
            let mut state = lock(&self.state);
            // With the state locked, a thread cannot rejoin before it has been written off.
            state.working.retain(|slot| {
                let mut call = lock(&slot.call);
                let is_overdue = call.as_ref().is_some_and(|call| call.since.elapsed() > self.deadline);
                if is_overdue {
                    overdue.extend(call.take());
                }
                !is_overdue
            });
            for call in &overdue {
                let why = self.hang_text(call);
                tracing::error!(adapter = self.adapter, function = call.what, "adapter is sick: {why}");
                state.hung += 1;
                state.sick.get_or_insert(Sick { since: SystemTime::now(), why });
                if state.hung <= HUNG_THREADS_MAX
                    && let Err(error) = self.add_thread(&mut state)
                {
                    tracing::error!(adapter = self.adapter, %error, "no thread to replace a hung one");
                }
            }
            let no_thread = state.working.is_empty();
            while let Some(job) = state.queue.front() {
                let too_old = job.queued().is_some_and(|queued| queued.elapsed() > self.queue_deadline);
                if !(no_thread || too_old) {
                    break;
                }
                refused.extend(state.queue.pop_front());
            }
        }
        for call in overdue {
            if let Some(reply) = call.reply {
                let _ = reply.send(Err(CallFault::Hung(format!(
                    "`{}` did not return within {} ms",
                    call.what,
                    self.deadline.as_millis()
                ))));
            }
        }
        for job in refused {
            job.refuse(CallFault::Down(format!("adapter `{}` has no thread for the call", self.adapter)));
        }
    }

    fn hang_text(&self, call: &Call) -> String {
        format!("`{}` did not return within {} ms", call.what, self.deadline.as_millis())
    }
}

impl Slot {
    fn enter(&self, what: &'static str, reply: Option<oneshot::Sender<CallResult>>) {
        *lock(&self.call) = Some(Call { since: Instant::now(), what, reply });
    }

    fn leave(&self) -> Option<Call> {
        lock(&self.call).take()
    }
}

fn read_step(status: i32, task: u64, answer: Answer) -> CallResult {
    let bytes = answer.bytes().map_err(|fault| CallFault::Garbage(fault.to_string()))?;
    let Some(status) = Status::from_raw(status) else {
        return Err(CallFault::Garbage(format!("status {status} is none of the interface")));
    };
    let step: Step = match serde_json::from_slice(bytes) {
        Ok(step) => step,
        Err(_) if status == Status::Panicked => Step::default(),
        Err(error) => {
            return Err(CallFault::Garbage(format!("the answer is not a step: {error}: {}", excerpt(bytes))));
        }
    };
    let said = || step.error.clone().unwrap_or_else(|| "no reason given".to_owned());
    match status {
        Status::Panicked => Err(CallFault::Panicked(said())),
        Status::Unsupported => Err(CallFault::Unsupported(said())),
        Status::BadInput | Status::UnknownTask => {
            Err(CallFault::Garbage(format!("it refused a valid call ({status:?}): {}", said())))
        }
        Status::Done | Status::Pending if step.v != SCHEMA_VERSION => {
            Err(CallFault::Garbage(format!("the answer has schema version {}, known is {SCHEMA_VERSION}", step.v)))
        }
        Status::Pending if task == 0 => Err(CallFault::Garbage("a pending call has no task".to_owned())),
        Status::Done => Ok(Called { step, task: None }),
        Status::Pending => Ok(Called { step, task: Some(task) }),
    }
}

fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT_CHARS * 4)]);
    format!("{:?}", text.chars().take(EXCERPT_CHARS).collect::<String>())
}

/// The thread that notices calls past their deadline, one for all adapters of a host.
pub(super) struct Watchdog {
    pools: Arc<Mutex<Watched>>,
    tick: Duration,
}

#[derive(Default)]
struct Watched {
    pools: Vec<Weak<Shared>>,
    running: bool,
}

impl Watchdog {
    pub(super) fn new(deadline: Duration) -> Self {
        Self { pools: Arc::default(), tick: (deadline / TICKS_PER_DEADLINE).clamp(TICK_MIN, TICK_MAX) }
    }

    fn watch(&self, pool: &Arc<Shared>) -> std::io::Result<()> {
        let mut watched = lock(&self.pools);
        watched.pools.push(Arc::downgrade(pool));
        if !watched.running {
            let (pools, tick) = (Arc::downgrade(&self.pools), self.tick);
            std::thread::Builder::new().name("adapter-watchdog".to_owned()).spawn(move || {
                while let Some(pools) = pools.upgrade() {
                    let alive: Vec<_> = {
                        let mut watched = lock(&pools);
                        watched.pools.retain(|pool| pool.strong_count() > 0);
                        watched.pools.iter().filter_map(Weak::upgrade).collect()
                    };
                    drop(pools);
                    for pool in alive {
                        pool.inspect();
                    }
                    std::thread::sleep(tick);
                }
            })?;
            watched.running = true;
        }
        Ok(())
    }
}
