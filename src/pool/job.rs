//! A task as its handler sees it, over the network or in this process, and how it may fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;

use crate::message::{Frame, Message};
use crate::pool::local::Here;
use crate::pool::protocol::{FromWorker, Lease, Nack, Parent};
use crate::pool::trace;
use crate::pool::worker::Link;

/// What a worker knows of a task that it runs. Cheap to clone.
///
/// ```
/// use sinew::pool::{Failure, Job};
///
/// async fn length(job: Job) -> Result<String, Failure> {
///     println!("task {}, attempt {}, from {:?}", job.id(), job.attempt(), job.queue());
///     Ok(job.body().to_str()?.len().to_string())
/// }
/// # let _ = length;
/// ```
#[derive(Debug, Clone)]
pub struct Job(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lease: Lease,
    queue: Frame,
    body: Message,
    deadline: Option<Instant>,
    redelivered: bool,
    trace: Option<Parent>,
    origin: Origin,
    cancelled: AtomicBool,
    told: Notify,
}

/// Who gave it.
#[derive(Debug)]
pub(super) enum Origin {
    Broker(Arc<Link>),
    Here(Here),
}

/// What its giver says about it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) lease: Lease,
    pub(super) queue: Frame,
    pub(super) body: Message,
    pub(super) budget: Option<Duration>,
    pub(super) redelivered: bool,
    pub(super) trace: Option<Parent>,
}

/// An answer was not taken: the broker has taken the task back, and perhaps given it to somebody else. Of a part of an
/// answer, also: the broker is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task is no longer this worker's")]
#[non_exhaustive]
pub struct TaskLost;

impl Job {
    pub(super) fn new(given: Given, origin: Origin) -> Self {
        let Given { lease, queue, body, budget, redelivered, trace } = given;
        let deadline = budget.and_then(|budget| Instant::now().checked_add(budget));
        let (cancelled, told) = (AtomicBool::new(false), Notify::new());
        Self(Arc::new(Inner { lease, queue, body, deadline, redelivered, trace, origin, cancelled, told }))
    }

    pub(super) fn lease(&self) -> Lease {
        self.0.lease
    }

    /// The span of one run of it.
    pub(super) fn span(&self) -> Span {
        trace::run(self.0.trace.as_ref(), self.queue(), self.id(), self.attempt())
    }

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

    /// The broker's number of the task, the same each time that it is tried. Together with [`attempt`](Self::attempt) a
    /// fencing token: what is stored with it can refuse what a worker does late that was taken for dead.
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

    /// The trace that it belongs to, as a `traceparent` of W3C Trace Context, for what its handler asks of others; `None`
    /// if it has none. What the handler logs with `tracing` is in a span that carries it.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.0.trace.as_deref()
    }

    /// What is left until its result is of no use; `None` if it always is.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether its client has cancelled it, or its deadline is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let told = self.0.cancelled.load(Ordering::Relaxed);
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

    /// Sends a part of the answer, ahead of the result, to whoever asked for a [`Stream`](crate::pool::Stream); others
    /// do not get to see it. Parts come in order. What was on its way when a connection broke is lost, and a task that
    /// is tried again sends its parts again: number them where that matters.
    ///
    /// # Errors
    ///
    /// If the broker cannot be reached now. The result can still be given later.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, nothing was sent.
    pub async fn partial(&self, body: impl Into<Message>) -> Result<(), TaskLost> {
        let part = FromWorker::Partial(self.0.lease, body.into());
        match &self.0.origin {
            Origin::Broker(link) => link.partial(part).await,
            Origin::Here(here) => {
                here.say(part);
                Ok(())
            }
        }
    }

    pub(super) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
        self.0.told.notify_waiters();
    }
}

/// Why a handler has no result, and what is to become of the task. Any error is one that may work later.
///
/// ```
/// use std::time::Duration;
/// use sinew::pool::{Failure, Job};
///
/// async fn charge(job: Job) -> Result<&'static str, Failure> {
///     let cents: u64 = job.body().to_str()?.parse()?; // tried again, by the rules of the queue
///     if cents == 0 {
///         return Err(Failure::reject("nothing to pay")); // never
///     }
///     Err(Failure::retry_after(Duration::from_secs(60), "the bank is closed"))
/// }
/// # let _ = charge;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub(super) Nack);

impl Failure {
    /// It may work later: by the rules of the queue.
    pub fn retry(error: impl Into<Frame>) -> Self {
        Self(Nack::Retry { delay: None, error: error.into() })
    }

    /// It may work later: after `delay`, to the millisecond.
    pub fn retry_after(delay: Duration, error: impl Into<Frame>) -> Self {
        Self(Nack::Retry { delay: Some(delay), error: error.into() })
    }

    /// It will never work: to the dead letters.
    pub fn reject(error: impl Into<Frame>) -> Self {
        Self(Nack::Reject { error: error.into() })
    }

    /// Not here: another worker may have it at once. It does not count as an attempt, nor as work: this worker gets
    /// nothing of the queue for 10 ms after it, twice as long each time, up to 1.28 s, until it has done a task of it.
    #[must_use]
    pub const fn release() -> Self {
        Self(Nack::Release)
    }

    /// Not now, but after `delay`, to the millisecond; it does not count as an attempt.
    #[must_use]
    pub const fn defer(delay: Duration) -> Self {
        Self(Nack::Defer { delay })
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(error.to_string())
    }
}
