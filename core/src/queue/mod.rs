//! The clock of the delivery engine: which job is due, and whose turn it is.
//!
//! What holds:
//! - A job that was pushed is handed out at or after its due time, at least once, until it is
//!   settled as [`Settle::Done`], or until the store is lost, which [`Queue::wiped`] reports.
//! - While its lease runs, a job is in one claim only.
//! - Lanes share: a lane with a million jobs delays another lane's single job by no more than
//!   [`LANE_TURN_JOBS`] jobs of each lane that is served before it.
//! - A lane never has more leased jobs than its claimers allow, over all processes.
//! - A lane with a rate is served no faster, over all processes, but for a tenth of a second's worth after a pause.
//!
//! Why so little: the database is the truth. A queue holds ids, lanes and due times and may
//! forget them, because a reconciler asks for what is [`missing`](Queue::missing) and pushes it
//! again. So nothing here needs a disk, and no answer here proves that a message exists.
//!
//! How lanes share: every lane that is due has a number in the turn order. The lowest is served
//! first and its number grows by the jobs it got. A lane that comes back after a pause starts at
//! the number being served now: it is first among those that were busy, but has saved up nothing.

mod embedded;
mod pace;
mod redis;

#[cfg(test)]
mod contract;

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::embedded::EmbeddedQueue;
pub use self::redis::{RedisQueue, connect};

/// The most jobs one lane is given before the next lane has its turn.
pub const LANE_TURN_JOBS: usize = 8;

/// The most jobs, and the most lanes, that one step under a lock (in process) or one script (on
/// Redis) touches. Larger calls are split, so that no caller stops the others for long.
pub const STEP_JOBS_MAX: usize = 256;

/// What a queue's jobs are about. Each topic is a world of its own: lanes, turns and wake-ups of
/// one do not touch another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Messages to be handed to a transport. Lane: the sender.
    Messages,
    /// Callbacks from upstream to be matched with their messages. Lane: the channel.
    Callbacks,
    /// Events to be delivered to tenants' endpoints. Lane: the endpoint.
    Webhooks,
}

impl Topic {
    /// Every topic, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Messages, Self::Callbacks, Self::Webhooks];

    /// The name used in keys, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Callbacks => "callbacks",
            Self::Webhooks => "webhooks",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! shared_str {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

shared_str! {
    /// Whose turn a job waits for: a sender, a channel, an endpoint. Cheap to clone.
    Lane
}

shared_str! {
    /// Which row of the database a job stands for. Unique within its lane; ids sort in the order
    /// in which they were made. Cheap to clone.
    JobId
}

/// A job as it is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose turn it waits for.
    pub lane: Lane,
    /// What it is.
    pub id: JobId,
    /// Not before this time, in milliseconds since 1970.
    pub due_ms: i64,
}

/// A job as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The lane it came from.
    pub lane: Lane,
    /// What it is.
    pub id: JobId,
    /// When the lease ends, in milliseconds since 1970. It is also the token that settles the job:
    /// whoever claims the job after the lease ran out gets a later one.
    pub lease_until_ms: i64,
}

/// How much to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimOptions {
    /// The most jobs to hand out; more than [`STEP_JOBS_MAX`] takes more than one claim.
    pub max: usize,
    /// How long the claimer has before the jobs are due again, in milliseconds; at least 1.
    pub lease_ms: i64,
    /// The most jobs of one lane that may be leased at once, over all claimers: use one number per
    /// topic everywhere.
    pub lane_in_flight: usize,
}

/// What a claim brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The jobs, in the order of their turns; within a lane by due time, then id. A job whose
    /// lease ran out comes before those that were never claimed.
    pub jobs: Vec<Claimed>,
    /// When to claim again if nothing new arrives, in milliseconds since 1970: the time of the
    /// claim itself when more may be due already, none when nothing waits and nothing is leased.
    pub next_due_ms: Option<i64>,
    /// What had been pushed when the claim was made; [`Queue::wait`] takes it, so that a push
    /// between the claim and the wait is not slept through.
    pub seen: Seen,
}

/// A point in the news of one topic, as one queue handle heard them. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u64);

