//! Guarantee: a statement that has begun on a SQLite connection is over before anybody else gets the connection, also
//! when whoever asked has gone away.
//!
//! A request is dropped when its client hangs up, on a runtime of one thread. There, diesel-async's own runner cannot
//! wait for the statement and panics; this one waits for the thread that the statement runs on.

use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll},
};

use diesel_async::sync_connection_wrapper::SpawnBlocking;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::task::JoinHandle;

/// Runs statements on the blocking threads of the runtime that asks.
pub(super) struct Blocking;

impl SpawnBlocking for Blocking {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn Error + Send + Sync + 'static>>>
    where
        R: Send + 'static,
    {
        let (running, end) = mpsc::channel();
        let handle = tokio::task::spawn_blocking(move || {
            let result = task();
            drop(running);
            result
        });
        Statement { handle, end }.boxed()
    }

    fn get_runtime() -> Self {
        Self
    }
}

/// A statement that runs. Dropped before its end, it is waited for.
struct Statement<R> {
    handle: JoinHandle<R>,
    /// Closes when the statement is over, or will never begin.
    end: mpsc::Receiver<Infallible>,
}

impl<R> Future for Statement<R> {
    type Output = Result<R, Box<dyn Error + Send + Sync + 'static>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.handle.poll_unpin(cx).map_err(Box::from)
    }
}

impl<R> Drop for Statement<R> {
    fn drop(&mut self) {
        if !self.handle.is_finished() {
            // Nothing is ever sent: this returns when the other end is gone.
            let _ = self.end.recv();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diesel::{QueryableByName, sql_query, sql_types::BigInt};
    use diesel_async::RunQueryDsl;

    use crate::store::{
        Store, StoreSettings, StoreUrl,
        connection::{Conn, Pools},
    };

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }

    async fn count_to(pools: &Pools, most: i64) -> i64 {
        let Conn::Sqlite(mut conn) = pools.write().await.unwrap() else { panic!("not SQLite") };
        let query = sql_query(
            "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?) \
             SELECT count(*) AS n FROM counted",
        );
        let counts: Vec<Count> = query.bind::<BigInt, _>(most).load(&mut *conn).await.unwrap();
        counts[0].n
    }

    /// On the kind of runtime that requests are handled on.
    #[test]
    fn a_client_that_hangs_up_in_the_middle_of_a_statement_leaves_a_sound_connection() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = StoreUrl::Sqlite(folder.path().join("waystation.db"));
            let store = Store::open(&StoreSettings { url, connections: 1 }).await.unwrap();
            let mut hung_up = 0;
            for _ in 0..20 {
                let asked = count_to(&store.pools, 300_000);
                hung_up += i32::from(tokio::time::timeout(Duration::from_millis(1), asked).await.is_err());
                assert_eq!(count_to(&store.pools, 3).await, 3);
            }
            assert!(hung_up > 0, "every statement was over before anybody could hang up");
        });
    }
}
