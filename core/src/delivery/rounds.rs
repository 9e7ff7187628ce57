//! Guarantee: work that is looked for in rounds is looked for as long as the process runs, and a stop waits for the round
//! under way for a bounded time only: what it cuts off is claimed again after its lease.

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};

use crate::store::StoreError;

/// How long a round that is under way may go on after a stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Something that works in rounds.
pub(crate) trait Rounds: Send + Sync + 'static {
    /// What it works off, for the log.
    const WHAT: &'static str;
    /// From the end of one round to the next at least.
    const PAUSE: Duration;

    /// Works off what there is; takes nothing new once `stopping` is true.
    fn round(&self, stopping: &watch::Receiver<bool>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Works in rounds until `stopping` turns true.
pub(crate) fn spawn<R: Rounds>(work: R, mut stopping: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut look = tokio::time::interval(R::PAUSE);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stopping.borrow() {
            tokio::select! {
                _ = look.tick() => {}
                _ = stopping.changed() => continue,
            }
            let ending = stopping.clone();
            tokio::select! {
                result = work.round(&ending) => {
                    if let Err(error) = result {
                        tracing::warn!(what = R::WHAT, %error, "a round could not be finished; it is tried again");
                    }
                }
                () = drained(stopping.clone()) => {}
            }
        }
    })
}

/// Returns when a stop has had its time.
async fn drained(mut stopping: watch::Receiver<bool>) {
    // Fails when whoever stops is gone: then there is nothing to wait for either.
    let _ = stopping.wait_for(|stop| *stop).await;
    tokio::time::sleep(DRAIN_MAX).await;
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    struct Stuck(Arc<AtomicU32>);

    impl Rounds for Stuck {
        const WHAT: &'static str = "nothing";
        const PAUSE: Duration = Duration::from_millis(10);

        async fn round(&self, _: &watch::Receiver<bool>) -> Result<(), StoreError> {
            let rounds = self.0.fetch_add(1, Ordering::SeqCst);
            if rounds == 2 {
                std::future::pending::<()>().await;
            }
            let away = || StoreError::Unreachable { address: "db".to_owned(), reason: "away".to_owned() };
            if rounds == 0 { Err(away()) } else { Ok(()) }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_round_is_followed_by_another_and_a_stop_waits_for_a_bounded_time() {
        let (stop, stopping) = watch::channel(false);
        let rounds = Arc::new(AtomicU32::new(0));
        let running = spawn(Stuck(rounds.clone()), stopping);
        while rounds.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let stopped = tokio::time::Instant::now();
        stop.send(true).unwrap();
        running.await.unwrap();
        assert_eq!(stopped.elapsed().as_secs(), DRAIN_MAX.as_secs());
    }
}
