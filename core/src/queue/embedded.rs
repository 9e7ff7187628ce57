//! The queue in process memory, for a single process.
//!
//! Every operation is one or a few short steps under a lock that is never held across an await;
//! a step touches at most [`STEP_JOBS_MAX`] jobs, each in O(log n). It starts empty, and says so
//! through [`Queue::wiped`], so a restart is the same event as a wiped server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::pace::Pace;
use super::{
    Claim, ClaimOptions, Claimed, Depth, Job, JobId, LANE_TURN_JOBS, Lane, Queue, QueueError, STEP_JOBS_MAX, Seen,
    Settle, Topic,
};

/// The queue in process memory.
#[derive(Debug)]
pub struct EmbeddedQueue {
    topics: [Shared; Topic::ALL.len()],
    /// Whether somebody was told to fill it.
    told: AtomicBool,
    filled: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    news: watch::Sender<u64>,
}

/// One topic. A lane with jobs is in `later` at the time when it should next be looked at, or it
/// has been moved from there to `turns`. A lane that has nothing due may stay in `turns` for a
/// while: its number keeps it from coming back before those it was served ahead of.
#[derive(Debug, Default)]
struct World {
    lanes: HashMap<Lane, LaneState>,
    later: BTreeSet<(i64, Lane)>,
    turns: BTreeSet<(u64, Lane)>,
    turn_of: HashMap<Lane, u64>,
    /// The number being served now; no lane joins below it.
    turn_now: u64,
    holds: HashMap<Lane, i64>,
    paces: HashMap<Lane, Pace>,
}

#[derive(Debug, Default)]
struct LaneState {
    waiting: BTreeSet<(i64, JobId)>,
    leases: BTreeSet<(i64, JobId)>,
    jobs: HashMap<JobId, JobState>,
    /// The lane's place in `later`; none while it is in `turns` instead.
    look_at: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum JobState {
    Waiting(i64),
    Leased(i64),
}

impl LaneState {
    /// The earliest time at which a job is or becomes due.
    fn next(&self) -> Option<i64> {
        let waiting = self.waiting.first().map(|(due, _)| *due);
        waiting.into_iter().chain(self.next_lease_end()).min()
    }

    fn next_lease_end(&self) -> Option<i64> {
        self.leases.first().map(|(until, _)| *until)
    }

    fn lease(&mut self, id: JobId, until_ms: i64) {
        self.leases.insert((until_ms, id.clone()));
        self.jobs.insert(id, JobState::Leased(until_ms));
    }
}

/// What a lane got in one turn.
struct Turn {
    served: usize,
    more_due: bool,
}

impl World {
    fn held_until(&self, lane: &Lane) -> i64 {
        self.holds.get(lane).copied().unwrap_or(i64::MIN)
    }

    /// Puts the lane where its jobs, its hold and `at` (the earliest time it may be served) want
    /// it; forgets a lane without jobs.
    fn park(&mut self, lane: &Lane, at: Option<i64>) {
        let held_until = self.held_until(lane);
        let Some(state) = self.lanes.get_mut(lane) else {
            return;
        };
        let before = state.look_at.take();
        let at = at.map(|at| at.max(held_until));
        if before != at {
            if let Some(before) = before {
                self.later.remove(&(before, lane.clone()));
            }
            if let Some(at) = at {
                self.later.insert((at, lane.clone()));
            }
        }
        state.look_at = at;
        if at.is_none() {
            self.lanes.remove(lane);
        }
    }

    fn first_look(&self) -> Option<i64> {
        self.later.first().map(|(at, _)| *at)
    }

    fn push(&mut self, job: &Job) {
        let held_until = self.held_until(&job.lane);
        let fresh = !self.lanes.contains_key(&job.lane);
        let state = self.lanes.entry(job.lane.clone()).or_default();
        match state.jobs.get(&job.id) {
            Some(JobState::Leased(_)) => return,
            Some(JobState::Waiting(due)) if *due <= job.due_ms => {}
            known => {
                if let Some(JobState::Waiting(due)) = known {
                    let key = (*due, job.id.clone());
                    state.waiting.remove(&key);
                }
                state.waiting.insert((job.due_ms, job.id.clone()));
                state.jobs.insert(job.id.clone(), JobState::Waiting(job.due_ms));
            }
        }
        let at = job.due_ms.max(held_until);
        if fresh || state.look_at.is_some_and(|look_at| at < look_at) {
            self.park(&job.lane, Some(at));
        }
    }

    /// Lanes whose time has come get their place in the turn order.
    fn promote(&mut self, now_ms: i64) {
        for _ in 0..STEP_JOBS_MAX {
            let Some((at, _)) = self.later.first() else {
                return;
            };
            if *at > now_ms {
                return;
            }
            let Some((_, lane)) = self.later.pop_first() else {
                return;
            };
            if let Some(state) = self.lanes.get_mut(&lane) {
                state.look_at = None;
            }
            if !self.turn_of.contains_key(&lane) {
                self.join(lane, self.turn_now);
            }
        }
    }

    fn join(&mut self, lane: Lane, number: u64) {
        self.turns.insert((number, lane.clone()));
        self.turn_of.insert(lane, number);
    }

