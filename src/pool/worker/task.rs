//! One task in the hands of a worker that takes its tasks one by one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::link::Link;
use crate::message::{Frame, Message};
use crate::pool::job::{Job, TaskLost};
use crate::pool::protocol::{FromWorker, Nack};

/// A task to be answered, from [`PullWorker::recv`](super::PullWorker::recv): by [`done`](Self::done), or given back. It
/// dereferences to what is known of it. Dropped, it is [released](Self::release).
///
/// ```
/// use std::time::Duration;
/// use sinew::pool::{Task, TaskLost};
///
/// async fn answer(task: Task) -> Result<(), TaskLost> {
///     match task.body().to_str() {
///         Ok("later") => task.defer(Duration::from_secs(10)).await,
///         Ok(text) => { let upper = text.to_uppercase(); task.done(upper).await }
///         Err(_) => task.reject("no text").await,
///     }
/// }
/// # let _ = answer;
/// ```
#[derive(Debug)]
#[must_use = "dropped, it goes back to the broker"]
pub struct Task {
    job: Job,
    link: Arc<Link>,
    /// When it was taken, if that is of interest.
    begun: Option<Instant>,
    /// From then on, if it has a trace.
    span: Span,
    settled: bool,
}

impl Task {
    pub(super) const fn new(job: Job, link: Arc<Link>) -> Self {
        Self { job, link, begun: None, span: Span::none(), settled: false }
    }

    /// It is taken: from here on it counts as begun.
    pub(super) fn begin(&mut self) {
        self.begun = self.link.begin(self.job.lease());
        self.span = self.job.span();
    }

    pub(super) const fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }

    /// It is done; this is the result.
    ///
    /// # Errors
    ///
    /// If the broker has taken it back meanwhile. While the broker is away, the result is kept for it.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, the task is released.
    pub async fn done(self, result: impl Into<Message>) -> Result<(), TaskLost> {
        let lease = self.job.lease();
        self.settle(FromWorker::Done(lease, result.into())).await
    }

    /// It failed, and may work later: after `delay`, or by the rules of its queue.
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done).
    ///
    /// # Cancel safety
    ///
    /// As [`done`](Self::done).
    pub async fn retry(
        self,
        delay: impl Into<Option<Duration>>,
        error: impl Into<Frame>,
    ) -> Result<(), TaskLost> {
        self.nack(Nack::Retry { delay: delay.into(), error: error.into() }).await
    }

    /// It will never work: to the dead letters.
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done).
    ///
    /// # Cancel safety
    ///
    /// As [`done`](Self::done).
    pub async fn reject(self, error: impl Into<Frame>) -> Result<(), TaskLost> {
        self.nack(Nack::Reject { error: error.into() }).await
    }

    /// Not here: another worker may have it at once. It does not count as an attempt, nor as work: this worker gets
    /// nothing of the queue for 10 ms after it, twice as long each time, up to 1.28 s, until it has done a task of it.
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done).
    ///
    /// # Cancel safety
    ///
    /// As [`done`](Self::done).
    pub async fn release(self) -> Result<(), TaskLost> {
        self.nack(Nack::Release).await
    }

    /// Not now, but after `delay`. It does not count as an attempt.
    ///
    /// # Errors
    ///
    /// As [`done`](Self::done).
    ///
    /// # Cancel safety
    ///
    /// As [`done`](Self::done).
    pub async fn defer(self, delay: Duration) -> Result<(), TaskLost> {
        self.nack(Nack::Defer { delay }).await
    }

    pub(super) async fn nack(self, nack: Nack) -> Result<(), TaskLost> {
        let lease = self.job.lease();
        self.settle(FromWorker::Nack(lease, nack)).await
    }

    async fn settle(mut self, answer: FromWorker) -> Result<(), TaskLost> {
        let settled = self.link.settle(self.job.lease(), answer, self.begun).await;
        self.settled = true;
        settled
    }
}

impl std::ops::Deref for Task {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.settled {
            let lease = self.job.lease();
            self.link.settle_now(lease, FromWorker::Nack(lease, Nack::Release));
        }
    }
}
