//! Group commit: work that arrives while the last batch is being written becomes
//! the next batch. No timer: alone, an item is written at once; under load,
//! batches form by themselves.
//!
//! An item is answered only after the batch that carries it has been written, and
//! every item is answered.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

/// The writer behind a [`Batcher`] is gone: the process is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writer has stopped; the process is shutting down")]
pub struct Stopped;

/// Hands items to one writer that takes them in batches. Clones share the writer.
#[derive(Debug)]
pub struct Batcher<T, R> {
    sender: mpsc::Sender<(T, oneshot::Sender<R>)>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts a writer task that calls `write` with 1 to `max_items` items at a
    /// time. `write` answers with one result per item, in their order; items
    /// beyond the last answer are told that the writer stopped.
    ///
    /// At most `max_items * 4` items wait; a further [`Batcher::submit`] waits for
    /// room, which is how a slow database slows its callers down.
    pub fn start<F, Fut>(max_items: usize, mut write: F) -> Self
    where
        F: FnMut(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        let (sender, mut receiver) = mpsc::channel(max_items * 4);
        tokio::spawn(async move {
            let mut waiting = Vec::with_capacity(max_items);
            while receiver.recv_many(&mut waiting, max_items).await > 0 {
                let (items, replies): (Vec<T>, Vec<oneshot::Sender<R>>) = waiting.drain(..).unzip();
                for (reply, result) in replies.into_iter().zip(write(items).await) {
                    // A caller that went away needs no answer.
                    drop(reply.send(result));
                }
            }
        });
        Self { sender }
    }

    /// Has `item` written and waits for its result.
    ///
    /// # Errors
    /// [`Stopped`] when the writer ended before the item was answered.
    pub async fn submit(&self, item: T) -> Result<R, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.sender.send((item, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn items_that_arrive_during_a_write_share_the_next_one() {
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = writes.clone();
        let batcher = Batcher::start(100, move |items: Vec<u32>| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                items.into_iter().map(|item| item * 2).collect()
            }
        });
        let answers = futures_util::future::join_all((0..50).map(|item| batcher.submit(item))).await;
        for (item, answer) in (0..50).zip(answers) {
            assert_eq!(answer, Ok(item * 2));
        }
        assert!(writes.load(Ordering::Relaxed) <= 3, "50 items took {} writes", writes.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn an_item_without_an_answer_is_told_so() {
        let batcher = Batcher::start(10, |_: Vec<u32>| async { Vec::<u32>::new() });
        assert_eq!(batcher.submit(1).await, Err(Stopped));
    }
}
