//! One task in the hands of a worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::link::Link;
use crate::message::{Frame, Message};
use crate::pool::protocol::{FromWorker, Lease, Nack};

/// What a worker knows of a task that it runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Job(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) lease: Lease,
    pub(super) queue: Frame,
    pub(super) body: Message,
    pub(super) deadline: Option<Instant>,
    pub(super) redelivered: bool,
    pub(super) link: Arc<Link>,
    pub(super) cancelled: std::sync::atomic::AtomicBool,
    pub(super) told: Notify,
}

/// A part of an answer could not be sent: the broker is away, or has given the task to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task is no longer this worker's")]
#[non_exhaustive]
pub struct TaskLost;

impl Job {
    /// What is to be done.
    #[must_use]
    pub fn body(&self) -> &Message {
        &self.0.body
    }

    /// The queue that it came by.
    #[must_use]
    pub fn queue(&self) -> &Frame {
        &self.0.queue
    }

    /// The broker's number of the task. Together with [`attempt`](Self::attempt) a fencing token: what is stored with
    /// it can refuse what a worker does late that was taken for dead.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.lease.task.0
    }

    /// How often it has been given to a worker, this time included. It only grows.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.lease.attempt
    }

    /// Whether some worker may have begun it before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.0.redelivered
    }

    /// What is left until its result is of no use; `None` if it always is.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether its client has cancelled it, or its deadline is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let told = self.0.cancelled.load(std::sync::atomic::Ordering::Relaxed);
        told || self.remaining().is_some_and(|left| left.is_zero())
    }

    /// Waits until its client cancels it, or its deadline is over.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn cancelled(&self) {
        loop {
            let told = self.0.told.notified();
            if self.is_cancelled() {
                return;
            }
            match self.0.deadline {
                Some(deadline) => drop(tokio::time::timeout_at(deadline, told).await),
                None => told.await,
            }
        }
    }

    /// Sends a part of the answer, ahead of the result.
    ///
    /// # Errors
    ///
    /// If the broker cannot be reached now. The result can still be given later.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, nothing was sent.
    pub async fn partial(&self, body: impl Into<Message>) -> Result<(), TaskLost> {
        self.0.link.partial(FromWorker::Partial(self.0.lease, body.into())).await
    }

    pub(super) fn cancel(&self) {
        self.0.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
        self.0.told.notify_waiters();
    }
}

/// A task to be answered, from [`PullWorker::recv`](super::PullWorker::recv): by [`done`](Self::done), or given back. It
/// dereferences to what is known of it. Dropped, it is [released](Self::release).
#[derive(Debug)]
#[must_use = "dropped, it goes back to the broker"]
pub struct Task {
    job: Job,
    settled: bool,
}

impl Task {
    pub(super) const fn new(job: Job) -> Self {
        Self { job, settled: false }
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
        let lease = self.job.0.lease;
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

    /// Not here: another worker may have it at once. It does not count as an attempt.
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
        let lease = self.job.0.lease;
        self.settle(FromWorker::Nack(lease, nack)).await
    }

    async fn settle(mut self, answer: FromWorker) -> Result<(), TaskLost> {
        let link = self.job.0.link.clone();
        let settled = link.settle(self.job.0.lease, answer).await;
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
            let lease = self.job.0.lease;
            self.job.0.link.settle_now(lease, FromWorker::Nack(lease, Nack::Release));
        }
    }
}