/// What becomes of a claimed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Forget it.
    Done,
    /// Hand it out again, not before `due_ms` (milliseconds since 1970).
    Again {
        /// The new due time.
        due_ms: i64,
    },
}

/// How full a topic is. Taken in steps while work goes on: good for a graph, not for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Lanes that have at least one job.
    pub lanes: u64,
    /// Jobs that are not leased.
    pub waiting: u64,
    /// Jobs that are leased, with those whose lease ran out and that nobody claimed since.
    pub leased: u64,
    /// The earliest due time of the waiting jobs, in milliseconds since 1970.
    pub oldest_due_ms: Option<i64>,
}

/// Why a queue did not answer. Nothing is lost: the database still has the work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The store cannot be reached or did not answer in time. What was asked may have been done.
    /// Try again; every operation may be repeated.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// The store answers, but not as needed: a wrong password, a full or read-only or too old
    /// server. It will not work until somebody changes something.
    #[error("the queue refuses to work: {0}")]
    Refused(String),
}

impl QueueError {
    /// Whether the same call may work in a moment without anybody's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A queue. All times are the caller's, in milliseconds since 1970, so that a test can own them.
///
/// # Errors
///
/// Every method fails with [`QueueError`] when its store does, and may simply be called again.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Adds jobs. A job that waits already keeps the earlier of both due times; a leased job is
    /// left alone. When a large push fails, part of it may have been added.
    async fn push(&self, topic: Topic, jobs: &[Job]) -> Result<(), QueueError>;

    /// Hands out jobs that are due at `now_ms`.
    async fn claim(&self, topic: Topic, now_ms: i64, options: &ClaimOptions) -> Result<Claim, QueueError>;

    /// Says what became of claimed jobs. Ignored for a job that somebody else has claimed since,
    /// or that is no longer known.
    async fn settle(&self, topic: Topic, settled: &[(Claimed, Settle)]) -> Result<(), QueueError>;

    /// Serves nothing from the lane before `until_ms`, whether it has jobs now or gets them later.
    /// Jobs already leased are not touched. The last call counts: 0 lets the lane go on at once.
    async fn hold(&self, topic: Topic, lane: &Lane, until_ms: i64) -> Result<(), QueueError>;

    /// Serves at most `per_second` jobs of the lane a second; 0 takes the limit away. What was used of it stays used. It
    /// may be forgotten as the jobs are, so whoever needs it says it again from time to time.
    async fn pace(&self, topic: Topic, lane: &Lane, per_second: u32) -> Result<(), QueueError>;

    /// Counts `jobs` against the rate of the lane, if it has one, that were not claimed here.
    async fn spend(&self, topic: Topic, lane: &Lane, jobs: usize, now_ms: i64) -> Result<(), QueueError>;

    /// Halves the rate of the lane, if it has one: it was too fast. It climbs back within a minute; once it was halved,
    /// it is not halved again for a second.
    async fn halve(&self, topic: Topic, lane: &Lane, now_ms: i64) -> Result<(), QueueError>;

    /// Those of the jobs that are neither waiting nor leased here.
    async fn missing(&self, topic: Topic, jobs: &[Job]) -> Result<Vec<Job>, QueueError>;

    /// Whether the store is new, was wiped, or was restarted (and so may lack its last moments).
    /// It stays true, in every process, until a refill that began after this call is declared
    /// complete by [`mark_filled`](Self::mark_filled): a crash in between loses no signal. For one
    /// caller per handle, the one that refills.
    async fn wiped(&self) -> Result<bool, QueueError>;

    /// Declares that everything due has been pushed since [`wiped`](Self::wiped) said true. False
    /// if the store was wiped again meanwhile: refill once more.
    async fn mark_filled(&self) -> Result<bool, QueueError>;

    /// Returns when something became due earlier than the claim that saw `seen` could know, or
    /// after `at_most`, or sooner than that: always claim again afterwards.
    async fn wait(&self, topic: Topic, seen: Seen, at_most: Duration);

    /// How full the topic is.
    async fn depth(&self, topic: Topic) -> Result<Depth, QueueError>;

    /// The name of the implementation, for logs and status pages.
    fn name(&self) -> &'static str;
}