    fn claim(&mut self, now_ms: i64, options: &ClaimOptions) -> Claim {
        let until_ms = now_ms.saturating_add(options.lease_ms.max(1));
        let max = options.max.min(STEP_JOBS_MAX);
        let mut jobs = Vec::new();
        let mut rested: BTreeMap<Lane, u64> = BTreeMap::new();
        let mut visits = 0;
        self.promote(now_ms);
        while jobs.len() < max && visits < STEP_JOBS_MAX {
            let Some((number, lane)) = self.turns.pop_first() else {
                break;
            };
            visits += 1;
            self.turn_of.remove(&lane);
            self.turn_now = self.turn_now.max(number);
            let room = LANE_TURN_JOBS.min(max - jobs.len());
            let turn = self.serve(&lane, now_ms, until_ms, room, options, &mut jobs);
            let number = number + turn.served as u64;
            if turn.more_due {
                self.join(lane, number);
            } else if turn.served > 0 {
                rested.insert(lane, number);
            }
        }
        let drained = self.turns.is_empty() && jobs.len() < max;
        if drained {
            if let Some(last) = rested.values().max() {
                self.turn_now = self.turn_now.max(*last);
            }
        } else {
            for (lane, number) in rested {
                self.join(lane, number);
            }
        }
        Claim { jobs, next_due_ms: if drained { self.first_look() } else { Some(now_ms) }, seen: Seen::default() }
    }

    fn serve(
        &mut self,
        lane: &Lane,
        now_ms: i64,
        until_ms: i64,
        room: usize,
        options: &ClaimOptions,
        jobs: &mut Vec<Claimed>,
    ) -> Turn {
        let mut turn = Turn { served: 0, more_due: false };
        let held = match self.holds.get(lane) {
            Some(until) if *until > now_ms => true,
            Some(_) => {
                self.holds.remove(lane);
                false
            }
            None => false,
        };
        let Some(state) = self.lanes.get_mut(lane) else {
            return turn;
        };
        if held {
            let next = state.next();
            self.park(lane, next);
            return turn;
        }
        let expired = state.leases.iter().take_while(|(until, _)| *until <= now_ms).count();
        let free = options.lane_in_flight.saturating_sub(state.leases.len() - expired);
        let pace = self.paces.get_mut(lane);
        let tokens = pace.as_ref().map_or(usize::MAX, |pace| pace.allows(now_ms));
        let room = room.min(free).min(tokens);
        while turn.served < room {
            let leases_end = state.next_lease_end().is_some_and(|until| until <= now_ms);
            let from = if leases_end {
                &mut state.leases
            } else if state.waiting.first().is_some_and(|(due, _)| *due <= now_ms) {
                &mut state.waiting
            } else {
                break;
            };
            let Some((_, id)) = from.pop_first() else {
                break;
            };
            state.lease(id.clone(), until_ms);
            jobs.push(Claimed { lane: lane.clone(), id, lease_until_ms: until_ms });
            turn.served += 1;
        }
        let next = state.next();
        let mut paced_until = None;
        if let Some(pace) = pace {
            if turn.served > 0 {
                pace.spend(turn.served, now_ms);
            }
            paced_until = (turn.served >= tokens).then(|| pace.next_ms().max(now_ms + 1));
        }
        if next.is_some_and(|next| next <= now_ms) {
            if paced_until.is_some() {
                self.park(lane, paced_until);
            } else if turn.served < free {
                turn.more_due = true;
            } else {
                let freed = state.next_lease_end().filter(|until| *until > now_ms);
                // With no lease to wait for, the limit is 0: look again after a lease's length.
                self.park(lane, Some(freed.unwrap_or(until_ms)));
            }
        } else {
            self.park(lane, next);
        }
        turn
    }

    fn settle(&mut self, claimed: &Claimed, settle: Settle) {
        let Some(state) = self.lanes.get_mut(&claimed.lane) else {
            return;
        };
        match state.jobs.get(&claimed.id) {
            Some(JobState::Leased(until)) if *until == claimed.lease_until_ms => {}
            _ => return,
        }
        state.leases.remove(&(claimed.lease_until_ms, claimed.id.clone()));
        match settle {
            Settle::Done => {
                state.jobs.remove(&claimed.id);
            }
            Settle::Again { due_ms } => {
                state.waiting.insert((due_ms, claimed.id.clone()));
                state.jobs.insert(claimed.id.clone(), JobState::Waiting(due_ms));
            }
        }
        self.look_again(&claimed.lane);
    }

    /// Parks a lane anew after a change, unless it has a turn coming anyway.
    fn look_again(&mut self, lane: &Lane) {
        let Some(state) = self.lanes.get(lane) else {
            return;
        };
        let next = state.next();
        if next.is_none() || state.look_at.is_some() {
            self.park(lane, next);
        }
    }

    fn hold(&mut self, lane: &Lane, until_ms: i64) {
        if until_ms <= 0 {
            self.holds.remove(lane);
        } else {
            self.holds.insert(lane.clone(), until_ms);
        }
        self.look_again(lane);
    }

