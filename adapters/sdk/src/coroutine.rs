//! Guarantee: a future is polled only inside a call of the host, and a step returns either its outcome or at least one
//! open request, so a task can never wait for nothing.
//!
//! Futures may wait for each other within the plugin (two sends sharing a lock around a token refresh). Such a task has
//! no open request of its own; it asks the host to come back shortly, which keeps the boundary free of wake-up calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::io::LogLine;
use crate::link::Disconnected;
use crate::wire::{
    AdmitAnswer, IoAnswer, IoOp, IoRequest, IoResult, LocateAnswer, MarkAnswer, MediaAnswer, NumberAnswer,
    ProfileAnswer, ReceiveAnswer, SendAnswer, TemplateAnswer,
};

/// How soon a task is polled again when it waits for another task.
const INTERNAL_WAIT_MS: u64 = 5;

/// Log lines kept between two steps; later ones are dropped.
const LOG_LINES_MAX: usize = 64;

/// How a task ended.
pub(crate) enum Outcome {
    Send(SendAnswer),
    Admit(AdmitAnswer),
    Receive(ReceiveAnswer),
    Mark(MarkAnswer),
    Media(MediaAnswer),
    Number(NumberAnswer),
    Locate(LocateAnswer),
    Template(TemplateAnswer),
    Profile(ProfileAnswer),
    Connect(Disconnected),
}

/// A suspended adapter future.
pub(crate) struct Task {
    shared: Arc<Shared>,
    waker: Waker,
    future: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

impl Task {
    pub(crate) fn new(shared: Arc<Shared>, future: Pin<Box<dyn Future<Output = Outcome> + Send>>) -> Self {
        let waker = Waker::from(Arc::clone(&shared));
        Self { shared, waker, future }
    }

    /// Delivers results and runs the future as far as it goes. Results of requests that were given up are ignored.
    pub(crate) fn step(&mut self, results: Vec<IoResult>) -> Option<Outcome> {
        for result in results {
            self.shared.deliver(result);
        }
        loop {
            self.shared.woken.store(false, Ordering::Relaxed);
            match self.future.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(outcome) => return Some(outcome),
                Poll::Pending if self.shared.woken.load(Ordering::Acquire) => {}
                Poll::Pending => break,
            }
        }
        self.shared.ensure_open_request();
        None
    }

    pub(crate) fn take_requests(&self) -> Vec<IoRequest> {
        std::mem::take(&mut self.shared.lock().queued)
    }

    pub(crate) fn take_log(&self) -> Vec<LogLine> {
        std::mem::take(&mut self.shared.lock().log)
    }
}

/// What a task's future and its [`crate::Io`] have in common.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    woken: AtomicBool,
}

#[derive(Default)]
struct State {
    last_id: u64,
    queued: Vec<IoRequest>,
    open: Vec<Open>,
    internal_wait: Option<u64>,
    log: Vec<LogLine>,
}

struct Open {
    id: u64,
    waker: Waker,
    answer: Option<IoAnswer>,
}

impl State {
    fn request(&mut self, op: IoOp) -> u64 {
        self.last_id += 1;
        self.queued.push(IoRequest { id: self.last_id, op });
        self.last_id
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self, line: LogLine) {
        let mut state = self.lock();
        if state.log.len() < LOG_LINES_MAX {
            state.log.push(line);
        }
    }

    fn deliver(&self, result: IoResult) {
        let mut state = self.lock();
        if state.internal_wait == Some(result.id) {
            state.internal_wait = None;
            return;
        }
        let waker = state.open.iter_mut().find(|open| open.id == result.id).map(|open| {
            open.answer.get_or_insert(result.result);
            open.waker.clone()
        });
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn ensure_open_request(&self) {
        let mut state = self.lock();
        let waits_for_host = state.internal_wait.is_some() || state.open.iter().any(|open| open.answer.is_none());
        if !waits_for_host {
            let id = state.request(IoOp::Sleep { ms: INTERNAL_WAIT_MS });
            state.internal_wait = Some(id);
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
    }
}

/// A request and its answer, as a future. Asks when first polled.
pub(crate) struct Exchange {
    shared: Arc<Shared>,
    progress: Progress,
}

enum Progress {
    New(IoOp),
    Asked(u64),
    Over,
}

impl Exchange {
    pub(crate) fn new(shared: Arc<Shared>, op: IoOp) -> Self {
        Self { shared, progress: Progress::New(op) }
    }
}

impl Future for Exchange {
    type Output = IoAnswer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoAnswer> {
        let this = &mut *self;
        let mut state = this.shared.lock();
        match std::mem::replace(&mut this.progress, Progress::Over) {
            Progress::New(op) => {
                let id = state.request(op);
                state.open.push(Open { id, waker: context.waker().clone(), answer: None });
                this.progress = Progress::Asked(id);
                Poll::Pending
            }
            Progress::Asked(id) => {
                let position =
                    state.open.iter().position(|open| open.id == id).expect("an asked request stays open until taken");
                if state.open[position].answer.is_none() {
                    state.open[position].waker.clone_from(context.waker());
                    this.progress = Progress::Asked(id);
                    return Poll::Pending;
                }
                let answer = state.open.swap_remove(position).answer;
                Poll::Ready(answer.expect("checked above"))
            }
            Progress::Over => panic!("an io request was polled after it had its answer"),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Progress::Asked(id) = self.progress {
            let mut state = self.shared.lock();
            state.queued.retain(|request| request.id != id);
            state.open.retain(|open| open.id != id);
        }
    }
}
