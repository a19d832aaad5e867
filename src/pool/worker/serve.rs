//! A worker that calls a function for each task.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::Instrument;

use super::WorkerBuilder;
use super::shelf::Shelf;
use super::task::Task;
use crate::message::Message;
use crate::pool::caught::caught_future;
use crate::pool::client::JoinError;
use crate::pool::job::{Failure, Job};
use crate::pool::protocol::Nack;

impl WorkerBuilder {
    /// Calls `handler` for each task, as many at a time as its capacity, until the process is told to end (SIGTERM):
    /// then it takes no more, finishes those that run, and returns. Another SIGTERM changes nothing.
    ///
    /// A handler that panics has crashed its task, which counts against the task, and does not end the worker; so has
    /// one whose result or error panics when it is converted. One whose task is cancelled, or past its deadline, is
    /// dropped at its next `await`. One that computes for long, or blocks, keeps its thread from other handlers: give it
    /// to [`tokio::task::spawn_blocking`].
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the worker leaves at once, and its brokers give its tasks to others.
    pub async fn serve<H, F, M, E>(self, handler: H) -> Result<(), JoinError>
    where
        H: Fn(Job) -> F + Send + Sync + 'static,
        F: Future<Output = Result<M, E>> + Send,
        M: Into<Message>,
        E: Into<Failure>,
    {
        self.serve_until(terminated(), handler).await
    }

    /// As [`serve`](Self::serve), until `end` instead of SIGTERM.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    ///
    /// # Cancel safety
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_until<H, F, M, E>(
        self,
        end: impl Future<Output = ()>,
        handler: H,
    ) -> Result<(), JoinError>
    where
        H: Fn(Job) -> F + Send + Sync + 'static,
        F: Future<Output = Result<M, E>> + Send,
        M: Into<Message>,
        E: Into<Failure>,
    {
        let capacity = self.hello.capacity;
        let worker = self.start()?;
        let handler = Arc::new(handler);
        // Each runs one task after the other; dropped with this future.
        let mut hands = JoinSet::new();
        for _ in 0..capacity {
            let (shelf, handler) = (worker.shelf.clone(), handler.clone());
            hands.spawn(async move { hand(&shelf, &*handler).await });
        }
        end.await;
        worker.drain().await;
        while hands.join_next().await.is_some() {}
        Ok(())
    }
}

/// Runs one task after the other.
async fn hand<H, F, M, E>(shelf: &Shelf, handler: &H)
where
    H: Fn(Job) -> F,
    F: Future<Output = Result<M, E>>,
    M: Into<Message>,
    E: Into<Failure>,
{
    while let Some(task) = shelf.take().await {
        let answered = async {
            let outcome = caught_future(run(&task, handler)).await;
            // The broker may have taken it back meanwhile, and knows.
            let _ = match outcome.unwrap_or_else(|error| Err(Nack::Crash { error })) {
                Ok(result) => task.done(result).await,
                Err(nack) => task.nack(nack).await,
            };
        };
        // That a result panics when it is dropped is no reason to take no more tasks.
        let _ = caught_future(answered).await;
    }
}

/// All that is the user's: the handler, what it gives, and its end where it is cancelled.
async fn run<H, F, M, E>(task: &Task, handler: &H) -> Result<Message, Nack>
where
    H: Fn(Job) -> F,
    F: Future<Output = Result<M, E>>,
    M: Into<Message>,
    E: Into<Failure>,
{
    let job = task.job();
    let handling = async { handler(job.clone()).await.map(Into::into).map_err(|error| error.into().0) };
    tokio::select! {
        biased;
        outcome = handling.instrument(task.span().clone()) => outcome,
        () = job.cancelled() => Err(Nack::Release),
    }
}

/// The process is told to end.
async fn terminated() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        terminate.recv().await;
        return;
    }
    std::future::pending().await
}