    fn knows(&self, job: &Job) -> bool {
        self.lanes.get(&job.lane).is_some_and(|state| state.jobs.contains_key(&job.id))
    }

    fn depth(&self) -> Depth {
        let mut depth = Depth { lanes: self.lanes.len() as u64, ..Depth::default() };
        for state in self.lanes.values() {
            depth.waiting += state.waiting.len() as u64;
            depth.leased += state.leases.len() as u64;
            let first = state.waiting.first().map(|(due, _)| *due);
            depth.oldest_due_ms = depth.oldest_due_ms.into_iter().chain(first).min();
        }
        depth
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        // Each step leaves the world usable; a panic elsewhere must not stop the engine.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a step and wakes the waiters if a lane became due earlier than they could know.
    fn change(&self, step: impl FnOnce(&mut World)) {
        let sooner = {
            let mut world = self.lock();
            let before = world.first_look();
            step(&mut world);
            let after = world.first_look();
            after.is_some_and(|after| before.is_none_or(|before| after < before))
        };
        if sooner {
            self.news.send_modify(|news| *news += 1);
        }
    }
}

impl EmbeddedQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self {
            topics: std::array::from_fn(|_| Shared { world: Mutex::default(), news: watch::Sender::new(0) }),
            told: AtomicBool::new(false),
            filled: AtomicBool::new(false),
        }
    }

    fn topic(&self, topic: Topic) -> &Shared {
        &self.topics[topic as usize]
    }

    /// Forgets everything, as a restart would.
    #[cfg(test)]
    pub(super) fn wipe(&self) {
        for topic in &self.topics {
            *topic.lock() = World::default();
        }
        self.told.store(false, Ordering::SeqCst);
        self.filled.store(false, Ordering::SeqCst);
    }
}

impl Default for EmbeddedQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn push(&self, topic: Topic, jobs: &[Job]) -> Result<(), QueueError> {
        for step in jobs.chunks(STEP_JOBS_MAX) {
            self.topic(topic).change(|world| step.iter().for_each(|job| world.push(job)));
        }
        Ok(())
    }

    async fn claim(&self, topic: Topic, now_ms: i64, options: &ClaimOptions) -> Result<Claim, QueueError> {
        let shared = self.topic(topic);
        let seen = Seen(*shared.news.borrow());
        let mut claim = shared.lock().claim(now_ms, options);
        claim.seen = seen;
        Ok(claim)
    }

    async fn settle(&self, topic: Topic, settled: &[(Claimed, Settle)]) -> Result<(), QueueError> {
        for step in settled.chunks(STEP_JOBS_MAX) {
            self.topic(topic).change(|world| {
                for (claimed, settle) in step {
                    world.settle(claimed, *settle);
                }
            });
        }
        Ok(())
    }

    async fn hold(&self, topic: Topic, lane: &Lane, until_ms: i64) -> Result<(), QueueError> {
        self.topic(topic).change(|world| world.hold(lane, until_ms));
        Ok(())
    }

    async fn pace(&self, topic: Topic, lane: &Lane, per_second: u32) -> Result<(), QueueError> {
        let mut world = self.topic(topic).lock();
        if per_second == 0 {
            world.paces.remove(lane);
        } else {
            world.paces.entry(lane.clone()).or_insert_with(|| Pace::new(per_second)).set(per_second);
        }
        Ok(())
    }

    async fn spend(&self, topic: Topic, lane: &Lane, jobs: usize, now_ms: i64) -> Result<(), QueueError> {
        if let Some(pace) = self.topic(topic).lock().paces.get_mut(lane) {
            pace.spend(jobs, now_ms);
        }
        Ok(())
    }

    async fn halve(&self, topic: Topic, lane: &Lane, now_ms: i64) -> Result<(), QueueError> {
        if let Some(pace) = self.topic(topic).lock().paces.get_mut(lane) {
            pace.halve(now_ms);
        }
        Ok(())
    }

    async fn missing(&self, topic: Topic, jobs: &[Job]) -> Result<Vec<Job>, QueueError> {
        let mut missing = Vec::new();
        for step in jobs.chunks(STEP_JOBS_MAX) {
            let world = self.topic(topic).lock();
            missing.extend(step.iter().filter(|job| !world.knows(job)).cloned());
        }
        Ok(missing)
    }

    async fn wiped(&self) -> Result<bool, QueueError> {
        self.told.store(true, Ordering::SeqCst);
        Ok(!self.filled.load(Ordering::SeqCst))
    }

    async fn mark_filled(&self) -> Result<bool, QueueError> {
        let told = self.told.load(Ordering::SeqCst);
        self.filled.store(told, Ordering::SeqCst);
        Ok(told)
    }

    async fn wait(&self, topic: Topic, seen: Seen, at_most: Duration) {
        let mut news = self.topic(topic).news.subscribe();
        let newer = news.wait_for(|now| *now != seen.0);
        let _ = tokio::time::timeout(at_most, newer).await;
    }

    async fn depth(&self, topic: Topic) -> Result<Depth, QueueError> {
        Ok(self.topic(topic).lock().depth())
    }

    fn name(&self) -> &'static str {
        "embedded"
    }
}
