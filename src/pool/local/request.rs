//! What is asked of a local pool.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::shared::Shared;
use crate::message::{Frame, Message};
use crate::pool::protocol::{FailReason, RejectReason, RequestId, Session, SubmitOptions};

/// A task that has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The pool did not take it.
    #[error("not accepted: {reason:?}")]
    Rejected {
        /// Why.
        reason: RejectReason,
        /// When to try again.
        retry_after: Duration,
    },
    /// It was accepted, and came to nothing.
    #[error("failed: {reason:?}: {text}")]
    Failed {
        /// Why.
        reason: FailReason,
        /// What the handler said.
        text: String,
    },
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
}

/// A task about to be submitted; from [`LocalPool::task`](super::LocalPool::task).
#[derive(Debug)]
#[must_use = "nothing happens before `call` or `submit`"]
pub struct Request {
    shared: Arc<Shared>,
    queue: Frame,
    body: Message,
    options: SubmitOptions,
}

impl Request {
    pub(super) fn new(shared: Arc<Shared>, queue: Frame, body: Message) -> Self {
        Self { shared, queue, body, options: SubmitOptions::default() }
    }

    /// How long it is of use; what has not begun by then never does, and what runs is dropped. For ever unless set, or
    /// set by [`Policy::ttl`](crate::pool::Policy::ttl).
    pub fn deadline(mut self, after: Duration) -> Self {
        self.options.budget = Some(after);
        self
    }

    /// From 0 to 9, 9 first. That of its queue unless set, which is 4 unless set.
    pub fn priority(mut self, priority: u8) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// What it is about: what keys are hashed, ordered and limited by. None unless set.
    pub fn key(mut self, key: impl Into<Frame>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// A name: submitted again under the same name within 10 minutes, it is the same task. None unless set.
    pub fn dedup(mut self, name: impl Into<Frame>) -> Self {
        self.options.dedup = Some(name.into());
        self
    }

    /// Not before this time has passed. At once unless set.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.delay = delay;
        self
    }

    /// Only for workers that have all of these tags. None unless set; at most 16.
    pub fn tags<T: Into<Frame>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// As [`LocalPool::call`](super::LocalPool::call).
    ///
    /// # Cancel safety
    ///
    /// Dropped before the end, the task is cancelled.
    ///
    /// # Errors
    ///
    /// Where the queue refuses it, it comes to nothing, or the pool is closed.
    pub async fn call(self) -> Result<Message, CallError> {
        self.run().await
    }

    /// As [`LocalPool::submit`](super::LocalPool::submit).
    ///
    /// # Cancel safety
    ///
    /// Dropped before the end, the task was not submitted.
    ///
    /// # Errors
    ///
    /// Where the queue refuses it, or the pool is closed.
    pub async fn submit(mut self) -> Result<(), CallError> {
        (self.options.ack, self.options.no_reply) = (true, true);
        self.run().await.map(|_| ())
    }

    async fn run(self) -> Result<Message, CallError> {
        let Self { shared, queue, body, options } = self;
        let (waiter, answer) = oneshot::channel();
        let submitted = shared.submit(queue, body, options, waiter).await;
        let (session, id) = submitted.ok_or(CallError::Closed)?;
        let _abandon = Abandon { shared: &shared, session, id };
        answer.await.unwrap_or(Err(CallError::Closed))
    }
}

/// Cancels the task if it has not been answered.
struct Abandon<'a> {
    shared: &'a Shared,
    session: Session,
    id: RequestId,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.shared.abandon(self.session, self.id);
    }
}
